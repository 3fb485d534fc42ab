/* Messages of UTCP on a data channel, as UTCP's WebRTC provider describes them (tool_call, tool_response), with the
 * members that it leaves open. */
#include "signaling/utcp_message.h"
#include <string.h>

/* ---- bounds that jansson does not have, in one pass before it runs ---- */

/* Counts commas, colons and brackets outside of strings: at least as many as there are values. Grammar is jansson's
 * business. */
static bool within_bounds(const char *text, size_t len)
{
    size_t values = 1, depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (c == '[' || c == '{')
            depth++, values++;
        else if ((c == ']' || c == '}') && depth > 0)
            depth--;
        else if (c == ',' || c == ':')
            values++;
        if (depth > DUET_UTCP_DEPTH_MAX || values > DUET_UTCP_VALUES_MAX)
            return false;
    }
    return true;
}

static int parse(json_t **out, const char *text, size_t len, size_t flags, const char **reason)
{
    json_error_t error;

    *out = NULL;
    if (len > DUET_UTCP_MESSAGE_MAX || !within_bounds(text, len)) {
        *reason = "too large, too many values, or too deep";
        return DUET_ERR_TOO_LARGE;
    }
    *out = json_loadb(text, len, JSON_REJECT_DUPLICATES | flags, &error);
    if (*out)
        return DUET_OK;
    *reason = json_error_code(&error) == json_error_duplicate_key ? "a member comes twice" : "this is not JSON";
    return json_error_code(&error) == json_error_out_of_memory ? DUET_ERR_NOMEM : DUET_ERR_MALFORMED;
}

int duet_utcp_json_parse(json_t **out, const char *text, size_t len, const char **reason)
{
    const char *ignored;

    return parse(out, text, len, JSON_DECODE_ANY, reason ? reason : &ignored);
}

static int append(const char *text, size_t len, void *user)
{
    duet_buffer *out = user;

    duet_buffer_append(out, text, len);
    return out->failed ? -1 : 0;
}

int duet_utcp_json_write(duet_buffer *out, const json_t *value)
{
    int failed = value ? json_dump_callback(value, append, out, JSON_COMPACT | JSON_ENCODE_ANY) : -1;

    return failed ? DUET_ERR_NOMEM : DUET_OK;
}

/* ---- members ---- */

bool duet_utcp_id_valid(const char *id)
{
    size_t characters = 0;

    for (; id && *id; id++)
        characters += ((uint8_t)*id & 0xC0) != 0x80;
    return characters >= 1 && characters <= DUET_UTCP_ID_MAX;
}

bool duet_utcp_name_valid(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    }
    return len >= 1 && len <= DUET_UTCP_NAME_MAX;
}

static int refuse(const char **reason, const char *why)
{
    *reason = why;
    return DUET_ERR_INVALID;
}

/* An absent flag is false. */
static bool read_flag(const json_t *document, const char *name, bool *out)
{
    const json_t *value = json_object_get(document, name);

    *out = json_is_true(value);
    return !value || json_is_boolean(value);
}

static int read_call(duet_utcp_message *m, const char **reason)
{
    m->inputs = json_object_get(m->document, "inputs");
    if (!duet_utcp_name_valid(m->tool))
        return refuse(reason, "a tool_call has the name of a tool");
    if (!json_is_object(m->inputs))
        return refuse(reason, "inputs is an object");
    return read_flag(m->document, "stream", &m->stream) ? DUET_OK : refuse(reason, "stream is true or false");
}

static int read_output(duet_utcp_message *m, const char **reason)
{
    m->output = json_object_get(m->document, "output");
    return m->output ? DUET_OK : refuse(reason, "there is no output");
}

static int read_error(duet_utcp_message *m, const char **reason)
{
    const json_t *error = json_object_get(m->document, "error");

    m->code = duet_json_text(error, "code");
    m->text = duet_json_text(error, "message");
    if (!m->code)
        return refuse(reason, "error has a code");
    m->text = m->text ? m->text : "";
    return DUET_OK;
}

static int read_chunk(duet_utcp_message *m, const char **reason)
{
    const json_t *data = json_object_get(m->document, "data");

    m->data = json_string_value(data);
    m->data_len = json_string_length(data);
    if (!m->data)
        return refuse(reason, "a chunk has data");
    return read_flag(m->document, "last", &m->last) ? DUET_OK : refuse(reason, "last is true or false");
}

static int read_nothing(duet_utcp_message *m, const char **reason)
{
    (void)m;
    (void)reason;
    return DUET_OK;
}

static const struct kind {
    const char *name;
    duet_utcp_type type;
    bool has_id;
    int (*read)(duet_utcp_message *m, const char **reason);
} kinds[] = {
    {"tool_call", DUET_UTCP_CALL, true, read_call},    {"tool_response", DUET_UTCP_RESPONSE, true, read_output},
    {"tool_error", DUET_UTCP_ERROR, true, read_error}, {"stream_data", DUET_UTCP_DATA, true, read_output},
    {"stream_end", DUET_UTCP_END, true, read_nothing}, {"tool_cancel", DUET_UTCP_CANCEL, true, read_nothing},
    {"utcp", DUET_UTCP_DISCOVER, false, read_nothing}, {"chunk", DUET_UTCP_CHUNK, false, read_chunk},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    return NULL;
}

static int read_members(duet_utcp_message *m, const char **reason)
{
    const char *type = duet_json_text(m->document, "type"), *id = duet_json_text(m->document, "id");

    m->id = duet_utcp_id_valid(id) ? id : NULL;
    m->tool = duet_json_text(m->document, "tool");
    if (!type && json_is_array(json_object_get(m->document, "tools"))) {
        m->type = DUET_UTCP_MANUAL;
        m->output = m->document;
        return DUET_OK;
    }
    if (!type)
        return refuse(reason, "a message has a type");
    const struct kind *kind = find_kind(type);
    if (!kind) {
        *reason = "an unknown type";
        return DUET_ERR_UNSUPPORTED;
    }
    m->type = kind->type;
    if (kind->has_id && !m->id)
        return refuse(reason, "an id has 1 to 128 characters");
    return kind->read(m, reason);
}

int duet_utcp_message_parse(duet_utcp_message *out, const char *text, size_t len, const char **reason)
{
    const char *ignored;

    reason = reason ? reason : &ignored;
    *out = (duet_utcp_message){.type = DUET_UTCP_NONE};
    int err = parse(&out->document, text, len, 0, reason);
    if (err != DUET_OK)
        return err;
    if (!json_is_object(out->document)) {
        *reason = "this is not a JSON object";
        return DUET_ERR_MALFORMED;
    }
    return read_members(out, reason);
}

void duet_utcp_message_free(duet_utcp_message *m)
{
    json_decref(m->document);
    m->document = NULL;
}

/* ---- writing ---- */

/* Adds a member and counts it, so that one for which there was no memory is found. Takes the reference. */
static void add(json_t *object, size_t *count, const char *name, json_t *value)
{
    json_object_set_new(object, name, value);
    (*count)++;
}

static void add_text(json_t *object, size_t *count, const char *name, const char *text)
{
    if (text)
        add(object, count, name, json_string(text));
}

static json_t *make(const duet_utcp_message *m, const char *type)
{
    json_t *object = json_object();
    size_t count = 0;

    add_text(object, &count, "type", type);
    add_text(object, &count, "tool", m->tool);
    add_text(object, &count, "id", m->id);
    if (m->inputs)
        add(object, &count, "inputs", json_incref(m->inputs));
    if (m->output)
        add(object, &count, "output", json_incref(m->output));
    if (m->code)
        add(object, &count, "error", json_pack("{s:s,s:s}", "code", m->code, "message", m->text ? m->text : ""));
    if (m->stream)
        add(object, &count, "stream", json_true());
    if (m->data)
        add(object, &count, "data", json_stringn(m->data, m->data_len));
    if (m->last)
        add(object, &count, "last", json_true());
    if (object && json_object_size(object) == count)
        return object;
    json_decref(object);
    return NULL;
}

int duet_utcp_message_write(duet_buffer *out, const duet_utcp_message *m)
{
    const char *type = NULL;
    size_t before = out->len;

    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (kinds[i].type == m->type)
            type = kinds[i].name;
    }
    json_t *object = m->type == DUET_UTCP_MANUAL ? json_incref(m->output) : make(m, type ? type : "");
    int err = duet_json_write(out, object);
    json_decref(object);
    if (err != DUET_OK || out->len - before <= DUET_UTCP_MESSAGE_MAX)
        return err;
    out->len = before;
    out->data[before] = 0;
    return DUET_ERR_TOO_LARGE;
}
