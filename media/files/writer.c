/* Writing of media files: what all formats share. */
#include "media/files/writer.h"
#include "media/files/frame.h"
#include <string.h>

#define TIME_MAX (UINT64_MAX / 4)

static const duet_file_writer_ops *ops_of(duet_file_format format)
{
    switch (format) {
    case DUET_FILE_OGG:
        return &duet_ogg_writer;
    case DUET_FILE_IVF:
        return &duet_ivf_writer;
    case DUET_FILE_WEBM:
        return &duet_webm_writer;
    case DUET_FILE_WAV:
        return &duet_wav_writer;
    case DUET_FILE_Y4M:
        return &duet_y4m_writer;
    case DUET_FILE_H264:
    case DUET_FILE_H265:
        return &duet_annexb_writer;
    default:
        return NULL;
    }
}

void duet_file_writer_config_init(duet_file_writer_config *config)
{
    memset(config, 0, sizeof(*config));
    config->size = sizeof(*config);
}

static int check(const duet_file_writer_config *config, const duet_file_writer_ops *ops)
{
    if (!ops || !config->write || !config->tracks || config->track_count == 0 ||
        config->track_count > DUET_FILE_TRACKS_MAX)
        return DUET_ERR_INVALID;
    for (unsigned i = 0; i < config->track_count; i++) {
        if (!memchr(config->tracks[i]->codec, 0, sizeof(config->tracks[i]->codec)))
            return DUET_ERR_INVALID;
        if (!ops->holds(config->format, config->tracks[i]))
            return DUET_ERR_UNSUPPORTED;
    }
    return config->track_count <= ops->tracks_max ? DUET_OK : DUET_ERR_UNSUPPORTED;
}

int duet_file_writer_create(duet_file_writer **out, const duet_file_writer_config *config)
{
    const duet_file_writer_ops *ops = ops_of(config->format);

    *out = NULL;
    int err = check(config, ops);
    if (err != DUET_OK)
        return err;
    duet_file_writer *w = duet_calloc(config->env, sizeof(*w));
    if (!w)
        return DUET_ERR_NOMEM;
    w->env = duet_env_resolve(config->env);
    w->ops = ops;
    w->format = config->format;
    w->write = config->write;
    w->patch = config->patch;
    w->user = config->user;
    w->track_count = config->track_count;
    for (unsigned i = 0; i < w->track_count; i++) {
        w->tracks[i] = *config->tracks[i];
        w->codecs[i] = duet_payload_format_of(w->tracks[i].codec);
    }
    w->state = duet_calloc(&w->env, ops->state_size);
    err = w->state ? ops->begin(w, w->state) : DUET_ERR_NOMEM;
    if (err != DUET_OK) {
        duet_file_writer_destroy(w);
        return err;
    }
    *out = w;
    return DUET_OK;
}

void duet_file_writer_destroy(duet_file_writer *w)
{
    if (!w)
        return;
    if (w->state && w->ops->destroy)
        w->ops->destroy(w->state);
    duet_env env = w->env;
    duet_free(&env, w->state);
    duet_free(&env, w);
}

int duet_file_writer_sample(duet_file_writer *w, const duet_file_sample *sample)
{
    if (w->is_finished)
        return DUET_ERR_STATE;
    if (sample->track >= w->track_count || sample->len == 0 || sample->len > DUET_FILE_SAMPLE_MAX ||
        sample->time > TIME_MAX || sample->duration > TIME_MAX)
        return DUET_ERR_INVALID;
    return w->err ? w->err : w->ops->sample(w, w->state, sample);
}

int duet_file_writer_finish(duet_file_writer *w)
{
    if (w->is_finished)
        return DUET_ERR_STATE;
    w->is_finished = true;
    if (w->err)
        return w->err;
    return w->ops->finish ? w->ops->finish(w, w->state) : DUET_OK;
}

/* ---- what formats use -------------------------------------------------------------------------------------------- */

int duet_file_put(duet_file_writer *w, const void *data, size_t len)
{
    if (w->err == DUET_OK && len > 0) {
        w->err = w->write(w->user, data, len);
        w->offset += len;
    }
    return w->err;
}

int duet_file_put_written(duet_file_writer *w, const duet_writer *bytes)
{
    return bytes->failed ? DUET_ERR_BUFFER : duet_file_put(w, bytes->data, bytes->len);
}

int duet_file_patch(duet_file_writer *w, uint64_t offset, const duet_writer *bytes)
{
    if (w->err == DUET_OK && w->patch)
        w->err = w->patch(w->user, offset, bytes->data, bytes->len);
    return w->err;
}

bool duet_file_learn_size(duet_file_writer *w, const duet_file_sample *sample)
{
    duet_file_track *track = &w->tracks[sample->track];

    if (!track->is_video || (track->width && track->height))
        return false;
    duet_file_frame frame = duet_file_frame_of(w->codecs[sample->track], duet_reader_init(sample->data, sample->len));
    track->width = frame.width;
    track->height = frame.height;
    return frame.width && frame.height;
}

void duet_write_le(duet_writer *w, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        duet_write_u8(w, (uint8_t)(value >> 8 * i));
}
