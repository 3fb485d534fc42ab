/* What arrives on streams: fragments become messages, messages go to channels, DCEP opens them.
 * RFC 8831 section 6.6, RFC 8832 section 6. */
#include "base/log.h"
#include "base/memory.h"
#include "sctp/internal.h"
#include <stdlib.h>
#include <string.h>

static void dcep_error(duet_sctp *s, uint16_t stream, const char *cause)
{
    s->stats.dcep_errors++;
    duet_log(&s->env, DUET_LOG_WARN, "sctp", "stream %u: %s", (unsigned)stream, cause);
    duet_trace_discard(&s->env, s->now, "sctp", "message", 0, cause);
}

/* ---- DCEP ------------------------------------------------------------------------------------------------------ */

/* "If the side is acting as the DTLS client, it MUST choose an even stream identifier ...", RFC 8832 section 6. */
static bool id_is_the_peers(const duet_sctp *s, uint16_t stream)
{
    return (stream & 1) == (s->is_dtls_client ? 1 : 0);
}

static void handle_open(duet_sctp *s, uint16_t stream, const uint8_t *data, size_t len)
{
    duet_dcep_open open;
    int err = duet_dcep_parse_open(&open, data, len);

    if (err) {
        dcep_error(s, stream, err == DUET_ERR_UNSUPPORTED ? "OPEN of an unknown channel type" : "ill-formed OPEN");
        if (!duet_dc_find(s, stream))
            duet_sctp_reset_stray(s, stream);
        return;
    }
    duet_dc *old = duet_dc_find(s, stream);
    if (old && old->state == DUET_DC_CLOSING && old->in_reset && old->reset_pending) {
        duet_dc_finish_close(old); /* the peer has our reset and reuses the id: its answer is still on the way */
        old = NULL;
    }
    if (old) {
        dcep_error(s, stream, "OPEN on a stream that is in use");
        return;
    }
    if (!id_is_the_peers(s, stream) || stream >= s->max_channels) {
        dcep_error(s, stream, "OPEN on a stream that is not the peer's");
        duet_sctp_reset_stray(s, stream);
        return;
    }
    if (duet_dc_open_remote(s, stream, &open) != DUET_OK) {
        dcep_error(s, stream, "no memory for a channel");
        duet_sctp_reset_stray(s, stream);
    }
}

static void handle_dcep(duet_sctp *s, uint16_t stream, const uint8_t *data, size_t len)
{
    int type = duet_dcep_message_type(data, len);

    if (type == DUET_DCEP_OPEN) {
        handle_open(s, stream, data, len);
        return;
    }
    duet_dc *dc = duet_dc_find(s, stream);
    if (type != DUET_DCEP_ACK || duet_dcep_parse_ack(data, len) != DUET_OK)
        dcep_error(s, stream, "ill-formed DCEP message");
    else if (!dc)
        dcep_error(s, stream, "ACK on a stream without a channel");
    else
        dc->acked = true;
}

/* ---- user messages --------------------------------------------------------------------------------------------- */

static void too_large(duet_sctp *s, uint16_t stream)
{
    duet_dc *dc = duet_dc_find(s, stream);

    s->stats.oversized++;
    dcep_error(s, stream, "message beyond max-message-size");
    if (dc)
        duet_dc_announce_closing(dc);
}

/* Takes over data. */
static void to_channel(duet_dc *dc, uint8_t *data, size_t len, bool is_text, bool from_engine)
{
    if (dc->state != DUET_DC_OPEN) { /* closed here, the peer does not know yet */
        duet_inbox_free_data(dc->sctp, data, from_engine);
        return;
    }
    if (duet_inbox_push_message(dc->sctp, dc, data, len, is_text, from_engine) == DUET_OK)
        return;
    /* A reliable message is lost here: the channel can no longer keep its promise. */
    dcep_error(dc->sctp, dc->id, "no memory for a message: the channel closes");
    duet_dc_announce_closing(dc);
}

/* A message in parts of the deprecated kind: it ends with one that has the PPID of a whole message. */
static bool keep_partial(duet_dc *dc, const uint8_t *data, size_t len)
{
    duet_sctp *s = dc->sctp;

    if (dc->partial_len + len > s->config.max_message_size) {
        too_large(s, dc->id);
        return false;
    }
    uint8_t *joined = duet_realloc(&s->env, dc->partial, dc->partial_len + len + 1);
    if (!joined) {
        dcep_error(s, dc->id, "no memory for a message: the channel closes");
        duet_dc_announce_closing(dc);
        return false;
    }
    memcpy(joined + dc->partial_len, data, len);
    dc->partial = joined;
    dc->partial_len += len;
    return true;
}

static void end_partial(duet_dc *dc, uint8_t *data, size_t len, bool is_text, bool from_engine)
{
    duet_sctp *s = dc->sctp;
    bool whole = keep_partial(dc, data, len);

    duet_inbox_free_data(s, data, from_engine);
    if (!whole)
        return;
    uint8_t *joined = dc->partial;
    size_t joined_len = dc->partial_len;
    dc->partial = NULL;
    dc->partial_len = 0;
    to_channel(dc, joined, joined_len, is_text, false);
}

static void handle_user_message(duet_dc *dc, uint32_t ppid, uint8_t *data, size_t len, bool from_engine)
{
    bool is_text = ppid == DUET_PPID_STRING || ppid == DUET_PPID_STRING_EMPTY;
    duet_sctp *s = dc->sctp;

    switch (ppid) {
    case DUET_PPID_STRING_EMPTY: /* "an empty message is one byte of zero", RFC 8831 section 6.6 */
    case DUET_PPID_BINARY_EMPTY:
        to_channel(dc, data, 0, is_text, from_engine);
        return;
    case DUET_PPID_STRING:
    case DUET_PPID_BINARY:
        if (dc->partial)
            end_partial(dc, data, len, is_text, from_engine);
        else
            to_channel(dc, data, len, is_text, from_engine);
        return;
    case DUET_PPID_STRING_PARTIAL:
    case DUET_PPID_BINARY_PARTIAL:
        keep_partial(dc, data, len);
        duet_inbox_free_data(s, data, from_engine);
        return;
    default:
        dcep_error(s, dc->id, "message of an unknown kind (PPID)");
        duet_inbox_free_data(s, data, from_engine);
    }
}

/* Takes over data. */
static void handle_message(duet_sctp *s, uint16_t stream, uint32_t ppid, uint8_t *data, size_t len, bool from_engine)
{
    if (ppid == DUET_PPID_DCEP) {
        handle_dcep(s, stream, data, len);
        duet_inbox_free_data(s, data, from_engine);
        return;
    }
    duet_dc *dc = duet_dc_find(s, stream);
    if (!dc) {
        dcep_error(s, stream, "message on a stream without a channel");
        duet_inbox_free_data(s, data, from_engine);
        return;
    }
    dc->acked = true; /* "… or any other message", RFC 8832 section 6 */
    handle_user_message(dc, ppid, data, len, from_engine);
}

/* ---- fragments ------------------------------------------------------------------------------------------------- */

void duet_channel_fragments_aborted(duet_sctp *s)
{
    duet_free(&s->env, s->assembly.data);
    s->assembly = (assembly){0};
}

static bool assembly_append(duet_sctp *s, const duet_association_fragment *f)
{
    assembly *a = &s->assembly;
    size_t need = a->len + f->len;

    if (need > a->capacity) {
        size_t capacity = a->capacity ? a->capacity * 2 : 65536;
        while (capacity < need)
            capacity *= 2;
        if (capacity > s->config.max_message_size)
            capacity = s->config.max_message_size > need ? s->config.max_message_size : need;
        uint8_t *data = duet_realloc(&s->env, a->data, capacity);
        if (!data)
            return false;
        a->data = data;
        a->capacity = capacity;
    }
    memcpy(a->data + a->len, f->data, f->len);
    a->len = need;
    return true;
}

static void skip_message(duet_sctp *s)
{
    duet_free(&s->env, s->assembly.data);
    s->assembly.data = NULL;
    s->assembly.len = s->assembly.capacity = 0;
    s->assembly.skip = true;
}

/* A message longer than the engine's delivery point comes in fragments, one message at a time. */
static void assemble(duet_sctp *s, const duet_association_fragment *f)
{
    assembly *a = &s->assembly;

    if (a->active && (a->stream != f->stream || a->unordered != f->unordered))
        duet_channel_fragments_aborted(s);
    if (!a->active)
        *a = (assembly){.active = true, .stream = f->stream, .unordered = f->unordered};
    if (!a->skip && a->len + f->len > s->config.max_message_size) {
        skip_message(s);
        too_large(s, f->stream);
    }
    if (!a->skip && !assembly_append(s, f)) {
        skip_message(s);
        dcep_error(s, f->stream, "no memory for a message: the channel closes");
        duet_dc *dc = duet_dc_find(s, f->stream);
        if (dc)
            duet_dc_announce_closing(dc);
    }
    if (!f->end)
        return;
    assembly whole = *a;
    *a = (assembly){0};
    if (!whole.skip)
        handle_message(s, f->stream, f->ppid, whole.data, whole.len, false);
}

void duet_channel_fragment(duet_sctp *s, const duet_association_fragment *f)
{
    if (!s->assembly.active && f->end && f->len <= s->config.max_message_size) {
        handle_message(s, f->stream, f->ppid, f->data, f->len, true);
        return;
    }
    assemble(s, f);
    free(f->data);
}
