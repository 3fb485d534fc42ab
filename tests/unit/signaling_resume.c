/* Seats that outlive their connections, and what else sessions learned: the dialect with the older names, rates, meshes, and
 * discovery. */
#include "signaling_world.h"

typedef struct seat {
    duet_session *session;
    char id[64], token[64];
} seat;

static seat sit(world *w, const char *agent, const char *room)
{
    seat s = {.session = world_enter(w, agent)};

    world_say(w, s.session, "{\"type\":\"join_room\",\"roomId\":\"%s\"}", room);
    json_t *users = world_expect(s.session, "room_users");
    snprintf(s.id, sizeof(s.id), "%s", world_text(users, "self"));
    snprintf(s.token, sizeof(s.token), "%s", world_text(users, "resumeToken"));
    json_decref(users);
    return s;
}

static duet_session *come_back(world *w, const char *agent, const char *token, int last_seq)
{
    duet_session *s = world_enter(w, agent);

    world_say(w, s, "{\"type\":\"resume\",\"id\":\"r\",\"resumeToken\":\"%s\",\"lastSeq\":%d}", token, last_seq);
    return s;
}

static void expect_seq(duet_session *s, const char *type, int seq)
{
    json_t *message = world_expect(s, type);

    assert_int_equal(json_integer_value(json_object_get(message, "seq")), seq);
    json_decref(message);
}

static void what_was_missed_comes_in_order_and_once(void **state)
{
    world w = world_open();
    seat alice = sit(&w, "alice", "red"), bob = sit(&w, "bob", "red");

    (void)state;
    expect_seq(alice.session, "user_joined", 2);
    world_break(&w, alice.session);
    w.now += DUET_SECONDS(10);
    for (int i = 0; i < 3; i++)
        world_say(&w, bob.session, "{\"type\":\"offer\",\"to\":\"%s\",\"sdp\":\"" WORLD_SDP "\"}", alice.id);
    world_expect_silence(bob.session); /* nobody has left */
    alice.session = come_back(&w, "alice", alice.token, 2);
    for (int i = 0; i < 3; i++)
        expect_seq(alice.session, "offer", 3 + i);
    json_t *resumed = world_expect(alice.session, "resumed");
    assert_string_equal(world_text(resumed, "self"), alice.id);
    assert_string_equal(world_text(resumed, "id"), "r");
    assert_int_equal(json_integer_value(json_object_get(resumed, "seq")), 6);
    assert_int_equal(json_integer_value(json_object_get(resumed, "received")), 0);
    json_decref(resumed);
    world_expect_silence(alice.session);
    w.now += DUET_SECONDS(60); /* the grace period is over without consequence */
    world_tick(&w);
    world_expect_silence(bob.session);
    world_say(&w, alice.session, "{\"type\":\"answer\",\"to\":\"%s\",\"sdp\":\"" WORLD_SDP "\"}", bob.id);
    json_decref(world_expect(bob.session, "answer"));
    world_bye(&w, alice.session);
    world_bye(&w, bob.session);
    world_close(&w);
}

static void a_newer_connection_of_the_seat_ends_the_older_with_4409(void **state)
{
    world w = world_open();
    seat alice = sit(&w, "alice", "red"), bob = sit(&w, "bob", "red");
    duet_session *newer = come_back(&w, "alice", alice.token, 1);

    (void)state;
    expect_seq(newer, "user_joined", 2);
    expect_seq(newer, "resumed", 3);
    assert_int_equal(duet_session_is_over(alice.session), true);
    json_decref(world_expect(alice.session, "user_joined"));
    assert_int_equal(world_close_code(alice.session), 4409);
    world_break(&w, alice.session);
    w.now += DUET_SECONDS(31);
    world_tick(&w);
    world_expect_silence(bob.session); /* the older connection's end is not the seat's */
    world_bye(&w, newer);
    json_decref(world_expect(bob.session, "user_left"));
    world_bye(&w, bob.session);
    world_close(&w);
}

static void after_the_grace_period_a_client_is_told_to_join_afresh(void **state)
{
    world w = world_open();
    seat alice = sit(&w, "alice", "red");

    (void)state;
    world_break(&w, alice.session);
    w.now += DUET_SECONDS(30);
    world_tick(&w);
    duet_session *late = come_back(&w, "alice", alice.token, 1);
    world_expect_error(late, "not_found");
    world_say(&w, late, "{\"type\":\"join_room\",\"roomId\":\"red\"}");
    json_decref(world_expect(late, "room_users"));
    world_bye(&w, late);
    world_close(&w);
}

static void a_seat_is_not_given_to_another_agent_or_for_a_guessed_token(void **state)
{
    world w = world_open();
    seat alice = sit(&w, "alice", "red");
    duet_session *mallory = come_back(&w, "mallory", alice.token, 0), *guess = come_back(&w, "alice", "AAAA", 0);

    (void)state;
    world_expect_error(mallory, "not_found");
    world_expect_error(guess, "not_found");
    assert_int_equal(world_close_code(alice.session), 0);
    world_bye(&w, mallory);
    world_bye(&w, guess);
    world_bye(&w, alice.session);
    world_close(&w);
}

static void beyond_what_is_kept_a_client_is_told_to_join_afresh(void **state)
{
    world w = world_open();
    seat alice = sit(&w, "alice", "red"), bob = sit(&w, "bob", "red");

    (void)state;
    world_break(&w, alice.session);
    for (int i = 0; i < DUET_SEAT_LOG_MESSAGES; i++)
        world_say(&w, bob.session,
                  "{\"type\":\"candidate\",\"to\":\"%s\",\"candidate\":{\"candidate\":\"\",\"sdpMid\":\"0\"}}",
                  alice.id);
    alice.session = come_back(&w, "alice", alice.token, 1); /* 2, user_joined, is the one that is lost */
    world_expect_error(alice.session, "not_found");
    json_t *left = world_expect(bob.session, "user_left");
    assert_string_equal(world_text(left, "id"), alice.id);
    json_decref(left);
    world_bye(&w, alice.session);
    world_bye(&w, bob.session);
    world_close(&w);
}

static void a_client_may_say_a_numbered_message_again_without_doubling_it(void **state)
{
    world w = world_open();
    seat alice = sit(&w, "alice", "red"), bob = sit(&w, "bob", "red");

    (void)state;
    json_decref(world_expect(alice.session, "user_joined"));
    for (int i = 1; i <= 2; i++)
        world_say(&w, alice.session, "{\"type\":\"answer\",\"seq\":%d,\"to\":\"%s\",\"sdp\":\"" WORLD_SDP "\"}", i,
                  bob.id);
    world_break(&w, alice.session);
    alice.session = come_back(&w, "alice", alice.token, 2);
    json_t *resumed = world_expect(alice.session, "resumed");
    assert_int_equal(json_integer_value(json_object_get(resumed, "received")), 2);
    json_decref(resumed);
    for (int i = 2; i <= 3; i++)
        world_say(&w, alice.session, "{\"type\":\"answer\",\"seq\":%d,\"to\":\"%s\",\"sdp\":\"" WORLD_SDP "\"}", i,
                  bob.id);
    for (int i = 0; i < 3; i++)
        expect_seq(bob.session, "answer", 2 + i);
    world_expect_silence(bob.session);
    world_bye(&w, alice.session);
    world_bye(&w, bob.session);
    world_close(&w);
}

/* ---- the dialect with the older names ---- */

static duet_session *connect_compat(world *w)
{
    duet_session_config config = {.hub = w->hub, .compat = true};
    duet_session *s;

    assert_int_equal(duet_session_create(&s, &config, w->now), DUET_OK);
    return s;
}

static void the_dialect_speaks_the_older_names_and_to_everybody(void **state)
{
    world w = world_open();
    seat bob = sit(&w, "bob", "red"), eve = sit(&w, "eve", "blue");
    duet_session *old = connect_compat(&w);
    char *token = world_token(&w, "old", DUET_TOKEN_JOIN, 3600);

    (void)state;
    world_say(&w, old, "{\"type\":\"join\",\"roomId\":\"red\",\"token\":\"%s\"}", token); /* authenticates, too */
    json_decref(world_expect(old, "auth_ok"));
    json_decref(world_expect(old, "room_users"));
    json_decref(world_expect(bob.session, "user_joined"));
    world_say(&w, old, "{\"type\":\"offer\",\"sdp\":\"" WORLD_SDP "\"}");
    json_decref(world_expect(bob.session, "offer"));
    world_expect_silence(eve.session);
    world_expect_silence(old);
    duet_session *third = world_enter(&w, "third");
    world_say(&w, third, "{\"type\":\"join_room\",\"roomId\":\"red\"}");
    json_t *users = world_expect(third, "room_users");
    const char *old_id = world_text(json_array_get(json_object_get(users, "users"), 1), "id");
    expect_seq(old, "joined", 2);
    world_say(&w, third, "{\"type\":\"answer\",\"to\":\"%s\",\"sdp\":\"" WORLD_SDP "\"}", old_id);
    world_say(&w, third, "{\"type\":\"candidate\",\"to\":\"%s\",\"candidate\":{\"candidate\":\"\",\"sdpMid\":\"0\"}}",
              old_id);
    json_decref(users);
    expect_seq(old, "getAnswer", 3);
    expect_seq(old, "getCandidate", 4);
    world_say(&w, third, "{\"type\":\"offer\",\"sdp\":\"" WORLD_SDP "\"}"); /* in version 1 it needs a recipient */
    world_expect_error(third, "bad_request");
    world_bye(&w, third);
    expect_seq(old, "user_exit", 5);
    world_say(&w, old, "{\"type\":\"leave\"}");
    expect_seq(old, "user_exit", 6);
    duet_free(NULL, token);
    world_bye(&w, old);
    world_bye(&w, bob.session);
    world_bye(&w, eve.session);
    world_close(&w);
}

/* ---- rates ---- */

static void a_flood_is_told_to_wait_and_then_ended(void **state)
{
    world w = world_open_with((world_options){.messages = {1, 2}});
    seat alice = sit(&w, "alice", "red"), bob = sit(&w, "bob", "red");
    static const char candidate[] =
        "{\"type\":\"candidate\",\"to\":\"%s\",\"candidate\":{\"candidate\":\"\",\"sdpMid\":\"0\"}}";

    (void)state;
    json_decref(world_expect(alice.session, "user_joined"));
    for (int i = 0; i < 3; i++)
        world_say(&w, alice.session, candidate, bob.id);
    for (int i = 0; i < 2; i++)
        json_decref(world_expect(bob.session, "candidate"));
    world_expect_silence(bob.session);
    json_t *error = world_expect(alice.session, "error");
    assert_string_equal(world_text(error, "code"), "rate_limited");
    assert_in_range(json_integer_value(json_object_get(error, "retryAfterMs")), 1000, 1001);
    json_decref(error);
    w.now += DUET_SECONDS(1) + 1000;
    world_say(&w, alice.session, candidate, bob.id);
    json_decref(world_expect(bob.session, "candidate"));
    for (int i = 0; i < DUET_SESSION_STRIKES; i++)
        world_say(&w, alice.session, candidate, bob.id);
    json_t *m;
    while ((m = world_hear(alice.session)) != NULL)
        json_decref(m);
    assert_int_equal(world_close_code(alice.session), 4429);
    world_bye(&w, alice.session);
    world_bye(&w, bob.session);
    world_close(&w);
}

static void an_agent_has_so_many_connections(void **state)
{
    world w = world_open_with((world_options){.limits.connections[DUET_LIMIT_AGENT] = 2});
    duet_session *first = world_enter(&w, "alice"), *second = world_enter(&w, "alice"), *third = world_connect(&w);
    char *token = world_token(&w, "alice", DUET_TOKEN_JOIN, 3600);

    (void)state;
    world_say(&w, third, "{\"type\":\"authenticate\",\"token\":\"%s\"}", token);
    json_t *error = world_expect(third, "auth_error");
    assert_string_equal(world_text(error, "code"), "rate_limited");
    json_decref(error);
    assert_int_equal(world_close_code(third), 4429);
    world_bye(&w, first);
    world_bye(&w, third);
    third = world_enter(&w, "alice");
    duet_free(NULL, token);
    world_bye(&w, second);
    world_bye(&w, third);
    world_close(&w);
}

/* ---- meshes ---- */

static void who_is_too_many_for_a_mesh_needs_an_sfu(void **state)
{
    world w = world_open_with((world_options){.mesh_limit = 2, .max_participants = 8});
    seat alice = sit(&w, "alice", "red"), bob = sit(&w, "bob", "red");
    duet_session *carol = world_enter(&w, "carol"), *sfu = world_connect(&w);
    duet_token_claims claims = {
        .subject = "sfu", .role = "sfu", .permissions = DUET_TOKEN_JOIN, .expires_at = WORLD_WALL + 100};
    char *token = world_token_for(&claims), id[64];

    (void)state;
    world_say(&w, carol, "{\"type\":\"join_room\",\"roomId\":\"red\"}");
    world_expect_error(carol, "room_full");
    world_say(&w, sfu, "{\"type\":\"authenticate\",\"token\":\"%s\"}", token);
    json_decref(world_expect(sfu, "auth_ok"));
    world_say(&w, sfu, "{\"type\":\"join_room\",\"roomId\":\"red\"}");
    json_t *users = world_expect(sfu, "room_users");
    assert_string_equal(world_text(users, "topology"), "mesh");
    snprintf(id, sizeof(id), "%s", world_text(users, "self"));
    json_decref(users);
    world_say(&w, carol, "{\"type\":\"join_room\",\"roomId\":\"red\"}");
    users = world_expect(carol, "room_users");
    assert_string_equal(world_text(users, "topology"), "sfu");
    assert_string_equal(world_text(users, "sfu"), id);
    json_decref(users);
    json_decref(world_expect(bob.session, "user_joined"));
    json_decref(world_expect(bob.session, "user_joined"));
    json_t *topology = world_expect(bob.session, "topology");
    assert_string_equal(world_text(topology, "topology"), "sfu");
    json_decref(topology);
    world_bye(&w, carol);
    json_decref(world_expect(bob.session, "user_left"));
    topology = world_expect(bob.session, "topology");
    assert_string_equal(world_text(topology, "topology"), "mesh");
    json_decref(topology);
    duet_free(NULL, token);
    world_bye(&w, sfu);
    world_bye(&w, alice.session);
    world_bye(&w, bob.session);
    world_close(&w);
}

/* ---- discovery ---- */

static void tools_are_discovered_through_the_room(void **state)
{
    world w = world_open();
    seat alice = sit(&w, "alice", "red"), bob = sit(&w, "bob", "red");

    (void)state;
    json_decref(world_expect(alice.session, "user_joined"));
    world_say(&w, alice.session, "{\"type\":\"discover\",\"to\":\"%s\"}", bob.id);
    json_t *discover = world_expect(bob.session, "discover");
    assert_string_equal(world_text(discover, "from"), alice.id);
    json_decref(discover);
    world_say(&w, bob.session, "{\"type\":\"manual\",\"to\":\"%s\",\"manual\":{\"tools\":[]}}", alice.id);
    json_t *manual = world_expect(alice.session, "manual");
    assert_true(json_is_array(json_object_get(json_object_get(manual, "manual"), "tools")));
    json_decref(manual);
    world_bye(&w, alice.session);
    world_bye(&w, bob.session);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_missed_comes_in_order_and_once),
        cmocka_unit_test(a_newer_connection_of_the_seat_ends_the_older_with_4409),
        cmocka_unit_test(after_the_grace_period_a_client_is_told_to_join_afresh),
        cmocka_unit_test(a_seat_is_not_given_to_another_agent_or_for_a_guessed_token),
        cmocka_unit_test(beyond_what_is_kept_a_client_is_told_to_join_afresh),
        cmocka_unit_test(a_client_may_say_a_numbered_message_again_without_doubling_it),
        cmocka_unit_test(the_dialect_speaks_the_older_names_and_to_everybody),
        cmocka_unit_test(a_flood_is_told_to_wait_and_then_ended),
        cmocka_unit_test(an_agent_has_so_many_connections),
        cmocka_unit_test(who_is_too_many_for_a_mesh_needs_an_sfu),
        cmocka_unit_test(tools_are_discovered_through_the_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
