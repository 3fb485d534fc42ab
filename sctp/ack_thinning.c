/* A batch of packets that the driver hands over in one turn makes usrsctp acknowledge every second one, and each SACK but
 * the last is out of date before the driver sends it: the cumulative TSN of the last one says it all. Acknowledgements that
 * report a gap are not touched, because the sender counts them (RFC 9260 section 7.2.4). One in ACKS_PER_PACKET goes out
 * all the same, so that the sender's window keeps moving while a long batch is worked off. */
#include "sctp/ack_thinning.h"
#include <string.h>

#define COMMON_HEADER   12
#define CHUNK_HEADER    4
#define CHUNK_SACK      3
#define SACK_LEN        16
#define ACKS_PER_PACKET 8

/* |   Type = 3    |  Chunk Flags  |      Chunk Length             |
 * |                      Cumulative TSN Ack                       |     RFC 9260, 3.3.4
 * |          Advertised Receiver Window Credit (a_rwnd)           |
 * | Number of Gap Ack Blocks = N  |  Number of Duplicate TSNs = M |   */
static bool is_plain_ack(const uint8_t *packet, size_t len)
{
    duet_reader r = duet_reader_init(packet, len);

    if (len != DUET_ACK_PACKET_LEN)
        return false;
    duet_read_skip(&r, COMMON_HEADER);
    uint8_t type = duet_read_u8(&r);
    duet_read_skip(&r, 1);
    uint16_t chunk_len = duet_read_u16(&r);
    duet_read_skip(&r, 8);
    uint16_t gaps = duet_read_u16(&r);
    uint16_t duplicates = duet_read_u16(&r);
    return type == CHUNK_SACK && chunk_len == SACK_LEN && gaps == 0 && duplicates == 0;
}

bool duet_ack_thinning_holds(ack_thinning *t, const uint8_t *packet, size_t len)
{
    if (!is_plain_ack(packet, len) || ++t->held >= ACKS_PER_PACKET)
        return false;
    memcpy(t->packet, packet, len);
    t->len = len;
    return true;
}

bool duet_ack_is_in(const uint8_t *packet, size_t len)
{
    duet_reader r = duet_reader_init(packet, len);

    duet_read_skip(&r, COMMON_HEADER);
    while (!r.failed && duet_reader_left(&r) >= CHUNK_HEADER) {
        uint8_t type = duet_read_u8(&r);
        duet_read_skip(&r, 1);
        size_t chunk_len = duet_read_u16(&r);
        if (type == CHUNK_SACK)
            return true;
        if (chunk_len < CHUNK_HEADER)
            return false;
        duet_read_skip(&r, (chunk_len + 3) / 4 * 4 - CHUNK_HEADER);
    }
    return false;
}

void duet_ack_thinning_drop(ack_thinning *t)
{
    t->len = 0;
    t->held = 0;
}
