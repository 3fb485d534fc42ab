/* Messages of the signaling protocol: every form there and back, and what is refused. */
#include "signaling/protocol.h"
#include "test.h"

static int parse(duet_signal *m, duet_signal_side side, const char *text)
{
    return duet_signal_parse(m, NULL, side, text, strlen(text), NULL);
}

/* What is written after reading is what was read. */
static void round_trip(duet_signal_side side, const char *text)
{
    duet_signal m;
    duet_buffer out;
    json_error_t error;

    int err = parse(&m, side, text);
    if (err != DUET_OK)
        fail_msg("%s: %s", text, duet_strerror(err));
    duet_buffer_init(&out, NULL);
    assert_int_equal(duet_signal_write(&out, &m), DUET_OK);
    json_t *before = json_loads(text, 0, &error), *after = json_loads((char *)out.data, 0, &error);
    if (!json_equal(before, after))
        fail_msg("%s became %s", text, (char *)out.data);
    json_decref(before);
    json_decref(after);
    duet_buffer_free(&out);
    duet_signal_free(&m, NULL);
}

static void every_message_of_a_client_survives_a_round_trip(void **state)
{
    (void)state;
    round_trip(DUET_SIGNAL_FROM_CLIENT, "{\"type\":\"authenticate\",\"token\":\"a.b.c\"}");
    round_trip(DUET_SIGNAL_FROM_CLIENT, "{\"type\":\"join_room\",\"roomId\":\"red\",\"id\":\"q1\"}");
    round_trip(DUET_SIGNAL_FROM_CLIENT, "{\"type\":\"join_room\",\"roomId\":\"red\",\"token\":\"a.b.c\"}");
    round_trip(DUET_SIGNAL_FROM_CLIENT, "{\"type\":\"leave_room\",\"roomId\":\"red\"}");
    round_trip(DUET_SIGNAL_FROM_CLIENT, "{\"type\":\"offer\",\"to\":\"x\",\"sdp\":\"v=0\\r\\n\"}");
    round_trip(DUET_SIGNAL_FROM_CLIENT, "{\"type\":\"answer\",\"to\":\"x\",\"sdp\":\"v=0\\r\\n\"}");
    round_trip(DUET_SIGNAL_FROM_CLIENT,
               "{\"type\":\"candidate\",\"to\":\"x\",\"candidate\":{\"candidate\":\"candidate:1\","
               "\"sdpMid\":\"0\",\"sdpMLineIndex\":0,\"usernameFragment\":\"uf\"}}");
    round_trip(DUET_SIGNAL_FROM_CLIENT, "{\"type\":\"candidate\",\"to\":\"x\",\"candidate\":{\"candidate\":\"\"}}");
}

static void every_message_of_a_server_survives_a_round_trip(void **state)
{
    (void)state;
    round_trip(DUET_SIGNAL_FROM_SERVER,
               "{\"type\":\"auth_ok\",\"agentId\":\"alice\",\"expiresAt\":\"2026-01-01T00:00:00Z\",\"id\":\"1\"}");
    round_trip(DUET_SIGNAL_FROM_SERVER, "{\"type\":\"auth_error\",\"code\":\"unauthorized\",\"message\":\"no\"}");
    round_trip(
        DUET_SIGNAL_FROM_SERVER,
        "{\"type\":\"room_users\",\"roomId\":\"red\",\"self\":\"x\",\"users\":[{\"id\":\"x\",\"agentId\":\"alice\","
        "\"role\":\"owner\"}],\"topology\":\"mesh\",\"iceServers\":[{\"urls\":\"stun:192.0.2.1\"}],\"seq\":1}");
    round_trip(DUET_SIGNAL_FROM_SERVER, "{\"type\":\"user_joined\",\"roomId\":\"red\",\"seq\":2,\"user\":{\"id\":\"y\","
                                        "\"agentId\":\"bob\",\"role\":\"participant\"}}");
    round_trip(DUET_SIGNAL_FROM_SERVER,
               "{\"type\":\"user_left\",\"roomId\":\"red\",\"id\":\"y\",\"reason\":\"left\",\"seq\":3}");
    round_trip(DUET_SIGNAL_FROM_SERVER, "{\"type\":\"offer\",\"from\":\"x\",\"sdp\":\"v=0\\r\\n\",\"seq\":4}");
    round_trip(DUET_SIGNAL_FROM_SERVER, "{\"type\":\"error\",\"code\":\"not_found\",\"message\":\"?\",\"id\":\"q\"}");
}

static void members_that_are_not_known_are_ignored(void **state)
{
    duet_signal m;

    (void)state;
    assert_int_equal(parse(&m, DUET_SIGNAL_FROM_CLIENT,
                           "{\"type\":\"leave_room\",\"roomId\":\"red\",\"new\":[1,{\"a\":null}],\"seq\":9}"),
                     DUET_OK);
    assert_int_equal(m.seq, 9);
    duet_signal_free(&m, NULL);
}

static void what_is_no_object_with_a_type_is_malformed(void **state)
{
    static const char *const texts[] = {
        "",
        "null",
        "[]",
        "\"type\"",
        "{",
        "{\"type\":7}",
        "{}",
        "{\"type\":\"offer\",\"type\":\"answer\"}",
        "{\"type\":\"leave_room\"} {}",
        "{\"type\":\"leave_room\",\"roomId\":\"\xff\"}",
        "{\"type\":\"leave_room\",\"roomId\":\"a\\u0000b\"}",
        "{type:\"leave_room\"}",
        "{\"type\":\"leave_room\",\"n\":1e999}",
    };
    duet_signal m;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (parse(&m, DUET_SIGNAL_FROM_CLIENT, texts[i]) != DUET_ERR_MALFORMED)
            fail_msg("%s is not malformed", texts[i]);
        duet_signal_free(&m, NULL);
    }
}

static void a_bomb_of_brackets_is_malformed(void **state)
{
    size_t len = 60000;
    char *text = malloc(len + 1);
    duet_signal m;

    (void)state;
    memset(text, '[', len);
    text[len] = 0;
    assert_int_equal(parse(&m, DUET_SIGNAL_FROM_CLIENT, text), DUET_ERR_MALFORMED);
    duet_signal_free(&m, NULL);
    free(text);
}

static void an_unknown_type_keeps_its_id_for_the_refusal(void **state)
{
    duet_signal m;

    (void)state;
    assert_int_equal(parse(&m, DUET_SIGNAL_FROM_CLIENT, "{\"type\":\"dance\",\"id\":\"q\"}"), DUET_ERR_UNSUPPORTED);
    assert_string_equal(m.id, "q");
    duet_signal_free(&m, NULL);
    assert_int_equal(parse(&m, DUET_SIGNAL_FROM_CLIENT, "{\"type\":\"room_users\"}"), DUET_ERR_UNSUPPORTED);
    duet_signal_free(&m, NULL);
    assert_int_equal(parse(&m, DUET_SIGNAL_FROM_SERVER, "{\"type\":\"join_room\"}"), DUET_ERR_UNSUPPORTED);
    duet_signal_free(&m, NULL);
}

static void missing_and_wrong_members_are_invalid(void **state)
{
    static const char *const texts[] = {
        "{\"type\":\"authenticate\"}",
        "{\"type\":\"authenticate\",\"token\":\"\"}",
        "{\"type\":\"join_room\"}",
        "{\"type\":\"join_room\",\"roomId\":\"\"}",
        "{\"type\":\"join_room\",\"roomId\":\"a/b\"}",
        "{\"type\":\"join_room\",\"roomId\":\"r\\u00e9d\"}",
        "{\"type\":\"join_room\",\"roomId\":7}",
        "{\"type\":\"join_room\",\"roomId\":\"red\",\"token\":7}",
        "{\"type\":\"leave_room\",\"roomId\":\"red\",\"id\":7}",
        "{\"type\":\"offer\",\"to\":\"x\"}",
        "{\"type\":\"offer\",\"to\":\"x\",\"sdp\":\"v=0\",\"seq\":-1}",
        "{\"type\":\"resume\",\"lastSeq\":1}",
        "{\"type\":\"manual\",\"to\":\"x\",\"manual\":[]}",
        "{\"type\":\"offer\",\"to\":{},\"sdp\":\"v=0\"}",
        "{\"type\":\"answer\",\"to\":\"x\",\"sdp\":\"\"}",
        "{\"type\":\"candidate\",\"to\":\"x\"}",
        "{\"type\":\"candidate\",\"to\":\"x\",\"candidate\":\"candidate:1\"}",
        "{\"type\":\"candidate\",\"to\":\"x\",\"candidate\":{}}",
        "{\"type\":\"candidate\",\"to\":\"x\",\"candidate\":{\"candidate\":\"candidate:1\"}}",
        "{\"type\":\"candidate\",\"to\":\"x\",\"candidate\":{\"candidate\":\"c\",\"sdpMLineIndex\":-1}}",
        "{\"type\":\"candidate\",\"to\":\"x\",\"candidate\":{\"candidate\":\"c\",\"sdpMLineIndex\":\"0\"}}",
        "{\"type\":\"candidate\",\"to\":\"x\",\"candidate\":{\"candidate\":\"c\",\"sdpMid\":0}}",
    };
    duet_signal m;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (parse(&m, DUET_SIGNAL_FROM_CLIENT, texts[i]) != DUET_ERR_INVALID)
            fail_msg("%s is not invalid", texts[i]);
        duet_signal_free(&m, NULL);
    }
}

static void an_id_has_at_most_64_characters_however_many_bytes(void **state)
{
    char text[600], id[300];
    duet_signal m;

    (void)state;
    for (size_t i = 0; i < 64; i++)
        memcpy(id + 2 * i, "\xc3\xa9", 3);
    snprintf(text, sizeof(text), "{\"type\":\"leave_room\",\"roomId\":\"red\",\"id\":\"%s\"}", id);
    assert_int_equal(parse(&m, DUET_SIGNAL_FROM_CLIENT, text), DUET_OK);
    duet_signal_free(&m, NULL);
    snprintf(text, sizeof(text), "{\"type\":\"leave_room\",\"roomId\":\"red\",\"id\":\"%sx\"}", id);
    assert_int_equal(parse(&m, DUET_SIGNAL_FROM_CLIENT, text), DUET_ERR_INVALID);
    duet_signal_free(&m, NULL);
}

static void a_message_beyond_64_kib_is_too_large(void **state)
{
    size_t len = DUET_SIGNAL_MESSAGE_MAX + 1;
    char *text = malloc(len + 1);
    duet_signal m;

    (void)state;
    memset(text, ' ', len);
    memcpy(text, "{\"type\":\"leave_room\",\"roomId\":\"red\"}", 36);
    text[len] = 0;
    assert_int_equal(parse(&m, DUET_SIGNAL_FROM_CLIENT, text), DUET_ERR_TOO_LARGE);
    duet_signal_free(&m, NULL);
    assert_int_equal(duet_signal_parse(&m, NULL, DUET_SIGNAL_FROM_CLIENT, text, len - 1, NULL), DUET_OK);
    duet_signal_free(&m, NULL);
    free(text);
}

static void null_members_of_a_candidate_are_absent_ones(void **state)
{
    duet_signal m;

    (void)state;
    assert_int_equal(parse(&m, DUET_SIGNAL_FROM_CLIENT,
                           "{\"type\":\"candidate\",\"to\":\"x\",\"candidate\":{\"candidate\":\"c\",\"sdpMid\":null,"
                           "\"sdpMLineIndex\":2,\"usernameFragment\":null}}"),
                     DUET_OK);
    assert_null(m.candidate.sdp_mid);
    assert_null(m.candidate.username_fragment);
    assert_int_equal(m.candidate.sdp_mline_index, 2);
    duet_signal_free(&m, NULL);
}

/* A message with a description of 2000 lines, in which `line` is one. */
static char *long_offer(const char *before, const char *line, const char *after)
{
    duet_buffer text;

    duet_buffer_init(&text, NULL);
    duet_buffer_printf(&text, "{%s\"type\":\"offer\",\"to\":\"x\", \"sdp\" :\t\"", before);
    for (int i = 0; i < 1000; i++)
        duet_buffer_text(&text, "a=mid:0\\r\\n");
    duet_buffer_printf(&text, "%s", line);
    for (int i = 0; i < 1000; i++)
        duet_buffer_text(&text, "a=mid:0\\r\\n");
    duet_buffer_printf(&text, "\"%s}", after);
    return duet_buffer_steal(&text);
}

static void a_long_description_is_what_jansson_makes_of_it(void **state)
{
    static const char *const lines[] = {
        "a=b", "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\xc3\xa4", "\\u00e4\\ud83d\\ude00", "{[\\\"sdp\\\":", "\x7f", "\\\\"};
    static const char *const others[] = {"", "\"x\":{\"sdp\":\"no\"},", "\"x\":[\"sdp\",\"}]\\\"\"],",
                                         "\"y\":\"sdp\","};

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++) {
            char *text = long_offer(others[k], lines[i], ",\"z\":1");
            duet_signal m;
            assert_int_equal(parse(&m, DUET_SIGNAL_FROM_CLIENT, text), DUET_OK);
            json_t *expected = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
            assert_string_equal(m.sdp, duet_json_text(expected, "sdp"));
            assert_string_equal(m.to, "x");
            json_decref(expected);
            duet_signal_free(&m, NULL);
            duet_free(NULL, text);
        }
    }
}

static void a_long_description_excuses_nothing(void **state)
{
    static const struct {
        const char *before, *line, *after;
    } bad[] = {{"", "\n", ""},
               {"", "\\u0000", ""},
               {"", "\\ud800", ""},
               {"", "\\x", ""},
               {"", "\xff", ""},
               {"", "\"", ""},
               {"", "\\", ""},
               {"", "", ",\"sdp\":\"\""},
               {"\"s\\u0064p\":\"\",", "", ""},
               {"\"sdp\":1,", "", ""},
               {"", "", ","},
               {"", "", "]"},
               {"", "", "}"},
               {"\"sdp\",", "", ""},
               {"", "", ",\"x\":\"\\ud800\""}};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *text = long_offer(bad[i].before, bad[i].line, bad[i].after);
        duet_signal m;
        if (parse(&m, DUET_SIGNAL_FROM_CLIENT, text) != DUET_ERR_MALFORMED)
            fail_msg("case %zu was read", i);
        duet_signal_free(&m, NULL);
        duet_free(NULL, text);
    }
}

static void a_long_description_that_is_cut_off_is_malformed(void **state)
{
    char *text = long_offer("", "", "");
    duet_signal m;

    (void)state;
    for (size_t len = strlen(text) - 1; len > 97; len -= 97) {
        assert_int_equal(duet_signal_parse(&m, NULL, DUET_SIGNAL_FROM_CLIENT, text, len, NULL), DUET_ERR_MALFORMED);
        duet_signal_free(&m, NULL);
    }
    duet_free(NULL, text);
}

static int read_and_write(const duet_env *env, void *arg)
{
    const char *text = arg;
    duet_buffer out;
    duet_signal m;

    int err = duet_signal_parse(&m, env, DUET_SIGNAL_FROM_SERVER, text, strlen(text), NULL);
    duet_buffer_init(&out, env);
    if (err == DUET_OK)
        err = duet_signal_write(&out, &m);
    duet_buffer_free(&out);
    duet_signal_free(&m, env);
    return err;
}

static void no_memory_is_an_error_and_nothing_leaks(void **state)
{
    static char text[] =
        "{\"type\":\"room_users\",\"roomId\":\"red\",\"self\":\"x\",\"users\":[{\"id\":\"x\",\"agentId\":\"alice\","
        "\"role\":\"owner\"}],\"topology\":\"mesh\",\"iceServers\":[{\"urls\":\"stun:192.0.2.1\"}],\"seq\":1}";

    (void)state;
    test_fail_each_allocation("message", read_and_write, text);
    char *offer = long_offer("\"from\":\"x\",", "", "");
    test_fail_each_allocation("long message", read_and_write, offer);
    duet_free(NULL, offer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_of_a_client_survives_a_round_trip),
        cmocka_unit_test(every_message_of_a_server_survives_a_round_trip),
        cmocka_unit_test(members_that_are_not_known_are_ignored),
        cmocka_unit_test(what_is_no_object_with_a_type_is_malformed),
        cmocka_unit_test(a_bomb_of_brackets_is_malformed),
        cmocka_unit_test(an_unknown_type_keeps_its_id_for_the_refusal),
        cmocka_unit_test(missing_and_wrong_members_are_invalid),
        cmocka_unit_test(an_id_has_at_most_64_characters_however_many_bytes),
        cmocka_unit_test(a_message_beyond_64_kib_is_too_large),
        cmocka_unit_test(null_members_of_a_candidate_are_absent_ones),
        cmocka_unit_test(a_long_description_is_what_jansson_makes_of_it),
        cmocka_unit_test(a_long_description_excuses_nothing),
        cmocka_unit_test(a_long_description_that_is_cut_off_is_malformed),
        cmocka_unit_test(no_memory_is_an_error_and_nothing_leaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
