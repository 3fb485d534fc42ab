/* duet perf: how fast data channels are on this machine. It measures set-up time, memory, round-trip time and
 * throughput between two connections over real UDP sockets, both in this thread (--local). */
#include "perf_pair.h"
#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define SETUP_LIMIT  DUET_SECONDS(10)
#define PING_SIZE    64
#define PINGS_MAX    200000
#define HIGH_WATER   (4u << 20) /* bytes that wait before the sender pauses */
#define LOW_WATER    (1u << 20)
#define REPORT_EVERY DUET_SECONDS(1)

typedef struct perf_options {
    app_connection_options connection;
    bool local, json, fresh_certificates;
    size_t size;
    double seconds, ping_seconds;
    unsigned connections;
    uint16_t streams;
} perf_options;

typedef struct perf {
    perf_options options;
    duet_env env;
    duet_net *net;
    perf_pair *pairs; /* options.connections of them; the first one carries the traffic */
    duet_certificate *certificates[2];
    uint8_t *message;

    /* set-up */
    double *setup_ms;
    double kib_per_connection;

    /* ping-pong */
    bool pinging;
    duet_time pinged_at;
    uint32_t *rtt;
    size_t rtt_count;

    /* throughput */
    bool sending;
    uint64_t bytes, messages;
    double seconds, cpu_seconds;
    uint64_t turns, send_calls, receive_calls, datagrams;
} perf;

/* ---- figures ---- */

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double heap_kib(void)
{
    struct mallinfo2 m = mallinfo2();

    return (double)(m.uordblks + m.hblkhd) / 1024.0;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* ---- set-up and memory ---- */

static bool connect_all(perf *p)
{
    perf_pair_options o = {.env = &p->env, .streams = p->options.streams, .max_message_size = p->options.size};

    if (!p->options.fresh_certificates) {
        o.offerer = p->certificates[0];
        o.answerer = p->certificates[1];
    }
    if (o.max_message_size < 262144)
        o.max_message_size = 262144;
    double before = 0;
    for (unsigned i = 0; i < p->options.connections; i++) {
        perf_pair *pair = &p->pairs[i];
        if (i == 1)
            before = heap_kib(); /* the first pair pays for what is shared */
        int err = perf_pair_start(pair, p->net, &o);
        if (err != DUET_OK || !perf_pair_wait(pair, SETUP_LIMIT)) {
            app_error("perf: connection %u: %s", i, err != DUET_OK ? duet_strerror(err) : pair->reason);
            return false;
        }
        p->setup_ms[i] = (double)(pair->opened_at - pair->started) / 1000.0;
    }
    if (p->options.connections > 1) {
        duet_time settle = duet_net_now(p->net) + DUET_MS(400); /* idle: what was needed to connect is given back */
        while (duet_net_now(p->net) < settle)
            duet_net_turn(p->net, settle - duet_net_now(p->net));
        p->kib_per_connection = (heap_kib() - before) / (2.0 * (p->options.connections - 1));
    }
    qsort(p->setup_ms, p->options.connections, sizeof(*p->setup_ms), compare_doubles);
    return true;
}

/* ---- ping-pong ---- */

static void ping(perf *p)
{
    /* The clock itself: duet_net_now stands still during a turn. */
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    p->pinged_at = (duet_time)ts.tv_sec * 1000000000u + (duet_time)ts.tv_nsec;
    duet_dc_send(p->pairs[0].offerer.dc, p->message, PING_SIZE, false);
}

static void pong(perf *p)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    duet_time now = (duet_time)ts.tv_sec * 1000000000u + (duet_time)ts.tv_nsec;

    if (p->rtt_count < PINGS_MAX)
        p->rtt[p->rtt_count++] = (uint32_t)(now - p->pinged_at);
    if (p->pinging)
        ping(p);
}

static void run_for(perf *p, double seconds)
{
    duet_time until = duet_net_now(p->net) + (duet_time)(seconds * 1e6);

    for (duet_time now = duet_net_now(p->net); now < until && !p->pairs[0].failed; now = duet_net_now(p->net))
        duet_net_turn(p->net, until - now);
}

static void measure_latency(perf *p)
{
    p->pinging = true;
    ping(p);
    run_for(p, p->options.ping_seconds);
    p->pinging = false;
    run_for(p, 0.05);
    qsort(p->rtt, p->rtt_count, sizeof(*p->rtt), compare_u32);
}

static double rtt_us(const perf *p, double quantile)
{
    if (p->rtt_count == 0)
        return 0;
    return p->rtt[(size_t)((double)(p->rtt_count - 1) * quantile)] / 1000.0;
}

/* ---- throughput ---- */

static void fill(perf *p)
{
    duet_dc *dc = p->pairs[0].offerer.dc;

    while (p->sending && duet_dc_buffered_amount(dc) < HIGH_WATER) {
        if (duet_dc_send(dc, p->message, p->options.size, false) != DUET_OK)
            break;
    }
}

static void measure_throughput(perf *p)
{
    duet_net_stats before, after;

    p->sending = true;
    duet_dc_set_buffered_amount_low_threshold(p->pairs[0].offerer.dc, LOW_WATER);
    fill(p);
    run_for(p, 0.5); /* warm up: the congestion window grows */
    p->bytes = p->messages = 0;
    duet_net_get_stats(p->net, &before);
    double cpu = cpu_seconds();
    duet_time start = duet_net_now(p->net);
    run_for(p, p->options.seconds);
    p->seconds = (double)(duet_net_now(p->net) - start) / 1e6;
    p->cpu_seconds = cpu_seconds() - cpu;
    duet_net_get_stats(p->net, &after);
    p->sending = false;
    p->turns = after.turns - before.turns;
    p->send_calls = after.send_calls - before.send_calls;
    p->receive_calls = after.receive_calls - before.receive_calls;
    p->datagrams = after.datagrams_out - before.datagrams_out;
}

static void on_message(void *user, perf_end *end, const uint8_t *data, size_t len)
{
    perf *p = user;

    if (end == &p->pairs[0].offerer) {
        pong(p);
    } else if (p->sending) {
        p->bytes += len;
        p->messages++;
    } else {
        duet_dc_send(end->dc, data, len, false);
    }
}

static void on_low(void *user, perf_end *end)
{
    (void)end;
    fill(user);
}

/* ---- report ---- */

static json_t *round_to(double value, int digits)
{
    char text[64];

    snprintf(text, sizeof(text), "%.*f", digits, value);
    return json_real(strtod(text, NULL));
}

static double median(const double *sorted, unsigned count)
{
    return sorted[count / 2];
}

static json_t *result(const perf *p)
{
    json_t *r = json_object();
    json_t *rtt = json_object();

    json_object_set_new(r, "mbps", round_to((double)p->bytes * 8 / 1e6 / p->seconds, 1));
    json_object_set_new(r, "msgs_per_s", round_to((double)p->messages / p->seconds, 1));
    json_object_set_new(r, "cpu_s_per_gb", round_to(p->bytes ? p->cpu_seconds / ((double)p->bytes / 1e9) : 0, 3));
    json_object_set_new(rtt, "p50", round_to(rtt_us(p, 0.5), 1));
    json_object_set_new(rtt, "p99", round_to(rtt_us(p, 0.99), 1));
    json_object_set_new(r, "rtt_us", rtt);
    json_object_set_new(r, "setup_ms", round_to(median(p->setup_ms, p->options.connections), 3));
    json_object_set_new(r, "setup_worst_ms", round_to(p->setup_ms[p->options.connections - 1], 3));
    json_object_set_new(r, "kib_per_connection", round_to(p->kib_per_connection, 1));
    json_object_set_new(r, "size", json_integer((json_int_t)p->options.size));
    json_object_set_new(r, "connections", json_integer(p->options.connections * 2));
    json_object_set_new(r, "streams", json_integer(p->options.streams ? p->options.streams : 1024));
    json_object_set_new(r, "datagrams_per_message",
                        round_to(p->messages ? (double)p->datagrams / (double)p->messages : 0, 2));
    json_object_set_new(r, "datagrams_per_send_call",
                        round_to(p->send_calls ? (double)p->datagrams / (double)p->send_calls : 0, 1));
    return r;
}

static void report(const perf *p)
{
    json_t *r = result(p);

    if (p->options.json) {
        app_lines_write(r);
        return;
    }
    printf("throughput  %10.1f Mbit/s   %.1f messages/s of %zu bytes   %.2f CPU s/GB (both ends)\n",
           json_real_value(json_object_get(r, "mbps")), json_real_value(json_object_get(r, "msgs_per_s")),
           p->options.size, json_real_value(json_object_get(r, "cpu_s_per_gb")));
    printf("round trip  %10.1f us p50  %8.1f us p99   %zu pings of %d bytes\n", rtt_us(p, 0.5), rtt_us(p, 0.99),
           p->rtt_count, PING_SIZE);
    printf("set-up      %10.2f ms median  %.2f ms worst of %u\n", median(p->setup_ms, p->options.connections),
           p->setup_ms[p->options.connections - 1], p->options.connections);
    printf("memory      %10.1f KiB per idle connection\n", p->kib_per_connection);
    json_decref(r);
}

/* ---- command line ---- */

static void usage(FILE *f)
{
    fputs("Usage: duet perf --local [options]\n\n"
          "Measures data channels between two connections of this process over UDP on loopback: set-up time, memory of "
          "idle\n"
          "connections, round-trip time of 64-byte messages, and throughput.\n\n"
          "  --size BYTES         size of the messages, default 65535\n"
          "  --seconds S          length of the throughput test, default 5\n"
          "  --ping-seconds S     length of the round-trip test, default 1\n"
          "  --connections N      pairs that are set up, default 20\n"
          "  --streams N          SCTP streams of each connection, default 1024\n"
          "  --fresh-certificates make a certificate for each connection, within the set-up time\n"
          "  --json               one line of JSON\n"
          "  --no-offload         no UDP GSO and GRO\n",
          f);
}

enum {
    OPTION_LOCAL = 1,
    OPTION_SIZE,
    OPTION_SECONDS,
    OPTION_PING,
    OPTION_CONNECTIONS,
    OPTION_STREAMS,
    OPTION_FRESH,
    OPTION_JSON,
    OPTION_HELP
};

static const struct option long_options[] = {
    APP_CONNECTION_OPTIONS,
    {"local", no_argument, NULL, OPTION_LOCAL},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"ping-seconds", required_argument, NULL, OPTION_PING},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"streams", required_argument, NULL, OPTION_STREAMS},
    {"fresh-certificates", no_argument, NULL, OPTION_FRESH},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* @return false after an error message */
static bool parse_number(const char *name, const char *text, double low, double high, double *out)
{
    char *end;

    *out = strtod(text, &end);
    if (end != text && *end == 0 && *out >= low && *out <= high)
        return true;
    app_error("--%s %s: give a number from %g to %g", name, text, low, high);
    return false;
}

static bool parse_option(perf_options *o, int option, const char *value)
{
    int taken = app_connection_option(&o->connection, option, value);
    double number = 0;

    if (taken != 0)
        return taken > 0;
    switch (option) {
    case OPTION_LOCAL:
        o->local = true;
        return true;
    case OPTION_JSON:
        o->json = true;
        return true;
    case OPTION_FRESH:
        o->fresh_certificates = true;
        return true;
    case OPTION_SECONDS:
        return parse_number("seconds", value, 0.1, 3600, &o->seconds);
    case OPTION_PING:
        return parse_number("ping-seconds", value, 0, 3600, &o->ping_seconds);
    case OPTION_SIZE:
        if (!parse_number("size", value, 1, 1 << 24, &number))
            return false;
        o->size = (size_t)number;
        return true;
    case OPTION_CONNECTIONS:
        if (!parse_number("connections", value, 1, 10000, &number))
            return false;
        o->connections = (unsigned)number;
        return true;
    case OPTION_STREAMS:
        if (!parse_number("streams", value, 1, 65535, &number))
            return false;
        o->streams = (uint16_t)number;
        return true;
    default:
        return false;
    }
}

static int parse_command_line(perf_options *o, int argc, char **argv)
{
    int option;

    *o = (perf_options){.size = 65535, .seconds = 5, .ping_seconds = 1, .connections = 20};
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            usage(stdout);
            return APP_OK;
        }
        if (!parse_option(o, option, optarg))
            return APP_BAD_USAGE;
    }
    if (!o->local || optind != argc) {
        app_error("perf: say --local");
        usage(stderr);
        return APP_BAD_USAGE;
    }
    return -1;
}

static bool prepare(perf *p)
{
    duet_net_config config;
    unsigned count = p->options.connections;

    p->env = (duet_env)DUET_ENV_INIT;
    p->env.log = app_log;
    duet_net_config_init(&config);
    config.no_offload = p->options.connection.no_offload;
    p->pairs = calloc(count, sizeof(*p->pairs));
    p->setup_ms = calloc(count, sizeof(*p->setup_ms));
    p->message = calloc(1, p->options.size + PING_SIZE);
    p->rtt = calloc(PINGS_MAX, sizeof(*p->rtt));
    if (!p->pairs || !p->setup_ms || !p->message || !p->rtt || duet_net_create(&p->net, &config) != DUET_OK)
        return false;
    for (size_t i = 0; i < 2; i++) {
        if (duet_certificate_generate(&p->certificates[i], &p->env, DUET_KEY_ECDSA_P256, 0) != DUET_OK)
            return false;
    }
    p->pairs[0].on_message = on_message;
    p->pairs[0].on_low = on_low;
    p->pairs[0].user = p;
    return true;
}

static int run(perf *p)
{
    int code = APP_FAILED;

    if (!prepare(p))
        app_error("perf: cannot start: out of memory or descriptors");
    else if (connect_all(p)) {
        measure_latency(p);
        measure_throughput(p);
        report(p);
        code = APP_OK;
    }
    for (unsigned i = 0; p->pairs && i < p->options.connections; i++) {
        if (p->pairs[i].net)
            perf_pair_end(&p->pairs[i]);
    }
    duet_net_destroy(p->net);
    duet_certificate_destroy(p->certificates[0]);
    duet_certificate_destroy(p->certificates[1]);
    free(p->pairs);
    free(p->setup_ms);
    free(p->message);
    free(p->rtt);
    return code;
}

int app_perf(int argc, char **argv)
{
    perf *p = calloc(1, sizeof(*p));

    if (!p)
        return APP_FAILED;
    int code = parse_command_line(&p->options, argc, argv);
    if (code < 0)
        code = run(p);
    free(p);
    return code;
}
