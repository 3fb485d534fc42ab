/* What the tests of sdp/ share: the captured descriptions, parsing that must work, and an endpoint to answer with. */
#ifndef DUET_TESTS_SDP_COMMON_H
#define DUET_TESTS_SDP_COMMON_H

#include "test.h"

#include <dirent.h>

#include "duet/sdp.h"

#define SDP_SESSION "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
#define SDP_FINGERPRINT                                                                                                \
    "sha-256 99:8E:C0:D7:96:94:B1:C7:B9:51:31:CD:E8:23:DD:F2:13:E3:B3:11:94:D2:16:54:B6:F1:57:78:8A:E5:39:4C"

static inline duet_sdp *sdp_parsed_len(const char *text, size_t len)
{
    duet_sdp *sdp;
    duet_sdp_error error;

    int err = duet_sdp_parse(&sdp, NULL, text, len, &error);
    if (err)
        fail_msg("%s: line %zu, column %zu: %s", duet_strerror(err), error.line, error.column, error.reason);
    return sdp;
}

static inline duet_sdp *sdp_parsed(const char *text)
{
    return sdp_parsed_len(text, strlen(text));
}

static inline char *sdp_written(const duet_sdp *sdp)
{
    char *text;

    assert_int_equal(duet_sdp_write(sdp, &text), DUET_OK);
    return text;
}

static inline bool sdp_text_equals(duet_sdp_text text, const char *expected)
{
    return duet_sdp_text_is(text, expected);
}

static inline duet_sdp *sdp_captured(const char *name)
{
    char path[512];
    size_t len;

    snprintf(path, sizeof(path), "sdp/%s", name);
    uint8_t *data = test_data(path, &len);
    duet_sdp *sdp = sdp_parsed_len((const char *)data, len);
    free(data);
    return sdp;
}

/* Calls `visit` for every captured description; returns how many there are. */
static inline size_t sdp_for_each_captured(void (*visit)(const char *name, const char *text, size_t len))
{
    DIR *dir = opendir(DUET_TEST_DATA "/sdp");
    struct dirent *entry;
    size_t count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        char path[512];
        size_t len;
        if (!strstr(entry->d_name, ".sdp"))
            continue;
        snprintf(path, sizeof(path), "sdp/%s", entry->d_name);
        uint8_t *data = test_data(path, &len);
        visit(entry->d_name, (const char *)data, len);
        free(data);
        count++;
    }
    closedir(dir);
    return count;
}

/* ---- an endpoint: what it can do, and the sections with which it offers or answers ---- */

#define FB_VIDEO                                                                                                       \
    (DUET_FEEDBACK_NACK | DUET_FEEDBACK_NACK_PLI | DUET_FEEDBACK_CCM_FIR | DUET_FEEDBACK_TRANSPORT_CC |                \
     DUET_FEEDBACK_GOOG_REMB)

static const duet_codec sdp_opus = {"opus", 111, 48000, 2, "minptime=10;useinbandfec=1", DUET_FEEDBACK_TRANSPORT_CC};
static const duet_codec sdp_pcmu = {"PCMU", 0, 8000, 1, "", 0};
static const duet_codec sdp_dtmf = {"telephone-event", 126, 8000, 1, "0-15", 0};
static const duet_codec sdp_vp8 = {"VP8", 96, 90000, 1, "", FB_VIDEO};
static const duet_codec sdp_vp8_rtx = {"rtx", 97, 90000, 1, "apt=96", 0};
static const duet_codec sdp_h264 = {
    "H264", 102, 90000, 1, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", FB_VIDEO};
static const duet_codec sdp_h264_rtx = {"rtx", 103, 90000, 1, "apt=102", 0};

static const duet_codec sdp_vp9 = {"VP9", 98, 90000, 1, "profile-id=0", FB_VIDEO};

static const duet_codec *const sdp_audio_codecs[] = {&sdp_opus, &sdp_pcmu, &sdp_dtmf};
static const duet_codec *const sdp_video_codecs[] = {&sdp_vp8, &sdp_vp8_rtx, &sdp_h264, &sdp_h264_rtx, &sdp_vp9};

static const duet_sdp_extension sdp_ext_level = {1, DUET_SDP_SENDRECV, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"};
static const duet_sdp_extension sdp_ext_mid = {4, DUET_SDP_SENDRECV, "urn:ietf:params:rtp-hdrext:sdes:mid"};
static const duet_sdp_extension sdp_ext_twcc = {
    3, DUET_SDP_SENDRECV, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"};
static const duet_sdp_extension *const sdp_extensions[] = {&sdp_ext_level, &sdp_ext_mid, &sdp_ext_twcc};

typedef struct sdp_endpoint {
    duet_fingerprint fingerprint;
    const duet_fingerprint *fingerprints[1];
    duet_candidate candidate;
    const duet_candidate *candidates[1];
    duet_sdp_transport transport;
    duet_sdp_section audio, video, data;
    const duet_sdp_section *sections[DUET_SDP_MEDIA_MAX];
    const char *streams[1];
    duet_sdp_options options;
} sdp_endpoint;

/* `e` must stay where it is while it is used. */
static inline void sdp_endpoint_init(sdp_endpoint *e, const char *ufrag)
{
    static const char candidate[] = "candidate:1 1 udp 2122260223 192.0.2.9 50000 typ host";

    memset(e, 0, sizeof(*e));
    assert_int_equal(duet_fingerprint_parse(&e->fingerprint, SDP_FINGERPRINT, strlen(SDP_FINGERPRINT)), DUET_OK);
    assert_int_equal(duet_candidate_parse(&e->candidate, candidate, strlen(candidate), NULL, NULL), DUET_OK);
    e->fingerprints[0] = &e->fingerprint;
    e->candidates[0] = &e->candidate;
    e->streams[0] = "stream";
    e->transport = (duet_sdp_transport)DUET_SDP_TRANSPORT_INIT;
    strcpy(e->transport.ice.ufrag, ufrag);
    strcpy(e->transport.ice.pwd, "xNM7mXdE1zmRBl4cgs8Rldyx");
    e->transport.fingerprints = e->fingerprints;
    e->transport.fingerprint_count = 1;
    e->audio = (duet_sdp_section)DUET_SDP_SECTION_INIT;
    e->audio.transport = &e->transport;
    e->audio.extensions = sdp_extensions;
    e->audio.extension_count = 3;
    e->audio.stream_ids = e->streams;
    e->audio.stream_count = 1;
    e->audio.track_id = "track";
    e->video = e->audio;
    e->audio.kind = DUET_SDP_AUDIO;
    e->audio.codecs = sdp_audio_codecs;
    e->audio.codec_count = 3;
    e->video.kind = DUET_SDP_VIDEO;
    e->video.codecs = sdp_video_codecs;
    e->video.codec_count = 5;
    e->data = (duet_sdp_section)DUET_SDP_SECTION_INIT;
    e->data.transport = &e->transport;
    e->audio.mid = "0";
    e->video.mid = "1";
    e->data.mid = "2";
    e->options = (duet_sdp_options)DUET_SDP_OPTIONS_INIT;
    e->options.session_id = 4611686018427387904u;
    e->options.version = 2;
    e->options.sections = e->sections;
    e->sections[0] = &e->audio;
    e->sections[1] = &e->video;
    e->sections[2] = &e->data;
    e->options.section_count = 3;
}

/* One section of the endpoint for each of the offer. */
static inline void sdp_endpoint_face(sdp_endpoint *e, const duet_sdp *offer)
{
    e->options.section_count = duet_sdp_media_count(offer);
    for (size_t i = 0; i < e->options.section_count; i++) {
        duet_sdp_media_kind kind = duet_sdp_media_at(offer, i)->kind;
        e->sections[i] = kind == DUET_SDP_AUDIO         ? &e->audio
                         : kind == DUET_SDP_VIDEO       ? &e->video
                         : kind == DUET_SDP_APPLICATION ? &e->data
                                                        : NULL;
    }
}

#endif
