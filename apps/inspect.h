/* Decoders of duet inspect: bytes to a JSON model, and the model back to bytes. Pure functions, one file per kind; what
 * they are fed comes from outside and is read through bounded readers only. */
#ifndef DUET_APPS_INSPECT_H
#define DUET_APPS_INSPECT_H

#include "base/bytes.h"
#include "base/memory.h"
#include "duet/base.h"
#include <jansson.h>

/* Where and why. Kinds that are text have a line and a column counted from 1; the others an offset. */
typedef struct inspect_error {
    size_t offset;
    size_t line, column;
    char reason[200];
} inspect_error;

/* Adds the members of the model to `out`, an empty object.
 * @return DUET_OK, DUET_ERR_MALFORMED with `error` filled, DUET_ERR_NOMEM */
typedef int (*inspect_decode_fn)(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
/* Writes the bytes that a model stands for. @return DUET_OK, DUET_ERR_INVALID (no such model), DUET_ERR_NOMEM */
typedef int (*inspect_encode_fn)(const json_t *in, duet_buffer *out);

int inspect_sdp(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_candidate(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_stun(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_sctp(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_dcep(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_dtls(const uint8_t *data, size_t len, json_t *out, inspect_error *error);

int inspect_channeldata(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_turn_stream(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_rfc4571(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_mdns(const uint8_t *data, size_t len, json_t *out, inspect_error *error);

int inspect_rtp(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_rtcp(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_payload_opus(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_payload_g711(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_payload_vp8(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_payload_vp9(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_payload_h264(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_payload_h265(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_payload_av1(const uint8_t *data, size_t len, json_t *out, inspect_error *error);
int inspect_file(const uint8_t *data, size_t len, json_t *out, inspect_error *error);

int inspect_sdp_encode(const json_t *in, duet_buffer *out);
int inspect_candidate_encode(const json_t *in, duet_buffer *out);
int inspect_stun_encode(const json_t *in, duet_buffer *out);
int inspect_sctp_encode(const json_t *in, duet_buffer *out);
int inspect_dcep_encode(const json_t *in, duet_buffer *out);
int inspect_dtls_encode(const json_t *in, duet_buffer *out);
int inspect_channeldata_encode(const json_t *in, duet_buffer *out);
int inspect_turn_stream_encode(const json_t *in, duet_buffer *out);
int inspect_rfc4571_encode(const json_t *in, duet_buffer *out);
int inspect_mdns_encode(const json_t *in, duet_buffer *out);
int inspect_rtp_encode(const json_t *in, duet_buffer *out);
int inspect_rtcp_encode(const json_t *in, duet_buffer *out);
int inspect_payload_encode(const json_t *in, duet_buffer *out); /* of every codec */

typedef struct inspect_kind {
    const char *name;
    inspect_decode_fn decode;
    inspect_encode_fn encode; /* NULL: the model does not hold all of the bytes */
    bool is_alone;            /* never a message of a capture or a stream: on the wire it is encrypted, or not marked */
} inspect_kind;

/* Payloads of RTP are a kind for each codec: "payload/VP8". The case of the codec does not matter.
 * @return NULL when there is no such kind */
const inspect_kind *inspect_kind_find(const char *name);
/* The same, for messages found in captures and streams: RTP and RTCP are SRTP there. */
const inspect_kind *inspect_kind_on_wire(const char *name);

/* Writes `model` again and compares: adds "roundtrip": true, or false with "roundtripOffset", the first byte that
 * differs. @return DUET_OK also when they differ */
int inspect_roundtrip(const inspect_kind *kind, const uint8_t *data, size_t len, json_t *model, bool *same);

/* ---- STUN integrity -------------------------------------------------------------------------------------------- */

/* What a message's integrity is checked with: a password (short-term, or long-term when the message has USERNAME and
 * REALM), or the key itself. */
typedef struct inspect_secret {
    const char *password;
    const uint8_t *key;
    size_t key_len;
} inspect_secret;

/* Sets "messageIntegrity" of a decoded message to "valid" or "invalid" where there is one.
 * @return false when one is invalid */
bool inspect_stun_verify(const uint8_t *data, size_t len, const inspect_secret *secret, json_t *model);

/* ---- input as people have it ----------------------------------------------------------------------------------- */

typedef enum inspect_format {
    INSPECT_AUTO = 0,
    INSPECT_RAW,
    INSPECT_HEX,
    INSPECT_BASE64,
    INSPECT_PCAP,
} inspect_format;

bool inspect_format_parse(inspect_format *out, const char *name);
/* pcap by its magic number; hexadecimal digits with blanks, colons, commas and "0x"; base64; otherwise raw. */
inspect_format inspect_format_detect(const uint8_t *data, size_t len);
/* Replaces text by the bytes that it stands for, in place: `len` shrinks. RAW changes nothing. */
int inspect_format_decode(inspect_format format, uint8_t *data, size_t *len, inspect_error *error);

#endif
