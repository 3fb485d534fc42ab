/* Loops in several threads, and pairs of connections that span them: signaling by duet_net_post, loss so that SCTP's
 * timers run, which one thread may do for the associations of another. To be run under the thread sanitizer. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "duet/net.h"
#include "duet/peer.h"
#include "test.h"

#define LOOPS    4
#define PAIRS    8
#define MESSAGES 150
#define LOSS     20 /* one datagram of so many */

/* ---- loops ---- */

typedef struct loop {
    pthread_t thread;
    duet_net *net;
} loop;

static void *run_loop(void *arg)
{
    loop *l = arg;

    (void)duet_net_run(l->net);
    return NULL;
}

static void stop_loop(void *arg)
{
    duet_net_stop(arg);
}

/* ---- one end of a pair; everything in it belongs to the thread of its loop ---- */

typedef struct side {
    struct side *other;
    loop *loop;
    duet_pc *pc;
    duet_dc *dc;
    uint64_t seed;
    bool offers;
    uint32_t next_in;
    unsigned received, wrong, sent;
    duet_net_timer *timer;
} side;

static atomic_uint finished, ended;

static void post(side *to, void (*fn)(void *arg), void *arg)
{
    assert_int_equal(duet_net_post(to->loop->net, fn, arg), DUET_OK);
}

typedef struct parcel {
    side *to;
    duet_sdp_type type; /* NONE: a candidate */
    char *text, *mid;
    int index;
} parcel;

static void open_parcel(void *arg);

static void send_parcel(parcel p)
{
    parcel *copy = malloc(sizeof(*copy));

    assert_non_null(copy);
    *copy = p;
    post(p.to, open_parcel, copy);
}

static void send_description(side *s)
{
    duet_sdp_type type;
    char *sdp;

    assert_int_equal(duet_pc_local_description(s->pc, &type, &sdp), DUET_OK);
    send_parcel((parcel){.to = s->other, .type = type, .text = sdp});
}

static void open_parcel(void *arg)
{
    parcel *p = arg;
    side *s = p->to;

    if (s->pc && p->type == DUET_SDP_NONE) {
        duet_pc_candidate c = {p->text, p->mid, p->index, NULL};
        assert_int_equal(duet_pc_add_ice_candidate(s->pc, &c), DUET_OK);
    } else if (s->pc) {
        assert_int_equal(duet_pc_set_remote_description(s->pc, p->type, p->text), DUET_OK);
        if (p->type == DUET_SDP_OFFER) {
            assert_int_equal(duet_pc_set_local_description(s->pc, DUET_SDP_ANSWER, NULL), DUET_OK);
            send_description(s);
        }
    }
    free(p->text);
    free(p->mid);
    free(p);
}

static void on_candidate(void *user, duet_pc *pc, const duet_pc_candidate *c)
{
    side *s = user;

    (void)pc;
    send_parcel(
        (parcel){.to = s->other, .text = strdup(c->candidate), .mid = strdup(c->sdp_mid), .index = c->sdp_mline_index});
}

/* ---- data ---- */

static size_t length_of(uint32_t number)
{
    return 4 + number * 997 % 6000;
}

static void send_next(void *arg)
{
    side *s = arg;
    uint8_t data[8192];

    duet_net_timer_cancel(s->timer);
    s->timer = NULL;
    for (int burst = 0; burst < 5 && s->sent < MESSAGES; burst++) {
        uint32_t number = s->sent;
        memset(data, (uint8_t)number, sizeof(data));
        memcpy(data, &number, 4);
        if (duet_dc_send(s->dc, data, length_of(number), false) != DUET_OK)
            break;
        s->sent++;
    }
    if (s->sent < MESSAGES) /* spread over time, so that the threads run timers beside each other */
        assert_int_equal(duet_net_timer_start(&s->timer, s->loop->net, DUET_MS(10), send_next, s), DUET_OK);
}

static void on_open(void *user, duet_dc *dc)
{
    side *s = user;

    s->dc = dc;
    send_next(s);
}

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    side *s = user;
    uint32_t number = 0;

    (void)dc, (void)is_text;
    if (len >= 4)
        memcpy(&number, data, 4);
    s->wrong += number != s->next_in || len != length_of(number) || (len > 4 && data[len - 1] != (uint8_t)number);
    s->next_in = number + 1;
    if (++s->received == MESSAGES)
        atomic_fetch_add(&finished, 1);
}

static void use(side *s, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {.size = sizeof(callbacks), .on_open = on_open, .on_message = on_message, .user = s};

    duet_dc_set_callbacks(dc, &callbacks);
}

static void on_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    (void)pc;
    use(user, dc);
}

/* ---- a driver's view of a connection that loses datagrams ---- */

static int lossy_input(void *object, duet_datagram *in, duet_time now)
{
    return duet_pc_input(((side *)object)->pc, in, now);
}

static int lossy_output(void *object, duet_datagram *out, duet_time now)
{
    side *s = object;
    int found;

    do
        found = duet_pc_output(s->pc, out, now);
    while (found == 1 && test_random_below(&s->seed, LOSS) == 0);
    return found;
}

static int lossy_request(void *object, duet_request *out)
{
    return duet_pc_request(((side *)object)->pc, out);
}

static int lossy_answer(void *object, const duet_answer *answer, duet_time now)
{
    return duet_pc_answer(((side *)object)->pc, answer, now);
}

static void lossy_path_error(void *object, const duet_path *path, int error, duet_time now)
{
    duet_pc_path_error(((side *)object)->pc, path, error, now);
}

static void lossy_tick(void *object, duet_time now)
{
    duet_pc_tick(((side *)object)->pc, now);
}

static duet_time lossy_deadline(const void *object)
{
    return duet_pc_deadline(((const side *)object)->pc);
}

static void lossy_set_wake(void *object, void (*wake)(void *user), void *user)
{
    duet_pc_set_wake(((side *)object)->pc, wake, user);
}

static const duet_endpoint_ops lossy_ops = {
    sizeof(lossy_ops), lossy_input, lossy_output,   lossy_request,  lossy_answer,
    lossy_path_error,  lossy_tick,  lossy_deadline, lossy_set_wake, NULL};

/* ---- life ---- */

static void begin(void *arg)
{
    side *s = arg;
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_dc *dc;

    config.loopback = true;
    assert_int_equal(duet_address_parse(&config.bind, "127.0.0.1", 0), DUET_OK);
    config.on_ice_candidate = on_candidate;
    config.on_data_channel = on_channel;
    config.user = s;
    assert_int_equal(duet_pc_create(&s->pc, &config), DUET_OK);
    assert_int_equal(duet_net_attach(s->loop->net, &lossy_ops, s), DUET_OK);
    if (!s->offers) {
        post(s->other, begin, s->other); /* both are there: the other one may offer */
        return;
    }
    assert_int_equal(duet_pc_create_data_channel(s->pc, "test", NULL, &dc), DUET_OK);
    use(s, dc);
    assert_int_equal(duet_pc_set_local_description(s->pc, DUET_SDP_OFFER, NULL), DUET_OK);
    send_description(s);
}

static void end(void *arg)
{
    side *s = arg;

    duet_pc_close(s->pc);
    duet_net_detach(s->loop->net, s);
    duet_pc_destroy(s->pc);
    s->pc = NULL;
    atomic_fetch_add(&ended, 1);
}

static bool wait_for(atomic_uint *counter, unsigned value, unsigned seconds)
{
    for (unsigned i = 0; i < seconds * 100 && atomic_load(counter) < value; i++)
        usleep(10000);
    return atomic_load(counter) >= value;
}

static void run_pairs(side *sides, loop *loops, unsigned round)
{
    atomic_store(&finished, 0);
    atomic_store(&ended, 0);
    for (unsigned i = 0; i < 2 * PAIRS; i++) {
        unsigned pair = i / 2;
        sides[i] = (side){.other = &sides[i ^ 1], .offers = !(i & 1), .seed = round * 100 + i};
        sides[i].loop = &loops[(pair + (i & 1) * (1 + pair / LOOPS)) % LOOPS]; /* never the same one */
    }
    for (unsigned i = 1; i < 2 * PAIRS; i += 2)
        post(&sides[i], begin, &sides[i]);
    bool done = wait_for(&finished, 2 * PAIRS, 60);
    for (unsigned i = 0; i < 2 * PAIRS; i++)
        post(&sides[i], end, &sides[i]);
    assert_true(wait_for(&ended, 2 * PAIRS, 10));
    for (unsigned i = 0; i < 2 * PAIRS; i++) {
        assert_int_equal(sides[i].wrong, 0);
        if (!done)
            print_message("side %u: %u of %u received, %u sent\n", i, sides[i].received, MESSAGES, sides[i].sent);
    }
    assert_true(done);
}

static void pairs_across_loops_talk_under_loss(void **state)
{
    (void)state;
    loop loops[LOOPS];
    static side sides[2 * PAIRS];

    for (int i = 0; i < LOOPS; i++) {
        assert_int_equal(duet_net_create(&loops[i].net, NULL), DUET_OK);
        assert_int_equal(pthread_create(&loops[i].thread, NULL, run_loop, &loops[i]), 0);
    }
    for (unsigned round = 0; round < 2; round++) /* usrsctp ends and begins anew between */
        run_pairs(sides, loops, round);
    for (int i = 0; i < LOOPS; i++) {
        assert_int_equal(duet_net_post(loops[i].net, stop_loop, loops[i].net), DUET_OK);
        pthread_join(loops[i].thread, NULL);
        duet_net_destroy(loops[i].net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_across_loops_talk_under_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
