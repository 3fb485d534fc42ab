/* The DTLS handshake over a bad network: retransmission times, losses, reordering, duplicates, fragments. */
#include "dtls_pair.h"

static void retransmissions_double_from_fifty_milliseconds(void **state)
{
    static const unsigned expected_ms[] = {0, 50, 150, 350, 750, 1550, 3150};
    (void)state;
    dtls_pair *n = pair_ready(NULL);
    duet_time start = n->now;

    n->lose_client = UINT32_MAX;
    pair_run(n, DUET_SECONDS(4));
    assert_int_equal(n->peer[CLIENT].sent, 7);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(n->peer[CLIENT].sent_at[i] - start, DUET_MS(expected_ms[i]));
    duet_dtls_stats stats;
    duet_dtls_get_stats(n->peer[CLIENT].dtls, &stats);
    assert_int_equal(stats.retransmissions, 6);
    pair_free(n);
}

static duet_time first_retransmission(duet_time rtt)
{
    dtls_pair *n = malloc(sizeof(*n));
    assert_non_null(n);
    pair_init(n);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pair_create(n, i, NULL, NULL, NULL, 0), DUET_OK);
    assert_int_equal(pair_start(n, rtt), DUET_OK);
    duet_time after = duet_dtls_deadline(n->peer[CLIENT].dtls) - n->now;
    /* deadline() also says when spare buffers are given back: look at what is really sent */
    n->lose_client = UINT32_MAX;
    duet_time start = n->now;
    pair_run(n, DUET_SECONDS(10));
    assert_true(after <= n->peer[CLIENT].sent_at[1] - start);
    after = n->peer[CLIENT].sent_at[1] - start;
    assert_int_equal(n->peer[CLIENT].sent_at[2] - n->peer[CLIENT].sent_at[1], 2 * after);
    pair_free(n);
    return after;
}

static void the_first_retransmission_is_twice_the_round_trip_within_limits(void **state)
{
    (void)state;
    assert_int_equal(first_retransmission(0), DUET_MS(50));
    assert_int_equal(first_retransmission(DUET_MS(10)), DUET_MS(50));
    assert_int_equal(first_retransmission(DUET_MS(80)), DUET_MS(160));
    assert_int_equal(first_retransmission(DUET_SECONDS(2)), DUET_SECONDS(3));
    assert_int_equal(first_retransmission(DUET_NEVER), DUET_SECONDS(3));
}

static void a_server_gets_its_answer_to_a_lost_flight(void **state)
{
    (void)state;
    dtls_pair *n = pair_ready(NULL);

    n->lose_server = 1; /* ServerHello to ServerHelloDone */
    assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
    pair_free(n);
}

static void every_subset_of_the_first_datagrams_may_be_lost(void **state)
{
    (void)state;
    uint32_t failed = 0;

    for (uint32_t set = 0; set < 256; set++) {
        dtls_pair *n = pair_ready(NULL);
        n->lose_client = set & 15;
        n->lose_server = set >> 4;
        if (!pair_run_until_connected(n, DUET_SECONDS(30)))
            failed++;
        pair_free(n);
    }
    assert_int_equal(failed, 0);
}

static void a_lost_last_flight_is_sent_again_when_the_client_repeats_its_own(void **state)
{
    (void)state;
    dtls_pair *n = pair_ready(NULL);

    /* Run until the server is connected: its Finished is then in its output; lose that and what repeats it first. */
    while (duet_dtls_get_state(n->peer[SERVER].dtls) != DUET_DTLS_CONNECTED)
        assert_true(pair_step(n, n->now + DUET_SECONDS(5)));
    n->lose_server = 0xfu << n->peer[SERVER].sent;
    assert_int_equal(duet_dtls_deadline(n->peer[SERVER].dtls) > n->now + DUET_MS(100), true); /* it does not repeat */
    assert_true(pair_run_until_connected(n, DUET_SECONDS(10)));
    duet_dtls_stats stats;
    duet_dtls_get_stats(n->peer[SERVER].dtls, &stats);
    assert_true(stats.retransmissions >= 2);
    pair_free(n);
}

static void heavy_loss_reordering_and_duplicates_only_delay(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        dtls_pair *n = pair_ready(NULL);
        n->seed = seed;
        n->loss = 0.3;
        n->duplicates = 0.3;
        n->reorder = 0.5;
        if (!pair_run_until_connected(n, DUET_SECONDS(120)))
            fail_msg("seed %llu does not connect", (unsigned long long)seed);
        n->loss = n->reorder = 0;
        pair_run(n, DUET_SECONDS(1));
        for (int side = 0; side < 2; side++) {
            size_t before = n->peer[!side].received_len;
            assert_int_equal(duet_dtls_send(n->peer[side].dtls, (const uint8_t *)"ping", 4, n->now), DUET_OK);
            pair_run(n, DUET_MS(100));
            assert_int_equal(n->peer[!side].received_len, before + 4); /* duplicates are dropped as replays */
        }
        pair_free(n);
    }
}

/* ---- a ClientHello in two datagrams, as browsers send it --------------------------------------------------------- */

/* Writes the fragment [offset, offset + len) of the one handshake message in `record` as a record of its own. */
static size_t write_fragment(uint8_t *out, const uint8_t *record, uint32_t offset, uint32_t len, uint8_t sequence)
{
    memcpy(out, record, 25);
    out[10] = sequence;
    out[11] = (uint8_t)((len + 12) >> 8);
    out[12] = (uint8_t)(len + 12);
    out[19] = (uint8_t)(offset >> 16);
    out[20] = (uint8_t)(offset >> 8);
    out[21] = (uint8_t)offset;
    out[22] = (uint8_t)(len >> 16);
    out[23] = (uint8_t)(len >> 8);
    out[24] = (uint8_t)len;
    memcpy(out + 25, record + 25 + offset, len);
    return 25 + (size_t)len;
}

static void a_client_hello_in_two_datagrams_in_any_order_and_twice(void **state)
{
    static const int orders[][4] = {{0, 1, -1, -1}, {1, 0, -1, -1}, {1, 1, 0, 0}, {0, 0, 1, 1}, {0, 1, 0, 1}};
    (void)state;
    for (size_t o = 0; o < sizeof(orders) / sizeof(orders[0]); o++) {
        dtls_pair *n = pair_ready(NULL);
        duet_datagram hello;
        uint8_t part[2][2048];
        size_t len[2];

        assert_int_equal(duet_dtls_output(n->peer[CLIENT].dtls, &hello, n->now), 1);
        assert_int_equal(hello.data[13], 1);
        uint32_t body = (uint32_t)hello.len - 25, half = body / 2;
        len[0] = write_fragment(part[0], hello.data, 0, half, 40);
        len[1] = write_fragment(part[1], hello.data, half, body - half, 41);
        for (int i = 0; i < 4 && orders[o][i] >= 0; i++)
            pair_push(n, SERVER, part[orders[o][i]], len[orders[o][i]], n->now + DUET_MS(1) * (duet_time)(i + 1));
        n->peer[CLIENT].sent++;
        n->lose_client = 0;
        assert_true(pair_run_until_connected(n, DUET_SECONDS(5)));
        duet_dtls_stats stats;
        duet_dtls_get_stats(n->peer[SERVER].dtls, &stats);
        assert_int_equal(stats.handshake_restarts, 0);
        assert_int_equal(stats.retransmissions, 0);
        pair_free(n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retransmissions_double_from_fifty_milliseconds),
        cmocka_unit_test(the_first_retransmission_is_twice_the_round_trip_within_limits),
        cmocka_unit_test(a_server_gets_its_answer_to_a_lost_flight),
        cmocka_unit_test(every_subset_of_the_first_datagrams_may_be_lost),
        cmocka_unit_test(a_lost_last_flight_is_sent_again_when_the_client_repeats_its_own),
        cmocka_unit_test(heavy_loss_reordering_and_duplicates_only_delay),
        cmocka_unit_test(a_client_hello_in_two_datagrams_in_any_order_and_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
