/* TCP and TLS connections: those that endpoints open, and those that their listeners accept. The bytes that arrive are
 * handed on as they come; what is sent waits in a bounded buffer, each piece whole or not at all.
 *
 * A stream that is closed may still send what waits, and then ends as RFC 9293 section 3.6 wants it: its side is shut, and
 * what the peer says until it closes too is read and dropped, because closing with unread bytes would be a reset and could
 * cost the peer our last words. Both are bounded in time, and the number of such streams is bounded. */
#include "net/internal.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READ_ROUNDS      4
#define READ_SIZE        (NET_BUFFER_SIZE / 2) /* with TLS the other half is for the plain text */
#define LINGER           DUET_SECONDS(3)
#define LINGERING_MAX    256
#define PENDING_KEPT_MAX 4096 /* a larger buffer is given back when it is empty */

typedef enum stream_state {
    STREAM_CONNECTING = 0,
    STREAM_HANDSHAKE,
    STREAM_OPEN,
    STREAM_PEER_ENDED, /* in order: what is written still goes out */
    STREAM_ENDED,      /* there is no descriptor any more; the endpoint has been told and will close */
    STREAM_LINGERING,  /* the endpoint has closed it */
} stream_state;

typedef struct net_stream net_stream;

typedef struct stream_alarm {
    net_alarm alarm; /* first */
    net_stream *stream;
} stream_alarm;

struct net_stream {
    net_socket socket; /* first */
    stream_alarm alarm;
    duet_net *net;
    stream_state state;
    duet_protocol protocol;
    duet_address remote;
    net_socket *listener; /* of an accepted one, until its handshake is done */
    net_trust *trust;
    duet_tls *tls;
    uint8_t *pending; /* what the kernel did not take yet */
    size_t pending_start, pending_len, pending_size;
    bool is_shut; /* lingering: our side has been closed */
};

static net_stream *stream_of(net_socket *s)
{
    return (net_stream *)s;
}

static void set_timeout(net_stream *s, duet_time delay)
{
    duet_timers_set(&s->net->timers, &s->alarm.alarm.timer, duet_net_now(s->net) + delay);
}

/* Told of what epoll should wait for: bytes, unless the peer has ended, and room when something waits. */
static void set_interest(net_stream *s)
{
    bool reads = s->state != STREAM_PEER_ENDED && s->state != STREAM_CONNECTING;
    bool writes = s->pending_len > 0 || s->state == STREAM_CONNECTING;

    s->socket.waits_for_write = writes;
    net_source_change(s->net, &s->socket.source, (reads ? (uint32_t)EPOLLIN : 0) | (writes ? (uint32_t)EPOLLOUT : 0));
}

/* ---- its end ---- */

static void close_descriptor(net_stream *s)
{
    duet_timers_cancel(&s->net->timers, &s->alarm.alarm.timer);
    net_source_close(s->net, &s->socket.source);
}

/* Frees what hangs on it; the block itself lives until the end of the turn. */
static void release(net_stream *s)
{
    close_descriptor(s);
    duet_tls_destroy(s->tls);
    net_trust_release(s->trust);
    duet_free(&s->net->env, s->pending);
    s->tls = NULL;
    s->trust = NULL;
    s->pending = NULL;
    net_bury(s->net, &s->socket.grave, s);
}

static void unlink_lingering(net_stream *s)
{
    duet_net *net = s->net;
    net_socket *socket = &s->socket;

    if (socket->previous)
        socket->previous->next = socket->next;
    else
        net->lingering = socket->next;
    if (socket->next)
        socket->next->previous = socket->previous;
    net->lingering_count--;
}

void net_stream_abort(net_socket *socket)
{
    net_stream *s = stream_of(socket);

    if (s->state == STREAM_LINGERING)
        unlink_lingering(s);
    else if (s->listener)
        net_listener_forget(s->listener, socket);
    else
        net_socket_remove(socket);
    release(s);
}

static void tell_end(net_stream *s, int error)
{
    net_endpoint *ep = s->socket.endpoint;
    duet_path path = {s->socket.id, s->protocol, s->socket.local, s->remote};

    ep->ops->path_error(ep->object, &path, error, s->net->now);
    net_mark_dirty(ep);
}

/* The stream broke. Its id stays until the endpoint closes it. */
static void break_off(net_stream *s)
{
    close_descriptor(s);
    s->state = STREAM_ENDED;
    s->pending_len = 0;
}

/* ---- sending ---- */

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
static int push_pending(net_stream *s)
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
        set_interest(s);
    return error;
}

/* TLS: each piece is encrypted and waits in the TLS object when the kernel is slow. */
static int send_tls(net_stream *s, const struct iovec *pieces, size_t count)
{
    size_t dropped = 0;

    for (size_t i = 0; i < count; i++) {
        int err = duet_tls_write(s->tls, pieces[i].iov_base, pieces[i].iov_len);
        if (err == DUET_ERR_AGAIN) {
            int error = push_pending(s);
            if (error)
                return error;
            err = duet_tls_write(s->tls, pieces[i].iov_base, pieces[i].iov_len);
        }
        if (err == DUET_ERR_CRYPTO)
            return EPROTO;
        dropped += err != DUET_OK;
    }
    int error = push_pending(s);
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
        set_interest(s);
    return error;
}

int net_stream_send(net_socket *socket, const struct iovec *pieces, size_t count)
{
    net_stream *s = stream_of(socket);

    if (s->state != STREAM_OPEN && s->state != STREAM_PEER_ENDED)
        return 0; /* not open yet, or told already: nobody will read it */
    int error = s->tls ? send_tls(s, pieces, count) : send_plain(s, pieces, count);
    if (error && error != EAGAIN)
        break_off(s);
    return error;
}

/* ---- receiving ---- */

/* @return whether it is still there */
static bool deliver(net_stream *s, uint8_t *data, size_t len)
{
    net_endpoint *ep = s->socket.endpoint;
    duet_datagram in = {
        .path = {s->socket.id, s->protocol, s->socket.local, s->remote}, .data = data, .len = len, .time = s->net->now};

    s->net->stats.datagrams_in++;
    s->net->stats.bytes_in += len;
    ep->ops->input(ep->object, &in, s->net->now);
    net_endpoint_note_input(ep, len);
    return s->socket.source.fd >= 0 && s->socket.endpoint;
}

/* The peer ended its side in order. */
static void peer_ended(net_stream *s)
{
    s->state = STREAM_PEER_ENDED;
    set_interest(s);
    tell_end(s, 0);
}

static void broke(net_stream *s, int error)
{
    break_off(s);
    tell_end(s, error);
}

/* Hands on what TLS has decrypted. @return whether the stream is still there and open */
static bool deliver_plaintext(net_stream *s, uint8_t *buffer, size_t size)
{
    for (;;) {
        size_t len = duet_tls_read(s->tls, buffer, size);
        if (len == 0)
            break;
        if (!deliver(s, buffer, len) || s->state != STREAM_OPEN)
            return false;
    }
    switch (duet_tls_get_state(s->tls)) {
    case DUET_TLS_CLOSED:
        peer_ended(s);
        return false;
    case DUET_TLS_FAILED:
        broke(s, EPROTO);
        return false;
    default:
        return true;
    }
}

/* The connection has ended below TLS: in order only when close_notify came before. */
static void end_of_bytes(net_stream *s, uint8_t *buffer)
{
    if (s->tls) {
        (void)duet_tls_input_end(s->tls);
        if (deliver_plaintext(s, buffer, READ_SIZE))
            broke(s, ECONNRESET);
        return;
    }
    peer_ended(s);
}

static void receive(net_stream *s)
{
    uint8_t *buffer = net_receive_buffer(s->net);

    for (int round = 0; buffer && round < READ_ROUNDS && s->state == STREAM_OPEN; round++) {
        ssize_t n = recv(s->socket.source.fd, buffer, READ_SIZE, MSG_DONTWAIT);
        s->net->stats.receive_calls++;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            broke(s, errno);
            return;
        }
        if (n == 0) {
            end_of_bytes(s, buffer + READ_SIZE);
            return;
        }
        if (!s->tls) {
            if (!deliver(s, buffer, (size_t)n))
                return;
        } else {
            (void)duet_tls_input(s->tls, buffer, (size_t)n); /* its state tells */
            if (!deliver_plaintext(s, buffer + READ_SIZE, READ_SIZE))
                return;
            int error = push_pending(s); /* key updates and the like */
            if (error) {
                broke(s, error);
                return;
            }
        }
        if (n < READ_SIZE)
            return;
    }
}

/* ---- opening ---- */

/* An endpoint's own attempt came to nothing: it is gone before the endpoint hears of it. */
static void fail_open(net_stream *s, int err, const char *reason)
{
    net_endpoint *ep = s->socket.endpoint;
    duet_answer answer = {.kind = DUET_REQUEST_OPEN, .id = s->socket.id, .err = err, .reason = reason};

    net_socket_remove(&s->socket);
    close_descriptor(s);
    net_endpoint_answer(ep, &answer); /* the reason may be the TLS object's */
    release(s);
}

static void fail(net_stream *s, int err, const char *reason)
{
    if (!s->listener) {
        fail_open(s, err, reason);
        return;
    }
    s->net->stats.handshakes_failed++;
    net_stream_abort(&s->socket);
}

/* The peer of a handshake that failed may learn why. */
static void fail_handshake(net_stream *s, int err)
{
    (void)push_pending(s);
    fail(s, err == DUET_ERR_AUTH ? DUET_ERR_AUTH : DUET_ERR_CRYPTO, duet_tls_reason(s->tls));
}

/* Accepted, and its handshake done: the endpoint learns of it. @return whether it is still there */
static bool tell_accepted(net_stream *s, net_endpoint *ep, uint32_t listener)
{
    duet_answer answer = {.kind = DUET_ANSWER_ACCEPTED,
                          .id = listener,
                          .local = s->socket.local,
                          .accepted = s->socket.id,
                          .remote = s->remote};

    net_endpoint_answer(ep, &answer);
    return s->socket.source.fd >= 0 && s->socket.endpoint;
}

/* @return whether it is still there and open */
static bool opened(net_stream *s)
{
    net_endpoint *ep = s->socket.endpoint;

    s->state = STREAM_OPEN;
    s->net->stats.streams_opened++;
    duet_timers_cancel(&s->net->timers, &s->alarm.alarm.timer);
    set_interest(s);
    if (!s->listener) {
        duet_answer answer = {.kind = DUET_REQUEST_OPEN, .id = s->socket.id, .local = s->socket.local};
        net_endpoint_answer(ep, &answer);
        return s->socket.source.fd >= 0 && s->socket.endpoint;
    }
    net_socket *listener = s->listener;
    net_listener_forget(listener, &s->socket);
    s->listener = NULL;
    if (net_socket_add(ep, &s->socket, net_socket_accepted_id(ep)) != DUET_OK) {
        release(s);
        return false;
    }
    return tell_accepted(s, ep, listener->id);
}

static void shake_hands(net_stream *s)
{
    uint8_t *buffer = net_receive_buffer(s->net);
    ssize_t n = buffer ? recv(s->socket.source.fd, buffer, READ_SIZE, MSG_DONTWAIT) : -1;

    s->net->stats.receive_calls++;
    if (!buffer || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    if (n <= 0) {
        fail(s, DUET_ERR_IO, n == 0 ? "the connection ended during the TLS handshake" : strerror(errno));
        return;
    }
    int err = duet_tls_input(s->tls, buffer, (size_t)n);
    duet_tls_state state = duet_tls_get_state(s->tls);
    if (state == DUET_TLS_FAILED) {
        fail_handshake(s, err);
        return;
    }
    if (push_pending(s) != 0) {
        fail(s, DUET_ERR_IO, strerror(errno));
        return;
    }
    if (state != DUET_TLS_HANDSHAKE && opened(s))
        (void)deliver_plaintext(s, buffer, READ_SIZE); /* some may have come with the last flight */
}

static void connected(net_stream *s)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(s->socket.source.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error || net_local_address(s->socket.source.fd, &s->socket.local) != DUET_OK) {
        fail(s, DUET_ERR_IO, strerror(error ? error : EIO));
        return;
    }
    if (!s->tls) {
        (void)opened(s);
        return;
    }
    s->state = STREAM_HANDSHAKE;
    error = push_pending(s);
    if (error) {
        fail(s, DUET_ERR_IO, strerror(error));
        return;
    }
    set_interest(s);
}

/* ---- lingering ---- */

static void linger_on(net_stream *s)
{
    uint8_t *buffer = net_receive_buffer(s->net);

    if (push_pending(s) != 0) {
        net_stream_abort(&s->socket);
        return;
    }
    if (s->pending_len == 0 && !s->is_shut) {
        s->is_shut = true;
        shutdown(s->socket.source.fd, SHUT_WR);
    }
    for (int round = 0; buffer && round < READ_ROUNDS; round++) {
        ssize_t n = recv(s->socket.source.fd, buffer, READ_SIZE, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            net_stream_abort(&s->socket);
            return;
        }
    }
}

void net_stream_close(net_socket *socket)
{
    net_stream *s = stream_of(socket);
    duet_net *net = s->net;
    bool is_over = s->state == STREAM_PEER_ENDED && s->pending_len == 0;

    if ((s->state != STREAM_OPEN && s->state != STREAM_PEER_ENDED) || (is_over && !s->tls)) {
        net_stream_abort(socket);
        return;
    }
    net_socket_remove(socket);
    if (s->tls)
        duet_tls_close(s->tls);
    if (net->lingering_count == LINGERING_MAX) { /* the oldest has had its time */
        net_socket *oldest = net->lingering;
        while (oldest->next)
            oldest = oldest->next;
        net_stream_abort(oldest);
    }
    socket->endpoint = NULL;
    socket->next = net->lingering;
    if (socket->next)
        socket->next->previous = socket;
    net->lingering = socket;
    net->lingering_count++;
    s->state = STREAM_LINGERING;
    set_timeout(s, LINGER);
    set_interest(s);
    linger_on(s);
}

/* ---- events ---- */

static void writable(net_stream *s)
{
    int error = push_pending(s);

    if (!error)
        return;
    if (s->state == STREAM_HANDSHAKE)
        fail(s, DUET_ERR_IO, strerror(error));
    else
        broke(s, error);
}

static void stream_ready(net_source *source, uint32_t events)
{
    net_stream *s = (net_stream *)source;

    if (s->state == STREAM_LINGERING) {
        linger_on(s);
        return;
    }
    if (s->state == STREAM_CONNECTING) {
        connected(s);
        return;
    }
    if (events & EPOLLOUT)
        writable(s);
    if (s->socket.source.fd < 0)
        return;
    if (s->state == STREAM_HANDSHAKE)
        shake_hands(s);
    else if (s->state == STREAM_OPEN)
        receive(s);
    else if (events & (EPOLLERR | EPOLLHUP))
        break_off(s); /* after the peer's orderly end: the endpoint knows that already */
}

static void timed_out(net_alarm *alarm)
{
    net_stream *s = ((stream_alarm *)alarm)->stream;

    if (s->state == STREAM_LINGERING)
        net_stream_abort(&s->socket);
    else
        fail(s, DUET_ERR_TIMEOUT,
             s->state == STREAM_CONNECTING ? "the connection was not made in time"
                                           : "the TLS handshake was not done in time");
}

/* ---- making ---- */

static net_stream *create(duet_net *net, duet_protocol protocol, const duet_address *remote)
{
    net_stream *s = duet_calloc(&net->env, sizeof(*s));

    if (!s)
        return NULL;
    s->socket.source = (net_source){stream_ready, -1};
    s->socket.kind = NET_STREAM;
    s->alarm = (stream_alarm){{.fire = timed_out}, s};
    s->net = net;
    s->protocol = protocol;
    s->remote = *remote;
    return s;
}

static void destroy(net_stream *s)
{
    duet_tls_destroy(s->tls);
    net_trust_release(s->trust);
    if (s->socket.source.fd >= 0)
        close(s->socket.source.fd);
    duet_free(&s->net->env, s);
}

/* Binds and begins to connect. @return 0 or an errno */
static int begin_connect(net_stream *s, const duet_request *request)
{
    struct sockaddr_storage to;
    socklen_t len;
    int fd = socket(request->remote.family == DUET_AF_INET6 ? AF_INET6 : AF_INET,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    s->socket.source.fd = fd;
    if (fd < 0)
        return errno;
    net_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (request->share_port) {
        net_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        net_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (request->bind.family) {
        if (request->bind.port == 0 && request->port_min == 0) /* the kernel then shares ports between destinations */
            net_set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        if (net_bind(s->net, fd, request) != 0)
            return errno;
    }
    net_sockaddr_from(&to, &len, &request->remote);
    if (connect(fd, (struct sockaddr *)&to, len) != 0 && errno != EINPROGRESS)
        return errno;
    return 0;
}

static int begin_tls(net_stream *s, const duet_request *request, char *reason, size_t size)
{
    int err = net_trust_client(&s->trust, s->net, request->ca_file, request->tls_no_verify, reason, size);

    if (err != DUET_OK)
        return err;
    err = duet_tls_create(&s->tls, net_trust_context(s->trust), request->name);
    if (err == DUET_ERR_INVALID)
        snprintf(reason, size, "no server name that a certificate could be for");
    return err;
}

int net_stream_connect(net_endpoint *ep, const duet_request *request, duet_answer *answer)
{
    duet_net *net = ep->net;

    if (request->remote.family == DUET_AF_NONE ||
        (request->bind.family && request->bind.family != request->remote.family))
        return DUET_ERR_INVALID;
    net_stream *s = create(net, request->protocol, &request->remote);
    if (!s)
        return DUET_ERR_NOMEM;
    answer->reason = net->reason;
    net->reason[0] = 0;
    int err = request->protocol == DUET_TLS ? begin_tls(s, request, net->reason, sizeof(net->reason)) : DUET_OK;
    int error = err == DUET_OK ? begin_connect(s, request) : 0;
    if (error) {
        snprintf(net->reason, sizeof(net->reason), "%s", strerror(error));
        err = DUET_ERR_IO;
    }
    if (err == DUET_OK)
        err = net_source_add(net, &s->socket.source, EPOLLOUT);
    if (err == DUET_OK)
        err = net_socket_add(ep, &s->socket, request->id);
    if (err != DUET_OK) {
        destroy(s);
        return err;
    }
    set_timeout(s, net->config.stream_timeout);
    return DUET_OK;
}

int net_stream_accept(net_socket *listener, int fd, const duet_address *remote, net_trust *trust)
{
    net_endpoint *ep = listener->endpoint;
    duet_net *net = ep->net;
    net_stream *s = create(net, trust ? DUET_TLS : DUET_TCP, remote);

    if (!s) {
        close(fd);
        return DUET_ERR_NOMEM;
    }
    s->socket.source.fd = fd;
    net_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    int err = net_local_address(fd, &s->socket.local);
    if (err == DUET_OK && trust) {
        s->trust = net_trust_share(trust);
        err = duet_tls_create(&s->tls, net_trust_context(trust), NULL);
    }
    if (err == DUET_OK)
        err = net_source_add(net, &s->socket.source, EPOLLIN);
    if (err != DUET_OK) {
        destroy(s);
        return err;
    }
    s->socket.endpoint = ep;
    s->listener = listener;
    s->state = STREAM_HANDSHAKE;
    net_listener_remember(listener, &s->socket);
    if (trust)
        set_timeout(s, net->config.stream_timeout);
    else
        (void)opened(s);
    return DUET_OK;
}
