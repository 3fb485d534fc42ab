/* Which packets are missing, and when they are asked for (RFC 4585 section 6.2.1).
 *
 * A missing packet may be only late: it is asked for when it stays away longer than packets of this path have been late
 * before, and then each round trip. What is lost a second time would be seen as a freeze if it were lost once more, so later
 * requests come in twos, and whoever answers a repeated request answers it twice (send_history.c). */
#include "base/memory.h"
#include "media/internal.h"
#include <string.h>

#define TOLERANCE_MIN DUET_MS(2)
#define TOLERANCE_MAX DUET_MS(50)
#define RETRY_MIN     DUET_MS(20)
#define RTT_UNKNOWN   DUET_MS(100)
#define TWIN_AFTER    DUET_MS(10)
#define TRIES_MAX     19 /* one, and nine times two */

void duet_nack_init(nack_list *list, const duet_env *env)
{
    *list = (nack_list){.env = env, .tolerance = TOLERANCE_MIN};
}

void duet_nack_free(nack_list *list)
{
    duet_free(list->env, list->entries);
    list->entries = NULL;
    list->count = list->capacity = 0;
}

static bool reserve(nack_list *list, size_t count)
{
    size_t capacity = list->capacity ? list->capacity : 32;

    if (count <= list->capacity)
        return true;
    while (capacity < count)
        capacity *= 2;
    nack_entry *entries = duet_realloc(list->env, list->entries, capacity * sizeof(*entries));
    if (!entries)
        return false;
    list->entries = entries;
    list->capacity = capacity;
    return true;
}

static void remove_at(nack_list *list, size_t index, size_t count)
{
    list->count -= count;
    memmove(list->entries + index, list->entries + index + count, (list->count - index) * sizeof(*list->entries));
}

size_t duet_nack_missing(nack_list *list, int64_t from, int64_t to, duet_time now)
{
    size_t dropped = 0;

    if (to - from > RTP_NACK_MAX) { /* the newest are worth most */
        dropped = (size_t)(to - from) - RTP_NACK_MAX;
        from = to - RTP_NACK_MAX;
    }
    size_t added = (size_t)(to - from);
    if (list->count + added > RTP_NACK_MAX) {
        size_t oldest = list->count + added - RTP_NACK_MAX;
        remove_at(list, 0, oldest);
        dropped += oldest;
    }
    if (!reserve(list, list->count + added))
        return dropped + added;
    for (int64_t sequence = from; sequence < to; sequence++)
        list->entries[list->count++] = (nack_entry){.sequence = sequence, .since = now};
    return dropped;
}

/* The first entry at or behind `sequence`. */
static size_t find(const nack_list *list, int64_t sequence)
{
    size_t low = 0, high = list->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (list->entries[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void duet_nack_probe(nack_list *list, int64_t sequence, duet_time now)
{
    if (duet_nack_missing(list, sequence, sequence + 1, now - list->tolerance) == 0)
        list->entries[list->count - 1].is_probe = true;
}

void duet_nack_confirm(nack_list *list, int64_t sequence)
{
    size_t i = find(list, sequence);

    if (i < list->count && list->entries[i].sequence == sequence)
        list->entries[i].is_probe = false;
}

void duet_nack_forget(nack_list *list, int64_t sequence)
{
    size_t i = find(list, sequence);

    if (i < list->count && list->entries[i].sequence == sequence)
        remove_at(list, i, 1);
}

static void learn_tolerance(nack_list *list, duet_time late)
{
    if (late > list->tolerance)
        list->tolerance = late < TOLERANCE_MAX ? late : TOLERANCE_MAX;
}

static void forget_tolerance(nack_list *list)
{
    list->tolerance -= (list->tolerance - TOLERANCE_MIN) / 64;
}

nack_found duet_nack_arrived(nack_list *list, int64_t sequence, bool is_repair, duet_time now)
{
    size_t i = find(list, sequence);

    if (i == list->count || list->entries[i].sequence != sequence)
        return NACK_UNKNOWN;
    nack_entry entry = list->entries[i];
    remove_at(list, i, 1);
    if (is_repair && entry.tries > 0) {
        forget_tolerance(list);
        if (entry.tries == 1)
            list->answer = list->answer ? (7 * list->answer + now - entry.asked) / 8 : now - entry.asked;
        return NACK_RECOVERED;
    }
    learn_tolerance(list, now - entry.since);
    return entry.tries > 0 ? NACK_LATE_THOUGH_ASKED : NACK_LATE;
}

size_t duet_nack_skip_to(nack_list *list, int64_t sequence)
{
    size_t count = find(list, sequence + 1);

    if (count)
        remove_at(list, 0, count);
    return count;
}

/* A round trip, or as long as answers took when none was measured; and the answer may be late like any packet. */
static duet_time retry_after(const nack_list *list, duet_time rtt)
{
    if (rtt == 0)
        rtt = list->answer ? list->answer : RTT_UNKNOWN;
    return (rtt > RETRY_MIN ? rtt : RETRY_MIN) + list->tolerance;
}

static duet_time due_at(const nack_list *list, const nack_entry *entry, duet_time rtt)
{
    if (entry->tries == 0)
        return entry->since + list->tolerance;
    if (entry->is_probe)
        return DUET_NEVER;
    return entry->asked + (entry->tries % 2 == 0 ? TWIN_AFTER : retry_after(list, rtt));
}

size_t duet_nack_collect(nack_list *list, duet_time now, duet_time rtt, uint16_t *out, size_t max, size_t *given_up)
{
    size_t collected = 0, kept = 0;

    *given_up = 0;
    for (size_t i = 0; i < list->count; i++) {
        nack_entry *entry = &list->entries[i];
        bool is_due = due_at(list, entry, rtt) <= now;
        if (is_due && entry->tries >= TRIES_MAX) {
            ++*given_up;
            continue;
        }
        if (is_due && collected < max) {
            entry->tries++;
            entry->asked = now;
            out[collected++] = (uint16_t)entry->sequence;
        }
        list->entries[kept++] = *entry;
    }
    list->count = kept;
    return collected;
}

duet_time duet_nack_deadline(const nack_list *list, duet_time rtt)
{
    duet_time earliest = DUET_NEVER;

    for (size_t i = 0; i < list->count; i++) {
        duet_time due = due_at(list, &list->entries[i], rtt);
        earliest = due < earliest ? due : earliest;
    }
    return earliest;
}
