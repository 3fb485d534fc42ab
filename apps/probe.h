/* What `duet probe` finds out, and the parts that find it out. */
#ifndef DUET_APPS_PROBE_H
#define DUET_APPS_PROBE_H

#include "duet/net.h"
#include "ice/nat_behaviour.h"

#define PROBE_TEXT_MAX 192

/* How far the check of a server came. */
typedef enum probe_stage {
    PROBE_URL = 0,  /* it is no URL that can be checked */
    PROBE_RESOLVE,  /* the name has no address */
    PROBE_CONNECT,  /* TCP, or TLS */
    PROBE_ANSWER,   /* nothing comes back */
    PROBE_ALLOCATE, /* the server refuses */
    PROBE_DONE,
} probe_stage;

typedef struct probe_server_result {
    const char *url;
    bool ok;
    probe_stage stage;
    int err;       /* of CONNECT: duet_err */
    unsigned code; /* of ALLOCATE: STUN error code */
    char text[PROBE_TEXT_MAX];
    duet_address address, mapped, relayed; /* family NONE while unknown */
    duet_time elapsed, rtt;
} probe_server_result;

typedef struct probe_server_config {
    const duet_env *env;
    const char *url, *username, *credential; /* must outlive the check */
    const char *ca_file;
    bool tls_no_verify;
    duet_family family; /* only addresses of this one; NONE: any */
    duet_time timeout;
    void (*on_done)(void *user, const probe_server_result *result);
    void *user;
} probe_server_config;

/* The check of one URL: an endpoint that resolves, connects, and asks for a binding or an allocation, which it gives back. */
typedef struct probe_server probe_server;
int probe_server_create(probe_server **out, const probe_server_config *config);
void probe_server_destroy(probe_server *p); /* not inside on_done */
const duet_endpoint_ops *probe_server_endpoint_ops(void);

/* In words, what a person can do about it. NULL when there is nothing to say. */
const char *probe_server_advice(const probe_server_result *r);

typedef struct probe_report {
    char (*candidates)[PROBE_TEXT_MAX];
    size_t candidate_count;
    bool has_nat;
    const char *nat_server; /* the URL that told */
    duet_nat_result nat;
    const probe_server_result *servers;
    size_t server_count;
} probe_report;

void probe_print(const probe_report *r);
struct json_t *probe_json(const probe_report *r);

#endif
