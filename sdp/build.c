/* Building and changing: lines are added where RFC 8866 section 5 wants them, attributes in the order of the calls, and
 * the default address follows the candidates (RFC 8839 section 4.2.1.2). */
#include "sdp/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int add_session_lines(duet_sdp *sdp, uint64_t session_id, uint64_t version)
{
    char origin[96];

    snprintf(origin, sizeof(origin), "- %llu %llu IN IP4 127.0.0.1", (unsigned long long)session_id,
             (unsigned long long)version);
    int err = duet_sdp_insert_line(sdp, DUET_SDP_SESSION, 0, 'v', NULL, "0");
    if (!err)
        err = duet_sdp_insert_line(sdp, DUET_SDP_SESSION, 1, 'o', NULL, origin);
    if (!err)
        err = duet_sdp_insert_line(sdp, DUET_SDP_SESSION, 2, 's', NULL, "-");
    return err ? err : duet_sdp_insert_line(sdp, DUET_SDP_SESSION, 3, 't', NULL, "0 0");
}

int duet_sdp_create(duet_sdp **out, const duet_env *env, uint64_t session_id, uint64_t version)
{
    int err = duet_sdp_new(out, env);

    if (err)
        return err;
    err = add_session_lines(*out, session_id, version);
    if (err) {
        duet_sdp_destroy(*out);
        *out = NULL;
    }
    return err;
}

int duet_sdp_set_origin(duet_sdp *sdp, uint64_t session_id, uint64_t version)
{
    const duet_sdp_line *line;
    char ids[64];
    duet_buffer text;

    for (size_t i = 0; (line = duet_sdp_line_at(sdp, DUET_SDP_SESSION, i)); i++) {
        if (line->type != 'o')
            continue;
        /* username and address stay: they are the words around the two numbers */
        duet_sdp_text rest = duet_sdp_text_of(line->value), user = {"", 0}, number;
        (void)(duet_sdp_text_next(&rest, &user) && duet_sdp_text_next(&rest, &number) &&
               duet_sdp_text_next(&rest, &number));
        snprintf(ids, sizeof(ids), " %llu %llu", (unsigned long long)session_id, (unsigned long long)version);
        duet_buffer_init(&text, &sdp->env);
        duet_buffer_append(&text, user.text, user.len);
        duet_buffer_text(&text, ids);
        duet_buffer_append(&text, rest.text, rest.len);
        int err = text.failed ? DUET_ERR_NOMEM : duet_sdp_change_line(sdp, DUET_SDP_SESSION, i, (char *)text.data);
        duet_buffer_free(&text);
        return err;
    }
    return DUET_ERR_INVALID;
}

/* ---- sections ---- */

static bool is_one_line(const char *text)
{
    return text[0] && duet_text_all((duet_bytes){(const uint8_t *)text, strlen(text)}, duet_char_is_byte);
}

static void drop_last_section(duet_sdp *sdp)
{
    size_t index = sdp->sections.count - 1;
    sdp_section *section = duet_sdp_section_at(sdp, index);

    while (section->lines.count > 0)
        duet_sdp_drop_line(sdp, index, section->lines.count - 1);
    duet_array_free(&section->lines);
    duet_free(&sdp->env, section->fields);
    sdp->sections.count--;
}

int duet_sdp_add_media(duet_sdp *sdp, const char *name, uint16_t port, const char *proto, const char *formats,
                       size_t *index)
{
    sdp_media_words words;
    duet_buffer text;

    duet_buffer_init(&text, &sdp->env);
    duet_buffer_printf(&text, "%s %u %s %s", name, (unsigned)port, proto, formats);
    if (text.failed) {
        duet_buffer_free(&text);
        return DUET_ERR_NOMEM;
    }
    sdp_scan s = {.r = duet_text_reader((const char *)text.data, text.len)};
    int err = duet_sdp_scan_media(&s, &words) ? duet_sdp_push_section(sdp, &words) : DUET_ERR_MALFORMED;
    if (err) {
        duet_buffer_free(&text);
        return err;
    }
    size_t media = sdp->sections.count - 1;
    err = duet_sdp_insert_line(sdp, media, 0, 'm', NULL, (const char *)text.data);
    duet_buffer_free(&text);
    if (!err)
        err = duet_sdp_insert_line(sdp, media, 1, 'c', NULL, DUET_SDP_NO_ADDRESS);
    if (err) {
        drop_last_section(sdp);
        return err;
    }
    if (index)
        *index = media;
    return DUET_OK;
}

/* Where c= stands, or where it has to be put: behind m= and i=. */
static size_t connection_place(const duet_sdp *sdp, size_t index, bool *there)
{
    const duet_sdp_line *line;
    size_t place = 1;

    *there = false;
    for (size_t i = 1; (line = duet_sdp_line_at(sdp, index, i)); i++) {
        if (line->type == 'i')
            place = i + 1;
        if (line->type == 'c') {
            *there = true;
            return i;
        }
    }
    return place;
}

int duet_sdp_set_address(duet_sdp *sdp, size_t index, const duet_address *address)
{
    char ip[DUET_ADDRESS_TEXT_MAX], text[DUET_ADDRESS_TEXT_MAX + 16] = DUET_SDP_NO_ADDRESS;
    uint16_t port = DUET_SDP_DISCARD_PORT;
    bool there;

    if (index >= sdp->sections.count)
        return DUET_ERR_INVALID;
    if (address && address->family != DUET_AF_NONE) {
        duet_address plain = *address;
        plain.scope = 0;
        snprintf(text, sizeof(text), "IN %s %s", address->family == DUET_AF_INET6 ? "IP6" : "IP4",
                 duet_address_ip_text(&plain, ip, sizeof(ip)));
        port = address->port;
    }
    uint16_t before = duet_sdp_media_at(sdp, index)->port;
    int err = duet_sdp_set_port(sdp, index, port);
    if (err)
        return err;
    size_t place = connection_place(sdp, index, &there);
    err = there ? duet_sdp_change_line(sdp, index, place, text)
                : duet_sdp_insert_line(sdp, index, place, 'c', NULL, text);
    if (err)
        (void)duet_sdp_set_port(sdp, index, before);
    return err;
}

/* ---- attributes ---- */

static int check_attribute(const char *name, const char *value)
{
    const sdp_attribute *a = duet_sdp_find_attribute(name);
    duet_sdp_value ignored;
    sdp_scan s;

    if (!duet_text_all((duet_bytes){(const uint8_t *)name, strlen(name)}, duet_char_is_token))
        return DUET_ERR_MALFORMED;
    if (value && !is_one_line(value) && !(a && value[0] == 0))
        return DUET_ERR_MALFORMED;
    return !a || duet_sdp_scan_value(&s, a, value, &ignored) ? DUET_OK : DUET_ERR_MALFORMED;
}

int duet_sdp_add(duet_sdp *sdp, size_t media, const char *name, const char *value)
{
    const duet_array *lines = duet_sdp_lines(sdp, media);
    int err = lines ? check_attribute(name, value) : DUET_ERR_INVALID;

    return err ? err : duet_sdp_insert_line(sdp, media, lines->count, 'a', name, value);
}

int duet_sdp_addf(duet_sdp *sdp, size_t media, const char *name, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0)
        return DUET_ERR_INVALID;
    if ((size_t)len < sizeof(text))
        return duet_sdp_add(sdp, media, name, text);
    char *longer = duet_alloc(&sdp->env, (size_t)len + 1);
    if (!longer)
        return DUET_ERR_NOMEM;
    va_start(args, format);
    vsnprintf(longer, (size_t)len + 1, format, args);
    va_end(args);
    int err = duet_sdp_add(sdp, media, name, longer);
    duet_free(&sdp->env, longer);
    return err;
}

size_t duet_sdp_remove(duet_sdp *sdp, size_t media, const char *name)
{
    return duet_sdp_drop_named(sdp, media, name, 0);
}

int duet_sdp_replace(duet_sdp *sdp, size_t media, const char *name, const char *value)
{
    const duet_sdp_line *line;
    int err = duet_sdp_lines(sdp, media) ? check_attribute(name, value) : DUET_ERR_INVALID;

    if (err)
        return err;
    for (size_t i = 0; (line = duet_sdp_line_at(sdp, media, i)); i++) {
        if (!line->name || strcmp(line->name, name) != 0)
            continue;
        err = duet_sdp_change_line(sdp, media, i, value);
        if (!err)
            duet_sdp_drop_named(sdp, media, name, i + 1);
        return err;
    }
    return duet_sdp_add(sdp, media, name, value);
}

/* ---- candidates ---- */

/* "relayed candidates ... then server-reflexive ... then host": what is most likely to work with any peer, RFC 8839
 * section 4.2.1.2. Names and TCP cannot be the default address. */
static int default_rank(const duet_candidate *c)
{
    static const int ranks[] = {1, 2, 2, 3};

    if (c->protocol != DUET_UDP || c->component != 1 || c->address.family == DUET_AF_NONE)
        return 0;
    /* IPv4 before IPv6 among equals: it reaches more peers today */
    return ranks[c->type] * 2 + (c->address.family == DUET_AF_INET);
}

static int update_default_address(duet_sdp *sdp, size_t index)
{
    const duet_sdp_media *m = duet_sdp_media_at(sdp, index);
    duet_candidate c, best = {0};
    size_t cursor = 0;
    int best_rank = 0;

    if (m->port == 0) /* rejected or bundle-only: the port says so */
        return DUET_OK;
    while (duet_sdp_media_candidate(sdp, index, &cursor, &c)) {
        if (default_rank(&c) <= best_rank)
            continue;
        best = c;
        best_rank = default_rank(&c);
    }
    if (best_rank == 0)
        return duet_sdp_set_address(sdp, index, NULL);
    return duet_sdp_set_address(sdp, index, &best.address);
}

/* Behind the last candidate; the first one goes to the start of the attributes. */
static size_t candidate_place(const duet_sdp *sdp, size_t index)
{
    const duet_sdp_line *line;
    size_t place = 0, first_attribute = duet_sdp_line_count(sdp, index);

    for (size_t i = 0; (line = duet_sdp_line_at(sdp, index, i)); i++) {
        if (line->type == 'a' && i < first_attribute)
            first_attribute = i;
        if (line->kind == DUET_SDP_CANDIDATE)
            place = i + 1;
    }
    return place ? place : first_attribute;
}

int duet_sdp_add_candidate(duet_sdp *sdp, size_t index, const duet_candidate *candidate)
{
    static const size_t prefix = sizeof("candidate:") - 1;
    char text[DUET_CANDIDATE_TEXT_MAX];
    const duet_sdp_line *line;
    duet_candidate plain = *candidate;

    plain.ufrag[0] = 0; /* the ufrag of the section holds */
    int err = index < sdp->sections.count ? duet_candidate_format(&plain, text, sizeof(text)) : DUET_ERR_INVALID;
    if (!err)
        err = check_attribute("candidate", text + prefix);
    if (err)
        return err;
    for (size_t i = 0; (line = duet_sdp_line_at(sdp, index, i)); i++)
        if (line->kind == DUET_SDP_CANDIDATE && strcmp(line->value, text + prefix) == 0)
            return DUET_OK;
    size_t place = candidate_place(sdp, index);
    err = duet_sdp_insert_line(sdp, index, place, 'a', "candidate", text + prefix);
    if (err)
        return err;
    err = update_default_address(sdp, index);
    if (err)
        duet_sdp_drop_line(sdp, index, place);
    return err;
}

int duet_sdp_add_end_of_candidates(duet_sdp *sdp, size_t index)
{
    if (index >= sdp->sections.count)
        return DUET_ERR_INVALID;
    if (duet_sdp_has(sdp, index, DUET_SDP_END_OF_CANDIDATES))
        return DUET_OK;
    return duet_sdp_insert_line(sdp, index, candidate_place(sdp, index), 'a', "end-of-candidates", NULL);
}

int duet_sdp_remove_candidates(duet_sdp *sdp, size_t index)
{
    if (index >= sdp->sections.count)
        return DUET_ERR_INVALID;
    if (duet_sdp_media_at(sdp, index)->port != 0) {
        int err = duet_sdp_set_address(sdp, index, NULL);
        if (err)
            return err;
    }
    duet_sdp_drop_named(sdp, index, "candidate", 0);
    duet_sdp_drop_named(sdp, index, "end-of-candidates", 0);
    return DUET_OK;
}
