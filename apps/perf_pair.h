/* Two connections in one process and one thread, joined by function calls for signaling and by real UDP sockets on
 * loopback for everything else. */
#ifndef DUET_APPS_PERF_PAIR_H
#define DUET_APPS_PERF_PAIR_H

#include "app.h"

typedef struct perf_pair perf_pair;

typedef struct perf_end {
    perf_pair *pair;
    duet_pc *pc;
    void *owner; /* of `open` and `close` */
    duet_dc *dc;
    bool open;
} perf_end;

struct perf_pair {
    duet_net *net;
    perf_end offerer, answerer;
    duet_time started, opened_at; /* create_offer, and both channels open */
    bool failed;
    const char *reason;
    /* Set before the channels open. `end` is the one that received. */
    void (*on_message)(void *user, perf_end *end, const uint8_t *data, size_t len);
    void (*on_low)(void *user, perf_end *end);
    void *user;
    void (*close)(perf_end *end);
};

typedef struct perf_pair_options {
    const duet_env *env; /* also that of the connections that `open` makes */
    /* Make and end the connection of an end in another way than with the defaults on 127.0.0.1; both or none. `open`
     * sets end->pc and adds it to the loop; `close` is called for every end, whether `open` succeeded or not. */
    int (*open)(void *user, perf_end *end, duet_pc_config *config);
    void (*close)(perf_end *end);
    void *user;
    duet_certificate *offerer, *answerer; /* NULL: fresh ones, whose making counts in the set-up */
    uint16_t streams;
    size_t max_message_size;
} perf_pair_options;

/* Starts to connect; turn the loop until `opened_at` is set or `failed`. */
int perf_pair_start(perf_pair *pair, duet_net *net, const perf_pair_options *options);
bool perf_pair_wait(perf_pair *pair, duet_time limit);
void perf_pair_end(perf_pair *pair);

#endif
