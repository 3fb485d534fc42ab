/* A hash table from 64-bit keys to pointers (open addressing, linear probing). Keys made from a peer's choices are
 * mixed with a random seed, so nobody outside can aim for collisions. */
#ifndef DUET_BASE_MAP_H
#define DUET_BASE_MAP_H

#include "duet/base.h"

typedef struct duet_map_slot duet_map_slot;

typedef struct duet_map {
    const duet_env *env;
    duet_map_slot *slots;
    size_t count;
    size_t capacity; /* a power of two, or 0 */
    uint64_t seed;
} duet_map;

int duet_map_init(duet_map *m, const duet_env *env);
void *duet_map_get(const duet_map *m, uint64_t key);      /* NULL when absent */
int duet_map_set(duet_map *m, uint64_t key, void *value); /* value not NULL; replaces */
void *duet_map_remove(duet_map *m, uint64_t key);         /* what was there, or NULL */
/* Visits all: start with *cursor = 0; returns false at the end. Removing the visited entry is not allowed. */
bool duet_map_next(const duet_map *m, size_t *cursor, uint64_t *key, void **value);
void duet_map_free(duet_map *m);

#endif
