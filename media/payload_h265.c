/* H.265: RFC 7798 with single NAL units, aggregation packets and fragmentation units; without decoding order numbers
 * (sprop-max-don-diff 0) and without PACI. */
#include "media/payload_nal.h"

/* |F|   Type    |  LayerId  | TID |   RFC 7798, 1.1.4 */
#define F   0x81 /* with the first bit of LayerId: all of the first byte that is not Type */
#define TID 0x07

enum {
    IRAP_FIRST = 16,
    IRAP_LAST = 23,
    VPS = 32,
    SPS = 33,
    PPS = 34,
    LAST_UNIT = 47,
    AP = 48,
    FU = 49,
};

static uint8_t type_of(uint8_t header)
{
    return header >> 1 & 0x3F;
}

static uint8_t with_type(uint8_t header, uint8_t type)
{
    return (uint8_t)((header & F) | type << 1);
}

static bool is_unit(uint8_t type)
{
    return type <= LAST_UNIT;
}

static unsigned layer_of(const uint8_t header[2])
{
    return (header[0] & 1u) << 5 | header[1] >> 3;
}

/* F is 1 when any is; LayerId and TID are the lowest of all: RFC 7798 section 4.4.2. */
static void combine(uint8_t header[2], const uint8_t unit[2])
{
    unsigned layer = layer_of(unit) < layer_of(header) ? layer_of(unit) : layer_of(header);
    unsigned tid = (unit[1] & TID) < (header[1] & TID) ? unit[1] & TID : header[1] & TID;

    header[0] = (uint8_t)(((header[0] | unit[0]) & 0x80) | layer >> 5);
    header[1] = (uint8_t)(layer << 3 | tid);
}

/* Even types below 16 are pictures that their own temporal layer does not refer to, but higher ones may: all are
 * needed. */
static unsigned meaning(uint8_t header, uint8_t type)
{
    (void)header;
    if ((type >= IRAP_FIRST && type <= IRAP_LAST) || type == VPS || type == SPS)
        return DUET_NAL_KEY | DUET_NAL_NEEDED;
    return type < IRAP_FIRST || type == PPS ? DUET_NAL_NEEDED : 0;
}

static const duet_nal_syntax h265 = {
    .header_len = 2,
    .aggregation = AP,
    .fragmentation = FU,
    .fragment_type_mask = 0x3F,
    .type = type_of,
    .with_type = with_type,
    .is_unit = is_unit,
    .combine = combine,
    .meaning = meaning,
};

static int inspect(duet_reader payload, duet_payload_info *out)
{
    /* The second byte stands where it does in units, fragments and aggregations alike; TID is one more than the
     * layer. */
    out->temporal_id = (int8_t)((duet_peek_u8(&payload, 1) & TID) - 1);
    return duet_nal_inspect(&h265, payload, out);
}

static int begin(duet_packetizer *p)
{
    return duet_nal_begin(&h265, p);
}

static void next(duet_packetizer *p, duet_writer *w)
{
    duet_nal_next(&h265, p, w);
}

static int add(duet_depacketizer *d, duet_reader payload)
{
    return duet_nal_add(&h265, d, payload);
}

const duet_payload_ops duet_payload_h265 = {
    .is_video = true,
    .inspect = inspect,
    .begin = begin,
    .next = next,
    .is_done = duet_nal_is_done,
    .add = add,
};
