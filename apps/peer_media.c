/* The media test of duet peer. It has passed when 50 packets of each kind have come, and 15 pictures were decoded (or, of a
 * codec that this build cannot decode, came whole, with a key frame among them). */
#include "peer_media.h"
#include "app.h"
#include <string.h>

#define PACKETS_REQUIRED 50
#define FRAMES_REQUIRED  15
#define FIGURES_EVERY    DUET_MS(500)

enum { AUDIO, VIDEO };

/* ---- figures ---- */

static void add_count(json_t *result, const char *name, uint64_t count)
{
    json_object_set_new(result, name, json_integer((json_int_t)count));
}

/* Which figures of getStats are part of the result, under which name. */
static const struct {
    duet_stats_kind kind;
    const char *media, *member, *name;
} figures[] = {
    {DUET_STATS_OUTBOUND_RTP, "audio", "packetsSent", "audioPacketsSent"},
    {DUET_STATS_OUTBOUND_RTP, "audio", "duetRedundancySent", "audioRedundancySent"},
    {DUET_STATS_INBOUND_RTP, "audio", "fecPacketsReceived", "audioFecReceived"},
    {DUET_STATS_INBOUND_RTP, "audio", "fecPacketsDiscarded", "audioFecDiscarded"},
    {DUET_STATS_INBOUND_RTP, "audio", "totalSamplesReceived", "audioSamples"},
    {DUET_STATS_INBOUND_RTP, "audio", "concealedSamples", "audioSamplesConcealed"},
    {DUET_STATS_OUTBOUND_RTP, "video", "packetsSent", "videoPacketsSent"},
    {DUET_STATS_OUTBOUND_RTP, "video", "framesSent", "framesSent"},
    {DUET_STATS_OUTBOUND_RTP, "video", "duetKeyFramesSent", "keyFramesSent"},
    {DUET_STATS_OUTBOUND_RTP, "video", "retransmittedPacketsSent", "retransmittedPacketsSent"},
    {DUET_STATS_OUTBOUND_RTP, "video", "nackCount", "nacksReceived"},
    {DUET_STATS_OUTBOUND_RTP, "video", "pliCount", "plisReceived"},
    {DUET_STATS_INBOUND_RTP, "video", "duetFramesUndecodable", "decodeErrors"},
    {DUET_STATS_INBOUND_RTP, "video", "nackCount", "nacksSent"},
    {DUET_STATS_INBOUND_RTP, "video", "pliCount", "plisSent"},
    {DUET_STATS_INBOUND_RTP, "video", "retransmittedPacketsReceived", "retransmittedPacketsReceived"},
    {DUET_STATS_INBOUND_RTP, "video", "duetNackRecovered", "nackRecovered"},
};

static void add_figures(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    json_t *result = user;
    const char *media = "";

    (void)id;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(members[i].name, "kind") == 0)
            media = members[i].text;
    }
    for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++) {
        for (size_t i = 0; kind == figures[f].kind && strcmp(media, figures[f].media) == 0 && i < count; i++) {
            if (strcmp(members[i].name, figures[f].member) == 0)
                add_count(result, figures[f].name, members[i].number);
        }
    }
}

static void refresh_figures(peer_media *m)
{
    m->figured_at = duet_net_now(m->net);
    duet_pc_get_stats(m->pc, add_figures, m->figures);
}

/* ---- the test ---- */

static void frame_arrived(void *user, media_sink *sink, const duet_incoming_frame *frame)
{
    peer_media *m = user;

    media_echo_frame(m->echoes, sink->receiver, frame);
    if (duet_net_now(m->net) > m->figured_at + FIGURES_EVERY)
        refresh_figures(m);
    if (m->has_passed || !peer_media_passed(m))
        return;
    m->has_passed = true;
    m->on_passed(m->user);
}

static int add_track(peer_media *m, duet_pc *pc, duet_sdp_media_kind kind)
{
    const char *streams[] = {"duet"};
    duet_sender *sender;

    int err = duet_pc_add_track(pc, kind, NULL, streams, 1, &sender);
    if (err != DUET_OK)
        return err;
    bool is_its_codec = m->codec && media_is_audio_codec(m->codec) == (kind == DUET_SDP_AUDIO);
    if (is_its_codec && !media_prefer(duet_sender_transceiver(sender), m->codec))
        return DUET_ERR_UNSUPPORTED;
    if (m->echo)
        return DUET_OK;
    return media_source_start(&m->sources[kind == DUET_SDP_VIDEO], m->net, sender);
}

int peer_media_start(peer_media *m, duet_pc *pc, duet_net *net)
{
    m->net = net;
    m->pc = pc;
    m->figures = json_object();
    if (!m->figures)
        return DUET_ERR_NOMEM;
    int err = m->audio ? add_track(m, pc, DUET_SDP_AUDIO) : DUET_OK;

    m->audio_required = m->video_required = PACKETS_REQUIRED;
    return err == DUET_OK && m->video ? add_track(m, pc, DUET_SDP_VIDEO) : err;
}

void peer_media_track(peer_media *m, duet_transceiver *transceiver)
{
    media_sink *sink = &m->sinks[duet_transceiver_kind(transceiver) == DUET_SDP_VIDEO];

    if (sink->receiver)
        return; /* another section of the same kind is not part of the test */
    if (m->echo)
        (void)media_echo_start(&m->echoes, transceiver);
    sink->on_frame = frame_arrived;
    sink->user = m;
    media_sink_start(sink, m->net, duet_transceiver_receiver(transceiver));
}

static bool pictures_suffice(const media_sink *sink)
{
    if (sink->has_no_decoder)
        return sink->frames >= FRAMES_REQUIRED && sink->key_frames >= 1;
    return sink->decoded >= FRAMES_REQUIRED;
}

bool peer_media_passed(const peer_media *m)
{
    if (m->audio && m->sinks[AUDIO].packets < m->audio_required)
        return false;
    return !m->video || (m->sinks[VIDEO].packets >= m->video_required && pictures_suffice(&m->sinks[VIDEO]));
}

void peer_media_require_more(peer_media *m)
{
    m->audio_required = m->sinks[AUDIO].packets + PACKETS_REQUIRED;
    m->video_required = m->sinks[VIDEO].packets + PACKETS_REQUIRED;
    m->has_passed = false;
}

/* ---- the result ---- */

void peer_media_result(peer_media *m, json_t *result)
{
    const media_sink *audio = &m->sinks[AUDIO], *video = &m->sinks[VIDEO];

    if (m->video) {
        add_count(result, "framesSent", 0);
        add_count(result, "keyFramesSent", 0);
        add_count(result, "decodeErrors", 0);
    }
    refresh_figures(m);
    json_object_update(result, m->figures);
    if (m->audio) {
        add_count(result, "audioPacketsReceived", audio->packets);
        json_object_set_new(result, "audioEnergy", json_real(audio->energy));
        if (audio->codec[0])
            json_object_set_new(result, "audioCodec", json_string(audio->codec));
    }
    if (!m->video)
        return;
    add_count(result, "videoPacketsReceived", video->packets);
    add_count(result, "framesReceived", video->frames);
    json_object_set_new(result, "framesDecoded", json_integer(video->has_no_decoder ? -1 : (json_int_t)video->decoded));
    add_count(result, "keyFrames", video->key_frames);
    add_count(result, "countersRead", video->counters_read);
    add_count(result, "countersBackward", video->counters_backward);
    if (video->codec[0])
        json_object_set_new(result, "videoCodec", json_string(video->codec));
    if (m->sources[VIDEO].problem)
        json_object_set_new(result, "videoProblem", json_string(m->sources[VIDEO].problem));
}

void peer_media_stop(peer_media *m)
{
    for (size_t i = 0; i < 2; i++) {
        media_source_stop(&m->sources[i]);
        media_sink_stop(&m->sinks[i]);
    }
    media_echo_free(&m->echoes);
    json_decref(m->figures);
}
