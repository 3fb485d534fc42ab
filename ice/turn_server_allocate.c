/* Allocate and Refresh: RFC 8656 sections 7 and 8. An allocation has a relayed address of one family or of both; each is opened by
 * the driver, and the response waits for that. */
#include "base/log.h"
#include "base/memory.h"
#include "ice/turn_server.h"
#include <string.h>

#define TRANSPORT_UDP 17 /* RFC 8656 section 18.7: the protocol number of IPv4 */
#define OPEN_TRIES    8  /* another process may hold a port */
#define EVEN_PORT_R   0x80u

/* What an Allocate request asks for. */
typedef struct wish {
    bool families[TURN_RELAY_ADDRESSES];
    bool additional; /* the second family is welcome, not needed */
    bool even, reserve;
    uint64_t token;
    uint32_t lifetime; /* seconds */
} wish;

static uint32_t granted_lifetime(const duet_turn_server *s, const duet_stun_message *m)
{
    uint32_t wanted;

    /* "... the smaller of the client's value and the maximum; if larger than the default it is used" section 7.2 */
    if (duet_stun_get_u32(m, DUET_STUN_LIFETIME, &wanted) != DUET_OK || wanted < s->config.lifetime_default)
        return s->config.lifetime_default;
    return wanted < s->config.lifetime_max ? wanted : s->config.lifetime_max;
}

static bool is_malformed(const duet_stun_message *m, uint16_t type, uint8_t *value)
{
    duet_stun_attribute a;

    *value = 0;
    return duet_stun_find(m, type, &a) && duet_stun_value_u8(&a, value) != DUET_OK;
}

/* REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY, sections 18.8 and 18.11. @return 0 or an error code */
static unsigned read_families(const duet_turn_server *s, const duet_stun_message *m, wish *w)
{
    bool has_requested = duet_stun_find(m, DUET_STUN_REQUESTED_ADDRESS_FAMILY, NULL);
    bool has_additional = duet_stun_find(m, DUET_STUN_ADDITIONAL_ADDRESS_FAMILY, NULL);
    uint8_t requested, additional;

    if (is_malformed(m, DUET_STUN_REQUESTED_ADDRESS_FAMILY, &requested) ||
        is_malformed(m, DUET_STUN_ADDITIONAL_ADDRESS_FAMILY, &additional) || (has_requested && has_additional) ||
        ((has_requested || has_additional) && w->token))
        return 400;
    /* "If the ... ADDITIONAL-ADDRESS-FAMILY attribute ... 0x01 (IPv4) ... 400"; with EVEN-PORT and its R bit as well */
    if (has_additional && (additional != DUET_STUN_FAMILY_IPV6 || w->reserve))
        return 400;
    if (has_requested && requested != DUET_STUN_FAMILY_IPV4 && requested != DUET_STUN_FAMILY_IPV6)
        return 440;
    size_t first = requested == DUET_STUN_FAMILY_IPV6;
    w->families[first] = true;
    w->additional = has_additional;
    if (has_additional)
        w->families[1] = true;
    if (w->token)
        return 0;
    bool has_first = s->peers.relays[first].here.family != DUET_AF_NONE;
    return has_first || (has_additional && s->peers.relays[1].here.family) ? 0 : 440;
}

/* @return 0, or the code of section 7.2 */
static unsigned read_wish(const duet_turn_server *s, const duet_stun_message *m, wish *w)
{
    duet_stun_attribute a;
    uint8_t transport, even;

    *w = (wish){0};
    if (!duet_stun_find(m, DUET_STUN_REQUESTED_TRANSPORT, &a) || duet_stun_value_u8(&a, &transport) != DUET_OK)
        return 400;
    if (transport != TRANSPORT_UDP)
        return 442;
    int err = duet_stun_get_u64(m, DUET_STUN_RESERVATION_TOKEN, &w->token);
    if (err == DUET_ERR_MALFORMED)
        return 400;
    bool has_token = err == DUET_OK;
    bool has_even = duet_stun_find(m, DUET_STUN_EVEN_PORT, NULL);
    if (is_malformed(m, DUET_STUN_EVEN_PORT, &even) || (has_token && has_even))
        return 400;
    if (has_token && w->token == 0)
        return 508; /* no token is zero */
    w->even = has_even;
    w->reserve = (even & EVEN_PORT_R) != 0;
    w->lifetime = granted_lifetime(s, m);
    return read_families(s, m, w);
}

/* ---- life and death ---- */

static void link_allocation(duet_turn_server *s, turn_allocation *a)
{
    a->next = s->first;
    if (s->first)
        s->first->previous = a;
    s->first = a;
    duet_turn_table_insert(&s->clients, &a->node, duet_turn_client_hash(s, &a->path));
    s->stats.allocations++;
    s->stats.allocations_begun++;
}

static turn_ports *ports_of(const duet_turn_server *s, const turn_relay *r)
{
    return s->peers.relays[r == &r->allocation->relays[1]].ports;
}

/* The socket is closed, or never was open: the port may be taken again. Not before: the driver would be asked to open it while
 * it is still bound. */
static void release_port(duet_turn_server *s, turn_relay *r)
{
    duet_turn_ports_give_back(ports_of(s, r), s->registry, r->address.port);
    r->state = TURN_RELAY_NONE;
}

/* A datagram that comes before the socket is closed finds nobody. */
static void close_relay(duet_turn_server *s, turn_relay *r)
{
    if (r->state == TURN_RELAY_NONE || r->state == TURN_RELAY_FAILED || r->state == TURN_RELAY_CLOSING)
        return;
    duet_turn_table_remove(&s->relays, &r->node);
    if (r->state == TURN_RELAY_OPEN)
        duet_turn_ports_set_alive(ports_of(s, r), r->address.port, false);
    if (r->state == TURN_RELAY_WANTED)
        release_port(s, r);
    else
        r->state = TURN_RELAY_CLOSING;
}

/* Everything but the memory and the sockets, which the driver must be asked to close. */
static void unlink_allocation(duet_turn_server *s, turn_allocation *a)
{
    duet_turn_forget_permissions(s, a);
    duet_timers_cancel(&s->allocation_timers, &a->timer);
    duet_turn_table_remove(&s->clients, &a->node);
    for (size_t i = 0; i < TURN_RELAY_ADDRESSES; i++)
        close_relay(s, &a->relays[i]);
    duet_turn_account_leave(a->account, s->registry);
    s->stats.allocations--;
    a->ended = true;
}

void duet_turn_allocation_end(duet_turn_server *s, turn_allocation *a, duet_time now)
{
    turn_stream *stream = a->stream;

    if (a->ended)
        return;
    unlink_allocation(s, a);
    duet_turn_ask(s, a);
    a->stream = NULL;
    if (stream) {
        stream->allocation = NULL;
        duet_turn_stream_settle(s, stream, now);
    }
    duet_turn_check_drained(s);
}

void duet_turn_allocation_free(duet_turn_server *s, turn_allocation *a)
{
    if (!a->ended)
        unlink_allocation(s, a);
    for (size_t i = 0; i < TURN_RELAY_ADDRESSES; i++) {
        if (a->relays[i].state == TURN_RELAY_CLOSING)
            release_port(s, &a->relays[i]); /* the server goes: its driver closes all */
    }
    if (a->previous)
        a->previous->next = a->next;
    else
        s->first = a->next;
    if (a->next)
        a->next->previous = a->previous;
    duet_wipe(&a->key, sizeof(a->key));
    duet_free(&s->env, a->username);
    duet_free(&s->env, a);
}

static uint32_t next_id(duet_turn_server *s)
{
    do {
        if (++s->next_id >= DUET_SOCKET_ACCEPTED)
            s->next_id = TURN_FIRST_RELAY_ID;
    } while (duet_turn_table_find(&s->relays, s->next_id));
    return s->next_id;
}

static void want_relay(duet_turn_server *s, turn_relay *r, uint16_t port)
{
    r->address = s->peers.relays[r == &r->allocation->relays[1]].here;
    r->address.port = port;
    r->id = next_id(s);
    r->state = TURN_RELAY_WANTED;
    duet_turn_table_insert(&s->relays, &r->node, r->id);
}

/* ---- ports ---- */

/* @return 0, or 508 */
static unsigned take_reserved(duet_turn_server *s, turn_allocation *a, uint64_t token, duet_time now)
{
    turn_ports *ports;
    uint16_t port = duet_turn_redeem(s->registry, &ports, token, now);

    if (!port)
        return 508;
    for (size_t i = 0; i < TURN_RELAY_ADDRESSES; i++) {
        if (s->peers.relays[i].ports != ports)
            continue;
        want_relay(s, &a->relays[i], port);
        a->relays[i].tries = OPEN_TRIES; /* this port or none */
        return 0;
    }
    duet_turn_ports_give_back(ports, s->registry, port);
    return 508;
}

static void fail_relay(turn_relay *r, uint16_t code)
{
    r->state = TURN_RELAY_FAILED;
    r->error = code;
}

static void take_port(duet_turn_server *s, turn_allocation *a, size_t family, const wish *w, duet_time now)
{
    turn_relay *r = &a->relays[family];
    turn_ports *ports = s->peers.relays[family].ports;

    if (!ports) {
        fail_relay(r, 440);
        return;
    }
    uint16_t port = duet_turn_ports_take(ports, s->registry, w->even, w->reserve);
    if (!port) {
        fail_relay(r, 508);
        return;
    }
    want_relay(s, r, port);
    a->even = w->even;
    if (w->reserve)
        a->token = duet_turn_reserve(s->registry, ports, (uint16_t)(port + 1), now);
}

static bool has_state(const turn_allocation *a, turn_relay_state state)
{
    return a->relays[0].state == state || a->relays[1].state == state;
}

/* @return 0, or an error code */
static unsigned take_ports(duet_turn_server *s, turn_allocation *a, const wish *w, duet_time now)
{
    if (w->token)
        return take_reserved(s, a, w->token, now);
    for (size_t i = 0; i < TURN_RELAY_ADDRESSES; i++) {
        if (w->families[i])
            take_port(s, a, i, w, now);
    }
    return has_state(a, TURN_RELAY_WANTED) ? 0 : 508;
}

/* ---- Allocate ---- */

static unsigned code_of(int err)
{
    return err == DUET_ERR_LIMIT ? 486 : 508;
}

static unsigned create_allocation(turn_allocation **out, duet_turn_server *s, const turn_request *rq,
                                  const turn_identity *who, const wish *w)
{
    const char *name;
    size_t name_len;
    turn_account *account;

    duet_turn_account_name(&s->credentials, who->username, &name, &name_len);
    int err = duet_turn_account_take(&account, s->registry, name, name_len);
    if (err != DUET_OK)
        return code_of(err);
    turn_allocation *a = duet_calloc(&s->env, sizeof(*a));
    char *username = a ? duet_strdup(&s->env, who->username) : NULL;
    if (!username) {
        duet_free(&s->env, a);
        duet_turn_account_leave(account, s->registry);
        return 508;
    }
    a->account = account;
    a->username = username;
    a->key = who->key;
    a->sha256 = who->sha256;
    a->fingerprint = rq->fingerprint;
    a->path = rq->path;
    a->stream = rq->stream;
    a->lifetime = w->lifetime;
    memcpy(a->transaction_id, rq->message.transaction_id, sizeof(a->transaction_id));
    for (size_t i = 0; i < TURN_RELAY_ADDRESSES; i++)
        a->relays[i].allocation = a;
    link_allocation(s, a);
    *out = a;
    return 0;
}

/* The Allocate request as it was, for the response that comes when the sockets are open, or comes again. */
static turn_request original_request(const turn_allocation *a, duet_time now)
{
    turn_request rq = {.path = a->path,
                       .stream = a->stream,
                       .now = now,
                       .key = &a->key,
                       .sha256 = a->sha256,
                       .fingerprint = a->fingerprint};

    rq.message.method = DUET_STUN_ALLOCATE;
    rq.message.transaction_id = a->transaction_id;
    return rq;
}

static void add_relayed_addresses(const duet_turn_server *s, const turn_allocation *a, duet_stun_builder *b)
{
    for (size_t i = 0; i < TURN_RELAY_ADDRESSES; i++) {
        const turn_relay *r = &a->relays[i];
        if (r->state == TURN_RELAY_OPEN) {
            duet_address told = s->peers.relays[i].told;
            told.port = r->address.port;
            duet_stun_add_address(b, DUET_STUN_XOR_RELAYED_ADDRESS, &told);
        } else if (r->state == TURN_RELAY_FAILED) {
            /* "... ADDRESS-ERROR-CODE ... if the server is unable to allocate one of both" section 7.2 */
            duet_stun_add_address_error(b, (uint8_t)(i + 1), r->error, NULL);
        }
    }
}

static void accept(duet_turn_server *s, const turn_allocation *a, duet_time now)
{
    turn_request rq = original_request(a, now);
    duet_stun_builder b = duet_turn_respond(s, &rq, DUET_STUN_SUCCESS);

    add_relayed_addresses(s, a, &b);
    duet_stun_add_u32(&b, DUET_STUN_LIFETIME, a->lifetime);
    if (a->token)
        duet_stun_add_u64(&b, DUET_STUN_RESERVATION_TOKEN, a->token);
    duet_stun_add_address(&b, DUET_STUN_XOR_MAPPED_ADDRESS, &a->path.remote);
    duet_turn_send(s, &rq, &b);
}

static bool is_retransmission(const turn_request *rq)
{
    return memcmp(rq->allocation->transaction_id, rq->message.transaction_id, DUET_STUN_TRANSACTION_LEN) == 0;
}

void duet_turn_handle_allocate(duet_turn_server *s, turn_request *rq, const turn_identity *who)
{
    turn_allocation *a;
    wish w;

    if (rq->allocation) {
        if (!is_retransmission(rq))
            duet_turn_refuse(s, rq, 437);
        else if (rq->allocation->answered)
            accept(s, rq->allocation, rq->now);
        return; /* otherwise the answer is on its way */
    }
    unsigned code = s->draining ? 508 : read_wish(s, &rq->message, &w);
    if (!code)
        code = create_allocation(&a, s, rq, who, &w);
    if (code) {
        duet_turn_refuse(s, rq, code);
        return;
    }
    code = take_ports(s, a, &w, rq->now);
    if (code) {
        duet_turn_refuse(s, rq, code);
        duet_turn_allocation_end(s, a, rq->now);
        return;
    }
    duet_timers_set(&s->allocation_timers, &a->timer, rq->now + DUET_SECONDS(w.lifetime));
    duet_turn_ask(s, a);
    if (rq->stream) {
        rq->stream->allocation = a;
        duet_turn_stream_settle(s, rq->stream, rq->now);
    }
}

/* ---- the driver's part ---- */

bool duet_turn_relay_request(duet_turn_server *s, turn_allocation *a, duet_request *out)
{
    for (size_t i = 0; i < TURN_RELAY_ADDRESSES; i++) {
        turn_relay *r = &a->relays[i];
        if (r->state == TURN_RELAY_WANTED) {
            r->state = TURN_RELAY_OPENING;
            *out = (duet_request){.kind = DUET_REQUEST_OPEN, .id = r->id, .protocol = DUET_UDP, .bind = r->address};
            return true;
        }
        if (r->state == TURN_RELAY_CLOSING) {
            release_port(s, r);
            *out = (duet_request){.kind = DUET_REQUEST_CLOSE, .id = r->id};
            return true;
        }
    }
    return false;
}

static void relay_failed(duet_turn_server *s, turn_relay *r)
{
    turn_allocation *a = r->allocation;
    turn_ports *ports = ports_of(s, r);
    uint16_t taken = r->address.port;

    duet_turn_table_remove(&s->relays, &r->node);
    fail_relay(r, 508);
    /* The port is somebody else's: it is given back when another has been found, so that it is not found again. */
    uint16_t port = ++r->tries < OPEN_TRIES && !a->token ? duet_turn_ports_take(ports, s->registry, a->even, false) : 0;
    duet_turn_ports_give_back(ports, s->registry, taken);
    if (port)
        want_relay(s, r, port);
}

void duet_turn_relay_answered(duet_turn_server *s, const duet_answer *answer, duet_time now)
{
    turn_node *node = duet_turn_table_find(&s->relays, answer->id);
    turn_relay *r = node ? DUET_TURN_OF(node, turn_relay, node) : NULL;

    if (!r || r->state != TURN_RELAY_OPENING)
        return;
    turn_allocation *a = r->allocation;
    if (answer->err == DUET_OK) {
        r->state = TURN_RELAY_OPEN;
        duet_turn_ports_set_alive(ports_of(s, r), r->address.port, true);
    } else {
        relay_failed(s, r);
        duet_turn_ask(s, a);
    }
    if (has_state(a, TURN_RELAY_WANTED) || has_state(a, TURN_RELAY_OPENING))
        return;
    if (has_state(a, TURN_RELAY_OPEN)) {
        a->answered = true;
        accept(s, a, now);
        return;
    }
    turn_request rq = original_request(a, now);
    duet_turn_refuse(s, &rq, 508);
    duet_turn_allocation_end(s, a, now);
}

turn_relay *duet_turn_relay_for(turn_allocation *a, const duet_address *peer)
{
    turn_relay *r = &a->relays[peer->family == DUET_AF_INET6];

    return r->state == TURN_RELAY_OPEN ? r : NULL;
}

/* ---- Refresh ---- */

/* Ends the relayed address of one family; the other lives on. */
static void end_family(duet_turn_server *s, turn_allocation *a, size_t family, duet_time now)
{
    if (a->relays[1 - family].state != TURN_RELAY_OPEN) {
        duet_turn_allocation_end(s, a, now);
        return;
    }
    duet_turn_forget_family(s, a, family);
    close_relay(s, &a->relays[family]);
    duet_turn_ask(s, a);
}

void duet_turn_handle_refresh(duet_turn_server *s, turn_request *rq)
{
    turn_allocation *a = rq->allocation;
    uint32_t wanted = s->config.lifetime_default;
    uint8_t family;
    bool has_family = duet_stun_find(&rq->message, DUET_STUN_REQUESTED_ADDRESS_FAMILY, NULL);

    if (duet_stun_get_u32(&rq->message, DUET_STUN_LIFETIME, &wanted) == DUET_ERR_MALFORMED ||
        is_malformed(&rq->message, DUET_STUN_REQUESTED_ADDRESS_FAMILY, &family)) {
        duet_turn_refuse(s, rq, 400);
        return;
    }
    /* "... does not match the address family of the allocation ... 443" section 8.2 */
    if (has_family && (family < 1 || family > TURN_RELAY_ADDRESSES || a->relays[family - 1].state != TURN_RELAY_OPEN)) {
        duet_turn_refuse(s, rq, 443);
        return;
    }
    uint32_t lifetime = wanted == 0 ? 0 : granted_lifetime(s, &rq->message);
    duet_stun_builder b = duet_turn_respond(s, rq, DUET_STUN_SUCCESS);
    duet_stun_add_u32(&b, DUET_STUN_LIFETIME, lifetime);
    duet_turn_send(s, rq, &b);
    if (lifetime)
        duet_timers_set(&s->allocation_timers, &a->timer, rq->now + DUET_SECONDS(lifetime));
    else if (has_family)
        end_family(s, a, family - 1u, rq->now);
    else
        duet_turn_allocation_end(s, a, rq->now);
}
