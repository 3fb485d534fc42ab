/* Raw sound and pictures of a receiver: pictures are decoded as their frames come, sound in the rhythm of who plays it. */
#include "peer/media_io.h"
#include <string.h>
#include <strings.h>

#define RATE          48000
#define SAMPLES_MAX   5760 /* 120 ms: the longest Opus packet, RFC 6716 section 2.1.4 */
#define CHANNELS      2
#define DECODERS_MAX  2   /* of pictures: one SSRC is shown, and another may be about to take its place */
#define SILENCE_LEVEL 100 /* samples below are silence: the delay may change there */
/* A stream whose packets stay away for so long, while those of another come, has given up the floor. */
#define FLOOR_AFTER DUET_MS(200)

static const duet_codec_ops *ops_of(const pc_receive *r)
{
    return r->receiver->transceiver->pc->config.codecs;
}

static duet_env *env_of(const pc_receive *r)
{
    return &r->receiver->transceiver->pc->env;
}

/* ---- pictures ---- */

/* Before one more is made: a decoder holds several pictures, and a peer may have hundreds of SSRCs. */
static void make_room_for_decoder(const pc_receive *r)
{
    pc_receive *idle = NULL;
    size_t count = 0;

    for (pc_receive *other = r->receiver->streams; other; other = other->next) {
        if (!other->video_decoder)
            continue;
        count++;
        if (!idle || other->decoded_at < idle->decoded_at)
            idle = other;
    }
    if (count < DECODERS_MAX)
        return;
    ops_of(idle)->video_decoder_destroy(idle->video_decoder);
    idle->video_decoder = NULL;
}

static void make_picture_decoder(pc_receive *r)
{
    const duet_codec_ops *ops = ops_of(r);
    duet_video_decoder_config config = {.size = sizeof(config), .env = env_of(r), .codec = r->codec};

    if (r->video_decoder && strcmp(r->video_codec, r->codec.name) == 0)
        return;
    if (r->video_decoder)
        ops->video_decoder_destroy(r->video_decoder);
    r->video_decoder = NULL;
    make_room_for_decoder(r);
    memcpy(r->video_codec, r->codec.name, sizeof(r->video_codec));
    if (ops && ops->video_decoder_create)
        (void)ops->video_decoder_create(&r->video_decoder, &config); /* none: its frames are not decoded */
}

void pc_decode_picture(pc_receive *r, const duet_incoming_frame *frame)
{
    duet_receiver *receiver = r->receiver;
    duet_video_frame picture;

    make_picture_decoder(r);
    if (!r->video_decoder)
        return;
    r->decoded_at = receiver->transceiver->pc->now;
    int err = ops_of(r)->video_decode(r->video_decoder, frame->data, frame->len, &picture);
    if (err == DUET_OK) {
        pc_pictures_add(&r->decoded, picture.width, picture.height, frame->is_keyframe, r->decoded_at);
        receiver->callbacks.on_video(receiver->callbacks.user, receiver, &picture, frame);
    } else if (err != DUET_ERR_AGAIN) {
        r->undecodable++;
        duet_video_jitter_lost(r->frames);
        duet_receive_stream_request_keyframe(r->stream, receiver->transceiver->pc->now);
    }
}

/* ---- sound ---- */

struct pc_playout {
    duet_audio_jitter *jitter;
    duet_audio_jitter_stats past; /* of its buffers of other clocks */
    uint32_t clock_rate;
    duet_audio_decoder *decoder;
    duet_codec codec; /* of the decoder */
    uint32_t rate;    /* what it gives: Hz */
    uint8_t channels; /* 1 or 2 */
    int16_t decoded[SAMPLES_MAX * CHANNELS];
    size_t count, taken; /* of `decoded`, per channel, at 48 kHz */
    bool was_silent;
    duet_dtx background;   /* what a microphone hears while nobody speaks */
    duet_time last_told;   /* when the connection heard the time last, */
    uint64_t played_since; /* and what was played since, samples */
};

void pc_playout_destroy(pc_receive *r)
{
    struct pc_playout *p = r->playout;

    if (r->video_decoder)
        ops_of(r)->video_decoder_destroy(r->video_decoder);
    r->video_decoder = NULL;
    if (!p)
        return;
    if (p->decoder)
        ops_of(r)->audio_decoder_destroy(p->decoder);
    duet_audio_jitter_destroy(p->jitter);
    duet_free(env_of(r), p);
    r->playout = NULL;
}

/* Packets of another codec are decoded by another decoder, when it is their turn: what came before is still played.
 * @return whether there is a decoder for the piece; what is to be concealed is of the codec that was played last */
static bool ensure_decoder(pc_receive *r, const duet_audio_piece *piece)
{
    struct pc_playout *p = r->playout;
    const duet_codec_ops *ops = ops_of(r);
    duet_audio_decoder_config config = {.size = sizeof(config), .env = env_of(r), .codec = r->codec};

    if (!piece->data || (p->decoder && p->codec.payload_type == piece->payload_type))
        return p->decoder != NULL;
    if (piece->payload_type != r->codec.payload_type)
        return false; /* of a codec that came and went meanwhile */
    if (p->decoder)
        ops->audio_decoder_destroy(p->decoder);
    p->decoder = NULL;
    p->codec = r->codec;
    bool is_opus = strcasecmp(r->codec.name, "opus") == 0;
    p->rate = config.sample_rate = is_opus ? RATE : r->codec.clock_rate;
    p->channels = config.channels = is_opus ? CHANNELS : 1;
    return ops->audio_decoder_create(&p->decoder, &config) == DUET_OK;
}

static int make_buffer(pc_receive *r)
{
    duet_audio_jitter_config config;

    duet_audio_jitter_config_init(&config);
    config.env = env_of(r);
    config.clock_rate = r->playout->clock_rate = r->codec.clock_rate;
    return duet_audio_jitter_create(&r->playout->jitter, &config);
}

static int start_playout(pc_receive *r)
{
    if (r->playout)
        return DUET_OK;
    if (!r->codec.name[0])
        return DUET_ERR_AGAIN; /* nothing has come yet */
    r->playout = duet_calloc(env_of(r), sizeof(*r->playout));
    if (!r->playout)
        return DUET_ERR_NOMEM;
    int err = make_buffer(r);
    if (err != DUET_OK)
        pc_playout_destroy(r);
    return err;
}

/* One stream is played: the newest, until an older one goes on without it, as when a middlebox switches between SSRCs. */
static bool has_floor(pc_receive *r, duet_time now)
{
    duet_receiver *receiver = r->receiver;
    duet_receive_stream_stats stats;

    if (receiver->speaker && receiver->speaker != r && receiver->speaker->stream) {
        duet_receive_stream_get_stats(receiver->speaker->stream, &stats);
        if (now < stats.last_packet + FLOOR_AFTER)
            return false;
    }
    receiver->speaker = r;
    return true;
}

static void add_stats(duet_audio_jitter_stats *sum, const duet_audio_jitter_stats *stats)
{
    sum->packets_inserted += stats->packets_inserted;
    sum->packets_late += stats->packets_late;
    sum->packets_duplicated += stats->packets_duplicated;
    sum->packets_discarded += stats->packets_discarded;
    sum->samples_played += stats->samples_played;
    sum->concealed_samples += stats->concealed_samples;
    sum->silent_concealed_samples += stats->silent_concealed_samples;
    sum->concealment_events += stats->concealment_events;
    sum->inserted_for_deceleration += stats->inserted_for_deceleration;
    sum->removed_for_acceleration += stats->removed_for_acceleration;
    sum->fec_packets += stats->fec_packets;
    sum->jitter_buffer_delay += stats->jitter_buffer_delay;
    sum->jitter_buffer_emitted_count += stats->jitter_buffer_emitted_count;
    sum->target_delay = stats->target_delay;
    sum->current_delay = stats->current_delay;
}

bool pc_playout_get_stats(const pc_receive *r, duet_audio_jitter_stats *out)
{
    duet_audio_jitter_stats now;

    if (!r->playout)
        return false;
    duet_audio_jitter_get_stats(r->playout->jitter, &now);
    *out = r->playout->past;
    add_stats(out, &now);
    return true;
}

bool pc_playout_packet(pc_receive *r, const duet_jitter_packet *packet)
{
    struct pc_playout *p = r->playout;

    if (!has_floor(r, packet->time) || !p)
        return false;
    if (p->clock_rate != r->codec.clock_rate) { /* its timestamps cannot be compared with those in the buffer */
        (void)pc_playout_get_stats(r, &p->past);
        duet_audio_jitter_destroy(p->jitter);
        if (make_buffer(r) != DUET_OK)
            pc_playout_destroy(r); /* the next question begins anew */
    }
    return r->playout && duet_audio_jitter_insert(p->jitter, packet) == DUET_OK; /* others are counted there */
}

/* Each sample as often as 48 kHz needs it: G.711 is heard as the telephone sounds. */
static void spread(struct pc_playout *p, size_t count)
{
    size_t times = RATE / p->rate;

    for (size_t i = count * times; (times > 1 || p->channels == 1) && i-- > 0;) { /* in place: from the end */
        const int16_t *from = p->decoded + i / times * p->channels;
        int16_t left = from[0], right = from[p->channels - 1];
        p->decoded[i * CHANNELS] = left;
        p->decoded[i * CHANNELS + 1] = right;
    }
    p->count = count * times;
    p->taken = 0;
}

static bool is_silence(const struct pc_playout *p)
{
    for (size_t i = 0; i < p->count * CHANNELS; i++) {
        if (p->decoded[i] > SILENCE_LEVEL || p->decoded[i] < -SILENCE_LEVEL)
            return false;
    }
    return true;
}

/* Microphones are never silent: what a sender could leave out as background is as good as silence. */
static bool is_background(struct pc_playout *p, uint8_t level)
{
    duet_comfort_noise noise;

    return duet_dtx_decide(&p->background, level, (uint32_t)(p->count * 1000 / RATE), &noise) != DUET_DTX_VOICE;
}

/* What was made up says nothing about the background. */
static bool may_change_delay(struct pc_playout *p, duet_audio_action action, uint8_t level)
{
    if (action == DUET_AUDIO_NOISE)
        return true;
    bool is_quiet = action == DUET_AUDIO_DECODE ? is_background(p, level) : p->was_silent;
    return is_quiet || is_silence(p);
}

static void play_silence(struct pc_playout *p, size_t count)
{
    memset(p->decoded, 0, count * CHANNELS * sizeof(int16_t));
    p->count = count;
    p->taken = 0;
}

/* The samples of a piece at the decoder's rate, at most what there is room for. */
static size_t samples_of(const pc_receive *r, const duet_audio_piece *piece)
{
    size_t samples = (size_t)((uint64_t)piece->samples * r->playout->rate / r->playout->clock_rate);
    size_t most = (size_t)SAMPLES_MAX * r->playout->rate / RATE;

    return samples < most ? samples : most;
}

static void conceal(pc_receive *r, const duet_audio_piece *piece)
{
    struct pc_playout *p = r->playout;
    size_t samples = samples_of(r, piece);

    if (ops_of(r)->audio_conceal(p->decoder, p->decoded, samples) == DUET_OK)
        spread(p, samples);
    else
        play_silence(p, RATE / 100);
}

static void decode(pc_receive *r, const duet_audio_piece *piece)
{
    struct pc_playout *p = r->playout;
    size_t count = 0;
    int err = ops_of(r)->audio_decode(p->decoder, piece->data, piece->len, p->decoded,
                                      (size_t)SAMPLES_MAX * p->rate / RATE, &count);

    if (err == DUET_OK && count > 0)
        spread(p, count);
    else
        conceal(r, piece);
}

/* RFC 3389: the pause of a codec that has none of its own. */
static void play_noise(pc_receive *r, const duet_audio_piece *piece)
{
    struct pc_playout *p = r->playout;
    const duet_codec_ops *ops = ops_of(r);
    duet_comfort_noise told;
    size_t samples = p->decoder ? samples_of(r, piece) : 0;
    bool is_new = piece->data && duet_comfort_noise_parse(&told, piece->data, piece->len) == DUET_OK;
    bool has_function = ops->size > offsetof(duet_codec_ops, audio_comfort_noise) && ops->audio_comfort_noise;

    if (samples > 0 && has_function &&
        ops->audio_comfort_noise(p->decoder, is_new ? &told : NULL, p->decoded, samples) == DUET_OK)
        spread(p, samples);
    else
        play_silence(p, samples > 0 ? samples * RATE / p->rate : RATE / 100);
}

/* In a pause nobody tells the connection what time it is, but what is played takes its time. */
static duet_time time_now(pc_receive *r)
{
    struct pc_playout *p = r->playout;
    duet_time told = r->receiver->transceiver->pc->now;

    if (told != p->last_told)
        p->played_since = 0;
    p->last_told = told;
    return told + p->played_since * 1000000 / RATE;
}

/* Fills `decoded` with the next piece. */
static void next_piece(pc_receive *r)
{
    struct pc_playout *p = r->playout;
    duet_time now = time_now(r);
    duet_audio_piece piece;

    do
        duet_audio_jitter_next(p->jitter, &piece, p->was_silent, now);
    while (piece.action == DUET_AUDIO_SKIP);
    if (piece.action == DUET_AUDIO_NOISE) {
        play_noise(r, &piece);
    } else if (piece.action == DUET_AUDIO_WAIT || !ensure_decoder(r, &piece)) {
        play_silence(p, RATE / 100);
        r->receiver->silent_samples += RATE / 100;
    } else if (piece.action == DUET_AUDIO_DECODE) {
        decode(r, &piece);
        r->has_played = true;
        r->played_timestamp = piece.timestamp;
        r->played_at = now;
    } else if (piece.action == DUET_AUDIO_DECODE_FEC &&
               ops_of(r)->audio_decode_fec(p->decoder, piece.data, piece.len, p->decoded, samples_of(r, &piece)) ==
                   DUET_OK) {
        spread(p, samples_of(r, &piece));
    } else {
        duet_audio_jitter_had_no_fec(p->jitter);
        conceal(r, &piece);
    }
    uint8_t level = pc_sound_add(&r->sound, p->decoded, p->count, CHANNELS, RATE);
    p->was_silent = may_change_delay(p, piece.action, level);
}

static void take(const struct pc_playout *p, int16_t *out, size_t count, uint8_t channels)
{
    const int16_t *from = p->decoded + p->taken * CHANNELS;

    for (size_t i = 0; i < count; i++) {
        if (channels == 2) {
            out[2 * i] = from[2 * i];
            out[2 * i + 1] = from[2 * i + 1];
        } else {
            out[i] = (int16_t)((from[2 * i] + from[2 * i + 1]) / 2);
        }
    }
}

int duet_receiver_read_audio(duet_receiver *receiver, int16_t *samples, size_t count, uint8_t channels)
{
    pc_receive *r = receiver->speaker && receiver->speaker->stream ? receiver->speaker : NULL;
    const duet_codec_ops *ops = receiver->transceiver->pc->config.codecs;

    if (receiver->transceiver->kind != DUET_SDP_AUDIO || channels < 1 || channels > 2)
        return DUET_ERR_INVALID;
    if (!ops || !ops->audio_decoder_create)
        return DUET_ERR_UNSUPPORTED;
    receiver->is_played = true;
    receiver->played_samples += count;
    int err = r ? start_playout(r) : DUET_ERR_AGAIN;
    if (err != DUET_OK) {
        memset(samples, 0, count * channels * sizeof(int16_t));
        receiver->silent_samples += count;
        return err == DUET_ERR_AGAIN ? DUET_OK : err;
    }
    for (size_t done = 0; done < count;) {
        struct pc_playout *p = r->playout;
        if (p->taken == p->count)
            next_piece(r);
        size_t n = p->count - p->taken < count - done ? p->count - p->taken : count - done;
        take(p, samples + done * channels, n, channels);
        p->taken += n;
        p->played_since += n;
        done += n;
    }
    return DUET_OK;
}

void pc_playout_set_delay(pc_receive *r, duet_time least)
{
    if (r->playout)
        duet_audio_jitter_set_delay_min(r->playout->jitter, least);
}
