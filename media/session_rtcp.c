/* RTCP of the peer: reports, feedback, goodbyes. Every packet that is ill-formed costs a counter and ends its compound. */
#include "media/internal.h"

#define RTT_MAX DUET_SECONDS(60) /* more is no measurement */

/* ---- reports: RFC 3550 section 6.4 --------------------------------------------------------------------------------- */

/* A, LSR and DLSR are middle parts of NTP times. @return false when they do not give a time that can be true */
static bool round_trip(const duet_rtp_session *session, uint32_t last, uint32_t delay, duet_time now, duet_time *rtt)
{
    uint32_t at = (uint32_t)(duet_rtp_session_ntp(session, now) >> 16);
    int32_t elapsed = (int32_t)(at - last - delay);

    if (last == 0)
        return false;
    /* Clocks that differ a little may make a very short time negative. */
    *rtt = elapsed > 0 ? duet_time_of_short_ntp((uint32_t)elapsed) : 1;
    return elapsed > -65536 && *rtt <= RTT_MAX;
}

static void on_block(duet_rtp_session *session, const duet_rtcp_report_block *block, duet_time now)
{
    duet_send_stream *stream = duet_map_get(&session->senders, block->ssrc);
    duet_time rtt;

    if (!stream)
        return;
    if (block->ssrc == stream->rtx_ssrc) {
        stream->rtx_mid_seen = true;
        return;
    }
    duet_send_stream_on_report(stream, block);
    if (!round_trip(session, block->last_sr, block->delay_since_last_sr, now, &rtt))
        return;
    stream->stats.round_trip_time = rtt;
    stream->stats.total_round_trip_time += rtt;
    stream->stats.round_trip_time_measurements++;
    duet_rtp_session_measured(session, rtt);
}

static void on_sender_info(duet_rtp_session *session, const duet_rtcp_report *report, duet_time now)
{
    duet_receive_stream *stream = duet_map_get(&session->receivers, report->ssrc);

    if (!stream)
        return;
    stream->has_report = true;
    stream->report_ntp = report->ntp;
    stream->report_timestamp = report->rtp_timestamp;
    stream->report_arrived = now;
    stream->stats.has_remote = true;
    stream->stats.remote_ntp = report->ntp;
    stream->stats.remote_packets_sent = report->packet_count;
    stream->stats.remote_bytes_sent = report->octet_count;
    stream->stats.remote_reports_sent++;
}

static int on_report(duet_rtp_session *session, const duet_rtcp_packet *packet, duet_time now)
{
    duet_rtcp_report report;
    int err = duet_rtcp_read_report(&report, packet);

    if (err != DUET_OK)
        return err;
    if (report.is_sender)
        on_sender_info(session, &report, now);
    for (uint8_t i = 0; i < report.block_count; i++)
        on_block(session, &report.blocks[i], now);
    return DUET_OK;
}

static int on_bye(duet_rtp_session *session, const duet_rtcp_packet *packet)
{
    duet_rtcp_bye bye;
    int err = duet_rtcp_read_bye(&bye, packet);

    if (err != DUET_OK)
        return err;
    for (uint8_t i = 0; i < bye.ssrc_count; i++) {
        duet_receive_stream *stream = duet_map_get(&session->receivers, bye.ssrcs[i]);
        if (stream)
            duet_receive_stream_end(stream);
    }
    return DUET_OK;
}

/* Nothing of SDES matters to a session, but it is checked. */
static int on_sdes(const duet_rtcp_packet *packet)
{
    duet_rtcp_sdes_cursor cursor = {0};
    duet_rtcp_sdes_item item;
    int more;

    while ((more = duet_rtcp_next_sdes(packet, &cursor, &item)) == 1)
        ;
    return more;
}

/* ---- extended reports: RFC 3611 ------------------------------------------------------------------------------------ */

/* The newest of each SSRC is answered with our next report; of strangers beyond the bound none is. */
static void on_rrtr(duet_rtp_session *session, uint32_t ssrc, uint64_t ntp, duet_time now)
{
    rtp_rrtr rrtr = {ssrc, (uint32_t)(ntp >> 16), now};

    for (size_t i = 0; i < session->rrtr_count; i++) {
        if (session->rrtrs[i].ssrc == ssrc) {
            session->rrtrs[i] = rrtr;
            return;
        }
    }
    if (session->rrtr_count < RTP_RRTR_MAX)
        session->rrtrs[session->rrtr_count++] = rrtr;
}

static int on_dlrr(duet_rtp_session *session, const duet_rtcp_xr_block *block, duet_time now)
{
    duet_rtcp_dlrr item;
    size_t cursor = 0;
    duet_time rtt;
    int more;

    while ((more = duet_rtcp_next_dlrr(block, &cursor, &item)) == 1) {
        if (item.ssrc == duet_rtp_session_ssrc(session) && round_trip(session, item.last_rr, item.delay, now, &rtt))
            duet_rtp_session_measured(session, rtt);
    }
    return more;
}

static int on_xr(duet_rtp_session *session, const duet_rtcp_packet *packet, duet_time now)
{
    duet_rtcp_xr_block block;
    size_t cursor = 0;
    uint64_t ntp;
    int more;

    while ((more = duet_rtcp_next_xr_block(packet, &cursor, &block)) == 1) {
        if (duet_rtcp_read_rrtr(&block, &ntp) == DUET_OK)
            on_rrtr(session, block.sender_ssrc, ntp, now);
        else if (on_dlrr(session, &block, now) == DUET_ERR_MALFORMED)
            return DUET_ERR_MALFORMED;
    }
    return more;
}

/* ---- feedback: RFC 4585, RFC 5104 ---------------------------------------------------------------------------------- */

static int on_nack(duet_rtp_session *session, const duet_rtcp_packet *packet, duet_time now)
{
    duet_rtcp_nack nack;
    int err = duet_rtcp_read_nack(&nack, packet);
    duet_send_stream *stream = err == DUET_OK ? duet_map_get(&session->senders, nack.media_ssrc) : NULL;

    if (stream && nack.media_ssrc == stream->ssrc)
        duet_send_history_nack(stream, &nack, now);
    return err;
}

static int on_transport_cc(duet_rtp_session *session, const duet_rtcp_packet *packet, duet_time now)
{
    duet_rtcp_transport_cc feedback;
    int err = duet_rtcp_read_transport_cc(&feedback, packet);

    if (err != DUET_OK)
        return err;
    session->stats.transport_feedback_in++;
    duet_feedback_in_read(session, &feedback, now);
    return DUET_OK;
}

static int on_ccfb(duet_rtp_session *session, const duet_rtcp_packet *packet, duet_time now)
{
    duet_rtcp_ccfb ccfb;
    int err = duet_rtcp_read_ccfb(&ccfb, packet);

    if (err != DUET_OK)
        return err;
    session->stats.transport_feedback_in++;
    duet_feedback_in_ccfb(session, &ccfb, now);
    return DUET_OK;
}

static int on_pli(duet_rtp_session *session, const duet_rtcp_packet *packet, duet_time now)
{
    uint32_t sender, media;
    int err = duet_rtcp_read_pli(packet, &sender, &media);
    duet_send_stream *stream = err == DUET_OK ? duet_map_get(&session->senders, media) : NULL;

    if (stream && media == stream->ssrc) {
        stream->stats.pli_count++;
        duet_send_stream_on_keyframe_request(stream, now);
    }
    return err;
}

static void on_fir_entry(duet_rtp_session *session, uint32_t ssrc, uint8_t sequence_number, duet_time now)
{
    duet_send_stream *stream = duet_map_get(&session->senders, ssrc);

    if (!stream || ssrc != stream->ssrc)
        return;
    stream->stats.fir_count++;
    /* "repetitions of the FIR message" have the same number and are one request: RFC 5104 section 4.3.1.2 */
    if (stream->has_fir && stream->fir_sequence == sequence_number)
        return;
    stream->has_fir = true;
    stream->fir_sequence = sequence_number;
    duet_send_stream_on_keyframe_request(stream, now);
}

static int on_fir(duet_rtp_session *session, const duet_rtcp_packet *packet, duet_time now)
{
    duet_rtcp_fir fir;
    int err = duet_rtcp_read_fir(&fir, packet);

    if (err != DUET_OK)
        return err;
    for (size_t i = 0; i < fir.entry_count; i++) {
        uint32_t ssrc;
        uint8_t sequence_number;
        duet_rtcp_fir_entry(&fir, i, &ssrc, &sequence_number);
        on_fir_entry(session, ssrc, sequence_number, now);
    }
    return DUET_OK;
}

static int on_remb(duet_rtp_session *session, const duet_rtcp_packet *packet)
{
    duet_rtcp_remb remb;
    int err = duet_rtcp_read_remb(&remb, packet);

    if (err != DUET_OK)
        return err == DUET_ERR_NOT_MINE ? DUET_ERR_UNSUPPORTED : err;
    session->stats.remb_in++;
    if (session->config.on_remb)
        session->config.on_remb(session->config.user, remb.bits_per_second);
    return DUET_OK;
}

static int on_transport_feedback(duet_rtp_session *session, const duet_rtcp_packet *packet, duet_time now)
{
    switch (packet->count) {
    case DUET_RTCP_FMT_NACK:
        return on_nack(session, packet, now);
    case DUET_RTCP_FMT_TRANSPORT_CC:
        return on_transport_cc(session, packet, now);
    case DUET_RTCP_FMT_CCFB:
        return on_ccfb(session, packet, now);
    default:
        return DUET_ERR_UNSUPPORTED;
    }
}

static int on_payload_feedback(duet_rtp_session *session, const duet_rtcp_packet *packet, duet_time now)
{
    switch (packet->count) {
    case DUET_RTCP_FMT_PLI:
        return on_pli(session, packet, now);
    case DUET_RTCP_FMT_FIR:
        return on_fir(session, packet, now);
    case DUET_RTCP_FMT_AFB:
        return on_remb(session, packet);
    default:
        return DUET_ERR_UNSUPPORTED;
    }
}

/* ---- compounds ----------------------------------------------------------------------------------------------------- */

static int on_packet(duet_rtp_session *session, const duet_rtcp_packet *packet, duet_time now)
{
    switch (packet->type) {
    case DUET_RTCP_SR:
    case DUET_RTCP_RR:
        return on_report(session, packet, now);
    case DUET_RTCP_SDES:
        return on_sdes(packet);
    case DUET_RTCP_BYE:
        return on_bye(session, packet);
    case DUET_RTCP_RTPFB:
        return on_transport_feedback(session, packet, now);
    case DUET_RTCP_PSFB:
        return on_payload_feedback(session, packet, now);
    case DUET_RTCP_XR:
        return on_xr(session, packet, now);
    default:
        return DUET_ERR_UNSUPPORTED;
    }
}

static int malformed(duet_rtp_session *session)
{
    session->stats.rtcp_malformed++;
    return DUET_ERR_MALFORMED;
}

int duet_rtp_session_rtcp(duet_rtp_session *session, const uint8_t *data, size_t len, duet_time now)
{
    duet_rtcp_packet packet;
    size_t cursor = 0;
    int more;

    duet_rtcp_count_size(session, len);
    session->stats.rtcp_in++;
    while ((more = duet_rtcp_next(data, len, &cursor, &packet)) == 1) {
        if (session->config.on_rtcp)
            session->config.on_rtcp(session->config.user, &packet, now);
        int err = on_packet(session, &packet, now);
        if (err == DUET_ERR_UNSUPPORTED)
            session->stats.rtcp_unknown++;
        else if (err != DUET_OK)
            return malformed(session);
    }
    return more < 0 ? malformed(session) : DUET_OK;
}
