/* The video jitter buffer: packets in, whole frames out, when their time has come. For encoded audio it is a buffer that puts
 * packets in order: each is a frame, and none waits for anything but the one before it. */
#include "media/video_jitter_internal.h"

#define PACKETS_MAX_DEFAULT 2048
#define BYTES_MAX_DEFAULT   (8u * 1024 * 1024)
#define WAIT_MAX_DEFAULT    DUET_MS(500)
#define DELAY_MAX_DEFAULT   DUET_SECONDS(10)
#define VIDEO_CLOCK_RATE    90000
#define SEQUENCE_MAX        (INT64_C(1) << 62)
/* Frames go out so much before they are shown: to be decoded. */
#define DECODE_AHEAD DUET_MS(10)
/* How many of the frames should be complete in time. */
#define SHARE_IN_TIME 0.95f
/* The delay moves by at most a tenth of the time that passes, so that nobody sees it. */
#define DELAY_SLOWNESS 10

/* ---- life ---------------------------------------------------------------------------------------------------------- */

void duet_video_jitter_config_init(duet_video_jitter_config *config)
{
    *config = (duet_video_jitter_config){.size = sizeof(*config)};
}

/* As at the beginning of a stream. */
static void reset(duet_video_jitter *j)
{
    duet_jitter_store_drop_below(&j->store, INT64_MAX);
    duet_jitter_delay_init(&j->delay, VIDEO_CLOCK_RATE);
    j->next = DUET_JITTER_NO_SEQUENCE;
    j->restart_candidate = DUET_JITTER_NO_SEQUENCE;
    j->needs_keyframe = j->is_video;
    j->has_abandoned = false;
    j->references = (duet_jitter_references){.broken_layer = INT8_MAX};
    j->is_timed = false;
    j->last_render = 0;
    duet_video_jitter_replan(j);
}

int duet_video_jitter_create(duet_video_jitter **out, const duet_video_jitter_config *config)
{
    duet_env env = duet_env_resolve(config->env);

    *out = NULL;
    duet_video_jitter *j = duet_calloc(&env, sizeof(*j));
    if (!j)
        return DUET_ERR_NOMEM;
    j->env = env;
    j->format = config->format;
    j->is_video = duet_payload_format_is_video(config->format);
    j->wait_max = config->wait_max ? config->wait_max : WAIT_MAX_DEFAULT;
    duet_jitter_store_init(&j->store, &j->env, config->packets_max ? config->packets_max : PACKETS_MAX_DEFAULT,
                           config->bytes_max ? config->bytes_max : BYTES_MAX_DEFAULT);
    duet_video_jitter_set_delay(j, config->delay_min, config->delay_max);
    int err = duet_depacketizer_create(&j->depacketizer, &j->env, config->format, config->bytes_max);
    if (err) {
        duet_video_jitter_destroy(j);
        return err;
    }
    reset(j);
    *out = j;
    return DUET_OK;
}

void duet_video_jitter_destroy(duet_video_jitter *j)
{
    if (!j)
        return;
    duet_env env = j->env;
    duet_depacketizer_destroy(j->depacketizer);
    duet_jitter_store_free(&j->store);
    duet_free(&env, j);
}

/* ---- time ---------------------------------------------------------------------------------------------------------- */

static duet_time within(duet_time v, duet_time min, duet_time max)
{
    if (v < min)
        return min;
    return v > max ? max : v;
}

void duet_video_jitter_set_delay(duet_video_jitter *j, duet_time min, duet_time max)
{
    j->delay_max = max ? max : DELAY_MAX_DEFAULT;
    j->delay_min = min < j->delay_max ? min : j->delay_max;
    j->target_delay = within(j->target_delay, j->delay_min, j->delay_max);
    duet_video_jitter_replan(j);
}

/* `elapsed`: of the timestamps, since the last frame that was counted. */
static void move_target(duet_video_jitter *j, int32_t elapsed)
{
    duet_time goal = within(duet_jitter_delay_quantile(&j->delay, SHARE_IN_TIME), j->delay_min, j->delay_max);
    duet_time step = elapsed > 0 && elapsed < VIDEO_CLOCK_RATE
                         ? (duet_time)elapsed * 1000000 / VIDEO_CLOCK_RATE / DELAY_SLOWNESS
                         : 0;

    if (goal > j->target_delay + step)
        j->target_delay += step;
    else if (goal + step < j->target_delay)
        j->target_delay -= step;
    else
        j->target_delay = goal;
}

/* When a frame was complete. @param is_repaired  it waited for a retransmission */
static duet_time arrival_of(const duet_video_jitter *j, const duet_jitter_span *frame, bool *is_repaired)
{
    duet_time arrival = 0;

    *is_repaired = false;
    for (int64_t s = frame->first; s <= frame->last; s++) {
        const duet_jitter_packet *packet = &duet_jitter_store_get(&j->store, s)->packet;
        *is_repaired |= packet->is_retransmission;
        arrival = packet->time > arrival ? packet->time : arrival;
    }
    return arrival;
}

/* A repaired frame says nothing about the network's jitter, except when the timestamps have jumped. */
static void count_frame(duet_video_jitter *j, const duet_jitter_span *frame)
{
    uint32_t timestamp = duet_video_jitter_first_slot(j, frame)->packet.timestamp;
    bool is_repaired;
    duet_time arrival = arrival_of(j, frame, &is_repaired);

    if (is_repaired && j->is_timed && duet_jitter_delay_expected(&j->delay, timestamp) <= arrival)
        return;
    duet_time slower = duet_jitter_delay_add(&j->delay, timestamp, arrival);
    /* The frames have waited for it already. */
    j->target_delay -= slower < j->target_delay ? slower : j->target_delay;
    move_target(j, j->is_timed ? (int32_t)(timestamp - j->last_timestamp) : 0);
    j->is_timed = true;
    j->last_timestamp = timestamp;
}

static duet_time render_time(const duet_video_jitter *j, uint32_t timestamp)
{
    duet_time render = duet_jitter_delay_expected(&j->delay, timestamp) + j->target_delay;

    return render > j->last_render ? render : j->last_render;
}

duet_time duet_video_jitter_due(duet_video_jitter *j, const duet_jitter_span *frame)
{
    duet_jitter_slot *first = duet_jitter_store_get(&j->store, frame->first);

    if (!j->is_video)
        return 0;
    if (!first->is_counted)
        count_frame(j, frame);
    first->is_counted = true;
    duet_time render = render_time(j, first->packet.timestamp);
    return render > DECODE_AHEAD ? render - DECODE_AHEAD : 0;
}

/* ---- packets in ------------------------------------------------------------------------------------------------------ */

/* So many packets are missing before it that they would not fit. */
static bool is_far_ahead(const duet_video_jitter *j, int64_t sequence)
{
    return j->next != DUET_JITTER_NO_SEQUENCE && (uint64_t)(sequence - j->next) >= j->store.packets_max;
}

/* A fuller buffer is emptied: a player that is so far behind is better off with a key frame. */
static int put_after_overflow(duet_video_jitter *j, const duet_jitter_packet *packet, duet_jitter_slot **out)
{
    j->stats.overflows++;
    j->stats.frames_dropped++;
    duet_video_jitter_advance(j, packet->sequence);
    duet_jitter_store_drop_below(&j->store, INT64_MAX);
    j->needs_keyframe = j->is_video;
    int err = duet_jitter_store_put(&j->store, packet, out);
    return err == DUET_ERR_LIMIT ? DUET_ERR_TOO_LARGE : err;
}

static int put(duet_video_jitter *j, const duet_jitter_packet *packet)
{
    duet_jitter_slot *slot;
    int err = is_far_ahead(j, packet->sequence) ? DUET_ERR_LIMIT : duet_jitter_store_put(&j->store, packet, &slot);

    if (err == DUET_ERR_LIMIT)
        err = put_after_overflow(j, packet, &slot);
    if (err == DUET_ERR_NOT_FOUND)
        j->stats.packets_duplicated++;
    if (err)
        return err;
    j->stats.packets_inserted++;
    if (packet->len == 0)
        return DUET_OK;
    err = duet_payload_inspect(j->format, slot->packet.payload, packet->len, &slot->info);
    if (err == DUET_OK)
        return DUET_OK;
    /* It keeps its place, so that the frame is known to be spoilt, and nobody waits for it. */
    slot->info = (duet_payload_info){.picture_id = -1, .tl0_picture_index = -1, .temporal_id = -1, .spatial_id = -1};
    j->stats.packets_malformed++;
    return DUET_ERR_MALFORMED;
}

int duet_video_jitter_insert(duet_video_jitter *j, const duet_jitter_packet *packet)
{
    if (packet->sequence < 0 || packet->sequence > SEQUENCE_MAX)
        return DUET_ERR_INVALID;
    if (packet->sequence < j->next) {
        if (packet->is_retransmission || packet->is_redundancy ||
            !duet_jitter_is_restart(&j->restart_candidate, packet->sequence, j->next)) {
            j->stats.packets_late += !packet->is_redundancy;
            return DUET_ERR_STATE;
        }
        reset(j);
    }
    bool is_behind_plan = j->plan.step != DUET_JITTER_IDLE && packet->sequence > j->plan.frame.last;
    uint64_t overflows = j->stats.overflows;
    int err = put(j, packet);
    if (!is_behind_plan || j->stats.overflows != overflows)
        duet_video_jitter_replan(j);
    return err;
}

/* ---- frames out ------------------------------------------------------------------------------------------------------ */

/* @return why it is no frame */
static int assemble(duet_video_jitter *j, const duet_jitter_span *frame, duet_jitter_frame *out)
{
    int err = DUET_OK;

    out->first_arrival = DUET_NEVER;
    duet_depacketizer_begin(j->depacketizer);
    for (int64_t s = frame->first; s <= frame->last && !err; s++) {
        const duet_jitter_packet *packet = &duet_jitter_store_get(&j->store, s)->packet;
        if (packet->len == 0)
            continue;
        err = duet_depacketizer_add(j->depacketizer, packet->payload, packet->len);
        out->first_arrival = packet->time < out->first_arrival ? packet->time : out->first_arrival;
        out->last_arrival = packet->time > out->last_arrival ? packet->time : out->last_arrival;
    }
    return err ? err : duet_depacketizer_end(j->depacketizer, &out->data, &out->len);
}

static void count_given(duet_video_jitter *j, const duet_jitter_frame *frame, duet_time now)
{
    j->stats.frames_assembled++;
    j->stats.key_frames += frame->is_keyframe;
    j->stats.jitter_buffer_emitted_count++;
    if (now > frame->first_arrival)
        j->stats.jitter_buffer_delay += now - frame->first_arrival;
}

/* A frame that is ill-formed, or for which there is no memory, is as good as lost. */
static bool give(duet_video_jitter *j, duet_jitter_frame *out, duet_time now)
{
    duet_jitter_span frame = j->plan.frame;
    const duet_jitter_slot *first = duet_video_jitter_first_slot(j, &frame);

    *out = (duet_jitter_frame){.payload_type = first->packet.payload_type,
                               .timestamp = first->packet.timestamp,
                               .is_keyframe = frame.is_keyframe,
                               .info = first->info,
                               .first_sequence = frame.first,
                               .last_sequence = frame.last};
    bool is_whole = assemble(j, &frame, out) == DUET_OK;
    if (is_whole) {
        out->render_time = j->is_video ? render_time(j, out->timestamp) : out->last_arrival;
        j->last_render = out->render_time;
        if (j->plan.step == DUET_JITTER_SKIP)
            j->stats.frames_dropped++;
        duet_video_jitter_remember(j, &frame);
        j->needs_keyframe = false;
        j->has_abandoned = false;
        count_given(j, out, now);
    } else {
        j->stats.frames_dropped++;
        j->needs_keyframe = j->is_video && (j->needs_keyframe || !frame.is_discardable);
    }
    duet_video_jitter_advance(j, frame.last + 1);
    duet_video_jitter_replan(j);
    return is_whole;
}

int duet_video_jitter_next(duet_video_jitter *j, duet_jitter_frame *out, duet_time now)
{
    for (;;) {
        if (j->plan.step != DUET_JITTER_IDLE && j->plan.due <= now) {
            if (give(j, out, now))
                return 1;
            continue;
        }
        if (j->plan.give_up > now)
            return 0;
        duet_video_jitter_give_up(j, now);
        duet_video_jitter_replan(j);
    }
}

duet_time duet_video_jitter_deadline(const duet_video_jitter *j)
{
    duet_time due = j->plan.step != DUET_JITTER_IDLE ? j->plan.due : DUET_NEVER;

    return due < j->plan.give_up ? due : j->plan.give_up;
}

bool duet_video_jitter_needs_keyframe(const duet_video_jitter *j)
{
    return j->needs_keyframe;
}

duet_time duet_video_jitter_keyframe_arrival(const duet_video_jitter *j)
{
    const duet_jitter_slot *first = duet_jitter_store_get(&j->store, j->plan.keyframe);
    duet_time newest = 0;

    if (j->needs_keyframe && j->plan.step == DUET_JITTER_GIVE)
        return j->plan.due; /* it is whole */
    for (int64_t s = j->plan.keyframe; first && s <= j->store.highest; s++) {
        const duet_jitter_slot *slot = duet_jitter_store_get(&j->store, s);
        if (slot && slot->packet.timestamp != first->packet.timestamp)
            break;
        if (slot && slot->packet.time > newest)
            newest = slot->packet.time;
    }
    return newest;
}

void duet_video_jitter_lost(duet_video_jitter *j)
{
    j->needs_keyframe = j->is_video;
    duet_video_jitter_replan(j);
}

int64_t duet_video_jitter_skipped_to(const duet_video_jitter *j)
{
    return j->next == DUET_JITTER_NO_SEQUENCE ? DUET_JITTER_NO_SEQUENCE : j->next - 1;
}

void duet_video_jitter_get_stats(const duet_video_jitter *j, duet_video_jitter_stats *out)
{
    *out = j->stats;
    out->target_delay = j->target_delay;
}
