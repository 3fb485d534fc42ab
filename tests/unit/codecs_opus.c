/* Opus: what the peer's format parameters do (RFC 7587 section 6.1), loss, silence, and bad input. */
#include "duet/codecs.h"
#include "test.h"

#define FRAME 960 /* 20 ms at 48 kHz */

static duet_audio_encoder *encoder_new(const char *fmtp, uint8_t channels, bool voice)
{
    duet_audio_encoder_config config;
    duet_audio_encoder *e;

    duet_audio_encoder_config_init(&config);
    strcpy(config.codec.name, "opus");
    strcpy(config.codec.fmtp, fmtp);
    config.channels = channels;
    config.voice = voice;
    config.expected_loss = 20;
    assert_int_equal(duet_audio_encoder_create(&e, &config), DUET_OK);
    return e;
}

static duet_audio_decoder *decoder_new(uint32_t rate, uint8_t channels)
{
    duet_audio_decoder_config config;
    duet_audio_decoder *d;

    duet_audio_decoder_config_init(&config);
    strcpy(config.codec.name, "opus");
    config.sample_rate = rate;
    config.channels = channels;
    assert_int_equal(duet_audio_decoder_create(&d, &config), DUET_OK);
    return d;
}

/* 20 ms of something like a voice: harmonics of 150 Hz that come and go. */
static void voice(int16_t *samples, uint8_t channels, uint64_t position)
{
    int16_t part[2 * FRAME];

    memset(samples, 0, FRAME * channels * sizeof(*samples));
    for (int harmonic = 1; harmonic <= 12; harmonic++) {
        double loudness = 0.25 / harmonic * (double)(1 + (position / FRAME + (uint64_t)harmonic) % 3) / 3;
        duet_tone_fill(part, FRAME, channels, 48000, 150.0 * harmonic, loudness, position);
        for (int i = 0; i < FRAME * channels; i++)
            samples[i] = (int16_t)(samples[i] + part[i]);
    }
}

static size_t encode(duet_audio_encoder *e, const int16_t *samples, uint8_t channels, uint8_t *data, size_t capacity)
{
    duet_audio_frame frame = {.samples = samples, .count = FRAME, .sample_rate = 48000, .channels = channels};
    size_t len;

    assert_int_equal(duet_audio_encoder_encode(e, &frame, data, capacity, &len), DUET_OK);
    return len;
}

/* Bits per second over two seconds of voice. */
static double bitrate_of(duet_audio_encoder *e, uint8_t channels)
{
    int16_t samples[2 * FRAME];
    uint8_t data[1500];
    size_t total = 0;

    for (uint64_t i = 0; i < 100; i++) {
        voice(samples, channels, i * FRAME);
        total += encode(e, samples, channels, data, sizeof(data));
    }
    return (double)total * 8 / 2;
}

static double energy(const int16_t *samples, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += (double)samples[i] * samples[i];
    return sum / (double)count;
}

static void a_tone_survives(void **state)
{
    (void)state;
    const uint32_t rates[] = {48000, 16000, 8000};

    for (int r = 0; r < 3; r++) {
        duet_audio_encoder *e = encoder_new("", 1, false);
        duet_audio_decoder *d = decoder_new(rates[r], 2);
        int16_t in[FRAME], out[2 * FRAME];
        uint8_t data[1500];
        size_t count;
        for (uint64_t i = 0; i < 50; i++) {
            duet_tone_fill(in, FRAME, 1, 48000, 440, 0.5, i * FRAME);
            size_t len = encode(e, in, 1, data, sizeof(data));
            assert_int_equal(duet_opus_packet_duration(data, len), FRAME);
            assert_int_equal(duet_audio_decoder_decode(d, data, len, out, FRAME, &count), DUET_OK);
            assert_int_equal(count, rates[r] / 50);
        }
        double ratio = energy(out, 2 * count) / energy(in, FRAME);
        assert_true(ratio > 0.8 && ratio < 1.2);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(out[2 * i], out[2 * i + 1]); /* mono in both ears */
        duet_audio_encoder_destroy(e);
        duet_audio_decoder_destroy(d);
    }
}

static void the_peer_bounds_the_bit_rate(void **state)
{
    (void)state;
    duet_audio_encoder *e = encoder_new("maxaveragebitrate=12000", 1, false);
    double low = bitrate_of(e, 1);

    assert_true(low < 13500);
    assert_int_equal(duet_audio_encoder_set_bitrate(e, 64000), DUET_OK); /* no more than the peer wants */
    assert_true(bitrate_of(e, 1) < 13500);
    duet_audio_encoder_destroy(e);

    e = encoder_new("", 1, false);
    double normal = bitrate_of(e, 1);
    assert_true(normal > 20000 && normal < 40000);
    assert_int_equal(duet_audio_encoder_set_bitrate(e, 16000), DUET_OK);
    assert_true(bitrate_of(e, 1) < 19000);
    assert_int_equal(duet_audio_encoder_set_bitrate(e, 0), DUET_OK); /* as low as it goes */
    assert_true(bitrate_of(e, 1) < 9000);
    duet_audio_encoder_destroy(e);
}

static void cbr_makes_packets_of_one_size(void **state)
{
    (void)state;
    duet_audio_encoder *e = encoder_new("cbr=1; maxaveragebitrate=24000", 1, false);
    int16_t samples[FRAME];
    uint8_t data[1500];

    for (uint64_t i = 0; i < 30; i++) {
        voice(samples, 1, i * FRAME);
        assert_int_equal(encode(e, samples, 1, data, sizeof(data)), 60);
    }
    duet_audio_encoder_destroy(e);
}

/* The s bit of the TOC, RFC 6716 section 3.1. */
static bool sends_stereo(const char *fmtp)
{
    duet_audio_encoder *e = encoder_new(fmtp, 2, false);
    int16_t samples[2 * FRAME];
    uint8_t data[1500];

    for (uint64_t i = 0; i < 5; i++) {
        voice(samples, 2, i * FRAME);
        for (int k = 0; k < FRAME; k++)
            samples[2 * k] = (int16_t)(-samples[2 * k] / 2); /* the ears differ */
        encode(e, samples, 2, data, sizeof(data));
    }
    duet_audio_encoder_destroy(e);
    return data[0] & 0x04;
}

static void stereo_is_sent_to_who_wants_it(void **state)
{
    (void)state;
    assert_true(sends_stereo("minptime=10;stereo=1;useinbandfec=1"));
    assert_false(sends_stereo("sprop-stereo=1"));
    assert_false(sends_stereo("stereo=0"));
    assert_false(sends_stereo(""));
}

static void a_playback_rate_bounds_the_bandwidth(void **state)
{
    (void)state;
    duet_audio_encoder *e = encoder_new("maxplaybackrate=16000", 1, false);
    int16_t samples[FRAME];
    uint8_t data[1500];

    assert_int_equal(duet_audio_encoder_set_bitrate(e, 128000), DUET_OK);
    for (uint64_t i = 0; i < 10; i++) {
        voice(samples, 1, i * FRAME);
        encode(e, samples, 1, data, sizeof(data));
        unsigned config = data[0] >> 3;
        assert_true(config <= 11 || (config >= 16 && config <= 23)); /* up to wideband */
    }
    duet_audio_encoder_destroy(e);
}

static void silence_is_not_sent(void **state)
{
    (void)state;
    duet_audio_encoder *e = encoder_new("usedtx=1", 1, true), *always = encoder_new("", 1, true);
    int16_t samples[FRAME] = {0};
    uint8_t data[1500];
    int sent = 0;

    for (uint64_t i = 0; i < 20; i++) {
        voice(samples, 1, i * FRAME);
        assert_true(encode(e, samples, 1, data, sizeof(data)) > 2);
    }
    memset(samples, 0, sizeof(samples));
    for (int i = 0; i < 100; i++) {
        sent += encode(e, samples, 1, data, sizeof(data)) > 0;
        assert_true(encode(always, samples, 1, data, sizeof(data)) > 0);
    }
    assert_true(sent > 1 && sent < 40); /* the fall into silence, and now and then news of the background */
    duet_audio_encoder_destroy(e);
    duet_audio_encoder_destroy(always);
}

/* Words of 120 ms, as redundancy is sent for speech only, not for what goes on and on. */
static void word(int16_t *samples, uint64_t frame)
{
    voice(samples, 1, frame * FRAME);
    for (int i = 0; i < FRAME && frame / 6 % 2 == 0; i++)
        samples[i] = (int16_t)(samples[i] / 256);
}

/* Sends 60 frames of speech, loses frame 44, and gives back how far the replacement is from what was lost, 1 being
 * silence. */
static double loss_error(const char *fmtp, bool by_fec)
{
    duet_audio_encoder *e = encoder_new(fmtp, 1, true);
    duet_audio_decoder *whole = decoder_new(48000, 1), *lossy = decoder_new(48000, 1);
    int16_t in[FRAME], right[FRAME], got[FRAME];
    uint8_t data[1500];
    size_t count;
    double difference = 0, total = 0;

    for (uint64_t i = 0; i < 60; i++) {
        word(in, i);
        size_t len = encode(e, in, 1, data, sizeof(data));
        if (i == 45) {
            int err = by_fec ? duet_audio_decoder_decode_fec(lossy, data, len, got, FRAME)
                             : duet_audio_decoder_conceal(lossy, got, FRAME);
            assert_int_equal(err, DUET_OK);
            for (int k = 0; k < FRAME; k++) {
                difference += (double)(right[k] - got[k]) * (right[k] - got[k]);
                total += (double)right[k] * right[k];
            }
        }
        assert_int_equal(duet_audio_decoder_decode(whole, data, len, right, FRAME, &count), DUET_OK);
        if (i != 44)
            assert_int_equal(duet_audio_decoder_decode(lossy, data, len, got, FRAME, &count), DUET_OK);
    }
    duet_audio_encoder_destroy(e);
    duet_audio_decoder_destroy(whole);
    duet_audio_decoder_destroy(lossy);
    return difference / total;
}

static void redundancy_replaces_what_was_lost(void **state)
{
    (void)state;
    double fec = loss_error("useinbandfec=1", true), concealed = loss_error("useinbandfec=1", false);

    print_message("error: FEC %.3f, concealment %.3f\n", fec, concealed);
    assert_true(fec < concealed);
    assert_true(fec < 0.5);
}

static void a_packet_without_redundancy_says_so(void **state)
{
    (void)state;
    duet_audio_encoder *e = encoder_new("", 1, true);
    duet_audio_decoder *d = decoder_new(48000, 1);
    const uint8_t celt[] = {0xF8, 0xFF, 0xFE}, toc[] = {0x48}, cut[] = {0x4B};
    int16_t samples[FRAME];
    uint8_t data[1500];

    for (uint64_t i = 0; i < 20; i++) {
        voice(samples, 1, i * FRAME);
        size_t len = encode(e, samples, 1, data, sizeof(data));
        assert_int_equal(duet_audio_decoder_decode_fec(d, data, len, samples, FRAME), DUET_ERR_NOT_FOUND);
    }
    assert_int_equal(duet_audio_decoder_decode_fec(d, celt, sizeof(celt), samples, FRAME), DUET_ERR_NOT_FOUND);
    assert_int_equal(duet_audio_decoder_decode_fec(d, toc, sizeof(toc), samples, FRAME), DUET_ERR_NOT_FOUND);
    assert_int_equal(duet_audio_decoder_decode_fec(d, cut, sizeof(cut), samples, FRAME), DUET_ERR_NOT_FOUND);
    assert_int_equal(duet_audio_decoder_decode_fec(d, cut, 0, samples, FRAME), DUET_ERR_MALFORMED);
    duet_audio_encoder_destroy(e);
    duet_audio_decoder_destroy(d);
}

static void concealment_fades(void **state)
{
    (void)state;
    duet_audio_encoder *e = encoder_new("", 1, false);
    duet_audio_decoder *d = decoder_new(48000, 1);
    int16_t samples[FRAME];
    uint8_t data[1500];
    size_t count;
    double first = 0, last = 0;

    assert_int_equal(duet_audio_decoder_conceal(d, samples, FRAME), DUET_OK); /* before anything came */
    for (uint64_t i = 0; i < 20; i++) {
        voice(samples, 1, i * FRAME);
        size_t len = encode(e, samples, 1, data, sizeof(data));
        assert_int_equal(duet_audio_decoder_decode(d, data, len, samples, FRAME, &count), DUET_OK);
    }
    for (int i = 0; i < 30; i++) {
        assert_int_equal(duet_audio_decoder_conceal(d, samples, FRAME), DUET_OK);
        last = energy(samples, FRAME);
        first = i == 0 ? last : first;
    }
    assert_true(last < first / 10);
    assert_int_equal(duet_audio_decoder_conceal(d, samples, 100), DUET_ERR_INVALID); /* no multiple of 2.5 ms */
    duet_audio_encoder_destroy(e);
    duet_audio_decoder_destroy(d);
}

static void lengths_that_opus_has_not_are_refused(void **state)
{
    (void)state;
    duet_audio_encoder *e = encoder_new("", 1, false);
    int16_t samples[3000] = {0};
    uint8_t data[1500];
    size_t len;
    const size_t good[] = {120, 240, 480, 960, 1920, 2880}, bad[] = {0, 1, 100, 360, 961, 1200, 3000};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        duet_audio_frame frame = {.samples = samples, .count = good[i], .sample_rate = 48000, .channels = 1};
        assert_int_equal(duet_audio_encoder_encode(e, &frame, data, sizeof(data), &len), DUET_OK);
        assert_int_equal(duet_opus_packet_duration(data, len), good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        duet_audio_frame frame = {.samples = samples, .count = bad[i], .sample_rate = 48000, .channels = 1};
        assert_int_equal(duet_audio_encoder_encode(e, &frame, data, sizeof(data), &len), DUET_ERR_INVALID);
    }
    duet_audio_frame frame = {.samples = samples, .count = 960, .sample_rate = 48000, .channels = 1};
    assert_int_equal(duet_audio_encoder_encode(e, &frame, data, 0, &len), DUET_ERR_BUFFER);
    duet_audio_encoder_destroy(e);
}

static void bad_packets_are_malformed(void **state)
{
    (void)state;
    duet_audio_decoder *d = decoder_new(48000, 2);
    static int16_t samples[2 * 5760];
    uint8_t data[200];
    size_t count;
    uint64_t seed = 31;
    const uint8_t odd[] = {0x79, 1}, too_long[] = {0x7B, 0x07, 1, 2, 3}, good[] = {0xF8, 0xFF, 0xFE};

    assert_int_equal(duet_audio_decoder_decode(d, odd, sizeof(odd), samples, 5760, &count), DUET_ERR_MALFORMED);
    assert_int_equal(duet_audio_decoder_decode(d, too_long, sizeof(too_long), samples, 5760, &count),
                     DUET_ERR_MALFORMED);
    assert_int_equal(duet_audio_decoder_decode(d, odd, 0, samples, 5760, &count), DUET_ERR_MALFORMED);
    assert_int_equal(duet_audio_decoder_decode(d, good, sizeof(good), samples, 480, &count), DUET_ERR_BUFFER);
    for (int i = 0; i < 3000; i++) {
        size_t len = 1 + test_random_below(&seed, sizeof(data) - 1);
        test_random_fill(&seed, data, len);
        int err = duet_audio_decoder_decode(d, data, len, samples, 5760, &count);
        assert_true(err == DUET_OK || err == DUET_ERR_MALFORMED);
        err = duet_audio_decoder_decode_fec(d, data, len, samples, 960);
        assert_true(err == DUET_OK || err == DUET_ERR_MALFORMED || err == DUET_ERR_NOT_FOUND);
    }
    assert_int_equal(duet_audio_decoder_decode(d, good, sizeof(good), samples, 5760, &count), DUET_OK);
    duet_audio_decoder_destroy(d);
}

static void configurations_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    duet_audio_encoder_config ec;
    duet_audio_decoder_config dc;
    duet_audio_encoder *e;
    duet_audio_decoder *d;

    duet_audio_encoder_config_init(&ec);
    duet_audio_decoder_config_init(&dc);
    assert_int_equal(duet_audio_encoder_create(&e, &ec), DUET_ERR_UNSUPPORTED);
    assert_int_equal(duet_audio_decoder_create(&d, &dc), DUET_ERR_UNSUPPORTED);
    strcpy(ec.codec.name, "VP8");
    assert_int_equal(duet_audio_encoder_create(&e, &ec), DUET_ERR_UNSUPPORTED);
    strcpy(ec.codec.name, "opus");
    strcpy(dc.codec.name, "opus");
    ec.sample_rate = dc.sample_rate = 44100;
    assert_int_equal(duet_audio_encoder_create(&e, &ec), DUET_ERR_INVALID);
    assert_int_equal(duet_audio_decoder_create(&d, &dc), DUET_ERR_INVALID);
    ec.sample_rate = dc.sample_rate = 0;
    ec.channels = dc.channels = 3;
    assert_int_equal(duet_audio_encoder_create(&e, &ec), DUET_ERR_INVALID);
    assert_int_equal(duet_audio_decoder_create(&d, &dc), DUET_ERR_INVALID);
    assert_null(e);
    assert_null(d);
}

static int live(const duet_env *env, void *arg)
{
    duet_audio_encoder_config ec;
    duet_audio_decoder_config dc;
    duet_audio_encoder *e = NULL;
    duet_audio_decoder *d = NULL;

    duet_audio_encoder_config_init(&ec);
    duet_audio_decoder_config_init(&dc);
    strcpy(ec.codec.name, arg);
    strcpy(dc.codec.name, arg);
    ec.env = dc.env = env;
    int err = duet_audio_encoder_create(&e, &ec);
    if (!err)
        err = duet_audio_decoder_create(&d, &dc);
    duet_audio_encoder_destroy(e);
    duet_audio_decoder_destroy(d);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    char opus[] = "opus", pcmu[] = "PCMU";
    test_fail_each_allocation("Opus", live, opus);
    test_fail_each_allocation("G.711", live, pcmu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tone_survives),
        cmocka_unit_test(the_peer_bounds_the_bit_rate),
        cmocka_unit_test(cbr_makes_packets_of_one_size),
        cmocka_unit_test(stereo_is_sent_to_who_wants_it),
        cmocka_unit_test(a_playback_rate_bounds_the_bandwidth),
        cmocka_unit_test(silence_is_not_sent),
        cmocka_unit_test(redundancy_replaces_what_was_lost),
        cmocka_unit_test(a_packet_without_redundancy_says_so),
        cmocka_unit_test(concealment_fades),
        cmocka_unit_test(lengths_that_opus_has_not_are_refused),
        cmocka_unit_test(bad_packets_are_malformed),
        cmocka_unit_test(configurations_that_make_no_sense_are_refused),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
