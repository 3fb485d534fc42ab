/* Reader, writer, checksums, hashes and addresses. */
#include "base/bytes.h"
#include "base/crypto.h"
#include "test.h"

static void reader_past_the_end_fails_once_and_for_all(void **state)
{
    (void)state;
    const uint8_t data[] = {1, 2, 3, 4, 5};
    duet_reader r = duet_reader_init(data, sizeof(data));

    assert_int_equal(duet_read_u16(&r), 0x0102);
    assert_int_equal(duet_peek_u8(&r, 2), 5);
    assert_int_equal(duet_peek_u8(&r, 3), 0);
    assert_int_equal(duet_read_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(duet_read_u8(&r), 0);
    assert_int_equal(duet_reader_left(&r), 0);
    assert_int_equal(duet_reader_finish(&r), DUET_ERR_MALFORMED);
}

static void left_over_bytes_are_malformed(void **state)
{
    (void)state;
    const uint8_t data[] = {1, 2};
    duet_reader r = duet_reader_init(data, sizeof(data));

    duet_read_u8(&r);
    assert_int_equal(duet_reader_finish(&r), DUET_ERR_MALFORMED);
    duet_read_u8(&r);
    assert_int_equal(duet_reader_finish(&r), DUET_OK);
}

static void lengths_near_the_largest_size_do_not_wrap(void **state)
{
    (void)state;
    const uint8_t data[] = {1, 2};
    duet_reader r = duet_reader_init(data, sizeof(data));

    duet_read_u8(&r);
    assert_null(duet_read_bytes(&r, SIZE_MAX).data);
    assert_true(r.failed);
    duet_reader sub = duet_read_sub(&r, 0);
    assert_true(sub.failed);
}

static void writer_is_read_back(void **state)
{
    (void)state;
    uint8_t buf[64];
    duet_writer w = duet_writer_init(buf, sizeof(buf));

    duet_write_u8(&w, 0x12);
    duet_write_u16(&w, 0x3456);
    duet_write_u24(&w, 0x789abc);
    duet_write_u32(&w, 0xdef01234);
    duet_write_u48(&w, 0x56789abcdef0);
    duet_write_u64(&w, 0x0123456789abcdef);
    duet_write_fill(&w, 7, 3);
    duet_write_u16_at(&w, 1, 0x1111);
    assert_int_equal(duet_writer_finish(&w), DUET_OK);
    duet_reader r = duet_reader_init(buf, w.len);
    assert_int_equal(duet_read_u8(&r), 0x12);
    assert_int_equal(duet_read_u16(&r), 0x1111);
    assert_int_equal(duet_read_u24(&r), 0x789abc);
    assert_int_equal(duet_read_u32(&r), 0xdef01234);
    assert_int_equal(duet_read_u48(&r), 0x56789abcdef0);
    assert_int_equal(duet_read_u64(&r), 0x0123456789abcdef);
    duet_read_skip(&r, 3);
    assert_int_equal(duet_reader_finish(&r), DUET_OK);
}

static void writer_past_the_end_writes_nothing(void **state)
{
    (void)state;
    uint8_t buf[4] = {9, 9, 9, 9};
    duet_writer w = duet_writer_init(buf, 3);

    duet_write_u16(&w, 1);
    duet_write_u16(&w, 2);
    assert_int_equal(duet_writer_finish(&w), DUET_ERR_BUFFER);
    assert_int_equal(buf[2], 9);
    duet_writer v = duet_writer_init(buf, 4);
    duet_write_u32_at(&v, 0, 1);
    assert_true(v.failed);
}

/* RFC 3720 appendix B.4 gives vectors of CRC-32c; "123456789" is the check value of both. */
static void checksums_have_their_published_values(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0}, ones[32], rising[32];

    memset(ones, 0xff, sizeof(ones));
    for (uint8_t i = 0; i < 32; i++)
        rising[i] = i;
    assert_int_equal(duet_crc32(0, "123456789", 9), 0xCBF43926u);
    assert_int_equal(duet_crc32c(0, "123456789", 9), 0xE3069283u);
    assert_int_equal(duet_crc32c(0, zeros, 32), 0x8A9136AAu);
    assert_int_equal(duet_crc32c(0, ones, 32), 0x62A8AB43u);
    assert_int_equal(duet_crc32c(0, rising, 32), 0x46DD794Eu);
}

static void hardware_and_software_checksums_agree_on_any_split(void **state)
{
    (void)state;
    uint8_t data[3000];
    uint64_t seed = 3;

    test_random_fill(&seed, data, sizeof(data));
    print_message("CRC-32c by %s\n", duet_crc32c_is_hardware() ? "hardware" : "software");
    for (int round = 0; round < 2000; round++) {
        size_t at = test_random_below(&seed, 1000), len = test_random_below(&seed, 2000);
        size_t cut = len ? test_random_below(&seed, len) : 0;
        uint32_t whole = duet_crc32c_software(0, data + at, len);
        assert_int_equal(duet_crc32c(0, data + at, len), whole);
        assert_int_equal(duet_crc32c(duet_crc32c(0, data + at, cut), data + at + cut, len - cut), whole);
    }
}

/* RFC 2202 test case 2 and 6, RFC 4231 test case 2. */
static void hmacs_have_their_published_values(void **state)
{
    (void)state;
    static const uint8_t sha1_2[] = {0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb, 0x2f, 0xa2, 0xd2, 0x74,
                                     0x16, 0xd5, 0xf1, 0x84, 0xdf, 0x9c, 0x25, 0x9a, 0x7c, 0x79};
    static const uint8_t sha1_6[] = {0xaa, 0x4a, 0xe5, 0xe1, 0x52, 0x72, 0xd0, 0x0e, 0x95, 0x70,
                                     0x56, 0x37, 0xce, 0x8a, 0x3b, 0x55, 0xed, 0x40, 0x21, 0x12};
    static const uint8_t sha256_2[] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
                                       0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
                                       0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    uint8_t out[32], long_key[80];
    const duet_iov split[] = {{"what do ya want ", 16}, {"for nothing?", 12}};
    const duet_iov long_text = {"Test Using Larger Than Block-Size Key - Hash Key First", 54};

    assert_int_equal(duet_hmac_sha1(out, "Jefe", 4, split, 2), DUET_OK);
    assert_memory_equal(out, sha1_2, sizeof(sha1_2));
    assert_int_equal(duet_hmac_sha256(out, "Jefe", 4, split, 2), DUET_OK);
    assert_memory_equal(out, sha256_2, sizeof(sha256_2));
    memset(long_key, 0xaa, sizeof(long_key));
    assert_int_equal(duet_hmac_sha1(out, long_key, sizeof(long_key), &long_text, 1), DUET_OK);
    assert_memory_equal(out, sha1_6, sizeof(sha1_6));
}

static void addresses_survive_their_text(void **state)
{
    (void)state;
    static const char *const texts[] = {"192.0.2.1:0", "255.255.255.255:65535", "[::1]:9",
                                        "[2001:db8::8:800:200c:417a]:80", "[fe80::1%3]:1000"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        duet_address a;
        char text[DUET_ADDRESS_TEXT_MAX];
        assert_int_equal(duet_address_parse_port(&a, texts[i]), DUET_OK);
        assert_string_equal(duet_address_text(&a, text, sizeof(text)), texts[i]);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "192.0.2.1",
                                        "192.0.2.1:",
                                        "192.0.2.1:65536",
                                        "::1:80x",
                                        "[::1]",
                                        "[192.0.2.1]:1",
                                        "host:80",
                                        "192.0.2.256:1",
                                        "[::1]:-1",
                                        "[fe80::1%]:1",
                                        "[fe80::1%4294967296]:1",
                                        "2001:db8::1:80"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        duet_address a;
        if (duet_address_parse_port(&a, texts[i]) == DUET_OK)
            fail_msg("\"%s\" was taken", texts[i]);
    }
}

static void addresses_know_their_class(void **state)
{
    (void)state;
    duet_address a;

    assert_int_equal(duet_address_parse(&a, "172.31.0.1", 0), DUET_OK);
    assert_true(duet_address_is_private(&a));
    assert_int_equal(duet_address_parse(&a, "172.32.0.1", 0), DUET_OK);
    assert_false(duet_address_is_private(&a));
    assert_int_equal(duet_address_parse(&a, "febf::1", 0), DUET_OK);
    assert_true(duet_address_is_link_local(&a));
    assert_int_equal(duet_address_parse(&a, "fec0::1", 0), DUET_OK);
    assert_false(duet_address_is_link_local(&a));
    assert_int_equal(duet_address_parse(&a, "127.255.0.1", 0), DUET_OK);
    assert_true(duet_address_is_loopback(&a));
    assert_int_equal(duet_address_parse(&a, "::", 0), DUET_OK);
    assert_true(duet_address_is_any(&a));
    assert_int_equal(duet_address_parse(&a, "239.1.2.3", 0), DUET_OK);
    assert_true(duet_address_is_multicast(&a));
}

static void every_error_has_a_name(void **state)
{
    (void)state;
    for (int err = 0; err >= DUET_ERR_BUFFER; err--)
        assert_string_not_equal(duet_strerror(err), "unknown error");
    assert_string_equal(duet_strerror(DUET_ERR_BUFFER - 1), "unknown error");
    assert_string_equal(duet_strerror(1), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_past_the_end_fails_once_and_for_all),
        cmocka_unit_test(left_over_bytes_are_malformed),
        cmocka_unit_test(lengths_near_the_largest_size_do_not_wrap),
        cmocka_unit_test(writer_is_read_back),
        cmocka_unit_test(writer_past_the_end_writes_nothing),
        cmocka_unit_test(checksums_have_their_published_values),
        cmocka_unit_test(hardware_and_software_checksums_agree_on_any_split),
        cmocka_unit_test(hmacs_have_their_published_values),
        cmocka_unit_test(addresses_survive_their_text),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(addresses_know_their_class),
        cmocka_unit_test(every_error_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
