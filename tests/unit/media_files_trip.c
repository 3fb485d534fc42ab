/* Every format: what is written is read again, in pieces of any length. */
#include "media_files.h"

static void expect_same(const files_trip *t, const files_sample *samples, size_t count, duet_time tolerance)
{
    assert_int_equal(t->count, count);
    for (size_t i = 0; i < count; i++) {
        const files_sample *a = &samples[i], *b = &t->samples[i];
        duet_time apart = a->time > b->time ? a->time - b->time : b->time - a->time;
        assert_int_equal(a->track, b->track);
        assert_int_equal(a->len, b->len);
        assert_memory_equal(a->data, b->data, a->len);
        assert_true(apart <= tolerance);
        assert_int_equal(a->is_keyframe, b->is_keyframe);
    }
}

static const char *suffix_of(duet_file_format format)
{
    static const char *const suffixes[] = {"", "opus", "ivf", "webm", "wav", "y4m", "h264", "h265"};

    return suffixes[format];
}

/* Writes random samples, with and without an output that seeks, and reads them in random pieces. */
static void trip(duet_file_format format, const duet_file_track *tracks, unsigned track_count, unsigned count,
                 duet_time tolerance, uint64_t seed)
{
    for (unsigned round = 0; round < 4; round++) {
        uint64_t random = seed + round;
        files_sample *samples = files_random(format, tracks, track_count, count, &random);
        files_output out;
        files_trip t;

        files_write(&out, NULL, format, tracks, track_count, samples, count, round % 2 == 0);
        files_read(&t, NULL, round < 2 ? format : DUET_FILE_UNKNOWN, out.data, out.len, &random);
        if (t.err != 0)
            fail_msg("%s: %s", duet_file_format_name(format), t.error);
        assert_int_equal(t.format, format);
        expect_same(&t, samples, count, tolerance);
        assert_int_equal(t.track_count, track_count);
        for (unsigned i = 0; i < track_count; i++) {
            assert_string_equal(t.tracks[i].codec, tracks[i].codec);
            assert_int_equal(t.tracks[i].is_video, tracks[i].is_video);
            assert_int_equal(t.tracks[i].channels, tracks[i].channels);
            assert_int_equal(t.tracks[i].pre_skip, tracks[i].pre_skip);
        }
        files_trip_free(&t);
        files_samples_free(samples, count);
        char name[64];
        snprintf(name, sizeof(name), "%llu-%u-%s-%u.%s", (unsigned long long)seed, round, tracks[0].codec, count,
                 suffix_of(format));
        files_keep(&out, name);
        free(out.data);
    }
}

static const duet_file_track opus = {.codec = "opus", .sample_rate = 48000, .channels = 2, .pre_skip = 312};

static duet_file_track video(const char *codec, uint16_t width, uint16_t height)
{
    duet_file_track track = {.is_video = true, .width = width, .height = height};

    snprintf(track.codec, sizeof(track.codec), "%s", codec);
    return track;
}

static void ogg_comes_back(void **state)
{
    (void)state;
    trip(DUET_FILE_OGG, &opus, 1, 300, 0, 1);
}

static void ivf_comes_back(void **state)
{
    (void)state;
    const char *codecs[] = {"VP8", "VP9", "AV1", "H264", "H265"};

    for (unsigned i = 0; i < 5; i++) {
        duet_file_track track = video(codecs[i], 640, 480);
        trip(DUET_FILE_IVF, &track, 1, 100, 0, 10 + i);
        track.rate_num = 30000;
        track.rate_den = 1001;
        trip(DUET_FILE_IVF, &track, 1, 100, 20000, 20 + i);
    }
}

static void webm_comes_back_with_all_its_tracks(void **state)
{
    (void)state;
    duet_file_track tracks[] = {video("VP8", 640, 480), opus, video("VP9", 320, 240), video("AV1", 64, 64), opus};

    trip(DUET_FILE_WEBM, tracks, 1, 200, 500, 30);
    trip(DUET_FILE_WEBM, tracks + 1, 1, 500, 500, 31);
    trip(DUET_FILE_WEBM, tracks, 2, 600, 500, 32);
    trip(DUET_FILE_WEBM, tracks, 5, 600, 500, 33);
}

static void wav_comes_back(void **state)
{
    (void)state;
    duet_file_track mono = {.codec = "L16", .sample_rate = 8000, .channels = 1};
    duet_file_track stereo = {.codec = "L16", .sample_rate = 44100, .channels = 2};

    trip(DUET_FILE_WAV, &mono, 1, 50, 0, 40);
    trip(DUET_FILE_WAV, &stereo, 1, 50, 1, 41);
}

static void y4m_comes_back(void **state)
{
    (void)state;
    duet_file_track track = video("I420", 17, 9);

    track.rate_num = 25;
    track.rate_den = 1;
    trip(DUET_FILE_Y4M, &track, 1, 20, 0, 50);
}

static void annexb_comes_back(void **state)
{
    (void)state;
    duet_file_track h264 = video("H264", 0, 0), h265 = video("H265", 0, 0);

    trip(DUET_FILE_H264, &h264, 1, 100, 0, 60);
    trip(DUET_FILE_H265, &h265, 1, 100, 0, 61);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ogg_comes_back),
        cmocka_unit_test(ivf_comes_back),
        cmocka_unit_test(webm_comes_back_with_all_its_tracks),
        cmocka_unit_test(wav_comes_back),
        cmocka_unit_test(y4m_comes_back),
        cmocka_unit_test(annexb_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
