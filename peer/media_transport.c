/* The media of one transport: SRTP (RFC 3711) keyed by DTLS (RFC 5764) around an RTP session. Every packet passes here: from
 * the demultiplexer to the session, and from the session to the route that ICE has chosen. */
#include "base/crypto.h"
#include "peer/media_io.h"
#include <string.h>

bool pc_media_is_built(void)
{
    return true;
}

const char *pc_extension_uri(unsigned kind)
{
    return duet_rtp_extension_uri((duet_rtp_extension_kind)kind);
}

size_t pc_media_profiles(const duet_pc *pc, duet_srtp_profile *out)
{
    if (pc->srtp_profile_count == 0)
        return duet_srtp_preferred_profiles(out);
    memcpy(out, pc->srtp_profiles, pc->srtp_profile_count * sizeof(*out));
    return pc->srtp_profile_count;
}

/* ---- sinks of the session ---- */

static duet_transceiver *transceiver_of(const pc_transport *t, const char *mid)
{
    const duet_pc *pc = t->pc;
    duet_transceiver *found;

    for (size_t i = 0; (found = pc_transceiver_at(pc, i)); i++) {
        if (!found->stopped && strcmp(found->mid, mid) == 0)
            return found;
    }
    return NULL;
}

static void stream_begins(void *user, duet_receive_stream *stream)
{
    pc_transport *t = user;
    duet_transceiver *transceiver = transceiver_of(t, duet_receive_stream_mid(stream));

    if (transceiver)
        pc_receive_begin(&transceiver->receiver, t, stream);
}

static void packet_arrives(void *user, duet_receive_stream *stream, const duet_rtp_arrival *arrival)
{
    if (!duet_receive_stream_user(stream))
        stream_begins(user, stream); /* there was no memory for it before */
    pc_receive_packet(stream, arrival);
}

static void stream_ends(void *user, duet_receive_stream *stream)
{
    (void)user;
    pc_receive_end(stream);
}

static void keyframe_requested(void *user, duet_send_stream *stream)
{
    (void)user;
    pc_send_keyframe_requested(duet_send_stream_user(stream));
}

static void remb_arrives(void *user, uint64_t bits_per_second)
{
    pc_transport *t = user;
    duet_transceiver *transceiver;

    for (size_t i = 0; (transceiver = pc_transceiver_at(t->pc, i)); i++) {
        if (transceiver->sender.send && transceiver->sender.send->transport == t)
            pc_send_remb(&transceiver->sender, bits_per_second);
    }
}

static void session_wakes(void *user)
{
    pc_transport *t = user;

    pc_wake(t->pc);
}

/* ---- life ---- */

static int ensure_media(pc_transport *t)
{
    duet_rtp_session_config config;

    if (t->media)
        return DUET_OK;
    t->media = duet_calloc(&t->pc->env, sizeof(*t->media));
    if (!t->media)
        return DUET_ERR_NOMEM;
    duet_rtp_session_config_init(&config);
    config.env = &t->pc->env;
    config.cname = t->pc->cname;
    config.ntp_offset = t->pc->config.wall_ntp;
    config.on_stream = stream_begins;
    config.on_packet = packet_arrives;
    config.on_stream_end = stream_ends;
    config.on_keyframe_request = keyframe_requested;
    config.on_remb = remb_arrives;
    config.on_wake = session_wakes;
    config.user = t;
    int err = duet_rtp_session_create(&t->media->rtp, &config);
    if (err != DUET_OK) {
        duet_free(&t->pc->env, t->media);
        t->media = NULL;
    }
    return err;
}

void pc_media_transport_destroy(pc_transport *t)
{
    duet_transceiver *transceiver;

    if (!t->media)
        return;
    for (size_t i = 0; (transceiver = pc_transceiver_at(t->pc, i)); i++) {
        if (transceiver->sender.send && transceiver->sender.send->transport == t)
            pc_send_destroy(&transceiver->sender);
    }
    duet_rtp_session_destroy(t->media->rtp);
    duet_srtp_destroy(t->media->srtp);
    duet_free(&t->pc->env, t->media);
    t->media = NULL;
}

/* RFC 5764 section 4.2: the keys come from the DTLS association once the certificate is verified. */
static int derive_keys(pc_transport *t)
{
    uint8_t keying[DUET_SRTP_KEYING_MAX];
    duet_srtp_config config;

    duet_srtp_config_init(&config);
    config.env = &t->pc->env;
    config.profile = duet_dtls_srtp_profile(t->dtls);
    config.keying = keying;
    config.keying_len = duet_srtp_keying_len(config.profile);
    config.is_client = duet_dtls_get_role(t->dtls) == DUET_DTLS_CLIENT;
    if (config.keying_len == 0)
        return DUET_ERR_UNSUPPORTED;
    int err = duet_dtls_export(t->dtls, DUET_SRTP_EXPORTER_LABEL, keying, config.keying_len);
    if (err == DUET_OK)
        err = duet_srtp_create(&t->media->srtp, &config);
    duet_wipe(keying, sizeof(keying));
    return err;
}

static bool is_keyed(pc_transport *t)
{
    if (!t->media || t->media->srtp || t->media->has_failed || t->dtls_state != DUET_DTLS_CONNECTED)
        return t->media && t->media->srtp;
    int err = derive_keys(t);
    if (err == DUET_OK) {
        duet_rtp_session_hint_rtt(t->media->rtp, duet_ice_agent_rtt(t->ice));
        return true;
    }
    if (err == DUET_ERR_NOMEM) {
        t->short_of_memory = true;
        return false;
    }
    t->media->has_failed = true;
    duet_log(&t->pc->env, DUET_LOG_ERROR, "peer", "no media: %s",
             err == DUET_ERR_UNSUPPORTED ? "the peer's DTLS has negotiated no SRTP profile (RFC 5764, 4.1)"
                                         : duet_strerror(err));
    return false;
}

void pc_media_rekey(pc_transport *t)
{
    if (!t->media)
        return;
    duet_srtp_destroy(t->media->srtp);
    t->media->srtp = NULL;
    t->media->has_failed = false;
    (void)is_keyed(t);
}

/* ---- what was agreed ---- */

static int set_section(duet_transceiver *transceiver, pc_transport *t, const pc_agreed *agreed)
{
    const duet_codec *codecs[PC_CODECS_MAX];
    duet_rtp_section section = {.size = sizeof(section), .mid = transceiver->mid};

    for (size_t i = 0; i < agreed->codec_count; i++)
        codecs[i] = &agreed->codecs[i];
    section.is_video = transceiver->kind == DUET_SDP_VIDEO;
    section.codecs = codecs;
    section.codec_count = agreed->codec_count;
    section.extensions = agreed->extensions;
    section.remote_ssrcs = agreed->ssrcs;
    section.remote_ssrc_count = agreed->ssrc_count;
    section.remote_rtx_ssrcs = agreed->rtx_ssrcs;
    section.remote_rtx_ssrc_count = agreed->rtx_ssrc_count;
    section.receives = (transceiver->current_direction & DUET_SDP_RECVONLY) && !transceiver->stopping;
    section.reduced_size = agreed->reduced_size;
    section.receiver_rtt = agreed->receiver_rtt;
    return duet_rtp_session_set_section(t->media->rtp, &section);
}

/* The section has moved to another transport, as when a bundle is agreed anew. */
static void leave_other_transports(duet_transceiver *transceiver, const pc_transport *t)
{
    duet_pc *pc = transceiver->pc;

    if (transceiver->sender.send && transceiver->sender.send->transport != t)
        pc_send_destroy(&transceiver->sender);
    for (size_t i = 0; i < pc->transport_count; i++) {
        if (pc->transports[i] != t && pc->transports[i]->media)
            duet_rtp_session_remove_section(pc->transports[i]->media->rtp, transceiver->mid);
    }
}

void pc_media_agree(duet_transceiver *transceiver, pc_transport *t, const pc_agreed *agreed)
{
    duet_sender *sender = &transceiver->sender;
    bool sends = (transceiver->current_direction & DUET_SDP_SENDONLY) && agreed->send.name[0];

    if (!t)
        return;
    leave_other_transports(transceiver, t);
    int err = ensure_media(t);
    if (err == DUET_OK)
        err = set_section(transceiver, t, agreed);
    if (!sends)
        pc_send_pause(sender);
    else if (err == DUET_OK)
        err = pc_send_create(sender, t, agreed);
    if (err != DUET_OK)
        duet_log(&t->pc->env, DUET_LOG_ERROR, "peer", "m-section \"%s\": its media does not flow: %s", transceiver->mid,
                 duet_strerror(err));
    pc_wake(t->pc);
}

void pc_media_end(duet_transceiver *transceiver)
{
    leave_other_transports(transceiver, NULL);
}

void pc_media_update(duet_transceiver *transceiver)
{
    pc_send_report_active(&transceiver->sender);
    pc_wake(transceiver->pc);
}

/* ---- packets ---- */

void pc_media_input(pc_transport *t, duet_datagram *in, duet_time now)
{
    bool is_rtcp = duet_rtp_is_rtcp(in->data, in->len);
    size_t len = in->len;

    if (!is_keyed(t)) {
        t->pc->counters.media_dropped++;
        return;
    }
    int err = is_rtcp ? duet_srtp_unprotect_rtcp(t->media->srtp, in->data, &len)
                      : duet_srtp_unprotect_rtp(t->media->srtp, in->data, &len);
    if (err != DUET_OK) {
        t->pc->counters.media_refused++;
        duet_trace_discard(&t->pc->env, now, "srtp", is_rtcp ? "RTCP packet" : "RTP packet", in->len,
                           duet_strerror(err));
        return;
    }
    duet_trace_packet(&t->pc->env, now, "peer", DUET_LAYER_RTP, false, NULL, in->data, len);
    (void)duet_rtp_session_input(t->media->rtp, in->data, len, now); /* what is wrong with it is counted there */
}

/* RFC 8837 section 5, table 1: audio EF, interactive video AF42. */
#define DSCP_AUDIO 46
#define DSCP_VIDEO 36

int pc_media_output(pc_transport *t, duet_datagram *out, duet_time now)
{
    duet_rtp_outgoing packet;

    while (is_keyed(t) && duet_rtp_session_output(t->media->rtp, &packet, now) == 1) {
        size_t len = packet.len;
        duet_trace_packet(&t->pc->env, now, "peer", DUET_LAYER_RTP, true, NULL, packet.data, len);
        int err = packet.is_rtcp ? duet_srtp_protect_rtcp(t->media->srtp, packet.data, &len, packet.capacity)
                                 : duet_srtp_protect_rtp(t->media->srtp, packet.data, &len, packet.capacity);
        if (err != DUET_OK) {
            t->pc->counters.media_unprotected++;
            continue;
        }
        if (packet.transport_sequence_number >= 0)
            duet_rtp_session_departed(t->media->rtp, packet.transport_sequence_number, len, now);
        *out = (duet_datagram){.data = packet.data, .len = len, .headroom = DUET_HEADROOM};
        out->dscp = packet.is_video ? DSCP_VIDEO : DSCP_AUDIO;
        return 1;
    }
    return 0;
}

void pc_media_tick(pc_transport *t, duet_time now)
{
    duet_transceiver *transceiver;

    if (!t->media)
        return;
    (void)is_keyed(t);
    duet_rtp_session_tick(t->media->rtp, now);
    for (size_t i = 0; (transceiver = pc_transceiver_at(t->pc, i)); i++) {
        pc_send_report_active(&transceiver->sender);
        if (transceiver->sender.send)
            pc_dtmf_tick(transceiver->sender.send, now);
        pc_receive_tick(&transceiver->receiver, now);
    }
    pc_lip_sync_tick(t->pc, now);
}

duet_time pc_media_deadline(const pc_transport *t)
{
    const duet_transceiver *transceiver;

    if (!t->media || !t->media->srtp)
        return DUET_NEVER;
    duet_time first = duet_rtp_session_deadline(t->media->rtp);
    for (size_t i = 0; (transceiver = pc_transceiver_at(t->pc, i)); i++) {
        duet_time deadline = pc_receive_deadline(&transceiver->receiver);
        first = deadline < first ? deadline : first;
        deadline = transceiver->sender.send ? pc_dtmf_deadline(transceiver->sender.send) : DUET_NEVER;
        first = deadline < first ? deadline : first;
    }
    return first;
}

void pc_media_bye(pc_transport *t, duet_time now)
{
    if (t->media && t->media->srtp)
        duet_rtp_session_bye(t->media->rtp, now);
}
