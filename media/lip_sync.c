/* Lip sync: the stream that plays early waits for the other. RFC 3550 section 6.4.1 gives both a common clock. */
#include "duet/jitter.h"

#define STEP_MAX    ((int64_t)DUET_MS(80))
#define UNHEARD     ((int64_t)DUET_MS(15)) /* a difference that nobody notices is left alone */
#define ABSURD      ((int64_t)DUET_SECONDS(10))
#define DELAY_LIMIT DUET_SECONDS(10)

/* Microseconds of a difference of NTP times, 32.32 fixed point. */
static int64_t ntp_difference(uint64_t a, uint64_t b)
{
    int64_t difference = (int64_t)(a - b);
    int64_t seconds = difference / (INT64_C(1) << 32), fraction = difference % (INT64_C(1) << 32);

    return seconds * 1000000 + fraction * 1000000 / (INT64_C(1) << 32);
}

/* `late` plays behind `early` by `amount`: it first gives back what it waits for the other's sake. */
static void bring_together(duet_time *late, duet_time *early, duet_time amount)
{
    duet_time back = *late < amount ? *late : amount;

    *late -= back;
    *early += amount - back;
    if (*early > DELAY_LIMIT)
        *early = DELAY_LIMIT;
}

void duet_lip_sync(uint64_t audio_capture, duet_time audio_play, uint64_t video_capture, duet_time video_play,
                   duet_time *audio_delay, duet_time *video_delay)
{
    int64_t captured_after = ntp_difference(audio_capture, video_capture);
    int64_t played_after = (int64_t)(audio_play - video_play);
    int64_t audio_late = captured_after > ABSURD || captured_after < -ABSURD ? 0 : played_after - captured_after;

    if (audio_late > ABSURD || audio_late < -ABSURD || (audio_late < UNHEARD && audio_late > -UNHEARD))
        return;
    if (audio_late > STEP_MAX)
        audio_late = STEP_MAX;
    if (audio_late < -STEP_MAX)
        audio_late = -STEP_MAX;
    if (audio_late > 0)
        bring_together(audio_delay, video_delay, (duet_time)audio_late);
    else
        bring_together(video_delay, audio_delay, (duet_time)-audio_late);
}
