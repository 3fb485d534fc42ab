/* media/bits.h: bit fields, ns(n), leb128(). */
#include "media/bits.h"
#include "tests/test.h"

static void bits_come_back_as_they_were_written(void **state)
{
    uint64_t seed = 5;
    uint32_t values[200];
    unsigned widths[200];
    uint8_t data[1024];
    duet_bit_writer w = duet_bit_writer_init(data, sizeof(data));

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        widths[i] = (unsigned)test_random_below(&seed, 33);
        values[i] = (uint32_t)(test_random(&seed) & (((uint64_t)1 << widths[i]) - 1));
        duet_write_bits(&w, values[i], widths[i]);
    }
    duet_bit_writer_align(&w);
    assert_int_equal(duet_writer_finish(&w.bytes), DUET_OK);
    duet_bit_reader r = duet_bit_reader_init(duet_reader_init(data, w.bytes.len));
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(duet_read_bits(&r, widths[i]), values[i]);
    assert_int_equal(duet_read_bits(&r, r.left), 0);
    assert_int_equal(duet_reader_finish(&r.bytes), DUET_OK);
}

/* The table of the AV1 RTP specification, A.8.2: 00 01 10 110 111. */
static void five_values_take_two_or_three_bits(void **state)
{
    uint8_t data[4];
    duet_bit_writer w = duet_bit_writer_init(data, sizeof(data));

    (void)state;
    for (uint32_t v = 0; v < 5; v++)
        duet_write_ns(&w, 5, v);
    duet_bit_writer_align(&w);
    assert_int_equal(w.bytes.len, 2);
    assert_int_equal(data[0] << 8 | data[1], 0x1B70); /* 0001 1011 0111 0000 */
}

static void every_value_of_every_range_comes_back(void **state)
{
    (void)state;
    for (uint32_t n = 1; n < 70; n++) {
        for (uint32_t v = 0; v < n; v++) {
            uint8_t data[4] = {0};
            duet_bit_writer w = duet_bit_writer_init(data, sizeof(data));
            duet_write_ns(&w, n, v);
            duet_bit_writer_align(&w);
            duet_bit_reader r = duet_bit_reader_init(duet_reader_init(data, w.bytes.len));
            assert_int_equal(duet_read_ns(&r, n), v);
            assert_int_equal(duet_reader_finish(&r.bytes), DUET_OK);
        }
    }
}

static void bits_past_the_end_are_zeros_and_a_failure(void **state)
{
    static const uint8_t data[] = {0xFF};
    duet_bit_reader r = duet_bit_reader_init(duet_reader_init(data, sizeof(data)));

    (void)state;
    assert_int_equal(duet_read_bits(&r, 12), 0xFF0);
    assert_true(r.bytes.failed);
    assert_int_equal(duet_read_bits(&r, 32), 0);
}

static void bytes_that_emulation_prevention_puts_in_are_left_out(void **state)
{
    static const uint8_t data[] = {0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3, 0, 3};
    duet_bit_reader r = duet_bit_reader_of_nal_unit(duet_reader_init(data, sizeof(data)));

    (void)state;
    assert_int_equal(duet_read_bits(&r, 4), 0);
    assert_int_equal(duet_read_bits(&r, 24), 0x10); /* 00 00 01 00, but for four bits */
    assert_int_equal(duet_read_bits(&r, 4), 0);
    assert_int_equal(duet_read_bits(&r, 32), 0x00000003);
    assert_int_equal(duet_read_bits(&r, 16), 0x0003);
    assert_int_equal(duet_reader_finish(&r.bytes), DUET_OK);
}

static void bits_that_do_not_fit_are_a_failure(void **state)
{
    uint8_t data[2] = {0, 0xAA};
    duet_bit_writer w = duet_bit_writer_init(data, 1);

    (void)state;
    duet_write_bits(&w, 0x3FF, 10);
    duet_bit_writer_align(&w);
    assert_int_equal(duet_writer_finish(&w.bytes), DUET_ERR_BUFFER);
    assert_int_equal(data[1], 0xAA);
}

static void leb128_holds_32_bits_in_up_to_eight_bytes(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool ok;
        uint32_t value;
    } vectors[] = {
        {"\x00", 1, true, 0},
        {"\x7F", 1, true, 127},
        {"\x80\x01", 2, true, 128},
        {"\xFF\xFF\xFF\xFF\x0F", 5, true, UINT32_MAX},
        {"\x85\x80\x80\x80\x80\x80\x80\x00", 8, true, 5},      /* longer than needed */
        {"\x80\x80\x80\x80\x10", 5, false, 0},                 /* 2^32 */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x00", 9, false, 0}, /* nine bytes */
        {"\x80", 1, false, 0},
        {"", 0, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        duet_reader r = duet_reader_init((const uint8_t *)vectors[i].bytes, vectors[i].len);
        assert_int_equal(duet_read_leb128(&r), vectors[i].value);
        assert_int_equal(r.failed, !vectors[i].ok);
    }
}

static void leb128_is_as_long_as_it_says(void **state)
{
    (void)state;
    for (uint64_t v = 0; v <= UINT32_MAX; v = v * 2 + 1) {
        uint8_t data[8];
        duet_writer w = duet_writer_init(data, sizeof(data));
        duet_write_leb128(&w, (size_t)v);
        assert_int_equal(w.len, duet_leb128_len((size_t)v));
        duet_reader r = duet_reader_init(data, w.len);
        assert_int_equal(duet_read_leb128(&r), v);
        assert_int_equal(duet_reader_finish(&r), DUET_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_come_back_as_they_were_written),
        cmocka_unit_test(five_values_take_two_or_three_bits),
        cmocka_unit_test(every_value_of_every_range_comes_back),
        cmocka_unit_test(bits_past_the_end_are_zeros_and_a_failure),
        cmocka_unit_test(bytes_that_emulation_prevention_puts_in_are_left_out),
        cmocka_unit_test(bits_that_do_not_fit_are_a_failure),
        cmocka_unit_test(leb128_holds_32_bits_in_up_to_eight_bytes),
        cmocka_unit_test(leb128_is_as_long_as_it_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
