/* Sound at another rate, with the resampler of libspeexdsp, in blocks of 20 ms. */
#ifndef DUET_APPS_RESAMPLE_H
#define DUET_APPS_RESAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESAMPLE_RATE_MAX     48000
#define RESAMPLE_CHANNELS_MAX 2
#define RESAMPLE_BLOCK_MAX    (RESAMPLE_RATE_MAX / 50 * RESAMPLE_CHANNELS_MAX) /* samples of all channels */

typedef struct resampler resampler;

/* @param channels, rate          of what comes in: at most RESAMPLE_CHANNELS_MAX
 * @param out_channels, out_rate  of what goes out: as many channels, or one; a multiple of 50 Hz, at most RESAMPLE_RATE_MAX
 * @return NULL when there is no memory */
resampler *resampler_create(uint8_t channels, uint32_t rate, uint8_t out_channels, uint32_t out_rate);
void resampler_destroy(resampler *r);
/* Takes samples of all channels, at most 20 ms (and what fits into a sample); what there is must have been taken out before. */
void resampler_put(resampler *r, const int16_t *samples, size_t count);
/* Nothing more comes: silence completes the last block. */
void resampler_end(resampler *r);
/* The next 20 ms, which begin a few milliseconds before those that went in. @return false when there is less */
bool resampler_take(resampler *r, int16_t out[RESAMPLE_BLOCK_MAX]);

#endif
