/* WebSocket (RFC 6455) after the opening handshake, over byte buffers: framing, masking, pings, the closing handshake.
 * Server and client use it alike. The frames are wslay's work. */
#ifndef DUET_SIGNALING_WEBSOCKET_H
#define DUET_SIGNALING_WEBSOCKET_H

#include "base/memory.h"
#include "duet/base.h"

typedef struct duet_websocket duet_websocket;

/* A ping after so long without input; the end after so long without any. */
#define DUET_WEBSOCKET_PING_AFTER DUET_SECONDS(20)
#define DUET_WEBSOCKET_DEAD_AFTER DUET_SECONDS(45)
/* From close() to the peer's close frame. */
#define DUET_WEBSOCKET_CLOSE_TIMEOUT DUET_SECONDS(3)
/* Bytes that may wait in the output. */
#define DUET_WEBSOCKET_OUTPUT_MAX (2u << 20)

#define DUET_CLOSE_NONE     0
#define DUET_CLOSE_NORMAL   1000
#define DUET_CLOSE_PROTOCOL 1002
#define DUET_CLOSE_ABNORMAL 1006 /* never on the wire: the connection broke, or went silent */

/* Framing state that idle connections do without: wslay's buffers are 8 KiB. Connections of one thread share it, and take
 * what they need from it as long as a frame is under way. */
typedef struct duet_websocket_pool duet_websocket_pool;

int duet_websocket_pool_create(duet_websocket_pool **out, const duet_env *env);
void duet_websocket_pool_destroy(duet_websocket_pool *pool); /* after its connections. NULL is fine */

typedef struct duet_websocket_config {
    const duet_env *env;
    duet_websocket_pool *pool; /* of servers only; NULL: the connection keeps framing state of its own */
    bool is_client;
    size_t max_message; /* bytes of an incoming message */
    /* A whole message. UTF-8 of text has been checked. No call on this object but send and close is legal here. */
    void (*on_message)(void *user, const char *data, size_t len, bool is_text);
    /* A message beyond max_message begins. Nothing of it is kept, and no message comes any more: the owner closes. */
    void (*on_too_large)(void *user);
    void *user;
} duet_websocket_config;

int duet_websocket_create(duet_websocket **out, const duet_websocket_config *config, duet_time now);
void duet_websocket_destroy(duet_websocket *ws);

/* Bytes from the peer. @return DUET_OK, or DUET_ERR_CLOSED when the connection is to be dropped */
int duet_websocket_input(duet_websocket *ws, const void *data, size_t len, duet_time now);
/* The bytes to be sent, and that so many of them have been. */
size_t duet_websocket_output(const duet_websocket *ws, const uint8_t **data);
void duet_websocket_sent(duet_websocket *ws, size_t len);

/* Queues a text message. @return DUET_OK; DUET_ERR_CLOSED; DUET_ERR_AGAIN (output full: nothing was taken);
 * DUET_ERR_NOMEM */
int duet_websocket_send(duet_websocket *ws, const char *text, size_t len, duet_time now);
/* Starts the closing handshake, behind all that was sent before. */
void duet_websocket_close(duet_websocket *ws, unsigned code, const char *reason, duet_time now);

/* The connection is over: close it once the output is drained. */
bool duet_websocket_is_done(const duet_websocket *ws);
/* Why it ended: the peer's code, or our own when we closed first; DUET_CLOSE_ABNORMAL when nobody said anything. */
unsigned duet_websocket_close_code(const duet_websocket *ws, const char **reason);

void duet_websocket_tick(duet_websocket *ws, duet_time now);
duet_time duet_websocket_deadline(const duet_websocket *ws);

#endif
