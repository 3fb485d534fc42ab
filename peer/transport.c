/* One transport: an ICE agent and the DTLS association above it (W3C RTCIceTransport and RTCDtlsTransport), with the
 * demultiplexing of RFC 7983 between them. JSEP leaves wishes in it, pc_transport_sync carries them out. */
#include "base/crypto.h"
#include "peer/internal.h"
#include <stdio.h>
#include <string.h>

/* RFC 5764 section 4.1.2 and RFC 7714: offered whenever RTP may share the transport. */
static const duet_srtp_profile srtp_profiles[] = {DUET_SRTP_AEAD_AES_128_GCM, DUET_SRTP_AEAD_AES_256_GCM,
                                                  DUET_SRTP_AES128_CM_SHA1_80};

const char *pc_transport_subject(const pc_transport *t, char *buf, size_t size, const char *what)
{
    snprintf(buf, size, "%s %u", what, (unsigned)t->index);
    return buf;
}

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

    if (pc->config.on_ice_candidate_error)
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
    duet_events_push(&t->pc->events, deliver_candidate_error, NULL, &e, sizeof(e));
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

static void dtls_state_changed(void *user, duet_dtls_state state)
{
    pc_transport *t = user;
    duet_pc *pc = t->pc;

    t->dtls_state = state;
    if (state == DUET_DTLS_CLOSED && t == pc->sctp_transport && pc->sctp)
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
    config.disconnected_timeout = from->ice_disconnected_timeout;
    config.failed_timeout = from->ice_failed_timeout;
    config.patience = from->ice_patience;
    config.on_state = ice_state_changed;
    config.on_gathering = ice_gathering_changed;
    config.on_candidate = ice_candidate;
    config.on_candidate_error = ice_candidate_error;
    config.on_selected = ice_selected;
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

static int create_dtls(pc_transport *t)
{
    duet_dtls_config config;

    duet_dtls_config_init(&config);
    config.env = &t->pc->env;
    config.certificate = t->pc->certificate;
    config.srtp_profiles = srtp_profiles;
    config.srtp_profile_count = sizeof(srtp_profiles) / sizeof(srtp_profiles[0]);
    config.on_state = dtls_state_changed;
    config.on_data = dtls_data;
    config.on_wake = part_wakes;
    config.user = t;
    return duet_dtls_create(&t->dtls, &config);
}

int pc_transport_create(pc_transport **out, duet_pc *pc, size_t owner)
{
    if (pc->transport_count == PC_TRANSPORT_MAX)
        return DUET_ERR_LIMIT;
    pc_transport *t = duet_calloc(&pc->env, sizeof(*t));
    if (!t)
        return DUET_ERR_NOMEM;
    t->pc = pc;
    t->index = (uint32_t)pc->transport_count;
    t->owner = owner;
    duet_array_init(&t->candidates, &pc->env, sizeof(duet_candidate));
    int err = create_agent(t);
    if (err == DUET_OK)
        err = create_dtls(t);
    if (err != DUET_OK) {
        pc_transport_destroy(t);
        return err;
    }
    pc->transports[pc->transport_count++] = t;
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

    drop_early(t);
    duet_array_free(&t->candidates);
    duet_dtls_destroy(t->dtls);
    duet_ice_agent_destroy(t->ice);
    duet_free(&pc->env, t);
}

/* ---- wishes of JSEP ---- */

const duet_ice_credentials *pc_transport_credentials(const pc_transport *t)
{
    return t->next.ufrag[0] ? &t->next : duet_ice_agent_local_credentials(t->ice);
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
    size_t kept = 0;

    for (size_t i = 0; i < t->early_count; i++) {
        pc_early e = t->early[i];
        if (!duet_ice_agent_validated(t->ice, &e.path)) {
            t->early[kept++] = e;
            continue;
        }
        duet_datagram in = {.path = e.path, .data = e.data, .len = e.len, .time = now};
        duet_dtls_input(t->dtls, &in, now);
        duet_free(&t->pc->env, e.data);
    }
    t->early_count = kept;
}

/* What can start as soon as ICE, DTLS and the descriptions are ready for it. */
static void start_what_is_ready(pc_transport *t, duet_time now)
{
    duet_pc *pc = t->pc;

    if (!t->dtls_started && t->routable && t->dtls_role && t->fingerprint_count > 0) {
        t->dtls_started = duet_dtls_start(t->dtls, t->dtls_role, duet_ice_agent_rtt(t->ice), now) == DUET_OK;
    }
    if (t->dtls_started && t->early_count > 0)
        replay_early(t, now);
    if (t == pc->sctp_transport && pc->sctp_agreed && !pc->sctp_started && t->dtls_state == DUET_DTLS_CONNECTED) {
        pc->sctp_started = true; /* before the call: its packets may be answered in the same turn */
        duet_sctp_connect(pc->sctp, t->dtls_role == DUET_DTLS_CLIENT, pc->remote_sctp_port, pc->remote_max_message,
                          now);
    }
}

static void sync_remote(pc_transport *t, duet_time now)
{
    if (t->has_role)
        duet_ice_agent_set_role(t->ice, t->is_controlling ? DUET_ICE_CONTROLLING : DUET_ICE_CONTROLLED);
    t->has_role = false;
    if (t->wants_remote)
        t->has_remote = duet_ice_agent_set_remote(t->ice, &t->remote, t->remote_is_lite, now) == DUET_OK;
    t->wants_remote = false;
    if (!t->has_remote)
        return;
    for (size_t i = 0; i < t->candidates.count; i++)
        duet_ice_agent_add_remote_candidate(t->ice, duet_array_at(&t->candidates, i), now);
    if (t->candidates.count > 0)
        duet_array_free(&t->candidates);
    if (t->wants_end)
        duet_ice_agent_end_of_remote_candidates(t->ice, now);
    t->wants_end = false;
}

void pc_transport_sync(pc_transport *t, duet_time now)
{
    if (t->wants_restart) {
        duet_ice_agent_restart(t->ice, t->next.ufrag[0] ? &t->next : NULL, now);
        memset(&t->next, 0, sizeof(t->next));
    } else if (t->wants_gathering) {
        duet_ice_agent_gather(t->ice, now);
    }
    t->wants_restart = t->wants_gathering = false;
    sync_remote(t, now);
    if (t->wants_fingerprints)
        duet_dtls_set_remote_fingerprints(t->dtls, t->fingerprints, t->fingerprint_count, now);
    t->wants_fingerprints = false;
    duet_ice_agent_tick(t->ice, now);
    start_what_is_ready(t, now);
    duet_dtls_tick(t->dtls, now);
}

/* ---- datagrams ---- */

static void hold_early(pc_transport *t, const duet_datagram *in)
{
    duet_pc *pc = t->pc;

    uint8_t *copy = t->early_count < DUET_PC_EARLY_DATAGRAMS ? duet_memdup(&pc->env, in->data, in->len) : NULL;
    if (!copy) {
        pc->counters.early_dropped++;
        return;
    }
    pc->counters.early_held++;
    t->early[t->early_count++] = (pc_early){in->path, copy, in->len};
}

/* RFC 7983 section 7: 20 to 63 is DTLS, 128 to 191 RTP and RTCP. STUN has been taken by the agent. */
static void demultiplex(pc_transport *t, duet_datagram *in, duet_time now)
{
    duet_pc *pc = t->pc;
    uint8_t first = in->len ? in->data[0] : 0;
    bool is_dtls = first >= 20 && first <= 63;
    bool is_media = first >= 128 && first <= 191;

    if (!is_dtls && !is_media) {
        pc->counters.unknown++;
        return;
    }
    bool validated = duet_ice_agent_validated(t->ice, &in->path);
    if (is_dtls && validated && t->dtls_started) {
        duet_dtls_input(t->dtls, in, now);
    } else if (is_dtls && !t->dtls_started) {
        hold_early(t, in);
    } else if (!validated) {
        pc->counters.unvalidated++;
        duet_trace_discard(&pc->env, now, "peer", "datagram", in->len, "its address has not been validated");
    } else {
        pc->counters.media_dropped++;
    }
}

int pc_transport_input(pc_transport *t, duet_datagram *in, duet_time now)
{
    if (duet_ice_agent_input(t->ice, in, now) == DUET_ERR_NOT_MINE)
        demultiplex(t, in, now);
    start_what_is_ready(t, now);
    return DUET_OK;
}

int pc_transport_output(pc_transport *t, duet_datagram *out, duet_time now)
{
    if (duet_ice_agent_output(t->ice, out, now) == 1)
        return 1;
    while (t->routable && duet_dtls_output(t->dtls, out, now) == 1) {
        if (duet_ice_agent_route(t->ice, out) == DUET_OK)
            return 1; /* otherwise there is no valid pair left: lost, as on any broken path */
    }
    return 0;
}

duet_time pc_transport_deadline(const pc_transport *t)
{
    duet_time ice = duet_ice_agent_deadline(t->ice);
    duet_time dtls = duet_dtls_deadline(t->dtls);

    return ice < dtls ? ice : dtls;
}
