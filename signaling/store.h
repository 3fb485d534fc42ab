/* Where rooms, their seats and the messages to each seat are recorded: one interface, so that several servers ("nodes") can
 * share what they know. A seat is one participant's place in a room; it outlives its connection by a grace period, and
 * keeps its latest messages, so that a client that comes back, to any node, gets what it missed.
 *
 * Every call may answer inside the call or later; `done` comes exactly once, with DUET_ERR_CLOSED when the store is
 * destroyed first. Calls of one node for one seat take effect in their order. */
#ifndef DUET_SIGNALING_STORE_H
#define DUET_SIGNALING_STORE_H

#include "base/memory.h"
#include "duet/signaling.h"

#define DUET_SEAT_ID_LEN      22 /* 16 random bytes in base64url */
#define DUET_ROOM_NAME_MAX    128
#define DUET_PARTICIPANTS_MAX 256 /* no room holds more */
#define DUET_SEAT_HASH_LEN    43  /* SHA-256 of a resume token, base64url */
#define DUET_ROLE_SFU         "sfu"

/* What a seat keeps for a client that comes back: the latest messages, up to both bounds. */
#define DUET_SEAT_LOG_MESSAGES 256
#define DUET_SEAT_LOG_BYTES    131072

typedef enum duet_room_kind {
    DUET_ROOM_VOICE = 0,
    DUET_ROOM_VIDEO,
} duet_room_kind;

typedef struct duet_room {
    char id[DUET_ROOM_ID_MAX + 1];
    char name[DUET_ROOM_NAME_MAX + 1];
    char created_by[DUET_TOKEN_SUBJECT_MAX + 1];
    int64_t created_at; /* wall clock, seconds since 1970 */
    duet_room_kind kind;
    unsigned max_participants;
    bool mute_on_entry, allow_recording;
    unsigned
        max_duration; /* minutes from created_at; then it is removed, as by room_remove with the reason "expired". 0: no
                            * limit */
    bool transient;   /* goes when the last seat goes */
} duet_room;

typedef struct duet_participant {
    char id[DUET_SEAT_ID_LEN + 1];
    char agent_id[DUET_TOKEN_SUBJECT_MAX + 1];
    char role[DUET_TOKEN_ROLE_MAX + 1];
    int64_t joined_at; /* wall clock, seconds since 1970 */
} duet_participant;

/* Taking a seat. The store decides the role when `who.role` is "": "owner" for the agent who created the room,
 * "participant" for others. */
typedef struct duet_store_join {
    const char *room_id;
    duet_participant who;    /* its id is the caller's choice, random */
    const char *resume_hash; /* of the seat's resume token */
    const duet_room *make;   /* the room when there is none yet; NULL: DUET_ERR_NOT_FOUND */
    unsigned mesh_limit;     /* so many people connect to each other directly; one more needs an SFU in the room */
    const char *request_id;  /* "id" of room_users; NULL for none */
    const char *members; /* further members of room_users, as JSON: "\"resumeToken\":\"…\",\"iceServers\":[…]" */
} duet_store_join;

/* A seat that has been taken again. */
typedef struct duet_store_seat {
    duet_participant who;
    char room_id[DUET_ROOM_ID_MAX + 1];
    uint64_t received; /* the highest `number` of relay and post */
} duet_store_seat;

typedef void (*duet_store_done)(void *user, int err);
typedef void (*duet_store_seat_done)(void *user, int err, const duet_store_seat *seat);
typedef void (*duet_store_room_done)(void *user, int err, const duet_room *room, size_t participants);
/* Once for each room, then once with NULL and the outcome; the same for participants. */
typedef void (*duet_store_rooms_done)(void *user, int err, const duet_room *room, size_t participants);
typedef void (*duet_store_people_done)(void *user, int err, const duet_participant *participant);

/* What a store tells its node about the seats that are connected to it. Calls may come inside any call of the store. The
 * receiver may not call the store from them. */
typedef struct duet_store_events {
    /* A message for the seat: a JSON object without "seq", which is for the receiver to add as its last member. */
    void (*message)(void *user, const char *seat_id, uint64_t seq, const char *text, size_t len);
    /* The seat has been taken away: "left", "kicked", "closed", "expired", "timeout". The last message told it. */
    void (*removed)(void *user, const char *seat_id, const char *reason);
    /* The seat is connected elsewhere now. */
    void (*replaced)(void *user, const char *seat_id);
    void *user;
} duet_store_events;

/* The messages that a store makes itself (numbered like all others, from 1 for each seat, without gaps):
 *   {"type":"room_users"[,"id":…],"roomId":…,"self":…,"users":[{"id":…,"agentId":…,"role":…},…],"topology":"mesh"|"sfu"
 *    [,"sfu":"<seat id>"],<members>}                         to a new seat, its first message; users has the newcomer, last
 *   {"type":"user_joined","roomId":…,"user":{…}}             to the others, before that
 *   {"type":"user_left","id":…,"roomId":…,"reason":…}        to everybody, the one who leaves too
 *   {"type":"resumed"[,"id":…],"roomId":…,"self":…,"received":<the highest number of relay and post>}
 *                                                            to a seat that has been taken again
 *   {"type":"topology","roomId":…,"topology":…[,"sfu":…]}    to everybody but a newcomer, when the topology changes
 * A room has topology "sfu" when somebody with the role "sfu" is in it and more than mesh_limit others are; the SFU itself does
 * not count for mesh_limit (for maxParticipants it does). */
typedef struct duet_store_ops {
    /* STATE: exists already; LIMIT: too many rooms */
    void (*room_create)(void *store, const duet_room *room, duet_store_done done, void *user);
    void (*room_get)(void *store, const char *room_id, duet_store_room_done done, void *user); /* NOT_FOUND */
    void (*room_list)(void *store, duet_store_rooms_done done, void *user);
    /* Replaces what is known of a room but its id, creator, date and transience. NOT_FOUND */
    void (*room_update)(void *store, const duet_room *room, duet_store_done done, void *user);
    /* Each seat hears one user_left, its own, with the reason "closed", and is removed. NOT_FOUND */
    void (*room_remove)(void *store, const char *room_id, duet_store_done done, void *user);
    void (*people)(void *store, const char *room_id, duet_store_people_done done, void *user); /* NOT_FOUND */

    /* One step: room made when need be, seat taken, everybody told. The seat is connected to this node from the call on.
     * NOT_FOUND; LIMIT: room is full; TOO_LARGE: too many rooms; UNSUPPORTED: beyond mesh_limit, and there is no SFU */
    void (*join)(void *store, const duet_store_join *join, duet_store_done done, void *user);
    /* Takes a seat again, wherever it is connected. After `done` follow the messages behind last_seq, and behind them a new one,
     * "resumed". NOT_FOUND: no such seat (any more); AUTH: of another agent; LIMIT: the log does not go back that far (the
     * seat is given up, as by "left")
     * @param request_id  "id" of resumed; NULL for none */
    void (*resume)(void *store, const char *resume_hash, const char *agent_id, uint64_t last_seq,
                   const char *request_id, duet_store_seat_done done, void *user);
    /* The connection is gone: the seat waits for `grace`, then leaves with the reason "timeout". */
    void (*detach)(void *store, const char *seat_id, duet_time grace, duet_time now);
    void (*leave)(void *store, const char *seat_id, const char *reason); /* "left", "expired", … */
    void (*kick)(void *store, const char *room_id, const char *seat_id, duet_store_done done,
                 void *user); /* NOT_FOUND */

    /* Passes a message on: to one other seat of the same room, or (`to` NULL) to all others. A `number` that is not 0 and not
     * above the sender's highest one is a repetition: ignored, DUET_OK. NOT_FOUND: no such seat in the room */
    void (*relay)(void *store, const char *from, const char *to, const char *text, size_t len, uint64_t number,
                  duet_store_done done, void *user);
    /* A message to the seat itself. */
    void (*post)(void *store, const char *seat_id, const char *text, size_t len, uint64_t number);

    void (*tick)(void *store, duet_time now, int64_t wall_seconds);
    duet_time (*deadline)(const void *store);
    /* DUET_OK, or DUET_ERR_IO as long as the server behind it cannot be reached. `reason` is static; may be NULL */
    int (*status)(const void *store, const char **reason);
    void (*destroy)(void *store);
} duet_store_ops;

/* A store as its users hold it. */
typedef struct duet_store {
    const duet_store_ops *ops;
    void *self;
} duet_store;

/* Everything in memory: for one server. */
int duet_store_memory_create(duet_store *out, const duet_env *env, size_t max_rooms, const duet_store_events *events);

#endif
