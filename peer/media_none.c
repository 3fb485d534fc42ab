/* In place of media_transport.c and media_extensions.c in a build without media: m-sections of audio and video are answered
 * as inactive, so that a bundle keeps the shape that the peer offered, and no packet is understood. */
#include "peer/media.h"
#include <string.h>

bool pc_media_is_built(void)
{
    return false;
}

void pc_remember_extensions(duet_pc *pc)
{
    (void)pc;
}

size_t pc_extensions(const duet_pc *pc, duet_sdp_media_kind kind, duet_sdp_extension *out, size_t max)
{
    (void)pc, (void)kind, (void)out, (void)max;
    return 0;
}

bool pc_extension_fits(const duet_sdp *sdp, size_t section, const char *uri)
{
    (void)sdp, (void)section, (void)uri;
    return false;
}

void pc_ambiguous_extensions(const duet_sdp *offer, bool *ambiguous)
{
    (void)offer;
    memset(ambiguous, 0, PC_EXTENSION_IDS * sizeof(*ambiguous));
}

const char *pc_extension_uri(unsigned kind)
{
    (void)kind;
    return "";
}

/* Profiles are agreed nevertheless: the peer may need them for a DTLS association that it wants to carry media. */
size_t pc_media_profiles(const duet_pc *pc, duet_srtp_profile *out)
{
    static const duet_srtp_profile all[] = {DUET_SRTP_AEAD_AES_128_GCM, DUET_SRTP_AEAD_AES_256_GCM,
                                            DUET_SRTP_AES128_CM_SHA1_80};

    (void)pc;
    memcpy(out, all, sizeof(all));
    return sizeof(all) / sizeof(all[0]);
}

void pc_media_transport_destroy(pc_transport *t)
{
    (void)t;
}

void pc_media_input(pc_transport *t, duet_datagram *in, duet_time now)
{
    (void)in, (void)now;
    t->pc->counters.media_dropped++;
}

int pc_media_output(pc_transport *t, duet_datagram *out, duet_time now)
{
    (void)t, (void)out, (void)now;
    return 0;
}

void pc_media_tick(pc_transport *t, duet_time now)
{
    (void)t, (void)now;
}

duet_time pc_media_deadline(const pc_transport *t)
{
    (void)t;
    return DUET_NEVER;
}

void pc_media_agree(duet_transceiver *transceiver, pc_transport *t, const pc_agreed *agreed)
{
    (void)transceiver, (void)t, (void)agreed;
}

void pc_media_end(duet_transceiver *transceiver)
{
    (void)transceiver;
}

void pc_media_update(duet_transceiver *transceiver)
{
    (void)transceiver;
}

void pc_media_rekey(pc_transport *t)
{
    (void)t;
}

void pc_media_bye(pc_transport *t, duet_time now)
{
    (void)t, (void)now;
}

void pc_media_report(const duet_pc *pc, struct pc_stats_report *r)
{
    (void)pc, (void)r;
}

/* ---- the public calls that move media ---- */

bool duet_sender_is_active(const duet_sender *sender)
{
    (void)sender;
    return false;
}

int duet_sender_send_frame(duet_sender *sender, const duet_outgoing_frame *frame)
{
    (void)sender, (void)frame;
    return DUET_ERR_UNSUPPORTED;
}

int duet_sender_send_audio(duet_sender *sender, const duet_audio_frame *frame, duet_time captured)
{
    (void)sender, (void)frame, (void)captured;
    return DUET_ERR_UNSUPPORTED;
}

int duet_sender_send_video(duet_sender *sender, const duet_video_frame *frame, duet_time captured)
{
    (void)sender, (void)frame, (void)captured;
    return DUET_ERR_UNSUPPORTED;
}

int duet_receiver_read_audio(duet_receiver *receiver, int16_t *samples, size_t count, uint8_t channels)
{
    (void)receiver, (void)samples, (void)count, (void)channels;
    return DUET_ERR_UNSUPPORTED;
}

int duet_sender_send_rtp(duet_sender *sender, const duet_rtp_packet *packet, const duet_rtp_extensions *extensions)
{
    (void)sender, (void)packet, (void)extensions;
    return DUET_ERR_UNSUPPORTED;
}

int duet_sender_insert_dtmf(duet_sender *sender, uint8_t event, duet_time duration)
{
    (void)sender, (void)event, (void)duration;
    return DUET_ERR_UNSUPPORTED;
}

int duet_receiver_request_keyframe(duet_receiver *receiver)
{
    (void)receiver;
    return DUET_ERR_UNSUPPORTED;
}
