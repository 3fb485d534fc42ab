/* An HTTP client (signaling/http.h) on libcurl and a libevent loop: http and https only, certificates verified, redirects not
 * followed, everything bounded. Proxies of the environment are used as curl does. The memory of curl's own objects comes from
 * libc. */
#ifndef DUET_SIGNALING_HTTP_CLIENT_H
#define DUET_SIGNALING_HTTP_CLIENT_H

#include "signaling/http.h"

struct event_base;

#define DUET_HTTP_CLIENT_REQUESTS_MAX 64    /* in flight; more are DUET_ERR_LIMIT */
#define DUET_HTTP_CLIENT_HEADER_MAX   65536 /* bytes of all headers of a response; more is DUET_ERR_TOO_LARGE */

typedef struct duet_http_client duet_http_client;

/* @param base     must outlive the client
 * @param ca_file  PEM of the trusted authorities; NULL: the system's
 * @return DUET_OK; DUET_ERR_NOMEM; DUET_ERR_IO (curl does not start) */
int duet_http_client_create(duet_http_client **out, const duet_env *env, struct event_base *base, const char *ca_file);
/* Cancels what is in flight. Not inside of a duet_http_done. NULL is fine. */
void duet_http_client_destroy(duet_http_client *client);
/* As others see it, valid as long as the client is. */
duet_http duet_http_client_get(duet_http_client *client);

#endif
