/* How messages share packets, and how acknowledgements are thinned. */
#include "sctp/ack_thinning.h"
#include "sctp_pair.h"

static void make_ack(uint8_t packet[DUET_ACK_PACKET_LEN], uint32_t tsn, uint8_t gaps, uint8_t duplicates)
{
    memset(packet, 0, DUET_ACK_PACKET_LEN);
    packet[12] = 3;
    packet[15] = 16;
    packet[19] = (uint8_t)tsn;
    packet[25] = gaps;
    packet[27] = duplicates;
}

static void the_newest_ack_is_kept_and_one_in_eight_leaves(void **state)
{
    (void)state;
    ack_thinning t = {0};
    uint8_t packet[DUET_ACK_PACKET_LEN];

    for (uint8_t n = 1; n <= 7; n++) {
        make_ack(packet, n, 0, 0);
        assert_true(duet_ack_thinning_holds(&t, packet, sizeof(packet)));
        assert_int_equal(t.len, sizeof(packet));
        assert_int_equal(t.packet[19], n);
    }
    make_ack(packet, 8, 0, 0);
    assert_false(duet_ack_thinning_holds(&t, packet, sizeof(packet)));
    duet_ack_thinning_drop(&t);
    assert_true(duet_ack_thinning_holds(&t, packet, sizeof(packet)));
}

static void acks_that_report_gaps_or_duplicates_and_other_packets_are_not_held(void **state)
{
    (void)state;
    ack_thinning t = {0};
    uint8_t packet[DUET_ACK_PACKET_LEN];

    make_ack(packet, 1, 1, 0);
    assert_false(duet_ack_thinning_holds(&t, packet, sizeof(packet)));
    make_ack(packet, 1, 0, 1);
    assert_false(duet_ack_thinning_holds(&t, packet, sizeof(packet)));
    make_ack(packet, 1, 0, 0);
    assert_false(duet_ack_thinning_holds(&t, packet, sizeof(packet) - 1));
    packet[12] = 0; /* DATA */
    assert_false(duet_ack_thinning_holds(&t, packet, sizeof(packet)));
    assert_int_equal(t.len, 0);
}

static void only_a_packet_with_an_ack_supersedes_a_held_one(void **state)
{
    (void)state;
    uint8_t packet[12 + 20 + 16] = {0};

    packet[12] = 0; /* DATA of 20 bytes */
    packet[15] = 20;
    assert_false(duet_ack_is_in(packet, 12 + 20));
    packet[12 + 20] = 3;
    packet[12 + 20 + 3] = 16;
    assert_true(duet_ack_is_in(packet, sizeof(packet)));
    packet[15] = 17; /* padded to 20 */
    assert_true(duet_ack_is_in(packet, sizeof(packet)));
    packet[15] = 0; /* no chunk is that short: the end of looking */
    assert_false(duet_ack_is_in(packet, sizeof(packet)));
    packet[14] = 0xff;
    assert_false(duet_ack_is_in(packet, sizeof(packet)));
}

static duet_dc *open_channel(sctp_pair *p, channel_log *log)
{
    duet_dc_callbacks callbacks = log_callbacks(log);
    duet_dc *dc;

    assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "x", NULL, &callbacks, p->now), DUET_OK);
    pair_run(p, DUET_MS(200));
    assert_int_equal(log->opened, 1);
    return dc;
}

static void small_messages_of_one_turn_share_packets(void **state)
{
    (void)state;
    sctp_pair *p = pair_ready(NULL);
    channel_log log = {0}, far = {0};
    duet_dc *dc = open_channel(p, &log);
    duet_dc_callbacks callbacks = log_callbacks(&far);
    uint8_t message[100] = {0};

    duet_dc_set_callbacks(p->peer[1].last_channel, &callbacks);
    size_t before = p->peer[0].packets;
    for (int i = 0; i < 50; i++)
        assert_int_equal(duet_dc_send(dc, message, sizeof(message), false), DUET_OK);
    pair_run(p, DUET_MS(4)); /* less than the delay of the pipe: without help of the peer */
    size_t packets = p->peer[0].packets - before;
    print_message("50 messages of 100 bytes in %zu packets\n", packets);
    assert_true(packets >= 5 && packets <= 12);
    pair_run(p, DUET_MS(100));
    assert_int_equal(far.messages, 50);
    free(far.last);
    pair_free(p);
}

static void a_message_does_not_wait_for_an_acknowledgement(void **state)
{
    (void)state;
    sctp_pair *p = pair_ready(NULL);
    channel_log log = {0};
    duet_dc *dc = open_channel(p, &log);

    for (int i = 0; i < 5; i++) { /* each in a turn of its own, all before the first acknowledgement */
        size_t before = p->peer[0].packets;
        assert_int_equal(duet_dc_send(dc, "now", 3, true), DUET_OK);
        pair_run(p, DUET_MS(1));
        assert_int_equal(p->peer[0].packets, before + 1);
    }
    pair_free(p);
}

/* Counts in p->user the DATA of peer 0 that it had sent before. */
static bool count_repeats(sctp_pair *p, int from, const uint8_t *data, size_t len)
{
    static uint32_t highest;
    static bool began;
    duet_reader r = duet_reader_init(data, len);

    duet_read_skip(&r, 12);
    uint32_t type = duet_read_u32(&r) >> 24, tsn = duet_read_u32(&r);
    if (from != 0 || type != 0)
        return true;
    if (began && (int32_t)(tsn - highest) <= 0)
        ++*(unsigned *)p->user;
    else
        highest = tsn;
    began = true;
    return true;
}

/* All that is on its way to peer 1 comes in one turn, as a driver hands it over that was busy. */
static void arrive_together(sctp_pair *p)
{
    sctp_packet **link = &p->first;

    p->last = NULL;
    while (*link) {
        sctp_packet *packet = *link;
        if (packet->to != 1) {
            p->last = packet;
            link = &packet->next;
            continue;
        }
        *link = packet->next;
        p->queued--;
        duet_sctp_input(p->peer[1].sctp, packet->data, packet->len, p->now);
        free(packet);
    }
}

/* In one turn peer 1 gets data, for which an acknowledgement is held back, and an acknowledgement, upon which it sends data.
 * That says nothing of what it got: the one that is held must go out all the same. */
static void an_ack_that_is_held_back_survives_data_that_leaves(void **state)
{
    (void)state;
    sctp_pair *p = pair_ready(NULL);
    channel_log near = {0}, far = {0};
    duet_dc *dc = open_channel(p, &near);
    duet_dc_callbacks callbacks = log_callbacks(&far);
    uint8_t *message = calloc(1, 200000);
    unsigned repeats = 0;

    p->filter = count_repeats;
    p->user = &repeats;
    duet_dc_set_callbacks(p->peer[1].last_channel, &callbacks);
    assert_int_equal(duet_dc_send(p->peer[1].last_channel, message, 200000, false), DUET_OK);
    pair_run(p, DUET_MS(4));
    for (int i = 0; i < 2; i++) { /* two packets */
        assert_int_equal(duet_dc_send(dc, message, 1000, false), DUET_OK);
        pair_run(p, 0);
    }
    pair_run(p, DUET_MS(2)); /* peer 0 acknowledges what came */
    arrive_together(p);
    pair_run(p, DUET_SECONDS(5));
    assert_int_equal(far.messages, 2);
    assert_int_equal(near.messages, 1);
    assert_int_equal(repeats, 0);
    free(message);
    free(near.last);
    free(far.last);
    pair_free(p);
}

static void a_message_in_the_turn_in_which_the_association_ends_keeps_nobody_awake(void **state)
{
    (void)state;
    sctp_pair *p = pair_ready(NULL);
    channel_log log = {0};
    duet_dc *dc = open_channel(p, &log);

    duet_sctp_close(p->peer[1].sctp, p->now); /* its ABORT is in the pipe now */
    assert_non_null(p->first);
    assert_int_equal(duet_dc_send(dc, "too late", 8, true), DUET_OK);
    duet_sctp_input(p->peer[0].sctp, p->first->data, p->first->len, p->now);
    assert_int_equal(duet_sctp_get_state(p->peer[0].sctp), DUET_SCTP_CLOSED);
    duet_sctp_tick(p->peer[0].sctp, p->now);
    assert_true(duet_sctp_deadline(p->peer[0].sctp) == DUET_NEVER);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_ack_is_kept_and_one_in_eight_leaves),
        cmocka_unit_test(acks_that_report_gaps_or_duplicates_and_other_packets_are_not_held),
        cmocka_unit_test(only_a_packet_with_an_ack_supersedes_a_held_one),
        cmocka_unit_test(small_messages_of_one_turn_share_packets),
        cmocka_unit_test(a_message_does_not_wait_for_an_acknowledgement),
        cmocka_unit_test(an_ack_that_is_held_back_survives_data_that_leaves),
        cmocka_unit_test(a_message_in_the_turn_in_which_the_association_ends_keeps_nobody_awake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
