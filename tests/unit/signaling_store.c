/* The store in memory, in virtual time. */
#include "store_check.h"

static void pass_time(check_world *w)
{
    w->now += DUET_MS(50);
    w->wall = CHECK_WALL + (int64_t)(w->now / 1000000u);
    w->store.ops->tick(w->store.self, w->now, w->wall);
}

static bool is_over(check_world *w)
{
    return w->now > DUET_SECONDS(60);
}

static check_world *make_world(const duet_env *env, int *err)
{
    check_world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->step = pass_time;
    w->over = is_over;
    w->wall = CHECK_WALL;
    duet_store_events events = check_events(w);
    *err = duet_store_memory_create(&w->store, env, CHECK_ROOMS, &events);
    return w;
}

static int open_world(void **state)
{
    int err;

    *state = make_world(NULL, &err);
    return err;
}

static int close_world(void **state)
{
    check_world_free(*state);
    return 0;
}

/* A join, a message and a resume; each may fail for want of memory, and the store goes on. */
static int use_store(const duet_env *env, void *arg)
{
    check_world *w;
    check_outcome o;
    int err;

    (void)arg;
    w = make_world(env, &err);
    if (err != DUET_OK) {
        check_world_free(w);
        return err;
    }
    check_seat anna = check_new_seat("anna"), ben = check_new_seat("ben");
    duet_room make = check_room("one", 10);
    err = check_join_as(w, &anna, "one", (check_joining){.make = &make});
    int second = check_join_as(w, &ben, "one", (check_joining){.make = &make});
    err = err == DUET_OK ? second : err;
    if (err == DUET_OK)
        err = check_relay(w, &ben, anna.id, check_note(1), 1);
    if (err == DUET_OK) {
        check_detach(w, &anna, CHECK_LONG);
        err = check_resume(w, &anna, "anna", 1, &o);
        /* A message that could not be kept ends the seat, sooner or later. */
        err = err == DUET_ERR_LIMIT || err == DUET_ERR_NOT_FOUND ? DUET_ERR_NOMEM : err;
    }
    check_world_free(w);
    return err;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    test_fail_each_allocation("store", use_store, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_SCENARIOS(open_world, close_world),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
