/* What a file's reader or writer must know of a coded frame. */
#ifndef DUET_MEDIA_FILES_FRAME_H
#define DUET_MEDIA_FILES_FRAME_H

#include "base/bytes.h"
#include "duet/payload.h"

typedef struct duet_file_frame {
    bool is_keyframe;
    uint16_t width, height; /* 0 when the frame does not tell, or it is not read: VP8 and VP9 only */
} duet_file_frame;

/* Frames that are no frames of the codec are not key frames. Audio is always one. */
duet_file_frame duet_file_frame_of(duet_payload_format codec, duet_reader data);

#endif
