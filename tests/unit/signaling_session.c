/* Sessions and rooms in virtual time: authenticate, join, pass on, leave; who hears of whom, and what is refused. */
#include "signaling_world.h"

/* ---- authenticating ---- */

static void a_good_token_is_answered_with_who_and_until_when(void **state)
{
    world w = world_open();
    duet_session *s = world_connect(&w);
    char *token = world_token(&w, "alice", DUET_TOKEN_JOIN, 3600);

    (void)state;
    world_say(&w, s, "{\"type\":\"authenticate\",\"id\":\"7\",\"token\":\"%s\"}", token);
    json_t *ok = world_expect(s, "auth_ok");
    assert_string_equal(world_text(ok, "agentId"), "alice");
    assert_string_equal(world_text(ok, "expiresAt"), "2023-11-14T23:13:20Z");
    assert_string_equal(world_text(ok, "id"), "7");
    assert_null(json_object_get(ok, "seq"));
    json_decref(ok);
    duet_free(NULL, token);
    world_bye(&w, s);
    world_close(&w);
}

static void a_bad_token_is_told_and_the_connection_ends_with_4401(void **state)
{
    world w = world_open();
    duet_session *s = world_connect(&w);

    (void)state;
    world_say(&w, s, "{\"type\":\"authenticate\",\"token\":\"a.b.c\"}");
    assert_int_equal(world_close_code(s), 0); /* not before the message has been taken */
    json_t *error = world_expect(s, "auth_error");
    assert_string_equal(world_text(error, "code"), "unauthorized");
    json_decref(error);
    world_expect_silence(s);
    assert_int_equal(world_close_code(s), 4401);
    world_say(&w, s, "{\"type\":\"join_room\",\"roomId\":\"red\"}");
    world_expect_silence(s);
    world_bye(&w, s);
    world_close(&w);
}

static void anything_before_authenticate_ends_the_connection(void **state)
{
    static const char *const firsts[] = {"{\"type\":\"join_room\",\"roomId\":\"red\"}", "{\"type\":\"dance\"}",
                                         "{\"type\":\"offer\"}"};
    world w = world_open();

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        duet_session *s = world_connect(&w);
        world_say(&w, s, "%s", firsts[i]);
        json_decref(world_expect(s, "auth_error"));
        assert_int_equal(world_close_code(s), 4401);
        world_bye(&w, s);
    }
    world_close(&w);
}

static void who_says_nothing_for_five_seconds_is_closed_with_4408(void **state)
{
    world w = world_open();
    duet_session *s = world_connect(&w);

    (void)state;
    assert_int_equal(duet_session_deadline(s), DUET_SECONDS(5));
    duet_session_tick(s, DUET_SECONDS(5) - 1);
    assert_int_equal(world_close_code(s), 0);
    duet_session_tick(s, DUET_SECONDS(5));
    assert_int_equal(world_close_code(s), 4408);
    assert_int_equal(duet_session_deadline(s), DUET_NEVER);
    world_bye(&w, s);
    world_close(&w);
}

static void a_late_authenticate_does_not_count(void **state)
{
    world w = world_open();
    duet_session *s = world_connect(&w);
    char *token = world_token(&w, "alice", DUET_TOKEN_JOIN, 3600);

    (void)state;
    w.now = DUET_SECONDS(6);
    world_say(&w, s, "{\"type\":\"authenticate\",\"token\":\"%s\"}", token);
    world_expect_silence(s);
    assert_int_equal(world_close_code(s), 4408);
    duet_free(NULL, token);
    world_bye(&w, s);
    world_close(&w);
}

static void a_token_with_the_upgrade_counts_as_authenticate(void **state)
{
    world w = world_open();
    duet_session *s = world_connect(&w);
    char *token = world_token(&w, "alice", DUET_TOKEN_JOIN, 3600);

    (void)state;
    duet_session_authenticate(s, token, strlen(token), w.now, world_wall(&w));
    json_decref(world_expect(s, "auth_ok"));
    duet_free(NULL, token);
    world_bye(&w, s);
    world_close(&w);
}

static void when_the_token_expires_the_seat_goes_with_it(void **state)
{
    world w = world_open();
    char bob_id[64];
    duet_session *alice = world_connect(&w), *bob = world_join(&w, "bob", "red", bob_id);
    char *token = world_token(&w, "alice", DUET_TOKEN_JOIN, 60);

    (void)state;
    world_say(&w, alice, "{\"type\":\"authenticate\",\"token\":\"%s\"}", token);
    world_say(&w, alice, "{\"type\":\"join_room\",\"roomId\":\"red\"}");
    json_decref(world_expect(alice, "auth_ok"));
    json_decref(world_expect(alice, "room_users"));
    json_decref(world_expect(bob, "user_joined"));
    w.now = duet_session_deadline(alice);
    assert_int_equal(w.now, DUET_SECONDS(60));
    duet_session_tick(alice, w.now);
    json_decref(world_expect(alice, "auth_error"));
    assert_int_equal(world_close_code(alice), 4401);
    json_t *left = world_expect(bob, "user_left");
    assert_string_equal(world_text(left, "reason"), "expired");
    json_decref(left);
    duet_free(NULL, token);
    world_bye(&w, alice);
    world_bye(&w, bob);
    world_close(&w);
}

static void a_renewal_moves_the_end_and_must_be_for_the_same_agent(void **state)
{
    world w = world_open();
    duet_session *s = world_enter(&w, "alice");
    char *longer = world_token(&w, "alice", DUET_TOKEN_JOIN, 7200),
         *other = world_token(&w, "bob", DUET_TOKEN_JOIN, 7200);

    (void)state;
    world_say(&w, s, "{\"type\":\"authenticate\",\"token\":\"%s\"}", longer);
    json_decref(world_expect(s, "auth_ok"));
    assert_int_equal(duet_session_deadline(s), DUET_SECONDS(7200));
    world_say(&w, s, "{\"type\":\"authenticate\",\"token\":\"%s\"}", other);
    json_decref(world_expect(s, "auth_error"));
    assert_int_equal(world_close_code(s), 4401);
    duet_free(NULL, longer);
    duet_free(NULL, other);
    world_bye(&w, s);
    world_close(&w);
}

/* ---- joining ---- */

static void a_newcomer_learns_who_is_there_and_the_others_learn_of_it(void **state)
{
    world w = world_open();
    char alice_id[64], bob_id[64];
    duet_session *alice = world_join(&w, "alice", "red", alice_id), *bob = world_enter(&w, "bob");

    (void)state;
    world_say(&w, bob, "{\"type\":\"join_room\",\"roomId\":\"red\",\"id\":\"join\"}");
    json_t *users = world_expect(bob, "room_users"), *list = json_object_get(users, "users");
    snprintf(bob_id, sizeof(bob_id), "%s", world_text(users, "self"));
    assert_string_equal(world_text(users, "id"), "join");
    assert_string_equal(world_text(users, "roomId"), "red");
    assert_string_equal(world_text(users, "topology"), "mesh");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(world_text(json_array_get(list, 0), "id"), alice_id);
    assert_string_equal(world_text(json_array_get(list, 0), "agentId"), "alice");
    assert_string_equal(world_text(json_array_get(list, 0), "role"), "owner");
    assert_string_equal(world_text(json_array_get(list, 1), "id"), bob_id);
    assert_string_equal(world_text(json_array_get(list, 1), "role"), "participant");
    assert_true(json_is_array(json_object_get(users, "iceServers")));
    json_decref(users);
    json_t *joined = world_expect(alice, "user_joined");
    assert_string_equal(world_text(json_object_get(joined, "user"), "id"), bob_id);
    assert_string_not_equal(alice_id, bob_id);
    json_decref(joined);
    world_expect_silence(alice);
    world_bye(&w, alice);
    world_bye(&w, bob);
    world_close(&w);
}

static void each_seat_counts_its_messages_from_1_without_gaps(void **state)
{
    world w = world_open();
    char id[64], other[64];
    duet_session *s = world_enter(&w, "alice"), *visitors[2];
    json_int_t expected = 1;

    (void)state;
    for (int seat = 0; seat < 2; seat++) {
        world_say(&w, s, "{\"type\":\"join_room\",\"roomId\":\"red\"}");
        for (int i = 0; i < 2; i++)
            visitors[i] = world_join(&w, "bob", "red", other);
        world_say(&w, s, "{\"type\":\"offer\",\"to\":\"nobody\",\"sdp\":\"v=0\"}");
        world_say(&w, visitors[1], "{\"type\":\"offer\",\"to\":\"x\",\"sdp\":\"v=0\"}");
        for (int i = 0; i < 2; i++)
            world_bye(&w, visitors[i]);
        world_say(&w, s, "{\"type\":\"leave_room\",\"roomId\":\"red\"}");
        json_t *message;
        expected = 1;
        while ((message = world_hear(s)) != NULL) {
            assert_int_equal(json_integer_value(json_object_get(message, "seq")), expected++);
            if (expected == 2)
                snprintf(id, sizeof(id), "%s", world_text(message, "self"));
            json_decref(message);
        }
        assert_int_equal(expected, 8); /* room_users, two joined, an error, two left, and its own leaving */
    }
    world_bye(&w, s);
    world_close(&w);
}

static void a_full_room_takes_nobody_more(void **state)
{
    world w = world_open(); /* three participants */
    char id[64];
    duet_session *seats[3], *late = world_enter(&w, "late");

    (void)state;
    for (int i = 0; i < 3; i++)
        seats[i] = world_join(&w, "agent", "red", id);
    world_say(&w, late, "{\"type\":\"join_room\",\"roomId\":\"red\"}");
    world_expect_error(late, "room_full");
    assert_int_equal(world_close_code(late), 0);
    world_bye(&w, seats[1]);
    world_say(&w, late, "{\"type\":\"join_room\",\"roomId\":\"red\"}");
    json_decref(world_expect(late, "room_users"));
    world_bye(&w, late);
    world_bye(&w, seats[0]);
    world_bye(&w, seats[2]);
    world_close(&w);
}

static void rooms_that_come_with_their_first_guest_go_with_the_last(void **state)
{
    world w = world_open(); /* four rooms */
    char name[16], id[64];
    duet_session *guests[4], *late = world_enter(&w, "late");

    (void)state;
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "room%d", i);
        guests[i] = world_join(&w, "agent", name, id);
    }
    world_say(&w, late, "{\"type\":\"join_room\",\"roomId\":\"one-too-many\"}");
    world_expect_error(late, "room_full");
    world_bye(&w, guests[2]);
    world_say(&w, late, "{\"type\":\"join_room\",\"roomId\":\"one-too-many\"}");
    json_decref(world_expect(late, "room_users"));
    for (int i = 0; i < 4; i++) {
        if (i != 2)
            world_bye(&w, guests[i]);
    }
    world_bye(&w, late);
    world_close(&w);
}

static void without_rooms_on_join_an_unknown_room_is_not_found(void **state)
{
    world w = world_open_with((world_options){.no_rooms_on_join = true});

    (void)state;
    duet_session *s = world_enter(&w, "alice");
    world_say(&w, s, "{\"type\":\"join_room\",\"roomId\":\"red\",\"id\":\"j\"}");
    json_t *error = world_expect(s, "error");
    assert_string_equal(world_text(error, "code"), "not_found");
    assert_string_equal(world_text(error, "id"), "j");
    json_decref(error);
    world_bye(&w, s);
    world_close(&w);
}

static void one_connection_has_one_seat(void **state)
{
    world w = world_open();
    char id[64];
    duet_session *s = world_join(&w, "alice", "red", id);

    (void)state;
    world_say(&w, s, "{\"type\":\"join_room\",\"roomId\":\"blue\"}");
    world_expect_error(s, "bad_request");
    world_bye(&w, s);
    world_close(&w);
}

static void a_join_token_opens_its_room_and_no_other(void **state)
{
    world w = world_open();
    duet_session *s = world_connect(&w);
    char *weak = world_token(&w, "alice", DUET_TOKEN_CREATE, 3600);
    duet_token_claims claims = {.permissions = DUET_TOKEN_JOIN, .expires_at = WORLD_WALL + 60};

    (void)state;
    strcpy(claims.subject, "alice");
    strcpy(claims.room, "red");
    strcpy(claims.role, "speaker");
    char *ticket = world_token_for(&claims);
    strcpy(claims.subject, "bob");
    char *stolen = world_token_for(&claims);
    world_say(&w, s, "{\"type\":\"authenticate\",\"token\":\"%s\"}", weak);
    json_decref(world_expect(s, "auth_ok"));
    world_say(&w, s, "{\"type\":\"join_room\",\"roomId\":\"red\"}");
    world_expect_error(s, "forbidden"); /* the token of the connection may not join */
    world_say(&w, s, "{\"type\":\"join_room\",\"roomId\":\"blue\",\"token\":\"%s\"}", ticket);
    world_expect_error(s, "forbidden");
    world_say(&w, s, "{\"type\":\"join_room\",\"roomId\":\"red\",\"token\":\"%s\"}", stolen);
    world_expect_error(s, "forbidden");
    world_say(&w, s, "{\"type\":\"join_room\",\"roomId\":\"red\",\"token\":\"a.b.c\"}");
    world_expect_error(s, "unauthorized");
    world_say(&w, s, "{\"type\":\"join_room\",\"roomId\":\"red\",\"token\":\"%s\"}", ticket);
    json_t *users = world_expect(s, "room_users");
    assert_string_equal(world_text(json_array_get(json_object_get(users, "users"), 0), "role"), "speaker");
    json_decref(users);
    duet_free(NULL, weak);
    duet_free(NULL, ticket);
    duet_free(NULL, stolen);
    world_bye(&w, s);
    world_close(&w);
}

/* ---- passing on ---- */

static void an_offer_reaches_the_one_it_is_for_and_nobody_else(void **state)
{
    world w = world_open();
    char a[64], b[64], c[64];
    duet_session *alice = world_join(&w, "alice", "red", a), *bob = world_join(&w, "bob", "red", b),
                 *carol = world_join(&w, "carol", "red", c);

    (void)state;
    json_decref(world_expect(alice, "user_joined"));
    json_decref(world_expect(alice, "user_joined"));
    json_decref(world_expect(bob, "user_joined"));
    world_say(&w, alice, "{\"type\":\"offer\",\"id\":\"mine\",\"to\":\"%s\",\"sdp\":\"" WORLD_SDP "\"}", b);
    json_t *offer = world_expect(bob, "offer");
    assert_string_equal(world_text(offer, "from"), a);
    assert_null(json_object_get(offer, "to"));
    assert_null(json_object_get(offer, "id"));
    assert_non_null(strstr(world_text(offer, "sdp"), "webrtc-datachannel"));
    json_decref(offer);
    world_say(&w, bob, "{\"type\":\"answer\",\"to\":\"%s\",\"sdp\":\"" WORLD_SDP "\"}", a);
    json_decref(world_expect(alice, "answer"));
    world_expect_silence(alice);
    world_expect_silence(carol);
    world_bye(&w, alice);
    world_bye(&w, bob);
    world_bye(&w, carol);
    world_close(&w);
}

static void candidates_are_passed_on_as_they_are(void **state)
{
    static const char *const good[] = {
        "candidate:1 1 udp 2122260223 192.0.2.1 50000 typ host generation 0 ufrag abcd network-cost 999",
        "candidate:1 1 udp 2122260223 0b4c0c38-1f5a-4d0a-9a1e-5f6f6b1a1a1a.local 50000 typ host",
        "candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
        "candidate:1 1 sctp 1518280447 192.0.2.1 9 typ host", /* unknown transport: the receiver's business */
        "",
    };
    world w = world_open();
    char a[64], b[64];
    duet_session *alice = world_join(&w, "alice", "red", a), *bob = world_join(&w, "bob", "red", b);

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        world_say(&w, alice,
                  "{\"type\":\"candidate\",\"to\":\"%s\",\"candidate\":{\"candidate\":\"%s\",\"sdpMid\":\"0\","
                  "\"sdpMLineIndex\":0}}",
                  b, good[i]);
        json_t *message = world_expect(bob, "candidate"), *c = json_object_get(message, "candidate");
        assert_string_equal(world_text(c, "candidate"), good[i]);
        assert_string_equal(world_text(c, "sdpMid"), "0");
        json_decref(message);
    }
    world_bye(&w, alice);
    world_bye(&w, bob);
    world_close(&w);
}

static void descriptions_and_candidates_are_checked_before_they_are_passed_on(void **state)
{
    world w = world_open();
    char a[64], b[64];
    duet_session *alice = world_join(&w, "alice", "red", a), *bob = world_join(&w, "bob", "red", b);

    (void)state;
    json_decref(world_expect(alice, "user_joined"));
    world_say(&w, alice, "{\"type\":\"offer\",\"to\":\"%s\",\"sdp\":\"hello\"}", b);
    world_expect_error(alice, "bad_sdp");
    world_say(&w, alice, "{\"type\":\"answer\",\"to\":\"%s\",\"sdp\":\"" WORLD_SDP "a=setup:actpas\\r\\n\"}", b);
    world_expect_error(alice, "bad_sdp");
    world_say(&w, alice,
              "{\"type\":\"candidate\",\"to\":\"%s\",\"candidate\":{\"candidate\":\"<script>\",\"sdpMid\":\"0\"}}", b);
    world_expect_error(alice, "bad_candidate");
    world_say(&w, alice, "{\"type\":\"candidate\",\"to\":\"%s\",\"candidate\":{\"candidate\":7}}", b);
    world_expect_error(alice, "bad_candidate");
    world_expect_silence(bob);
    world_bye(&w, alice);
    world_bye(&w, bob);
    world_close(&w);
}

static void nobody_outside_the_room_can_be_reached_or_reach_in(void **state)
{
    world w = world_open();
    char a[64], b[64];
    duet_session *alice = world_join(&w, "alice", "red", a), *bob = world_join(&w, "bob", "blue", b),
                 *carol = world_enter(&w, "carol");

    (void)state;
    world_say(&w, alice, "{\"type\":\"offer\",\"to\":\"%s\",\"sdp\":\"" WORLD_SDP "\"}", b);
    world_expect_error(alice, "no_such_peer");
    world_say(&w, alice, "{\"type\":\"offer\",\"to\":\"%s\",\"sdp\":\"" WORLD_SDP "\"}", a); /* oneself */
    world_expect_error(alice, "no_such_peer");
    world_say(&w, alice, "{\"type\":\"offer\",\"to\":\"nobody\",\"sdp\":\"" WORLD_SDP "\"}");
    world_expect_error(alice, "no_such_peer");
    world_say(&w, carol, "{\"type\":\"offer\",\"to\":\"%s\",\"sdp\":\"" WORLD_SDP "\"}", a);
    world_expect_error(carol, "not_in_room");
    world_expect_silence(bob);
    world_bye(&w, bob);
    world_say(&w, alice, "{\"type\":\"offer\",\"to\":\"%s\",\"sdp\":\"" WORLD_SDP "\"}", b); /* gone */
    world_expect_error(alice, "no_such_peer");
    world_bye(&w, alice);
    world_bye(&w, carol);
    world_close(&w);
}

/* ---- leaving ---- */

static void leaving_is_told_to_everybody_and_ends_the_seat(void **state)
{
    world w = world_open();
    char a[64], b[64];
    duet_session *alice = world_join(&w, "alice", "red", a), *bob = world_join(&w, "bob", "red", b);

    (void)state;
    json_decref(world_expect(alice, "user_joined"));
    world_say(&w, alice, "{\"type\":\"leave_room\",\"roomId\":\"blue\"}");
    world_expect_error(alice, "not_in_room");
    world_say(&w, alice, "{\"type\":\"leave_room\",\"roomId\":\"red\"}");
    for (int i = 0; i < 2; i++) {
        json_t *left = world_expect(i == 0 ? alice : bob, "user_left");
        assert_string_equal(world_text(left, "id"), a);
        assert_string_equal(world_text(left, "reason"), "left");
        assert_string_equal(world_text(left, "roomId"), "red");
        json_decref(left);
    }
    world_say(&w, alice, "{\"type\":\"leave_room\",\"roomId\":\"red\"}");
    world_expect_error(alice, "not_in_room");
    world_say(&w, alice, "{\"type\":\"join_room\",\"roomId\":\"red\"}"); /* a new seat, with a new id */
    json_t *users = world_expect(alice, "room_users");
    assert_string_not_equal(world_text(users, "self"), a);
    assert_int_equal(json_integer_value(json_object_get(users, "seq")), 1);
    json_decref(users);
    world_bye(&w, alice);
    world_bye(&w, bob);
    world_close(&w);
}

static void note_outcome(void *user, int err)
{
    *(int *)user = err;
}

static int close_room(world *w, const char *room_id)
{
    duet_store *store = duet_hub_store(w->hub);
    int outcome = DUET_ERR_STATE;

    store->ops->room_remove(store->self, room_id, note_outcome, &outcome);
    return outcome;
}

static void a_lost_connection_is_told_as_a_time_out_after_the_grace_period(void **state)
{
    world w = world_open();
    char a[64], b[64];
    duet_session *alice = world_join(&w, "alice", "red", a), *bob = world_join(&w, "bob", "red", b);

    (void)state;
    world_break(&w, alice);
    w.now += DUET_SECONDS(30) - 1;
    world_tick(&w);
    world_expect_silence(bob);
    w.now += 1;
    world_tick(&w);
    json_t *left = world_expect(bob, "user_left");
    assert_string_equal(world_text(left, "reason"), "timeout");
    json_decref(left);
    world_bye(&w, bob);
    world_close(&w);
}

static void closing_a_room_tells_everybody_and_ends_their_connections(void **state)
{
    world w = world_open();
    char a[64], b[64];
    duet_session *alice = world_join(&w, "alice", "red", a), *bob = world_join(&w, "bob", "red", b);

    (void)state;
    json_decref(world_expect(alice, "user_joined"));
    assert_int_equal(close_room(&w, "red"), DUET_OK);
    assert_int_equal(close_room(&w, "red"), DUET_ERR_NOT_FOUND);
    for (int i = 0; i < 2; i++) {
        duet_session *s = i == 0 ? alice : bob;
        json_t *left = world_expect(s, "user_left");
        assert_string_equal(world_text(left, "reason"), "closed");
        assert_string_equal(world_text(left, "id"), i == 0 ? a : b);
        json_decref(left);
        world_expect_silence(s);
        assert_int_equal(world_close_code(s), 4403);
        world_bye(&w, s);
    }
    world_close(&w);
}

/* ---- bad clients ---- */

static void what_is_no_message_ends_the_connection_with_4400(void **state)
{
    world w = world_open();
    duet_session *s = world_enter(&w, "alice"), *binary = world_enter(&w, "bob");

    (void)state;
    world_say(&w, s, "hello");
    world_expect_error(s, "bad_request");
    assert_int_equal(world_close_code(s), 4400);
    duet_session_bad_input(binary, false);
    world_expect_error(binary, "bad_request");
    assert_int_equal(world_close_code(binary), 4400);
    world_bye(&w, s);
    world_bye(&w, binary);
    world_close(&w);
}

static void what_is_too_large_ends_the_connection_with_4413(void **state)
{
    world w = world_open();
    duet_session *s = world_enter(&w, "alice");

    (void)state;
    duet_session_bad_input(s, true);
    world_expect_error(s, "too_large");
    assert_int_equal(world_close_code(s), 4413);
    world_bye(&w, s);
    world_close(&w);
}

static void an_unknown_type_is_refused_and_the_connection_stays(void **state)
{
    world w = world_open();
    duet_session *s = world_enter(&w, "alice");

    (void)state;
    world_say(&w, s, "{\"type\":\"room_users\",\"id\":\"r\"}");
    json_t *error = world_expect(s, "error");
    assert_string_equal(world_text(error, "code"), "unsupported");
    assert_string_equal(world_text(error, "id"), "r");
    json_decref(error);
    assert_int_equal(world_close_code(s), 0);
    world_say(&w, s, "{\"type\":\"join_room\"}");
    world_expect_error(s, "bad_request");
    assert_int_equal(world_close_code(s), 0);
    world_bye(&w, s);
    world_close(&w);
}

static void who_does_not_read_is_cut_off_and_the_others_go_on(void **state)
{
    world w = world_open();
    char a[64], b[64];
    duet_session *alice = world_join(&w, "alice", "red", a), *sleeper = world_join(&w, "sleeper", "red", b);
    int sent = 0;

    (void)state;
    json_decref(world_expect(alice, "user_joined"));
    while (!duet_session_is_over(sleeper) && sent < 100000) {
        world_say(&w, alice, "{\"type\":\"candidate\",\"to\":\"%s\",\"candidate\":{\"candidate\":\"\"}}", b);
        sent++;
    }
    world_expect_silence(alice);
    assert_in_range(sent, 100, 2000);
    for (json_t *m = world_hear(sleeper); m; m = world_hear(sleeper))
        json_decref(m);
    assert_int_equal(world_close_code(sleeper), 4408);
    assert_int_equal(world_close_code(alice), 0);
    world_bye(&w, alice);
    world_bye(&w, sleeper);
    world_close(&w);
}

/* ---- memory ---- */

static void ignore_output(duet_session *s)
{
    const char *text;
    size_t len;

    while (s && duet_session_output(s, &text, &len) == 1)
        continue;
}

static void say(duet_session *s, const char *text)
{
    duet_session_input(s, text, strlen(text), 0, WORLD_WALL);
}

/* A whole life of two sessions. Where memory fails a session may end, with 4500; nothing else may happen. */
static int two_lives(const duet_env *env, void *arg)
{
    const char *tokens = arg;
    duet_session *s[2] = {NULL, NULL};
    world w;
    char text[1024];
    const char *reason;

    int err = world_try_open(&w, env, &(world_options){.max_participants = 3});
    if (err != DUET_OK) {
        world_close(&w);
        return err;
    }
    for (int i = 0; i < 2 && err == DUET_OK; i++) {
        duet_session_config config = {.hub = w.hub};
        err = duet_session_create(&s[i], &config, 0);
        if (err != DUET_OK)
            break;
        snprintf(text, sizeof(text), "{\"type\":\"authenticate\",\"token\":\"%s\"}", tokens);
        say(s[i], text);
        say(s[i], "{\"type\":\"join_room\",\"roomId\":\"red\"}");
        say(s[i], "{\"type\":\"offer\",\"to\":\"x\",\"sdp\":\"v=0\"}");
        ignore_output(s[i]);
        unsigned code = duet_session_close_code(s[i], &reason);
        if (code != 0 && code != 4500 && code != 4429) /* a table that cannot grow takes no newcomer */
            fail_msg("closed with %u: %s", code, reason);
        if (code != 0)
            err = DUET_ERR_NOMEM;
    }
    for (int i = 0; i < 2; i++)
        world_bye(&w, s[i]);
    world_close(&w);
    return err;
}

static void no_memory_ends_a_session_at_most_and_nothing_leaks(void **state)
{
    world w = {.now = 0};
    char *token = world_token(&w, "alice", DUET_TOKEN_JOIN, 3600);

    (void)state;
    test_fail_each_allocation("sessions", two_lives, token);
    duet_free(NULL, token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_token_is_answered_with_who_and_until_when),
        cmocka_unit_test(a_bad_token_is_told_and_the_connection_ends_with_4401),
        cmocka_unit_test(anything_before_authenticate_ends_the_connection),
        cmocka_unit_test(who_says_nothing_for_five_seconds_is_closed_with_4408),
        cmocka_unit_test(a_late_authenticate_does_not_count),
        cmocka_unit_test(a_token_with_the_upgrade_counts_as_authenticate),
        cmocka_unit_test(when_the_token_expires_the_seat_goes_with_it),
        cmocka_unit_test(a_renewal_moves_the_end_and_must_be_for_the_same_agent),
        cmocka_unit_test(a_newcomer_learns_who_is_there_and_the_others_learn_of_it),
        cmocka_unit_test(each_seat_counts_its_messages_from_1_without_gaps),
        cmocka_unit_test(a_full_room_takes_nobody_more),
        cmocka_unit_test(rooms_that_come_with_their_first_guest_go_with_the_last),
        cmocka_unit_test(without_rooms_on_join_an_unknown_room_is_not_found),
        cmocka_unit_test(one_connection_has_one_seat),
        cmocka_unit_test(a_join_token_opens_its_room_and_no_other),
        cmocka_unit_test(an_offer_reaches_the_one_it_is_for_and_nobody_else),
        cmocka_unit_test(candidates_are_passed_on_as_they_are),
        cmocka_unit_test(descriptions_and_candidates_are_checked_before_they_are_passed_on),
        cmocka_unit_test(nobody_outside_the_room_can_be_reached_or_reach_in),
        cmocka_unit_test(leaving_is_told_to_everybody_and_ends_the_seat),
        cmocka_unit_test(a_lost_connection_is_told_as_a_time_out_after_the_grace_period),
        cmocka_unit_test(closing_a_room_tells_everybody_and_ends_their_connections),
        cmocka_unit_test(what_is_no_message_ends_the_connection_with_4400),
        cmocka_unit_test(what_is_too_large_ends_the_connection_with_4413),
        cmocka_unit_test(an_unknown_type_is_refused_and_the_connection_stays),
        cmocka_unit_test(who_does_not_read_is_cut_off_and_the_others_go_on),
        cmocka_unit_test(no_memory_ends_a_session_at_most_and_nothing_leaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
