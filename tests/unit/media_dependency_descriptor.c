/* Dependency descriptors: RTP Payload Format For AV1, appendix A. */
#include "duet/video_layers.h"
#include "tests/test.h"

#define DATA_MAX 1024

/* ---- bits as the specification writes them ----------------------------------------------------------------------- */

/* "1 1 000001 …": a row of bits, filled with zeros to a whole byte. @return the number of bytes */
static size_t from_bits(uint8_t *data, const char *text)
{
    size_t count = 0;

    memset(data, 0, DATA_MAX);
    for (; *text; text++) {
        if (*text == ' ')
            continue;
        if (*text == '1')
            data[count / 8] |= (uint8_t)(0x80 >> count % 8);
        count++;
        assert_true(count <= 8 * (size_t)DATA_MAX);
    }
    return (count + 7) / 8;
}

static int parse_bits(duet_dependency_descriptor *d, duet_dependency_structure *s, const char *text)
{
    uint8_t data[DATA_MAX];
    size_t len = from_bits(data, text);

    return duet_dependency_descriptor_parse(d, s, data, len);
}

/* ---- structures as the specification tabulates them -------------------------------------------------------------- */

typedef struct row {
    uint8_t spatial_id, temporal_id;
    uint8_t frame_diffs[3]; /* 0 ends them */
    uint8_t chain_diffs[3];
    const char *dtis;
} row;

static uint8_t dti_of(char symbol)
{
    static const char symbols[] = "-DSR";

    return (uint8_t)(strchr(symbols, symbol) - symbols);
}

static void set_template(duet_frame_dependencies *t, const row *from)
{
    t->spatial_id = from->spatial_id;
    t->temporal_id = from->temporal_id;
    for (size_t i = 0; from->dtis[i]; i++)
        t->dtis[i] = dti_of(from->dtis[i]);
    for (size_t i = 0; i < 3 && from->frame_diffs[i]; i++)
        t->frame_diffs[t->frame_diff_count++] = from->frame_diffs[i];
    memcpy(t->chain_diffs, from->chain_diffs, 3);
}

static duet_dependency_structure structure_of(const row *rows, size_t count, unsigned chains, const char *protected_by)
{
    duet_dependency_structure s = {.template_count = (uint8_t)count, .chain_count = (uint8_t)chains};

    s.decode_target_count = (uint8_t)strlen(protected_by);
    for (size_t i = 0; i < count; i++)
        set_template(&s.templates[i], &rows[i]);
    for (size_t i = 0; protected_by[i]; i++)
        s.decode_targets[i].protected_by = (uint8_t)(protected_by[i] - '0');
    return s;
}

/* A.10.2.1: one spatial, three temporal layers. */
static duet_dependency_structure l1t3(void)
{
    static const row rows[] = {
        {0, 0, {0}, {0}, "SSS"}, {0, 0, {4}, {4}, "SSS"}, {0, 1, {2}, {2}, "SD-"},
        {0, 2, {1}, {1}, "D--"}, {0, 2, {1}, {3}, "D--"},
    };

    return structure_of(rows, 5, 1, "000");
}

/* A.10.2.2: three spatial, three temporal layers. */
static duet_dependency_structure l3t3(void)
{
    static const row rows[] = {
        {0, 0, {0}, {0, 0, 0}, "SSSSSSSSS"},      {0, 0, {12}, {12, 11, 10}, "RRRRRRSSS"},
        {0, 1, {6}, {6, 5, 4}, "RR-RR-SD-"},      {0, 2, {3}, {3, 2, 1}, "R--R--D--"},
        {0, 2, {3}, {9, 8, 7}, "R--R--D--"},      {1, 0, {1}, {1, 1, 1}, "SSSSSS---"},
        {1, 0, {12, 1}, {1, 1, 1}, "RRRSSS---"},  {1, 1, {6, 1}, {7, 6, 5}, "RR-SD----"},
        {1, 2, {3, 1}, {4, 3, 2}, "R--D-----"},   {1, 2, {3, 1}, {10, 9, 8}, "R--D-----"},
        {2, 0, {1}, {2, 1, 1}, "SSS------"},      {2, 0, {12, 1}, {2, 1, 1}, "SSS------"},
        {2, 1, {6, 1}, {8, 7, 6}, "SD-------"},   {2, 2, {3, 1}, {5, 4, 3}, "D--------"},
        {2, 2, {3, 1}, {11, 10, 9}, "D--------"},
    };
    duet_dependency_structure s = structure_of(rows, 15, 3, "222111000");

    s.has_resolutions = true;
    s.resolutions[0] = (duet_render_resolution){320, 180};
    s.resolutions[1] = (duet_render_resolution){640, 360};
    s.resolutions[2] = (duet_render_resolution){65536, 1};
    return s;
}

/* The descriptor of a key frame. */
static duet_dependency_descriptor with_structure(const duet_dependency_structure *s)
{
    return (duet_dependency_descriptor){.start_of_frame = true,
                                        .frame_number = 100,
                                        .template_id = s->template_id_offset,
                                        .has_structure = true,
                                        .frame = s->templates[0]};
}

static size_t write(uint8_t *data, const duet_dependency_descriptor *d, const duet_dependency_structure *s)
{
    size_t len;

    assert_int_equal(duet_dependency_descriptor_write(d, s, data, DATA_MAX, &len), DUET_OK);
    return len;
}

static void expect_same_frame(const duet_frame_dependencies *a, const duet_frame_dependencies *b)
{
    assert_int_equal(a->spatial_id, b->spatial_id);
    assert_int_equal(a->temporal_id, b->temporal_id);
    assert_memory_equal(a->dtis, b->dtis, sizeof(a->dtis));
    assert_int_equal(a->frame_diff_count, b->frame_diff_count);
    assert_memory_equal(a->frame_diffs, b->frame_diffs, sizeof(a->frame_diffs));
    assert_memory_equal(a->chain_diffs, b->chain_diffs, sizeof(a->chain_diffs));
}

static void expect_same_structure(const duet_dependency_structure *a, const duet_dependency_structure *b)
{
    assert_int_equal(a->template_id_offset, b->template_id_offset);
    assert_int_equal(a->template_count, b->template_count);
    assert_int_equal(a->decode_target_count, b->decode_target_count);
    assert_int_equal(a->chain_count, b->chain_count);
    assert_int_equal(a->has_resolutions, b->has_resolutions);
    for (size_t i = 0; i < a->template_count; i++)
        expect_same_frame(&a->templates[i], &b->templates[i]);
    for (size_t i = 0; i < a->decode_target_count; i++)
        assert_int_equal(a->decode_targets[i].protected_by, b->decode_targets[i].protected_by);
    assert_memory_equal(a->resolutions, b->resolutions, sizeof(a->resolutions));
}

/* What a receiver has after the key frame. */
static duet_dependency_structure received(const duet_dependency_structure *s)
{
    duet_dependency_descriptor d = with_structure(s), out;
    duet_dependency_structure state = {0};
    uint8_t data[DATA_MAX];
    size_t len = write(data, &d, s);

    assert_int_equal(duet_dependency_descriptor_parse(&out, &state, data, len), DUET_OK);
    assert_true(out.start_of_frame && !out.end_of_frame && out.has_structure);
    assert_int_equal(out.frame_number, 100);
    expect_same_frame(&out.frame, &s->templates[0]);
    expect_same_structure(&state, s);
    return state;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* A.10.2.1, bit by bit. */
#define L1T3_STRUCTURE                                                                                                 \
    "000000 00010 "                          /* template_id_offset, dt_cnt_minus_one */                                \
    "00 01 01 00 11 "                        /* next_layer_idc */                                                      \
    "101010 101010 100100 010000 010000 "    /* template_dti */                                                        \
    "0 1 0011 0 1 0001 0 1 0000 0 1 0000 0 " /* template_fdiffs */                                                     \
    "01 "                                    /* chain_cnt: ns(4) */                                                    \
    "0000 0100 0010 0001 0011 "              /* template_chain_fdiff; protected_by are ns(1), no bits */               \
    "0 "                                     /* resolutions_present_flag */

static void three_temporal_layers_are_read(void **state)
{
    duet_dependency_descriptor d;
    duet_dependency_structure s = {0}, expected = l1t3();

    (void)state;
    assert_int_equal(parse_bits(&d, &s, "1 0 000000 0000000100000010 1 0 0 0 0 " L1T3_STRUCTURE), DUET_OK);
    assert_true(d.start_of_frame && !d.end_of_frame);
    assert_int_equal(d.template_id, 0);
    assert_int_equal(d.frame_number, 0x102);
    assert_true(d.has_structure && !d.has_active_decode_targets);
    expect_same_structure(&s, &expected);
    assert_int_equal(s.active_decode_targets, 7);
    assert_int_equal(s.spatial_count, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(s.decode_targets[i].spatial_id, 0);
        assert_int_equal(s.decode_targets[i].temporal_id, 2 - i);
    }

    assert_int_equal(parse_bits(&d, &s, "0 1 000010 0000000100000100"), DUET_OK); /* the usual three bytes */
    assert_true(d.end_of_frame && !d.has_structure);
    expect_same_frame(&d.frame, &expected.templates[2]);
}

static void the_descriptor_of_three_temporal_layers_is_written_as_it_is_read(void **state)
{
    duet_dependency_structure s = l1t3();
    duet_dependency_descriptor d = with_structure(&s);
    uint8_t expected[DATA_MAX], data[DATA_MAX];
    size_t len = from_bits(expected, "1 0 000000 0000000001100100 1 0 0 0 0 " L1T3_STRUCTURE);

    (void)state;
    assert_int_equal(write(data, &d, &s), len);
    assert_memory_equal(data, expected, len);
}

static void decode_targets_have_the_highest_layers_of_their_templates(void **state)
{
    duet_dependency_structure sent = l3t3(), s = received(&sent);

    (void)state;
    assert_int_equal(s.spatial_count, 3);
    for (unsigned i = 0; i < 9; i++) {
        assert_int_equal(s.decode_targets[i].spatial_id, 2 - i / 3);
        assert_int_equal(s.decode_targets[i].temporal_id, 2 - i % 3);
    }
}

static void what_differs_from_the_template_is_the_frames_own(void **state)
{
    duet_dependency_structure sent = l1t3(), s = received(&sent);
    duet_dependency_descriptor d;

    (void)state;
    /* own DTIs - D R, frame diffs 1, 17 and 257, a chain diff of 200 */
    assert_int_equal(parse_bits(&d, &s,
                                "1 1 000010 0000000000000001 0 0 1 1 1 "
                                "00 01 11  01 0000 10 00010000 11 000100000000 00  11001000"),
                     DUET_OK);
    assert_int_equal(d.frame.temporal_id, 1);
    assert_memory_equal(d.frame.dtis, ((uint8_t[]){0, 1, 3}), 3);
    assert_int_equal(d.frame.frame_diff_count, 3);
    assert_memory_equal(d.frame.frame_diffs, ((uint16_t[]){1, 17, 257}), 6);
    assert_int_equal(d.frame.chain_diffs[0], 200);
    assert_int_equal(s.templates[2].frame_diff_count, 1); /* the template stays */
}

static void active_decode_targets_stay_until_they_change(void **state)
{
    duet_dependency_structure sent = l1t3(), s = received(&sent);
    duet_dependency_descriptor d;

    (void)state;
    assert_int_equal(parse_bits(&d, &s, "1 1 000001 0000000000000001 0 1 0 0 0 011"), DUET_OK);
    assert_int_equal(d.active_decode_targets, 3);
    assert_int_equal(parse_bits(&d, &s, "1 1 000001 0000000000000010"), DUET_OK);
    assert_false(d.has_active_decode_targets);
    assert_int_equal(s.active_decode_targets, 3);
    s = received(&sent);
    assert_int_equal(s.active_decode_targets, 7);
    assert_int_equal(parse_bits(&d, &s, "1 0 000000 0000000100000010 1 1 0 0 0 " L1T3_STRUCTURE "101"), DUET_OK);
    assert_int_equal(s.active_decode_targets, 5);
}

static void padding_is_ignored(void **state)
{
    duet_dependency_structure sent = l1t3(), s = received(&sent);
    duet_dependency_descriptor d;

    (void)state;
    assert_int_equal(parse_bits(&d, &s, "1 1 000001 0000000000000001 0 0 0 0 0 111 11111111 00000001"), DUET_OK);
    expect_same_frame(&d.frame, &sent.templates[1]);
}

static void template_ids_go_round(void **state)
{
    duet_dependency_structure sent = l1t3(), s;
    duet_dependency_descriptor d;

    (void)state;
    sent.template_id_offset = 62;
    s = received(&sent);
    assert_int_equal(parse_bits(&d, &s, "1 1 111111 0000000000000001"), DUET_OK); /* 63 */
    expect_same_frame(&d.frame, &sent.templates[1]);
    assert_int_equal(parse_bits(&d, &s, "1 1 000010 0000000000000001"), DUET_OK); /* 2 */
    expect_same_frame(&d.frame, &sent.templates[4]);
    assert_int_equal(parse_bits(&d, &s, "1 1 000011 0000000000000001"), DUET_ERR_NOT_FOUND);
    assert_int_equal(parse_bits(&d, &s, "1 1 111101 0000000000000001"), DUET_ERR_NOT_FOUND);
}

/* ---- as Chromium sends them -------------------------------------------------------------------------------------- */

static size_t from_hex(uint8_t *data, const char *text)
{
    unsigned byte;
    size_t len = 0;

    for (; sscanf(text, "%2x", &byte) == 1; text += 2)
        data[len++] = (uint8_t)byte;
    return len;
}

/* Reads a packet's descriptor, and writes it again: Chromium leaves out what templates say, too. */
static void receive(duet_dependency_descriptor *d, duet_dependency_structure *s, const char *hex)
{
    uint8_t data[DATA_MAX], again[DATA_MAX];
    size_t len = from_hex(data, hex);

    assert_int_equal(duet_dependency_descriptor_parse(d, s, data, len), DUET_OK);
    assert_int_equal(write(again, d, s), len);
    assert_memory_equal(again, data, len);
}

static void expect_dtis(const duet_dependency_descriptor *d, const char *symbols)
{
    for (size_t i = 0; symbols[i]; i++)
        assert_int_equal(d->frame.dtis[i], dti_of(symbols[i]));
}

static void vp9_in_three_spatial_and_temporal_layers(void **state)
{
    static const duet_render_resolution sizes[] = {{240, 135}, {480, 270}, {960, 540}};
    duet_dependency_structure s = {0};
    duet_dependency_descriptor d;

    (void)state;
    receive(
        &d, &s,
        "cc00ff81881485214eaaaaa8000600004000100002aa80a8000600004000100002a000a800060000400016d549241b5524906d54923157"
        "e001974ca864330e222396eca8655304224390eca8775300ef008601df010d03bf021b");
    assert_true(d.start_of_frame && d.end_of_frame && d.has_structure && !d.has_active_decode_targets);
    assert_int_equal(s.template_id_offset, 12);
    assert_int_equal(s.template_count, 15);
    assert_int_equal(s.chain_count, 3);
    assert_int_equal(s.decode_target_count, 9);
    assert_int_equal(s.active_decode_targets, 0x1FF);
    assert_int_equal(s.spatial_count, 3);
    assert_memory_equal(s.resolutions, sizes, sizeof(sizes));
    for (unsigned i = 0; i < 9; i++) {
        assert_int_equal(s.decode_targets[i].spatial_id, i / 3);
        assert_int_equal(s.decode_targets[i].temporal_id, i % 3);
        assert_int_equal(s.decode_targets[i].protected_by, i / 3);
    }

    receive(&d, &s, "d90104"); /* the last layers: nobody refers to it */
    assert_int_equal(d.frame_number, 260);
    assert_int_equal(d.frame.spatial_id, 2);
    assert_int_equal(d.frame.temporal_id, 2);
    expect_dtis(&d, "--------D");
    assert_int_equal(d.frame.frame_diffs[0], 3);

    receive(&d, &s, "92010b1b40085850"); /* the first of two packets; a frame has been left out before */
    assert_true(d.start_of_frame && !d.end_of_frame);
    assert_int_equal(d.frame.spatial_id, 1);
    expect_dtis(&d, "---SSS---");
    assert_int_equal(d.frame.frame_diff_count, 1);
    assert_int_equal(d.frame.frame_diffs[0], 11);
    assert_memory_equal(d.frame.chain_diffs, ((uint8_t[]){1, 11, 10}), 3);
}

/* The key frame of three spatial layers while only two of them are sent yet. */
static void vp9_whose_third_layer_waits_for_bandwidth(void **state)
{
    duet_dependency_structure s = {0};
    duet_dependency_descriptor d;

    (void)state;
    receive(
        &d, &s,
        "cc00fdc1881485214eaaaaa8000600004000100002aa80a8000600004000100002a000a800060000400016d549241b5524906d54923157"
        "e001974ca864330e222396eca8655304224390eca8775300ef008601df010d03bf021b1f80");
    assert_true(d.has_active_decode_targets);
    assert_int_equal(s.active_decode_targets, 0x3F);
    receive(&d, &s, "9100fe");
    assert_int_equal(s.active_decode_targets, 0x3F);
}

static void vp8_in_three_temporal_layers(void **state)
{
    duet_dependency_structure s = {0};
    duet_dependency_descriptor d;

    (void)state;
    receive(&d, &s, "c0000180003a40809f807780"); /* one layer at first */
    assert_int_equal(s.template_count, 2);
    assert_int_equal(s.chain_count, 0);
    assert_int_equal(s.resolutions[0].width, 320);
    assert_int_equal(s.resolutions[0].height, 240);
    receive(&d, &s, "c200058042044eaaaf2860414d34538a0940404fc03bc0");
    assert_int_equal(s.template_count, 7);
    assert_int_equal(s.decode_target_count, 3);
    receive(&d, &s, "c70006");
    assert_int_equal(d.frame.temporal_id, 2);
    receive(&d, &s, "c5002f");
    assert_int_equal(d.frame.temporal_id, 1);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void only_what_differs_from_the_template_is_written(void **state)
{
    duet_dependency_structure s = l3t3();
    duet_dependency_descriptor d = {.template_id = 7, .frame_number = 0xFFFF, .frame = s.templates[7]}, out;
    uint8_t data[DATA_MAX];

    (void)state;
    assert_int_equal(write(data, &d, &s), 3);
    d.frame.dtis[0] = DUET_DTI_SWITCH;
    assert_int_equal(write(data, &d, &s), 6); /* 29 bits and nine of two */
    d.frame.chain_diffs[1] = 255;
    assert_int_equal(write(data, &d, &s), 9);
    d.frame.frame_diff_count = 3;
    d.frame.frame_diffs[1] = 4096;
    d.frame.frame_diffs[2] = 16;
    d.has_active_decode_targets = true;
    d.active_decode_targets = 0x1F0;
    size_t len = write(data, &d, &s);
    assert_int_equal(duet_dependency_descriptor_parse(&out, &s, data, len), DUET_OK);
    expect_same_frame(&out.frame, &d.frame);
    assert_int_equal(out.frame_number, 0xFFFF);
    assert_int_equal(s.active_decode_targets, 0x1F0);
}

static void a_frame_may_refer_to_none_where_its_template_does(void **state)
{
    duet_dependency_structure s = l1t3();
    duet_dependency_descriptor d = {.template_id = 1, .frame = s.templates[1]}, out;
    uint8_t data[DATA_MAX];

    (void)state;
    d.frame.frame_diff_count = 0;
    d.frame.frame_diffs[0] = 0;
    size_t len = write(data, &d, &s);
    assert_int_equal(len, 4);
    assert_int_equal(duet_dependency_descriptor_parse(&out, &s, data, len), DUET_OK);
    expect_same_frame(&out.frame, &d.frame);
}

/* 64 templates, 32 decode targets, 32 chains, 16 frame diffs: 10 KiB, more than an extension holds. */
static void the_largest_structure_comes_back(void **state)
{
    static uint8_t data[16384];
    duet_dependency_structure s = {.template_id_offset = 63, .template_count = 64, .decode_target_count = 32};
    duet_dependency_structure got = {0};
    duet_dependency_descriptor out;
    size_t len;

    (void)state;
    s.chain_count = 32;
    for (unsigned i = 0; i < 32; i++)
        s.decode_targets[i].protected_by = (uint8_t)(31 - i);
    for (unsigned i = 0; i < 64; i++) {
        duet_frame_dependencies *t = &s.templates[i];
        t->spatial_id = (uint8_t)(i / 16);
        t->temporal_id = (uint8_t)(i / 2 % 8);
        t->frame_diff_count = 16;
        for (unsigned k = 0; k < 32; k++) {
            t->dtis[k] = k == i % 32 ? DUET_DTI_REQUIRED : DUET_DTI_NOT_PRESENT;
            t->chain_diffs[k] = (uint8_t)(k % 16);
            t->frame_diffs[k % 16] = (uint16_t)(k % 16 + 1);
        }
    }
    duet_dependency_descriptor d = with_structure(&s);
    assert_int_equal(duet_dependency_descriptor_write(&d, &s, data, sizeof(data), &len), DUET_OK);
    assert_int_equal(duet_dependency_descriptor_parse(&out, &got, data, len), DUET_OK);
    expect_same_structure(&got, &s);
    assert_int_equal(got.decode_targets[31].spatial_id, 3);
    assert_int_equal(got.decode_targets[31].temporal_id, 7);
    assert_int_equal(got.active_decode_targets, UINT32_MAX);
}

static void expect_invalid(const duet_dependency_descriptor *d, const duet_dependency_structure *s)
{
    uint8_t data[DATA_MAX];
    size_t len;

    assert_int_equal(duet_dependency_descriptor_write(d, s, data, sizeof(data), &len), DUET_ERR_INVALID);
    assert_int_equal(len, 0);
}

#define EXPECT_INVALID_WITH(change)                                                                                    \
    do {                                                                                                               \
        duet_dependency_structure s = l3t3();                                                                          \
        duet_dependency_descriptor d = with_structure(&s);                                                             \
        change;                                                                                                        \
        expect_invalid(&d, &s);                                                                                        \
    } while (0)

static void what_has_no_bits_is_not_written(void **state)
{
    (void)state;
    EXPECT_INVALID_WITH(s.template_count = 0);
    EXPECT_INVALID_WITH(s.template_count = 65);
    EXPECT_INVALID_WITH(s.template_id_offset = 64);
    EXPECT_INVALID_WITH(s.decode_target_count = 0);
    EXPECT_INVALID_WITH(s.decode_target_count = 33);
    EXPECT_INVALID_WITH(s.chain_count = 10);
    EXPECT_INVALID_WITH(s.decode_targets[8].protected_by = 3);
    EXPECT_INVALID_WITH(s.templates[0].temporal_id = 1);
    EXPECT_INVALID_WITH(s.templates[3].temporal_id = 3);
    EXPECT_INVALID_WITH(s.templates[5].temporal_id = 1);
    EXPECT_INVALID_WITH(s.templates[14].spatial_id = 3);
    EXPECT_INVALID_WITH(s.templates[1].frame_diffs[0] = 0);
    EXPECT_INVALID_WITH(s.templates[1].frame_diffs[0] = 17);
    EXPECT_INVALID_WITH(s.templates[1].frame_diff_count = 17);
    EXPECT_INVALID_WITH(s.templates[1].chain_diffs[2] = 16);
    EXPECT_INVALID_WITH(s.templates[1].dtis[8] = 4);
    EXPECT_INVALID_WITH(s.resolutions[2].height = 0);
    EXPECT_INVALID_WITH(s.resolutions[2].width = 65537);
    EXPECT_INVALID_WITH(d.template_id = 64);
    EXPECT_INVALID_WITH(d.template_id = 15);
    EXPECT_INVALID_WITH(d.frame.spatial_id = 1);
    EXPECT_INVALID_WITH(d.frame.temporal_id = 1);
    EXPECT_INVALID_WITH((d.has_active_decode_targets = true, d.active_decode_targets = 0x200));
    EXPECT_INVALID_WITH((d.frame.frame_diff_count = 1, d.frame.frame_diffs[0] = 4097));
    EXPECT_INVALID_WITH(d.frame.frame_diff_count = 17);
    EXPECT_INVALID_WITH(d.frame.dtis[0] = 255);
}

static void a_buffer_that_is_too_small_is_told(void **state)
{
    duet_dependency_structure s = l3t3();
    duet_dependency_descriptor d = with_structure(&s);
    uint8_t data[DATA_MAX];
    size_t len = write(data, &d, &s), got;

    (void)state;
    for (size_t capacity = 0; capacity < len; capacity++) {
        uint8_t *exact = malloc(capacity + 1);
        assert_int_equal(duet_dependency_descriptor_write(&d, &s, exact, capacity, &got), DUET_ERR_BUFFER);
        assert_int_equal(got, 0);
        free(exact);
    }
}

/* ---- hostile bytes ----------------------------------------------------------------------------------------------- */

static void without_a_structure_only_the_frame_number_is_known(void **state)
{
    duet_dependency_structure s = {0};
    duet_dependency_descriptor d;

    (void)state;
    assert_int_equal(parse_bits(&d, &s, "0 1 000101 0000000000001001"), DUET_ERR_NOT_FOUND);
    assert_int_equal(d.template_id, 5);
    assert_int_equal(d.frame_number, 9);
    assert_true(d.end_of_frame);
    assert_int_equal(parse_bits(&d, &s, "0 1 000101 0000000000001001 0 1 1 1 1 11111111 11111111"), DUET_ERR_NOT_FOUND);
    assert_int_equal(d.frame_number, 9);
    assert_int_equal(s.template_count, 0);
    assert_int_equal(s.active_decode_targets, 0);
}

static void a_structure_without_the_template_of_its_frame_is_malformed(void **state)
{
    duet_dependency_structure s = {0};
    duet_dependency_descriptor d;

    (void)state;
    assert_int_equal(parse_bits(&d, &s, "1 0 000101 0000000000001001 1 0 0 0 0 " L1T3_STRUCTURE), DUET_ERR_MALFORMED);
    assert_int_equal(s.template_count, 0);
}

static void a_descriptor_cut_anywhere_is_malformed_and_changes_nothing(void **state)
{
    duet_dependency_structure sent = l3t3(), small = l1t3(), kept = received(&small), s = kept;
    duet_dependency_descriptor d = with_structure(&sent), out;
    uint8_t data[DATA_MAX];

    (void)state;
    d.has_active_decode_targets = true;
    d.frame.frame_diff_count = 2;
    d.frame.frame_diffs[0] = d.frame.frame_diffs[1] = 4096;
    d.frame.chain_diffs[2] = 255;
    size_t len = write(data, &d, &sent);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut + 1);
        memcpy(exact, data, cut);
        int err = duet_dependency_descriptor_parse(&out, &s, exact, cut);
        assert_int_equal(err, cut == 3 ? DUET_OK : DUET_ERR_MALFORMED); /* three bytes refer to the structure before */
        assert_memory_equal(&s, &kept, sizeof(s));
        free(exact);
    }
    assert_int_equal(duet_dependency_descriptor_parse(&out, &s, data, len), DUET_OK);
    expect_same_structure(&s, &sent);
}

static void any_flipped_bit_leaves_values_within_their_bounds(void **state)
{
    duet_dependency_structure sent = l3t3();
    duet_dependency_descriptor d = with_structure(&sent), out;
    uint8_t data[DATA_MAX], again[DATA_MAX];
    size_t len = write(data, &d, &sent), again_len;

    (void)state;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        duet_dependency_structure s = {0};
        data[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
        if (duet_dependency_descriptor_parse(&out, &s, data, len) == DUET_OK)
            assert_int_equal(duet_dependency_descriptor_write(&out, &s, again, sizeof(again), &again_len), DUET_OK);
        data[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
    }
}

/* A structure that goes on for ever: each pair of bits says that another template follows. */
static void expect_endless_layers_to_fail(const char *next_layer_idc)
{
    duet_dependency_structure s = {0};
    duet_dependency_descriptor d;
    char text[DATA_MAX] = "1 0 000000 0000000000000000 1 0 0 0 0 000000 00000 ";

    for (size_t i = 0; i < 300; i++)
        strcat(text, next_layer_idc);
    assert_int_equal(parse_bits(&d, &s, text), DUET_ERR_MALFORMED);
    assert_int_equal(s.template_count, 0);
}

static void thousands_of_layers_are_refused(void **state)
{
    (void)state;
    expect_endless_layers_to_fail("00"); /* the 65th template */
    expect_endless_layers_to_fail("01"); /* the ninth temporal layer */
    expect_endless_layers_to_fail("10"); /* the fifth spatial layer */
}

static void frame_diffs_without_end_are_refused(void **state)
{
    duet_dependency_structure sent = l1t3(), s = {0};
    duet_dependency_descriptor d;
    char text[DATA_MAX] = "1 0 000000 0000000000000000 1 0 0 0 0 000000 00000 11 00 ";

    (void)state;
    for (size_t i = 0; i < 100; i++)
        strcat(text, "1 0000 ");
    assert_int_equal(parse_bits(&d, &s, text), DUET_ERR_MALFORMED);
    s = received(&sent);
    strcpy(text, "1 0 000000 0000000000000000 0 0 0 1 0 ");
    for (size_t i = 0; i < 100; i++)
        strcat(text, "01 0000 ");
    assert_int_equal(parse_bits(&d, &s, text), DUET_ERR_MALFORMED);
}

static void random_bytes_never_give_what_cannot_be_written(void **state)
{
    duet_dependency_structure s = {0};
    duet_dependency_descriptor d;
    static uint8_t again[16384];
    uint64_t seed = 77;
    unsigned understood = 0;
    size_t again_len;

    (void)state;
    for (size_t i = 0; i < 20000; i++) {
        size_t len = test_random_below(&seed, 64);
        uint8_t data[64];
        test_random_fill(&seed, data, len);
        if (duet_dependency_descriptor_parse(&d, &s, data, len) != DUET_OK)
            continue;
        understood++;
        assert_int_equal(duet_dependency_descriptor_write(&d, &s, again, sizeof(again), &again_len), DUET_OK);
    }
    assert_true(understood > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_temporal_layers_are_read),
        cmocka_unit_test(the_descriptor_of_three_temporal_layers_is_written_as_it_is_read),
        cmocka_unit_test(decode_targets_have_the_highest_layers_of_their_templates),
        cmocka_unit_test(what_differs_from_the_template_is_the_frames_own),
        cmocka_unit_test(active_decode_targets_stay_until_they_change),
        cmocka_unit_test(padding_is_ignored),
        cmocka_unit_test(template_ids_go_round),
        cmocka_unit_test(vp9_in_three_spatial_and_temporal_layers),
        cmocka_unit_test(vp9_whose_third_layer_waits_for_bandwidth),
        cmocka_unit_test(vp8_in_three_temporal_layers),
        cmocka_unit_test(only_what_differs_from_the_template_is_written),
        cmocka_unit_test(a_frame_may_refer_to_none_where_its_template_does),
        cmocka_unit_test(the_largest_structure_comes_back),
        cmocka_unit_test(what_has_no_bits_is_not_written),
        cmocka_unit_test(a_buffer_that_is_too_small_is_told),
        cmocka_unit_test(without_a_structure_only_the_frame_number_is_known),
        cmocka_unit_test(a_structure_without_the_template_of_its_frame_is_malformed),
        cmocka_unit_test(a_descriptor_cut_anywhere_is_malformed_and_changes_nothing),
        cmocka_unit_test(any_flipped_bit_leaves_values_within_their_bounds),
        cmocka_unit_test(thousands_of_layers_are_refused),
        cmocka_unit_test(frame_diffs_without_end_are_refused),
        cmocka_unit_test(random_bytes_never_give_what_cannot_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
