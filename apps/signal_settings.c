/* Settings of the room server from three sources, by one table. */
#include "signal_settings.h"
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum setting_kind {
    IS_TEXT = 0,
    IS_LIST, /* comes several times, or with commas */
    IS_NUMBER,
    IS_RATE,
    IS_FLAG,
    IS_LEVEL,
} setting_kind;

typedef struct setting {
    const char *name, *value, *help;
    setting_kind kind;
    size_t offset;
} setting;

#define AT(member) offsetof(signal_settings, member)

static const setting settings[] = {
    {"dev", NULL,
     "for work on one machine: a secret made for this run (unless --secret gives one), a token for\n"
     "everybody who reads the output, rooms that come into being when somebody joins them",
     IS_FLAG, AT(dev)},
    {"listen", "HOST:PORT", "default 127.0.0.1:8080; port 0 takes a free one", IS_TEXT, AT(listen)},
    {"secret", "FILE", "the shared secret of tokens (HS256), see duet token", IS_TEXT, AT(secret)},
    {"key", "[KID=]FILE", "public keys that check tokens: PEM, or a JWK Set. May be repeated", IS_LIST, AT(keys)},
    {"jwks-url", "URL", "keys are fetched from there", IS_TEXT, AT(jwks_url)},
    {"authority-url", "URL", "a service that is asked whose a token is", IS_TEXT, AT(authority_url)},
    {"ca-file", "FILE", "certificates that the two URLs are checked with", IS_TEXT, AT(ca_file)},
    {"audience", "NAME", "tokens must be meant for it (aud)", IS_TEXT, AT(audience)},
    {"issuer", "NAME", "tokens must come from it (iss)", IS_TEXT, AT(issuer)},
    {"skew", "SECONDS", "by which clocks may differ; default 30", IS_NUMBER, AT(skew)},
    {"origin", "ORIGIN", "pages from there may use the server besides its own. May be repeated", IS_LIST, AT(origins)},
    {"tls-certificate", "FILE", "PEM, with the chain: speak TLS", IS_TEXT, AT(tls_certificate)},
    {"tls-key", "FILE", "PEM", IS_TEXT, AT(tls_key)},
    {"ice-servers", "JSON", "array of RTCIceServer that everybody in a room is told", IS_TEXT, AT(ice_servers)},
    {"turn-url", "URL", "TURN server for which credentials are given out. May be repeated", IS_LIST, AT(turn_urls)},
    {"turn-secret", "FILE", "the secret that the TURN servers share with us", IS_TEXT, AT(turn_secret)},
    {"turn-ttl", "SECONDS", "how long these credentials are good for; default 86400", IS_NUMBER, AT(turn_ttl)},
    {"redis", "URL", "share rooms with other servers there: redis://HOST:PORT", IS_TEXT, AT(redis)},
    {"postgres", "URL", "keep rooms and an audit trail there: postgres://HOST/DATABASE", IS_TEXT, AT(postgres)},
    {"rooms-on-join", NULL, "a room comes into being when somebody joins it", IS_FLAG, AT(rooms_on_join)},
    {"connections", "N", "at once; default 16384", IS_NUMBER, AT(connections)},
    {"agent-connections", "N", "of one agent; default 32", IS_NUMBER, AT(agent_connections)},
    {"address-connections", "N", "from one address; default 256", IS_NUMBER, AT(address_connections)},
    {"rate", "N[,BURST]", "messages a second of one connection; default 100,400", IS_RATE, AT(rate)},
    {"agent-rate", "N[,BURST]", "of one agent; default 200,800", IS_RATE, AT(agent_rate)},
    {"address-rate", "N[,BURST]", "from one address; default 1000,4000", IS_RATE, AT(address_rate)},
    {"room-rate", "N[,BURST]", "in one room; default 1000,4000", IS_RATE, AT(room_rate)},
    {"rooms", "N", "at most; default 1024", IS_NUMBER, AT(rooms)},
    {"participants", "N", "of a room that does not say; default 10", IS_NUMBER, AT(participants)},
    {"mesh-limit", "N", "people in a room without an SFU; default 5", IS_NUMBER, AT(mesh)},
    {"grace", "SECONDS", "for which a seat waits when its connection is lost; default 30", IS_NUMBER, AT(grace)},
    {"request-timeout", "SECONDS", "for a whole HTTP request; default 10", IS_NUMBER, AT(request)},
    {"user", "NAME", "become this user once it listens", IS_TEXT, AT(user)},
    {"log-level", "LEVEL", "off, error, warn, info or debug; default info, with --dev warn", IS_LEVEL, AT(log_level)},
    {"web", "FOLDER", "serve the page's files from there, for work on them", IS_TEXT, AT(web)},
    {"config", "FILE", "settings as lines \"name = value\"; the environment (DUET_SIGNAL_NAME) goes\nbefore it",
     IS_TEXT, AT(config)},
    {"check-config", NULL, "tell whether all of this is good, and do nothing", IS_FLAG, AT(check_config)},
};

#define SETTING_COUNT (sizeof(settings) / sizeof(settings[0]))

/* ---- help ---- */

static void print_help(FILE *f, const char *text)
{
    for (; *text; text++) {
        fputc(*text, f);
        if (*text == '\n')
            fprintf(f, "%32s", "");
    }
    fputc('\n', f);
}

static void usage(FILE *f)
{
    fputs("Usage: duet signal --dev | --secret FILE | --key FILE | --jwks-url URL | --authority-url URL [options]\n\n"
          "The room server: WebSocket signaling at /ws, rooms at /api/rooms, the page at /, figures at /metrics. The\n"
          "first line on standard output is JSON and tells where it listens. SIGHUP reads keys, limits and TLS files\n"
          "again; SIGTERM says goodbye to everybody and ends.\n\n",
          f);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        char option[64];
        snprintf(option, sizeof(option), "--%s%s%s", settings[i].name, settings[i].value ? " " : "",
                 settings[i].value ? settings[i].value : "");
        fprintf(f, "  %-29s ", option);
        print_help(f, settings[i].help);
    }
}

/* ---- values ---- */

static void *at(signal_settings *s, const setting *k)
{
    return (char *)s + k->offset;
}

static bool set_text(char **out, const char *value)
{
    free(*out);
    *out = strdup(value);
    return *out != NULL;
}

static bool add_item(signal_list *list, const char *name, const char *item, size_t len)
{
    if (list->count == SIGNAL_LIST_MAX) {
        app_error("%s: at most %d", name, SIGNAL_LIST_MAX);
        return false;
    }
    list->items[list->count] = strndup(item, len);
    return list->items[list->count++] != NULL;
}

static bool add_items(signal_list *list, const char *name, const char *value)
{
    for (;;) {
        value += strspn(value, ", \t");
        size_t len = strcspn(value, ", \t");
        if (len == 0)
            return true;
        if (!add_item(list, name, value, len))
            return false;
        value += len;
    }
}

static bool set_rate(duet_signaling_rate *out, const char *name, const char *value)
{
    char *end;

    out->per_second = strtod(value, &end);
    out->burst = out->per_second * 4;
    if (*end == ',')
        out->burst = strtod(end + 1, &end);
    if (end != value && *end == 0 && out->per_second > 0 && out->per_second <= 1e9 && out->burst >= 1 &&
        out->burst <= 1e9)
        return true;
    app_error("%s %s: give messages a second and, after a comma, how many may come at once", name, value);
    return false;
}

static bool set_flag(bool *out, const char *name, const char *value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(words[i], value) == 0) {
            *out = i % 2 == 1;
            return true;
        }
    }
    app_error("%s: %s is neither true nor false", name, value);
    return false;
}

static bool set_level(signal_settings *s, const char *value)
{
    static const char *const words[] = {[DUET_LOG_NONE] = "off",
                                        [DUET_LOG_ERROR] = "error",
                                        [DUET_LOG_WARN] = "warn",
                                        [DUET_LOG_INFO] = "info",
                                        [DUET_LOG_DEBUG] = "debug"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i], value) == 0) {
            s->log_level = (duet_log_level)i;
            s->log_level_given = true;
            return true;
        }
    }
    app_error("log-level: %s is not off, error, warn, info or debug", value);
    return false;
}

static bool set(signal_settings *s, const setting *k, const char *value)
{
    switch (k->kind) {
    case IS_TEXT:
        return set_text(at(s, k), value);
    case IS_LIST:
        return add_items(at(s, k), k->name, value);
    case IS_NUMBER:
        return app_parse_number(k->name, value, 1, UINT32_MAX, at(s, k));
    case IS_RATE:
        return set_rate(at(s, k), k->name, value);
    case IS_FLAG:
        return set_flag(at(s, k), k->name, value);
    default:
        return set_level(s, value);
    }
}

static void clear_list(signal_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    memset(list, 0, sizeof(*list));
}

/* ---- the three sources ---- */

static const setting *find(const char *name)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    }
    return NULL;
}

/* Sections are for the reader only. */
static int take_line(void *user, const char *section, const char *name, const char *value)
{
    const setting *k = find(name);

    (void)section;
    if (k && k->offset != AT(config))
        return set(user, k, value) ? 1 : 0;
    app_error("the configuration has no setting \"%s\"", name);
    return 0;
}

static bool read_file(signal_settings *s, const char *name)
{
    int line = ini_parse(name, take_line, s);

    if (line == -1)
        app_error("cannot read the configuration from %s: %s", name, strerror(errno));
    else if (line != 0)
        app_error("%s: line %d is not a good setting", name, line);
    return line == 0;
}

static void environment_name(const setting *k, char out[64])
{
    snprintf(out, 64, "DUET_SIGNAL_%s", k->name);
    for (char *c = out; *c; c++)
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

/* A source that names a list replaces what earlier ones said. */
static bool read_environment(signal_settings *s)
{
    char name[64];

    for (size_t i = 0; i < SETTING_COUNT; i++) {
        environment_name(&settings[i], name);
        const char *value = getenv(name);
        if (!value || settings[i].offset == AT(config))
            continue;
        if (settings[i].kind == IS_LIST)
            clear_list(at(s, &settings[i]));
        if (!set(s, &settings[i], value))
            return false;
    }
    return true;
}

static void make_options(struct option options[SETTING_COUNT + 2])
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        options[i] =
            (struct option){settings[i].name, settings[i].value ? required_argument : no_argument, NULL, (int)i + 1};
    options[SETTING_COUNT] = (struct option){"help", no_argument, NULL, (int)SETTING_COUNT + 1};
    options[SETTING_COUNT + 1] = (struct option){NULL, 0, NULL, 0};
}

/* @param only  the one setting that is looked at; NULL: all
 * @return -1, or an exit code */
static int read_command_line(signal_settings *s, int argc, char **argv, const setting *only)
{
    struct option options[SETTING_COUNT + 2];
    bool listed[SETTING_COUNT] = {false};
    int option;

    make_options(options);
    optind = 1;
    opterr = only ? 0 : 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == (int)SETTING_COUNT + 1 && !only) {
            usage(stdout);
            return APP_OK;
        }
        if (option < 1 || option > (int)SETTING_COUNT) {
            if (only)
                continue;
            return APP_BAD_USAGE;
        }
        const setting *k = &settings[option - 1];
        if (only && k != only)
            continue;
        if (k->kind == IS_LIST && !listed[option - 1])
            clear_list(at(s, k));
        listed[option - 1] = true;
        if (!set(s, k, k->value ? optarg : "true"))
            return APP_BAD_USAGE;
    }
    return optind == argc || only ? -1 : APP_BAD_USAGE;
}

static int read_sources(signal_settings *s, int argc, char **argv)
{
    read_command_line(s, argc, argv, find("config"));
    if (!s->config && getenv("DUET_SIGNAL_CONFIG") && !set_text(&s->config, getenv("DUET_SIGNAL_CONFIG")))
        return APP_FAILED;
    if (s->config && !read_file(s, s->config))
        return APP_BAD_USAGE;
    if (!read_environment(s))
        return APP_BAD_USAGE;
    return read_command_line(s, argc, argv, NULL);
}

/* ---- what the texts are turned into ---- */

static char *read_all(const char *name, size_t *len)
{
    enum { KEY_FILE_MAX = 1 << 20 };
    FILE *f = fopen(name, "rbe");
    char *text = f ? malloc(KEY_FILE_MAX + 1) : NULL;

    *len = text ? fread(text, 1, KEY_FILE_MAX, f) : 0;
    bool failed = !text || ferror(f) || !feof(f);
    if (failed)
        app_error("cannot read keys from %s: %s", name, f && text && !ferror(f) ? "it is too large" : strerror(errno));
    if (f)
        fclose(f);
    if (failed) {
        free(text);
        return NULL;
    }
    text[*len] = 0;
    return text;
}

/* "kid=file" or "file" */
static bool add_key(signal_settings *s, const char *item)
{
    const char *equals = strchr(item, '='), *file = equals ? equals + 1 : item, *reason = NULL;
    char kid[128] = "";
    size_t len;

    if (equals)
        snprintf(kid, sizeof(kid), "%.*s", (int)(equals - item), item);
    char *text = read_all(file, &len);
    if (!text)
        return false;
    bool is_json = text[strspn(text, " \t\r\n")] == '{';
    int err = is_json ? duet_token_keys_add_jwks(s->key_set, text, len, &reason)
                      : duet_token_keys_add_pem(s->key_set, kid[0] ? kid : NULL, text, len, &reason);
    free(text);
    if (err != DUET_OK)
        app_error("%s: %s", file, reason ? reason : duet_strerror(err));
    return err == DUET_OK;
}

static bool make_keys(signal_settings *s)
{
    if (duet_token_keys_create(&s->key_set, NULL) != DUET_OK)
        return false;
    for (size_t i = 0; i < s->keys.count; i++) {
        if (!add_key(s, s->keys.items[i]))
            return false;
    }
    s->policy = (duet_token_policy)DUET_TOKEN_POLICY_INIT;
    s->policy.audience = s->audience;
    s->policy.issuer = s->issuer;
    s->policy.skew_seconds = s->skew ? (unsigned)s->skew : s->policy.skew_seconds;
    return true;
}

static bool make_turn(signal_settings *s)
{
    json_t *urls = json_array();

    for (size_t i = 0; i < s->turn_urls.count; i++)
        json_array_append_new(urls, json_string(s->turn_urls.items[i]));
    s->turn_urls_json = s->turn_urls.count > 0 ? json_dumps(urls, JSON_COMPACT) : NULL;
    json_decref(urls);
    if (s->turn_urls.count == 0)
        return true;
    if (!s->turn_secret)
        app_error("--turn-url: the TURN server's --turn-secret is needed, too");
    if (!s->turn_secret || !s->turn_urls_json || !app_secret_read(&s->turn_secret_bytes, s->turn_secret))
        return false;
    app_secret *secret = &s->turn_secret_bytes;
    secret->bytes[secret->len < sizeof(secret->bytes) ? secret->len : sizeof(secret->bytes) - 1] = 0; /* a text */
    return true;
}

static bool digest(signal_settings *s)
{
    if (s->secret && !app_secret_read(&s->secret_bytes, s->secret))
        return false;
    if (!s->log_level_given)
        s->log_level = s->dev ? DUET_LOG_WARN : DUET_LOG_INFO;
    if (!s->dev && !s->secret && s->keys.count == 0 && !s->jwks_url && !s->authority_url) {
        app_error(
            "signal: nothing to check tokens with: say --dev, or give --secret, --key, --jwks-url or --authority-url");
        return false;
    }
    if ((s->tls_certificate == NULL) != (s->tls_key == NULL)) {
        app_error("signal: --tls-certificate and --tls-key belong together");
        return false;
    }
    return make_keys(s) && make_turn(s);
}

int signal_settings_read(signal_settings *s, int argc, char **argv)
{
    memset(s, 0, sizeof(*s));
    int code = read_sources(s, argc, argv);
    if (code < 0 && !s->listen && !set_text(&s->listen, "127.0.0.1:8080"))
        code = APP_FAILED;
    if (code < 0 && !digest(s))
        code = APP_BAD_USAGE;
    if (code == APP_BAD_USAGE)
        app_error("signal: duet signal --help tells all settings");
    return code;
}

bool signal_settings_read_again(signal_settings *s, int argc, char **argv)
{
    return signal_settings_read(s, argc, argv) < 0;
}

void signal_settings_free(signal_settings *s)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (settings[i].kind == IS_TEXT)
            free(*(char **)at(s, &settings[i]));
        else if (settings[i].kind == IS_LIST)
            clear_list(at(s, &settings[i]));
    }
    duet_token_keys_destroy(s->key_set);
    free(s->turn_urls_json);
    memset(s, 0, sizeof(*s));
}

void signal_settings_config(const signal_settings *s, duet_signaling_server_config *c)
{
    c->listen = s->listen;
    c->keys = s->key_set;
    c->policy = &s->policy;
    c->secret = s->secret_bytes.len > 0 ? s->secret_bytes.bytes : NULL;
    c->secret_len = s->secret_bytes.len;
    c->jwks_url = s->jwks_url;
    c->authority_url = s->authority_url;
    c->ca_file = s->ca_file;
    c->tls_certificate = s->tls_certificate;
    c->tls_key = s->tls_key;
    c->origins = s->origins.count > 0 ? (const char *const *)s->origins.items : NULL;
    c->rooms_on_join = s->dev || s->rooms_on_join;
    c->ice_servers = s->ice_servers;
    c->turn_urls = s->turn_urls_json;
    c->turn_secret = s->turn_secret_bytes.len > 0 ? (const char *)s->turn_secret_bytes.bytes : NULL;
    c->turn_ttl = (unsigned)s->turn_ttl;
    c->redis_url = s->redis;
    c->postgres_url = s->postgres;
    c->web_folder = s->web;
    c->limits = (duet_signaling_limits){
        .connections = s->connections,
        .connections_per_agent = (unsigned)s->agent_connections,
        .connections_per_address = (unsigned)s->address_connections,
        .connection = s->rate,
        .agent = s->agent_rate,
        .address = s->address_rate,
        .room = s->room_rate,
        .rooms = s->rooms,
        .participants = (unsigned)s->participants,
        .mesh = (unsigned)s->mesh,
        .grace_seconds = (unsigned)s->grace,
        .request_seconds = (unsigned)s->request,
    };
}
