/* Looks at DTLS records before the engine sees them. */
#ifndef DUET_DTLS_RECORD_FILTER_H
#define DUET_DTLS_RECORD_FILTER_H

#include "base/bytes.h"
#include "duet/dtls.h"

/* ContentType, RFC 5246 section 6.2.1. */
enum {
    DUET_DTLS_CHANGE_CIPHER_SPEC = 20,
    DUET_DTLS_ALERT = 21,
    DUET_DTLS_HANDSHAKE = 22,
    DUET_DTLS_APPLICATION_DATA = 23,
};

typedef struct duet_dtls_record {
    const uint8_t *data; /* with its header */
    size_t len;
    uint8_t type; /* as on the wire; DTLS 1.3 ciphertext has 001xxxxx here */
    uint16_t epoch;
    duet_bytes fragment;
} duet_dtls_record;

/* Whether a datagram is DTLS by its first byte, RFC 7983 section 7. */
bool duet_dtls_is_mine(const uint8_t *data, size_t len);

/* Takes the next record out of a datagram. False at its end; r->failed says that the rest is ill-formed. */
bool duet_dtls_next_record(duet_reader *r, duet_dtls_record *out);

/* Why a record must not reach the engine, or NULL when it may.
 * @param complete  the handshake is done: whatever has no protection is old or forged
 * @param overhead  what protection adds to a record, at least: a shorter one would end OpenSSL's object */
const char *duet_dtls_refuse_record(const duet_dtls_record *record, duet_dtls_role role, bool complete, bool has_1_3,
                                    size_t overhead);

/* The description of a plain alert, for the log; NULL when the record is not one. */
const char *duet_dtls_plain_alert(const duet_dtls_record *record);

#endif
