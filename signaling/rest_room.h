/* Rooms and participants as the REST interface shows them. */
#ifndef DUET_SIGNALING_REST_ROOM_H
#define DUET_SIGNALING_REST_ROOM_H

#include "signaling/json.h"
#include "signaling/store.h"

/* New values, or NULL without memory. */
json_t *duet_rest_room_json(const duet_room *room, size_t participants);
json_t *duet_rest_participant_json(const duet_participant *p);

/* Members that are absent leave the room as it is. @return NULL, or what is wrong */
const char *duet_rest_read_room(const json_t *object, duet_room *room);

/* A random UUID (RFC 9562 section 5.4). */
int duet_rest_make_uuid(const duet_env *env, char out[37]);

#endif
