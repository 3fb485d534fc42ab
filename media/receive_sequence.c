/* What a receiver knows from sequence numbers and timestamps: RFC 3550 appendices A.1 (validity and cycles), A.3 (loss)
 * and A.8 (jitter). There is no probation: SRTP has authenticated the packets. */
#include "media/internal.h"
#include <string.h>

#define MAX_DROPOUT    3000 /* a larger jump is a restart, if the next packet confirms it */
#define JITTER_GAP_MAX 5    /* seconds of timestamp between two packets; beyond that it is a break, not jitter */

static bool test_and_set(rtp_reception *r, int64_t extended)
{
    uint64_t *word = &r->seen[(uint64_t)extended % RTP_WINDOW / 64];
    uint64_t bit = 1ull << ((uint64_t)extended % 64);
    bool was_set = *word & bit;

    *word |= bit;
    return was_set;
}

static void clear_bit(rtp_reception *r, int64_t extended)
{
    r->seen[(uint64_t)extended % RTP_WINDOW / 64] &= ~(1ull << ((uint64_t)extended % 64));
}

/* The stream begins, or begins anew: in the next cycle, so that extended numbers only grow. */
static int64_t begin(rtp_reception *r, uint16_t sequence_number)
{
    int64_t cycle = r->began ? (r->highest >> 16) + 1 : 1;
    int64_t extended = cycle * 65536 + sequence_number;

    r->first = r->highest = extended;
    r->received = 1;
    r->expected_before = r->received_before = 0;
    r->has_bad_sequence = r->has_transit = false;
    memset(r->seen, 0, sizeof(r->seen));
    (void)test_and_set(r, extended);
    r->began = true;
    return extended;
}

static void advance(rtp_reception *r, int64_t extended)
{
    if (extended - r->highest >= RTP_WINDOW)
        memset(r->seen, 0, sizeof(r->seen));
    else
        for (int64_t i = r->highest + 1; i <= extended; i++)
            clear_bit(r, i);
    r->highest = extended;
}

rtp_arrived duet_rtp_reception_add(rtp_reception *r, uint16_t sequence_number, int64_t *extended)
{
    if (!r->began) {
        *extended = begin(r, sequence_number);
        return RTP_NEW;
    }
    int32_t ahead = duet_rtp_seq_diff(sequence_number, (uint16_t)r->highest);
    if (ahead >= MAX_DROPOUT || ahead <= -RTP_WINDOW) {
        /* "Two sequential packets -- assume that the other side restarted": RFC 3550 appendix A.1 */
        if (r->has_bad_sequence && sequence_number == r->bad_sequence) {
            *extended = begin(r, sequence_number);
            return RTP_NEW;
        }
        r->bad_sequence = (uint16_t)(sequence_number + 1);
        r->has_bad_sequence = true;
        return RTP_WILD;
    }
    r->has_bad_sequence = false;
    *extended = r->highest + ahead;
    r->received++; /* also late and duplicate ones: appendix A.3 */
    if (ahead > 0)
        advance(r, *extended);
    if (test_and_set(r, *extended))
        return RTP_DUPLICATE;
    return ahead > 0 ? RTP_NEW : RTP_LATE;
}

rtp_arrived duet_rtp_reception_repair(rtp_reception *r, uint16_t sequence_number, int64_t *extended)
{
    if (!r->began)
        return RTP_WILD;
    int32_t ahead = duet_rtp_seq_diff(sequence_number, (uint16_t)r->highest);
    if (ahead >= MAX_DROPOUT || ahead <= -RTP_WINDOW)
        return RTP_WILD;
    *extended = r->highest + ahead;
    if (ahead > 0)
        advance(r, *extended);
    if (test_and_set(r, *extended))
        return RTP_DUPLICATE;
    return ahead > 0 ? RTP_NEW : RTP_LATE;
}

void duet_rtp_reception_jitter(rtp_reception *r, uint32_t timestamp, duet_time arrival, uint32_t clock_rate)
{
    int64_t advance_of_timestamp = duet_rtp_time_diff(timestamp, r->last_timestamp);
    duet_time elapsed = arrival - r->last_arrival;
    bool first = !r->has_transit;

    r->has_transit = true;
    r->last_timestamp = timestamp;
    r->last_arrival = arrival;
    int64_t limit = (int64_t)clock_rate * JITTER_GAP_MAX;
    if (first || advance_of_timestamp > limit || advance_of_timestamp < -limit ||
        elapsed > DUET_SECONDS(JITTER_GAP_MAX))
        return;
    int64_t d = (int64_t)duet_time_to_ticks(elapsed, clock_rate) - advance_of_timestamp;
    if (d < 0)
        d = -d;
    r->jitter = (uint32_t)(r->jitter + d - ((r->jitter + 8) >> 4));
}

static int64_t expected(const rtp_reception *r)
{
    return r->began ? r->highest - r->first + 1 : 0;
}

int64_t duet_rtp_reception_lost(const rtp_reception *r)
{
    return expected(r) - (int64_t)r->received;
}

static int32_t clamp_lost(int64_t lost)
{
    return lost > 0x7fffff ? 0x7fffff : lost < -0x800000 ? -0x800000 : (int32_t)lost;
}

void duet_rtp_reception_report(rtp_reception *r, duet_rtcp_report_block *block)
{
    int64_t expected_interval = expected(r) - r->expected_before;
    int64_t lost_interval = expected_interval - ((int64_t)r->received - r->received_before);

    r->expected_before = expected(r);
    r->received_before = (int64_t)r->received;
    block->fraction_lost = 0;
    if (expected_interval > 0 && lost_interval > 0)
        block->fraction_lost =
            (uint8_t)(lost_interval == expected_interval ? 255 : lost_interval * 256 / expected_interval);
    block->cumulative_lost = clamp_lost(duet_rtp_reception_lost(r));
    block->highest_sequence = (uint32_t)(r->highest - 65536);
    block->jitter = r->jitter >> 4;
}
