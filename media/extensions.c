/* Header extensions of RTP (RFC 8285): elements with one-byte and two-byte headers, which id means what, and their values. */
#include "base/bytes.h"
#include "base/text.h"
#include "duet/rtp.h"
#include <string.h>

#define PROFILE_ONE_BYTE   0xBEDE /* RFC 8285 section 4.2 */
#define PROFILE_TWO_BYTE   0x1000 /* RFC 8285 section 4.3; the low four bits are the application's */
#define ONE_BYTE_ID_MAX    14
#define ONE_BYTE_VALUE_MAX 16
#define TWO_BYTE_VALUE_MAX 255
#define ID_STOP            15 /* "processing ... terminates": RFC 8285 section 4.2 */

static const char *const uris[DUET_RTP_EXT_COUNT] = {
    [DUET_RTP_EXT_MID] = "urn:ietf:params:rtp-hdrext:sdes:mid",
    [DUET_RTP_EXT_RID] = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    [DUET_RTP_EXT_REPAIRED_RID] = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    [DUET_RTP_EXT_ABS_SEND_TIME] = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    [DUET_RTP_EXT_TRANSPORT_CC] = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    [DUET_RTP_EXT_AUDIO_LEVEL] = "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    [DUET_RTP_EXT_MIXER_LEVELS] = "urn:ietf:params:rtp-hdrext:csrc-audio-level",
    [DUET_RTP_EXT_VIDEO_ORIENTATION] = "urn:3gpp:video-orientation",
    [DUET_RTP_EXT_PLAYOUT_DELAY] = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    [DUET_RTP_EXT_ABS_CAPTURE_TIME] = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
    [DUET_RTP_EXT_VIDEO_CONTENT_TYPE] = "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
    [DUET_RTP_EXT_VIDEO_TIMING] = "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
    [DUET_RTP_EXT_COLOR_SPACE] = "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
    [DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR] =
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
    [DUET_RTP_EXT_LAYERS_ALLOCATION] = "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00",
    [DUET_RTP_EXT_TOFFSET] = "urn:ietf:params:rtp-hdrext:toffset",
};

const char *duet_rtp_extension_uri(duet_rtp_extension_kind kind)
{
    return (unsigned)kind < DUET_RTP_EXT_COUNT ? uris[kind] : NULL;
}

duet_rtp_extension_kind duet_rtp_extension_of_uri(const char *uri)
{
    for (int kind = 0; kind < DUET_RTP_EXT_COUNT; kind++) {
        if (strcmp(uris[kind], uri) == 0)
            return (duet_rtp_extension_kind)kind;
    }
    return DUET_RTP_EXT_COUNT;
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

/* The head of the next element. @return 1; 0 when there are no more */
static int read_one_byte_head(duet_reader *r, uint8_t *id, size_t *len)
{
    uint8_t head = duet_read_u8(r);

    *id = head >> 4;
    *len = (head & 0x0f) + 1u;
    /* An id of 0 with a length is no padding: nothing from there on counts (RFC 8285 section 4.2). */
    return *id != 0 && *id != ID_STOP;
}

static int read_two_byte_head(duet_reader *r, uint8_t *id, size_t *len)
{
    *id = duet_read_u8(r);
    *len = duet_read_u8(r);
    return 1;
}

int duet_rtp_next_extension(const duet_rtp_packet *packet, size_t *cursor, uint8_t *id, const uint8_t **data,
                            size_t *len)
{
    bool one_byte = packet->extension_profile == PROFILE_ONE_BYTE;
    duet_reader r = duet_reader_init(packet->extension, packet->extension_len);

    if (!one_byte && (packet->extension_profile & 0xfff0) != PROFILE_TWO_BYTE)
        return 0;
    if (*cursor >= packet->extension_len)
        return 0;
    duet_read_skip(&r, *cursor);
    while (duet_reader_left(&r) && duet_peek_u8(&r, 0) == 0)
        duet_read_skip(&r, 1);
    if (duet_reader_left(&r) == 0)
        return 0;
    if (!(one_byte ? read_one_byte_head : read_two_byte_head)(&r, id, len)) {
        *cursor = packet->extension_len;
        return 0;
    }
    duet_bytes value = duet_read_bytes(&r, *len);
    if (r.failed)
        return DUET_ERR_MALFORMED;
    *data = value.data;
    *cursor = r.pos;
    return 1;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static bool is_rid_char(uint8_t c)
{
    return duet_char_is_alnum(c) || c == '-' || c == '_';
}

static bool read_name(char out[DUET_RTP_SDES_MAX + 1], duet_bytes value, duet_char_class is)
{
    return duet_text_all(value, is) && duet_text_copy(out, DUET_RTP_SDES_MAX + 1, value);
}

/* RFC 6465 section 3: the level of each CSRC, in their order. */
static bool read_mixer_levels(duet_rtp_extensions *out, duet_reader *r)
{
    size_t count = duet_reader_left(r);

    if (count == 0 || count > DUET_RTP_CSRC_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        out->mixer_levels[i] = duet_read_u8(r) & 0x7f;
    out->mixer_level_count = (uint8_t)count;
    return true;
}

/* |0 0 0 0 C F R1 R0|: camera, flip, rotation in quarters. 3GPP TS 26.114 section 7.4.5 */
static bool read_orientation(duet_rtp_extensions *out, duet_reader *r)
{
    uint8_t bits = duet_read_u8(r);

    out->camera_back = bits & 0x08;
    out->flip = bits & 0x04;
    out->rotation = (uint16_t)(90 * (bits & 0x03));
    return true;
}

/* Two times 12 bits, in units of 10 ms. */
static bool read_playout_delay(duet_rtp_extensions *out, duet_reader *r)
{
    uint32_t bits = duet_read_u24(r);

    out->playout_delay_min = (uint16_t)((bits >> 12) * 10);
    out->playout_delay_max = (uint16_t)((bits & 0xfff) * 10);
    return out->playout_delay_min <= out->playout_delay_max;
}

static bool read_capture_time(duet_rtp_extensions *out, duet_reader *r)
{
    out->capture_time = duet_read_u64(r);
    out->has_capture_offset = duet_reader_left(r) > 0;
    out->capture_offset = out->has_capture_offset ? (int64_t)duet_read_u64(r) : 0;
    return true;
}

static bool read_timing(duet_rtp_extensions *out, duet_reader *r)
{
    out->timing_flags = duet_read_u8(r);
    for (size_t i = 0; i < 6; i++)
        out->timing[i] = duet_read_u16(r);
    return true;
}

/* What follows the first four bytes is metadata of HDR, 24 bytes, which nobody here uses. */
static bool read_color_space(duet_rtp_extensions *out, duet_reader *r)
{
    out->color_primaries = duet_read_u8(r);
    out->color_transfer = duet_read_u8(r);
    out->color_matrix = duet_read_u8(r);
    out->color_range_and_siting = duet_read_u8(r);
    if (duet_reader_left(r))
        duet_read_skip(r, 24);
    return true;
}

static bool borrow(const uint8_t **data, size_t *len, duet_bytes value)
{
    *data = value.data;
    *len = value.len;
    return value.len > 0;
}

/* Reads what the kind needs; the caller checks that this was the whole value. */
static bool read_value(duet_rtp_extensions *out, duet_rtp_extension_kind kind, duet_reader *r)
{
    switch (kind) {
    case DUET_RTP_EXT_MID:
        return read_name(out->mid, duet_text_rest(r), duet_char_is_token);
    case DUET_RTP_EXT_RID:
        return read_name(out->rid, duet_text_rest(r), is_rid_char);
    case DUET_RTP_EXT_REPAIRED_RID:
        return read_name(out->repaired_rid, duet_text_rest(r), is_rid_char);
    case DUET_RTP_EXT_ABS_SEND_TIME:
        out->abs_send_time = duet_read_u24(r);
        return true;
    case DUET_RTP_EXT_TRANSPORT_CC:
        out->transport_sequence_number = duet_read_u16(r);
        return true;
    case DUET_RTP_EXT_AUDIO_LEVEL: /* |V| level |: RFC 6464 section 3 */
        out->audio_level = duet_read_u8(r);
        out->voice_activity = out->audio_level & 0x80;
        out->audio_level &= 0x7f;
        return true;
    case DUET_RTP_EXT_MIXER_LEVELS:
        return read_mixer_levels(out, r);
    case DUET_RTP_EXT_VIDEO_ORIENTATION:
        return read_orientation(out, r);
    case DUET_RTP_EXT_PLAYOUT_DELAY:
        return read_playout_delay(out, r);
    case DUET_RTP_EXT_ABS_CAPTURE_TIME:
        return read_capture_time(out, r);
    case DUET_RTP_EXT_VIDEO_CONTENT_TYPE:
        out->content_type = duet_read_u8(r);
        return true;
    case DUET_RTP_EXT_VIDEO_TIMING:
        return read_timing(out, r);
    case DUET_RTP_EXT_COLOR_SPACE:
        return read_color_space(out, r);
    case DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR:
        return borrow(&out->dependency_descriptor, &out->dependency_descriptor_len, duet_text_rest(r));
    case DUET_RTP_EXT_LAYERS_ALLOCATION:
        return borrow(&out->layers_allocation, &out->layers_allocation_len, duet_text_rest(r));
    case DUET_RTP_EXT_TOFFSET:
        out->transmission_offset = duet_read_s24(r);
        return true;
    case DUET_RTP_EXT_COUNT:
        break;
    }
    return false;
}

static duet_rtp_extension_kind kind_of_id(const duet_rtp_extension_map *map, uint8_t id)
{
    for (int kind = 0; kind < DUET_RTP_EXT_COUNT; kind++) {
        if (map->ids[kind] == id)
            return (duet_rtp_extension_kind)kind;
    }
    return DUET_RTP_EXT_COUNT;
}

int duet_rtp_extensions_parse(duet_rtp_extensions *out, const duet_rtp_packet *packet,
                              const duet_rtp_extension_map *map)
{
    size_t cursor = 0, len;
    const uint8_t *data;
    uint8_t id;
    int more, err = DUET_OK;

    memset(out, 0, sizeof(*out));
    while ((more = duet_rtp_next_extension(packet, &cursor, &id, &data, &len)) == 1) {
        duet_rtp_extension_kind kind = kind_of_id(map, id);
        if (kind == DUET_RTP_EXT_COUNT)
            continue;
        duet_reader r = duet_reader_init(data, len);
        if (read_value(out, kind, &r) && duet_reader_finish(&r) == DUET_OK)
            out->present |= 1u << kind;
        else
            err = DUET_ERR_MALFORMED;
    }
    return more < 0 ? more : err;
}

static void write_name(duet_writer *w, const char *name)
{
    duet_write_bytes(w, name, strlen(name));
}

static void write_mixer_levels(duet_writer *w, const duet_rtp_extensions *e)
{
    for (size_t i = 0; i < e->mixer_level_count && i < DUET_RTP_CSRC_MAX; i++)
        duet_write_u8(w, e->mixer_levels[i] & 0x7f);
}

static void write_playout_delay(duet_writer *w, const duet_rtp_extensions *e)
{
    uint32_t min = e->playout_delay_min / 10u, max = e->playout_delay_max / 10u;

    duet_write_u24(w, (min < 0xfff ? min : 0xfff) << 12 | (max < 0xfff ? max : 0xfff));
}

static void write_timing(duet_writer *w, const duet_rtp_extensions *e)
{
    duet_write_u8(w, e->timing_flags);
    for (size_t i = 0; i < 6; i++)
        duet_write_u16(w, e->timing[i]);
}

static void write_color_space(duet_writer *w, const duet_rtp_extensions *e)
{
    duet_write_u8(w, e->color_primaries);
    duet_write_u8(w, e->color_transfer);
    duet_write_u8(w, e->color_matrix);
    duet_write_u8(w, e->color_range_and_siting);
}

static void write_value(duet_writer *w, duet_rtp_extension_kind kind, const duet_rtp_extensions *e)
{
    switch (kind) {
    case DUET_RTP_EXT_MID:
        write_name(w, e->mid);
        break;
    case DUET_RTP_EXT_RID:
        write_name(w, e->rid);
        break;
    case DUET_RTP_EXT_REPAIRED_RID:
        write_name(w, e->repaired_rid);
        break;
    case DUET_RTP_EXT_ABS_SEND_TIME:
        duet_write_u24(w, e->abs_send_time & 0xffffff);
        break;
    case DUET_RTP_EXT_TRANSPORT_CC:
        duet_write_u16(w, e->transport_sequence_number);
        break;
    case DUET_RTP_EXT_AUDIO_LEVEL:
        duet_write_u8(w, (uint8_t)((e->voice_activity ? 0x80 : 0) | (e->audio_level & 0x7f)));
        break;
    case DUET_RTP_EXT_MIXER_LEVELS:
        write_mixer_levels(w, e);
        break;
    case DUET_RTP_EXT_VIDEO_ORIENTATION:
        duet_write_u8(w, (uint8_t)((e->camera_back ? 0x08 : 0) | (e->flip ? 0x04 : 0) | (e->rotation / 90 & 0x03)));
        break;
    case DUET_RTP_EXT_PLAYOUT_DELAY:
        write_playout_delay(w, e);
        break;
    case DUET_RTP_EXT_ABS_CAPTURE_TIME:
        duet_write_u64(w, e->capture_time);
        if (e->has_capture_offset)
            duet_write_u64(w, (uint64_t)e->capture_offset);
        break;
    case DUET_RTP_EXT_VIDEO_CONTENT_TYPE:
        duet_write_u8(w, e->content_type);
        break;
    case DUET_RTP_EXT_VIDEO_TIMING:
        write_timing(w, e);
        break;
    case DUET_RTP_EXT_COLOR_SPACE:
        write_color_space(w, e);
        break;
    case DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR:
        duet_write_bytes(w, e->dependency_descriptor, e->dependency_descriptor_len);
        break;
    case DUET_RTP_EXT_LAYERS_ALLOCATION:
        duet_write_bytes(w, e->layers_allocation, e->layers_allocation_len);
        break;
    case DUET_RTP_EXT_TOFFSET:
        duet_write_u24(w, (uint32_t)e->transmission_offset & 0xffffff);
        break;
    case DUET_RTP_EXT_COUNT:
        break;
    }
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static bool is_written(const duet_rtp_extensions *e, const duet_rtp_extension_map *map, int kind)
{
    return (e->present & 1u << kind) && map->ids[kind] != 0;
}

static size_t value_len(duet_rtp_extension_kind kind, const duet_rtp_extensions *e)
{
    uint8_t scratch[TWO_BYTE_VALUE_MAX];
    duet_writer w = duet_writer_init(scratch, sizeof(scratch));

    switch (kind) {
    case DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR:
        return e->dependency_descriptor_len;
    case DUET_RTP_EXT_LAYERS_ALLOCATION:
        return e->layers_allocation_len;
    default:
        write_value(&w, kind, e);
        return w.len;
    }
}

/* Which of the two forms takes them all; 0 when neither does. */
static uint16_t choose_profile(const duet_rtp_extensions *e, const duet_rtp_extension_map *map)
{
    uint16_t profile = PROFILE_ONE_BYTE;

    for (int kind = 0; kind < DUET_RTP_EXT_COUNT; kind++) {
        if (!is_written(e, map, kind))
            continue;
        size_t len = value_len((duet_rtp_extension_kind)kind, e);
        if (len == 0 || len > TWO_BYTE_VALUE_MAX)
            return 0;
        if (len > ONE_BYTE_VALUE_MAX || map->ids[kind] > ONE_BYTE_ID_MAX)
            profile = PROFILE_TWO_BYTE;
    }
    return profile;
}

static void write_element(duet_writer *w, uint16_t profile, uint8_t id, duet_rtp_extension_kind kind,
                          const duet_rtp_extensions *e)
{
    size_t len = value_len(kind, e);

    if (profile == PROFILE_ONE_BYTE) {
        duet_write_u8(w, (uint8_t)((unsigned)id << 4 | (unsigned)(len - 1)));
    } else {
        duet_write_u8(w, id);
        duet_write_u8(w, (uint8_t)len);
    }
    write_value(w, kind, e);
}

int duet_rtp_extensions_write(const duet_rtp_extensions *extensions, const duet_rtp_extension_map *map, uint8_t *data,
                              size_t capacity, uint16_t *profile, size_t *len)
{
    duet_writer w = duet_writer_init(data, capacity);

    *profile = choose_profile(extensions, map);
    *len = 0;
    if (*profile == 0)
        return DUET_ERR_INVALID;
    for (int kind = 0; kind < DUET_RTP_EXT_COUNT; kind++) {
        if (is_written(extensions, map, kind))
            write_element(&w, *profile, map->ids[kind], (duet_rtp_extension_kind)kind, extensions);
    }
    duet_write_fill(&w, 0, (4 - w.len % 4) % 4);
    if (w.len == 0)
        *profile = 0;
    if (duet_writer_finish(&w) != DUET_OK)
        return DUET_ERR_BUFFER;
    *len = w.len;
    return DUET_OK;
}

int duet_rtp_set_extension(uint8_t *packet, size_t packet_len, uint8_t id, const uint8_t *data, size_t len)
{
    duet_rtp_packet view;
    size_t cursor = 0, found_len;
    const uint8_t *found;
    uint8_t found_id;
    int more;

    if (duet_rtp_parse(&view, packet, packet_len) != DUET_OK)
        return DUET_ERR_MALFORMED;
    while ((more = duet_rtp_next_extension(&view, &cursor, &found_id, &found, &found_len)) == 1) {
        if (found_id != id)
            continue;
        if (found_len != len)
            return DUET_ERR_INVALID;
        if (len)
            memcpy(packet + (found - packet), data, len);
        return DUET_OK;
    }
    return more < 0 ? DUET_ERR_MALFORMED : DUET_ERR_NOT_FOUND;
}
