/* Any description that passes the check of an offer gets an answer that passes the check of an answer. */
#include "duet/sdp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const duet_codec opus = {"opus", 111, 48000, 2, "useinbandfec=1", DUET_FEEDBACK_TRANSPORT_CC};
static const duet_codec red = {"red", 63, 48000, 2, "111/111", 0};
static const duet_codec pcmu = {"PCMU", 0, 8000, 1, "", 0};
static const duet_codec vp8 = {"VP8", 96, 90000, 1, "", DUET_FEEDBACK_NACK | DUET_FEEDBACK_NACK_PLI};
static const duet_codec rtx = {"rtx", 97, 90000, 1, "apt=96", 0};
static const duet_codec vp9 = {"VP9", 98, 90000, 1, "profile-id=0", 0};
static const duet_codec h264 = {"H264", 102, 90000, 1, "packetization-mode=1;profile-level-id=42e01f", 0};
static const duet_codec fec = {"ulpfec", 103, 90000, 1, "", 0};
static const duet_codec *const audio_codecs[] = {&opus, &red, &pcmu};
static const duet_codec *const video_codecs[] = {&vp8, &rtx, &vp9, &h264, &fec};
static const duet_sdp_extension mid = {4, DUET_SDP_SENDRECV, "urn:ietf:params:rtp-hdrext:sdes:mid"};
static const duet_sdp_extension level = {1, DUET_SDP_SENDONLY, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"};
static const duet_sdp_extension *const extensions[] = {&mid, &level};
static const duet_sdp_encoding low = {"q", NULL, false}, high = {"h", "max-fps=30", true};
static const duet_sdp_encoding *const encodings[] = {&low, &high};

static void answer(const duet_sdp *offer, bool own_order)
{
    static const char text[] = "sha-256 99:8E:C0:D7:96:94:B1:C7:B9:51:31:CD:E8:23:DD:F2:13:E3:B3:11:94:D2:16:54:B6:F1:"
                               "57:78:8A:E5:39:4C";
    duet_fingerprint fingerprint;
    const duet_fingerprint *fingerprints[] = {&fingerprint};
    duet_sdp_transport transport = DUET_SDP_TRANSPORT_INIT;
    duet_sdp_section audio = DUET_SDP_SECTION_INIT, video, channels = DUET_SDP_SECTION_INIT;
    const duet_sdp_section *sections[DUET_SDP_MEDIA_MAX] = {NULL};
    duet_sdp_options options = DUET_SDP_OPTIONS_INIT;
    duet_sdp *sdp, *again;
    duet_sdp_error error = {0};

    if (duet_fingerprint_parse(&fingerprint, text, strlen(text)) != DUET_OK)
        abort();
    memcpy(transport.ice.ufrag, "abcd", 5);
    memcpy(transport.ice.pwd, "xNM7mXdE1zmRBl4cgs8Rldyx", 25);
    transport.fingerprints = fingerprints;
    transport.fingerprint_count = 1;
    audio.transport = channels.transport = &transport;
    audio.extensions = extensions;
    audio.extension_count = 2;
    audio.encodings = encodings;
    audio.encoding_count = 2;
    audio.receive_simulcast = true;
    audio.own_codec_order = own_order;
    video = audio;
    audio.kind = DUET_SDP_AUDIO;
    audio.codecs = audio_codecs;
    audio.codec_count = 3;
    video.kind = DUET_SDP_VIDEO;
    video.codecs = video_codecs;
    video.codec_count = 5;
    options.sections = sections;
    options.section_count = duet_sdp_media_count(offer);
    for (size_t i = 0; i < options.section_count; i++) {
        duet_sdp_media_kind kind = duet_sdp_media_at(offer, i)->kind;
        sections[i] = kind == DUET_SDP_AUDIO         ? &audio
                      : kind == DUET_SDP_VIDEO       ? &video
                      : kind == DUET_SDP_APPLICATION ? &channels
                                                     : NULL;
    }
    int err = duet_sdp_create_answer(&sdp, NULL, offer, &options, &error);
    if (err == DUET_ERR_LIMIT)
        return;
    if (err != DUET_OK || duet_sdp_check_answer(offer, sdp, &error) != DUET_OK) {
        fprintf(stderr, "%s: line %zu: %s\n", duet_strerror(err), error.line, error.reason);
        abort();
    }
    char *written;
    if (duet_sdp_write(sdp, &written) != DUET_OK ||
        duet_sdp_parse(&again, NULL, written, strlen(written), &error) != DUET_OK ||
        duet_sdp_check_answer(offer, again, &error) != DUET_OK)
        abort();
    duet_free(NULL, written);
    duet_sdp_destroy(again);
    duet_sdp_destroy(sdp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_sdp *offer;

    if (duet_sdp_parse(&offer, NULL, (const char *)data, size, NULL) != DUET_OK)
        return 0;
    if (duet_sdp_check_offer(offer, NULL) == DUET_OK) {
        answer(offer, false);
        answer(offer, true);
    }
    duet_sdp_destroy(offer);
    return 0;
}
