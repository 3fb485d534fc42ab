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
/* VP9, bitstream specification section 6.2: the first frame of a superframe. Frames that only show an earlier one are not key
 * frames. Others than key frames tell their size when it is not that of a reference. @return DUET_OK; DUET_ERR_MALFORMED */
int duet_vp9_header_parse(duet_vpx_header *out, duet_reader frame);

#endif
