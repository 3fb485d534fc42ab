/* The workers of `duet turn`: each has a thread, a loop and a server; what they share is the registry. Others reach a worker only by
 * functions that they post to its loop. */
#include "turn.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define CLOCK_CHECK     DUET_SECONDS(60) /* a wall clock may be set */
#define RECEIVE_BUFFERS 64 /* all clients come through one socket: what it holds is sorted by peer in one turn */
#define RECEIVE_ROUNDS  16

typedef struct worker {
    turn_service *service;
    duet_net *net;
    duet_turn_server *server;
    duet_net_timer *clock_timer;
    pthread_t thread;
    bool has_thread;
    bool drained;          /* these below: under the service's lock */
    duet_turn_stats stats; /* of the last request for them */
} worker;

struct turn_service {
    const turn_options *options;
    duet_turn_registry *registry;
    duet_turn_listener listeners[TURN_LISTENERS_MAX]; /* with the ports that the first worker got */
    worker workers[TURN_WORKERS_MAX];
    unsigned worker_count;
    int fd;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t answered; /* listeners of the worker that starts */
    bool failed;
    unsigned stats_missing;
};

static void tell(turn_service *s)
{
    uint64_t one = 1;
    ssize_t ignored = write(s->fd, &one, sizeof(one));

    (void)ignored;
}

/* ---- in the worker's thread ---- */

static void on_listening(void *user, size_t index, int err, const char *reason, const duet_address *address)
{
    worker *w = user;
    turn_service *s = w->service;
    char text[DUET_ADDRESS_TEXT_MAX];

    (void)reason;
    if (err != DUET_OK)
        app_error("cannot listen on %s: %s", duet_address_text(address, text, sizeof(text)), duet_strerror(err));
    pthread_mutex_lock(&s->lock);
    if (err == DUET_OK && index < s->options->listener_count)
        s->listeners[index].address = *address;
    s->failed = s->failed || err != DUET_OK;
    s->answered++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void on_drained(void *user)
{
    worker *w = user;
    turn_service *s = w->service;
    bool all = true;

    pthread_mutex_lock(&s->lock);
    w->drained = true;
    for (unsigned i = 0; i < s->worker_count; i++)
        all = all && s->workers[i].drained;
    pthread_mutex_unlock(&s->lock);
    if (all)
        tell(s);
}

static void tell_time(void *arg)
{
    worker *w = arg;

    duet_net_timer_cancel(w->clock_timer);
    duet_turn_server_set_wall_clock(w->server, (uint64_t)time(NULL), duet_net_now(w->net));
    if (duet_net_timer_start(&w->clock_timer, w->net, CLOCK_CHECK, tell_time, w) != DUET_OK)
        w->clock_timer = NULL;
}

static void *run_worker(void *arg)
{
    worker *w = arg;

    duet_net_run(w->net);
    return NULL;
}

static void drain_worker(void *arg)
{
    worker *w = arg;

    duet_turn_server_drain(w->server);
}

static void stop_worker(void *arg)
{
    worker *w = arg;

    duet_net_stop(w->net);
}

static void collect_stats(void *arg)
{
    worker *w = arg;
    turn_service *s = w->service;

    pthread_mutex_lock(&s->lock);
    duet_turn_server_get_stats(w->server, &w->stats);
    s->stats_missing--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* ---- in the main thread ---- */

static int create_server(turn_service *s, worker *w, const duet_env *env)
{
    const turn_options *o = s->options;
    const duet_turn_listener *listeners[TURN_LISTENERS_MAX];
    const duet_turn_user *users[TURN_USERS_MAX];
    duet_turn_config c;

    for (size_t i = 0; i < o->listener_count; i++)
        listeners[i] = &s->listeners[i];
    for (size_t i = 0; i < o->user_count; i++)
        users[i] = &o->users[i];
    duet_turn_config_init(&c);
    c.env = env;
    c.registry = s->registry;
    c.listeners = listeners;
    c.listener_count = o->listener_count;
    c.share_port = o->workers > 1;
    c.relay_ipv4 = o->relay[0];
    c.relay_ipv6 = o->relay[1];
    c.external_ipv4 = o->external[0];
    c.external_ipv6 = o->external[1];
    c.realm = o->realm;
    c.users = users;
    c.user_count = o->user_count;
    c.secret = o->secret[0] ? o->secret : NULL;
    c.allow_peers = o->allow;
    c.allow_peer_count = o->allow_count;
    c.deny_peers = o->deny;
    c.deny_peer_count = o->deny_count;
    c.allocation_bandwidth = o->bandwidth;
    c.alternate = o->alternate;
    c.on_listening = on_listening;
    c.on_drained = on_drained;
    c.user = w;
    return duet_turn_server_create(&w->server, &c);
}

/* Until all listeners of the worker have answered. @return whether all listen */
static bool wait_for_listeners(turn_service *s)
{
    size_t expected = s->options->listener_count;

    pthread_mutex_lock(&s->lock);
    while (s->answered < expected)
        pthread_cond_wait(&s->changed, &s->lock);
    bool good = !s->failed;
    pthread_mutex_unlock(&s->lock);
    return good;
}

static bool start_worker(turn_service *s)
{
    worker *w = &s->workers[s->worker_count];
    duet_env env = DUET_ENV_INIT;
    duet_net_config net = {0};

    env.log = app_log;
    env.log_level = s->options->verbose ? DUET_LOG_DEBUG : DUET_LOG_WARN;
    duet_net_config_init(&net);
    net.env = &env;
    net.receive_buffers = RECEIVE_BUFFERS;
    net.receive_rounds = RECEIVE_ROUNDS;
    w->service = s;
    s->worker_count++;
    s->answered = 0;
    int err = duet_net_create(&w->net, &net);
    if (err == DUET_OK)
        err = create_server(s, w, &env);
    if (err == DUET_OK)
        err = duet_net_attach(w->net, duet_turn_server_endpoint_ops(), w->server);
    if (err != DUET_OK) {
        app_error(err == DUET_ERR_INVALID ? "turn: %s: look at --realm, the peer rules, --relay and --alternate"
                                          : "cannot start a worker: %s",
                  duet_strerror(err));
        return false;
    }
    if (s->options->secret[0])
        tell_time(w);
    w->has_thread = pthread_create(&w->thread, NULL, run_worker, w) == 0;
    return w->has_thread && wait_for_listeners(s);
}

static bool start_registry(turn_service *s)
{
    duet_turn_registry_config c;

    duet_turn_registry_config_init(&c);
    c.port_min = s->options->port_min;
    c.port_max = s->options->port_max;
    c.allocations_max = s->options->allocations;
    c.allocations_per_user = s->options->user_allocations;
    c.user_bandwidth = s->options->user_bandwidth;
    return duet_turn_registry_create(&s->registry, &c) == DUET_OK;
}

turn_service *turn_service_start(const turn_options *o)
{
    turn_service *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->options = o;
    memcpy(s->listeners, o->listeners, sizeof(s->listeners));
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->fd = eventfd(0, EFD_CLOEXEC);
    bool good = s->fd >= 0 && start_registry(s);
    for (unsigned i = 0; i < o->workers && good; i++)
        good = start_worker(s);
    if (good)
        return s;
    turn_service_stop(s);
    return NULL;
}

const duet_address *turn_service_address(const turn_service *s, size_t listener)
{
    return &s->listeners[listener].address;
}

int turn_service_fd(const turn_service *s)
{
    return s->fd;
}

void turn_service_drain(turn_service *s)
{
    for (unsigned i = 0; i < s->worker_count; i++)
        (void)duet_net_post(s->workers[i].net, drain_worker, &s->workers[i]);
}

static void add_stats(duet_turn_stats *sum, const duet_turn_stats *one)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)one;

    _Static_assert(sizeof(*sum) % sizeof(uint64_t) == 0, "all of them are uint64_t");
    for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++)
        to[i] += from[i];
}

void turn_service_stats(turn_service *s, duet_turn_stats *out)
{
    memset(out, 0, sizeof(*out));
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->worker_count; i++)
        s->stats_missing += duet_net_post(s->workers[i].net, collect_stats, &s->workers[i]) == DUET_OK;
    while (s->stats_missing > 0)
        pthread_cond_wait(&s->changed, &s->lock);
    for (unsigned i = 0; i < s->worker_count; i++)
        add_stats(out, &s->workers[i].stats);
    pthread_mutex_unlock(&s->lock);
}

void turn_service_stop(turn_service *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->worker_count; i++) {
        worker *w = &s->workers[i];
        if (w->has_thread && duet_net_post(w->net, stop_worker, w) == DUET_OK)
            pthread_join(w->thread, NULL);
        duet_net_timer_cancel(w->clock_timer);
        if (w->server && w->net)
            duet_net_detach(w->net, w->server);
        duet_turn_server_destroy(w->server);
        duet_net_destroy(w->net);
    }
    duet_turn_registry_destroy(s->registry);
    if (s->fd >= 0)
        close(s->fd);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
