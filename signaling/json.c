/* Strict JSON (RFC 8259) on jansson: what is refused by JSON_REJECT_DUPLICATES and by default (bad UTF-8, NUL in
 * strings, numbers out of range, more than 2048 levels) stays refused. */
#include "signaling/json.h"

int duet_json_parse_object(json_t **out, const char *text, size_t len, const char **reason)
{
    const char *ignored;
    json_error_t error;

    reason = reason ? reason : &ignored;
    *out = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!*out) {
        *reason = json_error_code(&error) == json_error_duplicate_key ? "a member comes twice" : "this is not JSON";
        return json_error_code(&error) == json_error_out_of_memory ? DUET_ERR_NOMEM : DUET_ERR_MALFORMED;
    }
    if (json_is_object(*out))
        return DUET_OK;
    json_decref(*out);
    *out = NULL;
    *reason = "this is not a JSON object";
    return DUET_ERR_MALFORMED;
}

static int append(const char *text, size_t len, void *user)
{
    duet_buffer *out = user;

    duet_buffer_append(out, text, len);
    return out->failed ? -1 : 0;
}

int duet_json_write(duet_buffer *out, const json_t *value)
{
    if (!value || json_dump_callback(value, append, out, JSON_COMPACT) != 0)
        return DUET_ERR_NOMEM;
    return DUET_OK;
}

const char *duet_json_text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}
