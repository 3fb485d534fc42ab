/* Streams in virtual time, in the words of RFC 9293: SYN, SYN-ACK, data and FIN are packets that pass links and NATs as
 * datagrams do. What a link loses is sent again after a time-out that doubles, so loss shows as delay; what came too early
 * waits; and there are no acknowledgements on the wire. TLS is treated like TCP. */
#include "sim/internal.h"
#include <errno.h>
#include <string.h>

#define SEGMENT_MAX     1200
#define TIMEOUT_FIRST   DUET_MS(200) /* before something is sent again; of a SYN five times as long, RFC 6298 */
#define TIMEOUT_SYN     DUET_SECONDS(1)
#define TRIES_MAX       7 /* 200 ms doubled so often are 25 s: then the stream has failed */
#define CONNECT_TIMEOUT DUET_SECONDS(10)

typedef enum stream_state {
    STREAM_CONNECTING = 0,
    STREAM_OPEN,
    STREAM_PEER_ENDED,
    STREAM_ENDED, /* the endpoint has been told and will close */
} stream_state;

typedef struct sim_stream {
    sim_socket socket; /* first */
    uint64_t serial;
    stream_state state;
    duet_address local, remote;
    uint64_t next_out, next_in;
    size_t in_flight; /* bytes */
    sim_packet *held; /* too early, in order */
    struct stream_alarm *alarm;
} sim_stream;

/* Of a connection that is not made in time. A block of its own, as everything in the queue of the world. */
typedef struct stream_alarm {
    sim_alarm alarm; /* first */
    uint64_t serial;
} stream_alarm;

static duet_sim *sim_of(const sim_stream *s)
{
    return s->socket.interface->host->sim;
}

static sim_stream *stream_by(duet_sim *sim, uint64_t serial)
{
    return duet_map_get(&sim->streams, serial);
}

const duet_address *sim_stream_peer(const sim_socket *s)
{
    return &((const sim_stream *)s)->remote;
}

/* ---- sending ---- */

static int send_segment(sim_stream *s, sim_segment segment, const void *data, size_t len)
{
    duet_sim *sim = sim_of(s);
    sim_packet *p = sim_packet_new(sim, &s->local, &s->remote, data, len);

    if (!p)
        return ENOMEM;
    p->is_stream = true;
    p->segment = segment;
    p->serial = s->serial;
    p->sequence = s->next_out++;
    p->source = s->socket.interface;
    p->sent_from = p->from;
    p->sent_to = p->to;
    s->in_flight += len;
    sim_packet_send(sim, p, p->source);
    return 0;
}

/* "If the connection does not exist (CLOSED), then a reset is sent in response", RFC 9293 section 3.5.2 */
static void send_reset(duet_sim *sim, sim_interface *at, const sim_packet *to)
{
    sim_packet *p = sim_packet_new(sim, &to->to, &to->from, NULL, 0);

    if (!p)
        return;
    p->is_stream = true;
    p->segment = SIM_RST;
    p->source = at;
    p->sent_from = p->from;
    p->sent_to = p->to;
    sim_packet_send(sim, p, at);
}

static void send_again(duet_sim *sim, sim_alarm *alarm)
{
    sim_packet *p = (sim_packet *)alarm;

    if (p->source->is_up)
        sim_enter_up(sim, p, p->source);
    else
        sim_lose(sim, p);
}

static void fail(sim_stream *s, int err, const char *reason, int error);

void sim_stream_lost(duet_sim *sim, sim_packet *p)
{
    duet_time first = p->segment == SIM_SYN ? TIMEOUT_SYN : TIMEOUT_FIRST;

    if (p->segment == SIM_RST || p->tries == TRIES_MAX) {
        sim_stream *s = p->segment == SIM_RST ? NULL : stream_by(sim, p->serial);
        duet_free(&sim->env, p);
        if (s)
            fail(s, DUET_ERR_TIMEOUT, "the connection was not made in time", ETIMEDOUT);
        return;
    }
    p->from = p->sent_from;
    p->to = p->sent_to;
    p->hops = 0;
    p->alarm.fire = send_again;
    duet_timers_set(&sim->timers, &p->alarm.timer, sim->now + (first << p->tries++));
}

int sim_stream_send(sim_socket *socket, const void *data, size_t len)
{
    sim_stream *s = (sim_stream *)socket;
    const uint8_t *bytes = data;

    if (s->state != STREAM_OPEN && s->state != STREAM_PEER_ENDED)
        return 0;
    if (s->in_flight + len > DUET_STREAM_PENDING_MAX)
        return EAGAIN;
    while (len > 0) {
        size_t piece = len < SEGMENT_MAX ? len : SEGMENT_MAX;
        if (send_segment(s, SIM_DATA, bytes, piece) != 0)
            return ENOMEM;
        bytes += piece;
        len -= piece;
    }
    return 0;
}

/* ---- beginning and end ---- */

static sim_stream *stream_new(sim_interface *interface, duet_protocol protocol, uint16_t port,
                              const duet_address *remote)
{
    duet_sim *sim = interface->host->sim;
    sim_stream *s = duet_calloc(&sim->env, sizeof(*s));

    if (!s)
        return NULL;
    s->socket.kind = SIM_STREAM;
    s->socket.protocol = protocol;
    s->socket.port = port;
    s->local = interface->address;
    s->local.port = port;
    s->remote = *remote;
    s->serial = ++sim->next_serial;
    if (sim_socket_add(&s->socket, interface, remote) != DUET_OK) {
        duet_free(&sim->env, s);
        return NULL;
    }
    if (duet_map_set(&sim->streams, s->serial, s) != DUET_OK) {
        sim_socket_remove(&s->socket);
        duet_free(&sim->env, s);
        return NULL;
    }
    return s;
}

static void cancel_alarm(sim_stream *s)
{
    duet_sim *sim = sim_of(s);

    if (!s->alarm)
        return;
    duet_timers_cancel(&sim->timers, &s->alarm->alarm.timer);
    duet_free(&sim->env, s->alarm);
    s->alarm = NULL;
}

static void stream_free(sim_stream *s)
{
    duet_sim *sim = sim_of(s);

    cancel_alarm(s);
    while (s->held) {
        sim_packet *p = s->held;
        s->held = p->next;
        duet_free(&sim->env, p);
    }
    duet_map_remove(&sim->streams, s->serial);
    sim_socket_remove(&s->socket);
    duet_free(&sim->env, s);
}

void sim_stream_end(sim_socket *socket)
{
    sim_stream *s = (sim_stream *)socket;

    if (s->state == STREAM_OPEN || s->state == STREAM_PEER_ENDED)
        (void)send_segment(s, SIM_FIN, NULL, 0);
    stream_free(s);
}

static void tell_end(sim_stream *s, int error)
{
    sim_endpoint *ep = s->socket.endpoint;
    duet_path path = {s->socket.id, s->socket.protocol, s->local, s->remote};

    s->state = error ? STREAM_ENDED : STREAM_PEER_ENDED;
    ep->ops->path_error(ep->object, &path, error, ep->sim->now);
    sim_mark_dirty(ep);
}

/* An attempt is answered and over; a stream that was open is told of. */
static void fail(sim_stream *s, int err, const char *reason, int error)
{
    sim_endpoint *ep = s->socket.endpoint;
    duet_answer answer = {.kind = DUET_REQUEST_OPEN, .id = s->socket.id, .err = err, .reason = reason};

    if (s->state == STREAM_PEER_ENDED || s->state == STREAM_ENDED) {
        s->state = STREAM_ENDED; /* the endpoint knows of the end already */
        return;
    }
    if (s->state != STREAM_CONNECTING) {
        tell_end(s, error);
        return;
    }
    sim_socket_close(&s->socket);
    sim_answer(ep, &answer);
}

static void not_in_time(duet_sim *sim, sim_alarm *alarm)
{
    sim_stream *s = stream_by(sim, ((stream_alarm *)alarm)->serial);

    fail(s, DUET_ERR_TIMEOUT, "the connection was not made in time", ETIMEDOUT);
}

int sim_stream_connect(sim_endpoint *ep, const duet_request *request, duet_answer *answer)
{
    duet_sim *sim = ep->sim;
    sim_interface *interface = sim_host_interface(ep->host, &request->bind);

    if (request->remote.family == DUET_AF_NONE || request->bind.family != request->remote.family)
        return DUET_ERR_INVALID;
    if (!interface || !interface->is_up) {
        answer->reason = "the address is not there";
        return DUET_ERR_IO;
    }
    uint16_t port = sim_pick_port(interface, SIM_LISTENER, request);
    if (!port || sim_find_stream(interface, port, &request->remote)) {
        answer->reason = "the port is in use";
        return DUET_ERR_IO;
    }
    sim_stream *s = stream_new(interface, request->protocol, port, &request->remote);
    if (!s)
        return DUET_ERR_NOMEM;
    s->alarm = duet_calloc(&sim->env, sizeof(*s->alarm));
    int err = s->alarm ? sim_endpoint_take(ep, &s->socket, request->id) : DUET_ERR_NOMEM;
    if (err != DUET_OK) {
        stream_free(s);
        return err;
    }
    *s->alarm = (stream_alarm){{.fire = not_in_time}, s->serial};
    duet_timers_set(&sim->timers, &s->alarm->alarm.timer, sim->now + CONNECT_TIMEOUT);
    (void)send_segment(s, SIM_SYN, NULL, 0);
    return DUET_OK;
}

static void opened(sim_stream *s)
{
    duet_answer answer = {.kind = DUET_REQUEST_OPEN, .id = s->socket.id, .local = s->local};

    cancel_alarm(s);
    s->state = STREAM_OPEN;
    sim_answer(s->socket.endpoint, &answer);
}

static void accept_from(sim_socket *listener, sim_interface *at, const sim_packet *syn)
{
    sim_endpoint *ep = listener->endpoint;
    sim_stream *s = stream_new(at, listener->protocol, listener->port, &syn->from);

    if (!s)
        return;
    if (sim_endpoint_take(ep, &s->socket, sim_accepted_id(ep)) != DUET_OK) {
        stream_free(s);
        return;
    }
    s->state = STREAM_OPEN;
    s->next_in = 1;
    (void)send_segment(s, SIM_SYN_ACK, NULL, 0);
    duet_answer answer = {.kind = DUET_ANSWER_ACCEPTED,
                          .id = listener->id,
                          .local = s->local,
                          .accepted = s->socket.id,
                          .remote = s->remote};
    sim_answer(ep, &answer);
}

/* ---- receiving ---- */

static void take_segment(sim_stream *s, sim_packet *p)
{
    sim_endpoint *ep = s->socket.endpoint;
    duet_sim *sim = ep->sim;

    s->next_in++;
    if (p->segment == SIM_SYN_ACK && s->state == STREAM_CONNECTING) {
        opened(s);
    } else if (p->segment == SIM_FIN && s->state == STREAM_OPEN) {
        tell_end(s, 0);
    } else if (p->segment == SIM_DATA && s->state == STREAM_OPEN) {
        duet_datagram in = {.path = {s->socket.id, s->socket.protocol, s->local, s->remote},
                            .data = p->data,
                            .len = p->len,
                            .time = sim->now};
        sim->stats.delivered++;
        sim->stats.bytes_delivered += p->len;
        ep->ops->input(ep->object, &in, sim->now);
        sim_mark_dirty(ep);
    }
    duet_free(&sim->env, p);
}

static void hold(sim_stream *s, sim_packet *p)
{
    sim_packet **link = &s->held;

    while (*link && (*link)->sequence < p->sequence)
        link = &(*link)->next;
    p->next = *link;
    *link = p;
}

static void receive_in_order(duet_sim *sim, sim_stream *s, sim_packet *p)
{
    uint64_t serial = s->serial;

    hold(s, p);
    while (s && s->held && s->held->sequence == s->next_in) {
        sim_packet *next = s->held;
        s->held = next->next;
        take_segment(s, next);
        s = stream_by(sim, serial); /* it may have been closed meanwhile */
    }
}

static void receive_syn(duet_sim *sim, sim_interface *at, sim_stream *s, sim_packet *p)
{
    sim_socket *listener = s ? NULL : sim_find_listener(at, p->to.port, &p->from);

    if (s && s->state == STREAM_CONNECTING) { /* simultaneous open: both ends know each other now */
        s->next_in = 1;
        opened(s);
    } else if (listener) {
        accept_from(listener, at, p);
    } else if (!s) {
        send_reset(sim, at, p);
    }
    duet_free(&sim->env, p);
}

void sim_stream_receive(duet_sim *sim, sim_interface *at, sim_packet *p)
{
    sim_stream *s = (sim_stream *)sim_find_stream(at, p->to.port, &p->from);
    sim_stream *sender = stream_by(sim, p->serial);

    if (sender)
        sender->in_flight -= p->len;
    if (p->segment == SIM_SYN) {
        receive_syn(sim, at, s, p);
        return;
    }
    if (s && p->segment != SIM_RST) {
        receive_in_order(sim, s, p);
        return;
    }
    if (s)
        fail(s, DUET_ERR_IO, "Connection refused", ECONNRESET);
    else if (p->segment != SIM_RST && p->segment != SIM_FIN)
        send_reset(sim, at, p);
    duet_free(&sim->env, p);
}
