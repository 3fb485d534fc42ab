/* VP8: RFC 7741. Partitions are not told apart: PID stays 0, as section 4.2 allows, and fragments are cut anywhere. */
#include "media/payload_internal.h"
#include "media/vpx_header.h"

/*   0 1 2 3 4 5 6 7
 *  |X|R|N|S|R| PID |
 *  |I|L|T|K|  RSV  |   when X
 *  |M| PictureID   |   when I; with M a second byte follows      RFC 7741, 4.2
 *  |   TL0PICIDX   |   when L
 *  |TID|Y| KEYIDX  |   when T or K                               */
#define VP8_X   0x80
#define VP8_N   0x20
#define VP8_S   0x10
#define VP8_PID 0x07
#define VP8_I   0x80
#define VP8_L   0x40
#define VP8_T   0x20
#define VP8_K   0x10
#define VP8_M   0x8000
#define VP8_Y   0x20

static void read_extension(duet_reader *r, duet_payload_info *out)
{
    uint8_t flags = duet_read_u8(r);

    if (flags & VP8_I)
        duet_payload_read_picture_id(r, out);
    if (flags & VP8_L)
        out->tl0_picture_index = duet_read_u8(r);
    if (!(flags & (VP8_T | VP8_K)))
        return;
    uint8_t layer = duet_read_u8(r);
    if (flags & VP8_T) {
        out->temporal_id = (int8_t)(layer >> 6);
        out->layer_sync = layer & VP8_Y;
    }
}

/* Leaves the reader at the codec's own data. */
static int read_descriptor(duet_reader *r, duet_payload_info *out)
{
    uint8_t first = duet_read_u8(r);

    out->starts_frame = (first & VP8_S) && !(first & VP8_PID);
    out->is_discardable = first & VP8_N;
    if (first & VP8_X)
        read_extension(r, out);
    out->descriptor_len = r->pos;
    return r->failed || duet_reader_left(r) == 0 ? DUET_ERR_MALFORMED : DUET_OK;
}

static int inspect(duet_reader payload, duet_payload_info *out)
{
    duet_vpx_header header;
    int err = read_descriptor(&payload, out);

    if (err || !out->starts_frame)
        return err;
    err = duet_vp8_header_parse(&header, payload);
    out->is_keyframe = header.is_keyframe;
    out->width = header.width;
    out->height = header.height;
    return err;
}

static int begin(duet_packetizer *p)
{
    duet_payload_count_picture(p);
    return DUET_OK;
}

static void next(duet_packetizer *p, duet_writer *w)
{
    bool layered = p->info.temporal_id >= 0;

    duet_write_u8(w, (uint8_t)(VP8_X | (p->info.is_discardable ? VP8_N : 0) | (p->at_start ? VP8_S : 0)));
    duet_write_u8(w, layered ? VP8_I | VP8_L | VP8_T : VP8_I);
    duet_write_u16(w, VP8_M | p->picture_id);
    if (layered) {
        duet_write_u8(w, p->tl0_index);
        duet_write_u8(w, (uint8_t)((p->info.temporal_id & 3) << 6 | (p->info.layer_sync ? VP8_Y : 0)));
    }
    duet_payload_take(p, w, duet_payload_share(duet_reader_left(&p->frame), 0, p->payload_max - w->len));
}

static int add(duet_depacketizer *d, duet_reader payload)
{
    duet_payload_info info;
    int err = read_descriptor(&payload, &info);

    if (err)
        return err;
    if (d->payloads == 0 && !info.starts_frame)
        return DUET_ERR_MALFORMED;
    return duet_payload_append(d, duet_read_bytes(&payload, duet_reader_left(&payload)));
}

const duet_payload_ops duet_payload_vp8 = {
    .is_video = true,
    .inspect = inspect,
    .begin = begin,
    .next = next,
    .is_done = duet_payload_frame_taken,
    .add = add,
};
