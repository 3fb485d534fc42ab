/* Packets by sequence number, for both jitter buffers: a ring that grows with the span of the numbers held, and packets that
 * are used again, so that nothing is allocated in steady state. */
#ifndef DUET_MEDIA_JITTER_STORE_H
#define DUET_MEDIA_JITTER_STORE_H

#include "duet/jitter.h"

typedef struct duet_jitter_slot {
    duet_jitter_packet packet; /* its payload points to `bytes` */
    duet_payload_info info;    /* video */
    bool is_counted;           /* it has been counted for the delay estimate */
    size_t capacity;
    struct duet_jitter_slot *next_spare;
    uint8_t bytes[];
} duet_jitter_slot;

typedef struct duet_jitter_store {
    const duet_env *env;
    duet_jitter_slot **ring;
    size_t ring_len; /* a power of two, or 0 */
    size_t packets_max, bytes_max;
    size_t count, bytes;
    int64_t lowest, highest; /* sequence numbers held, when count > 0 */
    duet_jitter_slot *spare;
    size_t spare_count;
} duet_jitter_store;

void duet_jitter_store_init(duet_jitter_store *s, const duet_env *env, size_t packets_max, size_t bytes_max);
void duet_jitter_store_free(duet_jitter_store *s);
/* @return DUET_OK; DUET_ERR_NOT_FOUND (there already); DUET_ERR_TOO_LARGE (longer than a datagram); DUET_ERR_LIMIT (more than
 *         packets_max numbers from the lowest to the highest, or bytes_max); DUET_ERR_NOMEM */
int duet_jitter_store_put(duet_jitter_store *s, const duet_jitter_packet *packet, duet_jitter_slot **out);
duet_jitter_slot *duet_jitter_store_get(const duet_jitter_store *s, int64_t sequence); /* NULL when absent */
/* Forgets all numbers below this one. */
void duet_jitter_store_drop_below(duet_jitter_store *s, int64_t sequence);

/* Whether a packet that seems to be much too late begins the stream anew: "two packets with consecutive sequence numbers"
 * far from where the stream was, RFC 3550 appendix A.1. Start with INT64_MIN. */
bool duet_jitter_is_restart(int64_t *candidate, int64_t sequence, int64_t expected);

#endif
