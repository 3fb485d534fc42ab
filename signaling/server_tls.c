/* TLS of the server: one context, which is replaced when its files change; connections keep the one they began with. */
#include "signaling/server.h"
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>

typedef struct tls_end {
    void (*on_free)(void *arg);
    void *arg;
} tls_end;

/* ---- being told when a connection's TLS state goes ---- */

static void state_freed(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    tls_end *end = ptr;

    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    if (!end)
        return;
    if (end->on_free)
        end->on_free(end->arg);
    OPENSSL_free(end);
}

static int end_index(void)
{
    static int index = -1; /* the server runs on one thread; OpenSSL's indices are for the process */

    if (index < 0)
        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, state_freed);
    return index;
}

/* ---- contexts ---- */

static void tell_failure(const duet_signaling_server *s, const char *file)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());

    server_log(s, DUET_LOG_ERROR, "tls_failed",
               json_pack("{s:s,s:s}", "file", file, "reason", why ? why : "it cannot be read"));
    ERR_clear_error();
}

SSL_CTX *server_tls_load(const duet_signaling_server *s, const duet_signaling_server_config *config)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

    if (!tls)
        return NULL;
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS); /* an idle connection keeps none */
    SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF); /* tickets do it */
    const char *failed = NULL;
    if (SSL_CTX_use_certificate_chain_file(tls, config->tls_certificate) != 1)
        failed = config->tls_certificate;
    else if (!config->tls_key || SSL_CTX_use_PrivateKey_file(tls, config->tls_key, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(tls) != 1)
        failed = config->tls_key ? config->tls_key : "";
    if (!failed)
        return tls;
    tell_failure(s, failed);
    SSL_CTX_free(tls);
    return NULL;
}

struct bufferevent *server_tls_accept(duet_signaling_server *s, void (*on_free)(void *arg), void *arg)
{
    SSL *ssl = SSL_new(s->tls);
    tls_end *end = OPENSSL_malloc(sizeof(*end));
    struct bufferevent *bev = NULL;

    if (ssl && end && end_index() >= 0)
        bev = bufferevent_openssl_socket_new(s->base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) {
        SSL_free(ssl);
        OPENSSL_free(end);
        return NULL;
    }
    *end = (tls_end){on_free, arg};
    SSL_set_ex_data(ssl, end_index(), end);
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1); /* WebSocket has its own goodbye */
    return bev;
}

void server_tls_forget(struct bufferevent *bev)
{
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    tls_end *end = ssl ? SSL_get_ex_data(ssl, end_index()) : NULL;

    if (end)
        end->on_free = NULL;
}
