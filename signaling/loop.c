/* The server's clock and timers. */
#include "signaling/loop.h"
#include <event2/event.h>
#include <time.h>

duet_time duet_loop_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (duet_time)ts.tv_sec * 1000000u + (duet_time)ts.tv_nsec / 1000u;
}

void duet_loop_timer(struct event *timer, duet_time delay)
{
    const struct timeval tv = {.tv_sec = (time_t)(delay / 1000000u), .tv_usec = (suseconds_t)(delay % 1000000u)};

    event_add(timer, &tv);
}
