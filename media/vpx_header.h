/* The beginning of VP8 and VP9 frames: whether they are key frames, and how large. */
#ifndef DUET_MEDIA_VPX_HEADER_H
#define DUET_MEDIA_VPX_HEADER_H

#include "base/bytes.h"

typedef struct duet_vpx_header {
    bool is_keyframe;
    bool is_shown;
    uint16_t width, height; /* 0 when it is not told, or VP8's bytes end before */
} duet_vpx_header;

/* VP8, RFC 6386 section 9.1. @return DUET_OK; DUET_ERR_MALFORMED: empty, or a key frame without its start code */
int duet_vp8_header_parse(duet_vpx_header *out, duet_reader frame);
/* VP9, bitstream specification section 6.2: the first frame of a superframe. Frames that only show an earlier one are
 * not key frames. Others than key frames tell their size when it is not that of a reference.
 * @return DUET_OK; DUET_ERR_MALFORMED */
int duet_vp9_header_parse(duet_vpx_header *out, duet_reader frame);

/* A superframe is frames of one time, hidden ones or those of several layers, and at its end an index that tells their
 * lengths: VP9 bitstream specification, annex B. */
#define DUET_VP9_FRAMES_MAX 8
#define DUET_VP9_INDEX_MAX  (2 + 4 * DUET_VP9_FRAMES_MAX)

/* @return how many frames, 0 when there is no index; their lengths are not checked, `*index_len` is the index' own */
unsigned duet_vp9_index_parse(duet_reader frame, size_t lens[DUET_VP9_FRAMES_MAX], size_t *index_len);
/* @return the length of the index. Frames are shorter than 4 GiB */
size_t duet_vp9_index_write(uint8_t index[DUET_VP9_INDEX_MAX], const size_t *lens, unsigned count);

#endif
