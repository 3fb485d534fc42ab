/* When reports are sent: RFC 3550 sections 6.2 and 6.3, for as long as a section is agreed. While media flows the minimum
 * interval is the reduced one, otherwise five seconds, so that a call on hold wakes nobody often. There is no timer
 * reconsideration: that is for groups whose members come and go, and here are always two. */
#include "base/seeded.h"
#include "media/internal.h"

#define PACKET_OVERHEAD  28  /* IPv4 and UDP count: RFC 3550 section 6.2 */
#define INTERVAL_MAX     5.0 /* and the "RECOMMENDED ... fixed minimum": RFC 3550 section 6.2 */
#define INTERVAL_SECTION 1.0 /* the longest minimum */
/* "divided by ... e - 3/2 = 1.21828": RFC 3550 section 6.3.1 */
#define COMPENSATION 1.21828

size_t duet_rtcp_senders(const duet_rtp_session *session)
{
    size_t count = 0;

    for (const duet_send_stream *s = session->send_streams; s; s = s->next)
        count += s->sent_since_report || s->sent_before;
    return count;
}

static size_t count_send_streams(const duet_rtp_session *session)
{
    size_t count = 0;

    for (const duet_send_stream *s = session->send_streams; s; s = s->next)
        count++;
    return count;
}

/* RFC 3550 section 6.3.1. There are two of us, and each reports for all its SSRCs in a packet, or a few when they are many:
 * those are the members that share the bandwidth. */
static double deterministic_interval(const duet_rtp_session *session, bool is_first)
{
    double bandwidth = (double)session->config.rtcp_bandwidth / 8, len = session->average_rtcp_len + PACKET_OVERHEAD;
    double packets = 1 + (double)(count_send_streams(session) / RTCP_SENDERS_MAX) +
                     (double)(session->receivers.count / RTCP_BLOCKS_MAX);
    /* "360 divided by the session bandwidth in kilobits/second", of which RTCP takes 5 %: section 6.2 */
    double minimum = 360.0 / ((double)session->config.rtcp_bandwidth * 20 / 1000);
    double interval = len * (1 + packets) / bandwidth;

    minimum = minimum < INTERVAL_SECTION ? minimum : INTERVAL_SECTION;
    if (session->reports_idle)
        minimum = INTERVAL_MAX;
    if (is_first)
        minimum /= 2;
    if (interval < minimum)
        interval = minimum;
    return interval < INTERVAL_MAX ? interval : INTERVAL_MAX;
}

static duet_time random_interval(duet_rtp_session *session, bool is_first)
{
    double unit = (double)(duet_seeded_next(&session->random) >> 11) * 0x1.0p-53;

    return (duet_time)(deterministic_interval(session, is_first) * (0.5 + unit) / COMPENSATION * 1e6) + 1;
}

static void begin(duet_rtp_session *session, bool is_idle, duet_time now)
{
    session->reports_began = true;
    session->reports_idle = is_idle;
    duet_rtp_timer_set(session, &session->report_timer, now + random_interval(session, true));
}

void duet_rtcp_reports_join(duet_rtp_session *session, duet_time now)
{
    if (!session->reports_began && session->section_count > 0)
        begin(session, true, now);
}

void duet_rtcp_reports_flow(duet_rtp_session *session, duet_time now)
{
    if (!session->reports_began || session->reports_idle)
        begin(session, false, now);
}

/* Whether ours has something to report: it has sent in this interval or the one before. What a stream that fell silent kept
 * is given back. */
static bool mark_sender(duet_send_stream *stream)
{
    stream->report_due = stream->sent_since_report || stream->sent_before;
    stream->sent_before = stream->sent_since_report;
    stream->sent_since_report = false;
    if (!stream->report_due && stream->history) {
        duet_send_history_free(stream);
        duet_rtp_slots_trim(&stream->session->slots);
    }
    return stream->report_due;
}

static bool mark_receiver(duet_receive_stream *stream)
{
    stream->report_due = stream->received_since_report;
    stream->received_since_report = false;
    return stream->report_due;
}

void duet_rtcp_report_timer(void *owner, duet_time now)
{
    duet_rtp_session *session = owner;
    bool flows = false;

    for (duet_receive_stream *s = session->newest; s; s = s->older)
        flows |= mark_receiver(s);
    for (duet_send_stream *s = session->send_streams; s; s = s->next)
        flows |= mark_sender(s);
    session->report_due = session->reports_began = flows || session->section_count > 0;
    session->reports_idle = !flows;
    if (!flows)
        duet_rtp_slots_trim(&session->slots);
    if (session->reports_began)
        duet_rtp_timer_set(session, &session->report_timer, now + random_interval(session, false));
}

void duet_rtcp_count_size(duet_rtp_session *session, size_t len)
{
    session->average_rtcp_len += ((double)len - session->average_rtcp_len) / 16;
}
