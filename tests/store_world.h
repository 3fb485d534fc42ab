/* A world for the tests of stores: one node, which is a store and everything that it told. How time passes is the program's:
 * virtually, or with a loop of real sockets. */
#ifndef DUET_TESTS_STORE_WORLD_H
#define DUET_TESTS_STORE_WORLD_H

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

#endif
