/* Extended reports: RFC 3611, with the two blocks that give a receiver its round-trip time. */
#include "media/rtcp_packet.h"

#define DLRR_ITEM_LEN 12

/* |                              SSRC                             |   RFC 3611, 2 and 3
 * |      BT       | type-specific |      length in words          |
 * |                     type-specific contents                    |   */
int duet_rtcp_next_xr_block(const duet_rtcp_packet *packet, size_t *cursor, duet_rtcp_xr_block *out)
{
    duet_reader r = duet_rtcp_reader(packet);

    if (packet->type != DUET_RTCP_XR)
        return DUET_ERR_NOT_MINE;
    out->sender_ssrc = duet_read_u32(&r);
    if (*cursor > r.pos)
        duet_read_skip(&r, *cursor - r.pos);
    if (r.failed)
        return DUET_ERR_MALFORMED;
    if (duet_reader_left(&r) == 0)
        return 0;
    out->type = duet_read_u8(&r);
    out->type_specific = duet_read_u8(&r);
    duet_bytes data = duet_read_bytes(&r, 4u * duet_read_u16(&r));
    out->data = data.data;
    out->len = data.len;
    *cursor = r.pos;
    return r.failed ? DUET_ERR_MALFORMED : 1;
}

int duet_rtcp_read_rrtr(const duet_rtcp_xr_block *block, uint64_t *ntp)
{
    duet_reader r = duet_reader_init(block->data, block->len);

    if (block->type != DUET_RTCP_XR_RRTR)
        return DUET_ERR_NOT_MINE;
    *ntp = duet_read_u64(&r);
    return duet_reader_finish(&r);
}

int duet_rtcp_next_dlrr(const duet_rtcp_xr_block *block, size_t *cursor, duet_rtcp_dlrr *out)
{
    duet_reader r = duet_reader_init(block->data, block->len);

    if (block->type != DUET_RTCP_XR_DLRR)
        return DUET_ERR_NOT_MINE;
    if (block->len % DLRR_ITEM_LEN != 0)
        return DUET_ERR_MALFORMED;
    duet_read_skip(&r, *cursor);
    if (duet_reader_left(&r) == 0)
        return 0;
    out->ssrc = duet_read_u32(&r);
    out->last_rr = duet_read_u32(&r);
    out->delay = duet_read_u32(&r);
    *cursor = r.pos;
    return 1;
}

static duet_writer begin_block(const duet_rtcp_writer *w, uint32_t sender_ssrc, uint8_t type, size_t len)
{
    duet_writer p = duet_rtcp_begin(w, DUET_RTCP_XR, 0);

    duet_write_u32(&p, sender_ssrc);
    duet_write_u8(&p, type);
    duet_write_u8(&p, 0);
    duet_write_u16(&p, (uint16_t)(len / 4));
    return p;
}

int duet_rtcp_write_rrtr(duet_rtcp_writer *w, uint32_t sender_ssrc, uint64_t ntp)
{
    duet_writer p = begin_block(w, sender_ssrc, DUET_RTCP_XR_RRTR, 8);

    duet_write_u64(&p, ntp);
    return duet_rtcp_end(w, &p);
}

int duet_rtcp_write_dlrr(duet_rtcp_writer *w, uint32_t sender_ssrc, const duet_rtcp_dlrr *items, size_t count)
{
    if (count > UINT16_MAX / 3)
        return DUET_ERR_INVALID;
    duet_writer p = begin_block(w, sender_ssrc, DUET_RTCP_XR_DLRR, count * DLRR_ITEM_LEN);
    for (size_t i = 0; i < count; i++) {
        duet_write_u32(&p, items[i].ssrc);
        duet_write_u32(&p, items[i].last_rr);
        duet_write_u32(&p, items[i].delay);
    }
    return duet_rtcp_end(w, &p);
}
