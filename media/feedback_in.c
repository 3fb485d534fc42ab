/* Transport-wide feedback of the peer, against what was sent: the results are what congestion control works with. */
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

void duet_rtp_session_departed(duet_rtp_session *session, int32_t transport_sequence_number, size_t len, duet_time now)
{
    if (transport_sequence_number < 0 || !has_tables(session))
        return;
    uint16_t sequence_number = (uint16_t)transport_sequence_number;
    *sent_at(&session->feedback_in, sequence_number) =
        (sent_packet){now, sequence_number, len < UINT16_MAX ? (uint16_t)len : UINT16_MAX, true};
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

static duet_packet_result result_of(const sent_packet *sent, const duet_rtcp_packet_status *status, int64_t offset)
{
    duet_packet_result result = {.transport_sequence_number = status->sequence_number,
                                 .len = sent->len,
                                 .sent = sent->sent,
                                 .received = status->received};

    if (status->received)
        result.received_at = (duet_time)(status->time + offset) * DUET_RTCP_TRANSPORT_CC_UNIT;
    return result;
}

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
        f->results[count++] = result_of(sent, &status, offset);
        if (status.received)
            sent->is_waiting = false;
    }
    if (count)
        f->fn(f->user, f->results, count, now);
}
