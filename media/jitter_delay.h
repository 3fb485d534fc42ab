/* How late packets are: the delay of each arrival over the fastest of the last seconds, and what delay most of them stay
 * under. With it a timestamp becomes the time at which it would have arrived without jitter. */
#ifndef DUET_MEDIA_JITTER_DELAY_H
#define DUET_MEDIA_JITTER_DELAY_H

#include "duet/base.h"

#define DUET_JITTER_BUCKETS 200 /* of 5 ms: one second */
#define DUET_JITTER_WINDOWS 8   /* of one second, in each the fastest */

typedef struct duet_jitter_delay {
    uint32_t clock_rate;
    bool is_started;
    uint32_t timestamp; /* the last one */
    int64_t units;      /* the same without wraps */
    int64_t fastest[DUET_JITTER_WINDOWS];
    unsigned window;
    duet_time window_start;
    int64_t base;                         /* the smallest of `fastest`: arrival minus timestamp, microseconds */
    float histogram[DUET_JITTER_BUCKETS]; /* shares; they add up to 1 */
    unsigned samples;
} duet_jitter_delay;

void duet_jitter_delay_init(duet_jitter_delay *d, uint32_t clock_rate);
/* One arrival. One that is seconds away from the others begins a new time line. @return by how much the path has turned out
 * to be slower than before: what is expected has moved with it, and what lateness was counted has not been late */
duet_time duet_jitter_delay_add(duet_jitter_delay *d, uint32_t timestamp, duet_time arrival);
/* The time under which `share` of the arrivals were late. */
duet_time duet_jitter_delay_quantile(const duet_jitter_delay *d, float share);
/* When this timestamp would have arrived at the soonest. Something must have been added. */
duet_time duet_jitter_delay_expected(const duet_jitter_delay *d, uint32_t timestamp);

#endif
