/* Certificates: made, saved, loaded; fingerprints; what is refused. */
#include "test.h"

#include "duet/dtls.h"

static void a_loaded_certificate_has_the_fingerprint_that_openssl_prints(void **state)
{
    (void)state;
    size_t len;
    char *pem = (char *)test_data("dtls/ecdsa.pem", &len);
    duet_certificate *c;
    duet_fingerprint f;
    char text[DUET_FINGERPRINT_TEXT_MAX];

    assert_int_equal(duet_certificate_load(&c, NULL, pem, len), DUET_OK);
    assert_int_equal(duet_certificate_fingerprint(c, DUET_HASH_SHA256, &f), DUET_OK);
    assert_int_equal(duet_fingerprint_format(&f, text, sizeof(text)), DUET_OK);
    assert_string_equal(text,
                        "sha-256 A2:74:BD:E5:07:58:A8:33:0A:78:06:34:0D:D8:71:E4:F8:70:83:8B:ED:65:7F:D1:30:B1:62:"
                        "CA:DB:31:FE:7B");
    assert_int_equal(duet_certificate_fingerprint(c, DUET_HASH_SHA384, &f), DUET_OK);
    assert_int_equal(f.len, 48);
    assert_int_equal(f.value[0], 0x3f);
    assert_int_equal(f.value[47], 0x67);
    assert_int_equal(duet_certificate_fingerprint(c, DUET_HASH_SHA1, &f), DUET_ERR_UNSUPPORTED);
    assert_int_equal(duet_certificate_fingerprint(c, DUET_HASH_NONE, &f), DUET_ERR_UNSUPPORTED);
    duet_certificate_destroy(c);
    free(pem);
}

static void what_is_saved_loads_again(void **state)
{
    (void)state;
    for (int type = 0; type < 2; type++) {
        duet_certificate *made, *loaded;
        char *pem;
        size_t a_len, b_len;
        assert_int_equal(duet_certificate_generate(&made, NULL, (duet_key_type)type, 1700000000), DUET_OK);
        assert_int_equal(duet_certificate_pem(made, &pem), DUET_OK);
        assert_int_equal(duet_certificate_load(&loaded, NULL, pem, strlen(pem)), DUET_OK);
        const uint8_t *a = duet_certificate_der(made, &a_len), *b = duet_certificate_der(loaded, &b_len);
        assert_int_equal(a_len, b_len);
        assert_memory_equal(a, b, a_len);
        duet_free(NULL, pem);
        duet_certificate_destroy(made);
        duet_certificate_destroy(loaded);
    }
}

static void key_and_certificate_may_come_in_either_order(void **state)
{
    (void)state;
    duet_certificate *made, *loaded;
    char *pem;

    assert_int_equal(duet_certificate_generate(&made, NULL, DUET_KEY_ECDSA_P256, 0), DUET_OK);
    assert_int_equal(duet_certificate_pem(made, &pem), DUET_OK);
    char *certificate = strstr(pem, "-----BEGIN CERTIFICATE");
    assert_non_null(certificate);
    char turned[8192];
    snprintf(turned, sizeof(turned), "%s%.*s", certificate, (int)(certificate - pem), pem);
    assert_int_equal(duet_certificate_load(&loaded, NULL, turned, strlen(turned)), DUET_OK);
    duet_certificate_destroy(loaded);
    /* one half alone */
    assert_int_equal(duet_certificate_load(&loaded, NULL, certificate, strlen(certificate)), DUET_ERR_MALFORMED);
    assert_int_equal(duet_certificate_load(&loaded, NULL, pem, (size_t)(certificate - pem)), DUET_ERR_MALFORMED);
    duet_free(NULL, pem);
    duet_certificate_destroy(made);
}

static int load(const char *name)
{
    size_t len;
    char *pem = (char *)test_data(name, &len);
    duet_certificate *c = NULL;
    int err = duet_certificate_load(&c, NULL, pem, len);

    duet_certificate_destroy(c);
    free(pem);
    return err;
}

static void weak_encrypted_and_foreign_keys_are_refused(void **state)
{
    (void)state;
    duet_certificate *a, *b, *c;
    char *pem_a, *pem_b, mixed[8192];

    assert_int_equal(load("dtls/rsa1024.pem"), DUET_ERR_UNSUPPORTED);
    assert_int_equal(load("dtls/encrypted.pem"), DUET_ERR_MALFORMED); /* and no pass phrase is asked for */
    assert_int_equal(duet_certificate_load(&c, NULL, "", 0), DUET_ERR_MALFORMED);
    assert_int_equal(duet_certificate_load(&c, NULL, "nonsense", 8), DUET_ERR_MALFORMED);

    assert_int_equal(duet_certificate_generate(&a, NULL, DUET_KEY_ECDSA_P256, 0), DUET_OK);
    assert_int_equal(duet_certificate_generate(&b, NULL, DUET_KEY_ECDSA_P256, 0), DUET_OK);
    assert_int_equal(duet_certificate_pem(a, &pem_a), DUET_OK);
    assert_int_equal(duet_certificate_pem(b, &pem_b), DUET_OK);
    snprintf(mixed, sizeof(mixed), "%.*s%s", (int)(strstr(pem_a, "-----BEGIN CERT") - pem_a), pem_a,
             strstr(pem_b, "-----BEGIN CERT"));
    assert_int_equal(duet_certificate_load(&c, NULL, mixed, strlen(mixed)), DUET_ERR_MALFORMED);
    duet_free(NULL, pem_a);
    duet_free(NULL, pem_b);
    duet_certificate_destroy(a);
    duet_certificate_destroy(b);
}

static void two_certificates_never_have_the_same_name_or_key(void **state)
{
    (void)state;
    duet_certificate *a, *b;
    duet_fingerprint fa, fb;

    assert_int_equal(duet_certificate_generate(&a, NULL, DUET_KEY_ECDSA_P256, 0), DUET_OK);
    assert_int_equal(duet_certificate_generate(&b, NULL, DUET_KEY_ECDSA_P256, 0), DUET_OK);
    assert_int_equal(duet_certificate_fingerprint(a, DUET_HASH_SHA512, &fa), DUET_OK);
    assert_int_equal(duet_certificate_fingerprint(b, DUET_HASH_SHA512, &fb), DUET_OK);
    assert_false(duet_fingerprint_equal(&fa, &fb));
    assert_ptr_equal(duet_certificate_ref(a), a);
    duet_certificate_destroy(a);
    assert_int_equal(duet_certificate_fingerprint(a, DUET_HASH_SHA256, &fa), DUET_OK); /* the reference holds it */
    duet_certificate_destroy(a);
    duet_certificate_destroy(b);
    duet_certificate_destroy(NULL);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    duet_certificate *c;

    assert_int_equal(duet_certificate_generate(&c, NULL, (duet_key_type)9, 0), DUET_ERR_INVALID);
    assert_int_equal(duet_certificate_generate(&c, NULL, DUET_KEY_ECDSA_P256, -1), DUET_ERR_INVALID);
}

static int generate_save_load(const duet_env *env, void *arg)
{
    duet_certificate *made = NULL, *loaded = NULL;
    char *pem = NULL;

    (void)arg;
    int err = duet_certificate_generate(&made, env, DUET_KEY_ECDSA_P256, 0);
    if (!err)
        err = duet_certificate_pem(made, &pem);
    if (!err)
        err = duet_certificate_load(&loaded, env, pem, strlen(pem));
    duet_free(env, pem);
    duet_certificate_destroy(made);
    duet_certificate_destroy(loaded);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    test_fail_each_allocation("certificate", generate_save_load, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loaded_certificate_has_the_fingerprint_that_openssl_prints),
        cmocka_unit_test(what_is_saved_loads_again),
        cmocka_unit_test(key_and_certificate_may_come_in_either_order),
        cmocka_unit_test(weak_encrypted_and_foreign_keys_are_refused),
        cmocka_unit_test(two_certificates_never_have_the_same_name_or_key),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
