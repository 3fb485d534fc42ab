/* The opening handshake of WebSocket (RFC 6455 section 4): the key and its answer, the client's request, and the
 * reading of the server's response. */
#ifndef DUET_SIGNALING_HANDSHAKE_H
#define DUET_SIGNALING_HANDSHAKE_H

#include "base/memory.h"

#define DUET_WEBSOCKET_KEY_LEN    24 /* base64 of 16 bytes */
#define DUET_WEBSOCKET_ACCEPT_LEN 28 /* base64 of a SHA-1 value */
#define DUET_HANDSHAKE_MAX        16384

typedef struct duet_ws_url {
    char host[256]; /* a name or an address, without brackets */
    char port[6];
    char path[512];
    bool secure; /* wss: */
} duet_ws_url;

/* "ws://host[:port][/path]" (RFC 6455 section 3; no fragment, no user). Without a path: "/ws". */
int duet_ws_url_parse(duet_ws_url *out, const char *text);

/* Whether it is the base64 of 16 bytes; then the value of Sec-WebSocket-Accept for it.
 * @return DUET_OK, DUET_ERR_MALFORMED or DUET_ERR_CRYPTO */
int duet_websocket_accept(char out[DUET_WEBSOCKET_ACCEPT_LEN + 1], const char *key);
int duet_websocket_make_key(char out[DUET_WEBSOCKET_KEY_LEN + 1], const duet_env *env);

/* The request of a client. @return DUET_OK or DUET_ERR_NOMEM */
int duet_handshake_request(duet_buffer *out, const duet_ws_url *url, const char *key, const char *subprotocol);

/* Reads the server's response.
 * @param used    how many bytes it took; the rest is WebSocket frames
 * @param reason  why it was refused; `size` bytes
 * @return DUET_OK; DUET_ERR_AGAIN (incomplete); DUET_ERR_MALFORMED; DUET_ERR_AUTH (not 101, or a wrong answer);
 *         DUET_ERR_TOO_LARGE */
int duet_handshake_response(const uint8_t *data, size_t len, const char *key, size_t *used, char *reason, size_t size);

#endif
