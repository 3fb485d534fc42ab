/* What the payload formats of H.264 and H.265 have in common: NAL units alone, aggregated, or fragmented. They differ
 * in their NAL unit headers only. */
#ifndef DUET_MEDIA_PAYLOAD_NAL_H
#define DUET_MEDIA_PAYLOAD_NAL_H

#include "media/payload_internal.h"

/* What a NAL unit means to a receiver. */
#define DUET_NAL_KEY         1 /* a decoder can begin with it */
#define DUET_NAL_NEEDED      2 /* later ones refer to it */
#define DUET_NAL_DISPENSABLE 4 /* a picture that nothing refers to */

typedef struct duet_nal_syntax {
    size_t header_len;
    uint8_t aggregation, fragmentation; /* types: STAP-A and FU-A, AP and FU */
    uint8_t fragment_type_mask;         /* in the FU header */
    uint8_t (*type)(uint8_t header);
    uint8_t (*with_type)(uint8_t header, uint8_t type);
    bool (*is_unit)(uint8_t type); /* of the codec itself, not of the payload format */
    /* Makes `header` of an aggregation packet also stand for this unit. */
    void (*combine)(uint8_t header[2], const uint8_t unit[2]);
    unsigned (*meaning)(uint8_t header, uint8_t type); /* bits DUET_NAL_… */
} duet_nal_syntax;

int duet_nal_inspect(const duet_nal_syntax *syntax, duet_reader payload, duet_payload_info *out);
int duet_nal_begin(const duet_nal_syntax *syntax, duet_packetizer *p);
void duet_nal_next(const duet_nal_syntax *syntax, duet_packetizer *p, duet_writer *w);
bool duet_nal_is_done(const duet_packetizer *p);
int duet_nal_add(const duet_nal_syntax *syntax, duet_depacketizer *d, duet_reader payload);

#endif
