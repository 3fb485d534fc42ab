/* WebSocket frames and the server's handshake response, in pieces. The first byte chooses the role and how large the
 * pieces are. A message that comes out is within its bound. */
#include "signaling/handshake.h"
#include "signaling/websocket.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 512

typedef struct heard {
    duet_websocket *ws;
} heard;

static void on_message(void *user, const char *data, size_t len, bool is_text)
{
    heard *h = user;

    if (len > LIMIT)
        abort();
    if (is_text && len > 0 && data[0] == 'e')
        (void)duet_websocket_send(h->ws, data, len, 0);
}

static void on_too_large(void *user)
{
    duet_websocket_close(((heard *)user)->ws, 4413, "too large", 0);
}

static void feed(heard *h, const uint8_t *data, size_t size, size_t step)
{
    const uint8_t *output;
    duet_time now = 0;

    while (size > 0) {
        size_t len = size < step ? size : step;
        uint8_t *copy = malloc(len);
        memcpy(copy, data, len);
        int err = duet_websocket_input(h->ws, copy, len, now);
        free(copy);
        if (err != DUET_OK && !duet_websocket_is_done(h->ws))
            abort();
        size_t waiting = duet_websocket_output(h->ws, &output);
        duet_websocket_sent(h->ws, waiting / 2);
        now += DUET_SECONDS(1);
        duet_websocket_tick(h->ws, now);
        data += len;
        size -= len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    heard h = {NULL};
    duet_websocket_pool *pool = NULL;
    duet_websocket_config config = {
        .max_message = LIMIT, .on_message = on_message, .on_too_large = on_too_large, .user = &h};
    char reason[160];
    size_t used = 0;

    if (size < 1)
        return 0;
    config.is_client = data[0] & 1;
    if (!config.is_client && duet_websocket_pool_create(&pool, NULL) != DUET_OK)
        abort();
    config.pool = pool;
    size_t step = 1 + (size_t)(data[0] >> 1) * (data[0] >> 1);
    data++;
    size--;
    if (duet_handshake_response(data, size, "dGhlIHNhbXBsZSBub25jZQ==", &used, reason, sizeof(reason)) == DUET_OK &&
        used > size)
        abort();
    if (duet_websocket_create(&h.ws, &config, 0) == DUET_OK)
        feed(&h, data, size, step);
    duet_websocket_destroy(h.ws);
    duet_websocket_pool_destroy(pool);
    return 0;
}
