/* Figures of the server in the text format of Prometheus (exposition format 0.0.4). */
#include "signaling/server.h"
#include <event2/buffer.h>

static void head(struct evbuffer *out, const char *name, const char *type, const char *help)
{
    evbuffer_add_printf(out, "# HELP duet_signaling_%s %s\n# TYPE duet_signaling_%s %s\n", name, help, name, type);
}

static void value(struct evbuffer *out, const char *name, const char *labels, uint64_t number)
{
    evbuffer_add_printf(out, "duet_signaling_%s%s %llu\n", name, labels, (unsigned long long)number);
}

static void counter(struct evbuffer *out, const char *name, const char *help, uint64_t number)
{
    head(out, name, "counter", help);
    value(out, name, "", number);
}

static void gauge(struct evbuffer *out, const char *name, const char *help, uint64_t number)
{
    head(out, name, "gauge", help);
    value(out, name, "", number);
}

static void write_auth(struct evbuffer *out, const duet_auth_stats *a)
{
    counter(out, "tokens_accepted_total", "Tokens that were found good, of connections and of requests.", a->accepted);
    counter(out, "tokens_refused_total", "Tokens that were refused.", a->refused);
    counter(out, "key_set_fetches_total", "Fetches of the key set.", a->fetched);
    counter(out, "key_set_failures_total", "Fetches of the key set that failed.", a->fetch_failures);
    counter(out, "authority_requests_total", "Questions to the authority.", a->asked);
    counter(out, "authority_failures_total", "Questions to the authority without a usable answer.", a->ask_failures);
    counter(out, "authority_cached_total", "Questions to the authority that were spared.", a->cached);
}

static void write_http(struct evbuffer *out, const server_counters *c)
{
    static const char *const labels[] = {"{class=\"other\"}", "{class=\"1xx\"}", "{class=\"2xx\"}",
                                         "{class=\"3xx\"}",   "{class=\"4xx\"}", "{class=\"5xx\"}"};

    head(out, "http_requests_total", "counter", "HTTP requests that were answered, by class of their status.");
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
        value(out, "http_requests_total", labels[i], c->requests[i]);
}

static void write_messages(struct evbuffer *out, const duet_hub_stats *h)
{
    head(out, "relayed_total", "counter", "Messages that were passed on from one seat to another.");
    value(out, "relayed_total", "{type=\"offer\"}", h->offers);
    value(out, "relayed_total", "{type=\"answer\"}", h->answers);
    value(out, "relayed_total", "{type=\"candidate\"}", h->candidates);
    counter(out, "errors_total", "Error messages that were sent to clients.", h->errors);
    counter(out, "rate_limited_total", "Messages and requests above their rate.", h->rate_limited);
    counter(out, "slow_readers_total", "Connections that were closed because they did not read.", h->overflows);
}

void server_metrics_write(const duet_signaling_server *s, struct evbuffer *out)
{
    const duet_hub_stats *h = duet_hub_count(s->hub);
    const duet_store *store = duet_hub_store(s->hub);

    gauge(out, "connections", "WebSocket connections at present.", s->socket_count);
    gauge(out, "arrivals", "Connections whose request is not complete.", s->arrival_count);
    gauge(out, "store_reachable", "1 when rooms can be reached.", store->ops->status(store->self, NULL) == DUET_OK);
    gauge(out, "draining", "1 when the server goes down.", s->stopping);
    counter(out, "connections_total", "WebSocket connections since the start.", s->counters.connections);
    counter(out, "refused_connections_total", "Connections refused for want of room.", s->counters.refused_connections);
    counter(out, "refused_origins_total", "Requests refused for their Origin.", s->counters.refused_origins);
    counter(out, "tls_loads_total", "Times that the TLS files were read.", s->counters.tls_reloads);
    write_http(out, &s->counters);
    write_auth(out, duet_auth_figures(s->auth));
    counter(out, "authenticated_total", "Tokens that were accepted.", h->authenticated);
    counter(out, "unauthorized_total", "Tokens that were refused.", h->refused);
    counter(out, "joined_total", "Seats that were taken.", h->joined);
    counter(out, "resumed_total", "Seats that were taken again.", h->resumed);
    counter(out, "detached_total", "Seats whose connection was lost.", h->detached);
    write_messages(out, h);
}
