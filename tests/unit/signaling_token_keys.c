/* Keys of tokens: each is good for its one algorithm; what claims a policy asks for; and attacks on both. */
#include "base/crypto.h"
#include "signaling/encode.h"
#include "signaling/token_keys.h"
#include "test.h"
#include "token_data.h"

#define NOW INT64_C(1700000000)

static const char secret[] = "0123456789abcdef0123456789abcdef";

static duet_token_keys *no_keys(void)
{
    duet_token_keys *keys;

    assert_int_equal(duet_token_keys_create(&keys, NULL), DUET_OK);
    return keys;
}

static duet_token_keys *with_pem(duet_token_keys *keys, const char *kid, const char *pem)
{
    const char *reason = NULL;

    if (duet_token_keys_add_pem(keys, kid, pem, strlen(pem), &reason) != DUET_OK)
        fail_msg("%s", reason);
    return keys;
}

static duet_token_keys *with_jwks(duet_token_keys *keys, const char *json)
{
    const char *reason = NULL;

    if (duet_token_keys_add_jwks(keys, json, strlen(json), &reason) != DUET_OK)
        fail_msg("%s: %s", json, reason);
    return keys;
}

static int jwks_error(const char *json)
{
    duet_token_keys *keys = no_keys();
    const char *reason = NULL;

    int err = duet_token_keys_add_jwks(keys, json, strlen(json), &reason);
    if (err != DUET_OK)
        assert_non_null(reason);
    assert_int_equal(duet_token_keys_count(keys), 0);
    duet_token_keys_destroy(keys);
    return err;
}

static duet_token_claims alice(void)
{
    duet_token_claims c = {.expires_at = NOW + 60, .permissions = DUET_TOKEN_JOIN};

    strcpy(c.subject, "alice");
    return c;
}

static char *sign(const duet_token_keys *keys, const char *kid, const duet_token_claims *claims)
{
    char *token;

    assert_int_equal(duet_token_sign_with(&token, NULL, claims, keys, kid), DUET_OK);
    return token;
}

static int check(const duet_token_keys *keys, const duet_token_policy *policy, const char *token, int64_t now)
{
    duet_token_claims claims;
    const char *reason = NULL;

    int err = duet_token_check(&claims, keys, policy, token, strlen(token), now, &reason);
    if (err == DUET_OK)
        assert_string_equal(claims.subject, "alice");
    else
        assert_string_equal(claims.subject, "");
    assert_non_null(reason);
    return err;
}

/* header "." payload "." signature with the first key of the set, whatever the header says. */
static char *forge(const duet_token_keys *keys, const char *header, const char *payload)
{
    duet_buffer b, signature;

    duet_buffer_init(&b, NULL);
    duet_buffer_init(&signature, NULL);
    duet_base64url_encode(&b, header, strlen(header));
    duet_buffer_text(&b, ".");
    duet_base64url_encode(&b, payload, strlen(payload));
    assert_int_equal(duet_token_key_sign(&signature, duet_array_at(&keys->keys, 0), (duet_bytes){b.data, b.len}),
                     DUET_OK);
    duet_buffer_text(&b, ".");
    duet_base64url_encode(&b, signature.data, signature.len);
    duet_buffer_free(&signature);
    return duet_buffer_steal(&b);
}

static const char good_payload[] = "{\"sub\":\"alice\",\"exp\":1700000060}";

static void expect_forged(const duet_token_keys *keys, const char *header, const char *payload, int expected)
{
    char *token = forge(keys, header, payload);

    int err = check(keys, NULL, token, NOW);
    if (err != expected)
        fail_msg("%s %s: %s", header, payload, duet_strerror(err));
    duet_free(NULL, token);
}

/* ---- vectors of the RFCs ---- */

/* What the key makes of the RFC's input is the RFC's signature, when that is determined. */
static void expect_vector(const char *private, const char *jwks, const char *input, const char *expected,
                          bool determined)
{
    duet_token_keys *mine = with_pem(no_keys(), NULL, private), *theirs = with_jwks(no_keys(), jwks);
    const duet_token_key *public = duet_array_at(&theirs->keys, 0);
    duet_bytes data = {(const uint8_t *)input, strlen(input)};
    duet_buffer made, text, given;

    duet_buffer_init(&made, NULL);
    duet_buffer_init(&text, NULL);
    duet_buffer_init(&given, NULL);
    assert_int_equal(duet_base64url_decode(&given, expected, strlen(expected)), DUET_OK);
    assert_int_equal(duet_token_key_verify(public, data, (duet_bytes){given.data, given.len}), DUET_OK);
    assert_int_equal(duet_token_key_sign(&made, duet_array_at(&mine->keys, 0), data), DUET_OK);
    assert_int_equal(duet_token_key_verify(public, data, (duet_bytes){made.data, made.len}), DUET_OK);
    duet_base64url_encode(&text, made.data, made.len);
    if (determined)
        assert_string_equal((char *)text.data, expected);
    assert_int_equal(made.len, given.len);
    given.data[given.len / 2] ^= 1;
    assert_int_equal(duet_token_key_verify(public, data, (duet_bytes){given.data, given.len}), DUET_ERR_AUTH);
    assert_int_equal(duet_token_key_verify(public, data, (duet_bytes){given.data, given.len - 1}), DUET_ERR_AUTH);
    assert_int_equal(duet_token_key_verify(public, data, (duet_bytes){given.data, 0}), DUET_ERR_AUTH);
    duet_buffer_free(&made);
    duet_buffer_free(&text);
    duet_buffer_free(&given);
    duet_token_keys_destroy(mine);
    duet_token_keys_destroy(theirs);
}

static const char rsa_jwks[] = "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}]}";
static const char p256_jwks[] =
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y "\"}]}";
static const char ed25519_jwks[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED25519_X "\"}]}";

static void the_examples_of_rfc_7515_and_rfc_8037_are_met(void **state)
{
    (void)state;
    expect_vector(rsa_private, rsa_jwks, A2_INPUT, A2_SIGNATURE, true);
    expect_vector(p256_private, p256_jwks, A3_INPUT, A3_SIGNATURE, false);
    expect_vector(ed25519_private, ed25519_jwks, A4_INPUT, A4_SIGNATURE, true);
}

/* RFC 7515, appendix A.1, with its key as a JWK. They are signed well; they are for nobody. */
static void the_tokens_of_rfc_7515_fail_only_for_want_of_a_subject(void **state)
{
    static const char a1_jwks[] = "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS"
                                  "0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}]}";
    static const char *const tokens[] = {"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." JOE
                                         ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
                                         A2_INPUT "." A2_SIGNATURE, A3_INPUT "." A3_SIGNATURE};
    duet_token_keys *keys = with_jwks(with_jwks(with_jwks(no_keys(), a1_jwks), rsa_jwks), p256_jwks);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(check(keys, NULL, tokens[i], 1300000000), DUET_ERR_MALFORMED);
        assert_int_equal(check(keys, NULL, tokens[i], 1300819380 + 31), DUET_ERR_AUTH);
    }
    duet_token_keys_destroy(keys);
}

/* RFC 7517, appendix A.1: the first key is for encryption. */
static void the_set_of_rfc_7517_has_one_key_for_signatures(void **state)
{
    static const char set[] =
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","
        "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\",\"use\":\"enc\",\"kid\":\"1\"},"
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}]}";
    duet_token_keys *keys = with_jwks(no_keys(), set);
    const duet_token_key *key = duet_array_at(&keys->keys, 0);

    (void)state;
    assert_int_equal(duet_token_keys_count(keys), 1);
    assert_string_equal(key->kid, "2011-04-29");
    assert_int_equal(key->alg, DUET_TOKEN_RS256);
    duet_token_keys_destroy(keys);
}

/* ---- keys ---- */

static void every_kind_of_key_signs_what_its_public_part_accepts(void **state)
{
    static const char *const pairs[][2] = {
        {rsa_private, rsa_public}, {p256_private, p256_public}, {ed25519_private, ed25519_public}};
    duet_token_claims claims = alice();

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        duet_token_keys *mine = with_pem(no_keys(), NULL, pairs[i][0]),
                        *theirs = with_pem(no_keys(), NULL, pairs[i][1]);
        duet_token_keys *others = with_pem(no_keys(), NULL, pairs[(i + 1) % 3][1]);
        char *token = sign(mine, NULL, &claims), *none;
        assert_int_equal(check(theirs, NULL, token, NOW), DUET_OK);
        assert_int_equal(check(others, NULL, token, NOW), DUET_ERR_NOT_FOUND);
        assert_int_equal(duet_token_sign_with(&none, NULL, &claims, theirs, NULL), DUET_ERR_NOT_FOUND);
        duet_free(NULL, token);
        duet_token_keys_destroy(mine);
        duet_token_keys_destroy(theirs);
        duet_token_keys_destroy(others);
    }
}

static void weak_and_foreign_keys_are_refused(void **state)
{
    static const struct {
        const char *pem;
        int err;
    } bad[] = {
        {rsa_1024_public, DUET_ERR_UNSUPPORTED},
        {secp256k1_public, DUET_ERR_UNSUPPORTED},
        {p256_encrypted, DUET_ERR_MALFORMED},
        {"", DUET_ERR_MALFORMED},
        {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", DUET_ERR_MALFORMED},
    };
    duet_token_keys *keys = no_keys();
    const char *reason;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(duet_token_keys_add_pem(keys, NULL, bad[i].pem, strlen(bad[i].pem), &reason), bad[i].err);
    assert_int_equal(duet_token_keys_add_secret(keys, NULL, "", 0), DUET_ERR_INVALID);
    assert_int_equal(duet_token_keys_count(keys), 0);
    duet_token_keys_destroy(keys);
}

static void a_set_has_a_bound(void **state)
{
    duet_token_keys *keys = no_keys();
    const char *reason;

    (void)state;
    for (int i = 0; i < DUET_TOKEN_KEYS_MAX; i++)
        assert_int_equal(duet_token_keys_add_secret(keys, NULL, secret, 32), DUET_OK);
    assert_int_equal(duet_token_keys_add_secret(keys, NULL, secret, 32), DUET_ERR_LIMIT);
    assert_int_equal(duet_token_keys_add_pem(keys, NULL, rsa_public, strlen(rsa_public), &reason), DUET_ERR_LIMIT);
    assert_int_equal(duet_token_keys_add_jwks(keys, p256_jwks, strlen(p256_jwks), &reason), DUET_ERR_LIMIT);
    assert_int_equal(duet_token_keys_count(keys), DUET_TOKEN_KEYS_MAX);
    duet_token_keys_destroy(keys);
}

static void keys_of_a_set_that_are_for_something_else_are_left_out(void **state)
{
#define RSA_KEY "\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\""
    static const char *const useless[] = {
        "{" RSA_KEY ",\"use\":\"enc\"}",
        "{" RSA_KEY ",\"alg\":\"RS512\"}",
        "{" RSA_KEY ",\"alg\":\"HS256\"}",
        "{" RSA_KEY ",\"key_ops\":[\"sign\"]}",
        "{" RSA_KEY ",\"key_ops\":\"verify\"}",
        "{" RSA_KEY ",\"kid\":7}",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_1024_N "\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\"}",
        "{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"\"}",
        "{\"kty\":\"RSA\",\"n\":\"=\",\"e\":\"AQAB\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_Y "\",\"y\":\"" P256_X "\"}", /* not on the curve */
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ED25519_X "\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}",
        "{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}",
        "{\"kty\":\"oct\"}",
        "{\"kty\":\"dance\"}",
        "{}",
        "7",
        "null",
    };
    char text[2048];

    (void)state;
    for (size_t i = 0; i < sizeof(useless) / sizeof(useless[0]); i++) {
        snprintf(text, sizeof(text), "{\"keys\":[%s]}", useless[i]);
        if (jwks_error(text) != DUET_ERR_UNSUPPORTED)
            fail_msg("%s", useless[i]);
        snprintf(text, sizeof(text), "{\"keys\":[%s,{" RSA_KEY ",\"use\":\"sig\",\"alg\":\"RS256\",\"x\":{}}]}",
                 useless[i]);
        duet_token_keys *keys = with_jwks(no_keys(), text);
        assert_int_equal(duet_token_keys_count(keys), 1);
        duet_token_keys_destroy(keys);
    }
}

static void what_is_no_set_of_keys_is_malformed(void **state)
{
    (void)state;
    assert_int_equal(jwks_error(""), DUET_ERR_MALFORMED);
    assert_int_equal(jwks_error("[]"), DUET_ERR_MALFORMED);
    assert_int_equal(jwks_error("{}"), DUET_ERR_MALFORMED);
    assert_int_equal(jwks_error("{\"keys\":{}}"), DUET_ERR_MALFORMED);
    assert_int_equal(jwks_error("{\"keys\":[],\"keys\":[]}"), DUET_ERR_MALFORMED);
    assert_int_equal(jwks_error("{\"keys\":[]}"), DUET_OK);
}

/* ---- which key ---- */

static void a_kid_chooses_the_key_and_without_one_all_are_tried(void **state)
{
    duet_token_keys *one = no_keys(), *two = no_keys(), *anonymous = no_keys(), *both = no_keys();
    duet_token_claims claims = alice();

    (void)state;
    assert_int_equal(duet_token_keys_add_secret(one, "one", "11111111111111111111111111111111", 32), DUET_OK);
    assert_int_equal(duet_token_keys_add_secret(two, "two", "22222222222222222222222222222222", 32), DUET_OK);
    assert_int_equal(duet_token_keys_add_secret(anonymous, NULL, "22222222222222222222222222222222", 32), DUET_OK);
    assert_int_equal(duet_token_keys_add_secret(both, "one", "11111111111111111111111111111111", 32), DUET_OK);
    assert_int_equal(duet_token_keys_add_secret(both, "two", "22222222222222222222222222222222", 32), DUET_OK);
    char *of_one = sign(one, "one", &claims), *of_two = sign(two, NULL, &claims),
         *nameless = sign(anonymous, NULL, &claims);
    assert_int_equal(check(both, NULL, of_one, NOW), DUET_OK);
    assert_int_equal(check(both, NULL, of_two, NOW), DUET_OK);
    assert_int_equal(check(both, NULL, nameless, NOW), DUET_OK);
    assert_int_equal(check(one, NULL, of_two, NOW), DUET_ERR_NOT_FOUND);
    assert_int_equal(check(one, NULL, nameless, NOW), DUET_ERR_AUTH);
    assert_int_equal(check(anonymous, NULL, of_two, NOW), DUET_ERR_NOT_FOUND);
    expect_forged(both, "{\"alg\":\"HS256\",\"kid\":\"two\"}", good_payload, DUET_ERR_AUTH); /* signed by "one" */
    expect_forged(both, "{\"alg\":\"HS256\",\"kid\":\"three\"}", good_payload, DUET_ERR_NOT_FOUND);
    expect_forged(both, "{\"alg\":\"HS256\",\"kid\":1}", good_payload, DUET_ERR_MALFORMED);
    assert_int_equal(duet_token_sign_with(&(char *){NULL}, NULL, &claims, both, "three"), DUET_ERR_NOT_FOUND);
    duet_free(NULL, of_one);
    duet_free(NULL, of_two);
    duet_free(NULL, nameless);
    duet_token_keys_destroy(one);
    duet_token_keys_destroy(two);
    duet_token_keys_destroy(anonymous);
    duet_token_keys_destroy(both);
}

/* The attack on libraries that use "the key" with the algorithm that the token names: the public key is no secret. */
static void a_public_key_is_never_a_secret(void **state)
{
    duet_token_keys *server = with_pem(no_keys(), "k", rsa_public), *attacker = no_keys();
    static const char *const headers[] = {"{\"alg\":\"HS256\"}", "{\"alg\":\"HS256\",\"kid\":\"k\"}"};
    duet_buffer b;

    (void)state;
    assert_int_equal(duet_token_keys_add_secret(attacker, NULL, rsa_public, sizeof(rsa_public) - 1), DUET_ERR_INVALID);
    for (size_t i = 0; i < 2; i++) {
        uint8_t mac[DUET_SHA256_LEN];
        duet_buffer_init(&b, NULL);
        duet_base64url_encode(&b, headers[i], strlen(headers[i]));
        duet_buffer_text(&b, ".");
        duet_base64url_encode(&b, good_payload, strlen(good_payload));
        duet_iov part = {b.data, b.len};
        assert_int_equal(duet_hmac_sha256(mac, rsa_public, sizeof(rsa_public) - 1, &part, 1), DUET_OK);
        duet_buffer_text(&b, ".");
        duet_base64url_encode(&b, mac, sizeof(mac));
        assert_int_equal(check(server, NULL, (char *)b.data, NOW), DUET_ERR_NOT_FOUND);
        duet_buffer_free(&b);
    }
    duet_token_keys_destroy(server);
    duet_token_keys_destroy(attacker);
}

static void a_token_cannot_choose_how_a_key_is_used(void **state)
{
    duet_token_keys *keys = with_pem(no_keys(), NULL, p256_private);

    (void)state;
    expect_forged(keys, "{\"alg\":\"ES256\"}", good_payload, DUET_OK);
    expect_forged(keys, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"jku\":\"http://evil/\",\"jwk\":{}}", good_payload,
                  DUET_OK);
    expect_forged(keys, "{\"alg\":\"none\"}", good_payload, DUET_ERR_UNSUPPORTED);
    expect_forged(keys, "{\"alg\":\"None\"}", good_payload, DUET_ERR_UNSUPPORTED);
    expect_forged(keys, "{\"alg\":\"\"}", good_payload, DUET_ERR_UNSUPPORTED);
    expect_forged(keys, "{\"alg\":\"ES384\"}", good_payload, DUET_ERR_UNSUPPORTED);
    expect_forged(keys, "{\"alg\":[\"ES256\"]}", good_payload, DUET_ERR_UNSUPPORTED);
    expect_forged(keys, "{\"alg\":\"RS256\"}", good_payload, DUET_ERR_NOT_FOUND);
    expect_forged(keys, "{\"alg\":\"EdDSA\"}", good_payload, DUET_ERR_NOT_FOUND);
    expect_forged(keys, "{\"alg\":\"ES256\",\"crit\":[\"exp\"]}", good_payload, DUET_ERR_UNSUPPORTED);
    expect_forged(keys, "{\"alg\":\"ES256\",\"alg\":\"none\"}", good_payload, DUET_ERR_MALFORMED);
    duet_token_keys_destroy(keys);
}

/* CVE-2022-21449 and its like: r and s of 0, and those above the order of the curve. */
static void signatures_of_zeros_and_ones_are_refused(void **state)
{
    static const char *const pems[] = {rsa_public, p256_public, ed25519_public};
    uint8_t bytes[256];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        duet_token_keys *keys = with_pem(no_keys(), NULL, pems[i]);
        for (size_t len = 0; len <= sizeof(bytes); len += 32) {
            memset(bytes, 0, sizeof(bytes));
            duet_bytes signature = {bytes, len}, data = {(const uint8_t *)"abc", 3};
            assert_int_equal(duet_token_key_verify(duet_array_at(&keys->keys, 0), data, signature), DUET_ERR_AUTH);
            memset(bytes, 0xff, sizeof(bytes));
            assert_int_equal(duet_token_key_verify(duet_array_at(&keys->keys, 0), data, signature), DUET_ERR_AUTH);
        }
        duet_token_keys_destroy(keys);
    }
}

/* ---- claims ---- */

static void times_may_differ_by_the_skew(void **state)
{
    duet_token_keys *keys = no_keys();
    duet_token_policy exact = DUET_TOKEN_POLICY_INIT;
    duet_token_claims claims = alice();

    (void)state;
    exact.skew_seconds = 0;
    claims.not_before = NOW - 60;
    assert_int_equal(duet_token_keys_add_secret(keys, NULL, secret, 32), DUET_OK);
    char *token = sign(keys, NULL, &claims);
    assert_int_equal(check(keys, NULL, token, NOW + 89), DUET_OK);
    assert_int_equal(check(keys, NULL, token, NOW + 90), DUET_ERR_AUTH);
    assert_int_equal(check(keys, NULL, token, NOW - 90), DUET_OK);
    assert_int_equal(check(keys, NULL, token, NOW - 91), DUET_ERR_AUTH);
    assert_int_equal(check(keys, &exact, token, NOW + 59), DUET_OK);
    assert_int_equal(check(keys, &exact, token, NOW + 60), DUET_ERR_AUTH);
    assert_int_equal(check(keys, &exact, token, NOW - 60), DUET_OK);
    assert_int_equal(check(keys, &exact, token, NOW - 61), DUET_ERR_AUTH);
    duet_free(NULL, token);
    duet_token_keys_destroy(keys);
}

static void the_policy_asks_for_audience_and_issuer(void **state)
{
    static const struct {
        const char *members;
        int plain, asked;
    } cases[] = {
        {"", DUET_OK, DUET_ERR_AUTH},
        {",\"aud\":\"duet\",\"iss\":\"me\"", DUET_OK, DUET_OK},
        {",\"aud\":[\"x\",\"duet\"],\"iss\":\"me\"", DUET_OK, DUET_OK},
        {",\"aud\":[\"x\",\"due\",\"duett\"],\"iss\":\"me\"", DUET_OK, DUET_ERR_AUTH},
        {",\"aud\":[],\"iss\":\"me\"", DUET_OK, DUET_ERR_AUTH},
        {",\"aud\":\"Duet\",\"iss\":\"me\"", DUET_OK, DUET_ERR_AUTH},
        {",\"aud\":[\"duet\",7],\"iss\":\"me\"", DUET_ERR_AUTH, DUET_ERR_AUTH},
        {",\"aud\":{},\"iss\":\"me\"", DUET_ERR_AUTH, DUET_ERR_AUTH},
        {",\"aud\":\"duet\",\"iss\":\"you\"", DUET_OK, DUET_ERR_AUTH},
        {",\"aud\":\"duet\",\"iss\":[\"me\"]", DUET_ERR_AUTH, DUET_ERR_AUTH},
        {",\"aud\":\"duet\"", DUET_OK, DUET_ERR_AUTH},
        {",\"iss\":\"me\"", DUET_OK, DUET_ERR_AUTH},
    };
    duet_token_keys *keys = no_keys();
    duet_token_policy policy = {sizeof(policy), "duet", "me", 30};

    (void)state;
    assert_int_equal(duet_token_keys_add_secret(keys, NULL, secret, 32), DUET_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char payload[200];
        snprintf(payload, sizeof(payload), "{\"sub\":\"alice\",\"exp\":1700000060%s}", cases[i].members);
        char *token = forge(keys, "{\"alg\":\"HS256\"}", payload);
        if (check(keys, NULL, token, NOW) != cases[i].plain || check(keys, &policy, token, NOW) != cases[i].asked)
            fail_msg("%s", payload);
        duet_free(NULL, token);
    }
    duet_token_keys_destroy(keys);
}

static void all_claims_come_back(void **state)
{
    duet_token_keys *keys = with_pem(no_keys(), "ed", ed25519_private);
    duet_token_policy policy = {sizeof(policy), "duet", "me", 30};
    duet_token_claims in = alice(), out;

    (void)state;
    in.not_before = NOW - 5;
    strcpy(in.audience, "duet");
    strcpy(in.issuer, "me");
    strcpy(in.room, "red");
    char *token = sign(keys, "ed", &in);
    assert_int_equal(duet_token_check(&out, keys, &policy, token, strlen(token), NOW, NULL), DUET_OK);
    assert_string_equal(out.audience, "duet");
    assert_string_equal(out.issuer, "me");
    assert_string_equal(out.room, "red");
    assert_int_equal(out.not_before, NOW - 5);
    assert_int_equal(out.expires_at, NOW + 60);
    duet_free(NULL, token);
    duet_token_keys_destroy(keys);
}

static void forged_claims_and_cut_tokens_are_refused(void **state)
{
    duet_token_keys *keys = with_pem(no_keys(), NULL, ed25519_private);
    duet_token_claims claims = alice(), out;

    (void)state;
    expect_forged(keys, "{\"alg\":\"EdDSA\"}", "{\"sub\":\"alice\"}", DUET_ERR_MALFORMED);
    expect_forged(keys, "{\"alg\":\"EdDSA\"}", "{\"sub\":\"alice\",\"exp\":1600000000}", DUET_ERR_AUTH);
    expect_forged(keys, "{\"alg\":\"EdDSA\"}", "{\"sub\":\"alice\",\"exp\":1700000060,\"nbf\":1700000050}",
                  DUET_ERR_AUTH);
    expect_forged(keys, "{\"alg\":\"EdDSA\"}", "{\"sub\":\"eve\",\"sub\":\"alice\",\"exp\":1700000060}",
                  DUET_ERR_MALFORMED);
    expect_forged(keys, "{\"alg\":\"EdDSA\"}", "{\"sub\":\"al\\u0000ice\",\"exp\":1700000060}", DUET_ERR_MALFORMED);
    char *token = sign(keys, NULL, &claims);
    for (size_t len = 0; len < strlen(token); len++)
        assert_int_not_equal(duet_token_check(&out, keys, NULL, token, len, NOW, NULL), DUET_OK);
    duet_free(NULL, token);
    duet_token_keys_destroy(keys);
}

/* ---- memory ---- */

static int load_sign_and_check(const duet_env *env, void *arg)
{
    static const char set[] =
        "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"s\",\"k\":"
        "\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"},"
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"p\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y "\"},"
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED25519_X "\"}]}";
    duet_token_claims claims = alice(), out;
    duet_token_keys *keys;
    char *token = NULL;

    (void)arg;
    int err = duet_token_keys_create(&keys, env);
    if (err == DUET_OK)
        err = duet_token_keys_add_jwks(keys, set, strlen(set), NULL);
    if (err == DUET_ERR_NOMEM && keys)
        assert_int_equal(duet_token_keys_count(keys), 0);
    if (err == DUET_OK)
        err = duet_token_keys_add_pem(keys, "p", p256_private, strlen(p256_private), NULL);
    if (err == DUET_OK)
        err = duet_token_sign_with(&token, env, &claims, keys, "p");
    if (err == DUET_OK)
        err = duet_token_check(&out, keys, NULL, token, strlen(token), NOW, NULL);
    duet_free(env, token);
    duet_token_keys_destroy(keys);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    test_fail_each_allocation("token keys", load_sign_and_check, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_rfc_7515_and_rfc_8037_are_met),
        cmocka_unit_test(the_tokens_of_rfc_7515_fail_only_for_want_of_a_subject),
        cmocka_unit_test(the_set_of_rfc_7517_has_one_key_for_signatures),
        cmocka_unit_test(every_kind_of_key_signs_what_its_public_part_accepts),
        cmocka_unit_test(weak_and_foreign_keys_are_refused),
        cmocka_unit_test(a_set_has_a_bound),
        cmocka_unit_test(keys_of_a_set_that_are_for_something_else_are_left_out),
        cmocka_unit_test(what_is_no_set_of_keys_is_malformed),
        cmocka_unit_test(a_kid_chooses_the_key_and_without_one_all_are_tried),
        cmocka_unit_test(a_public_key_is_never_a_secret),
        cmocka_unit_test(a_token_cannot_choose_how_a_key_is_used),
        cmocka_unit_test(signatures_of_zeros_and_ones_are_refused),
        cmocka_unit_test(times_may_differ_by_the_skew),
        cmocka_unit_test(the_policy_asks_for_audience_and_issuer),
        cmocka_unit_test(all_claims_come_back),
        cmocka_unit_test(forged_claims_and_cut_tokens_are_refused),
        cmocka_unit_test(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
