/* The queue behind every `on_…` callback: events are put in while an object works and delivered at the end of the
 * outermost call, when its state is consistent. Any call is legal inside an event; destroying the object is put off
 * until the delivery has ended. */
#ifndef DUET_BASE_EVENTS_H
#define DUET_BASE_EVENTS_H

#include "duet/base.h"

/* Delivers one event. `payload` is the copy that duet_events_push made, aligned for any type. */
typedef void (*duet_event_fn)(void *object, void *payload);

typedef struct duet_event_node duet_event_node;

typedef struct duet_events {
    const duet_env *env;
    void *object;                 /* handed to every duet_event_fn */
    void (*finish)(void *object); /* frees the object; runs when it was destroyed inside an event */
    duet_event_node *first, *last;
    duet_event_node *spare; /* recycled nodes of small payloads: no allocation per event in steady state */
    unsigned depth;
    bool destroyed;
} duet_events;

void duet_events_init(duet_events *e, const duet_env *env, void *object, void (*finish)(void *object));

/* Every public function that changes the object is wrapped in enter and leave. */
void duet_events_enter(duet_events *e);
/* Delivers at the outermost level. Afterwards the object may be gone: touch nothing. */
void duet_events_leave(duet_events *e);

/* @param drop  releases what the payload owns when the event is discarded at destruction; NULL when it owns nothing */
int duet_events_push(duet_events *e, duet_event_fn deliver, duet_event_fn drop, const void *payload, size_t len);

/* The body of a public destroy: discards pending events and runs `finish`, now or when the delivery under way ends. */
void duet_events_destroy(duet_events *e);
void duet_events_free(duet_events *e); /* called by `finish` */

#endif
