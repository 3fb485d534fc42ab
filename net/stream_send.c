/* What is sent on a stream: each piece whole or not at all. What the kernel does not take waits in a buffer of
 * DUET_STREAM_PENDING_MAX bytes, with TLS in the TLS object; pieces beyond that are dropped. */
#include "net/stream.h"
#include <errno.h>
#include <string.h>

#define PENDING_KEPT_MAX 4096 /* a larger buffer is given back when it is empty */

/* Told of what epoll should wait for: bytes, unless the peer has ended, and room when something waits. */
void net_stream_set_interest(net_stream *s)
{
    bool reads = s->state != STREAM_PEER_ENDED && s->state != STREAM_CONNECTING;
    bool writes = s->pending_len > 0 || s->state == STREAM_CONNECTING;

    s->socket.waits_for_write = writes;
    net_source_change(s->net, &s->socket.source, (reads ? (uint32_t)EPOLLIN : 0) | (writes ? (uint32_t)EPOLLOUT : 0));
}

/* @return room for `len` more bytes behind what waits, or NULL */
static uint8_t *pending_room(net_stream *s, size_t len)
{
    if (s->pending_start + s->pending_len + len > s->pending_size && s->pending_start > 0) {
        memmove(s->pending, s->pending + s->pending_start, s->pending_len);
        s->pending_start = 0;
    }
    if (s->pending_len + len > s->pending_size) {
        size_t size = s->pending_size ? s->pending_size * 2 : PENDING_KEPT_MAX;
        while (size < s->pending_len + len)
            size *= 2;
        uint8_t *grown = duet_realloc(&s->net->env, s->pending, size);
        if (!grown)
            return NULL;
        s->pending = grown;
        s->pending_size = size;
    }
    return s->pending + s->pending_start + s->pending_len;
}

static int keep_pending(net_stream *s, const uint8_t *data, size_t len)
{
    uint8_t *room = len ? pending_room(s, len) : NULL;

    if (len == 0)
        return 0;
    if (!room)
        return ENOMEM;
    memcpy(room, data, len);
    s->pending_len += len;
    return 0;
}

static void drop_sent(net_stream *s, size_t len)
{
    s->pending_start += len;
    s->pending_len -= len;
    if (s->pending_len > 0)
        return;
    s->pending_start = 0;
    if (s->pending_size <= PENDING_KEPT_MAX)
        return;
    duet_free(&s->net->env, s->pending);
    s->pending = NULL;
    s->pending_size = 0;
}

/* @return bytes that the kernel took, or -1 with errno; a full socket takes 0 */
static ssize_t write_out(net_stream *s, const struct iovec *iov, size_t count)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};
    ssize_t n = sendmsg(s->socket.source.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

    s->net->stats.send_calls++;
    if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)) {
        s->net->stats.send_blocked++;
        return 0;
    }
    if (n > 0)
        s->net->stats.bytes_out += (size_t)n;
    return n;
}

/* Pulls ciphertext while the kernel takes it. What TLS holds is bounded by DUET_TLS_PENDING_MAX. @return 0 or an errno */
static int push_ciphertext(net_stream *s)
{
    uint8_t chunk[16384];

    while (s->pending_len == 0) {
        size_t len = duet_tls_output(s->tls, chunk, sizeof(chunk));
        if (len == 0)
            return 0;
        struct iovec iov = {chunk, len};
        ssize_t n = write_out(s, &iov, 1);
        int error = n < 0 ? errno : keep_pending(s, chunk + n, len - (size_t)n);
        if (error)
            return error;
    }
    return 0;
}

/* Sends what waits, as far as the kernel takes it. @return 0 or an errno */
int net_stream_push(net_stream *s)
{
    if (s->pending_len > 0) {
        struct iovec iov = {s->pending + s->pending_start, s->pending_len};
        ssize_t n = write_out(s, &iov, 1);
        if (n < 0)
            return errno;
        drop_sent(s, (size_t)n);
    }
    int error = s->tls ? push_ciphertext(s) : 0;
    if (!error && s->socket.waits_for_write != (s->pending_len > 0))
        net_stream_set_interest(s);
    return error;
}

/* TLS: each piece is encrypted and waits in the TLS object when the kernel is slow. */
static int send_tls(net_stream *s, const struct iovec *pieces, size_t count)
{
    size_t dropped = 0;

    for (size_t i = 0; i < count; i++) {
        int err = duet_tls_write(s->tls, pieces[i].iov_base, pieces[i].iov_len);
        if (err == DUET_ERR_AGAIN) {
            int error = net_stream_push(s);
            if (error)
                return error;
            err = duet_tls_write(s->tls, pieces[i].iov_base, pieces[i].iov_len);
        }
        if (err == DUET_ERR_CRYPTO)
            return EPROTO;
        dropped += err != DUET_OK;
    }
    int error = net_stream_push(s);
    s->net->stats.send_dropped += dropped;
    s->net->stats.datagrams_out += count - dropped;
    return error ? error : dropped ? EAGAIN : 0;
}

/* What the kernel did not take of the pieces waits: the rest of a piece that is half sent in any case, further ones while
 * there is room. */
static int keep_rest(net_stream *s, const struct iovec *pieces, size_t count, size_t sent)
{
    size_t dropped = 0;

    for (size_t i = 0; i < count; i++) {
        size_t len = pieces[i].iov_len;
        if (sent >= len) {
            sent -= len;
            continue;
        }
        if (sent == 0 && s->pending_len + len > DUET_STREAM_PENDING_MAX) {
            dropped++;
            continue;
        }
        if (keep_pending(s, (const uint8_t *)pieces[i].iov_base + sent, len - sent) != 0) {
            if (sent > 0)
                return ENOMEM; /* half a frame went out: nothing can follow it */
            dropped++;
        }
        sent = 0;
    }
    s->net->stats.send_dropped += dropped;
    s->net->stats.datagrams_out += count - dropped;
    return dropped ? EAGAIN : 0;
}

static int send_plain(net_stream *s, const struct iovec *pieces, size_t count)
{
    ssize_t sent = s->pending_len == 0 ? write_out(s, pieces, count) : 0;

    if (sent < 0)
        return errno;
    int error = keep_rest(s, pieces, count, (size_t)sent);
    if (s->socket.waits_for_write != (s->pending_len > 0))
        net_stream_set_interest(s);
    return error;
}

int net_stream_send(net_socket *socket, const struct iovec *pieces, size_t count)
{
    net_stream *s = (net_stream *)socket;

    if (s->state != STREAM_OPEN && s->state != STREAM_PEER_ENDED)
        return 0; /* not open yet, or told already: nobody will read it */
    int error = s->tls ? send_tls(s, pieces, count) : send_plain(s, pieces, count);
    if (error && error != EAGAIN)
        net_stream_break_off(s);
    return error;
}
