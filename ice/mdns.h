/* Multicast DNS as WebRTC uses it (RFC 6762, draft-ietf-mmusic-mdns-ice-candidates): finds the addresses behind the ".local"
 * names of remote candidates, and answers for names of our own. No browsing, no cache.
 *
 * An endpoint like any other; a driver runs one for each loop and serves RESOLVE and PUBLISH with it. Sockets are open only
 * while a name is looked for or published, and for DUET_MDNS_LINGER after that. */
#ifndef DUET_ICE_MDNS_H
#define DUET_ICE_MDNS_H

#include "duet/base.h"

typedef struct duet_mdns duet_mdns;

#define DUET_MDNS_QUERIES_MAX   256 /* names looked for at a time */
#define DUET_MDNS_NAMES_MAX     1024
#define DUET_MDNS_ADDRESSES_MAX 4
#define DUET_MDNS_LINGER        DUET_SECONDS(10)

typedef struct duet_mdns_config {
    size_t size;
    const duet_env *env;
    bool loopback; /* also use loopback interfaces */
    /* A name was found, or err is DUET_ERR_TIMEOUT: nobody answered, DUET_ERR_IO: there is no interface to ask on.
     * `query` is what duet_mdns_resolve gave. */
    void (*on_result)(void *user, uint32_t query, int err, const duet_address *addresses, size_t count);
    void *user;
} duet_mdns_config;

typedef struct duet_mdns_stats {
    uint64_t queries_sent, answers_sent, answers_received;
    uint64_t discarded; /* malformed, of no interest, or from where they must not come */
} duet_mdns_stats;

void duet_mdns_config_init(duet_mdns_config *config);
int duet_mdns_create(duet_mdns **out, const duet_mdns_config *config);
void duet_mdns_destroy(duet_mdns *m); /* NULL is fine; legal inside on_result */

/* @return DUET_OK and a number for duet_mdns_cancel; DUET_ERR_INVALID (no name that ends in ".local"), DUET_ERR_LIMIT,
 * DUET_ERR_NOMEM */
int duet_mdns_resolve(duet_mdns *m, const char *name, uint32_t *query);
void duet_mdns_cancel(duet_mdns *m, uint32_t query); /* no result will come */
/* Answers for the name from now on. The name must be unique by its making, such as a random UUID: nothing is probed.
 * @return DUET_OK, DUET_ERR_INVALID, DUET_ERR_LIMIT, DUET_ERR_NOMEM */
int duet_mdns_publish(duet_mdns *m, const char *name, const duet_address *address, uint32_t *published);
/* Tells those who may remember it that the name has gone, RFC 6762 section 10.1. */
void duet_mdns_withdraw(duet_mdns *m, uint32_t published);

bool duet_mdns_is_local_name(const char *name); /* ends in ".local" or ".local." */
void duet_mdns_get_stats(const duet_mdns *m, duet_mdns_stats *out);
const duet_endpoint_ops *duet_mdns_endpoint_ops(void); /* for `duet_mdns *` */

#endif
