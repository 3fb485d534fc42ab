/* VP8 payloads: RFC 7741. */
#include "payload_trip.h"

/* A key frame's first ten bytes: 320 × 240. */
static const uint8_t keyframe_head[] = {0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x40, 0x01, 0xF0, 0x00};

static void the_whole_descriptor_is_read(void **state)
{
    (void)state;
    const uint8_t payload[] = {0xB0, 0xF0, 0x92, 0x34, 0x77, 0xA5, 0x11, 0x22};
    duet_payload_info info;

    assert_int_equal(duet_payload_inspect(DUET_PAYLOAD_VP8, payload, sizeof(payload), &info), DUET_OK);
    assert_true(info.starts_frame);
    assert_true(info.is_discardable);
    assert_false(info.is_keyframe);
    assert_int_equal(info.picture_id, 0x1234);
    assert_int_equal(info.picture_id_bits, 15);
    assert_int_equal(info.tl0_picture_index, 0x77);
    assert_int_equal(info.temporal_id, 2);
    assert_true(info.layer_sync);
    assert_int_equal(info.spatial_id, -1);
    assert_int_equal(info.descriptor_len, 6);
}

static void a_picture_id_may_have_seven_bits_or_be_absent(void **state)
{
    (void)state;
    const uint8_t seven[] = {0x90, 0x80, 0x7F, 0x11}, none[] = {0x10, 0x11}, key_index[] = {0x80, 0x10, 0xFF, 0x11};
    duet_payload_info info;

    assert_int_equal(duet_payload_inspect(DUET_PAYLOAD_VP8, seven, sizeof(seven), &info), DUET_OK);
    assert_int_equal(info.picture_id, 127);
    assert_int_equal(info.picture_id_bits, 7);
    assert_int_equal(duet_payload_inspect(DUET_PAYLOAD_VP8, none, sizeof(none), &info), DUET_OK);
    assert_int_equal(info.picture_id, -1);
    assert_int_equal(info.temporal_id, -1);
    assert_int_equal(info.descriptor_len, 1);
    assert_int_equal(duet_payload_inspect(DUET_PAYLOAD_VP8, key_index, sizeof(key_index), &info), DUET_OK);
    assert_int_equal(info.temporal_id, -1); /* only KEYIDX is meant */
    assert_false(info.starts_frame);
}

static void a_key_frame_tells_its_size(void **state)
{
    (void)state;
    uint8_t payload[1 + sizeof(keyframe_head)] = {0x10};
    duet_payload_info info;

    memcpy(payload + 1, keyframe_head, sizeof(keyframe_head));
    assert_int_equal(duet_payload_inspect(DUET_PAYLOAD_VP8, payload, sizeof(payload), &info), DUET_OK);
    assert_true(info.is_keyframe);
    assert_int_equal(info.width, 320);
    assert_int_equal(info.height, 240);
    payload[0] = 0x11; /* another partition begins: no frame header */
    assert_int_equal(duet_payload_inspect(DUET_PAYLOAD_VP8, payload, sizeof(payload), &info), DUET_OK);
    assert_false(info.is_keyframe || info.starts_frame);
    payload[0] = 0x10;
    payload[4] = 0x9E; /* no start code */
    assert_int_equal(duet_payload_inspect(DUET_PAYLOAD_VP8, payload, sizeof(payload), &info), DUET_ERR_MALFORMED);
}

static void every_cut_descriptor_is_malformed(void **state)
{
    (void)state;
    const uint8_t payload[] = {0x90, 0xF0, 0x92, 0x34, 0x77, 0xA5};
    duet_payload_info info;
    trip *t = trip_new(DUET_PAYLOAD_VP8, 100);

    for (size_t len = 0; len <= sizeof(payload); len++) {
        assert_int_equal(duet_payload_inspect(DUET_PAYLOAD_VP8, payload, len, &info), DUET_ERR_MALFORMED);
        assert_int_equal(trip_receive(t, payload, len), DUET_ERR_MALFORMED);
    }
    trip_free(t);
}

static void frames_are_cut_evenly_and_numbered(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_VP8, 54); /* 50 of each frame */
    uint8_t frame[101] = {0x11};

    trip_send(t, frame, 101, NULL);
    assert_int_equal(t->payloads, 3);
    assert_int_equal(t->longest, 38);
    assert_int_equal(t->shortest, 37);
    assert_int_equal(t->first.picture_id, 0x7FFE);
    trip_send(t, frame, 100, NULL);
    assert_int_equal(t->payloads, 2);
    assert_int_equal(t->first.picture_id, 0x7FFF);
    trip_send(t, frame, 1, NULL);
    assert_int_equal(t->first.picture_id, 0); /* wraps at 15 bits */
    assert_int_equal(t->first.picture_id_bits, 15);
    trip_free(t);
}

static void layers_are_written_as_they_are_told(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_VP8, 1000);
    const uint8_t frame[] = {0x11, 1, 2, 3};
    duet_frame_info info = {.temporal_id = 0};

    trip_send(t, frame, sizeof(frame), &info);
    assert_int_equal(t->first.tl0_picture_index, 1);
    assert_int_equal(t->first.temporal_id, 0);
    info = (duet_frame_info){.temporal_id = 2, .layer_sync = true, .is_discardable = true};
    assert_int_equal(duet_packetizer_begin(t->packetizer, frame, sizeof(frame), &info), DUET_OK);
    trip_expect_payload(t, true, 0xB0, 0xE0, 0xFF, 0xFF, 1, 0xA0, 0x11, 1, 2, 3);
    info = (duet_frame_info){.temporal_id = -1};
    assert_int_equal(duet_packetizer_begin(t->packetizer, frame, sizeof(frame), &info), DUET_OK);
    trip_expect_payload(t, true, 0x90, 0x80, 0x80, 0x00, 0x11, 1, 2, 3);
    trip_free(t);
}

static void a_frame_must_begin_at_its_beginning(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_VP8, 1000);
    const uint8_t later[] = {0x00, 0x11}, first[] = {0x10, 0x11};
    const uint8_t *frame;
    size_t len;

    assert_int_equal(trip_receive(t, later, sizeof(later)), DUET_ERR_MALFORMED);
    assert_int_equal(duet_depacketizer_add(t->depacketizer, first, sizeof(first)), DUET_ERR_MALFORMED); /* spoilt */
    assert_int_equal(trip_end(t, &frame, &len), DUET_ERR_MALFORMED);
    assert_int_equal(trip_receive(t, first, sizeof(first)), DUET_OK);
    assert_int_equal(duet_depacketizer_add(t->depacketizer, later, sizeof(later)), DUET_OK);
    trip_expect(t, 0x11, 0x11);
    duet_depacketizer_begin(t->depacketizer);
    assert_int_equal(trip_end(t, &frame, &len), DUET_ERR_MALFORMED); /* nothing came */
    trip_free(t);
}

static void any_frame_at_any_size_comes_out_as_it_went_in(void **state)
{
    (void)state;
    static uint8_t frame[20000];
    uint64_t seed = 11;

    for (int i = 0; i < 300; i++) {
        trip *t = trip_new(DUET_PAYLOAD_VP8, 32 + test_random_below(&seed, 1400));
        size_t len = 1 + test_random_below(&seed, sizeof(frame));
        test_random_fill(&seed, frame, len);
        frame[0] |= 1;
        trip_send(t, frame, len, NULL);
        assert_true(t->longest - t->shortest <= 1);
        trip_free(t);
    }
}

static void garbage_stays_within_its_bounds(void **state)
{
    (void)state;
    const uint8_t payload[] = {0xB0, 0xF0, 0x92, 0x34, 0x77, 0xA5, 0x10, 2, 0, 0x9D, 1, 0x2A, 64, 1, 240, 0};
    trip_garbage(DUET_PAYLOAD_VP8, payload, sizeof(payload), 21);
}

static void a_frame_beyond_the_bound_is_refused(void **state)
{
    (void)state;
    duet_depacketizer *d;
    uint8_t payload[101] = {0x10};
    const uint8_t *frame;
    size_t len;

    assert_int_equal(duet_depacketizer_create(&d, NULL, DUET_PAYLOAD_VP8, 250), DUET_OK);
    duet_depacketizer_begin(d);
    assert_int_equal(duet_depacketizer_add(d, payload, sizeof(payload)), DUET_OK);
    assert_int_equal(duet_depacketizer_add(d, payload, sizeof(payload)), DUET_OK);
    assert_int_equal(duet_depacketizer_add(d, payload, sizeof(payload)), DUET_ERR_TOO_LARGE);
    assert_int_equal(duet_depacketizer_end(d, &frame, &len), DUET_ERR_TOO_LARGE);
    duet_depacketizer_destroy(d);
}

static void bounds_of_the_packetizer_hold(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_VP8, 100);
    uint8_t frame[300] = {0x11}, small[99];
    size_t len;
    bool marker;

    assert_int_equal(duet_packetizer_begin(t->packetizer, frame, 0, NULL), DUET_ERR_INVALID);
    assert_int_equal(duet_packetizer_next(t->packetizer, t->payload, 100, &len, &marker), 0);
    assert_int_equal(duet_packetizer_begin(t->packetizer, frame, sizeof(frame), NULL), DUET_OK);
    assert_int_equal(duet_packetizer_next(t->packetizer, small, sizeof(small), &len, &marker), DUET_ERR_BUFFER);
    duet_packetizer_set_payload_max(t->packetizer, 60); /* not this frame */
    assert_int_equal(duet_packetizer_next(t->packetizer, t->payload, 100, &len, &marker), 1);
    assert_int_equal(len, 4 + 75);
    t->payload_max = 60;
    trip_send(t, frame, sizeof(frame), NULL);
    assert_int_equal(t->payloads, 6);
    trip_free(t);
}

/* Creating both, and a frame that makes the depacketizer's memory grow. */
static int grow(const duet_env *env, void *arg)
{
    uint8_t payload[600] = {0x10};
    const uint8_t *frame;
    size_t len;
    duet_depacketizer *d = NULL;
    int err = trip_in_short_memory(env, arg);

    if (!err)
        err = duet_depacketizer_create(&d, env, DUET_PAYLOAD_VP8, 0);
    if (err)
        return err;
    duet_depacketizer_begin(d);
    for (int i = 0; !err && i < 20; i++)
        err = duet_depacketizer_add(d, payload, sizeof(payload));
    assert_int_equal(duet_depacketizer_end(d, &frame, &len), err);
    if (err) { /* it is usable again */
        int again = trip_in_short_memory(env, arg);
        assert_int_equal(again, DUET_OK);
        duet_depacketizer_begin(d);
        assert_int_equal(duet_depacketizer_add(d, payload, sizeof(payload)), DUET_OK);
        assert_int_equal(duet_depacketizer_end(d, &frame, &len), DUET_OK);
    }
    duet_depacketizer_destroy(d);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    duet_payload_format format = DUET_PAYLOAD_VP8;
    test_fail_each_allocation("packetizer and depacketizer", grow, &format);
}

static void nothing_is_allocated_for_later_frames(void **state)
{
    (void)state;
    test_allocator heap;
    test_allocator_init(&heap, 0);
    duet_env env = DUET_ENV_INIT;
    env.allocator = &heap.allocator;
    duet_depacketizer *d;
    uint8_t payload[1000] = {0x10};
    const uint8_t *frame;
    size_t len;
    uint64_t after_first = 0;

    assert_int_equal(duet_depacketizer_create(&d, &env, DUET_PAYLOAD_VP8, 0), DUET_OK);
    for (int i = 0; i < 100; i++) {
        duet_depacketizer_begin(d);
        for (int k = 0; k < 20; k++)
            assert_int_equal(duet_depacketizer_add(d, payload, sizeof(payload)), DUET_OK);
        assert_int_equal(duet_depacketizer_end(d, &frame, &len), DUET_OK);
        if (i == 0)
            after_first = heap.calls;
    }
    assert_int_equal(heap.calls, after_first);
    duet_depacketizer_destroy(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_descriptor_is_read),
        cmocka_unit_test(a_picture_id_may_have_seven_bits_or_be_absent),
        cmocka_unit_test(a_key_frame_tells_its_size),
        cmocka_unit_test(every_cut_descriptor_is_malformed),
        cmocka_unit_test(frames_are_cut_evenly_and_numbered),
        cmocka_unit_test(layers_are_written_as_they_are_told),
        cmocka_unit_test(a_frame_must_begin_at_its_beginning),
        cmocka_unit_test(any_frame_at_any_size_comes_out_as_it_went_in),
        cmocka_unit_test(garbage_stays_within_its_bounds),
        cmocka_unit_test(a_frame_beyond_the_bound_is_refused),
        cmocka_unit_test(bounds_of_the_packetizer_hold),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(nothing_is_allocated_for_later_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
