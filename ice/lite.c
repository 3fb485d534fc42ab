/* ICE-lite: host candidates, and answers to the checks of a full peer.
 *
 * RFC 8445 sections 2.5, 7.3.2 and 8.2. A lite agent sends no checks; a pair works when the peer has checked it, and is
 * chosen when the peer says USE-CANDIDATE. The peer's consent checks are its sign of life. */
#include "ice/internal.h"

/* The peer's consent checks come every 4 to 6 s (RFC 7675): three in a row may be lost. */
#define SILENCE DUET_SECONDS(15)

void duet_ice_lite_request(duet_ice_agent *a, const duet_path *path, uint32_t priority, bool use_candidate,
                           duet_time now)
{
    ice_pair *pair = duet_ice_pair_find(a, path);

    if (!pair || pair->previous)
        pair = duet_ice_pair_learn(a, path, priority);
    if (!pair)
        return;
    pair->checked_by_peer = true;
    pair->requests_received++;
    pair->mapped = pair->local;
    pair->valid = true;
    duet_ice_pair_set_state(a, pair, DUET_ICE_PAIR_SUCCEEDED, now);
    duet_ice_heard(a, pair, true, now);
    if (use_candidate)
        duet_ice_nominated(a, pair, now);
}

/* Two lite agents check nothing: the pair of the highest priority is taken (RFC 8445 section 8.2.2). */
void duet_ice_lite_select(duet_ice_agent *a, duet_time now)
{
    if (!a->remote_is_lite || !a->started || a->nominated)
        return;
    for (size_t i = 0; i < a->locals.count; i++) {
        for (size_t k = 0; k < a->remotes.count; k++) {
            ice_local *local = *(ice_local **)duet_array_at(&a->locals, i);
            ice_remote *remote = *(ice_remote **)duet_array_at(&a->remotes, k);
            duet_path path = {.socket = local->socket->id, .remote = remote->address};
            const ice_pair *known = duet_ice_pair_find(a, &path);
            if (duet_ice_can_pair(a, local, remote) && (!known || known->previous))
                (void)duet_ice_pair_add(a, local, remote, NULL);
        }
    }
    if (a->pairs.count == 0)
        return;
    ice_pair *best = *(ice_pair **)duet_array_at(&a->pairs, 0);
    best->mapped = best->local;
    best->valid = true;
    best->checked_by_peer = true; /* there will be no checks to validate its data */
    best->last_response = best->last_heard = now;
    duet_ice_pair_set_state(a, best, DUET_ICE_PAIR_SUCCEEDED, now);
    duet_ice_nominated(a, best, now);
    for (size_t i = a->pairs.count; i-- > 1;)
        duet_ice_pair_remove(a, *(ice_pair **)duet_array_at(&a->pairs, i));
}

/* Wakes when the peer may have been silent for too long; what came meanwhile only puts that off. */
void duet_ice_lite_watch(duet_ice_agent *a, duet_time now)
{
    ice_pair *pair = a->selected;
    duet_time end = a->config.failed_timeout ? a->config.failed_timeout : DUET_SECONDS(30);
    duet_time silence = a->config.disconnected_timeout > SILENCE ? a->config.disconnected_timeout : SILENCE;

    if (!pair || a->remote_is_lite)
        return;
    if (now >= pair->last_heard + end) {
        duet_ice_pair_lost(a, pair, "the peer is silent", now);
        return;
    }
    a->disconnected = now >= pair->last_heard + silence;
    duet_timers_set(&a->timers, &a->watch_timer, pair->last_heard + (a->disconnected ? end : silence));
}
