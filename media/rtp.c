/* RTP packets: RFC 3550 section 5, and the arithmetic of their counters. */
#include "duet/rtp.h"

bool duet_rtp_is_rtcp(const uint8_t *data, size_t len)
{
    return len >= 2 && data[1] >= 192 && data[1] <= 223;
}

int32_t duet_rtp_seq_diff(uint16_t a, uint16_t b)
{
    return (int16_t)(uint16_t)(a - b);
}

int64_t duet_rtp_time_diff(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}
