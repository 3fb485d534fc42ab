/* The client against the sessions of a server, over bytes in memory and in virtual time. */
#include "signaling/client.h"
#include "signaling/websocket.h"
#include "signaling_world.h"

/* What a client heard. */
typedef struct heard {
    char self[64], first_peer[64], joined[64], left[64], from[64], sdp[1024], candidate[256], error[64];
    char reason[160], ice_servers[256];
    size_t users;
    duet_sdp_type type;
    unsigned joined_count, closed_count, resumed_count, descriptions, code;
    char discovered[64], manual[128];
} heard;

/* One client, and the server's half of its connection. */
typedef struct line {
    world *w;
    heard heard;
    duet_client_core *core;
    duet_client_memory memory; /* of the seat, beyond a connection */
    duet_websocket *ws;        /* once the server has seen the handshake */
    duet_session *session;
    bool cut;
} line;

/* ---- the client's events ---- */

static void on_joined(void *user, duet_signaling_client *client, const duet_signaling_room *room)
{
    heard *h = user;

    (void)client;
    h->joined_count++;
    h->users = room->user_count;
    snprintf(h->self, sizeof(h->self), "%s", room->self);
    snprintf(h->ice_servers, sizeof(h->ice_servers), "%s", room->ice_servers);
    for (size_t i = 0; i < room->user_count; i++) {
        if (strcmp(room->users[i].id, room->self) != 0)
            snprintf(h->first_peer, sizeof(h->first_peer), "%s", room->users[i].id);
    }
}

static void on_user_joined(void *user, duet_signaling_client *client, const duet_signaling_user *who)
{
    (void)client;
    snprintf(((heard *)user)->joined, 64, "%s", who->id);
}

static void on_user_left(void *user, duet_signaling_client *client, const char *id, const char *reason)
{
    (void)client;
    (void)reason;
    snprintf(((heard *)user)->left, 64, "%s", id);
}

static void on_description(void *user, duet_signaling_client *client, const char *from, duet_sdp_type type,
                           const char *sdp)
{
    heard *h = user;

    (void)client;
    h->type = type;
    h->descriptions++;
    snprintf(h->from, sizeof(h->from), "%s", from);
    snprintf(h->sdp, sizeof(h->sdp), "%s", sdp);
}

static void on_candidate(void *user, duet_signaling_client *client, const char *from, const duet_pc_candidate *c)
{
    heard *h = user;

    (void)client;
    snprintf(h->from, sizeof(h->from), "%s", from);
    snprintf(h->candidate, sizeof(h->candidate), "%s", c->candidate);
}

static void on_error(void *user, duet_signaling_client *client, const char *code, const char *message)
{
    (void)client;
    (void)message;
    snprintf(((heard *)user)->error, 64, "%s", code);
}

static void on_closed(void *user, duet_signaling_client *client, unsigned code, const char *reason)
{
    heard *h = user;

    (void)client;
    h->closed_count++;
    h->code = code;
    snprintf(h->reason, sizeof(h->reason), "%s", reason);
}

static void on_resumed(void *user, duet_signaling_client *client)
{
    (void)client;
    ((heard *)user)->resumed_count++;
}

static void on_discover(void *user, duet_signaling_client *client, const char *from)
{
    (void)client;
    snprintf(((heard *)user)->discovered, 64, "%s", from);
}

static void on_manual(void *user, duet_signaling_client *client, const char *from, const char *manual)
{
    (void)client;
    (void)from;
    snprintf(((heard *)user)->manual, 128, "%s", manual);
}

/* ---- the server's half ---- */

static void server_message(void *user, const char *data, size_t len, bool is_text)
{
    line *l = user;

    assert_true(is_text);
    duet_session_input(l->session, data, len, l->w->now, world_wall(l->w));
}

static void server_too_large(void *user)
{
    duet_session_bad_input(((line *)user)->session, true);
}

static void answer_handshake(line *l, const char *request)
{
    duet_websocket_config config = {
        .max_message = 65536, .on_message = server_message, .on_too_large = server_too_large, .user = l};
    char key[DUET_WEBSOCKET_KEY_LEN + 1] = "", accept[DUET_WEBSOCKET_ACCEPT_LEN + 1], response[256];

    assert_non_null(strstr(request, "GET /ws HTTP/1.1\r\n"));
    assert_non_null(strstr(request, "Host: 127.0.0.1:8080\r\n"));
    assert_non_null(strstr(request, "Sec-WebSocket-Protocol: duet.v1\r\n"));
    memcpy(key, strstr(request, "Sec-WebSocket-Key: ") + 19, DUET_WEBSOCKET_KEY_LEN);
    assert_int_equal(duet_websocket_accept(accept, key), DUET_OK);
    snprintf(response, sizeof(response),
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: duet.v1\r\n\r\n",
             accept);
    assert_int_equal(duet_websocket_create(&l->ws, &config, l->w->now), DUET_OK);
    l->session = world_connect(l->w);
    duet_client_core_input(l->core, response, strlen(response), l->w->now);
}

static bool client_to_server(line *l)
{
    const uint8_t *data;
    size_t len = duet_client_core_output(l->core, &data);

    if (len == 0 || l->cut)
        return false;
    char *copy = malloc(len + 1);
    memcpy(copy, data, len);
    copy[len] = 0;
    duet_client_core_sent(l->core, len);
    if (l->ws)
        duet_websocket_input(l->ws, copy, len, l->w->now);
    else
        answer_handshake(l, copy);
    free(copy);
    return true;
}

static bool server_to_client(line *l)
{
    const uint8_t *data;
    const char *text, *reason;
    size_t len;

    if (!l->ws || l->cut)
        return false;
    duet_session_tick(l->session, l->w->now);
    while (duet_session_output(l->session, &text, &len) == 1)
        duet_websocket_send(l->ws, text, len, l->w->now);
    unsigned code = duet_session_close_code(l->session, &reason);
    if (code)
        duet_websocket_close(l->ws, code, reason, l->w->now);
    len = duet_websocket_output(l->ws, &data);
    if (len == 0)
        return false;
    uint8_t *copy = malloc(len);
    memcpy(copy, data, len);
    duet_websocket_sent(l->ws, len);
    duet_client_core_input(l->core, copy, len, l->w->now);
    free(copy);
    return true;
}

static void settle(line *lines, size_t count)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 0; i < count; i++) {
            moved |= client_to_server(&lines[i]);
            moved |= server_to_client(&lines[i]);
        }
    }
}

static void line_connect(line *l, const char *subject, int64_t ttl)
{
    duet_signaling_client_config config = DUET_SIGNALING_CLIENT_CONFIG_INIT;
    duet_ws_url url;
    char *token = world_token(l->w, subject, DUET_TOKEN_JOIN, ttl);

    assert_int_equal(duet_ws_url_parse(&url, "ws://127.0.0.1:8080"), DUET_OK);
    config.token = token;
    config.room = "red";
    config.on_joined = on_joined;
    config.on_user_joined = on_user_joined;
    config.on_user_left = on_user_left;
    config.on_description = on_description;
    config.on_candidate = on_candidate;
    config.on_error = on_error;
    config.on_closed = on_closed;
    config.on_resumed = on_resumed;
    config.on_discover = on_discover;
    config.on_manual = on_manual;
    config.user = &l->heard;
    assert_int_equal(duet_client_core_create(&l->core, &config, &url, &l->memory, NULL, NULL, l->w->now), DUET_OK);
    duet_free(NULL, token);
}

static void line_open(line *l, world *w, const char *subject, int64_t ttl)
{
    *l = (line){.w = w};
    duet_client_memory_init(&l->memory, &w->env);
    line_connect(l, subject, ttl);
}

/* The connection breaks; what the client knows of its seat stays. */
static void line_break(line *l)
{
    duet_client_core_destroy(l->core);
    duet_websocket_destroy(l->ws);
    duet_session_destroy(l->session, false, l->w->now);
    l->core = NULL;
    l->ws = NULL;
    l->session = NULL;
    l->cut = false;
}

static void line_close(line *l)
{
    duet_client_core_destroy(l->core);
    duet_websocket_destroy(l->ws);
    duet_session_destroy(l->session, true, l->w->now);
    duet_client_memory_clear(&l->memory);
}

static int send_description(line *l, const char *to, duet_signal_type type, const char *text)
{
    duet_signal m = {.type = type, .to = to, .sdp = text};

    return duet_client_core_send(l->core, &m, l->w->now);
}

static int send_end_of_candidates(line *l, const char *to)
{
    duet_signal m = {.type = DUET_SIGNAL_CANDIDATE, .to = to, .candidate = {.candidate = "", .sdp_mline_index = -1}};

    return duet_client_core_send(l->core, &m, l->w->now);
}

static const char sdp[] = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

/* ---- stories ---- */

static void two_clients_meet_talk_and_part(void **state)
{
    world w = world_open();
    line l[2];

    (void)state;
    line_open(&l[0], &w, "alice", 3600);
    settle(l, 1);
    assert_int_equal(l[0].heard.users, 1);
    assert_string_equal(l[0].heard.ice_servers, "[]");
    line_open(&l[1], &w, "bob", 3600);
    settle(l, 2);
    assert_int_equal(l[1].heard.users, 2);
    assert_string_equal(l[1].heard.first_peer, l[0].heard.self);
    assert_string_equal(l[0].heard.joined, l[1].heard.self);
    assert_int_equal(send_description(&l[1], l[0].heard.self, DUET_SIGNAL_OFFER, sdp), DUET_OK);
    assert_int_equal(send_end_of_candidates(&l[1], l[0].heard.self), DUET_OK);
    settle(l, 2);
    assert_int_equal(l[0].heard.type, DUET_SDP_OFFER);
    assert_string_equal(l[0].heard.sdp, sdp);
    assert_string_equal(l[0].heard.from, l[1].heard.self);
    assert_string_equal(l[0].heard.candidate, "");
    assert_int_equal(send_description(&l[0], l[1].heard.self, DUET_SIGNAL_ANSWER, sdp), DUET_OK);
    settle(l, 2);
    assert_int_equal(l[1].heard.type, DUET_SDP_ANSWER);
    duet_client_core_close(l[1].core, w.now);
    settle(l, 2);
    assert_string_equal(l[0].heard.left, l[1].heard.self);
    assert_int_equal(l[1].heard.closed_count, 1);
    assert_int_equal(l[1].heard.code, 1000);
    assert_int_equal(l[0].heard.closed_count, 0);
    line_close(&l[0]);
    line_close(&l[1]);
    world_close(&w);
}

static void a_refused_token_is_told_in_words(void **state)
{
    world w = world_open();
    line l;

    (void)state;
    line_open(&l, &w, "alice", 1);
    w.now = DUET_SECONDS(2);
    settle(&l, 1);
    assert_int_equal(l.heard.joined_count, 0);
    assert_int_equal(l.heard.closed_count, 1);
    assert_int_equal(l.heard.code, 4401);
    assert_string_equal(l.heard.reason, "unauthorized: the token has expired");
    line_close(&l);
    world_close(&w);
}

static void a_full_room_is_told_in_words(void **state)
{
    world w = world_open();
    char id[64];
    duet_session *seats[3];
    line l;

    (void)state;
    for (int i = 0; i < 3; i++)
        seats[i] = world_join(&w, "agent", "red", id);
    line_open(&l, &w, "alice", 3600);
    settle(&l, 1);
    assert_int_equal(l.heard.closed_count, 1);
    assert_string_equal(l.heard.reason, "room_full: the room has no free seat");
    for (int i = 0; i < 3; i++)
        world_bye(&w, seats[i]);
    line_close(&l);
    world_close(&w);
}

static void a_broken_connection_loses_and_doubles_nothing(void **state)
{
    world w = world_open();
    line l[2];

    (void)state;
    line_open(&l[0], &w, "alice", 3600);
    settle(l, 1);
    line_open(&l[1], &w, "bob", 3600);
    settle(l, 2);
    /* Alice's offer is on its way when her connection breaks: it never arrives. Bob's arrives at the server only. */
    assert_int_equal(send_description(&l[0], l[1].heard.self, DUET_SIGNAL_OFFER, sdp), DUET_OK);
    line_break(&l[0]);
    assert_int_equal(send_description(&l[1], l[0].heard.self, DUET_SIGNAL_OFFER, sdp), DUET_OK);
    settle(&l[1], 1);
    assert_int_equal(l[1].heard.descriptions, 0);
    line_connect(&l[0], "alice", 3600);
    settle(l, 2);
    assert_int_equal(l[0].heard.resumed_count, 1);
    assert_int_equal(l[0].heard.joined_count, 1);
    assert_int_equal(l[0].heard.descriptions, 1);
    assert_int_equal(l[1].heard.descriptions, 1);
    assert_string_equal(l[1].heard.left, "");
    line_break(&l[0]); /* once more, with nothing missed */
    line_connect(&l[0], "alice", 3600);
    settle(l, 2);
    assert_int_equal(l[0].heard.resumed_count, 2);
    assert_int_equal(l[0].heard.descriptions, 1);
    assert_int_equal(l[1].heard.descriptions, 1);
    line_close(&l[0]);
    line_close(&l[1]);
    world_close(&w);
}

static void after_the_grace_period_a_client_sits_down_anew(void **state)
{
    world w = world_open();
    line l;

    (void)state;
    line_open(&l, &w, "alice", 3600);
    settle(&l, 1);
    char first[64];
    memcpy(first, l.heard.self, sizeof(first));
    line_break(&l);
    w.now += DUET_SECONDS(31);
    world_tick(&w);
    line_connect(&l, "alice", 3600);
    settle(&l, 1);
    assert_int_equal(l.heard.resumed_count, 0);
    assert_int_equal(l.heard.joined_count, 2);
    assert_string_not_equal(l.heard.self, first);
    line_close(&l);
    world_close(&w);
}

static void tools_are_asked_for_and_told(void **state)
{
    world w = world_open();
    line l[2];

    (void)state;
    line_open(&l[0], &w, "alice", 3600);
    settle(l, 1);
    line_open(&l[1], &w, "bob", 3600);
    settle(l, 2);
    duet_signal ask = {.type = DUET_SIGNAL_DISCOVER, .to = l[0].heard.self};
    assert_int_equal(duet_client_core_send(l[1].core, &ask, w.now), DUET_OK);
    settle(l, 2);
    assert_string_equal(l[0].heard.discovered, l[1].heard.self);
    duet_signal tell = {.type = DUET_SIGNAL_MANUAL, .to = l[1].heard.self, .manual = "{\"tools\":[]}"};
    assert_int_equal(duet_client_core_send(l[0].core, &tell, w.now), DUET_OK);
    settle(l, 2);
    assert_string_equal(l[1].heard.manual, "{\"tools\":[]}");
    line_close(&l[0]);
    line_close(&l[1]);
    world_close(&w);
}

static void an_error_about_one_message_does_not_end_anything(void **state)
{
    world w = world_open();
    line l;

    (void)state;
    line_open(&l, &w, "alice", 3600);
    assert_int_equal(send_description(&l, "x", DUET_SIGNAL_OFFER, sdp), DUET_ERR_STATE);
    settle(&l, 1);
    assert_int_equal(send_description(&l, "x", DUET_SIGNAL_OFFER, sdp), DUET_OK);
    settle(&l, 1);
    assert_string_equal(l.heard.error, "no_such_peer");
    assert_int_equal(l.heard.closed_count, 0);
    line_close(&l);
    world_close(&w);
}

static void a_message_that_the_server_would_refuse_for_its_size_is_not_sent(void **state)
{
    world w = world_open();
    char *huge = malloc(70000);
    line l;

    (void)state;
    memset(huge, 'x', 69999);
    huge[69999] = 0;
    line_open(&l, &w, "alice", 3600);
    settle(&l, 1);
    assert_int_equal(send_description(&l, "x", DUET_SIGNAL_OFFER, huge), DUET_ERR_TOO_LARGE);
    free(huge);
    line_close(&l);
    world_close(&w);
}

static void a_server_that_says_nothing_is_given_up(void **state)
{
    world w = world_open();
    line l;

    (void)state;
    line_open(&l, &w, "alice", 3600);
    w.now = duet_client_core_deadline(l.core);
    assert_int_equal(w.now, DUET_CLIENT_JOIN_TIMEOUT);
    duet_client_core_tick(l.core, w.now);
    assert_true(duet_client_core_is_done(l.core));
    assert_int_equal(l.heard.closed_count, 1);
    assert_string_equal(l.heard.reason, "the server does not answer");
    assert_int_equal(duet_client_core_deadline(l.core), DUET_NEVER);
    line_close(&l);
    world_close(&w);
}

static void a_server_that_falls_silent_is_noticed(void **state)
{
    world w = world_open();
    line l;

    (void)state;
    line_open(&l, &w, "alice", 3600);
    settle(&l, 1);
    assert_int_equal(l.heard.joined_count, 1);
    l.cut = true;
    for (int i = 0; i < 10 && l.heard.closed_count == 0; i++) {
        w.now = duet_client_core_deadline(l.core);
        duet_client_core_tick(l.core, w.now);
    }
    assert_int_equal(l.heard.closed_count, 1);
    assert_int_equal(w.now, DUET_WEBSOCKET_DEAD_AFTER);
    line_close(&l);
    world_close(&w);
}

static void a_broken_connection_is_told_once(void **state)
{
    world w = world_open();
    line l;

    (void)state;
    line_open(&l, &w, "alice", 3600);
    settle(&l, 1);
    duet_client_core_lost(l.core, "the server closed the connection");
    duet_client_core_lost(l.core, "again");
    duet_client_core_close(l.core, w.now);
    assert_int_equal(l.heard.closed_count, 1);
    assert_int_equal(l.heard.code, 0);
    assert_string_equal(l.heard.reason, "the server closed the connection");
    line_close(&l);
    world_close(&w);
}

static void something_else_than_a_websocket_server_is_told(void **state)
{
    world w = world_open();
    line l;

    (void)state;
    line_open(&l, &w, "alice", 3600);
    duet_client_core_input(l.core, "HTTP/1.1 404 Not Found\r\n\r\n", 26, 0);
    assert_string_equal(l.heard.reason, "the server answered with HTTP status 404");
    line_close(&l);
    line_open(&l, &w, "alice", 3600);
    duet_client_core_input(l.core, "220 mail.example.org\r\n\r\n", 24, 0);
    assert_string_equal(l.heard.reason, "this is not an HTTP/1.1 server");
    line_close(&l);
    world_close(&w);
}

static void a_silenced_client_calls_nobody(void **state)
{
    world w = world_open();
    line l;

    (void)state;
    line_open(&l, &w, "alice", 3600);
    duet_client_core_silence(l.core);
    settle(&l, 1);
    duet_client_core_close(l.core, w.now);
    settle(&l, 1);
    assert_true(duet_client_core_is_done(l.core));
    assert_int_equal(l.heard.joined_count + l.heard.closed_count, 0);
    line_close(&l);
    world_close(&w);
}

static int make_core(const duet_env *env, void *arg)
{
    duet_signaling_client_config config = DUET_SIGNALING_CLIENT_CONFIG_INIT;
    duet_client_core *core;
    duet_client_memory memory;

    config.env = env;
    config.token = "a.b.c";
    config.room = "red";
    config.room_token = "d.e.f";
    duet_client_memory_init(&memory, env);
    int err = duet_client_core_create(&core, &config, arg, &memory, NULL, NULL, 0);
    duet_client_core_destroy(core);
    return err;
}

static void no_memory_is_an_error_and_nothing_leaks(void **state)
{
    duet_ws_url url;

    (void)state;
    assert_int_equal(duet_ws_url_parse(&url, "ws://127.0.0.1:8080"), DUET_OK);
    test_fail_each_allocation("client", make_core, &url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_clients_meet_talk_and_part),
        cmocka_unit_test(a_refused_token_is_told_in_words),
        cmocka_unit_test(a_full_room_is_told_in_words),
        cmocka_unit_test(a_broken_connection_loses_and_doubles_nothing),
        cmocka_unit_test(after_the_grace_period_a_client_sits_down_anew),
        cmocka_unit_test(tools_are_asked_for_and_told),
        cmocka_unit_test(an_error_about_one_message_does_not_end_anything),
        cmocka_unit_test(a_message_that_the_server_would_refuse_for_its_size_is_not_sent),
        cmocka_unit_test(a_server_that_says_nothing_is_given_up),
        cmocka_unit_test(a_server_that_falls_silent_is_noticed),
        cmocka_unit_test(a_broken_connection_is_told_once),
        cmocka_unit_test(something_else_than_a_websocket_server_is_told),
        cmocka_unit_test(a_silenced_client_calls_nobody),
        cmocka_unit_test(no_memory_is_an_error_and_nothing_leaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
