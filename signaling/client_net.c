/* The signaling client on a loop of duet/net.h: host name, TCP connection, bytes. What they mean is client.c's
 * business. */
#include "base/memory.h"
#include "signaling/client.h"
#include "signaling/protocol.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESSES_MAX   8
#define CONNECT_TIMEOUT DUET_SECONDS(5) /* each address */
#define READ_SIZE       16384
#define READS_PER_TURN  8 /* others first */

struct duet_signaling_client {
    duet_env env;
    duet_net *net;
    duet_ws_url url;
    duet_client_core *core;
    duet_net_watch *watch;
    duet_net_timer *timer;
    int fd;
    bool connected;
    duet_address addresses[ADDRESSES_MAX];
    size_t address_count, next_address;
    bool resolving, asked; /* attached to the loop; the request has been taken */
    unsigned busy;         /* callbacks under way */
    bool destroyed;
    char failure[160];
};

static void drive(duet_signaling_client *c);

/* ---- callbacks may destroy the client: the outermost call frees it ---- */

static void close_socket(duet_signaling_client *c)
{
    duet_net_watch_stop(c->watch);
    c->watch = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->connected = false;
}

static void stop_timer(duet_signaling_client *c)
{
    duet_net_timer_cancel(c->timer);
    c->timer = NULL;
}

static void stop_resolving(duet_signaling_client *c)
{
    if (!c->resolving)
        return;
    c->resolving = false;
    duet_net_detach(c->net, c);
}

static void enter(duet_signaling_client *c)
{
    c->busy++;
}

static void leave(duet_signaling_client *c)
{
    if (--c->busy > 0 || !c->destroyed)
        return;
    duet_client_core_destroy(c->core);
    duet_env env = c->env;
    duet_free(&env, c);
}

static void release(duet_signaling_client *c)
{
    stop_resolving(c);
    stop_timer(c);
    close_socket(c);
}

/* ---- bytes ---- */

static void lost(duet_signaling_client *c, const char *reason)
{
    close_socket(c);
    stop_timer(c);
    duet_client_core_lost(c->core, reason);
}

static void read_bytes(duet_signaling_client *c)
{
    uint8_t buf[READ_SIZE];

    for (int i = 0; i < READS_PER_TURN && !c->destroyed && !duet_client_core_is_done(c->core); i++) {
        ssize_t n = read(c->fd, buf, sizeof(buf));
        if (n > 0) {
            duet_client_core_input(c->core, buf, (size_t)n, duet_net_now(c->net));
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        lost(c, n == 0 ? "the server closed the connection" : strerror(errno));
        return;
    }
}

static void write_bytes(duet_signaling_client *c)
{
    const uint8_t *data;
    size_t len;

    while ((len = duet_client_core_output(c->core, &data)) > 0) {
        ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
        if (n < 0)
            break; /* a broken connection shows when it is read */
        duet_client_core_sent(c->core, (size_t)n);
    }
}

static void timer_fired(void *arg)
{
    duet_signaling_client *c = arg;

    stop_timer(c);
    enter(c);
    duet_client_core_tick(c->core, duet_net_now(c->net));
    drive(c);
    leave(c);
}

/* After anything happened: writes, watches for what is wanted now, sets the timer, or ends. */
static void drive(duet_signaling_client *c)
{
    const uint8_t *data;

    if (c->destroyed)
        return;
    if (c->connected)
        write_bytes(c);
    if (duet_client_core_is_done(c->core)) {
        release(c);
        return;
    }
    if (!c->connected)
        return;
    bool waiting = duet_client_core_output(c->core, &data) > 0;
    duet_net_watch_change(c->watch, DUET_NET_READABLE | (waiting ? DUET_NET_WRITABLE : 0));
    duet_time now = duet_net_now(c->net), deadline = duet_client_core_deadline(c->core);
    stop_timer(c);
    if (deadline != DUET_NEVER &&
        duet_net_timer_start(&c->timer, c->net, deadline > now ? deadline - now : 0, timer_fired, c) != DUET_OK)
        lost(c, duet_strerror(DUET_ERR_NOMEM));
}

/* ---- connecting ---- */

static void try_next_address(duet_signaling_client *c);

static void attempt_failed(duet_signaling_client *c, int error)
{
    char text[DUET_ADDRESS_TEXT_MAX];

    duet_address_text(&c->addresses[c->next_address - 1], text, sizeof(text));
    snprintf(c->failure, sizeof(c->failure), "cannot connect to %s: %s", text, strerror(error));
    close_socket(c);
    stop_timer(c);
    try_next_address(c);
}

static void ready(void *arg, unsigned events)
{
    duet_signaling_client *c = arg;
    int error = 0;
    socklen_t len = sizeof(error);

    enter(c);
    if (!c->connected) {
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        c->connected = error == 0 && (events & DUET_NET_WRITABLE);
        if (error != 0)
            attempt_failed(c, error);
    } else if (events & DUET_NET_READABLE) {
        read_bytes(c);
    }
    drive(c);
    leave(c);
}

static void connect_timed_out(void *arg)
{
    duet_signaling_client *c = arg;

    enter(c);
    attempt_failed(c, ETIMEDOUT);
    drive(c);
    leave(c);
}

static socklen_t socket_address(const duet_address *a, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (a->family == DUET_AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->ip, 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(a->port);
    in6->sin6_scope_id = a->scope;
    memcpy(&in6->sin6_addr, a->ip, 16);
    return sizeof(*in6);
}

/* @return 0, or an errno value */
static int begin_connect(duet_signaling_client *c, const duet_address *to)
{
    struct sockaddr_storage address;
    socklen_t len = socket_address(to, &address);
    int one = 1;

    c->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return errno;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(c->fd, (struct sockaddr *)&address, len) != 0 && errno != EINPROGRESS)
        return errno;
    if (duet_net_watch_start(&c->watch, c->net, c->fd, DUET_NET_READABLE | DUET_NET_WRITABLE, ready, c) != DUET_OK ||
        duet_net_timer_start(&c->timer, c->net, CONNECT_TIMEOUT, connect_timed_out, c) != DUET_OK)
        return ENOMEM;
    return 0;
}

static void try_next_address(duet_signaling_client *c)
{
    if (c->next_address >= c->address_count) {
        lost(c, c->failure[0] ? c->failure : "the server's name has no address");
        return;
    }
    int error = begin_connect(c, &c->addresses[c->next_address++]);
    if (error != 0)
        attempt_failed(c, error);
}

/* ---- the host name: the client is an endpoint that asks one question ---- */

static void add_address(duet_signaling_client *c, const duet_address *address)
{
    if (c->address_count == ADDRESSES_MAX)
        return;
    duet_address *a = &c->addresses[c->address_count++];
    *a = *address;
    a->port = (uint16_t)strtoul(c->url.port, NULL, 10);
}

static void resolved(void *arg)
{
    duet_signaling_client *c = arg;

    enter(c);
    stop_timer(c);
    stop_resolving(c);
    try_next_address(c);
    drive(c);
    leave(c);
}

static int endpoint_input(void *object, duet_datagram *in, duet_time now)
{
    (void)object;
    (void)in;
    (void)now;
    return DUET_ERR_NOT_MINE;
}

static int endpoint_output(void *object, duet_datagram *out, duet_time now)
{
    (void)object;
    (void)out;
    (void)now;
    return 0;
}

static int endpoint_request(void *object, duet_request *out)
{
    duet_signaling_client *c = object;

    if (c->asked)
        return 0;
    c->asked = true;
    *out = (duet_request){.kind = DUET_REQUEST_RESOLVE, .id = 1, .name = c->url.host};
    return 1;
}

static int endpoint_answer(void *object, const duet_answer *answer, duet_time now)
{
    duet_signaling_client *c = object;

    (void)now;
    for (size_t i = 0; answer->err == DUET_OK && i < answer->address_count; i++)
        add_address(c, &answer->addresses[i]);
    if (answer->err != DUET_OK)
        snprintf(c->failure, sizeof(c->failure), "cannot find %.100s: %s", c->url.host, duet_strerror(answer->err));
    return duet_net_timer_start(&c->timer, c->net, 0, resolved, c); /* connect outside of the endpoint's call */
}

static void endpoint_path_error(void *object, const duet_path *path, int error, duet_time now)
{
    (void)object;
    (void)path;
    (void)error;
    (void)now;
}

static void endpoint_tick(void *object, duet_time now)
{
    (void)object;
    (void)now;
}

static duet_time endpoint_deadline(const void *object)
{
    (void)object;
    return DUET_NEVER;
}

/* It never asks to be driven: attaching it is enough to have its question asked. */
static void endpoint_set_wake(void *object, void (*wake)(void *user), void *user)
{
    (void)object;
    (void)wake;
    (void)user;
}

static const duet_endpoint_ops endpoint_ops = {
    .size = sizeof(endpoint_ops),
    .input = endpoint_input,
    .output = endpoint_output,
    .request = endpoint_request,
    .answer = endpoint_answer,
    .path_error = endpoint_path_error,
    .tick = endpoint_tick,
    .deadline = endpoint_deadline,
    .set_wake = endpoint_set_wake,
};

static int find_host(duet_signaling_client *c)
{
    duet_address address;
    bool local = strcmp(c->url.host, "localhost") == 0; /* RFC 6761 section 6.3 */

    if (duet_address_parse(&address, local ? "127.0.0.1" : c->url.host, 0) == DUET_OK) {
        add_address(c, &address);
        if (local && duet_address_parse(&address, "::1", 0) == DUET_OK)
            add_address(c, &address);
        return duet_net_timer_start(&c->timer, c->net, 0, resolved, c);
    }
    int err = duet_net_attach(c->net, &endpoint_ops, c);
    c->resolving = err == DUET_OK;
    return err;
}

/* ---- the public calls ---- */

int duet_signaling_client_create(duet_signaling_client **out, duet_net *net, const duet_signaling_client_config *config)
{
    duet_signaling_client_config full = DUET_SIGNALING_CLIENT_CONFIG_INIT;
    duet_ws_url url;

    *out = NULL;
    memcpy(&full, config, config->size < sizeof(full) ? config->size : sizeof(full));
    if (!full.url || !full.token || !full.room || !duet_room_id_valid(full.room) ||
        duet_ws_url_parse(&url, full.url) != DUET_OK)
        return DUET_ERR_INVALID;
    if (url.secure)
        return DUET_ERR_UNSUPPORTED;
    duet_env env = duet_env_resolve(full.env);
    duet_signaling_client *c = duet_calloc(&env, sizeof(*c));
    if (!c)
        return DUET_ERR_NOMEM;
    c->env = env;
    c->net = net;
    c->url = url;
    c->fd = -1;
    int err = duet_client_core_create(&c->core, &full, &url, c, duet_net_now(net));
    if (err == DUET_OK)
        err = find_host(c);
    if (err != DUET_OK) {
        duet_signaling_client_destroy(c);
        return err;
    }
    *out = c;
    return DUET_OK;
}

void duet_signaling_client_destroy(duet_signaling_client *c)
{
    if (!c || c->destroyed)
        return;
    enter(c);
    c->destroyed = true;
    duet_client_core_silence(c->core);
    if (c->connected && !duet_client_core_is_done(c->core)) {
        duet_client_core_close(c->core, duet_net_now(c->net));
        write_bytes(c);
    }
    release(c);
    leave(c);
}

void duet_signaling_client_close(duet_signaling_client *c)
{
    enter(c);
    duet_client_core_close(c->core, duet_net_now(c->net));
    drive(c);
    leave(c);
}

int duet_signaling_client_send_description(duet_signaling_client *c, const char *to, duet_sdp_type type,
                                           const char *sdp)
{
    enter(c);
    int err = duet_client_core_send(c->core, to, type, sdp, NULL, duet_net_now(c->net));
    drive(c);
    leave(c);
    return err;
}

int duet_signaling_client_send_candidate(duet_signaling_client *c, const char *to, const duet_pc_candidate *candidate)
{
    enter(c);
    int err = duet_client_core_send(c->core, to, DUET_SDP_NONE, NULL, candidate, duet_net_now(c->net));
    drive(c);
    leave(c);
    return err;
}

int duet_signaling_client_renew(duet_signaling_client *c, const char *token)
{
    enter(c);
    int err = duet_client_core_renew(c->core, token, duet_net_now(c->net));
    drive(c);
    leave(c);
    return err;
}
