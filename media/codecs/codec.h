/* What the codecs share: the audio objects as their users hold them, and the reader of format parameters. */
#ifndef DUET_MEDIA_CODEC_H
#define DUET_MEDIA_CODEC_H

#include "base/memory.h"
#include "duet/codecs.h"

/* Every audio encoder begins with this. */
struct duet_audio_encoder {
    duet_env env;
    const struct duet_audio_encoder_ops *ops;
    uint32_t sample_rate;
    uint8_t channels;
};

typedef struct duet_audio_encoder_ops {
    /* The frame has the encoder's rate and channels, and there is room for a byte. */
    int (*encode)(duet_audio_encoder *e, const duet_audio_frame *frame, uint8_t *data, size_t capacity, size_t *len);
    int (*set_bitrate)(duet_audio_encoder *e, uint32_t bits_per_second);
    int (*set_expected_loss)(duet_audio_encoder *e, uint8_t percent);
} duet_audio_encoder_ops;

/* Every audio decoder begins with this. */
struct duet_audio_decoder {
    duet_env env;
    const struct duet_audio_decoder_ops *ops;
    uint32_t sample_rate;
    uint8_t channels;
};

typedef struct duet_audio_decoder_ops {
    /* The packet is not empty. */
    int (*decode)(duet_audio_decoder *d, const uint8_t *data, size_t len, int16_t *samples, size_t capacity,
                  size_t *count);
    int (*decode_fec)(duet_audio_decoder *d, const uint8_t *data, size_t len, int16_t *samples, size_t count);
    int (*conceal)(duet_audio_decoder *d, int16_t *samples, size_t count);
    int (*noise)(duet_audio_decoder *d, const duet_comfort_noise *told, int16_t *samples, size_t count); /* or NULL */
} duet_audio_decoder_ops;

int duet_opus_encoder_create(duet_audio_encoder **out, const duet_audio_encoder_config *config, const duet_env *env);
int duet_opus_decoder_create(duet_audio_decoder **out, const duet_audio_decoder_config *config, const duet_env *env);
int duet_g711_encoder_create(duet_audio_encoder **out, const duet_audio_encoder_config *config, const duet_env *env);
int duet_g711_decoder_create(duet_audio_decoder **out, const duet_audio_decoder_config *config, const duet_env *env);

/* The number that "name=" has in format parameters; `otherwise` when it is absent or no number. */
uint32_t duet_fmtp_number(const char *fmtp, const char *name, uint32_t otherwise);

#endif
