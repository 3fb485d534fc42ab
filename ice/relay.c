/* Relays: which servers get an allocation from which socket, the candidates that they give, and the way of data through them.
 *
 * RFC 8445 sections 5.1.1.2, 5.1.1.4 and 7.2.2, RFC 8656 for what turn_client.h does. A relayed address is a socket of the
 * agent like any other, whose datagrams are wrapped when they leave and unwrapped when they come. A stream to a server is
 * opened once for its host name; UDP uses the sockets of the host candidates, one for each interface. */
#include "ice/internal.h"

#include <string.h>

#define REDIRECTS_MAX 4 /* "the client SHOULD be prepared to be redirected" but not for ever: RFC 8489 section 10 */

struct ice_relay {
    ice_server *server;  /* NULL: not in the configuration any more */
    ice_socket *socket;  /* what reaches the server */
    ice_socket *base[2]; /* the relayed addresses, IPv4 and IPv6 */
    duet_turn_client *client;
    ice_relay_state state;
    duet_address remote; /* of the server, after redirections */
    duet_address visited[REDIRECTS_MAX];
    size_t visited_count;
    bool touched; /* its client took a response: permissions may have been refused */
};

static ice_relay *relay_at(const duet_ice_agent *a, size_t index)
{
    return *(ice_relay **)duet_array_at(&a->relays, index);
}

static bool is_turn(const ice_server *server)
{
    return server->uri.scheme == ICE_TURN || server->uri.scheme == ICE_TURNS;
}

/* ---- forming ------------------------------------------------------------------------------------------------------ */

static bool is_wanted_already(const duet_ice_agent *a, const ice_server *server, const duet_address *remote,
                              const ice_socket *host)
{
    for (size_t i = 0; i < a->relays.count; i++) {
        const ice_relay *relay = relay_at(a, i);
        if (!relay->server || relay->server->uri.transport != server->uri.transport)
            continue;
        const duet_address *first = relay->visited_count ? &relay->visited[0] : &relay->remote;
        if (!duet_ice_same_address(first, remote))
            continue;
        /* Over UDP each interface has its own; a stream takes the one that the system would. */
        if (server->uri.transport != DUET_UDP || !relay->socket || relay->socket->interface == host->interface)
            return true;
    }
    return false;
}

static ice_relay *relay_add(duet_ice_agent *a, ice_server *server, const duet_address *remote, ice_socket *host)
{
    ice_socket *socket = host;

    if (server->uri.transport != DUET_UDP)
        socket = duet_ice_stream_add(a, server, remote, &host->bind);
    if (!socket)
        return NULL;
    ice_relay *relay = duet_ice_append(a, &a->relays, sizeof(*relay));
    if (!relay) {
        if (socket != host)
            duet_ice_stream_end(a, socket);
        return NULL;
    }
    relay->server = server;
    relay->remote = *remote;
    relay->socket = socket;
    return relay;
}

static int form(duet_ice_agent *a, ice_server *server, const duet_address *remote)
{
    for (size_t k = 0; k < a->sockets.count && a->relays.count < ICE_RELAYS_MAX; k++) {
        ice_socket *host = *(ice_socket **)duet_array_at(&a->sockets, k);
        if (!duet_ice_can_query(host, remote) || is_wanted_already(a, server, remote, host))
            continue;
        if (!relay_add(a, server, remote, host))
            return DUET_ERR_NOMEM;
    }
    return DUET_OK;
}

/* For every TURN server whose address is known. */
int duet_ice_relays_form(duet_ice_agent *a)
{
    for (size_t i = 0; i < a->servers.count * 2 && !a->config.lite; i++) {
        ice_server *server = *(ice_server **)duet_array_at(&a->servers, i / 2);
        const duet_address *remote = &server->addresses[i % 2];
        if (!is_turn(server) || remote->family == DUET_AF_NONE)
            continue;
        int err = form(a, server, remote);
        if (err)
            return err;
    }
    return DUET_OK;
}

bool duet_ice_relays_pending(const duet_ice_agent *a)
{
    for (size_t i = 0; i < a->relays.count; i++) {
        if (relay_at(a, i)->server && relay_at(a, i)->state <= ICE_RELAY_RUNNING)
            return true;
    }
    return false;
}

/* One whose first request may be sent. */
ice_relay *duet_ice_relay_next(const duet_ice_agent *a)
{
    for (size_t i = 0; i < a->relays.count; i++) {
        ice_relay *relay = relay_at(a, i);
        if (relay->state == ICE_RELAY_WAITING && relay->socket->state == ICE_SOCKET_OPEN)
            return relay;
    }
    return NULL;
}

int duet_ice_relay_start(duet_ice_agent *a, ice_relay *relay, duet_time now)
{
    const duet_turn_client_config config = {
        .env = &a->env,
        .path = {.socket = relay->socket->id,
                 .protocol = relay->socket->protocol,
                 .local = relay->socket->local,
                 .remote = relay->remote},
        .username = relay->server->username,
        .credential = relay->server->credential,
        .both_families = !a->config.no_ipv6,
    };
    int err = duet_turn_client_create(&relay->client, &config, now);

    if (err == DUET_ERR_NOMEM) {
        a->lost_memory = true;
        return err;
    }
    relay->state = err ? ICE_RELAY_DONE : ICE_RELAY_RUNNING;
    if (err)
        duet_ice_report_error(a, relay->server->url, &relay->socket->local, 701, duet_strerror(err));
    return DUET_OK;
}

/* ---- what becomes of an allocation ---------------------------------------------------------------------------------- */

/* Candidates through UDP are better than those through TCP, and these than those through TLS. */
static uint16_t local_preference(const duet_ice_agent *a, const ice_relay *relay, size_t family)
{
    size_t index = 0;

    while (relay_at(a, index) != relay)
        index++;
    size_t rank = 2 * index + (family == 0);
    return (uint16_t)((DUET_TLS - relay->socket->protocol + 1) * 0x4000u - 1 - rank);
}

static ice_socket *add_base(duet_ice_agent *a, ice_relay *relay, const duet_address *relayed, size_t family)
{
    ice_socket *socket = a->next_id < ICE_ID_MAX ? duet_ice_append(a, &a->sockets, sizeof(*socket)) : NULL;

    if (!socket)
        return NULL;
    socket->id = a->next_id++;
    socket->kind = ICE_SOCKET_RELAY;
    socket->state = ICE_SOCKET_OPEN;
    socket->relay = relay;
    socket->is_present = true;
    socket->is_loopback = duet_address_is_loopback(relayed);
    socket->local_preference = local_preference(a, relay, family);
    socket->bind = socket->local = *relayed;
    return socket;
}

static int add_candidate(duet_ice_agent *a, ice_relay *relay, ice_socket *base, duet_time now)
{
    const duet_address *mapped = &duet_turn_client_get(relay->client)->mapped;

    if (duet_ice_local_host(a, base))
        return DUET_OK;
    ice_local *local = duet_ice_local_add(a, DUET_CANDIDATE_RELAY, base, &base->local, &relay->remote);
    if (!local)
        return DUET_ERR_NOMEM;
    /* "for relayed candidates ... the related address is the mapped address" RFC 8839 section 5.1 */
    duet_ice_local_relate(a, local, mapped);
    for (size_t i = 0; i < a->remotes.count; i++) {
        int err = duet_ice_pair_form(a, local, *(ice_remote **)duet_array_at(&a->remotes, i), now);
        if (err)
            return err;
    }
    return DUET_OK;
}

/* The sockets and candidates of an allocation that is there; what finds no memory is tried again at the next step. */
static int add_candidates(duet_ice_agent *a, ice_relay *relay, duet_time now)
{
    const duet_turn_client_info *info = duet_turn_client_get(relay->client);

    for (size_t family = 0; family < 2; family++) {
        const duet_address *relayed = &info->relayed[family];
        if (relayed->family == DUET_AF_NONE || (family == 1 && a->config.no_ipv6))
            continue;
        if (!relay->base[family])
            relay->base[family] = add_base(a, relay, relayed, family);
        if (!relay->base[family] || add_candidate(a, relay, relay->base[family], now) != DUET_OK)
            return DUET_ERR_NOMEM;
    }
    if (relay->socket->protocol == DUET_UDP && info->mapped.family == relay->socket->local.family)
        duet_ice_reflexive_add(a, relay->socket, &relay->remote, &info->mapped);
    return DUET_OK;
}

static bool is_of(const ice_relay *relay, const ice_pair *pair)
{
    return pair->local->socket->relay == relay;
}

static bool is_used_by_previous(const duet_ice_agent *a, const ice_relay *relay)
{
    return a->previous && is_of(relay, a->previous->pair);
}

static void pairs_lost(duet_ice_agent *a, const ice_relay *relay, duet_time now)
{
    for (size_t i = 0; i < a->pairs.count; i++) {
        ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, i);
        if (is_of(relay, pair) && pair->state != DUET_ICE_PAIR_FAILED)
            duet_ice_pair_lost(a, pair, "its relay is gone", now);
    }
    if (is_used_by_previous(a, relay))
        duet_ice_pair_lost(a, a->previous->pair, "its relay is gone", now);
}

static void relay_done(duet_ice_agent *a, ice_relay *relay, duet_time now)
{
    relay->state = ICE_RELAY_DONE;
    if (relay->socket && relay->socket->kind == ICE_SOCKET_SERVER)
        duet_ice_stream_end(a, relay->socket);
    relay->socket = NULL;
    pairs_lost(a, relay, now);
}

static void relay_failed(duet_ice_agent *a, ice_relay *relay, int code, const char *text, duet_time now)
{
    if (relay->server)
        duet_ice_report_error(a, relay->server->url, &relay->socket->local, code, text);
    relay_done(a, relay, now);
}

static bool is_visited(const ice_relay *relay, const duet_address *address)
{
    for (size_t i = 0; i < relay->visited_count; i++) {
        if (duet_ice_same_address(&relay->visited[i], address))
            return true;
    }
    return duet_ice_same_address(&relay->remote, address);
}

/* RFC 8489 section 10: the same transport, the same credentials, and no circles. */
static void relay_redirected(duet_ice_agent *a, ice_relay *relay, duet_time now)
{
    duet_address alternate = duet_turn_client_get(relay->client)->alternate;

    if (is_visited(relay, &alternate) || relay->visited_count >= REDIRECTS_MAX ||
        alternate.family != relay->remote.family) {
        relay_failed(a, relay, 300, "the TURN server redirects in a circle, too often, or to another family", now);
        return;
    }
    if (relay->socket->kind == ICE_SOCKET_SERVER) {
        ice_socket *fresh = duet_ice_stream_add(a, relay->server, &alternate, &relay->socket->bind);
        if (!fresh)
            return; /* no memory: again at the next step */
        duet_ice_stream_end(a, relay->socket);
        relay->socket = fresh;
    }
    relay->visited[relay->visited_count++] = relay->remote;
    relay->remote = alternate;
    duet_turn_client_destroy(relay->client);
    relay->client = NULL;
    relay->state = ICE_RELAY_WAITING;
}

/* 403 and 443: checks through this relay would reach nobody. */
static void drop_refused(duet_ice_agent *a, ice_relay *relay, duet_time now)
{
    relay->touched = false;
    for (size_t i = 0; i < a->pairs.count; i++) {
        ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, i);
        if (is_of(relay, pair) && (pair->valid || duet_ice_pair_is_running(pair)) &&
            duet_turn_client_is_refused(relay->client, &pair->path.remote))
            duet_ice_pair_lost(a, pair, "the relay refuses this peer", now);
    }
}

static void relay_update(duet_ice_agent *a, ice_relay *relay, duet_time now)
{
    const duet_turn_client_info *info = duet_turn_client_get(relay->client);

    switch (info->state) {
    case DUET_TURN_ALLOCATED:
        if (relay->state == ICE_RELAY_RUNNING && add_candidates(a, relay, now) == DUET_OK)
            relay->state = ICE_RELAY_READY;
        if (relay->touched)
            drop_refused(a, relay, now);
        break;
    case DUET_TURN_REDIRECTED:
        relay_redirected(a, relay, now);
        break;
    case DUET_TURN_FAILED:
        relay_failed(a, relay, info->error_code, info->error_text, now);
        break;
    case DUET_TURN_RELEASED:
        relay_done(a, relay, now);
        break;
    default:
        break;
    }
}

static void relay_free(duet_ice_agent *a, ice_relay *relay)
{
    for (size_t family = 0; family < 2; family++) {
        if (relay->base[family])
            duet_ice_socket_free(a, relay->base[family]);
    }
    duet_turn_client_destroy(relay->client);
    duet_free(&a->env, relay);
}

/* Of a relay that ends within its generation. */
static void forget_candidates(duet_ice_agent *a, const ice_relay *relay)
{
    for (size_t i = a->pairs.count; i-- > 0;) {
        ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, i);
        if (is_of(relay, pair))
            duet_ice_pair_remove(a, pair);
    }
    for (size_t family = 0; family < 2; family++) {
        if (relay->base[family])
            duet_ice_locals_of_socket(a, relay->base[family]);
    }
}

static void relay_remove(duet_ice_agent *a, size_t index)
{
    ice_relay *relay = relay_at(a, index);

    duet_array_remove(&a->relays, index);
    relay_free(a, relay);
}

/* ---- time ----------------------------------------------------------------------------------------------------------- */

static bool is_live(const ice_relay *relay)
{
    return relay->client && relay->state != ICE_RELAY_DONE;
}

static void arm(duet_ice_agent *a)
{
    duet_time next = DUET_NEVER;

    for (size_t i = 0; i < a->relays.count; i++) {
        const ice_relay *relay = relay_at(a, i);
        duet_time deadline = is_live(relay) ? duet_turn_client_deadline(relay->client) : DUET_NEVER;
        next = deadline < next ? deadline : next;
    }
    duet_timers_set(&a->timers, &a->relay_timer, next);
}

/* Lets the clients do what is due, and takes up what has become of them. */
void duet_ice_relays_run(duet_ice_agent *a, duet_time now)
{
    if (a->relays.count == 0)
        return;
    for (size_t i = a->relays.count; i-- > 0;) {
        ice_relay *relay = relay_at(a, i);
        if (is_live(relay) && !relay->server && relay->state == ICE_RELAY_READY && !is_used_by_previous(a, relay)) {
            relay->state = ICE_RELAY_RELEASING;
            duet_turn_client_release(relay->client, now);
        }
        if (is_live(relay) && duet_turn_client_deadline(relay->client) <= now)
            duet_turn_client_tick(relay->client, now);
        if (is_live(relay))
            relay_update(a, relay, now);
        if (relay->state == ICE_RELAY_DONE && !relay->server && !is_used_by_previous(a, relay)) {
            forget_candidates(a, relay);
            relay_remove(a, i);
        }
    }
    duet_ice_gather_update(a);
    arm(a);
}

/* ---- the generations ------------------------------------------------------------------------------------------------- */

/* Other servers are about to take the place of the present ones: a relay stays with the one that is the same. */
void duet_ice_relays_rebind(duet_ice_agent *a, const duet_array *servers)
{
    for (size_t i = 0; i < a->relays.count; i++) {
        ice_relay *relay = relay_at(a, i);
        ice_server *same = NULL;
        for (size_t k = 0; k < servers->count && relay->server && !same; k++) {
            ice_server *server = *(ice_server **)duet_array_at(servers, k);
            if (duet_ice_server_equal(server, relay->server))
                same = server;
        }
        relay->server = same;
    }
}

/* A new generation begins, and its local candidates are gathered: allocations that are there give theirs again, what has ended
 * or never came about is forgotten, so that it is tried once more. */
void duet_ice_relays_keep(duet_ice_agent *a, duet_time now)
{
    for (size_t i = a->relays.count; i-- > 0;) {
        ice_relay *relay = relay_at(a, i);
        bool has_begun = relay->state == ICE_RELAY_READY || relay->state == ICE_RELAY_RELEASING;
        if (relay->state == ICE_RELAY_RELEASING)
            relay->server = NULL; /* it ends; the server is asked again beside it */
        if (!has_begun && !is_used_by_previous(a, relay)) {
            if (relay->socket && relay->socket->kind == ICE_SOCKET_SERVER)
                duet_ice_stream_end(a, relay->socket);
            relay_remove(a, i);
        } else if (relay->state == ICE_RELAY_READY && relay->server && add_candidates(a, relay, now) != DUET_OK) {
            relay->state = ICE_RELAY_RUNNING; /* the next step adds what is missing */
        } else if (relay->state == ICE_RELAY_DONE) {
            relay->server = NULL;
        }
    }
}

/* A pair was chosen: "the agent MAY free candidates that are not in use" some seconds later, RFC 8445 section 8.3.1. */
void duet_ice_relays_conclude(duet_ice_agent *a, duet_time now)
{
    for (size_t i = 0; i < a->relays.count; i++) {
        ice_relay *relay = relay_at(a, i);
        bool in_use = is_used_by_previous(a, relay);
        for (size_t k = 0; k < a->pairs.count; k++) {
            const ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, k);
            in_use = in_use || (is_of(relay, pair) && pair->valid);
        }
        if (in_use || relay->state != ICE_RELAY_READY)
            continue;
        relay->state = ICE_RELAY_RELEASING;
        duet_turn_client_release(relay->client, now);
    }
}

/* Everything is given up; the requests wait in the output. */
void duet_ice_relays_release(duet_ice_agent *a, duet_time now)
{
    for (size_t i = 0; i < a->relays.count; i++) {
        ice_relay *relay = relay_at(a, i);
        if (relay->state < ICE_RELAY_READY) {
            relay_done(a, relay, now);
        } else if (relay->state == ICE_RELAY_READY) {
            relay->state = ICE_RELAY_RELEASING;
            duet_turn_client_release(relay->client, now);
        }
    }
    arm(a);
}

bool duet_ice_relays_have_output(const duet_ice_agent *a)
{
    for (size_t i = 0; i < a->relays.count; i++) {
        if (relay_at(a, i)->client && duet_turn_client_has_output(relay_at(a, i)->client))
            return true;
    }
    return false;
}

void duet_ice_relays_free(duet_ice_agent *a)
{
    while (a->relays.count > 0)
        relay_remove(a, a->relays.count - 1);
    duet_array_free(&a->relays);
}

/* The socket that some relays stand on has gone. */
void duet_ice_relays_socket_lost(duet_ice_agent *a, const ice_socket *socket, const char *why, duet_time now)
{
    for (size_t i = 0; i < a->relays.count; i++) {
        ice_relay *relay = relay_at(a, i);
        if (relay->socket != socket)
            continue;
        relay_failed(a, relay, 701, why, now);
        if (socket->kind == ICE_SOCKET_HOST)
            relay->server = NULL; /* another address may have one instead */
    }
}

/* ---- pairs ------------------------------------------------------------------------------------------------------------ */

/* "the agent MUST create a permission in its TURN server for the IP address in the remote candidate" RFC 8445, 7.2.2.
 * @return false when the server would not let checks pass */
bool duet_ice_relay_permit(const ice_socket *base, const duet_address *remote)
{
    return !base->relay || duet_turn_client_permit(base->relay->client, remote) == DUET_OK;
}

void duet_ice_relay_bind(const ice_pair *pair)
{
    const ice_relay *relay = pair->local->socket->relay;

    if (relay && relay->client)
        (void)duet_turn_client_bind(relay->client, &pair->path.remote); /* without one it goes in indications */
}

/* ---- datagrams --------------------------------------------------------------------------------------------------------- */

int duet_ice_relay_input(duet_ice_agent *a, duet_datagram *in, duet_time now)
{
    for (size_t i = 0; i < a->relays.count; i++) {
        ice_relay *relay = relay_at(a, i);
        if (!is_live(relay) || relay->socket->id != in->path.socket ||
            !duet_ice_same_address(&relay->remote, &in->path.remote))
            continue;
        int taken = duet_turn_client_input(relay->client, in, now);
        if (taken == DUET_ERR_NOT_MINE)
            continue;
        if (taken == 0) {
            relay->touched = true;
            return 0;
        }
        const ice_socket *base = relay->base[in->path.remote.family == DUET_AF_INET6];
        if (!base)
            return 0;
        in->path.socket = base->id;
        in->path.protocol = DUET_UDP;
        in->path.local = base->local;
        return 1;
    }
    return DUET_ERR_NOT_MINE;
}

/* @return DUET_OK, or why it cannot leave */
int duet_ice_relay_wrap(duet_ice_agent *a, const ice_socket *base, duet_datagram *out)
{
    ice_relay *relay = base ? base->relay : NULL;

    if (!relay)
        return DUET_OK;
    if (!is_live(relay))
        return DUET_ERR_STATE;
    int err = duet_turn_client_wrap(relay->client, out);
    if (duet_turn_client_deadline(relay->client) == 0)
        arm(a); /* a permission is to be asked for */
    return err;
}

int duet_ice_relays_output(duet_ice_agent *a, duet_datagram *out)
{
    for (size_t i = 0; i < a->relays.count; i++) {
        if (relay_at(a, i)->client && duet_turn_client_output(relay_at(a, i)->client, out))
            return 1;
    }
    return 0;
}

bool duet_ice_relays_path_error(duet_ice_agent *a, const duet_path *path, duet_time now)
{
    for (size_t i = 0; i < a->relays.count; i++) {
        ice_relay *relay = relay_at(a, i);
        if (!is_live(relay) || relay->socket->id != path->socket ||
            !duet_ice_same_address(&relay->remote, &path->remote))
            continue;
        /* What is allocated may come back, until its refreshes stay unanswered. */
        if (relay->state == ICE_RELAY_RUNNING)
            relay_failed(a, relay, 701, "the TURN server cannot be reached", now);
        return true;
    }
    return false;
}
