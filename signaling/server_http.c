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

static void send_response(http_call *c, duet_rest_response *r)
{
    if (r->body.len > 0)
        add_header(c, "Content-Type", r->type);
    if (r->location[0])
        add_header(c, "Location", r->location);
    if (r->allow)
        add_header(c, "Allow", r->allow);
    if (r->authenticate)
        add_header(c, "WWW-Authenticate", "Bearer");
    add_header(c, "Cache-Control", "no-store");
    send_reply(c, r->status, r->body.data, r->body.len);
}

static void send_problem(http_call *c, int status, const char *detail)
{
    duet_rest_response r = {.status = status};

    if (status == 405)
        r.allow = "GET, HEAD";
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

    snprintf(name, sizeof(name), "%s%s", server->web_folder, file->path);
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
    if (!c->server->web_folder) {
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
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    default:
        return "other";
    }
}

static void serve_rest(http_call *c)
{
    struct evbuffer *body = evhttp_request_get_input_buffer(c->request);
    size_t len = evbuffer_get_length(body);
    char host[HOST_MAX], url[HOST_MAX + 16];
    duet_rest_response response;

    if (len > DUET_REST_BODY_MAX) {
        send_problem(c, 413, "the body is too large");
        return;
    }
    own_host(c, host);
    snprintf(url, sizeof(url), "ws://%s/ws", host);
    duet_rest_request request = {
        .method = method_name(c->method),
        .path = c->path,
        .authorization = evhttp_find_header(c->in, "Authorization"),
        .body = len ? (const char *)evbuffer_pullup(body, -1) : "",
        .body_len = len,
        .ws_url = url,
        .secret = c->server->secret,
        .secret_len = c->server->config.secret_len,
        .wall_seconds = server_wall_seconds(),
    };
    if (duet_rest_handle(&response, c->server->hub, &request) == DUET_OK)
        send_response(c, &response);
    else
        send_problem(c, 500, "the server is out of memory");
    duet_buffer_free(&response.body);
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

static void write_upgrade(http_call *c, const char *accept, bool subprotocol)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(c->request));

    evbuffer_add_printf(bufferevent_get_output(bev),
                        "HTTP/1.1 101 Switching Protocols\r\n"
                        "Upgrade: websocket\r\n"
                        "Connection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: %s\r\n"
                        "%s\r\n",
                        accept, subprotocol ? "Sec-WebSocket-Protocol: " DUET_SIGNAL_SUBPROTOCOL "\r\n" : "");
}

/* RFC 6455 section 4.2.1. @return NULL, or what is wrong */
static const char *check_upgrade(const http_call *c)
{
    if (c->method != EVHTTP_REQ_GET || !list_has(evhttp_find_header(c->in, "Upgrade"), "websocket") ||
        !list_has(evhttp_find_header(c->in, "Connection"), "upgrade"))
        return "this is for WebSocket";
    if (count_headers(c, "Sec-WebSocket-Key") != 1)
        return "a WebSocket upgrade has one key";
    return NULL;
}

static void upgrade(http_call *c)
{
    const char *version = evhttp_find_header(c->in, "Sec-WebSocket-Version");
    const char *protocols = evhttp_find_header(c->in, "Sec-WebSocket-Protocol");
    const char *wrong = check_upgrade(c);
    char accept[DUET_WEBSOCKET_ACCEPT_LEN + 1];

    if (wrong || !version || strcmp(version, "13") != 0) {
        add_header(c, "Sec-WebSocket-Version", "13");
        send_problem(c, 426, wrong ? wrong : "WebSocket version 13 is spoken here");
        return;
    }
    if (duet_websocket_accept(accept, evhttp_find_header(c->in, "Sec-WebSocket-Key")) != DUET_OK) {
        send_problem(c, 400, "Sec-WebSocket-Key is not the base64 of 16 bytes");
        return;
    }
    if (protocols && !list_has(protocols, DUET_SIGNAL_SUBPROTOCOL)) {
        send_problem(c, 400, "the subprotocol spoken here is duet.v1");
        return;
    }
    if (c->server->stopping || c->server->socket_count >= c->server->config.max_connections) {
        send_problem(c, 503, "the server takes no more connections");
        return;
    }
    const char *token = duet_bearer_token(evhttp_find_header(c->in, "Authorization"));
    if (server_socket_open(c->server, evhttp_request_get_connection(c->request), token) != DUET_OK)
        send_problem(c, 503, "the server is out of memory");
    else
        write_upgrade(c, accept, protocols != NULL);
}

/* ---- routing ---- */

static void route(http_call *c)
{
    if (strcmp(c->path, "/ws") == 0)
        upgrade(c);
    else if (strncmp(c->path, "/api/", 5) == 0)
        serve_rest(c);
    else if (strcmp(c->path, "/healthz") == 0) {
        add_header(c, "Content-Type", "application/json");
        send_reply(c, 200, "{\"status\":\"ok\"}", 15);
    } else
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
