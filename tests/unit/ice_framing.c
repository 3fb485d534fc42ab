/* Frames in byte streams, RFC 8656 section 12.5 and RFC 4571 section 2: whole, cut anywhere, and none at all. */
#include "ice/framing.h"
#include "test.h"

static const duet_env env = DUET_ENV_INIT;

/* A Binding request without attributes, ChannelData of five bytes with padding, ChannelData of none. */
static const uint8_t turn_stream[] = {0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xA4, 0x42, 1,    2,    3,    4,
                                      5,    6,    7,    8,    9,    10,   11,   12,   0x40, 0x01, 0x00, 0x05,
                                      'h',  'e',  'l',  'l',  'o',  0xFF, 0xFF, 0xFF, 0x4F, 0xFF, 0x00, 0x00};
static const size_t turn_frames[] = {20, 9, 4};

static const uint8_t length_stream[] = {0x00, 0x03, 'a', 'b', 'c', 0x00, 0x00, 0x00, 0x01, 'd'};
static const size_t length_frames[] = {3, 1};

/* Feeds the stream in pieces of `step` bytes and compares the lengths of what comes out. */
static void assert_frames(duet_framing framing, const uint8_t *stream, size_t len, size_t step, const size_t *lens,
                          size_t count)
{
    duet_frames f;
    size_t found = 0;

    duet_frames_init(&f, &env, framing, 1500);
    for (size_t at = 0; at < len; at += step) {
        uint8_t copy[64];
        duet_piece piece = {copy, len - at < step ? len - at : step}, frame;
        memcpy(copy, stream + at, piece.len);
        int result;
        while ((result = duet_frames_next(&f, &piece, &frame)) == 1) {
            assert_true(found < count);
            assert_int_equal(frame.len, lens[found++]);
        }
        assert_int_equal(result, 0);
        assert_int_equal(piece.len, 0);
    }
    assert_int_equal(found, count);
    duet_frames_free(&f);
}

static void frames_are_found_wherever_the_stream_is_cut(void **state)
{
    (void)state;
    for (size_t step = 1; step <= sizeof(turn_stream); step++)
        assert_frames(DUET_FRAMING_TURN, turn_stream, sizeof(turn_stream), step, turn_frames, 3);
    for (size_t step = 1; step <= sizeof(length_stream); step++)
        assert_frames(DUET_FRAMING_LENGTH, length_stream, sizeof(length_stream), step, length_frames, 2);
}

static void a_whole_frame_is_returned_in_place_without_allocating(void **state)
{
    test_allocator t;
    duet_env counted = env;
    uint8_t stream[sizeof(turn_stream)];
    duet_piece piece = {stream, sizeof(stream)}, frame;
    duet_frames f;

    (void)state;
    test_allocator_init(&t, 0);
    counted.allocator = &t.allocator;
    memcpy(stream, turn_stream, sizeof(stream));
    duet_frames_init(&f, &counted, DUET_FRAMING_TURN, 1500);
    assert_int_equal(duet_frames_next(&f, &piece, &frame), 1);
    assert_ptr_equal(frame.data, stream);
    assert_int_equal(duet_frames_next(&f, &piece, &frame), 1);
    assert_memory_equal(frame.data + 4, "hello", 5);
    assert_int_equal(t.calls, 0);
    duet_frames_free(&f);
}

static void assert_refused(duet_framing framing, size_t max, const char *bytes, size_t len)
{
    duet_frames f;
    uint8_t copy[32];
    duet_piece piece = {copy, len}, frame;

    memcpy(copy, bytes, len);
    duet_frames_init(&f, &env, framing, max);
    assert_int_equal(duet_frames_next(&f, &piece, &frame), DUET_ERR_MALFORMED);
    duet_frames_free(&f);
}

static void rfc8656_section_12_what_is_neither_stun_nor_channel_data_ends_the_stream(void **state)
{
    (void)state;
    assert_refused(DUET_FRAMING_TURN, 1500, "\x50\x00\x00\x04", 4); /* a reserved channel number */
    assert_refused(DUET_FRAMING_TURN, 1500, "\x80\x00\x00\x04", 4);
    assert_refused(DUET_FRAMING_TURN, 1500, "GET / HTTP/1.1", 14);
    assert_refused(DUET_FRAMING_TURN, 1500, "\x00\x01\x00\x03", 4); /* a STUN length that is no multiple of four */
}

static void a_frame_beyond_the_bound_ends_the_stream(void **state)
{
    (void)state;
    assert_refused(DUET_FRAMING_TURN, 100, "\x40\x00\x00\x61", 4); /* 97 bytes, 104 with header and padding */
    assert_refused(DUET_FRAMING_LENGTH, 100, "\x00\x63", 2);
}

static void without_memory_for_a_cut_frame_the_stream_ends_and_nothing_leaks(void **state)
{
    test_allocator t;
    duet_env failing = env;
    uint8_t start[] = {0x00, 0x10, 'x'};
    duet_piece piece = {start, sizeof(start)}, frame;
    duet_frames f;

    (void)state;
    test_allocator_init(&t, 1);
    failing.allocator = &t.allocator;
    duet_frames_init(&f, &failing, DUET_FRAMING_LENGTH, 1500);
    assert_int_equal(duet_frames_next(&f, &piece, &frame), DUET_ERR_NOMEM);
    duet_frames_free(&f);
    assert_int_equal(t.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_found_wherever_the_stream_is_cut),
        cmocka_unit_test(a_whole_frame_is_returned_in_place_without_allocating),
        cmocka_unit_test(rfc8656_section_12_what_is_neither_stun_nor_channel_data_ends_the_stream),
        cmocka_unit_test(a_frame_beyond_the_bound_ends_the_stream),
        cmocka_unit_test(without_memory_for_a_cut_frame_the_stream_ends_and_nothing_leaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
