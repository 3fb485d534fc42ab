/* What both ways of duet perf measure with: clocks, a ping-pong, and a sender that never lets a channel run dry. */
#ifndef DUET_APPS_PERF_METER_H
#define DUET_APPS_PERF_METER_H

#include "perf.h"

struct json_t;

#define PERF_PING_SIZE 64
#define PERF_WARM_UP   0.5          /* seconds before a throughput counts: the congestion window grows */
#define PERF_SETTLE    DUET_MS(400) /* after it, what was needed to connect is given back */

double perf_cpu_seconds(void);
double perf_heap_kib(void);

/* ---- ping-pong ---- */

typedef struct perf_pinger {
    duet_dc *dc;
    bool running;
    uint64_t sent_at; /* nanoseconds */
    uint32_t *rtt;    /* nanoseconds; sorted by perf_pinger_stop */
    size_t count;
} perf_pinger;

bool perf_pinger_init(perf_pinger *pinger);
void perf_pinger_free(perf_pinger *pinger);
void perf_pinger_start(perf_pinger *pinger, duet_dc *dc);
void perf_pinger_pong(perf_pinger *pinger); /* an answer came: the next ping leaves */
void perf_pinger_sort(perf_pinger *pinger); /* when it has stopped */
double perf_pinger_us(const perf_pinger *pinger, double quantile);

/* ---- throughput ---- */

typedef struct perf_flood {
    duet_dc *dc;
    bool running;
    uint8_t *message;
    size_t size;
} perf_flood;

bool perf_flood_init(perf_flood *flood, size_t size);
void perf_flood_free(perf_flood *flood);
void perf_flood_start(perf_flood *flood, duet_dc *dc);
void perf_flood_fill(perf_flood *flood); /* from on_buffered_amount_low */

/* ---- results ---- */

/* What a run has found, however it was made. */
typedef struct perf_figures {
    uint64_t bytes, messages;
    double seconds;
    double cpu_seconds[2]; /* of the offerer and the answerer; both in the first one when they are one process */
    bool two_processes;
    double setup_ms, setup_worst_ms, kib_per_connection;
    unsigned connections;
    duet_net_stats before, after; /* of the throughput test */
} perf_figures;

/* The members of a result. A new reference. */
struct json_t *perf_result(const perf_options *options, const perf_figures *figures, const perf_pinger *pinger);
/* The same for people. */
void perf_print(FILE *f, const perf_options *options, const perf_figures *figures, const perf_pinger *pinger);

#endif
