/* duet perf offer|answer: one end of a measurement between two processes. The offerer drives it: pings on one channel,
 * then a flood on another one, between the texts "start" and "stop". The answerer sends the pings back, counts the flood,
 * and reports what arrived. */
#include "line_signaling.h"
#include "perf_meter.h"
#include "perf_pair.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SETUP_LIMIT   DUET_SECONDS(30)
#define REPORT_LIMIT  DUET_SECONDS(30)
#define GOODBYE_LIMIT DUET_SECONDS(5)
#define PING_LABEL    "perf-ping"
#define FLOOD_LABEL   "perf-flood"

static const char start_text[] = "start";
static const char stop_text[] = "stop";

typedef struct remote {
    const perf_options *options;
    app_connection connection;
    line_signaling signaling;
    duet_net *net;
    duet_dc *ping, *flood_dc;
    bool ping_open, flood_open;
    perf_pinger pinger;
    perf_flood flood;
    perf_figures figures;
    duet_time started, opened_at;
    double heap_before;

    bool counting, reported, finished, failed;
    duet_time counted_from;
    double cpu_from;
    char reason[256];
} remote;

/* ---- the end ---- */

static void fail(remote *r, const char *reason)
{
    if (r->failed || r->finished)
        return;
    r->failed = true;
    snprintf(r->reason, sizeof(r->reason), "%s", reason ? reason : "");
    app_error("perf: %s", r->reason);
}

static void signaling_failed(void *user, const char *reason)
{
    fail(user, reason);
}

static void input_ended(void *user)
{
    remote *r = user;

    if (r->signaling.done_sent)
        r->finished = true;
    else
        fail(r, "standard input ended before the measurement was done");
}

static void both_done(void *user)
{
    remote *r = user;

    r->finished = true;
}

/* ---- channels ---- */

static void on_open(void *user, duet_dc *dc)
{
    remote *r = user;

    if (dc == r->ping)
        r->ping_open = true;
    else
        r->flood_open = true;
    if (r->ping_open && r->flood_open && !r->opened_at)
        r->opened_at = duet_net_now(r->net);
}

static bool is_text_of(const uint8_t *data, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(data, text, len) == 0;
}

static void read_report(remote *r, const uint8_t *data, size_t len)
{
    json_error_t error;
    json_t *report = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, &error);
    perf_figures *f = &r->figures;

    f->bytes = (uint64_t)json_integer_value(json_object_get(report, "bytes"));
    f->messages = (uint64_t)json_integer_value(json_object_get(report, "messages"));
    f->seconds = json_number_value(json_object_get(report, "seconds"));
    f->cpu_seconds[1] = json_number_value(json_object_get(report, "cpuSeconds"));
    if (json_is_object(report))
        r->reported = true;
    else
        fail(r, "the answerer's report is not JSON");
    json_decref(report);
}

static void offerer_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    remote *r = user;

    if (dc == r->ping && is_text)
        read_report(r, data, len);
    else if (dc == r->ping)
        perf_pinger_pong(&r->pinger);
}

static void count_from_now(remote *r)
{
    r->counting = true;
    r->figures.bytes = r->figures.messages = 0;
    r->counted_from = duet_net_now(r->net);
    r->cpu_from = perf_cpu_seconds();
    duet_net_get_stats(r->net, &r->figures.before);
}

static void stop_counting(remote *r)
{
    perf_figures *f = &r->figures;

    r->counting = false;
    f->seconds = (double)(duet_net_now(r->net) - r->counted_from) / 1e6;
    f->cpu_seconds[1] = perf_cpu_seconds() - r->cpu_from;
    duet_net_get_stats(r->net, &f->after);
    json_t *report = json_pack("{s:I,s:I,s:f,s:f}", "bytes", (json_int_t)f->bytes, "messages", (json_int_t)f->messages,
                               "seconds", f->seconds, "cpuSeconds", f->cpu_seconds[1]);
    char *text = json_dumps(report, JSON_COMPACT);
    json_decref(report);
    if (!text || duet_dc_send(r->ping, text, strlen(text), true) != DUET_OK)
        fail(r, "the report could not be sent");
    free(text);
    line_signaling_done(&r->signaling);
}

static void answerer_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    remote *r = user;

    if (dc == r->ping) {
        if (!is_text)
            duet_dc_send(dc, data, len, false);
    } else if (is_text && is_text_of(data, len, start_text)) {
        count_from_now(r);
    } else if (is_text && is_text_of(data, len, stop_text)) {
        stop_counting(r);
    } else if (r->counting) {
        r->figures.bytes += len;
        r->figures.messages++;
    }
}

static void on_low(void *user, duet_dc *dc)
{
    remote *r = user;

    if (dc == r->flood_dc)
        perf_flood_fill(&r->flood);
}

static void on_close(void *user, duet_dc *dc)
{
    remote *r = user;

    (void)dc;
    if (!r->signaling.done_sent)
        fail(r, "a data channel closed");
}

static void use_channel(remote *r, duet_dc *dc)
{
    bool is_ping = strcmp(duet_dc_label(dc), PING_LABEL) == 0;
    duet_dc_callbacks callbacks = {.size = sizeof(callbacks),
                                   .on_open = on_open,
                                   .on_message = r->signaling.is_offer ? offerer_message : answerer_message,
                                   .on_buffered_amount_low = on_low,
                                   .on_close = on_close,
                                   .user = r};

    *(is_ping ? &r->ping : &r->flood_dc) = dc;
    duet_dc_set_callbacks(dc, &callbacks);
}

static bool create_channels(remote *r)
{
    static const char *const labels[] = {PING_LABEL, FLOOD_LABEL};
    duet_dc *dc;

    for (size_t i = 0; i < 2; i++) {
        int err = duet_pc_create_data_channel(r->connection.pc, labels[i], NULL, &dc);
        if (err != DUET_OK) {
            fail(r, duet_strerror(err));
            return false;
        }
        use_channel(r, dc);
    }
    return true;
}

/* ---- the connection ---- */

static void on_data_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    remote *r = user;

    (void)pc;
    bool is_ping = strcmp(duet_dc_label(dc), PING_LABEL) == 0;
    if (!r->signaling.is_offer && !*(is_ping ? &r->ping : &r->flood_dc))
        use_channel(r, dc);
}

static void on_ice_candidate(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    const remote *r = user;

    (void)pc;
    line_signaling_candidate(&r->signaling, candidate);
}

static void on_connection_state(void *user, duet_pc *pc, duet_pc_state state)
{
    (void)pc;
    if (state == DUET_PC_FAILED)
        fail(user, "the connection failed");
}

/* Turns the loop until `*flag`, or until the time is up when `limit` is not DUET_NEVER. */
static bool wait_for(remote *r, const bool *flag, duet_time limit, const char *reason)
{
    duet_time until = limit == DUET_NEVER ? DUET_NEVER : duet_net_now(r->net) + limit;

    while (!*flag && !r->failed) {
        duet_time now = duet_net_now(r->net);
        if (now >= until)
            fail(r, reason);
        else
            duet_net_turn(r->net, until == DUET_NEVER ? DUET_NEVER : until - now);
    }
    return !r->failed;
}

static bool run_for(remote *r, duet_time time)
{
    duet_time until = duet_net_now(r->net) + time;

    for (duet_time now = duet_net_now(r->net); now < until && !r->failed; now = duet_net_now(r->net))
        duet_net_turn(r->net, until - now);
    return !r->failed;
}

/* ---- the offerer's measurements ---- */

static bool measure_setup(remote *r)
{
    if (!wait_for(r, &r->ping_open, SETUP_LIMIT, "timeout: the data channels did not open") ||
        !wait_for(r, &r->flood_open, SETUP_LIMIT, "timeout: the data channels did not open"))
        return false;
    r->figures.setup_ms = r->figures.setup_worst_ms = (double)(r->opened_at - r->started) / 1000.0;
    if (!run_for(r, PERF_SETTLE))
        return false;
    r->figures.kib_per_connection = perf_heap_kib() - r->heap_before;
    return true;
}

static bool measure_latency(remote *r)
{
    perf_pinger_start(&r->pinger, r->ping);
    run_for(r, (duet_time)(r->options->ping_seconds * 1e6));
    r->pinger.running = false;
    run_for(r, DUET_MS(50));
    perf_pinger_sort(&r->pinger);
    return !r->failed;
}

/* A text on the flood's channel: it marks a place in the flood, and waits until there is room for it. */
static bool mark(remote *r, const char *text)
{
    int err;

    while ((err = duet_dc_send(r->flood_dc, text, strlen(text), true)) == DUET_ERR_AGAIN && !r->failed)
        duet_net_turn(r->net, DUET_MS(10));
    if (err != DUET_OK)
        fail(r, duet_strerror(err));
    return !r->failed;
}

static bool measure_throughput(remote *r)
{
    perf_figures *f = &r->figures;

    perf_flood_start(&r->flood, r->flood_dc);
    if (!run_for(r, (duet_time)(PERF_WARM_UP * 1e6)) || !mark(r, start_text))
        return false;
    duet_net_get_stats(r->net, &f->before);
    double cpu = perf_cpu_seconds();
    run_for(r, (duet_time)(r->options->seconds * 1e6));
    r->flood.running = false;
    if (!mark(r, stop_text) || !wait_for(r, &r->reported, REPORT_LIMIT, "timeout: the answerer did not report"))
        return false;
    f->cpu_seconds[0] = perf_cpu_seconds() - cpu;
    duet_net_get_stats(r->net, &f->after);
    return true;
}

static void run_offerer(remote *r)
{
    if (!create_channels(r))
        return;
    r->started = duet_net_now(r->net);
    line_signaling_start(&r->signaling);
    if (!measure_setup(r) || !measure_latency(r) || !measure_throughput(r))
        return;
    line_signaling_done(&r->signaling);
    wait_for(r, &r->finished, GOODBYE_LIMIT, "timeout: the answerer did not say done");
}

static void run_answerer(remote *r)
{
    line_signaling_start(&r->signaling);
    wait_for(r, &r->finished, DUET_NEVER, NULL);
}

/* ---- one run ---- */

static void write_result(const remote *r)
{
    bool is_offer = r->signaling.is_offer, ok = !r->failed;
    json_t *line = json_pack("{s:s,s:s,s:s,s:b}", "type", "result", "endpoint", "duet", "role",
                             is_offer ? "offer" : "answer", "ok", (int)ok);
    json_t *figures = perf_result(r->options, &r->figures, &r->pinger);

    if (!ok)
        json_object_set_new(line, "reason", json_string(r->reason));
    if (ok && is_offer)
        json_object_update(line, figures);
    if (ok && !is_offer) {
        json_object_set(line, "mbps", json_object_get(figures, "mbps"));
        json_object_set(line, "msgs_per_s", json_object_get(figures, "msgs_per_s"));
    }
    json_decref(figures);
    if (ok && is_offer && !r->options->json)
        perf_print(stderr, r->options, &r->figures, &r->pinger);
    app_stats_summary(r->connection.pc, line);
    app_lines_write(line);
}

/* The first connection of a process pays for what all share: that is not the memory of one connection. */
static void warm_up(remote *r)
{
    duet_env env = DUET_ENV_INIT;
    perf_pair_options o = {.env = &env, .max_message_size = perf_max_message(r->options)};
    perf_pair pair = {0};

    if (perf_pair_start(&pair, r->net, &o) == DUET_OK)
        perf_pair_wait(&pair, DUET_SECONDS(5));
    perf_pair_end(&pair);
    run_for(r, DUET_MS(50));
    r->heap_before = perf_heap_kib();
}

static int open_connection(remote *r, bool is_offer)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_net_config net_config;

    duet_net_config_init(&net_config);
    net_config.no_offload = r->options->connection.no_offload;
    if (!perf_pinger_init(&r->pinger) || !perf_flood_init(&r->flood, r->options->size) ||
        duet_net_create(&r->net, &net_config) != DUET_OK) {
        app_error("perf: cannot start: out of memory or descriptors");
        return APP_FAILED;
    }
    if (is_offer)
        warm_up(r);
    config.sctp_streams = r->options->streams;
    config.max_message_size = perf_max_message(r->options);
    config.on_ice_candidate = on_ice_candidate;
    config.on_connection_state = on_connection_state;
    config.on_data_channel = on_data_channel;
    config.user = r;
    int code = app_connection_open(&r->connection, &r->options->connection, &config, r->net);
    r->signaling = (line_signaling){.connection = &r->connection,
                                    .is_offer = is_offer,
                                    .on_failed = signaling_failed,
                                    .on_end = input_ended,
                                    .on_finished = both_done,
                                    .user = r};
    r->figures.two_processes = true;
    r->figures.connections = 1;
    return code;
}

int perf_remote(const perf_options *options, bool is_offer)
{
    remote r = {.options = options};

    int code = open_connection(&r, is_offer);
    if (code == APP_OK) {
        if (is_offer)
            run_offerer(&r);
        else
            run_answerer(&r);
        write_result(&r);
        code = r.failed ? APP_FAILED : APP_OK;
    }
    line_signaling_stop(&r.signaling);
    app_connection_close(&r.connection);
    duet_net_destroy(r.net);
    perf_pinger_free(&r.pinger);
    perf_flood_free(&r.flood);
    return code;
}
