/* What the files of net/ share. */
#ifndef DUET_NET_INTERNAL_H
#define DUET_NET_INTERNAL_H

#include "base/memory.h"
#include "base/timer.h"
#include "duet/net.h"
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>

typedef struct net_endpoint net_endpoint;
typedef struct net_socket net_socket;
typedef struct net_resolver net_resolver;

/* Something in the epoll set. */
typedef struct net_source {
    void (*ready)(struct net_source *source, uint32_t events);
    int fd;
} net_source;

/* Something that is freed at the end of the turn, because an event of this turn may still point to it. */
typedef struct net_grave {
    struct net_grave *next;
    void *block;
} net_grave;

/* A timer with what to do. */
typedef struct net_alarm {
    duet_timer timer; /* first: timers are cast back */
    void (*fire)(struct net_alarm *alarm);
} net_alarm;

struct net_socket {
    net_source source; /* first */
    net_grave grave;
    net_socket *next;
    net_endpoint *endpoint;
    uint32_t id;
    duet_address local;
    bool waits_for_write;
    uint8_t *unsent; /* datagrams that the kernel did not take, each behind its net_unsent */
    size_t unsent_len;
};

struct net_endpoint {
    net_alarm alarm; /* first */
    net_grave grave;
    net_endpoint *next, *next_dirty;
    duet_net *net;
    const duet_endpoint_ops *ops;
    void *object;
    net_socket *sockets;
    bool dirty, dead;
    atomic_bool foreign_wake;
    bool blocked; /* a socket is full: nothing is pulled until it can be written to */
};

typedef struct net_post {
    struct net_post *next;
    void (*fn)(void *arg);
    void *arg;
} net_post;

struct duet_net {
    duet_env env;
    duet_net_config config;
    int epoll, event_fd, timer_fd;
    net_source event_source, timer_source;
    bool pollable; /* somebody polls the descriptor: timers and pending output must show there */
    bool gso, gro;
    bool in_turn;
    bool stopped;
    duet_time now;
    duet_time timer_fd_deadline;
    duet_timers timers;
    net_endpoint *endpoints;
    net_endpoint *first_dirty, *last_dirty;
    net_grave *graves;
    net_resolver *resolver;
    char *name_servers;
    uint8_t *receive_buffer;
    atomic_bool foreign_wakes; /* some endpoint has its foreign_wake set */
    atomic_uintptr_t owner;    /* the thread of the current or last turn */
    pthread_mutex_t post_lock;
    net_post *first_post, *last_post;
    duet_net_stats stats;
};

/* net.c */
void net_mark_dirty(net_endpoint *ep);
void net_bury(duet_net *net, net_grave *grave, void *block);
int net_source_add(duet_net *net, net_source *source, uint32_t events);
void net_source_change(duet_net *net, net_source *source, uint32_t events);
void net_source_remove(duet_net *net, net_source *source);
void net_endpoint_answer(net_endpoint *ep, const duet_answer *answer);

/* udp.c */
int net_udp_open(net_endpoint *ep, const duet_request *request, duet_answer *answer);
net_socket *net_socket_find(net_endpoint *ep, uint32_t id); /* NULL when it is not open */
void net_socket_close(net_socket *s);
void net_udp_flush(net_endpoint *ep); /* pulls outputs and sends them */
void net_sockaddr_from(struct sockaddr_storage *out, socklen_t *len, const duet_address *a);
void net_sockaddr_to(duet_address *out, const struct sockaddr *sa);

/* interfaces.c */
int net_interfaces(const duet_env *env, duet_interface **out, size_t *count);

/* resolve.c */
int net_resolve(net_endpoint *ep, const duet_request *request);
void net_resolver_forget(net_resolver *resolver, const net_endpoint *ep);
void net_resolver_destroy(net_resolver *resolver);

#endif
