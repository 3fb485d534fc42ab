/* The packets of a compound: RFC 3550 section 6.1, and reduced-size ones, RFC 5506. */
#include "media/rtcp_packet.h"

#define RTCP_VERSION 2
#define PADDING_BIT  0x20
#define HEAD_LEN     4u

/* |V=2|P|  count  |     type      |        length in words − 1    |   RFC 3550, 6.4.1 */
int duet_rtcp_next(const uint8_t *data, size_t len, size_t *cursor, duet_rtcp_packet *out)
{
    duet_reader r = duet_reader_init(data, len);

    if (*cursor >= len)
        return 0;
    duet_read_skip(&r, *cursor);
    uint8_t first = duet_read_u8(&r);
    out->type = duet_read_u8(&r);
    duet_bytes body = duet_read_bytes(&r, 4u * duet_read_u16(&r));
    if (r.failed || first >> 6 != RTCP_VERSION)
        return DUET_ERR_MALFORMED;
    out->count = first & 0x1f;
    out->body = body.data;
    out->body_len = body.len;
    *cursor = r.pos;
    if (!(first & PADDING_BIT))
        return 1;
    /* "padding MUST only be required on the last individual packet": RFC 3550 section 6.4.1 */
    if (duet_reader_left(&r) != 0 || body.len == 0)
        return DUET_ERR_MALFORMED;
    size_t padding = body.data[body.len - 1];
    if (padding == 0 || padding > body.len)
        return DUET_ERR_MALFORMED;
    out->body_len -= padding;
    return 1;
}

duet_rtcp_writer duet_rtcp_writer_init(uint8_t *data, size_t capacity)
{
    return (duet_rtcp_writer){.data = data, .capacity = capacity};
}

duet_writer duet_rtcp_begin(const duet_rtcp_writer *w, uint8_t type, size_t count)
{
    duet_writer packet = duet_writer_init(w->data ? w->data + w->len : NULL, w->capacity - w->len);

    duet_write_u8(&packet, (uint8_t)(RTCP_VERSION << 6 | (count & 0x1f)));
    duet_write_u8(&packet, type);
    duet_write_u16(&packet, 0);
    return packet;
}

int duet_rtcp_end(duet_rtcp_writer *w, duet_writer *packet)
{
    if (packet->failed)
        return DUET_ERR_BUFFER;
    if (packet->len % 4 != 0 || packet->len - HEAD_LEN > 4u * UINT16_MAX)
        return DUET_ERR_INVALID;
    duet_write_u16_at(packet, 2, (uint16_t)(packet->len / 4 - 1));
    w->len += packet->len;
    return DUET_OK;
}
