/* G.711: the tables of ITU-T G.711, and concealment. */
#include "duet/codecs.h"
#include "test.h"

static duet_audio_encoder *encoder_new(const char *name)
{
    duet_audio_encoder_config config;
    duet_audio_encoder *e;

    duet_audio_encoder_config_init(&config);
    snprintf(config.codec.name, sizeof(config.codec.name), "%s", name);
    assert_int_equal(duet_audio_encoder_create(&e, &config), DUET_OK);
    return e;
}

static duet_audio_decoder *decoder_new(const char *name)
{
    duet_audio_decoder_config config;
    duet_audio_decoder *d;

    duet_audio_decoder_config_init(&config);
    snprintf(config.codec.name, sizeof(config.codec.name), "%s", name);
    assert_int_equal(duet_audio_decoder_create(&d, &config), DUET_OK);
    return d;
}

static uint8_t code_of(duet_audio_encoder *e, int16_t sample)
{
    duet_audio_frame frame = {.samples = &sample, .count = 1, .sample_rate = 8000, .channels = 1};
    uint8_t code;
    size_t len;

    assert_int_equal(duet_audio_encoder_encode(e, &frame, &code, 1, &len), DUET_OK);
    assert_int_equal(len, 1);
    return code;
}

static int16_t sample_of(duet_audio_decoder *d, uint8_t code)
{
    int16_t sample;
    size_t count;

    assert_int_equal(duet_audio_decoder_decode(d, &code, 1, &sample, 1, &count), DUET_OK);
    assert_int_equal(count, 1);
    return sample;
}

static void mu_law_has_the_values_of_its_table(void **state)
{
    (void)state;
    duet_audio_encoder *e = encoder_new("PCMU");
    duet_audio_decoder *d = decoder_new("pcmu");

    assert_int_equal(sample_of(d, 0xFF), 0);
    assert_int_equal(sample_of(d, 0x7F), 0);
    assert_int_equal(sample_of(d, 0x80), 32124); /* 8031 of 14 bits */
    assert_int_equal(sample_of(d, 0x00), -32124);
    assert_int_equal(sample_of(d, 0xFE), 8);
    assert_int_equal(sample_of(d, 0xEF), 132);   /* 33 */
    assert_int_equal(sample_of(d, 0x8F), 16764); /* 4191 */
    assert_int_equal(code_of(e, 0), 0xFF);
    assert_int_equal(code_of(e, INT16_MAX), 0x80);
    assert_int_equal(code_of(e, INT16_MIN), 0x00);
    duet_audio_encoder_destroy(e);
    duet_audio_decoder_destroy(d);
}

static void a_law_has_the_values_of_its_table(void **state)
{
    (void)state;
    duet_audio_encoder *e = encoder_new("PCMA");
    duet_audio_decoder *d = decoder_new("PCMA");

    assert_int_equal(sample_of(d, 0xD5), 8); /* 1 of 13 bits, in the middle of its step */
    assert_int_equal(sample_of(d, 0x55), -8);
    assert_int_equal(sample_of(d, 0xAA), 32256); /* 4032 */
    assert_int_equal(sample_of(d, 0x2A), -32256);
    assert_int_equal(sample_of(d, 0xC5), 264);   /* 33 */
    assert_int_equal(sample_of(d, 0xBA), 16128); /* 2016 */
    assert_int_equal(code_of(e, 0), 0xD5);
    assert_int_equal(code_of(e, -1), 0x55);
    assert_int_equal(code_of(e, INT16_MAX), 0xAA);
    assert_int_equal(code_of(e, INT16_MIN), 0x2A);
    duet_audio_encoder_destroy(e);
    duet_audio_decoder_destroy(d);
}

static void every_sample_gets_the_nearest_code(void **state)
{
    (void)state;
    const char *const names[] = {"PCMU", "PCMA"};

    for (int law = 0; law < 2; law++) {
        duet_audio_encoder *e = encoder_new(names[law]);
        duet_audio_decoder *d = decoder_new(names[law]);
        int16_t values[256];
        for (int code = 0; code < 256; code++) {
            values[code] = sample_of(d, (uint8_t)code);
            assert_int_equal(sample_of(d, code_of(e, values[code])), values[code]);
        }
        int before = INT16_MIN;
        for (int sample = INT16_MIN; sample <= INT16_MAX; sample += 3) {
            int got = values[code_of(e, (int16_t)sample)], size = abs(sample) < 32635 ? abs(sample) : 32635;
            assert_true(got >= before);                        /* monotonic */
            assert_true(abs(got - sample) <= size / 32 + 140); /* a 16th of the segment, halved */
            before = got;
        }
        duet_audio_encoder_destroy(e);
        duet_audio_decoder_destroy(d);
    }
}

static double rms(const int16_t *samples, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += (double)samples[i] * samples[i];
    return sum / (double)count;
}

static void a_lost_tone_goes_on_and_fades(void **state)
{
    (void)state;
    duet_audio_encoder *e = encoder_new("PCMU");
    duet_audio_decoder *d = decoder_new("PCMU");
    int16_t in[160], out[160], lost[800];
    uint8_t data[160];
    size_t len, count;

    for (uint64_t position = 0; position < 1600; position += 160) {
        duet_tone_fill(in, 160, 1, 8000, 200, 0.5, position);
        duet_audio_frame frame = {.samples = in, .count = 160, .sample_rate = 8000, .channels = 1};
        assert_int_equal(duet_audio_encoder_encode(e, &frame, data, sizeof(data), &len), DUET_OK);
        assert_int_equal(duet_audio_decoder_decode(d, data, len, out, 160, &count), DUET_OK);
    }
    assert_int_equal(duet_audio_decoder_conceal(d, lost, 160), DUET_OK);
    assert_int_equal(duet_audio_decoder_conceal(d, lost + 160, 640), DUET_OK);
    duet_tone_fill(in, 160, 1, 8000, 200, 0.5, 1600);
    for (int i = 0; i < 80; i++) /* as if nothing had been lost */
        assert_true(abs(lost[i] - in[i]) < 900);
    assert_true(rms(lost + 80, 80) < rms(lost, 80));
    assert_true(rms(lost + 160, 160) < rms(lost + 80, 80));
    assert_true(rms(lost + 480, 320) == 0); /* silence after 60 ms */

    assert_int_equal(duet_audio_decoder_decode_fec(d, data, len, out, 160), DUET_ERR_NOT_FOUND);
    assert_int_equal(duet_audio_decoder_decode(d, data, len, out, 160, &count), DUET_OK);
    assert_int_equal(out[0], 0); /* it begins where the concealment ended */
    assert_int_equal(duet_audio_decoder_decode(d, data, len, lost, 160, &count), DUET_OK);
    assert_memory_equal(out + 32, lost + 32, 128 * sizeof(*out));
    duet_audio_encoder_destroy(e);
    duet_audio_decoder_destroy(d);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    duet_audio_encoder *e = encoder_new("PCMU");
    duet_audio_decoder *d = decoder_new("PCMU");
    int16_t samples[160] = {0};
    uint8_t data[160] = {0};
    size_t len;
    duet_audio_frame frame = {.samples = samples, .count = 160, .sample_rate = 8000, .channels = 1};

    assert_int_equal(duet_audio_encoder_encode(e, &frame, data, 159, &len), DUET_ERR_BUFFER);
    frame.sample_rate = 16000;
    assert_int_equal(duet_audio_encoder_encode(e, &frame, data, 160, &len), DUET_ERR_INVALID);
    frame.sample_rate = 8000;
    frame.channels = 2;
    assert_int_equal(duet_audio_encoder_encode(e, &frame, data, 160, &len), DUET_ERR_INVALID);
    assert_int_equal(duet_audio_decoder_decode(d, data, 160, samples, 159, &len), DUET_ERR_BUFFER);
    assert_int_equal(duet_audio_decoder_decode(d, data, 0, samples, 160, &len), DUET_ERR_MALFORMED);
    assert_int_equal(duet_audio_encoder_set_bitrate(e, 1000), DUET_ERR_UNSUPPORTED);
    assert_int_equal(duet_audio_encoder_set_expected_loss(e, 10), DUET_OK);
    duet_audio_encoder_destroy(e);
    duet_audio_decoder_destroy(d);
}

static void a_tone_joins_from_frame_to_frame(void **state)
{
    (void)state;
    int16_t whole[960], first[480], second[480], stereo[20];

    duet_tone_fill(whole, 960, 1, 48000, 440, 0.8, 1000);
    duet_tone_fill(first, 480, 1, 48000, 440, 0.8, 1000);
    duet_tone_fill(second, 480, 1, 48000, 440, 0.8, 1480);
    assert_memory_equal(whole, first, sizeof(first));
    assert_memory_equal(whole + 480, second, sizeof(second));
    duet_tone_fill(stereo, 10, 2, 48000, 440, 0.8, 1000);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(stereo[2 * i], whole[i]);
        assert_int_equal(stereo[2 * i + 1], whole[i]);
    }
    duet_tone_fill(whole, 960, 1, 48000, 12000, 1.0, 0);
    assert_int_equal(whole[0], 0);
    assert_int_equal(whole[1], INT16_MAX);
    assert_int_equal(whole[3], -INT16_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mu_law_has_the_values_of_its_table), cmocka_unit_test(a_law_has_the_values_of_its_table),
        cmocka_unit_test(every_sample_gets_the_nearest_code), cmocka_unit_test(a_lost_tone_goes_on_and_fades),
        cmocka_unit_test(what_does_not_fit_is_refused),       cmocka_unit_test(a_tone_joins_from_frame_to_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
