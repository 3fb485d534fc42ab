/* ICE restart: the selected pair of the old generation lives on until the new one has its own.
 *
 * RFC 8445 section 9 and RFC 8839 section 4.4.3.1.1. */
#include "base/crypto.h"
#include "ice/internal.h"

/* Takes the selected pair, and what it refers to, out of the generation that is about to end. */
int duet_ice_keep_previous(duet_ice_agent *a, duet_time now)
{
    ice_pair *pair = a->selected;

    if (pair && pair->previous)
        return DUET_OK; /* restarted twice: the pair that works is older still */
    if (!pair) {
        duet_ice_previous_free(a);
        return DUET_OK;
    }
    ice_previous *previous = duet_calloc(&a->env, sizeof(*previous));
    if (!previous)
        return DUET_ERR_NOMEM;
    duet_ice_previous_free(a);
    previous->local_credentials = a->local_credentials;
    previous->remote_credentials = a->remote_credentials;
    previous->local = *pair->local;
    previous->mapped = pair->mapped ? *pair->mapped : *pair->local;
    previous->remote = *pair->remote;
    previous->remote.name = NULL;
    previous->pair = pair;
    for (size_t i = 0; i < a->pairs.count; i++) {
        if (*(ice_pair **)duet_array_at(&a->pairs, i) != pair)
            continue;
        duet_array_remove(&a->pairs, i);
        break;
    }
    duet_ice_transactions_of_pair(a, pair);
    duet_ice_triggered_remove(a, pair);
    pair->local = &previous->local;
    pair->mapped = &previous->mapped;
    pair->remote = &previous->remote;
    pair->previous = true;
    pair->state = DUET_ICE_PAIR_SUCCEEDED;
    pair->nominated = false;
    a->previous = previous;
    bool disconnected = a->disconnected;
    duet_ice_consent_begin(a, now);
    a->disconnected = disconnected;
    return DUET_OK;
}

void duet_ice_previous_free(duet_ice_agent *a)
{
    ice_previous *previous = a->previous;

    if (!previous)
        return;
    duet_ice_transactions_of_pair(a, previous->pair);
    if (a->selected == previous->pair)
        a->selected = NULL;
    if (a->reported_selected == previous->pair)
        a->reported_selected = NULL;
    duet_ice_tcp_release(a, previous->pair);
    duet_free(&a->env, previous->pair);
    duet_wipe(&previous->local_credentials, sizeof(previous->local_credentials));
    duet_wipe(&previous->remote_credentials, sizeof(previous->remote_credentials));
    duet_free(&a->env, previous);
    a->previous = NULL;
}

/* Forgets pairs, remote candidates and everything that was decided from them; local candidates stay. */
void duet_ice_generation_clear(duet_ice_agent *a)
{
    duet_ice_pairs_clear(a);
    duet_ice_candidates_clear_remote(a);
    duet_array_free(&a->early);
    duet_timers_cancel(&a->timers, &a->pace_timer);
    duet_timers_cancel(&a->timers, &a->nominate_timer);
    duet_timers_cancel(&a->timers, &a->patience_timer);
    duet_timers_cancel(&a->timers, &a->conclude_timer);
    a->nominated = a->nominating = NULL;
    a->first_valid = DUET_NEVER;
    a->started = false;
    a->patience_over = false;
    a->was_connected = false;
}
