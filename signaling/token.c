/* Access tokens: JSON Web Tokens (RFC 7519) in JWS compact form (RFC 7515 section 7.1), signed with HMAC SHA-256
 * ("HS256", RFC 7518 section 3.2). The signature is checked before anything of the claims is read. */
#include "base/crypto.h"
#include "base/text.h"
#include "duet/signaling.h"
#include "signaling/encode.h"
#include "signaling/json.h"
#include <string.h>

static const struct permission {
    const char *name;
    unsigned bit;
} permissions[] = {{"create", DUET_TOKEN_CREATE}, {"join", DUET_TOKEN_JOIN}, {"moderate", DUET_TOKEN_MODERATE}};

#define PERMISSION_COUNT (sizeof(permissions) / sizeof(permissions[0]))

/* ---- signing ---- */

static json_t *claims_json(const duet_token_claims *claims)
{
    json_t *perm = json_array();

    for (size_t i = 0; i < PERMISSION_COUNT; i++) {
        if (claims->permissions & permissions[i].bit)
            json_array_append_new(perm, json_string(permissions[i].name));
    }
    return json_pack("{s:s,s:I,s:o,s:s*,s:s*}", "sub", claims->subject, "exp", (json_int_t)claims->expires_at, "perm",
                     perm, "room", claims->room[0] ? claims->room : NULL, "role",
                     claims->role[0] ? claims->role : NULL);
}

static int append_signature(duet_buffer *token, const void *key, size_t key_len)
{
    uint8_t mac[DUET_SHA256_LEN];
    duet_iov part = {token->data, token->len};

    if (token->failed)
        return DUET_ERR_NOMEM;
    int err = duet_hmac_sha256(mac, key, key_len, &part, 1);
    if (err != DUET_OK)
        return err;
    duet_buffer_text(token, ".");
    duet_base64url_encode(token, mac, sizeof(mac));
    return token->failed ? DUET_ERR_NOMEM : DUET_OK;
}

int duet_token_sign(char **out, const duet_env *env, const duet_token_claims *claims, const void *key, size_t key_len)
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    duet_buffer text, token;

    *out = NULL;
    if (!claims->subject[0] || claims->expires_at <= 0 || key_len == 0)
        return DUET_ERR_INVALID;
    duet_buffer_init(&text, env);
    duet_buffer_init(&token, env);
    json_t *json = claims_json(claims);
    int err = duet_json_write(&text, json);
    json_decref(json);
    if (err == DUET_OK) {
        duet_base64url_encode(&token, header, sizeof(header) - 1);
        duet_buffer_text(&token, ".");
        duet_base64url_encode(&token, text.data, text.len);
        err = append_signature(&token, key, key_len);
    }
    duet_buffer_free(&text);
    if (err == DUET_OK)
        *out = duet_buffer_steal(&token);
    duet_buffer_free(&token);
    return err;
}

/* ---- verifying ---- */

typedef struct token_parts {
    duet_bytes header, payload, signature;
    duet_bytes signed_part; /* header "." payload */
} token_parts;

static bool is_not_dot(uint8_t c)
{
    return c != '.';
}

static bool split(token_parts *parts, const char *token, size_t len)
{
    duet_reader r = duet_text_reader(token, len);

    parts->header = duet_text_run(&r, is_not_dot);
    if (!duet_text_skip(&r, '.'))
        return false;
    parts->payload = duet_text_run(&r, is_not_dot);
    parts->signed_part = (duet_bytes){(const uint8_t *)token, r.pos};
    if (!duet_text_skip(&r, '.'))
        return false;
    parts->signature = duet_text_run(&r, is_not_dot);
    return duet_text_at_end(&r);
}

static int decode_json(json_t **out, const duet_env *env, duet_bytes part)
{
    duet_buffer text;

    *out = NULL;
    duet_buffer_init(&text, env);
    int err = duet_base64url_decode(&text, (const char *)part.data, part.len);
    if (err == DUET_OK)
        err = duet_json_parse_object(out, (const char *)text.data, text.len, NULL);
    duet_buffer_free(&text);
    return err;
}

/* "alg" decides nothing here but whether this is a token for us: what checks it is fixed (RFC 8725 section 3.1). */
static int check_header(const duet_env *env, duet_bytes part, const char **reason)
{
    json_t *header;
    int err = decode_json(&header, env, part);

    if (err != DUET_OK) {
        *reason = "the header of the token is not base64url of JSON";
        return err;
    }
    const char *alg = json_string_value(json_object_get(header, "alg"));
    if (!alg || strcmp(alg, "HS256") != 0) {
        *reason = "the token is not signed with HS256";
        err = DUET_ERR_UNSUPPORTED;
    } else if (json_object_get(header, "crit")) {
        *reason = "the token has critical extensions"; /* RFC 7515 section 4.1.11: "MUST … reject" */
        err = DUET_ERR_UNSUPPORTED;
    }
    json_decref(header);
    return err;
}

static int check_signature(const duet_env *env, const token_parts *parts, const void *key, size_t key_len,
                           const char **reason)
{
    uint8_t mac[DUET_SHA256_LEN];
    duet_iov signed_part = {parts->signed_part.data, parts->signed_part.len};
    duet_buffer given;

    duet_buffer_init(&given, env);
    int err = duet_base64url_decode(&given, (const char *)parts->signature.data, parts->signature.len);
    if (err == DUET_OK)
        err = duet_hmac_sha256(mac, key, key_len, &signed_part, 1);
    if (err == DUET_OK && (given.len != sizeof(mac) || !duet_equal_constant_time(given.data, mac, sizeof(mac))))
        err = DUET_ERR_AUTH;
    duet_buffer_free(&given);
    *reason = "the signature of the token does not match";
    return err;
}

/* A NumericDate is any JSON number (RFC 7519 section 2). @return false when it is not one, or not within reason */
static bool numeric_date(const json_t *value, double *out)
{
    *out = json_number_value(value);
    return json_is_number(value) && *out >= 0 && *out < 1e15;
}

static int check_times(const json_t *claims, int64_t wall_seconds, duet_token_claims *out, const char **reason)
{
    const json_t *nbf = json_object_get(claims, "nbf");
    double expires, begins = 0;

    if (!numeric_date(json_object_get(claims, "exp"), &expires)) {
        *reason = "the token has no expiry (exp)";
        return DUET_ERR_MALFORMED;
    }
    if (nbf && !numeric_date(nbf, &begins)) {
        *reason = "nbf of the token is not a date";
        return DUET_ERR_MALFORMED;
    }
    if ((double)wall_seconds >= expires) {
        *reason = "the token has expired";
        return DUET_ERR_AUTH;
    }
    if ((double)wall_seconds < begins) {
        *reason = "the token is not valid yet";
        return DUET_ERR_AUTH;
    }
    out->expires_at = (int64_t)expires;
    return DUET_OK;
}

/* @return false when the claim is there and is not a text that fits */
static bool copy_claim(char *out, size_t size, const json_t *claims, const char *name)
{
    const json_t *value = json_object_get(claims, name);

    out[0] = 0;
    if (!value)
        return true;
    const char *text = json_string_value(value);
    if (!text || strlen(text) >= size)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static int read_permissions(const json_t *perm, unsigned *out)
{
    size_t i;
    const json_t *item;

    *out = perm ? 0 : DUET_TOKEN_JOIN;
    if (perm && !json_is_array(perm))
        return DUET_ERR_MALFORMED;
    json_array_foreach(perm, i, item)
    {
        const char *name = json_string_value(item);
        for (size_t n = 0; name && n < PERMISSION_COUNT; n++) {
            if (strcmp(name, permissions[n].name) == 0)
                *out |= permissions[n].bit;
        }
    }
    return DUET_OK;
}

static int read_claims(duet_token_claims *out, const json_t *claims, int64_t wall_seconds, const char **reason)
{
    int err = check_times(claims, wall_seconds, out, reason);

    if (err != DUET_OK)
        return err;
    *reason = "a claim of the token is missing or has a wrong form";
    if (!copy_claim(out->subject, sizeof(out->subject), claims, "sub") || !out->subject[0] ||
        !copy_claim(out->room, sizeof(out->room), claims, "room") ||
        !copy_claim(out->role, sizeof(out->role), claims, "role"))
        return DUET_ERR_MALFORMED;
    return read_permissions(json_object_get(claims, "perm"), &out->permissions);
}

int duet_token_verify(duet_token_claims *out, const duet_env *env, const char *token, size_t len, const void *key,
                      size_t key_len, int64_t wall_seconds, const char **reason)
{
    const char *ignored;
    token_parts parts;
    json_t *claims = NULL;

    reason = reason ? reason : &ignored;
    *reason = "the token has not three parts with dots between them";
    *out = (duet_token_claims){.expires_at = 0};
    if (key_len == 0)
        return DUET_ERR_INVALID;
    if (len > DUET_TOKEN_TEXT_MAX || !split(&parts, token, len))
        return DUET_ERR_MALFORMED;
    int err = check_header(env, parts.header, reason);
    if (err == DUET_OK)
        err = check_signature(env, &parts, key, key_len, reason);
    if (err == DUET_OK)
        err = decode_json(&claims, env, parts.payload);
    if (err == DUET_OK)
        err = read_claims(out, claims, wall_seconds, reason);
    json_decref(claims);
    if (err != DUET_OK)
        *out = (duet_token_claims){.expires_at = 0};
    return err;
}
