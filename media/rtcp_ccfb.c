/* Congestion control feedback: RFC 8888. */
#include "media/rtcp_packet.h"

#define TIMESTAMP_LEN 4u

static bool read_block(duet_reader *r, duet_rtcp_ccfb_block *out)
{
    out->ssrc = duet_read_u32(r);
    out->begin_sequence = duet_read_u16(r);
    out->report_count = duet_read_u16(r);
    if (out->report_count > DUET_RTCP_CCFB_REPORTS_MAX)
        return false;
    out->reports = duet_read_bytes(r, 2u * out->report_count).data;
    duet_read_skip(r, out->report_count % 2 ? 2 : 0); /* zero padding to a 32-bit boundary */
    return !r->failed;
}

/* |                   SSRC of RTCP packet sender                  |   RFC 8888, 3.1
 * |                   SSRC of nth RTP Stream                      |
 * |          begin_seq            |          num_reports          |
 * |R|ECN|  Arrival time offset    | ...                           .
 * |                 Report Timestamp (32 bits)                    |   */
int duet_rtcp_read_ccfb(duet_rtcp_ccfb *out, const duet_rtcp_packet *packet)
{
    duet_reader r = duet_rtcp_reader(packet);
    duet_rtcp_ccfb_block block;
    size_t cursor = 0;

    if (!duet_rtcp_is(packet, DUET_RTCP_RTPFB, DUET_RTCP_FMT_CCFB))
        return DUET_ERR_NOT_MINE;
    out->sender_ssrc = duet_read_u32(&r);
    size_t left = duet_reader_left(&r);
    duet_bytes blocks = duet_read_bytes(&r, left < TIMESTAMP_LEN ? left : left - TIMESTAMP_LEN);
    out->report_timestamp = duet_read_u32(&r);
    out->blocks = blocks.data;
    out->blocks_len = blocks.len;
    if (r.failed)
        return DUET_ERR_MALFORMED;
    while (duet_rtcp_next_ccfb_block(out, &cursor, &block) == 1)
        ;
    return cursor == out->blocks_len ? DUET_OK : DUET_ERR_MALFORMED;
}

int duet_rtcp_next_ccfb_block(const duet_rtcp_ccfb *ccfb, size_t *cursor, duet_rtcp_ccfb_block *out)
{
    duet_reader r = duet_reader_init(ccfb->blocks, ccfb->blocks_len);

    duet_read_skip(&r, *cursor);
    if (duet_reader_left(&r) == 0 || !read_block(&r, out))
        return 0;
    *cursor = r.pos;
    return 1;
}

duet_rtcp_ccfb_report duet_rtcp_ccfb_report_at(const duet_rtcp_ccfb_block *block, uint16_t index)
{
    duet_reader r = duet_reader_init(block->reports, 2u * block->report_count);

    duet_read_skip(&r, 2u * index);
    uint16_t bits = duet_read_u16(&r);
    return (duet_rtcp_ccfb_report){bits & 0x8000, bits >> 13 & 3, bits & 0x1fff};
}

static void write_source(duet_writer *p, const duet_rtcp_ccfb_source *source)
{
    duet_write_u32(p, source->ssrc);
    duet_write_u16(p, source->begin_sequence);
    duet_write_u16(p, source->report_count);
    for (uint16_t i = 0; i < source->report_count; i++) {
        const duet_rtcp_ccfb_report *report = &source->reports[i];
        uint16_t offset = report->arrival_offset & 0x1fff;
        /* "If R is 0, the remaining 15 bits ... are set to 0": RFC 8888 section 3.1 */
        duet_write_u16(p, report->received ? (uint16_t)(0x8000 | (report->ecn & 3) << 13 | offset) : 0);
    }
    if (source->report_count % 2)
        duet_write_u16(p, 0);
}

int duet_rtcp_write_ccfb(duet_rtcp_writer *w, uint32_t sender_ssrc, const duet_rtcp_ccfb_source *sources, size_t count,
                         uint32_t report_timestamp)
{
    duet_writer p = duet_rtcp_begin(w, DUET_RTCP_RTPFB, DUET_RTCP_FMT_CCFB);

    duet_write_u32(&p, sender_ssrc);
    for (size_t i = 0; i < count; i++) {
        if (sources[i].report_count > DUET_RTCP_CCFB_REPORTS_MAX)
            return DUET_ERR_INVALID;
        write_source(&p, &sources[i]);
    }
    duet_write_u32(&p, report_timestamp);
    return duet_rtcp_end(w, &p);
}
