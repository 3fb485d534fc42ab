/* The room server: listener, loop and life. HTTP is libevent's; what is said over it is in server_http.c and
 * server_socket.c. */
#include "signaling/server.h"
#include "base/crypto.h"
#include "signaling/json.h"
#include "signaling/protocol.h"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define HEADERS_MAX    8192
#define SWEEP_INTERVAL 5
#define LAST_CALL      2 /* seconds from stop to the end */

int64_t server_wall_seconds(void)
{
    return (int64_t)time(NULL);
}

/* Runs as long as there is something to sweep: an idle server sleeps. */
static void sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    server_arrivals_sweep(arg);
}

void server_sweep_later(duet_signaling_server *s)
{
    const struct timeval interval = {.tv_sec = SWEEP_INTERVAL};

    if (!event_pending(s->sweep, EV_TIMEOUT, NULL))
        event_add(s->sweep, &interval);
}

/* ---- ticking ---- */

static void tick(evutil_socket_t fd, short what, void *arg)
{
    duet_signaling_server *s = arg;
    duet_store *store = duet_hub_store(s->hub);

    (void)fd;
    (void)what;
    s->ticks_at = DUET_NEVER;
    store->ops->tick(store->self, duet_loop_now(), server_wall_seconds());
    duet_auth_tick(s->auth, duet_loop_now(), server_wall_seconds());
    server_schedule(s);
}

void server_schedule(duet_signaling_server *s)
{
    const duet_store *store = s->hub ? duet_hub_store(s->hub) : NULL;

    if (!store || !store->ops || !s->auth || !s->ticker)
        return;
    duet_time a = store->ops->deadline(store->self), b = duet_auth_deadline(s->auth), now = duet_loop_now();
    duet_time deadline = a < b ? a : b;
    if (deadline == s->ticks_at)
        return;
    s->ticks_at = deadline;
    if (deadline == DUET_NEVER)
        event_del(s->ticker);
    else
        duet_loop_timer(s->ticker, deadline > now ? deadline - now : 0);
}

/* ---- listening ---- */

static void read_port(duet_signaling_server *s, evutil_socket_t fd)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);

    if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0)
        return;
    if (bound.ss_family == AF_INET)
        s->address.port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
    else if (bound.ss_family == AF_INET6)
        s->address.port = ntohs(((struct sockaddr_in6 *)&bound)->sin6_port);
}

static int start_http(duet_signaling_server *s)
{
    char ip[DUET_ADDRESS_TEXT_MAX];

    s->http = evhttp_new(s->base);
    if (!s->http)
        return DUET_ERR_NOMEM;
    evhttp_set_timeout(s->http, (int)s->config.limits.request_seconds);
    evhttp_set_max_headers_size(s->http, HEADERS_MAX);
    evhttp_set_max_body_size(s->http, DUET_REST_BODY_MAX);
    evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_DELETE |
                                            EVHTTP_REQ_PATCH | EVHTTP_REQ_OPTIONS);
    evhttp_set_gencb(s->http, server_http_request, s);
    evhttp_set_bevcb(s->http, server_arrivals_accept, s);
    duet_address_ip_text(&s->address, ip, sizeof(ip));
    errno = 0;
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(s->http, ip, s->address.port);
    if (!bound)
        return DUET_ERR_IO;
    s->listener = evhttp_bound_socket_get_listener(bound);
    read_port(s, evhttp_bound_socket_get_fd(bound));
    return DUET_OK;
}

static int make_loop(duet_signaling_server *s)
{
    s->own_base = !s->config.base;
    s->base = s->own_base ? event_base_new() : s->config.base;
    if (!s->base)
        return DUET_ERR_NOMEM;
    s->sweep = event_new(s->base, -1, 0, sweep, s);
    s->ticker = event_new(s->base, -1, 0, tick, s);
    if (!s->sweep || !s->ticker)
        return DUET_ERR_NOMEM;
    int err = duet_websocket_pool_create(&s->pool, &s->env);
    return err != DUET_OK ? err : duet_http_client_create(&s->http_client, &s->env, s->base, s->config.ca_file);
}

/* Everything but what other processes notice. */
static int prepare(duet_signaling_server *s, const duet_signaling_server_config *config)
{
    int err = server_config_copy(&s->config, config);
    if (err == DUET_OK && duet_address_parse_port(&s->address, s->config.listen) != DUET_OK)
        err = DUET_ERR_INVALID;
    if (err == DUET_OK)
        err = duet_random(&s->env, s->join_secret, sizeof(s->join_secret));
    if (err == DUET_OK)
        err = make_loop(s);
    if (err == DUET_OK) {
        duet_signaling_server_config first = s->config;
        err = server_config_apply(s, &first);
    }
    return err;
}

static int start(duet_signaling_server *s, const duet_signaling_server_config *config)
{
    int err = prepare(s, config);

    if (err == DUET_OK)
        err = server_store_open(s);
    if (err == DUET_OK)
        err = start_http(s);
    server_schedule(s);
    return err;
}

int duet_signaling_server_configure(duet_signaling_server *s, const duet_signaling_server_config *config)
{
    duet_signaling_server_config next;

    int err = server_config_copy(&next, config);
    if (err == DUET_OK)
        err = server_config_apply(s, &next);
    server_log(s, err == DUET_OK ? DUET_LOG_INFO : DUET_LOG_ERROR, "reloaded",
               json_pack("{s:b,s:s}", "ok", err == DUET_OK, "reason", duet_strerror(err)));
    server_schedule(s);
    return err;
}

static int make(duet_signaling_server **out, const duet_signaling_server_config *config,
                int (*begin)(duet_signaling_server *s, const duet_signaling_server_config *config))
{
    duet_env env = duet_env_resolve(config->env);
    duet_signaling_server *s = duet_calloc(&env, sizeof(*s));

    *out = NULL;
    if (!s)
        return DUET_ERR_NOMEM;
    s->env = env;
    s->ticks_at = DUET_NEVER;
    int err = begin(s, config);
    if (err != DUET_OK) {
        int cause = errno;
        duet_signaling_server_destroy(s);
        errno = cause;
        return err;
    }
    *out = s;
    return DUET_OK;
}

int duet_signaling_server_create(duet_signaling_server **out, const duet_signaling_server_config *config)
{
    return make(out, config, start);
}

int duet_signaling_server_check(const duet_signaling_server_config *config)
{
    duet_signaling_server *server;

    int err = make(&server, config, prepare);
    duet_signaling_server_destroy(server);
    return err;
}

void duet_signaling_server_destroy(duet_signaling_server *s)
{
    if (!s)
        return;
    s->stopping = true;
    while (s->sockets)
        server_socket_free(s->sockets, false);
    server_http_free(s);
    if (s->http)
        evhttp_free(s->http);
    s->listener = NULL;
    server_arrivals_free(s);
    if (s->sweep)
        event_free(s->sweep);
    if (s->ticker)
        event_free(s->ticker);
    if (s->last_call)
        event_free(s->last_call);
    duet_websocket_pool_destroy(s->pool);
    duet_hub_destroy(s->hub);
    duet_auth_destroy(s->auth);
    duet_http_client_destroy(s->http_client);
    duet_limits_destroy(s->limits);
    if (s->own_base && s->base)
        event_base_free(s->base);
    SSL_CTX_free(s->tls);
    duet_token_keys_destroy(s->own_keys);
    duet_wipe(s->join_secret, sizeof(s->join_secret));
    duet_free(&s->env, s->ice_servers);
    duet_env env = s->env;
    duet_free(&env, s);
}

/* ---- running ---- */

const duet_address *duet_signaling_server_address(const duet_signaling_server *s)
{
    return &s->address;
}

struct event_base *duet_signaling_server_base(const duet_signaling_server *s)
{
    return s->base;
}

int duet_signaling_server_run(duet_signaling_server *s)
{
    return event_base_dispatch(s->base) < 0 ? DUET_ERR_IO : DUET_OK;
}

static void last_call_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    event_base_loopexit(((duet_signaling_server *)arg)->base, NULL);
}

void duet_signaling_server_stop(duet_signaling_server *s)
{
    const struct timeval patience = {.tv_sec = LAST_CALL};

    if (s->stopping)
        return;
    s->stopping = true;
    server_arrivals_throttle(s);
    server_sockets_end(s, DUET_CLOSE_GOING_AWAY, "the server goes down");
    if (!s->own_base)
        return;
    s->last_call = event_new(s->base, -1, 0, last_call_over, s);
    if (!s->sockets || !s->last_call || event_add(s->last_call, &patience) != 0)
        event_base_loopexit(s->base, NULL);
}
