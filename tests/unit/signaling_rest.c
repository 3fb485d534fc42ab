/* The REST interface of the rooms: requests in, responses out. */
#include "signaling/rest.h"
#include "signaling_world.h"

typedef struct reply {
    int status;
    char location[160];
    const char *allow, *type;
    json_t *body;
} reply;

/* Takes the response. */
static void keep_response(void *user, const duet_rest_response *response)
{
    duet_rest_response *out = user;

    *out = (duet_rest_response){.status = 0};
    if (!response)
        return;
    *out = *response;
    duet_buffer_init(&out->body, NULL);
    duet_buffer_append(&out->body, response->body.data, response->body.len);
}

static reply call(world *w, const char *method, const char *path, const char *token, const char *body)
{
    duet_rest_response response;
    json_error_t error;
    char authorization[1024] = "";
    reply r = {.status = 0};

    if (token)
        snprintf(authorization, sizeof(authorization), "Bearer %s", token);
    duet_rest_request request = {.method = method,
                                 .path = path,
                                 .authorization = token ? authorization : NULL,
                                 .body = body ? body : "",
                                 .body_len = body ? strlen(body) : 0,
                                 .ws_url = "ws://127.0.0.1:8080/ws",
                                 .now = w->now,
                                 .wall_seconds = world_wall(w)};
    duet_rest_call *pending;
    duet_rest_start(&pending, w->hub, &request, keep_response, &response);
    assert_null(pending);
    assert_int_not_equal(response.status, 0);
    r.status = response.status;
    r.allow = response.allow;
    r.type = response.type;
    memcpy(r.location, response.location, sizeof(r.location));
    if (response.body.len > 0) {
        r.body = json_loadb((char *)response.body.data, response.body.len, 0, &error);
        assert_non_null(r.body);
    }
    if (r.status >= 400) {
        assert_string_equal(r.type, "application/problem+json");
        assert_int_equal(json_integer_value(json_object_get(r.body, "status")), r.status);
        assert_int_equal(response.authenticate, r.status == 401);
    }
    duet_buffer_free(&response.body);
    return r;
}

static void expect(world *w, int status, const char *method, const char *path, const char *token, const char *body)
{
    reply r = call(w, method, path, token, body);

    if (r.status != status)
        fail_msg("%s %s %s: %d", method, path, body ? body : "", r.status);
    json_decref(r.body);
}

static char *token_of(world *w, const char *subject, unsigned permissions)
{
    return world_token(w, subject, permissions, 3600);
}

#define ALL (DUET_TOKEN_CREATE | DUET_TOKEN_JOIN)

static void a_room_is_created_shown_listed_and_closed(void **state)
{
    world w = world_open();
    char *alice = token_of(&w, "alice", ALL);

    (void)state;
    reply r = call(&w, "POST", "/api/rooms", alice,
                   "{\"name\":\"Planning\",\"type\":\"video\",\"maxParticipants\":2,\"settings\":{\"muteOnEntry\":true,"
                   "\"maxDuration\":60}}");
    assert_int_equal(r.status, 201);
    assert_string_equal(world_text(r.body, "name"), "Planning");
    assert_string_equal(world_text(r.body, "type"), "video");
    assert_string_equal(world_text(r.body, "createdBy"), "alice");
    assert_string_equal(world_text(r.body, "createdAt"), "2023-11-14T22:13:20Z");
    assert_int_equal(json_integer_value(json_object_get(r.body, "maxParticipants")), 2);
    assert_int_equal(strlen(world_text(r.body, "roomId")), 36);
    char path[160];
    snprintf(path, sizeof(path), "/api/rooms/%s", world_text(r.body, "roomId"));
    assert_string_equal(r.location, path);
    json_decref(r.body);
    expect(&w, 200, "GET", path, alice, NULL);
    r = call(&w, "GET", "/api/rooms", alice, NULL);
    assert_int_equal(json_array_size(json_object_get(r.body, "rooms")), 1);
    json_decref(r.body);
    r = call(&w, "DELETE", path, alice, NULL);
    assert_int_equal(r.status, 204);
    assert_null(r.body);
    expect(&w, 404, "GET", path, alice, NULL);
    expect(&w, 404, "DELETE", path, alice, NULL);
    duet_free(NULL, alice);
    world_close(&w);
}

static void a_join_token_from_here_opens_the_room_there(void **state)
{
    world w = world_open();
    char *alice = token_of(&w, "alice", ALL);
    duet_session *s = world_connect(&w);

    (void)state;
    reply r = call(&w, "POST", "/api/rooms", alice, NULL);
    char path[200];
    snprintf(path, sizeof(path), "%s/join", r.location);
    char room[64];
    snprintf(room, sizeof(room), "%s", world_text(r.body, "roomId"));
    json_decref(r.body);
    r = call(&w, "POST", path, alice, NULL);
    assert_int_equal(r.status, 200);
    assert_string_equal(world_text(r.body, "url"), "ws://127.0.0.1:8080/ws");
    assert_string_equal(world_text(r.body, "expiresAt"), "2023-11-14T23:13:20Z");
    world_say(&w, s, "{\"type\":\"authenticate\",\"token\":\"%s\"}", world_text(r.body, "token"));
    json_decref(world_expect(s, "auth_ok"));
    world_say(&w, s, "{\"type\":\"join_room\",\"roomId\":\"other\"}");
    world_expect_error(s, "forbidden");
    world_say(&w, s, "{\"type\":\"join_room\",\"roomId\":\"%s\"}", room);
    json_t *users = world_expect(s, "room_users");
    assert_string_equal(world_text(json_array_get(json_object_get(users, "users"), 0), "role"), "owner");
    json_decref(users);
    json_decref(r.body);
    snprintf(path, sizeof(path), "/api/rooms/%s/participants", room);
    r = call(&w, "GET", path, alice, NULL);
    const json_t *list = json_object_get(r.body, "participants");
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(world_text(json_array_get(list, 0), "agentId"), "alice");
    json_decref(r.body);
    snprintf(path, sizeof(path), "/api/rooms/%s", room);
    expect(&w, 204, "DELETE", path, alice, NULL);
    json_decref(world_expect(s, "user_left"));
    assert_int_equal(world_close_code(s), 4403);
    world_bye(&w, s);
    duet_free(NULL, alice);
    world_close(&w);
}

static void without_a_good_token_nothing_is_told(void **state)
{
    world w = world_open();
    duet_token_claims claims = {.expires_at = WORLD_WALL, .permissions = ALL};

    (void)state;
    strcpy(claims.subject, "alice");
    char *expired = world_token_for(&claims);
    expect(&w, 401, "GET", "/api/rooms", NULL, NULL);
    expect(&w, 401, "GET", "/api/rooms", "", NULL);
    expect(&w, 401, "GET", "/api/rooms", "a.b.c", NULL);
    expect(&w, 401, "GET", "/api/rooms", expired, NULL);
    expect(&w, 401, "GET", "/api/nothing", NULL, NULL);
    assert_null(duet_bearer_token("Basic YTpi"));
    assert_string_equal(duet_bearer_token("bearer  x"), "x");
    duet_free(NULL, expired);
    world_close(&w);
}

static void permissions_decide_who_may_create_join_and_close(void **state)
{
    world w = world_open();
    char *alice = token_of(&w, "alice", ALL), *bob = token_of(&w, "bob", DUET_TOKEN_JOIN),
         *carol = token_of(&w, "carol", DUET_TOKEN_MODERATE);
    char path[200];

    (void)state;
    expect(&w, 403, "POST", "/api/rooms", bob, NULL);
    reply r = call(&w, "POST", "/api/rooms", alice, NULL);
    json_decref(r.body);
    expect(&w, 403, "DELETE", r.location, bob, NULL);
    snprintf(path, sizeof(path), "%s/join", r.location);
    expect(&w, 200, "POST", path, bob, NULL);
    expect(&w, 403, "POST", path, carol, NULL);
    expect(&w, 204, "DELETE", r.location, carol, NULL);
    duet_free(NULL, alice);
    duet_free(NULL, bob);
    duet_free(NULL, carol);
    world_close(&w);
}

static void bodies_are_checked_member_by_member(void **state)
{
    static const char *const bad[] = {"{",
                                      "[]",
                                      "{\"name\":7}",
                                      "{\"type\":\"text\"}",
                                      "{\"maxParticipants\":0}",
                                      "{\"maxParticipants\":257}",
                                      "{\"maxParticipants\":\"2\"}",
                                      "{\"settings\":[]}",
                                      "{\"settings\":{\"muteOnEntry\":1}}",
                                      "{\"settings\":{\"maxDuration\":-1}}",
                                      "{\"name\":\"a\",\"name\":\"b\"}"};
    world w = world_open();
    char *alice = token_of(&w, "alice", ALL);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect(&w, 400, "POST", "/api/rooms", alice, bad[i]);
    duet_free(NULL, alice);
    world_close(&w);
}

static void paths_and_methods_of_nothing_are_refused(void **state)
{
    static const char *const nothing[] = {"/api/",          "/api/roomsx",     "/api/rooms/",
                                          "/api/rooms/a/b", "/api/rooms/../x", "/api/rooms/a/participants/",
                                          "/api/rooms/%2e"};
    world w = world_open();
    char *alice = token_of(&w, "alice", ALL);

    (void)state;
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
        expect(&w, 404, "GET", nothing[i], alice, NULL);
    reply r = call(&w, "DELETE", "/api/rooms", alice, NULL);
    assert_int_equal(r.status, 405);
    assert_string_equal(r.allow, "GET, POST");
    json_decref(r.body);
    expect(&w, 405, "POST", "/api/rooms/a", alice, NULL);
    expect(&w, 405, "GET", "/api/rooms/a/join", alice, NULL);
    expect(&w, 404, "POST", "/api/rooms/a/join", alice, NULL);
    duet_free(NULL, alice);
    world_close(&w);
}

static void the_server_holds_so_many_rooms_and_no_more(void **state)
{
    world w = world_open(); /* four */
    char *alice = token_of(&w, "alice", ALL);

    (void)state;
    for (int i = 0; i < 4; i++)
        expect(&w, 201, "POST", "/api/rooms", alice, NULL);
    expect(&w, 503, "POST", "/api/rooms", alice, NULL);
    duet_free(NULL, alice);
    world_close(&w);
}

static void a_room_is_changed_by_those_who_may(void **state)
{
    world w = world_open();
    char *alice = token_of(&w, "alice", DUET_TOKEN_CREATE), *bob = token_of(&w, "bob", DUET_TOKEN_JOIN), path[200];
    reply r = call(&w, "POST", "/api/rooms", alice, "{\"name\":\"one\",\"settings\":{\"muteOnEntry\":true}}");

    (void)state;
    memcpy(path, r.location, sizeof(r.location));
    json_decref(r.body);
    expect(&w, 403, "PATCH", path, bob, "{\"name\":\"mine\"}");
    expect(&w, 400, "PATCH", path, alice, "{\"maxParticipants\":0}");
    r = call(&w, "PATCH", path, alice, "{\"name\":\"two\",\"maxParticipants\":4}");
    assert_int_equal(r.status, 200);
    assert_string_equal(world_text(r.body, "name"), "two");
    assert_int_equal(json_integer_value(json_object_get(r.body, "maxParticipants")), 4);
    assert_true(json_is_true(json_object_get(json_object_get(r.body, "settings"), "muteOnEntry")));
    assert_int_equal(json_array_size(json_object_get(r.body, "participants")), 0);
    json_decref(r.body);
    duet_free(NULL, alice);
    duet_free(NULL, bob);
    world_close(&w);
}

static void a_participant_is_kicked_by_those_who_may(void **state)
{
    world w = world_open();
    char a[64], b[64], path[200];
    duet_session *alice = world_join(&w, "alice", "red", a), *bob = world_join(&w, "bob", "red", b);
    char *owner = token_of(&w, "alice", DUET_TOKEN_JOIN), *guest = token_of(&w, "bob", DUET_TOKEN_JOIN);

    (void)state;
    json_decref(world_expect(alice, "user_joined"));
    snprintf(path, sizeof(path), "/api/rooms/red/participants/%s", a);
    expect(&w, 403, "DELETE", path, guest, NULL);
    snprintf(path, sizeof(path), "/api/rooms/red/participants/%s", b);
    expect(&w, 204, "DELETE", path, owner, NULL);
    expect(&w, 404, "DELETE", path, owner, NULL);
    expect(&w, 405, "GET", path, owner, NULL);
    for (int i = 0; i < 2; i++) {
        json_t *left = world_expect(i == 0 ? alice : bob, "user_left");
        assert_string_equal(world_text(left, "reason"), "kicked");
        assert_string_equal(world_text(left, "id"), b);
        json_decref(left);
    }
    assert_int_equal(world_close_code(alice), 0);
    assert_int_equal(world_close_code(bob), 4403);
    world_bye(&w, alice);
    world_bye(&w, bob);
    duet_free(NULL, owner);
    duet_free(NULL, guest);
    world_close(&w);
}

/* The password is what coturn's use-auth-secret expects: base64(HMAC-SHA1(secret, "expiry:name")). */
static void turn_credentials_are_good_for_a_while(void **state)
{
    world w = world_open_with((world_options){.turn_urls = "[\"turn:turn.example.org\"]"}), bare = world_open();
    char *alice = token_of(&w, "alice", DUET_TOKEN_JOIN);
    reply r = call(&w, "POST", "/api/turn-credentials", alice, NULL);

    (void)state;
    assert_int_equal(r.status, 200);
    assert_string_equal(world_text(r.body, "username"), "1700000600:alice");
    assert_string_equal(world_text(r.body, "credential"), "ZlbTfVBNP8Oh9JT/b4Of+cI3/zQ=");
    assert_int_equal(json_integer_value(json_object_get(r.body, "ttl")), 600);
    assert_int_equal(json_array_size(json_object_get(r.body, "iceServers")), 1);
    json_decref(r.body);
    expect(&bare, 404, "POST", "/api/turn-credentials", alice, NULL);
    duet_free(NULL, alice);
    world_close(&w);
    world_close(&bare);
}

static void a_room_ends_after_its_longest_duration(void **state)
{
    world w = world_open_with((world_options){.no_rooms_on_join = true});
    char *alice = token_of(&w, "alice", ALL), path[200];
    reply r = call(&w, "POST", "/api/rooms", alice, "{\"settings\":{\"maxDuration\":2}}");
    duet_session *s = world_enter(&w, "bob");

    (void)state;
    memcpy(path, r.location, sizeof(r.location));
    world_say(&w, s, "{\"type\":\"join_room\",\"roomId\":\"%s\"}", world_text(r.body, "roomId"));
    json_decref(world_expect(s, "room_users"));
    json_decref(r.body);
    w.now += DUET_SECONDS(119);
    world_tick(&w);
    world_expect_silence(s);
    w.now += DUET_SECONDS(1);
    world_tick(&w);
    json_t *left = world_expect(s, "user_left");
    assert_string_equal(world_text(left, "reason"), "expired");
    json_decref(left);
    assert_int_equal(world_close_code(s), 4403);
    expect(&w, 404, "GET", path, alice, NULL);
    world_bye(&w, s);
    duet_free(NULL, alice);
    world_close(&w);
}

static void who_asks_too_often_is_told_when_to_come_back(void **state)
{
    world w = world_open_with((world_options){.limits.messages[DUET_LIMIT_AGENT] = {1, 2}});
    char *alice = token_of(&w, "alice", ALL);

    (void)state;
    expect(&w, 200, "GET", "/api/rooms", alice, NULL);
    expect(&w, 200, "GET", "/api/rooms", alice, NULL);
    expect(&w, 429, "GET", "/api/rooms", alice, NULL);
    w.now += DUET_SECONDS(1) + 1000;
    expect(&w, 200, "GET", "/api/rooms", alice, NULL);
    duet_free(NULL, alice);
    world_close(&w);
}

static int create_and_list(const duet_env *env, void *arg)
{
    duet_rest_request request = {.method = "POST",
                                 .path = "/api/rooms",
                                 .authorization = arg,
                                 .body = "",
                                 .ws_url = "ws://x/ws",
                                 .wall_seconds = WORLD_WALL};
    duet_rest_response response;
    duet_rest_call *pending;
    world w;

    int err = world_try_open(&w, env, &(world_options){.max_participants = 3});
    for (int i = 0; i < 2 && err == DUET_OK; i++) {
        request.method = i == 0 ? "POST" : "GET";
        duet_rest_start(&pending, w.hub, &request, keep_response, &response);
        err = response.status ? DUET_OK : DUET_ERR_NOMEM;
        duet_buffer_free(&response.body);
    }
    world_close(&w);
    return err;
}

static void no_memory_is_an_error_and_nothing_leaks(void **state)
{
    world w = {.now = 0};
    char *alice = token_of(&w, "alice", ALL), authorization[1024];

    (void)state;
    snprintf(authorization, sizeof(authorization), "Bearer %s", alice);
    duet_free(NULL, alice);
    test_fail_each_allocation("rest", create_and_list, authorization);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_room_is_created_shown_listed_and_closed),
        cmocka_unit_test(a_join_token_from_here_opens_the_room_there),
        cmocka_unit_test(without_a_good_token_nothing_is_told),
        cmocka_unit_test(permissions_decide_who_may_create_join_and_close),
        cmocka_unit_test(bodies_are_checked_member_by_member),
        cmocka_unit_test(paths_and_methods_of_nothing_are_refused),
        cmocka_unit_test(the_server_holds_so_many_rooms_and_no_more),
        cmocka_unit_test(a_room_is_changed_by_those_who_may),
        cmocka_unit_test(a_participant_is_kicked_by_those_who_may),
        cmocka_unit_test(turn_credentials_are_good_for_a_while),
        cmocka_unit_test(a_room_ends_after_its_longest_duration),
        cmocka_unit_test(who_asks_too_often_is_told_when_to_come_back),
        cmocka_unit_test(no_memory_is_an_error_and_nothing_leaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
