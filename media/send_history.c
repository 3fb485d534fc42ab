/* What was sent and may be asked for again: kept by sequence number, sent again on a NACK (RFC 4585 section 6.2.1), in a
 * retransmission payload where rtx is negotiated (RFC 4588 section 4). */
#include "base/bytes.h"
#include "base/memory.h"
#include "media/internal.h"
#include <string.h>

#define AGE_MIN       DUET_SECONDS(1) /* longer than any receiver waits for a packet */
#define AGE_RTTS      4
#define AGING_STEP    16 /* slots looked at for each new packet */
#define RESEND_MIN    DUET_MS(10)
#define EXTENSION_MAX 512

/* ---- keeping ------------------------------------------------------------------------------------------------------- */

static size_t power_of_two(size_t n)
{
    size_t p = 1;

    while (p < n)
        p *= 2;
    return p;
}

static bool has_history(duet_send_stream *stream)
{
    if (stream->history)
        return true;
    stream->history_size = power_of_two(stream->history_size);
    stream->history = duet_calloc(&stream->session->env, stream->history_size * sizeof(*stream->history));
    return stream->history != NULL;
}

static rtp_slot **place(const duet_send_stream *stream, uint16_t sequence_number)
{
    return &stream->history[sequence_number & (stream->history_size - 1)];
}

static void let_go(duet_send_stream *stream, rtp_slot **at)
{
    rtp_slot *slot = *at;

    if (!slot)
        return;
    *at = NULL;
    slot->is_kept = false;
    duet_rtp_slots_release(&stream->session->slots, slot);
}

void duet_send_history_free(duet_send_stream *stream)
{
    if (!stream->history)
        return;
    for (size_t i = 0; i < stream->history_size; i++)
        let_go(stream, &stream->history[i]);
    duet_free(&stream->session->env, stream->history);
    stream->history = NULL;
}

/* A slow stream does not hold a thousand packets of long ago. */
static void let_go_of_old(duet_send_stream *stream, uint16_t newest, duet_time now)
{
    duet_time age = AGE_RTTS * stream->session->rtt;

    age = age > AGE_MIN ? age : AGE_MIN;
    if ((uint16_t)(newest - stream->history_oldest) >= stream->history_size)
        stream->history_oldest = (uint16_t)(newest - (stream->history_size - 1));
    for (int i = 0; i < AGING_STEP && stream->history_oldest != newest; i++) {
        rtp_slot **at = place(stream, stream->history_oldest);
        if (*at && (!(*at)->was_sent || (*at)->queued_at + age > now))
            return;
        let_go(stream, at);
        stream->history_oldest++;
    }
}

void duet_send_history_keep(duet_send_stream *stream, rtp_slot *slot, duet_time now)
{
    if (!has_history(stream))
        return; /* without memory nothing is kept */
    rtp_slot **at = place(stream, slot->sequence_number);
    let_go(stream, at);
    *at = slot;
    slot->refs++;
    slot->is_kept = true;
    let_go_of_old(stream, slot->sequence_number, now);
}

/* ---- asked again --------------------------------------------------------------------------------------------------- */

static void resend(duet_send_stream *stream, uint16_t sequence_number, duet_time now)
{
    duet_rtp_session *session = stream->session;
    rtp_slot *slot = stream->history ? *place(stream, sequence_number) : NULL;
    duet_time pause = session->rtt > RESEND_MIN ? session->rtt : RESEND_MIN;

    if (!slot || slot->sequence_number != sequence_number) {
        stream->stats.nack_missed++;
        return;
    }
    if (!slot->was_sent || slot->is_resending)
        return;
    /* The answer to an earlier request may still be on its way. */
    if (slot->was_resent && now < slot->resent_at + pause) {
        stream->stats.nack_missed++;
        return;
    }
    slot->copies = slot->was_resent ? 2 : 1; /* what was lost twice is worth a copy */
    slot->was_resent = slot->is_resending = true;
    slot->resent_at = now;
    slot->refs++;
    slot->next_resend = NULL;
    if (session->resend_last)
        session->resend_last->next_resend = slot;
    else
        session->resend_first = slot;
    session->resend_last = slot;
}

void duet_send_history_nack(duet_send_stream *stream, const duet_rtcp_nack *nack, duet_time now)
{
    stream->stats.nack_count++;
    for (size_t i = 0; i < nack->pair_count; i++) {
        uint16_t pid, blp;
        duet_rtcp_nack_pair(nack, i, &pid, &blp);
        resend(stream, pid, now);
        for (unsigned bit = 0; bit < 16; bit++) {
            if (blp & 1u << bit)
                resend(stream, (uint16_t)(pid + bit + 1), now);
        }
    }
}

/* ---- sent again ---------------------------------------------------------------------------------------------------- */

/* |                         RTP Header                            |   RFC 4588, 4
 * |            OSN                |  original RTP packet payload  |   */
static int write_rtx(duet_send_stream *stream, const rtp_slot *kept, rtp_slot *out)
{
    const duet_rtp_extension_map *map = &stream->section->extensions;
    duet_rtp_packet packet, head;
    duet_rtp_extensions original, extensions;
    uint8_t scratch[EXTENSION_MAX];

    int err = duet_rtp_parse(&packet, kept->bytes + DUET_HEADROOM, kept->len);
    if (err != DUET_OK)
        return err;
    (void)duet_rtp_extensions_parse(&original, &packet, map);
    duet_send_stream_extensions(stream, &original, true, &extensions);
    head = packet;
    head.payload_type = stream->section->rtx_of[packet.payload_type];
    head.ssrc = stream->rtx_ssrc;
    head.sequence_number = stream->rtx_sequence_number;
    head.payload_len = head.padding_len = 0;
    head.extension = scratch;
    err = duet_rtp_extensions_write(&extensions, map, scratch, sizeof(scratch), &head.extension_profile,
                                    &head.extension_len);
    if (err == DUET_OK)
        err = duet_rtp_write(&head, duet_rtp_slot_data(out), RTP_SLOT_MAX, &out->len);
    if (err != DUET_OK)
        return err;
    duet_writer w = duet_writer_init(duet_rtp_slot_data(out), RTP_SLOT_MAX);
    w.len = out->len;
    duet_write_u16(&w, packet.sequence_number);
    duet_write_bytes(&w, packet.payload, packet.payload_len);
    out->len = w.len;
    out->payload_len = packet.payload_len;
    return duet_writer_finish(&w);
}

static int write_again(const rtp_slot *kept, rtp_slot *out)
{
    memcpy(duet_rtp_slot_data(out), kept->bytes + DUET_HEADROOM, kept->len);
    out->len = kept->len;
    out->payload_len = kept->payload_len;
    return DUET_OK;
}

static int write_retransmission(duet_send_stream *stream, const rtp_slot *kept, rtp_slot *out)
{
    uint8_t payload_type = kept->bytes[DUET_HEADROOM + 1] & 0x7f;

    out->stream = stream;
    if (!stream->rtx_ssrc || stream->section->rtx_of[payload_type] == RTP_NO_CODEC)
        return write_again(kept, out);
    int err = write_rtx(stream, kept, out);
    if (err != DUET_OK)
        return err;
    stream->rtx_sequence_number++;
    stream->rtx_has_sent = true;
    return DUET_OK;
}

static void count_resent(duet_send_stream_stats *stats, const rtp_slot *slot)
{
    stats->packets_sent++;
    stats->bytes_sent += slot->payload_len;
    stats->header_bytes_sent += slot->len - slot->payload_len;
    stats->retransmitted_packets_sent++;
    stats->retransmitted_bytes_sent += slot->payload_len;
}

rtp_slot *duet_send_history_next(duet_rtp_session *session)
{
    rtp_slot *kept = session->resend_first;
    rtp_slot *out = kept ? duet_rtp_slots_take(&session->slots) : NULL;

    if (!out)
        return NULL;
    duet_send_stream *stream = kept->stream;
    int err = write_retransmission(stream, kept, out);
    if (--kept->copies == 0) {
        session->resend_first = kept->next_resend;
        if (!session->resend_first)
            session->resend_last = NULL;
        kept->is_resending = false;
        duet_rtp_slots_release(&session->slots, kept);
    }
    if (err != DUET_OK) {
        stream->stats.nack_missed++;
        duet_rtp_slots_release(&session->slots, out);
        return NULL;
    }
    stream->sent_since_report = true;
    count_resent(&stream->stats, out);
    return out;
}
