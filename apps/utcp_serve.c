/* duet utcp serve: offers the tools of a file to whoever finds the peer id in its room. */
#include "signaling/http_client.h"
#include "utcp.h"
#include <event2/event.h>
#include <jansson.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct serving {
    utcp_options *options;
    duet_net *net;
    struct event_base *base;
    struct event *turn, *interrupt, *terminate;
    duet_http_client *http_client;
    duet_utcp_tools tools;
    utcp_exec *exec;
    utcp_http *http;
    duet_utcp_server *server;
    int exit_code;
} serving;

/* ---- what the server tells ---- */

/* A line for people, or with --json the object. Takes the reference. */
static void say(const serving *s, json_t *object, const char *text)
{
    if (s->options->json) {
        app_lines_write(object);
        return;
    }
    json_decref(object);
    puts(text);
    fflush(stdout);
}

static void stop(serving *s, int exit_code)
{
    s->exit_code = exit_code;
    event_base_loopbreak(s->base);
}

static void on_ready(void *user, duet_utcp_server *server, const char *seat)
{
    serving *s = user;
    const utcp_options *o = s->options;
    char text[400];

    (void)server;
    snprintf(text, sizeof(text), "serving %zu tool%s as %s in room %s", s->tools.count, s->tools.count == 1 ? "" : "s",
             o->peer_id, o->room);
    say(s,
        json_pack("{s:s,s:s,s:s,s:s,s:I}", "type", "ready", "peerId", o->peer_id, "room", o->room, "seat", seat,
                  "tools", (json_int_t)s->tools.count),
        text);
}

static void on_client(void *user, duet_utcp_server *server, const char *peer, bool open)
{
    char text[120];

    (void)server;
    snprintf(text, sizeof(text), "%.8s: %s", peer, open ? "connected" : "gone");
    say(user, json_pack("{s:s,s:s}", "type", open ? "connected" : "gone", "peer", peer), text);
}

static void on_problem(void *user, duet_utcp_server *server, const char *what, duet_time again_in)
{
    serving *s = user;

    (void)server;
    app_error("%s", what);
    if (again_in == DUET_NEVER)
        stop(s, APP_FAILED);
}

/* ---- setting up ---- */

static bool read_tools(serving *s)
{
    duet_utcp_error error = {.where = ""};
    size_t len;
    char *text = utcp_read_file(s->options->tools, DUET_UTCP_TOOLS_FILE_MAX, &len);

    if (!text)
        return false;
    int err = duet_utcp_tools_read(&s->tools, NULL, text, len, utcp_variable, NULL, &error);
    free(text);
    if (err == DUET_OK)
        return true;
    if (err == DUET_ERR_NOMEM)
        app_error("%s", duet_strerror(err));
    else
        utcp_file_error(s->options->tools, &error);
    return false;
}

static bool create_handlers(serving *s)
{
    char *copy = strdup(s->options->tools);
    bool done = copy && utcp_exec_create(&s->exec, s->net, dirname(copy)) == DUET_OK &&
                duet_http_client_create(&s->http_client, NULL, s->base, s->options->connection.ca_file) == DUET_OK;

    free(copy);
    if (!done)
        return false;
    const duet_http http = duet_http_client_get(s->http_client);
    return utcp_http_create(&s->http, &http) == DUET_OK;
}

static int add_tool(serving *s, const duet_utcp_tool_spec *spec)
{
    duet_utcp_tool tool = DUET_UTCP_TOOL_INIT;
    duet_utcp_error error = {.where = ""};
    char where[128];

    tool.definition = spec->definition;
    tool.streams = spec->streams;
    tool.timeout = spec->timeout;
    int err = spec->command ? utcp_exec_tool(s->exec, spec, &tool) : utcp_http_tool(s->http, spec, &tool);
    if (err == DUET_OK)
        err = duet_utcp_server_add_tool(s->server, &tool, &error);
    if (err == DUET_OK)
        return APP_OK;
    snprintf(where, sizeof(where), "%.60s: tool \"%.50s\"", s->options->tools, spec->name);
    if (err == DUET_ERR_NOMEM)
        app_error("%s", duet_strerror(err));
    else
        utcp_file_error(where, &error);
    return APP_BAD_USAGE;
}

static int create_server(serving *s)
{
    utcp_options *o = s->options;
    duet_utcp_server_config config = DUET_UTCP_SERVER_CONFIG_INIT;
    char *token = utcp_token(o, o->peer_id);
    int code = APP_OK;

    if (!token)
        return APP_BAD_USAGE;
    config.env = &o->env;
    config.signaling_server = o->signal;
    config.token = token;
    config.peer_id = o->peer_id;
    config.room = o->room;
    config.channel = o->channel;
    config.connection = &o->pc;
    config.on_ready = on_ready;
    config.on_client = on_client;
    config.on_problem = on_problem;
    config.user = s;
    int err = duet_utcp_server_create(&s->server, s->net, &config);
    free(token);
    if (err != DUET_OK) {
        app_error("--signal %s --room %s: %s", o->signal, o->room, duet_strerror(err));
        return err == DUET_ERR_INVALID || err == DUET_ERR_UNSUPPORTED ? APP_BAD_USAGE : APP_FAILED;
    }
    for (size_t i = 0; i < s->tools.count && code == APP_OK; i++)
        code = add_tool(s, &s->tools.specs[i]);
    return code;
}

/* ---- running: the loop of net/ within that of libevent, which HTTP needs ---- */

static void turn(evutil_socket_t fd, short what, void *user)
{
    serving *s = user;

    (void)fd;
    (void)what;
    if (duet_net_turn(s->net, 0) != DUET_OK)
        stop(s, APP_FAILED);
}

static void interrupted(evutil_socket_t number, short what, void *user)
{
    (void)number;
    (void)what;
    stop(user, APP_OK);
}

static bool create_loop(serving *s)
{
    s->base = event_base_new();
    if (!s->base || duet_net_create(&s->net, NULL) != DUET_OK)
        return false;
    s->turn = event_new(s->base, duet_net_fd(s->net), EV_READ | EV_PERSIST, turn, s);
    s->interrupt = evsignal_new(s->base, SIGINT, interrupted, s);
    s->terminate = evsignal_new(s->base, SIGTERM, interrupted, s);
    return s->turn && s->interrupt && s->terminate && event_add(s->turn, NULL) == 0 &&
           event_add(s->interrupt, NULL) == 0 && event_add(s->terminate, NULL) == 0;
}

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

static void release(serving *s)
{
    duet_utcp_server_destroy(s->server);
    utcp_exec_destroy(s->exec);
    utcp_http_destroy(s->http);
    duet_http_client_destroy(s->http_client);
    duet_utcp_tools_free(&s->tools);
    free_event(s->turn);
    free_event(s->interrupt);
    free_event(s->terminate);
    duet_net_destroy(s->net);
    if (s->base)
        event_base_free(s->base);
}

int utcp_serve(utcp_options *o)
{
    serving s = {.options = o, .exit_code = APP_OK};
    int code = APP_BAD_USAGE;

    o->room = o->room ? o->room : o->peer_id;
    signal(SIGPIPE, SIG_IGN);
    if (read_tools(&s)) {
        code = create_loop(&s) && create_handlers(&s) ? create_server(&s) : APP_FAILED;
        if (code == APP_OK) {
            event_base_dispatch(s.base);
            code = s.exit_code;
        }
    }
    release(&s);
    return code;
}
