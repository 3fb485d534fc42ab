/* REST interface of the room server: who asks, for what, and the answers. Errors are problem details (RFC 9457); tokens come
 * as RFC 6750 has it. What rooms look like as JSON is in rest_room.c. */
#include "signaling/rest.h"
#include "base/text.h"
#include "signaling/date.h"
#include "signaling/rest_room.h"
#include <stdio.h>
#include <string.h>

struct duet_rest_call {
    duet_hub *hub;
    const duet_env *env;
    duet_store *store;
    duet_rest_done done; /* NULL: cancelled */
    void *user;
    bool inside; /* of duet_rest_start */
    bool finished;
    duet_auth_ticket *ticket;
    char *method, *path, *body, *ws_url;
    size_t body_len;
    duet_time now;
    int64_t wall_seconds;
    char address[DUET_ADDRESS_TEXT_MAX];
    duet_token_claims who;
    char room_id[DUET_ROOM_ID_MAX + 1], seat_id[DUET_SEAT_ID_LEN + 1];
    duet_room room;
    json_t *list, *object; /* being collected */
    duet_rest_response out;
};

typedef duet_rest_call rest_call;

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
                  {429, "Too Many Requests"},
                  {500, "Internal Server Error"},
                  {503, "Service Unavailable"}};

    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
        if (titles[i].status == status)
            return titles[i].title;
    }
    return "Error";
}

static void free_call(rest_call *c)
{
    duet_free(c->env, c->method);
    duet_free(c->env, c->path);
    duet_free(c->env, c->body);
    duet_free(c->env, c->ws_url);
    json_decref(c->list);
    json_decref(c->object);
    duet_buffer_free(&c->out.body);
    duet_free(c->env, c);
}

/* The end of a call: its response goes out. */
static void finish(rest_call *c, int err)
{
    c->finished = true;
    if (c->done)
        c->done(c->user, err == DUET_OK ? &c->out : NULL);
    if (!c->inside)
        free_call(c);
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

static void problem(rest_call *c, int status, const char *detail)
{
    finish(c, duet_rest_problem(&c->out, c->env, status, detail));
}

static void reply(rest_call *c, int status, json_t *body)
{
    finish(c, respond(&c->out, status, "application/json", body));
}

static void no_content(rest_call *c)
{
    c->out.status = 204;
    finish(c, DUET_OK);
}

/* What the store refused for reasons that no handler has words for. */
static void store_failed(rest_call *c, int err)
{
    switch (err) {
    case DUET_ERR_NOT_FOUND:
        problem(c, 404, "there is no such room");
        break;
    case DUET_ERR_LIMIT:
        problem(c, 503, "the server holds no more rooms");
        break;
    case DUET_ERR_STATE:
        problem(c, 409, "there is such a room already");
        break;
    case DUET_ERR_NOMEM:
        finish(c, err);
        break;
    default:
        problem(c, 503, "rooms cannot be reached at the moment");
    }
}

/* ---- POST /api/rooms ---- */

/* @return NULL, or what is wrong with the body; an absent one is {} */
static const char *read_body(const rest_call *c, duet_room *room, int *err)
{
    json_t *object = NULL;
    const char *wrong = NULL;

    *err = duet_json_parse_object(&object, c->body_len ? c->body : "{}", c->body_len ? c->body_len : 2, &wrong);
    if (*err == DUET_OK)
        wrong = duet_rest_read_room(object, room);
    json_decref(object);
    return wrong;
}

static void room_created(void *user, int err)
{
    rest_call *c = user;

    if (err != DUET_OK) {
        store_failed(c, err);
        return;
    }
    snprintf(c->out.location, sizeof(c->out.location), "/api/rooms/%s", c->room.id);
    reply(c, 201, duet_rest_room_json(&c->room, 0));
}

static void create_room(rest_call *c)
{
    int err;

    c->room =
        (duet_room){.max_participants = duet_hub_settings(c->hub)->max_participants, .created_at = c->wall_seconds};
    const char *wrong = read_body(c, &c->room, &err);
    if (err == DUET_ERR_NOMEM) {
        finish(c, err);
        return;
    }
    if (wrong) {
        problem(c, 400, wrong);
        return;
    }
    memcpy(c->room.created_by, c->who.subject, sizeof(c->room.created_by));
    err = duet_rest_make_uuid(c->env, c->room.id);
    if (err != DUET_OK)
        finish(c, err);
    else
        c->store->ops->room_create(c->store->self, &c->room, room_created, c);
}

/* ---- GET /api/rooms, /api/rooms/:id, /api/rooms/:id/participants ---- */

static void list_room(void *user, int err, const duet_room *room, size_t participants)
{
    rest_call *c = user;

    if (room)
        json_array_append_new(c->list, duet_rest_room_json(room, participants));
    else if (err != DUET_OK)
        store_failed(c, err);
    else
        reply(c, 200, json_pack("{s:O}", "rooms", c->list));
}

static void list_rooms(rest_call *c)
{
    c->list = json_array();
    if (c->list)
        c->store->ops->room_list(c->store->self, list_room, c);
    else
        finish(c, DUET_ERR_NOMEM);
}

static void list_person(void *user, int err, const duet_participant *p)
{
    rest_call *c = user;

    if (p) {
        json_array_append_new(c->list, duet_rest_participant_json(p));
        return;
    }
    if (err != DUET_OK) {
        store_failed(c, err);
        return;
    }
    json_t *body = c->object ? json_incref(c->object) : json_object();
    json_object_set(body, "participants", c->list);
    reply(c, 200, body);
}

static void list_participants(rest_call *c)
{
    c->list = json_array();
    if (c->list)
        c->store->ops->people(c->store->self, c->room_id, list_person, c);
    else
        finish(c, DUET_ERR_NOMEM);
}

static void show_room_found(void *user, int err, const duet_room *room, size_t participants)
{
    rest_call *c = user;

    if (err != DUET_OK) {
        store_failed(c, err);
        return;
    }
    c->object = duet_rest_room_json(room, participants);
    if (c->object)
        list_participants(c);
    else
        finish(c, DUET_ERR_NOMEM);
}

static void show_room(rest_call *c)
{
    c->store->ops->room_get(c->store->self, c->room_id, show_room_found, c);
}

/* ---- POST /api/rooms/:id/join ---- */

static void room_to_join(void *user, int err, const duet_room *room, size_t participants)
{
    rest_call *c = user;
    const duet_hub_config *k = duet_hub_settings(c->hub);
    duet_token_claims claims = {.permissions = DUET_TOKEN_JOIN,
                                .expires_at = c->wall_seconds + DUET_REST_JOIN_TOKEN_TTL};
    char expires_at[DUET_DATE_TEXT_MAX], *token = NULL;

    (void)participants;
    if (err != DUET_OK) {
        store_failed(c, err);
        return;
    }
    memcpy(claims.subject, c->who.subject, sizeof(claims.subject));
    memcpy(claims.room, room->id, sizeof(claims.room));
    strcpy(claims.role, strcmp(room->created_by, c->who.subject) == 0 ? "owner" : "participant");
    err = duet_token_sign(&token, c->env, &claims, k->join_secret, k->join_secret_len);
    if (err != DUET_OK) {
        finish(c, err);
        return;
    }
    duet_date_write(expires_at, claims.expires_at);
    json_t *body = json_pack("{s:s,s:s,s:s}", "token", token, "expiresAt", expires_at, "url", c->ws_url);
    duet_free(c->env, token);
    reply(c, 200, body);
}

static void make_join_token(rest_call *c)
{
    c->store->ops->room_get(c->store->self, c->room_id, room_to_join, c);
}

/* ---- PATCH and DELETE /api/rooms/:id, DELETE /api/rooms/:id/participants/:pid ---- */

static bool may_moderate(const rest_call *c, const duet_room *room)
{
    return (c->who.permissions & DUET_TOKEN_MODERATE) || strcmp(room->created_by, c->who.subject) == 0;
}

static void changed(void *user, int err)
{
    rest_call *c = user;

    if (err == DUET_ERR_NOT_FOUND && c->seat_id[0])
        problem(c, 404, "nobody in the room has this id");
    else if (err != DUET_OK)
        store_failed(c, err);
    else
        no_content(c);
}

static void updated(void *user, int err)
{
    rest_call *c = user;

    if (err != DUET_OK)
        store_failed(c, err);
    else
        show_room(c);
}

static void update_room(rest_call *c)
{
    int err;

    const char *wrong = read_body(c, &c->room, &err);
    if (err == DUET_ERR_NOMEM)
        finish(c, err);
    else if (wrong)
        problem(c, 400, wrong);
    else
        c->store->ops->room_update(c->store->self, &c->room, updated, c);
}

/* What is done to a room by those who may. */
static void room_to_change(void *user, int err, const duet_room *room, size_t participants)
{
    rest_call *c = user;

    (void)participants;
    if (err != DUET_OK) {
        store_failed(c, err);
        return;
    }
    if (!may_moderate(c, room)) {
        problem(c, 403, "only the room's creator and moderators may do this");
        return;
    }
    c->room = *room;
    if (c->method[0] == 'P')
        update_room(c);
    else if (c->seat_id[0])
        c->store->ops->kick(c->store->self, c->room_id, c->seat_id, changed, c);
    else
        c->store->ops->room_remove(c->store->self, c->room_id, changed, c);
}

static void change_room(rest_call *c)
{
    c->store->ops->room_get(c->store->self, c->room_id, room_to_change, c);
}

/* ---- POST /api/turn-credentials ---- */

static void give_turn_credentials(rest_call *c)
{
    const duet_hub_config *k = duet_hub_settings(c->hub);
    json_error_t ignored;
    duet_buffer text;

    if (!k->turn.urls) {
        problem(c, 404, "this server knows no TURN server");
        return;
    }
    duet_buffer_init(&text, c->env);
    duet_hub_write_ice_servers(&text, c->hub, c->who.subject, c->wall_seconds);
    json_t *servers = text.failed ? NULL : json_loads((const char *)text.data, 0, &ignored);
    duet_buffer_free(&text);
    if (!servers) {
        finish(c, DUET_ERR_NOMEM);
        return;
    }
    json_t *first = json_array_get(servers, 0);
    json_t *body = json_pack("{s:O,s:O,s:O,s:i,s:o}", "username", json_object_get(first, "username"), "credential",
                             json_object_get(first, "credential"), "urls", json_object_get(first, "urls"), "ttl",
                             (int)k->turn.ttl, "iceServers", servers);
    reply(c, 200, body);
}

/* ---- routing ---- */

typedef void (*rest_handler)(rest_call *c);

/* Path below /api; ":id" stands for a room's id, ":pid" for a participant's. */
static const struct route {
    const char *method, *path;
    unsigned permission; /* that the token must have; 0: any */
    rest_handler handler;
} routes[] = {
    {"GET", "rooms", 0, list_rooms},
    {"POST", "rooms", DUET_TOKEN_CREATE, create_room},
    {"GET", "rooms/:id", 0, show_room},
    {"PATCH", "rooms/:id", 0, change_room},
    {"DELETE", "rooms/:id", 0, change_room},
    {"GET", "rooms/:id/participants", 0, list_participants},
    {"DELETE", "rooms/:id/participants/:pid", 0, change_room},
    {"POST", "rooms/:id/join", DUET_TOKEN_JOIN, make_join_token},
    {"POST", "turn-credentials", DUET_TOKEN_JOIN, give_turn_credentials},
};

#define ROUTE_COUNT (sizeof(routes) / sizeof(routes[0]))

static bool is_not_slash(uint8_t c)
{
    return c != '/';
}

static bool is_seat_id(const char *id)
{
    return strlen(id) == DUET_SEAT_ID_LEN && duet_room_id_valid(id); /* of the same characters */
}

/* Whether the path has the route's form; fills the ids. */
static bool matches(rest_call *c, const char *form)
{
    duet_reader path = duet_text_reader(c->path, strlen(c->path)), pattern = duet_text_reader(form, strlen(form));

    c->room_id[0] = c->seat_id[0] = 0;
    if (!duet_text_skip_word(&path, "/api/"))
        return false;
    for (;;) {
        duet_bytes part = duet_text_run(&path, is_not_slash), word = duet_text_run(&pattern, is_not_slash);
        if (duet_text_is(word, ":id")) {
            if (!duet_text_copy(c->room_id, sizeof(c->room_id), part) || !duet_room_id_valid(c->room_id))
                return false;
        } else if (duet_text_is(word, ":pid")) {
            if (!duet_text_copy(c->seat_id, sizeof(c->seat_id), part) || !is_seat_id(c->seat_id))
                return false;
        } else if (part.len != word.len || memcmp(part.data, word.data, word.len) != 0) {
            return false;
        }
        if (!duet_text_skip(&pattern, '/'))
            return duet_text_at_end(&path);
        if (!duet_text_skip(&path, '/'))
            return false;
    }
}

/* "GET, POST": what the resource of this route can. */
static const char *allowed(const char *path)
{
    static const struct {
        const char *path, *allow;
    } resources[] = {{"rooms", "GET, POST"},
                     {"rooms/:id", "GET, PATCH, DELETE"},
                     {"rooms/:id/participants", "GET"},
                     {"rooms/:id/participants/:pid", "DELETE"}};

    for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
        if (strcmp(resources[i].path, path) == 0)
            return resources[i].allow;
    }
    return "POST";
}

static const struct route *find_route(rest_call *c, const char **exists)
{
    *exists = NULL;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (!matches(c, routes[i].path))
            continue;
        *exists = routes[i].path;
        if (strcmp(routes[i].method, c->method) == 0)
            return &routes[i];
    }
    return NULL;
}

static void dispatch(rest_call *c)
{
    const char *exists;

    const struct route *route = find_route(c, &exists);
    if (!exists) {
        problem(c, 404, "there is nothing here");
    } else if (!route) {
        c->out.allow = allowed(exists);
        problem(c, 405, "another method is meant here");
    } else if (route->permission && !(c->who.permissions & route->permission)) {
        problem(c, 403, "the token does not allow this");
    } else if (c->who.room[0] && strcmp(c->who.room, c->room_id) != 0) {
        problem(c, 403, "the token is for another room");
    } else {
        route->handler(c);
    }
}

/* ---- who asks ---- */

const char *duet_bearer_token(const char *authorization)
{
    duet_reader r = duet_text_reader(authorization, authorization ? strlen(authorization) : 0);

    if (!authorization || !duet_text_skip_word(&r, "bearer "))
        return NULL;
    while (duet_text_skip(&r, ' '))
        continue;
    return authorization + r.pos;
}

static bool is_within_rate(rest_call *c, uint64_t *retry_ms)
{
    duet_limits *limits = duet_hub_settings(c->hub)->limits;

    return !limits ||
           (duet_limits_message(limits, DUET_LIMIT_AGENT, c->who.subject, c->now, retry_ms) &&
            (!c->address[0] || duet_limits_message(limits, DUET_LIMIT_ADDRESS, c->address, c->now, retry_ms)));
}

static void token_checked(void *user, int err, const duet_token_claims *claims, const char *why)
{
    rest_call *c = user;
    uint64_t retry_ms = 0;

    c->ticket = NULL;
    if (err == DUET_ERR_NOMEM) {
        finish(c, err);
    } else if (err != DUET_OK) {
        problem(c, 401, why);
    } else {
        c->who = *claims;
        if (is_within_rate(c, &retry_ms)) {
            dispatch(c);
            return;
        }
        c->out.retry_after = (unsigned)(retry_ms / 1000 + 1);
        duet_hub_count(c->hub)->rate_limited++;
        problem(c, 429, "too many requests");
    }
}

static int copy_request(rest_call *c, const duet_rest_request *request)
{
    c->method = duet_strdup(c->env, request->method);
    c->path = duet_strdup(c->env, request->path);
    c->body = duet_strndup(c->env, request->body, request->body_len);
    c->ws_url = duet_strdup(c->env, request->ws_url);
    c->body_len = request->body_len;
    c->now = request->now;
    c->wall_seconds = request->wall_seconds;
    snprintf(c->address, sizeof(c->address), "%s", request->address ? request->address : "");
    return c->method && c->path && c->body && c->ws_url ? DUET_OK : DUET_ERR_NOMEM;
}

static void start(rest_call *c, const duet_rest_request *request)
{
    const char *token = duet_bearer_token(request->authorization);

    if (copy_request(c, request) != DUET_OK)
        finish(c, DUET_ERR_NOMEM);
    else if (!token)
        problem(c, 401, "a bearer token is needed");
    else
        duet_auth_check(&c->ticket, duet_hub_settings(c->hub)->auth, token, strlen(token), request->wall_seconds,
                        token_checked, c);
}

void duet_rest_start(duet_rest_call **call, duet_hub *hub, const duet_rest_request *request, duet_rest_done done,
                     void *user)
{
    rest_call *c = duet_calloc(duet_hub_env(hub), sizeof(*c));

    *call = NULL;
    if (!c) {
        done(user, NULL);
        return;
    }
    c->hub = hub;
    c->env = duet_hub_env(hub);
    c->store = duet_hub_store(hub);
    c->done = done;
    c->user = user;
    c->inside = true;
    c->out.status = 500;
    duet_buffer_init(&c->out.body, c->env);
    start(c, request);
    c->inside = false;
    if (c->finished)
        free_call(c);
    else
        *call = c;
}

void duet_rest_cancel(duet_rest_call *c)
{
    c->done = NULL;
    if (!c->ticket)
        return; /* the store answers, and that frees it */
    duet_auth_cancel(c->ticket);
    free_call(c);
}
