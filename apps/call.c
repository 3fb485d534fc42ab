/* duet call: takes part in a call in a room of the signaling server, with a tone and a pattern or with files instead of
 * microphone and camera, shows what comes, and records it. */
#include "call.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TIMEOUT_DEFAULT 60
#define RESULTS_MAX     64 /* peers in the result */

/* ---- saying and ending ---- */

void call_say(call *c, json_t *object, const char *format, ...)
{
    va_list args;

    if (c->options.json) {
        app_lines_write(object);
        return;
    }
    json_decref(object);
    call_meter_clear_line(c);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

void call_finish(call *c, int exit_code, const char *reason)
{
    if (c->finished)
        return;
    c->finished = true;
    c->exit_code = exit_code;
    c->reason = reason;
    if (c->net)
        duet_net_stop(c->net);
}

static void warn(call *c, char *text, size_t size, const char *format, va_list args)
{
    vsnprintf(text, size, format, args);
    call_meter_clear_line(c);
    fflush(stdout);
    app_error("%s", text);
}

void call_warn(call *c, const char *format, ...)
{
    char text[320];
    va_list args;

    va_start(args, format);
    warn(c, text, sizeof(text), format, args);
    va_end(args);
}

void call_fail(call *c, const char *format, ...)
{
    va_list args;

    if (c->finished)
        return;
    va_start(args, format);
    warn(c, c->problem, sizeof(c->problem), format, args);
    va_end(args);
    call_finish(c, APP_FAILED, "failed");
}

/* ---- the course of the call ---- */

static void time_is_over(void *arg)
{
    call_finish(arg, APP_OK, "the time is over");
}

void call_connected(call *c)
{
    duet_net_timer_cancel(c->timeout);
    c->timeout = NULL;
    if (c->connected++ > 0)
        return;
    c->first_connected = duet_net_now(c->net);
    if (c->options.seconds > 0)
        duet_net_timer_start(&c->end, c->net, (duet_time)(c->options.seconds * 1e6), time_is_over, c);
    (void)call_meter_start(c);
}

/* With --loop it stays for whoever comes next. */
void call_peer_gone(call *c, bool has_failed)
{
    if (c->options.loop || (c->connected == 0 && !has_failed))
        return;
    for (const call_peer *p = c->peers; p; p = p->next) {
        if (!p->over)
            return;
    }
    if (has_failed)
        call_finish(c, APP_FAILED, "the connection failed");
    else
        call_finish(c, APP_OK, "everybody has left");
}

static void timed_out(void *arg)
{
    call *c = arg;

    if (c->connections == 0)
        call_fail(c, "time-out: nobody to call came into room %s (--timeout waits longer)", c->options.link.room);
    else
        call_fail(c, "time-out: no connection ('duet probe' tells what this network lets through)");
}

/* ---- what the link tells ---- */

static void all_told(void *arg)
{
    call *c = arg;

    duet_net_timer_cancel(c->arrived);
    c->arrived = NULL;
    c->is_arriving = false;
}

static void on_ready(void *user, const char *self, const char *ice_servers)
{
    call *c = user;

    free(c->ice_servers);
    c->ice_servers = ice_servers ? strdup(ice_servers) : NULL;
    if (c->self[0] && strcmp(c->self, self) != 0)
        call_peers_forget(c);
    snprintf(c->self, sizeof(c->self), "%s", self);
    call_say(c, json_pack("{s:s,s:s,s:s}", "type", "ready", "self", self, "room", c->options.link.room),
             "in room %s as %.8s", c->options.link.room, self);
    c->is_arriving = true; /* those who are there are told next */
    if (!c->arrived)
        duet_net_timer_start(&c->arrived, c->net, 0, all_told, c);
}

static bool is_wanted(const call *c, const char *peer)
{
    return !c->options.peer || strcmp(c->options.peer, peer) == 0;
}

static void on_peer(void *user, const char *peer, const char *agent_id)
{
    call *c = user;

    if (!c->finished && is_wanted(c, peer))
        call_peer_meet(c, peer, agent_id ? agent_id : "", c->is_arriving);
}

static void on_gone(void *user, const char *peer, const char *reason)
{
    call_peer *p = call_peer_find(user, peer);

    if (p)
        call_peer_end(p, reason, false);
}

static void on_description(void *user, const char *peer, duet_sdp_type type, const char *sdp)
{
    call *c = user;

    if (!c->finished && is_wanted(c, peer))
        call_peer_take_description(c, peer, type, sdp);
}

static void on_candidate(void *user, const char *peer, const duet_pc_candidate *candidate)
{
    call_peer *p = call_peer_find(user, peer);

    if (p)
        call_peer_take_candidate(p, candidate);
}

static void on_closed(void *user, const char *reason)
{
    call_fail(user, "%s", reason);
}

/* ---- the result ---- */

void call_report_peer(call *c, const call_peer *p)
{
    const call_track *audio = &p->tracks[CALL_AUDIO], *video = &p->tracks[CALL_VIDEO];
    json_t *o = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f}", "peer", p->name, "audioSent",
                          (json_int_t)audio->sent, "videoSent", (json_int_t)video->sent, "audioReceived",
                          (json_int_t)audio->frames, "videoReceived", (json_int_t)video->frames, "framesDecoded",
                          (json_int_t)video->decoded, "keyFrames", (json_int_t)video->key_frames, "losses",
                          (json_int_t)(audio->losses + video->losses), "countersRead", (json_int_t)video->counters_read,
                          "countersBackward", (json_int_t)video->counters_backward, "audioEnergy", audio->total_energy);

    if (audio->codec[0])
        json_object_set_new(o, "audioCodec", json_string(audio->codec));
    if (video->codec[0])
        json_object_set_new(o, "videoCodec", json_string(video->codec));
    if (!c->results)
        c->results = json_array();
    if (json_array_size(c->results) >= RESULTS_MAX)
        json_array_remove(c->results, 0);
    json_array_append_new(c->results, o);
}

/* @return whether the recording is good, where there is one */
static bool write_result(call *c)
{
    double seconds = c->connected ? (double)(duet_net_now(c->net) - c->first_connected) / 1e6 : 0;
    bool is_recorded = !c->record || call_record_finish(c->record);
    bool is_ok = c->exit_code == APP_OK && is_recorded;
    json_t *result = json_pack("{s:s,s:b,s:s,s:f,s:i}", "type", "result", "ok", is_ok, "reason",
                               c->reason ? c->reason : "", "seconds", seconds, "connected", (int)c->connected);
    json_t *problem = c->problem[0] ? json_string(c->problem) : NULL; /* NULL also when it is no UTF-8: a file's name */

    if (problem)
        json_object_set_new(result, "reason", problem);
    json_object_set_new(result, "peers", c->results ? json_incref(c->results) : json_array());
    if (c->record)
        call_record_report(c->record, result);
    const json_t *recorded = json_object_get(result, "recorded");
    json_incref(result);
    if (recorded && is_recorded)
        call_say(c, result, "%s after %.1f s; %s: %.1f s, %lld bytes", c->reason, seconds, c->options.record,
                 json_real_value(json_object_get(recorded, "seconds")),
                 (long long)json_integer_value(json_object_get(recorded, "bytes")));
    else
        call_say(c, result, "%s after %.1f s", c->reason ? c->reason : "it ended", seconds);
    json_decref(result);
    return is_recorded;
}

/* ---- running ---- */

static void interrupted(void *arg, unsigned ready)
{
    call *c = arg;

    (void)ready;
    call_finish(c, c->connected ? APP_OK : APP_FAILED, "interrupted");
}

static void stop_timers(call *c)
{
    duet_net_timer **timers[] = {&c->arrived, &c->timeout, &c->end, &c->player, &c->meter};

    for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        duet_net_timer_cancel(*timers[i]);
        *timers[i] = NULL;
    }
}

static int run_loop(call *c)
{
    const app_link_callbacks callbacks = {on_ready, on_peer, on_gone, on_description, on_candidate, on_closed, c};

    c->options.link.ca_file = c->options.connection.ca_file;
    int code = app_link_open(&c->link, c->net, &c->options.link, &callbacks);
    if (code != APP_OK)
        return code;
    duet_net_timer_start(&c->timeout, c->net, (duet_time)(c->options.timeout * 1e6), timed_out, c);
    if (!c->finished)
        duet_net_run(c->net);
    stop_timers(c);
    call_peers_free(c);
    if (!write_result(c) && c->exit_code == APP_OK)
        c->exit_code = APP_FAILED;
    app_link_close(&c->link);
    return c->exit_code;
}

static int run(call *c)
{
    const app_trace_options *t = &c->options.connection.trace;
    app_interrupt interrupt;
    int code = call_sending_create(c);

    if (code == APP_OK && c->options.record)
        code = call_record_create(c, c->options.record);
    if (code == APP_OK && (t->pcap || t->keylog || t->events)) {
        c->trace = app_trace_open(t);
        code = c->trace ? APP_OK : APP_BAD_USAGE;
    }
    if (code == APP_OK && duet_net_create(&c->net, NULL) != DUET_OK)
        code = APP_FAILED;
    if (code == APP_OK) {
        app_interrupt_start(&interrupt, c->net, interrupted, c);
        code = run_loop(c);
        app_interrupt_stop(&interrupt);
    }
    call_sending_destroy(c->sending);
    call_record_destroy(c->record);
    duet_net_destroy(c->net);
    app_trace_close(c->trace);
    json_decref(c->results);
    free(c->ice_servers);
    return code;
}

/* ---- command line ---- */

static void usage(FILE *f)
{
    fputs("Usage: duet call ROOM --signaling URL [options]\n\n"
          "Takes part in a call: calls everybody in the room and is called, sends sound and pictures, shows what "
          "comes, and\n"
          "records it. It ends when its files were sent, when everybody has left, or with Ctrl-C.\n\n"
          "  --signaling URL    the room server: ws://HOST:PORT or wss://HOST\n"
          "  --token TOKEN      for the room server; without it, what DUET_TOKEN in the environment says\n"
          "  --audio WHAT       tone (the default), none, or a file: Ogg with Opus, WebM, WAV of any sample rate\n"
          "  --video WHAT       pattern (the default), none, or a file: WebM, IVF, YUV4MPEG2, H.264 or H.265 in Annex "
          "B form\n"
          "  --loop             files begin again at their end, and it stays when everybody has left\n"
          "  --codec NAME       preferred codec: VP8, VP9, H264, H265, AV1, opus, PCMU, PCMA\n"
          "  --record FILE      what the first peer sends, by its name .webm, .opus, .ogg, .ivf, .wav, .y4m, .h264, "
          ".h265\n"
          "  --seconds N        end so long after the first connection\n"
          "  --timeout SECONDS  for the first connection, default 60\n"
          "  --peer ID          this participant alone\n"
          "  --quiet            no meter\n"
          "  --json             JSON lines instead of text\n",
          f);
    fputs(app_connection_help, f);
}

enum {
    OPTION_SIGNALING = 1,
    OPTION_TOKEN,
    OPTION_AUDIO,
    OPTION_VIDEO,
    OPTION_LOOP,
    OPTION_CODEC,
    OPTION_RECORD,
    OPTION_SECONDS,
    OPTION_TIMEOUT,
    OPTION_PEER,
    OPTION_QUIET,
    OPTION_JSON,
    OPTION_HELP,
};

static const struct option long_options[] = {
    APP_CONNECTION_OPTIONS,
    {"signaling", required_argument, NULL, OPTION_SIGNALING},
    {"token", required_argument, NULL, OPTION_TOKEN},
    {"audio", required_argument, NULL, OPTION_AUDIO},
    {"video", required_argument, NULL, OPTION_VIDEO},
    {"loop", no_argument, NULL, OPTION_LOOP},
    {"codec", required_argument, NULL, OPTION_CODEC},
    {"record", required_argument, NULL, OPTION_RECORD},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"peer", required_argument, NULL, OPTION_PEER},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static bool parse_seconds(const char *value, double *out)
{
    char *end;

    *out = strtod(value, &end);
    if (end != value && *end == 0 && *out > 0 && *out < 86400 * 365.0)
        return true;
    app_error("--seconds %s: give a number of seconds", value);
    return false;
}

/* The name as the tables have it. */
static bool parse_codec(const char *value, const char **out)
{
    const duet_sdp_media_kind kinds[] = {DUET_SDP_VIDEO, DUET_SDP_AUDIO};
    duet_codec table[64];

    *out = value;
    for (size_t k = 0; k < 2; k++) {
        size_t count = duet_pc_codec_capabilities(kinds[k], table, 64);
        for (size_t i = 0; i < count && i < 64; i++) {
            if (strcasecmp(table[i].name, value) == 0 && duet_payload_format_of(value) != DUET_PAYLOAD_NONE)
                return true;
        }
    }
    app_error("--codec %s: there is no such codec: give VP8, VP9, H264, H265, AV1, opus, PCMU or PCMA", value);
    return false;
}

static bool parse_option(call_options *o, int option, const char *value)
{
    int taken = app_connection_option(&o->connection, option, value);

    if (taken != 0)
        return taken > 0;
    switch (option) {
    case OPTION_SIGNALING:
        o->link.url = value;
        return true;
    case OPTION_TOKEN:
        o->link.token = value;
        return true;
    case OPTION_AUDIO:
        o->sources[CALL_AUDIO] = value;
        return true;
    case OPTION_VIDEO:
        o->sources[CALL_VIDEO] = value;
        return true;
    case OPTION_LOOP:
        o->loop = true;
        return true;
    case OPTION_CODEC:
        return parse_codec(value, &o->codec);
    case OPTION_RECORD:
        o->record = value;
        return true;
    case OPTION_SECONDS:
        return parse_seconds(value, &o->seconds);
    case OPTION_TIMEOUT:
        return app_parse_timeout(value, &o->timeout);
    case OPTION_PEER:
        o->peer = value;
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

static bool has_file(const call_options *o)
{
    const char *audio = o->sources[CALL_AUDIO], *video = o->sources[CALL_VIDEO];

    return (strcmp(audio, "tone") != 0 && strcmp(audio, "none") != 0) ||
           (strcmp(video, "pattern") != 0 && strcmp(video, "none") != 0);
}

/* What cannot go together. @return false after an error message */
static bool check(const call_options *o)
{
    const char *video = o->sources[CALL_VIDEO];

    if (strncmp(o->link.url, "ws:", 3) != 0 && strncmp(o->link.url, "wss:", 4) != 0) {
        app_error("--signaling %s: a call needs a room server: ws://HOST:PORT or wss://HOST", o->link.url);
        return false;
    }
    if (o->loop && !has_file(o)) {
        app_error("--loop is for files: give one to --audio or --video");
        return false;
    }
    if (o->codec && strcmp(video, "pattern") == 0 && duet_payload_format_is_video(duet_payload_format_of(o->codec)) &&
        !media_has_codec(o->codec)) {
        app_error("--codec %s: this build cannot encode it: give --video a file that holds it, or choose VP8 or VP9",
                  o->codec);
        return false;
    }
    return true;
}

/* @return -1 to go on, or an exit code */
static int parse_command_line(call_options *o, int argc, char **argv)
{
    int option;

    *o = (call_options){.sources = {"tone", "pattern"}, .timeout = TIMEOUT_DEFAULT, .link.token = getenv("DUET_TOKEN")};
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            usage(stdout);
            return APP_OK;
        }
        if (!parse_option(o, option, optarg))
            return APP_BAD_USAGE;
    }
    if (optind + 1 != argc || !o->link.url) {
        app_error("call: say which room, and --signaling");
        usage(stderr);
        return APP_BAD_USAGE;
    }
    o->link.room = argv[optind];
    return check(o) ? -1 : APP_BAD_USAGE;
}

int app_call(int argc, char **argv)
{
    call *c = calloc(1, sizeof(*c));

    if (!c)
        return APP_FAILED;
    int code = parse_command_line(&c->options, argc, argv);
    if (code < 0)
        code = run(c);
    free(c);
    return code;
}
