/* Holds back acknowledgements that are superseded before they leave. RFC 9260 section 6.2. */
#ifndef DUET_SCTP_ACK_THINNING_H
#define DUET_SCTP_ACK_THINNING_H

#include "base/bytes.h"

#define DUET_ACK_PACKET_LEN 28 /* common header, SACK chunk without gap blocks */

typedef struct ack_thinning {
    uint8_t packet[DUET_ACK_PACKET_LEN];
    size_t len;    /* 0: none is held */
    unsigned held; /* since the last one left */
} ack_thinning;

/* Keeps the packet instead of an older one when it is nothing but a SACK that tells of no gap. False: send it. */
bool duet_ack_thinning_holds(ack_thinning *t, const uint8_t *packet, size_t len);
/* Whether a packet of ours has a SACK chunk: then it is newer than one that is held. */
bool duet_ack_is_in(const uint8_t *packet, size_t len);
void duet_ack_thinning_drop(ack_thinning *t);

#endif
