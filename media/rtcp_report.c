/* Sender and receiver reports: RFC 3550 section 6.4. */
#include "media/rtcp_packet.h"
#include <string.h>

#define LOST_MAX 0x7fffff
#define LOST_MIN (-0x800000)

static duet_rtcp_report_block read_block(duet_reader *r)
{
    duet_rtcp_report_block block;

    block.ssrc = duet_read_u32(r);
    block.fraction_lost = duet_read_u8(r);
    block.cumulative_lost = duet_read_s24(r);
    block.highest_sequence = duet_read_u32(r);
    block.jitter = duet_read_u32(r);
    block.last_sr = duet_read_u32(r);
    block.delay_since_last_sr = duet_read_u32(r);
    return block;
}

/* |                         SSRC of sender                        |   RFC 3550, 6.4.1
 * |              NTP timestamp, RTP timestamp,                    |   SR only
 * |      sender's packet count, sender's octet count              |
 * |                 report blocks, 24 bytes each                  |
 * |                  profile-specific extensions                  |   left alone */
int duet_rtcp_read_report(duet_rtcp_report *out, const duet_rtcp_packet *packet)
{
    duet_reader r = duet_rtcp_reader(packet);

    if (packet->type != DUET_RTCP_SR && packet->type != DUET_RTCP_RR)
        return DUET_ERR_NOT_MINE;
    memset(out, 0, sizeof(*out));
    out->ssrc = duet_read_u32(&r);
    out->is_sender = packet->type == DUET_RTCP_SR;
    if (out->is_sender) {
        out->ntp = duet_read_u64(&r);
        out->rtp_timestamp = duet_read_u32(&r);
        out->packet_count = duet_read_u32(&r);
        out->octet_count = duet_read_u32(&r);
    }
    out->block_count = packet->count;
    for (uint8_t i = 0; i < out->block_count; i++)
        out->blocks[i] = read_block(&r);
    return r.failed ? DUET_ERR_MALFORMED : DUET_OK;
}

static void write_block(duet_writer *w, const duet_rtcp_report_block *block)
{
    int32_t lost = block->cumulative_lost;

    /* "clamped at 0x7fffff for positive loss or 0x800000 for negative loss": RFC 3550 appendix A.3 */
    lost = lost > LOST_MAX ? LOST_MAX : lost < LOST_MIN ? LOST_MIN : lost;
    duet_write_u32(w, block->ssrc);
    duet_write_u8(w, block->fraction_lost);
    duet_write_u24(w, (uint32_t)lost & 0xffffff);
    duet_write_u32(w, block->highest_sequence);
    duet_write_u32(w, block->jitter);
    duet_write_u32(w, block->last_sr);
    duet_write_u32(w, block->delay_since_last_sr);
}

int duet_rtcp_write_report(duet_rtcp_writer *w, const duet_rtcp_report *report)
{
    if (report->block_count > DUET_RTCP_COUNT_MAX)
        return DUET_ERR_INVALID;
    duet_writer p = duet_rtcp_begin(w, report->is_sender ? DUET_RTCP_SR : DUET_RTCP_RR, report->block_count);
    duet_write_u32(&p, report->ssrc);
    if (report->is_sender) {
        duet_write_u64(&p, report->ntp);
        duet_write_u32(&p, report->rtp_timestamp);
        duet_write_u32(&p, report->packet_count);
        duet_write_u32(&p, report->octet_count);
    }
    for (uint8_t i = 0; i < report->block_count; i++)
        write_block(&p, &report->blocks[i]);
    return duet_rtcp_end(w, &p);
}
