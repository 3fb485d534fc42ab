/* The messages on the data channel: one JSON object <-> one struct. Pure: no state. docs/utcp.md tells what they
 * mean. */
#ifndef DUET_SIGNALING_UTCP_MESSAGE_H
#define DUET_SIGNALING_UTCP_MESSAGE_H

#include "duet/utcp.h"
#include "signaling/json.h"

/* Values (objects, arrays, members, elements) in a message. jansson takes up to some 250 bytes for each, so a message
 * costs at most about 64 MiB while it is handled. */
#define DUET_UTCP_VALUES_MAX 262144
#define DUET_UTCP_DEPTH_MAX  128

typedef enum duet_utcp_type {
    DUET_UTCP_NONE = 0, /* of an unknown type */
    DUET_UTCP_CALL,     /* tool_call: tool, id, inputs, stream */
    DUET_UTCP_RESPONSE, /* tool_response: tool, id, output */
    DUET_UTCP_ERROR,    /* tool_error: id, code, message; tool where it is known */
    DUET_UTCP_DATA,     /* stream_data: id, output */
    DUET_UTCP_END,      /* stream_end: id */
    DUET_UTCP_CANCEL,   /* tool_cancel: id */
    DUET_UTCP_DISCOVER, /* utcp */
    DUET_UTCP_MANUAL,   /* the manual itself: an object with `tools` and without `type` */
    DUET_UTCP_CHUNK,    /* a piece of a message: data, last */
} duet_utcp_type;

typedef struct duet_utcp_message {
    duet_utcp_type type;
    const char *tool, *id, *code, *text; /* text: `message` of an error */
    json_t *inputs, *output;             /* borrowed. Of MANUAL, output is the manual */
    bool stream, last;
    const char *data;
    size_t data_len;
    json_t *document; /* owner of the above in a message that was read */
} duet_utcp_message;

/* @param out     to be freed whatever is returned; `id` is filled as far as it could be read
 * @param reason  what is wrong, static; may be NULL
 * @return DUET_OK; DUET_ERR_MALFORMED (no JSON object); DUET_ERR_INVALID (members missing or wrong);
 *         DUET_ERR_UNSUPPORTED (type); DUET_ERR_TOO_LARGE (bytes, values or depth); DUET_ERR_NOMEM */
int duet_utcp_message_parse(duet_utcp_message *out, const char *text, size_t len, const char **reason);
void duet_utcp_message_free(duet_utcp_message *message);

/* Appends the text. @return DUET_OK; DUET_ERR_TOO_LARGE (beyond DUET_UTCP_MESSAGE_MAX: `out` is as it was);
 * DUET_ERR_NOMEM */
int duet_utcp_message_write(duet_buffer *out, const duet_utcp_message *message);

/* Parses any JSON value within the same bounds, for outputs and inputs.
 * @return DUET_OK; DUET_ERR_MALFORMED; DUET_ERR_TOO_LARGE; DUET_ERR_NOMEM */
int duet_utcp_json_parse(json_t **out, const char *text, size_t len, const char **reason);

/* Appends compact text. `value` may be NULL: no memory. @return DUET_OK or DUET_ERR_NOMEM */
int duet_utcp_json_write(duet_buffer *out, const json_t *value);

/* 1 to 128 characters. */
bool duet_utcp_id_valid(const char *id);
/* 1 to 128 bytes without control characters. */
bool duet_utcp_name_valid(const char *name);

#endif
