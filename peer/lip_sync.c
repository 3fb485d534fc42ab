/* Lip sync: tracks of one media stream (a=msid) play together what was captured together. Sender reports relate the timestamps
 * of both to one clock, RFC 3550 section 6.4.1; the one that would be early waits (media/lip_sync.c). */
#include "peer/media_io.h"
#include <string.h>

#define SYNC_EVERY DUET_SECONDS(1)
/* Without pictures for so long, the sound gives back what it waits for their sake, so much at a time. */
#define PICTURES_GONE DUET_SECONDS(5)
#define GIVEN_BACK    DUET_MS(80)

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

/* Sound waits when it pauses, which may be much later: what it could not wait yet is not asked of it again and again. */
static void forget_what_was_not_possible(pc_receive *sound)
{
    duet_audio_jitter_stats stats;

    if (pc_playout_get_stats(sound, &stats) && sound->sync_delay > stats.current_delay)
        sound->sync_delay = stats.current_delay;
}

/* @return false when there is nobody to wait for: pictures have not come for long */
static bool bring_together(duet_receiver *sound, duet_receiver *pictures, duet_time now)
{
    uint64_t sound_captured, picture_captured;
    pc_receive *a = played(sound, &sound_captured), *v = played(pictures, &picture_captured);

    if (!v || !v->frames || v->played_at + PICTURES_GONE < now)
        return false;
    if (!a)
        return true;
    forget_what_was_not_possible(a);
    duet_lip_sync(sound_captured, a->played_at, picture_captured, v->played_at, &a->sync_delay, &v->sync_delay);
    pc_playout_set_delay(a, a->sync_delay);
    pc_receive_apply_delay(v);
    return true;
}

static void wait_for_nobody(duet_receiver *sound)
{
    pc_receive *a = sound->speaker;

    if (!a || a->sync_delay == 0)
        return;
    a->sync_delay -= a->sync_delay < GIVEN_BACK ? a->sync_delay : GIVEN_BACK;
    pc_playout_set_delay(a, a->sync_delay);
}

static void sync_sound(duet_pc *pc, duet_transceiver *a, duet_time now)
{
    bool waits = false;
    duet_transceiver *v;

    for (size_t i = 0; (v = pc_transceiver_at(pc, i)); i++) {
        if (v->kind == DUET_SDP_VIDEO && share_a_stream(&a->receiver, &v->receiver))
            waits |= bring_together(&a->receiver, &v->receiver, now);
    }
    if (!waits)
        wait_for_nobody(&a->receiver);
}

void pc_lip_sync_tick(duet_pc *pc, duet_time now)
{
    duet_transceiver *a;

    if (now < pc->next_lip_sync)
        return;
    pc->next_lip_sync = now + SYNC_EVERY;
    for (size_t i = 0; (a = pc_transceiver_at(pc, i)); i++) {
        if (a->kind == DUET_SDP_AUDIO && a->receiver.is_played)
            sync_sound(pc, a, now);
    }
}
