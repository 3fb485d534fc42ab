/* duet utcp call and list: one call of a tool, or the manual, of the server that a provider file names. */
#include "utcp.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define PROVIDER_FILE_MAX 65536

typedef struct caller {
    utcp_options *options;
    duet_net *net;
    duet_utcp_provider *provider;
    duet_utcp_client *client;
    int exit_code;
    char problem[200]; /* the last one, told when the time is over */
} caller;

static void stop(caller *c, int exit_code)
{
    c->exit_code = exit_code;
    duet_net_stop(c->net);
}

static void on_problem(void *user, duet_utcp_client *client, const char *what, duet_time again_in)
{
    caller *c = user;

    (void)client;
    snprintf(c->problem, sizeof(c->problem), "%s", what);
    if (again_in == DUET_NEVER || c->options->connection.log_level == DUET_LOG_DEBUG)
        app_error("%s", what);
    if (again_in == DUET_NEVER)
        stop(c, APP_FAILED);
}

/* ---- call ---- */

static json_t *parse_output(const char *output, size_t len)
{
    return output ? json_loadb(output, len, JSON_DECODE_ANY, NULL) : NULL;
}

static void write_text(const char *output, size_t len)
{
    fwrite(output, 1, len, stdout);
    putchar('\n');
    fflush(stdout);
}

static void on_item(void *user, uint64_t ticket, const char *output, size_t len)
{
    const caller *c = user;

    (void)ticket;
    if (c->options->json)
        app_lines_write(json_pack("{s:s,s:o}", "type", "item", "output", parse_output(output, len)));
    else
        write_text(output, len);
}

static void write_failure(const caller *c, const duet_utcp_result *r)
{
    const char *code = r->code ? r->code : "failed", *message = r->message ? r->message : duet_strerror(r->err);
    bool why = r->err == DUET_ERR_TIMEOUT && c->problem[0];

    if (c->options->json)
        app_lines_write(json_pack("{s:s,s:b,s:s,s:s}", "type", "result", "ok", 0, "code", code, "message", message));
    app_error("%s: %s: %s%s%s%s", c->options->tool, code, message, why ? " (" : "", why ? c->problem : "",
              why ? ")" : "");
}

static void on_done(void *user, uint64_t ticket, const duet_utcp_result *r)
{
    caller *c = user;

    (void)ticket;
    if (r->err != DUET_OK)
        write_failure(c, r);
    else if (c->options->json)
        app_lines_write(
            json_pack("{s:s,s:b,s:o*}", "type", "result", "ok", 1, "output", parse_output(r->output, r->output_len)));
    else if (r->output)
        write_text(r->output, r->output_len);
    stop(c, r->err == DUET_OK ? APP_OK : APP_FAILED);
}

static int begin_call(caller *c)
{
    const utcp_options *o = c->options;
    duet_utcp_request request = DUET_UTCP_REQUEST_INIT;

    request.tool = o->tool;
    request.inputs = o->inputs;
    request.stream = o->stream;
    request.idempotent = o->idempotent;
    request.timeout = (duet_time)(o->timeout * 1e6);
    request.on_item = on_item;
    request.on_done = on_done;
    request.user = c;
    return duet_utcp_client_call(c->client, &request, NULL);
}

/* ---- list ---- */

static void write_manual(const caller *c, const char *text, size_t len)
{
    json_t *manual = json_loadb(text, len, 0, NULL), *tool;
    size_t i;

    if (c->options->json) {
        app_lines_write(manual);
        return;
    }
    json_array_foreach(json_object_get(manual, "tools"), i, tool)
    {
        const char *name = json_string_value(json_object_get(tool, "name"));
        const char *description = json_string_value(json_object_get(tool, "description"));
        printf("%s\t%s\n", name ? name : "?", description ? description : "");
    }
    fflush(stdout);
    json_decref(manual);
}

static void on_manual(void *user, int err, const char *json, size_t len)
{
    caller *c = user;

    if (err == DUET_OK)
        write_manual(c, json, len);
    else
        app_error("no manual: %s%s%s%s", duet_strerror(err), c->problem[0] ? " (" : "", c->problem,
                  c->problem[0] ? ")" : "");
    stop(c, err == DUET_OK ? APP_OK : APP_FAILED);
}

static int begin_list(caller *c)
{
    const utcp_options *o = c->options;

    return duet_utcp_client_discover(c->client, o->via_signaling ? DUET_UTCP_VIA_SIGNALING : DUET_UTCP_VIA_CHANNEL,
                                     (duet_time)(o->timeout * 1e6), on_manual, c);
}

/* ---- both ---- */

static bool read_provider(caller *c)
{
    duet_utcp_error error = {.where = ""};
    size_t len;
    char *text = utcp_read_file(c->options->provider, PROVIDER_FILE_MAX, &len);

    if (!text)
        return false;
    int err = duet_utcp_provider_read(&c->provider, NULL, text, len, utcp_variable, NULL, &error);
    free(text);
    if (err == DUET_ERR_NOMEM)
        app_error("%s", duet_strerror(err));
    else if (err != DUET_OK)
        utcp_file_error(c->options->provider, &error);
    return err == DUET_OK;
}

static int create_client(caller *c)
{
    utcp_options *o = c->options;
    duet_utcp_client_config config = DUET_UTCP_CLIENT_CONFIG_INIT;
    char *token = c->provider->token ? strdup(c->provider->token) : utcp_token(o, o->id);

    if (!token)
        return APP_BAD_USAGE;
    config.env = &o->env;
    config.provider = c->provider;
    config.token = token;
    config.connection = &o->pc;
    config.on_problem = on_problem;
    config.user = c;
    int err = duet_utcp_client_create(&c->client, c->net, &config);
    free(token);
    if (err == DUET_OK)
        return APP_OK;
    app_error("%s: %s", c->provider->signaling_server, duet_strerror(err));
    return err == DUET_ERR_INVALID || err == DUET_ERR_UNSUPPORTED ? APP_BAD_USAGE : APP_FAILED;
}

static void interrupted(void *arg, unsigned ready)
{
    (void)ready;
    stop(arg, APP_FAILED);
}

static int run_loop(caller *c, int (*begin)(caller *c))
{
    app_interrupt interrupt;

    int err = begin(c);
    if (err != DUET_OK) {
        app_error("%s", err == DUET_ERR_INVALID ? "the inputs are no JSON object" : duet_strerror(err));
        return APP_BAD_USAGE;
    }
    app_interrupt_start(&interrupt, c->net, interrupted, c);
    duet_net_run(c->net);
    app_interrupt_stop(&interrupt);
    return c->exit_code;
}

static int run(utcp_options *o, int (*begin)(caller *c))
{
    caller c = {.options = o, .exit_code = APP_FAILED};
    int code = APP_BAD_USAGE;

    if (!read_provider(&c))
        return code;
    code = duet_net_create(&c.net, NULL) == DUET_OK ? create_client(&c) : APP_FAILED;
    if (code == APP_OK)
        code = run_loop(&c, begin);
    duet_utcp_client_destroy(c.client);
    duet_net_destroy(c.net);
    duet_utcp_provider_free(c.provider, NULL);
    return code;
}

int utcp_call(utcp_options *o)
{
    return run(o, begin_call);
}

int utcp_list(utcp_options *o)
{
    return run(o, begin_list);
}
