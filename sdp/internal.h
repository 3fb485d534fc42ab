/* What the files of the SDP module share: the model behind the opaque duet_sdp, the scanner of one value, and the
 * grammars of lines and attributes. Nothing here is public. */
#ifndef DUET_SDP_INTERNAL_H
#define DUET_SDP_INTERNAL_H

#include "base/memory.h"
#include "base/text.h"
#include "duet/sdp.h"

/* More groups than sections make no sense, and the bound keeps every look-up by mid cheap. */
#define DUET_SDP_GROUPS_MAX DUET_SDP_MEDIA_MAX

/* Rids in one list of a=simulcast; browsers send three. */
#define DUET_SDP_RIDS_MAX 64

#define DUET_SDP_NO_ADDRESS "IN IP4 0.0.0.0"
/* The discard port stands for "no candidate yet", RFC 9429 section 5.2.1. */
#define DUET_SDP_DISCARD_PORT 9
/* "5000": what every implementation of WebRTC uses, RFC 8841 section 12.1 */
#define DUET_SDP_DEFAULT_SCTP_PORT 5000

/* One line. Its strings lie in the text of the description, or in `owned` when the line was added later. */
typedef struct sdp_line {
    duet_sdp_line view;
    char *owned;
} sdp_line;

/* One m-section; lines[0] is its m= line. The strings of `media` lie in `fields`. */
typedef struct sdp_section {
    duet_sdp_media media;
    char *fields;
    duet_array lines; /* sdp_line */
} sdp_section;

struct duet_sdp {
    duet_env env;
    char *text;          /* what was parsed, cut into strings by NULs */
    duet_array session;  /* sdp_line */
    duet_array sections; /* sdp_section */
    duet_array warnings; /* duet_sdp_error */
    size_t line_count;   /* of all parts, for the limit */
    size_t size;         /* bytes of all lines with their ends, for the limit */
};

/* ---- the scanner of one value ---- */

typedef struct sdp_scan {
    duet_reader r;
    const char *reason; /* of the first error, NULL while there is none */
    size_t at;          /* its offset in the value */
    const char *oddity; /* of the first warning */
    size_t oddity_at;
    bool unsupported; /* well-formed, but nothing to work with: the value is not given out */
} sdp_scan;

bool duet_sdp_fail(sdp_scan *s, const char *reason); /* notes the error where the reader stands; returns false */
void duet_sdp_odd(sdp_scan *s, const char *reason);  /* notes a warning where the reader stands */
bool duet_sdp_space(sdp_scan *s);                    /* exactly one space */
bool duet_sdp_number(sdp_scan *s, uint64_t min, uint64_t max, uint64_t *out, const char *reason);
/* A non-empty run of the class. */
bool duet_sdp_run(sdp_scan *s, duet_char_class is, duet_sdp_text *out, const char *reason);
/* A payload type, 0 to 127, RFC 3550 section 5.1. */
bool duet_sdp_payload_type(sdp_scan *s, uint8_t *out);
duet_sdp_text duet_sdp_rest(sdp_scan *s);

duet_bytes duet_sdp_bytes(duet_sdp_text text);
duet_sdp_text duet_sdp_text_of(const char *text);
bool duet_sdp_text_equal(duet_sdp_text a, duet_sdp_text b);

/* ---- grammars ---- */

typedef bool (*sdp_value_fn)(sdp_scan *s, duet_sdp_value *out);

enum { SDP_LEVEL_SESSION = 1, SDP_LEVEL_MEDIA = 2, SDP_LEVEL_BOTH = 3 };

typedef struct sdp_attribute {
    const char *name;
    duet_sdp_kind kind;
    unsigned levels;
    bool once;          /* a second one in the same section is an oddity: the first counts */
    sdp_value_fn parse; /* NULL: it has no value */
} sdp_attribute;

/* NULL when the attribute is only kept. */
const sdp_attribute *duet_sdp_find_attribute(const char *name);
/* Checks the value (NULL when there is none) against the grammar and fills `out`. */
bool duet_sdp_scan_value(sdp_scan *s, const sdp_attribute *a, const char *value, duet_sdp_value *out);

/* Grammars of the attributes of RTP, in attributes_rtp.c. */
bool duet_sdp_parse_rtpmap(sdp_scan *s, duet_sdp_value *out);
bool duet_sdp_parse_fmtp(sdp_scan *s, duet_sdp_value *out);
bool duet_sdp_parse_rtcp_fb(sdp_scan *s, duet_sdp_value *out);
bool duet_sdp_parse_rtcp(sdp_scan *s, duet_sdp_value *out);
bool duet_sdp_parse_extmap(sdp_scan *s, duet_sdp_value *out);
bool duet_sdp_parse_ssrc(sdp_scan *s, duet_sdp_value *out);
bool duet_sdp_parse_ssrc_group(sdp_scan *s, duet_sdp_value *out);
bool duet_sdp_parse_rid(sdp_scan *s, duet_sdp_value *out);
bool duet_sdp_parse_simulcast(sdp_scan *s, duet_sdp_value *out);
bool duet_sdp_parse_msid(sdp_scan *s, duet_sdp_value *out);
bool duet_sdp_parse_ptime(sdp_scan *s, duet_sdp_value *out);

/* Checks a line that is neither a= nor m=. */
bool duet_sdp_scan_line(sdp_scan *s, char type);
bool duet_sdp_scan_origin(sdp_scan *s, duet_sdp_origin *out);
/* Checks an m= line and says where its words are. */
typedef struct sdp_media_words {
    duet_sdp_text name, proto, formats;
    uint16_t port, port_count;
} sdp_media_words;
bool duet_sdp_scan_media(sdp_scan *s, sdp_media_words *out);
/* Whether formats of that protocol are RTP payload types. */
bool duet_sdp_proto_is_rtp(duet_sdp_text proto);

/* ---- the model ---- */

int duet_sdp_new(duet_sdp **out, const duet_env *env);
/* The lines of the session part or of a section; NULL when there is no such section. */
duet_array *duet_sdp_lines(duet_sdp *sdp, size_t media);
const duet_array *duet_sdp_lines_const(const duet_sdp *sdp, size_t media);
sdp_section *duet_sdp_section_at(duet_sdp *sdp, size_t index);
/* Appends a line whose strings live elsewhere, keeping the limits. */
int duet_sdp_push_line(duet_sdp *sdp, size_t media, const duet_sdp_line *line, size_t len);
/* Appends an empty section for that m= line. */
int duet_sdp_push_section(duet_sdp *sdp, const sdp_media_words *words);
/* Puts a line with its own copy of the strings before line `at` (count: at the end). */
int duet_sdp_insert_line(duet_sdp *sdp, size_t media, size_t at, char type, const char *name, const char *value);
/* Gives line `at` another value. */
int duet_sdp_change_line(duet_sdp *sdp, size_t media, size_t at, const char *value);
void duet_sdp_drop_line(duet_sdp *sdp, size_t media, size_t at);
/* Removes the attributes of that name from line `from` on, in one pass. Returns how many. */
size_t duet_sdp_drop_named(duet_sdp *sdp, size_t media, const char *name, size_t from);
void duet_sdp_warn(duet_sdp *sdp, const duet_sdp_error *warning);

/* ---- errors ---- */

/* Fills an error whose reason begins with the line: "\"a=setup:actpas\": …". */
void duet_sdp_set_error(duet_sdp_error *error, size_t line, size_t column, const char *text, size_t len,
                        const char *reason);

/* The same for the first line of that kind in a description, or for the first line of the part when there is none. */
void duet_sdp_set_error_at(duet_sdp_error *error, const duet_sdp *sdp, size_t media, duet_sdp_kind kind,
                           const char *reason);

/* ---- offer and answer ---- */

/* What an accepted m-section says, offered or answered; duet_sdp_write_body appends it behind m= and c=. */
typedef struct sdp_body {
    const duet_sdp_section *section;
    duet_sdp_text mid; /* len 0: none */
    duet_sdp_direction direction;
    duet_setup setup;
    bool legacy_data; /* "DTLS/SCTP 5000" and a=sctpmap */
    bool allow_mixed; /* a=extmap-allow-mixed in this section */
    const duet_codec *const *codecs;
    size_t codec_count;
    const duet_sdp_extension *extensions;
    size_t extension_count;
    const duet_sdp *offer; /* NULL in an offer */
    size_t index;          /* of the section in the offer */
} sdp_body;
int duet_sdp_write_body(duet_sdp *sdp, size_t media, const sdp_body *body);
int duet_sdp_add_codec(duet_sdp *sdp, size_t media, const duet_codec *codec);
/* The payload types of the codecs as words, to be freed with duet_free; NULL without memory. */
char *duet_sdp_formats_of(duet_sdp *sdp, const duet_codec *const *codecs, size_t count);

/* For each m-section its mid, and the index of its bundle tag (RFC 9143 section 7.2.1): DUET_SDP_SESSION when it is in
 * no group. */
typedef struct sdp_bundle {
    size_t count;
    duet_sdp_text mid[DUET_SDP_MEDIA_MAX];
    size_t tag[DUET_SDP_MEDIA_MAX];
} sdp_bundle;
void duet_sdp_bundle_map(const duet_sdp *sdp, sdp_bundle *out);
/* The m-section with that mid, without looking through the lines again. */
bool duet_sdp_bundle_find(const sdp_bundle *bundle, duet_sdp_text mid, size_t *index);

#endif
