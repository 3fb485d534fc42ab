/* Queue, pieces and joining of messages on one data channel. A message that is larger than the peer's
 * a=max-message-size (RFC 8841, section 6) goes as chunks: JSON objects too, so that every message on the channel is
 * one. */
#include "signaling/utcp_pipe.h"
#include <string.h>

struct duet_utcp_parcel {
    duet_utcp_parcel *next;
    char *text;
    size_t len, sent;
};

void duet_utcp_pipe_init(duet_utcp_pipe *p, const duet_env *env)
{
    *p = (duet_utcp_pipe){.env = env, .piece_max = DUET_UTCP_MESSAGE_MAX};
    duet_buffer_init(&p->piece, env);
    duet_buffer_init(&p->joined, env);
}

static void drop_first(duet_utcp_pipe *p)
{
    duet_utcp_parcel *parcel = p->first;

    p->first = parcel->next;
    if (!p->first)
        p->last = NULL;
    p->queued -= parcel->len;
    duet_free(p->env, parcel->text);
    duet_free(p->env, parcel);
}

void duet_utcp_pipe_free(duet_utcp_pipe *p)
{
    while (p->first)
        drop_first(p);
    duet_buffer_free(&p->piece);
    duet_buffer_free(&p->joined);
}

void duet_utcp_pipe_reset(duet_utcp_pipe *p, uint64_t max)
{
    const duet_env *env = p->env;

    duet_utcp_pipe_free(p);
    duet_utcp_pipe_init(p, env);
    if (max > 0 && max < DUET_UTCP_MESSAGE_MAX)
        p->piece_max = max < DUET_UTCP_PIECE_MIN ? DUET_UTCP_PIECE_MIN : (size_t)max;
}

/* ---- sending ---- */

int duet_utcp_pipe_push(duet_utcp_pipe *p, duet_buffer *message)
{
    size_t len = message->len;

    if (len > DUET_UTCP_QUEUE_MAX - p->queued)
        return DUET_ERR_AGAIN;
    duet_utcp_parcel *parcel = duet_calloc(p->env, sizeof(*parcel));
    if (!parcel)
        return DUET_ERR_NOMEM;
    parcel->text = duet_buffer_steal(message);
    if (!parcel->text) {
        duet_free(p->env, parcel);
        return DUET_ERR_NOMEM;
    }
    parcel->len = len;
    if (p->last)
        p->last->next = parcel;
    else
        p->first = parcel;
    p->last = parcel;
    p->queued += len;
    return DUET_OK;
}

/* In a JSON text only quotes and backslashes need an escape within a string: control characters have theirs already. */
static size_t escaped_length(char c)
{
    return c == '"' || c == '\\' ? 2 : (uint8_t)c < 0x20 ? 6 : 1;
}

static bool is_continuation(char c)
{
    return ((uint8_t)c & 0xC0) == 0x80;
}

/* How much of the text fits, in whole characters. */
static size_t fitting(const char *text, size_t len, size_t room)
{
    size_t used = 0, n = 0;

    while (n < len && used + escaped_length(text[n]) <= room)
        used += escaped_length(text[n++]);
    while (n > 0 && n < len && is_continuation(text[n]))
        n--;
    return n;
}

static int make_piece(duet_utcp_pipe *p)
{
    static const size_t envelope = sizeof("{\"type\":\"chunk\",\"data\":\"\",\"last\":true}");
    const duet_utcp_parcel *parcel = p->first;

    if (p->piece.len > 0)
        return DUET_OK;
    p->piece_used = fitting(parcel->text + parcel->sent, parcel->len - parcel->sent, p->piece_max - envelope);
    const duet_utcp_message chunk = {.type = DUET_UTCP_CHUNK,
                                     .data = parcel->text + parcel->sent,
                                     .data_len = p->piece_used,
                                     .last = parcel->sent + p->piece_used == parcel->len};
    int err = duet_utcp_message_write(&p->piece, &chunk);
    if (err != DUET_OK)
        duet_buffer_clear(&p->piece);
    return err;
}

int duet_utcp_pipe_peek(duet_utcp_pipe *p, const char **text, size_t *len)
{
    *text = NULL;
    *len = 0;
    if (!p->first)
        return DUET_OK;
    if (p->first->len <= p->piece_max) {
        *text = p->first->text;
        *len = p->first->len;
        return DUET_OK;
    }
    int err = make_piece(p);
    if (err != DUET_OK)
        return err;
    *text = (const char *)p->piece.data;
    *len = p->piece.len;
    return DUET_OK;
}

void duet_utcp_pipe_sent(duet_utcp_pipe *p)
{
    if (!p->first)
        return;
    p->first->sent += p->first->len <= p->piece_max ? p->first->len : p->piece_used;
    duet_buffer_clear(&p->piece);
    if (p->first->sent < p->first->len)
        return;
    drop_first(p);
    duet_buffer_free(&p->piece); /* idle channels keep no memory */
    duet_buffer_init(&p->piece, p->env);
}

/* ---- receiving ---- */

static void forget_pieces(duet_utcp_pipe *p)
{
    duet_buffer_free(&p->joined);
    duet_buffer_init(&p->joined, p->env);
}

/* @return DUET_OK, or an error after which the pieces are forgotten */
static int join(duet_utcp_pipe *p, const duet_utcp_message *chunk)
{
    if (chunk->data_len > DUET_UTCP_MESSAGE_MAX - p->joined.len) {
        forget_pieces(p);
        return DUET_ERR_TOO_LARGE;
    }
    duet_buffer_append(&p->joined, chunk->data, chunk->data_len);
    if (!p->joined.failed)
        return DUET_OK;
    forget_pieces(p);
    return DUET_ERR_NOMEM;
}

int duet_utcp_pipe_input(duet_utcp_pipe *p, duet_utcp_message *out, const char *text, size_t len, const char **reason)
{
    int err = duet_utcp_message_parse(out, text, len, reason);

    if (err != DUET_OK || out->type != DUET_UTCP_CHUNK)
        return err;
    bool last = out->last;
    err = join(p, out);
    duet_utcp_message_free(out);
    *out = (duet_utcp_message){.type = DUET_UTCP_NONE};
    if (err != DUET_OK || !last)
        return err;
    err = duet_utcp_message_parse(out, (const char *)p->joined.data, p->joined.len, reason);
    forget_pieces(p);
    if (err == DUET_OK && out->type == DUET_UTCP_CHUNK)
        err = DUET_ERR_INVALID; /* pieces of pieces */
    return err;
}
