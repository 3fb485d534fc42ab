/* Listeners: what comes in is told to the endpoint at once (TCP) or after the handshake (TLS). Handshakes are bounded in time
 * and number: who begins one too many ends the oldest, so that connections which say nothing keep nobody out. */
#include "net/internal.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG         4096 /* the kernel bounds it by net.core.somaxconn */
#define ACCEPTS_PER_RUN 64
#define HANDSHAKES_MAX  1024
#define PAUSE           DUET_MS(100) /* when there are no descriptors or there is no memory */

typedef struct net_listener net_listener;

typedef struct listener_alarm {
    net_alarm alarm; /* first */
    net_listener *listener;
} listener_alarm;

struct net_listener {
    net_socket socket; /* first */
    listener_alarm alarm;
    net_trust *trust;         /* TLS */
    net_socket *first, *last; /* handshakes, oldest first */
    size_t handshakes;
};

void net_listener_remember(net_socket *socket, net_socket *stream)
{
    net_listener *l = (net_listener *)socket;

    if (l->handshakes == HANDSHAKES_MAX) {
        socket->endpoint->net->stats.handshakes_failed++;
        net_stream_abort(l->first);
    }
    stream->next = NULL;
    stream->previous = l->last;
    if (l->last)
        l->last->next = stream;
    else
        l->first = stream;
    l->last = stream;
    l->handshakes++;
}

void net_listener_forget(net_socket *socket, net_socket *stream)
{
    net_listener *l = (net_listener *)socket;

    if (stream->previous)
        stream->previous->next = stream->next;
    else
        l->first = stream->next;
    if (stream->next)
        stream->next->previous = stream->previous;
    else
        l->last = stream->previous;
    stream->next = stream->previous = NULL;
    l->handshakes--;
}

/* Level-triggered, the listener would spin. */
static void pause_accepting(net_listener *l)
{
    duet_net *net = l->socket.endpoint->net;

    net_source_change(net, &l->socket.source, 0);
    duet_timers_set(&net->timers, &l->alarm.alarm.timer, net->now + PAUSE);
}

static void resume_accepting(net_alarm *alarm)
{
    net_listener *l = ((listener_alarm *)alarm)->listener;

    net_source_change(l->socket.endpoint->net, &l->socket.source, EPOLLIN);
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void listener_ready(net_source *source, uint32_t events)
{
    net_listener *l = (net_listener *)source;

    (void)events;
    for (int i = 0; i < ACCEPTS_PER_RUN && source->fd >= 0; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof(sa);
        int fd = accept4(source->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && is_shortage(errno)) {
            pause_accepting(l);
            return;
        }
        if (fd < 0 && errno == EAGAIN)
            return;
        if (fd < 0)
            continue; /* that connection has gone already */
        duet_address remote;
        net_sockaddr_to(&remote, (struct sockaddr *)&sa);
        if (net_stream_accept(&l->socket, fd, &remote, l->trust) == DUET_ERR_NOMEM) {
            pause_accepting(l);
            return;
        }
    }
}

/* @return a listening descriptor, or -1 with errno */
static int make_listener(duet_net *net, const duet_request *request)
{
    bool is_v6 = request->bind.family == DUET_AF_INET6;
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    net_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1); /* connections of an earlier run may be in TIME-WAIT */
    if (is_v6)
        net_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (request->share_port)
        net_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (net_bind(net, fd, request) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int start(net_listener *l, net_endpoint *ep, const duet_request *request, duet_answer *answer)
{
    duet_net *net = ep->net;
    net_socket *s = &l->socket;

    if (request->protocol == DUET_TLS) {
        int err = net_trust_server(&l->trust, net, request->certificate_file, request->key_file, net->reason,
                                   sizeof(net->reason));
        answer->reason = net->reason;
        if (err != DUET_OK)
            return err;
    }
    s->source.fd = make_listener(net, request);
    if (s->source.fd < 0) {
        answer->reason = strerror(errno);
        return DUET_ERR_IO;
    }
    int err = net_local_address(s->source.fd, &s->local);
    if (err == DUET_OK)
        err = net_source_add(net, &s->source, EPOLLIN);
    return err == DUET_OK ? net_socket_add(ep, s, request->id) : err;
}

int net_listen(net_endpoint *ep, const duet_request *request, duet_answer *answer)
{
    duet_net *net = ep->net;

    if (request->protocol != DUET_TCP && request->protocol != DUET_TLS)
        return DUET_ERR_INVALID;
    net_listener *l = duet_calloc(&net->env, sizeof(*l));
    if (!l)
        return DUET_ERR_NOMEM;
    l->socket.source = (net_source){listener_ready, -1};
    l->socket.kind = NET_LISTENER;
    l->alarm = (listener_alarm){{.fire = resume_accepting}, l};
    net->reason[0] = 0;
    int err = start(l, ep, request, answer);
    if (err != DUET_OK) {
        net_source_close(net, &l->socket.source);
        net_trust_release(l->trust);
        duet_free(&net->env, l);
        return err;
    }
    answer->local = l->socket.local;
    answer->reason = NULL;
    return DUET_OK;
}

void net_listener_close(net_socket *s)
{
    net_listener *l = (net_listener *)s;
    duet_net *net = s->endpoint->net;

    while (l->first)
        net_stream_abort(l->first);
    net_socket_remove(s);
    duet_timers_cancel(&net->timers, &l->alarm.alarm.timer);
    net_source_close(net, &s->source);
    net_trust_release(l->trust);
    net_bury(net, &s->grave, l);
}
