/* Keys of random ids, and of names that clients choose. */
#include "signaling/store_key.h"
#include "base/crypto.h"
#include <string.h>

uint64_t duet_store_random_key(const char *id)
{
    uint64_t key = 0;

    memcpy(&key, id, strnlen(id, sizeof(key)));
    return key;
}

int duet_store_name_key(uint64_t *key, const uint8_t secret[DUET_STORE_SECRET_LEN], const char *name)
{
    uint8_t mac[DUET_SHA256_LEN];
    duet_iov part = {name, strlen(name)};

    int err = duet_hmac_sha256(mac, secret, DUET_STORE_SECRET_LEN, &part, 1);
    memcpy(key, mac, sizeof(*key));
    return err;
}
