/* UDP sockets in batches: recvmmsg with GRO on the way in, sendmmsg with GSO on the way out, and plain calls where the
 * kernel has neither. One segment of a GSO send is one datagram on the wire. */
#include "net/internal.h"
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define BUFFER_SIZE      65536
#define RECEIVE_MAX      64
#define RECEIVE_ROUNDS   4
#define FLUSH_ROUNDS     64
#define GSO_SEGMENTS_MAX 64    /* UDP_MAX_SEGMENTS of the kernel */
#define GSO_BYTES_MAX    65000 /* less than the largest UDP payload of either family */

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

/* ---- opening and closing ---- */

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
static int bind_in_range(duet_net *net, int fd, const duet_request *request)
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

static void set_option(int fd, int level, int option, int value)
{
    /* All of these make things better, none is needed: a kernel that refuses one is served without it. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

static void set_options(duet_net *net, int fd, duet_family family)
{
    set_option(fd, SOL_SOCKET, SO_SNDBUF, net->config.socket_buffer);
    set_option(fd, SOL_SOCKET, SO_RCVBUF, net->config.socket_buffer);
    if (net->gro)
        set_option(fd, SOL_UDP, UDP_GRO, 1);
    if (family == DUET_AF_INET6) {
        set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    } else {
        set_option(fd, IPPROTO_IP, IP_RECVTOS, 1);
    }
}

static void socket_ready(net_source *source, uint32_t events);

int net_udp_open(net_endpoint *ep, const duet_request *request, duet_answer *answer)
{
    duet_net *net = ep->net;
    bool is_v6 = request->bind.family == DUET_AF_INET6;
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    net_socket *s = duet_calloc(&net->env, sizeof(*s));
    if (!s)
        return DUET_ERR_NOMEM;
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && is_v6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    s->source = (net_source){socket_ready, fd};
    if (fd < 0 || bind_in_range(net, fd, request) != 0 || getsockname(fd, (struct sockaddr *)&sa, &len) != 0 ||
        net_source_add(net, &s->source, EPOLLIN) != DUET_OK) {
        if (fd >= 0)
            close(fd);
        duet_free(&net->env, s);
        return DUET_ERR_IO;
    }
    set_options(net, fd, is_v6 ? DUET_AF_INET6 : DUET_AF_INET);
    s->endpoint = ep;
    s->id = request->id;
    net_sockaddr_to(&s->local, (struct sockaddr *)&sa);
    s->next = ep->sockets;
    ep->sockets = s;
    answer->local = s->local;
    return DUET_OK;
}

/* The endpoint is pulled from again as soon as none of its sockets is full. */
static void unblock(net_endpoint *ep)
{
    for (const net_socket *s = ep->sockets; s; s = s->next) {
        if (s->waits_for_write)
            return;
    }
    if (!ep->blocked)
        return;
    ep->blocked = false;
    net_mark_dirty(ep);
}

void net_socket_close(net_socket *s)
{
    duet_net *net = s->endpoint->net;
    net_socket **link = &s->endpoint->sockets;

    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    net_source_remove(net, &s->source);
    close(s->source.fd);
    s->source.fd = -1;
    duet_free(&net->env, s->unsent);
    unblock(s->endpoint);
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
        b->iov[i] = (struct iovec){buffer + i * BUFFER_SIZE, BUFFER_SIZE};
        b->msgs[i].msg_hdr = (struct msghdr){.msg_name = &b->from[i],
                                             .msg_namelen = sizeof(b->from[i]),
                                             .msg_iov = &b->iov[i],
                                             .msg_iovlen = 1,
                                             .msg_control = b->control[i],
                                             .msg_controllen = sizeof(b->control[i])};
    }
}

/* The segment size of a GRO train (0: one datagram) and the ECN bits. */
static size_t read_control(struct msghdr *msg, uint8_t *ecn)
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
            *ecn = (uint8_t)(value & 3);
    }
    return segment;
}

static void deliver(net_socket *s, struct mmsghdr *m)
{
    net_endpoint *ep = s->endpoint;
    duet_net *net = ep->net;
    uint8_t ecn = 0;
    size_t segment = read_control(&m->msg_hdr, &ecn);
    uint8_t *data = m->msg_hdr.msg_iov->iov_base;
    size_t left = m->msg_len;
    duet_datagram in = {
        .path = {.socket = s->id, .protocol = DUET_UDP, .local = s->local}, .ecn = ecn, .time = net->now};

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
        duet_path path = in.path; /* the object may rewrite its datagram */
        ep->ops->input(ep->object, &in, net->now);
        in.path = path;
    }
}

static void receive(net_socket *s)
{
    net_endpoint *ep = s->endpoint;
    duet_net *net = ep->net;
    size_t count = net->config.no_batch ? 1 : net->config.receive_buffers;
    receive_batch batch;

    count = count > RECEIVE_MAX ? RECEIVE_MAX : count;
    if (!net->receive_buffer)
        net->receive_buffer = duet_alloc(&net->env, count * BUFFER_SIZE);
    if (!net->receive_buffer)
        return; /* the datagrams stay in the kernel: tried again at the next turn */
    for (int round = 0; round < RECEIVE_ROUNDS && s->source.fd >= 0; round++) {
        prepare_batch(&batch, net->receive_buffer, count);
        int n = recvmmsg(s->source.fd, batch.msgs, (unsigned)count, MSG_DONTWAIT, NULL);
        net->stats.receive_calls++;
        for (int i = 0; i < n && s->source.fd >= 0; i++)
            deliver(s, &batch.msgs[i]);
        if (n < (int)count)
            break;
    }
    net_mark_dirty(ep);
}

/* ---- sending ---- */

typedef struct send_batch {
    duet_datagram datagrams[DUET_OUTPUT_BATCH];
    size_t datagram_count;
    struct mmsghdr msgs[DUET_OUTPUT_BATCH];
    struct iovec iov[DUET_OUTPUT_BATCH];
    struct sockaddr_storage to[DUET_OUTPUT_BATCH];
    _Alignas(struct cmsghdr) uint8_t control[DUET_OUTPUT_BATCH][CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int))];
    net_socket *sockets[DUET_OUTPUT_BATCH];
    size_t first[DUET_OUTPUT_BATCH + 1]; /* first datagram of each message */
    size_t msg_count;
    duet_path failed_path; /* reported when the batch is done: the object may not be called before */
    int failed_errno;
} send_batch;

net_socket *net_socket_find(net_endpoint *ep, uint32_t id)
{
    for (net_socket *s = ep->sockets; s; s = s->next) {
        if (s->id == id)
            return s;
    }
    return NULL;
}

static bool joins_train(const duet_datagram *first, const duet_datagram *last, const duet_datagram *next)
{
    return last->len == first->len && next->len <= first->len && next->path.socket == first->path.socket &&
           next->dscp == first->dscp && next->ecn == first->ecn &&
           duet_address_equal(&next->path.remote, &first->path.remote);
}

static void add_control(struct msghdr *msg, uint8_t *control, int level, int type, const void *value, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)(control + msg->msg_controllen);

    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), value, len);
    msg->msg_control = control;
    msg->msg_controllen += CMSG_SPACE(len);
}

static void fill_message(send_batch *b, size_t m, size_t first, size_t count)
{
    const duet_datagram *dg = &b->datagrams[first];
    struct msghdr *msg = &b->msgs[m].msg_hdr;
    socklen_t len;

    net_sockaddr_from(&b->to[m], &len, &dg->path.remote);
    *msg = (struct msghdr){.msg_name = &b->to[m], .msg_namelen = len, .msg_iov = &b->iov[first], .msg_iovlen = count};
    memset(b->control[m], 0, sizeof(b->control[m]));
    if (count > 1) {
        uint16_t segment = (uint16_t)dg->len;
        add_control(msg, b->control[m], SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
    }
    if (dg->dscp || dg->ecn) {
        int tos = dg->dscp << 2 | (dg->ecn & 3);
        bool is_v6 = dg->path.remote.family == DUET_AF_INET6;
        add_control(msg, b->control[m], is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, is_v6 ? IPV6_TCLASS : IP_TOS, &tos,
                    sizeof(tos));
    }
}

/* Groups the datagrams from `at` on into messages: trains of equal length to one address where GSO works. */
static void group(net_endpoint *ep, send_batch *b, size_t at)
{
    b->msg_count = 0;
    while (at < b->datagram_count) {
        const duet_datagram *first = &b->datagrams[at];
        size_t count = 1, bytes = first->len;
        while (ep->net->gso && at + count < b->datagram_count && count < GSO_SEGMENTS_MAX) {
            const duet_datagram *next = &b->datagrams[at + count];
            if (bytes + next->len > GSO_BYTES_MAX || !joins_train(first, next - 1, next))
                break;
            bytes += next->len;
            count++;
        }
        net_socket *s = net_socket_find(ep, first->path.socket);
        if (s) {
            fill_message(b, b->msg_count, at, count);
            b->sockets[b->msg_count] = s;
            b->first[b->msg_count++] = at;
        }
        at += count;
    }
    b->first[b->msg_count] = b->datagram_count;
}

/* What the kernel does not take is copied and sent when the socket is writable again. Layout: repeated
 * {length, address, bytes}. */
typedef struct unsent_header {
    uint32_t len;
    duet_address remote;
} unsent_header;

static void wait_for_write(net_socket *s)
{
    if (!s->waits_for_write)
        net_source_change(s->endpoint->net, &s->source, EPOLLIN | EPOLLOUT);
    s->waits_for_write = true;
}

static void keep_unsent(net_endpoint *ep, send_batch *b, size_t m)
{
    wait_for_write(b->sockets[m]);
    for (size_t i = b->first[m]; i < b->datagram_count; i++) {
        const duet_datagram *dg = &b->datagrams[i];
        net_socket *s = net_socket_find(ep, dg->path.socket);
        if (!s)
            continue;
        unsent_header header = {(uint32_t)dg->len, dg->path.remote};
        uint8_t *grown = duet_realloc(&ep->net->env, s->unsent, s->unsent_len + sizeof(header) + dg->len);
        if (!grown)
            continue; /* lost, as a datagram may be */
        memcpy(grown + s->unsent_len, &header, sizeof(header));
        memcpy(grown + s->unsent_len + sizeof(header), dg->data, dg->len);
        s->unsent = grown;
        s->unsent_len += sizeof(header) + dg->len;
        wait_for_write(s);
    }
    ep->blocked = true;
    ep->net->stats.send_blocked++;
}

static void count_sent(duet_net *net, const send_batch *b, size_t m)
{
    const struct msghdr *msg = &b->msgs[m].msg_hdr;

    net->stats.datagrams_out += msg->msg_iovlen;
    for (size_t i = 0; i < msg->msg_iovlen; i++)
        net->stats.bytes_out += msg->msg_iov[i].iov_len;
}

/* Sends messages of one socket from m on. @return how many went out, or -1 with errno */
static int send_some(duet_net *net, send_batch *b, size_t m, size_t count)
{
    int fd = b->sockets[m]->source.fd;

    net->stats.send_calls++;
    if (count == 1 || net->config.no_batch)
        return sendmsg(fd, &b->msgs[m].msg_hdr, MSG_DONTWAIT) >= 0 ? 1 : -1;
    return sendmmsg(fd, &b->msgs[m], (unsigned)count, MSG_DONTWAIT);
}

static bool is_gso_refusal(const send_batch *b, size_t m, int error)
{
    return b->msgs[m].msg_hdr.msg_iovlen > 1 &&
           (error == EIO || error == EINVAL || error == ENOPROTOOPT || error == EOPNOTSUPP || error == EMSGSIZE);
}

/* Others are about one datagram (EMSGSIZE), or about nothing that lasts. */
static bool is_path_error(int error)
{
    return error == ENETUNREACH || error == EHOSTUNREACH || error == ENETDOWN || error == EHOSTDOWN ||
           error == EADDRNOTAVAIL || error == ENODEV || error == EACCES || error == EPERM || error == EAFNOSUPPORT;
}

/* @return false when a socket is full */
static bool send_batch_out(net_endpoint *ep, send_batch *b)
{
    duet_net *net = ep->net;
    size_t m = 0;

    group(ep, b, 0);
    while (m < b->msg_count) {
        size_t same = 1;
        while (m + same < b->msg_count && b->sockets[m + same] == b->sockets[m])
            same++;
        int n = send_some(net, b, m, same);
        if (n > 0) {
            for (int i = 0; i < n; i++)
                count_sent(net, b, m + (size_t)i);
            m += (size_t)n;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            keep_unsent(ep, b, m);
            return false;
        } else if (is_gso_refusal(b, m, errno)) {
            net->gso = false;
            group(ep, b, b->first[m]);
            m = 0;
        } else {
            net->stats.send_errors++;
            if (is_path_error(errno)) {
                b->failed_path = b->datagrams[b->first[m]].path;
                b->failed_errno = errno;
            }
            m++;
        }
    }
    return true;
}

void net_udp_flush(net_endpoint *ep)
{
    send_batch b;

    for (int round = 0; round < FLUSH_ROUNDS && !ep->dead; round++) {
        b.datagram_count = 0;
        b.failed_errno = 0;
        size_t most = ep->net->config.no_batch ? 1 : DUET_OUTPUT_BATCH;
        while (b.datagram_count < most) {
            duet_datagram *dg = &b.datagrams[b.datagram_count];
            if (ep->ops->output(ep->object, dg, ep->net->now) != 1)
                break;
            b.iov[b.datagram_count++] = (struct iovec){dg->data, dg->len};
        }
        bool writable = b.datagram_count == 0 || send_batch_out(ep, &b);
        if (b.failed_errno)
            ep->ops->path_error(ep->object, &b.failed_path, b.failed_errno, ep->net->now);
        if (!writable || b.datagram_count < most)
            return;
    }
    if (!ep->dead)
        net_mark_dirty(ep);
}

/* @return whether nothing is left */
static bool send_unsent(net_socket *s)
{
    size_t at = 0;

    while (at < s->unsent_len) {
        unsent_header header;
        struct sockaddr_storage to;
        socklen_t len;
        memcpy(&header, s->unsent + at, sizeof(header));
        net_sockaddr_from(&to, &len, &header.remote);
        if (sendto(s->source.fd, s->unsent + at + sizeof(header), header.len, MSG_DONTWAIT, (struct sockaddr *)&to,
                   len) < 0 &&
            errno == EAGAIN)
            break;
        at += sizeof(header) + header.len;
    }
    s->unsent_len -= at;
    memmove(s->unsent, s->unsent + at, s->unsent_len);
    return s->unsent_len == 0;
}

static void writable_again(net_socket *s)
{
    net_endpoint *ep = s->endpoint;

    if (s->unsent && !send_unsent(s))
        return;
    duet_free(&ep->net->env, s->unsent);
    s->unsent = NULL;
    s->unsent_len = 0;
    s->waits_for_write = false;
    net_source_change(ep->net, &s->source, EPOLLIN);
    unblock(ep);
}

static void socket_ready(net_source *source, uint32_t events)
{
    net_socket *s = (net_socket *)source;

    if (events & EPOLLOUT)
        writable_again(s);
    if (s->source.fd >= 0 && (events & (EPOLLIN | EPOLLERR)))
        receive(s);
}
