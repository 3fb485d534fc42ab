/* SCTP chunks: RFC 9260 section 3.3, RFC 3758 (FORWARD-TSN), RFC 4820 (PAD), RFC 4895 (AUTH), RFC 5061 (ASCONF),
 * RFC 6525 (RE-CONFIG), RFC 8260 (I-DATA, I-FORWARD-TSN). User data of PPID 50 is DCEP (RFC 8832). */
#include "inspect_sctp.h"
#include <string.h>

#define CHUNK_HEADER 4
#define FLAG_END     0x01u
#define FLAG_BEGIN   0x02u
#define FLAG_U       0x04u
#define FLAG_I       0x08u
#define TYPE_DATA    0u
#define TYPE_I_DATA  64u
#define PPID_DCEP    50u
#define PPID_TEXT    51u

static const char *ppid_name(uint64_t ppid)
{
    switch (ppid) { /* RFC 8831, section 8 */
    case PPID_DCEP:
        return "WebRTC DCEP";
    case PPID_TEXT:
        return "WebRTC String";
    case 52:
        return "WebRTC Binary Partial";
    case 53:
        return "WebRTC Binary";
    case 54:
        return "WebRTC String Partial";
    case 56:
        return "WebRTC String Empty";
    case 57:
        return "WebRTC Binary Empty";
    default:
        return NULL;
    }
}

static const inspect_field row_gap[] = {
    {.name = "start", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "end", .kind = INSPECT_NUMBER, .size = 2},
    {.kind = INSPECT_END},
};
static const inspect_field row_forward[] = {
    {.name = "stream", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "ssn", .kind = INSPECT_NUMBER, .size = 2},
    {.kind = INSPECT_END},
};
static const inspect_field row_i_forward[] = {
    {.name = "stream", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "flags", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "mid", .kind = INSPECT_NUMBER, .size = 4},
    {.kind = INSPECT_END},
};

static int decode_user_data(inspect_cursor *c, json_t *out, const inspect_field *field);
static int encode_user_data(const json_t *in, duet_buffer *out, const inspect_field *field);

static const inspect_field fields_data[] = {
    {.name = "tsn", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "stream", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "ssn", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "ppid", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "data", .kind = INSPECT_PART, .decode = decode_user_data, .encode = encode_user_data},
    {.kind = INSPECT_END},
};
static const inspect_field fields_i_data[] = {
    {.name = "tsn", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "stream", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "reserved", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "mid", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "ppidOrFsn", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "data", .kind = INSPECT_PART, .decode = decode_user_data, .encode = encode_user_data},
    {.kind = INSPECT_END},
};
#define PARAMETERS                                                                                                     \
    {                                                                                                                  \
        .name = "parameters", .kind = INSPECT_PART, .decode = inspect_sctp_parameters_decode,                          \
        .encode = inspect_sctp_elements_encode                                                                         \
    }
static const inspect_field fields_init[] = {
    {.name = "initiateTag", .kind = INSPECT_CODE, .size = 4},
    {.name = "aRwnd", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "outboundStreams", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "inboundStreams", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "initialTsn", .kind = INSPECT_NUMBER, .size = 4},
    PARAMETERS,
    {.kind = INSPECT_END},
};
static const inspect_field fields_sack[] = {
    {.name = "cumulativeTsn", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "aRwnd", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "gapBlockCount", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "duplicateCount", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "gapBlocks", .kind = INSPECT_ROWS, .rows = row_gap, .count = "gapBlockCount"},
    {.name = "duplicateTsns", .kind = INSPECT_NUMBERS, .size = 4, .count = "duplicateCount"},
    {.kind = INSPECT_END},
};
static const inspect_field fields_parameters[] = {PARAMETERS, {.kind = INSPECT_END}};
static const inspect_field fields_causes[] = {
    {.name = "causes",
     .kind = INSPECT_PART,
     .decode = inspect_sctp_causes_decode,
     .encode = inspect_sctp_elements_encode},
    {.kind = INSPECT_END},
};
static const inspect_field fields_cumulative[] = {
    {.name = "cumulativeTsn", .kind = INSPECT_NUMBER, .size = 4},
    {.kind = INSPECT_END},
};
static const inspect_field fields_cookie[] = {{.name = "cookie", .kind = INSPECT_BYTES}, {.kind = INSPECT_END}};
static const inspect_field fields_lowest_tsn[] = {
    {.name = "lowestTsn", .kind = INSPECT_NUMBER, .size = 4},
    {.kind = INSPECT_END},
};
static const inspect_field fields_auth[] = {
    {.name = "sharedKeyId", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "hmacId", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "hmac", .kind = INSPECT_BYTES},
    {.kind = INSPECT_END},
};
static const inspect_field fields_asconf[] = {
    {.name = "serialNumber", .kind = INSPECT_NUMBER, .size = 4},
    PARAMETERS,
    {.kind = INSPECT_END},
};
static const inspect_field fields_pad[] = {{.name = "bytes", .kind = INSPECT_BYTES}, {.kind = INSPECT_END}};
static const inspect_field fields_forward[] = {
    {.name = "newCumulativeTsn", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "streams", .kind = INSPECT_ROWS, .rows = row_forward},
    {.kind = INSPECT_END},
};
static const inspect_field fields_i_forward[] = {
    {.name = "newCumulativeTsn", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "streams", .kind = INSPECT_ROWS, .rows = row_i_forward},
    {.kind = INSPECT_END},
};
static const inspect_field fields_none[] = {{.kind = INSPECT_END}};
static const inspect_field fields_unknown[] = {{.name = "bytes", .kind = INSPECT_BYTES}, {.kind = INSPECT_END}};

static const inspect_layout layouts[] = {
    {TYPE_DATA, "DATA", "RFC 9260, 3.3.1", fields_data},
    {1, "INIT", "RFC 9260, 3.3.2", fields_init},
    {2, "INIT ACK", "RFC 9260, 3.3.3", fields_init},
    {3, "SACK", "RFC 9260, 3.3.4", fields_sack},
    {4, "HEARTBEAT", "RFC 9260, 3.3.5", fields_parameters},
    {5, "HEARTBEAT ACK", "RFC 9260, 3.3.6", fields_parameters},
    {6, "ABORT", "RFC 9260, 3.3.7", fields_causes},
    {7, "SHUTDOWN", "RFC 9260, 3.3.8", fields_cumulative},
    {8, "SHUTDOWN ACK", "RFC 9260, 3.3.9", fields_none},
    {9, "ERROR", "RFC 9260, 3.3.10", fields_causes},
    {10, "COOKIE ECHO", "RFC 9260, 3.3.11", fields_cookie},
    {11, "COOKIE ACK", "RFC 9260, 3.3.12", fields_none},
    {12, "ECNE", "RFC 9260, appendix B", fields_lowest_tsn},
    {13, "CWR", "RFC 9260, appendix B", fields_lowest_tsn},
    {14, "SHUTDOWN COMPLETE", "RFC 9260, 3.3.13", fields_none},
    {15, "AUTH", "RFC 4895, 4.1", fields_auth},
    {TYPE_I_DATA, "I-DATA", "RFC 8260, 2.1", fields_i_data},
    {128, "ASCONF-ACK", "RFC 5061, 4.1.2", fields_asconf},
    {130, "RE-CONFIG", "RFC 6525, 3.1", fields_parameters},
    {132, "PAD", "RFC 4820, 3", fields_pad},
    {192, "FORWARD-TSN", "RFC 3758, 3.2", fields_forward},
    {193, "ASCONF", "RFC 5061, 4.1.1", fields_asconf},
    {194, "I-FORWARD-TSN", "RFC 8260, 2.3.1", fields_i_forward},
};

static const inspect_layout unknown = {0, NULL, "RFC 9260, 3.2", fields_unknown};

static const inspect_layout *layout_of(uint64_t type)
{
    const inspect_layout *layout =
        inspect_layout_find(layouts, sizeof(layouts) / sizeof(layouts[0]), (uint32_t)(type & 0xff));

    return layout ? layout : &unknown;
}

const char *inspect_sctp_chunk_name(uint64_t type)
{
    return layout_of(type)->name;
}

/* ---- user data ---- */

static bool carries_ppid(const json_t *chunk, uint64_t *ppid)
{
    uint64_t flags = 0;

    if (inspect_get_number(chunk, "ppid", ppid) == DUET_OK)
        return true;
    return inspect_get_number(chunk, "flags", &flags) == DUET_OK && flags & FLAG_BEGIN &&
           inspect_get_number(chunk, "ppidOrFsn", ppid) == DUET_OK;
}

/* The bytes, and what they are when they are a whole message: its text, or its DCEP message. */
static int decode_user_data(inspect_cursor *c, json_t *out, const inspect_field *field)
{
    const uint8_t *data = c->r.data;
    size_t len = c->r.len;
    uint64_t flags = 0, ppid = 0;
    inspect_error reason;

    if (len == 0)
        return inspect_fail(c, inspect_offset(c), "%s has no user data", c->what);
    inspect_set(out, field->name, inspect_hex(data, len));
    (void)inspect_get_number(out, "flags", &flags);
    bool has_ppid = carries_ppid(out, &ppid);
    if (has_ppid && ppid_name(ppid))
        inspect_set(out, "ppidName", json_string(ppid_name(ppid)));
    if (!has_ppid || (flags & (FLAG_BEGIN | FLAG_END)) != (FLAG_BEGIN | FLAG_END))
        return DUET_OK;
    if (ppid == PPID_TEXT)
        inspect_set(out, "text", inspect_text(data, len));
    if (ppid != PPID_DCEP)
        return DUET_OK;
    json_t *dcep = json_object();
    int err = inspect_dcep(data, len, dcep, &reason);
    inspect_set(out, "dcep", dcep);
    if (err != DUET_ERR_MALFORMED)
        return err;
    c->section = NULL; /* the reason cites its own */
    return inspect_fail(c, c->base + reason.offset, "DCEP: %.*s", (int)sizeof(reason.reason) - 8, reason.reason);
}

static int encode_user_data(const json_t *in, duet_buffer *out, const inspect_field *field)
{
    const json_t *dcep = json_object_get(in, "dcep");

    return dcep ? inspect_dcep_encode(dcep, out) : inspect_put_hex(json_object_get(in, field->name), out);
}

/* ---- chunks ---- */

static void set_data_flags(json_t *chunk, uint8_t flags)
{
    inspect_set(chunk, "begin", json_boolean(flags & FLAG_BEGIN));
    inspect_set(chunk, "end", json_boolean(flags & FLAG_END));
    inspect_set(chunk, "unordered", json_boolean(flags & FLAG_U));
    inspect_set(chunk, "immediate", json_boolean(flags & FLAG_I));
}

/* |   Chunk Type  |  Chunk Flags  |         Chunk Length          |   RFC 9260, 3.2 */
int inspect_sctp_chunk_decode(inspect_cursor *c, json_t *chunk)
{
    size_t at = inspect_offset(c), left = inspect_left(c);
    char what[32];

    c->section = "RFC 9260, 3.2";
    if (left < CHUNK_HEADER)
        return inspect_fail(c, at, "%zu bytes are left where a chunk header has 4", left);
    uint8_t type = duet_read_u8(&c->r), flags = duet_read_u8(&c->r);
    uint16_t len = duet_read_u16(&c->r);
    const inspect_layout *layout = layout_of(type);
    if (layout->name)
        snprintf(what, sizeof(what), "%s chunk", layout->name);
    else
        snprintf(what, sizeof(what), "chunk of type %u", type);
    if (len < CHUNK_HEADER || len > left)
        return inspect_fail(c, at, "%s says %u bytes, %zu are left", what, len, left);

    inspect_set(chunk, "offset", json_integer((json_int_t)at));
    inspect_set(chunk, "type", json_integer(type));
    if (layout->name)
        inspect_set(chunk, "name", json_string(layout->name));
    inspect_set(chunk, "flags", json_integer(flags));
    if (type == TYPE_DATA || type == TYPE_I_DATA)
        set_data_flags(chunk, flags);
    inspect_set(chunk, "length", json_integer(len));
    inspect_cursor body = inspect_sub(c, len - (size_t)CHUNK_HEADER);
    body.what = what;
    body.section = layout->section;
    int err = inspect_fields_decode_all(&body, layout->fields, chunk);
    if (err == DUET_OK)
        inspect_padding_decode(c, len, chunk);
    return err;
}

int inspect_sctp_chunk_encode(const json_t *chunk, duet_buffer *out)
{
    uint64_t type, flags;
    size_t at = out->len;

    if (inspect_get_number(chunk, "type", &type) != DUET_OK || inspect_get_number(chunk, "flags", &flags) != DUET_OK)
        return DUET_ERR_INVALID;
    inspect_put_number(out, type, 1);
    inspect_put_number(out, flags, 1);
    inspect_put_number(out, 0, 2);
    int err = inspect_fields_encode(chunk, layout_of(type)->fields, out);
    if (err != DUET_OK)
        return err;
    size_t len = out->len - at;
    inspect_put_number_at(out, at + 2, len, 2);
    return inspect_padding_encode(chunk, len, out);
}
