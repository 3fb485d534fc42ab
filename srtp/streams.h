/* The SSRCs of one direction: each with a libsrtp session of its own behind a seeded hash, bounded, with the most recently
 * used one in front.
 *
 * A libsrtp session is made for any SSRC and becomes that of the first packet that it accepts. So one session always
 * waits for a stream that is not known yet: forged packets are tried on it, fail, and leave nothing behind. A stream that had to
 * make room and comes back gets a session made for it, which continues with its rollover counter. */
#ifndef DUET_SRTP_STREAMS_H
#define DUET_SRTP_STREAMS_H

#include "base/map.h"
#include "srtp/position.h"
#include <srtp2/srtp.h>

#define DUET_SRTP_KEY_AND_SALT_MAX (32 + 14)

/* srtp_protect and the three like it. */
typedef srtp_err_status_t (*duet_srtp_operation)(srtp_t session, void *packet, int *len);

typedef struct duet_srtp_stream {
    srtp_t session;
    uint32_t ssrc;
    struct duet_srtp_stream *newer, *older;
    duet_srtp_position position;
    duet_srtp_position before; /* when it was evicted last: libsrtp knows nothing of packets up to here */
    bool needs_roc;            /* it has come back: its next RTP packet says which rollover counter to begin with */
} duet_srtp_stream;

typedef struct duet_srtp_streams {
    const duet_env *env;
    duet_map by_ssrc;
    duet_srtp_stream *newest, *oldest;
    duet_srtp_stream *unused; /* waits for the next SSRC; NULL until the first packet */
    size_t limit;
    bool evicts;
    uint64_t evictions;
    duet_srtp_evicted_list evicted;
    srtp_policy_t policy; /* its key points to the next member */
    uint8_t key_and_salt[DUET_SRTP_KEY_AND_SALT_MAX];
} duet_srtp_streams;

/* The object must stay where it is. @param key, salt  of this direction @param is_outgoing  what is sent: streams beyond
 * the limit are refused, as a stream that is forgotten and begun anew would use its key stream twice (RFC 3711, 9.1) */
int duet_srtp_streams_init(duet_srtp_streams *s, const duet_env *env, duet_srtp_profile profile, const uint8_t *key,
                           const uint8_t *salt, bool is_outgoing);
/* Wipes the key. */
void duet_srtp_streams_free(duet_srtp_streams *s);

/* Runs the operation in the session of the packet's SSRC; a new SSRC is kept when it succeeds.
 * @return DUET_OK or why not, as duet/srtp.h says */
int duet_srtp_streams_run(duet_srtp_streams *s, duet_srtp_operation operation, const duet_srtp_packet_id *id,
                          uint8_t *packet, size_t *len);

#endif
