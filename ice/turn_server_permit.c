/* Permissions and channels: RFC 8656 sections 9, 10 and 12. What has expired counts as absent; it is freed when its allocation asks
 * for more, and with its allocation. Both are bounded for each allocation, so memory is. */
#include "base/memory.h"
#include "ice/turn_server.h"

#define PEERS_PER_REQUEST 32 /* XOR-PEER-ADDRESS attributes of a CreatePermission that are looked at */

static uint64_t permission_hash(const duet_turn_server *s, const turn_allocation *a, const duet_address *peer)
{
    duet_address ip = *peer;

    ip.port = 0;
    return duet_turn_hash(s->seed, &ip, (uintptr_t)a);
}

static turn_permission *find_permission(const duet_turn_server *s, const turn_allocation *a, const duet_address *peer)
{
    turn_node *node = duet_turn_table_find(&s->permissions, permission_hash(s, a, peer));

    for (; node; node = duet_turn_table_next(node)) {
        turn_permission *p = DUET_TURN_OF(node, turn_permission, node);
        if (p->allocation == a && duet_address_ip_equal(&p->ip, peer))
            return p;
    }
    return NULL;
}

turn_permission *duet_turn_permission(const duet_turn_server *s, const turn_allocation *a, const duet_address *peer,
                                      duet_time now)
{
    turn_permission *p = find_permission(s, a, peer);

    return p && p->expires > now ? p : NULL;
}

static uint64_t number_hash(const duet_turn_server *s, const turn_allocation *a, uint16_t number)
{
    return duet_mix64(s->seed ^ (uintptr_t)a ^ (uint64_t)number << 48);
}

static turn_channel *find_number(const duet_turn_server *s, const turn_allocation *a, uint16_t number)
{
    turn_node *node = duet_turn_table_find(&s->channels, number_hash(s, a, number));

    for (; node; node = duet_turn_table_next(node)) {
        turn_channel *c = DUET_TURN_OF(node, turn_channel, by_number);
        if (c->allocation == a && c->number == number)
            return c;
    }
    return NULL;
}

static turn_channel *find_peer(const duet_turn_server *s, const turn_allocation *a, const duet_address *peer)
{
    turn_node *node = duet_turn_table_find(&s->channel_peers, duet_turn_hash(s->seed, peer, (uintptr_t)a));

    for (; node; node = duet_turn_table_next(node)) {
        turn_channel *c = DUET_TURN_OF(node, turn_channel, by_peer);
        if (c->allocation == a && duet_address_equal(&c->peer, peer))
            return c;
    }
    return NULL;
}

turn_channel *duet_turn_channel_of_number(const duet_turn_server *s, const turn_allocation *a, uint16_t number,
                                          duet_time now)
{
    turn_channel *c = find_number(s, a, number);

    return c && c->expires > now ? c : NULL;
}

turn_channel *duet_turn_channel_of_peer(const duet_turn_server *s, const turn_allocation *a, const duet_address *peer,
                                        duet_time now)
{
    turn_channel *c = find_peer(s, a, peer);

    return c && c->expires > now ? c : NULL;
}

/* ---- taking away ---- */

static bool is_doomed(const duet_address *address, duet_time expires, int family, duet_time now)
{
    return expires <= now || address->family == family;
}

/* Frees what has expired, and all of one family. `family` DUET_AF_NONE: of none. */
static void sweep(duet_turn_server *s, turn_allocation *a, int family, duet_time now)
{
    for (turn_permission **link = &a->permissions; *link;) {
        turn_permission *p = *link;
        if (!is_doomed(&p->ip, p->expires, family, now)) {
            link = &p->next;
            continue;
        }
        *link = p->next;
        duet_turn_table_remove(&s->permissions, &p->node);
        duet_free(&s->env, p);
        a->permission_count--;
    }
    for (turn_channel **link = &a->channels; *link;) {
        turn_channel *c = *link;
        if (!is_doomed(&c->peer, c->expires, family, now)) {
            link = &c->next;
            continue;
        }
        *link = c->next;
        duet_turn_table_remove(&s->channels, &c->by_number);
        duet_turn_table_remove(&s->channel_peers, &c->by_peer);
        duet_free(&s->env, c);
        a->channel_count--;
    }
}

void duet_turn_forget_permissions(duet_turn_server *s, turn_allocation *a)
{
    sweep(s, a, DUET_AF_NONE, DUET_NEVER);
}

void duet_turn_forget_family(duet_turn_server *s, turn_allocation *a, size_t family)
{
    sweep(s, a, family == 0 ? DUET_AF_INET : DUET_AF_INET6, 0);
}

/* ---- permissions ---- */

/* Whether the rules let a client ask for that peer. @return 0, 403 or 443 */
static unsigned judge(const duet_turn_server *s, turn_allocation *a, const duet_address *peer, turn_verdict *verdict)
{
    if (!duet_turn_relay_for(a, peer))
        return 443;
    *verdict = duet_turn_peers_judge(&s->peers, peer);
    /* A permission is for an IP address, whatever the port (section 9.1), and some clients send none. */
    bool any_port = peer->port == 0 && *verdict != TURN_PEER_DENIED;
    return any_port || duet_turn_peers_may_pass(&s->peers, *verdict, peer) ? 0 : 403;
}

/* @return DUET_OK, DUET_ERR_LIMIT, DUET_ERR_NOMEM */
static int install(duet_turn_server *s, turn_allocation *a, const duet_address *peer, turn_verdict verdict,
                   duet_time now)
{
    turn_permission *p = find_permission(s, a, peer);

    if (p) {
        p->expires = now + TURN_PERMISSION_LIFETIME;
        p->verdict = verdict;
        return DUET_OK;
    }
    if (a->permission_count >= s->config.permissions_max)
        sweep(s, a, DUET_AF_NONE, now);
    if (a->permission_count >= s->config.permissions_max)
        return DUET_ERR_LIMIT;
    p = duet_calloc(&s->env, sizeof(*p));
    if (!p)
        return DUET_ERR_NOMEM;
    p->allocation = a;
    p->ip = *peer;
    p->ip.port = 0;
    p->verdict = verdict;
    p->expires = now + TURN_PERMISSION_LIFETIME;
    p->next = a->permissions;
    a->permissions = p;
    a->permission_count++;
    duet_turn_table_insert(&s->permissions, &p->node, permission_hash(s, a, peer));
    return DUET_OK;
}

typedef struct wanted_peers {
    duet_address peers[PEERS_PER_REQUEST];
    turn_verdict verdicts[PEERS_PER_REQUEST];
    size_t count;
} wanted_peers;

/* All of them, before any permission is installed: a request succeeds or fails as a whole (section 10.2). */
static unsigned read_peers(const duet_turn_server *s, const turn_request *rq, wanted_peers *w)
{
    duet_stun_attribute a = {0};

    w->count = 0;
    while (duet_stun_next(&rq->message, &a)) {
        if (a.type != DUET_STUN_XOR_PEER_ADDRESS || a.ignored)
            continue;
        if (w->count == PEERS_PER_REQUEST)
            return 508;
        duet_address *peer = &w->peers[w->count];
        if (duet_stun_value_address(&rq->message, &a, peer) != DUET_OK)
            return 400;
        unsigned code = judge(s, rq->allocation, peer, &w->verdicts[w->count]);
        if (code)
            return code;
        w->count++;
    }
    return w->count ? 0 : 400;
}

static void succeed(duet_turn_server *s, const turn_request *rq)
{
    duet_stun_builder b = duet_turn_respond(s, rq, DUET_STUN_SUCCESS);

    duet_turn_send(s, rq, &b);
}

void duet_turn_handle_create_permission(duet_turn_server *s, const turn_request *rq)
{
    wanted_peers w;

    unsigned code = read_peers(s, rq, &w);
    for (size_t i = 0; i < w.count && !code; i++)
        code = install(s, rq->allocation, &w.peers[i], w.verdicts[i], rq->now) == DUET_OK ? 0 : 508;
    if (code)
        duet_turn_refuse(s, rq, code);
    else
        succeed(s, rq);
}

/* ---- channels ---- */

static turn_channel *add_channel(duet_turn_server *s, turn_allocation *a, uint16_t number, const duet_address *peer)
{
    turn_channel *c = a->channel_count < s->config.channels_max ? duet_calloc(&s->env, sizeof(*c)) : NULL;

    if (!c)
        return NULL;
    c->allocation = a;
    c->relay = duet_turn_relay_for(a, peer);
    c->number = number;
    c->peer = *peer;
    c->next = a->channels;
    a->channels = c;
    a->channel_count++;
    duet_turn_table_insert(&s->channels, &c->by_number, number_hash(s, a, number));
    duet_turn_table_insert(&s->channel_peers, &c->by_peer, duet_turn_hash(s->seed, peer, (uintptr_t)a));
    return c;
}

/* Section 12.2. @return 0, or the error code */
static unsigned bind_channel(duet_turn_server *s, const turn_request *rq)
{
    turn_allocation *a = rq->allocation;
    duet_stun_attribute attribute;
    duet_address peer;
    uint16_t number;
    turn_verdict verdict;

    if (!duet_stun_find(&rq->message, DUET_STUN_CHANNEL_NUMBER, &attribute) ||
        duet_stun_value_u16(&attribute, &number) != DUET_OK || number < TURN_CHANNEL_FIRST ||
        number > TURN_CHANNEL_LAST ||
        duet_stun_get_address(&rq->message, DUET_STUN_XOR_PEER_ADDRESS, &peer) != DUET_OK || peer.port == 0)
        return 400;
    unsigned code = judge(s, a, &peer, &verdict);
    if (code)
        return code;
    sweep(s, a, DUET_AF_NONE, rq->now);
    turn_channel *of_number = find_number(s, a, number);
    turn_channel *of_peer = find_peer(s, a, &peer);
    if (of_number != of_peer)
        return 400; /* the number is bound to another peer, or the peer to another number */
    if (install(s, a, &peer, verdict, rq->now) != DUET_OK)
        return 508;
    turn_channel *c = of_number ? of_number : add_channel(s, a, number, &peer);
    if (!c)
        return 508;
    c->verdict = verdict;
    c->expires = rq->now + TURN_CHANNEL_LIFETIME;
    return 0;
}

void duet_turn_handle_channel_bind(duet_turn_server *s, const turn_request *rq)
{
    unsigned code = bind_channel(s, rq);

    if (code)
        duet_turn_refuse(s, rq, code);
    else
        succeed(s, rq);
}
