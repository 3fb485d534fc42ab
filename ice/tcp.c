/* ICE-TCP: passive candidates that listen, active ones that connect, simultaneous-open ones that do so at the same time as the
 * peer, from the port of the listener; and the connections of pairs.
 *
 * RFC 6544. A pair has a connection of its own; frames on it are those of RFC 4571. An active candidate pairs with a passive one
 * and opens its connection when the pair is formed (section 6.2); a passive one has no pairs until a connection comes in and
 * a check with the right credentials on it (sections 5.2 and 7.2), which makes a peer-reflexive candidate of the peer. */
#include "ice/internal.h"

#include <string.h>

/* "active candidates ... the port is 9" RFC 6544 section 4.5 */
#define DISCARD_PORT 9

#define TYPE_PREFERENCE_HOST  90 /* below every UDP candidate but relayed ones, RFC 6544 section 4.2 */
#define TYPE_PREFERENCE_PRFLX 80

#define DIRECTION_ACTIVE  6 /* direction-pref of host candidates, RFC 6544 section 4.2 */
#define DIRECTION_PASSIVE 4
#define DIRECTION_SO      2

#define ACCEPTED_MAX 32 /* connections that came in; the oldest one without a pair makes room for another */
#define CONNECT_MAX  32 /* connections of our own at a time */
#define FRAME_MAX    (DUET_FRAMING_LENGTH_LEN + UINT16_MAX)

static ice_socket *socket_at(const duet_ice_agent *a, size_t index)
{
    return *(ice_socket **)duet_array_at(&a->sockets, index);
}

/* "local preference = (2^13) * direction-pref + other-pref" RFC 6544 section 4.2 */
static uint32_t priority(const ice_socket *host, unsigned type_preference, duet_tcp_type type)
{
    unsigned direction = type == DUET_TCPTYPE_ACTIVE    ? DIRECTION_ACTIVE
                         : type == DUET_TCPTYPE_PASSIVE ? DIRECTION_PASSIVE
                                                        : DIRECTION_SO;

    return duet_ice_priority(type_preference, (uint16_t)(direction << 13 | host->local_preference >> 3));
}

uint32_t duet_ice_tcp_check_priority(const ice_pair *pair)
{
    return priority(pair->local->socket, TYPE_PREFERENCE_PRFLX, (duet_tcp_type)pair->local->tcp_type);
}

/* ---- candidates --------------------------------------------------------------------------------------------------------- */

static ice_socket *listener_of(const duet_ice_agent *a, const ice_socket *host)
{
    for (size_t i = 0; i < a->sockets.count; i++) {
        if (socket_at(a, i)->kind == ICE_SOCKET_LISTENER && socket_at(a, i)->host_socket == host)
            return socket_at(a, i);
    }
    return NULL;
}

static ice_local *local_of(const duet_ice_agent *a, const ice_socket *host, duet_tcp_type type)
{
    for (size_t i = 0; i < a->locals.count; i++) {
        ice_local *local = *(ice_local **)duet_array_at(&a->locals, i);
        if (local->socket == host && local->tcp_type == type && local->type == DUET_CANDIDATE_HOST)
            return local;
    }
    return NULL;
}

static int add_local(duet_ice_agent *a, ice_socket *host, duet_tcp_type type, uint16_t port, duet_time now)
{
    duet_address address = host->local;

    if (local_of(a, host, type))
        return DUET_OK;
    address.port = port;
    address.scope = 0;
    ice_local *local = duet_ice_local_add(a, DUET_CANDIDATE_HOST, host, &address, NULL);
    if (!local)
        return DUET_ERR_NOMEM;
    local->tcp_type = (uint8_t)type;
    local->priority = priority(host, TYPE_PREFERENCE_HOST, type);
    local->foundation ^= 0x54435000u; /* "TCP": another protocol is another foundation, RFC 8445 section 5.1.1.3 */
    memcpy(local->name, host->name, sizeof(local->name));
    for (size_t i = 0; i < a->remotes.count; i++) {
        int err = duet_ice_pair_form(a, local, *(ice_remote **)duet_array_at(&a->remotes, i), now);
        if (err)
            return err;
    }
    return DUET_OK;
}

/* The candidates beside a UDP host candidate; the passive one follows when its listener is open. */
int duet_ice_tcp_add(duet_ice_agent *a, ice_socket *host, duet_time now)
{
    if (!a->config.tcp || a->config.policy == DUET_ICE_RELAY || host->kind != ICE_SOCKET_HOST)
        return DUET_OK;
    ice_socket *listener = listener_of(a, host);
    int err = a->config.lite ? DUET_OK : add_local(a, host, DUET_TCPTYPE_ACTIVE, DISCARD_PORT, now);
    if (err)
        return err;
    if (listener && listener->state == ICE_SOCKET_OPEN) {
        err = add_local(a, host, DUET_TCPTYPE_PASSIVE, listener->local.port, now);
        if (!err && !a->config.lite)
            err = add_local(a, host, DUET_TCPTYPE_SO, listener->local.port, now);
        return err;
    }
    if (listener || a->next_id >= ICE_ID_MAX)
        return DUET_OK;
    listener = duet_ice_append(a, &a->sockets, sizeof(*listener));
    if (!listener)
        return DUET_ERR_NOMEM;
    listener->id = a->next_id++;
    listener->kind = ICE_SOCKET_LISTENER;
    listener->protocol = DUET_TCP;
    listener->host_socket = host;
    listener->bind = host->bind;
    return DUET_OK;
}

/* ---- connections ---------------------------------------------------------------------------------------------------------- */

static size_t count_connections(const duet_ice_agent *a, bool accepted)
{
    size_t count = 0;

    for (size_t i = 0; i < a->sockets.count; i++) {
        const ice_socket *socket = socket_at(a, i);
        count += socket->kind == ICE_SOCKET_TCP && (socket->id >= DUET_SOCKET_ACCEPTED) == accepted;
    }
    return count;
}

static ice_socket *connection_new(duet_ice_agent *a, ice_socket *host, uint32_t id)
{
    ice_socket *socket = duet_ice_append(a, &a->sockets, sizeof(*socket));

    if (!socket)
        return NULL;
    socket->id = id;
    socket->kind = ICE_SOCKET_TCP;
    socket->protocol = DUET_TCP;
    socket->host_socket = host;
    socket->is_present = true;
    duet_frames_init(&socket->frames, &a->env, DUET_FRAMING_LENGTH, FRAME_MAX);
    return socket;
}

/* The connection of a pair that is about to be formed; NULL when there are too many, or for want of memory. */
ice_socket *duet_ice_tcp_connect(duet_ice_agent *a, const ice_local *local, const ice_remote *remote)
{
    if (count_connections(a, false) >= CONNECT_MAX || a->next_id >= ICE_ID_MAX)
        return NULL;
    ice_socket *socket = connection_new(a, local->socket, a->next_id);
    if (!socket)
        return NULL;
    a->next_id++;
    socket->bind = local->socket->bind;
    socket->bind.port = local->tcp_type == DUET_TCPTYPE_SO ? local->address.port : 0;
    socket->local = socket->bind;
    socket->remote = remote->address;
    if (duet_address_is_link_local(&socket->remote))
        socket->remote.scope = local->socket->local.scope;
    return socket;
}

static bool has_pair(const duet_ice_agent *a, const ice_socket *connection)
{
    if (a->previous && a->previous->pair->connection == connection)
        return true;
    for (size_t i = 0; i < a->pairs.count; i++) {
        if ((*(ice_pair **)duet_array_at(&a->pairs, i))->connection == connection)
            return true;
    }
    return false;
}

/* Whoever connects and says nothing that can be authenticated must not keep others out. */
static bool make_room(duet_ice_agent *a)
{
    if (count_connections(a, true) < ACCEPTED_MAX)
        return true;
    for (size_t i = 0; i < a->sockets.count; i++) {
        ice_socket *socket = socket_at(a, i);
        if (socket->kind != ICE_SOCKET_TCP || socket->id < DUET_SOCKET_ACCEPTED || has_pair(a, socket))
            continue;
        duet_ice_stream_end(a, socket);
        return true;
    }
    return false;
}

int duet_ice_tcp_accepted(duet_ice_agent *a, const duet_answer *answer)
{
    ice_socket *listener = duet_ice_socket_find(a, answer->id);

    if (answer->accepted < DUET_SOCKET_ACCEPTED || duet_ice_socket_find(a, answer->accepted))
        return DUET_ERR_INVALID;
    bool is_welcome = listener && listener->kind == ICE_SOCKET_LISTENER && listener->state == ICE_SOCKET_OPEN &&
                      a->state != DUET_ICE_CLOSED && make_room(a);
    ice_socket *socket = connection_new(a, is_welcome ? listener->host_socket : NULL, answer->accepted);
    if (!socket)
        return DUET_ERR_NOMEM;
    socket->state = is_welcome ? ICE_SOCKET_OPEN : ICE_SOCKET_CLOSING;
    socket->local = answer->local;
    socket->remote = answer->remote;
    return DUET_OK;
}

/* The candidate that a check on a connection is for, or NULL. */
ice_local *duet_ice_tcp_local(const duet_ice_agent *a, const ice_socket *connection)
{
    bool accepted = connection->id >= DUET_SOCKET_ACCEPTED;

    if (accepted)
        return local_of(a, connection->host_socket, DUET_TCPTYPE_PASSIVE);
    return local_of(a, connection->host_socket, connection->bind.port ? DUET_TCPTYPE_SO : DUET_TCPTYPE_ACTIVE);
}

/* The connection is there, or will not be. */
void duet_ice_tcp_opened(duet_ice_agent *a, ice_socket *connection, bool ok, duet_time now)
{
    for (size_t i = a->pairs.count; i-- > 0;) {
        ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, i);
        if (pair->connection != connection)
            continue;
        pair->path.local = connection->local;
        if (!ok)
            duet_ice_pair_lost(a, pair, "no TCP connection", now);
    }
    if (!ok)
        duet_ice_tcp_end(a, connection);
}

/* The pairs stay, as failed ones; the object goes when its CLOSE was pulled. */
void duet_ice_tcp_end(duet_ice_agent *a, ice_socket *connection)
{
    for (size_t i = 0; i < a->pairs.count; i++) {
        ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, i);
        if (pair->connection == connection)
            pair->connection = NULL;
    }
    if (a->previous && a->previous->pair->connection == connection)
        a->previous->pair->connection = NULL;
    if (connection->state == ICE_SOCKET_FAILED || connection->state == ICE_SOCKET_WANTED)
        duet_ice_socket_free(a, connection);
    else
        duet_ice_stream_end(a, connection);
}

/* The pair goes; its connection too, unless the pair of another generation uses it. */
void duet_ice_tcp_release(duet_ice_agent *a, ice_pair *pair)
{
    ice_socket *connection = pair->connection;

    pair->connection = NULL;
    if (connection && !has_pair(a, connection))
        duet_ice_tcp_end(a, connection);
}

bool duet_ice_tcp_is_ready(const ice_pair *pair)
{
    return pair->path.protocol == DUET_UDP || (pair->connection && pair->connection->state == ICE_SOCKET_OPEN);
}

/* The active side of a pair that worked connects once more; the passive one waits for that. */
static void connect_again(duet_ice_agent *a, ice_pair *pair, duet_time now)
{
    ice_local *local = pair->local;
    ice_remote *remote = pair->remote;

    if (local->tcp_type == DUET_TCPTYPE_PASSIVE)
        return;
    duet_ice_pair_remove(a, pair);
    (void)duet_ice_pair_form(a, local, remote, now);
}

/* The peer ended it, or what came on it cannot be understood. Another connection may follow, so this is not yet failure. */
void duet_ice_tcp_lost(duet_ice_agent *a, ice_socket *connection, duet_time now)
{
    ice_pair *worked = NULL;

    if (a->previous && a->previous->pair->connection == connection)
        duet_ice_pair_lost(a, a->previous->pair, "its TCP connection has ended", now);
    for (size_t i = a->pairs.count; i-- > 0;) {
        ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, i);
        if (pair->connection != connection || pair->state == DUET_ICE_PAIR_FAILED)
            continue;
        if (pair == a->selected)
            duet_ice_network_lost(a, now);
        worked = pair->valid ? pair : worked;
        duet_ice_pair_lost(a, pair, "its TCP connection has ended", now);
    }
    duet_ice_tcp_end(a, connection);
    if (worked)
        connect_again(a, worked, now);
}

/* "|  LENGTH  | STUN or application data |" RFC 4571 section 2 */
int duet_ice_tcp_frame(duet_datagram *out)
{
    if (out->len > UINT16_MAX)
        return DUET_ERR_TOO_LARGE;
    if (out->headroom < DUET_FRAMING_LENGTH_LEN)
        return DUET_ERR_BUFFER;
    duet_writer w = duet_writer_init(out->data - DUET_FRAMING_LENGTH_LEN, DUET_FRAMING_LENGTH_LEN);
    duet_write_u16(&w, (uint16_t)out->len);
    out->data -= DUET_FRAMING_LENGTH_LEN;
    out->headroom -= DUET_FRAMING_LENGTH_LEN;
    out->len += DUET_FRAMING_LENGTH_LEN;
    return DUET_OK;
}
