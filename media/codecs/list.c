/* The codecs of this build, with what offers say about them. Payload types are those that browsers use. */
#include "duet/codecs.h"

#define VIDEO_FEEDBACK                                                                                                 \
    (DUET_FEEDBACK_NACK | DUET_FEEDBACK_NACK_PLI | DUET_FEEDBACK_CCM_FIR | DUET_FEEDBACK_GOOG_REMB |                   \
     DUET_FEEDBACK_TRANSPORT_CC)

static const duet_codec codecs[] = {
    {"opus", 111, 48000, 2, "minptime=10;useinbandfec=1", DUET_FEEDBACK_TRANSPORT_CC}, /* RFC 7587 section 7 */
    {"PCMU", 0, 8000, 1, "", DUET_FEEDBACK_TRANSPORT_CC},
    {"PCMA", 8, 8000, 1, "", DUET_FEEDBACK_TRANSPORT_CC},
    {"VP8", 96, 90000, 1, "", VIDEO_FEEDBACK},
    {"VP9", 98, 90000, 1, "profile-id=0", VIDEO_FEEDBACK},
};

size_t duet_codecs_list(duet_codec *out, size_t max)
{
    size_t count = sizeof(codecs) / sizeof(codecs[0]);

    for (size_t i = 0; i < count && i < max; i++)
        out[i] = codecs[i];
    return count;
}
