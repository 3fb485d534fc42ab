/* What the files of the server share: one libevent loop with an HTTP listener, the WebSocket connections that came
 * of it, and the hub with its rooms. */
#ifndef DUET_SIGNALING_SERVER_H
#define DUET_SIGNALING_SERVER_H

#include "signaling/http_client.h"
#include "signaling/json.h"
#include "signaling/loop.h"
#include "signaling/rest.h"
#include "signaling/websocket.h"
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <openssl/ssl.h>

typedef struct server_socket server_socket;
typedef struct server_arrival server_arrival;
typedef struct server_rest server_rest;

#define SERVER_ARRIVALS_MAX 4096

typedef struct server_counters {
    uint64_t requests[6]; /* by the first digit of their status */
    uint64_t connections; /* WebSockets since the start */
    uint64_t refused_origins, refused_connections;
    uint64_t tls_reloads;
} server_counters;

struct duet_signaling_server {
    duet_env env;
    duet_signaling_server_config config; /* what it points to outlives the server */
    char *ice_servers;                   /* without white space */
    uint8_t join_secret[32];             /* when there is none in the configuration */
    duet_token_keys *own_keys;           /* when the configuration brings none */
    bool own_base, stopping;
    struct event_base *base;
    struct evhttp *http;
    struct evconnlistener *listener;
    SSL_CTX *tls;
    struct event *sweep, *ticker;
    duet_time ticks_at;      /* DUET_NEVER: the ticker is not set */
    struct event *last_call; /* after stop */
    duet_address address;
    duet_http_client *http_client;
    duet_auth *auth;
    duet_limits *limits;
    duet_hub *hub;
    duet_websocket_pool *pool;
    server_socket *sockets;
    size_t socket_count;
    server_arrival *arrivals;
    size_t arrival_count;
    server_rest *rest_calls;
    server_counters counters;
};

int64_t server_wall_seconds(void); /* since 1970 */
void server_sweep_later(duet_signaling_server *server);
/* Something may have changed when store and authentication want to be ticked. */
void server_schedule(duet_signaling_server *server);

/* ---- server_config.c ---- */

/* Defaults filled in. @return DUET_OK or DUET_ERR_INVALID */
int server_config_copy(duet_signaling_server_config *out, const duet_signaling_server_config *config);
/* Everything that a running server can take over. Nothing has changed when it fails. */
int server_config_apply(duet_signaling_server *server, const duet_signaling_server_config *config);

/* ---- server_store.c ---- */

int server_store_open(duet_signaling_server *server);

/* ---- server_http.c ---- */

void server_http_request(struct evhttp_request *request, void *server);
void server_http_free(duet_signaling_server *server); /* calls that wait for their answer */

/* ---- server_metrics.c ---- */

void server_metrics_write(const duet_signaling_server *server, struct evbuffer *out); /* Prometheus' text format */

/* ---- server_log.c ---- */

/* Takes `members` (an object, or NULL), adds time, level and event. */
void server_log(const duet_signaling_server *server, duet_log_level level, const char *event, json_t *members);

/* ---- server_tls.c ---- */

/* @return a context, or NULL after logging why */
SSL_CTX *server_tls_load(const duet_signaling_server *server, const duet_signaling_server_config *config);
/* A connection to be accepted. `on_free` is called when its TLS state goes. */
struct bufferevent *server_tls_accept(duet_signaling_server *server, void (*on_free)(void *arg), void *arg);
void server_tls_forget(struct bufferevent *bev); /* on_free need not be called any more; fine for plain ones */

/* ---- server_arrivals.c: connections whose first request is not complete yet ---- */

/* For evhttp_set_bevcb. */
struct bufferevent *server_arrivals_accept(struct event_base *base, void *server);
void server_arrivals_done(duet_signaling_server *server, struct bufferevent *bev);
void server_arrivals_sweep(duet_signaling_server *server);
void server_arrivals_free(duet_signaling_server *server);
/* Stops and starts to accept, by how much there is. */
void server_arrivals_throttle(duet_signaling_server *server);

/* ---- server_socket.c: WebSocket connections ---- */

typedef struct server_upgrade {
    struct evhttp_connection *connection;
    const char *token;   /* that came with it, or NULL */
    const char *address; /* of the client, without port */
    bool compat;
} server_upgrade;

/* Takes over the connection of an upgrade request; its 101 is written next. */
int server_socket_open(duet_signaling_server *server, const server_upgrade *upgrade);
void server_socket_free(server_socket *socket, bool clean);
void server_sockets_end(duet_signaling_server *server, unsigned code, const char *reason);

#endif
