/* The signaling client on a loop of duet/net.h: host name, TCP or TLS connection, bytes, and coming back when it breaks. What
 * the bytes mean is client.c's business. */
#include "base/memory.h"
#include "net/tls_stream.h"
#include "signaling/client.h"
#include "signaling/protocol.h"
#include "signaling/websocket.h"
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
#define BACK_OFF_FIRST  (DUET_SECONDS(1) / 4)
#define BACK_OFF_MAX    DUET_SECONDS(8)
#define GIVE_UP_DEFAULT DUET_SECONDS(30)

struct duet_signaling_client {
    duet_env env;
    duet_net *net;
    duet_ws_url url;
    duet_signaling_client_config config; /* as the user gave it, with copies of its texts */
    char *token, *room, *room_token;
    duet_client_memory memory;
    duet_client_core *core;
    duet_tls_context *trust; /* wss */
    duet_tls *tls;
    uint8_t cipher[READ_SIZE]; /* on its way to the kernel */
    size_t cipher_start, cipher_len;
    duet_time broken_at, back_off; /* broken_at: DUET_NEVER as long as it holds */
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
    duet_tls_destroy(c->tls);
    c->tls = NULL;
    c->cipher_len = 0;
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
    duet_client_memory_clear(&c->memory);
    duet_tls_context_destroy(c->trust);
    duet_free(&c->env, c->token);
    duet_free(&c->env, c->room);
    duet_free(&c->env, c->room_token);
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

/* The reason may be the TLS stream's, which goes with the socket. */
static void lost(duet_signaling_client *c, const char *reason)
{
    char why[sizeof(c->failure)];

    snprintf(why, sizeof(why), "%s", reason);
    close_socket(c);
    stop_timer(c);
    duet_client_core_lost(c->core, why);
}

static bool goes_on(const duet_signaling_client *c)
{
    return !c->destroyed && c->fd >= 0 && !duet_client_core_is_done(c->core);
}

static void take_bytes(duet_signaling_client *c, const uint8_t *data, size_t len)
{
    uint8_t plain[READ_SIZE];
    size_t n;

    if (!c->tls) {
        duet_client_core_input(c->core, data, len, duet_net_now(c->net));
        return;
    }
    if (duet_tls_input(c->tls, data, len) != DUET_OK) {
        lost(c, duet_tls_reason(c->tls)[0] ? duet_tls_reason(c->tls) : "TLS ended");
        return;
    }
    while (goes_on(c) && (n = duet_tls_read(c->tls, plain, sizeof(plain))) > 0)
        duet_client_core_input(c->core, plain, n, duet_net_now(c->net));
}

static void read_bytes(duet_signaling_client *c)
{
    uint8_t buf[READ_SIZE];

    for (int i = 0; i < READS_PER_TURN && goes_on(c); i++) {
        ssize_t n = read(c->fd, buf, sizeof(buf));
        if (n > 0) {
            take_bytes(c, buf, (size_t)n);
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        lost(c, n == 0 ? "the server closed the connection" : strerror(errno));
        return;
    }
}

static void write_plain(duet_signaling_client *c)
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

/* @return whether the kernel took all of it */
static bool write_cipher(duet_signaling_client *c)
{
    while (c->cipher_len > 0) {
        ssize_t n = send(c->fd, c->cipher + c->cipher_start, c->cipher_len, MSG_NOSIGNAL);
        if (n < 0)
            return false;
        c->cipher_start += (size_t)n;
        c->cipher_len -= (size_t)n;
    }
    return true;
}

static void write_tls(duet_signaling_client *c)
{
    const uint8_t *data;
    size_t len;

    do {
        len = duet_client_core_output(c->core, &data);
        if (len > READ_SIZE)
            len = READ_SIZE;
        if (len > 0 && duet_tls_output_pending(c->tls) == 0 && duet_tls_write(c->tls, data, len) == DUET_OK)
            duet_client_core_sent(c->core, len);
        if (c->cipher_len == 0) {
            c->cipher_start = 0;
            c->cipher_len = duet_tls_output(c->tls, c->cipher, sizeof(c->cipher));
        }
    } while (c->cipher_len > 0 && write_cipher(c));
}

static void write_bytes(duet_signaling_client *c)
{
    if (c->tls)
        write_tls(c);
    else
        write_plain(c);
}

static bool wants_to_write(const duet_signaling_client *c)
{
    const uint8_t *data;

    if (!c->tls)
        return duet_client_core_output(c->core, &data) > 0;
    return c->cipher_len > 0 || duet_tls_output_pending(c->tls) > 0;
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

static void come_back_later(duet_signaling_client *c);

/* After anything happened: writes, watches for what is wanted now, sets the timer, or ends. */
static void drive(duet_signaling_client *c)
{
    if (c->destroyed)
        return;
    if (c->connected)
        write_bytes(c);
    if (duet_client_core_is_done(c->core)) {
        if (c->timer && c->fd < 0 && c->broken_at != DUET_NEVER)
            return; /* it is on its way back already */
        release(c);
        if (c->broken_at != DUET_NEVER)
            come_back_later(c);
        return;
    }
    if (!c->connected)
        return;
    duet_net_watch_change(c->watch, DUET_NET_READABLE | (wants_to_write(c) ? DUET_NET_WRITABLE : 0));
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
        else if (c->connected && c->trust && duet_tls_create(&c->tls, c->trust, c->url.host) != DUET_OK)
            lost(c, duet_strerror(DUET_ERR_NOMEM));
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

/* ---- coming back ---- */

/* Whether the seat waits for us: after our own goodbye, or a refusal, it does not. */
static bool is_interruption(const duet_signaling_client *c, unsigned code)
{
    return !c->config.no_resume && c->memory.resume_token[0] &&
           (code == 0 || code == DUET_CLOSE_GOING_AWAY || code == DUET_CLOSE_TIMEOUT || code == DUET_CLOSE_SERVER);
}

static void core_closed(duet_signaling_client *c, unsigned code, const char *reason)
{
    duet_time now = duet_net_now(c->net);
    bool first = c->broken_at == DUET_NEVER;

    if (is_interruption(c, code) && (first || now - c->broken_at < c->config.give_up)) {
        c->broken_at = first ? now : c->broken_at;
        c->back_off = first ? BACK_OFF_FIRST : c->back_off * 2 < BACK_OFF_MAX ? c->back_off * 2 : BACK_OFF_MAX;
        if (first && c->config.on_interrupted)
            c->config.on_interrupted(c->config.user, c, reason);
        return;
    }
    c->broken_at = DUET_NEVER;
    if (c->config.on_closed)
        c->config.on_closed(c->config.user, c, code, reason);
}

static void core_settled(duet_signaling_client *c)
{
    c->broken_at = DUET_NEVER;
}

static int make_core(duet_signaling_client *c)
{
    static const duet_client_hooks hooks = {.settled = core_settled, .closed = core_closed};
    duet_signaling_client_config config = c->config;

    config.token = c->token;
    config.room = c->room;
    config.room_token = c->room_token;
    return duet_client_core_create(&c->core, &config, &c->url, &c->memory, c, &hooks, duet_net_now(c->net));
}

static void come_back(void *arg)
{
    duet_signaling_client *c = arg;
    duet_client_core *old = c->core;

    stop_timer(c);
    enter(c);
    if (make_core(c) == DUET_OK) {
        duet_client_core_destroy(old);
        c->address_count = c->next_address = 0;
        c->asked = false;
        c->failure[0] = 0;
        if (find_host(c) != DUET_OK)
            lost(c, duet_strerror(DUET_ERR_NOMEM));
    } else {
        c->core = old;
        core_closed(c, 0, duet_strerror(DUET_ERR_NOMEM));
    }
    drive(c);
    leave(c);
}

/* Everybody comes back after a restart of the server: not all at once. */
static void come_back_later(duet_signaling_client *c)
{
    uint16_t random = 0;

    (void)duet_random(&c->env, &random, sizeof(random));
    duet_time delay = c->back_off / 2 + c->back_off / 2 * random / UINT16_MAX;
    if (duet_net_timer_start(&c->timer, c->net, delay, come_back, c) == DUET_OK)
        return;
    c->broken_at = DUET_NEVER;
    if (c->config.on_closed)
        c->config.on_closed(c->config.user, c, 0, duet_strerror(DUET_ERR_NOMEM));
}

/* ---- the public calls ---- */

static int copy_config(duet_signaling_client *c, const duet_signaling_client_config *config)
{
    c->config = *config;
    c->config.env = &c->env;
    c->config.give_up = config->give_up ? config->give_up : GIVE_UP_DEFAULT;
    c->token = duet_strdup(&c->env, config->token);
    c->room = duet_strdup(&c->env, config->room);
    c->room_token = duet_strdup(&c->env, config->room_token);
    return c->token && c->room && (c->room_token || !config->room_token) ? DUET_OK : DUET_ERR_NOMEM;
}

static int make_trust(duet_signaling_client *c, const char *ca_file)
{
    duet_tls_config tls;

    duet_tls_config_init(&tls);
    tls.env = &c->env;
    tls.ca_file = ca_file;
    return duet_tls_context_create(&c->trust, &tls, NULL, 0);
}

static int start(duet_signaling_client *c, const duet_signaling_client_config *config)
{
    int err = copy_config(c, config);

    if (err == DUET_OK && c->url.secure)
        err = make_trust(c, config->ca_file);
    if (err == DUET_OK)
        err = make_core(c);
    return err == DUET_OK ? find_host(c) : err;
}

int duet_signaling_client_create(duet_signaling_client **out, duet_net *net, const duet_signaling_client_config *config)
{
    duet_signaling_client_config full = DUET_SIGNALING_CLIENT_CONFIG_INIT;
    duet_ws_url url;

    *out = NULL;
    memcpy(&full, config, config->size < sizeof(full) ? config->size : sizeof(full));
    if (!full.url || !full.token || !full.room || !duet_room_id_valid(full.room) ||
        duet_ws_url_parse(&url, full.url) != DUET_OK)
        return DUET_ERR_INVALID;
    duet_env env = duet_env_resolve(full.env);
    duet_signaling_client *c = duet_calloc(&env, sizeof(*c));
    if (!c)
        return DUET_ERR_NOMEM;
    c->env = env;
    c->net = net;
    c->url = url;
    c->fd = -1;
    c->broken_at = DUET_NEVER;
    duet_client_memory_init(&c->memory, &c->env);
    int err = start(c, &full);
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
    if (c->core)
        duet_client_core_silence(c->core);
    if (c->core && c->connected && !duet_client_core_is_done(c->core)) {
        duet_client_core_close(c->core, duet_net_now(c->net));
        write_bytes(c);
    }
    release(c);
    leave(c);
}

/* A client that is on its way back has nobody to say goodbye to. */
void duet_signaling_client_close(duet_signaling_client *c)
{
    enter(c);
    c->config.no_resume = true;
    if (c->broken_at != DUET_NEVER && duet_client_core_is_done(c->core)) {
        stop_timer(c);
        core_closed(c, DUET_CLOSE_NORMAL, "");
    } else {
        duet_client_core_close(c->core, duet_net_now(c->net));
    }
    drive(c);
    leave(c);
}

static int send_message(duet_signaling_client *c, const duet_signal *message)
{
    enter(c);
    int err = duet_client_core_send(c->core, message, duet_net_now(c->net));
    if (c->broken_at == DUET_NEVER || !duet_client_core_is_done(c->core))
        drive(c);
    leave(c);
    return err;
}

int duet_signaling_client_send_description(duet_signaling_client *c, const char *to, duet_sdp_type type,
                                           const char *sdp)
{
    duet_signal m = {.type = type == DUET_SDP_OFFER ? DUET_SIGNAL_OFFER : DUET_SIGNAL_ANSWER, .to = to, .sdp = sdp};

    return type == DUET_SDP_OFFER || type == DUET_SDP_ANSWER ? send_message(c, &m) : DUET_ERR_INVALID;
}

int duet_signaling_client_send_candidate(duet_signaling_client *c, const char *to, const duet_pc_candidate *candidate)
{
    duet_signal m = {.type = DUET_SIGNAL_CANDIDATE, .to = to, .candidate = *candidate};

    return send_message(c, &m);
}

int duet_signaling_client_send_manual(duet_signaling_client *c, const char *to, const char *manual)
{
    duet_signal m = {.type = manual ? DUET_SIGNAL_MANUAL : DUET_SIGNAL_DISCOVER, .to = to, .manual = manual};

    return send_message(c, &m);
}

int duet_signaling_client_renew(duet_signaling_client *c, const char *token)
{
    char *copy = duet_strdup(&c->env, token);

    if (!copy)
        return DUET_ERR_NOMEM;
    enter(c);
    duet_free(&c->env, c->token);
    c->token = copy; /* for connections to come, too */
    int err = duet_client_core_renew(c->core, token, duet_net_now(c->net));
    drive(c);
    leave(c);
    return err;
}
