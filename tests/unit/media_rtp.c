/* RTP packets and header extensions: vectors, bounds, and that what is written is read again. */
#include "duet/rtp.h"
#include "test.h"

#define parse_bytes(out, ...)                                                                                          \
    duet_rtp_parse(out, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define HEADER(first) (first), 0xe0, 0x12, 0x34, 0, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef

static const duet_rtp_extension_map all_kinds = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17}};
static const duet_rtp_extension_map short_ids = {{4, 10, 11, 2, 3, 1, 5, 6, 7, 8, 9, 12, 13, 14, 0, 0}};

/* ---- packets ----------------------------------------------------------------------------------------------------- */

static void a_packet_gives_all_its_fields(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0xb2, 0xe0, 0x12, 0x34, 0x01, 0x02, 0x03, 0x04, 0xde, 0xad, 0xbe, 0xef, /* header */
                                    0,    0,    0,    7,    0,    0,    0,    8,                            /* CSRCs */
                                    0xbe, 0xde, 0,    1,    0x10, 0xaa, 0,    0, /* one element */
                                    'a',  'b',  'c',  0,    2};                  /* padding of 2 */
    duet_rtp_packet p;
    uint8_t again[64];
    size_t len;

    assert_int_equal(duet_rtp_parse(&p, bytes, sizeof(bytes)), DUET_OK);
    assert_true(p.marker);
    assert_int_equal(p.payload_type, 0x60);
    assert_int_equal(p.sequence_number, 0x1234);
    assert_int_equal(p.timestamp, 0x01020304);
    assert_int_equal(p.ssrc, 0xdeadbeef);
    assert_int_equal(p.csrc_count, 2);
    assert_int_equal(p.csrcs[1], 8);
    assert_int_equal(p.extension_profile, 0xbede);
    assert_int_equal(p.extension_len, 4);
    assert_int_equal(p.payload_len, 3);
    assert_memory_equal(p.payload, "abc", 3);
    assert_int_equal(p.padding_len, 2);
    assert_int_equal(duet_rtp_header_len(&p), 28);
    assert_int_equal(duet_rtp_write(&p, again, sizeof(again), &len), DUET_OK);
    assert_int_equal(len, sizeof(bytes));
    assert_memory_equal(again, bytes, len);
    for (size_t capacity = 0; capacity < sizeof(bytes); capacity++)
        assert_int_equal(duet_rtp_write(&p, again, capacity, &len), DUET_ERR_BUFFER);
}

static void a_packet_cut_off_in_its_header_is_malformed(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {HEADER(0x92), 0, 0, 0, 7, 0, 0, 0, 8, 0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0};
    duet_rtp_packet p;

    for (size_t len = 0; len < sizeof(bytes); len++)
        assert_int_equal(duet_rtp_parse(&p, bytes, len), DUET_ERR_MALFORMED);
    assert_int_equal(duet_rtp_parse(&p, bytes, sizeof(bytes)), DUET_OK);
    assert_int_equal(p.payload_len, 0);
}

static void csrcs_and_extensions_past_the_end_are_malformed(void **state)
{
    (void)state;
    duet_rtp_packet p;

    assert_int_equal(parse_bytes(&p, HEADER(0x8f), 1, 2, 3, 4), DUET_ERR_MALFORMED);
    assert_int_equal(parse_bytes(&p, HEADER(0x90), 0xbe, 0xde, 0xff, 0xff, 1, 2, 3, 4), DUET_ERR_MALFORMED);
    assert_int_equal(parse_bytes(&p, HEADER(0x90), 0xbe, 0xde, 0), DUET_ERR_MALFORMED);
    for (unsigned version = 0; version < 4; version++)
        assert_int_equal(parse_bytes(&p, HEADER((uint8_t)(version << 6))), version == 2 ? DUET_OK : DUET_ERR_MALFORMED);
}

static void padding_of_nothing_or_of_more_than_the_payload_is_malformed(void **state)
{
    (void)state;
    duet_rtp_packet p;

    assert_int_equal(parse_bytes(&p, HEADER(0xa0)), DUET_ERR_MALFORMED);
    assert_int_equal(parse_bytes(&p, HEADER(0xa0), 0), DUET_ERR_MALFORMED);
    assert_int_equal(parse_bytes(&p, HEADER(0xa0), 1, 2, 3, 0), DUET_ERR_MALFORMED);
    assert_int_equal(parse_bytes(&p, HEADER(0xa0), 1, 2, 3, 5), DUET_ERR_MALFORMED);
    assert_int_equal(parse_bytes(&p, HEADER(0xa0), 1, 2, 3, 255), DUET_ERR_MALFORMED);
    assert_int_equal(parse_bytes(&p, HEADER(0xa0), 1, 2, 3, 4), DUET_OK); /* only padding, as pacers send */
    assert_int_equal(p.payload_len, 0);
    assert_int_equal(p.padding_len, 4);
}

static void values_that_no_packet_can_carry_are_refused(void **state)
{
    (void)state;
    duet_rtp_packet p = {.payload_type = 128};
    uint8_t buf[64];
    size_t len;

    assert_int_equal(duet_rtp_write(&p, buf, sizeof(buf), &len), DUET_ERR_INVALID);
    p = (duet_rtp_packet){.csrc_count = 16};
    assert_int_equal(duet_rtp_write(&p, buf, sizeof(buf), &len), DUET_ERR_INVALID);
    p = (duet_rtp_packet){.extension = buf, .extension_len = 3};
    assert_int_equal(duet_rtp_write(&p, buf, sizeof(buf), &len), DUET_ERR_INVALID);
    p = (duet_rtp_packet){.padding_len = 256};
    assert_int_equal(duet_rtp_write(&p, buf, sizeof(buf), &len), DUET_ERR_INVALID);
}

static void a_payload_in_its_place_is_not_moved(void **state)
{
    (void)state;
    uint8_t buf[32] = {0};
    duet_rtp_packet p = {.payload = buf + DUET_RTP_HEADER_MIN, .payload_len = 5};
    size_t len;

    memcpy(buf + DUET_RTP_HEADER_MIN, "hello", 5);
    assert_int_equal(duet_rtp_write(&p, buf, sizeof(buf), &len), DUET_OK);
    assert_int_equal(len, 17);
    assert_memory_equal(buf + 12, "hello", 5);
}

static void rtcp_is_told_from_rtp_by_its_second_byte(void **state)
{
    (void)state;

    assert_false(duet_rtp_is_rtcp((const uint8_t[]){0x80}, 1));
    for (unsigned type = 0; type < 256; type++)
        assert_int_equal(duet_rtp_is_rtcp((const uint8_t[]){0x80, (uint8_t)type}, 2), type >= 192 && type <= 223);
}

static void counters_compare_on_their_circle(void **state)
{
    (void)state;

    assert_int_equal(duet_rtp_seq_diff(0, 65535), 1);
    assert_int_equal(duet_rtp_seq_diff(65535, 0), -1);
    assert_int_equal(duet_rtp_seq_diff(32767, 0), 32767);
    assert_int_equal(duet_rtp_seq_diff(32768, 0), -32768);
    assert_int_equal(duet_rtp_time_diff(10, 0xfffffff6), 20);
    assert_int_equal(duet_rtp_time_diff(0xfffffff6, 10), -20);
}

static void any_packet_that_is_written_is_read_again(void **state)
{
    (void)state;
    uint64_t seed = 1;
    uint8_t extension[64], payload[300], buf[1500];

    for (int round = 0; round < 2000; round++) {
        test_random_fill(&seed, extension, sizeof(extension));
        test_random_fill(&seed, payload, sizeof(payload));
        duet_rtp_packet p = {.marker = test_random_below(&seed, 2),
                             .payload_type = (uint8_t)test_random_below(&seed, 128),
                             .sequence_number = (uint16_t)test_random(&seed),
                             .timestamp = (uint32_t)test_random(&seed),
                             .ssrc = (uint32_t)test_random(&seed),
                             .csrc_count = (uint8_t)test_random_below(&seed, 16),
                             .payload = payload,
                             .payload_len = test_random_below(&seed, sizeof(payload)),
                             .padding_len = test_random_below(&seed, 256)};
        for (int i = 0; i < p.csrc_count; i++)
            p.csrcs[i] = (uint32_t)test_random(&seed);
        if (test_random_below(&seed, 2)) {
            p.extension_profile = (uint16_t)(1 + test_random_below(&seed, 65535));
            p.extension = extension;
            p.extension_len = 4 * test_random_below(&seed, 17);
        }
        size_t len;
        duet_rtp_packet q;
        assert_int_equal(duet_rtp_write(&p, buf, sizeof(buf), &len), DUET_OK);
        assert_int_equal(duet_rtp_parse(&q, buf, len), DUET_OK);
        assert_int_equal(q.marker, p.marker);
        assert_int_equal(q.payload_type, p.payload_type);
        assert_int_equal(q.sequence_number, p.sequence_number);
        assert_int_equal(q.ssrc, p.ssrc);
        assert_int_equal(q.csrc_count, p.csrc_count);
        assert_memory_equal(q.csrcs, p.csrcs, 4u * p.csrc_count);
        assert_int_equal(q.extension_len, p.extension_len);
        if (p.extension_len)
            assert_memory_equal(q.extension, extension, p.extension_len);
        assert_int_equal(q.payload_len, p.payload_len);
        if (p.payload_len)
            assert_memory_equal(q.payload, payload, p.payload_len);
        assert_int_equal(q.padding_len, p.padding_len);
    }
}

/* ---- extensions -------------------------------------------------------------------------------------------------- */

static duet_rtp_packet with_extension(uint16_t profile, const uint8_t *data, size_t len)
{
    return (duet_rtp_packet){.extension_profile = profile, .extension = data, .extension_len = len};
}

static void every_kind_has_a_uri_of_its_own(void **state)
{
    (void)state;

    for (int kind = 0; kind < DUET_RTP_EXT_COUNT; kind++) {
        const char *uri = duet_rtp_extension_uri((duet_rtp_extension_kind)kind);
        assert_non_null(uri);
        assert_int_equal(duet_rtp_extension_of_uri(uri), kind);
    }
    assert_null(duet_rtp_extension_uri(DUET_RTP_EXT_COUNT));
    assert_int_equal(duet_rtp_extension_of_uri("urn:example"), DUET_RTP_EXT_COUNT);
}

static void one_byte_elements_are_walked_over_their_padding(void **state)
{
    (void)state;
    /* RFC 8285 section 4.2: L=0, padding, L=1, padding, L=3 */
    static const uint8_t bytes[] = {0x10, 0xaa, 0, 0x21, 0xbb, 0xcc, 0, 0, 0x33, 1, 2, 3, 4, 0, 0, 0};
    duet_rtp_packet p = with_extension(0xbede, bytes, sizeof(bytes));
    size_t cursor = 0, len;
    const uint8_t *data;
    uint8_t id;

    for (uint8_t i = 1; i <= 3; i++) {
        assert_int_equal(duet_rtp_next_extension(&p, &cursor, &id, &data, &len), 1);
        assert_int_equal(id, i);
        assert_int_equal(len, i == 3 ? 4 : i);
    }
    assert_memory_equal(data, "\1\2\3\4", 4);
    assert_int_equal(duet_rtp_next_extension(&p, &cursor, &id, &data, &len), 0);
    assert_int_equal(duet_rtp_next_extension(&p, &cursor, &id, &data, &len), 0);
}

static void id_15_and_id_0_with_a_length_end_the_walk(void **state)
{
    (void)state;
    static const uint8_t stop[] = {0xf0, 0xaa, 0x10, 0xbb}, zero[] = {0x01, 0xaa, 0x10, 0xbb};
    size_t cursor = 0, len;
    const uint8_t *data;
    uint8_t id;

    duet_rtp_packet p = with_extension(0xbede, stop, sizeof(stop));
    assert_int_equal(duet_rtp_next_extension(&p, &cursor, &id, &data, &len), 0);
    assert_int_equal(duet_rtp_next_extension(&p, &cursor, &id, &data, &len), 0);
    cursor = 0;
    p = with_extension(0xbede, zero, sizeof(zero));
    assert_int_equal(duet_rtp_next_extension(&p, &cursor, &id, &data, &len), 0);
    assert_int_equal(duet_rtp_next_extension(&p, &cursor, &id, &data, &len), 0);
}

static void two_byte_elements_may_be_empty_and_have_any_application_bits(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {15, 0, 0, 200, 1, 0xaa, 0, 0};
    duet_rtp_packet p = with_extension(0x1005, bytes, sizeof(bytes));
    size_t cursor = 0, len;
    const uint8_t *data;
    uint8_t id;

    assert_int_equal(duet_rtp_next_extension(&p, &cursor, &id, &data, &len), 1);
    assert_int_equal(id, 15);
    assert_int_equal(len, 0);
    assert_int_equal(duet_rtp_next_extension(&p, &cursor, &id, &data, &len), 1);
    assert_int_equal(id, 200);
    assert_int_equal(*data, 0xaa);
    assert_int_equal(duet_rtp_next_extension(&p, &cursor, &id, &data, &len), 0);
    p.extension_profile = 0x2000;
    cursor = 0;
    assert_int_equal(duet_rtp_next_extension(&p, &cursor, &id, &data, &len), 0);
}

static void elements_past_the_end_are_malformed(void **state)
{
    (void)state;
    static const uint8_t one[] = {0x10, 1, 0x2f, 2}, two[] = {1, 3, 1, 2}, head[] = {1, 1, 1, 9};
    duet_rtp_extensions e;
    duet_rtp_packet p = with_extension(0xbede, one, sizeof(one));

    assert_int_equal(duet_rtp_extensions_parse(&e, &p, &short_ids), DUET_ERR_MALFORMED);
    assert_int_equal(e.present, 1u << DUET_RTP_EXT_AUDIO_LEVEL); /* what came before stands */
    p = with_extension(0x1000, two, sizeof(two));
    assert_int_equal(duet_rtp_extensions_parse(&e, &p, &short_ids), DUET_ERR_MALFORMED);
    p = with_extension(0x1000, head, sizeof(head));
    assert_int_equal(duet_rtp_extensions_parse(&e, &p, &short_ids), DUET_ERR_MALFORMED);
    assert_int_equal(e.present, 1u << DUET_RTP_EXT_AUDIO_LEVEL);
}

static void values_of_another_length_are_left_out_and_the_others_stand(void **state)
{
    (void)state;
    /* abs-send-time of two bytes, transport sequence number, mid with a space */
    static const uint8_t bytes[] = {0x21, 1, 2, 0x31, 0xab, 0xcd, 0x40, ' '};
    duet_rtp_packet p = with_extension(0xbede, bytes, sizeof(bytes));
    duet_rtp_extensions e;

    assert_int_equal(duet_rtp_extensions_parse(&e, &p, &short_ids), DUET_ERR_MALFORMED);
    assert_int_equal(e.present, 1u << DUET_RTP_EXT_TRANSPORT_CC);
    assert_int_equal(e.transport_sequence_number, 0xabcd);
}

static duet_rtp_extensions some_values(void)
{
    duet_rtp_extensions e = {.mid = "video0",
                             .rid = "hi",
                             .repaired_rid = "lo",
                             .abs_send_time = 0x123456,
                             .transport_sequence_number = 0xfedc,
                             .voice_activity = true,
                             .audio_level = 127,
                             .mixer_level_count = 3,
                             .mixer_levels = {1, 2, 127},
                             .camera_back = true,
                             .rotation = 270,
                             .playout_delay_min = 100,
                             .playout_delay_max = 40950,
                             .capture_time = 0x0123456789abcdef,
                             .has_capture_offset = true,
                             .capture_offset = -5,
                             .content_type = 1,
                             .timing_flags = 2,
                             .timing = {1, 2, 3, 4, 5, 65535},
                             .color_primaries = 1,
                             .color_transfer = 2,
                             .color_matrix = 3,
                             .color_range_and_siting = 4,
                             .transmission_offset = -1,
                             .dependency_descriptor = (const uint8_t *)"\x80\0\1",
                             .dependency_descriptor_len = 3,
                             .layers_allocation = (const uint8_t *)"x",
                             .layers_allocation_len = 1};
    e.present = (1u << DUET_RTP_EXT_COUNT) - 1;
    return e;
}

static void every_kind_comes_back_as_it_was_written(void **state)
{
    (void)state;
    duet_rtp_extensions in = some_values(), out;

    for (int two_byte = 0; two_byte < 2; two_byte++) {
        uint8_t buf[256];
        duet_rtp_packet p = {0};
        const duet_rtp_extension_map *map = two_byte ? &all_kinds : &short_ids;
        assert_int_equal(duet_rtp_extensions_write(&in, map, buf, sizeof(buf), &p.extension_profile, &p.extension_len),
                         DUET_OK);
        assert_int_equal(p.extension_profile, two_byte ? 0x1000 : 0xbede);
        assert_int_equal(p.extension_len % 4, 0);
        p.extension = buf;
        assert_int_equal(duet_rtp_extensions_parse(&out, &p, map), DUET_OK);
        assert_int_equal(out.present, two_byte ? in.present : in.present & 0x3fff);
        assert_string_equal(out.mid, in.mid);
        assert_string_equal(out.rid, in.rid);
        assert_string_equal(out.repaired_rid, in.repaired_rid);
        assert_int_equal(out.abs_send_time, in.abs_send_time);
        assert_int_equal(out.transport_sequence_number, in.transport_sequence_number);
        assert_int_equal(out.voice_activity, in.voice_activity);
        assert_int_equal(out.audio_level, in.audio_level);
        assert_int_equal(out.mixer_level_count, 3);
        assert_memory_equal(out.mixer_levels, in.mixer_levels, 3);
        assert_true(out.camera_back && !out.flip);
        assert_int_equal(out.rotation, 270);
        assert_int_equal(out.playout_delay_min, 100);
        assert_int_equal(out.playout_delay_max, 40950);
        assert_true(out.capture_time == in.capture_time && out.has_capture_offset && out.capture_offset == -5);
        assert_int_equal(out.content_type, 1);
        assert_int_equal(out.timing_flags, 2);
        assert_memory_equal(out.timing, in.timing, sizeof(in.timing));
        assert_int_equal(out.color_range_and_siting, 4);
        assert_int_equal(out.dependency_descriptor_len, 3);
        if (two_byte) {
            assert_int_equal(out.transmission_offset, -1);
            assert_int_equal(out.layers_allocation_len, 1);
        }
    }
}

static void what_has_no_id_is_not_written_and_nothing_makes_no_extension(void **state)
{
    (void)state;
    duet_rtp_extensions e = some_values();
    duet_rtp_extension_map none = {{0}};
    uint8_t buf[8];
    uint16_t profile;
    size_t len;

    assert_int_equal(duet_rtp_extensions_write(&e, &none, buf, sizeof(buf), &profile, &len), DUET_OK);
    assert_int_equal(profile, 0);
    assert_int_equal(len, 0);
    assert_int_equal(duet_rtp_extensions_write(&e, &short_ids, buf, sizeof(buf), &profile, &len), DUET_ERR_BUFFER);
    e.dependency_descriptor_len = 300;
    assert_int_equal(duet_rtp_extensions_write(&e, &all_kinds, buf, sizeof(buf), &profile, &len), DUET_ERR_INVALID);
}

static void long_values_take_two_byte_elements(void **state)
{
    (void)state;
    duet_rtp_extensions e = {.present = 1u << DUET_RTP_EXT_MID, .mid = "seventeen_letters"};
    uint8_t buf[64];
    uint16_t profile;
    size_t len;

    assert_int_equal(duet_rtp_extensions_write(&e, &short_ids, buf, sizeof(buf), &profile, &len), DUET_OK);
    assert_int_equal(profile, 0x1000);
    assert_int_equal(len, 20);
}

static void one_value_of_a_written_packet_is_set_anew(void **state)
{
    (void)state;
    uint8_t bytes[] = {HEADER(0x90), 0xbe, 0xde, 0, 2, 0x22, 0, 0, 0, 0x31, 0, 0, 0, 'x'};

    assert_int_equal(duet_rtp_set_extension(bytes, sizeof(bytes), 3, (const uint8_t *)"\xab\xcd", 2), DUET_OK);
    assert_int_equal(duet_rtp_set_extension(bytes, sizeof(bytes), 2, (const uint8_t *)"\1\2\3", 3), DUET_OK);
    assert_memory_equal(bytes + 16, "\x22\1\2\3\x31\xab\xcd\0x", 9);
    assert_int_equal(duet_rtp_set_extension(bytes, sizeof(bytes), 3, (const uint8_t *)"\1\2\3", 3), DUET_ERR_INVALID);
    assert_int_equal(duet_rtp_set_extension(bytes, sizeof(bytes), 5, (const uint8_t *)"\1", 1), DUET_ERR_NOT_FOUND);
    assert_int_equal(duet_rtp_set_extension(bytes, 14, 3, (const uint8_t *)"\1\2", 2), DUET_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_gives_all_its_fields),
        cmocka_unit_test(a_packet_cut_off_in_its_header_is_malformed),
        cmocka_unit_test(csrcs_and_extensions_past_the_end_are_malformed),
        cmocka_unit_test(padding_of_nothing_or_of_more_than_the_payload_is_malformed),
        cmocka_unit_test(values_that_no_packet_can_carry_are_refused),
        cmocka_unit_test(a_payload_in_its_place_is_not_moved),
        cmocka_unit_test(rtcp_is_told_from_rtp_by_its_second_byte),
        cmocka_unit_test(counters_compare_on_their_circle),
        cmocka_unit_test(any_packet_that_is_written_is_read_again),
        cmocka_unit_test(every_kind_has_a_uri_of_its_own),
        cmocka_unit_test(one_byte_elements_are_walked_over_their_padding),
        cmocka_unit_test(id_15_and_id_0_with_a_length_end_the_walk),
        cmocka_unit_test(two_byte_elements_may_be_empty_and_have_any_application_bits),
        cmocka_unit_test(elements_past_the_end_are_malformed),
        cmocka_unit_test(values_of_another_length_are_left_out_and_the_others_stand),
        cmocka_unit_test(every_kind_comes_back_as_it_was_written),
        cmocka_unit_test(what_has_no_id_is_not_written_and_nothing_makes_no_extension),
        cmocka_unit_test(long_values_take_two_byte_elements),
        cmocka_unit_test(one_value_of_a_written_packet_is_set_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
