/* Congestion control feedback that we send, by SSRC: RFC 8888. While packets arrive, every 100 ms. */
#include "base/memory.h"
#include "media/internal.h"
#include <string.h>

#define INTERVAL       DUET_MS(100)
#define BLOCK_HEAD_LEN 8
#define PACKET_LEN     12 /* head, our SSRC, timestamp */

void duet_ccfb_out_free(duet_rtp_session *session)
{
    for (size_t i = 0; i < session->ccfb_out.count; i++)
        duet_free(&session->env, session->ccfb_out.sources[i]);
}

static duet_time *time_of(ccfb_source *s, int64_t sequence)
{
    return &s->times[(uint64_t)sequence % RTP_CCFB_WINDOW];
}

static void begin(ccfb_source *s, uint32_t ssrc, uint16_t sequence_number)
{
    s->ssrc = ssrc;
    s->begin = s->end = 65536 + sequence_number;
    s->has_news = false;
    for (size_t i = 0; i < RTP_CCFB_WINDOW; i++)
        s->times[i] = DUET_NEVER;
}

/* The one of this SSRC, or a new one: in the place of the one that was silent longest when there are many. */
static ccfb_source *source_of(duet_rtp_session *session, uint32_t ssrc, uint16_t sequence_number)
{
    ccfb_out *out = &session->ccfb_out;
    ccfb_source *oldest = NULL;

    for (size_t i = 0; i < out->count; i++) {
        if (out->sources[i]->ssrc == ssrc)
            return out->sources[i];
        if (!oldest || out->sources[i]->last < oldest->last)
            oldest = out->sources[i];
    }
    if (out->count < RTP_CCFB_SSRCS) {
        oldest = duet_alloc(&session->env, sizeof(*oldest));
        if (!oldest)
            return NULL;
        out->sources[out->count++] = oldest;
    }
    begin(oldest, ssrc, sequence_number);
    return oldest;
}

static void advance(ccfb_source *s, int64_t sequence)
{
    int64_t from = sequence - s->end < RTP_CCFB_WINDOW ? s->end : sequence + 1 - RTP_CCFB_WINDOW;

    for (int64_t i = from; i <= sequence; i++)
        *time_of(s, i) = DUET_NEVER;
    s->end = sequence + 1;
    if (s->end - s->begin > RTP_CCFB_WINDOW)
        s->begin = s->end - RTP_CCFB_WINDOW;
}

void duet_ccfb_out_add(duet_rtp_session *session, uint32_t ssrc, uint16_t sequence_number, duet_time now)
{
    ccfb_source *s = source_of(session, ssrc, sequence_number);

    if (!s)
        return;
    int64_t sequence = s->end - 1 + duet_rtp_seq_diff(sequence_number, (uint16_t)(s->end - 1));
    if (sequence >= s->end)
        advance(s, sequence);
    else if (sequence < s->end - RTP_CCFB_WINDOW)
        return; /* so late that nobody waits for it */
    /* "If duplicate copies of a particular RTP packet are received, then the arrival time of the first copy": 3.1 */
    if (*time_of(s, sequence) == DUET_NEVER)
        *time_of(s, sequence) = now;
    s->begin = sequence < s->begin ? sequence : s->begin; /* it was said to be lost */
    s->last = now;
    s->has_news = true;
    if (!session->ccfb_out.due && !session->ccfb_out.timer.timer.armed)
        duet_rtp_timer_set(session, &session->ccfb_out.timer, now + INTERVAL);
}

void duet_ccfb_out_timer(void *owner, duet_time now)
{
    duet_rtp_session *session = owner;

    (void)now;
    session->ccfb_out.due = true; /* the next packet arms it again */
}

static duet_rtcp_ccfb_report report_of(duet_time arrived, duet_time now)
{
    if (arrived == DUET_NEVER)
        return (duet_rtcp_ccfb_report){0};
    uint64_t offset = (now - arrived) * 1024 / 1000000;
    return (duet_rtcp_ccfb_report){
        true, 0, (uint16_t)(offset < DUET_RTCP_CCFB_OFFSET_OVER ? offset : DUET_RTCP_CCFB_OFFSET_OVER)};
}

/* As much of the source as fits into `room`. @return how many reports */
static uint16_t fill_source(ccfb_source *s, duet_rtcp_ccfb_report *reports, size_t room, duet_time now)
{
    int64_t count = s->end - s->begin, max = (int64_t)(room - BLOCK_HEAD_LEN) / 4 * 2; /* whole words */

    count = count < max ? count : max;
    for (int64_t i = 0; i < count; i++)
        reports[i] = report_of(*time_of(s, s->begin + i), now);
    return (uint16_t)count;
}

int duet_ccfb_out_write(duet_rtp_session *session, duet_rtcp_writer *w, duet_time now)
{
    ccfb_out *out = &session->ccfb_out;
    duet_rtcp_ccfb_source sources[RTP_CCFB_SSRCS];
    duet_rtcp_ccfb_report reports[RTP_CCFB_WINDOW * 2]; /* more than a packet takes */
    size_t count = 0, used = 0, room = w->capacity - w->len;

    if (room < PACKET_LEN + BLOCK_HEAD_LEN + 4)
        return DUET_ERR_BUFFER; /* it is still due */
    room -= PACKET_LEN;
    for (size_t i = 0; i < out->count && room >= BLOCK_HEAD_LEN + 4; i++) {
        ccfb_source *s = out->sources[i];
        if (!s->has_news)
            continue;
        uint16_t n = fill_source(s, reports + used, room, now);
        sources[count++] = (duet_rtcp_ccfb_source){s->ssrc, (uint16_t)s->begin, n, reports + used};
        s->begin += n;
        s->has_news = s->begin < s->end;
        used += n;
        room -= BLOCK_HEAD_LEN + 4 * ((n + 1u) / 2);
    }
    out->due = false;
    for (size_t i = 0; i < out->count; i++)
        out->due = out->due || out->sources[i]->has_news;
    if (count == 0)
        return DUET_OK;
    session->stats.transport_feedback_out++;
    return duet_rtcp_write_ccfb(w, duet_rtp_session_ssrc(session), sources, count,
                                (uint32_t)(duet_rtp_session_ntp(session, now) >> 16));
}
