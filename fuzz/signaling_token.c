/* Tokens and key sets. The first byte says what the rest is: a token as it is; a header and a payload (separated by a
 * newline) that are signed well, so that everything behind the signature is reached; or a JWK Set. */
#include "fuzz.h"
#include "signaling/encode.h"
#include "signaling/token_keys.h"
#include <string.h>

#define NOW 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char set[] = "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
                          "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1"
                          "Z9CAow\"},{\"kty\":\"oct\",\"kid\":\"s\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_"
                          "T-1qS0gZH75aKtMN3Yj0iPS4h"
                          "cgUuTwjAzZr1Z9CAow\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
                          "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
                          "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
                          "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static duet_token_keys *keys_of(const char *json, size_t len)
{
    duet_token_keys *keys;

    require(duet_token_keys_create(&keys, NULL) == DUET_OK);
    size_t before = duet_token_keys_count(keys);
    if (duet_token_keys_add_jwks(keys, json, len, NULL) != DUET_OK)
        require(duet_token_keys_count(keys) == before);
    require(duet_token_keys_count(keys) <= DUET_TOKEN_KEYS_MAX);
    return keys;
}

/* What is accepted keeps the rules, and can be signed and accepted again. */
static void check(const duet_token_keys *keys, const char *token, size_t len)
{
    duet_token_policy policy = DUET_TOKEN_POLICY_INIT;
    duet_token_claims claims, again;
    const char *reason = NULL;
    char *text;

    int err = duet_token_check(&claims, keys, &policy, token, len, NOW, &reason);
    require(reason != NULL);
    if (err != DUET_OK) {
        require(!claims.subject[0] && claims.permissions == 0);
        return;
    }
    require(claims.subject[0] && claims.expires_at + policy.skew_seconds >= NOW);
    if (duet_token_sign_with(&text, NULL, &claims, keys, NULL) != DUET_OK)
        return; /* exp 0 */
    require(strlen(text) > DUET_TOKEN_TEXT_MAX ||
            duet_token_check(&again, keys, &policy, text, strlen(text), NOW, NULL) == DUET_OK);
    duet_free(NULL, text);
}

static void check_signed(const duet_token_keys *keys, const char *text, size_t len)
{
    const char *newline = memchr(text, '\n', len);
    size_t header = newline ? (size_t)(newline - text) : 0;
    duet_buffer token, signature;

    duet_buffer_init(&token, NULL);
    duet_buffer_init(&signature, NULL);
    duet_base64url_encode(&token, text, header);
    duet_buffer_text(&token, ".");
    if (newline)
        duet_base64url_encode(&token, newline + 1, len - header - 1);
    require(duet_token_key_sign(&signature, duet_array_at(&keys->keys, 0), (duet_bytes){token.data, token.len}) ==
            DUET_OK);
    duet_buffer_text(&token, ".");
    duet_base64url_encode(&token, signature.data, signature.len);
    check(keys, (const char *)token.data, token.len);
    duet_buffer_free(&token);
    duet_buffer_free(&signature);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    duet_token_keys *keys = data[0] == 'k' ? keys_of(text, size - 1) : keys_of(set, sizeof(set) - 1);
    if (data[0] == 's')
        check_signed(keys, text, size - 1);
    else if (data[0] != 'k')
        check(keys, text, size - 1);
    duet_token_keys_destroy(keys);
    return 0;
}
