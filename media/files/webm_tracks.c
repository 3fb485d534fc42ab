/* Tracks of WebM and Matroska: RFC 9559 section 5.1.4. */
#include "media/files/opus_head.h"
#include "media/files/webm_reader.h"
#include <string.h>

#define FRAME_DURATION_MAX DUET_SECONDS(60)

/* What a TrackEntry says. */
typedef struct entry {
    uint64_t type;
    duet_bytes codec_id;
    duet_reader codec_private;
    duet_file_track track;
    duet_webm_track webm;
} entry;

static void read_video(entry *e, duet_reader data)
{
    duet_ebml child;
    duet_reader value;

    while (duet_ebml_next(&data, &child, &value) == 1) {
        uint64_t v = duet_ebml_unsigned(value);
        if (child.id == MKV_PIXEL_WIDTH && v <= UINT16_MAX)
            e->track.width = (uint16_t)v;
        if (child.id == MKV_PIXEL_HEIGHT && v <= UINT16_MAX)
            e->track.height = (uint16_t)v;
    }
}

static void read_audio(entry *e, duet_reader data)
{
    duet_ebml child;
    duet_reader value;

    e->track.sample_rate = 8000; /* the defaults of RFC 9559 */
    e->track.channels = 1;
    while (duet_ebml_next(&data, &child, &value) == 1) {
        double rate = duet_ebml_float(value);
        uint64_t v = duet_ebml_unsigned(value);
        if (child.id == MKV_SAMPLING_FREQUENCY && rate >= 1 && rate <= 1e6)
            e->track.sample_rate = (uint32_t)rate;
        if (child.id == MKV_CHANNELS && v <= UINT8_MAX)
            e->track.channels = (uint8_t)v;
    }
}

static int read_entry(entry *e, duet_reader data)
{
    duet_ebml child;
    duet_reader value;
    int result;

    while ((result = duet_ebml_next(&data, &child, &value)) == 1) {
        if (child.id == MKV_TRACK_NUMBER)
            e->webm.number = duet_ebml_unsigned(value);
        else if (child.id == MKV_TRACK_TYPE)
            e->type = duet_ebml_unsigned(value);
        else if (child.id == MKV_CODEC_ID)
            e->codec_id = duet_read_bytes(&value, value.len);
        else if (child.id == MKV_CODEC_PRIVATE)
            e->codec_private = value;
        else if (child.id == MKV_DEFAULT_DURATION)
            e->webm.frame_duration = duet_ebml_unsigned(value); /* nanoseconds, until finish_entry */
        else if (child.id == MKV_CONTENT_ENCODINGS)
            e->webm.is_encoded = value.len > 0;
        else if (child.id == MKV_VIDEO)
            read_video(e, value);
        else if (child.id == MKV_AUDIO)
            read_audio(e, value);
    }
    return result;
}

/* Names as SDP has them; a codec that Duet does not know keeps Matroska's, cut to what fits. */
static void name_codec(entry *e)
{
    static const struct {
        const char *id, *name;
    } names[] = {{"V_VP8", "VP8"}, {"V_VP9", "VP9"}, {"V_AV1", "AV1"}, {"A_OPUS", "opus"}};
    char *codec = e->track.codec;

    while (e->codec_id.len > 0 && e->codec_id.data[e->codec_id.len - 1] == 0) /* padding: RFC 8794 section 7.4 */
        e->codec_id.len--;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (e->codec_id.len == strlen(names[i].id) && memcmp(e->codec_id.data, names[i].id, e->codec_id.len) == 0) {
            memcpy(codec, names[i].name, strlen(names[i].name) + 1);
            e->webm.codec = duet_payload_format_of(codec);
            return;
        }
    }
    size_t len = e->codec_id.len < sizeof(e->track.codec) ? e->codec_id.len : sizeof(e->track.codec) - 1;
    for (size_t i = 0; i < len; i++)
        codec[i] = e->codec_id.data[i] > ' ' && e->codec_id.data[i] < 0x7F ? (char)e->codec_id.data[i] : '?';
}

static void finish_entry(entry *e)
{
    uint64_t nanoseconds = e->webm.frame_duration;

    name_codec(e);
    e->track.is_video = e->type == MKV_TRACK_VIDEO;
    e->webm.frame_duration = nanoseconds / 1000 <= FRAME_DURATION_MAX ? nanoseconds / 1000 : 0;
    if (e->track.is_video && e->webm.frame_duration > 0 && nanoseconds <= UINT32_MAX) {
        e->track.rate_num = 1000000000;
        e->track.rate_den = (uint32_t)nanoseconds;
    }
    if (e->webm.codec == DUET_PAYLOAD_OPUS && e->codec_private.len > 0)
        (void)duet_opus_head_parse(&e->track, e->codec_private);
}

int duet_webm_tracks_parse(duet_file_reader *r, duet_webm_track tracks[DUET_FILE_TRACKS_MAX], duet_reader data)
{
    duet_ebml child;
    duet_reader value;
    int result;

    while ((result = duet_ebml_next(&data, &child, &value)) == 1) {
        entry e = {.type = 0};
        if (child.id != MKV_TRACK_ENTRY)
            continue;
        if (read_entry(&e, value) != DUET_OK || e.webm.number == 0)
            return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "the description of track %u", r->track_count + 1);
        if (e.type != MKV_TRACK_VIDEO && e.type != MKV_TRACK_AUDIO)
            continue;
        finish_entry(&e);
        unsigned index = r->track_count;
        duet_file_track *track = duet_file_add_track(r, e.track.codec, e.track.is_video);
        if (!track)
            break; /* frames of further tracks are passed over */
        *track = e.track;
        tracks[index] = e.webm;
    }
    return result < 0 ? duet_file_fail(r, result, 0, "the description of tracks is broken") : DUET_OK;
}
