/* duet peer: one WebRTC peer whose signaling is JSON lines on standard input and output, so that a script can join any
 * two stacks. It tests a data channel, audio and video, and says how it went. */
#include "line_signaling.h"
#ifdef DUET_HAVE_MEDIA
#include "peer_media.h"
#endif
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_COUNT     10
#define MESSAGES_REQUIRED 8 /* 8 and 9 are empty: some stacks lose them, so they are reported only */
#define LOSSY_REQUIRED    6
#define LOSSY_TIMEOUT     DUET_MS(500)
#define RESTART_POLL      DUET_MS(50)
#define RESTART_POLLS_MAX 100

typedef struct peer_options {
    app_connection_options connection;
    bool is_offer, data, audio, video, echo, no_trickle, restart;
    const char *codec; /* preferred for video; NULL: VP8 */
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
    duet_net_timer *timeout, *lossy, *restart;
    duet_time started, connected_at;
    duet_dc *channel;
    bool lossy_channel; /* unordered or unreliable: one message at a time */
    size_t next;        /* the message that goes out next */
    size_t sizes[MESSAGE_COUNT];
    bool echoed[MESSAGE_COUNT];
    size_t echo_next; /* ordered channels: the echo that is due */
    unsigned sent, received, echo_ok, bad, max_sent;
    bool empty_text, empty_binary, opened, connected, data_done;
    bool restarting, restart_message_sent, restart_answered, restart_echoed;
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

/* ---- the messages of the data test ---- */

static const char hello[] = "hello";
static const char hello_world[] = "h\xc3\xa9llo w\xc3\xb6rld \xe2\x9c\x93 \xf0\x9f\x98\x80";
static const size_t binary_sizes[] = {1, 100, 1200, 16384, 65536, 262144};
static const char restart_text[] = "after the restart";

static bool message_is_text(size_t i)
{
    return i < 2 || i == 8;
}

static void message_fill(size_t i, uint8_t *data, size_t size)
{
    if (i < 2) {
        memcpy(data, i == 0 ? hello : hello_world, size);
        return;
    }
    for (size_t k = 0; k < size; k++)
        data[k] = (uint8_t)((k ^ (k >> 8) ^ (k >> 16)) + i);
}

/* "min(size, peer's max-message-size (65536 when absent, no cap when 0), own limit, own advertised size)" */
static void decide_sizes(peer *p)
{
    char *text = NULL;
    duet_sdp *sdp = NULL;
    uint64_t limit = 65536, own = 262144;

    if (duet_pc_remote_description(p->pc, NULL, &text) == DUET_OK &&
        duet_sdp_parse(&sdp, &p->connection.env, text, strlen(text), NULL) == DUET_OK) {
        for (size_t i = 0; i < duet_sdp_media_count(sdp); i++) {
            if (duet_sdp_media_is_data(sdp, i))
                (void)duet_sdp_media_max_message_size(sdp, i, &limit);
        }
    }
    duet_sdp_destroy(sdp);
    duet_free(&p->connection.env, text);
    if (limit == 0 || limit > own)
        limit = own;
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        size_t size = i == 0 ? sizeof(hello) - 1 : i == 1 ? sizeof(hello_world) - 1 : i < 8 ? binary_sizes[i - 2] : 0;
        p->sizes[i] = i >= 2 && size > limit ? (size_t)limit : size;
    }
}

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
    json_object_set_new(r, "dcOpen", json_boolean(p->opened));
    json_object_set_new(r, "dcSent", json_integer(p->sent));
    json_object_set_new(r, "dcReceived", json_integer(p->received));
    json_object_set_new(r, "dcEchoOk", json_integer(p->echo_ok));
    json_object_set_new(r, "dcBad", json_integer(p->bad));
    json_object_set_new(r, "dcMaxSent", json_integer(p->max_sent));
    json_object_set_new(r, "dcEmptyText", json_boolean(p->empty_text));
    json_object_set_new(r, "dcEmptyBinary", json_boolean(p->empty_binary));
#ifdef DUET_HAVE_MEDIA
    peer_media_result(&p->media, r);
#endif
    app_stats_summary(p->pc, r);
    app_lines_write(r);
}

static void fail(peer *p, const char *what, int err)
{
    finish(p, false, line_signaling_reason(p->pc, what, err, p->reason_text, sizeof(p->reason_text)));
    app_error("%s", p->reason_text);
}

/* ---- the end of a run ---- */

static void timed_out(void *arg)
{
    peer *p = arg;
    const char *reason = !p->connected                      ? "timeout: not connected"
                         : p->options.data && !p->opened    ? "timeout: the data channel did not open"
                         : p->options.data && !p->data_done ? "timeout: not all echoes came back"
                         : !p->signaling.done_sent          ? "timeout: not enough media came"
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
    p->restart_message_sent = true;
    media_after_restart(p);
    if (!p->channel)
        return;
    int err = duet_dc_send(p->channel, restart_text, sizeof(restart_text) - 1, true);
    if (err != DUET_OK)
        fail(p, "message after the restart", err);
}

/* ---- the offerer's test ---- */

/* Everything that was asked for has passed: the restart, or the end. */
static void check_conditions(peer *p)
{
    bool data_done = !p->options.data || p->data_done;

    if (!data_done || !media_is_done(p))
        return;
    if (!p->options.restart)
        line_signaling_done(&p->signaling);
    else if (!p->restarting)
        restart_ice(p);
    else if (p->restart_message_sent && (!p->channel || p->restart_echoed))
        line_signaling_done(&p->signaling);
}

static void data_passed(peer *p)
{
    p->data_done = true;
    check_conditions(p);
}

static void check_done(peer *p)
{
    unsigned required = p->lossy_channel ? LOSSY_REQUIRED : MESSAGES_REQUIRED;
    unsigned ok = 0;

    for (size_t i = 0; i < required; i++)
        ok += p->echoed[i];
    bool all_sent = p->next == MESSAGE_COUNT;
    if (ok == required && all_sent && p->bad == 0)
        data_passed(p);
}

static void send_message(peer *p, size_t i)
{
    size_t size = p->sizes[i];
    uint8_t *data = calloc(1, size + 1);

    if (!data) {
        finish(p, false, "out of memory");
        return;
    }
    message_fill(i, data, size);
    int err = duet_dc_send(p->channel, data, size, message_is_text(i));
    free(data);
    if (err != DUET_OK) {
        fail(p, "send", err);
        return;
    }
    p->sent++;
    if (size > p->max_sent)
        p->max_sent = (unsigned)size;
}

static void send_next_lossy(void *arg)
{
    peer *p = arg;

    duet_net_timer_cancel(p->lossy);
    p->lossy = NULL;
    if (p->finished || p->next == MESSAGE_COUNT)
        return;
    send_message(p, p->next++);
    duet_net_timer_start(&p->lossy, p->net, LOSSY_TIMEOUT, send_next_lossy, p);
    check_done(p);
}

static void start_test(peer *p)
{
    decide_sizes(p);
    if (p->lossy_channel) {
        send_next_lossy(p);
        return;
    }
    while (p->next < MESSAGE_COUNT && !p->finished)
        send_message(p, p->next++);
}

static bool message_matches(const peer *p, size_t i, const uint8_t *data, size_t len, bool is_text)
{
    if (len != p->sizes[i] || is_text != message_is_text(i))
        return false;
    if (i < 2)
        return memcmp(data, i == 0 ? hello : hello_world, len) == 0;
    for (size_t k = 0; k < len; k++) {
        if (data[k] != (uint8_t)((k ^ (k >> 8) ^ (k >> 16)) + i))
            return false;
    }
    return true;
}

static void count_echo(peer *p, size_t i)
{
    p->echoed[i] = true;
    if (i < MESSAGES_REQUIRED)
        p->echo_ok++;
    else if (i == 8)
        p->empty_text = true;
    else
        p->empty_binary = true;
}

static void explain_bad_echo(const peer *p, const uint8_t *data, size_t len, bool is_text)
{
    size_t i = p->echo_next, k = 0;

    if (p->lossy_channel || i >= MESSAGE_COUNT) {
        app_error("an echo of %zu bytes that fits no message", len);
        return;
    }
    while (i >= 2 && k < len && k < p->sizes[i] && data[k] == (uint8_t)((k ^ (k >> 8) ^ (k >> 16)) + i))
        k++;
    app_error("echo of message %zu: %s of %zu bytes where %s of %zu went out; they differ from byte %zu on", i,
              is_text ? "text" : "binary", len, message_is_text(i) ? "text" : "binary", p->sizes[i], k);
}

static void echo_came(peer *p, const uint8_t *data, size_t len, bool is_text)
{
    if (p->restart_message_sent && len == sizeof(restart_text) - 1 && memcmp(data, restart_text, len) == 0) {
        p->restart_echoed = true;
        check_conditions(p);
        return;
    }
    /* In order: the next one, or behind a lost empty one. On lossy channels: any that has not come yet. */
    size_t first = p->lossy_channel ? 0 : p->echo_next;
    for (size_t i = first; i < MESSAGE_COUNT; i++) {
        if (p->echoed[i] || !message_matches(p, i, data, len, is_text))
            continue;
        if (!p->lossy_channel && i > first && first < MESSAGES_REQUIRED)
            break;
        count_echo(p, i);
        p->echo_next = i + 1;
        if (p->lossy_channel)
            send_next_lossy(p);
        check_done(p);
        return;
    }
    p->bad++;
    explain_bad_echo(p, data, len, is_text);
}

/* ---- the channel ---- */

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    peer *p = user;

    p->received++;
    if (p->options.is_offer) {
        echo_came(p, data, len, is_text);
        return;
    }
    int err = duet_dc_send(dc, data, len, is_text);
    if (err != DUET_OK) {
        fail(p, "echo", err);
        return;
    }
    p->sent++;
    if (len > p->max_sent)
        p->max_sent = (unsigned)len;
    if (p->sent >= (p->lossy_channel ? LOSSY_REQUIRED : MESSAGES_REQUIRED))
        data_passed(p);
}

static void on_open(void *user, duet_dc *dc)
{
    peer *p = user;

    (void)dc;
    p->opened = true;
    if (p->options.is_offer)
        start_test(p);
}

static void on_close(void *user, duet_dc *dc)
{
    peer *p = user;

    (void)dc;
    if (!p->signaling.done_sent && !p->finished)
        finish(p, false, "the data channel closed");
}

static void use_channel(peer *p, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {
        .size = sizeof(callbacks), .on_open = on_open, .on_message = on_message, .on_close = on_close, .user = p};

    p->channel = dc;
    p->lossy_channel =
        !duet_dc_is_ordered(dc) || duet_dc_max_retransmits(dc) >= 0 || duet_dc_max_packet_life_time(dc) >= 0;
    duet_dc_set_callbacks(dc, &callbacks);
}

static void on_data_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    peer *p = user;

    (void)pc;
    if (p->options.is_offer || p->channel)
        return;
    use_channel(p, dc);
    p->opened = true;
}

static void read_channel_init(const json_t *chan, duet_dc_init *init)
{
    const json_t *v;

    duet_dc_init_defaults(init);
    if (!chan)
        return;
    init->unordered = json_is_false(json_object_get(chan, "ordered"));
    if ((v = json_object_get(chan, "maxRetransmits")) && json_is_integer(v))
        init->max_retransmits = (int)json_integer_value(v);
    if ((v = json_object_get(chan, "maxPacketLifeTime")) && json_is_integer(v))
        init->max_packet_life_time = (int)json_integer_value(v);
    if ((v = json_object_get(chan, "protocol")) && json_is_string(v))
        init->protocol = json_string_value(v);
    init->negotiated = json_is_true(json_object_get(chan, "negotiated"));
    if ((v = json_object_get(chan, "id")) && json_is_integer(v))
        init->id = (uint16_t)json_integer_value(v);
}

static void create_channel(peer *p)
{
    duet_dc_init init;
    duet_dc *dc = NULL;

    read_channel_init(p->options.chan, &init);
    if (!p->options.data || (!p->options.is_offer && !init.negotiated))
        return;
    int err = duet_pc_create_data_channel(p->pc, "chat", &init, &dc);
    if (err == DUET_OK)
        use_channel(p, dc);
    else
        fail(p, "--chan", err);
}

/* ---- media ---- */

#ifdef DUET_HAVE_MEDIA
static void media_passed(void *user)
{
    check_conditions(user);
}

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
    p->media.on_passed = media_passed;
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
          "  --codec NAME         preferred video codec, VP8 or VP9; with --echo also H264, H265, AV1\n"
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
    if (o->codec && !o->echo && !media_has_codec(o->codec))
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
    create_channel(p);
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
    duet_net_timer_cancel(p->lossy);
    duet_net_timer_cancel(p->restart);
    line_signaling_stop(&p->signaling);
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
