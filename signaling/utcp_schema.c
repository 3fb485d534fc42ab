/* A compiled subset of JSON Schema (draft 2020-12, validation vocabulary): nodes in one array, checked in one
 * descent. */
#include "signaling/utcp_schema.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    TYPE_NULL = 1 << 0,
    TYPE_BOOLEAN = 1 << 1,
    TYPE_INTEGER = 1 << 2,
    TYPE_NUMBER = 1 << 3,
    TYPE_STRING = 1 << 4,
    TYPE_ARRAY = 1 << 5,
    TYPE_OBJECT = 1 << 6,
};

static const char *const type_names[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
#define TYPE_COUNT (sizeof(type_names) / sizeof(type_names[0]))

#define NO_NODE UINT32_MAX

/* A member of `properties`: its schema. */
typedef struct property {
    const char *name; /* the document's */
    uint32_t node;
} property;

/* One schema. What is NULL or NO_NODE is not said; JSON values are the document's. */
typedef struct node {
    unsigned types; /* 0: any */
    bool closed;    /* additionalProperties: false */
    bool unique;    /* uniqueItems */
    property *properties;
    size_t property_count;
    uint32_t items;
    const json_t *required, *enumeration, *constant;
    const json_t *minimum, *maximum, *exclusive_minimum, *exclusive_maximum;
    size_t min_length, max_length, min_items, max_items;
} node;

struct duet_utcp_schema {
    duet_env env;
    json_t *document;
    duet_array nodes; /* the first is the root */
};

/* ---- compiling ---- */

typedef struct compiler {
    duet_utcp_schema *schema;
    duet_utcp_error *error;
    size_t depth;
    uint32_t index; /* of the node under way: the array may move */
} compiler;

typedef int (*keyword_fn)(compiler *c, const json_t *value, const duet_utcp_pointer *at);

static int compile_node(compiler *c, const json_t *schema, const duet_utcp_pointer *at, uint32_t *index);

static node *current(const compiler *c)
{
    return duet_array_at(&c->schema->nodes, c->index);
}

static int refuse(const compiler *c, const duet_utcp_pointer *at, const char *why)
{
    duet_utcp_error_set(c->error, at, "%s", why);
    return DUET_ERR_INVALID;
}

static int refuse_size(const compiler *c, const duet_utcp_pointer *at)
{
    duet_utcp_error_set(c->error, at, "the schema is too deep or too large");
    return DUET_ERR_LIMIT;
}

static unsigned type_of_name(const char *name)
{
    for (size_t i = 0; name && i < TYPE_COUNT; i++) {
        if (strcmp(name, type_names[i]) == 0)
            return 1u << i;
    }
    return 0;
}

static int compile_type(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    unsigned types = type_of_name(json_string_value(value));

    for (size_t i = 0; i < json_array_size(value) && i <= TYPE_COUNT; i++) {
        unsigned type = type_of_name(json_string_value(json_array_get(value, i)));
        if (type == 0 || (types & type))
            return refuse(c, at, "an unknown type, or one that comes twice");
        types |= type;
    }
    if (types == 0)
        return refuse(c, at, "type is null, boolean, integer, number, string, array, object, or an array of these");
    current(c)->types = types;
    return DUET_OK;
}

static int compile_properties(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    size_t count = json_object_size(value), i = 0;
    const char *name;
    json_t *child;

    if (!json_is_object(value))
        return refuse(c, at, "properties is an object of schemas");
    if (count > DUET_UTCP_SCHEMA_NODES_MAX)
        return refuse_size(c, at);
    property *list = duet_calloc(&c->schema->env, (count ? count : 1) * sizeof(*list));
    if (!list)
        return DUET_ERR_NOMEM;
    current(c)->properties = list; /* freed with the schema, whatever happens here */
    json_object_foreach((json_t *)value, name, child)
    {
        const duet_utcp_pointer here = {at, name, 0};
        list[i].name = name;
        int err = compile_node(c, child, &here, &list[i].node);
        if (err != DUET_OK)
            return err;
        i++;
    }
    current(c)->property_count = count;
    return DUET_OK;
}

static int compile_required(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    if (!json_is_array(value) || json_array_size(value) > DUET_UTCP_SCHEMA_NODES_MAX)
        return refuse(c, at, "required is an array of at most 1024 names");
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!json_is_string(json_array_get(value, i)))
            return refuse(c, at, "required is an array of names");
    }
    current(c)->required = value;
    return DUET_OK;
}

static int compile_items(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    uint32_t items;

    int err = compile_node(c, value, at, &items);
    if (err == DUET_OK)
        current(c)->items = items;
    return err;
}

static int compile_enum(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    size_t count = json_array_size(value);

    if (count == 0 || count > DUET_UTCP_SCHEMA_ENUM_MAX)
        return refuse(c, at, "enum is an array of 1 to 256 values");
    current(c)->enumeration = value;
    return DUET_OK;
}

static int compile_const(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    (void)at;
    current(c)->constant = value;
    return DUET_OK;
}

static int compile_additional(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    if (!json_is_boolean(value))
        return refuse(c, at, "additionalProperties is true or false here");
    current(c)->closed = json_is_false(value);
    return DUET_OK;
}

static int compile_unique(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    if (!json_is_boolean(value))
        return refuse(c, at, "uniqueItems is true or false");
    current(c)->unique = json_is_true(value);
    return DUET_OK;
}

static int take_number(compiler *c, const json_t **member, const json_t *value, const duet_utcp_pointer *at)
{
    if (!json_is_number(value))
        return refuse(c, at, "a number is needed");
    *member = value;
    return DUET_OK;
}

static int compile_minimum(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    return take_number(c, &current(c)->minimum, value, at);
}

static int compile_maximum(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    return take_number(c, &current(c)->maximum, value, at);
}

static int compile_exclusive_minimum(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    return take_number(c, &current(c)->exclusive_minimum, value, at);
}

static int compile_exclusive_maximum(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    return take_number(c, &current(c)->exclusive_maximum, value, at);
}

static int take_count(compiler *c, size_t *member, const json_t *value, const duet_utcp_pointer *at)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return refuse(c, at, "a whole number from 0 on is needed");
    *member = (size_t)json_integer_value(value);
    return DUET_OK;
}

static int compile_min_length(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    return take_count(c, &current(c)->min_length, value, at);
}

static int compile_max_length(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    return take_count(c, &current(c)->max_length, value, at);
}

static int compile_min_items(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    return take_count(c, &current(c)->min_items, value, at);
}

static int compile_max_items(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    return take_count(c, &current(c)->max_items, value, at);
}

static int compile_text(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    return json_is_string(value) ? DUET_OK : refuse(c, at, "a text is needed");
}

static int compile_anything(compiler *c, const json_t *value, const duet_utcp_pointer *at)
{
    (void)c;
    (void)value;
    (void)at;
    return DUET_OK;
}

static const struct keyword {
    const char *name;
    keyword_fn compile;
} keywords[] = {
    {"type", compile_type},
    {"properties", compile_properties},
    {"required", compile_required},
    {"items", compile_items},
    {"enum", compile_enum},
    {"const", compile_const},
    {"additionalProperties", compile_additional},
    {"minimum", compile_minimum},
    {"maximum", compile_maximum},
    {"exclusiveMinimum", compile_exclusive_minimum},
    {"exclusiveMaximum", compile_exclusive_maximum},
    {"minLength", compile_min_length},
    {"maxLength", compile_max_length},
    {"minItems", compile_min_items},
    {"maxItems", compile_max_items},
    {"uniqueItems", compile_unique},
    {"title", compile_text},
    {"description", compile_text},
    {"format", compile_text},
    {"$schema", compile_text},
    {"default", compile_anything},
    {"examples", compile_anything},
};

static keyword_fn find_keyword(const char *name)
{
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        if (strcmp(name, keywords[i].name) == 0)
            return keywords[i].compile;
    }
    return NULL;
}

static int compile_members(compiler *c, const json_t *schema, const duet_utcp_pointer *at)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)schema, name, value)
    {
        const duet_utcp_pointer here = {at, name, 0};
        keyword_fn compile = find_keyword(name);
        if (!compile)
            return refuse(c, &here, "this keyword is not in the subset duet-utcp-1 of JSON Schema");
        int err = compile(c, value, &here);
        if (err != DUET_OK)
            return err;
    }
    return DUET_OK;
}

static int compile_node(compiler *c, const json_t *schema, const duet_utcp_pointer *at, uint32_t *index)
{
    uint32_t outer = c->index;

    if (!json_is_object(schema))
        return refuse(c, at, "a schema is an object");
    if (c->depth >= DUET_UTCP_SCHEMA_DEPTH_MAX || c->schema->nodes.count >= DUET_UTCP_SCHEMA_NODES_MAX)
        return refuse_size(c, at);
    node *n = duet_array_push(&c->schema->nodes);
    if (!n)
        return DUET_ERR_NOMEM;
    n->items = NO_NODE;
    n->max_length = n->max_items = SIZE_MAX;
    *index = (uint32_t)(c->schema->nodes.count - 1);
    c->index = *index;
    c->depth++;
    int err = compile_members(c, schema, at);
    c->depth--;
    c->index = outer;
    return err;
}

int duet_utcp_schema_compile(duet_utcp_schema **out, const duet_env *env, json_t *document,
                             const duet_utcp_pointer *base, duet_utcp_error *error)
{
    duet_env resolved = duet_env_resolve(env);
    duet_utcp_schema *schema = duet_calloc(&resolved, sizeof(*schema));
    compiler c = {.schema = schema, .error = error};
    uint32_t root;

    *out = NULL;
    if (!schema)
        return DUET_ERR_NOMEM;
    schema->env = resolved;
    duet_array_init(&schema->nodes, &schema->env, sizeof(node));
    schema->document = json_incref(document);
    int err = compile_node(&c, document, base, &root);
    if (err != DUET_OK) {
        duet_utcp_schema_destroy(schema);
        return err;
    }
    *out = schema;
    return DUET_OK;
}

void duet_utcp_schema_destroy(duet_utcp_schema *schema)
{
    if (!schema)
        return;
    for (size_t i = 0; i < schema->nodes.count; i++)
        duet_free(&schema->env, ((node *)duet_array_at(&schema->nodes, i))->properties);
    duet_array_free(&schema->nodes);
    json_decref(schema->document);
    duet_env env = schema->env;
    duet_free(&env, schema);
}

/* ---- validating ---- */

typedef struct validator {
    const duet_utcp_schema *schema;
    duet_utcp_error *error;
    uint64_t steps;
} validator;

/* A value within the document that is checked. */
typedef struct place {
    const json_t *value;
    duet_utcp_pointer at;
    bool is_root;
} place;

static int validate(validator *v, uint32_t index, const place *p);

static const duet_utcp_pointer *pointer_of(const place *p)
{
    return p->is_root ? NULL : &p->at;
}

static int breaks(const validator *v, const place *p, const char *rule)
{
    duet_utcp_error_set(v->error, pointer_of(p), "%s", rule);
    return DUET_ERR_INVALID;
}

static bool spend(validator *v, uint64_t steps)
{
    v->steps += steps;
    return v->steps <= DUET_UTCP_SCHEMA_STEPS_MAX;
}

static int too_much(const validator *v, const place *p)
{
    duet_utcp_error_set(v->error, pointer_of(p), "this takes too many steps to check");
    return DUET_ERR_LIMIT;
}

/* "a number with a zero fractional part" is an integer too (JSON Schema validation, 6.1.1). */
static unsigned types_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
        return TYPE_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return TYPE_BOOLEAN;
    case JSON_INTEGER:
        return TYPE_INTEGER | TYPE_NUMBER;
    case JSON_REAL:
        return floor(json_real_value(value)) == json_real_value(value) ? TYPE_INTEGER | TYPE_NUMBER : TYPE_NUMBER;
    case JSON_STRING:
        return TYPE_STRING;
    case JSON_ARRAY:
        return TYPE_ARRAY;
    default:
        return TYPE_OBJECT;
    }
}

/* -1, 0, 1. Integers are compared as such: a double does not hold all of them. */
static int compare_numbers(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return (x > y) - (x < y);
    }
    double x = json_number_value(a), y = json_number_value(b);
    return (x > y) - (x < y);
}

static bool equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return compare_numbers(a, b) == 0;
    return json_equal(a, b);
}

static int validate_type(const validator *v, const node *n, const place *p)
{
    char rule[128];
    size_t used = 0;

    if (n->types == 0 || (n->types & types_of(p->value)))
        return DUET_OK;
    used += (size_t)snprintf(rule, sizeof(rule), "type: this is not");
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (n->types & (1u << i))
            used += (size_t)snprintf(rule + used, sizeof(rule) - used, " %s", type_names[i]);
    }
    return breaks(v, p, rule);
}

static int validate_values(validator *v, const node *n, const place *p)
{
    size_t count = json_array_size(n->enumeration), i = 0;

    if (!spend(v, count))
        return too_much(v, p);
    if (n->constant && !equal(p->value, n->constant))
        return breaks(v, p, "const: this is another value");
    while (i < count && !equal(p->value, json_array_get(n->enumeration, i)))
        i++;
    return i == count && count > 0 ? breaks(v, p, "enum: this is none of the values") : DUET_OK;
}

static int validate_number(const validator *v, const node *n, const place *p)
{
    if (n->minimum && compare_numbers(p->value, n->minimum) < 0)
        return breaks(v, p, "minimum: this is less");
    if (n->maximum && compare_numbers(p->value, n->maximum) > 0)
        return breaks(v, p, "maximum: this is more");
    if (n->exclusive_minimum && compare_numbers(p->value, n->exclusive_minimum) <= 0)
        return breaks(v, p, "exclusiveMinimum: this is not more");
    if (n->exclusive_maximum && compare_numbers(p->value, n->exclusive_maximum) >= 0)
        return breaks(v, p, "exclusiveMaximum: this is not less");
    return DUET_OK;
}

/* "The length of a string ... is defined as the number of its characters" (6.3.1). */
static int validate_string(const validator *v, const node *n, const place *p)
{
    const char *text = json_string_value(p->value);
    size_t len = json_string_length(p->value), characters = 0;

    if (n->min_length == 0 && n->max_length == SIZE_MAX)
        return DUET_OK;
    for (size_t i = 0; i < len; i++)
        characters += ((uint8_t)text[i] & 0xC0) != 0x80;
    if (characters < n->min_length)
        return breaks(v, p, "minLength: this is shorter");
    return characters > n->max_length ? breaks(v, p, "maxLength: this is longer") : DUET_OK;
}

/* Through a set of the items' texts, as comparing each with each takes too long. Numbers count as they are written. */
static int validate_unique(validator *v, const place *p)
{
    json_t *seen = json_object();
    int err = seen ? DUET_OK : DUET_ERR_NOMEM;

    for (size_t i = 0; err == DUET_OK && i < json_array_size(p->value); i++) {
        char *text = json_dumps(json_array_get(p->value, i), JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
        if (!text)
            err = DUET_ERR_NOMEM;
        else if (json_object_get(seen, text))
            err = breaks(v, p, "uniqueItems: an item comes twice");
        else if (json_object_set_new(seen, text, json_true()) != 0)
            err = DUET_ERR_NOMEM;
        free(text);
    }
    json_decref(seen);
    return err;
}

static int validate_array(validator *v, const node *n, const place *p)
{
    size_t count = json_array_size(p->value);

    if (count < n->min_items)
        return breaks(v, p, "minItems: there are fewer");
    if (count > n->max_items)
        return breaks(v, p, "maxItems: there are more");
    int err = n->unique ? validate_unique(v, p) : DUET_OK;
    for (size_t i = 0; err == DUET_OK && n->items != NO_NODE && i < count; i++) {
        const place item = {json_array_get(p->value, i), {pointer_of(p), NULL, i}, false};
        err = validate(v, n->items, &item);
    }
    return err;
}

static int validate_required(const validator *v, const node *n, const place *p)
{
    for (size_t i = 0; i < json_array_size(n->required); i++) {
        const char *name = json_string_value(json_array_get(n->required, i));
        if (json_object_get(p->value, name))
            continue;
        duet_utcp_error_set(v->error, pointer_of(p), "required: there is no \"%s\"", name);
        return DUET_ERR_INVALID;
    }
    return DUET_OK;
}

static bool has_property(const node *n, const char *name)
{
    for (size_t i = 0; i < n->property_count; i++) {
        if (strcmp(n->properties[i].name, name) == 0)
            return true;
    }
    return false;
}

static int refuse_additional(const validator *v, const node *n, const place *p)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)p->value, name, value)
    {
        const place member = {value, {pointer_of(p), name, 0}, false};
        if (!has_property(n, name))
            return breaks(v, &member, "additionalProperties: there is no such member");
    }
    return DUET_OK;
}

static int validate_object(validator *v, const node *n, const place *p)
{
    size_t known = 0;

    if (!spend(v, n->property_count + json_array_size(n->required)))
        return too_much(v, p);
    int err = validate_required(v, n, p);
    for (size_t i = 0; err == DUET_OK && i < n->property_count; i++) {
        const json_t *value = json_object_get(p->value, n->properties[i].name);
        const place member = {value, {pointer_of(p), n->properties[i].name, 0}, false};
        known += value != NULL;
        if (value)
            err = validate(v, n->properties[i].node, &member);
    }
    if (err == DUET_OK && n->closed && known < json_object_size(p->value))
        err = refuse_additional(v, n, p);
    return err;
}

static int validate(validator *v, uint32_t index, const place *p)
{
    const node *n = duet_array_at(&v->schema->nodes, index);

    if (!spend(v, 1))
        return too_much(v, p);
    int err = validate_type(v, n, p);
    if (err == DUET_OK)
        err = validate_values(v, n, p);
    if (err != DUET_OK)
        return err;
    switch (json_typeof(p->value)) {
    case JSON_INTEGER:
    case JSON_REAL:
        return validate_number(v, n, p);
    case JSON_STRING:
        return validate_string(v, n, p);
    case JSON_ARRAY:
        return validate_array(v, n, p);
    case JSON_OBJECT:
        return validate_object(v, n, p);
    default:
        return DUET_OK;
    }
}

int duet_utcp_schema_validate(const duet_utcp_schema *schema, const json_t *value, duet_utcp_error *error)
{
    validator v = {.schema = schema, .error = error};
    const place root = {value, {NULL, NULL, 0}, true};

    return validate(&v, 0, &root);
}
