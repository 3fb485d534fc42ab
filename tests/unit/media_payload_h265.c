/* H.265 payloads: RFC 7798. */
#include "payload_trip.h"

static int inspect(const uint8_t *payload, size_t len, duet_payload_info *info)
{
    return duet_payload_inspect(DUET_PAYLOAD_H265, payload, len, info);
}

static void parameter_sets_travel_together(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_H265, 32);
    const uint8_t frame[] = {0, 0, 0, 1, 0x40, 0x0A, 1, 0, 0, 0, 1, 0x42, 0x02, 2, 0, 0, 0, 1, 0x44, 0x03, 3};
    duet_payload_info info;

    assert_int_equal(duet_packetizer_begin(t->packetizer, frame, sizeof(frame), NULL), DUET_OK);
    /* LayerId and TID are the lowest */
    trip_expect_payload(t, true, 0x60, 0x02, 0, 3, 0x40, 0x0A, 1, 0, 3, 0x42, 0x02, 2, 0, 3, 0x44, 0x03, 3);
    assert_int_equal(inspect(t->payload, t->len, &info), DUET_OK);
    assert_true(info.is_keyframe && info.starts_frame);
    assert_int_equal(info.temporal_id, 1);
    assert_int_equal(info.descriptor_len, 2);
    trip_send(t, frame, sizeof(frame), NULL);
    trip_free(t);
}

static void a_large_unit_is_cut_into_fragments(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_H265, 32);
    uint8_t frame[4 + 2 + 50] = {0, 0, 0, 1, 0x26, 0x01}; /* IDR_W_RADL */
    duet_payload_info info;
    bool marker;

    memset(frame + 6, 0xCD, 50);
    assert_int_equal(duet_packetizer_begin(t->packetizer, frame, sizeof(frame), NULL), DUET_OK);
    const uint8_t heads[2][3] = {{0x62, 0x01, 0x93}, {0x62, 0x01, 0x53}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(duet_packetizer_next(t->packetizer, t->payload, 32, &t->len, &marker), 1);
        assert_memory_equal(t->payload, heads[i], 3);
        assert_int_equal(t->len, 28);
        assert_int_equal(inspect(t->payload, t->len, &info), DUET_OK);
        assert_int_equal(info.starts_frame, i == 0);
        assert_true(info.is_keyframe);
        assert_int_equal(info.temporal_id, 0);
    }
    trip_send(t, frame, sizeof(frame), NULL);
    trip_free(t);
}

static void paci_and_later_types_are_unsupported(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_H265, 100);
    duet_payload_info info;

    for (unsigned type = 50; type < 64; type++) {
        const uint8_t payload[] = {(uint8_t)(type << 1), 1, 2, 3, 4};
        assert_int_equal(inspect(payload, sizeof(payload), &info), DUET_ERR_UNSUPPORTED);
        assert_int_equal(trip_receive(t, payload, sizeof(payload)), DUET_ERR_UNSUPPORTED);
    }
    trip_free(t);
}

static void cut_payloads_are_malformed(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_H265, 100);
    const uint8_t ap[] = {0x60, 0x01, 0, 3, 0x40, 0x01, 1}, fu[] = {0x62, 0x01, 0x93}, unit[] = {0x02, 0x01},
                  half_unit[] = {0x60, 0x01, 0, 1, 0x40}, middle[] = {0x62, 0x01, 0x13, 1};
    duet_payload_info info;

    for (size_t len = 1; len < sizeof(ap); len++)
        assert_int_equal(trip_receive(t, ap, len), DUET_ERR_MALFORMED);
    for (size_t len = 1; len < sizeof(fu); len++) {
        assert_int_equal(trip_receive(t, fu, len), DUET_ERR_MALFORMED);
        assert_int_equal(inspect(fu, len, &info), DUET_ERR_MALFORMED);
    }
    assert_int_equal(trip_receive(t, unit, 1), DUET_ERR_MALFORMED);
    assert_int_equal(inspect(unit, 1, &info), DUET_ERR_MALFORMED);
    assert_int_equal(trip_receive(t, half_unit, sizeof(half_unit)), DUET_ERR_MALFORMED);
    assert_int_equal(trip_receive(t, middle, sizeof(middle)), DUET_ERR_MALFORMED);
    assert_int_equal(trip_receive(t, unit, sizeof(unit)), DUET_OK);
    trip_free(t);
}

static void any_frame_at_any_size_comes_out_as_it_went_in(void **state)
{
    (void)state;
    static uint8_t frame[20000];
    uint64_t seed = 13;

    for (int i = 0; i < 300; i++) {
        trip *t = trip_new(DUET_PAYLOAD_H265, 32 + test_random_below(&seed, 1400));
        size_t len = 0, units = 1 + test_random_below(&seed, 6);
        for (size_t u = 0; u < units; u++) {
            size_t unit = 2 + test_random_below(&seed, test_random_below(&seed, 2) ? 40 : 3000);
            memcpy(frame + len, (uint8_t[]){0, 0, 0, 1}, 4);
            frame[len + 4] = (uint8_t)(test_random_below(&seed, 48) << 1);
            for (size_t k = 1; k < unit; k++)
                frame[len + 4 + k] = (uint8_t)(1 + test_random_below(&seed, 255));
            len += 4 + unit;
        }
        trip_send(t, frame, len, NULL);
        trip_free(t);
    }
}

static void garbage_stays_within_its_bounds(void **state)
{
    (void)state;
    const uint8_t ap[] = {0x60, 0x02, 0, 3, 0x40, 0x0A, 1, 0, 3, 0x42, 0x02, 2};
    trip_garbage(DUET_PAYLOAD_H265, ap, sizeof(ap), 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameter_sets_travel_together),
        cmocka_unit_test(a_large_unit_is_cut_into_fragments),
        cmocka_unit_test(paci_and_later_types_are_unsupported),
        cmocka_unit_test(cut_payloads_are_malformed),
        cmocka_unit_test(any_frame_at_any_size_comes_out_as_it_went_in),
        cmocka_unit_test(garbage_stays_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
