/* A store on a Redis server (5.0 or newer, not a cluster) that any number of nodes share: they behave as one server.
 * docs/signaling_stores.md tells what is kept where, and what happens when Redis or a node goes. */
#ifndef DUET_SIGNALING_STORE_REDIS_H
#define DUET_SIGNALING_STORE_REDIS_H

#include "signaling/store.h"

struct event_base;

typedef struct duet_store_redis_config {
    /* "redis://[[user]:password@]host[:port][/database]" or "unix:///path". A host name is looked up when a connection is made,
     * and that waits: better give an address. "rediss:" (TLS) is DUET_ERR_UNSUPPORTED: this hiredis has none */
    const char *url;
    const char *prefix; /* of all keys and channels; NULL: "duet:" */
    size_t max_rooms;   /* of all nodes together */
    unsigned beat_ms;   /* how often a node says that it lives; 0: 2000 */
    unsigned ttl_ms;    /* how long others believe it; 0: 6000 */
    unsigned sweep_ms;  /* how often what is over is looked for; 0: 500 */
    unsigned grace_ms;  /* how long the seats of a dead node wait for their people; 0: 30000 */
    /* After Redis came back without its data, commands whose outcome is unknown wait so long for the other nodes to connect;
     * 0: 2500 */
    unsigned settle_ms;
    void (*on_log)(void *user, duet_log_level level, const char *text); /* may be NULL; may not call back */
    void *user;                                                         /* of on_log */
} duet_store_redis_config;

/* Begins to connect and returns: what is asked meanwhile waits (at most 4096 commands or 8 MiB, beyond them DUET_ERR_IO).
 * The store sets its own timers on `base` and reads the clock: tick has nothing to do, its deadline is DUET_NEVER. What hiredis
 * and jansson need comes from libc.
 * @return DUET_OK; DUET_ERR_INVALID (URL); DUET_ERR_UNSUPPORTED (TLS); DUET_ERR_NOMEM; DUET_ERR_CRYPTO */
int duet_store_redis_create(duet_store *out, const duet_env *env, struct event_base *base,
                            const duet_store_redis_config *config, const duet_store_events *events);

#endif
