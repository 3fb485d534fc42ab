/* Consent and liveness of the selected pair, and what happens when it is lost.
 *
 * RFC 7675 section 5.1: a check every 5 s, spread by 0.8 to 1.2, and an end 30 s after the last valid response. They are
 * the keep-alives of RFC 8445 section 11 too. Other valid pairs are checked in every fifth round, so that their consent
 * is fresh when they are needed; that costs no wake-up of its own. */
#include "ice/internal.h"

#define INTERVAL_MIN   DUET_MS(4000)
#define INTERVAL_RANGE DUET_MS(2000)
#define BACKUP_ROUND   5 /* at most 30 s for five rounds of 6 s */
#define BACKUPS_MAX    4
#define GRACE          DUET_MS(1000) /* an unanswered check says nothing before */

static duet_time disconnected_timeout(const duet_ice_agent *a)
{
    return a->config.disconnected_timeout ? a->config.disconnected_timeout : DUET_SECONDS(5);
}

static duet_time failed_timeout(const duet_ice_agent *a)
{
    return a->config.failed_timeout ? a->config.failed_timeout : DUET_SECONDS(30);
}

bool duet_ice_pair_is_fresh(const duet_ice_agent *a, const ice_pair *pair, duet_time now)
{
    return now < pair->last_response + failed_timeout(a);
}

static void schedule(duet_ice_agent *a, duet_time now)
{
    uint32_t spread = 0;

    (void)duet_random(&a->env, &spread, sizeof(spread));
    a->consent_earliest = now + INTERVAL_MIN;
    duet_timers_set(&a->timers, &a->consent_timer, a->consent_earliest + spread % INTERVAL_RANGE);
}

/* Watches for silence and for the end of consent, as long as a check is unanswered. */
static void arm_watch(duet_ice_agent *a)
{
    const ice_pair *pair = a->selected;

    if (!pair || a->unanswered_since == DUET_NEVER) {
        duet_timers_cancel(&a->timers, &a->watch_timer);
        return;
    }
    duet_time end = pair->last_response + failed_timeout(a);
    duet_time silent = pair->last_heard + disconnected_timeout(a);
    if (silent < a->unanswered_since + GRACE)
        silent = a->unanswered_since + GRACE;
    duet_timers_set(&a->timers, &a->watch_timer, a->disconnected || end < silent ? end : silent);
}

void duet_ice_consent_begin(duet_ice_agent *a, duet_time now)
{
    a->unanswered_since = DUET_NEVER;
    duet_timers_cancel(&a->timers, &a->consent_timer);
    duet_timers_cancel(&a->timers, &a->watch_timer);
    if (!a->selected)
        return;
    if (a->config.lite) {
        duet_ice_lite_watch(a, now);
        return;
    }
    /* A pair that was not asked lately is asked at once. */
    if (now - a->selected->last_response > INTERVAL_MIN)
        duet_timers_set(&a->timers, &a->consent_timer, now);
    else
        schedule(a, now);
}

static void check_backups(duet_ice_agent *a, duet_time now)
{
    size_t checked = 0;

    for (size_t i = 0; i < a->pairs.count && checked < BACKUPS_MAX; i++) {
        ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, i);
        if (pair == a->selected || !pair->valid)
            continue;
        (void)duet_ice_consent_send(a, pair, now);
        checked++;
    }
}

void duet_ice_consent_due(duet_ice_agent *a, duet_time now)
{
    if (!a->selected)
        return;
    /* Some time has passed since the new generation took over: nobody uses the old one any more. */
    if (a->previous && a->nominated)
        duet_ice_previous_free(a);
    duet_ice_transactions_purge(a, now);
    if (duet_ice_consent_send(a, a->selected, now) == DUET_OK && a->unanswered_since == DUET_NEVER)
        a->unanswered_since = now;
    if (++a->consent_rounds % BACKUP_ROUND == 0 || a->disconnected)
        check_backups(a, now);
    schedule(a, now);
    arm_watch(a);
}

void duet_ice_watch_due(duet_ice_agent *a, duet_time now)
{
    ice_pair *pair = a->selected;

    if (!pair)
        return;
    if (a->config.lite) {
        duet_ice_lite_watch(a, now);
        return;
    }
    if (now >= pair->last_response + failed_timeout(a)) {
        duet_ice_pair_lost(a, pair, "consent expired", now);
        return;
    }
    /* Data may have come meanwhile; it does not touch the timer. */
    if (!a->disconnected && now >= pair->last_heard + disconnected_timeout(a)) {
        a->disconnected = true;
        check_backups(a, now);
    }
    arm_watch(a);
}

void duet_ice_heard(duet_ice_agent *a, ice_pair *pair, bool is_response, duet_time now)
{
    pair->last_heard = now;
    if (is_response)
        pair->last_response = now;
    if (pair != a->selected)
        return;
    a->disconnected = false;
    if (is_response)
        a->unanswered_since = DUET_NEVER;
    if (a->config.lite)
        return;
    arm_watch(a);
    /* The agent is awake for the peer: its own check may as well go now, so that an idle pair wakes up half as often. */
    if (a->consent_timer.armed && now >= a->consent_earliest)
        duet_timers_set(&a->timers, &a->consent_timer, now);
}

/* No valid pair is left whose consent is fresh: those that worked once are checked again. */
static void check_again(duet_ice_agent *a, duet_time now)
{
    for (size_t i = 0; i < a->pairs.count; i++) {
        ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, i);
        if (!pair->valid)
            continue;
        pair->valid = false;
        duet_ice_trigger(a, pair, now);
    }
}

void duet_ice_pair_lost(duet_ice_agent *a, ice_pair *pair, const char *cause, duet_time now)
{
    bool was_selected = pair == a->selected;

    duet_log(&a->env, DUET_LOG_INFO, "ice", "pair lost: %s", cause);
    if (pair->previous) {
        duet_ice_previous_free(a);
    } else {
        duet_ice_transactions_of_pair(a, pair);
        duet_ice_triggered_remove(a, pair);
        pair->valid = false;
        pair->nominated = false;
        if (a->nominated == pair)
            a->nominated = NULL;
        if (a->nominating == pair)
            a->nominating = NULL;
        duet_ice_pair_set_state(a, pair, DUET_ICE_PAIR_FAILED, now);
    }
    if (!was_selected)
        return;
    duet_ice_select(a, now);
    if (!a->selected && !a->config.lite)
        check_again(a, now);
}
