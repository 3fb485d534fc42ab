/* Reads files of tools. */
#include "signaling/utcp_tools.h"
#include "signaling/utcp_message.h"
#include "signaling/utcp_variables.h"
#include <string.h>

#define TOOLS_MAX     256
#define TIMEOUT_MAX_S 3600

typedef struct reader {
    duet_utcp_variables variables;
    duet_utcp_tool_spec *spec;
    const json_t *tool;
    const duet_utcp_pointer *at;
} reader;

static int refuse(const reader *r, const char *member, const char *why)
{
    const duet_utcp_pointer at = {r->at, member, 0};

    duet_utcp_error_set(r->variables.error, &at, "%s", why);
    return DUET_ERR_INVALID;
}

/* ---- what carries it out ---- */

static int read_command(const reader *r, const json_t *command)
{
    const duet_env *env = &r->variables.env;
    size_t count = json_array_size(command);

    if (count == 0 || count > DUET_UTCP_ARGUMENTS_MAX)
        return refuse(r, "command", "command is an array: a program, and at most 255 arguments");
    r->spec->command = duet_calloc(env, (count + 1) * sizeof(char *));
    if (!r->spec->command)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const char *argument = json_string_value(json_array_get(command, i));
        if (!argument || (i == 0 && !argument[0]))
            return refuse(r, "command", "command is an array of texts");
        r->spec->command[i] = duet_strdup(env, argument);
        if (!r->spec->command[i])
            return DUET_ERR_NOMEM;
    }
    return DUET_OK;
}

/* "Name: value", with the variables in the value put in. */
static int read_header(const reader *r, char **out, const char *name, const json_t *value, const duet_utcp_pointer *at)
{
    duet_buffer line;
    char *text;

    if (!json_is_string(value) || strpbrk(name, ":\r\n") || !name[0])
        return refuse(r, "http", "headers is an object of texts");
    int err = duet_utcp_substitute(&r->variables, &text, json_string_value(value), at);
    if (err != DUET_OK)
        return err;
    bool split = strpbrk(text, "\r\n") != NULL;
    duet_buffer_init(&line, &r->variables.env);
    duet_buffer_printf(&line, "%s: %s", name, text);
    duet_free(&r->variables.env, text);
    *out = duet_buffer_steal(&line);
    if (split)
        return refuse(r, "http", "a header is one line");
    return *out ? DUET_OK : DUET_ERR_NOMEM;
}

static int read_headers(const reader *r, const json_t *headers, const duet_utcp_pointer *parent)
{
    size_t count = json_object_size(headers), i = 0;
    const char *name;
    json_t *value;

    if (!headers)
        return DUET_OK;
    if (!json_is_object(headers) || count > DUET_UTCP_HEADERS_MAX)
        return refuse(r, "http", "headers is an object of at most 32 texts");
    r->spec->headers = duet_calloc(&r->variables.env, (count + 1) * sizeof(char *));
    if (!r->spec->headers)
        return DUET_ERR_NOMEM;
    json_object_foreach((json_t *)headers, name, value)
    {
        const duet_utcp_pointer at = {parent, name, 0};
        int err = read_header(r, &r->spec->headers[i++], name, value, &at);
        if (err != DUET_OK)
            return err;
    }
    return DUET_OK;
}

static int read_http(const reader *r, const json_t *http)
{
    const duet_utcp_pointer http_at = {r->at, "http", 0}, url_at = {&http_at, "url", 0},
                            headers_at = {&http_at, "headers", 0};
    const char *url = duet_json_text(http, "url"), *method = duet_json_text(http, "method");

    if (!url)
        return refuse(r, "http", "http has a url");
    if (method && strcmp(method, "POST") != 0 && strcmp(method, "PUT") != 0)
        return refuse(r, "http", "method is POST or PUT: the inputs are its body");
    int err = duet_utcp_substitute(&r->variables, &r->spec->url, url, &url_at);
    if (err != DUET_OK)
        return err;
    if (strncmp(r->spec->url, "http://", 7) != 0 && strncmp(r->spec->url, "https://", 8) != 0)
        return refuse(r, "http", "the url begins with http:// or https://");
    r->spec->method = duet_strdup(&r->variables.env, method ? method : "POST");
    return r->spec->method ? read_headers(r, json_object_get(http, "headers"), &headers_at) : DUET_ERR_NOMEM;
}

/* ---- one tool ---- */

static int read_options(const reader *r)
{
    const json_t *stream = json_object_get(r->tool, "stream"), *timeout = json_object_get(r->tool, "timeout");
    double seconds = json_number_value(timeout);

    if (stream && !json_is_boolean(stream))
        return refuse(r, "stream", "stream is true or false");
    if (timeout && !(seconds > 0 && seconds <= TIMEOUT_MAX_S))
        return refuse(r, "timeout", "timeout is a number of seconds, at most 3600");
    r->spec->streams = json_is_true(stream);
    r->spec->timeout = (duet_time)(seconds * 1e6);
    return DUET_OK;
}

/* What remains of the tool is what the manual tells. */
static int write_definition(const reader *r)
{
    static const char *const ours[] = {"command", "http", "stream", "timeout"};
    json_t *definition = json_copy((json_t *)r->tool);
    duet_buffer text;

    for (size_t i = 0; definition && i < sizeof(ours) / sizeof(ours[0]); i++)
        json_object_del(definition, ours[i]);
    duet_buffer_init(&text, &r->variables.env);
    int err = duet_json_write(&text, definition);
    json_decref(definition);
    if (err == DUET_OK)
        r->spec->definition = duet_buffer_steal(&text);
    else
        duet_buffer_free(&text);
    return r->spec->definition ? DUET_OK : DUET_ERR_NOMEM;
}

static int read_tool(const reader *r)
{
    const json_t *command = json_object_get(r->tool, "command"), *http = json_object_get(r->tool, "http");
    const char *name = duet_json_text(r->tool, "name");

    if (!duet_utcp_name_valid(name))
        return refuse(r, "name", "a tool has a name of 1 to 128 bytes");
    if (!command == !http)
        return refuse(r, "command", "a tool has either command or http");
    r->spec->name = duet_strdup(&r->variables.env, name);
    int err = r->spec->name ? read_options(r) : DUET_ERR_NOMEM;
    if (err == DUET_OK)
        err = command ? read_command(r, command) : read_http(r, http);
    if (err == DUET_OK && http && r->spec->streams)
        err = refuse(r, "stream", "only executables stream");
    return err == DUET_OK ? write_definition(r) : err;
}

/* ---- the file ---- */

static int read_list(duet_utcp_tools *out, reader *r, const json_t *list)
{
    const duet_utcp_pointer tools = {NULL, "tools", 0};
    size_t count = json_array_size(list);

    if (!json_is_array(list) || count == 0) {
        duet_utcp_error_set(r->variables.error, &tools, "an array of tools is needed");
        return DUET_ERR_INVALID;
    }
    if (count > TOOLS_MAX) {
        duet_utcp_error_set(r->variables.error, &tools, "there are more than %d tools", TOOLS_MAX);
        return DUET_ERR_LIMIT;
    }
    out->specs = duet_calloc(&out->env, count * sizeof(*out->specs));
    if (!out->specs)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const duet_utcp_pointer at = {&tools, NULL, i};
        r->spec = &out->specs[out->count++];
        r->tool = json_array_get(list, i);
        r->at = &at;
        int err = read_tool(r);
        if (err != DUET_OK)
            return err;
    }
    return DUET_OK;
}

int duet_utcp_tools_read(duet_utcp_tools *out, const duet_env *env, const char *json, size_t len,
                         duet_utcp_lookup lookup, void *user, duet_utcp_error *error)
{
    reader r = {.variables = {duet_env_resolve(env), lookup, user, error}};
    const char *reason = "this is too large";
    json_t *document = NULL;

    *out = (duet_utcp_tools){.env = r.variables.env};
    int err = len > DUET_UTCP_TOOLS_FILE_MAX ? DUET_ERR_MALFORMED : duet_utcp_json_parse(&document, json, len, &reason);
    if (err != DUET_OK)
        duet_utcp_error_set(error, NULL, "%s", reason);
    else
        err = read_list(out, &r, json_object_get(document, "tools"));
    json_decref(document);
    return err == DUET_ERR_TOO_LARGE ? DUET_ERR_MALFORMED : err;
}

static void free_list(const duet_env *env, char **list)
{
    for (char **text = list; text && *text; text++)
        duet_free(env, *text);
    duet_free(env, list);
}

void duet_utcp_tools_free(duet_utcp_tools *tools)
{
    for (size_t i = 0; i < tools->count; i++) {
        duet_utcp_tool_spec *spec = &tools->specs[i];
        free_list(&tools->env, spec->command);
        free_list(&tools->env, spec->headers);
        duet_free(&tools->env, spec->name);
        duet_free(&tools->env, spec->definition);
        duet_free(&tools->env, spec->url);
        duet_free(&tools->env, spec->method);
    }
    duet_free(&tools->env, tools->specs);
    tools->specs = NULL;
    tools->count = 0;
}
