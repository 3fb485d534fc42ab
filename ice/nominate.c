/* Nomination and selection: which valid pair carries data.
 *
 * RFC 8445 sections 8.1 and 12. Regular nomination: the controlling agent repeats the check of a valid pair with
 * USE-CANDIDATE. The controlled one follows whatever pair was nominated last, because browsers move it. */
#include "ice/internal.h"

/* How long better pairs are waited for once one works. */
#define PATIENCE_MIN DUET_MS(200)

static ice_pair *pair_at(const duet_ice_agent *a, size_t index)
{
    return *(ice_pair **)duet_array_at(&a->pairs, index);
}

/* The array is sorted: the first valid pair is the best. */
static ice_pair *best_valid(const duet_ice_agent *a, duet_time now)
{
    for (size_t i = 0; i < a->pairs.count; i++) {
        if (pair_at(a, i)->valid && duet_ice_pair_is_fresh(a, pair_at(a, i), now))
            return pair_at(a, i);
    }
    return NULL;
}

static bool better_one_running(const duet_ice_agent *a, const ice_pair *pair)
{
    for (size_t i = 0; i < a->pairs.count && pair_at(a, i) != pair; i++) {
        if (duet_ice_pair_is_running(pair_at(a, i)))
            return true;
    }
    return false;
}

/* Starts the nomination, or says when to come back. */
static duet_time nominate_when_due(duet_ice_agent *a, duet_time now)
{
    bool is_mine = a->role == DUET_ICE_CONTROLLING && !a->config.lite && a->started;

    if (!is_mine || a->nominated || a->nominating)
        return DUET_NEVER;
    ice_pair *best = best_valid(a, now);
    if (!best)
        return DUET_NEVER;
    duet_time wait = 2 * best->rtt > PATIENCE_MIN ? 2 * best->rtt : PATIENCE_MIN;
    if (better_one_running(a, best) && now < a->first_valid + wait)
        return a->first_valid + wait;
    a->nominating = best;
    if (duet_ice_check_start(a, best, true, now) == DUET_OK)
        return DUET_NEVER;
    a->nominating = NULL;
    return now + duet_ice_pacing(a);
}

void duet_ice_nominate(duet_ice_agent *a, duet_time now)
{
    duet_timers_set(&a->timers, &a->nominate_timer, nominate_when_due(a, now));
}

/* "the agent MUST remove all candidate pairs ... from the checklist and from the triggered-check queue" RFC 8445
 * section 8.1.2. The controlled agent goes on with better pairs, for a peer that moves its nomination to them. */
static void conclude(duet_ice_agent *a, const ice_pair *chosen, duet_time now)
{
    bool keep_better = a->role == DUET_ICE_CONTROLLED;

    for (size_t i = a->pairs.count; i-- > 0;) {
        ice_pair *pair = pair_at(a, i);
        if (pair == chosen || pair->valid || !duet_ice_pair_is_running(pair))
            continue;
        if (keep_better && pair->priority > chosen->priority)
            continue;
        if (!pair->checked_by_peer) {
            duet_ice_pair_remove(a, pair);
            continue;
        }
        /* The peer may send on it: it stays known, but is not checked any more. A late response still counts. */
        if (pair->check)
            duet_ice_transaction_cancel(a, pair->check);
        duet_ice_triggered_remove(a, pair);
        duet_ice_pair_set_state(a, pair, DUET_ICE_PAIR_FAILED, now);
    }
}

void duet_ice_nominated(duet_ice_agent *a, ice_pair *pair, duet_time now)
{
    if (a->nominating == pair)
        a->nominating = NULL;
    if (a->nominated == pair)
        return;
    if (a->nominated)
        a->nominated->nominated = false;
    a->nominated = pair;
    pair->nominated = true;
    conclude(a, pair, now);
    duet_ice_select(a, now);
}

/* The latest nomination counts, because browsers move it. Only when the peer says USE-CANDIDATE in its very first check
 * of each pair (the aggressive nomination of RFC 5245 section 8.1.1.2, which Firefox may use), all pairs become nominated
 * and the one with the highest priority is meant. */
void duet_ice_peer_nominates(duet_ice_agent *a, ice_pair *pair, duet_time now)
{
    const ice_pair *present = a->nominated;

    if (present && !pair->checked_plainly && present->priority > pair->priority && !a->disconnected)
        return;
    duet_ice_nominated(a, pair, now);
}

static ice_pair *choose(const duet_ice_agent *a, duet_time now)
{
    if (a->nominated)
        return a->nominated;
    ice_pair *best = best_valid(a, now);
    if (best)
        return best;
    /* RFC 8445 section 9: "data ... continues on the previously selected pair" until there is a new one. */
    return a->previous ? a->previous->pair : NULL;
}

void duet_ice_select(duet_ice_agent *a, duet_time now)
{
    ice_pair *best = choose(a, now);

    if (best == a->selected)
        return;
    /* A pair in use does not lose its place because its consent is being asked for: that has its own end. */
    if (!best && a->selected && a->selected->valid)
        return;
    a->selected = best;
    a->disconnected = false;
    if (best && !best->previous)
        a->was_connected = true;
    if (best)
        duet_ice_relay_bind(best);
    duet_ice_consent_begin(a, now);
}
