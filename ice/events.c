/* What the user is told: states, candidates, the selected pair, errors, each as an event of the queue.
 *
 * Changes are compared with what was reported, so an event that found no memory is made up for by the next call. */
#include "ice/internal.h"

#include <stdio.h>
#include <string.h>

static void push(duet_ice_agent *a, duet_event_fn deliver, const void *payload, size_t len, bool *reported)
{
    bool ok = duet_events_push(&a->events, deliver, NULL, payload, len) == DUET_OK;

    if (!ok)
        a->lost_memory = true;
    if (reported)
        *reported = ok;
}

static void copy_text(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text ? text : "");
}

/* ---- candidates ------------------------------------------------------------------------------------------------ */

void duet_ice_local_view(duet_candidate *out, const ice_local *local, const char *ufrag)
{
    memset(out, 0, sizeof(*out));
    snprintf(out->foundation, sizeof(out->foundation), "%u", (unsigned)local->foundation);
    out->component = ICE_COMPONENT;
    out->protocol = DUET_UDP;
    if (local->tcp_type != DUET_TCPTYPE_NONE)
        out->protocol = DUET_TCP;
    out->tcp_type = (duet_tcp_type)local->tcp_type;
    out->priority = local->priority;
    out->address = local->address;
    out->type = local->type;
    if (local->type != DUET_CANDIDATE_HOST)
        out->related = local->related;
    if (local->name[0]) {
        copy_text(out->name, sizeof(out->name), local->name);
        out->address = (duet_address){.port = local->address.port};
    }
    copy_text(out->ufrag, sizeof(out->ufrag), ufrag);
}

void duet_ice_remote_view(duet_candidate *out, const ice_remote *remote, const char *ufrag)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->foundation, remote->foundation, sizeof(out->foundation));
    out->component = ICE_COMPONENT;
    out->protocol = DUET_UDP;
    if (remote->tcp_type != DUET_TCPTYPE_NONE)
        out->protocol = DUET_TCP;
    out->tcp_type = (duet_tcp_type)remote->tcp_type;
    out->priority = remote->priority;
    out->address = remote->address;
    out->type = (duet_candidate_type)remote->type;
    out->related = remote->related;
    out->network_cost = remote->network_cost;
    if (remote->name && remote->address.family == DUET_AF_NONE)
        copy_text(out->name, sizeof(out->name), remote->name);
    copy_text(out->ufrag, sizeof(out->ufrag), ufrag);
}

static void deliver_candidate(void *object, void *payload)
{
    duet_ice_agent *a = object;

    a->config.on_candidate(a->config.user, payload);
}

static void deliver_end(void *object, void *payload)
{
    duet_ice_agent *a = object;

    (void)payload;
    a->config.on_candidate(a->config.user, NULL);
}

static void report_candidates(duet_ice_agent *a)
{
    for (size_t i = 0; i < a->locals.count; i++) {
        ice_local *local = *(ice_local **)duet_array_at(&a->locals, i);
        if (local->announced)
            continue;
        if (local->name[0] && local->socket->publish != ICE_LOOKUP_DONE)
            return; /* nobody could look it up yet */
        if (!a->config.on_candidate) {
            local->announced = true;
            continue;
        }
        duet_candidate view;
        duet_ice_local_view(&view, local, a->local_credentials.ufrag);
        push(a, deliver_candidate, &view, sizeof(view), &local->announced);
        if (!local->announced)
            return; /* keeps the order */
    }
    if (a->gathering != DUET_ICE_GATHERING_COMPLETE || a->end_announced)
        return;
    if (a->config.on_candidate)
        push(a, deliver_end, NULL, 0, &a->end_announced);
    else
        a->end_announced = true;
}

static void deliver_gathering(void *object, void *payload)
{
    duet_ice_agent *a = object;

    a->config.on_gathering(a->config.user, *(duet_ice_gathering_state *)payload);
}

static void report_gathering(duet_ice_agent *a)
{
    bool ok = true;

    if (a->gathering == a->reported_gathering)
        return;
    if (a->config.on_gathering)
        push(a, deliver_gathering, &a->gathering, sizeof(a->gathering), &ok);
    if (ok)
        a->reported_gathering = a->gathering;
}

/* ---- the selected pair and the state ------------------------------------------------------------------------------ */

typedef struct selected_event {
    ice_local local;
    ice_remote remote;
    bool previous;
} selected_event;

static void deliver_selected(void *object, void *payload)
{
    duet_ice_agent *a = object;
    selected_event *event = payload;
    duet_candidate local, remote;

    duet_ice_local_view(&local, &event->local, event->previous ? "" : a->local_credentials.ufrag);
    duet_ice_remote_view(&remote, &event->remote, event->previous ? "" : a->remote_credentials.ufrag);
    a->config.on_selected(a->config.user, &local, &remote);
}

static void report_selected(duet_ice_agent *a)
{
    ice_pair *pair = a->selected;
    bool ok = true;

    if (!pair || pair == a->reported_selected)
        return;
    if (a->config.on_selected) {
        selected_event event = {
            .local = pair->mapped ? *pair->mapped : *pair->local, .remote = *pair->remote, .previous = pair->previous};
        event.remote.name = NULL;
        push(a, deliver_selected, &event, sizeof(event), &ok);
    }
    if (!ok)
        return;
    a->reported_selected = pair;
    a->stats.selected_changes++;
}

static void deliver_state(void *object, void *payload)
{
    duet_ice_agent *a = object;

    a->config.on_state(a->config.user, *(duet_ice_state *)payload);
}

static void report_state(duet_ice_agent *a)
{
    bool ok = true;

    if (a->state == a->reported_state)
        return;
    if (a->config.on_state)
        push(a, deliver_state, &a->state, sizeof(a->state), &ok);
    if (ok)
        a->reported_state = a->state;
}

void duet_ice_report(duet_ice_agent *a)
{
    if (a->gathering == DUET_ICE_GATHERING)
        report_gathering(a);
    report_candidates(a);
    if (a->end_announced || a->gathering != DUET_ICE_GATHERING_COMPLETE)
        report_gathering(a);
    report_selected(a); /* before the state: whoever hears "connected" can send */
    report_state(a);
}

/* ---- single events --------------------------------------------------------------------------------------------------- */

typedef struct error_event {
    duet_address local;
    int code;
    char url[320];
    char text[160];
} error_event;

static void deliver_error(void *object, void *payload)
{
    duet_ice_agent *a = object;
    error_event *event = payload;

    a->config.on_candidate_error(a->config.user, event->url, event->local.family == DUET_AF_NONE ? NULL : &event->local,
                                 event->code, event->text);
}

void duet_ice_report_error(duet_ice_agent *a, const char *url, const duet_address *local, int code, const char *text)
{
    error_event event = {.code = code};

    duet_log(&a->env, DUET_LOG_WARN, "ice", "%s: %d %s", url, code, text);
    if (!a->config.on_candidate_error)
        return;
    if (local)
        event.local = *local;
    copy_text(event.url, sizeof(event.url), url);
    copy_text(event.text, sizeof(event.text), text);
    push(a, deliver_error, &event, sizeof(event), NULL);
}

static void deliver_network(void *object, void *payload)
{
    duet_ice_agent *a = object;

    (void)payload;
    a->config.on_network_change(a->config.user);
}

void duet_ice_report_network(duet_ice_agent *a)
{
    duet_log(&a->env, DUET_LOG_INFO, "ice", "the interfaces have changed");
    if (a->config.on_network_change)
        push(a, deliver_network, NULL, 0, NULL);
}

static void deliver_role(void *object, void *payload)
{
    duet_ice_agent *a = object;

    a->config.on_role(a->config.user, *(duet_ice_role *)payload);
}

void duet_ice_report_role(duet_ice_agent *a)
{
    if (a->config.on_role)
        push(a, deliver_role, &a->role, sizeof(a->role), NULL);
}

typedef struct attribute_event {
    bool is_request;
    size_t len;
    uint8_t data[2048];
} attribute_event;

static void deliver_attribute(void *object, void *payload)
{
    duet_ice_agent *a = object;
    attribute_event *event = payload;

    a->config.check_attribute_sink(a->config.user, event->is_request, event->data, event->len);
}

/* Hands the hook's attribute of an authenticated message to the sink. */
void duet_ice_report_attribute(duet_ice_agent *a, bool is_request, const duet_stun_message *m)
{
    duet_stun_attribute found;
    attribute_event event;

    if (!a->config.check_attribute || !a->config.check_attribute_sink)
        return;
    if (!duet_stun_find(m, a->config.check_attribute, &found) || found.len > sizeof(event.data))
        return;
    event.is_request = is_request;
    event.len = found.len;
    if (found.len)
        memcpy(event.data, found.value, found.len);
    push(a, deliver_attribute, &event, offsetof(attribute_event, data) + found.len, NULL);
}

static void deliver_wake(void *object, void *payload)
{
    duet_ice_agent *a = object;

    (void)payload;
    a->config.on_wake(a->config.user);
}

void duet_ice_wake(duet_ice_agent *a)
{
    if (a->woken)
        return;
    a->woken = true;
    if (a->config.on_wake && duet_events_push(&a->events, deliver_wake, NULL, NULL, 0) != DUET_OK)
        a->woken = false; /* the call reports the lack of memory, the next one wakes */
}
