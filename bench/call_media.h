/* What the call benchmarks share, so that every stack carries the same: ten seconds of encoded media, and the figures of
 * the process. Video: VP8, 1280 x 720, 30 frames a second, 1.5 Mbit/s. Audio: Opus, packets of 20 ms, 32 kbit/s. */
#ifndef DUET_BENCH_CALL_MEDIA_H
#define DUET_BENCH_CALL_MEDIA_H

#include "duet/codecs.h"

#define CALL_WIDTH         1280
#define CALL_HEIGHT        720
#define CALL_FRAMERATE     30
#define CALL_BITRATE       1500000
#define CALL_SPEED         (-8) /* libvpx cpu-used */
#define CALL_SAMPLE_RATE   48000
#define CALL_AUDIO_BITRATE 32000
#define CALL_AUDIO_SAMPLES 960 /* 20 ms */
#define CALL_PICTURE_SIZE  (CALL_WIDTH * CALL_HEIGHT * 3 / 2)

#define CALL_VIDEO_FRAMES 300 /* the first one is a key frame: they go round */
#define CALL_AUDIO_FRAMES 500
#define CALLS_MAX         64

typedef struct call_frame {
    uint8_t *data;
    size_t len;
} call_frame;

typedef struct call_media {
    call_frame video[CALL_VIDEO_FRAMES];
    call_frame audio[CALL_AUDIO_FRAMES];
} call_media;

typedef struct call_options {
    bool raw; /* encode and decode, otherwise encoded frames pass through */
    unsigned calls;
    double seconds;
} call_options;

/* PROGRAM frames|raw [CALLS [SECONDS]]. @return false when it was something else, which has been said */
bool call_options_parse(call_options *out, int argc, char **argv);
/* Encodes the ten seconds. @return false when a codec refused */
bool call_media_prepare(call_media *media);
void call_media_free(call_media *media);

typedef struct call_meter {
    double cpu_seconds, at;
    double anonymous_kib, resident_kib; /* at the start, before the first call */
} call_meter;

/* Before the first call: what memory the process has without any. */
void call_meter_memory(call_meter *meter);
/* When all calls run: the measured time begins. */
void call_meter_start(call_meter *meter);
/* Prints the line of JSON. @param frames, packets  of video and audio, that arrived at all ends since the start */
void call_meter_report(const call_meter *meter, const call_options *options, const char *stack, double frames,
                       double packets);

#endif
