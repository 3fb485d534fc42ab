/* Associations of several loops in several threads: usrsctp is one for the process, and one loop's tick runs the timers
 * of all. This test runs by the real clock, which the threads share, for a second. */
#include "duet/sctp.h"
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define THREADS 3
#define PAIRS   3
#define RUN     DUET_MS(1200)
#define QUEUE   4096

typedef struct packet {
    size_t len;
    uint8_t data[1200];
} packet;

typedef struct side {
    struct pair *pair;
    duet_sctp *sctp;
    duet_dc *dc;
    atomic_bool woken; /* set from any thread */
    unsigned received, closed;
    packet *queue; /* what is on its way to this side */
    size_t first, count;
} side;

typedef struct pair {
    side side[2];
    uint64_t seed;
} pair;

static duet_time clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return DUET_SECONDS(ts.tv_sec) + (duet_time)ts.tv_nsec / 1000;
}

static int sink(void *user, const uint8_t *data, size_t len, duet_time now)
{
    side *from = user;
    side *to = &from->pair->side[from == &from->pair->side[0]];

    (void)now;
    if (to->count == QUEUE || test_random_below(&from->pair->seed, 100) == 0)
        return DUET_OK;
    packet *p = &to->queue[(to->first + to->count++) % QUEUE];
    p->len = len;
    memcpy(p->data, data, len);
    return DUET_OK;
}

static void on_wake(void *user)
{
    atomic_store(&((side *)user)->woken, true);
}

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    side *s = user;
    s->received++;
    duet_dc_send(dc, data, len, is_text);
}

static void on_close(void *user, duet_dc *dc)
{
    (void)dc;
    ((side *)user)->closed++;
}

static void use_channel(side *s, duet_dc *dc)
{
    duet_dc_callbacks c = {.size = sizeof(c), .on_message = on_message, .on_close = on_close, .user = s};
    s->dc = dc;
    duet_dc_set_callbacks(dc, &c);
}

static void on_channel(void *user, duet_dc *dc)
{
    use_channel(user, dc);
}

static bool start(pair *p, uint64_t seed)
{
    p->seed = seed;
    for (int i = 0; i < 2; i++) {
        side *s = &p->side[i];
        s->pair = p;
        s->queue = malloc(QUEUE * sizeof(packet));
        duet_sctp_config c;
        duet_sctp_config_init(&c);
        c.streams = 16;
        c.packet_sink = sink;
        c.on_wake = on_wake;
        c.on_channel = on_channel;
        c.user = s;
        if (!s->queue || duet_sctp_create(&s->sctp, &c) != DUET_OK)
            return false;
    }
    duet_dc *dc;
    if (duet_dc_create(&dc, p->side[0].sctp, "", NULL, NULL, clock_now()) != DUET_OK)
        return false;
    use_channel(&p->side[0], dc);
    return duet_sctp_connect(p->side[0].sctp, true, 5000, 0, clock_now()) == DUET_OK &&
           duet_sctp_connect(p->side[1].sctp, false, 5000, 0, clock_now()) == DUET_OK;
}

static void turn(side *s)
{
    duet_time now = clock_now();
    size_t batch = s->count;

    if (atomic_exchange(&s->woken, false) || now >= duet_sctp_deadline(s->sctp))
        duet_sctp_tick(s->sctp, now);
    for (; batch > 0; batch--) {
        packet *p = &s->queue[s->first];
        s->first = (s->first + 1) % QUEUE;
        s->count--;
        duet_sctp_input(s->sctp, p->data, p->len, now);
    }
}

static void *run(void *argument)
{
    pair *pairs = argument;
    duet_time end = clock_now() + RUN;

    for (int i = 0; i < PAIRS; i++)
        if (!start(&pairs[i], (uint64_t)(uintptr_t)argument + (uint64_t)i))
            return "cannot start";
    bool sent[PAIRS] = {false};
    while (clock_now() < end) {
        for (int i = 0; i < PAIRS; i++) {
            turn(&pairs[i].side[0]);
            turn(&pairs[i].side[1]);
            if (!sent[i] && duet_dc_get_state(pairs[i].side[0].dc) == DUET_DC_OPEN) {
                sent[i] = true;
                for (int m = 0; m < 20; m++)
                    duet_dc_send(pairs[i].side[0].dc, "twenty messages go round", 24, true);
            }
        }
        /* associations come and go beside those that talk */
        pair extra = {0};
        if (!start(&extra, 1))
            return "cannot start another";
        for (int i = 0; i < 20; i++) {
            turn(&extra.side[0]);
            turn(&extra.side[1]);
        }
        for (int i = 0; i < 2; i++) {
            duet_sctp_destroy(extra.side[i].sctp);
            free(extra.side[i].queue);
        }
    }
    return NULL;
}

static void loops_in_threads_do_not_disturb_each_other(void **state)
{
    (void)state;
    static pair pairs[THREADS][PAIRS];
    pthread_t threads[THREADS];
    unsigned received = 0;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, pairs[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failure;
        assert_int_equal(pthread_join(threads[i], &failure), 0);
        if (failure)
            fail_msg("%s", (const char *)failure);
    }
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < PAIRS; i++) {
            pair *p = &pairs[t][i];
            assert_true(p->side[0].received >= 20);
            received += p->side[0].received;
            for (int s = 0; s < 2; s++) {
                duet_sctp_destroy(p->side[s].sctp);
                free(p->side[s].queue);
            }
        }
    print_message("%u messages went round\n", received);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_in_threads_do_not_disturb_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
