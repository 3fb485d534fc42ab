/* Rooms and who sits in them: joining, leaving, and passing a message from one seat to another one of the same room.
 * The record of rooms and participants is the store's; a hub knows besides which of the seats are its own
 * connections. */
#ifndef DUET_SIGNALING_ROOM_H
#define DUET_SIGNALING_ROOM_H

#include "signaling/protocol.h"
#include "signaling/store.h"

typedef struct duet_hub duet_hub;
typedef struct duet_seat duet_seat;

typedef struct duet_hub_config {
    const duet_env *env;
    const duet_store_ops *ops;
    void *store;               /* taken over: destroyed with the hub */
    bool rooms_on_join;        /* joining a room that is not there makes it, for as long as somebody is in it */
    unsigned max_participants; /* of rooms that do not say */
    const char *ice_servers;   /* JSON array for room_users; must outlive the hub; NULL for none */
} duet_hub_config;

/* What a seat tells its connection. */
typedef struct duet_seat_callbacks {
    /* A message to be sent, without its seq. */
    void (*deliver)(void *user, const duet_signal *message);
    /* The seat has been taken away ("kicked", "closed", …); it is gone when this returns. deliver has told it. */
    void (*removed)(void *user, const char *reason);
    void *user;
} duet_seat_callbacks;

int duet_hub_create(duet_hub **out, const duet_hub_config *config);
void duet_hub_destroy(duet_hub *hub); /* seats have gone before */

const duet_env *duet_hub_env(const duet_hub *hub);
const duet_store_ops *duet_hub_store(const duet_hub *hub, void **store);
const duet_hub_config *duet_hub_settings(const duet_hub *hub);

/* Takes a seat: the others are told, the new one gets room_users (with `request_id`).
 * @return DUET_OK; DUET_ERR_NOT_FOUND (no such room); DUET_ERR_LIMIT (the room is full); DUET_ERR_TOO_LARGE (too many
 *         rooms); DUET_ERR_NOMEM; DUET_ERR_CRYPTO */
int duet_hub_join(duet_seat **out, duet_hub *hub, const char *room_id, const duet_token_claims *who,
                  const char *request_id, int64_t wall_seconds, const duet_seat_callbacks *callbacks);
/* Gives the seat up; everybody in the room, the seat itself too, hears user_left. NULL is fine. */
void duet_hub_leave(duet_hub *hub, duet_seat *seat, const char *reason);
/* Whether somebody else in the same room has this id. */
bool duet_hub_reaches(const duet_hub *hub, const duet_seat *from, const char *to);
/* Passes an offer, answer or candidate on to message->to.
 * @return DUET_ERR_NOT_FOUND when that is nobody else in the same room */
int duet_hub_relay(duet_hub *hub, const duet_seat *from, const duet_signal *message);

const char *duet_seat_room(const duet_seat *seat);
const char *duet_seat_id(const duet_seat *seat);

/* Ends a room: everybody in it hears user_left "closed" and loses the seat. @return DUET_OK or DUET_ERR_NOT_FOUND */
int duet_hub_close_room(duet_hub *hub, const char *room_id);

#endif
