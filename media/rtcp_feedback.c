/* Feedback: generic NACK and PLI (RFC 4585 section 6), FIR (RFC 5104 section 4.3.1), REMB (draft-alvestrand-rmcat-remb). */
#include "media/rtcp_packet.h"
#include <string.h>

#define NACK_PAIR_LEN 4
#define FIR_ENTRY_LEN 8
#define REMB_NAME     "REMB"
#define MANTISSA_MAX  0x3ffff /* 18 bits */

/* ---- NACK -------------------------------------------------------------------------------------------------------- */

/* |            PID                |             BLP               |   RFC 4585, 6.2.1 */
int duet_rtcp_read_nack(duet_rtcp_nack *out, const duet_rtcp_packet *packet)
{
    duet_reader r = duet_rtcp_reader(packet);

    if (!duet_rtcp_is(packet, DUET_RTCP_RTPFB, DUET_RTCP_FMT_NACK))
        return DUET_ERR_NOT_MINE;
    out->sender_ssrc = duet_read_u32(&r);
    out->media_ssrc = duet_read_u32(&r);
    duet_bytes pairs = duet_read_bytes(&r, duet_reader_left(&r));
    out->pairs = pairs.data;
    out->pair_count = pairs.len / NACK_PAIR_LEN;
    return r.failed || pairs.len == 0 || pairs.len % NACK_PAIR_LEN != 0 ? DUET_ERR_MALFORMED : DUET_OK;
}

void duet_rtcp_nack_pair(const duet_rtcp_nack *nack, size_t index, uint16_t *pid, uint16_t *blp)
{
    duet_reader r = duet_reader_init(nack->pairs, nack->pair_count * NACK_PAIR_LEN);

    duet_read_skip(&r, index * NACK_PAIR_LEN);
    *pid = duet_read_u16(&r);
    *blp = duet_read_u16(&r);
}

/* How many of the sequence numbers one pair takes, and the bitmask for all but the first. */
static size_t make_pair(const uint16_t *sequence_numbers, size_t count, uint16_t *blp)
{
    size_t i = 1;

    *blp = 0;
    for (; i < count; i++) {
        uint16_t ahead = (uint16_t)(sequence_numbers[i] - sequence_numbers[0]);
        if (ahead == 0 || ahead > 16)
            break;
        *blp |= (uint16_t)(1u << (ahead - 1));
    }
    return i;
}

int duet_rtcp_write_nack(duet_rtcp_writer *w, uint32_t sender_ssrc, uint32_t media_ssrc,
                         const uint16_t *sequence_numbers, size_t count, size_t *taken)
{
    duet_writer p = duet_rtcp_begin(w, DUET_RTCP_RTPFB, DUET_RTCP_FMT_NACK);
    size_t done = 0;

    if (count == 0)
        return DUET_ERR_INVALID;
    duet_write_u32(&p, sender_ssrc);
    duet_write_u32(&p, media_ssrc);
    while (done < count && !p.failed) {
        if (taken && done > 0 && p.capacity - p.len < NACK_PAIR_LEN)
            break;
        uint16_t blp;
        size_t n = make_pair(sequence_numbers + done, count - done, &blp);
        duet_write_u16(&p, sequence_numbers[done]);
        duet_write_u16(&p, blp);
        done += n;
    }
    if (taken)
        *taken = done;
    return duet_rtcp_end(w, &p);
}

/* ---- key frames -------------------------------------------------------------------------------------------------- */

int duet_rtcp_read_pli(const duet_rtcp_packet *packet, uint32_t *sender_ssrc, uint32_t *media_ssrc)
{
    duet_reader r = duet_rtcp_reader(packet);

    if (!duet_rtcp_is(packet, DUET_RTCP_PSFB, DUET_RTCP_FMT_PLI))
        return DUET_ERR_NOT_MINE;
    *sender_ssrc = duet_read_u32(&r);
    *media_ssrc = duet_read_u32(&r);
    return r.failed ? DUET_ERR_MALFORMED : DUET_OK;
}

int duet_rtcp_write_pli(duet_rtcp_writer *w, uint32_t sender_ssrc, uint32_t media_ssrc)
{
    duet_writer p = duet_rtcp_begin(w, DUET_RTCP_PSFB, DUET_RTCP_FMT_PLI);

    duet_write_u32(&p, sender_ssrc);
    duet_write_u32(&p, media_ssrc);
    return duet_rtcp_end(w, &p);
}

/* |                              SSRC                             |   RFC 5104, 4.3.1.1
 * | Seq nr.       |    Reserved                                   |   */
int duet_rtcp_read_fir(duet_rtcp_fir *out, const duet_rtcp_packet *packet)
{
    duet_reader r = duet_rtcp_reader(packet);

    if (!duet_rtcp_is(packet, DUET_RTCP_PSFB, DUET_RTCP_FMT_FIR))
        return DUET_ERR_NOT_MINE;
    out->sender_ssrc = duet_read_u32(&r);
    duet_read_skip(&r, 4); /* the media SSRC "is not used and SHALL be set to 0" */
    duet_bytes entries = duet_read_bytes(&r, duet_reader_left(&r));
    out->entries = entries.data;
    out->entry_count = entries.len / FIR_ENTRY_LEN;
    return r.failed || entries.len == 0 || entries.len % FIR_ENTRY_LEN != 0 ? DUET_ERR_MALFORMED : DUET_OK;
}

void duet_rtcp_fir_entry(const duet_rtcp_fir *fir, size_t index, uint32_t *ssrc, uint8_t *sequence_number)
{
    duet_reader r = duet_reader_init(fir->entries, fir->entry_count * FIR_ENTRY_LEN);

    duet_read_skip(&r, index * FIR_ENTRY_LEN);
    *ssrc = duet_read_u32(&r);
    *sequence_number = duet_read_u8(&r);
}

int duet_rtcp_write_fir(duet_rtcp_writer *w, uint32_t sender_ssrc, uint32_t media_ssrc, uint8_t sequence_number)
{
    duet_writer p = duet_rtcp_begin(w, DUET_RTCP_PSFB, DUET_RTCP_FMT_FIR);

    duet_write_u32(&p, sender_ssrc);
    duet_write_u32(&p, 0);
    duet_write_u32(&p, media_ssrc);
    duet_write_u8(&p, sequence_number);
    duet_write_u24(&p, 0);
    return duet_rtcp_end(w, &p);
}

/* ---- REMB -------------------------------------------------------------------------------------------------------- */

/* |  Unique identifier 'R' 'E' 'M' 'B'                            |   draft-alvestrand-rmcat-remb-03, 2.2
 * |  Num SSRC     | BR Exp    |  BR Mantissa                      |
 * |   SSRC feedback ...                                           |   */
int duet_rtcp_read_remb(duet_rtcp_remb *out, const duet_rtcp_packet *packet)
{
    duet_reader r = duet_rtcp_reader(packet);

    if (!duet_rtcp_is(packet, DUET_RTCP_PSFB, DUET_RTCP_FMT_AFB))
        return DUET_ERR_NOT_MINE;
    memset(out, 0, sizeof(*out));
    out->sender_ssrc = duet_read_u32(&r);
    duet_read_skip(&r, 4); /* the media SSRC is always 0 */
    duet_bytes name = duet_read_bytes(&r, 4);
    if (r.failed || memcmp(name.data, REMB_NAME, 4) != 0)
        return DUET_ERR_NOT_MINE;
    out->ssrc_count = duet_read_u8(&r);
    uint32_t rate = duet_read_u24(&r);
    uint64_t mantissa = rate & MANTISSA_MAX;
    unsigned exponent = rate >> 18;
    /* What does not fit 64 bits is nobody's bit rate. */
    if (mantissa << exponent >> exponent != mantissa)
        return DUET_ERR_MALFORMED;
    out->bits_per_second = mantissa << exponent;
    for (uint8_t i = 0; i < out->ssrc_count; i++)
        out->ssrcs[i] = duet_read_u32(&r);
    return r.failed ? DUET_ERR_MALFORMED : DUET_OK;
}

int duet_rtcp_write_remb(duet_rtcp_writer *w, const duet_rtcp_remb *remb)
{
    duet_writer p = duet_rtcp_begin(w, DUET_RTCP_PSFB, DUET_RTCP_FMT_AFB);
    uint64_t mantissa = remb->bits_per_second;
    unsigned exponent = 0;

    for (; mantissa > MANTISSA_MAX; mantissa >>= 1)
        exponent++;
    duet_write_u32(&p, remb->sender_ssrc);
    duet_write_u32(&p, 0);
    duet_write_bytes(&p, REMB_NAME, 4);
    duet_write_u8(&p, remb->ssrc_count);
    duet_write_u24(&p, exponent << 18 | (uint32_t)mantissa);
    for (uint8_t i = 0; i < remb->ssrc_count; i++)
        duet_write_u32(&p, remb->ssrcs[i]);
    return duet_rtcp_end(w, &p);
}
