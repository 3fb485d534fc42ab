/* Readers and writers at their bounds: files that end anywhere, memory that is not there, calls that are wrong. */
#include "media_files.h"

static const duet_file_format formats[] = {DUET_FILE_OGG, DUET_FILE_IVF,  DUET_FILE_WEBM, DUET_FILE_WAV,
                                           DUET_FILE_Y4M, DUET_FILE_H264, DUET_FILE_H265};

#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static duet_file_track track_of(duet_file_format format)
{
    switch (format) {
    case DUET_FILE_OGG:
        return (duet_file_track){.codec = "opus", .channels = 2, .pre_skip = 312};
    case DUET_FILE_WAV:
        return (duet_file_track){.codec = "L16", .channels = 1, .sample_rate = 8000};
    case DUET_FILE_Y4M:
        return (duet_file_track){.codec = "I420", .is_video = true, .width = 8, .height = 8};
    case DUET_FILE_H264:
        return (duet_file_track){.codec = "H264", .is_video = true};
    case DUET_FILE_H265:
        return (duet_file_track){.codec = "H265", .is_video = true};
    default:
        return (duet_file_track){.codec = "VP8", .is_video = true, .width = 8, .height = 8};
    }
}

static files_output file_of(duet_file_format format, unsigned count)
{
    duet_file_track track = track_of(format);
    uint64_t random = 5;
    files_sample *samples = files_random(format, &track, 1, count, &random);
    files_output out;

    files_write(&out, NULL, format, &track, 1, samples, count, true);
    files_samples_free(samples, count);
    return out;
}

static void files_may_end_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMATS; i++) {
        files_output out = file_of(formats[i], 3);
        size_t last = 0;
        for (size_t len = 0; len <= out.len; len += 1 + len / 64) {
            files_trip t;
            uint64_t random = len;
            files_read(&t, NULL, formats[i], out.data, len, &random);
            assert_true(t.err == DUET_OK || t.err == DUET_ERR_MALFORMED);
            if (t.count < last || t.count > 3)
                fail_msg("%s: %zu samples in %zu bytes", duet_file_format_name(formats[i]), t.count, len);
            assert_int_equal(t.err != DUET_OK, t.error[0] != 0);
            last = t.count;
            files_trip_free(&t);
        }
        free(out.data);
    }
}

static void flipped_bits_do_no_harm(void **state)
{
    (void)state;
    uint64_t random = 9;

    for (size_t i = 0; i < FORMATS; i++) {
        files_output out = file_of(formats[i], 4);
        for (unsigned round = 0; round < 200; round++) {
            size_t at = test_random_below(&random, out.len < 300 ? out.len : 300);
            uint8_t bit = (uint8_t)(1u << test_random_below(&random, 8));
            files_trip t;
            out.data[at] ^= bit;
            files_read(&t, NULL, round % 2 ? formats[i] : DUET_FILE_UNKNOWN, out.data, out.len, &random);
            files_trip_free(&t);
            out.data[at] ^= bit;
        }
        free(out.data);
    }
}

typedef struct memory_case {
    duet_file_format format;
    files_output file;
} memory_case;

static int read_without_memory(const duet_env *env, void *arg)
{
    const memory_case *c = arg;
    files_trip t;
    uint64_t random = 3;

    files_read(&t, env, c->format, c->file.data, c->file.len, &random);
    int err = t.err;
    files_trip_free(&t);
    return err;
}

static int write_without_memory(const duet_env *env, void *arg)
{
    const memory_case *c = arg;
    duet_file_track track = track_of(c->format);
    files_output out = {0};

    int err = files_try_write(&out, env, c->format, &track, 1, NULL, 0, true);
    free(out.data);
    return err;
}

static void no_memory_is_told_and_nothing_leaks(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMATS; i++) {
        memory_case c = {formats[i], file_of(formats[i], 5)};
        test_fail_each_allocation(duet_file_format_name(formats[i]), read_without_memory, &c);
        test_fail_each_allocation(duet_file_format_name(formats[i]), write_without_memory, &c);
        free(c.file.data);
    }
}

/* After DUET_ERR_NOMEM the same call is tried again, and the file is read as if nothing had been. */
static void reading_goes_on_when_memory_is_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMATS; i++) {
        files_output out = file_of(formats[i], 5);
        for (uint64_t n = 2; n < 12; n++) {
            test_allocator t;
            duet_file_reader *reader;
            duet_file_sample sample;
            unsigned count = 0;
            size_t at = 0;
            test_allocator_init(&t, n);
            duet_env env = DUET_ENV_INIT;
            env.allocator = &t.allocator;
            assert_int_equal(duet_file_reader_create(&reader, &env, formats[i]), DUET_OK);
            while (at < out.len) {
                size_t piece = out.len - at < 97 ? out.len - at : 97;
                int err = duet_file_reader_input(reader, out.data + at, piece);
                at += err == DUET_OK ? piece : 0;
                if (at == out.len)
                    duet_file_reader_end(reader);
                int result;
                while ((result = duet_file_reader_next(reader, &sample)) != 0) {
                    assert_true(result == 1 || result == DUET_ERR_NOMEM);
                    count += result == 1;
                }
            }
            assert_int_equal(count, 5);
            duet_file_reader_destroy(reader);
            assert_int_equal(t.live, 0);
        }
        free(out.data);
    }
}

static void a_reader_asks_to_be_emptied_first(void **state)
{
    (void)state;
    files_output out = file_of(DUET_FILE_IVF, 200);
    duet_file_reader *reader;
    duet_file_sample sample;
    size_t at = 0;

    assert_true(out.len > 100000);
    assert_int_equal(duet_file_reader_create(&reader, NULL, DUET_FILE_IVF), DUET_OK);
    while (duet_file_reader_input(reader, out.data + at, 1000) == DUET_OK)
        at += 1000;
    assert_int_equal(duet_file_reader_input(reader, out.data + at, 1000), DUET_ERR_AGAIN);
    assert_int_equal(at, 66000);
    while (duet_file_reader_next(reader, &sample) == 1)
        continue;
    assert_int_equal(duet_file_reader_input(reader, out.data + at, 1000), DUET_OK);
    duet_file_reader_end(reader);
    assert_int_equal(duet_file_reader_input(reader, out.data, 1), DUET_ERR_STATE);
    duet_file_reader_destroy(reader);
    duet_file_reader_destroy(NULL);
    free(out.data);
}

static void memory_follows_what_is_there(void **state)
{
    (void)state;
    /* IVF says sixteen megabytes, and thirteen bytes of them come. */
    const uint8_t file[] = {'D', 'K', 'I', 'F', 0, 0, 32, 0, 'V', 'P', '8', '0', 8, 0, 8, 0, 30, 0, 0, 0, 1, 0, 0,
                            0,   0,   0,   0,   0, 0, 0,  0, 0,   0,   0,   0,   1, 0, 0, 0, 0,  0, 0, 0, 0, 7};
    test_allocator t;
    duet_file_reader *reader;
    duet_file_sample sample;

    test_allocator_init(&t, 0);
    duet_env env = DUET_ENV_INIT;
    env.allocator = &t.allocator;
    assert_int_equal(duet_file_reader_create(&reader, &env, DUET_FILE_IVF), DUET_OK);
    assert_int_equal(duet_file_reader_input(reader, file, sizeof(file)), DUET_OK);
    assert_int_equal(duet_file_reader_next(reader, &sample), 0);
    assert_int_equal(t.calls, 3); /* the reader, its input, the format's state */
    duet_file_reader_destroy(reader);
    assert_int_equal(t.live, 0);
}

/* ---- writers ----------------------------------------------------------------------------------------------------- */

static int try_track(duet_file_format format, duet_file_track track, bool can_seek)
{
    files_output out = {0};
    int err = files_try_write(&out, NULL, format, &track, 1, NULL, 0, can_seek);

    free(out.data);
    return err;
}

static void writers_refuse_what_their_format_does_not_hold(void **state)
{
    (void)state;
    duet_file_track opus = track_of(DUET_FILE_OGG), vp8 = track_of(DUET_FILE_WEBM), h264 = track_of(DUET_FILE_H264);
    duet_file_track tracks[] = {vp8, vp8};
    files_output out = {0};

    assert_int_equal(try_track(DUET_FILE_OGG, vp8, true), DUET_ERR_UNSUPPORTED);
    assert_int_equal(try_track(DUET_FILE_IVF, opus, true), DUET_ERR_UNSUPPORTED);
    assert_int_equal(try_track(DUET_FILE_WEBM, h264, true), DUET_ERR_UNSUPPORTED);
    assert_int_equal(try_track(DUET_FILE_H265, h264, true), DUET_ERR_UNSUPPORTED);
    assert_int_equal(try_track(DUET_FILE_WAV, opus, true), DUET_ERR_UNSUPPORTED);
    assert_int_equal(try_track(DUET_FILE_Y4M, vp8, true), DUET_ERR_UNSUPPORTED);
    assert_int_equal(try_track(DUET_FILE_UNKNOWN, vp8, true), DUET_ERR_INVALID);
    assert_int_equal(files_try_write(&out, NULL, DUET_FILE_IVF, tracks, 2, NULL, 0, true), DUET_ERR_UNSUPPORTED);
    opus.channels = 0;
    assert_int_equal(try_track(DUET_FILE_OGG, opus, true), DUET_ERR_INVALID);
    assert_int_equal(try_track(DUET_FILE_WEBM, opus, true), DUET_ERR_INVALID);
    vp8.width = 0;
    assert_int_equal(try_track(DUET_FILE_WEBM, vp8, false), DUET_ERR_INVALID);
    assert_int_equal(try_track(DUET_FILE_WEBM, vp8, true), DUET_OK);
    assert_int_equal(try_track(DUET_FILE_IVF, vp8, false), DUET_OK);
}

static void a_size_that_is_not_known_comes_from_the_first_key_frame(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        duet_file_format format = i ? DUET_FILE_WEBM : DUET_FILE_IVF;
        duet_file_track track = {.codec = "VP8", .is_video = true};
        uint64_t random = 1;
        files_sample *samples = files_random(format, &track, 1, 3, &random);
        files_output out;
        files_trip t;
        files_write(&out, NULL, format, &track, 1, samples, 3, true);
        files_read(&t, NULL, format, out.data, out.len, &random);
        assert_int_equal(t.count, 3);
        assert_int_equal(t.tracks[0].width, 640);
        assert_int_equal(t.tracks[0].height, 480);
        files_trip_free(&t);
        files_samples_free(samples, 3);
        free(out.data);
    }
}

static void a_write_that_fails_ends_the_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMATS; i++) {
        duet_file_track track = track_of(formats[i]);
        uint64_t random = 5;
        files_sample *samples = files_random(formats[i], &track, 1, 3, &random);
        for (unsigned n = 1;; n++) {
            files_output out = {.fail_at = n};
            int err = files_try_write(&out, NULL, formats[i], &track, 1, samples, 3, true);
            bool is_done = out.writes < n;
            assert_int_equal(err, is_done ? DUET_OK : DUET_ERR_IO);
            free(out.data);
            if (is_done)
                break;
        }
        files_samples_free(samples, 3);
    }
}

static void wrong_samples_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMATS; i++) {
        duet_file_track track = track_of(formats[i]);
        uint8_t bad[] = {0x7B, 0, 7}; /* Opus without frames; half a sample; no picture; no start code */
        files_sample sample = {.data = bad, .len = 3};
        files_output out = {0};
        bool takes_all = formats[i] == DUET_FILE_IVF || formats[i] == DUET_FILE_WEBM;
        int err = files_try_write(&out, NULL, formats[i], &track, 1, &sample, 1, true);
        assert_int_equal(err, takes_all ? DUET_OK : DUET_ERR_INVALID);
        sample.track = 1;
        assert_int_equal(files_try_write(&out, NULL, formats[i], &track, 1, &sample, 1, true), DUET_ERR_INVALID);
        sample.track = 0;
        sample.len = 0;
        assert_int_equal(files_try_write(&out, NULL, formats[i], &track, 1, &sample, 1, true), DUET_ERR_INVALID);
        free(out.data);
    }
}

static void silence_that_was_not_sent_becomes_empty_opus_packets(void **state)
{
    (void)state;
    duet_file_track track = track_of(DUET_FILE_OGG);
    uint8_t packet[] = {0x79, 1, 2}; /* two frames of 20 ms */
    files_sample samples[] = {{.data = packet, .len = 3, .time = 500000},
                              {.data = packet, .len = 3, .time = 605000},     /* 65 ms late: three of 20 */
                              {.data = packet, .len = 3, .time = 100000000}}; /* a leap */
    files_output out;
    files_trip t;

    files_write(&out, NULL, DUET_FILE_OGG, &track, 1, samples, 3, true);
    files_read(&t, NULL, DUET_FILE_OGG, out.data, out.len, NULL);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 6);
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(t.samples[i].len, 1);
        assert_int_equal(t.samples[i].data[0], 0x78);
        assert_int_equal(t.samples[i].time, 20000 + 20000 * i);
    }
    assert_int_equal(t.samples[4].time, 100000);
    assert_int_equal(t.samples[5].time, 99500000);
    files_trip_free(&t);
    free(out.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_may_end_anywhere),
        cmocka_unit_test(flipped_bits_do_no_harm),
        cmocka_unit_test(no_memory_is_told_and_nothing_leaks),
        cmocka_unit_test(reading_goes_on_when_memory_is_back),
        cmocka_unit_test(a_reader_asks_to_be_emptied_first),
        cmocka_unit_test(memory_follows_what_is_there),
        cmocka_unit_test(writers_refuse_what_their_format_does_not_hold),
        cmocka_unit_test(a_size_that_is_not_known_comes_from_the_first_key_frame),
        cmocka_unit_test(a_write_that_fails_ends_the_file),
        cmocka_unit_test(wrong_samples_are_refused),
        cmocka_unit_test(silence_that_was_not_sent_becomes_empty_opus_packets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
