/* The state machine of one signaling connection: new, authenticated, in a room, ended. Messages are those of
 * protocol.h. */
#include "signaling/date.h"
#include "signaling/session_state.h"
#include <stdio.h>
#include <string.h>

/* ---- queues ---- */

static void queue_init(session_queue *q)
{
    *q = (session_queue){.last = &q->first};
}

static void queue_put(session_queue *q, session_text *t)
{
    *q->last = t;
    q->last = &t->next;
    q->bytes += t->len;
    q->count++;
}

static session_text *queue_take(session_queue *q)
{
    session_text *t = q->first;

    if (!t)
        return NULL;
    q->first = t->next;
    if (!q->first)
        q->last = &q->first;
    q->bytes -= t->len;
    q->count--;
    return t;
}

static void queue_free(session_queue *q, const duet_env *env)
{
    for (session_text *t = queue_take(q); t; t = queue_take(q))
        duet_free(env, t);
}

static session_text *make_text(const duet_env *env, size_t len)
{
    session_text *t = duet_alloc(env, sizeof(*t) + len + 1);

    if (!t)
        return NULL;
    t->next = NULL;
    t->len = len;
    t->text[len] = 0;
    return t;
}

/* ---- life ---- */

int duet_session_create(duet_session **out, const duet_session_config *config, duet_time now)
{
    const duet_env *env = duet_hub_env(config->hub);
    duet_session *s = duet_calloc(env, sizeof(*s));

    *out = s;
    if (!s)
        return DUET_ERR_NOMEM;
    s->env = env;
    s->config = *config;
    snprintf(s->address, sizeof(s->address), "%s", config->address ? config->address : "");
    queue_init(&s->output);
    queue_init(&s->backlog);
    s->now = now;
    s->deadline = now + DUET_SESSION_AUTH_TIMEOUT;
    return DUET_OK;
}

static void free_request(duet_session *s)
{
    duet_free(s->env, s->request.id);
    duet_free(s->env, s->request.room_id);
    s->request = (session_request){NULL, NULL};
}

static void free_session(duet_session *s)
{
    queue_free(&s->output, s->env);
    queue_free(&s->backlog, s->env);
    duet_free(s->env, s->lent);
    free_request(s);
    duet_free(s->env, s);
}

void duet_session_destroy(duet_session *s, bool clean, duet_time now)
{
    duet_limits *limits;

    if (!s)
        return;
    s->now = now;
    if (!s->ended)
        s->left_reason = clean ? "left" : NULL;
    s->ended = s->destroyed = true;
    duet_auth_cancel(s->ticket);
    session_give_up_seat(s);
    limits = duet_hub_settings(s->config.hub)->limits;
    if (s->counted && limits)
        duet_limits_disconnect(limits, DUET_LIMIT_AGENT, s->who.subject);
    if (s->pending == 0)
        free_session(s);
}

bool session_outcome(duet_session *s)
{
    s->pending--;
    if (!s->destroyed)
        return true;
    if (s->pending == 0)
        free_session(s);
    return false;
}

const char *duet_session_agent(const duet_session *s)
{
    return s->who.subject;
}

/* ---- ending ---- */

static void wake(duet_session *s)
{
    if (s->config.on_wake && !s->destroyed)
        s->config.on_wake(s->config.user);
}

/* The seat is given up at the next tick: this may run while the store tells something. */
void session_end(duet_session *s, unsigned code, const char *reason, const char *left_reason)
{
    if (s->ended)
        return;
    s->ended = true;
    s->close_code = code;
    s->close_reason = reason;
    s->left_reason = left_reason;
    s->deadline = s->seat.seated ? 0 : DUET_NEVER;
    wake(s);
}

void duet_session_end(duet_session *s, unsigned code, const char *reason)
{
    session_end(s, code, reason, NULL);
}

bool duet_session_is_over(const duet_session *s)
{
    return s->ended;
}

unsigned duet_session_close_code(const duet_session *s, const char **reason)
{
    *reason = s->close_reason ? s->close_reason : "";
    return s->output.first ? 0 : s->close_code;
}

/* ---- output ---- */

bool session_queue_output(duet_session *s, const char *head, size_t head_len, const char *text, size_t len,
                          const char *tail)
{
    size_t tail_len = strlen(tail), all = head_len + len + tail_len;

    if (s->ended)
        return false;
    if (s->output.count >= DUET_SESSION_QUEUE_MESSAGES || s->output.bytes + all > DUET_SESSION_QUEUE_BYTES) {
        duet_hub_count(s->config.hub)->overflows++;
        session_end(s, DUET_CLOSE_TIMEOUT, "messages are not read in time", NULL);
        return false;
    }
    session_text *t = make_text(s->env, all);
    if (!t) { /* a message is missing: going on would be a gap in the sequence */
        session_end(s, DUET_CLOSE_SERVER, "out of memory", NULL);
        return false;
    }
    memcpy(t->text, head, head_len);
    memcpy(t->text + head_len, text, len);
    memcpy(t->text + head_len + len, tail, tail_len);
    queue_put(&s->output, t);
    wake(s);
    return true;
}

void session_send(duet_session *s, const duet_signal *message, uint64_t number)
{
    duet_buffer *text = duet_hub_scratch(s->config.hub);
    duet_store *store = duet_hub_store(s->config.hub);

    if (s->ended)
        return;
    if (duet_signal_write(text, message) != DUET_OK)
        session_end(s, DUET_CLOSE_SERVER, "out of memory", NULL);
    else if (s->seat.seated)
        store->ops->post(store->self, s->seat.id, (const char *)text->data, text->len, number);
    else
        session_queue_output(s, "", 0, (const char *)text->data, text->len, "");
}

void session_say_last(duet_session *s, const duet_signal *message)
{
    duet_buffer *text = duet_hub_scratch(s->config.hub);

    if (duet_signal_write(text, message) == DUET_OK)
        session_queue_output(s, "", 0, (const char *)text->data, text->len, "");
}

static void say_last_error(duet_session *s, const char *request_id, const char *code, const char *text)
{
    duet_signal error = {.type = DUET_SIGNAL_ERROR, .id = request_id, .code = code, .message = text};

    duet_hub_count(s->config.hub)->errors++;
    session_say_last(s, &error);
}

void session_error_by_id(duet_session *s, const char *request_id, uint64_t number, const char *code, const char *text)
{
    duet_signal error = {.type = DUET_SIGNAL_ERROR, .id = request_id, .code = code, .message = text};

    duet_hub_count(s->config.hub)->errors++;
    session_send(s, &error, number);
}

void session_error(duet_session *s, const duet_signal *request, const char *code, const char *text)
{
    session_error_by_id(s, request->id, request->seq, code, text);
}

int duet_session_output(duet_session *s, const char **text, size_t *len)
{
    duet_free(s->env, s->lent);
    s->lent = queue_take(&s->output);
    if (!s->lent)
        return 0;
    *text = s->lent->text;
    *len = s->lent->len;
    return 1;
}

/* ---- authenticate ---- */

static void refuse_token(duet_session *s, const char *request_id, const char *why)
{
    duet_signal error = {.type = DUET_SIGNAL_AUTH_ERROR, .id = request_id, .code = "unauthorized", .message = why};

    duet_hub_count(s->config.hub)->refused++;
    session_say_last(s, &error);
    session_end(s, DUET_CLOSE_AUTHENTICATION, why, "expired");
}

static duet_time expiry_deadline(const duet_session *s, int64_t expires_at)
{
    int64_t left = expires_at > s->wall ? expires_at - s->wall : 0;

    return left < UINT32_MAX ? s->now + DUET_SECONDS((uint64_t)left) : DUET_NEVER;
}

/* An agent may have so many connections. @return false after ending the session */
static bool count_agent(duet_session *s, const char *agent_id)
{
    duet_limits *limits = duet_hub_settings(s->config.hub)->limits;

    if (s->counted || !limits)
        return true;
    if (duet_limits_connect(limits, DUET_LIMIT_AGENT, agent_id, s->now)) {
        s->counted = true;
        return true;
    }
    duet_signal error = {.type = DUET_SIGNAL_AUTH_ERROR,
                         .id = s->request.id,
                         .code = "rate_limited",
                         .message = "this agent has too many connections"};
    session_say_last(s, &error);
    session_end(s, DUET_CLOSE_RATE, "this agent has too many connections", "left");
    return false;
}

static void accept_token(duet_session *s, const duet_token_claims *claims)
{
    char expires_at[DUET_DATE_TEXT_MAX];
    duet_signal ok = {
        .type = DUET_SIGNAL_AUTH_OK, .id = s->request.id, .agent_id = s->who.subject, .expires_at = expires_at};

    if (s->authenticated && strcmp(claims->subject, s->who.subject) != 0) {
        refuse_token(s, s->request.id, "a renewal must be for the same subject");
        return;
    }
    if (!count_agent(s, claims->subject))
        return;
    duet_hub_count(s->config.hub)->authenticated++;
    s->authenticated = true;
    s->who = *claims;
    s->deadline = expiry_deadline(s, claims->expires_at);
    duet_date_write(expires_at, claims->expires_at);
    session_send(s, &ok, 0);
}

static void token_checked(void *user, int err, const duet_token_claims *claims, const char *why)
{
    duet_session *s = user;

    s->ticket = NULL;
    if (err == DUET_OK)
        accept_token(s, claims);
    else if (err == DUET_ERR_NOMEM)
        session_end(s, DUET_CLOSE_SERVER, "out of memory", NULL);
    else
        refuse_token(s, s->request.id, why);
    session_go_on(s);
}

static void check_token(duet_session *s, const char *token, size_t len)
{
    s->wait = WAITS_FOR_TOKEN;
    duet_auth_check(&s->ticket, duet_hub_settings(s->config.hub)->auth, token, len, s->wall, token_checked, s);
}

static void authenticate(duet_session *s, const duet_signal *m)
{
    if (session_keep_request(s, m) == DUET_OK)
        check_token(s, m->token, strlen(m->token));
}

void duet_session_authenticate(duet_session *s, const char *token, size_t len, duet_time now, int64_t wall_seconds)
{
    s->now = now;
    s->wall = wall_seconds;
    if (!s->ended)
        check_token(s, token, len);
}

/* ---- input ---- */

int session_keep_request(duet_session *s, const duet_signal *m)
{
    free_request(s);
    s->request.id = duet_strdup(s->env, m->id);
    s->request.room_id = duet_strdup(s->env, m->room_id);
    if ((s->request.id || !m->id) && (s->request.room_id || !m->room_id))
        return DUET_OK;
    session_end(s, DUET_CLOSE_SERVER, "out of memory", NULL);
    return DUET_ERR_NOMEM;
}

static void take_message(duet_session *s, const duet_signal *m)
{
    switch (m->type) {
    case DUET_SIGNAL_AUTHENTICATE:
        authenticate(s, m);
        break;
    case DUET_SIGNAL_JOIN_ROOM:
        session_join(s, m);
        break;
    case DUET_SIGNAL_RESUME:
        session_resume(s, m);
        break;
    case DUET_SIGNAL_LEAVE_ROOM:
        session_leave(s, m);
        break;
    default:
        session_relay(s, m);
    }
}

static const char *refusal_code(const duet_signal *m, int err)
{
    if (err == DUET_ERR_UNSUPPORTED)
        return "unsupported";
    return m->type == DUET_SIGNAL_CANDIDATE && m->to ? "bad_candidate" : "bad_request";
}

static void refuse_message(duet_session *s, const duet_signal *m, int err, const char *why)
{
    if (err == DUET_ERR_NOMEM) {
        session_end(s, DUET_CLOSE_SERVER, "out of memory", NULL);
        return;
    }
    if (err == DUET_ERR_TOO_LARGE) {
        duet_session_bad_input(s, true);
        return;
    }
    if (!s->authenticated && err != DUET_ERR_MALFORMED) {
        refuse_token(s, m->id, "the first message must be authenticate");
        return;
    }
    if (err == DUET_ERR_MALFORMED) {
        say_last_error(s, m->id, "bad_request", why);
        session_end(s, DUET_CLOSE_BAD_MESSAGE, why, "left");
        return;
    }
    session_error(s, m, refusal_code(m, err), why);
}

/* The first vocabulary had no authenticate: its join brought the token. */
static bool is_join_with_token(const duet_session *s, const duet_signal *m)
{
    return s->config.compat && m->type == DUET_SIGNAL_JOIN_ROOM && m->token;
}

/* @return false when the message is to be handled again, after its token has been checked */
static bool handle(duet_session *s, const char *text, size_t len)
{
    const char *why;
    duet_signal m;
    bool handled = true;

    int err = duet_signal_parse(&m, s->env, DUET_SIGNAL_FROM_CLIENT, text, len, &why);
    if (err != DUET_OK) {
        refuse_message(s, &m, err, why);
    } else if (s->authenticated || m.type == DUET_SIGNAL_AUTHENTICATE) {
        take_message(s, &m);
    } else if (is_join_with_token(s, &m)) {
        authenticate(s, &m);
        handled = false;
    } else {
        refuse_token(s, m.id, "the first message must be authenticate");
    }
    duet_signal_free(&m, s->env);
    return handled;
}

static void hold_back(duet_session *s, const char *text, size_t len, bool first)
{
    session_text *t = NULL;

    if (s->backlog.count < DUET_SESSION_BACKLOG_MESSAGES && s->backlog.bytes + len <= DUET_SESSION_BACKLOG_BYTES)
        t = make_text(s->env, len);
    if (!t) {
        session_end(s, DUET_CLOSE_RATE, "too many messages wait", "left");
        return;
    }
    memcpy(t->text, text, len);
    if (!first) {
        queue_put(&s->backlog, t);
        return;
    }
    session_queue rest = s->backlog;
    queue_init(&s->backlog);
    queue_put(&s->backlog, t);
    if (rest.first) {
        t->next = rest.first;
        s->backlog.last = rest.last;
        s->backlog.bytes += rest.bytes;
        s->backlog.count += rest.count;
    }
}

static void handle_or_hold_back(duet_session *s, const char *text, size_t len)
{
    if (!handle(s, text, len) && !s->ended)
        hold_back(s, text, len, true);
}

static void drain_backlog(duet_session *s)
{
    while (s->wait == WAITS_FOR_NOTHING && !s->ended) {
        session_text *t = queue_take(&s->backlog);
        if (!t)
            break;
        handle_or_hold_back(s, t->text, t->len);
        duet_free(s->env, t);
    }
}

void session_go_on(duet_session *s)
{
    s->wait = WAITS_FOR_NOTHING;
    if (s->handling)
        return;
    s->handling = true;
    drain_backlog(s);
    s->handling = false;
    wake(s); /* reading may go on */
}

void session_stop_waiting(duet_session *s)
{
    s->wait = WAITS_FOR_NOTHING;
    wake(s);
}

void duet_session_input(duet_session *s, const char *text, size_t len, duet_time now, int64_t wall_seconds)
{
    s->wall = wall_seconds;
    duet_session_tick(s, now);
    if (s->ended)
        return;
    if (s->wait != WAITS_FOR_NOTHING) {
        hold_back(s, text, len, false);
        return;
    }
    s->handling = true;
    handle_or_hold_back(s, text, len);
    drain_backlog(s);
    s->handling = false;
}

bool duet_session_is_waiting(const duet_session *s)
{
    return s->wait != WAITS_FOR_NOTHING;
}

void duet_session_bad_input(duet_session *s, bool too_large)
{
    if (s->ended)
        return;
    if (too_large) {
        say_last_error(s, NULL, "too_large", "a message may have 65536 bytes");
        session_end(s, DUET_CLOSE_TOO_LARGE, "the message is too large", "left");
    } else {
        say_last_error(s, NULL, "bad_request", "messages are text");
        session_end(s, DUET_CLOSE_BAD_MESSAGE, "messages are text", "left");
    }
}

/* ---- time ---- */

void duet_session_tick(duet_session *s, duet_time now)
{
    s->now = now;
    if (s->ended) {
        session_give_up_seat(s);
        s->deadline = DUET_NEVER;
        return;
    }
    if (s->wait == WAITS_FOR_NOTHING && s->backlog.first && !s->handling)
        session_go_on(s);
    if (now < s->deadline || s->ended || s->wait == WAITS_FOR_TOKEN) /* that has a time-out of its own */
        return;
    if (s->authenticated)
        refuse_token(s, NULL, "the token has expired");
    else
        session_end(s, DUET_CLOSE_TIMEOUT, "no authenticate message came within 5 seconds", "timeout");
    session_give_up_seat(s);
    s->deadline = DUET_NEVER;
}

duet_time duet_session_deadline(const duet_session *s)
{
    if (s->wait == WAITS_FOR_NOTHING && s->backlog.first && !s->ended)
        return 0;
    return s->wait == WAITS_FOR_TOKEN && !s->ended ? DUET_NEVER : s->deadline;
}
