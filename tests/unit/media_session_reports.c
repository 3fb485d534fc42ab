/* RTP sessions: sender and receiver reports, when they are sent, and what both ends learn from them. RFC 3550, 3611, 5506. */
#include "media_pair.h"

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

/* All packets of an event have the timestamp of its beginning, here of another clock even. */
static void telephone_events_say_nothing_about_jitter_and_time(void **state)
{
    static const duet_codec event = {.name = "telephone-event", .payload_type = 101, .clock_rate = 8000, .channels = 1};
    const duet_codec *codecs[] = {&pair_opus, &event};
    (void)state;

    media_pair *p = pair_new(17);
    duet_send_stream *stream;
    duet_receive_stream_stats in;
    uint64_t before, after;
    duet_rtp_section section = pair_section("a", false, codecs, 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(duet_rtp_session_set_section(p->side[i].session, &section), DUET_OK);
    pair_stream(p, 0, "a", &stream);
    for (uint32_t i = 0; i < 250; i++) {
        pair_send(p, stream, 111, i, 960 * i, 100);
        if (i >= 150 && i % 2 == 0)
            pair_send(p, stream, 101, i, 960 * 150, 4);
        pair_run(p, DUET_MS(20));
        if (i == 149)
            assert_true(duet_receive_stream_ntp_of(p->side[1].stream, 0, &before));
    }
    duet_receive_stream_get_stats(p->side[1].stream, &in);
    assert_true(in.jitter < 0.002);
    assert_true(duet_receive_stream_ntp_of(p->side[1].stream, 0, &after));
    int64_t apart = (int64_t)(after - before);
    assert_true(apart > -(1 << 23) && apart < 1 << 23); /* 2 ms */
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
    pair_send_video(p, stream, &counter, DUET_SECONDS(4));
    assert_in_range(duet_rtp_session_rtt(p->side[1].session), DUET_MS(38), DUET_MS(44));
    pair_free(p);
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
        pair_send_video(p, stream, &counter, DUET_SECONDS(2));
        assert_int_equal(saw_bare_feedback, reduced);
        assert_true(pair_count_rtcp(&p->side[0], DUET_RTCP_RTPFB, DUET_RTCP_FMT_TRANSPORT_CC) > 10);
        duet_rtp_session_stats s;
        duet_rtp_session_get_stats(p->side[0].session, &s);
        assert_int_equal(s.rtcp_malformed, 0);
        pair_free(p);
    }
}

/* What the reports of side 0 look like to side 1 from now on. */
typedef struct seen_reports {
    size_t reports, senders, blocks, names;
    duet_time last, shortest, longest;
} seen_reports;

static seen_reports seen;

static void look_at_reports(pair_side *side, duet_rtp_outgoing *out)
{
    duet_rtcp_packet packet;
    duet_rtcp_report report;
    size_t cursor = 0;
    duet_time now = side->pair->now;

    if (!out->is_rtcp)
        return;
    while (duet_rtcp_next(out->data, out->len, &cursor, &packet) == 1) {
        seen.names += packet.type == DUET_RTCP_SDES;
        if (duet_rtcp_read_report(&report, &packet) != DUET_OK)
            continue;
        duet_time span = now - seen.last;
        if (seen.reports++ > 0) {
            seen.shortest = span < seen.shortest ? span : seen.shortest;
            seen.longest = span > seen.longest ? span : seen.longest;
        }
        seen.last = now;
        seen.senders += report.is_sender;
        seen.blocks += report.block_count;
    }
}

static void watch_reports(media_pair *p)
{
    seen = (seen_reports){.shortest = DUET_NEVER};
    p->side[0].on_output = look_at_reports;
}

/* "RTCP ... sent by each participant" for as long as it takes part, sections that are on hold included: RFC 3264, 5.1 */
static void a_session_without_media_says_every_five_seconds_that_it_is_there(void **state)
{
    (void)state;
    media_pair *p = pair_new(26);

    assert_true(duet_rtp_session_deadline(p->side[0].session) == DUET_NEVER);
    watch_reports(p);
    pair_run(p, DUET_SECONDS(10));
    assert_int_equal(seen.reports, 0); /* nothing is agreed yet */
    pair_add_video(p, "v");
    pair_run(p, DUET_SECONDS(600));
    assert_in_range(seen.reports, 110, 160);
    assert_int_equal(seen.names, seen.reports);
    assert_int_equal(seen.senders, 0);
    assert_int_equal(seen.blocks, 0);
    assert_in_range(seen.shortest, DUET_MS(2050), DUET_MS(2500));
    assert_in_range(seen.longest, DUET_MS(5500), DUET_MS(6160));
    for (int i = 0; i < 2; i++)
        duet_rtp_session_remove_section(p->side[i].session, "v");
    pair_run(p, DUET_SECONDS(7));
    assert_true(duet_rtp_session_deadline(p->side[0].session) == DUET_NEVER);
    pair_free(p);
}

static void streams_that_fall_silent_leave_the_reports_which_go_on(void **state)
{
    (void)state;
    media_pair *p = pair_new(27);
    duet_send_stream *stream, *back;
    uint32_t counter = 0;

    pair_add_video(p, "v");
    pair_add_audio(p, "a");
    pair_stream(p, 0, "v", &stream);
    pair_stream(p, 1, "a", &back);
    pair_send(p, back, 111, 0, 0, 100);
    pair_send_video(p, stream, &counter, DUET_SECONDS(2));
    pair_run(p, DUET_SECONDS(10));
    watch_reports(p);
    pair_run(p, DUET_SECONDS(60));
    assert_in_range(seen.reports, 10, 16);
    assert_int_equal(seen.senders, 0);
    assert_int_equal(seen.blocks, 0);
    /* With the next packet they come soon and often. */
    watch_reports(p);
    duet_time again = p->now;
    pair_send_video(p, stream, &counter, DUET_MS(500));
    assert_true(seen.reports >= 1 && seen.senders == seen.reports);
    assert_in_range(seen.last - again, 1, DUET_MS(500));
    pair_send_video(p, stream, &counter, DUET_SECONDS(4));
    assert_true(seen.reports >= 4);
    assert_true(seen.longest <= DUET_SECONDS(1));
    assert_int_equal(pair_missing(&p->side[1], counter), 0);
    pair_free(p);
}

static void an_estimate_that_nobody_measures_is_not_repeated(void **state)
{
    (void)state;
    media_pair *p = pair_new(28);
    duet_send_stream *stream;
    uint32_t counter = 0;

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    duet_rtp_session_set_remb(p->side[1].session, 1000000);
    pair_send_video(p, stream, &counter, DUET_SECONDS(3));
    assert_true(p->side[0].rembs >= 1);
    pair_run(p, DUET_SECONDS(8));
    int rembs = p->side[0].rembs;
    pair_run(p, DUET_SECONDS(30));
    assert_int_equal(p->side[0].rembs, rembs);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_tell_loss_jitter_and_round_trip),
        cmocka_unit_test(jitter_is_measured_in_seconds),
        cmocka_unit_test(telephone_events_say_nothing_about_jitter_and_time),
        cmocka_unit_test(reports_come_soon_and_then_at_random_within_a_second),
        cmocka_unit_test(receivers_measure_the_round_trip_with_extended_reports),
        cmocka_unit_test(many_streams_are_reported_in_packets_that_fit),
        cmocka_unit_test(feedback_is_compound_unless_reduced_size_is_agreed),
        cmocka_unit_test(a_session_without_media_says_every_five_seconds_that_it_is_there),
        cmocka_unit_test(streams_that_fall_silent_leave_the_reports_which_go_on),
        cmocka_unit_test(an_estimate_that_nobody_measures_is_not_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
