/* A layer around a store that keeps rooms in PostgreSQL beyond the life of all servers, and writes an audit trail there.
 * docs/signaling_stores.md tells the tables, and what happens when PostgreSQL goes. */
#ifndef DUET_SIGNALING_STORE_POSTGRES_H
#define DUET_SIGNALING_STORE_POSTGRES_H

#include "signaling/store.h"

struct event_base;

typedef struct duet_store_postgres_config {
    const char
        *url; /* "postgresql://…" or "host=… dbname=…", as libpq takes it. Better give an address than a host name,
                         * whose look-up waits */
    unsigned
        sweep_ms; /* how often rooms that have lasted long enough and seats that timed out are looked for; 0: 5000 */
    unsigned audit_max; /* rows of the audit trail that wait for the database; more are dropped and counted. 0: 4096 */
    /* Makes the live store, which tells `events`; the layer destroys it */
    int (*open_live)(void *user, duet_store *live, const duet_store_events *events);
    void (*on_log)(void *user, duet_log_level level, const char *text); /* may be NULL; may not call back */
    void *user;                                                         /* of open_live and on_log */
} duet_store_postgres_config;

/* Begins to connect and returns. Rooms that are not transient are created, changed and removed there first; as long as it cannot
 * be reached that is DUET_ERR_IO, and so is `status`. Everything else goes on. Each connection loads the rooms into the live store.
 * The layer sets its own timers on `base`; tick and deadline are the live store's. What libpq and jansson need comes from libc.
 * @return DUET_OK; DUET_ERR_INVALID (URL); DUET_ERR_NOMEM; what open_live returned */
int duet_store_postgres_create(duet_store *out, const duet_env *env, struct event_base *base,
                               const duet_store_postgres_config *config, const duet_store_events *events);

/* Rows of the audit trail that were dropped. */
uint64_t duet_store_postgres_dropped(const duet_store *store);

#endif
