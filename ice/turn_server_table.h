/* A hash table of nodes that live inside the things it finds: to insert never fails. Several nodes may have one hash: the
 * caller compares. Hashes are made with a random seed, so nobody outside can aim for collisions. */
#ifndef DUET_ICE_TURN_SERVER_TABLE_H
#define DUET_ICE_TURN_SERVER_TABLE_H

#include "base/seeded.h"
#include "duet/base.h"

typedef struct turn_node {
    struct turn_node *next;
    uint64_t hash;
} turn_node;

typedef struct turn_table {
    const duet_env *env;
    turn_node **buckets;
    size_t count, bucket_count; /* buckets: a power of two */
} turn_table;

int duet_turn_table_init(turn_table *t, const duet_env *env); /* DUET_OK or DUET_ERR_NOMEM */
void duet_turn_table_free(turn_table *t);                     /* not what is in it */
void duet_turn_table_insert(turn_table *t, turn_node *node, uint64_t hash);
void duet_turn_table_remove(turn_table *t, turn_node *node);
turn_node *duet_turn_table_find(const turn_table *t, uint64_t hash); /* the first of that hash, or NULL */
turn_node *duet_turn_table_next(const turn_node *node);              /* the next of the same hash, or NULL */

/* Hash of an address, mixed with whatever else makes the key. */
uint64_t duet_turn_hash(uint64_t seed, const duet_address *address, uint64_t more);

#endif
