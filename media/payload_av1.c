/* AV1: "RTP Payload Format For AV1" of the Alliance for Open Media, version 1.0. Sections are those of that text, or of
 * the AV1 bitstream specification where it says so. A payload holds up to three OBU elements, so the last one needs no
 * length. OBUs carry no sizes on the wire; they get them back on arrival. */
#include "media/bits.h"
#include "media/payload_internal.h"
#include <string.h>

/* |Z|Y| W |N|-|-|-|   aggregation header, section 4.4 */
#define AV1_Z           0x80 /* the first element goes on with an OBU of the payload before */
#define AV1_Y           0x40 /* the last element goes on in the next payload */
#define AV1_W_SHIFT     4
#define AV1_N           0x08 /* a coded video sequence begins */
#define AV1_ELEMENTS    3
#define AV1_ELEMENT_MIN 4 /* less than that of an OBU is not worth an element */

/* |F|  type  |X|S|-|   OBU header, bitstream specification section 5.3.2; with X a second byte follows */
#define OBU_FORBIDDEN 0x80
#define OBU_EXTENSION 0x04
#define OBU_HAS_SIZE  0x02

enum {
    OBU_SEQUENCE_HEADER = 1,
    OBU_TEMPORAL_DELIMITER = 2,
    OBU_TILE_LIST = 8,
    OBU_PADDING = 15,
};

typedef struct obu {
    uint8_t header[2]; /* without OBU_HAS_SIZE */
    size_t header_len;
    duet_bytes payload;
} obu;

/* Reads one OBU; without a size it reaches to the end. */
static int read_obu(duet_reader *r, obu *out)
{
    uint8_t first = duet_read_u8(r);

    out->header[0] = first & (uint8_t)~OBU_HAS_SIZE;
    out->header[1] = first & OBU_EXTENSION ? duet_read_u8(r) : 0;
    out->header_len = first & OBU_EXTENSION ? 2 : 1;
    size_t size = first & OBU_HAS_SIZE ? duet_read_leb128(r) : duet_reader_left(r);
    out->payload = duet_read_bytes(r, size);
    return r->failed || (first & OBU_FORBIDDEN) ? DUET_ERR_MALFORMED : DUET_OK;
}

static unsigned type_of(const obu *o)
{
    return o->header[0] >> 3 & 0x0Fu;
}

/* Temporal delimiters and tile lists do not travel (section 5), and padding is for nobody. */
static bool is_left_out(const obu *o)
{
    return type_of(o) == OBU_TEMPORAL_DELIMITER || type_of(o) == OBU_TILE_LIST || type_of(o) == OBU_PADDING;
}

/* ---- inspect ----------------------------------------------------------------------------------------------------- */

/* The elements of a payload, one by one. */
typedef struct element_reader {
    duet_reader r;
    uint8_t flags;
    unsigned index;
} element_reader;

static element_reader elements_of(duet_reader payload)
{
    element_reader e = {.r = payload};

    e.flags = duet_read_u8(&e.r);
    return e;
}

static bool is_last(const element_reader *e)
{
    return duet_reader_left(&e->r) == 0;
}

static int next_element(element_reader *e, duet_bytes *out)
{
    unsigned count = e->flags >> AV1_W_SHIFT & 3u;
    bool has_length = count == 0 || ++e->index < count;
    size_t len = has_length ? duet_read_leb128(&e->r) : duet_reader_left(&e->r);

    *out = duet_read_bytes(&e->r, len);
    bool missing = has_length && count > 0 && duet_reader_left(&e->r) == 0;
    return e->r.failed || out->len == 0 || missing ? DUET_ERR_MALFORMED : DUET_OK;
}

static void read_layers(duet_bytes element, duet_payload_info *out)
{
    if (element.len < 2 || !(element.data[0] & OBU_EXTENSION))
        return;
    out->temporal_id = (int8_t)(element.data[1] >> 5);
    out->spatial_id = (int8_t)(element.data[1] >> 3 & 3);
}

static int inspect(duet_reader payload, duet_payload_info *out)
{
    element_reader e = elements_of(payload);
    bool continues = e.flags & AV1_Z;
    duet_bytes element;
    int err;

    out->starts_frame = !continues;
    out->is_keyframe = e.flags & AV1_N;
    out->descriptor_len = 1;
    if (continues && out->is_keyframe) /* section 4.4: what begins does not go on */
        return DUET_ERR_MALFORMED;
    do {
        err = next_element(&e, &element);
        if (!err && !continues && out->temporal_id < 0)
            read_layers(element, out);
        continues = false;
    } while (!err && !is_last(&e));
    return err;
}

/* ---- frames to payloads ------------------------------------------------------------------------------------------ */

/* What is left of the OBU at hand; 0 when there is none. */
static size_t obu_left(const duet_packetizer *p)
{
    return p->header_len + p->unit.len - p->unit_sent;
}

/* The next OBU that travels becomes the one at hand. */
static void next_obu(duet_packetizer *p)
{
    obu o;

    p->unit = (duet_bytes){NULL, 0};
    p->header_len = p->unit_sent = 0;
    while (duet_reader_left(&p->frame) > 0 && read_obu(&p->frame, &o) == DUET_OK) {
        if (is_left_out(&o))
            continue;
        memcpy(p->header, o.header, sizeof(p->header));
        p->header_len = o.header_len;
        p->unit = o.payload;
        return;
    }
}

static int begin(duet_packetizer *p)
{
    duet_reader r = p->frame;
    obu o;

    p->wire_left = 0;
    while (duet_reader_left(&r) > 0) {
        if (read_obu(&r, &o) != DUET_OK)
            return DUET_ERR_MALFORMED;
        if (is_left_out(&o))
            continue;
        p->wire_left += o.header_len + o.payload.len;
        if (type_of(&o) == OBU_SEQUENCE_HEADER && !p->has_info)
            p->info.is_keyframe = true;
    }
    next_obu(p);
    return p->wire_left ? DUET_OK : DUET_ERR_MALFORMED;
}

static bool is_done(const duet_packetizer *p)
{
    return p->wire_left == 0;
}

/* The next `len` bytes of the OBU at hand. */
static void take(duet_packetizer *p, duet_writer *w, size_t len)
{
    duet_reader header = duet_reader_init(p->header, p->header_len);
    duet_reader unit = duet_reader_init(p->unit.data, p->unit.len);
    size_t header_sent = p->unit_sent < p->header_len ? p->unit_sent : p->header_len;
    size_t of_header = p->header_len - header_sent < len ? p->header_len - header_sent : len;

    duet_read_skip(&header, header_sent);
    duet_read_skip(&unit, p->unit_sent - header_sent);
    duet_write_bytes(w, duet_read_bytes(&header, of_header).data, of_header);
    duet_write_bytes(w, duet_read_bytes(&unit, len - of_header).data, len - of_header);
    p->unit_sent += len;
    p->wire_left -= len;
    if (obu_left(p) == 0)
        next_obu(p);
}

static void next(duet_packetizer *p, duet_writer *w)
{
    size_t lengths = obu_left(p) == p->wire_left ? 0 : AV1_ELEMENTS; /* about */
    size_t space = duet_payload_share(p->wire_left + lengths, 0, p->payload_max - 1);
    uint8_t flags = p->unit_sent > 0 ? AV1_Z : 0;
    unsigned count = 1;

    duet_write_u8(w, 0);
    while (count < AV1_ELEMENTS) { /* whole OBUs that leave room for another element */
        size_t left = obu_left(p), len = left + duet_leb128_len(left);
        if (left == p->wire_left || len + AV1_ELEMENT_MIN > space)
            break;
        duet_write_leb128(w, left);
        take(p, w, left);
        space -= len;
        count++;
    }
    take(p, w, obu_left(p) < space ? obu_left(p) : space);
    flags |= p->unit_sent > 0 ? AV1_Y : 0;
    flags |= p->at_start && p->info.is_keyframe ? AV1_N : 0;
    w->data[0] = (uint8_t)(flags | count << AV1_W_SHIFT);
}

/* ---- payloads to frames ------------------------------------------------------------------------------------------ */

/* The OBU from unit_start on is complete: gives it a size, or drops it. */
static int finish_obu(duet_depacketizer *d)
{
    static const uint8_t room[DUET_LEB128_MAX];
    duet_reader r = duet_reader_init(d->frame.data, d->frame.len);
    obu o;

    duet_read_skip(&r, d->unit_start);
    if (read_obu(&r, &o) != DUET_OK || duet_reader_left(&r) > 0)
        return DUET_ERR_MALFORMED;
    if (is_left_out(&o)) {
        d->frame.len = d->unit_start;
        return DUET_OK;
    }
    size_t size = o.payload.len, from = d->frame.len - size;
    size_t to = d->unit_start + o.header_len + duet_leb128_len(size);
    if (to > from) {
        int err = duet_payload_append(d, (duet_bytes){room, to - from});
        if (err)
            return err;
    }
    memmove(d->frame.data + to, d->frame.data + from, size);
    d->frame.len = to + size;
    duet_writer w = duet_writer_init(d->frame.data + d->unit_start, to - d->unit_start);
    duet_write_u8(&w, o.header[0] | OBU_HAS_SIZE);
    duet_write_bytes(&w, o.header + 1, o.header_len - 1);
    duet_write_leb128(&w, size);
    return duet_writer_finish(&w);
}

static int add(duet_depacketizer *d, duet_reader payload)
{
    element_reader e = elements_of(payload);
    duet_bytes element;

    if ((e.flags & AV1_Z ? true : false) != d->in_fragment)
        return DUET_ERR_MALFORMED;
    do {
        int err = next_element(&e, &element);
        if (err)
            return err;
        if (!d->in_fragment)
            d->unit_start = d->frame.len;
        err = duet_payload_append(d, element);
        d->in_fragment = is_last(&e) && (e.flags & AV1_Y);
        if (!err && !d->in_fragment)
            err = finish_obu(d);
        if (err)
            return err;
    } while (!is_last(&e));
    return DUET_OK;
}

const duet_payload_ops duet_payload_av1 = {
    .is_video = true,
    .inspect = inspect,
    .begin = begin,
    .next = next,
    .is_done = is_done,
    .add = add,
};
