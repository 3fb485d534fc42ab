/* The messages of the signaling protocol, both ways: one JSON object per WebSocket text message <-> one struct. Pure:
 * no I/O, no state. docs/signaling.md tells what the messages mean. */
#ifndef DUET_SIGNALING_PROTOCOL_H
#define DUET_SIGNALING_PROTOCOL_H

#include "duet/signaling.h"
#include "signaling/json.h"

#define DUET_SIGNAL_MESSAGE_MAX 65536 /* bytes of one message */
#define DUET_SIGNAL_REQUEST_MAX 64    /* characters of "id" */
#define DUET_SIGNAL_USERS_MAX   1024  /* a client reads at most so many seats of a room */
#define DUET_SIGNAL_SEAT_ID_MAX 64
#define DUET_SIGNAL_SUBPROTOCOL "duet.v1"
#define DUET_SIGNAL_COMPAT      "duet.compat" /* the dialect with the older names */

/* Close codes of the protocol (WebSocket, RFC 6455 section 7.4.2: private use). */
#define DUET_CLOSE_GOING_AWAY     1001
#define DUET_CLOSE_BAD_MESSAGE    4400
#define DUET_CLOSE_AUTHENTICATION 4401
#define DUET_CLOSE_FORBIDDEN      4403
#define DUET_CLOSE_TIMEOUT        4408
#define DUET_CLOSE_REPLACED       4409
#define DUET_CLOSE_TOO_LARGE      4413
#define DUET_CLOSE_RATE           4429
#define DUET_CLOSE_SERVER         4500

typedef enum duet_signal_type {
    DUET_SIGNAL_NONE = 0, /* a type that this build does not know */
    DUET_SIGNAL_AUTHENTICATE,
    DUET_SIGNAL_AUTH_OK,
    DUET_SIGNAL_AUTH_ERROR,
    DUET_SIGNAL_JOIN_ROOM,
    DUET_SIGNAL_ROOM_USERS,
    DUET_SIGNAL_USER_JOINED,
    DUET_SIGNAL_OFFER,
    DUET_SIGNAL_ANSWER,
    DUET_SIGNAL_CANDIDATE,
    DUET_SIGNAL_LEAVE_ROOM,
    DUET_SIGNAL_USER_LEFT,
    DUET_SIGNAL_ERROR,
    DUET_SIGNAL_RESUME,
    DUET_SIGNAL_RESUMED,
    DUET_SIGNAL_TOPOLOGY,
    DUET_SIGNAL_DISCOVER,
    DUET_SIGNAL_MANUAL,
} duet_signal_type;

/* One message. Which members belong to which type is told by the table in protocol.c; the others are NULL. Strings are
 * borrowed: of a parsed message they live until duet_signal_free. */
typedef struct duet_signal {
    duet_signal_type type;
    const char *id; /* of a request, repeated in its direct reply; NULL for none */
    uint64_t seq;   /* the server's of the seat, the client's of its own messages; 0 for none */
    uint64_t last_seq, received;
    const char *token, *agent_id, *expires_at;
    const char *code, *message;
    uint64_t retry_after_ms; /* of an error; 0 for none */
    const char *room_id, *self, *topology, *sfu, *user_id, *reason;
    const char *resume_token;
    const char *manual; /* JSON object */
    const char *to, *from;
    const char *sdp;
    duet_pc_candidate candidate; /* with sdp_mline_index -1 when absent */
    duet_signaling_user user;
    const duet_signaling_user *users;
    size_t user_count;
    const char *ice_servers; /* JSON array */
    const char *members;     /* to be written: more members as JSON, without the comma before them; NULL for none */

    json_t *document; /* owner of the strings of a parsed message */
    duet_signaling_user *own_users;
    char *own_sdp, *own_ice_servers, *own_manual;
} duet_signal;

/* The side whose messages are understood: a server reads `to`, a client `from`. */
typedef enum duet_signal_side {
    DUET_SIGNAL_FROM_CLIENT = 1,
    DUET_SIGNAL_FROM_SERVER,
} duet_signal_side;

/* Parses one message. @param out     to be freed with duet_signal_free whatever is returned; `type` and `id` are
 * filled as far as they could be read, so that the refusal can name its request @param reason  what is wrong,
 * static; may be NULL @return DUET_OK; DUET_ERR_MALFORMED (no JSON object with a type: the peer speaks another
 * language); DUET_ERR_UNSUPPORTED (unknown type); DUET_ERR_INVALID (members missing or of a wrong form);
 * DUET_ERR_TOO_LARGE; DUET_ERR_NOMEM */
int duet_signal_parse(duet_signal *out, const duet_env *env, duet_signal_side side, const char *text, size_t len,
                      const char **reason);
void duet_signal_free(duet_signal *message, const duet_env *env);

/* Appends the JSON text. Members that are NULL are left out. @return DUET_OK, DUET_ERR_INVALID or DUET_ERR_NOMEM */
int duet_signal_write(duet_buffer *out, const duet_signal *message);

/* Appends a JSON string with its quotes. */
void duet_signal_write_text(duet_buffer *out, const char *text);

/* What the compatibility dialect calls a message of the server. `text` is the whole message, which begins with its type.
 * @param skip  length of the beginning that is replaced @return the new beginning; NULL when the name is the same */
const char *duet_signal_compat_head(const char *text, size_t len, size_t *skip);

const char *duet_signal_type_name(duet_signal_type type);

/* 1 to 128 of the characters that need no escape in a URL (RFC 3986 section 2.3). */
bool duet_room_id_valid(const char *id);

#endif
