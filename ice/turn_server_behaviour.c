/* Binding requests: RFC 8489 section 7, and NAT behaviour discovery when there is a second address, RFC 5780 section 7. */
#include "ice/turn_server.h"
#include <string.h>

#define CHANGE_IP   4u /* RFC 5780 section 7.2 */
#define CHANGE_PORT 2u
#define PADDING_MAX 1500

/* The socket that the response leaves from. @return false when the request asks for what there is not */
static bool choose_origin(const duet_turn_server *s, const turn_request *rq, duet_path *path, uint32_t *other)
{
    uint32_t flags = 0;
    unsigned here = 0;

    *other = 0;
    while (here <= TURN_BEHAVIOUR_BOTH && s->behaviour[here] != path->socket)
        here++;
    int err = duet_stun_get_u32(&rq->message, DUET_STUN_CHANGE_REQUEST, &flags);
    if (err == DUET_ERR_MALFORMED)
        return false;
    if (here > TURN_BEHAVIOUR_BOTH || !s->behaviour[1])
        return (flags & (CHANGE_IP | CHANGE_PORT)) == 0;
    unsigned change = (flags & CHANGE_IP ? TURN_BEHAVIOUR_IP : 0) | (flags & CHANGE_PORT ? TURN_BEHAVIOUR_PORT : 0);
    path->socket = s->behaviour[here ^ change];
    path->local = s->listenings[path->socket - 1].address;
    *other = s->behaviour[here ^ TURN_BEHAVIOUR_BOTH];
    return true;
}

/* "PADDING ... of the response SHOULD be the same length as the request's" RFC 5780 section 6.1; never more than was sent. */
static void add_padding(duet_stun_builder *b, const turn_request *rq)
{
    static const uint8_t zeros[PADDING_MAX];
    duet_stun_attribute a;

    if (!duet_stun_find(&rq->message, DUET_STUN_PADDING, &a))
        return;
    size_t tail = 4 + 8; /* its header, FINGERPRINT */
    size_t room = rq->message.len > b->len + tail ? (rq->message.len - b->len - tail) / 4 * 4 : 0;
    size_t len = a.len < room ? a.len : room;
    duet_stun_add(b, DUET_STUN_PADDING, zeros, len < PADDING_MAX ? len : PADDING_MAX);
}

static void respond(duet_turn_server *s, const turn_request *rq, uint32_t other, bool padded)
{
    size_t room = padded ? TURN_UNAUTHENTICATED_MAX + PADDING_MAX : TURN_UNAUTHENTICATED_MAX;
    uint8_t *at = duet_turn_output_reserve(&s->output, room);
    duet_stun_builder b =
        duet_stun_begin(at, at ? room : 0, DUET_STUN_SUCCESS, DUET_STUN_BINDING, rq->message.transaction_id);
    duet_address client = rq->path.remote;

    duet_stun_add_address(&b, DUET_STUN_XOR_MAPPED_ADDRESS, &client);
    if (other) {
        duet_stun_add_address(&b, DUET_STUN_MAPPED_ADDRESS, &client);
        duet_stun_add_address(&b, DUET_STUN_RESPONSE_ORIGIN, &rq->path.local);
        duet_stun_add_address(&b, DUET_STUN_OTHER_ADDRESS, &s->listenings[other - 1].address);
        if (padded)
            add_padding(&b, rq);
    }
    duet_turn_send(s, rq, &b);
}

/* RESPONSE-PORT, RFC 5780 section 7.5: to another port of the same client. @return false when it is malformed */
static bool apply_response_port(const turn_request *rq, duet_address *remote)
{
    duet_stun_attribute a;
    uint16_t port;

    if (!duet_stun_find(&rq->message, DUET_STUN_RESPONSE_PORT, &a))
        return true;
    if (duet_stun_value_u16(&a, &port) != DUET_OK || port == 0)
        return false;
    remote->port = port;
    return true;
}

static void discover(duet_turn_server *s, const turn_request *rq)
{
    turn_request answer = *rq;
    uint32_t other;
    bool padded = duet_stun_find(&rq->message, DUET_STUN_PADDING, NULL);
    bool elsewhere = duet_stun_find(&rq->message, DUET_STUN_RESPONSE_PORT, NULL);

    /* "... the server MUST ... PADDING and RESPONSE-PORT ... error response 400" RFC 5780 section 6.1: together they would aim
     * long datagrams at somebody else. */
    if (rq->stream || (padded && elsewhere) || !choose_origin(s, rq, &answer.path, &other) ||
        !apply_response_port(rq, &answer.path.remote)) {
        duet_turn_refuse(s, rq, 400);
        return;
    }
    s->stats.bindings++;
    /* The mapped address is the one that the request came from. */
    duet_path to = answer.path;
    answer.path.remote = rq->path.remote;
    size_t before = s->output.count;
    respond(s, &answer, other, padded);
    if (s->output.count > before)
        s->output.entries[s->output.count - 1].path = to;
}

void duet_turn_handle_binding(duet_turn_server *s, const turn_request *rq)
{
    if (s->behaviour[1] && !rq->stream) {
        discover(s, rq);
        return;
    }
    s->stats.bindings++;
    respond(s, rq, 0, false);
}
