/* What the files of dtls/ share: the certificate with its OpenSSL context, and the text of OpenSSL's last error.
 * RFC 8827 section 6.5, RFC 8122. */
#ifndef DUET_DTLS_INTERNAL_H
#define DUET_DTLS_INTERNAL_H

#include "duet/dtls.h"
#include <openssl/ssl.h>
#include <stdatomic.h>

/* What every association of one certificate shares: the key and certificate are in it once. */
typedef struct duet_dtls_context {
    SSL_CTX *ctx;
    BIO_METHOD *bio_method;
} duet_dtls_context;

struct duet_certificate {
    duet_env env;
    atomic_uint references;
    EVP_PKEY *key;
    X509 *x509;
    uint8_t *der;
    size_t der_len;
    _Atomic(duet_dtls_context *) context; /* made by the first association */
};

void duet_dtls_context_destroy(const duet_env *env, duet_dtls_context *context);

/* The hash of a certificate, RFC 8122 section 5. SHA-1 and unknown hashes give DUET_ERR_UNSUPPORTED. */
int duet_dtls_fingerprint(const uint8_t *der, size_t len, duet_hash hash, duet_fingerprint *out);

/* Takes the oldest error from OpenSSL's queue, which names the cause, and empties the queue. */
const char *duet_dtls_openssl_reason(void);

#endif
