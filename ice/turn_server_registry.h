/* What the workers of one TURN service share: users' counts, ports of relayed addresses, reservations, the nonce secret.
 * Everything here may be called from any thread. */
#ifndef DUET_ICE_TURN_SERVER_REGISTRY_H
#define DUET_ICE_TURN_SERVER_REGISTRY_H

#include "duet/turn.h"
#include <stdatomic.h>

/* Bytes against a rate, as a virtual clock (the generic cell rate algorithm): the time at which everything that was let
 * through would have left at that rate. Zeroed, it is idle. */
typedef struct turn_bucket {
    atomic_uint_least64_t busy_until; /* nanoseconds */
} turn_bucket;

/* Whether `len` bytes pass at `rate` bytes per second (0: always), with bursts of a quarter of a second. */
bool duet_turn_bucket_take(turn_bucket *bucket, uint64_t rate, size_t len, duet_time now);

/* A user who has allocations. */
typedef struct turn_account turn_account;

/* Counts one allocation of that user.
 * @return DUET_OK and the account, DUET_ERR_LIMIT (the user's bound), DUET_ERR_AGAIN (the bound of all), DUET_ERR_NOMEM */
int duet_turn_account_take(turn_account **out, duet_turn_registry *registry, const char *user, size_t len);
void duet_turn_account_leave(turn_account *account, duet_turn_registry *registry);
bool duet_turn_account_may_relay(turn_account *account, const duet_turn_registry *registry, size_t len, duet_time now);

/* The nonce secret: TURN_SECRET_LEN bytes. */
#define TURN_SECRET_LEN 32
const uint8_t *duet_turn_registry_secret(const duet_turn_registry *registry);

/* The ports of one IP address. Known addresses stay known. */
typedef struct turn_ports turn_ports;

/* @return DUET_OK, DUET_ERR_NOMEM, DUET_ERR_LIMIT (more than 16 addresses) */
int duet_turn_registry_ports(turn_ports **out, duet_turn_registry *registry, const duet_address *ip);

/* Takes a random port. @param even  an even one; @param pair  the one after it too
 * @return the port, 0 when there is none */
uint16_t duet_turn_ports_take(turn_ports *ports, duet_turn_registry *registry, bool even, bool pair);
void duet_turn_ports_give_back(turn_ports *ports, duet_turn_registry *registry, uint16_t port);
/* Says that a relayed address is alive, or no longer. */
void duet_turn_ports_set_alive(turn_ports *ports, uint16_t port, bool alive);
bool duet_turn_ports_is_alive(const turn_ports *ports, uint16_t port); /* takes no lock */

/* Keeps a taken port for whoever brings the token, RFC 8656 section 7.2: 30 seconds.
 * @return the token, never 0; 0 when there are too many reservations: the port is given back */
uint64_t duet_turn_reserve(duet_turn_registry *registry, turn_ports *ports, uint16_t port, duet_time now);
/* @return the port, which is the caller's now, or 0 when nothing is reserved by that token */
uint16_t duet_turn_redeem(duet_turn_registry *registry, turn_ports **ports, uint64_t token, duet_time now);

#endif
