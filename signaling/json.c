/* Strict JSON (RFC 8259) on jansson: what is refused by JSON_REJECT_DUPLICATES and by default (bad UTF-8, NUL in
 * strings, numbers out of range, more than 2048 levels) stays refused. */
#include "signaling/json.h"
#include "base/text.h"
#include <string.h>

#define LONG_TEXT 1024 /* bytes */

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

/* ---- long texts ---- */

/* Steps over the rest of a string literal and its closing quote. */
static duet_bytes read_literal(duet_reader *r)
{
    duet_reader from = *r;
    size_t n = 0;

    while (n < duet_reader_left(r) && duet_peek_u8(r, n) != '"')
        n += duet_peek_u8(r, n) == '\\' ? 2 : 1;
    duet_read_skip(r, n);
    duet_read_skip(r, 1);
    return duet_read_bytes(&from, n);
}

/* Finds the text of a member of the outermost object: where its literal begins, behind the quote. What is no JSON is
 * jansson's to find out: with another text in its place it is none either. */
static bool find_literal(duet_reader *r, const char *name)
{
    size_t depth = 0;
    bool is_name = false, is_value = false; /* of the token before; of the one that comes */

    while (duet_reader_left(r) > 0) {
        uint8_t c = duet_read_u8(r);
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        if (c == '"' && is_value)
            return true;
        is_value = c == ':' && is_name;
        is_name = c == '"' && duet_text_is(read_literal(r), name) && depth == 1;
        depth += c == '{' || c == '[';
        depth -= depth > 0 && (c == '}' || c == ']');
    }
    return false;
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* RFC 8259 section 7. Zero for what is not plain. */
static uint8_t unescape(uint8_t c)
{
    static const char escapes[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    const char *at = c ? strchr(escapes, c) : NULL;

    return at ? (uint8_t)bytes[at - escapes] : 0;
}

/* Up to the closing quote, which is left. @return false when it is not plain */
static bool decode_plain(duet_writer *w, duet_reader *r)
{
    for (;;) {
        size_t n = 0;
        while (is_plain(duet_peek_u8(r, n)))
            n++;
        duet_bytes run = duet_read_bytes(r, n);
        duet_write_bytes(w, run.data, run.len);
        if (duet_peek_u8(r, 0) == '"')
            return true;
        uint8_t byte = duet_text_skip(r, '\\') ? unescape(duet_read_u8(r)) : 0;
        if (!byte)
            return false;
        duet_write_u8(w, byte);
    }
}

/* Takes the literal out: `r` stands behind it then, and `before` says how much came before it. */
static int take_long_text(char **out, size_t *before, const duet_env *env, const char *name, duet_reader *r)
{
    *out = NULL;
    *before = 0;
    if (duet_reader_left(r) < LONG_TEXT || !find_literal(r, name))
        return DUET_OK;
    size_t capacity = duet_reader_left(r) + 1;
    char *decoded = duet_alloc(env, capacity);
    if (!decoded)
        return DUET_ERR_NOMEM;
    duet_writer w = duet_writer_init((uint8_t *)decoded, capacity);
    *before = r->pos;
    if (!decode_plain(&w, r) || w.len < LONG_TEXT) {
        duet_free(env, decoded);
        return DUET_OK;
    }
    duet_write_u8(&w, 0);
    *out = decoded;
    return DUET_OK;
}

int duet_json_parse_long(json_t **out, char **long_text, const duet_env *env, const char *name, const char *text,
                         size_t len, const char **reason)
{
    duet_reader r = duet_text_reader(text, len);
    duet_buffer rest;
    size_t before;

    *out = NULL;
    int err = take_long_text(long_text, &before, env, name, &r);
    if (err != DUET_OK)
        return err;
    if (!*long_text)
        return duet_json_parse_object(out, text, len, reason);
    duet_bytes after = duet_text_rest(&r);
    duet_buffer_init(&rest, env);
    duet_buffer_append(&rest, text, before);
    duet_buffer_append(&rest, after.data, after.len);
    err = rest.failed ? DUET_ERR_NOMEM : duet_json_parse_object(out, (const char *)rest.data, rest.len, reason);
    duet_buffer_free(&rest);
    return err;
}

/* ---- writing and reading ---- */

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
