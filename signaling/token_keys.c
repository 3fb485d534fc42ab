/* Keys of tokens: shared secrets (HMAC, RFC 7518 section 3.2), RSA (section 3.3), P-256 (section 3.4) and Ed25519 (RFC 8037
 * section 3.1). The memory of OpenSSL's own objects comes from libc. */
#include "signaling/token_keys.h"
#include "base/crypto.h"
#include <limits.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

/* "A key of size 2048 bits or larger MUST be used", RFC 7518 section 3.3; and one that takes no seconds to verify with. */
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
/* R and S of P-256, each of 32 octets: RFC 7518 section 3.4. */
#define ES256_HALF 32
#define ES256_LEN  (2 * ES256_HALF)
#define PEM_MAX    65536

static const char *const alg_names[] = {
    [DUET_TOKEN_ALG_UNKNOWN] = "", [DUET_TOKEN_HS256] = "HS256", [DUET_TOKEN_RS256] = "RS256",
    [DUET_TOKEN_ES256] = "ES256",  [DUET_TOKEN_EDDSA] = "EdDSA",
};

const char *duet_token_alg_name(duet_token_alg alg)
{
    return alg_names[alg];
}

duet_token_alg duet_token_alg_parse(const char *name)
{
    for (duet_token_alg alg = DUET_TOKEN_HS256; name && alg <= DUET_TOKEN_EDDSA; alg++) {
        if (strcmp(name, alg_names[alg]) == 0)
            return alg;
    }
    return DUET_TOKEN_ALG_UNKNOWN;
}

/* ---- the set ---- */

int duet_token_keys_create(duet_token_keys **out, const duet_env *env)
{
    duet_env resolved = duet_env_resolve(env);
    duet_token_keys *keys = duet_calloc(&resolved, sizeof(*keys));

    *out = keys;
    if (!keys)
        return DUET_ERR_NOMEM;
    keys->env = resolved;
    duet_array_init(&keys->keys, &keys->env, sizeof(duet_token_key));
    return DUET_OK;
}

static void key_free(const duet_env *env, duet_token_key *key)
{
    if (key->secret)
        duet_wipe(key->secret, key->secret_len);
    duet_free(env, key->secret);
    duet_free(env, key->kid);
    EVP_PKEY_free(key->pkey);
}

void duet_token_keys_truncate(duet_token_keys *keys, size_t count)
{
    while (keys->keys.count > count) {
        key_free(&keys->env, duet_array_at(&keys->keys, keys->keys.count - 1));
        keys->keys.count--;
    }
}

void duet_token_keys_destroy(duet_token_keys *keys)
{
    if (!keys)
        return;
    duet_token_keys_truncate(keys, 0);
    duet_array_free(&keys->keys);
    duet_env env = keys->env;
    duet_free(&env, keys);
}

size_t duet_token_keys_count(const duet_token_keys *keys)
{
    return keys->keys.count;
}

/* Takes over what `key` holds, but for the kid, which is copied; also when it fails. */
static int append(duet_token_keys *keys, const char *kid, duet_token_key *key, const char **reason)
{
    int err = keys->keys.count < DUET_TOKEN_KEYS_MAX ? DUET_OK : DUET_ERR_LIMIT;

    if (err == DUET_ERR_LIMIT)
        *reason = "there are too many keys";
    key->kid = duet_strdup(&keys->env, kid);
    if (kid && !key->kid)
        err = DUET_ERR_NOMEM;
    duet_token_key *slot = err == DUET_OK ? duet_array_push(&keys->keys) : NULL;
    if (slot) {
        *slot = *key;
        return DUET_OK;
    }
    key_free(&keys->env, key);
    return err == DUET_OK ? DUET_ERR_NOMEM : err;
}

int duet_token_keys_add_secret(duet_token_keys *keys, const char *kid, const void *secret, size_t len)
{
    static const char pem[] = "-----BEGIN ";
    duet_token_key key = {.alg = DUET_TOKEN_HS256, .secret_len = len, .can_sign = true};
    const char *ignored;

    /* Whoever knows a public key could sign with it. */
    if (len == 0 || (len >= sizeof(pem) - 1 && memcmp(secret, pem, sizeof(pem) - 1) == 0))
        return DUET_ERR_INVALID;
    key.secret = duet_memdup(&keys->env, secret, len);
    return key.secret ? append(keys, kid, &key, &ignored) : DUET_ERR_NOMEM;
}

static bool is_p256(const EVP_PKEY *pkey)
{
    char group[32];

    return EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) == 1 && strcmp(group, "prime256v1") == 0;
}

static duet_token_alg alg_of(const EVP_PKEY *pkey, const char **reason)
{
    *reason = "only RSA, P-256 and Ed25519 keys are for tokens";
    if (EVP_PKEY_is_a(pkey, "ED25519"))
        return DUET_TOKEN_EDDSA;
    if (EVP_PKEY_is_a(pkey, "EC") && is_p256(pkey))
        return DUET_TOKEN_ES256;
    if (!EVP_PKEY_is_a(pkey, "RSA"))
        return DUET_TOKEN_ALG_UNKNOWN;
    if (EVP_PKEY_get_bits(pkey) >= RSA_BITS_MIN && EVP_PKEY_get_bits(pkey) <= RSA_BITS_MAX)
        return DUET_TOKEN_RS256;
    *reason = "an RSA key needs 2048 to 8192 bits";
    return DUET_TOKEN_ALG_UNKNOWN;
}

int duet_token_keys_add(duet_token_keys *keys, const char *kid, EVP_PKEY *pkey, bool can_sign, const char **reason)
{
    duet_token_key key = {.alg = alg_of(pkey, reason), .pkey = pkey, .can_sign = can_sign};

    if (key.alg == DUET_TOKEN_ALG_UNKNOWN) {
        EVP_PKEY_free(pkey);
        return DUET_ERR_UNSUPPORTED;
    }
    return append(keys, kid, &key, reason);
}

/* Keys that ask for a password are refused; OpenSSL would ask the terminal. */
static int no_password(char *buf, int size, int writing, void *user)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

static EVP_PKEY *read_pem(const char *pem, size_t len, bool private)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    EVP_PKEY *pkey = NULL;

    if (bio && private)
        pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    else if (bio)
        pkey = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return pkey;
}

int duet_token_keys_add_pem(duet_token_keys *keys, const char *kid, const char *pem, size_t len, const char **reason)
{
    const char *ignored;

    reason = reason ? reason : &ignored;
    *reason = "this is no PEM of a public key, or of a private key without a password";
    if (len > PEM_MAX)
        return DUET_ERR_MALFORMED;
    EVP_PKEY *pkey = read_pem(pem, len, true);
    bool private = pkey != NULL;
    if (!pkey)
        pkey = read_pem(pem, len, false);
    return pkey ? duet_token_keys_add(keys, kid, pkey, private, reason) : DUET_ERR_MALFORMED;
}

/* ---- signatures ---- */

/* Ed25519 has its hash built in. */
static const EVP_MD *digest_of(const duet_token_key *key)
{
    return key->alg == DUET_TOKEN_EDDSA ? NULL : EVP_sha256();
}

static int sign_hmac(duet_buffer *signature, const duet_token_key *key, duet_bytes data)
{
    uint8_t mac[DUET_SHA256_LEN];
    duet_iov part = {data.data, data.len};

    int err = duet_hmac_sha256(mac, key->secret, key->secret_len, &part, 1);
    if (err == DUET_OK)
        duet_buffer_append(signature, mac, sizeof(mac));
    return err;
}

/* OpenSSL makes the ASN.1 form. */
static int append_es256(duet_buffer *signature, const uint8_t *der, size_t len)
{
    const unsigned char *at = der;
    uint8_t raw[ES256_LEN];
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);

    bool ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, ES256_HALF) == ES256_HALF &&
              BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + ES256_HALF, ES256_HALF) == ES256_HALF;
    ECDSA_SIG_free(sig);
    if (ok)
        duet_buffer_append(signature, raw, sizeof(raw));
    return ok ? DUET_OK : DUET_ERR_CRYPTO;
}

static int sign_pkey(duet_buffer *signature, const duet_token_key *key, duet_bytes data)
{
    uint8_t made[RSA_BITS_MAX / 8];
    size_t len = sizeof(made);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (!ctx)
        return DUET_ERR_NOMEM;
    bool ok = EVP_DigestSignInit(ctx, NULL, digest_of(key), NULL, key->pkey) == 1 &&
              EVP_DigestSign(ctx, made, &len, data.data, data.len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    if (!ok)
        return DUET_ERR_CRYPTO;
    if (key->alg == DUET_TOKEN_ES256)
        return append_es256(signature, made, len);
    duet_buffer_append(signature, made, len);
    return DUET_OK;
}

int duet_token_key_sign(duet_buffer *signature, const duet_token_key *key, duet_bytes data)
{
    int err = key->alg == DUET_TOKEN_HS256 ? sign_hmac(signature, key, data) : sign_pkey(signature, key, data);

    return err == DUET_OK && signature->failed ? DUET_ERR_NOMEM : err;
}

static int verify_hmac(const duet_token_key *key, duet_bytes data, duet_bytes signature)
{
    uint8_t mac[DUET_SHA256_LEN];
    duet_iov part = {data.data, data.len};

    int err = duet_hmac_sha256(mac, key->secret, key->secret_len, &part, 1);
    if (err != DUET_OK)
        return err;
    bool same = signature.len == sizeof(mac) && duet_equal_constant_time(signature.data, mac, sizeof(mac));
    return same ? DUET_OK : DUET_ERR_AUTH;
}

/* @return the length of the ASN.1 form, OPENSSL_free() it; or 0 */
static int es256_der(unsigned char **der, duet_bytes raw)
{
    duet_reader r = duet_reader_init(raw.data, raw.len);
    duet_bytes half[2] = {duet_read_bytes(&r, ES256_HALF), duet_read_bytes(&r, ES256_HALF)};
    ECDSA_SIG *sig = ECDSA_SIG_new();
    int len = 0;

    *der = NULL;
    if (sig && duet_reader_finish(&r) == DUET_OK) {
        BIGNUM *first = BN_bin2bn(half[0].data, ES256_HALF, NULL);
        BIGNUM *second = BN_bin2bn(half[1].data, ES256_HALF, NULL);
        if (first && second && ECDSA_SIG_set0(sig, first, second) == 1) {
            len = i2d_ECDSA_SIG(sig, der);
        } else {
            BN_free(first);
            BN_free(second);
        }
    }
    ECDSA_SIG_free(sig);
    return len > 0 ? len : 0;
}

static int verify_pkey(const duet_token_key *key, duet_bytes data, duet_bytes signature)
{
    unsigned char *der = NULL;
    duet_bytes given = signature;

    if (key->alg == DUET_TOKEN_ES256)
        given.len = (size_t)es256_der(&der, signature);
    given.data = der ? der : given.data;
    EVP_MD_CTX *ctx = given.len ? EVP_MD_CTX_new() : NULL;
    bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, digest_of(key), NULL, key->pkey) == 1 &&
              EVP_DigestVerify(ctx, given.data, given.len, data.data, data.len) == 1;
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    ERR_clear_error();
    return ok ? DUET_OK : DUET_ERR_AUTH;
}

int duet_token_key_verify(const duet_token_key *key, duet_bytes data, duet_bytes signature)
{
    return key->alg == DUET_TOKEN_HS256 ? verify_hmac(key, data, signature) : verify_pkey(key, data, signature);
}
