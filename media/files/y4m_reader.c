/* YUV4MPEG2: a line of text, then frames, each after a line of its own. Planes of 8 bits in 4:2:0, not interlaced.
 *
 * YUV4MPEG2 W640 H480 F30:1 Ip A1:1 C420jpeg
 * FRAME */
#include "base/text.h"
#include "media/files/reader.h"
#include <string.h>

#define LINE_MAX_LEN 1024
#define DEFAULT_RATE 25 /* when the file does not say */

typedef struct y4m {
    bool has_header;
    size_t size;          /* bytes of a frame */
    uint64_t frames;      /* that were given */
    size_t sample_len;    /* of the frame that was given, with its line: still to be consumed */
    uint32_t rate, scale; /* frames in so many seconds */
} y4m;

/* Gives the line at hand without its end. @return 1, 0 or an error */
static int read_line(duet_file_reader *r, duet_reader *line)
{
    duet_reader head = duet_file_peek(r);
    size_t max = head.len < LINE_MAX_LEN ? head.len : LINE_MAX_LEN;
    const uint8_t *end = memchr(head.data, '\n', max);

    if (end) {
        *line = duet_reader_init(head.data, (size_t)(end - head.data));
        return 1;
    }
    if (max == LINE_MAX_LEN)
        return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "a line of more than %d bytes", LINE_MAX_LEN);
    return 0;
}

static bool parse_rate(duet_bytes value, duet_file_track *track)
{
    duet_reader r = duet_text_reader_of(value);
    uint64_t num, den;

    if (!duet_text_number(&r, 0, UINT32_MAX, &num) || !duet_text_skip(&r, ':') ||
        !duet_text_number(&r, 0, UINT32_MAX, &den) || !duet_text_at_end(&r))
        return false;
    if (num && den) { /* "F0:0": not known */
        track->rate_num = (uint32_t)num;
        track->rate_den = (uint32_t)den;
    }
    return true;
}

static bool parse_size(duet_bytes value, uint16_t *out)
{
    duet_reader r = duet_text_reader_of(value);
    uint64_t size;

    if (!duet_text_number(&r, 1, UINT16_MAX, &size) || !duet_text_at_end(&r))
        return false;
    *out = (uint16_t)size;
    return true;
}

static bool is_chroma_420(duet_bytes value)
{
    static const char *const names[] = {"420", "420jpeg", "420mpeg2",
                                        "420paldv"}; /* they differ in where chroma lies */

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (duet_text_is(value, names[i]))
            return true;
    return false;
}

static bool is_progressive(duet_bytes value)
{
    return duet_text_is(value, "p") || duet_text_is(value, "?");
}

static int parse_parameter(duet_file_reader *r, duet_reader *line, duet_file_track *track)
{
    size_t at = line->pos;
    uint8_t key = duet_read_u8(line);
    duet_bytes value = duet_text_run(line, duet_char_is_not_space);
    int len = (int)value.len;

    if ((key == 'W' && !parse_size(value, &track->width)) || (key == 'H' && !parse_size(value, &track->height)) ||
        (key == 'F' && !parse_rate(value, track)))
        return duet_file_fail(r, DUET_ERR_MALFORMED, at, "parameter %c has the value \"%.*s\"", key, len, value.data);
    if (key == 'I' && !is_progressive(value))
        return duet_file_fail(r, DUET_ERR_UNSUPPORTED, at, "interlaced pictures (I%.*s)", len, value.data);
    if (key == 'C' && !is_chroma_420(value))
        return duet_file_fail(r, DUET_ERR_UNSUPPORTED, at, "chroma %.*s: only 4:2:0 of 8 bits is read", len,
                              value.data);
    return DUET_OK; /* A, the aspect of a pixel, and X, comments, do not matter */
}

static int finish_header(duet_file_reader *r, y4m *s, const duet_file_track *track)
{
    if (track->width == 0 || track->height == 0)
        return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "the header does not tell width (W) and height (H)");
    s->size = (size_t)track->width * track->height + 2 * ((track->width + 1u) / 2 * ((track->height + 1u) / 2));
    if (s->size > DUET_FILE_SAMPLE_MAX)
        return duet_file_fail(r, DUET_ERR_LIMIT, 0, "frames of %zu bytes, at most %u are read", s->size,
                              DUET_FILE_SAMPLE_MAX);
    s->rate = track->rate_num ? track->rate_num : DEFAULT_RATE;
    s->scale = track->rate_num ? track->rate_den : 1;
    s->has_header = true;
    return 1;
}

static int read_header(duet_file_reader *r, y4m *s)
{
    duet_reader line;

    int result = read_line(r, &line);
    if (result != 1)
        return result;
    if (!duet_text_is(duet_text_run(&line, duet_char_is_not_space), "YUV4MPEG2"))
        return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "a YUV4MPEG2 file begins with that word");
    duet_file_track *track = duet_file_add_track(r, "I420", true);
    while (duet_text_skip(&line, ' ')) {
        if (duet_text_at_end(&line) || duet_peek_u8(&line, 0) == ' ')
            continue;
        int err = parse_parameter(r, &line, track);
        if (err != DUET_OK)
            return err;
    }
    if (!duet_text_at_end(&line))
        return duet_file_fail(r, DUET_ERR_MALFORMED, line.pos, "a header line with a byte 0x%02x",
                              duet_peek_u8(&line, 0));
    duet_file_consume(r, line.len + 1);
    return finish_header(r, s, track);
}

static int next(duet_file_reader *r, void *state, duet_file_sample *out)
{
    y4m *s = state;
    duet_reader line;

    int result = s->has_header ? 1 : read_header(r, s);
    if (result != 1)
        return result;
    duet_file_consume(r, s->sample_len);
    s->sample_len = 0;
    result = read_line(r, &line);
    if (result != 1)
        return result;
    if (!duet_text_is(duet_text_run(&line, duet_char_is_not_space), "FRAME"))
        return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "a frame begins with \"FRAME\"");
    duet_reader data = duet_file_peek(r);
    duet_read_skip(&data, line.len + 1);
    if (duet_reader_left(&data) < s->size)
        return 0;
    duet_time end;
    if (!duet_file_time(s->frames, s->scale, s->rate, &out->time) ||
        !duet_file_time(s->frames + 1, s->scale, s->rate, &end))
        return duet_file_fail(r, DUET_ERR_LIMIT, 0, "the frame's time is too large");
    s->frames++;
    out->data = duet_read_bytes(&data, s->size).data;
    out->len = s->size;
    out->duration = end - out->time;
    out->is_keyframe = true;
    s->sample_len = line.len + 1 + s->size;
    return 1;
}

const duet_file_reader_ops duet_y4m_reader = {.state_size = sizeof(y4m), .next = next};
