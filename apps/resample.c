/* Sound at another rate: people's files have 44100 Hz, which no codec of calls takes. */
#include "resample.h"
#include <speex/speex_resampler.h>
#include <stdlib.h>
#include <string.h>

#define QUALITY SPEEX_RESAMPLER_QUALITY_DESKTOP

struct resampler {
    SpeexResamplerState *speex;
    uint8_t channels, out_channels;
    size_t block; /* samples of each channel in 20 ms of what goes out */
    size_t held;  /* so many of them are there */
    int16_t out[3 * RESAMPLE_BLOCK_MAX];
};

resampler *resampler_create(uint8_t channels, uint32_t rate, uint8_t out_channels, uint32_t out_rate)
{
    resampler *r = calloc(1, sizeof(*r));
    int err;

    if (!r)
        return NULL;
    r->channels = channels;
    r->out_channels = out_channels;
    r->block = out_rate / 50;
    r->speex = speex_resampler_init(out_channels, rate, out_rate, QUALITY, &err);
    if (r->speex)
        return r;
    free(r);
    return NULL;
}

void resampler_destroy(resampler *r)
{
    if (r)
        speex_resampler_destroy(r->speex);
    free(r);
}

/* Samples with as many channels as go out. */
static void convert(resampler *r, const int16_t *in, size_t count)
{
    spx_uint32_t in_len = (spx_uint32_t)count;
    spx_uint32_t out_len = (spx_uint32_t)(sizeof(r->out) / sizeof(r->out[0]) / r->out_channels - r->held);

    (void)speex_resampler_process_interleaved_int(r->speex, in, &in_len, r->out + r->held * r->out_channels, &out_len);
    r->held += out_len;
}

void resampler_put(resampler *r, const int16_t *samples, size_t count)
{
    int16_t mixed[256];

    if (r->channels == r->out_channels) {
        convert(r, samples, count);
        return;
    }
    while (count > 0) {
        size_t some = count < 256 ? count : 256;
        for (size_t i = 0; i < some; i++)
            mixed[i] = (int16_t)((samples[2 * i] + samples[2 * i + 1]) / 2);
        convert(r, mixed, some);
        samples += 2 * some;
        count -= some;
    }
}

void resampler_end(resampler *r)
{
    static const int16_t silence[1024 * RESAMPLE_CHANNELS_MAX];
    size_t late = (size_t)speex_resampler_get_input_latency(r->speex);

    convert(r, silence, late < 1024 ? late : 1024);
    size_t rest = r->held % r->block;
    if (rest == 0)
        return;
    memset(r->out + r->held * r->out_channels, 0, (r->block - rest) * r->out_channels * sizeof(int16_t));
    r->held += r->block - rest;
}

bool resampler_take(resampler *r, int16_t out[RESAMPLE_BLOCK_MAX])
{
    size_t block = r->block * r->out_channels;

    if (r->held < r->block)
        return false;
    memcpy(out, r->out, block * sizeof(int16_t));
    r->held -= r->block;
    memmove(r->out, r->out + block, r->held * r->out_channels * sizeof(int16_t));
    return true;
}
