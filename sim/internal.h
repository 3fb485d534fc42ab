/* What the files of sim/ share. */
#ifndef DUET_SIM_INTERNAL_H
#define DUET_SIM_INTERNAL_H

#include "base/map.h"
#include "base/memory.h"
#include "base/timer.h"
#include "duet/sim.h"

/* A timer with what to do. */
typedef struct sim_alarm {
    duet_timer timer; /* first: timers are cast back */
    void (*fire)(duet_sim *sim, struct sim_alarm *alarm);
} sim_alarm;

/* One direction of a link, with its state. */
typedef struct sim_pipe {
    duet_sim_link link;
    duet_time free_at;   /* when the last packet has left */
    duet_time last_exit; /* jitter does not reorder */
    bool is_bad;         /* Gilbert-Elliott */
} sim_pipe;

typedef struct sim_interface {
    struct sim_interface *next;
    duet_sim_host *host;
    duet_address address;
    bool is_up;
    sim_pipe up, down;
} sim_interface;

typedef struct sim_endpoint {
    sim_alarm alarm; /* first */
    struct sim_endpoint *next, *next_dirty;
    duet_sim *sim;
    duet_sim_host *host;
    const duet_endpoint_ops *ops;
    void *object;
    bool dirty, dead;
} sim_endpoint;

/* A bound port: a socket of an endpoint, or a plain listener. */
typedef struct sim_socket {
    struct sim_socket *next;
    sim_interface *interface;
    uint16_t port;
    uint32_t id;
    sim_endpoint *endpoint;
    duet_sim_receive_fn receive;
    void *user;
} sim_socket;

struct duet_sim_host {
    duet_sim_host *next;
    duet_sim *sim;
    char name[16];
    uint32_t index;
    uint16_t next_port;
    sim_interface *interfaces;
};

/* A packet under way. */
typedef struct sim_packet {
    sim_alarm alarm; /* first */
    duet_address from, to;
    uint8_t dscp, ecn;
    bool passed_up; /* through the sender's link */
    size_t len;
    uint8_t data[];
} sim_packet;

typedef struct sim_name {
    struct sim_name *next;
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
    sim_endpoint *endpoints, *graves;
    sim_endpoint *first_dirty, *last_dirty;
    sim_socket *sockets;
    sim_name *names;
    duet_sim_stats stats;
};

/* sim.c */
uint64_t sim_random(duet_sim *sim);
bool sim_chance(duet_sim *sim, double probability);
void sim_mark_dirty(sim_endpoint *ep);

/* host.c */
sim_interface *sim_find_interface(duet_sim *sim, const duet_address *address);
sim_socket *sim_find_socket(duet_sim *sim, const duet_address *address);
void sim_serve(sim_endpoint *ep);

/* link.c */
int sim_transmit(duet_sim *sim, const duet_address *from, const duet_datagram *datagram);

#endif
