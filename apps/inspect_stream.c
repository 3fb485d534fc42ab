/* ChannelData (RFC 8656 section 12.4), and the frames of TCP streams: those of TURN (section 12.5) and those with a length before
 * each (RFC 4571 section 2), as ICE-TCP has them. */
#include "inspect_stream.h"
#include "inspect_layout.h"
#include <string.h>

#define STUN_HEADER    20
#define CHANNEL_HEADER 4
#define LENGTH_HEADER  2

const char *inspect_protocol_of(duet_bytes bytes)
{
    uint8_t first = bytes.len > 0 ? bytes.data[0] : 255;

    if (bytes.len == 0)
        return "empty";
    if (first <= 3)
        return "stun";
    if (first >= 16 && first <= 19)
        return "zrtp";
    if (first >= 20 && first <= 63)
        return "dtls";
    if (first >= 64 && first <= 79)
        return "channeldata";
    if (first < 128 || first > 191)
        return "unknown";
    uint8_t type = bytes.len > 1 ? bytes.data[1] & 0x7f : 0;
    return type >= 64 && type <= 95 ? "rtcp" : "rtp";
}

/* ---- ChannelData --------------------------------------------------------------------------------------------------------- */

/* |         Channel Number        |            Length             |   RFC 8656, 12.4 */
static const inspect_field channel_fields[] = {
    {.name = "channel", .kind = INSPECT_CODE, .size = 2},
    {.name = "data", .kind = INSPECT_BYTES, .prefix = 2},
    {.kind = INSPECT_END},
};

int inspect_channeldata(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    inspect_cursor c = inspect_cursor_init(data, len, error);
    duet_reader r = duet_reader_init(data, len);
    uint16_t channel = duet_read_u16(&r);

    c.what = "ChannelData";
    c.section = "RFC 8656, 12.4";
    if (!r.failed && (channel < 0x4000 || channel > 0x4FFF))
        return inspect_fail(&c, 0, "channel number 0x%04x is outside 0x4000 to 0x4fff", (unsigned)channel);
    int err = inspect_fields_decode(&c, channel_fields, out);
    if (err != DUET_OK)
        return err;
    uint16_t says = duet_read_u16(&r);
    duet_bytes payload = duet_read_bytes(&r, says);
    inspect_set(out, "protocol", json_string(inspect_protocol_of(payload)));
    if (inspect_left(&c) > 3)
        return inspect_fail(&c, inspect_offset(&c), "%zu bytes follow the data: padding has three at most",
                            inspect_left(&c));
    if (inspect_left(&c) > 0) {
        duet_bytes padding = duet_read_bytes(&c.r, inspect_left(&c));
        inspect_set(out, "padding", inspect_hex(padding.data, padding.len));
    }
    return DUET_OK;
}

int inspect_channeldata_encode(const json_t *in, duet_buffer *out)
{
    const json_t *padding = json_object_get(in, "padding");

    int err = inspect_fields_encode(in, channel_fields, out);
    if (err == DUET_OK && padding)
        err = inspect_put_hex(padding, out);
    return err == DUET_OK && out->failed ? DUET_ERR_NOMEM : err;
}

/* ---- frames ---------------------------------------------------------------------------------------------------------------- */

/* A frame that begins at the reader: header bytes before it, the frame, padding behind it. False when no frame can begin so. */
typedef struct extent {
    size_t before, len, padding;
} extent;

static bool measure_turn(const duet_reader *at, extent *out)
{
    duet_reader r = *at;
    uint16_t first = duet_read_u16(&r);
    size_t len = duet_read_u16(&r);

    if (r.failed)
        return false;
    if (first >> 12 == 4) {
        *out = (extent){0, CHANNEL_HEADER + len, (4 - len % 4) % 4};
        return true;
    }
    *out = (extent){0, STUN_HEADER + len, 0};
    return first >> 14 == 0 && len % 4 == 0;
}

static bool measure_length(const duet_reader *at, extent *out)
{
    duet_reader r = *at;

    *out = (extent){LENGTH_HEADER, duet_read_u16(&r), 0};
    return !r.failed;
}

static int decode_frame(duet_bytes frame, json_t *list)
{
    const char *protocol = inspect_protocol_of(frame);
    const inspect_kind *kind = inspect_kind_on_wire(protocol);
    json_t *item = json_object(), *message = json_object();
    inspect_error error = {0};

    if (!item || !message || json_array_append(list, item) != 0) {
        json_decref(item);
        json_decref(message);
        return DUET_ERR_NOMEM;
    }
    inspect_set(item, "protocol", json_string(protocol));
    inspect_set(item, "bytes", inspect_hex(frame.data, frame.len));
    if (kind && kind->decode(frame.data, frame.len, message, &error) == DUET_OK) {
        json_object_set(item, "message", message);
    } else if (kind) {
        inspect_set(item, "error", json_string(error.reason));
    }
    json_decref(message);
    json_decref(item);
    return DUET_OK;
}

/* @return whether the whole of it is frames, but for one that is cut at the end */
static bool walk(duet_bytes bytes, bool (*measure)(const duet_reader *at, extent *out), json_t *frames, size_t *used)
{
    duet_reader r = duet_reader_init(bytes.data, bytes.len);
    extent e;

    *used = 0;
    while (duet_reader_left(&r) >= CHANNEL_HEADER && measure(&r, &e)) {
        if (e.before + e.len + e.padding > duet_reader_left(&r))
            return true;
        duet_read_skip(&r, e.before);
        duet_bytes frame = duet_read_bytes(&r, e.len);
        duet_read_skip(&r, e.padding);
        if (frames && decode_frame(frame, frames) != DUET_OK)
            return false;
        *used = r.pos;
    }
    return duet_reader_left(&r) < CHANNEL_HEADER;
}

static int decode_frames(const uint8_t *data, size_t len, bool (*measure)(const duet_reader *at, extent *out),
                         const char *section, json_t *out, inspect_error *error)
{
    inspect_cursor c = inspect_cursor_init(data, len, error);
    duet_bytes bytes = {data, len};
    json_t *frames = json_array();
    size_t used;

    c.what = "frame";
    c.section = section;
    if (!frames)
        return DUET_ERR_NOMEM;
    bool complete = walk(bytes, measure, frames, &used);
    inspect_set(out, "frames", frames);
    if (!complete)
        return inspect_fail(&c, used, "no frame begins here");
    duet_reader r = duet_reader_init(data, len);
    duet_read_skip(&r, used);
    size_t left = duet_reader_left(&r);
    if (left > 0) {
        duet_bytes rest = duet_read_bytes(&r, left);
        inspect_set(out, "rest", inspect_hex(rest.data, rest.len)); /* the beginning of the next one */
    }
    return DUET_OK;
}

static bool measure_padded_with_zeros(const duet_reader *at, extent *out)
{
    if (!measure_turn(at, out))
        return false;
    for (size_t i = 0; i < out->padding; i++) {
        if (duet_peek_u8(at, out->len + i) != 0 && out->len + i < duet_reader_left(at))
            return false; /* legal, but then the model would not say all */
    }
    return true;
}

int inspect_turn_stream(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    return decode_frames(data, len, measure_padded_with_zeros, "RFC 8656, 12.5", out, error);
}

int inspect_rfc4571(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    return decode_frames(data, len, measure_length, "RFC 4571, 2", out, error);
}

static int encode_frames(const json_t *in, duet_buffer *out, bool with_length)
{
    const json_t *frame, *rest = json_object_get(in, "rest");
    int err = DUET_OK;
    size_t i;

    json_array_foreach(json_object_get(in, "frames"), i, frame)
    {
        size_t start = out->len;
        if (with_length)
            inspect_put_number(out, 0, LENGTH_HEADER);
        if (err == DUET_OK)
            err = inspect_put_hex(json_object_get(frame, "bytes"), out);
        if (with_length)
            inspect_put_number_at(out, start, out->len - start - LENGTH_HEADER, LENGTH_HEADER);
        else
            inspect_put_number(out, 0, (4 - (out->len - start) % 4) % 4);
    }
    if (err == DUET_OK && rest)
        err = inspect_put_hex(rest, out);
    return err == DUET_OK && out->failed ? DUET_ERR_NOMEM : err;
}

int inspect_turn_stream_encode(const json_t *in, duet_buffer *out)
{
    return encode_frames(in, out, false);
}

int inspect_rfc4571_encode(const json_t *in, duet_buffer *out)
{
    return encode_frames(in, out, true);
}

const char *inspect_framing_of(duet_bytes bytes)
{
    size_t used;

    if (walk(bytes, measure_turn, NULL, &used) && used > 0)
        return "turn-stream";
    return walk(bytes, measure_length, NULL, &used) && used > 0 ? "rfc4571" : NULL;
}
