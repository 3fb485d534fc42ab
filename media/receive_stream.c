/* One SSRC of the peer: its life, and what happens to each of its packets. RFC 3550 section 6.4 for what reports say. */
#include "base/memory.h"
#include "media/internal.h"
#include <string.h>
#include <strings.h>

#define DEFAULT_CLOCK_RATE 90000

static void nack_timer(void *owner, duet_time now)
{
    duet_receive_stream *stream = owner;

    (void)now;
    stream->nack_due = true;
    duet_receive_stream_has_feedback(stream);
}

/* The end of a frame does not come: it may be lost, and until the next frame nothing would tell. Packets of a frame leave
 * together, so the one behind the newest is asked for on suspicion; a sender that has not sent it does not mind. One that
 * has would send it twice, so on a slow path it has the time that packets take there. */
#define TAIL_AFTER    DUET_MS(10)
#define TAIL_SPACINGS 3
/* So many originals that come although they were asked for, and none by rtx, are no reordering. */
#define PLAIN_REPAIRS_PROVE 4

static void tail_timer(void *owner, duet_time now)
{
    duet_receive_stream *stream = owner;

    if (stream->probed)
        return;
    stream->probed = stream->reception.highest + 1;
    duet_nack_probe(&stream->nacks, stream->probed, now);
    nack_timer(owner, now);
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void link_newest(duet_receive_stream *stream)
{
    duet_rtp_session *session = stream->session;

    stream->newer = NULL;
    stream->older = session->newest;
    if (session->newest)
        session->newest->newer = stream;
    else
        session->oldest = stream;
    session->newest = stream;
}

static void unlink_stream(duet_receive_stream *stream)
{
    duet_rtp_session *session = stream->session;

    if (stream->newer)
        stream->newer->older = stream->older;
    else
        session->newest = stream->older;
    if (stream->older)
        stream->older->newer = stream->newer;
    else
        session->oldest = stream->newer;
}

int duet_receive_stream_create(duet_receive_stream **out, duet_rtp_session *session, rtp_section *section,
                               uint32_t ssrc, bool is_known)
{
    duet_receive_stream *stream = duet_calloc(&session->env, sizeof(*stream));

    if (!stream)
        return DUET_ERR_NOMEM;
    stream->session = session;
    stream->section = section;
    stream->ssrc = ssrc;
    stream->is_known = is_known;
    stream->clock_rate = DEFAULT_CLOCK_RATE;
    duet_nack_init(&stream->nacks, &session->env);
    duet_rtp_timer_init(&stream->nack_timer, nack_timer, stream);
    duet_rtp_timer_init(&stream->keyframe_timer, duet_keyframe_timer, stream);
    duet_rtp_timer_init(&stream->tail_timer, tail_timer, stream);
    if (duet_map_set(&session->receivers, ssrc, stream) != DUET_OK) {
        duet_free(&session->env, stream);
        return DUET_ERR_NOMEM;
    }
    link_newest(stream);
    *out = stream;
    return DUET_OK;
}

static void leave_feedback(duet_receive_stream *stream)
{
    duet_rtp_session *session = stream->session;
    duet_receive_stream **at = &session->feedback_first, *before = NULL;

    if (!stream->has_feedback)
        return;
    for (; *at != stream; at = &(*at)->next_feedback)
        before = *at;
    *at = stream->next_feedback;
    if (session->feedback_last == stream)
        session->feedback_last = before;
    stream->has_feedback = false;
}

void duet_receive_stream_destroy(duet_receive_stream *stream)
{
    duet_rtp_session *session = stream->session;

    leave_feedback(stream);
    unlink_stream(stream);
    duet_map_remove(&session->receivers, stream->ssrc);
    if (stream->has_rtx_ssrc)
        duet_map_remove(&session->repairs, stream->rtx_ssrc);
    duet_timers_cancel(&session->timers, &stream->nack_timer.timer);
    duet_timers_cancel(&session->timers, &stream->keyframe_timer.timer);
    duet_timers_cancel(&session->timers, &stream->tail_timer.timer);
    duet_nack_free(&stream->nacks);
    duet_free(&session->env, stream);
}

void duet_receive_stream_end(duet_receive_stream *stream)
{
    duet_rtp_session *session = stream->session;

    if (session->config.on_stream_end)
        session->config.on_stream_end(session->config.user, stream);
    duet_receive_stream_destroy(stream);
}

void duet_receive_stream_touch(duet_receive_stream *stream, duet_time now)
{
    stream->last_packet = now;
    duet_keyframe_packet_came(stream, now);
    if (stream->session->newest == stream)
        return;
    unlink_stream(stream);
    link_newest(stream);
}

int duet_receive_stream_set_rtx(duet_receive_stream *stream, uint32_t rtx_ssrc)
{
    duet_rtp_session *session = stream->session;

    if (stream->has_rtx_ssrc && stream->rtx_ssrc == rtx_ssrc)
        return DUET_OK;
    if (duet_map_set(&session->repairs, rtx_ssrc, stream) != DUET_OK)
        return DUET_ERR_NOMEM;
    if (stream->has_rtx_ssrc)
        duet_map_remove(&session->repairs, stream->rtx_ssrc);
    stream->rtx_ssrc = rtx_ssrc;
    stream->has_rtx_ssrc = true;
    return DUET_OK;
}

void duet_receive_stream_has_feedback(duet_receive_stream *stream)
{
    duet_rtp_session *session = stream->session;

    if (stream->has_feedback)
        return;
    stream->has_feedback = true;
    stream->next_feedback = NULL;
    if (session->feedback_last)
        session->feedback_last->next_feedback = stream;
    else
        session->feedback_first = stream;
    session->feedback_last = stream;
}

/* ---- packets ------------------------------------------------------------------------------------------------------- */

static void arm_nack_timer(duet_receive_stream *stream)
{
    if (!stream->nack_due)
        duet_rtp_timer_set(stream->session, &stream->nack_timer,
                           duet_nack_deadline(&stream->nacks, stream->session->rtt));
}

/* The timestamp of an event is when it began, whenever its packet was sent: RFC 4733 section 2.1. */
static bool tells_time(const duet_codec *codec)
{
    return codec->clock_rate && strcasecmp(codec->name, "telephone-event") != 0;
}

static void learn_spacing(duet_receive_stream *stream, uint32_t timestamp, bool is_next, duet_time now)
{
    const rtp_reception *r = &stream->reception;

    if (!is_next || !r->has_transit || timestamp != r->last_timestamp)
        return;
    duet_time gap = now - r->last_arrival;
    if (gap > stream->spacing)
        stream->spacing = gap;
    else
        stream->spacing -= (stream->spacing - gap) / 16;
}

static void watch_tail(duet_receive_stream *stream, const duet_codec *codec, bool marker, duet_time now)
{
    if (marker || !stream->section->is_video || !(codec->feedback & DUET_FEEDBACK_NACK))
        duet_timers_cancel(&stream->session->timers, &stream->tail_timer.timer);
    else
        duet_rtp_timer_set(stream->session, &stream->tail_timer, now + TAIL_AFTER + TAIL_SPACINGS * stream->spacing);
}

/* A new packet shows what became of the suspicion. @return up to where nothing has to be noted as missing */
static int64_t settle_probe(duet_receive_stream *stream, int64_t before, int64_t extended, bool is_repair,
                            duet_time now)
{
    int64_t probed = stream->probed;

    if (probed == 0)
        return before;
    stream->probed = 0;
    if (extended > probed) {
        duet_nack_confirm(&stream->nacks, probed);
        return probed;
    }
    if (is_repair && duet_nack_arrived(&stream->nacks, probed, true, now) == NACK_RECOVERED)
        stream->stats.nack_recovered++;
    duet_nack_forget(&stream->nacks, probed);
    return before;
}

static void note_gap(duet_receive_stream *stream, const duet_codec *codec, int64_t before, int64_t extended,
                     duet_time now)
{
    if (!(codec->feedback & DUET_FEEDBACK_NACK) || extended <= before + 1)
        return;
    stream->stats.nack_given_up += duet_nack_missing(&stream->nacks, before + 1, extended, now);
    arm_nack_timer(stream);
}

/* Without rtx a packet that is sent again looks like any other. Some agree to rtx, and do not use it: that shows when packets
 * come that were asked for, and never one by rtx. */
static bool repairs_look_like_originals(const duet_receive_stream *stream)
{
    return stream->section->rtx_of[stream->payload_type] == RTP_NO_CODEC ||
           (stream->stats.retransmitted_packets_received == 0 && stream->asked_and_late >= PLAIN_REPAIRS_PROVE);
}

static void note_late(duet_receive_stream *stream, int64_t extended, bool is_retransmission, duet_time now)
{
    bool is_repair = is_retransmission || repairs_look_like_originals(stream);
    nack_found found = duet_nack_arrived(&stream->nacks, extended, is_repair, now);

    if (found == NACK_RECOVERED)
        stream->stats.nack_recovered++;
    else if (!is_retransmission)
        stream->stats.packets_reordered++;
    if (found == NACK_LATE_THOUGH_ASKED && stream->asked_and_late < PLAIN_REPAIRS_PROVE)
        stream->asked_and_late++;
}

static void count_packet(duet_receive_stream *stream, const duet_rtp_packet *packet, size_t wire_len,
                         bool is_retransmission)
{
    duet_receive_stream_stats *stats = &stream->stats;

    stats->packets_received++;
    stats->bytes_received += packet->payload_len;
    stats->header_bytes_received += wire_len - packet->payload_len;
    if (is_retransmission) {
        stats->retransmitted_packets_received++;
        stats->retransmitted_bytes_received += packet->payload_len;
    }
}

int duet_receive_stream_packet(duet_receive_stream *stream, const duet_rtp_packet *packet,
                               const duet_rtp_extensions *extensions, size_t wire_len, bool is_retransmission,
                               duet_time now)
{
    duet_rtp_session *session = stream->session;
    const duet_codec *codec = duet_rtp_section_codec(stream->section, packet->payload_type);
    rtp_reception *reception = &stream->reception;
    int64_t before = reception->highest, first_before = reception->first, extended = 0;
    bool began = reception->began;

    rtp_arrived arrived = is_retransmission ? duet_rtp_reception_repair(reception, packet->sequence_number, &extended)
                                            : duet_rtp_reception_add(reception, packet->sequence_number, &extended);
    if (arrived == RTP_WILD) {
        session->stats.malformed++;
        return DUET_OK;
    }
    count_packet(stream, packet, wire_len, is_retransmission);
    stream->received_since_report = true;
    if (arrived == RTP_DUPLICATE) {
        stream->stats.packets_duplicated++;
        return DUET_OK;
    }
    stream->payload_type = packet->payload_type;
    if (tells_time(codec))
        stream->clock_rate = codec->clock_rate;
    if (!is_retransmission && tells_time(codec)) {
        learn_spacing(stream, packet->timestamp, extended == before + 1, now);
        duet_rtp_reception_jitter(reception, packet->timestamp, now, stream->clock_rate);
    }
    if (arrived == RTP_LATE) {
        note_late(stream, extended, is_retransmission, now);
    } else if (began && reception->first == first_before) {
        before = settle_probe(stream, before, extended, is_retransmission, now);
        note_gap(stream, codec, before, extended, now);
    } else {
        duet_nack_skip_to(&stream->nacks, extended); /* it began anew: what was before is gone */
        stream->probed = 0;
    }
    if (arrived != RTP_LATE)
        watch_tail(stream, codec, packet->marker, now);

    duet_rtp_arrival arrival = {.packet = packet,
                                .extensions = extensions,
                                .codec = codec,
                                .extended_sequence = extended,
                                .is_retransmission = is_retransmission,
                                .time = now};
    if (session->config.on_packet)
        session->config.on_packet(session->config.user, stream, &arrival);
    return DUET_OK;
}

void duet_receive_stream_report(duet_receive_stream *stream, duet_rtcp_report_block *block, duet_time now)
{
    *block = (duet_rtcp_report_block){.ssrc = stream->ssrc};
    duet_rtp_reception_report(&stream->reception, block);
    if (!stream->has_report)
        return;
    block->last_sr = (uint32_t)(stream->report_ntp >> 16);
    block->delay_since_last_sr = duet_short_ntp_of_time(now - stream->report_arrived);
}

/* ---- what users ask ------------------------------------------------------------------------------------------------ */

void duet_receive_stream_set_user(duet_receive_stream *stream, void *user)
{
    stream->user = user;
}

void *duet_receive_stream_user(const duet_receive_stream *stream)
{
    return stream->user;
}

uint32_t duet_receive_stream_ssrc(const duet_receive_stream *stream)
{
    return stream->ssrc;
}

const char *duet_receive_stream_mid(const duet_receive_stream *stream)
{
    return stream->section->mid;
}

const char *duet_receive_stream_rid(const duet_receive_stream *stream)
{
    return stream->rid;
}

bool duet_receive_stream_is_video(const duet_receive_stream *stream)
{
    return stream->section->is_video;
}

const duet_codec *duet_receive_stream_codec(const duet_receive_stream *stream, uint8_t payload_type)
{
    return duet_rtp_section_codec(stream->section, payload_type);
}

void duet_receive_stream_skip_to(duet_receive_stream *stream, int64_t extended_sequence)
{
    stream->stats.nack_given_up += duet_nack_skip_to(&stream->nacks, extended_sequence);
    arm_nack_timer(stream);
}

bool duet_receive_stream_ntp_of(const duet_receive_stream *stream, uint32_t timestamp, uint64_t *ntp)
{
    if (!stream->has_report)
        return false;
    int64_t ticks = duet_rtp_time_diff(timestamp, stream->report_timestamp);
    int64_t rate = stream->clock_rate;
    int64_t whole = ticks / rate, part = ticks % rate;
    *ntp = stream->report_ntp + (uint64_t)(whole * ((int64_t)1 << 32)) + (uint64_t)(part * ((int64_t)1 << 32) / rate);
    return true;
}

void duet_receive_stream_get_stats(const duet_receive_stream *stream, duet_receive_stream_stats *out)
{
    *out = stream->stats;
    out->packets_lost = duet_rtp_reception_lost(&stream->reception);
    out->jitter = (double)(stream->reception.jitter >> 4) / stream->clock_rate;
    out->last_packet = stream->last_packet;
}
