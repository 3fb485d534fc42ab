/* Local and remote candidates: priorities, foundations, redundancy, peer-reflexive ones.
 *
 * RFC 8445 sections 5.1.1.3, 5.1.2, 5.1.3 and 7.3.1.3; RFC 8839 section 5.1; RFC 8838 section 12 (trickled ones). */
#include "base/crypto.h"
#include "ice/internal.h"

#include <stdio.h>
#include <string.h>

void *duet_ice_append(duet_ice_agent *a, duet_array *array, size_t size)
{
    void *object = duet_calloc(&a->env, size);
    void **slot = object ? duet_array_push(array) : NULL;

    if (!slot) {
        duet_free(&a->env, object);
        a->lost_memory = true;
        return NULL;
    }
    *slot = object;
    return object;
}

bool duet_ice_same_address(const duet_address *a, const duet_address *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* "priority = (2^24)*(type preference) + (2^8)*(local preference) + (2^0)*(256 - component ID)" RFC 8445, 5.1.2.1 */
uint32_t duet_ice_priority(unsigned type_preference, uint16_t local_preference)
{
    return (uint32_t)type_preference << 24 | (uint32_t)local_preference << 8 | (256 - ICE_COMPONENT);
}

/* Equal for candidates of one type whose bases share an IP address and that came from the same server (RFC 8445,
 * 5.1.1.3). The salt keeps the sum from telling anybody the address of the base. */
static uint32_t local_foundation(const duet_ice_agent *a, duet_candidate_type type, const duet_address *base,
                                 const duet_address *server)
{
    uint8_t kind = (uint8_t)type;
    uint32_t crc = duet_crc32(a->salt, &kind, 1);

    crc = duet_crc32(crc, base->ip, sizeof(base->ip));
    if (server)
        crc = duet_crc32(crc, server->ip, sizeof(server->ip));
    return crc;
}

ice_socket *duet_ice_socket_find(const duet_ice_agent *a, uint32_t id)
{
    for (size_t i = 0; i < a->sockets.count; i++) {
        ice_socket *socket = *(ice_socket **)duet_array_at(&a->sockets, i);
        if (socket->id == id)
            return socket;
    }
    return NULL;
}

ice_local *duet_ice_local_find(const duet_ice_agent *a, const ice_socket *socket, const duet_address *address,
                               bool is_tcp)
{
    for (size_t i = 0; i < a->locals.count; i++) {
        ice_local *local = *(ice_local **)duet_array_at(&a->locals, i);
        if (local->socket == socket && (local->tcp_type != DUET_TCPTYPE_NONE) == is_tcp &&
            duet_ice_same_address(&local->address, address))
            return local;
    }
    return NULL;
}

ice_local *duet_ice_local_host(const duet_ice_agent *a, const ice_socket *socket)
{
    for (size_t i = 0; i < a->locals.count; i++) {
        ice_local *local = *(ice_local **)duet_array_at(&a->locals, i);
        if (local->socket == socket && local->tcp_type == DUET_TCPTYPE_NONE &&
            (local->type == DUET_CANDIDATE_HOST || local->type == DUET_CANDIDATE_RELAY))
            return local;
    }
    return NULL;
}

/* raddr and rport, unless they would tell what the candidate's kind is to hide: RFC 8839 section 5.1 permits 0.0.0.0. */
void duet_ice_local_relate(const duet_ice_agent *a, ice_local *local, const duet_address *related)
{
    bool hides = a->config.policy == DUET_ICE_RELAY || a->config.mdns || related->family == DUET_AF_NONE;

    if (hides)
        local->related = (duet_address){.family = local->address.family};
    else
        local->related = *related;
    local->related.scope = 0;
}

static unsigned type_preference(duet_candidate_type type)
{
    switch (type) {
    case DUET_CANDIDATE_HOST:
        return ICE_TYPE_PREFERENCE_HOST;
    case DUET_CANDIDATE_PRFLX:
        return ICE_TYPE_PREFERENCE_PRFLX;
    case DUET_CANDIDATE_SRFLX:
        return ICE_TYPE_PREFERENCE_SRFLX;
    default:
        return 0; /* relayed ones */
    }
}

/* A new local candidate, or NULL for want of memory. The caller has looked for a redundant one. */
ice_local *duet_ice_local_add(duet_ice_agent *a, duet_candidate_type type, ice_socket *socket,
                              const duet_address *address, const duet_address *server)
{
    ice_local *local = duet_ice_append(a, &a->locals, sizeof(*local));

    if (!local)
        return NULL;
    local->socket = socket;
    local->type = type;
    local->address = *address;
    local->priority = duet_ice_priority(type_preference(type), socket->local_preference);
    local->foundation = local_foundation(a, type, &socket->local, server);
    /* Peer-reflexive candidates are not signalled; with the relay policy neither host nor reflexive ones are. */
    local->announced = type == DUET_CANDIDATE_PRFLX || (a->config.policy == DUET_ICE_RELAY && !socket->relay);
    if (type == DUET_CANDIDATE_PRFLX)
        duet_ice_local_relate(a, local, &socket->local);
    return local;
}

/* Its name could not be published. */
void duet_ice_locals_hide(duet_ice_agent *a, const ice_socket *socket)
{
    ice_local *local = duet_ice_local_host(a, socket);

    if (local)
        local->announced = true;
}

void duet_ice_locals_of_socket(duet_ice_agent *a, const ice_socket *socket)
{
    for (size_t i = a->locals.count; i-- > 0;) {
        ice_local *local = *(ice_local **)duet_array_at(&a->locals, i);
        if (local->socket != socket)
            continue;
        duet_array_remove(&a->locals, i);
        duet_free(&a->env, local);
    }
}

ice_remote *duet_ice_remote_find(const duet_ice_agent *a, const duet_address *address, bool is_tcp)
{
    for (size_t i = 0; i < a->remotes.count; i++) {
        ice_remote *remote = *(ice_remote **)duet_array_at(&a->remotes, i);
        if ((remote->tcp_type != DUET_TCPTYPE_NONE) == is_tcp && duet_ice_same_address(&remote->address, address))
            return remote;
    }
    return NULL;
}

static bool is_v4_mapped(const duet_address *address)
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

    return address->family == DUET_AF_INET6 && memcmp(address->ip, prefix, sizeof(prefix)) == 0;
}

/* "ufrag ... indicates the generation" RFC 8838 section 9: a candidate of an earlier one comes too late. */
static bool is_of_generation(const duet_ice_agent *a, const char *ufrag)
{
    if (!ufrag[0])
        return true;
    if (a->has_remote)
        return strcmp(ufrag, a->remote_credentials.ufrag) == 0;
    return !a->previous || strcmp(ufrag, a->previous->remote_credentials.ufrag) != 0;
}

/* Whether a signalled candidate is one that this agent can do something with. */
static bool is_usable(const duet_ice_agent *a, const duet_candidate *c)
{
    const duet_address *address = &c->address;

    if (c->component != ICE_COMPONENT)
        return false; /* Firefox sends component 2 in spite of rtcp-mux */
    /* Active ones come by themselves. */
    if (c->protocol != DUET_UDP &&
        (!a->config.tcp || (c->tcp_type != DUET_TCPTYPE_PASSIVE && c->tcp_type != DUET_TCPTYPE_SO)))
        return false;
    if (!is_of_generation(a, c->ufrag))
        return false;
    if (c->name[0])
        return true;
    if (address->family == DUET_AF_NONE || address->port == 0)
        return false;
    if (address->family == DUET_AF_INET6 && (a->config.no_ipv6 || is_v4_mapped(address)))
        return false;
    return !duet_address_is_any(address) && !duet_address_is_multicast(address);
}

static size_t signalled_count(const duet_ice_agent *a)
{
    return a->remotes.count - a->reflexive_count;
}

/* "a candidate ... that was previously discovered as peer-reflexive ... update the type, priority and foundation"
 * RFC 8838 section 11.1 */
static void replace_reflexive(duet_ice_agent *a, ice_remote *remote, const duet_candidate *candidate)
{
    remote->type = (uint8_t)candidate->type;
    remote->priority = candidate->priority;
    remote->related = candidate->related;
    remote->network_cost = candidate->network_cost;
    memcpy(remote->foundation, candidate->foundation, sizeof(remote->foundation));
    a->reflexive_count--;
    duet_ice_pairs_reprioritize(a);
}

static bool has_name(const duet_ice_agent *a, const duet_candidate *candidate)
{
    for (size_t i = 0; i < a->remotes.count; i++) {
        const ice_remote *remote = *(ice_remote **)duet_array_at(&a->remotes, i);
        if (remote->name && strcmp(remote->name, candidate->name) == 0 &&
            remote->tcp_type == (candidate->protocol == DUET_UDP ? DUET_TCPTYPE_NONE : (uint8_t)candidate->tcp_type) &&
            remote->related.port == candidate->related.port && remote->address.port == candidate->address.port)
            return true;
    }
    return false;
}

static ice_remote *remote_new(duet_ice_agent *a, const duet_candidate *candidate)
{
    ice_remote *remote = duet_ice_append(a, &a->remotes, sizeof(*remote));

    if (!remote)
        return NULL;
    if (candidate->name[0]) {
        remote->name = duet_strdup(&a->env, candidate->name);
        if (!remote->name) {
            duet_array_remove(&a->remotes, a->remotes.count - 1);
            duet_free(&a->env, remote);
            a->lost_memory = true;
            return NULL;
        }
    }
    memcpy(remote->foundation, candidate->foundation, sizeof(remote->foundation));
    remote->type = (uint8_t)candidate->type;
    remote->priority = candidate->priority;
    remote->network_cost = candidate->network_cost;
    remote->tcp_type = (uint8_t)(candidate->protocol == DUET_UDP ? DUET_TCPTYPE_NONE : candidate->tcp_type);
    remote->address = candidate->address;
    remote->related = candidate->related;
    return remote;
}

/* The same candidate as one that is known, perhaps as a peer-reflexive one. Passive and simultaneous-open ones may share an
 * address. */
static ice_remote *find_signalled(const duet_ice_agent *a, const duet_candidate *candidate)
{
    bool is_tcp = candidate->protocol != DUET_UDP;

    if (candidate->name[0])
        return NULL;
    for (size_t i = 0; i < a->remotes.count; i++) {
        ice_remote *remote = *(ice_remote **)duet_array_at(&a->remotes, i);
        if (duet_ice_same_address(&remote->address, &candidate->address) &&
            remote->tcp_type == (is_tcp ? (uint8_t)candidate->tcp_type : DUET_TCPTYPE_NONE))
            return remote;
    }
    return NULL;
}

int duet_ice_remote_add(duet_ice_agent *a, const duet_candidate *candidate, duet_time now)
{
    if (!is_usable(a, candidate)) {
        a->stats.candidates_ignored++;
        return DUET_OK;
    }
    ice_remote *known = find_signalled(a, candidate);
    if (known && known->type == DUET_CANDIDATE_PRFLX && candidate->type != DUET_CANDIDATE_PRFLX) {
        replace_reflexive(a, known, candidate);
        return DUET_OK;
    }
    if (known || (candidate->name[0] && has_name(a, candidate))) {
        a->stats.candidates_ignored++;
        return DUET_OK;
    }
    if (signalled_count(a) >= DUET_ICE_REMOTE_MAX) {
        a->stats.candidates_ignored++;
        return DUET_ERR_LIMIT;
    }
    ice_remote *remote = remote_new(a, candidate);
    if (!remote)
        return DUET_ERR_NOMEM;
    if (remote->type == DUET_CANDIDATE_PRFLX)
        remote->type = DUET_CANDIDATE_SRFLX; /* peer-reflexive ones are never signalled: keeps the count right */
    if (remote->name) {
        remote->lookup = ICE_LOOKUP_WANTED;
        return DUET_OK;
    }
    for (size_t i = 0; i < a->locals.count; i++) {
        int err = duet_ice_pair_form(a, *(ice_local **)duet_array_at(&a->locals, i), remote, now);
        if (err)
            return err;
    }
    return DUET_OK;
}

/* Makes room for one more peer-reflexive candidate by forgetting one whose pairs have come to nothing. */
static bool drop_unused_reflexive(duet_ice_agent *a)
{
    for (size_t i = 0; i < a->remotes.count; i++) {
        ice_remote *remote = *(ice_remote **)duet_array_at(&a->remotes, i);
        if (remote->type != DUET_CANDIDATE_PRFLX)
            continue;
        bool in_use = false;
        for (size_t k = 0; k < a->pairs.count; k++) {
            const ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, k);
            in_use = in_use || (pair->remote == remote && (pair->valid || pair->state != DUET_ICE_PAIR_FAILED));
        }
        if (in_use)
            continue;
        for (size_t k = a->pairs.count; k-- > 0;) {
            ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, k);
            if (pair->remote == remote)
                duet_ice_pair_remove(a, pair);
        }
        duet_array_remove(&a->remotes, i);
        duet_ice_remote_free(a, remote);
        a->reflexive_count--;
        return true;
    }
    return false;
}

/* RFC 8445 section 7.3.1.3: "a new remote peer-reflexive candidate ... foundation is set to an arbitrary value". */
ice_remote *duet_ice_remote_reflexive(duet_ice_agent *a, const duet_address *address, uint32_t priority)
{
    if (a->reflexive_count >= ICE_REFLEXIVE_MAX && !drop_unused_reflexive(a))
        return NULL;
    ice_remote *remote = duet_ice_append(a, &a->remotes, sizeof(*remote));
    if (!remote)
        return NULL;
    remote->type = DUET_CANDIDATE_PRFLX;
    remote->address = *address;
    remote->priority = priority;
    snprintf(remote->foundation, sizeof(remote->foundation), "prflx%u", (unsigned)++a->reflexive_serial);
    a->reflexive_count++;
    return remote;
}

void duet_ice_remote_free(duet_ice_agent *a, ice_remote *remote)
{
    duet_free(&a->env, remote->name);
    duet_free(&a->env, remote);
}

void duet_ice_candidates_clear_remote(duet_ice_agent *a)
{
    for (size_t i = 0; i < a->remotes.count; i++)
        duet_ice_remote_free(a, *(ice_remote **)duet_array_at(&a->remotes, i));
    a->remotes.count = 0;
    a->reflexive_count = 0;
}

void duet_ice_candidates_clear_local(duet_ice_agent *a)
{
    for (size_t i = 0; i < a->locals.count; i++)
        duet_free(&a->env, *(ice_local **)duet_array_at(&a->locals, i));
    a->locals.count = 0;
}
