/* Whole calls in virtual time: loss, delay, reordering, corruption, blackouts, restarts, forged traffic, idling. */
#include "peer_world.h"

static void connects_in_few_round_trips(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(25)};
    world *w = world_new(1, &link);

    w->signaling_delay = DUET_MS(50);
    world_connect(w, DUET_SECONDS(10));
    /* 100 ms for offer and answer, then at a round-trip time of 100 ms: one check, two of DTLS, two of SCTP. */
    duet_time took = w->alice.open_at - DUET_SECONDS(1);
    print_message("open after %.0f ms at a round-trip time of 100 ms\n", (double)took / 1000);
    assert_true(took <= DUET_MS(800));
    world_end(w);
}

static bool all_arrived(void *arg)
{
    const world *w = arg;

    return w->bob.received == w->next_number;
}

/* Some hundred messages; at 20 % loss SCTP's congestion window allows no more than a few of them a second. */
static void one_transfer(uint64_t seed, const duet_sim_link *link, duet_time limit)
{
    world *w = world_new(seed, link);

    world_connect(w, limit);
    world_send_every(w, DUET_MS(10));
    world_run(w, DUET_SECONDS(3));
    w->sending = false;
    duet_sim_run_until(w->sim, all_arrived, w, duet_sim_now(w->sim) + DUET_SECONDS(120));
    assert_true(w->next_number > 200);
    world_assert_all_arrived(w);
    assert_int_equal(w->alice.failed_events + w->bob.failed_events, 0);
    world_end(w);
}

static void nothing_is_lost_at_any_rate_of_loss(void **state)
{
    (void)state;
    static const double losses[] = {0, 0.01, 0.05, 0.10, 0.20};

    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        for (uint64_t seed = 1; seed <= 4; seed++) {
            duet_sim_link link = {.delay = DUET_MS(10), .loss = losses[i] / 2}; /* each packet passes two links */
            one_transfer(seed, &link, DUET_SECONDS(60));
        }
    }
}

static void reordering_duplication_and_jitter_do_no_harm(void **state)
{
    (void)state;
    duet_sim_link link = {
        .delay = DUET_MS(10), .jitter = DUET_MS(8), .reorder = 0.1, .duplicate = 0.1, .reorder_delay = DUET_MS(30)};

    for (uint64_t seed = 1; seed <= 4; seed++)
        one_transfer(seed, &link, DUET_SECONDS(30));
}

/* From the open channel on: a damaged handshake message that passes for a true one ends any DTLS handshake, and real
 * networks have UDP's checksum before it. */
static void flipped_bits_are_dropped_and_sent_again(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)}, bad = {.delay = DUET_MS(10), .corrupt = 0.05};

    for (uint64_t seed = 1; seed <= 10; seed++) {
        world *w = world_new(seed, &link);
        world_connect(w, DUET_SECONDS(10));
        duet_sim_host_set_link(w->alice.host, "10.0.0.1", &bad, &bad);
        world_send_every(w, DUET_MS(10));
        world_run(w, DUET_SECONDS(3));
        w->sending = false;
        duet_sim_run_until(w->sim, all_arrived, w, duet_sim_now(w->sim) + DUET_SECONDS(120));
        world_assert_all_arrived(w);
        world_end(w);
    }
}

static void bursts_of_loss_are_survived(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10), .burst_enter = 0.01, .burst_leave = 0.2, .burst_loss = 0.8};

    for (uint64_t seed = 1; seed <= 4; seed++)
        one_transfer(seed, &link, DUET_SECONDS(60));
}

static void a_round_trip_of_one_second_is_enough_time(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(250)};

    one_transfer(9, &link, DUET_SECONDS(30));
}

static void a_slow_link_with_a_short_queue_is_shared_fairly(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10), .rate = 8000000, .queue = 30000};

    one_transfer(5, &link, DUET_SECONDS(30));
}

static void without_trickle_it_connects_too(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(3, &link);

    w->no_trickle = true;
    world_connect(w, DUET_SECONDS(10));
    world_send_every(w, DUET_MS(10));
    world_run(w, DUET_SECONDS(1));
    w->sending = false;
    world_run(w, DUET_SECONDS(1));
    world_assert_all_arrived(w);
    world_end(w);
}

/* ---- blackouts and restarts ---- */

static void set_down(world *w, bool down)
{
    duet_sim_link link = {.delay = DUET_MS(10), .down = down};

    duet_sim_host_set_link(w->alice.host, "10.0.0.1", &link, &link);
}

static void a_blackout_of_ten_seconds_is_bridged(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(4, &link);

    world_connect(w, DUET_SECONDS(10));
    world_send_every(w, DUET_MS(20));
    world_run(w, DUET_SECONDS(2));
    set_down(w, true);
    world_run(w, DUET_SECONDS(10));
    assert_int_equal(duet_pc_connection_state(w->alice.pc), DUET_PC_DISCONNECTED);
    set_down(w, false);
    world_run(w, DUET_SECONDS(20));
    w->sending = false;
    world_run(w, DUET_SECONDS(10));
    assert_int_equal(duet_pc_connection_state(w->alice.pc), DUET_PC_CONNECTED);
    assert_int_equal(duet_pc_connection_state(w->bob.pc), DUET_PC_CONNECTED);
    world_assert_all_arrived(w);
    world_end(w);
}

static void a_path_that_stays_dead_fails_when_consent_expires(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(5, &link);

    world_connect(w, DUET_SECONDS(10));
    set_down(w, true);
    world_run(w, DUET_SECONDS(25));
    assert_int_equal(w->alice.failed_events, 0);
    world_run(w, DUET_SECONDS(15)); /* RFC 7675 section 5.1: 30 seconds without consent */
    assert_int_equal(w->alice.failed_events, 1);
    assert_int_equal(w->bob.failed_events, 1);
    world_end(w);
}

static void a_failed_connection_comes_back_with_an_ice_restart(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(6, &link);

    world_connect(w, DUET_SECONDS(10));
    set_down(w, true);
    world_run(w, DUET_SECONDS(40));
    assert_int_equal(duet_pc_connection_state(w->alice.pc), DUET_PC_FAILED);
    set_down(w, false);
    unsigned needed = w->alice.negotiation_needed;
    duet_pc_restart_ice(w->alice.pc);
    assert_int_equal(w->alice.negotiation_needed, needed + 1);
    world_offer(w);
    world_run(w, DUET_SECONDS(5));
    assert_int_equal(duet_pc_connection_state(w->alice.pc), DUET_PC_CONNECTED);
    assert_int_equal(duet_pc_connection_state(w->bob.pc), DUET_PC_CONNECTED);
    world_send_every(w, DUET_MS(20));
    world_run(w, DUET_SECONDS(2));
    w->sending = false;
    world_run(w, DUET_SECONDS(10));
    world_assert_all_arrived(w);
    world_end(w);
}

static void restart_keeps_data_flowing(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(25), .loss = 0.01};
    world *w = world_new(7, &link);

    world_connect(w, DUET_SECONDS(10));
    world_send_every(w, DUET_MS(20));
    world_run(w, DUET_SECONDS(2));
    duet_pc_restart_ice(w->alice.pc);
    world_offer(w);
    world_run(w, DUET_SECONDS(5));
    w->sending = false;
    world_run(w, DUET_SECONDS(10));
    world_assert_all_arrived(w);
    print_message("longest gap %.0f ms\n", (double)w->bob.longest_gap / 1000);
    assert_true(w->bob.longest_gap < DUET_MS(1500));
    assert_int_equal(w->alice.disconnected_events, 0);
    world_end(w);
}

static void the_answerer_may_restart_as_well(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(25)};
    world *w = world_new(8, &link);

    world_connect(w, DUET_SECONDS(10));
    world_send_every(w, DUET_MS(20));
    duet_pc_restart_ice(w->bob.pc);
    assert_int_equal(duet_pc_set_local_description(w->bob.pc, DUET_SDP_OFFER, NULL), DUET_OK);
    signal_description(&w->bob);
    world_run(w, DUET_SECONDS(5));
    w->sending = false;
    world_run(w, DUET_SECONDS(5));
    world_assert_all_arrived(w);
    assert_int_equal(duet_pc_signaling_state(w->alice.pc), DUET_SIGNALING_STABLE);
    world_end(w);
}

/* ---- what others send ---- */

typedef struct garbage {
    world *w;
    uint64_t seed;
    unsigned left;
    duet_address alice_port; /* where alice receives */
} garbage;

static void send_garbage(void *arg)
{
    garbage *g = arg;
    duet_address from;
    uint8_t data[200];
    size_t len = 1 + test_random_below(&g->seed, sizeof(data) - 1);

    if (g->left-- == 0)
        return;
    test_random_fill(&g->seed, data, len);
    static const uint8_t firsts[] = {0, 1, 20, 22, 23, 25, 63, 64, 128, 191, 255};
    data[0] = firsts[test_random_below(&g->seed, sizeof(firsts))];
    /* From nowhere, and with the peer's own address forged. */
    if (test_random_below(&g->seed, 2))
        duet_address_parse(&from, "10.0.0.2", 49152);
    else
        duet_address_parse(&from, "10.9.9.9", 4000);
    for (uint16_t port = 49152; port < 49154; port++) {
        g->alice_port.port = port;
        duet_sim_send(g->w->sim, &from, &g->alice_port, data, len);
    }
    duet_sim_at(g->w->sim, duet_sim_now(g->w->sim) + DUET_MS(1), send_garbage, g);
}

static void garbage_changes_nothing_but_counters(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        duet_sim_link link = {.delay = DUET_MS(10)};
        world *w = world_new(seed, &link);
        garbage g = {.w = w, .seed = seed, .left = 6000};
        duet_pc_counters counters;

        duet_address_parse(&g.alice_port, "10.0.0.1", 0);
        duet_sim_at(w->sim, DUET_SECONDS(1), send_garbage, &g); /* from the first moment on, through the handshake */
        world_connect(w, DUET_SECONDS(20));
        world_send_every(w, DUET_MS(10));
        world_run(w, DUET_SECONDS(7));
        w->sending = false;
        world_run(w, DUET_SECONDS(5));
        world_assert_all_arrived(w);
        assert_int_equal(w->alice.disconnected_events + w->alice.failed_events, 0);
        duet_pc_get_counters(w->alice.pc, &counters);
        assert_true(counters.unknown > 100);
        assert_true(counters.unvalidated > 100);
        world_end(w);
    }
}

/* ---- idling ---- */

static void an_idle_minute_costs_little_more_than_consent(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(2, &link);
    duet_sim_stats before, after;

    world_connect(w, DUET_SECONDS(10));
    world_run(w, DUET_SECONDS(5));
    duet_sim_get_stats(w->sim, &before);
    world_run(w, DUET_SECONDS(60));
    duet_sim_get_stats(w->sim, &after);
    /* Every 4 to 6 s a check of each side, and its answer: four packets. A side wakes to send its check (or, with it, to
     * answer the peer's) and for the answer. */
    uint64_t serves = after.serves - before.serves, packets = after.sent - before.sent, checks = packets / 2;
    print_message("60 s of idling: %llu turns of two peers, %llu consent checks\n", (unsigned long long)serves,
                  (unsigned long long)checks);
    assert_true(checks >= 2 * 10 && checks <= 2 * 16);
    assert_true(serves <= checks * 2 + 2 * 5);
    world_end(w);
}

static void the_peer_hears_of_a_close(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(10)};
    world *w = world_new(2, &link);

    world_connect(w, DUET_SECONDS(10));
    duet_pc_close(w->alice.pc);
    assert_int_equal(duet_pc_connection_state(w->alice.pc), DUET_PC_CLOSED);
    world_run(w, DUET_SECONDS(1));
    assert_true(w->bob.closed);
    world_end(w);
}

/* ---- repeatability ---- */

static uint64_t hash_of_run(uint64_t seed)
{
    duet_sim_link link = {.delay = DUET_MS(10), .jitter = DUET_MS(5), .loss = 0.05, .reorder = 0.05};
    world *w = world_new(seed, &link);
    duet_sim_stats stats;

    world_connect(w, DUET_SECONDS(60));
    world_send_every(w, DUET_MS(5));
    world_run(w, DUET_SECONDS(3));
    duet_sim_get_stats(w->sim, &stats);
    world_end(w);
    return stats.trace_hash;
}

/* The hash is printed so that another process can be compared with this one. */
static void the_same_seed_gives_the_same_packets(void **state)
{
    (void)state;
    uint64_t first = hash_of_run(77);

    assert_true(hash_of_run(77) == first);
    assert_true(hash_of_run(78) != first);
    print_message("trace hash of seed 77: %016llx\n", (unsigned long long)first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_packets),
        cmocka_unit_test(connects_in_few_round_trips),
        cmocka_unit_test(nothing_is_lost_at_any_rate_of_loss),
        cmocka_unit_test(reordering_duplication_and_jitter_do_no_harm),
        cmocka_unit_test(flipped_bits_are_dropped_and_sent_again),
        cmocka_unit_test(bursts_of_loss_are_survived),
        cmocka_unit_test(a_round_trip_of_one_second_is_enough_time),
        cmocka_unit_test(a_slow_link_with_a_short_queue_is_shared_fairly),
        cmocka_unit_test(without_trickle_it_connects_too),
        cmocka_unit_test(a_blackout_of_ten_seconds_is_bridged),
        cmocka_unit_test(a_path_that_stays_dead_fails_when_consent_expires),
        cmocka_unit_test(a_failed_connection_comes_back_with_an_ice_restart),
        cmocka_unit_test(restart_keeps_data_flowing),
        cmocka_unit_test(the_answerer_may_restart_as_well),
        cmocka_unit_test(garbage_changes_nothing_but_counters),
        cmocka_unit_test(an_idle_minute_costs_little_more_than_consent),
        cmocka_unit_test(the_peer_hears_of_a_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
