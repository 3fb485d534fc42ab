/* What every store must do, as scenarios that the tests of each store run: signaling/store.h in sentences. A world is one node:
 * a store, and everything that it told. How time passes is the program's: virtually, or with a loop of real sockets. */
#ifndef DUET_TESTS_STORE_CHECK_H
#define DUET_TESTS_STORE_CHECK_H

#include "signaling/json.h"
#include "signaling/store.h"
#include "test.h"

#define CHECK_WALL   INT64_C(1700000000)
#define CHECK_EVENTS 8192
#define CHECK_SEATS  128
#define CHECK_ROOMS  4 /* that the stores under test take */
#define CHECK_LONG   DUET_SECONDS(600)

typedef struct check_event {
    char kind; /* 'M'essage, 'R'emoved, 'X': replaced */
    bool read;
    char seat[DUET_SEAT_ID_LEN + 1];
    uint64_t seq;
    char *text; /* of the message; the reason */
} check_event;

typedef struct check_seat {
    char id[DUET_SEAT_ID_LEN + 1];
    char hash[DUET_SEAT_HASH_LEN + 1];
    char agent[32];
    uint64_t last; /* number of the last message that was read */
} check_seat;

typedef struct check_world check_world;

struct check_world {
    duet_store store;
    void (*step)(check_world *w); /* a little time passes */
    bool (*over)(check_world *w); /* too much has passed */
    duet_time now;
    int64_t wall;
    check_event events[CHECK_EVENTS];
    size_t event_count;
    void *user;
};

static uint64_t check_seed = 7;

/* ---- what the store tells ---- */

static inline void check_record(check_world *w, char kind, const char *seat, uint64_t seq, const char *text, size_t len)
{
    assert_true(w->event_count < CHECK_EVENTS);
    check_event *e = &w->events[w->event_count++];
    *e = (check_event){.kind = kind, .seq = seq, .text = strndup(text, len)};
    snprintf(e->seat, sizeof(e->seat), "%s", seat);
}

static inline void check_on_message(void *user, const char *seat_id, uint64_t seq, const char *text, size_t len)
{
    check_record(user, 'M', seat_id, seq, text, len);
}

static inline void check_on_removed(void *user, const char *seat_id, const char *reason)
{
    check_record(user, 'R', seat_id, 0, reason, strlen(reason));
}

static inline void check_on_replaced(void *user, const char *seat_id)
{
    check_record(user, 'X', seat_id, 0, "", 0);
}

static inline duet_store_events check_events(check_world *w)
{
    return (duet_store_events){check_on_message, check_on_removed, check_on_replaced, w};
}

static inline void check_world_free(check_world *w)
{
    if (w->store.ops)
        w->store.ops->destroy(w->store.self);
    for (size_t i = 0; i < w->event_count; i++)
        free(w->events[i].text);
    free(w);
}

/* Time passes until it is so. */
#define CHECK_UNTIL(w, condition)                                                                                      \
    while (!(condition)) {                                                                                             \
        if ((w)->over(w))                                                                                              \
            fail_msg("waited in vain for: %s", #condition);                                                            \
        (w)->step(w);                                                                                                  \
    }

/* ---- calls that wait for their outcome ---- */

typedef struct check_outcome {
    bool done;
    int err;
    unsigned calls;
    duet_store_seat seat;
    duet_room room;
    size_t participants;
    size_t count; /* of rooms or people */
    duet_room rooms[8];
    duet_participant people[16];
} check_outcome;

static inline void check_done(void *user, int err)
{
    check_outcome *o = user;

    assert_false(o->done);
    o->done = true;
    o->err = err;
}

static inline void check_seat_done(void *user, int err, const duet_store_seat *seat)
{
    check_outcome *o = user;

    if (seat)
        o->seat = *seat;
    check_done(o, err);
}

static inline void check_room_done(void *user, int err, const duet_room *room, size_t participants)
{
    check_outcome *o = user;

    if (room)
        o->room = *room;
    o->participants = participants;
    check_done(o, err);
}

static inline void check_rooms_done(void *user, int err, const duet_room *room, size_t participants)
{
    check_outcome *o = user;

    (void)participants;
    if (!room) {
        check_done(o, err);
        return;
    }
    assert_true(o->count < 8);
    o->rooms[o->count++] = *room;
}

static inline void check_people_done(void *user, int err, const duet_participant *who)
{
    check_outcome *o = user;

    if (!who) {
        check_done(o, err);
        return;
    }
    assert_true(o->count < 16);
    o->people[o->count++] = *who;
}

static inline check_seat check_new_seat(const char *agent)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";
    check_seat seat = {.last = 0};

    for (size_t i = 0; i < DUET_SEAT_ID_LEN; i++)
        seat.id[i] = letters[test_random_below(&check_seed, 32)];
    for (size_t i = 0; i < DUET_SEAT_HASH_LEN; i++)
        seat.hash[i] = letters[test_random_below(&check_seed, 32)];
    snprintf(seat.agent, sizeof(seat.agent), "%s", agent);
    return seat;
}

static inline duet_room check_room(const char *id, unsigned max_participants)
{
    duet_room room = {.kind = DUET_ROOM_VIDEO, .max_participants = max_participants, .created_at = CHECK_WALL};

    snprintf(room.id, sizeof(room.id), "%s", id);
    snprintf(room.name, sizeof(room.name), "Room \"%s\"", id);
    snprintf(room.created_by, sizeof(room.created_by), "anna");
    return room;
}

static inline int check_create(check_world *w, const duet_room *room)
{
    check_outcome o = {.done = false};

    w->store.ops->room_create(w->store.self, room, check_done, &o);
    CHECK_UNTIL(w, o.done);
    return o.err;
}

typedef struct check_joining {
    const duet_room *make;
    const char *role;
    unsigned mesh_limit;
    const char *request_id;
} check_joining;

static inline void check_start_join(check_world *w, const check_seat *seat, const char *room, check_joining how,
                                    check_outcome *o)
{
    duet_store_join join = {.room_id = room,
                            .resume_hash = seat->hash,
                            .make = how.make,
                            .mesh_limit = how.mesh_limit ? how.mesh_limit : 100,
                            .request_id = how.request_id,
                            .members = "\"resumeToken\":\"r\",\"iceServers\":[]"};

    memcpy(join.who.id, seat->id, sizeof(join.who.id));
    memcpy(join.who.agent_id, seat->agent, sizeof(seat->agent));
    if (how.role)
        snprintf(join.who.role, sizeof(join.who.role), "%s", how.role);
    join.who.joined_at = w->wall;
    w->store.ops->join(w->store.self, &join, check_done, o);
}

static inline int check_join_as(check_world *w, const check_seat *seat, const char *room, check_joining how)
{
    check_outcome o = {.done = false};

    check_start_join(w, seat, room, how, &o);
    CHECK_UNTIL(w, o.done);
    return o.err;
}

static inline int check_resume(check_world *w, const check_seat *seat, const char *agent, uint64_t last,
                               check_outcome *o)
{
    *o = (check_outcome){.done = false};
    w->store.ops->resume(w->store.self, seat->hash, agent, last, "again", check_seat_done, o);
    CHECK_UNTIL(w, o->done);
    return o->err;
}

static inline void check_detach(check_world *w, const check_seat *seat, duet_time grace)
{
    w->store.ops->detach(w->store.self, seat->id, grace, w->now);
}

static inline int check_relay(check_world *w, const check_seat *from, const char *to, const char *text, uint64_t number)
{
    check_outcome o = {.done = false};

    w->store.ops->relay(w->store.self, from->id, to, text, strlen(text), number, check_done, &o);
    CHECK_UNTIL(w, o.done);
    return o.err;
}

static inline int check_kick(check_world *w, const char *room, const check_seat *seat)
{
    check_outcome o = {.done = false};

    w->store.ops->kick(w->store.self, room, seat->id, check_done, &o);
    CHECK_UNTIL(w, o.done);
    return o.err;
}

static inline int check_remove(check_world *w, const char *room)
{
    check_outcome o = {.done = false};

    w->store.ops->room_remove(w->store.self, room, check_done, &o);
    CHECK_UNTIL(w, o.done);
    return o.err;
}

static inline int check_get(check_world *w, const char *room, check_outcome *o)
{
    *o = (check_outcome){.done = false};
    w->store.ops->room_get(w->store.self, room, check_room_done, o);
    CHECK_UNTIL(w, o->done);
    return o->err;
}

static inline int check_people(check_world *w, const char *room, check_outcome *o)
{
    *o = (check_outcome){.done = false};
    w->store.ops->people(w->store.self, room, check_people_done, o);
    CHECK_UNTIL(w, o->done);
    return o->err;
}

static inline bool check_room_is_gone(check_world *w, const char *room)
{
    check_outcome o;

    return check_get(w, room, &o) == DUET_ERR_NOT_FOUND;
}

/* ---- what seats hear ---- */

static inline check_event *check_next(check_world *w, const char *seat)
{
    for (size_t i = 0; i < w->event_count; i++) {
        if (!w->events[i].read && strcmp(w->events[i].seat, seat) == 0)
            return &w->events[i];
    }
    return NULL;
}

/* The next thing that the seat hears is this message: its number follows the last one, its text has the form that store.h
 * shows (`beginning` is its first member and what follows). A new reference. */
static inline json_t *check_hear(check_world *w, check_seat *seat, const char *type)
{
    char beginning[64];
    json_t *object;

    CHECK_UNTIL(w, check_next(w, seat->id) != NULL);
    check_event *e = check_next(w, seat->id);
    snprintf(beginning, sizeof(beginning), "{\"type\":\"%s\"", type);
    if (e->kind != 'M' || strncmp(e->text, beginning, strlen(beginning)) != 0)
        fail_msg("%s expects %s and hears %c %s", seat->agent, type, e->kind, e->text);
    if (e->seq != seat->last + 1)
        fail_msg("%s hears %s as number %llu after %llu", seat->agent, type, (unsigned long long)e->seq,
                 (unsigned long long)seat->last);
    e->read = true;
    seat->last = e->seq;
    assert_int_equal(duet_json_parse_object(&object, e->text, strlen(e->text), NULL), DUET_OK);
    return object;
}

static inline const char *check_member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static inline void check_hears(check_world *w, check_seat *seat, const char *type)
{
    json_decref(check_hear(w, seat, type));
}

static inline void check_hears_left(check_world *w, check_seat *seat, const check_seat *who, const char *reason)
{
    json_t *m = check_hear(w, seat, "user_left");

    assert_string_equal(check_member(m, "id"), who->id);
    assert_string_equal(check_member(m, "reason"), reason);
    json_decref(m);
}

static inline void check_hears_joined(check_world *w, check_seat *seat, const check_seat *who)
{
    json_t *m = check_hear(w, seat, "user_joined");

    assert_string_equal(check_member(json_object_get(m, "user"), "id"), who->id);
    assert_string_equal(check_member(json_object_get(m, "user"), "agentId"), who->agent);
    json_decref(m);
}

/* A message of this form: {"type":"note","n":7} */
static inline void check_hears_note(check_world *w, check_seat *seat, int n)
{
    json_t *m = check_hear(w, seat, "note");

    assert_int_equal(json_integer_value(json_object_get(m, "n")), n);
    json_decref(m);
}

static inline const char *check_note(int n)
{
    static char text[64];

    snprintf(text, sizeof(text), "{\"type\":\"note\",\"n\":%d}", n);
    return text;
}

static inline void check_is_removed(check_world *w, const check_seat *seat, const char *reason)
{
    CHECK_UNTIL(w, check_next(w, seat->id) != NULL);
    check_event *e = check_next(w, seat->id);
    if (e->kind != 'R' || strcmp(e->text, reason) != 0)
        fail_msg("%s should be removed (%s), and hears %c %s", seat->agent, reason, e->kind, e->text);
    e->read = true;
}

static inline void check_is_replaced(check_world *w, const check_seat *seat)
{
    CHECK_UNTIL(w, check_next(w, seat->id) != NULL);
    check_event *e = check_next(w, seat->id);
    if (e->kind != 'X')
        fail_msg("%s should be replaced, and hears %c %s", seat->agent, e->kind, e->text);
    e->read = true;
}

/* Nothing is under way to the seat: the next thing that it hears is what is sent now. */
static inline void check_hears_nothing(check_world *w, check_seat *seat)
{
    w->store.ops->post(w->store.self, seat->id, "{\"type\":\"mark\"}", 15, 0);
    check_hears(w, seat, "mark");
}

static inline check_seat check_seated(check_world *w, const char *agent, const char *room)
{
    check_seat seat = check_new_seat(agent);
    duet_room make = check_room(room, 10);

    assert_int_equal(check_join_as(w, &seat, room, (check_joining){.make = &make}), DUET_OK);
    check_hears(w, &seat, "room_users");
    return seat;
}

/* Two in a room. */
static inline void check_pair(check_world *w, const char *room, check_seat *anna, check_seat *ben)
{
    *anna = check_seated(w, "anna", room);
    *ben = check_seated(w, "ben", room);
    check_hears_joined(w, anna, ben);
}

/* ---- the scenarios ---- */

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
