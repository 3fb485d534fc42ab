/* Redundant audio (RFC 2198) over a stream: what a sender repeats, and which hole a redundant block fills. */
#include "duet/payload.h"
#include "test.h"

#define OPUS 111

/* ---- sending ---- */

static int wrap(duet_red_sender *s, uint32_t timestamp, size_t len, size_t capacity, duet_red_block *blocks)
{
    static uint8_t payload[1400], out[1400];
    size_t out_len = 0;

    memset(payload, (int)(timestamp & 0xFF), sizeof(payload));
    int count = duet_red_wrap(s, OPUS, timestamp, payload, len, out, capacity, &out_len);
    if (count >= 0)
        assert_int_equal(duet_red_parse(blocks, out, out_len), count + 1);
    return count;
}

static void a_payload_carries_the_one_before_it(void **state)
{
    duet_red_sender s = {0};
    duet_red_block b[DUET_RED_BLOCKS_MAX];
    (void)state;

    assert_int_equal(wrap(&s, 7, 80, 1200, b), 0);
    assert_int_equal(b[0].len, 80);
    assert_int_equal(b[0].payload_type, OPUS);
    assert_int_equal(wrap(&s, 967, 60, 1200, b), 1);
    assert_int_equal(b[0].timestamp_offset, 960);
    assert_int_equal(b[0].len, 80);
    assert_int_equal(b[0].data[79], 7);
    assert_int_equal(b[1].len, 60);
    assert_int_equal(b[1].data[0], 967 & 0xFF);
    assert_int_equal(wrap(&s, 1927, 0, 1200, b), 1); /* an empty one */
    assert_int_equal(b[0].len, 60);
    assert_int_equal(wrap(&s, 2887, 10, 1200, b), 1);
    assert_int_equal(b[0].len, 0);
}

static void what_cannot_be_said_is_left_out(void **state)
{
    static const struct {
        uint32_t step;
        size_t before, len, capacity;
        int count;
    } cases[] = {
        {960, 80, 80, 1200, 1},
        {0x3FFF, 80, 80, 1200, 1},
        {0x4000, 80, 80, 1200, 0}, /* 14 bits of offset */
        {19200, 80, 80, 1200, 0},  /* DTX of Opus */
        {0, 80, 80, 1200, 0},      /* the same once more */
        {(uint32_t)-960, 80, 80, 1200, 0},
        {960, 1023, 80, 1200, 1},
        {960, 1024, 80, 1200, 0}, /* 10 bits of length */
        {960, 80, 80, 165, 1},
        {960, 80, 80, 164, 0}, /* no room */
        {960, 80, 80, 81, 0},
        {960, 80, 80, 80, DUET_ERR_BUFFER},
        {960, 80, 80, 0, DUET_ERR_BUFFER},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        duet_red_sender s = {0};
        duet_red_block b[DUET_RED_BLOCKS_MAX];
        uint32_t first = UINT32_MAX - 100; /* timestamps wrap */
        (void)wrap(&s, first, cases[i].before, 1400, b);
        int count = wrap(&s, first + cases[i].step, cases[i].len, cases[i].capacity, b);
        if (count != cases[i].count)
            fail_msg("case %zu: %d", i, count);
        assert_int_equal(wrap(&s, first + cases[i].step + 960, 10, 1400, b), 1); /* what went alone is repeated too */
    }
}

static void a_payload_type_has_seven_bits(void **state)
{
    duet_red_sender s = {0};
    uint8_t out[100] = {0};
    size_t len;
    (void)state;

    assert_int_equal(duet_red_wrap(&s, 128, 0, out, 10, out + 20, 50, &len), DUET_ERR_INVALID);
}

/* ---- receiving ---- */

static void a_block_fills_the_hole_before_its_packet(void **state)
{
    duet_red_receiver r = {0};
    (void)state;

    duet_red_note(&r, 70000, 0, true);
    duet_red_note(&r, 70002, 1920, true);
    assert_int_equal(duet_red_hole(&r, 70002, 960), 70001);
    duet_red_note(&r, 70001, 960, true);
    assert_int_equal(duet_red_hole(&r, 70002, 960), DUET_RED_NO_HOLE);
    assert_int_equal(duet_red_hole(&r, 70002, 0), DUET_RED_NO_HOLE);
}

static void two_blocks_fill_two_holes_the_newest_first(void **state)
{
    duet_red_receiver r = {0};
    (void)state;

    duet_red_note(&r, 100, 0, true);
    duet_red_note(&r, 103, 2880, true);
    assert_int_equal(duet_red_hole(&r, 103, 1920), 102);
    duet_red_note(&r, 102, 1920, true);
    assert_int_equal(duet_red_hole(&r, 103, 960), 101);
    duet_red_note(&r, 101, 960, true);
    assert_int_equal(duet_red_hole(&r, 103, 960), DUET_RED_NO_HOLE);
}

static void events_between_have_numbers_and_no_time(void **state)
{
    duet_red_receiver r = {0};
    (void)state;

    duet_red_note(&r, 100, 0, true);
    /* 101 is lost: sound of 960 */
    duet_red_note(&r, 102, 40000, false);
    duet_red_note(&r, 103, 40000, false);
    duet_red_note(&r, 104, 1920, true);
    assert_int_equal(duet_red_hole(&r, 104, 960), 101);
    assert_int_equal(duet_red_hole(&r, 104, 0), DUET_RED_NO_HOLE);
}

static void nothing_is_made_up_where_no_number_is_missing(void **state)
{
    duet_red_receiver r = {0};
    (void)state;

    duet_red_note(&r, 100, 0, true);
    duet_red_note(&r, 101, 1920, true);
    assert_int_equal(duet_red_hole(&r, 101, 960), DUET_RED_NO_HOLE); /* it was never sent */
    assert_int_equal(duet_red_hole(&r, 101, (uint32_t)-960), DUET_RED_NO_HOLE);
}

static void before_the_beginning_there_are_no_holes(void **state)
{
    duet_red_receiver r = {0};
    (void)state;

    assert_int_equal(duet_red_hole(&r, 65536, 960), DUET_RED_NO_HOLE);
    duet_red_note(&r, 65536, 960, true);
    assert_int_equal(duet_red_hole(&r, 65536, 0), DUET_RED_NO_HOLE);
    assert_int_equal(duet_red_hole(&r, 1, 0), DUET_RED_NO_HOLE);
    assert_int_equal(duet_red_hole(&r, 0, 0), DUET_RED_NO_HOLE);
}

static void packets_may_come_in_any_order(void **state)
{
    duet_red_receiver r = {0};
    (void)state;

    duet_red_note(&r, 100, UINT32_MAX - 959, true); /* timestamps wrap */
    duet_red_note(&r, 103, 1920, true);
    duet_red_note(&r, 102, 960, true); /* late, with the one before it */
    assert_int_equal(duet_red_hole(&r, 102, 0), 101);
    duet_red_note(&r, 101, 0, true);
    assert_int_equal(duet_red_hole(&r, 103, 960), DUET_RED_NO_HOLE);
    assert_int_equal(duet_red_hole(&r, 103, UINT32_MAX - 959), DUET_RED_NO_HOLE);
}

static void what_is_too_old_to_tell_is_not_taken(void **state)
{
    duet_red_receiver r = {0};
    (void)state;

    duet_red_note(&r, 100, 0, true);
    for (int64_t s = 102; s < 102 + DUET_RED_WINDOW; s++)
        duet_red_note(&r, s, (uint32_t)(s - 100) * 960, true);
    assert_int_equal(duet_red_hole(&r, 101 + DUET_RED_WINDOW, 960), DUET_RED_NO_HOLE);
    assert_int_equal(duet_red_hole(&r, 101 + DUET_RED_WINDOW, 5 * 960), DUET_RED_NO_HOLE);
}

static void random_streams_are_never_given_twice(void **state)
{
    uint64_t seed = 5;
    (void)state;

    for (int run = 0; run < 200; run++) {
        duet_red_receiver r = {0};
        bool has[400] = {false};
        duet_red_note(&r, 1000, 0, true);
        has[0] = true;
        for (int64_t i = 1; i < 400; i++) {
            uint8_t byte[2];
            test_random_fill(&seed, byte, sizeof(byte));
            if (byte[0] < 50)
                continue; /* lost */
            duet_red_note(&r, 1000 + i, (uint32_t)i * 960, true);
            has[i] = true;
            for (int64_t back = 1; back <= byte[1] % 3 && back <= i; back++) {
                int64_t hole = duet_red_hole(&r, 1000 + i, (uint32_t)(i - back) * 960);
                assert_true(hole == DUET_RED_NO_HOLE || hole == 1000 + i - back);
                assert_true((hole == DUET_RED_NO_HOLE) == has[i - back]);
                if (hole == DUET_RED_NO_HOLE)
                    continue;
                duet_red_note(&r, hole, (uint32_t)(i - back) * 960, true);
                has[i - back] = true;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_payload_carries_the_one_before_it),
        cmocka_unit_test(what_cannot_be_said_is_left_out),
        cmocka_unit_test(a_payload_type_has_seven_bits),
        cmocka_unit_test(a_block_fills_the_hole_before_its_packet),
        cmocka_unit_test(two_blocks_fill_two_holes_the_newest_first),
        cmocka_unit_test(events_between_have_numbers_and_no_time),
        cmocka_unit_test(nothing_is_made_up_where_no_number_is_missing),
        cmocka_unit_test(before_the_beginning_there_are_no_holes),
        cmocka_unit_test(packets_may_come_in_any_order),
        cmocka_unit_test(what_is_too_old_to_tell_is_not_taken),
        cmocka_unit_test(random_streams_are_never_given_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
