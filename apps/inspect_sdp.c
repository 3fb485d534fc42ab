/* Session descriptions: every line with its kind, and what the lines of each m-section say together.
 * RFC 8866; duet/sdp.h reads them, with the attributes of WebRTC. */
#include "duet/sdp.h"
#include "inspect_layout.h"
#include <string.h>

#define CODECS_MAX       128
#define FINGERPRINTS_MAX 16

static const char *const kind_names[] = {
    [DUET_SDP_UNKNOWN] = "unknown",
    [DUET_SDP_GROUP] = "group",
    [DUET_SDP_MID] = "mid",
    [DUET_SDP_ICE_UFRAG] = "ice-ufrag",
    [DUET_SDP_ICE_PWD] = "ice-pwd",
    [DUET_SDP_ICE_OPTIONS] = "ice-options",
    [DUET_SDP_ICE_LITE] = "ice-lite",
    [DUET_SDP_CANDIDATE] = "candidate",
    [DUET_SDP_END_OF_CANDIDATES] = "end-of-candidates",
    [DUET_SDP_FINGERPRINT] = "fingerprint",
    [DUET_SDP_SETUP] = "setup",
    [DUET_SDP_TLS_ID] = "tls-id",
    [DUET_SDP_DIRECTION] = "direction",
    [DUET_SDP_RTPMAP] = "rtpmap",
    [DUET_SDP_FMTP] = "fmtp",
    [DUET_SDP_RTCP_FB] = "rtcp-fb",
    [DUET_SDP_RTCP] = "rtcp",
    [DUET_SDP_RTCP_MUX] = "rtcp-mux",
    [DUET_SDP_RTCP_MUX_ONLY] = "rtcp-mux-only",
    [DUET_SDP_RTCP_RSIZE] = "rtcp-rsize",
    [DUET_SDP_EXTMAP] = "extmap",
    [DUET_SDP_EXTMAP_ALLOW_MIXED] = "extmap-allow-mixed",
    [DUET_SDP_SSRC] = "ssrc",
    [DUET_SDP_SSRC_GROUP] = "ssrc-group",
    [DUET_SDP_RID] = "rid",
    [DUET_SDP_SIMULCAST] = "simulcast",
    [DUET_SDP_MSID] = "msid",
    [DUET_SDP_MSID_SEMANTIC] = "msid-semantic",
    [DUET_SDP_BUNDLE_ONLY] = "bundle-only",
    [DUET_SDP_SCTP_PORT] = "sctp-port",
    [DUET_SDP_SCTPMAP] = "sctpmap",
    [DUET_SDP_MAX_MESSAGE_SIZE] = "max-message-size",
    [DUET_SDP_PTIME] = "ptime",
    [DUET_SDP_MAXPTIME] = "maxptime",
};

/* RFC 8866, 5. */
static const char *type_name(char type)
{
    static const char types[] = "vosiuepcbtrzkm";
    static const char *const names[] = {"version", "origin",    "session-name", "information", "uri",
                                        "email",   "phone",     "connection",   "bandwidth",   "time",
                                        "repeat",  "time-zone", "key",          "media"};
    const char *at = strchr(types, type);

    return type && at ? names[at - types] : "unknown";
}

static json_t *text_json(duet_sdp_text text)
{
    return inspect_text((const uint8_t *)text.text, text.len);
}

static json_t *string_json(const char *text)
{
    return inspect_text((const uint8_t *)text, strlen(text));
}

static json_t *words_json(duet_sdp_text list)
{
    json_t *words = json_array();
    duet_sdp_text word;

    while (duet_sdp_text_next(&list, &word))
        json_array_append_new(words, text_json(word));
    return words;
}

/* ---- lines ---- */

/* Where the lines of the text end, in step with the lines of the description. */
typedef struct line_ends {
    const uint8_t *data;
    size_t len, pos;
} line_ends;

/* How this line ends: "\r\n", "\n" or nothing. */
static const char *next_end(line_ends *ends)
{
    const uint8_t *newline = memchr(ends->data + ends->pos, '\n', ends->len - ends->pos);

    if (!newline) {
        ends->pos = ends->len;
        return "";
    }
    size_t at = (size_t)(newline - ends->data);
    bool has_cr = at > ends->pos && ends->data[at - 1] == '\r';
    ends->pos = at + 1;
    return has_cr ? "\r\n" : "\n";
}

static json_t *line_json(const duet_sdp_line *line, const char *end)
{
    json_t *value = json_object();
    bool known = line->kind != DUET_SDP_UNKNOWN && (size_t)line->kind < sizeof(kind_names) / sizeof(kind_names[0]);

    inspect_set(value, "type", json_stringn(&line->type, 1));
    inspect_set(value, "kind",
                json_string(line->type != 'a' ? type_name(line->type)
                            : known           ? kind_names[line->kind]
                                              : "unknown"));
    if (line->name)
        inspect_set(value, "name", string_json(line->name));
    if (line->value)
        inspect_set(value, "value", string_json(line->value));
    if (strcmp(end, "\r\n") != 0)
        inspect_set(value, "end", json_string(end));
    return value;
}

static json_t *lines_json(const duet_sdp *sdp, size_t media, line_ends *ends)
{
    json_t *list = json_array();

    for (size_t n = 0; n < duet_sdp_line_count(sdp, media); n++)
        json_array_append_new(list, line_json(duet_sdp_line_at(sdp, media, n), next_end(ends)));
    return list;
}

/* ---- what the lines say ---- */

static json_t *origin_json(const duet_sdp *sdp)
{
    duet_sdp_origin o;
    json_t *value = json_object();

    duet_sdp_get_origin(sdp, &o);
    inspect_set(value, "username", text_json(o.username));
    inspect_set(value, "sessionId", json_sprintf("%llu", (unsigned long long)o.session_id));
    inspect_set(value, "version", json_sprintf("%llu", (unsigned long long)o.version));
    return value;
}

static json_t *groups_json(const duet_sdp *sdp)
{
    json_t *list = json_array();
    duet_sdp_value v;
    size_t cursor = 0;

    while (duet_sdp_next(sdp, DUET_SDP_SESSION, DUET_SDP_GROUP, &cursor, &v)) {
        json_t *group = json_object();
        inspect_set(group, "semantics", text_json(v.as.group.semantics));
        inspect_set(group, "mids", words_json(v.as.group.mids));
        json_array_append_new(list, group);
    }
    return list;
}

static json_t *fingerprints_json(const duet_sdp *sdp, size_t i)
{
    duet_fingerprint list[FINGERPRINTS_MAX];
    char text[DUET_FINGERPRINT_TEXT_MAX];
    json_t *value = json_array();
    size_t count = duet_sdp_media_fingerprints(sdp, i, list, FINGERPRINTS_MAX);

    for (size_t n = 0; n < count && n < FINGERPRINTS_MAX; n++) {
        if (duet_fingerprint_format(&list[n], text, sizeof(text)) == DUET_OK)
            json_array_append_new(value, json_string(text));
    }
    return value;
}

static json_t *feedback_json(uint32_t bits)
{
    static const char *const names[] = {"nack", "nack pli", "ccm fir", "goog-remb", "transport-cc", "ack ccfb"};
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (bits >> i & 1)
            json_array_append_new(list, json_string(names[i]));
    }
    return list;
}

static json_t *codecs_json(const duet_sdp *sdp, size_t i)
{
    duet_codec codecs[CODECS_MAX];
    size_t count = duet_sdp_media_codecs(sdp, i, codecs, CODECS_MAX);
    json_t *list = json_array();

    for (size_t n = 0; n < count && n < CODECS_MAX; n++) {
        const duet_codec *c = &codecs[n];
        json_t *codec = json_object();
        inspect_set(codec, "payloadType", json_integer(c->payload_type));
        inspect_set(codec, "name", string_json(c->name));
        inspect_set(codec, "clockRate", json_integer(c->clock_rate));
        inspect_set(codec, "channels", json_integer(c->channels));
        if (c->fmtp[0])
            inspect_set(codec, "fmtp", string_json(c->fmtp));
        inspect_set(codec, "feedback", feedback_json(c->feedback));
        json_array_append_new(list, codec);
    }
    return list;
}

static json_t *extensions_json(const duet_sdp *sdp, size_t i)
{
    json_t *list = json_array();
    duet_sdp_extmap map;
    size_t cursor = 0;

    while (duet_sdp_media_extmap(sdp, i, &cursor, &map)) {
        json_t *extension = json_object();
        inspect_set(extension, "id", json_integer(map.id));
        inspect_set(extension, "direction", json_string(duet_sdp_direction_name(map.direction)));
        inspect_set(extension, "uri", text_json(map.uri));
        json_array_append_new(list, extension);
    }
    return list;
}

static int candidates_json(const duet_sdp *sdp, size_t i, json_t *list)
{
    const duet_sdp_line *line;
    inspect_error ignored;
    int err = DUET_OK;

    for (size_t n = 0; err != DUET_ERR_NOMEM && (line = duet_sdp_line_at(sdp, i, n)); n++) {
        if (line->kind != DUET_SDP_CANDIDATE || !line->value)
            continue;
        duet_buffer text;
        json_t *candidate = json_object();
        duet_buffer_init(&text, NULL);
        duet_buffer_text(&text, "candidate:");
        duet_buffer_text(&text, line->value);
        err = text.failed ? DUET_ERR_NOMEM : inspect_candidate(text.data, text.len, candidate, &ignored);
        duet_buffer_free(&text);
        if (err == DUET_OK)
            json_array_append_new(list, candidate);
        else
            json_decref(candidate);
    }
    return err == DUET_ERR_NOMEM ? err : DUET_OK;
}

static void transport_members(const duet_sdp *sdp, size_t i, json_t *out)
{
    duet_ice_credentials ice;
    duet_setup setup;

    if (duet_sdp_media_ice(sdp, i, &ice) == DUET_OK)
        inspect_set(out, "ice", json_pack("{s:s,s:s}", "ufrag", ice.ufrag, "pwd", ice.pwd));
    if (duet_sdp_media_setup(sdp, i, &setup) == DUET_OK)
        inspect_set(out, "setup", json_string(duet_setup_name(setup)));
    inspect_set(out, "fingerprints", fingerprints_json(sdp, i));
    inspect_set(out, "endOfCandidates", json_boolean(duet_sdp_media_end_of_candidates(sdp, i)));
}

static void data_members(const duet_sdp *sdp, size_t i, json_t *out)
{
    uint16_t port;
    uint64_t size;

    if (duet_sdp_media_sctp_port(sdp, i, &port) == DUET_OK)
        inspect_set(out, "sctpPort", json_integer(port));
    if (duet_sdp_media_max_message_size(sdp, i, &size) == DUET_OK)
        inspect_set(out, "maxMessageSize", json_integer((json_int_t)size));
}

static int media_json(const duet_sdp *sdp, size_t i, line_ends *ends, json_t *out)
{
    const duet_sdp_media *m = duet_sdp_media_at(sdp, i);
    duet_sdp_text formats = {m->formats, strlen(m->formats)};

    inspect_set(out, "media", string_json(m->name));
    inspect_set(out, "mid", text_json(duet_sdp_media_mid(sdp, i)));
    inspect_set(out, "port", json_integer(m->port));
    if (m->port_count != 1)
        inspect_set(out, "portCount", json_integer(m->port_count));
    inspect_set(out, "protocol", string_json(m->proto));
    inspect_set(out, "formats", words_json(formats));
    inspect_set(out, "rejected", json_boolean(duet_sdp_media_is_rejected(sdp, i)));
    inspect_set(out, "bundleOnly", json_boolean(duet_sdp_has(sdp, i, DUET_SDP_BUNDLE_ONLY)));
    transport_members(sdp, i, out);
    if (duet_sdp_media_is_data(sdp, i))
        data_members(sdp, i, out);
    if (duet_sdp_media_is_rtp(sdp, i)) {
        inspect_set(out, "direction", json_string(duet_sdp_direction_name(duet_sdp_media_direction(sdp, i))));
        inspect_set(out, "codecs", codecs_json(sdp, i));
        inspect_set(out, "extensions", extensions_json(sdp, i));
    }
    json_t *candidates = json_array();
    inspect_set(out, "candidates", candidates);
    int err = candidates_json(sdp, i, candidates);
    inspect_set(out, "lines", lines_json(sdp, i, ends));
    return err;
}

static json_t *problem_json(const duet_sdp_error *e)
{
    json_t *value = json_object();

    inspect_set(value, "line", json_integer((json_int_t)e->line));
    inspect_set(value, "column", json_integer((json_int_t)e->column));
    inspect_set(value, "reason", string_json(e->reason));
    return value;
}

static void problems(const duet_sdp *sdp, json_t *out)
{
    json_t *warnings = json_array();
    duet_sdp_error e;

    for (size_t n = 0; n < duet_sdp_warning_count(sdp); n++)
        json_array_append_new(warnings, problem_json(duet_sdp_warning(sdp, n)));
    inspect_set(out, "warnings", warnings);
    if (duet_sdp_check(sdp, &e) != DUET_OK)
        inspect_set(out, "notWebrtc", problem_json(&e)); /* what every description of WebRTC has, RFC 9429, 5.8 */
}

static int describe(const duet_sdp *sdp, line_ends *ends, json_t *out)
{
    json_t *sections = json_array();
    int err = DUET_OK;

    inspect_set(out, "origin", origin_json(sdp));
    inspect_set(out, "iceLite", json_boolean(duet_sdp_ice_lite(sdp)));
    inspect_set(out, "groups", groups_json(sdp));
    inspect_set(out, "lines", lines_json(sdp, DUET_SDP_SESSION, ends));
    inspect_set(out, "media", sections);
    for (size_t i = 0; err == DUET_OK && i < duet_sdp_media_count(sdp); i++) {
        json_t *section = json_object();
        json_array_append_new(sections, section);
        err = section ? media_json(sdp, i, ends, section) : DUET_ERR_NOMEM;
    }
    problems(sdp, out);
    return err;
}

int inspect_sdp(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    line_ends ends = {data, len, 0};
    duet_sdp_error e = {0};
    duet_sdp *sdp;

    int err = duet_sdp_parse(&sdp, NULL, (const char *)data, len, &e);
    if (err == DUET_ERR_NOMEM)
        return err;
    if (err != DUET_OK) {
        memset(error, 0, sizeof(*error));
        error->line = e.line;
        error->column = e.column;
        snprintf(error->reason, sizeof(error->reason), "%s", e.reason);
        return DUET_ERR_MALFORMED;
    }
    err = describe(sdp, &ends, out);
    duet_sdp_destroy(sdp);
    return err;
}

/* ---- encoding ---- */

static int encode_lines(const json_t *lines, duet_buffer *out)
{
    const json_t *line;
    size_t i;

    json_array_foreach(lines, i, line)
    {
        const json_t *name = json_object_get(line, "name"), *value = json_object_get(line, "value");
        const char *end = json_string_value(json_object_get(line, "end"));
        int err = inspect_put_text(json_object_get(line, "type"), out);
        duet_buffer_text(out, "=");
        if (err == DUET_OK && name)
            err = inspect_put_text(name, out);
        if (name && value)
            duet_buffer_text(out, ":");
        if (err == DUET_OK && value)
            err = inspect_put_text(value, out);
        if (err != DUET_OK)
            return err;
        duet_buffer_text(out, end ? end : "\r\n");
    }
    return DUET_OK;
}

int inspect_sdp_encode(const json_t *in, duet_buffer *out)
{
    const json_t *section;
    size_t i;

    int err = encode_lines(json_object_get(in, "lines"), out);
    json_array_foreach(json_object_get(in, "media"), i, section)
    {
        if (err == DUET_OK)
            err = encode_lines(json_object_get(section, "lines"), out);
    }
    return err == DUET_OK && out->failed ? DUET_ERR_NOMEM : err;
}
