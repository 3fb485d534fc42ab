/* What the signaling module needs of an HTTP client: one request, one answer, bounded. http_client.c does it with libcurl on
 * a libevent loop; tests answer by themselves. */
#ifndef DUET_SIGNALING_HTTP_H
#define DUET_SIGNALING_HTTP_H

#include "base/memory.h"

typedef struct duet_http_request {
    const char *method;         /* "GET", "POST" */
    const char *url;            /* http: or https: */
    const char *const *headers; /* "Name: value", ended by NULL; NULL for none */
    const char *body;
    size_t body_len;
    duet_time timeout;   /* of the whole exchange, microseconds */
    size_t max_response; /* bytes of the body; more is DUET_ERR_TOO_LARGE */
} duet_http_request;

typedef struct duet_http_response {
    int err; /* DUET_OK when there is a status; DUET_ERR_TIMEOUT, DUET_ERR_TOO_LARGE, DUET_ERR_IO, DUET_ERR_AUTH (the
              * server's certificate is not trusted) otherwise */
    int status;
    const char *body; /* NUL-terminated behind body_len; valid during the callback */
    size_t body_len;
    uint64_t max_age;   /* seconds of Cache-Control: max-age; UINT64_MAX when it says nothing */
    const char *reason; /* for people, when err is set */
} duet_http_response;

typedef void (*duet_http_done)(void *user, const duet_http_response *response);

/* An HTTP client as others see it. */
typedef struct duet_http {
    /* Starts a request; what it points to is copied. `done` comes later, never inside this call, exactly once unless it is
     * cancelled. @return DUET_OK, DUET_ERR_NOMEM, DUET_ERR_INVALID (URL), DUET_ERR_LIMIT (too many in flight) */
    int (*start)(void *client, void **ticket, const duet_http_request *request, duet_http_done done, void *user);
    void (*cancel)(void *client, void *ticket);
    void *client;
} duet_http;

#endif
