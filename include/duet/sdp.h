/* SDP: a strict and total parser and writer (RFC 8866) with the attributes of WebRTC typed, and offer/answer as pure
 * functions over descriptions and capabilities (RFC 3264, RFC 9143, RFC 9429). No state, no time, no I/O.
 *
 * A description is an ordered list of lines: those of the session, then those of each m-section. Every line is kept as
 * it was read, known or not, so writing what was parsed gives the same bytes (with CRLF). Typed values are read from a
 * line on demand; their grammar was checked when the line came in, so a line of a known kind always has its value.
 *
 * Two grades of trouble: an error (no description comes out; line, column and reason say why) and a warning (real peers
 * send such things; the line is kept, and the warning names it). */
#ifndef DUET_SDP_H
#define DUET_SDP_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- limits ---------------------------------------------------------------------------------------------------
 * Past one of these, parsing and building give DUET_ERR_LIMIT. The memory of a parsed description is at most
 * DUET_SDP_MEMORY_FACTOR times its text plus DUET_SDP_MEMORY_BASE bytes; the time is linear in the text. A group holds
 * as many mids as there may be m-sections, there are as many groups at most, and a list of rids has at most 64. */
#define DUET_SDP_TEXT_MAX     (1024u * 1024u) /* bytes of a description */
#define DUET_SDP_LINE_MAX     16384u          /* bytes of a line without its end */
#define DUET_SDP_LINES_MAX    16384u          /* lines of a description */
#define DUET_SDP_MEDIA_MAX    256u            /* m-sections */
#define DUET_SDP_WARNINGS_MAX 64u             /* warnings kept; later ones are counted only */

#define DUET_SDP_MEMORY_FACTOR 40u
#define DUET_SDP_MEMORY_BASE   16384u

/* ---- parsing and writing --------------------------------------------------------------------------------------- */

typedef struct duet_sdp duet_sdp;

/** Where and why: `line` and `column` count from 1 (0: the description as a whole). For example line 14, column 9,
 *  "\"a=setup:actpas\": setup is active, passive, actpass or holdconn (RFC 8842, 5.2)". */
typedef struct duet_sdp_error {
    size_t line, column;
    char reason[160];
} duet_sdp_error;

/** Parses a description. Lines end with CRLF or a bare LF.
 *  @param text   `len` bytes, copied
 *  @param error  what is wrong; may be NULL; untouched on success
 *  @return DUET_OK, DUET_ERR_MALFORMED, DUET_ERR_LIMIT or DUET_ERR_NOMEM */
DUET_API int duet_sdp_parse(duet_sdp **out, const duet_env *env, const char *text, size_t len, duet_sdp_error *error);

/** Writes the description with CRLF after each line. @param out  freed with duet_free; NUL-terminated */
DUET_API int duet_sdp_write(const duet_sdp *sdp, char **out);

DUET_API int duet_sdp_clone(duet_sdp **out, const duet_sdp *sdp); /**< a deep copy in the same environment */
DUET_API void duet_sdp_destroy(duet_sdp *sdp);                    /**< NULL is fine */

/** Oddities that were kept, in the order of the lines. @return how many there are to ask for */
DUET_API size_t duet_sdp_warning_count(const duet_sdp *sdp);
DUET_API const duet_sdp_error *duet_sdp_warning(const duet_sdp *sdp, size_t n); /**< NULL past the end */

/* ---- lines and their typed values ------------------------------------------------------------------------------ */

/** Stands for the session part where a function takes the index of an m-section. */
#define DUET_SDP_SESSION SIZE_MAX

/** A run of characters inside a line; not NUL-terminated. It lives until the description changes. */
typedef struct duet_sdp_text {
    const char *text;
    size_t len;
} duet_sdp_text;

DUET_API bool duet_sdp_text_is(duet_sdp_text text, const char *word);
/** Copies with a NUL. @return DUET_OK or DUET_ERR_BUFFER */
DUET_API int duet_sdp_text_copy(duet_sdp_text text, char *buf, size_t size);
/** The next word of a list that is separated by spaces: steps `list` over it. @return false at the end */
DUET_API bool duet_sdp_text_next(duet_sdp_text *list, duet_sdp_text *word);

/** The kinds of lines that have a typed value. */
typedef enum duet_sdp_kind {
    DUET_SDP_UNKNOWN = 0,        /**< no a= line, or an attribute that is only kept */
    DUET_SDP_GROUP,              /**< RFC 5888 */
    DUET_SDP_MID,                /**< RFC 5888 */
    DUET_SDP_ICE_UFRAG,          /**< RFC 8839, 5.4 */
    DUET_SDP_ICE_PWD,            /**< RFC 8839, 5.4 */
    DUET_SDP_ICE_OPTIONS,        /**< RFC 8839, 5.6 */
    DUET_SDP_ICE_LITE,           /**< RFC 8839, 5.3 */
    DUET_SDP_CANDIDATE,          /**< RFC 8839, 5.1 */
    DUET_SDP_END_OF_CANDIDATES,  /**< RFC 8840, 8.2 */
    DUET_SDP_FINGERPRINT,        /**< RFC 8122, 5 */
    DUET_SDP_SETUP,              /**< RFC 4145, 4; RFC 8842, 5.2 */
    DUET_SDP_TLS_ID,             /**< RFC 8842, 4 */
    DUET_SDP_DIRECTION,          /**< sendrecv, sendonly, recvonly, inactive: RFC 8866, 6.7 */
    DUET_SDP_RTPMAP,             /**< RFC 8866, 6.6 */
    DUET_SDP_FMTP,               /**< RFC 8866, 6.15 */
    DUET_SDP_RTCP_FB,            /**< RFC 4585, 4.2 */
    DUET_SDP_RTCP,               /**< RFC 3605 */
    DUET_SDP_RTCP_MUX,           /**< RFC 5761 */
    DUET_SDP_RTCP_MUX_ONLY,      /**< RFC 8858 */
    DUET_SDP_RTCP_RSIZE,         /**< RFC 5506 */
    DUET_SDP_EXTMAP,             /**< RFC 8285, 8 */
    DUET_SDP_EXTMAP_ALLOW_MIXED, /**< RFC 8285, 6 */
    DUET_SDP_SSRC,               /**< RFC 5576, 4.1 */
    DUET_SDP_SSRC_GROUP,         /**< RFC 5576, 4.2 */
    DUET_SDP_RID,                /**< RFC 8851 */
    DUET_SDP_SIMULCAST,          /**< RFC 8853 */
    DUET_SDP_MSID,               /**< RFC 8830 */
    DUET_SDP_MSID_SEMANTIC,      /**< draft-ietf-mmusic-msid-05, still sent by browsers */
    DUET_SDP_BUNDLE_ONLY,        /**< RFC 9143, 6 */
    DUET_SDP_SCTP_PORT,          /**< RFC 8841, 5 */
    DUET_SDP_SCTPMAP,            /**< draft-ietf-mmusic-sctp-sdp-06: the old form of data sections */
    DUET_SDP_MAX_MESSAGE_SIZE,   /**< RFC 8841, 6 */
    DUET_SDP_PTIME,              /**< RFC 8866, 6.4 */
    DUET_SDP_MAXPTIME,           /**< RFC 8866, 6.5 */
} duet_sdp_kind;

/** One line. For `a=` lines `name` and `value` are its two halves; for others `name` is NULL. The strings live until the
 *  description changes. */
typedef struct duet_sdp_line {
    char type;          /**< 'v', 'o', …, 'a' */
    duet_sdp_kind kind; /**< of a= lines */
    const char *name;   /**< of a= lines; NULL otherwise */
    const char *value;  /**< what follows "name:" or, for other types, "="; NULL when an attribute has no value */
} duet_sdp_line;

typedef enum duet_sdp_direction {
    DUET_SDP_INACTIVE = 0, /* two bits: 1 send, 2 receive */
    DUET_SDP_SENDONLY = 1,
    DUET_SDP_RECVONLY = 2,
    DUET_SDP_SENDRECV = 3,
} duet_sdp_direction;

DUET_API const char *duet_sdp_direction_name(duet_sdp_direction direction);           /**< "sendrecv", … */
DUET_API duet_sdp_direction duet_sdp_direction_reverse(duet_sdp_direction direction); /**< as the peer sees it */

/** Payload type of an a=rtcp-fb that holds for all: "*". */
#define DUET_SDP_ANY_PAYLOAD_TYPE 255

typedef struct duet_sdp_group {
    duet_sdp_text semantics;
    duet_sdp_text mids; /**< words */
} duet_sdp_group;
typedef struct duet_sdp_rtpmap {
    uint8_t payload_type;
    duet_sdp_text name;
    uint32_t clock_rate;
    uint8_t channels; /**< 1 when absent */
} duet_sdp_rtpmap;
typedef struct duet_sdp_fmtp {
    uint8_t payload_type;
    duet_sdp_text parameters;
} duet_sdp_fmtp;
typedef struct duet_sdp_rtcp_fb {
    uint8_t payload_type;
    duet_sdp_text feedback; /**< "nack pli" */
} duet_sdp_rtcp_fb;
typedef struct duet_sdp_rtcp {
    uint16_t port;
    duet_sdp_text address; /**< "" when absent */
} duet_sdp_rtcp;
typedef struct duet_sdp_extmap {
    uint16_t id;                  /**< 1 to 14 one-byte, up to 255 two-byte; 4096 to 4351 provisional */
    duet_sdp_direction direction; /**< SENDRECV when absent */
    duet_sdp_text uri;
    duet_sdp_text attributes; /**< "" when absent */
} duet_sdp_extmap;
typedef struct duet_sdp_ssrc {
    uint32_t ssrc;
    duet_sdp_text attribute; /**< "cname", "msid", … */
    duet_sdp_text value;     /**< "" when absent */
} duet_sdp_ssrc;
typedef struct duet_sdp_ssrc_group {
    duet_sdp_text semantics;
    duet_sdp_text ssrcs; /**< words */
} duet_sdp_ssrc_group;
typedef struct duet_sdp_rid {
    duet_sdp_text id;
    duet_sdp_direction direction; /**< SENDONLY or RECVONLY */
    duet_sdp_text restrictions;   /**< "pt=96;max-width=640", "" when absent */
} duet_sdp_rid;
/** Streams are separated by ";", alternatives by ",", "~" marks a paused one; "" when that direction is absent. */
typedef struct duet_sdp_simulcast {
    duet_sdp_text send;
    duet_sdp_text recv;
} duet_sdp_simulcast;
typedef struct duet_sdp_msid {
    duet_sdp_text stream; /**< "-": none */
    duet_sdp_text track;  /**< "" when absent */
} duet_sdp_msid;
typedef struct duet_sdp_sctpmap {
    uint16_t port;
    duet_sdp_text protocol;
    uint32_t streams;
} duet_sdp_sctpmap;

/** The typed value of a line. Attributes without a value have the kind alone. */
typedef struct duet_sdp_value {
    duet_sdp_kind kind;
    union {
        duet_sdp_group group;
        duet_sdp_text text; /**< MID, ICE_UFRAG, ICE_PWD, ICE_OPTIONS, TLS_ID, MSID_SEMANTIC */
        duet_candidate candidate;
        duet_fingerprint fingerprint;
        duet_setup setup;
        duet_sdp_direction direction;
        duet_sdp_rtpmap rtpmap;
        duet_sdp_fmtp fmtp;
        duet_sdp_rtcp_fb rtcp_fb;
        duet_sdp_rtcp rtcp;
        duet_sdp_extmap extmap;
        duet_sdp_ssrc ssrc;
        duet_sdp_ssrc_group ssrc_group;
        duet_sdp_rid rid;
        duet_sdp_simulcast simulcast;
        duet_sdp_msid msid;
        duet_sdp_sctpmap sctpmap;
        uint64_t number; /**< SCTP_PORT, MAX_MESSAGE_SIZE, PTIME, MAXPTIME (milliseconds) */
    } as;
} duet_sdp_value;

/** How many lines the session part or an m-section has; an m-section's first line is its m= line. */
DUET_API size_t duet_sdp_line_count(const duet_sdp *sdp, size_t media);
DUET_API const duet_sdp_line *duet_sdp_line_at(const duet_sdp *sdp, size_t media, size_t n); /**< NULL past the end */

/** Reads the typed value. @return DUET_OK; DUET_ERR_NOT_FOUND for lines without one; DUET_ERR_UNSUPPORTED for a
 *  candidate or fingerprint that is well-formed but of an unknown type (see duet_candidate_parse) */
DUET_API int duet_sdp_line_value(const duet_sdp_line *line, duet_sdp_value *out);

/** The next line of a kind, and its value when `out` is not NULL. Start with *cursor = 0. Values that are
 *  DUET_ERR_UNSUPPORTED are passed over. @return false at the end */
DUET_API bool duet_sdp_next(const duet_sdp *sdp, size_t media, duet_sdp_kind kind, size_t *cursor, duet_sdp_value *out);

/** Whether a line of the kind is there. */
DUET_API bool duet_sdp_has(const duet_sdp *sdp, size_t media, duet_sdp_kind kind);

/** The value of the first attribute of that name (known or not), "" when it has none; NULL when it is absent. */
DUET_API const char *duet_sdp_attribute(const duet_sdp *sdp, size_t media, const char *name);

/* ---- the session, and m-sections with the defaults of the session ---------------------------------------------- */

typedef enum duet_sdp_media_kind {
    DUET_SDP_AUDIO = 1,
    DUET_SDP_VIDEO,
    DUET_SDP_APPLICATION,
    DUET_SDP_OTHER, /**< text, message, image, … */
} duet_sdp_media_kind;

typedef struct duet_sdp_origin {
    duet_sdp_text username; /**< "-" */
    uint64_t session_id;
    uint64_t version;
} duet_sdp_origin;

/** What an m= line says. */
typedef struct duet_sdp_media {
    duet_sdp_media_kind kind;
    const char *name;    /**< "audio" */
    uint16_t port;       /**< 0: rejected, or bundle-only */
    uint16_t port_count; /**< 1 when absent */
    const char *proto;   /**< "UDP/TLS/RTP/SAVPF" */
    const char *formats; /**< words, "111 63 9" */
} duet_sdp_media;

DUET_API void duet_sdp_get_origin(const duet_sdp *sdp, duet_sdp_origin *out);
DUET_API size_t duet_sdp_media_count(const duet_sdp *sdp);
DUET_API const duet_sdp_media *duet_sdp_media_at(const duet_sdp *sdp, size_t index); /**< NULL past the end */

/** RTP in DTLS-SRTP ("UDP/TLS/RTP/SAVPF" and its relatives, RFC 9429 5.1.2), or data channels in either form. */
DUET_API bool duet_sdp_media_is_rtp(const duet_sdp *sdp, size_t index);
DUET_API bool duet_sdp_media_is_data(const duet_sdp *sdp, size_t index);
/** Port 0 and no a=bundle-only: RFC 3264 section 6, RFC 9143 section 6. */
DUET_API bool duet_sdp_media_is_rejected(const duet_sdp *sdp, size_t index);

/** a=mid, "" when absent. */
DUET_API duet_sdp_text duet_sdp_media_mid(const duet_sdp *sdp, size_t index);
/** The m-section with that mid. @return false when there is none */
DUET_API bool duet_sdp_find_mid(const duet_sdp *sdp, duet_sdp_text mid, size_t *index);
/** The n-th group of the semantics, for example "BUNDLE". @return false when there is none */
DUET_API bool duet_sdp_find_group(const duet_sdp *sdp, const char *semantics, size_t n, duet_sdp_group *out);
/** The first mid of the BUNDLE group that `index` is in (RFC 9143: the tagged m-section). @return false when the
 *  section is in no BUNDLE group, or the first mid belongs to no section */
DUET_API bool duet_sdp_bundle_tag(const duet_sdp *sdp, size_t index, size_t *tag);

/* For each of these a value in the m-section wins over one in the session part. They do not look at other sections: for
 * a bundled section without its own, ask for its bundle tag. DUET_ERR_NOT_FOUND when absent. */
DUET_API int duet_sdp_media_ice(const duet_sdp *sdp, size_t index, duet_ice_credentials *out);
DUET_API int duet_sdp_media_setup(const duet_sdp *sdp, size_t index, duet_setup *out);
DUET_API bool duet_sdp_media_ice_option(const duet_sdp *sdp, size_t index, const char *option);
DUET_API duet_sdp_direction duet_sdp_media_direction(const duet_sdp *sdp, size_t index); /**< SENDRECV by default */
/** The usable fingerprints (SHA-1 and unknown hashes are left out). @return how many there are; at most `max` stored */
DUET_API size_t duet_sdp_media_fingerprints(const duet_sdp *sdp, size_t index, duet_fingerprint *out, size_t max);
DUET_API bool duet_sdp_ice_lite(const duet_sdp *sdp);

/** Usable candidates one after the other. Start with *cursor = 0. @return false at the end */
DUET_API bool duet_sdp_media_candidate(const duet_sdp *sdp, size_t index, size_t *cursor, duet_candidate *out);
DUET_API bool duet_sdp_media_end_of_candidates(const duet_sdp *sdp, size_t index); /**< here or in the session part */

/** a=rtpmap, a=fmtp and a=rtcp-fb joined, in the order of the m= line. Static payload types need no rtpmap (RFC 3551,
 *  section 6). Formats that have neither, or whose name or fmtp does not fit a duet_codec, are left out.
 *  @return how many there are (never above 128); at most `max` are stored */
DUET_API size_t duet_sdp_media_codecs(const duet_sdp *sdp, size_t index, duet_codec *out, size_t max);

/** The extension ids of an m-section with those of the session part. Start with *cursor = 0. */
DUET_API bool duet_sdp_media_extmap(const duet_sdp *sdp, size_t index, size_t *cursor, duet_sdp_extmap *out);

/** The id of a header extension, 0 when absent. */
DUET_API uint16_t duet_sdp_media_extmap_id(const duet_sdp *sdp, size_t index, const char *uri);

/** a=sctp-port, or the port of the old form ("DTLS/SCTP 5000"). RFC 8841 section 5. */
DUET_API int duet_sdp_media_sctp_port(const duet_sdp *sdp, size_t index, uint16_t *out);
/** a=max-message-size as it is written (0: any size); DUET_ERR_NOT_FOUND when absent: then 65536 holds, RFC 8841
 *  section 6.1. */
DUET_API int duet_sdp_media_max_message_size(const duet_sdp *sdp, size_t index, uint64_t *out);

/* ---- building and changing ------------------------------------------------------------------------------------- */

/** A description with v=, o=, s= and t= and nothing else: "o=- <session_id> <version> IN IP4 127.0.0.1". */
DUET_API int duet_sdp_create(duet_sdp **out, const duet_env *env, uint64_t session_id, uint64_t version);

/** Changes o=: RFC 9429 section 5.2.2 counts `version` up with each change. */
DUET_API int duet_sdp_set_origin(duet_sdp *sdp, uint64_t session_id, uint64_t version);

/** Adds an m-section with "c=IN IP4 0.0.0.0". @param name, proto, formats  as in duet_sdp_media
 *  @param index  its index; may be NULL */
DUET_API int duet_sdp_add_media(duet_sdp *sdp, const char *name, uint16_t port, const char *proto, const char *formats,
                                size_t *index);
DUET_API int duet_sdp_set_port(duet_sdp *sdp, size_t index, uint16_t port);
DUET_API int duet_sdp_set_formats(duet_sdp *sdp, size_t index, const char *formats);
/** Sets the c= line and the port, NONE: "IN IP4 0.0.0.0" and port 9. */
DUET_API int duet_sdp_set_address(duet_sdp *sdp, size_t index, const duet_address *address);

/** Appends an attribute to the session part (DUET_SDP_SESSION) or an m-section. A known one must follow its grammar.
 *  @param value  NULL: an attribute without value
 *  @return DUET_OK, DUET_ERR_MALFORMED, DUET_ERR_INVALID (no such section), DUET_ERR_LIMIT, DUET_ERR_NOMEM */
DUET_API int duet_sdp_add(duet_sdp *sdp, size_t media, const char *name, const char *value);
DUET_API int duet_sdp_addf(duet_sdp *sdp, size_t media, const char *name, const char *format, ...) DUET_PRINTF(4, 5);
/** Replaces the first attribute of that name where it stands and removes the others; adds it when there is none. */
DUET_API int duet_sdp_replace(duet_sdp *sdp, size_t media, const char *name, const char *value);
/** Removes all attributes of that name. @return how many there were */
DUET_API size_t duet_sdp_remove(duet_sdp *sdp, size_t media, const char *name);

/** Adds a candidate behind the others of its section, and makes the default address of m= and c= follow (RFC 8839
 *  section 4.2.1.2: relayed, then reflexive, then host; UDP, component 1). A candidate that is there already is
 *  DUET_OK and changes nothing. */
DUET_API int duet_sdp_add_candidate(duet_sdp *sdp, size_t index, const duet_candidate *candidate);
DUET_API int duet_sdp_add_end_of_candidates(duet_sdp *sdp, size_t index);
/** Removes the candidates, a=end-of-candidates, and resets the default address (ICE restart). */
DUET_API int duet_sdp_remove_candidates(duet_sdp *sdp, size_t index);

/* ---- codecs ---------------------------------------------------------------------------------------------------- */

/** A parameter of a format parameter list: "apt" in "apt=96;rtx-time=200". Names are compared without case.
 *  @return false when absent */
DUET_API bool duet_sdp_fmtp_get(const char *fmtp, const char *name, duet_sdp_text *out);

/** The payload types that red may carry, from its format parameters: "111/111" (RFC 2198 section 5).
 *  @param cursor  0 at first; behind the list it is where reading ended, so what is left there is ill-formed
 *  @return false when there is no other */
DUET_API bool duet_sdp_red_next(const char *fmtp, size_t *cursor, uint8_t *payload_type);

/** Whether both name the same codec in the same configuration, so that one may answer the other: name, clock rate and
 *  channels, and for VP9 profile-id, AV1 profile, H264 profile and packetization-mode (RFC 6184 section 8.2.2). The
 *  payload types may differ. For rtx, red and ulpfec only the names and rates are compared. */
DUET_API bool duet_sdp_codec_equal(const duet_codec *a, const duet_codec *b);

/** The codecs that both sides have, with the payload types of the offer (RFC 3264 section 6.1) and the format
 *  parameters and feedback of an answer. rtx, red and fec come only with the codecs that they protect, red with all that it
 *  names.
 *  @param own_order  false: in the order of the offer; true: in that of `own`
 *  @param out        room for 128 codecs @return how many were stored */
DUET_API size_t duet_sdp_codecs_answer(const duet_codec *const *own, size_t own_count, const duet_codec *offered,
                                       size_t offered_count, bool own_order, duet_codec *out);

/** The direction that an answer may have: `wanted` without what the offer does not allow (RFC 3264 section 6.1). */
DUET_API duet_sdp_direction duet_sdp_direction_answer(duet_sdp_direction offered, duet_sdp_direction wanted);

/** The role that answers an offered one (RFC 8842 section 5.3). @param wanted  ACTIVE or PASSIVE; NONE is ACTIVE.
 *  It counts when the offer leaves the choice (actpass, or no a=setup). @return NONE when nothing fits (holdconn) */
DUET_API duet_setup duet_sdp_setup_answer(duet_setup offered, duet_setup wanted);

/* ---- offer and answer ------------------------------------------------------------------------------------------ */

/** What an m-section says about its transport. */
typedef struct duet_sdp_transport {
    size_t size;
    duet_ice_credentials ice;
    const char *ice_options; /**< "trickle"; NULL: none */
    const duet_fingerprint *const *fingerprints;
    size_t fingerprint_count;
    duet_setup setup;   /**< offer: NONE is actpass. answer: see duet_sdp_setup_answer */
    const char *tls_id; /**< NULL: none */
    const duet_candidate *const *candidates;
    size_t candidate_count;
    bool end_of_candidates;
} duet_sdp_transport;

/* clang-format off */
#define DUET_SDP_TRANSPORT_INIT { sizeof(duet_sdp_transport), {"", ""}, "trickle", NULL, 0, DUET_SETUP_NONE, NULL, NULL, 0, false }
/* clang-format on */

/** A header extension that is offered, or could be answered. */
typedef struct duet_sdp_extension {
    uint16_t id;                  /**< offers: 1 to 14 (255 with two-byte headers); answers take the id of the offer */
    duet_sdp_direction direction; /**< SENDRECV: not written */
    const char *uri;
} duet_sdp_extension;

/** One encoding of a simulcast stream. */
typedef struct duet_sdp_encoding {
    const char *rid;
    const char *restrictions; /**< "max-width=640"; NULL: none */
    bool paused;
} duet_sdp_encoding;

/** What one m-section should say (offers), or what is there to answer with (answers). */
typedef struct duet_sdp_section {
    size_t size;
    duet_sdp_media_kind kind;
    const char *mid;                     /**< offers; an answer repeats that of the offer */
    bool rejected;                       /**< port 0, and nothing else but mid */
    bool bundle_only;                    /**< offers: port 0 with a=bundle-only, RFC 9143 section 7.2.1 */
    bool no_bundle;                      /**< keep it out of the BUNDLE group */
    const duet_sdp_transport *transport; /**< NULL: none of its own (bundled behind another section) */

    /* audio and video */
    duet_sdp_direction direction; /**< answers: what is wanted; the answer has what the offer allows of it */
    const duet_codec *const *codecs;
    size_t codec_count;
    bool own_codec_order; /**< answers: in the order of `codecs` instead of the offer's */
    const duet_sdp_extension *const *extensions;
    size_t extension_count;
    const char *const *stream_ids; /**< a=msid: one line for each; none of them and a track: "-" */
    size_t stream_count;
    const char *track_id; /**< NULL: no a=msid. Written only with a direction that sends */
    const char *cname;    /**< a=ssrc lines, when `ssrcs` are given */
    const uint32_t *ssrcs;
    size_t ssrc_count;
    const uint32_t *rtx_ssrcs; /**< as many as ssrcs, or none: a=ssrc-group:FID for each pair */
    size_t rtx_ssrc_count;
    const duet_sdp_encoding *const *encodings; /**< simulcast to send: a=rid and a=simulcast; in an answer those of
                                                *   them that the offer wants to receive */
    size_t encoding_count;
    bool receive_simulcast; /**< answers: accept the encodings that the offer wants to send */

    /* data channels */
    uint16_t sctp_port;        /**< 0: 5000 */
    uint64_t max_message_size; /**< 0: not written */
} duet_sdp_section;

/* clang-format off */
#define DUET_SDP_SECTION_INIT { sizeof(duet_sdp_section), DUET_SDP_APPLICATION, NULL, false, false, false, NULL, \
    DUET_SDP_SENDRECV, NULL, 0, false, NULL, 0, NULL, 0, NULL, NULL, NULL, 0, NULL, 0, NULL, 0, false, 5000, 262144 }
/* clang-format on */

typedef struct duet_sdp_options {
    size_t size;
    uint64_t session_id; /**< below 2^63, RFC 9429 section 5.2.1 */
    uint64_t version;
    bool ice_lite;
    bool bundle;                             /**< write a=group:BUNDLE (offers), accept it (answers) */
    const duet_sdp_section *const *sections; /**< offers: in order. answers: one for each m-section of the offer; NULL
                                              *   rejects it */
    size_t section_count;
} duet_sdp_options;

/* clang-format off */
#define DUET_SDP_OPTIONS_INIT { sizeof(duet_sdp_options), 0, 0, false, true, NULL, 0 }
/* clang-format on */

/** Builds an offer: RFC 9429 section 5.2. @return DUET_OK, DUET_ERR_INVALID (options), DUET_ERR_LIMIT, DUET_ERR_NOMEM */
DUET_API int duet_sdp_create_offer(duet_sdp **out, const duet_env *env, const duet_sdp_options *options);

/** Builds an answer: RFC 9429 section 5.3. The order, kind, protocol and mid of the m-sections are those of the offer; a
 *  section is rejected (with the formats of the offer) when its options ask for it, when no codec is left, when its
 *  kind or protocol is unknown, or when it is bundle-only and its bundle tag is rejected. Data sections are answered in
 *  the form in which they were offered.
 *  @param error  which line of the offer cannot be answered; may be NULL */
DUET_API int duet_sdp_create_answer(duet_sdp **out, const duet_env *env, const duet_sdp *offer,
                                    const duet_sdp_options *options, duet_sdp_error *error);

/** Whether a description has what WebRTC requires of every one (RFC 9429 section 5.8, RFC 8827, RFC 8834): unique mids,
 *  BUNDLE groups of existing mids, and for each section that is not rejected: ICE credentials, a usable fingerprint,
 *  a=rtcp-mux with RTP, at least one codec, an SCTP port with data channels. Bundled sections may leave the transport to
 *  their bundle tag. @return DUET_OK or DUET_ERR_MALFORMED; `error` points to the line (the m= line when something is
 *  missing) */
DUET_API int duet_sdp_check(const duet_sdp *sdp, duet_sdp_error *error);
/** duet_sdp_check and what is particular to offers: setup (RFC 8842 section 5.2). */
DUET_API int duet_sdp_check_offer(const duet_sdp *offer, duet_sdp_error *error);
/** duet_sdp_check and: as many m-sections of the same kinds, protocols and mids (or none); rejected sections stay rejected; BUNDLE
 *  groups within those of the offer; directions, setup, codecs and extension ids that answer the offered ones. `error` points into the answer. */
DUET_API int duet_sdp_check_answer(const duet_sdp *offer, const duet_sdp *answer, duet_sdp_error *error);

#ifdef __cplusplus
}
#endif
#endif
