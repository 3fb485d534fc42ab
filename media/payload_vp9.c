/* VP9: RFC 9628. All of the descriptor is read; what is sent is one spatial layer in non-flexible mode, as browsers
 * do. */
#include "media/payload_internal.h"
#include "media/vpx_header.h"

/*   0 1 2 3 4 5 6 7
 *  |I|P|L|F|B|E|V|Z|
 *  |M| PICTURE ID  |   when I; with M a second byte follows
 *  | TID |U| SID |D|   when L                                     RFC 9628, 4.2
 *  |   TL0PICIDX   |   when L and not F
 *  |   P_DIFF    |N|   when P and F; with N another one follows, up to three
 *  |      SS       |   when V                                     */
#define VP9_I 0x80
#define VP9_P 0x40
#define VP9_L 0x20
#define VP9_F 0x10
#define VP9_B 0x08
#define VP9_E 0x04
#define VP9_V 0x02
#define VP9_Z 0x01
#define VP9_M 0x8000
#define VP9_U 0x10
#define VP9_D 0x01
#define VP9_N 0x01

#define P_DIFFS_MAX 3

/*  | N_S |Y|G|-|-|-|
 *  |     WIDTH     | (16) |    HEIGHT     | (16)   when Y, for each of N_S + 1 layers     RFC 9628, 4.2.1
 *  |      N_G      |                               when G
 *  | TID |U| R |-|-| then R of | P_DIFF |          N_G times */
#define SS_Y 0x10
#define SS_G 0x08

typedef struct vp9_flags {
    bool begins, ends; /* a frame of one layer */
} vp9_flags;

/* The size is that of the highest layer. */
static void read_scalability_structure(duet_reader *r, duet_payload_info *out)
{
    uint8_t flags = duet_read_u8(r);
    unsigned layers = (flags >> 5) + 1u;

    for (unsigned i = 0; i < layers && (flags & SS_Y); i++) {
        out->width = duet_read_u16(r);
        out->height = duet_read_u16(r);
    }
    unsigned pictures = flags & SS_G ? duet_read_u8(r) : 0;
    for (unsigned i = 0; i < pictures; i++)
        duet_read_skip(r, duet_read_u8(r) >> 2 & 3u);
}

static void read_layers(duet_reader *r, bool flexible, duet_payload_info *out)
{
    uint8_t layer = duet_read_u8(r);

    out->temporal_id = (int8_t)(layer >> 5);
    out->layer_sync = layer & VP9_U;
    out->spatial_id = (int8_t)(layer >> 1 & 7);
    out->inter_layer = layer & VP9_D;
    if (!flexible)
        out->tl0_picture_index = duet_read_u8(r);
}

static void skip_references(duet_reader *r)
{
    unsigned count = 0;

    while (duet_read_u8(r) & VP9_N)
        if (++count == P_DIFFS_MAX)
            r->failed = true;
}

/* Leaves the reader at the codec's own data. */
static int read_descriptor(duet_reader *r, duet_payload_info *out, vp9_flags *frame)
{
    uint8_t flags = duet_read_u8(r);

    *frame = (vp9_flags){.begins = flags & VP9_B, .ends = flags & VP9_E};
    if (flags & VP9_I)
        duet_payload_read_picture_id(r, out);
    if (flags & VP9_L)
        read_layers(r, flags & VP9_F, out);
    if ((flags & VP9_P) && (flags & VP9_F))
        skip_references(r);
    if (flags & VP9_V)
        read_scalability_structure(r, out);
    out->starts_frame = frame->begins && !out->inter_layer;
    out->is_keyframe = out->starts_frame && !(flags & VP9_P);
    out->descriptor_len = r->pos;
    return r->failed || duet_reader_left(r) == 0 ? DUET_ERR_MALFORMED : DUET_OK;
}

static int inspect(duet_reader payload, duet_payload_info *out)
{
    vp9_flags frame;

    return read_descriptor(&payload, out, &frame);
}

static int begin(duet_packetizer *p)
{
    duet_vpx_header header;

    if (duet_vp9_header_parse(&header, p->frame) == DUET_OK) {
        if (!p->has_info)
            p->info.is_keyframe = header.is_keyframe;
        if (p->info.width == 0 || p->info.height == 0) {
            p->info.width = header.width;
            p->info.height = header.height;
        }
    }
    duet_payload_count_picture(p);
    return DUET_OK;
}

static bool has_structure(const duet_packetizer *p)
{
    return p->at_start && p->info.is_keyframe;
}

/* One spatial layer. Without temporal layers each picture refers to the one before it; what else they refer to is the
 * encoder's secret, and is left out. */
static void write_scalability_structure(const duet_packetizer *p, duet_writer *w)
{
    bool sized = p->info.width && p->info.height, layered = p->info.temporal_id >= 0;

    duet_write_u8(w, (uint8_t)((sized ? SS_Y : 0) | (layered ? 0 : SS_G)));
    if (sized) {
        duet_write_u16(w, p->info.width);
        duet_write_u16(w, p->info.height);
    }
    if (layered)
        return;
    duet_write_u8(w, 1);
    duet_write_u8(w, 1 << 2);
    duet_write_u8(w, 1);
}

/* All but the first byte. */
static void write_descriptor(const duet_packetizer *p, duet_writer *w)
{
    duet_write_u16(w, VP9_M | p->picture_id);
    if (p->info.temporal_id >= 0) {
        duet_write_u8(w, (uint8_t)((p->info.temporal_id & 7) << 5 | (p->info.layer_sync ? VP9_U : 0)));
        duet_write_u8(w, p->tl0_index);
    }
    if (has_structure(p))
        write_scalability_structure(p, w);
}

static void next(duet_packetizer *p, duet_writer *w)
{
    size_t left = duet_reader_left(&p->frame);
    uint8_t flags = VP9_I | VP9_Z;

    duet_write_u8(w, 0);
    write_descriptor(p, w);
    size_t structure = has_structure(p) ? w->len - (p->info.temporal_id >= 0 ? 5 : 3) : 0;
    size_t share = duet_payload_share(left, structure, p->payload_max - (w->len - structure));
    flags |= p->info.is_keyframe ? 0 : VP9_P;
    flags |= p->info.temporal_id >= 0 ? VP9_L : 0;
    flags |= p->at_start ? VP9_B : 0;
    flags |= share == left ? VP9_E : 0;
    flags |= has_structure(p) ? VP9_V : 0;
    w->data[0] = flags;
    duet_payload_take(p, w, share);
}

static int begin_layer(duet_depacketizer *d)
{
    if (d->layers == DUET_VP9_FRAMES_MAX)
        return DUET_ERR_MALFORMED;
    d->unit_start = d->frame.len;
    return DUET_OK;
}

static int add(duet_depacketizer *d, duet_reader payload)
{
    duet_payload_info info = {0};
    vp9_flags frame;
    int err = read_descriptor(&payload, &info, &frame);

    if (!err && frame.begins == d->in_fragment)
        err = DUET_ERR_MALFORMED;
    if (!err && frame.begins)
        err = begin_layer(d);
    if (!err)
        err = duet_payload_append(d, duet_read_bytes(&payload, duet_reader_left(&payload)));
    if (err)
        return err;
    d->in_fragment = !frame.ends;
    if (frame.ends)
        d->layer_len[d->layers++] = d->frame.len - d->unit_start;
    return DUET_OK;
}

/* Frames of several layers are a superframe: without its index decoders could not tell where one ends. */
static int end(duet_depacketizer *d)
{
    uint8_t index[DUET_VP9_INDEX_MAX];

    if (d->layers < 2)
        return DUET_OK;
    return duet_payload_append(d, (duet_bytes){index, duet_vp9_index_write(index, d->layer_len, d->layers)});
}

const duet_payload_ops duet_payload_vp9 = {
    .is_video = true,
    .inspect = inspect,
    .begin = begin,
    .next = next,
    .is_done = duet_payload_frame_taken,
    .add = add,
    .end = end,
};
