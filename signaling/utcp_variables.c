/* Variables of UTCP files: "${NAME}" stands for a value, "$${" for "${". A variable that is not there is an error, so
 * that no request leaves with a name in the place of a secret. */
#include "signaling/utcp_variables.h"
#include <ctype.h>
#include <string.h>

static bool is_name_char(char c)
{
    return isalnum((uint8_t)c) || c == '_';
}

/* Puts in the variable whose "${" begins at *text, and moves behind its "}". */
static int put_variable(const duet_utcp_variables *v, duet_buffer *out, const char **text, const duet_utcp_pointer *at)
{
    char name[128];
    const char *begin = *text + 2;
    size_t len = 0;

    while (is_name_char(begin[len]))
        len++;
    if (len == 0 || len >= sizeof(name) || begin[len] != '}') {
        duet_utcp_error_set(v->error, at, "a variable is written ${NAME}, with letters, digits and _");
        return DUET_ERR_INVALID;
    }
    memcpy(name, begin, len);
    name[len] = 0;
    const char *value = v->lookup ? v->lookup(v->user, name) : NULL;
    if (!value) {
        duet_utcp_error_set(v->error, at, "the variable %s is not set", name);
        return DUET_ERR_NOT_FOUND;
    }
    if (strlen(value) > DUET_UTCP_TEXT_MAX) {
        duet_utcp_error_set(v->error, at, "the variable %s is too long", name);
        return DUET_ERR_INVALID;
    }
    duet_buffer_text(out, value);
    *text = begin + len + 1;
    return DUET_OK;
}

int duet_utcp_substitute(const duet_utcp_variables *v, char **out, const char *text, const duet_utcp_pointer *at)
{
    duet_buffer b;
    int err = DUET_OK;

    *out = NULL;
    duet_buffer_init(&b, &v->env);
    while (*text && err == DUET_OK && b.len <= DUET_UTCP_TEXT_MAX) {
        if (strncmp(text, "$${", 3) == 0) {
            duet_buffer_text(&b, "${");
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            err = put_variable(v, &b, &text, at);
        } else {
            duet_buffer_append(&b, text++, 1);
        }
    }
    if (err == DUET_OK && b.len > DUET_UTCP_TEXT_MAX) {
        duet_utcp_error_set(v->error, at, "this text is too long");
        err = DUET_ERR_INVALID;
    }
    if (err != DUET_OK) {
        duet_buffer_free(&b);
        return err;
    }
    *out = duet_buffer_steal(&b);
    return *out ? DUET_OK : DUET_ERR_NOMEM;
}
