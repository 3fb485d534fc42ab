/* Video layers allocation, version 0. */
#include "duet/video_layers.h"
#include "tests/test.h"

static int parse(duet_layers_allocation *a, const char *bytes, size_t len)
{
    uint8_t *exact = calloc(1, len + 1);

    memcpy(exact, bytes, len);
    int err = duet_layers_allocation_parse(a, exact, len);
    free(exact);
    return err;
}

#define PARSE(a, bytes) parse(a, bytes, sizeof(bytes) - 1)

static void expect_same(const duet_layers_allocation *a, const duet_layers_allocation *b)
{
    assert_int_equal(a->stream_count, b->stream_count);
    assert_int_equal(a->stream_index, b->stream_index);
    assert_int_equal(a->has_resolutions, b->has_resolutions);
    for (size_t i = 0; i < 16; i++) {
        const duet_allocated_layer *x = &a->layers[i / 4][i % 4], *y = &b->layers[i / 4][i % 4];
        assert_int_equal(x->temporal_count, y->temporal_count);
        assert_memory_equal(x->kilobits, y->kilobits, sizeof(x->kilobits));
        assert_int_equal(x->width, y->width);
        assert_int_equal(x->height, y->height);
        assert_int_equal(x->frame_rate, y->frame_rate);
    }
}

static void expect_trip(const duet_layers_allocation *a, const char *bytes, size_t len)
{
    uint8_t data[DUET_LAYERS_ALLOCATION_MAX];
    duet_layers_allocation again;
    size_t got;

    assert_int_equal(duet_layers_allocation_write(a, data, sizeof(data), &got), DUET_OK);
    assert_int_equal(got, len);
    assert_memory_equal(data, bytes, len);
    assert_int_equal(duet_layers_allocation_parse(&again, data, got), DUET_OK);
    expect_same(&again, a);
}

static void one_stream_of_one_layer_is_read(void **state)
{
    static const char bytes[] = "\x01\x00\xAC\x02";
    duet_layers_allocation a;

    (void)state;
    assert_int_equal(PARSE(&a, bytes), DUET_OK);
    assert_int_equal(a.stream_count, 1);
    assert_int_equal(a.stream_index, 0);
    assert_false(a.has_resolutions);
    assert_int_equal(a.layers[0][0].temporal_count, 1);
    assert_int_equal(a.layers[0][0].kilobits[0], 300);
    assert_int_equal(a.layers[0][1].temporal_count, 0);
    expect_trip(&a, bytes, sizeof(bytes) - 1);
}

static void sizes_and_rates_follow_when_there_are_bytes_left(void **state)
{
    /* two spatial layers of three and one temporal layers */
    static const char bytes[] = "\x03\x80\x0A\x14\x1E\x32\x01\x3F\x00\xB3\x1E\xFF\xFF\x00\x00\x3C";
    duet_layers_allocation a;

    (void)state;
    assert_int_equal(PARSE(&a, bytes), DUET_OK);
    assert_true(a.has_resolutions);
    assert_int_equal(a.layers[0][0].temporal_count, 3);
    assert_int_equal(a.layers[0][0].kilobits[2], 30);
    assert_int_equal(a.layers[0][0].width, 320);
    assert_int_equal(a.layers[0][0].height, 180);
    assert_int_equal(a.layers[0][0].frame_rate, 30);
    assert_int_equal(a.layers[0][1].temporal_count, 1);
    assert_int_equal(a.layers[0][1].kilobits[0], 50);
    assert_int_equal(a.layers[0][1].width, 65536);
    assert_int_equal(a.layers[0][1].height, 1);
    assert_int_equal(a.layers[0][1].frame_rate, 60);
    expect_trip(&a, bytes, sizeof(bytes) - 1);
}

static void streams_with_the_same_layers_share_a_mask(void **state)
{
    static const char bytes[] = "\x61\x00\x01\x02\x03"; /* stream 1 of 3 */
    duet_layers_allocation a;

    (void)state;
    assert_int_equal(PARSE(&a, bytes), DUET_OK);
    assert_int_equal(a.stream_count, 3);
    assert_int_equal(a.stream_index, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(a.layers[i][0].temporal_count, 1);
        assert_int_equal(a.layers[i][0].kilobits[0], i + 1);
    }
    expect_trip(&a, bytes, sizeof(bytes) - 1);
}

static void streams_with_other_layers_have_masks_of_their_own(void **state)
{
    static const char two[] = "\x10\x13\x40\x01\x02\x03\x04"; /* two temporal layers in stream 0 */
    static const char three[] = "\x20\x10\x10\x00\x01\x02";   /* the second one pauses */
    duet_layers_allocation a;

    (void)state;
    assert_int_equal(PARSE(&a, two), DUET_OK);
    assert_int_equal(a.stream_count, 2);
    assert_int_equal(a.layers[0][0].temporal_count, 2);
    assert_int_equal(a.layers[1][1].temporal_count, 1);
    assert_int_equal(a.layers[1][1].kilobits[0], 4);
    expect_trip(&a, two, sizeof(two) - 1);

    assert_int_equal(PARSE(&a, three), DUET_OK);
    assert_int_equal(a.stream_count, 3);
    assert_int_equal(a.layers[1][0].temporal_count, 0);
    assert_int_equal(a.layers[2][0].kilobits[0], 2);
    expect_trip(&a, three, sizeof(three) - 1);
}

static void a_zero_byte_says_that_nothing_is_sent(void **state)
{
    duet_layers_allocation a;

    (void)state;
    assert_int_equal(PARSE(&a, "\0"), DUET_OK);
    assert_int_equal(a.stream_count, 0);
    expect_trip(&a, "\0", 1);
}

/* Three spatial layers of VP9 with three temporal ones each, of Chromium. */
static void what_chromium_sends_is_written_as_it_is_read(void **state)
{
    static const char bytes[] = "\x07\xA8\x37\x47\x65\x8B\x01\xB5\x01\x81\x02\xDA\x03\xEA\x04\xEF\x06\x00\xEF\x00\x86"
                                "\x17\x01\xDF\x01\x0D\x17\x03\xBF\x02\x1B\x17";
    static const uint32_t rates[3][3] = {{55, 71, 101}, {139, 181, 257}, {474, 618, 879}};
    duet_layers_allocation a;

    (void)state;
    assert_int_equal(PARSE(&a, bytes), DUET_OK);
    assert_int_equal(a.stream_count, 1);
    assert_true(a.has_resolutions);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(a.layers[0][i].temporal_count, 3);
        assert_memory_equal(a.layers[0][i].kilobits, rates[i], sizeof(rates[i]));
        assert_int_equal(a.layers[0][i].width, 240u << i);
        assert_int_equal(a.layers[0][i].height, 135u << i);
        assert_int_equal(a.layers[0][i].frame_rate, 23);
    }
    assert_int_equal(a.layers[0][3].temporal_count, 0);
    expect_trip(&a, bytes, sizeof(bytes) - 1);
}

static duet_layers_allocation largest(void)
{
    duet_layers_allocation a = {.stream_count = 4, .stream_index = 3, .has_resolutions = true};

    for (unsigned i = 0; i < 16; i++) {
        duet_allocated_layer *layer = &a.layers[i / 4][i % 4];
        layer->temporal_count = 4;
        for (unsigned k = 0; k < 4; k++)
            layer->kilobits[k] = UINT32_MAX - k;
        layer->width = 65536 - i;
        layer->height = i + 1;
        layer->frame_rate = (uint8_t)(255 - i);
    }
    return a;
}

static void the_largest_allocation_comes_back(void **state)
{
    duet_layers_allocation a = largest(), again;
    uint8_t data[DUET_LAYERS_ALLOCATION_MAX];
    size_t len;

    (void)state;
    assert_int_equal(duet_layers_allocation_write(&a, data, sizeof(data), &len), DUET_OK);
    assert_int_equal(len, sizeof(data) - 2); /* those whose masks differ have two bytes more */
    assert_int_equal(duet_layers_allocation_parse(&again, data, len), DUET_OK);
    expect_same(&again, &a);
}

static void an_allocation_cut_anywhere_is_malformed(void **state)
{
    duet_layers_allocation a = largest(), again;
    uint8_t data[DUET_LAYERS_ALLOCATION_MAX], scratch[DUET_LAYERS_ALLOCATION_MAX];
    size_t len, got, without_sizes;

    (void)state;
    assert_int_equal(duet_layers_allocation_write(&a, data, sizeof(data), &len), DUET_OK);
    without_sizes = len - 16 * 5u;
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(parse(&again, (const char *)data, cut), cut == without_sizes ? DUET_OK : DUET_ERR_MALFORMED);
        assert_int_equal(duet_layers_allocation_write(&a, scratch, cut, &got), DUET_ERR_BUFFER);
    }
}

static void bytes_that_say_something_else_are_malformed(void **state)
{
    duet_layers_allocation a;

    (void)state;
    assert_int_equal(PARSE(&a, ""), DUET_ERR_MALFORMED);
    assert_int_equal(PARSE(&a, "\0\0"), DUET_ERR_MALFORMED);             /* a stream without a layer */
    assert_int_equal(PARSE(&a, "\x30\0\0\0\0\0"), DUET_ERR_MALFORMED);   /* four of them */
    assert_int_equal(PARSE(&a, "\x40"), DUET_ERR_MALFORMED);             /* as nothing, but not from stream 0 */
    assert_int_equal(PARSE(&a, "\x01\x00\x05\x00"), DUET_ERR_MALFORMED); /* a byte left over */
    assert_int_equal(PARSE(&a, "\x01\x00\x80\x80\x80\x80\x10"), DUET_ERR_MALFORMED);
    assert_int_equal(PARSE(&a, "\x01\x00\x80\x80\x80\x80\x80\x80\x80\x80\x01"), DUET_ERR_MALFORMED);
    assert_int_equal(PARSE(&a, "\x01\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), DUET_ERR_MALFORMED);
}

#define EXPECT_INVALID_WITH(change)                                                                                    \
    do {                                                                                                               \
        duet_layers_allocation a = largest();                                                                          \
        uint8_t data[DUET_LAYERS_ALLOCATION_MAX];                                                                      \
        size_t len;                                                                                                    \
        change;                                                                                                        \
        assert_int_equal(duet_layers_allocation_write(&a, data, sizeof(data), &len), DUET_ERR_INVALID);                \
        assert_int_equal(len, 0);                                                                                      \
    } while (0)

static void what_has_no_bits_is_not_written(void **state)
{
    (void)state;
    EXPECT_INVALID_WITH(a.stream_count = 5);
    EXPECT_INVALID_WITH(a.stream_index = 4);
    EXPECT_INVALID_WITH(memset(a.layers, 0, sizeof(a.layers)));
    EXPECT_INVALID_WITH(a.layers[1][2].temporal_count = 5);
    EXPECT_INVALID_WITH(a.layers[1][2].width = 0);
    EXPECT_INVALID_WITH(a.layers[1][2].height = 65537);
}

static void random_bytes_never_give_what_cannot_be_written(void **state)
{
    uint64_t seed = 3;
    unsigned understood = 0;

    (void)state;
    for (size_t i = 0; i < 20000; i++) {
        duet_layers_allocation a, again;
        uint8_t data[DUET_LAYERS_ALLOCATION_MAX];
        size_t len = test_random_below(&seed, 24);
        test_random_fill(&seed, data, len);
        if (duet_layers_allocation_parse(&a, data, len) != DUET_OK)
            continue;
        understood++;
        assert_int_equal(duet_layers_allocation_write(&a, data, sizeof(data), &len), DUET_OK);
        assert_int_equal(duet_layers_allocation_parse(&again, data, len), DUET_OK);
        expect_same(&again, &a);
    }
    assert_true(understood > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_stream_of_one_layer_is_read),
        cmocka_unit_test(sizes_and_rates_follow_when_there_are_bytes_left),
        cmocka_unit_test(streams_with_the_same_layers_share_a_mask),
        cmocka_unit_test(streams_with_other_layers_have_masks_of_their_own),
        cmocka_unit_test(a_zero_byte_says_that_nothing_is_sent),
        cmocka_unit_test(what_chromium_sends_is_written_as_it_is_read),
        cmocka_unit_test(the_largest_allocation_comes_back),
        cmocka_unit_test(an_allocation_cut_anywhere_is_malformed),
        cmocka_unit_test(bytes_that_say_something_else_are_malformed),
        cmocka_unit_test(what_has_no_bits_is_not_written),
        cmocka_unit_test(random_bytes_never_give_what_cannot_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
