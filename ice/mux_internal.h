/* What the files of the mux share. */
#ifndef DUET_ICE_MUX_INTERNAL_H
#define DUET_ICE_MUX_INTERNAL_H

#include "base/events.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/outbox.h"
#include "base/timer.h"
#include "duet/mux.h"
#include <stdatomic.h>

typedef struct mux_member mux_member;

typedef enum mux_socket_state {
    MUX_SOCKET_WANTED = 0,
    MUX_SOCKET_OPENING,
    MUX_SOCKET_OPEN,
    MUX_SOCKET_FAILED,
    MUX_SOCKET_CLOSING, /* a CLOSE is to be pulled */
} mux_socket_state;

typedef struct mux_socket {
    uint32_t id;
    mux_socket_state state;
    int err;
    duet_address interface;
    duet_address local;
} mux_socket;

/* A remote address on one of the sockets, and whose it is. */
typedef struct mux_remote {
    struct mux_remote *next_same_key; /* in the table */
    struct mux_remote *next;          /* of the same member */
    mux_member *member;
    uint32_t socket;
    duet_address address;
    duet_time heard;
} mux_remote;

typedef struct mux_ufrag {
    struct mux_ufrag *next_same_key;
    struct mux_ufrag *next;
    mux_member *member;
    bool stale; /* while the member's list is compared */
    char text[DUET_UFRAG_MAX + 1];
} mux_ufrag;

/* A socket of an endpoint that is one of the shared ones. */
typedef struct mux_open {
    struct mux_open *next;
    uint32_t inner;
    duet_address bind;
    const mux_socket *socket; /* NULL until there is one, or an answer that there is none */
    bool answered;
} mux_open;

/* A request that was passed on to the driver, or the socket that came of it. */
typedef struct mux_forward {
    mux_member *member;
    uint32_t inner, outer;
    struct mux_forward *next; /* of the same member */
} mux_forward;

struct mux_member {
    duet_timer timer; /* first: timers are cast back */
    duet_mux *mux;
    const duet_endpoint_ops *ops;
    void *object;
    mux_member *next;
    atomic_bool woken; /* it stands in the stack of those that were woken, perhaps by another thread */
    mux_member *next_woken;
    bool dirty, sending, dead;
    mux_member *next_dirty, *next_sending;
    mux_ufrag *ufrags;
    mux_remote *remotes;
    size_t remote_count;
    mux_remote *last_remote; /* most datagrams go where the one before went */
    mux_open *opens;
    mux_forward *forwards;
    uint32_t interfaces_id; /* of its request */
    bool wants_interfaces, has_interfaces;
};

typedef struct mux_request {
    duet_request request;
    struct mux_request *next;
    char name[DUET_HOST_NAME_MAX + 1];
} mux_request;

struct duet_mux {
    duet_env env;
    duet_events events;
    duet_mux_config config;
    duet_outbox outbox; /* last words of endpoints that were removed */
    duet_timers timers;
    duet_time now;
    mux_socket sockets[DUET_MUX_SOCKETS_MAX];
    size_t socket_count;
    uint32_t next_id, interfaces_id;
    bool interfaces_wanted, has_interfaces;
    duet_array interfaces; /* of duet_interface */
    mux_member *members;
    _Atomic(mux_member *) woken;
    mux_member *first_dirty, *last_dirty;
    mux_member *first_sending, *last_sending;
    mux_member *graves;
    mux_request *first_request, *last_request;
    char name[DUET_HOST_NAME_MAX + 1]; /* of the request that was pulled last */
    duet_map remotes, ufrags, forwards;
    size_t remote_count;
    void (*wake)(void *user);
    void *wake_user;
    duet_mux_stats stats;
};

/* mux_tables.c: whose datagram it is */
mux_member *duet_mux_owner_by_ufrag(const duet_mux *mux, const uint8_t *data,
                                    size_t len); /* of a Binding request, or NULL */
mux_remote *duet_mux_remote_find(const duet_mux *mux, uint32_t socket, const duet_address *address);
/* The member sends there. @param proves  it is the response to a check with the member's password */
void duet_mux_remote_note(mux_member *member, uint32_t socket, const duet_address *address, bool proves);
void duet_mux_ufrags_refresh(mux_member *member); /* asks the member for its present ones */
void duet_mux_tables_forget(mux_member *member);

/* mux_requests.c: what members ask of their driver */
void duet_mux_member_request(mux_member *member, const duet_request *request);
mux_forward *duet_mux_forward_find(const duet_mux *mux, uint32_t outer);
mux_open *duet_mux_open_on(const mux_member *member, uint32_t socket);
const mux_socket *duet_mux_socket_of(const mux_member *member, uint32_t inner);
void duet_mux_take_interfaces(duet_mux *mux, const duet_answer *list);
void duet_mux_socket_opened(duet_mux *mux, const duet_answer *answer);
void duet_mux_pass_answer(duet_mux *mux, const duet_answer *answer);
void duet_mux_answer_waiting(mux_member *member); /* sockets and interfaces that are known by now */
void duet_mux_requests_forget(mux_member *member);

/* mux.c */
void duet_mux_mark_dirty(mux_member *member);
void duet_mux_wake(duet_mux *mux);

#endif
