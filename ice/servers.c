/* STUN servers: names, queries from every base, server-reflexive candidates, and keeping their NAT bindings alive.
 *
 * RFC 8445 sections 5.1.1.2 to 5.1.1.4 and RFC 8489 section 6.2.1. TURN servers are looked up here and used in relay.c. What a
 * server sees of a TLS connection is no candidate for UDP: such a query only tells whether the server works. */
#include "ice/internal.h"

#include <string.h>

#define KEEPALIVE DUET_SECONDS(15) /* Tr, RFC 8445 section 11 */

static ice_server *server_at(const duet_array *servers, size_t index)
{
    return *(ice_server **)duet_array_at(servers, index);
}

static ice_query *query_at(const duet_ice_agent *a, size_t index)
{
    return *(ice_query **)duet_array_at(&a->queries, index);
}

/* ---- configuration --------------------------------------------------------------------------------------------- */

static void server_free(duet_ice_agent *a, ice_server *server)
{
    duet_free(&a->env, server->url);
    duet_free(&a->env, server->username);
    duet_free(&a->env, server->credential);
    duet_free(&a->env, server);
}

void duet_ice_servers_free(duet_ice_agent *a, duet_array *servers)
{
    for (size_t i = 0; i < servers->count; i++)
        server_free(a, server_at(servers, i));
    duet_array_free(servers);
}

static int parse_url(duet_ice_agent *a, duet_array *out, const duet_ice_server *from, const char *url)
{
    ice_uri uri;

    if (!url || duet_ice_uri_parse(&uri, url) != DUET_OK)
        return DUET_ERR_INVALID;
    if (out->count >= ICE_URLS_MAX)
        return DUET_ERR_LIMIT;
    ice_server *server = duet_ice_append(a, out, sizeof(*server));
    if (!server)
        return DUET_ERR_NOMEM;
    server->uri = uri;
    server->url = duet_strdup(&a->env, url);
    server->username = duet_strdup(&a->env, from->username);
    server->credential = duet_strdup(&a->env, from->credential);
    if (!server->url || (from->username && !server->username) || (from->credential && !server->credential))
        return DUET_ERR_NOMEM;
    return DUET_OK;
}

/* Copies the list into `out`, which must be empty; on failure it is empty again. */
int duet_ice_servers_parse(duet_ice_agent *a, duet_array *out, const duet_ice_server *const *servers, size_t count)
{
    int err = DUET_OK;

    for (size_t i = 0; i < count && !err; i++) {
        for (size_t k = 0; k < servers[i]->url_count && !err; k++)
            err = parse_url(a, out, servers[i], servers[i]->urls[k]);
    }
    if (err)
        duet_ice_servers_free(a, out);
    return err;
}

static bool same_text(const char *x, const char *y)
{
    return x && y ? strcmp(x, y) == 0 : x == y;
}

bool duet_ice_server_equal(const ice_server *x, const ice_server *y)
{
    return same_text(x->url, y->url) && same_text(x->username, y->username) && same_text(x->credential, y->credential);
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

static void server_address(duet_ice_agent *a, ice_server *server, const duet_address *address)
{
    if (address->family != DUET_AF_INET && (address->family != DUET_AF_INET6 || a->config.no_ipv6))
        return;
    duet_address *slot = &server->addresses[address->family == DUET_AF_INET6];
    if (slot->family != DUET_AF_NONE)
        return; /* the first of each family */
    *slot = *address;
    slot->port = server->uri.port;
}

static bool is_stun(const ice_server *server)
{
    return server->uri.scheme == ICE_STUN || server->uri.scheme == ICE_STUNS;
}

/* Begins with each server: literal addresses are known at once. */
void duet_ice_servers_start(duet_ice_agent *a)
{
    for (size_t i = 0; i < a->servers.count; i++) {
        ice_server *server = server_at(&a->servers, i);
        duet_address literal;
        memset(server->addresses, 0, sizeof(server->addresses));
        server->lookup = ICE_LOOKUP_DONE;
        if (server->uri.scheme == ICE_TURNS && server->uri.transport == DUET_UDP) {
            duet_ice_report_error(a, server->url, NULL, 701, "TURN over DTLS is not supported");
            continue;
        }
        if (a->config.policy == DUET_ICE_RELAY && is_stun(server))
            continue;
        if (duet_address_parse(&literal, server->uri.host, server->uri.port) == DUET_OK)
            server_address(a, server, &literal);
        else
            server->lookup = ICE_LOOKUP_WANTED;
    }
}

void duet_ice_servers_resolved(duet_ice_agent *a, const duet_answer *answer)
{
    for (size_t i = 0; i < a->servers.count; i++) {
        ice_server *server = server_at(&a->servers, i);
        if (server->lookup != ICE_LOOKUP_RUNNING || server->lookup_id != answer->id)
            continue;
        server->lookup = ICE_LOOKUP_DONE;
        for (size_t k = 0; answer->err == DUET_OK && k < answer->address_count; k++)
            server_address(a, server, &answer->addresses[k]);
        if (server->addresses[0].family == DUET_AF_NONE && server->addresses[1].family == DUET_AF_NONE)
            duet_ice_report_error(a, server->url, NULL, 701, "the name of the server does not resolve");
    }
}

/* ---- queries --------------------------------------------------------------------------------------------------- */

static bool query_exists(const duet_ice_agent *a, const ice_server *server, const ice_socket *socket,
                         const duet_address *remote)
{
    for (size_t i = 0; i < a->queries.count; i++) {
        const ice_query *query = query_at(a, i);
        bool same_socket = query->socket == socket || server->uri.transport != DUET_UDP;
        if (same_socket && query->server->uri.transport == server->uri.transport &&
            duet_ice_same_address(&query->remote, remote))
            return true;
    }
    return false;
}

bool duet_ice_can_query(const ice_socket *socket, const duet_address *remote)
{
    if (socket->kind != ICE_SOCKET_HOST || socket->state != ICE_SOCKET_OPEN || !socket->is_present ||
        socket->local.family != remote->family)
        return false;
    if (duet_address_is_link_local(&socket->local))
        return false;
    return socket->is_loopback == duet_address_is_loopback(remote);
}

static int query_add(duet_ice_agent *a, ice_server *server, const duet_address *remote, ice_socket *host)
{
    ice_socket *socket = host;

    if (server->uri.transport != DUET_UDP)
        socket = duet_ice_stream_add(a, server, remote, &host->bind);
    ice_query *query = socket ? duet_ice_append(a, &a->queries, sizeof(*query)) : NULL;
    if (!query) {
        if (socket && socket != host)
            duet_ice_stream_end(a, socket);
        return DUET_ERR_NOMEM;
    }
    *query = (ice_query){.server = server, .socket = socket, .remote = *remote};
    return DUET_OK;
}

int duet_ice_queries_form(duet_ice_agent *a)
{
    for (size_t i = 0; i < a->servers.count * 2; i++) {
        ice_server *server = server_at(&a->servers, i / 2);
        const duet_address *remote = &server->addresses[i % 2];
        if (remote->family == DUET_AF_NONE || !is_stun(server))
            continue;
        for (size_t k = 0; k < a->sockets.count; k++) {
            ice_socket *socket = *(ice_socket **)duet_array_at(&a->sockets, k);
            if (!duet_ice_can_query(socket, remote) || query_exists(a, server, socket, remote) ||
                a->queries.count >= ICE_QUERIES_MAX)
                continue;
            int err = query_add(a, server, remote, socket);
            if (err)
                return err;
        }
    }
    return duet_ice_relays_form(a);
}

bool duet_ice_queries_pending(const duet_ice_agent *a)
{
    for (size_t i = 0; i < a->queries.count; i++) {
        const ice_query *query = query_at(a, i);
        if (!query->is_keepalive && (query->state == ICE_QUERY_WAITING || query->state == ICE_QUERY_RUNNING))
            return true;
    }
    return false;
}

ice_query *duet_ice_query_next(const duet_ice_agent *a)
{
    for (size_t i = 0; i < a->queries.count; i++) {
        if (query_at(a, i)->state == ICE_QUERY_WAITING && query_at(a, i)->socket->state == ICE_SOCKET_OPEN)
            return query_at(a, i);
    }
    return NULL;
}

/* RFC 8445 section 5.1.3: a reflexive candidate that equals its base, or came from another server already, is redundant. */
void duet_ice_reflexive_add(duet_ice_agent *a, ice_socket *socket, const duet_address *server,
                            const duet_address *mapped)
{
    if (a->config.policy == DUET_ICE_RELAY || duet_ice_same_address(mapped, &socket->local) ||
        duet_ice_local_find(a, socket, mapped, false))
        return;
    ice_local *local = duet_ice_local_add(a, DUET_CANDIDATE_SRFLX, socket, mapped, server);
    if (local)
        duet_ice_local_relate(a, local, &socket->local);
}

static bool processing_is_over(const duet_ice_agent *a)
{
    return a->nominated || a->state == DUET_ICE_FAILED || a->state == DUET_ICE_CLOSED;
}

static void query_done(duet_ice_agent *a, ice_query *query, const duet_address *mapped)
{
    query->state = ICE_QUERY_DONE;
    if (query->is_keepalive)
        return;
    if (query->socket->kind == ICE_SOCKET_SERVER) {
        duet_ice_stream_end(a, query->socket);
    } else {
        query->is_keepalive = true;
        duet_ice_reflexive_add(a, query->socket, &query->remote, mapped);
    }
    duet_ice_gather_update(a);
}

void duet_ice_query_answered(duet_ice_agent *a, ice_query *query, const duet_stun_message *m)
{
    duet_stun_error error;
    duet_address mapped;

    if (m->message_class == DUET_STUN_ERROR) {
        if (duet_stun_get_error(m, &error) != DUET_OK)
            error.code = 400;
        const char *name = duet_stun_error_name(error.code);
        duet_ice_query_failed(a, query, error.code, name ? name : "the STUN server refused");
        return;
    }
    if (duet_stun_get_address(m, DUET_STUN_XOR_MAPPED_ADDRESS, &mapped) != DUET_OK &&
        duet_stun_get_address(m, DUET_STUN_MAPPED_ADDRESS, &mapped) != DUET_OK) {
        duet_ice_query_failed(a, query, 701, "the STUN server's response has no address");
        return;
    }
    if (mapped.family != query->socket->local.family) {
        duet_ice_query_failed(a, query, 701, "the STUN server's response has an address of another family");
        return;
    }
    query_done(a, query, &mapped);
}

void duet_ice_query_failed(duet_ice_agent *a, ice_query *query, int code, const char *text)
{
    if (query->is_keepalive) {
        query->state = ICE_QUERY_DONE;
        return;
    }
    query->state = ICE_QUERY_FAILED;
    duet_ice_report_error(a, query->server->url, &query->socket->local, code, text);
    if (query->socket->kind == ICE_SOCKET_SERVER)
        duet_ice_stream_end(a, query->socket);
    duet_ice_gather_update(a);
}

/* The stream that queries wait for did not come about, or ended. */
void duet_ice_queries_fail(duet_ice_agent *a, const ice_socket *socket, const char *text)
{
    for (size_t i = 0; i < a->queries.count; i++) {
        ice_query *query = query_at(a, i);
        if (query->socket != socket || (query->state != ICE_QUERY_WAITING && query->state != ICE_QUERY_RUNNING))
            continue;
        duet_ice_transactions_of_query(a, query);
        duet_ice_query_failed(a, query, 701, text);
    }
}

void duet_ice_queries_of_socket(duet_ice_agent *a, const ice_socket *socket)
{
    for (size_t i = a->queries.count; i-- > 0;) {
        ice_query *query = query_at(a, i);
        if (query->socket != socket)
            continue;
        duet_ice_transactions_of_query(a, query);
        duet_array_remove(&a->queries, i);
        duet_free(&a->env, query);
    }
}

/* "bindings MUST be kept alive by additional Binding requests to the server" until ICE has concluded, RFC 8445 section
 * 5.1.1.4. */
void duet_ice_queries_keepalive(duet_ice_agent *a, duet_time now)
{
    if (processing_is_over(a))
        return;
    for (size_t i = 0; i < a->queries.count; i++) {
        if (query_at(a, i)->state == ICE_QUERY_DONE && query_at(a, i)->is_keepalive)
            query_at(a, i)->state = ICE_QUERY_WAITING;
    }
    duet_ice_keepalive_arm(a, now);
}

void duet_ice_keepalive_arm(duet_ice_agent *a, duet_time now)
{
    if (a->keepalive_timer.armed) {
        if (processing_is_over(a))
            duet_timers_cancel(&a->timers, &a->keepalive_timer);
        return;
    }
    for (size_t i = 0; i < a->queries.count && !processing_is_over(a); i++) {
        if (!query_at(a, i)->is_keepalive)
            continue;
        duet_timers_set(&a->timers, &a->keepalive_timer, now + KEEPALIVE);
        return;
    }
}

void duet_ice_queries_clear(duet_ice_agent *a)
{
    for (size_t i = 0; i < a->queries.count; i++) {
        ice_query *query = query_at(a, i);
        duet_ice_transactions_of_query(a, query);
        if (query->socket->kind == ICE_SOCKET_SERVER)
            duet_ice_stream_end(a, query->socket);
        duet_free(&a->env, query);
    }
    duet_array_free(&a->queries);
    duet_timers_cancel(&a->timers, &a->keepalive_timer);
}
