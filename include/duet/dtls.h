/* DTLS for WebRTC (RFC 8827 section 6.5, RFC 5764, RFC 8842): certificates, one handshake and its records, sans-I/O. */
#ifndef DUET_DTLS_H
#define DUET_DTLS_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- certificates -------------------------------------------------------------------------------------------- */

typedef struct duet_certificate duet_certificate;

typedef enum duet_key_type {
    DUET_KEY_ECDSA_P256 = 0,
    DUET_KEY_RSA_2048,
} duet_key_type;

/** Makes a key and a self-signed certificate with a random name.
 *  @param wall_seconds  wall-clock time, seconds since 1970: valid from one day before to 30 days after; 0: a validity
 *                       from 2020 to 2049 that needs no clock (peers check the fingerprint, not the dates) */
DUET_API int duet_certificate_generate(duet_certificate **out, const duet_env *env, duet_key_type type,
                                       int64_t wall_seconds);
/** Loads an unencrypted private key and a certificate from PEM text, in either order, in one text. */
DUET_API int duet_certificate_load(duet_certificate **out, const duet_env *env, const char *pem, size_t len);
/** Key and certificate as PEM, to be freed with duet_free. */
DUET_API int duet_certificate_pem(const duet_certificate *certificate, char **out);
DUET_API int duet_certificate_fingerprint(const duet_certificate *certificate, duet_hash hash, duet_fingerprint *out);
/** DER of the certificate; lives as long as the certificate. */
DUET_API const uint8_t *duet_certificate_der(const duet_certificate *certificate, size_t *len);
/** Another owner of the same certificate (thread-safe count); each ends with duet_certificate_destroy. */
DUET_API duet_certificate *duet_certificate_ref(duet_certificate *certificate);
DUET_API void duet_certificate_destroy(duet_certificate *certificate);

/* ---- one DTLS association ------------------------------------------------------------------------------------- */

typedef struct duet_dtls duet_dtls;

/** W3C RTCDtlsTransportState. */
typedef enum duet_dtls_state {
    DUET_DTLS_NEW = 0,
    DUET_DTLS_CONNECTING,
    DUET_DTLS_CONNECTED, /**< handshake done and fingerprint verified */
    DUET_DTLS_CLOSED,    /**< close_notify came or close was called */
    DUET_DTLS_FAILED,
} duet_dtls_state;

typedef enum duet_dtls_role {
    DUET_DTLS_CLIENT = 1, /**< setup:active */
    DUET_DTLS_SERVER,     /**< setup:passive */
} duet_dtls_role;

typedef struct duet_dtls_config {
    size_t size;
    const duet_env *env;
    duet_certificate *certificate;          /**< a reference is taken; required */
    const duet_srtp_profile *srtp_profiles; /**< offered or accepted, best first; NULL: use_srtp is not negotiated */
    size_t srtp_profile_count;
    size_t mtu;          /**< largest datagram during the handshake; 0 is 1200 */
    size_t record_max;   /**< largest application record sent; 0 is 1200 + overhead */
    size_t outbox_limit; /**< most datagrams waiting to be pulled; 0 is 2048 */

    void (*on_state)(void *user, duet_dtls_state state);
    /** Decrypted application data, in place. Called while the datagram is processed, not from the queue, so that it is
     *  not copied: duet_dtls_send and the questions are the only calls on this object that it may make. */
    void (*on_data)(void *user, uint8_t *data, size_t len, duet_time now);
    void (*on_wake)(void *user);
    void *user;
} duet_dtls_config;

DUET_API void duet_dtls_config_init(duet_dtls_config *config);
DUET_API int duet_dtls_create(duet_dtls **out, const duet_dtls_config *config);
DUET_API void duet_dtls_destroy(duet_dtls *dtls);

/** The fingerprints of the peer's description (any one that matches a hash which the peer's certificate has under that
 *  hash suffices; a strong hash that does not match is a failure, RFC 8122 section 5). A handshake that is complete
 *  waits for them: until they match, no key, no state CONNECTED and no application byte leaves, in either role. The
 *  strongest hash of the list decides.
 *  A client refuses a wrong certificate during the handshake, with alert bad_certificate; a server at its end, with
 *  close_notify (before that, a forged certificate would look the same).
 *  @return DUET_OK (what follows is told by the state); when already CONNECTED: DUET_ERR_AUTH if the peer's certificate
 *          does not fit, and nothing changes */
DUET_API int duet_dtls_set_remote_fingerprints(duet_dtls *dtls, const duet_fingerprint *fingerprints, size_t count,
                                               duet_time now);
/** Starts: the client sends its ClientHello, the server waits for one. Datagrams before that are DUET_ERR_STATE.
 *  @param rtt  known round-trip time in microseconds, 0 when unknown. The first retransmission comes after
 *              clamp(2 × rtt, 50 ms, 3 s), then doubling (RFC 9147 section 5.8.2) */
DUET_API int duet_dtls_start(duet_dtls *dtls, duet_dtls_role role, duet_time rtt, duet_time now);

/** Feeds one datagram from a validated address. @return DUET_OK (bad ones are counted) or DUET_ERR_NOT_MINE (first byte
 *  is not DTLS, RFC 7983) */
DUET_API int duet_dtls_input(duet_dtls *dtls, duet_datagram *in, duet_time now);
DUET_API int duet_dtls_output(duet_dtls *dtls, duet_datagram *out, duet_time now);
DUET_API void duet_dtls_tick(duet_dtls *dtls, duet_time now);
DUET_API duet_time duet_dtls_deadline(const duet_dtls *dtls);

/** Encrypts one record into one datagram of the output. Does not deliver events, so it is legal in the callbacks of
 *  another object.
 *  @return DUET_OK, DUET_ERR_STATE before CONNECTED, DUET_ERR_AGAIN (the output is full), DUET_ERR_TOO_LARGE,
 *          DUET_ERR_INVALID (no data), DUET_ERR_NOMEM */
DUET_API int duet_dtls_send(duet_dtls *dtls, const uint8_t *data, size_t len, duet_time now);
/** How many more datagrams the output takes before duet_dtls_send gives DUET_ERR_AGAIN. */
DUET_API size_t duet_dtls_room(const duet_dtls *dtls);
/** Sends close_notify; state CLOSED. */
DUET_API void duet_dtls_close(duet_dtls *dtls, duet_time now);

DUET_API duet_dtls_state duet_dtls_get_state(const duet_dtls *dtls);
DUET_API duet_dtls_role duet_dtls_get_role(const duet_dtls *dtls); /**< 0 before the start */
DUET_API const char *duet_dtls_version(const duet_dtls *dtls);     /**< "DTLSv1.2"; "" before CONNECTED */
DUET_API const char *duet_dtls_cipher(const duet_dtls *dtls);      /**< IANA name; "" before CONNECTED */
DUET_API duet_srtp_profile duet_dtls_srtp_profile(const duet_dtls *dtls);
/** RFC 5705 exporter, for SRTP keys (RFC 5764 section 4.2). Only when CONNECTED. */
DUET_API int duet_dtls_export(const duet_dtls *dtls, const char *label, uint8_t *out, size_t len);
/** DER of the peer's certificate, NULL before CONNECTED; lives as long as the object. */
DUET_API const uint8_t *duet_dtls_remote_certificate(const duet_dtls *dtls, size_t *len);

typedef struct duet_dtls_stats {
    uint64_t datagrams_in, datagrams_out, bytes_in, bytes_out;
    uint64_t records_discarded; /**< by the record filter or OpenSSL: ill-formed, forged, replayed, epoch-0 alerts */
    uint64_t retransmissions;
    uint64_t handshake_restarts; /**< failed server handshakes that began again on a fresh object */
    uint64_t outbox_dropped;
} duet_dtls_stats;

DUET_API void duet_dtls_get_stats(const duet_dtls *dtls, duet_dtls_stats *out);
DUET_API const char *duet_dtls_state_name(duet_dtls_state state); /**< W3C names */

#ifdef __cplusplus
}
#endif
#endif
