/* duet signal: the room server, with the page. */
#include "signal_settings.h"
#include "web.h"
#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <jansson.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEV_TOKEN_TTL (30L * 86400)

typedef struct signal_command {
    int argc;
    char **argv;
    signal_settings settings;
    duet_signaling_server *server;
} signal_command;

/* In --dev a token for every purpose goes to standard output, so it must not open doors to other machines by
 * accident. */
static bool check_listen(const signal_settings *s)
{
    duet_address address;

    if (duet_address_parse_port(&address, s->listen) != DUET_OK) {
        app_error("--listen %s: give an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080", s->listen);
        return false;
    }
    if (s->dev && !duet_address_is_loopback(&address))
        app_error("--dev on %s: anybody who reaches this address and has the token may use the server", s->listen);
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

/* For good: groups first, as root may no longer be left for it afterwards. */
static bool become(const char *name)
{
    const struct passwd *user = getpwnam(name);

    if (!user) {
        app_error("--user %s: there is no such user", name);
        return false;
    }
    if (initgroups(name, user->pw_gid) == 0 && setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0 &&
        (user->pw_uid == 0 || setuid(0) != 0))
        return true;
    app_error("--user %s: cannot become this user: %s", name, strerror(errno));
    return false;
}

/* ---- telling ---- */

static void log_line(void *user, duet_log_level level, const char *line)
{
    const signal_command *c = user;

    if (level <= c->settings.log_level)
        fprintf(stderr, "%s\n", line);
}

static bool announce(const signal_settings *s, const duet_signaling_server *server)
{
    duet_token_claims claims = {.subject = "dev",
                                .permissions = DUET_TOKEN_CREATE | DUET_TOKEN_JOIN | DUET_TOKEN_MODERATE};
    const char *scheme = s->tls_certificate ? "https" : "http";
    char address[DUET_ADDRESS_TEXT_MAX];
    json_t *line = json_object();

    duet_address_text(duet_signaling_server_address(server), address, sizeof(address));
    json_object_set_new(line, "listening", json_sprintf("%s://%s", scheme, address));
    char *token = s->dev ? app_token_make(&s->secret_bytes, &claims, DEV_TOKEN_TTL) : NULL;
    if (s->dev && !token) {
        json_decref(line);
        return false;
    }
    if (token)
        json_object_set_new(line, "dev_token", json_string(token));
    app_lines_write(line);
    if (token)
        fprintf(stderr, "duet: the page, with a token for you: %s://%s/#token=%s\n", scheme, address, token);
    free(token);
    return true;
}

/* ---- signals ---- */

static void terminate(evutil_socket_t number, short what, void *arg)
{
    (void)number;
    (void)what;
    duet_signaling_server_stop(((signal_command *)arg)->server);
}

static void configure(signal_command *c, duet_signaling_server_config *config)
{
    signal_settings_config(&c->settings, config);
    config->files = app_web_files;
    config->file_count = app_web_file_count;
    config->on_log = log_line;
    config->user = c;
}

/* The old settings stay until the server has let go of them. A secret made for this run outlives reloads. */
static void reload(evutil_socket_t number, short what, void *arg)
{
    signal_command *c = arg;
    duet_signaling_server_config config = DUET_SIGNALING_SERVER_CONFIG_INIT;
    signal_settings old = c->settings, fresh;

    (void)number;
    (void)what;
    if (!signal_settings_read_again(&fresh, c->argc, c->argv)) {
        signal_settings_free(&fresh);
        app_error("signal: everything stays as it was");
        return;
    }
    if (fresh.secret_bytes.len == 0)
        fresh.secret_bytes = old.secret_bytes;
    c->settings = fresh;
    configure(c, &config);
    int err = duet_signaling_server_configure(c->server, &config);
    if (err == DUET_OK) {
        signal_settings_free(&old);
        return;
    }
    app_error("signal: everything stays as it was: %s", duet_strerror(err));
    signal_settings_free(&fresh);
    c->settings = old;
}

static struct event *on_signal(signal_command *c, int number, event_callback_fn fn)
{
    struct event *e = evsignal_new(duet_signaling_server_base(c->server), number, fn, c);

    if (e)
        event_add(e, NULL);
    return e;
}

/* ---- serving ---- */

static int serve(signal_command *c)
{
    struct event *signals[] = {on_signal(c, SIGINT, terminate), on_signal(c, SIGTERM, terminate),
                               on_signal(c, SIGHUP, reload)};
    int code = APP_FAILED;

    if ((!c->settings.user || become(c->settings.user)) && announce(&c->settings, c->server))
        code = duet_signaling_server_run(c->server) == DUET_OK ? APP_OK : APP_FAILED;
    for (size_t i = 0; i < 3; i++) {
        if (signals[i])
            event_free(signals[i]);
    }
    return code;
}

static int tell_failure(const signal_settings *s, int err)
{
    if (err == DUET_ERR_IO)
        app_error("cannot listen on %s: %s", s->listen, strerror(errno));
    else if (err == DUET_ERR_CRYPTO)
        app_error("the TLS certificate or its key is of no use: %s, %s", s->tls_certificate ? s->tls_certificate : "",
                  s->tls_key ? s->tls_key : "");
    else if (err == DUET_ERR_INVALID)
        app_error("signal: --ice-servers takes a JSON array of servers, --redis and --postgres a URL, --participants "
                  "up to 256");
    else
        app_error("cannot start the server: %s", duet_strerror(err));
    return err == DUET_ERR_INVALID || err == DUET_ERR_CRYPTO ? APP_BAD_USAGE : APP_FAILED;
}

static int check_config(signal_command *c, const duet_signaling_server_config *config)
{
    int err = duet_signaling_server_check(config);

    if (err != DUET_OK)
        return tell_failure(&c->settings, err);
    app_lines_write(json_pack("{s:b,s:s}", "ok", 1, "listen", c->settings.listen));
    return APP_OK;
}

static int start(signal_command *c)
{
    duet_signaling_server_config config = DUET_SIGNALING_SERVER_CONFIG_INIT;

    configure(c, &config);
    if (c->settings.check_config)
        return check_config(c, &config);
    int err = duet_signaling_server_create(&c->server, &config);
    if (err != DUET_OK)
        return tell_failure(&c->settings, err);
    int code = serve(c);
    duet_signaling_server_destroy(c->server);
    return code;
}

int app_signal(int argc, char **argv)
{
    signal_command c = {.argc = argc, .argv = argv};

    int code = signal_settings_read(&c.settings, argc, argv);
    if (code < 0 && !check_listen(&c.settings))
        code = APP_BAD_USAGE;
    if (code < 0 && c.settings.dev && c.settings.secret_bytes.len == 0 && !app_secret_make(&c.settings.secret_bytes))
        code = APP_FAILED;
    if (code < 0) {
        signal(SIGPIPE, SIG_IGN);
        raise_descriptor_limit();
        code = start(&c);
    }
    signal_settings_free(&c.settings);
    return code;
}
