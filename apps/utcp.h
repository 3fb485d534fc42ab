/* What the files of `duet utcp` share. */
#ifndef DUET_APPS_UTCP_H
#define DUET_APPS_UTCP_H

#include "app_ice_servers.h"
#include "app_signaling.h"
#include "duet/utcp.h"
#include "signaling/http.h"
#include "signaling/utcp_tools.h"

struct json_t;

typedef struct utcp_options {
    app_connection_options connection;
    app_ice_servers servers; /* of --ice-servers */
    duet_env env;
    duet_pc_config pc; /* made of them */
    bool json;
    const char *token;
    app_secret secret; /* len 0: none */

    /* serve */
    const char *tools, *peer_id, *signal, *room, *channel;

    /* call, list */
    const char *provider, *tool, *inputs;
    const char *id; /* --sub: agent id of the caller, for tokens made with --secret */
    bool stream, idempotent, via_signaling;
    double timeout; /* 0: the default */
} utcp_options;

/* ---- utcp.c ---- */

/* The value of a variable in files: that of the environment. */
const char *utcp_variable(void *user, const char *name);
/* The token: --token, otherwise made with --secret for `subject`, otherwise DUET_TOKEN. @return NULL when there is
 * none; free() it */
char *utcp_token(const utcp_options *o, const char *subject);
/* The text of a file, "-" for standard input; at most `max` bytes. @return NULL after an error message; free() it */
char *utcp_read_file(const char *name, size_t max, size_t *len);
/* "duet: FILE: /where: why" */
void utcp_file_error(const char *file, const duet_utcp_error *error);

/* ---- utcp_serve.c, utcp_call.c: exit codes ---- */

int utcp_serve(utcp_options *o);
int utcp_call(utcp_options *o);
int utcp_list(utcp_options *o);

/* ---- utcp_exec.c: tools that are executables ---- */

typedef struct utcp_exec utcp_exec;

/* @param folder  where commands run, that of the file of tools */
int utcp_exec_create(utcp_exec **out, duet_net *net, const char *folder);
/* Kills what runs. Calls under way must have ended (duet_utcp_server_destroy cancels them). */
void utcp_exec_destroy(utcp_exec *exec);
/* Fills callbacks and user of a tool; `spec` must live as long. @return DUET_OK or DUET_ERR_NOMEM */
int utcp_exec_tool(utcp_exec *exec, const duet_utcp_tool_spec *spec, duet_utcp_tool *tool);

/* ---- utcp_http.c: tools that are HTTP endpoints ---- */

typedef struct utcp_http utcp_http;

int utcp_http_create(utcp_http **out, const duet_http *http);
void utcp_http_destroy(utcp_http *tools);
int utcp_http_tool(utcp_http *tools, const duet_utcp_tool_spec *spec, duet_utcp_tool *tool);

#endif
