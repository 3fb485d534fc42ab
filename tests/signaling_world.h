/* A room server in virtual time without connections: a hub, sessions, and what they say, as JSON. */
#ifndef DUET_TESTS_SIGNALING_WORLD_H
#define DUET_TESTS_SIGNALING_WORLD_H

#include "signaling/session.h"
#include "test.h"

#define WORLD_WALL INT64_C(1700000000)

static const char world_secret[] = "0123456789abcdef0123456789abcdef";

typedef struct world {
    duet_env env;
    duet_token_keys *keys;
    duet_auth *auth;
    duet_limits *limits;
    duet_hub *hub;
    duet_time now;
} world;

typedef struct world_options {
    bool no_rooms_on_join;
    unsigned max_participants, mesh_limit;
    size_t max_rooms;
    duet_limits_config limits;
    duet_rate messages;
    const char *turn_urls;
} world_options;

/* Wall-clock time goes with the virtual time. */
static inline int64_t world_wall(const world *w)
{
    return WORLD_WALL + (int64_t)(w->now / 1000000u);
}

static inline void world_close(world *w)
{
    duet_hub_destroy(w->hub);
    duet_auth_destroy(w->auth);
    duet_limits_destroy(w->limits);
    duet_token_keys_destroy(w->keys);
}

static inline int world_make_auth(world *w)
{
    int err = duet_token_keys_create(&w->keys, &w->env);

    if (err == DUET_OK)
        err = duet_token_keys_add_secret(w->keys, NULL, world_secret, sizeof(world_secret) - 1);
    duet_auth_config auth = {.env = &w->env, .keys = w->keys, .policy = DUET_TOKEN_POLICY_INIT};
    auth.policy.skew_seconds = 0;
    return err == DUET_OK ? duet_auth_create(&w->auth, &auth) : err;
}

static inline int world_make_hub(world *w, const world_options *o)
{
    duet_hub_config config = {.env = &w->env,
                              .auth = w->auth,
                              .limits = w->limits,
                              .messages = o->messages,
                              .rooms_on_join = !o->no_rooms_on_join,
                              .max_participants = o->max_participants ? o->max_participants : 3,
                              .mesh_limit = o->mesh_limit ? o->mesh_limit : 16,
                              .grace = DUET_SECONDS(30),
                              .join_secret = world_secret,
                              .join_secret_len = sizeof(world_secret) - 1,
                              .turn = {o->turn_urls, "turn secret", 11, 600}};
    duet_store store;

    int err = duet_hub_create(&w->hub, &config);
    if (err != DUET_OK)
        return err;
    duet_store_events events = duet_hub_events(w->hub);
    err = duet_store_memory_create(&store, &w->env, o->max_rooms ? o->max_rooms : 4, &events);
    if (err == DUET_OK)
        duet_hub_use_store(w->hub, store);
    return err;
}

/* `w` may be closed whatever is returned. */
static inline int world_try_open(world *w, const duet_env *env, const world_options *o)
{
    *w = (world){.env = *env};
    int err = world_make_auth(w);
    if (err == DUET_OK)
        err = duet_limits_create(&w->limits, &w->env, &o->limits);
    return err == DUET_OK ? world_make_hub(w, o) : err;
}

static inline world world_open_with(world_options o)
{
    duet_env env = DUET_ENV_INIT;
    world w;

    assert_int_equal(world_try_open(&w, &env, &o), DUET_OK);
    return w;
}

static inline world world_open(void)
{
    return world_open_with((world_options){.max_participants = 3});
}

static inline void world_tick(world *w)
{
    duet_store *store = duet_hub_store(w->hub);

    store->ops->tick(store->self, w->now, world_wall(w));
}

static inline char *world_token_for(const duet_token_claims *claims)
{
    char *token;

    assert_int_equal(duet_token_sign(&token, NULL, claims, world_secret, sizeof(world_secret) - 1), DUET_OK);
    return token;
}

/* A token that is good for `seconds` of the world's time. */
static inline char *world_token(const world *w, const char *subject, unsigned permissions, int64_t seconds)
{
    duet_token_claims claims = {.permissions = permissions, .expires_at = world_wall(w) + seconds};

    snprintf(claims.subject, sizeof(claims.subject), "%s", subject);
    return world_token_for(&claims);
}

static inline duet_session *world_connect(world *w)
{
    duet_session_config config = {.hub = w->hub};
    duet_session *s;

    assert_int_equal(duet_session_create(&s, &config, w->now), DUET_OK);
    return s;
}

/* The client closes its connection properly. */
static inline void world_bye(const world *w, duet_session *s)
{
    duet_session_destroy(s, true, w->now);
}

/* Its connection breaks. */
static inline void world_break(const world *w, duet_session *s)
{
    duet_session_destroy(s, false, w->now);
}

static inline void world_say(world *w, duet_session *s, const char *format, ...) DUET_PRINTF(3, 4);
static inline void world_say(world *w, duet_session *s, const char *format, ...)
{
    char text[8192];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    duet_session_input(s, text, strlen(text), w->now, world_wall(w));
}

/* The next message, or NULL. A new reference. */
static inline json_t *world_hear(duet_session *s)
{
    json_error_t error;
    const char *text;
    size_t len;

    if (duet_session_output(s, &text, &len) == 0)
        return NULL;
    json_t *message = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(message);
    return message;
}

static inline const char *world_text(const json_t *message, const char *name)
{
    const char *text = json_string_value(json_object_get(message, name));

    return text ? text : "";
}

/* The next message must be of this type. */
static inline json_t *world_expect(duet_session *s, const char *type)
{
    json_t *message = world_hear(s);

    if (!message || strcmp(world_text(message, "type"), type) != 0) {
        char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
        fail_msg("%s expected, and %s came", type, text ? text : "nothing");
    }
    return message;
}

static inline void world_expect_error(duet_session *s, const char *code)
{
    json_t *message = world_expect(s, "error");

    assert_string_equal(world_text(message, "code"), code);
    json_decref(message);
}

static inline void world_expect_silence(duet_session *s)
{
    json_t *message = world_hear(s);

    if (message)
        fail_msg("%s came, where nothing should", world_text(message, "type"));
}

static inline unsigned world_close_code(const duet_session *s)
{
    const char *reason;

    return duet_session_close_code(s, &reason);
}

/* A session that has authenticated as `subject`. */
static inline duet_session *world_enter(world *w, const char *subject)
{
    duet_session *s = world_connect(w);
    char *token = world_token(w, subject, DUET_TOKEN_JOIN, 3600);

    world_say(w, s, "{\"type\":\"authenticate\",\"token\":\"%s\"}", token);
    duet_free(NULL, token);
    json_decref(world_expect(s, "auth_ok"));
    return s;
}

/* … and has joined; `id` gets the seat. */
static inline duet_session *world_join(world *w, const char *subject, const char *room, char id[64])
{
    duet_session *s = world_enter(w, subject);

    world_say(w, s, "{\"type\":\"join_room\",\"roomId\":\"%s\"}", room);
    json_t *users = world_expect(s, "room_users");
    snprintf(id, 64, "%s", world_text(users, "self"));
    json_decref(users);
    return s;
}

#define WORLD_SDP                                                                                                      \
    "v=0\\r\\no=- 1 1 IN IP4 127.0.0.1\\r\\ns=-\\r\\nt=0 0\\r\\nm=application 9 UDP/DTLS/SCTP "                        \
    "webrtc-datachannel\\r\\n"                                                                                         \
    "c=IN IP4 0.0.0.0\\r\\na=mid:0\\r\\n"

#endif
