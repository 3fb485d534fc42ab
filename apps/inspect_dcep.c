/* DCEP messages: DATA_CHANNEL_OPEN and DATA_CHANNEL_ACK.
 * RFC 8832 section 5. */
#include "duet/dcep.h"
#include "inspect_layout.h"

static const char *channel_type_name(uint64_t type)
{
    switch (type) { /* RFC 8832, 8.2.2 */
    case DUET_DCEP_RELIABLE:
        return "DATA_CHANNEL_RELIABLE";
    case DUET_DCEP_PARTIAL_REXMIT:
        return "DATA_CHANNEL_PARTIAL_RELIABLE_REXMIT";
    case DUET_DCEP_PARTIAL_TIMED:
        return "DATA_CHANNEL_PARTIAL_RELIABLE_TIMED";
    case DUET_DCEP_UNORDERED | DUET_DCEP_RELIABLE:
        return "DATA_CHANNEL_RELIABLE_UNORDERED";
    case DUET_DCEP_UNORDERED | DUET_DCEP_PARTIAL_REXMIT:
        return "DATA_CHANNEL_PARTIAL_RELIABLE_REXMIT_UNORDERED";
    case DUET_DCEP_UNORDERED | DUET_DCEP_PARTIAL_TIMED:
        return "DATA_CHANNEL_PARTIAL_RELIABLE_TIMED_UNORDERED";
    default:
        return NULL;
    }
}

static void describe(json_t *out, const duet_dcep_open *open)
{
    const char *name = channel_type_name(open->channel_type);
    uint8_t limit = open->channel_type & (uint8_t)~DUET_DCEP_UNORDERED;

    inspect_set(out, "message", json_string("DATA_CHANNEL_OPEN"));
    inspect_set(out, "messageType", json_integer(DUET_DCEP_OPEN));
    inspect_set(out, "channelType", inspect_code(open->channel_type, 1, name));
    inspect_set(out, "ordered", json_boolean(!(open->channel_type & DUET_DCEP_UNORDERED)));
    if (limit == DUET_DCEP_PARTIAL_REXMIT)
        inspect_set(out, "maxRetransmits", json_integer(open->reliability));
    if (limit == DUET_DCEP_PARTIAL_TIMED)
        inspect_set(out, "maxPacketLifeTime", json_integer(open->reliability));
    inspect_set(out, "priority", json_integer(open->priority));
    inspect_set(out, "reliability", json_integer(open->reliability));
    inspect_set(out, "label", inspect_text((const uint8_t *)open->label, open->label_len));
    inspect_set(out, "protocol", inspect_text((const uint8_t *)open->protocol, open->protocol_len));
}

/* Where a message that duet_dcep_parse_open refuses is wrong. */
static int explain(const inspect_cursor *c, const uint8_t *data, size_t len)
{
    if (len < DUET_DCEP_OPEN_HEADER)
        return inspect_fail(c, len, "DATA_CHANNEL_OPEN has at least %d bytes, this one has %zu", DUET_DCEP_OPEN_HEADER,
                            len);
    size_t label = (size_t)data[8] << 8 | data[9], protocol = (size_t)data[10] << 8 | data[11];
    size_t left = len - DUET_DCEP_OPEN_HEADER;
    if (label > left)
        return inspect_fail(c, 8, "the label says %zu bytes, %zu are left", label, left);
    if (protocol > left - label)
        return inspect_fail(c, 10, "the protocol says %zu bytes, %zu are left", protocol, left - label);
    if (label + protocol < left)
        return inspect_fail(c, DUET_DCEP_OPEN_HEADER + label + protocol, "%zu bytes follow the protocol",
                            left - label - protocol);
    return inspect_fail(c, 1, "channel type 0x%02x is unknown", data[1]);
}

int inspect_dcep(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    inspect_cursor c = inspect_cursor_init(data, len, error);
    duet_dcep_open open;

    c.section = "RFC 8832, 5.1";
    int type = duet_dcep_message_type(data, len);
    if (type == DUET_DCEP_OPEN) {
        if (duet_dcep_parse_open(&open, data, len) != DUET_OK)
            return explain(&c, data, len);
        describe(out, &open);
        return DUET_OK;
    }
    c.section = "RFC 8832, 5.2";
    if (type == DUET_DCEP_ACK) {
        if (len != 1)
            return inspect_fail(&c, 1, "DATA_CHANNEL_ACK has one byte, this one has %zu", len);
        inspect_set(out, "message", json_string("DATA_CHANNEL_ACK"));
        inspect_set(out, "messageType", json_integer(DUET_DCEP_ACK));
        return DUET_OK;
    }
    c.section = "RFC 8832, 8.2.1";
    if (len == 0)
        return inspect_fail(&c, 0, "the message is empty");
    return inspect_fail(&c, 0, "message type %u is not DATA_CHANNEL_ACK (2) or DATA_CHANNEL_OPEN (3)", data[0]);
}

static const inspect_field open_fields[] = {
    {.name = "messageType", .kind = INSPECT_NUMBER, .size = 1},
    {.name = "channelType", .kind = INSPECT_CODE, .size = 1},
    {.name = "priority", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "reliability", .kind = INSPECT_NUMBER, .size = 4},
    {.kind = INSPECT_END},
};

int inspect_dcep_encode(const json_t *in, duet_buffer *out)
{
    uint64_t type;

    int err = inspect_get_number(in, "messageType", &type);
    if (err == DUET_OK && type == DUET_DCEP_ACK) {
        inspect_put_number(out, type, 1);
        return out->failed ? DUET_ERR_NOMEM : DUET_OK;
    }
    if (err == DUET_OK)
        err = inspect_fields_encode(in, open_fields, out);
    size_t lengths = out->len;
    inspect_put_number(out, 0, 4);
    size_t label = out->len;
    if (err == DUET_OK)
        err = inspect_put_text(json_object_get(in, "label"), out);
    size_t protocol = out->len;
    if (err == DUET_OK)
        err = inspect_put_text(json_object_get(in, "protocol"), out);
    inspect_put_number_at(out, lengths, protocol - label, 2);
    inspect_put_number_at(out, lengths + 2, out->len - protocol, 2);
    return err == DUET_OK && out->failed ? DUET_ERR_NOMEM : err;
}
