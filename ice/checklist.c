/* The checklist: forming, pruning and ordering candidate pairs, their states, freezing, the triggered-check queue.
 *
 * RFC 8445 sections 6.1.2, 6.1.4 and 7.2.5.3.3; RFC 8838 section 12 for pairs that come late. There is one checklist,
 * because an agent serves one component. Its array is sorted, highest priority first. */
#include "ice/internal.h"

#include <stdio.h>
#include <string.h>

static ice_pair *pair_at(const duet_ice_agent *a, size_t index)
{
    return *(ice_pair **)duet_array_at(&a->pairs, index);
}

/* "pair priority = 2^32*MIN(G,D) + 2*MAX(G,D) + (G>D?1:0)" RFC 8445 section 6.1.2.3 */
static uint64_t pair_priority(const duet_ice_agent *a, const ice_local *local, const ice_remote *remote)
{
    bool controlling = a->role == DUET_ICE_CONTROLLING;
    uint64_t g = controlling ? local->priority : remote->priority;
    uint64_t d = controlling ? remote->priority : local->priority;
    uint64_t low = g < d ? g : d;
    uint64_t high = g < d ? d : g;

    return (low << 32) + 2 * high + (g > d ? 1 : 0);
}

void duet_ice_pair_set_state(duet_ice_agent *a, ice_pair *pair, duet_ice_pair_state state, duet_time now)
{
    if (pair->state == state)
        return;
    duet_ice_pair_state from = pair->state;
    pair->state = state;
    if (!a->env.trace && a->env.log_level < DUET_LOG_DEBUG)
        return;

    char local[DUET_ADDRESS_TEXT_MAX], remote[DUET_ADDRESS_TEXT_MAX], subject[2 * DUET_ADDRESS_TEXT_MAX + 16];
    duet_address_text(&pair->path.local, local, sizeof(local));
    duet_address_text(&pair->path.remote, remote, sizeof(remote));
    snprintf(subject, sizeof(subject), "pair %s %s", local, remote);
    duet_trace_state(&a->env, now, "ice", subject, duet_ice_pair_state_name(from), duet_ice_pair_state_name(state),
                     "check");
    duet_log(&a->env, DUET_LOG_DEBUG, "ice", "%s: %s to %s", subject, duet_ice_pair_state_name(from),
             duet_ice_pair_state_name(state));
}

static bool same_foundation(const ice_pair *p, const ice_pair *q)
{
    return p->local->foundation == q->local->foundation && strcmp(p->remote->foundation, q->remote->foundation) == 0;
}

bool duet_ice_pair_is_running(const ice_pair *pair)
{
    return pair->state == DUET_ICE_PAIR_FROZEN || pair->state == DUET_ICE_PAIR_WAITING ||
           pair->state == DUET_ICE_PAIR_IN_PROGRESS;
}

bool duet_ice_pairs_running(const duet_ice_agent *a)
{
    for (size_t i = 0; i < a->pairs.count; i++) {
        if (duet_ice_pair_is_running(pair_at(a, i)))
            return true;
    }
    return false;
}

/* ---- membership ---------------------------------------------------------------------------------------------- */

static bool path_matches(const ice_pair *pair, const duet_path *path)
{
    return pair->path.socket == path->socket && duet_ice_same_address(&pair->path.remote, &path->remote);
}

ice_pair *duet_ice_pair_find(const duet_ice_agent *a, const duet_path *path)
{
    if (a->selected && !a->selected->previous && path_matches(a->selected, path))
        return a->selected;
    for (size_t i = 0; i < a->pairs.count; i++) {
        if (path_matches(pair_at(a, i), path))
            return pair_at(a, i);
    }
    return duet_ice_pair_previous(a, path);
}

/* A pair of the new generation may have the same path: both are meant by what comes in on it. */
ice_pair *duet_ice_pair_previous(const duet_ice_agent *a, const duet_path *path)
{
    return a->previous && path_matches(a->previous->pair, path) ? a->previous->pair : NULL;
}

/* The place of a pair of that priority; equal ones stay in the order in which they came. */
static void pairs_sort_in(duet_ice_agent *a, size_t index)
{
    ice_pair **pairs = a->pairs.items;

    for (; index > 0 && pairs[index - 1]->priority < pairs[index]->priority; index--) {
        ice_pair *swap = pairs[index];
        pairs[index] = pairs[index - 1];
        pairs[index - 1] = swap;
    }
}

void duet_ice_pairs_reprioritize(duet_ice_agent *a)
{
    for (size_t i = 0; i < a->pairs.count; i++)
        pair_at(a, i)->priority = pair_priority(a, pair_at(a, i)->local, pair_at(a, i)->remote);
    for (size_t i = 1; i < a->pairs.count; i++)
        pairs_sort_in(a, i);
}

static void forget(duet_ice_agent *a, ice_pair *pair)
{
    duet_ice_triggered_remove(a, pair);
    duet_ice_transactions_of_pair(a, pair);
    if (a->selected == pair)
        a->selected = NULL;
    if (a->reported_selected == pair)
        a->reported_selected = NULL;
    if (a->nominated == pair)
        a->nominated = NULL;
    if (a->nominating == pair)
        a->nominating = NULL;
    duet_ice_tcp_release(a, pair);
    duet_free(&a->env, pair);
}

void duet_ice_pair_remove(duet_ice_agent *a, ice_pair *pair)
{
    for (size_t i = 0; i < a->pairs.count; i++) {
        if (pair_at(a, i) != pair)
            continue;
        duet_array_remove(&a->pairs, i);
        break;
    }
    forget(a, pair);
}

void duet_ice_pairs_clear(duet_ice_agent *a)
{
    while (a->pairs.count > 0) {
        ice_pair *pair = pair_at(a, a->pairs.count - 1);
        a->pairs.count--;
        forget(a, pair);
    }
    a->triggered_first = a->triggered_last = NULL;
}

/* "the agent MUST discard the candidate pairs with the lowest priority until the number is below the limit" RFC 8445
 * section 6.1.2.5. Pairs that work, or are being checked, are worth more than their priority. */
static bool make_room(duet_ice_agent *a, uint64_t priority)
{
    if (a->pairs.count < DUET_ICE_PAIRS_MAX)
        return true;
    a->stats.pairs_dropped++;
    for (size_t i = a->pairs.count; i-- > 0;) {
        ice_pair *pair = pair_at(a, i);
        if (pair->priority >= priority && pair->state != DUET_ICE_PAIR_FAILED)
            continue;
        if (pair->valid || pair->is_triggered || pair->state == DUET_ICE_PAIR_IN_PROGRESS)
            continue;
        duet_ice_pair_remove(a, pair);
        return true;
    }
    return false;
}

/* A new pair, frozen; NULL when it is not worth its place, or for want of memory (a->lost_memory says which). */
ice_pair *duet_ice_pair_add(duet_ice_agent *a, ice_local *local, ice_remote *remote, ice_socket *connection)
{
    uint64_t priority = pair_priority(a, local, remote);

    if (!duet_ice_relay_permit(local->socket, &remote->address) || !make_room(a, priority))
        return NULL;
    ice_pair *pair = duet_ice_append(a, &a->pairs, sizeof(*pair));
    if (!pair)
        return NULL;
    pair->local = local;
    pair->remote = remote;
    pair->priority = priority;
    pair->path = (duet_path){
        .socket = local->socket->id, .protocol = DUET_UDP, .local = local->socket->local, .remote = remote->address};
    if (connection) {
        pair->connection = connection;
        pair->path.socket = connection->id;
        pair->path.protocol = DUET_TCP;
        pair->path.local = connection->local;
    }
    /* A signalled link-local address has no zone; it is the one of the base. */
    if (duet_address_is_link_local(&remote->address))
        pair->path.remote.scope = local->socket->local.scope;
    pair->state = DUET_ICE_PAIR_FROZEN;
    pairs_sort_in(a, a->pairs.count - 1);
    return pair;
}

/* ---- forming ------------------------------------------------------------------------------------------------- */

static bool only_loopback(const duet_ice_agent *a, uint8_t family)
{
    for (size_t i = 0; i < a->sockets.count; i++) {
        const ice_socket *socket = *(ice_socket **)duet_array_at(&a->sockets, i);
        if (socket->kind == ICE_SOCKET_HOST && socket->state == ICE_SOCKET_OPEN && !socket->is_loopback &&
            socket->local.family == family)
            return false;
    }
    return true;
}

/* The table of RFC 6544 section 6.2, without passive local ones: these wait for the peer to connect. */
static bool tcp_types_match(duet_tcp_type local, duet_tcp_type remote)
{
    if (local == DUET_TCPTYPE_ACTIVE)
        return remote == DUET_TCPTYPE_PASSIVE;
    return local != DUET_TCPTYPE_PASSIVE && local == remote;
}

bool duet_ice_can_pair(const duet_ice_agent *a, const ice_local *local, const ice_remote *remote)
{
    /* Reflexive candidates are replaced by their base, and that pair exists already (RFC 8445, 6.1.2.4). */
    bool is_relay = local->type == DUET_CANDIDATE_RELAY;
    if (!is_relay && (local->type != DUET_CANDIDATE_HOST || a->config.policy == DUET_ICE_RELAY))
        return false;
    if (!tcp_types_match((duet_tcp_type)local->tcp_type, (duet_tcp_type)remote->tcp_type))
        return false;
    const duet_address *base = &local->socket->local;
    if (base->family != remote->address.family)
        return false;
    /* "IPv6 link-local addresses MUST NOT be paired with other than link-local addresses" RFC 8445, 6.1.2.2 */
    if (base->family == DUET_AF_INET6 &&
        duet_address_is_link_local(base) != duet_address_is_link_local(&remote->address))
        return false;
    /* Nobody else's candidate may send checks to services of this host; and loopback reaches nothing else. */
    bool remote_loopback = duet_address_is_loopback(&remote->address);
    if (local->socket->is_loopback == remote_loopback || (is_relay && !remote_loopback))
        return true;
    return local->socket->is_loopback && only_loopback(a, base->family);
}

/* RFC 8838 section 12: a late pair waits when its foundation is known to work, or has nobody else in work. */
static duet_ice_pair_state initial_state(const duet_ice_agent *a, const ice_pair *pair)
{
    bool in_work = false;

    for (size_t i = 0; i < a->pairs.count; i++) {
        const ice_pair *other = pair_at(a, i);
        if (other == pair || !same_foundation(other, pair))
            continue;
        if (other->state == DUET_ICE_PAIR_SUCCEEDED)
            return DUET_ICE_PAIR_WAITING;
        in_work = in_work || other->state == DUET_ICE_PAIR_WAITING || other->state == DUET_ICE_PAIR_IN_PROGRESS;
    }
    return in_work ? DUET_ICE_PAIR_FROZEN : DUET_ICE_PAIR_WAITING;
}

static bool is_paired(const duet_ice_agent *a, const ice_local *local, const ice_remote *remote)
{
    duet_path path = {.socket = local->socket->id, .remote = remote->address};

    if (local->tcp_type == DUET_TCPTYPE_NONE) {
        const ice_pair *known = duet_ice_pair_find(a, &path);
        return known && !known->previous;
    }
    for (size_t i = 0; i < a->pairs.count; i++) {
        if (pair_at(a, i)->local == local && pair_at(a, i)->remote == remote)
            return true;
    }
    return false;
}

int duet_ice_pair_form(duet_ice_agent *a, ice_local *local, ice_remote *remote, duet_time now)
{
    if (!a->started || a->config.lite || !duet_ice_can_pair(a, local, remote))
        return DUET_OK;
    /* The controlling agent has concluded (RFC 8445, 8.1.2). The controlled one goes on with what is better. */
    if (a->nominated && a->role == DUET_ICE_CONTROLLING)
        return DUET_OK;
    if (a->nominated && pair_priority(a, local, remote) < a->nominated->priority)
        return DUET_OK;
    if (is_paired(a, local, remote))
        return DUET_OK;
    ice_socket *connection = NULL;
    if (local->tcp_type != DUET_TCPTYPE_NONE) {
        connection = duet_ice_tcp_connect(a, local, remote);
        if (!connection)
            return a->lost_memory ? DUET_ERR_NOMEM : DUET_OK;
    }
    ice_pair *pair = duet_ice_pair_add(a, local, remote, connection);
    if (!pair) {
        if (connection)
            duet_ice_tcp_end(a, connection);
        return a->lost_memory ? DUET_ERR_NOMEM : DUET_OK;
    }
    duet_ice_pair_set_state(a, pair, initial_state(a, pair), now);
    return DUET_OK;
}

int duet_ice_pairs_form_all(duet_ice_agent *a, duet_time now)
{
    for (size_t i = 0; i < a->locals.count; i++) {
        for (size_t k = 0; k < a->remotes.count; k++) {
            int err = duet_ice_pair_form(a, *(ice_local **)duet_array_at(&a->locals, i),
                                         *(ice_remote **)duet_array_at(&a->remotes, k), now);
            if (err)
                return err;
        }
    }
    return DUET_OK;
}

/* ---- choosing the next ----------------------------------------------------------------------------------------- */

/* "the agent ... sets the states of all Frozen candidate pairs with the same foundation to Waiting" RFC 8445, 7.2.5.3.3 */
void duet_ice_pairs_unfreeze(duet_ice_agent *a, const ice_pair *like, duet_time now)
{
    for (size_t i = 0; i < a->pairs.count; i++) {
        ice_pair *pair = pair_at(a, i);
        if (pair->state == DUET_ICE_PAIR_FROZEN && same_foundation(pair, like))
            duet_ice_pair_set_state(a, pair, DUET_ICE_PAIR_WAITING, now);
    }
}

/* RFC 8445 section 6.1.4.2: the highest one that waits, else the highest frozen one whose foundation is not in work. */
ice_pair *duet_ice_pair_next(duet_ice_agent *a, duet_time now)
{
    for (size_t i = 0; i < a->pairs.count; i++) {
        ice_pair *pair = pair_at(a, i);
        if (pair->state == DUET_ICE_PAIR_WAITING && !pair->is_triggered && duet_ice_tcp_is_ready(pair))
            return pair;
    }
    for (size_t i = 0; i < a->pairs.count; i++) {
        ice_pair *pair = pair_at(a, i);
        if (pair->state != DUET_ICE_PAIR_FROZEN || !duet_ice_tcp_is_ready(pair) ||
            initial_state(a, pair) != DUET_ICE_PAIR_WAITING)
            continue;
        duet_ice_pair_set_state(a, pair, DUET_ICE_PAIR_WAITING, now);
        return pair;
    }
    return NULL;
}

/* ---- the triggered-check queue, first in first out, RFC 8445 section 6.1.4.1 ------------------------------------ */

void duet_ice_trigger(duet_ice_agent *a, ice_pair *pair, duet_time now)
{
    if (pair->check)
        duet_ice_transaction_cancel(a, pair->check);
    duet_ice_pair_set_state(a, pair, DUET_ICE_PAIR_WAITING, now);
    if (pair->is_triggered)
        return;
    pair->is_triggered = true;
    pair->next_triggered = NULL;
    if (a->triggered_last)
        a->triggered_last->next_triggered = pair;
    else
        a->triggered_first = pair;
    a->triggered_last = pair;
}

ice_pair *duet_ice_triggered_pop(duet_ice_agent *a)
{
    ice_pair *pair = a->triggered_first;

    if (pair)
        duet_ice_triggered_remove(a, pair);
    return pair;
}

void duet_ice_triggered_remove(duet_ice_agent *a, ice_pair *pair)
{
    ice_pair *before = NULL;

    if (!pair->is_triggered)
        return;
    for (ice_pair *at = a->triggered_first; at != pair; at = at->next_triggered)
        before = at;
    if (before)
        before->next_triggered = pair->next_triggered;
    else
        a->triggered_first = pair->next_triggered;
    if (a->triggered_last == pair)
        a->triggered_last = before;
    pair->is_triggered = false;
    pair->next_triggered = NULL;
}
