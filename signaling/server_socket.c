/* One WebSocket connection of the server: bytes between a bufferevent, the framing of websocket.h and the state
 * machine of session.h. */
#include "signaling/server.h"
#include "signaling/session.h"
#include "signaling/websocket.h"
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define GIVE_UP_AFTER DUET_SECONDS(5) /* from the end of session or websocket: who does not read hears no goodbye */
#define OUTPUT_HIGH   65536           /* bytes on their way to the kernel; more waits in the session's bounded queue */
#define INPUT_AT_ONCE 65536

struct server_socket {
    duet_signaling_server *server;
    server_socket *previous, *next;
    struct evhttp_connection *connection; /* owns the bufferevent */
    struct bufferevent *bev;
    struct event *timer;
    duet_websocket *ws;
    duet_session *session;
    duet_time give_up; /* DUET_NEVER as long as the session goes on */
    duet_time opened_at;
    duet_time timer_at; /* DUET_NEVER: the timer is not set */
    char address[DUET_ADDRESS_TEXT_MAX];
    bool busy, closing, paused, is_tls;
};

/* ---- life ---- */

static void forget(server_socket *s)
{
    duet_signaling_server *server = s->server;

    if (s->previous)
        s->previous->next = s->next;
    else
        server->sockets = s->next;
    if (s->next)
        s->next->previous = s->previous;
    server->socket_count--;
    duet_limits_disconnect(server->limits, DUET_LIMIT_ADDRESS, s->address);
    server_arrivals_throttle(server);
    server_schedule(server);
    if (server->stopping && !server->sockets && server->own_base)
        event_base_loopexit(server->base, NULL);
}

static void log_end(const server_socket *s)
{
    const char *reason, *ours;
    unsigned code = duet_websocket_close_code(s->ws, &reason);

    if (duet_session_is_over(s->session) && duet_session_close_code(s->session, &ours) != 0) {
        code = duet_session_close_code(s->session, &ours);
        reason = ours;
    }
    server_log(s->server, DUET_LOG_INFO, "disconnected",
               json_pack("{s:s,s:s,s:i,s:s,s:I}", "address", s->address, "agentId", duet_session_agent(s->session),
                         "code", (int)code, "reason", reason, "seconds",
                         (json_int_t)((duet_loop_now() - s->opened_at) / 1000000u)));
}

void server_socket_free(server_socket *s, bool clean)
{
    const duet_env *env = &s->server->env;

    s->busy = true; /* its own goodbye need not wake it */
    log_end(s);
    duet_session_destroy(s->session, clean, duet_loop_now());
    duet_websocket_destroy(s->ws);
    if (s->timer)
        event_free(s->timer);
    if (s->bev)
        bufferevent_setcb(s->bev, NULL, NULL, NULL, NULL);
    evhttp_connection_free(s->connection);
    forget(s);
    duet_free(env, s);
}

/* ---- driving ---- */

static size_t room_for_output(const server_socket *s)
{
    size_t waiting = evbuffer_get_length(bufferevent_get_output(s->bev));

    return waiting < OUTPUT_HIGH ? OUTPUT_HIGH - waiting : 0;
}

/* @return false when there are no more; true when there is no room for more */
static bool move_messages(server_socket *s, duet_time now)
{
    const uint8_t *data;
    const char *text;
    size_t len;

    while (duet_websocket_output(s->ws, &data) < room_for_output(s)) {
        if (duet_session_output(s->session, &text, &len) != 1)
            return false;
        (void)duet_websocket_send(s->ws, text, len, now); /* a closed one drops it */
    }
    return true;
}

static void close_if_ended(server_socket *s, duet_time now)
{
    const char *reason;

    unsigned code = duet_session_close_code(s->session, &reason);
    if (code == 0 || s->closing)
        return;
    s->closing = true;
    duet_websocket_close(s->ws, code, reason, now);
}

/* A bufferevent waits until the kernel says "writable" before it writes, and that takes three system calls more. So
 * what has nothing before it is offered to the kernel at once. @return how much it has taken; all, when the connection is
 * broken: its end is told from the loop */
static size_t write_at_once(server_socket *s, const uint8_t *data, size_t len)
{
    if (s->is_tls || evbuffer_get_length(bufferevent_get_output(s->bev)) > 0)
        return 0;
    ssize_t n = send(bufferevent_getfd(s->bev), data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
        return (size_t)n;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    bufferevent_trigger_event(s->bev, BEV_EVENT_WRITING | BEV_EVENT_ERROR, BEV_TRIG_DEFER_CALLBACKS);
    return len;
}

static void write_bytes(server_socket *s)
{
    const uint8_t *data;

    size_t len = duet_websocket_output(s->ws, &data);
    if (len == 0)
        return;
    duet_websocket_sent(s->ws, write_at_once(s, data, len));
    size_t room = room_for_output(s);
    len = duet_websocket_output(s->ws, &data);
    len = len < room ? len : room;
    if (len > 0 && bufferevent_write(s->bev, data, len) == 0)
        duet_websocket_sent(s->ws, len);
}

/* As much as kernel and bufferevent take. */
static void write_messages(server_socket *s, duet_time now)
{
    const uint8_t *data;
    bool more;

    do {
        more = move_messages(s, now);
        close_if_ended(s, now);
        write_bytes(s);
    } while (more && duet_websocket_output(s->ws, &data) == 0);
}

/* The client has said goodbye, or the session has come to its own end. */
static bool ended_cleanly(const server_socket *s)
{
    const char *ignored;

    return duet_websocket_close_code(s->ws, &ignored) != DUET_CLOSE_ABNORMAL;
}

/* What waits behind a token that is being checked stays in the kernel, as far as it is not here. */
static void pause_reading(server_socket *s)
{
    bool wait = duet_session_is_waiting(s->session);

    if (wait == s->paused)
        return;
    s->paused = wait;
    if (wait)
        bufferevent_disable(s->bev, EV_READ);
    else
        bufferevent_enable(s->bev, EV_READ);
}

/* Most messages only move the deadline on: then the timer may fire too early once, rather than be set for each of them. */
static void set_timer(server_socket *s, duet_time now)
{
    duet_time ws = duet_websocket_deadline(s->ws), session = duet_session_deadline(s->session);
    duet_time deadline = ws < session ? ws : session;
    deadline = deadline < s->give_up ? deadline : s->give_up;

    if (deadline >= s->timer_at)
        return;
    s->timer_at = deadline;
    duet_loop_timer(s->timer, deadline > now ? deadline - now : 0);
}

/* After anything happened. The socket may be gone afterwards. */
static void drive(server_socket *s)
{
    const uint8_t *data;
    duet_time now = duet_loop_now();

    s->busy = true;
    duet_session_tick(s->session, now);
    duet_websocket_tick(s->ws, now);
    write_messages(s, now);
    s->busy = false;
    bool done = duet_websocket_is_done(s->ws);
    if ((done || duet_session_is_over(s->session)) && s->give_up == DUET_NEVER)
        s->give_up = now + GIVE_UP_AFTER;
    bool drained = evbuffer_get_length(bufferevent_get_output(s->bev)) == 0 && duet_websocket_output(s->ws, &data) == 0;
    if (now >= s->give_up || (done && drained)) {
        server_socket_free(s, ended_cleanly(s));
        return;
    }
    pause_reading(s);
    set_timer(s, now);
    server_schedule(s->server);
}

/* Messages of others: it is driven from the loop, not from inside their call. */
static void session_wakes(void *user)
{
    server_socket *s = user;

    if (!s->busy)
        event_active(s->timer, EV_TIMEOUT, 1);
}

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ((server_socket *)arg)->timer_at = DUET_NEVER; /* also when a wake has set it off */
    drive(arg);
}

/* ---- what the websocket tells ---- */

static void on_message(void *user, const char *data, size_t len, bool is_text)
{
    server_socket *s = user;

    if (is_text)
        duet_session_input(s->session, data, len, duet_loop_now(), server_wall_seconds());
    else
        duet_session_bad_input(s->session, false);
}

static void on_too_large(void *user)
{
    duet_session_bad_input(((server_socket *)user)->session, true);
}

/* ---- what the connection tells ---- */

static void readable(struct bufferevent *bev, void *arg)
{
    server_socket *s = arg;
    struct evbuffer *input = bufferevent_get_input(bev);

    s->busy = true;
    while (evbuffer_get_length(input) > 0) {
        size_t len = evbuffer_get_contiguous_space(input);
        if (duet_websocket_input(s->ws, evbuffer_pullup(input, (ev_ssize_t)len), len, duet_loop_now()) != DUET_OK)
            break;
        evbuffer_drain(input, len);
    }
    s->busy = false;
    drive(s);
}

static void writable(struct bufferevent *bev, void *arg)
{
    (void)bev;
    drive(arg);
}

static void ended(struct bufferevent *bev, short what, void *arg)
{
    server_socket *s = arg;

    (void)bev;
    (void)what;
    server_socket_free(s, ended_cleanly(s));
}

/* ---- opening ---- */

static int make_parts(server_socket *s, bool compat)
{
    duet_signaling_server *server = s->server;
    duet_time now = duet_loop_now();
    duet_websocket_config ws = {.env = &server->env,
                                .pool = server->pool,
                                .max_message = DUET_SIGNAL_MESSAGE_MAX,
                                .on_message = on_message,
                                .on_too_large = on_too_large,
                                .user = s};
    duet_session_config session = {
        .hub = server->hub, .address = s->address, .compat = compat, .on_wake = session_wakes, .user = s};

    s->timer = event_new(server->base, -1, 0, timer_fired, s);
    if (!s->timer)
        return DUET_ERR_NOMEM;
    int err = duet_websocket_create(&s->ws, &ws, now);
    return err == DUET_OK ? duet_session_create(&s->session, &session, now) : err;
}

/* The bufferevent is ours now. */
static void take_over(server_socket *s)
{
    int one = 1;

    /* Messages are small and somebody waits for each. */
    setsockopt(bufferevent_getfd(s->bev), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    bufferevent_setwatermark(s->bev, EV_READ, 0, INPUT_AT_ONCE);
    bufferevent_setwatermark(s->bev, EV_WRITE, 0, 0);
    bufferevent_setcb(s->bev, readable, writable, ended, s);
    bufferevent_enable(s->bev, EV_READ | EV_WRITE);
    /* The deadlines are those of session and websocket now. HTTP's are taken away from events that wait only: one that
     * is added afterwards would keep them. */
    bufferevent_set_timeouts(s->bev, NULL, NULL);
    event_active(s->timer, EV_TIMEOUT, 1);
    if (evbuffer_get_length(bufferevent_get_input(s->bev)) > 0) /* frames that came right behind the request */
        bufferevent_trigger(s->bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}

static void discard(server_socket *s)
{
    duet_session_destroy(s->session, true, duet_loop_now());
    duet_websocket_destroy(s->ws);
    if (s->timer)
        event_free(s->timer);
    duet_free(&s->server->env, s);
}

int server_socket_open(duet_signaling_server *server, const server_upgrade *upgrade)
{
    server_socket *s = duet_calloc(&server->env, sizeof(*s));

    if (!s)
        return DUET_ERR_NOMEM;
    s->server = server;
    s->give_up = s->timer_at = DUET_NEVER;
    s->opened_at = duet_loop_now();
    s->connection = upgrade->connection;
    s->bev = evhttp_connection_get_bufferevent(upgrade->connection);
    s->is_tls = bufferevent_openssl_get_ssl(s->bev) != NULL;
    snprintf(s->address, sizeof(s->address), "%s", upgrade->address);
    int err = make_parts(s, upgrade->compat);
    if (err == DUET_OK && !duet_limits_connect(server->limits, DUET_LIMIT_ADDRESS, s->address, s->opened_at))
        err = DUET_ERR_LIMIT;
    if (err != DUET_OK) {
        discard(s);
        return err;
    }
    s->next = server->sockets;
    if (s->next)
        s->next->previous = s;
    server->sockets = s;
    server->socket_count++;
    server->counters.connections++;
    server_arrivals_throttle(server);
    server_log(server, DUET_LOG_INFO, "connected", json_pack("{s:s}", "address", s->address));
    if (upgrade->token)
        duet_session_authenticate(s->session, upgrade->token, strlen(upgrade->token), duet_loop_now(),
                                  server_wall_seconds());
    take_over(s);
    return DUET_OK;
}

void server_sockets_end(duet_signaling_server *server, unsigned code, const char *reason)
{
    for (server_socket *s = server->sockets; s; s = s->next)
        duet_session_end(s->session, code, reason);
}
