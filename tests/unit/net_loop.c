/* The loop itself: timers, watched descriptors, functions posted by other threads, its one pollable descriptor. */
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "net_pair.h"

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

/* ---- timers ---- */

static duet_net *the_net;
static duet_net_timer *timers[4];
static char order[8];

static void note(void *arg)
{
    strcat(order, arg);
}

static void cancel_others(void *arg)
{
    strcat(order, arg);
    duet_net_timer_cancel(timers[1]); /* itself … */
    duet_net_timer_cancel(timers[2]); /* … and one that is due in the same turn */
    timers[1] = timers[2] = NULL;
}

static void timers_fire_once_in_order_and_may_cancel_each_other(void **state)
{
    (void)state;
    assert_int_equal(duet_net_create(&the_net, NULL), DUET_OK);
    order[0] = 0;
    assert_int_equal(duet_net_timer_start(&timers[0], the_net, DUET_MS(3), note, "c"), DUET_OK);
    assert_int_equal(duet_net_timer_start(&timers[1], the_net, DUET_MS(1), cancel_others, "a"), DUET_OK);
    assert_int_equal(duet_net_timer_start(&timers[2], the_net, DUET_MS(2), note, "b"), DUET_OK);
    assert_int_equal(duet_net_timer_start(&timers[3], the_net, DUET_NEVER, note, "d"), DUET_OK);
    usleep(5000);
    assert_int_equal(duet_net_turn(the_net, DUET_NEVER), DUET_OK);
    assert_string_equal(order, "ac");
    duet_time before = duet_net_now(the_net);
    assert_int_equal(duet_net_turn(the_net, DUET_MS(2)), DUET_OK);
    assert_true(duet_net_now(the_net) - before >= DUET_MS(2));
    assert_string_equal(order, "ac");
    duet_net_timer_cancel(timers[0]); /* after it fired */
    duet_net_timer_cancel(timers[3]);
    duet_net_timer_cancel(NULL);
    duet_net_destroy(the_net);
    duet_net_destroy(NULL);
}

static void restart_timer(void *arg)
{
    unsigned *fired = arg;

    duet_net_timer_cancel(timers[0]);
    timers[0] = NULL;
    if (++*fired < 5)
        assert_int_equal(duet_net_timer_start(&timers[0], the_net, 0, restart_timer, fired), DUET_OK);
    else
        duet_net_stop(the_net);
}

static void a_timer_may_start_the_next(void **state)
{
    (void)state;
    unsigned fired = 0;

    assert_int_equal(duet_net_create(&the_net, NULL), DUET_OK);
    assert_int_equal(duet_net_timer_start(&timers[0], the_net, 0, restart_timer, &fired), DUET_OK);
    assert_int_equal(duet_net_run(the_net), DUET_OK);
    assert_int_equal(fired, 5);
    duet_net_timer_cancel(timers[0]);
    duet_net_destroy(the_net);
}

/* ---- watches ---- */

typedef struct watched {
    duet_net_watch *watch, *other;
    unsigned readable, writable;
    int fd;
} watched;

static void on_ready(void *arg, unsigned ready)
{
    watched *w = arg;
    char byte;

    if (ready & DUET_NET_READABLE && read(w->fd, &byte, 1) == 1)
        w->readable++;
    if (ready & DUET_NET_WRITABLE) {
        w->writable++;
        assert_int_equal(duet_net_watch_change(w->watch, DUET_NET_READABLE), DUET_OK);
    }
    duet_net_watch_stop(w->other);
    w->other = NULL;
}

static void descriptors_are_watched(void **state)
{
    (void)state;
    int pipes[2][2];
    watched in = {0}, out = {0}, other = {0};

    assert_int_equal(duet_net_create(&the_net, NULL), DUET_OK);
    assert_int_equal(pipe(pipes[0]) + pipe(pipes[1]), 0);
    in.fd = pipes[0][0];
    out.fd = pipes[0][1];
    other.fd = pipes[1][0];
    assert_int_equal(duet_net_watch_start(&in.watch, the_net, in.fd, DUET_NET_READABLE, on_ready, &in), DUET_OK);
    assert_int_equal(duet_net_watch_start(&out.watch, the_net, out.fd, DUET_NET_WRITABLE, on_ready, &out), DUET_OK);
    assert_int_equal(duet_net_turn(the_net, DUET_MS(100)), DUET_OK);
    assert_int_equal(out.writable, 1);
    assert_int_equal(in.readable, 0);
    /* Both are ready in one turn; whichever comes first stops the other. */
    assert_int_equal(duet_net_watch_start(&other.watch, the_net, other.fd, DUET_NET_READABLE, on_ready, &other),
                     DUET_OK);
    in.other = other.watch;
    assert_int_equal(write(pipes[0][1], "x", 1) + write(pipes[1][1], "y", 1), 2);
    assert_int_equal(duet_net_turn(the_net, DUET_MS(100)), DUET_OK);
    assert_int_equal(in.readable, 1);
    assert_int_equal(duet_net_turn(the_net, 0), DUET_OK);
    assert_true(other.readable <= 1);
    close(pipes[0][1]); /* a hang-up counts as readable */
    duet_net_watch_stop(out.watch);
    assert_int_equal(duet_net_turn(the_net, DUET_MS(100)), DUET_OK);
    assert_int_equal(in.readable, 1); /* the read gave the end */
    duet_net_watch_stop(in.watch);
    duet_net_watch_stop(NULL);
    int file = fileno(tmpfile());
    duet_net_watch *none;
    assert_int_equal(duet_net_watch_start(&none, the_net, file, DUET_NET_READABLE, on_ready, &in), DUET_ERR_IO);
    assert_null(none);
    duet_net_destroy(the_net);
    close(pipes[0][0]);
    close(pipes[1][0]);
    close(pipes[1][1]);
}

/* ---- posts ---- */

#define POSTS   2000
#define THREADS 4

typedef struct poster {
    pthread_t thread;
    duet_net *net;
    unsigned *done;
    unsigned failed;
} poster;

static void *post_many(void *arg)
{
    poster *p = arg;

    for (int i = 0; i < POSTS; i++)
        p->failed += duet_net_post(p->net, count, p->done) != DUET_OK;
    return NULL;
}

static void functions_posted_by_other_threads_run_in_the_loop(void **state)
{
    (void)state;
    poster posters[THREADS];
    unsigned done = 0;

    assert_int_equal(duet_net_create(&the_net, NULL), DUET_OK);
    for (int i = 0; i < THREADS; i++) {
        posters[i] = (poster){.net = the_net, .done = &done};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
    }
    NET_TURN_UNTIL(the_net, done == POSTS * THREADS);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(posters[i].failed, 0);
    }
    assert_int_equal(duet_net_post(the_net, count, &done), DUET_OK); /* never runs, and is freed */
    duet_net_destroy(the_net);
    assert_int_equal(done, POSTS * THREADS);
}

/* ---- the descriptor ---- */

static bool shows(duet_net *net, int timeout)
{
    struct pollfd fd = {duet_net_fd(net), POLLIN, 0};

    return poll(&fd, 1, timeout) == 1;
}

static void the_descriptor_shows_timers_posts_and_new_endpoints(void **state)
{
    (void)state;
    unsigned fired = 0;
    net_side a = {0};

    assert_int_equal(duet_net_create(&the_net, NULL), DUET_OK);
    assert_false(shows(the_net, 0));
    assert_int_equal(duet_net_timer_start(&timers[0], the_net, DUET_MS(20), count, &fired), DUET_OK);
    assert_false(shows(the_net, 0));
    assert_true(shows(the_net, 1000));
    assert_int_equal(duet_net_turn(the_net, 0), DUET_OK);
    assert_int_equal(fired, 1);
    assert_false(shows(the_net, 0));
    assert_int_equal(duet_net_post(the_net, count, &fired), DUET_OK);
    assert_true(shows(the_net, 0));
    assert_int_equal(duet_net_turn(the_net, 0), DUET_OK);
    assert_int_equal(fired, 2);
    assert_false(shows(the_net, 0));
    duet_pc_config config = net_side_config(&a, "127.0.0.1");
    net_side_create(&a, the_net, &config);
    assert_true(shows(the_net, 0));
    assert_int_equal(duet_net_turn(the_net, 0), DUET_OK);
    assert_false(shows(the_net, 0));
    duet_net_timer_cancel(timers[0]);
    net_side_end(&a);
    duet_net_destroy(the_net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_once_in_order_and_may_cancel_each_other),
        cmocka_unit_test(a_timer_may_start_the_next),
        cmocka_unit_test(descriptors_are_watched),
        cmocka_unit_test(functions_posted_by_other_threads_run_in_the_loop),
        cmocka_unit_test(the_descriptor_shows_timers_posts_and_new_endpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
