/* The inbox: what the application will hear at the end of the outermost call, in order.
 * One ring for all channels, so that a message costs no allocation of ours. */
#include "base/memory.h"
#include "sctp/internal.h"
#include <stdlib.h>

#define CAPACITY_MIN 16

static inbox_item *item_at(const inbox *in, size_t i)
{
    return &in->items[(in->first + i) & (in->capacity - 1)];
}

static int grow(duet_sctp *s, size_t need)
{
    inbox *in = &s->inbox;
    size_t capacity = in->capacity ? in->capacity : CAPACITY_MIN;

    while (capacity < need)
        capacity *= 2;
    if (capacity == in->capacity)
        return DUET_OK;
    inbox_item *items = duet_alloc(&s->env, capacity * sizeof(*items));
    if (!items)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < in->count; i++)
        items[i] = *item_at(in, i);
    duet_free(&s->env, in->items);
    in->items = items;
    in->capacity = capacity;
    in->first = 0;
    return DUET_OK;
}

int duet_inbox_reserve(duet_sctp *s, size_t channels)
{
    size_t reserved = INBOX_EVENTS_OF_STATE + channels * INBOX_EVENTS_PER_CHANNEL;
    int err = grow(s, s->inbox.count + reserved);

    if (err == DUET_OK)
        s->inbox.reserved = reserved;
    return err;
}

static inbox_item *append(inbox *in, inbox_kind kind, duet_dc *dc)
{
    inbox_item *item = item_at(in, in->count++);

    *item = (inbox_item){.kind = (uint8_t)kind, .dc = dc};
    return item;
}

void duet_inbox_push(duet_sctp *s, inbox_kind kind, duet_dc *dc)
{
    if (!dc->released && s->inbox.count < s->inbox.capacity)
        append(&s->inbox, kind, dc);
}

void duet_inbox_push_state(duet_sctp *s, duet_sctp_state state)
{
    if (s->inbox.count < s->inbox.capacity)
        append(&s->inbox, INBOX_STATE, NULL)->state = (uint8_t)state;
}

/* Takes over data. */
int duet_inbox_push_message(duet_sctp *s, duet_dc *dc, uint8_t *data, size_t len, bool is_text, bool from_engine)
{
    inbox *in = &s->inbox;

    if (dc->released) {
        duet_inbox_free_data(s, data, from_engine);
        return DUET_OK;
    }
    if (grow(s, in->count + 1 + in->reserved) != DUET_OK) {
        duet_inbox_free_data(s, data, from_engine);
        return DUET_ERR_NOMEM;
    }
    inbox_item *item = append(in, INBOX_MESSAGE, dc);
    item->is_text = is_text;
    item->from_engine = from_engine;
    item->data = data;
    item->len = len;
    return DUET_OK;
}

void duet_inbox_free_data(duet_sctp *s, uint8_t *data, bool from_engine)
{
    if (from_engine)
        free(data);
    else
        duet_free(&s->env, data);
}

void duet_inbox_forget(duet_sctp *s, duet_dc *dc)
{
    for (size_t i = 0; i < s->inbox.count; i++) {
        inbox_item *item = item_at(&s->inbox, i);
        if (item->dc != dc)
            continue;
        duet_inbox_free_data(s, item->data, item->from_engine);
        *item = (inbox_item){0};
    }
}

static void deliver_message(duet_sctp *s, const inbox_item *item)
{
    duet_dc *dc = item->dc;

    dc->stats.messages_received++;
    dc->stats.bytes_received += item->len;
    if (dc->callbacks.on_message)
        dc->callbacks.on_message(dc->callbacks.user, dc, item->data, item->len, item->is_text);
    duet_inbox_free_data(s, item->data, item->from_engine);
}

static void call(duet_dc *dc, void (*callback)(void *user, duet_dc *dc))
{
    if (callback)
        callback(dc->callbacks.user, dc);
}

static void deliver(duet_sctp *s, const inbox_item *item)
{
    duet_dc *dc = item->dc;

    switch ((inbox_kind)item->kind) {
    case INBOX_NOTHING:
        break;
    case INBOX_STATE:
        if (s->config.on_state)
            s->config.on_state(s->config.user, (duet_sctp_state)item->state);
        break;
    case INBOX_CHANNEL:
        if (s->config.on_channel)
            s->config.on_channel(s->config.user, dc);
        break;
    case INBOX_OPEN:
        call(dc, dc->callbacks.on_open);
        break;
    case INBOX_MESSAGE:
        deliver_message(s, item);
        break;
    case INBOX_LOW:
        dc->low_pending = false;
        call(dc, dc->callbacks.on_buffered_amount_low);
        break;
    case INBOX_CLOSING:
        call(dc, dc->callbacks.on_closing);
        break;
    case INBOX_CLOSE:
        call(dc, dc->callbacks.on_close);
        break;
    }
}

/* Runs at the outermost level only; what the callbacks cause is delivered by the same loop. */
void duet_inbox_deliver(duet_sctp *s)
{
    inbox *in = &s->inbox;

    while (in->count > 0 && !s->events.destroyed) {
        inbox_item item = *item_at(in, 0); /* a copy: the ring may move while the callback runs */
        in->first = (in->first + 1) & (in->capacity - 1);
        in->count--;
        deliver(s, &item);
    }
}

void duet_inbox_free(duet_sctp *s)
{
    for (size_t i = 0; i < s->inbox.count; i++) {
        inbox_item *item = item_at(&s->inbox, i);
        duet_inbox_free_data(s, item->data, item->from_engine);
    }
    duet_free(&s->env, s->inbox.items);
    s->inbox = (inbox){0};
}
