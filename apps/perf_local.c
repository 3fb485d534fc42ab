/* duet perf --local: both ends in this thread, over real UDP sockets on loopback. */
#include "perf_meter.h"
#include "perf_pair.h"
#include <jansson.h>
#include <stdlib.h>

#define SETUP_LIMIT DUET_SECONDS(10)

typedef struct local {
    const perf_options *options;
    app_connection_options connection; /* on loopback unless told otherwise, not traced */
    duet_env env;
    duet_net *net;
    perf_pair *pairs; /* options->connections of them; the first one carries the traffic */
    duet_certificate *certificates[2];
    double *setup_ms;
    perf_pinger pinger;
    perf_flood flood;
    perf_figures figures;
} local;

/* ---- set-up and memory ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool run_until(local *l, duet_time until)
{
    for (duet_time now = duet_net_now(l->net); now < until && !l->pairs[0].failed; now = duet_net_now(l->net))
        duet_net_turn(l->net, until - now);
    return !l->pairs[0].failed;
}

static bool run_for(local *l, double seconds)
{
    return run_until(l, duet_net_now(l->net) + (duet_time)(seconds * 1e6));
}

/* The files of --pcap and its like are those of the first offerer. */
static int open_end(void *user, perf_end *end, duet_pc_config *config)
{
    local *l = user;
    app_connection_options o = l->connection;
    app_connection *c = calloc(1, sizeof(*c));

    if (!c)
        return DUET_ERR_NOMEM;
    if (end == &l->pairs[0].offerer)
        o.trace = l->options->connection.trace;
    end->owner = c;
    if (app_connection_open(c, &o, config, l->net) != APP_OK)
        return DUET_ERR_INVALID;
    end->pc = c->pc;
    return DUET_OK;
}

static void close_end(perf_end *end)
{
    if (end->owner)
        app_connection_close(end->owner);
    free(end->owner);
}

static bool connect_one(local *l, unsigned i)
{
    perf_pair *pair = &l->pairs[i];
    perf_pair_options o = {.env = &l->env,
                           .open = open_end,
                           .close = close_end,
                           .user = l,
                           .streams = l->options->streams,
                           .max_message_size = perf_max_message(l->options)};

    if (!l->options->fresh_certificates) {
        o.offerer = l->certificates[0];
        o.answerer = l->certificates[1];
    }
    int err = perf_pair_start(pair, l->net, &o);
    if (err != DUET_OK || !perf_pair_wait(pair, SETUP_LIMIT)) {
        app_error("perf: connection %u: %s", i, err != DUET_OK ? duet_strerror(err) : pair->reason);
        return false;
    }
    l->setup_ms[i] = (double)(pair->opened_at - pair->started) / 1000.0;
    return true;
}

static bool connect_all(local *l)
{
    unsigned count = l->options->connections;
    double before = 0;

    for (unsigned i = 0; i < count; i++) {
        if (i == 1)
            before = perf_heap_kib(); /* the first pair pays for what is shared */
        if (!connect_one(l, i))
            return false;
    }
    if (count > 1) {
        run_until(l, duet_net_now(l->net) + PERF_SETTLE);
        l->figures.kib_per_connection = (perf_heap_kib() - before) / (2.0 * (count - 1));
    }
    qsort(l->setup_ms, count, sizeof(*l->setup_ms), compare_doubles);
    l->figures.setup_ms = l->setup_ms[count / 2];
    l->figures.setup_worst_ms = l->setup_ms[count - 1];
    return true;
}

/* ---- measurements ---- */

static bool measure_latency(local *l)
{
    perf_pinger_start(&l->pinger, l->pairs[0].offerer.dc);
    run_for(l, l->options->ping_seconds);
    l->pinger.running = false;
    run_for(l, 0.05);
    perf_pinger_sort(&l->pinger);
    return !l->pairs[0].failed;
}

static bool measure_throughput(local *l)
{
    perf_figures *f = &l->figures;

    perf_flood_start(&l->flood, l->pairs[0].offerer.dc);
    run_for(l, PERF_WARM_UP);
    f->bytes = f->messages = 0;
    duet_net_get_stats(l->net, &f->before);
    double cpu = perf_cpu_seconds();
    duet_time start = duet_net_now(l->net);
    run_for(l, l->options->seconds);
    f->seconds = (double)(duet_net_now(l->net) - start) / 1e6;
    f->cpu_seconds[0] = perf_cpu_seconds() - cpu;
    duet_net_get_stats(l->net, &f->after);
    l->flood.running = false;
    return !l->pairs[0].failed;
}

static void on_message(void *user, perf_end *end, const uint8_t *data, size_t len)
{
    local *l = user;

    if (end == &l->pairs[0].offerer) {
        perf_pinger_pong(&l->pinger);
    } else if (l->flood.running) {
        l->figures.bytes += len;
        l->figures.messages++;
    } else {
        duet_dc_send(end->dc, data, len, false);
    }
}

static void on_low(void *user, perf_end *end)
{
    local *l = user;

    (void)end;
    perf_flood_fill(&l->flood);
}

/* ---- one run ---- */

static bool prepare(local *l)
{
    duet_net_config config;
    unsigned count = l->options->connections;

    l->env = (duet_env)DUET_ENV_INIT;
    l->env.log = app_log;
    l->connection = l->options->connection;
    l->connection.trace = (app_trace_options){0};
    if (l->connection.bind.family == DUET_AF_NONE)
        duet_address_parse(&l->connection.bind, "127.0.0.1", 0);
    l->figures.connections = count * 2;
    duet_net_config_init(&config);
    config.no_offload = l->connection.no_offload;
    l->pairs = calloc(count, sizeof(*l->pairs));
    l->setup_ms = calloc(count, sizeof(*l->setup_ms));
    if (!l->pairs || !l->setup_ms || !perf_pinger_init(&l->pinger) || !perf_flood_init(&l->flood, l->options->size) ||
        duet_net_create(&l->net, &config) != DUET_OK)
        return false;
    for (size_t i = 0; i < 2; i++) {
        if (duet_certificate_generate(&l->certificates[i], &l->env, DUET_KEY_ECDSA_P256, 0) != DUET_OK)
            return false;
    }
    l->pairs[0].on_message = on_message;
    l->pairs[0].on_low = on_low;
    l->pairs[0].user = l;
    return true;
}

static void clean_up(local *l)
{
    for (unsigned i = 0; l->pairs && i < l->options->connections; i++)
        perf_pair_end(&l->pairs[i]);
    duet_net_destroy(l->net);
    duet_certificate_destroy(l->certificates[0]);
    duet_certificate_destroy(l->certificates[1]);
    perf_pinger_free(&l->pinger);
    perf_flood_free(&l->flood);
    free(l->pairs);
    free(l->setup_ms);
}

static void report(const local *l)
{
    if (l->options->json)
        app_lines_write(perf_result(l->options, &l->figures, &l->pinger));
    else
        perf_print(stdout, l->options, &l->figures, &l->pinger);
}

int perf_local(const perf_options *options)
{
    local l = {.options = options};
    int code = APP_FAILED;

    if (!prepare(&l)) {
        app_error("perf: cannot start: out of memory or descriptors");
    } else if (connect_all(&l)) {
        if (measure_latency(&l) && measure_throughput(&l)) {
            report(&l);
            code = APP_OK;
        } else {
            app_error("perf: %s", l.pairs[0].reason);
        }
    }
    clean_up(&l);
    return code;
}
