/* Keys of tokens as token.c and token_jwk.c see them: each is pinned to one algorithm when it is added, so what a token
 * says of itself can only choose among keys, never how one is used (RFC 8725 section 3.1). */
#ifndef DUET_SIGNALING_TOKEN_KEYS_H
#define DUET_SIGNALING_TOKEN_KEYS_H

#include "base/bytes.h"
#include "base/memory.h"
#include "duet/signaling.h"
#include <openssl/types.h>

/* RFC 7518 section 3.1, RFC 8037 section 3.1. */
typedef enum duet_token_alg {
    DUET_TOKEN_ALG_UNKNOWN = 0, /* "none" is one of these */
    DUET_TOKEN_HS256,
    DUET_TOKEN_RS256,
    DUET_TOKEN_ES256,
    DUET_TOKEN_EDDSA,
} duet_token_alg;

const char *duet_token_alg_name(duet_token_alg alg);
duet_token_alg duet_token_alg_parse(const char *name); /* NULL is unknown */

typedef struct duet_token_key {
    duet_token_alg alg;
    char *kid;       /* NULL: has none */
    uint8_t *secret; /* of HS256 */
    size_t secret_len;
    EVP_PKEY *pkey; /* of the others */
    bool can_sign;
} duet_token_key;

struct duet_token_keys {
    duet_env env;
    duet_array keys; /* of duet_token_key */
};

/* Pins the algorithm by the kind of the key. Takes `pkey` over, also when it fails.
 * @return DUET_OK; DUET_ERR_UNSUPPORTED (no algorithm for it, or it is weak); DUET_ERR_LIMIT; DUET_ERR_NOMEM */
int duet_token_keys_add(duet_token_keys *keys, const char *kid, EVP_PKEY *pkey, bool can_sign, const char **reason);
/* Forgets the keys behind the first `count`. */
void duet_token_keys_truncate(duet_token_keys *keys, size_t count);

/* Appends the signature. @return DUET_OK; DUET_ERR_CRYPTO; DUET_ERR_NOMEM */
int duet_token_key_sign(duet_buffer *signature, const duet_token_key *key, duet_bytes data);
/* @return DUET_OK; DUET_ERR_AUTH; DUET_ERR_NOMEM; DUET_ERR_CRYPTO */
int duet_token_key_verify(const duet_token_key *key, duet_bytes data, duet_bytes signature);

#endif
