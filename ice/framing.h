/* Finds the frames in a byte stream, where datagrams would have had borders.
 *
 * A frame that lies whole in the piece that arrived is returned in place; only one that is cut in two is gathered in a buffer,
 * which never grows beyond one frame. */
#ifndef DUET_ICE_FRAMING_H
#define DUET_ICE_FRAMING_H

#include "duet/base.h"

typedef enum duet_framing {
    DUET_FRAMING_TURN = 0, /* STUN messages and ChannelData, the latter padded to four bytes: RFC 8656 section 12.5 */
    DUET_FRAMING_LENGTH,   /* two bytes of length before each frame: RFC 4571 section 2 */
} duet_framing;

#define DUET_FRAMING_LENGTH_LEN 2 /* what RFC 4571 puts before a frame */

typedef struct duet_frames {
    const duet_env *env;
    duet_framing framing;
    size_t frame_max; /* a longer frame, with its length or padding, is malformed */
    uint8_t *held;    /* the beginning of a frame whose rest has not come, or the last one that was returned */
    size_t held_len, held_capacity;
    bool returned;
} duet_frames;

/* What is left of a piece of the stream. */
typedef struct duet_piece {
    uint8_t *data;
    size_t len;
} duet_piece;

/* @param env  must outlive the object */
void duet_frames_init(duet_frames *f, const duet_env *env, duet_framing framing, size_t frame_max);
void duet_frames_free(duet_frames *f);

/* Takes the next frame: the message without RFC 4571 length or padding. It may be modified in place and is valid until the
 * next call, as long as the piece is. Call until it returns 0; an empty frame of RFC 4571 is skipped.
 * @return 1 and the frame; 0 when the piece is used up; DUET_ERR_MALFORMED (no such frame, or too long: close the stream) or
 * DUET_ERR_NOMEM (the same: what was lost cannot be found again) */
int duet_frames_next(duet_frames *f, duet_piece *piece, duet_piece *frame);

#endif
