/* Comfort noise as it is heard: RFC 3389 section 3. */
#include "duet/codecs.h"
#include "test.h"
#include <math.h>

static duet_audio_decoder *decoder_of(const char *name, uint32_t rate)
{
    duet_audio_decoder_config config;
    duet_audio_decoder *d;

    duet_audio_decoder_config_init(&config);
    snprintf(config.codec.name, sizeof(config.codec.name), "%s", name);
    config.codec.clock_rate = rate;
    assert_int_equal(duet_audio_decoder_create(&d, &config), DUET_OK);
    return d;
}

#define COUNT 16000 /* two seconds */

static int16_t samples[COUNT];

static double level_of(const int16_t *from, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += (double)from[i] * from[i];
    return sum > 0 ? -10 * log10(sum / (double)count / (32768.0 * 32768.0)) : 127;
}

static void make(duet_audio_decoder *d, const duet_comfort_noise *told)
{
    assert_int_equal(duet_audio_decoder_comfort_noise(d, told, samples, COUNT), DUET_OK); /* reaches its level */
    assert_int_equal(duet_audio_decoder_comfort_noise(d, NULL, samples, COUNT), DUET_OK);
}

static void its_level_is_what_was_told(void **state)
{
    static const uint8_t levels[] = {12, 20, 35, 50, 60, 70, 80};
    duet_audio_decoder *d = decoder_of("PCMU", 8000);
    (void)state;

    assert_int_equal(duet_audio_decoder_comfort_noise(d, NULL, samples, COUNT), DUET_OK);
    assert_true(level_of(samples, COUNT) > 126); /* silence as long as nothing is told */
    for (size_t i = 0; i < sizeof(levels); i++) {
        duet_comfort_noise told = {.level = levels[i]};
        make(d, &told);
        assert_true(fabs(level_of(samples, COUNT) - levels[i]) < 0.7);
    }
    duet_comfort_noise silent = {.level = 127};
    make(d, &silent);
    assert_true(level_of(samples, COUNT) > 100);
    duet_audio_decoder_destroy(d);
}

/* How alike each sample is to the one before it: -1 to 1. */
static double correlation(void)
{
    double product = 0, energy = 1e-9;

    for (size_t i = 1; i < COUNT; i++) {
        product += (double)samples[i] * samples[i - 1];
        energy += (double)samples[i] * samples[i];
    }
    return product / energy;
}

/* For a model of order 1 the correlation is the coefficient with the other sign: y(n) = x(n) - k y(n-1). */
static void its_spectrum_follows_the_coefficients(void **state)
{
    static const uint8_t indices[] = {127, 63, 191, 20, 234};
    duet_audio_decoder *d = decoder_of("PCMA", 8000);
    (void)state;

    for (size_t i = 0; i < sizeof(indices); i++) {
        duet_comfort_noise told = {.level = 40, .coefficient_count = 1, .coefficients = {indices[i]}};
        make(d, &told);
        double k = (indices[i] - 127) * 258 / 32768.0;
        assert_true(fabs(correlation() + k) < 0.05);
        assert_true(fabs(level_of(samples, COUNT) - 40) < 1); /* and the level is kept */
    }
    duet_comfort_noise told = {
        .level = 40, .coefficient_count = 10, .coefficients = {60, 150, 120, 140, 110, 127, 130, 125, 128, 127}};
    make(d, &told);
    assert_true(fabs(level_of(samples, COUNT) - 40) < 1);
    duet_audio_decoder_destroy(d);
}

static void what_is_reserved_ends_the_coefficients(void **state)
{
    duet_audio_decoder *d = decoder_of("PCMU", 8000);
    duet_comfort_noise told = {.level = 40, .coefficient_count = 3, .coefficients = {255, 10, 240}};
    (void)state;

    make(d, &told);
    assert_true(fabs(correlation()) < 0.05);
    duet_audio_decoder_destroy(d);
}

static void any_coefficients_make_bounded_noise(void **state)
{
    duet_audio_decoder *d = decoder_of("PCMU", 8000);
    uint64_t seed = 8;
    (void)state;

    for (int run = 0; run < 500; run++) {
        duet_comfort_noise told = {.coefficient_count = 32};
        test_random_fill(&seed, told.coefficients, sizeof(told.coefficients));
        for (size_t i = 0; run % 3 == 0 && i < 32; i++) /* the edges of what is stable */
            told.coefficients[i] = told.coefficients[i] & 1 ? 254 : 0;
        told.level = told.coefficients[31] & 0x7F;
        assert_int_equal(duet_audio_decoder_comfort_noise(d, &told, samples, 400), DUET_OK);
    }
    duet_comfort_noise quiet = {.level = 60};
    make(d, &quiet);
    assert_true(fabs(level_of(samples, COUNT) - 60) < 0.7); /* nothing stays of them */
    duet_audio_decoder_destroy(d);
}

static void sound_goes_on_after_it(void **state)
{
    duet_audio_decoder *d = decoder_of("PCMU", 8000);
    duet_comfort_noise told = {.level = 30};
    uint8_t loud[160];
    size_t count;
    (void)state;

    memset(loud, 0x80, sizeof(loud));
    assert_int_equal(duet_audio_decoder_conceal(d, samples, 160), DUET_OK);
    make(d, &told);
    assert_int_equal(duet_audio_decoder_decode(d, loud, sizeof(loud), samples, COUNT, &count), DUET_OK);
    assert_int_equal(count, 160);
    for (size_t i = 0; i < 160; i++)
        assert_int_equal(samples[i], 32124);
    duet_audio_decoder_destroy(d);
}

static void opus_has_its_own(void **state)
{
    duet_audio_decoder *d = decoder_of("opus", 48000);
    duet_comfort_noise told = {.level = 30};
    (void)state;

    assert_int_equal(duet_audio_decoder_comfort_noise(d, &told, samples, 960), DUET_ERR_UNSUPPORTED);
    duet_audio_decoder_destroy(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_level_is_what_was_told),
        cmocka_unit_test(its_spectrum_follows_the_coefficients),
        cmocka_unit_test(what_is_reserved_ends_the_coefficients),
        cmocka_unit_test(any_coefficients_make_bounded_noise),
        cmocka_unit_test(sound_goes_on_after_it),
        cmocka_unit_test(opus_has_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
