/* A sine, for tests and calls without a microphone. */
#include "duet/codecs.h"
#include <math.h>

#define FULL_SCALE 32767.0
#define TAU        6.283185307179586

void duet_tone_fill(int16_t *samples, size_t count, uint8_t channels, uint32_t sample_rate, double frequency,
                    double amplitude, uint64_t position)
{
    for (size_t i = 0; i < count; i++) {
        double periods = (double)(position + i) * frequency / sample_rate;
        double value = sin(TAU * (periods - floor(periods))) * amplitude * FULL_SCALE;
        for (uint8_t c = 0; c < channels; c++)
            samples[i * channels + c] = (int16_t)lrint(value);
    }
}
