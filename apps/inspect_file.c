/* Media files: their tracks, and every sample with its time, size and whether it is a key frame.
 * The readers of duet/media_file.h. */
#include "duet/media_file.h"
#include "inspect_layout.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES_MAX 65536 /* that are listed; the others are counted */

static json_t *seconds(duet_time time)
{
    return json_real((double)time / 1e6);
}

static json_t *track_json(const duet_file_track *track)
{
    json_t *out = json_object();

    inspect_set(out, "codec", json_string(track->codec));
    inspect_set(out, "kind", json_string(track->is_video ? "video" : "audio"));
    if (track->is_video) {
        inspect_set(out, "width", json_integer(track->width));
        inspect_set(out, "height", json_integer(track->height));
        if (track->rate_den > 0)
            inspect_set(out, "framesPerSecond", json_real((double)track->rate_num / track->rate_den));
        return out;
    }
    inspect_set(out, "sampleRate", json_integer(track->sample_rate));
    inspect_set(out, "channels", json_integer(track->channels));
    if (track->pre_skip > 0)
        inspect_set(out, "preSkip", json_integer(track->pre_skip));
    return out;
}

static json_t *sample_json(const duet_file_sample *sample)
{
    json_t *out = json_object();

    inspect_set(out, "track", json_integer(sample->track));
    inspect_set(out, "time", seconds(sample->time));
    if (sample->duration > 0)
        inspect_set(out, "duration", seconds(sample->duration));
    inspect_set(out, "size", json_integer((json_int_t)sample->len));
    inspect_set(out, "keyFrame", json_boolean(sample->is_keyframe));
    return out;
}

/* What the reader says has the offset in front: "offset 1234: …". */
static int explain(const duet_file_reader *reader, size_t len, int err, inspect_error *error)
{
    const char *text = duet_file_reader_error(reader);
    const char *reason = strstr(text, ": ");
    unsigned long long offset = 0;

    if (err == DUET_ERR_NOMEM || !reason || sscanf(text, "offset %llu", &offset) != 1)
        return err == DUET_ERR_NOMEM ? err : DUET_ERR_MALFORMED;
    memset(error, 0, sizeof(*error));
    error->offset = offset < len ? (size_t)offset : len;
    snprintf(error->reason, sizeof(error->reason), "%s", reason + 2);
    return DUET_ERR_MALFORMED;
}

/* @param out  gets the members that sum them up */
static int read_samples(duet_file_reader *reader, json_t *samples, json_t *out)
{
    duet_file_sample sample;
    duet_time end = 0;
    uint64_t count = 0;
    int result;

    while ((result = duet_file_reader_next(reader, &sample)) == 1) {
        if (count++ < SAMPLES_MAX && json_array_append_new(samples, sample_json(&sample)) != 0)
            return DUET_ERR_NOMEM;
        end = sample.time + sample.duration > end ? sample.time + sample.duration : end;
    }
    inspect_set(out, "duration", seconds(end));
    inspect_set(out, "sampleCount", json_integer((json_int_t)count));
    return result;
}

/* What was read becomes the model. */
static void describe(const duet_file_reader *reader, json_t *sums, json_t *samples, json_t *out)
{
    json_t *tracks = json_array();

    inspect_set(out, "format", json_string(duet_file_format_name(duet_file_reader_format(reader))));
    for (unsigned i = 0; duet_file_reader_track(reader, i); i++)
        json_array_append_new(tracks, track_json(duet_file_reader_track(reader, i)));
    inspect_set(out, "tracks", tracks);
    json_object_update(out, sums);
    json_object_set(out, "samples", samples);
}

/* A file that is cut off, as one whose recorder was killed, or damaged, has a model nevertheless: of what comes before. */
int inspect_file(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    duet_file_reader *reader;
    json_t *samples = json_array(), *sums = json_object();

    int err = duet_file_reader_create(&reader, NULL, DUET_FILE_UNKNOWN);
    if (err == DUET_OK)
        err = duet_file_reader_input(reader, data, len);
    if (err == DUET_OK) {
        duet_file_reader_end(reader);
        err = read_samples(reader, samples, sums);
        if (err < 0)
            err = explain(reader, len, err, error);
        if (err == DUET_OK || (err == DUET_ERR_MALFORMED && json_array_size(samples) > 0))
            describe(reader, sums, samples, out);
    }
    json_decref(samples);
    json_decref(sums);
    duet_file_reader_destroy(reader);
    return err;
}
