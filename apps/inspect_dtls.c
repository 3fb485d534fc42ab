/* DTLS datagrams: records of DTLS 1.2 (RFC 6347) and 1.3 with its unified header (RFC 9147), and in clear ones the
 * handshake messages, their fragments, and alerts. Hello messages are in inspect_dtls_hello.c. */
#include "inspect_dtls.h"
#include <string.h>

#define HANDSHAKE_HEADER 12

enum {
    TYPE_CHANGE_CIPHER_SPEC = 20,
    TYPE_ALERT = 21,
    TYPE_HANDSHAKE = 22,
    TYPE_APPLICATION_DATA = 23,
    TYPE_CID = 25,
    TYPE_ACK = 26,
};

/* The first byte of a unified header: 0 0 1 C S L E E (RFC 9147, 4). */
#define UNIFIED_MASK   0xe0u
#define UNIFIED_FIXED  0x20u
#define UNIFIED_CID    0x10u
#define UNIFIED_SEQ_16 0x08u
#define UNIFIED_LENGTH 0x04u
#define UNIFIED_EPOCH  0x03u

static const char *content_name(uint8_t type)
{
    switch (type) {
    case TYPE_CHANGE_CIPHER_SPEC:
        return "change_cipher_spec";
    case TYPE_ALERT:
        return "alert";
    case TYPE_HANDSHAKE:
        return "handshake";
    case TYPE_APPLICATION_DATA:
        return "application_data";
    case 24:
        return "heartbeat";
    case TYPE_CID:
        return "tls12_cid";
    case TYPE_ACK:
        return "ack";
    default:
        return NULL;
    }
}

static const char *level_name(uint64_t level)
{
    return level == 1 ? "warning" : level == 2 ? "fatal" : NULL;
}

/* ---- what a clear record holds ---- */

static const inspect_field alert_fields[] = {
    {.name = "level", .kind = INSPECT_CODE, .size = 1, .code_name = level_name},
    {.name = "description", .kind = INSPECT_CODE, .size = 1, .code_name = inspect_dtls_alert_name},
    {.kind = INSPECT_END},
};
static const inspect_field row_record_number[] = {
    {.name = "epoch", .kind = INSPECT_NUMBER, .size = 8},
    {.name = "sequence", .kind = INSPECT_NUMBER, .size = 8},
    {.kind = INSPECT_END},
};
static const inspect_field ack_fields[] = {
    {.name = "recordNumbers", .kind = INSPECT_ROWS, .prefix = 2, .rows = row_record_number},
    {.kind = INSPECT_END},
};
static const inspect_field bytes_fields[] = {{.name = "bytes", .kind = INSPECT_BYTES}, {.kind = INSPECT_END}};
static const inspect_field encrypted_fields[] = {{.name = "encrypted", .kind = INSPECT_BYTES}, {.kind = INSPECT_END}};

static const inspect_field handshake_header[] = {
    {.name = "type", .kind = INSPECT_NUMBER, .size = 1},
    {.name = "length", .kind = INSPECT_NUMBER, .size = 3},
    {.name = "messageSeq", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "fragmentOffset", .kind = INSPECT_NUMBER, .size = 3},
    {.name = "fragmentLength", .kind = INSPECT_NUMBER, .size = 3},
    {.kind = INSPECT_END},
};

static uint64_t number_of(const json_t *object, const char *name)
{
    uint64_t value = 0;

    (void)inspect_get_number(object, name, &value);
    return value;
}

static bool is_whole(const json_t *message)
{
    return number_of(message, "fragmentOffset") == 0 &&
           number_of(message, "fragmentLength") == number_of(message, "length");
}

static const inspect_field *body_of(const json_t *message)
{
    const inspect_field *fields = is_whole(message) ? inspect_dtls_body((uint8_t)number_of(message, "type")) : NULL;

    return fields ? fields : bytes_fields;
}

/* |  msg_type |  length (3)  | message_seq (2) | fragment_offset (3) | fragment_length (3) |   RFC 6347, 4.2.2 */
static int decode_handshake_message(inspect_cursor *c, json_t *message)
{
    size_t at = inspect_offset(c);
    char what[64];

    c->what = "handshake header";
    c->section = "RFC 6347, 4.2.2";
    int err = inspect_fields_decode(c, handshake_header, message);
    if (err != DUET_OK)
        return err;
    uint64_t length = number_of(message, "length"), offset = number_of(message, "fragmentOffset");
    uint64_t fragment = number_of(message, "fragmentLength");
    const char *name = inspect_dtls_handshake_name(number_of(message, "type"));
    if (name)
        inspect_set(message, "name", json_string(name));
    if (fragment > inspect_left(c))
        return inspect_fail(c, at + 9, "the fragment says %llu bytes, %zu are left", (unsigned long long)fragment,
                            inspect_left(c));
    if (offset + fragment > length)
        return inspect_fail(c, at + 6, "the fragment ends at %llu of a message of %llu bytes",
                            (unsigned long long)(offset + fragment), (unsigned long long)length);
    if (!is_whole(message))
        inspect_set(message, "note",
                    json_sprintf("bytes %llu to %llu of %llu: only whole messages are decoded",
                                 (unsigned long long)offset, (unsigned long long)(offset + fragment),
                                 (unsigned long long)length));
    inspect_cursor body = inspect_sub(c, (size_t)fragment);
    snprintf(what, sizeof(what), "%s", name ? name : "handshake message");
    body.what = what;
    body.section = "RFC 5246, 7.4; RFC 8446, 4";
    return inspect_fields_decode_all(&body, body_of(message), message);
}

static int decode_handshake(inspect_cursor *c, json_t *record)
{
    json_t *messages = json_array();
    int err = DUET_OK;

    inspect_set(record, "messages", messages);
    if (inspect_left(c) == 0)
        return inspect_fail(c, inspect_offset(c), "a handshake record is empty");
    while (err == DUET_OK && inspect_left(c) > 0) {
        json_t *message = json_object();
        if (!message)
            return DUET_ERR_NOMEM;
        json_array_append_new(messages, message);
        err = decode_handshake_message(c, message);
    }
    return err;
}

static const inspect_field *content_fields(uint8_t type)
{
    if (type == TYPE_ALERT)
        return alert_fields;
    return type == TYPE_ACK ? ack_fields : bytes_fields;
}

/* ---- records ---- */

static const char *content_type_name(uint64_t type)
{
    return content_name((uint8_t)type);
}

static const inspect_field record_fields[] = {
    {.name = "type", .kind = INSPECT_NUMBER, .size = 1},
    {.name = "version", .kind = INSPECT_CODE, .size = 2, .code_name = inspect_dtls_version_name},
    {.name = "epoch", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "sequence", .kind = INSPECT_NUMBER, .size = 6},
    {.kind = INSPECT_END},
};

/* The length of a connection id is known to the two peers only: what follows one cannot be told apart. */
static int decode_with_cid(inspect_cursor *c, json_t *record)
{
    inspect_set(record, "note", json_string("connection ids have no length on the wire: the rest is kept as bytes"));
    return inspect_fields_decode(c, encrypted_fields, record);
}

static int decode_content(inspect_cursor *c, json_t *record, uint8_t type, bool encrypted)
{
    c->what = content_name(type);
    c->section = type == TYPE_ACK ? "RFC 9147, 7" : "RFC 5246, 7";
    if (encrypted)
        return inspect_fields_decode(c, encrypted_fields, record);
    if (type == TYPE_HANDSHAKE)
        return decode_handshake(c, record);
    return inspect_fields_decode_all(c, content_fields(type), record);
}

static bool is_encrypted(const json_t *record)
{
    return number_of(record, "epoch") > 0;
}

/* | type (1) | version (2) | epoch (2) | sequence_number (6) | length (2) | fragment |   RFC 6347, 4.1 */
static int decode_record(inspect_cursor *c, json_t *record)
{
    size_t at = inspect_offset(c);

    c->what = "record";
    c->section = "RFC 6347, 4.1";
    int err = inspect_fields_decode(c, record_fields, record);
    if (err != DUET_OK)
        return err;
    uint8_t type = (uint8_t)number_of(record, "type");
    inspect_set(record, "name", json_string(content_type_name(type)));
    if (type == TYPE_CID)
        return decode_with_cid(c, record);
    if (inspect_left(c) < 2)
        return inspect_fail(c, inspect_offset(c), "the record ends before its length");
    uint16_t len = duet_read_u16(&c->r);
    if (len > inspect_left(c))
        return inspect_fail(c, at + 11, "the record says %u bytes, %zu are left", len, inspect_left(c));
    inspect_set(record, "length", json_integer(len));
    inspect_cursor content = inspect_sub(c, len);
    return decode_content(&content, record, type, is_encrypted(record));
}

/* | 0 0 1 C S L E E | connection id? | sequence number (1 or 2) | length (2)? | encrypted record |   RFC 9147, 4 */
static int decode_unified(inspect_cursor *c, json_t *record)
{
    uint8_t first = duet_read_u8(&c->r);
    size_t seq_len = first & UNIFIED_SEQ_16 ? 2 : 1;

    c->what = "record";
    c->section = "RFC 9147, 4";
    inspect_set(record, "type", json_integer(first));
    inspect_set(record, "name", json_string("unified header"));
    inspect_set(record, "version", json_string("0xfefc DTLS 1.3"));
    inspect_set(record, "epochBits", json_integer(first & UNIFIED_EPOCH));
    if (first & UNIFIED_CID)
        return decode_with_cid(c, record);
    if (inspect_left(c) < seq_len)
        return inspect_fail(c, inspect_offset(c), "the record ends before its sequence number");
    inspect_set(record, "encryptedSequence", inspect_hex(duet_read_bytes(&c->r, seq_len).data, seq_len));
    if (!(first & UNIFIED_LENGTH))
        return inspect_fields_decode(c, encrypted_fields, record);
    if (inspect_left(c) < 2)
        return inspect_fail(c, inspect_offset(c), "the record ends before its length");
    size_t at = inspect_offset(c);
    uint16_t len = duet_read_u16(&c->r);
    if (len > inspect_left(c))
        return inspect_fail(c, at, "the record says %u bytes, %zu are left", len, inspect_left(c));
    inspect_set(record, "length", json_integer(len));
    inspect_cursor content = inspect_sub(c, len);
    return inspect_fields_decode(&content, encrypted_fields, record);
}

int inspect_dtls(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    inspect_cursor c = inspect_cursor_init(data, len, error);
    json_t *records = json_array();
    int err = DUET_OK;

    inspect_set(out, "records", records);
    c.section = "RFC 9147, 4.1";
    if (len == 0)
        return inspect_fail(&c, 0, "the datagram is empty");
    if (len > INSPECT_DATAGRAM_MAX)
        return inspect_fail(&c, INSPECT_DATAGRAM_MAX, "%zu bytes are more than a datagram can hold", len);
    while (err == DUET_OK && inspect_left(&c) > 0) {
        uint8_t first = duet_peek_u8(&c.r, 0);
        json_t *record = json_object();
        if (!record)
            return DUET_ERR_NOMEM;
        json_array_append_new(records, record);
        c.section = "RFC 9147, 4.1";
        inspect_set(record, "offset", json_integer((json_int_t)inspect_offset(&c)));
        if ((first & UNIFIED_MASK) == UNIFIED_FIXED)
            err = decode_unified(&c, record);
        else if (content_name(first))
            err = decode_record(&c, record);
        else
            err = inspect_fail(&c, inspect_offset(&c), "content type %u is not one of DTLS", first);
    }
    return err;
}

/* ---- encoding ---- */

static int encode_handshake(const json_t *record, duet_buffer *out)
{
    const json_t *message;
    int err = DUET_OK;
    size_t i;

    json_array_foreach(json_object_get(record, "messages"), i, message)
    {
        size_t at = out->len;
        if (err == DUET_OK)
            err = inspect_fields_encode(message, handshake_header, out);
        if (err == DUET_OK)
            err = inspect_fields_encode(message, body_of(message), out);
        size_t body = out->len - at - HANDSHAKE_HEADER;
        inspect_put_number_at(out, at + 9, body, 3);
    }
    return err;
}

static int encode_record(const json_t *record, duet_buffer *out)
{
    uint8_t type = (uint8_t)number_of(record, "type");

    int err = inspect_fields_encode(record, record_fields, out);
    if (type == TYPE_CID || err != DUET_OK)
        return err == DUET_OK ? inspect_fields_encode(record, encrypted_fields, out) : err;
    size_t at = out->len;
    inspect_put_number(out, 0, 2);
    if (is_encrypted(record))
        err = inspect_fields_encode(record, encrypted_fields, out);
    else if (type == TYPE_HANDSHAKE)
        err = encode_handshake(record, out);
    else
        err = inspect_fields_encode(record, content_fields(type), out);
    inspect_put_number_at(out, at, out->len - at - 2, 2);
    return err;
}

static int encode_unified(const json_t *record, duet_buffer *out, uint8_t first)
{
    inspect_put_number(out, first, 1);
    if (first & UNIFIED_CID)
        return inspect_fields_encode(record, encrypted_fields, out);
    int err = inspect_put_hex(json_object_get(record, "encryptedSequence"), out);
    size_t at = out->len;
    if (first & UNIFIED_LENGTH)
        inspect_put_number(out, 0, 2);
    if (err == DUET_OK)
        err = inspect_fields_encode(record, encrypted_fields, out);
    if (first & UNIFIED_LENGTH)
        inspect_put_number_at(out, at, out->len - at - 2, 2);
    return err;
}

int inspect_dtls_encode(const json_t *in, duet_buffer *out)
{
    const json_t *record;
    int err = DUET_OK;
    size_t i;

    json_array_foreach(json_object_get(in, "records"), i, record)
    {
        uint8_t first = (uint8_t)number_of(record, "type");
        if (err == DUET_OK)
            err = (first & UNIFIED_MASK) == UNIFIED_FIXED ? encode_unified(record, out, first)
                                                          : encode_record(record, out);
    }
    return err == DUET_OK && out->failed ? DUET_ERR_NOMEM : err;
}
