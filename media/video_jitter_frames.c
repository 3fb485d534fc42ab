/* Which frame comes next: frames are found among the packets by timestamps, markers and their descriptors, and a frame may
 * go out when what it refers to has gone out. Without anything better that is the frame before it; the picture ids and
 * temporal layers of VP8 (RFC 7741 section 4.2) and VP9 (RFC 9628 section 4.2) allow more. */
#include "media/video_jitter_internal.h"

/* A key frame is complete, but frames before it miss packets: these may still come for so long. */
#define KEYFRAME_PATIENCE DUET_MS(100)

static duet_jitter_slot *at(const duet_video_jitter *j, int64_t sequence)
{
    return duet_jitter_store_get(&j->store, sequence);
}

static bool is_filler(const duet_jitter_slot *slot)
{
    return slot->packet.len == 0;
}

/* ---- where frames begin and end ------------------------------------------------------------------------------------ */

/* The packet says by itself that it is the first one of its frame. */
static bool begins_by_itself(const duet_video_jitter *j, const duet_jitter_slot *slot)
{
    switch (j->format) {
    case DUET_PAYLOAD_VP8:
        return slot->info.starts_frame;
    case DUET_PAYLOAD_VP9:
        return slot->info.starts_frame && slot->info.spatial_id <= 0;
    case DUET_PAYLOAD_AV1: /* N: the first packet of a coded video sequence */
        return slot->info.starts_frame && slot->info.is_keyframe;
    case DUET_PAYLOAD_H264:
    case DUET_PAYLOAD_H265:
        return false;
    default: /* audio: each packet is a frame */
        return true;
    }
}

/* The nearest packet before this one that has a payload. NULL when one is missing on the way to it. */
static const duet_jitter_slot *payload_before(const duet_video_jitter *j, int64_t sequence)
{
    const duet_jitter_slot *slot;

    do
        slot = at(j, --sequence);
    while (slot && is_filler(slot));
    return slot;
}

static bool is_frame_end(const duet_video_jitter *j, const duet_jitter_slot *slot)
{
    return !j->is_video || slot->packet.marker;
}

/* Whether a frame begins at this packet: it says so, or the frame before it ends here, or that has been given out. */
static bool begins_frame(const duet_video_jitter *j, const duet_jitter_slot *slot)
{
    if (is_filler(slot))
        return false;
    if (begins_by_itself(j, slot))
        return true;
    if (!slot->info.starts_frame)
        return false;
    if (slot->packet.sequence == j->next)
        return true;
    const duet_jitter_slot *before = payload_before(j, slot->packet.sequence);
    return before && (is_frame_end(j, before) || before->packet.timestamp != slot->packet.timestamp);
}

static bool format_has_key_anywhere(const duet_video_jitter *j)
{
    return j->format == DUET_PAYLOAD_H264 || j->format == DUET_PAYLOAD_H265;
}

/* Follows the frame that begins here to its end, or to the first hole. */
static duet_jitter_span follow_frame(const duet_video_jitter *j, const duet_jitter_slot *first)
{
    duet_jitter_span frame = {.first = first->packet.sequence,
                              .last = first->packet.sequence,
                              .is_keyframe = first->info.is_keyframe || !j->is_video,
                              .is_discardable = true};

    for (const duet_jitter_slot *slot = first; slot; slot = at(j, slot->packet.sequence + 1)) {
        if (is_filler(slot))
            continue;
        if (slot->packet.timestamp != first->packet.timestamp) {
            frame.is_complete = true;
            return frame;
        }
        frame.last = slot->packet.sequence;
        frame.is_discardable &= slot->info.is_discardable;
        frame.is_keyframe |= format_has_key_anywhere(j) && slot->info.is_keyframe;
        if (is_frame_end(j, slot)) {
            frame.is_complete = true;
            return frame;
        }
    }
    return frame;
}

const duet_jitter_slot *duet_video_jitter_first_slot(const duet_video_jitter *j, const duet_jitter_span *frame)
{
    return at(j, frame->first);
}

/* ---- what may be decoded --------------------------------------------------------------------------------------------- */

static bool picture_follows(const duet_jitter_references *r, const duet_payload_info *info)
{
    return r->picture_id >= 0 && info->picture_id >= 0 && info->picture_id_bits == r->picture_id_bits &&
           info->picture_id == ((r->picture_id + 1) & ((1 << info->picture_id_bits) - 1));
}

static bool has_layers(const duet_jitter_references *r, const duet_payload_info *info)
{
    return r->tl0_picture_index >= 0 && info->tl0_picture_index >= 0 && info->temporal_id >= 0;
}

/* Nothing is missing before it, but something may have been left behind earlier. */
static bool layer_is_whole(const duet_jitter_references *r, const duet_payload_info *info)
{
    return info->temporal_id < r->broken_layer || info->layer_sync;
}

/* Packets before it are missing: whether it does without them. */
static bool does_without(const duet_jitter_references *r, const duet_payload_info *info)
{
    if (!r->is_known)
        return false;
    if (picture_follows(r, info))
        return layer_is_whole(r, info);
    if (!has_layers(r, info))
        return false;
    if (info->temporal_id == 0)
        return (uint8_t)(r->tl0_picture_index + 1) == (uint8_t)info->tl0_picture_index;
    return r->tl0_picture_index == info->tl0_picture_index && info->layer_sync;
}

static void remember_layers(duet_jitter_references *r, const duet_payload_info *info, bool is_continuous)
{
    if (!is_continuous && info->temporal_id >= 0 && r->broken_layer > info->temporal_id)
        r->broken_layer = (int8_t)(info->temporal_id + 1);
    /* "does not depend on frames of its layer before it": from here on the layer is whole again. */
    if (info->layer_sync && info->temporal_id >= r->broken_layer)
        r->broken_layer = (int8_t)(info->temporal_id + 1);
}

void duet_video_jitter_remember(duet_video_jitter *j, const duet_jitter_span *frame)
{
    const duet_payload_info *info = &duet_video_jitter_first_slot(j, frame)->info;
    duet_jitter_references *r = &j->references;
    bool is_continuous = !r->is_known || j->plan.step == DUET_JITTER_GIVE || picture_follows(r, info);

    if (frame->is_keyframe || !r->is_known)
        r->broken_layer = INT8_MAX;
    else
        remember_layers(r, info, is_continuous);
    r->is_known = true;
    r->picture_id = info->picture_id;
    r->picture_id_bits = info->picture_id_bits;
    r->tl0_picture_index = info->tl0_picture_index;
}

/* ---- looking for the next frame -------------------------------------------------------------------------------------- */

void duet_video_jitter_advance(duet_video_jitter *j, int64_t next)
{
    duet_jitter_store_drop_below(&j->store, next);
    j->next = next;
}

/* Where padding lies, there is no hole. */
static void advance_over_filler(duet_video_jitter *j)
{
    const duet_jitter_slot *slot;

    while (j->store.count > 0 && (slot = at(j, j->next == DUET_JITTER_NO_SEQUENCE ? j->store.lowest : j->next)) &&
           is_filler(slot))
        duet_video_jitter_advance(j, slot->packet.sequence + 1);
}

static void drop_frame(duet_video_jitter *j, const duet_jitter_span *frame)
{
    j->stats.frames_dropped++;
    duet_video_jitter_advance(j, frame->last + 1);
}

static void plan_frame(duet_video_jitter *j, duet_jitter_step step, const duet_jitter_span *frame, duet_time patience)
{
    j->plan.step = step;
    j->plan.frame = *frame;
    j->plan.due = duet_video_jitter_due(j, frame) + patience;
}

static const duet_jitter_slot *first_from(const duet_video_jitter *j, int64_t sequence)
{
    const duet_jitter_slot *slot = NULL;

    while (!slot && sequence <= j->store.highest)
        slot = at(j, sequence++);
    return slot;
}

/* What is missing at `hole` has been missing since the next packet came. Without one, nothing is known to be missing. */
static void plan_giving_up(duet_video_jitter *j, int64_t hole)
{
    const duet_jitter_slot *behind = first_from(j, hole);

    if (behind)
        j->plan.give_up = behind->packet.time + j->wait_max;
}

static bool same_timestamp(const duet_jitter_slot *a, const duet_jitter_slot *b)
{
    return a && b && a->packet.timestamp == b->packet.timestamp;
}

/* The hole lies inside of a frame that nothing refers to. */
static bool is_hole_harmless(const duet_video_jitter *j, int64_t hole, const duet_jitter_span *broken)
{
    const duet_jitter_slot *behind = first_from(j, hole);

    return broken && broken->is_discardable && behind && !is_filler(behind) && !begins_by_itself(j, behind) &&
           same_timestamp(behind, at(j, broken->first));
}

/* The first complete frame behind the hole that does without what is missing. */
static void plan_skipping(duet_video_jitter *j, int64_t hole, const duet_jitter_span *broken)
{
    bool is_harmless = is_hole_harmless(j, hole, broken);

    for (int64_t s = hole; s <= j->store.highest && j->is_video; s++) {
        const duet_jitter_slot *slot = at(j, s);
        if (!slot || !begins_frame(j, slot))
            continue;
        duet_jitter_span frame = follow_frame(j, slot);
        bool follows = is_harmless && same_timestamp(payload_before(j, s), at(j, broken->first));
        if (frame.is_complete && (frame.is_keyframe || follows || does_without(&j->references, &slot->info))) {
            plan_frame(j, DUET_JITTER_SKIP, &frame, frame.is_keyframe ? KEYFRAME_PATIENCE : 0);
            return;
        }
        s = frame.last;
    }
}

/* The frame at j->next, of which the first packet is there. @return false when it was dropped: look again */
static bool plan_head(duet_video_jitter *j, const duet_jitter_slot *slot)
{
    duet_jitter_span frame = follow_frame(j, slot);

    if (!begins_frame(j, slot)) { /* ill-formed, or its beginning was given up */
        drop_frame(j, &frame);
        j->needs_keyframe = j->is_video;
        return false;
    }
    if (!frame.is_complete) {
        plan_giving_up(j, frame.last + 1);
        plan_skipping(j, frame.last + 1, &frame);
        return true;
    }
    if (!frame.is_keyframe && j->references.is_known && !layer_is_whole(&j->references, &slot->info)) {
        drop_frame(j, &frame);
        return false;
    }
    plan_frame(j, DUET_JITTER_GIVE, &frame, 0);
    return true;
}

/* ---- after a loss: the next key frame --------------------------------------------------------------------------------- */

/* The first packet of the frame that this key packet is in, as far as it is there. */
static const duet_jitter_slot *back_to_start(const duet_video_jitter *j, const duet_jitter_slot *slot)
{
    const duet_jitter_slot *before;

    while ((before = payload_before(j, slot->packet.sequence)) && before->packet.timestamp == slot->packet.timestamp &&
           !is_frame_end(j, before))
        slot = before;
    return slot;
}

/* At the beginning of a stream, and behind what was given up, nobody can know what was before. */
static bool may_begin(const duet_video_jitter *j, const duet_jitter_slot *slot)
{
    if (j->has_abandoned && slot->packet.timestamp == j->abandoned_timestamp)
        return false;
    if (begins_frame(j, slot))
        return true;
    return slot->info.starts_frame && slot->packet.sequence == j->store.lowest && j->next == DUET_JITTER_NO_SEQUENCE;
}

/* The first key frame from here on; with `whole`, of which all packets are there. */
static const duet_jitter_slot *find_keyframe(const duet_video_jitter *j, int64_t from, bool whole)
{
    for (int64_t s = from; s <= j->store.highest; s++) {
        const duet_jitter_slot *slot = at(j, s);
        if (!slot || is_filler(slot) || !slot->info.is_keyframe)
            continue;
        slot = back_to_start(j, slot);
        duet_jitter_span frame = follow_frame(j, slot);
        if (may_begin(j, slot) && (frame.is_complete || !whole))
            return slot;
        s = frame.last; /* no packet of it is looked at twice */
    }
    return NULL;
}

static void plan_keyframe(duet_video_jitter *j)
{
    const duet_jitter_slot *slot = find_keyframe(j, j->store.lowest, false);

    if (!slot) { /* its beginning may be on the way */
        j->plan.give_up = at(j, j->store.lowest)->packet.time + j->wait_max;
        return;
    }
    duet_video_jitter_advance(j, slot->packet.sequence);
    duet_jitter_span frame = follow_frame(j, slot);
    if (frame.is_complete) {
        plan_frame(j, DUET_JITTER_GIVE, &frame, 0);
        return;
    }
    j->plan.keyframe = frame.first;
    plan_giving_up(j, frame.last + 1);
    slot = find_keyframe(j, frame.last + 1, true);
    if (slot) {
        frame = follow_frame(j, slot);
        plan_frame(j, DUET_JITTER_SKIP, &frame, KEYFRAME_PATIENCE);
    }
}

void duet_video_jitter_replan(duet_video_jitter *j)
{
    bool done = false;

    j->plan = (duet_jitter_plan){.due = DUET_NEVER, .give_up = DUET_NEVER, .keyframe = DUET_JITTER_NO_SEQUENCE};
    while (!done) {
        advance_over_filler(j);
        if (j->store.count == 0)
            return;
        if (j->needs_keyframe) {
            plan_keyframe(j);
            return;
        }
        if (j->next == DUET_JITTER_NO_SEQUENCE)
            j->next = j->store.lowest;
        const duet_jitter_slot *slot = at(j, j->next);
        done = true;
        if (slot) {
            done = plan_head(j, slot);
        } else {
            plan_giving_up(j, j->next);
            plan_skipping(j, j->next, NULL);
        }
    }
}

/* ---- giving up --------------------------------------------------------------------------------------------------------- */

/* The packets that have waited too long go, but one at least. */
static void drop_old(duet_video_jitter *j, duet_time now)
{
    do
        duet_video_jitter_advance(j, j->store.lowest + 1);
    while (j->store.count > 0 && at(j, j->store.lowest)->packet.time + j->wait_max <= now);
}

/* What came of a frame that will not be whole. */
static void abandon_frame(duet_video_jitter *j, const duet_jitter_span *frame)
{
    j->has_abandoned = true;
    j->abandoned_timestamp = at(j, frame->first)->packet.timestamp;
    duet_video_jitter_advance(j, frame->last + 1);
}

void duet_video_jitter_give_up(duet_video_jitter *j, duet_time now)
{
    const duet_jitter_slot *slot = j->next == DUET_JITTER_NO_SEQUENCE ? NULL : at(j, j->next);
    duet_jitter_span frame = {.is_complete = true};

    if (!j->needs_keyframe) {
        j->stats.gave_up++;
        j->stats.frames_dropped += j->is_video ? 1 : (uint64_t)(j->store.lowest - j->next);
        j->needs_keyframe = j->is_video;
    }
    if (slot && may_begin(j, slot))
        frame = follow_frame(j, slot);
    if (!frame.is_complete)
        abandon_frame(j, &frame);
    else if (!slot && j->next != DUET_JITTER_NO_SEQUENCE)
        duet_video_jitter_advance(j, j->store.lowest); /* the hole */
    else
        drop_old(j, now);
}
