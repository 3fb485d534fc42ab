/* Frames in a byte stream: RFC 8656 section 12.5 and RFC 4571 section 2. */
#include "ice/framing.h"
#include "base/bytes.h"
#include "base/memory.h"
#include <string.h>

#define STUN_HEADER_LEN    20
#define CHANNEL_HEADER_LEN 4

/* Where a frame lies in what travels: `wire` bytes in all, of which `len` from `skip` on are the frame. */
typedef struct extent {
    size_t wire, skip, len;
} extent;

void duet_frames_init(duet_frames *f, const duet_env *env, duet_framing framing, size_t frame_max)
{
    *f = (duet_frames){.env = env, .framing = framing, .frame_max = frame_max};
}

void duet_frames_free(duet_frames *f)
{
    duet_free(f->env, f->held);
    f->held = NULL;
    f->held_len = f->held_capacity = 0;
}

/* How many bytes tell the length. */
static size_t header_len(const duet_frames *f)
{
    return f->framing == DUET_FRAMING_LENGTH ? DUET_FRAMING_LENGTH_LEN : CHANNEL_HEADER_LEN;
}

/* "Over TCP and TLS-over-TCP, the ChannelData message MUST be padded to a multiple of four bytes ... the padding is not
 * reflected in the length field" RFC 8656 section 12.5. Both kinds tell themselves apart by their first two bits; of channel
 * numbers 0x4000 to 0x4FFF are in use (section 12). */
static int measure(const duet_frames *f, const uint8_t *header, extent *out)
{
    duet_reader r = duet_reader_init(header, header_len(f));
    uint16_t first = duet_read_u16(&r);

    if (f->framing == DUET_FRAMING_LENGTH) {
        *out = (extent){DUET_FRAMING_LENGTH_LEN + (size_t)first, DUET_FRAMING_LENGTH_LEN, first};
    } else {
        size_t len = duet_read_u16(&r);
        if (first >> 12 == 4)
            *out = (extent){CHANNEL_HEADER_LEN + (len + 3) / 4 * 4, 0, CHANNEL_HEADER_LEN + len};
        else if (first >> 14 == 0 && len % 4 == 0)
            *out = (extent){STUN_HEADER_LEN + len, 0, STUN_HEADER_LEN + len};
        else
            return DUET_ERR_MALFORMED;
    }
    return out->wire <= f->frame_max ? DUET_OK : DUET_ERR_MALFORMED;
}

static duet_piece cut(duet_piece *piece, size_t len)
{
    duet_piece front = {piece->data, len};

    piece->data += len;
    piece->len -= len;
    return front;
}

/* Moves bytes to the held ones until there are `want`. @return 1 when there are, 0 when the piece ended before */
static int gather(duet_frames *f, duet_piece *piece, size_t want)
{
    if (want > f->held_capacity) {
        uint8_t *grown = duet_realloc(f->env, f->held, want);
        if (!grown)
            return DUET_ERR_NOMEM;
        f->held = grown;
        f->held_capacity = want;
    }
    size_t missing = want - f->held_len;
    duet_piece part = cut(piece, missing < piece->len ? missing : piece->len);
    if (part.len)
        memcpy(f->held + f->held_len, part.data, part.len);
    f->held_len += part.len;
    return f->held_len == want;
}

static int next_held(duet_frames *f, duet_piece *piece, duet_piece *frame)
{
    extent e;

    if (f->held_len < header_len(f)) {
        int complete = gather(f, piece, header_len(f));
        if (complete != 1)
            return complete;
    }
    int err = measure(f, f->held, &e);
    if (err)
        return err;
    int complete = gather(f, piece, e.wire);
    if (complete != 1)
        return complete;
    f->returned = true;
    *frame = (duet_piece){f->held + e.skip, e.len};
    return 1;
}

static int next_in_place(duet_frames *f, duet_piece *piece, duet_piece *frame)
{
    extent e;

    int err = measure(f, piece->data, &e);
    if (err)
        return err;
    if (piece->len < e.wire)
        return next_held(f, piece, frame);
    duet_piece whole = cut(piece, e.wire);
    *frame = (duet_piece){whole.data + e.skip, e.len};
    return 1;
}

int duet_frames_next(duet_frames *f, duet_piece *piece, duet_piece *frame)
{
    for (;;) {
        if (f->returned) {
            f->returned = false;
            f->held_len = 0;
        }
        if (piece->len == 0)
            return 0;
        bool is_whole = f->held_len == 0 && piece->len >= header_len(f);
        int found = is_whole ? next_in_place(f, piece, frame) : next_held(f, piece, frame);
        if (found != 1 || frame->len > 0)
            return found;
    }
}
