/* Many endpoints behind one UDP port: a server with thousands of peer connections needs one socket for each interface, and one
 * port in its firewall.
 *
 * The mux is an endpoint to its driver (net, sim or anybody's) and a driver to the endpoints that are added to it. A Binding
 * request finds its endpoint by the username fragment that it was sent to (RFC 8445 section 7.3), everything else by the
 * address that it comes from, once the endpoint has sent something there. One mux belongs to one thread; for N threads make N
 * of them on N ports. STUN and TURN servers make little sense behind it, because all endpoints share one address: announce
 * the public one with `nat_1to1`, and consider ICE-lite. TCP, names and the like are passed through to the driver. */
#ifndef DUET_MUX_H
#define DUET_MUX_H

#include "duet/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct duet_mux duet_mux;

#define DUET_MUX_SOCKETS_MAX     16 /* interfaces */
#define DUET_MUX_REMOTES_EACH    64 /* remote addresses of one endpoint; beyond it the one silent longest is forgotten */
#define DUET_MUX_REMOTES_DEFAULT 65536
#define DUET_MUX_TAKE_OVER_AFTER DUET_SECONDS(10)

typedef struct duet_mux_config {
    size_t size;
    const duet_env *env;
    uint16_t port;     /**< the one UDP port on all interfaces; 0: any, perhaps another one on each */
    duet_address bind; /**< this local address only; family NONE: all */
    bool loopback;     /**< also loopback interfaces */
    bool share_port;   /**< other sockets of the host may bind the port too (SO_REUSEPORT) */
    size_t
        remotes_max; /**< remote addresses in all, 0: DUET_MUX_REMOTES_DEFAULT. Beyond it new ones are not remembered */
    /** A socket is bound, or err says why not. */
    void (*on_listening)(void *user, int err, const duet_address *local);
    void *user;
} duet_mux_config;

typedef struct duet_mux_stats {
    size_t endpoints, remotes;
    uint64_t unknown_ufrag;   /**< Binding requests for nobody */
    uint64_t unknown_remote;  /**< other datagrams from addresses that nobody has sent to */
    uint64_t remotes_refused; /**< not remembered: the table is full, or the address is another endpoint's */
} duet_mux_stats;

DUET_API void duet_mux_config_init(duet_mux_config *config);
/** @return DUET_OK, DUET_ERR_NOMEM, DUET_ERR_CRYPTO */
DUET_API int duet_mux_create(duet_mux **out, const duet_mux_config *config);
/** Endpoints that are still in it are forgotten, not destroyed. NULL is fine; not inside an event of an endpoint. */
DUET_API void duet_mux_destroy(duet_mux *mux);

/** Drives the object from now on, until it is removed. Its ops must have `local_ufrag`.
 *  @return DUET_OK, DUET_ERR_INVALID, DUET_ERR_NOMEM */
DUET_API int duet_mux_add(duet_mux *mux, const duet_endpoint_ops *ops, void *object);
/** Lets go of the object, after its last datagrams were taken; nothing when it is not there. Legal inside its events. */
DUET_API void duet_mux_remove(duet_mux *mux, void *object);

DUET_API void duet_mux_get_stats(const duet_mux *mux, duet_mux_stats *out);
/** For `duet_mux *`, to be given to duet_net_attach or duet_sim_attach. */
DUET_API const duet_endpoint_ops *duet_mux_endpoint_ops(void);

#ifdef __cplusplus
}
#endif
#endif
