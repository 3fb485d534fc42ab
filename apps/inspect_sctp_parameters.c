/* SCTP parameters and error causes: type, length, value, padding.
 * RFC 9260 sections 3.2.1, 3.3.2.1, 3.3.3.1 and 3.3.10; RFC 3758, 4895, 5061, 6525, 9653. */
#include "inspect_sctp.h"

#define ELEMENT_HEADER 4

static const inspect_field fields_none[] = {{.kind = INSPECT_END}};
static const inspect_field fields_bytes[] = {{.name = "bytes", .kind = INSPECT_BYTES}, {.kind = INSPECT_END}};
static const inspect_field fields_text[] = {{.name = "text", .kind = INSPECT_TEXT}, {.kind = INSPECT_END}};
static const inspect_field fields_ipv4[] = {
    {.name = "address", .kind = INSPECT_FIXED, .size = 4},
    {.kind = INSPECT_END},
};
static const inspect_field fields_ipv6[] = {
    {.name = "address", .kind = INSPECT_FIXED, .size = 16},
    {.kind = INSPECT_END},
};
static const inspect_field fields_u32[] = {
    {.name = "value", .kind = INSPECT_NUMBER, .size = 4},
    {.kind = INSPECT_END},
};
static const inspect_field fields_u16_list[] = {
    {.name = "values", .kind = INSPECT_NUMBERS, .size = 2},
    {.kind = INSPECT_END},
};
static const inspect_field fields_chunk_types[] = {
    {.name = "chunkTypes", .kind = INSPECT_CODES, .size = 1, .code_name = inspect_sctp_chunk_name},
    {.kind = INSPECT_END},
};

/* ---- RFC 6525, section 4 ---- */

#define REQUEST_NUMBER                                                                                                 \
    {                                                                                                                  \
        .name = "requestSequenceNumber", .kind = INSPECT_NUMBER, .size = 4                                             \
    }

static const char *result_name(uint64_t result)
{
    static const char *const names[] = {"Success - Nothing to do",
                                        "Success - Performed",
                                        "Denied",
                                        "Error - Wrong SSN",
                                        "Error - Request already in progress",
                                        "Error - Bad Sequence Number",
                                        "In progress"};

    return result < sizeof(names) / sizeof(names[0]) ? names[result] : NULL;
}

static const inspect_field fields_outgoing_reset[] = {
    REQUEST_NUMBER,
    {.name = "responseSequenceNumber", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "lastTsn", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "streams", .kind = INSPECT_NUMBERS, .size = 2},
    {.kind = INSPECT_END},
};
static const inspect_field fields_incoming_reset[] = {
    REQUEST_NUMBER,
    {.name = "streams", .kind = INSPECT_NUMBERS, .size = 2},
    {.kind = INSPECT_END},
};
static const inspect_field fields_tsn_reset[] = {REQUEST_NUMBER, {.kind = INSPECT_END}};
static const inspect_field fields_response[] = {
    {.name = "responseSequenceNumber", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "result", .kind = INSPECT_CODE, .size = 4, .code_name = result_name},
    {.name = "senderNextTsn", .kind = INSPECT_OPTIONAL, .size = 4},
    {.name = "receiverNextTsn", .kind = INSPECT_OPTIONAL, .size = 4},
    {.kind = INSPECT_END},
};
static const inspect_field fields_add_streams[] = {
    REQUEST_NUMBER,
    {.name = "newStreams", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "reserved", .kind = INSPECT_NUMBER, .size = 2},
    {.kind = INSPECT_END},
};

/* ---- RFC 5061, section 4.2: a correlation id, then parameters or causes ---- */

static const inspect_field fields_correlated_parameters[] = {
    {.name = "correlationId", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "bytes", .kind = INSPECT_BYTES},
    {.kind = INSPECT_END},
};

static const inspect_layout parameters[] = {
    {0x0001, "Heartbeat Info", "RFC 9260, 3.3.5", fields_bytes},
    {0x0005, "IPv4 Address", "RFC 9260, 3.3.2.1.1", fields_ipv4},
    {0x0006, "IPv6 Address", "RFC 9260, 3.3.2.1.2", fields_ipv6},
    {0x0007, "State Cookie", "RFC 9260, 3.3.3.1.1", fields_bytes},
    {0x0008, "Unrecognized Parameter", "RFC 9260, 3.3.3.1.2", fields_bytes},
    {0x0009, "Cookie Preservative", "RFC 9260, 3.3.2.1.3", fields_u32},
    {0x000b, "Host Name Address", "RFC 9260, 3.3.2.1.4", fields_text},
    {0x000c, "Supported Address Types", "RFC 9260, 3.3.2.1.5", fields_u16_list},
    {0x000d, "Outgoing SSN Reset Request", "RFC 6525, 4.1", fields_outgoing_reset},
    {0x000e, "Incoming SSN Reset Request", "RFC 6525, 4.2", fields_incoming_reset},
    {0x000f, "SSN/TSN Reset Request", "RFC 6525, 4.3", fields_tsn_reset},
    {0x0010, "Re-configuration Response", "RFC 6525, 4.4", fields_response},
    {0x0011, "Add Outgoing Streams Request", "RFC 6525, 4.5", fields_add_streams},
    {0x0012, "Add Incoming Streams Request", "RFC 6525, 4.6", fields_add_streams},
    {0x8000, "ECN Capable", "RFC 9260, appendix B", fields_none},
    {0x8001, "Zero Checksum Acceptable", "RFC 9653, 4", fields_u32},
    {0x8002, "Random", "RFC 4895, 3.1", fields_bytes},
    {0x8003, "Chunk List", "RFC 4895, 3.2", fields_chunk_types},
    {0x8004, "Requested HMAC Algorithm", "RFC 4895, 3.3", fields_u16_list},
    {0x8005, "Padding", "RFC 4820, 4", fields_bytes},
    {0x8008, "Supported Extensions", "RFC 5061, 4.2.7", fields_chunk_types},
    {0xc000, "Forward-TSN-Supported", "RFC 3758, 3.1", fields_none},
    {0xc001, "Add IP Address", "RFC 5061, 4.2.1", fields_correlated_parameters},
    {0xc002, "Delete IP Address", "RFC 5061, 4.2.2", fields_correlated_parameters},
    {0xc003, "Error Cause Indication", "RFC 5061, 4.2.3", fields_correlated_parameters},
    {0xc004, "Set Primary Address", "RFC 5061, 4.2.4", fields_correlated_parameters},
    {0xc005, "Success Indication", "RFC 5061, 4.2.5", fields_u32},
    {0xc006, "Adaptation Layer Indication", "RFC 5061, 4.2.6", fields_u32},
};

/* ---- error causes ---- */

static const inspect_field fields_invalid_stream[] = {
    {.name = "stream", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "reserved", .kind = INSPECT_NUMBER, .size = 2},
    {.kind = INSPECT_END},
};
static const inspect_field fields_missing[] = {
    {.name = "missingCount", .kind = INSPECT_NUMBER, .size = 4},
    {.name = "missing", .kind = INSPECT_CODES, .size = 2, .count = "missingCount"},
    {.kind = INSPECT_END},
};

static const inspect_layout causes[] = {
    {1, "Invalid Stream Identifier", "RFC 9260, 3.3.10.1", fields_invalid_stream},
    {2, "Missing Mandatory Parameter", "RFC 9260, 3.3.10.2", fields_missing},
    {3, "Stale Cookie", "RFC 9260, 3.3.10.3", fields_u32},
    {4, "Out of Resource", "RFC 9260, 3.3.10.4", fields_none},
    {5, "Unresolvable Address", "RFC 9260, 3.3.10.5", fields_bytes},
    {6, "Unrecognized Chunk Type", "RFC 9260, 3.3.10.6", fields_bytes},
    {7, "Invalid Mandatory Parameter", "RFC 9260, 3.3.10.7", fields_bytes},
    {8, "Unrecognized Parameters", "RFC 9260, 3.3.10.8", fields_bytes},
    {9, "No User Data", "RFC 9260, 3.3.10.9", fields_u32},
    {10, "Cookie Received While Shutting Down", "RFC 9260, 3.3.10.10", fields_bytes},
    {11, "Restart of an Association with New Addresses", "RFC 9260, 3.3.10.11", fields_bytes},
    {12, "User-Initiated Abort", "RFC 9260, 3.3.10.12", fields_text},
    {13, "Protocol Violation", "RFC 9260, 3.3.10.13", fields_text},
};

static const inspect_layout unknown = {0, NULL, "RFC 9260, 3.2.1", fields_bytes};

static const inspect_layout *layout_of(bool is_cause, uint64_t type)
{
    const inspect_layout *layout =
        is_cause ? inspect_layout_find(causes, sizeof(causes) / sizeof(causes[0]), (uint32_t)type)
                 : inspect_layout_find(parameters, sizeof(parameters) / sizeof(parameters[0]), (uint32_t)type);

    return layout ? layout : &unknown;
}

/* |          Type                 |             Length            |   RFC 9260, 3.2.1 and 3.3.10 */
static int decode_element(inspect_cursor *c, json_t *element, bool is_cause)
{
    size_t at = inspect_offset(c), left = inspect_left(c);
    const char *word = is_cause ? "error cause" : "parameter";
    char what[80];

    c->section = is_cause ? "RFC 9260, 3.3.10" : "RFC 9260, 3.2.1";
    if (left < ELEMENT_HEADER)
        return inspect_fail(c, at, "%s: %zu bytes are left where the header of a %s has 4", c->what, left, word);
    uint16_t type = duet_read_u16(&c->r), len = duet_read_u16(&c->r);
    if (len < ELEMENT_HEADER || len > left)
        return inspect_fail(c, at, "%s 0x%04x says %u bytes, %zu are left", word, type, len, left);
    const inspect_layout *layout = layout_of(is_cause, type);
    snprintf(what, sizeof(what), "%s %s", word, layout->name ? layout->name : "of unknown type");
    inspect_set(element, "type", inspect_code(type, 2, NULL));
    if (layout->name)
        inspect_set(element, "name", json_string(layout->name));
    inspect_set(element, "length", json_integer(len));
    inspect_cursor body = inspect_sub(c, len - (size_t)ELEMENT_HEADER);
    body.what = what;
    body.section = layout->section;
    int err = inspect_fields_decode_all(&body, layout->fields, element);
    if (err == DUET_OK)
        inspect_padding_decode(c, len, element);
    return err;
}

static int decode_elements(inspect_cursor *c, json_t *out, const inspect_field *field, bool is_cause)
{
    json_t *list = json_array();
    int err = DUET_OK;

    inspect_set(out, field->name, list);
    while (err == DUET_OK && inspect_left(c) > 0) {
        json_t *element = json_object();
        if (!element)
            return DUET_ERR_NOMEM;
        json_array_append_new(list, element);
        err = decode_element(c, element, is_cause);
    }
    return err;
}

int inspect_sctp_parameters_decode(inspect_cursor *c, json_t *out, const inspect_field *field)
{
    return decode_elements(c, out, field, false);
}

int inspect_sctp_causes_decode(inspect_cursor *c, json_t *out, const inspect_field *field)
{
    return decode_elements(c, out, field, true);
}

static int encode_element(const json_t *element, duet_buffer *out, bool is_cause)
{
    size_t at = out->len;
    uint64_t type;

    int err = inspect_get_number(element, "type", &type);
    if (err != DUET_OK)
        return err;
    inspect_put_number(out, type, 2);
    inspect_put_number(out, 0, 2);
    err = inspect_fields_encode(element, layout_of(is_cause, type)->fields, out);
    if (err != DUET_OK)
        return err;
    size_t len = out->len - at;
    inspect_put_number_at(out, at + 2, len, 2);
    return inspect_padding_encode(element, len, out);
}

int inspect_sctp_elements_encode(const json_t *in, duet_buffer *out, const inspect_field *field)
{
    const json_t *element;
    int err = DUET_OK;
    size_t i;

    json_array_foreach(json_object_get(in, field->name), i, element)
    {
        if (err == DUET_OK)
            err = encode_element(element, out, field->decode == inspect_sctp_causes_decode);
    }
    return err;
}
