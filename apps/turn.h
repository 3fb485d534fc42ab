/* What the files of `duet turn` share. */
#ifndef DUET_APPS_TURN_H
#define DUET_APPS_TURN_H

#include "app.h"
#include "duet/turn.h"

#define TURN_USERS_MAX     1024
#define TURN_LISTENERS_MAX 32
#define TURN_RULES_MAX     256
#define TURN_WORKERS_MAX   64
#define TURN_TEXT_MAX      1024

/* ---- turn_options.c ---- */

typedef struct turn_options {
    duet_turn_listener listeners[TURN_LISTENERS_MAX];
    size_t listener_count;
    duet_turn_user users[TURN_USERS_MAX];
    size_t user_count;
    char secret[TURN_TEXT_MAX]; /* "" when there is none */
    const char *realm, *certificate, *key;
    duet_address relay[2], external[2]; /* IPv4, IPv6 */
    uint16_t port_min, port_max;
    const char *allow[TURN_RULES_MAX], *deny[TURN_RULES_MAX];
    size_t allow_count, deny_count;
    duet_address alternate;
    const char *metrics;
    uint32_t allocations, user_allocations;
    uint64_t bandwidth, user_bandwidth;
    unsigned workers;
    double drain; /* seconds */
    bool no_udp, no_tcp, json, verbose;
} turn_options;

/* @return -1 to go on, or an exit code */
int turn_parse_options(turn_options *o, int argc, char **argv);
void turn_free_options(turn_options *o);

/* ---- turn_service.c: workers, each a thread with a loop and a server of its own ---- */

typedef struct turn_service turn_service;

/* Starts them; all listen when it returns. @return NULL after an error message */
turn_service *turn_service_start(const turn_options *o);
/* Where the listener with that index listens. */
const duet_address *turn_service_address(const turn_service *service, size_t listener);
/* Readable when the last allocation of a service that drains is gone. */
int turn_service_fd(const turn_service *service);
void turn_service_drain(turn_service *service);
/* The sum over all workers. Waits for them. */
void turn_service_stats(turn_service *service, duet_turn_stats *out);
void turn_service_stop(turn_service *service); /* NULL is fine */

/* ---- turn_metrics.c: Prometheus' text format over HTTP ---- */

typedef struct turn_metrics turn_metrics;

/* @param address  "127.0.0.1:9641"; out: where it listens. @return NULL after an error message */
turn_metrics *turn_metrics_start(turn_service *service, const char *listen, duet_address *address);
void turn_metrics_stop(turn_metrics *metrics); /* NULL is fine */

#endif
