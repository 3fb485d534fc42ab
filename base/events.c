/* Deferred delivery of callbacks. */
#include "base/events.h"
#include "base/memory.h"
#include <string.h>

/* Payloads up to this size use recycled nodes. */
#define INLINE_PAYLOAD 64
#define SPARE_MAX      16

struct duet_event_node {
    duet_event_node *next;
    duet_event_fn deliver, drop;
    bool recyclable;
    _Alignas(max_align_t) uint8_t payload[INLINE_PAYLOAD]; /* or more */
};

void duet_events_init(duet_events *e, const duet_env *env, void *object, void (*finish)(void *object))
{
    *e = (duet_events){.env = env, .object = object, .finish = finish};
}

static duet_event_node *take_node(duet_events *e, size_t len)
{
    if (len > INLINE_PAYLOAD)
        return duet_calloc(e->env, offsetof(duet_event_node, payload) + len);
    duet_event_node *node = e->spare;
    if (node)
        e->spare = node->next;
    else
        node = duet_alloc(e->env, sizeof(*node));
    if (node)
        node->recyclable = true;
    return node;
}

static void release_node(duet_events *e, duet_event_node *node)
{
    size_t spare = 0;

    for (duet_event_node *n = e->spare; n; n = n->next)
        spare++;
    if (!node->recyclable || spare >= SPARE_MAX) {
        duet_free(e->env, node);
        return;
    }
    node->next = e->spare;
    e->spare = node;
}

int duet_events_push(duet_events *e, duet_event_fn deliver, duet_event_fn drop, const void *payload, size_t len)
{
    duet_event_node *node = take_node(e, len);

    if (!node)
        return DUET_ERR_NOMEM;
    node->next = NULL;
    node->deliver = deliver;
    node->drop = drop;
    if (len)
        memcpy(node->payload, payload, len);
    if (e->last)
        e->last->next = node;
    else
        e->first = node;
    e->last = node;
    return DUET_OK;
}

static duet_event_node *pop(duet_events *e)
{
    duet_event_node *node = e->first;

    if (!node)
        return NULL;
    e->first = node->next;
    if (!e->first)
        e->last = NULL;
    return node;
}

static void discard_all(duet_events *e)
{
    for (duet_event_node *node = pop(e); node; node = pop(e)) {
        if (node->drop)
            node->drop(e->object, node->payload);
        release_node(e, node);
    }
}

void duet_events_enter(duet_events *e)
{
    e->depth++;
}

void duet_events_leave(duet_events *e)
{
    if (e->depth > 1) {
        e->depth--;
        return;
    }
    /* Still at depth 1: calls from inside an event are not outermost, what they add is delivered by this loop. */
    while (!e->destroyed) {
        duet_event_node *node = pop(e);
        if (!node)
            break;
        node->deliver(e->object, node->payload);
        release_node(e, node);
    }
    e->depth--;
    if (e->destroyed) {
        discard_all(e);
        e->finish(e->object);
    }
}

void duet_events_destroy(duet_events *e)
{
    if (e->destroyed)
        return;
    e->destroyed = true;
    if (e->depth > 0)
        return;
    discard_all(e);
    e->finish(e->object);
}

void duet_events_free(duet_events *e)
{
    discard_all(e);
    while (e->spare) {
        duet_event_node *node = e->spare;
        e->spare = node->next;
        duet_free(e->env, node);
    }
}
