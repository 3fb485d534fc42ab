/* The end of transceivers: a call in which tracks come and go for days must neither grow nor come to its bounds. */
#include "duet/transceiver.h"
#include "peer_pair.h"

typedef struct party {
    end end; /* first: the user of its connection */
    unsigned tracks, ended;
    duet_transceiver *last_ended;
    duet_transceiver *to_stop; /* inside the next on_transceiver_end */
    bool destroys;             /* its connection, there */
} party;

static void on_track(void *user, duet_pc *pc, duet_transceiver *t)
{
    (void)pc, (void)t;
    ((party *)user)->tracks++;
}

static void on_end(void *user, duet_pc *pc, duet_transceiver *t)
{
    party *p = user;

    assert_true(duet_transceiver_stopped(t));
    assert_int_equal(duet_transceiver_set_direction(t, DUET_SDP_SENDRECV), DUET_ERR_STATE);
    for (size_t i = 0; duet_pc_transceiver_at(pc, i); i++)
        assert_ptr_not_equal(duet_pc_transceiver_at(pc, i), t);
    p->ended++;
    p->last_ended = t;
    if (p->to_stop) {
        duet_transceiver *other = p->to_stop;
        p->to_stop = NULL;
        duet_transceiver_stop(other);
        assert_true(duet_transceiver_stopped(other)); /* its own event is still to come */
    }
    if (p->destroys)
        end_destroy(&p->end);
}

static void party_create(party *p, uint64_t seed, const duet_allocator *allocator)
{
    duet_pc_config config = end_config(&p->end, seed);

    p->tracks = p->ended = 0;
    p->last_ended = p->to_stop = NULL;
    p->destroys = false;
    p->end.env.allocator = allocator;
    config.on_track = on_track;
    config.on_transceiver_end = on_end;
    assert_int_equal(duet_pc_create(&p->end.pc, &config), DUET_OK);
}

static duet_transceiver *add(party *p)
{
    duet_transceiver *t;

    assert_int_equal(duet_pc_add_transceiver(p->end.pc, DUET_SDP_VIDEO, NULL, &t), DUET_OK);
    return t;
}

/* What has been given up asks for its sockets to be closed before it is freed. */
static void drive(party *p, duet_time now)
{
    duet_request request;

    duet_pc_tick(p->end.pc, now);
    while (duet_pc_request(p->end.pc, &request) == 1)
        ;
    duet_pc_tick(p->end.pc, now);
}

static void tracks_come_and_go_for_ever(void **state)
{
    party alice, bob;
    test_allocator heap;
    uint64_t live = 0;
    (void)state;

    test_allocator_init(&heap, 0);
    party_create(&alice, 1, &heap.allocator);
    party_create(&bob, 2, &heap.allocator);
    (void)add(&alice);
    negotiate(&alice.end, &bob.end);
    for (unsigned i = 0; i < 3 * DUET_TRANSCEIVERS_MAX; i++) {
        duet_transceiver *t = add(i % 2 ? &alice : &bob);
        negotiate(i % 2 ? &alice.end : &bob.end, i % 2 ? &bob.end : &alice.end);
        duet_transceiver_stop(t);
        negotiate(&alice.end, &bob.end);
        drive(&alice, DUET_SECONDS(i));
        drive(&bob, DUET_SECONDS(i));
        assert_int_equal(alice.ended, i + 1);
        assert_int_equal(bob.ended, i + 1);
        assert_null(duet_pc_transceiver_at(alice.end.pc, 1));
        assert_null(duet_pc_transceiver_at(bob.end.pc, 1));
        if (i == 20)
            live = heap.live;
        if (i > 20)
            assert_in_range(heap.live, 1, live + 2);
    }
    assert_int_equal(alice.tracks + bob.tracks, 1 + 3 * DUET_TRANSCEIVERS_MAX);
    end_destroy(&alice.end);
    end_destroy(&bob.end);
    assert_int_equal(heap.live, 0);
}

static void without_the_event_handles_stay_and_count(void **state)
{
    end alice;
    duet_transceiver *t[DUET_TRANSCEIVERS_MAX], *none;
    (void)state;

    end_create(&alice, 1);
    for (size_t i = 0; i < DUET_TRANSCEIVERS_MAX; i++) {
        assert_int_equal(duet_pc_add_transceiver(alice.pc, DUET_SDP_AUDIO, NULL, &t[i]), DUET_OK);
        duet_transceiver_stop(t[i]);
    }
    assert_int_equal(duet_pc_add_transceiver(alice.pc, DUET_SDP_AUDIO, NULL, &none), DUET_ERR_LIMIT);
    for (size_t i = 0; i < DUET_TRANSCEIVERS_MAX; i++)
        assert_true(duet_transceiver_stopped(t[i]));
    end_destroy(&alice);
}

static void one_ends_inside_the_end_of_another(void **state)
{
    party alice;
    (void)state;

    party_create(&alice, 1, NULL);
    duet_transceiver *first = add(&alice), *second = add(&alice);
    alice.to_stop = second;
    duet_transceiver_stop(first);
    assert_int_equal(alice.ended, 2);
    assert_ptr_equal(alice.last_ended, second);
    assert_null(duet_pc_transceiver_at(alice.end.pc, 0));
    end_destroy(&alice.end);
}

static void the_connection_is_destroyed_in_it(void **state)
{
    party alice;
    (void)state;

    party_create(&alice, 1, NULL);
    (void)add(&alice);
    alice.destroys = true;
    duet_transceiver_stop(add(&alice));
    assert_int_equal(alice.ended, 1);
    assert_null(alice.end.pc);
}

static void a_closed_connection_says_no_more(void **state)
{
    party alice, bob;
    (void)state;

    party_create(&alice, 1, NULL);
    party_create(&bob, 2, NULL);
    duet_transceiver *t = add(&alice);
    negotiate(&alice.end, &bob.end);
    duet_pc_close(alice.end.pc);
    duet_transceiver_stop(t);
    assert_int_equal(alice.ended, 0);
    end_destroy(&alice.end);
    end_destroy(&bob.end);
}

static void the_end_is_told_later_when_there_is_no_memory(void **state)
{
    party alice;
    test_allocator heap;
    (void)state;

    test_allocator_init(&heap, 0);
    party_create(&alice, 1, &heap.allocator);
    duet_transceiver *t = add(&alice);
    heap.fail_at = heap.calls + 1;
    heap.fail_after = true;
    for (int i = 0; i < 40; i++) { /* more than there are spare events */
        duet_transceiver_stop(t);
        if (alice.ended == 0)
            break;
        heap.fail_at = 0;
        t = add(&alice);
        heap.fail_at = heap.calls + 1;
    }
    if (alice.ended == 0) {
        assert_true(duet_transceiver_stopped(t));
        assert_true(duet_pc_deadline(alice.end.pc) < DUET_SECONDS(1));
        heap.fail_at = 0;
        duet_pc_tick(alice.end.pc, DUET_MS(100));
        assert_int_equal(alice.ended, 1);
    }
    end_destroy(&alice.end);
    assert_int_equal(heap.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tracks_come_and_go_for_ever),
        cmocka_unit_test(without_the_event_handles_stay_and_count),
        cmocka_unit_test(one_ends_inside_the_end_of_another),
        cmocka_unit_test(the_connection_is_destroyed_in_it),
        cmocka_unit_test(a_closed_connection_says_no_more),
        cmocka_unit_test(the_end_is_told_later_when_there_is_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
