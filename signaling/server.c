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

#define CONNECTIONS_DEFAULT  1024
#define ROOMS_DEFAULT        1024
#define PARTICIPANTS_DEFAULT 10
#define SILENCE_TIMEOUT      10 /* seconds without a byte of a request, or with an answer that is not read */
#define HEADERS_MAX          8192
#define SWEEP_INTERVAL       5
#define LAST_CALL            2 /* seconds from stop to the end */

duet_time server_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (duet_time)ts.tv_sec * 1000000u + (duet_time)ts.tv_nsec / 1000u;
}

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

/* ---- configuration ---- */

static bool is_json_array(const char *text)
{
    json_error_t ignored;

    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &ignored);
    bool is_array = json_is_array(value);
    json_decref(value);
    return is_array;
}

static int copy_config(duet_signaling_server *s, const duet_signaling_server_config *config)
{
    duet_signaling_server_config *k = &s->config;

    *k = (duet_signaling_server_config)DUET_SIGNALING_SERVER_CONFIG_INIT;
    memcpy(k, config, config->size < sizeof(*k) ? config->size : sizeof(*k));
    if (!k->listen || duet_address_parse_port(&s->address, k->listen) != DUET_OK || !k->secret || k->secret_len == 0 ||
        (k->ice_servers && !is_json_array(k->ice_servers)))
        return DUET_ERR_INVALID;
    k->max_connections = k->max_connections ? k->max_connections : CONNECTIONS_DEFAULT;
    k->max_rooms = k->max_rooms ? k->max_rooms : ROOMS_DEFAULT;
    k->max_participants = k->max_participants ? k->max_participants : PARTICIPANTS_DEFAULT;
    if (k->max_participants > DUET_PARTICIPANTS_MAX)
        return DUET_ERR_INVALID;
    s->ice_servers = duet_strdup(&s->env, k->ice_servers);
    s->web_folder = duet_strdup(&s->env, k->web_folder);
    s->secret = duet_memdup(&s->env, k->secret, k->secret_len);
    bool complete = s->secret && (s->ice_servers || !k->ice_servers) && (s->web_folder || !k->web_folder);
    return complete ? DUET_OK : DUET_ERR_NOMEM;
}

static int make_hub(duet_signaling_server *s)
{
    duet_hub_config config = {.env = &s->env,
                              .ops = duet_store_memory_ops(),
                              .rooms_on_join = s->config.rooms_on_join,
                              .max_participants = s->config.max_participants,
                              .ice_servers = s->ice_servers};

    int err = duet_store_memory_create(&config.store, &s->env, s->config.max_rooms);
    if (err != DUET_OK)
        return err;
    err = duet_hub_create(&s->hub, &config);
    if (err != DUET_OK)
        config.ops->destroy(config.store);
    return err;
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
    evhttp_set_timeout(s->http, SILENCE_TIMEOUT);
    evhttp_set_max_headers_size(s->http, HEADERS_MAX);
    evhttp_set_max_body_size(s->http, DUET_REST_BODY_MAX);
    evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_DELETE);
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

static int start(duet_signaling_server *s, const duet_signaling_server_config *config)
{
    int err = copy_config(s, config);
    if (err != DUET_OK)
        return err;
    s->own_base = !s->config.base;
    s->base = s->own_base ? event_base_new() : s->config.base;
    if (!s->base)
        return DUET_ERR_NOMEM;
    s->sweep = event_new(s->base, -1, 0, sweep, s);
    if (!s->sweep)
        return DUET_ERR_NOMEM;
    err = make_hub(s);
    return err == DUET_OK ? start_http(s) : err;
}

int duet_signaling_server_create(duet_signaling_server **out, const duet_signaling_server_config *config)
{
    duet_env env = duet_env_resolve(config->env);
    duet_signaling_server *s = duet_calloc(&env, sizeof(*s));

    *out = NULL;
    if (!s)
        return DUET_ERR_NOMEM;
    s->env = env;
    int err = start(s, config);
    if (err != DUET_OK) {
        int cause = errno;
        duet_signaling_server_destroy(s);
        errno = cause;
        return err;
    }
    *out = s;
    return DUET_OK;
}

void duet_signaling_server_destroy(duet_signaling_server *s)
{
    if (!s)
        return;
    s->stopping = true;
    while (s->sockets)
        server_socket_free(s->sockets, "closed");
    if (s->http)
        evhttp_free(s->http);
    s->listener = NULL;
    server_arrivals_free(s);
    if (s->sweep)
        event_free(s->sweep);
    if (s->last_call)
        event_free(s->last_call);
    duet_hub_destroy(s->hub);
    if (s->own_base && s->base)
        event_base_free(s->base);
    if (s->secret)
        duet_wipe(s->secret, s->config.secret_len);
    duet_free(&s->env, s->secret);
    duet_free(&s->env, s->ice_servers);
    duet_free(&s->env, s->web_folder);
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
