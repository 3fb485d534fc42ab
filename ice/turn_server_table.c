/* Chained hash table of intrusive nodes. It doubles when it is full; where memory is short the chains grow instead. */
#include "ice/turn_server_table.h"
#include "base/memory.h"
#include <string.h>

#define FIRST_BUCKETS 16

int duet_turn_table_init(turn_table *t, const duet_env *env)
{
    *t = (turn_table){.env = env, .bucket_count = FIRST_BUCKETS};
    t->buckets = duet_calloc(env, FIRST_BUCKETS * sizeof(turn_node *));
    return t->buckets ? DUET_OK : DUET_ERR_NOMEM;
}

void duet_turn_table_free(turn_table *t)
{
    duet_free(t->env, t->buckets);
    t->buckets = NULL;
}

static turn_node **bucket_of(const turn_table *t, uint64_t hash)
{
    return &t->buckets[hash & (t->bucket_count - 1)];
}

static void put(turn_table *t, turn_node *node)
{
    turn_node **bucket = bucket_of(t, node->hash);

    node->next = *bucket;
    *bucket = node;
}

static void grow(turn_table *t)
{
    turn_table bigger = *t;

    bigger.bucket_count *= 2;
    bigger.buckets = duet_calloc(t->env, bigger.bucket_count * sizeof(turn_node *));
    if (!bigger.buckets)
        return;
    for (size_t i = 0; i < t->bucket_count; i++) {
        for (turn_node *node = t->buckets[i], *next; node; node = next) {
            next = node->next;
            put(&bigger, node);
        }
    }
    duet_free(t->env, t->buckets);
    *t = bigger;
}

void duet_turn_table_insert(turn_table *t, turn_node *node, uint64_t hash)
{
    if (t->count == t->bucket_count)
        grow(t);
    node->hash = hash;
    put(t, node);
    t->count++;
}

void duet_turn_table_remove(turn_table *t, turn_node *node)
{
    turn_node **link = bucket_of(t, node->hash);

    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    t->count--;
}

turn_node *duet_turn_table_find(const turn_table *t, uint64_t hash)
{
    turn_node *node = *bucket_of(t, hash);

    while (node && node->hash != hash)
        node = node->next;
    return node;
}

turn_node *duet_turn_table_next(const turn_node *node)
{
    turn_node *next = node->next;

    while (next && next->hash != node->hash)
        next = next->next;
    return next;
}

uint64_t duet_turn_hash(uint64_t seed, const duet_address *address, uint64_t more)
{
    uint64_t words[2];

    memcpy(words, address->ip, sizeof(words));
    uint64_t port = (uint64_t)address->port << 48 | (uint64_t)address->family << 40 | address->scope;
    uint64_t h = duet_mix64(seed ^ words[0]);
    h = duet_mix64(h + words[1] + port);
    return duet_mix64(h ^ more);
}
