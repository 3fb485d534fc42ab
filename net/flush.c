/* Sending: what an endpoint has in its output is pulled in batches, sorted by socket, and leaves with one sendmmsg for each
 * UDP socket, in GSO trains where datagrams of one length go to one address, and with one sendmsg for each stream. The
 * order is kept within a socket, which is all that a network promises. One segment of a GSO send is one datagram on the
 * wire.
 *
 * A full UDP socket is back-pressure for an endpoint with few sockets: it is not pulled from until the socket has room, but
 * no longer than HOLD, after which what is for this socket is dropped as a router would, so that the other paths work on.
 * Of an endpoint with many sockets (a TURN server) what is for the full one is dropped at once: nobody waits for one. */
#include "net/internal.h"
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define FLUSH_ROUNDS     64
#define FEW_SOCKETS      16
#define HOLD             DUET_MS(100)
#define GSO_SEGMENTS_MAX 64    /* UDP_MAX_SEGMENTS of the kernel */
#define GSO_BYTES_MAX    65000 /* less than the largest UDP payload of either family */

/* The datagrams of one socket. */
typedef struct send_group {
    net_socket *socket;
    uint8_t first, last; /* while they are found: numbers of datagrams; afterwards: places in `order` */
    uint8_t count;
} send_group;

typedef struct send_failure {
    uint8_t datagram;
    int error;
} send_failure;

typedef struct send_batch {
    duet_datagram datagrams[DUET_OUTPUT_BATCH];
    size_t datagram_count;
    send_group groups[DUET_OUTPUT_BATCH];
    size_t group_count;
    uint8_t next[DUET_OUTPUT_BATCH];  /* datagram of the same group */
    uint8_t order[DUET_OUTPUT_BATCH]; /* datagrams, those of each group together */
    struct iovec iov[DUET_OUTPUT_BATCH];
    struct mmsghdr msgs[DUET_OUTPUT_BATCH];
    struct sockaddr_storage to[DUET_OUTPUT_BATCH];
    _Alignas(struct cmsghdr) uint8_t control[DUET_OUTPUT_BATCH][CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int))];
    uint8_t first[DUET_OUTPUT_BATCH]; /* place of each message's first datagram */
    size_t msg_count;
    send_failure failures[DUET_OUTPUT_BATCH]; /* reported when the batch is done: the object may not be called before */
    size_t failure_count;
} send_batch;

static duet_datagram *datagram_at(send_batch *b, size_t place)
{
    return &b->datagrams[b->order[place]];
}

static void note_failure(send_batch *b, size_t place, int error)
{
    b->failures[b->failure_count++] = (send_failure){b->order[place], error};
}

/* ---- sorting ---- */

static void find_groups(net_endpoint *ep, send_batch *b)
{
    b->group_count = 0;
    for (size_t i = 0; i < b->datagram_count; i++) {
        net_socket *s = net_socket_find(ep, b->datagrams[i].path.socket);
        if (!s)
            continue; /* it has been closed */
        if (s->group) {
            send_group *g = &b->groups[s->group - 1];
            b->next[g->last] = (uint8_t)i;
            g->last = (uint8_t)i;
            g->count++;
            continue;
        }
        b->groups[b->group_count++] = (send_group){s, (uint8_t)i, (uint8_t)i, 1};
        s->group = (uint8_t)b->group_count;
    }
}

static void sort_by_socket(net_endpoint *ep, send_batch *b)
{
    uint8_t place = 0;

    find_groups(ep, b);
    for (size_t n = 0; n < b->group_count; n++) {
        send_group *g = &b->groups[n];
        uint8_t datagram = g->first;
        g->socket->group = 0;
        g->first = place;
        for (uint8_t i = 0; i < g->count; i++) {
            b->order[place] = datagram;
            b->iov[place++] = (struct iovec){b->datagrams[datagram].data, b->datagrams[datagram].len};
            datagram = b->next[datagram];
        }
        g->last = (uint8_t)(place - 1);
    }
}

/* ---- messages ---- */

static bool joins_train(const duet_datagram *first, const duet_datagram *last, const duet_datagram *next)
{
    return last->len == first->len && next->len <= first->len && next->len > 0 && next->dscp == first->dscp &&
           next->ecn == first->ecn && duet_address_equal(&next->path.remote, &first->path.remote);
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

static void fill_message(send_batch *b, size_t m, size_t place, size_t count)
{
    const duet_datagram *dg = datagram_at(b, place);
    struct msghdr *msg = &b->msgs[m].msg_hdr;
    socklen_t len;

    net_sockaddr_from(&b->to[m], &len, &dg->path.remote);
    *msg = (struct msghdr){.msg_name = &b->to[m], .msg_namelen = len, .msg_iov = &b->iov[place], .msg_iovlen = count};
    memset(b->control[m], 0, sizeof(b->control[m]));
    if (count > 1) {
        uint16_t segment = (uint16_t)dg->len;
        add_control(msg, b->control[m], SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
    }
    if (dg->dscp || dg->ecn) {
        int tos = (dg->dscp & 0x3f) << 2 | (dg->ecn & 3);
        bool is_v6 = dg->path.remote.family == DUET_AF_INET6;
        add_control(msg, b->control[m], is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, is_v6 ? IPV6_TCLASS : IP_TOS, &tos,
                    sizeof(tos));
    }
}

/* Makes messages of the datagrams from `place` on: trains of equal length to one address where GSO works. */
static void make_messages(const duet_net *net, send_batch *b, size_t place, size_t last)
{
    b->msg_count = 0;
    while (place <= last) {
        const duet_datagram *first = datagram_at(b, place);
        size_t count = 1, bytes = first->len;
        while (net->gso && place + count <= last && count < GSO_SEGMENTS_MAX) {
            const duet_datagram *next = datagram_at(b, place + count);
            if (bytes + next->len > GSO_BYTES_MAX || !joins_train(first, datagram_at(b, place + count - 1), next))
                break;
            bytes += next->len;
            count++;
        }
        fill_message(b, b->msg_count, place, count);
        b->first[b->msg_count++] = (uint8_t)place;
        place += count;
    }
}

/* ---- a full socket ---- */

/* What the kernel does not take is copied and sent when the socket is writable again. Layout: repeated
 * {length, address, bytes}. */
typedef struct unsent_header {
    uint32_t len;
    duet_address remote;
} unsent_header;

static void keep_unsent(net_socket *s, send_batch *b, size_t place, size_t last)
{
    const duet_env *env = &s->endpoint->net->env;
    size_t len = s->unsent_len;

    for (size_t i = place; i <= last; i++)
        len += sizeof(unsent_header) + datagram_at(b, i)->len;
    uint8_t *grown = duet_realloc(env, s->unsent, len);
    if (!grown)
        return; /* lost, as datagrams may be */
    s->unsent = grown;
    for (size_t i = place; i <= last; i++) {
        const duet_datagram *dg = datagram_at(b, i);
        unsent_header header = {(uint32_t)dg->len, dg->path.remote};
        memcpy(s->unsent + s->unsent_len, &header, sizeof(header));
        if (dg->len)
            memcpy(s->unsent + s->unsent_len + sizeof(header), dg->data, dg->len);
        s->unsent_len += sizeof(header) + dg->len;
    }
}

static void hold(net_socket *s)
{
    net_endpoint *ep = s->endpoint;

    if (!s->holds)
        ep->holding++;
    s->holds = true;
    ep->held_until = ep->net->now + HOLD;
}

void net_socket_unhold(net_socket *s)
{
    net_endpoint *ep = s->endpoint;

    if (!s->holds)
        return;
    s->holds = false;
    if (--ep->holding == 0)
        net_mark_dirty(ep);
}

static void socket_is_full(net_socket *s, send_batch *b, size_t place, size_t last)
{
    net_endpoint *ep = s->endpoint;

    ep->net->stats.send_blocked++;
    if (!s->waits_for_write)
        net_source_change(ep->net, &s->source, EPOLLIN | EPOLLOUT);
    s->waits_for_write = true;
    if (ep->socket_count > FEW_SOCKETS) {
        ep->net->stats.send_dropped += last - place + 1;
        return;
    }
    keep_unsent(s, b, place, last);
    hold(s);
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

void net_writable_again(net_socket *s)
{
    duet_net *net = s->endpoint->net;

    if (s->unsent && !send_unsent(s))
        return;
    duet_free(&net->env, s->unsent);
    s->unsent = NULL;
    s->unsent_len = 0;
    s->waits_for_write = false;
    net_source_change(net, &s->source, EPOLLIN);
    net_socket_unhold(s);
}

/* ---- sending ---- */

static void count_sent(duet_net *net, const struct msghdr *msg)
{
    net->stats.datagrams_out += msg->msg_iovlen;
    for (size_t i = 0; i < msg->msg_iovlen; i++)
        net->stats.bytes_out += msg->msg_iov[i].iov_len;
}

/* Sends messages from m on. @return how many went out, or -1 with errno */
static int send_some(duet_net *net, const net_socket *s, send_batch *b, size_t m)
{
    size_t count = b->msg_count - m;

    net->stats.send_calls++;
    if (count == 1 || net->config.no_batch)
        return sendmsg(s->source.fd, &b->msgs[m].msg_hdr, MSG_DONTWAIT) >= 0 ? 1 : -1;
    return sendmmsg(s->source.fd, &b->msgs[m], (unsigned)count, MSG_DONTWAIT);
}

static bool is_gso_refusal(const struct msghdr *msg, int error)
{
    return msg->msg_iovlen > 1 &&
           (error == EIO || error == EINVAL || error == ENOPROTOOPT || error == EOPNOTSUPP || error == EMSGSIZE);
}

/* Others are about one datagram (EMSGSIZE), or about nothing that lasts. */
static bool is_path_error(int error)
{
    return error == ENETUNREACH || error == EHOSTUNREACH || error == ENETDOWN || error == EHOSTDOWN ||
           error == EADDRNOTAVAIL || error == ENODEV || error == EACCES || error == EPERM || error == EAFNOSUPPORT;
}

static void send_datagrams(net_socket *s, send_batch *b, const send_group *g)
{
    duet_net *net = s->endpoint->net;

    if (s->waits_for_write) {
        net->stats.send_dropped += g->count;
        return;
    }
    make_messages(net, b, g->first, g->last);
    for (size_t m = 0; m < b->msg_count;) {
        int n = send_some(net, s, b, m);
        if (n > 0) {
            for (int i = 0; i < n; i++)
                count_sent(net, &b->msgs[m++].msg_hdr);
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            socket_is_full(s, b, b->first[m], g->last);
            return;
        } else if (is_gso_refusal(&b->msgs[m].msg_hdr, errno)) {
            net->gso = false;
            make_messages(net, b, b->first[m], g->last);
            m = 0;
        } else {
            net->stats.send_errors++;
            if (is_path_error(errno))
                note_failure(b, b->first[m], errno);
            m++;
        }
    }
}

static void send_pieces(net_socket *s, send_batch *b, const send_group *g)
{
    int error = net_stream_send(s, &b->iov[g->first], g->count);

    if (error)
        note_failure(b, g->first, error);
}

static void send_all(net_endpoint *ep, send_batch *b)
{
    sort_by_socket(ep, b);
    for (size_t n = 0; n < b->group_count; n++) {
        const send_group *g = &b->groups[n];
        if (g->socket->kind == NET_UDP)
            send_datagrams(g->socket, b, g);
        else if (g->socket->kind == NET_STREAM)
            send_pieces(g->socket, b, g);
    }
}

static void report_failures(net_endpoint *ep, const send_batch *b)
{
    for (size_t i = 0; i < b->failure_count && !ep->dead; i++) {
        duet_path path = b->datagrams[b->failures[i].datagram].path;
        ep->ops->path_error(ep->object, &path, b->failures[i].error, ep->net->now);
    }
}

void net_flush(net_endpoint *ep)
{
    size_t most = ep->net->config.no_batch ? 1 : DUET_OUTPUT_BATCH;
    send_batch b;

    ep->inputs = 0;
    for (int round = 0; round < FLUSH_ROUNDS; round++) {
        b.datagram_count = b.failure_count = 0;
        while (b.datagram_count < most &&
               ep->ops->output(ep->object, &b.datagrams[b.datagram_count], ep->net->now) == 1)
            b.datagram_count++;
        if (b.datagram_count > 0)
            send_all(ep, &b);
        report_failures(ep, &b);
        if (ep->dead || net_endpoint_is_held(ep) || b.datagram_count < most)
            return;
    }
    net_mark_dirty(ep);
}
