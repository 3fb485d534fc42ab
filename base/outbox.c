/* Outgoing datagrams in pooled buffers: waiting → lent → spare. */
#include "base/outbox.h"
#include "base/memory.h"
#include <string.h>

struct duet_outbox_slot {
    duet_outbox_slot *next;
    duet_datagram datagram; /* data points into bytes */
    uint8_t bytes[];
};

void duet_outbox_init(duet_outbox *o, const duet_env *env, size_t payload_max, size_t limit)
{
    *o = (duet_outbox){.env = env, .payload_max = payload_max, .limit = limit};
}

static void give_back(duet_outbox *o, duet_outbox_slot *slot)
{
    slot->next = o->spare;
    o->spare = slot;
    o->spare_count++;
}

uint8_t *duet_outbox_reserve(duet_outbox *o)
{
    if (o->waiting >= o->limit) {
        o->dropped++;
        return NULL;
    }
    if (!o->spare) {
        duet_outbox_slot *slot = duet_alloc(o->env, sizeof(*slot) + DUET_HEADROOM + o->payload_max + DUET_TAILROOM);
        if (!slot) {
            o->dropped++;
            return NULL;
        }
        give_back(o, slot);
    }
    return o->spare->bytes + DUET_HEADROOM;
}

void duet_outbox_commit(duet_outbox *o, size_t len, const duet_datagram *meta)
{
    duet_outbox_slot *slot = o->spare;

    o->spare = slot->next;
    o->spare_count--;
    slot->next = NULL;
    if (meta)
        slot->datagram = *meta;
    else
        slot->datagram = (duet_datagram){0};
    slot->datagram.data = slot->bytes + DUET_HEADROOM;
    slot->datagram.len = len;
    slot->datagram.headroom = DUET_HEADROOM;
    if (o->last)
        o->last->next = slot;
    else
        o->first = slot;
    o->last = slot;
    o->waiting++;
}

int duet_outbox_push(duet_outbox *o, const void *data, size_t len, const duet_datagram *meta)
{
    if (len > o->payload_max)
        return DUET_ERR_TOO_LARGE;
    uint8_t *at = duet_outbox_reserve(o);
    if (!at)
        return o->waiting >= o->limit ? DUET_ERR_AGAIN : DUET_ERR_NOMEM;
    if (len)
        memcpy(at, data, len);
    duet_outbox_commit(o, len, meta);
    return DUET_OK;
}

static void reclaim_oldest(duet_outbox *o)
{
    duet_outbox_slot *slot = o->lent;

    o->lent = slot->next;
    if (!o->lent)
        o->lent_last = NULL;
    o->lent_count--;
    give_back(o, slot);
}

int duet_outbox_pull(duet_outbox *o, duet_datagram *out)
{
    duet_outbox_slot *slot = o->first;

    if (!slot)
        return 0;
    o->first = slot->next;
    if (!o->first)
        o->last = NULL;
    o->waiting--;
    slot->next = NULL;
    if (o->lent_last)
        o->lent_last->next = slot;
    else
        o->lent = slot;
    o->lent_last = slot;
    if (++o->lent_count > DUET_OUTPUT_BATCH)
        reclaim_oldest(o);
    *out = slot->datagram;
    return 1;
}

bool duet_outbox_is_empty(const duet_outbox *o)
{
    return o->first == NULL;
}

void duet_outbox_reclaim(duet_outbox *o)
{
    while (o->lent)
        reclaim_oldest(o);
}

void duet_outbox_trim(duet_outbox *o)
{
    while (o->spare) {
        duet_outbox_slot *slot = o->spare;
        o->spare = slot->next;
        duet_free(o->env, slot);
    }
    o->spare_count = 0;
}

void duet_outbox_clear(duet_outbox *o)
{
    while (o->first) {
        duet_outbox_slot *slot = o->first;
        o->first = slot->next;
        give_back(o, slot);
    }
    o->last = NULL;
    o->waiting = 0;
}

void duet_outbox_free(duet_outbox *o)
{
    duet_outbox_clear(o);
    duet_outbox_reclaim(o);
    duet_outbox_trim(o);
}
