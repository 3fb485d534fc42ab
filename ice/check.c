/* Connectivity checks as a STUN client: sending, retransmitting, and what a response or its absence means.
 *
 * RFC 8445 sections 7.2.2 to 7.2.5; consent checks (RFC 7675) and queries to STUN servers use the same machinery. */
#include "ice/internal.h"

#include <stdio.h>
#include <string.h>

#define ATTRIBUTE_MAX    1200 /* of the attribute hook */
#define MEASURED_RTO_MIN DUET_MS(200)

/* ---- sending --------------------------------------------------------------------------------------------------- */

static void add_hook(duet_ice_agent *a, duet_stun_builder *b)
{
    uint8_t value[ATTRIBUTE_MAX];

    if (!a->config.check_attribute || !a->config.check_attribute_provide)
        return;
    size_t len = a->config.check_attribute_provide(a->config.user, true, value, sizeof(value));
    if (len > 0 && len <= sizeof(value))
        duet_stun_add(b, a->config.check_attribute, value, len);
}

/* A retransmission is built again with the same transaction id and role, so that it says the same. */
static void build_check(duet_ice_agent *a, const ice_transaction *t, duet_stun_builder *b)
{
    const duet_ice_credentials *local = t->previous ? &a->previous->local_credentials : &a->local_credentials;
    const duet_ice_credentials *remote = t->previous ? &a->previous->remote_credentials : &a->remote_credentials;
    char username[2 * DUET_UFRAG_MAX + 2];
    /* "the username ... is formed by concatenating the username fragment provided by the peer with the fragment of
     * the agent sending the request, separated by a colon" RFC 8445 section 7.2.2 */
    int len = snprintf(username, sizeof(username), "%s:%s", remote->ufrag, local->ufrag);

    duet_stun_add(b, DUET_STUN_USERNAME, username, (size_t)len);
    bool is_tcp = t->pair->local->tcp_type != DUET_TCPTYPE_NONE;
    duet_stun_add_u32(b, DUET_STUN_PRIORITY,
                      is_tcp ? duet_ice_tcp_check_priority(t->pair)
                             : duet_ice_priority(ICE_TYPE_PREFERENCE_PRFLX, t->pair->local->socket->local_preference));
    duet_stun_add_u64(b, t->controlling ? DUET_STUN_ICE_CONTROLLING : DUET_STUN_ICE_CONTROLLED, t->tie_breaker);
    if (t->use_candidate)
        duet_stun_add_flag(b, DUET_STUN_USE_CANDIDATE);
    add_hook(a, b);
    duet_stun_add_integrity(b, remote->pwd, strlen(remote->pwd));
}

void duet_ice_transmit(duet_ice_agent *a, ice_transaction *t, duet_time now)
{
    uint8_t *room = duet_outbox_reserve(&a->outbox);

    duet_ice_transaction_sent(a, t, now);
    if (!room)
        return; /* like a loss on the way */
    duet_datagram meta = {0};
    duet_stun_builder b = duet_stun_begin(room, a->outbox.payload_max, DUET_STUN_REQUEST, DUET_STUN_BINDING, t->id);
    if (t->kind == ICE_QUERY) {
        meta.path = (duet_path){.socket = t->query->socket->id,
                                .protocol = t->query->socket->protocol,
                                .local = t->query->socket->local,
                                .remote = t->query->remote};
    } else {
        meta.path = t->pair->path;
        t->pair->requests_sent++;
        build_check(a, t, &b);
    }
    duet_stun_add_fingerprint(&b);
    size_t len;
    if (duet_stun_end(&b, &len) == DUET_OK)
        duet_outbox_commit(&a->outbox, len, &meta);
}

/* "RTO = MAX (500ms, Ta*N * (Num-Waiting + Num-In-Progress))" RFC 8445 section 14.3, N is 1 */
static duet_time check_rto(const duet_ice_agent *a)
{
    duet_time running = 0;

    for (size_t i = 0; i < a->pairs.count; i++) {
        const ice_pair *pair = *(ice_pair **)duet_array_at(&a->pairs, i);
        if (pair->state == DUET_ICE_PAIR_WAITING || pair->state == DUET_ICE_PAIR_IN_PROGRESS)
            running++;
    }
    duet_time rto = duet_ice_pacing(a) * running;
    return rto > ICE_RTO ? rto : ICE_RTO;
}

/* The 500 ms are for paths of which nothing is known (RFC 8489 section 6.2.1); this one has been measured. */
static duet_time measured_rto(const ice_pair *pair)
{
    duet_time rto = 2 * pair->rtt;

    if (rto < MEASURED_RTO_MIN)
        return MEASURED_RTO_MIN;
    return rto < ICE_RTO ? rto : ICE_RTO;
}

/* On a stream nothing is repeated: Ti, RFC 8489 section 6.2.2. */
static void send_once(ice_transaction *t)
{
    t->sends_max = 1;
    t->rto = DUET_MS(39500) / ICE_RM;
}

int duet_ice_check_start(duet_ice_agent *a, ice_pair *pair, bool use_candidate, duet_time now)
{
    ice_transaction *t = duet_ice_transaction_new(a, ICE_CHECK, now);

    if (!t)
        return DUET_ERR_NOMEM;
    duet_ice_triggered_remove(a, pair);
    if (pair->check)
        duet_ice_transaction_cancel(a, pair->check);
    t->pair = pair;
    t->use_candidate = use_candidate || (a->nominating == pair && t->controlling);
    t->rto = t->use_candidate && pair->rtt ? measured_rto(pair) : check_rto(a);
    if (pair->path.protocol != DUET_UDP)
        send_once(t);
    pair->check = t;
    duet_ice_pair_set_state(a, pair, DUET_ICE_PAIR_IN_PROGRESS, now);
    duet_ice_transmit(a, t, now);
    return DUET_OK;
}

int duet_ice_consent_send(duet_ice_agent *a, ice_pair *pair, duet_time now)
{
    ice_transaction *t = duet_ice_transaction_new(a, ICE_CONSENT, now);

    if (!t)
        return DUET_ERR_NOMEM;
    t->pair = pair;
    t->previous = pair->previous;
    /* RFC 7675 sends each consent check once. The selected pair's one is repeated twice when it stays unanswered, as an
     * ordinary check would be, so that a single loss on an idle path is not taken for a dead one. */
    t->sends_max = pair == a->selected ? 3 : 1;
    t->rto = measured_rto(pair);
    if (pair->path.protocol != DUET_UDP)
        t->sends_max = 1;
    pair->consent_requests_sent++;
    duet_ice_transmit(a, t, now);
    return DUET_OK;
}

int duet_ice_query_start(duet_ice_agent *a, ice_query *query, duet_time now)
{
    ice_transaction *t = duet_ice_transaction_new(a, ICE_QUERY, now);

    if (!t)
        return DUET_ERR_NOMEM;
    t->query = query;
    if (query->socket->protocol != DUET_UDP)
        send_once(t);
    query->state = ICE_QUERY_RUNNING;
    duet_ice_transmit(a, t, now);
    return DUET_OK;
}

/* ---- failure --------------------------------------------------------------------------------------------------- */

static void check_failed(duet_ice_agent *a, ice_pair *pair, const char *cause, duet_time now)
{
    if (pair->valid) {
        duet_ice_pair_lost(a, pair, cause, now);
        return;
    }
    duet_ice_transactions_of_pair(a, pair);
    duet_ice_triggered_remove(a, pair);
    duet_ice_pair_set_state(a, pair, DUET_ICE_PAIR_FAILED, now);
}

/* Under heavy loss a nomination may stay unanswered although the pair works: then it is tried again. */
static bool works_meanwhile(const duet_ice_agent *a, const ice_transaction *t)
{
    return a->nominating == t->pair && t->pair->valid && t->pair->last_response > t->first_sent;
}

void duet_ice_check_timeout(duet_ice_agent *a, ice_transaction *t, duet_time now)
{
    ice_pair *pair = t->pair;
    ice_query *query = t->query;
    ice_transaction_kind kind = (ice_transaction_kind)t->kind;
    bool again = kind == ICE_CHECK && works_meanwhile(a, t);

    duet_ice_transaction_free(a, t);
    if (kind == ICE_QUERY) {
        duet_ice_query_failed(a, query, 701, "the STUN server does not answer");
    } else if (again) {
        a->nominating = NULL;
        duet_ice_pair_set_state(a, pair, DUET_ICE_PAIR_SUCCEEDED, now);
    } else if (kind == ICE_CHECK) {
        check_failed(a, pair, "no response", now);
    }
}

/* ---- success --------------------------------------------------------------------------------------------------- */

static void measure(ice_pair *pair, const ice_transaction *t, duet_time now)
{
    /* Karn: a response to something that was sent twice tells no time. */
    if (t->sends > 1 && pair->rtt)
        return;
    duet_time sample = now - t->first_sent;
    if (sample == 0)
        sample = 1; /* 0 means unknown */
    pair->current_rtt = sample;
    pair->total_rtt += sample;
    pair->rtt = pair->rtt ? (7 * pair->rtt + sample) / 8 : sample;
}

/* RFC 8445 section 7.2.5.3.1: an address that is not yet a candidate is a peer-reflexive one. */
static ice_local *mapped_candidate(duet_ice_agent *a, const ice_pair *pair, const duet_address *mapped)
{
    bool is_tcp = pair->local->tcp_type != DUET_TCPTYPE_NONE;
    ice_local *known = duet_ice_local_find(a, pair->local->socket, mapped, is_tcp);
    size_t reflexive = 0;

    if (known)
        return known;
    if (mapped->family != pair->path.local.family)
        return pair->local;
    for (size_t i = 0; i < a->locals.count; i++)
        reflexive += (*(ice_local **)duet_array_at(&a->locals, i))->type == DUET_CANDIDATE_PRFLX;
    if (reflexive >= ICE_REFLEXIVE_MAX)
        return pair->local;
    ice_local *found = duet_ice_local_add(a, DUET_CANDIDATE_PRFLX, pair->local->socket, mapped, NULL);
    if (!found)
        return pair->local;
    found->tcp_type = pair->local->tcp_type;
    if (is_tcp)
        found->priority = duet_ice_tcp_check_priority(pair);
    return found;
}

/* RFC 8445 sections 7.2.5.3.2 to 7.2.5.3.4. The valid pair keeps the priority of the pair that was checked: all pairs of
 * one base change their local candidate together, so the order among them is the same. */
static void check_succeeded(duet_ice_agent *a, ice_pair *pair, const duet_address *mapped, bool nominates,
                            duet_time now)
{
    /* A late response to an earlier check must not stop the one that nominates. */
    bool still_nominating = !nominates && a->nominating == pair && pair->check;

    pair->mapped = mapped_candidate(a, pair, mapped);
    if (!pair->valid && a->first_valid == DUET_NEVER)
        a->first_valid = now;
    pair->valid = true;
    if (!still_nominating) {
        if (pair->check)
            duet_ice_transaction_cancel(a, pair->check);
        duet_ice_triggered_remove(a, pair);
        duet_ice_pair_set_state(a, pair, DUET_ICE_PAIR_SUCCEEDED, now);
    }
    duet_ice_pairs_unfreeze(a, pair, now);
    bool nominated_by_peer = pair->nominate_on_success && a->role == DUET_ICE_CONTROLLED;
    pair->nominate_on_success = false;
    if (nominates)
        duet_ice_nominated(a, pair, now);
    else if (nominated_by_peer)
        duet_ice_peer_nominates(a, pair, now);
}

/* RFC 8445 section 7.2.5.1. The claim of the request counts, the role may have changed meanwhile. */
static void role_conflict(duet_ice_agent *a, ice_pair *pair, bool was_controlling, duet_time now)
{
    a->stats.role_conflicts++;
    if (was_controlling == (a->role == DUET_ICE_CONTROLLING)) {
        /* "unless it has received a 487 response, in which case it MUST change the number" RFC 8445, section 16.1 */
        (void)duet_random(&a->env, &a->tie_breaker, sizeof(a->tie_breaker));
        duet_ice_switch_role(a, was_controlling ? DUET_ICE_CONTROLLED : DUET_ICE_CONTROLLING);
    }
    if (pair->valid)
        duet_ice_pair_set_state(a, pair, DUET_ICE_PAIR_SUCCEEDED, now);
    else
        duet_ice_trigger(a, pair, now);
}

static void error_response(duet_ice_agent *a, const duet_stun_message *m, ice_transaction *t, duet_time now)
{
    ice_pair *pair = t->pair;
    bool was_controlling = t->controlling;
    bool is_current = pair->check == t;
    duet_stun_error error;

    duet_ice_transaction_free(a, t);
    if (duet_stun_get_error(m, &error) != DUET_OK)
        error.code = 400;
    if (error.code == 487) {
        role_conflict(a, pair, was_controlling, now);
        return;
    }
    /* An error to a consent check gives no consent; what ends it is time (RFC 7675 section 5.1). */
    if (is_current)
        check_failed(a, pair, "error response", now);
}

static void success_response(duet_ice_agent *a, const duet_stun_message *m, ice_transaction *t, const duet_path *path,
                             duet_time now)
{
    ice_pair *pair = t->pair;
    bool nominates = t->use_candidate && a->role == DUET_ICE_CONTROLLING;
    bool is_check = t->kind == ICE_CHECK;
    duet_address mapped;

    if (duet_stun_get_address(m, DUET_STUN_XOR_MAPPED_ADDRESS, &mapped) != DUET_OK) {
        duet_ice_discard(a, m->len, "response without XOR-MAPPED-ADDRESS", now);
        return;
    }
    mapped.scope = pair->path.local.scope;
    measure(pair, t, now);
    pair->responses_received++;
    duet_ice_transaction_free(a, t);
    /* "the source and destination transport addresses are not symmetric" RFC 8445 section 7.2.5.2.1 */
    if (path->socket != pair->path.socket || !duet_ice_same_address(&path->remote, &pair->path.remote)) {
        if (is_check)
            check_failed(a, pair, "non-symmetric response", now);
        return;
    }
    duet_ice_heard(a, pair, true, now);
    if (is_check && !pair->previous)
        check_succeeded(a, pair, &mapped, nominates, now);
    /* A reserve answers while the selected pair is silent: no use in waiting for the end of its consent. */
    if (a->disconnected && pair->valid && a->selected && pair != a->selected && !a->selected->previous)
        duet_ice_pair_lost(a, a->selected, "silent, and another pair answers", now);
}

void duet_ice_check_response(duet_ice_agent *a, const duet_stun_message *m, const duet_path *path, duet_time now)
{
    ice_transaction *t = duet_ice_transaction_find(a, m->transaction_id);

    if (!t) {
        duet_ice_discard(a, m->len, "response to no request", now);
        return;
    }
    if (t->kind == ICE_QUERY) {
        ice_query *query = t->query;
        if (path->socket != query->socket->id || !duet_ice_same_address(&path->remote, &query->remote)) {
            duet_ice_discard(a, m->len, "response from another server", now);
            return;
        }
        duet_ice_transaction_free(a, t);
        duet_ice_query_answered(a, query, m);
        return;
    }
    const char *pwd = t->previous ? a->previous->remote_credentials.pwd : a->remote_credentials.pwd;
    if (duet_stun_verify_integrity(m, pwd, strlen(pwd)) != DUET_OK) {
        /* "the response MUST be ignored, as if it had never been received" RFC 8489 section 9.1.4 */
        duet_ice_discard(a, m->len, "response with wrong integrity", now);
        return;
    }
    duet_ice_report_attribute(a, false, m);
    if (m->message_class == DUET_STUN_ERROR)
        error_response(a, m, t, now);
    else
        success_response(a, m, t, path, now);
}
