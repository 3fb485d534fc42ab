/* The connection itself: creation, configuration, closing, and the contract towards the driver. W3C webrtc-pc 4.4. */
#include "base/crypto.h"
#include "peer/media.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_MESSAGE_SIZE 262144 /* what browsers announce */

/* ---- create and destroy ---- */

static void finish(void *object);

static int create_certificate(duet_pc *pc, const duet_pc_config *config)
{
    int err = DUET_OK;

    if (config->certificate)
        pc->certificate = duet_certificate_ref(config->certificate);
    else
        err = duet_certificate_generate(&pc->certificate, &pc->env, DUET_KEY_ECDSA_P256, config->wall_seconds);
    return err == DUET_OK ? duet_certificate_fingerprint(pc->certificate, DUET_HASH_SHA256, &pc->fingerprint) : err;
}

/* "... a 64-bit quantity with the highest bit set to zero and the remaining 63 bits being cryptographically random"
 * RFC 9429, 5.2.1. */
static int create_names(duet_pc *pc)
{
    int err = duet_random(&pc->env, &pc->session_id, sizeof(pc->session_id));

    pc->session_id &= UINT64_MAX >> 1;
    return err == DUET_OK ? duet_random_ice_chars(&pc->env, pc->cname, 16) : err;
}

/* A server URL that cannot be used should be known at creation, not at the first gathering. */
static int check_servers(duet_pc *pc)
{
    pc_transport *t;

    return pc->servers.count ? pc_transport_create(&t, pc, 0) : DUET_OK;
}

static void take_config(duet_pc *pc, const duet_pc_config *config)
{
    memcpy(&pc->config, config, config->size < sizeof(*config) ? config->size : sizeof(*config));
    pc->config.env = NULL;
    if (pc->config.max_message_size == 0)
        pc->config.max_message_size = MAX_MESSAGE_SIZE;
}

/* Copies what the configuration points to: the pointers themselves are the caller's. */
static int take_pointers(duet_pc *pc)
{
    duet_pc_config given = pc->config;

    pc->config.ice_servers = NULL;
    pc->config.nat_1to1 = NULL;
    pc->config.ca_file = NULL;
    for (size_t i = 0; i < given.srtp_profile_count && i < PC_PROFILES_MAX; i++)
        pc->srtp_profiles[pc->srtp_profile_count++] = given.srtp_profiles[i];
    pc->config.srtp_profiles = NULL;
    pc->config.certificate = NULL;
    int err = pc_servers_copy(&pc->env, &pc->servers, given.ice_servers, given.ice_server_count);
    if (err == DUET_OK)
        err = pc_strings_copy(&pc->env, &pc->nat_1to1, given.nat_1to1, given.nat_1to1_count);
    if (err == DUET_OK && given.ca_file) {
        pc->ca_file = duet_strdup(&pc->env, given.ca_file);
        err = pc->ca_file ? DUET_OK : DUET_ERR_NOMEM;
    }
    if (err == DUET_OK)
        err = create_certificate(pc, &given);
    return err;
}

int duet_pc_create(duet_pc **out, const duet_pc_config *config)
{
    duet_pc_config defaults = DUET_PC_CONFIG_INIT;

    *out = NULL;
    if (!config)
        config = &defaults;
    if (config->size < sizeof(config->size) + sizeof(config->env))
        return DUET_ERR_INVALID;
    duet_env env = duet_env_resolve(config->env);
    duet_pc *pc = duet_calloc(&env, sizeof(*pc));
    if (!pc)
        return DUET_ERR_NOMEM;
    pc->env = env;
    take_config(pc, config);
    pthread_mutex_init(&pc->wake_lock, NULL);
    duet_events_init(&pc->events, &pc->env, pc, finish);
    duet_array_init(&pc->servers, &pc->env, sizeof(pc_server));
    duet_array_init(&pc->sections, &pc->env, sizeof(pc_section));
    duet_array_init(&pc->early_candidates, &pc->env, sizeof(pc_early_candidate));
    duet_array_init(&pc->accepted, &pc->env, sizeof(pc_accepted));
    duet_array_init(&pc->transceivers, &pc->env, sizeof(duet_transceiver *));
    int err = take_pointers(pc);
    if (err == DUET_OK)
        err = create_names(pc);
    if (err == DUET_OK)
        err = check_servers(pc);
    if (err != DUET_OK) {
        finish(pc);
        return err;
    }
    *out = pc;
    return DUET_OK;
}

static void finish(void *object)
{
    duet_pc *pc = object;

    pc_transceivers_free(pc);
    duet_sctp_destroy(pc->sctp);
    for (size_t i = 0; i < pc->transport_count; i++)
        pc_transport_destroy(pc->transports[i]);
    pc_descriptions_free(pc);
    duet_array_free(&pc->sections);
    duet_array_free(&pc->early_candidates);
    duet_array_free(&pc->accepted);
    pc_servers_free(&pc->env, &pc->servers);
    pc_strings_free(&pc->env, pc->nat_1to1, pc->config.nat_1to1_count);
    duet_free(&pc->env, pc->ca_file);
    duet_certificate_destroy(pc->certificate);
    duet_events_free(&pc->events);
    pthread_mutex_destroy(&pc->wake_lock);
    duet_env env = pc->env;
    duet_free(&env, pc);
}

/* "The RTCDataChannels will be closed abruptly and the closing procedure will not be invoked", W3C 4.4.2 close(). */
static void silence(void *user, duet_dc *dc)
{
    (void)user;
    duet_dc_set_callbacks(dc, NULL);
}

void duet_pc_destroy(duet_pc *pc)
{
    if (!pc)
        return;
    if (pc->events.depth > 0) { /* inside an event it lives on until the outermost call ends, but says no more */
        pc->is_closed = true;
        if (pc->sctp)
            duet_sctp_each_channel(pc->sctp, silence, NULL);
    }
    duet_events_destroy(&pc->events);
}

void duet_pc_close(duet_pc *pc)
{
    if (pc->is_closed)
        return;
    duet_events_enter(&pc->events);
    pc->is_closed = true;
    duet_trace_state(&pc->env, pc->now, "peer", "connection", duet_pc_state_name(pc->state), "closed", "close()");
    pc->signaling = DUET_SIGNALING_CLOSED;
    pc->state = DUET_PC_CLOSED;
    pc->ice_state = DUET_ICE_CLOSED;
    if (pc->sctp) {
        duet_sctp_each_channel(pc->sctp, silence, NULL);
        duet_sctp_close(pc->sctp, pc->now);
    }
    pc_wake(pc); /* the rest may not be done inside the callbacks of DTLS: at the next tick */
    duet_events_leave(&pc->events);
}

/* Hands the servers to the transports that there are. */
static int apply_servers(duet_pc *pc)
{
    int err = DUET_OK;

    if (pc->transport_count == 0)
        return check_servers(pc);
    const duet_ice_server **servers = pc_servers_list(pc);
    if (pc->servers.count && !servers)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; err == DUET_OK && i < pc->transport_count; i++)
        err = duet_ice_agent_set_servers(pc->transports[i]->ice, servers, pc->servers.count,
                                         pc->config.ice_transport_policy);
    duet_free(&pc->env, servers);
    return err;
}

int duet_pc_set_configuration(duet_pc *pc, const duet_pc_config *config)
{
    duet_pc_config next = DUET_PC_CONFIG_INIT;
    duet_array servers, before = pc->servers;
    duet_ice_policy policy_before = pc->config.ice_transport_policy;

    if (pc->is_closed)
        return DUET_ERR_STATE;
    memcpy(&next, config, config->size < sizeof(next) ? config->size : sizeof(next));
    if ((next.certificate && next.certificate != pc->certificate) || next.bundle_policy != pc->config.bundle_policy)
        return DUET_ERR_INVALID;
    int err = pc_servers_copy(&pc->env, &servers, next.ice_servers, next.ice_server_count);
    if (err != DUET_OK)
        return err;
    pc->servers = servers;
    pc->config.ice_transport_policy = next.ice_transport_policy;
    err = apply_servers(pc);
    if (err != DUET_OK) {
        pc->servers = before;
        pc->config.ice_transport_policy = policy_before;
        (void)apply_servers(pc);
        pc_servers_free(&pc->env, &servers);
        return err;
    }
    if (policy_before != next.ice_transport_policy || !pc_servers_equal(&before, &servers))
        pc->ice_config_changed = true;
    pc_servers_free(&pc->env, &before);
    return DUET_OK;
}

/* ---- errors ---- */

void pc_error_set(duet_pc *pc, size_t line, size_t column, const char *format, ...)
{
    va_list args;

    pc->error.line = line;
    pc->error.column = column;
    va_start(args, format);
    vsnprintf(pc->error.reason, sizeof(pc->error.reason), format, args);
    va_end(args);
}

const duet_sdp_error *duet_pc_error(const duet_pc *pc)
{
    return &pc->error;
}

/* ---- data channels ---- */

static int sctp_packet(void *user, const uint8_t *packet, size_t len, duet_time now)
{
    duet_pc *pc = user;

    if (!pc->sctp_transport)
        return DUET_ERR_STATE;
    return duet_dtls_send(pc->sctp_transport->dtls, packet, len, now);
}

static void sctp_wakes(void *user)
{
    pc_wake(user);
}

static void sctp_channel(void *user, duet_dc *dc)
{
    duet_pc *pc = user;

    if (pc->config.on_data_channel && !pc->is_closed)
        pc->config.on_data_channel(pc->config.user, pc, dc);
}

int pc_ensure_sctp(duet_pc *pc)
{
    duet_sctp_config config;

    if (pc->sctp)
        return DUET_OK;
    duet_sctp_config_init(&config);
    config.env = &pc->env;
    config.streams = pc->config.sctp_streams;
    config.max_message_size = pc->config.max_message_size;
    config.send_buffer = pc->config.sctp_send_buffer;
    config.receive_buffer = pc->config.sctp_receive_buffer;
    config.send_queue = pc->config.sctp_send_queue;
    config.packet_sink = sctp_packet;
    config.on_channel = sctp_channel;
    config.on_wake = sctp_wakes;
    config.user = pc;
    return duet_sctp_create(&pc->sctp, &config);
}

int duet_pc_create_data_channel(duet_pc *pc, const char *label, const duet_dc_init *init, duet_dc **out)
{
    *out = NULL;
    if (pc->is_closed)
        return DUET_ERR_STATE;
    duet_events_enter(&pc->events);
    int err = pc_ensure_sctp(pc);
    if (err == DUET_OK)
        err = duet_dc_create(out, pc->sctp, label, init, NULL, pc->now);
    if (err == DUET_OK) {
        pc->wants_data = true;
        pc_update_negotiation_needed(pc);
        pc_wake(pc);
    }
    duet_events_leave(&pc->events);
    return err;
}

/* ---- the contract towards the driver ---- */

void pc_wake(duet_pc *pc)
{
    if (atomic_exchange(&pc->wake_asked, true))
        return;
    pthread_mutex_lock(&pc->wake_lock);
    if (pc->wake)
        pc->wake(pc->wake_user);
    pthread_mutex_unlock(&pc->wake_lock);
}

void duet_pc_set_wake(duet_pc *pc, void (*wake)(void *user), void *user)
{
    pthread_mutex_lock(&pc->wake_lock);
    pc->wake = wake;
    pc->wake_user = user;
    pthread_mutex_unlock(&pc->wake_lock);
}

static pc_transport *transport_of_socket(const duet_pc *pc, uint32_t socket)
{
    uint32_t index = socket >> PC_SOCKET_BITS;

    for (size_t i = 0; socket >= DUET_SOCKET_ACCEPTED && i < pc->accepted.count; i++) {
        const pc_accepted *accepted = duet_array_at(&pc->accepted, i);
        if (accepted->id == socket)
            index = accepted->transport;
    }
    return index < pc->transport_count ? pc->transports[index] : NULL;
}

static uint32_t outer_socket(const pc_transport *t, uint32_t socket)
{
    return socket >= DUET_SOCKET_ACCEPTED ? socket : t->index << PC_SOCKET_BITS | socket;
}

static uint32_t inner_socket(uint32_t socket)
{
    return socket >= DUET_SOCKET_ACCEPTED ? socket : socket & ((1u << PC_SOCKET_BITS) - 1);
}

static int note_accepted(duet_pc *pc, const pc_transport *t, uint32_t id)
{
    pc_accepted *accepted = duet_array_push(&pc->accepted);

    if (!accepted)
        return DUET_ERR_NOMEM;
    *accepted = (pc_accepted){.id = id, .transport = t->index};
    return DUET_OK;
}

/* The agent closes it: the driver may choose the id again. */
static void forget_accepted(duet_pc *pc, uint32_t id)
{
    for (size_t i = pc->accepted.count; i-- > 0;) {
        if (((const pc_accepted *)duet_array_at(&pc->accepted, i))->id == id)
            duet_array_remove(&pc->accepted, i);
    }
}

int duet_pc_input(duet_pc *pc, duet_datagram *in, duet_time now)
{
    pc_transport *t = transport_of_socket(pc, in->path.socket);

    if (!t || t->retired || pc->is_closed)
        return DUET_ERR_NOT_MINE;
    duet_events_enter(&pc->events);
    pc->now = now;
    pc->counters.datagrams_in++;
    pc->counters.bytes_in += in->len;
    in->path.socket = inner_socket(in->path.socket);
    duet_trace_packet(&pc->env, now, "peer", DUET_LAYER_DATAGRAM, false, &in->path, in->data, in->len);
    int err = pc_transport_input(t, in, now);
    duet_events_leave(&pc->events);
    return err;
}

int duet_pc_output(duet_pc *pc, duet_datagram *out, duet_time now)
{
    for (size_t i = 0; i < pc->transport_count; i++) {
        pc_transport *t = pc->transports[i];
        if (pc_transport_output(t, out, now) != 1) {
            t->drained = t->ended;
            continue;
        }
        duet_trace_packet(&pc->env, now, "peer", DUET_LAYER_DATAGRAM, true, &out->path, out->data, out->len);
        out->path.socket = outer_socket(t, out->path.socket);
        pc->counters.datagrams_out++;
        pc->counters.bytes_out += out->len;
        return 1;
    }
    return 0;
}

int duet_pc_request(duet_pc *pc, duet_request *out)
{
    for (size_t i = 0; i < pc->transport_count; i++) {
        pc_transport *t = pc->transports[i];
        if (duet_ice_agent_request(t->ice, out) == 1) {
            if (out->kind == DUET_REQUEST_CLOSE)
                forget_accepted(pc, out->id);
            out->id = outer_socket(t, out->id);
            return 1;
        }
        t->released = t->retired && t->ice_state == DUET_ICE_CLOSED;
    }
    return 0;
}

int duet_pc_answer(duet_pc *pc, const duet_answer *answer, duet_time now)
{
    pc_transport *t = transport_of_socket(pc, answer->id);
    duet_answer inner = *answer;

    if (!t)
        return DUET_ERR_NOT_MINE;
    duet_events_enter(&pc->events);
    pc->now = now;
    inner.id = inner_socket(answer->id);
    int err = answer->kind == DUET_ANSWER_ACCEPTED ? note_accepted(pc, t, answer->accepted) : DUET_OK;
    if (err == DUET_OK)
        err = duet_ice_agent_answer(t->ice, &inner, now);
    duet_events_leave(&pc->events);
    return err;
}

void duet_pc_path_error(duet_pc *pc, const duet_path *path, int error, duet_time now)
{
    pc_transport *t = transport_of_socket(pc, path->socket);
    duet_path inner = *path;

    if (!t)
        return;
    duet_events_enter(&pc->events);
    pc->now = now;
    inner.socket = inner_socket(path->socket);
    duet_ice_agent_path_error(t->ice, &inner, error, now);
    duet_events_leave(&pc->events);
}

static void tick(duet_pc *pc, duet_time now)
{
    for (size_t i = 0; i < pc->transport_count; i++) {
        pc_transport *t = pc->transports[i];
        if (pc->is_closed || t->retired)
            pc_transport_end(t, now);
        else
            pc_transport_sync(t, now);
    }
    if (pc->is_closed)
        return;
    if (pc->sctp)
        duet_sctp_tick(pc->sctp, now);
    if (pc->negotiation_deferred) {
        pc->negotiation_deferred = false;
        pc->negotiation_unreported = true;
    }
    pc_report(pc);
}

void duet_pc_tick(duet_pc *pc, duet_time now)
{
    duet_events_enter(&pc->events);
    atomic_store(&pc->wake_asked, false); /* before the work: a wake from now on means more of it */
    pc->now = now;
    tick(pc, now);
    duet_events_leave(&pc->events);
}

duet_time duet_pc_deadline(const duet_pc *pc)
{
    duet_time first = pc->sctp && !pc->is_closed ? duet_sctp_deadline(pc->sctp) : DUET_NEVER;

    for (size_t i = 0; i < pc->transport_count; i++) {
        duet_time deadline = pc_transport_deadline(pc->transports[i]);
        first = deadline < first ? deadline : first;
    }
    if (pc_has_unreported(pc) && pc->now + PC_RETRY_AFTER < first)
        first = pc->now + PC_RETRY_AFTER;
    return first;
}

void duet_pc_get_counters(const duet_pc *pc, duet_pc_counters *out)
{
    *out = pc->counters;
}

static int ops_input(void *object, duet_datagram *in, duet_time now)
{
    return duet_pc_input(object, in, now);
}

static int ops_output(void *object, duet_datagram *out, duet_time now)
{
    return duet_pc_output(object, out, now);
}

static int ops_request(void *object, duet_request *out)
{
    return duet_pc_request(object, out);
}

static int ops_answer(void *object, const duet_answer *answer, duet_time now)
{
    return duet_pc_answer(object, answer, now);
}

static void ops_path_error(void *object, const duet_path *path, int error, duet_time now)
{
    duet_pc_path_error(object, path, error, now);
}

static void ops_tick(void *object, duet_time now)
{
    duet_pc_tick(object, now);
}

static duet_time ops_deadline(const void *object)
{
    return duet_pc_deadline(object);
}

static void ops_set_wake(void *object, void (*wake)(void *user), void *user)
{
    duet_pc_set_wake(object, wake, user);
}

static const char *ops_local_ufrag(const void *object, size_t index)
{
    const duet_pc *pc = object;

    for (size_t i = 0; i < pc->transport_count; i++) {
        const pc_transport *t = pc->transports[i];
        if (!t->released && index-- == 0)
            return duet_ice_agent_local_credentials(t->ice)->ufrag;
    }
    return NULL;
}

const duet_endpoint_ops *duet_pc_endpoint_ops(void)
{
    static const duet_endpoint_ops ops = {sizeof(ops),    ops_input, ops_output,   ops_request,  ops_answer,
                                          ops_path_error, ops_tick,  ops_deadline, ops_set_wake, ops_local_ufrag};

    return &ops;
}
