/* SRTP and SRTCP (RFC 3711, RFC 7714) with keys from DTLS (RFC 5764), on libsrtp2, sans-I/O.
 *
 * One object protects what this side sends and opens what the peer sends on one transport. Every SSRC has its own state
 * (rollover counter, replay window) behind a hash, so a transport with thousands of streams is as fast as one with two,
 * and the streams that a peer can make us keep are bounded. Packets are changed in place; Duet
 * allocates nothing for a packet of a stream that is known (the cryptographic library behind libsrtp may). */
#ifndef DUET_SRTP_H
#define DUET_SRTP_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct duet_srtp duet_srtp;

/** RFC 5764 section 4.2: the label of the exporter. */
#define DUET_SRTP_EXPORTER_LABEL "EXTRACTOR-dtls_srtp"
/** Longest keying material of a profile: two master keys and two master salts. */
#define DUET_SRTP_KEYING_MAX 88
/** Most bytes that protecting adds behind a packet: an authentication tag of 16, and for RTCP the E bit and index. */
#define DUET_SRTP_TRAILER_MAX 20

/** How many bytes of keying material a profile needs from the exporter: 0 for a profile that is not known. */
DUET_API size_t duet_srtp_keying_len(duet_srtp_profile profile);

/** The profiles in the order in which they are best offered on this CPU: AEAD first where AES has instructions (it is then
 *  several times faster with OpenSSL's), AES_CM_128_HMAC_SHA1_80 first elsewhere.
 *  @param out  room for 4 @return how many there are */
DUET_API size_t duet_srtp_preferred_profiles(duet_srtp_profile *out);

typedef struct duet_srtp_config {
    size_t size;
    const duet_env *env;
    duet_srtp_profile profile;
    const uint8_t
        *keying; /**< what the exporter gave: client key, server key, client salt, server salt (RFC 5764, 4.2) */
    size_t keying_len;
    bool is_client; /**< DTLS role: who protects with the client's key */
    /** SSRCs kept for each direction; 0: 1024. Of the peer's, the one that was silent longest makes room, see
     *  duet_srtp_stats.streams_evicted; the latest 256 of those go on where they were when they come back, with their
     *  rollover counter and without accepting what came before. Of ours, one more is refused with DUET_ERR_LIMIT: a stream that is forgotten and
     *  begun anew would use its key stream twice (RFC 3711 section 9.1). */
    size_t streams_max;
    /** Packets, 64 to 32767; 0: 1024 (browsers send retransmissions that are seconds old on their own SSRC, so it need not
     *  be larger). */
    size_t replay_window;
} duet_srtp_config;

DUET_API void duet_srtp_config_init(duet_srtp_config *config);
/** @return DUET_OK, DUET_ERR_INVALID (profile, length of the keying material), DUET_ERR_NOMEM, DUET_ERR_CRYPTO */
DUET_API int duet_srtp_create(duet_srtp **out, const duet_srtp_config *config);
DUET_API void duet_srtp_destroy(duet_srtp *srtp); /**< wipes the keys; NULL is fine */

/* All four work in place. `len` is the length before and after.
 * Protecting needs `capacity` >= *len + DUET_SRTP_TRAILER_MAX. A sequence number of the last replay_window ones may be
 * protected again only for the same packet, byte for byte: another one under the same number gives the key stream away
 * (RFC 3711 section 9.1; with GCM even different header extensions weaken the tag, RFC 7714 section 5.2).
 * @return DUET_OK; DUET_ERR_MALFORMED (no RTP or RTCP packet, or RTCP without the E bit: RFC 3711 section 3.4 lets a peer
 *         turn encryption off, WebRTC does not); DUET_ERR_AUTH (wrong tag: forged, or keyed otherwise); DUET_ERR_STATE
 *         (replayed, or older than the window); DUET_ERR_BUFFER (no room); DUET_ERR_LIMIT (the key is used up, RFC 3711
 *         section 9.2, or more than streams_max SSRCs are sent); DUET_ERR_NOMEM; DUET_ERR_CRYPTO. A refused packet changes
 *         no state, creates no stream, and is counted */
DUET_API int duet_srtp_protect_rtp(duet_srtp *srtp, uint8_t *packet, size_t *len, size_t capacity);
DUET_API int duet_srtp_protect_rtcp(duet_srtp *srtp, uint8_t *packet, size_t *len, size_t capacity);
DUET_API int duet_srtp_unprotect_rtp(duet_srtp *srtp, uint8_t *packet, size_t *len);
DUET_API int duet_srtp_unprotect_rtcp(duet_srtp *srtp, uint8_t *packet, size_t *len);

typedef struct duet_srtp_stats {
    uint64_t protected_packets, unprotected_packets;
    uint64_t malformed, bad_tags, replayed, unencrypted_rtcp;
    uint64_t streams_evicted;
    size_t streams_out, streams_in; /**< known now */
} duet_srtp_stats;

DUET_API void duet_srtp_get_stats(const duet_srtp *srtp, duet_srtp_stats *out);

#ifdef __cplusplus
}
#endif
#endif
