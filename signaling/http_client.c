/* libcurl's multi interface driven by libevent: curl tells which sockets and which time-out it waits for, libevent tells when
 * they are there, and what has ended is read off afterwards, outside of curl's own callbacks. */
#include "signaling/http_client.h"
#include "base/text.h"
#include <curl/curl.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CONNECTIONS_KEPT 8L

typedef struct http_request http_request;

struct http_request {
    http_request *prev, *next;
    duet_http_client *client;
    CURL *easy;
    struct curl_slist *headers;
    duet_http_done done;
    void *user;
    duet_buffer body;
    size_t max_response, header_bytes;
    uint64_t max_age;
    int err; /* why we stopped it ourselves */
    char reason[CURL_ERROR_SIZE];
};

struct duet_http_client {
    duet_env env;
    struct event_base *base;
    struct event *timer;
    CURLM *multi;
    char *ca_file;
    http_request requests; /* a ring */
    size_t count;
};

/* ---- requests ---- */

static void request_free(http_request *r)
{
    duet_http_client *c = r->client;

    r->prev->next = r->next;
    r->next->prev = r->prev;
    c->count--;
    if (r->easy) {
        curl_multi_remove_handle(c->multi, r->easy); /* does nothing when it was never added */
        curl_easy_cleanup(r->easy);
    }
    curl_slist_free_all(r->headers);
    duet_buffer_free(&r->body);
    duet_free(&c->env, r);
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    http_request *r = user;
    size_t len = size * count;

    if (len > r->max_response - r->body.len) {
        r->err = DUET_ERR_TOO_LARGE;
        return CURL_WRITEFUNC_ERROR;
    }
    duet_buffer_append(&r->body, data, len);
    if (!r->body.failed)
        return len;
    r->err = DUET_ERR_NOMEM;
    return CURL_WRITEFUNC_ERROR;
}

/* RFC 9111 section 5.2: directives between commas. What may not be kept is as old as it can be. */
static uint64_t read_cache_control(duet_reader *r)
{
    uint64_t age, max_age = UINT64_MAX;

    while (!duet_text_at_end(r)) {
        if (duet_text_skip(r, ' ') || duet_text_skip(r, ',') || duet_text_skip(r, '\t'))
            continue;
        if (duet_text_skip_word(r, "max-age=") && duet_text_number(r, 0, UINT64_MAX - 1, &age))
            max_age = age < max_age ? age : max_age;
        else if (duet_text_skip_word(r, "no-store") || duet_text_skip_word(r, "no-cache"))
            max_age = 0;
        while (!duet_text_at_end(r) && !duet_text_skip(r, ','))
            duet_read_skip(r, 1);
    }
    return max_age;
}

static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    http_request *r = user;
    size_t len = size * count;
    duet_reader line = duet_text_reader(data, len);

    r->header_bytes += len;
    if (r->header_bytes > DUET_HTTP_CLIENT_HEADER_MAX) {
        r->err = DUET_ERR_TOO_LARGE;
        return CURL_WRITEFUNC_ERROR;
    }
    if (duet_text_skip_word(&line, "Cache-Control:"))
        r->max_age = read_cache_control(&line);
    return len;
}

static bool is_http(const char *url)
{
    CURLU *parts = curl_url();
    char *scheme = NULL;
    bool good = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0);

    curl_free(scheme);
    curl_url_cleanup(parts);
    return good;
}

static bool add_header(http_request *r, const char *line)
{
    struct curl_slist *longer = curl_slist_append(r->headers, line);

    r->headers = longer ? longer : r->headers;
    return longer != NULL;
}

static bool set_headers(http_request *r, const char *const *headers)
{
    bool ok = add_header(r, "Expect:"); /* bodies are small: do not ask first */

    for (; ok && headers && *headers; headers++)
        ok = add_header(r, *headers);
    return ok && curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers) == CURLE_OK;
}

static bool set_method(CURL *easy, const duet_http_request *request)
{
    if (strcmp(request->method, "GET") == 0)
        return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    return curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body_len ? request->body : "") == CURLE_OK;
}

/* What every request keeps to. */
static bool set_rules(CURL *easy, const char *ca_file, duet_time timeout)
{
    long ms = timeout / 1000 < 1 ? 1 : timeout / 1000 > 3600000 ? 3600000 : (long)(timeout / 1000);

    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           (!ca_file || curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file) == CURLE_OK) &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, ms) == CURLE_OK;
}

static bool set_callbacks(http_request *r)
{
    return curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r) == CURLE_OK &&
           curl_easy_setopt(r->easy, CURLOPT_ERRORBUFFER, r->reason) == CURLE_OK &&
           curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r) == CURLE_OK &&
           curl_easy_setopt(r->easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(r->easy, CURLOPT_HEADERDATA, r) == CURLE_OK;
}

static http_request *request_new(duet_http_client *c, const duet_http_request *request)
{
    http_request *r = duet_calloc(&c->env, sizeof(*r));

    if (!r)
        return NULL;
    *r = (http_request){.prev = c->requests.prev, .next = &c->requests, .client = c, .max_age = UINT64_MAX};
    r->max_response = request->max_response;
    r->prev->next = r;
    c->requests.prev = r;
    c->count++;
    duet_buffer_init(&r->body, &c->env);
    r->easy = curl_easy_init();
    bool ok = r->easy && curl_easy_setopt(r->easy, CURLOPT_URL, request->url) == CURLE_OK &&
              set_rules(r->easy, c->ca_file, request->timeout) && set_method(r->easy, request) && set_callbacks(r) &&
              set_headers(r, request->headers);
    if (ok)
        return r;
    request_free(r);
    return NULL;
}

static int start(void *client, void **ticket, const duet_http_request *request, duet_http_done done, void *user)
{
    duet_http_client *c = client;

    *ticket = NULL;
    if (c->count >= DUET_HTTP_CLIENT_REQUESTS_MAX)
        return DUET_ERR_LIMIT;
    if (!is_http(request->url))
        return DUET_ERR_INVALID;
    http_request *r = request_new(c, request);
    if (!r)
        return DUET_ERR_NOMEM;
    r->done = done;
    r->user = user;
    if (curl_multi_add_handle(c->multi, r->easy) != CURLM_OK) {
        request_free(r);
        return DUET_ERR_NOMEM;
    }
    *ticket = r;
    return DUET_OK;
}

static void cancel(void *client, void *ticket)
{
    (void)client;
    request_free(ticket);
}

/* ---- what has ended ---- */

static int error_of(const http_request *r, CURLcode code)
{
    if (r->err != DUET_OK)
        return r->err;
    switch (code) {
    case CURLE_OK:
        return DUET_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return DUET_ERR_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
        return DUET_ERR_AUTH;
    case CURLE_OUT_OF_MEMORY:
        return DUET_ERR_NOMEM;
    default:
        return DUET_ERR_IO;
    }
}

/* The request is gone when its user hears of it, who may start others. */
static void finish(http_request *r, CURLcode code)
{
    duet_http_response response = {.err = error_of(r, code), .max_age = r->max_age};
    char reason[CURL_ERROR_SIZE];
    duet_buffer body = r->body;
    duet_http_done done = r->done;
    void *user = r->user;
    long status = 0;

    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    duet_buffer_append(&body, "", 0);
    if (response.err == DUET_OK && body.failed)
        response.err = DUET_ERR_NOMEM;
    snprintf(reason, sizeof(reason), "%s", r->reason[0] ? r->reason : curl_easy_strerror(code));
    duet_buffer_init(&r->body, body.env);
    request_free(r);
    if (response.err == DUET_OK) {
        response.status = (int)status;
        response.body = (const char *)body.data;
        response.body_len = body.len;
    } else {
        response.reason = reason;
    }
    done(user, &response);
    duet_buffer_free(&body);
}

static void finish_ended(duet_http_client *c)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(c->multi, &left))) {
        http_request *r = NULL;
        CURLcode code = message->data.result;
        if (message->msg == CURLMSG_DONE && curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &r) == CURLE_OK &&
            r)
            finish(r, code);
    }
}

/* ---- sockets and the timer ---- */

static void on_socket(evutil_socket_t socket, short what, void *client)
{
    duet_http_client *c = client;
    int running, action = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

    curl_multi_socket_action(c->multi, socket, action, &running);
    finish_ended(c);
}

static void on_timer(evutil_socket_t socket, short what, void *client)
{
    duet_http_client *c = client;
    int running;

    (void)socket;
    (void)what;
    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_ended(c);
}

/* curl wants to know of other things on a socket than before. */
static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *client, void *assigned)
{
    duet_http_client *c = client;
    struct event *event = assigned;
    short events = (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);

    (void)easy;
    if (event)
        event_free(event);
    event = what == CURL_POLL_REMOVE ? NULL : event_new(c->base, socket, events, on_socket, c);
    if (event && event_add(event, NULL) != 0) {
        event_free(event);
        event = NULL;
    }
    curl_multi_assign(c->multi, socket, event);
    return event || what == CURL_POLL_REMOVE ? 0 : -1;
}

static int set_timer(CURLM *multi, long ms, void *client)
{
    duet_http_client *c = client;
    struct timeval after = {ms / 1000, (ms % 1000) * 1000};

    (void)multi;
    return ms < 0 ? evtimer_del(c->timer) : evtimer_add(c->timer, &after);
}

/* ---- the object ---- */

static bool set_up_multi(duet_http_client *c)
{
    return curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT) == CURLM_OK;
}

int duet_http_client_create(duet_http_client **out, const duet_env *env, struct event_base *base, const char *ca_file)
{
    duet_env resolved = duet_env_resolve(env);
    duet_http_client *c;

    *out = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return DUET_ERR_IO;
    c = duet_calloc(&resolved, sizeof(*c));
    if (!c) {
        curl_global_cleanup();
        return DUET_ERR_NOMEM;
    }
    c->env = resolved;
    c->base = base;
    c->requests.prev = c->requests.next = &c->requests;
    c->ca_file = duet_strdup(&c->env, ca_file);
    c->timer = evtimer_new(base, on_timer, c);
    c->multi = curl_multi_init();
    if ((ca_file && !c->ca_file) || !c->timer || !c->multi || !set_up_multi(c)) {
        duet_http_client_destroy(c);
        return DUET_ERR_NOMEM;
    }
    *out = c;
    return DUET_OK;
}

void duet_http_client_destroy(duet_http_client *c)
{
    if (!c)
        return;
    while (c->requests.next != &c->requests)
        request_free(c->requests.next);
    curl_multi_cleanup(c->multi);
    if (c->timer)
        event_free(c->timer);
    duet_env env = c->env;
    duet_free(&env, c->ca_file);
    duet_free(&env, c);
    curl_global_cleanup();
}

duet_http duet_http_client_get(duet_http_client *client)
{
    return (duet_http){start, cancel, client};
}
