/* Buffers, arrays, the map, timers, events and the outbox. */
#include "base/events.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/outbox.h"
#include "base/timer.h"
#include "test.h"

/* ---- map ---- */

static void map_agrees_with_a_plain_table(void **state)
{
    (void)state;
    enum { KEYS = 512 };
    static int values[KEYS];
    bool present[KEYS] = {false};
    uint64_t seed = 11;
    duet_env env = duet_env_resolve(NULL);
    duet_map map;

    assert_int_equal(duet_map_init(&map, &env), DUET_OK);
    size_t expected = 0;
    for (int step = 0; step < 20000; step++) {
        uint64_t key = test_random_below(&seed, KEYS);
        if (test_random_below(&seed, 2)) {
            assert_int_equal(duet_map_set(&map, key * 0x1000, &values[key]), DUET_OK);
            expected += !present[key];
            present[key] = true;
        } else {
            void *removed = duet_map_remove(&map, key * 0x1000);
            assert_ptr_equal(removed, present[key] ? &values[key] : NULL);
            expected -= present[key];
            present[key] = false;
        }
        assert_int_equal(map.count, expected);
    }
    for (uint64_t key = 0; key < KEYS; key++)
        assert_ptr_equal(duet_map_get(&map, key * 0x1000), present[key] ? &values[key] : NULL);
    size_t cursor = 0, seen = 0;
    uint64_t key;
    void *value;
    while (duet_map_next(&map, &cursor, &key, &value)) {
        assert_true(present[key / 0x1000]);
        seen++;
    }
    assert_int_equal(seen, expected);
    duet_map_free(&map);
}

/* ---- timers ---- */

static void timers_fire_in_order_of_deadline_then_of_arming(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    static duet_timer timers[COUNT];
    duet_timers queue = {0};
    uint64_t seed = 5;

    memset(timers, 0, sizeof(timers));
    for (int step = 0; step < 5000; step++) {
        duet_timer *t = &timers[test_random_below(&seed, COUNT)];
        if (test_random_below(&seed, 4) == 0)
            duet_timers_cancel(&queue, t);
        else
            duet_timers_set(&queue, t, test_random_below(&seed, 50));
    }
    size_t armed = 0;
    for (int i = 0; i < COUNT; i++)
        armed += timers[i].armed;
    duet_time last = 0;
    uint64_t last_order = 0;
    for (duet_timer *t = duet_timers_pop(&queue, DUET_NEVER - 1); t; t = duet_timers_pop(&queue, DUET_NEVER - 1)) {
        assert_true(t->deadline > last || (t->deadline == last && t->order >= last_order));
        assert_false(t->armed);
        last = t->deadline;
        last_order = t->order;
        armed--;
    }
    assert_int_equal(armed, 0);
    assert_int_equal(duet_timers_deadline(&queue), DUET_NEVER);
}

static void timer_before_its_deadline_does_not_fire(void **state)
{
    (void)state;
    duet_timers queue = {0};
    duet_timer t = {0};

    duet_timers_set(&queue, &t, 100);
    assert_null(duet_timers_pop(&queue, 99));
    assert_ptr_equal(duet_timers_pop(&queue, 100), &t);
    duet_timers_set(&queue, &t, 7);
    duet_timers_set(&queue, &t, DUET_NEVER);
    assert_false(t.armed);
}

/* ---- events ---- */

typedef struct listener {
    duet_events events;
    int delivered[8];
    size_t count;
    int dropped;
    bool finished, destroy_in_event;
} listener;

static void finish_listener(void *object)
{
    listener *l = object;

    l->finished = true;
    duet_events_free(&l->events);
}

static void deliver_number(void *object, void *payload)
{
    listener *l = object;
    int n;

    memcpy(&n, payload, sizeof(n));
    l->delivered[l->count++] = n;
    if (n == 1) { /* an event that causes another one: it comes last, not inside */
        int more = 9;
        duet_events_enter(&l->events);
        assert_int_equal(duet_events_push(&l->events, deliver_number, NULL, &more, sizeof(more)), DUET_OK);
        duet_events_leave(&l->events);
        assert_int_equal(l->delivered[l->count - 1], 1);
    }
    if (l->destroy_in_event) {
        duet_events_destroy(&l->events);
        assert_false(l->finished);
    }
}

static void drop_number(void *object, void *payload)
{
    listener *l = object;

    (void)payload;
    l->dropped++;
}

static void push_numbers(listener *l, int count)
{
    for (int n = 0; n < count; n++)
        assert_int_equal(duet_events_push(&l->events, deliver_number, drop_number, &n, sizeof(n)), DUET_OK);
}

static void events_come_at_the_end_of_the_outermost_call(void **state)
{
    (void)state;
    listener l = {0};
    duet_env env = duet_env_resolve(NULL);

    duet_events_init(&l.events, &env, &l, finish_listener);
    duet_events_enter(&l.events);
    duet_events_enter(&l.events);
    push_numbers(&l, 3);
    duet_events_leave(&l.events);
    assert_int_equal(l.count, 0);
    duet_events_leave(&l.events);
    assert_int_equal(l.count, 4);
    assert_int_equal(l.delivered[2], 2);
    assert_int_equal(l.delivered[3], 9);
    duet_events_destroy(&l.events);
    assert_true(l.finished);
}

static void destroy_inside_an_event_waits_and_drops_the_rest(void **state)
{
    (void)state;
    listener l = {.destroy_in_event = true};
    duet_env env = duet_env_resolve(NULL);

    duet_events_init(&l.events, &env, &l, finish_listener);
    duet_events_enter(&l.events);
    push_numbers(&l, 3);
    duet_events_leave(&l.events);
    assert_int_equal(l.count, 1);
    assert_int_equal(l.dropped, 2);
    assert_true(l.finished);
}

static void events_of_steady_state_allocate_nothing(void **state)
{
    (void)state;
    listener l = {0};
    test_allocator a;
    duet_env env = DUET_ENV_INIT;

    test_allocator_init(&a, 0);
    env.allocator = &a.allocator;
    duet_events_init(&l.events, &env, &l, finish_listener);
    for (int round = 0; round < 100; round++) {
        l.count = 0;
        duet_events_enter(&l.events);
        push_numbers(&l, 1);
        duet_events_leave(&l.events);
    }
    assert_int_equal(a.calls, 1);
    duet_events_destroy(&l.events);
    assert_int_equal(a.live, 0);
}

/* ---- outbox ---- */

static void outbox_keeps_what_was_pulled_for_a_whole_batch(void **state)
{
    (void)state;
    duet_env env = duet_env_resolve(NULL);
    duet_outbox box;
    duet_datagram out[DUET_OUTPUT_BATCH];

    duet_outbox_init(&box, &env, 100, 1000);
    for (uint8_t i = 0; i < DUET_OUTPUT_BATCH; i++)
        assert_int_equal(duet_outbox_push(&box, &i, 1, NULL), DUET_OK);
    for (size_t i = 0; i < DUET_OUTPUT_BATCH; i++)
        assert_int_equal(duet_outbox_pull(&box, &out[i]), 1);
    for (uint8_t i = 0; i < DUET_OUTPUT_BATCH; i++) {
        assert_int_equal(out[i].data[0], i);
        assert_true(out[i].headroom >= DUET_HEADROOM);
        memset(out[i].data - DUET_HEADROOM, 0xee, DUET_HEADROOM + 100 + DUET_TAILROOM); /* all of it is ours to use */
    }
    duet_outbox_reclaim(&box);
    duet_outbox_free(&box);
}

static void outbox_is_bounded_and_counts_what_it_refuses(void **state)
{
    (void)state;
    duet_env env = duet_env_resolve(NULL);
    duet_outbox box;
    uint8_t byte = 1;

    duet_outbox_init(&box, &env, 10, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(duet_outbox_push(&box, &byte, 1, NULL), DUET_OK);
    assert_int_equal(duet_outbox_push(&box, &byte, 1, NULL), DUET_ERR_AGAIN);
    assert_int_equal(box.dropped, 1);
    uint8_t big[11] = {0};
    assert_int_equal(duet_outbox_push(&box, big, sizeof(big), NULL), DUET_ERR_TOO_LARGE);
    duet_outbox_free(&box);
}

static void outbox_of_steady_state_allocates_nothing(void **state)
{
    (void)state;
    test_allocator a;
    duet_env env = DUET_ENV_INIT;
    duet_outbox box;
    duet_datagram out;
    uint8_t byte = 1;

    test_allocator_init(&a, 0);
    env.allocator = &a.allocator;
    duet_outbox_init(&box, &env, 1200, 100);
    for (int round = 0; round < 1000; round++) {
        assert_int_equal(duet_outbox_push(&box, &byte, 1, NULL), DUET_OK);
        assert_int_equal(duet_outbox_pull(&box, &out), 1);
        duet_outbox_reclaim(&box);
    }
    assert_int_equal(a.calls, 1);
    duet_outbox_trim(&box);
    assert_int_equal(a.live, 0);
    duet_outbox_free(&box);
}

/* ---- allocation failures ---- */

static int fill_containers(const duet_env *env, void *arg)
{
    duet_map map;
    duet_buffer buffer;
    duet_array array;
    static int value;
    int err = duet_map_init(&map, env);

    (void)arg;
    duet_buffer_init(&buffer, env);
    duet_array_init(&array, env, sizeof(int));
    for (uint64_t i = 0; err == DUET_OK && i < 50; i++)
        err = duet_map_set(&map, i, &value);
    for (int i = 0; i < 40; i++)
        duet_buffer_printf(&buffer, "line %d\r\n", i);
    if (buffer.failed)
        err = DUET_ERR_NOMEM;
    for (int i = 0; err == DUET_OK && i < 20; i++)
        err = duet_array_push(&array) ? DUET_OK : DUET_ERR_NOMEM;
    duet_map_free(&map);
    duet_buffer_free(&buffer);
    duet_array_free(&array);
    return err;
}

static void containers_survive_every_failed_allocation(void **state)
{
    (void)state;
    test_fail_each_allocation("containers", fill_containers, NULL);
}

static void buffer_is_text_and_can_be_stolen(void **state)
{
    (void)state;
    duet_env env = duet_env_resolve(NULL);
    duet_buffer b;

    duet_buffer_init(&b, &env);
    duet_buffer_text(&b, "a=");
    duet_buffer_printf(&b, "%s:%d", "mid", 7);
    char *text = duet_buffer_steal(&b);
    assert_string_equal(text, "a=mid:7");
    duet_free(&env, text);
    text = duet_buffer_steal(&b);
    assert_string_equal(text, "");
    duet_free(&env, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_agrees_with_a_plain_table),
        cmocka_unit_test(timers_fire_in_order_of_deadline_then_of_arming),
        cmocka_unit_test(timer_before_its_deadline_does_not_fire),
        cmocka_unit_test(events_come_at_the_end_of_the_outermost_call),
        cmocka_unit_test(destroy_inside_an_event_waits_and_drops_the_rest),
        cmocka_unit_test(events_of_steady_state_allocate_nothing),
        cmocka_unit_test(outbox_keeps_what_was_pulled_for_a_whole_batch),
        cmocka_unit_test(outbox_is_bounded_and_counts_what_it_refuses),
        cmocka_unit_test(outbox_of_steady_state_allocates_nothing),
        cmocka_unit_test(containers_survive_every_failed_allocation),
        cmocka_unit_test(buffer_is_text_and_can_be_stolen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
