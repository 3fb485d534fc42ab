/* ICE candidates: every field, and the extensions in their order.
 * RFC 8839 section 5.1; the grammar is checked by duet_candidate_parse. */
#include "base/text.h"
#include "inspect_layout.h"
#include <string.h>

/* The fields as they were written; all of the line is in them. */
static const char *const words[] = {"foundation", "component", "transport", "priority",
                                    "address",    "port",      "typ",       "type"};

#define WORD_COUNT (sizeof(words) / sizeof(words[0]))
#define TYP_WORD   6

static bool is_number(size_t word)
{
    return word == 1 || word == 3 || word == 5;
}

static int fail_at(inspect_error *error, size_t column, const char *reason)
{
    memset(error, 0, sizeof(*error));
    error->line = 1;
    error->column = column + 1;
    error->offset = column;
    snprintf(error->reason, sizeof(error->reason), "%s", reason ? reason : "this is no candidate (RFC 8839, 5.1)");
    return DUET_ERR_MALFORMED;
}

static size_t trimmed(const uint8_t *data, size_t len)
{
    while (len > 0 && (data[len - 1] == '\n' || data[len - 1] == '\r' || data[len - 1] == ' '))
        len--;
    return len;
}

static json_t *word_json(duet_bytes word)
{
    return inspect_text(word.data, word.len);
}

/* A number when that says all: digits without a needless zero. */
static json_t *number_json(duet_bytes word)
{
    duet_reader r = duet_text_reader_of(word);
    uint64_t number;

    if ((word.len > 1 && word.data[0] == '0') || !duet_text_number(&r, 0, UINT32_MAX, &number) || !duet_text_at_end(&r))
        return word_json(word);
    return json_integer((json_int_t)number);
}

static int put_word(const json_t *value, duet_buffer *out)
{
    if (!json_is_integer(value))
        return inspect_put_text(value, out);
    duet_buffer_printf(out, "%lld", (long long)json_integer_value(value));
    return DUET_OK;
}

/* The rest of the line: names and values, "raddr" and "rport" among them. */
static void decode_attributes(duet_reader *r, json_t *out)
{
    json_t *list = json_array();

    inspect_set(out, "attributes", list);
    while (duet_text_skip(r, ' ')) {
        duet_bytes name = duet_text_run(r, duet_char_is_not_space);
        json_t *row = json_object();
        inspect_set(row, "name", word_json(name));
        if (duet_text_skip(r, ' '))
            inspect_set(row, "value", word_json(duet_text_run(r, duet_char_is_not_space)));
        json_array_append_new(list, row);
    }
    duet_bytes rest = duet_text_rest(r);
    if (rest.len > 0)
        inspect_set(out, "rest", word_json(rest));
}

static void describe(json_t *out, const duet_candidate *c)
{
    char text[DUET_ADDRESS_TEXT_MAX];

    if (c->name[0])
        inspect_set(out, "hostName", json_string(c->name));
    else
        inspect_set(out, "transportAddress", json_string(duet_address_text(&c->address, text, sizeof(text))));
    if (c->related.family != DUET_AF_NONE)
        inspect_set(out, "relatedAddress", json_string(duet_address_text(&c->related, text, sizeof(text))));
    if (c->ufrag[0])
        inspect_set(out, "ufrag", json_string(c->ufrag));
    if (c->network_cost)
        inspect_set(out, "networkCost", json_integer(c->network_cost));
    /* RFC 8445, 5.1.2.1: 2^24 type preference + 2^8 local preference + (256 - component) */
    inspect_set(out, "typePreference", json_integer(c->priority >> 24));
    inspect_set(out, "localPreference", json_integer(c->priority >> 8 & 0xffff));
}

int inspect_candidate(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    duet_candidate candidate;
    size_t column = 0;
    const char *reason = NULL;

    int err = duet_candidate_parse(&candidate, (const char *)data, len, &column, &reason);
    if (err == DUET_ERR_MALFORMED)
        return fail_at(error, column, reason);
    if (err == DUET_OK)
        describe(out, &candidate);
    inspect_set(out, "supported", json_boolean(err == DUET_OK)); /* others are to be ignored, RFC 8839, 5.1 */
    duet_reader r = duet_reader_init(data, trimmed(data, len));
    if (duet_text_skip_word(&r, "a="))
        inspect_set(out, "prefix", inspect_text(data, 2));
    size_t at = r.pos;
    if (!duet_text_skip_word(&r, "candidate:"))
        return fail_at(error, at, NULL);
    inspect_set(out, "keyword", inspect_text(data + at, r.pos - at));
    for (size_t i = 0; i < WORD_COUNT; i++) {
        if (i > 0 && !duet_text_skip(&r, ' '))
            return fail_at(error, r.pos, NULL);
        duet_bytes word = duet_text_run(&r, duet_char_is_not_space);
        if (i != TYP_WORD)
            inspect_set(out, words[i], is_number(i) ? number_json(word) : word_json(word));
        else if (!duet_text_is(word, "typ"))
            inspect_set(out, "typ", word_json(word)); /* in another case */
    }
    decode_attributes(&r, out);
    if (len > trimmed(data, len))
        inspect_set(out, "lineEnd", inspect_text(data + trimmed(data, len), len - trimmed(data, len)));
    return DUET_OK;
}

static void put_optional(const json_t *in, const char *name, duet_buffer *out)
{
    const json_t *value = json_object_get(in, name);

    if (value)
        (void)inspect_put_text(value, out);
}

int inspect_candidate_encode(const json_t *in, duet_buffer *out)
{
    const json_t *attribute;
    int err = DUET_OK;
    size_t i;

    put_optional(in, "prefix", out);
    put_optional(in, "keyword", out);
    for (i = 0; err == DUET_OK && i < WORD_COUNT; i++) {
        if (i > 0)
            duet_buffer_text(out, " ");
        const json_t *word = json_object_get(in, words[i]);
        if (i == TYP_WORD && !word)
            duet_buffer_text(out, "typ");
        else
            err = put_word(word, out);
    }
    json_array_foreach(json_object_get(in, "attributes"), i, attribute)
    {
        duet_buffer_text(out, " ");
        put_optional(attribute, "name", out);
        if (json_object_get(attribute, "value")) {
            duet_buffer_text(out, " ");
            put_optional(attribute, "value", out);
        }
    }
    put_optional(in, "rest", out);
    put_optional(in, "lineEnd", out);
    return err == DUET_OK && out->failed ? DUET_ERR_NOMEM : err;
}
