/* A media file of `duet call`: read piece by piece, and given sample by sample. */
#include "call.h"
#include "resample.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 65536

struct call_file {
    const char *name;
    FILE *file;
    bool wants_video;
    duet_file_reader *reader;
    unsigned track;
    duet_file_track description;
    duet_file_sample first; /* was looked at when the file was opened */
    duet_time origin; /* of the file's first sample, of whatever track: a recording of a broadcast may begin late */
    bool has_first, has_ended;
    bool is_cut;          /* the file ends before its last sample does: said once */
    resampler *resampler; /* NULL: the sound has a rate that codecs take */
    bool is_flushed;      /* the resampler has all of the file */
    uint64_t blocks;      /* that came out of it */
    int16_t block[RESAMPLE_BLOCK_MAX];
};

static const char *const known =
    "Ogg with Opus, WebM, IVF, WAV, YUV4MPEG2, and H.264 and H.265 in Annex B form are read";

static const char *const sent = "VP8, VP9, AV1 and Opus can, and H.264 and H.265 from files in Annex B form";

static bool is_raw(const duet_file_track *track)
{
    return strcmp(track->codec, "L16") == 0 || strcmp(track->codec, "I420") == 0;
}

static int fail(const call_file *f, int err)
{
    const char *why = duet_file_reader_error(f->reader);

    if (err == DUET_ERR_UNSUPPORTED && duet_file_reader_format(f->reader) == DUET_FILE_UNKNOWN)
        app_error("%s: not a media file that is known: %s", f->name, known);
    else
        app_error("%s: %s", f->name, why[0] ? why : duet_strerror(err));
    return -1;
}

static bool feed(call_file *f)
{
    uint8_t piece[PIECE];
    size_t len = fread(piece, 1, sizeof(piece), f->file);

    if (ferror(f->file)) {
        app_error("%s: %s", f->name, strerror(errno));
        return false;
    }
    if (len == 0) {
        f->has_ended = true;
        duet_file_reader_end(f->reader);
        return true;
    }
    int err = duet_file_reader_input(f->reader, piece, len);
    if (err != DUET_OK)
        app_error("%s: %s", f->name, duet_strerror(err));
    return err == DUET_OK;
}

/* As of a recorder that was killed: what comes before is good. */
static int end_of_cut(call_file *f)
{
    if (!f->is_cut)
        app_error("%s: %s: what comes before is sent", f->name, duet_file_reader_error(f->reader));
    f->is_cut = true;
    return 0;
}

static int next_of_any(call_file *f, duet_file_sample *out)
{
    int got;

    while ((got = duet_file_reader_next(f->reader, out)) == 0 && !f->has_ended) {
        if (!feed(f))
            return -1;
    }
    if (got == DUET_ERR_MALFORMED && f->has_ended && duet_file_reader_track(f->reader, 0))
        return end_of_cut(f);
    return got < 0 ? fail(f, got) : got;
}

static int next_as_it_is(call_file *f, duet_file_sample *out)
{
    int got = 1;

    if (f->has_first) {
        f->has_first = false;
        *out = f->first;
        return 1;
    }
    do
        got = next_of_any(f, out);
    while (got == 1 && out->track != f->track);
    out->time -= f->origin < out->time ? f->origin : out->time;
    return got;
}

static int next_resampled(call_file *f, duet_file_sample *out)
{
    const size_t frame = f->description.channels * sizeof(int16_t);
    duet_file_sample sample;

    while (!resampler_take(f->resampler, f->block)) {
        int got = f->is_flushed ? 0 : next_as_it_is(f, &sample);
        if (got < 0 || f->is_flushed)
            return got;
        if (got == 1)
            resampler_put(f->resampler, (const int16_t *)(const void *)sample.data, sample.len / frame);
        else
            resampler_end(f->resampler);
        f->is_flushed = got == 0;
    }
    *out = (duet_file_sample){.track = f->track,
                              .data = (const uint8_t *)f->block,
                              .len = RESAMPLE_RATE_MAX / 50 * frame,
                              .time = f->blocks++ * DUET_MS(20),
                              .duration = DUET_MS(20),
                              .is_keyframe = true};
    return 1;
}

int call_file_next(call_file *f, duet_file_sample *out)
{
    return f->resampler ? next_resampled(f, out) : next_as_it_is(f, out);
}

static bool is_sent(const duet_file_track *track)
{
    return is_raw(track) || duet_payload_format_of(track->codec) != DUET_PAYLOAD_NONE;
}

/* The first of the kind, where there is one of those with a codec that can be sent. */
static const duet_file_track *choose_track(call_file *f)
{
    const duet_file_track *track, *chosen = NULL;

    for (unsigned i = 0; (track = duet_file_reader_track(f->reader, i)); i++) {
        if (track->is_video != f->wants_video || (chosen && (is_sent(chosen) || !is_sent(track))))
            continue;
        chosen = track;
        f->track = i;
    }
    return chosen;
}

/* Finds the track and its first sample. */
static bool find_track(call_file *f)
{
    int got = next_of_any(f, &f->first);

    if (got < 0)
        return false;
    f->origin = f->first.time;
    const duet_file_track *track = choose_track(f);
    if (track && !is_sent(track)) {
        app_error("%s: the codec of its %s is %s, which cannot be sent: %s", f->name,
                  f->wants_video ? "pictures" : "sound", track->codec, sent);
        return false;
    }
    if (!track) {
        app_error("%s has no %s%s", f->name, f->wants_video ? "pictures" : "sound",
                  got == 0         ? ": it is empty"
                  : f->wants_video ? ": give it to --audio"
                                   : ": give it to --video");
        return false;
    }
    f->first.time = 0;
    if (got == 1 && f->first.track != f->track)
        got = next_as_it_is(f, &f->first);
    if (got == 0)
        app_error("%s has no %s: its track is empty", f->name, f->wants_video ? "pictures" : "sound");
    if (got != 1)
        return false;
    f->has_first = true;
    f->description = *duet_file_reader_track(f->reader, f->track);
    return true;
}

/* What Opus encodes: RFC 7587 section 4.1. Other sound goes out with 48000 Hz. */
static bool is_rate_of_codecs(uint32_t rate)
{
    return rate == 8000 || rate == 12000 || rate == 16000 || rate == 24000 || rate == 48000;
}

static bool start_resampler(call_file *f)
{
    duet_file_track *track = &f->description;

    if (f->wants_video || !call_file_is_raw(f) || is_rate_of_codecs(track->sample_rate) ||
        track->channels > RESAMPLE_CHANNELS_MAX)
        return true;
    f->resampler = resampler_create(track->channels, track->sample_rate, track->channels, RESAMPLE_RATE_MAX);
    f->is_flushed = false;
    f->blocks = 0;
    track->sample_rate = RESAMPLE_RATE_MAX;
    if (!f->resampler)
        app_error("%s: out of memory", f->name);
    return f->resampler;
}

static bool start_reader(call_file *f)
{
    duet_file_format named = duet_file_format_of_name(f->name);
    /* The two look alike, and only the name tells them apart. */
    duet_file_format format = named == DUET_FILE_H265 || named == DUET_FILE_H264 ? named : DUET_FILE_UNKNOWN;

    duet_file_reader_destroy(f->reader);
    f->reader = NULL;
    resampler_destroy(f->resampler);
    f->resampler = NULL;
    f->has_ended = f->has_first = false;
    if (duet_file_reader_create(&f->reader, NULL, format) == DUET_OK)
        return find_track(f) && start_resampler(f);
    app_error("%s: out of memory", f->name);
    return false;
}

bool call_file_rewind(call_file *f)
{
    if (fseek(f->file, 0, SEEK_SET) == 0)
        return start_reader(f);
    app_error("%s: cannot be read again: %s", f->name, strerror(errno));
    return false;
}

call_file *call_file_open(const char *name, bool wants_video)
{
    call_file *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->name = name;
    f->wants_video = wants_video;
    f->file = fopen(name, "rb");
    if (!f->file)
        app_error("%s: %s", name, strerror(errno));
    if (f->file && start_reader(f))
        return f;
    call_file_close(f);
    return NULL;
}

void call_file_close(call_file *f)
{
    if (!f)
        return;
    if (f->file)
        fclose(f->file);
    duet_file_reader_destroy(f->reader);
    resampler_destroy(f->resampler);
    free(f);
}

const char *call_file_name(const call_file *f)
{
    return f->name;
}

const duet_file_track *call_file_track(const call_file *f)
{
    return &f->description;
}

bool call_file_is_raw(const call_file *f)
{
    return is_raw(&f->description);
}
