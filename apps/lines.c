/* JSON lines: one object per line of input, of any length up to a bound. */
#include "app.h"
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES (4u << 20)

struct app_lines {
    duet_net *net;
    duet_net_watch *watch;
    duet_net_timer *poll; /* regular files cannot be watched: they are read in one go */
    int fd;
    void (*fn)(void *user, json_t *line);
    void *user;
    char *buffer;
    size_t len, capacity;
    bool ended, stopped, busy;
};

static void end_of_input(app_lines *l)
{
    if (l->ended || l->stopped)
        return;
    l->ended = true;
    duet_net_watch_stop(l->watch);
    l->watch = NULL;
    l->fn(l->user, NULL);
}

static void one_line(app_lines *l, const char *text, size_t len)
{
    json_error_t error;

    if (len == 0)
        return;
    json_t *line = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(line))
        l->fn(l->user, line);
    else
        app_error("a line of input is not a JSON object: %s", line ? "it is another kind of value" : error.text);
    json_decref(line);
}

static void split(app_lines *l)
{
    size_t start = 0;

    while (!l->stopped) {
        char *newline = memchr(l->buffer + start, '\n', l->len - start);
        if (!newline)
            break;
        size_t end = (size_t)(newline - l->buffer);
        one_line(l, l->buffer + start, end - start);
        start = end + 1;
    }
    memmove(l->buffer, l->buffer + start, l->len - start);
    l->len -= start;
}

static bool make_room(app_lines *l)
{
    if (l->capacity - l->len >= 65536)
        return true;
    if (l->len > LINE_MAX_BYTES) {
        app_error("a line of input is longer than %u bytes", LINE_MAX_BYTES);
        return false;
    }
    size_t capacity = l->capacity * 2 + 65536;
    char *grown = realloc(l->buffer, capacity);
    if (!grown)
        return false;
    l->buffer = grown;
    l->capacity = capacity;
    return true;
}

/* @return false when nothing more can be read now */
static bool read_some(app_lines *l)
{
    if (!make_room(l)) {
        end_of_input(l);
        return false;
    }
    ssize_t n = read(l->fd, l->buffer + l->len, l->capacity - l->len);
    if (n > 0) {
        l->len += (size_t)n;
        split(l);
        return !l->stopped;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        end_of_input(l);
    return false;
}

static void finish_if_stopped(app_lines *l)
{
    l->busy = false;
    if (!l->stopped)
        return;
    free(l->buffer);
    free(l);
}

static void readable(void *arg, unsigned ready)
{
    app_lines *l = arg;

    (void)ready;
    l->busy = true;
    read_some(l); /* once: a pipe that is not non-blocking would block the second time */
    finish_if_stopped(l);
}

static void read_all(void *arg)
{
    app_lines *l = arg;

    l->busy = true;
    while (!l->stopped && read_some(l))
        continue;
    finish_if_stopped(l);
}

int app_lines_start(app_lines **out, duet_net *net, int fd, void (*fn)(void *user, json_t *line), void *user)
{
    app_lines *l = calloc(1, sizeof(*l));

    *out = l;
    if (!l)
        return DUET_ERR_NOMEM;
    *l = (app_lines){.net = net, .fd = fd, .fn = fn, .user = user};
    if (duet_net_watch_start(&l->watch, net, fd, DUET_NET_READABLE, readable, l) == DUET_OK)
        return DUET_OK;
    return duet_net_timer_start(&l->poll, net, 0, read_all, l);
}

void app_lines_stop(app_lines *l)
{
    if (!l || l->stopped)
        return;
    l->stopped = true;
    duet_net_watch_stop(l->watch);
    duet_net_timer_cancel(l->poll);
    if (!l->busy)
        finish_if_stopped(l);
}

void app_lines_write(json_t *object)
{
    if (!object)
        return; /* without memory, or of a file whose name is no UTF-8 */
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
    fputc('\n', stdout);
    fflush(stdout);
    json_decref(object);
}
