/* Limits in virtual time: buckets fill and empty, connections are counted, tables stay small. */
#include "signaling/limits.h"
#include "test.h"

static const duet_limits_config ten_per_second = {
    .messages = {{10, 20}, {10, 20}, {10, 20}},
    .connections = {2, 3, 0},
    .max_entries = 100,
};

static duet_limits *limits_with(const duet_limits_config *config)
{
    duet_limits *limits;

    assert_int_equal(duet_limits_create(&limits, NULL, config), DUET_OK);
    return limits;
}

/* How many messages pass at one moment. */
static unsigned passing(duet_limits *limits, duet_limit_kind kind, const char *name, duet_time now)
{
    unsigned n = 0;

    while (n < 1000 && duet_limits_message(limits, kind, name, now, NULL))
        n++;
    return n;
}

static void a_bucket_holds_a_burst_and_then_what_flows_in(void **state)
{
    duet_rate rate = {10, 20};
    duet_bucket b = {0};
    uint64_t retry;

    (void)state;
    for (int i = 0; i < 20; i++)
        assert_true(duet_bucket_take(&b, &rate, 1, 0, &retry));
    assert_int_equal(retry, 0);
    assert_false(duet_bucket_take(&b, &rate, 1, 0, &retry));
    assert_in_range(retry, 100, 101);
    assert_false(duet_bucket_take(&b, &rate, 1, DUET_MS(99), NULL));
    assert_true(duet_bucket_take(&b, &rate, 1, DUET_MS(retry), NULL));
    assert_true(duet_bucket_take(&b, &rate, 20, DUET_SECONDS(100), NULL)); /* not more than the burst is kept */
    assert_false(duet_bucket_take(&b, &rate, 1, DUET_SECONDS(100), NULL));
}

static void the_time_that_a_bucket_tells_is_enough(void **state)
{
    uint64_t seed = 7;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        duet_rate rate = {0.1 + (double)test_random_below(&seed, 1000) / 7, 1 + (double)test_random_below(&seed, 50)};
        duet_bucket b = {0};
        duet_time now = test_random_below(&seed, 1000000);
        uint64_t retry = 0;
        while (duet_bucket_take(&b, &rate, 1, now, &retry))
            now += 1;
        assert_true(duet_bucket_take(&b, &rate, 1, now + DUET_MS(retry), NULL));
    }
}

static void a_cost_above_the_burst_empties_a_full_bucket(void **state)
{
    duet_rate rate = {10, 20};
    duet_bucket b = {0};

    (void)state;
    assert_true(duet_bucket_take(&b, &rate, 500, DUET_SECONDS(1), NULL));
    assert_false(duet_bucket_take(&b, &rate, 1, DUET_SECONDS(1), NULL));
    assert_false(duet_bucket_take(&b, &rate, 500, DUET_SECONDS(2), NULL));
    assert_true(duet_bucket_take(&b, &rate, 500, DUET_SECONDS(3), NULL));
}

static void time_that_goes_back_fills_nothing(void **state)
{
    duet_rate rate = {10, 1};
    duet_bucket b = {0};

    (void)state;
    assert_true(duet_bucket_take(&b, &rate, 1, DUET_SECONDS(9), NULL));
    assert_false(duet_bucket_take(&b, &rate, 1, DUET_SECONDS(1), NULL));
}

static void a_rate_of_zero_is_no_limit(void **state)
{
    duet_limits *limits = limits_with(&(duet_limits_config){.max_entries = 1});

    (void)state;
    assert_int_equal(passing(limits, DUET_LIMIT_ROOM, "a", 0), 1000);
    assert_int_equal(passing(limits, DUET_LIMIT_ROOM, "b", 0), 1000);
    assert_int_equal(duet_limits_count(limits, DUET_LIMIT_ROOM), 0);
    duet_limits_destroy(limits);
}

static void names_and_kinds_have_buckets_of_their_own(void **state)
{
    duet_limits *limits = limits_with(&ten_per_second);
    uint64_t retry;

    (void)state;
    assert_int_equal(passing(limits, DUET_LIMIT_AGENT, "alice", DUET_SECONDS(1)), 20);
    assert_int_equal(passing(limits, DUET_LIMIT_AGENT, "alice2", DUET_SECONDS(1)), 20);
    assert_int_equal(passing(limits, DUET_LIMIT_ROOM, "alice", DUET_SECONDS(1)), 20);
    assert_false(duet_limits_message(limits, DUET_LIMIT_AGENT, "alice", DUET_MS(1010), &retry));
    assert_in_range(retry, 90, 91);
    assert_int_equal(passing(limits, DUET_LIMIT_AGENT, "alice", DUET_SECONDS(2)), 10);
    duet_limits_destroy(limits);
}

static void an_ipv6_network_is_one_address(void **state)
{
    duet_limits *limits = limits_with(&ten_per_second);

    (void)state;
    assert_int_equal(passing(limits, DUET_LIMIT_ADDRESS, "2001:db8:1:2::1", 0), 20);
    assert_int_equal(passing(limits, DUET_LIMIT_ADDRESS, "2001:db8:1:2:ffff:ffff:ffff:ffff", 0), 0);
    assert_int_equal(passing(limits, DUET_LIMIT_ADDRESS, "2001:db8:1:3::1", 0), 20);
    duet_limits_destroy(limits);
}

static void ipv4_addresses_are_told_apart_also_when_mapped(void **state)
{
    duet_limits *limits = limits_with(&ten_per_second);

    (void)state;
    assert_int_equal(passing(limits, DUET_LIMIT_ADDRESS, "192.0.2.1", 0), 20);
    assert_int_equal(passing(limits, DUET_LIMIT_ADDRESS, "192.0.2.2", 0), 20);
    assert_int_equal(passing(limits, DUET_LIMIT_ADDRESS, "::ffff:192.0.2.1", 0), 0);
    assert_int_equal(passing(limits, DUET_LIMIT_ADDRESS, "::ffff:192.0.2.3", 0), 20);
    assert_int_equal(passing(limits, DUET_LIMIT_ADDRESS, "not an address", 0), 20);
    duet_limits_destroy(limits);
}

static void connections_are_counted_up_to_their_limit(void **state)
{
    duet_limits *limits = limits_with(&ten_per_second);

    (void)state;
    assert_true(duet_limits_connect(limits, DUET_LIMIT_AGENT, "alice", 0));
    assert_true(duet_limits_connect(limits, DUET_LIMIT_AGENT, "alice", 0));
    assert_false(duet_limits_connect(limits, DUET_LIMIT_AGENT, "alice", 0));
    assert_true(duet_limits_connect(limits, DUET_LIMIT_AGENT, "bob", 0));
    duet_limits_disconnect(limits, DUET_LIMIT_AGENT, "alice");
    assert_true(duet_limits_connect(limits, DUET_LIMIT_AGENT, "alice", 0));
    assert_false(duet_limits_connect(limits, DUET_LIMIT_AGENT, "alice", 0));
    duet_limits_destroy(limits);
}

static void who_was_never_connected_cannot_disconnect(void **state)
{
    duet_limits *limits = limits_with(&ten_per_second);

    (void)state;
    duet_limits_disconnect(limits, DUET_LIMIT_AGENT, "alice");
    assert_true(duet_limits_message(limits, DUET_LIMIT_AGENT, "alice", 0, NULL));
    duet_limits_disconnect(limits, DUET_LIMIT_AGENT, "alice");
    assert_true(duet_limits_connect(limits, DUET_LIMIT_AGENT, "alice", 0));
    duet_limits_destroy(limits);
}

static void a_flood_of_names_meets_a_full_table_until_buckets_fill(void **state)
{
    duet_limits *limits = limits_with(&ten_per_second);
    char name[32];
    unsigned passed = 0;
    uint64_t retry = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "agent %d", i);
        passed += duet_limits_message(limits, DUET_LIMIT_AGENT, name, 0, &retry);
    }
    assert_int_equal(passed, 100);
    assert_true(retry > 0);
    assert_int_equal(duet_limits_count(limits, DUET_LIMIT_AGENT), 100);
    assert_true(duet_limits_message(limits, DUET_LIMIT_AGENT, "agent 5", 0, NULL)); /* who was known still is */
    assert_true(duet_limits_message(limits, DUET_LIMIT_AGENT, "late", DUET_MS(101), NULL));
    assert_true(duet_limits_count(limits, DUET_LIMIT_AGENT) <= 100);
    duet_limits_destroy(limits);
}

static void who_spent_everything_is_not_forgotten_for_newcomers(void **state)
{
    duet_limits *limits = limits_with(&ten_per_second);
    char name[32];

    (void)state;
    assert_int_equal(passing(limits, DUET_LIMIT_AGENT, "greedy", DUET_SECONDS(1)), 20);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "agent %d", i);
        duet_limits_message(limits, DUET_LIMIT_AGENT, name, DUET_SECONDS(1) + DUET_MS(i), NULL);
    }
    assert_int_equal(passing(limits, DUET_LIMIT_AGENT, "greedy", DUET_SECONDS(2)), 10);
    duet_limits_destroy(limits);
}

static void connections_hold_their_entries_in_a_full_table(void **state)
{
    duet_limits *limits = limits_with(&ten_per_second);
    char name[32];

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "10.0.0.%d", i);
        assert_true(duet_limits_connect(limits, DUET_LIMIT_ADDRESS, name, 0));
    }
    assert_false(duet_limits_connect(limits, DUET_LIMIT_ADDRESS, "10.0.1.1", DUET_SECONDS(1000)));
    assert_true(duet_limits_connect(limits, DUET_LIMIT_ADDRESS, "10.0.0.7", DUET_SECONDS(1000)));
    duet_limits_disconnect(limits, DUET_LIMIT_ADDRESS, "10.0.0.42");
    assert_true(duet_limits_connect(limits, DUET_LIMIT_ADDRESS, "10.0.1.1", DUET_SECONDS(1000)));
    assert_int_equal(duet_limits_count(limits, DUET_LIMIT_ADDRESS), 100);
    duet_limits_destroy(limits);
}

static void names_that_nobody_uses_leave_the_table_by_and_by(void **state)
{
    duet_limits *limits = limits_with(&ten_per_second);
    char name[32];

    (void)state;
    for (int i = 0; i < 90; i++) {
        snprintf(name, sizeof(name), "room %d", i);
        assert_true(duet_limits_message(limits, DUET_LIMIT_ROOM, name, DUET_SECONDS(i), NULL));
    }
    assert_true(duet_limits_count(limits, DUET_LIMIT_ROOM) <= 2);
    duet_limits_destroy(limits);
}

static void new_figures_hold_from_now_on(void **state)
{
    duet_limits *limits = limits_with(&ten_per_second);
    duet_limits_config config = ten_per_second;

    (void)state;
    assert_int_equal(passing(limits, DUET_LIMIT_AGENT, "alice", DUET_SECONDS(1)), 20);
    assert_true(duet_limits_connect(limits, DUET_LIMIT_AGENT, "alice", DUET_SECONDS(1)));
    config.messages[DUET_LIMIT_AGENT] = (duet_rate){100, 100};
    config.connections[DUET_LIMIT_AGENT] = 1;
    duet_limits_configure(limits, &config);
    assert_int_equal(passing(limits, DUET_LIMIT_AGENT, "alice", DUET_SECONDS(1)), 0);
    assert_int_equal(passing(limits, DUET_LIMIT_AGENT, "alice", DUET_SECONDS(5)), 100);
    assert_false(duet_limits_connect(limits, DUET_LIMIT_AGENT, "alice", DUET_SECONDS(5)));
    config.messages[DUET_LIMIT_AGENT] = (duet_rate){100, 5};
    duet_limits_configure(limits, &config);
    assert_int_equal(passing(limits, DUET_LIMIT_AGENT, "alice", DUET_SECONDS(9)), 5);
    duet_limits_destroy(limits);
}

static int some_of_everything(const duet_env *env, void *arg)
{
    duet_limits *limits;
    int err = duet_limits_create(&limits, env, &ten_per_second);
    bool all = true;

    (void)arg;
    if (err != DUET_OK)
        return err;
    for (int i = 0; i < 30; i++) {
        char name[32];
        snprintf(name, sizeof(name), "10.0.0.%d", i);
        bool connected = duet_limits_connect(limits, DUET_LIMIT_ADDRESS, name, 0);
        all &= connected;
        all &= duet_limits_message(limits, DUET_LIMIT_ROOM, name, 0, NULL);
        if (connected)
            duet_limits_disconnect(limits, DUET_LIMIT_ADDRESS, name);
    }
    duet_limits_destroy(limits);
    return all ? DUET_OK : DUET_ERR_NOMEM;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    test_fail_each_allocation("limits", some_of_everything, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_holds_a_burst_and_then_what_flows_in),
        cmocka_unit_test(the_time_that_a_bucket_tells_is_enough),
        cmocka_unit_test(a_cost_above_the_burst_empties_a_full_bucket),
        cmocka_unit_test(time_that_goes_back_fills_nothing),
        cmocka_unit_test(a_rate_of_zero_is_no_limit),
        cmocka_unit_test(names_and_kinds_have_buckets_of_their_own),
        cmocka_unit_test(an_ipv6_network_is_one_address),
        cmocka_unit_test(ipv4_addresses_are_told_apart_also_when_mapped),
        cmocka_unit_test(connections_are_counted_up_to_their_limit),
        cmocka_unit_test(who_was_never_connected_cannot_disconnect),
        cmocka_unit_test(a_flood_of_names_meets_a_full_table_until_buckets_fill),
        cmocka_unit_test(who_spent_everything_is_not_forgotten_for_newcomers),
        cmocka_unit_test(connections_hold_their_entries_in_a_full_table),
        cmocka_unit_test(names_that_nobody_uses_leave_the_table_by_and_by),
        cmocka_unit_test(new_figures_hold_from_now_on),
        cmocka_unit_test(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
