/* ${NAME} in the texts of providers and of files of tools. */
#ifndef DUET_SIGNALING_UTCP_VARIABLES_H
#define DUET_SIGNALING_UTCP_VARIABLES_H

#include "base/memory.h"
#include "signaling/utcp_pointer.h"

#define DUET_UTCP_TEXT_MAX 8192 /* bytes of one text, with its variables put in */

typedef struct duet_utcp_variables {
    duet_env env;
    duet_utcp_lookup lookup; /* NULL: there are none */
    void *user;
    duet_utcp_error *error; /* may be NULL */
} duet_utcp_variables;

/* @param out  NULL when it fails; freed with duet_free
 * @return DUET_OK; DUET_ERR_INVALID (form, or too long); DUET_ERR_NOT_FOUND (the error names the variable);
 * DUET_ERR_NOMEM */
int duet_utcp_substitute(const duet_utcp_variables *v, char **out, const char *text, const duet_utcp_pointer *at);

#endif
