/* RTCP in the clear: every packet of a compound with what it says. The bytes of each are kept, so the model says all.
 * RFC 3550 section 6, RFC 4585, RFC 5104, RFC 8888, transport-wide congestion control, REMB and RFC 3611. */
#include "duet/rtcp.h"
#include "inspect_layout.h"

#define HEADER_LEN 4

static const char *type_name(uint64_t type)
{
    static const char *const names[] = {"SR", "RR", "SDES", "BYE", "APP", "RTPFB", "PSFB", "XR"};

    return type >= DUET_RTCP_SR && type <= DUET_RTCP_XR ? names[type - DUET_RTCP_SR] : NULL;
}

static void set_number(json_t *out, const char *name, uint64_t value)
{
    inspect_set(out, name, json_integer((json_int_t)value));
}

static void set_ssrc(json_t *out, const char *name, uint32_t ssrc)
{
    inspect_set(out, name, inspect_code(ssrc, 4, NULL));
}

/* ---- reports ----------------------------------------------------------------------------------------------------- */

static json_t *block_json(const duet_rtcp_report_block *b)
{
    json_t *out = json_object();

    set_ssrc(out, "ssrc", b->ssrc);
    inspect_set(out, "fractionLost", json_real(b->fraction_lost / 256.0));
    inspect_set(out, "packetsLost", json_integer(b->cumulative_lost));
    set_number(out, "highestSequenceNumber", b->highest_sequence);
    set_number(out, "jitter", b->jitter);
    inspect_set(out, "lastSenderReport", inspect_code(b->last_sr, 4, NULL));
    inspect_set(out, "delaySinceLastSenderReport", json_real(b->delay_since_last_sr / 65536.0));
    return out;
}

static int decode_report(const duet_rtcp_packet *packet, json_t *out)
{
    duet_rtcp_report report;
    json_t *blocks = json_array();

    int err = duet_rtcp_read_report(&report, packet);
    if (err == DUET_OK) {
        set_ssrc(out, "ssrc", report.ssrc);
        if (report.is_sender) {
            inspect_set(out, "ntpTimestamp", inspect_code(report.ntp, 8, NULL));
            set_number(out, "rtpTimestamp", report.rtp_timestamp);
            set_number(out, "packetsSent", report.packet_count);
            set_number(out, "bytesSent", report.octet_count);
        }
        for (unsigned i = 0; i < report.block_count; i++)
            json_array_append_new(blocks, block_json(&report.blocks[i]));
        json_object_set(out, "reports", blocks);
    }
    json_decref(blocks);
    return err;
}

/* ---- SDES, BYE, APP ---------------------------------------------------------------------------------------------- */

static const char *item_name(uint64_t type)
{
    static const char *const names[] = {"CNAME", "NAME", "EMAIL", "PHONE", "LOC", "TOOL", "NOTE", "PRIV"};

    if (type >= 1 && type <= 8)
        return names[type - 1];
    if (type == DUET_RTCP_SDES_RTP_STREAM_ID)
        return "RtpStreamId";
    if (type == DUET_RTCP_SDES_REPAIRED_STREAM_ID)
        return "RepairedRtpStreamId";
    return type == DUET_RTCP_SDES_MID ? "MID" : NULL;
}

static int decode_sdes(const duet_rtcp_packet *packet, json_t *out)
{
    duet_rtcp_sdes_cursor cursor = {0};
    duet_rtcp_sdes_item item;
    json_t *list = json_array();
    int result;

    while ((result = duet_rtcp_next_sdes(packet, &cursor, &item)) == 1) {
        json_t *entry = json_object();
        set_ssrc(entry, "ssrc", item.ssrc);
        inspect_set(entry, "item", inspect_code(item.type, 1, item_name(item.type)));
        inspect_set(entry, "text", inspect_text((const uint8_t *)item.text, item.len));
        json_array_append_new(list, entry);
    }
    inspect_set(out, "items", list);
    return result;
}

static json_t *ssrcs_json(const uint32_t *ssrcs, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, inspect_code(ssrcs[i], 4, NULL));
    return list;
}

static int decode_bye(const duet_rtcp_packet *packet, json_t *out)
{
    duet_rtcp_bye bye;

    int err = duet_rtcp_read_bye(&bye, packet);
    if (err != DUET_OK)
        return err;
    inspect_set(out, "ssrcs", ssrcs_json(bye.ssrcs, bye.ssrc_count));
    if (bye.reason)
        inspect_set(out, "reason", inspect_text((const uint8_t *)bye.reason, bye.reason_len));
    return DUET_OK;
}

static int decode_app(const duet_rtcp_packet *packet, json_t *out)
{
    duet_rtcp_app app;

    int err = duet_rtcp_read_app(&app, packet);
    if (err != DUET_OK)
        return err;
    set_ssrc(out, "ssrc", app.ssrc);
    inspect_set(out, "name", inspect_text((const uint8_t *)app.name, sizeof(app.name)));
    inspect_set(out, "data", inspect_hex(app.data, app.len));
    return DUET_OK;
}

/* ---- feedback ---------------------------------------------------------------------------------------------------- */

static void set_feedback(json_t *out, const char *name, uint32_t sender, uint32_t media)
{
    inspect_set(out, "feedback", json_string(name));
    set_ssrc(out, "senderSsrc", sender);
    set_ssrc(out, "mediaSsrc", media);
}

static int decode_nack(const duet_rtcp_packet *packet, json_t *out)
{
    duet_rtcp_nack nack;
    json_t *lost = json_array();

    int err = duet_rtcp_read_nack(&nack, packet);
    if (err == DUET_OK) {
        set_feedback(out, "NACK", nack.sender_ssrc, nack.media_ssrc);
        for (size_t i = 0; i < nack.pair_count; i++) {
            uint16_t pid, blp;
            duet_rtcp_nack_pair(&nack, i, &pid, &blp);
            json_array_append_new(lost, json_integer(pid));
            for (unsigned bit = 0; bit < 16; bit++)
                if (blp >> bit & 1)
                    json_array_append_new(lost, json_integer((uint16_t)(pid + bit + 1)));
        }
        json_object_set(out, "lost", lost);
    }
    json_decref(lost);
    return err;
}

static int decode_transport_cc(const duet_rtcp_packet *packet, json_t *out)
{
    duet_rtcp_transport_cc cc;
    duet_rtcp_status_cursor cursor = {0};
    duet_rtcp_packet_status status;

    int err = duet_rtcp_read_transport_cc(&cc, packet);
    if (err != DUET_OK)
        return err;
    set_feedback(out, "transport-cc", cc.sender_ssrc, cc.media_ssrc);
    set_number(out, "baseSequenceNumber", cc.base_sequence);
    inspect_set(out, "referenceTime", json_integer(cc.reference_time));
    set_number(out, "feedbackCount", cc.feedback_count);
    set_number(out, "statusCount", cc.status_count);
    json_t *list = json_array();
    while (duet_rtcp_next_status(&cc, &cursor, &status) == 1) {
        if (!status.received)
            continue; /* thousands of them fit into two bytes */
        json_t *entry = json_object();
        set_number(entry, "sequenceNumber", status.sequence_number);
        inspect_set(entry, "microseconds", json_integer(status.time * (int64_t)DUET_RTCP_TRANSPORT_CC_UNIT));
        json_array_append_new(list, entry);
    }
    inspect_set(out, "received", list);
    return DUET_OK;
}

static json_t *ccfb_block_json(const duet_rtcp_ccfb_block *block)
{
    json_t *out = json_object(), *list = json_array();

    set_ssrc(out, "ssrc", block->ssrc);
    set_number(out, "beginSequenceNumber", block->begin_sequence);
    for (uint16_t i = 0; i < block->report_count; i++) {
        duet_rtcp_ccfb_report report = duet_rtcp_ccfb_report_at(block, i);
        json_t *entry = json_object();
        inspect_set(entry, "received", json_boolean(report.received));
        set_number(entry, "ecn", report.ecn);
        if (report.received && report.arrival_offset < DUET_RTCP_CCFB_OFFSET_OVER)
            inspect_set(entry, "arrivedBefore", json_real(report.arrival_offset / 1024.0));
        json_array_append_new(list, entry);
    }
    inspect_set(out, "packets", list);
    return out;
}

static int decode_ccfb(const duet_rtcp_packet *packet, json_t *out)
{
    duet_rtcp_ccfb ccfb;
    duet_rtcp_ccfb_block block;
    size_t cursor = 0;

    int err = duet_rtcp_read_ccfb(&ccfb, packet);
    if (err != DUET_OK)
        return err;
    inspect_set(out, "feedback", json_string("CCFB"));
    set_ssrc(out, "senderSsrc", ccfb.sender_ssrc);
    inspect_set(out, "reportTimestamp", inspect_code(ccfb.report_timestamp, 4, NULL));
    json_t *list = json_array();
    while (duet_rtcp_next_ccfb_block(&ccfb, &cursor, &block) == 1)
        json_array_append_new(list, ccfb_block_json(&block));
    inspect_set(out, "streams", list);
    return DUET_OK;
}

static int decode_pli(const duet_rtcp_packet *packet, json_t *out)
{
    uint32_t sender, media;

    int err = duet_rtcp_read_pli(packet, &sender, &media);
    if (err == DUET_OK)
        set_feedback(out, "PLI", sender, media);
    return err;
}

static int decode_fir(const duet_rtcp_packet *packet, json_t *out)
{
    duet_rtcp_fir fir;

    int err = duet_rtcp_read_fir(&fir, packet);
    if (err != DUET_OK)
        return err;
    inspect_set(out, "feedback", json_string("FIR"));
    set_ssrc(out, "senderSsrc", fir.sender_ssrc);
    json_t *list = json_array();
    for (size_t i = 0; i < fir.entry_count; i++) {
        uint32_t ssrc;
        uint8_t sequence_number;
        duet_rtcp_fir_entry(&fir, i, &ssrc, &sequence_number);
        json_t *entry = json_object();
        set_ssrc(entry, "ssrc", ssrc);
        set_number(entry, "sequenceNumber", sequence_number);
        json_array_append_new(list, entry);
    }
    inspect_set(out, "requests", list);
    return DUET_OK;
}

static int decode_remb(const duet_rtcp_packet *packet, json_t *out)
{
    duet_rtcp_remb remb;

    int err = duet_rtcp_read_remb(&remb, packet);
    if (err != DUET_OK)
        return err;
    inspect_set(out, "feedback", json_string("REMB"));
    set_ssrc(out, "senderSsrc", remb.sender_ssrc);
    /* REMB can say more than JSON's integers hold */
    inspect_set(out, "bitsPerSecond",
                remb.bits_per_second > INT64_MAX ? json_real((double)remb.bits_per_second)
                                                 : json_integer((json_int_t)remb.bits_per_second));
    inspect_set(out, "ssrcs", ssrcs_json(remb.ssrcs, remb.ssrc_count));
    return DUET_OK;
}

/* ---- extended reports -------------------------------------------------------------------------------------------- */

static int decode_dlrr(const duet_rtcp_xr_block *block, json_t *out)
{
    duet_rtcp_dlrr item;
    size_t cursor = 0;
    json_t *list = json_array();
    int result;

    while ((result = duet_rtcp_next_dlrr(block, &cursor, &item)) == 1) {
        json_t *entry = json_object();
        set_ssrc(entry, "ssrc", item.ssrc);
        inspect_set(entry, "lastReceiverReport", inspect_code(item.last_rr, 4, NULL));
        inspect_set(entry, "delay", json_real(item.delay / 65536.0));
        json_array_append_new(list, entry);
    }
    inspect_set(out, "items", list);
    return result;
}

static int decode_xr_block(const duet_rtcp_xr_block *block, json_t *out)
{
    uint64_t ntp;
    const char *name = block->type == DUET_RTCP_XR_RRTR ? "RRTR" : block->type == DUET_RTCP_XR_DLRR ? "DLRR" : NULL;

    inspect_set(out, "type", inspect_code(block->type, 1, name));
    if (block->type == DUET_RTCP_XR_DLRR)
        return decode_dlrr(block, out);
    if (block->type != DUET_RTCP_XR_RRTR) {
        inspect_set(out, "data", inspect_hex(block->data, block->len));
        return DUET_OK;
    }
    int err = duet_rtcp_read_rrtr(block, &ntp);
    if (err == DUET_OK)
        inspect_set(out, "ntpTimestamp", inspect_code(ntp, 8, NULL));
    return err;
}

static int decode_xr(const duet_rtcp_packet *packet, json_t *out)
{
    duet_rtcp_xr_block block;
    size_t cursor = 0;
    json_t *list = json_array();
    int result;

    inspect_set(out, "blocks", list);
    while ((result = duet_rtcp_next_xr_block(packet, &cursor, &block)) == 1) {
        json_t *entry = json_object();
        set_ssrc(out, "ssrc", block.sender_ssrc);
        json_array_append_new(list, entry);
        int err = decode_xr_block(&block, entry);
        if (err != DUET_OK)
            return err;
    }
    return result;
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

static const struct {
    uint8_t type;
    int fmt; /* -1: any */
    const char *section;
    int (*decode)(const duet_rtcp_packet *packet, json_t *out);
} decoders[] = {
    {DUET_RTCP_SR, -1, "RFC 3550, 6.4.1", decode_report},
    {DUET_RTCP_RR, -1, "RFC 3550, 6.4.2", decode_report},
    {DUET_RTCP_SDES, -1, "RFC 3550, 6.5", decode_sdes},
    {DUET_RTCP_BYE, -1, "RFC 3550, 6.6", decode_bye},
    {DUET_RTCP_APP, -1, "RFC 3550, 6.7", decode_app},
    {DUET_RTCP_RTPFB, DUET_RTCP_FMT_NACK, "RFC 4585, 6.2.1", decode_nack},
    {DUET_RTCP_RTPFB, DUET_RTCP_FMT_CCFB, "RFC 8888, 3.1", decode_ccfb},
    {DUET_RTCP_RTPFB, DUET_RTCP_FMT_TRANSPORT_CC, "transport-wide congestion control, 3.1", decode_transport_cc},
    {DUET_RTCP_PSFB, DUET_RTCP_FMT_PLI, "RFC 4585, 6.3.1", decode_pli},
    {DUET_RTCP_PSFB, DUET_RTCP_FMT_FIR, "RFC 5104, 4.3.1", decode_fir},
    {DUET_RTCP_PSFB, DUET_RTCP_FMT_AFB, "REMB, 2.2", decode_remb},
    {DUET_RTCP_XR, -1, "RFC 3611", decode_xr},
};

static int decode_content(inspect_cursor *c, size_t at, const duet_rtcp_packet *packet, json_t *out)
{
    for (size_t i = 0; i < sizeof(decoders) / sizeof(decoders[0]); i++) {
        if (decoders[i].type != packet->type || (decoders[i].fmt >= 0 && decoders[i].fmt != packet->count))
            continue;
        c->section = decoders[i].section;
        if (decoders[i].decode(packet, out) == DUET_ERR_MALFORMED)
            return inspect_fail(c, at, "the %s packet of %zu bytes does not hold what it says", type_name(packet->type),
                                packet->body_len + HEADER_LEN);
    }
    return DUET_OK;
}

/* |V=2|P|  count  |      type     |             length            |   RFC 3550, 6.1 */
static int decode_packet(inspect_cursor *c, json_t *out)
{
    size_t at = inspect_offset(c);

    c->section = "RFC 3550, 6.4.1";
    if (inspect_left(c) < HEADER_LEN)
        return inspect_fail(c, at, "an RTCP packet has at least %d bytes, %zu are left", HEADER_LEN, inspect_left(c));
    uint8_t flags = duet_read_u8(&c->r);
    duet_rtcp_packet packet = {.type = duet_read_u8(&c->r), .count = flags & 0x1F};
    size_t len = (size_t)duet_read_u16(&c->r) * 4, padding = 0;
    if (flags >> 6 != 2)
        return inspect_fail(c, at, "version %u is not 2", flags >> 6);
    if (len > inspect_left(c))
        return inspect_fail(c, at + 2, "the packet says %zu bytes behind its header, %zu are left", len,
                            inspect_left(c));
    bool is_last = len == inspect_left(c), has_padding = flags & 0x20;
    if (has_padding)
        padding = len > 0 ? duet_peek_u8(&c->r, len - 1) : 0;
    if (has_padding && (padding == 0 || padding > len || !is_last))
        return inspect_fail(c, at + HEADER_LEN + (len ? len - 1 : 0),
                            is_last ? "padding of %zu bytes in a packet with %zu"
                                    : "padding before the last packet: %zu of %zu",
                            padding, len);
    duet_bytes body = duet_read_bytes(&c->r, len - padding);
    packet.body = body.data;
    packet.body_len = body.len;
    set_number(out, "offset", at);
    inspect_set(out, "packetType", inspect_code(packet.type, 1, type_name(packet.type)));
    set_number(out, "count", packet.count);
    int err = decode_content(c, at, &packet, out);
    inspect_set(out, "body", inspect_hex(body.data, body.len));
    if (has_padding)
        inspect_set(out, "padding", inspect_hex(duet_read_bytes(&c->r, padding).data, padding));
    return err;
}

int inspect_rtcp(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    inspect_cursor c = inspect_cursor_init(data, len, error);
    int err = DUET_OK;

    c.what = "RTCP";
    c.section = "RFC 3550, 6.1";
    if (len > INSPECT_DATAGRAM_MAX)
        return inspect_fail(&c, INSPECT_DATAGRAM_MAX, "%zu bytes are more than a datagram can hold", len);
    if (len == 0)
        return inspect_fail(&c, 0, "there is no packet");
    json_t *packets = json_array();
    inspect_set(out, "packets", packets);
    while (err == DUET_OK && inspect_left(&c) > 0) {
        json_t *packet = json_object();
        if (!packet)
            return DUET_ERR_NOMEM;
        json_array_append_new(packets, packet);
        err = decode_packet(&c, packet);
    }
    return err;
}

static int encode_packet(const json_t *in, duet_buffer *out)
{
    const json_t *padding = json_object_get(in, "padding");
    uint64_t type = 0, count = 0;
    size_t start = out->len;

    int err = inspect_get_number(in, "packetType", &type);
    if (err == DUET_OK)
        err = inspect_get_number(in, "count", &count);
    inspect_put_number(out, 0x80u | (padding ? 0x20u : 0u) | (count & 0x1F), 1);
    inspect_put_number(out, type, 1);
    inspect_put_number(out, 0, 2);
    if (err == DUET_OK)
        err = inspect_put_hex(json_object_get(in, "body"), out);
    if (err == DUET_OK && padding)
        err = inspect_put_hex(padding, out);
    inspect_put_number_at(out, start + 2, (out->len - start) / 4 - 1, 2);
    return err;
}

int inspect_rtcp_encode(const json_t *in, duet_buffer *out)
{
    const json_t *packet;
    int err = DUET_OK;
    size_t i;

    json_array_foreach(json_object_get(in, "packets"), i, packet)
    {
        if (err == DUET_OK)
            err = encode_packet(packet, out);
    }
    return err == DUET_OK && out->failed ? DUET_ERR_NOMEM : err;
}
