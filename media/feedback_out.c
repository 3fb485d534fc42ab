/* Transport-wide feedback that we send: draft-holmer-rmcat-transport-wide-cc-extensions-01. While packets arrive, every 50
 * to 100 ms: the estimator of browsers lives on it. */
#include "base/memory.h"
#include "media/internal.h"
#include <string.h>

#define INTERVAL_LONG    DUET_MS(100)
#define INTERVAL_SHORT   DUET_MS(50)
#define ARRIVED_MANY     50   /* packets of an interval: then the next one is short */
#define REPORT_EARLY     1024 /* packets waiting: then at once */
#define STATUSES_AT_ONCE 512

static int64_t *time_of(feedback_out *f, int64_t sequence)
{
    return &f->times[(uint64_t)sequence % RTP_FEEDBACK_WINDOW];
}

static void forget(feedback_out *f, int64_t from, int64_t to)
{
    if (to - from >= RTP_FEEDBACK_WINDOW)
        from = to - RTP_FEEDBACK_WINDOW;
    for (int64_t i = from; i < to; i++)
        *time_of(f, i) = -1;
}

/* Without wraps; the first one has a cycle of 1. */
static int64_t extend(const feedback_out *f, uint16_t sequence_number)
{
    if (!f->began)
        return 65536 + sequence_number;
    int64_t newest = f->end - 1;
    return newest + duet_rtp_seq_diff(sequence_number, (uint16_t)newest);
}

static void make_room(feedback_out *f, int64_t sequence)
{
    forget(f, f->end, sequence + 1);
    f->end = sequence + 1;
    if (f->end - f->begin > RTP_FEEDBACK_WINDOW)
        f->begin = f->end - RTP_FEEDBACK_WINDOW;
}

static bool start(duet_rtp_session *session, int64_t sequence)
{
    feedback_out *f = &session->feedback_out;

    f->times = duet_alloc(&session->env, RTP_FEEDBACK_WINDOW * sizeof(*f->times));
    if (!f->times)
        return false;
    f->began = true;
    f->begin = f->end = sequence;
    forget(f, sequence - RTP_FEEDBACK_WINDOW, sequence);
    return true;
}

void duet_feedback_out_add(duet_rtp_session *session, uint16_t sequence_number, uint32_t ssrc, duet_time now)
{
    feedback_out *f = &session->feedback_out;
    int64_t sequence = extend(f, sequence_number);

    if (!session->wants_transport_cc || (!f->began && !start(session, sequence)))
        return;
    if (sequence >= f->end)
        make_room(f, sequence);
    else if (sequence < f->end - RTP_FEEDBACK_WINDOW || *time_of(f, sequence) >= 0)
        return; /* too old, or a duplicate */
    *time_of(f, sequence) = (int64_t)(now / DUET_RTCP_TRANSPORT_CC_UNIT);
    if (sequence < f->begin)
        f->begin = sequence; /* it was said to be lost: those since then are reported again */
    f->media_ssrc = ssrc;
    f->arrived++;
    if (f->end - f->begin >= REPORT_EARLY)
        f->due = true;
    else if (!f->due && !f->timer.timer.armed)
        duet_rtp_timer_set(session, &f->timer, now + INTERVAL_LONG);
}

void duet_feedback_out_timer(void *owner, duet_time now)
{
    duet_rtp_session *session = owner;
    feedback_out *f = &session->feedback_out;

    if (f->arrived == 0)
        return; /* silence: the next packet arms it */
    f->due = true;
    duet_rtp_timer_set(session, &f->timer, now + (f->arrived > ARRIVED_MANY ? INTERVAL_SHORT : INTERVAL_LONG));
    f->arrived = 0;
}

/* What is to be reported, from `begin` on. @return how many, of which the last was received; 0: nothing */
static size_t collect(feedback_out *f, duet_rtcp_packet_status *statuses)
{
    size_t count = 0, useful = 0;

    for (int64_t i = f->begin; i < f->end && count < STATUSES_AT_ONCE; i++) {
        int64_t time = *time_of(f, i);
        statuses[count++] = (duet_rtcp_packet_status){(uint16_t)i, time >= 0, time};
        if (time >= 0)
            useful = count;
    }
    if (useful == 0)
        f->begin += (int64_t)count; /* a gap so long is no news */
    return useful;
}

int duet_feedback_out_write(duet_rtp_session *session, duet_rtcp_writer *w, duet_time now)
{
    feedback_out *f = &session->feedback_out;
    duet_rtcp_packet_status statuses[STATUSES_AT_ONCE];
    duet_rtcp_transport_cc head = {
        .sender_ssrc = duet_rtp_session_ssrc(session), .media_ssrc = f->media_ssrc, .feedback_count = f->count};
    size_t count = 0, taken;

    (void)now;
    while (f->begin < f->end && count == 0)
        count = collect(f, statuses);
    if (count == 0) {
        f->due = false;
        return DUET_OK;
    }
    int err = duet_rtcp_write_transport_cc(w, &head, statuses, count, &taken);
    if (err != DUET_OK)
        return err; /* no room: it is still due */
    f->count++;
    f->begin += (int64_t)taken;
    f->due = f->begin < f->end;
    session->stats.transport_feedback_out++;
    return DUET_OK;
}
