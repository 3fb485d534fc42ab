/* One peer of `duet call`: a connection and its negotiation. Either side may begin, and the polite one takes back its
 * own offer when two cross (W3C WebRTC, "Perfect negotiation example"). A newcomer calls those who are there; those wait
 * a moment for it before they call, as it may be one that only answers. */
#include "call.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COURTESY    DUET_MS(1000)
#define NTP_OF_1970 2208988800u

call_peer *call_peer_find(const call *c, const char *name)
{
    call_peer *p = c->peers;

    while (p && (p->over || strcmp(p->name, name) != 0))
        p = p->next;
    return p;
}

/* ---- the end of a peer ---- */

static void free_peer(call *c, call_peer *p)
{
    duet_net_timer_cancel(p->courtesy);
    if (p->connected)
        call_report_peer(c, p);
    if (p->connection.pc) {
        call_sending_stop(p);
        call_receive_stop(p);
        app_connection_close(&p->connection);
        c->connections--;
    }
    free(p);
}

static void reap(void *arg)
{
    call *c = arg;
    call_peer **link = &c->peers;

    duet_net_timer_cancel(c->reaper);
    c->reaper = NULL;
    while (*link) {
        call_peer *p = *link;
        if (!p->over) {
            link = &p->next;
            continue;
        }
        *link = p->next;
        free_peer(c, p);
    }
}

static void forget(call_peer *p)
{
    call *c = p->owner;

    p->over = true;
    if (!c->reaper)
        duet_net_timer_start(&c->reaper, c->net, 0, reap, c);
}

void call_peers_forget(call *c)
{
    for (call_peer *p = c->peers; p; p = p->next)
        forget(p);
}

void call_peer_end(call_peer *p, const char *reason, bool has_failed)
{
    call *c = p->owner;

    if (p->over)
        return;
    forget(p);
    if (p->connection.pc)
        call_say(c, json_pack("{s:s,s:s,s:s}", "type", "gone", "peer", p->name, "reason", reason), "%.8s: gone (%s)",
                 p->name, reason);
    call_peer_gone(c, has_failed);
}

void call_peers_free(call *c)
{
    duet_net_timer_cancel(c->reaper);
    c->reaper = NULL;
    while (c->peers) {
        call_peer *p = c->peers;
        c->peers = p->next;
        free_peer(c, p);
    }
}

/* ---- negotiation ---- */

static void refused(call_peer *p, const char *what, int err)
{
    char text[256];

    call_warn(p->owner, "%.8s: %s", p->name, app_reason(p->connection.pc, what, err, text, sizeof(text)));
    call_peer_end(p, what, true);
}

/* Makes an offer or an answer, as the state wants it. */
static void describe(call_peer *p)
{
    call *c = p->owner;
    duet_pc *pc = p->connection.pc;
    duet_sdp_type type;
    char *sdp = NULL;

    int err = duet_pc_set_local_description(pc, DUET_SDP_NONE, NULL);
    if (err == DUET_OK)
        err = duet_pc_local_description(pc, &type, &sdp);
    if (err != DUET_OK) {
        refused(p, "our own description", err);
        return;
    }
    err = c->link.ops->send_description(c->link.link, p->name, type, sdp);
    if (err != DUET_OK)
        call_warn(c, "%.8s: cannot send the %s: %s", p->name, duet_sdp_type_name(type), duet_strerror(err));
    duet_free(&p->connection.env, sdp);
}

static void on_negotiation_needed(void *user, duet_pc *pc)
{
    call_peer *p = user;

    (void)pc;
    if (!p->over && !p->is_setting_up)
        describe(p);
}

static void on_ice_candidate(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    call_peer *p = user;

    (void)pc;
    if (!p->over)
        (void)p->owner->link.ops->send_candidate(p->owner->link.link, p->name, candidate);
}

/* 0 when it cannot be read. */
static uint64_t session_id_of(const char *sdp)
{
    uint64_t id = 0;

    (void)app_session_id(NULL, sdp, &id);
    return id;
}

static void take(call_peer *p, duet_sdp_type type, const char *sdp)
{
    duet_pc *pc = p->connection.pc;
    bool collides = type == DUET_SDP_OFFER && duet_pc_signaling_state(pc) != DUET_SIGNALING_STABLE;

    p->session_id = session_id_of(sdp);
    p->ignores_offer = collides && !p->is_polite;
    if (p->ignores_offer)
        return;
    int err = duet_pc_set_remote_description(pc, type, sdp);
    if (err != DUET_OK) {
        refused(p, type == DUET_SDP_OFFER ? "offer rejected" : "answer rejected", err);
        return;
    }
    if (type == DUET_SDP_OFFER)
        describe(p);
    call_sending_renegotiated(p);
}

/* One of an offer that was ignored is no loss, and one bad candidate no reason to give up the others. */
void call_peer_take_candidate(call_peer *p, const duet_pc_candidate *candidate)
{
    int err = p->connection.pc ? duet_pc_add_ice_candidate(p->connection.pc, candidate) : DUET_OK;

    if (err != DUET_OK && !p->ignores_offer)
        call_warn(p->owner, "a candidate of %.8s was refused: %s", p->name, duet_strerror(err));
}

/* ---- the connection's state ---- */

static void say_connected(const call_peer *p)
{
    json_t *object = json_pack("{s:s,s:s}", "type", "connected", "peer", p->name);
    double ms = (double)(duet_net_now(p->owner->net) - p->started) / 1000.0;

    json_object_set_new(object, "ms", json_real(ms));
    app_stats_summary(p->connection.pc, object);
    const char *srtp = json_string_value(json_object_get(object, "srtpCipher"));
    const char *pair = json_string_value(json_object_get(object, "pair"));
    call_say(p->owner, json_incref(object), "%.8s: connected after %.1f ms (%s, %s)", p->name, ms, srtp ? srtp : "?",
             pair ? pair : "?");
    json_decref(object);
}

/* It may come back by itself, and otherwise fails some time later. */
static void say_silent(call_peer *p)
{
    p->is_silent = true;
    call_say(p->owner, json_pack("{s:s,s:s}", "type", "disconnected", "peer", p->name),
             "%.8s: nothing comes from there any more: waiting for it", p->name);
}

static void say_back(call_peer *p)
{
    p->is_silent = false;
    call_say(p->owner, json_pack("{s:s,s:s}", "type", "reconnected", "peer", p->name), "%.8s: is there again", p->name);
}

static void on_connection_state(void *user, duet_pc *pc, duet_pc_state state)
{
    call_peer *p = user;

    (void)pc;
    if (p->over)
        return;
    if (state == DUET_PC_CONNECTED && !p->connected) {
        p->connected = true;
        say_connected(p);
        call_connected(p->owner);
    }
    if (state == DUET_PC_CONNECTED && p->is_silent)
        say_back(p);
    if (state == DUET_PC_DISCONNECTED && p->connected && !p->is_silent)
        say_silent(p);
    if (state == DUET_PC_FAILED)
        call_warn(p->owner, "%.8s: %s", p->name,
                  p->connected ? "the connection broke: it is gone, or one of the networks is"
                               : "the connection failed: 'duet probe' tells what this network lets through");
    if (state == DUET_PC_FAILED || state == DUET_PC_CLOSED)
        call_peer_end(p, duet_pc_state_name(state), state == DUET_PC_FAILED);
}

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    (void)pc;
    call_receive(user, transceiver);
}

/* Another one of its kind may follow. */
static void on_transceiver_end(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    call_peer *p = user;

    (void)pc;
    for (int i = 0; i < CALL_KINDS; i++) {
        if (p->tracks[i].receiver == duet_transceiver_receiver(transceiver))
            p->tracks[i].receiver = NULL;
        if (p->tracks[i].sender == duet_transceiver_sender(transceiver))
            p->tracks[i].sender = NULL;
    }
}

/* ---- life ---- */

/* For sender reports: the wall clock at the zero of the monotonic one. */
static uint64_t wall_ntp(void)
{
    struct timespec wall, mono;

    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    double seconds = (double)(wall.tv_sec - mono.tv_sec) + (double)(wall.tv_nsec - mono.tv_nsec) / 1e9 + NTP_OF_1970;
    return (uint64_t)(seconds * 4294967296.0);
}

static bool open_connection(call_peer *p, bool is_caller)
{
    call *c = p->owner;
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    app_connection_options options = c->options.connection;

    if (c->connections >= CALL_PEERS_MAX) {
        call_warn(c, "%.8s: there are %d connections already: more people need an SFU", p->name, CALL_PEERS_MAX);
        return false;
    }
    config.on_negotiation_needed = on_negotiation_needed;
    config.on_ice_candidate = on_ice_candidate;
    config.on_connection_state = on_connection_state;
    config.on_track = on_track;
    config.on_transceiver_end = on_transceiver_end;
    config.codecs = duet_codecs();
    config.wall_ntp = wall_ntp();
    config.user = p;
    options.shared_trace = c->trace;
    if (!options.ice_servers)
        options.ice_servers = c->ice_servers;
    duet_net_timer_cancel(p->courtesy);
    p->courtesy = NULL;
    p->started = duet_net_now(c->net);
    if (app_connection_open(&p->connection, &options, &config, c->net) != APP_OK)
        return false;
    c->connections++;
    p->is_setting_up = true;
    int err = call_sending_add_tracks(c->sending, p, is_caller);
    p->is_setting_up = false;
    if (err != DUET_OK)
        call_warn(c, "%.8s: no tracks: %s", p->name, duet_strerror(err));
    return err == DUET_OK;
}

static call_peer *new_peer(call *c, const char *name)
{
    call_peer *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->owner = c;
    p->is_polite = strcmp(c->self, name) < 0;
    snprintf(p->name, sizeof(p->name), "%s", name);
    for (int i = 0; i < CALL_KINDS; i++) {
        p->tracks[i].peer = p;
        p->tracks[i].is_video = i == CALL_VIDEO;
    }
    p->next = c->peers;
    c->peers = p;
    return p;
}

static void call_now(void *arg)
{
    call_peer *p = arg;

    if (p->over || p->connection.pc)
        return;
    if (!open_connection(p, true)) {
        call_peer_end(p, "no connection", true);
        return;
    }
    call_say(p->owner, json_pack("{s:s,s:s}", "type", "calling", "peer", p->name), "calling %.8s", p->name);
    describe(p);
}

void call_peer_meet(call *c, const char *name, const char *agent, bool at_once)
{
    call_peer *p = call_peer_find(c, name);

    if (!p)
        p = new_peer(c, name);
    if (p)
        snprintf(p->agent, sizeof(p->agent), "%s", agent);
    if (!p || p->connection.pc || p->courtesy)
        return;
    if (at_once)
        call_now(p);
    else
        duet_net_timer_start(&p->courtesy, c->net, COURTESY, call_now, p);
}

/* RFC 8866 section 5.2: another session id in an offer is another connection of the participant. */
static bool is_another(const call_peer *p, duet_sdp_type type, const char *sdp)
{
    return type == DUET_SDP_OFFER && p->session_id != 0 && session_id_of(sdp) != p->session_id;
}

void call_peer_take_description(call *c, const char *name, duet_sdp_type type, const char *sdp)
{
    call_peer *p = call_peer_find(c, name);

    if (p && p->connection.pc && is_another(p, type, sdp)) {
        forget(p); /* without a word: it has not left */
        p = NULL;
    }
    if (!p)
        p = new_peer(c, name);
    if (!p || (!p->connection.pc && type != DUET_SDP_OFFER))
        return;
    if (!p->connection.pc && !open_connection(p, false)) {
        call_peer_end(p, "no connection", true);
        return;
    }
    take(p, type, sdp);
}
