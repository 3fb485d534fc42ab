/* How writers put one packet of a compound behind the others: its head first, its length when it is complete. */
#ifndef DUET_MEDIA_RTCP_PACKET_H
#define DUET_MEDIA_RTCP_PACKET_H

#include "base/bytes.h"
#include "duet/rtcp.h"

/* A writer of the room that is left, with the head of a packet in it. */
duet_writer duet_rtcp_begin(const duet_rtcp_writer *w, uint8_t type, size_t count);
/* Sets its length and appends it, or leaves `w` as it was. Its body must be whole words. */
int duet_rtcp_end(duet_rtcp_writer *w, duet_writer *packet);

static inline duet_reader duet_rtcp_reader(const duet_rtcp_packet *packet)
{
    return duet_reader_init(packet->body, packet->body_len);
}

static inline bool duet_rtcp_is(const duet_rtcp_packet *packet, uint8_t type, uint8_t fmt)
{
    return packet->type == type && packet->count == fmt;
}

#endif
