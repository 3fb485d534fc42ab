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

const duet_codec_ops *duet_codecs(void)
{
    static const duet_codec_ops ops = {
        .size = sizeof(ops),
        .audio_encoder_create = duet_audio_encoder_create,
        .audio_encoder_destroy = duet_audio_encoder_destroy,
        .audio_encode = duet_audio_encoder_encode,
        .audio_decoder_create = duet_audio_decoder_create,
        .audio_decoder_destroy = duet_audio_decoder_destroy,
        .audio_decode = duet_audio_decoder_decode,
        .audio_decode_fec = duet_audio_decoder_decode_fec,
        .audio_conceal = duet_audio_decoder_conceal,
        .video_encoder_create = duet_video_encoder_create,
        .video_encoder_destroy = duet_video_encoder_destroy,
        .video_encode = duet_video_encoder_encode,
        .video_set_bitrate = duet_video_encoder_set_bitrate,
        .video_decoder_create = duet_video_decoder_create,
        .video_decoder_destroy = duet_video_decoder_destroy,
        .video_decode = duet_video_decoder_decode,
        .audio_set_bitrate = duet_audio_encoder_set_bitrate,
        .audio_comfort_noise = duet_audio_decoder_comfort_noise,
        .audio_set_expected_loss = duet_audio_encoder_set_expected_loss,
    };

    return &ops;
}
