/* Which peers a client may reach. RFC 8656 section 21.1.4 tells why a server denies some: whoever relays through it stands inside
 * its network.
 *
 * An allow rule beats every deny rule. This host itself is reached only where a rule says so, and its listeners never; but the
 * relayed address of a live allocation is always allowed, so that two peers that have nothing but the relay meet. */
#include "ice/turn_server_peers.h"
#include <stdlib.h>
#include <string.h>

#define RULE_TEXT_MAX 64

static int parse_bits(const char *text, unsigned most, uint8_t *out)
{
    char *end;

    if (*text < '0' || *text > '9')
        return DUET_ERR_INVALID;
    unsigned long bits = strtoul(text, &end, 10);
    if (*end || bits > most)
        return DUET_ERR_INVALID;
    *out = (uint8_t)bits;
    return DUET_OK;
}

int duet_turn_prefix_parse(turn_prefix *out, const char *text)
{
    char ip[RULE_TEXT_MAX];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);

    if (len >= sizeof(ip))
        return DUET_ERR_INVALID;
    memcpy(ip, text, len);
    ip[len] = 0;
    if (duet_address_parse(&out->address, ip, 0) != DUET_OK || out->address.scope)
        return DUET_ERR_INVALID;
    unsigned most = out->address.family == DUET_AF_INET ? 32 : 128;
    out->bits = (uint8_t)most;
    return slash ? parse_bits(slash + 1, most, &out->bits) : DUET_OK;
}

bool duet_turn_prefix_contains(const turn_prefix *prefix, const duet_address *address)
{
    size_t bytes = prefix->bits / 8;
    unsigned rest = prefix->bits % 8;

    if (prefix->address.family != address->family || memcmp(prefix->address.ip, address->ip, bytes) != 0)
        return false;
    return rest == 0 || (prefix->address.ip[bytes] ^ address->ip[bytes]) >> (8 - rest) == 0;
}

static bool is_internal_ipv4(const duet_address *a)
{
    const uint8_t *ip = a->ip;

    if (ip[0] == 0 || ip[0] >= 240) /* "this network" (RFC 1122), reserved (RFC 1112) with broadcast */
        return true;
    if (ip[0] == 100 && (ip[1] & 0xC0) == 64) /* shared address space, RFC 6598 */
        return true;
    if (ip[0] == 192 && ip[1] == 0 && ip[2] == 0) /* IETF protocol assignments, RFC 6890 */
        return true;
    return duet_address_is_loopback(a) || duet_address_is_link_local(a) || duet_address_is_private(a) ||
           duet_address_is_multicast(a);
}

/* An IPv4 address inside an IPv6 one. */
static bool embeds_internal_ipv4(const duet_address *a)
{
    static const uint8_t translated[12] = {0x00, 0x64, 0xFF, 0x9B}; /* 64:ff9b::/96, RFC 6052 */
    duet_address inner = {.family = DUET_AF_INET};

    if (memcmp(a->ip, translated, sizeof(translated)) == 0)
        memcpy(inner.ip, a->ip + 12, 4);
    else if (a->ip[0] == 0x20 && a->ip[1] == 0x02) /* 2002::/16, RFC 3056 */
        memcpy(inner.ip, a->ip + 2, 4);
    else
        return false;
    return is_internal_ipv4(&inner);
}

static bool is_internal_ipv6(const duet_address *a)
{
    static const uint8_t zeros[10] = {0};

    /* The first 80 bits zero: unspecified, loopback, IPv4-compatible and, with ffff, IPv4-mapped ones. None is a peer. */
    if (memcmp(a->ip, zeros, sizeof(zeros)) == 0)
        return true;
    if (a->ip[0] == 0xFE && (a->ip[1] & 0xC0) == 0xC0) /* site-local, RFC 3879 */
        return true;
    return duet_address_is_link_local(a) || duet_address_is_private(a) || duet_address_is_multicast(a) ||
           embeds_internal_ipv4(a);
}

bool duet_turn_is_internal(const duet_address *a)
{
    return a->family == DUET_AF_INET ? is_internal_ipv4(a) : is_internal_ipv6(a);
}

void duet_turn_peers_init(turn_peers *p, const duet_env *env)
{
    *p = (turn_peers){0};
    duet_array_init(&p->allow, env, sizeof(turn_prefix));
    duet_array_init(&p->deny, env, sizeof(turn_prefix));
    duet_array_init(&p->listeners, env, sizeof(duet_address));
    duet_array_init(&p->own, env, sizeof(duet_address));
}

void duet_turn_peers_free(turn_peers *p)
{
    duet_array_free(&p->allow);
    duet_array_free(&p->deny);
    duet_array_free(&p->listeners);
    duet_array_free(&p->own);
}

static bool any_contains(const duet_array *rules, const duet_address *address)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (duet_turn_prefix_contains(duet_array_at(rules, i), address))
            return true;
    }
    return false;
}

static bool same_ip(const duet_address *a, const duet_address *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static const turn_relay_address *relay_address_of(const turn_peers *p, const duet_address *peer)
{
    for (size_t i = 0; i < TURN_RELAY_ADDRESSES; i++) {
        const turn_relay_address *r = &p->relays[i];
        if (r->here.family && (same_ip(&r->here, peer) || same_ip(&r->told, peer)))
            return r;
    }
    return NULL;
}

static bool is_own(const turn_peers *p, const duet_address *peer)
{
    for (size_t i = 0; i < p->listeners.count; i++) {
        if (same_ip(duet_array_at(&p->listeners, i), peer))
            return true;
    }
    for (size_t i = 0; i < p->own.count; i++) {
        if (same_ip(duet_array_at(&p->own, i), peer))
            return true;
    }
    return relay_address_of(p, peer) != NULL;
}

turn_verdict duet_turn_peers_judge(const turn_peers *p, const duet_address *peer)
{
    bool own = is_own(p, peer);

    if (any_contains(&p->allow, peer))
        return own ? TURN_PEER_NO_LISTENERS : TURN_PEER_ALLOWED;
    if (relay_address_of(p, peer))
        return TURN_PEER_ALIVE_ONLY;
    if (own || any_contains(&p->deny, peer) || duet_turn_is_internal(peer))
        return TURN_PEER_DENIED;
    return TURN_PEER_ALLOWED;
}

/* Listeners on a wildcard address listen on all addresses of this host. */
static bool is_listener(const turn_peers *p, const duet_address *peer)
{
    for (size_t i = 0; i < p->listeners.count; i++) {
        const duet_address *l = duet_array_at(&p->listeners, i);
        if (l->port == peer->port && (same_ip(l, peer) || (duet_address_is_any(l) && is_own(p, peer))))
            return true;
    }
    return false;
}

bool duet_turn_peers_may_pass(const turn_peers *p, turn_verdict verdict, const duet_address *peer)
{
    const turn_relay_address *relay;

    switch (verdict) {
    case TURN_PEER_DENIED:
        return false;
    case TURN_PEER_ALIVE_ONLY:
        relay = relay_address_of(p, peer);
        return relay && duet_turn_ports_is_alive(relay->ports, peer->port);
    case TURN_PEER_NO_LISTENERS:
        return !is_listener(p, peer);
    case TURN_PEER_ALLOWED:
        return true;
    }
    return false;
}
