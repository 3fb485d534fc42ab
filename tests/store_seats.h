/* What every store must do with seats: messages between them, and how a seat is left, taken again and lost. */
#ifndef DUET_TESTS_STORE_SEATS_H
#define DUET_TESTS_STORE_SEATS_H

#include "store_world.h"

static void messages_are_numbered_without_gaps(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;
    check_outcome o[100];

    check_pair(w, "one", &anna, &ben);
    memset(o, 0, sizeof(o));
    for (int i = 0; i < 100; i++) {
        const char *text = check_note(i);
        w->store.ops->relay(w->store.self, ben.id, anna.id, text, strlen(text), 0, check_done, &o[i]);
        if (i % 10 == 0)
            w->store.ops->post(w->store.self, anna.id, "{\"type\":\"mark\"}", 15, 0);
    }
    for (int i = 0; i < 100; i++) {
        check_hears_note(w, &anna, i); /* its number follows */
        if (i % 10 == 0)
            check_hears(w, &anna, "mark");
    }
    CHECK_UNTIL(w, o[99].done);
}

static void a_message_reaches_its_recipient_alone(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;

    check_pair(w, "one", &anna, &ben);
    check_seat carl = check_seated(w, "carl", "one");
    check_hears_joined(w, &anna, &carl);
    check_hears_joined(w, &ben, &carl);
    assert_int_equal(check_relay(w, &ben, anna.id, check_note(1), 0), DUET_OK);
    check_hears_note(w, &anna, 1);
    check_hears_nothing(w, &carl);
    check_hears_nothing(w, &ben);
}

static void a_message_goes_to_another_seat_of_the_same_room_or_nowhere(void **state)
{
    check_world *w = *state;
    check_seat anna, ben, nobody = check_new_seat("nobody");

    check_pair(w, "one", &anna, &ben);
    check_seat carl = check_seated(w, "carl", "two");
    assert_int_equal(check_relay(w, &anna, carl.id, check_note(1), 0), DUET_ERR_NOT_FOUND);
    assert_int_equal(check_relay(w, &anna, anna.id, check_note(1), 0), DUET_ERR_NOT_FOUND);
    assert_int_equal(check_relay(w, &anna, nobody.id, check_note(1), 0), DUET_ERR_NOT_FOUND);
    assert_int_equal(check_relay(w, &nobody, anna.id, check_note(1), 0), DUET_ERR_NOT_FOUND);
    check_hears_nothing(w, &anna);
    check_hears_nothing(w, &carl);
}

static void a_message_to_all_reaches_all_others_of_the_room(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;

    check_pair(w, "one", &anna, &ben);
    check_seat carl = check_seated(w, "carl", "one"), dora = check_seated(w, "dora", "two");
    check_hears_joined(w, &anna, &carl);
    check_hears_joined(w, &ben, &carl);
    assert_int_equal(check_relay(w, &ben, NULL, check_note(5), 0), DUET_OK);
    check_hears_note(w, &anna, 5);
    check_hears_note(w, &carl, 5);
    check_hears_nothing(w, &ben);
    check_hears_nothing(w, &dora);
}

static void a_message_that_is_repeated_is_ignored(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;
    check_outcome o;

    check_pair(w, "one", &anna, &ben);
    assert_int_equal(check_relay(w, &ben, anna.id, check_note(1), 7), DUET_OK);
    assert_int_equal(check_relay(w, &ben, anna.id, check_note(2), 7), DUET_OK);
    assert_int_equal(check_relay(w, &ben, anna.id, check_note(3), 6), DUET_OK);
    assert_int_equal(check_relay(w, &ben, anna.id, check_note(4), 8), DUET_OK);
    check_hears_note(w, &anna, 1);
    check_hears_note(w, &anna, 4);
    w->store.ops->post(w->store.self, ben.id, check_note(5), strlen(check_note(5)), 8);
    w->store.ops->post(w->store.self, ben.id, check_note(6), strlen(check_note(6)), 9);
    check_hears_note(w, &ben, 6);
    assert_int_equal(check_resume(w, &ben, "ben", ben.last, &o), DUET_OK);
    assert_int_equal(o.seat.received, 9);
}

static void a_detached_seat_leaves_when_its_grace_is_over_and_once(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;
    check_outcome o;

    check_pair(w, "one", &anna, &ben);
    check_detach(w, &ben, DUET_MS(300));
    check_hears_nothing(w, &anna);
    check_hears_left(w, &anna, &ben, "timeout");
    assert_int_equal(check_resume(w, &ben, "ben", ben.last, &o), DUET_ERR_NOT_FOUND);
    check_hears_nothing(w, &anna);
    assert_null(check_next(w, ben.id)); /* nobody is there to be told */
}

static void a_seat_that_comes_back_gets_what_it_missed(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;
    check_outcome o;

    check_pair(w, "one", &anna, &ben);
    check_detach(w, &anna, CHECK_LONG);
    assert_int_equal(check_relay(w, &ben, anna.id, check_note(1), 0), DUET_OK);
    assert_int_equal(check_relay(w, &ben, anna.id, check_note(2), 0), DUET_OK);
    assert_null(check_next(w, anna.id));
    anna.last -= 1; /* the last one that it got was lost on the way */
    assert_int_equal(check_resume(w, &anna, "anna", anna.last, &o), DUET_OK);
    assert_string_equal(o.seat.who.id, anna.id);
    assert_string_equal(o.seat.who.agent_id, "anna");
    assert_string_equal(o.seat.who.role, "owner");
    assert_string_equal(o.seat.room_id, "one");
    check_hears_joined(w, &anna, &ben);
    check_hears_note(w, &anna, 1);
    check_hears_note(w, &anna, 2);
    json_t *m = check_hear(w, &anna, "resumed");
    assert_string_equal(check_member(m, "id"), "again");
    assert_string_equal(check_member(m, "roomId"), "one");
    assert_string_equal(check_member(m, "self"), anna.id);
    assert_true(json_is_integer(json_object_get(m, "received")));
    json_decref(m);
    assert_int_equal(check_relay(w, &ben, anna.id, check_note(3), 0), DUET_OK);
    check_hears_note(w, &anna, 3);
    check_hears_nothing(w, &ben); /* nobody was told of it */
}

static void a_seat_that_missed_too_much_is_given_up(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;
    check_outcome o;

    check_pair(w, "one", &anna, &ben);
    check_detach(w, &anna, CHECK_LONG);
    for (int i = 0; i < DUET_SEAT_LOG_MESSAGES + 1; i++)
        assert_int_equal(check_relay(w, &ben, anna.id, check_note(i), 0), DUET_OK);
    assert_int_equal(check_resume(w, &anna, "anna", anna.last, &o), DUET_ERR_LIMIT);
    check_hears_left(w, &ben, &anna, "left");
    assert_int_equal(check_resume(w, &anna, "anna", anna.last, &o), DUET_ERR_NOT_FOUND);
    check_hears_nothing(w, &ben);
}

static void the_log_is_bounded_in_bytes_too(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;
    check_outcome o;
    static char text[40000];

    snprintf(text, sizeof(text), "{\"type\":\"note\",\"n\":1,\"t\":\"%039000d\"}", 0);
    check_pair(w, "one", &anna, &ben);
    check_detach(w, &anna, CHECK_LONG);
    for (int i = 0; i < 4; i++)
        assert_int_equal(check_relay(w, &ben, anna.id, text, 0), DUET_OK);
    assert_int_equal(check_resume(w, &anna, "anna", anna.last, &o), DUET_ERR_LIMIT);
}

static void a_seat_cannot_have_got_what_was_never_sent(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;
    check_outcome o;

    check_pair(w, "one", &anna, &ben);
    check_detach(w, &anna, CHECK_LONG);
    assert_int_equal(check_resume(w, &anna, "anna", anna.last + 1, &o), DUET_ERR_LIMIT);
}

static void a_connected_seat_that_is_taken_again_is_replaced(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;
    check_outcome o;

    check_pair(w, "one", &anna, &ben);
    assert_int_equal(check_resume(w, &anna, "anna", anna.last, &o), DUET_OK);
    check_is_replaced(w, &anna);
    check_hears(w, &anna, "resumed");
    assert_int_equal(check_relay(w, &ben, anna.id, check_note(1), 0), DUET_OK);
    check_hears_note(w, &anna, 1);
    check_hears_nothing(w, &ben);
}

static void nobody_takes_the_seat_of_another_agent(void **state)
{
    check_world *w = *state;
    check_seat anna, ben, nobody = check_new_seat("nobody");
    check_outcome o;

    check_pair(w, "one", &anna, &ben);
    assert_int_equal(check_resume(w, &anna, "ben", anna.last, &o), DUET_ERR_AUTH);
    assert_int_equal(check_resume(w, &nobody, "nobody", 0, &o), DUET_ERR_NOT_FOUND);
    check_hears_nothing(w, &anna);
}

static void a_seat_is_kicked(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;
    check_outcome o;

    check_pair(w, "one", &anna, &ben);
    assert_int_equal(check_kick(w, "two", &ben), DUET_ERR_NOT_FOUND);
    assert_int_equal(check_kick(w, "one", &ben), DUET_OK);
    check_hears_left(w, &anna, &ben, "kicked");
    check_hears_left(w, &ben, &ben, "kicked");
    check_is_removed(w, &ben, "kicked");
    assert_int_equal(check_kick(w, "one", &ben), DUET_ERR_NOT_FOUND);
    assert_int_equal(check_resume(w, &ben, "ben", ben.last, &o), DUET_ERR_NOT_FOUND);
    check_hears_nothing(w, &anna);
}

static void a_seat_that_leaves_is_gone(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;

    check_pair(w, "one", &anna, &ben);
    w->store.ops->leave(w->store.self, ben.id, "expired");
    check_hears_left(w, &anna, &ben, "expired");
    check_hears_left(w, &ben, &ben, "expired");
    check_is_removed(w, &ben, "expired");
    w->store.ops->leave(w->store.self, ben.id, "left");
    assert_int_equal(check_relay(w, &anna, ben.id, check_note(1), 0), DUET_ERR_NOT_FOUND);
    check_hears_nothing(w, &anna);
}

static void calls_for_one_seat_take_effect_in_their_order(void **state)
{
    check_world *w = *state;
    check_seat anna = check_seated(w, "anna", "one"), ben = check_new_seat("ben");
    check_outcome joined = {.done = false}, sent = {.done = false};

    check_start_join(w, &ben, "one", (check_joining){.make = NULL}, &joined);
    w->store.ops->relay(w->store.self, ben.id, anna.id, check_note(1), strlen(check_note(1)), 0, check_done, &sent);
    w->store.ops->leave(w->store.self, ben.id, "left");
    check_hears_joined(w, &anna, &ben);
    check_hears_note(w, &anna, 1);
    check_hears_left(w, &anna, &ben, "left");
    CHECK_UNTIL(w, joined.done && sent.done);
    assert_int_equal(joined.err, DUET_OK);
    assert_int_equal(sent.err, DUET_OK);
}

static void a_seat_may_be_detached_before_its_join_is_answered(void **state)
{
    check_world *w = *state;
    check_seat anna = check_seated(w, "anna", "one"), ben = check_new_seat("ben");
    check_outcome joined = {.done = false};

    check_start_join(w, &ben, "one", (check_joining){.make = NULL}, &joined);
    check_detach(w, &ben, DUET_MS(200));
    check_hears_joined(w, &anna, &ben);
    check_hears_left(w, &anna, &ben, "timeout");
    CHECK_UNTIL(w, joined.done);
    check_hears_nothing(w, &anna);
}

#endif
