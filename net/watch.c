/* The interfaces, and word of their changes: a netlink socket of the routing family (rtnetlink(7)) says that something
 * happened, and 100 ms later, when the burst is over, whoever watches and has not been told this very list is told. */
#include "net/internal.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define SETTLE DUET_MS(100)

struct net_watcher {
    net_alarm alarm;   /* first */
    net_source source; /* its ready is handed this: `watcher_of` finds the way back */
    duet_net *net;
};

static net_watcher *watcher_of(net_source *source)
{
    return (net_watcher *)(void *)((char *)source - offsetof(net_watcher, source));
}

/* FNV-1a: only equality matters. */
static uint64_t hash_interfaces(const duet_interface *list, size_t count)
{
    const uint8_t *bytes = (const uint8_t *)list;
    uint64_t hash = 0xCBF29CE484222325u;

    for (size_t i = 0; i < count * sizeof(*list); i++)
        hash = (hash ^ bytes[i]) * 0x100000001B3u;
    return hash;
}

static void tell(net_endpoint *ep, uint32_t id, bool only_news)
{
    duet_interface *interfaces = NULL;
    duet_answer answer = {.kind = DUET_REQUEST_INTERFACES, .id = id};

    answer.err = net_interfaces(&ep->net->env, &interfaces, &answer.interface_count);
    answer.interfaces = interfaces;
    uint64_t hash = hash_interfaces(interfaces, answer.interface_count);
    if (answer.err == DUET_OK && (!only_news || hash != ep->told)) {
        ep->told = hash;
        net_endpoint_answer(ep, &answer);
    } else if (!only_news) {
        net_endpoint_answer(ep, &answer);
    }
    duet_free(&ep->net->env, interfaces);
}

static void settled(net_alarm *alarm)
{
    duet_net *net = ((net_watcher *)alarm)->net;
    net_endpoint *next;

    /* An answer may detach endpoints, but they stay where they are until the end of the turn. */
    for (net_endpoint *ep = net->endpoints; ep; ep = next) {
        next = ep->next;
        if (ep->watches && !ep->dead)
            tell(ep, ep->watch_id, true);
    }
}

static void netlink_ready(net_source *source, uint32_t events)
{
    net_watcher *w = watcher_of(source);
    char news[8192];

    (void)events;
    while (recv(source->fd, news, sizeof(news), MSG_DONTWAIT) > 0) /* what it was, the list will show */
        continue;
    if (!w->alarm.timer.armed)
        duet_timers_set(&w->net->timers, &w->alarm.timer, w->net->now + SETTLE);
}

/* Where the system has no netlink, or does not permit it, nothing is ever told. */
static void start(duet_net *net)
{
    struct sockaddr_nl groups = {.nl_family = AF_NETLINK,
                                 .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    net_watcher *w = duet_calloc(&net->env, sizeof(*w));

    if (!w)
        return;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    w->alarm.fire = settled;
    w->source = (net_source){netlink_ready, fd};
    w->net = net;
    net->watcher = w;
    if (fd < 0 || bind(fd, (struct sockaddr *)&groups, sizeof(groups)) != 0 ||
        net_source_add(net, &w->source, EPOLLIN) != DUET_OK)
        net_watcher_destroy(w);
}

void net_watcher_destroy(net_watcher *w)
{
    if (!w)
        return;
    duet_net *net = w->net;
    duet_timers_cancel(&net->timers, &w->alarm.timer);
    net_source_close(net, &w->source);
    net->watcher = NULL;
    duet_free(&net->env, w);
}

void net_answer_interfaces(net_endpoint *ep, const duet_request *request)
{
    if (request->watch) { /* listening begins before the list is made, so that no change falls between */
        if (!ep->net->watcher)
            start(ep->net);
        ep->watches = true;
        ep->watch_id = request->id;
    }
    tell(ep, request->id, false);
}
