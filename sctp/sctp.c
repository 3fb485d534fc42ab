/* The association as users have it: its life, what goes in and out, time, and the engine's callbacks.
 * RFC 8831 section 5 and 6, RFC 8841 (sctp-port, max-message-size). */
#include "base/log.h"
#include "base/memory.h"
#include "sctp/internal.h"
#include <string.h>

#define PORT_DEFAULT         5000
#define MTU_DEFAULT          (1200 - 48)
#define MTU_MIN              512
#define STREAMS_DEFAULT      1024
#define MESSAGE_SIZE_DEFAULT 262144
#define RECEIVE_BUFFER_MAX   (1u << 30)
#define BUFFER_MARGIN        65536u
#define BUFFER_DEFAULT       ((size_t)1 << 20)
#define SEND_QUEUE_DEFAULT   ((size_t)16 << 20)
#define RTO_INITIAL_DEFAULT  DUET_MS(500)
#define RTO_MIN_DEFAULT      DUET_MS(200)
#define OUTBOX_LIMIT         4096
/* Delayed acknowledgements are due within 200 ms of a packet, RFC 9260 section 6.2. */
#define ACTIVE_AFTER_INPUT DUET_MS(250)
#define RESET_PATIENCE     DUET_SECONDS(1)

/* ---- turns ----------------------------------------------------------------------------------------------------- */

void duet_sctp_enter(duet_sctp *s, duet_time now)
{
    if (now > s->now)
        s->now = now;
    duet_outbox_reclaim(&s->outbox);
    duet_events_enter(&s->events);
}

void duet_sctp_leave(duet_sctp *s)
{
    if (s->events.depth == 1)
        duet_inbox_deliver(s);
    duet_events_leave(&s->events);
}

/* Once until the next tick. */
static void ask_for_turn(duet_sctp *s)
{
    if (s->woken)
        return;
    s->woken = true;
    if (s->config.on_wake)
        s->config.on_wake(s->config.user);
}

void duet_sctp_wake(duet_sctp *s)
{
    if (s->events.depth == 0)
        ask_for_turn(s);
}

void duet_sctp_set_active(duet_sctp *s)
{
    s->active = true;
}

static void set_state(duet_sctp *s, duet_sctp_state next, const char *cause)
{
    if (s->state == next)
        return;
    duet_trace_state(&s->env, s->now, "sctp", "association", duet_sctp_state_name(s->state), duet_sctp_state_name(next),
                     cause);
    duet_log(&s->env, DUET_LOG_INFO, "sctp", "%s: %s", duet_sctp_state_name(next), cause);
    s->state = next;
    duet_inbox_push_state(s, next);
}

/* ---- what the engine calls ------------------------------------------------------------------------------------- */

static void send_packet(duet_sctp *s, const uint8_t *packet, size_t len)
{
    int err;

    duet_trace_packet(&s->env, s->now, "sctp", DUET_LAYER_SCTP, true, NULL, packet, len);
    if (s->config.packet_sink)
        err = s->config.packet_sink(s->config.user, packet, len, s->now);
    else
        err = duet_outbox_push(&s->outbox, packet, len, NULL);
    if (err) {
        s->stats.sink_refused++;
        return;
    }
    s->stats.packets_out++;
    s->stats.bytes_out += len;
}

static void on_packet(void *user, const uint8_t *packet, size_t len)
{
    duet_sctp *s = user;

    if (s->in_input && duet_ack_thinning_holds(&s->acks, packet, len))
        return;
    if (s->acks.len > 0 && duet_ack_is_in(packet, len))
        duet_ack_thinning_drop(&s->acks);
    send_packet(s, packet, len);
}

static void send_held_ack(duet_sctp *s)
{
    if (s->acks.len > 0)
        send_packet(s, s->acks.packet, s->acks.len);
    duet_ack_thinning_drop(&s->acks);
}

static void on_fragment(void *user, const duet_association_fragment *fragment)
{
    duet_channel_fragment(user, fragment);
}

static void on_fragments_aborted(void *user, uint16_t stream)
{
    (void)stream;
    duet_channel_fragments_aborted(user);
}

static void go_up(duet_sctp *s, uint16_t streams_out, uint16_t streams_in)
{
    if (s->state != DUET_SCTP_CONNECTING)
        return;
    s->max_channels = streams_out < streams_in ? streams_out : streams_in;
    set_state(s, DUET_SCTP_CONNECTED, "association is up");
}

static void go_down(duet_sctp *s, const char *cause)
{
    if (s->state == DUET_SCTP_CLOSED)
        return;
    s->down = true; /* the socket is closed after the engine's call: it may not go away inside it */
    set_state(s, DUET_SCTP_CLOSED, cause);
    duet_dc_close_all(s);
}

static void on_event(void *user, duet_association_event event, uint16_t streams_out, uint16_t streams_in)
{
    duet_sctp *s = user;

    switch (event) {
    case DUET_ASSOCIATION_UP:
        go_up(s, streams_out, streams_in);
        break;
    case DUET_ASSOCIATION_RESTARTED: /* our streams and theirs no longer agree */
        go_down(s, "the peer started again");
        break;
    case DUET_ASSOCIATION_SHUTDOWN:
        go_down(s, "the peer has shut down");
        break;
    case DUET_ASSOCIATION_LOST:
        go_down(s, "the association was lost");
        break;
    }
}

static void stream_reset(duet_dc *dc, bool incoming, bool succeeded)
{
    if (!dc)
        return;
    if (incoming)
        duet_dc_incoming_reset(dc);
    else
        duet_dc_outgoing_reset(dc, succeeded);
}

static void on_streams_reset(void *user, const uint16_t *streams, size_t count, bool incoming, bool succeeded)
{
    duet_sctp *s = user;

    for (size_t i = 0; i < count; i++)
        stream_reset(duet_dc_find(s, streams[i]), incoming, succeeded);
    if (count > 0)
        return;
    for (duet_dc *dc = s->first_dc, *next; dc; dc = next) { /* no list: all of them */
        next = dc->next;
        if (dc->state != DUET_DC_CLOSED)
            stream_reset(dc, incoming, succeeded);
    }
}

static void on_writable(void *user)
{
    ((duet_sctp *)user)->queue.blocked = false;
}

static void on_engine_wake(void *user)
{
    duet_sctp *s = user;

    if (s->config.on_wake)
        s->config.on_wake(s->config.user);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

void duet_sctp_config_init(duet_sctp_config *config)
{
    *config = (duet_sctp_config){.size = sizeof(*config)};
}

static void finish(void *object)
{
    duet_sctp *s = object;
    duet_env env = s->env;

    if (s->association)
        s->engine->destroy(s->association);
    while (s->first_dc)
        duet_dc_free(s->first_dc);
    duet_inbox_free(s);
    duet_send_queue_trim(s);
    duet_channel_fragments_aborted(s);
    duet_map_free(&s->by_id);
    duet_outbox_free(&s->outbox);
    duet_events_free(&s->events);
    duet_free(&env, s);
}

/* usrsctp 0.9.5 hands a message over in parts once it fills half the receive buffer, and when a packet of such a message
 * was lost it delivers the messages behind it first. So half the buffer holds the largest message. */
static size_t receive_buffer_for(const duet_sctp_config *c)
{
    size_t wanted = c->receive_buffer ? c->receive_buffer : BUFFER_DEFAULT;
    size_t message = c->max_message_size < RECEIVE_BUFFER_MAX / 2 ? c->max_message_size : RECEIVE_BUFFER_MAX / 2;
    size_t needed = 2 * message + BUFFER_MARGIN;

    return wanted > needed ? wanted : needed;
}

static void apply_defaults(duet_sctp_config *c)
{
    c->local_port = c->local_port ? c->local_port : PORT_DEFAULT;
    c->mtu = c->mtu ? c->mtu : MTU_DEFAULT;
    c->mtu -= c->mtu % 4; /* packets are multiples of 4 */
    c->streams = c->streams ? c->streams : STREAMS_DEFAULT;
    c->max_message_size = c->max_message_size ? c->max_message_size : MESSAGE_SIZE_DEFAULT;
    c->send_buffer = c->send_buffer ? c->send_buffer : BUFFER_DEFAULT;
    c->receive_buffer = receive_buffer_for(c);
    c->send_queue = c->send_queue ? c->send_queue : SEND_QUEUE_DEFAULT;
    c->rto_initial = c->rto_initial ? c->rto_initial : RTO_INITIAL_DEFAULT;
    c->rto_min = c->rto_min ? c->rto_min : RTO_MIN_DEFAULT;
    c->local_init = c->remote_init = NULL;
    c->env = NULL;
}

static int check_config(const duet_sctp_config *c)
{
    if (c->mtu < MTU_MIN || c->mtu > 65532 || c->streams < 1)
        return DUET_ERR_INVALID;
    if (c->send_buffer > INT32_MAX || c->receive_buffer > INT32_MAX)
        return DUET_ERR_INVALID;
    return c->rto_initial < c->rto_min ? DUET_ERR_INVALID : DUET_OK;
}

int duet_sctp_create(duet_sctp **out, const duet_sctp_config *user_config)
{
    duet_sctp_config config = {0};

    if (!user_config || user_config->size == 0)
        return DUET_ERR_INVALID;
    memcpy(&config, user_config, user_config->size < sizeof(config) ? user_config->size : sizeof(config));
    if (config.zero_checksum || config.local_init || config.remote_init)
        return DUET_ERR_UNSUPPORTED; /* usrsctp has neither */
    duet_env env = duet_env_resolve(config.env);
    apply_defaults(&config);
    if (check_config(&config) != DUET_OK)
        return DUET_ERR_INVALID;

    duet_sctp *s = duet_calloc(&env, sizeof(*s));
    if (!s)
        return DUET_ERR_NOMEM;
    s->env = env;
    s->config = config;
    s->engine = &duet_engine_usrsctp;
    s->remote_max_message = 65536;
    s->resets_since = DUET_NEVER;
    duet_events_init(&s->events, &s->env, s, finish);
    duet_outbox_init(&s->outbox, &s->env, config.mtu, OUTBOX_LIMIT);
    int err = duet_map_init(&s->by_id, &s->env);
    if (!err)
        err = duet_inbox_reserve(s, 0);
    if (err) {
        finish(s);
        return err;
    }
    *out = s;
    return DUET_OK;
}

void duet_sctp_destroy(duet_sctp *s)
{
    if (s)
        duet_events_destroy(&s->events);
}

/* ---- streams to reset ------------------------------------------------------------------------------------------ */

void duet_sctp_reset_stray(duet_sctp *s, uint16_t stream)
{
    if (stream >= s->max_channels)
        return; /* we have no outgoing stream of this number */
    for (unsigned i = 0; i < s->stray_count; i++)
        if (s->stray_resets[i] == stream)
            return;
    if (s->stray_count < STRAY_RESETS_MAX)
        s->stray_resets[s->stray_count++] = stream;
}

static void reset_strays(duet_sctp *s)
{
    if (s->stray_count > 0 &&
        s->engine->reset_streams(s->association, s->stray_resets, s->stray_count) != DUET_ERR_AGAIN)
        s->stray_count = 0;
}

/* One request at a time may be under way, RFC 6525 section 5.1.2: it takes all streams that are due. */
static void reset_channels(duet_sctp *s)
{
    uint16_t streams[64];
    duet_dc *due[64];
    size_t count = 0;

    for (duet_dc *dc = s->first_dc; dc && count < 64; dc = dc->next) {
        if (!duet_dc_reset_is_due(dc))
            continue;
        due[count] = dc;
        streams[count++] = dc->id;
    }
    if (count == 0)
        return;
    int err = s->engine->reset_streams(s->association, streams, count);
    if (err == DUET_ERR_AGAIN)
        return;
    for (size_t i = 0; i < count; i++) {
        due[i]->reset_wanted = false;
        due[i]->reset_pending = true;
        s->resets_wanted--;
        s->resets_pending++;
    }
    duet_sctp_set_active(s);
    for (size_t i = 0; err && i < count; i++) /* a peer without RFC 6525 */
        duet_dc_outgoing_reset(due[i], false);
}

/* ---- work ------------------------------------------------------------------------------------------------------ */

static bool is_busy(duet_sctp *s)
{
    duet_association_status status;

    if (s->state == DUET_SCTP_CONNECTING || s->resets_wanted || s->resets_pending || s->stray_count)
        return true;
    if (s->queue.first_busy || s->now < s->last_input + ACTIVE_AFTER_INPUT)
        return true;
    s->engine->status(s->association, &status);
    return status.unacknowledged > 0 || status.pending > 0;
}

/* A peer on usrsctp that gets a reset while data before it is missing puts all later data aside, and looks at it again
 * only when still more comes (RFC 6525 section 5.2.2 leaves it the choice). So a reset waits until nothing is under way;
 * where there always is something, more does come. */
static bool resets_may_go(duet_sctp *s)
{
    duet_association_status status;

    if (s->resets_wanted == 0)
        s->resets_since = DUET_NEVER;
    else if (s->resets_since == DUET_NEVER)
        s->resets_since = s->now;
    if (s->resets_wanted == 0 || s->now >= s->resets_since + RESET_PATIENCE)
        return s->resets_wanted > 0;
    s->engine->status(s->association, &status);
    return status.unacknowledged == 0 && status.pending == 0;
}

/* What is possible now that something came in or time has passed. */
static void work(duet_sctp *s)
{
    if (s->state == DUET_SCTP_CONNECTED && !s->down) {
        if (resets_may_go(s))
            reset_channels(s);
        if (s->stray_count)
            reset_strays(s);
        duet_send_queue_flush(s);
    }
    if (s->down) {
        s->down = false;
        s->engine->abort(s->association);
    }
}

int duet_sctp_connect(duet_sctp *s, bool is_dtls_client, uint16_t remote_port, uint64_t remote_max_message,
                      duet_time now)
{
    duet_association_config config = {
        .local_port = s->config.local_port,
        .mtu = s->config.mtu,
        .streams = s->config.streams,
        .send_buffer = s->config.send_buffer,
        .receive_buffer = s->config.receive_buffer,
        .rto_initial = s->config.rto_initial,
        .rto_min = s->config.rto_min,
    };
    duet_association_callbacks callbacks = {
        .packet = on_packet,
        .fragment = on_fragment,
        .fragments_aborted = on_fragments_aborted,
        .event = on_event,
        .streams_reset = on_streams_reset,
        .writable = on_writable,
        .wake = on_engine_wake,
        .user = s,
    };

    if (s->state != DUET_SCTP_NEW)
        return DUET_ERR_STATE;
    if (remote_port == 0)
        return DUET_ERR_INVALID;
    int err = s->engine->create(&s->association, &s->env, &config, &callbacks, now);
    if (err)
        return err;
    duet_sctp_enter(s, now);
    s->is_dtls_client = is_dtls_client;
    s->remote_port = remote_port;
    s->remote_max_message = remote_max_message;
    s->last_tick = now;
    set_state(s, DUET_SCTP_CONNECTING, is_dtls_client ? "connect as DTLS client" : "connect as DTLS server");
    duet_dc_assign_ids(s);
    err = s->engine->connect(s->association, remote_port, now);
    if (err)
        go_down(s, "cannot connect");
    s->active = true;
    work(s);
    if (s->events.depth == 1)
        ask_for_turn(s);
    duet_sctp_leave(s);
    return err;
}

int duet_sctp_input(duet_sctp *s, const uint8_t *packet, size_t len, duet_time now)
{
    if (s->state == DUET_SCTP_NEW)
        return DUET_ERR_STATE;
    if (s->state == DUET_SCTP_CLOSED)
        return DUET_ERR_CLOSED;
    duet_sctp_enter(s, now);
    s->stats.packets_in++;
    s->stats.bytes_in += len;
    duet_trace_packet(&s->env, s->now, "sctp", DUET_LAYER_SCTP, false, NULL, packet, len);
    const char *cause = duet_sctp_refuse_packet(packet, len, s->remote_port, s->config.local_port);
    if (cause) {
        s->stats.discarded++;
        duet_trace_discard(&s->env, s->now, "sctp", "packet", len, cause);
    } else {
        duet_sctp_state before = s->state;
        s->last_input = s->now;
        s->active = true;
        s->engine->collect(s->association);
        s->in_input = true;
        s->engine->input(s->association, packet, len, s->now);
        s->in_input = false;
        s->engine->collect(s->association);
        if (before == DUET_SCTP_CONNECTING && s->state == DUET_SCTP_CONNECTED)
            duet_dc_connected(s);
        work(s);
    }
    duet_sctp_leave(s);
    return DUET_OK;
}

void duet_sctp_tick(duet_sctp *s, duet_time now)
{
    duet_sctp_enter(s, now);
    s->woken = false;
    send_held_ack(s);
    if (s->association && (s->state == DUET_SCTP_CONNECTING || s->state == DUET_SCTP_CONNECTED)) {
        duet_sctp_state before = s->state;
        s->last_tick = s->now;
        s->queue.blocked = false; /* room may have come by time alone (abandoned messages): try */
        s->engine->tick(s->association, s->now);
        if (before == DUET_SCTP_CONNECTING && s->state == DUET_SCTP_CONNECTED)
            duet_dc_connected(s);
        work(s);
        if (s->wants_flush && s->association)
            s->engine->flush(s->association);
        s->wants_flush = false;
        s->active = s->state != DUET_SCTP_CLOSED && is_busy(s);
        if (!s->active) {
            duet_send_queue_trim(s);
            duet_outbox_trim(&s->outbox);
        }
    }
    duet_sctp_leave(s);
}

duet_time duet_sctp_deadline(const duet_sctp *s)
{
    if (s->inbox.count > 0)
        return s->now;
    if (s->state == DUET_SCTP_CLOSED)
        return DUET_NEVER; /* whatever was to be sent stays unsent */
    if (s->wants_flush || s->acks.len > 0)
        return s->now;
    return s->active ? s->last_tick + DUET_ASSOCIATION_TICK : DUET_NEVER;
}

int duet_sctp_output(duet_sctp *s, duet_datagram *out, duet_time now)
{
    (void)now;
    return duet_outbox_pull(&s->outbox, out);
}

void duet_sctp_close(duet_sctp *s, duet_time now)
{
    if (s->state == DUET_SCTP_CLOSED)
        return;
    duet_sctp_enter(s, now);
    duet_ack_thinning_drop(&s->acks);
    if (s->association)
        s->engine->abort(s->association);
    go_down(s, "closed");
    s->down = false;
    if (s->events.depth == 1)
        ask_for_turn(s);
    duet_sctp_leave(s);
}

/* ---- what users may ask and set -------------------------------------------------------------------------------- */

void duet_sctp_set_remote_max_message(duet_sctp *s, uint64_t remote_max_message)
{
    s->remote_max_message = remote_max_message;
}

duet_sctp_state duet_sctp_get_state(const duet_sctp *s)
{
    return s->state;
}

void duet_sctp_get_stats(const duet_sctp *s, duet_sctp_stats *out)
{
    duet_association_status status = {0};

    *out = s->stats;
    if (s->association && s->state == DUET_SCTP_CONNECTED)
        s->engine->status(s->association, &status);
    out->smoothed_round_trip_time = status.smoothed_round_trip_time;
    out->congestion_window = status.congestion_window;
    out->receiver_window = status.receiver_window;
    out->mtu = status.mtu;
    out->unacknowledged = status.unacknowledged;
    out->max_message_size = s->remote_max_message;
    out->max_channels = s->max_channels;
}

void duet_sctp_each_channel(const duet_sctp *s, void (*visit)(void *user, duet_dc *dc), void *user)
{
    for (duet_dc *dc = s->first_dc; dc; dc = dc->next) {
        if (dc->state != DUET_DC_CLOSED)
            visit(user, dc);
    }
}

const char *duet_sctp_state_name(duet_sctp_state state)
{
    static const char *const names[] = {"new", "connecting", "connected", "closed"};

    return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}
