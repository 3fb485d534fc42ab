/* A moving picture that tells its number. Each of the four rows at the top has eight bits, the most significant one
 * first: a white block and a black one for 1, a black and a white one for 0. The first three rows are the counter, the
 * fourth is a CRC-8 of them (polynomial 0x07), because a picture may be a mixture of two. */
#include "duet/codecs.h"
#include <string.h>

#define ROWS          4
#define BLOCKS        16 /* in a row */
#define ROW_HEIGHT    16 /* the picture's height has so many of them */
#define WHITE         235
#define BLACK         16
#define CERTAIN       60 /* least difference between a block and its neighbour */
#define PICTURE_LEAST 32

static uint8_t crc8(uint32_t counter)
{
    uint8_t crc = 0;

    for (int bit = DUET_PATTERN_COUNTER_BITS - 1; bit >= 0; bit--) {
        unsigned in = (counter >> bit & 1u) ^ (crc >> 7 & 1u);
        crc = (uint8_t)(crc << 1 ^ (in ? 0x07 : 0));
    }
    return crc;
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

/* A slope from the upper left to the lower right corner, the same in all frames, so that it costs an encoder little. */
static void fill_slope(uint8_t *plane, unsigned width, unsigned height, unsigned from, unsigned per_x, unsigned per_y)
{
    unsigned step_x = (per_x << 16) / width, step_y = (per_y << 16) / height;

    for (unsigned y = 0; y < height; y++) {
        unsigned value = (from << 16) + y * step_y;
        for (unsigned x = 0; x < width; x++, value += step_x)
            plane[(size_t)y * width + x] = (uint8_t)(value >> 16);
    }
}

static void fill_rectangle(uint8_t *plane, unsigned stride, unsigned x, unsigned y, unsigned width, unsigned height,
                           uint8_t value)
{
    for (unsigned i = 0; i < height; i++)
        memset(plane + (size_t)(y + i) * stride + x, value, width);
}

static void draw_counter(uint8_t *luma, unsigned width, unsigned height, uint32_t counter)
{
    uint32_t bits = counter << 8 | crc8(counter);

    for (unsigned i = 0; i < ROWS * BLOCKS; i++) {
        unsigned row = i / BLOCKS, column = i % BLOCKS;
        bool bit = bits >> (31 - i / 2) & 1u;
        unsigned x = column * width / BLOCKS, next_x = (column + 1) * width / BLOCKS;
        unsigned y = row * height / ROW_HEIGHT, next_y = (row + 1) * height / ROW_HEIGHT;
        bool white = column % 2 == 0 ? bit : !bit;
        fill_rectangle(luma, width, x, y, next_x - x, next_y - y, white ? WHITE : BLACK);
    }
}

/* To and fro between 0 and max. */
static unsigned bounce(uint64_t position, unsigned max)
{
    if (max == 0)
        return 0;
    unsigned at = (unsigned)(position % (2u * max));
    return at < max ? at : 2 * max - at;
}

/* A box on its way through the lower three quarters. Its side and its places are even, for the chroma. */
static void draw_box(uint8_t *data, unsigned width, unsigned height, uint32_t counter)
{
    unsigned side = (width < height ? width : height) / 6 & ~1u, top = height / 4 + 2;
    unsigned x = bounce((uint64_t)counter * width / 90, width - side) & ~1u;
    unsigned y = (top + bounce((uint64_t)counter * height / 150, height - side - top)) & ~1u;
    uint8_t *u = data + (size_t)width * height, *v = u + (size_t)width * height / 4;

    fill_rectangle(data, width, x, y, side, side, 200);
    fill_rectangle(u, width / 2, x / 2, y / 2, side / 2, side / 2, 80);
    fill_rectangle(v, width / 2, x / 2, y / 2, side / 2, side / 2, 190);
}

void duet_pattern_fill(uint8_t *data, uint16_t width, uint16_t height, uint32_t counter)
{
    size_t pixels = (size_t)width * height;

    counter &= (1u << DUET_PATTERN_COUNTER_BITS) - 1;
    fill_slope(data, width, height, 60, 60, 40);
    fill_slope(data + pixels, width / 2u, height / 2u, 100, 60, 0);
    fill_slope(data + pixels + pixels / 4, width / 2u, height / 2u, 100, 0, 60);
    /* no colour behind the counter */
    memset(data + pixels, 128, pixels / 4 / 4);
    memset(data + pixels + pixels / 4, 128, pixels / 4 / 4);
    draw_counter(data, width, height, counter);
    draw_box(data, width, height, counter);
}

void duet_pattern_frame(const uint8_t *data, uint16_t width, uint16_t height, duet_video_frame *out)
{
    size_t pixels = (size_t)width * height;

    *out = (duet_video_frame){.width = width,
                              .height = height,
                              .planes = {data, data + pixels, data + pixels + pixels / 4},
                              .strides = {width, width / 2u, width / 2u}};
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* The mean of the middle of a block: its edges are what coding blurs. */
static int read_block(const duet_video_frame *frame, unsigned row, unsigned column)
{
    unsigned x = (4 * column + 1) * frame->width / (4 * BLOCKS), end_x = (4 * column + 3) * frame->width / (4 * BLOCKS);
    unsigned y = (4 * row + 1) * frame->height / (4 * ROW_HEIGHT);
    unsigned end_y = (4 * row + 3) * frame->height / (4 * ROW_HEIGHT);
    unsigned sum = 0, count = 0;

    for (unsigned i = y; i < end_y || i == y; i++)
        for (unsigned k = x; k < end_x || k == x; k++, count++)
            sum += frame->planes[0][i * frame->strides[0] + k];
    return (int)(sum / count);
}

bool duet_pattern_read(const duet_video_frame *frame, uint32_t *counter)
{
    uint32_t bits = 0;

    if (frame->width < PICTURE_LEAST || frame->height < PICTURE_LEAST)
        return false;
    for (unsigned i = 0; i < ROWS * BLOCKS; i += 2) {
        int difference = read_block(frame, i / BLOCKS, i % BLOCKS) - read_block(frame, i / BLOCKS, i % BLOCKS + 1);
        if (difference > -CERTAIN && difference < CERTAIN)
            return false;
        bits = bits << 1 | (difference > 0 ? 1u : 0u);
    }
    *counter = bits >> 8;
    return crc8(*counter) == (bits & 0xFF);
}
