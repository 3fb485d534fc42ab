/* RTP sessions: media from one end to the other, its numbers, its end, and its memory. */
#include "media_pair.h"

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
    assert_int_equal(pair_missing(&p->side[1], 70000), p->side[1].got[0] == 0);
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
    pair_send_video(p, stream, &counter, DUET_MS(40));
    assert_true(carries_mid);
    pair_send_video(p, stream, &counter, DUET_SECONDS(1));
    assert_false(carries_mid);
    assert_true(duet_send_stream_payload_max(stream) >= max);
    pair_free(p);
}

/* ---- ends ------------------------------------------------------------------------------------------------------------ */

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

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

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
    pair_send_video(p, stream, &counter, DUET_SECONDS(10));
    uint64_t calls = heap.calls;
    pair_send_video(p, stream, &counter, DUET_SECONDS(10));
    assert_in_range(heap.calls - calls, 0,
                    20); /* a new high-water mark now and then, not one for each of 1500 packets */
    print_message("%llu blocks, %llu allocations in the second half\n", (unsigned long long)heap.live,
                  (unsigned long long)(heap.calls - calls));
    /* History ends with its age: 150 packets a second, not all 1024 places. */
    assert_in_range(heap.live, 100, 350);
    pair_clear(p);
    assert_int_equal(heap.live, 0);
}

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
        cmocka_unit_test(outputs_stay_valid_for_a_batch),
        cmocka_unit_test(sequence_numbers_and_timestamps_wrap),
        cmocka_unit_test(a_middlebox_sends_with_its_own_numbers),
        cmocka_unit_test(the_mid_is_sent_until_the_peer_has_surely_seen_it),
        cmocka_unit_test(a_goodbye_ends_the_stream_at_the_other_side),
        cmocka_unit_test(a_stream_ends_with_packets_still_waiting),
        cmocka_unit_test(steady_media_allocates_nothing),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
