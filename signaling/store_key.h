/* Keys of the hash tables of hub and stores (base/map.h). The full name is compared besides. */
#ifndef DUET_SIGNALING_STORE_KEY_H
#define DUET_SIGNALING_STORE_KEY_H

#include "duet/base.h"

#define DUET_STORE_SECRET_LEN 16

/* Ids of seats and hashes of tokens are random already: their first bytes will do. */
uint64_t duet_store_random_key(const char *id);

/* Names that clients choose: 64 bits of a keyed hash, so that two names that share them cannot be found without the secret.
 * @return DUET_OK or DUET_ERR_CRYPTO */
int duet_store_name_key(uint64_t *key, const uint8_t secret[DUET_STORE_SECRET_LEN], const char *name);

#endif
