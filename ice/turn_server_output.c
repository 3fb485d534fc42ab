/* What the server has for the driver: one block of bytes that datagrams are written into directly, and a list of where they lie.
 * Both grow up to their bound and are empty again whenever the driver has taken all, so steady state allocates nothing. */
#include "ice/turn_server.h"
#include <string.h>

#define FIRST_CAPACITY ((size_t)64 * 1024)
#define FIRST_ENTRIES  256

void duet_turn_output_init(turn_output *o, const duet_env *env, size_t capacity_max)
{
    *o = (turn_output){.env = env, .capacity_max = capacity_max};
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

turn_out *duet_turn_output_commit(turn_output *o, const duet_path *path, size_t len)
{
    turn_out *entry = &o->entries[o->count++];

    *entry = (turn_out){.path = *path, .offset = o->used + DUET_HEADROOM, .len = len};
    o->used = entry->offset + (len + 7) / 8 * 8;
    if (o->used > o->capacity)
        o->used = o->capacity;
    return entry;
}

int duet_turn_output_pull(turn_output *o, duet_datagram *out)
{
    if (o->pulled == o->count)
        return 0;
    const turn_out *entry = &o->entries[o->pulled++];
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
    if (o->pulled < o->count)
        return;
    o->used = o->count = o->pulled = 0;
}
