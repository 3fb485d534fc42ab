/* The ICE agent: its public calls, its state machine, and the order in which things are done.
 *
 * RFC 8445, 8838 (trickle), 8863 (patience). Every call changes the object, takes one step, and ends with the events. */
#include "base/crypto.h"
#include "ice/internal.h"

#include <errno.h>
#include <string.h>

/* "the agent SHOULD wait ... 39.5 seconds", the time of a whole transaction, RFC 8863 section 4 */
#define PATIENCE DUET_MS(39500)

/* "the agent SHOULD wait an additional three seconds" before it frees candidates, RFC 8445 section 8.3.1 */
#define CONCLUDE DUET_SECONDS(3)
/* How long a connection that lost its addresses waits for another one, when no time was configured for failure. */
#define NETWORK_GRACE DUET_SECONDS(30)

/* "at least 24 bits of randomness" for the fragment, "at least 128 bits" for the password (RFC 8445 section 5.3); 6 bits
 * each. */
#define UFRAG_LEN 8
#define PWD_LEN   24

/* Names, two fragments and a colon, and the fixed attributes of a check. */
#define CHECK_MAX      (DUET_STUN_HEADER_LEN + 4 + 2 * DUET_UFRAG_MAX + 4 + 8 + 12 + 4 + 24 + 8 + 64)
#define CHECK_HOOK_MAX 1280

void duet_ice_config_init(duet_ice_config *config)
{
    memset(config, 0, sizeof(*config));
    config->size = sizeof(*config);
}

/* ---- entering and leaving ---------------------------------------------------------------------------------------- */

static void enter(duet_ice_agent *a)
{
    duet_events_enter(&a->events);
    duet_outbox_reclaim(&a->outbox);
    a->lost_memory = false;
}

/* Delivers the events; afterwards the agent may be gone. */
static int leave(duet_ice_agent *a, int err)
{
    duet_ice_report(a);
    if (err == DUET_OK && a->lost_memory)
        err = DUET_ERR_NOMEM;
    duet_events_leave(&a->events);
    return err;
}

/* For calls of the user rather than of the driver: what they left to do wants a turn of the loop. */
static int leave_and_wake(duet_ice_agent *a, int err)
{
    duet_ice_wake(a);
    return leave(a, err);
}

void duet_ice_discard(duet_ice_agent *a, size_t len, const char *cause, duet_time now)
{
    a->stats.discarded++;
    duet_trace_discard(&a->env, now, "ice", "stun", len, cause);
}

/* ---- creating and destroying --------------------------------------------------------------------------------------- */

static int random_credentials(const duet_env *env, duet_ice_credentials *out)
{
    memset(out, 0, sizeof(*out));
    int err = duet_random_ice_chars(env, out->ufrag, UFRAG_LEN);

    return err ? err : duet_random_ice_chars(env, out->pwd, PWD_LEN);
}

static void agent_free(void *object)
{
    duet_ice_agent *a = object;
    duet_env env = a->env;

    duet_ice_previous_free(a);
    duet_ice_generation_clear(a);
    duet_ice_gather_free(a);
    duet_ice_candidates_clear_local(a);
    duet_ice_transactions_clear(a);
    duet_array_free(&a->pairs);
    duet_array_free(&a->remotes);
    duet_array_free(&a->locals);
    duet_outbox_free(&a->outbox);
    duet_events_free(&a->events);
    duet_free(&env, a->nat_1to1);
    duet_free(&env, a->ca_file);
    duet_wipe(a, sizeof(*a));
    duet_free(&env, a);
}

static int copy_nat_1to1(duet_ice_agent *a, const duet_ice_config *config)
{
    if (config->nat_1to1_count == 0)
        return DUET_OK;
    if (config->nat_1to1_count > ICE_SOCKETS_MAX)
        return DUET_ERR_INVALID;
    a->nat_1to1 = duet_calloc(&a->env, config->nat_1to1_count * sizeof(duet_address));
    if (!a->nat_1to1)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < config->nat_1to1_count; i++) {
        if (duet_address_parse(&a->nat_1to1[i], config->nat_1to1[i], 0) != DUET_OK)
            return DUET_ERR_INVALID;
    }
    a->nat_1to1_count = config->nat_1to1_count;
    return DUET_OK;
}

static void init_arrays(duet_ice_agent *a)
{
    duet_array *const arrays[] = {&a->sockets, &a->locals,       &a->remotes, &a->pairs,
                                  &a->servers, &a->next_servers, &a->queries, &a->relays};

    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
        duet_array_init(arrays[i], &a->env, sizeof(void *));
    duet_array_init(&a->early, &a->env, sizeof(ice_early));
}

static int init(duet_ice_agent *a, const duet_ice_config *config)
{
    a->role = config->role;
    a->next_id = 1;
    a->first_valid = DUET_NEVER;
    a->unanswered_since = DUET_NEVER;
    int err = duet_random(&a->env, &a->tie_breaker, sizeof(a->tie_breaker));
    if (!err)
        err = duet_random(&a->env, &a->salt, sizeof(a->salt));
    if (!err)
        err = random_credentials(&a->env, &a->local_credentials);
    if (!err)
        err = copy_nat_1to1(a, config);
    if (!err && a->config.ca_file) {
        a->ca_file = duet_strdup(&a->env, a->config.ca_file);
        err = a->ca_file ? DUET_OK : DUET_ERR_NOMEM;
    }
    a->config.ca_file = NULL;
    if (!err)
        err = duet_ice_servers_parse(a, &a->servers, config->servers, config->server_count);
    return err;
}

int duet_ice_agent_create(duet_ice_agent **out, const duet_ice_config *config)
{
    duet_env env = duet_env_resolve(config->env);
    duet_ice_agent *a = duet_calloc(&env, sizeof(*a));

    *out = NULL;
    if (!a)
        return DUET_ERR_NOMEM;
    a->env = env;
    memcpy(&a->config, config, config->size < sizeof(a->config) ? config->size : sizeof(a->config));
    a->config.servers = NULL;
    a->config.nat_1to1 = NULL;
    duet_events_init(&a->events, &a->env, a, agent_free);
    duet_outbox_init(&a->outbox, &a->env, config->check_attribute ? CHECK_HOOK_MAX : CHECK_MAX, ICE_OUTBOX_MAX);
    init_arrays(a);
    int err = init(a, config);
    if (err) {
        agent_free(a);
        return err;
    }
    *out = a;
    return DUET_OK;
}

void duet_ice_agent_destroy(duet_ice_agent *agent)
{
    if (agent)
        duet_events_destroy(&agent->events);
}

/* ---- state ----------------------------------------------------------------------------------------------------------- */

void duet_ice_set_state(duet_ice_agent *a, duet_ice_state state, const char *cause, duet_time now)
{
    if (a->state == state)
        return;
    if (a->state != a->reported_state)
        duet_ice_report(a); /* two changes in one step are two events */
    duet_trace_state(&a->env, now, "ice", "agent", duet_ice_state_name(a->state), duet_ice_state_name(state), cause);
    duet_log(&a->env, DUET_LOG_INFO, "ice", "%s to %s: %s", duet_ice_state_name(a->state), duet_ice_state_name(state),
             cause);
    a->state = state;
}

static void stop(duet_ice_agent *a)
{
    duet_timer *const timers[] = {&a->pace_timer,     &a->nominate_timer, &a->consent_timer,
                                  &a->watch_timer,    &a->patience_timer, &a->keepalive_timer,
                                  &a->conclude_timer, &a->network_timer,  &a->relay_timer};

    for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++)
        duet_timers_cancel(&a->timers, timers[i]);
    duet_ice_previous_free(a);
    for (size_t i = 0; i < a->pairs.count; i++) {
        ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, i);
        duet_ice_triggered_remove(a, pair);
        duet_ice_transactions_of_pair(a, pair);
    }
    a->selected = NULL;
    a->started = false;
}

static void fail(duet_ice_agent *a, const char *cause, duet_time now)
{
    stop(a);
    duet_ice_queries_clear(a);
    duet_ice_relays_release(a, now);
    duet_ice_gather_update(a);
    duet_ice_set_state(a, DUET_ICE_FAILED, cause, now);
}

static void update_connected(duet_ice_agent *a, duet_time now)
{
    if (a->selected->previous) {
        /* W3C: a restart begun in "disconnected" leads to "checking", any other leaves "connected". */
        duet_ice_set_state(a, a->disconnected ? DUET_ICE_CHECKING : DUET_ICE_CONNECTED, "restart", now);
        return;
    }
    if (a->disconnected) {
        duet_ice_set_state(a, DUET_ICE_DISCONNECTED, "the selected pair is silent", now);
        return;
    }
    if (a->state == DUET_ICE_COMPLETED && a->nominated)
        return;
    duet_ice_set_state(a, DUET_ICE_CONNECTED, "a pair is valid", now);
    if (a->nominated && !duet_ice_pairs_running(a)) {
        duet_ice_set_state(a, DUET_ICE_COMPLETED, "nominated", now);
        duet_outbox_trim(&a->outbox);
        if (a->relays.count > 0)
            duet_timers_set(&a->timers, &a->conclude_timer, now + CONCLUDE);
    }
}

void duet_ice_network_lost(duet_ice_agent *a, duet_time now)
{
    a->network_lost = true;
    duet_timers_set(&a->timers, &a->network_timer,
                    now + (a->config.failed_timeout ? a->config.failed_timeout : NETWORK_GRACE));
}

static void update_state(duet_ice_agent *a, duet_time now)
{
    if (a->selected) {
        update_connected(a, now);
        return;
    }
    if (!a->started)
        return;
    bool running = duet_ice_pairs_running(a);
    if (a->was_connected && !running && !a->network_lost)
        fail(a, "no valid pair is left", now);
    else if (a->was_connected)
        duet_ice_set_state(a, DUET_ICE_DISCONNECTED, "the selected pair was lost", now);
    else if (running || !a->patience_over)
        duet_ice_set_state(a, DUET_ICE_CHECKING, "checks started", now);
    else
        fail(a, "no pair worked", now);
}

void duet_ice_step(duet_ice_agent *a, duet_time now)
{
    if (a->state == DUET_ICE_CLOSED)
        return;
    duet_ice_relays_run(a, now); /* permissions are ahead of the checks that need them */
    if (a->state == DUET_ICE_FAILED)
        return;
    if (a->config.lite) {
        duet_ice_lite_select(a, now);
    } else {
        duet_ice_nominate(a, now);
        duet_ice_select(a, now);
    }
    duet_ice_pace(a, now);
    duet_ice_relays_run(a, now);
    duet_ice_keepalive_arm(a, now);
    update_state(a, now);
}

void duet_ice_switch_role(duet_ice_agent *a, duet_ice_role role)
{
    if (a->role == role)
        return;
    a->role = role;
    if (a->nominating && a->nominating->check) {
        /* Its check claims the old role; the pair is as valid as before. */
        duet_ice_transaction_cancel(a, a->nominating->check);
        a->nominating->state = DUET_ICE_PAIR_SUCCEEDED;
    }
    a->nominating = NULL;
    duet_ice_pairs_reprioritize(a);
    duet_ice_report_role(a);
}

/* ---- signalling -------------------------------------------------------------------------------------------------------- */

int duet_ice_start(duet_ice_agent *a, duet_time now)
{
    if (a->started || !a->has_remote || a->gathering == DUET_ICE_GATHERING_NEW)
        return DUET_OK;
    a->started = true;
    if (a->state == DUET_ICE_FAILED)
        duet_ice_set_state(a, DUET_ICE_CHECKING, "restart", now);
    duet_timers_set(&a->timers, &a->patience_timer, now + (a->config.patience ? a->config.patience : PATIENCE));
    int err = duet_ice_pairs_form_all(a, now);
    duet_ice_early_process(a, now);
    return err;
}

int duet_ice_agent_gather(duet_ice_agent *a, duet_time now)
{
    if (a->state == DUET_ICE_CLOSED)
        return DUET_ERR_STATE;
    if (a->gathering != DUET_ICE_GATHERING_NEW)
        return DUET_OK;
    enter(a);
    int err = duet_ice_gather_start(a, now);
    duet_ice_report(a); /* "gathering" comes before "complete" even when there is nothing to wait for */
    duet_ice_gather_update(a);
    if (!err)
        err = duet_ice_start(a, now);
    duet_ice_step(a, now);
    return leave_and_wake(a, err);
}

void duet_ice_agent_set_role(duet_ice_agent *a, duet_ice_role role)
{
    if (a->started)
        return;
    a->role = role;
    duet_ice_pairs_reprioritize(a);
}

duet_ice_role duet_ice_agent_role(const duet_ice_agent *a)
{
    return a->role;
}

const duet_ice_credentials *duet_ice_agent_local_credentials(const duet_ice_agent *a)
{
    return &a->local_credentials;
}

/* The peer restarted: what works goes on working, the rest begins anew. */
static int remote_restart(duet_ice_agent *a, duet_time now)
{
    int err = duet_ice_keep_previous(a, now);

    if (err)
        return err;
    duet_ice_generation_clear(a);
    a->has_remote = false;
    a->remote_new = true;
    a->stats.restarts++;
    return DUET_OK;
}

static bool same_credentials(const duet_ice_credentials *x, const duet_ice_credentials *y)
{
    return strcmp(x->ufrag, y->ufrag) == 0 && strcmp(x->pwd, y->pwd) == 0;
}

static int set_remote(duet_ice_agent *a, const duet_ice_credentials *remote, bool lite, duet_time now)
{
    bool is_same = a->has_remote && same_credentials(&a->remote_credentials, remote);

    if (is_same && a->state == DUET_ICE_FAILED)
        return DUET_OK; /* only a restart helps */
    if (a->has_remote && !is_same) {
        int err = remote_restart(a, now);
        if (err)
            return err;
    }
    a->remote_is_lite = lite;
    /* "the full agent MUST take the controlling role" RFC 8445 section 6.1.1 */
    if (lite && !a->config.lite)
        duet_ice_switch_role(a, DUET_ICE_CONTROLLING);
    if (!a->has_remote) {
        a->remote_credentials = *remote;
        a->has_remote = true;
    }
    return duet_ice_start(a, now);
}

int duet_ice_agent_set_remote(duet_ice_agent *a, const duet_ice_credentials *remote, bool lite, duet_time now)
{
    if (a->state == DUET_ICE_CLOSED)
        return DUET_ERR_STATE;
    if (!duet_ice_credentials_valid(remote))
        return DUET_ERR_INVALID;
    enter(a);
    int err = set_remote(a, remote, lite, now);
    duet_ice_step(a, now);
    return leave_and_wake(a, err);
}

int duet_ice_agent_add_remote_candidate(duet_ice_agent *a, const duet_candidate *candidate, duet_time now)
{
    if (a->state == DUET_ICE_CLOSED)
        return DUET_ERR_STATE;
    enter(a);
    int err = duet_ice_remote_add(a, candidate, now);
    duet_ice_step(a, now);
    return leave_and_wake(a, err);
}

void duet_ice_agent_end_of_remote_candidates(duet_ice_agent *a, duet_time now)
{
    /* Nothing waits for it: peer-reflexive candidates may still come, so the end of the patience decides (RFC 8863). */
    duet_log(&a->env, DUET_LOG_DEBUG, "ice", "end of remote candidates at %llu us", (unsigned long long)now);
}

/* Local candidates are gathered again; the pairs made of the old ones go first. */
static int restart(duet_ice_agent *a, const duet_ice_credentials *fresh, duet_time now)
{
    int err = a->remote_new ? DUET_OK : duet_ice_keep_previous(a, now);

    if (err)
        return err;
    if (a->remote_new) {
        duet_ice_pairs_clear(a);
        a->first_valid = DUET_NEVER;
        a->started = false;
        a->remote_new = false;
    } else {
        a->has_remote = false;
        duet_ice_generation_clear(a);
        a->stats.restarts++;
    }
    duet_ice_queries_clear(a);
    duet_ice_candidates_clear_local(a);
    a->local_credentials = *fresh;
    if (a->state == DUET_ICE_FAILED)
        duet_ice_set_state(a, DUET_ICE_NEW, "restart", now);
    if (a->gathering == DUET_ICE_GATHERING_NEW)
        return DUET_OK;
    err = duet_ice_gather_start(a, now);
    duet_ice_report(a);
    duet_ice_gather_update(a);
    return err ? err : duet_ice_start(a, now);
}

int duet_ice_agent_restart(duet_ice_agent *a, const duet_ice_credentials *credentials, duet_time now)
{
    duet_ice_credentials fresh;
    int err = DUET_OK;

    if (a->state == DUET_ICE_CLOSED)
        return DUET_ERR_STATE;
    if (credentials && !duet_ice_credentials_valid(credentials))
        return DUET_ERR_INVALID;
    if (credentials)
        fresh = *credentials;
    else
        err = random_credentials(&a->env, &fresh);
    if (err)
        return err;
    enter(a);
    err = restart(a, &fresh, now);
    duet_ice_step(a, now);
    duet_wipe(&fresh, sizeof(fresh));
    return leave_and_wake(a, err);
}

int duet_ice_agent_set_servers(duet_ice_agent *a, const duet_ice_server *const *servers, size_t count,
                               duet_ice_policy policy)
{
    duet_array parsed;

    duet_array_init(&parsed, &a->env, sizeof(void *));
    int err = duet_ice_servers_parse(a, &parsed, servers, count);
    if (err)
        return err;
    duet_ice_servers_free(a, &a->next_servers);
    a->next_servers = parsed;
    a->next_policy = policy;
    a->has_next_servers = true;
    return DUET_OK;
}

void duet_ice_agent_release(duet_ice_agent *a, duet_time now)
{
    duet_ice_relays_release(a, now);
}

void duet_ice_agent_close(duet_ice_agent *a, duet_time now)
{
    if (a->state == DUET_ICE_CLOSED)
        return;
    enter(a);
    duet_ice_relays_release(a, now);
    stop(a);
    duet_ice_queries_clear(a);
    duet_ice_gather_close(a);
    duet_outbox_clear(&a->outbox);
    duet_ice_set_state(a, DUET_ICE_CLOSED, "closed", now);
    (void)leave_and_wake(a, DUET_OK);
}

/* ---- the driver's calls ------------------------------------------------------------------------------------------------ */

/* DTLS, SRTP and the like: a sign of life of the pair, nothing else. */
static void note_data(duet_ice_agent *a, const duet_path *path, duet_time now)
{
    ice_pair *pair = duet_ice_pair_find(a, path);

    if (!pair || !pair->valid)
        pair = duet_ice_pair_previous(a, path);
    if (!pair)
        return;
    pair->last_heard = now;
    if (!a->disconnected || pair != a->selected)
        return;
    enter(a);
    duet_ice_heard(a, pair, false, now);
    duet_ice_step(a, now);
    (void)leave(a, DUET_OK);
}

/* With the relay policy the host's own addresses do not exist: whoever knows them learns nothing there. */
static bool is_hidden(const duet_ice_agent *a, const duet_path *path)
{
    if (a->config.policy != DUET_ICE_RELAY || duet_ice_pair_previous(a, path))
        return false;
    const ice_socket *socket = duet_ice_socket_find(a, path->socket);
    return !socket || socket->kind == ICE_SOCKET_HOST;
}

static void input_stun(duet_ice_agent *a, const duet_datagram *in, duet_time now)
{
    duet_stun_message m;

    if (a->state == DUET_ICE_CLOSED || a->state == DUET_ICE_FAILED) {
        duet_ice_discard(a, in->len, "no session", now);
        return;
    }
    if (duet_stun_parse(&m, in->data, in->len) != DUET_OK || m.method != DUET_STUN_BINDING) {
        duet_ice_discard(a, in->len, "malformed", now);
        return;
    }
    if (is_hidden(a, &in->path)) {
        duet_ice_discard(a, in->len, "not through a relay", now);
        return;
    }
    if (m.message_class == DUET_STUN_INDICATION)
        return; /* keep-alive, RFC 8445 section 11 */
    int fingerprint = duet_stun_verify_fingerprint(&m);
    bool is_request = m.message_class == DUET_STUN_REQUEST;
    /* Servers need not send one; checks must have it (RFC 8445 section 7.1). */
    if (fingerprint == DUET_ERR_AUTH || (is_request && fingerprint != DUET_OK)) {
        duet_ice_discard(a, in->len, "fingerprint", now);
        return;
    }
    if (is_request)
        duet_ice_check_request(a, &m, &in->path, now);
    else
        duet_ice_check_response(a, &m, &in->path, now);
}

static void end_stream(duet_ice_agent *a, ice_socket *socket, const char *why, duet_time now)
{
    if (socket->kind == ICE_SOCKET_TCP) {
        duet_ice_tcp_lost(a, socket, now);
        return;
    }
    duet_ice_stream_end(a, socket);
    duet_ice_relays_socket_lost(a, socket, why, now);
    duet_ice_queries_fail(a, socket, why);
}

/* The next frame of a stream, or the end of it. */
static int next_frame(duet_ice_agent *a, ice_socket *socket, duet_datagram *in, duet_datagram *frame, duet_time now)
{
    duet_piece piece = {in->data, in->len}, found;
    int got = duet_frames_next(&socket->frames, &piece, &found);

    *frame = *in;
    in->data = piece.data;
    in->len = piece.len;
    if (got == 1) {
        frame->data = found.data;
        frame->len = found.len;
        frame->headroom = 0;
        return 1;
    }
    in->len = 0;
    if (got < 0) {
        enter(a);
        end_stream(a, socket, "what came on the stream has no frames", now);
        duet_ice_step(a, now);
        (void)leave(a, DUET_OK);
    }
    return 0;
}

int duet_ice_agent_next(duet_ice_agent *a, duet_datagram *in, duet_datagram *frame, duet_time now)
{
    if (in->len == 0)
        return 0;
    if (in->path.protocol == DUET_UDP) {
        *frame = *in;
        in->len = 0;
        return 1;
    }
    ice_socket *socket = duet_ice_socket_find(a, in->path.socket);
    if (!socket || socket->state != ICE_SOCKET_OPEN || socket->protocol == DUET_UDP) {
        in->len = 0;
        return 0;
    }
    return next_frame(a, socket, in, frame, now);
}

int duet_ice_agent_input(duet_ice_agent *a, duet_datagram *in, duet_time now)
{
    if (a->relays.count > 0 && a->state != DUET_ICE_CLOSED && duet_ice_relay_input(a, in, now) == 0) {
        enter(a);
        duet_ice_step(a, now);
        (void)leave(a, DUET_OK);
        return DUET_OK;
    }
    if (!duet_stun_is_message(in->data, in->len)) {
        note_data(a, &in->path, now);
        return DUET_ERR_NOT_MINE;
    }
    enter(a);
    input_stun(a, in, now);
    duet_ice_step(a, now);
    (void)leave(a, DUET_OK);
    return DUET_OK;
}

/* Puts around a datagram what its socket needs. */
static int wrap(duet_ice_agent *a, const ice_socket *socket, duet_datagram *out)
{
    if (!socket)
        return DUET_ERR_CLOSED;
    if (socket->kind == ICE_SOCKET_TCP)
        return socket->state == ICE_SOCKET_OPEN ? duet_ice_tcp_frame(out) : DUET_ERR_CLOSED;
    return duet_ice_relay_wrap(a, socket, out);
}

int duet_ice_agent_output(duet_ice_agent *a, duet_datagram *out, duet_time now)
{
    (void)now;
    if (a->relays.count > 0 && duet_ice_relays_output(a, out))
        return 1;
    while (duet_outbox_pull(&a->outbox, out)) {
        bool is_plain = a->relays.count == 0 && out->path.protocol == DUET_UDP;
        if (is_plain || wrap(a, duet_ice_socket_find(a, out->path.socket), out) == DUET_OK)
            return 1; /* otherwise its relay or connection has gone: lost like on any broken path */
    }
    a->woken = false; /* whoever drains the output has woken up */
    return 0;
}

int duet_ice_agent_request(duet_ice_agent *a, duet_request *out)
{
    return duet_ice_gather_request(a, out);
}

int duet_ice_agent_answer(duet_ice_agent *a, const duet_answer *answer, duet_time now)
{
    enter(a);
    int err = duet_ice_gather_answer(a, answer, now);
    duet_ice_step(a, now);
    return leave(a, err);
}

static bool has_alternative(const duet_ice_agent *a, const ice_pair *than, duet_time now)
{
    for (size_t i = 0; i < a->pairs.count; i++) {
        const ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, i);
        if (pair != than && pair->valid && duet_ice_pair_is_fresh(a, pair, now))
            return true;
    }
    return false;
}

void duet_ice_agent_path_error(duet_ice_agent *a, const duet_path *path, int error, duet_time now)
{
    enter(a);
    ice_socket *socket = duet_ice_socket_find(a, path->socket);
    ice_pair *pair = duet_ice_pair_previous(a, path);
    if (!pair || pair != a->selected)
        pair = duet_ice_pair_find(a, path);
    if (socket && socket->protocol != DUET_UDP) {
        if (error != EAGAIN) /* one frame was dropped: like a lost datagram */
            end_stream(a, socket, "the server closed the connection", now);
    } else if (!pair && duet_ice_relays_path_error(a, path, now)) {
        /* the relay has taken it up */
    } else if (pair && pair == a->selected && !has_alternative(a, pair, now)) {
        /* There is nothing better: it may come back until its consent ends. */
        /* Asked once at once: every further answer "unreachable" must not make another check. */
        if (!a->config.lite && !a->disconnected)
            duet_timers_set(&a->timers, &a->consent_timer, now);
        a->disconnected = true;
    } else if (pair && (pair->valid || duet_ice_pair_is_running(pair))) {
        duet_ice_pair_lost(a, pair, "the path reports an error", now);
    }
    duet_ice_step(a, now);
    (void)leave(a, DUET_OK);
}

static void timer_due(duet_ice_agent *a, duet_timer *timer, duet_time now)
{
    if (timer == &a->consent_timer)
        duet_ice_consent_due(a, now);
    else if (timer == &a->watch_timer)
        duet_ice_watch_due(a, now);
    else if (timer == &a->patience_timer)
        a->patience_over = true;
    else if (timer == &a->keepalive_timer)
        duet_ice_queries_keepalive(a, now);
    else if (timer == &a->conclude_timer)
        duet_ice_relays_conclude(a, now);
    else if (timer == &a->network_timer)
        a->network_lost = false;
    else if (timer != &a->pace_timer && timer != &a->nominate_timer && timer != &a->relay_timer) /* for the step */
        duet_ice_transaction_due(a, (ice_transaction *)(void *)timer, now);
}

void duet_ice_agent_tick(duet_ice_agent *a, duet_time now)
{
    enter(a);
    a->woken = false;
    for (duet_timer *timer = duet_timers_pop(&a->timers, now); timer; timer = duet_timers_pop(&a->timers, now))
        timer_due(a, timer, now);
    duet_ice_step(a, now);
    (void)leave(a, DUET_OK);
}

duet_time duet_ice_agent_deadline(const duet_ice_agent *a)
{
    if (a->state == DUET_ICE_CLOSED && a->relays.count > 0 && !duet_ice_relays_have_output(a) &&
        duet_ice_gather_is_closing(a))
        return 0; /* the last words are out: the sockets may close */
    return duet_timers_deadline(&a->timers);
}

/* ---- data ------------------------------------------------------------------------------------------------------------- */

bool duet_ice_agent_validated(const duet_ice_agent *a, const duet_path *path)
{
    const ice_pair *pair = duet_ice_pair_find(a, path);

    if ((pair && (pair->valid || pair->checked_by_peer)) || duet_ice_pair_previous(a, path))
        return true;
    for (size_t i = 0; i < a->early.count; i++) { /* checks that came before the peer's credentials */
        if (duet_path_equal(&((const ice_early *)duet_array_at(&a->early, i))->path, path))
            return true;
    }
    return false;
}

int duet_ice_agent_route(duet_ice_agent *a, duet_datagram *out)
{
    if (!a->selected)
        return DUET_ERR_STATE;
    const ice_pair *pair = a->selected;
    out->path = pair->path;
    if (pair->path.protocol == DUET_UDP && !pair->local->socket->relay)
        return DUET_OK;
    return wrap(a, pair->path.protocol == DUET_UDP ? pair->local->socket : pair->connection, out);
}
