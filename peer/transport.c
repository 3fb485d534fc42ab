/* One transport: an ICE agent and the DTLS association above it (W3C RTCIceTransport and RTCDtlsTransport), with the
 * demultiplexing of RFC 7983 between them. JSEP leaves wishes in it, pc_transport_sync carries them out. */
#include "base/crypto.h"
#include "peer/media.h"
#include <stdio.h>
#include <string.h>

/* ---- events of the parts ---- */

static void ice_state_changed(void *user, duet_ice_state state)
{
    pc_transport *t = user;

    t->ice_state = state;
    pc_update_states(t->pc, "ICE");
}

static void ice_gathering_changed(void *user, duet_ice_gathering_state state)
{
    pc_transport *t = user;

    t->gathering = state;
    pc_update_states(t->pc, "gathering");
}

static void ice_candidate(void *user, const duet_candidate *candidate)
{
    pc_local_candidate(user, candidate);
}

typedef struct candidate_error_event {
    char url[256];
    char text[160];
    int code;
} candidate_error_event;

static void deliver_candidate_error(void *object, void *payload)
{
    duet_pc *pc = object;
    const candidate_error_event *e = payload;

    if (pc->config.on_ice_candidate_error && !pc->is_closed)
        pc->config.on_ice_candidate_error(pc->config.user, pc, e->url, e->code, e->text);
}

static void ice_candidate_error(void *user, const char *url, const duet_address *local, int code, const char *text)
{
    pc_transport *t = user;
    candidate_error_event e = {.code = code};

    (void)local;
    snprintf(e.url, sizeof(e.url), "%s", url);
    snprintf(e.text, sizeof(e.text), "%s", text);
    duet_log(&t->pc->env, DUET_LOG_WARN, "ice", "%s: %d %s", e.url, code, e.text);
    (void)duet_events_push(&t->pc->events, deliver_candidate_error, NULL, &e, sizeof(e));
}

static void ice_selected(void *user, const duet_candidate *local, const duet_candidate *remote)
{
    pc_transport *t = user;
    char a[DUET_ADDRESS_TEXT_MAX], b[DUET_ADDRESS_TEXT_MAX];

    t->routable = true;
    duet_log(&t->pc->env, DUET_LOG_INFO, "ice", "selected %s %s -> %s %s", duet_candidate_type_name(local->type),
             duet_address_text(&local->address, a, sizeof(a)), duet_candidate_type_name(remote->type),
             duet_address_text(&remote->address, b, sizeof(b)));
}

static void deliver_network_change(void *object, void *payload)
{
    duet_pc *pc = object;

    (void)payload;
    for (size_t i = 0; i < pc->transport_count; i++)
        pc->transports[i]->network_changed = false;
    if (pc->config.on_network_change && !pc->is_closed)
        pc->config.on_network_change(pc->config.user, pc);
}

/* Every transport watches the interfaces; the application hears of a change once. */
static void ice_network_changed(void *user)
{
    pc_transport *t = user;
    duet_pc *pc = t->pc;

    for (size_t i = 0; i < pc->transport_count; i++) {
        if (pc->transports[i]->network_changed)
            return;
    }
    t->network_changed = duet_events_push(&pc->events, deliver_network_change, NULL, NULL, 0) == DUET_OK;
}

static bool filter_interface(void *user, const duet_interface *interface)
{
    pc_transport *t = user;

    return t->pc->config.interface_filter(t->pc->config.filter_user, interface);
}

static void part_wakes(void *user)
{
    pc_transport *t = user;

    pc_wake(t->pc);
}

void pc_transport_dtls_state(void *user, duet_dtls_state state)
{
    pc_transport *t = user;
    duet_pc *pc = t->pc;

    t->dtls_state = state;
    if (state == DUET_DTLS_CLOSED && t == pc->sctp_transport && pc->sctp && !pc_renewal_is_expected(t))
        duet_sctp_close(pc->sctp, pc->now); /* the peer has gone: its channels end now, not at a time-out */
    pc_update_states(pc, "DTLS");
}

static void dtls_data(void *user, uint8_t *data, size_t len, duet_time now)
{
    pc_transport *t = user;
    duet_pc *pc = t->pc;

    if (t != pc->sctp_transport || !pc->sctp_started)
        return;
    duet_sctp_input(pc->sctp, data, len, now);
}

/* ---- create and destroy ---- */

bool pc_transport_is_used(const pc_transport *t)
{
    const duet_array *sections = &t->pc->sections;

    for (size_t i = 0; i < sections->count; i++) {
        if (((const pc_section *)duet_array_at(sections, i))->transport == t)
            return true;
    }
    return false;
}

static int create_agent(pc_transport *t)
{
    duet_pc *pc = t->pc;
    const duet_pc_config *from = &pc->config;
    duet_ice_config config;

    duet_ice_config_init(&config);
    config.env = &pc->env;
    config.lite = from->ice_lite;
    config.policy = from->ice_transport_policy;
    config.server_count = pc->servers.count;
    config.port_min = from->port_min;
    config.port_max = from->port_max;
    config.bind = from->bind;
    config.loopback = from->loopback;
    config.no_ipv6 = from->no_ipv6;
    config.nat_1to1 = (const char *const *)pc->nat_1to1;
    config.nat_1to1_count = from->nat_1to1_count;
    config.interface_filter = from->interface_filter ? filter_interface : NULL;
    config.ca_file = pc->ca_file;
    config.tls_no_verify = from->tls_no_verify;
    config.mdns = from->mdns;
    config.tcp = from->tcp;
    config.disconnected_timeout = from->ice_disconnected_timeout;
    config.failed_timeout = from->ice_failed_timeout;
    config.patience = from->ice_patience;
    config.on_state = ice_state_changed;
    config.on_gathering = ice_gathering_changed;
    config.on_candidate = ice_candidate;
    config.on_candidate_error = ice_candidate_error;
    config.on_selected = ice_selected;
    config.on_network_change = ice_network_changed;
    config.on_wake = part_wakes;
    config.user = t;
    const duet_ice_server **servers = pc_servers_list(pc);
    if (pc->servers.count && !servers)
        return DUET_ERR_NOMEM;
    config.servers = servers;
    int err = duet_ice_agent_create(&t->ice, &config);
    duet_free(&pc->env, servers);
    return err;
}

int pc_transport_create_dtls(pc_transport *t, duet_dtls **out, void (*on_state)(void *user, duet_dtls_state state))
{
    duet_srtp_profile profiles[PC_PROFILES_MAX];
    duet_dtls_config config;

    duet_dtls_config_init(&config);
    config.env = &t->pc->env;
    config.certificate = t->pc->certificate;
    /* RFC 5764 section 4.1.2: offered always, because media may come to share the transport later. */
    config.srtp_profile_count = pc_media_profiles(t->pc, profiles);
    config.srtp_profiles = profiles;
    config.on_state = on_state;
    config.on_data = dtls_data;
    config.on_wake = part_wakes;
    config.user = t;
    return duet_dtls_create(out, &config);
}

/* The place of a transport that has gone, or a new one. */
static bool take_place(duet_pc *pc, size_t *place)
{
    for (*place = 0; *place < pc->transport_count; (*place)++) {
        pc_transport *t = pc->transports[*place];
        if (t->released && t != pc->sctp_transport)
            return true;
    }
    return *place < PC_TRANSPORT_MAX;
}

int pc_transport_create(pc_transport **out, duet_pc *pc, size_t owner)
{
    size_t place;

    if (!take_place(pc, &place))
        return DUET_ERR_LIMIT;
    pc_transport *t = duet_calloc(&pc->env, sizeof(*t));
    if (!t)
        return DUET_ERR_NOMEM;
    t->pc = pc;
    t->index = (uint32_t)place;
    t->owner = owner;
    duet_array_init(&t->candidates, &pc->env, sizeof(duet_candidate));
    int err = create_agent(t);
    if (err == DUET_OK)
        err = pc_transport_create_dtls(t, &t->dtls, pc_transport_dtls_state);
    if (err != DUET_OK) {
        pc_transport_destroy(t);
        return err;
    }
    if (place < pc->transport_count)
        pc_transport_destroy(pc->transports[place]);
    else
        pc->transport_count++;
    pc->transports[place] = t;
    *out = t;
    return DUET_OK;
}

static void drop_early(pc_transport *t)
{
    for (size_t i = 0; i < t->early_count; i++)
        duet_free(&t->pc->env, t->early[i].data);
    t->early_count = 0;
}

void pc_transport_destroy(pc_transport *t)
{
    duet_pc *pc = t->pc;

    pc_media_transport_destroy(t);
    drop_early(t);
    duet_array_free(&t->candidates);
    pc_renewal_end(t);
    duet_dtls_destroy(t->dtls);
    duet_ice_agent_destroy(t->ice);
    duet_free(&pc->env, t);
}

/* ---- wishes of JSEP ---- */

const duet_ice_credentials *pc_transport_credentials(const pc_transport *t, bool restarts)
{
    return t->next.ufrag[0] && (restarts || t->wants_restart) ? &t->next : duet_ice_agent_local_credentials(t->ice);
}

int pc_transport_prepare_restart(pc_transport *t)
{
    int err = DUET_OK;

    if (t->next.ufrag[0])
        return DUET_OK; /* offered already, but not set */
    err = duet_random_ice_chars(&t->pc->env, t->next.pwd, 24);
    if (err == DUET_OK)
        err = duet_random_ice_chars(&t->pc->env, t->next.ufrag, 8);
    return err;
}

/* A restart that the agent has begun cannot be taken back: the old pair carries on, and the new credentials are in the
 * next description, whoever makes it. */
void pc_transport_forget_restart(pc_transport *t)
{
    if (t->wants_restart)
        t->gathering = duet_ice_agent_gathering(t->ice);
    t->wants_restart = false;
    duet_wipe(&t->next, sizeof(t->next));
}

int pc_transport_add_candidate(pc_transport *t, const duet_candidate *candidate)
{
    if (t->candidates.count >= DUET_ICE_REMOTE_MAX)
        return DUET_ERR_LIMIT;
    duet_candidate *c = duet_array_push(&t->candidates);
    if (!c)
        return DUET_ERR_NOMEM;
    *c = *candidate;
    pc_wake(t->pc);
    return DUET_OK;
}

static void replay_early(pc_transport *t, duet_time now)
{
    for (size_t i = 0; i < t->early_count; i++) {
        duet_datagram in = {.path = t->early[i].path, .data = t->early[i].data, .len = t->early[i].len, .time = now};
        duet_dtls_input(t->dtls, &in, now);
    }
    drop_early(t);
}

/* What found no memory is wished for again. */
static bool is_done(pc_transport *t, int err)
{
    if (err == DUET_ERR_NOMEM)
        t->short_of_memory = true;
    return err != DUET_ERR_NOMEM;
}

static void start_sctp(pc_transport *t, duet_time now)
{
    duet_pc *pc = t->pc;

    pc->sctp_started = true; /* before the call: its packets may be answered in the same turn */
    int err = duet_sctp_connect(pc->sctp, t->dtls_role == DUET_DTLS_CLIENT, pc->remote_sctp_port,
                                pc->remote_max_message, now);
    if (!is_done(t, err) && duet_sctp_get_state(pc->sctp) == DUET_SCTP_NEW)
        pc->sctp_started = false;
}

/* What can start as soon as ICE, DTLS and the descriptions are ready for it. */
static void start_what_is_ready(pc_transport *t, duet_time now)
{
    duet_pc *pc = t->pc;

    if (!t->dtls_started && t->routable && t->dtls_role && t->fingerprint_count > 0) {
        int err = duet_dtls_start(t->dtls, t->dtls_role, duet_ice_agent_rtt(t->ice), now);
        t->dtls_started = is_done(t, err) && err == DUET_OK;
    }
    if (t->dtls_started && t->early_count > 0)
        replay_early(t, now);
    if (t == pc->sctp_transport && pc->sctp_agreed && !pc->sctp_started && t->dtls_state == DUET_DTLS_CONNECTED)
        start_sctp(t, now);
}

static void sync_local(pc_transport *t, duet_time now)
{
    if (t->wants_restart) {
        if (!is_done(t, duet_ice_agent_restart(t->ice, t->next.ufrag[0] ? &t->next : NULL, now)))
            return;
        duet_wipe(&t->next, sizeof(t->next));
        t->needs_remote = true;
    } else if (t->wants_gathering && !is_done(t, duet_ice_agent_gather(t->ice, now))) {
        return;
    }
    t->wants_restart = t->wants_gathering = false;
}

static void sync_candidates(pc_transport *t, duet_time now)
{
    while (t->candidates.count > 0) {
        int err = duet_ice_agent_add_remote_candidate(t->ice, duet_array_at(&t->candidates, 0), now);
        if (!is_done(t, err))
            return;
        duet_array_remove(&t->candidates, 0);
    }
    duet_array_free(&t->candidates);
    if (t->wants_end)
        duet_ice_agent_end_of_remote_candidates(t->ice, now);
    t->wants_end = false;
}

static void sync_remote(pc_transport *t, duet_time now)
{
    if (t->has_role)
        duet_ice_agent_set_role(t->ice, t->is_controlling ? DUET_ICE_CONTROLLING : DUET_ICE_CONTROLLED);
    t->has_role = false;
    if (t->wants_remote && !t->wants_restart) {
        int err = duet_ice_agent_set_remote(t->ice, &t->remote, t->remote_is_lite, now);
        if (!is_done(t, err))
            return;
        t->has_remote = err == DUET_OK;
        t->wants_remote = t->needs_remote = false;
    }
    if (t->has_remote && !t->wants_remote)
        sync_candidates(t, now);
}

void pc_transport_sync(pc_transport *t, duet_time now)
{
    t->short_of_memory = false;
    sync_local(t, now);
    sync_remote(t, now);
    /* DUET_ERR_AUTH is for a connected peer whose certificate does not fit: what is connected stays as it was. */
    if (t->wants_fingerprints)
        t->wants_fingerprints =
            !is_done(t, duet_dtls_set_remote_fingerprints(t->dtls, t->fingerprints, t->fingerprint_count, now));
    duet_ice_agent_tick(t->ice, now);
    start_what_is_ready(t, now);
    duet_dtls_tick(t->dtls, now);
    pc_renewal_sync(t, now);
    pc_media_tick(t, now);
}

void pc_transport_end(pc_transport *t, duet_time now)
{
    if (!t->ended) {
        t->ended = true;
        drop_early(t);
        pc_renewal_end(t);
        pc_media_bye(t, now);
        duet_dtls_close(t->dtls, now);
    } else if (t->drained && t->ice_state != DUET_ICE_CLOSED) {
        duet_ice_agent_close(t->ice, now); /* asks the driver to close the sockets */
    }
}

/* ---- datagrams ---- */

static void hold_early(pc_transport *t, const duet_datagram *in)
{
    duet_pc *pc = t->pc;
    uint8_t *copy = NULL;

    if (t->early_count < DUET_PC_EARLY_DATAGRAMS && in->len <= PC_EARLY_LEN_MAX)
        copy = duet_memdup(&pc->env, in->data, in->len);
    if (!copy) {
        pc->counters.early_dropped++;
        return;
    }
    pc->counters.early_held++;
    t->early[t->early_count++] = (pc_early){in->path, copy, in->len};
}

/* RFC 7983 section 7: 20 to 63 is DTLS, 128 to 191 RTP and RTCP. STUN has been taken by the agent. An honest peer sends
 * nothing else before one of its checks was answered, so what comes from elsewhere need not even be held. */
static void demultiplex(pc_transport *t, duet_datagram *in, duet_time now)
{
    duet_pc *pc = t->pc;
    uint8_t first = in->len ? in->data[0] : 0;
    bool is_dtls = first >= 20 && first <= 63;
    bool is_media = first >= 128 && first <= 191;

    if (!is_dtls && !is_media) {
        pc->counters.unknown++;
    } else if (!duet_ice_agent_validated(t->ice, &in->path)) {
        pc->counters.unvalidated++;
        duet_trace_discard(&pc->env, now, "peer", "datagram", in->len, "its address has not been validated");
    } else if (is_media) {
        pc_media_input(t, in, now);
    } else if (t->dtls_started) {
        duet_dtls_input(pc_renewal_receiver(t, first), in, now);
    } else {
        hold_early(t, in);
    }
}

int pc_transport_input(pc_transport *t, duet_datagram *in, duet_time now)
{
    duet_datagram frame;

    while (duet_ice_agent_next(t->ice, in, &frame, now) == 1) {
        if (duet_ice_agent_input(t->ice, &frame, now) == DUET_ERR_NOT_MINE)
            demultiplex(t, &frame, now);
    }
    start_what_is_ready(t, now);
    return DUET_OK;
}

/* RFC 8837 section 5, table 1, the row "Data": CS1, DF, AF11, AF21. */
static uint8_t data_dscp(uint16_t priority)
{
    if (priority >= DUET_DC_PRIORITY_HIGH)
        return 18;
    if (priority >= DUET_DC_PRIORITY_MEDIUM)
        return 10;
    return priority >= DUET_DC_PRIORITY_LOW ? 0 : 8;
}

static int output(pc_transport *t, duet_datagram *out, duet_time now)
{
    out->dscp = 0;
    if (duet_ice_agent_output(t->ice, out, now) == 1)
        return 1;
    while (t->routable &&
           (duet_dtls_output(t->dtls, out, now) == 1 || (t->renewed && duet_dtls_output(t->renewed, out, now) == 1))) {
        if (duet_ice_agent_route(t->ice, out) == DUET_OK)
            return 1; /* otherwise there is no valid pair left: lost, as on any broken path */
    }
    while (t->routable && pc_media_output(t, out, now) == 1) {
        if (duet_ice_agent_route(t->ice, out) == DUET_OK)
            return 1;
    }
    if (!t->ended || t->parted)
        return 0;
    t->parted = true;
    duet_ice_agent_release(t->ice, now); /* behind the goodbye, which may need the relay */
    return duet_ice_agent_output(t->ice, out, now);
}

/* Checks are marked like the data, so that they find out about the same path (RFC 8445 section 7.2.3). Media is marked. */
int pc_transport_output(pc_transport *t, duet_datagram *out, duet_time now)
{
    if (output(t, out, now) != 1)
        return 0;
    if (t->pc->sctp && out->dscp == 0)
        out->dscp = data_dscp(duet_sctp_priority(t->pc->sctp));
    return 1;
}

duet_time pc_transport_deadline(const pc_transport *t)
{
    duet_time ice = duet_ice_agent_deadline(t->ice);
    duet_time dtls = duet_dtls_deadline(t->dtls);
    duet_time media = pc_media_deadline(t);
    duet_time renewal = pc_renewal_deadline(t);
    duet_time first = ice < dtls ? ice : dtls;

    first = media < first ? media : first;
    first = renewal < first ? renewal : first;
    if (t->pc->is_closed || t->retired)
        return !t->ended || (t->drained && t->ice_state != DUET_ICE_CLOSED) ? 0 : DUET_NEVER;
    if (t->short_of_memory && t->pc->now + PC_RETRY_AFTER < first)
        return t->pc->now + PC_RETRY_AFTER;
    return first;
}
