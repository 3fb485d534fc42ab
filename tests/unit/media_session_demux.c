/* Which stream a packet belongs to, with the descriptions that browsers make; and that nobody can fill a session. */
#include "media_pair.h"

typedef struct made {
    const char *mid, *rid, *repaired_rid;
    uint8_t payload_type;
    uint16_t sequence;
    uint32_t ssrc, timestamp;
    const uint8_t *payload;
    size_t payload_len;
    const duet_rtp_extension_map *map;
} made;

static int input(media_pair *p, made m)
{
    uint8_t data[1500], ext[256];
    size_t len;
    duet_rtp_extensions e = {0};
    duet_rtp_packet packet = {.payload_type = m.payload_type,
                              .sequence_number = m.sequence,
                              .ssrc = m.ssrc,
                              .timestamp = m.timestamp,
                              .payload = m.payload ? m.payload : (const uint8_t *)"\0\0\0\1",
                              .payload_len = m.payload ? m.payload_len : 4,
                              .extension = ext};

    if (m.mid) {
        e.present |= 1u << DUET_RTP_EXT_MID;
        snprintf(e.mid, sizeof(e.mid), "%s", m.mid);
    }
    if (m.rid) {
        e.present |= 1u << DUET_RTP_EXT_RID;
        snprintf(e.rid, sizeof(e.rid), "%s", m.rid);
    }
    if (m.repaired_rid) {
        e.present |= 1u << DUET_RTP_EXT_REPAIRED_RID;
        snprintf(e.repaired_rid, sizeof(e.repaired_rid), "%s", m.repaired_rid);
    }
    assert_int_equal(duet_rtp_extensions_write(&e, m.map ? m.map : &pair_extensions, ext, sizeof(ext),
                                               &packet.extension_profile, &packet.extension_len),
                     DUET_OK);
    assert_int_equal(duet_rtp_write(&packet, data, sizeof(data), &len), DUET_OK);
    return duet_rtp_session_input(p->side[1].session, data, len, p->now);
}

#define INPUT(...) input(p, (made){__VA_ARGS__})

static duet_rtp_session_stats stats_of(media_pair *p)
{
    duet_rtp_session_stats s;

    duet_rtp_session_get_stats(p->side[1].session, &s);
    return s;
}

static int set(media_pair *p, duet_rtp_section section)
{
    return duet_rtp_session_set_section(p->side[1].session, &section);
}

static const duet_codec *const vp8_rtx[] = {&pair_vp8, &pair_rtx};
static const duet_codec *const opus[] = {&pair_opus};

/* ---- sections ------------------------------------------------------------------------------------------------------ */

static void the_mid_tells_sections_with_the_same_payload_types_apart(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);

    set(p, pair_section("0", true, vp8_rtx, 2));
    set(p, pair_section("1", true, vp8_rtx, 2));
    assert_int_equal(INPUT(.mid = "0", .payload_type = 96, .ssrc = 10), DUET_OK);
    assert_string_equal(p->side[1].last_mid, "0");
    assert_int_equal(INPUT(.mid = "1", .payload_type = 96, .ssrc = 11), DUET_OK);
    assert_string_equal(p->side[1].last_mid, "1");
    assert_int_equal(INPUT(.payload_type = 96, .ssrc = 10, .sequence = 1), DUET_OK); /* its SSRC is known by now */
    assert_string_equal(p->side[1].last_mid, "0");
    assert_int_equal(INPUT(.payload_type = 96, .ssrc = 12), DUET_ERR_NOT_FOUND); /* two sections have 96 */
    assert_int_equal(INPUT(.mid = "2", .payload_type = 96, .ssrc = 13), DUET_ERR_NOT_FOUND);
    assert_int_equal(INPUT(.mid = "0", .payload_type = 100, .ssrc = 10, .sequence = 2), DUET_ERR_NOT_FOUND);
    assert_int_equal(stats_of(p).unknown_section, 2);
    assert_int_equal(stats_of(p).unknown_payload_type, 1);
    assert_int_equal(p->side[1].streams, 2);
    assert_int_equal(p->side[1].packets, 3);
    pair_free(p);
}

static void a_payload_type_of_one_section_only_tells_too(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);

    set(p, pair_section("a", false, opus, 1));
    set(p, pair_section("v", true, vp8_rtx, 2));
    assert_int_equal(INPUT(.payload_type = 111, .ssrc = 10), DUET_OK);
    assert_string_equal(p->side[1].last_mid, "a");
    assert_int_equal(INPUT(.payload_type = 96, .ssrc = 11), DUET_OK);
    assert_string_equal(p->side[1].last_mid, "v");
    assert_int_equal(p->side[1].last.codec->clock_rate, 90000);
    assert_true(duet_receive_stream_is_video(p->side[1].stream));
    pair_free(p);
}

static void announced_ssrcs_need_no_mid(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);
    const uint32_t ssrcs[] = {10};
    duet_rtp_section first = pair_section("0", true, vp8_rtx, 2);

    first.remote_ssrcs = ssrcs;
    first.remote_ssrc_count = 1;
    set(p, pair_section("1", true, vp8_rtx, 2));
    set(p, first);
    assert_int_equal(INPUT(.payload_type = 96, .ssrc = 10), DUET_OK);
    assert_string_equal(p->side[1].last_mid, "0");
    pair_free(p);
}

static void a_stream_that_names_another_section_begins_anew_there(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);

    set(p, pair_section("0", true, vp8_rtx, 2));
    set(p, pair_section("1", true, vp8_rtx, 2));
    INPUT(.mid = "0", .payload_type = 96, .ssrc = 10);
    INPUT(.mid = "1", .payload_type = 96, .ssrc = 10, .sequence = 1);
    assert_int_equal(p->side[1].ended, 1);
    assert_int_equal(p->side[1].streams, 2);
    assert_string_equal(p->side[1].last_mid, "1");
    pair_free(p);
}

static void a_section_that_does_not_receive_counts_and_drops(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);
    duet_rtp_section section = pair_section("v", true, vp8_rtx, 2);

    section.receives = false;
    set(p, section);
    assert_int_equal(INPUT(.mid = "v", .payload_type = 96, .ssrc = 10), DUET_OK);
    assert_int_equal(stats_of(p).not_receiving, 1);
    assert_int_equal(p->side[1].packets, 0);
    section.receives = true; /* off hold: streams begin */
    set(p, section);
    INPUT(.mid = "v", .payload_type = 96, .ssrc = 10, .sequence = 1);
    section.receives = false;
    set(p, section); /* and on hold: they go on, in silence */
    INPUT(.mid = "v", .payload_type = 96, .ssrc = 10, .sequence = 2);
    assert_int_equal(p->side[1].packets, 1);
    assert_int_equal(p->side[1].ended, 0);
    duet_rtp_session_remove_section(p->side[1].session, "v");
    assert_int_equal(p->side[1].ended, 1);
    assert_int_equal(INPUT(.mid = "v", .payload_type = 96, .ssrc = 10, .sequence = 3), DUET_ERR_NOT_FOUND);
    duet_rtp_session_remove_section(p->side[1].session, "never was");
    pair_free(p);
}

static void sections_may_differ_in_their_extension_ids(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);
    duet_rtp_extension_map other = {.ids = {[DUET_RTP_EXT_MID] = 4, [DUET_RTP_EXT_RID] = 12}};
    duet_rtp_section section = pair_section("v", true, vp8_rtx, 2);

    section.extensions = other;
    set(p, pair_section("a", false, opus, 1));
    set(p, section);
    INPUT(.mid = "v", .rid = "hi", .payload_type = 96, .ssrc = 10, .map = &other);
    assert_string_equal(p->side[1].last_rid, "hi");
    pair_free(p);
}

static void there_is_room_for_64_sections(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);
    char mid[8];

    for (int i = 0; i < DUET_RTP_SECTIONS_MAX; i++) {
        snprintf(mid, sizeof(mid), "%d", i);
        assert_int_equal(set(p, pair_section(mid, false, opus, 1)), DUET_OK);
    }
    assert_int_equal(set(p, pair_section("more", false, opus, 1)), DUET_ERR_LIMIT);
    assert_int_equal(set(p, pair_section("5", true, vp8_rtx, 2)), DUET_OK);
    duet_rtp_session_remove_section(p->side[1].session, "0");
    assert_int_equal(set(p, pair_section("more", false, opus, 1)), DUET_OK);
    assert_int_equal(set(p, pair_section("a mid that is longer than anybody's is", false, opus, 1)), DUET_ERR_INVALID);
    pair_free(p);
}

/* ---- retransmissions ----------------------------------------------------------------------------------------------- */

#define OSN(n) .payload = (const uint8_t[]){(n) >> 8, (n)&0xff, 0, 0, 0, (n)&0xff}, .payload_len = 6

static void expect_repair(media_pair *p, uint32_t ssrc, uint16_t sequence)
{
    assert_true(p->side[1].last.is_retransmission);
    assert_int_equal((uint16_t)p->side[1].last.extended_sequence, sequence);
    (void)ssrc;
}

static void rtx_finds_its_stream_by_group(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);
    const uint32_t ssrcs[] = {10, 20}, rtx[] = {11, 21};
    duet_rtp_section section = pair_section("v", true, vp8_rtx, 2);

    section.remote_ssrcs = ssrcs;
    section.remote_rtx_ssrcs = rtx;
    section.remote_ssrc_count = section.remote_rtx_ssrc_count = 2;
    set(p, section);
    INPUT(.payload_type = 96, .ssrc = 10, .sequence = 100);
    assert_int_equal(INPUT(.payload_type = 97, .ssrc = 21, OSN(5)), DUET_ERR_NOT_FOUND); /* its stream is yet to come */
    INPUT(.payload_type = 96, .ssrc = 20, .sequence = 500);
    INPUT(.payload_type = 96, .ssrc = 10, .sequence = 102);
    assert_int_equal(INPUT(.payload_type = 97, .ssrc = 11, OSN(101)), DUET_OK);
    expect_repair(p, 10, 101);
    assert_int_equal(INPUT(.payload_type = 97, .ssrc = 21, .sequence = 1, OSN(499)), DUET_OK);
    expect_repair(p, 20, 499);
    assert_int_equal(p->side[1].retransmitted, 2);
    assert_int_equal(INPUT(.payload_type = 97, .ssrc = 11, .sequence = 2, OSN(101)), DUET_OK); /* once is enough */
    assert_int_equal(p->side[1].retransmitted, 2);
    pair_free(p);
}

static void rtx_finds_its_stream_by_repaired_rid(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);

    set(p, pair_section("v", true, vp8_rtx, 2));
    INPUT(.mid = "v", .rid = "lo", .payload_type = 96, .ssrc = 10, .sequence = 100);
    INPUT(.mid = "v", .rid = "hi", .payload_type = 96, .ssrc = 20, .sequence = 500);
    INPUT(.payload_type = 96, .ssrc = 20, .sequence = 502);
    assert_string_equal(p->side[1].last_rid, "hi");
    assert_int_equal(INPUT(.mid = "v", .repaired_rid = "hi", .payload_type = 97, .ssrc = 99, OSN(501)), DUET_OK);
    expect_repair(p, 20, 501);
    assert_string_equal(p->side[1].last_rid, "hi");
    assert_int_equal(INPUT(.payload_type = 97, .ssrc = 99, .sequence = 1, OSN(499)), DUET_OK);
    expect_repair(p, 20, 499);
    assert_int_equal(INPUT(.mid = "v", .repaired_rid = "mid", .payload_type = 97, .ssrc = 98, OSN(1)),
                     DUET_ERR_NOT_FOUND);
    pair_free(p);
}

static void rtx_finds_the_only_stream_it_can_belong_to(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);

    set(p, pair_section("v", true, vp8_rtx, 2));
    INPUT(.mid = "v", .payload_type = 96, .ssrc = 10, .sequence = 100);
    INPUT(.mid = "v", .payload_type = 96, .ssrc = 20, .sequence = 500);
    assert_int_equal(INPUT(.mid = "v", .payload_type = 97, .ssrc = 99, OSN(499)), DUET_ERR_NOT_FOUND); /* which one? */
    uint8_t bye[16];
    duet_rtcp_writer w = duet_rtcp_writer_init(bye, sizeof(bye));
    duet_rtcp_write_bye(&w, &(duet_rtcp_bye){.ssrc_count = 1, .ssrcs = {10}});
    duet_rtp_session_input(p->side[1].session, bye, w.len, p->now);
    assert_int_equal(INPUT(.mid = "v", .payload_type = 97, .ssrc = 99, .sequence = 1, OSN(499)), DUET_OK);
    expect_repair(p, 20, 499);
    pair_free(p);
}

static void odd_retransmissions_cost_a_counter(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);
    uint8_t one[] = {1};

    set(p, pair_section("v", true, vp8_rtx, 2));
    INPUT(.mid = "v", .payload_type = 96, .ssrc = 10, .sequence = 100);
    INPUT(.mid = "v", .payload_type = 97, .ssrc = 11, OSN(99));
    assert_int_equal(INPUT(.payload_type = 97, .ssrc = 11, .payload = one, .payload_len = 1), DUET_ERR_MALFORMED);
    assert_int_equal(INPUT(.payload_type = 97, .ssrc = 11, .payload = one, .payload_len = 0), DUET_OK); /* a probe */
    assert_int_equal(INPUT(.payload_type = 96, .ssrc = 11), DUET_ERR_NOT_FOUND); /* media in its place */
    INPUT(.payload_type = 97, .ssrc = 11, OSN(40000));
    assert_int_equal(p->side[1].packets, 2);
    assert_int_equal(stats_of(p).malformed, 2);
    pair_free(p);
}

/* ---- sequence numbers ---------------------------------------------------------------------------------------------- */

static void a_stream_that_restarts_goes_on_in_the_next_cycle(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);

    set(p, pair_section("v", true, vp8_rtx, 2));
    INPUT(.mid = "v", .payload_type = 96, .ssrc = 10, .sequence = 100);
    assert_int_equal(p->side[1].last.extended_sequence, 65536 + 100);
    INPUT(.payload_type = 96, .ssrc = 10, .sequence = 40000); /* perhaps an error */
    assert_int_equal(p->side[1].packets, 1);
    INPUT(.payload_type = 96, .ssrc = 10, .sequence = 101);
    assert_int_equal(p->side[1].last.extended_sequence, 65536 + 101);
    INPUT(.payload_type = 96, .ssrc = 10, .sequence = 40000);
    INPUT(.payload_type = 96, .ssrc = 10, .sequence = 40001); /* no: it restarted */
    assert_int_equal(p->side[1].last.extended_sequence, 2 * 65536 + 40001);
    assert_int_equal(p->side[1].packets, 3);
    INPUT(.payload_type = 96, .ssrc = 10, .sequence = 65535);
    assert_int_equal(p->side[1].packets, 3); /* a jump again, and alone */
    INPUT(.payload_type = 96, .ssrc = 10, .sequence = 40002);
    assert_int_equal(p->side[1].last.extended_sequence, 2 * 65536 + 40002);
    pair_free(p);
}

/* ---- bounds -------------------------------------------------------------------------------------------------------- */

static void a_million_ssrcs_find_room_for_a_few(void **state)
{
    (void)state;
    media_pair pair, *p = &pair;
    test_allocator heap;
    duet_env env = DUET_ENV_INIT;

    test_allocator_init(&heap, 0);
    env.allocator = &heap.allocator;
    assert_int_equal(pair_init(p, &env, 1), DUET_OK);
    set(p, pair_section("v", true, vp8_rtx, 2));
    INPUT(.mid = "v", .payload_type = 96, .ssrc = 7);
    for (uint32_t i = 0; i < 1000000; i++) {
        INPUT(.payload_type = 96, .ssrc = 1000 + i);
        if (i % 100 == 0)
            INPUT(.payload_type = 96, .ssrc = 7, .sequence = (uint16_t)(i / 100 + 1));
    }
    assert_int_equal(p->side[1].streams, 1000001);
    assert_int_equal(p->side[1].ended, 1000000 - DUET_RECEIVE_STREAMS_PENDING);
    assert_int_equal(stats_of(p).streams_evicted, 1000000 - DUET_RECEIVE_STREAMS_PENDING);
    assert_in_range(heap.live, 10, 40);
    for (uint32_t i = 0; i < 2000; i++) { /* with a MID they count among all streams */
        INPUT(.mid = "v", .payload_type = 96, .ssrc = 1000 + i);
        if (i % 100 == 0)
            INPUT(.payload_type = 96, .ssrc = 7, .sequence = (uint16_t)(10001 + i / 100));
    }
    assert_int_equal(p->side[1].streams - p->side[1].ended, DUET_RECEIVE_STREAMS_MAX);
    int streams = p->side[1].streams;
    INPUT(.payload_type = 96, .ssrc = 7, .sequence = 10021); /* who is not silent stays */
    assert_int_equal(p->side[1].streams, streams);
    pair_clear(p);
    assert_int_equal(heap.live, 0);
}

static void a_gap_of_thousands_asks_for_no_more_than_a_thousand(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);
    duet_receive_stream_stats in;

    set(p, pair_section("v", true, vp8_rtx, 2));
    for (uint16_t i = 0; i < 20; i++)
        INPUT(.mid = "v", .payload_type = 96, .ssrc = 10, .sequence = (uint16_t)(2900 * i));
    for (int i = 0; i < 3000; i++)
        pair_step(p);
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_in_range(in.nacked_packets, 19000,
                    19000 + 20); /* a thousand, nineteen times, and on suspicion what may be next */
    assert_int_equal(in.nack_given_up, 19 * 2899);
    assert_in_range(in.nack_count, 40, 200);
    pair_free(p);
}

static void garbage_costs_a_counter(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);
    uint64_t seed = 5;
    uint8_t bytes[100];

    set(p, pair_section("v", true, vp8_rtx, 2));
    for (int i = 0; i < 100000; i++) {
        size_t len = test_random_below(&seed, sizeof(bytes));
        test_random_fill(&seed, bytes, len);
        if (i % 2 && len > 1) {
            bytes[0] = (uint8_t)(0x80 | (bytes[0] & 0x3f));
            bytes[1] = (uint8_t)(200 + bytes[1] % 8);
        }
        (void)duet_rtp_session_input(p->side[1].session, bytes, len, p->now);
    }
    duet_rtp_session_stats s = stats_of(p);
    assert_true(s.malformed > 1000);
    assert_true(s.rtcp_malformed > 1000);
    assert_int_equal(INPUT(.mid = "v", .payload_type = 96, .ssrc = 10), DUET_OK);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mid_tells_sections_with_the_same_payload_types_apart),
        cmocka_unit_test(a_payload_type_of_one_section_only_tells_too),
        cmocka_unit_test(announced_ssrcs_need_no_mid),
        cmocka_unit_test(a_stream_that_names_another_section_begins_anew_there),
        cmocka_unit_test(a_section_that_does_not_receive_counts_and_drops),
        cmocka_unit_test(sections_may_differ_in_their_extension_ids),
        cmocka_unit_test(there_is_room_for_64_sections),
        cmocka_unit_test(rtx_finds_its_stream_by_group),
        cmocka_unit_test(rtx_finds_its_stream_by_repaired_rid),
        cmocka_unit_test(rtx_finds_the_only_stream_it_can_belong_to),
        cmocka_unit_test(odd_retransmissions_cost_a_counter),
        cmocka_unit_test(a_stream_that_restarts_goes_on_in_the_next_cycle),
        cmocka_unit_test(a_million_ssrcs_find_room_for_a_few),
        cmocka_unit_test(a_gap_of_thousands_asks_for_no_more_than_a_thousand),
        cmocka_unit_test(garbage_costs_a_counter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
