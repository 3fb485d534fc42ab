/* Uncompressed frame headers: VP8 (RFC 6386 section 9.1). */
#include "media/vpx_header.h"

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
