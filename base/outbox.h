/* A queue of outgoing datagrams in pooled buffers, with headroom and tailroom. What is pulled stays valid as
 * duet_datagram promises. Steady state allocates nothing: buffers are kept until duet_outbox_trim, which owners call when
 * they fall idle. There are never more than `limit` and those of a batch. */
#ifndef DUET_BASE_OUTBOX_H
#define DUET_BASE_OUTBOX_H

#include "duet/base.h"

typedef struct duet_outbox_slot duet_outbox_slot;

typedef struct duet_outbox {
    const duet_env *env;
    size_t payload_max;                 /* largest datagram */
    size_t limit;                       /* most datagrams waiting; beyond that the new one is dropped and counted */
    duet_outbox_slot *first, *last;     /* waiting */
    duet_outbox_slot *lent, *lent_last; /* pulled and perhaps still in use */
    duet_outbox_slot *spare;
    size_t waiting, lent_count, spare_count;
    uint64_t dropped;
} duet_outbox;

void duet_outbox_init(duet_outbox *o, const duet_env *env, size_t payload_max, size_t limit);

/* Room for one datagram of up to payload_max bytes, to be filled and committed (or left: the next reserve gives the
 * same). NULL when the queue is full or there is no memory; that is counted in `dropped`. */
uint8_t *duet_outbox_reserve(duet_outbox *o);
/* Queues the reserved datagram. `meta` gives path, dscp, ecn and df; NULL leaves them zero. */
void duet_outbox_commit(duet_outbox *o, size_t len, const duet_datagram *meta);
/* Both in one, with one copy. */
int duet_outbox_push(duet_outbox *o, const void *data, size_t len, const duet_datagram *meta);

int duet_outbox_pull(duet_outbox *o, duet_datagram *out); /* 1, or 0 when empty */
bool duet_outbox_is_empty(const duet_outbox *o);
/* Takes back what was pulled: called at the start of every call on the owner other than output. */
void duet_outbox_reclaim(duet_outbox *o);
void duet_outbox_trim(duet_outbox *o); /* gives spare buffers back to the allocator */
void duet_outbox_clear(duet_outbox *o);
void duet_outbox_free(duet_outbox *o);

#endif
