/* One peer of `duet echo`: a connection, its negotiation through the link, and for the server the echoing. */
#include "echo.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

echo_peer *echo_peer_find(const echo *e, const char *name)
{
    echo_peer *p = e->peers;

    while (p && (p->over || strcmp(p->name, name) != 0))
        p = p->next;
    return p;
}

/* ---- the end of a peer ---- */

static void free_peer(echo *e, echo_peer *p)
{
    e->peer_count--;
#ifdef DUET_HAVE_MEDIA
    media_echo_free(&p->media);
#endif
    app_connection_close(&p->connection);
    free(p);
}

static void reap(void *arg)
{
    echo *e = arg;
    echo_peer **link = &e->peers;

    duet_net_timer_cancel(e->reaper);
    e->reaper = NULL;
    while (*link) {
        echo_peer *p = *link;
        if (!p->over) {
            link = &p->next;
            continue;
        }
        *link = p->next;
        free_peer(e, p);
    }
}

void echo_peer_end(echo_peer *p, const char *reason)
{
    echo *e = p->owner;

    if (p->over)
        return;
    p->over = true;
    if (!e->options.is_call)
        echo_say(e,
                 json_pack("{s:s,s:s,s:s,s:I,s:I}", "type", "gone", "peer", p->name, "reason", reason, "messages",
                           (json_int_t)p->messages, "bytes", (json_int_t)p->bytes),
                 "%.8s: gone (%s) after %llu messages, %llu bytes", p->name, reason, (unsigned long long)p->messages,
                 (unsigned long long)p->bytes);
    if (!e->reaper)
        duet_net_timer_start(&e->reaper, e->net, 0, reap, e);
    if (e->options.once && p->connected && !e->options.is_call)
        echo_finish(e, APP_OK);
}

void echo_peers_free(echo *e)
{
    duet_net_timer_cancel(e->reaper);
    e->reaper = NULL;
    while (e->peers) {
        echo_peer *p = e->peers;
        e->peers = p->next;
        free_peer(e, p);
    }
}

/* ---- negotiation ---- */

static void send_description(echo_peer *p)
{
    echo *e = p->owner;
    duet_sdp_type type;
    char *sdp = NULL;

    if (p->described || duet_pc_local_description(p->connection.pc, &type, &sdp) != DUET_OK)
        return;
    p->described = true;
    int err = e->link.ops->send_description(e->link.link, p->name, type, sdp);
    if (err != DUET_OK)
        app_error("cannot send the %s: %s", duet_sdp_type_name(type), duet_strerror(err));
    duet_free(&p->connection.env, sdp);
}

/* With trickle the description goes at once; otherwise when it has all candidates. */
static void send_when_due(echo_peer *p)
{
    if (p->owner->link.trickle || duet_pc_ice_gathering_state(p->connection.pc) == DUET_ICE_GATHERING_COMPLETE)
        send_description(p);
}

static void on_gathering_state(void *user, duet_pc *pc, duet_ice_gathering_state state)
{
    (void)pc;
    if (state == DUET_ICE_GATHERING_COMPLETE)
        send_when_due(user);
}

static void on_ice_candidate(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    echo_peer *p = user;

    (void)pc;
    if (p->owner->link.trickle && p->described && !p->over)
        (void)p->owner->link.ops->send_candidate(p->owner->link.link, p->name, candidate);
}

static void refused(echo_peer *p, const char *what, int err)
{
    char text[256];

    app_reason(p->connection.pc, what, err, text, sizeof(text));
    if (p->owner->options.is_call) {
        echo_fail(p->owner, "%s", text);
        return;
    }
    app_error("%s", text);
    echo_peer_end(p, what);
}

void echo_peer_offer(echo_peer *p)
{
    int err = duet_pc_set_local_description(p->connection.pc, DUET_SDP_OFFER, NULL);

    if (err != DUET_OK)
        refused(p, "offer", err);
    else
        send_when_due(p);
}

bool echo_peer_is_other_session(const echo_peer *p, const char *sdp)
{
    uint64_t id;

    return p->session_id != 0 && app_session_id(&p->connection.env, sdp, &id) && id != p->session_id;
}

void echo_peer_take_description(echo_peer *p, duet_sdp_type type, const char *sdp)
{
    duet_pc *pc = p->connection.pc;

    int err = duet_pc_set_remote_description(pc, type, sdp);
    if (err != DUET_OK) {
        refused(p, type == DUET_SDP_OFFER ? "offer rejected" : "answer rejected", err);
        return;
    }
    (void)app_session_id(&p->connection.env, sdp, &p->session_id);
    if (type != DUET_SDP_OFFER)
        return;
    p->described = false;
    err = duet_pc_set_local_description(pc, DUET_SDP_ANSWER, NULL);
    if (err != DUET_OK)
        refused(p, "answer", err);
    else
        send_when_due(p);
}

/* One bad candidate is no reason to give up the others. */
void echo_peer_take_candidate(echo_peer *p, const duet_pc_candidate *candidate)
{
    int err = duet_pc_add_ice_candidate(p->connection.pc, candidate);

    if (err != DUET_OK)
        app_error("a candidate of %.8s was refused: %s", p->name, duet_strerror(err));
}

/* ---- the connection's state ---- */

static void say_connected(const echo_peer *p)
{
    json_t *object = json_object();
    double ms = (double)(echo_clock() - p->started) / 1000.0;

    json_object_set_new(object, "type", json_string("connected"));
    json_object_set_new(object, "peer", json_string(p->name));
    json_object_set_new(object, "ms", json_real(ms));
    app_stats_summary(p->connection.pc, object);
    const char *dtls = json_string_value(json_object_get(object, "dtls"));
    const char *pair = json_string_value(json_object_get(object, "pair"));
    echo_say(p->owner, json_incref(object), "%.8s: connected after %.1f ms (%s, %s)", p->name, ms, dtls ? dtls : "?",
             pair ? pair : "?");
    json_decref(object);
}

static void on_connection_state(void *user, duet_pc *pc, duet_pc_state state)
{
    echo_peer *p = user;

    (void)pc;
    if (p->over)
        return;
    if (state == DUET_PC_CONNECTED && !p->connected) {
        p->connected = true;
        say_connected(p);
    }
    if (state != DUET_PC_FAILED && state != DUET_PC_CLOSED)
        return;
    if (p->owner->options.is_call)
        echo_fail(p->owner, "the connection %s", state == DUET_PC_FAILED ? "failed" : "was closed by the peer");
    else
        echo_peer_end(p, duet_pc_state_name(state));
}

/* ---- echoing ---- */

static void say_echo(const echo_peer *p, const duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    char quoted[96];

    if (p->owner->options.quiet || (!is_text && !p->owner->options.json))
        return; /* binary messages come by the thousand: they are counted */
    echo_quote(quoted, sizeof(quoted), (const char *)data, len);
    echo_say(p->owner,
             json_pack("{s:s,s:s,s:s,s:s,s:I}", "type", "echo", "peer", p->name, "channel", duet_dc_label(dc), "kind",
                       is_text ? "text" : "binary", "bytes", (json_int_t)len),
             "%.8s: echoed %s on \"%s\"", p->name, quoted, duet_dc_label(dc));
}

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    echo_peer *p = user;

    int err = duet_dc_send(dc, data, len, is_text);
    if (err == DUET_OK) {
        p->messages++;
        p->bytes += len;
        say_echo(p, dc, data, len, is_text);
        return;
    }
    /* Its sender does not read: what it sends cannot be held back, and what it does not read has a bound. */
    app_error("%.8s: a message of %zu bytes could not be echoed: %s; closing the channel", p->name, len,
              duet_strerror(err));
    duet_dc_close(dc);
}

static void on_data_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {.size = sizeof(callbacks), .on_message = on_message, .user = user};

    (void)pc;
    duet_dc_set_callbacks(dc, &callbacks);
}

#ifdef DUET_HAVE_MEDIA
static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    echo_peer *p = user;

    (void)pc;
    if (media_echo_start(&p->media, transceiver) != DUET_OK)
        app_error("%.8s: out of memory: a track is not echoed", p->name);
}

static void on_transceiver_end(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    echo_peer *p = user;

    (void)pc;
    media_echo_end(&p->media, transceiver);
}
#endif

/* ---- life ---- */

echo_peer *echo_peer_create(echo *e, const char *name)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    app_connection_options options = e->options.connection;

    if (e->peer_count >= ECHO_PEERS_MAX) {
        app_error("%.8s: there are %d peers already", name, ECHO_PEERS_MAX);
        return NULL;
    }
    echo_peer *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->owner = e;
    p->started = echo_clock();
    snprintf(p->name, sizeof(p->name), "%s", name);
    config.on_ice_candidate = on_ice_candidate;
    config.on_ice_gathering_state = on_gathering_state;
    config.on_connection_state = on_connection_state;
    if (!e->options.is_call)
        config.on_data_channel = on_data_channel;
#ifdef DUET_HAVE_MEDIA
    if (!e->options.is_call) {
        config.on_track = on_track;
        config.on_transceiver_end = on_transceiver_end;
    }
#endif
    config.user = p;
    options.shared_trace = e->trace;
    options.mux = e->mux;
    if (!options.ice_servers)
        options.ice_servers = e->ice_servers;
    if (app_connection_open(&p->connection, &options, &config, e->net) != APP_OK) {
        free(p);
        return NULL;
    }
    p->next = e->peers;
    e->peers = p;
    e->peer_count++;
    return p;
}
