/* Parses arbitrary bytes as an RTP packet and writes it again: the result must be the same packet. */
#include "duet/rtp.h"
#include "fuzz/fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t again[70000 + 262144];
    duet_rtp_packet p, q;
    size_t len;

    (void)duet_rtp_is_rtcp(data, size);
    if (size > 70000 || duet_rtp_parse(&p, data, size) != DUET_OK)
        return 0;
    require(p.payload_len + p.padding_len <= size && p.csrc_count <= DUET_RTP_CSRC_MAX && p.payload_type <= 127);
    require(duet_rtp_write(&p, again, sizeof(again), &len) == DUET_OK);
    require(duet_rtp_header_len(&p) + p.payload_len + p.padding_len == len);
    require(duet_rtp_parse(&q, again, len) == DUET_OK);
    require(q.ssrc == p.ssrc && q.sequence_number == p.sequence_number && q.timestamp == p.timestamp);
    require(q.payload_len == p.payload_len && q.padding_len == p.padding_len && q.extension_len == p.extension_len);
    require(p.payload_len == 0 || memcmp(q.payload, p.payload, p.payload_len) == 0);
    return 0;
}
