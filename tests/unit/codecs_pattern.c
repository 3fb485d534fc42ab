/* The moving pattern: its counter is read back, also from a scaled picture, and never wrongly. */
#include "duet/codecs.h"
#include "test.h"

static uint8_t *pattern_new(uint16_t width, uint16_t height, uint32_t counter, duet_video_frame *frame)
{
    uint8_t *data = malloc((size_t)width * height * 3 / 2);

    assert_non_null(data);
    duet_pattern_fill(data, width, height, counter);
    duet_pattern_frame(data, width, height, frame);
    return data;
}

static void every_bit_is_read_back_at_any_size(void **state)
{
    (void)state;
    const uint16_t sizes[][2] = {{96, 64}, {176, 144}, {320, 180}, {320, 240}, {642, 362}, {1280, 720}, {100, 3000}};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (uint32_t bit = 0; bit <= DUET_PATTERN_COUNTER_BITS; bit++) {
            duet_video_frame frame;
            uint32_t counter = bit == DUET_PATTERN_COUNTER_BITS ? 0xABCDEF : 1u << bit, got;
            uint8_t *data = pattern_new(sizes[i][0], sizes[i][1], counter, &frame);
            assert_true(duet_pattern_read(&frame, &got));
            assert_int_equal(got, counter);
            free(data);
        }
}

static void the_counter_wraps(void **state)
{
    (void)state;
    duet_video_frame frame;
    uint32_t got;
    uint8_t *data = pattern_new(96, 64, (1u << DUET_PATTERN_COUNTER_BITS) + 5, &frame);

    assert_true(duet_pattern_read(&frame, &got));
    assert_int_equal(got, 5);
    free(data);
}

static void a_scaled_picture_is_read(void **state)
{
    (void)state;
    duet_video_frame frame, scaled;
    const uint16_t sizes[][2] = {{160, 90}, {213, 121}, {480, 270}, {900, 500}};
    uint8_t *data = pattern_new(640, 360, 123456, &frame);
    uint32_t got;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        unsigned width = sizes[i][0], height = sizes[i][1];
        uint8_t *small = calloc(2, (size_t)width * height);
        assert_non_null(small);
        for (unsigned y = 0; y < height; y++)
            for (unsigned x = 0; x < width; x++)
                small[y * width + x] = data[y * 360 / height * 640 + x * 640 / width];
        duet_pattern_frame(small, (uint16_t)width, (uint16_t)height, &scaled);
        scaled.strides[0] = width;
        assert_true(duet_pattern_read(&scaled, &got));
        assert_int_equal(got, 123456);
        free(small);
    }
    free(data);
}

static void a_mixture_of_two_pictures_is_not_read(void **state)
{
    (void)state;
    duet_video_frame frame, other_frame;
    uint64_t seed = 41;
    int read_wrong = 0;

    for (int i = 0; i < 200; i++) {
        uint32_t counter = (uint32_t)test_random_below(&seed, 1 << 24), got;
        uint8_t *data = pattern_new(320, 240, counter, &frame);
        uint8_t *other = pattern_new(320, 240, counter + 1, &other_frame);
        unsigned column = (unsigned)test_random_below(&seed, 320), row = (unsigned)test_random_below(&seed, 60);
        for (unsigned y = row; y < 60; y++)
            memcpy(data + y * 320, other + y * 320, column);
        if (duet_pattern_read(&frame, &got) && got != counter && got != counter + 1)
            read_wrong++;
        free(data);
        free(other);
    }
    assert_int_equal(read_wrong, 0);
}

static void noise_and_plain_pictures_are_not_read(void **state)
{
    (void)state;
    uint8_t *data = malloc(320 * 240 * 3 / 2);
    duet_video_frame frame;
    uint64_t seed = 42;
    uint32_t got;

    assert_non_null(data);
    duet_pattern_frame(data, 320, 240, &frame);
    memset(data, 128, 320 * 240 * 3 / 2);
    assert_false(duet_pattern_read(&frame, &got));
    test_random_fill(&seed, data, 320 * 240 * 3 / 2);
    assert_false(duet_pattern_read(&frame, &got));
    frame.width = 31;
    assert_false(duet_pattern_read(&frame, &got));
    free(data);
}

static void pictures_move(void **state)
{
    (void)state;
    duet_video_frame frame;
    uint8_t *one = pattern_new(320, 240, 1, &frame), *two = pattern_new(320, 240, 30, &frame);

    assert_memory_not_equal(one + 320 * 60, two + 320 * 60, 320 * 180);
    free(one);
    free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_is_read_back_at_any_size),
        cmocka_unit_test(the_counter_wraps),
        cmocka_unit_test(a_scaled_picture_is_read),
        cmocka_unit_test(a_mixture_of_two_pictures_is_not_read),
        cmocka_unit_test(noise_and_plain_pictures_are_not_read),
        cmocka_unit_test(pictures_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
