/* Media files in memory: random samples of each format, written and read again in pieces. */
#ifndef DUET_TESTS_MEDIA_FILES_H
#define DUET_TESTS_MEDIA_FILES_H

#include "duet/media_file.h"
#include "test.h"

typedef struct files_sample {
    unsigned track;
    uint8_t *data;
    size_t len;
    duet_time time, duration;
    bool is_keyframe;
} files_sample;

/* ---- an output in memory ----------------------------------------------------------------------------------------- */

typedef struct files_output {
    uint8_t *data;
    size_t len, capacity;
    unsigned writes;
    unsigned fail_at; /* the write, counted from 1, that fails; 0: none */
} files_output;

static inline int files_output_write(void *user, const uint8_t *data, size_t len)
{
    files_output *o = user;

    if (++o->writes == o->fail_at)
        return DUET_ERR_IO;
    if (o->len + len > o->capacity) {
        o->capacity = 2 * (o->len + len);
        o->data = realloc(o->data, o->capacity);
        assert_non_null(o->data);
    }
    memcpy(o->data + o->len, data, len);
    o->len += len;
    return DUET_OK;
}

static inline int files_output_patch(void *user, uint64_t offset, const uint8_t *data, size_t len)
{
    files_output *o = user;

    assert_true(offset + len <= o->len);
    memcpy(o->data + offset, data, len);
    return DUET_OK;
}

/* ---- random samples ---------------------------------------------------------------------------------------------- */

/* Bytes that a byte stream may hold anywhere: none of them is 0. */
static inline void files_fill(uint8_t *data, size_t len, uint64_t *random)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(1 + test_random_below(random, 255));
}

/* The beginning of a frame that tells its codec's readers what they must know. */
static inline size_t files_head(const char *codec, bool key, uint8_t *out)
{
    static const struct {
        const char *codec;
        uint8_t key[16], delta[16];
        size_t key_len, delta_len;
    } heads[] = {
        {"VP8", {0x10, 2, 0, 0x9D, 1, 0x2A, 0x80, 2, 0xE0, 1}, {0x11, 2, 0}, 10, 3},
        {"VP9", {0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xF0, 0x1D, 0xF0}, {0x86, 0}, 9, 2},
        {"AV1", {0x0A, 1, 1, 0x30}, {0x32, 1, 1, 0x30}, 4, 4},
        {"H264", {0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 1, 0, 0, 1, 0x65, 0x80}, {0, 0, 0, 1, 0x41, 0x80}, 16, 6},
        {"H265", {0, 0, 0, 1, 0x40, 1, 9, 0, 0, 1, 0x26, 1, 0x80}, {0, 0, 0, 1, 2, 1, 0x80}, 13, 7},
        {"opus", {0x78}, {0x78}, 1, 1},
    };

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        if (strcmp(heads[i].codec, codec) != 0)
            continue;
        size_t len = key ? heads[i].key_len : heads[i].delta_len;
        memcpy(out, key ? heads[i].key : heads[i].delta, len);
        return len;
    }
    return 0;
}

static inline size_t files_random_len(duet_file_format format, const duet_file_track *track, uint64_t *random)
{
    if (format == DUET_FILE_WAV)
        return track->sample_rate / 50 * 2 * track->channels;
    if (format == DUET_FILE_Y4M)
        return track->width * track->height + 2u * ((track->width + 1u) / 2) * ((track->height + 1u) / 2);
    return 20 + test_random_below(random, track->is_video ? 5000 : 600);
}

static inline files_sample *files_random(duet_file_format format, const duet_file_track *tracks, unsigned track_count,
                                         unsigned count, uint64_t *random)
{
    files_sample *samples = calloc(count, sizeof(*samples));
    duet_time times[DUET_FILE_TRACKS_MAX] = {0};

    assert_non_null(samples);
    for (unsigned i = 0; i < count; i++) {
        files_sample *s = &samples[i];
        for (unsigned n = 1; n < track_count; n++)
            s->track = times[n] < times[s->track] ? n : s->track;
        const duet_file_track *track = &tracks[s->track];
        bool is_raw = format == DUET_FILE_WAV || format == DUET_FILE_Y4M;
        s->len = files_random_len(format, track, random);
        s->data = malloc(s->len);
        s->time = times[s->track];
        s->duration = track->is_video ? 40000 : 20000;
        s->is_keyframe = is_raw || !track->is_video || i < track_count || test_random_below(random, 50) == 0;
        times[s->track] += s->duration;
        files_fill(s->data, s->len, random);
        (void)files_head(track->codec, s->is_keyframe, s->data);
    }
    return samples;
}

static inline void files_samples_free(files_sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(samples[i].data);
    free(samples);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static inline int files_try_write(files_output *out, const duet_env *env, duet_file_format format,
                                  const duet_file_track *tracks, unsigned track_count, const files_sample *samples,
                                  unsigned count, bool can_seek)
{
    const duet_file_track *pointers[DUET_FILE_TRACKS_MAX];
    duet_file_writer_config config;
    duet_file_writer *writer;

    for (unsigned i = 0; i < track_count; i++)
        pointers[i] = &tracks[i];
    duet_file_writer_config_init(&config);
    config.env = env;
    config.format = format;
    config.tracks = pointers;
    config.track_count = track_count;
    config.write = files_output_write;
    config.patch = can_seek ? files_output_patch : NULL;
    config.user = out;
    int err = duet_file_writer_create(&writer, &config);
    for (unsigned i = 0; err == DUET_OK && i < count; i++) {
        const files_sample *s = &samples[i];
        duet_file_sample sample = {s->track, s->data, s->len, s->time, s->duration, s->is_keyframe};
        err = duet_file_writer_sample(writer, &sample);
    }
    if (err == DUET_OK)
        err = duet_file_writer_finish(writer);
    duet_file_writer_destroy(writer);
    return err;
}

static inline void files_write(files_output *out, const duet_env *env, duet_file_format format,
                               const duet_file_track *tracks, unsigned track_count, const files_sample *samples,
                               unsigned count, bool can_seek)
{
    memset(out, 0, sizeof(*out));
    assert_int_equal(files_try_write(out, env, format, tracks, track_count, samples, count, can_seek), DUET_OK);
}

/* With DUET_FILES_DIR in the environment the file is kept there, for other programs to read. */
static inline void files_keep(const files_output *out, const char *name)
{
    const char *folder = getenv("DUET_FILES_DIR");
    char path[512];

    if (!folder)
        return;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(out->data, 1, out->len, f), out->len);
    fclose(f);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

typedef struct files_trip {
    int err;
    char error[256];
    uint64_t skipped;
    duet_file_format format;
    unsigned track_count;
    duet_file_track tracks[DUET_FILE_TRACKS_MAX];
    files_sample *samples;
    size_t count;
} files_trip;

static inline void files_take(files_trip *t, const duet_file_sample *sample)
{
    if (t->count % 64 == 0)
        t->samples = realloc(t->samples, (t->count + 64) * sizeof(*t->samples));
    assert_non_null(t->samples);
    files_sample *s = &t->samples[t->count++];
    *s = (files_sample){sample->track, malloc(sample->len + 1), sample->len,
                        sample->time,  sample->duration,        sample->is_keyframe};
    assert_non_null(s->data);
    memcpy(s->data, sample->data, sample->len);
}

/* Takes all samples that wait. @return DUET_OK or an error */
static inline int files_drain(files_trip *t, duet_file_reader *reader)
{
    duet_file_sample sample;
    int result;

    while ((result = duet_file_reader_next(reader, &sample)) == 1)
        files_take(t, &sample);
    return result;
}

/* Reads in pieces of random length, of one byte with `random` NULL. */
static inline void files_read(files_trip *t, const duet_env *env, duet_file_format format, const uint8_t *data,
                              size_t len, uint64_t *random)
{
    duet_file_reader *reader;
    size_t at = 0;

    memset(t, 0, sizeof(*t));
    t->err = duet_file_reader_create(&reader, env, format);
    if (t->err != DUET_OK)
        return;
    while (t->err == DUET_OK && at < len) {
        size_t n = random ? 1 + test_random_below(random, test_random_below(random, 4) ? 100 : 100000) : 1;
        n = n < len - at ? n : len - at;
        int err = duet_file_reader_input(reader, data + at, n);
        if (err == DUET_OK)
            at += n;
        if (err == DUET_ERR_NOMEM)
            t->err = err;
        else if (err == DUET_ERR_AGAIN || !random || test_random_below(random, 2))
            t->err = files_drain(t, reader);
    }
    duet_file_reader_end(reader);
    if (t->err == DUET_OK)
        t->err = files_drain(t, reader);
    t->format = duet_file_reader_format(reader);
    t->skipped = duet_file_reader_skipped(reader);
    snprintf(t->error, sizeof(t->error), "%s", duet_file_reader_error(reader));
    while (duet_file_reader_track(reader, t->track_count)) {
        t->tracks[t->track_count] = *duet_file_reader_track(reader, t->track_count);
        t->track_count++;
    }
    duet_file_reader_destroy(reader);
}

static inline void files_trip_free(files_trip *t)
{
    files_samples_free(t->samples, t->count);
}

#endif
