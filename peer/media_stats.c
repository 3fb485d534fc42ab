/* Statistics of media: W3C webrtc-stats, RTP streams of both directions, what the peer reports of them, their codecs and
 * sources. */
#include "peer/media_io.h"
#include "peer/report.h"
#include <stdio.h>

typedef struct stream_ids {
    char own[PC_STATS_ID_MAX], remote[PC_STATS_ID_MAX], transport[PC_STATS_ID_MAX], codec[PC_STATS_ID_MAX],
        source[PC_STATS_ID_MAX];
} stream_ids;

static void make_ids(stream_ids *ids, char direction, uint32_t ssrc, const pc_transport *t, const duet_codec *codec,
                     const duet_transceiver *transceiver)
{
    snprintf(ids->own, sizeof(ids->own), "%cR%u", direction, (unsigned)ssrc);
    snprintf(ids->remote, sizeof(ids->remote), "R%cR%u", direction, (unsigned)ssrc);
    snprintf(ids->transport, sizeof(ids->transport), "T%u", (unsigned)t->index);
    snprintf(ids->codec, sizeof(ids->codec), "C%c%u-%zu-%u", direction, (unsigned)t->index, transceiver->mline,
             (unsigned)codec->payload_type);
    snprintf(ids->source, sizeof(ids->source), "S%zu", transceiver->mline);
}

static const char *kind_name(const duet_transceiver *t)
{
    return t->kind == DUET_SDP_VIDEO ? "video" : "audio";
}

static void report_codec(pc_stats_report *r, const stream_ids *ids, const duet_codec *codec, const duet_transceiver *t)
{
    char mime[48];

    snprintf(mime, sizeof(mime), "%s/%s", kind_name(t), codec->name);
    pc_report_number(r, "payloadType", codec->payload_type);
    pc_report_text(r, "transportId", ids->transport);
    pc_report_text(r, "mimeType", mime);
    pc_report_number(r, "clockRate", codec->clock_rate);
    pc_report_number(r, "channels", codec->channels);
    if (codec->fmtp[0])
        pc_report_text(r, "sdpFmtpLine", codec->fmtp);
    pc_report_emit(r, DUET_STATS_CODEC, ids->codec);
}

static void report_stream(pc_stats_report *r, const stream_ids *ids, const duet_transceiver *t, uint32_t ssrc)
{
    pc_report_number(r, "ssrc", ssrc);
    pc_report_text(r, "kind", kind_name(t));
    pc_report_text(r, "transportId", ids->transport);
    pc_report_text(r, "codecId", ids->codec);
}

static void report_size(pc_stats_report *r, const pc_pictures *pictures, duet_time now)
{
    pc_report_number(r, "frameWidth", pictures->width);
    pc_report_number(r, "frameHeight", pictures->height);
    pc_report_number(r, "framesPerSecond", pc_pictures_per_second(pictures, now));
}

static void report_level(pc_stats_report *r, const pc_sound *sound)
{
    pc_report_real(r, "audioLevel", sound->level);
    pc_report_real(r, "totalAudioEnergy", sound->energy);
    pc_report_real(r, "totalSamplesDuration", sound->seconds);
}

/* ---- sending ---- */

static void report_remote_inbound(pc_stats_report *r, const stream_ids *ids, const pc_send *s,
                                  const duet_send_stream_stats *stats)
{
    report_stream(r, ids, s->sender->transceiver, s->sender->ssrc);
    pc_report_text(r, "localId", ids->own);
    pc_report_number(r, "packetsReceived", stats->remote_packets_received);
    pc_report_real(r, "packetsLost", (double)stats->remote_packets_lost);
    pc_report_real(r, "jitter", stats->remote_jitter);
    pc_report_real(r, "fractionLost", stats->remote_fraction_lost);
    if (stats->round_trip_time_measurements > 0)
        pc_report_seconds(r, "roundTripTime", stats->round_trip_time);
    pc_report_seconds(r, "totalRoundTripTime", stats->total_round_trip_time);
    pc_report_number(r, "roundTripTimeMeasurements", stats->round_trip_time_measurements);
    pc_report_emit(r, DUET_STATS_REMOTE_INBOUND_RTP, ids->remote);
}

/* What raw sound and pictures tell of themselves; of encoded ones nothing is known. */
static void report_source(pc_stats_report *r, const stream_ids *ids, const pc_send *s)
{
    pc_report_text(r, "trackIdentifier", s->sender->track_id);
    pc_report_text(r, "kind", kind_name(s->sender->transceiver));
    if (s->source.count > 0) {
        pc_report_number(r, "width", s->source.width);
        pc_report_number(r, "height", s->source.height);
        pc_report_number(r, "frames", s->source.count);
        pc_report_number(r, "framesPerSecond", pc_pictures_per_second(&s->source, s->transport->pc->now));
    }
    if (s->sound.seconds > 0)
        report_level(r, &s->sound);
    pc_report_emit(r, DUET_STATS_MEDIA_SOURCE, ids->source);
}

static void report_send(pc_stats_report *r, const pc_send *s)
{
    const duet_sender *sender = s->sender;
    duet_send_stream_stats stats;
    stream_ids ids;

    duet_send_stream_get_stats(s->stream, &stats);
    make_ids(&ids, 'O', sender->ssrc, s->transport, &sender->codec, sender->transceiver);
    report_stream(r, &ids, sender->transceiver, sender->ssrc);
    pc_report_text(r, "mid", sender->transceiver->mid);
    if (sender->track_id[0])
        pc_report_text(r, "mediaSourceId", ids.source);
    if (stats.has_remote)
        pc_report_text(r, "remoteId", ids.remote);
    pc_report_bool(r, "active", duet_sender_is_active(sender));
    pc_report_number(r, "packetsSent", stats.packets_sent);
    pc_report_number(r, "bytesSent", stats.bytes_sent);
    pc_report_number(r, "headerBytesSent", stats.header_bytes_sent);
    pc_report_number(r, "retransmittedPacketsSent", stats.retransmitted_packets_sent);
    pc_report_number(r, "retransmittedBytesSent", stats.retransmitted_bytes_sent);
    if (sender->rtx_ssrc)
        pc_report_number(r, "rtxSsrc", sender->rtx_ssrc);
    pc_report_number(r, "nackCount", stats.nack_count);
    if (sender->transceiver->kind == DUET_SDP_VIDEO) {
        pc_report_number(r, "firCount", stats.fir_count);
        pc_report_number(r, "pliCount", stats.pli_count);
        pc_report_number(r, "framesSent", s->frames_sent);
        pc_report_number(r, "duetKeyFramesSent", s->key_frames_sent);
    }
    if (s->encoded.count > 0) {
        pc_report_number(r, "framesEncoded", s->encoded.count);
        pc_report_number(r, "keyFramesEncoded", s->encoded.key_frames);
        report_size(r, &s->encoded, s->transport->pc->now);
    }
    if (s->red_type != PC_NO_PAYLOAD_TYPE)
        pc_report_number(r, "duetRedundancySent", s->redundancy_sent);
    pc_report_number(r, "duetNackMissed", stats.nack_missed);
    pc_report_number(r, "duetQueueRefused", stats.queue_refused);
    pc_report_emit(r, DUET_STATS_OUTBOUND_RTP, ids.own);
    if (stats.has_remote)
        report_remote_inbound(r, &ids, s, &stats);
    report_codec(r, &ids, &sender->codec, sender->transceiver);
    if (sender->track_id[0])
        report_source(r, &ids, s);
}

/* ---- receiving ---- */

/* A time of RFC 3550 section 4, from 1900 on, as the DOM counts: milliseconds from 1970 on. */
static double milliseconds_of_ntp(uint64_t ntp)
{
    return (double)(ntp >> 32) * 1000 - 2208988800000.0 + (double)(ntp & UINT32_MAX) / 4294967.296;
}

static void report_remote_outbound(pc_stats_report *r, const stream_ids *ids, const pc_receive *s,
                                   const duet_receive_stream_stats *stats)
{
    report_stream(r, ids, s->receiver->transceiver, duet_receive_stream_ssrc(s->stream));
    pc_report_text(r, "localId", ids->own);
    pc_report_number(r, "packetsSent", stats->remote_packets_sent);
    pc_report_number(r, "bytesSent", stats->remote_bytes_sent);
    pc_report_number(r, "reportsSent", stats->remote_reports_sent);
    pc_report_real(r, "remoteTimestamp", milliseconds_of_ntp(stats->remote_ntp));
    pc_report_emit(r, DUET_STATS_REMOTE_OUTBOUND_RTP, ids->remote);
}

static void report_frames(pc_stats_report *r, const pc_receive *s)
{
    duet_video_jitter_stats stats;

    if (!pc_receive_get_stats(s, &stats))
        return;
    pc_report_number(r, "framesReceived", stats.frames_assembled);
    pc_report_number(r, "framesDropped", stats.frames_dropped);
    pc_report_number(r, "duetKeyFramesReceived", stats.key_frames);
    pc_report_seconds(r, "jitterBufferDelay", stats.jitter_buffer_delay);
    pc_report_number(r, "jitterBufferEmittedCount", stats.jitter_buffer_emitted_count);
    pc_report_number(r, "duetPacketsLate", stats.packets_late);
    pc_report_number(r, "duetPacketsMalformed", stats.packets_malformed);
}

static void report_pictures(pc_stats_report *r, const pc_receive *s)
{
    if (s->decoded.count + s->undecodable == 0)
        return;
    pc_report_number(r, "framesDecoded", s->decoded.count);
    pc_report_number(r, "keyFramesDecoded", s->decoded.key_frames);
    report_size(r, &s->decoded, s->transport->pc->now);
    pc_report_number(r, "duetFramesUndecodable", s->undecodable);
}

static void report_sound(pc_stats_report *r, const pc_receive *s)
{
    duet_audio_jitter_stats stats;

    if (!pc_playout_get_stats(s, &stats))
        return;
    pc_report_seconds(r, "jitterBufferDelay", stats.jitter_buffer_delay);
    pc_report_number(r, "jitterBufferEmittedCount", stats.jitter_buffer_emitted_count);
    pc_report_seconds(r, "jitterBufferTargetDelay", stats.target_delay);
    pc_report_number(r, "totalSamplesReceived", stats.samples_played);
    pc_report_number(r, "concealedSamples", stats.concealed_samples);
    pc_report_number(r, "silentConcealedSamples", stats.silent_concealed_samples);
    pc_report_number(r, "concealmentEvents", stats.concealment_events);
    pc_report_number(r, "insertedSamplesForDeceleration", stats.inserted_for_deceleration);
    pc_report_number(r, "removedSamplesForAcceleration", stats.removed_for_acceleration);
    pc_report_number(r, "packetsDiscarded", stats.packets_late + stats.packets_discarded);
    report_level(r, &s->sound);
}

/* FEC of both kinds, "in-band" as W3C has it: that of Opus where it was used, and every redundant block (RFC 2198). */
static void report_redundancy(pc_stats_report *r, const pc_receive *s)
{
    duet_audio_jitter_stats stats = {0};
    bool is_played = pc_playout_get_stats(s, &stats);

    if (!is_played && !s->redundancy)
        return;
    pc_report_number(r, "fecPacketsReceived", stats.fec_packets + (s->redundancy ? s->redundancy->received : 0));
    pc_report_number(r, "fecPacketsDiscarded", s->redundancy ? s->redundancy->discarded : 0);
    if (s->redundancy)
        pc_report_number(r, "duetRedundancyMalformed", s->redundancy->malformed);
}

static void playout_id(char id[PC_STATS_ID_MAX], const duet_transceiver *t)
{
    snprintf(id, PC_STATS_ID_MAX, "A%zu", t->mline);
}

static void report_receive(pc_stats_report *r, const pc_receive *s)
{
    const duet_transceiver *t = s->receiver->transceiver;
    uint32_t ssrc = duet_receive_stream_ssrc(s->stream);
    duet_receive_stream_stats stats;
    char playout[PC_STATS_ID_MAX];
    stream_ids ids;

    duet_receive_stream_get_stats(s->stream, &stats);
    make_ids(&ids, 'I', ssrc, s->transport, &s->codec, t);
    report_stream(r, &ids, t, ssrc);
    pc_report_text(r, "mid", t->mid);
    pc_report_text(r, "trackIdentifier", s->receiver->track_id);
    if (stats.has_remote)
        pc_report_text(r, "remoteId", ids.remote);
    if (s->receiver->is_played) {
        playout_id(playout, t);
        pc_report_text(r, "playoutId", playout);
    }
    pc_report_number(r, "packetsReceived", stats.packets_received);
    pc_report_number(r, "bytesReceived", stats.bytes_received);
    pc_report_number(r, "headerBytesReceived", stats.header_bytes_received);
    pc_report_real(r, "packetsLost", (double)stats.packets_lost);
    pc_report_real(r, "jitter", stats.jitter);
    pc_report_number(r, "retransmittedPacketsReceived", stats.retransmitted_packets_received);
    pc_report_number(r, "retransmittedBytesReceived", stats.retransmitted_bytes_received);
    pc_report_number(r, "nackCount", stats.nack_count);
    if (t->kind == DUET_SDP_VIDEO) {
        pc_report_number(r, "firCount", stats.fir_count);
        pc_report_number(r, "pliCount", stats.pli_count);
    }
    report_frames(r, s);
    report_pictures(r, s);
    report_sound(r, s);
    report_redundancy(r, s);
    pc_report_number(r, "duetPacketsDuplicated", stats.packets_duplicated);
    pc_report_number(r, "duetPacketsReordered", stats.packets_reordered);
    pc_report_number(r, "duetNackRecovered", stats.nack_recovered);
    pc_report_number(r, "duetNackGivenUp", stats.nack_given_up);
    pc_report_emit(r, DUET_STATS_INBOUND_RTP, ids.own);
    if (stats.has_remote)
        report_remote_outbound(r, &ids, s, &stats);
    if (s->codec.name[0])
        report_codec(r, &ids, &s->codec, t);
}

static void report_playout(pc_stats_report *r, const duet_receiver *receiver)
{
    char id[PC_STATS_ID_MAX];

    playout_id(id, receiver->transceiver);
    pc_report_text(r, "kind", "audio");
    pc_report_real(r, "synthesizedSamplesDuration", (double)receiver->silent_samples / 48000);
    pc_report_real(r, "totalSamplesDuration", (double)receiver->played_samples / 48000);
    pc_report_number(r, "totalSamplesCount", receiver->played_samples);
    pc_report_emit(r, DUET_STATS_MEDIA_PLAYOUT, id);
}

void pc_media_report(const duet_pc *pc, pc_stats_report *r)
{
    const duet_transceiver *t;

    for (size_t i = 0; (t = pc_transceiver_at(pc, i)); i++) {
        if (t->sender.send)
            report_send(r, t->sender.send);
        for (const pc_receive *s = t->receiver.streams; s; s = s->next) {
            if (s->stream)
                report_receive(r, s);
        }
        if (t->receiver.is_played)
            report_playout(r, &t->receiver);
    }
}
