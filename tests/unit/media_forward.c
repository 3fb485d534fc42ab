/* What a middlebox passes on: packets of other stacks, which may be longer than ours. */
#include "media_pair.h"

static duet_rtp_packet packet_of(uint16_t number, uint8_t *payload, size_t len)
{
    payload[3] = (uint8_t)number;
    return (duet_rtp_packet){.payload_type = 96,
                             .sequence_number = number,
                             .timestamp = 3000u * number,
                             .payload = payload,
                             .payload_len = len};
}

static void a_packet_of_another_stack_may_be_longer_than_ours(void **state)
{
    (void)state;
    media_pair *p = pair_new(3);
    uint8_t payload[1400] = {0};
    duet_receive_stream_stats stats;
    duet_send_stream *stream;
    duet_rtp_packet packet;

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    packet = packet_of(1, payload, 1312); /* aiortc's VP8 */
    assert_int_equal(duet_send_stream_forward(stream, &packet, NULL, p->now), DUET_OK);
    pair_run(p, DUET_MS(100));
    p->loss = 1;
    packet = packet_of(2, payload, 1312);
    assert_int_equal(duet_send_stream_forward(stream, &packet, NULL, p->now), DUET_OK);
    pair_pull(p, 0);
    p->loss = 0;
    packet = packet_of(3, payload, 1312);
    assert_int_equal(duet_send_stream_forward(stream, &packet, NULL, p->now), DUET_OK);
    pair_run(p, DUET_MS(500));
    assert_int_equal(p->side[1].packets, 3);
    assert_int_equal(p->side[1].retransmitted, 1);
    duet_receive_stream_get_stats(p->side[1].stream, &stats);
    assert_int_equal(stats.nack_recovered, 1);
    pair_free(p);
}

static void what_does_not_fit_ethernet_is_refused(void **state)
{
    (void)state;
    media_pair *p = pair_new(4);
    uint8_t payload[DUET_RTP_FORWARD_MAX + 1] = {0};
    duet_send_stream *stream;
    duet_rtp_packet packet;

    pair_add_video(p, "v");
    pair_stream(p, 0, "v", &stream);
    packet = packet_of(1, payload, DUET_RTP_FORWARD_MAX);
    assert_int_equal(duet_send_stream_forward(stream, &packet, NULL, p->now), DUET_ERR_TOO_LARGE);
    packet = packet_of(1, payload, DUET_RTP_FORWARD_MAX - 60);
    assert_int_equal(duet_send_stream_forward(stream, &packet, NULL, p->now), DUET_OK);
    pair_run(p, DUET_MS(100));
    assert_int_equal(p->side[1].packets, 1);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_of_another_stack_may_be_longer_than_ours),
        cmocka_unit_test(what_does_not_fit_ethernet_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
