/* The audio jitter buffer: packets in any order in, one piece of sound after the other out.
 *
 * Each timestamp has a time at which it is best played: when the fastest packet of late would have brought it, and the target
 * delay after that (see jitter_delay.h). Sound that has begun goes on without looking at the clock; the clock is looked at where
 * nobody hears it: at the beginning, in the pauses of the sender (DTX), and while it is silent. */
#include "base/memory.h"
#include "media/jitter_delay.h"
#include "media/jitter_store.h"

#define PACKETS_MAX_DEFAULT 512
#define BYTES_MAX_DEFAULT   (1024u * 1024)
#define DELAY_MAX_DEFAULT   DUET_SECONDS(1)
#define SEQUENCE_MAX        (INT64_C(1) << 62)
#define NO_SEQUENCE         INT64_MIN
/* How many of the packets should be there in time. */
#define SHARE_IN_TIME 0.97f
/* "the maximum duration of an Opus packet", RFC 6716 section 3.2, milliseconds: what is longer is a pause. */
#define PACKET_TIME_MAX 120
/* Opus frames have 2.5 ms at least, RFC 6716 section 2.1.4. */
#define PACKETS_PER_SECOND_MAX 400
/* A sender that is silent for longer has stopped: its next packet begins anew. */
#define UNDERRUN_MAX DUET_SECONDS(2)
/* So much that waits where nothing is heard anyway is not played first: sound would be late by it from then on. */
#define BACKLOG DUET_MS(200)
/* A player that does not ask for so long has heard nothing meanwhile. */
#define PLAYER_AWAY DUET_MS(500)
/* A lateness, or a hole, that cannot be: the timestamps have jumped meanwhile. */
#define ABSURD           DUET_SECONDS(10)
#define LATE_COUNTED_MAX 100
/* FEC is in the next packet, and so is redundancy. Where more than this is lost, the next packet should be there when one is missing. */
#define LOSS_FOR_FEC 0.01f
#define LOSS_WEIGHT  0.004f
/* Opus in DTX sends frames of a byte or two, RFC 6716 section 2.1.9 and 3.1. */
#define DTX_LEN_MAX 2

struct duet_audio_jitter {
    duet_env env;
    uint32_t clock_rate;
    duet_time delay_min, delay_max, wish;
    duet_jitter_store store; /* what was played last stays until the next call */
    duet_jitter_delay delay;

    bool is_playing;
    duet_time asked; /* for the last piece */
    int64_t next;    /* to be played; NO_SEQUENCE before the first */
    int64_t restart_candidate;
    uint32_t position;     /* timestamp of the next piece */
    uint32_t packet_time;  /* samples of a packet, as they come at present */
    uint32_t last_step;    /* between the last two of which the numbers follow each other */
    int64_t last_sequence; /* of the packet that was played last, or left out */
    uint32_t last_timestamp;
    float loss;           /* share of the packets that were not there, of late */
    uint32_t fec_samples; /* of the last piece, if it was to be decoded from FEC */
    uint32_t stretched;   /* samples that were concealed because nothing was there; `position` stands still meanwhile */
    bool is_concealing;   /* the last piece was made up */
    bool has_skipped;     /* and nothing has been heard since */
    bool is_pausing;      /* the last packet said so (DTX, comfort noise) */
    bool is_noise;        /* and how it sounds */
    duet_time current_delay;
    duet_audio_jitter_stats stats;
};

/* ---- life ---------------------------------------------------------------------------------------------------------- */

void duet_audio_jitter_config_init(duet_audio_jitter_config *config)
{
    *config = (duet_audio_jitter_config){.size = sizeof(*config)};
}

static void reset(duet_audio_jitter *j)
{
    duet_jitter_store_drop_below(&j->store, INT64_MAX);
    duet_jitter_delay_init(&j->delay, j->clock_rate);
    j->next = j->restart_candidate = j->last_sequence = NO_SEQUENCE;
    j->is_playing = j->is_concealing = j->is_pausing = j->is_noise = false;
    j->packet_time = j->clock_rate / 50;
    j->last_step = j->stretched = 0;
}

int duet_audio_jitter_create(duet_audio_jitter **out, const duet_audio_jitter_config *config)
{
    duet_env env = duet_env_resolve(config->env);

    *out = NULL;
    if (config->clock_rate < 1000 || config->clock_rate > 1000000)
        return DUET_ERR_INVALID;
    duet_audio_jitter *j = duet_calloc(&env, sizeof(*j));
    if (!j)
        return DUET_ERR_NOMEM;
    j->env = env;
    j->clock_rate = config->clock_rate;
    j->delay_max = config->delay_max ? config->delay_max : DELAY_MAX_DEFAULT;
    j->delay_min = config->delay_min;
    duet_jitter_store_init(&j->store, &j->env, config->packets_max ? config->packets_max : PACKETS_MAX_DEFAULT,
                           config->bytes_max ? config->bytes_max : BYTES_MAX_DEFAULT);
    reset(j);
    *out = j;
    return DUET_OK;
}

void duet_audio_jitter_destroy(duet_audio_jitter *j)
{
    if (!j)
        return;
    duet_env env = j->env;
    duet_jitter_store_free(&j->store);
    duet_free(&env, j);
}

/* ---- time ---------------------------------------------------------------------------------------------------------- */

static duet_time time_of(const duet_audio_jitter *j, uint32_t samples)
{
    return (duet_time)samples * 1000000 / j->clock_rate;
}

static uint32_t samples_of(const duet_audio_jitter *j, duet_time time)
{
    return (uint32_t)(time * j->clock_rate / 1000000);
}

/* What is less than a sample is now. */
static uint32_t samples_until(const duet_audio_jitter *j, duet_time due, duet_time now)
{
    return due > now ? samples_of(j, due - now) : 0;
}

static duet_time target_of(const duet_audio_jitter *j)
{
    duet_time target = duet_jitter_delay_quantile(&j->delay, SHARE_IN_TIME);

    if (j->loss > LOSS_FOR_FEC)
        target += time_of(j, j->packet_time);
    target = target > j->delay_min ? target : j->delay_min;
    target = target > j->wish ? target : j->wish;
    return target < j->delay_max ? target : j->delay_max;
}

/* When the packet would have come without jitter. When it has come at the latest, whatever its timestamp says. */
static duet_time expected(const duet_audio_jitter *j, const duet_jitter_packet *packet)
{
    duet_time soonest = duet_jitter_delay_expected(&j->delay, packet->timestamp);

    return soonest < packet->time && soonest + ABSURD > packet->time ? soonest : packet->time;
}

static duet_time play_time(const duet_audio_jitter *j, const duet_jitter_packet *packet)
{
    return expected(j, packet) + target_of(j);
}

static duet_time delay_now(const duet_audio_jitter *j, const duet_jitter_packet *packet, duet_time now)
{
    duet_time soonest = expected(j, packet);

    return now > soonest ? now - soonest : 0;
}

/* ---- packets in ------------------------------------------------------------------------------------------------------ */

/* The oldest go first. */
static int put(duet_audio_jitter *j, const duet_jitter_packet *packet)
{
    duet_jitter_slot *slot;
    int err;

    while ((err = duet_jitter_store_put(&j->store, packet, &slot)) == DUET_ERR_LIMIT && j->store.count > 0 &&
           j->store.lowest < packet->sequence) {
        j->stats.packets_discarded++;
        duet_jitter_store_drop_below(&j->store, j->store.lowest + 1);
        j->next = j->store.count > 0 ? j->store.lowest : packet->sequence;
        j->is_playing = false;
    }
    return err == DUET_ERR_LIMIT ? DUET_ERR_TOO_LARGE : err;
}

static void drop_played(duet_audio_jitter *j)
{
    if (j->next != NO_SEQUENCE)
        duet_jitter_store_drop_below(&j->store, j->next);
}

static void count_delay(duet_audio_jitter *j, const duet_jitter_packet *packet)
{
    if (packet->len > 0 && !packet->is_retransmission && !packet->is_redundancy)
        (void)duet_jitter_delay_add(&j->delay, packet->timestamp, packet->time);
}

/* Its place has been played. How late it is counts, unless it is so old that it tells nothing. */
static int refuse_late(duet_audio_jitter *j, const duet_jitter_packet *packet)
{
    if (packet->is_redundancy)
        return DUET_ERR_STATE;
    j->stats.packets_late++;
    if (j->next - packet->sequence < LATE_COUNTED_MAX)
        count_delay(j, packet);
    return DUET_ERR_STATE;
}

int duet_audio_jitter_insert(duet_audio_jitter *j, const duet_jitter_packet *packet)
{
    if (packet->sequence < 0 || packet->sequence > SEQUENCE_MAX)
        return DUET_ERR_INVALID;
    drop_played(j);
    if (packet->sequence < j->next) {
        if (packet->is_retransmission || packet->is_redundancy ||
            !duet_jitter_is_restart(&j->restart_candidate, packet->sequence, j->next))
            return refuse_late(j, packet);
        reset(j);
    }
    int err = put(j, packet);
    if (err == DUET_ERR_NOT_FOUND)
        j->stats.packets_duplicated++;
    if (err)
        return err;
    j->stats.packets_inserted++;
    count_delay(j, packet);
    return DUET_OK;
}

void duet_audio_jitter_set_delay_min(duet_audio_jitter *j, duet_time delay)
{
    j->wish = delay;
}

/* ---- kinds of pieces ----------------------------------------------------------------------------------------------- */

/* The sender said how its pause sounds: nothing is missing. */
static void give_noise(duet_audio_jitter *j, duet_audio_piece *out, uint32_t samples)
{
    j->stats.samples_played += samples;
    out->action = DUET_AUDIO_NOISE;
    out->timestamp = j->position;
    out->samples = samples;
}

static void count_concealment(duet_audio_jitter *j, uint32_t samples)
{
    if (!j->is_concealing)
        j->stats.concealment_events++;
    j->is_concealing = true;
    j->stats.concealed_samples += samples;
}

static void conceal(duet_audio_jitter *j, duet_audio_piece *out, uint32_t samples, bool is_silence)
{
    if (j->is_noise) {
        give_noise(j, out, samples);
        return;
    }
    count_concealment(j, samples);
    j->stats.silent_concealed_samples += is_silence ? samples : 0;
    j->stats.samples_played += samples;
    out->action = DUET_AUDIO_CONCEAL;
    out->timestamp = j->position;
    out->samples = samples;
    out->is_silence = is_silence;
}

/* How long a packet is, from the distance to its neighbour; a longer one is believed when it comes twice. */
static void learn_packet_time(duet_audio_jitter *j, uint32_t step)
{
    if (step < j->clock_rate / PACKETS_PER_SECOND_MAX || step > j->clock_rate / 1000 * PACKET_TIME_MAX)
        return;
    if (step < j->packet_time || step == j->last_step)
        j->packet_time = step;
    j->last_step = step;
}

static void fill_from(duet_audio_piece *out, const duet_jitter_packet *packet)
{
    out->data = packet->payload;
    out->len = packet->len;
    out->payload_type = packet->payload_type;
}

static void learn_from_neighbours(duet_audio_jitter *j, const duet_jitter_packet *packet)
{
    const duet_jitter_slot *after = duet_jitter_store_get(&j->store, packet->sequence + 1);

    if (packet->sequence == j->last_sequence + 1 && !j->is_pausing)
        learn_packet_time(j, packet->timestamp - j->last_timestamp);
    else if (after && after->packet.len > 0 && !packet->is_comfort_noise)
        learn_packet_time(j, after->packet.timestamp - packet->timestamp);
}

static void step_over(duet_audio_jitter *j, const duet_jitter_packet *packet)
{
    learn_from_neighbours(j, packet);
    j->last_sequence = packet->sequence;
    j->last_timestamp = packet->timestamp;
    j->next = packet->sequence + 1;
    j->position = packet->timestamp + j->packet_time;
    j->stretched = 0;
}

static void count_loss(duet_audio_jitter *j, bool is_lost)
{
    j->loss += ((is_lost ? 1.0f : 0.0f) - j->loss) * LOSS_WEIGHT;
}

static void decode(duet_audio_jitter *j, duet_audio_piece *out, const duet_jitter_packet *packet, duet_time now)
{
    step_over(j, packet);
    count_loss(j, packet->is_redundancy);
    j->is_concealing = j->has_skipped = false;
    j->is_noise = packet->is_comfort_noise;
    j->is_pausing = j->is_noise || packet->len <= DTX_LEN_MAX;
    j->current_delay = delay_now(j, packet, now);
    j->stats.samples_played += j->packet_time;
    j->stats.jitter_buffer_emitted_count += j->packet_time;
    if (now > packet->time)
        j->stats.jitter_buffer_delay += (now - packet->time) * j->packet_time;
    fill_from(out, packet);
    out->action = j->is_noise ? DUET_AUDIO_NOISE : DUET_AUDIO_DECODE;
    out->timestamp = packet->timestamp;
    out->samples = j->packet_time;
}

/* The packet before this one is lost. */
static void give_fec(duet_audio_jitter *j, duet_audio_piece *out, const duet_jitter_packet *packet, uint32_t samples)
{
    fill_from(out, packet);
    out->action = DUET_AUDIO_DECODE_FEC;
    out->timestamp = j->position;
    out->samples = samples;
    j->next = packet->sequence;
    j->position = packet->timestamp;
    j->stats.fec_packets++;
    j->stats.samples_played += samples;
    j->fec_samples = samples;
}

void duet_audio_jitter_had_no_fec(duet_audio_jitter *j)
{
    if (j->fec_samples == 0)
        return;
    j->stats.fec_packets--;
    count_concealment(j, j->fec_samples);
    j->fec_samples = 0;
}

static void count_removed(duet_audio_jitter *j, uint32_t samples)
{
    if (samples < samples_of(j, ABSURD))
        j->stats.removed_for_acceleration += samples;
}

static void skip(duet_audio_jitter *j, duet_audio_piece *out, const duet_jitter_packet *packet)
{
    step_over(j, packet);
    j->has_skipped = true;
    j->stats.removed_for_acceleration += j->packet_time;
    out->action = DUET_AUDIO_SKIP;
    out->timestamp = packet->timestamp;
    out->samples = j->packet_time;
}

/* ---- what comes next -------------------------------------------------------------------------------------------------- */

/* Between this packet and the one before it, the sender sent nothing on purpose. */
static bool is_pause(const duet_audio_jitter *j, int32_t gap, bool silent)
{
    return gap > 0 && (silent || j->is_pausing || (uint32_t)gap >= 2 * j->packet_time);
}

/* In a pause the clock decides, so the delay becomes what it should be. */
static void play_after_pause(duet_audio_jitter *j, duet_audio_piece *out, const duet_jitter_packet *packet, int32_t gap,
                             duet_time now)
{
    uint32_t left = samples_until(j, play_time(j, packet), now);

    if (left > 0) {
        left = left < j->packet_time ? left : j->packet_time;
        conceal(j, out, left, true);
        j->stretched += left;
        return;
    }
    if (j->stretched < (uint32_t)gap)
        count_removed(j, (uint32_t)gap - j->stretched);
    else
        j->stats.inserted_for_deceleration += j->stretched - (uint32_t)gap;
    decode(j, out, packet, now);
}

static bool has_another(const duet_audio_jitter *j, const duet_jitter_packet *packet)
{
    return j->store.highest > packet->sequence;
}

/* In silence one packet is left out at a time: the next one is heard, and may be where speech begins. */
static bool is_too_late(const duet_audio_jitter *j, duet_time delay, bool silent)
{
    duet_time limit = silent && !j->has_skipped ? target_of(j) : j->delay_max;

    return delay > limit + time_of(j, j->packet_time);
}

static void play_packet(duet_audio_jitter *j, duet_audio_piece *out, const duet_jitter_packet *packet, bool silent,
                        duet_time now)
{
    int32_t gap = (int32_t)(packet->timestamp - j->position);
    duet_time packet_time = time_of(j, j->packet_time), target = target_of(j), delay = delay_now(j, packet, now);

    if (is_pause(j, gap, silent)) {
        play_after_pause(j, out, packet, gap, now);
        return;
    }
    if (is_too_late(j, delay, silent) && has_another(j, packet)) {
        skip(j, out, packet);
        return;
    }
    if (silent && delay + packet_time / 2 <= target) {
        conceal(j, out, j->packet_time, true);
        j->stats.inserted_for_deceleration += j->packet_time;
        return;
    }
    decode(j, out, packet, now);
}

/* Packets before this one are missing, and their time has come: the last of them may be in it (FEC), the others are made
 * up. What was made up while nothing was there counts. When the delay is too long, they are left out. */
static void play_loss(duet_audio_jitter *j, duet_audio_piece *out, const duet_jitter_packet *packet, bool silent,
                      duet_time now)
{
    duet_time delay = delay_now(j, packet, now), target = target_of(j), excess = 2 * time_of(j, j->packet_time);
    bool is_paused = silent || j->is_pausing;
    bool is_overdue = delay > target + excess || (is_paused && now >= play_time(j, packet));

    if (delay + time_of(j, j->stretched) / 2 <= target) { /* a welcome delay */
        j->stats.inserted_for_deceleration += j->stretched;
        j->stretched = 0;
    }
    int32_t hole = (int32_t)(packet->timestamp - j->position - j->stretched);
    if (hole <= 0 || is_overdue) {
        count_removed(j, hole > 0 ? (uint32_t)hole : 0);
        count_loss(j, true);
        j->next = packet->sequence;
        j->position = packet->timestamp;
        j->stretched = 0;
        play_packet(j, out, packet, silent, now);
        return;
    }
    j->position += j->stretched;
    j->stretched = 0;
    count_loss(j, true);
    if ((uint32_t)hole <= j->packet_time && !j->is_noise) {
        give_fec(j, out, packet, (uint32_t)hole);
        return;
    }
    conceal(j, out, j->packet_time, is_paused);
    j->position += j->packet_time;
    if (j->next + 1 < packet->sequence)
        j->next++;
}

/* Nothing is there: it is late, or the sender pauses. */
static void play_nothing(duet_audio_jitter *j, duet_audio_piece *out, bool silent)
{
    conceal(j, out, j->packet_time, silent || j->is_pausing);
    j->stretched += j->packet_time;
    if (time_of(j, j->stretched) > UNDERRUN_MAX)
        j->is_playing = false;
}

/* The first packet that has sound; padding has a number, and that is all. */
static const duet_jitter_packet *first_packet(duet_audio_jitter *j)
{
    while (j->store.count > 0) {
        const duet_jitter_packet *packet = &duet_jitter_store_get(&j->store, j->store.lowest)->packet;
        if (packet->len > 0)
            return packet;
        if (j->next == NO_SEQUENCE || j->next == packet->sequence)
            j->next = packet->sequence + 1;
        duet_jitter_store_drop_below(&j->store, packet->sequence + 1);
    }
    return NULL;
}

/* Where sound begins, it begins with what is new. */
static void leave_backlog(duet_audio_jitter *j, duet_time now)
{
    const duet_jitter_packet *packet = first_packet(j);
    duet_time target = target_of(j);

    if (!packet || delay_now(j, packet, now) <= target + BACKLOG)
        return;
    while (has_another(j, packet) && delay_now(j, packet, now) > target + time_of(j, j->packet_time)) {
        j->stats.packets_discarded++;
        j->next = packet->sequence + 1;
        drop_played(j);
        packet = first_packet(j);
        if (!packet)
            return;
    }
}

void duet_audio_jitter_next(duet_audio_jitter *j, duet_audio_piece *out, bool silent, duet_time now)
{
    *out = (duet_audio_piece){.action = DUET_AUDIO_WAIT, .samples = j->packet_time, .is_silence = true};
    j->fec_samples = 0;
    drop_played(j);
    j->is_playing = j->is_playing && now <= j->asked + PLAYER_AWAY;
    j->asked = now;
    if (!j->is_playing)
        leave_backlog(j, now);
    const duet_jitter_packet *packet = first_packet(j);
    if (!j->is_playing) {
        uint32_t left = packet ? samples_until(j, play_time(j, packet), now) : j->packet_time;
        if (left > 0) {
            if (j->is_noise) /* a long pause: its end is like a beginning */
                give_noise(j, out, left < j->packet_time ? left : j->packet_time);
            return;
        }
        j->is_playing = true;
        j->next = packet->sequence;
        j->position = packet->timestamp;
        j->stretched = 0;
    }
    if (!packet)
        play_nothing(j, out, silent);
    else if (packet->sequence == j->next)
        play_packet(j, out, packet, silent, now);
    else
        play_loss(j, out, packet, silent, now);
}

void duet_audio_jitter_get_stats(const duet_audio_jitter *j, duet_audio_jitter_stats *out)
{
    *out = j->stats;
    out->target_delay = target_of(j);
    out->current_delay = j->current_delay;
}
