/* What the parts of the server share that live on its libevent loop: the clock and timers in our unit of time. */
#ifndef DUET_SIGNALING_LOOP_H
#define DUET_SIGNALING_LOOP_H

#include "duet/base.h"

struct event;

duet_time duet_loop_now(void); /* monotonic, microseconds */
/* (Re)starts a timer event. */
void duet_loop_timer(struct event *timer, duet_time delay);

#endif
