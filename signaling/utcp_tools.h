/* The file of `duet utcp serve --tools`: UTCP tools, each with what carries it out, an executable or an HTTP
 * endpoint. */
#ifndef DUET_SIGNALING_UTCP_TOOLS_H
#define DUET_SIGNALING_UTCP_TOOLS_H

#include "base/memory.h"
#include "duet/utcp.h"

#define DUET_UTCP_TOOLS_FILE_MAX (4u * 1024u * 1024u)
#define DUET_UTCP_ARGUMENTS_MAX  256
#define DUET_UTCP_HEADERS_MAX    32

typedef struct duet_utcp_tool_spec {
    char *name;
    char *definition; /* JSON: what the manual tells, without what carries it out */
    char **command;   /* program and arguments, ended by NULL; NULL: an HTTP endpoint */
    char *url, *method;
    char **headers; /* "Name: value", ended by NULL; NULL: none */
    bool streams;
    duet_time timeout; /* 0: the default */
} duet_utcp_tool_spec;

typedef struct duet_utcp_tools {
    duet_env env;
    duet_utcp_tool_spec *specs;
    size_t count;
} duet_utcp_tools;

/* Reads an object with `tools`. ${NAME} in url and headers is replaced, as in providers. Schemas are checked when the
 * tools are added.
 * @param out  to be freed in any case
 * @return DUET_OK; DUET_ERR_MALFORMED; DUET_ERR_INVALID; DUET_ERR_NOT_FOUND (a variable); DUET_ERR_LIMIT (256 tools);
 * DUET_ERR_NOMEM */
int duet_utcp_tools_read(duet_utcp_tools *out, const duet_env *env, const char *json, size_t len,
                         duet_utcp_lookup lookup, void *user, duet_utcp_error *error);
void duet_utcp_tools_free(duet_utcp_tools *tools);

#endif
