/* Access tokens: JSON Web Tokens (RFC 7519) in JWS compact form (RFC 7515 section 7.1). The signature is checked before
 * anything of the claims is read. */
#include "base/text.h"
#include "duet/signaling.h"
#include "signaling/encode.h"
#include "signaling/json.h"
#include "signaling/token_claims.h"
#include "signaling/token_keys.h"
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
    return json_pack("{s:s,s:I,s:o*,s:o,s:s*,s:s*,s:s*,s:s*}", "sub", claims->subject, "exp",
                     (json_int_t)claims->expires_at, "nbf",
                     claims->not_before ? json_integer(claims->not_before) : NULL, "perm", perm, "room",
                     claims->room[0] ? claims->room : NULL, "role", claims->role[0] ? claims->role : NULL, "aud",
                     claims->audience[0] ? claims->audience : NULL, "iss", claims->issuer[0] ? claims->issuer : NULL);
}

/* Takes `json` over. */
static int append_json(duet_buffer *token, json_t *json)
{
    duet_buffer text;

    duet_buffer_init(&text, token->env);
    int err = duet_json_write(&text, json);
    json_decref(json);
    if (err == DUET_OK)
        duet_base64url_encode(token, text.data, text.len);
    duet_buffer_free(&text);
    return err == DUET_OK && token->failed ? DUET_ERR_NOMEM : err;
}

static int append_signature(duet_buffer *token, const duet_token_key *key)
{
    duet_buffer signature;

    duet_buffer_init(&signature, token->env);
    int err = duet_token_key_sign(&signature, key, (duet_bytes){token->data, token->len});
    if (err == DUET_OK) {
        duet_buffer_text(token, ".");
        duet_base64url_encode(token, signature.data, signature.len);
    }
    duet_buffer_free(&signature);
    return err == DUET_OK && token->failed ? DUET_ERR_NOMEM : err;
}

static const duet_token_key *signing_key(const duet_token_keys *keys, const char *kid)
{
    for (size_t i = 0; i < keys->keys.count; i++) {
        const duet_token_key *key = duet_array_at(&keys->keys, i);
        if (key->can_sign && (!kid || (key->kid && strcmp(key->kid, kid) == 0)))
            return key;
    }
    return NULL;
}

int duet_token_sign_with(char **out, const duet_env *env, const duet_token_claims *claims, const duet_token_keys *keys,
                         const char *kid)
{
    const duet_token_key *key = signing_key(keys, kid);
    duet_buffer token;

    *out = NULL;
    if (!claims->subject[0] || claims->expires_at <= 0)
        return DUET_ERR_INVALID;
    if (!key)
        return DUET_ERR_NOT_FOUND;
    duet_buffer_init(&token, env);
    int err = append_json(
        &token, json_pack("{s:s,s:s,s:s*}", "alg", duet_token_alg_name(key->alg), "typ", "JWT", "kid", key->kid));
    duet_buffer_text(&token, ".");
    if (err == DUET_OK)
        err = append_json(&token, claims_json(claims));
    if (err == DUET_OK)
        err = append_signature(&token, key);
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

typedef struct token_header {
    duet_token_alg alg;
    const char *kid; /* NULL: it names no key */
} token_header;

/* What else a header may have (typ, jku, jwk, x5u, …) is not looked at. */
static int read_header(token_header *out, const json_t *header, const char **reason)
{
    const json_t *kid = json_object_get(header, "kid");

    *out = (token_header){duet_token_alg_parse(duet_json_text(header, "alg")), json_string_value(kid)};
    if (out->alg == DUET_TOKEN_ALG_UNKNOWN) {
        *reason = "the token is not signed with an algorithm that is accepted here";
        return DUET_ERR_UNSUPPORTED;
    }
    if (json_object_get(header, "crit")) {
        *reason = "the token has critical extensions"; /* RFC 7515 section 4.1.11: "MUST … reject" */
        return DUET_ERR_UNSUPPORTED;
    }
    if (kid && !out->kid) {
        *reason = "kid of the token is not a text";
        return DUET_ERR_MALFORMED;
    }
    return DUET_OK;
}

static bool is_chosen(const duet_token_key *key, const token_header *header)
{
    return key->alg == header->alg && (!header->kid || (key->kid && strcmp(key->kid, header->kid) == 0));
}

/* Tries every key that the header chooses; DUET_TOKEN_KEYS_MAX is the bound. */
static int try_keys(const duet_token_keys *keys, const token_header *header, duet_bytes data, duet_bytes signature,
                    const char **reason)
{
    int err = DUET_ERR_NOT_FOUND;

    for (size_t i = 0; i < keys->keys.count; i++) {
        const duet_token_key *key = duet_array_at(&keys->keys, i);
        if (!is_chosen(key, header))
            continue;
        err = duet_token_key_verify(key, data, signature);
        if (err != DUET_ERR_AUTH)
            return err;
    }
    *reason = err == DUET_ERR_AUTH ? "the signature of the token does not match" : "there is no key for the token";
    return err;
}

static int check_signature(const duet_token_keys *keys, const token_parts *parts, const token_header *header,
                           const char **reason)
{
    duet_buffer given;

    duet_buffer_init(&given, &keys->env);
    *reason = "the signature of the token is not base64url";
    int err = duet_base64url_decode(&given, (const char *)parts->signature.data, parts->signature.len);
    if (err == DUET_OK)
        err = try_keys(keys, header, parts->signed_part, (duet_bytes){given.data, given.len}, reason);
    duet_buffer_free(&given);
    return err;
}

/* The header decides only which of our keys are tried. */
static int authenticate(const duet_token_keys *keys, const token_parts *parts, const char **reason)
{
    token_header header;
    json_t *json;

    *reason = "the header of the token is not base64url of JSON";
    int err = decode_json(&json, &keys->env, parts->header);
    if (err != DUET_OK)
        return err;
    err = read_header(&header, json, reason);
    if (err == DUET_OK)
        err = check_signature(keys, parts, &header, reason);
    json_decref(json);
    return err;
}

/* ---- claims ---- */

/* A NumericDate is any JSON number (RFC 7519 section 2). @return false when it is not one, or not within reason */
static bool numeric_date(const json_t *value, double *out)
{
    *out = json_number_value(value);
    return json_is_number(value) && *out >= 0 && *out < 1e15;
}

static int check_times(duet_token_claims *out, const json_t *claims, const duet_token_policy *policy,
                       int64_t wall_seconds, const char **reason)
{
    const json_t *nbf = json_object_get(claims, "nbf");
    double now = (double)wall_seconds, skew = (double)policy->skew_seconds, expires, begins = 0;

    if (!numeric_date(json_object_get(claims, "exp"), &expires)) {
        *reason = "the token has no expiry (exp)";
        return DUET_ERR_MALFORMED;
    }
    if (nbf && !numeric_date(nbf, &begins)) {
        *reason = "nbf of the token is not a date";
        return DUET_ERR_MALFORMED;
    }
    if (now >= expires + skew) {
        *reason = "the token has expired";
        return DUET_ERR_AUTH;
    }
    if (now < begins - skew) {
        *reason = "the token is not valid yet";
        return DUET_ERR_AUTH;
    }
    out->expires_at = (int64_t)expires;
    out->not_before = (int64_t)begins;
    return DUET_OK;
}

bool duet_token_copy_text(char *out, size_t size, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    out[0] = 0;
    if (!value)
        return true;
    const char *text = json_string_value(value);
    if (!text || strlen(text) >= size)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

bool duet_token_read_permissions(unsigned *out, const json_t *list)
{
    size_t i;
    const json_t *item;

    *out = 0;
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        for (size_t n = 0; name && n < PERMISSION_COUNT; n++) {
            if (strcmp(name, permissions[n].name) == 0)
                *out |= permissions[n].bit;
        }
    }
    return json_is_array(list);
}

/* RFC 7519 section 4.1.3: a text, or an array of them. @return false when it is neither, or has not the wanted one */
static bool read_audience(duet_token_claims *out, const json_t *aud, const char *wanted)
{
    const char *chosen = wanted ? NULL : "";
    size_t count = json_is_array(aud) ? json_array_size(aud) : aud ? 1 : 0;

    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_is_array(aud) ? json_array_get(aud, i) : aud);
        if (!text)
            return false;
        bool is_it = wanted ? strcmp(text, wanted) == 0 : i == 0;
        chosen = is_it ? text : chosen;
    }
    if (chosen && strlen(chosen) < sizeof(out->audience))
        memcpy(out->audience, chosen, strlen(chosen) + 1);
    return chosen != NULL;
}

static bool read_issuer(duet_token_claims *out, const json_t *iss, const char *wanted)
{
    const char *text = json_string_value(iss);

    if (text && strlen(text) < sizeof(out->issuer))
        memcpy(out->issuer, text, strlen(text) + 1);
    return wanted ? text && strcmp(text, wanted) == 0 : !iss || text;
}

static int check_origin(duet_token_claims *out, const json_t *claims, const duet_token_policy *policy,
                        const char **reason)
{
    if (!read_audience(out, json_object_get(claims, "aud"), policy->audience)) {
        *reason = "the token is for another audience (aud)";
        return DUET_ERR_AUTH;
    }
    if (!read_issuer(out, json_object_get(claims, "iss"), policy->issuer)) {
        *reason = "the token is of another issuer (iss)";
        return DUET_ERR_AUTH;
    }
    return DUET_OK;
}

static int read_claims(duet_token_claims *out, const json_t *claims, const duet_token_policy *policy,
                       int64_t wall_seconds, const char **reason)
{
    int err = check_times(out, claims, policy, wall_seconds, reason);

    if (err == DUET_OK)
        err = check_origin(out, claims, policy, reason);
    if (err != DUET_OK)
        return err;
    *reason = "a claim of the token is missing or has a wrong form";
    if (!duet_token_copy_text(out->subject, sizeof(out->subject), claims, "sub") || !out->subject[0] ||
        !duet_token_copy_text(out->room, sizeof(out->room), claims, "room") ||
        !duet_token_copy_text(out->role, sizeof(out->role), claims, "role"))
        return DUET_ERR_MALFORMED;
    const json_t *perm = json_object_get(claims, "perm");
    out->permissions = DUET_TOKEN_JOIN;
    return !perm || duet_token_read_permissions(&out->permissions, perm) ? DUET_OK : DUET_ERR_MALFORMED;
}

int duet_token_check(duet_token_claims *out, const duet_token_keys *keys, const duet_token_policy *policy,
                     const char *token, size_t len, int64_t wall_seconds, const char **reason)
{
    static const duet_token_policy usual = DUET_TOKEN_POLICY_INIT;
    const char *ignored;
    token_parts parts;
    json_t *claims = NULL;

    reason = reason ? reason : &ignored;
    *reason = "the token has not three parts with dots between them";
    *out = (duet_token_claims){.expires_at = 0};
    if (len > DUET_TOKEN_TEXT_MAX || !split(&parts, token, len))
        return DUET_ERR_MALFORMED;
    int err = authenticate(keys, &parts, reason);
    if (err == DUET_OK) {
        *reason = "the claims of the token are not base64url of JSON";
        err = decode_json(&claims, &keys->env, parts.payload);
    }
    if (err == DUET_OK)
        err = read_claims(out, claims, policy ? policy : &usual, wall_seconds, reason);
    json_decref(claims);
    if (err != DUET_OK)
        *out = (duet_token_claims){.expires_at = 0};
    return err;
}

/* ---- one shared secret ---- */

static int secret_keys(duet_token_keys **out, const duet_env *env, const void *key, size_t key_len)
{
    int err = duet_token_keys_create(out, env);

    if (err == DUET_OK)
        err = duet_token_keys_add_secret(*out, NULL, key, key_len);
    if (err != DUET_OK) {
        duet_token_keys_destroy(*out);
        *out = NULL;
    }
    return err;
}

int duet_token_sign(char **out, const duet_env *env, const duet_token_claims *claims, const void *key, size_t key_len)
{
    duet_token_keys *keys;

    *out = NULL;
    int err = secret_keys(&keys, env, key, key_len);
    if (err == DUET_OK)
        err = duet_token_sign_with(out, env, claims, keys, NULL);
    duet_token_keys_destroy(keys);
    return err;
}

int duet_token_verify(duet_token_claims *out, const duet_env *env, const char *token, size_t len, const void *key,
                      size_t key_len, int64_t wall_seconds, const char **reason)
{
    duet_token_policy policy = DUET_TOKEN_POLICY_INIT;
    duet_token_keys *keys;

    policy.skew_seconds = 0;
    *out = (duet_token_claims){.expires_at = 0};
    if (reason)
        *reason = "there is no secret to check with";
    int err = secret_keys(&keys, env, key, key_len);
    if (err == DUET_OK)
        err = duet_token_check(out, keys, &policy, token, len, wall_seconds, reason);
    duet_token_keys_destroy(keys);
    return err == DUET_ERR_NOT_FOUND ? DUET_ERR_UNSUPPORTED : err;
}
