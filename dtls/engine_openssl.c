/* The DTLS engine on OpenSSL: one SSL_CTX per certificate, one SSL object per handshake.
 * RFC 6347 and RFC 9147 (DTLS), RFC 5764 (use_srtp), RFC 5705 (exporter), RFC 8827 section 6.5 (the profile). */
#include "base/log.h"
#include "base/memory.h"
#include "dtls/bio.h"
#include "dtls/engine.h"
#include "dtls/internal.h"
#include <openssl/err.h>
#include <openssl/srtp.h>
#include <stdio.h>
#include <string.h>

/* RFC 8827 section 6.5 asks for TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256; only suites with forward secrecy and AEAD. */
#define CIPHERS                                                                                                        \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                         \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256" /* the fastest first */

struct duet_dtls_engine {
    const duet_env *env;
    duet_dtls_engine_config config;
    SSL *ssl;
    duet_dtls_bio bio;
    char reason[96];
};

/* ---- the context of a certificate ------------------------------------------------------------------------------ */

static duet_dtls_engine *engine_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

static void on_keylog(const SSL *ssl, const char *line)
{
    duet_dtls_engine *e = engine_of(ssl);

    if (e->config.keylog)
        e->config.keylog(e->config.user, line);
}

/* Replaces the verification of a chain: WebRTC certificates are self-signed, the fingerprint is what counts. */
static int on_verify(X509_STORE_CTX *store, void *user)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    duet_dtls_engine *e = engine_of(ssl);
    unsigned char *der = NULL;
    int len = i2d_X509(X509_STORE_CTX_get0_cert(store), &der);

    (void)user;
    bool good = len > 0 && e->config.verify(e->config.user, der, (size_t)len);
    OPENSSL_free(der);
    if (!good)
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED); /* becomes alert bad_certificate */
    return good;
}

/* No callback of the chain verification may run: on_verify stands for it. */
static int accept_all(int ok, X509_STORE_CTX *store)
{
    (void)ok, (void)store;
    return 1;
}

static SSL_CTX *make_ssl_ctx(const duet_certificate *c)
{
    SSL_CTX *ctx = SSL_CTX_new(DTLS_method());

    if (!ctx)
        return NULL;
    SSL_CTX_set_security_level(ctx, 2); /* whatever the system's configuration says */
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_QUERY_MTU |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_all);
    SSL_CTX_set_cert_verify_callback(ctx, on_verify, NULL);
    SSL_CTX_set_keylog_callback(ctx, on_keylog);
    if (SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) != 1 || SSL_CTX_set_cipher_list(ctx, CIPHERS) != 1 ||
        SSL_CTX_set1_groups_list(ctx, GROUPS) != 1 || SSL_CTX_use_certificate(ctx, c->x509) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, c->key) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

void duet_dtls_context_destroy(const duet_env *env, duet_dtls_context *context)
{
    if (!context)
        return;
    SSL_CTX_free(context->ctx);
    BIO_meth_free(context->bio_method);
    duet_free(env, context);
}

/* Two threads may come here at once with the first associations of one certificate: both make a context, one stays. */
static duet_dtls_context *context_of(duet_certificate *c)
{
    duet_dtls_context *context = atomic_load_explicit(&c->context, memory_order_acquire);

    if (context)
        return context;
    context = duet_calloc(&c->env, sizeof(*context));
    if (!context)
        return NULL;
    context->ctx = make_ssl_ctx(c);
    context->bio_method = duet_dtls_bio_method();
    if (!context->ctx || !context->bio_method) {
        duet_dtls_context_destroy(&c->env, context);
        return NULL;
    }
    duet_dtls_context *expected = NULL;
    if (atomic_compare_exchange_strong(&c->context, &expected, context))
        return context;
    duet_dtls_context_destroy(&c->env, context);
    return expected;
}

/* What an error queue holds is only asked after a failure, and emptying an empty one is not free. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

/* ---- one handshake --------------------------------------------------------------------------------------------- */

static int set_srtp_profiles(SSL *ssl, const duet_srtp_profile *profiles, size_t count)
{
    char list[256] = "";
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        const char *name = duet_srtp_profile_name(profiles[i]);
        if (!name || used + strlen(name) + 2 > sizeof(list))
            return DUET_ERR_INVALID;
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ":" : "", name);
    }
    if (count && SSL_set_tlsext_use_srtp(ssl, list) != 0) /* 0 is success, unlike elsewhere */
        return DUET_ERR_CRYPTO;
    return DUET_OK;
}

static int make_ssl(duet_dtls_engine *e, duet_dtls_context *context)
{
    e->ssl = SSL_new(context->ctx);
    if (!e->ssl)
        return DUET_ERR_NOMEM;
    if (!duet_dtls_bio_attach(context->bio_method, &e->bio, e->ssl))
        return DUET_ERR_NOMEM;
    SSL_set_app_data(e->ssl, e);
    if (SSL_set_mtu(e->ssl, (long)e->config.mtu) == 0)
        return DUET_ERR_INVALID;
    /* The write buffer is of this size; a whole handshake message of one flight never needs more than the MTU. */
    size_t fragment = e->config.record_max > e->config.mtu ? e->config.record_max : e->config.mtu;
    if (fragment < DUET_DTLS_PLAINTEXT_MAX)
        SSL_set_max_send_fragment(e->ssl, (long)fragment);
    int err = set_srtp_profiles(e->ssl, e->config.srtp_profiles, e->config.srtp_profile_count);
    if (err)
        return err;
    if (e->config.role == DUET_DTLS_CLIENT)
        SSL_set_connect_state(e->ssl);
    else
        SSL_set_accept_state(e->ssl);
    return DUET_OK;
}

int duet_dtls_engine_create(duet_dtls_engine **out, const duet_env *env, const duet_dtls_engine_config *config)
{
    duet_dtls_context *context = context_of(config->certificate);
    duet_dtls_engine *e = context ? duet_calloc(env, sizeof(*e)) : NULL;

    forget_errors();
    if (!e)
        return DUET_ERR_NOMEM;
    e->env = env;
    e->config = *config;
    e->bio.mtu = config->mtu;
    e->bio.timeout_us = (unsigned)config->timeout;
    e->bio.transmit = config->transmit;
    e->bio.user = config->user;
    int err = make_ssl(e, context);
    forget_errors();
    if (err) {
        duet_dtls_engine_destroy(e);
        return err;
    }
    *out = e;
    return DUET_OK;
}

void duet_dtls_engine_destroy(duet_dtls_engine *e)
{
    if (!e)
        return;
    SSL_free(e->ssl);
    duet_free(e->env, e);
}

static duet_dtls_step step_of(duet_dtls_engine *e, int result)
{
    if (result > 0)
        return DUET_DTLS_STEP_OK;
    switch (SSL_get_error(e->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return DUET_DTLS_STEP_OK;
    case SSL_ERROR_ZERO_RETURN:
        return DUET_DTLS_STEP_CLOSED;
    default:
        snprintf(e->reason, sizeof(e->reason), "%s", duet_dtls_openssl_reason());
        return DUET_DTLS_STEP_FAILED;
    }
}

duet_dtls_step duet_dtls_engine_start(duet_dtls_engine *e)
{
    forget_errors();
    return step_of(e, SSL_do_handshake(e->ssl));
}

duet_dtls_step duet_dtls_engine_input(duet_dtls_engine *e, const uint8_t *record, size_t len, uint8_t *out, size_t size,
                                      size_t *out_len)
{
    *out_len = 0;
    forget_errors();
    e->bio.record = record;
    e->bio.record_len = len;
    int result;
    if (!SSL_is_init_finished(e->ssl)) {
        result = SSL_do_handshake(e->ssl);
    } else {
        result = SSL_read(e->ssl, out, (int)size);
        if (result > 0)
            *out_len = (size_t)result;
    }
    e->bio.record = NULL;
    return step_of(e, result);
}

duet_dtls_step duet_dtls_engine_retransmit(duet_dtls_engine *e)
{
    forget_errors();
    if (duet_dtls_bio_expire(&e->bio, e->ssl) >= 0)
        return DUET_DTLS_STEP_OK;
    snprintf(e->reason, sizeof(e->reason), "%s", duet_dtls_openssl_reason());
    return DUET_DTLS_STEP_FAILED;
}

int duet_dtls_engine_write(duet_dtls_engine *e, const uint8_t *data, size_t len)
{
    forget_errors();
    if (SSL_write(e->ssl, data, (int)len) > 0)
        return DUET_OK;
    snprintf(e->reason, sizeof(e->reason), "%s", duet_dtls_openssl_reason());
    return DUET_ERR_CRYPTO;
}

void duet_dtls_engine_shutdown(duet_dtls_engine *e)
{
    if (!SSL_is_init_finished(e->ssl))
        return;
    forget_errors();
    SSL_shutdown(e->ssl);
    forget_errors();
}

bool duet_dtls_engine_is_complete(const duet_dtls_engine *e)
{
    return SSL_is_init_finished(e->ssl);
}

duet_dtls_engine_timer duet_dtls_engine_take_timer(duet_dtls_engine *e)
{
    duet_dtls_engine_timer t = {e->bio.armed, e->bio.started, e->bio.stopped};

    e->bio.started = e->bio.stopped = false;
    return t;
}

const char *duet_dtls_engine_reason(const duet_dtls_engine *e)
{
    return e->reason;
}

const char *duet_dtls_engine_version(const duet_dtls_engine *e)
{
    return SSL_get_version(e->ssl);
}

const char *duet_dtls_engine_cipher(const duet_dtls_engine *e)
{
    const char *name = SSL_CIPHER_standard_name(SSL_get_current_cipher(e->ssl));

    return name ? name : "";
}

size_t duet_dtls_engine_overhead(const duet_dtls_engine *e)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(e->ssl);
    const size_t tag = 16, nonce = 8;

    if (!cipher)
        cipher = SSL_get_pending_cipher(e->ssl);
    bool has_nonce = cipher && (SSL_CIPHER_get_cipher_nid(cipher) == NID_aes_128_gcm ||
                                SSL_CIPHER_get_cipher_nid(cipher) == NID_aes_256_gcm); /* RFC 5288 section 3 */
    return has_nonce ? nonce + tag : tag;
}

duet_srtp_profile duet_dtls_engine_srtp_profile(const duet_dtls_engine *e)
{
    const SRTP_PROTECTION_PROFILE *profile = SSL_get_selected_srtp_profile(e->ssl);

    return profile ? (duet_srtp_profile)profile->id : DUET_SRTP_NONE;
}

int duet_dtls_engine_export(const duet_dtls_engine *e, const char *label, uint8_t *out, size_t len)
{
    forget_errors();
    if (SSL_export_keying_material(e->ssl, out, len, label, strlen(label), NULL, 0, 0) == 1)
        return DUET_OK;
    forget_errors();
    return DUET_ERR_CRYPTO;
}

int duet_dtls_engine_peer_certificate(const duet_dtls_engine *e, const duet_env *env, uint8_t **out, size_t *len)
{
    X509 *x509 = SSL_get0_peer_certificate(e->ssl);
    int need = x509 ? i2d_X509(x509, NULL) : 0;

    if (need <= 0)
        return DUET_ERR_CRYPTO;
    uint8_t *der = duet_alloc(env, (size_t)need);
    if (!der)
        return DUET_ERR_NOMEM;
    unsigned char *at = der;
    *len = (size_t)i2d_X509(x509, &at);
    *out = der;
    return DUET_OK;
}

bool duet_dtls_engine_has_1_3(void)
{
#ifdef DTLS1_3_VERSION
    return true;
#else
    return false;
#endif
}
