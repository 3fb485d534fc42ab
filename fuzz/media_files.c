/* Media files from anybody: the first byte chooses the format and how the file is cut into pieces. What is read has bounds,
 * and the pieces do not matter. */
#include "duet/media_file.h"
#include "fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct outcome {
    uint64_t samples, bytes, sum;
    int err;
} outcome;

static int drain(duet_file_reader *reader, outcome *o)
{
    duet_file_sample sample;
    int result;

    while ((result = duet_file_reader_next(reader, &sample)) == 1) {
        const duet_file_track *track = duet_file_reader_track(reader, sample.track);
        require(track && memchr(track->codec, 0, sizeof(track->codec)));
        require(sample.len > 0 && sample.len <= DUET_FILE_SAMPLE_MAX);
        require(sample.time + sample.duration >= sample.time);
        o->samples++;
        o->bytes += sample.len;
        for (size_t i = 0; i < sample.len; i++)
            o->sum = o->sum * 31 + sample.data[i];
        o->sum = o->sum * 31 + sample.time + 7 * sample.duration + sample.is_keyframe;
    }
    return result;
}

static outcome read_file(duet_file_format format, const uint8_t *data, size_t size, size_t piece)
{
    outcome o = {0};
    duet_file_reader *reader;

    require(duet_file_reader_create(&reader, NULL, format) == DUET_OK);
    while (size > 0 && o.err == DUET_OK) {
        size_t n = piece < size ? piece : size;
        int err = duet_file_reader_input(reader, data, n);
        require(err == DUET_OK);
        o.err = drain(reader, &o);
        data += n;
        size -= n;
    }
    duet_file_reader_end(reader);
    if (o.err == DUET_OK)
        o.err = drain(reader, &o);
    require((o.err < 0) == (duet_file_reader_error(reader)[0] != 0));
    duet_file_reader_destroy(reader);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    duet_file_format format = (duet_file_format)(data[0] % 8);
    size_t piece = (size_t)1 << (data[0] / 8 % 16);
    outcome whole = read_file(format, data + 1, size - 1, SIZE_MAX);
    outcome pieces = read_file(format, data + 1, size - 1, piece);

    require(whole.err == pieces.err && whole.samples == pieces.samples && whole.bytes == pieces.bytes);
    require(whole.sum == pieces.sum);
    return 0;
}
