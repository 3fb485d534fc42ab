/* duet peer: one WebRTC peer whose signaling is JSON lines on standard input and output, so that a script can join any
 * two stacks. It tests a data channel, audio and video, and says how it went. */
#include "line_signaling.h"
#include "peer_data.h"
#ifdef DUET_HAVE_MEDIA
#include "peer_media.h"
#endif
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define RESTART_POLL      DUET_MS(50)
#define RESTART_POLLS_MAX 100

typedef struct peer_options {
    app_connection_options connection;
    bool is_offer, data, audio, video, echo, no_trickle, restart;
    const char *codec; /* preferred; NULL: Opus and VP8 */
    double timeout;
    const char *name;
    duet_setup setup;
    json_t *chan;
    json_t *unsupported;
} peer_options;

typedef struct peer {
    peer_options options;
    app_connection connection;
    duet_pc *pc;
    duet_net *net;
    line_signaling signaling;
    duet_net_timer *timeout, *restart;
    duet_time started, connected_at;
    bool connected, restarting, restart_answered, restarted;
    peer_data data;
#ifdef DUET_HAVE_MEDIA
    peer_media media;
#endif
    uint64_t selected_before;
    int restart_polls;
    bool finished;
    bool ok;
    const char *reason;
    char reason_text[256];
    int exit_code;
} peer;

/* ---- results ---- */

static void finish(peer *p, bool ok, const char *reason)
{
    if (p->finished)
        return;
    p->finished = true;
    p->ok = ok;
    p->reason = reason;
    p->exit_code = ok ? APP_OK : APP_FAILED;
    duet_net_stop(p->net);
}

static double milliseconds_since(const peer *p, duet_time from)
{
    return (double)(duet_net_now(p->net) - from) / 1000.0;
}

static void write_result(peer *p)
{
    json_t *r = json_object();

    json_object_set_new(r, "type", json_string("result"));
    json_object_set_new(r, "endpoint", json_string(p->options.name));
    json_object_set_new(r, "role", json_string(p->options.is_offer ? "offer" : "answer"));
    json_object_set_new(r, "ok", json_boolean(p->ok));
    if (p->reason)
        json_object_set_new(r, "reason", json_string(p->reason));
    json_object_set_new(r, "connected", json_boolean(p->connected));
    if (p->connected)
        json_object_set_new(r, "connectMs", json_real((double)(p->connected_at - p->started) / 1000.0));
    json_object_set_new(r, "elapsedMs", json_real(milliseconds_since(p, p->started)));
    peer_data_result(&p->data, r);
#ifdef DUET_HAVE_MEDIA
    peer_media_result(&p->media, r);
#endif
    app_stats_summary(p->pc, r);
    app_lines_write(r);
}

static void fail(peer *p, const char *what, int err)
{
    finish(p, false, app_reason(p->pc, what, err, p->reason_text, sizeof(p->reason_text)));
    app_error("%s", p->reason_text);
}

/* ---- the end of a run ---- */

static void timed_out(void *arg)
{
    peer *p = arg;
    const char *reason = !p->connected                        ? "timeout: not connected"
                         : p->options.data && !p->data.opened ? "timeout: the data channel did not open"
                         : p->options.data && !p->data.passed ? "timeout: not all echoes came back"
                         : !p->signaling.done_sent            ? "timeout: not enough media came"
                                                              : "timeout: the peer did not say done";

    finish(p, false, reason);
}

/* ---- ICE restart ---- */

static void find_changes(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    uint64_t *changes = user;

    (void)id;
    for (size_t i = 0; kind == DUET_STATS_TRANSPORT && i < count; i++) {
        if (strcmp(members[i].name, "selectedCandidatePairChanges") == 0)
            *changes = members[i].number;
    }
}

static uint64_t selected_changes(const peer *p)
{
    uint64_t changes = 0;

    duet_pc_get_stats(p->pc, find_changes, &changes);
    return changes;
}

static void restart_ice(peer *p)
{
    p->restarting = true;
    p->selected_before = selected_changes(p);
    line_signaling_offer(&p->signaling, true);
}

static bool media_is_done(const peer *p)
{
#ifdef DUET_HAVE_MEDIA
    return peer_media_passed(&p->media);
#else
    (void)p;
    return true;
#endif
}

static void media_after_restart(peer *p)
{
#ifdef DUET_HAVE_MEDIA
    peer_media_require_more(&p->media);
#else
    (void)p;
#endif
}

/* The message after the restart should travel on the new pair: wait for it to be selected. */
static void poll_restart(void *arg)
{
    peer *p = arg;

    duet_net_timer_cancel(p->restart);
    p->restart = NULL;
    if (selected_changes(p) == p->selected_before && ++p->restart_polls < RESTART_POLLS_MAX) {
        duet_net_timer_start(&p->restart, p->net, RESTART_POLL, poll_restart, p);
        return;
    }
    if (selected_changes(p) == p->selected_before) {
        finish(p, false, "the restart selected no new pair");
        return;
    }
    p->restarted = true;
    media_after_restart(p);
    peer_data_send_later(&p->data);
}

/* ---- progress ---- */

/* Everything that was asked for has passed: the restart, or the end. */
static void check_conditions(void *user)
{
    peer *p = user;

    if (!peer_data_passed(&p->data) || !media_is_done(p))
        return;
    if (!p->options.restart || p->restarted)
        line_signaling_done(&p->signaling);
    else if (!p->restarting)
        restart_ice(p);
}

/* ---- the data channel ---- */

static void data_failed(void *user, const char *what, int err)
{
    fail(user, what, err);
}

static void data_closed(void *user)
{
    peer *p = user;

    if (!p->signaling.done_sent)
        finish(p, false, "the data channel closed");
}

static void on_data_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    peer *p = user;

    (void)pc;
    peer_data_channel(&p->data, dc);
}

static void start_data(peer *p)
{
    p->data.connection = &p->connection;
    p->data.is_offer = p->options.is_offer;
    p->data.asked_for = p->options.data;
    p->data.init = p->options.chan;
    p->data.on_progress = check_conditions;
    p->data.on_failed = data_failed;
    p->data.on_closed = data_closed;
    p->data.user = p;
    peer_data_start(&p->data);
}

/* ---- media ---- */

#ifdef DUET_HAVE_MEDIA
static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    peer *p = user;

    (void)pc;
    peer_media_track(&p->media, transceiver);
}

static void start_media(peer *p)
{
    p->media.audio = p->options.audio;
    p->media.video = p->options.video;
    p->media.echo = p->options.echo;
    p->media.codec = p->options.codec;
    p->media.on_passed = check_conditions;
    p->media.user = p;
    int err = peer_media_start(&p->media, p->pc, p->net);
    if (err != DUET_OK)
        fail(p, "media", err);
}
#endif

/* ---- signaling ---- */

static void on_ice_candidate(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    peer *p = user;

    (void)pc;
    line_signaling_candidate(&p->signaling, candidate);
}

static void on_gathering_state(void *user, duet_pc *pc, duet_ice_gathering_state state)
{
    peer *p = user;

    (void)pc;
    line_signaling_gathering(&p->signaling, state);
}

static void on_connection_state(void *user, duet_pc *pc, duet_pc_state state)
{
    peer *p = user;

    (void)pc;
    if (state == DUET_PC_CONNECTED && !p->connected) {
        p->connected = true;
        p->connected_at = duet_net_now(p->net);
    }
    if (state == DUET_PC_FAILED)
        finish(p, false, "the connection failed");
}

static void signaling_failed(void *user, const char *reason)
{
    peer *p = user;

    snprintf(p->reason_text, sizeof(p->reason_text), "%s", reason);
    app_error("%s", p->reason_text);
    finish(p, false, p->reason_text);
}

static void answer_taken(void *user)
{
    peer *p = user;

    if (!p->restarting || p->restart_answered)
        return;
    p->restart_answered = true;
    duet_net_timer_start(&p->restart, p->net, RESTART_POLL, poll_restart, p);
}

static void input_ended(void *user)
{
    peer *p = user;
    bool done = p->signaling.done_sent;

    finish(p, done, done ? NULL : "standard input ended before the test was done");
}

static void both_done(void *user)
{
    finish(user, true, NULL);
}

/* ---- command line ---- */

static void usage(FILE *f)
{
    fputs("Usage: duet peer offer|answer [--data] [--audio] [--video] [options]\n\n"
          "One peer; its signaling is JSON lines on standard input and output. A script that copies the lines of one "
          "peer\n"
          "to another one connects them, whatever stack they are made of. The last line is the result.\n\n"
          "  --data               data channel test: ten messages and their echoes\n"
          "  --audio              an Opus section; a tone is sent\n"
          "  --video              a video section; a moving pattern with a frame counter is sent\n"
          "  --codec NAME         preferred codec: VP8, VP9, opus, red, PCMU, PCMA; with --echo also H264, H265, AV1\n"
          "  --echo               send back the media that comes, as it comes, instead of tone and pattern\n"
          "  --chan JSON          RTCDataChannelInit of the channel, for example '{\"ordered\":false}'\n"
          "  --no-trickle         descriptions carry all candidates\n"
          "  --restart            offerer: restart ICE after the test and send once more\n"
          "  --setup ROLE         answerer: DTLS role, active or passive\n"
          "  --timeout SECONDS    overall limit, default 30\n"
          "  --name NAME          name in the result\n",
          f);
    fputs(app_connection_help, f);
}

enum {
    OPTION_DATA = 1,
    OPTION_AUDIO,
    OPTION_VIDEO,
    OPTION_CODEC,
    OPTION_ECHO,
    OPTION_TIMEOUT,
    OPTION_NO_TRICKLE,
    OPTION_RESTART,
    OPTION_CHAN,
    OPTION_SETUP,
    OPTION_NAME,
    OPTION_HELP,
};

static const struct option long_options[] = {
    APP_CONNECTION_OPTIONS,
    {"data", no_argument, NULL, OPTION_DATA},
    {"audio", no_argument, NULL, OPTION_AUDIO},
    {"video", no_argument, NULL, OPTION_VIDEO},
    {"codec", required_argument, NULL, OPTION_CODEC},
    {"echo", no_argument, NULL, OPTION_ECHO},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"no-trickle", no_argument, NULL, OPTION_NO_TRICKLE},
    {"restart", no_argument, NULL, OPTION_RESTART},
    {"chan", required_argument, NULL, OPTION_CHAN},
    {"setup", required_argument, NULL, OPTION_SETUP},
    {"name", required_argument, NULL, OPTION_NAME},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static bool parse_chan(peer_options *o, const char *value)
{
    json_error_t error;

    json_decref(o->chan);
    o->chan = json_loads(value, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(o->chan))
        return true;
    app_error("--chan: %s", o->chan ? "give an RTCDataChannelInit object" : error.text);
    return false;
}

static bool parse_setup(peer_options *o, const char *value)
{
    o->setup = duet_setup_parse(value, strlen(value));
    if (o->setup == DUET_SETUP_ACTIVE || o->setup == DUET_SETUP_PASSIVE)
        return true;
    app_error("--setup %s: give active or passive", value);
    return false;
}

/* What this build cannot do. */
static void note_unsupported(peer_options *o)
{
#ifdef DUET_HAVE_MEDIA
    if (!o->codec || o->echo || media_has_codec(o->codec) || media_is_audio_codec(o->codec))
        return;
    app_error("--codec %s: none that is encoded here: give VP8, VP9, opus, red, PCMU or PCMA, or --echo for others",
              o->codec);
    json_array_append_new(o->unsupported, json_string("codec"));
#else
    if (o->audio)
        json_array_append_new(o->unsupported, json_string("audio"));
    if (o->video)
        json_array_append_new(o->unsupported, json_string("video"));
    if (o->codec)
        json_array_append_new(o->unsupported, json_string("codec"));
#endif
}

/* @return false after an error message */
static bool parse_option(peer_options *o, int option, const char *value)
{
    int taken = app_connection_option(&o->connection, option, value);

    if (taken != 0)
        return taken > 0;
    switch (option) {
    case OPTION_DATA:
        o->data = true;
        return true;
    case OPTION_AUDIO:
        o->audio = true;
        return true;
    case OPTION_VIDEO:
        o->video = true;
        return true;
    case OPTION_ECHO:
        o->echo = true;
        return true;
    case OPTION_CODEC:
        o->codec = value;
        return true;
    case OPTION_TIMEOUT:
        return app_parse_timeout(value, &o->timeout);
    case OPTION_NO_TRICKLE:
        o->no_trickle = true;
        return true;
    case OPTION_RESTART:
        o->restart = true;
        return true;
    case OPTION_CHAN:
        return parse_chan(o, value);
    case OPTION_SETUP:
        return parse_setup(o, value);
    case OPTION_NAME:
        o->name = value;
        return true;
    default:
        return false;
    }
}

/* Scripts may give both peers the same options. */
static void pass_over(peer_options *o)
{
    if (o->restart && !o->is_offer)
        app_error("--restart is for the offerer: it is passed over");
    if (o->setup != DUET_SETUP_NONE && o->is_offer)
        app_error("--setup is for the answerer: it is passed over");
    o->restart = o->restart && o->is_offer;
}

/* @return -1 to go on, or an exit code */
static int parse_command_line(peer_options *o, int argc, char **argv)
{
    int option;

    *o = (peer_options){.timeout = 30, .name = "duet", .unsupported = json_array()};
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            usage(stdout);
            return APP_OK;
        }
        if (!parse_option(o, option, optarg))
            return APP_BAD_USAGE;
    }
    const char *role = optind < argc ? argv[optind] : "";
    o->is_offer = strcmp(role, "offer") == 0;
    if ((!o->is_offer && strcmp(role, "answer") != 0) || optind + 1 != argc) {
        app_error("peer: say offer or answer");
        usage(stderr);
        return APP_BAD_USAGE;
    }
    if (o->is_offer && !o->data && !o->audio && !o->video) {
        app_error("peer: say what to offer: --data, --audio, --video");
        return APP_BAD_USAGE;
    }
    pass_over(o);
    note_unsupported(o);
    if (json_array_size(o->unsupported) > 0) {
        app_lines_write(json_pack("{s:s,s:b,s:O}", "type", "result", "ok", 0, "unsupported", o->unsupported));
        return APP_UNSUPPORTED;
    }
    return -1;
}

static int run(peer *p)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;

    config.on_ice_candidate = on_ice_candidate;
    config.on_ice_gathering_state = on_gathering_state;
    config.on_connection_state = on_connection_state;
    config.on_data_channel = on_data_channel;
#ifdef DUET_HAVE_MEDIA
    config.on_track = on_track;
    config.codecs = duet_codecs();
#endif
    config.answer_setup = p->options.setup;
    config.user = p;
    int code = app_connection_open(&p->connection, &p->options.connection, &config, NULL);
    if (code != APP_OK)
        return code;
    p->pc = p->connection.pc;
    p->net = p->connection.net;
    p->started = duet_net_now(p->net);
    duet_net_timer_start(&p->timeout, p->net, (duet_time)(p->options.timeout * 1e6), timed_out, p);
#ifdef DUET_HAVE_MEDIA
    start_media(p);
#endif
    start_data(p);
    p->signaling = (line_signaling){.connection = &p->connection,
                                    .is_offer = p->options.is_offer,
                                    .no_trickle = p->options.no_trickle,
                                    .on_failed = signaling_failed,
                                    .on_answer = answer_taken,
                                    .on_end = input_ended,
                                    .on_finished = both_done,
                                    .user = p};
    if (!p->finished)
        line_signaling_start(&p->signaling);
    if (!p->finished)
        duet_net_run(p->net);
    write_result(p);
    duet_net_timer_cancel(p->timeout);
    duet_net_timer_cancel(p->restart);
    line_signaling_stop(&p->signaling);
    peer_data_stop(&p->data);
#ifdef DUET_HAVE_MEDIA
    peer_media_stop(&p->media);
#endif
    app_connection_close(&p->connection);
    return p->exit_code;
}

int app_peer(int argc, char **argv)
{
    peer *p = calloc(1, sizeof(*p));

    if (!p)
        return APP_FAILED;
    int code = parse_command_line(&p->options, argc, argv);
    if (code < 0)
        code = run(p);
    json_decref(p->options.chan);
    json_decref(p->options.unsupported);
    free(p);
    return code;
}
