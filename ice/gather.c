/* Gathering: interfaces, sockets, look-ups, and the requests and answers that they need.
 *
 * RFC 8445 section 5.1.1 and RFC 8421 (IPv6 and IPv4 take turns in the order of preference). */
#include "ice/internal.h"

#include <stdio.h>
#include <string.h>

#define INTERFACES_MAX (2 * ICE_SOCKETS_MAX) /* looked at, of each family */

static ice_socket *socket_at(const duet_ice_agent *a, size_t index)
{
    return *(ice_socket **)duet_array_at(&a->sockets, index);
}

/* ---- starting and completing --------------------------------------------------------------------------------------- */

static ice_socket *socket_for(duet_ice_agent *a, const duet_address *bind)
{
    for (size_t i = 0; i < a->sockets.count; i++) {
        ice_socket *socket = socket_at(a, i);
        if (socket->kind == ICE_SOCKET_HOST && socket->state <= ICE_SOCKET_OPEN &&
            duet_address_ip_equal(&socket->bind, bind))
            return socket;
    }
    return NULL;
}

static size_t host_count(const duet_ice_agent *a)
{
    size_t count = 0;

    for (size_t i = 0; i < a->sockets.count; i++)
        count += socket_at(a, i)->kind == ICE_SOCKET_HOST;
    return count;
}

static int add_host(duet_ice_agent *a, ice_socket *socket, duet_time now);

/* Takes an address into this gathering: the open socket of an earlier one, or a new socket. */
static int use_address(duet_ice_agent *a, const duet_address *bind, uint32_t interface, uint16_t preference,
                       duet_time now)
{
    ice_socket *socket = socket_for(a, bind);

    if (!socket) {
        if (host_count(a) >= ICE_SOCKETS_MAX || a->next_id >= ICE_ID_MAX)
            return DUET_OK;
        socket = duet_ice_append(a, &a->sockets, sizeof(*socket));
        if (!socket)
            return DUET_ERR_NOMEM;
        socket->id = a->next_id++;
        socket->bind = *bind;
        socket->is_loopback = duet_address_is_loopback(bind);
    }
    socket->interface = interface;
    socket->is_present = true;
    socket->local_preference = preference;
    return socket->state == ICE_SOCKET_OPEN ? add_host(a, socket, now) : DUET_OK;
}

static bool wants_all_interfaces(const duet_ice_agent *a)
{
    return a->config.bind.family == DUET_AF_NONE || duet_address_is_any(&a->config.bind);
}

/* With relays alone there is nothing to open where no server gives one. */
static bool wants_sockets(const duet_ice_agent *a)
{
    if (a->config.policy != DUET_ICE_RELAY)
        return true;
    for (size_t i = 0; i < a->servers.count; i++) {
        const ice_server *server = *(ice_server **)duet_array_at(&a->servers, i);
        if (server->uri.scheme == ICE_TURN || server->uri.scheme == ICE_TURNS)
            return true;
    }
    return false;
}

/* Streams of an earlier gathering that have ended. */
static void forget_streams(duet_ice_agent *a)
{
    for (size_t i = a->sockets.count; i-- > 0;) {
        ice_socket *socket = socket_at(a, i);
        if (socket->kind == ICE_SOCKET_SERVER &&
            (socket->state == ICE_SOCKET_CLOSED || socket->state == ICE_SOCKET_FAILED))
            duet_ice_socket_free(a, socket);
    }
}

int duet_ice_gather_start(duet_ice_agent *a, duet_time now)
{
    if (a->has_next_servers) {
        duet_ice_relays_rebind(a, &a->next_servers);
        duet_ice_servers_free(a, &a->servers);
        a->servers = a->next_servers;
        duet_array_init(&a->next_servers, &a->env, sizeof(ice_server *));
        a->config.policy = a->next_policy;
        a->has_next_servers = false;
    }
    a->gathering = DUET_ICE_GATHERING;
    a->end_announced = false;
    duet_ice_relays_keep(a, now);
    forget_streams(a);
    duet_ice_servers_start(a);
    if (!wants_sockets(a))
        return DUET_OK;
    if (wants_all_interfaces(a)) {
        a->interfaces_wanted = true;
        return DUET_OK;
    }
    int err = use_address(a, &a->config.bind, 0, UINT16_MAX, now);
    return err ? err : duet_ice_queries_form(a);
}

static bool is_gathering(const duet_ice_agent *a)
{
    if (a->interfaces_wanted || a->interfaces_running || duet_ice_queries_pending(a) || duet_ice_relays_pending(a))
        return true;
    for (size_t i = 0; i < a->sockets.count; i++) {
        const ice_socket *socket = socket_at(a, i);
        if (socket->kind == ICE_SOCKET_TCP)
            continue; /* its pair waits, not the candidates */
        if (socket->state == ICE_SOCKET_WANTED || socket->state == ICE_SOCKET_OPENING ||
            socket->publish == ICE_LOOKUP_WANTED || socket->publish == ICE_LOOKUP_RUNNING)
            return true;
    }
    for (size_t i = 0; i < a->servers.count; i++) {
        const ice_server *server = *(ice_server **)duet_array_at(&a->servers, i);
        if (server->lookup == ICE_LOOKUP_WANTED || server->lookup == ICE_LOOKUP_RUNNING)
            return true;
    }
    return false;
}

void duet_ice_gather_update(duet_ice_agent *a)
{
    if (a->gathering == DUET_ICE_GATHERING && !is_gathering(a))
        a->gathering = DUET_ICE_GATHERING_COMPLETE;
}

/* ---- requests -------------------------------------------------------------------------------------------------------- */

static void request_open(const duet_ice_agent *a, ice_socket *socket, duet_request *out)
{
    out->kind = socket->kind == ICE_SOCKET_LISTENER ? DUET_REQUEST_LISTEN : DUET_REQUEST_OPEN;
    out->protocol = socket->protocol;
    out->bind = socket->bind;
    socket->state = ICE_SOCKET_OPENING;
    /* Simultaneous-open candidates connect from the port of their listener, RFC 6544 section 5.1. */
    out->share_port = socket->kind == ICE_SOCKET_LISTENER || (socket->kind == ICE_SOCKET_TCP && socket->bind.port);
    if (socket->kind == ICE_SOCKET_HOST || socket->kind == ICE_SOCKET_LISTENER) {
        out->port_min = a->config.port_min;
        out->port_max = a->config.port_max;
        return;
    }
    out->remote = socket->remote;
    out->name = socket->host;
    out->ca_file = a->ca_file;
    out->tls_no_verify = a->config.tls_no_verify;
}

static bool request_socket(duet_ice_agent *a, duet_request *out)
{
    /* The last words to the relays go first. */
    bool may_close = a->state != DUET_ICE_CLOSED || !duet_ice_relays_have_output(a);

    for (size_t i = 0; i < a->sockets.count; i++) {
        ice_socket *socket = socket_at(a, i);
        out->id = socket->id;
        if (socket->state == ICE_SOCKET_WANTED) {
            request_open(a, socket, out);
            return true;
        }
        if (socket->state != ICE_SOCKET_CLOSING || !may_close)
            continue;
        out->kind = DUET_REQUEST_CLOSE;
        socket->state = ICE_SOCKET_CLOSED;
        if (socket->kind == ICE_SOCKET_TCP)
            duet_ice_socket_free(a, socket);
        return true;
    }
    return false;
}

/* Names are published and, when their socket has closed, withdrawn. */
static bool request_publish(duet_ice_agent *a, duet_request *out)
{
    for (size_t i = 0; i < a->sockets.count; i++) {
        ice_socket *socket = socket_at(a, i);
        if (socket->publish == ICE_LOOKUP_WANTED && a->state != DUET_ICE_CLOSED) {
            socket->publish = ICE_LOOKUP_RUNNING;
            socket->publish_id = a->next_id++;
            *out = (duet_request){
                .kind = DUET_REQUEST_PUBLISH, .id = socket->publish_id, .name = socket->name, .bind = socket->local};
            out->bind.port = 0;
            return true;
        }
        if (socket->publish >= ICE_LOOKUP_RUNNING && socket->publish_id && socket->state == ICE_SOCKET_CLOSED) {
            *out = (duet_request){.kind = DUET_REQUEST_CLOSE, .id = socket->publish_id};
            socket->publish = ICE_LOOKUP_NONE;
            return true;
        }
    }
    return false;
}

bool duet_ice_gather_is_closing(const duet_ice_agent *a)
{
    for (size_t i = 0; i < a->sockets.count; i++) {
        if (socket_at(a, i)->state == ICE_SOCKET_CLOSING)
            return true;
    }
    return false;
}

static bool request_lookup(duet_ice_agent *a, duet_request *out)
{
    for (size_t i = 0; i < a->servers.count; i++) {
        ice_server *server = *(ice_server **)duet_array_at(&a->servers, i);
        if (server->lookup != ICE_LOOKUP_WANTED)
            continue;
        server->lookup = ICE_LOOKUP_RUNNING;
        server->lookup_id = a->next_id++;
        *out = (duet_request){.kind = DUET_REQUEST_RESOLVE, .id = server->lookup_id, .name = server->uri.host};
        return true;
    }
    for (size_t i = 0; i < a->remotes.count; i++) {
        ice_remote *remote = *(ice_remote **)duet_array_at(&a->remotes, i);
        if (remote->lookup != ICE_LOOKUP_WANTED)
            continue;
        remote->lookup = ICE_LOOKUP_RUNNING;
        remote->lookup_id = a->next_id++;
        *out = (duet_request){.kind = DUET_REQUEST_RESOLVE, .id = remote->lookup_id, .name = remote->name};
        return true;
    }
    return false;
}

int duet_ice_gather_request(duet_ice_agent *a, duet_request *out)
{
    memset(out, 0, sizeof(*out));
    if (request_socket(a, out) || request_publish(a, out))
        return 1;
    memset(out, 0, sizeof(*out));
    if (a->state == DUET_ICE_CLOSED)
        return 0;
    if (a->interfaces_wanted) {
        a->interfaces_wanted = false;
        a->interfaces_running = true;
        out->kind = DUET_REQUEST_INTERFACES;
        out->watch = true;
        return 1;
    }
    return request_lookup(a, out) ? 1 : 0;
}

/* ---- interfaces ------------------------------------------------------------------------------------------------------ */

typedef struct address_list {
    const duet_interface *items[INTERFACES_MAX];
    size_t count;
} address_list;

static bool is_usable(const duet_ice_agent *a, const duet_interface *interface)
{
    const duet_address *address = &interface->address;

    if (address->family != DUET_AF_INET && (address->family != DUET_AF_INET6 || a->config.no_ipv6))
        return false;
    if (a->config.bind.family != DUET_AF_NONE && a->config.bind.family != address->family)
        return false; /* bind to 0.0.0.0 or :: means all of that family */
    if (interface->is_deprecated || duet_address_is_any(address) || duet_address_is_multicast(address))
        return false;
    if ((interface->is_loopback || duet_address_is_loopback(address)) && !a->config.loopback)
        return false;
    return !a->config.interface_filter || a->config.interface_filter(a->config.user, interface);
}

/* Lower is better: temporary addresses (RFC 8445 section 5.1.1.1), then public, private, link-local ones. */
static unsigned rank(const duet_interface *interface)
{
    if (duet_address_is_link_local(&interface->address))
        return 3;
    if (duet_address_is_private(&interface->address))
        return 2;
    return interface->is_temporary ? 0 : 1;
}

static void list_add(address_list *list, const duet_interface *interface)
{
    size_t at = list->count;

    if (list->count >= INTERFACES_MAX)
        return;
    for (; at > 0 && rank(list->items[at - 1]) > rank(interface); at--)
        list->items[at] = list->items[at - 1];
    list->items[at] = interface;
    list->count++;
}

/* Link-local addresses are for hosts that have nothing else of the family. */
static void drop_link_local(address_list *list)
{
    if (list->count == 0 || duet_address_is_link_local(&list->items[0]->address))
        return;
    while (duet_address_is_link_local(&list->items[list->count - 1]->address))
        list->count--;
}

/* IPv6 first, then in turns (RFC 8421 section 4); what one family has more comes at the end. */
static void interleave(address_list *out, const address_list *v6, const address_list *v4)
{
    for (size_t i = 0; i < v6->count || i < v4->count; i++) {
        if (i < v6->count && out->count < INTERFACES_MAX)
            out->items[out->count++] = v6->items[i];
        if (i < v4->count && out->count < INTERFACES_MAX)
            out->items[out->count++] = v4->items[i];
    }
}

/* Its listener goes first; connections end with their pairs. */
static bool has_children(duet_ice_agent *a, const ice_socket *host)
{
    bool found = false;

    for (size_t i = a->sockets.count; i-- > 0;) {
        ice_socket *socket = socket_at(a, i);
        if (socket->host_socket != host)
            continue;
        if (socket->kind == ICE_SOCKET_LISTENER && socket->state == ICE_SOCKET_OPEN)
            socket->state = ICE_SOCKET_CLOSING;
        if (socket->kind == ICE_SOCKET_LISTENER &&
            (socket->state == ICE_SOCKET_CLOSED || socket->state == ICE_SOCKET_FAILED))
            duet_ice_socket_free(a, socket);
        else
            found = true;
    }
    return found;
}

/* Closes what has no address any more; the pair that still carries data keeps its socket. */
static void close_absent(duet_ice_agent *a)
{
    for (size_t i = a->sockets.count; i-- > 0;) {
        ice_socket *socket = socket_at(a, i);
        bool in_use = a->previous && a->previous->local.socket == socket;
        for (size_t k = 0; k < a->locals.count; k++)
            in_use = in_use || (*(ice_local **)duet_array_at(&a->locals, k))->socket == socket;
        if (socket->kind != ICE_SOCKET_HOST || socket->is_present || in_use)
            continue;
        (void)has_children(a, socket);
        if (socket->state == ICE_SOCKET_OPEN)
            socket->state = ICE_SOCKET_CLOSING;
        if (socket->state != ICE_SOCKET_FAILED && socket->state != ICE_SOCKET_CLOSED)
            continue;
        if (socket->publish_id && socket->publish != ICE_LOOKUP_NONE)
            continue; /* its name is to be withdrawn first */
        if (has_children(a, socket))
            continue;
        duet_ice_socket_free(a, socket);
    }
}

/* The addresses to gather on, best first; those of the loopback interface behind them. */
static void choose_addresses(const duet_ice_agent *a, const duet_answer *answer, address_list *all,
                             address_list *loopback)
{
    address_list v6 = {.count = 0}, v4 = {.count = 0};

    for (size_t i = 0; answer->err == DUET_OK && i < answer->interface_count; i++) {
        const duet_interface *interface = &answer->interfaces[i];
        if (!is_usable(a, interface))
            continue;
        if (interface->is_loopback || duet_address_is_loopback(&interface->address))
            list_add(loopback, interface);
        else
            list_add(interface->address.family == DUET_AF_INET6 ? &v6 : &v4, interface);
    }
    drop_link_local(&v6);
    drop_link_local(&v4);
    interleave(all, &v6, &v4);
}

static int use_addresses(duet_ice_agent *a, const address_list *all, const address_list *loopback, duet_time now)
{
    int err = DUET_OK;

    for (size_t i = 0; i < all->count && !err; i++)
        err = use_address(a, &all->items[i]->address, all->items[i]->index, (uint16_t)(UINT16_MAX - i), now);
    for (size_t i = 0; i < loopback->count && !err; i++)
        err = use_address(a, &loopback->items[i]->address, loopback->items[i]->index, (uint16_t)(UINT8_MAX - i), now);
    return err ? err : duet_ice_queries_form(a);
}

static bool has_address(const address_list *list, const duet_address *address)
{
    for (size_t i = 0; i < list->count; i++) {
        if (duet_address_ip_equal(&list->items[i]->address, address))
            return true;
    }
    return false;
}

/* The address of a base has gone: nothing passes there any more. */
static void socket_lost(duet_ice_agent *a, ice_socket *socket, duet_time now)
{
    socket->is_present = false;
    duet_ice_queries_of_socket(a, socket);
    duet_ice_relays_socket_lost(a, socket, "the address that it was reached from is gone", now);
    if (a->previous && a->previous->local.socket == socket)
        duet_ice_pair_lost(a, a->previous->pair, "its address is gone", now);
    for (size_t i = a->pairs.count; i-- > 0;) {
        ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, i);
        if (pair->local->socket == socket && pair->state != DUET_ICE_PAIR_FAILED)
            duet_ice_pair_lost(a, pair, "its address is gone", now);
    }
    for (size_t i = a->pairs.count; i-- > 0;) {
        ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, i);
        if (pair->local->socket == socket)
            duet_ice_pair_remove(a, pair);
    }
    duet_ice_locals_of_socket(a, socket);
}

/* The interfaces have changed: what is new is gathered on, what is gone takes its pairs along. */
static int interfaces_changed(duet_ice_agent *a, const duet_answer *answer, duet_time now)
{
    address_list all = {.count = 0}, loopback = {.count = 0};
    bool changed = false;

    if (answer->err != DUET_OK || a->gathering == DUET_ICE_GATHERING_NEW || !wants_sockets(a))
        return DUET_OK;
    choose_addresses(a, answer, &all, &loopback);
    for (size_t i = 0; i < a->sockets.count; i++) {
        ice_socket *socket = socket_at(a, i);
        if (socket->kind != ICE_SOCKET_HOST || !socket->is_present || has_address(&all, &socket->bind) ||
            has_address(&loopback, &socket->bind))
            continue;
        changed = true;
        socket_lost(a, socket, now);
        duet_ice_network_lost(a, now);
    }
    for (size_t i = 0; i < all.count; i++)
        changed = changed || !socket_for(a, &all.items[i]->address);
    if (!changed)
        return DUET_OK;
    close_absent(a);
    a->gathering = DUET_ICE_GATHERING;
    a->end_announced = false;
    int err = use_addresses(a, &all, &loopback, now);
    duet_ice_report_network(a);
    duet_ice_gather_update(a);
    return err;
}

static int answer_interfaces(duet_ice_agent *a, const duet_answer *answer, duet_time now)
{
    address_list all = {.count = 0}, loopback = {.count = 0};

    if (!a->interfaces_running)
        return interfaces_changed(a, answer, now);
    a->interfaces_running = false;
    choose_addresses(a, answer, &all, &loopback);
    for (size_t i = 0; i < a->sockets.count; i++) {
        ice_socket *socket = socket_at(a, i);
        if (socket->kind == ICE_SOCKET_HOST)
            socket->is_present = has_address(&all, &socket->bind) || has_address(&loopback, &socket->bind);
    }
    close_absent(a);
    int err = use_addresses(a, &all, &loopback, now);
    duet_ice_gather_update(a);
    return err;
}

/* ---- streams to servers ------------------------------------------------------------------------------------------------ */

ice_socket *duet_ice_stream_add(duet_ice_agent *a, const ice_server *server, const duet_address *remote,
                                const duet_address *bind)
{
    char *host = duet_strdup(&a->env, server->uri.host);
    ice_socket *socket = host && a->next_id < ICE_ID_MAX ? duet_ice_append(a, &a->sockets, sizeof(*socket)) : NULL;

    if (!socket) {
        duet_free(&a->env, host);
        a->lost_memory = true;
        return NULL;
    }
    socket->id = a->next_id++;
    socket->kind = ICE_SOCKET_SERVER;
    socket->protocol = server->uri.transport;
    socket->remote = *remote;
    socket->bind = *bind;
    socket->bind.port = 0;
    socket->host = host;
    duet_frames_init(&socket->frames, &a->env, DUET_FRAMING_TURN, ICE_STREAM_FRAME_MAX);
    return socket;
}

/* The object stays until the next gathering: its CLOSE is to be pulled. */
void duet_ice_stream_end(duet_ice_agent *a, ice_socket *socket)
{
    (void)a;
    if (socket->state == ICE_SOCKET_WANTED)
        socket->state = ICE_SOCKET_CLOSED;
    else if (socket->state == ICE_SOCKET_OPENING || socket->state == ICE_SOCKET_OPEN)
        socket->state = ICE_SOCKET_CLOSING;
    duet_frames_free(&socket->frames);
}

void duet_ice_socket_free(duet_ice_agent *a, ice_socket *socket)
{
    for (size_t i = 0; i < a->sockets.count; i++) {
        if (socket_at(a, i) != socket)
            continue;
        duet_array_remove(&a->sockets, i);
        break;
    }
    if (socket->kind == ICE_SOCKET_SERVER || socket->kind == ICE_SOCKET_TCP)
        duet_frames_free(&socket->frames);
    duet_free(&a->env, socket->host);
    duet_free(&a->env, socket);
}

/* ---- sockets --------------------------------------------------------------------------------------------------------- */

/* What is announced instead of a private address behind a 1:1 NAT. */
static duet_address announced_address(const duet_ice_agent *a, const ice_socket *socket)
{
    duet_address address = socket->local;

    address.scope = 0; /* a zone means nothing to the peer */
    if (!duet_address_is_private(&address))
        return address;
    for (size_t i = 0; i < a->nat_1to1_count; i++) {
        if (a->nat_1to1[i].family != address.family)
            continue;
        address = a->nat_1to1[i];
        address.port = socket->local.port;
        break;
    }
    return address;
}

/* "a random version 4 UUID ... followed by .local" draft-ietf-mmusic-mdns-ice-candidates section 3.1.1. A socket keeps its name. */
static int want_name(duet_ice_agent *a, ice_socket *socket)
{
    uint8_t u[16];

    if (!a->config.mdns || socket->publish != ICE_LOOKUP_NONE)
        return DUET_OK;
    int err = duet_random(&a->env, u, sizeof(u));
    if (err)
        return err;
    u[6] = (uint8_t)(0x40 | (u[6] & 0x0F)); /* RFC 9562 section 5.4 */
    u[8] = (uint8_t)(0x80 | (u[8] & 0x3F));
    snprintf(socket->name, sizeof(socket->name),
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x.local", u[0], u[1], u[2], u[3], u[4],
             u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    socket->publish = ICE_LOOKUP_WANTED;
    return DUET_OK;
}

static int add_host(duet_ice_agent *a, ice_socket *socket, duet_time now)
{
    if (duet_ice_local_host(a, socket) || a->config.policy == DUET_ICE_RELAY)
        return DUET_OK;
    int err = want_name(a, socket);
    if (err)
        return err;
    duet_address address = announced_address(a, socket);
    ice_local *local = duet_ice_local_add(a, DUET_CANDIDATE_HOST, socket, &address, NULL);
    if (!local)
        return DUET_ERR_NOMEM;
    memcpy(local->name, socket->name, sizeof(local->name));
    for (size_t i = 0; i < a->remotes.count; i++) {
        err = duet_ice_pair_form(a, local, *(ice_remote **)duet_array_at(&a->remotes, i), now);
        if (err)
            return err;
    }
    return duet_ice_tcp_add(a, socket, now);
}

static void server_failed(duet_ice_agent *a, ice_socket *socket, const duet_answer *answer, duet_time now)
{
    char text[160];

    snprintf(text, sizeof(text), "no %s connection to the server: %s", duet_protocol_name(socket->protocol),
             answer->reason ? answer->reason : duet_strerror(answer->err));
    duet_frames_free(&socket->frames);
    duet_ice_relays_socket_lost(a, socket, text, now);
    duet_ice_queries_fail(a, socket, text);
}

static int answer_open(duet_ice_agent *a, const duet_answer *answer, duet_time now)
{
    ice_socket *socket = duet_ice_socket_find(a, answer->id);

    if (!socket || socket->state != ICE_SOCKET_OPENING)
        return DUET_ERR_NOT_FOUND;
    if (answer->err != DUET_OK) {
        char text[DUET_ADDRESS_TEXT_MAX];
        duet_log(&a->env, DUET_LOG_WARN, "ice", "no socket on %s: %s",
                 duet_address_ip_text(&socket->bind, text, sizeof(text)), duet_strerror(answer->err));
        socket->state = ICE_SOCKET_FAILED;
        if (socket->kind == ICE_SOCKET_SERVER)
            server_failed(a, socket, answer, now);
        if (socket->kind == ICE_SOCKET_TCP)
            duet_ice_tcp_opened(a, socket, false, now);
        duet_ice_gather_update(a);
        return DUET_OK;
    }
    if (a->state == DUET_ICE_CLOSED) {
        socket->state = ICE_SOCKET_CLOSING;
        return DUET_OK;
    }
    socket->state = ICE_SOCKET_OPEN;
    socket->local = answer->local;
    if (socket->local.scope == 0)
        socket->local.scope = socket->bind.scope;
    if (socket->kind == ICE_SOCKET_SERVER)
        return DUET_OK; /* who waits for it begins with the next step */
    if (socket->kind == ICE_SOCKET_TCP) {
        duet_ice_tcp_opened(a, socket, true, now);
        return DUET_OK;
    }
    if (socket->kind == ICE_SOCKET_LISTENER) {
        int failed = socket->host_socket->is_present ? duet_ice_tcp_add(a, socket->host_socket, now) : DUET_OK;
        duet_ice_gather_update(a);
        return failed;
    }
    int err = socket->is_present ? add_host(a, socket, now) : DUET_OK;
    if (!err)
        err = duet_ice_queries_form(a);
    duet_ice_gather_update(a);
    return err;
}

/* A candidate whose name nobody can look up is not announced at all. */
static int answer_publish(duet_ice_agent *a, const duet_answer *answer)
{
    for (size_t i = 0; i < a->sockets.count; i++) {
        ice_socket *socket = socket_at(a, i);
        if (socket->publish != ICE_LOOKUP_RUNNING || socket->publish_id != answer->id)
            continue;
        socket->publish = ICE_LOOKUP_DONE;
        if (answer->err != DUET_OK) {
            duet_log(&a->env, DUET_LOG_WARN, "ice", "no multicast DNS name for a host candidate: %s",
                     answer->reason ? answer->reason : duet_strerror(answer->err));
            socket->publish_id = 0;
            duet_ice_locals_hide(a, socket);
        }
        duet_ice_gather_update(a);
        return DUET_OK;
    }
    return DUET_ERR_NOT_FOUND;
}

/* ---- look-ups -------------------------------------------------------------------------------------------------------- */

static int remote_resolved(duet_ice_agent *a, ice_remote *remote, const duet_answer *answer, duet_time now)
{
    remote->lookup = ICE_LOOKUP_DONE;
    for (size_t i = 0; answer->err == DUET_OK && i < answer->address_count; i++) {
        duet_address address = answer->addresses[i];
        address.port = remote->address.port;
        if (address.family == DUET_AF_INET6 && a->config.no_ipv6)
            continue;
        if (duet_address_is_any(&address) || duet_address_is_multicast(&address))
            continue;
        if (!duet_ice_remote_find(a, &address, remote->tcp_type != DUET_TCPTYPE_NONE))
            remote->address = address;
        break;
    }
    if (remote->address.family == DUET_AF_NONE) {
        a->stats.candidates_ignored++;
        return DUET_OK;
    }
    return duet_ice_pairs_form_all(a, now);
}

static int answer_resolve(duet_ice_agent *a, const duet_answer *answer, duet_time now)
{
    duet_ice_servers_resolved(a, answer);
    int err = duet_ice_queries_form(a);

    for (size_t i = 0; i < a->remotes.count && !err; i++) {
        ice_remote *remote = *(ice_remote **)duet_array_at(&a->remotes, i);
        if (remote->lookup == ICE_LOOKUP_RUNNING && remote->lookup_id == answer->id)
            err = remote_resolved(a, remote, answer, now);
    }
    duet_ice_gather_update(a);
    return err;
}

int duet_ice_gather_answer(duet_ice_agent *a, const duet_answer *answer, duet_time now)
{
    switch (answer->kind) {
    case DUET_REQUEST_INTERFACES:
        return a->state == DUET_ICE_CLOSED ? DUET_OK : answer_interfaces(a, answer, now);
    case DUET_REQUEST_OPEN:
    case DUET_REQUEST_LISTEN:
        return answer_open(a, answer, now);
    case DUET_ANSWER_ACCEPTED:
        return duet_ice_tcp_accepted(a, answer);
    case DUET_REQUEST_RESOLVE:
        return a->state == DUET_ICE_CLOSED ? DUET_OK : answer_resolve(a, answer, now);
    case DUET_REQUEST_PUBLISH:
        return a->state == DUET_ICE_CLOSED ? DUET_OK : answer_publish(a, answer);
    default:
        return DUET_ERR_INVALID;
    }
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

void duet_ice_gather_close(duet_ice_agent *a)
{
    for (size_t i = 0; i < a->sockets.count; i++) {
        ice_socket *socket = socket_at(a, i);
        if (socket->kind == ICE_SOCKET_SERVER || socket->kind == ICE_SOCKET_TCP)
            duet_ice_stream_end(a, socket);
        else if (socket->state == ICE_SOCKET_OPEN)
            socket->state = socket->kind == ICE_SOCKET_RELAY ? ICE_SOCKET_CLOSED : ICE_SOCKET_CLOSING;
        else if (socket->state == ICE_SOCKET_WANTED)
            socket->state = ICE_SOCKET_CLOSED;
    }
    a->interfaces_wanted = false;
}

void duet_ice_gather_free(duet_ice_agent *a)
{
    duet_ice_queries_clear(a);
    duet_ice_servers_free(a, &a->servers);
    duet_ice_servers_free(a, &a->next_servers);
    duet_ice_relays_free(a);
    while (a->sockets.count > 0)
        duet_ice_socket_free(a, socket_at(a, a->sockets.count - 1));
    duet_array_free(&a->sockets);
}
