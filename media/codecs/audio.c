/* Audio encoders and decoders, without what is particular to a codec: which one it is, and what all of them check. */
#include "media/codecs/codec.h"

void duet_audio_encoder_config_init(duet_audio_encoder_config *config)
{
    *config = (duet_audio_encoder_config){.size = sizeof(*config), .complexity = -1};
}

int duet_audio_encoder_create(duet_audio_encoder **out, const duet_audio_encoder_config *config)
{
    duet_env env = duet_env_resolve(config->env);

    *out = NULL;
    switch (duet_payload_format_of(config->codec.name)) {
    case DUET_PAYLOAD_OPUS:
        return duet_opus_encoder_create(out, config, &env);
    case DUET_PAYLOAD_G711:
        return duet_g711_encoder_create(out, config, &env);
    default:
        return DUET_ERR_UNSUPPORTED;
    }
}

void duet_audio_encoder_destroy(duet_audio_encoder *e)
{
    if (!e)
        return;
    duet_env env = e->env;
    duet_free(&env, e);
}

int duet_audio_encoder_encode(duet_audio_encoder *e, const duet_audio_frame *frame, uint8_t *data, size_t capacity,
                              size_t *len)
{
    *len = 0;
    if (frame->sample_rate != e->sample_rate || frame->channels != e->channels || frame->count == 0)
        return DUET_ERR_INVALID;
    return capacity ? e->ops->encode(e, frame, data, capacity, len) : DUET_ERR_BUFFER;
}

int duet_audio_encoder_set_bitrate(duet_audio_encoder *e, uint32_t bits_per_second)
{
    return e->ops->set_bitrate(e, bits_per_second);
}

int duet_audio_encoder_set_expected_loss(duet_audio_encoder *e, uint8_t percent)
{
    return e->ops->set_expected_loss(e, percent);
}

void duet_audio_decoder_config_init(duet_audio_decoder_config *config)
{
    *config = (duet_audio_decoder_config){.size = sizeof(*config)};
}

int duet_audio_decoder_create(duet_audio_decoder **out, const duet_audio_decoder_config *config)
{
    duet_env env = duet_env_resolve(config->env);

    *out = NULL;
    switch (duet_payload_format_of(config->codec.name)) {
    case DUET_PAYLOAD_OPUS:
        return duet_opus_decoder_create(out, config, &env);
    case DUET_PAYLOAD_G711:
        return duet_g711_decoder_create(out, config, &env);
    default:
        return DUET_ERR_UNSUPPORTED;
    }
}

void duet_audio_decoder_destroy(duet_audio_decoder *d)
{
    if (!d)
        return;
    duet_env env = d->env;
    duet_free(&env, d);
}

int duet_audio_decoder_decode(duet_audio_decoder *d, const uint8_t *data, size_t len, int16_t *samples, size_t capacity,
                              size_t *count)
{
    *count = 0;
    return len ? d->ops->decode(d, data, len, samples, capacity, count) : DUET_ERR_MALFORMED;
}

int duet_audio_decoder_decode_fec(duet_audio_decoder *d, const uint8_t *data, size_t len, int16_t *samples,
                                  size_t count)
{
    return len ? d->ops->decode_fec(d, data, len, samples, count) : DUET_ERR_MALFORMED;
}

int duet_audio_decoder_conceal(duet_audio_decoder *d, int16_t *samples, size_t count)
{
    return d->ops->conceal(d, samples, count);
}

int duet_audio_decoder_comfort_noise(duet_audio_decoder *d, const duet_comfort_noise *told, int16_t *samples,
                                     size_t count)
{
    return d->ops->noise ? d->ops->noise(d, told, samples, count) : DUET_ERR_UNSUPPORTED;
}
