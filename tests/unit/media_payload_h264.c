/* H.264 payloads: RFC 6184. */
#include "payload_trip.h"

static int inspect(const uint8_t *payload, size_t len, duet_payload_info *info)
{
    return duet_payload_inspect(DUET_PAYLOAD_H264, payload, len, info);
}

static void parameter_sets_travel_together_and_the_slice_alone(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_H264, 32);
    const uint8_t frame[] = {0,    0,  0,  1,  0x67, 1,  2,  0,  0, 0, 1, 0x28, 3,  0,  0,  1, /* a short start code */
                             0x65, 4,  0,  0,  3,    1,  5,  6,  7, 8, 9, 10,   11, 12, 13, 14,
                             15,   16, 17, 18, 19,   20, 21, 22, 23};

    assert_int_equal(duet_packetizer_begin(t->packetizer, frame, sizeof(frame), NULL), DUET_OK);
    /* NRI is the highest of both */
    trip_expect_payload(t, false, 0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x28, 3);
    trip_expect_payload(t, true, 0x65, 4, 0, 0, 3, 1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
                        23);
    trip_free(t);
}

static void a_large_unit_is_cut_into_fragments(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_H264, 32);
    uint8_t frame[4 + 1 + 61] = {0, 0, 0, 1, 0x65};
    duet_payload_info info;
    bool marker;

    memset(frame + 5, 0xAB, 61); /* in rooms of 30: three, of 21, 20 and 20 */
    assert_int_equal(duet_packetizer_begin(t->packetizer, frame, sizeof(frame), NULL), DUET_OK);
    const uint8_t heads[3][2] = {{0x7C, 0x85}, {0x7C, 0x05}, {0x7C, 0x45}};
    duet_depacketizer_begin(t->depacketizer);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(duet_packetizer_next(t->packetizer, t->payload, 32, &t->len, &marker), 1);
        assert_memory_equal(t->payload, heads[i], 2);
        assert_int_equal(t->len, i == 0 ? 23 : 22);
        assert_int_equal(marker, i == 2);
        assert_int_equal(inspect(t->payload, t->len, &info), DUET_OK);
        assert_int_equal(info.starts_frame, i == 0);
        assert_true(info.is_keyframe);
        assert_int_equal(info.descriptor_len, 2);
        assert_int_equal(duet_depacketizer_add(t->depacketizer, t->payload, t->len), DUET_OK);
    }
    const uint8_t *out;
    size_t len;
    assert_int_equal(trip_end(t, &out, &len), DUET_OK);
    assert_int_equal(len, sizeof(frame));
    assert_memory_equal(out, frame, len);
    trip_free(t);
}

static void mode_0_knows_single_units_only(void **state)
{
    (void)state;
    duet_packetizer_config config;
    duet_packetizer *p;
    uint8_t payload[32];
    size_t len;
    bool marker;
    uint8_t frame[50] = {0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 3};

    duet_packetizer_config_init(&config);
    config.format = DUET_PAYLOAD_H264;
    config.payload_max = 32;
    config.h264_mode_0 = true;
    assert_int_equal(duet_packetizer_create(&p, &config), DUET_OK);
    assert_int_equal(duet_packetizer_begin(p, frame, 18, NULL), DUET_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(duet_packetizer_next(p, payload, sizeof(payload), &len, &marker), 1);
        assert_int_equal(len, 2);
        assert_int_equal(marker, i == 2);
    }
    assert_int_equal(duet_packetizer_next(p, payload, sizeof(payload), &len, &marker), 0);
    memset(frame + 17, 1, sizeof(frame) - 17);
    assert_int_equal(duet_packetizer_begin(p, frame, sizeof(frame), NULL), DUET_ERR_TOO_LARGE);
    assert_int_equal(duet_packetizer_next(p, payload, sizeof(payload), &len, &marker), 0);
    duet_packetizer_destroy(p);
}

static void what_is_no_byte_stream_is_malformed(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_H264, 100);
    const uint8_t none[] = {0x65, 1, 2, 3}, before[] = {9, 0, 0, 1, 0x65, 1}, empty[] = {0, 0, 0, 1, 0, 0, 1},
                  type_0[] = {0, 0, 1, 0x60, 1}, type_24[] = {0, 0, 1, 0x78, 1}, short_code[] = {0, 0};

#define malformed(frame)                                                                                               \
    assert_int_equal(duet_packetizer_begin(t->packetizer, frame, sizeof(frame), NULL), DUET_ERR_MALFORMED)
    malformed(none);
    malformed(before);
    malformed(empty);
    malformed(type_0);
    malformed(type_24);
    malformed(short_code);
#undef malformed
    trip_free(t);
}

static void zeros_around_units_are_left_out(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_H264, 100);
    const uint8_t frame[] = {0, 0, 0, 0, 0, 1, 0x41, 7, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0x41, 8, 0, 0, 0};

    assert_int_equal(duet_packetizer_begin(t->packetizer, frame, sizeof(frame), NULL), DUET_OK);
    trip_expect_payload(t, true, 0x58, 0, 2, 0x41, 7, 0, 2, 0x41, 8);
    assert_int_equal(trip_receive(t, t->payload, t->len), DUET_OK);
    trip_expect(t, 0, 0, 0, 1, 0x41, 7, 0, 0, 0, 1, 0x41, 8);
    trip_free(t);
}

static void what_a_unit_means_is_told(void **state)
{
    (void)state;
    const struct {
        uint8_t payload[10];
        size_t len;
        bool starts, key, discardable;
    } cases[] = {
        {{0x65, 1}, 2, true, true, false},                            /* IDR */
        {{0x67, 1}, 2, true, true, false},                            /* SPS */
        {{0x68, 1}, 2, true, false, false},                           /* PPS */
        {{0x41, 1}, 2, true, false, false},                           /* a slice that is referred to */
        {{0x01, 1}, 2, true, false, true},                            /* one that is not */
        {{0x06, 1}, 2, true, false, false},                           /* SEI alone is no picture */
        {{0x18, 0, 2, 6, 1, 0, 2, 1, 1}, 9, true, false, true},       /* STAP-A of SEI and such a slice */
        {{0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 1}, 9, true, true, false}, /* of SPS and PPS */
        {{0x1C, 0x81, 1}, 3, true, false, true},                      /* FU-A, first */
        {{0x1C, 0x41, 1}, 3, false, false, true},                     /* FU-A, last */
        {{0x7C, 0x05, 1}, 3, false, true, false},                     /* of an IDR, inside */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        duet_payload_info info;
        assert_int_equal(inspect(cases[i].payload, cases[i].len, &info), DUET_OK);
        assert_int_equal(info.starts_frame, cases[i].starts);
        assert_int_equal(info.is_keyframe, cases[i].key);
        assert_int_equal(info.is_discardable, cases[i].discardable);
    }
}

static void interleaved_and_unknown_types_are_unsupported(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_H264, 100);
    const uint8_t types[] = {0, 25, 26, 27, 29, 30, 31};
    duet_payload_info info;

    for (size_t i = 0; i < sizeof(types); i++) {
        const uint8_t payload[] = {(uint8_t)(0x60 | types[i]), 0, 1, 2, 3, 4};
        assert_int_equal(inspect(payload, sizeof(payload), &info), DUET_ERR_UNSUPPORTED);
        assert_int_equal(trip_receive(t, payload, sizeof(payload)), DUET_ERR_UNSUPPORTED);
    }
    trip_free(t);
}

static void cut_and_lying_aggregations_are_malformed(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_H264, 100);
    const uint8_t whole[] = {0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x28, 3};
    const uint8_t past_end[] = {0x78, 0xFF, 0xFF, 0x67, 1}, no_bytes[] = {0x78, 0, 0, 0, 1, 0x41},
                  nested[] = {0x78, 0, 4, 0x78, 0, 1, 0x41}, fragment[] = {0x78, 0, 3, 0x7C, 0x85, 1};
    duet_payload_info info;

    for (size_t len = 1; len < sizeof(whole); len++)
        if (len != 6) { /* the first unit alone is whole */
            assert_int_equal(inspect(whole, len, &info), DUET_ERR_MALFORMED);
            assert_int_equal(trip_receive(t, whole, len), DUET_ERR_MALFORMED);
        }
    assert_int_equal(trip_receive(t, past_end, sizeof(past_end)), DUET_ERR_MALFORMED);
    assert_int_equal(trip_receive(t, no_bytes, sizeof(no_bytes)), DUET_ERR_MALFORMED);
    assert_int_equal(trip_receive(t, nested, sizeof(nested)), DUET_ERR_MALFORMED);
    assert_int_equal(trip_receive(t, fragment, sizeof(fragment)), DUET_ERR_MALFORMED);
    trip_free(t);
}

static void fragments_must_belong_together(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_H264, 100);
    const uint8_t start[] = {0x7C, 0x85, 1}, middle[] = {0x7C, 0x05, 2}, other[] = {0x7C, 0x01, 2},
                  end[] = {0x7C, 0x45}, single[] = {0x41, 1}, cut[] = {0x7C}, type_24[] = {0x7C, 0x98, 1};
    const uint8_t *frame;
    size_t len;

    assert_int_equal(trip_receive(t, middle, sizeof(middle)), DUET_ERR_MALFORMED); /* without a start */
    assert_int_equal(trip_receive(t, end, sizeof(end)), DUET_ERR_MALFORMED);
    assert_int_equal(trip_receive(t, cut, sizeof(cut)), DUET_ERR_MALFORMED);
    assert_int_equal(trip_receive(t, type_24, sizeof(type_24)), DUET_ERR_MALFORMED);

    assert_int_equal(trip_receive(t, start, sizeof(start)), DUET_OK);
    assert_int_equal(trip_end(t, &frame, &len), DUET_ERR_MALFORMED); /* cut off inside of it */
    assert_int_equal(duet_depacketizer_add(t->depacketizer, middle, sizeof(middle)), DUET_OK);
    assert_int_equal(duet_depacketizer_add(t->depacketizer, end, sizeof(end)), DUET_OK); /* it may be empty */
    trip_expect(t, 0, 0, 0, 1, 0x65, 1, 2);

    assert_int_equal(trip_receive(t, start, sizeof(start)), DUET_OK);
    assert_int_equal(duet_depacketizer_add(t->depacketizer, start, sizeof(start)), DUET_ERR_MALFORMED);
    assert_int_equal(trip_receive(t, start, sizeof(start)), DUET_OK);
    assert_int_equal(duet_depacketizer_add(t->depacketizer, other, sizeof(other)), DUET_ERR_MALFORMED);
    assert_int_equal(trip_receive(t, start, sizeof(start)), DUET_OK);
    assert_int_equal(duet_depacketizer_add(t->depacketizer, single, sizeof(single)), DUET_ERR_MALFORMED);
    trip_free(t);
}

/* Units of random bytes without zeros, so that there is no start code in them. */
static size_t random_units(uint64_t *seed, uint8_t *frame, size_t capacity)
{
    size_t units = 1 + test_random_below(seed, 8), len = 0;

    for (size_t i = 0; i < units; i++) {
        size_t unit = 1 + test_random_below(seed, test_random_below(seed, 2) ? 40 : 3000);
        if (len + 4 + unit > capacity)
            break;
        memcpy(frame + len, (uint8_t[]){0, 0, 0, 1}, 4);
        frame[len + 4] = (uint8_t)(test_random_below(seed, 4) << 5 | (1 + test_random_below(seed, 23)));
        for (size_t k = 1; k < unit; k++)
            frame[len + 4 + k] = (uint8_t)(1 + test_random_below(seed, 255));
        len += 4 + unit;
    }
    return len;
}

static void any_frame_at_any_size_comes_out_as_it_went_in(void **state)
{
    (void)state;
    static uint8_t frame[20000];
    uint64_t seed = 12;

    for (int i = 0; i < 400; i++) {
        trip *t = trip_new(DUET_PAYLOAD_H264, 32 + test_random_below(&seed, 1400));
        trip_send(t, frame, random_units(&seed, frame, sizeof(frame)), NULL);
        trip_free(t);
    }
}

static void garbage_stays_within_its_bounds(void **state)
{
    (void)state;
    const uint8_t stap[] = {0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x28, 3}, fu[] = {0x7C, 0x85, 1, 2, 3, 4};
    trip_garbage(DUET_PAYLOAD_H264, stap, sizeof(stap), 22);
    trip_garbage(DUET_PAYLOAD_H264, fu, sizeof(fu), 23);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameter_sets_travel_together_and_the_slice_alone),
        cmocka_unit_test(a_large_unit_is_cut_into_fragments),
        cmocka_unit_test(mode_0_knows_single_units_only),
        cmocka_unit_test(what_is_no_byte_stream_is_malformed),
        cmocka_unit_test(zeros_around_units_are_left_out),
        cmocka_unit_test(what_a_unit_means_is_told),
        cmocka_unit_test(interleaved_and_unknown_types_are_unsupported),
        cmocka_unit_test(cut_and_lying_aggregations_are_malformed),
        cmocka_unit_test(fragments_must_belong_together),
        cmocka_unit_test(any_frame_at_any_size_comes_out_as_it_went_in),
        cmocka_unit_test(garbage_stays_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
