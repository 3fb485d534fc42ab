/* Every attribute written and read back, names, formats, and the rules about order and repetition. */
#include "duet/stun.h"
#include "test.h"

static const uint8_t id[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static duet_stun_builder begin(uint8_t *buf, size_t size)
{
    return duet_stun_begin(buf, size, DUET_STUN_REQUEST, DUET_STUN_BINDING, id);
}

static duet_stun_message parsed(const duet_stun_builder *b)
{
    duet_stun_message m;
    size_t len;

    assert_int_equal(duet_stun_end(b, &len), DUET_OK);
    assert_int_equal(len % 4, 0);
    assert_int_equal(duet_stun_parse(&m, b->data, len), DUET_OK);
    return m;
}

static duet_address random_address(uint64_t *seed, uint8_t family)
{
    duet_address a = {.family = family, .port = (uint16_t)test_random(seed)};

    for (size_t i = 0; i < (family == DUET_AF_INET ? 4u : 16u); i++)
        a.ip[i] = (uint8_t)test_random(seed);
    return a;
}

/* Writes a random value of the type's format, reads it back and compares. */
static void roundtrip(uint16_t type, uint64_t *seed)
{
    uint8_t buf[2048], bytes[64];
    duet_stun_builder b = begin(buf, sizeof(buf));
    duet_stun_attribute a;
    uint64_t v = test_random(seed);
    size_t len = (size_t)test_random_below(seed, sizeof(bytes) + 1), count = 8;
    duet_address address = random_address(seed, v & 1 ? DUET_AF_INET : DUET_AF_INET6), address_read;
    duet_stun_algorithm_value algorithms[2] = {{DUET_STUN_SHA256, 0, NULL}, {77, 5, bytes}}, algorithms_read[8];
    uint16_t types[3] = {0x7FFF, 0x0001, (uint16_t)v}, types_read[8], u16;
    duet_stun_icmp icmp = {(uint8_t)(v & 0x7F), (uint16_t)(v >> 8 & 0x1FF), (uint32_t)(v >> 20)}, icmp_read;
    duet_stun_error error;
    uint8_t u8;
    uint32_t u32;
    uint64_t u64;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)test_random(seed);
    switch (duet_stun_attribute_format(type)) {
    case DUET_STUN_FORMAT_BYTES:
    case DUET_STUN_FORMAT_TEXT:
        if (type == DUET_STUN_MESSAGE_INTEGRITY || type == DUET_STUN_MESSAGE_INTEGRITY_SHA256)
            return;
        duet_stun_add(&b, type, bytes, len);
        duet_stun_message bytes_message = parsed(&b);
        assert_true(duet_stun_find(&bytes_message, type, &a));
        assert_int_equal(a.len, len);
        assert_memory_equal(a.value, bytes, len);
        for (size_t i = 0; i < a.padding_len; i++)
            assert_int_equal(a.padding[i], 0);
        return;
    case DUET_STUN_FORMAT_FLAG:
        duet_stun_add_flag(&b, type);
        break;
    case DUET_STUN_FORMAT_U8:
    case DUET_STUN_FORMAT_U8_PADDED:
        duet_stun_add_u8(&b, type, (uint8_t)v);
        break;
    case DUET_STUN_FORMAT_U16_PADDED:
        duet_stun_add_u16(&b, type, (uint16_t)v);
        break;
    case DUET_STUN_FORMAT_U32:
        duet_stun_add_u32(&b, type, (uint32_t)v);
        break;
    case DUET_STUN_FORMAT_U64:
        duet_stun_add_u64(&b, type, v);
        break;
    case DUET_STUN_FORMAT_ADDRESS:
    case DUET_STUN_FORMAT_XOR_ADDRESS:
        duet_stun_add_address(&b, type, &address);
        break;
    case DUET_STUN_FORMAT_ERROR:
        if (type == DUET_STUN_ERROR_CODE)
            duet_stun_add_error(&b, (unsigned)(300 + v % 400), "a reason");
        else
            duet_stun_add_address_error(&b, DUET_STUN_FAMILY_IPV6, (unsigned)(300 + v % 400), "a reason");
        break;
    case DUET_STUN_FORMAT_TYPES:
        duet_stun_add_types(&b, types, 3);
        break;
    case DUET_STUN_FORMAT_ALGORITHMS:
        duet_stun_add_algorithms(&b, type, algorithms, type == DUET_STUN_PASSWORD_ALGORITHM ? 1 : 2);
        break;
    case DUET_STUN_FORMAT_ICMP:
        duet_stun_add_icmp(&b, &icmp);
        break;
    }

    duet_stun_message m = parsed(&b);
    assert_int_equal(m.attribute_count, 1);
    assert_true(duet_stun_find(&m, type, &a));
    switch (duet_stun_attribute_format(type)) {
    case DUET_STUN_FORMAT_U8:
    case DUET_STUN_FORMAT_U8_PADDED:
        assert_int_equal(duet_stun_value_u8(&a, &u8), DUET_OK);
        assert_int_equal(u8, (uint8_t)v);
        break;
    case DUET_STUN_FORMAT_U16_PADDED:
        assert_int_equal(duet_stun_value_u16(&a, &u16), DUET_OK);
        assert_int_equal(u16, (uint16_t)v);
        break;
    case DUET_STUN_FORMAT_U32:
        assert_int_equal(duet_stun_value_u32(&a, &u32), DUET_OK);
        assert_int_equal(u32, (uint32_t)v);
        break;
    case DUET_STUN_FORMAT_U64:
        assert_int_equal(duet_stun_value_u64(&a, &u64), DUET_OK);
        assert_true(u64 == v);
        break;
    case DUET_STUN_FORMAT_ADDRESS:
    case DUET_STUN_FORMAT_XOR_ADDRESS:
        assert_int_equal(duet_stun_value_address(&m, &a, &address_read), DUET_OK);
        assert_true(duet_address_equal(&address, &address_read));
        break;
    case DUET_STUN_FORMAT_ERROR:
        assert_int_equal(duet_stun_value_error(&a, &error), DUET_OK);
        assert_int_equal(error.code, 300 + v % 400);
        assert_int_equal(error.reason_len, 8);
        assert_int_equal(error.family, type == DUET_STUN_ERROR_CODE ? 0 : DUET_STUN_FAMILY_IPV6);
        break;
    case DUET_STUN_FORMAT_TYPES:
        assert_int_equal(duet_stun_value_types(&a, types_read, &count), DUET_OK);
        assert_int_equal(count, 3);
        assert_memory_equal(types, types_read, sizeof(types));
        break;
    case DUET_STUN_FORMAT_ALGORITHMS:
        assert_int_equal(duet_stun_value_algorithms(&a, algorithms_read, &count), DUET_OK);
        assert_int_equal(count, type == DUET_STUN_PASSWORD_ALGORITHM ? 1 : 2);
        assert_int_equal(algorithms_read[0].algorithm, DUET_STUN_SHA256);
        if (count == 2)
            assert_memory_equal(algorithms_read[1].parameters, bytes, 5);
        break;
    case DUET_STUN_FORMAT_ICMP:
        assert_int_equal(duet_stun_value_icmp(&a, &icmp_read), DUET_OK);
        assert_true(icmp.type == icmp_read.type && icmp.code == icmp_read.code && icmp.data == icmp_read.data);
        break;
    default:
        break;
    }
}

static void every_attribute_survives_the_round_trip(void **state)
{
    uint64_t seed = 42;
    size_t named = 0;

    (void)state;
    for (unsigned type = 1; type <= 0xFFFF; type++) {
        if (!duet_stun_attribute_name((uint16_t)type))
            continue;
        named++;
        for (int i = 0; i < 50; i++)
            roundtrip((uint16_t)type, &seed);
    }
    assert_true(named >= 45);
    roundtrip(0x7ABC, &seed);
}

static void every_class_and_method_survives_the_round_trip(void **state)
{
    uint8_t buf[64];
    duet_stun_message m;
    size_t len;

    (void)state;
    for (unsigned method = 0; method <= DUET_STUN_METHOD_MAX; method++) {
        for (unsigned message_class = 0; message_class < 4; message_class++) {
            duet_stun_builder b =
                duet_stun_begin(buf, sizeof(buf), (duet_stun_class)message_class, (uint16_t)method, id);
            assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
            assert_int_equal(duet_stun_parse(&m, buf, len), DUET_OK);
            assert_int_equal(m.method, method);
            assert_int_equal(m.message_class, message_class);
        }
    }
    duet_stun_builder b = duet_stun_begin(buf, sizeof(buf), DUET_STUN_REQUEST, 0x100, id);
    assert_int_equal(duet_stun_end(&b, NULL), DUET_ERR_INVALID);
}

static void truncated_integrity_of_sha256_is_accepted(void **state)
{
    uint8_t buf[128];

    (void)state;
    for (size_t len = 16; len <= 32; len += 4) {
        duet_stun_builder b = begin(buf, sizeof(buf));
        duet_stun_add_integrity_sha256(&b, "key", 3, len);
        duet_stun_add_fingerprint(&b);
        duet_stun_message m = parsed(&b);
        assert_int_equal(duet_stun_verify_integrity_sha256(&m, "key", 3), DUET_OK);
        assert_int_equal(duet_stun_verify_integrity_sha256(&m, "kez", 3), DUET_ERR_AUTH);
        assert_int_equal(duet_stun_verify_fingerprint(&m), DUET_OK);
    }
    for (size_t len = 0; len <= 40; len++) {
        if (len >= 16 && len <= 32 && len % 4 == 0)
            continue;
        duet_stun_builder b = begin(buf, sizeof(buf));
        duet_stun_add_integrity_sha256(&b, "key", 3, len);
        assert_int_equal(duet_stun_end(&b, NULL), DUET_ERR_INVALID);
    }
}

static void rfc8489_14_5_attributes_after_the_integrity_are_ignored(void **state)
{
    uint8_t buf[256];
    uint32_t v;

    (void)state;
    duet_stun_builder b = begin(buf, sizeof(buf));
    duet_stun_add_u32(&b, DUET_STUN_LIFETIME, 1);
    duet_stun_add_integrity(&b, "key", 3);
    duet_stun_add_flag(&b, DUET_STUN_USE_CANDIDATE);
    duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 7);
    duet_stun_add_integrity_sha256(&b, "key", 3, 32);
    duet_stun_add(&b, 0x7FF0, "x", 1);
    duet_stun_add_fingerprint(&b);
    duet_stun_message m = parsed(&b);
    assert_int_equal(m.attribute_count, 7);
    assert_int_equal(duet_stun_get_u32(&m, DUET_STUN_LIFETIME, &v), DUET_OK);
    assert_false(duet_stun_find(&m, DUET_STUN_USE_CANDIDATE, NULL));
    assert_int_equal(duet_stun_get_u32(&m, DUET_STUN_PRIORITY, &v), DUET_ERR_NOT_FOUND);
    assert_true(duet_stun_find(&m, DUET_STUN_MESSAGE_INTEGRITY_SHA256, NULL));
    assert_int_equal(duet_stun_unknown_required(&m, NULL, 0, NULL, 0), 0);
    assert_int_equal(duet_stun_verify_integrity(&m, "key", 3), DUET_OK);
    assert_int_equal(duet_stun_verify_integrity_sha256(&m, "key", 3), DUET_OK);
    assert_int_equal(duet_stun_verify_fingerprint(&m), DUET_OK);
}

static void the_first_of_repeated_attributes_counts(void **state)
{
    uint8_t buf[256];
    uint32_t v;

    (void)state;
    duet_stun_builder b = begin(buf, sizeof(buf));
    duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 1);
    duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 2);
    duet_stun_message m = parsed(&b);
    assert_int_equal(duet_stun_get_u32(&m, DUET_STUN_PRIORITY, &v), DUET_OK);
    assert_int_equal(v, 1);
}

static void a_fingerprint_that_is_not_last_does_not_count(void **state)
{
    uint8_t buf[256];

    (void)state;
    duet_stun_builder b = begin(buf, sizeof(buf));
    duet_stun_add_fingerprint(&b);
    duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 2);
    duet_stun_message m = parsed(&b);
    assert_int_equal(duet_stun_verify_fingerprint(&m), DUET_ERR_NOT_FOUND);
}

static void unknown_required_attributes_are_listed_once(void **state)
{
    static const uint16_t known[] = {DUET_STUN_USERNAME};
    uint8_t buf[256];
    uint16_t unknown[2];

    (void)state;
    duet_stun_builder b = begin(buf, sizeof(buf));
    duet_stun_add_text(&b, DUET_STUN_USERNAME, "u");
    duet_stun_add(&b, 0x7001, "a", 1);
    duet_stun_add(&b, 0xC057, "a", 1);
    duet_stun_add(&b, 0x7001, "b", 1);
    duet_stun_add(&b, 0x7002, "b", 1);
    duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 1);
    duet_stun_message m = parsed(&b);
    assert_int_equal(duet_stun_unknown_required(&m, NULL, 0, unknown, 2), 2);
    assert_int_equal(unknown[0], 0x7001);
    assert_int_equal(unknown[1], 0x7002);
    assert_int_equal(duet_stun_unknown_required(&m, known, 1, unknown, 2), 3);
}

static void the_builder_refuses_what_does_not_fit(void **state)
{
    uint8_t buf[200];
    static uint8_t big[70000], zeros[70000];
    size_t len;

    (void)state;
    for (size_t size = 0; size < 100; size++) {
        duet_stun_builder b = begin(buf, size);
        duet_stun_add_text(&b, DUET_STUN_USERNAME, "abcde");
        duet_stun_add_address(&b, DUET_STUN_XOR_MAPPED_ADDRESS, &(duet_address){.family = DUET_AF_INET6});
        duet_stun_add_integrity(&b, "key", 3);
        duet_stun_add_fingerprint(&b);
        assert_int_equal(duet_stun_end(&b, &len), size >= 20 + 12 + 24 + 24 + 8 ? DUET_OK : DUET_ERR_BUFFER);
        assert_true(len <= size);
    }
    duet_stun_builder b = begin(big, sizeof(big));
    duet_stun_add(&b, DUET_STUN_DATA_ATTRIBUTE, zeros, 65536);
    assert_int_equal(duet_stun_end(&b, &len), DUET_ERR_BUFFER);
    b = begin(big, sizeof(big));
    duet_stun_add(&b, DUET_STUN_DATA_ATTRIBUTE, zeros, 65528);
    assert_int_equal(duet_stun_end(&b, &len), DUET_OK);
    duet_stun_add_u32(&b, DUET_STUN_PRIORITY, 1);
    assert_int_equal(duet_stun_end(&b, &len), DUET_ERR_BUFFER);
    b = begin(buf, sizeof(buf));
    duet_stun_add_error(&b, 299, NULL);
    assert_int_equal(duet_stun_end(&b, &len), DUET_ERR_INVALID);
    b = begin(buf, sizeof(buf));
    duet_stun_add_address(&b, DUET_STUN_MAPPED_ADDRESS, &(duet_address){0});
    assert_int_equal(duet_stun_end(&b, &len), DUET_ERR_INVALID);
}

static void names_are_those_of_the_registries(void **state)
{
    (void)state;
    assert_string_equal(duet_stun_attribute_name(DUET_STUN_XOR_MAPPED_ADDRESS), "XOR-MAPPED-ADDRESS");
    assert_string_equal(duet_stun_attribute_name(0xC057), "GOOG-NETWORK-INFO");
    assert_null(duet_stun_attribute_name(0x7FFF));
    assert_string_equal(duet_stun_method_name(DUET_STUN_CREATE_PERMISSION), "CreatePermission");
    assert_null(duet_stun_method_name(0x777));
    assert_string_equal(duet_stun_class_name(DUET_STUN_ERROR), "error response");
    assert_string_equal(duet_stun_error_name(487), "Role Conflict");
    assert_null(duet_stun_error_name(699));
}

static void nonce_cookies_carry_features(void **state)
{
    char cookie[DUET_STUN_NONCE_COOKIE_LEN + 1];

    (void)state;
    for (uint32_t features = 0; features < 1u << 24; features += 4097) {
        duet_stun_nonce_cookie(cookie, features);
        assert_int_equal(duet_stun_nonce_features((const uint8_t *)cookie, strlen(cookie)), features);
    }
    assert_int_equal(duet_stun_nonce_features((const uint8_t *)"obMatJos2AA", 11), 0);
    assert_int_equal(duet_stun_nonce_features((const uint8_t *)"obMatJos2A*AC", 13), 0);
    assert_int_equal(duet_stun_nonce_features((const uint8_t *)"abMatJos2AAAC", 13), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_attribute_survives_the_round_trip),
        cmocka_unit_test(every_class_and_method_survives_the_round_trip),
        cmocka_unit_test(truncated_integrity_of_sha256_is_accepted),
        cmocka_unit_test(rfc8489_14_5_attributes_after_the_integrity_are_ignored),
        cmocka_unit_test(the_first_of_repeated_attributes_counts),
        cmocka_unit_test(a_fingerprint_that_is_not_last_does_not_count),
        cmocka_unit_test(unknown_required_attributes_are_listed_once),
        cmocka_unit_test(the_builder_refuses_what_does_not_fit),
        cmocka_unit_test(names_are_those_of_the_registries),
        cmocka_unit_test(nonce_cookies_carry_features),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
