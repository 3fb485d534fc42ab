/* Certificates for tests, made on the spot. */
#ifndef DUET_TESTS_NET_IDENTITY_H
#define DUET_TESTS_NET_IDENTITY_H

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "test.h"

typedef struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    char file[64]; /* PEM of both */
} identity;

static inline void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* Signed by `issuer` (NULL: by itself), valid for `days` from now on (negative: it has expired). */
static inline void make_identity(identity *out, const identity *issuer, const char *names, int days)
{
    static long serial = 1;
    X509 *x = X509_new();
    X509_NAME *subject = X509_NAME_new();

    out->key = EVP_EC_gen("P-256");
    assert_true(out->key && x && subject);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), -86400L * 10);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400L * days);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)(issuer ? "leaf" : "root"), -1, -1,
                               0);
    X509_set_subject_name(x, subject);
    X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer->certificate) : subject);
    X509_set_pubkey(x, out->key);
    add_extension(x, issuer ? issuer->certificate : x, NID_basic_constraints, issuer ? "CA:FALSE" : "critical,CA:TRUE");
    if (names)
        add_extension(x, x, NID_subject_alt_name, names);
    assert_true(X509_sign(x, issuer ? issuer->key : out->key, EVP_sha256()) > 0);
    X509_NAME_free(subject);
    out->certificate = x;
    strcpy(out->file, "/tmp/duet-tls-XXXXXX");
    int fd = mkstemp(out->file);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, x), 1);
    assert_int_equal(PEM_write_PrivateKey(f, out->key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
}

static inline void drop_identity(identity *i)
{
    unlink(i->file);
    EVP_PKEY_free(i->key);
    X509_free(i->certificate);
}

#endif
