/* TLS over any byte stream, sans-I/O: ciphertext goes in and is pulled out, plaintext the other way. TLS 1.2 and 1.3
 * (RFC 5246, RFC 8446), with the checks of RFC 9525 for clients. A connection that ends without close_notify is an error:
 * an attacker could have cut it (RFC 8446 section 6.1). */
#ifndef DUET_NET_TLS_STREAM_H
#define DUET_NET_TLS_STREAM_H

#include "duet/base.h"

typedef struct duet_tls duet_tls;

/* What several streams share: certificates, trust, versions. */
typedef struct duet_tls_context duet_tls_context;

typedef struct duet_tls_config {
    size_t size;
    const duet_env *env;
    bool is_server;
    const char *certificate_file; /* PEM chain; servers need it, clients may have one */
    const char *key_file;         /* PEM, unencrypted; NULL: in certificate_file */
    const char *ca_file;     /* PEM of the authorities that are trusted; NULL: the system's. Servers that are given one
                                   * ask their clients for a certificate */
    bool no_verify;          /* clients: trust whoever answers. For tests */
    const char *const *alpn; /* protocols in order of preference (RFC 7301); NULL: none */
    size_t alpn_count;
} duet_tls_config;

void duet_tls_config_init(duet_tls_config *config);

/* @return DUET_OK; DUET_ERR_INVALID (a server without certificate, a protocol name that is too long); DUET_ERR_IO (a file
 * that cannot be read or used: `reason` tells which and why, when it is not NULL); DUET_ERR_NOMEM, DUET_ERR_CRYPTO */
int duet_tls_context_create(duet_tls_context **out, const duet_tls_config *config, char *reason, size_t reason_size);
void duet_tls_context_destroy(duet_tls_context *context); /* after its streams. NULL is fine */

typedef enum duet_tls_state {
    DUET_TLS_HANDSHAKE = 0,
    DUET_TLS_OPEN,
    DUET_TLS_CLOSED, /* both directions ended with close_notify, or the peer's did and nothing is left to read */
    DUET_TLS_FAILED, /* duet_tls_reason says why */
} duet_tls_state;

/* @param server_name  clients: whose certificate it must be, a host name (sent as SNI, RFC 6066) or an IP address; NULL only
 *                     with no_verify. Servers: NULL */
int duet_tls_create(duet_tls **out, duet_tls_context *context, const char *server_name);
void duet_tls_destroy(duet_tls *tls); /* NULL is fine */

/* Ciphertext from the network, any piece of it. Read what it gave (duet_tls_read until it gives 0) before the next: what
 * nobody reads is kept.
 * @return DUET_OK; DUET_ERR_CLOSED after the end; DUET_ERR_AUTH (certificate or name), DUET_ERR_CRYPTO or DUET_ERR_MALFORMED:
 * the stream has failed, an alert may wait in the output */
int duet_tls_input(duet_tls *tls, const void *data, size_t len);
/* The network says that no more will come. @return DUET_OK when that is in order, or is to be seen when everything has
 * been read; DUET_ERR_MALFORMED: cut off */
int duet_tls_input_end(duet_tls *tls);
/* Ciphertext for the network. @return how many bytes were written to buf */
size_t duet_tls_output(duet_tls *tls, void *buf, size_t size);
size_t duet_tls_output_pending(const duet_tls *tls);

/* Plaintext that has arrived. @return how many bytes were written to buf, 0 when there are none now */
size_t duet_tls_read(duet_tls *tls, void *buf, size_t size);
/* Plaintext to send, all of it or none. What waits to be pulled is bounded by DUET_TLS_PENDING_MAX.
 * @return DUET_OK; DUET_ERR_STATE (handshake, or closed); DUET_ERR_AGAIN (pull first); DUET_ERR_CRYPTO */
int duet_tls_write(duet_tls *tls, const void *data, size_t len);
/* Sends close_notify; reading goes on until the peer's comes. */
void duet_tls_close(duet_tls *tls);

duet_tls_state duet_tls_get_state(const duet_tls *tls);
const char *duet_tls_reason(const duet_tls *tls);  /* "" unless FAILED */
const char *duet_tls_alpn(const duet_tls *tls);    /* what was agreed, "" when nothing was */
const char *duet_tls_version(const duet_tls *tls); /* "TLSv1.3" */

#define DUET_TLS_PENDING_MAX (256u * 1024u)

#endif
