/* Messages on their way to the engine: straight when it has room, otherwise queued per channel and taken in turns.
 * RFC 8831 section 6.6; back-pressure as W3C bufferedAmount has it. */
#include "base/memory.h"
#include "sctp/internal.h"
#include <string.h>

/* Memory kept for the next messages while the association is active. */
#define SPARE_BYTES_MAX ((size_t)1 << 20)
#define SPARE_LOOK_MAX  8

/* ---- buffers --------------------------------------------------------------------------------------------------- */

static outgoing *take_buffer(duet_sctp *s, size_t len)
{
    outgoing **at = &s->queue.spare;

    for (int i = 0; *at && i < SPARE_LOOK_MAX; i++, at = &(*at)->next) {
        outgoing *m = *at;
        if (m->capacity < len)
            continue;
        *at = m->next;
        s->queue.spare_bytes -= m->capacity;
        m->next = NULL;
        return m;
    }
    outgoing *m = duet_alloc(&s->env, sizeof(*m) + len);
    if (m) {
        m->capacity = len;
        m->next = NULL;
    }
    return m;
}

static void give_back(duet_sctp *s, outgoing *m)
{
    if (s->queue.spare_bytes + m->capacity > SPARE_BYTES_MAX) {
        duet_free(&s->env, m);
        return;
    }
    m->next = s->queue.spare;
    s->queue.spare = m;
    s->queue.spare_bytes += m->capacity;
}

void duet_send_queue_trim(duet_sctp *s)
{
    while (s->queue.spare) {
        outgoing *m = s->queue.spare;
        s->queue.spare = m->next;
        duet_free(&s->env, m);
    }
    s->queue.spare_bytes = 0;
}

/* ---- the list of busy channels --------------------------------------------------------------------------------- */

static void set_busy(duet_dc *dc)
{
    send_queue *q = &dc->sctp->queue;

    if (dc->busy)
        return;
    dc->busy = true;
    dc->next_busy = NULL;
    if (q->last_busy)
        q->last_busy->next_busy = dc;
    else
        q->first_busy = dc;
    q->last_busy = dc;
}

static void clear_busy(duet_dc *dc)
{
    send_queue *q = &dc->sctp->queue;
    duet_dc *before = NULL;

    if (!dc->busy)
        return;
    for (duet_dc *d = q->first_busy; d != dc; d = d->next_busy)
        before = d;
    if (before)
        before->next_busy = dc->next_busy;
    else
        q->first_busy = dc->next_busy;
    if (q->last_busy == dc)
        q->last_busy = before;
    dc->busy = false;
}

/* ---- buffered amount ------------------------------------------------------------------------------------------- */

static void push_low(duet_dc *dc)
{
    if (dc->low_pending || dc->state != DUET_DC_OPEN)
        return;
    dc->low_pending = true;
    duet_inbox_push(dc->sctp, INBOX_LOW, dc);
}

static void less_buffered(duet_dc *dc, size_t bytes)
{
    bool was_above = dc->buffered > dc->low_threshold;

    dc->buffered -= bytes;
    if (was_above && dc->buffered <= dc->low_threshold)
        push_low(dc);
}

/* Channels that were refused because others had filled the queue hear of room, too. */
static void tell_refused(duet_sctp *s)
{
    if (!s->queue.refused || s->queue.bytes > s->config.send_queue / 2)
        return;
    s->queue.refused = false;
    for (duet_dc *dc = s->first_dc; dc; dc = dc->next) {
        if (!dc->refused)
            continue;
        dc->refused = false;
        if (dc->buffered <= dc->low_threshold)
            push_low(dc);
    }
}

/* ---- queueing and sending -------------------------------------------------------------------------------------- */

/* "Before the DATA_CHANNEL_ACK message or any other message has been received on a data channel, all other messages
 * containing user data and belonging to this data channel MUST be sent ordered", RFC 8832 section 6. */
static duet_association_send how_to_send(const duet_dc *dc, uint32_t ppid)
{
    duet_association_send how = {.stream = dc->id, .ppid = ppid};

    if (ppid == DUET_PPID_DCEP)
        return how;
    how.unordered = dc->unordered && dc->acked;
    how.reliability = dc->reliability;
    how.reliability_value = dc->reliability_value;
    return how;
}

static bool may_send_now(const duet_sctp *s)
{
    /* Outside a turn the engine's clock may stand still: only while the association ticks is it fresh enough. */
    return s->state == DUET_SCTP_CONNECTED && !s->down && !s->queue.blocked && !s->queue.unfinished &&
           s->queue.first_busy == NULL && (s->events.depth > 0 || s->active);
}

static void append(duet_dc *dc, outgoing *m)
{
    if (dc->last)
        dc->last->next = m;
    else
        dc->first = m;
    dc->last = m;
    dc->sctp->queue.bytes += m->len;
    dc->buffered += m->buffered;
    set_busy(dc);
}

/* `m` is there already: a message that is partly taken must not fail for want of memory. */
static int send_straight(duet_dc *dc, outgoing *m, const uint8_t *data, size_t len)
{
    duet_sctp *s = dc->sctp;
    duet_association_send how = how_to_send(dc, m->ppid);
    size_t taken = 0;

    int err = s->engine->send(s->association, &how, data, len, &taken);
    duet_sctp_set_active(s);
    s->wants_flush = true;
    if (err == DUET_OK && taken == len) {
        give_back(s, m);
        return DUET_OK;
    }
    if (err != DUET_OK && err != DUET_ERR_AGAIN && err != DUET_ERR_NOMEM) {
        give_back(s, m);
        return err;
    }
    s->queue.blocked = true;
    if (taken > 0)
        s->queue.unfinished = dc;
    m->len = len - taken;
    if (m->buffered > m->len)
        m->buffered = m->len;
    memcpy(m->data, data + taken, m->len);
    append(dc, m);
    return DUET_OK;
}

int duet_send_queue_put(duet_dc *dc, uint32_t ppid, const uint8_t *data, size_t len, size_t buffered)
{
    duet_sctp *s = dc->sctp;
    bool is_full = s->queue.bytes > 0 && s->queue.bytes + len > s->config.send_queue;

    if (is_full && ppid != DUET_PPID_DCEP) {
        dc->refused = s->queue.refused = true;
        return DUET_ERR_AGAIN;
    }
    outgoing *m = take_buffer(s, len);
    if (!m)
        return DUET_ERR_NOMEM;
    m->ppid = ppid;
    m->offset = 0;
    m->len = len;
    m->buffered = buffered;
    if (may_send_now(s))
        return send_straight(dc, m, data, len);
    memcpy(m->data, data, len);
    append(dc, m);
    return DUET_OK;
}

/* Part of the first message went to the engine. */
static void advance(duet_dc *dc, size_t taken)
{
    outgoing *m = dc->first;
    size_t left;

    dc->sctp->queue.bytes -= taken;
    m->offset += taken;
    left = m->len - m->offset;
    if (m->buffered > left) {
        size_t gone = m->buffered - left;
        m->buffered = left;
        less_buffered(dc, gone);
    }
}

static void pop(duet_dc *dc)
{
    outgoing *m = dc->first;

    dc->first = m->next;
    if (!dc->first)
        dc->last = NULL;
    give_back(dc->sctp, m);
}

/* Gives as much of the first message as the engine takes. False when it takes no more. */
static bool send_first(duet_dc *dc)
{
    duet_sctp *s = dc->sctp;
    outgoing *m = dc->first;
    duet_association_send how = how_to_send(dc, m->ppid);
    size_t taken = 0;

    int err = s->engine->send(s->association, &how, m->data + m->offset, m->len - m->offset, &taken);
    s->wants_flush = true;
    if (err == DUET_ERR_AGAIN || err == DUET_ERR_NOMEM)
        return false;
    if (err != DUET_OK) /* the message cannot go: the channel is not what it promises any more */
        taken = m->len - m->offset;
    duet_sctp_set_active(s);
    advance(dc, taken);
    s->queue.unfinished = m->offset < m->len ? dc : NULL;
    if (s->queue.unfinished)
        return true;
    pop(dc);
    clear_busy(dc);
    if (dc->first)
        set_busy(dc); /* at the end: the others have their turn */
    if (err != DUET_OK)
        duet_dc_announce_closing(dc);
    return true;
}

void duet_send_queue_flush(duet_sctp *s)
{
    if (s->state != DUET_SCTP_CONNECTED || s->down)
        return;
    while (!s->queue.blocked && s->queue.first_busy) {
        duet_dc *dc = s->queue.unfinished ? s->queue.unfinished : s->queue.first_busy;
        if (!send_first(dc))
            s->queue.blocked = true;
    }
    tell_refused(s);
}

void duet_send_queue_drop(duet_dc *dc)
{
    duet_sctp *s = dc->sctp;

    while (dc->first) {
        s->queue.bytes -= dc->first->len - dc->first->offset;
        pop(dc);
    }
    dc->buffered = 0;
    if (s->queue.unfinished == dc)
        s->queue.unfinished = NULL;
    clear_busy(dc);
}
