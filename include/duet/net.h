/* The driver with real sockets: one epoll loop that serves many endpoints (peer connections, ICE agents, servers).
 *
 * Either let it run (duet_net_run), turn it yourself (duet_net_turn), or put its one pollable descriptor
 * (duet_net_fd) into poll(), libevent, libuv or any other loop. One loop belongs to one thread; loops share nothing.
 *
 * An endpoint may have any number of sockets. What it sends leaves sorted by socket, with one system call for each. A full UDP
 * socket stops an endpoint of up to 16 sockets until there is room, for 100 ms at most; then, and at once when there are more
 * sockets, what is for the full one is dropped. A stream that is closed still sends what waits, and is over after 3 s; a TLS
 * listener does not tell of a connection before its handshake is done, and has at most 1024 handshakes at a time. */
#ifndef DUET_NET_H
#define DUET_NET_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct duet_net duet_net;
typedef struct duet_net_timer duet_net_timer;
typedef struct duet_net_watch duet_net_watch;
struct duet_pc;

typedef struct duet_net_config {
    size_t size;
    const duet_env *env;
    bool no_offload;          /**< no UDP GSO and GRO: one system call still carries several datagrams */
    bool no_batch;            /**< one system call per datagram (for comparison and for odd kernels) */
    size_t receive_buffers;   /**< 64 KiB each; 0 is 8 */
    int socket_buffer;        /**< SO_SNDBUF and SO_RCVBUF in bytes; 0 is 2 MiB, the kernel may grant less */
    const char *name_servers; /**< for look-ups, "127.0.0.1:5353,…", copied; NULL: as the system is configured */
    duet_time name_timeout; /**< of the first try of a look-up; there are two, the second takes twice as long. 0: 2 s */
    duet_time stream_timeout; /**< for connecting a stream, and for a handshake of TLS. 0: 10 s */
    size_t
        receive_rounds; /**< how often a socket's buffers are filled in a turn before others have theirs; 0 is 4. A server
                                   whose clients all come through one socket wants more */
} duet_net_config;

DUET_API void duet_net_config_init(duet_net_config *config);

/** @param config  NULL for the defaults. @return DUET_OK, DUET_ERR_NOMEM, DUET_ERR_IO (errno tells) */
DUET_API int duet_net_create(duet_net **out, const duet_net_config *config);
/** Closes all sockets; attached endpoints are forgotten, not destroyed; posted functions that have not run never do.
 *  Timers and watches must have been cancelled and stopped. Not legal inside a callback of the loop. NULL is fine. */
DUET_API void duet_net_destroy(duet_net *net);

/** Drives a peer connection until duet_net_remove. Legal in callbacks. */
DUET_API int duet_net_add(duet_net *net, struct duet_pc *pc);
/** Sends what waits in the connection's output, closes its sockets and forgets it. Call it before duet_pc_destroy; both
 *  are legal in callbacks, also in those of this connection. One that is not attached is ignored. */
DUET_API void duet_net_remove(duet_net *net, struct duet_pc *pc);
/** The same for any endpoint. `ops` must outlive it. */
DUET_API int duet_net_attach(duet_net *net, const duet_endpoint_ops *ops, void *object);
DUET_API void duet_net_detach(duet_net *net, void *object);

/** Monotonic time of this turn in microseconds; outside of a turn, of this moment. */
DUET_API duet_time duet_net_now(const duet_net *net);
/** Waits at most `timeout` microseconds (DUET_NEVER: for ever) for something to do, and does it.
 *  @return DUET_OK or DUET_ERR_IO */
DUET_API int duet_net_turn(duet_net *net, duet_time timeout);
/** Turns until duet_net_stop. */
DUET_API int duet_net_run(duet_net *net);
DUET_API void duet_net_stop(duet_net *net);
/** A descriptor that is readable whenever a duet_net_turn with time-out 0 would do something: sockets, timers, posted
 *  functions and pending output. It stays the loop's: do not close it. */
DUET_API int duet_net_fd(duet_net *net);

/** Runs `fn` in the loop's thread. The only function that other threads may call.
 *  @return DUET_OK or DUET_ERR_NOMEM */
DUET_API int duet_net_post(duet_net *net, void (*fn)(void *arg), void *arg);

/** Calls `fn` once after `delay` microseconds (DUET_NEVER: never); free the handle with duet_net_timer_cancel, before,
 *  in or after the call. */
DUET_API int duet_net_timer_start(duet_net_timer **out, duet_net *net, duet_time delay, void (*fn)(void *arg),
                                  void *arg);
DUET_API void duet_net_timer_cancel(duet_net_timer *timer); /**< NULL is fine */

#define DUET_NET_READABLE 1u
#define DUET_NET_WRITABLE 2u

/** Calls `fn` whenever the descriptor is ready (level-triggered; an error or hang-up counts as readable). */
DUET_API int duet_net_watch_start(duet_net_watch **out, duet_net *net, int fd, unsigned interest,
                                  void (*fn)(void *arg, unsigned ready), void *arg);
DUET_API int duet_net_watch_change(duet_net_watch *watch, unsigned interest);
DUET_API void duet_net_watch_stop(duet_net_watch *watch); /**< does not close the descriptor; NULL is fine */

typedef struct duet_net_stats {
    uint64_t turns; /**< loop turns that waited */
    uint64_t datagrams_in, datagrams_out;
    uint64_t bytes_in, bytes_out;
    uint64_t receive_calls, send_calls; /**< system calls */
    uint64_t send_blocked;              /**< times that a socket was full */
    uint64_t send_errors;
    uint64_t truncated;
    uint64_t send_dropped;      /**< datagrams and pieces for sockets that stayed full */
    uint64_t streams_opened;    /**< connections, and what listeners accepted; TLS after its handshake */
    uint64_t handshakes_failed; /**< TLS handshakes of listeners that came to nothing */
} duet_net_stats;

DUET_API void duet_net_get_stats(const duet_net *net, duet_net_stats *out);

#ifdef __cplusplus
}
#endif
#endif
