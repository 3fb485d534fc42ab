/* Parts of the WebM reader: the description of tracks, and the frames of a block. */
#ifndef DUET_MEDIA_FILES_WEBM_READER_H
#define DUET_MEDIA_FILES_WEBM_READER_H

#include "duet/payload.h"
#include "media/files/ebml.h"
#include "media/files/reader.h"

#define DUET_WEBM_LACE_MAX 256 /* frames in a block: the count is a byte */

typedef struct duet_webm_track {
    uint64_t number;
    duet_payload_format codec;
    duet_time frame_duration; /* 0: not told */
    bool is_encoded;          /* encrypted or compressed */
} duet_webm_track;

/* The frames of a block, which are given one by one. */
typedef struct duet_webm_block {
    unsigned track;
    size_t lens[DUET_WEBM_LACE_MAX];
    unsigned count, next;
    size_t pos; /* of the next frame, relative to the bytes at hand */
    duet_time time, duration;
    bool is_keyframe;
} duet_webm_block;

/* Reads the data of Tracks. @return DUET_OK, or what duet_file_fail gave */
int duet_webm_tracks_parse(duet_file_reader *r, duet_webm_track tracks[DUET_FILE_TRACKS_MAX], duet_reader data);

typedef struct duet_webm_block_header {
    uint64_t track;
    int16_t timestamp; /* relative to the cluster */
    uint8_t flags;
} duet_webm_block_header;

/* Reads the header and how the frames lie: count, lens and pos, which is relative to the block. @return DUET_OK or
 * DUET_ERR_MALFORMED */
int duet_webm_block_parse(duet_webm_block *out, duet_webm_block_header *header, duet_reader data);

#endif
