/* One SSRC of ours: numbering packets, the header extensions that a session fills in, and what reports say of it. */
#include "base/memory.h"
#include "media/internal.h"
#include <string.h>

#define HISTORY_VIDEO     1024
#define HISTORY_AUDIO     256
#define HISTORY_MAX       32768 /* half of the circle */
#define QUEUE_LIMIT       2048
#define EXTENSION_MAX     512
#define KEYFRAME_INTERVAL DUET_MS(100)
#define EXT(kind)         (1u << DUET_RTP_EXT_##kind)

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void keyframe_timer(void *owner, duet_time now)
{
    duet_send_stream *stream = owner;

    stream->keyframe_pending = false;
    duet_send_stream_on_keyframe_request(stream, now);
}

void duet_send_stream_config_init(duet_send_stream_config *config)
{
    *config = (duet_send_stream_config){.size = sizeof(*config)};
}

static bool has_rtx(const rtp_section *section)
{
    for (size_t i = 0; i < section->codec_count; i++) {
        if (section->rtx_of[section->codecs[i].payload_type] != RTP_NO_CODEC)
            return true;
    }
    return false;
}

/* A random one unless one is asked for. */
static int take_ssrc(duet_send_stream *stream, uint32_t asked, uint32_t *out)
{
    duet_rtp_session *session = stream->session;

    *out = asked;
    while (*out == 0 || (asked == 0 && duet_map_get(&session->senders, *out))) {
        int err = duet_random(&session->env, out, sizeof(*out));
        if (err != DUET_OK)
            return err;
    }
    if (duet_map_get(&session->senders, *out))
        return DUET_ERR_INVALID;
    return duet_map_set(&session->senders, *out, stream);
}

static int begin(duet_send_stream *stream, const duet_send_stream_config *config)
{
    const duet_env *env = &stream->session->env;
    int err = duet_random(env, &stream->sequence_number, sizeof(stream->sequence_number));

    if (err == DUET_OK)
        err = duet_random(env, &stream->rtx_sequence_number, sizeof(stream->rtx_sequence_number));
    if (err == DUET_OK)
        err = duet_random(env, &stream->timestamp_base, sizeof(stream->timestamp_base));
    /* "less than 2**15", so that the first packets can be lost without the rollover counter of SRTP: RFC 3711, 3.3.1 */
    stream->sequence_number &= 0x7fff;
    stream->rtx_sequence_number &= 0x7fff;
    if (err == DUET_OK)
        err = take_ssrc(stream, config->ssrc, &stream->ssrc);
    if (err != DUET_OK)
        return err;
    if (has_rtx(stream->section) || config->rtx_ssrc)
        err = take_ssrc(stream, config->rtx_ssrc, &stream->rtx_ssrc);
    if (err == DUET_OK)
        return DUET_OK;
    if (stream->rtx_ssrc && duet_map_get(&stream->session->senders, stream->rtx_ssrc) != stream)
        stream->rtx_ssrc = 0;
    duet_map_remove(&stream->session->senders, stream->ssrc);
    return err;
}

static void append(duet_send_stream *stream)
{
    duet_send_stream **at = &stream->session->send_streams;

    while (*at)
        at = &(*at)->next;
    *at = stream;
}

int duet_send_stream_create(duet_send_stream **out, duet_rtp_session *session, const duet_send_stream_config *config)
{
    rtp_section *section = duet_rtp_session_section(session, config->mid ? config->mid : "");

    if (!section)
        return DUET_ERR_NOT_FOUND;
    if (config->rid && strlen(config->rid) > DUET_RTP_SDES_MAX)
        return DUET_ERR_INVALID;
    duet_send_stream *stream = duet_calloc(&session->env, sizeof(*stream));
    if (!stream)
        return DUET_ERR_NOMEM;
    stream->session = session;
    stream->section = section;
    stream->user = config->user;
    stream->queue_limit = config->queue_limit ? config->queue_limit : QUEUE_LIMIT;
    stream->history_size = config->history ? config->history : section->is_video ? HISTORY_VIDEO : HISTORY_AUDIO;
    if (stream->history_size > HISTORY_MAX)
        stream->history_size = HISTORY_MAX;
    if (config->rid)
        memcpy(stream->rid, config->rid, strlen(config->rid));
    duet_rtp_timer_init(&stream->keyframe_timer, keyframe_timer, stream);
    int err = begin(stream, config);
    if (err != DUET_OK) {
        duet_free(&session->env, stream);
        return err;
    }
    append(stream);
    *out = stream;
    return DUET_OK;
}

/* Takes what is waiting out of the session's two queues. */
static void leave_queues(duet_send_stream *stream)
{
    duet_rtp_session *session = stream->session;
    rtp_slot **at = &session->media_first;

    session->media_last = NULL;
    while (*at) {
        rtp_slot *slot = *at;
        if (slot->stream == stream) {
            *at = slot->next;
            duet_rtp_slots_release(&session->slots, slot);
        } else {
            session->media_last = slot;
            at = &slot->next;
        }
    }
    at = &session->resend_first;
    session->resend_last = NULL;
    while (*at) {
        rtp_slot *slot = *at;
        if (slot->stream == stream) {
            *at = slot->next_resend;
            duet_rtp_slots_release(&session->slots, slot);
        } else {
            session->resend_last = slot;
            at = &slot->next_resend;
        }
    }
}

void duet_send_stream_destroy(duet_send_stream *stream)
{
    if (!stream)
        return;
    duet_rtp_session *session = stream->session;
    duet_send_stream **at = &session->send_streams;

    while (*at != stream)
        at = &(*at)->next;
    *at = stream->next;
    if (stream->has_sent)
        duet_rtcp_bye_later(session, stream->ssrc);
    if (stream->rtx_has_sent)
        duet_rtcp_bye_later(session, stream->rtx_ssrc);
    leave_queues(stream);
    duet_send_history_free(stream);
    duet_timers_cancel(&session->timers, &stream->keyframe_timer.timer);
    duet_map_remove(&session->senders, stream->ssrc);
    if (stream->rtx_ssrc)
        duet_map_remove(&session->senders, stream->rtx_ssrc);
    duet_free(&session->env, stream);
    if (!session->send_streams)
        duet_rtp_slots_trim(&session->slots);
    if (session->bye_count)
        duet_rtp_session_wake(session);
}

/* ---- header extensions --------------------------------------------------------------------------------------------- */

/* The caller's values and ours. MID and RID until the peer has reported on the SSRC: it surely knows them then
 * (RFC 9143 section 15.2). Times and numbers are set when the packet leaves. */
void duet_send_stream_extensions(const duet_send_stream *stream, const duet_rtp_extensions *more, bool is_rtx,
                                 duet_rtp_extensions *out)
{
    const rtp_section *section = stream->section;
    bool seen = is_rtx ? stream->rtx_mid_seen : stream->mid_seen;

    if (more)
        *out = *more;
    else
        memset(out, 0, sizeof(*out));
    out->present &= ~(EXT(MID) | EXT(RID) | EXT(REPAIRED_RID) | EXT(TRANSPORT_CC));
    out->present |= EXT(ABS_SEND_TIME);
    if (section->wants_transport_cc)
        out->present |= EXT(TRANSPORT_CC);
    if (seen)
        return;
    if (section->mid[0]) {
        out->present |= EXT(MID);
        memcpy(out->mid, section->mid, sizeof(out->mid));
    }
    if (stream->rid[0]) {
        out->present |= is_rtx ? EXT(REPAIRED_RID) : EXT(RID);
        memcpy(is_rtx ? out->repaired_rid : out->rid, stream->rid, sizeof(out->rid));
    }
}

size_t duet_send_stream_payload_max(const duet_send_stream *stream)
{
    duet_rtp_extensions extensions;
    duet_rtp_packet packet = {0};
    uint8_t scratch[EXTENSION_MAX];
    size_t osn_len = stream->rtx_ssrc ? 2 : 0;

    duet_send_stream_extensions(stream, NULL, false, &extensions);
    extensions.present |= EXT(AUDIO_LEVEL) | EXT(VIDEO_ORIENTATION) | EXT(VIDEO_CONTENT_TYPE);
    (void)duet_rtp_extensions_write(&extensions, &stream->section->extensions, scratch, sizeof(scratch),
                                    &packet.extension_profile, &packet.extension_len);
    return DUET_RTP_PACKET_MAX - duet_rtp_header_len(&packet) - osn_len;
}

/* ---- sending ------------------------------------------------------------------------------------------------------- */

static int write_packet(const duet_send_stream *stream, rtp_slot *slot, const duet_rtp_packet *packet, size_t max,
                        const duet_rtp_extensions *more)
{
    duet_rtp_packet p = *packet;
    duet_rtp_extensions extensions;
    uint8_t scratch[EXTENSION_MAX];

    duet_send_stream_extensions(stream, more, false, &extensions);
    int err = duet_rtp_extensions_write(&extensions, &stream->section->extensions, scratch, sizeof(scratch),
                                        &p.extension_profile, &p.extension_len);
    if (err != DUET_OK)
        return err == DUET_ERR_BUFFER ? DUET_ERR_TOO_LARGE : err;
    p.extension = scratch;
    p.ssrc = stream->ssrc;
    err = duet_rtp_write(&p, duet_rtp_slot_data(slot), max, &slot->len);
    return err == DUET_ERR_BUFFER ? DUET_ERR_TOO_LARGE : err;
}

static void enqueue(duet_send_stream *stream, rtp_slot *slot)
{
    duet_rtp_session *session = stream->session;

    slot->next = NULL;
    if (session->media_last)
        session->media_last->next = slot;
    else
        session->media_first = slot;
    session->media_last = slot;
    stream->queued++;
    duet_rtp_session_wake(session);
}

static int send_packet(duet_send_stream *stream, const duet_rtp_packet *packet, size_t max,
                       const duet_rtp_extensions *extensions, duet_time now)
{
    duet_rtp_session *session = stream->session;
    const duet_codec *codec = duet_rtp_section_codec(stream->section, packet->payload_type);

    if (!codec || stream->section->apt_of[packet->payload_type] != RTP_NO_CODEC)
        return DUET_ERR_INVALID;
    if (stream->queued >= stream->queue_limit) {
        stream->stats.queue_refused++;
        return DUET_ERR_AGAIN;
    }
    rtp_slot *slot = duet_rtp_slots_take(&session->slots);
    if (!slot)
        return DUET_ERR_NOMEM;
    int err = write_packet(stream, slot, packet, max, extensions);
    if (err != DUET_OK) {
        duet_rtp_slots_release(&session->slots, slot);
        return err;
    }
    slot->stream = stream;
    slot->sequence_number = packet->sequence_number;
    slot->payload_len = packet->payload_len;
    slot->queued_at = now;
    stream->payload_type = packet->payload_type;
    if (codec->feedback & DUET_FEEDBACK_NACK)
        duet_send_history_keep(stream, slot, now);
    if (!stream->has_capture || stream->capture_timestamp != packet->timestamp)
        duet_send_stream_set_capture_time(stream, packet->timestamp, now);
    enqueue(stream, slot);
    return DUET_OK;
}

int duet_send_stream_send(duet_send_stream *stream, uint8_t payload_type, bool marker, uint32_t timestamp,
                          const uint8_t *payload, size_t len, const duet_rtp_extensions *extensions, duet_time now)
{
    duet_rtp_packet packet = {.marker = marker,
                              .payload_type = payload_type,
                              .sequence_number = stream->sequence_number,
                              .timestamp = timestamp,
                              .payload = payload,
                              .payload_len = len};
    int err = send_packet(stream, &packet, DUET_RTP_PACKET_MAX, extensions, now);

    if (err != DUET_OK)
        return err;
    stream->sequence_number++;
    stream->has_numbers = true;
    return DUET_OK;
}

int duet_send_stream_forward(duet_send_stream *stream, const duet_rtp_packet *packet,
                             const duet_rtp_extensions *extensions, duet_time now)
{
    int err = send_packet(stream, packet, DUET_RTP_FORWARD_MAX, extensions, now);

    if (err != DUET_OK)
        return err;
    /* Numbers of the session's own go on behind the newest. */
    uint16_t next = (uint16_t)(packet->sequence_number + 1);
    if (!stream->has_numbers || duet_rtp_seq_diff(next, stream->sequence_number) > 0)
        stream->sequence_number = next;
    stream->has_numbers = true;
    return DUET_OK;
}

void duet_send_stream_departs(duet_send_stream *stream, const rtp_slot *slot)
{
    if (!stream->has_sent)
        stream->first_sequence = slot->sequence_number;
    stream->has_sent = stream->sent_since_report = true;
    stream->packet_count++;
    stream->octet_count += (uint32_t)slot->payload_len;
    stream->stats.packets_sent++;
    stream->stats.bytes_sent += slot->payload_len;
    stream->stats.header_bytes_sent += slot->len - slot->payload_len;
}

/* ---- reports ------------------------------------------------------------------------------------------------------- */

static uint32_t clock_rate(const duet_send_stream *stream)
{
    const duet_codec *codec = duet_rtp_section_codec(stream->section, stream->payload_type);

    return codec && codec->clock_rate ? codec->clock_rate : 90000;
}

void duet_send_stream_set_capture_time(duet_send_stream *stream, uint32_t timestamp, duet_time captured)
{
    stream->has_capture = true;
    stream->capture_timestamp = timestamp;
    stream->captured = captured;
}

uint32_t duet_send_stream_timestamp_at(const duet_send_stream *stream, duet_time now)
{
    uint32_t rate = clock_rate(stream);

    if (now < stream->captured)
        return stream->capture_timestamp - (uint32_t)duet_time_to_ticks(stream->captured - now, rate);
    return stream->capture_timestamp + (uint32_t)duet_time_to_ticks(now - stream->captured, rate);
}

void duet_send_stream_on_report(duet_send_stream *stream, const duet_rtcp_report_block *block)
{
    duet_send_stream_stats *stats = &stream->stats;
    int64_t expected = (int64_t)block->highest_sequence - stream->first_sequence + 1;
    int64_t received = expected - block->cumulative_lost;

    stream->mid_seen = true;
    stats->has_remote = true;
    stats->remote_packets_lost = block->cumulative_lost;
    stats->remote_packets_received = received > 0 ? (uint64_t)received : 0;
    stats->remote_fraction_lost = block->fraction_lost / 256.0;
    stats->remote_jitter = (double)block->jitter / clock_rate(stream);
}

void duet_send_stream_on_keyframe_request(duet_send_stream *stream, duet_time now)
{
    duet_rtp_session *session = stream->session;

    if (stream->keyframe_pending)
        return;
    if (stream->has_keyframe_request && now < stream->keyframe_requested + KEYFRAME_INTERVAL) {
        stream->keyframe_pending = true;
        duet_rtp_timer_set(session, &stream->keyframe_timer, stream->keyframe_requested + KEYFRAME_INTERVAL);
        return;
    }
    stream->has_keyframe_request = true;
    stream->keyframe_requested = now;
    if (session->config.on_keyframe_request)
        session->config.on_keyframe_request(session->config.user, stream);
}

/* ---- what users ask ------------------------------------------------------------------------------------------------ */

void *duet_send_stream_user(const duet_send_stream *stream)
{
    return stream->user;
}

uint32_t duet_send_stream_ssrc(const duet_send_stream *stream)
{
    return stream->ssrc;
}

uint32_t duet_send_stream_rtx_ssrc(const duet_send_stream *stream)
{
    return stream->rtx_ssrc;
}

uint32_t duet_send_stream_timestamp_base(const duet_send_stream *stream)
{
    return stream->timestamp_base;
}

void duet_send_stream_get_stats(const duet_send_stream *stream, duet_send_stream_stats *out)
{
    *out = stream->stats;
}
