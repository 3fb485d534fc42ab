/* Connectivity checks as a STUN server: authentication, role conflicts, responses, triggered checks.
 *
 * RFC 8445 section 7.3. What cannot be authenticated is counted and gets no answer: the RFC allows 400 and 401, but an
 * agent that stays silent can be neither probed nor used as an amplifier (RFC 8489 section 16.1.2 names the danger). */
#include "base/text.h"
#include "ice/internal.h"

#include <string.h>

#define ATTRIBUTE_MAX 1200
#define UNKNOWN_MAX   8

static void add_hook(duet_ice_agent *a, duet_stun_builder *b)
{
    uint8_t value[ATTRIBUTE_MAX];

    if (!a->config.check_attribute || !a->config.check_attribute_provide)
        return;
    size_t len = a->config.check_attribute_provide(a->config.user, false, value, sizeof(value));
    if (len > 0 && len <= sizeof(value))
        duet_stun_add(b, a->config.check_attribute, value, len);
}

static void finish_response(duet_ice_agent *a, duet_stun_builder *b, const duet_path *path, const char *pwd)
{
    duet_datagram meta = {.path = *path};
    size_t len;

    duet_stun_add_integrity(b, pwd, strlen(pwd));
    duet_stun_add_fingerprint(b);
    if (duet_stun_end(b, &len) != DUET_OK)
        return;
    duet_outbox_commit(&a->outbox, len, &meta);
    ice_pair *pair = duet_ice_pair_find(a, path);
    if (pair)
        pair->responses_sent++;
}

static void respond_error(duet_ice_agent *a, const duet_stun_message *m, const duet_path *path, const char *pwd,
                          unsigned code, const uint16_t *unknown, size_t unknown_count)
{
    uint8_t *room = duet_outbox_reserve(&a->outbox);

    if (!room)
        return;
    duet_stun_builder b = duet_stun_begin(room, a->outbox.payload_max, DUET_STUN_ERROR, m->method, m->transaction_id);
    duet_stun_add_error(&b, code, NULL);
    if (unknown_count)
        duet_stun_add_types(&b, unknown, unknown_count);
    finish_response(a, &b, path, pwd);
}

static void respond_success(duet_ice_agent *a, const duet_stun_message *m, const duet_path *path, const char *pwd)
{
    uint8_t *room = duet_outbox_reserve(&a->outbox);

    if (!room)
        return;
    duet_stun_builder b = duet_stun_begin(room, a->outbox.payload_max, DUET_STUN_SUCCESS, m->method, m->transaction_id);
    duet_stun_add_address(&b, DUET_STUN_XOR_MAPPED_ADDRESS, &path->remote);
    add_hook(a, &b);
    finish_response(a, &b, path, pwd);
}

/* ---- role conflicts, RFC 8445 section 7.3.1.1 ------------------------------------------------------------------- */

/* False when the answer is 487. */
static bool resolve_roles(duet_ice_agent *a, const duet_stun_message *m)
{
    bool controlling = a->role == DUET_ICE_CONTROLLING;
    uint64_t theirs;

    if (a->config.lite)
        return true;
    uint16_t same_role = controlling ? DUET_STUN_ICE_CONTROLLING : DUET_STUN_ICE_CONTROLLED;
    if (duet_stun_get_u64(m, same_role, &theirs) != DUET_OK)
        return true;
    a->stats.role_conflicts++;
    /* Controlling and larger or equal: stay, and tell the peer. Controlled and smaller: likewise. */
    bool larger = a->tie_breaker >= theirs;
    if (larger == controlling)
        return false;
    duet_ice_switch_role(a, controlling ? DUET_ICE_CONTROLLED : DUET_ICE_CONTROLLING);
    return true;
}

/* ---- triggered checks, RFC 8445 sections 7.3.1.3 to 7.3.1.5 ------------------------------------------------------ */

/* The pair of a path that nobody signalled; NULL when there is no room for it. */
ice_pair *duet_ice_pair_learn(duet_ice_agent *a, const duet_path *path, uint32_t priority)
{
    ice_socket *socket = duet_ice_socket_find(a, path->socket);
    bool is_tcp = socket && socket->kind == ICE_SOCKET_TCP;
    ice_local *local = !socket ? NULL : is_tcp ? duet_ice_tcp_local(a, socket) : duet_ice_local_host(a, socket);

    if (!local)
        return NULL;
    ice_remote *remote = duet_ice_remote_find(a, &path->remote, is_tcp);
    if (!remote)
        remote = duet_ice_remote_reflexive(a, &path->remote, priority);
    if (!remote)
        return NULL;
    if (is_tcp && remote->tcp_type == DUET_TCPTYPE_NONE)
        remote->tcp_type = local->tcp_type == DUET_TCPTYPE_PASSIVE ? DUET_TCPTYPE_ACTIVE : DUET_TCPTYPE_PASSIVE;
    return duet_ice_pair_add(a, local, remote, is_tcp ? socket : NULL);
}

static void process_check(duet_ice_agent *a, const duet_path *path, uint32_t priority, bool use_candidate,
                          duet_time now)
{
    ice_pair *pair = duet_ice_pair_find(a, path);

    if (!pair || pair->previous)
        pair = duet_ice_pair_learn(a, path, priority);
    if (!pair)
        return;
    pair->path.remote.scope = path->remote.scope;
    pair->checked_by_peer = true;
    pair->checked_plainly = pair->checked_plainly || !use_candidate;
    pair->requests_received++;
    duet_ice_heard(a, pair, false, now);
    if (!pair->valid && (pair->state != DUET_ICE_PAIR_WAITING || !pair->is_triggered))
        duet_ice_trigger(a, pair, now);

    if (!use_candidate || a->role == DUET_ICE_CONTROLLING)
        return;
    if (pair->valid)
        duet_ice_peer_nominates(a, pair, now);
    else
        pair->nominate_on_success = true;
}

/* ---- checks before the peer's credentials ------------------------------------------------------------------------ */

static void hold(duet_ice_agent *a, const duet_path *path, uint32_t priority, bool use_candidate, duet_time now)
{
    for (size_t i = 0; i < a->early.count; i++) {
        ice_early *early = duet_array_at(&a->early, i);
        if (!duet_path_equal(&early->path, path))
            continue;
        early->use_candidate = early->use_candidate || use_candidate;
        return;
    }
    ice_early *early = a->early.count < DUET_ICE_EARLY_MAX ? duet_array_push(&a->early) : NULL;
    if (!early) {
        a->stats.early_dropped++;
        duet_trace_discard(&a->env, now, "ice", "early check", 0, "too many before the answer");
        return;
    }
    *early = (ice_early){.path = *path, .priority = priority, .use_candidate = use_candidate};
    a->stats.early_held++;
}

void duet_ice_early_process(duet_ice_agent *a, duet_time now)
{
    for (size_t i = 0; i < a->early.count; i++) {
        ice_early early = *(ice_early *)duet_array_at(&a->early, i);
        if (a->config.lite)
            duet_ice_lite_request(a, &early.path, early.priority, early.use_candidate, now);
        else
            process_check(a, &early.path, early.priority, early.use_candidate, now);
    }
    duet_array_free(&a->early);
}

/* ---- a request ---------------------------------------------------------------------------------------------------- */

/* Whether USERNAME is for this fragment: it stands before the colon. What follows the colon is not looked at: peers
 * that bundle may name the fragment of another m-section there, and the password proves more. */
static bool names_fragment(const duet_stun_attribute *username, const char *ufrag)
{
    size_t len = strlen(ufrag);

    return username->len > len && memcmp(username->value, ufrag, len) == 0 && username->value[len] == ':';
}

/* The password that the request is made with; NULL when it is for nobody here. */
static const char *password_for(const duet_ice_agent *a, const duet_stun_message *m, bool *previous)
{
    duet_stun_attribute username;

    *previous = false;
    if (!duet_stun_find(m, DUET_STUN_USERNAME, &username))
        return NULL;
    if (names_fragment(&username, a->local_credentials.ufrag))
        return a->local_credentials.pwd;
    if (!a->previous || !names_fragment(&username, a->previous->local_credentials.ufrag))
        return NULL;
    *previous = true;
    return a->previous->local_credentials.pwd;
}

/* A browser that restarts checks from its new candidates at once, with the fragment and the password that it has of us: the old
 * ones. Its new candidate would then keep them, and refuse our checks of the new generation. Unanswered, it waits for the new
 * ones. Such a check names a fragment of the peer that we do not know yet, and comes from where nobody was. */
static bool is_ahead_of_its_offer(const duet_ice_agent *a, const duet_stun_message *m, const duet_path *path)
{
    size_t local_len = strlen(a->local_credentials.ufrag);
    duet_stun_attribute username;

    if (!a->selected || !a->has_remote || !duet_stun_find(m, DUET_STUN_USERNAME, &username))
        return false;
    const char *known = a->remote_credentials.ufrag;
    duet_bytes named = {username.value + local_len + 1, username.len - local_len - 1};
    return !duet_text_is(named, known) && !duet_ice_pair_find(a, path);
}

static size_t unknown_attributes(const duet_ice_agent *a, const duet_stun_message *m, uint16_t out[UNKNOWN_MAX])
{
    const uint16_t known[] = {DUET_STUN_USERNAME,
                              DUET_STUN_MESSAGE_INTEGRITY,
                              DUET_STUN_MESSAGE_INTEGRITY_SHA256,
                              DUET_STUN_PRIORITY,
                              DUET_STUN_USE_CANDIDATE,
                              a->config.check_attribute ? a->config.check_attribute : DUET_STUN_USERNAME};
    size_t count = duet_stun_unknown_required(m, known, sizeof(known) / sizeof(known[0]), out, UNKNOWN_MAX);

    return count < UNKNOWN_MAX ? count : UNKNOWN_MAX;
}

void duet_ice_check_request(duet_ice_agent *a, const duet_stun_message *m, const duet_path *path, duet_time now)
{
    uint16_t unknown[UNKNOWN_MAX];
    uint32_t priority = 0;
    bool previous;
    const char *pwd = password_for(a, m, &previous);

    if (!pwd) {
        duet_ice_discard(a, m->len, "check for another user", now);
        return;
    }
    if (previous ? !duet_ice_pair_previous(a, path) : is_ahead_of_its_offer(a, m, path)) {
        duet_ice_discard(a, m->len, "check of two generations", now);
        return;
    }
    if (duet_stun_verify_integrity(m, pwd, strlen(pwd)) != DUET_OK) {
        duet_ice_discard(a, m->len, "check with wrong integrity", now);
        return;
    }
    size_t unknown_count = unknown_attributes(a, m, unknown);
    if (unknown_count) {
        respond_error(a, m, path, pwd, 420, unknown, unknown_count);
        return;
    }
    if (duet_stun_get_u32(m, DUET_STUN_PRIORITY, &priority) != DUET_OK) {
        respond_error(a, m, path, pwd, 400, NULL, 0);
        return;
    }
    if (previous) {
        /* The generation before the restart: its pair is kept alive, nothing new is learnt. */
        respond_success(a, m, path, pwd);
        duet_ice_heard(a, a->previous->pair, false, now);
        return;
    }
    if (!resolve_roles(a, m)) {
        respond_error(a, m, path, pwd, 487, NULL, 0);
        return;
    }
    bool use_candidate = duet_stun_find(m, DUET_STUN_USE_CANDIDATE, NULL);
    duet_ice_report_attribute(a, true, m);
    if (!a->has_remote)
        hold(a, path, priority, use_candidate, now);
    else if (a->config.lite)
        duet_ice_lite_request(a, path, priority, use_candidate, now);
    else
        process_check(a, path, priority, use_candidate, now);
    respond_success(a, m, path, pwd);
}
