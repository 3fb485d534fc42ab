/* When a new transaction may start: one every Ta, with a small allowance for triggered checks.
 *
 * RFC 8445 sections 6.1.4.2 and 14.2. Ordinary checks and queries to servers keep the distance Ta; the first one leaves
 * at once. Triggered checks and nominations may run ahead of that by ICE_BURST transactions, which the following
 * ones make good, so the average rate is that of the RFC. Retransmissions are not paced. */
#include "ice/internal.h"

#define ICE_BURST       5
#define ICE_TA          DUET_MS(20)
#define ICE_TA_LOOPBACK DUET_MS(5) /* "Ta MUST NOT be lower than 5 ms" RFC 8445 section 14.2 */

duet_time duet_ice_pacing(const duet_ice_agent *a)
{
    bool loopback = false;

    if (a->config.pacing)
        return a->config.pacing;
    for (size_t i = 0; i < a->sockets.count; i++) {
        const ice_socket *socket = *(ice_socket **)duet_array_at(&a->sockets, i);
        if (socket->state == ICE_SOCKET_OPEN && !socket->is_loopback)
            return ICE_TA;
        loopback = loopback || socket->state == ICE_SOCKET_OPEN;
    }
    return loopback ? ICE_TA_LOOPBACK : ICE_TA;
}

static duet_time burst_start(const duet_ice_agent *a, duet_time ta)
{
    return a->pace_next > ICE_BURST * ta ? a->pace_next - ICE_BURST * ta : 0;
}

static void spend(duet_ice_agent *a, duet_time ta, duet_time now)
{
    a->pace_next = (a->pace_next > now ? a->pace_next : now) + ta;
}

/* Starts one transaction if one is due. */
static int start_one(duet_ice_agent *a, duet_time ta, duet_time now, bool *started)
{
    *started = false;
    if (a->triggered_first && now >= burst_start(a, ta)) {
        *started = true;
        return duet_ice_check_start(a, a->triggered_first, false, now);
    }
    if (now < a->pace_next)
        return DUET_OK;
    ice_pair *pair = a->started ? duet_ice_pair_next(a, now) : NULL;
    if (pair) {
        *started = true;
        return duet_ice_check_start(a, pair, false, now);
    }
    ice_query *query = duet_ice_query_next(a);
    if (query) {
        *started = true;
        return duet_ice_query_start(a, query, now);
    }
    ice_relay *relay = duet_ice_relay_next(a);
    if (relay) {
        *started = true;
        return duet_ice_relay_start(a, relay, now);
    }
    return DUET_OK;
}

void duet_ice_pace(duet_ice_agent *a, duet_time now)
{
    duet_time ta = duet_ice_pacing(a);
    bool started;
    int err;

    do {
        err = start_one(a, ta, now, &started);
        if (started && err == DUET_OK)
            spend(a, ta, now);
    } while (started && err == DUET_OK);

    duet_time next = DUET_NEVER;
    if (err)
        next = now + ta; /* no memory: the pair still waits */
    else if (a->triggered_first)
        next = burst_start(a, ta);
    else if ((a->started && duet_ice_pair_next(a, now)) || duet_ice_query_next(a) || duet_ice_relay_next(a))
        next = a->pace_next;
    duet_timers_set(&a->timers, &a->pace_timer, next);
}
