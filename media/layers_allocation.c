/* Video layers allocation, version 0: which spatial and temporal layers a sender sends in which stream, their bit rates and
 * sizes. http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00 */
#include "duet/video_layers.h"
#include "media/bits.h"
#include <string.h>

#define LAYERS_MAX     (DUET_LAYERS_STREAMS_MAX * DUET_SPATIAL_LAYERS_MAX)
#define RESOLUTION_MAX 65536

/* The layers that are sent, in the order that everything about them has: by stream, then by spatial id. */
typedef struct layer_list {
    unsigned count;
    struct {
        uint8_t stream, spatial;
    } at[LAYERS_MAX];
} layer_list;

/* @param masks  a bit for each spatial layer of each stream */
static layer_list list_layers(const uint8_t masks[DUET_LAYERS_STREAMS_MAX])
{
    layer_list list = {.count = 0};

    for (uint8_t stream = 0; stream < DUET_LAYERS_STREAMS_MAX; stream++) {
        for (uint8_t spatial = 0; spatial < DUET_SPATIAL_LAYERS_MAX; spatial++) {
            if (!(masks[stream] >> spatial & 1u))
                continue;
            list.at[list.count].stream = stream;
            list.at[list.count++].spatial = spatial;
        }
    }
    return list;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* |RID| NS| sl_bm |   and when sl_bm is 0, the masks of the streams, two in a byte */
static layer_list read_masks(duet_layers_allocation *out, duet_bit_reader *r)
{
    uint8_t masks[DUET_LAYERS_STREAMS_MAX] = {0};

    out->stream_index = (uint8_t)duet_read_bits(r, 2);
    out->stream_count = (uint8_t)(duet_read_bits(r, 2) + 1);
    uint8_t all = (uint8_t)duet_read_bits(r, 4);
    for (unsigned i = 0; i < out->stream_count; i++)
        masks[i] = all ? all : (uint8_t)duet_read_bits(r, 4);
    (void)duet_read_bits(r, r->left); /* padding */
    return list_layers(masks);
}

static void read_layer(duet_allocated_layer *layer, duet_reader *r)
{
    for (unsigned i = 0; i < layer->temporal_count; i++)
        layer->kilobits[i] = duet_read_leb128(r);
}

static void read_resolution(duet_allocated_layer *layer, duet_reader *r)
{
    layer->width = duet_read_u16(r) + 1u;
    layer->height = duet_read_u16(r) + 1u;
    layer->frame_rate = duet_read_u8(r);
}

int duet_layers_allocation_parse(duet_layers_allocation *out, const uint8_t *data, size_t len)
{
    duet_bit_reader r = duet_bit_reader_init(duet_reader_init(data, len));

    memset(out, 0, sizeof(*out));
    if (len == 1 && data[0] == 0) /* "a single 0 byte": nothing is sent */
        return DUET_OK;
    layer_list list = read_masks(out, &r);
    if (list.count == 0)
        return DUET_ERR_MALFORMED;
    for (unsigned i = 0; i < list.count; i++)
        out->layers[list.at[i].stream][list.at[i].spatial].temporal_count = (uint8_t)(duet_read_bits(&r, 2) + 1);
    (void)duet_read_bits(&r, r.left); /* padding */
    for (unsigned i = 0; i < list.count; i++)
        read_layer(&out->layers[list.at[i].stream][list.at[i].spatial], &r.bytes);
    /* "Presence is inferred from the rtp header extension size" */
    out->has_resolutions = duet_reader_left(&r.bytes) > 0;
    for (unsigned i = 0; i < list.count && out->has_resolutions; i++)
        read_resolution(&out->layers[list.at[i].stream][list.at[i].spatial], &r.bytes);
    return duet_reader_finish(&r.bytes);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static bool is_pixels(uint32_t v)
{
    return v >= 1 && v <= RESOLUTION_MAX;
}

static bool layers_are_valid(const duet_layers_allocation *a, const layer_list *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        const duet_allocated_layer *layer = &a->layers[list->at[i].stream][list->at[i].spatial];
        if (layer->temporal_count > DUET_LAYERS_TEMPORAL_MAX)
            return false;
        if (a->has_resolutions && !(is_pixels(layer->width) && is_pixels(layer->height)))
            return false;
    }
    return list->count > 0 && a->stream_index < DUET_LAYERS_STREAMS_MAX;
}

static void masks_of(const duet_layers_allocation *a, uint8_t masks[DUET_LAYERS_STREAMS_MAX])
{
    for (unsigned stream = 0; stream < a->stream_count; stream++)
        for (unsigned spatial = 0; spatial < DUET_SPATIAL_LAYERS_MAX; spatial++)
            if (a->layers[stream][spatial].temporal_count > 0)
                masks[stream] |= (uint8_t)(1u << spatial);
}

static void write_masks(const duet_layers_allocation *a, const uint8_t *masks, duet_bit_writer *w)
{
    bool same = true;

    for (unsigned i = 1; i < a->stream_count; i++)
        same = same && masks[i] == masks[0];
    duet_write_bits(w, a->stream_index, 2);
    duet_write_bits(w, a->stream_count - 1u, 2);
    duet_write_bits(w, same ? masks[0] : 0, 4);
    for (unsigned i = 0; i < a->stream_count && !same; i++)
        duet_write_bits(w, masks[i], 4);
    duet_bit_writer_align(w);
}

static void write_layers(const duet_layers_allocation *a, const layer_list *list, duet_bit_writer *w)
{
    for (unsigned i = 0; i < list->count; i++)
        duet_write_bits(w, a->layers[list->at[i].stream][list->at[i].spatial].temporal_count - 1u, 2);
    duet_bit_writer_align(w);
    for (unsigned i = 0; i < list->count; i++) {
        const duet_allocated_layer *layer = &a->layers[list->at[i].stream][list->at[i].spatial];
        for (unsigned temporal = 0; temporal < layer->temporal_count; temporal++)
            duet_write_leb128(&w->bytes, layer->kilobits[temporal]);
    }
    for (unsigned i = 0; i < list->count && a->has_resolutions; i++) {
        const duet_allocated_layer *layer = &a->layers[list->at[i].stream][list->at[i].spatial];
        duet_write_u16(&w->bytes, (uint16_t)(layer->width - 1));
        duet_write_u16(&w->bytes, (uint16_t)(layer->height - 1));
        duet_write_u8(&w->bytes, layer->frame_rate);
    }
}

int duet_layers_allocation_write(const duet_layers_allocation *allocation, uint8_t *data, size_t capacity, size_t *len)
{
    duet_bit_writer w = duet_bit_writer_init(data, capacity);
    uint8_t masks[DUET_LAYERS_STREAMS_MAX] = {0};

    *len = 0;
    if (allocation->stream_count > DUET_LAYERS_STREAMS_MAX)
        return DUET_ERR_INVALID;
    masks_of(allocation, masks);
    layer_list list = list_layers(masks);
    if (allocation->stream_count > 0 && !layers_are_valid(allocation, &list))
        return DUET_ERR_INVALID;
    if (allocation->stream_count == 0)
        duet_write_u8(&w.bytes, 0);
    else
        write_masks(allocation, masks, &w);
    write_layers(allocation, &list, &w);
    if (duet_writer_finish(&w.bytes) != DUET_OK)
        return DUET_ERR_BUFFER;
    *len = w.bytes.len;
    return DUET_OK;
}
