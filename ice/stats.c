/* What can be asked of an agent: states, candidates, pairs, counters.
 *
 * Names and meaning are those of W3C webrtc-stats, RTCIceCandidatePairStats. */
#include "ice/internal.h"

duet_ice_state duet_ice_agent_state(const duet_ice_agent *a)
{
    return a->state;
}

duet_ice_gathering_state duet_ice_agent_gathering(const duet_ice_agent *a)
{
    return a->gathering;
}

duet_time duet_ice_agent_rtt(const duet_ice_agent *a)
{
    return a->selected ? a->selected->rtt : 0;
}

const duet_candidate *duet_ice_agent_local_candidate(const duet_ice_agent *a, size_t index)
{
    duet_ice_agent *writable = (duet_ice_agent *)(uintptr_t)a; /* the view is a cache */

    if (index >= a->locals.count)
        return NULL;
    duet_ice_local_view(&writable->local_view, *(ice_local **)duet_array_at(&a->locals, index),
                        a->local_credentials.ufrag);
    return &a->local_view;
}

const duet_candidate *duet_ice_agent_remote_candidate(const duet_ice_agent *a, size_t index)
{
    duet_ice_agent *writable = (duet_ice_agent *)(uintptr_t)a;

    if (index >= a->remotes.count)
        return NULL;
    duet_ice_remote_view(&writable->remote_view, *(ice_remote **)duet_array_at(&a->remotes, index),
                         a->remote_credentials.ufrag);
    return &a->remote_view;
}

void duet_ice_agent_get_stats(const duet_ice_agent *a, duet_ice_stats *out)
{
    *out = a->stats;
    out->pair_count = a->pairs.count;
}

static size_t index_of(const duet_array *array, const void *object)
{
    size_t i = 0;

    while (i < array->count && *(void **)duet_array_at(array, i) != object)
        i++;
    return i;
}

int duet_ice_agent_get_pair(const duet_ice_agent *a, size_t index, duet_ice_pair_stats *out)
{
    if (index >= a->pairs.count)
        return DUET_ERR_NOT_FOUND;
    const ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, index);
    *out = (duet_ice_pair_stats){
        .local = index_of(&a->locals, pair->mapped ? pair->mapped : pair->local),
        .remote = index_of(&a->remotes, pair->remote),
        .state = pair->state,
        .nominated = pair->nominated,
        .selected = pair == a->selected,
        .priority = pair->priority,
        .requests_sent = pair->requests_sent,
        .requests_received = pair->requests_received,
        .responses_sent = pair->responses_sent,
        .responses_received = pair->responses_received,
        .consent_requests_sent = pair->consent_requests_sent,
        .current_round_trip_time = pair->current_rtt,
        .total_round_trip_time = pair->total_rtt,
        .last_received = pair->last_heard,
    };
    return DUET_OK;
}

const char *duet_ice_state_name(duet_ice_state state)
{
    static const char *const names[] = {"new",          "checking", "connected", "completed",
                                        "disconnected", "failed",   "closed"};

    return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

const char *duet_ice_pair_state_name(duet_ice_pair_state state)
{
    static const char *const names[] = {"frozen", "waiting", "in-progress", "succeeded", "failed"};

    return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}
