/* The call of media_call.c made with GStreamer's webrtcbin: the same frames, the same encoder settings, NACK as in Duet,
 * both ends in this process. Prints a line of JSON. It gathers candidates on all interfaces, so it runs in a network
 * namespace only.
 *   bench_webrtcbin_call frames|raw [CALLS [SECONDS]] */
#include "call_media.h"
#define GST_USE_UNSTABLE_API
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <gst/webrtc/webrtc.h>
#include <stdio.h>
#include <stdlib.h>

#define SETUP_LIMIT (20 * G_USEC_PER_SEC)
#define WARM_UP     (2 * G_USEC_PER_SEC)

#define RTP_VIDEO "application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96"
#define RTP_AUDIO                                                                                                      \
    "application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,payload=111,encoding-params=(string)2"

typedef struct end {
    const call_options *options;
    struct end *other;
    GstElement *pipeline, *webrtc, *camera, *microphone;
    gint frames, packets; /* atomic: counted in the threads of GStreamer */
} end;

typedef struct bench {
    call_options options;
    call_media media;
    end ends[2 * CALLS_MAX];
    unsigned end_count;
    guint video_sent, audio_sent;
} bench;

static void fail(const char *what)
{
    fprintf(stderr, "bench_webrtcbin_call: %s\n", what);
    exit(1);
}

/* ---- receiving ---- */

static GstPadProbeReturn count_one(GstPad *pad, GstPadProbeInfo *info, gpointer counter)
{
    (void)pad;
    (void)info;
    g_atomic_int_inc((gint *)counter);
    return GST_PAD_PROBE_OK;
}

/* webrtcbin has a pad for each stream that arrives. */
static void pad_added(GstElement *webrtc, GstPad *pad, gpointer user)
{
    end *e = user;
    GstCaps *caps = gst_pad_get_current_caps(pad);
    GError *error = NULL;

    (void)webrtc;
    if (GST_PAD_DIRECTION(pad) != GST_PAD_SRC || !caps) {
        if (caps)
            gst_caps_unref(caps);
        return;
    }
    bool is_video = g_strcmp0(gst_structure_get_string(gst_caps_get_structure(caps, 0), "media"), "video") == 0;
    const char *encoded = is_video ? "rtpvp8depay ! fakesink name=sink sync=false async=false"
                                   : "rtpopusdepay ! fakesink name=sink sync=false async=false";
    const char *raw = is_video ? "rtpvp8depay ! vp8dec ! fakesink name=sink sync=false async=false"
                               : "rtpopusdepay ! opusdec ! fakesink name=sink sync=false async=false";
    GstElement *chain = gst_parse_bin_from_description(e->options->raw ? raw : encoded, TRUE, &error);
    if (!chain)
        fail(error->message);
    GstElement *sink = gst_bin_get_by_name(GST_BIN(chain), "sink");
    GstPad *last = gst_element_get_static_pad(sink, "sink"), *first = gst_element_get_static_pad(chain, "sink");
    gst_pad_add_probe(last, GST_PAD_PROBE_TYPE_BUFFER, count_one, is_video ? &e->frames : &e->packets, NULL);
    gst_bin_add(GST_BIN(e->pipeline), chain);
    gst_element_sync_state_with_parent(chain);
    if (gst_pad_link(pad, first) != GST_PAD_LINK_OK)
        fail("a received stream cannot be linked");
    gst_object_unref(first);
    gst_object_unref(last);
    gst_object_unref(sink);
    gst_caps_unref(caps);
}

/* ---- sending ---- */

static void push_encoded(GstElement *source, const call_frame *frame)
{
    GstBuffer *buffer =
        gst_buffer_new_wrapped_full(GST_MEMORY_FLAG_READONLY, frame->data, frame->len, 0, frame->len, NULL, NULL);

    gst_app_src_push_buffer(GST_APP_SRC(source), buffer);
}

static void push_raw(const bench *b, GstElement *source, bool is_video)
{
    size_t size = is_video ? CALL_PICTURE_SIZE : CALL_AUDIO_SAMPLES * sizeof(gint16);
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, size, NULL);
    GstMapInfo map;

    gst_buffer_map(buffer, &map, GST_MAP_WRITE);
    if (is_video)
        duet_pattern_fill(map.data, CALL_WIDTH, CALL_HEIGHT, b->video_sent);
    else
        duet_tone_fill((gint16 *)(void *)map.data, CALL_AUDIO_SAMPLES, 1, CALL_SAMPLE_RATE, 440, 0.3,
                       (guint64)b->audio_sent * CALL_AUDIO_SAMPLES);
    gst_buffer_unmap(buffer, &map);
    gst_app_src_push_buffer(GST_APP_SRC(source), buffer);
}

static void push(bench *b, end *e, bool is_video)
{
    GstElement *source = is_video ? e->camera : e->microphone;

    if (b->options.raw)
        push_raw(b, source, is_video);
    else if (is_video)
        push_encoded(source, &b->media.video[b->video_sent % CALL_VIDEO_FRAMES]);
    else
        push_encoded(source, &b->media.audio[b->audio_sent % CALL_AUDIO_FRAMES]);
}

static void push_all(bench *b, bool is_video)
{
    for (unsigned i = 0; i < b->end_count; i++)
        push(b, &b->ends[i], is_video);
    if (is_video)
        b->video_sent++;
    else
        b->audio_sent++;
}

/* GStreamer works in its own threads; this one gives them media when it is due. */
static void run(bench *b, gint64 duration)
{
    gint64 start = g_get_monotonic_time();
    guint video = 0, audio = 0;

    for (gint64 now = start; now < start + duration; now = g_get_monotonic_time()) {
        gint64 video_due = start + (gint64)video * G_USEC_PER_SEC / CALL_FRAMERATE;
        gint64 audio_due = start + (gint64)audio * 20000;
        if (now >= video_due) {
            push_all(b, true);
            video++;
        } else if (now >= audio_due) {
            push_all(b, false);
            audio++;
        } else {
            g_usleep((gulong)(MIN(video_due, audio_due) - now));
        }
    }
}

/* ---- signaling ---- */

static void ice_candidate(GstElement *webrtc, guint line, gchar *candidate, gpointer user)
{
    (void)webrtc;
    g_signal_emit_by_name(((end *)user)->other->webrtc, "add-ice-candidate", line, candidate);
}

static void describe(end *from, GstPromise *promise, const char *kind)
{
    GstWebRTCSessionDescription *description = NULL;

    gst_structure_get(gst_promise_get_reply(promise), kind, GST_TYPE_WEBRTC_SESSION_DESCRIPTION, &description, NULL);
    gst_promise_unref(promise);
    if (!description)
        fail("no description was made");
    g_signal_emit_by_name(from->webrtc, "set-local-description", description, NULL);
    g_signal_emit_by_name(from->other->webrtc, "set-remote-description", description, NULL);
    gst_webrtc_session_description_free(description);
}

static void answer_made(GstPromise *promise, gpointer user)
{
    describe(user, promise, "answer");
}

static void offer_made(GstPromise *promise, gpointer user)
{
    end *e = user;

    describe(e, promise, "offer");
    g_signal_emit_by_name(e->other->webrtc, "create-answer", NULL,
                          gst_promise_new_with_change_func(answer_made, e->other, NULL));
}

static void negotiation_needed(GstElement *webrtc, gpointer user)
{
    g_signal_emit_by_name(webrtc, "create-offer", NULL, gst_promise_new_with_change_func(offer_made, user, NULL));
}

/* ---- calls ---- */

static gchar *pipeline_text(const call_options *o)
{
    if (!o->raw)
        return g_strdup_printf(
            "webrtcbin name=webrtc bundle-policy=max-bundle "
            "appsrc name=camera is-live=true do-timestamp=true format=time "
            "caps=video/x-vp8,width=%d,height=%d,framerate=%d/1 "
            "! rtpvp8pay pt=96 ! " RTP_VIDEO " ! webrtc. "
            "appsrc name=microphone is-live=true do-timestamp=true format=time "
            "caps=audio/x-opus,channel-mapping-family=0,channels=1,rate=48000 ! rtpopuspay pt=111 ! " RTP_AUDIO
            " ! webrtc.",
            CALL_WIDTH, CALL_HEIGHT, CALL_FRAMERATE);
    return g_strdup_printf(
        "webrtcbin name=webrtc bundle-policy=max-bundle "
        "appsrc name=camera is-live=true do-timestamp=true format=time "
        "caps=video/x-raw,format=I420,width=%d,height=%d,framerate=%d/1 "
        "! vp8enc deadline=1 cpu-used=%d threads=1 end-usage=cbr target-bitrate=%d lag-in-frames=0 "
        "error-resilient=default "
        "keyframe-max-dist=3000 min-quantizer=2 max-quantizer=56 undershoot=100 overshoot=15 buffer-size=1000 "
        "buffer-initial-size=500 buffer-optimal-size=600 dropframe-threshold=30 static-threshold=1 "
        "! rtpvp8pay pt=96 ! " RTP_VIDEO " ! webrtc. "
        "appsrc name=microphone is-live=true do-timestamp=true format=time "
        "caps=audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=48000 "
        "! opusenc bitrate=%d complexity=5 inband-fec=true ! rtpopuspay pt=111 ! " RTP_AUDIO " ! webrtc.",
        CALL_WIDTH, CALL_HEIGHT, CALL_FRAMERATE, CALL_SPEED, CALL_BITRATE, CALL_AUDIO_BITRATE);
}

static void ask_for_nack(end *e)
{
    GArray *transceivers = NULL;

    g_signal_emit_by_name(e->webrtc, "get-transceivers", &transceivers);
    for (guint i = 0; transceivers && i < transceivers->len; i++)
        g_object_set(g_array_index(transceivers, GstWebRTCRTPTransceiver *, i), "do-nack", i == 0, NULL);
    if (transceivers)
        g_array_unref(transceivers);
}

/* Its ICE library looks for gateways with UPnP, which no call here needs. */
static void without_upnp(GstElement *webrtc)
{
    GObject *ice = NULL, *agent = NULL;

    g_object_get(webrtc, "ice-agent", &ice, NULL);
    g_object_get(ice, "agent", &agent, NULL);
    g_object_set(agent, "upnp", FALSE, NULL);
    g_object_unref(agent);
    g_object_unref(ice);
}

static void create(end *e, end *other, const call_options *options)
{
    gchar *text = pipeline_text(options);
    GError *error = NULL;

    e->options = options;
    e->other = other;
    e->pipeline = gst_parse_launch(text, &error);
    g_free(text);
    if (error)
        fail(error->message);
    e->webrtc = gst_bin_get_by_name(GST_BIN(e->pipeline), "webrtc");
    e->camera = gst_bin_get_by_name(GST_BIN(e->pipeline), "camera");
    e->microphone = gst_bin_get_by_name(GST_BIN(e->pipeline), "microphone");
    ask_for_nack(e);
    without_upnp(e->webrtc);
    g_signal_connect(e->webrtc, "on-ice-candidate", G_CALLBACK(ice_candidate), e);
    g_signal_connect(e->webrtc, "pad-added", G_CALLBACK(pad_added), e);
}

static void start(end *offerer, end *answerer, const call_options *options)
{
    create(offerer, answerer, options);
    create(answerer, offerer, options);
    g_signal_connect(offerer->webrtc, "on-negotiation-needed", G_CALLBACK(negotiation_needed), offerer);
    gst_element_set_state(answerer->pipeline, GST_STATE_PLAYING);
    gst_element_set_state(offerer->pipeline, GST_STATE_PLAYING);
}

static bool all_run(bench *b)
{
    for (unsigned i = 0; i < b->end_count; i++) {
        if (!g_atomic_int_get(&b->ends[i].frames) || !g_atomic_int_get(&b->ends[i].packets))
            return false;
    }
    return true;
}

/* The first media may have come before the connection: go on with a key frame. */
static void connect_all(bench *b)
{
    gint64 limit = g_get_monotonic_time() + SETUP_LIMIT;

    for (unsigned i = 0; i < b->end_count; i += 2)
        start(&b->ends[i], &b->ends[i + 1], &b->options);
    while (!all_run(b) && g_get_monotonic_time() < limit) {
        run(b, G_USEC_PER_SEC / 5);
        if (b->video_sent >= CALL_FRAMERATE && !all_run(b))
            b->video_sent = 0;
    }
    if (!all_run(b))
        fail("no media everywhere after 20 s");
    run(b, WARM_UP);
}

static void count(bench *b, double *frames, double *packets)
{
    *frames = *packets = 0;
    for (unsigned i = 0; i < b->end_count; i++) {
        *frames += g_atomic_int_get(&b->ends[i].frames);
        *packets += g_atomic_int_get(&b->ends[i].packets);
    }
}

static void stop(end *e)
{
    gst_element_set_state(e->pipeline, GST_STATE_NULL);
    gst_object_unref(e->webrtc);
    gst_object_unref(e->camera);
    gst_object_unref(e->microphone);
    gst_object_unref(e->pipeline);
}

int main(int argc, char **argv)
{
    static bench b;
    call_meter meter;
    double frames[2], packets[2];

    if (!call_options_parse(&b.options, argc, argv))
        return 2;
    if (!getenv("DUET_NETNS"))
        fail("it must run in a network namespace: tests/interop/in_netns.sh bench_webrtcbin_call …");
    if (!call_media_prepare(&b.media))
        fail("the media cannot be encoded");
    b.end_count = 2 * b.options.calls;
    call_meter_memory(&meter);
    gst_init(NULL, NULL);
    connect_all(&b);
    count(&b, &frames[0], &packets[0]);
    call_meter_start(&meter);
    run(&b, (gint64)(b.options.seconds * G_USEC_PER_SEC));
    count(&b, &frames[1], &packets[1]);
    call_meter_report(&meter, &b.options, "webrtcbin", frames[1] - frames[0], packets[1] - packets[0]);
    for (unsigned i = 0; i < b.end_count; i++)
        stop(&b.ends[i]);
    call_media_free(&b.media);
    return 0;
}
