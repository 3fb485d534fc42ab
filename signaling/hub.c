/* Seats of this server by their ids, and the way from the store's events to them. */
#include "signaling/hub.h"
#include "base/crypto.h"
#include "base/map.h"
#include "signaling/encode.h"
#include "signaling/protocol.h"
#include "signaling/store_key.h"
#include <string.h>

struct duet_hub {
    duet_env env;
    duet_hub_config config;
    duet_store store;
    duet_map seats; /* duet_seat by the first bytes of their random ids */
    duet_hub_stats stats;
    duet_buffer scratch;
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
    duet_buffer_init(&hub->scratch, &hub->env);
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
    if (hub->store.ops)
        hub->store.ops->destroy(hub->store.self);
    duet_map_free(&hub->seats);
    duet_buffer_free(&hub->scratch);
    duet_env env = hub->env;
    duet_free(&env, hub);
}

const duet_env *duet_hub_env(const duet_hub *hub)
{
    return &hub->env;
}

duet_store *duet_hub_store(duet_hub *hub)
{
    return &hub->store;
}

void duet_hub_use_store(duet_hub *hub, duet_store store)
{
    hub->store = store;
}

const duet_hub_config *duet_hub_settings(const duet_hub *hub)
{
    return &hub->config;
}

void duet_hub_configure(duet_hub *hub, const duet_hub_config *config)
{
    duet_hub_config old = hub->config;

    hub->config = *config;
    hub->config.env = old.env;
    hub->config.auth = old.auth;
    hub->config.limits = old.limits;
}

duet_hub_stats *duet_hub_count(duet_hub *hub)
{
    return &hub->stats;
}

duet_buffer *duet_hub_scratch(duet_hub *hub)
{
    if (hub->scratch.failed)
        duet_buffer_free(&hub->scratch);
    duet_buffer_clear(&hub->scratch);
    return &hub->scratch;
}

/* ---- seats ---- */

static duet_seat *find_seat(const duet_hub *hub, const char *id)
{
    duet_seat *seat = duet_map_get(&hub->seats, duet_store_random_key(id));

    return seat && strcmp(seat->id, id) == 0 ? seat : NULL;
}

static int register_seat(duet_hub *hub, duet_seat *seat)
{
    int err = duet_map_set(&hub->seats, duet_store_random_key(seat->id), seat);

    seat->seated = err == DUET_OK;
    return err;
}

void duet_hub_unseat(duet_hub *hub, duet_seat *seat)
{
    if (seat->seated && find_seat(hub, seat->id) == seat)
        duet_map_remove(&hub->seats, duet_store_random_key(seat->id));
    seat->seated = false;
}

int duet_hub_seated(duet_hub *hub, duet_seat *seat, const duet_store_seat *found)
{
    memcpy(seat->id, found->who.id, sizeof(seat->id));
    memcpy(seat->room_id, found->room_id, sizeof(seat->room_id));
    return register_seat(hub, seat);
}

/* ---- what the store tells ---- */

static void on_message(void *user, const char *seat_id, uint64_t seq, const char *text, size_t len)
{
    const duet_seat *seat = find_seat(user, seat_id);

    if (seat)
        seat->callbacks.message(seat->callbacks.user, seq, text, len);
}

static void on_removed(void *user, const char *seat_id, const char *reason)
{
    duet_seat *seat = find_seat(user, seat_id);

    if (!seat)
        return;
    duet_hub_unseat(user, seat);
    seat->callbacks.removed(seat->callbacks.user, reason);
}

static void on_replaced(void *user, const char *seat_id)
{
    duet_seat *seat = find_seat(user, seat_id);

    if (!seat)
        return;
    duet_hub_unseat(user, seat);
    seat->callbacks.replaced(seat->callbacks.user);
}

duet_store_events duet_hub_events(duet_hub *hub)
{
    return (duet_store_events){on_message, on_removed, on_replaced, hub};
}

/* ---- joining ---- */

static int random_text(const duet_hub *hub, char *out, size_t bytes)
{
    uint8_t random[24];

    int err = duet_random(&hub->env, random, bytes);
    return err == DUET_OK ? duet_base64url_text(out, &hub->env, random, bytes) : err;
}

int duet_hub_resume_hash(char out[DUET_SEAT_HASH_LEN + 1], const duet_hub *hub, const char *token)
{
    uint8_t hash[DUET_SHA256_LEN];
    duet_iov part = {token, strlen(token)};

    int err = duet_sha256(hash, &part, 1);
    return err == DUET_OK ? duet_base64url_text(out, &hub->env, hash, sizeof(hash)) : err;
}

void duet_hub_write_ice_servers(duet_buffer *out, const duet_hub *hub, const char *agent_id, int64_t wall_seconds)
{
    const char *given = hub->config.ice_servers ? hub->config.ice_servers : "[]";
    size_t open = strcspn(given, "]");

    if (!hub->config.turn.urls) {
        duet_buffer_text(out, given);
        return;
    }
    duet_buffer_text(out, "[");
    duet_turn_issue(out, &hub->config.turn, agent_id, wall_seconds);
    bool more = strspn(given, "[ \t\r\n") < open; /* something stands between its brackets */
    duet_buffer_text(out, more ? "," : "");
    duet_buffer_text(out, given + 1);
}

static int make_identity(duet_hub *hub, duet_seat *seat, const char *room_id, char *token, char *hash)
{
    int err = random_text(hub, seat->id, 16);
    if (err == DUET_OK)
        err = random_text(hub, token, 24);
    if (err == DUET_OK)
        err = duet_hub_resume_hash(hash, hub, token);
    if (err == DUET_OK)
        duet_buffer_text(duet_hub_scratch(hub), "\"resumeToken\":\"");
    memcpy(seat->room_id, room_id, strlen(room_id) + 1);
    return err;
}

int duet_hub_join(duet_hub *hub, duet_seat *seat, const char *room_id, const duet_token_claims *who,
                  const char *request_id, int64_t wall_seconds, duet_store_done done, void *user)
{
    char token[DUET_RESUME_TOKEN_LEN + 1], hash[DUET_SEAT_HASH_LEN + 1];
    duet_room room = {.created_at = wall_seconds, .max_participants = hub->config.max_participants, .transient = true};
    duet_store_join join = {.room_id = room_id,
                            .who.joined_at = wall_seconds,
                            .resume_hash = hash,
                            .make = hub->config.rooms_on_join ? &room : NULL,
                            .mesh_limit = hub->config.mesh_limit,
                            .request_id = request_id};

    int err = make_identity(hub, seat, room_id, token, hash);
    if (err != DUET_OK)
        return err;
    duet_buffer *members = &hub->scratch;
    duet_buffer_printf(members, "%s\",\"iceServers\":", token);
    duet_hub_write_ice_servers(members, hub, who->subject, wall_seconds);
    duet_wipe(token, sizeof(token));
    if (members->failed)
        return DUET_ERR_NOMEM;
    memcpy(join.who.id, seat->id, sizeof(join.who.id));
    memcpy(join.who.agent_id, who->subject, sizeof(join.who.agent_id));
    memcpy(join.who.role, who->role, sizeof(join.who.role));
    memcpy(room.id, room_id, strlen(room_id) + 1);
    memcpy(room.created_by, who->subject, sizeof(room.created_by));
    join.members = (const char *)members->data;
    err = register_seat(hub, seat);
    if (err == DUET_OK)
        hub->store.ops->join(hub->store.self, &join, done, user);
    return err;
}
