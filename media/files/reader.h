/* What the readers of media files share: the bytes at hand, errors with their offset, and numbers as files hold them. */
#ifndef DUET_MEDIA_FILES_READER_H
#define DUET_MEDIA_FILES_READER_H

#include "base/bytes.h"
#include "base/memory.h"
#include "duet/media_file.h"

#define DUET_FILE_ERROR_MAX 200

/* A format. Its state is zeroed at first. */
typedef struct duet_file_reader_ops {
    size_t state_size;
    /* 1 and a sample; 0 when the bytes at hand are not enough: those that are left over at the end make the file one that
     * ends too early; or an error from duet_file_fail, or DUET_ERR_NOMEM, after which it is called again. */
    int (*next)(duet_file_reader *reader, void *state, duet_file_sample *out);
    void (*destroy)(duet_file_reader *reader, void *state); /* of what the state owns; NULL: nothing */
} duet_file_reader_ops;

struct duet_file_reader {
    duet_env env;
    duet_file_format format;
    const duet_file_reader_ops *ops; /* NULL until the format is known */
    void *state;
    duet_buffer input;
    size_t start;     /* where the bytes at hand begin in `input` */
    uint64_t offset;  /* of that place in the file */
    uint64_t skip;    /* bytes that are still to come and are not wanted */
    uint64_t skipped; /* bytes of damage that were stepped over */
    bool has_ended;   /* nothing follows the bytes at hand */
    bool is_drained;  /* the bytes at hand are not enough for a sample */
    int err;
    char error[DUET_FILE_ERROR_MAX];
    duet_file_track tracks[DUET_FILE_TRACKS_MAX];
    unsigned track_count;
};

extern const duet_file_reader_ops duet_ogg_reader, duet_ivf_reader, duet_webm_reader, duet_wav_reader, duet_y4m_reader,
    duet_h264_reader, duet_h265_reader;

/* The bytes at hand, which live until they are consumed. */
duet_reader duet_file_peek(const duet_file_reader *reader);
size_t duet_file_held(const duet_file_reader *reader);
/* Steps over `len` bytes, of which some may still have to come. */
void duet_file_consume(duet_file_reader *reader, uint64_t len);
/* Whether `len` bytes from here would lie in a file shorter than 2^64 bytes. */
bool duet_file_can_hold(const duet_file_reader *reader, uint64_t len);
/* A new track, zeroed; NULL when there are DUET_FILE_TRACKS_MAX. */
duet_file_track *duet_file_add_track(duet_file_reader *reader, const char *codec, bool is_video);
/* Fills the text of the error; `at` is relative to the bytes at hand. @return err */
int duet_file_fail(duet_file_reader *reader, int err, size_t at, const char *format, ...) DUET_PRINTF(4, 5);

/* The time after `ticks` of `scale` / `rate` seconds, rate not 0. False when it is past the end of time. */
bool duet_file_time(uint64_t ticks, uint32_t scale, uint32_t rate, duet_time *out);

uint64_t duet_read_le(duet_reader *r, unsigned size); /* a little-endian number of 1 to 8 bytes */

#endif
