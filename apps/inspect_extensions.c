/* The elements of RTP header extensions (RFC 8285) by name, with their values. */
#include "inspect_extensions.h"
#include "inspect_layout.h"
#include <stdlib.h>
#include <string.h>

#define NTP_SECOND 4294967296.0

static const char *const names[DUET_RTP_EXT_COUNT] = {
    [DUET_RTP_EXT_MID] = "mid",
    [DUET_RTP_EXT_RID] = "rid",
    [DUET_RTP_EXT_REPAIRED_RID] = "repaired-rid",
    [DUET_RTP_EXT_ABS_SEND_TIME] = "abs-send-time",
    [DUET_RTP_EXT_TRANSPORT_CC] = "transport-cc",
    [DUET_RTP_EXT_AUDIO_LEVEL] = "audio-level",
    [DUET_RTP_EXT_MIXER_LEVELS] = "mixer-levels",
    [DUET_RTP_EXT_VIDEO_ORIENTATION] = "video-orientation",
    [DUET_RTP_EXT_PLAYOUT_DELAY] = "playout-delay",
    [DUET_RTP_EXT_ABS_CAPTURE_TIME] = "abs-capture-time",
    [DUET_RTP_EXT_VIDEO_CONTENT_TYPE] = "video-content-type",
    [DUET_RTP_EXT_VIDEO_TIMING] = "video-timing",
    [DUET_RTP_EXT_COLOR_SPACE] = "color-space",
    [DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR] = "dependency-descriptor",
    [DUET_RTP_EXT_LAYERS_ALLOCATION] = "video-layers-allocation",
    [DUET_RTP_EXT_TOFFSET] = "toffset",
};

bool inspect_extensions_add(inspect_extensions *x, const char *assignment)
{
    char *end;
    unsigned long id = strtoul(assignment, &end, 10);

    if (end == assignment || *end != '=' || id < 1 || id > UINT8_MAX)
        return false;
    duet_rtp_extension_kind kind = duet_rtp_extension_of_uri(end + 1);
    for (int i = 0; i < DUET_RTP_EXT_COUNT && kind == DUET_RTP_EXT_COUNT; i++) {
        if (strcmp(names[i], end + 1) == 0)
            kind = (duet_rtp_extension_kind)i;
    }
    if (kind == DUET_RTP_EXT_COUNT)
        return false;
    x->map.ids[kind] = (uint8_t)id;
    return true;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static json_t *levels_of(const duet_rtp_extensions *e)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < e->mixer_level_count; i++)
        json_array_append_new(list, json_integer(-e->mixer_levels[i]));
    return list;
}

static json_t *timing_of(const duet_rtp_extensions *e)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < 6; i++)
        json_array_append_new(list, json_integer(e->timing[i]));
    return json_pack("{s:i,s:o}", "flags", e->timing_flags, "milliseconds", list);
}

static json_t *capture_time_of(const duet_rtp_extensions *e)
{
    json_t *out = json_object();

    inspect_set(out, "ntpTimestamp", inspect_code(e->capture_time, 8, NULL));
    if (e->has_capture_offset)
        inspect_set(out, "offset", json_real((double)e->capture_offset / NTP_SECOND));
    return out;
}

static duet_dependency_structure *structure_of(inspect_extensions *x, uint32_t ssrc)
{
    for (size_t i = 0; i < INSPECT_LAYERED_STREAMS_MAX; i++) {
        if (x->streams[i].in_use && x->streams[i].ssrc == ssrc)
            return &x->streams[i].structure;
    }
    size_t i = x->next_stream++ % INSPECT_LAYERED_STREAMS_MAX;
    memset(&x->streams[i], 0, sizeof(x->streams[i]));
    x->streams[i].ssrc = ssrc;
    x->streams[i].in_use = true;
    return &x->streams[i].structure;
}

static json_t *value_of(duet_rtp_extension_kind kind, const duet_rtp_extensions *e, inspect_extensions *x,
                        uint32_t ssrc)
{
    switch (kind) {
    case DUET_RTP_EXT_MID:
        return json_string(e->mid);
    case DUET_RTP_EXT_RID:
        return json_string(e->rid);
    case DUET_RTP_EXT_REPAIRED_RID:
        return json_string(e->repaired_rid);
    case DUET_RTP_EXT_ABS_SEND_TIME:
        return json_real(e->abs_send_time / 262144.0); /* 18 bits behind the point */
    case DUET_RTP_EXT_TRANSPORT_CC:
        return json_integer(e->transport_sequence_number);
    case DUET_RTP_EXT_AUDIO_LEVEL:
        return json_pack("{s:b,s:i}", "voice", e->voice_activity, "dbov", -e->audio_level);
    case DUET_RTP_EXT_MIXER_LEVELS:
        return levels_of(e);
    case DUET_RTP_EXT_VIDEO_ORIENTATION:
        return json_pack("{s:i,s:b,s:b}", "rotation", e->rotation, "flip", e->flip, "cameraBack", e->camera_back);
    case DUET_RTP_EXT_PLAYOUT_DELAY:
        return json_pack("{s:i,s:i}", "min", e->playout_delay_min, "max", e->playout_delay_max);
    case DUET_RTP_EXT_ABS_CAPTURE_TIME:
        return capture_time_of(e);
    case DUET_RTP_EXT_VIDEO_CONTENT_TYPE:
        return json_integer(e->content_type);
    case DUET_RTP_EXT_VIDEO_TIMING:
        return timing_of(e);
    case DUET_RTP_EXT_COLOR_SPACE:
        return json_pack("{s:i,s:i,s:i,s:i}", "primaries", e->color_primaries, "transfer", e->color_transfer, "matrix",
                         e->color_matrix, "rangeAndSiting", e->color_range_and_siting);
    case DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR:
        return inspect_dependency_descriptor(structure_of(x, ssrc), e->dependency_descriptor,
                                             e->dependency_descriptor_len);
    case DUET_RTP_EXT_LAYERS_ALLOCATION:
        return inspect_layers_allocation(e->layers_allocation, e->layers_allocation_len);
    case DUET_RTP_EXT_TOFFSET:
        return json_integer(e->transmission_offset);
    case DUET_RTP_EXT_COUNT:
        break;
    }
    return NULL;
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

/* The extension of a packet, of which nothing else is looked at: RFC 3550, 5.3.1. */
static bool find_extension(duet_rtp_packet *out, const uint8_t *data, size_t len)
{
    duet_reader r = duet_reader_init(data, len);
    uint8_t flags = duet_read_u8(&r);

    *out = (duet_rtp_packet){0};
    duet_read_skip(&r, 7);
    out->ssrc = duet_read_u32(&r);
    duet_read_skip(&r, 4u * (flags & 0x0F));
    out->extension_profile = duet_read_u16(&r);
    duet_bytes extension = duet_read_bytes(&r, 4u * duet_read_u16(&r));
    out->extension = extension.data;
    out->extension_len = extension.len;
    return (flags & 0x10) && !r.failed;
}

/* @return DUET_RTP_EXT_COUNT: none */
static duet_rtp_extension_kind kind_of(const inspect_extensions *x, uint8_t id)
{
    int kind = 0;

    while (kind < DUET_RTP_EXT_COUNT && x->map.ids[kind] != id)
        kind++;
    return (duet_rtp_extension_kind)kind;
}

static json_t *element_of(inspect_extensions *x, const duet_rtp_packet *packet, const duet_rtp_extensions *values,
                          uint8_t id, duet_bytes data)
{
    json_t *element = json_object();
    duet_rtp_extension_kind kind = kind_of(x, id);

    inspect_set(element, "id", json_integer(id));
    if (kind < DUET_RTP_EXT_COUNT)
        inspect_set(element, "name", json_string(names[kind]));
    if (kind < DUET_RTP_EXT_COUNT && values->present & 1u << kind)
        inspect_set(element, "value", value_of(kind, values, x, packet->ssrc));
    else
        inspect_set(element, "data", inspect_hex(data.data, data.len));
    return element;
}

int inspect_extensions_name(inspect_extensions *x, const uint8_t *data, size_t len, json_t *model)
{
    json_t *extension = json_object_get(model, "extension"), *list = json_array();
    duet_rtp_extensions values;
    duet_rtp_packet packet;
    size_t cursor = 0;
    duet_bytes value;
    uint8_t id;

    if (!list)
        return DUET_ERR_NOMEM;
    if (!find_extension(&packet, data, len)) {
        json_decref(list);
        return DUET_OK;
    }
    (void)duet_rtp_extensions_parse(&values, &packet, &x->map);
    while (duet_rtp_next_extension(&packet, &cursor, &id, &value.data, &value.len) == 1)
        json_array_append_new(list, element_of(x, &packet, &values, id, value));
    if (!extension) {
        extension = json_object();
        inspect_set(model, "extension", extension);
    }
    inspect_set(extension, "elements", list);
    return extension ? DUET_OK : DUET_ERR_NOMEM;
}
