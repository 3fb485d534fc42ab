/* Wire formats as tables of fields. Decoding reports where the bytes do not fit; encoding is its inverse. */
#include "inspect_layout.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- cursors and errors ---- */

inspect_cursor inspect_cursor_init(const uint8_t *data, size_t len, inspect_error *error)
{
    return (inspect_cursor){.r = duet_reader_init(data, len), .what = "input", .section = "", .error = error};
}

size_t inspect_offset(const inspect_cursor *c)
{
    return c->base + c->r.pos;
}

size_t inspect_left(const inspect_cursor *c)
{
    return duet_reader_left(&c->r);
}

inspect_cursor inspect_sub(inspect_cursor *c, size_t len)
{
    inspect_cursor sub = *c;

    sub.base = inspect_offset(c);
    sub.r = duet_read_sub(&c->r, len);
    return sub;
}

int inspect_fail(const inspect_cursor *c, size_t offset, const char *format, ...)
{
    inspect_error *e = c->error;
    va_list args;

    if (!e)
        return DUET_ERR_MALFORMED;
    memset(e, 0, sizeof(*e));
    e->offset = offset;
    va_start(args, format);
    vsnprintf(e->reason, sizeof(e->reason), format, args);
    va_end(args);
    size_t used = strlen(e->reason);
    if (c->section && c->section[0])
        snprintf(e->reason + used, sizeof(e->reason) - used, " (%s)", c->section);
    return DUET_ERR_MALFORMED;
}

/* ---- JSON values ---- */

void inspect_set(json_t *object, const char *name, json_t *value)
{
    if (value)
        json_object_set_new(object, name, value);
}

json_t *inspect_hex(const uint8_t *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *text = malloc(len * 2 + 1);

    if (!text)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[data[i] >> 4];
        text[2 * i + 1] = digits[data[i] & 15];
    }
    json_t *value = json_stringn_nocheck(text, len * 2);
    free(text);
    return value;
}

json_t *inspect_text(const uint8_t *data, size_t len)
{
    json_t *value = json_stringn(len ? (const char *)data : "", len);

    if (value)
        return value;
    value = json_object(); /* not UTF-8 */
    inspect_set(value, "hex", inspect_hex(data, len));
    return value;
}

json_t *inspect_code(uint64_t code, unsigned size, const char *name)
{
    return json_sprintf("0x%0*llx%s%s", (int)size * 2, (unsigned long long)code, name ? " " : "", name ? name : "");
}

int inspect_number_of(const json_t *value, uint64_t *out)
{
    if (json_is_integer(value)) {
        *out = (uint64_t)json_integer_value(value);
        return DUET_OK;
    }
    const char *text = json_string_value(value);
    if (!text || strncmp(text, "0x", 2) != 0)
        return DUET_ERR_INVALID;
    *out = strtoull(text, NULL, 16);
    return DUET_OK;
}

int inspect_get_number(const json_t *object, const char *name, uint64_t *out)
{
    return inspect_number_of(json_object_get(object, name), out);
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int inspect_put_hex(const json_t *value, duet_buffer *out)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);

    if (!text || len % 2 != 0)
        return DUET_ERR_INVALID;
    for (size_t i = 0; i < len; i += 2) {
        int high = digit_value(text[i]), low = digit_value(text[i + 1]);
        if (high < 0 || low < 0)
            return DUET_ERR_INVALID;
        uint8_t byte = (uint8_t)(high << 4 | low);
        duet_buffer_append(out, &byte, 1);
    }
    return DUET_OK;
}

int inspect_put_text(const json_t *value, duet_buffer *out)
{
    if (json_is_object(value))
        return inspect_put_hex(json_object_get(value, "hex"), out);
    if (!json_is_string(value))
        return DUET_ERR_INVALID;
    duet_buffer_append(out, json_string_value(value), json_string_length(value));
    return DUET_OK;
}

void inspect_put_number(duet_buffer *out, uint64_t value, unsigned size)
{
    for (unsigned i = size; i-- > 0;) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        duet_buffer_append(out, &byte, 1);
    }
}

void inspect_put_number_at(duet_buffer *out, size_t offset, uint64_t value, unsigned size)
{
    for (unsigned i = 0; !out->failed && i < size && offset + i < out->len; i++)
        out->data[offset + i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

/* ---- padding ---- */

static size_t padding_of(size_t len)
{
    return (4 - len % 4) % 4;
}

void inspect_padding_decode(inspect_cursor *c, size_t len, json_t *out)
{
    static const uint8_t zero[4];
    size_t due = padding_of(len);
    size_t there = due < inspect_left(c) ? due : inspect_left(c);
    duet_bytes bytes = duet_read_bytes(&c->r, there);

    if (there < due || (there > 0 && memcmp(bytes.data, zero, there) != 0))
        inspect_set(out, "padding", inspect_hex(bytes.data, there));
}

int inspect_padding_encode(const json_t *in, size_t len, duet_buffer *out)
{
    static const uint8_t zero[4];
    const json_t *padding = json_object_get(in, "padding");

    if (padding)
        return inspect_put_hex(padding, out);
    duet_buffer_append(out, zero, padding_of(len));
    return DUET_OK;
}

/* ---- decoding ---- */

const inspect_layout *inspect_layout_find(const inspect_layout *table, size_t count, uint32_t type)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].type == type)
            return &table[i];
    }
    return NULL;
}

static uint64_t read_number(duet_reader *r, size_t size)
{
    duet_bytes bytes = duet_read_bytes(r, size);
    uint64_t v = 0;

    for (size_t i = 0; i < bytes.len; i++)
        v = v << 8 | bytes.data[i];
    return v;
}

static int ends_before(const inspect_cursor *c, const inspect_field *f)
{
    return inspect_fail(c, inspect_offset(c), "%s ends before its %s", c->what, f->name);
}

static json_t *number_json(const inspect_field *f, uint64_t value)
{
    if (f->kind == INSPECT_CODE || f->kind == INSPECT_CODES)
        return inspect_code(value, f->size, f->code_name ? f->code_name(value) : NULL);
    return json_integer((json_int_t)value);
}

static int decode_fixed(inspect_cursor *c, const inspect_field *f, json_t *out)
{
    if (f->kind == INSPECT_OPTIONAL && inspect_left(c) == 0)
        return DUET_OK;
    if (inspect_left(c) < f->size)
        return ends_before(c, f);
    if (f->kind == INSPECT_FIXED)
        inspect_set(out, f->name, inspect_hex(duet_read_bytes(&c->r, f->size).data, f->size));
    else
        inspect_set(out, f->name, number_json(f, read_number(&c->r, f->size)));
    return DUET_OK;
}

/* Bytes of one row whose fields all have a fixed size. */
static size_t row_size(const inspect_field *f)
{
    size_t size = 0;

    if (f->kind != INSPECT_ROWS)
        return f->size;
    for (const inspect_field *row = f->rows; row->kind != INSPECT_END; row++)
        size += row->size;
    return size;
}

/* The extent of a field of variable length, as a cursor of its own. */
static int extent(inspect_cursor *c, const inspect_field *f, const json_t *out, inspect_cursor *part)
{
    size_t len = inspect_left(c);

    if (f->prefix) {
        if (len < f->prefix)
            return ends_before(c, f);
        size_t at = inspect_offset(c);
        uint64_t says = read_number(&c->r, f->prefix);
        len = inspect_left(c);
        if (says > len)
            return inspect_fail(c, at, "%s: %s says %llu bytes, %zu are left", c->what, f->name,
                                (unsigned long long)says, len);
        len = (size_t)says;
    } else if (f->count) {
        uint64_t count = 0;
        (void)inspect_get_number(out, f->count, &count);
        if (count * row_size(f) > len)
            return inspect_fail(c, inspect_offset(c), "%s says %llu %s, %zu bytes are left", c->what,
                                (unsigned long long)count, f->name, len);
        len = (size_t)count * row_size(f);
    }
    *part = inspect_sub(c, len);
    return DUET_OK;
}

static int decode_list(inspect_cursor *part, const inspect_field *f, json_t *list)
{
    while (inspect_left(part) > 0) {
        if (f->kind == INSPECT_ROWS) {
            json_t *row = json_object();
            json_array_append_new(list, row);
            int err = row ? inspect_fields_decode(part, f->rows, row) : DUET_ERR_NOMEM;
            if (err != DUET_OK)
                return err;
        } else if (inspect_left(part) < f->size) {
            return inspect_fail(part, inspect_offset(part), "%s: %s: an element has %u bytes, %zu are left", part->what,
                                f->name, f->size, inspect_left(part));
        } else {
            json_array_append_new(list, number_json(f, read_number(&part->r, f->size)));
        }
    }
    return DUET_OK;
}

static int decode_variable(inspect_cursor *c, const inspect_field *f, json_t *out)
{
    inspect_cursor part;
    int err = extent(c, f, out, &part);

    if (err != DUET_OK)
        return err;
    if (f->kind == INSPECT_PART)
        return f->decode(&part, out, f);
    if (f->kind == INSPECT_BYTES) {
        inspect_set(out, f->name, inspect_hex(part.r.data, part.r.len));
        return DUET_OK;
    }
    if (f->kind == INSPECT_TEXT) {
        inspect_set(out, f->name, inspect_text(part.r.data, part.r.len));
        return DUET_OK;
    }
    json_t *list = json_array();
    inspect_set(out, f->name, list);
    return list ? decode_list(&part, f, list) : DUET_ERR_NOMEM;
}

int inspect_fields_decode(inspect_cursor *c, const inspect_field *fields, json_t *out)
{
    int err = DUET_OK;

    for (const inspect_field *f = fields; err == DUET_OK && f && f->kind != INSPECT_END; f++)
        err = f->kind < INSPECT_BYTES ? decode_fixed(c, f, out) : decode_variable(c, f, out);
    return err;
}

int inspect_fields_decode_all(inspect_cursor *c, const inspect_field *fields, json_t *out)
{
    int err = inspect_fields_decode(c, fields, out);

    if (err == DUET_OK && inspect_left(c) > 0)
        return inspect_fail(c, inspect_offset(c), "%s has %zu bytes behind its last field", c->what, inspect_left(c));
    return err;
}

/* ---- encoding ---- */

static int encode_fixed(const json_t *in, const inspect_field *f, duet_buffer *out)
{
    uint64_t value;

    if (f->kind == INSPECT_FIXED)
        return inspect_put_hex(json_object_get(in, f->name), out);
    if (f->kind == INSPECT_OPTIONAL && !json_object_get(in, f->name))
        return DUET_OK;
    int err = inspect_get_number(in, f->name, &value);
    if (err == DUET_OK)
        inspect_put_number(out, value, f->size);
    return err;
}

static int encode_content(const json_t *in, const inspect_field *f, duet_buffer *out)
{
    const json_t *value = json_object_get(in, f->name), *element;
    int err = DUET_OK;
    size_t i;

    if (f->kind == INSPECT_PART)
        return f->encode(in, out, f);
    if (f->kind == INSPECT_BYTES)
        return inspect_put_hex(value, out);
    if (f->kind == INSPECT_TEXT)
        return inspect_put_text(value, out);
    if (!json_is_array(value))
        return DUET_ERR_INVALID;
    json_array_foreach(value, i, element)
    {
        uint64_t number = 0;
        err = f->kind == INSPECT_ROWS ? inspect_fields_encode(element, f->rows, out)
                                      : inspect_number_of(element, &number);
        if (err != DUET_OK)
            break;
        if (f->kind != INSPECT_ROWS)
            inspect_put_number(out, number, f->size);
    }
    return err;
}

static int encode_variable(const json_t *in, const inspect_field *f, duet_buffer *out)
{
    size_t at = out->len;

    inspect_put_number(out, 0, f->prefix);
    int err = encode_content(in, f, out);
    if (err == DUET_OK && f->prefix)
        inspect_put_number_at(out, at, out->len - at - f->prefix, f->prefix);
    return err;
}

int inspect_fields_encode(const json_t *in, const inspect_field *fields, duet_buffer *out)
{
    int err = DUET_OK;

    for (const inspect_field *f = fields; err == DUET_OK && f && f->kind != INSPECT_END; f++)
        err = f->kind < INSPECT_BYTES ? encode_fixed(in, f, out) : encode_variable(in, f, out);
    return err == DUET_OK && out->failed ? DUET_ERR_NOMEM : err;
}
