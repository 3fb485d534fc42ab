/* What the application itself has in the loop: its timers and the descriptors that it watches. */
#include "net/internal.h"

struct duet_net_timer {
    net_alarm alarm; /* first */
    net_grave grave;
    duet_net *net;
    void (*fn)(void *arg);
    void *arg;
};

static void timer_fired(net_alarm *alarm)
{
    duet_net_timer *timer = (duet_net_timer *)alarm;

    timer->fn(timer->arg);
}

int duet_net_timer_start(duet_net_timer **out, duet_net *net, duet_time delay, void (*fn)(void *arg), void *arg)
{
    duet_net_timer *timer = duet_calloc(&net->env, sizeof(*timer));

    *out = timer;
    if (!timer)
        return DUET_ERR_NOMEM;
    timer->alarm.fire = timer_fired;
    timer->net = net;
    timer->fn = fn;
    timer->arg = arg;
    duet_time now = duet_net_now(net);
    duet_timers_set(&net->timers, &timer->alarm.timer, delay < DUET_NEVER - now ? now + delay : DUET_NEVER);
    if (!net->in_turn)
        net_arm_fd(net);
    return DUET_OK;
}

void duet_net_timer_cancel(duet_net_timer *timer)
{
    if (!timer)
        return;
    duet_timers_cancel(&timer->net->timers, &timer->alarm.timer);
    net_bury(timer->net, &timer->grave, timer);
}

struct duet_net_watch {
    net_source source; /* first */
    net_grave grave;
    duet_net *net;
    void (*fn)(void *arg, unsigned ready);
    void *arg;
};

static void watch_ready(net_source *source, uint32_t events)
{
    duet_net_watch *watch = (duet_net_watch *)source;
    unsigned ready = 0;

    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP))
        ready |= DUET_NET_READABLE;
    if (events & EPOLLOUT)
        ready |= DUET_NET_WRITABLE;
    watch->fn(watch->arg, ready);
}

static uint32_t epoll_interest(unsigned interest)
{
    return (interest & DUET_NET_READABLE ? (uint32_t)EPOLLIN : 0) |
           (interest & DUET_NET_WRITABLE ? (uint32_t)EPOLLOUT : 0);
}

int duet_net_watch_start(duet_net_watch **out, duet_net *net, int fd, unsigned interest,
                         void (*fn)(void *arg, unsigned ready), void *arg)
{
    duet_net_watch *watch = duet_calloc(&net->env, sizeof(*watch));

    *out = NULL;
    if (!watch)
        return DUET_ERR_NOMEM;
    watch->source = (net_source){watch_ready, fd};
    watch->net = net;
    watch->fn = fn;
    watch->arg = arg;
    if (net_source_add(net, &watch->source, epoll_interest(interest)) != DUET_OK) {
        duet_free(&net->env, watch);
        return DUET_ERR_IO; /* for example a regular file, which epoll refuses */
    }
    *out = watch;
    return DUET_OK;
}

int duet_net_watch_change(duet_net_watch *watch, unsigned interest)
{
    net_source_change(watch->net, &watch->source, epoll_interest(interest));
    return DUET_OK;
}

void duet_net_watch_stop(duet_net_watch *watch)
{
    if (!watch)
        return;
    net_source_remove(watch->net, &watch->source);
    watch->source.fd = -1;
    net_bury(watch->net, &watch->grave, watch);
}
