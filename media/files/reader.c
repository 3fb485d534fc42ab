/* Reading of media files: what all formats share. Bytes are gathered until the format finds a sample in them. */
#include "media/files/reader.h"
#include <stdio.h>
#include <string.h>

#define DETECT_LEN 64     /* the first bytes, by which a format is detected */
#define EAGER_MAX  65536u /* so many bytes are taken before anybody asks for a sample */

static const duet_file_reader_ops *ops_of(duet_file_format format)
{
    switch (format) {
    case DUET_FILE_OGG:
        return &duet_ogg_reader;
    case DUET_FILE_IVF:
        return &duet_ivf_reader;
    case DUET_FILE_WEBM:
        return &duet_webm_reader;
    case DUET_FILE_WAV:
        return &duet_wav_reader;
    case DUET_FILE_Y4M:
        return &duet_y4m_reader;
    case DUET_FILE_H264:
        return &duet_h264_reader;
    case DUET_FILE_H265:
        return &duet_h265_reader;
    default:
        return NULL;
    }
}

int duet_file_reader_create(duet_file_reader **out, const duet_env *env, duet_file_format format)
{
    duet_file_reader *r = duet_calloc(env, sizeof(*r));

    *out = NULL;
    if (!r)
        return DUET_ERR_NOMEM;
    r->env = duet_env_resolve(env);
    r->format = format;
    duet_buffer_init(&r->input, &r->env);
    *out = r;
    return DUET_OK;
}

void duet_file_reader_destroy(duet_file_reader *r)
{
    if (!r)
        return;
    if (r->state && r->ops->destroy)
        r->ops->destroy(r, r->state);
    duet_env env = r->env;
    duet_free(&env, r->state);
    duet_buffer_free(&r->input);
    duet_free(&env, r);
}

int duet_file_reader_input(duet_file_reader *r, const uint8_t *data, size_t len)
{
    if (r->err || r->has_ended || len == 0)
        return r->has_ended && len ? DUET_ERR_STATE : DUET_OK;
    if (!r->is_drained && duet_file_held(r) >= EAGER_MAX)
        return DUET_ERR_AGAIN;
    if (r->start > 0) {
        r->input.len -= r->start;
        memmove(r->input.data, r->input.data + r->start, r->input.len);
        r->start = 0;
    }
    uint64_t skipped = r->skip < len ? r->skip : len;
    duet_buffer_append(&r->input, data + skipped, len - (size_t)skipped);
    if (r->input.failed) {
        r->input.failed = false; /* what it holds is as before */
        return DUET_ERR_NOMEM;
    }
    r->skip -= skipped;
    r->offset += skipped;
    r->is_drained = false;
    return DUET_OK;
}

void duet_file_reader_end(duet_file_reader *r)
{
    r->has_ended = true;
}

/* @return 1 when the format is known and its state is there; 0: more bytes are needed */
static int begin(duet_file_reader *r)
{
    duet_reader head = duet_file_peek(r);

    if (r->state)
        return 1;
    if (r->format == DUET_FILE_UNKNOWN) {
        if (head.len < DETECT_LEN && !r->has_ended)
            return 0;
        r->format = duet_file_detect(head.data, head.len < DETECT_LEN ? head.len : DETECT_LEN);
    }
    r->ops = ops_of(r->format);
    if (!r->ops)
        return duet_file_fail(r, DUET_ERR_UNSUPPORTED, 0,
                              "this is none of Ogg, IVF, WebM, WAV, YUV4MPEG2, H.264 and H.265");
    r->state = duet_calloc(&r->env, r->ops->state_size);
    return r->state ? 1 : DUET_ERR_NOMEM;
}

int duet_file_reader_next(duet_file_reader *r, duet_file_sample *out)
{
    memset(out, 0, sizeof(*out));
    if (r->err)
        return r->err;
    int result = begin(r);
    if (result == 1)
        result = r->ops->next(r, r->state, out);
    if (result == 0) {
        r->is_drained = true;
        if (r->has_ended && (duet_file_held(r) > 0 || r->skip > 0))
            return duet_file_fail(r, DUET_ERR_MALFORMED, duet_file_held(r), "the file ends too early");
    }
    return result;
}

const duet_file_track *duet_file_reader_track(const duet_file_reader *r, unsigned index)
{
    return index < r->track_count ? &r->tracks[index] : NULL;
}

duet_file_format duet_file_reader_format(const duet_file_reader *r)
{
    return r->format;
}

uint64_t duet_file_reader_skipped(const duet_file_reader *r)
{
    return r->skipped;
}

const char *duet_file_reader_error(const duet_file_reader *r)
{
    return r->error;
}

/* ---- what formats use -------------------------------------------------------------------------------------------- */

size_t duet_file_held(const duet_file_reader *r)
{
    return r->input.len - r->start;
}

duet_reader duet_file_peek(const duet_file_reader *r)
{
    static const uint8_t nothing[1];

    if (duet_file_held(r) == 0)
        return duet_reader_init(nothing, 0);
    return duet_reader_init(r->input.data + r->start, duet_file_held(r));
}

void duet_file_consume(duet_file_reader *r, uint64_t len)
{
    size_t held = duet_file_held(r);
    size_t here = len < held ? (size_t)len : held;

    r->start += here;
    r->offset += here;
    r->skip += len - here;
}

bool duet_file_can_hold(const duet_file_reader *r, uint64_t len)
{
    return len <= UINT64_MAX - r->offset;
}

duet_file_track *duet_file_add_track(duet_file_reader *r, const char *codec, bool is_video)
{
    if (r->track_count == DUET_FILE_TRACKS_MAX)
        return NULL;
    duet_file_track *track = &r->tracks[r->track_count++];
    memset(track, 0, sizeof(*track));
    snprintf(track->codec, sizeof(track->codec), "%s", codec);
    track->is_video = is_video;
    return track;
}

int duet_file_fail(duet_file_reader *r, int err, size_t at, const char *format, ...)
{
    va_list args;

    int used = snprintf(r->error, sizeof(r->error), "offset %llu: ", (unsigned long long)(r->offset + at));
    va_start(args, format);
    vsnprintf(r->error + used, sizeof(r->error) - (size_t)used, format, args);
    va_end(args);
    r->err = err;
    return err;
}

bool duet_file_time(uint64_t ticks, uint32_t scale, uint32_t rate, duet_time *out)
{
    uint64_t whole = ticks / rate, rest = ticks % rate * scale; /* both factors of the latter are below 2^32 */

    if (scale && whole > UINT64_MAX / scale)
        return false;
    whole *= scale;
    uint64_t seconds = whole + rest / rate;
    if (seconds < whole || seconds > UINT64_MAX / 1000000u - 1)
        return false;
    *out = seconds * 1000000u + rest % rate * 1000000u / rate;
    return true;
}

uint64_t duet_read_le(duet_reader *r, unsigned size)
{
    duet_bytes bytes = duet_read_bytes(r, size);
    uint64_t v = 0;

    for (size_t i = bytes.len; i-- > 0;)
        v = v << 8 | bytes.data[i];
    return v;
}
