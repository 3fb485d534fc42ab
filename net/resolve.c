/* Name look-ups through c-ares inside the loop: no thread, no blocking. */
#include "net/internal.h"
#include <ares.h>
#include <string.h>

#define SOCKETS_MAX ARES_GETSOCK_MAXNUM
#define ADDRESS_MAX 16
#define TRIES       2
#define TIMEOUT     DUET_SECONDS(2)

typedef struct ares_socket {
    net_source source; /* first */
    net_resolver *resolver;
} ares_socket;

typedef struct lookup {
    struct lookup *next;
    net_endpoint *endpoint; /* NULL when it has gone */
    net_resolver *resolver;
    uint32_t id;
} lookup;

struct net_resolver {
    net_alarm alarm; /* first */
    duet_net *net;
    ares_channel channel;
    ares_socket sockets[SOCKETS_MAX];
    lookup *lookups;
};

static void arm(net_resolver *r)
{
    struct timeval most = {3600, 0}, tv;

    if (!ares_timeout(r->channel, NULL, &tv)) {
        duet_timers_cancel(&r->net->timers, &r->alarm.timer);
        return;
    }
    const struct timeval *wait = ares_timeout(r->channel, &most, &tv);
    duet_time delay = (duet_time)wait->tv_sec * 1000000u + (duet_time)wait->tv_usec;
    duet_timers_set(&r->net->timers, &r->alarm.timer, duet_net_now(r->net) + delay);
}

static void time_passed(net_alarm *alarm)
{
    net_resolver *r = (net_resolver *)alarm;

    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm(r);
}

static void socket_ready(net_source *source, uint32_t events)
{
    ares_socket *s = (ares_socket *)source;
    net_resolver *r = s->resolver;

    ares_process_fd(r->channel, events & ~(uint32_t)EPOLLOUT ? source->fd : ARES_SOCKET_BAD,
                    events & EPOLLOUT ? source->fd : ARES_SOCKET_BAD);
    arm(r);
}

static void socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
    net_resolver *r = data;
    ares_socket *known = NULL, *unused = NULL;

    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        if (r->sockets[i].source.fd == fd)
            known = &r->sockets[i];
        else if (r->sockets[i].source.fd < 0)
            unused = &r->sockets[i];
    }
    uint32_t events = (readable ? (uint32_t)EPOLLIN : 0) | (writable ? (uint32_t)EPOLLOUT : 0);
    if (!events && known) {
        net_source_remove(r->net, &known->source);
        known->source.fd = -1;
    } else if (known) {
        net_source_change(r->net, &known->source, events);
    } else if (events && unused) {
        unused->source.fd = fd;
        net_source_add(r->net, &unused->source, events);
    }
}

static int create(duet_net *net)
{
    net_resolver *r = duet_calloc(&net->env, sizeof(*r));
    duet_time timeout = net->config.name_timeout ? net->config.name_timeout : TIMEOUT;
    struct ares_options options = {.sock_state_cb = socket_state,
                                   .sock_state_cb_data = r,
                                   .tries = TRIES,
                                   .timeout = (int)(timeout < DUET_SECONDS(60) ? timeout / 1000 : 60000)};

    if (!r)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        r->sockets[i] = (ares_socket){{socket_ready, -1}, r};
    r->alarm.fire = time_passed;
    r->net = net;
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        duet_free(&net->env, r);
        return DUET_ERR_IO;
    }
    if (ares_init_options(&r->channel, &options, ARES_OPT_SOCK_STATE_CB | ARES_OPT_TRIES | ARES_OPT_TIMEOUTMS) !=
        ARES_SUCCESS) {
        ares_library_cleanup();
        duet_free(&net->env, r);
        return DUET_ERR_IO;
    }
    if (net->name_servers && ares_set_servers_ports_csv(r->channel, net->name_servers) != ARES_SUCCESS) {
        ares_destroy(r->channel);
        ares_library_cleanup();
        duet_free(&net->env, r);
        return DUET_ERR_INVALID;
    }
    net->resolver = r;
    return DUET_OK;
}

static void unlink_lookup(lookup *l)
{
    lookup **link = &l->resolver->lookups;

    while (*link != l)
        link = &(*link)->next;
    *link = l->next;
}

static void looked_up(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    lookup *l = arg;
    duet_net *net = l->resolver->net;
    duet_address addresses[ADDRESS_MAX];
    duet_answer answer = {.kind = DUET_REQUEST_RESOLVE, .id = l->id, .addresses = addresses};

    (void)timeouts;
    for (const struct ares_addrinfo_node *n = result ? result->nodes : NULL; n && answer.address_count < ADDRESS_MAX;
         n = n->ai_next)
        net_sockaddr_to(&addresses[answer.address_count++], n->ai_addr);
    if (result)
        ares_freeaddrinfo(result);
    answer.err = status == ARES_SUCCESS && answer.address_count ? DUET_OK
                 : status == ARES_ETIMEOUT                      ? DUET_ERR_TIMEOUT
                                                                : DUET_ERR_NOT_FOUND;
    unlink_lookup(l);
    net_endpoint *ep = l->endpoint;
    duet_free(&net->env, l);
    if (ep)
        net_endpoint_answer(ep, &answer);
}

int net_resolve(net_endpoint *ep, const duet_request *request)
{
    duet_net *net = ep->net;
    int err = net->resolver ? DUET_OK : create(net);

    if (err != DUET_OK)
        return err;
    lookup *l = duet_alloc(&net->env, sizeof(*l));
    if (!l)
        return DUET_ERR_NOMEM;
    *l = (lookup){net->resolver->lookups, ep, net->resolver, request->id};
    net->resolver->lookups = l;
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    ares_getaddrinfo(net->resolver->channel, request->name, NULL, &hints, looked_up, l);
    arm(net->resolver);
    return DUET_OK;
}

void net_resolver_forget(net_resolver *resolver, const net_endpoint *ep)
{
    for (lookup *l = resolver ? resolver->lookups : NULL; l; l = l->next) {
        if (l->endpoint == ep)
            l->endpoint = NULL;
    }
}

void net_resolver_destroy(net_resolver *r)
{
    if (!r)
        return;
    duet_net *net = r->net;
    ares_destroy(r->channel); /* ends the look-ups under way, their endpoints have gone */
    ares_library_cleanup();
    duet_timers_cancel(&net->timers, &r->alarm.timer);
    duet_free(&net->env, r);
}
