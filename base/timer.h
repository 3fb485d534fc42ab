/* A queue of timers: a binary heap of intrusive nodes, so that arming one never fails. Equal deadlines fire in the
 * order in which they were armed, which keeps simulations repeatable. */
#ifndef DUET_BASE_TIMER_H
#define DUET_BASE_TIMER_H

#include "duet/base.h"

typedef struct duet_timer {
    duet_time deadline;
    uint64_t order;
    struct duet_timer *parent, *left, *right; /* pairing heap: left is the first child, right the next sibling */
    bool armed;
} duet_timer;

typedef struct duet_timers {
    duet_timer *root;
    uint64_t next_order;
} duet_timers;

void duet_timers_set(duet_timers *q, duet_timer *t, duet_time deadline); /* arms or moves; DUET_NEVER disarms */
void duet_timers_cancel(duet_timers *q, duet_timer *t);
duet_time duet_timers_deadline(const duet_timers *q);       /* of the earliest; DUET_NEVER when there is none */
duet_timer *duet_timers_pop(duet_timers *q, duet_time now); /* the earliest that is due, disarmed; or NULL */

#endif
