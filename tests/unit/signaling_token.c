/* Access tokens: what is signed is read back, and everything else is refused. */
#include "base/crypto.h"
#include "duet/signaling.h"
#include "signaling/encode.h"
#include "test.h"

#define NOW INT64_C(1700000000)

static const char key[] = "0123456789abcdef0123456789abcdef";

static duet_token_claims alice(void)
{
    duet_token_claims c = {.expires_at = NOW + 60, .permissions = DUET_TOKEN_CREATE | DUET_TOKEN_JOIN};

    strcpy(c.subject, "alice");
    return c;
}

static int verify(duet_token_claims *out, const char *token, int64_t now, const char **reason)
{
    return duet_token_verify(out, NULL, token, strlen(token), key, sizeof(key) - 1, now, reason);
}

/* header "." payload "." signature, with any header and payload. */
static char *sign_raw(const char *header, const char *payload)
{
    uint8_t mac[DUET_SHA256_LEN];
    duet_buffer b;

    duet_buffer_init(&b, NULL);
    duet_base64url_encode(&b, header, strlen(header));
    duet_buffer_text(&b, ".");
    duet_base64url_encode(&b, payload, strlen(payload));
    duet_iov part = {b.data, b.len};
    assert_int_equal(duet_hmac_sha256(mac, key, sizeof(key) - 1, &part, 1), DUET_OK);
    duet_buffer_text(&b, ".");
    duet_base64url_encode(&b, mac, sizeof(mac));
    return duet_buffer_steal(&b);
}

static const char hs256[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";

static void expect_raw(const char *header, const char *payload, int expected)
{
    char *token = sign_raw(header, payload);
    duet_token_claims claims;
    const char *reason = NULL;

    int err = verify(&claims, token, NOW, &reason);
    if (err != expected)
        fail_msg("%s %s: %s (%s)", header, payload, duet_strerror(err), reason);
    if (expected != DUET_OK)
        assert_string_equal(claims.subject, "");
    duet_free(NULL, token);
}

static void what_was_signed_is_read_back(void **state)
{
    duet_token_claims in = alice(), out;
    char *token;

    (void)state;
    strcpy(in.room, "red");
    strcpy(in.role, "owner");
    assert_int_equal(duet_token_sign(&token, NULL, &in, key, sizeof(key) - 1), DUET_OK);
    assert_int_equal(verify(&out, token, NOW, NULL), DUET_OK);
    assert_string_equal(out.subject, "alice");
    assert_string_equal(out.room, "red");
    assert_string_equal(out.role, "owner");
    assert_int_equal(out.permissions, DUET_TOKEN_CREATE | DUET_TOKEN_JOIN);
    assert_int_equal(out.expires_at, NOW + 60);
    duet_free(NULL, token);
}

/* RFC 7515, appendix A.1: header and payload have line breaks in them, and the key is given there. */
static void the_example_of_rfc_7515_has_a_good_signature(void **state)
{
    static const char example[] =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0"
        "dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    static const char k[] = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    duet_token_claims claims;
    const char *reason;
    duet_buffer secret;

    (void)state;
    duet_buffer_init(&secret, NULL);
    assert_int_equal(duet_base64url_decode(&secret, k, sizeof(k) - 1), DUET_OK);
    int err =
        duet_token_verify(&claims, NULL, example, sizeof(example) - 1, secret.data, secret.len, 1300000000, &reason);
    assert_int_equal(err, DUET_ERR_MALFORMED); /* signed well, but it is for nobody: no "sub" */
    assert_string_equal(reason, "a claim of the token is missing or has a wrong form");
    err = duet_token_verify(&claims, NULL, example, sizeof(example) - 1, secret.data, secret.len, 1300819380, &reason);
    assert_int_equal(err, DUET_ERR_AUTH);
    assert_string_equal(reason, "the token has expired");
    duet_buffer_free(&secret);
}

static void an_expired_token_is_refused_from_its_second_on(void **state)
{
    duet_token_claims in = alice(), out;
    const char *reason;
    char *token;

    (void)state;
    assert_int_equal(duet_token_sign(&token, NULL, &in, key, sizeof(key) - 1), DUET_OK);
    assert_int_equal(verify(&out, token, NOW + 59, NULL), DUET_OK);
    assert_int_equal(verify(&out, token, NOW + 60, &reason), DUET_ERR_AUTH);
    assert_string_equal(reason, "the token has expired");
    duet_free(NULL, token);
}

static void a_token_needs_an_expiry_that_is_a_number(void **state)
{
    (void)state;
    expect_raw(hs256, "{\"sub\":\"a\"}", DUET_ERR_MALFORMED);
    expect_raw(hs256, "{\"sub\":\"a\",\"exp\":\"1800000000\"}", DUET_ERR_MALFORMED);
    expect_raw(hs256, "{\"sub\":\"a\",\"exp\":-1}", DUET_ERR_MALFORMED);
    expect_raw(hs256, "{\"sub\":\"a\",\"exp\":1e300}", DUET_ERR_MALFORMED);
    expect_raw(hs256, "{\"sub\":\"a\",\"exp\":1800000000.5}", DUET_OK);
}

static void a_token_of_the_future_is_not_valid_yet(void **state)
{
    (void)state;
    expect_raw(hs256, "{\"sub\":\"a\",\"exp\":1800000000,\"nbf\":1700000001}", DUET_ERR_AUTH);
    expect_raw(hs256, "{\"sub\":\"a\",\"exp\":1800000000,\"nbf\":1700000000}", DUET_OK);
    expect_raw(hs256, "{\"sub\":\"a\",\"exp\":1800000000,\"nbf\":\"soon\"}", DUET_ERR_MALFORMED);
}

static void only_hs256_is_accepted(void **state)
{
    (void)state;
    expect_raw("{\"alg\":\"none\"}", "{\"sub\":\"a\",\"exp\":1800000000}", DUET_ERR_UNSUPPORTED);
    expect_raw("{\"alg\":\"hs256\"}", "{\"sub\":\"a\",\"exp\":1800000000}", DUET_ERR_UNSUPPORTED);
    expect_raw("{\"alg\":\"RS256\"}", "{\"sub\":\"a\",\"exp\":1800000000}", DUET_ERR_UNSUPPORTED);
    expect_raw("{\"typ\":\"JWT\"}", "{\"sub\":\"a\",\"exp\":1800000000}", DUET_ERR_UNSUPPORTED);
    expect_raw("{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "{\"sub\":\"a\",\"exp\":1800000000}",
               DUET_ERR_UNSUPPORTED);
    expect_raw("{\"alg\":\"none\",\"alg\":\"HS256\"}", "{\"sub\":\"a\",\"exp\":1800000000}", DUET_ERR_MALFORMED);
}

static void alg_none_with_an_empty_signature_is_refused(void **state)
{
    duet_token_claims claims;
    duet_buffer b;

    (void)state;
    duet_buffer_init(&b, NULL);
    duet_base64url_encode(&b, "{\"alg\":\"none\"}", 14);
    duet_buffer_text(&b, ".");
    duet_base64url_encode(&b, "{\"sub\":\"a\",\"exp\":1800000000}", 28);
    duet_buffer_text(&b, ".");
    assert_int_equal(verify(&claims, (char *)b.data, NOW, NULL), DUET_ERR_UNSUPPORTED);
    duet_buffer_free(&b);
}

static void another_key_is_refused(void **state)
{
    duet_token_claims in = alice(), out;
    char *token;

    (void)state;
    assert_int_equal(duet_token_sign(&token, NULL, &in, "another key", 11), DUET_OK);
    assert_int_equal(verify(&out, token, NOW, NULL), DUET_ERR_AUTH);
    assert_string_equal(out.subject, "");
    duet_free(NULL, token);
}

/* Changing any character of a token breaks it: there are no two texts for one token either. */
static void every_tampered_character_is_noticed(void **state)
{
    duet_token_claims in = alice(), out;
    char *token;
    size_t accepted = 0;

    (void)state;
    assert_int_equal(duet_token_sign(&token, NULL, &in, key, sizeof(key) - 1), DUET_OK);
    for (size_t i = 0; token[i]; i++) {
        char original = token[i];
        for (const char *c = "ABCDwxyz0189-_."; *c; c++) {
            token[i] = *c;
            accepted += *c != original && verify(&out, token, NOW, NULL) == DUET_OK;
        }
        token[i] = original;
    }
    assert_int_equal(accepted, 0);
    duet_free(NULL, token);
}

static void things_that_are_no_tokens_are_malformed(void **state)
{
    static const char *const texts[] = {"",      ".",    "..", "...", "a.b", "a.b.c.d", "eyJhbGciOiJIUzI1NiJ9..",
                                        "=.=.=", "€.€.€"};
    duet_token_claims claims;
    char *huge = malloc(DUET_TOKEN_TEXT_MAX + 2);

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_not_equal(verify(&claims, texts[i], NOW, NULL), DUET_OK);
    memset(huge, 'a', DUET_TOKEN_TEXT_MAX + 1);
    huge[DUET_TOKEN_TEXT_MAX + 1] = 0;
    assert_int_equal(verify(&claims, huge, NOW, NULL), DUET_ERR_MALFORMED);
    free(huge);
}

static void claims_of_a_wrong_form_are_refused(void **state)
{
    char payload[400], name[200];

    (void)state;
    expect_raw(hs256, "{\"sub\":\"\",\"exp\":1800000000}", DUET_ERR_MALFORMED);
    expect_raw(hs256, "{\"sub\":7,\"exp\":1800000000}", DUET_ERR_MALFORMED);
    expect_raw(hs256, "{\"sub\":\"a\",\"exp\":1800000000,\"room\":{}}", DUET_ERR_MALFORMED);
    expect_raw(hs256, "{\"sub\":\"a\",\"exp\":1800000000,\"perm\":\"join\"}", DUET_ERR_MALFORMED);
    expect_raw(hs256, "[\"sub\"]", DUET_ERR_MALFORMED);
    memset(name, 'n', DUET_TOKEN_SUBJECT_MAX + 1);
    name[DUET_TOKEN_SUBJECT_MAX + 1] = 0;
    snprintf(payload, sizeof(payload), "{\"sub\":\"%s\",\"exp\":1800000000}", name);
    expect_raw(hs256, payload, DUET_ERR_MALFORMED);
}

static void permissions_are_what_perm_says_and_join_without_it(void **state)
{
    duet_token_claims claims;
    char *token = sign_raw(hs256, "{\"sub\":\"a\",\"exp\":1800000000}");

    (void)state;
    assert_int_equal(verify(&claims, token, NOW, NULL), DUET_OK);
    assert_int_equal(claims.permissions, DUET_TOKEN_JOIN);
    duet_free(NULL, token);
    token = sign_raw(hs256, "{\"sub\":\"a\",\"exp\":1800000000,\"perm\":[\"moderate\",\"fly\",7]}");
    assert_int_equal(verify(&claims, token, NOW, NULL), DUET_OK);
    assert_int_equal(claims.permissions, DUET_TOKEN_MODERATE);
    duet_free(NULL, token);
}

static void tokens_without_subject_expiry_or_key_are_not_made(void **state)
{
    duet_token_claims nobody = alice(), never = alice(), good = alice();
    char *token;

    (void)state;
    nobody.subject[0] = 0;
    never.expires_at = 0;
    assert_int_equal(duet_token_sign(&token, NULL, &nobody, key, 32), DUET_ERR_INVALID);
    assert_int_equal(duet_token_sign(&token, NULL, &never, key, 32), DUET_ERR_INVALID);
    assert_int_equal(duet_token_sign(&token, NULL, &good, key, 0), DUET_ERR_INVALID);
    assert_null(token);
}

static int sign_and_verify(const duet_env *env, void *arg)
{
    duet_token_claims in = alice(), out;
    char *token;

    (void)arg;
    int err = duet_token_sign(&token, env, &in, key, sizeof(key) - 1);
    if (err == DUET_OK)
        err = duet_token_verify(&out, env, token, strlen(token), key, sizeof(key) - 1, NOW, NULL);
    duet_free(env, token);
    return err;
}

static void no_memory_is_an_error_and_nothing_leaks(void **state)
{
    (void)state;
    test_fail_each_allocation("token", sign_and_verify, NULL);
}

/* RFC 4648 section 10. */
static void base_64_gives_the_vectors_of_rfc_4648(void **state)
{
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        duet_buffer plain, url, back;
        duet_buffer_init(&plain, NULL);
        duet_buffer_init(&url, NULL);
        duet_buffer_init(&back, NULL);
        duet_base64_encode(&plain, vectors[i][0], strlen(vectors[i][0]));
        assert_string_equal((char *)plain.data, vectors[i][1]);
        duet_base64url_encode(&url, vectors[i][0], strlen(vectors[i][0]));
        assert_int_equal(duet_base64url_decode(&back, (char *)url.data, url.len), DUET_OK);
        assert_string_equal((char *)back.data, vectors[i][0]);
        duet_buffer_free(&plain);
        duet_buffer_free(&url);
        duet_buffer_free(&back);
    }
}

static void base_64_with_leftover_bits_or_padding_is_refused(void **state)
{
    static const char *const texts[] = {"Zh", "Zm9", "Zg==", "Zm 8", "Zm8=", "Z", "Zm9v\n", "+/+/"};
    static const int expected[] = {DUET_ERR_MALFORMED, DUET_ERR_MALFORMED, DUET_ERR_MALFORMED, DUET_ERR_MALFORMED,
                                   DUET_ERR_MALFORMED, DUET_ERR_MALFORMED, DUET_ERR_MALFORMED, DUET_ERR_MALFORMED};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        duet_buffer out;
        duet_buffer_init(&out, NULL);
        if (duet_base64url_decode(&out, texts[i], strlen(texts[i])) != expected[i])
            fail_msg("\"%s\" was accepted", texts[i]);
        duet_buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_signed_is_read_back),
        cmocka_unit_test(the_example_of_rfc_7515_has_a_good_signature),
        cmocka_unit_test(an_expired_token_is_refused_from_its_second_on),
        cmocka_unit_test(a_token_needs_an_expiry_that_is_a_number),
        cmocka_unit_test(a_token_of_the_future_is_not_valid_yet),
        cmocka_unit_test(only_hs256_is_accepted),
        cmocka_unit_test(alg_none_with_an_empty_signature_is_refused),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(every_tampered_character_is_noticed),
        cmocka_unit_test(things_that_are_no_tokens_are_malformed),
        cmocka_unit_test(claims_of_a_wrong_form_are_refused),
        cmocka_unit_test(permissions_are_what_perm_says_and_join_without_it),
        cmocka_unit_test(tokens_without_subject_expiry_or_key_are_not_made),
        cmocka_unit_test(no_memory_is_an_error_and_nothing_leaks),
        cmocka_unit_test(base_64_gives_the_vectors_of_rfc_4648),
        cmocka_unit_test(base_64_with_leftover_bits_or_padding_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
