/* Media and figures of the call benchmarks. */
#include "call_media.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

bool call_options_parse(call_options *out, int argc, char **argv)
{
    *out = (call_options){.calls = 1, .seconds = 5};
    if (argc < 2 || argc > 4 || (strcmp(argv[1], "raw") != 0 && strcmp(argv[1], "frames") != 0)) {
        fprintf(stderr, "usage: %s frames|raw [CALLS [SECONDS]]\n", argv[0]);
        return false;
    }
    out->raw = strcmp(argv[1], "raw") == 0;
    if (argc > 2)
        out->calls = (unsigned)strtoul(argv[2], NULL, 10);
    if (argc > 3)
        out->seconds = strtod(argv[3], NULL);
    if (out->calls >= 1 && out->calls <= CALLS_MAX && out->seconds > 0)
        return true;
    fprintf(stderr, "%s: 1 to %d calls, and more than 0 seconds\n", argv[0], CALLS_MAX);
    return false;
}

/* ---- media ---- */

static bool keep(call_frame *frame, const uint8_t *data, size_t len)
{
    frame->data = malloc(len ? len : 1);
    if (!frame->data)
        return false;
    memcpy(frame->data, data, len);
    frame->len = len;
    return true;
}

static bool prepare_video(call_media *media)
{
    duet_video_encoder_config config;
    duet_video_encoder *encoder;
    duet_encoded_frame encoded;
    duet_video_frame picture;
    uint8_t *data = malloc(CALL_PICTURE_SIZE);
    bool ok = data != NULL;

    duet_video_encoder_config_init(&config);
    config.codec = (duet_codec){.name = "VP8", .payload_type = 96, .clock_rate = 90000};
    config.width = CALL_WIDTH;
    config.height = CALL_HEIGHT;
    config.bitrate = CALL_BITRATE;
    config.framerate = CALL_FRAMERATE;
    config.speed = CALL_SPEED;
    if (!ok || duet_video_encoder_create(&encoder, &config) != DUET_OK) {
        free(data);
        return false;
    }
    duet_pattern_frame(data, CALL_WIDTH, CALL_HEIGHT, &picture);
    /* A frame that the encoder drops to keep its rate is tried again later: all slots have one. */
    for (uint32_t i = 0, slot = 0; ok && slot < CALL_VIDEO_FRAMES; i++) {
        duet_pattern_fill(data, CALL_WIDTH, CALL_HEIGHT, i);
        ok = i < 4 * CALL_VIDEO_FRAMES &&
             duet_video_encoder_encode(encoder, &picture, (duet_time)i * 1000000 / CALL_FRAMERATE, slot == 0,
                                       &encoded) == DUET_OK;
        if (ok && encoded.len)
            ok = keep(&media->video[slot++], encoded.data, encoded.len);
    }
    duet_video_encoder_destroy(encoder);
    free(data);
    return ok;
}

static bool prepare_audio(call_media *media)
{
    duet_audio_encoder_config config;
    duet_audio_encoder *encoder;
    int16_t samples[CALL_AUDIO_SAMPLES];
    uint8_t packet[1500];
    size_t len = 0;
    bool ok = true;

    duet_audio_encoder_config_init(&config);
    config.codec = (duet_codec){.name = "opus", .payload_type = 111, .clock_rate = 48000, .channels = 2};
    config.bitrate = CALL_AUDIO_BITRATE;
    if (duet_audio_encoder_create(&encoder, &config) != DUET_OK)
        return false;
    for (uint64_t i = 0; ok && i < CALL_AUDIO_FRAMES; i++) {
        duet_audio_frame frame = {samples, CALL_AUDIO_SAMPLES, CALL_SAMPLE_RATE, 1};
        duet_tone_fill(samples, CALL_AUDIO_SAMPLES, 1, CALL_SAMPLE_RATE, 440, 0.3, i * CALL_AUDIO_SAMPLES);
        ok = duet_audio_encoder_encode(encoder, &frame, packet, sizeof(packet), &len) == DUET_OK &&
             keep(&media->audio[i], packet, len);
    }
    duet_audio_encoder_destroy(encoder);
    return ok;
}

bool call_media_prepare(call_media *media)
{
    memset(media, 0, sizeof(*media));
    return prepare_video(media) && prepare_audio(media);
}

void call_media_free(call_media *media)
{
    for (size_t i = 0; i < CALL_VIDEO_FRAMES; i++)
        free(media->video[i].data);
    for (size_t i = 0; i < CALL_AUDIO_FRAMES; i++)
        free(media->audio[i].data);
}

/* ---- figures ---- */

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double wall_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void memory_kib(double *anonymous, double *resident)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[128];

    *anonymous = *resident = 0;
    while (f && fgets(line, sizeof(line), f)) {
        sscanf(line, "RssAnon: %lf kB", anonymous);
        sscanf(line, "VmRSS: %lf kB", resident);
    }
    if (f)
        fclose(f);
}

void call_meter_memory(call_meter *meter)
{
    memory_kib(&meter->anonymous_kib, &meter->resident_kib);
}

void call_meter_start(call_meter *meter)
{
    meter->cpu_seconds = cpu_seconds();
    meter->at = wall_seconds();
}

void call_meter_report(const call_meter *meter, const call_options *o, const char *stack, double frames, double packets)
{
    double seconds = wall_seconds() - meter->at, cpu = cpu_seconds() - meter->cpu_seconds, anonymous, resident;

    memory_kib(&anonymous, &resident);
    printf("{\"stack\":\"%s\",\"media\":\"%s\",\"calls\":%u,\"seconds\":%.2f,\"cpu_percent_per_call\":%.2f,"
           "\"memory_kib_per_call\":%.0f,\"process_kib\":%.0f,\"video_fps_per_end\":%.2f,\"audio_pps_per_end\":%.2f}\n",
           stack, o->raw ? "raw" : "frames", o->calls, seconds, 100 * cpu / seconds / o->calls,
           (anonymous - meter->anonymous_kib) / o->calls, resident, frames / seconds / o->calls / 2,
           packets / seconds / o->calls / 2);
}
