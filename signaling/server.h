/* What the files of the server share: one libevent loop with an HTTP listener, the WebSocket connections that came
 * of it, and the hub with its rooms. */
#ifndef DUET_SIGNALING_SERVER_H
#define DUET_SIGNALING_SERVER_H

#include "signaling/rest.h"
#include "signaling/room.h"
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

typedef struct server_socket server_socket;
typedef struct server_arrival server_arrival;

#define SERVER_ARRIVALS_MAX 4096

struct duet_signaling_server {
    duet_env env;
    duet_signaling_server_config config; /* what it points to is copied or outlives the server */
    char *ice_servers, *web_folder;
    uint8_t *secret;
    bool own_base, stopping;
    struct event_base *base;
    struct evhttp *http;
    struct evconnlistener *listener;
    struct event *sweep;
    struct event *last_call; /* after stop */
    duet_address address;
    duet_hub *hub;
    server_socket *sockets;
    size_t socket_count;
    server_arrival *arrivals;
    size_t arrival_count;
};

duet_time server_now(void);        /* monotonic */
int64_t server_wall_seconds(void); /* since 1970 */
void server_sweep_later(duet_signaling_server *server);

/* ---- server_http.c ---- */

void server_http_request(struct evhttp_request *request, void *server);

/* ---- server_arrivals.c: connections whose first request is not complete yet ---- */

/* For evhttp_set_bevcb. */
struct bufferevent *server_arrivals_accept(struct event_base *base, void *server);
void server_arrivals_done(duet_signaling_server *server, struct bufferevent *bev);
void server_arrivals_sweep(duet_signaling_server *server);
void server_arrivals_free(duet_signaling_server *server);
/* Stops and starts to accept, by how much there is. */
void server_arrivals_throttle(duet_signaling_server *server);

/* ---- server_socket.c: WebSocket connections ---- */

/* Takes over the connection of an upgrade request whose 101 has been written. `token` came with it, or is NULL. */
int server_socket_open(duet_signaling_server *server, struct evhttp_connection *connection, const char *token);
void server_socket_free(server_socket *socket, const char *left_reason);
void server_sockets_end(duet_signaling_server *server, unsigned code, const char *reason);

#endif
