/* Lip sync: tracks of one media stream (a=msid) play together what was captured together. Sender reports relate the timestamps
 * of both to one clock, RFC 3550 section 6.4.1; the one that would be early waits (media/lip_sync.c). */
#include "peer/media_io.h"
#include <string.h>

#define SYNC_EVERY DUET_SECONDS(1)
#define DELAY_MAX  DUET_SECONDS(10)

static bool share_a_stream(const duet_receiver *a, const duet_receiver *b)
{
    for (size_t i = 0; i < a->stream_count; i++) {
        for (size_t k = 0; k < b->stream_count; k++) {
            if (strcmp(a->stream_ids[i], b->stream_ids[k]) == 0)
                return true;
        }
    }
    return false;
}

/* The stream of which something was played last, and when that was captured. */
static pc_receive *played(const duet_receiver *receiver, uint64_t *captured)
{
    pc_receive *last = NULL;

    for (pc_receive *r = receiver->streams; r; r = r->next) {
        if (r->stream && r->has_played && (!last || r->played_at > last->played_at))
            last = r;
    }
    return last && duet_receive_stream_ntp_of(last->stream, last->played_timestamp, captured) ? last : NULL;
}

static void bring_together(duet_receiver *sound, duet_receiver *pictures)
{
    uint64_t sound_captured, picture_captured;
    pc_receive *a = played(sound, &sound_captured), *v = played(pictures, &picture_captured);

    if (!a || !v)
        return;
    duet_lip_sync(sound_captured, a->played_at, picture_captured, v->played_at, &a->sync_delay, &v->sync_delay);
    pc_playout_set_delay(a, a->sync_delay);
    duet_video_jitter_set_delay(v->frames, v->sync_delay, DELAY_MAX);
}

void pc_lip_sync_tick(duet_pc *pc, duet_time now)
{
    duet_transceiver *a, *v;

    if (now < pc->next_lip_sync)
        return;
    pc->next_lip_sync = now + SYNC_EVERY;
    for (size_t i = 0; (a = pc_transceiver_at(pc, i)); i++) {
        for (size_t k = 0; a->kind == DUET_SDP_AUDIO && a->receiver.is_played && (v = pc_transceiver_at(pc, k)); k++) {
            if (v->kind == DUET_SDP_VIDEO && share_a_stream(&a->receiver, &v->receiver))
                bring_together(&a->receiver, &v->receiver);
        }
    }
}
