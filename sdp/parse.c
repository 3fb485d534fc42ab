/* The parser of whole descriptions: cuts the text into lines, checks their order (RFC 8866 section 5) and hands each to
 * its grammar. One pass over one copy of the text; line ends and the colons of attributes become NULs in it. */
#include "sdp/internal.h"

#include <string.h>

typedef struct parser {
    duet_sdp *sdp;
    char *text;
    duet_reader r;
    size_t line_number, start, len; /* the line under way */
    int rank;                       /* of the last line with a place in the order */
    size_t media;                   /* the part under way */
    uint64_t seen;                  /* kinds of attributes that this part has, a bit each */
    uint64_t formats[2];            /* payload types that the m= line lists */
    uint64_t extmap_ids[5];         /* ids 1 to 256 in use */
    size_t groups;
    duet_sdp_error *error;
    int err;
} parser;

/* Order of the session part: v o s i u e p c b (t r z) k a. Of an m-section: m i c b k a. Zero: a type without a place. */
static int rank_of(char type, bool in_media)
{
    static const char session_order[] = "vosiuepcbtka";
    static const char media_order[] = "micbka";

    if (!in_media && (type == 'r' || type == 'z'))
        type = 't';
    const char *order = in_media ? media_order : session_order;
    const char *at = strchr(order, type);
    return at ? (int)(at - order) + 1 : 0;
}

static bool may_repeat(char type, bool in_media)
{
    return strchr(in_media ? "cba" : "epbtrza", type) != NULL;
}

/* ---- errors and warnings ---- */

static const char *line_text(const parser *p)
{
    return p->text + p->start;
}

/* `offset` counts from the start of the line. */
static int fail(parser *p, int err, size_t offset, const char *reason)
{
    p->err = err;
    if (p->error)
        duet_sdp_set_error(p->error, p->line_number, offset + 1, p->len ? line_text(p) : NULL, p->len, reason);
    return err;
}

static int malformed(parser *p, size_t offset, const char *reason)
{
    return fail(p, DUET_ERR_MALFORMED, offset, reason);
}

/* What storing a line can end with: memory or a limit. */
static int refused(parser *p, int err)
{
    if (err == DUET_ERR_LIMIT)
        return fail(p, err, 0, "the description is too large (see the limits in duet/sdp.h)");
    p->err = err;
    return err;
}

static void warn(parser *p, size_t offset, const char *reason)
{
    duet_sdp_error warning;

    duet_sdp_set_error(&warning, p->line_number, offset + 1, line_text(p), p->len, reason);
    duet_sdp_warn(p->sdp, &warning);
}

/* ---- attributes ---- */

/* A second attribute that may be there once, and attributes for formats or ids that clash. */
static void warn_about_value(parser *p, const duet_sdp_value *v, const sdp_attribute *a)
{
    uint64_t bit = (uint64_t)1 << v->kind;
    unsigned payload_type = DUET_SDP_ANY_PAYLOAD_TYPE;

    if (a->once && (p->seen & bit))
        warn(p, 2, "this attribute is here already; the first one counts");
    p->seen |= bit;
    if (v->kind == DUET_SDP_DIRECTION && p->media == DUET_SDP_SESSION)
        warn(p, 2, "a direction for the whole session; it holds for sections without their own");
    else if (v->kind == DUET_SDP_DIRECTION && duet_sdp_media_is_data(p->sdp, p->media))
        warn(p, 2, "a direction means nothing to data channels");
    if (v->kind == DUET_SDP_RTPMAP)
        payload_type = v->as.rtpmap.payload_type;
    else if (v->kind == DUET_SDP_FMTP)
        payload_type = v->as.fmtp.payload_type;
    else if (v->kind == DUET_SDP_RTCP_FB)
        payload_type = v->as.rtcp_fb.payload_type;
    if (payload_type <= 127 && !(p->formats[payload_type >> 6] >> (payload_type & 63) & 1))
        warn(p, 3 + strlen(a->name), "the m= line does not list this payload type");
    if (v->kind != DUET_SDP_EXTMAP || v->as.extmap.id > 256)
        return;
    uint64_t id_bit = (uint64_t)1 << (v->as.extmap.id & 63);
    if (p->extmap_ids[v->as.extmap.id >> 6] & id_bit)
        warn(p, 3 + strlen(a->name), "this extension id is in use already");
    p->extmap_ids[v->as.extmap.id >> 6] |= id_bit;
}

/* Checks the value of a known attribute. The kind stays UNKNOWN when it stands where it means nothing. */
static int check_attribute(parser *p, const sdp_attribute *a, duet_sdp_line *line)
{
    size_t value_at = 2 + strlen(a->name) + (line->value ? 1 : 0);
    unsigned level = p->media == DUET_SDP_SESSION ? SDP_LEVEL_SESSION : SDP_LEVEL_MEDIA;
    duet_sdp_value value;
    sdp_scan s;

    if (!duet_sdp_scan_value(&s, a, line->value, &value))
        return malformed(p, value_at + s.at, s.reason);
    if (s.oddity)
        warn(p, value_at + s.oddity_at, s.oddity);
    if (!(a->levels & level)) {
        warn(p, 2,
             level == SDP_LEVEL_SESSION ? "this attribute belongs in an m-section"
                                        : "this attribute belongs in the session part");
        return DUET_OK;
    }
    if (a->kind == DUET_SDP_GROUP && ++p->groups > DUET_SDP_GROUPS_MAX)
        return fail(p, DUET_ERR_LIMIT, 2, "too many groups");
    line->kind = a->kind;
    if (!s.unsupported)
        warn_about_value(p, &value, a);
    return DUET_OK;
}

/* attribute = (attribute-name ":" attribute-value) / attribute-name */
static int parse_attribute(parser *p)
{
    duet_reader r = duet_text_reader(line_text(p), p->len);
    duet_sdp_line line = {.type = 'a', .name = p->text + p->start + 2};
    char known[32]; /* no known name is longer */
    const sdp_attribute *a = NULL;

    duet_read_skip(&r, 2);
    duet_bytes name = duet_text_run(&r, duet_char_is_token);
    if (name.len == 0)
        return malformed(p, 2, "the name of an attribute is expected here (RFC 8866, 5.13)");
    size_t end_of_name = p->start + r.pos;
    bool has_value = duet_text_skip(&r, ':');
    if (!has_value && !duet_text_at_end(&r))
        return malformed(p, r.pos, "a colon or the end of the line is expected here (RFC 8866, 5.13)");
    if (has_value)
        line.value = p->text + p->start + r.pos;
    if (duet_text_copy(known, sizeof(known), name))
        a = duet_sdp_find_attribute(known);
    if (a && check_attribute(p, a, &line))
        return p->err;
    if (!a && has_value && duet_text_at_end(&r))
        warn(p, r.pos, "there is nothing behind the colon (RFC 8866, 9)");
    p->text[end_of_name] = 0;
    int err = duet_sdp_push_line(p->sdp, p->media, &line, p->len);
    return err ? refused(p, err) : DUET_OK;
}

/* ---- other lines ---- */

static void note_formats(parser *p, const sdp_media_words *words)
{
    duet_sdp_text list = words->formats, word;

    p->formats[0] = p->formats[1] = 0;
    if (!duet_sdp_proto_is_rtp(words->proto)) {
        p->formats[0] = p->formats[1] = UINT64_MAX; /* no payload types to compare with */
        return;
    }
    while (duet_sdp_text_next(&list, &word)) {
        sdp_scan s = {.r = duet_text_reader(word.text, word.len)};
        uint8_t payload_type;
        if (duet_sdp_payload_type(&s, &payload_type))
            p->formats[payload_type >> 6] |= (uint64_t)1 << (payload_type & 63);
    }
}

static int parse_media(parser *p)
{
    sdp_media_words words;
    sdp_scan s = {.r = duet_text_reader(line_text(p), p->len)};

    duet_read_skip(&s.r, 2);
    if (!duet_sdp_scan_media(&s, &words))
        return malformed(p, s.at, s.reason);
    if (s.oddity)
        warn(p, s.oddity_at, s.oddity);
    int err = duet_sdp_push_section(p->sdp, &words);
    if (err)
        return refused(p, err);
    p->media = p->sdp->sections.count - 1;
    p->seen = 0;
    memset(p->extmap_ids, 0, sizeof(p->extmap_ids));
    note_formats(p, &words);
    return DUET_OK;
}

static int parse_other(parser *p, char type, int rank)
{
    duet_sdp_line line = {.type = type, .value = p->text + p->start + 2};
    sdp_scan s = {.r = duet_text_reader(line_text(p), p->len)};

    duet_read_skip(&s.r, 2);
    if (type == 'm') {
        if (parse_media(p))
            return p->err;
    } else if (rank == 0) {
        warn(p, 0, "an unknown type of line is kept (RFC 8866, 5)");
    } else if (!duet_sdp_scan_line(&s, type)) {
        return malformed(p, s.at, s.reason);
    } else if (s.oddity) {
        warn(p, s.oddity_at, s.oddity);
    }
    int err = duet_sdp_push_line(p->sdp, p->media, &line, p->len);
    return err ? refused(p, err) : DUET_OK;
}

/* ---- order ---- */

/* v=, o=, s= and at least one t= are there before the first attribute or m-section. */
static const char *missing_before(int rank_now, int rank)
{
    static const struct {
        char type;
        const char *reason;
    } required[] = {
        {'v', "the description begins with v=0 (RFC 8866, 5)"},
        {'o', "the o= line is missing here (RFC 8866, 5)"},
        {'s', "the s= line is missing here (RFC 8866, 5)"},
        {'t', "the t= line is missing here (RFC 8866, 5)"},
    };

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        int place = rank_of(required[i].type, false);
        if (rank_now < place && rank > place)
            return required[i].reason;
    }
    return NULL;
}

/* The place of a line among the others. `*rank` is 0 for lines that may stand anywhere. */
static int check_order(parser *p, char type, int *rank)
{
    bool in_media = p->media != DUET_SDP_SESSION;

    if (type == 'm') {
        const char *missing = in_media ? NULL : missing_before(p->rank, rank_of('a', false) + 1);
        *rank = rank_of('m', true);
        p->rank = *rank;
        return missing ? malformed(p, 0, missing) : DUET_OK;
    }
    *rank = rank_of(type, in_media);
    if (*rank == 0 && p->rank == 0)
        return malformed(p, 0, "the description begins with v=0 (RFC 8866, 5)");
    if (*rank == 0 && rank_of(type, !in_media) != 0)
        return malformed(p, 0, "this line belongs in the session part (RFC 8866, 5)");
    if (*rank == 0)
        return DUET_OK;
    const char *missing = in_media ? NULL : missing_before(p->rank, *rank);
    if (missing)
        return malformed(p, 0, missing);
    if (*rank < p->rank)
        return malformed(p, 0, "this line comes too late: the order is v o s i u e p c b t r z k a m (RFC 8866, 5)");
    if (*rank == p->rank && !may_repeat(type, in_media))
        return malformed(p, 0, "this line is here already (RFC 8866, 5)");
    if ((type == 'r' || type == 'z') && p->rank != *rank)
        return malformed(p, 0, "a t= line is expected before this one (RFC 8866, 5.10)");
    p->rank = *rank;
    return DUET_OK;
}

static int parse_line(parser *p)
{
    duet_reader r = duet_text_reader(line_text(p), p->len);
    uint8_t type = duet_read_u8(&r);
    int rank;

    if (p->len == 0)
        return malformed(p, 0, "an empty line");
    if (type < 'a' || type > 'z')
        return malformed(p, 0, "a line begins with a lower-case letter (RFC 8866, 5)");
    if (!duet_text_skip(&r, '='))
        return malformed(p, 1, "\"=\" is expected behind the type of the line (RFC 8866, 5)");
    if (check_order(p, (char)type, &rank))
        return p->err;
    return type == 'a' ? parse_attribute(p) : parse_other(p, (char)type, rank);
}

/* ---- the text ---- */

/* Finds the next line and steps over its end. */
static int next_line(parser *p)
{
    p->line_number++;
    p->start = p->r.pos;
    p->len = strcspn(line_text(p), "\r\n"); /* our copy of the text ends with a NUL */
    duet_read_skip(&p->r, p->len);
    if (p->len > DUET_SDP_LINE_MAX)
        return fail(p, DUET_ERR_LIMIT, DUET_SDP_LINE_MAX, "this line is too long");
    if (duet_text_at_end(&p->r)) {
        warn(p, p->len, "the last line has no end (RFC 8866, 9)");
        return DUET_OK;
    }
    if (duet_peek_u8(&p->r, 0) == '\r' && duet_peek_u8(&p->r, 1) == '\n')
        duet_read_skip(&p->r, 2);
    else if (!duet_text_skip(&p->r, '\n'))
        return malformed(p, p->len, duet_peek_u8(&p->r, 0) ? "a CR without LF" : "a NUL byte");
    p->text[p->start + p->len] = 0;
    return DUET_OK;
}

static int parse_text(parser *p)
{
    while (!duet_text_at_end(&p->r))
        if (next_line(p) || parse_line(p))
            return p->err;
    p->start = p->r.pos;
    p->len = 0;
    p->line_number++;
    const char *missing = p->media == DUET_SDP_SESSION ? missing_before(p->rank, rank_of('a', false) + 1) : NULL;
    return missing ? malformed(p, 0, missing) : DUET_OK;
}

/* RFC 8866 section 5.7: c= in the session part, or in every section. */
static void warn_without_connection(duet_sdp *sdp)
{
    size_t line_number = sdp->session.count + 1;
    duet_sdp_error warning;

    for (size_t n = 0; n < sdp->session.count; n++)
        if (duet_sdp_line_at(sdp, DUET_SDP_SESSION, n)->type == 'c')
            return;
    for (size_t i = 0; i < sdp->sections.count; i++) {
        const duet_sdp_line *line;
        size_t n = 0;
        while ((line = duet_sdp_line_at(sdp, i, n)) && line->type != 'c')
            n++;
        if (!line) {
            duet_sdp_set_error(&warning, line_number, 1, NULL, 0, "this m-section has no c= line (RFC 8866, 5.7)");
            duet_sdp_warn(sdp, &warning);
        }
        line_number += duet_sdp_line_count(sdp, i);
    }
}

int duet_sdp_parse(duet_sdp **out, const duet_env *env, const char *text, size_t len, duet_sdp_error *error)
{
    parser p = {.media = DUET_SDP_SESSION, .error = error};

    *out = NULL;
    if (len > DUET_SDP_TEXT_MAX) {
        if (error)
            duet_sdp_set_error(error, 0, 0, NULL, 0, "the description is longer than 1 MiB");
        return DUET_ERR_LIMIT;
    }
    int err = duet_sdp_new(&p.sdp, env);
    if (err)
        return err;
    p.sdp->text = p.text = duet_strndup(&p.sdp->env, text, len);
    if (!p.text) {
        duet_sdp_destroy(p.sdp);
        return DUET_ERR_NOMEM;
    }
    p.r = duet_text_reader(p.text, len);
    err = parse_text(&p);
    if (err) {
        duet_sdp_destroy(p.sdp);
        return err;
    }
    warn_without_connection(p.sdp);
    *out = p.sdp;
    return DUET_OK;
}
