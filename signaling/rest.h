/* The REST interface of the rooms: one request in, one response out. JSON both ways, problem details (RFC 9457) for
 * errors. */
#ifndef DUET_SIGNALING_REST_H
#define DUET_SIGNALING_REST_H

#include "signaling/room.h"

#define DUET_REST_BODY_MAX       16384
#define DUET_REST_JOIN_TOKEN_TTL 3600 /* seconds */

typedef struct duet_rest_request {
    const char *method;        /* "GET" */
    const char *path;          /* decoded, without query; begins with "/api/" */
    const char *authorization; /* value of the header; NULL when absent */
    const char *body;
    size_t body_len;
    const char *ws_url; /* where a client of ours connects, for join tokens */
    const void *secret; /* of HS256 tokens */
    size_t secret_len;
    int64_t wall_seconds;
} duet_rest_request;

typedef struct duet_rest_response {
    int status;
    const char *type;   /* media type of the body */
    duet_buffer body;   /* freed by the caller */
    char location[160]; /* "" for none */
    const char *allow;  /* for 405; NULL */
    bool authenticate;  /* WWW-Authenticate: Bearer */
} duet_rest_response;

/* @return DUET_OK (every refusal is a response too), or DUET_ERR_NOMEM: there is no response */
int duet_rest_handle(duet_rest_response *out, duet_hub *hub, const duet_rest_request *request);

/* "Not Found" (RFC 9110 section 15). */
const char *duet_http_reason(int status);

/* The token of "Bearer …" (RFC 6750 section 2.1), the scheme in any case; NULL when it is something else. */
const char *duet_bearer_token(const char *authorization);

/* A problem as a body of application/problem+json. */
int duet_rest_problem(duet_rest_response *out, const duet_env *env, int status, const char *detail);

#endif
