/* A STUN request or indication of a client: checks in the order of RFC 8489 sections 6.3 and 9.2.4, then its method.
 *
 * Whoever has not shown a password gets at most TURN_UNAUTHENTICATED_MAX bytes: the builder has no more room. */
#include "ice/turn_server.h"

#define UNKNOWN_MAX 16

/* Comprehension-required attributes of requests that this server understands (RFC 8489 section 6.3.1: others get 420). */
static const uint16_t known[] = {
    DUET_STUN_USERNAME,
    DUET_STUN_MESSAGE_INTEGRITY,
    DUET_STUN_CHANNEL_NUMBER,
    DUET_STUN_LIFETIME,
    DUET_STUN_XOR_PEER_ADDRESS,
    DUET_STUN_DATA_ATTRIBUTE,
    DUET_STUN_REALM,
    DUET_STUN_NONCE,
    DUET_STUN_REQUESTED_ADDRESS_FAMILY,
    DUET_STUN_EVEN_PORT,
    DUET_STUN_REQUESTED_TRANSPORT,
    DUET_STUN_DONT_FRAGMENT,
    DUET_STUN_MESSAGE_INTEGRITY_SHA256,
    DUET_STUN_PASSWORD_ALGORITHM,
    DUET_STUN_USERHASH,
    DUET_STUN_RESERVATION_TOKEN,
    DUET_STUN_PRIORITY, /* of ICE: harmless here */
    DUET_STUN_USE_CANDIDATE,
    /* from here on only with behaviour discovery */
    DUET_STUN_CHANGE_REQUEST,
    DUET_STUN_PADDING,
    DUET_STUN_RESPONSE_PORT,
};

#define KNOWN_COUNT     (sizeof(known) / sizeof(known[0]))
#define BEHAVIOUR_COUNT 3

static size_t unknown_types(const duet_turn_server *s, const duet_stun_message *m, uint16_t types[UNKNOWN_MAX])
{
    size_t known_count = s->behaviour[1] ? KNOWN_COUNT : KNOWN_COUNT - BEHAVIOUR_COUNT;
    size_t count = duet_stun_unknown_required(m, known, known_count, types, UNKNOWN_MAX);

    return count < UNKNOWN_MAX ? count : UNKNOWN_MAX;
}

duet_stun_builder duet_turn_respond(duet_turn_server *s, const turn_request *rq, duet_stun_class message_class)
{
    size_t room = rq->key ? TURN_RESPONSE_MAX : TURN_UNAUTHENTICATED_MAX;
    uint8_t *at = duet_turn_output_reserve(&s->output, room);

    return duet_stun_begin(at, at ? room : 0, message_class, rq->message.method, rq->message.transaction_id);
}

void duet_turn_send(duet_turn_server *s, const turn_request *rq, duet_stun_builder *b)
{
    size_t len;

    if (rq->key && rq->sha256)
        duet_stun_add_integrity_sha256(b, rq->key->bytes, rq->key->len, 32);
    else if (rq->key)
        duet_stun_add_integrity(b, rq->key->bytes, rq->key->len);
    if (rq->fingerprint)
        duet_stun_add_fingerprint(b);
    if (duet_stun_end(b, &len) == DUET_OK)
        duet_turn_output_commit(&s->output, NULL, &rq->path, len);
}

static bool is_challenge(unsigned code)
{
    return code == 401 || code == 438;
}

void duet_turn_refuse(duet_turn_server *s, const turn_request *rq, unsigned code)
{
    duet_stun_builder b = duet_turn_respond(s, rq, DUET_STUN_ERROR);

    s->stats.errors++;
    /* A short reason: what is said to strangers must be short. */
    duet_stun_add_error(&b, code, is_challenge(code) ? "" : NULL);
    if (is_challenge(code)) {
        s->stats.unauthenticated++;
        duet_turn_credentials_challenge(&s->credentials, &b, &rq->path.remote, rq->now);
    }
    duet_turn_send(s, rq, &b);
}

static void refuse_unknown(duet_turn_server *s, const turn_request *rq, const uint16_t *types, size_t count)
{
    duet_stun_builder b = duet_turn_respond(s, rq, DUET_STUN_ERROR);

    s->stats.errors++;
    duet_stun_add_error(&b, 420, NULL);
    duet_stun_add_types(&b, types, count);
    duet_turn_send(s, rq, &b);
}

static bool is_turn_request(uint16_t method)
{
    return method == DUET_STUN_ALLOCATE || method == DUET_STUN_REFRESH || method == DUET_STUN_CREATE_PERMISSION ||
           method == DUET_STUN_CHANNEL_BIND;
}

static void dispatch(duet_turn_server *s, turn_request *rq, const turn_identity *who)
{
    if (rq->message.method == DUET_STUN_ALLOCATE)
        duet_turn_handle_allocate(s, rq, who);
    else if (!rq->allocation || !rq->allocation->answered)
        duet_turn_refuse(s, rq, 437);
    else if (rq->message.method == DUET_STUN_REFRESH)
        duet_turn_handle_refresh(s, rq);
    else if (rq->message.method == DUET_STUN_CREATE_PERMISSION)
        duet_turn_handle_create_permission(s, rq);
    else
        duet_turn_handle_channel_bind(s, rq);
}

static void handle_turn(duet_turn_server *s, turn_request *rq)
{
    turn_identity who;
    uint16_t types[UNKNOWN_MAX];

    s->stats.requests++;
    if (!duet_turn_credentials_exist(&s->credentials)) {
        duet_turn_refuse(s, rq, 403);
        return;
    }
    rq->allocation = duet_turn_client(s, &rq->path);
    unsigned code =
        duet_turn_authenticate(&s->credentials, &rq->message, &rq->path.remote, rq->allocation, rq->now, &who);
    if (code) {
        duet_turn_refuse(s, rq, code);
        return;
    }
    rq->key = &who.key;
    rq->sha256 = who.sha256;
    size_t unknown = unknown_types(s, &rq->message, types);
    if (unknown)
        refuse_unknown(s, rq, types, unknown);
    else
        dispatch(s, rq, &who);
}

static void handle_request(duet_turn_server *s, turn_request *rq)
{
    uint16_t types[UNKNOWN_MAX];

    if (is_turn_request(rq->message.method)) {
        handle_turn(s, rq);
        return;
    }
    if (rq->message.method != DUET_STUN_BINDING) {
        s->stats.discarded++; /* "If the method is unknown ... silently discarded" RFC 8489 section 6.3 */
        return;
    }
    size_t unknown = unknown_types(s, &rq->message, types);
    if (unknown)
        refuse_unknown(s, rq, types, unknown);
    else
        duet_turn_handle_binding(s, rq);
}

void duet_turn_handle_stun(duet_turn_server *s, const duet_path *path, turn_stream *stream, const uint8_t *data,
                           size_t len, uint8_t ecn, duet_time now)
{
    turn_request rq = {.path = *path, .stream = stream, .now = now};

    if (duet_stun_parse(&rq.message, data, len) != DUET_OK ||
        (rq.message.fingerprint && duet_stun_verify_fingerprint(&rq.message) != DUET_OK)) {
        s->stats.discarded++;
        return;
    }
    rq.fingerprint = rq.message.fingerprint != 0;
    if (rq.message.message_class == DUET_STUN_REQUEST)
        handle_request(s, &rq);
    else if (rq.message.message_class == DUET_STUN_INDICATION && rq.message.method == DUET_STUN_SEND)
        duet_turn_handle_send(s, &rq, ecn);
    else
        s->stats.discarded++; /* Binding indications are keep-alives; responses answer nothing that was asked */
}
