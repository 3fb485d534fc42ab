/* RTP payloads: what the descriptor of the codec says, and the rest. Which codec it is must be known from elsewhere, so each is a
 * kind of its own. RFC 7587, 3551, 7741, 9628, 6184, 7798 and the AV1 RTP specification. */
#include "duet/payload.h"
#include "inspect_layout.h"

static void set_unless_absent(json_t *out, const char *name, int value)
{
    if (value >= 0)
        inspect_set(out, name, json_integer(value));
}

static void describe(json_t *out, const duet_payload_info *info, bool is_video)
{
    inspect_set(out, "startsFrame", json_boolean(info->starts_frame));
    if (!is_video)
        return;
    inspect_set(out, "keyFrame", json_boolean(info->is_keyframe));
    inspect_set(out, "discardable", json_boolean(info->is_discardable));
    set_unless_absent(out, "pictureId", info->picture_id);
    if (info->picture_id >= 0)
        inspect_set(out, "pictureIdBits", json_integer(info->picture_id_bits));
    set_unless_absent(out, "tl0PictureIndex", info->tl0_picture_index);
    set_unless_absent(out, "temporalId", info->temporal_id);
    set_unless_absent(out, "spatialId", info->spatial_id);
    inspect_set(out, "layerSync", json_boolean(info->layer_sync));
    inspect_set(out, "interLayer", json_boolean(info->inter_layer));
    if (info->width > 0) {
        inspect_set(out, "width", json_integer(info->width));
        inspect_set(out, "height", json_integer(info->height));
    }
}

static int decode(duet_payload_format format, const char *codec, const char *section, const uint8_t *data, size_t len,
                  json_t *out, inspect_error *error)
{
    inspect_cursor c = inspect_cursor_init(data, len, error);
    duet_payload_info info;

    c.section = section;
    if (len > INSPECT_DATAGRAM_MAX)
        return inspect_fail(&c, INSPECT_DATAGRAM_MAX, "%zu bytes are more than a datagram can hold", len);
    int err = duet_payload_inspect(format, data, len, &info);
    if (err == DUET_ERR_UNSUPPORTED)
        return inspect_fail(&c, 0, "a %s payload that begins with 0x%02x is none that is understood", codec,
                            (unsigned)duet_peek_u8(&c.r, 0));
    if (err != DUET_OK)
        return inspect_fail(&c, len, "the payload of %zu bytes is none of %s, or ends too early", len, codec);
    inspect_set(out, "codec", json_string(codec));
    describe(out, &info, duet_payload_format_is_video(format));
    if (format == DUET_PAYLOAD_OPUS)
        inspect_set(out, "duration", json_real(duet_opus_packet_duration(data, len) / 48000.0));
    duet_bytes descriptor = duet_read_bytes(&c.r, info.descriptor_len);
    duet_bytes rest = duet_read_bytes(&c.r, duet_reader_left(&c.r));
    inspect_set(out, "descriptor", inspect_hex(descriptor.data, descriptor.len));
    inspect_set(out, "data", inspect_hex(rest.data, rest.len));
    return DUET_OK;
}

int inspect_payload_encode(const json_t *in, duet_buffer *out)
{
    int err = inspect_put_hex(json_object_get(in, "descriptor"), out);

    if (err == DUET_OK)
        err = inspect_put_hex(json_object_get(in, "data"), out);
    return err == DUET_OK && out->failed ? DUET_ERR_NOMEM : err;
}

int inspect_payload_opus(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    return decode(DUET_PAYLOAD_OPUS, "opus", "RFC 6716, 3", data, len, out, error);
}

int inspect_payload_g711(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    return decode(DUET_PAYLOAD_G711, "G711", "RFC 3551, 4.5.14", data, len, out, error);
}

int inspect_payload_vp8(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    return decode(DUET_PAYLOAD_VP8, "VP8", "RFC 7741, 4.2", data, len, out, error);
}

int inspect_payload_vp9(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    return decode(DUET_PAYLOAD_VP9, "VP9", "RFC 9628, 4.2", data, len, out, error);
}

int inspect_payload_h264(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    return decode(DUET_PAYLOAD_H264, "H264", "RFC 6184, 5.2", data, len, out, error);
}

int inspect_payload_h265(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    return decode(DUET_PAYLOAD_H265, "H265", "RFC 7798, 4.4", data, len, out, error);
}

int inspect_payload_av1(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    return decode(DUET_PAYLOAD_AV1, "AV1", "AV1 RTP, 4.4", data, len, out, error);
}
