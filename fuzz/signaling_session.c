/* Three connections to one server: each line of the input is a message, its first byte chooses whose. Ids of seats are
 * known to the input as @0, @1 and @2. Whatever is said, sequence numbers have no gaps and rooms their bound. */
#include "fuzz.h"
#include "signaling/session.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SESSIONS 3
#define WALL     INT64_C(1700000000)

static const char secret[] = "0123456789abcdef0123456789abcdef";

typedef struct member {
    duet_session *session;
    char seat[64];
    json_int_t seq;
} member;

static void hear(member *m)
{
    json_error_t error;
    const char *text;
    size_t len;

    while (duet_session_output(m->session, &text, &len) == 1) {
        json_t *message = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
        const char *type = json_string_value(json_object_get(message, "type"));
        json_int_t seq = json_integer_value(json_object_get(message, "seq"));
        if (!type)
            abort();
        if (strcmp(type, "room_users") == 0) {
            m->seq = 0;
            snprintf(m->seat, sizeof(m->seat), "%s", json_string_value(json_object_get(message, "self")));
            if (json_array_size(json_object_get(message, "users")) > 2)
                abort();
        }
        if (seq != 0 && seq != ++m->seq)
            abort();
        json_decref(message);
    }
}

static void say(member *members, member *m, const uint8_t *data, size_t len, duet_time now)
{
    duet_buffer text;

    duet_buffer_init(&text, NULL);
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '@' && i + 1 < len && data[i + 1] >= '0' && data[i + 1] < '0' + SESSIONS)
            duet_buffer_text(&text, members[data[++i] - '0'].seat);
        else
            duet_buffer_append(&text, &data[i], 1);
    }
    duet_buffer_append(&text, "", 0);
    if (!text.failed)
        duet_session_input(m->session, (const char *)text.data, text.len, now, WALL + (int64_t)(now / 1000000u));
    duet_buffer_free(&text);
}

static duet_session *connect_one(duet_hub *hub, const char *token, bool compat)
{
    duet_session_config config = {.hub = hub, .compat = compat};
    duet_session *s;

    if (duet_session_create(&s, &config, 0) != DUET_OK)
        abort();
    duet_session_authenticate(s, token, strlen(token), 0, WALL);
    return s;
}

typedef struct fuzz_world {
    duet_token_keys *keys;
    duet_auth *auth;
    duet_hub *hub;
    duet_store *store;
} fuzz_world;

static void open_world(fuzz_world *w)
{
    duet_store store;

    require(duet_token_keys_create(&w->keys, NULL) == DUET_OK);
    require(duet_token_keys_add_secret(w->keys, NULL, secret, sizeof(secret) - 1) == DUET_OK);
    duet_auth_config auth = {.keys = w->keys, .policy = DUET_TOKEN_POLICY_INIT};
    require(duet_auth_create(&w->auth, &auth) == DUET_OK);
    duet_hub_config config = {
        .auth = w->auth, .rooms_on_join = true, .max_participants = 2, .mesh_limit = 2, .grace = DUET_SECONDS(90)};
    require(duet_hub_create(&w->hub, &config) == DUET_OK);
    duet_store_events events = duet_hub_events(w->hub);
    require(duet_store_memory_create(&store, NULL, 2, &events) == DUET_OK);
    duet_hub_use_store(w->hub, store);
    w->store = duet_hub_store(w->hub);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_token_claims claims = {.subject = "a", .expires_at = WALL + 300, .permissions = DUET_TOKEN_JOIN};
    member members[SESSIONS] = {{NULL, "", 0}};
    duet_time now = 0;
    fuzz_world w;
    char *token;

    open_world(&w);
    require(duet_token_sign(&token, NULL, &claims, secret, sizeof(secret) - 1) == DUET_OK);
    for (size_t i = 0; i < SESSIONS; i++)
        members[i].session = connect_one(w.hub, token, i == 2);
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) : size;
        if (len > 1)
            say(members, &members[data[0] % SESSIONS], data + 1, len - 1, now);
        else
            now += DUET_SECONDS(60);
        w.store->ops->tick(w.store->self, now, WALL + (int64_t)(now / 1000000u));
        for (size_t i = 0; i < SESSIONS; i++) {
            duet_session_tick(members[i].session, now);
            hear(&members[i]);
        }
        data += len < size ? len + 1 : len;
        size -= len < size ? len + 1 : len;
    }
    for (size_t i = 0; i < SESSIONS; i++)
        duet_session_destroy(members[i].session, i > 0, now);
    duet_hub_destroy(w.hub);
    duet_auth_destroy(w.auth);
    duet_token_keys_destroy(w.keys);
    duet_free(NULL, token);
    return 0;
}
