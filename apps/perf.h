/* duet perf: its options, and its two ways to run. */
#ifndef DUET_APPS_PERF_H
#define DUET_APPS_PERF_H

#include "app.h"

typedef struct perf_options {
    app_connection_options connection;
    bool local, json, fresh_certificates;
    size_t size;
    double seconds, ping_seconds;
    unsigned connections;
    uint16_t streams;
} perf_options;

/* Both ends in this thread. @return an exit code */
int perf_local(const perf_options *options);
/* One end; the other one is another process, joined by lines of signaling. */
int perf_remote(const perf_options *options, bool is_offer);

/* The largest message that the channels of a measurement must take. */
size_t perf_max_message(const perf_options *options);

#endif
