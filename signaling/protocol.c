/* Messages of the signaling protocol, version 1, as JSON (RFC 8259). One table says which members each type has;
 * reading and writing both follow it. */
#include "signaling/protocol.h"
#include "base/text.h"
#include <stdio.h>
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
    IS_RESUME = 1 << 12,  /* resumeToken and lastSeq */
    IS_RESUMED = 1 << 13, /* roomId, self, received */
    IS_TOPOLOGY = 1 << 14,
    IS_MANUAL = 1 << 15,
    IS_OPTIONAL_ROOM = 1 << 16,
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
    [DUET_SIGNAL_LEAVE_ROOM] = {"leave_room", DUET_SIGNAL_FROM_CLIENT, IS_OPTIONAL_ROOM},
    [DUET_SIGNAL_USER_LEFT] = {"user_left", DUET_SIGNAL_FROM_SERVER, IS_ROOM | IS_REASON},
    [DUET_SIGNAL_ERROR] = {"error", DUET_SIGNAL_FROM_SERVER, IS_CODE},
    [DUET_SIGNAL_RESUME] = {"resume", DUET_SIGNAL_FROM_CLIENT, IS_RESUME},
    [DUET_SIGNAL_RESUMED] = {"resumed", DUET_SIGNAL_FROM_SERVER, IS_ROOM | IS_RESUMED},
    [DUET_SIGNAL_TOPOLOGY] = {"topology", DUET_SIGNAL_FROM_SERVER, IS_ROOM | IS_TOPOLOGY},
    [DUET_SIGNAL_DISCOVER] = {"discover", 0, IS_PEER},
    [DUET_SIGNAL_MANUAL] = {"manual", 0, IS_PEER | IS_MANUAL},
};

#define FORM_COUNT (sizeof(forms) / sizeof(forms[0]))

const char *duet_signal_type_name(duet_signal_type type)
{
    return type > DUET_SIGNAL_NONE && (size_t)type < FORM_COUNT ? forms[type].name : "";
}

/* Names that mean the same. */
static const struct alias {
    const char *name, *other;
} client_aliases[] = {{"join", "join_room"}, {"leave", "leave_room"}};

static duet_signal_type type_of(const char *name, duet_signal_side side)
{
    for (size_t i = 0; side == DUET_SIGNAL_FROM_CLIENT && i < sizeof(client_aliases) / sizeof(client_aliases[0]); i++) {
        if (strcmp(client_aliases[i].name, name) == 0)
            name = client_aliases[i].other;
    }
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

static bool read_sdp(duet_signal *m, const json_t *object)
{
    m->sdp = m->own_sdp;
    return m->sdp ? strlen(m->sdp) <= DUET_SIGNAL_MESSAGE_MAX
                  : read_text(&m->sdp, object, "sdp", DUET_SIGNAL_MESSAGE_MAX);
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

static int read_manual(duet_signal *m, const duet_env *env, const json_t *manual)
{
    duet_buffer text;

    if (!json_is_object(manual))
        return DUET_ERR_INVALID;
    duet_buffer_init(&text, env);
    if (duet_json_write(&text, manual) == DUET_OK)
        m->manual = m->own_manual = duet_buffer_steal(&text);
    duet_buffer_free(&text);
    return m->manual ? DUET_OK : DUET_ERR_NOMEM;
}

/* A count that JSON can carry exactly; absent is 0. */
static bool read_number(uint64_t *out, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    *out = json_is_integer(value) && json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
    return !value || (json_is_integer(value) && json_integer_value(value) >= 0);
}

static bool read_topology(duet_signal *m, const json_t *object)
{
    return read_optional(&m->topology, object, "topology", TEXT_MAX) && read_optional(&m->sfu, object, "sfu", TEXT_MAX);
}

static int read_room_users(duet_signal *m, const duet_env *env, const json_t *object)
{
    if (!read_text(&m->self, object, "self", TEXT_MAX) || !read_topology(m, object) ||
        !read_optional(&m->resume_token, object, "resumeToken", TEXT_MAX))
        return DUET_ERR_INVALID;
    int err = read_users(m, env, json_object_get(object, "users"));
    return err == DUET_OK ? read_ice_servers(m, env, json_object_get(object, "iceServers")) : err;
}

static bool read_resume(duet_signal *m, const json_t *object)
{
    return read_text(&m->resume_token, object, "resumeToken", TEXT_MAX) && read_number(&m->last_seq, object, "lastSeq");
}

static bool read_resumed(duet_signal *m, const json_t *object)
{
    return read_text(&m->self, object, "self", TEXT_MAX) && read_number(&m->received, object, "received");
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
    return read_text(&m->code, object, "code", TEXT_MAX) &&
           read_optional(&m->message, object, "message", EXPLAIN_MAX) &&
           read_number(&m->retry_after_ms, object, "retryAfterMs");
}

/* `to` may be absent for the reader: the compatibility dialect means everybody then. */
static bool read_peer(duet_signal *m, duet_signal_side side, const json_t *object)
{
    if (side == DUET_SIGNAL_FROM_SERVER)
        return read_text(&m->from, object, "from", TEXT_MAX);
    return !json_object_get(object, "to") || read_text(&m->to, object, "to", TEXT_MAX);
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
    if ((members & IS_OPTIONAL_ROOM) && json_object_get(object, "roomId") && !read_room_id(m, object))
        return DUET_ERR_INVALID;
    *reason = from_client ? "\"to\" must be the id of a participant" : "\"from\" must be the id of a participant";
    if ((members & IS_PEER) && !read_peer(m, side, object))
        return DUET_ERR_INVALID;
    *reason = "\"resumeToken\" must be a text and \"lastSeq\" a number";
    if ((members & IS_RESUME) && !read_resume(m, object))
        return DUET_ERR_INVALID;
    *reason = "\"manual\" must be an object";
    if (members & IS_MANUAL) {
        int err = read_manual(m, env, json_object_get(object, "manual"));
        if (err != DUET_OK)
            return err;
    }
    *reason = "\"sdp\" must be a text";
    if ((members & IS_SDP) && !read_sdp(m, object))
        return DUET_ERR_INVALID;
    *reason = "\"candidate\" must be an object with a text \"candidate\", and sdpMid or sdpMLineIndex";
    if ((members & IS_CANDIDATE) && !read_candidate(&m->candidate, json_object_get(object, "candidate")))
        return DUET_ERR_INVALID;
    *reason = "a member is missing or has a wrong form";
    if (((members & IS_AGENT) && !read_text(&m->agent_id, object, "agentId", TEXT_MAX)) ||
        ((members & IS_EXPIRY) && !read_text(&m->expires_at, object, "expiresAt", TEXT_MAX)) ||
        ((members & IS_CODE) && !read_code(m, object)) ||
        ((members & IS_USER) && !read_user(&m->user, json_object_get(object, "user"))) ||
        ((members & IS_RESUMED) && !read_resumed(m, object)) ||
        ((members & IS_TOPOLOGY) && !read_topology(m, object)) || ((members & IS_REASON) && !read_reason(m, object)))
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
    int err = duet_json_parse_long(&out->document, &out->own_sdp, env, "sdp", text, len, reason);
    if (err != DUET_OK)
        return err;
    const char *type = duet_json_text(out->document, "type");
    *reason = "the message has no \"type\"";
    if (!type)
        return DUET_ERR_MALFORMED;
    out->type = type_of(type, side);
    *reason = "\"seq\" must be a number";
    if (!read_number(&out->seq, out->document, "seq"))
        return DUET_ERR_INVALID;
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
    duet_free(env, m->own_sdp);
    duet_free(env, m->own_users);
    duet_free(env, m->own_ice_servers);
    duet_free(env, m->own_manual);
    *m = (duet_signal){.type = DUET_SIGNAL_NONE};
}

/* ---- writing ---- */

/* RFC 8259 section 7: what must be escaped, is; the text is UTF-8 already. */
void duet_signal_write_text(duet_buffer *out, const char *text)
{
    const char *run = text;

    duet_buffer_append(out, "\"", 1);
    for (const char *c = text; *c; c++) {
        if (*c != '"' && *c != '\\' && (uint8_t)*c >= 0x20)
            continue;
        duet_buffer_append(out, run, (size_t)(c - run));
        if (*c == '\r')
            duet_buffer_append(out, "\\r", 2);
        else if (*c == '\n')
            duet_buffer_append(out, "\\n", 2);
        else if ((uint8_t)*c < 0x20)
            duet_buffer_printf(out, "\\u%04x", (unsigned)*c);
        else
            duet_buffer_append(out, *c == '"' ? "\\\"" : "\\\\", 2);
        run = c + 1;
    }
    duet_buffer_text(out, run);
    duet_buffer_append(out, "\"", 1);
}

/* `,"name":` */
static void put_name(duet_buffer *out, const char *name)
{
    duet_buffer_append(out, ",\"", 2);
    duet_buffer_text(out, name);
    duet_buffer_append(out, "\":", 2);
}

static void put_text(duet_buffer *out, const char *name, const char *text)
{
    if (!text)
        return;
    put_name(out, name);
    duet_signal_write_text(out, text);
}

static void put_json(duet_buffer *out, const char *name, const char *json)
{
    if (!json)
        return;
    put_name(out, name);
    duet_buffer_text(out, json);
}

static void put_number(duet_buffer *out, const char *name, uint64_t number)
{
    char text[24];

    if (number == 0)
        return;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    put_json(out, name, text);
}

static void put_user(duet_buffer *out, const duet_signaling_user *user)
{
    duet_buffer_text(out, "{\"id\":");
    duet_signal_write_text(out, user->id);
    put_text(out, "agentId", user->agent_id);
    put_text(out, "role", user->role);
    duet_buffer_append(out, "}", 1);
}

static void put_users(duet_buffer *out, const duet_signal *m)
{
    put_name(out, "users");
    duet_buffer_append(out, "[", 1);
    for (size_t i = 0; i < m->user_count; i++) {
        if (i > 0)
            duet_buffer_append(out, ",", 1);
        put_user(out, &m->users[i]);
    }
    duet_buffer_append(out, "]", 1);
}

static void put_candidate(duet_buffer *out, const duet_pc_candidate *c)
{
    char index[16];

    put_name(out, "candidate");
    duet_buffer_text(out, "{\"candidate\":");
    duet_signal_write_text(out, c->candidate ? c->candidate : "");
    put_text(out, "sdpMid", c->sdp_mid);
    snprintf(index, sizeof(index), "%d", c->sdp_mline_index);
    put_json(out, "sdpMLineIndex", c->sdp_mline_index >= 0 ? index : NULL);
    put_text(out, "usernameFragment", c->username_fragment);
    duet_buffer_append(out, "}", 1);
}

static void put_members(duet_buffer *out, const duet_signal *m, unsigned members)
{
    put_text(out, "id", members & IS_REASON ? m->user_id : m->id);
    put_text(out, "code", m->code);
    put_text(out, "message", m->message);
    put_number(out, "retryAfterMs", m->retry_after_ms);
    put_text(out, "token", m->token);
    put_text(out, "agentId", m->agent_id);
    put_text(out, "expiresAt", m->expires_at);
    put_text(out, "roomId", m->room_id);
    put_text(out, "resumeToken", m->resume_token);
    put_number(out, "lastSeq", m->last_seq);
    put_text(out, "reason", m->reason);
    put_text(out, "to", m->to);
    put_text(out, "from", m->from);
    put_text(out, "sdp", m->sdp);
    put_json(out, "manual", m->manual);
    if (members & IS_CANDIDATE)
        put_candidate(out, &m->candidate);
    if (members & IS_USER) {
        put_name(out, "user");
        put_user(out, &m->user);
    }
    put_text(out, "self", m->self);
    if (members & IS_SELF)
        put_users(out, m);
    put_text(out, "topology", m->topology);
    put_text(out, "sfu", m->sfu);
    put_json(out, "iceServers", members & IS_SELF ? m->ice_servers : NULL);
    if (members & IS_RESUMED)
        put_json(out, "received", m->received == 0 ? "0" : NULL);
    put_number(out, "received", m->received);
    if (m->members) {
        duet_buffer_append(out, ",", 1);
        duet_buffer_text(out, m->members);
    }
    put_number(out, "seq", m->seq);
}

int duet_signal_write(duet_buffer *out, const duet_signal *m)
{
    if (m->type == DUET_SIGNAL_NONE || (size_t)m->type >= FORM_COUNT)
        return DUET_ERR_INVALID;
    duet_buffer_text(out, "{\"type\":\"");
    duet_buffer_text(out, forms[m->type].name);
    duet_buffer_append(out, "\"", 1);
    put_members(out, m, forms[m->type].members);
    duet_buffer_append(out, "}", 1);
    return out->failed ? DUET_ERR_NOMEM : DUET_OK;
}

/* ---- the compatibility dialect ---- */

const char *duet_signal_compat_head(const char *text, size_t len, size_t *skip)
{
    static const struct {
        const char *head, *instead;
    } heads[] = {{"{\"type\":\"user_joined\"", "{\"type\":\"joined\""},
                 {"{\"type\":\"user_left\"", "{\"type\":\"user_exit\""},
                 {"{\"type\":\"offer\"", "{\"type\":\"getOffer\""},
                 {"{\"type\":\"answer\"", "{\"type\":\"getAnswer\""},
                 {"{\"type\":\"candidate\"", "{\"type\":\"getCandidate\""}};

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        *skip = strlen(heads[i].head);
        if (len > *skip && memcmp(text, heads[i].head, *skip) == 0)
            return heads[i].instead;
    }
    *skip = 0;
    return NULL;
}
