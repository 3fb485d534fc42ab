/* Certificates: a key with a self-signed certificate, made or loaded, and their fingerprints.
 * RFC 8827 section 6.5, RFC 8122 section 5. The memory of OpenSSL's own objects comes from libc. */
#include "base/log.h"
#include "base/memory.h"
#include "dtls/internal.h"
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#define DAY_SECONDS 86400
/* 2020-01-01 and 2049-12-31: the validity of a certificate that is made without a wall clock. */
#define CLOCKLESS_FROM  1577836800
#define CLOCKLESS_UNTIL 2524521600
/* Octets of randomness in the serial number: "at least 64 bits", CA/Browser Forum, within the 20 of RFC 5280, 4.1.2.2. */
#define SERIAL_LEN 8
#define NAME_CHARS 16

const char *duet_dtls_openssl_reason(void)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return reason ? reason : "unknown error";
}

static EVP_PKEY *make_key(duet_key_type type)
{
    return type == DUET_KEY_RSA_2048 ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
                                     : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
}

/* The serial number and the name say nothing about who made them (RFC 8827 section 6.5: no identity in it). */
static int set_random_name(const duet_env *env, X509 *x509)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t random[SERIAL_LEN + NAME_CHARS];
    unsigned char name[NAME_CHARS];
    int err = duet_random(env, random, sizeof(random));

    if (err)
        return err;
    random[0] = (uint8_t)((random[0] & 0x7f) | 0x40); /* positive, and always of the full length */
    for (size_t i = 0; i < NAME_CHARS; i++)
        name[i] = (unsigned char)digits[random[SERIAL_LEN + i] & 15];

    BIGNUM *serial = BN_bin2bn(random, SERIAL_LEN, NULL);
    bool ok = serial && BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x509));
    BN_free(serial);
    X509_NAME *subject = X509_get_subject_name(x509);
    ok = ok && X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, NAME_CHARS, -1, 0) == 1 &&
         X509_set_issuer_name(x509, subject) == 1;
    return ok ? DUET_OK : DUET_ERR_NOMEM;
}

static bool set_validity(X509 *x509, int64_t wall_seconds)
{
    time_t from = wall_seconds ? (time_t)(wall_seconds - DAY_SECONDS) : (time_t)CLOCKLESS_FROM;
    time_t until = wall_seconds ? (time_t)(wall_seconds + 30 * (int64_t)DAY_SECONDS) : (time_t)CLOCKLESS_UNTIL;

    return ASN1_TIME_set(X509_getm_notBefore(x509), from) && ASN1_TIME_set(X509_getm_notAfter(x509), until);
}

static int self_sign(const duet_env *env, EVP_PKEY *key, int64_t wall_seconds, X509 **out)
{
    X509 *x509 = X509_new();

    if (!x509)
        return DUET_ERR_NOMEM;
    int err = set_random_name(env, x509);
    if (!err && (X509_set_version(x509, X509_VERSION_3) != 1 || !set_validity(x509, wall_seconds) ||
                 X509_set_pubkey(x509, key) != 1 || X509_sign(x509, key, EVP_sha256()) == 0))
        err = DUET_ERR_CRYPTO;
    if (err) {
        X509_free(x509);
        return err;
    }
    *out = x509;
    return DUET_OK;
}

/* Takes over key and x509, also when it fails. */
static int wrap(duet_certificate **out, const duet_env *env, EVP_PKEY *key, X509 *x509)
{
    duet_certificate *c = duet_calloc(env, sizeof(*c));

    if (!c) {
        EVP_PKEY_free(key);
        X509_free(x509);
        return DUET_ERR_NOMEM;
    }
    c->env = *env;
    c->key = key;
    c->x509 = x509;
    atomic_init(&c->references, 1);
    atomic_init(&c->context, NULL);

    int err = DUET_ERR_CRYPTO;
    int len = i2d_X509(x509, NULL);
    if (len <= 0)
        goto fail;
    c->der = duet_alloc(env, (size_t)len);
    if (!c->der) {
        err = DUET_ERR_NOMEM;
        goto fail;
    }
    unsigned char *at = c->der;
    if (i2d_X509(x509, &at) != len)
        goto fail;
    c->der_len = (size_t)len;
    *out = c;
    return DUET_OK;
fail:
    duet_certificate_destroy(c);
    return err;
}

int duet_certificate_generate(duet_certificate **out, const duet_env *user_env, duet_key_type type,
                              int64_t wall_seconds)
{
    duet_env env = duet_env_resolve(user_env);
    X509 *x509 = NULL;

    if (type != DUET_KEY_ECDSA_P256 && type != DUET_KEY_RSA_2048)
        return DUET_ERR_INVALID;
    if (wall_seconds < 0 || (wall_seconds > 0 && wall_seconds < DAY_SECONDS))
        return DUET_ERR_INVALID;
    EVP_PKEY *key = make_key(type);
    if (!key) {
        duet_log(&env, DUET_LOG_ERROR, "dtls", "cannot make a key: %s", duet_dtls_openssl_reason());
        return DUET_ERR_CRYPTO;
    }
    int err = self_sign(&env, key, wall_seconds, &x509);
    if (err) {
        duet_log(&env, DUET_LOG_ERROR, "dtls", "cannot sign a certificate: %s", duet_dtls_openssl_reason());
        EVP_PKEY_free(key);
        return err;
    }
    return wrap(out, &env, key, x509);
}

/* An encrypted key is refused: without this OpenSSL would ask for the pass phrase on the terminal. */
static int no_pass_phrase(char *buf, int size, int writing, void *user)
{
    (void)buf, (void)size, (void)writing, (void)user;
    return -1;
}

/* RFC 8827 section 6.5: ECDSA with P-256 and RSA are what all implementations take. */
static bool key_is_usable(EVP_PKEY *key)
{
    if (EVP_PKEY_is_a(key, "RSA"))
        return EVP_PKEY_get_bits(key) >= 2048;
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) >= 256;
}

static EVP_PKEY *read_key(const char *pem, size_t len)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL) : NULL;

    BIO_free(bio);
    return key;
}

static X509 *read_x509(const char *pem, size_t len)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    X509 *x509 = bio ? PEM_read_bio_X509(bio, NULL, no_pass_phrase, NULL) : NULL;

    BIO_free(bio);
    return x509;
}

int duet_certificate_load(duet_certificate **out, const duet_env *user_env, const char *pem, size_t len)
{
    duet_env env = duet_env_resolve(user_env);
    int err = DUET_ERR_MALFORMED;

    if (len == 0 || len > INT_MAX)
        return DUET_ERR_MALFORMED;
    EVP_PKEY *key = read_key(pem, len);
    X509 *x509 = read_x509(pem, len);
    if (!key || !x509) {
        duet_log(&env, DUET_LOG_ERROR, "dtls", "PEM text has no usable %s: %s", key ? "certificate" : "private key",
                 duet_dtls_openssl_reason());
        goto fail;
    }
    if (X509_check_private_key(x509, key) != 1) {
        duet_log(&env, DUET_LOG_ERROR, "dtls", "private key and certificate do not belong together");
        ERR_clear_error();
        goto fail;
    }
    if (!key_is_usable(key)) {
        duet_log(&env, DUET_LOG_ERROR, "dtls", "key type is neither EC of 256 bits nor RSA of 2048 bits or more");
        err = DUET_ERR_UNSUPPORTED;
        goto fail;
    }
    ERR_clear_error();
    return wrap(out, &env, key, x509);
fail:
    EVP_PKEY_free(key);
    X509_free(x509);
    return err;
}

int duet_certificate_pem(const duet_certificate *c, char **out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    int err = DUET_ERR_NOMEM;

    if (!bio)
        return DUET_ERR_NOMEM;
    if (PEM_write_bio_PrivateKey(bio, c->key, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_X509(bio, c->x509) != 1) {
        err = DUET_ERR_CRYPTO;
        goto out;
    }
    long len = BIO_get_mem_data(bio, &text);
    *out = duet_strndup(&c->env, text, (size_t)len);
    if (*out)
        err = DUET_OK;
    OPENSSL_cleanse(text, (size_t)len); /* it holds the private key */
out:
    BIO_free(bio);
    ERR_clear_error();
    return err;
}

static const EVP_MD *digest_of(duet_hash hash)
{
    switch (hash) {
    case DUET_HASH_SHA224:
        return EVP_sha224();
    case DUET_HASH_SHA256:
        return EVP_sha256();
    case DUET_HASH_SHA384:
        return EVP_sha384();
    case DUET_HASH_SHA512:
        return EVP_sha512();
    default:
        return NULL; /* "MD2 and MD5 … MUST NOT", and SHA-1 is for old peers only: RFC 8122, 5 */
    }
}

int duet_dtls_fingerprint(const uint8_t *der, size_t len, duet_hash hash, duet_fingerprint *out)
{
    const EVP_MD *md = digest_of(hash);
    unsigned int digest_len = 0;

    if (!md)
        return DUET_ERR_UNSUPPORTED;
    memset(out, 0, sizeof(*out));
    if (EVP_Digest(der, len, out->value, &digest_len, md, NULL) != 1)
        return DUET_ERR_CRYPTO;
    out->hash = hash;
    out->len = digest_len;
    return DUET_OK;
}

int duet_certificate_fingerprint(const duet_certificate *c, duet_hash hash, duet_fingerprint *out)
{
    return duet_dtls_fingerprint(c->der, c->der_len, hash, out);
}

const uint8_t *duet_certificate_der(const duet_certificate *c, size_t *len)
{
    *len = c->der_len;
    return c->der;
}

duet_certificate *duet_certificate_ref(duet_certificate *c)
{
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void duet_certificate_destroy(duet_certificate *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    duet_dtls_context_destroy(&c->env, atomic_load(&c->context));
    EVP_PKEY_free(c->key);
    X509_free(c->x509);
    duet_free(&c->env, c->der);
    duet_env env = c->env;
    duet_free(&env, c);
}
