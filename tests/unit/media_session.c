/* RTP sessions: media across a bad link, its repair, and what both ends know of it. */
#include "media_pair.h"

/* 30 frames of five packets each second. */
static void send_video(media_pair *p, duet_send_stream *stream, uint32_t *counter, duet_time duration)
{
    duet_time end = p->now + duration, next = p->now;
    uint32_t base = duet_send_stream_timestamp_base(stream);

    while (p->now < end) {
        if (p->now >= next) {
            for (int i = 0; i < 5; i++, (*counter)++)
                assert_int_equal(pair_send(p, stream, 96, *counter, base + *counter / 5 * 3000, 1000), DUET_OK);
            next += 33333;
        }
        pair_step(p);
    }
}

static size_t missing(const pair_side *side, uint32_t count)
{
    size_t n = 0;

    for (uint32_t i = 0; i < count; i++)
        n += side->got[i] == 0;
    return n;
}

/* ---- media ------------------------------------------------------------------------------------------------------- */

static void a_packet_arrives_with_all_that_belongs_to_it(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);
    duet_send_stream *stream;
    duet_rtp_extensions e = {.present = 1u << DUET_RTP_EXT_AUDIO_LEVEL, .audio_level = 33, .voice_activity = true};
    uint8_t payload[] = {0, 0, 0, 7, 1, 2, 3};

    pair_add_audio(p, "a");
    pair_add_video(p, "v");
    pair_stream(p, 0, "a", &stream);
    assert_int_equal(duet_send_stream_send(stream, 111, true, 4711, payload, sizeof(payload), &e, p->now), DUET_OK);
    assert_int_equal(p->side[0].wakes, 1);
    pair_run(p, DUET_MS(30));
    assert_int_equal(p->side[1].streams, 1);
    assert_int_equal(p->side[1].packets, 1);
    assert_int_equal(p->side[1].last_counter, 7);
    assert_string_equal(p->side[1].last_mid, "a");
    assert_int_equal(p->side[1].last.time, DUET_SECONDS(100) + DUET_MS(20));
    assert_true(p->side[1].last.extended_sequence >= 65536);
    assert_int_equal(duet_receive_stream_ssrc(p->side[1].stream), duet_send_stream_ssrc(stream));
    assert_false(duet_receive_stream_is_video(p->side[1].stream));
    assert_ptr_equal(duet_receive_stream_user(p->side[1].stream), &p->side[1]);
    assert_int_equal(duet_send_stream_rtx_ssrc(stream), 0);
    pair_free(p);
}

static void what_no_packet_can_carry_is_refused(void **state)
{
    (void)state;
    media_pair *p = pair_new(1);
    duet_send_stream *stream, *none;
    duet_send_stream_config c;

    pair_add_video(p, "v");
    duet_send_stream_config_init(&c);
    c.mid = "v";
    c.queue_limit = 2;
    assert_int_equal(duet_send_stream_create(&stream, p->side[0].session, &c), DUET_OK);
    c.mid = "x";
    assert_int_equal(duet_send_stream_create(&none, p->side[0].session, &c), DUET_ERR_NOT_FOUND);
    c.mid = "v";
    c.ssrc = duet_send_stream_ssrc(stream);
    assert_int_equal(duet_send_stream_create(&none, p->side[0].session, &c), DUET_ERR_INVALID);

    size_t max = duet_send_stream_payload_max(stream);
    assert_in_range(max, 1100, 1180);
    assert_int_equal(pair_send(p, stream, 111, 0, 0, 100), DUET_ERR_INVALID); /* of no codec here */
    assert_int_equal(pair_send(p, stream, 97, 0, 0, 100), DUET_ERR_INVALID);  /* rtx is the session's */
    assert_int_equal(pair_send(p, stream, 200, 0, 0, 100), DUET_ERR_INVALID);
    assert_int_equal(pair_send(p, stream, 96, 0, 0, 1190), DUET_ERR_TOO_LARGE);
    assert_int_equal(pair_send(p, stream, 96, 0, 0, max), DUET_OK);
    assert_int_equal(pair_send(p, stream, 96, 1, 0, max), DUET_OK);
    assert_int_equal(pair_send(p, stream, 96, 2, 0, max), DUET_ERR_AGAIN);
    duet_send_stream_stats stats;
    duet_send_stream_get_stats(stream, &stats);
    assert_int_equal(stats.queue_refused, 1);
    pair_run(p, DUET_MS(30));
    assert_int_equal(p->side[1].packets, 2);
    assert_int_equal(pair_send(p, stream, 96, 2, 0, max), DUET_OK);
    pair_free(p);
}

static void everything_is_repaired_with_rtx_at_five_percent_loss(void **state)
{
    (void)state;
    media_pair *p = pair_new(2);
    duet_send_stream *stream;
    duet_receive_stream_stats in;
    duet_send_stream_stats out;
    uint32_t counter = 0;

    p->loss = 0.05;
    p->duplicates = 0.01;
    p->jitter = DUET_MS(8);
    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    send_video(p, stream, &counter, DUET_SECONDS(20));
    pair_run(p, DUET_SECONDS(1));
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    duet_send_stream_get_stats(stream, &out);
    print_message("%u packets, %llu nacked, %llu recovered, %llu given up, %llu sent again, %llu reordered\n", counter,
                  (unsigned long long)in.nacked_packets, (unsigned long long)in.nack_recovered,
                  (unsigned long long)in.nack_given_up, (unsigned long long)out.retransmitted_packets_sent,
                  (unsigned long long)in.packets_reordered);
    assert_int_equal(missing(&p->side[1], counter), p->side[1].got[0] == 0);
    assert_int_equal(p->side[1].got_twice, 0);
    assert_int_equal(p->side[1].streams, 1);
    assert_int_equal(in.nack_given_up, 0);
    assert_in_range(p->side[1].retransmitted, counter / 25, counter / 15);
    /* Not much more is asked for than was lost. */
    assert_in_range(in.nacked_packets, counter / 25, counter / 12);
    assert_in_range(in.packets_lost, counter / 30, counter / 15);
    pair_free(p);
}

static void without_rtx_packets_are_sent_again_as_they_were(void **state)
{
    (void)state;
    media_pair *p = pair_new(3);
    const duet_codec *codecs[] = {&pair_vp8};
    duet_rtp_section section = pair_section("v", true, codecs, 1);
    duet_send_stream *stream;
    uint32_t counter = 0;

    for (int i = 0; i < 2; i++)
        assert_int_equal(duet_rtp_session_set_section(p->side[i].session, &section), DUET_OK);
    p->loss = 0.05;
    pair_stream(p, 0, "v", &stream);
    assert_int_equal(duet_send_stream_rtx_ssrc(stream), 0);
    send_video(p, stream, &counter, DUET_SECONDS(5));
    pair_run(p, DUET_SECONDS(1));
    assert_int_equal(missing(&p->side[1], counter), p->side[1].got[0] == 0);
    assert_int_equal(p->side[1].got_twice, 0);
    duet_receive_stream_stats in;
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_int_equal(in.packets_reordered, 0);
    assert_true(in.nack_recovered > 20);
    pair_free(p);
}

static void what_stays_lost_is_given_up_after_ten_round_trips(void **state)
{
    (void)state;
    media_pair *p = pair_new(4);
    duet_send_stream *stream;
    duet_receive_stream_stats in;

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    pair_send(p, stream, 96, 0, 0, 100);
    pair_run(p, DUET_MS(100));
    p->loss = 1;
    pair_send(p, stream, 96, 1, 0, 100);
    pair_step(p);
    p->loss = 0;
    pair_send(p, stream, 96, 2, 0, 100);
    pair_step(p);
    p->loss = 1; /* no answer arrives */
    pair_run(p, DUET_SECONDS(5));
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_int_equal(in.nacked_packets, 19); /* one, then two each round trip */
    assert_int_equal(in.nack_count, 19);
    assert_int_equal(in.nack_given_up, 1);
    assert_int_equal(in.packets_lost, 1);
    pair_free(p);
}

static void the_lost_end_of_a_frame_is_asked_for_before_the_next_frame(void **state)
{
    (void)state;
    media_pair *p = pair_new(41);
    duet_send_stream *stream;
    duet_receive_stream_stats in;

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    pair_send(p, stream, 96, 0, 0, 100);
    pair_run(p, DUET_MS(200));
    assert_int_equal(duet_send_stream_send(stream, 96, false, 1, (const uint8_t *)"first", 5, NULL, p->now), DUET_OK);
    pair_step(p);
    p->loss = 1;
    assert_int_equal(duet_send_stream_send(stream, 96, true, 1, (const uint8_t *)"last", 4, NULL, p->now), DUET_OK);
    pair_step(p);
    p->loss = 0;
    uint64_t before = p->side[1].packets;
    pair_run(p, DUET_MS(100));
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_int_equal(in.nack_recovered, 1);
    assert_int_equal(in.nacked_packets, 1);
    assert_true(p->side[1].packets > before);
    /* What was suspected wrongly is forgotten when the next packet comes in its place. */
    assert_int_equal(duet_send_stream_send(stream, 96, false, 2, (const uint8_t *)"no marker", 9, NULL, p->now),
                     DUET_OK);
    pair_run(p, DUET_SECONDS(1));
    assert_int_equal(duet_send_stream_send(stream, 96, true, 3, (const uint8_t *)"next", 4, NULL, p->now), DUET_OK);
    pair_run(p, DUET_SECONDS(1));
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_int_equal(in.nacked_packets, 2); /* once only */
    assert_int_equal(in.nack_given_up, 0);
    assert_int_equal(in.packets_reordered, 0);
    pair_free(p);
}

static void what_is_skipped_is_no_longer_asked_for(void **state)
{
    (void)state;
    media_pair *p = pair_new(5);
    duet_send_stream *stream;
    duet_receive_stream_stats in;

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    pair_send(p, stream, 96, 0, 0, 100);
    pair_run(p, DUET_MS(100));
    p->loss = 1;
    for (uint32_t i = 1; i < 50; i++)
        pair_send(p, stream, 96, i, 0, 100);
    pair_step(p);
    p->loss = 0;
    pair_send(p, stream, 96, 50, 0, 100);
    pair_run(p, DUET_MS(21));
    duet_receive_stream_skip_to(p->side[1].stream, p->side[1].last.extended_sequence);
    pair_run(p, DUET_SECONDS(1));
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_int_equal(in.nack_given_up, 49);
    assert_int_equal(in.nacked_packets, 0);
    pair_free(p);
}

static void a_packet_is_sent_again_once_in_a_round_trip_whoever_asks_how_often(void **state)
{
    (void)state;
    media_pair *p = pair_new(6);
    duet_send_stream *stream;
    duet_send_stream_stats out;
    uint8_t nack[64];
    uint32_t counter = 0;

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    send_video(p, stream, &counter, DUET_SECONDS(3)); /* now the round-trip time of 40 ms is known */
    assert_in_range(duet_rtp_session_rtt(p->side[0].session), DUET_MS(38), DUET_MS(44));
    uint16_t last = (uint16_t)p->side[1].last.extended_sequence;
    for (int i = 0; i < 200; i++) { /* a storm: each millisecond */
        duet_rtcp_writer w = duet_rtcp_writer_init(nack, sizeof(nack));
        duet_rtcp_write_nack(&w, 1, duet_send_stream_ssrc(stream), &last, 1, NULL);
        duet_rtp_session_input(p->side[0].session, nack, w.len, p->now);
        pair_step(p);
    }
    duet_send_stream_get_stats(stream, &out);
    assert_in_range(out.retransmitted_packets_sent, 1 + 2 * 3, 1 + 2 * 5); /* once, then with a copy */
    assert_int_equal(out.nack_count, 200);
    assert_int_equal(out.nack_missed, 200 - (out.retransmitted_packets_sent + 1) / 2);
    last = (uint16_t)(last + 1000); /* was never sent */
    duet_rtcp_writer w = duet_rtcp_writer_init(nack, sizeof(nack));
    duet_rtcp_write_nack(&w, 1, duet_send_stream_ssrc(stream), &last, 1, NULL);
    duet_rtp_session_input(p->side[0].session, nack, w.len, p->now);
    duet_send_stream_stats after;
    duet_send_stream_get_stats(stream, &after);
    assert_int_equal(after.nack_missed, out.nack_missed + 1);
    pair_free(p);
}

static void steady_media_allocates_nothing(void **state)
{
    (void)state;
    media_pair pair, *p = &pair;
    test_allocator heap;
    duet_env env = DUET_ENV_INIT;
    duet_send_stream *stream;
    uint32_t counter = 0;

    test_allocator_init(&heap, 0);
    env.allocator = &heap.allocator;
    assert_int_equal(pair_init(p, &env, 7), DUET_OK);
    p->loss = 0.02;
    p->jitter = DUET_MS(5);
    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    send_video(p, stream, &counter, DUET_SECONDS(10));
    uint64_t calls = heap.calls;
    send_video(p, stream, &counter, DUET_SECONDS(10));
    assert_in_range(heap.calls - calls, 0,
                    20); /* a new high-water mark now and then, not one for each of 1500 packets */
    print_message("%llu blocks, %llu allocations in the second half\n", (unsigned long long)heap.live,
                  (unsigned long long)(heap.calls - calls));
    /* History ends with its age: 150 packets a second, not all 1024 places. */
    assert_in_range(heap.live, 100, 350);
    pair_clear(p);
    assert_int_equal(heap.live, 0);
}

static void outputs_stay_valid_for_a_batch(void **state)
{
    (void)state;
    media_pair *p = pair_new(8);
    duet_send_stream *stream;
    duet_rtp_outgoing out[DUET_OUTPUT_BATCH];

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    for (uint32_t i = 0; i < DUET_OUTPUT_BATCH; i++)
        pair_send(p, stream, 96, i, 0, 100);
    for (int i = 0; i < DUET_OUTPUT_BATCH; i++) {
        assert_int_equal(duet_rtp_session_output(p->side[0].session, &out[i], p->now), 1);
        assert_true(out[i].is_video && !out[i].is_rtcp);
        assert_int_equal(out[i].transport_sequence_number, i);
    }
    for (int i = 0; i < DUET_OUTPUT_BATCH; i++) {
        duet_rtp_packet packet;
        assert_int_equal(duet_rtp_parse(&packet, out[i].data, out[i].len), DUET_OK);
        assert_int_equal(packet.payload[3], i);
    }
    pair_free(p);
}

static void sequence_numbers_and_timestamps_wrap(void **state)
{
    (void)state;
    media_pair *p = pair_new(9);
    duet_send_stream *stream;
    int64_t first = 0;

    p->loss = 0.02;
    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    for (uint32_t i = 0; i < 70000; i++) {
        pair_send(p, stream, 96, i, 0xfffffff0u + i * 100, 20);
        if (i % 4 == 3)
            pair_step(p);
        if (i == 200)
            first = p->side[1].last.extended_sequence - p->side[1].last_counter;
    }
    pair_run(p, DUET_SECONDS(1));
    assert_int_equal(missing(&p->side[1], 70000), p->side[1].got[0] == 0);
    assert_int_equal(p->side[1].got_twice, 0);
    assert_int_equal(p->side[1].last.extended_sequence - p->side[1].last_counter, first);
    duet_receive_stream_stats in;
    duet_send_stream_stats out;
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    duet_send_stream_get_stats(stream, &out);
    assert_in_range(in.packets_lost, 1000, 1800);
    assert_in_range(out.remote_packets_lost, 1000, 1800);
    assert_in_range(out.remote_packets_received, 68000, 69500);
    pair_free(p);
}

/* ---- feedback ------------------------------------------------------------------------------------------------------ */

static void reports_tell_loss_jitter_and_round_trip(void **state)
{
    (void)state;
    media_pair *p = pair_new(10);
    duet_send_stream *stream, *back;
    duet_send_stream_stats out;
    duet_receive_stream_stats in;
    uint64_t ntp, ntp_later;

    p->loss = 0.1;
    p->rtcp_is_safe = true;
    p->delay = DUET_MS(75);
    pair_add_audio(p, "a");
    pair_stream(p, 0, "a", &stream);
    pair_stream(p, 1, "a", &back);
    for (uint32_t i = 0; i < 1500; i++) {
        pair_send(p, stream, 111, i, 960 * i, 100);
        pair_send(p, back, 111, i, 960 * i, 100);
        pair_run(p, DUET_MS(20));
    }
    duet_send_stream_get_stats(stream, &out);
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_true(out.has_remote);
    assert_in_range(out.round_trip_time, DUET_MS(149), DUET_MS(153));
    assert_in_range(out.total_round_trip_time / out.round_trip_time_measurements, DUET_MS(149), DUET_MS(153));
    assert_in_range(duet_rtp_session_rtt(p->side[0].session), DUET_MS(149), DUET_MS(153));
    assert_in_range(in.packets_lost, 110, 190);
    assert_in_range(out.remote_packets_lost, in.packets_lost - 20, in.packets_lost);
    assert_in_range(out.remote_packets_received + (uint64_t)out.remote_packets_lost, 1400, 1500);
    assert_true(out.remote_jitter < 0.002 && in.jitter < 0.002);
    assert_true(in.has_remote);
    assert_in_range(in.remote_packets_sent, 1400, 1500);
    assert_int_equal(in.remote_bytes_sent, in.remote_packets_sent * 100);
    /* The sender's clock of a timestamp: one second is 48000 of them. */
    assert_true(duet_receive_stream_ntp_of(p->side[1].stream, 960 * 1000, &ntp));
    assert_true(duet_receive_stream_ntp_of(p->side[1].stream, 960 * 1000 + 48000, &ntp_later));
    assert_true(ntp_later - ntp == (uint64_t)1 << 32);
    /* Packet 1000 was captured 20 s after second 100. */
    int64_t off = (int64_t)(ntp - (0xe000000000000000u + ((uint64_t)120 << 32)));
    assert_true(off > -(1 << 23) && off < 1 << 23); /* 2 ms */
    pair_free(p);
}

static void jitter_is_measured_in_seconds(void **state)
{
    (void)state;
    media_pair *p = pair_new(11);
    duet_send_stream *stream;
    duet_receive_stream_stats in;

    p->jitter = DUET_MS(20);
    pair_add_audio(p, "a");
    pair_stream(p, 0, "a", &stream);
    for (uint32_t i = 0; i < 1000; i++) {
        pair_send(p, stream, 111, i, 960 * i, 100);
        pair_run(p, DUET_MS(20));
    }
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    /* The mean difference of two even spreads over 20 ms is a third of it. */
    assert_true(in.jitter > 0.004 && in.jitter < 0.010);
    pair_free(p);
}

static void reports_come_soon_and_then_at_random_within_a_second(void **state)
{
    (void)state;
    media_pair *p = pair_new(12);
    duet_send_stream *stream;
    duet_time began = p->now, before = 0;
    size_t reports = 0;

    pair_add_audio(p, "a");
    pair_stream(p, 0, "a", &stream);
    for (uint32_t i = 0; i < 1500; i++) {
        pair_send(p, stream, 111, i, 960 * i, 100);
        pair_run(p, DUET_MS(20));
    }
    const pair_side *s = &p->side[1];
    bool spread = false;
    for (size_t i = 0; i < s->rtcp; i++) {
        if (s->rtcp_type[i] != DUET_RTCP_SR)
            continue;
        if (reports++ == 0)
            assert_in_range(s->rtcp_at[i] - began, DUET_MS(20), DUET_MS(500));
        else
            assert_in_range(s->rtcp_at[i] - before, DUET_MS(250), DUET_MS(1000));
        spread = spread || (reports > 1 && s->rtcp_at[i] - before > DUET_MS(600));
        before = s->rtcp_at[i];
    }
    assert_true(spread);
    assert_in_range(reports, 35, 80);
    pair_free(p);
}

static void receivers_measure_the_round_trip_with_extended_reports(void **state)
{
    (void)state;
    media_pair *p = pair_new(13);
    const duet_codec *codecs[] = {&pair_vp8, &pair_rtx};
    duet_rtp_section section = pair_section("v", true, codecs, 2);
    duet_send_stream *stream;
    uint32_t counter = 0;

    section.receiver_rtt = true;
    for (int i = 0; i < 2; i++)
        duet_rtp_session_set_section(p->side[i].session, &section);
    pair_stream(p, 0, "v", &stream);
    send_video(p, stream, &counter, DUET_SECONDS(4));
    assert_in_range(duet_rtp_session_rtt(p->side[1].session), DUET_MS(38), DUET_MS(44));
    pair_free(p);
}

static size_t count_rtcp(const pair_side *side, uint8_t type, uint8_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < side->rtcp; i++)
        n += side->rtcp_type[i] == type && side->rtcp_count[i] == count;
    return n;
}

static void a_keyframe_request_is_repeated_until_one_came(void **state)
{
    (void)state;
    media_pair *p = pair_new(14);
    duet_send_stream *stream;
    duet_receive_stream_stats in;

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    pair_send(p, stream, 96, 0, 0, 100);
    pair_run(p, DUET_SECONDS(2));
    duet_time asked = p->now;
    for (int i = 0; i < 10; i++)
        duet_receive_stream_request_keyframe(p->side[1].stream, p->now);
    pair_run(p, DUET_SECONDS(7));
    duet_receive_stream_got_keyframe(p->side[1].stream);
    pair_run(p, DUET_SECONDS(10));
    const pair_side *s = &p->side[0];
    assert_int_equal(s->keyframe_requests, 4);
    assert_in_range(s->keyframe_at[0] - asked, DUET_MS(20), DUET_MS(22));
    assert_in_range(s->keyframe_at[1] - s->keyframe_at[0], DUET_MS(199), DUET_MS(201));
    assert_in_range(s->keyframe_at[2] - s->keyframe_at[1], DUET_MS(2999), DUET_MS(3001));
    assert_in_range(s->keyframe_at[3] - s->keyframe_at[2], DUET_MS(2999), DUET_MS(3001));
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_int_equal(in.pli_count, 4);
    assert_int_equal(in.fir_count, 0);
    pair_free(p);
}

static void fir_is_sent_when_only_that_is_negotiated(void **state)
{
    (void)state;
    media_pair *p = pair_new(15);
    duet_codec codec = pair_vp8;
    const duet_codec *codecs[] = {&codec};
    duet_send_stream *stream;
    duet_send_stream_stats out;

    codec.feedback = DUET_FEEDBACK_CCM_FIR;
    duet_rtp_section section = pair_section("v", true, codecs, 1);
    for (int i = 0; i < 2; i++)
        duet_rtp_session_set_section(p->side[i].session, &section);
    pair_stream(p, 0, "v", &stream);
    pair_send(p, stream, 96, 0, 0, 100);
    pair_run(p, DUET_MS(100));
    duet_receive_stream_request_keyframe(p->side[1].stream, p->now);
    pair_run(p, DUET_MS(500));
    duet_send_stream_get_stats(stream, &out);
    assert_int_equal(out.fir_count, 2);
    assert_int_equal(out.pli_count, 0);
    assert_int_equal(p->side[0].keyframe_requests, 1); /* the repetition has the same number */
    duet_receive_stream_got_keyframe(p->side[1].stream);
    duet_receive_stream_request_keyframe(p->side[1].stream, p->now);
    pair_run(p, DUET_MS(100));
    assert_int_equal(p->side[0].keyframe_requests, 2);
    pair_free(p);
}

static void a_storm_of_requests_asks_ten_times_a_second(void **state)
{
    (void)state;
    media_pair *p = pair_new(16);
    duet_send_stream *stream;
    uint8_t pli[16];

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    for (int i = 0; i < 10000; i++) {
        duet_rtcp_writer w = duet_rtcp_writer_init(pli, sizeof(pli));
        duet_rtcp_write_pli(&w, 1, duet_send_stream_ssrc(stream));
        duet_rtp_session_input(p->side[0].session, pli, w.len, p->now);
        if (i % 10 == 0)
            pair_step(p);
    }
    assert_in_range(p->side[0].keyframe_requests, 9, 11);
    duet_send_stream_stats out;
    duet_send_stream_get_stats(stream, &out);
    assert_int_equal(out.pli_count, 10000);
    pair_free(p);
}

/* ---- transport-wide feedback --------------------------------------------------------------------------------------- */

typedef struct cc_record {
    duet_time sent[65536];
    size_t len[65536];
    uint8_t lost[65536], reported[65536], said_received[65536];
    size_t results, calls;
    duet_time base;
    bool has_base;
    duet_time last_call, longest;
} cc_record;

static cc_record cc;

static void cc_output(pair_side *side, duet_rtp_outgoing *out)
{
    if (out->transport_sequence_number < 0)
        return;
    cc.sent[out->transport_sequence_number] = side->pair->now;
    cc.len[out->transport_sequence_number] = out->len;
}

static void cc_results(void *user, const duet_packet_result *results, size_t count, duet_time now)
{
    media_pair *p = user;

    if (cc.calls++ && now - cc.last_call > cc.longest)
        cc.longest = now - cc.last_call;
    cc.last_call = now;
    for (size_t i = 0; i < count; i++) {
        const duet_packet_result *r = &results[i];
        assert_int_equal(r->sent, cc.sent[r->transport_sequence_number]);
        assert_int_equal(r->len, cc.len[r->transport_sequence_number]);
        if (i)
            assert_true(duet_rtp_seq_diff(r->transport_sequence_number, results[i - 1].transport_sequence_number) > 0);
        cc.reported[r->transport_sequence_number] = 1;
        cc.results++;
        if (!r->received)
            continue;
        assert_false(cc.said_received[r->transport_sequence_number]);
        cc.said_received[r->transport_sequence_number] = 1;
        if (!cc.has_base)
            cc.base = r->received_at - r->sent;
        cc.has_base = true;
        /* The same delay for all but for the jitter; the world moves by milliseconds. */
        int64_t off = (int64_t)(r->received_at - r->sent) - (int64_t)cc.base, limit = (int64_t)p->jitter + 1250;
        assert_true(off >= -limit && off <= limit);
    }
}

/* Twenty seconds of video whose sender is told what became of it. */
static void run_with_feedback(media_pair *p)
{
    duet_send_stream *stream;
    duet_send_stream_stats out;
    duet_receive_stream_stats in;
    duet_rtp_session_stats session;
    uint32_t counter = 0;
    size_t received = 0, reported = 0;

    memset(&cc, 0, sizeof(cc));
    p->rtcp_is_safe = true;
    p->loss = 0.05;
    pair_stream(p, 0, "v", &stream);
    p->side[0].on_output = cc_output;
    duet_rtp_session_on_feedback(p->side[0].session, cc_results, p);
    send_video(p, stream, &counter, DUET_SECONDS(20));
    pair_run(p, DUET_SECONDS(1));
    duet_send_stream_get_stats(stream, &out);
    size_t sent = counter + (size_t)out.retransmitted_packets_sent;
    for (size_t i = 0; i < 65536; i++) {
        received += cc.said_received[i];
        reported += cc.reported[i];
    }
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_int_equal(received, in.packets_received);
    assert_in_range(reported, sent - 3, sent); /* the first and last ones may be lost without a trace */
    assert_in_range(cc.calls, 140, 420);       /* every 50 to 100 ms */
    assert_in_range(cc.longest, DUET_MS(50), DUET_MS(140));
    duet_rtp_session_get_stats(p->side[1].session, &session);
    assert_int_equal(session.transport_feedback_out, cc.calls);
    pair_run(p, DUET_SECONDS(5));
    size_t calls = cc.calls;
    pair_run(p, DUET_SECONDS(5));
    assert_int_equal(cc.calls, calls); /* nothing arrives, nothing is said */
}

static void feedback_tells_the_fate_of_every_packet(void **state)
{
    (void)state;
    media_pair *p = pair_new(17);

    pair_add_video(p, "v");
    run_with_feedback(p);
    assert_true(count_rtcp(&p->side[0], DUET_RTCP_RTPFB, DUET_RTCP_FMT_TRANSPORT_CC) > 100);
    pair_free(p);
}

static void feedback_by_ssrc_tells_the_same(void **state)
{
    (void)state;
    media_pair *p = pair_new(29);
    duet_codec codec = pair_vp8;
    const duet_codec *codecs[] = {&codec, &pair_rtx};

    codec.feedback = DUET_FEEDBACK_NACK | DUET_FEEDBACK_CCFB;
    duet_rtp_section section = pair_section("v", true, codecs, 2);
    for (int i = 0; i < 2; i++)
        duet_rtp_session_set_section(p->side[i].session, &section);
    run_with_feedback(p);
    assert_int_equal(count_rtcp(&p->side[0], DUET_RTCP_RTPFB, DUET_RTCP_FMT_TRANSPORT_CC), 0);
    assert_true(count_rtcp(&p->side[0], DUET_RTCP_RTPFB, DUET_RTCP_FMT_CCFB) > 100);
    pair_free(p);
}

static void count_results(void *user, const duet_packet_result *results, size_t count, duet_time now)
{
    size_t *received = user;

    (void)now;
    for (size_t i = 0; i < count; i++)
        *received += results[i].received;
}

static void transport_wide_numbers_wrap(void **state)
{
    (void)state;
    media_pair *p = pair_new(30);
    duet_send_stream *stream;
    duet_receive_stream_stats in;
    size_t received = 0;

    p->loss = 0.02;
    p->rtcp_is_safe = true;
    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    duet_rtp_session_on_feedback(p->side[0].session, count_results, &received);
    for (uint32_t i = 0; i < 150000; i++) {
        pair_send(p, stream, 96, i, i * 100, 20);
        if (i % 4 == 3)
            pair_step(p);
    }
    pair_run(p, DUET_SECONDS(1));
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_int_equal(received, in.packets_received);
    pair_free(p);
}

static void late_packets_are_reported_after_all(void **state)
{
    (void)state;
    media_pair *p = pair_new(18);
    duet_send_stream *stream;
    uint32_t counter = 0;
    size_t received = 0;
    duet_receive_stream_stats in;

    memset(&cc, 0, sizeof(cc));
    p->jitter = DUET_MS(150); /* beyond a feedback interval */
    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    p->side[0].on_output = cc_output;
    duet_rtp_session_on_feedback(p->side[0].session, cc_results, p);
    send_video(p, stream, &counter, DUET_SECONDS(3));
    pair_run(p, DUET_SECONDS(1));
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    for (size_t i = 0; i < 65536; i++)
        received += cc.said_received[i];
    assert_true(in.packets_reordered > 100);
    assert_int_equal(received, in.packets_received);
    pair_free(p);
}

static void feedback_about_packets_that_never_were_is_ignored(void **state)
{
    (void)state;
    media_pair *p = pair_new(19);
    duet_send_stream *stream;
    uint8_t bytes[200] = {0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0x80, 0, 0xff, 0xff};
    size_t len = 20;

    memset(&cc, 0, sizeof(cc));
    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    duet_rtp_session_on_feedback(p->side[0].session, cc_results, p);
    pair_send(p, stream, 96, 0, 0, 100);
    pair_run(p, DUET_MS(10));
    for (int i = 0; i < 10; i++) { /* 65535 lost packets in 40 bytes, again and again */
        bytes[len++] = 0x1f;
        bytes[len++] = 0xff;
    }
    bytes[3] = (uint8_t)(len / 4 - 1);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(duet_rtp_session_input(p->side[0].session, bytes, len, p->now), DUET_OK);
    bytes[14] = 0; /* 255 of them */
    duet_rtp_session_input(p->side[0].session, bytes, len, p->now);
    assert_int_equal(cc.results, 0);
    pair_free(p);
}

static void remb_is_said_at_once_when_it_falls_and_later_when_it_rises(void **state)
{
    (void)state;
    media_pair *p = pair_new(20);
    duet_send_stream *stream;
    uint32_t counter = 0;

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    send_video(p, stream, &counter, DUET_SECONDS(1));
    duet_rtp_session_set_remb(p->side[1].session, 1000000);
    send_video(p, stream, &counter, DUET_SECONDS(2));
    assert_true(p->side[0].rembs >= 1);
    assert_in_range(p->side[0].remb, 999990, 1000000);
    duet_rtp_session_set_remb(p->side[1].session, 500000);
    send_video(p, stream, &counter, DUET_MS(25));
    assert_in_range(p->side[0].remb, 499990, 500000);
    duet_rtp_session_set_remb(p->side[1].session, 0);
    int rembs = p->side[0].rembs;
    send_video(p, stream, &counter, DUET_SECONDS(3));
    assert_int_equal(p->side[0].rembs, rembs);
    pair_free(p);
}

static bool saw_bare_feedback;
static void look_for_bare_feedback(pair_side *side, duet_rtp_outgoing *out)
{
    (void)side;
    if (out->is_rtcp && out->data[1] != DUET_RTCP_SR && out->data[1] != DUET_RTCP_RR)
        saw_bare_feedback = true;
}

static void feedback_is_compound_unless_reduced_size_is_agreed(void **state)
{
    (void)state;

    for (int reduced = 0; reduced < 2; reduced++) {
        media_pair *p = pair_new(21);
        const duet_codec *codecs[] = {&pair_vp8, &pair_rtx};
        duet_rtp_section section = pair_section("v", true, codecs, 2);
        duet_send_stream *stream;
        uint32_t counter = 0;
        section.reduced_size = reduced;
        for (int i = 0; i < 2; i++)
            duet_rtp_session_set_section(p->side[i].session, &section);
        saw_bare_feedback = false;
        p->side[1].on_output = look_for_bare_feedback;
        pair_stream(p, 0, "v", &stream);
        send_video(p, stream, &counter, DUET_SECONDS(2));
        assert_int_equal(saw_bare_feedback, reduced);
        assert_true(count_rtcp(&p->side[0], DUET_RTCP_RTPFB, DUET_RTCP_FMT_TRANSPORT_CC) > 10);
        duet_rtp_session_stats s;
        duet_rtp_session_get_stats(p->side[0].session, &s);
        assert_int_equal(s.rtcp_malformed, 0);
        pair_free(p);
    }
}

static void many_streams_are_reported_in_packets_that_fit(void **state)
{
    (void)state;
    media_pair *p = pair_new(22);
    duet_send_stream *streams[60];
    duet_send_stream_stats out;

    pair_add_audio(p, "a");
    for (int i = 0; i < 60; i++)
        assert_int_equal(pair_stream(p, 0, "a", &streams[i]), DUET_OK);
    for (uint32_t i = 0; i < 150; i++) {
        for (int k = 0; k < 60; k++)
            pair_send(p, streams[k], 111, i, 960 * i, 100);
        pair_run(p, DUET_MS(20));
    }
    assert_int_equal(p->side[1].streams, 60);
    for (int k = 0; k < 60; k++) {
        duet_send_stream_get_stats(streams[k], &out);
        assert_true(out.has_remote);
        assert_true(out.round_trip_time > 0);
    }
    pair_free(p);
}

static void silence_needs_no_timer(void **state)
{
    (void)state;
    media_pair *p = pair_new(26);
    duet_send_stream *stream;
    uint32_t counter = 0;

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    assert_true(duet_rtp_session_deadline(p->side[0].session) == DUET_NEVER);
    send_video(p, stream, &counter, DUET_SECONDS(1));
    assert_true(duet_rtp_session_deadline(p->side[0].session) < p->now + DUET_SECONDS(2));
    pair_run(p, DUET_SECONDS(10));
    for (int i = 0; i < 2; i++)
        assert_true(duet_rtp_session_deadline(p->side[i].session) == DUET_NEVER);
    size_t rtcp = p->side[0].rtcp;
    send_video(p, stream, &counter, DUET_SECONDS(2));
    assert_true(count_rtcp(&p->side[0], DUET_RTCP_RR, 1) > 3);
    assert_true(p->side[0].rtcp > rtcp);
    assert_int_equal(missing(&p->side[1], counter), 0);
    pair_free(p);
}

static void a_middlebox_sends_with_its_own_numbers(void **state)
{
    (void)state;
    media_pair *p = pair_new(27);
    duet_send_stream *stream;
    uint8_t payload[] = {0, 0, 0, 1, 9};
    duet_rtp_packet packet = {.payload_type = 96,
                              .sequence_number = 65535,
                              .timestamp = 1234,
                              .ssrc = 1,
                              .csrc_count = 1,
                              .csrcs = {77},
                              .payload = payload,
                              .payload_len = sizeof(payload)};

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    assert_int_equal(duet_send_stream_forward(stream, &packet, NULL, p->now), DUET_OK);
    pair_run(p, DUET_MS(30));
    assert_int_equal(p->side[1].last.extended_sequence, 65536 + 65535);
    packet.sequence_number = 1; /* 0 comes late */
    payload[3] = 3;
    assert_int_equal(duet_send_stream_forward(stream, &packet, NULL, p->now), DUET_OK);
    packet.sequence_number = 0;
    payload[3] = 2;
    assert_int_equal(duet_send_stream_forward(stream, &packet, NULL, p->now), DUET_OK);
    payload[3] = 2; /* and twice */
    assert_int_equal(duet_send_stream_forward(stream, &packet, NULL, p->now), DUET_OK);
    pair_run(p, DUET_MS(30));
    assert_int_equal(p->side[1].packets, 3);
    assert_int_equal(p->side[1].last.extended_sequence, 2 * 65536);
    assert_int_equal(duet_receive_stream_ssrc(p->side[1].stream), duet_send_stream_ssrc(stream));
    payload[3] = 4; /* the session's own numbers go on behind */
    assert_int_equal(pair_send(p, stream, 96, 4, 1234, 100), DUET_OK);
    pair_run(p, DUET_MS(30));
    assert_int_equal(p->side[1].last.extended_sequence, 2 * 65536 + 2);
    packet.payload_type = 97;
    assert_int_equal(duet_send_stream_forward(stream, &packet, NULL, p->now), DUET_ERR_INVALID);
    pair_free(p);
}

static bool carries_mid;
static void look_for_mid(pair_side *side, duet_rtp_outgoing *out)
{
    duet_rtp_packet packet;
    duet_rtp_extensions e;

    (void)side;
    if (out->is_rtcp || duet_rtp_parse(&packet, out->data, out->len) != DUET_OK)
        return;
    duet_rtp_extensions_parse(&e, &packet, &pair_extensions);
    carries_mid = e.present & 1u << DUET_RTP_EXT_MID;
    assert_true(e.present & 1u << DUET_RTP_EXT_ABS_SEND_TIME);
    assert_true(e.present & 1u << DUET_RTP_EXT_TRANSPORT_CC);
    if (carries_mid)
        assert_string_equal(e.mid, "v");
}

static void the_mid_is_sent_until_the_peer_has_surely_seen_it(void **state)
{
    (void)state;
    media_pair *p = pair_new(28);
    duet_send_stream *stream;
    uint32_t counter = 0;

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    p->side[0].on_output = look_for_mid;
    size_t max = duet_send_stream_payload_max(stream);
    send_video(p, stream, &counter, DUET_MS(40));
    assert_true(carries_mid);
    send_video(p, stream, &counter, DUET_SECONDS(1));
    assert_false(carries_mid);
    assert_true(duet_send_stream_payload_max(stream) >= max);
    pair_free(p);
}

/* ---- ends ---------------------------------------------------------------------------------------------------------- */

static void a_goodbye_ends_the_stream_at_the_other_side(void **state)
{
    (void)state;
    media_pair *p = pair_new(23);
    duet_send_stream *stream, *other;

    pair_add_audio(p, "a");
    pair_stream(p, 0, "a", &stream);
    pair_stream(p, 0, "a", &other);
    pair_send(p, stream, 111, 0, 0, 100);
    pair_send(p, other, 111, 0, 0, 100);
    pair_run(p, DUET_MS(50));
    assert_int_equal(p->side[1].streams, 2);
    duet_send_stream_destroy(stream);
    pair_run(p, DUET_MS(50));
    assert_int_equal(p->side[1].ended, 1);
    duet_rtp_session_bye(p->side[0].session, p->now);
    pair_run(p, DUET_MS(50));
    assert_int_equal(p->side[1].ended, 2);
    pair_free(p);
}

static void a_stream_ends_with_packets_still_waiting(void **state)
{
    (void)state;
    media_pair *p = pair_new(24);
    duet_send_stream *stream, *other;

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    pair_stream(p, 0, "v", &other);
    for (uint32_t i = 0; i < 10; i++) {
        pair_send(p, stream, 96, i, 0, 100);
        pair_send(p, other, 96, i, 0, 100);
    }
    duet_send_stream_destroy(stream);
    pair_run(p, DUET_MS(30));
    assert_int_equal(p->side[1].packets, 10);
    assert_int_equal(p->side[1].streams, 1);
    pair_free(p);
}

/* ---- memory -------------------------------------------------------------------------------------------------------- */

static void take_results(void *user, const duet_packet_result *results, size_t count, duet_time now)
{
    (void)user, (void)results, (void)now;
    assert_in_range(count, 1, 1024);
}

/* Everything once; whatever fails for want of memory is left out, and the rest goes on. */
static int a_short_call(const duet_env *env, void *arg)
{
    media_pair pair, *p = &pair;
    duet_send_stream *stream = NULL;
    duet_send_stream_config c;
    uint32_t counter = 0;

    (void)arg;
    duet_codec codec = pair_vp8;
    const duet_codec *codecs[] = {&codec, &pair_rtx};
    duet_rtp_section section = pair_section("v", true, codecs, 2);
    codec.feedback |= DUET_FEEDBACK_CCFB;
    int err = pair_init(p, env, 25);
    for (int i = 0; i < 2 && err == DUET_OK; i++) {
        duet_rtp_session_on_feedback(p->side[i].session, take_results, p);
        err = duet_rtp_session_set_section(p->side[i].session, &section);
    }
    duet_send_stream_config_init(&c);
    c.mid = "v";
    c.history = 16;
    if (err == DUET_OK)
        err = duet_send_stream_create(&stream, p->side[0].session, &c);
    p->loss = 0.2;
    for (; err == DUET_OK && counter < 40; counter++) {
        err = pair_send(p, stream, 96, counter, counter * 3000, 100);
        for (int i = 0; i < 12; i++)
            pair_step(p);
        if (counter == 20 && p->side[1].stream)
            duet_receive_stream_request_keyframe(p->side[1].stream, p->now);
    }
    pair_clear(p);
    return err;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;

    test_fail_each_allocation("RTP session", a_short_call, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_arrives_with_all_that_belongs_to_it),
        cmocka_unit_test(what_no_packet_can_carry_is_refused),
        cmocka_unit_test(everything_is_repaired_with_rtx_at_five_percent_loss),
        cmocka_unit_test(without_rtx_packets_are_sent_again_as_they_were),
        cmocka_unit_test(what_stays_lost_is_given_up_after_ten_round_trips),
        cmocka_unit_test(the_lost_end_of_a_frame_is_asked_for_before_the_next_frame),
        cmocka_unit_test(what_is_skipped_is_no_longer_asked_for),
        cmocka_unit_test(a_packet_is_sent_again_once_in_a_round_trip_whoever_asks_how_often),
        cmocka_unit_test(steady_media_allocates_nothing),
        cmocka_unit_test(outputs_stay_valid_for_a_batch),
        cmocka_unit_test(sequence_numbers_and_timestamps_wrap),
        cmocka_unit_test(reports_tell_loss_jitter_and_round_trip),
        cmocka_unit_test(jitter_is_measured_in_seconds),
        cmocka_unit_test(reports_come_soon_and_then_at_random_within_a_second),
        cmocka_unit_test(receivers_measure_the_round_trip_with_extended_reports),
        cmocka_unit_test(a_keyframe_request_is_repeated_until_one_came),
        cmocka_unit_test(fir_is_sent_when_only_that_is_negotiated),
        cmocka_unit_test(a_storm_of_requests_asks_ten_times_a_second),
        cmocka_unit_test(feedback_tells_the_fate_of_every_packet),
        cmocka_unit_test(feedback_by_ssrc_tells_the_same),
        cmocka_unit_test(transport_wide_numbers_wrap),
        cmocka_unit_test(late_packets_are_reported_after_all),
        cmocka_unit_test(feedback_about_packets_that_never_were_is_ignored),
        cmocka_unit_test(remb_is_said_at_once_when_it_falls_and_later_when_it_rises),
        cmocka_unit_test(feedback_is_compound_unless_reduced_size_is_agreed),
        cmocka_unit_test(many_streams_are_reported_in_packets_that_fit),
        cmocka_unit_test(silence_needs_no_timer),
        cmocka_unit_test(a_middlebox_sends_with_its_own_numbers),
        cmocka_unit_test(the_mid_is_sent_until_the_peer_has_surely_seen_it),
        cmocka_unit_test(a_goodbye_ends_the_stream_at_the_other_side),
        cmocka_unit_test(a_stream_ends_with_packets_still_waiting),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
