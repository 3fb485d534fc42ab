/* Payloads made of NAL units, for H.264 (RFC 6184) and H.265 (RFC 7798): small neighbours share a payload (STAP-A, AP),
 * a large unit is cut into fragments (FU-A, FU), all others travel alone. Interleaved modes and DONs are not used. */
#include "media/payload_nal.h"
#include "media/annexb.h"

#define FU_START      0x80
#define FU_END        0x40
#define UNIT_SIZE_LEN 2 /* before each unit of an aggregation packet */

static uint8_t type_at(const duet_nal_syntax *syntax, const duet_reader *r)
{
    return syntax->type(duet_peek_u8(r, 0));
}

static bool is_unit(const duet_nal_syntax *syntax, duet_bytes unit)
{
    return unit.len >= syntax->header_len && syntax->is_unit(syntax->type(unit.data[0]));
}

/* The next unit of an aggregation packet, of which the header has been read. */
static int read_aggregated(const duet_nal_syntax *syntax, duet_reader *r, duet_bytes *unit)
{
    size_t size = duet_read_u16(r);

    *unit = duet_read_bytes(r, size);
    return r->failed || !is_unit(syntax, *unit) ? DUET_ERR_MALFORMED : DUET_OK;
}

/* Reads both headers of a fragment. `header` becomes that of the unit. */
static int read_fragment_header(const duet_nal_syntax *syntax, duet_reader *r, uint8_t header[2], uint8_t *flags)
{
    duet_bytes indicator = duet_read_bytes(r, syntax->header_len);
    *flags = duet_read_u8(r);
    uint8_t type = *flags & syntax->fragment_type_mask;

    if (r->failed || !syntax->is_unit(type))
        return DUET_ERR_MALFORMED;
    header[0] = syntax->with_type(indicator.data[0], type);
    header[1] = indicator.data[indicator.len - 1];
    return DUET_OK;
}

/* ---- inspect ----------------------------------------------------------------------------------------------------- */

static int aggregation_meaning(const duet_nal_syntax *syntax, duet_reader *r, unsigned *meaning)
{
    duet_bytes unit;
    int err;

    duet_read_skip(r, syntax->header_len);
    do {
        err = read_aggregated(syntax, r, &unit);
        if (!err)
            *meaning |= syntax->meaning(unit.data[0], syntax->type(unit.data[0]));
    } while (!err && duet_reader_left(r) > 0);
    return err;
}

int duet_nal_inspect(const duet_nal_syntax *syntax, duet_reader payload, duet_payload_info *out)
{
    uint8_t type = type_at(syntax, &payload);
    uint8_t header[2] = {duet_peek_u8(&payload, 0), duet_peek_u8(&payload, 1)}, flags;
    unsigned meaning = 0;
    int err = DUET_OK;

    out->starts_frame = true;
    if (duet_reader_left(&payload) < syntax->header_len)
        return DUET_ERR_MALFORMED;
    if (type == syntax->fragmentation) {
        err = read_fragment_header(syntax, &payload, header, &flags);
        if (err)
            return err;
        out->starts_frame = flags & FU_START;
        out->descriptor_len = payload.pos;
        meaning = syntax->meaning(header[0], syntax->type(header[0]));
    } else if (type == syntax->aggregation) {
        out->descriptor_len = syntax->header_len;
        err = aggregation_meaning(syntax, &payload, &meaning);
    } else if (syntax->is_unit(type)) {
        meaning = syntax->meaning(header[0], type);
    } else {
        return DUET_ERR_UNSUPPORTED;
    }
    out->is_keyframe = meaning & DUET_NAL_KEY;
    out->is_discardable = (meaning & DUET_NAL_DISPENSABLE) && !(meaning & DUET_NAL_NEEDED);
    return err;
}

/* ---- frames to payloads ------------------------------------------------------------------------------------------ */

static int check_units(const duet_nal_syntax *syntax, const duet_packetizer *p)
{
    duet_reader stream = p->frame;
    duet_bytes unit;
    int err = DUET_ERR_MALFORMED; /* no unit at all */

    if (!duet_annexb_is(stream))
        return DUET_ERR_MALFORMED;
    while (duet_annexb_next(&stream, &unit)) {
        if (!is_unit(syntax, unit))
            return DUET_ERR_MALFORMED;
        if (p->h264_mode_0 && unit.len > p->payload_max)
            return DUET_ERR_TOO_LARGE;
        err = DUET_OK;
    }
    return err;
}

int duet_nal_begin(const duet_nal_syntax *syntax, duet_packetizer *p)
{
    int err = check_units(syntax, p);

    if (!err)
        (void)duet_annexb_next(&p->frame, &p->unit);
    return err;
}

bool duet_nal_is_done(const duet_packetizer *p)
{
    return p->unit.len == 0;
}

static void next_unit(duet_packetizer *p)
{
    p->unit_sent = 0;
    (void)duet_annexb_next(&p->frame, &p->unit);
}

static void write_fragment(const duet_nal_syntax *syntax, duet_packetizer *p, duet_writer *w)
{
    duet_reader unit = duet_reader_init(p->unit.data, p->unit.len);
    duet_bytes header = duet_read_bytes(&unit, syntax->header_len);
    uint8_t flags = syntax->type(header.data[0]);

    duet_read_skip(&unit, p->unit_sent);
    size_t left = duet_reader_left(&unit);
    size_t share = duet_payload_share(left, 0, p->payload_max - syntax->header_len - 1);
    if (p->unit_sent == 0)
        flags |= FU_START;
    if (share == left)
        flags |= FU_END;
    duet_write_u8(w, syntax->with_type(header.data[0], syntax->fragmentation));
    duet_write_bytes(w, header.data + 1, header.len - 1);
    duet_write_u8(w, flags);
    duet_write_bytes(w, duet_read_bytes(&unit, share).data, share);
    p->unit_sent += share;
    if (share == left)
        next_unit(p);
}

static bool fits_aggregation(const duet_packetizer *p, size_t used)
{
    return p->unit.len > 0 && used + UNIT_SIZE_LEN + p->unit.len <= p->payload_max;
}

/* `first`, the unit at hand, and all that follow and fit. */
static void write_aggregation(const duet_nal_syntax *syntax, duet_packetizer *p, duet_writer *w, duet_bytes first)
{
    uint8_t header[2] = {first.data[0], first.data[syntax->header_len - 1]};

    duet_write_fill(w, 0, syntax->header_len);
    duet_write_u16(w, (uint16_t)first.len);
    duet_write_bytes(w, first.data, first.len);
    while (fits_aggregation(p, w->len)) {
        syntax->combine(header, p->unit.data);
        duet_write_u16(w, (uint16_t)p->unit.len);
        duet_write_bytes(w, p->unit.data, p->unit.len);
        next_unit(p);
    }
    duet_writer at_start = duet_writer_init(w->data, syntax->header_len);
    duet_write_u8(&at_start, syntax->with_type(header[0], syntax->aggregation));
    duet_write_bytes(&at_start, header + 1, syntax->header_len - 1);
}

void duet_nal_next(const duet_nal_syntax *syntax, duet_packetizer *p, duet_writer *w)
{
    duet_bytes first = p->unit;

    if (first.len > p->payload_max) {
        write_fragment(syntax, p, w);
        return;
    }
    next_unit(p);
    if (!p->h264_mode_0 && fits_aggregation(p, syntax->header_len + UNIT_SIZE_LEN + first.len))
        write_aggregation(syntax, p, w, first);
    else
        duet_write_bytes(w, first.data, first.len);
}

/* ---- payloads to frames ------------------------------------------------------------------------------------------ */

static int append_start_code(duet_depacketizer *d)
{
    static const uint8_t start_code[] = {0, 0, 0, 1};
    int err = duet_payload_append(d, (duet_bytes){start_code, sizeof(start_code)});

    d->unit_start = d->frame.len;
    return err;
}

static int append_unit(duet_depacketizer *d, duet_bytes unit)
{
    int err = append_start_code(d);

    return err ? err : duet_payload_append(d, unit);
}

static int add_aggregation(const duet_nal_syntax *syntax, duet_depacketizer *d, duet_reader *r)
{
    duet_bytes unit;
    int err;

    duet_read_skip(r, syntax->header_len);
    do {
        err = read_aggregated(syntax, r, &unit);
        if (!err)
            err = append_unit(d, unit);
    } while (!err && duet_reader_left(r) > 0);
    return err;
}

static int add_fragment(const duet_nal_syntax *syntax, duet_depacketizer *d, duet_reader *r)
{
    uint8_t header[2], flags;
    int err = read_fragment_header(syntax, r, header, &flags);

    if (err)
        return err;
    bool starts = flags & FU_START;
    if (starts == d->in_fragment)
        return DUET_ERR_MALFORMED;
    if (starts)
        err = append_unit(d, (duet_bytes){header, syntax->header_len});
    else if (syntax->type(d->frame.data[d->unit_start]) != syntax->type(header[0]))
        err = DUET_ERR_MALFORMED; /* a fragment of another unit */
    d->in_fragment = !(flags & FU_END);
    return err ? err : duet_payload_append(d, duet_read_bytes(r, duet_reader_left(r)));
}

int duet_nal_add(const duet_nal_syntax *syntax, duet_depacketizer *d, duet_reader payload)
{
    uint8_t type = type_at(syntax, &payload);

    if (type == syntax->fragmentation)
        return add_fragment(syntax, d, &payload);
    if (d->in_fragment)
        return DUET_ERR_MALFORMED;
    if (type == syntax->aggregation)
        return add_aggregation(syntax, d, &payload);
    if (!syntax->is_unit(type))
        return DUET_ERR_UNSUPPORTED;
    if (duet_reader_left(&payload) < syntax->header_len)
        return DUET_ERR_MALFORMED;
    return append_unit(d, duet_read_bytes(&payload, duet_reader_left(&payload)));
}
