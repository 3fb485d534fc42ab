/* STUN messages: header, every attribute with its value, FINGERPRINT and integrity.
 * RFC 8489 sections 5 and 14; duet/stun.h knows the values. */
#include "duet/stun.h"
#include "inspect_layout.h"
#include <stdlib.h>
#include <string.h>

#define ATTRIBUTE_HEADER 4
#define ALGORITHMS_MAX   64

/* ---- the frame, with a reason for everything that does not fit ---- */

static int check_header(inspect_cursor *c)
{
    size_t len = c->r.len;

    c->section = "RFC 8489, 5";
    if (len < DUET_STUN_HEADER_LEN)
        return inspect_fail(c, len, "a STUN header has %d bytes, %zu are here", DUET_STUN_HEADER_LEN, len);
    uint8_t first = duet_peek_u8(&c->r, 0);
    if (first > 3) {
        c->section = "RFC 7983, 7";
        return inspect_fail(c, 0, "the first byte is 0x%02x: STUN begins with 0 to 3", first);
    }
    duet_read_skip(&c->r, 2);
    uint16_t says = duet_read_u16(&c->r);
    uint32_t cookie = duet_read_u32(&c->r);
    if (cookie != DUET_STUN_MAGIC_COOKIE)
        return inspect_fail(c, 4, "the magic cookie is 0x%08x instead of 0x%08x", cookie, DUET_STUN_MAGIC_COOKIE);
    if (says % 4 != 0)
        return inspect_fail(c, 2, "the length field says %u, which is not a multiple of four", says);
    if (says != len - DUET_STUN_HEADER_LEN)
        return inspect_fail(c, 2, "the length field says %u bytes, %zu follow the header", says,
                            len - (size_t)DUET_STUN_HEADER_LEN);
    duet_read_skip(&c->r, DUET_STUN_TRANSACTION_LEN);
    return DUET_OK;
}

static int check_attributes(inspect_cursor *c)
{
    c->section = "RFC 8489, 14";
    while (inspect_left(c) > 0) {
        size_t at = inspect_offset(c);
        if (inspect_left(c) < ATTRIBUTE_HEADER)
            return inspect_fail(c, at, "%zu bytes are left where an attribute header has 4", inspect_left(c));
        uint16_t type = duet_read_u16(&c->r), len = duet_read_u16(&c->r);
        if ((len + 3u) / 4 * 4 > inspect_left(c))
            return inspect_fail(c, at, "attribute 0x%04x says %u bytes, %zu are left", type, len, inspect_left(c));
        duet_read_skip(&c->r, (len + 3u) / 4 * 4);
    }
    return DUET_OK;
}

/* ---- values as JSON ---- */

static json_t *error_json(const duet_stun_error *e)
{
    json_t *value = json_object();

    inspect_set(value, "code", json_integer(e->code));
    if (duet_stun_error_name(e->code))
        inspect_set(value, "name", json_string(duet_stun_error_name(e->code)));
    if (e->family)
        inspect_set(value, "family", json_integer(e->family));
    inspect_set(value, "reason", inspect_text(e->reason, e->reason_len));
    return value;
}

static json_t *types_json(const duet_stun_attribute *a)
{
    size_t count = a->len / 2u;
    uint16_t *types = calloc(count + 1, sizeof(*types));
    json_t *list = NULL;

    if (types && duet_stun_value_types(a, types, &count) == DUET_OK)
        list = json_array();
    for (size_t i = 0; list && i < count; i++)
        json_array_append_new(list, inspect_code(types[i], 2, duet_stun_attribute_name(types[i])));
    free(types);
    return list;
}

static json_t *algorithms_json(const duet_stun_attribute *a)
{
    duet_stun_algorithm_value values[ALGORITHMS_MAX];
    size_t count = ALGORITHMS_MAX;

    if (duet_stun_value_algorithms(a, values, &count) != DUET_OK)
        return NULL;
    json_t *list = json_array();
    for (size_t i = 0; i < count && i < ALGORITHMS_MAX; i++) {
        uint16_t number = values[i].algorithm;
        json_t *row = json_object();
        inspect_set(row, "algorithm",
                    inspect_code(number, 2,
                                 number == DUET_STUN_MD5      ? "MD5"
                                 : number == DUET_STUN_SHA256 ? "SHA-256"
                                                              : NULL));
        inspect_set(row, "parameters", inspect_hex(values[i].parameters, values[i].parameters_len));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *address_json(const duet_stun_message *m, const duet_stun_attribute *a)
{
    duet_address address;
    char text[DUET_ADDRESS_TEXT_MAX];

    if (duet_stun_value_address(m, a, &address) != DUET_OK)
        return NULL;
    return json_string(duet_address_text(&address, text, sizeof(text)));
}

static json_t *icmp_json(const duet_stun_attribute *a)
{
    duet_stun_icmp icmp;

    if (duet_stun_value_icmp(a, &icmp) != DUET_OK)
        return NULL;
    return json_pack("{s:i,s:i,s:I}", "type", icmp.type, "code", icmp.code, "data", (json_int_t)icmp.data);
}

static json_t *number_json(const duet_stun_attribute *a, duet_stun_format format)
{
    uint8_t u8 = 0;
    uint16_t u16 = 0;
    uint32_t u32 = 0;
    uint64_t u64 = 0;

    if (format == DUET_STUN_FORMAT_U64)
        return duet_stun_value_u64(a, &u64) == DUET_OK ? inspect_code(u64, 8, NULL) : NULL;
    if (format == DUET_STUN_FORMAT_U32)
        return duet_stun_value_u32(a, &u32) == DUET_OK ? json_integer(u32) : NULL;
    if (format == DUET_STUN_FORMAT_U16_PADDED)
        return duet_stun_value_u16(a, &u16) == DUET_OK ? json_integer(u16) : NULL;
    return duet_stun_value_u8(a, &u8) == DUET_OK ? json_integer(u8) : NULL;
}

/* NULL when the bytes do not fit the format. */
static json_t *value_json(const duet_stun_message *m, const duet_stun_attribute *a)
{
    duet_stun_format format = duet_stun_attribute_format(a->type);
    duet_stun_error e;

    switch (format) {
    case DUET_STUN_FORMAT_BYTES:
        return NULL;
    case DUET_STUN_FORMAT_TEXT:
        return inspect_text(a->value, a->len);
    case DUET_STUN_FORMAT_FLAG:
        return a->len == 0 ? json_true() : NULL;
    case DUET_STUN_FORMAT_ADDRESS:
    case DUET_STUN_FORMAT_XOR_ADDRESS:
        return address_json(m, a);
    case DUET_STUN_FORMAT_ERROR:
        return duet_stun_value_error(a, &e) == DUET_OK ? error_json(&e) : NULL;
    case DUET_STUN_FORMAT_TYPES:
        return types_json(a);
    case DUET_STUN_FORMAT_ALGORITHMS:
        return algorithms_json(a);
    case DUET_STUN_FORMAT_ICMP:
        return icmp_json(a);
    default:
        return number_json(a, format);
    }
}

/* ---- JSON values as attributes ---- */

static uint64_t member(const json_t *value, const char *name)
{
    uint64_t number = 0;

    (void)inspect_get_number(value, name, &number);
    return number;
}

static void add_error(duet_stun_builder *b, uint16_t type, const json_t *value)
{
    const char *reason = json_string_value(json_object_get(value, "reason"));

    if (type == DUET_STUN_ADDRESS_ERROR_CODE)
        duet_stun_add_address_error(b, (uint8_t)member(value, "family"), (unsigned)member(value, "code"),
                                    reason ? reason : "");
    else
        duet_stun_add_error(b, (unsigned)member(value, "code"), reason ? reason : "");
}

static void add_types(duet_stun_builder *b, const json_t *list)
{
    size_t count = json_array_size(list);
    uint16_t *types = calloc(count + 1, sizeof(*types));

    for (size_t i = 0; types && i < count; i++) {
        uint64_t number = 0;
        (void)inspect_number_of(json_array_get(list, i), &number);
        types[i] = (uint16_t)number;
    }
    if (types)
        duet_stun_add_types(b, types, count);
    free(types);
}

/* The whole attribute from its value. @return false when the value is not made that way */
static bool add_value(duet_stun_builder *b, uint16_t type, const json_t *value)
{
    duet_stun_format format = duet_stun_attribute_format(type);
    uint64_t number = 0;
    duet_address address;
    duet_stun_icmp icmp = {0};

    switch (format) {
    case DUET_STUN_FORMAT_TEXT:
        duet_stun_add(b, type, json_is_string(value) ? json_string_value(value) : "", json_string_length(value));
        return json_is_string(value);
    case DUET_STUN_FORMAT_FLAG:
        duet_stun_add_flag(b, type);
        return true;
    case DUET_STUN_FORMAT_ADDRESS:
    case DUET_STUN_FORMAT_XOR_ADDRESS:
        if (!json_is_string(value) || duet_address_parse_port(&address, json_string_value(value)) != DUET_OK)
            return false;
        duet_stun_add_address(b, type, &address);
        return true;
    case DUET_STUN_FORMAT_ERROR:
        add_error(b, type, value);
        return true;
    case DUET_STUN_FORMAT_TYPES:
        add_types(b, value);
        return true;
    case DUET_STUN_FORMAT_ICMP:
        icmp.type = (uint8_t)member(value, "type");
        icmp.code = (uint16_t)member(value, "code");
        icmp.data = (uint32_t)member(value, "data");
        duet_stun_add_icmp(b, &icmp);
        return true;
    case DUET_STUN_FORMAT_BYTES:
    case DUET_STUN_FORMAT_ALGORITHMS:
        return false; /* their bytes say all */
    default:
        break;
    }
    if (inspect_number_of(value, &number) != DUET_OK)
        return false;
    if (format == DUET_STUN_FORMAT_U64)
        duet_stun_add_u64(b, type, number);
    else if (format == DUET_STUN_FORMAT_U32)
        duet_stun_add_u32(b, type, (uint32_t)number);
    else if (format == DUET_STUN_FORMAT_U16_PADDED)
        duet_stun_add_u16(b, type, (uint16_t)number);
    else
        duet_stun_add_u8(b, type, (uint8_t)number);
    return true;
}

/* Whether the value alone gives these bytes back. It does not when reserved bits are set. */
static bool value_is_exact(const duet_stun_message *m, const duet_stun_attribute *a, const json_t *value)
{
    size_t whole = (size_t)ATTRIBUTE_HEADER + a->len + a->padding_len, len = 0;
    size_t capacity = DUET_STUN_HEADER_LEN + whole + 16;
    uint8_t *bytes = malloc(capacity);

    if (!bytes)
        return false;
    duet_stun_builder b = duet_stun_begin(bytes, capacity, m->message_class, m->method, m->transaction_id);
    bool same = value && add_value(&b, a->type, value) && duet_stun_end(&b, &len) == DUET_OK &&
                len == DUET_STUN_HEADER_LEN + whole &&
                memcmp(bytes + DUET_STUN_HEADER_LEN, m->data + a->offset, whole) == 0;
    free(bytes);
    return same;
}

static int value_error(inspect_cursor *c, const duet_stun_attribute *a)
{
    c->section = "RFC 8489, 14; RFC 8656, 18";
    return inspect_fail(c, a->offset + ATTRIBUTE_HEADER, "the %u bytes of %s do not have its form", a->len,
                        duet_stun_attribute_name(a->type));
}

static int decode_attribute(inspect_cursor *c, const duet_stun_message *m, const duet_stun_attribute *a, json_t *out)
{
    const char *name = duet_stun_attribute_name(a->type);

    inspect_set(out, "offset", json_integer((json_int_t)a->offset));
    inspect_set(out, "type", inspect_code(a->type, 2, NULL));
    if (name)
        inspect_set(out, "name", json_string(name));
    inspect_set(out, "length", json_integer(a->len));
    inspect_set(out, "hex", inspect_hex(a->value, a->len));
    if (a->padding_len && memcmp(a->padding, "\0\0\0", a->padding_len) != 0)
        inspect_set(out, "padding", inspect_hex(a->padding, a->padding_len));
    if (a->ignored) {
        inspect_set(out, "ignored", json_true()); /* it follows the integrity attribute */
        return DUET_OK;
    }
    json_t *value = value_json(m, a);
    if (!value)
        return duet_stun_attribute_format(a->type) == DUET_STUN_FORMAT_BYTES ? DUET_OK : value_error(c, a);
    inspect_set(out, "value", value);
    if (duet_stun_attribute_format(a->type) != DUET_STUN_FORMAT_ALGORITHMS && !value_is_exact(m, a, value))
        inspect_set(out, "exact", json_false());
    return DUET_OK;
}

static const char *fingerprint_state(const duet_stun_message *m)
{
    int err = duet_stun_verify_fingerprint(m);

    return err == DUET_OK ? "valid" : err == DUET_ERR_NOT_FOUND ? "absent" : "invalid";
}

static void describe(json_t *out, const duet_stun_message *m)
{
    const char *method = duet_stun_method_name(m->method);
    bool has_integrity = m->integrity || m->integrity_sha256;
    uint16_t unknown[16];

    inspect_set(out, "class", json_string(duet_stun_class_name(m->message_class)));
    inspect_set(out, "classNumber", json_integer(m->message_class));
    inspect_set(out, "method", method ? json_string(method) : NULL);
    inspect_set(out, "methodNumber", json_integer(m->method));
    inspect_set(out, "length", json_integer((json_int_t)(m->len - DUET_STUN_HEADER_LEN)));
    inspect_set(out, "transactionId", inspect_hex(m->transaction_id, DUET_STUN_TRANSACTION_LEN));
    inspect_set(out, "fingerprint", json_string(fingerprint_state(m)));
    inspect_set(out, "messageIntegrity", json_string(has_integrity ? "not checked" : "absent"));
    size_t count = duet_stun_unknown_required(m, NULL, 0, unknown, 16);
    if (count == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < count && i < 16; i++)
        json_array_append_new(list, inspect_code(unknown[i], 2, NULL));
    inspect_set(out, "unknownRequired", list);
}

int inspect_stun(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    inspect_cursor c = inspect_cursor_init(data, len, error);
    duet_stun_message m;
    duet_stun_attribute a = {0};

    int err = check_header(&c);
    if (err == DUET_OK)
        err = check_attributes(&c);
    if (err != DUET_OK)
        return err;
    c.section = "RFC 8489, 5";
    if (duet_stun_parse(&m, data, len) != DUET_OK)
        return inspect_fail(&c, 0, "this is no STUN message");
    describe(out, &m);
    json_t *attributes = json_array();
    inspect_set(out, "attributes", attributes);
    while (err == DUET_OK && duet_stun_next(&m, &a)) {
        json_t *attribute = json_object();
        if (!attribute)
            return DUET_ERR_NOMEM;
        json_array_append_new(attributes, attribute);
        err = decode_attribute(&c, &m, &a, attribute);
    }
    return err;
}

/* ---- encoding ---- */

static int encode_attribute(duet_stun_builder *b, const json_t *in)
{
    const json_t *value = json_object_get(in, "value"), *padding = json_object_get(in, "padding");
    uint16_t type = (uint16_t)member(in, "type");
    duet_buffer bytes, pad;

    if (value && !padding && !json_is_false(json_object_get(in, "exact")) && add_value(b, type, value))
        return DUET_OK;
    duet_buffer_init(&bytes, NULL);
    duet_buffer_init(&pad, NULL);
    int err = inspect_put_hex(json_object_get(in, "hex"), &bytes);
    if (err == DUET_OK && padding)
        err = inspect_put_hex(padding, &pad);
    size_t due = (4 - bytes.len % 4) % 4;
    if (err == DUET_OK && !padding)
        duet_buffer_append(&pad, "\0\0\0", due);
    if (err == DUET_OK && (bytes.failed || pad.failed))
        err = DUET_ERR_NOMEM;
    if (err == DUET_OK && (pad.len != due || bytes.len > UINT16_MAX))
        err = DUET_ERR_INVALID;
    if (err == DUET_OK) {
        duet_stun_attribute a = {.type = type,
                                 .len = (uint16_t)bytes.len,
                                 .value = bytes.data,
                                 .padding = pad.data,
                                 .padding_len = (uint8_t)pad.len};
        duet_stun_add_padded(b, &a);
    }
    duet_buffer_free(&bytes);
    duet_buffer_free(&pad);
    return err;
}

int inspect_stun_encode(const json_t *in, duet_buffer *out)
{
    const json_t *attribute;
    duet_buffer id;
    size_t i, len = 0;

    duet_buffer_init(&id, NULL);
    int err = inspect_put_hex(json_object_get(in, "transactionId"), &id);
    uint8_t *bytes = malloc(DUET_STUN_MESSAGE_MAX);
    if (err == DUET_OK && (!bytes || id.failed))
        err = DUET_ERR_NOMEM;
    if (err == DUET_OK && id.len != DUET_STUN_TRANSACTION_LEN)
        err = DUET_ERR_INVALID;
    if (err == DUET_OK) {
        duet_stun_builder b =
            duet_stun_begin(bytes, DUET_STUN_MESSAGE_MAX, (duet_stun_class)(member(in, "classNumber") & 3),
                            (uint16_t)member(in, "methodNumber"), id.data);
        json_array_foreach(json_object_get(in, "attributes"), i, attribute)
        {
            if (err == DUET_OK)
                err = encode_attribute(&b, attribute);
        }
        if (err == DUET_OK)
            err = duet_stun_end(&b, &len);
    }
    if (err == DUET_OK)
        duet_buffer_append(out, bytes, len);
    free(bytes);
    duet_buffer_free(&id);
    return err == DUET_OK && out->failed ? DUET_ERR_NOMEM : err;
}

/* ---- integrity ---- */

static bool text_of(const duet_stun_message *m, uint16_t type, char *buf, size_t size)
{
    duet_stun_attribute a;

    if (!duet_stun_find(m, type, &a) || a.len >= size || memchr(a.value, 0, a.len))
        return false;
    memcpy(buf, a.value, a.len);
    buf[a.len] = 0;
    return true;
}

/* RFC 8489, 9.2.2: the long-term key depends on user name, realm and algorithm; the short-term one is the password. */
static size_t derive_key(const duet_stun_message *m, const char *password, uint8_t key[32])
{
    char user[768], realm[1024];
    duet_stun_attribute a;
    duet_stun_algorithm_value algorithm = {0};
    size_t count = 1;

    if (!text_of(m, DUET_STUN_USERNAME, user, sizeof(user)) || !text_of(m, DUET_STUN_REALM, realm, sizeof(realm)))
        return 0;
    if (duet_stun_find(m, DUET_STUN_PASSWORD_ALGORITHM, &a))
        (void)duet_stun_value_algorithms(&a, &algorithm, &count);
    if (algorithm.algorithm == DUET_STUN_SHA256)
        return duet_stun_key_sha256(key, user, realm, password) == DUET_OK ? 32 : 0;
    return duet_stun_key_md5(key, user, realm, password) == DUET_OK ? 16 : 0;
}

bool inspect_stun_verify(const uint8_t *data, size_t len, const inspect_secret *secret, json_t *model)
{
    uint8_t derived[32];
    const void *key = secret->key;
    size_t key_len = secret->key_len;
    duet_stun_message m;

    if (duet_stun_parse(&m, data, len) != DUET_OK || (!m.integrity && !m.integrity_sha256))
        return true;
    if (!key) {
        key = derived;
        key_len = derive_key(&m, secret->password, derived);
        if (key_len == 0) {
            key = secret->password;
            key_len = strlen(secret->password);
        }
    }
    bool valid = true;
    if (m.integrity)
        valid = duet_stun_verify_integrity(&m, key, key_len) == DUET_OK;
    if (m.integrity_sha256)
        valid = duet_stun_verify_integrity_sha256(&m, key, key_len) == DUET_OK && valid;
    json_object_set_new(model, "messageIntegrity", json_string(valid ? "valid" : "invalid"));
    return valid;
}
