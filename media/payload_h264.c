/* H.264: RFC 6184, packetization modes 0 (single NAL units) and 1 (with STAP-A and FU-A). Mode 2 is refused. */
#include "media/payload_nal.h"

/* |F|NRI| Type |   RFC 6184, 1.3 */
#define NRI  0x60
#define TYPE 0x1F

enum {
    SLICE = 1,
    IDR = 5,
    SPS = 7,
    PPS = 8,
    LAST_UNIT = 23,
    STAP_A = 24,
    FU_A = 28,
};

static uint8_t type_of(uint8_t header)
{
    return header & TYPE;
}

static uint8_t with_type(uint8_t header, uint8_t type)
{
    return (uint8_t)((header & ~TYPE) | type);
}

static bool is_unit(uint8_t type)
{
    return type >= SLICE && type <= LAST_UNIT;
}

/* NRI is the highest of all units, F is 1 when any is: RFC 6184 section 5.7. */
static void combine(uint8_t header[2], const uint8_t unit[2])
{
    uint8_t nri = (unit[0] & NRI) > (header[0] & NRI) ? unit[0] & NRI : header[0] & NRI;

    header[0] = (uint8_t)(((header[0] | unit[0]) & 0x80) | nri);
}

static unsigned meaning(uint8_t header, uint8_t type)
{
    if (type == IDR || type == SPS)
        return DUET_NAL_KEY | DUET_NAL_NEEDED;
    if (type == PPS)
        return DUET_NAL_NEEDED;
    if (type > IDR)
        return 0;
    return header & NRI ? DUET_NAL_NEEDED : DUET_NAL_DISPENSABLE;
}

static const duet_nal_syntax h264 = {
    .header_len = 1,
    .aggregation = STAP_A,
    .fragmentation = FU_A,
    .fragment_type_mask = TYPE,
    .type = type_of,
    .with_type = with_type,
    .is_unit = is_unit,
    .combine = combine,
    .meaning = meaning,
};

static int inspect(duet_reader payload, duet_payload_info *out)
{
    return duet_nal_inspect(&h264, payload, out);
}

static int begin(duet_packetizer *p)
{
    return duet_nal_begin(&h264, p);
}

static void next(duet_packetizer *p, duet_writer *w)
{
    duet_nal_next(&h264, p, w);
}

static int add(duet_depacketizer *d, duet_reader payload)
{
    return duet_nal_add(&h264, d, payload);
}

const duet_payload_ops duet_payload_h264 = {
    .is_video = true,
    .inspect = inspect,
    .begin = begin,
    .next = next,
    .is_done = duet_nal_is_done,
    .add = add,
};
