/* Reading a description: typed values by kind, what an m-section says, and the values of the session part as its
 * defaults (RFC 8866 section 5: "may be overridden by an equivalent field in the media description"). */
#include "sdp/internal.h"

#include <string.h>

/* ---- runs of text ---- */

duet_bytes duet_sdp_bytes(duet_sdp_text text)
{
    return (duet_bytes){(const uint8_t *)text.text, text.len};
}

duet_sdp_text duet_sdp_text_of(const char *text)
{
    return (duet_sdp_text){text, strlen(text)};
}

bool duet_sdp_text_equal(duet_sdp_text a, duet_sdp_text b)
{
    return duet_bytes_equal(duet_sdp_bytes(a), duet_sdp_bytes(b));
}

bool duet_sdp_text_is(duet_sdp_text text, const char *word)
{
    return duet_text_is(duet_sdp_bytes(text), word);
}

int duet_sdp_text_copy(duet_sdp_text text, char *buf, size_t size)
{
    return duet_text_copy(buf, size, duet_sdp_bytes(text)) ? DUET_OK : DUET_ERR_BUFFER;
}

bool duet_sdp_text_next(duet_sdp_text *list, duet_sdp_text *word)
{
    duet_reader r = duet_text_reader(list->text, list->len);

    while (duet_text_skip(&r, ' '))
        continue;
    duet_bytes run = duet_text_run(&r, duet_char_is_not_space);
    if (run.len == 0)
        return false;
    *word = (duet_sdp_text){(const char *)run.data, run.len};
    duet_bytes rest = duet_text_rest(&r);
    *list = (duet_sdp_text){(const char *)rest.data, rest.len};
    return true;
}

/* ---- directions ---- */

static const char *const direction_names[] = {"inactive", "sendonly", "recvonly", "sendrecv"};

const char *duet_sdp_direction_name(duet_sdp_direction direction)
{
    return direction_names[(unsigned)direction & 3];
}

duet_sdp_direction duet_sdp_direction_reverse(duet_sdp_direction direction)
{
    unsigned bits = (unsigned)direction;

    return (duet_sdp_direction)((bits & 1) << 1 | (bits & 2) >> 1);
}

/* ---- lines by kind ---- */

bool duet_sdp_next(const duet_sdp *sdp, size_t media, duet_sdp_kind kind, size_t *cursor, duet_sdp_value *out)
{
    const duet_sdp_line *line;

    while ((line = duet_sdp_line_at(sdp, media, *cursor))) {
        ++*cursor;
        if (line->kind != kind || kind == DUET_SDP_UNKNOWN)
            continue;
        if (!out || duet_sdp_line_value(line, out) == DUET_OK)
            return true;
    }
    return false;
}

bool duet_sdp_has(const duet_sdp *sdp, size_t media, duet_sdp_kind kind)
{
    size_t cursor = 0;

    return duet_sdp_next(sdp, media, kind, &cursor, NULL);
}

const char *duet_sdp_attribute(const duet_sdp *sdp, size_t media, const char *name)
{
    const duet_sdp_line *line;

    for (size_t i = 0; (line = duet_sdp_line_at(sdp, media, i)); i++)
        if (line->name && strcmp(line->name, name) == 0)
            return line->value ? line->value : "";
    return NULL;
}

static bool first(const duet_sdp *sdp, size_t media, duet_sdp_kind kind, duet_sdp_value *out)
{
    size_t cursor = 0;

    return duet_sdp_next(sdp, media, kind, &cursor, out);
}

/* The value of the m-section, or that of the session part. */
static bool resolve(const duet_sdp *sdp, size_t index, duet_sdp_kind kind, duet_sdp_value *out)
{
    return first(sdp, index, kind, out) || first(sdp, DUET_SDP_SESSION, kind, out);
}

/* ---- session and sections ---- */

void duet_sdp_get_origin(const duet_sdp *sdp, duet_sdp_origin *out)
{
    const duet_sdp_line *line;

    memset(out, 0, sizeof(*out));
    out->username = (duet_sdp_text){"", 0};
    for (size_t i = 0; (line = duet_sdp_line_at(sdp, DUET_SDP_SESSION, i)); i++) {
        if (line->type != 'o')
            continue;
        sdp_scan s = {.r = duet_text_reader(line->value, strlen(line->value))};
        (void)duet_sdp_scan_origin(&s, out);
        return;
    }
}

size_t duet_sdp_media_count(const duet_sdp *sdp)
{
    return sdp->sections.count;
}

const duet_sdp_media *duet_sdp_media_at(const duet_sdp *sdp, size_t index)
{
    if (index >= sdp->sections.count)
        return NULL;
    const sdp_section *section = duet_array_at(&sdp->sections, index);
    return &section->media;
}

bool duet_sdp_media_is_rtp(const duet_sdp *sdp, size_t index)
{
    const duet_sdp_media *m = duet_sdp_media_at(sdp, index);

    return m && (m->kind == DUET_SDP_AUDIO || m->kind == DUET_SDP_VIDEO) &&
           duet_sdp_proto_is_rtp(duet_sdp_text_of(m->proto));
}

bool duet_sdp_media_is_data(const duet_sdp *sdp, size_t index)
{
    const duet_sdp_media *m = duet_sdp_media_at(sdp, index);

    return m && m->kind == DUET_SDP_APPLICATION &&
           (strcmp(m->proto, "UDP/DTLS/SCTP") == 0 || strcmp(m->proto, "TCP/DTLS/SCTP") == 0 ||
            strcmp(m->proto, "DTLS/SCTP") == 0);
}

bool duet_sdp_media_is_rejected(const duet_sdp *sdp, size_t index)
{
    const duet_sdp_media *m = duet_sdp_media_at(sdp, index);

    return m && m->port == 0 && !duet_sdp_has(sdp, index, DUET_SDP_BUNDLE_ONLY);
}

duet_sdp_text duet_sdp_media_mid(const duet_sdp *sdp, size_t index)
{
    duet_sdp_value v;

    return first(sdp, index, DUET_SDP_MID, &v) ? v.as.text : (duet_sdp_text){"", 0};
}

bool duet_sdp_find_mid(const duet_sdp *sdp, duet_sdp_text mid, size_t *index)
{
    for (size_t i = 0; mid.len > 0 && i < sdp->sections.count; i++) {
        if (duet_sdp_text_equal(duet_sdp_media_mid(sdp, i), mid)) {
            *index = i;
            return true;
        }
    }
    return false;
}

bool duet_sdp_find_group(const duet_sdp *sdp, const char *semantics, size_t n, duet_sdp_group *out)
{
    duet_sdp_value v;
    size_t cursor = 0;

    while (duet_sdp_next(sdp, DUET_SDP_SESSION, DUET_SDP_GROUP, &cursor, &v)) {
        if (!duet_sdp_text_is(v.as.group.semantics, semantics))
            continue;
        if (n-- == 0) {
            *out = v.as.group;
            return true;
        }
    }
    return false;
}

bool duet_sdp_bundle_tag(const duet_sdp *sdp, size_t index, size_t *tag)
{
    duet_sdp_text mid = duet_sdp_media_mid(sdp, index), word, tagged;
    duet_sdp_value v;
    size_t cursor = 0;

    while (mid.len > 0 && duet_sdp_next(sdp, DUET_SDP_SESSION, DUET_SDP_GROUP, &cursor, &v)) {
        if (!duet_sdp_text_is(v.as.group.semantics, "BUNDLE") || !duet_sdp_text_next(&v.as.group.mids, &tagged))
            continue;
        word = tagged;
        do {
            if (duet_sdp_text_equal(word, mid))
                return duet_sdp_find_mid(sdp, tagged, tag);
        } while (duet_sdp_text_next(&v.as.group.mids, &word));
    }
    return false;
}

bool duet_sdp_bundle_find(const sdp_bundle *bundle, duet_sdp_text mid, size_t *index)
{
    for (size_t i = 0; mid.len > 0 && i < bundle->count; i++) {
        if (duet_sdp_text_equal(bundle->mid[i], mid)) {
            *index = i;
            return true;
        }
    }
    return false;
}

/* One pass over the groups with all mids at hand, so that many groups of many mids stay cheap. */
void duet_sdp_bundle_map(const duet_sdp *sdp, sdp_bundle *out)
{
    duet_sdp_text word;
    duet_sdp_value v;
    size_t cursor = 0, i;

    out->count = sdp->sections.count;
    for (i = 0; i < out->count; i++) {
        out->tag[i] = DUET_SDP_SESSION;
        out->mid[i] = duet_sdp_media_mid(sdp, i);
    }
    while (duet_sdp_next(sdp, DUET_SDP_SESSION, DUET_SDP_GROUP, &cursor, &v)) {
        size_t tag = DUET_SDP_SESSION;
        bool is_first = true;
        if (!duet_sdp_text_is(v.as.group.semantics, "BUNDLE"))
            continue;
        while (duet_sdp_text_next(&v.as.group.mids, &word)) {
            bool found = duet_sdp_bundle_find(out, word, &i);
            if (is_first && found)
                tag = i;
            is_first = false;
            if (found && out->tag[i] == DUET_SDP_SESSION)
                out->tag[i] = tag;
        }
    }
}

/* ---- transport ---- */

int duet_sdp_media_ice(const duet_sdp *sdp, size_t index, duet_ice_credentials *out)
{
    duet_sdp_value ufrag, pwd;

    memset(out, 0, sizeof(*out));
    if (!resolve(sdp, index, DUET_SDP_ICE_UFRAG, &ufrag) || !resolve(sdp, index, DUET_SDP_ICE_PWD, &pwd))
        return DUET_ERR_NOT_FOUND;
    if (duet_sdp_text_copy(ufrag.as.text, out->ufrag, sizeof(out->ufrag)) ||
        duet_sdp_text_copy(pwd.as.text, out->pwd, sizeof(out->pwd)))
        return DUET_ERR_NOT_FOUND;
    return DUET_OK;
}

int duet_sdp_media_setup(const duet_sdp *sdp, size_t index, duet_setup *out)
{
    duet_sdp_value v;

    *out = DUET_SETUP_NONE;
    if (!resolve(sdp, index, DUET_SDP_SETUP, &v))
        return DUET_ERR_NOT_FOUND;
    *out = v.as.setup;
    return DUET_OK;
}

/* Options of the session and of the section hold together, RFC 8839 section 5.6. */
static bool is_option_char(uint8_t c)
{
    return c != ' ' && c != ',';
}

static bool lists_option(duet_sdp_text options, const char *option)
{
    duet_reader r = duet_text_reader(options.text, options.len);

    while (!duet_text_at_end(&r)) {
        if (duet_text_is(duet_text_run(&r, is_option_char), option))
            return true;
        duet_read_skip(&r, duet_reader_left(&r) > 0);
    }
    return false;
}

bool duet_sdp_media_ice_option(const duet_sdp *sdp, size_t index, const char *option)
{
    const size_t parts[] = {index, DUET_SDP_SESSION};
    duet_sdp_value v;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t cursor = 0;
        while (duet_sdp_next(sdp, parts[i], DUET_SDP_ICE_OPTIONS, &cursor, &v)) {
            if (lists_option(v.as.text, option))
                return true;
        }
    }
    return false;
}

duet_sdp_direction duet_sdp_media_direction(const duet_sdp *sdp, size_t index)
{
    duet_sdp_value v;

    return resolve(sdp, index, DUET_SDP_DIRECTION, &v) ? v.as.direction : DUET_SDP_SENDRECV;
}

static size_t fingerprints_of(const duet_sdp *sdp, size_t media, duet_fingerprint *out, size_t max)
{
    size_t cursor = 0, count = 0;
    duet_sdp_value v;

    while (duet_sdp_next(sdp, media, DUET_SDP_FINGERPRINT, &cursor, &v)) {
        if (v.as.fingerprint.hash == DUET_HASH_SHA1)
            continue;
        if (count < max)
            out[count] = v.as.fingerprint;
        count++;
    }
    return count;
}

size_t duet_sdp_media_fingerprints(const duet_sdp *sdp, size_t index, duet_fingerprint *out, size_t max)
{
    if (duet_sdp_has(sdp, index, DUET_SDP_FINGERPRINT))
        return fingerprints_of(sdp, index, out, max);
    return fingerprints_of(sdp, DUET_SDP_SESSION, out, max);
}

bool duet_sdp_ice_lite(const duet_sdp *sdp)
{
    return duet_sdp_has(sdp, DUET_SDP_SESSION, DUET_SDP_ICE_LITE);
}

bool duet_sdp_media_candidate(const duet_sdp *sdp, size_t index, size_t *cursor, duet_candidate *out)
{
    duet_sdp_value v;

    if (!duet_sdp_next(sdp, index, DUET_SDP_CANDIDATE, cursor, &v))
        return false;
    *out = v.as.candidate;
    return true;
}

bool duet_sdp_media_end_of_candidates(const duet_sdp *sdp, size_t index)
{
    return duet_sdp_has(sdp, index, DUET_SDP_END_OF_CANDIDATES) ||
           duet_sdp_has(sdp, DUET_SDP_SESSION, DUET_SDP_END_OF_CANDIDATES);
}

/* ---- RTP ---- */

/* The cursor first counts the lines of the section, then, from SESSION_PART on, those of the session part. */
#define SESSION_PART (SIZE_MAX / 2)

bool duet_sdp_media_extmap(const duet_sdp *sdp, size_t index, size_t *cursor, duet_sdp_extmap *out)
{
    duet_sdp_value v;
    bool found = false;

    if (*cursor < SESSION_PART) {
        found = duet_sdp_next(sdp, index, DUET_SDP_EXTMAP, cursor, &v);
        if (!found)
            *cursor = SESSION_PART;
    }
    if (!found) {
        size_t in_session = *cursor - SESSION_PART;
        found = duet_sdp_next(sdp, DUET_SDP_SESSION, DUET_SDP_EXTMAP, &in_session, &v);
        *cursor = in_session + SESSION_PART;
    }
    if (found)
        *out = v.as.extmap;
    return found;
}

uint16_t duet_sdp_media_extmap_id(const duet_sdp *sdp, size_t index, const char *uri)
{
    duet_sdp_extmap map;
    size_t cursor = 0;

    while (duet_sdp_media_extmap(sdp, index, &cursor, &map))
        if (duet_sdp_text_is(map.uri, uri))
            return map.id;
    return 0;
}

/* ---- data channels ---- */

int duet_sdp_media_sctp_port(const duet_sdp *sdp, size_t index, uint16_t *out)
{
    const duet_sdp_media *m = duet_sdp_media_at(sdp, index);
    duet_sdp_value v;
    uint64_t port;

    *out = 0;
    if (!m || !duet_sdp_media_is_data(sdp, index))
        return DUET_ERR_NOT_FOUND;
    if (first(sdp, index, DUET_SDP_SCTP_PORT, &v)) {
        *out = (uint16_t)v.as.number;
        return DUET_OK;
    }
    /* the old form: "m=application 9 DTLS/SCTP 5000" */
    sdp_scan s = {.r = duet_text_reader(m->formats, strlen(m->formats))};
    if (!duet_text_number(&s.r, 0, UINT16_MAX, &port) || !duet_text_at_end(&s.r))
        return DUET_ERR_NOT_FOUND;
    *out = (uint16_t)port;
    return DUET_OK;
}

int duet_sdp_media_max_message_size(const duet_sdp *sdp, size_t index, uint64_t *out)
{
    duet_sdp_value v;

    *out = 0;
    if (!first(sdp, index, DUET_SDP_MAX_MESSAGE_SIZE, &v))
        return DUET_ERR_NOT_FOUND;
    *out = v.as.number;
    return DUET_OK;
}
