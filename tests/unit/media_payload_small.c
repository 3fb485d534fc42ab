/* Redundancy (RFC 2198), telephone events (RFC 4733) and comfort noise (RFC 3389). */
#include "duet/payload.h"
#include "test.h"

static void red_blocks_are_read_and_written(void **state)
{
    (void)state;
    /* two redundant blocks of 3 and 2 bytes, 1920 and 960 before the primary one */
    const uint8_t payload[] = {0xEF, 0x1E, 0x00, 3, 0xEF, 0x0F, 0x00, 2, 0x6F, 1, 2, 3, 4, 5, 6};
    duet_red_block blocks[DUET_RED_BLOCKS_MAX];
    uint8_t out[sizeof(payload)];
    size_t len;

    assert_int_equal(duet_red_parse(blocks, payload, sizeof(payload)), 3);
    assert_int_equal(blocks[0].payload_type, 111);
    assert_int_equal(blocks[0].timestamp_offset, 1920);
    assert_int_equal(blocks[0].len, 3);
    assert_int_equal(blocks[1].timestamp_offset, 960);
    assert_int_equal(blocks[1].data[0], 4);
    assert_int_equal(blocks[2].timestamp_offset, 0);
    assert_int_equal(blocks[2].len, 1);
    assert_int_equal(duet_red_write(blocks, 3, out, sizeof(out), &len), DUET_OK);
    assert_int_equal(len, sizeof(payload));
    assert_memory_equal(out, payload, len);
    assert_int_equal(duet_red_write(blocks, 3, out, sizeof(out) - 1, &len), DUET_ERR_BUFFER);
    for (size_t cut = 0; cut < 14; cut++) /* at 14 the primary block is empty, as in a pause */
        assert_int_equal(duet_red_parse(blocks, payload, cut), DUET_ERR_MALFORMED);
    assert_int_equal(duet_red_parse(blocks, payload, 14), 3);
}

static void red_has_bounds(void **state)
{
    (void)state;
    uint8_t payload[4 * 40 + 1] = {0};
    duet_red_block blocks[DUET_RED_BLOCKS_MAX + 1] = {0}, one = {.payload_type = 1};
    uint8_t out[2000];
    size_t len;

    for (size_t i = 0; i < 40; i++)
        payload[4 * i] = 0x80;
    assert_int_equal(duet_red_parse(blocks, payload, sizeof(payload)), DUET_ERR_MALFORMED);
    assert_int_equal(duet_red_parse(blocks, payload + 4 * 9, 4 * 31 + 1), 32);
    assert_int_equal(duet_red_write(blocks, 32, out, sizeof(out), &len), DUET_OK);
    assert_int_equal(duet_red_write(blocks, 33, out, sizeof(out), &len), DUET_ERR_INVALID);
    assert_int_equal(duet_red_write(blocks, 0, out, sizeof(out), &len), DUET_ERR_INVALID);
    one.timestamp_offset = 1; /* the primary block has none */
    assert_int_equal(duet_red_write(&one, 1, out, sizeof(out), &len), DUET_ERR_INVALID);
    duet_red_block two[2] = {{.payload_type = 1, .timestamp_offset = 0x4000}, {.payload_type = 1}};
    assert_int_equal(duet_red_write(two, 2, out, sizeof(out), &len), DUET_ERR_INVALID);
    two[0] = (duet_red_block){.payload_type = 1, .data = out, .len = 1024};
    assert_int_equal(duet_red_write(two, 2, out, sizeof(out), &len), DUET_ERR_INVALID);
    two[0] = (duet_red_block){.payload_type = 128};
    assert_int_equal(duet_red_write(two, 2, out, sizeof(out), &len), DUET_ERR_INVALID);
}

static void a_telephone_event_has_four_bytes(void **state)
{
    (void)state;
    const uint8_t payload[] = {11, 0x8A, 0x06, 0x40, 0};
    duet_telephone_event event;
    uint8_t out[4];
    size_t len;

    assert_int_equal(duet_telephone_event_parse(&event, payload, 4), DUET_OK);
    assert_int_equal(event.event, 11);
    assert_true(event.end);
    assert_int_equal(event.volume, 10);
    assert_int_equal(event.duration, 1600);
    assert_int_equal(duet_telephone_event_write(&event, out, sizeof(out), &len), DUET_OK);
    assert_memory_equal(out, payload, 4);
    assert_int_equal(duet_telephone_event_write(&event, out, 3, &len), DUET_ERR_BUFFER);
    event.volume = 64;
    assert_int_equal(duet_telephone_event_write(&event, out, 4, &len), DUET_ERR_INVALID);
    assert_int_equal(duet_telephone_event_parse(&event, payload, 3), DUET_ERR_MALFORMED);
    assert_int_equal(duet_telephone_event_parse(&event, payload, 5), DUET_ERR_MALFORMED);
    assert_int_equal(duet_telephone_event_parse(&event, payload, 0), DUET_ERR_MALFORMED);
}

static void a_receiver_lists_the_events_that_it_takes(void **state)
{
    static const struct {
        const char *fmtp;
        uint8_t event;
        bool is_taken;
    } rows[] = {
        {"", 0, true},
        {"", 15, true},
        {"", 16, false},
        {" ", 15, true},
        {"0-16", 16, true},
        {"0-15", 16, false},
        {"0-15,66,70", 66, true},
        {"0-15,66,70", 67, false},
        {"0-15,66,70", 70, true},
        {"16", 16, true},
        {"16", 1, false},
        {"0-9, 16", 16, true},
        {" 0-9 ,16", 16, true},
        {"0-255", 255, true},
        {"5-3,7", 7, false},
        {"0-256", 1, false},
        {"1-", 1, false},
        {"-5", 3, false},
        {"x", 0, false},
        {"0-15;x=16", 16, false},
        {"0-15;x=16", 3, true},
        {"0,,5", 5, false},
        {"0,,5", 0, true},
        {"99999999999999999999", 1, false},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (duet_telephone_event_is_taken(rows[i].fmtp, rows[i].event) != rows[i].is_taken)
            fail_msg("\"%s\" and event %u", rows[i].fmtp, rows[i].event);
    }
}

static void comfort_noise_is_a_level_and_coefficients(void **state)
{
    (void)state;
    uint8_t payload[64] = {0xBF, 1, 2, 3};
    duet_comfort_noise noise;
    uint8_t out[64];
    size_t len;

    assert_int_equal(duet_comfort_noise_parse(&noise, payload, 4), DUET_OK);
    assert_int_equal(noise.level, 63);
    assert_int_equal(noise.coefficient_count, 3);
    assert_int_equal(noise.coefficients[2], 3);
    assert_int_equal(duet_comfort_noise_write(&noise, out, sizeof(out), &len), DUET_OK);
    assert_int_equal(len, 4);
    assert_memory_equal(out + 1, payload + 1, 3);
    assert_int_equal(duet_comfort_noise_write(&noise, out, 3, &len), DUET_ERR_BUFFER);
    assert_int_equal(duet_comfort_noise_parse(&noise, payload, 1), DUET_OK);
    assert_int_equal(noise.coefficient_count, 0);
    assert_int_equal(duet_comfort_noise_parse(&noise, payload, 0), DUET_ERR_MALFORMED);
    assert_int_equal(duet_comfort_noise_parse(&noise, payload, sizeof(payload)), DUET_OK);
    assert_int_equal(noise.coefficient_count, 32); /* a lower order than the sender's */
    noise.level = 128;
    assert_int_equal(duet_comfort_noise_write(&noise, out, sizeof(out), &len), DUET_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(red_blocks_are_read_and_written),
        cmocka_unit_test(red_has_bounds),
        cmocka_unit_test(a_telephone_event_has_four_bytes),
        cmocka_unit_test(a_receiver_lists_the_events_that_it_takes),
        cmocka_unit_test(comfort_noise_is_a_level_and_coefficients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
