/* The model of a description: ordered lines of the session part and of each m-section, and the limits that bound them
 * (RFC 8866 section 5 gives the order of the parts). Everything that changes a description goes through this file. */
#include "sdp/internal.h"

#include <string.h>

int duet_sdp_new(duet_sdp **out, const duet_env *env)
{
    duet_env resolved = duet_env_resolve(env);
    duet_sdp *sdp = duet_calloc(&resolved, sizeof(*sdp));

    *out = NULL;
    if (!sdp)
        return DUET_ERR_NOMEM;
    sdp->env = resolved;
    duet_array_init(&sdp->session, &sdp->env, sizeof(sdp_line));
    duet_array_init(&sdp->sections, &sdp->env, sizeof(sdp_section));
    duet_array_init(&sdp->warnings, &sdp->env, sizeof(duet_sdp_error));
    *out = sdp;
    return DUET_OK;
}

static sdp_line *line_at(const duet_array *lines, size_t n)
{
    return duet_array_at(lines, n);
}

static void free_lines(duet_array *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        duet_free(lines->env, line_at(lines, i)->owned);
    duet_array_free(lines);
}

void duet_sdp_destroy(duet_sdp *sdp)
{
    if (!sdp)
        return;
    free_lines(&sdp->session);
    for (size_t i = 0; i < sdp->sections.count; i++) {
        sdp_section *section = duet_sdp_section_at(sdp, i);
        free_lines(&section->lines);
        duet_free(&sdp->env, section->fields);
    }
    duet_array_free(&sdp->sections);
    duet_array_free(&sdp->warnings);
    duet_free(&sdp->env, sdp->text);
    duet_env env = sdp->env;
    duet_free(&env, sdp);
}

sdp_section *duet_sdp_section_at(duet_sdp *sdp, size_t index)
{
    return index < sdp->sections.count ? duet_array_at(&sdp->sections, index) : NULL;
}

const duet_array *duet_sdp_lines_const(const duet_sdp *sdp, size_t media)
{
    if (media == DUET_SDP_SESSION)
        return &sdp->session;
    if (media >= sdp->sections.count)
        return NULL;
    const sdp_section *section = duet_array_at(&sdp->sections, media);
    return &section->lines;
}

duet_array *duet_sdp_lines(duet_sdp *sdp, size_t media)
{
    if (media == DUET_SDP_SESSION)
        return &sdp->session;
    sdp_section *section = duet_sdp_section_at(sdp, media);
    return section ? &section->lines : NULL;
}

size_t duet_sdp_line_count(const duet_sdp *sdp, size_t media)
{
    const duet_array *lines = duet_sdp_lines_const(sdp, media);

    return lines ? lines->count : 0;
}

const duet_sdp_line *duet_sdp_line_at(const duet_sdp *sdp, size_t media, size_t n)
{
    const duet_array *lines = duet_sdp_lines_const(sdp, media);

    return lines && n < lines->count ? &line_at(lines, n)->view : NULL;
}

/* ---- warnings and errors ---- */

void duet_sdp_warn(duet_sdp *sdp, const duet_sdp_error *warning)
{
    if (sdp->warnings.count >= DUET_SDP_WARNINGS_MAX)
        return;
    duet_sdp_error *kept = duet_array_push(&sdp->warnings);
    if (kept) /* a warning that finds no memory is lost; the description is not */
        *kept = *warning;
}

size_t duet_sdp_warning_count(const duet_sdp *sdp)
{
    return sdp->warnings.count;
}

const duet_sdp_error *duet_sdp_warning(const duet_sdp *sdp, size_t n)
{
    return n < sdp->warnings.count ? duet_array_at(&sdp->warnings, n) : NULL;
}

/* Longest excerpt of a line in a reason; the rest of the 160 bytes is for the reason itself. */
#define EXCERPT_MAX 40

void duet_sdp_set_error(duet_sdp_error *error, size_t line, size_t column, const char *text, size_t len,
                        const char *reason)
{
    duet_writer w = duet_writer_init((uint8_t *)error->reason, sizeof(error->reason) - 1);
    size_t shown = len > EXCERPT_MAX ? EXCERPT_MAX : len;
    size_t reason_len = strlen(reason);

    error->line = line;
    error->column = column;
    if (text) {
        duet_write_u8(&w, '"');
        for (size_t i = 0; i < shown; i++)
            duet_write_u8(&w, text[i] >= 0x20 && text[i] < 0x7F ? (uint8_t)text[i] : '?');
        if (shown < len)
            duet_write_bytes(&w, "...", 3);
        duet_write_bytes(&w, "\": ", 3);
    }
    if (reason_len > w.capacity - w.len)
        reason_len = w.capacity - w.len;
    duet_write_bytes(&w, reason, reason_len);
    error->reason[w.len] = 0;
}

/* ---- lines ---- */

/* Bytes that a line takes when it is written, CRLF included. */
static size_t written_size(const duet_sdp_line *line)
{
    size_t size = 2 + 2;

    if (line->name)
        size += strlen(line->name) + (line->value ? 1 : 0);
    if (line->value)
        size += strlen(line->value);
    return size;
}

static int check_limits(const duet_sdp *sdp, size_t more_lines, size_t size)
{
    /* size without CRLF; the text limit counts an LF as the parser does */
    if (size > DUET_SDP_LINE_MAX || sdp->line_count + more_lines > DUET_SDP_LINES_MAX)
        return DUET_ERR_LIMIT;
    return sdp->size + size + 1 > DUET_SDP_TEXT_MAX ? DUET_ERR_LIMIT : DUET_OK;
}

int duet_sdp_push_line(duet_sdp *sdp, size_t media, const duet_sdp_line *line, size_t len)
{
    int err = check_limits(sdp, 1, len);

    if (err)
        return err;
    sdp_line *added = duet_array_push(duet_sdp_lines(sdp, media));
    if (!added)
        return DUET_ERR_NOMEM;
    added->view = *line;
    sdp->line_count++;
    sdp->size += len + 1;
    return DUET_OK;
}

/* One block for both strings. The line's own views are set to it. */
static int own_strings(duet_sdp *sdp, sdp_line *line, const char *name, const char *value)
{
    size_t name_size = name ? strlen(name) + 1 : 0;
    size_t value_size = value ? strlen(value) + 1 : 0;

    line->owned = duet_alloc(&sdp->env, name_size + value_size);
    if (!line->owned)
        return DUET_ERR_NOMEM;
    duet_writer w = duet_writer_init((uint8_t *)line->owned, name_size + value_size);
    duet_write_bytes(&w, name, name_size);
    duet_write_bytes(&w, value, value_size);
    line->view.name = name ? line->owned : NULL;
    line->view.value = value ? line->owned + name_size : NULL;
    return duet_writer_finish(&w);
}

int duet_sdp_insert_line(duet_sdp *sdp, size_t media, size_t at, char type, const char *name, const char *value)
{
    duet_array *lines = duet_sdp_lines(sdp, media);
    sdp_line line = {.view = {.type = type, .name = name, .value = value}};
    size_t size = written_size(&line.view) - 2;
    int err = lines ? check_limits(sdp, 1, size) : DUET_ERR_INVALID;

    if (err)
        return err;
    const sdp_attribute *known = name ? duet_sdp_find_attribute(name) : NULL;
    if (known && (known->levels & (media == DUET_SDP_SESSION ? SDP_LEVEL_SESSION : SDP_LEVEL_MEDIA)))
        line.view.kind = known->kind;
    err = own_strings(sdp, &line, name, value);
    if (err)
        return err;
    if (!duet_array_push(lines)) {
        duet_free(&sdp->env, line.owned);
        return DUET_ERR_NOMEM;
    }
    for (size_t i = lines->count - 1; i > at; i--)
        *line_at(lines, i) = *line_at(lines, i - 1);
    *line_at(lines, at) = line;
    sdp->line_count++;
    sdp->size += size + 1;
    return DUET_OK;
}

int duet_sdp_change_line(duet_sdp *sdp, size_t media, size_t at, const char *value)
{
    sdp_line *line = line_at(duet_sdp_lines(sdp, media), at);
    sdp_line changed = *line;
    size_t before = written_size(&line->view) - 2;

    changed.view.value = value;
    size_t size = written_size(&changed.view) - 2;
    if (size > DUET_SDP_LINE_MAX || sdp->size - before + size > DUET_SDP_TEXT_MAX)
        return DUET_ERR_LIMIT;
    int err = own_strings(sdp, &changed, line->view.name, value);
    if (err)
        return err;
    duet_free(&sdp->env, line->owned);
    *line = changed;
    sdp->size = sdp->size - before + size;
    return DUET_OK;
}

void duet_sdp_drop_line(duet_sdp *sdp, size_t media, size_t at)
{
    duet_array *lines = duet_sdp_lines(sdp, media);
    sdp_line *line = line_at(lines, at);

    sdp->line_count--;
    sdp->size -= written_size(&line->view) - 1;
    duet_free(&sdp->env, line->owned);
    duet_array_remove(lines, at);
}

size_t duet_sdp_drop_named(duet_sdp *sdp, size_t media, const char *name, size_t from)
{
    duet_array *lines = duet_sdp_lines(sdp, media);
    size_t kept = from, count = lines ? lines->count : 0;

    for (size_t i = from; i < count; i++) {
        sdp_line *line = line_at(lines, i);
        if (!line->view.name || strcmp(line->view.name, name) != 0) {
            *line_at(lines, kept++) = *line;
            continue;
        }
        sdp->line_count--;
        sdp->size -= written_size(&line->view) - 1;
        duet_free(&sdp->env, line->owned);
    }
    if (lines && kept < count)
        lines->count = kept;
    return count > kept ? count - kept : 0;
}

/* ---- sections ---- */

static duet_sdp_media_kind media_kind(duet_sdp_text name)
{
    if (duet_sdp_text_is(name, "audio"))
        return DUET_SDP_AUDIO;
    if (duet_sdp_text_is(name, "video"))
        return DUET_SDP_VIDEO;
    return duet_sdp_text_is(name, "application") ? DUET_SDP_APPLICATION : DUET_SDP_OTHER;
}

/* Gives the section its own copy of the words of its m= line. */
static int set_fields(duet_sdp *sdp, sdp_section *section, const sdp_media_words *words)
{
    size_t size = words->name.len + words->proto.len + words->formats.len + 3;
    char *fields = duet_alloc(&sdp->env, size);

    if (!fields)
        return DUET_ERR_NOMEM;
    duet_writer w = duet_writer_init((uint8_t *)fields, size);
    duet_write_bytes(&w, words->name.text, words->name.len);
    duet_write_u8(&w, 0);
    size_t proto = w.len;
    duet_write_bytes(&w, words->proto.text, words->proto.len);
    duet_write_u8(&w, 0);
    size_t formats = w.len;
    duet_write_bytes(&w, words->formats.text, words->formats.len);
    duet_write_u8(&w, 0);
    section->media = (duet_sdp_media){
        .kind = media_kind(words->name),
        .name = fields,
        .port = words->port,
        .port_count = words->port_count,
        .proto = fields + proto,
        .formats = fields + formats,
    };
    duet_free(&sdp->env, section->fields);
    section->fields = fields;
    return duet_writer_finish(&w);
}

int duet_sdp_push_section(duet_sdp *sdp, const sdp_media_words *words)
{
    if (sdp->sections.count >= DUET_SDP_MEDIA_MAX)
        return DUET_ERR_LIMIT;
    sdp_section *section = duet_array_push(&sdp->sections);
    if (!section)
        return DUET_ERR_NOMEM;
    duet_array_init(&section->lines, &sdp->env, sizeof(sdp_line));
    int err = set_fields(sdp, section, words);
    if (err)
        sdp->sections.count--;
    return err;
}

/* Writes the m= line anew with another port or other formats (NULL: as they are). */
static int rewrite_media(duet_sdp *sdp, size_t index, uint16_t port, const char *formats)
{
    sdp_section *section = duet_sdp_section_at(sdp, index);
    duet_buffer text;
    sdp_media_words words;

    if (!section)
        return DUET_ERR_INVALID;
    duet_buffer_init(&text, &sdp->env);
    duet_buffer_printf(&text, "%s %u", section->media.name, (unsigned)port);
    if (section->media.port_count != 1)
        duet_buffer_printf(&text, "/%u", (unsigned)section->media.port_count);
    duet_buffer_printf(&text, " %s %s", section->media.proto, formats ? formats : section->media.formats);
    if (text.failed) {
        duet_buffer_free(&text);
        return DUET_ERR_NOMEM;
    }
    sdp_scan s = {.r = duet_text_reader((const char *)text.data, text.len)};
    int err = duet_sdp_scan_media(&s, &words) ? DUET_OK : DUET_ERR_MALFORMED;
    sdp_section changed = {.lines = section->lines};
    if (!err)
        err = set_fields(sdp, &changed, &words);
    if (!err)
        err = duet_sdp_change_line(sdp, index, 0, (const char *)text.data);
    duet_buffer_free(&text);
    if (err) {
        duet_free(&sdp->env, changed.fields);
        return err;
    }
    duet_free(&sdp->env, section->fields);
    section->fields = changed.fields;
    section->media = changed.media;
    return DUET_OK;
}

int duet_sdp_set_port(duet_sdp *sdp, size_t index, uint16_t port)
{
    return rewrite_media(sdp, index, port, NULL);
}

int duet_sdp_set_formats(duet_sdp *sdp, size_t index, const char *formats)
{
    const duet_sdp_media *media = duet_sdp_media_at(sdp, index);

    return media ? rewrite_media(sdp, index, media->port, formats) : DUET_ERR_INVALID;
}

/* ---- copies ---- */

static int clone_lines(duet_sdp *to, size_t media, const duet_array *lines)
{
    for (size_t i = 0; i < lines->count; i++) {
        const duet_sdp_line *line = &line_at(lines, i)->view;
        int err = duet_sdp_insert_line(to, media, i, line->type, line->name, line->value);
        if (err)
            return err;
    }
    return DUET_OK;
}

static int clone_into(duet_sdp *to, const duet_sdp *sdp)
{
    int err = clone_lines(to, DUET_SDP_SESSION, &sdp->session);

    for (size_t i = 0; i < sdp->sections.count && !err; i++) {
        const sdp_section *section = duet_array_at(&sdp->sections, i);
        sdp_media_words words = {
            .name = duet_sdp_text_of(section->media.name),
            .proto = duet_sdp_text_of(section->media.proto),
            .formats = duet_sdp_text_of(section->media.formats),
            .port = section->media.port,
            .port_count = section->media.port_count,
        };
        err = duet_sdp_push_section(to, &words);
        if (!err)
            err = clone_lines(to, i, &section->lines);
    }
    for (size_t i = 0; i < sdp->warnings.count; i++)
        duet_sdp_warn(to, duet_sdp_warning(sdp, i));
    return err;
}

int duet_sdp_clone(duet_sdp **out, const duet_sdp *sdp)
{
    int err = duet_sdp_new(out, &sdp->env);

    if (err)
        return err;
    err = clone_into(*out, sdp);
    if (err) {
        duet_sdp_destroy(*out);
        *out = NULL;
    }
    return err;
}
