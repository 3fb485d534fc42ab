/* A DTLS engine as dtls.c sees it: records in, datagrams out, and nothing of the library behind it. It has no clock:
 * it says that a flight waits for an answer, and is told when to send it again (RFC 6347 section 4.2.4). */
#ifndef DUET_DTLS_ENGINE_H
#define DUET_DTLS_ENGINE_H

#include "duet/dtls.h"

typedef struct duet_dtls_engine duet_dtls_engine;

typedef struct duet_dtls_engine_config {
    duet_certificate *certificate;
    duet_dtls_role role;
    const duet_srtp_profile *srtp_profiles;
    size_t srtp_profile_count;
    size_t mtu;
    size_t record_max;
    duet_time timeout; /* of the first retransmission, for an engine that cannot give its timer away */
    /* One datagram of the handshake or one record of application data. */
    void (*transmit)(void *user, const uint8_t *datagram, size_t len);
    /* The peer's certificate, before its signature is checked. False ends the handshake with bad_certificate. */
    bool (*verify)(void *user, const uint8_t *der, size_t len);
    void (*keylog)(void *user, const char *line);
    void *user;
} duet_dtls_engine_config;

typedef enum duet_dtls_step {
    DUET_DTLS_STEP_OK = 0, /* taken; more is needed from the peer, or the handshake is complete */
    DUET_DTLS_STEP_CLOSED, /* close_notify came */
    DUET_DTLS_STEP_FAILED, /* the engine cannot be used any more; duet_dtls_engine_reason says why */
} duet_dtls_step;

/* What happened to the timer since the last look. */
typedef struct duet_dtls_engine_timer {
    bool armed;   /* a flight waits for its answer */
    bool started; /* it was sent since the last look */
    bool stopped; /* an answer to the flight before it came since the last look */
} duet_dtls_engine_timer;

int duet_dtls_engine_create(duet_dtls_engine **out, const duet_env *env, const duet_dtls_engine_config *config);
void duet_dtls_engine_destroy(duet_dtls_engine *engine);

/* The client sends its first flight. */
duet_dtls_step duet_dtls_engine_start(duet_dtls_engine *engine);
/* Feeds one record. Decrypted application data, at most one record's worth, goes to out, its length to out_len (0 when
 * there is none). `size` is at least DUET_DTLS_PLAINTEXT_MAX. */
duet_dtls_step duet_dtls_engine_input(duet_dtls_engine *engine, const uint8_t *record, size_t len, uint8_t *out,
                                      size_t size, size_t *out_len);
/* Sends the last flight again. */
duet_dtls_step duet_dtls_engine_retransmit(duet_dtls_engine *engine);
int duet_dtls_engine_write(duet_dtls_engine *engine, const uint8_t *data, size_t len);
void duet_dtls_engine_shutdown(duet_dtls_engine *engine); /* sends close_notify */

bool duet_dtls_engine_is_complete(const duet_dtls_engine *engine);
duet_dtls_engine_timer duet_dtls_engine_take_timer(duet_dtls_engine *engine);
const char *duet_dtls_engine_reason(const duet_dtls_engine *engine);

/* After completion. */
const char *duet_dtls_engine_version(const duet_dtls_engine *engine);
const char *duet_dtls_engine_cipher(const duet_dtls_engine *engine);
/* Bytes that protection adds to each record: explicit nonce and tag. The least of all ciphers while it is not chosen. */
size_t duet_dtls_engine_overhead(const duet_dtls_engine *engine);
duet_srtp_profile duet_dtls_engine_srtp_profile(const duet_dtls_engine *engine);
int duet_dtls_engine_export(const duet_dtls_engine *engine, const char *label, uint8_t *out, size_t len);
/* DER of the peer's certificate, in memory of `env`. */
int duet_dtls_engine_peer_certificate(const duet_dtls_engine *engine, const duet_env *env, uint8_t **out, size_t *len);

/* "The length MUST NOT exceed 2^14", RFC 6347 section 4.1. */
#define DUET_DTLS_PLAINTEXT_MAX 16384

/* Whether the linked library may negotiate DTLS 1.3 (RFC 9147). */
bool duet_dtls_engine_has_1_3(void);

#endif
