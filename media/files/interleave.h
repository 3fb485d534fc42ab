/* Samples of several tracks in the order of their times, whatever order they come in: players take no other. */
#ifndef DUET_MEDIA_FILES_INTERLEAVE_H
#define DUET_MEDIA_FILES_INTERLEAVE_H

#include "base/memory.h"
#include "duet/media_file.h"

typedef struct duet_interleave_held duet_interleave_held;

/* Zeroed, but for the environment. */
typedef struct duet_interleave {
    const duet_env *env;
    unsigned track_count;
    duet_interleave_held *first; /* what waits */
    duet_interleave_held *spare; /* memory for what comes */
    size_t bytes, count;
    duet_time newest, newest_of[DUET_FILE_TRACKS_MAX];
    bool has_begun[DUET_FILE_TRACKS_MAX];
} duet_interleave;

/* Takes a copy. @return DUET_OK or DUET_ERR_NOMEM: it was not taken */
int duet_interleave_put(duet_interleave *q, const duet_file_sample *sample);
/* The earliest sample, once no earlier one is to be expected: each track has gone as far, or it has waited for a second of the
 * others, or for 8 MiB or 4096 samples. With `all` whatever there is. NULL: none. It lives until duet_interleave_pop. */
const duet_file_sample *duet_interleave_next(const duet_interleave *q, bool all);
void duet_interleave_pop(duet_interleave *q);
void duet_interleave_free(duet_interleave *q);

#endif
