/* How far a stream of the peer has come, and that of streams which had to make room: RFC 3711 section 3.3.1. A stream that comes
 * back continues with its rollover counter, and nothing that came before is accepted again. */
#ifndef DUET_SRTP_POSITION_H
#define DUET_SRTP_POSITION_H

#include "duet/base.h"

/* The highest indices that were accepted. */
typedef struct duet_srtp_position {
    bool has_rtp, has_rtcp;
    uint64_t rtp; /* rollover counter, sequence number */
    uint32_t rtcp;
} duet_srtp_position;

/* Which packet of its stream one is. */
typedef struct duet_srtp_packet_id {
    uint32_t ssrc;
    bool is_rtcp;
    uint32_t number; /* sequence number, or SRTCP index */
} duet_srtp_packet_id;

/* The index that a packet most probably has: the one nearest to the highest. */
uint64_t duet_srtp_position_index(const duet_srtp_position *p, const duet_srtp_packet_id *id);
/* Whether a packet of this index is none of those up to the position. */
bool duet_srtp_position_is_ahead(const duet_srtp_position *p, bool is_rtcp, uint64_t index);
void duet_srtp_position_advance(duet_srtp_position *p, bool is_rtcp, uint64_t index);

#define DUET_SRTP_EVICTED_MAX 256

typedef struct duet_srtp_evicted {
    uint32_t ssrc;
    duet_srtp_position position;
} duet_srtp_evicted;

/* The latest ones; the oldest is forgotten for a new one. */
typedef struct duet_srtp_evicted_list {
    duet_srtp_evicted *entries; /* NULL until one is evicted */
    size_t count, next;
} duet_srtp_evicted_list;

/* Nothing is remembered when there is no memory for it. */
void duet_srtp_evicted_keep(duet_srtp_evicted_list *list, const duet_env *env, uint32_t ssrc,
                            const duet_srtp_position *position);
/* @return NULL when it is not among them */
const duet_srtp_position *duet_srtp_evicted_find(const duet_srtp_evicted_list *list, uint32_t ssrc);
void duet_srtp_evicted_free(duet_srtp_evicted_list *list, const duet_env *env);

#endif
