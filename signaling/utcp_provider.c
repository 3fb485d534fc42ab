/* Provider files: UTCP v0.1 (`provider_type`) and call templates of v1 (`call_template_type`, `auth`), with
 * variables. */
#include "signaling/protocol.h"
#include "signaling/utcp_message.h"
#include "signaling/utcp_variables.h"
#include <string.h>

#define FILE_MAX 65536

typedef duet_utcp_variables reader;

/* ---- members ---- */

/* @param out  NULL when the member is absent */
static int read_text(const reader *r, char **out, const json_t *object, const duet_utcp_pointer *at)
{
    const json_t *value = json_object_get(object, at->name);

    *out = NULL;
    if (!value || json_is_null(value))
        return DUET_OK;
    if (!json_is_string(value)) {
        duet_utcp_error_set(r->error, at, "this is a text");
        return DUET_ERR_INVALID;
    }
    return duet_utcp_substitute(r, out, json_string_value(value), at);
}

static int read_member(const reader *r, char **out, const json_t *object, const char *name, const char *otherwise)
{
    const duet_utcp_pointer at = {NULL, name, 0};

    int err = read_text(r, out, object, &at);
    if (err != DUET_OK || *out || !otherwise)
        return err;
    *out = duet_strdup(&r->env, otherwise);
    return *out ? DUET_OK : DUET_ERR_NOMEM;
}

static int refuse(const reader *r, const char *name, const char *why)
{
    const duet_utcp_pointer at = {NULL, name, 0};

    duet_utcp_error_set(r->error, name ? &at : NULL, "%s", why);
    return DUET_ERR_INVALID;
}

/* `auth` of v1: what it holds is the token for the signaling server. */
static int read_auth(const reader *r, duet_utcp_provider *p, const json_t *auth)
{
    static const struct {
        const char *type, *member;
    } kinds[] = {{"api_key", "api_key"}, {"bearer", "token"}};
    const duet_utcp_pointer parent = {NULL, "auth", 0};
    const char *type = duet_json_text(auth, "auth_type");

    for (size_t i = 0; type && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const duet_utcp_pointer at = {&parent, kinds[i].member, 0};
        if (strcmp(type, kinds[i].type) != 0)
            continue;
        int err = read_text(r, &p->token, auth, &at);
        if (err != DUET_OK || p->token)
            return err;
        duet_utcp_error_set(r->error, &at, "this member is needed");
        return DUET_ERR_INVALID;
    }
    refuse(r, "auth", "auth_type is api_key or bearer");
    return type ? DUET_ERR_UNSUPPORTED : DUET_ERR_INVALID;
}

static int read_type(const reader *r, const json_t *object)
{
    const char *v0 = duet_json_text(object, "provider_type"), *v1 = duet_json_text(object, "call_template_type");

    if (!v0 && !v1)
        return refuse(r, NULL, "provider_type (or call_template_type) is needed");
    if ((!v0 || strcmp(v0, "webrtc") == 0) && (!v1 || strcmp(v1, "webrtc") == 0))
        return DUET_OK;
    refuse(r, v0 ? "provider_type" : "call_template_type", "only webrtc is known here");
    return DUET_ERR_UNSUPPORTED;
}

static int read_texts(const reader *r, duet_utcp_provider *p, const json_t *object)
{
    const json_t *auth = json_object_get(object, "auth");
    int err = read_member(r, &p->name, object, "name", NULL);

    if (err == DUET_OK)
        err = read_member(r, &p->signaling_server, object, "signaling_server", NULL);
    if (err == DUET_OK)
        err = read_member(r, &p->peer_id, object, "peer_id", NULL);
    if (err == DUET_OK)
        err = read_member(r, &p->data_channel_name, object, "data_channel_name", DUET_UTCP_CHANNEL_DEFAULT);
    if (err == DUET_OK)
        err = read_member(r, &p->room, object, "room", p->peer_id);
    if (err == DUET_OK)
        err = read_member(r, &p->token, object, "token", NULL);
    if (err == DUET_OK && !p->token && auth && !json_is_null(auth))
        err = read_auth(r, p, auth);
    return err;
}

static int check(const reader *r, const duet_utcp_provider *p)
{
    const char *url = p->signaling_server;

    if (!duet_utcp_name_valid(p->name))
        return refuse(r, "name", "a name of 1 to 128 bytes is needed");
    if (!url || (strncmp(url, "ws://", 5) != 0 && strncmp(url, "wss://", 6) != 0))
        return refuse(r, "signaling_server", "a URL that begins with ws:// or wss:// is needed");
    if (!duet_utcp_name_valid(p->peer_id))
        return refuse(r, "peer_id", "an id of 1 to 128 bytes is needed");
    if (!duet_room_id_valid(p->room))
        return refuse(r, "room", "a room (the peer id, where none is given) has 1 to 128 letters, digits, - . _ ~");
    if (p->data_channel_name[0] == 0 || strlen(p->data_channel_name) > 1024)
        return refuse(r, "data_channel_name", "a name of 1 to 1024 bytes is needed");
    return DUET_OK;
}

int duet_utcp_provider_read(duet_utcp_provider **out, const duet_env *env, const char *json, size_t len,
                            duet_utcp_lookup lookup, void *user, duet_utcp_error *error)
{
    const reader r = {duet_env_resolve(env), lookup, user, error};
    const char *reason = "this is too large";
    json_t *document = NULL;

    *out = NULL;
    int err = len > FILE_MAX ? DUET_ERR_MALFORMED : duet_utcp_json_parse(&document, json, len, &reason);
    if (err == DUET_OK && !json_is_object(document)) {
        reason = "this is not a JSON object";
        err = DUET_ERR_MALFORMED;
    }
    if (err != DUET_OK) {
        duet_utcp_error_set(error, NULL, "%s", reason);
        json_decref(document);
        return err == DUET_ERR_TOO_LARGE ? DUET_ERR_MALFORMED : err;
    }
    duet_utcp_provider *p = duet_calloc(&r.env, sizeof(*p));
    err = p ? read_type(&r, document) : DUET_ERR_NOMEM;
    if (err == DUET_OK)
        err = read_texts(&r, p, document);
    if (err == DUET_OK)
        err = check(&r, p);
    json_decref(document);
    if (err == DUET_OK)
        *out = p;
    else
        duet_utcp_provider_free(p, &r.env);
    return err;
}

void duet_utcp_provider_free(duet_utcp_provider *p, const duet_env *env)
{
    if (!p)
        return;
    duet_free(env, p->name);
    duet_free(env, p->signaling_server);
    duet_free(env, p->peer_id);
    duet_free(env, p->data_channel_name);
    duet_free(env, p->room);
    duet_free(env, p->token);
    duet_free(env, p);
}
