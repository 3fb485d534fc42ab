/* Figures of sound and pictures that pass by, as W3C webrtc-stats defines them. */
#include "peer/media_io.h"
#include <math.h>

#define SECOND DUET_SECONDS(1)

/* The mean of the squares, of full scale. */
static double power_of(const int16_t *samples, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += (double)samples[i] * samples[i];
    return count ? sum / (double)count / (32768.0 * 32768.0) : 0;
}

static uint8_t level_of(double power)
{
    double level = power > 0 ? -10 * log10(power) : 127;

    return level > 127 ? 127 : level < 0 ? 0 : (uint8_t)level;
}

uint8_t pc_sound_add(pc_sound *sound, const int16_t *samples, size_t count, uint8_t channels, uint32_t rate)
{
    double power = power_of(samples, count * channels), seconds = (double)count / rate;

    sound->level = sqrt(power);
    sound->energy += power * seconds;
    sound->seconds += seconds;
    return level_of(power);
}

void pc_pictures_add(pc_pictures *pictures, uint16_t width, uint16_t height, bool is_keyframe, duet_time now)
{
    pictures->count++;
    pictures->key_frames += is_keyframe;
    pictures->width = width;
    pictures->height = height;
    if (now >= pictures->since + SECOND) {
        pictures->per_second = now < pictures->since + 2 * SECOND ? pictures->in_second : 0;
        pictures->since = now;
        pictures->in_second = 0;
    }
    pictures->in_second++;
}

unsigned pc_pictures_per_second(const pc_pictures *pictures, duet_time now)
{
    return now < pictures->since + 2 * SECOND ? pictures->per_second : 0;
}
