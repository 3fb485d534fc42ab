/* What the files of sim/ share. */
#ifndef DUET_SIM_INTERNAL_H
#define DUET_SIM_INTERNAL_H

#include "base/map.h"
#include "base/memory.h"
#include "base/timer.h"
#include "duet/sim.h"

typedef struct sim_packet sim_packet;

/* A timer with what to do. */
typedef struct sim_alarm {
    duet_timer timer; /* first: timers are cast back */
    void (*fire)(duet_sim *sim, struct sim_alarm *alarm);
} sim_alarm;

/* Something in a table: those with the same key are a chain. */
typedef struct sim_entry {
    struct sim_entry *next_same;
    uint64_t key;
} sim_entry;

/* One direction of a link, with its state. */
typedef struct sim_pipe {
    duet_sim_link link;
    duet_time free_at;   /* when the last packet has left */
    duet_time last_exit; /* jitter does not reorder */
    bool is_bad;         /* Gilbert-Elliott */
} sim_pipe;

/* An address on its link: of a host, or the outside of a NAT. */
typedef struct sim_interface {
    sim_entry entry; /* first; by site and address */
    struct sim_interface *next;
    duet_sim_host *host; /* NULL: the outside of … */
    duet_sim_nat *nat;   /* … this NAT */
    duet_sim_nat *site;  /* behind which NAT it is; NULL: in the core */
    duet_address address;
    uint16_t next_port;
    bool is_up;
    sim_pipe up, down;
} sim_interface;

typedef enum sim_kind {
    SIM_UDP = 0,
    SIM_LISTENER,
    SIM_STREAM, /* the head of a sim_stream, stream.c */
} sim_kind;

typedef struct sim_endpoint sim_endpoint;

/* A bound port: a socket of an endpoint, or a plain listener. */
typedef struct sim_socket {
    sim_entry entry;                    /* first; by interface, kind and port, streams also by their peer */
    struct sim_socket *next, *previous; /* of the endpoint, or plain ones */
    struct sim_socket *next_joined;     /* all those that have joined a group */
    sim_kind kind;
    duet_protocol protocol;
    sim_interface *interface;
    uint16_t port;
    uint32_t id;
    bool shares_port;
    duet_address group;
    sim_endpoint *endpoint;
    duet_sim_receive_fn receive;
    void *user;
} sim_socket;

struct sim_endpoint {
    sim_alarm alarm; /* first */
    struct sim_endpoint *next, *next_dirty;
    duet_sim *sim;
    duet_sim_host *host;
    const duet_endpoint_ops *ops;
    void *object;
    duet_map by_id; /* of the sockets */
    sim_socket *sockets;
    uint32_t next_accepted;
    bool watches; /* wants to know when the interfaces change */
    uint32_t watch_id;
    bool is_to_be_told;
    bool dirty, dead;
};

struct duet_sim_host {
    duet_sim_host *next;
    duet_sim *sim;
    char name[16];
    uint32_t index;
    bool news_is_due; /* interfaces have changed, who watches will be told */
    sim_interface *interfaces;
};

/* What a segment of a stream is. */
typedef enum sim_segment {
    SIM_DATA = 0,
    SIM_SYN,
    SIM_SYN_ACK,
    SIM_FIN,
    SIM_RST,
} sim_segment;

/* A packet under way: a datagram, or a segment of a stream, which is sent again when it is lost. */
struct sim_packet {
    sim_alarm alarm; /* first */
    duet_address from, to;
    sim_interface *at; /* in whose link it is */
    bool is_upwards;
    bool is_stream;
    uint8_t dscp, ecn, hops;
    /* Of a segment: */
    sim_segment segment;
    uint8_t tries;
    uint64_t serial;   /* of the stream that sent it */
    uint64_t sequence; /* counts segments */
    sim_packet *next;  /* among those that came too early */
    sim_interface *source;
    duet_address sent_from, sent_to; /* before any NAT */
    size_t len;
    uint8_t data[];
};

typedef struct sim_name {
    struct sim_name *next;
    const sim_endpoint *publisher; /* NULL: it is for ever and everywhere */
    uint32_t id;
    duet_address address;
    char name[];
} sim_name;

struct duet_sim {
    duet_env env;
    uint64_t random;
    duet_time now;
    duet_timers timers;
    duet_sim_host *hosts;
    uint32_t host_count;
    duet_sim_nat *nats;
    duet_map interfaces, sockets; /* of sim_entry chains */
    duet_map streams;             /* by serial */
    uint64_t next_serial;
    sim_socket *joined;
    sim_endpoint *endpoints, *graves;
    sim_endpoint *first_dirty, *last_dirty;
    sim_socket *plain;
    sim_name *names;
    duet_sim_stats stats;
};

/* sim.c */
uint64_t sim_random(duet_sim *sim);
bool sim_chance(duet_sim *sim, double probability);
void sim_mark_dirty(sim_endpoint *ep);
int sim_table_add(duet_map *table, sim_entry *entry, uint64_t key);
void sim_table_remove(duet_map *table, sim_entry *entry);
int sim_name_add(duet_sim *sim, const char *name, const duet_address *address, const sim_endpoint *publisher,
                 uint32_t id);
void sim_names_withdraw(duet_sim *sim, const sim_endpoint *publisher, bool all, uint32_t id);

/* host.c */
sim_interface *sim_find_interface(duet_sim *sim, const duet_sim_nat *site, const duet_address *address);
sim_interface *sim_host_interface(const duet_sim_host *host, const duet_address *address); /* any port */
int sim_interface_add(sim_interface **out, duet_sim *sim, duet_sim_nat *site, const char *address,
                      const duet_sim_link *up, const duet_sim_link *down);

/* socket.c */
int sim_socket_add(sim_socket *s, sim_interface *interface, const duet_address *peer);
void sim_socket_remove(sim_socket *s); /* from the table of its world */
sim_socket *sim_find_socket(const sim_interface *at, uint16_t port, const duet_address *from);
sim_socket *sim_find_listener(const sim_interface *at, uint16_t port, const duet_address *from);
sim_socket *sim_find_stream(const sim_interface *at, uint16_t port, const duet_address *peer);
uint16_t sim_pick_port(sim_interface *interface, sim_kind kind, const duet_request *request); /* 0: none is free */
int sim_endpoint_take(sim_endpoint *ep, sim_socket *s, uint32_t id); /* NOMEM, or INVALID: the id is in use */
uint32_t sim_accepted_id(sim_endpoint *ep);
void sim_socket_close(sim_socket *s); /* of an endpoint: ends it and frees it */

/* endpoint.c */
void sim_serve(sim_endpoint *ep);
void sim_answer(sim_endpoint *ep, const duet_answer *answer);
void sim_interfaces_changed(duet_sim_host *host);

/* link.c */
sim_packet *sim_packet_new(duet_sim *sim, const duet_address *from, const duet_address *to, const void *data,
                           size_t len);
void sim_packet_send(duet_sim *sim, sim_packet *p, sim_interface *from); /* from NULL: forged, it has no link */
void sim_enter_up(duet_sim *sim, sim_packet *p, sim_interface *i);
void sim_lose(duet_sim *sim, sim_packet *p); /* frees a datagram; a segment is sent again later */

/* route.c */
void sim_route(duet_sim *sim, sim_packet *p, duet_sim_nat *site);
void sim_arrive(duet_sim *sim, sim_alarm *alarm); /* at the end of a link */
void sim_enter_down(duet_sim *sim, sim_packet *p, sim_interface *i);

/* stream.c */
int sim_stream_connect(sim_endpoint *ep, const duet_request *request, duet_answer *answer);
int sim_stream_send(sim_socket *s, const void *data, size_t len); /* 0 or an errno */
void sim_stream_receive(duet_sim *sim, sim_interface *at, sim_packet *p);
void sim_stream_end(sim_socket *s); /* tells the peer and frees it */
const duet_address *sim_stream_peer(const sim_socket *s);
void sim_stream_lost(duet_sim *sim, sim_packet *p);

/* nat.c */
void sim_nat_outbound(duet_sim *sim, duet_sim_nat *nat, sim_packet *p);
void sim_nat_inbound(duet_sim *sim, duet_sim_nat *nat, sim_packet *p);
void sim_nats_free(duet_sim *sim);

#endif
