/* The subset of JSON Schema: what it refuses, what it checks, and what it costs. */
#include "signaling/utcp_schema.h"
#include "test.h"

static json_t *json(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

    assert_non_null(value);
    return value;
}

static int compile(duet_utcp_schema **out, const char *text, duet_utcp_error *error)
{
    json_t *document = json(text);

    int err = duet_utcp_schema_compile(out, NULL, document, NULL, error);
    json_decref(document);
    return err;
}

static int check(const char *schema_text, const char *value_text, duet_utcp_error *error)
{
    duet_utcp_schema *schema;
    json_t *value = json(value_text);

    memset(error, 0, sizeof(*error));
    assert_int_equal(compile(&schema, schema_text, error), DUET_OK);
    int err = duet_utcp_schema_validate(schema, value, error);
    duet_utcp_schema_destroy(schema);
    json_decref(value);
    return err;
}

static void every_rule_tells_right_from_wrong(void **state)
{
    static const struct {
        const char *schema, *right, *wrong, *rule;
    } cases[] = {
        {"{\"type\":\"string\"}", "\"a\"", "1", "type"},
        {"{\"type\":[\"null\",\"integer\"]}", "null", "\"a\"", "type"},
        {"{\"type\":\"integer\"}", "3.0", "3.5", "type"},
        {"{\"type\":\"number\"}", "3", "true", "type"},
        {"{\"type\":\"boolean\"}", "false", "null", "type"},
        {"{\"type\":\"array\"}", "[]", "{}", "type"},
        {"{\"enum\":[1,\"a\",null]}", "1.0", "2", "enum"},
        {"{\"const\":{\"a\":[1]}}", "{\"a\":[1]}", "{\"a\":[2]}", "const"},
        {"{\"minimum\":9007199254740993}", "9007199254740993", "9007199254740992", "minimum"},
        {"{\"maximum\":2.5}", "2.5", "2.6", "maximum"},
        {"{\"exclusiveMinimum\":0}", "0.1", "0", "exclusiveMinimum"},
        {"{\"exclusiveMaximum\":1}", "0", "1", "exclusiveMaximum"},
        {"{\"minLength\":2}", "\"äö\"", "\"ä\"", "minLength"},
        {"{\"maxLength\":2}", "\"äö\"", "\"abc\"", "maxLength"},
        {"{\"minItems\":1}", "[0]", "[]", "minItems"},
        {"{\"maxItems\":1}", "[0]", "[0,0]", "maxItems"},
        {"{\"uniqueItems\":true}", "[1,\"1\",[1]]", "[{\"a\":1,\"b\":2},{\"b\":2,\"a\":1}]", "uniqueItems"},
        {"{\"required\":[\"a\"]}", "{\"a\":null}", "{\"b\":1}", "required"},
        {"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"a\":1}", "{\"b\":1}",
         "additionalProperties"},
    };
    duet_utcp_error error;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(check(cases[i].schema, cases[i].right, &error), DUET_OK);
        assert_int_equal(check(cases[i].schema, cases[i].wrong, &error), DUET_ERR_INVALID);
        assert_int_equal(strncmp(error.why, cases[i].rule, strlen(cases[i].rule)), 0);
    }
}

static void rules_for_other_types_do_not_apply(void **state)
{
    duet_utcp_error error;

    (void)state;
    assert_int_equal(check("{\"minLength\":3,\"minimum\":5,\"required\":[\"a\"],\"minItems\":1}", "true", &error),
                     DUET_OK);
}

static void the_error_points_to_the_place(void **state)
{
    const char *schema = "{\"properties\":{\"a/b\":{\"items\":{\"properties\":{\"op\":{\"enum\":[\"x\"]}}}}}}";
    duet_utcp_error error;

    (void)state;
    assert_int_equal(check(schema, "{\"a/b\":[{\"op\":\"x\"},{\"op\":\"y\"}]}", &error), DUET_ERR_INVALID);
    assert_string_equal(error.where, "/a~1b/1/op");
    assert_int_equal(check("{\"type\":\"object\"}", "[]", &error), DUET_ERR_INVALID);
    assert_string_equal(error.where, "");
    assert_string_equal(error.why, "type: this is not object");
}

static void unknown_keywords_are_refused_with_their_place(void **state)
{
    static const struct {
        const char *schema, *where;
    } cases[] = {
        {"{\"pattern\":\"a\"}", "/pattern"},
        {"{\"properties\":{\"a\":{\"$ref\":\"#\"}}}", "/properties/a/$ref"},
        {"{\"items\":{\"anyOf\":[]}}", "/items/anyOf"},
        {"{\"type\":\"text\"}", "/type"},
        {"{\"type\":[\"null\",\"null\"]}", "/type"},
        {"{\"type\":[]}", "/type"},
        {"{\"properties\":{\"a\":true}}", "/properties/a"},
        {"{\"additionalProperties\":{}}", "/additionalProperties"},
        {"{\"minLength\":-1}", "/minLength"},
        {"{\"minimum\":\"1\"}", "/minimum"},
        {"{\"enum\":[]}", "/enum"},
        {"{\"required\":[1]}", "/required"},
        {"{\"title\":1}", "/title"},
        {"[]", ""},
    };
    duet_utcp_schema *schema;
    duet_utcp_error error;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(compile(&schema, cases[i].schema, &error), DUET_ERR_INVALID);
        assert_string_equal(error.where, cases[i].where);
        assert_null(schema);
    }
}

static void annotations_say_nothing_about_values(void **state)
{
    const char *schema = "{\"$schema\":\"s\",\"title\":\"t\",\"description\":\"d\",\"format\":\"email\",\"default\":1,"
                         "\"examples\":[2]}";
    duet_utcp_error error;

    (void)state;
    assert_int_equal(check(schema, "\"no email\"", &error), DUET_OK);
}

static void deep_and_wide_schemas_are_refused(void **state)
{
    json_t *deep = json_object(), *wide = json_object(), *properties = json_object();
    duet_utcp_schema *schema;
    char name[16];

    (void)state;
    for (int i = 0; i < 40; i++)
        deep = json_pack("{s:o}", "items", deep);
    assert_int_equal(duet_utcp_schema_compile(&schema, NULL, deep, NULL, NULL), DUET_ERR_LIMIT);
    for (int i = 0; i < 1024; i++) {
        snprintf(name, sizeof(name), "p%d", i);
        json_object_set_new(properties, name, json_object());
    }
    json_object_set_new(wide, "properties", properties);
    assert_int_equal(duet_utcp_schema_compile(&schema, NULL, wide, NULL, NULL), DUET_ERR_LIMIT);
    json_decref(deep);
    json_decref(wide);
}

static void work_is_bounded(void **state)
{
    json_t *items = json_object(), *properties = json_object(), *value = json_array();
    duet_utcp_schema *schema;
    duet_utcp_error error;
    char name[16];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "p%d", i);
        json_object_set_new(properties, name, json_object());
    }
    json_t *document = json_pack("{s:{s:o}}", "items", "properties", properties);
    json_decref(items);
    for (int i = 0; i < 5000; i++)
        json_array_append_new(value, json_object());
    assert_int_equal(duet_utcp_schema_compile(&schema, NULL, document, NULL, NULL), DUET_OK);
    assert_int_equal(duet_utcp_schema_validate(schema, value, &error), DUET_ERR_LIMIT);
    duet_utcp_schema_destroy(schema);
    json_decref(document);
    json_decref(value);
}

static void long_names_are_cut_at_whole_characters(void **state)
{
    char name[600], value[700];
    duet_utcp_error error;

    (void)state;
    memset(name, 0, sizeof(name));
    for (int i = 0; i < 198; i++)
        strcat(name, "€");
    snprintf(value, sizeof(value), "{\"%s\":1}", name);
    assert_int_equal(check("{\"additionalProperties\":false}", value, &error), DUET_ERR_INVALID);
    json_t *text = json_string(error.where);
    assert_non_null(text);
    json_decref(text);
}

static int run_compile(const duet_env *env, void *arg)
{
    duet_utcp_schema *schema;
    json_t *document = json("{\"properties\":{\"a\":{\"items\":{\"type\":\"string\"}},\"b\":{}}}");

    (void)arg;
    int err = duet_utcp_schema_compile(&schema, env, document, NULL, NULL);
    duet_utcp_schema_destroy(schema);
    json_decref(document);
    return err;
}

static void compiling_survives_a_lack_of_memory(void **state)
{
    (void)state;
    test_fail_each_allocation("schema", run_compile, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_tells_right_from_wrong),
        cmocka_unit_test(rules_for_other_types_do_not_apply),
        cmocka_unit_test(the_error_points_to_the_place),
        cmocka_unit_test(unknown_keywords_are_refused_with_their_place),
        cmocka_unit_test(annotations_say_nothing_about_values),
        cmocka_unit_test(deep_and_wide_schemas_are_refused),
        cmocka_unit_test(work_is_bounded),
        cmocka_unit_test(long_names_are_cut_at_whole_characters),
        cmocka_unit_test(compiling_survives_a_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
