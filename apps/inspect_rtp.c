/* RTP packets in the clear: the header, its extension with the elements, payload and padding.
 * RFC 3550 section 5.1 and RFC 8285. */
#include "duet/rtp.h"
#include "inspect_layout.h"

#define FIXED_HEADER 12

enum {
    FLAG_PADDING = 0x20,
    FLAG_EXTENSION = 0x10,
    CSRC_COUNT = 0x0F,
};

static const char *profile_name(uint64_t profile)
{
    if (profile == 0xBEDE)
        return "one-byte elements";
    return profile >= 0x1000 && profile <= 0x100F ? "two-byte elements" : NULL;
}

static const inspect_field fixed_fields[] = {
    {.name = "sequenceNumber", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "timestamp", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "ssrc", .kind = INSPECT_CODE, .size = 4},
    {.kind = INSPECT_END},
};

static int decode_csrcs(inspect_cursor *c, unsigned count, json_t *out)
{
    json_t *list = json_array();

    if (inspect_left(c) < 4u * count) {
        json_decref(list);
        return inspect_fail(c, inspect_offset(c), "%u CSRCs need %u bytes, %zu are left", count, 4 * count,
                            inspect_left(c));
    }
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(list, inspect_code(duet_read_u32(&c->r), 4, NULL));
    inspect_set(out, "csrcs", list);
    return DUET_OK;
}

/* Elements of RFC 8285; those behind one that reaches past the end are not found. */
static json_t *elements_of(const duet_rtp_packet *packet, json_t *extension)
{
    json_t *list = json_array();
    const uint8_t *data;
    size_t cursor = 0, len;
    uint8_t id;
    int result;

    while ((result = duet_rtp_next_extension(packet, &cursor, &id, &data, &len)) == 1) {
        json_t *element = json_object();
        inspect_set(element, "id", json_integer(id));
        inspect_set(element, "data", inspect_hex(data, len));
        json_array_append_new(list, element);
    }
    if (result < 0)
        inspect_set(extension, "warning", json_string("an element reaches past the end of the extension"));
    return list;
}

/* |      defined by profile       |           length              |   RFC 3550, 5.3.1 */
static int decode_extension(inspect_cursor *c, json_t *out)
{
    duet_rtp_packet packet = {0};
    size_t at = inspect_offset(c);

    c->section = "RFC 3550, 5.3.1";
    packet.extension_profile = duet_read_u16(&c->r);
    size_t len = (size_t)duet_read_u16(&c->r) * 4;
    if (c->r.failed)
        return inspect_fail(c, at, "the packet ends before its header extension");
    if (len > inspect_left(c))
        return inspect_fail(c, at + 2, "the header extension says %zu bytes, %zu are left", len, inspect_left(c));
    duet_bytes data = duet_read_bytes(&c->r, len);
    packet.extension = data.data;
    packet.extension_len = data.len;
    json_t *extension = json_object();
    inspect_set(extension, "profile",
                inspect_code(packet.extension_profile, 2, profile_name(packet.extension_profile)));
    if (profile_name(packet.extension_profile))
        inspect_set(extension, "elements", elements_of(&packet, extension));
    inspect_set(extension, "data", inspect_hex(data.data, data.len));
    inspect_set(out, "extension", extension);
    return DUET_OK;
}

/* The payload, and the padding whose last byte tells its length. */
static int decode_payload(inspect_cursor *c, bool has_padding, json_t *out)
{
    size_t left = inspect_left(c), end = inspect_offset(c) + left;
    size_t padding = has_padding && left > 0 ? duet_peek_u8(&c->r, left - 1) : 0;

    c->section = "RFC 3550, 5.1";
    if (has_padding && (padding == 0 || padding > left))
        return inspect_fail(c, left ? end - 1 : end, "padding of %zu bytes, %zu are left", padding, left);
    duet_bytes payload = duet_read_bytes(&c->r, left - padding);
    inspect_set(out, "payload", inspect_hex(payload.data, payload.len));
    if (has_padding)
        inspect_set(out, "padding", inspect_hex(duet_read_bytes(&c->r, padding).data, padding));
    return DUET_OK;
}

/* |V=2|P|X|  CC   |M|     PT      |       sequence number         |   RFC 3550, 5.1
 * |                           timestamp                           |
 * |           synchronization source (SSRC) identifier            |
 * |            contributing source (CSRC) identifiers             |   */
int inspect_rtp(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    inspect_cursor c = inspect_cursor_init(data, len, error);

    c.what = "RTP header";
    c.section = "RFC 3550, 5.1";
    if (len > INSPECT_DATAGRAM_MAX)
        return inspect_fail(&c, INSPECT_DATAGRAM_MAX, "%zu bytes are more than a datagram can hold", len);
    if (len < FIXED_HEADER)
        return inspect_fail(&c, len, "an RTP header has at least %d bytes, this one has %zu", FIXED_HEADER, len);
    uint8_t flags = duet_read_u8(&c.r), second = duet_read_u8(&c.r);
    if (flags >> 6 != 2)
        return inspect_fail(&c, 0, "version %u is not 2", flags >> 6);
    inspect_set(out, "version", json_integer(2));
    inspect_set(out, "marker", json_boolean(second & 0x80));
    inspect_set(out, "payloadType", json_integer(second & 0x7F));
    int err = inspect_fields_decode(&c, fixed_fields, out);
    if (err == DUET_OK)
        err = decode_csrcs(&c, flags & CSRC_COUNT, out);
    if (err == DUET_OK && (flags & FLAG_EXTENSION))
        err = decode_extension(&c, out);
    return err == DUET_OK ? decode_payload(&c, flags & FLAG_PADDING, out) : err;
}

static int encode_extension(const json_t *extension, duet_buffer *out)
{
    uint64_t profile = 0;

    int err = inspect_get_number(extension, "profile", &profile);
    inspect_put_number(out, profile, 2);
    size_t at = out->len;
    inspect_put_number(out, 0, 2);
    if (err == DUET_OK)
        err = inspect_put_hex(json_object_get(extension, "data"), out);
    inspect_put_number_at(out, at, (out->len - at - 2) / 4, 2);
    return err;
}

int inspect_rtp_encode(const json_t *in, duet_buffer *out)
{
    const json_t *csrcs = json_object_get(in, "csrcs"), *extension = json_object_get(in, "extension"), *csrc;
    const json_t *padding = json_object_get(in, "padding");
    uint64_t type = 0, number = 0;
    size_t i;

    int err = inspect_get_number(in, "payloadType", &type);
    inspect_put_number(out,
                       0x80u | (padding ? FLAG_PADDING : 0u) | (extension ? FLAG_EXTENSION : 0u) |
                           (json_array_size(csrcs) & CSRC_COUNT),
                       1);
    inspect_put_number(out, (json_is_true(json_object_get(in, "marker")) ? 0x80u : 0u) | (type & 0x7F), 1);
    if (err == DUET_OK)
        err = inspect_fields_encode(in, fixed_fields, out);
    json_array_foreach(csrcs, i, csrc)
    {
        if (err == DUET_OK)
            err = inspect_number_of(csrc, &number);
        inspect_put_number(out, number, 4);
    }
    if (err == DUET_OK && extension)
        err = encode_extension(extension, out);
    if (err == DUET_OK)
        err = inspect_put_hex(json_object_get(in, "payload"), out);
    if (err == DUET_OK && padding)
        err = inspect_put_hex(padding, out);
    return err == DUET_OK && out->failed ? DUET_ERR_NOMEM : err;
}
