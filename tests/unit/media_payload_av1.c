/* AV1 payloads: the RTP payload format of the Alliance for Open Media. */
#include "payload_trip.h"

static int inspect(const uint8_t *payload, size_t len, duet_payload_info *info)
{
    return duet_payload_inspect(DUET_PAYLOAD_AV1, payload, len, info);
}

static void sizes_and_delimiters_do_not_travel(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_AV1, 100);
    /* temporal delimiter, sequence header of 3, frame of 4 with layers (T1 S2), padding */
    const uint8_t unit[] = {0x12, 0, 0x0A, 3, 1, 2, 3, 0x36, 0x30, 4, 5, 6, 7, 8, 0x7A, 1, 0x80};
    duet_payload_info info;

    assert_int_equal(duet_packetizer_begin(t->packetizer, unit, sizeof(unit), NULL), DUET_OK);
    trip_expect_payload(t, true, 0x28, 4, 0x08, 1, 2, 3, 0x34, 0x30, 5, 6, 7, 8); /* W 2, N */
    assert_int_equal(inspect(t->payload, t->len, &info), DUET_OK);
    assert_true(info.starts_frame && info.is_keyframe);
    assert_int_equal(info.temporal_id, 1);
    assert_int_equal(info.spatial_id, 2);
    assert_int_equal(trip_receive(t, t->payload, t->len), DUET_OK);
    trip_expect(t, 0x0A, 3, 1, 2, 3, 0x36, 0x30, 4, 5, 6, 7, 8);
    trip_free(t);
}

static void an_obu_is_cut_into_fragments(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_AV1, 32);
    uint8_t unit[3 + 200] = {0x32, 0xC8, 0x01}; /* a size of two bytes */

    for (unsigned i = 0; i < 200; i++)
        unit[3 + i] = (uint8_t)i;
    trip_send(t, unit, sizeof(unit), NULL);
    assert_int_equal(t->payloads, 7);
    assert_true(t->longest - t->shortest < 4);
    assert_false(t->first.is_keyframe);
    trip_free(t);
}

static void any_number_of_elements_is_received(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_AV1, 32);
    const uint8_t five[] = {0x00, 2, 0x30, 1, 1, 0x30, 2, 0x30, 2, 2, 0x10, 9, 2, 0x30, 3}; /* W 0, a delimiter too */
    const uint8_t three[] = {0x30, 2, 0x30, 1, 2, 0x30, 2, 0x34, 0x28, 3};
    const uint8_t sized[] = {0x10, 0x32, 0x82, 0x00, 7, 8}; /* with a size, which is overlong */

    assert_int_equal(trip_receive(t, five, sizeof(five)), DUET_OK);
    trip_expect(t, 0x32, 1, 1, 0x32, 0, 0x32, 1, 2, 0x32, 1, 3);
    assert_int_equal(trip_receive(t, three, sizeof(three)), DUET_OK);
    trip_expect(t, 0x32, 1, 1, 0x32, 1, 2, 0x36, 0x28, 1, 3);
    assert_int_equal(trip_receive(t, sized, sizeof(sized)), DUET_OK);
    trip_expect(t, 0x32, 2, 7, 8);
    trip_free(t);
}

static void fragments_must_belong_together(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_AV1, 32);
    const uint8_t start[] = {0x50, 0x30, 1}, middle[] = {0xD0, 2}, end[] = {0xA0, 1, 3, 0x30, 4},
                  whole[] = {0x10, 0x30};
    const uint8_t *frame;
    size_t len;

    assert_int_equal(trip_receive(t, middle, sizeof(middle)), DUET_ERR_MALFORMED);
    assert_int_equal(trip_receive(t, start, sizeof(start)), DUET_OK);
    assert_int_equal(trip_end(t, &frame, &len), DUET_ERR_MALFORMED);
    assert_int_equal(duet_depacketizer_add(t->depacketizer, middle, sizeof(middle)), DUET_OK);
    assert_int_equal(duet_depacketizer_add(t->depacketizer, end, sizeof(end)), DUET_OK);
    trip_expect(t, 0x32, 3, 1, 2, 3, 0x32, 1, 4);
    assert_int_equal(trip_receive(t, start, sizeof(start)), DUET_OK);
    assert_int_equal(duet_depacketizer_add(t->depacketizer, whole, sizeof(whole)), DUET_ERR_MALFORMED);
    trip_free(t);
}

static void lying_payloads_are_malformed(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_AV1, 100);
    const struct {
        uint8_t payload[14];
        size_t len;
    } cases[] = {
        {{0x10}, 1},                                                              /* no element */
        {{0x20, 1, 0x30}, 3},                                                     /* two announced, one there */
        {{0x20, 0, 0x30}, 3},                                                     /* an element of nothing */
        {{0x00, 5, 0x30, 1}, 4},                                                  /* past the end */
        {{0x00, 0x80}, 2},                                                        /* a length that does not end */
        {{0x00, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x30}, 11}, /* of nine bytes */
        {{0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0x30}, 7},                          /* beyond 32 bits */
        {{0x10, 0xB0, 1}, 3},                                                     /* forbidden bit */
        {{0x10, 0x34}, 2},                                                        /* no extension */
        {{0x10, 0x32, 3, 1}, 4},                                                  /* a size past the end */
        {{0x10, 0x32, 1, 1, 2}, 5},                                               /* bytes behind the size */
        {{0x10, 0x32}, 2},                                                        /* no size */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(trip_receive(t, cases[i].payload, cases[i].len), DUET_ERR_MALFORMED);
    duet_payload_info info;
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(inspect(cases[i].payload, cases[i].len, &info), DUET_ERR_MALFORMED);
    assert_int_equal(inspect((const uint8_t[]){0x98, 0x30}, 2, &info), DUET_ERR_MALFORMED); /* N and Z */
    trip_free(t);
}

static void what_is_no_temporal_unit_is_malformed(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_AV1, 100);
    const uint8_t past_end[] = {0x32, 5, 1}, only_delimiter[] = {0x12, 0}, forbidden[] = {0xB2, 1, 1};

    assert_int_equal(duet_packetizer_begin(t->packetizer, past_end, 3, NULL), DUET_ERR_MALFORMED);
    assert_int_equal(duet_packetizer_begin(t->packetizer, only_delimiter, 2, NULL), DUET_ERR_MALFORMED);
    assert_int_equal(duet_packetizer_begin(t->packetizer, forbidden, 3, NULL), DUET_ERR_MALFORMED);
    assert_int_equal(duet_packetizer_next(t->packetizer, t->payload, 100, &t->len, &(bool){false}), 0);
    trip_free(t);
}

static size_t put_leb128(uint8_t *at, size_t v)
{
    size_t len = 0;

    for (; v >= 0x80; v >>= 7)
        at[len++] = (uint8_t)(v | 0x80);
    at[len++] = (uint8_t)v;
    return len;
}

static void any_unit_at_any_size_comes_out_as_it_went_in(void **state)
{
    (void)state;
    static uint8_t unit[30000];
    const uint8_t types[] = {1, 3, 4, 5, 6, 7};
    uint64_t seed = 15;

    for (int i = 0; i < 500; i++) {
        trip *t = trip_new(DUET_PAYLOAD_AV1, 32 + test_random_below(&seed, i % 2 ? 30 : 1400));
        size_t len = 0, obus = 1 + test_random_below(&seed, 9);
        for (size_t o = 0; o < obus; o++) {
            bool extended = test_random_below(&seed, 2);
            size_t size = test_random_below(&seed, test_random_below(&seed, 2) ? 20 : 3000);
            unit[len++] = (uint8_t)(types[test_random_below(&seed, sizeof(types))] << 3 | (extended ? 6 : 2));
            if (extended)
                unit[len++] = (uint8_t)test_random(&seed);
            len += put_leb128(unit + len, size);
            test_random_fill(&seed, unit + len, size);
            len += size;
        }
        trip_send(t, unit, len, NULL);
        trip_free(t);
    }
}

static void garbage_stays_within_its_bounds(void **state)
{
    (void)state;
    const uint8_t payload[] = {0x30, 2, 0x30, 1, 2, 0x30, 2, 0x34, 0x28, 3}, start[] = {0x50, 0x30, 1, 2, 3},
                  many[] = {0x00, 2, 0x30, 1, 1, 0x30, 2, 0x30, 2, 2, 0x10, 9, 2, 0x30, 3};
    trip_garbage(DUET_PAYLOAD_AV1, payload, sizeof(payload), 26);
    trip_garbage(DUET_PAYLOAD_AV1, start, sizeof(start), 27);
    trip_garbage(DUET_PAYLOAD_AV1, many, sizeof(many), 28);
}

/* Fragments that make the frame's memory grow, also while a size is put in. */
static int grow(const duet_env *env, void *arg)
{
    uint8_t start[61] = {0x50, 0x30}, middle[60] = {0xD0}, end[60] = {0x90};
    const uint8_t *frame;
    size_t len;
    duet_depacketizer *d = NULL;
    int err = trip_in_short_memory(env, arg);

    if (!err)
        err = duet_depacketizer_create(&d, env, DUET_PAYLOAD_AV1, 0);
    if (err)
        return err;
    for (int middles = 0; !err && middles < 20; middles++) {
        duet_depacketizer_begin(d);
        err = duet_depacketizer_add(d, start, sizeof(start) - (size_t)middles % 4);
        for (int i = 0; !err && i < middles; i++)
            err = duet_depacketizer_add(d, middle, sizeof(middle));
        if (!err)
            err = duet_depacketizer_add(d, end, sizeof(end));
        assert_int_equal(duet_depacketizer_end(d, &frame, &len), err);
    }
    duet_depacketizer_destroy(d);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    duet_payload_format format = DUET_PAYLOAD_AV1;
    test_fail_each_allocation("AV1", grow, &format);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_delimiters_do_not_travel),
        cmocka_unit_test(an_obu_is_cut_into_fragments),
        cmocka_unit_test(any_number_of_elements_is_received),
        cmocka_unit_test(fragments_must_belong_together),
        cmocka_unit_test(lying_payloads_are_malformed),
        cmocka_unit_test(what_is_no_temporal_unit_is_malformed),
        cmocka_unit_test(any_unit_at_any_size_comes_out_as_it_went_in),
        cmocka_unit_test(garbage_stays_within_its_bounds),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
