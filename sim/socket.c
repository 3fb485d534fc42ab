/* Ports of the simulated hosts: sockets are found by interface and port in one hash table, streams also by their peer. */
#include "base/seeded.h"
#include "sim/internal.h"
#include <string.h>

#define FIRST_PORT 49152

static uint64_t key_of(const sim_interface *i, sim_kind kind, uint16_t port, const duet_address *peer)
{
    uint64_t key = (uint64_t)(uintptr_t)i ^ (uint64_t)port << 48 ^ (uint64_t)kind << 44;

    if (!peer)
        return key;
    uint64_t halves[2];
    memcpy(halves, peer->ip, sizeof(halves));
    return duet_mix64(key ^ halves[0]) ^ duet_mix64(halves[1] ^ peer->port);
}

static sim_socket *chain_of(const sim_interface *i, sim_kind kind, uint16_t port, const duet_address *peer)
{
    const duet_sim *sim = i->host ? i->host->sim : NULL;

    return sim ? duet_map_get(&sim->sockets, key_of(i, kind, port, peer)) : NULL;
}

static bool is_at(const sim_socket *s, const sim_interface *i, sim_kind kind, uint16_t port)
{
    return s->interface == i && s->kind == kind && s->port == port;
}

/* Of several sockets that share a port, each peer has one: as the kernel spreads them. */
static sim_socket *find_shared(const sim_interface *at, sim_kind kind, uint16_t port, const duet_address *from)
{
    sim_socket *found = NULL;
    size_t count = 0;

    for (sim_socket *s = chain_of(at, kind, port, NULL); s; s = (sim_socket *)s->entry.next_same)
        count += is_at(s, at, kind, port);
    if (count == 0)
        return NULL;
    size_t chosen = count == 1 ? 0 : (size_t)(key_of(NULL, kind, port, from) % count);
    for (sim_socket *s = chain_of(at, kind, port, NULL); s; s = (sim_socket *)s->entry.next_same) {
        if (is_at(s, at, kind, port) && chosen-- == 0) {
            found = s;
            break;
        }
    }
    return found;
}

sim_socket *sim_find_socket(const sim_interface *at, uint16_t port, const duet_address *from)
{
    return find_shared(at, SIM_UDP, port, from);
}

sim_socket *sim_find_listener(const sim_interface *at, uint16_t port, const duet_address *from)
{
    return find_shared(at, SIM_LISTENER, port, from);
}

sim_socket *sim_find_stream(const sim_interface *at, uint16_t port, const duet_address *peer)
{
    sim_socket *s = chain_of(at, SIM_STREAM, port, peer);

    while (s && !(is_at(s, at, SIM_STREAM, port) && duet_address_equal(sim_stream_peer(s), peer)))
        s = (sim_socket *)s->entry.next_same;
    return s;
}

int sim_socket_add(sim_socket *s, sim_interface *interface, const duet_address *peer)
{
    duet_sim *sim = interface->host->sim;

    s->interface = interface;
    int err = sim_table_add(&sim->sockets, &s->entry, key_of(interface, s->kind, s->port, peer));
    if (err == DUET_OK && s->group.family) {
        s->next_joined = sim->joined;
        sim->joined = s;
    }
    return err;
}

void sim_socket_remove(sim_socket *s)
{
    duet_sim *sim = s->interface->host->sim;

    sim_table_remove(&sim->sockets, &s->entry);
    for (sim_socket **link = &sim->joined; *link; link = &(*link)->next_joined) {
        if (*link == s) {
            *link = s->next_joined;
            break;
        }
    }
}

/* ---- choosing a port ---- */

static bool port_is_free(const sim_interface *i, sim_kind kind, uint16_t port, bool shares)
{
    for (const sim_socket *s = chain_of(i, kind, port, NULL); s; s = (const sim_socket *)s->entry.next_same) {
        if (is_at(s, i, kind, port) && !(shares && s->shares_port))
            return false;
    }
    return true;
}

uint16_t sim_pick_port(sim_interface *i, sim_kind kind, const duet_request *request)
{
    bool shares = request && request->share_port;

    if (request && request->bind.port)
        return port_is_free(i, kind, request->bind.port, shares) ? request->bind.port : 0;
    uint32_t first = request && request->port_min ? request->port_min : FIRST_PORT;
    uint32_t last = request && request->port_min ? request->port_max : UINT16_MAX;
    uint32_t start = request && request->port_min ? first : i->next_port;
    for (uint32_t n = 0; n <= last - first; n++) {
        uint32_t port = first + (start - first + n) % (last - first + 1);
        if (port_is_free(i, kind, (uint16_t)port, false)) {
            i->next_port = (uint16_t)(port == UINT16_MAX ? FIRST_PORT : port + 1);
            return (uint16_t)port;
        }
    }
    return 0;
}

/* ---- sockets of an endpoint ---- */

int sim_endpoint_take(sim_endpoint *ep, sim_socket *s, uint32_t id)
{
    if (duet_map_get(&ep->by_id, id))
        return DUET_ERR_INVALID;
    int err = duet_map_set(&ep->by_id, id, s);
    if (err != DUET_OK)
        return err;
    s->endpoint = ep;
    s->id = id;
    s->previous = NULL;
    s->next = ep->sockets;
    if (s->next)
        s->next->previous = s;
    ep->sockets = s;
    return DUET_OK;
}

uint32_t sim_accepted_id(sim_endpoint *ep)
{
    return ep->next_accepted++ | DUET_SOCKET_ACCEPTED;
}

static void release(sim_socket *s)
{
    sim_endpoint *ep = s->endpoint;

    duet_map_remove(&ep->by_id, s->id);
    if (s->previous)
        s->previous->next = s->next;
    else
        ep->sockets = s->next;
    if (s->next)
        s->next->previous = s->previous;
}

void sim_socket_close(sim_socket *s)
{
    duet_sim *sim = s->endpoint->sim;

    release(s);
    if (s->kind == SIM_STREAM) {
        sim_stream_end(s);
        return;
    }
    sim_socket_remove(s);
    duet_free(&sim->env, s);
}
