/* The operations of the Redis store: each becomes one run of the script (store_redis.lua). What comes back is handed on when
 * the answer, or the channel, has brought it. */
#include "base/crypto.h"
#include "signaling/encode.h"
#include "signaling/store_redis_private.h"
#include <stdio.h>
#include <string.h>

#define PREFIX_MAX 64
#define BEAT_MS    2000
#define TTL_MS     6000
#define SWEEP_MS   500
#define GRACE_MS   30000
#define SETTLE_MS  2500

_Static_assert(DUET_ERR_STATE == -5 && DUET_ERR_TOO_LARGE == -6 && DUET_ERR_NOT_FOUND == -8 &&
                   DUET_ERR_UNSUPPORTED == -9 && DUET_ERR_AUTH == -10 && DUET_ERR_LIMIT == -13,
               "the script names these");
_Static_assert(DUET_SEAT_LOG_MESSAGES == 256 && DUET_SEAT_LOG_BYTES == 131072 && DUET_PARTICIPANTS_MAX == 256,
               "the script names these");

/* ---- answers ---- */

static void answer_plain(redis_store *s, redis_command *c, int err, const redisReply *reply)
{
    (void)s;
    (void)reply;
    if (c->done.plain)
        c->done.plain(c->user, err);
}

static void send_plain(redis_store *s, redis_command *c, duet_store_done done, void *user)
{
    if (c) {
        c->done.plain = done;
        c->user = user;
    }
    int err = duet_redis_send(s, c, false);
    if (err != DUET_OK)
        done(user, err);
}

static int take_room(const char *id, const redisReply *fields, const redisReply *r, size_t at, duet_room *room,
                     uint64_t *seats)
{
    return fields && duet_redis_room(id, fields, room) && duet_redis_number(r, at, SIZE_MAX, seats)
               ? DUET_OK
               : DUET_ERR_MALFORMED;
}

/* ---- rooms ---- */

static void room_create(void *store, const duet_room *room, duet_store_done done, void *user)
{
    redis_store *s = store;
    redis_command *c = duet_redis_command(s, "room_create", true, answer_plain);

    if (c) {
        duet_redis_argument(c, room->id);
        duet_redis_room_arguments(c, room);
        duet_redis_argument_number(c, s->config.max_rooms);
    }
    send_plain(s, c, done, user);
}

static void answer_room(redis_store *s, redis_command *c, int err, const redisReply *reply)
{
    duet_room room;
    uint64_t seats = 0;

    (void)s;
    if (err == DUET_OK)
        err = take_room(c->room_id, duet_redis_array(reply, 1, REDIS_ROOM_FIELDS), reply, 2, &room, &seats);
    c->done.room(c->user, err, err == DUET_OK ? &room : NULL, (size_t)seats);
}

static redis_command *about_room(redis_store *s, const char *operation, bool repeated, const char *room_id,
                                 redis_answer answer)
{
    redis_command *c = duet_redis_command(s, operation, repeated, answer);

    if (!c)
        return NULL;
    memcpy(c->room_id, room_id, strnlen(room_id, DUET_ROOM_ID_MAX));
    duet_redis_argument(c, room_id);
    return c;
}

static void room_get(void *store, const char *room_id, duet_store_room_done done, void *user)
{
    redis_command *c = about_room(store, "room_get", false, room_id, answer_room);

    if (c) {
        c->done.room = done;
        c->user = user;
    }
    int err = duet_redis_send(store, c, false);
    if (err != DUET_OK)
        done(user, err, NULL, 0);
}

static void answer_rooms(redis_store *s, redis_command *c, int err, const redisReply *reply)
{
    (void)s;
    for (size_t i = 1; err == DUET_OK && i < reply->elements; i++) {
        const redisReply *r = reply->element[i];
        char id[DUET_ROOM_ID_MAX + 1];
        duet_room room;
        uint64_t seats;
        if (duet_redis_text(r, 0, id, sizeof(id)) &&
            take_room(id, duet_redis_array(r, 1, REDIS_ROOM_FIELDS), r, 2, &room, &seats) == DUET_OK)
            c->done.rooms(c->user, DUET_OK, &room, (size_t)seats);
    }
    c->done.rooms(c->user, err, NULL, 0);
}

static void room_list(void *store, duet_store_rooms_done done, void *user)
{
    redis_command *c = duet_redis_command(store, "room_list", false, answer_rooms);

    if (c) {
        c->done.rooms = done;
        c->user = user;
    }
    int err = duet_redis_send(store, c, false);
    if (err != DUET_OK)
        done(user, err, NULL, 0);
}

static void room_update(void *store, const duet_room *room, duet_store_done done, void *user)
{
    redis_command *c = about_room(store, "room_update", true, room->id, answer_plain);

    if (c)
        duet_redis_room_arguments(c, room);
    send_plain(store, c, done, user);
}

static void room_remove(void *store, const char *room_id, duet_store_done done, void *user)
{
    send_plain(store, about_room(store, "room_remove", true, room_id, answer_plain), done, user);
}

static void answer_people(redis_store *s, redis_command *c, int err, const redisReply *reply)
{
    (void)s;
    for (size_t i = 1; err == DUET_OK && i < reply->elements; i++) {
        const redisReply *r = reply->element[i];
        duet_participant who;
        uint64_t joined_at;
        if (!duet_redis_text(r, 0, who.id, sizeof(who.id)) ||
            !duet_redis_text(r, 1, who.agent_id, sizeof(who.agent_id)) ||
            !duet_redis_text(r, 2, who.role, sizeof(who.role)) || !duet_redis_number(r, 3, INT64_MAX, &joined_at))
            continue;
        who.joined_at = (int64_t)joined_at;
        c->done.people(c->user, DUET_OK, &who);
    }
    c->done.people(c->user, err, NULL);
}

static void people(void *store, const char *room_id, duet_store_people_done done, void *user)
{
    redis_command *c = about_room(store, "people", false, room_id, answer_people);

    if (c) {
        c->done.people = done;
        c->user = user;
    }
    int err = duet_redis_send(store, c, false);
    if (err != DUET_OK)
        done(user, err, NULL);
}

/* ---- taking a seat ---- */

static void set_away(redis_store *s, redis_seat *seat)
{
    if (seat->state == REDIS_SEAT_AWAY)
        return;
    seat->state = REDIS_SEAT_AWAY;
    s->away++;
}

static void answer_join(redis_store *s, redis_command *c, int err, const redisReply *reply)
{
    redis_seat *seat = duet_redis_seat(s, c->seat_id);

    if (err == DUET_OK)
        err = seat ? duet_redis_seat_arrived(s, seat, reply) : DUET_ERR_MALFORMED;
    if (seat && err != DUET_OK)
        duet_redis_seat_free(s, seat);
    if (seat && err == DUET_OK) {
        if (seat->leaving)
            set_away(s, seat);
        else
            seat->state = REDIS_SEAT_CONNECTED;
    }
    c->done.plain(c->user, err);
    /* `done` may have called the store. */
    seat = err == DUET_OK ? duet_redis_seat(s, c->seat_id) : NULL;
    if (!seat || seat->state != REDIS_SEAT_CONNECTED)
        return;
    duet_redis_seat_deliver(s, seat, duet_redis_array(reply, 8, 1));
    duet_redis_seat_catch_up(s, seat);
}

static void join_arguments(redis_store *s, redis_command *c, const duet_store_join *j)
{
    static const duet_room none = {.id = ""};

    duet_redis_argument(c, j->who.id);
    duet_redis_argument(c, j->who.agent_id);
    duet_redis_argument(c, j->who.role);
    duet_redis_argument_number(c, j->who.joined_at > 0 ? (uint64_t)j->who.joined_at : 0);
    duet_redis_argument(c, j->resume_hash);
    duet_redis_argument_number(c, j->mesh_limit);
    duet_redis_argument(c, j->request_id ? j->request_id : "");
    duet_redis_argument(c, j->members ? j->members : "");
    duet_redis_argument(c, j->make ? "1" : "0");
    duet_redis_argument_number(c, s->config.max_rooms);
    duet_redis_room_arguments(c, j->make ? j->make : &none);
}

static void join(void *store, const duet_store_join *j, duet_store_done done, void *user)
{
    redis_store *s = store;
    int err = DUET_ERR_NOMEM;

    /* Before anything is sent: the channel may bring messages for the seat before the answer comes. */
    redis_seat *seat = duet_redis_seat_add(s, j->who.id);
    redis_command *c = seat ? about_room(s, "join", true, j->room_id, answer_join) : NULL;
    if (c) {
        c->done.plain = done;
        c->user = user;
        memcpy(c->seat_id, j->who.id, strnlen(j->who.id, DUET_SEAT_ID_LEN));
        memcpy(seat->resume_hash, j->resume_hash, strnlen(j->resume_hash, DUET_SEAT_HASH_LEN));
        join_arguments(s, c, j);
        err = duet_redis_send(s, c, false);
    }
    if (err == DUET_OK)
        return;
    if (seat)
        duet_redis_seat_free(s, seat);
    done(user, err);
}

/* ---- coming back ---- */

/* The seat as it is now, whatever it was here before. */
static redis_seat *take_again(redis_store *s, redis_command *c, const char *id)
{
    redis_seat *seat = duet_redis_seat(s, id);

    if (seat && seat->state == REDIS_SEAT_CONNECTED)
        s->events.replaced(s->events.user, id);
    if (!seat)
        seat = duet_redis_seat_add(s, id);
    if (!seat)
        return NULL;
    s->away -= seat->state == REDIS_SEAT_AWAY;
    seat->state = REDIS_SEAT_JOINING;
    seat->leaving = false;
    seat->last = c->message;
    return seat;
}

static int resumed(redis_store *s, redis_command *c, const redisReply *reply, redis_seat **out)
{
    char id[DUET_SEAT_ID_LEN + 1];

    if (!duet_redis_text(reply, 1, id, sizeof(id)))
        return DUET_ERR_MALFORMED;
    redis_seat *seat = take_again(s, c, id);
    if (!seat)
        return DUET_ERR_NOMEM;
    memcpy(seat->resume_hash, c->room_id, DUET_SEAT_HASH_LEN);
    int err = duet_redis_seat_arrived(s, seat, reply);
    if (err != DUET_OK) {
        duet_redis_seat_free(s, seat);
        return err;
    }
    seat->state = REDIS_SEAT_CONNECTED;
    *out = seat;
    return DUET_OK;
}

/* The seat was given up: whoever held it here has lost it. */
static void given_up(redis_store *s, const redisReply *reply)
{
    char id[DUET_SEAT_ID_LEN + 1];

    redis_seat *seat = duet_redis_text(reply, 1, id, sizeof(id)) ? duet_redis_seat(s, id) : NULL;
    if (!seat)
        return;
    if (seat->state == REDIS_SEAT_CONNECTED)
        s->events.replaced(s->events.user, id);
    duet_redis_seat_free(s, seat);
}

static void answer_resume(redis_store *s, redis_command *c, int err, const redisReply *reply)
{
    redis_seat *seat = NULL;

    if (err == DUET_ERR_LIMIT)
        given_up(s, reply);
    if (err == DUET_OK)
        err = resumed(s, c, reply, &seat);
    if (err != DUET_OK) {
        c->done.seat(c->user, err, NULL);
        return;
    }
    duet_store_seat found = {.who = seat->who, .received = seat->received};
    memcpy(found.room_id, seat->room->room.id, sizeof(found.room_id));
    c->done.seat(c->user, DUET_OK, &found);
    seat = duet_redis_seat(s, found.who.id);
    if (!seat || seat->state != REDIS_SEAT_CONNECTED)
        return;
    duet_redis_seat_deliver(s, seat, duet_redis_array(reply, 8, 1));
    /* The node did not know that the seat was its own: the channel may have brought more before the answer. */
    seat->asking = false;
    seat->seen = seat->last + 1;
    duet_redis_seat_catch_up(s, seat);
}

static void resume(void *store, const char *resume_hash, const char *agent_id, uint64_t last_seq,
                   const char *request_id, duet_store_seat_done done, void *user)
{
    redis_command *c = duet_redis_command(store, "resume", true, answer_resume);

    if (c) {
        c->done.seat = done;
        c->user = user;
        c->message = last_seq;
        memcpy(c->room_id, resume_hash, strnlen(resume_hash, DUET_SEAT_HASH_LEN));
        duet_redis_argument(c, resume_hash);
        duet_redis_argument(c, agent_id);
        duet_redis_argument_number(c, last_seq);
        duet_redis_argument(c, request_id ? request_id : "");
    }
    int err = duet_redis_send(store, c, false);
    if (err != DUET_OK)
        done(user, err, NULL);
}

/* ---- leaving ---- */

static redis_command *about_seat(redis_store *s, const char *operation, const char *seat_id)
{
    redis_command *c = duet_redis_command(s, operation, true, answer_plain);

    if (c)
        duet_redis_argument(c, seat_id);
    return c;
}

static void detach(void *store, const char *seat_id, duet_time grace, duet_time now)
{
    redis_store *s = store;
    redis_seat *seat = duet_redis_seat(s, seat_id);

    (void)now;
    if (!seat || seat->state == REDIS_SEAT_AWAY)
        return;
    seat->grace_end = duet_loop_now() + grace;
    if (seat->state == REDIS_SEAT_JOINING)
        seat->leaving = true;
    else
        set_away(s, seat);
    redis_command *c = about_seat(s, "detach", seat_id);
    if (c)
        duet_redis_argument_number(c, grace / 1000);
    (void)duet_redis_send(s, c, true);
}

static void leave(void *store, const char *seat_id, const char *reason)
{
    redis_command *c = duet_redis_seat(store, seat_id) ? about_seat(store, "leave", seat_id) : NULL;

    if (!c)
        return;
    duet_redis_argument(c, reason);
    (void)duet_redis_send(store, c, true);
}

static void kick(void *store, const char *room_id, const char *seat_id, duet_store_done done, void *user)
{
    redis_command *c = about_room(store, "kick", true, room_id, answer_plain);

    if (c)
        duet_redis_argument(c, seat_id);
    send_plain(store, c, done, user);
}

/* ---- passing on ---- */

static void answer_message(redis_store *s, redis_command *c, int err, const redisReply *reply)
{
    redis_seat *seat = err == DUET_OK ? duet_redis_seat(s, c->seat_id) : NULL;

    (void)reply;
    if (seat && c->message > seat->received)
        seat->received = c->message;
    if (c->done.plain)
        c->done.plain(c->user, err);
}

static redis_command *from_seat(redis_store *s, const char *operation, const char *seat_id, uint64_t number)
{
    redis_command *c = duet_redis_command(s, operation, true, answer_message);

    if (!c)
        return NULL;
    c->message = number;
    memcpy(c->seat_id, seat_id, strnlen(seat_id, DUET_SEAT_ID_LEN));
    duet_redis_argument(c, seat_id);
    return c;
}

static void relay(void *store, const char *from, const char *to, const char *text, size_t len, uint64_t number,
                  duet_store_done done, void *user)
{
    redis_command *c = from_seat(store, "relay", from, number);

    if (c) {
        duet_redis_argument(c, to ? to : "");
        duet_redis_argument_number(c, number);
        duet_redis_argument_bytes(c, text, len);
    }
    send_plain(store, c, done, user);
}

static void post(void *store, const char *seat_id, const char *text, size_t len, uint64_t number)
{
    redis_command *c = from_seat(store, "post", seat_id, number);

    if (c) {
        duet_redis_argument_number(c, number);
        duet_redis_argument_bytes(c, text, len);
    }
    if (duet_redis_send(store, c, false) != DUET_OK)
        duet_redis_log(store, DUET_LOG_WARN, "redis: too much waits, a message to a seat is dropped");
}

/* ---- time and life ---- */

static void tick(void *store, duet_time now, int64_t wall_seconds)
{
    (void)store;
    (void)now;
    (void)wall_seconds;
}

static duet_time deadline(const void *store)
{
    (void)store;
    return DUET_NEVER;
}

static int status(const void *store, const char **reason)
{
    const redis_store *s = store;

    if (reason)
        *reason = s->link == REDIS_UP ? NULL : s->reason;
    return s->link == REDIS_UP ? DUET_OK : DUET_ERR_IO;
}

static void destroy(void *store)
{
    redis_store *s = store;

    if (!s)
        return;
    duet_redis_link_close(s);
    duet_redis_seats_free(s);
    duet_free(&s->env, s->prefix);
    duet_wipe(s->secret, sizeof(s->secret));
    duet_env env = s->env;
    duet_free(&env, s);
}

static const duet_store_ops redis_ops = {
    .room_create = room_create,
    .room_get = room_get,
    .room_list = room_list,
    .room_update = room_update,
    .room_remove = room_remove,
    .people = people,
    .join = join,
    .resume = resume,
    .detach = detach,
    .leave = leave,
    .kick = kick,
    .relay = relay,
    .post = post,
    .tick = tick,
    .deadline = deadline,
    .status = status,
    .destroy = destroy,
};

static int make_node_id(redis_store *s)
{
    uint8_t random[16];

    int err = duet_random(&s->env, random, sizeof(random));
    return err == DUET_OK ? duet_base64url_text(s->node, &s->env, random, sizeof(random)) : err;
}

/* EVALSHA names the script by the SHA-1 of its text. */
static int hash_script(redis_store *s)
{
    uint8_t hash[DUET_SHA1_LEN];
    duet_iov part = {duet_store_redis_script, strlen(duet_store_redis_script)};

    int err = duet_sha1(hash, &part, 1);
    for (size_t i = 0; i < sizeof(hash); i++)
        snprintf(s->script_hash + 2 * i, 3, "%02x", hash[i]);
    return err;
}

static int set_up(redis_store *s, const duet_store_redis_config *config)
{
    const char *prefix = config->prefix ? config->prefix : "duet:";

    s->config = *config;
    s->config.beat_ms = config->beat_ms ? config->beat_ms : BEAT_MS;
    s->config.ttl_ms = config->ttl_ms ? config->ttl_ms : TTL_MS;
    s->config.sweep_ms = config->sweep_ms ? config->sweep_ms : SWEEP_MS;
    s->config.grace_ms = config->grace_ms ? config->grace_ms : GRACE_MS;
    s->config.settle_ms = config->settle_ms ? config->settle_ms : SETTLE_MS;
    if (!config->url || strlen(prefix) > PREFIX_MAX)
        return DUET_ERR_INVALID;
    s->prefix = duet_strdup(&s->env, prefix);
    if (!s->prefix)
        return DUET_ERR_NOMEM;
    int err = duet_map_init(&s->seats, &s->env);
    if (err == DUET_OK)
        err = duet_map_init(&s->rooms, &s->env);
    if (err == DUET_OK)
        err = duet_random(&s->env, s->secret, sizeof(s->secret));
    if (err == DUET_OK)
        err = make_node_id(s);
    if (err == DUET_OK)
        err = hash_script(s);
    return err == DUET_OK ? duet_redis_link_open(s, config->url) : err;
}

int duet_store_redis_create(duet_store *out, const duet_env *env, struct event_base *base,
                            const duet_store_redis_config *config, const duet_store_events *events)
{
    duet_env resolved = duet_env_resolve(env);
    redis_store *s = duet_calloc(&resolved, sizeof(*s));

    *out = (duet_store){NULL, NULL};
    if (!s)
        return DUET_ERR_NOMEM;
    s->env = resolved;
    s->events = *events;
    s->base = base;
    int err = set_up(s, config);
    if (err != DUET_OK) {
        destroy(s);
        return err;
    }
    *out = (duet_store){&redis_ops, s};
    return DUET_OK;
}
