/* What the files of net/ share. */
#ifndef DUET_NET_INTERNAL_H
#define DUET_NET_INTERNAL_H

#include "base/map.h"
#include "base/memory.h"
#include "base/timer.h"
#include "duet/net.h"
#include "net/tls_stream.h"
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>

typedef struct net_endpoint net_endpoint;
typedef struct net_socket net_socket;
typedef struct net_resolver net_resolver;
typedef struct net_local_names net_local_names;
typedef struct net_watcher net_watcher;
typedef struct net_trust net_trust;

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

/* What a socket is decides who reads, writes and closes it. */
typedef enum net_kind {
    NET_UDP = 0,
    NET_STREAM,   /* the head of a net_stream, stream.c */
    NET_LISTENER, /* the head of a net_listener, listen.c */
} net_kind;

/* There may be ten thousands of these: buffers are the loop's. */
struct net_socket {
    net_source source; /* first */
    net_grave grave;
    net_endpoint *endpoint;      /* NULL: a stream that is closed, but not yet over */
    net_socket *next, *previous; /* of the endpoint, of a listener's handshakes, or of the loop's lingering */
    uint32_t id;
    uint8_t kind;         /* net_kind */
    uint8_t group;        /* in the batch that is being sent, counted from 1 */
    bool waits_for_write; /* it was full, and epoll tells when it no longer is */
    bool holds;           /* and the endpoint is not pulled from before that */
    duet_address local;
    uint8_t *unsent; /* UDP: datagrams that the kernel did not take, each behind its unsent_header */
    size_t unsent_len;
};

struct net_endpoint {
    net_alarm alarm; /* first */
    net_grave grave;
    net_endpoint *next, *next_dirty;
    duet_net *net;
    const duet_endpoint_ops *ops;
    void *object;
    duet_map by_id; /* of the sockets */
    net_socket *sockets;
    size_t socket_count;
    net_socket *recent; /* that was looked up last */
    uint32_t next_accepted;
    bool dirty, dead;
    atomic_bool foreign_wake;
    unsigned inputs;  /* since the last flush */
    unsigned holding; /* how many sockets are full: nothing is pulled until they can be written to, or … */
    duet_time held_until;
    bool watches; /* wants to know when the interfaces change */
    uint32_t watch_id;
    uint64_t told; /* hash of the interfaces that it was told */
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
    net_local_names *local_names;
    net_watcher *watcher;
    net_trust *trusts;
    net_socket *lingering; /* streams that were closed while something waited to be sent, newest first */
    size_t lingering_count;
    char *name_servers;
    uint8_t *receive_buffer;
    atomic_bool foreign_wakes; /* some endpoint has its foreign_wake set */
    atomic_uintptr_t owner;    /* the thread of the current or last turn */
    pthread_mutex_t post_lock;
    net_post *first_post, *last_post;
    char reason[192]; /* of the answer that is being made */
    duet_net_stats stats;
};

#define NET_BUFFER_SIZE 65536 /* one of the receive buffers */

/* net.c */
void net_bury(duet_net *net, net_grave *grave, void *block);
void net_empty_graves(duet_net *net);
int net_source_add(duet_net *net, net_source *source, uint32_t events);
void net_source_change(duet_net *net, net_source *source, uint32_t events);
void net_source_remove(duet_net *net, net_source *source); /* does not close it */
void net_source_close(duet_net *net, net_source *source);  /* removes and closes; fd is -1 then */
void net_show_on_fd(duet_net *net);
void net_arm_fd(duet_net *net);
uint8_t *net_receive_buffer(duet_net *net); /* at least NET_BUFFER_SIZE bytes; NULL: no memory */
size_t net_receive_buffers(const duet_net *net);

/* endpoint.c */
void net_mark_dirty(net_endpoint *ep);
void net_endpoint_answer(net_endpoint *ep, const duet_answer *answer);
void net_endpoint_forget(net_endpoint *ep);
void net_endpoint_serve(net_endpoint *ep);
bool net_endpoint_is_held(const net_endpoint *ep);
/* Something was put in: much that comes in may mean much that goes out, so queues are emptied in between. */
void net_endpoint_note_input(net_endpoint *ep, size_t len);

/* socket.c: what all sockets have in common, and the table of an endpoint's */
void net_set_option(int fd, int level, int option, int value);
int net_bind(duet_net *net, int fd, const duet_request *request); /* 0, or -1 with errno */
int net_socket_add(net_endpoint *ep, net_socket *s, uint32_t id); /* NOMEM, or INVALID: the id is in use */
net_socket *net_socket_find(net_endpoint *ep, uint32_t id);       /* NULL when it is not open */
uint32_t net_socket_accepted_id(net_endpoint *ep);
void net_socket_remove(net_socket *s); /* from its endpoint */
void net_socket_close(net_socket *s);  /* whatever it is */
void net_sockaddr_from(struct sockaddr_storage *out, socklen_t *len, const duet_address *a);
void net_sockaddr_to(duet_address *out, const struct sockaddr *sa);
int net_local_address(int fd, duet_address *out);

/* udp.c */
int net_udp_open(net_endpoint *ep, const duet_request *request, duet_answer *answer);
void net_udp_close(net_socket *s);

/* flush.c */
void net_flush(net_endpoint *ep); /* pulls outputs and sends them */
void net_writable_again(net_socket *s);
void net_socket_unhold(net_socket *s);

/* stream.c */
int net_stream_connect(net_endpoint *ep, const duet_request *request, duet_answer *answer);
/* Takes over an accepted descriptor, also when it fails. `trust` (TLS): its handshake comes first, and it stands in the list
 * of the listener until that is done. */
int net_stream_accept(net_socket *listener, int fd, const duet_address *remote, net_trust *trust);
/* Sends pieces, each whole or not at all. @return 0, EAGAIN when pieces were dropped, or another errno: it has ended */
int net_stream_send(net_socket *s, const struct iovec *pieces, size_t count);
void net_stream_close(net_socket *s);
void net_stream_abort(net_socket *s); /* at once, whatever waits */

/* listen.c */
int net_listen(net_endpoint *ep, const duet_request *request, duet_answer *answer);
void net_listener_close(net_socket *s);
/* A handshake came to its end, well or not. */
void net_listener_forget(net_socket *listener, net_socket *stream);
void net_listener_remember(net_socket *listener, net_socket *stream);

/* trust.c: TLS contexts that several streams share */
int net_trust_client(net_trust **out, duet_net *net, const char *ca_file, bool no_verify, char *reason, size_t size);
int net_trust_server(net_trust **out, duet_net *net, const char *certificate_file, const char *key_file, char *reason,
                     size_t size);
duet_tls_context *net_trust_context(const net_trust *trust);
net_trust *net_trust_share(net_trust *trust);
void net_trust_release(net_trust *trust); /* NULL is fine */

/* interfaces.c */
int net_interfaces(const duet_env *env, duet_interface **out, size_t *count);
uint32_t net_interface_index(const duet_env *env, const duet_address *address); /* 0: nobody has it */

/* watch.c */
void net_answer_interfaces(net_endpoint *ep, const duet_request *request);
void net_watcher_destroy(net_watcher *w);

/* resolve.c */
int net_resolve(net_endpoint *ep, const duet_request *request);
void net_resolver_forget(net_resolver *resolver, const net_endpoint *ep);
void net_resolver_destroy(net_resolver *resolver);

/* local_names.c: multicast DNS */
bool net_is_local_name(const char *name);
int net_local_resolve(net_endpoint *ep, const duet_request *request); /* OK: the answer comes later */
int net_local_publish(net_endpoint *ep, const duet_request *request);
void net_local_withdraw(net_endpoint *ep, uint32_t id); /* of the PUBLISH; nothing when there is none */
void net_local_names_forget(net_local_names *all, const net_endpoint *ep);
void net_local_names_destroy(net_local_names *all);

#endif
