/* Byte streams cut into pieces: the frames are the same as those of the uncut stream, and stay within their bound.
 * The first byte chooses the framing and the second how the stream is cut. */
#include "ice/framing.h"
#include <stdlib.h>
#include <string.h>

#define FRAME_MAX 1500
#define FRAMES    64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct found {
    size_t lens[FRAMES];
    size_t count;
    int end;
} found;

static void run(found *out, duet_framing framing, const uint8_t *data, size_t len, size_t step)
{
    duet_env env = DUET_ENV_INIT;
    duet_frames f;

    duet_frames_init(&f, &env, framing, FRAME_MAX);
    *out = (found){.end = 1};
    for (size_t at = 0; at < len && out->end >= 0; at += step) {
        size_t part = len - at < step ? len - at : step;
        uint8_t *copy = malloc(part); /* exact, so that a read beyond it is seen */
        if (!copy)
            abort();
        memcpy(copy, data + at, part);
        duet_piece piece = {copy, part}, frame;
        while ((out->end = duet_frames_next(&f, &piece, &frame)) == 1) {
            if (frame.len == 0 || frame.len > FRAME_MAX)
                abort();
            frame.data[0] ^= 1; /* writable, to its end */
            frame.data[frame.len - 1] ^= 1;
            if (out->count < FRAMES)
                out->lens[out->count++] = frame.len;
        }
        free(copy);
    }
    duet_frames_free(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    found whole, pieces;

    if (size < 3)
        return 0;
    duet_framing framing = data[0] & 1 ? DUET_FRAMING_LENGTH : DUET_FRAMING_TURN;
    run(&whole, framing, data + 2, size - 2, size);
    run(&pieces, framing, data + 2, size - 2, 1 + data[1] % 40);
    if (whole.count != pieces.count || whole.end < 0 != pieces.end < 0 ||
        memcmp(whole.lens, pieces.lens, sizeof(whole.lens)) != 0)
        abort();
    return 0;
}
