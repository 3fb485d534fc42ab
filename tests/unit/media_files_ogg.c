/* Ogg files made by hand: pages, streams one behind the other, and damage. RFC 3533, RFC 7845. */
#include "media_files_made.h"

typedef struct ogg_file {
    uint8_t data[200000];
    size_t len;
} ogg_file;

/* The checksum bit by bit, as RFC 3533 describes it. */
static uint32_t slow_crc(const uint8_t *data, size_t len)
{
    uint32_t crc = 0;

    for (size_t i = 0; i < len; i++) {
        crc ^= (uint32_t)data[i] << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x80000000u ? crc << 1 ^ 0x04C11DB7u : crc << 1;
    }
    return crc;
}

/* `lens` are those of segments; all data is one text, repeated. */
static void ogg_page(ogg_file *f, uint8_t flags, uint64_t granule, uint32_t serial, const uint8_t *lens, size_t count,
                     const char *data)
{
    uint8_t *page = f->data + f->len;
    size_t len = 27 + count, data_len = strlen(data), used = 0;

    memset(page, 0, 27);
    memcpy(page, "OggS", 4);
    page[5] = flags;
    for (int i = 0; i < 8; i++)
        page[6 + i] = (uint8_t)(granule >> 8 * i);
    page[14] = (uint8_t)serial;
    page[26] = (uint8_t)count;
    for (size_t i = 0; i < count; i++) {
        page[27 + i] = lens[i];
        for (unsigned n = 0; n < lens[i]; n++)
            page[len++] = (uint8_t)data[used++ % data_len];
    }
    uint32_t crc = slow_crc(page, len);
    for (int i = 0; i < 4; i++)
        page[22 + i] = (uint8_t)(crc >> 8 * i);
    f->len += len;
}

static void ogg_head(ogg_file *f, uint32_t serial, uint8_t channels)
{
    uint8_t *page = f->data + f->len;
    const uint8_t len = 19;

    ogg_page(f, 2, 0, serial, &len, 1, "OpusHead");
    const uint8_t head[] = {1, channels, 0x38, 1, 0x80, 0xBB, 0, 0, 0, 0, 0};
    memcpy(page + 28 + 8, head, sizeof(head));
    memset(page + 22, 0, 4);
    uint32_t crc = slow_crc(page, 28 + 19);
    for (int i = 0; i < 4; i++)
        page[22 + i] = (uint8_t)(crc >> 8 * i);
}

static void ogg_begin(ogg_file *f, uint32_t serial)
{
    ogg_head(f, serial, 2);
    ogg_page(f, 0, 0, serial, (const uint8_t[]){16}, 1, "OpusTags12345678");
}

static ogg_file *ogg_new(void)
{
    return calloc(1, sizeof(ogg_file));
}

static files_trip ogg_read(ogg_file *f)
{
    files_trip t;

    files_read(&t, NULL, DUET_FILE_UNKNOWN, f->data, f->len, NULL);
    free(f);
    return t;
}

static void packets_lie_over_pages(void **state)
{
    (void)state;
    ogg_file *f = ogg_new();
    uint8_t full[255];

    memset(full, 255, sizeof(full));
    ogg_begin(f, 7);
    ogg_page(f, 0, UINT64_MAX, 7, full, 255, "\x78");                    /* 65025 bytes of a packet */
    ogg_page(f, 1, 960 * 2, 7, (const uint8_t[]){255, 0, 2}, 3, "\x78"); /* 255 more, and one of two bytes */
    ogg_page(f, 0, 960 * 3, 7, (const uint8_t[]){0, 3, 255}, 3, "\x78"); /* an empty one, which is none */
    ogg_page(f, 1, 960 * 4, 7, (const uint8_t[]){1}, 1, "\x78");
    files_trip t = ogg_read(f);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 4);
    assert_int_equal(t.samples[0].len, 65025 + 255);
    expect_sample(&t, 1, "\x78\x78", 20000, 20000);
    expect_sample(&t, 2, "\x78\x78\x78", 40000, 20000);
    assert_int_equal(t.samples[3].len, 256);
    assert_int_equal(t.tracks[0].pre_skip, 312);
    assert_int_equal(t.tracks[0].channels, 2);
    files_trip_free(&t);
}

static void the_first_opus_stream_is_read_and_chained_ones_follow(void **state)
{
    (void)state;
    ogg_file *f = ogg_new();

    ogg_page(f, 2, 0, 1, (const uint8_t[]){8}, 1, "\x80theora.");
    ogg_head(f, 2, 1);
    ogg_head(f, 3, 2);
    ogg_page(f, 0, 0, 3, (const uint8_t[]){8}, 1, "OpusTags");
    ogg_page(f, 0, 0, 2, (const uint8_t[]){8}, 1, "OpusTags");
    ogg_page(f, 0, 5, 1, (const uint8_t[]){3}, 1, "abc");
    ogg_page(f, 0, 960, 2, (const uint8_t[]){2}, 1,
             "\x78"
             "a");
    ogg_page(f, 0, 960, 3, (const uint8_t[]){2}, 1,
             "\x78"
             "x");
    ogg_page(f, 4, 1920 - 480, 2, (const uint8_t[]){2}, 1,
             "\x78"
             "b"); /* ten milliseconds are cut off */
    ogg_page(f, 4, 960, 3, (const uint8_t[]){2}, 1,
             "\x78"
             "y");
    ogg_begin(f, 9);
    ogg_page(f, 0, 96000, 9, (const uint8_t[]){2}, 1,
             "\x78"
             "c"); /* the beginning of which was cut off */
    ogg_page(f, 0, 96000 + 1920, 9, (const uint8_t[]){2}, 1,
             "\x78"
             "d"); /* a page was lost before */
    files_trip t = ogg_read(f);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 4);
    assert_int_equal(t.track_count, 1);
    expect_sample(&t, 0,
                  "\x78"
                  "a",
                  0, 20000);
    expect_sample(&t, 1,
                  "\x78"
                  "b",
                  20000, 10000);
    expect_sample(&t, 2,
                  "\x78"
                  "c",
                  30000, 20000);
    expect_sample(&t, 3,
                  "\x78"
                  "d",
                  70000, 20000);
    files_trip_free(&t);
}

static void a_broken_beginning_is_told_with_its_offset(void **state)
{
    (void)state;
    ogg_file *f = ogg_new();
    files_trip t;

    ogg_begin(f, 1);
    size_t at = f->len;
    f->data[40] ^= 1;
    files_read(&t, NULL, DUET_FILE_OGG, f->data, f->len, NULL);
    expect_error(&t, DUET_ERR_MALFORMED, "offset 22: the checksum");
    files_trip_free(&t);
    f->data[0] = 'x';
    files_read(&t, NULL, DUET_FILE_OGG, f->data, f->len, NULL);
    expect_error(&t, DUET_ERR_MALFORMED, "no Ogg page");
    f->data[0] = 'O';
    f->data[40] ^= 1;
    files_read(&t, NULL, DUET_FILE_OGG, f->data, at - 1, NULL);
    expect_error(&t, DUET_ERR_MALFORMED, "ends too early");
    free(f);

    f = ogg_new();
    ogg_page(f, 2, 0, 1, (const uint8_t[]){4}, 1, "\x01vor");
    ogg_page(f, 0, 0, 1, (const uint8_t[]){4}, 1, "\x03vor");
    t = ogg_read(f);
    expect_error(&t, DUET_ERR_UNSUPPORTED, "without a stream of Opus");

    f = ogg_new();
    ogg_head(f, 1, 2);
    ogg_page(f, 0, 960, 1, (const uint8_t[]){2}, 1,
             "\x78"
             "a");
    t = ogg_read(f);
    expect_error(&t, DUET_ERR_MALFORMED, "OpusTags");
}

/* Five pages of a packet each; `damage` hurts the third one. */
static void expect_damage(void (*damage)(ogg_file *f, size_t at, size_t len), uint64_t skipped)
{
    ogg_file *f = ogg_new();
    size_t at[6];

    ogg_begin(f, 1);
    for (unsigned i = 0; i < 5; i++) {
        at[i] = f->len;
        ogg_page(f, 0, 960 * (i + 1), 1, (const uint8_t[]){(uint8_t)(i + 2)}, 1, "\x78");
    }
    damage(f, at[2], at[3] - at[2]);
    files_trip t = ogg_read(f);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 4);
    expect_sample(&t, 1, "\x78\x78\x78", 20000, 20000);
    expect_sample(&t, 2, "\x78\x78\x78\x78\x78", 60000, 20000);
    assert_int_equal(t.skipped, skipped);
    files_trip_free(&t);
}

static void flip_a_bit(ogg_file *f, size_t at, size_t len)
{
    f->data[at + len - 1] ^= 1;
}

static void lose_the_beginning(ogg_file *f, size_t at, size_t len)
{
    (void)len;
    memcpy(f->data + at, "OggOgg", 6);
}

static void change_the_version(ogg_file *f, size_t at, size_t len)
{
    (void)len;
    f->data[at + 4] = 9;
}

/* More than the file has. */
static void claim_too_much(ogg_file *f, size_t at, size_t len)
{
    (void)len;
    f->data[at + 26] = 255;
}

static void cut_a_piece_out(ogg_file *f, size_t at, size_t len)
{
    memmove(f->data + at + len - 2, f->data + at + len, f->len - at - len);
    f->len -= 2;
}

static void damaged_pages_are_stepped_over(void **state)
{
    (void)state;
    uint64_t len = 27 + 1 + 4;

    expect_damage(flip_a_bit, len);
    expect_damage(lose_the_beginning, len);
    expect_damage(change_the_version, len);
    expect_damage(claim_too_much, len);
    expect_damage(cut_a_piece_out, len - 2);
}

static void damage_never_joins_two_packets(void **state)
{
    (void)state;
    ogg_file *f = ogg_new();

    ogg_begin(f, 1);
    ogg_page(f, 0, 960, 1, (const uint8_t[]){4}, 1, "\x78");
    ogg_page(f, 0, UINT64_MAX, 1, (const uint8_t[]){255}, 1, "\x78"); /* begins a packet */
    size_t at = f->len;
    ogg_page(f, 1, 960 * 2, 1, (const uint8_t[]){1}, 1, "\x78");       /* ends it, but is damaged */
    ogg_page(f, 1, 960 * 3, 1, (const uint8_t[]){1, 2}, 2, "\x78");    /* the end of another one, and a whole one */
    memcpy(f->data + f->len, "and what does not belong here Ogg", 33); /* with what might be a beginning */
    f->len += 33;
    f->data[at + 6] ^= 1;
    files_trip t = ogg_read(f);
    assert_int_equal(t.err, DUET_ERR_MALFORMED); /* the file ends within a page, as it seems */
    assert_int_equal(t.count, 2);
    expect_sample(&t, 1, "\x78\x78", 40000, 20000);
    assert_int_equal(t.skipped, 27 + 1 + 1 + 30);
    files_trip_free(&t);
}

static void a_stream_may_lose_its_pages(void **state)
{
    (void)state;
    ogg_file *f = ogg_new();

    ogg_begin(f, 1);
    ogg_page(f, 1, 960 * 2, 1, (const uint8_t[]){5, 2}, 2, "\x78");   /* goes on with what was lost */
    ogg_page(f, 0, UINT64_MAX, 1, (const uint8_t[]){255}, 1, "\x78"); /* whose end is lost */
    ogg_page(f, 0, 960 * 5, 1, (const uint8_t[]){3}, 1, "\x78");
    files_trip t = ogg_read(f);
    assert_int_equal(t.err, 0);
    assert_int_equal(t.count, 2);
    expect_sample(&t, 0, "\x78\x78", 0, 20000);
    expect_sample(&t, 1, "\x78\x78\x78", 60000, 20000);
    files_trip_free(&t);

    f = ogg_new();
    ogg_page(f, 2, 0, 1, (const uint8_t[]){9}, 1, "OpusHead\x10");
    t = ogg_read(f);
    expect_error(&t, DUET_ERR_MALFORMED, "an OpusHead of 9 bytes, version 16");
}

static void a_packet_without_end_is_refused(void **state)
{
    (void)state;
    ogg_file *f = ogg_new();
    uint8_t full[255];
    duet_file_reader *reader;
    duet_file_sample sample;
    int result = 0;

    memset(full, 255, sizeof(full));
    ogg_begin(f, 1);
    size_t at = f->len;
    ogg_page(f, 1, UINT64_MAX, 1, full, 255, "\x78");
    size_t continued = f->len;
    f->len = at;
    ogg_page(f, 0, UINT64_MAX, 1, full, 255, "\x78");
    assert_int_equal(duet_file_reader_create(&reader, NULL, DUET_FILE_OGG), DUET_OK);
    assert_int_equal(duet_file_reader_input(reader, f->data, f->len), DUET_OK);
    f->len = at;
    ogg_page(f, 1, UINT64_MAX, 1, full, 255, "\x78");
    unsigned pages = 0;
    while ((result = duet_file_reader_next(reader, &sample)) == 0 && pages++ < 1000)
        assert_int_equal(duet_file_reader_input(reader, f->data + at, continued - at), DUET_OK);
    assert_int_equal(result, DUET_ERR_LIMIT);
    assert_true(pages < 16 * 1024 * 1024 / 65025 + 2);
    assert_int_equal(duet_file_reader_next(reader, &sample), DUET_ERR_LIMIT);
    duet_file_reader_destroy(reader);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_lie_over_pages),
        cmocka_unit_test(the_first_opus_stream_is_read_and_chained_ones_follow),
        cmocka_unit_test(a_broken_beginning_is_told_with_its_offset),
        cmocka_unit_test(damaged_pages_are_stepped_over),
        cmocka_unit_test(damage_never_joins_two_packets),
        cmocka_unit_test(a_stream_may_lose_its_pages),
        cmocka_unit_test(a_packet_without_end_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
