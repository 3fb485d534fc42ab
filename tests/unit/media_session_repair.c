/* RTP sessions: what a bad link loses is asked for and sent again, and key frames are asked for. RFC 4585, 4588, 5104. */
#include "media_pair.h"

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
    pair_send_video(p, stream, &counter, DUET_SECONDS(20));
    pair_run(p, DUET_SECONDS(1));
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    duet_send_stream_get_stats(stream, &out);
    print_message("%u packets, %llu nacked, %llu recovered, %llu given up, %llu sent again, %llu reordered\n", counter,
                  (unsigned long long)in.nacked_packets, (unsigned long long)in.nack_recovered,
                  (unsigned long long)in.nack_given_up, (unsigned long long)out.retransmitted_packets_sent,
                  (unsigned long long)in.packets_reordered);
    assert_int_equal(pair_missing(&p->side[1], counter), p->side[1].got[0] == 0);
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
    pair_send_video(p, stream, &counter, DUET_SECONDS(5));
    pair_run(p, DUET_SECONDS(1));
    assert_int_equal(pair_missing(&p->side[1], counter), p->side[1].got[0] == 0);
    assert_int_equal(p->side[1].got_twice, 0);
    duet_receive_stream_stats in;
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_int_equal(in.packets_reordered, 0);
    assert_true(in.nack_recovered > 20);
    pair_free(p);
}

/* Pion agrees to rtx and does not use it. Its repairs must not be taken for packets that were late on the way, or the next
 * loss would be asked for later and later. */
static void a_peer_may_agree_to_rtx_and_send_packets_again_as_they_were(void **state)
{
    (void)state;
    media_pair *p = pair_new(3);
    const duet_codec *codecs[] = {&pair_vp8, &pair_rtx};
    duet_rtp_section plain = pair_section("v", true, codecs, 1), with_rtx = pair_section("v", true, codecs, 2);
    duet_receive_stream_stats in;
    duet_send_stream *stream;
    uint32_t counter = 0;

    assert_int_equal(duet_rtp_session_set_section(p->side[0].session, &plain), DUET_OK);
    assert_int_equal(duet_rtp_session_set_section(p->side[1].session, &with_rtx), DUET_OK);
    p->loss = 0.05;
    pair_stream(p, 0, "v", &stream);
    pair_send_video(p, stream, &counter, DUET_SECONDS(5));
    pair_run(p, DUET_SECONDS(1));
    assert_int_equal(pair_missing(&p->side[1], counter), p->side[1].got[0] == 0);
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_in_range(in.packets_reordered, 0, 4); /* until it shows */
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
    pair_send_video(p, stream, &counter, DUET_SECONDS(3)); /* now the round-trip time of 40 ms is known */
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

/* ---- key frames ------------------------------------------------------------------------------------------------------ */

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

/* As behind a link of 500 kbit/s. Whoever asked for them would get them twice, and the link would be slower still. */
static void packets_of_a_frame_that_come_slowly_are_not_asked_for(void **state)
{
    (void)state;
    media_pair *p = pair_new(31);
    duet_send_stream *stream;
    duet_receive_stream_stats in;

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    for (uint32_t i = 0; i < 500; i++) {
        uint8_t payload[1000] = {0};
        assert_int_equal(
            duet_send_stream_send(stream, 96, i % 5 == 4, i / 5 * 9000, payload, sizeof(payload), NULL, p->now),
            DUET_OK);
        pair_run(p, DUET_MS(20));
    }
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_true(in.nacked_packets < 5);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_repaired_with_rtx_at_five_percent_loss),
        cmocka_unit_test(without_rtx_packets_are_sent_again_as_they_were),
        cmocka_unit_test(a_peer_may_agree_to_rtx_and_send_packets_again_as_they_were),
        cmocka_unit_test(what_stays_lost_is_given_up_after_ten_round_trips),
        cmocka_unit_test(the_lost_end_of_a_frame_is_asked_for_before_the_next_frame),
        cmocka_unit_test(packets_of_a_frame_that_come_slowly_are_not_asked_for),
        cmocka_unit_test(what_is_skipped_is_no_longer_asked_for),
        cmocka_unit_test(a_packet_is_sent_again_once_in_a_round_trip_whoever_asks_how_often),
        cmocka_unit_test(a_keyframe_request_is_repeated_until_one_came),
        cmocka_unit_test(fir_is_sent_when_only_that_is_negotiated),
        cmocka_unit_test(a_storm_of_requests_asks_ten_times_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
