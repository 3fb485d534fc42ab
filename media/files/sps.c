/* Sequence parameter sets: H.264 section 7.3.2.1.1 with annex E for the rate, H.265 section 7.3.2.2 for the size alone. */
#include "media/files/sps.h"
#include "media/bits.h"
#include <string.h>

#define PICTURE_MAX 65535u
#define RATE_MAX    1000u /* pictures in a second */

static void skip_bits(duet_bit_reader *b, unsigned count)
{
    while (count-- > 0)
        (void)duet_read_bits(b, 1);
}

/* ue(v): as many zeros as bits follow the first 1. */
static uint32_t ue(duet_bit_reader *b)
{
    unsigned zeros = 0;

    while (!duet_read_bits(b, 1)) {
        if (++zeros > 31 || b->bytes.failed) {
            b->bytes.failed = true;
            return 0;
        }
    }
    return (uint32_t)((1u << zeros) - 1u) + duet_read_bits(b, zeros);
}

static int32_t se(duet_bit_reader *b)
{
    uint32_t v = ue(b);

    return v & 1 ? (int32_t)(v / 2 + 1) : -(int32_t)(v / 2);
}

static int set_size(duet_sps *out, duet_bit_reader *b, uint64_t width, uint64_t height, uint64_t cut_x, uint64_t cut_y)
{
    if (b->bytes.failed || cut_x >= width || cut_y >= height || width > PICTURE_MAX || height > PICTURE_MAX)
        return DUET_ERR_MALFORMED;
    out->width = (uint16_t)(width - cut_x);
    out->height = (uint16_t)(height - cut_y);
    return DUET_OK;
}

/* ---- H.264 ------------------------------------------------------------------------------------------------------- */

static void skip_scaling_list(duet_bit_reader *b, unsigned size)
{
    uint32_t last = 8, next = 8;

    for (unsigned i = 0; i < size && !b->bytes.failed; i++) {
        if (next != 0)
            next = (last + (uint32_t)se(b)) & 255;
        last = next == 0 ? last : next;
    }
}

/* What profiles with other chroma or scaling say. @return chroma_format_idc */
static uint32_t read_high_profile(duet_bit_reader *b)
{
    uint32_t chroma = ue(b);

    if (chroma == 3)
        skip_bits(b, 1); /* separate_colour_plane_flag */
    (void)ue(b);
    (void)ue(b); /* bit depths */
    skip_bits(b, 1);
    if (duet_read_bits(b, 1))
        for (unsigned i = 0; i < (chroma != 3 ? 8u : 12u); i++)
            if (duet_read_bits(b, 1))
                skip_scaling_list(b, i < 6 ? 16 : 64);
    return chroma;
}

static bool has_high_profile(uint32_t profile)
{
    static const uint8_t profiles[] = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};

    return memchr(profiles, (int)profile, sizeof(profiles)) != NULL;
}

static void skip_picture_order(duet_bit_reader *b)
{
    uint32_t type = ue(b);

    if (type == 0)
        (void)ue(b);
    if (type != 1)
        return;
    skip_bits(b, 1);
    (void)se(b);
    (void)se(b);
    uint32_t count = ue(b);
    for (uint32_t i = 0; i < count && i < 256 && !b->bytes.failed; i++)
        (void)se(b);
}

/* Annex E.1.1 up to the rate: "time_scale / (2 * num_units_in_tick)" for pictures that are frames. */
static void read_vui(duet_sps *out, duet_bit_reader *b)
{
    if (duet_read_bits(b, 1) && duet_read_bits(b, 8) == 255) /* aspect_ratio_idc: Extended_SAR */
        skip_bits(b, 32);
    if (duet_read_bits(b, 1)) /* overscan */
        skip_bits(b, 1);
    if (duet_read_bits(b, 1)) { /* video_signal_type */
        skip_bits(b, 4);
        if (duet_read_bits(b, 1))
            skip_bits(b, 24);
    }
    if (duet_read_bits(b, 1)) { /* chroma_loc_info */
        (void)ue(b);
        (void)ue(b);
    }
    if (!duet_read_bits(b, 1))
        return;
    uint32_t units = duet_read_bits(b, 32), scale = duet_read_bits(b, 32);
    if (b->bytes.failed || units == 0 || units > UINT32_MAX / 2 || scale / (2 * units) > RATE_MAX || scale == 0)
        return;
    out->rate_num = scale % 2 == 0 ? scale / 2 : scale;
    out->rate_den = scale % 2 == 0 ? units : 2 * units;
}

static int parse_h264(duet_sps *out, duet_bit_reader *b)
{
    uint32_t profile = duet_read_bits(b, 8), chroma = 1;

    skip_bits(b, 16); /* constraints and level */
    (void)ue(b);
    if (has_high_profile(profile))
        chroma = read_high_profile(b);
    (void)ue(b); /* log2_max_frame_num_minus4 */
    skip_picture_order(b);
    (void)ue(b); /* max_num_ref_frames */
    skip_bits(b, 1);
    uint64_t width = ((uint64_t)ue(b) + 1) * 16, height = ((uint64_t)ue(b) + 1) * 16;
    bool is_frame_only = duet_read_bits(b, 1);
    height *= is_frame_only ? 1 : 2;
    skip_bits(b, is_frame_only ? 1 : 2);
    uint64_t cut_x = 0, cut_y = 0;
    if (duet_read_bits(b, 1)) { /* frame_cropping_flag: table 6-1 for the units */
        cut_x = (uint64_t)ue(b) + ue(b);
        cut_y = (uint64_t)ue(b) + ue(b);
        cut_x *= chroma == 1 || chroma == 2 ? 2 : 1;
        cut_y *= (chroma == 1 ? 2u : 1u) * (is_frame_only ? 1u : 2u);
    }
    int err = set_size(out, b, width, height, cut_x, cut_y);
    if (err == DUET_OK && duet_read_bits(b, 1))
        read_vui(out, b);
    return err;
}

/* ---- H.265 ------------------------------------------------------------------------------------------------------- */

static int parse_h265(duet_sps *out, duet_bit_reader *b)
{
    bool has_profile[8] = {false}, has_level[8] = {false};

    skip_bits(b, 4);
    unsigned layers = duet_read_bits(b, 3); /* sps_max_sub_layers_minus1 */
    skip_bits(b, 1 + 88 + 8); /* nesting flag, and of profile_tier_level (7.3.3): general profile, level */
    for (unsigned i = 0; i < layers; i++) {
        has_profile[i] = duet_read_bits(b, 1);
        has_level[i] = duet_read_bits(b, 1);
    }
    if (layers > 0)
        skip_bits(b, 2 * (8 - layers));
    for (unsigned i = 0; i < layers; i++)
        skip_bits(b, (has_profile[i] ? 88u : 0u) + (has_level[i] ? 8u : 0u));
    (void)ue(b); /* sps_seq_parameter_set_id */
    uint32_t chroma = ue(b);
    if (chroma == 3)
        skip_bits(b, 1);
    uint64_t width = ue(b), height = ue(b), cut_x = 0, cut_y = 0;
    if (duet_read_bits(b, 1)) { /* conformance_window_flag */
        cut_x = (uint64_t)ue(b) + ue(b);
        cut_y = (uint64_t)ue(b) + ue(b);
        cut_x *= chroma == 1 || chroma == 2 ? 2 : 1;
        cut_y *= chroma == 1 ? 2 : 1;
    }
    return set_size(out, b, width, height, cut_x, cut_y);
}

int duet_sps_parse(duet_sps *out, bool is_h265, duet_reader unit)
{
    duet_bit_reader b = duet_bit_reader_of_nal_unit(unit);
    uint8_t header = duet_read_u8(&b.bytes);

    memset(out, 0, sizeof(*out));
    if (is_h265) {
        duet_read_skip(&b.bytes, 1);
        return (header >> 1 & 0x3F) == 33 ? parse_h265(out, &b) : DUET_ERR_NOT_MINE;
    }
    return (header & 0x1F) == 7 ? parse_h264(out, &b) : DUET_ERR_NOT_MINE;
}
