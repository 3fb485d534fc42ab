/* G.711: A-law and µ-law by their definition, ITU-T G.711 tables 1 and 2. Lost sound is concealed by repeating the last
 * period of the voice, fading out within 60 ms. */
#include "media/codecs/codec.h"
#include "media/codecs/comfort_noise.h"
#include <string.h>
#include <strings.h>

#define RATE 8000

#define MU_BIAS 132 /* of 16 bits: 33 of µ-law's 14 */
#define MU_MAX  32635

/* |S| exponent (3) | mantissa (4) |, all bits inverted. 14 bits, of which the bias makes the leading one the
 * exponent. */
static uint8_t mu_law_of(int16_t sample)
{
    int magnitude = sample < 0 ? -(int)sample : sample;
    unsigned sign = sample < 0 ? 0x80 : 0, exponent = 7;

    magnitude = (magnitude > MU_MAX ? MU_MAX : magnitude) + MU_BIAS;
    while (exponent > 0 && magnitude < 0x80 << exponent)
        exponent--;
    return (uint8_t) ~(sign | exponent << 4 | (magnitude >> (exponent + 3) & 0x0F));
}

static int16_t of_mu_law(uint8_t code)
{
    code = (uint8_t)~code;
    int magnitude = (((code & 0x0F) << 3) + MU_BIAS) << (code >> 4 & 7);

    return (int16_t)(code & 0x80 ? MU_BIAS - magnitude : magnitude - MU_BIAS);
}

/* |S| exponent (3) | mantissa (4) |, even bits inverted, S 1 for positive samples. 13 bits; the first two segments
 * are one. */
static uint8_t a_law_of(int16_t sample)
{
    int magnitude = (sample < 0 ? ~(int)sample : sample) >> 4;
    unsigned exponent = 7;

    while (exponent > 0 && magnitude < 0x08 << exponent)
        exponent--;
    int mantissa = (exponent > 1 ? magnitude >> (exponent - 1) : magnitude) & 0x0F;
    return (uint8_t)(((sample < 0 ? 0 : 0x80) | exponent << 4 | (unsigned)mantissa) ^ 0x55);
}

static int16_t of_a_law(uint8_t code)
{
    code ^= 0x55;
    unsigned exponent = code >> 4 & 7;
    int magnitude = ((code & 0x0F) << 4) + 8; /* the middle of the step */

    if (exponent > 0)
        magnitude = (magnitude + 0x100) << (exponent - 1);
    return (int16_t)(code & 0x80 ? magnitude : -magnitude);
}

static bool is_a_law(const duet_codec *codec)
{
    return strcasecmp(codec->name, "PCMA") == 0;
}

/* ---- encoder ----------------------------------------------------------------------------------------------------- */

typedef struct g711_encoder {
    duet_audio_encoder base;
    uint8_t (*compress)(int16_t sample);
} g711_encoder;

static int encode(duet_audio_encoder *base, const duet_audio_frame *frame, uint8_t *data, size_t capacity, size_t *len)
{
    g711_encoder *e = (g711_encoder *)base;

    if (frame->count > capacity)
        return DUET_ERR_BUFFER;
    for (size_t i = 0; i < frame->count; i++)
        data[i] = e->compress(frame->samples[i]);
    *len = frame->count;
    return DUET_OK;
}

/* It has one bit rate. */
static int set_bitrate(duet_audio_encoder *e, uint32_t bits_per_second)
{
    (void)e, (void)bits_per_second;
    return DUET_ERR_UNSUPPORTED;
}

static int set_expected_loss(duet_audio_encoder *e, uint8_t percent)
{
    (void)e, (void)percent;
    return DUET_OK;
}

static const duet_audio_encoder_ops encoder_ops = {encode, set_bitrate, set_expected_loss};

int duet_g711_encoder_create(duet_audio_encoder **out, const duet_audio_encoder_config *config, const duet_env *env)
{
    if (config->channels > 1 || (config->sample_rate != 0 && config->sample_rate != RATE))
        return DUET_ERR_INVALID;
    g711_encoder *e = duet_calloc(env, sizeof(*e));
    if (!e)
        return DUET_ERR_NOMEM;
    e->base = (duet_audio_encoder){.env = *env, .ops = &encoder_ops, .sample_rate = RATE, .channels = 1};
    e->compress = is_a_law(&config->codec) ? a_law_of : mu_law_of;
    *out = &e->base;
    return DUET_OK;
}

/* ---- decoder ----------------------------------------------------------------------------------------------------- */

#define PERIOD_MIN 40  /* 5 ms: 200 Hz. Higher voices are caught with several of their periods */
#define PERIOD_MAX 120 /* 15 ms: 66 Hz */
#define HISTORY    (2 * PERIOD_MAX)
#define FADE_AFTER 80  /* 10 ms of full strength, */
#define FADE_OVER  400 /* then 50 ms to silence */
#define BLEND      32  /* 4 ms from the concealment into what was received */

typedef struct g711_decoder {
    duet_audio_decoder base;
    int16_t (*expand)(uint8_t code);
    int16_t history[HISTORY]; /* the last sound that was received */
    size_t period;            /* of its end; 0 when nothing is being concealed */
    size_t concealed;         /* samples since */
    duet_noise noise;         /* in pauses: RFC 3389 */
} g711_decoder;

/* How alike the last PERIOD_MAX samples are to those `period` before them, from 0 to 1. */
static double likeness(const int16_t *history, size_t period)
{
    const int16_t *now = history + HISTORY - PERIOD_MAX, *before = now - period;
    double product = 0, energy = 1;

    for (size_t i = 0; i < PERIOD_MAX; i++) {
        product += (double)now[i] * before[i];
        energy += (double)before[i] * before[i];
    }
    return product > 0 ? product * product / energy : 0;
}

static size_t find_period(const int16_t *history)
{
    size_t best = PERIOD_MIN;
    double best_likeness = -1;

    for (size_t period = PERIOD_MIN; period <= PERIOD_MAX; period++) {
        double l = likeness(history, period);
        if (l > best_likeness) {
            best_likeness = l;
            best = period;
        }
    }
    return best;
}

/* The next sample of the concealment. */
static int16_t repeat(g711_decoder *d)
{
    size_t n = d->concealed++;
    int sample = d->history[HISTORY - d->period + n % d->period];

    if (n < FADE_AFTER)
        return (int16_t)sample;
    size_t faded = n - FADE_AFTER;
    return faded < FADE_OVER ? (int16_t)(sample * (int)(FADE_OVER - faded) / FADE_OVER) : 0;
}

static int conceal(duet_audio_decoder *base, int16_t *samples, size_t count)
{
    g711_decoder *d = (g711_decoder *)base;

    if (d->period == 0) {
        d->period = find_period(d->history);
        d->concealed = 0;
    }
    for (size_t i = 0; i < count; i++)
        samples[i] = repeat(d);
    return DUET_OK;
}

static void remember(g711_decoder *d, const int16_t *samples, size_t count)
{
    size_t kept = count < HISTORY ? HISTORY - count : 0;

    memmove(d->history, d->history + HISTORY - kept, kept * sizeof(*samples));
    memcpy(d->history + kept, samples + count - (HISTORY - kept), (HISTORY - kept) * sizeof(*samples));
}

static void blend(g711_decoder *d, int16_t *samples, size_t count)
{
    int length = count < BLEND ? (int)count : BLEND;

    for (int i = 0; i < length; i++)
        samples[i] = (int16_t)((samples[i] * i + repeat(d) * (length - i)) / length);
}

static int decode(duet_audio_decoder *base, const uint8_t *data, size_t len, int16_t *samples, size_t capacity,
                  size_t *count)
{
    g711_decoder *d = (g711_decoder *)base;

    if (len > capacity)
        return DUET_ERR_BUFFER;
    for (size_t i = 0; i < len; i++)
        samples[i] = d->expand(data[i]);
    if (d->period > 0)
        blend(d, samples, len);
    d->period = 0;
    remember(d, samples, len);
    *count = len;
    return DUET_OK;
}

static int decode_fec(duet_audio_decoder *d, const uint8_t *data, size_t len, int16_t *samples, size_t count)
{
    (void)d, (void)data, (void)len, (void)samples, (void)count;
    return DUET_ERR_NOT_FOUND;
}

static int noise(duet_audio_decoder *base, const duet_comfort_noise *told, int16_t *samples, size_t count)
{
    g711_decoder *d = (g711_decoder *)base;

    if (told)
        duet_noise_set(&d->noise, told);
    duet_noise_fill(&d->noise, samples, count);
    d->period = 0;
    if (count > 0)
        remember(d, samples, count);
    return DUET_OK;
}

static const duet_audio_decoder_ops decoder_ops = {decode, decode_fec, conceal, noise};

int duet_g711_decoder_create(duet_audio_decoder **out, const duet_audio_decoder_config *config, const duet_env *env)
{
    if (config->channels > 1 || (config->sample_rate != 0 && config->sample_rate != RATE))
        return DUET_ERR_INVALID;
    g711_decoder *d = duet_calloc(env, sizeof(*d));
    if (!d)
        return DUET_ERR_NOMEM;
    d->base = (duet_audio_decoder){.env = *env, .ops = &decoder_ops, .sample_rate = RATE, .channels = 1};
    d->expand = is_a_law(&config->codec) ? of_a_law : of_mu_law;
    *out = &d->base;
    return DUET_OK;
}
