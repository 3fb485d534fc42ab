/* Decoders of every codec with packets of anybody. Input: codec, then packets with a length of two bytes each. What is
 * decoded must lie within what was allowed. */
#include "base/bytes.h"
#include "duet/codecs.h"
#include "fuzz.h"
#include <string.h>

#define SIZE_MAX_ALLOWED 128
#define SAMPLES          5760

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Touches every pixel, so that the sanitizer looks at them. */
static unsigned sum_of(const duet_video_frame *frame)
{
    unsigned sum = 0;

    for (int p = 0; p < 3; p++)
        for (size_t y = 0; y < (p ? (frame->height + 1u) / 2 : frame->height); y++)
            for (size_t x = 0; x < (p ? (frame->width + 1u) / 2 : frame->width); x++)
                sum += frame->planes[p][y * frame->strides[p] + x];
    return sum;
}

static void decode_video(const char *name, duet_reader r)
{
    duet_video_decoder_config config;
    duet_video_decoder *d;
    duet_video_frame frame;
    uint32_t counter;

    duet_video_decoder_config_init(&config);
    strcpy(config.codec.name, name);
    config.width_max = config.height_max = SIZE_MAX_ALLOWED;
    require(duet_video_decoder_create(&d, &config) == DUET_OK);
    for (int i = 0; i < 8 && duet_reader_left(&r) > 2; i++) {
        size_t len = duet_read_u16(&r);
        if (len > duet_reader_left(&r))
            len = duet_reader_left(&r);
        duet_bytes packet = duet_read_bytes(&r, len);
        if (duet_video_decoder_decode(d, packet.data, packet.len, &frame) != DUET_OK)
            continue;
        require(frame.width > 0 && frame.width <= SIZE_MAX_ALLOWED);
        require(frame.height > 0 && frame.height <= SIZE_MAX_ALLOWED);
        require(sum_of(&frame) < UINT32_MAX);
        (void)duet_pattern_read(&frame, &counter);
    }
    duet_video_decoder_destroy(d);
}

static void decode_audio(const char *name, duet_reader r)
{
    duet_audio_decoder_config config;
    duet_audio_decoder *d;
    int16_t samples[2 * SAMPLES];
    duet_comfort_noise noise;
    size_t count;

    duet_audio_decoder_config_init(&config);
    strcpy(config.codec.name, name);
    config.channels = strcmp(name, "opus") == 0 ? 2 : 1;
    require(duet_audio_decoder_create(&d, &config) == DUET_OK);
    for (int i = 0; i < 16 && duet_reader_left(&r) > 2; i++) {
        size_t len = duet_read_u16(&r) & 0x7FF;
        if (len > duet_reader_left(&r))
            len = duet_reader_left(&r);
        duet_bytes packet = duet_read_bytes(&r, len);
        if (len % 3 == 0)
            (void)duet_audio_decoder_decode_fec(d, packet.data, packet.len, samples, 960);
        if (len % 5 == 0)
            require(duet_audio_decoder_conceal(d, samples, 480) == DUET_OK);
        if (len % 7 == 1 && duet_comfort_noise_parse(&noise, packet.data, packet.len) == DUET_OK)
            (void)duet_audio_decoder_comfort_noise(d, &noise, samples, 480);
        if (duet_audio_decoder_decode(d, packet.data, packet.len, samples, SAMPLES, &count) == DUET_OK)
            require(count > 0 && count <= SAMPLES);
    }
    duet_audio_decoder_destroy(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_codec codecs[8];
    size_t count = duet_codecs_list(codecs, 8);
    duet_reader r = duet_reader_init(data, size);
    const char *name = codecs[duet_read_u8(&r) % count].name;

    if (duet_payload_format_is_video(duet_payload_format_of(name)))
        decode_video(name, r);
    else
        decode_audio(name, r);
    return 0;
}
