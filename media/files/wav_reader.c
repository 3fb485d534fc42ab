/* WAV: the RIFF form of IBM and Microsoft ("Multimedia Programming Interface and Data Specifications 1.0", and the later
 * WAVEFORMATEXTENSIBLE). Samples of 8, 16, 24 and 32 bits, and floating point of 32, become 16 bits in native order, in blocks
 * of 20 ms. All numbers of the file are little-endian. */
#include "media/files/reader.h"
#include <string.h>

#define RIFF_LEN        12
#define CHUNK_LEN       8
#define FORMAT_LEN      16
#define FORMAT_MAX      1024
#define EXTENSIBLE_LEN  40
#define CHANNELS_MAX    8
#define SAMPLE_RATE_MAX 384000
#define BLOCKS_A_SECOND 50
#define SIZE_UNKNOWN    0xFFFFFFFFu /* what is written where the length is not known: the data goes on to the end; or 0 */

enum {
    FORMAT_PCM = 1,
    FORMAT_FLOAT = 3,
    FORMAT_EXTENSIBLE = 0xFFFE,
};

typedef struct wav {
    bool has_riff, has_format, has_data;
    bool is_float, is_endless;
    unsigned channels, rate;
    unsigned bytes;    /* of a sample of one channel */
    unsigned block;    /* samples of each channel in 20 ms */
    uint64_t riff_end; /* offset in the file, as the header tells it */
    uint64_t left;     /* bytes of data */
    uint64_t position; /* samples of each channel that were given */
    int16_t *samples;  /* of one block */
} wav;

static int read_riff(duet_file_reader *r, wav *s)
{
    duet_reader head = duet_file_peek(r);

    if (head.len < RIFF_LEN)
        return 0;
    if (memcmp(head.data, "RIFF", 4) != 0 || memcmp(head.data + 8, "WAVE", 4) != 0)
        return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "a WAV file begins with \"RIFF\", a length and \"WAVE\"");
    duet_read_skip(&head, 4);
    s->riff_end = CHUNK_LEN + duet_read_le(&head, 4);
    duet_file_consume(r, RIFF_LEN);
    s->has_riff = true;
    return 1;
}

/* The tag of the extensible form is the beginning of a GUID whose rest is always the same. */
static unsigned extensible_tag(duet_reader format)
{
    static const uint8_t rest[14] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71};

    duet_read_skip(&format, 8); /* its length, valid bits, speakers */
    unsigned tag = (unsigned)duet_read_le(&format, 2);
    duet_bytes bytes = duet_read_bytes(&format, sizeof(rest));
    return bytes.data && memcmp(bytes.data, rest, sizeof(rest)) == 0 ? tag : FORMAT_EXTENSIBLE;
}

static int check_format(duet_file_reader *r, wav *s, unsigned tag, unsigned bits, unsigned align)
{
    bool is_pcm = tag == FORMAT_PCM && (bits == 8 || bits == 16 || bits == 24 || bits == 32);

    s->is_float = tag == FORMAT_FLOAT;
    s->bytes = bits / 8;
    if (!is_pcm && !(s->is_float && bits == 32))
        return duet_file_fail(
            r, DUET_ERR_UNSUPPORTED, CHUNK_LEN,
            "WAV with the format 0x%04x and %u bits: PCM of 8 to 32 and floating point of 32 are read", tag, bits);
    if (s->channels == 0 || s->channels > CHANNELS_MAX || s->rate == 0 || s->rate > SAMPLE_RATE_MAX)
        return duet_file_fail(r, DUET_ERR_UNSUPPORTED, CHUNK_LEN + 2, "WAV with %u channels of %u Hz", s->channels,
                              s->rate);
    if (align != s->channels * s->bytes)
        return duet_file_fail(r, DUET_ERR_MALFORMED, CHUNK_LEN + 12, "blocks of %u bytes for %u channels of %u bits",
                              align, s->channels, bits);
    return DUET_OK;
}

static int read_format(duet_file_reader *r, wav *s, duet_reader chunk)
{
    unsigned tag = (unsigned)duet_read_le(&chunk, 2);
    s->channels = (unsigned)duet_read_le(&chunk, 2);
    s->rate = (unsigned)duet_read_le(&chunk, 4);
    duet_read_skip(&chunk, 4); /* bytes in a second */
    unsigned align = (unsigned)duet_read_le(&chunk, 2);
    unsigned bits = (unsigned)duet_read_le(&chunk, 2);
    if (tag == FORMAT_EXTENSIBLE && chunk.len >= EXTENSIBLE_LEN)
        tag = extensible_tag(chunk);
    int err = check_format(r, s, tag, bits, align);
    if (err != DUET_OK)
        return err;
    s->block = s->rate >= BLOCKS_A_SECOND ? s->rate / BLOCKS_A_SECOND : 1;
    s->samples = duet_alloc(&r->env, sizeof(*s->samples) * s->block * s->channels);
    if (!s->samples)
        return DUET_ERR_NOMEM;
    duet_file_track *track = duet_file_add_track(r, "L16", false);
    track->sample_rate = s->rate;
    track->channels = (uint8_t)s->channels;
    s->has_format = true;
    return 1;
}

/* Chunks up to that of the data. */
static int read_chunk(duet_file_reader *r, wav *s)
{
    duet_reader head = duet_file_peek(r);

    if (head.len < CHUNK_LEN)
        return 0;
    duet_bytes id = duet_read_bytes(&head, 4);
    uint64_t size = duet_read_le(&head, 4);
    uint64_t padded = CHUNK_LEN + size + (size & 1);
    if (memcmp(id.data, "data", 4) == 0) {
        if (!s->has_format)
            return duet_file_fail(r, DUET_ERR_MALFORMED, 0, "data before its format");
        duet_file_consume(r, CHUNK_LEN);
        s->left = size;
        s->is_endless = size == SIZE_UNKNOWN || (size == 0 && s->riff_end <= r->offset);
        s->has_data = true;
        return 1;
    }
    if (memcmp(id.data, "fmt ", 4) != 0 || s->has_format) {
        duet_file_consume(r, padded);
        return 1;
    }
    if (size < FORMAT_LEN || size > FORMAT_MAX)
        return duet_file_fail(r, DUET_ERR_MALFORMED, 4, "a format of %u bytes", (unsigned)size);
    if (head.len < padded)
        return 0;
    int result = read_format(r, s, duet_read_sub(&head, (size_t)size));
    if (result == 1)
        duet_file_consume(r, padded);
    return result;
}

static int16_t convert(const wav *s, duet_reader *data)
{
    uint32_t bits = (uint32_t)duet_read_le(data, s->bytes);
    float value;

    if (s->bytes == 1)
        return (int16_t)((int)bits * 256 - 32768); /* 8 bits are without sign */
    if (!s->is_float)
        return (int16_t)(uint16_t)(bits >> 8 * (s->bytes - 2));
    memcpy(&value, &bits, sizeof(value));
    if (value >= 1)
        return INT16_MAX;
    if (value > -1)
        return (int16_t)(value * 32767);
    return value <= -1 ? -INT16_MAX : 0; /* not a number */
}

static int read_block(duet_file_reader *r, wav *s, duet_file_sample *out)
{
    duet_reader data = duet_file_peek(r);
    size_t frame = (size_t)s->bytes * s->channels, count = s->block;
    duet_time end;

    if (!s->is_endless && s->left / frame < count)
        count = (size_t)(s->left / frame);
    if (data.len < count * frame && r->has_ended)
        count = data.len / frame; /* cut off, or of unknown length */
    if (count == 0) {
        duet_file_consume(r, data.len); /* a broken last sample, or what follows the data */
        return 0;
    }
    if (data.len < count * frame)
        return 0;
    if (!duet_file_time(s->position, 1, s->rate, &out->time) || !duet_file_time(s->position + count, 1, s->rate, &end))
        return duet_file_fail(r, DUET_ERR_LIMIT, 0, "the block's time is too large");
    for (size_t i = 0; i < count * s->channels; i++)
        s->samples[i] = convert(s, &data);
    duet_file_consume(r, count * frame);
    s->left -= s->is_endless ? 0 : count * frame;
    s->position += count;
    out->duration = end - out->time;
    out->data = (const uint8_t *)s->samples;
    out->len = count * s->channels * sizeof(*s->samples);
    out->is_keyframe = true;
    return 1;
}

static int next(duet_file_reader *r, void *state, duet_file_sample *out)
{
    wav *s = state;
    int result = 1;

    if (!s->has_riff)
        result = read_riff(r, s);
    while (result == 1 && !s->has_data)
        result = read_chunk(r, s);
    return result == 1 ? read_block(r, s, out) : result;
}

static void destroy(duet_file_reader *r, void *state)
{
    wav *s = state;

    duet_free(&r->env, s->samples);
}

const duet_file_reader_ops duet_wav_reader = {.state_size = sizeof(wav), .next = next, .destroy = destroy};
