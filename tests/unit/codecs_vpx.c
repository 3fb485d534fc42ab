/* VP8 and VP9 there and back: the pattern's counter, bit rates, key frames, sizes, and what a decoder must not
 * believe. */
#include "duet/codecs.h"
#include "test.h"

#define RATE 30

static const char *const names[] = {"VP8", "VP9"};

typedef struct call {
    duet_video_encoder *encoder;
    duet_video_decoder *decoder;
    uint8_t *picture;
    uint16_t width, height;
    uint32_t counter;
    uint64_t sent;    /* bytes */
    uint32_t encoded; /* frames that were not dropped */
    uint32_t read;    /* whose counter came out */
    uint32_t keyframes;
    duet_encoded_frame last;
} call;

static call call_new(const char *name, uint16_t width, uint16_t height, uint32_t bitrate)
{
    call c = {.width = width, .height = height};
    duet_video_encoder_config ec;
    duet_video_decoder_config dc;

    duet_video_encoder_config_init(&ec);
    strcpy(ec.codec.name, name);
    ec.width = width;
    ec.height = height;
    ec.bitrate = bitrate;
    assert_int_equal(duet_video_encoder_create(&c.encoder, &ec), DUET_OK);
    duet_video_decoder_config_init(&dc);
    strcpy(dc.codec.name, name);
    assert_int_equal(duet_video_decoder_create(&c.decoder, &dc), DUET_OK);
    c.picture = malloc((size_t)1280 * 720 * 3 / 2);
    assert_non_null(c.picture);
    return c;
}

static void call_free(call *c)
{
    duet_video_encoder_destroy(c->encoder);
    duet_video_decoder_destroy(c->decoder);
    free(c->picture);
}

/* Encodes the next picture into c->last. */
static void encode(call *c, bool keyframe)
{
    duet_video_frame frame;

    duet_pattern_fill(c->picture, c->width, c->height, ++c->counter);
    duet_pattern_frame(c->picture, c->width, c->height, &frame);
    assert_int_equal(
        duet_video_encoder_encode(c->encoder, &frame, c->counter * DUET_SECONDS(1) / RATE, keyframe, &c->last),
        DUET_OK);
    c->sent += c->last.len;
    c->encoded += c->last.len > 0;
    c->keyframes += c->last.info.is_keyframe;
}

/* `count` pictures there and back; each that was not dropped must come out with its counter. */
static void run(call *c, unsigned count)
{
    duet_video_frame out;
    uint32_t got;

    for (unsigned i = 0; i < count; i++) {
        encode(c, false);
        if (c->last.len == 0)
            continue;
        assert_int_equal(duet_video_decoder_decode(c->decoder, c->last.data, c->last.len, &out), DUET_OK);
        assert_int_equal(out.width, c->width);
        assert_int_equal(out.height, c->height);
        assert_true(duet_pattern_read(&out, &got));
        assert_int_equal(got, c->counter);
        c->read++;
    }
}

static void the_counter_survives_100_kilobits(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        call c = call_new(names[i], 320, 240, 100000);
        run(&c, 10 * RATE);
        double rate = (double)c.sent * 8 / 10;
        print_message("%s at 100 kbit/s: %.0f bit/s, %u of %u pictures, %u key frames\n", names[i], rate, c.encoded,
                      10 * RATE, c.keyframes);
        assert_true(rate < 130000);
        assert_true(c.encoded > 5 * RATE);
        assert_int_equal(c.keyframes, 1);
        call_free(&c);
    }
}

static void the_bit_rate_changes_on_the_fly(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        call c = call_new(names[i], 640, 360, 1000000);
        run(&c, 3 * RATE);
        c.sent = 0;
        assert_int_equal(duet_video_encoder_set_bitrate(c.encoder, 80000), DUET_OK);
        run(&c, 2 * RATE);
        c.sent = 0;
        run(&c, 4 * RATE);
        assert_true((double)c.sent * 8 / 4 < 110000);
        assert_int_equal(c.keyframes, 1);
        call_free(&c);
    }
}

static void a_key_frame_comes_when_it_is_asked_for(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        call c = call_new(names[i], 320, 240, 300000);
        run(&c, 10);
        assert_int_equal(c.keyframes, 1);
        encode(&c, true);
        assert_true(c.last.info.is_keyframe);
        assert_int_equal(c.last.info.width, 320);
        assert_int_equal(c.last.info.height, 240);
        duet_video_decoder *late;
        duet_video_decoder_config dc;
        duet_video_frame out;
        duet_video_decoder_config_init(&dc);
        strcpy(dc.codec.name, names[i]);
        assert_int_equal(duet_video_decoder_create(&late, &dc), DUET_OK);
        assert_int_equal(duet_video_decoder_decode(late, c.last.data, c.last.len, &out), DUET_OK);
        encode(&c, false);
        assert_false(c.last.info.is_keyframe);
        assert_int_equal(c.last.info.width, 0);
        assert_int_equal(duet_video_decoder_decode(late, c.last.data, c.last.len, &out), DUET_OK);
        duet_video_decoder_destroy(late);
        call_free(&c);
    }
}

static void a_picture_of_another_size_is_followed(void **state)
{
    (void)state;
    const uint16_t sizes[][2] = {{640, 360}, {160, 120}, {1280, 720}, {102, 66}};

    for (int i = 0; i < 2; i++) {
        call c = call_new(names[i], 320, 240, 2000000);
        run(&c, 5);
        for (size_t s = 0; s < 4; s++) {
            c.width = sizes[s][0];
            c.height = sizes[s][1];
            run(&c, 3);
            assert_int_equal(c.keyframes, s + 2);
        }
        duet_video_frame none = {0};
        assert_int_equal(duet_video_encoder_encode(c.encoder, &none, DUET_SECONDS(100), false, &c.last),
                         DUET_ERR_INVALID);
        run(&c, 1); /* goes on as before */
        call_free(&c);
    }
}

static void odd_sizes_and_foreign_strides_are_fine(void **state)
{
    (void)state;
    static uint8_t luma[500 * 101], chroma[500 * 51];

    for (int i = 0; i < 2; i++) {
        call c = call_new(names[i], 151, 101, 200000);
        duet_video_frame frame = {.width = 151,
                                  .height = 101,
                                  .planes = {luma, chroma, chroma},
                                  .strides = {500, 333, 333}},
                         out;
        memset(luma, 77, sizeof(luma));
        memset(chroma, 99, sizeof(chroma));
        assert_int_equal(duet_video_encoder_encode(c.encoder, &frame, 0, false, &c.last), DUET_OK);
        assert_int_equal(duet_video_decoder_decode(c.decoder, c.last.data, c.last.len, &out), DUET_OK);
        assert_int_equal(out.width, 151);
        assert_int_equal(out.height, 101);
        assert_true(abs(out.planes[0][100 * out.strides[0] + 150] - 77) < 4);
        assert_true(abs(out.planes[2][50 * out.strides[2] + 75] - 99) < 4);
        call_free(&c);
    }
}

static void time_may_stand_still(void **state)
{
    (void)state;
    call c = call_new("VP8", 320, 240, 300000);
    duet_video_frame frame;

    duet_pattern_fill(c.picture, 320, 240, 1);
    duet_pattern_frame(c.picture, 320, 240, &frame);
    for (int i = 0; i < 5; i++)
        assert_int_equal(duet_video_encoder_encode(c.encoder, &frame, DUET_SECONDS(7), false, &c.last), DUET_OK);
    assert_int_equal(duet_video_encoder_encode(c.encoder, &frame, DUET_SECONDS(6), false, &c.last), DUET_OK);
    call_free(&c);
}

/* Pictures that are hard to encode, from `from` on. @return bytes */
static size_t encode_noise(call *c, duet_time from, unsigned count, bool keyframe)
{
    duet_video_frame frame;
    uint64_t seed = c->counter;
    size_t bytes = 0;

    for (unsigned i = 0; i < count; i++) {
        duet_pattern_fill(c->picture, c->width, c->height, ++c->counter);
        for (size_t k = 0; k < (size_t)c->width * c->height; k++)
            c->picture[k] = (uint8_t)(c->picture[k] / 2 + test_random(&seed) % 16);
        duet_pattern_frame(c->picture, c->width, c->height, &frame);
        duet_time time = from + i * DUET_SECONDS(1) / RATE;
        assert_int_equal(duet_video_encoder_encode(c->encoder, &frame, time, keyframe && i == 0, &c->last), DUET_OK);
        bytes += c->last.len;
    }
    return bytes;
}

static void a_pause_saves_no_bits_for_the_picture_after_it(void **state)
{
    static const unsigned pauses[] = {1, 3, 8, 600}; /* seconds */
    (void)state;

    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < sizeof(pauses) / sizeof(pauses[0]); k++) {
            call c = call_new(names[i], 640, 480, 300000);
            duet_time now = DUET_SECONDS(1000);
            encode_noise(&c, now, 2 * RATE, true);
            size_t usual = encode_noise(&c, now + DUET_SECONDS(2), 1, true);
            now += DUET_SECONDS(3 + pauses[k]);
            size_t after = encode_noise(&c, now, 1, true);
            print_message("%s: a key frame of %zu bytes, after %u s of %zu\n", names[i], usual, pauses[k], after);
            assert_true(after < usual * 2);
            call_free(&c);
        }
    }
}

static void a_clock_that_is_set_back_costs_no_bits(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        call c = call_new(names[i], 640, 480, 300000);
        encode_noise(&c, DUET_SECONDS(5000), 4 * RATE, true);
        size_t before = encode_noise(&c, DUET_SECONDS(5004), 4 * RATE, false);
        encode_noise(&c, DUET_SECONDS(1000), 4 * RATE, false);
        size_t after = encode_noise(&c, DUET_SECONDS(1004), 4 * RATE, false);
        assert_in_range(after, before / 2, before * 2);
        call_free(&c);
    }
}

static void a_frame_without_its_key_frame_is_malformed(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        call c = call_new(names[i], 320, 240, 300000);
        duet_video_frame out;
        encode(&c, false);
        encode(&c, false);
        assert_int_equal(duet_video_decoder_decode(c.decoder, c.last.data, c.last.len, &out), DUET_ERR_MALFORMED);
        assert_int_equal(duet_video_decoder_decode(c.decoder, c.last.data, 0, &out), DUET_ERR_MALFORMED);
        encode(&c, true);
        assert_int_equal(duet_video_decoder_decode(c.decoder, c.last.data, c.last.len, &out), DUET_OK);
        call_free(&c);
    }
}

static duet_video_decoder *small_decoder(const char *name)
{
    duet_video_decoder_config dc;
    duet_video_decoder *d;

    duet_video_decoder_config_init(&dc);
    strcpy(dc.codec.name, name);
    dc.width_max = 320;
    dc.height_max = 240;
    assert_int_equal(duet_video_decoder_create(&d, &dc), DUET_OK);
    return d;
}

static void a_larger_picture_than_allowed_is_not_decoded(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        call c = call_new(names[i], 320, 242, 300000);
        duet_video_decoder *d = small_decoder(names[i]);
        duet_video_frame out;
        encode(&c, false);
        assert_int_equal(duet_video_decoder_decode(d, c.last.data, c.last.len, &out), DUET_ERR_TOO_LARGE);
        c.height = 240;
        encode(&c, false);
        assert_int_equal(duet_video_decoder_decode(d, c.last.data, c.last.len, &out), DUET_OK);
        duet_video_decoder_destroy(d);
        call_free(&c);
    }
}

/* A frame of 320 × 240 with another one, larger than allowed, hidden behind it: libvpx would decode both. */
static void what_is_hidden_behind_a_vp9_frame_is_not_decoded(void **state)
{
    (void)state;
    call small = call_new("VP9", 320, 240, 300000), large = call_new("VP9", 640, 480, 300000);
    duet_video_decoder *d = small_decoder("VP9");
    duet_video_frame out;

    encode(&small, false);
    encode(&large, false);
    size_t len = small.last.len + large.last.len;
    uint8_t *both = malloc(len + 10);
    assert_non_null(both);
    memcpy(both, small.last.data, small.last.len);
    memcpy(both + small.last.len, large.last.data, large.last.len);
    int err = duet_video_decoder_decode(d, both, len, &out);
    assert_true(err == DUET_OK || err == DUET_ERR_MALFORMED);
    assert_true(err != DUET_OK || out.width == 320);

    /* the same as a superframe: with an index */
    uint8_t index[10] = {0xD9};
    for (unsigned i = 0; i < 4; i++) {
        index[1 + i] = (uint8_t)(small.last.len >> (8 * i));
        index[5 + i] = (uint8_t)(large.last.len >> (8 * i));
    }
    index[0] = index[9] = 0xC0 | 3 << 3 | 1;
    memcpy(both + len, index, sizeof(index));
    assert_int_equal(duet_video_decoder_decode(d, both, len + 10, &out), DUET_ERR_TOO_LARGE);
    assert_int_equal(duet_video_decoder_decode(large.decoder, both, len + 10, &out), DUET_OK);
    assert_int_equal(out.width, 640); /* the last one is shown */
    both[len + 1] = 0xFF;
    both[len + 4] = 0xFF; /* a frame longer than all there is */
    assert_int_equal(duet_video_decoder_decode(d, both, len + 10, &out), DUET_ERR_MALFORMED);
    free(both);
    duet_video_decoder_destroy(d);
    call_free(&small);
    call_free(&large);
}

static void damage_is_survived(void **state)
{
    (void)state;
    uint64_t seed = 51;

    for (int i = 0; i < 2; i++) {
        call c = call_new(names[i], 160, 120, 200000);
        duet_video_decoder *d = small_decoder(names[i]);
        duet_video_frame out;
        uint8_t *copy = malloc(65536);
        assert_non_null(copy);
        for (int n = 0; n < 300; n++) {
            encode(&c, n % 10 == 0);
            if (c.last.len == 0 || c.last.len > 65536)
                continue;
            if (n % 50 == 0) { /* a key frame in between makes everything good */
                assert_int_equal(duet_video_decoder_decode(d, c.last.data, c.last.len, &out), DUET_OK);
                continue;
            }
            memcpy(copy, c.last.data, c.last.len);
            size_t len = 1 + test_random_below(&seed, c.last.len);
            for (int k = 0; k < 3; k++)
                copy[test_random_below(&seed, len)] ^= (uint8_t)test_random(&seed);
            int err = duet_video_decoder_decode(d, copy, len, &out);
            assert_true(err == DUET_OK || err == DUET_ERR_MALFORMED || err == DUET_ERR_AGAIN ||
                        err == DUET_ERR_TOO_LARGE || err == DUET_ERR_UNSUPPORTED);
            assert_true(err != DUET_OK || (out.width <= 320 && out.height <= 240));
        }
        encode(&c, true);
        assert_int_equal(duet_video_decoder_decode(d, c.last.data, c.last.len, &out), DUET_OK);
        free(copy);
        duet_video_decoder_destroy(d);
        call_free(&c);
    }
}

static void frames_travel_as_payloads(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        call c = call_new(names[i], 320, 240, 500000);
        duet_packetizer_config pc;
        duet_packetizer *p;
        duet_depacketizer *d;
        uint8_t payload[300];
        size_t len;
        bool marker;
        duet_packetizer_config_init(&pc);
        pc.format = duet_payload_format_of(names[i]);
        pc.payload_max = sizeof(payload);
        assert_int_equal(duet_packetizer_create(&p, &pc), DUET_OK);
        assert_int_equal(duet_depacketizer_create(&d, NULL, pc.format, 0), DUET_OK);
        for (int n = 0; n < 30; n++) {
            const uint8_t *frame;
            duet_video_frame out;
            duet_payload_info info;
            uint32_t got;
            encode(&c, false);
            if (c.last.len == 0)
                continue;
            assert_int_equal(duet_packetizer_begin(p, c.last.data, c.last.len, n % 2 ? &c.last.info : NULL), DUET_OK);
            duet_depacketizer_begin(d);
            for (int k = 0; duet_packetizer_next(p, payload, sizeof(payload), &len, &marker) == 1; k++) {
                assert_int_equal(duet_payload_inspect(pc.format, payload, len, &info), DUET_OK);
                assert_int_equal(info.is_keyframe, k == 0 && n == 0);
                assert_int_equal(info.width, k == 0 && n == 0 ? 320 : 0);
                assert_int_equal(duet_depacketizer_add(d, payload, len), DUET_OK);
            }
            assert_int_equal(duet_depacketizer_end(d, &frame, &len), DUET_OK);
            assert_int_equal(duet_video_decoder_decode(c.decoder, frame, len, &out), DUET_OK);
            assert_true(duet_pattern_read(&out, &got));
            assert_int_equal(got, c.counter);
        }
        duet_packetizer_destroy(p);
        duet_depacketizer_destroy(d);
        call_free(&c);
    }
}

static void configurations_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    duet_video_encoder_config ec;
    duet_video_decoder_config dc;
    duet_video_encoder *e;
    duet_video_decoder *d;

    duet_video_encoder_config_init(&ec);
    duet_video_decoder_config_init(&dc);
    strcpy(ec.codec.name, "H264");
    strcpy(dc.codec.name, "H264");
    ec.width = ec.height = 100;
    assert_int_equal(duet_video_encoder_create(&e, &ec), DUET_ERR_UNSUPPORTED);
    assert_int_equal(duet_video_decoder_create(&d, &dc), DUET_ERR_UNSUPPORTED);
    strcpy(ec.codec.name, "VP8");
    ec.width = 0;
    assert_int_equal(duet_video_encoder_create(&e, &ec), DUET_ERR_INVALID);
    ec.width = 16384;
    assert_int_equal(duet_video_encoder_create(&e, &ec), DUET_ERR_INVALID);
    ec.width = 100;
    ec.speed = 100;
    assert_int_equal(duet_video_encoder_create(&e, &ec), DUET_ERR_INVALID);
    assert_null(e);
    assert_null(d);
}

static void the_list_begins_with_audio(void **state)
{
    (void)state;
    duet_codec codecs[8];

    assert_int_equal(duet_codecs_list(NULL, 0), 5);
    assert_int_equal(duet_codecs_list(codecs, 8), 5);
    assert_string_equal(codecs[0].name, "opus");
    assert_int_equal(codecs[0].channels, 2);
    assert_string_equal(codecs[3].name, "VP8");
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(duet_payload_format_is_video(duet_payload_format_of(codecs[i].name)), i >= 3);
}

static int live(const duet_env *env, void *arg)
{
    duet_video_encoder_config ec;
    duet_video_decoder_config dc;
    duet_video_encoder *e = NULL;
    duet_video_decoder *d = NULL;
    duet_encoded_frame encoded;
    duet_video_frame frame, out;
    static uint8_t picture[96 * 64 * 3 / 2];

    duet_video_encoder_config_init(&ec);
    duet_video_decoder_config_init(&dc);
    strcpy(ec.codec.name, arg);
    strcpy(dc.codec.name, arg);
    ec.env = dc.env = env;
    ec.width = 96;
    ec.height = 64;
    duet_pattern_fill(picture, 96, 64, 1);
    duet_pattern_frame(picture, 96, 64, &frame);
    int err = duet_video_encoder_create(&e, &ec);
    if (!err)
        err = duet_video_decoder_create(&d, &dc);
    if (!err) {
        assert_int_equal(duet_video_encoder_encode(e, &frame, 0, false, &encoded), DUET_OK);
        err = duet_video_decoder_decode(d, encoded.data, encoded.len, &out);
    }
    duet_video_encoder_destroy(e);
    duet_video_decoder_destroy(d);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    char vp8[] = "VP8", vp9[] = "VP9";
    test_fail_each_allocation("VP8", live, vp8);
    test_fail_each_allocation("VP9", live, vp9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_counter_survives_100_kilobits),
        cmocka_unit_test(the_bit_rate_changes_on_the_fly),
        cmocka_unit_test(a_key_frame_comes_when_it_is_asked_for),
        cmocka_unit_test(a_picture_of_another_size_is_followed),
        cmocka_unit_test(odd_sizes_and_foreign_strides_are_fine),
        cmocka_unit_test(time_may_stand_still),
        cmocka_unit_test(a_pause_saves_no_bits_for_the_picture_after_it),
        cmocka_unit_test(a_clock_that_is_set_back_costs_no_bits),
        cmocka_unit_test(a_frame_without_its_key_frame_is_malformed),
        cmocka_unit_test(a_larger_picture_than_allowed_is_not_decoded),
        cmocka_unit_test(what_is_hidden_behind_a_vp9_frame_is_not_decoded),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(frames_travel_as_payloads),
        cmocka_unit_test(configurations_that_make_no_sense_are_refused),
        cmocka_unit_test(the_list_begins_with_audio),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
