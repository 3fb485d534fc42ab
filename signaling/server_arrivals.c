/* New connections until their request is there. libevent's time-outs are about silence: a client that sends one byte
 * now and then would keep a connection for ever. Here each has so long for its whole request, and there is a bound to
 * how many there are.
 *
 * libevent does not tell when a plain connection ends before its request is complete, so a record cannot be freed at that
 * moment. Its bufferevent is touched only from a callback of its own input buffer, that is, while it lives; and it
 * is dropped after so many sweeps that the connection has certainly ended: every byte after the deadline ends it,
 * and so does silence. A TLS connection may be busy without a byte of a request, but tells when it goes: the sweep ends
 * it. */
#include "base/memory.h"
#include "signaling/server.h"
#include <event2/buffer.h>
#include <sys/socket.h>

struct server_arrival {
    server_arrival *next;
    duet_signaling_server *server;
    struct bufferevent *bev;
    duet_time deadline, forget_at; /* forget_at: after the deadline and the silence behind it */
    bool is_tls;
};

static void bytes_came(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    server_arrival *a = arg;

    (void)input;
    if (info->n_added > 0 && duet_loop_now() >= a->deadline)
        shutdown(bufferevent_getfd(a->bev), SHUT_RDWR);
}

static void drop(server_arrival **link)
{
    server_arrival *a = *link;

    *link = a->next;
    a->server->arrival_count--;
    duet_free(&a->server->env, a);
}

/* Its TLS state is being freed. */
static void tls_gone(void *arg)
{
    server_arrival *a = arg, **link = &a->server->arrivals;

    while (*link != a)
        link = &(*link)->next;
    drop(link);
}

static struct bufferevent *make_bufferevent(duet_signaling_server *server, server_arrival *a)
{
    struct bufferevent *bev;

    if (server->tls)
        return server_tls_accept(server, tls_gone, a);
    bev = bufferevent_socket_new(server->base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (bev && !evbuffer_add_cb(bufferevent_get_input(bev), bytes_came, a)) {
        bufferevent_free(bev);
        return NULL;
    }
    return bev;
}

/* NULL makes evhttp use a plain connection of its own, without our record: with TLS it fails for want of HTTP, which is what
 * is wanted when there is no memory. */
struct bufferevent *server_arrivals_accept(struct event_base *base, void *arg)
{
    duet_signaling_server *server = arg;
    duet_time patience = DUET_SECONDS(server->config.limits.request_seconds), now = duet_loop_now();
    server_arrival *a = duet_calloc(&server->env, sizeof(*a));

    (void)base;
    if (!a)
        return NULL;
    *a = (server_arrival){
        .server = server, .deadline = now + patience, .forget_at = now + 3 * patience, .is_tls = server->tls != NULL};
    a->bev = make_bufferevent(server, a);
    if (!a->bev) {
        duet_free(&server->env, a);
        return NULL;
    }
    a->next = server->arrivals;
    server->arrivals = a;
    server->arrival_count++;
    server_arrivals_throttle(server);
    server_sweep_later(server);
    return a->bev;
}

/* The newest record with this address is the living one. */
void server_arrivals_done(duet_signaling_server *server, struct bufferevent *bev)
{
    server_arrival **link = &server->arrivals;

    while (*link && (*link)->bev != bev)
        link = &(*link)->next;
    if (!*link)
        return;
    if ((*link)->is_tls)
        server_tls_forget(bev);
    else
        evbuffer_remove_cb(bufferevent_get_input(bev), bytes_came, *link);
    drop(link);
}

void server_arrivals_sweep(duet_signaling_server *server)
{
    server_arrival **link = &server->arrivals;
    duet_time now = duet_loop_now();

    while (*link) {
        server_arrival *a = *link;
        if (a->is_tls && now >= a->deadline)
            shutdown(bufferevent_getfd(a->bev), SHUT_RDWR);
        if (!a->is_tls && now >= a->forget_at)
            drop(link);
        else
            link = &a->next;
    }
    if (server->arrivals)
        server_sweep_later(server);
    server_arrivals_throttle(server);
}

void server_arrivals_throttle(duet_signaling_server *server)
{
    if (server->stopping || server->arrival_count >= SERVER_ARRIVALS_MAX ||
        server->socket_count >= server->config.limits.connections)
        evconnlistener_disable(server->listener);
    else
        evconnlistener_enable(server->listener);
}

void server_arrivals_free(duet_signaling_server *server)
{
    while (server->arrivals)
        drop(&server->arrivals);
}
