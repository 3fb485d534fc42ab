/* The store of a single server: rooms and seats in hash tables. Names that clients choose are hashed with a random key, so
 * that nobody can aim for collisions. Every call answers at once. */
#include "base/crypto.h"
#include "base/map.h"
#include "signaling/protocol.h"
#include "signaling/seat_log.h"
#include "signaling/store.h"
#include "signaling/store_key.h"
#include <string.h>

#define MINUTE INT64_C(60)

typedef struct memory_seat memory_seat;

typedef struct memory_room {
    duet_room room;
    uint64_t key;
    duet_array seats; /* of memory_seat *, in the order in which they came */
    unsigned mesh_limit;
    const memory_seat *sfu; /* that everybody has been told to use; NULL: mesh */
} memory_room;

struct memory_seat {
    duet_participant who;
    memory_room *room;
    uint64_t key, resume_key;
    char resume_hash[DUET_SEAT_HASH_LEN + 1];
    duet_seat_log log;
    uint64_t received;
    bool connected;
    duet_time grace_end; /* DUET_NEVER as long as it is connected */
};

typedef struct memory_store {
    duet_env env;
    duet_map rooms, seats, resumable;
    size_t max_rooms;
    uint8_t secret[DUET_STORE_SECRET_LEN];
    duet_store_events events;
    duet_time next; /* a grace period or a room may end then */
    size_t limited; /* rooms with a longest duration */
} memory_store;

/* ---- finding ---- */

static memory_room *find_room(const memory_store *s, const char *room_id)
{
    uint64_t key;

    if (duet_store_name_key(&key, s->secret, room_id) != DUET_OK)
        return NULL;
    memory_room *r = duet_map_get(&s->rooms, key);
    return r && strcmp(r->room.id, room_id) == 0 ? r : NULL;
}

static memory_seat *find_seat(const memory_store *s, const char *seat_id)
{
    memory_seat *seat = duet_map_get(&s->seats, duet_store_random_key(seat_id));

    return seat && strcmp(seat->who.id, seat_id) == 0 ? seat : NULL;
}

static memory_seat *find_resumable(const memory_store *s, const char *resume_hash)
{
    memory_seat *seat = duet_map_get(&s->resumable, duet_store_random_key(resume_hash));

    return seat && strcmp(seat->resume_hash, resume_hash) == 0 ? seat : NULL;
}

static memory_seat *seat_at(const memory_room *r, size_t i)
{
    return *(memory_seat **)duet_array_at(&r->seats, i);
}

/* ---- telling ---- */

static int tell(memory_store *s, memory_seat *seat, const char *text, size_t len)
{
    int err = duet_seat_log_add(&seat->log, text, len);

    if (err == DUET_OK && seat->connected)
        s->events.message(s->events.user, seat->who.id, seat->log.last, text, len);
    if (err != DUET_OK) /* a message is missing: the seat goes at the next tick, rather than go on with a hole */
        seat->grace_end = s->next = 0;
    return err;
}

static void tell_signal(memory_store *s, memory_seat *seat, const duet_signal *message)
{
    duet_buffer text;

    duet_buffer_init(&text, &s->env);
    if (duet_signal_write(&text, message) == DUET_OK)
        (void)tell(s, seat, (const char *)text.data, text.len);
    duet_buffer_free(&text);
}

static void tell_all(memory_store *s, const memory_room *r, const memory_seat *except, const duet_signal *message)
{
    duet_buffer text;

    duet_buffer_init(&text, &s->env);
    if (duet_signal_write(&text, message) == DUET_OK) {
        for (size_t i = 0; i < r->seats.count; i++) {
            if (seat_at(r, i) != except)
                (void)tell(s, seat_at(r, i), (const char *)text.data, text.len);
        }
    }
    duet_buffer_free(&text);
}

/* ---- topology ---- */

static const memory_seat *sfu_of(const memory_room *r)
{
    for (size_t i = 0; i < r->seats.count; i++) {
        if (strcmp(seat_at(r, i)->who.role, DUET_ROLE_SFU) == 0)
            return seat_at(r, i);
    }
    return NULL;
}

static size_t people_count(const memory_room *r)
{
    size_t count = 0;

    for (size_t i = 0; i < r->seats.count; i++)
        count += strcmp(seat_at(r, i)->who.role, DUET_ROLE_SFU) != 0;
    return count;
}

static const memory_seat *sfu_in_use(const memory_room *r)
{
    return people_count(r) > r->mesh_limit ? sfu_of(r) : NULL;
}

static void check_topology(memory_store *s, memory_room *r, const memory_seat *newcomer)
{
    const memory_seat *sfu = sfu_in_use(r);
    duet_signal topology = {.type = DUET_SIGNAL_TOPOLOGY,
                            .room_id = r->room.id,
                            .topology = sfu ? "sfu" : "mesh",
                            .sfu = sfu ? sfu->who.id : NULL};

    if (sfu == r->sfu)
        return;
    r->sfu = sfu;
    tell_all(s, r, newcomer, &topology);
}

/* ---- rooms ---- */

static int add_room(memory_store *s, const duet_room *room, memory_room **out)
{
    uint64_t key;

    int err = duet_store_name_key(&key, s->secret, room->id);
    if (err != DUET_OK)
        return err;
    if (duet_map_get(&s->rooms, key))
        return DUET_ERR_STATE;
    if (s->rooms.count >= s->max_rooms)
        return DUET_ERR_LIMIT;
    memory_room *r = duet_calloc(&s->env, sizeof(*r));
    if (!r)
        return DUET_ERR_NOMEM;
    r->room = *room;
    r->key = key;
    r->mesh_limit = DUET_PARTICIPANTS_MAX;
    duet_array_init(&r->seats, &s->env, sizeof(memory_seat *));
    err = duet_map_set(&s->rooms, key, r);
    if (err != DUET_OK) {
        duet_free(&s->env, r);
        return err;
    }
    s->limited += room->max_duration != 0;
    s->next = room->max_duration ? 0 : s->next; /* the next tick finds out when it ends */
    *out = r;
    return DUET_OK;
}

static void room_create(void *store, const duet_room *room, duet_store_done done, void *user)
{
    memory_room *ignored;

    done(user, add_room(store, room, &ignored));
}

static void room_get(void *store, const char *room_id, duet_store_room_done done, void *user)
{
    const memory_room *r = find_room(store, room_id);

    if (r)
        done(user, DUET_OK, &r->room, r->seats.count);
    else
        done(user, DUET_ERR_NOT_FOUND, NULL, 0);
}

static void room_list(void *store, duet_store_rooms_done done, void *user)
{
    const memory_store *s = store;
    size_t cursor = 0;
    uint64_t key;
    void *value;

    while (duet_map_next(&s->rooms, &cursor, &key, &value)) {
        const memory_room *r = value;
        done(user, DUET_OK, &r->room, r->seats.count);
    }
    done(user, DUET_OK, NULL, 0);
}

static void room_update(void *store, const duet_room *room, duet_store_done done, void *user)
{
    memory_store *s = store;
    memory_room *r = find_room(s, room->id);

    if (!r) {
        done(user, DUET_ERR_NOT_FOUND);
        return;
    }
    duet_room updated = *room;
    memcpy(updated.created_by, r->room.created_by, sizeof(updated.created_by));
    updated.created_at = r->room.created_at;
    updated.transient = r->room.transient;
    s->limited = s->limited - (r->room.max_duration != 0) + (updated.max_duration != 0);
    s->next = updated.max_duration ? 0 : s->next;
    r->room = updated;
    done(user, DUET_OK);
}

static void free_seat(memory_store *s, memory_seat *seat)
{
    duet_map_remove(&s->seats, seat->key);
    duet_map_remove(&s->resumable, seat->resume_key);
    duet_seat_log_free(&seat->log);
    duet_free(&s->env, seat);
}

static void free_room(memory_store *s, memory_room *r)
{
    s->limited -= r->room.max_duration != 0;
    duet_map_remove(&s->rooms, r->key);
    duet_array_free(&r->seats);
    duet_free(&s->env, r);
}

static void dismiss(memory_store *s, memory_seat *seat, const char *reason)
{
    if (seat->connected)
        s->events.removed(s->events.user, seat->who.id, reason);
    free_seat(s, seat);
}

static void close_room(memory_store *s, memory_room *r, const char *reason)
{
    while (r->seats.count > 0) {
        memory_seat *seat = seat_at(r, r->seats.count - 1);
        duet_signal left = {
            .type = DUET_SIGNAL_USER_LEFT, .room_id = r->room.id, .user_id = seat->who.id, .reason = reason};
        tell_signal(s, seat, &left);
        duet_array_remove(&r->seats, r->seats.count - 1);
        dismiss(s, seat, reason);
    }
    free_room(s, r);
}

static void room_remove(void *store, const char *room_id, duet_store_done done, void *user)
{
    memory_room *r = find_room(store, room_id);

    if (r)
        close_room(store, r, "closed");
    done(user, r ? DUET_OK : DUET_ERR_NOT_FOUND);
}

static void people(void *store, const char *room_id, duet_store_people_done done, void *user)
{
    const memory_room *r = find_room(store, room_id);

    for (size_t i = 0; r && i < r->seats.count; i++)
        done(user, DUET_OK, &seat_at(r, i)->who);
    done(user, r ? DUET_OK : DUET_ERR_NOT_FOUND, NULL);
}

/* ---- joining ---- */

static void decide_role(duet_participant *who, const duet_room *room)
{
    if (!who->role[0])
        strcpy(who->role, strcmp(who->agent_id, room->created_by) == 0 ? "owner" : "participant");
}

static int make_seat(memory_store *s, memory_seat **out, memory_room *r, const duet_store_join *join)
{
    memory_seat *seat = duet_calloc(&s->env, sizeof(*seat));

    if (!seat)
        return DUET_ERR_NOMEM;
    seat->who = join->who;
    decide_role(&seat->who, &r->room);
    seat->room = r;
    seat->key = duet_store_random_key(join->who.id);
    seat->resume_key = duet_store_random_key(join->resume_hash);
    memcpy(seat->resume_hash, join->resume_hash, strnlen(join->resume_hash, DUET_SEAT_HASH_LEN));
    duet_seat_log_init(&seat->log, &s->env);
    seat->connected = true;
    seat->grace_end = DUET_NEVER;
    int err = DUET_OK;
    if (duet_map_get(&s->seats, seat->key) || duet_map_get(&s->resumable, seat->resume_key))
        err = DUET_ERR_STATE; /* their ids are random: never by chance */
    memory_seat **place = err == DUET_OK ? duet_array_push(&r->seats) : NULL;
    if (!place) {
        duet_free(&s->env, seat);
        return err == DUET_OK ? DUET_ERR_NOMEM : err;
    }
    *place = seat;
    err = duet_map_set(&s->seats, seat->key, seat);
    if (err == DUET_OK)
        err = duet_map_set(&s->resumable, seat->resume_key, seat);
    if (err != DUET_OK) {
        duet_array_remove(&r->seats, r->seats.count - 1);
        free_seat(s, seat);
        return err;
    }
    *out = seat;
    return DUET_OK;
}

static void welcome(memory_store *s, memory_room *r, memory_seat *seat, const duet_store_join *join)
{
    const memory_seat *sfu = sfu_in_use(r);
    duet_signaling_user users[DUET_PARTICIPANTS_MAX];
    duet_signal message = {.type = DUET_SIGNAL_ROOM_USERS,
                           .id = join->request_id,
                           .room_id = r->room.id,
                           .self = seat->who.id,
                           .topology = sfu ? "sfu" : "mesh",
                           .sfu = sfu ? sfu->who.id : NULL,
                           .users = users,
                           .members = join->members};

    for (size_t i = 0; i < r->seats.count && i < DUET_PARTICIPANTS_MAX; i++) {
        const duet_participant *p = &seat_at(r, i)->who;
        users[message.user_count++] = (duet_signaling_user){p->id, p->agent_id, p->role};
    }
    tell_signal(s, seat, &message);
}

static int check_seats(const memory_room *r, const duet_store_join *join)
{
    bool is_sfu = strcmp(join->who.role, DUET_ROLE_SFU) == 0;

    if (r->seats.count >= r->room.max_participants || r->seats.count >= DUET_PARTICIPANTS_MAX)
        return DUET_ERR_LIMIT;
    if (!is_sfu && people_count(r) >= join->mesh_limit && !sfu_of(r))
        return DUET_ERR_UNSUPPORTED;
    return DUET_OK;
}

static int take_seat(memory_store *s, const duet_store_join *join)
{
    memory_room *r = find_room(s, join->room_id);
    memory_seat *seat = NULL;
    bool made = false;
    int err = DUET_OK;

    if (!r && !join->make)
        return DUET_ERR_NOT_FOUND;
    if (!r) {
        err = add_room(s, join->make, &r);
        if (err != DUET_OK)
            return err == DUET_ERR_LIMIT ? DUET_ERR_TOO_LARGE : err;
        made = true;
    }
    err = check_seats(r, join);
    if (err == DUET_OK)
        err = make_seat(s, &seat, r, join);
    if (err != DUET_OK) {
        if (made)
            free_room(s, r);
        return err;
    }
    r->mesh_limit = join->mesh_limit;
    duet_signal joined = {.type = DUET_SIGNAL_USER_JOINED,
                          .room_id = r->room.id,
                          .user = {seat->who.id, seat->who.agent_id, seat->who.role}};
    tell_all(s, r, seat, &joined);
    welcome(s, r, seat, join);
    check_topology(s, r, seat);
    return DUET_OK;
}

static void join(void *store, const duet_store_join *join, duet_store_done done, void *user)
{
    done(user, take_seat(store, join));
}

/* ---- leaving ---- */

static void remove_seat(memory_store *s, memory_seat *seat, const char *reason)
{
    memory_room *r = seat->room;
    duet_signal left = {
        .type = DUET_SIGNAL_USER_LEFT, .room_id = r->room.id, .user_id = seat->who.id, .reason = reason};

    tell_all(s, r, NULL, &left);
    for (size_t i = 0; i < r->seats.count; i++) {
        if (seat_at(r, i) == seat) {
            duet_array_remove(&r->seats, i);
            break;
        }
    }
    dismiss(s, seat, reason);
    check_topology(s, r, NULL);
    if (r->seats.count == 0 && r->room.transient)
        free_room(s, r);
}

static void leave(void *store, const char *seat_id, const char *reason)
{
    memory_seat *seat = find_seat(store, seat_id);

    if (seat)
        remove_seat(store, seat, reason);
}

static void kick(void *store, const char *room_id, const char *seat_id, duet_store_done done, void *user)
{
    memory_seat *seat = find_seat(store, seat_id);
    bool there = seat && strcmp(seat->room->room.id, room_id) == 0;

    if (there)
        remove_seat(store, seat, "kicked");
    done(user, there ? DUET_OK : DUET_ERR_NOT_FOUND);
}

static void detach(void *store, const char *seat_id, duet_time grace, duet_time now)
{
    memory_store *s = store;
    memory_seat *seat = find_seat(s, seat_id);

    if (!seat)
        return;
    seat->connected = false;
    seat->grace_end = now + grace;
    s->next = seat->grace_end < s->next ? seat->grace_end : s->next;
}

/* ---- coming back ---- */

static void resume(void *store, const char *resume_hash, const char *agent_id, uint64_t last_seq,
                   const char *request_id, duet_store_seat_done done, void *user)
{
    memory_store *s = store;
    memory_seat *seat = find_resumable(s, resume_hash);

    if (!seat || strcmp(seat->who.agent_id, agent_id) != 0) {
        done(user, seat ? DUET_ERR_AUTH : DUET_ERR_NOT_FOUND, NULL);
        return;
    }
    if (seat->connected)
        s->events.replaced(s->events.user, seat->who.id);
    if (last_seq > seat->log.last || (last_seq < seat->log.last && !duet_seat_log_get(&seat->log, last_seq + 1))) {
        seat->connected = false; /* nobody to be told */
        remove_seat(s, seat, "left");
        done(user, DUET_ERR_LIMIT, NULL);
        return;
    }
    duet_store_seat found = {.who = seat->who, .received = seat->received};
    memcpy(found.room_id, seat->room->room.id, sizeof(found.room_id));
    seat->connected = true;
    seat->grace_end = DUET_NEVER;
    uint64_t last = seat->log.last;
    done(user, DUET_OK, &found);
    for (uint64_t n = last_seq + 1; n <= last; n++) {
        const duet_seat_message *m = duet_seat_log_get(&seat->log, n);
        s->events.message(s->events.user, seat->who.id, n, m->text, m->len);
    }
    duet_signal message = {.type = DUET_SIGNAL_RESUMED,
                           .id = request_id,
                           .room_id = found.room_id,
                           .self = found.who.id,
                           .received = found.received};
    tell_signal(s, seat, &message);
}

/* ---- passing on ---- */

static int pass(memory_store *s, memory_seat *from, const char *to, const char *text, size_t len, uint64_t number)
{
    int err = DUET_OK;

    if (number != 0 && number <= from->received)
        return DUET_OK;
    if (to) {
        memory_seat *seat = find_seat(s, to);
        if (!seat || seat == from || seat->room != from->room)
            return DUET_ERR_NOT_FOUND;
        err = tell(s, seat, text, len);
    } else {
        for (size_t i = 0; i < from->room->seats.count && err == DUET_OK; i++) {
            if (seat_at(from->room, i) != from)
                err = tell(s, seat_at(from->room, i), text, len);
        }
    }
    if (err == DUET_OK && number != 0)
        from->received = number;
    return err;
}

static void relay(void *store, const char *from, const char *to, const char *text, size_t len, uint64_t number,
                  duet_store_done done, void *user)
{
    memory_seat *seat = find_seat(store, from);

    done(user, seat ? pass(store, seat, to, text, len, number) : DUET_ERR_NOT_FOUND);
}

static void post(void *store, const char *seat_id, const char *text, size_t len, uint64_t number)
{
    memory_seat *seat = find_seat(store, seat_id);

    if (!seat || (number != 0 && number <= seat->received))
        return;
    if (tell(store, seat, text, len) == DUET_OK && number != 0)
        seat->received = number;
}

/* ---- time ---- */

static duet_time room_end(const memory_room *r, duet_time now, int64_t wall_seconds)
{
    int64_t left = r->room.created_at + (int64_t)r->room.max_duration * MINUTE - wall_seconds;

    if (r->room.max_duration == 0)
        return DUET_NEVER;
    return left > 0 ? now + DUET_SECONDS((uint64_t)left) : 0;
}

/* Visiting and removing do not mix: one is found, and the search begins anew. */
static bool remove_one_overdue(memory_store *s, duet_time now, int64_t wall_seconds)
{
    size_t cursor = 0;
    uint64_t key;
    void *value;

    s->next = DUET_NEVER;
    while (duet_map_next(&s->seats, &cursor, &key, &value)) {
        memory_seat *seat = value;
        if (seat->grace_end <= now) {
            remove_seat(s, seat, "timeout");
            return true;
        }
        s->next = seat->grace_end < s->next ? seat->grace_end : s->next;
    }
    for (cursor = 0; s->limited > 0 && duet_map_next(&s->rooms, &cursor, &key, &value);) {
        duet_time end = room_end(value, now, wall_seconds);
        if (end <= now) {
            close_room(s, value, "expired");
            return true;
        }
        s->next = end < s->next ? end : s->next;
    }
    return false;
}

static void tick(void *store, duet_time now, int64_t wall_seconds)
{
    memory_store *s = store;

    while (now >= s->next && remove_one_overdue(s, now, wall_seconds))
        s->next = 0;
}

static duet_time deadline(const void *store)
{
    return ((const memory_store *)store)->next;
}

static int status(const void *store, const char **reason)
{
    (void)store;
    if (reason)
        *reason = NULL;
    return DUET_OK;
}

/* ---- life ---- */

static void destroy(void *store)
{
    memory_store *s = store;
    size_t cursor = 0;
    uint64_t key;
    void *value;

    if (!s)
        return;
    while (duet_map_next(&s->seats, &cursor, &key, &value)) {
        memory_seat *seat = value;
        duet_seat_log_free(&seat->log);
        duet_free(&s->env, seat);
    }
    for (cursor = 0; duet_map_next(&s->rooms, &cursor, &key, &value);) {
        memory_room *r = value;
        duet_array_free(&r->seats);
        duet_free(&s->env, r);
    }
    duet_map_free(&s->rooms);
    duet_map_free(&s->seats);
    duet_map_free(&s->resumable);
    duet_wipe(s->secret, sizeof(s->secret));
    duet_env env = s->env;
    duet_free(&env, s);
}

static const duet_store_ops memory_ops = {
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

int duet_store_memory_create(duet_store *out, const duet_env *env, size_t max_rooms, const duet_store_events *events)
{
    duet_env resolved = duet_env_resolve(env);
    memory_store *s = duet_calloc(&resolved, sizeof(*s));

    *out = (duet_store){NULL, NULL};
    if (!s)
        return DUET_ERR_NOMEM;
    s->env = resolved;
    s->max_rooms = max_rooms;
    s->events = *events;
    s->next = DUET_NEVER;
    int err = duet_map_init(&s->rooms, &s->env);
    if (err == DUET_OK)
        err = duet_map_init(&s->seats, &s->env);
    if (err == DUET_OK)
        err = duet_map_init(&s->resumable, &s->env);
    if (err == DUET_OK)
        err = duet_random(&s->env, s->secret, sizeof(s->secret));
    if (err != DUET_OK) {
        destroy(s);
        return err;
    }
    *out = (duet_store){&memory_ops, s};
    return DUET_OK;
}
