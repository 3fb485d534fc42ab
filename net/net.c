/* The loop: an epoll set, a timer heap, a list of endpoints with work to do, and functions posted by other threads.
 * A turn waits, hands out what arrived, fires timers, then drives every dirty endpoint until it is quiet. */
#include "net/internal.h"
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN     64
#define PASSES_PER_TURN     4 /* over the dirty list: endpoints of one loop answer each other without a wait between */
#define RECEIVE_ROUNDS      4
#define RECEIVE_BUFFERS_MAX 64
#define STREAM_TIMEOUT      DUET_SECONDS(10)

static duet_time clock_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (duet_time)ts.tv_sec * 1000000u + (duet_time)ts.tv_nsec / 1000u;
}

static uintptr_t this_thread(void)
{
    return (uintptr_t)pthread_self();
}

void duet_net_config_init(duet_net_config *config)
{
    *config = (duet_net_config){.size = sizeof(*config)};
}

/* ---- sources ---- */

int net_source_add(duet_net *net, net_source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(net->epoll, EPOLL_CTL_ADD, source->fd, &event) == 0 ? DUET_OK : DUET_ERR_IO;
}

void net_source_change(duet_net *net, net_source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    epoll_ctl(net->epoll, EPOLL_CTL_MOD, source->fd, &event);
}

void net_source_remove(duet_net *net, net_source *source)
{
    epoll_ctl(net->epoll, EPOLL_CTL_DEL, source->fd, NULL);
}

void net_source_close(duet_net *net, net_source *source)
{
    if (source->fd < 0)
        return;
    net_source_remove(net, source);
    close(source->fd);
    source->fd = -1;
}

void net_bury(duet_net *net, net_grave *grave, void *block)
{
    grave->block = block;
    grave->next = net->graves;
    net->graves = grave;
}

void net_empty_graves(duet_net *net)
{
    while (net->graves) {
        net_grave *grave = net->graves;
        net->graves = grave->next;
        duet_free(&net->env, grave->block);
    }
}

void net_show_on_fd(duet_net *net)
{
    uint64_t one = 1;
    ssize_t ignored = write(net->event_fd, &one, sizeof(one)); /* full means that it shows already */

    (void)ignored;
}

static void event_ready(net_source *source, uint32_t events)
{
    uint64_t count;
    ssize_t ignored = read(source->fd, &count, sizeof(count));

    (void)events;
    (void)ignored;
}

size_t net_receive_buffers(const duet_net *net)
{
    return net->config.no_batch ? 1 : net->config.receive_buffers;
}

uint8_t *net_receive_buffer(duet_net *net)
{
    if (!net->receive_buffer)
        net->receive_buffer = duet_alloc(&net->env, net_receive_buffers(net) * NET_BUFFER_SIZE);
    return net->receive_buffer;
}

/* ---- create and destroy ---- */

static int open_descriptors(duet_net *net)
{
    net->epoll = epoll_create1(EPOLL_CLOEXEC);
    net->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    net->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (net->epoll < 0 || net->event_fd < 0 || net->timer_fd < 0)
        return DUET_ERR_IO;
    net->event_source = (net_source){event_ready, net->event_fd};
    net->timer_source = (net_source){event_ready, net->timer_fd};
    if (net_source_add(net, &net->event_source, EPOLLIN) != DUET_OK)
        return DUET_ERR_IO;
    return net_source_add(net, &net->timer_source, EPOLLIN);
}

int duet_net_create(duet_net **out, const duet_net_config *config)
{
    duet_env env = duet_env_resolve(config ? config->env : NULL);
    duet_net *net = duet_calloc(&env, sizeof(*net));

    *out = NULL;
    if (!net)
        return DUET_ERR_NOMEM;
    net->env = env;
    if (config)
        memcpy(&net->config, config, config->size < sizeof(*config) ? config->size : sizeof(*config));
    net->config.env = NULL;
    if (net->config.receive_buffers == 0)
        net->config.receive_buffers = 8;
    if (net->config.receive_buffers > RECEIVE_BUFFERS_MAX)
        net->config.receive_buffers = RECEIVE_BUFFERS_MAX;
    if (net->config.receive_rounds == 0)
        net->config.receive_rounds = RECEIVE_ROUNDS;
    if (net->config.stream_timeout == 0)
        net->config.stream_timeout = STREAM_TIMEOUT;
    if (net->config.socket_buffer == 0)
        net->config.socket_buffer = 2 << 20;
    net->gso = net->gro = !net->config.no_offload && !net->config.no_batch;
    net->epoll = net->event_fd = net->timer_fd = -1;
    net->timer_fd_deadline = DUET_NEVER;
    pthread_mutex_init(&net->post_lock, NULL);
    atomic_store(&net->owner, this_thread());
    int err = open_descriptors(net);
    if (err == DUET_OK && net->config.name_servers) {
        net->name_servers = duet_strdup(&net->env, net->config.name_servers);
        err = net->name_servers ? DUET_OK : DUET_ERR_NOMEM;
    }
    net->config.name_servers = NULL;
    if (err != DUET_OK) {
        duet_net_destroy(net);
        return err;
    }
    net->now = clock_now();
    *out = net;
    return DUET_OK;
}

static net_endpoint *pop_dirty(duet_net *net)
{
    net_endpoint *ep = net->first_dirty;

    if (!ep)
        return NULL;
    net->first_dirty = ep->next_dirty;
    if (!net->first_dirty)
        net->last_dirty = NULL;
    ep->next_dirty = NULL;
    ep->dirty = false;
    if (ep->dead)
        net_bury(net, &ep->grave, ep);
    return ep;
}

static net_post *take_posts(duet_net *net)
{
    pthread_mutex_lock(&net->post_lock);
    net_post *posts = net->first_post;
    net->first_post = net->last_post = NULL;
    pthread_mutex_unlock(&net->post_lock);
    return posts;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void duet_net_destroy(duet_net *net)
{
    if (!net)
        return;
    while (net->endpoints)
        net_endpoint_forget(net->endpoints);
    while (pop_dirty(net))
        continue;
    for (net_post *post = take_posts(net); post;) {
        net_post *next = post->next;
        duet_free(&net->env, post);
        post = next;
    }
    while (net->lingering)
        net_stream_abort(net->lingering);
    net_resolver_destroy(net->resolver);
    net_local_names_destroy(net->local_names);
    net_watcher_destroy(net->watcher);
    net_empty_graves(net);
    close_fd(net->timer_fd);
    close_fd(net->event_fd);
    close_fd(net->epoll);
    pthread_mutex_destroy(&net->post_lock);
    duet_free(&net->env, net->receive_buffer);
    duet_free(&net->env, net->name_servers);
    duet_env env = net->env;
    duet_free(&env, net);
}

/* ---- turns ---- */

duet_time duet_net_now(const duet_net *net)
{
    return net->in_turn ? net->now : clock_now();
}

static int wait_for_events(duet_net *net, struct epoll_event *events, duet_time timeout)
{
    struct timespec ts = {.tv_sec = (time_t)(timeout / 1000000u), .tv_nsec = (long)(timeout % 1000000u) * 1000};
    int n = epoll_pwait2(net->epoll, events, EVENTS_PER_TURN, timeout == DUET_NEVER ? NULL : &ts, NULL);

    if (n < 0 && errno == ENOSYS) { /* before Linux 5.11: milliseconds, rounded up so that timers are due afterwards */
        duet_time ms = timeout == DUET_NEVER ? 0 : (timeout + 999) / 1000;
        n = epoll_wait(net->epoll, events, EVENTS_PER_TURN,
                       timeout == DUET_NEVER ? -1 : (int)(ms > INT_MAX ? INT_MAX : ms));
    }
    return n < 0 && errno == EINTR ? 0 : n;
}

static void run_posts(duet_net *net)
{
    net_post *post = take_posts(net);

    while (post) {
        net_post *next = post->next;
        post->fn(post->arg);
        duet_free(&net->env, post);
        post = next;
    }
}

/* Wakes that came from other threads: usrsctp's timers may have run there. */
static void collect_foreign_wakes(duet_net *net)
{
    if (!atomic_exchange(&net->foreign_wakes, false))
        return;
    for (net_endpoint *ep = net->endpoints; ep; ep = ep->next) {
        if (atomic_exchange(&ep->foreign_wake, false))
            net_mark_dirty(ep);
    }
}

static void fire_timers(duet_net *net)
{
    for (duet_timer *t = duet_timers_pop(&net->timers, net->now); t; t = duet_timers_pop(&net->timers, net->now)) {
        net_alarm *alarm = (net_alarm *)t;
        alarm->fire(alarm);
    }
}

static void serve_dirty(duet_net *net)
{
    for (int pass = 0; pass < PASSES_PER_TURN && net->first_dirty; pass++) {
        const net_endpoint *last = net->last_dirty; /* what gets dirty meanwhile is for the next pass */
        bool more = true;
        while (more) {
            net_endpoint *ep = pop_dirty(net);
            if (!ep)
                break;
            more = ep != last;
            if (!ep->dead)
                net_endpoint_serve(ep);
        }
    }
}

/* In a foreign loop, timers and left-over work must make the descriptor readable. */
void net_arm_fd(duet_net *net)
{
    if (!net->pollable)
        return;
    if (net->first_dirty)
        net_show_on_fd(net);
    duet_time deadline = duet_timers_deadline(&net->timers);
    if (deadline == net->timer_fd_deadline)
        return;
    struct itimerspec when = {0}; /* zero disarms */
    if (deadline != DUET_NEVER) {
        duet_time at = deadline ? deadline : 1;
        when.it_value.tv_sec = (time_t)(at / 1000000u);
        when.it_value.tv_nsec = (long)(at % 1000000u) * 1000;
    }
    timerfd_settime(net->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    net->timer_fd_deadline = deadline;
}

int duet_net_turn(duet_net *net, duet_time timeout)
{
    struct epoll_event events[EVENTS_PER_TURN];

    atomic_store(&net->owner, this_thread());
    duet_time deadline = duet_timers_deadline(&net->timers);
    if (net->first_dirty)
        timeout = 0;
    if (timeout > 0 && deadline != DUET_NEVER) {
        duet_time now = clock_now();
        duet_time until = deadline > now ? deadline - now : 0;
        timeout = until < timeout ? until : timeout;
    }
    int n = wait_for_events(net, events, timeout);
    if (n < 0)
        return DUET_ERR_IO;
    net->now = clock_now();
    net->in_turn = true;
    net->stats.turns++;
    for (int i = 0; i < n; i++) {
        net_source *source = events[i].data.ptr;
        if (source->fd >= 0) /* not closed by an earlier event of this turn */
            source->ready(source, events[i].events);
    }
    run_posts(net);
    collect_foreign_wakes(net);
    fire_timers(net);
    serve_dirty(net);
    net->in_turn = false;
    net_empty_graves(net);
    net_arm_fd(net);
    return DUET_OK;
}

int duet_net_run(duet_net *net)
{
    int err = DUET_OK;

    net->stopped = false;
    while (err == DUET_OK && !net->stopped)
        err = duet_net_turn(net, DUET_NEVER);
    return err;
}

void duet_net_stop(duet_net *net)
{
    net->stopped = true;
}

int duet_net_fd(duet_net *net)
{
    if (!net->pollable) {
        net->pollable = true;
        net_arm_fd(net);
    }
    return net->epoll;
}

int duet_net_post(duet_net *net, void (*fn)(void *arg), void *arg)
{
    net_post *post = duet_alloc(&net->env, sizeof(*post));

    if (!post)
        return DUET_ERR_NOMEM;
    *post = (net_post){NULL, fn, arg};
    pthread_mutex_lock(&net->post_lock);
    if (net->last_post)
        net->last_post->next = post;
    else
        net->first_post = post;
    net->last_post = post;
    pthread_mutex_unlock(&net->post_lock);
    net_show_on_fd(net);
    return DUET_OK;
}

void duet_net_get_stats(const duet_net *net, duet_net_stats *out)
{
    *out = net->stats;
}
