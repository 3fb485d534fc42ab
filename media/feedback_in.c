/* Feedback of the peer on packets of ours, against what was sent: transport-wide
 * (draft-holmer-rmcat-transport-wide-cc-extensions-01) or by SSRC (RFC 8888). The results are what congestion control works
 * with. */
#include "base/memory.h"
#include "media/internal.h"
#include <string.h>

static sent_packet *sent_at(feedback_in *f, uint16_t sequence_number)
{
    return &f->sent[sequence_number % RTP_SENT_WINDOW];
}

void duet_rtp_session_on_feedback(duet_rtp_session *session,
                                  void (*fn)(void *user, const duet_packet_result *results, size_t count,
                                             duet_time now),
                                  void *user)
{
    session->feedback_in.fn = fn;
    session->feedback_in.user = user;
}

/* Both tables, when somebody wants results and there is something to have results of. */
static bool has_tables(duet_rtp_session *session)
{
    feedback_in *f = &session->feedback_in;

    if (!f->fn)
        return false;
    if (!f->sent)
        f->sent = duet_calloc(&session->env, RTP_SENT_WINDOW * sizeof(*f->sent));
    if (!f->results)
        f->results = duet_alloc(&session->env, RTP_RESULTS_MAX * sizeof(*f->results));
    return f->sent && f->results;
}

void duet_feedback_in_numbered(duet_rtp_session *session, uint16_t number, uint32_t ssrc, uint16_t sequence_number)
{
    if (!has_tables(session))
        return;
    *sent_at(&session->feedback_in, number) =
        (sent_packet){.ssrc = ssrc, .rtp_sequence_number = sequence_number, .sequence_number = number};
}

void duet_rtp_session_departed(duet_rtp_session *session, int32_t transport_sequence_number, size_t len, duet_time now)
{
    if (transport_sequence_number < 0 || !has_tables(session))
        return;
    sent_packet *sent = sent_at(&session->feedback_in, (uint16_t)transport_sequence_number);
    if (sent->sequence_number != transport_sequence_number)
        return; /* so long ago that its place is taken */
    sent->sent = now;
    sent->len = len < UINT16_MAX ? (uint16_t)len : UINT16_MAX;
    sent->is_waiting = true;
}

/* Reference times wrap after 12 days. They begin far from 0, so that times are not negative. */
static int64_t unwrap_reference(feedback_in *f, int32_t reference)
{
    if (!f->has_reference) {
        f->has_reference = true;
        f->reference = ((int64_t)1 << 40) + (reference & 0xffffff);
        return f->reference;
    }
    int32_t ahead = (int32_t)((uint32_t)(reference - (int32_t)(f->reference & 0xffffff)) << 8) >> 8;
    f->reference += ahead;
    return f->reference;
}

static duet_packet_result result_of(const sent_packet *sent, bool received, duet_time received_at)
{
    return (duet_packet_result){.transport_sequence_number = sent->sequence_number,
                                .len = sent->len,
                                .sent = sent->sent,
                                .received = received,
                                .received_at = received ? received_at : 0};
}

/* ---- transport-wide ------------------------------------------------------------------------------------------------ */

void duet_feedback_in_read(duet_rtp_session *session, const duet_rtcp_transport_cc *feedback, duet_time now)
{
    feedback_in *f = &session->feedback_in;
    duet_rtcp_status_cursor cursor = {0};
    duet_rtcp_packet_status status;
    size_t count = 0;

    /* More than we remember is about packets that we never sent. */
    if (!f->fn || !f->sent || !f->results || feedback->status_count > RTP_SENT_WINDOW)
        return;
    int64_t reference = unwrap_reference(f, feedback->reference_time);
    int64_t offset = (reference - feedback->reference_time) * DUET_RTCP_TRANSPORT_CC_REFERENCE;
    while (count < RTP_RESULTS_MAX && duet_rtcp_next_status(feedback, &cursor, &status)) {
        sent_packet *sent = sent_at(f, status.sequence_number);
        if (!sent->is_waiting || sent->sequence_number != status.sequence_number)
            continue;
        f->results[count++] =
            result_of(sent, status.received, (duet_time)(status.time + offset) * DUET_RTCP_TRANSPORT_CC_UNIT);
        if (status.received)
            sent->is_waiting = false;
    }
    if (count)
        f->fn(f->user, f->results, count, now);
}

/* ---- RFC 8888 ------------------------------------------------------------------------------------------------------ */

#define CCFB_BLOCKS_MAX 32 /* that are looked at; browsers have one for each SSRC */

static size_t read_blocks(const duet_rtcp_ccfb *ccfb, duet_rtcp_ccfb_block *blocks)
{
    size_t count = 0, cursor = 0;

    while (count < CCFB_BLOCKS_MAX && duet_rtcp_next_ccfb_block(ccfb, &cursor, &blocks[count]))
        count++;
    return count;
}

static bool find_report(const duet_rtcp_ccfb_block *blocks, size_t count, const sent_packet *sent,
                        duet_rtcp_ccfb_report *out)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t index = (uint16_t)(sent->rtp_sequence_number - blocks[i].begin_sequence);
        if (blocks[i].ssrc != sent->ssrc || index >= blocks[i].report_count)
            continue;
        *out = duet_rtcp_ccfb_report_at(&blocks[i], index);
        return true;
    }
    return false;
}

/* Microseconds. The timestamp is 16.16 seconds and wraps after 18 hours; it begins far from 0. */
static int64_t report_time(feedback_in *f, uint32_t timestamp)
{
    if (!f->has_report) {
        f->has_report = true;
        f->report = ((int64_t)1 << 40) + timestamp;
    } else {
        f->report += (int32_t)(timestamp - (uint32_t)f->report);
    }
    return f->report / 65536 * 1000000 + f->report % 65536 * 1000000 / 65536;
}

static duet_time arrival_of(int64_t reported, const duet_rtcp_ccfb_report *report)
{
    uint16_t offset = report->arrival_offset == DUET_RTCP_CCFB_OFFSET_UNKNOWN ? 0 : report->arrival_offset;

    return (duet_time)(reported - (int64_t)offset * 1000000 / 1024);
}

/* What was sent is looked up in the reports, not the other way round: so they cost the same whatever they claim. */
void duet_feedback_in_ccfb(duet_rtp_session *session, const duet_rtcp_ccfb *ccfb, duet_time now)
{
    feedback_in *f = &session->feedback_in;
    duet_rtcp_ccfb_block blocks[CCFB_BLOCKS_MAX];
    duet_rtcp_ccfb_report report;
    size_t count = 0, block_count = read_blocks(ccfb, blocks);

    if (!f->fn || !f->sent || !f->results)
        return;
    int64_t reported = report_time(f, ccfb->report_timestamp);
    uint16_t oldest = (uint16_t)(session->transport_sequence_number - RTP_SENT_WINDOW);
    for (uint16_t i = 0; i < RTP_SENT_WINDOW && count < RTP_RESULTS_MAX; i++) {
        sent_packet *sent = sent_at(f, (uint16_t)(oldest + i));
        if (!sent->is_waiting || !find_report(blocks, block_count, sent, &report))
            continue;
        f->results[count++] = result_of(sent, report.received, arrival_of(reported, &report));
        if (report.received)
            sent->is_waiting = false;
    }
    if (count)
        f->fn(f->user, f->results, count, now);
}
