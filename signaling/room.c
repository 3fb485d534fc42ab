/* Rooms of the signaling server: seats, who hears of whom, and to whom a message may go. */
#include "signaling/room.h"
#include "base/map.h"
#include "signaling/encode.h"
#include <string.h>

struct duet_seat {
    duet_participant who;
    char room_id[DUET_ROOM_ID_MAX + 1];
    uint64_t key;
    duet_seat_callbacks callbacks;
};

struct duet_hub {
    duet_env env;
    duet_hub_config config;
    duet_map seats; /* those of this server, by the first bytes of their random ids */
};

int duet_hub_create(duet_hub **out, const duet_hub_config *config)
{
    duet_env env = duet_env_resolve(config->env);
    duet_hub *hub = duet_calloc(&env, sizeof(*hub));

    *out = NULL;
    if (!hub)
        return DUET_ERR_NOMEM;
    hub->env = env;
    hub->config = *config;
    int err = duet_map_init(&hub->seats, &hub->env);
    if (err != DUET_OK) {
        duet_free(&env, hub);
        return err;
    }
    *out = hub;
    return DUET_OK;
}

void duet_hub_destroy(duet_hub *hub)
{
    if (!hub)
        return;
    hub->config.ops->destroy(hub->config.store);
    duet_map_free(&hub->seats);
    duet_env env = hub->env;
    duet_free(&env, hub);
}

const duet_env *duet_hub_env(const duet_hub *hub)
{
    return &hub->env;
}

const duet_store_ops *duet_hub_store(const duet_hub *hub, void **store)
{
    *store = hub->config.store;
    return hub->config.ops;
}

const duet_hub_config *duet_hub_settings(const duet_hub *hub)
{
    return &hub->config;
}

const char *duet_seat_room(const duet_seat *seat)
{
    return seat->room_id;
}

const char *duet_seat_id(const duet_seat *seat)
{
    return seat->who.id;
}

static void copy_text(char *out, size_t size, const char *text)
{
    size_t len = strnlen(text, size - 1);

    memcpy(out, text, len);
    out[len] = 0;
}

/* ---- finding seats ---- */

static uint64_t key_of(const char *id)
{
    uint64_t key = 0;

    memcpy(&key, id, strlen(id) < sizeof(key) ? strlen(id) : sizeof(key));
    return key;
}

static duet_seat *find_seat(const duet_hub *hub, const char *id)
{
    duet_seat *seat = duet_map_get(&hub->seats, key_of(id));

    return seat && strcmp(seat->who.id, id) == 0 ? seat : NULL;
}

/* ---- telling everybody in a room ---- */

typedef struct announcement {
    const duet_hub *hub;
    const duet_signal *message;
    const char *except; /* id of the seat that does not hear it */
} announcement;

static void tell_one(void *user, const duet_participant *p)
{
    const announcement *a = user;
    duet_seat *seat = find_seat(a->hub, p->id);

    if (seat && (!a->except || strcmp(p->id, a->except) != 0))
        seat->callbacks.deliver(seat->callbacks.user, a->message);
}

static void tell_room(const duet_hub *hub, const char *room_id, const duet_signal *message, const char *except)
{
    announcement a = {hub, message, except};

    hub->config.ops->participant_each(hub->config.store, room_id, tell_one, &a);
}

static void tell_left(const duet_hub *hub, const duet_seat *seat, const char *reason)
{
    duet_signal left = {
        .type = DUET_SIGNAL_USER_LEFT, .room_id = seat->room_id, .user_id = seat->who.id, .reason = reason};

    tell_room(hub, seat->room_id, &left, NULL);
}

/* ---- joining ---- */

typedef struct user_list {
    duet_signaling_user users[DUET_PARTICIPANTS_MAX];
    size_t count;
    bool has_owner;
} user_list;

static void list_user(void *user, const duet_participant *p)
{
    user_list *list = user;

    if (list->count < DUET_PARTICIPANTS_MAX)
        list->users[list->count++] = (duet_signaling_user){p->id, p->agent_id, p->role};
    if (strcmp(p->role, "owner") == 0)
        list->has_owner = true;
}

/* The room, or a new one that lives as long as somebody is in it. */
static int find_or_create_room(duet_hub *hub, const char *room_id, const duet_token_claims *who, int64_t wall_seconds,
                               duet_room *room)
{
    const duet_hub_config *c = &hub->config;

    int err = c->ops->room_get(c->store, room_id, room);
    if (err != DUET_ERR_NOT_FOUND || !c->rooms_on_join)
        return err;
    *room = (duet_room){.max_participants = c->max_participants, .created_at = wall_seconds, .transient = true};
    copy_text(room->id, sizeof(room->id), room_id);
    copy_text(room->name, sizeof(room->name), room_id);
    copy_text(room->created_by, sizeof(room->created_by), who->subject);
    err = c->ops->room_create(c->store, room);
    return err == DUET_ERR_LIMIT ? DUET_ERR_TOO_LARGE : err;
}

/* Join tokens tell the role; otherwise whoever made the room owns it, with the first of its seats. */
static void choose_role(duet_hub *hub, duet_seat *seat, const duet_room *room, const duet_token_claims *who)
{
    user_list others = {.count = 0};
    const char *role = "participant";

    hub->config.ops->participant_each(hub->config.store, room->id, list_user, &others);
    if (who->role[0] && who->room[0])
        role = who->role;
    else if (strcmp(room->created_by, who->subject) == 0 && !others.has_owner)
        role = "owner";
    copy_text(seat->who.role, sizeof(seat->who.role), role);
}

static int make_seat(duet_seat **out, duet_hub *hub, const duet_room *room, const duet_token_claims *who,
                     int64_t wall_seconds)
{
    uint8_t random[16];
    duet_buffer id;

    *out = NULL;
    int err = duet_random(&hub->env, random, sizeof(random));
    if (err != DUET_OK)
        return err;
    duet_seat *seat = duet_calloc(&hub->env, sizeof(*seat));
    duet_buffer_init(&id, &hub->env);
    duet_base64url_encode(&id, random, sizeof(random));
    if (!seat || id.failed) {
        duet_buffer_free(&id);
        duet_free(&hub->env, seat);
        return DUET_ERR_NOMEM;
    }
    memcpy(seat->who.id, id.data, DUET_SEAT_ID_LEN);
    duet_buffer_free(&id);
    seat->key = key_of(seat->who.id);
    memcpy(seat->room_id, room->id, sizeof(seat->room_id));
    memcpy(seat->who.agent_id, who->subject, sizeof(seat->who.agent_id));
    seat->who.joined_at = wall_seconds;
    choose_role(hub, seat, room, who);
    *out = seat;
    return DUET_OK;
}

static int record_seat(duet_hub *hub, duet_seat *seat)
{
    const duet_hub_config *c = &hub->config;

    if (duet_map_get(&hub->seats, seat->key)) /* 48 random bits met: as if there were no memory */
        return DUET_ERR_NOMEM;
    int err = c->ops->participant_add(c->store, seat->room_id, &seat->who);
    if (err != DUET_OK)
        return err;
    err = duet_map_set(&hub->seats, seat->key, seat);
    if (err != DUET_OK)
        c->ops->participant_remove(c->store, seat->room_id, seat->who.id);
    return err;
}

static void remove_if_empty(duet_hub *hub, const char *room_id)
{
    const duet_hub_config *c = &hub->config;
    user_list left = {.count = 0};
    duet_room room;

    if (c->ops->room_get(c->store, room_id, &room) != DUET_OK || !room.transient)
        return;
    c->ops->participant_each(c->store, room_id, list_user, &left);
    if (left.count == 0)
        c->ops->room_remove(c->store, room_id);
}

static void welcome(duet_hub *hub, const duet_seat *seat, const char *request_id)
{
    user_list list = {.count = 0};

    hub->config.ops->participant_each(hub->config.store, seat->room_id, list_user, &list);
    duet_signal room_users = {
        .type = DUET_SIGNAL_ROOM_USERS,
        .id = request_id,
        .room_id = seat->room_id,
        .self = seat->who.id,
        .topology = "mesh",
        .users = list.users,
        .user_count = list.count,
        .ice_servers = hub->config.ice_servers ? hub->config.ice_servers : "[]",
    };
    seat->callbacks.deliver(seat->callbacks.user, &room_users);
}

int duet_hub_join(duet_seat **out, duet_hub *hub, const char *room_id, const duet_token_claims *who,
                  const char *request_id, int64_t wall_seconds, const duet_seat_callbacks *callbacks)
{
    duet_seat *seat = NULL;
    duet_room room;

    *out = NULL;
    int err = find_or_create_room(hub, room_id, who, wall_seconds, &room);
    if (err != DUET_OK)
        return err;
    err = make_seat(&seat, hub, &room, who, wall_seconds);
    if (err == DUET_OK)
        err = record_seat(hub, seat);
    if (err != DUET_OK) {
        duet_free(&hub->env, seat);
        remove_if_empty(hub, room_id);
        return err;
    }
    seat->callbacks = *callbacks;
    *out = seat;
    duet_signal joined = {.type = DUET_SIGNAL_USER_JOINED,
                          .room_id = room_id,
                          .user = {seat->who.id, seat->who.agent_id, seat->who.role}};
    tell_room(hub, room_id, &joined, seat->who.id);
    welcome(hub, seat, request_id);
    return DUET_OK;
}

/* ---- leaving ---- */

static void forget_seat(duet_hub *hub, duet_seat *seat)
{
    hub->config.ops->participant_remove(hub->config.store, seat->room_id, seat->who.id);
    duet_map_remove(&hub->seats, seat->key);
    duet_free(&hub->env, seat);
}

void duet_hub_leave(duet_hub *hub, duet_seat *seat, const char *reason)
{
    char room_id[DUET_ROOM_ID_MAX + 1];

    if (!seat)
        return;
    memcpy(room_id, seat->room_id, sizeof(room_id));
    tell_left(hub, seat, reason);
    forget_seat(hub, seat);
    remove_if_empty(hub, room_id);
}

typedef struct seat_search {
    const duet_hub *hub;
    duet_seat *found;
} seat_search;

static void find_any(void *user, const duet_participant *p)
{
    seat_search *search = user;

    if (!search->found)
        search->found = find_seat(search->hub, p->id);
}

int duet_hub_close_room(duet_hub *hub, const char *room_id)
{
    const duet_hub_config *c = &hub->config;

    int err = c->ops->room_get(c->store, room_id, NULL);
    if (err != DUET_OK)
        return err;
    for (;;) {
        seat_search search = {hub, NULL};
        c->ops->participant_each(c->store, room_id, find_any, &search);
        if (!search.found)
            break;
        duet_seat *seat = search.found;
        duet_signal left = {
            .type = DUET_SIGNAL_USER_LEFT, .room_id = seat->room_id, .user_id = seat->who.id, .reason = "closed"};
        duet_seat_callbacks callbacks = seat->callbacks;
        callbacks.deliver(callbacks.user, &left);
        forget_seat(hub, seat);
        callbacks.removed(callbacks.user, "closed");
    }
    err = c->ops->room_remove(c->store, room_id);
    return err == DUET_ERR_NOT_FOUND ? DUET_OK : err; /* a transient room went with its last seat */
}

/* ---- passing on ---- */

static duet_seat *neighbour(const duet_hub *hub, const duet_seat *from, const char *id)
{
    duet_seat *to = find_seat(hub, id);

    return to && to != from && strcmp(to->room_id, from->room_id) == 0 ? to : NULL;
}

bool duet_hub_reaches(const duet_hub *hub, const duet_seat *from, const char *to)
{
    return neighbour(hub, from, to) != NULL;
}

int duet_hub_relay(duet_hub *hub, const duet_seat *from, const duet_signal *message)
{
    const duet_seat *to = neighbour(hub, from, message->to);

    if (!to)
        return DUET_ERR_NOT_FOUND;
    duet_signal passed = *message;
    passed.id = NULL; /* the request's own business */
    passed.to = NULL;
    passed.from = from->who.id;
    to->callbacks.deliver(to->callbacks.user, &passed);
    return DUET_OK;
}
