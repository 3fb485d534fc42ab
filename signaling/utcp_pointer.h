/* Where in a JSON document we are, as a chain on the stack, and its text when something is wrong there (RFC 6901). */
#ifndef DUET_SIGNALING_UTCP_POINTER_H
#define DUET_SIGNALING_UTCP_POINTER_H

#include "duet/utcp.h"

typedef struct duet_utcp_pointer {
    const struct duet_utcp_pointer *parent; /* NULL: this is the first member of the way */
    const char *name;                       /* of a member; NULL: an element of an array */
    size_t index;
} duet_utcp_pointer;

/* Writes pointer and reason; `where` NULL is the whole document, `error` NULL nothing at all. Control characters
 * become '?', what does not fit is left out at whole characters. */
void duet_utcp_error_set(duet_utcp_error *error, const duet_utcp_pointer *where, const char *format, ...)
    DUET_PRINTF(3, 4);

/* "where: why" for messages. @return buf */
char *duet_utcp_error_text(const duet_utcp_error *error, char *buf, size_t size);

#endif
