/* TLS on OpenSSL's memory BIOs: no socket, no clock but OpenSSL's own for the validity of certificates.
 * RFC 8446, RFC 5246; names are checked as RFC 9525 says, protocols agreed as in RFC 7301. */
#include "net/tls_stream.h"
#include "base/memory.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define ALPN_MAX        256 /* bytes of the list as it is on the wire */
#define SERVER_NAME_MAX 255

struct duet_tls_context {
    duet_env env;
    SSL_CTX *ctx;
    bool is_server, no_verify;
    uint8_t alpn[ALPN_MAX];
    size_t alpn_len;
};

struct duet_tls {
    duet_env env;
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    duet_tls_state state;
    bool got_close, sent_close, ended;
    char alpn[256];
    char reason[160];
};

/* ---- context ---- */

void duet_tls_config_init(duet_tls_config *config)
{
    *config = (duet_tls_config){.size = sizeof(*config)};
}

static const char *last_error(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_error());

    return text ? text : "unknown error";
}

static int fail_file(const char *what, const char *file, char *reason, size_t size)
{
    if (reason && size)
        snprintf(reason, size, "%s %s: %s", what, file ? file : "of the system", last_error());
    ERR_clear_error();
    return DUET_ERR_IO;
}

/* Each protocol with its length before it: RFC 7301 section 3.1. */
static int take_alpn(duet_tls_context *c, const duet_tls_config *config)
{
    for (size_t i = 0; i < config->alpn_count; i++) {
        size_t len = strlen(config->alpn[i]);
        if (len == 0 || len > 255 || c->alpn_len + 1 + len > sizeof(c->alpn))
            return DUET_ERR_INVALID;
        c->alpn[c->alpn_len++] = (uint8_t)len;
        memcpy(c->alpn + c->alpn_len, config->alpn[i], len);
        c->alpn_len += len;
    }
    return DUET_OK;
}

/* "If the server supports no protocols that the client advertises, it SHALL respond with a fatal alert", RFC 7301 3.2 */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *offered,
                       unsigned offered_len, void *user)
{
    const duet_tls_context *c = user;
    unsigned char *chosen;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_len, c->alpn, (unsigned)c->alpn_len, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int load_certificate(duet_tls_context *c, const duet_tls_config *config, char *reason, size_t size)
{
    const char *key = config->key_file ? config->key_file : config->certificate_file;

    if (!config->certificate_file)
        return config->is_server ? DUET_ERR_INVALID : DUET_OK;
    if (SSL_CTX_use_certificate_chain_file(c->ctx, config->certificate_file) != 1)
        return fail_file("certificate", config->certificate_file, reason, size);
    if (SSL_CTX_use_PrivateKey_file(c->ctx, key, SSL_FILETYPE_PEM) != 1)
        return fail_file("key", key, reason, size);
    return DUET_OK;
}

static int load_trust(duet_tls_context *c, const duet_tls_config *config, char *reason, size_t size)
{
    if (config->ca_file && SSL_CTX_load_verify_locations(c->ctx, config->ca_file, NULL) != 1)
        return fail_file("authorities", config->ca_file, reason, size);
    if (!config->ca_file && !config->is_server && SSL_CTX_set_default_verify_paths(c->ctx) != 1)
        return fail_file("authorities", NULL, reason, size);
    if (config->is_server)
        SSL_CTX_set_verify(c->ctx,
                           config->ca_file ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, NULL);
    else
        SSL_CTX_set_verify(c->ctx, config->no_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    return DUET_OK;
}

static int set_up(duet_tls_context *c, const duet_tls_config *config, char *reason, size_t size)
{
    int err = take_alpn(c, config);

    if (err != DUET_OK)
        return err;
    c->ctx = SSL_CTX_new(config->is_server ? TLS_server_method() : TLS_client_method());
    if (!c->ctx)
        return DUET_ERR_NOMEM;
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION) != 1)
        return DUET_ERR_CRYPTO;
    if (c->alpn_len && config->is_server)
        SSL_CTX_set_alpn_select_cb(c->ctx, select_alpn, c);
    else if (c->alpn_len && SSL_CTX_set_alpn_protos(c->ctx, c->alpn, (unsigned)c->alpn_len) != 0) /* 0 is success */
        return DUET_ERR_NOMEM;
    err = load_certificate(c, config, reason, size);
    return err == DUET_OK ? load_trust(c, config, reason, size) : err;
}

int duet_tls_context_create(duet_tls_context **out, const duet_tls_config *config, char *reason, size_t reason_size)
{
    duet_env env = duet_env_resolve(config->env);
    duet_tls_context *c = duet_calloc(&env, sizeof(*c));

    *out = NULL;
    if (reason && reason_size)
        reason[0] = 0;
    if (!c)
        return DUET_ERR_NOMEM;
    c->env = env;
    c->is_server = config->is_server;
    c->no_verify = config->no_verify;
    int err = set_up(c, config, reason, reason_size);
    ERR_clear_error();
    if (err != DUET_OK) {
        duet_tls_context_destroy(c);
        return err;
    }
    *out = c;
    return DUET_OK;
}

void duet_tls_context_destroy(duet_tls_context *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    duet_env env = c->env;
    duet_free(&env, c);
}

/* ---- streams ---- */

/* An IP address stands in the certificate as such, and is no server name indication: RFC 6066 section 3. */
static int expect_name(duet_tls *t, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    duet_address address;

    if (duet_address_parse(&address, name, 0) == DUET_OK)
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1 ? DUET_OK : DUET_ERR_INVALID;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (strlen(name) > SERVER_NAME_MAX || SSL_set1_host(t->ssl, name) != 1 ||
        SSL_set_tlsext_host_name(t->ssl, name) != 1)
        return DUET_ERR_INVALID;
    return DUET_OK;
}

static int attach_bios(duet_tls *t)
{
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (!t->in || !t->out) {
        BIO_free(t->in);
        BIO_free(t->out);
        return DUET_ERR_NOMEM;
    }
    BIO_set_mem_eof_return(t->in, -1); /* empty means "later" until duet_tls_input_end */
    SSL_set_bio(t->ssl, t->in, t->out);
    return DUET_OK;
}

static void advance(duet_tls *t);

int duet_tls_create(duet_tls **out, duet_tls_context *c, const char *server_name)
{
    *out = NULL;
    if (!c->is_server && !server_name && !c->no_verify)
        return DUET_ERR_INVALID;
    duet_tls *t = duet_calloc(&c->env, sizeof(*t));
    if (!t)
        return DUET_ERR_NOMEM;
    t->env = c->env;
    t->ssl = SSL_new(c->ctx);
    int err = t->ssl ? attach_bios(t) : DUET_ERR_NOMEM;
    if (err == DUET_OK && server_name && !c->is_server)
        err = expect_name(t, server_name);
    if (err != DUET_OK) {
        ERR_clear_error();
        duet_tls_destroy(t);
        return err;
    }
    if (c->is_server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    advance(t); /* a client has something to send at once */
    *out = t;
    return DUET_OK;
}

void duet_tls_destroy(duet_tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    duet_env env = t->env;
    duet_free(&env, t);
}

static void fail(duet_tls *t, const char *reason)
{
    if (t->state == DUET_TLS_FAILED)
        return;
    t->state = DUET_TLS_FAILED;
    snprintf(t->reason, sizeof(t->reason), "%s", reason);
}

static void fail_by_library(duet_tls *t)
{
    long verify = SSL_get_verify_result(t->ssl);

    fail(t, verify != X509_V_OK ? X509_verify_cert_error_string(verify) : last_error());
}

static void note_close(duet_tls *t)
{
    t->got_close = true;
    if (!t->sent_close)
        SSL_shutdown(t->ssl); /* the answer, RFC 5246 section 7.2.1 */
    t->sent_close = true;
    t->state = DUET_TLS_CLOSED;
}

/* What a call of the library says about the stream. */
static void judge(duet_tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        break;
    case SSL_ERROR_ZERO_RETURN:
        note_close(t);
        break;
    default:
        fail_by_library(t);
        break;
    }
}

static void note_open(duet_tls *t)
{
    const unsigned char *alpn;
    unsigned len;

    t->state = DUET_TLS_OPEN;
    SSL_get0_alpn_selected(t->ssl, &alpn, &len);
    if (len < sizeof(t->alpn) && len > 0)
        memcpy(t->alpn, alpn, len);
}

/* Takes the handshake as far as it goes, and notices the end while nobody reads. */
static void advance(duet_tls *t)
{
    ERR_clear_error();
    if (t->state == DUET_TLS_HANDSHAKE) {
        int result = SSL_do_handshake(t->ssl);
        if (result == 1)
            note_open(t);
        else
            judge(t, result);
    }
    if (t->state == DUET_TLS_OPEN) {
        char byte;
        int result = SSL_peek(t->ssl, &byte, 1);
        if (result <= 0)
            judge(t, result);
    }
    ERR_clear_error();
}

static int outcome(const duet_tls *t)
{
    if (t->state != DUET_TLS_FAILED)
        return DUET_OK;
    return SSL_get_verify_result(t->ssl) != X509_V_OK ? DUET_ERR_AUTH : DUET_ERR_CRYPTO;
}

int duet_tls_input(duet_tls *t, const void *data, size_t len)
{
    if (t->got_close || t->ended)
        return DUET_ERR_CLOSED;
    if (t->state == DUET_TLS_FAILED)
        return outcome(t);
    if (len > INT32_MAX || (len > 0 && BIO_write(t->in, data, (int)len) != (int)len))
        return DUET_ERR_NOMEM;
    advance(t);
    return outcome(t);
}

/* Nothing more will come: where no close_notify stands behind what was read, somebody may have cut it off. */
static void check_end(duet_tls *t)
{
    if (t->ended && !t->got_close)
        fail(t, "the connection ended without close_notify");
}

int duet_tls_input_end(duet_tls *t)
{
    char byte;

    if (t->state == DUET_TLS_FAILED)
        return outcome(t);
    t->ended = true;
    if (t->state == DUET_TLS_OPEN && SSL_peek(t->ssl, &byte, 1) > 0)
        return DUET_OK; /* to be read first; the end is judged behind it */
    check_end(t);
    return t->state == DUET_TLS_FAILED ? DUET_ERR_MALFORMED : DUET_OK;
}

size_t duet_tls_output(duet_tls *t, void *buf, size_t size)
{
    int n = size ? BIO_read(t->out, buf, size > INT32_MAX ? INT32_MAX : (int)size) : 0;

    return n > 0 ? (size_t)n : 0;
}

size_t duet_tls_output_pending(const duet_tls *t)
{
    return BIO_ctrl_pending(t->out);
}

size_t duet_tls_read(duet_tls *t, void *buf, size_t size)
{
    if (t->state != DUET_TLS_OPEN || size == 0)
        return 0;
    ERR_clear_error();
    int n = SSL_read(t->ssl, buf, size > INT32_MAX ? INT32_MAX : (int)size);
    if (n <= 0) {
        judge(t, n);
        check_end(t);
    }
    ERR_clear_error();
    return n > 0 ? (size_t)n : 0;
}

int duet_tls_write(duet_tls *t, const void *data, size_t len)
{
    if (t->state != DUET_TLS_OPEN || t->sent_close)
        return DUET_ERR_STATE;
    if (len > DUET_TLS_PENDING_MAX || duet_tls_output_pending(t) > DUET_TLS_PENDING_MAX - len)
        return DUET_ERR_AGAIN;
    if (len == 0)
        return DUET_OK;
    ERR_clear_error();
    int n = SSL_write(t->ssl, data, (int)len);
    if (n != (int)len)
        fail_by_library(t);
    ERR_clear_error();
    return n == (int)len ? DUET_OK : DUET_ERR_CRYPTO;
}

void duet_tls_close(duet_tls *t)
{
    if (t->sent_close || t->state != DUET_TLS_OPEN)
        return;
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
    t->sent_close = true;
}

duet_tls_state duet_tls_get_state(const duet_tls *t)
{
    return t->state;
}

const char *duet_tls_reason(const duet_tls *t)
{
    return t->reason;
}

const char *duet_tls_alpn(const duet_tls *t)
{
    return t->alpn;
}

const char *duet_tls_version(const duet_tls *t)
{
    return SSL_get_version(t->ssl);
}
