/* Files made by hand: every part of the formats that readers must know, byte by byte. */
#include "media_files_made.h"

/* ---- formats ----------------------------------------------------------------------------------------------------- */

static void formats_are_known_by_their_first_bytes(void **state)
{
    (void)state;
    const struct {
        duet_file_format format;
        uint8_t head[16];
        size_t len;
    } heads[] = {
        {DUET_FILE_OGG, "OggS", 5},
        {DUET_FILE_IVF, "DKIF", 5},
        {DUET_FILE_WEBM, {0x1A, 0x45, 0xDF, 0xA3}, 4},
        {DUET_FILE_WAV, "RIFF\1\2\3\4WAVE", 12},
        {DUET_FILE_UNKNOWN, "RIFF\1\2\3\4AVI ", 12},
        {DUET_FILE_Y4M, "YUV4MPEG2 W1", 12},
        {DUET_FILE_H264, {0, 0, 0, 1, 0x67, 0x42}, 6},
        {DUET_FILE_H264, {0, 0, 1, 9, 0x10}, 5},
        {DUET_FILE_H265, {0, 0, 0, 1, 0x40, 1}, 6},
        {DUET_FILE_H265, {0, 0, 1, 0x46, 1}, 5},
        {DUET_FILE_UNKNOWN, {0, 0, 2, 1}, 4},
        {DUET_FILE_UNKNOWN, "", 0},
    };

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        assert_int_equal(duet_file_detect(heads[i].head, heads[i].len), heads[i].format);
    assert_int_equal(duet_file_format_of_name("a/b.c/music.OPUS"), DUET_FILE_OGG);
    assert_int_equal(duet_file_format_of_name("x.mkv"), DUET_FILE_WEBM);
    assert_int_equal(duet_file_format_of_name("x.webm/y"), DUET_FILE_UNKNOWN);
    assert_int_equal(duet_file_format_of_name("webm"), DUET_FILE_UNKNOWN);
    assert_string_equal(duet_file_format_name(DUET_FILE_WEBM), "WebM");
    assert_string_equal(duet_file_format_name((duet_file_format)99), "unknown");
}

static void an_unknown_file_is_refused(void **state)
{
    (void)state;
    files_trip t;
    const uint8_t text[] = "hello";

    READ(&t, DUET_FILE_UNKNOWN, text);
    expect_error(&t, DUET_ERR_UNSUPPORTED, "offset 0: this is none of");
    files_read(&t, NULL, DUET_FILE_UNKNOWN, text, 0, NULL);
    expect_error(&t, DUET_ERR_UNSUPPORTED, "none of");
}

/* ---- IVF --------------------------------------------------------------------------------------------------------- */

#define IVF_HEAD(a, b, c, d, rate, scale)                                                                              \
    'D', 'K', 'I', 'F', 0, 0, 32, 0, a, b, c, d, 0x80, 2, 0xE0, 1, rate, 0, 0, 0, scale, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0

static void ivf_times_are_those_of_its_clock(void **state)
{
    (void)state;
    const uint8_t file[] = {IVF_HEAD('V', 'P', '8', '0', 30, 2),
                            1,
                            0,
                            0,
                            0,
                            3,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            'a',
                            0,
                            0,
                            0,
                            0,
                            4,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0, /* a frame that was dropped */
                            2,
                            0,
                            0,
                            0,
                            5,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            'b',
                            'c'};
    files_trip t;

    READ(&t, DUET_FILE_UNKNOWN, file);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 2);
    expect_sample(&t, 0, "a", 200000, 0);
    expect_sample(&t, 1, "bc", 333333, 0);
    assert_string_equal(t.tracks[0].codec, "VP8");
    assert_int_equal(t.tracks[0].width, 640);
    assert_int_equal(t.tracks[0].height, 480);
    assert_int_equal(t.tracks[0].rate_num, 30);
    assert_int_equal(t.tracks[0].rate_den, 2);
    files_trip_free(&t);
}

static void hostile_ivf_is_refused(void **state)
{
    (void)state;
    const uint8_t unknown[] = {IVF_HEAD('M', 'J', 'P', 'G', 30, 1)};
    const uint8_t no_clock[] = {IVF_HEAD('V', 'P', '8', '0', 30, 0)};
    const uint8_t huge[] = {IVF_HEAD('V', 'P', '8', '0', 30, 1), 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0};
    const uint8_t late[] = {
        IVF_HEAD('V', 'P', '8', '0', 1, 200), 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1};
    const uint8_t cut[] = {IVF_HEAD('V', 'P', '8', '0', 30, 1), 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    files_trip t;

    READ(&t, DUET_FILE_IVF, unknown);
    expect_error(&t, DUET_ERR_UNSUPPORTED, "0x4d4a5047");
    READ(&t, DUET_FILE_IVF, no_clock);
    expect_error(&t, DUET_ERR_MALFORMED, "0/30");
    READ(&t, DUET_FILE_IVF, huge);
    expect_error(&t, DUET_ERR_LIMIT, "offset 32: a frame of 4294967295 bytes");
    READ(&t, DUET_FILE_IVF, late);
    expect_error(&t, DUET_ERR_MALFORMED, "too large");
    READ(&t, DUET_FILE_IVF, cut);
    expect_error(&t, DUET_ERR_MALFORMED, "offset 45: the file ends too early");
}

/* ---- WAV --------------------------------------------------------------------------------------------------------- */

#define WAV_HEAD 'R', 'I', 'F', 'F', 0, 0, 0, 0, 'W', 'A', 'V', 'E'
#define WAV_FORMAT(tag, channels, align, bits)                                                                         \
    'f', 'm', 't', ' ', 16, 0, 0, 0, tag, 0, channels, 0, 0x40, 0x1F, 0, 0, 0, 0, 0, 0, align, 0, bits, 0

static void expect_values(const files_trip *t, const int16_t *values, size_t count)
{
    size_t at = 0;

    assert_int_equal(t->err, 0);
    for (size_t i = 0; i < t->count; i++) {
        assert_true(at + t->samples[i].len / 2 <= count);
        assert_memory_equal(t->samples[i].data, values + at, t->samples[i].len);
        at += t->samples[i].len / 2;
    }
    assert_int_equal(at, count);
}

static void wav_of_every_size_becomes_16_bits(void **state)
{
    (void)state;
    const uint8_t bits8[] = {WAV_HEAD,
                             'L',
                             'I',
                             'S',
                             'T',
                             3,
                             0,
                             0,
                             0,
                             1,
                             2,
                             3,
                             0, /* a chunk of an odd length */
                             WAV_FORMAT(1, 1, 1, 8),
                             'd',
                             'a',
                             't',
                             'a',
                             3,
                             0,
                             0,
                             0,
                             0,
                             128,
                             255,
                             0};
    const uint8_t bits24[] = {WAV_HEAD, WAV_FORMAT(1, 1, 3, 24), 'd', 'a', 't', 'a', 6, 0, 0, 0, 9, 0, 0x80, 9, 0xFF,
                              0x7F};
    const uint8_t floats[] = {WAV_HEAD, WAV_FORMAT(3, 1, 4, 32),
                              'd',      'a',
                              't',      'a',
                              24,       0,
                              0,        0,
                              0,        0,
                              0,        0x3F,
                              0,        0,
                              0x80,     0x3F,
                              0,        0,
                              0x80,     0xC0,
                              0,        0,
                              0xC0,     0x7F,
                              0,        0,
                              0x80,     0x7F,
                              0,        0,
                              0,        0xBF};
    const uint8_t extensible[] = {WAV_HEAD, 'f', 'm',  't', ' ',  40,   0,    0,   0,   0xFE, 0xFF, 2,    0,    0x40,
                                  0x1F,     0,   0,    0,   0,    0,    0,    4,   0,   16,   0,    22,   0,    16,
                                  0,        3,   0,    0,   0,    1,    0,    0,   0,   0,    0,    0x10, 0,    0x80,
                                  0,        0,   0xAA, 0,   0x38, 0x9B, 0x71, 'd', 'a', 't',  'a',  0xFF, 0xFF, 0xFF,
                                  0xFF,     1,   0,    2,   0,    3,    0,    4,   0,   5};
    files_trip t;

    READ(&t, DUET_FILE_UNKNOWN, bits8);
    expect_values(&t, (const int16_t[]){-32768, 0, 32512}, 3);
    assert_int_equal(t.tracks[0].sample_rate, 8000);
    files_trip_free(&t);
    READ(&t, DUET_FILE_WAV, bits24);
    expect_values(&t, (const int16_t[]){-32768, 32767}, 2);
    files_trip_free(&t);
    READ(&t, DUET_FILE_WAV, floats);
    expect_values(&t, (const int16_t[]){16383, 32767, -32767, 0, 32767, -16383}, 6);
    files_trip_free(&t);
    READ(&t, DUET_FILE_WAV, extensible); /* of unknown length, which ends within a sample */
    expect_values(&t, (const int16_t[]){1, 2, 3, 4}, 4);
    assert_int_equal(t.tracks[0].channels, 2);
    files_trip_free(&t);
}

/* As pipes and recorders that were killed leave it; but what another chunk follows is empty. */
static void a_wav_whose_lengths_were_never_written_goes_on_to_the_end(void **state)
{
    (void)state;
    uint8_t bytes[] = {WAV_HEAD, WAV_FORMAT(1, 1, 2, 16), 'd', 'a', 't', 'a', 0, 0, 0, 0, 'L', 'I', 'S', 'T', 0, 0, 0,
                       0};
    const uint8_t lengths[] = {0, 36, 44}; /* of RIFF: not written, of the header alone, of all */
    const size_t counts[] = {4, 4, 0};
    files_trip t;

    for (size_t i = 0; i < 3; i++) {
        bytes[4] = lengths[i];
        READ(&t, DUET_FILE_WAV, bytes);
        assert_int_equal(t.err, DUET_OK);
        assert_int_equal(t.count ? t.samples[0].len / 2 : 0, counts[i]);
        files_trip_free(&t);
    }
}

static void hostile_wav_is_refused(void **state)
{
    (void)state;
    const uint8_t alaw[] = {WAV_HEAD, WAV_FORMAT(6, 1, 1, 8)};
    const uint8_t align[] = {WAV_HEAD, WAV_FORMAT(1, 2, 1, 16)};
    const uint8_t many[] = {WAV_HEAD, WAV_FORMAT(1, 100, 200, 16)};
    const uint8_t none[] = {WAV_HEAD, WAV_FORMAT(1, 0, 0, 16)};
    const uint8_t early[] = {WAV_HEAD, 'd', 'a', 't', 'a', 0, 0, 0, 0};
    const uint8_t huge[] = {WAV_HEAD, 'L', 'I', 'S', 'T', 0xFF, 0xFF, 0xFF, 0xFF, 1};
    const uint8_t format[] = {WAV_HEAD, 'f', 'm', 't', ' ', 0xFF, 0xFF, 0xFF, 0xFF};
    files_trip t;

    READ(&t, DUET_FILE_WAV, alaw);
    expect_error(&t, DUET_ERR_UNSUPPORTED, "format 0x0006 and 8 bits");
    READ(&t, DUET_FILE_WAV, align);
    expect_error(&t, DUET_ERR_MALFORMED, "blocks of 1 bytes");
    READ(&t, DUET_FILE_WAV, many);
    expect_error(&t, DUET_ERR_UNSUPPORTED, "100 channels");
    READ(&t, DUET_FILE_WAV, none);
    expect_error(&t, DUET_ERR_UNSUPPORTED, "0 channels");
    READ(&t, DUET_FILE_WAV, early);
    expect_error(&t, DUET_ERR_MALFORMED, "data before its format");
    READ(&t, DUET_FILE_WAV, huge);
    expect_error(&t, DUET_ERR_MALFORMED, "ends too early");
    READ(&t, DUET_FILE_WAV, format);
    expect_error(&t, DUET_ERR_MALFORMED, "a format of");
}

/* ---- YUV4MPEG2 --------------------------------------------------------------------------------------------------- */

static files_trip y4m_read(const char *text)
{
    files_trip t;

    files_read(&t, NULL, DUET_FILE_Y4M, (const uint8_t *)text, strlen(text), NULL);
    return t;
}

static void y4m_headers_say_size_and_rate(void **state)
{
    (void)state;
    files_trip t = y4m_read("YUV4MPEG2 W2  H1 F30000:1001 Ip A0:0 C420mpeg2 XYSCSS=420 \nFRAME X=1\nabcdFRAME\nefgh");

    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 2);
    expect_sample(&t, 0, "abcd", 0, 33366);
    expect_sample(&t, 1, "efgh", 33366, 33367);
    assert_int_equal(t.tracks[0].rate_num, 30000);
    assert_int_equal(t.tracks[0].rate_den, 1001);
    files_trip_free(&t);
}

static void hostile_y4m_is_refused(void **state)
{
    (void)state;
    const struct {
        int err;
        const char *file, *text;
    } cases[] = {
        {DUET_ERR_UNSUPPORTED, "YUV4MPEG2 W2 H2 It\n", "offset 16: interlaced"},
        {DUET_ERR_UNSUPPORTED, "YUV4MPEG2 W2 H2 C444\n", "chroma 444"},
        {DUET_ERR_UNSUPPORTED, "YUV4MPEG2 W2 H2 C420p10\n", "chroma 420p10"},
        {DUET_ERR_MALFORMED, "YUV4MPEG2 W0 H2\n", "parameter W"},
        {DUET_ERR_MALFORMED, "YUV4MPEG2 W2 H99999\n", "parameter H"},
        {DUET_ERR_MALFORMED, "YUV4MPEG2 W2 H2 F30\n", "parameter F"},
        {DUET_ERR_MALFORMED, "YUV4MPEG2 W2\n", "does not tell"},
        {DUET_ERR_LIMIT, "YUV4MPEG2 W65535 H65535\n", "frames of"},
        {DUET_ERR_MALFORMED, "YUV4MPEG2 W2 H2\r\n", "byte 0x0d"},
        {DUET_ERR_MALFORMED, "YUV4MPEG2 W2 H1\nFRAMES\nabcd", "begins with \"FRAME\""},
        {DUET_ERR_MALFORMED, "YUV4MPEG2 W2 H1\nFRAME\nabc", "ends too early"},
        {DUET_ERR_MALFORMED, "RIFF W2 H1\n", "that word"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        files_trip t = y4m_read(cases[i].file);
        expect_error(&t, cases[i].err, cases[i].text);
    }
    char line[2000];
    memset(line, 'x', sizeof(line));
    files_trip t;
    files_read(&t, NULL, DUET_FILE_Y4M, (const uint8_t *)line, sizeof(line), NULL);
    expect_error(&t, DUET_ERR_MALFORMED, "a line of more than");
}

/* ---- Annex B ----------------------------------------------------------------------------------------------------- */

static void access_units_are_told_apart(void **state)
{
    (void)state;
    const uint8_t h264[] = {
        0, 0, 0, 0, 1,    9,    0x10, 0, 0, 1,    0x67, 1,    0, 0, 1,    0x68,
        1, 0, 0, 1, 0x65, 0x80, 0,    0, 1, 0x65, 0x40,                         /* a second slice */
        0, 0, 0, 1, 9,    0x30, 0,    0, 1, 0x41, 0x80, 0,    0, 1, 0x41, 0x81, /* by first_mb_in_slice alone */
        0, 0, 0, 1, 6,    1,    0x80, 0, 0, 1,    0x41, 0x82, 0, 0};
    const uint8_t h265[] = {0, 0, 0, 1, 0x40, 1,    7, 0, 0, 1,    0x26, 1, 0x80, 0, 0, 1, 0x26, 1,   0x40,
                            0, 0, 1, 2, 1,    0x80, 0, 0, 1, 0x4E, 1,    1, 0,    0, 1, 2, 1,    0x80};
    files_trip t;

    READ(&t, DUET_FILE_UNKNOWN, h264);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 4);
    assert_int_equal(t.samples[0].len, 27);
    assert_int_equal(t.samples[1].len, 11);
    assert_int_equal(t.samples[2].len, 5);
    assert_int_equal(t.samples[3].len, 14);
    assert_true(t.samples[0].is_keyframe && !t.samples[1].is_keyframe);
    assert_int_equal(t.samples[3].time, 120000);
    assert_int_equal(t.tracks[0].rate_num, 0);
    files_trip_free(&t);
    READ(&t, DUET_FILE_UNKNOWN, h265);
    assert_int_equal(t.format, DUET_FILE_H265);
    assert_int_equal(t.count, 3);
    assert_int_equal(t.samples[0].len, 19);
    assert_true(t.samples[0].is_keyframe && !t.samples[2].is_keyframe);
    files_trip_free(&t);
}

static void sps_tell_size_and_rate(void **state)
{
    (void)state;
    /* Baseline, 640x480, 30 pictures in a second; and High, 1920x1080 with cropping. */
    const uint8_t vui[] = {0,    0,    0,    1,    0x67, 0x42, 0xC0, 0x1E, 0xD9, 0x00, 0xA0,
                           0x3D, 0xA1, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00,
                           0x3C, 0x0F, 0x16, 0x2E, 0x48, 0,    0,    1,    0x65, 0x80};
    files_trip t;

    READ(&t, DUET_FILE_H264, vui);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.tracks[0].width, 640);
    assert_int_equal(t.tracks[0].height, 480);
    assert_int_equal(t.tracks[0].rate_num, 30);
    assert_int_equal(t.tracks[0].rate_den, 1);
    assert_int_equal(t.samples[0].duration, 33333);
    files_trip_free(&t);
}

static void sps_of_every_profile_tell_size_and_rate(void **state)
{
    (void)state;
    const struct {
        duet_file_format format;
        unsigned width, height, rate_num, rate_den;
        size_t len;
        uint8_t sps[48];
    } cases[] = {
        /* High: cropped, with all that stands before the rate */
        {DUET_FILE_H264, 1920, 1080, 30000, 1001, 30, {0x67, 0x64, 0x00, 0x28, 0xAC, 0xD9, 0x40, 0x78, 0x02, 0x27,
                                                       0xE5, 0xC0, 0xA9, 0x40, 0x40, 0x40, 0x69, 0x40, 0x00, 0x00,
                                                       0xFA, 0x40, 0x00, 0x3A, 0x98, 0x03, 0xC6, 0x0C, 0x65, 0x80}},
        /* 4:4:4 */
        {DUET_FILE_H264, 100, 50, 25, 1, 24, {0x67, 0xF4, 0x00, 0x0D, 0x91, 0x9B, 0x28, 0xE4, 0xF1, 0xB1, 0xF0, 0x80,
                                              0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x19, 0x07, 0x8A, 0x14, 0xCB}},
        /* 4:2:2, in fields */
        {DUET_FILE_H264, 322, 240, 50, 1, 26, {0x67, 0x7A, 0x00, 0x15, 0xBC, 0xD9, 0x41, 0x51, 0x0F,
                                               0x11, 0x13, 0x08, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00,
                                               0x00, 0x03, 0x03, 0x20, 0xF8, 0xA1, 0x4C, 0xB0}},
        /* cropped */
        {DUET_FILE_H265, 1918, 1080, 0, 0, 43, {0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00,
                                                0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x78, 0xA0, 0x03, 0xC0, 0x80,
                                                0x10, 0xE7, 0x5E, 0x59, 0x59, 0xA4, 0x93, 0x2B, 0x9A, 0x02, 0x00,
                                                0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x32, 0x10}},
        /* 4:4:4 with two temporal layers */
        {DUET_FILE_H265, 320, 242, 0, 0, 45, {0x42, 0x01, 0x02, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9E, 0x08, 0x00,
                                              0x00, 0x03, 0x00, 0x00, 0x3C, 0x00, 0x00, 0x90, 0x01, 0x41, 0x01, 0xF3,
                                              0xE7, 0xCB, 0x2B, 0x31, 0x59, 0xA4, 0x93, 0x2B, 0x9A, 0x02, 0x00, 0x00,
                                              0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x32, 0x10}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool is_h265 = cases[i].format == DUET_FILE_H265;
        for (size_t cut = 0; cut < 2 * cases[i].len; cut++) {
            uint8_t file[64] = {0, 0, 1};
            const uint8_t slice[] = {0, 0, 1, is_h265 ? 0x26 : 0x65, is_h265 ? 0x01 : 0x80, 0x80};
            size_t len = cut < cases[i].len ? cases[i].len - cut : 1 + cut / 2;
            files_trip t;
            memcpy(file + 3, cases[i].sps, len);
            memcpy(file + 3 + len, slice, sizeof(slice));
            files_read(&t, NULL, cases[i].format, file, 3 + len + sizeof(slice), NULL);
            assert_int_equal(t.err, 0);
            if (cut == 0) {
                assert_int_equal(t.count, 1);
                assert_int_equal(t.tracks[0].width, cases[i].width);
                assert_int_equal(t.tracks[0].height, cases[i].height);
                assert_int_equal(t.tracks[0].rate_num, cases[i].rate_num);
                assert_int_equal(t.tracks[0].rate_den, cases[i].rate_den);
            }
            files_trip_free(&t);
        }
    }
}

static void streams_without_start_codes_are_refused(void **state)
{
    (void)state;
    const uint8_t none[] = {0, 0, 2, 3, 4, 5};
    const uint8_t late[] = {7, 0, 0, 1, 0x65, 0x80};
    const uint8_t parameters[] = {0, 0, 1, 0x67, 1};
    files_trip t;

    READ(&t, DUET_FILE_H264, none);
    expect_error(&t, DUET_ERR_MALFORMED, "no start code");
    READ(&t, DUET_FILE_H264, late);
    expect_error(&t, DUET_ERR_MALFORMED, "before the first start code");
    READ(&t, DUET_FILE_H264, parameters);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_known_by_their_first_bytes),
        cmocka_unit_test(an_unknown_file_is_refused),
        cmocka_unit_test(ivf_times_are_those_of_its_clock),
        cmocka_unit_test(hostile_ivf_is_refused),
        cmocka_unit_test(wav_of_every_size_becomes_16_bits),
        cmocka_unit_test(a_wav_whose_lengths_were_never_written_goes_on_to_the_end),
        cmocka_unit_test(hostile_wav_is_refused),
        cmocka_unit_test(y4m_headers_say_size_and_rate),
        cmocka_unit_test(hostile_y4m_is_refused),
        cmocka_unit_test(access_units_are_told_apart),
        cmocka_unit_test(sps_tell_size_and_rate),
        cmocka_unit_test(sps_of_every_profile_tell_size_and_rate),
        cmocka_unit_test(streams_without_start_codes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
