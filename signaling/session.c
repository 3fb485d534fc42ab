/* The state machine of one signaling connection: new, authenticated, in a room, ended. Messages are those of
 * protocol.h. */
#include "signaling/session.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct queued_message {
    struct queued_message *next;
    size_t len;
    char *text;
} queued_message;

struct duet_session {
    const duet_env *env;
    duet_session_config config;
    bool authenticated, ended;
    duet_time deadline; /* of authenticating, then of the token */
    duet_token_claims who;
    duet_seat *seat;
    uint64_t seq; /* of the last message to the seat */
    queued_message *first, **last;
    queued_message *lent; /* what the last output gave away */
    size_t queued_bytes, queued_messages;
    unsigned close_code;
    const char *close_reason;
    const char *left_reason; /* for the others, when the seat is given up at the next tick */
};

int duet_session_create(duet_session **out, const duet_session_config *config, duet_time now)
{
    const duet_env *env = duet_hub_env(config->hub);
    duet_session *s = duet_calloc(env, sizeof(*s));

    *out = s;
    if (!s)
        return DUET_ERR_NOMEM;
    s->env = env;
    s->config = *config;
    s->last = &s->first;
    s->deadline = now + DUET_SESSION_AUTH_TIMEOUT;
    return DUET_OK;
}

static void free_message(duet_session *s, queued_message *m)
{
    if (m)
        duet_free(s->env, m->text);
    duet_free(s->env, m);
}

static void give_up_seat(duet_session *s, const char *reason)
{
    duet_seat *seat = s->seat;

    s->seat = NULL; /* first: the room's goodbye must not reach a session that is going */
    duet_hub_leave(s->config.hub, seat, reason);
}

void duet_session_destroy(duet_session *s, const char *reason)
{
    if (!s)
        return;
    s->ended = true;
    give_up_seat(s, s->left_reason ? s->left_reason : reason);
    while (s->first) {
        queued_message *m = s->first;
        s->first = m->next;
        free_message(s, m);
    }
    free_message(s, s->lent);
    duet_free(s->env, s);
}

/* ---- ending ---- */

/* The seat is given up at the next tick: this may run while the room is being told something. */
void duet_session_end(duet_session *s, unsigned code, const char *reason, const char *left_reason)
{
    if (s->ended)
        return;
    s->ended = true;
    s->close_code = code;
    s->close_reason = reason;
    s->left_reason = left_reason;
    s->deadline = s->seat ? 0 : DUET_NEVER;
    if (s->config.on_wake)
        s->config.on_wake(s->config.user);
}

bool duet_session_is_over(const duet_session *s)
{
    return s->ended;
}

unsigned duet_session_close_code(const duet_session *s, const char **reason)
{
    *reason = s->close_reason ? s->close_reason : "";
    return s->first ? 0 : s->close_code;
}

/* ---- output ---- */

static int queue_text(duet_session *s, duet_buffer *text)
{
    queued_message *m = duet_calloc(s->env, sizeof(*m));

    if (!m)
        return DUET_ERR_NOMEM;
    m->len = text->len;
    m->text = duet_buffer_steal(text);
    if (!m->text) {
        duet_free(s->env, m);
        return DUET_ERR_NOMEM;
    }
    *s->last = m;
    s->last = &m->next;
    s->queued_bytes += m->len;
    s->queued_messages++;
    if (s->config.on_wake)
        s->config.on_wake(s->config.user);
    return DUET_OK;
}

/* Numbers the message when it goes to a seat, and queues it. */
static void send_message(duet_session *s, const duet_signal *message)
{
    duet_signal numbered = *message;
    duet_buffer text;

    if (s->ended)
        return;
    numbered.seq = s->seat ? ++s->seq : 0;
    duet_buffer_init(&text, s->env);
    int err = duet_signal_write(&text, &numbered);
    size_t len = text.len;
    if (err == DUET_OK &&
        (s->queued_messages >= DUET_SESSION_QUEUE_MESSAGES || s->queued_bytes + len > DUET_SESSION_QUEUE_BYTES)) {
        duet_buffer_free(&text);
        duet_session_end(s, DUET_CLOSE_TIMEOUT, "messages are not read in time", "timeout");
        return;
    }
    if (err == DUET_OK)
        err = queue_text(s, &text);
    duet_buffer_free(&text);
    if (err != DUET_OK) /* a message is missing: going on would be a gap in the sequence */
        duet_session_end(s, DUET_CLOSE_SERVER, "out of memory", "left");
}

int duet_session_output(duet_session *s, const char **text, size_t *len)
{
    free_message(s, s->lent);
    s->lent = s->first;
    if (!s->first)
        return 0;
    s->first = s->first->next;
    if (!s->first)
        s->last = &s->first;
    s->queued_bytes -= s->lent->len;
    s->queued_messages--;
    *text = s->lent->text;
    *len = s->lent->len;
    return 1;
}

static void send_error(duet_session *s, const char *request_id, const char *code, const char *text)
{
    duet_signal error = {.type = DUET_SIGNAL_ERROR, .id = request_id, .code = code, .message = text};

    send_message(s, &error);
}

/* ---- authenticate ---- */

static void refuse_token(duet_session *s, const char *request_id, const char *why)
{
    duet_signal error = {.type = DUET_SIGNAL_AUTH_ERROR, .id = request_id, .code = "unauthorized", .message = why};

    send_message(s, &error);
    duet_session_end(s, DUET_CLOSE_AUTHENTICATION, why, "expired");
}

/* RFC 3339, in UTC. */
static void date_text(char *buf, size_t size, int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(buf, size, "9999-12-31T23:59:59Z");
}

static duet_time expiry_deadline(int64_t expires_at, int64_t wall_seconds, duet_time now)
{
    uint64_t left = (uint64_t)(expires_at - wall_seconds); /* it has been verified: not negative */

    return left < UINT32_MAX ? now + DUET_SECONDS(left) : DUET_NEVER;
}

static void authenticate(duet_session *s, const char *request_id, const char *token, size_t len, duet_time now,
                         int64_t wall_seconds)
{
    const char *why;
    char expires_at[40];
    duet_token_claims claims;

    int err =
        duet_token_verify(&claims, s->env, token, len, s->config.secret, s->config.secret_len, wall_seconds, &why);
    if (err == DUET_ERR_NOMEM) {
        duet_session_end(s, DUET_CLOSE_SERVER, "out of memory", "left");
        return;
    }
    if (err != DUET_OK) {
        refuse_token(s, request_id, why);
        return;
    }
    if (s->authenticated && strcmp(claims.subject, s->who.subject) != 0) {
        refuse_token(s, request_id, "a renewal must be for the same subject");
        return;
    }
    s->authenticated = true;
    s->who = claims;
    s->deadline = expiry_deadline(claims.expires_at, wall_seconds, now);
    date_text(expires_at, sizeof(expires_at), claims.expires_at);
    duet_signal ok = {
        .type = DUET_SIGNAL_AUTH_OK, .id = request_id, .agent_id = s->who.subject, .expires_at = expires_at};
    send_message(s, &ok);
}

void duet_session_authenticate(duet_session *s, const char *token, size_t len, duet_time now, int64_t wall_seconds)
{
    if (!s->ended)
        authenticate(s, NULL, token, len, now, wall_seconds);
}

/* ---- rooms ---- */

static void deliver(void *user, const duet_signal *message)
{
    send_message(user, message);
}

static void removed(void *user, const char *reason)
{
    duet_session *s = user;

    s->seat = NULL;
    duet_session_end(s, DUET_CLOSE_FORBIDDEN,
                     strcmp(reason, "closed") == 0 ? "the room has been closed" : "removed from the room", reason);
}

/* The claims that count for this room: those of a join token when one is given, otherwise those of the connection.
 * @return false after telling the client */
static bool choose_claims(duet_session *s, const duet_signal *m, int64_t wall_seconds, duet_token_claims *claims)
{
    const char *why;

    *claims = s->who;
    if (m->token) {
        int err = duet_token_verify(claims, s->env, m->token, strlen(m->token), s->config.secret, s->config.secret_len,
                                    wall_seconds, &why);
        if (err != DUET_OK) {
            send_error(s, m->id, "unauthorized", why);
            return false;
        }
        if (strcmp(claims->subject, s->who.subject) != 0) {
            send_error(s, m->id, "forbidden", "the join token is for somebody else");
            return false;
        }
    }
    if (claims->room[0] ? strcmp(claims->room, m->room_id) != 0 : !(claims->permissions & DUET_TOKEN_JOIN)) {
        send_error(s, m->id, "forbidden", "the token does not allow to join this room");
        return false;
    }
    return true;
}

static void refuse_join(duet_session *s, const char *request_id, int err)
{
    switch (err) {
    case DUET_ERR_NOT_FOUND:
        send_error(s, request_id, "not_found", "there is no such room");
        break;
    case DUET_ERR_LIMIT:
        send_error(s, request_id, "room_full", "the room has no free seat");
        break;
    case DUET_ERR_TOO_LARGE:
        send_error(s, request_id, "room_full", "the server holds no more rooms");
        break;
    default:
        duet_session_end(s, DUET_CLOSE_SERVER, "out of memory", "left");
    }
}

static void join_room(duet_session *s, const duet_signal *m, int64_t wall_seconds)
{
    duet_seat_callbacks callbacks = {deliver, removed, s};
    duet_token_claims claims;

    if (s->seat) {
        send_error(s, m->id, "bad_request", "this connection is in a room already: leave it first");
        return;
    }
    if (!choose_claims(s, m, wall_seconds, &claims))
        return;
    s->seq = 0;
    int err = duet_hub_join(&s->seat, s->config.hub, m->room_id, &claims, m->id, wall_seconds, &callbacks);
    if (err != DUET_OK)
        refuse_join(s, m->id, err);
}

static void leave_room(duet_session *s, const duet_signal *m)
{
    if (!s->seat || strcmp(duet_seat_room(s->seat), m->room_id) != 0) {
        send_error(s, m->id, "not_in_room", "this connection is not in that room");
        return;
    }
    duet_hub_leave(s->config.hub, s->seat, "left"); /* tells this seat too, so the session keeps it until then */
    s->seat = NULL;
}

/* ---- descriptions and candidates ---- */

static bool check_sdp(duet_session *s, const duet_signal *m)
{
    duet_sdp *sdp = NULL;
    duet_sdp_error error;
    char text[256];

    int err = duet_sdp_parse(&sdp, s->env, m->sdp, strlen(m->sdp), &error);
    duet_sdp_destroy(sdp);
    if (err == DUET_OK)
        return true;
    if (err == DUET_ERR_NOMEM) {
        duet_session_end(s, DUET_CLOSE_SERVER, "out of memory", "left");
        return false;
    }
    snprintf(text, sizeof(text), "line %zu, column %zu: %s", error.line, error.column, error.reason);
    send_error(s, m->id, "bad_sdp", text);
    return false;
}

/* Candidates of kinds that this build does not know pass: the receiver ignores them (RFC 8839 section 5.1). */
static bool check_candidate(duet_session *s, const duet_signal *m)
{
    const char *text = m->candidate.candidate, *why = NULL;
    duet_candidate parsed;
    size_t column = 0;
    char message[256];

    if (!*text)
        return true;
    int err = duet_candidate_parse(&parsed, text, strlen(text), &column, &why);
    if (err == DUET_OK || err == DUET_ERR_UNSUPPORTED)
        return true;
    snprintf(message, sizeof(message), "column %zu: %s", column + 1, why ? why : "not a candidate");
    send_error(s, m->id, "bad_candidate", message);
    return false;
}

static void relay(duet_session *s, const duet_signal *m)
{
    if (!s->seat) {
        send_error(s, m->id, "not_in_room", "join a room first");
        return;
    }
    if (!duet_hub_reaches(s->config.hub, s->seat, m->to)) {
        send_error(s, m->id, "no_such_peer", "nobody else in the room has this id");
        return;
    }
    if (m->type == DUET_SIGNAL_CANDIDATE ? check_candidate(s, m) : check_sdp(s, m))
        duet_hub_relay(s->config.hub, s->seat, m);
}

/* ---- input ---- */

static void take_message(duet_session *s, const duet_signal *m, duet_time now, int64_t wall_seconds)
{
    if (m->type == DUET_SIGNAL_AUTHENTICATE)
        authenticate(s, m->id, m->token, strlen(m->token), now, wall_seconds);
    else if (m->type == DUET_SIGNAL_JOIN_ROOM)
        join_room(s, m, wall_seconds);
    else if (m->type == DUET_SIGNAL_LEAVE_ROOM)
        leave_room(s, m);
    else
        relay(s, m);
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
        duet_session_end(s, DUET_CLOSE_SERVER, "out of memory", "left");
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
    send_error(s, m->id, refusal_code(m, err), why);
    if (err == DUET_ERR_MALFORMED)
        duet_session_end(s, DUET_CLOSE_BAD_MESSAGE, why, "left");
}

void duet_session_input(duet_session *s, const char *text, size_t len, duet_time now, int64_t wall_seconds)
{
    const char *why;
    duet_signal m;

    duet_session_tick(s, now);
    if (s->ended)
        return;
    int err = duet_signal_parse(&m, s->env, DUET_SIGNAL_FROM_CLIENT, text, len, &why);
    if (err == DUET_OK && !s->authenticated && m.type != DUET_SIGNAL_AUTHENTICATE)
        refuse_token(s, m.id, "the first message must be authenticate");
    else if (err == DUET_OK)
        take_message(s, &m, now, wall_seconds);
    else
        refuse_message(s, &m, err, why);
    duet_signal_free(&m, s->env);
}

void duet_session_bad_input(duet_session *s, bool too_large)
{
    if (s->ended)
        return;
    if (too_large) {
        send_error(s, NULL, "too_large", "a message may have 65536 bytes");
        duet_session_end(s, DUET_CLOSE_TOO_LARGE, "the message is too large", "left");
    } else {
        send_error(s, NULL, "bad_request", "messages are text");
        duet_session_end(s, DUET_CLOSE_BAD_MESSAGE, "messages are text", "left");
    }
}

/* ---- time ---- */

void duet_session_tick(duet_session *s, duet_time now)
{
    if (s->ended) {
        give_up_seat(s, s->left_reason);
        s->deadline = DUET_NEVER;
        return;
    }
    if (now < s->deadline)
        return;
    if (s->authenticated)
        refuse_token(s, NULL, "the token has expired");
    else
        duet_session_end(s, DUET_CLOSE_TIMEOUT, "no authenticate message came within 5 seconds", "timeout");
    give_up_seat(s, s->left_reason);
    s->deadline = DUET_NEVER;
}

duet_time duet_session_deadline(const duet_session *s)
{
    return s->deadline;
}
