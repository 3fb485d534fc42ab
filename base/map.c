/* Hash table with linear probing and backward-shift deletion, so that it needs no tombstones. */
#include "base/map.h"
#include "base/memory.h"
#include "base/seeded.h"
#include <string.h>

struct duet_map_slot {
    uint64_t key;
    void *value; /* NULL: free */
};

int duet_map_init(duet_map *m, const duet_env *env)
{
    *m = (duet_map){.env = env};
    return duet_random(env, &m->seed, sizeof(m->seed));
}

static size_t home_slot(const duet_map *m, uint64_t key)
{
    return (size_t)duet_mix64(key ^ m->seed) & (m->capacity - 1);
}

/* The slot of the key, or the free one where it would go. The table is never full. */
static duet_map_slot *find_slot(const duet_map *m, uint64_t key)
{
    size_t i = home_slot(m, key);

    while (m->slots[i].value && m->slots[i].key != key)
        i = (i + 1) & (m->capacity - 1);
    return &m->slots[i];
}

static int map_grow(duet_map *m)
{
    duet_map bigger = *m;

    bigger.capacity = m->capacity ? m->capacity * 2 : 16;
    bigger.slots = duet_calloc(m->env, bigger.capacity * sizeof(duet_map_slot));
    if (!bigger.slots)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < m->capacity; i++) {
        if (m->slots[i].value)
            *find_slot(&bigger, m->slots[i].key) = m->slots[i];
    }
    duet_free(m->env, m->slots);
    *m = bigger;
    return DUET_OK;
}

void *duet_map_get(const duet_map *m, uint64_t key)
{
    return m->count ? find_slot(m, key)->value : NULL;
}

int duet_map_set(duet_map *m, uint64_t key, void *value)
{
    if ((m->count + 1) * 4 > m->capacity * 3 && map_grow(m) != DUET_OK)
        return DUET_ERR_NOMEM;
    duet_map_slot *slot = find_slot(m, key);
    if (!slot->value)
        m->count++;
    *slot = (duet_map_slot){key, value};
    return DUET_OK;
}

void *duet_map_remove(duet_map *m, uint64_t key)
{
    if (m->count == 0)
        return NULL;
    duet_map_slot *slot = find_slot(m, key);
    void *value = slot->value;
    if (!value)
        return NULL;
    size_t mask = m->capacity - 1;
    size_t hole = (size_t)(slot - m->slots);
    for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        /* An entry may fill the hole only when its home is not between the hole and where it is now. */
        if (((i - home_slot(m, m->slots[i].key)) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole].value = NULL;
    m->count--;
    return value;
}

bool duet_map_next(const duet_map *m, size_t *cursor, uint64_t *key, void **value)
{
    while (*cursor < m->capacity) {
        const duet_map_slot *slot = &m->slots[(*cursor)++];
        if (slot->value) {
            *key = slot->key;
            *value = slot->value;
            return true;
        }
    }
    return false;
}

void duet_map_free(duet_map *m)
{
    duet_free(m->env, m->slots);
    m->slots = NULL;
    m->count = m->capacity = 0;
}
