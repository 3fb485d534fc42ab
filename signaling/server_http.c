/* HTTP of the room server (RFC 9110): the page, /healthz, the REST interface, and the upgrade to WebSocket (RFC 6455
 * section 4.2). Each connection carries one request. */
#include "base/memory.h"
#include "base/text.h"
#include "signaling/handshake.h"
#include "signaling/protocol.h"
#include "signaling/server.h"
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOST_MAX 256

typedef struct http_call {
    duet_signaling_server *server;
    struct evhttp_request *request;
    struct evkeyvalq *in, *out;
    const char *path;
    enum evhttp_cmd_type method;
} http_call;

/* ---- responses ---- */

static void add_header(http_call *c, const char *name, const char *value)
{
    evhttp_add_header(c->out, name, value);
}

/* evhttp sends the body even to a HEAD, and does not tell its length then. */
static void answer_head(http_call *c, struct evbuffer *body)
{
    char length[32];

    snprintf(length, sizeof(length), "%zu", evbuffer_get_length(body));
    add_header(c, "Content-Length", length);
    evbuffer_drain(body, evbuffer_get_length(body));
}

/* Sends the response. Takes `body`, which may be NULL. */
static void finish(http_call *c, int status, struct evbuffer *body)
{
    int class = status / 100;

    c->server->counters.requests[class <= 5 ? class : 0]++;
    add_header(c, "Connection", "close");
    add_header(c, "X-Content-Type-Options", "nosniff");
    if (body && c->method == EVHTTP_REQ_HEAD)
        answer_head(c, body);
    evhttp_send_reply(c->request, status, duet_http_reason(status), body);
    if (body)
        evbuffer_free(body);
}

static void send_reply(http_call *c, int status, const void *body, size_t len)
{
    struct evbuffer *buffer = evbuffer_new();

    if (buffer)
        evbuffer_add(buffer, body, len);
    finish(c, status, buffer);
}

static void send_response(http_call *c, const duet_rest_response *r)
{
    if (r->body.len > 0)
        add_header(c, "Content-Type", r->type);
    if (r->location[0])
        add_header(c, "Location", r->location);
    if (r->allow)
        add_header(c, "Allow", r->allow);
    if (r->authenticate)
        add_header(c, "WWW-Authenticate", "Bearer");
    if (r->retry_after) {
        char seconds[16];
        snprintf(seconds, sizeof(seconds), "%u", r->retry_after);
        add_header(c, "Retry-After", seconds);
    }
    add_header(c, "Cache-Control", "no-store");
    send_reply(c, r->status, r->body.data, r->body.len);
}

static void send_problem(http_call *c, int status, const char *detail)
{
    duet_rest_response r = {.status = status};

    if (status == 405)
        r.allow = "GET, HEAD"; /* of all that is not the REST interface */
    if (duet_rest_problem(&r, &c->server->env, status, detail) == DUET_OK)
        send_response(c, &r);
    else
        send_reply(c, status, "", 0);
    duet_buffer_free(&r.body);
}

/* ---- what HTTP leaves open and attackers use ---- */

static size_t count_headers(const http_call *c, const char *name)
{
    const struct evkeyval *header;
    size_t count = 0;

    for (header = c->in->tqh_first; header; header = header->next.tqe_next)
        count += strcasecmp(header->key, name) == 0;
    return count;
}

/* "a message … with both a Transfer-Encoding and a Content-Length … ought to be handled as an error", RFC 9112, 6.1 */
static bool length_is_ambiguous(const http_call *c)
{
    size_t lengths = count_headers(c, "Content-Length"), encodings = count_headers(c, "Transfer-Encoding");

    return lengths > 1 || encodings > 1 || (lengths > 0 && encodings > 0);
}

static bool is_host_char(uint8_t c)
{
    return duet_char_is_alnum(c) || c == '.' || c == '-' || c == ':' || c == '[' || c == ']' || c == '_';
}

/* The host that the client sees, for URLs of ours; what we listen on when it says nothing sensible. */
static void own_host(const http_call *c, char out[HOST_MAX])
{
    const char *host = evhttp_find_header(c->in, "Host");
    size_t len = host ? strlen(host) : 0;

    if (len > 0 && len < HOST_MAX && duet_text_all((duet_bytes){(const uint8_t *)host, len}, is_host_char))
        memcpy(out, host, len + 1);
    else
        duet_address_text(&c->server->address, out, HOST_MAX);
}

/* ---- who may use it from a browser: RFC 6454, the Fetch standard's CORS protocol ---- */

static bool is_own_origin(const http_call *c, const char *origin)
{
    char host[HOST_MAX];
    const char *authority = strstr(origin, "://");

    own_host(c, host);
    return authority && strcasecmp(authority + 3, host) == 0;
}

static bool is_listed_origin(const http_call *c, const char *origin)
{
    for (const char *const *o = c->server->config.origins; o && *o; o++) {
        if (strcmp(*o, "*") == 0 || strcasecmp(*o, origin) == 0)
            return true;
    }
    return false;
}

/* Programs that are no browsers send none. */
static bool origin_is_allowed(const http_call *c)
{
    const char *origin = evhttp_find_header(c->in, "Origin");

    return !origin || is_own_origin(c, origin) || is_listed_origin(c, origin);
}

static void add_cors_headers(http_call *c)
{
    const char *origin = evhttp_find_header(c->in, "Origin");

    add_header(c, "Vary", "Origin");
    if (!origin || !is_listed_origin(c, origin))
        return;
    add_header(c, "Access-Control-Allow-Origin", origin);
    add_header(c, "Access-Control-Expose-Headers", "Location, Retry-After");
}

static void answer_preflight(http_call *c)
{
    add_cors_headers(c);
    add_header(c, "Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE");
    add_header(c, "Access-Control-Allow-Headers", "Authorization, Content-Type");
    add_header(c, "Access-Control-Max-Age", "600");
    finish(c, 204, NULL);
}

/* ---- the page ---- */

static void add_page_headers(http_call *c, const char *type)
{
    char host[HOST_MAX], policy[HOST_MAX * 2 + 256];

    own_host(c, host);
    snprintf(policy, sizeof(policy),
             "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
             "connect-src 'self' ws://%s wss://%s; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
             host, host);
    add_header(c, "Content-Type", type);
    add_header(c, "Content-Security-Policy", policy);
    add_header(c, "Referrer-Policy", "no-referrer");
    add_header(c, "Cross-Origin-Opener-Policy", "same-origin");
    add_header(c, "Cache-Control", "no-cache");
}

static const duet_signaling_file *find_file(const duet_signaling_server *server, const char *path)
{
    const char *name = strcmp(path, "/") == 0 ? "/index.html" : path;

    for (size_t i = 0; i < server->config.file_count; i++) {
        if (strcmp(server->config.files[i].path, name) == 0)
            return &server->config.files[i];
    }
    return NULL;
}

/* From disk only what the list of files names: no path of a client reaches the file system. */
static struct evbuffer *read_from_folder(const duet_signaling_server *server, const duet_signaling_file *file)
{
    char name[1024];
    struct stat info;
    struct evbuffer *buffer = evbuffer_new();

    snprintf(name, sizeof(name), "%s%s", server->config.web_folder, file->path);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && buffer && fstat(fd, &info) == 0 && evbuffer_add_file(buffer, fd, 0, info.st_size) == 0)
        return buffer; /* which closes the descriptor */
    if (fd >= 0)
        close(fd);
    if (buffer)
        evbuffer_free(buffer);
    return NULL;
}

static void send_file(http_call *c, const duet_signaling_file *file)
{
    struct evbuffer *buffer;

    add_page_headers(c, file->type);
    if (!c->server->config.web_folder) {
        send_reply(c, 200, file->data, file->len);
        return;
    }
    buffer = read_from_folder(c->server, file);
    finish(c, buffer ? 200 : 404, buffer);
}

static void serve_page(http_call *c)
{
    const duet_signaling_file *file = find_file(c->server, c->path);

    if (!file)
        send_problem(c, 404, "there is nothing here");
    else if (c->method != EVHTTP_REQ_GET && c->method != EVHTTP_REQ_HEAD)
        send_problem(c, 405, "this is a page: GET it");
    else
        send_file(c, file);
}

/* ---- REST ---- */

static const char *method_name(enum evhttp_cmd_type method)
{
    switch (method) {
    case EVHTTP_REQ_GET:
    case EVHTTP_REQ_HEAD:
        return "GET";
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_PATCH:
        return "PATCH";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    default:
        return "other";
    }
}

/* A request whose answer takes its time. */
struct server_rest {
    server_rest *previous, *next;
    http_call call;
    duet_rest_call *rest;
};

static void forget_rest(server_rest *r)
{
    duet_signaling_server *server = r->call.server;

    evhttp_connection_set_closecb(evhttp_request_get_connection(r->call.request), NULL, NULL);
    if (r->previous)
        r->previous->next = r->next;
    else
        server->rest_calls = r->next;
    if (r->next)
        r->next->previous = r->previous;
    duet_free(&server->env, r);
}

static void answer_rest(void *user, const duet_rest_response *response)
{
    server_rest *r = user;
    http_call call = r->call;

    forget_rest(r);
    add_cors_headers(&call);
    if (response)
        send_response(&call, response);
    else
        send_problem(&call, 500, "the server is out of memory");
    server_schedule(call.server);
}

/* The client has gone, and its request with it. */
static void client_gone(struct evhttp_connection *connection, void *arg)
{
    server_rest *r = arg;

    (void)connection;
    if (r->rest)
        duet_rest_cancel(r->rest);
    forget_rest(r);
}

void server_http_free(duet_signaling_server *server)
{
    while (server->rest_calls) {
        server_rest *r = server->rest_calls;
        if (r->rest)
            duet_rest_cancel(r->rest);
        forget_rest(r);
    }
}

static server_rest *keep_call(http_call *c)
{
    server_rest *r = duet_calloc(&c->server->env, sizeof(*r));

    if (!r)
        return NULL;
    r->call = *c;
    r->call.path = NULL; /* of the request; the call has a copy */
    r->next = c->server->rest_calls;
    if (r->next)
        r->next->previous = r;
    c->server->rest_calls = r;
    evhttp_connection_set_closecb(evhttp_request_get_connection(c->request), client_gone, r);
    return r;
}

static void client_address(const http_call *c, char out[DUET_ADDRESS_TEXT_MAX])
{
    char *address;
    ev_uint16_t port;

    evhttp_connection_get_peer(evhttp_request_get_connection(c->request), &address, &port);
    snprintf(out, DUET_ADDRESS_TEXT_MAX, "%s", address ? address : "");
}

static void start_rest(http_call *c, struct evbuffer *body)
{
    size_t len = evbuffer_get_length(body);
    char host[HOST_MAX], url[HOST_MAX + 16], address[DUET_ADDRESS_TEXT_MAX];
    server_rest *r = keep_call(c);

    if (!r) {
        send_problem(c, 500, "the server is out of memory");
        return;
    }
    own_host(c, host);
    client_address(c, address);
    snprintf(url, sizeof(url), "%s://%s/ws", c->server->tls ? "wss" : "ws", host);
    duet_rest_request request = {
        .method = method_name(c->method),
        .path = c->path,
        .authorization = evhttp_find_header(c->in, "Authorization"),
        .address = address,
        .body = len ? (const char *)evbuffer_pullup(body, -1) : "",
        .body_len = len,
        .ws_url = url,
        .now = duet_loop_now(),
        .wall_seconds = server_wall_seconds(),
    };
    duet_rest_call *rest;
    duet_rest_start(&rest, c->server->hub, &request, answer_rest, r);
    if (rest) /* otherwise it has been answered, and `r` is gone */
        r->rest = rest;
}

static void serve_rest(http_call *c)
{
    struct evbuffer *body = evhttp_request_get_input_buffer(c->request);

    if (!origin_is_allowed(c)) {
        c->server->counters.refused_origins++;
        send_problem(c, 403, "pages of this origin may not use the server");
    } else if (c->method == EVHTTP_REQ_OPTIONS) {
        answer_preflight(c);
    } else if (evbuffer_get_length(body) > DUET_REST_BODY_MAX) {
        send_problem(c, 413, "the body is too large");
    } else {
        start_rest(c, body);
    }
}

/* ---- WebSocket ---- */

static bool list_has(const char *list, const char *word)
{
    size_t word_len = strlen(word);

    while (list && *list) {
        list += strspn(list, ", \t");
        size_t len = strcspn(list, ", \t");
        if (len == word_len && strncasecmp(list, word, len) == 0)
            return true;
        list += len;
    }
    return false;
}

static void write_upgrade(http_call *c, const char *accept, const char *subprotocol)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(c->request));
    struct evbuffer *out = bufferevent_get_output(bev);

    evbuffer_add_printf(out,
                        "HTTP/1.1 101 Switching Protocols\r\n"
                        "Upgrade: websocket\r\n"
                        "Connection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: %s\r\n",
                        accept);
    if (subprotocol)
        evbuffer_add_printf(out, "Sec-WebSocket-Protocol: %s\r\n", subprotocol);
    evbuffer_add(out, "\r\n", 2);
}

/* RFC 6455 section 4.2.1. @return NULL, or what is wrong */
static const char *check_upgrade(const http_call *c)
{
    const char *version = evhttp_find_header(c->in, "Sec-WebSocket-Version");

    if (c->method != EVHTTP_REQ_GET || !list_has(evhttp_find_header(c->in, "Upgrade"), "websocket") ||
        !list_has(evhttp_find_header(c->in, "Connection"), "upgrade"))
        return "this is for WebSocket";
    if (count_headers(c, "Sec-WebSocket-Key") != 1)
        return "a WebSocket upgrade has one key";
    if (!version || strcmp(version, "13") != 0)
        return "WebSocket version 13 is spoken here";
    return NULL;
}

/* The dialect is that of the subprotocol; who cannot name one (or names none) may say ?dialect=compat.
 * @return whether one was found that is spoken here; *out is NULL when the client names none */
static bool choose_subprotocol(const http_call *c, const char **out, bool *compat)
{
    const char *protocols = evhttp_find_header(c->in, "Sec-WebSocket-Protocol");
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(c->request));

    *out = NULL;
    *compat = !protocols && query && strcmp(query, "dialect=compat") == 0;
    if (!protocols)
        return true;
    if (list_has(protocols, DUET_SIGNAL_SUBPROTOCOL))
        *out = DUET_SIGNAL_SUBPROTOCOL;
    else if (list_has(protocols, DUET_SIGNAL_COMPAT))
        *out = DUET_SIGNAL_COMPAT;
    *compat = *out && strcmp(*out, DUET_SIGNAL_COMPAT) == 0;
    return *out != NULL;
}

static void open_socket(http_call *c, const char *accept, const char *subprotocol, bool compat)
{
    char address[DUET_ADDRESS_TEXT_MAX];
    server_upgrade upgrade = {.connection = evhttp_request_get_connection(c->request),
                              .token = duet_bearer_token(evhttp_find_header(c->in, "Authorization")),
                              .address = address,
                              .compat = compat};

    client_address(c, address);
    int err = server_socket_open(c->server, &upgrade);
    c->server->counters.refused_connections += err != DUET_OK;
    if (err == DUET_ERR_LIMIT)
        send_problem(c, 429, "this address has too many connections");
    else if (err != DUET_OK)
        send_problem(c, 503, "the server is out of memory");
    else {
        write_upgrade(c, accept, subprotocol);
        evhttp_clear_headers(c->in); /* an idle connection keeps nothing that nobody needs */
    }
}

static void upgrade(http_call *c)
{
    const char *wrong = check_upgrade(c), *subprotocol;
    char accept[DUET_WEBSOCKET_ACCEPT_LEN + 1];
    bool compat;

    if (wrong) {
        add_header(c, "Sec-WebSocket-Version", "13");
        add_header(c, "Upgrade", "websocket"); /* RFC 9110 section 15.5.22 */
        send_problem(c, 426, wrong);
    } else if (duet_websocket_accept(accept, evhttp_find_header(c->in, "Sec-WebSocket-Key")) != DUET_OK) {
        send_problem(c, 400, "Sec-WebSocket-Key is not the base64 of 16 bytes");
    } else if (!origin_is_allowed(c)) {
        c->server->counters.refused_origins++;
        send_problem(c, 403, "pages of this origin may not use the server");
    } else if (!choose_subprotocol(c, &subprotocol, &compat)) {
        send_problem(c, 400, "the subprotocols spoken here are duet.v1 and duet.compat");
    } else if (c->server->stopping || c->server->socket_count >= c->server->config.limits.connections) {
        c->server->counters.refused_connections++;
        send_problem(c, 503, "the server takes no more connections");
    } else {
        open_socket(c, accept, subprotocol, compat);
    }
}

/* ---- for those who run it ---- */

static void serve_health(http_call *c)
{
    add_header(c, "Content-Type", "application/json");
    send_reply(c, 200, "{\"status\":\"ok\"}", 15);
}

/* Ready to take connections: not going down, and the rooms are within reach. */
static void serve_readiness(http_call *c)
{
    const duet_store *store = duet_hub_store(c->server->hub);
    const char *reason = NULL;

    if (c->server->stopping)
        send_problem(c, 503, "the server goes down");
    else if (!duet_auth_ready(c->server->auth))
        send_problem(c, 503, "there are no keys yet to check tokens with");
    else if (store->ops->status(store->self, &reason) != DUET_OK)
        send_problem(c, 503, reason ? reason : "rooms cannot be reached");
    else
        serve_health(c);
}

static void serve_metrics(http_call *c)
{
    struct evbuffer *text = evbuffer_new();

    if (text)
        server_metrics_write(c->server, text);
    add_header(c, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    add_header(c, "Cache-Control", "no-store");
    finish(c, text ? 200 : 500, text);
}

/* ---- routing ---- */

static const struct {
    const char *path;
    void (*serve)(http_call *c);
} services[] = {
    {"/ws", upgrade}, {"/healthz", serve_health}, {"/readyz", serve_readiness}, {"/metrics", serve_metrics}};

static void route(http_call *c)
{
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        if (strcmp(services[i].path, c->path) == 0) {
            services[i].serve(c);
            return;
        }
    }
    if (strncmp(c->path, "/api/", 5) == 0)
        serve_rest(c);
    else
        serve_page(c);
}

void server_http_request(struct evhttp_request *request, void *arg)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    http_call c = {.server = arg,
                   .request = request,
                   .in = evhttp_request_get_input_headers(request),
                   .out = evhttp_request_get_output_headers(request),
                   .path = uri ? evhttp_uri_get_path(uri) : NULL,
                   .method = evhttp_request_get_command(request)};

    server_arrivals_done(arg, evhttp_connection_get_bufferevent(evhttp_request_get_connection(request)));
    if (!c.path || !*c.path || length_is_ambiguous(&c))
        send_problem(&c, 400, "the request is ambiguous");
    else
        route(&c);
}
