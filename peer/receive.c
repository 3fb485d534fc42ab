/* Receivers: the packets of each SSRC become frames. W3C RTCRtpReceiver. */
#include "peer/media_io.h"
#include <string.h>

/* A key frame of which no packet comes for so long has to be asked for. */
#define KEYFRAME_STALLS DUET_MS(200)
#define DELAY_MAX       DUET_SECONDS(10)
/* Audio does not wait long for what is missing: it is asked for again only where NACK was agreed. */
#define AUDIO_WAIT_MAX DUET_MS(100)

/* ---- life ---- */

void pc_receive_begin(duet_receiver *receiver, pc_transport *t, duet_receive_stream *stream)
{
    pc_receive *r = duet_calloc(&t->pc->env, sizeof(*r));

    if (!r)
        return; /* tried again with its next packet */
    r->receiver = receiver;
    r->transport = t;
    r->stream = stream;
    r->next = receiver->streams;
    receiver->streams = receiver->speaker = r;
    duet_receive_stream_set_user(stream, r);
}

static void forget_ended(duet_receiver *receiver)
{
    pc_receive **link = &receiver->streams;

    while (*link) {
        pc_receive *r = *link;
        if (r->stream) {
            link = &r->next;
            continue;
        }
        *link = r->next;
        if (receiver->speaker == r)
            receiver->speaker = NULL;
        pc_playout_destroy(r);
        duet_free(&receiver->transceiver->pc->env, r->redundancy);
        duet_video_jitter_destroy(r->frames);
        duet_free(&receiver->transceiver->pc->env, r);
    }
}

void pc_receive_end(duet_receive_stream *stream)
{
    pc_receive *r = duet_receive_stream_user(stream);

    if (!r)
        return;
    r->stream = NULL;
    if (!r->receiver->is_draining) /* else a callback has ended it: when that returns */
        forget_ended(r->receiver);
}

static void add_stats(duet_video_jitter_stats *sum, const duet_video_jitter_stats *stats)
{
    sum->packets_inserted += stats->packets_inserted;
    sum->packets_late += stats->packets_late;
    sum->packets_duplicated += stats->packets_duplicated;
    sum->packets_malformed += stats->packets_malformed;
    sum->frames_assembled += stats->frames_assembled;
    sum->frames_dropped += stats->frames_dropped;
    sum->key_frames += stats->key_frames;
    sum->gave_up += stats->gave_up;
    sum->overflows += stats->overflows;
    sum->jitter_buffer_delay += stats->jitter_buffer_delay;
    sum->jitter_buffer_emitted_count += stats->jitter_buffer_emitted_count;
    sum->target_delay = stats->target_delay;
}

bool pc_receive_get_stats(const pc_receive *r, duet_video_jitter_stats *out)
{
    duet_video_jitter_stats now;

    if (!r->frames)
        return false;
    duet_video_jitter_get_stats(r->frames, &now);
    *out = r->past;
    add_stats(out, &now);
    return true;
}

void pc_receive_apply_delay(pc_receive *r)
{
    duet_time most = r->playout_max ? r->playout_max : DELAY_MAX;

    if (r->sync_delay > most)
        r->sync_delay = most;
    if (r->frames)
        duet_video_jitter_set_delay(r->frames, r->sync_delay > r->playout_min ? r->sync_delay : r->playout_min, most);
}

/* The playout-delay extension: it holds until another one comes. */
static void follow_playout_delay(pc_receive *r, const duet_rtp_extensions *extensions)
{
    duet_time min = DUET_MS(extensions->playout_delay_min), max = DUET_MS(extensions->playout_delay_max);

    if (!(extensions->present & 1u << DUET_RTP_EXT_PLAYOUT_DELAY) || min > max)
        return;
    max = max > 0 ? max : 1; /* at once */
    if (min == r->playout_min && max == r->playout_max)
        return;
    r->playout_min = min;
    r->playout_max = max;
    pc_receive_apply_delay(r);
}

/* The buffer of a codec. Another codec begins with another buffer, and with a key frame. */
static bool ensure_buffer(pc_receive *r, duet_payload_format format)
{
    duet_video_jitter_config config;

    if (r->frames && r->format == format)
        return true;
    (void)pc_receive_get_stats(r, &r->past);
    duet_video_jitter_destroy(r->frames);
    r->frames = NULL;
    duet_video_jitter_config_init(&config);
    config.env = &r->transport->pc->env;
    config.format = format;
    if (!duet_receive_stream_is_video(r->stream))
        config.wait_max = AUDIO_WAIT_MAX;
    if (duet_video_jitter_create(&r->frames, &config) != DUET_OK)
        return false;
    r->format = format;
    r->dropped = 0;
    if (duet_receive_stream_is_video(r->stream))
        pc_receive_apply_delay(r);
    return true;
}

/* ---- frames ---- */

static void deliver_frame(pc_receive *r, const duet_jitter_frame *f)
{
    duet_receiver *receiver = r->receiver;
    duet_video_jitter_stats stats;
    duet_incoming_frame frame = {
        .data = f->data,
        .len = f->len,
        .codec = &r->codec,
        .timestamp = f->timestamp,
        .is_keyframe = f->is_keyframe,
        .arrived = f->last_arrival,
        .render = f->render_time,
        .ssrc = duet_receive_stream_ssrc(r->stream),
    };

    duet_video_jitter_get_stats(r->frames, &stats);
    frame.after_loss = stats.frames_dropped != r->dropped;
    r->dropped = stats.frames_dropped;
    (void)duet_receive_stream_ntp_of(r->stream, f->timestamp, &frame.captured_ntp);
    if (f->is_keyframe)
        duet_receive_stream_got_keyframe(r->stream);
    if (duet_receive_stream_is_video(r->stream)) {
        r->has_played = true;
        r->played_timestamp = f->timestamp;
        r->played_at = f->render_time;
    }
    if (receiver->callbacks.on_frame)
        receiver->callbacks.on_frame(receiver->callbacks.user, receiver, &frame);
    if (receiver->callbacks.on_video && r->stream && duet_receive_stream_is_video(r->stream))
        pc_decode_picture(r, &frame);
}

/* Unless one is on its way: on a slow path another one would only delay it. */
static void ask_for_keyframe(pc_receive *r, duet_time now)
{
    duet_time newest = duet_video_jitter_keyframe_arrival(r->frames);

    r->keyframe_expected = newest && newest + KEYFRAME_STALLS > now ? newest + KEYFRAME_STALLS : 0;
    if (r->keyframe_expected)
        duet_receive_stream_got_keyframe(r->stream);
    else
        duet_receive_stream_request_keyframe(r->stream, now);
}

/* Tells the session what the buffer still waits for. */
static void ask_for_what_helps(pc_receive *r, duet_time now)
{
    duet_receive_stream_skip_to(r->stream, duet_video_jitter_skipped_to(r->frames));
    r->keyframe_expected = 0;
    if (duet_receive_stream_is_video(r->stream) && duet_video_jitter_needs_keyframe(r->frames))
        ask_for_keyframe(r, now);
}

static void drain_stream(pc_receive *r)
{
    duet_pc *pc = r->receiver->transceiver->pc;
    duet_jitter_frame frame;

    while (!pc->is_closed && r->stream && r->frames && duet_video_jitter_next(r->frames, &frame, pc->now) == 1)
        deliver_frame(r, &frame);
    if (r->stream && r->frames)
        ask_for_what_helps(r, pc->now);
}

static void drain(duet_receiver *receiver)
{
    receiver->is_draining = true;
    for (pc_receive *r = receiver->streams; r; r = r->next)
        drain_stream(r);
    receiver->is_draining = false;
    forget_ended(receiver);
}

static void deliver_drain(void *object, void *payload)
{
    duet_pc *pc = object;
    duet_transceiver *t = *(duet_transceiver **)payload;

    for (size_t i = 0; i < pc->transceivers.count && !pc->is_closed; i++) {
        if (pc_transceiver_at(pc, i) != t)
            continue;
        t->receiver.drain_queued = false;
        drain(&t->receiver);
    }
}

/* Frames are events, but they are not copied: the event only says that there may be some. */
static void queue_drain(duet_receiver *receiver)
{
    duet_transceiver *t = receiver->transceiver;

    if (!receiver->drain_queued)
        receiver->drain_queued = duet_events_push(&t->pc->events, deliver_drain, NULL, &t, sizeof(t)) == DUET_OK;
}

/* What comes late of the codec before, out of order or repaired, is of no use: its buffer and its decoder are gone. */
static bool is_of_codec_before(const pc_receive *r, const duet_codec *codec, int64_t sequence)
{
    return r->codec.name[0] && codec->payload_type != r->codec.payload_type && sequence < r->codec_since;
}

static void follow_codec(pc_receive *r, const duet_codec *codec, int64_t sequence)
{
    if (codec->payload_type != r->codec.payload_type)
        r->codec_since = sequence;
    r->codec = *codec;
}

/* Padding and telephone events have a sequence number, and that is all: without it a packet would be missing. So has comfort
 * noise for who takes frames; who plays needs to know how the pause sounds. */
bool pc_receive_take(pc_receive *r, const duet_codec *codec, const duet_jitter_packet *given)
{
    duet_receiver *receiver = r->receiver;
    bool wants_frames = receiver->callbacks.on_frame || receiver->callbacks.on_video;
    duet_payload_format format = duet_payload_format_of(codec->name);
    bool is_media = given->len > 0 && format != DUET_PAYLOAD_NONE && !is_of_codec_before(r, codec, given->sequence);
    duet_jitter_packet packet = *given;

    if (is_media)
        follow_codec(r, codec, given->sequence);
    packet.is_comfort_noise =
        format == DUET_PAYLOAD_NONE && pc_codec_is_comfort_noise(codec) && codec->clock_rate == r->codec.clock_rate;
    if (!is_media && !packet.is_comfort_noise)
        packet.len = 0;
    bool is_played = pc_playout_packet(r, &packet);
    if (!wants_frames || (is_media ? !ensure_buffer(r, format) : !r->frames))
        return is_played;
    if (!is_media)
        packet.len = 0;
    int err = duet_video_jitter_insert(r->frames, &packet); /* late, double or ill-formed ones are counted there */
    ask_for_what_helps(r, packet.time);
    queue_drain(receiver);
    return is_played || err == DUET_OK;
}

void pc_receive_packet(duet_receive_stream *stream, const duet_rtp_arrival *arrival)
{
    pc_receive *r = duet_receive_stream_user(stream);

    if (!r)
        return;
    duet_receiver *receiver = r->receiver;
    if (receiver->callbacks.on_rtp)
        receiver->callbacks.on_rtp(receiver->callbacks.user, receiver, arrival);
    duet_jitter_packet packet = {
        .sequence = arrival->extended_sequence,
        .timestamp = arrival->packet->timestamp,
        .marker = arrival->packet->marker,
        .payload_type = arrival->packet->payload_type,
        .payload = arrival->packet->payload,
        .len = arrival->packet->payload_len,
        .time = arrival->time,
        .is_retransmission = arrival->is_retransmission,
    };
    if (packet.len > 0 && pc_codec_is_red(arrival->codec)) {
        pc_redundancy_packet(r, arrival->codec, &packet);
        return;
    }
    follow_playout_delay(r, arrival->extensions);
    pc_redundancy_note(r, arrival->codec, &packet);
    (void)pc_receive_take(r, arrival->codec, &packet);
}

/* ---- time ---- */

static duet_time deadline_of(const pc_receive *r)
{
    if (!r->frames)
        return DUET_NEVER;
    duet_time deadline = duet_video_jitter_deadline(r->frames);
    return r->keyframe_expected && r->keyframe_expected < deadline ? r->keyframe_expected : deadline;
}

void pc_receive_tick(duet_receiver *receiver, duet_time now)
{
    for (pc_receive *r = receiver->streams; r; r = r->next) {
        if (!r->stream || !r->frames || deadline_of(r) > now)
            continue;
        ask_for_what_helps(r, now);
        queue_drain(receiver);
    }
}

duet_time pc_receive_deadline(const duet_receiver *receiver)
{
    duet_time first = DUET_NEVER;

    for (const pc_receive *r = receiver->streams; r; r = r->next) {
        duet_time deadline = deadline_of(r);
        first = deadline < first ? deadline : first;
    }
    return first;
}

int duet_receiver_request_keyframe(duet_receiver *receiver)
{
    duet_pc *pc = receiver->transceiver->pc;

    if (!receiver->streams || receiver->transceiver->stopped || pc->is_closed)
        return DUET_ERR_STATE;
    for (pc_receive *r = receiver->streams; r; r = r->next) {
        if (!r->stream)
            continue;
        if (r->frames)
            duet_video_jitter_lost(r->frames);
        duet_receive_stream_request_keyframe(r->stream, pc->now);
    }
    pc_wake(pc);
    return DUET_OK;
}
