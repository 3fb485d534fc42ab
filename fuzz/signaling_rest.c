/* HTTP requests as they reach the REST interface: the first line is method and path, the rest the body, from somebody with every
 * permission, or (by the first byte) with a header of the input's own. Every request gets one response that is JSON. */
#include "fuzz.h"
#include "signaling/json.h"
#include "signaling/rest.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WALL INT64_C(1700000000)

static const char secret[] = "0123456789abcdef0123456789abcdef";

typedef struct rest_world {
    duet_token_keys *keys;
    duet_auth *auth;
    duet_hub *hub;
    char *token;
    unsigned answers;
} rest_world;

static void open_world(rest_world *w)
{
    duet_token_claims claims = {.subject = "a",
                                .expires_at = WALL + 300,
                                .permissions = DUET_TOKEN_CREATE | DUET_TOKEN_JOIN | DUET_TOKEN_MODERATE};
    duet_store store;

    require(duet_token_sign(&w->token, NULL, &claims, secret, sizeof(secret) - 1) == DUET_OK);
    require(duet_token_keys_create(&w->keys, NULL) == DUET_OK);
    require(duet_token_keys_add_secret(w->keys, NULL, secret, sizeof(secret) - 1) == DUET_OK);
    duet_auth_config auth = {.keys = w->keys, .policy = DUET_TOKEN_POLICY_INIT};
    require(duet_auth_create(&w->auth, &auth) == DUET_OK);
    duet_hub_config config = {.auth = w->auth,
                              .max_participants = 2,
                              .mesh_limit = 2,
                              .join_secret = secret,
                              .join_secret_len = sizeof(secret) - 1,
                              .turn = {"[\"turn:t.example\"]", "s", 1, 60}};
    require(duet_hub_create(&w->hub, &config) == DUET_OK);
    duet_store_events events = duet_hub_events(w->hub);
    require(duet_store_memory_create(&store, NULL, 2, &events) == DUET_OK);
    duet_hub_use_store(w->hub, store);
}

static void close_world(rest_world *w)
{
    duet_hub_destroy(w->hub);
    duet_auth_destroy(w->auth);
    duet_token_keys_destroy(w->keys);
    duet_free(NULL, w->token);
}

static void answered(void *user, const duet_rest_response *r)
{
    rest_world *w = user;
    json_error_t error;

    w->answers++;
    require(r && r->status >= 200 && r->status < 600);
    require(r->status == 204 || r->body.len > 0);
    if (r->body.len == 0)
        return;
    json_t *body = json_loadb((const char *)r->body.data, r->body.len, JSON_REJECT_DUPLICATES, &error);
    require(json_is_object(body));
    require(r->status < 400 || json_integer_value(json_object_get(body, "status")) == r->status);
    json_decref(body);
}

static void ask(rest_world *w, const char *method, const char *path, const char *authorization, const uint8_t *body,
                size_t len)
{
    duet_rest_request request = {.method = method,
                                 .path = path,
                                 .authorization = authorization,
                                 .address = "192.0.2.1",
                                 .body = len ? (const char *)body : "",
                                 .body_len = len,
                                 .ws_url = "ws://x/ws",
                                 .wall_seconds = WALL};
    duet_rest_call *call;
    unsigned before = w->answers;

    duet_rest_start(&call, w->hub, &request, answered, w);
    require(!call && w->answers == before + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = {"GET", "POST", "PATCH", "DELETE", "PUT"};
    char path[300], authorization[1024];
    rest_world w = {.answers = 0};

    if (size < 2)
        return 0;
    open_world(&w);
    const uint8_t *end = memchr(data, '\n', size);
    size_t line = end ? (size_t)(end - data) : size, n = line - 1 < 200 ? line - 1 : 200;
    snprintf(path, sizeof(path), "/api/%.*s", (int)n, (const char *)data + 1);
    snprintf(authorization, sizeof(authorization), "Bearer %s", w.token);
    ask(&w, "POST", "/api/rooms", authorization, NULL, 0); /* there is a room to ask for */
    const uint8_t *body = end ? end + 1 : data + size;
    ask(&w, methods[data[0] % 5], path, data[0] < 0x80 ? authorization : path, body, (size_t)(data + size - body));
    ask(&w, "POST", "/api/rooms", authorization, body, (size_t)(data + size - body));
    ask(&w, "GET", "/api/rooms", authorization, NULL, 0);
    close_world(&w);
    return 0;
}
