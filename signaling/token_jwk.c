/* JSON Web Key sets (RFC 7517): secrets ("oct"), RSA, P-256 and Ed25519 keys (RFC 7518 section 6, RFC 8037 section 2). Private
 * members are not read. */
#include "base/crypto.h"
#include "signaling/encode.h"
#include "signaling/json.h"
#include "signaling/token_keys.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

/* "A key of the same size as the hash output … or larger MUST be used", RFC 7518 section 3.2. */
#define OCT_LEN_MIN DUET_SHA256_LEN
/* A coordinate of P-256 has its full length (RFC 7518 section 6.2.1.2); a public key of Ed25519 is as long. */
#define POINT_LEN 32

/* A member in base64url. @return DUET_OK; DUET_ERR_MALFORMED (absent, too); DUET_ERR_NOMEM. Free `out` in any case. */
static int read_octets(duet_buffer *out, const duet_env *env, const json_t *jwk, const char *name)
{
    const char *text = duet_json_text(jwk, name);

    duet_buffer_init(out, env);
    return text ? duet_base64url_decode(out, text, strlen(text)) : DUET_ERR_MALFORMED;
}

static EVP_PKEY *pkey_of(const char *type, OSSL_PARAM *params)
{
    EVP_PKEY_CTX *ctx = params ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
    EVP_PKEY *pkey = NULL;

    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1)
        (void)EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return pkey;
}

static EVP_PKEY *rsa_pkey(const duet_buffer *n, const duet_buffer *e)
{
    BIGNUM *modulus = BN_bin2bn(n->data, (int)n->len, NULL);
    BIGNUM *exponent = BN_bin2bn(e->data, (int)e->len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;

    if (modulus && exponent && build && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY *pkey = pkey_of("RSA", params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(exponent);
    BN_free(modulus);
    return pkey;
}

static EVP_PKEY *p256_pkey(const duet_buffer *x, const duet_buffer *y)
{
    uint8_t point[1 + 2 * POINT_LEN];
    duet_writer w = duet_writer_init(point, sizeof(point));
    char group[] = "prime256v1";

    if (x->len != POINT_LEN || y->len != POINT_LEN)
        return NULL;
    duet_write_u8(&w, POINT_CONVERSION_UNCOMPRESSED);
    duet_write_bytes(&w, x->data, x->len);
    duet_write_bytes(&w, y->data, y->len);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
        OSSL_PARAM_construct_end(),
    };
    return pkey_of("EC", params);
}

static EVP_PKEY *ed25519_pkey(const duet_buffer *x)
{
    EVP_PKEY *pkey = x->len == POINT_LEN ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x->data, x->len) : NULL;

    ERR_clear_error();
    return pkey;
}

static bool says(const json_t *jwk, const char *name, const char *value)
{
    const char *text = duet_json_text(jwk, name);

    return text && strcmp(text, value) == 0;
}

/* A key of two numbers: RSA's n and e, the coordinates of P-256. */
static int add_pair(duet_token_keys *keys, const json_t *jwk, const char *first, const char *second,
                    EVP_PKEY *(*make)(const duet_buffer *, const duet_buffer *))
{
    const char *ignored;
    duet_buffer a, b;
    EVP_PKEY *pkey = NULL;

    int err = read_octets(&a, &keys->env, jwk, first);
    int second_err = read_octets(&b, &keys->env, jwk, second);
    err = err != DUET_OK ? err : second_err;
    if (err == DUET_OK)
        pkey = make(&a, &b);
    duet_buffer_free(&a);
    duet_buffer_free(&b);
    if (err != DUET_OK)
        return err;
    return pkey ? duet_token_keys_add(keys, duet_json_text(jwk, "kid"), pkey, false, &ignored) : DUET_ERR_MALFORMED;
}

static int add_okp(duet_token_keys *keys, const json_t *jwk)
{
    const char *ignored;
    duet_buffer x;

    int err = read_octets(&x, &keys->env, jwk, "x");
    EVP_PKEY *pkey = err == DUET_OK ? ed25519_pkey(&x) : NULL;
    duet_buffer_free(&x);
    if (err != DUET_OK)
        return err;
    return pkey ? duet_token_keys_add(keys, duet_json_text(jwk, "kid"), pkey, false, &ignored) : DUET_ERR_MALFORMED;
}

static int add_oct(duet_token_keys *keys, const json_t *jwk)
{
    duet_buffer k;

    int err = read_octets(&k, &keys->env, jwk, "k");
    if (err == DUET_OK && k.len < OCT_LEN_MIN)
        err = DUET_ERR_UNSUPPORTED;
    if (err == DUET_OK)
        err = duet_token_keys_add_secret(keys, duet_json_text(jwk, "kid"), k.data, k.len);
    if (k.data)
        duet_wipe(k.data, k.len);
    duet_buffer_free(&k);
    return err;
}

/* RFC 7517 section 4.3: an array with "verify", where there is one. */
static bool may_verify(const json_t *key_ops)
{
    size_t i;
    const json_t *item;

    json_array_foreach(key_ops, i, item)
    {
        const char *name = json_string_value(item);
        if (name && strcmp(name, "verify") == 0)
            return true;
    }
    return !key_ops;
}

/* RFC 7517 sections 4.2, 4.4 and 4.5: where it says what it is for, it must be for this. */
static bool is_meant(const json_t *jwk, duet_token_alg alg)
{
    const json_t *kid = json_object_get(jwk, "kid");

    return (!json_object_get(jwk, "use") || says(jwk, "use", "sig")) &&
           (!json_object_get(jwk, "alg") || says(jwk, "alg", duet_token_alg_name(alg))) &&
           may_verify(json_object_get(jwk, "key_ops")) && (!kid || json_is_string(kid));
}

static int add_jwk(duet_token_keys *keys, const json_t *jwk)
{
    if (says(jwk, "kty", "oct") && is_meant(jwk, DUET_TOKEN_HS256))
        return add_oct(keys, jwk);
    if (says(jwk, "kty", "RSA") && is_meant(jwk, DUET_TOKEN_RS256))
        return add_pair(keys, jwk, "n", "e", rsa_pkey);
    if (says(jwk, "kty", "EC") && says(jwk, "crv", "P-256") && is_meant(jwk, DUET_TOKEN_ES256))
        return add_pair(keys, jwk, "x", "y", p256_pkey);
    if (says(jwk, "kty", "OKP") && says(jwk, "crv", "Ed25519") && is_meant(jwk, DUET_TOKEN_EDDSA))
        return add_okp(keys, jwk);
    return DUET_ERR_UNSUPPORTED;
}

static int add_all(duet_token_keys *keys, const json_t *list, const char **reason)
{
    size_t before = duet_token_keys_count(keys), i;
    const json_t *jwk;

    *reason = "the member \"keys\" is not an array";
    if (!json_is_array(list))
        return DUET_ERR_MALFORMED;
    json_array_foreach(list, i, jwk)
    {
        int err = add_jwk(keys, jwk);
        if (err == DUET_ERR_NOMEM || err == DUET_ERR_LIMIT) {
            *reason = err == DUET_ERR_LIMIT ? "there are too many keys" : "out of memory";
            duet_token_keys_truncate(keys, before);
            return err;
        }
    }
    *reason = "none of the keys is good for signatures of tokens";
    bool some = duet_token_keys_count(keys) > before || json_array_size(list) == 0;
    return some ? DUET_OK : DUET_ERR_UNSUPPORTED;
}

int duet_token_keys_add_jwks(duet_token_keys *keys, const char *json, size_t len, const char **reason)
{
    const char *ignored;
    json_t *set;

    reason = reason ? reason : &ignored;
    int err = duet_json_parse_object(&set, json, len, reason);
    if (err != DUET_OK)
        return err;
    err = add_all(keys, json_object_get(set, "keys"), reason);
    json_decref(set);
    return err;
}
