/* The store of a single server: rooms in a hash table, participants in arrays. Names that clients choose are hashed
 * with a random key, so that nobody can aim for collisions. */
#include "base/crypto.h"
#include "base/map.h"
#include "signaling/store.h"
#include <string.h>

typedef struct memory_room {
    duet_room room;
    uint64_t key;
    duet_array participants; /* of duet_participant */
} memory_room;

typedef struct memory_store {
    duet_env env;
    duet_map rooms;
    size_t max_rooms;
    uint8_t secret[16];
} memory_store;

/* 64 bits of a keyed hash: two names that share them cannot be found without the key, and are taken for the same only
 * after the comparison in find_room. */
static int key_of(const memory_store *s, const char *room_id, uint64_t *key)
{
    uint8_t mac[DUET_SHA256_LEN];
    duet_iov part = {room_id, strlen(room_id)};

    int err = duet_hmac_sha256(mac, s->secret, sizeof(s->secret), &part, 1);
    memcpy(key, mac, sizeof(*key));
    return err;
}

static memory_room *find_room(const memory_store *s, const char *room_id)
{
    uint64_t key;

    if (key_of(s, room_id, &key) != DUET_OK)
        return NULL;
    memory_room *r = duet_map_get(&s->rooms, key);
    return r && strcmp(r->room.id, room_id) == 0 ? r : NULL;
}

static int room_create(void *store, const duet_room *room)
{
    memory_store *s = store;
    uint64_t key;

    int err = key_of(s, room->id, &key);
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
    duet_array_init(&r->participants, &s->env, sizeof(duet_participant));
    err = duet_map_set(&s->rooms, key, r);
    if (err != DUET_OK)
        duet_free(&s->env, r);
    return err;
}

static int room_get(void *store, const char *room_id, duet_room *out)
{
    const memory_room *r = find_room(store, room_id);

    if (r && out)
        *out = r->room;
    return r ? DUET_OK : DUET_ERR_NOT_FOUND;
}

static void free_room(memory_store *s, memory_room *r)
{
    duet_array_free(&r->participants);
    duet_free(&s->env, r);
}

static int room_remove(void *store, const char *room_id)
{
    memory_store *s = store;
    memory_room *r = find_room(s, room_id);

    if (!r)
        return DUET_ERR_NOT_FOUND;
    duet_map_remove(&s->rooms, r->key);
    free_room(s, r);
    return DUET_OK;
}

static void room_each(void *store, duet_room_visit visit, void *user)
{
    const memory_store *s = store;
    size_t cursor = 0;
    uint64_t key;
    void *value;

    while (duet_map_next(&s->rooms, &cursor, &key, &value)) {
        const memory_room *r = value;
        visit(user, &r->room, r->participants.count);
    }
}

static int participant_add(void *store, const char *room_id, const duet_participant *p)
{
    memory_room *r = find_room(store, room_id);

    if (!r)
        return DUET_ERR_NOT_FOUND;
    if (r->participants.count >= r->room.max_participants)
        return DUET_ERR_LIMIT;
    duet_participant *added = duet_array_push(&r->participants);
    if (!added)
        return DUET_ERR_NOMEM;
    *added = *p;
    return DUET_OK;
}

static int participant_remove(void *store, const char *room_id, const char *id)
{
    memory_room *r = find_room(store, room_id);

    for (size_t i = 0; r && i < r->participants.count; i++) {
        const duet_participant *p = duet_array_at(&r->participants, i);
        if (strcmp(p->id, id) != 0)
            continue;
        duet_array_remove(&r->participants, i);
        return DUET_OK;
    }
    return DUET_ERR_NOT_FOUND;
}

static int participant_each(void *store, const char *room_id, duet_participant_visit visit, void *user)
{
    const memory_room *r = find_room(store, room_id);

    for (size_t i = 0; r && i < r->participants.count; i++)
        visit(user, duet_array_at(&r->participants, i));
    return r ? DUET_OK : DUET_ERR_NOT_FOUND;
}

static void destroy(void *store)
{
    memory_store *s = store;
    size_t cursor = 0;
    uint64_t key;
    void *value;

    if (!s)
        return;
    while (duet_map_next(&s->rooms, &cursor, &key, &value))
        free_room(s, value);
    duet_map_free(&s->rooms);
    duet_wipe(s->secret, sizeof(s->secret));
    duet_env env = s->env;
    duet_free(&env, s);
}

int duet_store_memory_create(void **out, const duet_env *env, size_t max_rooms)
{
    duet_env resolved = duet_env_resolve(env);
    memory_store *s = duet_calloc(&resolved, sizeof(*s));

    *out = NULL;
    if (!s)
        return DUET_ERR_NOMEM;
    s->env = resolved;
    s->max_rooms = max_rooms;
    int err = duet_map_init(&s->rooms, &s->env);
    if (err == DUET_OK)
        err = duet_random(&s->env, s->secret, sizeof(s->secret));
    if (err != DUET_OK) {
        destroy(s);
        return err;
    }
    *out = s;
    return DUET_OK;
}

const duet_store_ops *duet_store_memory_ops(void)
{
    static const duet_store_ops ops = {
        .room_create = room_create,
        .room_get = room_get,
        .room_remove = room_remove,
        .room_each = room_each,
        .participant_add = participant_add,
        .participant_remove = participant_remove,
        .participant_each = participant_each,
        .destroy = destroy,
    };

    return &ops;
}
