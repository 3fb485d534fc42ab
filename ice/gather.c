/* Gathering: interfaces, sockets, look-ups, and the requests and answers that they need.
 *
 * RFC 8445 section 5.1.1 and RFC 8421 (IPv6 and IPv4 take turns in the order of preference). */
#include "ice/internal.h"

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
        if (socket->state <= ICE_SOCKET_OPEN && duet_address_ip_equal(&socket->bind, bind))
            return socket;
    }
    return NULL;
}

static int add_host(duet_ice_agent *a, ice_socket *socket, duet_time now);

/* Takes an address into this gathering: the open socket of an earlier one, or a new socket. */
static int use_address(duet_ice_agent *a, const duet_address *bind, uint16_t preference, duet_time now)
{
    ice_socket *socket = socket_for(a, bind);

    if (!socket) {
        if (a->sockets.count >= ICE_SOCKETS_MAX || a->next_id >= ICE_ID_MAX)
            return DUET_OK;
        socket = duet_ice_append(a, &a->sockets, sizeof(*socket));
        if (!socket)
            return DUET_ERR_NOMEM;
        socket->id = a->next_id++;
        socket->bind = *bind;
        socket->is_loopback = duet_address_is_loopback(bind);
    }
    socket->is_present = true;
    socket->local_preference = preference;
    return socket->state == ICE_SOCKET_OPEN ? add_host(a, socket, now) : DUET_OK;
}

static bool wants_all_interfaces(const duet_ice_agent *a)
{
    return a->config.bind.family == DUET_AF_NONE || duet_address_is_any(&a->config.bind);
}

int duet_ice_gather_start(duet_ice_agent *a, duet_time now)
{
    if (a->has_next_servers) {
        duet_ice_servers_free(a, &a->servers);
        a->servers = a->next_servers;
        duet_array_init(&a->next_servers, &a->env, sizeof(ice_server *));
        a->config.policy = a->next_policy;
        a->has_next_servers = false;
    }
    a->gathering = DUET_ICE_GATHERING;
    a->end_announced = false;
    duet_ice_servers_start(a);
    if (a->config.policy == DUET_ICE_RELAY)
        return DUET_OK;
    if (wants_all_interfaces(a)) {
        a->interfaces_wanted = true;
        return DUET_OK;
    }
    int err = use_address(a, &a->config.bind, UINT16_MAX, now);
    return err ? err : duet_ice_queries_form(a);
}

static bool is_gathering(const duet_ice_agent *a)
{
    if (a->interfaces_wanted || a->interfaces_running || duet_ice_queries_pending(a))
        return true;
    for (size_t i = 0; i < a->sockets.count; i++) {
        if (socket_at(a, i)->state == ICE_SOCKET_WANTED || socket_at(a, i)->state == ICE_SOCKET_OPENING)
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

static bool request_socket(duet_ice_agent *a, duet_request *out)
{
    for (size_t i = 0; i < a->sockets.count; i++) {
        ice_socket *socket = socket_at(a, i);
        if (socket->state != ICE_SOCKET_WANTED && socket->state != ICE_SOCKET_CLOSING)
            continue;
        out->id = socket->id;
        out->protocol = DUET_UDP;
        if (socket->state == ICE_SOCKET_CLOSING) {
            out->kind = DUET_REQUEST_CLOSE;
            socket->state = ICE_SOCKET_CLOSED;
            return true;
        }
        out->kind = DUET_REQUEST_OPEN;
        out->bind = socket->bind;
        out->port_min = a->config.port_min;
        out->port_max = a->config.port_max;
        socket->state = ICE_SOCKET_OPENING;
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
    if (request_socket(a, out))
        return 1;
    if (a->state == DUET_ICE_CLOSED)
        return 0;
    if (a->interfaces_wanted) {
        a->interfaces_wanted = false;
        a->interfaces_running = true;
        out->kind = DUET_REQUEST_INTERFACES;
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

/* Closes what has no address any more; the pair that still carries data keeps its socket. */
static void close_absent(duet_ice_agent *a)
{
    for (size_t i = a->sockets.count; i-- > 0;) {
        ice_socket *socket = socket_at(a, i);
        bool in_use = a->previous && a->previous->local.socket == socket;
        for (size_t k = 0; k < a->locals.count; k++)
            in_use = in_use || (*(ice_local **)duet_array_at(&a->locals, k))->socket == socket;
        if (socket->is_present || in_use)
            continue;
        if (socket->state == ICE_SOCKET_OPEN)
            socket->state = ICE_SOCKET_CLOSING;
        if (socket->state != ICE_SOCKET_FAILED && socket->state != ICE_SOCKET_CLOSED)
            continue;
        duet_array_remove(&a->sockets, i);
        duet_free(&a->env, socket);
    }
}

static int answer_interfaces(duet_ice_agent *a, const duet_answer *answer, duet_time now)
{
    address_list v6 = {.count = 0}, v4 = {.count = 0}, loopback = {.count = 0}, all = {.count = 0};
    int err = DUET_OK;

    if (!a->interfaces_running)
        return DUET_ERR_STATE;
    a->interfaces_running = false;
    for (size_t i = 0; answer->err == DUET_OK && i < answer->interface_count; i++) {
        const duet_interface *interface = &answer->interfaces[i];
        if (!is_usable(a, interface))
            continue;
        if (interface->is_loopback || duet_address_is_loopback(&interface->address))
            list_add(&loopback, interface);
        else
            list_add(interface->address.family == DUET_AF_INET6 ? &v6 : &v4, interface);
    }
    drop_link_local(&v6);
    drop_link_local(&v4);
    interleave(&all, &v6, &v4);
    for (size_t i = 0; i < a->sockets.count; i++)
        socket_at(a, i)->is_present = false;
    close_absent(a);
    for (size_t i = 0; i < all.count && !err; i++)
        err = use_address(a, &all.items[i]->address, (uint16_t)(UINT16_MAX - i), now);
    for (size_t i = 0; i < loopback.count && !err; i++)
        err = use_address(a, &loopback.items[i]->address, (uint16_t)(UINT8_MAX - i), now);
    if (!err)
        err = duet_ice_queries_form(a);
    duet_ice_gather_update(a);
    return err;
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

static int add_host(duet_ice_agent *a, ice_socket *socket, duet_time now)
{
    if (duet_ice_local_host(a, socket))
        return DUET_OK;
    duet_address address = announced_address(a, socket);
    ice_local *local = duet_ice_local_add(a, DUET_CANDIDATE_HOST, socket, &address, NULL);
    if (!local)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < a->remotes.count; i++) {
        int err = duet_ice_pair_form(a, local, *(ice_remote **)duet_array_at(&a->remotes, i), now);
        if (err)
            return err;
    }
    return DUET_OK;
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
    int err = socket->is_present ? add_host(a, socket, now) : DUET_OK;
    if (!err)
        err = duet_ice_queries_form(a);
    duet_ice_gather_update(a);
    return err;
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
        if (!duet_ice_remote_find(a, &address))
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
        return answer_open(a, answer, now);
    case DUET_REQUEST_RESOLVE:
        return a->state == DUET_ICE_CLOSED ? DUET_OK : answer_resolve(a, answer, now);
    default:
        return DUET_ERR_INVALID;
    }
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

void duet_ice_gather_close(duet_ice_agent *a)
{
    for (size_t i = 0; i < a->sockets.count; i++) {
        ice_socket *socket = socket_at(a, i);
        if (socket->state == ICE_SOCKET_OPEN)
            socket->state = ICE_SOCKET_CLOSING;
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
    for (size_t i = 0; i < a->sockets.count; i++)
        duet_free(&a->env, socket_at(a, i));
    duet_array_free(&a->sockets);
}
