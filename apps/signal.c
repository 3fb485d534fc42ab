/* duet signal: the room server, with the page. */
#include "app_signaling.h"
#include "web.h"
#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define LISTEN_DEFAULT "127.0.0.1:8080"
#define DEV_TOKEN_TTL  (30L * 86400)

typedef struct signal_options {
    const char *listen, *ice_servers, *web_folder;
    app_secret secret;
    bool dev;
} signal_options;

static void usage(FILE *f)
{
    fputs(
        "Usage: duet signal --dev | --secret FILE [options]\n\n"
        "The room server: WebSocket signaling at /ws, rooms at /api/rooms, the page at /. The first line on standard\n"
        "output is JSON and tells where it listens.\n\n"
        "  --dev                for work on one machine: a secret made for this run (unless --secret gives one),\n"
        "                       a token for everybody who reads the output, rooms that come into being when\n"
        "                       somebody joins them\n"
        "  --listen HOST:PORT   default 127.0.0.1:8080; port 0 takes a free one\n"
        "  --secret FILE        the shared secret of the tokens, see duet token\n"
        "  --ice-servers JSON   array of RTCIceServer that everybody in a room is told\n"
        "  --web FOLDER         serve the page's files from there, for work on them\n",
        f);
}

enum {
    OPTION_DEV = 1,
    OPTION_LISTEN,
    OPTION_SECRET,
    OPTION_ICE_SERVERS,
    OPTION_WEB,
    OPTION_HELP,
};

static const struct option long_options[] = {
    {"dev", no_argument, NULL, OPTION_DEV},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"secret", required_argument, NULL, OPTION_SECRET},
    {"ice-servers", required_argument, NULL, OPTION_ICE_SERVERS},
    {"web", required_argument, NULL, OPTION_WEB},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static bool parse_option(signal_options *o, int option, const char *value)
{
    switch (option) {
    case OPTION_DEV:
        o->dev = true;
        return true;
    case OPTION_LISTEN:
        o->listen = value;
        return true;
    case OPTION_SECRET:
        return app_secret_read(&o->secret, value);
    case OPTION_ICE_SERVERS:
        o->ice_servers = value;
        return true;
    case OPTION_WEB:
        o->web_folder = value;
        return true;
    default:
        return false;
    }
}

/* @return -1 to go on, or an exit code */
static int parse_command_line(signal_options *o, int argc, char **argv)
{
    int option;

    *o = (signal_options){.listen = LISTEN_DEFAULT};
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            usage(stdout);
            return APP_OK;
        }
        if (!parse_option(o, option, optarg))
            return APP_BAD_USAGE;
    }
    if (optind != argc || (!o->dev && o->secret.len == 0)) {
        app_error("signal: say --dev, or give a --secret");
        usage(stderr);
        return APP_BAD_USAGE;
    }
    return -1;
}

/* In --dev a token for every purpose goes to standard output, so it must not open doors to other machines by
 * accident. */
static bool check_listen(const signal_options *o)
{
    duet_address address;

    if (duet_address_parse_port(&address, o->listen) != DUET_OK) {
        app_error("--listen %s: give an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080", o->listen);
        return false;
    }
    if (o->dev && !duet_address_is_loopback(&address))
        app_error("--dev on %s: anybody who reaches this address and has the token may use the server", o->listen);
    return true;
}

/* Every connection is a descriptor. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static bool announce(const signal_options *o, const duet_signaling_server *server)
{
    duet_token_claims claims = {.subject = "dev",
                                .permissions = DUET_TOKEN_CREATE | DUET_TOKEN_JOIN | DUET_TOKEN_MODERATE};
    char address[DUET_ADDRESS_TEXT_MAX];
    json_t *line = json_object();

    duet_address_text(duet_signaling_server_address(server), address, sizeof(address));
    json_object_set_new(line, "listening", json_sprintf("http://%s", address));
    char *token = o->dev ? app_token_make(&o->secret, &claims, DEV_TOKEN_TTL) : NULL;
    if (o->dev && !token) {
        json_decref(line);
        return false;
    }
    if (token)
        json_object_set_new(line, "dev_token", json_string(token));
    app_lines_write(line);
    if (token)
        fprintf(stderr, "duet: the page, with a token for you: http://%s/#token=%s\n", address, token);
    free(token);
    return true;
}

static void terminate(evutil_socket_t number, short what, void *server)
{
    (void)number;
    (void)what;
    duet_signaling_server_stop(server);
}

static int serve(const signal_options *o, duet_signaling_server *server)
{
    struct event_base *base = duet_signaling_server_base(server);
    struct event *interrupted = evsignal_new(base, SIGINT, terminate, server);
    struct event *terminated = evsignal_new(base, SIGTERM, terminate, server);
    int code = APP_FAILED;

    if (interrupted && terminated && event_add(interrupted, NULL) == 0 && event_add(terminated, NULL) == 0 &&
        announce(o, server))
        code = duet_signaling_server_run(server) == DUET_OK ? APP_OK : APP_FAILED;
    if (interrupted)
        event_free(interrupted);
    if (terminated)
        event_free(terminated);
    return code;
}

static int start(const signal_options *o)
{
    duet_signaling_server_config config = DUET_SIGNALING_SERVER_CONFIG_INIT;
    duet_signaling_server *server;

    config.listen = o->listen;
    config.secret = o->secret.bytes;
    config.secret_len = o->secret.len;
    config.rooms_on_join = o->dev;
    config.ice_servers = o->ice_servers;
    config.files = app_web_files;
    config.file_count = app_web_file_count;
    config.web_folder = o->web_folder;
    int err = duet_signaling_server_create(&server, &config);
    if (err == DUET_ERR_IO)
        app_error("cannot listen on %s: %s", o->listen, strerror(errno));
    else if (err == DUET_ERR_INVALID)
        app_error("--ice-servers: give a JSON array of servers");
    else if (err != DUET_OK)
        app_error("cannot start the server: %s", duet_strerror(err));
    if (err != DUET_OK)
        return err == DUET_ERR_INVALID ? APP_BAD_USAGE : APP_FAILED;
    int code = serve(o, server);
    duet_signaling_server_destroy(server);
    return code;
}

int app_signal(int argc, char **argv)
{
    signal_options o;

    int code = parse_command_line(&o, argc, argv);
    if (code >= 0)
        return code;
    if (!check_listen(&o) || (o.secret.len == 0 && !app_secret_make(&o.secret)))
        return APP_BAD_USAGE;
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    return start(&o);
}
