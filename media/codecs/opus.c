/* Opus by libopus, with the format parameters of RFC 7587. libopus works in memory that is ours. */
#include "media/codecs/codec.h"
#include <limits.h>
#include <opus/opus.h>

#define STEP_RATE       400 /* frames are whole multiples of 2.5 ms */
#define BITRATE_MIN     6000
#define BITRATE_MAX     510000 /* RFC 7587 section 6.1, maxaveragebitrate */
#define PACKET_MAX      1275 * 3 + 7
#define DTX_PACKET_MAX  2  /* libopus: packets of up to two bytes need not be sent */
#define SILK_CONFIG_MAX 15 /* RFC 6716 section 3.1: the configurations with SILK, alone or in hybrid */

static int error_of(int opus_error)
{
    switch (opus_error) {
    case OPUS_BUFFER_TOO_SMALL:
        return DUET_ERR_BUFFER;
    case OPUS_INVALID_PACKET:
        return DUET_ERR_MALFORMED;
    case OPUS_ALLOC_FAIL:
        return DUET_ERR_NOMEM;
    case OPUS_UNIMPLEMENTED:
        return DUET_ERR_UNSUPPORTED;
    default:
        return opus_error < 0 ? DUET_ERR_INVALID : DUET_OK;
    }
}

static bool rate_is_known(uint32_t rate)
{
    return rate == 8000 || rate == 12000 || rate == 16000 || rate == 24000 || rate == 48000;
}

/* ---- encoder ----------------------------------------------------------------------------------------------------- */

typedef struct opus_encoder {
    duet_audio_encoder base;
    uint32_t bitrate_max; /* of the peer */
    bool uses_dtx;
    bool in_dtx;       /* the last packet was one of silence */
    OpusEncoder *opus; /* behind this struct */
} opus_encoder;

/* The largest alignment of any object, so that libopus' state can stand behind ours. */
static size_t aligned(size_t size)
{
    size_t alignment = _Alignof(max_align_t);

    return (size + alignment - 1) / alignment * alignment;
}

static int set_bitrate(duet_audio_encoder *base, uint32_t bits_per_second)
{
    opus_encoder *e = (opus_encoder *)base;
    uint32_t rate = bits_per_second < e->bitrate_max ? bits_per_second : e->bitrate_max;

    rate = rate < BITRATE_MIN ? BITRATE_MIN : rate;
    return error_of(opus_encoder_ctl(e->opus, OPUS_SET_BITRATE((opus_int32)rate)));
}

static int set_expected_loss(duet_audio_encoder *base, uint8_t percent)
{
    opus_encoder *e = (opus_encoder *)base;

    return error_of(opus_encoder_ctl(e->opus, OPUS_SET_PACKET_LOSS_PERC(percent > 100 ? 100 : percent)));
}

/* 2.5, 5, 10, 20, 40 or 60 ms. */
static bool length_is_known(size_t count, uint32_t sample_rate)
{
    size_t step = sample_rate / STEP_RATE;
    size_t steps = count / step;

    if (count % step != 0)
        return false;
    return steps == 1 || steps == 2 || steps == 4 || steps == 8 || steps == 16 || steps == 24;
}

/* The first packet of a silence is sent, so that the decoder learns of it; the others are not. */
static size_t without_silence(opus_encoder *e, size_t len)
{
    bool is_silence = e->uses_dtx && len <= DTX_PACKET_MAX;
    bool goes_on = is_silence && e->in_dtx;

    e->in_dtx = is_silence;
    return goes_on ? 0 : len;
}

static int encode(duet_audio_encoder *base, const duet_audio_frame *frame, uint8_t *data, size_t capacity, size_t *len)
{
    opus_encoder *e = (opus_encoder *)base;

    if (!length_is_known(frame->count, base->sample_rate))
        return DUET_ERR_INVALID;
    opus_int32 room = capacity < PACKET_MAX ? (opus_int32)capacity : PACKET_MAX;
    opus_int32 n = opus_encode(e->opus, frame->samples, (int)frame->count, data, room);
    if (n < 0)
        return error_of(n);
    *len = without_silence(e, (size_t)n);
    return DUET_OK;
}

static const duet_audio_encoder_ops encoder_ops = {encode, set_bitrate, set_expected_loss};

static int bandwidth_of(uint32_t playback_rate)
{
    if (playback_rate <= 8000)
        return OPUS_BANDWIDTH_NARROWBAND;
    if (playback_rate <= 12000)
        return OPUS_BANDWIDTH_MEDIUMBAND;
    if (playback_rate <= 16000)
        return OPUS_BANDWIDTH_WIDEBAND;
    return playback_rate <= 24000 ? OPUS_BANDWIDTH_SUPERWIDEBAND : OPUS_BANDWIDTH_FULLBAND;
}

static bool uses_dtx(const duet_audio_encoder_config *config)
{
    return config->dtx || duet_fmtp_number(config->codec.fmtp, "usedtx", 0) == 1;
}

/* What the peer says that it wants to receive: RFC 7587 section 6.1. */
static int follow_peer(opus_encoder *e, const duet_audio_encoder_config *config)
{
    const char *fmtp = config->codec.fmtp;
    bool stereo = e->base.channels == 2 && duet_fmtp_number(fmtp, "stereo", 0) == 1;
    uint32_t bitrate = config->bitrate ? config->bitrate : stereo ? 64000 : 32000;
    uint32_t bitrate_max = duet_fmtp_number(fmtp, "maxaveragebitrate", BITRATE_MAX);

    e->bitrate_max = bitrate_max >= BITRATE_MIN && bitrate_max <= BITRATE_MAX ? bitrate_max : BITRATE_MAX;
    e->uses_dtx = uses_dtx(config);
    int fec = duet_fmtp_number(fmtp, "useinbandfec", 0) == 1;
    int vbr = duet_fmtp_number(fmtp, "cbr", 0) != 1;
    int bandwidth = bandwidth_of(duet_fmtp_number(fmtp, "maxplaybackrate", 48000));

    int err = set_bitrate(&e->base, bitrate);
    if (!err && !stereo)
        err = error_of(opus_encoder_ctl(e->opus, OPUS_SET_FORCE_CHANNELS(1)));
    if (!err)
        err = error_of(opus_encoder_ctl(e->opus, OPUS_SET_DTX(e->uses_dtx)));
    if (!err)
        err = error_of(opus_encoder_ctl(e->opus, OPUS_SET_INBAND_FEC(fec)));
    if (!err)
        err = error_of(opus_encoder_ctl(e->opus, OPUS_SET_VBR(vbr)));
    if (!err)
        err = error_of(opus_encoder_ctl(e->opus, OPUS_SET_MAX_BANDWIDTH(bandwidth)));
    return err;
}

/* DTX is about speech: for anything else libopus has it at its highest complexity only. */
static bool is_for_voice(const duet_audio_encoder_config *config)
{
    return config->voice || uses_dtx(config);
}

static int configure(opus_encoder *e, const duet_audio_encoder_config *config)
{
    int application = is_for_voice(config) ? OPUS_APPLICATION_VOIP : OPUS_APPLICATION_AUDIO;
    int complexity = config->complexity < 0 ? 5 : config->complexity;

    int err = error_of(opus_encoder_init(e->opus, (opus_int32)e->base.sample_rate, e->base.channels, application));
    if (!err)
        err = follow_peer(e, config);
    if (!err)
        err = error_of(opus_encoder_ctl(e->opus, OPUS_SET_COMPLEXITY(complexity)));
    if (!err && config->voice)
        err = error_of(opus_encoder_ctl(e->opus, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE)));
    return err ? err : set_expected_loss(&e->base, config->expected_loss);
}

int duet_opus_encoder_create(duet_audio_encoder **out, const duet_audio_encoder_config *config, const duet_env *env)
{
    uint8_t channels = config->channels ? config->channels : 1;
    uint32_t rate = config->sample_rate ? config->sample_rate : 48000;

    if (channels > 2 || !rate_is_known(rate) || config->complexity > 10)
        return DUET_ERR_INVALID;
    size_t at = aligned(sizeof(opus_encoder));
    opus_encoder *e = duet_calloc(env, at + (size_t)opus_encoder_get_size(channels));
    if (!e)
        return DUET_ERR_NOMEM;
    e->base = (duet_audio_encoder){.env = *env, .ops = &encoder_ops, .sample_rate = rate, .channels = channels};
    e->opus = (OpusEncoder *)((uint8_t *)e + at);
    int err = configure(e, config);
    if (err) {
        duet_free(env, e);
        return err;
    }
    *out = &e->base;
    return DUET_OK;
}

/* ---- decoder ----------------------------------------------------------------------------------------------------- */

typedef struct opus_decoder {
    duet_audio_decoder base;
    OpusDecoder *opus; /* behind this struct */
} opus_decoder;

static int room_of(size_t count)
{
    return count < INT_MAX ? (int)count : INT_MAX;
}

static int decode(duet_audio_decoder *base, const uint8_t *data, size_t len, int16_t *samples, size_t capacity,
                  size_t *count)
{
    opus_decoder *d = (opus_decoder *)base;

    if (len > INT_MAX)
        return DUET_ERR_MALFORMED;
    int n = opus_decode(d->opus, data, (opus_int32)len, samples, room_of(capacity), 0);
    if (n < 0)
        return error_of(n);
    *count = (size_t)n;
    return DUET_OK;
}

/* Whether the packet's first frame says that it has redundancy ("LBRR flag") of any channel: RFC 6716 section 4.2.3.
 * The flags are the first bits of the frame, each as likely as not, so they stand there as they are. */
static bool has_fec(const uint8_t *data, size_t len)
{
    const unsigned char *frames[48];
    opus_int16 sizes[48];

    if (data[0] >> 3 > SILK_CONFIG_MAX)
        return false;
    int count = opus_packet_parse(data, (opus_int32)len, NULL, frames, sizes, NULL);
    if (count <= 0 || sizes[0] == 0)
        return false;
    int duration = opus_packet_get_samples_per_frame(data, 48000);
    unsigned silk_frames = duration > 960 ? (unsigned)duration / 960 : 1; /* of 20 ms, or one of 10 ms */
    unsigned channels = (unsigned)opus_packet_get_nb_channels(data);
    for (unsigned i = 1; i <= channels; i++) /* for each channel the VAD flags of its frames, then the LBRR flag */
        if (frames[0][0] & 0x80 >> (i * (silk_frames + 1) - 1))
            return true;
    return false;
}

/* libopus gives as much as is asked for, or an error; a shorter answer would leave samples undefined. */
static int expect_all(int n, size_t count)
{
    if (n < 0)
        return error_of(n);
    return (size_t)n == count ? DUET_OK : DUET_ERR_INVALID;
}

static int decode_fec(duet_audio_decoder *base, const uint8_t *data, size_t len, int16_t *samples, size_t count)
{
    opus_decoder *d = (opus_decoder *)base;

    if (len > INT_MAX)
        return DUET_ERR_MALFORMED;
    if (!has_fec(data, len))
        return DUET_ERR_NOT_FOUND;
    return expect_all(opus_decode(d->opus, data, (opus_int32)len, samples, room_of(count), 1), count);
}

static int conceal(duet_audio_decoder *base, int16_t *samples, size_t count)
{
    opus_decoder *d = (opus_decoder *)base;

    return expect_all(opus_decode(d->opus, NULL, 0, samples, room_of(count), 0), count);
}

static const duet_audio_decoder_ops decoder_ops = {decode, decode_fec, conceal, NULL};

int duet_opus_decoder_create(duet_audio_decoder **out, const duet_audio_decoder_config *config, const duet_env *env)
{
    uint8_t channels = config->channels ? config->channels : 1;
    uint32_t rate = config->sample_rate ? config->sample_rate : 48000;

    if (channels > 2 || !rate_is_known(rate))
        return DUET_ERR_INVALID;
    size_t at = aligned(sizeof(opus_decoder));
    opus_decoder *d = duet_calloc(env, at + (size_t)opus_decoder_get_size(channels));
    if (!d)
        return DUET_ERR_NOMEM;
    d->base = (duet_audio_decoder){.env = *env, .ops = &decoder_ops, .sample_rate = rate, .channels = channels};
    d->opus = (OpusDecoder *)((uint8_t *)d + at);
    int err = error_of(opus_decoder_init(d->opus, (opus_int32)rate, channels));
    if (err) {
        duet_free(env, d);
        return err;
    }
    *out = &d->base;
    return DUET_OK;
}
