/* A link over a socket as aiortc's TcpSocketSignaling and UnixSocketSignaling speak it: JSON lines, descriptions as
 * {"sdp","type"}, candidates as {"candidate","id","label","type"}, and {"type":"bye"}. Whoever sends first listens, and
 * whoever receives first connects; there the program that connects must be started second, while this one tries again
 * until somebody listens. Descriptions carry all their candidates: programs of that kind rarely wait for more. */
#include "app_signaling.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_AFTER DUET_MS(200)
#define PEER        "peer"

typedef struct socket_link {
    duet_net *net;
    app_link_callbacks callbacks;
    struct sockaddr_storage address;
    socklen_t address_len;
    char path[108]; /* of a listening Unix socket, to be removed */
    bool offers, done;
    int listener, fd;
    duet_net_watch *watch; /* of the listener, or of a connection that is being made */
    duet_net_timer *timer;
    app_lines *lines;
} socket_link;

static void try_to_connect(void *arg);

/* ---- the connection ---- */

static void stop_watch(socket_link *l)
{
    duet_net_watch_stop(l->watch);
    l->watch = NULL;
}

static void start_timer(socket_link *l, duet_time delay, void (*fn)(void *arg))
{
    duet_net_timer_cancel(l->timer);
    l->timer = NULL;
    duet_net_timer_start(&l->timer, l->net, delay, fn, l);
}

static void hang_up(socket_link *l)
{
    app_lines_stop(l->lines);
    l->lines = NULL;
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

/* The offerer has had its peer; an answerer waits for the next one. */
static void peer_gone(socket_link *l, const char *reason)
{
    if (l->fd < 0)
        return;
    hang_up(l);
    if (!l->offers)
        start_timer(l, RETRY_AFTER, try_to_connect);
    l->callbacks.on_gone(l->callbacks.user, PEER, reason);
}

static void take_candidate(socket_link *l, const json_t *line)
{
    const json_t *label = json_object_get(line, "label");
    duet_pc_candidate c = {.candidate = json_string_value(json_object_get(line, "candidate")),
                           .sdp_mid = json_string_value(json_object_get(line, "id")),
                           .sdp_mline_index = json_is_integer(label) ? (int)json_integer_value(label) : -1};

    if (c.candidate)
        l->callbacks.on_candidate(l->callbacks.user, PEER, &c);
}

static void take_line(void *user, json_t *line)
{
    socket_link *l = user;
    const char *type = json_string_value(json_object_get(line, "type"));
    const char *sdp = json_string_value(json_object_get(line, "sdp"));

    if (!line || (type && strcmp(type, "bye") == 0))
        peer_gone(l, line ? "left" : "closed");
    else if (type && strcmp(type, "candidate") == 0)
        take_candidate(l, line);
    else if (type && sdp && (strcmp(type, "offer") == 0 || strcmp(type, "answer") == 0))
        l->callbacks.on_description(l->callbacks.user, PEER, duet_sdp_type_parse(type), sdp);
    else
        app_error("a line of the peer is neither a description nor a candidate nor bye");
}

static void connected(socket_link *l)
{
    if (app_lines_start(&l->lines, l->net, l->fd, take_line, l) != DUET_OK) {
        hang_up(l);
        return;
    }
    l->callbacks.on_peer(l->callbacks.user, PEER, PEER);
}

/* ---- the offerer listens ---- */

static void acceptable(void *arg, unsigned ready)
{
    socket_link *l = arg;

    (void)ready;
    int fd = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (l->fd >= 0) { /* one peer at a time */
        close(fd);
        return;
    }
    l->fd = fd;
    connected(l);
}

static bool start_listening(socket_link *l)
{
    int one = 1;

    l->listener = socket(l->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->listener < 0)
        return false;
    setsockopt(l->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    return bind(l->listener, (struct sockaddr *)&l->address, l->address_len) == 0 && listen(l->listener, 4) == 0 &&
           duet_net_watch_start(&l->watch, l->net, l->listener, DUET_NET_READABLE, acceptable, l) == DUET_OK;
}

/* ---- the answerer connects, again and again ---- */

static void retry(socket_link *l)
{
    stop_watch(l);
    hang_up(l);
    start_timer(l, RETRY_AFTER, try_to_connect);
}

/* From here on the socket blocks: it is read when there is something to read, and what is sent to it is short. */
static void connect_ready(void *arg, unsigned ready)
{
    socket_link *l = arg;
    int error = 0, fd = l->fd;
    socklen_t len = sizeof(error);

    (void)ready;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        retry(l);
        return;
    }
    stop_watch(l);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    connected(l);
}

static void try_to_connect(void *arg)
{
    socket_link *l = arg;

    if (l->done)
        return;
    l->fd = socket(l->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool going =
        l->fd >= 0 && (connect(l->fd, (struct sockaddr *)&l->address, l->address_len) == 0 || errno == EINPROGRESS);
    if (!going || duet_net_watch_start(&l->watch, l->net, l->fd, DUET_NET_WRITABLE, connect_ready, l) != DUET_OK)
        retry(l);
}

/* ---- sending ---- */

static int send_line(socket_link *l, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_SORT_KEYS) : NULL;
    size_t len = text ? strlen(text) : 0, sent = 0;

    json_decref(object);
    if (!text || l->fd < 0) {
        free(text);
        return text ? DUET_ERR_CLOSED : DUET_ERR_NOMEM;
    }
    text[len] = '\n'; /* in the place of the NUL */
    while (sent <= len) {
        ssize_t n = send(l->fd, text + sent, len + 1 - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            break;
        sent += n > 0 ? (size_t)n : 0;
    }
    free(text);
    return sent > len ? DUET_OK : DUET_ERR_IO;
}

static int send_description(void *link, const char *peer, duet_sdp_type type, const char *sdp)
{
    (void)peer;
    return send_line(link, json_pack("{s:s,s:s}", "sdp", sdp, "type", duet_sdp_type_name(type)));
}

static int send_candidate(void *link, const char *peer, const duet_pc_candidate *c)
{
    (void)peer;
    return send_line(link,
                     json_pack("{s:s,s:s,s:i,s:s}", "candidate", c->candidate, "id", c->sdp_mid ? c->sdp_mid : "0",
                               "label", c->sdp_mline_index < 0 ? 0 : c->sdp_mline_index, "type", "candidate"));
}

static void peer_done(void *link, const char *peer)
{
    socket_link *l = link;

    (void)peer;
    if (l->fd < 0)
        return;
    send_line(l, json_pack("{s:s}", "type", "bye"));
    hang_up(l);
    if (!l->offers && !l->done)
        start_timer(l, RETRY_AFTER, try_to_connect);
}

/* ---- addresses ---- */

static bool unix_address(socket_link *l, const char *path)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&l->address;

    if (!*path || strlen(path) >= sizeof(un->sun_path))
        return false;
    un->sun_family = AF_UNIX;
    strcpy(un->sun_path, path);
    l->address_len = sizeof(*un);
    if (l->offers)
        strcpy(l->path, path);
    return true;
}

static bool tcp_address(socket_link *l, const char *text)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    char host[256];
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;

    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof(host))
        return false;
    memcpy(host, text, len);
    host[len] = 0;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return false;
    memcpy(&l->address, found->ai_addr, found->ai_addrlen);
    l->address_len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

/* ---- life ---- */

static void close_link(void *link)
{
    socket_link *l = link;

    l->done = true;
    peer_done(l, PEER);
    stop_watch(l);
    duet_net_timer_cancel(l->timer);
    if (l->listener >= 0)
        close(l->listener);
    if (l->path[0])
        unlink(l->path);
    free(l);
}

static void begin(void *arg)
{
    socket_link *l = arg;

    l->callbacks.on_ready(l->callbacks.user, PEER, NULL);
    if (!l->offers)
        try_to_connect(l);
}

static const app_link_ops socket_ops = {send_description, send_candidate, peer_done, close_link};

int app_socket_link_open(app_link *out, duet_net *net, const app_link_options *o, const app_link_callbacks *callbacks)
{
    socket_link *l = calloc(1, sizeof(*l));

    if (!l)
        return APP_FAILED;
    *l = (socket_link){.net = net, .callbacks = *callbacks, .offers = o->offers, .listener = -1, .fd = -1};
    bool is_unix = strncmp(o->url, "unix://", 7) == 0;
    if (is_unix ? !unix_address(l, o->url + 7) : !tcp_address(l, o->url + 6)) {
        app_error("--signaling %s: give tcp://HOST:PORT or unix://PATH", o->url);
        free(l);
        return APP_BAD_USAGE;
    }
    if (l->offers && !start_listening(l)) {
        app_error("cannot listen on %s: %s", o->url, strerror(errno));
        l->path[0] = 0; /* not ours */
        close_link(l);
        return APP_FAILED;
    }
    start_timer(l, 0, begin);
    *out = (app_link){&socket_ops, l, false};
    return APP_OK;
}
