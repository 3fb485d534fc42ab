/* What every store must do with rooms: who comes, who may, how many, and what is known of a room. */
#ifndef DUET_TESTS_STORE_ROOMS_H
#define DUET_TESTS_STORE_ROOMS_H

#include "store_world.h"

static void a_newcomer_hears_who_is_there_and_the_others_hear_of_it(void **state)
{
    check_world *w = *state;
    check_seat anna = check_seated(w, "anna", "one"), ben = check_new_seat("ben");

    assert_int_equal(check_join_as(w, &ben, "one", (check_joining){.request_id = "q\"1"}), DUET_OK);
    check_hears_joined(w, &anna, &ben);
    json_t *m = check_hear(w, &ben, "room_users");
    json_t *users = json_object_get(m, "users");
    assert_string_equal(check_member(m, "id"), "q\"1");
    assert_string_equal(check_member(m, "roomId"), "one");
    assert_string_equal(check_member(m, "self"), ben.id);
    assert_string_equal(check_member(m, "topology"), "mesh");
    assert_string_equal(check_member(m, "resumeToken"), "r");
    assert_true(json_is_array(json_object_get(m, "iceServers")));
    assert_int_equal(json_array_size(users), 2);
    assert_string_equal(check_member(json_array_get(users, 0), "id"), anna.id);
    assert_string_equal(check_member(json_array_get(users, 1), "id"), ben.id);
    assert_string_equal(check_member(json_array_get(users, 1), "agentId"), "ben");
    json_decref(m);
}

static void members_come_in_their_order(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;
    char expected[512];

    anna = check_new_seat("anna");
    duet_room make = check_room("one", 10);
    assert_int_equal(check_join_as(w, &anna, "one", (check_joining){.make = &make}), DUET_OK);
    CHECK_UNTIL(w, check_next(w, anna.id) != NULL);
    snprintf(expected, sizeof(expected),
             "{\"type\":\"room_users\",\"roomId\":\"one\",\"self\":\"%s\",\"users\":[{\"id\":\"%s\",\"agentId\":"
             "\"anna\",\"role\":"
             "\"owner\"}],\"topology\":\"mesh\",\"resumeToken\":\"r\",\"iceServers\":[]}",
             anna.id, anna.id);
    assert_string_equal(check_next(w, anna.id)->text, expected);
    check_hears(w, &anna, "room_users");
    ben = check_seated(w, "ben", "one");
    CHECK_UNTIL(w, check_next(w, anna.id) != NULL);
    snprintf(expected, sizeof(expected),
             "{\"type\":\"user_joined\",\"roomId\":\"one\",\"user\":{\"id\":\"%s\",\"agentId\":\"ben\",\"role\":"
             "\"participant\"}}",
             ben.id);
    assert_string_equal(check_next(w, anna.id)->text, expected);
    check_hears(w, &anna, "user_joined");
}

static void the_creator_is_owner_others_are_participants_unless_their_role_is_given(void **state)
{
    check_world *w = *state;
    check_seat ben = check_seated(w, "ben", "one"), anna = check_seated(w, "anna", "one"),
               carl = check_new_seat("carl");
    check_outcome o;

    assert_int_equal(check_join_as(w, &carl, "one", (check_joining){.role = "moderator"}), DUET_OK);
    assert_int_equal(check_people(w, "one", &o), DUET_OK);
    assert_int_equal(o.count, 3);
    assert_string_equal(o.people[0].id, ben.id);
    assert_string_equal(o.people[0].role, "participant");
    assert_string_equal(o.people[1].id, anna.id);
    assert_string_equal(o.people[1].role, "owner");
    assert_int_equal(o.people[1].joined_at, w->wall);
    assert_string_equal(o.people[2].role, "moderator");
    assert_int_equal(check_people(w, "two", &o), DUET_ERR_NOT_FOUND);
}

static void a_room_must_be_there_or_be_made(void **state)
{
    check_world *w = *state;
    check_seat anna = check_new_seat("anna");
    duet_room make = check_room("one", 10);

    assert_int_equal(check_join_as(w, &anna, "one", (check_joining){.make = NULL}), DUET_ERR_NOT_FOUND);
    anna = check_new_seat("anna");
    assert_int_equal(check_join_as(w, &anna, "one", (check_joining){.make = &make}), DUET_OK);
}

static void a_transient_room_goes_with_the_last_seat(void **state)
{
    check_world *w = *state;
    duet_room passing = check_room("passing", 10), lasting = check_room("lasting", 10);
    check_seat anna = check_new_seat("anna"), ben = check_new_seat("ben");

    passing.transient = true;
    assert_int_equal(check_join_as(w, &anna, "passing", (check_joining){.make = &passing}), DUET_OK);
    assert_int_equal(check_join_as(w, &ben, "lasting", (check_joining){.make = &lasting}), DUET_OK);
    check_hears(w, &anna, "room_users");
    check_hears(w, &ben, "room_users");
    w->store.ops->leave(w->store.self, anna.id, "left");
    w->store.ops->leave(w->store.self, ben.id, "left");
    check_hears_left(w, &anna, &anna, "left");
    check_is_removed(w, &anna, "left");
    check_hears_left(w, &ben, &ben, "left");
    check_is_removed(w, &ben, "left");
    assert_true(check_room_is_gone(w, "passing"));
    assert_false(check_room_is_gone(w, "lasting"));
}

static void a_full_room_takes_nobody(void **state)
{
    check_world *w = *state;
    duet_room room = check_room("small", 2);
    check_seat anna = check_new_seat("anna"), ben = check_new_seat("ben"), carl = check_new_seat("carl");

    assert_int_equal(check_create(w, &room), DUET_OK);
    assert_int_equal(check_join_as(w, &anna, "small", (check_joining){.make = NULL}), DUET_OK);
    assert_int_equal(check_join_as(w, &ben, "small", (check_joining){.make = NULL}), DUET_OK);
    assert_int_equal(check_join_as(w, &carl, "small", (check_joining){.make = NULL}), DUET_ERR_LIMIT);
    check_hears(w, &anna, "room_users");
    check_hears_joined(w, &anna, &ben);
    check_hears_nothing(w, &anna);
}

static void rooms_are_limited(void **state)
{
    check_world *w = *state;
    check_seat anna = check_new_seat("anna");
    duet_room room;
    char id[16];

    for (int i = 0; i < CHECK_ROOMS; i++) {
        snprintf(id, sizeof(id), "room %d", i);
        room = check_room(id, 10);
        assert_int_equal(check_create(w, &room), DUET_OK);
        assert_int_equal(check_create(w, &room), DUET_ERR_STATE);
    }
    room = check_room("more", 10);
    assert_int_equal(check_create(w, &room), DUET_ERR_LIMIT);
    assert_int_equal(check_join_as(w, &anna, "more", (check_joining){.make = &room}), DUET_ERR_TOO_LARGE);
    assert_int_equal(check_remove(w, "room 1"), DUET_OK);
    anna = check_new_seat("anna");
    assert_int_equal(check_join_as(w, &anna, "more", (check_joining){.make = &room}), DUET_OK);
}

static void beyond_the_mesh_limit_an_sfu_is_needed(void **state)
{
    check_world *w = *state;
    check_seat anna = check_new_seat("anna"), ben = check_new_seat("ben"), sfu = check_new_seat("box"), carl;
    duet_room room = check_room("one", 10);
    const check_joining two = {.make = &room, .mesh_limit = 2};

    assert_int_equal(check_join_as(w, &anna, "one", two), DUET_OK);
    assert_int_equal(check_join_as(w, &ben, "one", two), DUET_OK);
    carl = check_new_seat("carl");
    assert_int_equal(check_join_as(w, &carl, "one", two), DUET_ERR_UNSUPPORTED);
    assert_int_equal(check_join_as(w, &sfu, "one", (check_joining){.role = DUET_ROLE_SFU, .mesh_limit = 2}), DUET_OK);
    check_hears(w, &anna, "room_users");
    check_hears_joined(w, &anna, &ben);
    check_hears_joined(w, &anna, &sfu);
    check_hears_nothing(w, &anna); /* two people are still a mesh */
    carl = check_new_seat("carl");
    assert_int_equal(check_join_as(w, &carl, "one", two), DUET_OK);
    check_hears_joined(w, &anna, &carl);
    json_t *m = check_hear(w, &anna, "topology");
    assert_string_equal(check_member(m, "topology"), "sfu");
    assert_string_equal(check_member(m, "sfu"), sfu.id);
    json_decref(m);
    m = check_hear(w, &carl, "room_users");
    assert_string_equal(check_member(m, "topology"), "sfu");
    assert_string_equal(check_member(m, "sfu"), sfu.id);
    json_decref(m);
    check_hears_nothing(w, &carl); /* it knows */
    w->store.ops->leave(w->store.self, sfu.id, "left");
    check_hears_left(w, &anna, &sfu, "left");
    m = check_hear(w, &anna, "topology");
    assert_string_equal(check_member(m, "topology"), "mesh");
    json_decref(m);
}

static void everybody_in_a_room_that_is_removed_hears_of_themselves(void **state)
{
    check_world *w = *state;
    check_seat anna, ben;
    check_outcome o;

    check_pair(w, "one", &anna, &ben);
    assert_int_equal(check_remove(w, "one"), DUET_OK);
    check_hears_left(w, &anna, &anna, "closed");
    check_is_removed(w, &anna, "closed");
    check_hears_left(w, &ben, &ben, "closed");
    check_is_removed(w, &ben, "closed");
    assert_int_equal(check_remove(w, "one"), DUET_ERR_NOT_FOUND);
    assert_int_equal(check_get(w, "one", &o), DUET_ERR_NOT_FOUND);
    assert_int_equal(check_resume(w, &ben, "ben", ben.last, &o), DUET_ERR_NOT_FOUND);
}

static void a_room_is_read_as_it_was_written(void **state)
{
    check_world *w = *state;
    duet_room room = check_room("one / \xc3\xa4", 7);
    check_outcome o = {.done = false};

    room.mute_on_entry = true;
    room.max_duration = 500000000;
    assert_int_equal(check_create(w, &room), DUET_OK);
    assert_int_equal(check_get(w, room.id, &o), DUET_OK);
    assert_string_equal(o.room.id, room.id);
    assert_string_equal(o.room.name, room.name);
    assert_string_equal(o.room.created_by, "anna");
    assert_int_equal(o.room.created_at, CHECK_WALL);
    assert_int_equal(o.room.kind, DUET_ROOM_VIDEO);
    assert_int_equal(o.room.max_participants, 7);
    assert_true(o.room.mute_on_entry && !o.room.allow_recording && !o.room.transient);
    assert_int_equal(o.room.max_duration, 500000000);
    assert_int_equal(o.participants, 0);
    o = (check_outcome){.done = false};
    w->store.ops->room_list(w->store.self, check_rooms_done, &o);
    CHECK_UNTIL(w, o.done);
    assert_int_equal(o.err, DUET_OK);
    assert_int_equal(o.count, 1);
    assert_string_equal(o.rooms[0].id, room.id);
}

static void an_update_keeps_creator_date_and_transience(void **state)
{
    check_world *w = *state;
    duet_room room = check_room("one", 7);
    check_outcome o = {.done = false};

    assert_int_equal(check_create(w, &room), DUET_OK);
    snprintf(room.name, sizeof(room.name), "new name");
    snprintf(room.created_by, sizeof(room.created_by), "mallory");
    room.created_at += 100;
    room.transient = true;
    room.kind = DUET_ROOM_VOICE;
    room.max_participants = 3;
    room.allow_recording = true;
    w->store.ops->room_update(w->store.self, &room, check_done, &o);
    CHECK_UNTIL(w, o.done);
    assert_int_equal(o.err, DUET_OK);
    assert_int_equal(check_get(w, "one", &o), DUET_OK);
    assert_string_equal(o.room.name, "new name");
    assert_string_equal(o.room.created_by, "anna");
    assert_int_equal(o.room.created_at, CHECK_WALL);
    assert_false(o.room.transient);
    assert_int_equal(o.room.kind, DUET_ROOM_VOICE);
    assert_int_equal(o.room.max_participants, 3);
    assert_true(o.room.allow_recording);
    room = check_room("two", 7);
    o = (check_outcome){.done = false};
    w->store.ops->room_update(w->store.self, &room, check_done, &o);
    CHECK_UNTIL(w, o.done);
    assert_int_equal(o.err, DUET_ERR_NOT_FOUND);
}

static void a_room_ends_after_its_longest_duration(void **state)
{
    check_world *w = *state;
    duet_room room = check_room("one", 7);
    check_seat anna = check_new_seat("anna");

    room.max_duration = 1;
    room.created_at = w->wall - 58;
    assert_int_equal(check_join_as(w, &anna, "one", (check_joining){.make = &room}), DUET_OK);
    check_hears(w, &anna, "room_users");
    check_hears_left(w, &anna, &anna, "expired");
    check_is_removed(w, &anna, "expired");
    assert_true(check_room_is_gone(w, "one"));
}

#endif
