/* Raw sound and pictures of a sender: encoded with the codec that was negotiated, in its rhythm. */
#include "peer/media_io.h"
#include <string.h>
#include <strings.h>

#define PACKET_MS         20
#define AUDIO_BYTES_MAX   1276  /* of an Opus packet of one frame, RFC 6716 section 3.4 */
#define AUDIO_BITRATE     32000 /* of each channel */
#define VIDEO_BITRATE     600000
#define EXPECTED_LOSS_MAX 30           /* percent: beyond, repetition costs more than it saves */
#define GAP_MAX           DUET_MS(100) /* between two pieces of sound that belong together */

struct pc_encoder {
    duet_codec codec;
    duet_audio_encoder *audio;
    duet_video_encoder *video;
    uint32_t sample_rate;
    uint8_t channels;
    size_t packet;                    /* samples per channel of a packet */
    int16_t held[48 * PACKET_MS * 2]; /* of the packet that is not full yet */
    size_t held_count;
    duet_time captured_to; /* where the last piece of sound ended */
    bool was_silent;
    duet_dtx dtx; /* of a codec that has no pauses of its own */
    bool uses_dtx;
    bool wants_keyframe;
    uint32_t bitrate;
    uint8_t expected_loss; /* percent */
    uint8_t framerate;
    bool screen;
};

static const duet_codec_ops *ops_of(const duet_sender *sender)
{
    return sender->transceiver->pc->config.codecs;
}

void pc_encoder_destroy(pc_send *s)
{
    struct pc_encoder *e = s->encoder;
    const duet_codec_ops *ops = ops_of(s->sender);

    if (!e)
        return;
    if (e->audio)
        ops->audio_encoder_destroy(e->audio);
    if (e->video)
        ops->video_encoder_destroy(e->video);
    duet_free(&s->transport->pc->env, e);
    s->encoder = NULL;
}

void pc_encoder_keyframe(pc_send *s)
{
    if (s->encoder)
        s->encoder->wants_keyframe = true;
}

static uint32_t bitrate_of(const duet_sender *sender, uint32_t otherwise)
{
    uint64_t wanted = sender->parameters.max_bitrate ? sender->parameters.max_bitrate : otherwise;

    return wanted < UINT32_MAX ? (uint32_t)wanted : UINT32_MAX;
}

static bool fits(const struct pc_encoder *e, const duet_codec *codec)
{
    return strcmp(e->codec.name, codec->name) == 0 && e->codec.payload_type == codec->payload_type &&
           strcmp(e->codec.fmtp, codec->fmtp) == 0;
}

static int new_encoder(pc_send *s)
{
    pc_encoder_destroy(s);
    s->encoder = duet_calloc(&s->transport->pc->env, sizeof(*s->encoder));
    if (!s->encoder)
        return DUET_ERR_NOMEM;
    s->encoder->codec = s->sender->codec;
    s->encoder->wants_keyframe = s->encoder->was_silent = true;
    return DUET_OK;
}

/* ---- sound ---- */

static void follow_audio_bitrate(pc_send *s)
{
    const duet_codec_ops *ops = ops_of(s->sender);
    uint32_t wanted = bitrate_of(s->sender, AUDIO_BITRATE * s->encoder->channels);
    bool has_function = ops->size > offsetof(duet_codec_ops, audio_set_bitrate) && ops->audio_set_bitrate;

    if (s->encoder->bitrate == wanted)
        return;
    s->encoder->bitrate = wanted;
    if (has_function)
        (void)ops->audio_set_bitrate(s->encoder->audio, wanted); /* refused by G.711, which has one */
}

/* What the peer's last report lost is expected to be lost next: so much of Opus' bits goes into its in-band FEC. */
static void follow_loss(pc_send *s)
{
    const duet_codec_ops *ops = ops_of(s->sender);
    duet_send_stream_stats stats;

    if (ops->size <= offsetof(duet_codec_ops, audio_set_expected_loss) || !ops->audio_set_expected_loss)
        return;
    duet_send_stream_get_stats(s->stream, &stats);
    double percent = 100 * stats.remote_fraction_lost;
    uint8_t wanted = percent < EXPECTED_LOSS_MAX ? (uint8_t)(percent + 0.5) : EXPECTED_LOSS_MAX;
    if (wanted == s->encoder->expected_loss)
        return;
    s->encoder->expected_loss = wanted;
    (void)ops->audio_set_expected_loss(s->encoder->audio, wanted); /* nothing to G.711 */
}

static int ensure_audio(pc_send *s, const duet_audio_frame *frame)
{
    const duet_codec_ops *ops = ops_of(s->sender);
    duet_audio_encoder_config config = {.size = sizeof(config), .complexity = -1};

    if (s->encoder && fits(s->encoder, &s->sender->codec) && s->encoder->sample_rate == frame->sample_rate &&
        s->encoder->channels == frame->channels && s->encoder->uses_dtx == s->sender->parameters.dtx) {
        follow_audio_bitrate(s);
        follow_loss(s);
        return DUET_OK;
    }
    if (!ops || !ops->audio_encoder_create)
        return DUET_ERR_UNSUPPORTED;
    if (frame->channels < 1 || frame->channels > 2 || frame->sample_rate < 8000 || frame->sample_rate > 48000)
        return DUET_ERR_INVALID;
    int err = new_encoder(s);
    if (err != DUET_OK)
        return err;
    config.env = &s->transport->pc->env;
    config.codec = s->sender->codec;
    config.channels = s->encoder->channels = frame->channels;
    config.sample_rate = s->encoder->sample_rate = frame->sample_rate;
    config.bitrate = s->encoder->bitrate = bitrate_of(s->sender, AUDIO_BITRATE * frame->channels);
    config.dtx = s->encoder->uses_dtx = s->sender->parameters.dtx;
    s->encoder->packet = frame->sample_rate * PACKET_MS / 1000;
    err = ops->audio_encoder_create(&s->encoder->audio, &config);
    if (err != DUET_OK)
        pc_encoder_destroy(s);
    return err;
}

#define SPEECH_LEVEL 60 /* quieter is taken for silence */

/* Discontinuous transmission where the peer takes comfort noise. @return whether the packet is to be sent as it is */
static bool has_voice(pc_send *s, uint8_t level, duet_time captured, int *err)
{
    struct pc_encoder *e = s->encoder;
    uint32_t rate = e->codec.clock_rate, duration = rate / 1000 * PACKET_MS;
    duet_comfort_noise noise;

    if (!e->uses_dtx || !pc_send_beside(s, "CN", rate))
        return true;
    duet_dtx_decision decision = duet_dtx_decide(&e->dtx, level, PACKET_MS, &noise);
    if (decision == DUET_DTX_VOICE)
        return true;
    e->was_silent = true;
    *err = pc_send_pause_sound(s, decision == DUET_DTX_NOISE ? &noise : NULL, captured, duration);
    return false;
}

static int send_packet(pc_send *s, duet_time captured)
{
    struct pc_encoder *e = s->encoder;
    duet_audio_frame raw = {e->held, e->packet, e->sample_rate, e->channels};
    uint8_t level = pc_sound_add(&s->sound, e->held, e->packet, e->channels, e->sample_rate);
    uint8_t data[AUDIO_BYTES_MAX];
    size_t len;
    int err = DUET_OK;

    e->held_count = 0;
    if (!has_voice(s, level, captured, &err))
        return err;
    err = ops_of(s->sender)->audio_encode(e->audio, &raw, data, sizeof(data), &len);
    if (err != DUET_OK)
        return err;
    if (len == 0) { /* the codec's own pause */
        e->was_silent = true;
        return pc_send_pause_sound(s, NULL, captured, e->codec.clock_rate / 1000 * PACKET_MS);
    }
    duet_outgoing_frame frame = {.data = data,
                                 .len = len,
                                 .payload_type = DUET_FRAME_OWN_CODEC,
                                 .starts_talkspurt = e->was_silent,
                                 .captured = captured,
                                 .has_audio_level = true};
    frame.audio_level = level;
    frame.voice_activity = level < SPEECH_LEVEL;
    e->was_silent = false;
    return pc_send_frame(s->sender, &frame);
}

static duet_time time_of(const struct pc_encoder *e, size_t samples)
{
    return (duet_time)samples * 1000000 / e->sample_rate;
}

/* What waits to become a packet does not belong to sound that begins anew. */
static void join(struct pc_encoder *e, const duet_audio_frame *frame, duet_time captured)
{
    if (captured > e->captured_to + GAP_MAX || captured + GAP_MAX < e->captured_to)
        e->held_count = 0;
    e->captured_to = captured + time_of(e, frame->count);
}

static int send_audio(duet_sender *sender, const duet_audio_frame *frame, duet_time captured)
{
    pc_send *s = sender->send;
    int err;

    if (!duet_sender_is_active(sender))
        return DUET_ERR_STATE;
    if (sender->transceiver->kind != DUET_SDP_AUDIO)
        return DUET_ERR_INVALID;
    err = ensure_audio(s, frame);
    if (err == DUET_OK)
        join(s->encoder, frame, captured);
    for (size_t done = 0; err == DUET_OK && done < frame->count;) {
        struct pc_encoder *e = s->encoder;
        size_t take = e->packet - e->held_count;
        take = take < frame->count - done ? take : frame->count - done;
        memcpy(e->held + e->held_count * e->channels, frame->samples + done * e->channels,
               take * e->channels * sizeof(int16_t));
        e->held_count += take;
        done += take;
        if (e->held_count == e->packet)
            err = send_packet(s, captured + time_of(e, done) - time_of(e, e->packet));
    }
    return err;
}

int duet_sender_send_audio(duet_sender *sender, const duet_audio_frame *frame, duet_time captured)
{
    duet_events *events = &sender->transceiver->pc->events;

    duet_events_enter(events);
    int err = send_audio(sender, frame, captured);
    duet_events_leave(events);
    return err;
}

/* ---- pictures ---- */

static int ensure_video(pc_send *s, const duet_video_frame *frame)
{
    const duet_codec_ops *ops = ops_of(s->sender);
    const duet_sender_parameters *parameters = &s->sender->parameters;
    duet_video_encoder_config config = {.size = sizeof(config)};
    uint32_t bitrate = bitrate_of(s->sender, VIDEO_BITRATE);

    if (s->encoder && fits(s->encoder, &s->sender->codec) && s->encoder->framerate == parameters->max_framerate &&
        s->encoder->screen == parameters->screen_content) {
        if (s->encoder->bitrate != bitrate && ops->video_set_bitrate)
            (void)ops->video_set_bitrate(s->encoder->video, bitrate);
        s->encoder->bitrate = bitrate;
        return DUET_OK;
    }
    if (!ops || !ops->video_encoder_create)
        return DUET_ERR_UNSUPPORTED;
    int err = new_encoder(s);
    if (err != DUET_OK)
        return err;
    config.env = &s->transport->pc->env;
    config.codec = s->sender->codec;
    config.width = frame->width;
    config.height = frame->height;
    config.bitrate = s->encoder->bitrate = bitrate;
    config.framerate = s->encoder->framerate = parameters->max_framerate;
    config.screen = s->encoder->screen = parameters->screen_content;
    err = ops->video_encoder_create(&s->encoder->video, &config);
    if (err != DUET_OK)
        pc_encoder_destroy(s);
    return err;
}

static int send_video(duet_sender *sender, const duet_video_frame *picture, duet_time captured)
{
    pc_send *s = sender->send;
    duet_encoded_frame encoded;

    if (!duet_sender_is_active(sender))
        return DUET_ERR_STATE;
    if (sender->transceiver->kind != DUET_SDP_VIDEO)
        return DUET_ERR_INVALID;
    int err = ensure_video(s, picture);
    if (err == DUET_OK)
        pc_pictures_add(&s->source, picture->width, picture->height, false, sender->transceiver->pc->now);
    if (err == DUET_OK)
        err = ops_of(sender)->video_encode(s->encoder->video, picture, captured, s->encoder->wants_keyframe, &encoded);
    if (err != DUET_OK || encoded.len == 0)
        return err;
    pc_pictures_add(&s->encoded, picture->width, picture->height, encoded.info.is_keyframe,
                    sender->transceiver->pc->now);
    if (encoded.info.is_keyframe)
        s->encoder->wants_keyframe = false;
    duet_outgoing_frame frame = {.data = encoded.data,
                                 .len = encoded.len,
                                 .payload_type = DUET_FRAME_OWN_CODEC,
                                 .info = encoded.info,
                                 .captured = captured};
    err = pc_send_frame(sender, &frame);
    if (err != DUET_OK)
        s->encoder->wants_keyframe = true; /* part of it is missing: nothing that follows can be used without */
    return err;
}

int duet_sender_send_video(duet_sender *sender, const duet_video_frame *frame, duet_time captured)
{
    duet_events *events = &sender->transceiver->pc->events;

    duet_events_enter(events);
    int err = send_video(sender, frame, captured);
    duet_events_leave(events);
    return err;
}
