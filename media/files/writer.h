/* What the writers of media files share: bytes that go out, and those that are corrected later. */
#ifndef DUET_MEDIA_FILES_WRITER_H
#define DUET_MEDIA_FILES_WRITER_H

#include "base/bytes.h"
#include "base/memory.h"
#include "duet/media_file.h"
#include "duet/payload.h"

/* A format. Its state is zeroed at first. All give DUET_OK or an error. */
typedef struct duet_file_writer_ops {
    size_t state_size;
    unsigned tracks_max;
    bool (*holds)(duet_file_format format, const duet_file_track *track); /* whether it has a place for the codec */
    int (*begin)(duet_file_writer *writer, void *state);
    int (*sample)(duet_file_writer *writer, void *state, const duet_file_sample *sample);
    int (*finish)(duet_file_writer *writer, void *state); /* NULL: nothing is to be done */
    void (*destroy)(void *state);                         /* NULL: nothing is to be done */
} duet_file_writer_ops;

struct duet_file_writer {
    duet_env env;
    const duet_file_writer_ops *ops;
    void *state;
    int (*write)(void *user, const uint8_t *data, size_t len);
    int (*patch)(void *user, uint64_t offset, const uint8_t *data, size_t len);
    void *user;
    duet_file_format format;
    uint64_t offset; /* bytes that were written */
    bool is_finished;
    int err; /* of `write` or `patch`: nothing more is written */
    unsigned track_count;
    duet_file_track tracks[DUET_FILE_TRACKS_MAX];
    duet_payload_format codecs[DUET_FILE_TRACKS_MAX];
};

extern const duet_file_writer_ops duet_ogg_writer, duet_ivf_writer, duet_webm_writer, duet_wav_writer, duet_y4m_writer,
    duet_annexb_writer;

int duet_file_put(duet_file_writer *writer, const void *data, size_t len);
/* The bytes of a duet_writer, which must not have failed. */
int duet_file_put_written(duet_file_writer *writer, const duet_writer *bytes);
/* Nothing when the output cannot seek. */
int duet_file_patch(duet_file_writer *writer, uint64_t offset, const duet_writer *bytes);
/* Takes the size of a key frame for a video track that had none. @return whether it did */
bool duet_file_learn_size(duet_file_writer *writer, const duet_file_sample *sample);

void duet_write_le(duet_writer *w, uint64_t value, unsigned size); /* a little-endian number of 1 to 8 bytes */

#endif
