/* Writing of formats without time: WAV (RIFF, samples of 16 bits), YUV4MPEG2, and H.264 and H.265 in Annex B form. */
#include "media/annexb.h"
#include "media/files/writer.h"
#include <stdio.h>
#include <string.h>

/* ---- WAV --------------------------------------------------------------------------------------------------------- */

#define WAV_HEADER_LEN   44
#define WAV_RIFF_SIZE_AT 4
#define WAV_DATA_SIZE_AT 40
#define WAV_CHANNELS_MAX 8
#define SIZE_UNKNOWN     0xFFFFFFFFu

static bool wav_holds(duet_file_format format, const duet_file_track *track)
{
    (void)format;
    return strcmp(track->codec, "L16") == 0;
}

static int wav_begin(duet_file_writer *w, void *state)
{
    const duet_file_track *track = &w->tracks[0];
    uint8_t header[WAV_HEADER_LEN];
    duet_writer out = duet_writer_init(header, sizeof(header));
    uint32_t frame = 2u * track->channels;

    (void)state;
    if (track->channels == 0 || track->channels > WAV_CHANNELS_MAX || track->sample_rate == 0)
        return DUET_ERR_INVALID;
    duet_write_bytes(&out, "RIFF", 4);
    duet_write_le(&out, SIZE_UNKNOWN, 4);
    duet_write_bytes(&out, "WAVEfmt ", 8);
    duet_write_le(&out, 16, 4); /* bytes of the format */
    duet_write_le(&out, 1, 2);  /* PCM */
    duet_write_le(&out, track->channels, 2);
    duet_write_le(&out, track->sample_rate, 4);
    duet_write_le(&out, (uint64_t)track->sample_rate * frame, 4);
    duet_write_le(&out, frame, 2);
    duet_write_le(&out, 16, 2);
    duet_write_bytes(&out, "data", 4);
    duet_write_le(&out, SIZE_UNKNOWN, 4);
    return duet_file_put_written(w, &out);
}

static int wav_sample(duet_file_writer *w, void *state, const duet_file_sample *sample)
{
    uint8_t block[4096];

    (void)state;
    if (sample->len % (2u * w->tracks[0].channels) != 0)
        return DUET_ERR_INVALID;
    duet_reader in = duet_reader_init(sample->data, sample->len);
    while (duet_reader_left(&in) > 0) {
        duet_writer out = duet_writer_init(block, sizeof(block));
        while (duet_reader_left(&in) > 0 && out.len < sizeof(block)) {
            uint16_t value;
            memcpy(&value, duet_read_bytes(&in, sizeof(value)).data, sizeof(value));
            duet_write_le(&out, value, 2);
        }
        int err = duet_file_put_written(w, &out);
        if (err != DUET_OK)
            return err;
    }
    return DUET_OK;
}

static int patch_size(duet_file_writer *w, uint64_t at, uint64_t size)
{
    uint8_t bytes[4];
    duet_writer out = duet_writer_init(bytes, sizeof(bytes));

    duet_write_le(&out, size < SIZE_UNKNOWN ? size : SIZE_UNKNOWN, 4);
    return duet_file_patch(w, at, &out);
}

static int wav_finish(duet_file_writer *w, void *state)
{
    (void)state;
    int err = patch_size(w, WAV_RIFF_SIZE_AT, w->offset - 8);
    return err == DUET_OK ? patch_size(w, WAV_DATA_SIZE_AT, w->offset - WAV_HEADER_LEN) : err;
}

const duet_file_writer_ops duet_wav_writer = {
    .tracks_max = 1, .holds = wav_holds, .begin = wav_begin, .sample = wav_sample, .finish = wav_finish};

/* ---- YUV4MPEG2 --------------------------------------------------------------------------------------------------- */

#define Y4M_DEFAULT_RATE 25

static bool y4m_holds(duet_file_format format, const duet_file_track *track)
{
    (void)format;
    return strcmp(track->codec, "I420") == 0;
}

static int y4m_begin(duet_file_writer *w, void *state)
{
    const duet_file_track *track = &w->tracks[0];
    bool has_rate = track->rate_num && track->rate_den;
    char line[128];

    (void)state;
    if (track->width == 0 || track->height == 0)
        return DUET_ERR_INVALID;
    int len = snprintf(line, sizeof(line), "YUV4MPEG2 W%u H%u F%u:%u Ip A1:1 C420jpeg\n", track->width, track->height,
                       has_rate ? track->rate_num : Y4M_DEFAULT_RATE, has_rate ? track->rate_den : 1u);
    return duet_file_put(w, line, (size_t)len);
}

static int y4m_sample(duet_file_writer *w, void *state, const duet_file_sample *sample)
{
    size_t width = w->tracks[0].width, height = w->tracks[0].height;

    (void)state;
    if (sample->len != width * height + 2 * ((width + 1) / 2 * ((height + 1) / 2)))
        return DUET_ERR_INVALID;
    int err = duet_file_put(w, "FRAME\n", 6);
    return err == DUET_OK ? duet_file_put(w, sample->data, sample->len) : err;
}

const duet_file_writer_ops duet_y4m_writer = {
    .tracks_max = 1, .holds = y4m_holds, .begin = y4m_begin, .sample = y4m_sample};

/* ---- Annex B ----------------------------------------------------------------------------------------------------- */

static bool annexb_holds(duet_file_format format, const duet_file_track *track)
{
    return duet_payload_format_of(track->codec) == (format == DUET_FILE_H265 ? DUET_PAYLOAD_H265 : DUET_PAYLOAD_H264);
}

static int annexb_begin(duet_file_writer *w, void *state)
{
    (void)w;
    (void)state;
    return DUET_OK;
}

static int annexb_sample(duet_file_writer *w, void *state, const duet_file_sample *sample)
{
    (void)state;
    if (!duet_annexb_is(duet_reader_init(sample->data, sample->len)))
        return DUET_ERR_INVALID;
    return duet_file_put(w, sample->data, sample->len);
}

const duet_file_writer_ops duet_annexb_writer = {
    .tracks_max = 1, .holds = annexb_holds, .begin = annexb_begin, .sample = annexb_sample};
