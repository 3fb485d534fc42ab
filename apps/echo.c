/* duet echo: the pair that everybody writes first. `serve` sends every message back, with many peers at once; `call`
 * sends messages to it and tells the round-trip time. They find each other in a room of the signaling server, or
 * over aiortc's sockets. */
#include "echo.h"
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MESSAGE_DEFAULT "Hello, WebRTC!"
#define CHANNEL_DEFAULT "chat"
#define SIZE_LIMIT      (256u << 20)

/* ---- saying and ending ---- */

duet_time echo_clock(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (duet_time)ts.tv_sec * 1000000u + (duet_time)ts.tv_nsec / 1000u;
}

char *echo_quote(char *buf, size_t size, const char *text, size_t len)
{
    size_t used = 0;

    buf[used++] = '"';
    for (size_t i = 0; i < len && used + 8 < size; i++)
        buf[used++] = (uint8_t)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
    bool cut = used < len + 1;
    while (cut && used > 1 && (buf[used - 1] & 0x80))
        used--; /* no half of a character */
    snprintf(buf + used, size - used, "%s", cut ? "…\"" : "\"");
    return buf;
}

void echo_say(const echo *e, json_t *object, const char *format, ...)
{
    va_list args;

    if (e->options.json) {
        app_lines_write(object);
        return;
    }
    json_decref(object);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

void echo_finish(echo *e, int exit_code)
{
    if (e->finished)
        return;
    e->finished = true;
    e->exit_code = exit_code;
    duet_net_stop(e->net);
}

void echo_fail(echo *e, const char *format, ...)
{
    char text[320];
    va_list args;

    if (e->finished)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    app_error("%s", text);
    echo_finish(e, APP_FAILED);
}

/* ---- what the link tells ---- */

static void on_ready(void *user, const char *self, const char *ice_servers)
{
    echo *e = user;
    const echo_options *o = &e->options;

    free(e->ice_servers);
    e->ice_servers = ice_servers ? strdup(ice_servers) : NULL;
    json_t *object = json_pack("{s:s,s:s,s:s*}", "type", "ready", "self", self, "room", o->link.room);
    if (o->link.room)
        echo_say(e, object, "%s in room %s as %.8s", o->is_call ? "looking for a peer" : "serving echoes", o->link.room,
                 self);
    else
        echo_say(e, object, "%s at %s", o->is_call ? "waiting for the peer" : "serving echoes", o->link.url);
}

static void call_peer(echo *e, const char *peer, const char *agent_id)
{
    if (e->peers || (e->options.peer && strcmp(e->options.peer, peer) != 0))
        return;
    echo_say(e, json_pack("{s:s,s:s,s:s}", "type", "calling", "peer", peer, "agentId", agent_id), "calling %.8s (%s)",
             peer, agent_id);
    echo_peer *p = echo_peer_create(e, peer);
    if (!p) {
        echo_fail(e, "no connection could be made");
        return;
    }
    echo_call_begin(e->call, p);
    if (!e->finished)
        echo_peer_offer(p);
}

static void on_peer(void *user, const char *peer, const char *agent_id)
{
    echo *e = user;

    if (e->options.is_call)
        call_peer(e, peer, agent_id);
}

static void on_gone(void *user, const char *peer, const char *reason)
{
    echo *e = user;
    echo_peer *p = echo_peer_find(e, peer);

    if (p && e->options.is_call)
        echo_fail(e, "the peer is gone: %s", reason);
    else if (p)
        echo_peer_end(p, reason);
}

static void on_description(void *user, const char *peer, duet_sdp_type type, const char *sdp)
{
    echo *e = user;
    echo_peer *p = echo_peer_find(e, peer);

    if (e->options.is_call != (type == DUET_SDP_ANSWER))
        return; /* the server answers, the caller is answered */
    if (p && !e->options.is_call && echo_peer_is_other_session(p, sdp)) {
        echo_peer_end(p, "begins anew");
        p = NULL;
    }
    if (!p && !e->options.is_call)
        p = echo_peer_create(e, peer);
    if (p)
        echo_peer_take_description(p, type, sdp);
}

static void on_candidate(void *user, const char *peer, const duet_pc_candidate *candidate)
{
    echo *e = user;
    echo_peer *p = echo_peer_find(e, peer);

    if (!p && !e->options.is_call)
        p = echo_peer_create(e, peer); /* it overtook the offer: the connection keeps it */
    if (p)
        echo_peer_take_candidate(p, candidate);
}

static void on_closed(void *user, const char *reason)
{
    echo_fail(user, "%s", reason);
}

/* ---- running ---- */

static void timed_out(void *arg)
{
    echo *e = arg;

    if (!e->peers)
        echo_fail(e, "time-out: there is no peer to call");
    else
        echo_fail(e, "time-out: %s", e->peers->connected ? "not all echoes came back" : "no connection");
}

static void interrupted(void *arg, unsigned ready)
{
    echo *e = arg;

    (void)ready;
    echo_finish(e, e->options.is_call ? APP_FAILED : APP_OK);
}

static void write_result(const echo *e)
{
    json_t *result = json_pack("{s:s,s:b}", "type", "result", "ok", e->exit_code == APP_OK);
    const json_t *average;

    echo_call_report(e->call, result);
    average = json_object_get(result, "rttAvgMs");
    json_incref(result);
    if (average)
        echo_say(e, result, "%lld of %u echoes, round-trip time min %.2f, average %.2f, max %.2f ms",
                 (long long)json_integer_value(json_object_get(result, "received")), e->options.count,
                 json_real_value(json_object_get(result, "rttMinMs")), json_real_value(average),
                 json_real_value(json_object_get(result, "rttMaxMs")));
    else
        echo_say(e, result, "no echo came back");
    json_decref(result);
}

static int run_loop(echo *e)
{
    const app_link_callbacks callbacks = {on_ready, on_peer, on_gone, on_description, on_candidate, on_closed, e};
    duet_net_timer *timeout = NULL;

    e->options.link.ca_file = e->options.connection.ca_file;
    int code = app_link_open(&e->link, e->net, &e->options.link, &callbacks);
    if (code != APP_OK)
        return code;
    if (e->options.is_call)
        duet_net_timer_start(&timeout, e->net, (duet_time)(e->options.timeout * 1e6), timed_out, e);
    if (!e->finished)
        duet_net_run(e->net);
    duet_net_timer_cancel(timeout);
    if (e->options.is_call)
        write_result(e);
    app_link_close(&e->link);
    echo_peers_free(e);
    return e->exit_code;
}

static void on_mux_listening(void *user, int err, const duet_address *local)
{
    char text[DUET_ADDRESS_TEXT_MAX];

    if (err != DUET_OK)
        echo_fail(user, "--mux: cannot open %s: %s", duet_address_text(local, text, sizeof(text)), duet_strerror(err));
}

/* One UDP port for all peers. */
static bool start_mux(echo *e)
{
    const app_connection_options *o = &e->options.connection;
    duet_mux_config config;

    if (e->options.mux_port == 0)
        return true;
    duet_mux_config_init(&config);
    config.port = e->options.mux_port;
    config.bind = o->bind;
    config.loopback = !o->no_loopback;
    config.on_listening = on_mux_listening;
    config.user = e;
    return duet_mux_create(&e->mux, &config) == DUET_OK &&
           duet_net_attach(e->net, duet_mux_endpoint_ops(), e->mux) == DUET_OK;
}

static void stop_mux(echo *e)
{
    if (!e->mux)
        return;
    duet_net_detach(e->net, e->mux);
    duet_mux_destroy(e->mux);
}

static int run(echo *e)
{
    const app_trace_options *t = &e->options.connection.trace;
    app_interrupt interrupt;
    int code = APP_FAILED;

    if (t->pcap || t->keylog || t->events) {
        e->trace = app_trace_open(t);
        if (!e->trace)
            return APP_BAD_USAGE;
    }
    if (duet_net_create(&e->net, NULL) == DUET_OK && start_mux(e) &&
        (!e->options.is_call || echo_call_create(e) == DUET_OK)) {
        app_interrupt_start(&interrupt, e->net, interrupted, e);
        code = run_loop(e);
        app_interrupt_stop(&interrupt);
    }
    echo_call_destroy(e->call);
    stop_mux(e);
    duet_net_destroy(e->net);
    app_trace_close(e->trace);
    free(e->ice_servers);
    return code;
}

/* ---- command line ---- */

static void usage(FILE *f)
{
    fputs(
        "Usage: duet echo serve --signaling URL [options]\n"
        "       duet echo call --signaling URL [options]\n\n"
        "serve answers every offer and sends each message back as it came. call offers a data channel, sends messages\n"
        "and prints each echo with its round-trip time.\n\n"
        "  --signaling URL    ws://HOST:PORT for a room of duet signal; tcp://HOST:PORT or unix://PATH for a peer "
        "with\n"
        "                     aiortc's TcpSocketSignaling or UnixSocketSignaling\n"
        "  --room ID          the room to join\n"
        "  --token TOKEN      for the room server; without it, what DUET_TOKEN in the environment says\n"
        "  --peer ID          call: this participant; default is the first other one\n"
        "  --message TEXT     call: what to send, default \"" MESSAGE_DEFAULT "\"\n"
        "  --size BYTES       call: binary messages of this size instead\n"
        "  --count N          call: how many messages, default 1\n"
        "  --channel LABEL    call: of the data channel, default \"" CHANNEL_DEFAULT "\"\n"
        "  --timeout SECONDS  call: overall limit, default 30\n"
        "  --mux PORT         serve: one UDP port for all peers\n"
        "  --once             serve: end when the first peer has gone\n"
        "  --quiet            no line for each message\n"
        "  --json             JSON lines instead of text\n",
        f);
    fputs(app_connection_help, f);
}

enum {
    OPTION_SIGNALING = 1,
    OPTION_ROOM,
    OPTION_TOKEN,
    OPTION_PEER,
    OPTION_MESSAGE,
    OPTION_SIZE,
    OPTION_COUNT,
    OPTION_CHANNEL,
    OPTION_TIMEOUT,
    OPTION_MUX,
    OPTION_ONCE,
    OPTION_QUIET,
    OPTION_JSON,
    OPTION_HELP,
};

static const struct option long_options[] = {
    APP_CONNECTION_OPTIONS,
    {"signaling", required_argument, NULL, OPTION_SIGNALING},
    {"room", required_argument, NULL, OPTION_ROOM},
    {"token", required_argument, NULL, OPTION_TOKEN},
    {"peer", required_argument, NULL, OPTION_PEER},
    {"message", required_argument, NULL, OPTION_MESSAGE},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"channel", required_argument, NULL, OPTION_CHANNEL},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"mux", required_argument, NULL, OPTION_MUX},
    {"once", no_argument, NULL, OPTION_ONCE},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static bool parse_option(echo_options *o, int option, const char *value)
{
    uint64_t number;
    int taken = app_connection_option(&o->connection, option, value);

    if (taken != 0)
        return taken > 0;
    switch (option) {
    case OPTION_SIGNALING:
        o->link.url = value;
        return true;
    case OPTION_ROOM:
        o->link.room = value;
        return true;
    case OPTION_TOKEN:
        o->link.token = value;
        return true;
    case OPTION_PEER:
        o->peer = value;
        return true;
    case OPTION_MESSAGE:
        o->message = value;
        return true;
    case OPTION_SIZE:
        if (!app_parse_number("--size", value, 1, SIZE_LIMIT, &number))
            return false;
        o->size = number;
        return true;
    case OPTION_COUNT:
        if (!app_parse_number("--count", value, 1, UINT_MAX, &number))
            return false;
        o->count = (unsigned)number;
        return true;
    case OPTION_CHANNEL:
        o->channel = value;
        return true;
    case OPTION_TIMEOUT:
        return app_parse_timeout(value, &o->timeout);
    case OPTION_MUX:
        if (!app_parse_number("--mux", value, 1, UINT16_MAX, &number))
            return false;
        o->mux_port = (uint16_t)number;
        return true;
    case OPTION_ONCE:
        o->once = true;
        return true;
    case OPTION_QUIET:
        o->quiet = true;
        return true;
    case OPTION_JSON:
        o->json = true;
        return true;
    default:
        return false;
    }
}

/* @return -1 to go on, or an exit code */
static int parse_command_line(echo_options *o, int argc, char **argv)
{
    int option;

    *o = (echo_options){.message = MESSAGE_DEFAULT,
                        .channel = CHANNEL_DEFAULT,
                        .count = 1,
                        .timeout = 30,
                        .link.token = getenv("DUET_TOKEN")};
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            usage(stdout);
            return APP_OK;
        }
        if (!parse_option(o, option, optarg))
            return APP_BAD_USAGE;
    }
    const char *role = optind < argc ? argv[optind] : "";
    o->is_call = strcmp(role, "call") == 0;
    o->link.offers = o->is_call;
    if (o->mux_port && (o->is_call || o->connection.impairment.enabled)) {
        app_error("echo: --mux is for serve, and does not go with --impair");
        return APP_BAD_USAGE;
    }
    if ((o->is_call || strcmp(role, "serve") == 0) && optind + 1 == argc && o->link.url)
        return -1;
    app_error("echo: say serve or call, and --signaling");
    usage(stderr);
    return APP_BAD_USAGE;
}

int app_echo(int argc, char **argv)
{
    echo *e = calloc(1, sizeof(*e));

    if (!e)
        return APP_FAILED;
    int code = parse_command_line(&e->options, argc, argv);
    if (code < 0)
        code = run(e);
    free(e);
    return code;
}
