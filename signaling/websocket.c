/* WebSocket connections (RFC 6455) on wslay's event interface. Messages are collected here, not by wslay: it would
 * take the memory for a whole frame when its header arrives. Whatever wslay wants to send moves to our output at
 * once, so that a close frame cannot overtake the messages before it. */
#include "signaling/websocket.h"
#include <errno.h>
#include <string.h>
#include <wslay/wslay.h>

#define KEEP_CAPACITY 256 /* of buffers between messages; larger ones are given back */
#define REASON_MAX    123 /* a control frame has at most 125 bytes, two of them the code: RFC 6455 section 5.5 */

/* A context of wslay, and whose it is at the moment. */
typedef struct websocket_engine {
    wslay_event_context_ptr context;
    duet_websocket *ws;
} websocket_engine;

struct duet_websocket_pool {
    duet_env env;
    websocket_engine *spare; /* without a trace of whom it served last */
};

struct duet_websocket {
    duet_env env;
    duet_websocket_config config;
    websocket_engine *engine; /* NULL between frames, with a pool */
    uint64_t bytes, framed;   /* that came, and that the frames up to now have: equal when none is under way */
    bool in_fragments;        /* of a message */
    bool receiving;           /* callbacks are under way */
    const uint8_t *input;     /* what is left of the bytes given to input() */
    size_t input_len;
    duet_buffer message; /* the incoming one as far as it has come */
    duet_buffer output;
    size_t output_start; /* bytes of it that have been sent */
    bool in_control;     /* the frame that comes in is a control frame */
    bool too_large, unreadable, failed, pinged, closing;
    duet_time last_input, close_deadline;
    unsigned close_code;
    char close_reason[REASON_MAX + 1];
};

/* ---- what wslay calls ---- */

static ssize_t take_input(wslay_event_context_ptr context, uint8_t *buf, size_t len, int flags, void *user)
{
    duet_websocket *ws = ((websocket_engine *)user)->ws;
    size_t n = len < ws->input_len ? len : ws->input_len;

    (void)flags;
    if (n == 0) {
        wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buf, ws->input, n);
    ws->input += n;
    ws->input_len -= n;
    return (ssize_t)n;
}

static ssize_t put_output(wslay_event_context_ptr context, const uint8_t *data, size_t len, int flags, void *user)
{
    duet_websocket *ws = ((websocket_engine *)user)->ws;

    (void)flags;
    duet_buffer_append(&ws->output, data, len);
    if (!ws->output.failed)
        return (ssize_t)len;
    wslay_event_set_error(context, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

/* RFC 6455 section 5.3: the mask must not be predictable. */
static int make_mask(wslay_event_context_ptr context, uint8_t *buf, size_t len, void *user)
{
    duet_websocket *ws = ((websocket_engine *)user)->ws;

    (void)context;
    return duet_random(&ws->env, buf, len) == DUET_OK ? 0 : -1;
}

static bool is_control(uint8_t opcode)
{
    return (opcode & 8) != 0; /* RFC 6455 section 5.5 */
}

/* RFC 6455 section 5.2: two bytes, the extended payload length, and what a client masks with. */
static uint64_t header_len(const duet_websocket *ws, uint64_t payload_len)
{
    return 2u + (payload_len > 0xffff ? 8u : payload_len > 125 ? 2u : 0u) + (ws->config.is_client ? 0u : 4u);
}

static void frame_starts(wslay_event_context_ptr context, const struct wslay_event_on_frame_recv_start_arg *arg,
                         void *user)
{
    duet_websocket *ws = ((websocket_engine *)user)->ws;

    (void)context;
    ws->in_control = is_control(arg->opcode);
    ws->framed += header_len(ws, arg->payload_length) + arg->payload_length;
    if (!ws->in_control)
        ws->in_fragments = !arg->fin;
    if (!ws->in_control && arg->payload_length > ws->config.max_message - ws->message.len)
        ws->too_large = true; /* what comes is dropped; frames are still followed, up to the peer's close frame */
}

/* Control frames come between the frames of a message; wslay collects those itself. */
static void frame_continues(wslay_event_context_ptr context, const struct wslay_event_on_frame_recv_chunk_arg *arg,
                            void *user)
{
    duet_websocket *ws = ((websocket_engine *)user)->ws;

    (void)context;
    if (!ws->in_control && !ws->too_large)
        duet_buffer_append(&ws->message, arg->data, arg->data_length);
}

static void note_close(duet_websocket *ws, unsigned code, const uint8_t *reason, size_t len)
{
    if (ws->close_code != DUET_CLOSE_NONE)
        return;
    len = len < REASON_MAX ? len : REASON_MAX;
    ws->close_code = code;
    if (len)
        memcpy(ws->close_reason, reason, len);
    ws->close_reason[len] = 0;
}

static void empty(duet_buffer *b)
{
    if (b->capacity > KEEP_CAPACITY)
        duet_buffer_free(b);
    duet_buffer_clear(b);
}

static void message_ends(wslay_event_context_ptr context, const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
    duet_websocket *ws = ((websocket_engine *)user)->ws;

    (void)context;
    if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
        /* 1005, "no status code was present": RFC 6455 section 7.1.5 */
        unsigned code = arg->status_code ? arg->status_code : 1005;
        size_t reason_len = arg->msg_length >= 2 ? arg->msg_length - 2 : 0;
        note_close(ws, code, reason_len ? arg->msg + 2 : NULL, reason_len);
        return;
    }
    if (is_control(arg->opcode) || ws->too_large || ws->closing)
        return;
    if (ws->message.failed) {
        ws->failed = true;
        return;
    }
    ws->config.on_message(ws->config.user, ws->message.data ? (const char *)ws->message.data : "", ws->message.len,
                          arg->opcode == WSLAY_TEXT_FRAME);
    empty(&ws->message);
}

/* ---- life ---- */

static void free_engine(const duet_env *env, websocket_engine *e)
{
    if (e)
        wslay_event_context_free(e->context);
    duet_free(env, e);
}

static websocket_engine *make_engine(const duet_env *env, bool is_client)
{
    const struct wslay_event_callbacks callbacks = {
        .recv_callback = take_input,
        .send_callback = put_output,
        .genmask_callback = make_mask,
        .on_frame_recv_start_callback = frame_starts,
        .on_frame_recv_chunk_callback = frame_continues,
        .on_msg_recv_callback = message_ends,
    };
    websocket_engine *e = duet_calloc(env, sizeof(*e));

    if (!e)
        return NULL;
    int err = is_client ? wslay_event_context_client_init(&e->context, &callbacks, e)
                        : wslay_event_context_server_init(&e->context, &callbacks, e);
    if (err != 0) {
        duet_free(env, e);
        return NULL;
    }
    wslay_event_config_set_no_buffering(e->context, 1);
    wslay_event_config_set_max_recv_msg_length(e->context, INT64_MAX); /* frame_starts knows better */
    return e;
}

/* ---- engines come and go ---- */

static bool close_sent(const duet_websocket *ws)
{
    return ws->engine && wslay_event_get_close_sent(ws->engine->context);
}

static bool close_received(const duet_websocket *ws)
{
    return ws->engine && wslay_event_get_close_received(ws->engine->context);
}

static int take_engine(duet_websocket *ws)
{
    duet_websocket_pool *pool = ws->config.pool;

    if (ws->engine)
        return DUET_OK;
    ws->engine = pool->spare ? pool->spare : make_engine(&pool->env, false);
    pool->spare = NULL;
    if (!ws->engine)
        return DUET_ERR_NOMEM;
    ws->engine->ws = ws;
    return DUET_OK;
}

/* Between frames an engine is as new, as long as nobody has said goodbye. */
static void give_engine_back(duet_websocket *ws)
{
    duet_websocket_pool *pool = ws->config.pool;

    if (!pool || !ws->engine || ws->receiving || ws->bytes != ws->framed || ws->in_fragments || ws->closing ||
        ws->failed || ws->unreadable || ws->too_large || close_sent(ws) || close_received(ws) ||
        wslay_event_want_write(ws->engine->context))
        return;
    if (pool->spare)
        free_engine(&pool->env, ws->engine);
    else
        pool->spare = ws->engine;
    ws->engine = NULL;
}

int duet_websocket_pool_create(duet_websocket_pool **out, const duet_env *env)
{
    duet_env resolved = duet_env_resolve(env);

    *out = duet_calloc(&resolved, sizeof(**out));
    if (!*out)
        return DUET_ERR_NOMEM;
    (*out)->env = resolved;
    return DUET_OK;
}

void duet_websocket_pool_destroy(duet_websocket_pool *pool)
{
    if (!pool)
        return;
    free_engine(&pool->env, pool->spare);
    duet_env env = pool->env;
    duet_free(&env, pool);
}

int duet_websocket_create(duet_websocket **out, const duet_websocket_config *config, duet_time now)
{
    duet_env env = duet_env_resolve(config->env);
    duet_websocket *ws = duet_calloc(&env, sizeof(*ws));

    *out = NULL;
    if (!ws)
        return DUET_ERR_NOMEM;
    ws->env = env;
    ws->config = *config;
    ws->last_input = now;
    ws->close_deadline = DUET_NEVER;
    duet_buffer_init(&ws->message, &ws->env);
    duet_buffer_init(&ws->output, &ws->env);
    if (!config->pool) {
        ws->engine = make_engine(&ws->env, config->is_client);
        if (!ws->engine) {
            duet_free(&env, ws);
            return DUET_ERR_NOMEM;
        }
        ws->engine->ws = ws;
    }
    *out = ws;
    return DUET_OK;
}

void duet_websocket_destroy(duet_websocket *ws)
{
    if (!ws)
        return;
    free_engine(ws->config.pool ? &ws->config.pool->env : &ws->env, ws->engine);
    duet_buffer_free(&ws->message);
    duet_buffer_free(&ws->output);
    duet_env env = ws->env;
    duet_free(&env, ws);
}

/* ---- bytes ---- */

/* Pongs are not asked for by anybody here: a peer that pings and does not read is cut off. */
static void flush(duet_websocket *ws, duet_time now)
{
    if (wslay_event_send(ws->engine->context) != 0 || ws->output.failed ||
        ws->output.len - ws->output_start > DUET_WEBSOCKET_OUTPUT_MAX + KEEP_CAPACITY)
        ws->failed = true;
    if (close_sent(ws) && ws->close_deadline == DUET_NEVER)
        ws->close_deadline = now + DUET_WEBSOCKET_CLOSE_TIMEOUT;
}

int duet_websocket_input(duet_websocket *ws, const void *data, size_t len, duet_time now)
{
    ws->last_input = now;
    ws->pinged = false;
    if (take_engine(ws) != DUET_OK)
        ws->failed = true;
    if (ws->failed)
        return DUET_ERR_CLOSED;
    ws->input = data;
    ws->input_len = len;
    ws->bytes += len;
    ws->receiving = true;
    if (!ws->unreadable && wslay_event_recv(ws->engine->context) != 0)
        ws->unreadable = true; /* a close frame tells the peer why; until it has gone, the rest is read and dropped */
    ws->input_len = 0;
    if (ws->too_large && !ws->closing)
        ws->config.on_too_large(ws->config.user);
    flush(ws, now);
    if (ws->unreadable && !close_sent(ws))
        ws->failed = true;
    ws->receiving = false;
    give_engine_back(ws);
    return ws->failed ? DUET_ERR_CLOSED : DUET_OK;
}

size_t duet_websocket_output(const duet_websocket *ws, const uint8_t **data)
{
    *data = ws->output.data ? ws->output.data + ws->output_start : NULL;
    return ws->output.len - ws->output_start;
}

void duet_websocket_sent(duet_websocket *ws, size_t len)
{
    duet_buffer *out = &ws->output;

    ws->output_start += len;
    if (ws->output_start >= out->len) {
        ws->output_start = 0;
        empty(out);
    } else if (ws->output_start > out->len / 2) {
        memmove(out->data, out->data + ws->output_start, out->len - ws->output_start);
        out->len -= ws->output_start;
        ws->output_start = 0;
    }
}

int duet_websocket_send(duet_websocket *ws, const char *text, size_t len, duet_time now)
{
    struct wslay_event_msg message = {WSLAY_TEXT_FRAME, (const uint8_t *)text, len};

    if (ws->failed || ws->closing || (ws->engine && !wslay_event_get_write_enabled(ws->engine->context)))
        return DUET_ERR_CLOSED;
    if (take_engine(ws) != DUET_OK)
        return DUET_ERR_NOMEM;
    if (ws->output.len - ws->output_start + len > DUET_WEBSOCKET_OUTPUT_MAX)
        return DUET_ERR_AGAIN;
    int err = wslay_event_queue_msg(ws->engine->context, &message);
    if (err != 0)
        return err == WSLAY_ERR_NOMEM ? DUET_ERR_NOMEM : DUET_ERR_CLOSED;
    flush(ws, now);
    give_engine_back(ws);
    return ws->failed ? DUET_ERR_NOMEM : DUET_OK;
}

void duet_websocket_close(duet_websocket *ws, unsigned code, const char *reason, duet_time now)
{
    size_t len = strlen(reason);

    if (ws->closing)
        return;
    len = len < REASON_MAX ? len : REASON_MAX;
    ws->closing = true;
    ws->close_deadline = now + DUET_WEBSOCKET_CLOSE_TIMEOUT;
    note_close(ws, code, (const uint8_t *)reason, len);
    if (take_engine(ws) != DUET_OK) {
        ws->failed = true;
        return;
    }
    wslay_event_queue_close(ws->engine->context, (uint16_t)code, (const uint8_t *)reason, len);
    flush(ws, now);
}

/* ---- the end ---- */

bool duet_websocket_is_done(const duet_websocket *ws)
{
    return ws->failed || (close_sent(ws) && close_received(ws));
}

unsigned duet_websocket_close_code(const duet_websocket *ws, const char **reason)
{
    *reason = ws->close_reason;
    if (ws->close_code != DUET_CLOSE_NONE)
        return ws->close_code;
    return close_sent(ws) ? wslay_event_get_status_code_sent(ws->engine->context) : DUET_CLOSE_ABNORMAL;
}

/* ---- time ---- */

void duet_websocket_tick(duet_websocket *ws, duet_time now)
{
    const struct wslay_event_msg ping = {WSLAY_PING, NULL, 0};

    if (now >= ws->close_deadline || now >= ws->last_input + DUET_WEBSOCKET_DEAD_AFTER) {
        ws->failed = true;
        return;
    }
    if (ws->pinged || now < ws->last_input + DUET_WEBSOCKET_PING_AFTER)
        return;
    ws->pinged = true;
    if (take_engine(ws) == DUET_OK && wslay_event_queue_msg(ws->engine->context, &ping) == 0)
        flush(ws, now);
    give_engine_back(ws);
}

duet_time duet_websocket_deadline(const duet_websocket *ws)
{
    duet_time next = ws->last_input + (ws->pinged ? DUET_WEBSOCKET_DEAD_AFTER : DUET_WEBSOCKET_PING_AFTER);

    if (ws->failed)
        return DUET_NEVER;
    return next < ws->close_deadline ? next : ws->close_deadline;
}
