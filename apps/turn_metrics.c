/* The metrics of `duet turn` in Prometheus' text format, over HTTP in a thread of their own. */
#include "turn.h"

#ifdef DUET_HAVE_SIGNALING

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct turn_metrics {
    turn_service *service;
    struct event_base *base;
    struct evhttp *http;
    struct event *stop;
    int stop_fd;
    pthread_t thread;
    bool has_thread;
};

/* One metric: where it is in the statistics, and what it says. */
typedef struct metric {
    size_t offset;
    bool is_gauge;
    const char *name, *help;
} metric;

#define METRIC(field, is_gauge, name, help)                                                                            \
    {                                                                                                                  \
        offsetof(duet_turn_stats, field), is_gauge, "duet_turn_" name, help                                            \
    }

static const metric metrics[] = {
    METRIC(allocations, true, "allocations", "Allocations that live"),
    METRIC(permissions, true, "permissions", "Permissions of these"),
    METRIC(channels, true, "channels", "Channels of these"),
    METRIC(streams, true, "streams", "TCP and TLS clients"),
    METRIC(allocations_begun, false, "allocations_total", "Allocations ever begun"),
    METRIC(bindings, false, "bindings_total", "Binding requests answered"),
    METRIC(requests, false, "requests_total", "TURN requests looked at"),
    METRIC(errors, false, "errors_total", "Error responses"),
    METRIC(unauthenticated, false, "unauthenticated_total", "Error responses 401 and 438"),
    METRIC(datagrams_in, false, "datagrams_in_total", "Datagrams and pieces of streams received"),
    METRIC(datagrams_out, false, "datagrams_out_total", "Datagrams and pieces of streams sent"),
    METRIC(bytes_in, false, "bytes_in_total", "Bytes received"),
    METRIC(bytes_out, false, "bytes_out_total", "Bytes sent"),
    METRIC(relayed_to_peers, false, "relayed_to_peers_total", "Datagrams relayed to peers"),
    METRIC(relayed_to_clients, false, "relayed_to_clients_total", "Datagrams relayed to clients"),
    METRIC(relayed_bytes_to_peers, false, "relayed_bytes_to_peers_total", "Payload relayed to peers"),
    METRIC(relayed_bytes_to_clients, false, "relayed_bytes_to_clients_total", "Payload relayed to clients"),
    METRIC(dropped_bandwidth, false, "dropped_bandwidth_total", "Data over the bandwidth of an allocation or user"),
    METRIC(dropped_permission, false, "dropped_permission_total", "Data without permission"),
    METRIC(dropped_queue, false, "dropped_queue_total", "Data that found the output full"),
    METRIC(dropped_stream, false, "dropped_stream_total", "Data for streams that did not read"),
    METRIC(discarded, false, "discarded_total", "Malformed or unknown input"),
    METRIC(streams_refused, false, "streams_refused_total", "Streams that were too many or too slow"),
};

static void handle(struct evhttp_request *request, void *arg)
{
    turn_metrics *m = arg;
    duet_turn_stats stats;
    struct evbuffer *body = evbuffer_new();

    if (!body) {
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
        return;
    }
    turn_service_stats(m->service, &stats);
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        const uint64_t *value = (const uint64_t *)(const void *)((const char *)&stats + metrics[i].offset);
        evbuffer_add_printf(body, "# HELP %s %s.\n# TYPE %s %s\n%s %llu\n", metrics[i].name, metrics[i].help,
                            metrics[i].name, metrics[i].is_gauge ? "gauge" : "counter", metrics[i].name,
                            (unsigned long long)*value);
    }
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "text/plain; version=0.0.4");
    evhttp_send_reply(request, HTTP_OK, "OK", body);
    evbuffer_free(body);
}

static void on_stop(evutil_socket_t fd, short what, void *base)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(base);
}

static void *run(void *arg)
{
    turn_metrics *m = arg;

    event_base_dispatch(m->base);
    return NULL;
}

static bool bind_http(turn_metrics *m, duet_address *address)
{
    char ip[DUET_ADDRESS_TEXT_MAX];
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);
    struct evhttp_bound_socket *s =
        evhttp_bind_socket_with_handle(m->http, duet_address_ip_text(address, ip, sizeof(ip)), address->port);

    if (!s || getsockname(evhttp_bound_socket_get_fd(s), (struct sockaddr *)&bound, &len) != 0)
        return false;
    address->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                      : ((struct sockaddr_in *)&bound)->sin_port);
    return true;
}

turn_metrics *turn_metrics_start(turn_service *service, const char *listen, duet_address *address)
{
    turn_metrics *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    m->service = service;
    m->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->base = event_base_new();
    m->http = m->base ? evhttp_new(m->base) : NULL;
    m->stop = m->base && m->stop_fd >= 0 ? event_new(m->base, m->stop_fd, EV_READ, on_stop, m->base) : NULL;
    bool good = duet_address_parse_port(address, listen) == DUET_OK && m->http && m->stop &&
                event_add(m->stop, NULL) == 0 && bind_http(m, address);
    if (good) {
        evhttp_set_allowed_methods(m->http, EVHTTP_REQ_GET);
        evhttp_set_timeout(m->http, 10);
        evhttp_set_max_headers_size(m->http, 8192);
        evhttp_set_max_body_size(m->http, 0);
        evhttp_set_cb(m->http, "/metrics", handle, m);
        m->has_thread = pthread_create(&m->thread, NULL, run, m) == 0;
    }
    if (m->has_thread)
        return m;
    app_error("--metrics %s: cannot listen there", listen);
    turn_metrics_stop(m);
    return NULL;
}

void turn_metrics_stop(turn_metrics *m)
{
    uint64_t one = 1;

    if (!m)
        return;
    if (m->has_thread && write(m->stop_fd, &one, sizeof(one)) == (ssize_t)sizeof(one))
        pthread_join(m->thread, NULL);
    if (m->stop)
        event_free(m->stop);
    if (m->http)
        evhttp_free(m->http);
    if (m->base)
        event_base_free(m->base);
    if (m->stop_fd >= 0)
        close(m->stop_fd);
    free(m);
}

#else

struct turn_metrics {
    int unused;
};

turn_metrics *turn_metrics_start(turn_service *service, const char *listen, duet_address *address)
{
    (void)service;
    (void)address;
    app_error("--metrics %s: this build has no HTTP server", listen);
    return NULL;
}

void turn_metrics_stop(turn_metrics *m)
{
    (void)m;
}

#endif
