/* RTP sessions: feedback for congestion control: which packets arrived, and when; and REMB. RFC 8888. */
#include "media_pair.h"

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
    pair_send_video(p, stream, &counter, DUET_SECONDS(20));
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
    assert_true(pair_count_rtcp(&p->side[0], DUET_RTCP_RTPFB, DUET_RTCP_FMT_TRANSPORT_CC) > 100);
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
    assert_int_equal(pair_count_rtcp(&p->side[0], DUET_RTCP_RTPFB, DUET_RTCP_FMT_TRANSPORT_CC), 0);
    assert_true(pair_count_rtcp(&p->side[0], DUET_RTCP_RTPFB, DUET_RTCP_FMT_CCFB) > 100);
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
    pair_send_video(p, stream, &counter, DUET_SECONDS(3));
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
    pair_send_video(p, stream, &counter, DUET_SECONDS(1));
    duet_rtp_session_set_remb(p->side[1].session, 1000000);
    pair_send_video(p, stream, &counter, DUET_SECONDS(2));
    assert_true(p->side[0].rembs >= 1);
    assert_in_range(p->side[0].remb, 999990, 1000000);
    duet_rtp_session_set_remb(p->side[1].session, 500000);
    pair_send_video(p, stream, &counter, DUET_MS(25));
    assert_in_range(p->side[0].remb, 499990, 500000);
    duet_rtp_session_set_remb(p->side[1].session, 0);
    int rembs = p->side[0].rembs;
    pair_send_video(p, stream, &counter, DUET_SECONDS(3));
    assert_int_equal(p->side[0].rembs, rembs);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feedback_tells_the_fate_of_every_packet),
        cmocka_unit_test(feedback_by_ssrc_tells_the_same),
        cmocka_unit_test(transport_wide_numbers_wrap),
        cmocka_unit_test(late_packets_are_reported_after_all),
        cmocka_unit_test(feedback_about_packets_that_never_were_is_ignored),
        cmocka_unit_test(remb_is_said_at_once_when_it_falls_and_later_when_it_rises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
