/* STUN client transactions: identity, retransmission, time-out.
 *
 * RFC 8489 section 6.2.1 and RFC 8445 section 14.3. They are found by their transaction id through a small hash table;
 * there are never more than ICE_TRANSACTIONS_MAX. */
#include "ice/internal.h"

#include <string.h>

#define SPARE_MAX 4

static size_t bucket_of(const uint8_t *id)
{
    return id[0] % ICE_BUCKETS; /* ids are random */
}

static void unlink_transaction(duet_ice_agent *a, ice_transaction *t)
{
    ice_transaction **link = &a->buckets[bucket_of(t->id)];

    while (*link != t)
        link = &(*link)->next;
    *link = t->next;
}

/* A transaction that is not retransmitted any more makes room for a new one. */
static bool drop_one_lingering(duet_ice_agent *a)
{
    for (size_t i = 0; i < ICE_BUCKETS; i++) {
        for (ice_transaction *t = a->buckets[i]; t; t = t->next) {
            if (t->timer.armed)
                continue;
            duet_ice_transaction_free(a, t);
            return true;
        }
    }
    return false;
}

static ice_transaction *take(duet_ice_agent *a)
{
    ice_transaction *t = a->spare;

    if (t) {
        a->spare = t->next;
        memset(t, 0, sizeof(*t));
        return t;
    }
    return duet_calloc(&a->env, sizeof(*t));
}

/* NULL for want of memory or randomness, or beyond the bound. */
ice_transaction *duet_ice_transaction_new(duet_ice_agent *a, ice_transaction_kind kind, duet_time now)
{
    if (a->transaction_count >= ICE_TRANSACTIONS_MAX && !drop_one_lingering(a))
        return NULL;
    ice_transaction *t = take(a);
    if (!t || duet_random(&a->env, t->id, sizeof(t->id)) != DUET_OK) {
        a->lost_memory = true;
        duet_free(&a->env, t);
        return NULL;
    }
    t->kind = (uint8_t)kind;
    t->rto = ICE_RTO;
    t->sends_max = ICE_RC;
    t->first_sent = now;
    t->controlling = a->role == DUET_ICE_CONTROLLING;
    t->tie_breaker = a->tie_breaker;
    size_t bucket = bucket_of(t->id);
    t->next = a->buckets[bucket];
    a->buckets[bucket] = t;
    a->transaction_count++;
    return t;
}

ice_transaction *duet_ice_transaction_find(const duet_ice_agent *a, const uint8_t *id)
{
    for (ice_transaction *t = a->buckets[bucket_of(id)]; t; t = t->next) {
        if (memcmp(t->id, id, sizeof(t->id)) == 0)
            return t;
    }
    return NULL;
}

void duet_ice_transaction_cancel(duet_ice_agent *a, ice_transaction *t)
{
    duet_timers_cancel(&a->timers, &t->timer);
    if (t->pair && t->pair->check == t)
        t->pair->check = NULL;
}

void duet_ice_transaction_free(duet_ice_agent *a, ice_transaction *t)
{
    size_t spare = 0;

    duet_ice_transaction_cancel(a, t);
    unlink_transaction(a, t);
    a->transaction_count--;
    for (const ice_transaction *s = a->spare; s; s = s->next)
        spare++;
    if (spare >= SPARE_MAX) {
        duet_free(&a->env, t);
        return;
    }
    t->next = a->spare;
    a->spare = t;
}

void duet_ice_transaction_sent(duet_ice_agent *a, ice_transaction *t, duet_time now)
{
    t->last_sent = now;
    t->sends++;
    if (t->sends < t->sends_max)
        duet_timers_set(&a->timers, &t->timer, now + (t->rto << (t->sends - 1)));
    else if (t->kind != ICE_CONSENT)
        duet_timers_set(&a->timers, &t->timer, now + t->rto * ICE_RM);
}

void duet_ice_transaction_due(duet_ice_agent *a, ice_transaction *t, duet_time now)
{
    if (t->sends < t->sends_max) {
        duet_ice_transmit(a, t, now);
        return;
    }
    duet_ice_check_timeout(a, t, now);
}

static void free_where(duet_ice_agent *a, bool (*doomed)(const ice_transaction *t, const void *what), const void *what)
{
    for (size_t i = 0; i < ICE_BUCKETS; i++) {
        ice_transaction *next;
        for (ice_transaction *t = a->buckets[i]; t; t = next) {
            next = t->next;
            if (doomed(t, what))
                duet_ice_transaction_free(a, t);
        }
    }
}

static bool is_of_pair(const ice_transaction *t, const void *pair)
{
    return t->pair == pair;
}

static bool is_of_query(const ice_transaction *t, const void *query)
{
    return t->query == query;
}

static bool is_stale(const ice_transaction *t, const void *now)
{
    return !t->timer.armed && t->last_sent + ICE_RTO * (1u << ICE_RC) < *(const duet_time *)now;
}

static bool is_any(const ice_transaction *t, const void *what)
{
    (void)t;
    (void)what;
    return true;
}

void duet_ice_transactions_of_pair(duet_ice_agent *a, const ice_pair *pair)
{
    free_where(a, is_of_pair, pair);
}

void duet_ice_transactions_of_query(duet_ice_agent *a, const ice_query *query)
{
    free_where(a, is_of_query, query);
}

void duet_ice_transactions_purge(duet_ice_agent *a, duet_time now)
{
    free_where(a, is_stale, &now);
}

void duet_ice_transactions_clear(duet_ice_agent *a)
{
    free_where(a, is_any, NULL);
    while (a->spare) {
        ice_transaction *t = a->spare;
        a->spare = t->next;
        duet_free(&a->env, t);
    }
}
