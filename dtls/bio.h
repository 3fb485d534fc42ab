/* The two ends of an SSL object: one record in, whole datagrams out, and OpenSSL's timer under our control. */
#ifndef DUET_DTLS_BIO_H
#define DUET_DTLS_BIO_H

#include "duet/base.h"
#include <openssl/ssl.h>
#include <sys/time.h>

typedef struct duet_dtls_bio {
    const uint8_t *record; /* what the next read gives; NULL when there is nothing */
    size_t record_len;
    size_t mtu;
    void (*transmit)(void *user, const uint8_t *datagram, size_t len);
    void *user;

    unsigned timeout_us;   /* first retransmission, where OpenSSL keeps the timer to itself */
    struct timeval *timer; /* OpenSSL's own next_timeout; NULL when the linked version does not hand it out */
    bool armed;            /* a flight waits for its answer */
    bool started;          /* … and was (re)started since the owner last looked */
    bool stopped;          /* an answer came since the owner last looked */
} duet_dtls_bio;

/* Whether the linked OpenSSL keeps a struct timeval that a BIO may write to (before 3.2). Otherwise it times flights
 * itself, by the system clock, beginning with timeout_us. */
bool duet_dtls_bio_owns_timer(void);

BIO_METHOD *duet_dtls_bio_method(void); /* free with BIO_meth_free */
/* Gives the SSL object its BIO; false when there is no memory. */
bool duet_dtls_bio_attach(const BIO_METHOD *method, duet_dtls_bio *state, SSL *ssl);

/* Retransmits the last flight: 1 done, 0 nothing to do, −1 OpenSSL gave up. */
int duet_dtls_bio_expire(duet_dtls_bio *state, SSL *ssl);

#endif
