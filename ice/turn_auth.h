/* The client's half of the long-term credential mechanism, RFC 8489 section 9.2: what a challenge asks for, what a request
 * carries, whether a response is authentic. Text is taken as prepared (see duet/stun.h). */
#ifndef DUET_ICE_TURN_AUTH_H
#define DUET_ICE_TURN_AUTH_H

#include "duet/stun.h"

/* "fewer than 509 bytes", "fewer than 128 characters ... as long as 763 bytes": RFC 8489 sections 14.3, 14.9, 14.10 */
#define TURN_USERNAME_MAX   508
#define TURN_REALM_MAX      763
#define TURN_NONCE_MAX      763
#define TURN_ALGORITHMS_MAX 64

typedef struct duet_turn_auth {
    char *username, *credential; /* NULL when there are none */
    char realm[TURN_REALM_MAX + 1];
    uint8_t nonce[TURN_NONCE_MAX];
    size_t nonce_len;
    uint8_t algorithms[TURN_ALGORITHMS_MAX]; /* PASSWORD-ALGORITHMS of the challenge, repeated byte for byte */
    size_t algorithms_len;
    uint16_t algorithm; /* duet_stun_algorithm that was chosen from them, 0: there were none */
    uint8_t userhash[32];
    bool is_anonymous; /* USERHASH instead of USERNAME */
    uint8_t key[32];
    size_t key_len; /* 0: no challenge yet */
} duet_turn_auth;

/* @return DUET_OK, DUET_ERR_INVALID (too long), DUET_ERR_NOMEM */
int duet_turn_auth_init(duet_turn_auth *auth, const duet_env *env, const char *username, const char *credential);
void duet_turn_auth_free(duet_turn_auth *auth, const duet_env *env); /* wiped */

/* Takes up a 401 or 438. @return DUET_OK: worth a new transaction; DUET_ERR_AUTH: another attempt must not be made;
 * DUET_ERR_MALFORMED: no usable realm or nonce; DUET_ERR_CRYPTO */
int duet_turn_auth_challenge(duet_turn_auth *auth, const duet_stun_message *m);
/* Adds the credentials and, as the last attribute before FINGERPRINT, the integrity. */
void duet_turn_auth_sign(const duet_turn_auth *auth, duet_stun_builder *b);
bool duet_turn_auth_verify(const duet_turn_auth *auth, const duet_stun_message *m);
/* "if the NONCE attribute starts with the nonce cookie with the Password algorithms bit set but PASSWORD-ALGORITHMS is
 * absent" somebody on the way has taken the better algorithms out of the message: RFC 8489 section 9.2.5. */
bool duet_turn_auth_is_bid_down(const duet_stun_message *m);

#endif
