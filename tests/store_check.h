/* What every store must do, as scenarios that the tests of each store run: signaling/store.h in sentences. */
#ifndef DUET_TESTS_STORE_CHECK_H
#define DUET_TESTS_STORE_CHECK_H

#include "store_rooms.h"
#include "store_seats.h"

/* `open` and `close` are the program's set-up and tear-down of a world. */
#define CHECK_SCENARIO(name, open, close) cmocka_unit_test_setup_teardown(name, open, close)
#define CHECK_SCENARIOS(open, close)                                                                                   \
    CHECK_SCENARIO(a_newcomer_hears_who_is_there_and_the_others_hear_of_it, open, close),                              \
        CHECK_SCENARIO(members_come_in_their_order, open, close),                                                      \
        CHECK_SCENARIO(the_creator_is_owner_others_are_participants_unless_their_role_is_given, open, close),          \
        CHECK_SCENARIO(a_room_must_be_there_or_be_made, open, close),                                                  \
        CHECK_SCENARIO(a_transient_room_goes_with_the_last_seat, open, close),                                         \
        CHECK_SCENARIO(messages_are_numbered_without_gaps, open, close),                                               \
        CHECK_SCENARIO(a_message_reaches_its_recipient_alone, open, close),                                            \
        CHECK_SCENARIO(a_message_goes_to_another_seat_of_the_same_room_or_nowhere, open, close),                       \
        CHECK_SCENARIO(a_message_to_all_reaches_all_others_of_the_room, open, close),                                  \
        CHECK_SCENARIO(a_message_that_is_repeated_is_ignored, open, close),                                            \
        CHECK_SCENARIO(a_full_room_takes_nobody, open, close), CHECK_SCENARIO(rooms_are_limited, open, close),         \
        CHECK_SCENARIO(beyond_the_mesh_limit_an_sfu_is_needed, open, close),                                           \
        CHECK_SCENARIO(a_detached_seat_leaves_when_its_grace_is_over_and_once, open, close),                           \
        CHECK_SCENARIO(a_seat_that_comes_back_gets_what_it_missed, open, close),                                       \
        CHECK_SCENARIO(a_seat_that_missed_too_much_is_given_up, open, close),                                          \
        CHECK_SCENARIO(the_log_is_bounded_in_bytes_too, open, close),                                                  \
        CHECK_SCENARIO(a_seat_cannot_have_got_what_was_never_sent, open, close),                                       \
        CHECK_SCENARIO(a_connected_seat_that_is_taken_again_is_replaced, open, close),                                 \
        CHECK_SCENARIO(nobody_takes_the_seat_of_another_agent, open, close),                                           \
        CHECK_SCENARIO(a_seat_is_kicked, open, close), CHECK_SCENARIO(a_seat_that_leaves_is_gone, open, close),        \
        CHECK_SCENARIO(everybody_in_a_room_that_is_removed_hears_of_themselves, open, close),                          \
        CHECK_SCENARIO(a_room_is_read_as_it_was_written, open, close),                                                 \
        CHECK_SCENARIO(an_update_keeps_creator_date_and_transience, open, close),                                      \
        CHECK_SCENARIO(a_room_ends_after_its_longest_duration, open, close),                                           \
        CHECK_SCENARIO(calls_for_one_seat_take_effect_in_their_order, open, close),                                    \
        CHECK_SCENARIO(a_seat_may_be_detached_before_its_join_is_answered, open, close)

#endif
