/* The client's half of the signaling protocol: opening handshake (RFC 6455 section 4), authenticate, join_room, then
 * offers, answers and candidates both ways. */
#include "signaling/client.h"
#include "base/crypto.h"
#include "signaling/protocol.h"
#include "signaling/websocket.h"
#include <stdio.h>
#include <string.h>

typedef enum client_state {
    HANDSHAKE = 0,
    AUTHENTICATING,
    JOINING,
    RESUMING,
    JOINED,
    CLOSING,
    DONE,
} client_state;

struct duet_client_core {
    duet_env env;
    duet_signaling_client_config config; /* its texts are copies */
    duet_signaling_client *handle;
    duet_client_memory *memory;
    duet_client_hooks hooks;
    bool silent;
    client_state state;
    duet_time deadline; /* for being joined */
    char key[DUET_WEBSOCKET_KEY_LEN + 1];
    duet_buffer request;  /* the handshake's, as far as it is not sent */
    duet_buffer response; /* the handshake's, as far as it has come */
    duet_websocket *ws;
    duet_time now; /* of the call under way, for messages sent from callbacks */
    char why[320]; /* what the server said before it closed */
};

/* ---- the end ---- */

static void done(duet_client_core *c, unsigned code, const char *reason)
{
    if (c->state == DONE)
        return;
    c->state = DONE;
    if (c->silent)
        return;
    if (c->hooks.closed)
        c->hooks.closed(c->handle, code, c->why[0] ? c->why : reason);
    else if (c->config.on_closed)
        c->config.on_closed(c->config.user, c->handle, code, c->why[0] ? c->why : reason);
}

static void begin_close(duet_client_core *c, unsigned code, const char *reason)
{
    if (c->state == DONE || c->state == CLOSING)
        return;
    if (!c->ws) {
        done(c, 0, reason);
        return;
    }
    c->state = CLOSING;
    duet_websocket_close(c->ws, code, reason, c->now);
}

static void check_websocket(duet_client_core *c)
{
    const char *reason;

    if (!c->ws || c->state == DONE || !duet_websocket_is_done(c->ws))
        return;
    unsigned code = duet_websocket_close_code(c->ws, &reason);
    if (code == DUET_CLOSE_ABNORMAL)
        done(c, 0, "the server does not answer any more");
    else
        done(c, code, reason);
}

void duet_client_core_lost(duet_client_core *c, const char *reason)
{
    const char *said;

    unsigned code = c->ws ? duet_websocket_close_code(c->ws, &said) : DUET_CLOSE_ABNORMAL;
    if (code != DUET_CLOSE_ABNORMAL)
        done(c, code, said);
    else
        done(c, 0, reason);
}

bool duet_client_core_is_done(const duet_client_core *c)
{
    return c->state == DONE;
}

/* ---- sending ---- */

static int send_signal(duet_client_core *c, const duet_signal *message)
{
    duet_buffer text;

    duet_buffer_init(&text, &c->env);
    int err = duet_signal_write(&text, message);
    if (err == DUET_OK && text.len > DUET_SIGNAL_MESSAGE_MAX)
        err = DUET_ERR_TOO_LARGE;
    if (err == DUET_OK)
        err = duet_websocket_send(c->ws, (const char *)text.data, text.len, c->now);
    if (message->token)
        duet_wipe(text.data, text.len);
    duet_buffer_free(&text);
    return err;
}

static void send_or_close(duet_client_core *c, const duet_signal *message)
{
    int err = send_signal(c, message);

    if (err != DUET_OK)
        begin_close(c, DUET_CLOSE_NORMAL, duet_strerror(err));
}

/* ---- what outlives a connection ---- */

void duet_client_memory_init(duet_client_memory *m, const duet_env *env)
{
    *m = (duet_client_memory){.waiting = 0};
    duet_seat_log_init(&m->sent, env);
}

void duet_client_memory_clear(duet_client_memory *m)
{
    const duet_env *env = m->sent.env;

    duet_seat_log_free(&m->sent);
    duet_wipe(m->resume_token, sizeof(m->resume_token));
    duet_client_memory_init(m, env);
}

/* Numbers the message and keeps its text. */
static int keep(duet_client_memory *memory, const duet_signal *message)
{
    duet_signal numbered = *message;
    duet_buffer text;

    numbered.seq = memory->sent.last + 1;
    duet_buffer_init(&text, memory->sent.env);
    int err = duet_signal_write(&text, &numbered);
    if (err == DUET_OK && text.len > DUET_SIGNAL_MESSAGE_MAX)
        err = DUET_ERR_TOO_LARGE;
    if (err == DUET_OK)
        err = duet_seat_log_add(&memory->sent, (const char *)text.data, text.len);
    duet_buffer_free(&text);
    return err;
}

int duet_client_memory_keep(duet_client_memory *memory, const duet_signal *message)
{
    if (!memory->resume_token[0])
        return DUET_ERR_STATE;
    if (memory->waiting >= DUET_CLIENT_WAITING_MAX)
        return DUET_ERR_AGAIN;
    int err = keep(memory, message);
    memory->waiting += err == DUET_OK;
    return err;
}

int duet_client_core_send(duet_client_core *c, const duet_signal *message, duet_time now)
{
    c->now = now;
    if (c->state != JOINED)
        return duet_client_memory_keep(c->memory, message);
    int err = keep(c->memory, message);
    if (err != DUET_OK)
        return err;
    const duet_seat_message *text = duet_seat_log_get(&c->memory->sent, c->memory->sent.last);
    return duet_websocket_send(c->ws, text->text, text->len, now);
}

/* What the server has not heard. */
static void say_again(duet_client_core *c, uint64_t received)
{
    const duet_seat_log *sent = &c->memory->sent;

    for (uint64_t n = received + 1; n <= sent->last && c->state == JOINED; n++) {
        const duet_seat_message *text = duet_seat_log_get(sent, n);
        int err = text ? duet_websocket_send(c->ws, text->text, text->len, c->now) : DUET_OK;
        if (err != DUET_OK)
            begin_close(c, DUET_CLOSE_NORMAL, duet_strerror(err));
    }
}

static int send_token(duet_client_core *c, const char *token)
{
    duet_signal m = {.type = DUET_SIGNAL_AUTHENTICATE, .token = token};

    return send_signal(c, &m);
}

int duet_client_core_renew(duet_client_core *c, const char *token, duet_time now)
{
    c->now = now;
    return c->state == JOINING || c->state == RESUMING || c->state == JOINED ? send_token(c, token) : DUET_ERR_STATE;
}

void duet_client_core_close(duet_client_core *c, duet_time now)
{
    duet_signal leave = {.type = DUET_SIGNAL_LEAVE_ROOM, .room_id = c->config.room};

    c->now = now;
    if (c->state == JOINED)
        (void)send_signal(c, &leave);
    begin_close(c, DUET_CLOSE_NORMAL, "");
}

/* ---- the messages of the server ---- */

static void joined(duet_client_core *c, const duet_signal *m)
{
    duet_signaling_room room = {m->room_id, m->self, m->users, m->user_count, m->ice_servers};
    size_t token_len = m->resume_token ? strlen(m->resume_token) : 0;

    if (c->state != JOINING)
        return;
    c->state = JOINED;
    c->deadline = DUET_NEVER;
    duet_client_memory_clear(c->memory);
    c->memory->last_seq = m->seq;
    if (token_len <= DUET_CLIENT_RESUME_TOKEN_MAX && token_len > 0)
        memcpy(c->memory->resume_token, m->resume_token, token_len + 1);
    if (c->hooks.settled)
        c->hooks.settled(c->handle);
    if (c->config.on_joined)
        c->config.on_joined(c->config.user, c->handle, &room);
}

static void resumed(duet_client_core *c, const duet_signal *m)
{
    if (c->state != RESUMING)
        return;
    c->state = JOINED;
    c->deadline = DUET_NEVER;
    c->memory->waiting = 0;
    say_again(c, m->received);
    if (c->hooks.settled)
        c->hooks.settled(c->handle);
    if (c->config.on_resumed)
        c->config.on_resumed(c->config.user, c->handle);
}

static void join(duet_client_core *c)
{
    duet_signal join = {.type = DUET_SIGNAL_JOIN_ROOM, .room_id = c->config.room, .token = c->config.room_token};

    c->state = JOINING;
    send_or_close(c, &join);
}

static void authenticated(duet_client_core *c)
{
    duet_signal resume = {
        .type = DUET_SIGNAL_RESUME, .resume_token = c->memory->resume_token, .last_seq = c->memory->last_seq};

    if (c->state != AUTHENTICATING)
        return;
    if (!c->memory->resume_token[0]) {
        join(c);
        return;
    }
    c->state = RESUMING;
    send_or_close(c, &resume);
}

/* Before we are in the room an error is the end; afterwards it is about one message. */
static void refused(duet_client_core *c, const duet_signal *m)
{
    const char *text = m->message ? m->message : "";

    if (m->type == DUET_SIGNAL_ERROR && c->state == JOINED) {
        if (c->config.on_error)
            c->config.on_error(c->config.user, c->handle, m->code, text);
        return;
    }
    if (m->type == DUET_SIGNAL_ERROR && c->state == RESUMING) { /* the seat has gone: another one */
        duet_client_memory_clear(c->memory);
        join(c);
        return;
    }
    snprintf(c->why, sizeof(c->why), "%.60s: %.250s", m->code, text);
    if (m->type == DUET_SIGNAL_ERROR)
        begin_close(c, DUET_CLOSE_NORMAL, "");
}

static void handle(duet_client_core *c, const duet_signal *m)
{
    const duet_signaling_client_config *k = &c->config;

    switch (m->type) {
    case DUET_SIGNAL_AUTH_OK:
        authenticated(c);
        break;
    case DUET_SIGNAL_ROOM_USERS:
        joined(c, m);
        break;
    case DUET_SIGNAL_RESUMED:
        resumed(c, m);
        break;
    case DUET_SIGNAL_DISCOVER:
        if (k->on_discover)
            k->on_discover(k->user, c->handle, m->from);
        break;
    case DUET_SIGNAL_MANUAL:
        if (k->on_manual)
            k->on_manual(k->user, c->handle, m->from, m->manual);
        break;
    case DUET_SIGNAL_USER_JOINED:
        if (k->on_user_joined)
            k->on_user_joined(k->user, c->handle, &m->user);
        break;
    case DUET_SIGNAL_USER_LEFT:
        if (k->on_user_left)
            k->on_user_left(k->user, c->handle, m->user_id, m->reason);
        break;
    case DUET_SIGNAL_OFFER:
    case DUET_SIGNAL_ANSWER:
        if (k->on_description)
            k->on_description(k->user, c->handle, m->from,
                              m->type == DUET_SIGNAL_OFFER ? DUET_SDP_OFFER : DUET_SDP_ANSWER, m->sdp);
        break;
    case DUET_SIGNAL_CANDIDATE:
        if (k->on_candidate)
            k->on_candidate(k->user, c->handle, m->from, &m->candidate);
        break;
    case DUET_SIGNAL_AUTH_ERROR:
    case DUET_SIGNAL_ERROR:
        refused(c, m);
        break;
    default:
        break;
    }
}

/* A seat's messages are numbered; what has been heard already is not heard again. */
static bool is_new(duet_client_core *c, const duet_signal *m)
{
    if (m->seq == 0 || c->state == JOINING)
        return true;
    if (m->seq <= c->memory->last_seq)
        return false;
    c->memory->last_seq = m->seq;
    return true;
}

static void on_message(void *user, const char *data, size_t len, bool is_text)
{
    duet_client_core *c = user;
    duet_signal m;

    if (!is_text || c->state == DONE || c->state == CLOSING)
        return;
    int err = duet_signal_parse(&m, &c->env, DUET_SIGNAL_FROM_SERVER, data, len, NULL);
    if (err == DUET_OK && is_new(c, &m))
        handle(c, &m);
    else if (err != DUET_OK && err != DUET_ERR_UNSUPPORTED) /* newer servers may say more than we know */
        begin_close(c, DUET_CLOSE_BAD_MESSAGE, "a message of the server is malformed");
    duet_signal_free(&m, &c->env);
}

static void on_too_large(void *user)
{
    begin_close(user, DUET_CLOSE_TOO_LARGE, "a message of the server is too large");
}

/* ---- the opening handshake ---- */

static void handshake_complete(duet_client_core *c, size_t used, duet_time now)
{
    duet_websocket_config config = {.env = &c->env,
                                    .is_client = true,
                                    .max_message = DUET_CLIENT_MESSAGE_MAX,
                                    .on_message = on_message,
                                    .on_too_large = on_too_large,
                                    .user = c};
    duet_buffer early = c->response; /* frames that came in the same segment */

    duet_buffer_init(&c->response, &c->env);
    int err = duet_websocket_create(&c->ws, &config, now);
    if (err == DUET_OK) {
        c->state = AUTHENTICATING;
        err = send_token(c, c->config.token);
    }
    if (err != DUET_OK)
        done(c, 0, duet_strerror(err));
    else if (early.len > used)
        duet_websocket_input(c->ws, early.data + used, early.len - used, now);
    duet_buffer_free(&early);
}

static void handshake_input(duet_client_core *c, const void *data, size_t len, duet_time now)
{
    char reason[160];
    size_t used;

    duet_buffer_append(&c->response, data, len);
    if (c->response.failed) {
        done(c, 0, duet_strerror(DUET_ERR_NOMEM));
        return;
    }
    int err = duet_handshake_response(c->response.data, c->response.len, c->key, &used, reason, sizeof(reason));
    if (err == DUET_OK)
        handshake_complete(c, used, now);
    else if (err != DUET_ERR_AGAIN)
        done(c, 0, err == DUET_ERR_TOO_LARGE ? "the server's HTTP response is too large" : reason);
}

/* ---- driving ---- */

void duet_client_core_input(duet_client_core *c, const void *data, size_t len, duet_time now)
{
    c->now = now;
    if (c->state == DONE)
        return;
    if (c->state == HANDSHAKE)
        handshake_input(c, data, len, now);
    else
        duet_websocket_input(c->ws, data, len, now);
    check_websocket(c);
}

void duet_client_core_tick(duet_client_core *c, duet_time now)
{
    c->now = now;
    if (c->state == DONE)
        return;
    if (now >= c->deadline) {
        c->deadline = DUET_NEVER;
        if (c->state == HANDSHAKE)
            done(c, 0, "the server does not answer");
        else
            begin_close(c, DUET_CLOSE_NORMAL, "the server did not let us in in time");
    }
    if (c->ws)
        duet_websocket_tick(c->ws, now);
    check_websocket(c);
}

duet_time duet_client_core_deadline(const duet_client_core *c)
{
    duet_time ws = c->ws ? duet_websocket_deadline(c->ws) : DUET_NEVER;

    if (c->state == DONE)
        return DUET_NEVER;
    return ws < c->deadline ? ws : c->deadline;
}

size_t duet_client_core_output(const duet_client_core *c, const uint8_t **data)
{
    *data = c->request.data;
    if (c->request.len > 0)
        return c->request.len;
    return c->ws ? duet_websocket_output(c->ws, data) : 0;
}

void duet_client_core_sent(duet_client_core *c, size_t len)
{
    if (c->request.len == 0) {
        duet_websocket_sent(c->ws, len);
        return;
    }
    memmove(c->request.data, c->request.data + len, c->request.len - len);
    c->request.len -= len;
}

/* ---- life ---- */

static int copy_config(duet_client_core *c, const duet_signaling_client_config *config)
{
    c->config = *config;
    c->config.url = NULL;
    c->config.env = NULL;
    c->config.token = duet_strdup(&c->env, config->token);
    c->config.room = duet_strdup(&c->env, config->room);
    c->config.room_token = duet_strdup(&c->env, config->room_token);
    bool complete = c->config.token && c->config.room && (c->config.room_token || !config->room_token);
    return complete ? DUET_OK : DUET_ERR_NOMEM;
}

int duet_client_core_create(duet_client_core **out, const duet_signaling_client_config *config, const duet_ws_url *url,
                            duet_client_memory *memory, duet_signaling_client *handle, const duet_client_hooks *hooks,
                            duet_time now)
{
    duet_env env = duet_env_resolve(config->env);
    duet_client_core *c = duet_calloc(&env, sizeof(*c));

    *out = NULL;
    if (!c)
        return DUET_ERR_NOMEM;
    c->env = env;
    c->handle = handle;
    c->memory = memory;
    c->hooks = hooks ? *hooks : (duet_client_hooks){NULL, NULL};
    c->deadline = now + DUET_CLIENT_JOIN_TIMEOUT;
    duet_buffer_init(&c->request, &c->env);
    duet_buffer_init(&c->response, &c->env);
    int err = copy_config(c, config);
    if (err == DUET_OK)
        err = duet_websocket_make_key(c->key, &c->env);
    if (err == DUET_OK)
        err = duet_handshake_request(&c->request, url, c->key, DUET_SIGNAL_SUBPROTOCOL);
    if (err != DUET_OK) {
        duet_client_core_destroy(c);
        return err;
    }
    *out = c;
    return DUET_OK;
}

void duet_client_core_silence(duet_client_core *c)
{
    c->silent = true;
    c->hooks.settled = NULL;
    c->config.on_joined = NULL;
    c->config.on_user_joined = NULL;
    c->config.on_user_left = NULL;
    c->config.on_description = NULL;
    c->config.on_candidate = NULL;
    c->config.on_error = NULL;
    c->config.on_interrupted = NULL;
    c->config.on_resumed = NULL;
    c->config.on_discover = NULL;
    c->config.on_manual = NULL;
    c->config.on_closed = NULL;
}

static void free_secret(const duet_env *env, const char *text)
{
    char *copy = (char *)(uintptr_t)text; /* our own copy */

    if (copy)
        duet_wipe(copy, strlen(copy));
    duet_free(env, copy);
}

void duet_client_core_destroy(duet_client_core *c)
{
    if (!c)
        return;
    duet_websocket_destroy(c->ws);
    duet_buffer_free(&c->request);
    duet_buffer_free(&c->response);
    free_secret(&c->env, c->config.token);
    free_secret(&c->env, c->config.room_token);
    free_secret(&c->env, c->config.room);
    duet_env env = c->env;
    duet_free(&env, c);
}
