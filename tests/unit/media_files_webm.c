/* WebM and Matroska made by hand: sizes, lacing, times, and what a hostile file may try. */
#include "media_files.h"

/* ---- elements ---------------------------------------------------------------------------------------------------- */

typedef struct ebml {
    uint8_t data[400000];
    size_t len;
} ebml;

static void put(ebml *e, const char *bytes, size_t len)
{
    assert_true(e->len + len <= sizeof(e->data));
    memcpy(e->data + e->len, bytes, len);
    e->len += len;
}

#define PUT(e, text) put(e, text, sizeof(text) - 1)

static size_t begin(ebml *e, const char *id)
{
    put(e, id, strlen(id));
    PUT(e, "\x10\x00\x00\x00"); /* a size of four bytes */
    return e->len;
}

static void end(ebml *e, size_t at)
{
    size_t len = e->len - at;

    for (unsigned i = 0; i < 3; i++)
        e->data[at - 1 - i] = (uint8_t)(len >> 8 * i);
}

#define ELEMENT(e, id, text)                                                                                           \
    do {                                                                                                               \
        size_t element = begin(e, id);                                                                                 \
        put(e, text, sizeof(text) - 1);                                                                                \
        end(e, element);                                                                                               \
    } while (0)

#define SEGMENT "\x18\x53\x80\x67"
#define TRACKS  "\x16\x54\xAE\x6B"
#define CLUSTER "\x1F\x43\xB6\x75"
#define UNKNOWN "\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF"

static void track_of(ebml *e, char number, char type, const char *codec, size_t codec_len)
{
    size_t at = begin(e, "\xAE");

    ELEMENT(e, "\xEC", "void");
    PUT(e, "\xD7\x81");
    put(e, &number, 1);
    PUT(e, "\x83\x81");
    put(e, &type, 1);
    size_t name = begin(e, "\x86");
    put(e, codec, codec_len);
    end(e, name);
    if (type == 1)
        ELEMENT(e, "\xE0", "\xB0\x82\x02\x80\xBA\x82\x01\xE0");
    end(e, at);
}

static void track(ebml *e, char number, char type, const char *codec)
{
    track_of(e, number, type, codec, strlen(codec));
}

/* A header, a segment of unknown size, and two tracks: 1 is VP8, 2 is Opus. */
static ebml *file_new(void)
{
    ebml *e = calloc(1, sizeof(*e));

    assert_non_null(e);
    ELEMENT(e, "\x1A\x45\xDF\xA3", "\x42\x82\x86webm\0\0");
    PUT(e, SEGMENT UNKNOWN);
    ELEMENT(e, "\x11\x4D\x9B\x74", "seek head");
    size_t at = begin(e, TRACKS);
    ELEMENT(e, "\xBF", "crc!");
    track(e, 1, 1, "V_VP8");
    track(e, 2, 2, "A_OPUS");
    track(e, 3, 17, "S_TEXT/UTF8"); /* subtitles are passed over */
    end(e, at);
    return e;
}

static files_trip file_read(ebml *e)
{
    files_trip t;
    uint64_t random = 1;

    files_read(&t, NULL, DUET_FILE_UNKNOWN, e->data, e->len, NULL);
    files_trip again;
    files_read(&again, NULL, DUET_FILE_WEBM, e->data, e->len, &random);
    assert_int_equal(again.err, t.err);
    assert_int_equal(again.count, t.count);
    files_trip_free(&again);
    free(e);
    return t;
}

static void expect_sample(const files_trip *t, size_t index, unsigned number, const char *data, duet_time time,
                          bool is_keyframe)
{
    assert_true(index < t->count);
    const files_sample *s = &t->samples[index];
    assert_int_equal(s->track, number);
    assert_int_equal(s->len, strlen(data));
    assert_memory_equal(s->data, data, s->len);
    assert_int_equal(s->time, time);
    assert_int_equal(s->is_keyframe, is_keyframe);
}

static void expect_error(files_trip t, int err, const char *text)
{
    assert_int_equal(t.err, err);
    if (!strstr(t.error, text))
        fail_msg("\"%s\" does not hold \"%s\"", t.error, text);
    files_trip_free(&t);
}

/* ---- what is read ------------------------------------------------------------------------------------------------ */

static void clusters_of_unknown_size_end_where_another_begins(void **state)
{
    (void)state;
    ebml *e = file_new();

    PUT(e, CLUSTER "\xFF");
    ELEMENT(e, "\xE7", "\x64"); /* 100 */
    ELEMENT(e, "\xA3", "\x81\x00\x00\x80key");
    ELEMENT(e, "\xA3", "\x82\xFF\xFF\x00\x78sound"); /* a millisecond before the cluster */
    ELEMENT(e, "\xA3", "\x84\x00\x00\x00nobody");
    PUT(e, CLUSTER UNKNOWN);
    ELEMENT(e, "\xE7", "\x01\x00");
    size_t group = begin(e, "\xA0");
    ELEMENT(e, "\xA1", "\x81\x00\x04\x00later");
    ELEMENT(e, "\xFB", "\xFF"); /* a reference: no key frame */
    PUT(e, "\x9B\x81\x28");
    end(e, group);
    ELEMENT(e, "\x1C\x53\xBB\x6B", "cues");
    size_t cluster = begin(e, CLUSTER);
    ELEMENT(e, "\xAB", "previous size");
    ELEMENT(e, "\xE7", "\x02\x00");
    ELEMENT(e, "\xA3", "\x81\x00\x00\x00last");
    end(e, cluster);
    ELEMENT(e, "\x12\x54\xC3\x67", "tags");
    files_trip t = file_read(e);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 4);
    expect_sample(&t, 0, 0, "key", 100000, true);
    expect_sample(&t, 1, 1, "\x78sound", 99000, true);
    expect_sample(&t, 2, 0, "later", 260000, false);
    expect_sample(&t, 3, 0, "last", 512000, false);
    assert_int_equal(t.samples[1].duration, 20000);
    assert_int_equal(t.samples[2].duration, 40000);
    assert_int_equal(t.track_count, 2);
    assert_int_equal(t.tracks[0].width, 640);
    assert_int_equal(t.tracks[0].height, 480);
    files_trip_free(&t);
}

static void laced_frames_are_given_one_by_one(void **state)
{
    (void)state;
    ebml *e = file_new();
    char xiph[600] = "\x82\x00\x00\x02\x02\xFF\x05\x02";
    size_t cluster = begin(e, CLUSTER);

    PUT(e, "\xE7\x81\x00");
    memset(xiph + 8, 'x', 260);
    memcpy(xiph + 8, "\x78", 1);
    memcpy(xiph + 268, "\x78yz", 3);
    size_t block = begin(e, "\xA3");
    put(e, xiph, 8 + 260 + 2 + 1);
    end(e, block);
    ELEMENT(e, "\xA3",
            "\x82\x00\x64\x06\x02\x82\xC0"
            "\x78"
            "a"
            "\x78"
            "bc"
            "\x78"); /* EBML: 2, 2 + 1, the rest */
    ELEMENT(e, "\xA3",
            "\x82\x00\xC8\x04\x01"
            "\x78"
            "a"
            "\x78"
            "b"); /* fixed */
    end(e, cluster);
    files_trip t = file_read(e);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 8);
    assert_int_equal(t.samples[0].len, 260);
    expect_sample(&t, 1, 1, "\x78y", 20000, true);
    expect_sample(&t, 2, 1, "z", 40000, true);
    expect_sample(&t, 3, 1,
                  "\x78"
                  "a",
                  100000, true);
    expect_sample(&t, 4, 1,
                  "\x78"
                  "bc",
                  120000, true);
    expect_sample(&t, 5, 1, "\x78", 140000, true);
    expect_sample(&t, 6, 1,
                  "\x78"
                  "a",
                  200000, true);
    expect_sample(&t, 7, 1,
                  "\x78"
                  "b",
                  220000, true);
    files_trip_free(&t);
}

/* RFC 8794 section 7.4. GStreamer ends them so. */
static void names_of_codecs_may_be_padded_with_zeros(void **state)
{
    (void)state;
    ebml *e = calloc(1, sizeof(*e));

    assert_non_null(e);
    ELEMENT(e, "\x1A\x45\xDF\xA3", "\x42\x82\x84webm");
    PUT(e, SEGMENT UNKNOWN);
    size_t at = begin(e, TRACKS);
    track_of(e, 1, 1, "V_VP8\0", 6);
    track_of(e, 2, 2, "A_OPUS\0\0", 8);
    track_of(e, 3, 2, "A_PCM/INT/LIT\0", 14);
    end(e, at);
    files_trip t = file_read(e);
    assert_int_equal(t.err, DUET_OK);
    assert_int_equal(t.track_count, 3);
    assert_string_equal(t.tracks[0].codec, "VP8");
    assert_string_equal(t.tracks[1].codec, "opus");
    assert_string_equal(t.tracks[2].codec, "A_PCM/INT/LIT");
    files_trip_free(&t);
}

static void what_stands_behind_the_segment_is_nothing(void **state)
{
    (void)state;
    ebml *e = calloc(1, sizeof(*e));

    ELEMENT(e, "\x1A\x45\xDF\xA3", "\x42\x82\x88matroska");
    size_t segment = begin(e, SEGMENT);
    ELEMENT(e, "\x15\x49\xA9\x66", "\x2A\xD7\xB1\x83\x01\x86\xA0"); /* a tick is 100 microseconds */
    size_t at = begin(e, TRACKS);
    track(e, 1, 1, "V_MPEG4/ISO/AVC");
    end(e, at);
    size_t cluster = begin(e, CLUSTER);
    PUT(e, "\xE7\x81\x05");
    ELEMENT(e, "\xA3",
            "\x81\x00\x00\x80"
            "frame");
    end(e, cluster);
    end(e, segment);
    PUT(e, "anything at all\0\0\0");
    files_trip t = file_read(e);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 1);
    expect_sample(&t, 0, 0, "frame", 500, true);
    assert_string_equal(t.tracks[0].codec, "V_MPEG4/ISO/AVC");
    files_trip_free(&t);
}

/* ---- hostile files ----------------------------------------------------------------------------------------------- */

static void sizes_past_the_end_are_refused(void **state)
{
    (void)state;
    ebml *e = file_new();

    PUT(e, CLUSTER "\xFF\xA3\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFE"); /* 2^56 - 2 */
    expect_error(file_read(e), DUET_ERR_LIMIT, "at most 16777216 are read");
    e = file_new();
    PUT(e, CLUSTER "\x8A\xA3\x8A\x81");
    expect_error(file_read(e), DUET_ERR_MALFORMED, "of 10 bytes, where 10 are left");
    e = file_new();
    PUT(e, CLUSTER "\xFF\xEC\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFEx"); /* passed over, if it were there */
    expect_error(file_read(e), DUET_ERR_MALFORMED, "ends too early");
    e = file_new();
    PUT(e, CLUSTER "\xFF\xA3\xFF\x81");
    expect_error(file_read(e), DUET_ERR_MALFORMED, "has no size");
    e = file_new();
    PUT(e, CLUSTER "\x84\xA3\x82\x81\x00");
    expect_error(file_read(e), DUET_ERR_MALFORMED, "a block of 2 bytes");
    e = file_new();
    PUT(e, "\x00\x00\x00");
    expect_error(file_read(e), DUET_ERR_MALFORMED, "no EBML element");
    e = file_new();
    PUT(e, CLUSTER "\xFF\xA0\x86\xA1\x8F\x81\x00\x00\x00");
    expect_error(file_read(e), DUET_ERR_MALFORMED, "a BlockGroup with an element that is longer");
}

static void hostile_lacing_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *block;
        size_t len;
    } blocks[] = {
        {"\x82\x00\x00\x02", 4},                 /* no count */
        {"\x82\x00\x00\x02\xFF\xFF\xFF\xFF", 8}, /* Xiph: lengths that do not end */
        {"\x82\x00\x00\x02\x01\x05xx", 8},       /* longer than what is left */
        {"\x82\x00\x00\x04\x01xxx", 8},          /* fixed: three bytes for two */
        {"\x82\x00\x00\x06\x01\xFFxx", 8},       /* EBML: an unknown length */
        {"\x82\x00\x00\x06\x02\x81\x80xx", 9},   /* 1, then 1 - 63 */
        {"\x82\x00\x00\x06\x02\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFE\x80x", 15},
    };

    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        ebml *e = file_new();
        PUT(e, CLUSTER "\xFF");
        size_t at = begin(e, "\xA3");
        put(e, blocks[i].block, blocks[i].len);
        end(e, at);
        expect_error(file_read(e), DUET_ERR_MALFORMED, "a block of");
    }
}

static void thousands_of_tracks_are_eight(void **state)
{
    (void)state;
    ebml *e = calloc(1, sizeof(*e));

    ELEMENT(e, "\x1A\x45\xDF\xA3", "\x42\x82\x84webm");
    PUT(e, SEGMENT UNKNOWN);
    size_t at = begin(e, TRACKS);
    for (unsigned i = 0; i < 5000; i++)
        track(e, (char)(1 + i % 100), 1, "V_VP9");
    end(e, at);
    PUT(e, CLUSTER "\xFF");
    ELEMENT(e, "\xA3", "\x88\x00\x00\x80yes");
    ELEMENT(e, "\xA3", "\x89\x00\x00\x80no");
    files_trip t = file_read(e);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.track_count, DUET_FILE_TRACKS_MAX);
    assert_int_equal(t.count, 1);
    files_trip_free(&t);
}

static void what_cannot_be_read_is_named(void **state)
{
    (void)state;
    ebml *e = calloc(1, sizeof(*e));

    ELEMENT(e, "\x1A\x45\xDF\xA3",
            "\x42\x82\x83"
            "avi");
    expect_error(file_read(e), DUET_ERR_UNSUPPORTED, "neither WebM nor Matroska");
    e = calloc(1, sizeof(*e));
    PUT(e, "\x18\x53\x80\x67\xFF");
    files_trip t;
    files_read(&t, NULL, DUET_FILE_WEBM, e->data, e->len, NULL);
    expect_error(t, DUET_ERR_MALFORMED, "without an EBML header");
    e->len = 0;
    ELEMENT(e, "\x1A\x45\xDF\xA3", "\x42\x82\x84webm");
    PUT(e, SEGMENT UNKNOWN CLUSTER "\xFF");
    expect_error(file_read(e), DUET_ERR_MALFORMED, "before the tracks");
    e = calloc(1, sizeof(*e));
    ELEMENT(e, "\x1A\x45\xDF\xA3", "\x42\x82\x84webm");
    PUT(e, SEGMENT UNKNOWN);
    ELEMENT(e, TRACKS, "\xAE\x93\xD7\x81\x01\x83\x81\x01\x86\x85V_VP8\x6D\x80\x83\x62\x40\x80");
    PUT(e, CLUSTER "\xFF");
    ELEMENT(e, "\xA3", "\x81\x00\x00\x80x");
    expect_error(file_read(e), DUET_ERR_UNSUPPORTED, "track 1 is encrypted or compressed");
    e = file_new();
    ELEMENT(e, "\x15\x49\xA9\x66", "\x2A\xD7\xB1\x80");
    expect_error(file_read(e), DUET_ERR_MALFORMED, "TimestampScale of 0");
    e = file_new();
    PUT(e, CLUSTER "\xFF");
    ELEMENT(e, "\xE7", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
    ELEMENT(e, "\xA3", "\x81\x00\x00\x80x");
    expect_error(file_read(e), DUET_ERR_MALFORMED, "too large");
}

static void nesting_leads_nowhere(void **state)
{
    (void)state;
    ebml *e = file_new();

    for (unsigned i = 0; i < 20000; i++)
        PUT(e, CLUSTER "\xFF"); /* each ends the one before */
    for (unsigned i = 0; i < 20000; i++)
        PUT(e, "\xEC\x80");
    PUT(e, "\xA3\x85\x81\x00\x00\x80x");
    files_trip t = file_read(e);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 1);
    files_trip_free(&t);
}

/* ---- cues of what was written ---- */

static uint64_t number_at(const files_output *o, size_t at, size_t len)
{
    uint64_t v = 0;

    assert_true(at + len <= o->len);
    for (size_t i = 0; i < len; i++)
        v = v << 8 | o->data[at + i];
    return v;
}

/* Where these bytes are, from a place on. */
static size_t find(const files_output *o, size_t from, const char *bytes, size_t len)
{
    for (size_t i = from; i + len <= o->len; i++) {
        if (memcmp(o->data + i, bytes, len) == 0)
            return i;
    }
    return SIZE_MAX;
}

#define FIND(o, from, text) find(o, from, text, sizeof(text) - 1)

/* Ten minutes and more of sound, and of pictures with a key frame every `key_every`. */
static files_output long_file(unsigned seconds, unsigned key_every, bool finish, bool with_video)
{
    duet_file_track sound = {.codec = "opus", .channels = 2}, pictures = {.codec = "VP8", .is_video = true};
    const duet_file_track *tracks[] = {&sound, &pictures};
    uint8_t packet[] = {0x78, 1, 2}, key[] = {0x10, 2, 0, 0x9D, 1, 0x2A, 0x80, 2, 0xE0, 1}, delta[] = {0x11, 2, 0};
    files_output out = {0};
    duet_file_writer_config config;
    duet_file_writer *writer;

    duet_file_writer_config_init(&config);
    config.format = DUET_FILE_WEBM;
    config.tracks = tracks;
    config.track_count = with_video ? 2 : 1;
    config.write = files_output_write;
    config.patch = files_output_patch;
    config.user = &out;
    assert_int_equal(duet_file_writer_create(&writer, &config), DUET_OK);
    for (unsigned i = 0; i < seconds * 10; i++) {
        duet_time time = DUET_MS(100) * i;
        bool is_key = i % (key_every * 10) == 0;
        duet_file_sample a = {0, packet, sizeof(packet), time, DUET_MS(100), true};
        duet_file_sample v = {1,    is_key ? key : delta, is_key ? sizeof(key) : sizeof(delta),
                              time, DUET_MS(100),         is_key};
        assert_int_equal(duet_file_writer_sample(writer, &a), DUET_OK);
        if (with_video)
            assert_int_equal(duet_file_writer_sample(writer, &v), DUET_OK);
    }
    if (finish)
        assert_int_equal(duet_file_writer_finish(writer), DUET_OK);
    duet_file_writer_destroy(writer);
    return out;
}

/* Checks every cue against the cluster that it points to. @return how many there are */
static size_t check_cues(const files_output *o, uint64_t spacing)
{
    size_t segment = FIND(o, 0, "\x18\x53\x80\x67") + 12, seek = FIND(o, segment, "\x53\xAB\x84\x1C\x53\xBB\x6B");
    uint64_t before = 0;

    assert_true(seek != SIZE_MAX);
    assert_int_equal(number_at(o, segment, 4), 0x114D9B74);
    size_t cues = segment + (size_t)number_at(o, seek + 10, 8), at = cues + 5;
    assert_int_equal(number_at(o, cues, 4), 0x1C53BB6B);
    while (number_at(o, at - 1, 1) != 0xBB) /* the size of the size */
        at++;
    size_t count = (o->len - at + 1) / 27;
    for (size_t i = 0; i < count; i++, at += 27) {
        assert_int_equal(number_at(o, at - 1, 1), 0xBB);
        uint64_t time = number_at(o, at + 3, 8), cluster = segment + number_at(o, at + 18, 8);
        assert_int_equal(number_at(o, (size_t)cluster, 4), 0x1F43B675);
        size_t stamp_len = (size_t)number_at(o, (size_t)cluster + 13, 1) & 0x0F;
        uint64_t stamp = number_at(o, (size_t)cluster + 14, stamp_len);
        assert_true(time >= stamp && time <= stamp + 5100);
        if (i > 0)
            assert_true(time >= before + spacing);
        before = time;
    }
    assert_int_equal(number_at(o, segment - 8, 8), (1ull << 56) + o->len - segment);
    return count;
}

static void players_can_seek_in_what_was_written(void **state)
{
    (void)state;
    files_trip t;
    files_output out = long_file(60, 2, true, true);
    assert_int_equal(check_cues(&out, 2000), 30);
    files_read(&t, NULL, DUET_FILE_UNKNOWN, out.data, out.len, NULL);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 1200);
    files_trip_free(&t);
    free(out.data);

    out = long_file(60, 3, true, false); /* sound alone: where clusters begin */
    assert_in_range(check_cues(&out, 5000), 10, 12);
    free(out.data);

    out = long_file(3600, 1, true, true); /* more than are kept */
    assert_in_range(check_cues(&out, 1000), 256, 512);
    free(out.data);
}

/* Sound and pictures with times in milliseconds: pictures come first, and sound `late` behind them; `until` is where sound ends. */
static files_output mixed_file(unsigned late, unsigned until)
{
    static const uint8_t key[] = {0x10, 2, 0, 0x9D, 1, 0x2A, 0x80, 2, 0xE0, 1}, delta[] = {0x11, 2, 0},
                         sound[] = {0x78, 1};
    const duet_file_track audio = {.codec = "opus", .channels = 1}, video = {.codec = "VP8", .is_video = true};
    const duet_file_track *const tracks[] = {&audio, &video};
    files_output out = {0};
    duet_file_writer_config config;
    duet_file_writer *writer;

    duet_file_writer_config_init(&config);
    config.format = DUET_FILE_WEBM;
    config.tracks = tracks;
    config.track_count = 2;
    config.write = files_output_write;
    config.patch = files_output_patch;
    config.user = &out;
    assert_int_equal(duet_file_writer_create(&writer, &config), DUET_OK);
    for (unsigned ms = 0; ms < 4000; ms += 20) {
        bool is_key = ms % 2000 == 0;
        duet_file_sample v = {1, is_key ? key : delta, is_key ? sizeof(key) : sizeof(delta), DUET_MS(ms), 0, is_key};
        duet_file_sample a = {0, sound, sizeof(sound), DUET_MS(ms - late), DUET_MS(20), true};
        if (ms % 40 == 0)
            assert_int_equal(duet_file_writer_sample(writer, &v), DUET_OK);
        if (ms >= late && ms - late < until)
            assert_int_equal(duet_file_writer_sample(writer, &a), DUET_OK);
    }
    assert_true(out.len > 500); /* it does not wait for ever */
    assert_int_equal(duet_file_writer_finish(writer), DUET_OK);
    duet_file_writer_destroy(writer);
    return out;
}

/* Chromium's MediaSource refuses a cluster in which they fall. */
static void tracks_are_put_in_the_order_of_their_times(void **state)
{
    (void)state;
    const unsigned late[] = {0, 300, 980, 0}, until[] = {4000, 4000, 4000, 500};

    for (unsigned i = 0; i < 4; i++) {
        files_trip t;
        files_output out = mixed_file(late[i], until[i]);
        files_read(&t, NULL, DUET_FILE_UNKNOWN, out.data, out.len, NULL);
        assert_int_equal(t.err, DUET_OK);
        assert_int_equal(t.count, 100 + ((until[i] < 4000 - late[i] ? until[i] : 4000 - late[i]) / 20));
        for (size_t k = 1; k < t.count; k++)
            assert_true(t.samples[k].time >= t.samples[k - 1].time);
        files_trip_free(&t);
        free(out.data);
    }
}

/* … and one that comes later than others wait for begins a cluster of its own. */
static void what_comes_too_late_begins_another_cluster(void **state)
{
    (void)state;
    files_trip t;
    files_output out = mixed_file(3000, 4000);
    size_t clusters = 0;

    for (size_t at = FIND(&out, 0, CLUSTER); at != SIZE_MAX; at = FIND(&out, at + 4, CLUSTER))
        clusters++;
    assert_in_range(clusters, 10, 100);
    files_read(&t, NULL, DUET_FILE_UNKNOWN, out.data, out.len, NULL);
    assert_int_equal(t.err, DUET_OK);
    assert_int_equal(t.count, 100 + 50);
    files_trip_free(&t);
    free(out.data);
}

static void what_was_never_finished_plays_without_cues(void **state)
{
    (void)state;
    files_trip t;
    files_output out = long_file(20, 2, false, true);
    assert_true(FIND(&out, 0, "\x1C\x53\xBB\x6B") == SIZE_MAX);
    files_read(&t, NULL, DUET_FILE_UNKNOWN, out.data, out.len, NULL);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 400);
    files_trip_free(&t);
    free(out.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clusters_of_unknown_size_end_where_another_begins),
        cmocka_unit_test(laced_frames_are_given_one_by_one),
        cmocka_unit_test(names_of_codecs_may_be_padded_with_zeros),
        cmocka_unit_test(what_stands_behind_the_segment_is_nothing),
        cmocka_unit_test(sizes_past_the_end_are_refused),
        cmocka_unit_test(hostile_lacing_is_refused),
        cmocka_unit_test(thousands_of_tracks_are_eight),
        cmocka_unit_test(what_cannot_be_read_is_named),
        cmocka_unit_test(nesting_leads_nowhere),
        cmocka_unit_test(players_can_seek_in_what_was_written),
        cmocka_unit_test(tracks_are_put_in_the_order_of_their_times),
        cmocka_unit_test(what_comes_too_late_begins_another_cluster),
        cmocka_unit_test(what_was_never_finished_plays_without_cues),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
