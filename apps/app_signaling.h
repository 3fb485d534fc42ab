/* What the subcommands around signaling share: secrets and tokens, and the ways in which `duet echo` finds its peer. */
#ifndef DUET_APPS_SIGNALING_H
#define DUET_APPS_SIGNALING_H

#include "app.h"
#include "duet/signaling.h"

/* ---- secret.c ---- */

typedef struct app_secret {
    uint8_t bytes[1024];
    size_t len;
} app_secret;

/* Both: @return false after an error message */
bool app_secret_read(app_secret *out, const char *file_name);
bool app_secret_make(app_secret *out);

/* ---- token.c ---- */

/* A token for `subject`, valid for so many seconds from now. @return NULL after an error message; free() it */
char *app_token_make(const app_secret *secret, const duet_token_claims *claims, long ttl_seconds);

/* ---- link.c: one way to exchange descriptions and candidates with peers ---- */

typedef struct app_link app_link;

/* What a link tells. Peers have names; aiortc's sockets know one peer, "peer". */
typedef struct app_link_callbacks {
    /* We are there. In a room `self` is our own name, and `ice_servers` what it advises as JSON; otherwise NULL. */
    void (*on_ready)(void *user, const char *self, const char *ice_servers);
    void (*on_peer)(void *user, const char *peer, const char *agent_id);
    void (*on_gone)(void *user, const char *peer, const char *reason);
    void (*on_description)(void *user, const char *peer, duet_sdp_type type, const char *sdp);
    void (*on_candidate)(void *user, const char *peer, const duet_pc_candidate *candidate);
    /* The end, once. */
    void (*on_closed)(void *user, const char *reason);
    void *user;
} app_link_callbacks;

typedef struct app_link_options {
    const char *url; /* ws://host:port[/ws], wss://…, tcp://host:port, unix://path */
    const char *room, *token;
    const char *ca_file; /* wss: who is trusted; NULL: the system's authorities */
    bool offers;         /* aiortc's sockets: who sends first listens, the other one connects */
} app_link_options;

/* One kind of link. */
typedef struct app_link_ops {
    int (*send_description)(void *link, const char *peer, duet_sdp_type type, const char *sdp);
    int (*send_candidate)(void *link, const char *peer, const duet_pc_candidate *candidate);
    void (*peer_done)(void *link, const char *peer); /* we are through with this peer */
    void (*close)(void *link);
} app_link_ops;

struct app_link {
    const app_link_ops *ops;
    void *link;
    bool trickle; /* candidates may follow the description */
};

/* @return an exit code, after an error message when it is not APP_OK */
int app_link_open(app_link *out, duet_net *net, const app_link_options *options, const app_link_callbacks *callbacks);
void app_link_close(app_link *link); /* without further callbacks */

int app_room_link_open(app_link *out, duet_net *net, const app_link_options *o, const app_link_callbacks *callbacks);
int app_socket_link_open(app_link *out, duet_net *net, const app_link_options *o, const app_link_callbacks *callbacks);

#endif
