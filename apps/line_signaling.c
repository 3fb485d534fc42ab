/* Signaling as JSON lines: what leaves and what comes in. */
#include "line_signaling.h"
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#define CLOSE_DELAY DUET_MS(300)

static void fail(line_signaling *s, const char *what, int err)
{
    char reason[256];

    s->on_failed(s->user, app_reason(s->connection->pc, what, err, reason, sizeof(reason)));
}

/* ---- out ---- */

static void write_description(line_signaling *s)
{
    duet_sdp_type type;
    char *sdp = NULL;

    if (s->described || duet_pc_local_description(s->connection->pc, &type, &sdp) != DUET_OK)
        return;
    s->described = true;
    app_lines_write(json_pack("{s:s,s:s}", "type", duet_sdp_type_name(type), "sdp", sdp));
    duet_free(&s->connection->env, sdp);
}

void line_signaling_candidate(const line_signaling *s, const duet_pc_candidate *c)
{
    if (s->no_trickle)
        return;
    app_lines_write(json_pack("{s:s,s:s,s:s,s:i}", "type", "candidate", "candidate", c->candidate, "sdpMid",
                              c->sdp_mid ? c->sdp_mid : "", "sdpMLineIndex", c->sdp_mline_index));
}

void line_signaling_gathering(line_signaling *s, duet_ice_gathering_state state)
{
    if (state == DUET_ICE_GATHERING_COMPLETE && s->no_trickle)
        write_description(s);
}

void line_signaling_offer(line_signaling *s, bool ice_restart)
{
    duet_offer_options options = {sizeof(options), ice_restart};
    duet_pc *pc = s->connection->pc;
    char *sdp = NULL;

    s->described = false;
    int err = duet_pc_create_offer(pc, &options, &sdp);
    if (err == DUET_OK)
        err = duet_pc_set_local_description(pc, DUET_SDP_OFFER, sdp);
    duet_free(&s->connection->env, sdp);
    if (err != DUET_OK)
        fail(s, ice_restart ? "restart offer" : "offer", err);
    else if (!s->no_trickle)
        write_description(s);
}

/* ---- done ---- */

static void close_now(void *arg)
{
    line_signaling *s = arg;

    s->on_finished(s->user);
}

/* The last acknowledgements of the other side still travel. */
static void maybe_close(line_signaling *s)
{
    if (s->done_sent && s->done_received && !s->closing)
        duet_net_timer_start(&s->closing, s->connection->net, CLOSE_DELAY, close_now, s);
}

void line_signaling_done(line_signaling *s)
{
    if (s->done_sent)
        return;
    s->done_sent = true;
    app_lines_write(json_pack("{s:s}", "type", "done"));
    maybe_close(s);
}

/* ---- in ---- */

static void take_offer(line_signaling *s, const char *sdp)
{
    duet_pc *pc = s->connection->pc;

    s->described = false;
    int err = duet_pc_set_remote_description(pc, DUET_SDP_OFFER, sdp);
    if (err == DUET_OK)
        err = duet_pc_set_local_description(pc, DUET_SDP_ANSWER, NULL);
    if (err != DUET_OK)
        fail(s, "offer rejected", err);
    else if (!s->no_trickle || duet_pc_ice_gathering_state(pc) == DUET_ICE_GATHERING_COMPLETE)
        write_description(s);
}

static void take_answer(line_signaling *s, const char *sdp)
{
    int err = duet_pc_set_remote_description(s->connection->pc, DUET_SDP_ANSWER, sdp);

    if (err != DUET_OK)
        fail(s, "answer rejected", err);
    else if (s->on_answer)
        s->on_answer(s->user);
}

static void take_candidate(line_signaling *s, const json_t *line)
{
    const json_t *index = json_object_get(line, "sdpMLineIndex");
    duet_pc_candidate c = {.candidate = json_string_value(json_object_get(line, "candidate")),
                           .sdp_mid = json_string_value(json_object_get(line, "sdpMid")),
                           .sdp_mline_index = json_is_integer(index) ? (int)json_integer_value(index) : -1,
                           .username_fragment = json_string_value(json_object_get(line, "usernameFragment"))};

    int err = duet_pc_add_ice_candidate(s->connection->pc, &c);
    if (err != DUET_OK) /* one bad candidate is no reason to give up the others */
        app_error("candidate \"%s\": %s: %s", c.candidate ? c.candidate : "", duet_strerror(err),
                  duet_pc_error(s->connection->pc)->reason);
}

static void take_description(line_signaling *s, const char *type, const char *sdp)
{
    bool is_offer = strcmp(type, "offer") == 0;

    if (!sdp)
        app_error("a line of input is an %s without \"sdp\": it is passed over", type);
    else if (is_offer == s->is_offer)
        app_error("a line of input is an %s, and this peer is the one that makes it: it is passed over", type);
    else if (is_offer)
        take_offer(s, sdp);
    else
        take_answer(s, sdp);
}

/* Other types are for others, and no mistake. */
static void on_line(void *user, json_t *line)
{
    line_signaling *s = user;

    if (!line) {
        s->on_end(s->user);
        return;
    }
    const char *type = json_string_value(json_object_get(line, "type"));
    const char *sdp = json_string_value(json_object_get(line, "sdp"));
    if (!type)
        app_error("a line of input has no \"type\": it is passed over");
    else if (strcmp(type, "offer") == 0 || strcmp(type, "answer") == 0)
        take_description(s, type, sdp);
    else if (strcmp(type, "candidate") == 0 && !json_object_get(line, "candidate"))
        app_error("a line of input is a candidate without \"candidate\": it is passed over");
    else if (strcmp(type, "candidate") == 0)
        take_candidate(s, line);
    else if (strcmp(type, "done") == 0) {
        s->done_received = true;
        maybe_close(s);
    }
}

void line_signaling_start(line_signaling *s)
{
    if (app_lines_start(&s->lines, s->connection->net, STDIN_FILENO, on_line, s) != DUET_OK)
        s->on_failed(s->user, "cannot read standard input");
    else if (s->is_offer)
        line_signaling_offer(s, false);
}

void line_signaling_stop(line_signaling *s)
{
    duet_net_timer_cancel(s->closing);
    app_lines_stop(s->lines);
    s->closing = NULL;
    s->lines = NULL;
}
