/* Where rooms and their participants are recorded: an interface, so that several servers can share what they know. */
#ifndef DUET_SIGNALING_STORE_H
#define DUET_SIGNALING_STORE_H

#include "base/memory.h"
#include "duet/signaling.h"

#define DUET_SEAT_ID_LEN      22 /* 16 random bytes in base64url */
#define DUET_ROOM_NAME_MAX    128
#define DUET_PARTICIPANTS_MAX 256 /* no room holds more */

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
    unsigned max_duration; /* minutes; 0: no limit */
    bool transient;        /* goes when the last participant goes */
} duet_room;

typedef struct duet_participant {
    char id[DUET_SEAT_ID_LEN + 1];
    char agent_id[DUET_TOKEN_SUBJECT_MAX + 1];
    char role[DUET_TOKEN_ROLE_MAX + 1];
    int64_t joined_at; /* wall clock, seconds since 1970 */
} duet_participant;

typedef void (*duet_room_visit)(void *user, const duet_room *room, size_t participants);
typedef void (*duet_participant_visit)(void *user, const duet_participant *participant);

/* Visitors may not change the store. */
typedef struct duet_store_ops {
    int (*room_create)(void *store, const duet_room *room);            /* STATE: exists already; LIMIT; NOMEM */
    int (*room_get)(void *store, const char *room_id, duet_room *out); /* NOT_FOUND; out may be NULL */
    int (*room_remove)(void *store, const char *room_id);              /* NOT_FOUND */
    void (*room_each)(void *store, duet_room_visit visit, void *user);
    int (*participant_add)(void *store, const char *room_id, const duet_participant *p); /* NOT_FOUND; LIMIT; NOMEM */
    int (*participant_remove)(void *store, const char *room_id, const char *id);         /* NOT_FOUND */
    int (*participant_each)(void *store, const char *room_id, duet_participant_visit visit, void *user); /* NOT_FOUND */
    void (*destroy)(void *store);
} duet_store_ops;

/* Everything in memory: for one server. */
int duet_store_memory_create(void **out, const duet_env *env, size_t max_rooms);
const duet_store_ops *duet_store_memory_ops(void);

#endif
