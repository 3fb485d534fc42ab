/* Uncompressed frame headers: VP8 (RFC 6386 section 9.1), VP9 (VP9 Bitstream & Decoding Process Specification,
 * section 6.2); and the index of VP9 superframes. */
#include "media/vpx_header.h"
#include "media/bits.h"

/* VP8 is little-endian. */
static uint16_t read_u16_le(duet_reader *r)
{
    uint16_t v = duet_read_u16(r);

    return (uint16_t)(v << 8 | v >> 8);
}

/* | size0 (3) |H| VER (3) |P| size1 | size2 |   then, when P is 0 (a key frame):
 * | 0x9D | 0x01 | 0x2A | width (14), scale (2) | height (14), scale (2) |   little-endian */
int duet_vp8_header_parse(duet_vpx_header *out, duet_reader frame)
{
    uint8_t first = duet_read_u8(&frame);

    *out = (duet_vpx_header){.is_keyframe = !(first & 0x01), .is_shown = first & 0x10};
    if (frame.failed)
        return DUET_ERR_MALFORMED;
    if (!out->is_keyframe || duet_reader_left(&frame) < 9)
        return DUET_OK;
    duet_read_skip(&frame, 2);
    if (duet_read_u24(&frame) != 0x9D012A)
        return DUET_ERR_MALFORMED;
    out->width = read_u16_le(&frame) & 0x3FFF;
    out->height = read_u16_le(&frame) & 0x3FFF;
    return DUET_OK;
}

/* ---- VP9 --------------------------------------------------------------------------------------------------------- */

#define VP9_FRAME_MARKER 2
#define VP9_SYNC_CODE    0x498342
#define VP9_CS_RGB       7

/* color_config(): its length is all that matters here. */
static void skip_color_config(duet_bit_reader *r, unsigned profile)
{
    if (profile >= 2)
        (void)duet_read_bits(r, 1); /* ten_or_twelve_bit */
    bool is_rgb = duet_read_bits(r, 3) == VP9_CS_RGB;
    if (!is_rgb)
        (void)duet_read_bits(r, 1); /* color_range */
    if (profile == 1 || profile == 3)
        (void)duet_read_bits(r, is_rgb ? 1 : 3); /* subsampling, reserved_zero */
}

static void read_size(duet_bit_reader *r, duet_vpx_header *out)
{
    /* 65536 does not fit, and no decoder takes it */
    uint32_t width = duet_read_bits(r, 16) + 1, height = duet_read_bits(r, 16) + 1;

    out->width = width > UINT16_MAX ? UINT16_MAX : (uint16_t)width;
    out->height = height > UINT16_MAX ? UINT16_MAX : (uint16_t)height;
}

static void read_sync_code(duet_bit_reader *r)
{
    if (duet_read_bits(r, 24) != VP9_SYNC_CODE)
        r->bytes.failed = true;
}

/* frame_size_with_refs(), behind the three references. */
static void read_size_with_refs(duet_bit_reader *r, duet_vpx_header *out)
{
    (void)duet_read_bits(r, 8); /* refresh_frame_flags */
    (void)duet_read_bits(r, 3 * 4);
    for (int i = 0; i < 3; i++)
        if (duet_read_bits(r, 1)) /* found_ref */
            return;
    read_size(r, out);
}

/* Frames that are no key frames. */
static void read_inter_header(duet_bit_reader *r, unsigned profile, bool error_resilient, duet_vpx_header *out)
{
    bool intra_only = out->is_shown ? false : duet_read_bits(r, 1);

    if (!error_resilient)
        (void)duet_read_bits(r, 2); /* reset_frame_context */
    if (!intra_only) {
        read_size_with_refs(r, out);
        return;
    }
    read_sync_code(r);
    if (profile > 0)
        skip_color_config(r, profile);
    (void)duet_read_bits(r, 8); /* refresh_frame_flags */
    read_size(r, out);
}

int duet_vp9_header_parse(duet_vpx_header *out, duet_reader frame)
{
    duet_bit_reader r = duet_bit_reader_init(frame);

    *out = (duet_vpx_header){0};
    if (duet_read_bits(&r, 2) != VP9_FRAME_MARKER)
        return DUET_ERR_MALFORMED;
    unsigned profile = duet_read_bits(&r, 1);
    profile |= duet_read_bits(&r, 1) << 1;
    if (profile == 3)
        (void)duet_read_bits(&r, 1);
    if (duet_read_bits(&r, 1)) { /* show_existing_frame */
        out->is_shown = true;
        return r.bytes.failed ? DUET_ERR_MALFORMED : DUET_OK;
    }
    out->is_keyframe = duet_read_bits(&r, 1) == 0;
    out->is_shown = duet_read_bits(&r, 1);
    bool error_resilient = duet_read_bits(&r, 1);
    if (out->is_keyframe) {
        read_sync_code(&r);
        skip_color_config(&r, profile);
        read_size(&r, out);
    } else {
        read_inter_header(&r, profile, error_resilient, out);
    }
    return r.bytes.failed ? DUET_ERR_MALFORMED : DUET_OK;
}

/* | 110 | bytes of a length - 1 (2) | frames - 1 (3) |, the lengths, little-endian, the first byte again. Annex B.2 */
#define INDEX_MARK      0xC0
#define INDEX_MARK_MASK 0xE0
#define LENGTH_BYTES    4

unsigned duet_vp9_index_parse(duet_reader frame, size_t lens[DUET_VP9_FRAMES_MAX], size_t *index_len)
{
    size_t left = duet_reader_left(&frame);
    uint8_t mark = left ? duet_peek_u8(&frame, left - 1) : 0;
    unsigned count = (mark & 7u) + 1, bytes = (mark >> 3 & 3u) + 1;

    *index_len = 2 + (size_t)count * bytes;
    if ((mark & INDEX_MARK_MASK) != INDEX_MARK || left < *index_len || duet_peek_u8(&frame, left - *index_len) != mark)
        return 0;
    duet_read_skip(&frame, left - *index_len + 1);
    for (unsigned i = 0; i < count; i++) {
        lens[i] = 0;
        for (unsigned byte = 0; byte < bytes; byte++)
            lens[i] |= (size_t)duet_read_u8(&frame) << (8 * byte);
    }
    return count;
}

size_t duet_vp9_index_write(uint8_t index[DUET_VP9_INDEX_MAX], const size_t *lens, unsigned count)
{
    duet_writer w = duet_writer_init(index, DUET_VP9_INDEX_MAX);
    uint8_t mark = (uint8_t)(INDEX_MARK | (LENGTH_BYTES - 1) << 3 | (count - 1));

    duet_write_u8(&w, mark);
    for (unsigned i = 0; i < count; i++)
        for (unsigned byte = 0; byte < LENGTH_BYTES; byte++)
            duet_write_u8(&w, (uint8_t)(lens[i] >> (8 * byte)));
    duet_write_u8(&w, mark);
    return w.len;
}
