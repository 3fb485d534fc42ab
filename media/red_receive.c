/* Redundant audio that arrives: which hole a redundant block fills. RFC 2198 gives it a timestamp and no sequence number, so
 * it is the nearest missing one behind the packet that was before it in time. */
#include "duet/payload.h"
#include "duet/rtp.h"

static size_t place_of(int64_t sequence)
{
    return (size_t)((uint64_t)sequence % DUET_RED_WINDOW);
}

void duet_red_note(duet_red_receiver *r, int64_t sequence, uint32_t timestamp, bool is_audio)
{
    size_t i = place_of(sequence);

    r->sequences[i] = sequence;
    r->timestamps[i] = timestamp;
    r->is_audio[i] = is_audio;
}

int64_t duet_red_hole(const duet_red_receiver *r, int64_t sequence, uint32_t timestamp)
{
    int64_t hole = DUET_RED_NO_HOLE;

    for (int64_t s = sequence - 1; s > 0 && s > sequence - DUET_RED_WINDOW; s--) {
        size_t i = place_of(s);
        if (r->sequences[i] != s) {
            hole = hole == DUET_RED_NO_HOLE ? s : hole;
            continue;
        }
        if (!r->is_audio[i])
            continue; /* telephone events have the timestamp of their beginning */
        int64_t after = duet_rtp_time_diff(r->timestamps[i], timestamp);
        if (after <= 0)
            return after < 0 ? hole : DUET_RED_NO_HOLE;
        hole = DUET_RED_NO_HOLE; /* it belongs before this one */
    }
    return DUET_RED_NO_HOLE; /* before the stream began, or too old to tell */
}
