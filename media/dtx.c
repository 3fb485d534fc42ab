/* When a sender may fall silent, for codecs that cannot tell themselves: RFC 3389 section 5, RFC 3551 section 4.1. What is
 * louder than the background is voice; how loud the background is follows from its quietest moments. */
#include "duet/payload.h"

/* Levels are in -dBov: the larger, the quieter. */
#define ALWAYS_VOICE 40
#define NEVER_VOICE  65
#define MARGIN       6.0f   /* of voice over the background */
#define FLOOR_MAX    70.0f  /* digital silence is not what later sound is compared with */
#define FLOOR_RISE   0.003f /* dB in each millisecond: a noise that begins is background after some seconds */
#define HANGOVER     200    /* milliseconds: the ends of words are quiet */
#define SMOOTHING    0.3f
#define NOTICEABLE   3.0f /* a change worth a packet, but not more often than */
#define CHANGE_EVERY 100
#define REPEAT_EVERY 500 /* one may be lost */

static bool is_voice(const duet_dtx *d, uint8_t level)
{
    if (level < ALWAYS_VOICE || level > NEVER_VOICE)
        return level < ALWAYS_VOICE;
    return (float)level + MARGIN < d->floor;
}

static void follow_background(duet_dtx *d, uint8_t level, uint32_t duration)
{
    float quiet = level < FLOOR_MAX ? (float)level : FLOOR_MAX;

    if (!d->has_begun)
        d->floor = NEVER_VOICE;
    d->has_begun = true;
    if (quiet > d->floor)
        d->floor += (quiet - d->floor) / 2;
    else if (d->floor > ALWAYS_VOICE)
        d->floor -= FLOOR_RISE * (float)duration;
}

static bool is_worth_telling(const duet_dtx *d)
{
    float change = d->noise > d->told ? d->noise - d->told : d->told - d->noise;

    return d->since_told >= REPEAT_EVERY || (change >= NOTICEABLE && d->since_told >= CHANGE_EVERY);
}

duet_dtx_decision duet_dtx_decide(duet_dtx *d, uint8_t level, uint32_t duration, duet_comfort_noise *out)
{
    follow_background(d, level, duration);
    if (is_voice(d, level)) {
        *d = (duet_dtx){.has_begun = true, .floor = d->floor, .hangover = HANGOVER};
        return DUET_DTX_VOICE;
    }
    d->noise += d->has_noise ? ((float)level - d->noise) * SMOOTHING : (float)level;
    d->has_noise = true;
    if (d->hangover > 0) {
        d->hangover -= duration < d->hangover ? duration : d->hangover;
        return DUET_DTX_VOICE;
    }
    d->since_told += duration;
    if (d->is_silent && !is_worth_telling(d))
        return DUET_DTX_NOTHING;
    d->is_silent = true;
    d->told = d->noise;
    d->since_told = 0;
    *out = (duet_comfort_noise){.level = (uint8_t)(d->noise + 0.5f)};
    return DUET_DTX_NOISE;
}
