/* The command line of `duet turn`. */
#include "turn.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_LEN 2048

static void usage(FILE *f)
{
    fputs("Usage: duet turn --listen HOST:PORT --user NAME:PASSWORD | --secret FILE [options]\n\n"
          "A TURN and STUN server. Clients reach no peer of the server's own network unless a rule allows it.\n\n"
          "  --listen HOST:PORT       UDP and TCP there; port 0 takes a free one. May be repeated\n"
          "  --tls HOST:PORT          TLS there, with --certificate and --key. May be repeated\n"
          "  --certificate FILE       PEM, with the chain\n"
          "  --key FILE               PEM\n"
          "  --no-udp                 --listen: TCP only\n"
          "  --no-tcp                 --listen: UDP only\n"
          "  --user NAME:PASSWORD     a user; may be repeated. Others on this machine may see it: see --users\n"
          "  --users FILE             users, a NAME:PASSWORD on each line\n"
          "  --secret FILE            the shared secret of time-limited credentials (EXPIRY:NAME and the base64 of an "
          "HMAC-SHA1)\n"
          "  --realm NAME             default duet\n"
          "  --relay IP[/IP]          where relayed addresses are opened, and what clients are told instead of it (1:1 "
          "NAT); one for\n"
          "                           each family; default: the address of the first listener\n"
          "  --ports MIN-MAX          of relayed addresses; default 49152-65535\n"
          "  --allow-peer CIDR        reach these in spite of every deny rule. May be repeated\n"
          "  --deny-peer CIDR         do not reach these. May be repeated\n"
          "  --allocations N          at most, in all; default 100000\n"
          "  --user-allocations N     at most, of one user\n"
          "  --bandwidth BYTES        per second and allocation, both ways\n"
          "  --user-bandwidth BYTES   per second and user, both ways\n"
          "  --alternate HOST:PORT    second address and port: answer NAT behaviour discovery (RFC 5780)\n"
          "  --workers N              threads that share the ports; default 1\n"
          "  --metrics HOST:PORT      Prometheus metrics over HTTP\n"
          "  --drain SECONDS          when asked to end, how long allocations may go on; default 0\n"
          "  --json                   tell on standard output where it listens as JSON\n"
          "  --verbose                log to standard error\n",
          f);
}

enum {
    OPTION_LISTEN = 1,
    OPTION_TLS,
    OPTION_CERTIFICATE,
    OPTION_KEY,
    OPTION_NO_UDP,
    OPTION_NO_TCP,
    OPTION_USER,
    OPTION_USERS,
    OPTION_SECRET,
    OPTION_REALM,
    OPTION_RELAY,
    OPTION_PORTS,
    OPTION_ALLOW,
    OPTION_DENY,
    OPTION_ALLOCATIONS,
    OPTION_USER_ALLOCATIONS,
    OPTION_BANDWIDTH,
    OPTION_USER_BANDWIDTH,
    OPTION_ALTERNATE,
    OPTION_WORKERS,
    OPTION_METRICS,
    OPTION_DRAIN,
    OPTION_JSON,
    OPTION_VERBOSE,
    OPTION_HELP,
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"tls", required_argument, NULL, OPTION_TLS},
    {"certificate", required_argument, NULL, OPTION_CERTIFICATE},
    {"key", required_argument, NULL, OPTION_KEY},
    {"no-udp", no_argument, NULL, OPTION_NO_UDP},
    {"no-tcp", no_argument, NULL, OPTION_NO_TCP},
    {"user", required_argument, NULL, OPTION_USER},
    {"users", required_argument, NULL, OPTION_USERS},
    {"secret", required_argument, NULL, OPTION_SECRET},
    {"realm", required_argument, NULL, OPTION_REALM},
    {"relay", required_argument, NULL, OPTION_RELAY},
    {"ports", required_argument, NULL, OPTION_PORTS},
    {"allow-peer", required_argument, NULL, OPTION_ALLOW},
    {"deny-peer", required_argument, NULL, OPTION_DENY},
    {"allocations", required_argument, NULL, OPTION_ALLOCATIONS},
    {"user-allocations", required_argument, NULL, OPTION_USER_ALLOCATIONS},
    {"bandwidth", required_argument, NULL, OPTION_BANDWIDTH},
    {"user-bandwidth", required_argument, NULL, OPTION_USER_BANDWIDTH},
    {"alternate", required_argument, NULL, OPTION_ALTERNATE},
    {"workers", required_argument, NULL, OPTION_WORKERS},
    {"metrics", required_argument, NULL, OPTION_METRICS},
    {"drain", required_argument, NULL, OPTION_DRAIN},
    {"json", no_argument, NULL, OPTION_JSON},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static bool parse_address(const char *option, const char *text, duet_address *out)
{
    if (duet_address_parse_port(out, text) == DUET_OK)
        return true;
    app_error("%s %s: give an IP address and a port, as in 192.0.2.1:3478 or [2001:db8::1]:3478", option, text);
    return false;
}

static bool add_listener(turn_options *o, const char *option, const char *text, duet_protocol protocol)
{
    duet_turn_listener *l = &o->listeners[o->listener_count];

    if (o->listener_count == TURN_LISTENERS_MAX) {
        app_error("%s: at most %d listeners", option, TURN_LISTENERS_MAX);
        return false;
    }
    l->protocol = protocol;
    if (!parse_address(option, text, &l->address))
        return false;
    o->listener_count++;
    return true;
}

static bool add_user(turn_options *o, const char *text)
{
    const char *colon = strchr(text, ':');
    duet_turn_user *user = &o->users[o->user_count];

    if (!colon || colon == text || o->user_count == TURN_USERS_MAX) {
        app_error(colon && colon != text ? "too many users" : "a user is NAME:PASSWORD");
        return false;
    }
    user->username = strndup(text, (size_t)(colon - text));
    user->password = strdup(colon + 1);
    o->user_count++;
    return user->username && user->password;
}

static bool read_users(turn_options *o, const char *name)
{
    char line[LINE_MAX_LEN];
    FILE *f = fopen(name, "re");
    bool good = f != NULL;

    if (!f)
        app_error("cannot read the users from %s: %s", name, strerror(errno));
    while (good && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\r\n")] = 0;
        if (line[0] && line[0] != '#')
            good = add_user(o, line);
    }
    if (f)
        fclose(f);
    return good;
}

static bool read_secret(turn_options *o, const char *name)
{
    FILE *f = fopen(name, "re");
    bool good = f && fgets(o->secret, sizeof(o->secret), f) != NULL;

    if (f)
        fclose(f);
    o->secret[strcspn(o->secret, "\r\n")] = 0; /* editors end files with a newline */
    good = good && o->secret[0] != 0;
    if (!good)
        app_error("cannot read a secret from %s", name);
    return good;
}

/* "10.0.0.5" or "10.0.0.5/198.51.100.7". */
static bool parse_relay(turn_options *o, const char *text)
{
    char here_text[DUET_ADDRESS_TEXT_MAX];
    const char *slash = strchr(text, '/');
    duet_address here, told = {0};
    size_t len = slash ? (size_t)(slash - text) : strlen(text);

    bool good = len < sizeof(here_text);
    if (good) {
        memcpy(here_text, text, len);
        here_text[len] = 0;
        good = duet_address_parse(&here, here_text, 0) == DUET_OK;
    }
    if (good && slash)
        good = duet_address_parse(&told, slash + 1, 0) == DUET_OK && told.family == here.family;
    if (!good) {
        app_error("--relay %s: give an IP address, and after a slash the one of the same family that clients are told",
                  text);
        return false;
    }
    o->relay[here.family == DUET_AF_INET6] = here;
    o->external[here.family == DUET_AF_INET6] = told;
    return true;
}

static bool parse_ports(turn_options *o, const char *text)
{
    unsigned min, max;
    char more;

    if (sscanf(text, "%5u-%5u%c", &min, &max, &more) == 2 && min >= 1 && min <= max && max <= 65535) {
        o->port_min = (uint16_t)min;
        o->port_max = (uint16_t)max;
        return true;
    }
    app_error("--ports %s: give a range as in 49152-65535", text);
    return false;
}

static bool add_rule(const char **rules, size_t *count, const char *text)
{
    if (*count == TURN_RULES_MAX) {
        app_error("at most %d rules for peers", TURN_RULES_MAX);
        return false;
    }
    rules[(*count)++] = text;
    return true;
}

static bool parse_number_option(turn_options *o, int option, const char *value)
{
    uint64_t number;
    const char *names[] = {"--allocations", "--user-allocations", "--bandwidth", "--user-bandwidth"};

    if (option == OPTION_WORKERS) {
        if (!app_parse_number("--workers", value, 1, TURN_WORKERS_MAX, &number))
            return false;
        o->workers = (unsigned)number;
        return true;
    }
    uint64_t max =
        option == OPTION_ALLOCATIONS || option == OPTION_USER_ALLOCATIONS ? UINT32_MAX : UINT64_MAX / 1000000000u;
    if (!app_parse_number(names[option - OPTION_ALLOCATIONS], value, 1, max, &number))
        return false;
    if (option == OPTION_ALLOCATIONS)
        o->allocations = (uint32_t)number;
    else if (option == OPTION_USER_ALLOCATIONS)
        o->user_allocations = (uint32_t)number;
    else if (option == OPTION_BANDWIDTH)
        o->bandwidth = number;
    else
        o->user_bandwidth = number;
    return true;
}

static bool parse_drain(turn_options *o, const char *value)
{
    char *end;

    o->drain = strtod(value, &end);
    if (end != value && *end == 0 && o->drain >= 0 && o->drain < 86400)
        return true;
    app_error("--drain %s: give a number of seconds", value);
    return false;
}

static bool parse_option(turn_options *o, int option, const char *value)
{
    switch (option) {
    case OPTION_LISTEN:
        return add_listener(o, "--listen", value, DUET_UDP);
    case OPTION_TLS:
        return add_listener(o, "--tls", value, DUET_TLS);
    case OPTION_CERTIFICATE:
        o->certificate = value;
        return true;
    case OPTION_KEY:
        o->key = value;
        return true;
    case OPTION_NO_UDP:
        o->no_udp = true;
        return true;
    case OPTION_NO_TCP:
        o->no_tcp = true;
        return true;
    case OPTION_USER:
        return add_user(o, value);
    case OPTION_USERS:
        return read_users(o, value);
    case OPTION_SECRET:
        return read_secret(o, value);
    case OPTION_REALM:
        o->realm = value;
        return true;
    case OPTION_RELAY:
        return parse_relay(o, value);
    case OPTION_PORTS:
        return parse_ports(o, value);
    case OPTION_ALLOW:
        return add_rule(o->allow, &o->allow_count, value);
    case OPTION_DENY:
        return add_rule(o->deny, &o->deny_count, value);
    case OPTION_ALTERNATE:
        return parse_address("--alternate", value, &o->alternate);
    case OPTION_METRICS:
        o->metrics = value;
        return true;
    case OPTION_DRAIN:
        return parse_drain(o, value);
    case OPTION_JSON:
        o->json = true;
        return true;
    case OPTION_VERBOSE:
        o->verbose = true;
        return true;
    case OPTION_ALLOCATIONS:
    case OPTION_USER_ALLOCATIONS:
    case OPTION_BANDWIDTH:
    case OPTION_USER_BANDWIDTH:
    case OPTION_WORKERS:
        return parse_number_option(o, option, value);
    default:
        return false;
    }
}

/* --listen is UDP and TCP, unless one of them is not wanted; TLS gets its files. */
static bool complete_listeners(turn_options *o)
{
    size_t given = o->listener_count;

    for (size_t i = 0; i < given; i++) {
        duet_turn_listener *l = &o->listeners[i];
        if (l->protocol == DUET_TLS) {
            l->certificate_file = o->certificate;
            l->key_file = o->key;
            if (!o->certificate || !o->key) {
                app_error("--tls: needs --certificate and --key");
                return false;
            }
        } else if (o->no_udp) {
            l->protocol = DUET_TCP;
        } else if (!o->no_tcp) {
            if (o->listener_count == TURN_LISTENERS_MAX) {
                app_error("--listen: at most %d listeners", TURN_LISTENERS_MAX);
                return false;
            }
            o->listeners[o->listener_count] = *l;
            o->listeners[o->listener_count++].protocol = DUET_TCP;
        }
    }
    return true;
}

int turn_parse_options(turn_options *o, int argc, char **argv)
{
    int option;

    *o = (turn_options){.workers = 1};
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            usage(stdout);
            return APP_OK;
        }
        if (!parse_option(o, option, optarg))
            return APP_BAD_USAGE;
    }
    if (optind != argc || o->listener_count == 0 || (o->no_udp && o->no_tcp)) {
        app_error("turn: say where to --listen");
        usage(stderr);
        return APP_BAD_USAGE;
    }
    if (o->user_count == 0 && !o->secret[0])
        app_error("turn: no --user, --users or --secret: this is a STUN server, nobody may relay");
    return complete_listeners(o) ? -1 : APP_BAD_USAGE;
}

void turn_free_options(turn_options *o)
{
    for (size_t i = 0; i < o->user_count; i++) {
        free((void *)(uintptr_t)o->users[i].username);
        free((void *)(uintptr_t)o->users[i].password);
    }
}
