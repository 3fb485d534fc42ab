/* duet probe: what candidates this machine has, what its NAT does, and whether each STUN and TURN server works. */
#include "probe.h"
#include "app.h"
#include "app_ice_servers.h"
#include "ice/internal.h"
#include <arpa/inet.h>
#include <jansson.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CANDIDATES_MAX 64
#define SERVERS_MAX    64
#define TIMEOUT        10.0

typedef struct probe {
    app_connection_options options;
    app_connection connection;
    app_ice_servers servers;
    const char *username, *password;
    double timeout;
    bool json;
    probe_server *checks[SERVERS_MAX];
    probe_server_result results[SERVERS_MAX];
    const char *usernames[SERVERS_MAX], *credentials[SERVERS_MAX];
    size_t check_count, pending;
    char candidates[CANDIDATES_MAX][PROBE_TEXT_MAX];
    size_t candidate_count;
    bool gathered;
    duet_nat_behaviour *behaviour;
    probe_report report;
} probe;

static void usage(FILE *f)
{
    fputs("Usage: duet probe [URL...] [options]\n\n"
          "Shows the candidates that this machine gathers, what the NAT on the way does (RFC 5780), and for each STUN "
          "and\n"
          "TURN server whether it works, or what is wrong. The exit code is 1 when a server does not work.\n\n"
          "  URL                  stun:HOST[:PORT], stuns:, turn:HOST[:PORT][?transport=tcp], turns:\n"
          "  --user NAME          for the turn: and turns: URLs\n"
          "  --password TEXT      of that user\n"
          "  --timeout SECONDS    for each server, default 10\n"
          "  --json               one JSON object instead of the table\n",
          f);
    fputs(app_connection_help, f);
}

/* ---- what comes back ------------------------------------------------------------------------------------------------------- */

static void stop_when_done(probe *p)
{
    if (p->gathered && p->pending == 0)
        duet_net_stop(p->connection.net);
}

static void on_candidate(void *user, duet_pc *pc, const duet_pc_candidate *c)
{
    probe *p = user;
    duet_candidate parsed;
    char address[DUET_ADDRESS_TEXT_MAX], related[DUET_ADDRESS_TEXT_MAX];

    (void)pc;
    if (!c->candidate[0] || p->candidate_count == CANDIDATES_MAX ||
        duet_candidate_parse(&parsed, c->candidate, strlen(c->candidate), NULL, NULL) != DUET_OK)
        return;
    const char *where = parsed.name[0] ? parsed.name : duet_address_text(&parsed.address, address, sizeof(address));
    bool has_related = parsed.related.family != DUET_AF_NONE && !duet_address_is_any(&parsed.related);
    snprintf(p->candidates[p->candidate_count++], PROBE_TEXT_MAX, "%-5s %s %.100s%s%s",
             duet_candidate_type_name(parsed.type), parsed.protocol == DUET_UDP ? "udp" : "tcp", where,
             has_related ? " from " : "",
             has_related ? duet_address_text(&parsed.related, related, sizeof(related)) : "");
}

static void on_gathering(void *user, duet_pc *pc, duet_ice_gathering_state state)
{
    probe *p = user;

    (void)pc;
    p->gathered = state == DUET_ICE_GATHERING_COMPLETE;
    stop_when_done(p);
}

static void on_server(void *user, const probe_server_result *result)
{
    probe *p = user;

    for (size_t i = 0; i < p->check_count; i++) {
        if (p->results[i].url == result->url)
            p->results[i] = *result;
    }
    p->pending--;
    stop_when_done(p);
}

static void on_nat(void *user, const duet_nat_result *result)
{
    probe *p = user;

    p->report.has_nat = true;
    p->report.nat = *result;
    p->pending--;
    stop_when_done(p);
}

/* ---- what is asked ----------------------------------------------------------------------------------------------------------- */

static bool add_url(probe *p, const char *url, const char *username, const char *credential)
{
    if (p->check_count == SERVERS_MAX) {
        app_error("probe: more than %d URLs", SERVERS_MAX);
        return false;
    }
    p->results[p->check_count].url = url;
    p->usernames[p->check_count] = username;
    p->credentials[p->check_count++] = credential;
    return true;
}

static bool collect_urls(probe *p, int count, char **urls)
{
    for (int i = 0; i < count; i++) {
        if (!add_url(p, urls[i], p->username, p->password))
            return false;
    }
    for (size_t n = 0; n < p->servers.count; n++) {
        const duet_ice_server *s = &p->servers.servers[n];
        for (size_t i = 0; i < s->url_count; i++) {
            if (!add_url(p, s->urls[i], s->username, s->credential))
                return false;
        }
    }
    return true;
}

static int start_checks(probe *p)
{
    for (size_t i = 0; i < p->check_count; i++) {
        probe_server_config config = {.env = &p->connection.env,
                                      .url = p->results[i].url,
                                      .username = p->usernames[i],
                                      .credential = p->credentials[i],
                                      .ca_file = p->options.ca_file,
                                      .tls_no_verify = p->options.tls_no_verify,
                                      .family = p->options.no_ipv6 ? DUET_AF_INET : DUET_AF_NONE,
                                      .timeout = (duet_time)(p->timeout * 1e6),
                                      .on_done = on_server,
                                      .user = p};
        int err = probe_server_create(&p->checks[i], &config);
        if (err == DUET_OK)
            err = duet_net_attach(p->connection.net, probe_server_endpoint_ops(), p->checks[i]);
        if (err != DUET_OK)
            return err;
        p->pending++;
    }
    return DUET_OK;
}

/* The address of a host, by the system's resolver. */
static bool look_up(const ice_uri *uri, duet_family family, duet_address *out)
{
    struct addrinfo hints = {.ai_family = family == DUET_AF_INET ? AF_INET : AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    char text[INET6_ADDRSTRLEN];

    if (getaddrinfo(uri->host, NULL, &hints, &found) != 0)
        return false;
    bool ok = getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) == 0 &&
              duet_address_parse(out, text, uri->port) == DUET_OK;
    freeaddrinfo(found);
    return ok;
}

/* The local address that the system would send to `to` from; nothing is sent. */
static bool local_towards(const duet_address *to, duet_address *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(to->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(to->port)};
    bool is_v4 = to->family == DUET_AF_INET;
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char text[INET6_ADDRSTRLEN] = "";

    memcpy(&v4.sin_addr, to->ip, sizeof(v4.sin_addr));
    memcpy(&v6.sin6_addr, to->ip, sizeof(v6.sin6_addr));
    socklen_t len = is_v4 ? sizeof(v4) : sizeof(v6);
    struct sockaddr *address = is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    bool ok = fd >= 0 && connect(fd, address, len) == 0 && getsockname(fd, address, &len) == 0 &&
              inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr, text,
                        sizeof(text)) &&
              duet_address_parse(out, text, 0) == DUET_OK;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Asks the first server that speaks UDP, with the second of them to help. */
static int start_nat(probe *p)
{
    duet_nat_behaviour_config config;
    duet_family family = p->options.no_ipv6 ? DUET_AF_INET : DUET_AF_NONE;
    duet_address address;
    ice_uri uri;

    duet_nat_behaviour_config_init(&config);
    for (size_t i = 0; i < p->check_count && config.second.family == DUET_AF_NONE; i++) {
        if (duet_ice_uri_parse(&uri, p->results[i].url) != DUET_OK || uri.transport != DUET_UDP ||
            !look_up(&uri, family, &address))
            continue;
        if (config.server.family == DUET_AF_NONE) {
            config.server = address;
            p->report.nat_server = p->results[i].url;
        } else if (address.family == config.server.family && !duet_address_ip_equal(&address, &config.server)) {
            config.second = address;
        }
    }
    if (config.server.family == DUET_AF_NONE)
        return DUET_OK;
    config.bind = p->options.bind;
    if (config.bind.family != config.server.family && !local_towards(&config.server, &config.bind))
        return DUET_OK;
    config.env = &p->connection.env;
    config.on_done = on_nat;
    config.user = p;
    int err = duet_nat_behaviour_create(&p->behaviour, &config);
    if (err == DUET_OK)
        err = duet_net_attach(p->connection.net, duet_nat_behaviour_endpoint_ops(), p->behaviour);
    p->pending += err == DUET_OK;
    return err;
}

static int run(probe *p, int count, char **urls)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_dc *channel;

    if (!app_ice_servers_read(&p->servers, p->options.ice_servers) || !collect_urls(p, count, urls))
        return APP_BAD_USAGE;
    config.on_ice_candidate = on_candidate;
    config.on_ice_gathering_state = on_gathering;
    config.user = p;
    int code = app_connection_open(&p->connection, &p->options, &config, NULL);
    if (code != APP_OK)
        return code;
    int err = start_checks(p);
    if (err == DUET_OK)
        err = start_nat(p);
    if (err == DUET_OK)
        err = duet_pc_create_data_channel(p->connection.pc, "probe", NULL, &channel);
    if (err == DUET_OK)
        err = duet_pc_set_local_description(p->connection.pc, DUET_SDP_OFFER, NULL);
    if (err == DUET_OK)
        err = duet_net_run(p->connection.net);
    if (err == DUET_OK)
        return APP_OK;
    app_error("probe: %s", duet_strerror(err));
    return APP_FAILED;
}

static int report(probe *p)
{
    int code = APP_OK;

    p->report.candidates = p->candidates;
    p->report.candidate_count = p->candidate_count;
    p->report.servers = p->results;
    p->report.server_count = p->check_count;
    if (p->json)
        app_lines_write(probe_json(&p->report));
    else
        probe_print(&p->report);
    for (size_t i = 0; i < p->check_count; i++) {
        if (!p->results[i].ok)
            code = APP_FAILED;
    }
    return code;
}

static void clean_up(probe *p)
{
    for (size_t i = 0; i < p->check_count; i++) {
        if (p->checks[i])
            duet_net_detach(p->connection.net, p->checks[i]);
        probe_server_destroy(p->checks[i]);
    }
    if (p->behaviour)
        duet_net_detach(p->connection.net, p->behaviour);
    duet_nat_behaviour_destroy(p->behaviour);
    app_connection_close(&p->connection);
    app_ice_servers_free(&p->servers);
}

enum { OPTION_USER = 1, OPTION_PASSWORD, OPTION_TIMEOUT, OPTION_JSON, OPTION_HELP };

/* @return whether to go on; otherwise *code is the exit code */
static bool parse(probe *p, int argc, char **argv, int *code)
{
    static const struct option options[] = {
        APP_CONNECTION_OPTIONS,
        {"user", required_argument, NULL, OPTION_USER},
        {"password", required_argument, NULL, OPTION_PASSWORD},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    int c;

    *code = APP_BAD_USAGE;
    p->timeout = TIMEOUT;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        int taken = app_connection_option(&p->options, c, optarg);
        if (taken < 0)
            return false;
        if (taken > 0)
            continue;
        if (c == OPTION_USER) {
            p->username = optarg;
        } else if (c == OPTION_PASSWORD) {
            p->password = optarg;
        } else if (c == OPTION_JSON) {
            p->json = true;
        } else if (c == OPTION_HELP) {
            usage(stdout);
            *code = APP_OK;
            return false;
        } else if (c != OPTION_TIMEOUT || !app_parse_timeout(optarg, &p->timeout)) {
            return false;
        }
    }
    return true;
}

int app_probe(int argc, char **argv)
{
    probe *p = calloc(1, sizeof(*p));
    int code = APP_FAILED;

    if (!p)
        return APP_FAILED;
    if (parse(p, argc, argv, &code)) {
        code = run(p, argc - optind, argv + optind);
        if (code == APP_OK)
            code = report(p);
        if (p->connection.net)
            clean_up(p);
    }
    free(p);
    return code;
}
