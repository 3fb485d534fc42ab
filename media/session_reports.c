/* RTCP packets that we send: reports when they are due, feedback at once, as RFC 4585 section 3.3 (immediate feedback mode)
 * permits between two. SR or RR and SDES come first, unless reduced-size packets are agreed (RFC 5506). One packet of ours
 * reports for several SSRCs. */
#include "media/internal.h"
#include <string.h>

#define NACKS_PER_PACKET 256
#define REMB_SSRCS_MAX   31

/* ---- reports ------------------------------------------------------------------------------------------------------- */

/* One RTCP packet as it grows. */
typedef struct compound {
    duet_rtp_session *session;
    duet_rtcp_writer w;
    duet_rtcp_sdes_item items[RTCP_SENDERS_MAX + 1]; /* a CNAME for each SSRC that reports */
    size_t item_count;
    duet_time now;
} compound;

uint32_t duet_rtp_session_ssrc(const duet_rtp_session *session)
{
    return session->send_streams ? session->send_streams->ssrc : session->own_ssrc;
}

static void fill_blocks(const compound *c, duet_rtcp_report *report)
{
    report->block_count = 0;
    for (duet_receive_stream *s = c->session->newest; s && report->block_count < RTCP_BLOCKS_MAX; s = s->older) {
        if (!s->report_due)
            continue;
        s->report_due = false;
        duet_receive_stream_report(s, &report->blocks[report->block_count++], c->now);
    }
}

static void fill_sender(const compound *c, duet_rtcp_report *report, const duet_send_stream *stream)
{
    report->ssrc = stream->ssrc;
    report->is_sender = true;
    report->ntp = duet_rtp_session_ntp(c->session, c->now);
    report->rtp_timestamp = duet_send_stream_timestamp_at(stream, c->now);
    report->packet_count = stream->packet_count;
    report->octet_count = stream->octet_count;
}

static void write_report(compound *c, const duet_rtcp_report *report)
{
    if (duet_rtcp_write_report(&c->w, report) != DUET_OK)
        return;
    c->items[c->item_count++] = (duet_rtcp_sdes_item){report->ssrc, DUET_RTCP_SDES_CNAME, c->session->cname,
                                                      (uint8_t)strlen(c->session->cname)};
}

static void write_reports(compound *c)
{
    duet_rtcp_report report = {.ssrc = duet_rtp_session_ssrc(c->session)};

    fill_blocks(c, &report);
    for (duet_send_stream *s = c->session->send_streams; s && c->item_count < RTCP_SENDERS_MAX; s = s->next) {
        if (!s->report_due)
            continue;
        s->report_due = false;
        fill_sender(c, &report, s);
        write_report(c, &report);
        report.block_count = 0; /* one of ours speaks for all of us */
    }
    if (c->item_count == 0)
        write_report(c, &report);
}

static bool reports_are_left(const duet_rtp_session *session)
{
    for (const duet_receive_stream *s = session->newest; s; s = s->older) {
        if (s->report_due)
            return true;
    }
    for (const duet_send_stream *s = session->send_streams; s; s = s->next) {
        if (s->report_due)
            return true;
    }
    return false;
}

/* ---- round-trip times of receivers: RFC 3611 ------------------------------------------------------------------------ */

static bool wants_rtt(const duet_rtp_session *session)
{
    if (duet_rtcp_senders(session) > 0 || session->receivers.count == 0)
        return false; /* receiver reports tell */
    for (size_t i = 0; i < session->section_count; i++) {
        if (session->sections[i]->receiver_rtt)
            return true;
    }
    return false;
}

static void write_extended(compound *c)
{
    duet_rtp_session *session = c->session;
    duet_rtcp_dlrr items[RTP_RRTR_MAX];

    if (wants_rtt(session))
        (void)duet_rtcp_write_rrtr(&c->w, duet_rtp_session_ssrc(session), duet_rtp_session_ntp(session, c->now));
    if (session->rrtr_count == 0)
        return;
    for (size_t i = 0; i < session->rrtr_count; i++) {
        const rtp_rrtr *r = &session->rrtrs[i];
        items[i] = (duet_rtcp_dlrr){r->ssrc, r->ntp, duet_short_ntp_of_time(c->now - r->arrived)};
    }
    (void)duet_rtcp_write_dlrr(&c->w, duet_rtp_session_ssrc(session), items, session->rrtr_count);
    session->rrtr_count = 0;
}

/* ---- feedback ------------------------------------------------------------------------------------------------------ */

/* @return false when not all of it fitted */
static bool write_nacks(compound *c, duet_receive_stream *stream)
{
    duet_rtp_session *session = c->session;
    uint16_t lost[NACKS_PER_PACKET];
    size_t room = c->w.capacity - c->w.len, given_up;

    if (room < 16)
        return false;
    size_t max = (room - 12) / 4; /* at worst each takes a pair of its own */
    size_t count = duet_nack_collect(&stream->nacks, c->now, session->rtt, lost,
                                     max < NACKS_PER_PACKET ? max : NACKS_PER_PACKET, &given_up);
    stream->stats.nack_given_up += given_up;
    if (count > 0 &&
        duet_rtcp_write_nack(&c->w, duet_rtp_session_ssrc(session), stream->ssrc, lost, count, NULL) == DUET_OK) {
        stream->stats.nack_count++;
        stream->stats.nacked_packets += count;
    }
    duet_time next = duet_nack_deadline(&stream->nacks, session->rtt);
    if (next <= c->now)
        return false;
    stream->nack_due = false;
    duet_rtp_timer_set(session, &stream->nack_timer, next);
    return true;
}

static void write_feedback(compound *c)
{
    duet_rtp_session *session = c->session;
    duet_receive_stream *stream;

    while ((stream = session->feedback_first) != NULL) {
        if (stream->nack_due && !write_nacks(c, stream))
            return;
        if (stream->keyframe_due && duet_keyframe_write(stream, &c->w, c->now) != DUET_OK)
            return;
        session->feedback_first = stream->next_feedback;
        if (!session->feedback_first)
            session->feedback_last = NULL;
        stream->has_feedback = false;
    }
}

static bool has_remb(const duet_rtp_session *session)
{
    for (size_t i = 0; i < session->section_count; i++) {
        if (session->sections[i]->feedback & DUET_FEEDBACK_GOOG_REMB)
            return session->remb > 0;
    }
    return false;
}

static void write_remb(compound *c)
{
    duet_rtp_session *session = c->session;
    duet_rtcp_remb remb = {.sender_ssrc = duet_rtp_session_ssrc(session), .bits_per_second = session->remb};

    session->remb_due = false;
    if (!has_remb(session))
        return;
    for (duet_receive_stream *s = session->newest; s && remb.ssrc_count < REMB_SSRCS_MAX; s = s->older) {
        if (s->section->feedback & DUET_FEEDBACK_GOOG_REMB)
            remb.ssrcs[remb.ssrc_count++] = s->ssrc;
    }
    if (remb.ssrc_count == 0 || duet_rtcp_write_remb(&c->w, &remb) != DUET_OK)
        return;
    session->remb_sent = session->remb;
    session->stats.remb_out++;
}

/* ---- BYE ----------------------------------------------------------------------------------------------------------- */

void duet_rtcp_bye_later(duet_rtp_session *session, uint32_t ssrc)
{
    /* Further ones are not said: the peer finds out when they stay silent. */
    if (session->bye_count < RTP_BYES_MAX)
        session->byes[session->bye_count++] = ssrc;
}

void duet_rtp_session_bye(duet_rtp_session *session, duet_time now)
{
    (void)now;
    for (duet_send_stream *s = session->send_streams; s; s = s->next) {
        if (!s->has_sent)
            continue;
        duet_rtcp_bye_later(session, s->ssrc);
        if (s->rtx_has_sent)
            duet_rtcp_bye_later(session, s->rtx_ssrc);
        s->has_sent = s->rtx_has_sent = false;
    }
    duet_rtp_session_wake(session);
}

static void write_bye(compound *c)
{
    duet_rtp_session *session = c->session;
    duet_rtcp_bye bye = {.ssrc_count = (uint8_t)session->bye_count};

    memcpy(bye.ssrcs, session->byes, session->bye_count * sizeof(*session->byes));
    if (duet_rtcp_write_bye(&c->w, &bye) == DUET_OK)
        session->bye_count = 0;
}

/* ---- one packet ---------------------------------------------------------------------------------------------------- */

static bool is_reduced_size(const duet_rtp_session *session)
{
    for (size_t i = 0; i < session->section_count; i++) {
        if (!session->sections[i]->reduced_size)
            return false;
    }
    return session->section_count > 0;
}

/* "exactly one RR or SR, exactly one SDES with only the CNAME": RFC 4585 section 3.1, for feedback between the reports */
static void write_minimal(compound *c)
{
    duet_rtcp_report report = {.ssrc = duet_rtp_session_ssrc(c->session)};

    write_report(c, &report);
}

bool duet_rtcp_is_due(const duet_rtp_session *session)
{
    return session->report_due || session->feedback_first || session->feedback_out.due || session->ccfb_out.due ||
           session->bye_count || session->remb_due;
}

static void write_head(compound *c)
{
    duet_rtp_session *session = c->session;

    if (session->report_due)
        write_reports(c);
    else if (session->bye_count || !is_reduced_size(session))
        write_minimal(c);
    if (c->item_count)
        (void)duet_rtcp_write_sdes(&c->w, c->items, c->item_count);
}

static void write_with_report(compound *c)
{
    duet_rtp_session *session = c->session;

    write_extended(c);
    session->remb_due = session->remb_due || (has_remb(session) && !session->reports_idle);
    session->report_due = reports_are_left(session);
}

size_t duet_rtcp_compose(duet_rtp_session *session, uint8_t *data, size_t capacity, duet_time now)
{
    compound c = {.session = session, .w = duet_rtcp_writer_init(data, capacity), .now = now};

    bool is_report = session->report_due;
    write_head(&c);
    size_t head_len = is_report ? 0 : c.w.len;
    if (is_report)
        write_with_report(&c);
    write_feedback(&c);
    if (session->remb_due)
        write_remb(&c);
    if (session->bye_count)
        write_bye(&c);
    if (session->ccfb_out.due)
        (void)duet_ccfb_out_write(session, &c.w, now);
    if (session->feedback_out.due) /* last: it ends with padding */
        (void)duet_feedback_out_write(session, &c.w, now);
    return c.w.len > head_len ? c.w.len : 0;
}
