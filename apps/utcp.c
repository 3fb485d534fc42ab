/* duet utcp: tools over WebRTC (UTCP, provider type "webrtc"): offers those of a file, calls those of a peer. */
#include "utcp.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TOKEN_TTL 86400

static void usage(FILE *f)
{
    fputs(
        "Usage: duet utcp serve --tools FILE --peer-id ID --signal URL [options]\n"
        "       duet utcp call PROVIDER TOOL [INPUTS] [options]\n"
        "       duet utcp list PROVIDER [options]\n\n"
        "Tools over WebRTC, as UTCP's provider type \"webrtc\" has it. serve offers executables and HTTP endpoints; "
        "call\n"
        "calls a tool with inputs in JSON (\"-\": from standard input) and prints its output; list prints the tools.\n"
        "PROVIDER is a provider file of UTCP v0.1 or a call template of v1.\n\n"
        "  --tools FILE         serve: the tools, JSON\n"
        "  --peer-id ID         serve: who we are for those who look for us\n"
        "  --signal URL         serve: the signaling server, ws://HOST:PORT\n"
        "  --room ID            serve: the room, default the peer id\n"
        "  --channel NAME       serve: of the data channel, default \"" DUET_UTCP_CHANNEL_DEFAULT "\"\n"
        "  --token TOKEN        for the signaling server; without it, what DUET_TOKEN in the environment says\n"
        "  --secret FILE        makes the token, with the secret that the signaling server has\n"
        "  --sub ID             call, list: agent id in that token, default \"utcp-client\"\n"
        "  --timeout SECONDS    call, list: for the answer, default 30\n"
        "  --stream             call: print items as they come\n"
        "  --idempotent         call: may be sent again when the connection breaks\n"
        "  --via WAY            list: channel (default), or signaling, which makes no connection\n"
        "  --json               JSON lines instead of text\n"
        "  --ice-servers JSON   array of RTCIceServer, or a file with one, instead of what the room advises\n"
        "  --relay              use relayed candidates alone\n"
        "  --ca FILE            trust these authorities (PEM) for stuns:, turns: and https:\n"
        "  --tls-no-verify      trust any certificate of stuns: and turns: servers\n"
        "  --tcp                candidates of ICE-TCP beside those of UDP\n"
        "  --ports MIN-MAX      local UDP ports\n"
        "  --bind ADDRESS       gather on this local address only\n"
        "  --no-loopback        do not gather loopback addresses\n"
        "  --no-ipv6            do not gather IPv6 addresses\n"
        "  --verbose            log to standard error\n",
        f);
}

enum {
    OPTION_TOOLS = 1,
    OPTION_PEER_ID,
    OPTION_SIGNAL,
    OPTION_ROOM,
    OPTION_CHANNEL,
    OPTION_TOKEN,
    OPTION_SECRET,
    OPTION_SUB,
    OPTION_TIMEOUT,
    OPTION_STREAM,
    OPTION_IDEMPOTENT,
    OPTION_VIA,
    OPTION_JSON,
    OPTION_HELP,
};

/* From 1000 on they are those of every command that connects; the server of tools has no use for the others. */
static const struct option long_options[] = {
    {"tools", required_argument, NULL, OPTION_TOOLS},
    {"peer-id", required_argument, NULL, OPTION_PEER_ID},
    {"signal", required_argument, NULL, OPTION_SIGNAL},
    {"room", required_argument, NULL, OPTION_ROOM},
    {"channel", required_argument, NULL, OPTION_CHANNEL},
    {"token", required_argument, NULL, OPTION_TOKEN},
    {"secret", required_argument, NULL, OPTION_SECRET},
    {"sub", required_argument, NULL, OPTION_SUB},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"stream", no_argument, NULL, OPTION_STREAM},
    {"idempotent", no_argument, NULL, OPTION_IDEMPOTENT},
    {"via", required_argument, NULL, OPTION_VIA},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {"ice-servers", required_argument, NULL, 1004},
    {"no-loopback", no_argument, NULL, 1005},
    {"no-ipv6", no_argument, NULL, 1006},
    {"ports", required_argument, NULL, 1007},
    {"verbose", no_argument, NULL, 1008},
    {"bind", required_argument, NULL, 1010},
    {"relay", no_argument, NULL, 1011},
    {"ca", required_argument, NULL, 1012},
    {"tls-no-verify", no_argument, NULL, 1013},
    {"tcp", no_argument, NULL, 1015},
    {NULL, 0, NULL, 0},
};

static bool parse_via(utcp_options *o, const char *value)
{
    o->via_signaling = strcmp(value, "signaling") == 0;
    if (o->via_signaling || strcmp(value, "channel") == 0)
        return true;
    app_error("--via %s: give channel or signaling", value);
    return false;
}

static bool parse_option(utcp_options *o, int option, const char *value)
{
    int taken = app_connection_option(&o->connection, option, value);

    if (taken != 0)
        return taken > 0;
    switch (option) {
    case OPTION_TOOLS:
        o->tools = value;
        return true;
    case OPTION_PEER_ID:
        o->peer_id = value;
        return true;
    case OPTION_SIGNAL:
        o->signal = value;
        return true;
    case OPTION_ROOM:
        o->room = value;
        return true;
    case OPTION_CHANNEL:
        o->channel = value;
        return true;
    case OPTION_TOKEN:
        o->token = value;
        return true;
    case OPTION_SECRET:
        return app_secret_read(&o->secret, value);
    case OPTION_SUB:
        o->id = value;
        return true;
    case OPTION_TIMEOUT:
        return app_parse_timeout(value, &o->timeout);
    case OPTION_STREAM:
        o->stream = true;
        return true;
    case OPTION_IDEMPOTENT:
        o->idempotent = true;
        return true;
    case OPTION_VIA:
        return parse_via(o, value);
    case OPTION_JSON:
        o->json = true;
        return true;
    default:
        return false;
    }
}

/* ---- what the ways share ---- */

const char *utcp_variable(void *user, const char *name)
{
    (void)user;
    return getenv(name);
}

char *utcp_token(const utcp_options *o, const char *subject)
{
    duet_token_claims claims = {.permissions = DUET_TOKEN_CREATE | DUET_TOKEN_JOIN};
    const char *token = o->token ? o->token : getenv("DUET_TOKEN");

    if (!o->token && o->secret.len > 0) {
        snprintf(claims.subject, sizeof(claims.subject), "%s", subject);
        return app_token_make(&o->secret, &claims, TOKEN_TTL);
    }
    if (!token)
        app_error("utcp: --token, --secret or DUET_TOKEN in the environment is needed");
    return token ? strdup(token) : NULL;
}

char *utcp_read_file(const char *name, size_t max, size_t *len)
{
    FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "rbe");
    char *text = malloc(max + 1);

    *len = f && text ? fread(text, 1, max + 1, f) : 0;
    bool failed = !f || !text || ferror(f);
    if (failed)
        app_error("cannot read %s: %s", name, strerror(errno));
    else if (*len > max)
        app_error("%s: more than %zu bytes", name, max);
    if (f && f != stdin)
        fclose(f);
    if (failed || *len > max) {
        free(text);
        return NULL;
    }
    text[*len] = 0;
    return text;
}

void utcp_file_error(const char *file, const duet_utcp_error *error)
{
    app_error("%s: %s%s%s", file, error->where, error->where[0] ? ": " : "", error->why);
}

static bool fill_connection(utcp_options *o)
{
    const app_connection_options *c = &o->connection;

    o->env = (duet_env)DUET_ENV_INIT;
    o->env.log = app_log;
    o->env.log_level = c->log_level ? c->log_level : DUET_LOG_WARN;
    if (!app_ice_servers_read(&o->servers, c->ice_servers))
        return false;
    o->pc = (duet_pc_config)DUET_PC_CONFIG_INIT;
    o->pc.ice_servers = o->servers.list;
    o->pc.ice_server_count = o->servers.count;
    o->pc.ice_transport_policy = c->relay ? DUET_ICE_RELAY : DUET_ICE_ALL;
    o->pc.ca_file = c->ca_file;
    o->pc.tls_no_verify = c->tls_no_verify;
    o->pc.tcp = c->tcp;
    o->pc.loopback = !c->no_loopback;
    o->pc.no_ipv6 = c->no_ipv6;
    o->pc.bind = c->bind;
    o->pc.port_min = c->port_min;
    o->pc.port_max = c->port_max;
    o->pc.wall_seconds = (int64_t)time(NULL);
    return true;
}

/* ---- the command line ---- */

static int refuse(const char *why)
{
    app_error("utcp: %s", why);
    usage(stderr);
    return APP_BAD_USAGE;
}

static int call(utcp_options *o, int count, char **words)
{
    char *text = NULL;
    size_t len;

    if (count < 2 || count > 3)
        return refuse("call needs a provider file and the name of a tool");
    o->provider = words[0];
    o->tool = words[1];
    o->inputs = count == 3 ? words[2] : "{}";
    if (strcmp(o->inputs, "-") == 0) {
        text = utcp_read_file("-", DUET_UTCP_MESSAGE_MAX, &len);
        if (!text)
            return APP_BAD_USAGE;
        o->inputs = text;
    }
    int code = utcp_call(o);
    free(text);
    return code;
}

static int run(utcp_options *o, int count, char **words)
{
    const char *way = count > 0 ? words[0] : "";

    if (strcmp(way, "serve") == 0 && count == 1) {
        if (!o->tools || !o->peer_id || !o->signal)
            return refuse("serve needs --tools, --peer-id and --signal");
        return utcp_serve(o);
    }
    if (strcmp(way, "call") == 0)
        return call(o, count - 1, words + 1);
    if (strcmp(way, "list") == 0 && count == 2) {
        o->provider = words[1];
        return utcp_list(o);
    }
    return refuse("say serve, call or list");
}

int app_utcp(int argc, char **argv)
{
    utcp_options o = {.id = "utcp-client"};
    int option, code = APP_BAD_USAGE;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            usage(stdout);
            return APP_OK;
        }
        if (!parse_option(&o, option, optarg))
            return APP_BAD_USAGE;
    }
    if (fill_connection(&o))
        code = run(&o, argc - optind, argv + optind);
    app_ice_servers_free(&o.servers);
    return code;
}
