/* Hashes through OpenSSL's EVP interface. */
#include "base/crypto.h"
#include "base/memory.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

static int digest(const EVP_MD *md, uint8_t *out, const duet_iov *parts, size_t count)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (!ctx)
        return DUET_ERR_NOMEM;
    int ok = EVP_DigestInit_ex(ctx, md, NULL);
    for (size_t i = 0; ok && i < count; i++)
        ok = EVP_DigestUpdate(ctx, parts[i].data, parts[i].len);
    ok = ok && EVP_DigestFinal_ex(ctx, out, NULL);
    EVP_MD_CTX_free(ctx);
    return ok ? DUET_OK : DUET_ERR_CRYPTO;
}

int duet_md5(uint8_t out[DUET_MD5_LEN], const duet_iov *parts, size_t count)
{
    return digest(EVP_md5(), out, parts, count);
}

int duet_sha1(uint8_t out[DUET_SHA1_LEN], const duet_iov *parts, size_t count)
{
    return digest(EVP_sha1(), out, parts, count);
}

int duet_sha256(uint8_t out[DUET_SHA256_LEN], const duet_iov *parts, size_t count)
{
    return digest(EVP_sha256(), out, parts, count);
}

#define HMAC_BLOCK 64

/* RFC 2104, over the plain digest: EVP_MAC costs more for its set-up than for the message. */
static int hmac(const EVP_MD *md, size_t md_len, uint8_t *out, const void *key, size_t key_len, const duet_iov *parts,
                size_t count)
{
    uint8_t block[HMAC_BLOCK] = {0};
    uint8_t inner[EVP_MAX_MD_SIZE];
    duet_iov short_key = {key, key_len};
    int err = DUET_OK;

    if (key_len > HMAC_BLOCK)
        err = digest(md, block, &short_key, 1);
    else if (key_len)
        memcpy(block, key, key_len);
    EVP_MD_CTX *ctx = err == DUET_OK ? EVP_MD_CTX_new() : NULL;
    if (!ctx)
        return err == DUET_OK ? DUET_ERR_NOMEM : err;
    for (size_t i = 0; i < HMAC_BLOCK; i++)
        block[i] ^= 0x36;
    int ok = EVP_DigestInit_ex(ctx, md, NULL) && EVP_DigestUpdate(ctx, block, HMAC_BLOCK);
    for (size_t i = 0; ok && i < count; i++)
        ok = EVP_DigestUpdate(ctx, parts[i].data, parts[i].len);
    ok = ok && EVP_DigestFinal_ex(ctx, inner, NULL);
    for (size_t i = 0; i < HMAC_BLOCK; i++)
        block[i] ^= 0x36 ^ 0x5c;
    ok = ok && EVP_DigestInit_ex(ctx, md, NULL) && EVP_DigestUpdate(ctx, block, HMAC_BLOCK) &&
         EVP_DigestUpdate(ctx, inner, md_len) && EVP_DigestFinal_ex(ctx, out, NULL);
    EVP_MD_CTX_free(ctx);
    duet_wipe(block, sizeof(block));
    return ok ? DUET_OK : DUET_ERR_CRYPTO;
}

int duet_hmac_sha1(uint8_t out[DUET_SHA1_LEN], const void *key, size_t key_len, const duet_iov *parts, size_t count)
{
    return hmac(EVP_sha1(), DUET_SHA1_LEN, out, key, key_len, parts, count);
}

int duet_hmac_sha256(uint8_t out[DUET_SHA256_LEN], const void *key, size_t key_len, const duet_iov *parts, size_t count)
{
    return hmac(EVP_sha256(), DUET_SHA256_LEN, out, key, key_len, parts, count);
}

bool duet_equal_constant_time(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void duet_wipe(void *data, size_t len)
{
    OPENSSL_cleanse(data, len);
}

int duet_random_ice_chars(const duet_env *env, char *out, size_t count)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    int err = duet_random(env, out, count);
    if (err != DUET_OK)
        return err;
    for (size_t i = 0; i < count; i++)
        out[i] = alphabet[(uint8_t)out[i] & 63];
    out[count] = 0;
    return DUET_OK;
}
