/* Fingerprints, setup roles, ICE credentials, and the text scanner below them. */
#include "base/text.h"
#include "test.h"

#define SHA256_TEXT                                                                                                    \
    "sha-256 99:8E:C0:D7:96:94:B1:C7:B9:51:31:CD:E8:23:DD:F2:13:E3:B3:11:94:D2:16:54:B6:F1:57:78:8A:E5:39:4C"

static int parse(duet_fingerprint *f, const char *text)
{
    return duet_fingerprint_parse(f, text, strlen(text));
}

static void a_fingerprint_is_read_and_written_again(void **state)
{
    (void)state;
    duet_fingerprint f;
    char buf[DUET_FINGERPRINT_TEXT_MAX];

    assert_int_equal(parse(&f, SHA256_TEXT), DUET_OK);
    assert_int_equal(f.hash, DUET_HASH_SHA256);
    assert_int_equal(f.len, 32);
    assert_int_equal(f.value[0], 0x99);
    assert_int_equal(f.value[31], 0x4C);
    assert_int_equal(duet_fingerprint_format(&f, buf, sizeof(buf)), DUET_OK);
    assert_string_equal(buf, SHA256_TEXT);
    assert_int_equal(duet_fingerprint_format(&f, buf, sizeof(SHA256_TEXT) - 1), DUET_ERR_BUFFER);
}

static void every_hash_fits_the_documented_text_size(void **state)
{
    static const struct {
        duet_hash hash;
        size_t len;
    } hashes[] = {{DUET_HASH_SHA1, 20},
                  {DUET_HASH_SHA224, 28},
                  {DUET_HASH_SHA256, 32},
                  {DUET_HASH_SHA384, 48},
                  {DUET_HASH_SHA512, 64}};
    (void)state;

    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        duet_fingerprint f = {.hash = hashes[i].hash, .len = hashes[i].len}, again;
        char buf[DUET_FINGERPRINT_TEXT_MAX];
        for (size_t k = 0; k < f.len; k++)
            f.value[k] = (uint8_t)(k * 37 + i);
        assert_int_equal(duet_fingerprint_format(&f, buf, sizeof(buf)), DUET_OK);
        assert_int_equal(parse(&again, buf), DUET_OK);
        assert_true(duet_fingerprint_equal(&f, &again));
        again.value[f.len - 1] ^= 1;
        assert_false(duet_fingerprint_equal(&f, &again));
    }
}

static void case_does_not_matter_in_a_fingerprint(void **state)
{
    (void)state;
    duet_fingerprint a, b;

    assert_int_equal(parse(&a, "SHA-1 ab:cd:ef:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11"), DUET_OK);
    assert_int_equal(parse(&b, "sha-1 AB:CD:EF:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11"), DUET_OK);
    assert_true(duet_fingerprint_equal(&a, &b));
}

static void a_broken_fingerprint_is_refused(void **state)
{
    (void)state;
    duet_fingerprint f;

    assert_int_equal(parse(&f, ""), DUET_ERR_MALFORMED);
    assert_int_equal(parse(&f, "sha-256"), DUET_ERR_MALFORMED);
    assert_int_equal(parse(&f, "sha-256 "), DUET_ERR_MALFORMED);
    assert_int_equal(parse(&f, "sha-256 AB"), DUET_ERR_MALFORMED);
    assert_int_equal(parse(&f, SHA256_TEXT ":00"), DUET_ERR_MALFORMED);
    assert_int_equal(parse(&f, SHA256_TEXT ":"), DUET_ERR_MALFORMED);
    assert_int_equal(parse(&f, SHA256_TEXT " "), DUET_ERR_MALFORMED);
    assert_int_equal(duet_fingerprint_parse(&f, SHA256_TEXT, strlen(SHA256_TEXT) - 1), DUET_ERR_MALFORMED);
    assert_int_equal(parse(&f, "md5 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"), DUET_ERR_UNSUPPORTED);
    assert_int_equal(parse(&f, "md5 00:11:2"), DUET_ERR_MALFORMED);
    assert_int_equal(f.hash, DUET_HASH_NONE);
    char buf[DUET_FINGERPRINT_TEXT_MAX];
    assert_int_equal(duet_fingerprint_format(&f, buf, sizeof(buf)), DUET_ERR_INVALID);
}

static void setup_roles_have_names(void **state)
{
    (void)state;
    for (duet_setup s = DUET_SETUP_ACTIVE; s <= DUET_SETUP_HOLDCONN; s++)
        assert_int_equal(duet_setup_parse(duet_setup_name(s), strlen(duet_setup_name(s))), s);
    assert_null(duet_setup_name(DUET_SETUP_NONE));
    assert_null(duet_setup_name((duet_setup)77));
    assert_int_equal(duet_setup_parse("actpas", 6), DUET_SETUP_NONE);
    assert_int_equal(duet_setup_parse("", 0), DUET_SETUP_NONE);
}

static void ice_credentials_keep_their_lengths_and_alphabet(void **state)
{
    (void)state;
    duet_ice_credentials c = {"UaGT", "xNM7mXdE1zmRBl4cgs8Rld"};

    assert_true(duet_ice_credentials_valid(&c));
    strcpy(c.ufrag, "UaG");
    assert_false(duet_ice_credentials_valid(&c));
    strcpy(c.ufrag, "UaG-");
    assert_false(duet_ice_credentials_valid(&c));
    memset(c.ufrag, 'a', DUET_UFRAG_MAX);
    c.ufrag[DUET_UFRAG_MAX] = 0;
    assert_true(duet_ice_credentials_valid(&c));
    c.pwd[21] = 0;
    assert_false(duet_ice_credentials_valid(&c));
    memset(c.pwd, 'p', sizeof(c.pwd)); /* no terminator */
    assert_false(duet_ice_credentials_valid(&c));
}

static void numbers_keep_their_range(void **state)
{
    static const struct {
        const char *text;
        uint64_t min, max;
        bool ok;
    } cases[] = {
        {"0", 0, 0, true},
        {"1", 0, 0, false},
        {"9", 0, 5, false},
        {"65535", 0, 65535, true},
        {"65536", 0, 65535, false},
        {"000000000000000000000000007", 0, 9, true},
        {"18446744073709551615", 0, UINT64_MAX, true},
        {"18446744073709551616", 0, UINT64_MAX, false},
        {"184467440737095516150", 0, UINT64_MAX, false},
        {"3", 4, 9, false},
        {"", 0, 9, false},
        {"-1", 0, 9, false},
        {"12x", 0, 99, true},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        duet_reader r = duet_text_reader(cases[i].text, strlen(cases[i].text));
        uint64_t value;
        bool ok = duet_text_number(&r, cases[i].min, cases[i].max, &value);
        if (ok != cases[i].ok)
            fail_msg("%s in %llu to %llu", cases[i].text, (unsigned long long)cases[i].min,
                     (unsigned long long)cases[i].max);
        assert_int_equal(r.pos == 0, !ok);
    }
}

static void words_are_skipped_whole_or_not_at_all(void **state)
{
    (void)state;
    duet_reader r = duet_text_reader("Typ host", 8);

    assert_false(duet_text_skip_word(&r, "type"));
    assert_int_equal(r.pos, 0);
    assert_true(duet_text_skip_word(&r, "typ"));
    assert_true(duet_text_skip(&r, ' '));
    assert_true(duet_text_is(duet_text_run(&r, duet_char_is_token), "host"));
    assert_false(duet_text_skip(&r, 0));
    assert_true(duet_text_at_end(&r));
    assert_int_equal(duet_text_rest(&r).len, 0);
    assert_int_equal(duet_reader_finish(&r), DUET_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fingerprint_is_read_and_written_again),
        cmocka_unit_test(every_hash_fits_the_documented_text_size),
        cmocka_unit_test(case_does_not_matter_in_a_fingerprint),
        cmocka_unit_test(a_broken_fingerprint_is_refused),
        cmocka_unit_test(setup_roles_have_names),
        cmocka_unit_test(ice_credentials_keep_their_lengths_and_alphabet),
        cmocka_unit_test(numbers_keep_their_range),
        cmocka_unit_test(words_are_skipped_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
