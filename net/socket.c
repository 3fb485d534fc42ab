/* What sockets of every kind have in common: addresses, binding, and the table in which an endpoint's are found by id. */
#include "net/internal.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

void net_sockaddr_from(struct sockaddr_storage *out, socklen_t *len, const duet_address *a)
{
    memset(out, 0, sizeof(*out));
    if (a->family == DUET_AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(a->port);
        in6->sin6_scope_id = a->scope;
        memcpy(&in6->sin6_addr, a->ip, 16);
        *len = sizeof(*in6);
        return;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    in->sin_family = AF_INET;
    in->sin_port = htons(a->port);
    memcpy(&in->sin_addr, a->ip, 4);
    *len = sizeof(*in);
}

void net_sockaddr_to(duet_address *out, const struct sockaddr *sa)
{
    *out = (duet_address){0};
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
        out->family = DUET_AF_INET6;
        out->port = ntohs(in6->sin6_port);
        memcpy(out->ip, &in6->sin6_addr, 16);
        if (duet_address_is_link_local(out))
            out->scope = in6->sin6_scope_id;
    } else if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
        out->family = DUET_AF_INET;
        out->port = ntohs(in->sin_port);
        memcpy(out->ip, &in->sin_addr, 4);
    }
}

int net_local_address(int fd, duet_address *out)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
        return DUET_ERR_IO;
    net_sockaddr_to(out, (struct sockaddr *)&sa);
    return DUET_OK;
}

static int bind_to(int fd, const duet_address *a, uint16_t port)
{
    struct sockaddr_storage sa;
    socklen_t len;
    duet_address at = *a;

    at.port = port;
    net_sockaddr_from(&sa, &len, &at);
    return bind(fd, (struct sockaddr *)&sa, len);
}

/* Any port, or the first free one of the range from a random start. */
int net_bind(duet_net *net, int fd, const duet_request *request)
{
    if (request->bind.port != 0 || request->port_min == 0)
        return bind_to(fd, &request->bind, request->bind.port);
    uint32_t count = request->port_max >= request->port_min ? (uint32_t)request->port_max - request->port_min + 1 : 1;
    uint32_t start = 0;
    duet_random(&net->env, &start, sizeof(start));
    for (uint32_t i = 0; i < count; i++) {
        if (bind_to(fd, &request->bind, (uint16_t)(request->port_min + (start + i) % count)) == 0)
            return 0;
        if (errno != EADDRINUSE)
            return -1;
    }
    return -1;
}

void net_set_option(int fd, int level, int option, int value)
{
    /* All of these make things better, none is needed: a kernel that refuses one is served without it. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

/* ---- the table ---- */

int net_socket_add(net_endpoint *ep, net_socket *s, uint32_t id)
{
    if (duet_map_get(&ep->by_id, id))
        return DUET_ERR_INVALID;
    int err = duet_map_set(&ep->by_id, id, s);
    if (err != DUET_OK)
        return err;
    s->id = id;
    s->endpoint = ep;
    s->previous = NULL;
    s->next = ep->sockets;
    if (s->next)
        s->next->previous = s;
    ep->sockets = s;
    ep->socket_count++;
    return DUET_OK;
}

net_socket *net_socket_find(net_endpoint *ep, uint32_t id)
{
    if (!ep->recent || ep->recent->id != id)
        ep->recent = duet_map_get(&ep->by_id, id);
    return ep->recent;
}

uint32_t net_socket_accepted_id(net_endpoint *ep)
{
    uint32_t id = ep->next_accepted;

    while (duet_map_get(&ep->by_id, id))
        id = (id + 1) | DUET_SOCKET_ACCEPTED;
    ep->next_accepted = (id + 1) | DUET_SOCKET_ACCEPTED;
    return id;
}

void net_socket_remove(net_socket *s)
{
    net_endpoint *ep = s->endpoint;

    net_socket_unhold(s);
    duet_map_remove(&ep->by_id, s->id);
    if (s->previous)
        s->previous->next = s->next;
    else
        ep->sockets = s->next;
    if (s->next)
        s->next->previous = s->previous;
    s->next = s->previous = NULL;
    ep->socket_count--;
    if (ep->recent == s)
        ep->recent = NULL;
}

void net_socket_close(net_socket *s)
{
    if (s->kind == NET_STREAM)
        net_stream_close(s);
    else if (s->kind == NET_LISTENER)
        net_listener_close(s);
    else
        net_udp_close(s);
}
