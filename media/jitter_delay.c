/* The delay estimate of both jitter buffers: a histogram with forgetting, over a sliding minimum. */
#include "media/jitter_delay.h"

#define BUCKET        DUET_MS(5)
#define WINDOW        DUET_SECONDS(1)
#define FORGET_AT_END 0.002f /* half is forgotten after 350 arrivals */
#define NEW_TIME_LINE ((int64_t)DUET_SECONDS(2))
#define SLOWER_PATH   ((int64_t)DUET_MS(50))
#define NONE          INT64_MAX

void duet_jitter_delay_init(duet_jitter_delay *d, uint32_t clock_rate)
{
    *d = (duet_jitter_delay){.clock_rate = clock_rate};
}

static int64_t units_of(const duet_jitter_delay *d, uint32_t timestamp)
{
    return d->units + (int32_t)(timestamp - d->timestamp);
}

static int64_t microseconds(const duet_jitter_delay *d, int64_t units)
{
    int64_t rate = d->clock_rate;

    return units / rate * 1000000 + units % rate * 1000000 / rate;
}

static void begin_time_line(duet_jitter_delay *d, int64_t transit, duet_time arrival)
{
    for (unsigned i = 0; i < DUET_JITTER_WINDOWS; i++)
        d->fastest[i] = NONE;
    d->window = 0;
    d->window_start = arrival;
    d->fastest[0] = d->base = transit;
}

/* What was late in comparison with arrivals that are forgotten now. */
static void count_anew(duet_jitter_delay *d, unsigned buckets)
{
    for (unsigned i = 1; i < DUET_JITTER_BUCKETS; i++) {
        d->histogram[i > buckets ? i - buckets : 0] += d->histogram[i];
        d->histogram[i] = 0;
    }
}

/* The base rises when the fastest arrival is forgotten. By much, and with arrivals all the time, it is another path, or a
 * queue that stays. @return by how much it has become slower */
static duet_time find_base(duet_jitter_delay *d)
{
    int64_t before = d->base;
    unsigned known = 0;

    d->base = NONE;
    for (unsigned i = 0; i < DUET_JITTER_WINDOWS; i++) {
        d->base = d->fastest[i] < d->base ? d->fastest[i] : d->base;
        known += d->fastest[i] != NONE;
    }
    if (d->base < before + SLOWER_PATH || known < DUET_JITTER_WINDOWS / 2)
        return 0;
    duet_time slower = (duet_time)(d->base - before);
    count_anew(d, (unsigned)(slower / BUCKET));
    return slower;
}

static void advance_windows(duet_jitter_delay *d, duet_time arrival)
{
    if (arrival < d->window_start + WINDOW)
        return;
    uint64_t steps = (arrival - d->window_start) / WINDOW;
    d->window_start += steps * WINDOW;
    for (uint64_t i = 0; i < steps && i < DUET_JITTER_WINDOWS; i++) {
        d->window = (d->window + 1) % DUET_JITTER_WINDOWS;
        d->fastest[d->window] = NONE;
    }
}

/* The first arrivals weigh the same; later ones push the old ones out. */
static void count_delay(duet_jitter_delay *d, int64_t late)
{
    uint64_t bucket = (uint64_t)late / BUCKET;
    float weight = 1.0f / (float)(d->samples + 1);

    if (bucket >= DUET_JITTER_BUCKETS)
        bucket = DUET_JITTER_BUCKETS - 1;
    if (weight < FORGET_AT_END)
        weight = FORGET_AT_END;
    else
        d->samples++;
    for (unsigned i = 0; i < DUET_JITTER_BUCKETS; i++)
        d->histogram[i] *= 1.0f - weight;
    d->histogram[bucket] += weight;
}

duet_time duet_jitter_delay_add(duet_jitter_delay *d, uint32_t timestamp, duet_time arrival)
{
    int64_t units = d->is_started ? units_of(d, timestamp) : timestamp;
    int64_t transit = (int64_t)arrival - microseconds(d, units);
    int64_t late = transit - d->base;

    d->units = units;
    d->timestamp = timestamp;
    if (!d->is_started || late > NEW_TIME_LINE || late < -NEW_TIME_LINE) {
        d->is_started = true;
        begin_time_line(d, transit, arrival);
        return 0;
    }
    advance_windows(d, arrival);
    if (transit < d->fastest[d->window])
        d->fastest[d->window] = transit;
    duet_time slower = find_base(d);
    count_delay(d, transit - d->base);
    return slower;
}

duet_time duet_jitter_delay_quantile(const duet_jitter_delay *d, float share)
{
    float sum = 0;

    if (d->samples == 0)
        return 0;
    for (unsigned i = 0; i < DUET_JITTER_BUCKETS; i++) {
        sum += d->histogram[i];
        if (sum >= share)
            return (i + 1) * BUCKET;
    }
    return DUET_JITTER_BUCKETS * BUCKET;
}

duet_time duet_jitter_delay_expected(const duet_jitter_delay *d, uint32_t timestamp)
{
    int64_t time = microseconds(d, units_of(d, timestamp)) + d->base;

    return time > 0 ? (duet_time)time : 0;
}
