/* REST interface of the room server: rooms are created, listed, joined and closed with it. Errors are problem details
 * (RFC 9457); tokens come as RFC 6750 has it. */
#include "signaling/rest.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct rest_call {
    duet_hub *hub;
    const duet_env *env;
    const duet_store_ops *store_ops;
    void *store;
    const duet_rest_request *request;
    duet_rest_response *out;
    duet_token_claims who;
    char room_id[DUET_ROOM_ID_MAX + 1];
} rest_call;

/* ---- responses ---- */

const char *duet_http_reason(int status)
{
    static const struct {
        int status;
        const char *title;
    } titles[] = {{200, "OK"},
                  {201, "Created"},
                  {204, "No Content"},
                  {400, "Bad Request"},
                  {401, "Unauthorized"},
                  {403, "Forbidden"},
                  {404, "Not Found"},
                  {405, "Method Not Allowed"},
                  {409, "Conflict"},
                  {413, "Content Too Large"},
                  {426, "Upgrade Required"},
                  {500, "Internal Server Error"},
                  {503, "Service Unavailable"}};

    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
        if (titles[i].status == status)
            return titles[i].title;
    }
    return "Error";
}

static int respond(duet_rest_response *out, int status, const char *type, json_t *body)
{
    out->status = status;
    out->type = type;
    int err = duet_json_write(&out->body, body);
    json_decref(body);
    return err;
}

int duet_rest_problem(duet_rest_response *out, const duet_env *env, int status, const char *detail)
{
    duet_buffer_init(&out->body, env);
    out->authenticate = status == 401;
    return respond(out, status, "application/problem+json",
                   json_pack("{s:s,s:s,s:i,s:s}", "type", "about:blank", "title", duet_http_reason(status), "status",
                             status, "detail", detail));
}

static int problem(rest_call *c, int status, const char *detail)
{
    return duet_rest_problem(c->out, c->env, status, detail);
}

static int reply(rest_call *c, int status, json_t *body)
{
    return respond(c->out, status, "application/json", body);
}

static int no_content(rest_call *c)
{
    c->out->status = 204;
    return DUET_OK;
}

/* ---- rooms as JSON ---- */

static json_t *date_json(int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    char text[40];

    if (!gmtime_r(&t, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return json_null();
    return json_string(text);
}

static json_t *room_json(const duet_room *room, size_t participants)
{
    return json_pack("{s:s,s:s,s:s,s:i,s:s,s:o,s:{s:b,s:b,s:i},s:I}", "roomId", room->id, "name", room->name, "type",
                     room->kind == DUET_ROOM_VIDEO ? "video" : "voice", "maxParticipants", (int)room->max_participants,
                     "createdBy", room->created_by, "createdAt", date_json(room->created_at), "settings", "muteOnEntry",
                     (int)room->mute_on_entry, "allowRecording", (int)room->allow_recording, "maxDuration",
                     (int)room->max_duration, "participantCount", (json_int_t)participants);
}

static json_t *participant_json(const duet_participant *p)
{
    return json_pack("{s:s,s:s,s:s,s:o}", "id", p->id, "agentId", p->agent_id, "role", p->role, "joinedAt",
                     date_json(p->joined_at));
}

/* ---- POST /api/rooms ---- */

static bool read_flag(const json_t *object, const char *name, bool *out)
{
    const json_t *value = json_object_get(object, name);

    *out = json_is_true(value);
    return !value || json_is_boolean(value);
}

static bool read_count(const json_t *object, const char *name, json_int_t min, json_int_t max, unsigned *out)
{
    const json_t *value = json_object_get(object, name);

    if (!value)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
        return false;
    *out = (unsigned)json_integer_value(value);
    return true;
}

static bool read_name(const json_t *object, duet_room *room)
{
    const json_t *value = json_object_get(object, "name");
    const char *name = value ? json_string_value(value) : "";

    return name && duet_text_copy(room->name, sizeof(room->name), (duet_bytes){(const uint8_t *)name, strlen(name)});
}

static bool read_kind(const json_t *object, duet_room *room)
{
    const json_t *value = json_object_get(object, "type");
    const char *kind = value ? json_string_value(value) : "voice";

    room->kind = kind && strcmp(kind, "video") == 0 ? DUET_ROOM_VIDEO : DUET_ROOM_VOICE;
    return kind && (room->kind == DUET_ROOM_VIDEO || strcmp(kind, "voice") == 0);
}

/* @return NULL, or what is wrong */
static const char *read_room(const json_t *object, duet_room *room)
{
    const json_t *settings = json_object_get(object, "settings");

    if (!read_name(object, room))
        return "name is a text of at most 128 bytes";
    if (!read_kind(object, room))
        return "type is \"voice\" or \"video\"";
    if (!read_count(object, "maxParticipants", 1, DUET_PARTICIPANTS_MAX, &room->max_participants))
        return "maxParticipants is a number from 1 to 256";
    if (settings && !json_is_object(settings))
        return "settings is an object";
    if (!read_flag(settings, "muteOnEntry", &room->mute_on_entry) ||
        !read_flag(settings, "allowRecording", &room->allow_recording))
        return "muteOnEntry and allowRecording are true or false";
    if (!read_count(settings, "maxDuration", 0, 525600, &room->max_duration))
        return "maxDuration is a number of minutes up to 525600";
    return NULL;
}

/* RFC 9562 section 5.4: a random UUID. */
static int make_uuid(const duet_env *env, char out[37])
{
    uint8_t r[16];

    int err = duet_random(env, r, sizeof(r));
    r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
    r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2], r[3],
             r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
    return err;
}

static int create_room(rest_call *c)
{
    duet_room room = {.max_participants = duet_hub_settings(c->hub)->max_participants,
                      .created_at = c->request->wall_seconds};
    json_t *object = NULL;
    const char *wrong = NULL;

    if (!(c->who.permissions & DUET_TOKEN_CREATE))
        return problem(c, 403, "the token does not allow to create rooms");
    int err = duet_json_parse_object(&object, c->request->body_len ? c->request->body : "{}",
                                     c->request->body_len ? c->request->body_len : 2, &wrong);
    if (err == DUET_OK)
        wrong = read_room(object, &room);
    json_decref(object);
    if (err == DUET_ERR_NOMEM)
        return err;
    if (wrong)
        return problem(c, 400, wrong);
    memcpy(room.created_by, c->who.subject, sizeof(room.created_by));
    err = make_uuid(c->env, room.id);
    if (err == DUET_OK)
        err = c->store_ops->room_create(c->store, &room);
    if (err == DUET_ERR_LIMIT)
        return problem(c, 503, "the server holds no more rooms");
    if (err != DUET_OK)
        return err;
    snprintf(c->out->location, sizeof(c->out->location), "/api/rooms/%s", room.id);
    return reply(c, 201, room_json(&room, 0));
}

/* ---- GET /api/rooms, /api/rooms/:id, /api/rooms/:id/participants ---- */

static void add_room(void *user, const duet_room *room, size_t participants)
{
    json_array_append_new(user, room_json(room, participants));
}

static int list_rooms(rest_call *c)
{
    json_t *rooms = json_array();

    if (!rooms)
        return DUET_ERR_NOMEM;
    c->store_ops->room_each(c->store, add_room, rooms);
    return reply(c, 200, json_pack("{s:o}", "rooms", rooms));
}

static void count_participant(void *user, const duet_participant *p)
{
    (void)p;
    ++*(size_t *)user;
}

static int show_room(rest_call *c)
{
    duet_room room;
    size_t count = 0;

    int err = c->store_ops->room_get(c->store, c->room_id, &room);
    if (err != DUET_OK)
        return problem(c, 404, "there is no such room");
    c->store_ops->participant_each(c->store, c->room_id, count_participant, &count);
    return reply(c, 200, room_json(&room, count));
}

static void add_participant(void *user, const duet_participant *p)
{
    json_array_append_new(user, participant_json(p));
}

static int list_participants(rest_call *c)
{
    json_t *list = json_array();

    if (!list)
        return DUET_ERR_NOMEM;
    if (c->store_ops->participant_each(c->store, c->room_id, add_participant, list) == DUET_OK)
        return reply(c, 200, json_pack("{s:o}", "participants", list));
    json_decref(list);
    return problem(c, 404, "there is no such room");
}

/* ---- POST /api/rooms/:id/join, DELETE /api/rooms/:id ---- */

static int make_join_token(rest_call *c)
{
    duet_token_claims claims = {.permissions = DUET_TOKEN_JOIN,
                                .expires_at = c->request->wall_seconds + DUET_REST_JOIN_TOKEN_TTL};
    duet_room room;
    char *token;

    if (!(c->who.permissions & DUET_TOKEN_JOIN))
        return problem(c, 403, "the token does not allow to join rooms");
    if (c->store_ops->room_get(c->store, c->room_id, &room) != DUET_OK)
        return problem(c, 404, "there is no such room");
    memcpy(claims.subject, c->who.subject, sizeof(claims.subject));
    memcpy(claims.room, room.id, sizeof(claims.room));
    strcpy(claims.role, strcmp(room.created_by, c->who.subject) == 0 ? "owner" : "participant");
    int err = duet_token_sign(&token, c->env, &claims, c->request->secret, c->request->secret_len);
    if (err != DUET_OK)
        return err;
    json_t *body = json_pack("{s:s,s:o,s:s}", "token", token, "expiresAt", date_json(claims.expires_at), "url",
                             c->request->ws_url);
    duet_free(c->env, token);
    return reply(c, 200, body);
}

static int delete_room(rest_call *c)
{
    duet_room room;

    if (c->store_ops->room_get(c->store, c->room_id, &room) != DUET_OK)
        return problem(c, 404, "there is no such room");
    if (!(c->who.permissions & DUET_TOKEN_MODERATE) && strcmp(room.created_by, c->who.subject) != 0)
        return problem(c, 403, "only the room's creator and moderators may close it");
    duet_hub_close_room(c->hub, c->room_id);
    return no_content(c);
}

/* ---- routing ---- */

typedef int (*rest_handler)(rest_call *c);

static const struct route {
    const char *method, *rest; /* what follows the room id; NULL: the collection itself */
    rest_handler handler;
} routes[] = {
    {"GET", NULL, list_rooms},
    {"POST", NULL, create_room},
    {"GET", "", show_room},
    {"DELETE", "", delete_room},
    {"GET", "/participants", list_participants},
    {"POST", "/join", make_join_token},
};

static bool same_rest(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_not_slash(uint8_t c)
{
    return c != '/';
}

/* Splits the path behind /api/rooms into room id and rest. @return false for paths of nothing */
static bool split_path(rest_call *c, const char **rest)
{
    const char *path = c->request->path;
    duet_reader r = duet_text_reader(path, strlen(path));

    *rest = NULL;
    if (!duet_text_skip_word(&r, "/api/rooms"))
        return false;
    if (duet_text_at_end(&r))
        return true;
    if (!duet_text_skip(&r, '/') || !duet_text_copy(c->room_id, sizeof(c->room_id), duet_text_run(&r, is_not_slash)))
        return false;
    *rest = path + r.pos;
    return duet_room_id_valid(c->room_id);
}

static int dispatch(rest_call *c, const char *rest)
{
    bool exists = false;

    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (!same_rest(routes[i].rest, rest))
            continue;
        exists = true;
        if (strcmp(routes[i].method, c->request->method) == 0)
            return routes[i].handler(c);
    }
    if (!exists)
        return problem(c, 404, "there is nothing here");
    c->out->allow = !rest ? "GET, POST" : rest[0] == 0 ? "GET, DELETE" : rest[1] == 'j' ? "POST" : "GET";
    return problem(c, 405, "another method is meant here");
}

const char *duet_bearer_token(const char *authorization)
{
    duet_reader r = duet_text_reader(authorization, authorization ? strlen(authorization) : 0);

    if (!authorization || !duet_text_skip_word(&r, "bearer "))
        return NULL;
    while (duet_text_skip(&r, ' '))
        continue;
    return authorization + r.pos;
}

int duet_rest_handle(duet_rest_response *out, duet_hub *hub, const duet_rest_request *request)
{
    rest_call c = {.hub = hub, .env = duet_hub_env(hub), .request = request, .out = out};
    const char *token = duet_bearer_token(request->authorization), *why = NULL, *rest;

    *out = (duet_rest_response){.status = 500};
    duet_buffer_init(&out->body, c.env);
    c.store_ops = duet_hub_store(hub, &c.store);
    if (!token)
        return problem(&c, 401, "a bearer token is needed");
    int err = duet_token_verify(&c.who, c.env, token, strlen(token), request->secret, request->secret_len,
                                request->wall_seconds, &why);
    if (err == DUET_ERR_NOMEM)
        return err;
    if (err != DUET_OK)
        return problem(&c, 401, why);
    if (!split_path(&c, &rest))
        return problem(&c, 404, "there is nothing here");
    if (c.who.room[0] && strcmp(c.who.room, c.room_id) != 0)
        return problem(&c, 403, "the token is for another room");
    return dispatch(&c, rest);
}
