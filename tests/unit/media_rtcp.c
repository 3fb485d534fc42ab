/* RTCP: vectors by hand, bounds of every reader, and that what is written is read again. */
#include "duet/rtcp.h"
#include "test.h"

/* The only packet of the bytes. */
static duet_rtcp_packet only(const uint8_t *data, size_t len)
{
    duet_rtcp_packet p;
    size_t cursor = 0;

    assert_int_equal(duet_rtcp_next(data, len, &cursor, &p), 1);
    assert_int_equal(duet_rtcp_next(data, len, &cursor, &(duet_rtcp_packet){0}), 0);
    return p;
}

static uint8_t buf[1500];
static duet_rtcp_writer writer(void)
{
    memset(buf, 0xcc, sizeof(buf));
    return duet_rtcp_writer_init(buf, sizeof(buf));
}

#define ONLY(...)                only((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define RTCP(first, type, words) (first), (type), 0, (words)

/* ---- compound packets -------------------------------------------------------------------------------------------- */

static int walk(const uint8_t *data, size_t len)
{
    duet_rtcp_packet p;
    size_t cursor = 0;
    int more, count = 0;

    while ((more = duet_rtcp_next(data, len, &cursor, &p)) == 1)
        count++;
    return more < 0 ? more : count;
}
#define WALK(...) walk((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void a_compound_is_walked_packet_by_packet(void **state)
{
    (void)state;

    assert_int_equal(WALK(RTCP(0x80, 201, 1), 0, 0, 0, 1, RTCP(0x81, 203, 1), 0, 0, 0, 1), 2);
    assert_int_equal(walk(NULL, 0), 0);
    assert_int_equal(WALK(0x80, 201, 0, 0), 1);
}

static void lengths_versions_and_padding_are_checked(void **state)
{
    (void)state;

    assert_int_equal(WALK(0x80, 201, 0), DUET_ERR_MALFORMED);
    assert_int_equal(WALK(RTCP(0x80, 201, 2), 0, 0, 0, 1), DUET_ERR_MALFORMED);
    assert_int_equal(WALK(0x80, 201, 0xff, 0xff, 0, 0, 0, 1), DUET_ERR_MALFORMED);
    assert_int_equal(WALK(RTCP(0x40, 201, 1), 0, 0, 0, 1), DUET_ERR_MALFORMED);
    assert_int_equal(WALK(RTCP(0xa0, 201, 1), 0, 0, 0, 0), DUET_ERR_MALFORMED);
    assert_int_equal(WALK(RTCP(0xa0, 201, 1), 0, 0, 0, 5), DUET_ERR_MALFORMED);
    assert_int_equal(WALK(RTCP(0xa0, 201, 0)), DUET_ERR_MALFORMED);
    assert_int_equal(WALK(RTCP(0xa0, 201, 1), 0, 0, 0, 4, RTCP(0x80, 201, 0)), DUET_ERR_MALFORMED);
    assert_int_equal(ONLY(RTCP(0xa0, 201, 2), 1, 2, 3, 4, 0, 0, 0, 4).body_len, 4);
}

static void a_packet_that_does_not_fit_leaves_the_compound_as_it_was(void **state)
{
    (void)state;
    uint8_t small[20];
    duet_rtcp_writer w = duet_rtcp_writer_init(small, sizeof(small));

    assert_int_equal(duet_rtcp_write_pli(&w, 1, 2), DUET_OK);
    assert_int_equal(w.len, 12);
    assert_int_equal(duet_rtcp_write_pli(&w, 1, 2), DUET_ERR_BUFFER);
    assert_int_equal(w.len, 12);
    assert_int_equal(walk(small, w.len), 1);
}

/* ---- reports ----------------------------------------------------------------------------------------------------- */

static void a_sender_report_gives_all_its_fields(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x81, 200, 0,    12,   0, 0, 0, 1, 0xe0, 1, 2, 3, 0x80, 0, 0,  0,    0,    0,
                                    0x10, 0,   0,    0,    0, 5, 0, 0, 2,    0, 0, 0, 0,    9, 64, 0xff, 0xff, 0xfe,
                                    0,    1,   0x12, 0x34, 0, 0, 0, 7, 1,    2, 3, 4, 0,    1, 0,  0};
    duet_rtcp_report r;
    duet_rtcp_packet p = only(bytes, sizeof(bytes));

    assert_int_equal(duet_rtcp_read_report(&r, &p), DUET_OK);
    assert_true(r.is_sender);
    assert_int_equal(r.ssrc, 1);
    assert_true(r.ntp == 0xe001020380000000u);
    assert_int_equal(r.rtp_timestamp, 0x1000);
    assert_int_equal(r.packet_count, 5);
    assert_int_equal(r.octet_count, 512);
    assert_int_equal(r.block_count, 1);
    assert_int_equal(r.blocks[0].ssrc, 9);
    assert_int_equal(r.blocks[0].fraction_lost, 64);
    assert_int_equal(r.blocks[0].cumulative_lost, -2);
    assert_int_equal(r.blocks[0].highest_sequence, 0x11234);
    assert_int_equal(r.blocks[0].jitter, 7);
    assert_int_equal(r.blocks[0].last_sr, 0x01020304);
    assert_int_equal(r.blocks[0].delay_since_last_sr, 65536);

    duet_rtcp_writer w = writer();
    assert_int_equal(duet_rtcp_write_report(&w, &r), DUET_OK);
    assert_int_equal(w.len, sizeof(bytes));
    assert_memory_equal(buf, bytes, w.len);
}

static void a_report_with_blocks_past_the_end_is_malformed(void **state)
{
    (void)state;
    duet_rtcp_report r;
    duet_rtcp_packet p = ONLY(RTCP(0x9f, 201, 1), 0, 0, 0, 1);

    assert_int_equal(duet_rtcp_read_report(&r, &p), DUET_ERR_MALFORMED);
    p = ONLY(RTCP(0x80, 200, 1), 0, 0, 0, 1);
    assert_int_equal(duet_rtcp_read_report(&r, &p), DUET_ERR_MALFORMED);
    p = ONLY(RTCP(0x80, 202, 1), 0, 0, 0, 1);
    assert_int_equal(duet_rtcp_read_report(&r, &p), DUET_ERR_NOT_MINE);
}

static void losses_beyond_24_bits_are_clamped(void **state)
{
    (void)state;
    duet_rtcp_report r = {.block_count = 2,
                          .blocks = {{.cumulative_lost = 0x1000000}, {.cumulative_lost = -0x1000000}}};
    duet_rtcp_writer w = writer();

    assert_int_equal(duet_rtcp_write_report(&w, &r), DUET_OK);
    duet_rtcp_packet p = only(buf, w.len);
    assert_int_equal(duet_rtcp_read_report(&r, &p), DUET_OK);
    assert_int_equal(r.blocks[0].cumulative_lost, 0x7fffff);
    assert_int_equal(r.blocks[1].cumulative_lost, -0x800000);
    r.block_count = 32;
    assert_int_equal(duet_rtcp_write_report(&w, &r), DUET_ERR_INVALID);
}

/* ---- SDES, BYE, APP ---------------------------------------------------------------------------------------------- */

static void descriptions_of_sources_come_item_by_item(void **state)
{
    (void)state;
    static const duet_rtcp_sdes_item items[] = {{1, DUET_RTCP_SDES_CNAME, "abc", 3},
                                                {1, DUET_RTCP_SDES_MID, "video", 5},
                                                {2, DUET_RTCP_SDES_CNAME, "ab", 2},
                                                {3, DUET_RTCP_SDES_CNAME, "", 0}};
    duet_rtcp_sdes_cursor cursor = {0};
    duet_rtcp_sdes_item item;
    duet_rtcp_writer w = writer();

    assert_int_equal(duet_rtcp_write_sdes(&w, items, 4), DUET_OK);
    duet_rtcp_packet p = only(buf, w.len);
    assert_int_equal(p.count, 3);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(duet_rtcp_next_sdes(&p, &cursor, &item), 1);
        assert_int_equal(item.ssrc, items[i].ssrc);
        assert_int_equal(item.type, items[i].type);
        assert_int_equal(item.len, items[i].len);
        if (item.len)
            assert_memory_equal(item.text, items[i].text, item.len);
    }
    assert_int_equal(duet_rtcp_next_sdes(&p, &cursor, &item), 0);
    assert_int_equal(duet_rtcp_next_sdes(&p, &cursor, &item), 0);
}

static int count_sdes(duet_rtcp_packet p)
{
    duet_rtcp_sdes_cursor cursor = {0};
    duet_rtcp_sdes_item item;
    int more, count = 0;

    while ((more = duet_rtcp_next_sdes(&p, &cursor, &item)) == 1)
        count++;
    return more < 0 ? more : count;
}

static void ill_formed_descriptions_are_malformed(void **state)
{
    (void)state;

    assert_int_equal(count_sdes(ONLY(RTCP(0x80, 202, 0))), 0);
    assert_int_equal(count_sdes(ONLY(RTCP(0x81, 202, 0))), DUET_ERR_MALFORMED);
    assert_int_equal(count_sdes(ONLY(RTCP(0x81, 202, 1), 0, 0, 0, 1)), DUET_ERR_MALFORMED);
    assert_int_equal(count_sdes(ONLY(RTCP(0x81, 202, 2), 0, 0, 0, 1, 1, 200, 'a', 0)), DUET_ERR_MALFORMED);
    assert_int_equal(count_sdes(ONLY(RTCP(0x81, 202, 2), 0, 0, 0, 1, 1, 2, 'a', 'b')), DUET_ERR_MALFORMED);
    assert_int_equal(count_sdes(ONLY(RTCP(0x82, 202, 2), 0, 0, 0, 1, 1, 1, 'a', 0)), DUET_ERR_MALFORMED);
    assert_int_equal(count_sdes(ONLY(RTCP(0x81, 202, 2), 0, 0, 0, 1, 0, 0, 0, 0)), 0);
    assert_int_equal(count_sdes(ONLY(RTCP(0x9f, 202, 2), 0, 0, 0, 1, 0, 0, 0, 0)), DUET_ERR_MALFORMED);
}

static void a_goodbye_has_its_sources_and_perhaps_a_reason(void **state)
{
    (void)state;
    duet_rtcp_bye in = {.ssrc_count = 2, .ssrcs = {7, 8}, .reason = "bye", .reason_len = 3}, out;
    duet_rtcp_writer w = writer();

    assert_int_equal(duet_rtcp_write_bye(&w, &in), DUET_OK);
    assert_int_equal(w.len, 16);
    duet_rtcp_packet p = only(buf, w.len);
    assert_int_equal(duet_rtcp_read_bye(&out, &p), DUET_OK);
    assert_int_equal(out.ssrc_count, 2);
    assert_int_equal(out.ssrcs[1], 8);
    assert_int_equal(out.reason_len, 3);
    assert_memory_equal(out.reason, "bye", 3);

    p = ONLY(RTCP(0x81, 203, 2), 0, 0, 0, 7, 4, 'a', 'b', 'c'); /* a reason past the end */
    assert_int_equal(duet_rtcp_read_bye(&out, &p), DUET_ERR_MALFORMED);
    p = ONLY(RTCP(0x82, 203, 1), 0, 0, 0, 7);
    assert_int_equal(duet_rtcp_read_bye(&out, &p), DUET_ERR_MALFORMED);
    p = ONLY(RTCP(0x80, 203, 0));
    assert_int_equal(duet_rtcp_read_bye(&out, &p), DUET_OK);
    assert_null(out.reason);
}

static void an_application_packet_carries_its_name_and_data(void **state)
{
    (void)state;
    duet_rtcp_app in = {
        .subtype = 5, .ssrc = 9, .name = {'d', 'u', 'e', 't'}, .data = (const uint8_t *)"12345678", .len = 8};
    duet_rtcp_app out;
    duet_rtcp_writer w = writer();

    assert_int_equal(duet_rtcp_write_app(&w, &in), DUET_OK);
    duet_rtcp_packet p = only(buf, w.len);
    assert_int_equal(duet_rtcp_read_app(&out, &p), DUET_OK);
    assert_int_equal(out.subtype, 5);
    assert_memory_equal(out.name, "duet", 4);
    assert_int_equal(out.len, 8);
    in.len = 7;
    assert_int_equal(duet_rtcp_write_app(&w, &in), DUET_ERR_INVALID);
    p = ONLY(RTCP(0x80, 204, 1), 0, 0, 0, 7);
    assert_int_equal(duet_rtcp_read_app(&out, &p), DUET_ERR_MALFORMED);
}

/* ---- feedback ---------------------------------------------------------------------------------------------------- */

static size_t nacked(const duet_rtcp_nack *nack, uint16_t *out)
{
    size_t count = 0;

    for (size_t i = 0; i < nack->pair_count; i++) {
        uint16_t pid, blp;
        duet_rtcp_nack_pair(nack, i, &pid, &blp);
        out[count++] = pid;
        for (unsigned bit = 0; bit < 16; bit++) {
            if (blp & 1u << bit)
                out[count++] = (uint16_t)(pid + bit + 1);
        }
    }
    return count;
}

static void a_nack_packs_what_is_near_into_pairs(void **state)
{
    (void)state;
    static const uint16_t lost[] = {65530, 65531, 10, 11, 100, 117};
    uint16_t got[64];
    duet_rtcp_nack nack;
    duet_rtcp_writer w = writer();

    assert_int_equal(duet_rtcp_write_nack(&w, 1, 2, lost, 6, NULL), DUET_OK);
    duet_rtcp_packet p = only(buf, w.len);
    assert_int_equal(duet_rtcp_read_nack(&nack, &p), DUET_OK);
    assert_int_equal(nack.sender_ssrc, 1);
    assert_int_equal(nack.media_ssrc, 2);
    assert_int_equal(nack.pair_count, 4); /* 65530 takes 10 (16 ahead); 11; 100; 117 */
    assert_int_equal(nacked(&nack, got), 6);
    assert_memory_equal(got, lost, sizeof(lost));

    size_t taken;
    w.capacity = w.len + 12 + 4;
    assert_int_equal(duet_rtcp_write_nack(&w, 1, 2, lost, 6, &taken), DUET_OK);
    assert_int_equal(taken, 3);
    assert_int_equal(duet_rtcp_write_nack(&w, 1, 2, lost, 6, NULL), DUET_ERR_BUFFER);
    assert_int_equal(duet_rtcp_write_nack(&w, 1, 2, lost, 0, NULL), DUET_ERR_INVALID);
}

static void feedback_cut_off_is_malformed(void **state)
{
    (void)state;
    duet_rtcp_nack nack;
    duet_rtcp_fir fir;
    duet_rtcp_remb remb;
    duet_rtcp_transport_cc cc;
    duet_rtcp_ccfb ccfb;
    uint32_t a, b;

    for (uint8_t words = 0; words < 3; words++) {
        uint8_t bytes[16] = {0x81, 205, 0, words};
        duet_rtcp_packet p = only(bytes, 4 + 4u * words);
        assert_int_equal(duet_rtcp_read_nack(&nack, &p), DUET_ERR_MALFORMED);
        bytes[0] = 0x8f;
        p = only(bytes, 4 + 4u * words);
        assert_int_equal(duet_rtcp_read_transport_cc(&cc, &p), DUET_ERR_MALFORMED);
        bytes[0] = 0x8b;
        p = only(bytes, 4 + 4u * words);
        assert_int_equal(duet_rtcp_read_ccfb(&ccfb, &p), words == 2 ? DUET_OK : DUET_ERR_MALFORMED);
        bytes[1] = 206;
        bytes[0] = 0x81;
        p = only(bytes, 4 + 4u * words);
        assert_int_equal(duet_rtcp_read_pli(&p, &a, &b), words == 2 ? DUET_OK : DUET_ERR_MALFORMED);
        bytes[0] = 0x84;
        p = only(bytes, 4 + 4u * words);
        assert_int_equal(duet_rtcp_read_fir(&fir, &p), DUET_ERR_MALFORMED);
        bytes[0] = 0x8f;
        p = only(bytes, 4 + 4u * words);
        assert_int_equal(duet_rtcp_read_remb(&remb, &p), DUET_ERR_NOT_MINE);
    }
    duet_rtcp_packet p = ONLY(RTCP(0x84, 206, 3), 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2); /* half an entry */
    assert_int_equal(duet_rtcp_read_fir(&fir, &p), DUET_ERR_MALFORMED);
    p = ONLY(RTCP(0x8f, 206, 4), 0, 0, 0, 1, 0, 0, 0, 0, 'R', 'E', 'M', 'B', 1, 0, 0, 1); /* an SSRC past the end */
    assert_int_equal(duet_rtcp_read_remb(&remb, &p), DUET_ERR_MALFORMED);
}

static void key_frame_requests_name_their_stream(void **state)
{
    (void)state;
    duet_rtcp_writer w = writer();
    uint32_t sender, media;
    uint8_t sequence;
    duet_rtcp_fir fir;
    duet_rtcp_packet p;
    size_t cursor = 0;

    assert_int_equal(duet_rtcp_write_pli(&w, 1, 2), DUET_OK);
    assert_int_equal(duet_rtcp_write_fir(&w, 1, 2, 200), DUET_OK);
    assert_int_equal(duet_rtcp_next(buf, w.len, &cursor, &p), 1);
    assert_int_equal(duet_rtcp_read_pli(&p, &sender, &media), DUET_OK);
    assert_int_equal(sender, 1);
    assert_int_equal(media, 2);
    assert_int_equal(duet_rtcp_next(buf, w.len, &cursor, &p), 1);
    assert_int_equal(duet_rtcp_read_pli(&p, &sender, &media), DUET_ERR_NOT_MINE);
    assert_int_equal(duet_rtcp_read_fir(&fir, &p), DUET_OK);
    assert_int_equal(fir.entry_count, 1);
    duet_rtcp_fir_entry(&fir, 0, &media, &sequence);
    assert_int_equal(media, 2);
    assert_int_equal(sequence, 200);
}

static void a_remb_keeps_18_bits_of_its_rate(void **state)
{
    (void)state;
    static const uint64_t rates[] = {0, 1, 0x3ffff, 0x40000, 1000000, 0xffffffffffffffffu};

    for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
        duet_rtcp_remb in = {.sender_ssrc = 1, .bits_per_second = rates[i], .ssrc_count = 2, .ssrcs = {5, 6}}, out;
        duet_rtcp_writer w = writer();
        assert_int_equal(duet_rtcp_write_remb(&w, &in), DUET_OK);
        duet_rtcp_packet p = only(buf, w.len);
        assert_int_equal(duet_rtcp_read_remb(&out, &p), DUET_OK);
        assert_true(out.bits_per_second <= rates[i] && out.bits_per_second >= rates[i] - (rates[i] >> 17));
        assert_int_equal(out.ssrc_count, 2);
        assert_int_equal(out.ssrcs[1], 6);
    }
    duet_rtcp_remb out;
    duet_rtcp_packet p = ONLY(RTCP(0x8f, 206, 4), 0, 0, 0, 1, 0, 0, 0, 0, 'R', 'E', 'M', 'B', 0, 0xff, 0xff, 0xff);
    assert_int_equal(duet_rtcp_read_remb(&out, &p), DUET_ERR_MALFORMED);
}

/* ---- transport-wide feedback ------------------------------------------------------------------------------------- */

#define CC(words) RTCP(0x8f, 205, words), 0, 0, 0, 1, 0, 0, 0, 2

static void all_three_chunk_forms_are_read(void **state)
{
    (void)state;
    /* base 65534, 24 statuses, reference 2: a run of 3 small; one-bit vector 10000000000001; two-bit 1,2,0,0,0,0,0 */
    duet_rtcp_packet p =
        ONLY(CC(8), 0xff, 0xfe, 0, 24, 0, 0, 2, 9, 0x20, 3, 0xa0, 0x01, 0xd8, 0x00, 1, 2, 3, 4, 5, 6, 0xff, 0xff, 0, 0);
    duet_rtcp_transport_cc cc;
    duet_rtcp_status_cursor cursor = {0};
    duet_rtcp_packet_status s;
    static const int64_t at[24] = {513, 515, 518, 522, [16] = 527, [17] = 533, [18] = 532};

    assert_int_equal(duet_rtcp_read_transport_cc(&cc, &p), DUET_OK);
    assert_int_equal(cc.base_sequence, 65534);
    assert_int_equal(cc.reference_time, 2);
    assert_int_equal(cc.feedback_count, 9);
    assert_int_equal(cc.chunk_count, 3);
    for (int i = 0; i < 24; i++) {
        assert_int_equal(duet_rtcp_next_status(&cc, &cursor, &s), 1);
        assert_int_equal(s.sequence_number, (uint16_t)(65534 + i));
        assert_int_equal(s.received, at[i] != 0);
        assert_int_equal(s.time, at[i]);
    }
    assert_int_equal(duet_rtcp_next_status(&cc, &cursor, &s), 0);
}

static void run_lengths_that_multiply_cost_nothing(void **state)
{
    (void)state;
    static uint8_t bytes[4 + 16 + 65000];
    uint8_t head[] = {0x8f, 205, 0x3f, 0x7d, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
    duet_rtcp_transport_cc cc;
    duet_rtcp_status_cursor cursor = {0};
    duet_rtcp_packet_status s;
    size_t count = 0;

    memcpy(bytes, head, sizeof(head));
    for (size_t i = sizeof(head); i < sizeof(bytes); i += 2) { /* 32500 chunks that claim 8191 lost packets each */
        bytes[i] = 0x1f;
        bytes[i + 1] = 0xff;
    }
    size_t words = (sizeof(bytes) - 4) / 4;
    bytes[2] = (uint8_t)(words >> 8);
    bytes[3] = (uint8_t)words;
    duet_rtcp_packet p = only(bytes, sizeof(bytes));
    assert_int_equal(duet_rtcp_read_transport_cc(&cc, &p), DUET_OK);
    assert_int_equal(cc.chunk_count, 9);
    while (duet_rtcp_next_status(&cc, &cursor, &s))
        count++;
    assert_int_equal(count, 65535);
    /* The same with received packets: there are not so many deltas. */
    for (size_t i = sizeof(head); i < sizeof(bytes); i += 2)
        bytes[i] = 0x5f;
    assert_int_equal(duet_rtcp_read_transport_cc(&cc, &p), DUET_ERR_MALFORMED);
}

static void transport_feedback_with_missing_parts_is_malformed(void **state)
{
    (void)state;
    duet_rtcp_transport_cc cc;
    duet_rtcp_packet p = ONLY(CC(5), 0, 0, 0, 4, 0, 0, 0, 0, 0x20, 3, 1, 2); /* three of four statuses */
    assert_int_equal(duet_rtcp_read_transport_cc(&cc, &p), DUET_ERR_MALFORMED);
    p = ONLY(CC(5), 0, 0, 0, 3, 0, 0, 0, 0, 0x20, 3, 1, 2); /* two of three deltas */
    assert_int_equal(duet_rtcp_read_transport_cc(&cc, &p), DUET_ERR_MALFORMED);
    p = ONLY(CC(5), 0, 0, 0, 2, 0, 0, 0, 0, 0x60, 2, 1, 2); /* the reserved symbol, in a run */
    assert_int_equal(duet_rtcp_read_transport_cc(&cc, &p), DUET_ERR_MALFORMED);
    p = ONLY(CC(5), 0, 0, 0, 2, 0, 0, 0, 0, 0xf0, 0, 1, 2); /* and in a vector */
    assert_int_equal(duet_rtcp_read_transport_cc(&cc, &p), DUET_ERR_MALFORMED);
    p = ONLY(CC(5), 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0); /* runs of nothing */
    assert_int_equal(duet_rtcp_read_transport_cc(&cc, &p), DUET_ERR_MALFORMED);
    p = ONLY(CC(4), 0, 0, 0, 0, 0, 0, 0, 0); /* reports on nothing */
    assert_int_equal(duet_rtcp_read_transport_cc(&cc, &p), DUET_OK);
    assert_int_equal(duet_rtcp_next_status(&cc, &(duet_rtcp_status_cursor){0}, &(duet_rtcp_packet_status){0}), 0);
}

/* Writes all, in as many packets as it takes, and reads them again. */
static size_t cc_round_trip(const duet_rtcp_packet_status *statuses, size_t count, size_t capacity)
{
    size_t done = 0, packets = 0;

    while (done < count) {
        duet_rtcp_writer w = duet_rtcp_writer_init(buf, capacity);
        duet_rtcp_transport_cc in = {.sender_ssrc = 1, .media_ssrc = 2, .feedback_count = (uint8_t)packets}, out;
        duet_rtcp_status_cursor cursor = {0};
        duet_rtcp_packet_status s;
        size_t taken;
        int err = duet_rtcp_write_transport_cc(&w, &in, statuses + done, count - done, &taken);
        if (err == DUET_ERR_INVALID)
            break; /* only lost ones are left */
        assert_int_equal(err, DUET_OK);
        assert_true(taken > 0);
        duet_rtcp_packet p = only(buf, w.len);
        assert_int_equal(duet_rtcp_read_transport_cc(&out, &p), DUET_OK);
        assert_int_equal(out.status_count, taken);
        assert_int_equal(out.feedback_count, (uint8_t)packets);
        for (size_t i = 0; i < taken; i++) {
            assert_int_equal(duet_rtcp_next_status(&out, &cursor, &s), 1);
            assert_int_equal(s.sequence_number, statuses[done + i].sequence_number);
            assert_int_equal(s.received, statuses[done + i].received);
            if (s.received)
                assert_true(s.time == statuses[done + i].time);
        }
        done += taken;
        packets++;
    }
    return packets;
}

static void transport_feedback_is_read_as_it_was_written(void **state)
{
    (void)state;
    static duet_rtcp_packet_status statuses[2000];
    uint64_t seed = 7;

    for (int round = 0; round < 300; round++) {
        size_t count = 1 + test_random_below(&seed, 400);
        uint64_t loss = test_random_below(&seed, 101), jump = 1 + test_random_below(&seed, 2000);
        int64_t now = (int64_t)test_random_below(&seed, 1 << 30);
        for (size_t i = 0; i < count; i++) {
            now += (int64_t)test_random_below(&seed, jump) - (int64_t)(test_random_below(&seed, 20) == 0 ? jump : 0);
            statuses[i] = (duet_rtcp_packet_status){(uint16_t)(65500 + i), test_random_below(&seed, 100) >= loss, now};
        }
        statuses[0].received = true;
        cc_round_trip(statuses, count, 40 + 4 * test_random_below(&seed, 280));
    }
}

static void transport_feedback_is_small_for_what_is_usual(void **state)
{
    (void)state;
    static duet_rtcp_packet_status statuses[1000];

    for (size_t i = 0; i < 1000; i++)
        statuses[i] = (duet_rtcp_packet_status){(uint16_t)i, true, (int64_t)(i * 4)};
    duet_rtcp_transport_cc in = {0};
    duet_rtcp_writer w = writer();
    size_t taken;
    assert_int_equal(duet_rtcp_write_transport_cc(&w, &in, statuses, 1000, &taken), DUET_OK);
    assert_int_equal(taken, 1000);
    assert_int_equal(w.len, 20 + 2 + 1000 + 2); /* head, one run, deltas, padding */

    statuses[500].time += 40000; /* 10 s: no delta takes it */
    for (size_t i = 501; i < 1000; i++)
        statuses[i].time += 40000;
    w = writer();
    assert_int_equal(duet_rtcp_write_transport_cc(&w, &in, statuses, 1000, &taken), DUET_OK);
    assert_int_equal(taken, 500);
    assert_int_equal(cc_round_trip(statuses, 1000, 1200), 2);
    for (size_t i = 0; i < 1000; i++)
        statuses[i].received = false;
    assert_int_equal(duet_rtcp_write_transport_cc(&w, &in, statuses, 1000, &taken), DUET_ERR_INVALID);
    w = duet_rtcp_writer_init(buf, 23);
    statuses[0].received = true;
    assert_int_equal(duet_rtcp_write_transport_cc(&w, &in, statuses, 1, &taken), DUET_ERR_BUFFER);
    assert_int_equal(w.len, 0);
}

/* ---- RFC 8888 ---------------------------------------------------------------------------------------------------- */

static void congestion_feedback_is_read_as_it_was_written(void **state)
{
    (void)state;
    static const duet_rtcp_ccfb_report first[] = {{true, 1, 100}, {false, 0, 0}, {true, 3, DUET_RTCP_CCFB_OFFSET_OVER}};
    static const duet_rtcp_ccfb_source sources[] = {{5, 65535, 3, first}, {6, 7, 0, NULL}, {8, 1, 2, first}};
    duet_rtcp_writer w = writer();
    duet_rtcp_ccfb ccfb;
    duet_rtcp_ccfb_block block;
    size_t cursor = 0;

    assert_int_equal(duet_rtcp_write_ccfb(&w, 1, sources, 3, 0xabcdef01), DUET_OK);
    assert_int_equal(w.len, 4 + 4 + (8 + 8) + 8 + (8 + 4) + 4);
    duet_rtcp_packet p = only(buf, w.len);
    assert_int_equal(duet_rtcp_read_ccfb(&ccfb, &p), DUET_OK);
    assert_int_equal(ccfb.sender_ssrc, 1);
    assert_int_equal(ccfb.report_timestamp, 0xabcdef01);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(duet_rtcp_next_ccfb_block(&ccfb, &cursor, &block), 1);
        assert_int_equal(block.ssrc, sources[i].ssrc);
        assert_int_equal(block.begin_sequence, sources[i].begin_sequence);
        assert_int_equal(block.report_count, sources[i].report_count);
        for (uint16_t k = 0; k < block.report_count; k++) {
            duet_rtcp_ccfb_report r = duet_rtcp_ccfb_report_at(&block, k);
            assert_int_equal(r.received, first[k].received);
            assert_int_equal(r.ecn, first[k].ecn);
            assert_int_equal(r.arrival_offset, first[k].arrival_offset);
        }
    }
    assert_int_equal(duet_rtcp_next_ccfb_block(&ccfb, &cursor, &block), 0);
    assert_false(duet_rtcp_ccfb_report_at(&block, 999).received);
}

static void congestion_feedback_with_reports_past_the_end_is_malformed(void **state)
{
    (void)state;
    duet_rtcp_ccfb ccfb;
    duet_rtcp_packet p = ONLY(RTCP(0x8b, 205, 5), 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 3, 0x80, 0, 0x80, 0, 1, 2, 3, 4);

    assert_int_equal(duet_rtcp_read_ccfb(&ccfb, &p), DUET_ERR_MALFORMED);
    p = ONLY(RTCP(0x8b, 205, 4), 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0xff, 0xff, 1, 2, 3, 4);
    assert_int_equal(duet_rtcp_read_ccfb(&ccfb, &p), DUET_ERR_MALFORMED);
}

/* ---- extended reports -------------------------------------------------------------------------------------------- */

static void reference_times_and_their_answers_are_read_as_written(void **state)
{
    (void)state;
    static const duet_rtcp_dlrr items[] = {{1, 2, 3}, {4, 5, 6}};
    duet_rtcp_writer w = writer();
    duet_rtcp_xr_block block;
    duet_rtcp_packet p;
    duet_rtcp_dlrr item;
    size_t at = 0, cursor = 0, in_block = 0;
    uint64_t ntp;

    assert_int_equal(duet_rtcp_write_rrtr(&w, 9, 0x0123456789abcdef), DUET_OK);
    assert_int_equal(duet_rtcp_write_dlrr(&w, 9, items, 2), DUET_OK);
    assert_int_equal(duet_rtcp_next(buf, w.len, &at, &p), 1);
    assert_int_equal(duet_rtcp_next_xr_block(&p, &cursor, &block), 1);
    assert_int_equal(block.sender_ssrc, 9);
    assert_int_equal(duet_rtcp_read_rrtr(&block, &ntp), DUET_OK);
    assert_true(ntp == 0x0123456789abcdef);
    assert_int_equal(duet_rtcp_next_dlrr(&block, &in_block, &item), DUET_ERR_NOT_MINE);
    assert_int_equal(duet_rtcp_next_xr_block(&p, &cursor, &block), 0);

    assert_int_equal(duet_rtcp_next(buf, w.len, &at, &p), 1);
    cursor = 0;
    assert_int_equal(duet_rtcp_next_xr_block(&p, &cursor, &block), 1);
    assert_int_equal(duet_rtcp_read_rrtr(&block, &ntp), DUET_ERR_NOT_MINE);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(duet_rtcp_next_dlrr(&block, &in_block, &item), 1);
        assert_memory_equal(&item, &items[i], sizeof(item));
    }
    assert_int_equal(duet_rtcp_next_dlrr(&block, &in_block, &item), 0);
}

static void extended_reports_cut_off_are_malformed(void **state)
{
    (void)state;
    duet_rtcp_xr_block block;
    duet_rtcp_dlrr item;
    uint64_t ntp;
    size_t cursor = 0;
    duet_rtcp_packet p = ONLY(RTCP(0x80, 207, 2), 0, 0, 0, 1, 4, 0, 0, 2);

    assert_int_equal(duet_rtcp_next_xr_block(&p, &cursor, &block), DUET_ERR_MALFORMED);
    p = ONLY(RTCP(0x80, 207, 0));
    assert_int_equal(duet_rtcp_next_xr_block(&p, &cursor, &block), DUET_ERR_MALFORMED);
    p = ONLY(RTCP(0x80, 207, 3), 0, 0, 0, 1, 4, 0, 0, 1, 0, 0, 0, 0);
    cursor = 0;
    assert_int_equal(duet_rtcp_next_xr_block(&p, &cursor, &block), 1);
    assert_int_equal(duet_rtcp_read_rrtr(&block, &ntp), DUET_ERR_MALFORMED);
    block.type = DUET_RTCP_XR_DLRR;
    cursor = 0;
    assert_int_equal(duet_rtcp_next_dlrr(&block, &cursor, &item), DUET_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compound_is_walked_packet_by_packet),
        cmocka_unit_test(lengths_versions_and_padding_are_checked),
        cmocka_unit_test(a_packet_that_does_not_fit_leaves_the_compound_as_it_was),
        cmocka_unit_test(a_sender_report_gives_all_its_fields),
        cmocka_unit_test(a_report_with_blocks_past_the_end_is_malformed),
        cmocka_unit_test(losses_beyond_24_bits_are_clamped),
        cmocka_unit_test(descriptions_of_sources_come_item_by_item),
        cmocka_unit_test(ill_formed_descriptions_are_malformed),
        cmocka_unit_test(a_goodbye_has_its_sources_and_perhaps_a_reason),
        cmocka_unit_test(an_application_packet_carries_its_name_and_data),
        cmocka_unit_test(a_nack_packs_what_is_near_into_pairs),
        cmocka_unit_test(feedback_cut_off_is_malformed),
        cmocka_unit_test(key_frame_requests_name_their_stream),
        cmocka_unit_test(a_remb_keeps_18_bits_of_its_rate),
        cmocka_unit_test(all_three_chunk_forms_are_read),
        cmocka_unit_test(run_lengths_that_multiply_cost_nothing),
        cmocka_unit_test(transport_feedback_with_missing_parts_is_malformed),
        cmocka_unit_test(transport_feedback_is_read_as_it_was_written),
        cmocka_unit_test(transport_feedback_is_small_for_what_is_usual),
        cmocka_unit_test(congestion_feedback_is_read_as_it_was_written),
        cmocka_unit_test(congestion_feedback_with_reports_past_the_end_is_malformed),
        cmocka_unit_test(reference_times_and_their_answers_are_read_as_written),
        cmocka_unit_test(extended_reports_cut_off_are_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
