/* Long-term credentials of a STUN or TURN client: challenge, key, signature, and protection against bid-down.
 *
 * RFC 8489 sections 9.2.3 and 9.2.5. */
#include "ice/turn_auth.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/memory.h"
#include "base/text.h"

#include <string.h>

#define ALGORITHMS_MAX 8

int duet_turn_auth_init(duet_turn_auth *auth, const duet_env *env, const char *username, const char *credential)
{
    memset(auth, 0, sizeof(*auth));
    if (!username || !credential)
        return DUET_OK;
    if (strlen(username) > TURN_USERNAME_MAX)
        return DUET_ERR_INVALID;
    auth->username = duet_strdup(env, username);
    auth->credential = duet_strdup(env, credential);
    if (auth->username && auth->credential)
        return DUET_OK;
    duet_turn_auth_free(auth, env);
    return DUET_ERR_NOMEM;
}

void duet_turn_auth_free(duet_turn_auth *auth, const duet_env *env)
{
    if (auth->credential)
        duet_wipe(auth->credential, strlen(auth->credential));
    duet_free(env, auth->username);
    duet_free(env, auth->credential);
    duet_wipe(auth, sizeof(*auth));
}

bool duet_turn_auth_is_bid_down(const duet_stun_message *m)
{
    duet_stun_attribute nonce;

    if (!duet_stun_find(m, DUET_STUN_NONCE, &nonce))
        return false;
    return (duet_stun_nonce_features(nonce.value, nonce.len) & DUET_STUN_NONCE_PASSWORD_ALGORITHMS) &&
           !duet_stun_find(m, DUET_STUN_PASSWORD_ALGORITHMS, NULL);
}

static int take_realm(duet_turn_auth *auth, const duet_stun_message *m)
{
    duet_stun_attribute realm;

    if (!duet_stun_find(m, DUET_STUN_REALM, &realm))
        return auth->key_len ? DUET_OK : DUET_ERR_MALFORMED; /* a 438 may leave it as it was */
    if (!duet_text_copy(auth->realm, sizeof(auth->realm), (duet_bytes){realm.value, realm.len}))
        return DUET_ERR_MALFORMED;
    return DUET_OK;
}

static int take_nonce(duet_turn_auth *auth, const duet_stun_message *m)
{
    duet_stun_attribute nonce;

    if (!duet_stun_find(m, DUET_STUN_NONCE, &nonce) || nonce.len == 0 || nonce.len > sizeof(auth->nonce))
        return DUET_ERR_MALFORMED;
    memcpy(auth->nonce, nonce.value, nonce.len);
    auth->nonce_len = nonce.len;
    uint32_t features = duet_stun_nonce_features(nonce.value, nonce.len);
    auth->is_anonymous = (features & DUET_STUN_NONCE_USERNAME_ANONYMITY) != 0;
    return DUET_OK;
}

/* "the request MUST contain a PASSWORD-ALGORITHM attribute with the first algorithm supported on the list". */
static int take_algorithms(duet_turn_auth *auth, const duet_stun_message *m)
{
    duet_stun_algorithm_value list[ALGORITHMS_MAX];
    duet_stun_attribute found;
    size_t count = ALGORITHMS_MAX;

    auth->algorithm = 0;
    auth->algorithms_len = 0;
    if (!duet_stun_find(m, DUET_STUN_PASSWORD_ALGORITHMS, &found))
        return DUET_OK;
    if (found.len > sizeof(auth->algorithms) || duet_stun_value_algorithms(&found, list, &count) != DUET_OK)
        return DUET_ERR_MALFORMED;
    memcpy(auth->algorithms, found.value, found.len);
    auth->algorithms_len = found.len;
    for (size_t i = 0; i < count && i < ALGORITHMS_MAX; i++) {
        bool known = list[i].algorithm == DUET_STUN_MD5 || list[i].algorithm == DUET_STUN_SHA256;
        if (!known || list[i].parameters_len > 0)
            continue;
        auth->algorithm = list[i].algorithm;
        return DUET_OK;
    }
    return DUET_ERR_AUTH;
}

static int derive(duet_turn_auth *auth)
{
    bool sha256 = auth->algorithm == DUET_STUN_SHA256;
    int err = duet_stun_userhash(auth->userhash, auth->username, auth->realm);

    if (err)
        return err;
    err = sha256 ? duet_stun_key_sha256(auth->key, auth->username, auth->realm, auth->credential)
                 : duet_stun_key_md5(auth->key, auth->username, auth->realm, auth->credential);
    auth->key_len = err ? 0 : sha256 ? 32 : 16;
    return err;
}

int duet_turn_auth_challenge(duet_turn_auth *auth, const duet_stun_message *m)
{
    if (!auth->username || duet_turn_auth_is_bid_down(m))
        return DUET_ERR_AUTH;
    int err = take_realm(auth, m);
    if (!err)
        err = take_nonce(auth, m);
    if (!err)
        err = take_algorithms(auth, m);
    return err ? err : derive(auth);
}

void duet_turn_auth_sign(const duet_turn_auth *auth, duet_stun_builder *b)
{
    if (auth->is_anonymous)
        duet_stun_add(b, DUET_STUN_USERHASH, auth->userhash, sizeof(auth->userhash));
    else
        duet_stun_add_text(b, DUET_STUN_USERNAME, auth->username);
    duet_stun_add_text(b, DUET_STUN_REALM, auth->realm);
    duet_stun_add(b, DUET_STUN_NONCE, auth->nonce, auth->nonce_len);
    if (auth->algorithms_len == 0) {
        duet_stun_add_integrity(b, auth->key, auth->key_len);
        return;
    }
    const duet_stun_algorithm_value chosen = {.algorithm = auth->algorithm};
    duet_stun_add(b, DUET_STUN_PASSWORD_ALGORITHMS, auth->algorithms, auth->algorithms_len);
    duet_stun_add_algorithms(b, DUET_STUN_PASSWORD_ALGORITHM, &chosen, 1);
    /* "all the subsequent requests MUST be authenticated using MESSAGE-INTEGRITY-SHA256 only" */
    duet_stun_add_integrity_sha256(b, auth->key, auth->key_len, DUET_SHA256_LEN);
}

bool duet_turn_auth_verify(const duet_turn_auth *auth, const duet_stun_message *m)
{
    if (auth->algorithms_len > 0)
        return duet_stun_verify_integrity_sha256(m, auth->key, auth->key_len) == DUET_OK;
    if (m->integrity)
        return duet_stun_verify_integrity(m, auth->key, auth->key_len) == DUET_OK;
    return duet_stun_verify_integrity_sha256(m, auth->key, auth->key_len) == DUET_OK;
}
