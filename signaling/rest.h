/* The REST interface of the rooms: one request in, one response out, at once or later. JSON both ways, problem details
 * (RFC 9457) for errors. docs/openapi.json tells all of it. */
#ifndef DUET_SIGNALING_REST_H
#define DUET_SIGNALING_REST_H

#include "signaling/hub.h"

#define DUET_REST_BODY_MAX       16384
#define DUET_REST_JOIN_TOKEN_TTL 3600 /* seconds */

/* Texts are copied when they are needed after the call. */
typedef struct duet_rest_request {
    const char *method;        /* "GET" */
    const char *path;          /* decoded, without query; begins with "/api/" */
    const char *authorization; /* value of the header; NULL when absent */
    const char *address;       /* of the client without its port, for the limits; NULL: unknown */
    const char *body;
    size_t body_len;
    const char *ws_url; /* where a client of ours connects, for join tokens */
    duet_time now;
    int64_t wall_seconds;
} duet_rest_request;

typedef struct duet_rest_response {
    int status;
    const char *type; /* media type of the body */
    duet_buffer body;
    char location[160];   /* "" for none */
    const char *allow;    /* for 405; NULL */
    bool authenticate;    /* WWW-Authenticate: Bearer */
    unsigned retry_after; /* seconds; 0 for none */
} duet_rest_response;

typedef struct duet_rest_call duet_rest_call;

/* @param response  lives during the call; NULL when there was no memory for one */
typedef void (*duet_rest_done)(void *user, const duet_rest_response *response);

/* @param call  NULL when `done` has come inside; otherwise for duet_rest_cancel until it comes */
void duet_rest_start(duet_rest_call **call, duet_hub *hub, const duet_rest_request *request, duet_rest_done done,
                     void *user);
/* `done` does not come any more. What has been asked of the store still happens. */
void duet_rest_cancel(duet_rest_call *call);

/* "Not Found" (RFC 9110 section 15). */
const char *duet_http_reason(int status);

/* The token of "Bearer …" (RFC 6750 section 2.1), the scheme in any case; NULL when it is something else. */
const char *duet_bearer_token(const char *authorization);

/* A problem as a body of application/problem+json, in a response of zeros. */
int duet_rest_problem(duet_rest_response *out, const duet_env *env, int status, const char *detail);

#endif
