/* UDP sockets: opening, multicast groups, and receiving in batches (recvmmsg with GRO, plain calls where the kernel has
 * neither). Sending is in flush.c. */
#include "net/internal.h"
#include <errno.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define RECEIVE_MAX       64
#define RECEIVE_FIRST     8                 /* most sockets have no more */
#define RECEIVE_BYTES_MAX ((size_t)2 << 20) /* of a turn */

/* ---- opening and closing ---- */

static void set_options(duet_net *net, int fd, uint8_t family)
{
    net_set_option(fd, SOL_SOCKET, SO_SNDBUF, net->config.socket_buffer);
    net_set_option(fd, SOL_SOCKET, SO_RCVBUF, net->config.socket_buffer);
    if (net->gro)
        net_set_option(fd, SOL_UDP, UDP_GRO, 1);
    if (family == DUET_AF_INET6) {
        net_set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    } else {
        net_set_option(fd, IPPROTO_IP, IP_RECVTOS, 1);
    }
}

/* The group of a link: RFC 6762 section 11 wants 255, and a router passes none of these on anyway. */
static bool is_link_local_group(const duet_address *g)
{
    if (g->family == DUET_AF_INET6)
        return (g->ip[1] & 0x0f) <= 2;
    return g->ip[0] == 224 && g->ip[1] == 0 && g->ip[2] == 0;
}

static int join_inet(int fd, const duet_request *request)
{
    struct ip_mreqn group = {0};

    memcpy(&group.imr_multiaddr, request->group.ip, 4);
    memcpy(&group.imr_address, request->bind.ip, 4);
    if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) != 0 ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &group, sizeof(group)) != 0)
        return -1;
    net_set_option(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0); /* only what this socket has joined, on this interface */
    net_set_option(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 1);
    if (is_link_local_group(&request->group))
        net_set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, 255);
    return 0;
}

static int join_inet6(duet_net *net, int fd, const duet_request *request)
{
    struct ipv6_mreq group = {.ipv6mr_interface = net_interface_index(&net->env, &request->bind)};
    int index = (int)group.ipv6mr_interface;

    memcpy(&group.ipv6mr_multiaddr, request->group.ip, 16);
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof(group)) != 0 ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index)) != 0)
        return -1;
    net_set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
    net_set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1);
    if (is_link_local_group(&request->group))
        net_set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255);
    return 0;
}

/* A socket that is bound to its interface's address hears no group: it takes any address, and the group tells the
 * interface. 0, or -1 with errno. */
static int bind_to_group(duet_net *net, int fd, const duet_request *request)
{
    duet_request any = *request;
    char name[IF_NAMESIZE];

    memset(any.bind.ip, 0, sizeof(any.bind.ip));
    any.bind.scope = 0;
    if (net_bind(net, fd, &any) != 0)
        return -1;
    /* IPv6 would also hand on what came to the group elsewhere. (Since Linux 5.7 anybody may.) */
    if (if_indextoname(net_interface_index(&net->env, &request->bind), name))
        (void)setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name));
    return request->group.family == DUET_AF_INET6 ? join_inet6(net, fd, request) : join_inet(fd, request);
}

/* A bound descriptor, or -1 with errno. */
static int make_socket(duet_net *net, const duet_request *request)
{
    bool is_v6 = request->bind.family == DUET_AF_INET6;
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (is_v6)
        net_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (request->share_port) { /* both: whoever has the port may have asked for either */
        net_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        net_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    int err = request->group.family ? bind_to_group(net, fd, request) : net_bind(net, fd, request);
    if (err == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void socket_ready(net_source *source, uint32_t events);

int net_udp_open(net_endpoint *ep, const duet_request *request, duet_answer *answer)
{
    duet_net *net = ep->net;

    if (request->group.family && request->group.family != request->bind.family)
        return DUET_ERR_INVALID;
    net_socket *s = duet_calloc(&net->env, sizeof(*s));
    if (!s)
        return DUET_ERR_NOMEM;
    int fd = make_socket(net, request);
    if (fd < 0) {
        answer->reason = strerror(errno);
        duet_free(&net->env, s);
        return DUET_ERR_IO;
    }
    s->source = (net_source){socket_ready, fd};
    int err = net_local_address(fd, &s->local);
    if (err == DUET_OK)
        err = net_source_add(net, &s->source, EPOLLIN);
    if (err == DUET_OK)
        err = net_socket_add(ep, s, request->id);
    if (err != DUET_OK) {
        close(fd);
        duet_free(&net->env, s);
        return err;
    }
    set_options(net, fd, request->bind.family);
    if (request->group.family) {
        uint16_t port = s->local.port;
        s->local = request->bind;
        s->local.port = port;
    }
    answer->local = s->local;
    return DUET_OK;
}

void net_udp_close(net_socket *s)
{
    duet_net *net = s->endpoint->net;

    net_socket_remove(s);
    net_source_close(net, &s->source);
    duet_free(&net->env, s->unsent);
    net_bury(net, &s->grave, s);
}

/* ---- receiving ---- */

typedef struct receive_batch {
    struct mmsghdr msgs[RECEIVE_MAX];
    struct iovec iov[RECEIVE_MAX];
    struct sockaddr_storage from[RECEIVE_MAX];
    _Alignas(struct cmsghdr) uint8_t control[RECEIVE_MAX][CMSG_SPACE(sizeof(int)) * 2];
} receive_batch;

static void prepare_batch(receive_batch *b, uint8_t *buffer, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        b->iov[i] = (struct iovec){buffer + i * NET_BUFFER_SIZE, NET_BUFFER_SIZE};
        b->msgs[i].msg_hdr = (struct msghdr){.msg_name = &b->from[i],
                                             .msg_namelen = sizeof(b->from[i]),
                                             .msg_iov = &b->iov[i],
                                             .msg_iovlen = 1,
                                             .msg_control = b->control[i],
                                             .msg_controllen = sizeof(b->control[i])};
    }
}

/* The segment size of a GRO train (0: one datagram), DSCP and ECN. A train has one of each. */
static size_t read_control(struct msghdr *msg, uint8_t *tos)
{
    size_t segment = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        int value = 0;
        if (c->cmsg_len >= CMSG_LEN(sizeof(int)))
            memcpy(&value, CMSG_DATA(c), sizeof(int));
        else if (c->cmsg_len >= CMSG_LEN(1))
            value = *CMSG_DATA(c);
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
            segment = value > 0 ? (size_t)value : 0;
        else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) ||
                 (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS))
            *tos = (uint8_t)value;
    }
    return segment;
}

static void deliver(net_socket *s, struct mmsghdr *m)
{
    net_endpoint *ep = s->endpoint;
    duet_net *net = ep->net;
    uint8_t tos = 0;
    size_t segment = read_control(&m->msg_hdr, &tos);
    uint8_t *data = m->msg_hdr.msg_iov->iov_base;
    size_t left = m->msg_len;
    duet_datagram in = {.path = {.socket = s->id, .protocol = DUET_UDP, .local = s->local},
                        .dscp = tos >> 2,
                        .ecn = tos & 3,
                        .time = net->now};

    net_sockaddr_to(&in.path.remote, m->msg_hdr.msg_name);
    if (m->msg_hdr.msg_flags & MSG_TRUNC) {
        net->stats.truncated++;
        return;
    }
    while (left > 0 && s->source.fd >= 0) {
        in.data = data;
        in.len = segment && segment < left ? segment : left;
        data += in.len;
        left -= in.len;
        net->stats.datagrams_in++;
        net->stats.bytes_in += in.len;
        duet_datagram one = in; /* the object may rewrite it */
        ep->ops->input(ep->object, &one, net->now);
        net_endpoint_note_input(ep, 0);
    }
}

static void receive(net_socket *s)
{
    duet_net *net = s->endpoint->net;
    size_t count = net_receive_buffers(net);
    uint8_t *buffer = net_receive_buffer(net);
    receive_batch batch;

    if (!buffer)
        return; /* the datagrams stay in the kernel: tried again at the next turn */
    size_t bytes = 0;
    for (size_t round = 0; round < net->config.receive_rounds && s->source.fd >= 0; round++) {
        size_t most = round == 0 && count > RECEIVE_FIRST ? RECEIVE_FIRST : count;
        prepare_batch(&batch, buffer, most);
        int n = recvmmsg(s->source.fd, batch.msgs, (unsigned)most, MSG_DONTWAIT, NULL);
        net->stats.receive_calls++;
        for (int i = 0; i < n && s->source.fd >= 0; i++) {
            bytes += batch.msgs[i].msg_len;
            deliver(s, &batch.msgs[i]);
        }
        if (n < (int)most || bytes > RECEIVE_BYTES_MAX)
            break;
    }
}

static void socket_ready(net_source *source, uint32_t events)
{
    net_socket *s = (net_socket *)source;

    if (events & EPOLLOUT)
        net_writable_again(s);
    if (s->source.fd >= 0 && (events & (EPOLLIN | EPOLLERR)))
        receive(s);
}
