/* The states that are joined from those of the transports (W3C webrtc-pc 4.3.3 to 4.3.5), and the events that tell of
 * them. What the application knows is noted apart: an event that finds no memory is tried again at the next tick. */
#include "peer/internal.h"
#include <string.h>

/* ---- events ---- */

static void deliver_signaling_state(void *object, void *payload)
{
    duet_pc *pc = object;
    duet_signaling_state state;

    memcpy(&state, payload, sizeof(state));
    if (pc->config.on_signaling_state && !pc->is_closed)
        pc->config.on_signaling_state(pc->config.user, pc, state);
}

static void deliver_connection_state(void *object, void *payload)
{
    duet_pc *pc = object;
    duet_pc_state state;

    memcpy(&state, payload, sizeof(state));
    if (pc->config.on_connection_state && !pc->is_closed)
        pc->config.on_connection_state(pc->config.user, pc, state);
}

static void deliver_ice_state(void *object, void *payload)
{
    duet_pc *pc = object;
    duet_ice_state state;

    memcpy(&state, payload, sizeof(state));
    if (pc->config.on_ice_connection_state && !pc->is_closed)
        pc->config.on_ice_connection_state(pc->config.user, pc, state);
}

static void deliver_gathering_state(void *object, void *payload)
{
    duet_pc *pc = object;
    duet_ice_gathering_state state;

    memcpy(&state, payload, sizeof(state));
    if (pc->config.on_ice_gathering_state && !pc->is_closed)
        pc->config.on_ice_gathering_state(pc->config.user, pc, state);
}

/* W3C 4.7.3: whatever made it necessary may have passed meanwhile. */
static void deliver_negotiation_needed(void *object, void *payload)
{
    duet_pc *pc = object;

    (void)payload;
    if (pc->negotiation_needed && pc->signaling == DUET_SIGNALING_STABLE && pc->config.on_negotiation_needed)
        pc->config.on_negotiation_needed(pc->config.user, pc);
}

bool pc_has_unreported(const duet_pc *pc)
{
    return !pc->is_closed && (pc->reported_signaling != pc->signaling || pc->reported_gathering != pc->gathering ||
                              pc->reported_ice_state != pc->ice_state || pc->reported_state != pc->state ||
                              pc->negotiation_unreported || pc->ends_unreported > 0);
}

void pc_report(duet_pc *pc)
{
    duet_events *e = &pc->events;

    if (!pc_has_unreported(pc))
        return;
    if (pc->reported_signaling != pc->signaling &&
        duet_events_push(e, deliver_signaling_state, NULL, &pc->signaling, sizeof(pc->signaling)) == DUET_OK)
        pc->reported_signaling = pc->signaling;
    if (pc->reported_gathering != pc->gathering &&
        duet_events_push(e, deliver_gathering_state, NULL, &pc->gathering, sizeof(pc->gathering)) == DUET_OK)
        pc->reported_gathering = pc->gathering;
    if (pc->reported_ice_state != pc->ice_state &&
        duet_events_push(e, deliver_ice_state, NULL, &pc->ice_state, sizeof(pc->ice_state)) == DUET_OK)
        pc->reported_ice_state = pc->ice_state;
    if (pc->reported_state != pc->state &&
        duet_events_push(e, deliver_connection_state, NULL, &pc->state, sizeof(pc->state)) == DUET_OK)
        pc->reported_state = pc->state;
    if (pc->negotiation_unreported && duet_events_push(e, deliver_negotiation_needed, NULL, NULL, 0) == DUET_OK)
        pc->negotiation_unreported = false;
    pc_transceivers_report_ends(pc);
}

void pc_set_signaling_state(duet_pc *pc, duet_signaling_state state, const char *cause)
{
    if (state == pc->signaling)
        return;
    duet_trace_state(&pc->env, pc->now, "peer", "signaling", duet_signaling_state_name(pc->signaling),
                     duet_signaling_state_name(state), cause);
    pc->signaling = state;
    pc_report(pc);
}

/* ---- joined states ---- */

/* How many transports are in each state. */
typedef struct census {
    size_t total;
    size_t ice[DUET_ICE_CLOSED + 1];
    size_t dtls[DUET_DTLS_FAILED + 1];
    size_t gathering[DUET_ICE_GATHERING_COMPLETE + 1];
} census;

static census count_states(const duet_pc *pc)
{
    census c = {0};

    for (size_t i = 0; i < pc->transport_count; i++) {
        const pc_transport *t = pc->transports[i];
        if (t->retired || !pc_transport_is_used(t))
            continue;
        c.total++;
        c.ice[t->ice_state]++;
        c.dtls[t->dtls_state]++;
        c.gathering[t->gathering]++;
    }
    return c;
}

/* W3C 4.3.4 RTCIceConnectionState: the first line that fits. */
static duet_ice_state joined_ice_state(const census *c)
{
    const size_t *n = c->ice;

    if (n[DUET_ICE_FAILED])
        return DUET_ICE_FAILED;
    if (n[DUET_ICE_DISCONNECTED])
        return DUET_ICE_DISCONNECTED;
    if (n[DUET_ICE_NEW] + n[DUET_ICE_CLOSED] == c->total)
        return DUET_ICE_NEW;
    if (n[DUET_ICE_NEW] || n[DUET_ICE_CHECKING])
        return DUET_ICE_CHECKING;
    if (n[DUET_ICE_COMPLETED] + n[DUET_ICE_CLOSED] == c->total)
        return DUET_ICE_COMPLETED;
    return DUET_ICE_CONNECTED;
}

/* W3C 4.3.3 RTCPeerConnectionState. */
static duet_pc_state joined_state(const census *c)
{
    const size_t *ice = c->ice, *dtls = c->dtls;

    if (ice[DUET_ICE_FAILED] || dtls[DUET_DTLS_FAILED])
        return DUET_PC_FAILED;
    if (ice[DUET_ICE_DISCONNECTED])
        return DUET_PC_DISCONNECTED;
    if (ice[DUET_ICE_NEW] + ice[DUET_ICE_CLOSED] == c->total &&
        dtls[DUET_DTLS_NEW] + dtls[DUET_DTLS_CLOSED] == c->total)
        return DUET_PC_NEW;
    if (ice[DUET_ICE_NEW] || ice[DUET_ICE_CHECKING] || dtls[DUET_DTLS_NEW] || dtls[DUET_DTLS_CONNECTING])
        return DUET_PC_CONNECTING;
    return DUET_PC_CONNECTED;
}

static duet_ice_gathering_state joined_gathering_state(const census *c)
{
    if (c->gathering[DUET_ICE_GATHERING])
        return DUET_ICE_GATHERING;
    if (c->total > 0 && c->gathering[DUET_ICE_GATHERING_COMPLETE] == c->total)
        return DUET_ICE_GATHERING_COMPLETE;
    return DUET_ICE_GATHERING_NEW;
}

void pc_update_states(duet_pc *pc, const char *cause)
{
    if (pc->is_closed)
        return;
    census c = count_states(pc);
    duet_ice_gathering_state gathering = joined_gathering_state(&c);
    duet_ice_state ice = joined_ice_state(&c);
    duet_pc_state state = joined_state(&c);

    if (gathering != pc->gathering) {
        duet_trace_state(&pc->env, pc->now, "peer", "gathering", duet_ice_gathering_state_name(pc->gathering),
                         duet_ice_gathering_state_name(gathering), cause);
        pc->gathering = gathering;
    }
    if (ice != pc->ice_state) {
        duet_trace_state(&pc->env, pc->now, "peer", "ice-connection", duet_ice_state_name(pc->ice_state),
                         duet_ice_state_name(ice), cause);
        pc->ice_state = ice;
    }
    if (state != pc->state) {
        duet_trace_state(&pc->env, pc->now, "peer", "connection", duet_pc_state_name(pc->state),
                         duet_pc_state_name(state), cause);
        pc->state = state;
    }
    pc_report(pc);
}

duet_signaling_state duet_pc_signaling_state(const duet_pc *pc)
{
    return pc->signaling;
}

duet_pc_state duet_pc_connection_state(const duet_pc *pc)
{
    return pc->state;
}

duet_ice_state duet_pc_ice_connection_state(const duet_pc *pc)
{
    return pc->ice_state;
}

duet_ice_gathering_state duet_pc_ice_gathering_state(const duet_pc *pc)
{
    return pc->gathering;
}
