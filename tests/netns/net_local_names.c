/* Names that end in ".local" over real sockets: two loops of one host, as two programs would have them, on the link of a network
 * that the test was given. Without one (DUET_NETNS) it skips: multicast must not reach a network of others. */
#include "net_pair.h"
#include "unit/net_probe.h"

#define ADDRESS "10.99.0.1" /* tests/interop/in_netns.sh gives it */
#define NAME    "0d6b3a52-55d5-4f2c-9a5e-3f4f4a9b1c11.local"

typedef struct pair {
    duet_net *publisher_net, *seeker_net;
    probe *publisher, *seeker;
} pair;

static void begin(pair *p)
{
    assert_int_equal(duet_net_create(&p->publisher_net, NULL), DUET_OK);
    assert_int_equal(duet_net_create(&p->seeker_net, NULL), DUET_OK);
    p->publisher = probe_new(p->publisher_net);
    p->seeker = probe_new(p->seeker_net);
}

static void end(pair *p)
{
    probe_end(p->publisher);
    probe_end(p->seeker);
    duet_net_destroy(p->publisher_net);
    duet_net_destroy(p->seeker_net);
}

/* Both loops in turn. */
static const probe_answer *wait_for(pair *p, probe *who, duet_request_kind kind, uint32_t id)
{
    duet_time limit = duet_net_now(p->seeker_net) + DUET_SECONDS(30);

    while (!probe_find(who, kind, id)) {
        assert_int_equal(duet_net_turn(p->publisher_net, DUET_MS(5)), DUET_OK);
        assert_int_equal(duet_net_turn(p->seeker_net, DUET_MS(5)), DUET_OK);
        if (duet_net_now(p->seeker_net) > limit)
            fail_msg("no answer to request %u", (unsigned)id);
    }
    return probe_find(who, kind, id);
}

static void publish(pair *p, uint32_t id, const char *name)
{
    duet_request r = {.kind = DUET_REQUEST_PUBLISH, .id = id, .bind = probe_address(ADDRESS, 0), .name = name};

    probe_ask(p->publisher, r);
    assert_int_equal(wait_for(p, p->publisher, DUET_REQUEST_PUBLISH, id)->err, DUET_OK);
}

static const probe_answer *resolve(pair *p, uint32_t id, const char *name)
{
    duet_request r = {.kind = DUET_REQUEST_RESOLVE, .id = id, .name = name};

    probe_ask(p->seeker, r);
    return wait_for(p, p->seeker, DUET_REQUEST_RESOLVE, id);
}

static void a_name_that_one_loop_publishes_is_found_by_the_other(void **state)
{
    pair p;
    duet_address expected = probe_address(ADDRESS, 0);

    (void)state;
    begin(&p);
    publish(&p, 1, NAME);
    const probe_answer *a = resolve(&p, 2, NAME);
    assert_int_equal(a->err, DUET_OK);
    assert_true(duet_address_ip_equal(&a->address, &expected));
    end(&p);
}

static void an_endpoint_that_leaves_takes_its_names_and_questions_with_it(void **state)
{
    pair p;
    duet_request question = {.kind = DUET_REQUEST_RESOLVE, .id = 9, .name = "nobody-has-it.local"};

    (void)state;
    begin(&p);
    publish(&p, 1, NAME);
    probe_ask(p.seeker, question);
    for (int i = 0; i < 5; i++)
        assert_int_equal(duet_net_turn(p.seeker_net, DUET_MS(5)), DUET_OK);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_that_one_loop_publishes_is_found_by_the_other),
        cmocka_unit_test(an_endpoint_that_leaves_takes_its_names_and_questions_with_it),
    };

    if (!getenv("DUET_NETNS")) {
        puts("skipped: no network namespace of its own");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
