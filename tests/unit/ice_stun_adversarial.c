/* STUN messages that somebody made to hurt: truncated, overlong, contradictory, random. */
#include "duet/stun.h"
#include "test.h"

static const uint8_t id[12] = {9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9};

static size_t message(uint8_t *buf, size_t size, uint16_t type, const void *value, size_t len)
{
    duet_stun_builder b = duet_stun_begin(buf, size, DUET_STUN_ERROR, DUET_STUN_BINDING, id);
    size_t total;

    duet_stun_add(&b, type, value, len);
    assert_int_equal(duet_stun_end(&b, &total), DUET_OK);
    return total;
}

/* An exact copy on the heap, so that a sanitizer sees every byte beyond. */
static int parse_exact(const uint8_t *data, size_t len, duet_stun_message *m, uint8_t **copy)
{
    *copy = malloc(len ? len : 1);
    assert_non_null(*copy);
    memcpy(*copy, data, len);
    return duet_stun_parse(m, *copy, len);
}

static void touch_everything(const duet_stun_message *m)
{
    duet_stun_attribute a = {0};
    duet_address address;
    duet_stun_error error;
    duet_stun_icmp icmp;
    duet_stun_algorithm_value algorithms[2];
    uint16_t types[4], u16;
    uint32_t u32;
    uint64_t u64;
    uint8_t u8;
    size_t seen = 0;

    while (duet_stun_next(m, &a)) {
        size_t count = 4, algorithm_count = 2;
        (void)duet_stun_value_u8(&a, &u8);
        (void)duet_stun_value_u16(&a, &u16);
        (void)duet_stun_value_u32(&a, &u32);
        (void)duet_stun_value_u64(&a, &u64);
        (void)duet_stun_value_address(m, &a, &address);
        (void)duet_stun_value_error(&a, &error);
        (void)duet_stun_value_types(&a, types, &count);
        (void)duet_stun_value_algorithms(&a, algorithms, &algorithm_count);
        (void)duet_stun_value_icmp(&a, &icmp);
        seen++;
    }
    assert_int_equal(seen, m->attribute_count);
    (void)duet_stun_verify_fingerprint(m);
    (void)duet_stun_verify_integrity(m, "key", 3);
    (void)duet_stun_verify_integrity_sha256(m, "key", 3);
    (void)duet_stun_unknown_required(m, NULL, 0, types, 4);
}

static void what_is_not_stun_is_left_to_others(void **state)
{
    uint8_t buf[64], *copy;
    duet_stun_message m;
    size_t len = message(buf, sizeof(buf), DUET_STUN_SOFTWARE, "abc", 3);

    (void)state;
    for (size_t n = 0; n < len; n++) {
        assert_int_equal(parse_exact(buf, n, &m, &copy), DUET_ERR_NOT_MINE);
        free(copy);
    }
    assert_false(duet_stun_is_message(NULL, 0));
    for (unsigned first = 4; first < 256; first++) {
        buf[0] = (uint8_t)first; /* DTLS, TURN channels, RTP: RFC 7983 */
        assert_false(duet_stun_is_message(buf, len));
    }
    buf[0] = 1;
    buf[3] = (uint8_t)(buf[3] + 1);
    assert_false(duet_stun_is_message(buf, len + 1));
    buf[3] = (uint8_t)(buf[3] - 1);
    buf[4] = 0; /* no magic cookie: RFC 3489 */
    assert_false(duet_stun_is_message(buf, len));
}

static void rfc8489_14_attributes_past_the_end_are_malformed(void **state)
{
    uint8_t buf[64], *copy;
    duet_stun_message m;
    size_t len = message(buf, sizeof(buf), DUET_STUN_SOFTWARE, "abcd", 4);

    (void)state;
    for (unsigned claimed = 0; claimed < 0x10000; claimed += claimed < 16 ? 1 : 997) {
        buf[22] = (uint8_t)(claimed >> 8);
        buf[23] = (uint8_t)claimed;
        int err = parse_exact(buf, len, &m, &copy);
        /* 0 leaves four bytes that are no attribute header; 1 to 4 are padded to the end. */
        if (claimed >= 1 && claimed <= 4)
            assert_int_equal(err, DUET_OK);
        else if (claimed > 4)
            assert_int_equal(err, DUET_ERR_MALFORMED);
        if (err == DUET_OK)
            touch_everything(&m);
        free(copy);
    }
}

static void rfc8489_14_8_short_error_codes_are_malformed(void **state)
{
    uint8_t buf[64], *copy;
    duet_stun_message m;
    duet_stun_error error;

    (void)state;
    for (size_t n = 0; n <= 5; n++) {
        static const uint8_t value[] = {0, 0, 4, 20, 'x'};
        size_t len = message(buf, sizeof(buf), DUET_STUN_ERROR_CODE, value, n);
        assert_int_equal(parse_exact(buf, len, &m, &copy), DUET_OK);
        assert_int_equal(duet_stun_get_error(&m, &error), n < 4 ? DUET_ERR_MALFORMED : DUET_OK);
        touch_everything(&m);
        free(copy);
    }
    static const uint8_t bad[][4] = {{0, 0, 2, 0}, {0, 0, 7, 0}, {0, 0, 4, 100}, {0, 0, 0, 0}};
    for (size_t i = 0; i < 4; i++) {
        size_t len = message(buf, sizeof(buf), DUET_STUN_ERROR_CODE, bad[i], 4);
        assert_int_equal(parse_exact(buf, len, &m, &copy), DUET_OK);
        assert_int_equal(duet_stun_get_error(&m, &error), DUET_ERR_MALFORMED);
        free(copy);
    }
}

static void rfc8489_14_values_of_every_wrong_length_are_refused(void **state)
{
    uint8_t buf[128], *copy, value[40] = {0, 1};
    duet_stun_message m;
    duet_address address;
    uint32_t u32;
    uint64_t u64;

    (void)state;
    for (size_t n = 0; n <= sizeof(value); n++) {
        static const uint16_t types[] = {DUET_STUN_XOR_MAPPED_ADDRESS, DUET_STUN_PRIORITY, DUET_STUN_ICE_CONTROLLED};
        for (size_t i = 0; i < 3; i++) {
            size_t len = message(buf, sizeof(buf), types[i], value, n);
            assert_int_equal(parse_exact(buf, len, &m, &copy), DUET_OK);
            touch_everything(&m);
            if (i == 0)
                assert_int_equal(duet_stun_get_address(&m, types[i], &address), n == 8 ? DUET_OK : DUET_ERR_MALFORMED);
            if (i == 1)
                assert_int_equal(duet_stun_get_u32(&m, types[i], &u32), n == 4 ? DUET_OK : DUET_ERR_MALFORMED);
            if (i == 2)
                assert_int_equal(duet_stun_get_u64(&m, types[i], &u64), n == 8 ? DUET_OK : DUET_ERR_MALFORMED);
            free(copy);
        }
    }
    value[1] = 3; /* no such family */
    size_t len = message(buf, sizeof(buf), DUET_STUN_MAPPED_ADDRESS, value, 8);
    assert_int_equal(parse_exact(buf, len, &m, &copy), DUET_OK);
    assert_int_equal(duet_stun_get_address(&m, DUET_STUN_MAPPED_ADDRESS, &address), DUET_ERR_MALFORMED);
    free(copy);
}

static void rfc8489_14_5_integrity_of_a_wrong_length_is_malformed(void **state)
{
    uint8_t buf[128], *copy, value[40] = {0};
    duet_stun_message m;

    (void)state;
    for (size_t n = 0; n <= sizeof(value); n++) {
        size_t len = message(buf, sizeof(buf), DUET_STUN_MESSAGE_INTEGRITY, value, n);
        assert_int_equal(parse_exact(buf, len, &m, &copy), n == 20 ? DUET_OK : DUET_ERR_MALFORMED);
        free(copy);
        len = message(buf, sizeof(buf), DUET_STUN_MESSAGE_INTEGRITY_SHA256, value, n);
        assert_int_equal(parse_exact(buf, len, &m, &copy),
                         n >= 16 && n <= 32 && n % 4 == 0 ? DUET_OK : DUET_ERR_MALFORMED);
        free(copy);
    }
}

static void a_message_of_nothing_but_attribute_headers_is_cheap(void **state)
{
    static uint8_t buf[65535 + 20];
    duet_stun_message m;
    uint16_t unknown[4];
    duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_REQUEST, DUET_STUN_BINDING, id);

    (void)state;
    for (unsigned i = 0; i < 16383; i++)
        duet_stun_add_flag(&b, (uint16_t)(0x4000 + i));
    size_t len;
    assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    assert_int_equal(duet_stun_parse(&m, buf, len), DUET_OK);
    assert_int_equal(m.attribute_count, 16383);
    assert_int_equal(duet_stun_unknown_required(&m, NULL, 0, unknown, 4), 16383);
}

static void random_changes_never_run_out_of_bounds(void **state)
{
    uint8_t buf[256], *copy;
    duet_stun_message m;
    uint64_t seed = 77;
    size_t accepted = 0;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_REQUEST, DUET_STUN_BINDING, id);
        duet_stun_add_text(&b, DUET_STUN_USERNAME, "abcd:efgh");
        duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 1);
        duet_stun_add_integrity(&b, "key", 3);
        duet_stun_add_fingerprint(&b);
        size_t changes = 1 + (size_t)test_random_below(&seed, 4);
        for (size_t i = 0; i < changes; i++)
            buf[20 + test_random_below(&seed, b.len - 20)] = (uint8_t)test_random(&seed);
        if (parse_exact(buf, b.len, &m, &copy) == DUET_OK) {
            accepted++;
            touch_everything(&m);
            uint8_t again[256];
            size_t len;
            assert_int_equal(duet_stun_rewrite(&m, again, sizeof(again), &len), DUET_OK);
            assert_int_equal(len, m.len);
            assert_memory_equal(again, copy, len);
        }
        free(copy);
    }
    assert_true(accepted > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_stun_is_left_to_others),
        cmocka_unit_test(rfc8489_14_attributes_past_the_end_are_malformed),
        cmocka_unit_test(rfc8489_14_8_short_error_codes_are_malformed),
        cmocka_unit_test(rfc8489_14_values_of_every_wrong_length_are_refused),
        cmocka_unit_test(rfc8489_14_5_integrity_of_a_wrong_length_is_malformed),
        cmocka_unit_test(a_message_of_nothing_but_attribute_headers_is_cheap),
        cmocka_unit_test(random_changes_never_run_out_of_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
