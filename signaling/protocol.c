/* Messages of the signaling protocol, version 1, as JSON (RFC 8259). One table says which members each type has;
 * reading and writing both follow it. */
#include "signaling/protocol.h"
#include "base/text.h"
#include <string.h>

#define TEXT_MAX      1024 /* bytes of any string but descriptions, candidates, tokens and explanations */
#define CANDIDATE_MAX DUET_CANDIDATE_TEXT_MAX
#define EXPLAIN_MAX   4096

/* ---- which members a type has ---- */

enum {
    IS_TOKEN = 1 << 0,
    IS_AGENT = 1 << 1,
    IS_EXPIRY = 1 << 2,
    IS_CODE = 1 << 3, /* with message */
    IS_ROOM = 1 << 4,
    IS_SELF = 1 << 5, /* with users, topology and iceServers */
    IS_USER = 1 << 6,
    IS_PEER = 1 << 7, /* to or from, by the side */
    IS_SDP = 1 << 8,
    IS_CANDIDATE = 1 << 9,
    IS_REASON = 1 << 10, /* with the id of the one who left */
    IS_OPTIONAL_TOKEN = 1 << 11,
};

static const struct form {
    const char *name;
    duet_signal_side from;
    unsigned members;
} forms[] = {
    [DUET_SIGNAL_AUTHENTICATE] = {"authenticate", DUET_SIGNAL_FROM_CLIENT, IS_TOKEN},
    [DUET_SIGNAL_AUTH_OK] = {"auth_ok", DUET_SIGNAL_FROM_SERVER, IS_AGENT | IS_EXPIRY},
    [DUET_SIGNAL_AUTH_ERROR] = {"auth_error", DUET_SIGNAL_FROM_SERVER, IS_CODE},
    [DUET_SIGNAL_JOIN_ROOM] = {"join_room", DUET_SIGNAL_FROM_CLIENT, IS_ROOM | IS_OPTIONAL_TOKEN},
    [DUET_SIGNAL_ROOM_USERS] = {"room_users", DUET_SIGNAL_FROM_SERVER, IS_ROOM | IS_SELF},
    [DUET_SIGNAL_USER_JOINED] = {"user_joined", DUET_SIGNAL_FROM_SERVER, IS_ROOM | IS_USER},
    [DUET_SIGNAL_OFFER] = {"offer", 0, IS_PEER | IS_SDP},
    [DUET_SIGNAL_ANSWER] = {"answer", 0, IS_PEER | IS_SDP},
    [DUET_SIGNAL_CANDIDATE] = {"candidate", 0, IS_PEER | IS_CANDIDATE},
    [DUET_SIGNAL_LEAVE_ROOM] = {"leave_room", DUET_SIGNAL_FROM_CLIENT, IS_ROOM},
    [DUET_SIGNAL_USER_LEFT] = {"user_left", DUET_SIGNAL_FROM_SERVER, IS_ROOM | IS_REASON},
    [DUET_SIGNAL_ERROR] = {"error", DUET_SIGNAL_FROM_SERVER, IS_CODE},
};

#define FORM_COUNT (sizeof(forms) / sizeof(forms[0]))

const char *duet_signal_type_name(duet_signal_type type)
{
    return type > DUET_SIGNAL_NONE && (size_t)type < FORM_COUNT ? forms[type].name : "";
}

static duet_signal_type type_of(const char *name, duet_signal_side side)
{
    for (size_t i = DUET_SIGNAL_NONE + 1; i < FORM_COUNT; i++) {
        if (strcmp(forms[i].name, name) == 0)
            return forms[i].from == 0 || forms[i].from == side ? (duet_signal_type)i : DUET_SIGNAL_NONE;
    }
    return DUET_SIGNAL_NONE;
}

static bool is_unreserved(uint8_t c)
{
    return duet_char_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

bool duet_room_id_valid(const char *id)
{
    size_t len = strlen(id);

    return len <= DUET_ROOM_ID_MAX && duet_text_all((duet_bytes){(const uint8_t *)id, len}, is_unreserved);
}

/* ---- reading ---- */

/* A required text of 1 to max bytes. */
static bool read_text(const char **out, const json_t *object, const char *name, size_t max)
{
    *out = duet_json_text(object, name);
    return *out && **out && strlen(*out) <= max;
}

/* Absent and null are the same; anything else must be a text of up to max bytes. */
static bool read_optional(const char **out, const json_t *object, const char *name, size_t max)
{
    const json_t *value = json_object_get(object, name);

    *out = json_string_value(value);
    return !value || json_is_null(value) || (*out && strlen(*out) <= max);
}

/* W3C RTCIceCandidateInit: an empty candidate is the end of candidates; otherwise mid or index must be there. */
static bool read_candidate(duet_pc_candidate *out, const json_t *object)
{
    const json_t *index = json_object_get(object, "sdpMLineIndex");
    const char *text = duet_json_text(object, "candidate");

    *out = (duet_pc_candidate){.candidate = text, .sdp_mline_index = -1};
    if (!text || strlen(text) > CANDIDATE_MAX || !read_optional(&out->sdp_mid, object, "sdpMid", TEXT_MAX) ||
        !read_optional(&out->username_fragment, object, "usernameFragment", DUET_UFRAG_MAX))
        return false;
    if (json_is_integer(index) && json_integer_value(index) >= 0 && json_integer_value(index) < DUET_SDP_MEDIA_MAX)
        out->sdp_mline_index = (int)json_integer_value(index);
    else if (index && !json_is_null(index))
        return false;
    return !*text || out->sdp_mid || out->sdp_mline_index >= 0;
}

static bool read_user(duet_signaling_user *out, const json_t *object)
{
    return read_text(&out->id, object, "id", TEXT_MAX) && read_text(&out->agent_id, object, "agentId", TEXT_MAX) &&
           read_text(&out->role, object, "role", TEXT_MAX);
}

static int read_users(duet_signal *m, const duet_env *env, const json_t *users)
{
    size_t count = json_array_size(users);

    if (!json_is_array(users) || count > DUET_SIGNAL_USERS_MAX)
        return DUET_ERR_INVALID;
    m->own_users = duet_calloc(env, (count + 1) * sizeof(*m->own_users));
    if (!m->own_users)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        if (!read_user(&m->own_users[i], json_array_get(users, i)))
            return DUET_ERR_INVALID;
    }
    m->users = m->own_users;
    m->user_count = count;
    return DUET_OK;
}

static int read_ice_servers(duet_signal *m, const duet_env *env, const json_t *servers)
{
    duet_buffer text;

    if (!servers || json_is_null(servers)) {
        m->ice_servers = "[]";
        return DUET_OK;
    }
    if (!json_is_array(servers))
        return DUET_ERR_INVALID;
    duet_buffer_init(&text, env);
    if (duet_json_write(&text, servers) == DUET_OK)
        m->ice_servers = m->own_ice_servers = duet_buffer_steal(&text);
    duet_buffer_free(&text);
    return m->ice_servers ? DUET_OK : DUET_ERR_NOMEM;
}

static int read_room_users(duet_signal *m, const duet_env *env, const json_t *object)
{
    if (!read_text(&m->self, object, "self", TEXT_MAX) || !read_optional(&m->topology, object, "topology", TEXT_MAX))
        return DUET_ERR_INVALID;
    int err = read_users(m, env, json_object_get(object, "users"));
    return err == DUET_OK ? read_ice_servers(m, env, json_object_get(object, "iceServers")) : err;
}

static bool read_room_id(duet_signal *m, const json_t *object)
{
    return read_text(&m->room_id, object, "roomId", DUET_ROOM_ID_MAX) && duet_room_id_valid(m->room_id);
}

static bool read_reason(duet_signal *m, const json_t *object)
{
    return read_text(&m->user_id, object, "id", TEXT_MAX) && read_text(&m->reason, object, "reason", TEXT_MAX);
}

static bool read_code(duet_signal *m, const json_t *object)
{
    return read_text(&m->code, object, "code", TEXT_MAX) && read_optional(&m->message, object, "message", EXPLAIN_MAX);
}

static int read_members(duet_signal *m, const duet_env *env, duet_signal_side side, const json_t *object,
                        const char **reason)
{
    unsigned members = forms[m->type].members;
    bool from_client = side == DUET_SIGNAL_FROM_CLIENT;

    *reason = "\"token\" must be a text";
    if ((members & IS_TOKEN) && !read_text(&m->token, object, "token", DUET_TOKEN_TEXT_MAX))
        return DUET_ERR_INVALID;
    if ((members & IS_OPTIONAL_TOKEN) && !read_optional(&m->token, object, "token", DUET_TOKEN_TEXT_MAX))
        return DUET_ERR_INVALID;
    *reason = "\"roomId\" must be 1 to 128 letters, digits, dots, dashes, underscores or tildes";
    if ((members & IS_ROOM) && !read_room_id(m, object))
        return DUET_ERR_INVALID;
    *reason = from_client ? "\"to\" must be the id of a participant" : "\"from\" must be the id of a participant";
    if ((members & IS_PEER) &&
        !read_text(from_client ? &m->to : &m->from, object, from_client ? "to" : "from", TEXT_MAX))
        return DUET_ERR_INVALID;
    *reason = "\"sdp\" must be a text";
    if ((members & IS_SDP) && !read_text(&m->sdp, object, "sdp", DUET_SIGNAL_MESSAGE_MAX))
        return DUET_ERR_INVALID;
    *reason = "\"candidate\" must be an object with a text \"candidate\", and sdpMid or sdpMLineIndex";
    if ((members & IS_CANDIDATE) && !read_candidate(&m->candidate, json_object_get(object, "candidate")))
        return DUET_ERR_INVALID;
    *reason = "a member is missing or has a wrong form";
    if (((members & IS_AGENT) && !read_text(&m->agent_id, object, "agentId", TEXT_MAX)) ||
        ((members & IS_EXPIRY) && !read_text(&m->expires_at, object, "expiresAt", TEXT_MAX)) ||
        ((members & IS_CODE) && !read_code(m, object)) ||
        ((members & IS_USER) && !read_user(&m->user, json_object_get(object, "user"))) ||
        ((members & IS_REASON) && !read_reason(m, object)))
        return DUET_ERR_INVALID;
    return members & IS_SELF ? read_room_users(m, env, object) : DUET_OK;
}

/* "A request may carry an id (string, at most 64 characters)": characters, not bytes. user_left has an "id" of its
 * own. */
static bool read_request_id(duet_signal *m, const json_t *object)
{
    const char *id = duet_json_text(object, "id");
    size_t characters = 0;

    if (!json_object_get(object, "id") || m->type == DUET_SIGNAL_USER_LEFT)
        return true;
    if (!id)
        return false;
    for (const char *c = id; *c; c++)
        characters += ((uint8_t)*c & 0xc0) != 0x80;
    if (characters > DUET_SIGNAL_REQUEST_MAX)
        return false;
    m->id = id;
    return true;
}

int duet_signal_parse(duet_signal *out, const duet_env *env, duet_signal_side side, const char *text, size_t len,
                      const char **reason)
{
    const char *ignored;

    reason = reason ? reason : &ignored;
    *out = (duet_signal){.type = DUET_SIGNAL_NONE};
    *reason = "the message is larger than 65536 bytes";
    if (len > DUET_SIGNAL_MESSAGE_MAX && side == DUET_SIGNAL_FROM_CLIENT)
        return DUET_ERR_TOO_LARGE;
    int err = duet_json_parse_object(&out->document, text, len, reason);
    if (err != DUET_OK)
        return err;
    const char *type = duet_json_text(out->document, "type");
    *reason = "the message has no \"type\"";
    if (!type)
        return DUET_ERR_MALFORMED;
    out->type = type_of(type, side);
    const json_t *seq = json_object_get(out->document, "seq");
    if (side == DUET_SIGNAL_FROM_SERVER && json_integer_value(seq) > 0)
        out->seq = (uint64_t)json_integer_value(seq);
    *reason = "\"id\" must be a text of at most 64 characters";
    if (!read_request_id(out, out->document))
        return DUET_ERR_INVALID;
    *reason = "this server does not know such messages";
    if (out->type == DUET_SIGNAL_NONE)
        return DUET_ERR_UNSUPPORTED;
    return read_members(out, env, side, out->document, reason);
}

void duet_signal_free(duet_signal *m, const duet_env *env)
{
    json_decref(m->document);
    duet_free(env, m->own_users);
    duet_free(env, m->own_ice_servers);
    *m = (duet_signal){.type = DUET_SIGNAL_NONE};
}

/* ---- writing ---- */

/* A growing object that remembers when something could not be added. */
typedef struct object_writer {
    json_t *object;
    bool failed;
} object_writer;

static void put(object_writer *w, const char *name, json_t *value)
{
    if (json_object_set_new(w->object, name, value) != 0)
        w->failed = true;
}

static void put_text(object_writer *w, const char *name, const char *text)
{
    if (text)
        put(w, name, json_string(text));
}

static json_t *finish(object_writer *w)
{
    if (!w->failed)
        return w->object;
    json_decref(w->object);
    return NULL;
}

static json_t *user_json(const duet_signaling_user *user)
{
    object_writer w = {json_object(), false};

    put_text(&w, "id", user->id);
    put_text(&w, "agentId", user->agent_id);
    put_text(&w, "role", user->role);
    return finish(&w);
}

static json_t *users_json(const duet_signal *m)
{
    json_t *users = json_array();

    for (size_t i = 0; i < m->user_count; i++) {
        if (json_array_append_new(users, user_json(&m->users[i])) != 0) {
            json_decref(users);
            return NULL;
        }
    }
    return users;
}

static json_t *candidate_json(const duet_pc_candidate *c)
{
    object_writer w = {json_object(), false};

    put_text(&w, "candidate", c->candidate);
    put_text(&w, "sdpMid", c->sdp_mid);
    if (c->sdp_mline_index >= 0)
        put(&w, "sdpMLineIndex", json_integer(c->sdp_mline_index));
    put_text(&w, "usernameFragment", c->username_fragment);
    return finish(&w);
}

static void put_room_users(object_writer *w, const duet_signal *m)
{
    json_error_t ignored;

    put_text(w, "self", m->self);
    put(w, "users", users_json(m));
    put_text(w, "topology", m->topology);
    if (m->ice_servers)
        put(w, "iceServers", json_loads(m->ice_servers, JSON_REJECT_DUPLICATES, &ignored));
}

int duet_signal_write(duet_buffer *out, const duet_signal *m)
{
    if (m->type == DUET_SIGNAL_NONE || (size_t)m->type >= FORM_COUNT)
        return DUET_ERR_INVALID;
    unsigned members = forms[m->type].members;
    object_writer w = {json_object(), false};
    put_text(&w, "type", forms[m->type].name);
    put_text(&w, "id", members & IS_REASON ? m->user_id : m->id);
    put_text(&w, "code", m->code);
    put_text(&w, "message", m->message);
    put_text(&w, "token", m->token);
    put_text(&w, "agentId", m->agent_id);
    put_text(&w, "expiresAt", m->expires_at);
    put_text(&w, "roomId", m->room_id);
    put_text(&w, "reason", m->reason);
    put_text(&w, "to", m->to);
    put_text(&w, "from", m->from);
    put_text(&w, "sdp", m->sdp);
    if (members & IS_CANDIDATE)
        put(&w, "candidate", candidate_json(&m->candidate));
    if (members & IS_USER)
        put(&w, "user", user_json(&m->user));
    if (members & IS_SELF)
        put_room_users(&w, m);
    if (m->seq > 0)
        put(&w, "seq", json_integer((json_int_t)m->seq));
    json_t *object = finish(&w);
    int err = duet_json_write(out, object);
    json_decref(object);
    return err;
}
