/* The packets of a jitter buffer. */
#include "media/jitter_store.h"
#include "base/memory.h"
#include <string.h>

#define RING_LEAST    64
#define PAYLOAD_MAX   65535
#define CAPACITY_STEP 256 /* so that packets of about the same length share their memory in turn */
#define SPARE_MAX     256
#define FAR_BEHIND    3000 /* "MAX_MISORDER" is 100 and "MAX_DROPOUT" 3000, RFC 3550 appendix A.1 */

void duet_jitter_store_init(duet_jitter_store *s, const duet_env *env, size_t packets_max, size_t bytes_max)
{
    *s = (duet_jitter_store){.env = env, .packets_max = packets_max, .bytes_max = bytes_max};
}

static duet_jitter_slot **place(const duet_jitter_store *s, int64_t sequence)
{
    return &s->ring[(uint64_t)sequence & (s->ring_len - 1)];
}

duet_jitter_slot *duet_jitter_store_get(const duet_jitter_store *s, int64_t sequence)
{
    if (s->count == 0 || sequence < s->lowest || sequence > s->highest)
        return NULL;
    return *place(s, sequence);
}

static int ensure_ring(duet_jitter_store *s, uint64_t span)
{
    duet_jitter_store bigger = *s;

    if (span <= s->ring_len)
        return DUET_OK;
    bigger.ring_len = s->ring_len ? s->ring_len : RING_LEAST;
    while (bigger.ring_len < span)
        bigger.ring_len *= 2;
    bigger.ring = duet_calloc(s->env, bigger.ring_len * sizeof(*bigger.ring));
    if (!bigger.ring)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < s->ring_len; i++) {
        if (s->ring[i])
            *place(&bigger, s->ring[i]->packet.sequence) = s->ring[i];
    }
    duet_free(s->env, s->ring);
    *s = bigger;
    return DUET_OK;
}

/* ---- packets that are used again ------------------------------------------------------------------------------- */

static duet_jitter_slot *take_slot(duet_jitter_store *s, size_t len)
{
    duet_jitter_slot *slot = s->spare;

    if (slot && slot->capacity >= len) {
        s->spare = slot->next_spare;
        s->spare_count--;
        return slot;
    }
    size_t capacity = (len + CAPACITY_STEP - 1) / CAPACITY_STEP * CAPACITY_STEP;
    duet_jitter_slot *bigger = duet_alloc(s->env, sizeof(*bigger) + capacity);
    if (!bigger)
        return NULL;
    bigger->capacity = capacity;
    if (slot) { /* the new one takes its place */
        s->spare = slot->next_spare;
        s->spare_count--;
        duet_free(s->env, slot);
    }
    return bigger;
}

static void give_slot(duet_jitter_store *s, duet_jitter_slot *slot)
{
    if (s->spare_count >= SPARE_MAX) {
        duet_free(s->env, slot);
        return;
    }
    slot->next_spare = s->spare;
    s->spare = slot;
    s->spare_count++;
}

/* ---- in and out -------------------------------------------------------------------------------------------------- */

static uint64_t span_with(const duet_jitter_store *s, int64_t sequence)
{
    int64_t low = s->count && s->lowest < sequence ? s->lowest : sequence;
    int64_t high = s->count && s->highest > sequence ? s->highest : sequence;

    return (uint64_t)high - (uint64_t)low + 1;
}

int duet_jitter_store_put(duet_jitter_store *s, const duet_jitter_packet *packet, duet_jitter_slot **out)
{
    uint64_t span = span_with(s, packet->sequence);

    *out = NULL;
    if (packet->len > PAYLOAD_MAX)
        return DUET_ERR_TOO_LARGE;
    if (duet_jitter_store_get(s, packet->sequence))
        return DUET_ERR_NOT_FOUND;
    if (span == 0 || span > s->packets_max || packet->len > s->bytes_max - s->bytes)
        return DUET_ERR_LIMIT;
    duet_jitter_slot *slot = ensure_ring(s, span) == DUET_OK ? take_slot(s, packet->len) : NULL;
    if (!slot)
        return DUET_ERR_NOMEM;
    slot->packet = *packet;
    slot->packet.payload = slot->bytes;
    slot->info = (duet_payload_info){.picture_id = -1, .tl0_picture_index = -1, .temporal_id = -1, .spatial_id = -1};
    slot->is_counted = false;
    if (packet->len)
        memcpy(slot->bytes, packet->payload, packet->len);
    *place(s, packet->sequence) = slot;
    if (s->count == 0 || packet->sequence < s->lowest)
        s->lowest = packet->sequence;
    if (s->count == 0 || packet->sequence > s->highest)
        s->highest = packet->sequence;
    s->count++;
    s->bytes += packet->len;
    *out = slot;
    return DUET_OK;
}

void duet_jitter_store_drop_below(duet_jitter_store *s, int64_t sequence)
{
    while (s->count > 0 && s->lowest < sequence) {
        duet_jitter_slot **at = place(s, s->lowest++);
        if (!*at)
            continue;
        s->count--;
        s->bytes -= (*at)->packet.len;
        give_slot(s, *at);
        *at = NULL;
    }
    while (s->count > 0 && !*place(s, s->lowest)) /* the lowest is one that is there */
        s->lowest++;
}

void duet_jitter_store_free(duet_jitter_store *s)
{
    duet_jitter_store_drop_below(s, INT64_MAX);
    for (size_t i = 0; i < s->ring_len; i++) /* INT64_MAX itself */
        duet_free(s->env, s->ring[i]);
    while (s->spare) {
        duet_jitter_slot *slot = s->spare;
        s->spare = slot->next_spare;
        duet_free(s->env, slot);
    }
    duet_free(s->env, s->ring);
    s->ring = NULL;
}

bool duet_jitter_is_restart(int64_t *candidate, int64_t sequence, int64_t expected)
{
    if (sequence > expected - FAR_BEHIND)
        return false;
    bool is_second = sequence == *candidate;
    *candidate = sequence + 1;
    return is_second;
}
