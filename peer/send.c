/* Senders: frames become packets of an RTP stream. W3C RTCRtpSender. */
#include "peer/media_io.h"
#include <string.h>
#include <strings.h>

/* ---- life ---- */

int pc_send_create(duet_sender *sender, pc_transport *t, const pc_agreed *agreed)
{
    duet_transceiver *transceiver = sender->transceiver;
    duet_send_stream_config config;
    pc_send *s = sender->send;

    if (!s) {
        s = duet_calloc(&t->pc->env, sizeof(*s));
        if (!s)
            return DUET_ERR_NOMEM;
        s->sender = sender;
        s->transport = t;
        duet_send_stream_config_init(&config);
        config.mid = transceiver->mid;
        config.ssrc = sender->ssrc;
        config.rtx_ssrc = sender->rtx_ssrc;
        config.user = sender;
        int err = duet_send_stream_create(&s->stream, t->media->rtp, &config);
        if (err != DUET_OK) {
            duet_free(&t->pc->env, s);
            return err;
        }
        sender->send = s;
    }
    s->is_paused = false;
    s->codec_count = agreed->taken_count;
    memcpy(s->codecs, agreed->taken, agreed->taken_count * sizeof(*s->codecs));
    s->red_type = agreed->send_red;
    s->red.has_block = false; /* its payload type may mean something else now */
    return DUET_OK;
}

void pc_send_pause(duet_sender *sender)
{
    if (!sender->send)
        return;
    sender->send->is_paused = true;
    sender->send->dtmf = (pc_dtmf){0};
    pc_send_report_active(sender);
}

void pc_send_destroy(duet_sender *sender)
{
    pc_send *s = sender->send;

    if (!s)
        return;
    pc_encoder_destroy(s);
    duet_send_stream_destroy(s->stream);
    duet_packetizer_destroy(s->packetizer);
    duet_free(&sender->transceiver->pc->env, s);
    sender->send = NULL;
    pc_send_report_active(sender);
}

/* ---- events ---- */

typedef struct sender_event {
    duet_transceiver *transceiver;
    uint64_t value;
} sender_event;

/* A transceiver that a rollback has taken back gets no event. */
static duet_sender *sender_of(const duet_pc *pc, const sender_event *e)
{
    for (size_t i = 0; i < pc->transceivers.count && !pc->is_closed; i++) {
        if (pc_transceiver_at(pc, i) == e->transceiver)
            return &e->transceiver->sender;
    }
    return NULL;
}

static int push(duet_sender *sender, duet_event_fn deliver, uint64_t value)
{
    sender_event e = {sender->transceiver, value};

    return duet_events_push(&sender->transceiver->pc->events, deliver, NULL, &e, sizeof(e));
}

static void deliver_keyframe_request(void *object, void *payload)
{
    duet_sender *s = sender_of(object, payload);

    if (!s)
        return;
    if (s->send)
        s->send->keyframe_queued = false;
    if (s->callbacks.on_keyframe_request)
        s->callbacks.on_keyframe_request(s->callbacks.user, s);
}

void pc_send_keyframe_requested(duet_sender *sender)
{
    if (sender->send)
        pc_encoder_keyframe(sender->send);
    if (sender->send && !sender->send->keyframe_queued)
        sender->send->keyframe_queued = push(sender, deliver_keyframe_request, 0) == DUET_OK;
}

static void deliver_remb(void *object, void *payload)
{
    duet_sender *s = sender_of(object, payload);

    if (s && s->callbacks.on_remb)
        s->callbacks.on_remb(s->callbacks.user, s, ((const sender_event *)payload)->value);
}

void pc_send_remb(duet_sender *sender, uint64_t bits_per_second)
{
    (void)push(sender, deliver_remb, bits_per_second); /* the next one says it again */
}

static void deliver_active(void *object, void *payload)
{
    duet_sender *s = sender_of(object, payload);
    bool is_active = ((const sender_event *)payload)->value != 0;

    if (s && s->callbacks.on_active)
        s->callbacks.on_active(s->callbacks.user, s, is_active);
}

void pc_send_report_active(duet_sender *sender)
{
    bool is_active = duet_sender_is_active(sender);

    if (is_active == sender->reported_active)
        return;
    if (push(sender, deliver_active, is_active) != DUET_OK)
        return; /* tried again at the next tick */
    sender->reported_active = is_active;
    if (is_active && sender->transceiver->kind == DUET_SDP_VIDEO)
        pc_send_keyframe_requested(sender); /* nobody can use anything else first */
}

/* ---- sending ---- */

bool duet_sender_is_active(const duet_sender *sender)
{
    const duet_transceiver *t = sender->transceiver;
    const pc_send *s = sender->send;

    return s && !s->is_paused && sender->track_id[0] && sender->parameters.active && !t->stopping && !t->stopped &&
           !t->pc->is_closed && (t->direction & DUET_SDP_SENDONLY) && s->transport->media && s->transport->media->srtp;
}

static const duet_codec *codec_of(const pc_send *s, uint8_t payload_type)
{
    if (payload_type == DUET_FRAME_OWN_CODEC)
        return s->sender->codec.name[0] ? &s->sender->codec : NULL;
    for (size_t i = 0; i < s->codec_count; i++) {
        if (s->codecs[i].payload_type == payload_type)
            return &s->codecs[i];
    }
    return NULL;
}

static int ensure_packetizer(pc_send *s, const duet_codec *codec)
{
    duet_payload_format format = duet_payload_format_of(codec->name);
    duet_packetizer_config config;
    duet_sdp_text mode;

    if (s->packetizer && s->format == format) {
        duet_packetizer_set_payload_max(s->packetizer, duet_send_stream_payload_max(s->stream));
        return DUET_OK;
    }
    if (format == DUET_PAYLOAD_NONE)
        return DUET_ERR_UNSUPPORTED;
    duet_packetizer_destroy(s->packetizer);
    s->packetizer = NULL;
    duet_packetizer_config_init(&config);
    config.env = &s->transport->pc->env;
    config.format = format;
    config.payload_max = duet_send_stream_payload_max(s->stream);
    config.h264_mode_0 = format == DUET_PAYLOAD_H264 &&
                         (!duet_sdp_fmtp_get(codec->fmtp, "packetization-mode", &mode) || duet_sdp_text_is(mode, "0"));
    int err = duet_random(config.env, &config.first_picture_id, sizeof(config.first_picture_id));
    if (err == DUET_OK)
        err = duet_packetizer_create(&s->packetizer, &config);
    s->format = err == DUET_OK ? format : DUET_PAYLOAD_NONE;
    return err;
}

duet_time pc_clock_units(duet_time time, uint32_t rate)
{
    return time / 1000000 * rate + time % 1000000 * rate / 1000000; /* in this order it does not overflow */
}

uint32_t pc_send_timestamp(const pc_send *s, duet_time time, uint32_t rate)
{
    return duet_send_stream_timestamp_base(s->stream) + s->timestamp_ahead + (uint32_t)pc_clock_units(time, rate);
}

/* Timestamps of another clock begin anew. */
static void follow_rate(pc_send *s, uint32_t rate)
{
    if (s->timestamp_rate == rate)
        return;
    s->timestamp_ahead = s->timestamp_rate = 0;
}

/* Audio that follows without a gap has timestamps that count its samples, whatever the capture clock says: a receiver takes
 * a step of the timestamp for silence. A sound card that is faster than that clock runs ahead of it, but timestamps never go
 * back: "MUST be derived from a clock that increments monotonically", RFC 3550 section 5.1. @param duration  audio: in clock
 * units */
static uint32_t timestamp_of(pc_send *s, const duet_codec *codec, duet_time captured, uint32_t duration)
{
    bool is_audio = s->sender->transceiver->kind == DUET_SDP_AUDIO;
    int64_t tolerance = codec->clock_rate / 10; /* 100 ms */

    if (is_audio)
        follow_rate(s, codec->clock_rate);
    uint32_t timestamp = pc_send_timestamp(s, captured, codec->clock_rate);
    if (!is_audio)
        return timestamp;
    int64_t gap = duet_rtp_time_diff(timestamp, s->next_timestamp);
    if (s->timestamp_rate && gap <= -tolerance)
        s->timestamp_ahead += (uint32_t)-gap;
    if (s->timestamp_rate && gap < tolerance)
        timestamp = s->next_timestamp;
    s->next_timestamp = timestamp + duration;
    s->timestamp_rate = codec->clock_rate;
    return timestamp;
}

static uint32_t duration_of(const pc_send *s, const duet_outgoing_frame *frame)
{
    return s->format == DUET_PAYLOAD_OPUS ? duet_opus_packet_duration(frame->data, frame->len) : (uint32_t)frame->len;
}

typedef struct payload {
    uint8_t type;
    size_t len;
    uint8_t data[DUET_RTP_PACKET_MAX];
} payload;

/* RFC 2198: the codec that is ours goes with the packet before it, unless there is no room for that. */
static const payload *with_redundancy(pc_send *s, const payload *p, uint32_t timestamp, payload *out)
{
    if (s->red_type == PC_NO_PAYLOAD_TYPE || p->type != s->sender->codec.payload_type)
        return p;
    int blocks = duet_red_wrap(&s->red, p->type, timestamp, p->data, p->len, out->data,
                               duet_send_stream_payload_max(s->stream), &out->len);
    if (blocks < 0)
        return p;
    out->type = s->red_type;
    s->redundancy_sent += (uint64_t)blocks;
    return out;
}

static int send_payloads(pc_send *s, const duet_codec *codec, const duet_outgoing_frame *frame, uint32_t timestamp)
{
    bool is_audio = s->sender->transceiver->kind == DUET_SDP_AUDIO;
    duet_rtp_extensions extensions = {0};
    payload alone, wrapped;
    bool marker;
    int more, err = DUET_OK;

    if (frame->has_audio_level) {
        extensions.present = 1u << DUET_RTP_EXT_AUDIO_LEVEL;
        extensions.audio_level = frame->audio_level;
        extensions.voice_activity = frame->voice_activity;
    }
    while (err == DUET_OK &&
           (more = duet_packetizer_next(s->packetizer, alone.data, sizeof(alone.data), &alone.len, &marker)) != 0) {
        if (more < 0)
            return more;
        alone.type = codec->payload_type;
        const payload *p = with_redundancy(s, &alone, timestamp, &wrapped);
        err = duet_send_stream_send(s->stream, p->type, is_audio ? frame->starts_talkspurt : marker, timestamp, p->data,
                                    p->len, &extensions, s->transport->pc->now);
    }
    return err;
}

const duet_codec *pc_send_beside(const pc_send *s, const char *name, uint32_t clock_rate)
{
    for (size_t i = 0; i < s->codec_count; i++) {
        if (strcasecmp(s->codecs[i].name, name) == 0 && s->codecs[i].clock_rate == clock_rate)
            return &s->codecs[i];
    }
    return NULL;
}

int pc_send_pause_sound(pc_send *s, const duet_comfort_noise *noise, duet_time captured, uint32_t duration)
{
    const duet_codec *codec = pc_send_beside(s, "CN", s->sender->codec.clock_rate);
    duet_rtp_extensions extensions = {.present = 1u << DUET_RTP_EXT_AUDIO_LEVEL};
    uint8_t data[1 + sizeof(noise->coefficients)];
    size_t len;

    if (!noise) { /* what comes next is that much later */
        s->next_timestamp += duration;
        return DUET_OK;
    }
    if (!codec)
        return DUET_ERR_UNSUPPORTED;
    int err = duet_comfort_noise_write(noise, data, sizeof(data), &len);
    if (err != DUET_OK)
        return err;
    uint32_t timestamp = timestamp_of(s, codec, captured, duration);
    extensions.audio_level = noise->level;
    duet_send_stream_set_capture_time(s->stream, timestamp, captured);
    err = duet_send_stream_send(s->stream, codec->payload_type, false, timestamp, data, len, &extensions,
                                s->transport->pc->now);
    pc_wake(s->transport->pc);
    return err;
}

int pc_send_frame(duet_sender *sender, const duet_outgoing_frame *frame)
{
    pc_send *s = sender->send;

    if (!duet_sender_is_active(sender))
        return DUET_ERR_STATE;
    const duet_codec *codec = codec_of(s, frame->payload_type);
    if (!codec)
        return DUET_ERR_INVALID;
    int err = ensure_packetizer(s, codec);
    if (err == DUET_OK)
        err = duet_packetizer_begin(s->packetizer, frame->data, frame->len, &frame->info);
    if (err != DUET_OK)
        return err;
    uint32_t timestamp = timestamp_of(s, codec, frame->captured, duration_of(s, frame));
    duet_send_stream_set_capture_time(s->stream, timestamp, frame->captured);
    err = send_payloads(s, codec, frame, timestamp);
    if (err == DUET_OK) {
        s->frames_sent++;
        s->key_frames_sent += frame->info.is_keyframe;
    }
    pc_wake(s->transport->pc);
    return err;
}

int duet_sender_send_frame(duet_sender *sender, const duet_outgoing_frame *frame)
{
    duet_events *events = &sender->transceiver->pc->events;

    duet_events_enter(events);
    int err = pc_send_frame(sender, frame);
    duet_events_leave(events);
    return err;
}

/* No event is raised: it is legal in the callbacks of other connections. */
int duet_sender_send_rtp(duet_sender *sender, const duet_rtp_packet *packet, const duet_rtp_extensions *extensions)
{
    pc_send *s = sender->send;

    if (!duet_sender_is_active(sender))
        return DUET_ERR_STATE;
    int err = duet_send_stream_forward(s->stream, packet, extensions, s->transport->pc->now);
    pc_wake(s->transport->pc);
    return err;
}
