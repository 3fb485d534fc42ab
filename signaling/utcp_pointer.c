/* JSON pointers (RFC 6901) for messages about what is wrong with a document. */
#include "signaling/utcp_pointer.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cut texts end with a whole UTF-8 character, so that they may go into JSON. */
static void trim_partial_character(char *text)
{
    size_t len = strlen(text), back = 0;

    while (back < len && back < 4 && ((uint8_t)text[len - 1 - back] & 0xC0) == 0x80)
        back++;
    if (back == len)
        return;
    uint8_t lead = (uint8_t)text[len - 1 - back];
    size_t need = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (need > back)
        text[len - 1 - back] = 0;
}

static void make_printable(char *text)
{
    for (; *text; text++) {
        if ((uint8_t)*text < 0x20 || *text == 0x7f)
            *text = '?';
    }
}

/* "~" is written "~0" and "/" "~1" (RFC 6901, section 3). */
static size_t append_name(char *buf, size_t size, size_t used, const char *name)
{
    for (; *name && used + 3 < size; name++) {
        if (*name == '~' || *name == '/') {
            buf[used++] = '~';
            buf[used++] = *name == '~' ? '0' : '1';
        } else {
            buf[used++] = *name;
        }
    }
    buf[used] = 0;
    return used;
}

static size_t append(char *buf, size_t size, const duet_utcp_pointer *p)
{
    size_t used = p->parent ? append(buf, size, p->parent) : 0;
    char digits[24];

    if (used + 2 >= size)
        return used;
    buf[used++] = '/';
    if (p->name)
        return append_name(buf, size, used, p->name);
    snprintf(digits, sizeof(digits), "%zu", p->index);
    return append_name(buf, size, used, digits);
}

void duet_utcp_error_set(duet_utcp_error *error, const duet_utcp_pointer *where, const char *format, ...)
{
    va_list args;

    if (!error)
        return;
    error->where[0] = 0;
    if (where)
        append(error->where, sizeof(error->where), where);
    va_start(args, format);
    vsnprintf(error->why, sizeof(error->why), format, args);
    va_end(args);
    trim_partial_character(error->where);
    trim_partial_character(error->why);
    make_printable(error->where);
    make_printable(error->why);
}

char *duet_utcp_error_text(const duet_utcp_error *error, char *buf, size_t size)
{
    snprintf(buf, size, "%s%s%s", error->where, error->where[0] ? ": " : "", error->why);
    trim_partial_character(buf);
    return buf;
}
