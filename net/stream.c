/* TCP and TLS connections: those that endpoints open, and those that their listeners accept. The bytes that arrive are
 * handed on as they come; what is sent is in stream_send.c.
 *
 * A stream that is closed may still send what waits, and then ends as RFC 9293 section 3.6 wants it: its side is shut, and
 * what the peer says until it closes too is read and dropped, because closing with unread bytes would be a reset and could
 * cost the peer our last words. Both are bounded in time, and the number of such streams is bounded. */
#include "net/stream.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READ_ROUNDS   4
#define READ_SIZE     (NET_BUFFER_SIZE / 2) /* with TLS the other half is for the plain text */
#define LINGER        DUET_SECONDS(3)
#define LINGERING_MAX 256

static net_stream *stream_of(net_socket *s)
{
    return (net_stream *)s;
}

static void set_timeout(net_stream *s, duet_time delay)
{
    duet_timers_set(&s->net->timers, &s->alarm.alarm.timer, duet_net_now(s->net) + delay);
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
void net_stream_break_off(net_stream *s)
{
    close_descriptor(s);
    s->state = STREAM_ENDED;
    s->pending_len = 0;
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
    net_stream_set_interest(s);
    tell_end(s, 0);
}

static void broke(net_stream *s, int error)
{
    net_stream_break_off(s);
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
            int error = net_stream_push(s); /* key updates and the like */
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
    (void)net_stream_push(s);
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
    net_stream_set_interest(s);
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
    if (net_stream_push(s) != 0) {
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
    error = net_stream_push(s);
    if (error) {
        fail(s, DUET_ERR_IO, strerror(error));
        return;
    }
    net_stream_set_interest(s);
}

/* ---- lingering ---- */

static void linger_on(net_stream *s)
{
    uint8_t *buffer = net_receive_buffer(s->net);

    if (net_stream_push(s) != 0) {
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
    net_stream_set_interest(s);
    linger_on(s);
}

/* ---- events ---- */

static void writable(net_stream *s)
{
    int error = net_stream_push(s);

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
        net_stream_break_off(s); /* after the peer's orderly end: the endpoint knows that already */
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
