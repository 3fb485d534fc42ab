/* VP9 payloads: RFC 9628. */
#include "payload_trip.h"

static int inspect(const uint8_t *payload, size_t len, duet_payload_info *info)
{
    return duet_payload_inspect(DUET_PAYLOAD_VP9, payload, len, info);
}

/* Profile 0, 640 × 360, and some bytes. */
static const uint8_t keyframe[] = {0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xF0, 0x16, 0x70, 1, 2, 3, 4};

static void a_key_frame_carries_the_scalability_structure(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_VP9, 100);
    const uint8_t delta[] = {0x86, 0x01, 0x02};

    assert_int_equal(duet_packetizer_begin(t->packetizer, keyframe, sizeof(keyframe), NULL), DUET_OK);
    trip_expect_payload(t, true, 0x8F, 0xFF, 0xFE, /* I B E V Z */
                        0x18, 0x02, 0x80, 0x01, 0x68, 1, 0x04, 1, 0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xF0, 0x16, 0x70,
                        1, 2, 3, 4);
    assert_int_equal(duet_packetizer_begin(t->packetizer, delta, sizeof(delta), NULL), DUET_OK);
    trip_expect_payload(t, true, 0xCD, 0xFF, 0xFF, 0x86, 0x01, 0x02); /* I P B E Z */
    trip_send(t, keyframe, sizeof(keyframe), NULL);
    assert_true(t->first.is_keyframe);
    assert_int_equal(t->first.width, 640);
    assert_int_equal(t->first.height, 360);
    assert_int_equal(t->first.picture_id, 0);
    assert_int_equal(t->first.picture_id_bits, 15);
    assert_int_equal(t->first.descriptor_len, 11);
    trip_free(t);
}

static void flexible_mode_of_many_layers_is_read(void **state)
{
    (void)state;
    /* I P L F B V; 7 bits; T2 U S1 D; three references; three layers with sizes, two pictures of 1 and 3 references */
    const uint8_t payload[] = {0xFA, 0x33, 0x53, 0x03, 0x05, 0x06, 0x58, 0, 160,  0, 90, 1, 64,  0,
                               180,  2,    128,  1,    104,  2,    0x04, 1, 0x2C, 1, 2,  3, 0xAA};
    duet_payload_info info;

    assert_int_equal(inspect(payload, sizeof(payload), &info), DUET_OK);
    assert_false(info.starts_frame); /* of the picture: it needs the layer below */
    assert_false(info.is_keyframe);
    assert_int_equal(info.picture_id, 0x33);
    assert_int_equal(info.picture_id_bits, 7);
    assert_int_equal(info.temporal_id, 2);
    assert_true(info.layer_sync);
    assert_int_equal(info.spatial_id, 1);
    assert_true(info.inter_layer);
    assert_int_equal(info.tl0_picture_index, -1);
    assert_int_equal(info.width, 640);
    assert_int_equal(info.height, 360);
    assert_int_equal(info.descriptor_len, sizeof(payload) - 1);
    for (size_t len = 0; len < sizeof(payload); len++)
        assert_int_equal(inspect(payload, len, &info), DUET_ERR_MALFORMED);
}

static void non_flexible_layers_have_a_picture_index(void **state)
{
    (void)state;
    const uint8_t payload[] = {0xEC, 0x92, 0x34, 0x20, 0x77, 0xAA};
    duet_payload_info info;

    assert_int_equal(inspect(payload, sizeof(payload), &info), DUET_OK);
    assert_true(info.starts_frame);
    assert_false(info.is_keyframe);
    assert_int_equal(info.picture_id, 0x1234);
    assert_int_equal(info.temporal_id, 1);
    assert_int_equal(info.spatial_id, 0);
    assert_int_equal(info.tl0_picture_index, 0x77);
}

static void a_fourth_reference_is_malformed(void **state)
{
    (void)state;
    const uint8_t payload[] = {0x5C, 3, 3, 3, 2, 0xAA};
    duet_payload_info info;

    assert_int_equal(inspect(payload, sizeof(payload), &info), DUET_ERR_MALFORMED);
}

static void a_structure_that_claims_more_than_there_is_is_malformed(void **state)
{
    (void)state;
    uint8_t payload[64] = {0x0A, 0x08, 0xFF}; /* 255 pictures of up to three references */
    duet_payload_info info;

    memset(payload + 3, 0x0C, sizeof(payload) - 3);
    assert_int_equal(inspect(payload, sizeof(payload), &info), DUET_ERR_MALFORMED);
    payload[1] = 0xF0; /* eight layers of four bytes each */
    assert_int_equal(inspect(payload, 2 + 31, &info), DUET_ERR_MALFORMED);
    assert_int_equal(inspect(payload, 2 + 33, &info), DUET_OK);
}

static void frames_of_two_layers_become_one_picture(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_VP9, 100);
    const uint8_t low_1[] = {0x28, 0x00, 0x01, 1}, low_2[] = {0x24, 0x00, 0x01, 2}, high[] = {0x2C, 0x03, 0x01, 3};
    const uint8_t *frame;
    size_t len;

    assert_int_equal(trip_receive(t, low_1, 4), DUET_OK);
    assert_int_equal(trip_end(t, &frame, &len), DUET_ERR_MALFORMED); /* no E bit yet */
    assert_int_equal(duet_depacketizer_add(t->depacketizer, low_2, 4), DUET_OK);
    assert_int_equal(duet_depacketizer_add(t->depacketizer, high, 4), DUET_OK);
    trip_expect(t, 1, 2, 3, 0xD9, 2, 0, 0, 0, 1, 0, 0, 0, 0xD9); /* with the index of a superframe */
    trip_expect(t, 1, 2, 3, 0xD9, 2, 0, 0, 0, 1, 0, 0, 0, 0xD9); /* once */
    assert_int_equal(duet_depacketizer_add(t->depacketizer, high, 4), DUET_ERR_STATE);
    assert_int_equal(trip_receive(t, low_2, 4), DUET_ERR_MALFORMED); /* no B bit */
    assert_int_equal(trip_receive(t, low_1, 4), DUET_OK);
    assert_int_equal(duet_depacketizer_add(t->depacketizer, high, 4), DUET_ERR_MALFORMED); /* B inside of a frame */
    trip_free(t);
}

static void a_ninth_layer_is_malformed(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_VP9, 100);
    const uint8_t layer[] = {0x2C, 0x03, 0x01, 3};

    assert_int_equal(trip_receive(t, layer, 4), DUET_OK);
    for (int i = 0; i < 7; i++)
        assert_int_equal(duet_depacketizer_add(t->depacketizer, layer, 4), DUET_OK);
    assert_int_equal(duet_depacketizer_add(t->depacketizer, layer, 4), DUET_ERR_MALFORMED);
    trip_free(t);
}

static void temporal_layers_are_written(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_VP9, 100);
    duet_frame_info info = {.temporal_id = 0, .is_keyframe = true};
    const uint8_t delta[] = {0x86, 0x01, 0x02};

    assert_int_equal(duet_packetizer_begin(t->packetizer, keyframe, sizeof(keyframe), &info), DUET_OK);
    trip_expect_payload(t, true, 0xAF, 0xFF, 0xFE, 0x00, 1, 0x10, 0x02, 0x80, 0x01, 0x68, 0x82, 0x49, 0x83, 0x42, 0x00,
                        0x27, 0xF0, 0x16, 0x70, 1, 2, 3, 4);
    info = (duet_frame_info){.temporal_id = 2, .layer_sync = true};
    assert_int_equal(duet_packetizer_begin(t->packetizer, delta, sizeof(delta), &info), DUET_OK);
    trip_expect_payload(t, true, 0xED, 0xFF, 0xFF, 0x50, 1, 0x86, 0x01, 0x02);
    trip_free(t);
}

static void any_frame_at_any_size_comes_out_as_it_went_in(void **state)
{
    (void)state;
    static uint8_t frame[20000];
    uint64_t seed = 14;

    for (int i = 0; i < 400; i++) {
        trip *t = trip_new(DUET_PAYLOAD_VP9, 32 + test_random_below(&seed, i % 2 ? 40 : 1400));
        size_t len = 1 + test_random_below(&seed, sizeof(frame));
        test_random_fill(&seed, frame, len);
        duet_frame_info info = {.temporal_id = (int8_t)(test_random_below(&seed, 3) - 1),
                                .is_keyframe = test_random_below(&seed, 2),
                                .width = (uint16_t)test_random(&seed),
                                .height = (uint16_t)test_random(&seed)};
        trip_send(t, frame, len, test_random_below(&seed, 2) ? &info : NULL);
        trip_free(t);
    }
}

static void garbage_stays_within_its_bounds(void **state)
{
    (void)state;
    const uint8_t payload[] = {0xFA, 0x33, 0x53, 0x03, 0x05, 0x06, 0x58, 0, 160,  0, 90, 1, 64,  0,
                               180,  2,    128,  1,    104,  2,    0x04, 1, 0x2C, 1, 2,  3, 0xAA};
    trip_garbage(DUET_PAYLOAD_VP9, payload, sizeof(payload), 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_frame_carries_the_scalability_structure),
        cmocka_unit_test(flexible_mode_of_many_layers_is_read),
        cmocka_unit_test(non_flexible_layers_have_a_picture_index),
        cmocka_unit_test(a_fourth_reference_is_malformed),
        cmocka_unit_test(a_structure_that_claims_more_than_there_is_is_malformed),
        cmocka_unit_test(frames_of_two_layers_become_one_picture),
        cmocka_unit_test(a_ninth_layer_is_malformed),
        cmocka_unit_test(temporal_layers_are_written),
        cmocka_unit_test(any_frame_at_any_size_comes_out_as_it_went_in),
        cmocka_unit_test(garbage_stays_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
