/* Provider files of v0.1 and v1, variables, and what is wrong with them. */
#include "duet/utcp.h"
#include "test.h"

static const char *lookup(void *user, const char *name)
{
    (void)user;
    if (strcmp(name, "TOKEN") == 0)
        return "secret-token";
    return strcmp(name, "HOST") == 0 ? "example.com" : NULL;
}

static int read_text(duet_utcp_provider **out, const char *json, duet_utcp_error *error)
{
    return duet_utcp_provider_read(out, NULL, json, strlen(json), lookup, NULL, error);
}

static void a_provider_of_v0_1_is_read(void **state)
{
    const char *json = "{\"name\":\"document_collaboration\",\"provider_type\":\"webrtc\","
                       "\"signaling_server\":\"wss://collab.example.com/signal\",\"peer_id\":\"doc-server-456\","
                       "\"data_channel_name\":\"document\"}";
    duet_utcp_provider *p;

    (void)state;
    assert_int_equal(read_text(&p, json, NULL), DUET_OK);
    assert_string_equal(p->name, "document_collaboration");
    assert_string_equal(p->signaling_server, "wss://collab.example.com/signal");
    assert_string_equal(p->peer_id, "doc-server-456");
    assert_string_equal(p->data_channel_name, "document");
    assert_string_equal(p->room, "doc-server-456");
    assert_null(p->token);
    duet_utcp_provider_free(p, NULL);
}

static void a_call_template_of_v1_is_read_with_its_variables(void **state)
{
    const char *json = "{\"name\":\"a\",\"call_template_type\":\"webrtc\",\"signaling_server\":\"ws://${HOST}:1/ws\","
                       "\"peer_id\":\"p\",\"room\":\"r$${x}\",\"auth\":{\"auth_type\":\"api_key\","
                       "\"api_key\":\"${TOKEN}\",\"var_name\":\"X\",\"location\":\"header\"}}";
    duet_utcp_provider *p;
    duet_utcp_error error;

    (void)state;
    assert_int_equal(read_text(&p, json, &error), DUET_ERR_INVALID); /* the room "r${x}" */
    assert_string_equal(error.where, "/room");
    json = "{\"name\":\"a\",\"call_template_type\":\"webrtc\",\"signaling_server\":\"ws://${HOST}:1/ws\",\"peer_id\":"
           "\"p\",\"auth\":{\"auth_type\":\"api_key\",\"api_key\":\"${TOKEN}\"}}";
    assert_int_equal(read_text(&p, json, &error), DUET_OK);
    assert_string_equal(p->signaling_server, "ws://example.com:1/ws");
    assert_string_equal(p->token, "secret-token");
    assert_string_equal(p->data_channel_name, "tools");
    duet_utcp_provider_free(p, NULL);
}

static void a_missing_variable_is_named(void **state)
{
    const char *json = "{\"name\":\"a\",\"provider_type\":\"webrtc\",\"signaling_server\":\"ws://${HOST}\",\"peer_id\":"
                       "\"${NOBODY}\"}";
    duet_utcp_provider *p;
    duet_utcp_error error;

    (void)state;
    assert_int_equal(read_text(&p, json, &error), DUET_ERR_NOT_FOUND);
    assert_string_equal(error.where, "/peer_id");
    assert_string_equal(error.why, "the variable NOBODY is not set");
    assert_null(p);
    assert_int_equal(duet_utcp_provider_read(&p, NULL, json, strlen(json), NULL, NULL, &error), DUET_ERR_NOT_FOUND);
    assert_string_equal(error.why, "the variable HOST is not set");
}

static void wrong_files_are_refused_with_their_place(void **state)
{
#define REST "\"signaling_server\":\"ws://h\",\"peer_id\":\"p\""
    static const struct {
        const char *json, *where;
        int err;
    } cases[] = {
        {"", "", DUET_ERR_MALFORMED},
        {"[]", "", DUET_ERR_MALFORMED},
        {"{\"a\":1,\"a\":2}", "", DUET_ERR_MALFORMED},
        {"{\"name\":\"a\"}", "", DUET_ERR_INVALID},
        {"{\"name\":\"a\",\"provider_type\":\"http\"}", "/provider_type", DUET_ERR_UNSUPPORTED},
        {"{\"name\":\"a\",\"call_template_type\":\"cli\"}", "/call_template_type", DUET_ERR_UNSUPPORTED},
        {"{\"provider_type\":\"webrtc\"," REST "}", "/name", DUET_ERR_INVALID},
        {"{\"name\":7,\"provider_type\":\"webrtc\"," REST "}", "/name", DUET_ERR_INVALID},
        {"{\"name\":\"a\",\"provider_type\":\"webrtc\",\"signaling_server\":\"http://h\",\"peer_id\":\"p\"}",
         "/signaling_server", DUET_ERR_INVALID},
        {"{\"name\":\"a\",\"provider_type\":\"webrtc\",\"signaling_server\":\"ws://h\"}", "/peer_id", DUET_ERR_INVALID},
        {"{\"name\":\"a\",\"provider_type\":\"webrtc\",\"signaling_server\":\"ws://h\",\"peer_id\":\"a b\"}", "/room",
         DUET_ERR_INVALID},
        {"{\"name\":\"a\",\"provider_type\":\"webrtc\",\"data_channel_name\":\"\"," REST "}", "/data_channel_name",
         DUET_ERR_INVALID},
        {"{\"name\":\"a\",\"provider_type\":\"webrtc\",\"auth\":{\"auth_type\":\"oauth2\"}," REST "}", "/auth",
         DUET_ERR_UNSUPPORTED},
        {"{\"name\":\"a\",\"provider_type\":\"webrtc\",\"auth\":{\"auth_type\":\"bearer\"}," REST "}", "/auth/token",
         DUET_ERR_INVALID},
        {"{\"name\":\"${}\",\"provider_type\":\"webrtc\"," REST "}", "/name", DUET_ERR_INVALID},
        {"{\"name\":\"${TOKEN\",\"provider_type\":\"webrtc\"," REST "}", "/name", DUET_ERR_INVALID},
    };
    duet_utcp_provider *p;
    duet_utcp_error error;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_text(&p, cases[i].json, &error), cases[i].err);
        assert_string_equal(error.where, cases[i].where);
        assert_null(p);
    }
}

static int run(const duet_env *env, void *arg)
{
    const char *json =
        "{\"name\":\"a\",\"call_template_type\":\"webrtc\",\"signaling_server\":\"ws://${HOST}\",\"peer_id\":"
        "\"p\",\"auth\":{\"auth_type\":\"bearer\",\"token\":\"${TOKEN}\"}}";
    duet_utcp_provider *p;

    (void)arg;
    int err = duet_utcp_provider_read(&p, env, json, strlen(json), lookup, NULL, NULL);
    duet_utcp_provider_free(p, env);
    return err;
}

static void reading_survives_a_lack_of_memory(void **state)
{
    (void)state;
    test_fail_each_allocation("provider", run, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_provider_of_v0_1_is_read),
        cmocka_unit_test(a_call_template_of_v1_is_read_with_its_variables),
        cmocka_unit_test(a_missing_variable_is_named),
        cmocka_unit_test(wrong_files_are_refused_with_their_place),
        cmocka_unit_test(reading_survives_a_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
