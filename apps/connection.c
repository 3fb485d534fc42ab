/* The options of every command that connects, and one connection made by them. */
#include "app.h"
#include "app_ice_servers.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    OPTION_PCAP = APP_OPTION_FIRST,
    OPTION_KEYLOG,
    OPTION_EVENTS,
    OPTION_IMPAIR,
    OPTION_ICE_SERVERS,
    OPTION_NO_LOOPBACK,
    OPTION_NO_IPV6,
    OPTION_PORTS,
    OPTION_VERBOSE,
    OPTION_NO_OFFLOAD,
    OPTION_BIND,
    OPTION_RELAY,
    OPTION_CA,
    OPTION_TLS_NO_VERIFY,
    OPTION_MDNS,
    OPTION_TCP,
};

const char app_connection_help[] =
    "Connection options:\n"
    "  --ice-servers JSON   array of RTCIceServer, for example '[{\"urls\":\"stun:192.0.2.1:3478\"}]',\n"
    "                       or the name of a file that holds one\n"
    "  --relay              use relayed candidates alone\n"
    "  --ca FILE            trust these authorities (PEM) for stuns: and turns:, instead of the system's\n"
    "  --tls-no-verify      trust any certificate of these servers\n"
    "  --tcp                candidates of ICE-TCP beside those of UDP\n"
    "  --mdns               announce host candidates under .local names\n"
    "  --ports MIN-MAX      local UDP ports\n"
    "  --bind ADDRESS       gather on this local address only\n"
    "  --no-loopback        do not gather loopback addresses\n"
    "  --no-ipv6            do not gather IPv6 addresses\n"
    "  --no-offload         no UDP GSO and GRO\n"
    "  --impair SPEC        hurt the traffic: loss=0.05,delay=20ms,jitter=5ms,reorder=0.01,duplicate=0.01,\n"
    "                       corrupt=0.001,seed=7\n"
    "  --pcap FILE          capture for Wireshark: datagrams with their keys, and plain SCTP, RTP and RTCP\n"
    "  --keylog FILE        DTLS keys in the NSS key log format\n"
    "  --events FILE        JSON lines: every change of state with its cause\n"
    "  --verbose            log to standard error\n";

static bool parse_ports(app_connection_options *o, const char *value)
{
    char *end;
    unsigned long low = strtoul(value, &end, 10);
    unsigned long high = *end == '-' ? strtoul(end + 1, &end, 10) : low;

    if (*end != 0 || low == 0 || high < low || high > UINT16_MAX) {
        app_error("--ports %s: give two numbers from 1 to 65535, as in 40000-40100", value);
        return false;
    }
    o->port_min = (uint16_t)low;
    o->port_max = (uint16_t)high;
    return true;
}

bool app_parse_number(const char *option, const char *value, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(value, &end, 10);
    if (*value >= '0' && *value <= '9' && *end == 0 && errno == 0 && *out >= min && *out <= max)
        return true;
    app_error("%s %s: give a number from %llu to %llu", option, value, (unsigned long long)min,
              (unsigned long long)max);
    return false;
}

bool app_parse_timeout(const char *value, double *out)
{
    char *end;

    *out = strtod(value, &end);
    if (end != value && *end == 0 && *out > 0 && *out < 86400)
        return true;
    app_error("--timeout %s: give a number of seconds", value);
    return false;
}

int app_connection_option(app_connection_options *o, int option, const char *value)
{
    switch (option) {
    case OPTION_PCAP:
        o->trace.pcap = value;
        return 1;
    case OPTION_KEYLOG:
        o->trace.keylog = value;
        return 1;
    case OPTION_EVENTS:
        o->trace.events = value;
        return 1;
    case OPTION_IMPAIR:
        return app_impairment_parse(&o->impairment, value) ? 1 : -1;
    case OPTION_ICE_SERVERS:
        o->ice_servers = value;
        return 1;
    case OPTION_NO_LOOPBACK:
        o->no_loopback = true;
        return 1;
    case OPTION_NO_IPV6:
        o->no_ipv6 = true;
        return 1;
    case OPTION_PORTS:
        return parse_ports(o, value) ? 1 : -1;
    case OPTION_VERBOSE:
        o->log_level = DUET_LOG_DEBUG;
        return 1;
    case OPTION_BIND:
        if (duet_address_parse(&o->bind, value, 0) == DUET_OK)
            return 1;
        app_error("--bind %s: give an IP address", value);
        return -1;
    case OPTION_RELAY:
        o->relay = true;
        return 1;
    case OPTION_CA:
        o->ca_file = value;
        return 1;
    case OPTION_TLS_NO_VERIFY:
        o->tls_no_verify = true;
        return 1;
    case OPTION_MDNS:
        o->mdns = true;
        return 1;
    case OPTION_TCP:
        o->tcp = true;
        return 1;
    case OPTION_NO_OFFLOAD:
        o->no_offload = true;
        return 1;
    default:
        return 0;
    }
}

/* ---- opening and closing ---- */

static void trace_event(void *user, const duet_trace_event *event)
{
    app_connection *c = user;

    app_trace_event(c->trace, event);
}

static void log_line(void *user, duet_log_level level, const char *module, const char *text)
{
    app_log(user, level, module, text);
}

static bool open_traces(app_connection *c, const app_connection_options *o)
{
    const app_trace_options *t = &o->trace;

    c->env = (duet_env)DUET_ENV_INIT;
    c->env.user = c;
    c->env.log = log_line;
    c->env.log_level = o->log_level ? o->log_level : DUET_LOG_WARN;
    c->trace_is_shared = o->shared_trace != NULL;
    c->trace = o->shared_trace;
    if (!c->trace && !t->pcap && !t->keylog && !t->events)
        return true;
    if (!c->trace)
        c->trace = app_trace_open(t);
    c->env.trace = trace_event;
    return c->trace != NULL;
}

static int attach(app_connection *c, const app_connection_options *o)
{
    c->mux = o->mux;
    if (c->mux)
        return duet_mux_add(c->mux, duet_pc_endpoint_ops(), c->pc);
    if (!o->impairment.enabled)
        return duet_net_add(c->net, c->pc);
    int err = app_impaired_create(&c->impaired, &o->impairment, duet_pc_endpoint_ops(), c->pc);
    return err == DUET_OK ? duet_net_attach(c->net, app_impaired_ops(), c->impaired) : err;
}

static int create(app_connection *c, const app_connection_options *o, duet_pc_config *config, duet_net *net)
{
    duet_net_config net_config;
    app_ice_servers *servers = calloc(1, sizeof(*servers));
    int err = DUET_ERR_NOMEM;

    if (servers && !app_ice_servers_read(servers, o->ice_servers)) {
        app_ice_servers_free(servers);
        free(servers);
        return DUET_ERR_INVALID;
    }
    duet_net_config_init(&net_config);
    net_config.no_offload = o->no_offload;
    c->net = net;
    c->net_is_shared = net != NULL;
    if (servers)
        err = net ? DUET_OK : duet_net_create(&c->net, &net_config);
    if (err == DUET_OK) {
        config->env = &c->env;
        config->ice_servers = servers->list;
        config->ice_server_count = servers->count;
        config->ice_transport_policy = o->relay ? DUET_ICE_RELAY : DUET_ICE_ALL;
        config->ca_file = o->ca_file;
        config->tls_no_verify = o->tls_no_verify;
        config->mdns = o->mdns;
        config->tcp = o->tcp;
        config->loopback = !o->no_loopback;
        config->no_ipv6 = o->no_ipv6;
        config->bind = o->bind;
        config->port_min = o->port_min;
        config->port_max = o->port_max;
        config->wall_seconds = (int64_t)time(NULL);
        err = duet_pc_create(&c->pc, config);
        if (err != DUET_OK)
            app_error("cannot make a connection: %s%s", duet_strerror(err),
                      servers->count ? " (is every ICE server URL right?)" : "");
    }
    if (servers)
        app_ice_servers_free(servers);
    free(servers);
    return err == DUET_OK ? attach(c, o) : err;
}

int app_connection_open(app_connection *c, const app_connection_options *o, duet_pc_config *config, duet_net *net)
{
    memset(c, 0, sizeof(*c));
    if (!open_traces(c, o))
        return APP_BAD_USAGE;
    int err = create(c, o, config, net);
    if (err == DUET_OK)
        return APP_OK;
    app_connection_close(c);
    return err == DUET_ERR_INVALID ? APP_BAD_USAGE : APP_FAILED;
}

void app_connection_close(app_connection *c)
{
    if (c->pc && c->net) {
        duet_pc_close(c->pc);
        if (c->mux)
            duet_mux_remove(c->mux, c->pc);
        else if (c->impaired)
            duet_net_detach(c->net, c->impaired);
        else
            duet_net_remove(c->net, c->pc);
    }
    app_impaired_destroy(c->impaired);
    duet_pc_destroy(c->pc);
    if (!c->net_is_shared)
        duet_net_destroy(c->net);
    if (!c->trace_is_shared)
        app_trace_close(c->trace);
    memset(c, 0, sizeof(*c));
}

const char *app_reason(const duet_pc *pc, const char *what, int err, char *buf, size_t size)
{
    const duet_sdp_error *e = duet_pc_error(pc);

    bool is_told = err == DUET_ERR_MALFORMED || err == DUET_ERR_INVALID;
    if (is_told && e->line == 0) /* the description as a whole */
        snprintf(buf, size, "%s: %s", what, e->reason);
    else if (is_told)
        snprintf(buf, size, "%s: line %zu, column %zu: %s", what, e->line, e->column, e->reason);
    else
        snprintf(buf, size, "%s: %s", what, duet_strerror(err));
    return buf;
}

bool app_session_id(const duet_env *env, const char *sdp, uint64_t *out)
{
    duet_sdp *parsed = NULL;
    duet_sdp_origin origin;

    if (duet_sdp_parse(&parsed, env, sdp, strlen(sdp), NULL) != DUET_OK)
        return false;
    duet_sdp_get_origin(parsed, &origin);
    *out = origin.session_id;
    duet_sdp_destroy(parsed);
    return true;
}
