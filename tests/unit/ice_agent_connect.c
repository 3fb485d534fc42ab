/* Two agents find each other: round trips, loss, several addresses, trickling, early checks. */
#include "ice_world.h"

static void two_hosts_connect_in_two_round_trips(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 1);
    world_start(&w);
    duet_time start = w.now;
    world_run_until_completed(&w, DUET_SECONDS(5));
    /* Check and response make a pair valid; the nomination is one round trip more. */
    assert_int_equal(w.agents[0].connected_at - start, 2 * w.delay);
    assert_int_equal(w.agents[1].connected_at - start, 2 * w.delay);
    assert_true(w.now - start <= 4 * w.delay);
    assert_int_equal(w.agents[0].states_seen,
                     1u << DUET_ICE_CHECKING | 1u << DUET_ICE_CONNECTED | 1u << DUET_ICE_COMPLETED);
    world_assert_same_pair(&w);
    assert_true(duet_ice_agent_rtt(w.agents[0].agent) == 2 * w.delay);
    world_free(&w);
}

static void agents_connect_without_any_delay(void **state)
{
    world w;

    (void)state;
    world_two_hosts(&w, 2);
    w.delay = 0;
    world_start(&w);
    duet_time start = w.now;
    world_run_until_completed(&w, DUET_MS(1));
    assert_true(w.now == start);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hosts_connect_in_two_round_trips),
        cmocka_unit_test(agents_connect_without_any_delay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
