/* Redundant audio data: RFC 2198 section 3. */
#include "base/bytes.h"
#include "duet/payload.h"

/* |1|  block PT  | timestamp offset (14) | block length (10) |   each redundant block
 * |0|  block PT  |                                             the primary one, whose data reach to the end */
#define OFFSET_MAX 0x3FFF
#define LENGTH_MAX 0x3FF
#define FOLLOW     0x80

int duet_red_parse(duet_red_block *blocks, const uint8_t *payload, size_t len)
{
    duet_reader r = duet_reader_init(payload, len);
    int count = 0;

    while (duet_peek_u8(&r, 0) & FOLLOW) {
        if (count == DUET_RED_BLOCKS_MAX - 1)
            return DUET_ERR_MALFORMED;
        uint32_t header = duet_read_u32(&r);
        blocks[count++] = (duet_red_block){.payload_type = header >> 24 & 0x7F,
                                           .timestamp_offset = header >> 10 & OFFSET_MAX,
                                           .len = header & LENGTH_MAX};
    }
    blocks[count++] = (duet_red_block){.payload_type = duet_read_u8(&r)};
    for (int i = 0; i < count; i++) {
        duet_bytes data = duet_read_bytes(&r, i + 1 < count ? blocks[i].len : duet_reader_left(&r));
        blocks[i].data = data.data;
        blocks[i].len = data.len;
    }
    return r.failed ? DUET_ERR_MALFORMED : count;
}

static bool can_be_written(const duet_red_block *block, bool is_primary)
{
    if (block->payload_type > 127)
        return false;
    return is_primary ? block->timestamp_offset == 0
                      : block->timestamp_offset <= OFFSET_MAX && block->len <= LENGTH_MAX;
}

int duet_red_write(const duet_red_block *blocks, size_t count, uint8_t *data, size_t capacity, size_t *len)
{
    duet_writer w = duet_writer_init(data, capacity);

    if (count == 0 || count > DUET_RED_BLOCKS_MAX)
        return DUET_ERR_INVALID;
    for (size_t i = 0; i < count; i++) {
        bool is_primary = i + 1 == count;
        if (!can_be_written(&blocks[i], is_primary))
            return DUET_ERR_INVALID;
        duet_write_u8(&w, (uint8_t)((is_primary ? 0 : FOLLOW) | blocks[i].payload_type));
        if (!is_primary)
            duet_write_u24(&w, (uint32_t)blocks[i].timestamp_offset << 10 | (uint32_t)blocks[i].len);
    }
    for (size_t i = 0; i < count; i++)
        duet_write_bytes(&w, blocks[i].data, blocks[i].len);
    *len = w.len;
    return duet_writer_finish(&w);
}
