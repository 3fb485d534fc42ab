/* Transport-wide feedback: draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1.
 *
 * A packet claims up to 65535 statuses, and each of its two-byte chunks up to 8191: neither is ever stored, and chunks are
 * looked at only until the claimed number of statuses is reached. */
#include "media/rtcp_packet.h"
#include <string.h>

#define SYMBOL_LOST  0
#define SYMBOL_SMALL 1 /* a delta of one byte */
#define SYMBOL_LARGE 2 /* a delta of two bytes, signed */
#define RUN_MAX      0x1fff
#define ONE_BIT_MAX  14 /* symbols of a status vector */
#define TWO_BIT_MAX  7
#define CHUNK_LEN    2

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

/* |0| S |       Run Length        |   3.1.3
 * |1|0|       symbol list         |   3.1.4, 14 symbols of one bit
 * |1|1|       symbol list         |          7 symbols of two bits */
typedef struct chunk {
    bool is_run, two_bit;
    uint16_t bits;
    uint16_t count; /* of symbols */
} chunk;

static chunk chunk_of(uint16_t bits)
{
    if (!(bits & 0x8000))
        return (chunk){true, false, bits, bits & RUN_MAX};
    bool two_bit = bits & 0x4000;
    return (chunk){false, two_bit, bits, two_bit ? TWO_BIT_MAX : ONE_BIT_MAX};
}

static unsigned chunk_symbol(const chunk *c, uint16_t index)
{
    if (c->is_run)
        return c->bits >> 13 & 3;
    if (c->two_bit)
        return c->bits >> (2 * (TWO_BIT_MAX - 1 - index)) & 3;
    return c->bits >> (ONE_BIT_MAX - 1 - index) & 1;
}

/* Bytes of the deltas of its first `count` symbols; negative when one of them is reserved. */
static int64_t chunk_deltas(const chunk *c, uint16_t count)
{
    int64_t bytes = 0;

    if (c->is_run)
        return chunk_symbol(c, 0) > SYMBOL_LARGE ? -1 : (int64_t)count * chunk_symbol(c, 0);
    for (uint16_t i = 0; i < count; i++) {
        if (chunk_symbol(c, i) > SYMBOL_LARGE)
            return -1;
        bytes += chunk_symbol(c, i);
    }
    return bytes;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Steps over as many chunks as the statuses take. @return how many bytes of deltas belong to them; negative: malformed */
static int64_t skip_chunks(duet_reader *r, uint16_t status_count)
{
    uint32_t left = status_count;
    int64_t bytes = 0;

    while (left > 0) {
        chunk c = chunk_of(duet_read_u16(r));
        if (r->failed)
            return -1;
        uint16_t taken = c.count < left ? c.count : (uint16_t)left;
        int64_t deltas = chunk_deltas(&c, taken);
        if (deltas < 0)
            return -1;
        bytes += deltas;
        left -= taken;
    }
    return bytes;
}

/* |      base sequence number     |      packet status count      |   3.1
 * |                 reference time                | fb pkt. count |
 * |          packet chunk         |   ...                         |
 * |           recv delta          |   ...  zero padding           |   */
int duet_rtcp_read_transport_cc(duet_rtcp_transport_cc *out, const duet_rtcp_packet *packet)
{
    duet_reader r = duet_rtcp_reader(packet);

    if (!duet_rtcp_is(packet, DUET_RTCP_RTPFB, DUET_RTCP_FMT_TRANSPORT_CC))
        return DUET_ERR_NOT_MINE;
    memset(out, 0, sizeof(*out));
    out->sender_ssrc = duet_read_u32(&r);
    out->media_ssrc = duet_read_u32(&r);
    out->base_sequence = duet_read_u16(&r);
    out->status_count = duet_read_u16(&r);
    out->reference_time = duet_read_s24(&r);
    out->feedback_count = duet_read_u8(&r);
    duet_reader chunks = r;
    int64_t deltas_len = skip_chunks(&r, out->status_count);
    if (r.failed || deltas_len < 0 || (uint64_t)deltas_len > duet_reader_left(&r))
        return DUET_ERR_MALFORMED;
    out->chunk_count = (r.pos - chunks.pos) / CHUNK_LEN;
    out->chunks = duet_read_bytes(&chunks, out->chunk_count * CHUNK_LEN).data;
    out->deltas_len = (size_t)deltas_len;
    out->deltas = duet_read_bytes(&r, out->deltas_len).data;
    return DUET_OK;
}

static chunk chunk_at(const duet_rtcp_transport_cc *feedback, size_t index)
{
    duet_reader r = duet_reader_init(feedback->chunks, feedback->chunk_count * CHUNK_LEN);

    duet_read_skip(&r, index * CHUNK_LEN);
    return chunk_of(duet_read_u16(&r));
}

static int32_t read_delta(const duet_rtcp_transport_cc *feedback, size_t *offset, bool large)
{
    duet_reader r = duet_reader_init(feedback->deltas, feedback->deltas_len);

    duet_read_skip(&r, *offset);
    int32_t delta = large ? (int16_t)duet_read_u16(&r) : duet_read_u8(&r);
    *offset = r.pos;
    return delta;
}

int duet_rtcp_next_status(const duet_rtcp_transport_cc *feedback, duet_rtcp_status_cursor *cursor,
                          duet_rtcp_packet_status *out)
{
    if (cursor->index >= feedback->status_count)
        return 0;
    chunk c = chunk_at(feedback, cursor->chunk);
    while (cursor->in_chunk >= c.count) { /* also over runs of length 0 */
        if (++cursor->chunk >= feedback->chunk_count)
            return 0;
        cursor->in_chunk = 0;
        c = chunk_at(feedback, cursor->chunk);
    }
    unsigned symbol = chunk_symbol(&c, cursor->in_chunk++);
    out->sequence_number = (uint16_t)(feedback->base_sequence + cursor->index++);
    out->received = symbol != SYMBOL_LOST;
    out->time = 0;
    if (out->received) {
        cursor->elapsed += read_delta(feedback, &cursor->delta, symbol == SYMBOL_LARGE);
        out->time = (int64_t)feedback->reference_time * DUET_RTCP_TRANSPORT_CC_REFERENCE + cursor->elapsed;
    }
    return 1;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* What is being reported; `base` is the reference time in units of 250 µs. */
typedef struct report {
    const duet_rtcp_packet_status *statuses;
    size_t count;
    int64_t base;
} report;

/* Since the last packet that was received before it. */
static int64_t delta_of(const report *rep, size_t index)
{
    for (size_t i = index; i-- > 0;) {
        if (rep->statuses[i].received)
            return rep->statuses[index].time - rep->statuses[i].time;
    }
    return rep->statuses[index].time - rep->base;
}

static unsigned symbol_of(const report *rep, size_t index)
{
    if (!rep->statuses[index].received)
        return SYMBOL_LOST;
    int64_t delta = delta_of(rep, index);
    return delta >= 0 && delta <= UINT8_MAX ? SYMBOL_SMALL : SYMBOL_LARGE;
}

/* How many of the statuses can be in one packet as far as the deltas go. */
static size_t count_until_gap(const report *rep)
{
    for (size_t i = 0; i < rep->count; i++) {
        if (!rep->statuses[i].received)
            continue;
        int64_t delta = delta_of(rep, i);
        if (delta < INT16_MIN || delta > INT16_MAX)
            return i;
    }
    return rep->count;
}

static size_t run_at(const report *rep, size_t index)
{
    unsigned symbol = symbol_of(rep, index);
    size_t run = 1;

    while (index + run < rep->count && run < RUN_MAX && symbol_of(rep, index + run) == symbol)
        run++;
    return run;
}

static chunk make_vector(const report *rep, size_t index, bool two_bit)
{
    unsigned max = two_bit ? TWO_BIT_MAX : ONE_BIT_MAX, width = two_bit ? 2 : 1;
    unsigned bits = two_bit ? 0xc000 : 0x8000;
    size_t count = rep->count - index < max ? rep->count - index : max;

    for (unsigned i = 0; i < count; i++)
        bits |= symbol_of(rep, index + i) << (width * (max - 1 - i));
    return (chunk){false, two_bit, (uint16_t)bits, (uint16_t)count};
}

/* The chunk that takes most statuses from `index` on. */
static chunk make_chunk(const report *rep, size_t index)
{
    size_t run = run_at(rep, index), one_bit = 0;

    while (one_bit < ONE_BIT_MAX && index + one_bit < rep->count && symbol_of(rep, index + one_bit) != SYMBOL_LARGE)
        one_bit++;
    bool fits_one_bit = one_bit == ONE_BIT_MAX || index + one_bit == rep->count;
    if (run >= (fits_one_bit ? one_bit : TWO_BIT_MAX) || index + run == rep->count)
        return (chunk){true, false, (uint16_t)(symbol_of(rep, index) << 13 | run), (uint16_t)run};
    return make_vector(rep, index, !fits_one_bit);
}

/* How many statuses go into `room` bytes, at the end of a chunk. */
static size_t count_that_fit(const report *rep, size_t room)
{
    size_t index = 0;

    while (index < rep->count) {
        chunk c = make_chunk(rep, index);
        size_t need = CHUNK_LEN + (size_t)chunk_deltas(&c, c.count);
        /* All of a long run need not fit. */
        if (need > room && c.is_run && room > CHUNK_LEN)
            return index + (room - CHUNK_LEN) / chunk_symbol(&c, 0);
        if (need > room)
            break;
        room -= need;
        index += c.count;
    }
    return index;
}

static void write_chunks(duet_writer *p, const report *rep)
{
    for (size_t index = 0; index < rep->count;) {
        chunk c = make_chunk(rep, index);
        duet_write_u16(p, c.bits);
        index += c.count;
    }
}

static void write_deltas(duet_writer *p, const report *rep)
{
    for (size_t i = 0; i < rep->count; i++) {
        unsigned symbol = symbol_of(rep, i);
        if (symbol == SYMBOL_SMALL)
            duet_write_u8(p, (uint8_t)delta_of(rep, i));
        else if (symbol == SYMBOL_LARGE)
            duet_write_u16(p, (uint16_t)delta_of(rep, i));
    }
}

/* Fills the last word and says so in the padding bit, as browsers do. */
static void write_padding(duet_writer *p)
{
    size_t padding = (4 - p->len % 4) % 4;

    if (padding == 0)
        return;
    duet_write_fill(p, 0, padding - 1);
    duet_write_u8(p, (uint8_t)padding);
    duet_write_u16_at(p, 0, (uint16_t)((0xa0 | DUET_RTCP_FMT_TRANSPORT_CC) << 8 | DUET_RTCP_RTPFB));
}

static int64_t floor_reference(int64_t time)
{
    int64_t reference = time / DUET_RTCP_TRANSPORT_CC_REFERENCE;

    return time % DUET_RTCP_TRANSPORT_CC_REFERENCE < 0 ? reference - 1 : reference;
}

int duet_rtcp_write_transport_cc(duet_rtcp_writer *w, const duet_rtcp_transport_cc *feedback,
                                 const duet_rtcp_packet_status *statuses, size_t count, size_t *taken)
{
    size_t first = 0;

    *taken = 0;
    while (first < count && !statuses[first].received)
        first++;
    if (first == count || count > UINT16_MAX)
        return DUET_ERR_INVALID;
    int64_t reference = floor_reference(statuses[first].time);
    report rep = {statuses, count, reference * DUET_RTCP_TRANSPORT_CC_REFERENCE};

    duet_writer p = duet_rtcp_begin(w, DUET_RTCP_RTPFB, DUET_RTCP_FMT_TRANSPORT_CC);
    duet_write_u32(&p, feedback->sender_ssrc);
    duet_write_u32(&p, feedback->media_ssrc);
    duet_write_u16(&p, statuses[0].sequence_number);
    size_t count_at = p.len;
    duet_write_u16(&p, 0);
    duet_write_u24(&p, (uint32_t)reference & 0xffffff);
    duet_write_u8(&p, feedback->feedback_count);
    if (p.failed)
        return DUET_ERR_BUFFER;
    rep.count = count_until_gap(&rep);
    rep.count = count_that_fit(&rep, (p.capacity - p.len) & ~(size_t)3);
    if (rep.count == 0)
        return DUET_ERR_BUFFER;
    duet_write_u16_at(&p, count_at, (uint16_t)rep.count);
    write_chunks(&p, &rep);
    write_deltas(&p, &rep);
    write_padding(&p);
    *taken = rep.count;
    return duet_rtcp_end(w, &p);
}
