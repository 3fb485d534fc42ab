/* Client and server of UTCP back to back, without a network and in virtual time. */
#include "signaling/utcp_client.h"
#include "signaling/utcp_message.h"
#include "signaling/utcp_server.h"
#include "test.h"

#define CALLS_MAX 64

/* A tool whose calls the test answers by hand. */
typedef struct bench {
    duet_utcp_call *calls[CALLS_MAX];
    size_t count, cancelled, writable;
    char inputs[256];
} bench;

typedef struct world {
    duet_env env;
    duet_utcp_server_core *server;
    duet_utcp_session *session;
    duet_utcp_client_core *client;
    duet_time now;
    uint64_t piece_max;
    size_t largest; /* message that passed */
    bool wants_tick;
    bench slow, stream;
} world;

/* What a caller heard. */
typedef struct heard {
    unsigned done, items;
    int err;
    char code[64], message[300], output[512], item[128];
    size_t output_len;
} heard;

/* ---- tools ---- */

static void echo_call(void *user, duet_utcp_call *call, const char *inputs, size_t len)
{
    (void)user;
    (void)duet_utcp_call_respond(call, inputs, len);
}

static void bench_call(void *user, duet_utcp_call *call, const char *inputs, size_t len)
{
    bench *b = user;

    assert_true(b->count < CALLS_MAX);
    snprintf(b->inputs, sizeof(b->inputs), "%.*s", (int)len, inputs);
    b->calls[b->count++] = call;
}

static void bench_cancel(void *user, duet_utcp_call *call)
{
    bench *b = user;

    for (size_t i = 0; i < b->count; i++) {
        if (b->calls[i] == call)
            b->calls[i] = NULL;
    }
    b->cancelled++;
    assert_int_equal(duet_utcp_call_respond(call, "1", 1), DUET_ERR_STATE);
}

static void bench_writable(void *user, duet_utcp_call *call)
{
    (void)call;
    ((bench *)user)->writable++;
}

static const char sync_changes[] =
    "{\"name\":\"sync_changes\",\"description\":\"Synchronize document changes with peers\",\"inputs\":{\"type\":"
    "\"object\",\"properties\":{\"document_id\":{\"type\":\"string\"},\"changes\":{\"type\":\"array\",\"items\":{"
    "\"type\":\"object\",\"properties\":{\"op\":{\"type\":\"string\",\"enum\":[\"insert\",\"delete\",\"replace\"]}}}},"
    "\"revision\":{\"type\":\"integer\"}},\"required\":[\"document_id\",\"changes\",\"revision\"]},\"outputs\":{"
    "\"type\":"
    "\"object\",\"properties\":{\"success\":{\"type\":\"boolean\"}},\"required\":[\"success\"]}}";

/* ---- the world ---- */

static void on_output(void *user)
{
    ((world *)user)->wants_tick = true;
}

static int add_tool(world *w, const char *definition, bench *b, bool streams)
{
    duet_utcp_tool tool = DUET_UTCP_TOOL_INIT;

    tool.definition = definition;
    tool.on_call = b ? bench_call : echo_call;
    tool.on_cancel = b ? bench_cancel : NULL;
    tool.on_writable = b ? bench_writable : NULL;
    tool.streams = streams;
    tool.user = b;
    return duet_utcp_server_core_add_tool(w->server, &tool, NULL);
}

static int connect_both(world *w)
{
    int err = duet_utcp_session_open(&w->session, w->server, w->piece_max, on_output, w);

    if (err == DUET_OK)
        duet_utcp_client_core_connected(w->client, w->piece_max);
    return err;
}

static int world_open(world *w, const duet_env *env, uint64_t piece_max)
{
    duet_utcp_server_config server = DUET_UTCP_SERVER_CONFIG_INIT;
    duet_utcp_client_config client = DUET_UTCP_CLIENT_CONFIG_INIT;

    memset(w, 0, sizeof(*w));
    w->piece_max = piece_max;
    server.env = client.env = env;
    server.peer_id = "doc-server-456";
    server.signaling_server = "ws://127.0.0.1/ws";
    server.max_client_calls = 8;
    int err = duet_utcp_server_core_create(&w->server, &server);
    if (err == DUET_OK)
        err = duet_utcp_client_core_create(&w->client, &client);
    if (err == DUET_OK)
        err = add_tool(w, "{\"name\":\"echo\"}", NULL, false);
    if (err == DUET_OK)
        err = add_tool(w, "{\"name\":\"slow\"}", &w->slow, false);
    if (err == DUET_OK)
        err = add_tool(w, "{\"name\":\"ticks\",\"outputs\":{\"type\":\"integer\"}}", &w->stream, true);
    if (err == DUET_OK)
        err = add_tool(w, sync_changes, &w->slow, false);
    return err == DUET_OK ? connect_both(w) : err;
}

static void world_close(world *w)
{
    duet_utcp_client_core_destroy(w->client);
    if (w->session)
        duet_utcp_session_close(w->session);
    duet_utcp_server_core_destroy(w->server);
}

static void note(world *w, size_t len)
{
    w->largest = len > w->largest ? len : w->largest;
    assert_true(w->piece_max == 0 || len <= w->piece_max);
}

static bool carry_one(world *w)
{
    const char *text;
    size_t len;
    bool moved = false;

    if (duet_utcp_client_core_peek(w->client, &text, &len) == DUET_OK && text) {
        note(w, len);
        duet_utcp_session_input(w->session, text, len, w->now);
        duet_utcp_client_core_sent(w->client);
        moved = true;
    }
    if (duet_utcp_session_peek(w->session, &text, &len) == DUET_OK && text) {
        note(w, len);
        duet_utcp_client_core_input(w->client, text, len, w->now);
        duet_utcp_session_sent(w->session);
        moved = true;
    }
    return moved;
}

static void carry(world *w)
{
    while (carry_one(w))
        ;
    if (w->wants_tick)
        duet_utcp_server_core_tick(w->server, w->now);
    w->wants_tick = false;
}

static void wait_for(world *w, duet_time time)
{
    w->now += time;
    duet_utcp_server_core_tick(w->server, w->now);
    duet_utcp_client_core_tick(w->client, w->now);
    carry(w);
}

/* ---- callers ---- */

static void on_item(void *user, uint64_t ticket, const char *output, size_t len)
{
    heard *h = user;

    (void)ticket;
    h->items++;
    snprintf(h->item, sizeof(h->item), "%.*s", (int)len, output);
}

static void on_done(void *user, uint64_t ticket, const duet_utcp_result *r)
{
    heard *h = user;

    (void)ticket;
    h->done++;
    h->err = r->err;
    h->output_len = r->output_len;
    snprintf(h->code, sizeof(h->code), "%s", r->code ? r->code : "");
    snprintf(h->message, sizeof(h->message), "%s", r->message ? r->message : "");
    snprintf(h->output, sizeof(h->output), "%.*s", (int)(r->output_len < 500 ? r->output_len : 500),
             r->output ? r->output : "");
}

static duet_utcp_request request(heard *h, const char *tool, const char *inputs)
{
    duet_utcp_request r = DUET_UTCP_REQUEST_INIT;

    memset(h, 0, sizeof(*h));
    r.tool = tool;
    r.inputs = inputs;
    r.on_item = on_item;
    r.on_done = on_done;
    r.user = h;
    return r;
}

static uint64_t call(world *w, heard *h, const char *tool, const char *inputs)
{
    const duet_utcp_request r = request(h, tool, inputs);
    uint64_t ticket;

    assert_int_equal(duet_utcp_client_core_call(w->client, &r, &ticket, w->now), DUET_OK);
    carry(w);
    return ticket;
}

static uint64_t call_stream(world *w, heard *h, const char *tool)
{
    duet_utcp_request r = request(h, tool, "{}");
    uint64_t ticket;

    r.stream = true;
    assert_int_equal(duet_utcp_client_core_call(w->client, &r, &ticket, w->now), DUET_OK);
    carry(w);
    return ticket;
}

static void respond(world *w, duet_utcp_call *c, const char *output)
{
    assert_int_equal(duet_utcp_call_respond(c, output, strlen(output)), DUET_OK);
    carry(w);
}

/* ---- tests ---- */

static void a_call_is_answered_with_its_output(void **state)
{
    world w;
    heard h;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    call(&w, &h, "echo", "{\"a\":[1,\"ä\"]}");
    assert_int_equal(h.done, 1);
    assert_int_equal(h.err, DUET_OK);
    assert_string_equal(h.output, "{\"a\":[1,\"ä\"]}");
    world_close(&w);
}

static void many_calls_in_flight_are_answered_in_any_order(void **state)
{
    world w;
    heard h[8];
    char output[16];

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    for (int i = 0; i < 8; i++)
        call(&w, &h[i], "slow", "{}");
    assert_int_equal(w.slow.count, 8);
    for (int i = 7; i >= 0; i--) {
        snprintf(output, sizeof(output), "%d", i);
        respond(&w, w.slow.calls[i], output);
        assert_int_equal(h[i].done, 1);
        assert_string_equal(h[i].output, output);
    }
    world_close(&w);
}

static void calls_beyond_the_bound_are_refused_as_busy(void **state)
{
    world w;
    heard h[9];

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    for (int i = 0; i < 9; i++)
        call(&w, &h[i], "slow", "{}");
    assert_int_equal(h[8].err, DUET_ERR_IO);
    assert_string_equal(h[8].code, "busy");
    assert_int_equal(h[7].done, 0);
    world_close(&w);
    assert_int_equal(w.slow.cancelled, 8);
}

static void wrong_inputs_do_not_reach_the_tool(void **state)
{
    world w;
    heard h;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    call(&w, &h, "sync_changes", "{\"document_id\":\"d\",\"changes\":[{\"op\":\"move\"}],\"revision\":1}");
    assert_string_equal(h.code, "invalid_inputs");
    assert_string_equal(h.message, "/changes/0/op: enum: this is none of the values");
    call(&w, &h, "sync_changes", "{}");
    assert_string_equal(h.code, "invalid_inputs");
    call(&w, &h, "nobody", "{}");
    assert_string_equal(h.code, "not_found");
    assert_int_equal(w.slow.count, 0);
    world_close(&w);
}

static void wrong_outputs_do_not_reach_the_caller(void **state)
{
    static const char *const outputs[] = {"{\"success\":1}", "{}", "nonsense", ""};
    world w;
    heard h;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    for (size_t i = 0; i < 4; i++) {
        call(&w, &h, "sync_changes", "{\"document_id\":\"d\",\"changes\":[],\"revision\":1}");
        assert_int_equal(duet_utcp_call_respond(w.slow.calls[i], outputs[i], strlen(outputs[i])), DUET_ERR_MALFORMED);
        carry(&w);
        assert_int_equal(h.err, DUET_ERR_IO);
        assert_string_equal(h.code, "invalid_output");
    }
    world_close(&w);
}

static void a_tool_that_is_silent_times_out_on_both_sides(void **state)
{
    world w;
    heard h;
    duet_utcp_server_stats stats;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    call(&w, &h, "slow", "{}");
    assert_true(duet_utcp_client_core_deadline(w.client) == DUET_SECONDS(30));
    assert_true(duet_utcp_server_core_deadline(w.server) == DUET_SECONDS(30));
    wait_for(&w, DUET_SECONDS(29));
    assert_int_equal(h.done, 0);
    wait_for(&w, DUET_SECONDS(1));
    assert_int_equal(h.done, 1);
    assert_string_equal(h.code, "timeout");
    assert_int_equal(w.slow.cancelled, 1);
    duet_utcp_server_core_stats(w.server, &stats);
    assert_int_equal(stats.calls, 0);
    assert_int_equal(stats.timeouts, 1);
    world_close(&w);
}

static void a_late_answer_is_counted_and_dropped(void **state)
{
    duet_utcp_client_stats stats;
    duet_utcp_request r;
    world w;
    heard h;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    r = request(&h, "slow", "{}");
    r.timeout = DUET_SECONDS(1);
    assert_int_equal(duet_utcp_client_core_call(w.client, &r, NULL, w.now), DUET_OK);
    carry(&w);
    w.now += DUET_SECONDS(2);
    assert_int_equal(duet_utcp_call_respond(w.slow.calls[0], "1", 1), DUET_OK);
    duet_utcp_client_core_tick(w.client, w.now);
    assert_int_equal(h.err, DUET_ERR_TIMEOUT);
    carry(&w);
    duet_utcp_client_core_stats(w.client, &stats);
    assert_int_equal(stats.late, 1);
    assert_int_equal(h.done, 1);
    world_close(&w);
}

static void a_cancelled_call_ends_the_tool(void **state)
{
    world w;
    heard h;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    uint64_t ticket = call(&w, &h, "slow", "{}");
    assert_int_equal(duet_utcp_client_core_cancel(w.client, ticket), DUET_OK);
    assert_int_equal(duet_utcp_client_core_cancel(w.client, ticket), DUET_ERR_NOT_FOUND);
    carry(&w);
    assert_int_equal(w.slow.cancelled, 1);
    assert_int_equal(h.done, 0);
    world_close(&w);
}

static void a_stream_brings_items_and_an_end(void **state)
{
    world w;
    heard h;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    call_stream(&w, &h, "ticks");
    for (int i = 1; i <= 5; i++) {
        char text[8];
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(duet_utcp_call_item(w.stream.calls[0], text, strlen(text)), DUET_OK);
        carry(&w);
        assert_int_equal(h.items, i);
        assert_string_equal(h.item, text);
        wait_for(&w, DUET_SECONDS(20)); /* each item begins the time-out anew */
    }
    assert_int_equal(duet_utcp_call_item(w.stream.calls[0], "\"x\"", 3), DUET_ERR_MALFORMED);
    assert_int_equal(duet_utcp_call_end(w.stream.calls[0]), DUET_OK);
    carry(&w);
    assert_int_equal(h.done, 1);
    assert_int_equal(h.err, DUET_OK);
    assert_int_equal(h.output_len, 0);
    world_close(&w);
}

static void a_stream_that_nobody_asked_for_comes_in_one_piece(void **state)
{
    world w;
    heard h;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    call(&w, &h, "ticks", "{}");
    assert_int_equal(duet_utcp_call_item(w.stream.calls[0], "1", 1), DUET_OK);
    assert_int_equal(duet_utcp_call_respond(w.stream.calls[0], "2", 1), DUET_OK);
    carry(&w);
    assert_int_equal(h.items, 0);
    assert_string_equal(h.output, "[1,2]");
    world_close(&w);
}

static void a_stream_waits_for_a_slow_reader(void **state)
{
    world w;
    heard h;
    unsigned sent = 0;
    int err;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    call_stream(&w, &h, "ticks");
    while ((err = duet_utcp_call_item(w.stream.calls[0], "123456789", 9)) == DUET_OK)
        sent++;
    assert_int_equal(err, DUET_ERR_AGAIN);
    assert_int_equal(w.stream.writable, 0);
    carry(&w);
    assert_int_equal(w.stream.writable, 1);
    assert_int_equal(h.items, sent);
    respond(&w, w.stream.calls[0], "1");
    assert_int_equal(h.done, 1);
    world_close(&w);
}

static void messages_beyond_the_peers_limit_go_in_pieces(void **state)
{
    size_t len = 3000000;
    char *inputs = malloc(len + 32);
    world w;
    heard h;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 16384), DUET_OK);
    int used = sprintf(inputs, "{\"a\":\"");
    for (size_t i = 0; i + 8 < len; i += 8)
        used += sprintf(inputs + used, "€\\\"\\\\x"); /* characters of three bytes, and escapes */
    sprintf(inputs + used, "\"}");
    call(&w, &h, "echo", inputs);
    assert_int_equal(h.done, 1);
    assert_int_equal(h.err, DUET_OK);
    assert_int_equal(h.output_len, strlen(inputs));
    assert_true(w.largest > 16000);
    free(inputs);
    world_close(&w);
}

static void ten_megabytes_pass_and_more_does_not(void **state)
{
    char *inputs = malloc(DUET_UTCP_MESSAGE_MAX + 100);
    duet_utcp_request r;
    world w;
    heard h;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 262144), DUET_OK);
    memset(inputs, 'x', DUET_UTCP_MESSAGE_MAX + 100);
    memcpy(inputs, "{\"a\":\"", 6);
    memcpy(inputs + DUET_UTCP_MESSAGE_MAX - 200, "\"}", 3);
    call(&w, &h, "echo", inputs);
    assert_int_equal(h.err, DUET_OK);
    assert_int_equal(h.output_len, DUET_UTCP_MESSAGE_MAX - 198);
    memset(inputs + DUET_UTCP_MESSAGE_MAX - 200, 'x', 200);
    memcpy(inputs + DUET_UTCP_MESSAGE_MAX - 10, "\"}", 3);
    r = request(&h, "echo", inputs); /* with its envelope it is too large */
    assert_int_equal(duet_utcp_client_core_call(w.client, &r, NULL, 0), DUET_ERR_TOO_LARGE);
    call(&w, &h, "slow", "{}");
    memset(inputs, '1', DUET_UTCP_MESSAGE_MAX + 10);
    inputs[0] = inputs[DUET_UTCP_MESSAGE_MAX + 9] = '"';
    assert_int_equal(duet_utcp_call_respond(w.slow.calls[0], inputs, DUET_UTCP_MESSAGE_MAX + 10), DUET_ERR_TOO_LARGE);
    carry(&w);
    assert_string_equal(h.code, "too_large");
    free(inputs);
    world_close(&w);
}

static void a_broken_connection_fails_what_was_sent_and_keeps_the_rest(void **state)
{
    duet_utcp_request r;
    world w;
    heard sent, idempotent, unsent;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    call(&w, &sent, "slow", "{}");
    r = request(&idempotent, "echo", "{\"again\":true}");
    r.idempotent = true;
    assert_int_equal(duet_utcp_client_core_call(w.client, &r, NULL, w.now), DUET_OK);
    const char *text;
    size_t len;
    assert_int_equal(duet_utcp_client_core_peek(w.client, &text, &len), DUET_OK);
    duet_utcp_client_core_sent(w.client); /* it gets lost on the way */
    duet_utcp_session_close(w.session);
    duet_utcp_client_core_lost(w.client, "gone");
    assert_int_equal(sent.err, DUET_ERR_CLOSED);
    assert_string_equal(sent.code, "connection_lost");
    assert_int_equal(idempotent.done, 0);
    r = request(&unsent, "echo", "{}");
    assert_int_equal(duet_utcp_client_core_call(w.client, &r, NULL, w.now), DUET_OK);
    assert_true(duet_utcp_client_core_wants_channel(w.client));
    assert_int_equal(connect_both(&w), DUET_OK);
    carry(&w);
    assert_string_equal(idempotent.output, "{\"again\":true}");
    assert_string_equal(unsent.output, "{}");
    world_close(&w);
}

static void on_manual(void *user, int err, const char *json, size_t len)
{
    heard *h = user;

    h->done++;
    h->err = err;
    h->output_len = len;
    snprintf(h->output, sizeof(h->output), "%.*s", (int)(len < 500 ? len : 500), json ? json : "");
}

static void the_manual_serves_readers_of_both_versions(void **state)
{
    world w;
    heard h = {0};
    size_t len;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    assert_int_equal(duet_utcp_client_core_discover(w.client, DUET_UTCP_VIA_CHANNEL, 0, on_manual, &h, w.now), DUET_OK);
    carry(&w);
    assert_int_equal(h.done, 1);
    const char *manual = duet_utcp_server_core_manual(w.server, &len);
    assert_int_equal(h.output_len, len);
    static const char *const members[] = {"\"utcp_version\":\"0.1\"",       "\"manual_version\":\"1.0.0\"",
                                          "\"provider_type\":\"webrtc\"",   "\"call_template_type\":\"webrtc\"",
                                          "\"peer_id\":\"doc-server-456\"", "\"name\":\"sync_changes\""};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        assert_non_null(strstr(manual, members[i]));
    world_close(&w);
}

static void a_client_that_knows_the_manual_checks_answers(void **state)
{
    const char *manual =
        "{\"tools\":[{\"name\":\"slow\",\"outputs\":{\"type\":\"string\"}},{\"name\":\"ticks\",\"outputs\":"
        "{\"pattern\":\"unknown\"}}]}";
    world w;
    heard h, m = {0};

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    assert_int_equal(duet_utcp_client_core_discover(w.client, DUET_UTCP_VIA_SIGNALING, 0, on_manual, &m, 0), DUET_OK);
    assert_true(duet_utcp_client_core_wants_manual(w.client));
    assert_false(duet_utcp_client_core_wants_channel(w.client));
    duet_utcp_client_core_manual(w.client, manual, strlen(manual));
    assert_int_equal(m.done, 1);
    call(&w, &h, "slow", "{}");
    respond(&w, w.slow.calls[0], "7");
    assert_int_equal(h.err, DUET_ERR_MALFORMED);
    assert_string_equal(h.code, "invalid_output");
    world_close(&w);
}

static void a_manual_that_is_missing_or_too_large_is_told(void **state)
{
    const char *cut = "{\"tools\":[],\"complete\":false}";
    world w;
    heard h = {0};

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    assert_int_equal(
        duet_utcp_client_core_discover(w.client, DUET_UTCP_VIA_SIGNALING, DUET_SECONDS(5), on_manual, &h, 0), DUET_OK);
    wait_for(&w, DUET_SECONDS(5));
    assert_int_equal(h.err, DUET_ERR_TIMEOUT);
    assert_int_equal(duet_utcp_client_core_discover(w.client, DUET_UTCP_VIA_SIGNALING, 0, on_manual, &h, w.now),
                     DUET_OK);
    duet_utcp_client_core_manual(w.client, cut, strlen(cut));
    assert_int_equal(h.err, DUET_ERR_TOO_LARGE);
    world_close(&w);
}

static void odd_messages_are_counted_and_dropped(void **state)
{
    static const char *const odd[] = {"",
                                      "x",
                                      "[]",
                                      "{}",
                                      "{\"type\":1}",
                                      "{\"type\":\"new\",\"id\":\"1\"}",
                                      "{\"type\":\"tool_call\",\"tool\":\"echo\",\"inputs\":{}}",
                                      "{\"type\":\"tool_response\",\"id\":\"1\",\"output\":1}",
                                      "{\"type\":\"chunk\",\"data\":\"x\",\"last\":true}"};
    duet_utcp_server_stats stats;
    char *deep = malloc(200000);
    world w;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        duet_utcp_session_input(w.session, odd[i], strlen(odd[i]), 0);
    memset(deep, '[', 200000);
    duet_utcp_session_input(w.session, deep, 200000, 0);
    duet_utcp_server_core_stats(w.server, &stats);
    assert_int_equal(stats.bad_messages, sizeof(odd) / sizeof(odd[0]) + 1);
    free(deep);
    world_close(&w);
}

static void a_caller_that_does_not_read_is_given_up(void **state)
{
    char *big = malloc(9000000);
    world w;

    (void)state;
    assert_int_equal(world_open(&w, NULL, 0), DUET_OK);
    memset(big, 'x', 9000000);
    int used = sprintf(big, "{\"type\":\"tool_call\",\"tool\":\"echo\",\"id\":\"1\",\"inputs\":{\"a\":\"");
    big[used] = 'x';
    memcpy(big + 9000000 - 3, "\"}}", 3);
    for (int i = 0; i < 5; i++)
        duet_utcp_session_input(w.session, big, 9000000, 0);
    assert_true(duet_utcp_session_is_over(w.session));
    free(big);
    world_close(&w);
}

static int run_all(const duet_env *env, void *arg)
{
    world *w = arg;
    heard h[4];
    duet_utcp_request r;

    int err = world_open(w, env, 1024);
    for (int i = 0; err == DUET_OK && i < 3; i++) {
        r = request(&h[i], i == 2 ? "ticks" : i == 1 ? "slow" : "echo", "{\"a\":\"b\"}");
        r.idempotent = i == 1;
        r.stream = i == 2;
        err = duet_utcp_client_core_call(w->client, &r, NULL, 0);
    }
    memset(&h[3], 0, sizeof(h[3]));
    if (err == DUET_OK)
        err = duet_utcp_client_core_discover(w->client, DUET_UTCP_VIA_CHANNEL, 0, on_manual, &h[3], 0);
    if (err == DUET_OK) {
        carry(w);
        carry(w);
        if (w->stream.count == 1)
            err = duet_utcp_call_item(w->stream.calls[0], "1", 1);
        if (err == DUET_OK && w->stream.count == 1)
            err = duet_utcp_call_end(w->stream.calls[0]);
        carry(w);
        wait_for(w, DUET_SECONDS(60));
        if (err == DUET_OK && h[0].done + h[1].done + h[2].done + h[3].done != 4)
            err = DUET_ERR_STATE;
    }
    world_close(w);
    return err;
}

static void calls_survive_a_lack_of_memory(void **state)
{
    world w;

    (void)state;
    test_fail_each_allocation("calls", run_all, &w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_answered_with_its_output),
        cmocka_unit_test(many_calls_in_flight_are_answered_in_any_order),
        cmocka_unit_test(calls_beyond_the_bound_are_refused_as_busy),
        cmocka_unit_test(wrong_inputs_do_not_reach_the_tool),
        cmocka_unit_test(wrong_outputs_do_not_reach_the_caller),
        cmocka_unit_test(a_tool_that_is_silent_times_out_on_both_sides),
        cmocka_unit_test(a_late_answer_is_counted_and_dropped),
        cmocka_unit_test(a_cancelled_call_ends_the_tool),
        cmocka_unit_test(a_stream_brings_items_and_an_end),
        cmocka_unit_test(a_stream_that_nobody_asked_for_comes_in_one_piece),
        cmocka_unit_test(a_stream_waits_for_a_slow_reader),
        cmocka_unit_test(messages_beyond_the_peers_limit_go_in_pieces),
        cmocka_unit_test(ten_megabytes_pass_and_more_does_not),
        cmocka_unit_test(a_broken_connection_fails_what_was_sent_and_keeps_the_rest),
        cmocka_unit_test(the_manual_serves_readers_of_both_versions),
        cmocka_unit_test(a_client_that_knows_the_manual_checks_answers),
        cmocka_unit_test(a_manual_that_is_missing_or_too_large_is_told),
        cmocka_unit_test(odd_messages_are_counted_and_dropped),
        cmocka_unit_test(a_caller_that_does_not_read_is_given_up),
        cmocka_unit_test(calls_survive_a_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
