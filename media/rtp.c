/* RTP packets: RFC 3550 section 5, how they are told from RTCP (RFC 5761 section 4), and the arithmetic of their counters
 * (RFC 1982). Views borrow from the packet, nothing is kept. */
#include "duet/rtp.h"
#include "base/bytes.h"
#include <string.h>

#define RTP_VERSION        2
#define PADDING_BIT        0x20
#define EXTENSION_BIT      0x10
#define MARKER_BIT         0x80
#define PADDING_MAX        255
#define EXTENSION_MAX      (4u * UINT16_MAX)
#define EXTENSION_HEAD_LEN 4 /* profile and length */

/* Takes the padding off the end of what the reader has left. The last octet of the padding tells how many octets to ignore,
 * including itself (RFC 3550 section 5.1). */
static size_t padding_of(const duet_reader *r)
{
    size_t left = duet_reader_left(r);

    if (left == 0)
        return 0;
    size_t padding = duet_peek_u8(r, left - 1);
    return padding <= left ? padding : 0;
}

/*  0                   1                   2                   3
 * |V=2|P|X|  CC   |M|     PT      |       sequence number         |   RFC 3550, 5.1
 * |                           timestamp                           |
 * |                             SSRC                              |
 * |                            CSRCs ...                          |
 * |      defined by profile       |     length in words           |   5.3.1, when X is set
 * |                        header extension ...                   |   */
int duet_rtp_parse(duet_rtp_packet *out, const uint8_t *data, size_t len)
{
    duet_reader r = duet_reader_init(data, len);
    uint8_t first = duet_read_u8(&r), second = duet_read_u8(&r);

    memset(out, 0, sizeof(*out));
    if (first >> 6 != RTP_VERSION)
        return DUET_ERR_MALFORMED;
    out->marker = second & MARKER_BIT;
    out->payload_type = second & 0x7f;
    out->sequence_number = duet_read_u16(&r);
    out->timestamp = duet_read_u32(&r);
    out->ssrc = duet_read_u32(&r);
    out->csrc_count = first & 0x0f;
    for (uint8_t i = 0; i < out->csrc_count; i++)
        out->csrcs[i] = duet_read_u32(&r);
    if (first & EXTENSION_BIT) {
        out->extension_profile = duet_read_u16(&r);
        duet_bytes extension = duet_read_bytes(&r, 4u * duet_read_u16(&r));
        out->extension = extension.data;
        out->extension_len = extension.len;
    }
    if (r.failed)
        return DUET_ERR_MALFORMED;
    if (first & PADDING_BIT) {
        out->padding_len = padding_of(&r);
        if (out->padding_len == 0)
            return DUET_ERR_MALFORMED;
    }
    duet_bytes payload = duet_read_bytes(&r, duet_reader_left(&r) - out->padding_len);
    out->payload = payload.data;
    out->payload_len = payload.len;
    return DUET_OK;
}

bool duet_rtp_is_rtcp(const uint8_t *data, size_t len)
{
    return len >= 2 && data[1] >= 192 && data[1] <= 223;
}

static bool has_extension(const duet_rtp_packet *packet)
{
    return packet->extension_profile != 0 || packet->extension_len != 0;
}

size_t duet_rtp_header_len(const duet_rtp_packet *packet)
{
    size_t extension = has_extension(packet) ? EXTENSION_HEAD_LEN + packet->extension_len : 0;

    return DUET_RTP_HEADER_MIN + 4u * packet->csrc_count + extension;
}

static bool can_be_written(const duet_rtp_packet *packet)
{
    return packet->payload_type <= 127 && packet->csrc_count <= DUET_RTP_CSRC_MAX && packet->extension_len % 4 == 0 &&
           packet->extension_len <= EXTENSION_MAX && packet->padding_len <= PADDING_MAX;
}

static void write_payload(duet_writer *w, const duet_rtp_packet *packet)
{
    if (w->failed || packet->payload_len > w->capacity - w->len) {
        w->failed = true;
        return;
    }
    /* It may already be in its place, then this is no copy. */
    if (packet->payload_len && packet->payload != w->data + w->len)
        memmove(w->data + w->len, packet->payload, packet->payload_len);
    w->len += packet->payload_len;
}

int duet_rtp_write(const duet_rtp_packet *packet, uint8_t *data, size_t capacity, size_t *len)
{
    duet_writer w = duet_writer_init(data, capacity);
    bool extension = has_extension(packet);

    if (!can_be_written(packet))
        return DUET_ERR_INVALID;
    duet_write_u8(&w, (uint8_t)(RTP_VERSION << 6 | (packet->padding_len ? PADDING_BIT : 0) |
                                (extension ? EXTENSION_BIT : 0) | packet->csrc_count));
    duet_write_u8(&w, (uint8_t)((packet->marker ? MARKER_BIT : 0) | packet->payload_type));
    duet_write_u16(&w, packet->sequence_number);
    duet_write_u32(&w, packet->timestamp);
    duet_write_u32(&w, packet->ssrc);
    for (uint8_t i = 0; i < packet->csrc_count; i++)
        duet_write_u32(&w, packet->csrcs[i]);
    if (extension) {
        duet_write_u16(&w, packet->extension_profile);
        duet_write_u16(&w, (uint16_t)(packet->extension_len / 4));
        duet_write_bytes(&w, packet->extension, packet->extension_len);
    }
    write_payload(&w, packet);
    if (packet->padding_len) {
        duet_write_fill(&w, 0, packet->padding_len - 1);
        duet_write_u8(&w, (uint8_t)packet->padding_len);
    }
    *len = w.len;
    return duet_writer_finish(&w);
}

int32_t duet_rtp_seq_diff(uint16_t a, uint16_t b)
{
    return (int16_t)(uint16_t)(a - b);
}

int64_t duet_rtp_time_diff(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}
