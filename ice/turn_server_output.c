/* What the server has for the driver: one block of bytes that datagrams are written into directly, and a list of where they lie.
 * Both grow up to their bound and are empty again whenever the driver has taken all, so steady state allocates nothing. */
#include "ice/turn_server.h"
#include <string.h>

#define FIRST_CAPACITY ((size_t)64 * 1024)
#define FIRST_ENTRIES  256

void duet_turn_output_init(turn_output *o, const duet_env *env, size_t capacity_max)
{
    *o = (turn_output){.env = env, .capacity_max = capacity_max, .round = 1};
}

void duet_turn_output_free(turn_output *o)
{
    duet_free(o->env, o->bytes);
    duet_free(o->env, o->entries);
    *o = (turn_output){.env = o->env, .capacity_max = o->capacity_max};
}

static size_t larger(size_t capacity, size_t first, size_t wanted)
{
    capacity = capacity ? capacity : first;
    while (capacity < wanted)
        capacity *= 2;
    return capacity;
}

static bool grow_bytes(turn_output *o, size_t wanted)
{
    if (wanted <= o->capacity)
        return true;
    if (wanted > o->capacity_max)
        return false;
    size_t capacity = larger(o->capacity, FIRST_CAPACITY, wanted);
    capacity = capacity < o->capacity_max ? capacity : o->capacity_max;
    uint8_t *bytes = duet_realloc(o->env, o->bytes, capacity);
    if (!bytes)
        return false;
    o->bytes = bytes;
    o->capacity = capacity;
    return true;
}

static bool grow_entries(turn_output *o)
{
    if (o->count < o->entry_capacity)
        return true;
    size_t capacity = larger(o->entry_capacity, FIRST_ENTRIES, o->count + 1);
    turn_out *entries = duet_realloc(o->env, o->entries, capacity * sizeof(turn_out));
    if (!entries)
        return false;
    o->entries = entries;
    o->entry_capacity = capacity;
    return true;
}

uint8_t *duet_turn_output_reserve(turn_output *o, size_t len)
{
    if (!grow_bytes(o, o->used + DUET_HEADROOM + len) || !grow_entries(o)) {
        o->dropped++;
        return NULL;
    }
    return o->bytes + o->used + DUET_HEADROOM;
}

/* Behind the lane's last one, unless that has left already. */
static void join_lane(turn_output *o, turn_lane *lane, uint32_t index)
{
    turn_out *last = lane->round == o->round && lane->last < index ? &o->entries[lane->last] : NULL;

    if (last && !last->pulled) {
        last->next = index;
        o->entries[index].follows = true;
    }
    *lane = (turn_lane){o->round, index};
}

turn_out *duet_turn_output_commit(turn_output *o, turn_lane *lane, const duet_path *path, size_t len)
{
    uint32_t index = (uint32_t)o->count++;
    turn_out *entry = &o->entries[index];

    *entry = (turn_out){.path = *path, .offset = o->used + DUET_HEADROOM, .len = len};
    if (lane)
        join_lane(o, lane, index);
    o->used = entry->offset + (len + 7) / 8 * 8;
    if (o->used > o->capacity)
        o->used = o->capacity;
    return entry;
}

/* The next of the lane that is being pulled, or the first of the next lane. */
static turn_out *next_entry(turn_output *o)
{
    if (o->pulled > 0 && o->entries[o->current].next) {
        o->current = o->entries[o->current].next;
        return &o->entries[o->current];
    }
    while (o->entries[o->head].follows)
        o->head++;
    o->current = o->head++;
    return &o->entries[o->current];
}

int duet_turn_output_pull(turn_output *o, duet_datagram *out)
{
    if (o->pulled == o->count)
        return 0;
    turn_out *entry = next_entry(o);
    o->pulled++;
    entry->pulled = true;
    *out = (duet_datagram){.path = entry->path,
                           .data = o->bytes + entry->offset,
                           .len = entry->len,
                           .headroom = DUET_HEADROOM,
                           .ecn = entry->ecn,
                           .df = entry->df};
    return 1;
}

void duet_turn_output_reclaim(turn_output *o)
{
    if (o->pulled < o->count || o->count == 0)
        return;
    o->used = o->count = o->pulled = o->head = o->current = 0;
    o->round++;
}
