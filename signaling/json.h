/* JSON in and out: objects only, strict (no duplicate members, valid UTF-8, no NUL), texts through the allocator of the
 * environment. The values themselves come from jansson, which takes its memory from libc. */
#ifndef DUET_SIGNALING_JSON_H
#define DUET_SIGNALING_JSON_H

#include "base/memory.h"
#include <jansson.h>

/* @param reason  what is wrong, static; may be NULL
 * @return DUET_OK; DUET_ERR_MALFORMED; DUET_ERR_NOMEM */
int duet_json_parse_object(json_t **out, const char *text, size_t len, const char **reason);

/* The same for objects with one long text, such as a description, which jansson would read byte by byte: when the member
 * `name` is a plain text (ASCII without \u) of at least 1 KiB it comes out as `long_text`, to be freed with duet_free, and
 * is "" in the object. Otherwise `long_text` is NULL and the object has everything. What is refused, and why, is the same. */
int duet_json_parse_long(json_t **out, char **long_text, const duet_env *env, const char *name, const char *text,
                         size_t len, const char **reason);

/* Appends compact text. `value` may be NULL, as a constructor of jansson gives when there is no memory.
 * @return DUET_OK or DUET_ERR_NOMEM */
int duet_json_write(duet_buffer *out, const json_t *value);

/* The member's text; NULL when it is absent or of another kind. */
const char *duet_json_text(const json_t *object, const char *name);

#endif
