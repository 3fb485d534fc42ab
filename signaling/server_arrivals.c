/* New connections until their request is there. libevent's time-outs are about silence: a client that sends one byte
 * now and then would keep a connection for ever. Here each has so long for its whole request, and there is a bound to
 * how many there are.
 *
 * libevent does not tell when a connection ends before its request is complete, so a record cannot be freed at that
 * moment. Its bufferevent is touched only from a callback of its own input buffer, that is, while it lives; and it
 * is dropped after so many sweeps that the connection has certainly ended: every byte after the deadline ends it,
 * and so does silence. */
#include "base/memory.h"
#include "signaling/server.h"
#include <event2/buffer.h>
#include <sys/socket.h>

#define REQUEST_TIMEOUT DUET_SECONDS(10)
#define SWEEPS_MAX      8 /* of five seconds: more than the deadline and the silence after it */

struct server_arrival {
    server_arrival *next;
    duet_signaling_server *server;
    struct bufferevent *bev;
    duet_time deadline;
    unsigned sweeps;
};

static void bytes_came(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    server_arrival *a = arg;

    (void)input;
    if (info->n_added > 0 && server_now() >= a->deadline)
        shutdown(bufferevent_getfd(a->bev), SHUT_RDWR);
}

struct bufferevent *server_arrivals_accept(struct event_base *base, void *arg)
{
    duet_signaling_server *server = arg;
    server_arrival *a = duet_calloc(&server->env, sizeof(*a));
    struct bufferevent *bev = a ? bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE) : NULL;

    if (!bev || !evbuffer_add_cb(bufferevent_get_input(bev), bytes_came, a)) {
        duet_free(&server->env, a);
        return bev; /* NULL: evhttp makes one, or refuses */
    }
    *a = (server_arrival){
        .next = server->arrivals, .server = server, .bev = bev, .deadline = server_now() + REQUEST_TIMEOUT};
    server->arrivals = a;
    server->arrival_count++;
    server_arrivals_throttle(server);
    server_sweep_later(server);
    return bev;
}

static void drop(server_arrival **link)
{
    server_arrival *a = *link;

    *link = a->next;
    a->server->arrival_count--;
    duet_free(&a->server->env, a);
}

/* The newest record with this address is the living one. */
void server_arrivals_done(duet_signaling_server *server, struct bufferevent *bev)
{
    server_arrival **link = &server->arrivals;

    while (*link && (*link)->bev != bev)
        link = &(*link)->next;
    if (!*link)
        return;
    evbuffer_remove_cb(bufferevent_get_input(bev), bytes_came, *link);
    drop(link);
}

void server_arrivals_sweep(duet_signaling_server *server)
{
    server_arrival **link = &server->arrivals;

    while (*link) {
        if (++(*link)->sweeps > SWEEPS_MAX)
            drop(link);
        else
            link = &(*link)->next;
    }
    if (server->arrivals)
        server_sweep_later(server);
    server_arrivals_throttle(server);
}

void server_arrivals_throttle(duet_signaling_server *server)
{
    if (server->stopping || server->arrival_count >= SERVER_ARRIVALS_MAX ||
        server->socket_count >= server->config.max_connections)
        evconnlistener_disable(server->listener);
    else
        evconnlistener_enable(server->listener);
}

void server_arrivals_free(duet_signaling_server *server)
{
    while (server->arrivals)
        drop(&server->arrivals);
}
