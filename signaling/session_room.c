/* A session's seat: taking it, taking it again, passing messages on from it, giving it up. */
#include "signaling/session_state.h"
#include <stdio.h>
#include <string.h>

/* ---- what the seat hears ---- */

/* The message is numbered: its last brace makes room for "seq". */
static void seat_message(void *user, uint64_t seq, const char *text, size_t len)
{
    duet_session *s = user;
    char tail[40];
    size_t skip = 0;

    const char *head = s->config.compat ? duet_signal_compat_head(text, len, &skip) : NULL;
    snprintf(tail, sizeof(tail), ",\"seq\":%llu}", (unsigned long long)seq);
    session_queue_output(s, head ? head : "", head ? strlen(head) : 0, text + skip, len - skip - 1, tail);
}

static void seat_removed(void *user, const char *reason)
{
    duet_session *s = user;
    bool closed = strcmp(reason, "closed") == 0 || strcmp(reason, "expired") == 0;

    if (s->wait == WAITS_TO_LEAVE && !s->ended)
        session_stop_waiting(s);
    else
        session_end(s, DUET_CLOSE_FORBIDDEN, closed ? "the room has been closed" : "removed from the room", NULL);
}

static void seat_replaced(void *user)
{
    session_end(user, DUET_CLOSE_REPLACED, "the seat is used by a newer connection", NULL);
}

void session_give_up_seat(duet_session *s)
{
    duet_store *store = duet_hub_store(s->config.hub);

    if (!s->seat.seated || s->wait == WAITS_FOR_SEAT) /* then the outcome is waited for */
        return;
    duet_hub_unseat(s->config.hub, &s->seat);
    if (s->left_reason) {
        store->ops->leave(store->self, s->seat.id, s->left_reason);
        return;
    }
    duet_hub_count(s->config.hub)->detached++;
    store->ops->detach(store->self, s->seat.id, duet_hub_settings(s->config.hub)->grace, s->now);
}

/* ---- joining ---- */

static void refuse_join(duet_session *s, int err)
{
    static const struct {
        int err;
        const char *code, *text;
    } refusals[] = {
        {DUET_ERR_NOT_FOUND, "not_found", "there is no such room"},
        {DUET_ERR_LIMIT, "room_full", "the room has no free seat"},
        {DUET_ERR_TOO_LARGE, "room_full", "the server holds no more rooms"},
        {DUET_ERR_UNSUPPORTED, "room_full",
         "so many cannot connect to each other directly, and no SFU serves this room"},
    };

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].err == err) {
            session_error_by_id(s, s->request.id, 0, refusals[i].code, refusals[i].text);
            return;
        }
    }
    session_end(s, DUET_CLOSE_SERVER, err == DUET_ERR_NOMEM ? "out of memory" : "rooms cannot be reached", NULL);
}

/* Nobody is there any more who would use the seat. */
static void abandon(duet_session *s, int err)
{
    if (err == DUET_OK && s->seat.seated) {
        s->wait = WAITS_FOR_NOTHING;
        session_give_up_seat(s);
    }
    duet_hub_unseat(s->config.hub, &s->seat);
}

static void joined(void *user, int err)
{
    duet_session *s = user;

    if (s->ended)
        abandon(s, err);
    if (!session_outcome(s))
        return;
    if (err == DUET_OK) {
        duet_hub_count(s->config.hub)->joined++;
    } else {
        duet_hub_unseat(s->config.hub, &s->seat);
        refuse_join(s, err);
    }
    session_go_on(s);
}

static void take_seat(duet_session *s, const duet_token_claims *claims)
{
    if (claims->room[0] ? strcmp(claims->room, s->request.room_id) != 0 : !(claims->permissions & DUET_TOKEN_JOIN)) {
        session_error_by_id(s, s->request.id, 0, "forbidden", "the token does not allow to join this room");
        session_go_on(s);
        return;
    }
    s->seat.callbacks = (duet_seat_callbacks){seat_message, seat_removed, seat_replaced, s};
    s->wait = WAITS_FOR_SEAT;
    s->pending++;
    int err = duet_hub_join(s->config.hub, &s->seat, s->request.room_id, claims, s->request.id, s->wall, joined, s);
    if (err != DUET_OK)
        joined(s, err);
}

static void join_token_checked(void *user, int err, const duet_token_claims *claims, const char *why)
{
    duet_session *s = user;

    s->ticket = NULL;
    if (err == DUET_OK && strcmp(claims->subject, s->who.subject) == 0) {
        take_seat(s, claims);
        return;
    }
    if (err == DUET_OK)
        session_error_by_id(s, s->request.id, 0, "forbidden", "the join token is for somebody else");
    else if (err == DUET_ERR_NOMEM)
        session_end(s, DUET_CLOSE_SERVER, "out of memory", NULL);
    else
        session_error_by_id(s, s->request.id, 0, "unauthorized", why);
    session_go_on(s);
}

static bool is_free(duet_session *s, const duet_signal *m)
{
    if (s->seat.seated)
        session_error(s, m, "bad_request", "this connection is in a room already: leave it first");
    return !s->seat.seated;
}

/* The claims that count for a room are those of a join token when one is given, otherwise those of the connection. */
void session_join(duet_session *s, const duet_signal *m)
{
    if (!is_free(s, m) || session_keep_request(s, m) != DUET_OK)
        return;
    if (!m->token) {
        take_seat(s, &s->who);
        return;
    }
    s->wait = WAITS_FOR_JOIN_TOKEN;
    duet_auth_check(&s->ticket, duet_hub_settings(s->config.hub)->auth, m->token, strlen(m->token), s->wall,
                    join_token_checked, s);
}

/* ---- coming back ---- */

static void detach_at_once(duet_session *s, const duet_store_seat *seat)
{
    duet_store *store = duet_hub_store(s->config.hub);

    store->ops->detach(store->self, seat->who.id, duet_hub_settings(s->config.hub)->grace, s->now);
}

static void resumed(void *user, int err, const duet_store_seat *seat)
{
    duet_session *s = user;

    if (err == DUET_OK && s->ended)
        detach_at_once(s, seat);
    if (!session_outcome(s))
        return;
    if (err == DUET_OK && !s->ended && duet_hub_seated(s->config.hub, &s->seat, seat) == DUET_OK) {
        duet_hub_count(s->config.hub)->resumed++;
    } else if (err == DUET_OK && !s->ended) {
        detach_at_once(s, seat);
        session_end(s, DUET_CLOSE_SERVER, "out of memory", NULL);
    } else if (err == DUET_ERR_NOT_FOUND || err == DUET_ERR_AUTH) {
        session_error_by_id(s, s->request.id, 0, "not_found", "there is no such seat any more: join afresh");
    } else if (err == DUET_ERR_LIMIT) {
        session_error_by_id(s, s->request.id, 0, "not_found", "too much has been missed: join afresh");
    } else if (err != DUET_OK) {
        refuse_join(s, err);
    }
    session_go_on(s);
}

void session_resume(duet_session *s, const duet_signal *m)
{
    char hash[DUET_SEAT_HASH_LEN + 1];
    duet_store *store = duet_hub_store(s->config.hub);

    if (!is_free(s, m) || session_keep_request(s, m) != DUET_OK)
        return;
    int err = duet_hub_resume_hash(hash, s->config.hub, m->resume_token);
    if (err != DUET_OK) {
        session_end(s, DUET_CLOSE_SERVER, duet_strerror(err), NULL);
        return;
    }
    s->seat.callbacks = (duet_seat_callbacks){seat_message, seat_removed, seat_replaced, s};
    s->wait = WAITS_FOR_SEAT;
    s->pending++;
    store->ops->resume(store->self, hash, s->who.subject, m->last_seq, m->id, resumed, s);
}

void session_leave(duet_session *s, const duet_signal *m)
{
    duet_store *store = duet_hub_store(s->config.hub);

    if (!s->seat.seated || (m->room_id && strcmp(s->seat.room_id, m->room_id) != 0)) {
        session_error(s, m, "not_in_room", "this connection is not in that room");
        return;
    }
    s->wait = WAITS_TO_LEAVE;
    store->ops->leave(store->self, s->seat.id, "left"); /* the seat is told, then removed */
}

/* ---- passing on ---- */

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
        session_end(s, DUET_CLOSE_SERVER, "out of memory", NULL);
        return false;
    }
    snprintf(text, sizeof(text), "line %zu, column %zu: %s", error.line, error.column, error.reason);
    session_error(s, m, "bad_sdp", text);
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
    session_error(s, m, "bad_candidate", message);
    return false;
}

/* One message of each bucket that it falls into. */
static bool is_within_rate(duet_session *s, uint64_t *retry_ms)
{
    const duet_hub_config *k = duet_hub_settings(s->config.hub);

    if (!duet_bucket_take(&s->bucket, &k->messages, 1, s->now, retry_ms))
        return false;
    return !k->limits ||
           (duet_limits_message(k->limits, DUET_LIMIT_AGENT, s->who.subject, s->now, retry_ms) &&
            (!s->address[0] || duet_limits_message(k->limits, DUET_LIMIT_ADDRESS, s->address, s->now, retry_ms)) &&
            duet_limits_message(k->limits, DUET_LIMIT_ROOM, s->seat.room_id, s->now, retry_ms));
}

static bool check_rate(duet_session *s, const duet_signal *m)
{
    uint64_t retry_ms = 0;
    duet_signal error = {
        .type = DUET_SIGNAL_ERROR, .id = m->id, .code = "rate_limited", .message = "too many messages"};

    if (is_within_rate(s, &retry_ms)) {
        s->strikes = 0;
        return true;
    }
    duet_hub_count(s->config.hub)->rate_limited++;
    duet_hub_count(s->config.hub)->errors++;
    error.retry_after_ms = retry_ms ? retry_ms : 1;
    if (++s->strikes < DUET_SESSION_STRIKES) {
        session_send(s, &error, 0); /* not counted as received: it may be said again */
        return false;
    }
    session_say_last(s, &error);
    session_end(s, DUET_CLOSE_RATE, "too many messages", "left");
    return false;
}

/* Whose message has not arrived, when that matters: with a request id. */
typedef struct relay_call {
    duet_session *session;
    uint64_t number;
    char id[DUET_SIGNAL_REQUEST_MAX * 4 + 1];
} relay_call;

static void tell_outcome(duet_session *s, const char *id, uint64_t number, int err)
{
    if (err == DUET_ERR_NOT_FOUND)
        session_error_by_id(s, id, number, "no_such_peer", "nobody else in the room has this id");
    else if (err == DUET_ERR_NOMEM)
        session_end(s, DUET_CLOSE_SERVER, "out of memory", NULL);
    else if (err != DUET_OK && err != DUET_ERR_CLOSED)
        session_end(s, DUET_CLOSE_SERVER, "rooms cannot be reached", NULL);
}

static void relayed(void *user, int err)
{
    if (session_outcome(user))
        tell_outcome(user, NULL, 0, err);
}

static void relayed_call(void *user, int err)
{
    relay_call *call = user;
    duet_session *s = call->session;
    const duet_env *env = s->env;

    if (session_outcome(s))
        tell_outcome(s, call->id[0] ? call->id : NULL, call->number, err);
    duet_free(env, call);
}

static void pass_on(duet_session *s, const duet_signal *m)
{
    duet_store *store = duet_hub_store(s->config.hub);
    duet_buffer *text = duet_hub_scratch(s->config.hub);
    duet_signal passed = *m;
    duet_store_done done = relayed;
    void *user = s;

    passed.id = passed.to = NULL; /* the request's own business */
    passed.seq = 0;
    passed.from = s->seat.id;
    int err = duet_signal_write(text, &passed);
    if (err == DUET_OK && (m->id || m->seq)) {
        relay_call *call = duet_calloc(s->env, sizeof(*call));
        err = call ? DUET_OK : DUET_ERR_NOMEM;
        if (call) {
            call->session = s;
            call->number = m->seq;
            snprintf(call->id, sizeof(call->id), "%s", m->id ? m->id : "");
        }
        done = relayed_call;
        user = call;
    }
    if (err != DUET_OK) {
        session_end(s, DUET_CLOSE_SERVER, "out of memory", NULL);
        return;
    }
    s->pending++;
    store->ops->relay(store->self, s->seat.id, m->to, (const char *)text->data, text->len, m->seq, done, user);
}

static void count(duet_session *s, duet_signal_type type)
{
    duet_hub_stats *stats = duet_hub_count(s->config.hub);

    stats->offers += type == DUET_SIGNAL_OFFER;
    stats->answers += type == DUET_SIGNAL_ANSWER;
    stats->candidates += type == DUET_SIGNAL_CANDIDATE;
}

static bool check_content(duet_session *s, const duet_signal *m)
{
    if (m->type == DUET_SIGNAL_CANDIDATE)
        return check_candidate(s, m);
    return !m->sdp || check_sdp(s, m);
}

void session_relay(duet_session *s, const duet_signal *m)
{
    if (!s->seat.seated) {
        session_error(s, m, "not_in_room", "join a room first");
        return;
    }
    if (!m->to && !s->config.compat) {
        session_error(s, m, "bad_request", "\"to\" must be the id of a participant");
        return;
    }
    if (!check_rate(s, m) || !check_content(s, m))
        return;
    count(s, m->type);
    pass_on(s, m);
}
