/* The link to Redis: one connection for commands, one for this node's channel, made and lost together; the queue of commands,
 * which outlives both. */
#include "base/log.h"
#include "base/text.h"
#include "signaling/store_redis_private.h"
#include <hiredis/adapters/libevent.h>
#include <hiredis/sds.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 2000
#define PORT_DEFAULT   6379
#define REPLY_MAX      (64u << 20) /* bytes of one reply; Redis that sends more is not trusted */
#define GOODBYE_MS     200

static void connect_both(redis_store *s);
static void send_waiting(redis_store *s);

void duet_redis_log(const redis_store *s, duet_log_level level, const char *format, ...)
{
    char text[256];
    va_list args;

    if (!s->config.on_log)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    s->config.on_log(s->config.user, level, text);
}

/* ---- commands ---- */

redis_command *duet_redis_command(redis_store *s, const char *operation, bool repeated, redis_answer answer)
{
    redis_command *c = duet_calloc(&s->env, sizeof(*c));

    if (!c)
        return NULL;
    c->store = s;
    c->operation = operation;
    c->number = repeated ? ++s->next_number : 0;
    c->answer = answer;
    duet_buffer_init(&c->body, &s->env);
    return c;
}

void duet_redis_argument_bytes(redis_command *c, const void *data, size_t len)
{
    if (!c)
        return;
    duet_buffer_printf(&c->body, "$%zu\r\n", len);
    duet_buffer_append(&c->body, data, len);
    duet_buffer_text(&c->body, "\r\n");
    c->arguments++;
}

void duet_redis_argument(redis_command *c, const char *text)
{
    duet_redis_argument_bytes(c, text, strlen(text));
}

void duet_redis_argument_number(redis_command *c, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    duet_redis_argument(c, text);
}

static void free_command(redis_command *c)
{
    redis_store *s = c->store;

    duet_buffer_free(&c->body);
    duet_free(&s->env, c);
}

static void append_command(redis_store *s, redis_command *c)
{
    c->prev = s->last;
    *(s->last ? &s->last->next : &s->first) = c;
    s->last = c;
    s->unsent = s->unsent ? s->unsent : c;
    s->queued++;
    s->queued_bytes += c->body.len;
}

static void remove_command(redis_store *s, redis_command *c)
{
    *(c->prev ? &c->prev->next : &s->first) = c->next;
    *(c->next ? &c->next->prev : &s->last) = c->prev;
    if (s->unsent == c)
        s->unsent = c->next;
    s->queued--;
    s->queued_bytes -= c->body.len;
    c->prev = c->next = NULL;
}

/* ---- replies ---- */

static bool is_outcome(const redisReply *r)
{
    return r->type == REDIS_REPLY_ARRAY && r->elements > 0 && r->element[0]->type == REDIS_REPLY_INTEGER &&
           r->element[0]->integer <= 0 && r->element[0]->integer >= DUET_ERR_BUFFER;
}

/* Outcomes that do not concern the command but the server: it is asked again, elsewhere or later. */
static bool is_unwell(const redisReply *r)
{
    static const char *const words[] = {"NOSCRIPT", "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN",
                                        "BUSY",     "NOAUTH",  "MISCONF",  "OOM"};

    for (size_t i = 0; r->type == REDIS_REPLY_ERROR && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strstr(r->str, words[i]))
            return true;
    }
    return false;
}

static void deliver_answer(redis_store *s, redis_command *c, const redisReply *r)
{
    if (r->type == REDIS_REPLY_ERROR)
        duet_redis_log(s, DUET_LOG_ERROR, "redis: %s: %.160s", c->operation, r->str);
    if (is_outcome(r))
        c->answer(s, c, (int)r->element[0]->integer, r);
    else
        c->answer(s, c, DUET_ERR_IO, NULL);
}

static bool is_too_much(const redisAsyncContext *ac)
{
    return ac->c.reader && ac->c.reader->len > REPLY_MAX;
}

static void on_reply(redisAsyncContext *ac, void *reply, void *arg)
{
    redis_command *c = arg;
    redis_store *s = c->store;

    if (!reply || ac != s->commands) /* the connection broke: it is repeated */
        return;
    if (is_unwell(reply)) {
        duet_redis_log(s, DUET_LOG_WARN, "redis: %.160s", ((redisReply *)reply)->str);
        duet_redis_link_break(s, "Redis cannot serve at present");
        return;
    }
    remove_command(s, c);
    s->sent--;
    deliver_answer(s, c, reply);
    free_command(c);
    if (is_too_much(ac))
        duet_redis_link_break(s, "a reply is too large");
    send_waiting(s);
}

static void on_reply_now(redisAsyncContext *ac, void *reply, void *arg)
{
    redis_command *c = arg;
    redis_store *s = c->store;

    if (reply && ac == s->commands && is_unwell(reply))
        duet_redis_link_break(s, "Redis cannot serve at present");
    else if (reply && ac == s->commands)
        deliver_answer(s, c, reply);
    free_command(c);
}

void duet_redis_ignore(redis_store *s, redis_command *c, int err, const redisReply *reply)
{
    (void)s;
    (void)c;
    (void)err;
    (void)reply;
}

/* ---- sending ---- */

static void header_argument(duet_buffer *b, const char *text)
{
    duet_buffer_printf(b, "$%zu\r\n%s\r\n", strlen(text), text);
}

static bool transmit(redis_store *s, redis_command *c, bool again, redisCallbackFn *callback)
{
    char number[24];
    duet_buffer b;

    snprintf(number, sizeof(number), "%llu", (unsigned long long)c->number);
    duet_buffer_init(&b, &s->env);
    duet_buffer_printf(&b, "*%zu\r\n", c->arguments + 9);
    header_argument(&b, "EVALSHA");
    header_argument(&b, s->script_hash);
    header_argument(&b, "0");
    header_argument(&b, c->operation);
    header_argument(&b, s->prefix);
    header_argument(&b, s->node);
    header_argument(&b, number);
    header_argument(&b, again ? "1" : "0");
    header_argument(&b, s->run);
    if (c->body.len > 0)
        duet_buffer_append(&b, c->body.data, c->body.len);
    bool ok =
        !b.failed && redisAsyncFormattedCommand(s->commands, callback, c, (const char *)b.data, b.len) == REDIS_OK;
    duet_buffer_free(&b);
    return ok;
}

static void send_waiting(redis_store *s)
{
    while (s->link == REDIS_UP && !s->settling && s->unsent && s->sent < REDIS_WINDOW) {
        redis_command *c = s->unsent;
        if (!transmit(s, c, c->sent, on_reply)) {
            duet_redis_link_break(s, "no memory");
            return;
        }
        c->sent = true;
        s->sent++;
        s->unsent = c->next;
    }
}

int duet_redis_send(redis_store *s, redis_command *c, bool essential)
{
    int err = DUET_OK;

    if (!c)
        return DUET_ERR_NOMEM;
    if (c->body.failed)
        err = DUET_ERR_NOMEM;
    else if (!essential && (s->queued >= REDIS_COMMANDS_MAX || s->queued_bytes + c->body.len > REDIS_BYTES_MAX))
        err = DUET_ERR_IO;
    if (err != DUET_OK) {
        free_command(c);
        return err;
    }
    append_command(s, c);
    send_waiting(s);
    return DUET_OK;
}

bool duet_redis_send_now(redis_store *s, redis_command *c)
{
    if (!c)
        return false;
    bool ready = !c->body.failed && s->commands && s->link >= REDIS_GREETING;
    if (ready && transmit(s, c, false, on_reply_now))
        return true;
    free_command(c);
    return false;
}

/* ---- greeting ---- */

static void on_hello(redis_store *s, redis_command *c, int err, const redisReply *reply)
{
    char run[sizeof(s->run)];

    (void)c;
    if (err != DUET_OK || !duet_redis_text(reply, 2, run, sizeof(run))) {
        duet_redis_link_break(s, "Redis does not run the script");
        return;
    }
    if (s->run[0] && strcmp(run, s->run) != 0)
        s->stale = true;
    memcpy(s->run, run, sizeof(run));
    duet_redis_log(s, DUET_LOG_INFO, "redis: connected%s", s->stale ? ", to another process than before" : "");
    s->link = REDIS_UP;
    s->up_at = duet_loop_now();
    s->asked_at = 0;
    duet_loop_timer(s->beat, DUET_MS(s->config.beat_ms));
    duet_loop_timer(s->sweep, DUET_MS(s->config.sweep_ms));
    /* What was under way may have been carried out, by a Redis that cannot tell: others say first what they heard. */
    s->settling = (s->stale || s->settling) && s->first && s->first->sent;
    if (s->settling)
        duet_loop_timer(s->settled, DUET_MS(s->config.settle_ms));
    if (s->stale)
        duet_redis_say_heard(s);
    duet_redis_compare_all(s);
    send_waiting(s);
}

static void greet(redis_store *s)
{
    if (s->link != REDIS_CONNECTING || !s->subscribed || !s->loaded)
        return;
    s->link = REDIS_GREETING;
    redis_command *c = duet_redis_command(s, "hello", false, on_hello);
    if (c)
        duet_redis_argument_number(c, s->config.ttl_ms);
    if (!duet_redis_send_now(s, c))
        duet_redis_link_break(s, "no memory");
}

static void on_setup(redisAsyncContext *ac, void *reply, void *arg)
{
    redis_store *s = ac->data;
    const redisReply *r = reply;
    const char *what = arg;

    if (!r || (ac != s->commands && ac != s->channel))
        return;
    if (r->type == REDIS_REPLY_ERROR) {
        duet_redis_log(s, DUET_LOG_ERROR, "redis: %s: %.160s", what, r->str);
        duet_redis_link_break(s, what);
        return;
    }
    if (strcmp(what, "SCRIPT LOAD") == 0) {
        s->loaded = r->type == REDIS_REPLY_STRING && strcmp(r->str, s->script_hash) == 0;
        if (!s->loaded)
            duet_redis_link_break(s, "SCRIPT LOAD");
        greet(s);
    }
}

static bool is_word(const redisReply *r, const char *word)
{
    return r->type == REDIS_REPLY_STRING && strcmp(r->str, word) == 0;
}

static void on_channel(redisAsyncContext *ac, void *reply, void *arg)
{
    redis_store *s = ac->data;
    const redisReply *r = reply;

    (void)arg;
    if (!r || ac != s->channel)
        return;
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 3) {
        duet_redis_link_break(s, r->type == REDIS_REPLY_ERROR ? "SUBSCRIBE" : "the channel is not understood");
        return;
    }
    if (is_word(r->element[0], "subscribe")) {
        s->subscribed = true;
        greet(s);
    } else if (is_word(r->element[0], "message") && r->element[2]->type == REDIS_REPLY_STRING) {
        duet_redis_heard(s, r->element[2]->str, r->element[2]->len);
    }
    if (ac == s->channel && is_too_much(ac))
        duet_redis_link_break(s, "a message is too large");
}

/* ---- connections ---- */

static void drop_context(redisAsyncContext **ac)
{
    redisAsyncContext *gone = *ac;

    *ac = NULL;
    if (gone)
        redisAsyncFree(gone);
}

void duet_redis_link_break(redis_store *s, const char *reason)
{
    if (s->link == REDIS_DOWN)
        return;
    duet_redis_log(s, DUET_LOG_WARN, "redis: disconnected: %s", reason);
    if (s->link == REDIS_UP && duet_loop_now() - s->up_at > DUET_MS(BACKOFF_MAX_MS))
        s->backoff_ms = BACKOFF_MIN_MS; /* not when it breaks again and again */
    s->link = REDIS_DOWN;
    s->reason = reason;
    s->unsent = s->first; /* those that were sent are repeated, first and in their order */
    s->sent = 0;
    event_del(s->beat);
    event_del(s->sweep);
    event_del(s->settled);
    drop_context(&s->commands);
    drop_context(&s->channel);
    if (s->in_destroy)
        return;
    duet_loop_timer(s->retry, DUET_MS(s->backoff_ms));
    s->backoff_ms = s->backoff_ms * 2 < BACKOFF_MAX_MS ? s->backoff_ms * 2 : BACKOFF_MAX_MS;
}

/* hiredis frees the context itself after both of these. */
static void forget_context(redis_store *s, const redisAsyncContext *ac, const char *reason)
{
    if (s->commands != ac && s->channel != ac)
        return;
    *(s->commands == ac ? &s->commands : &s->channel) = NULL;
    duet_redis_link_break(s, reason);
}

static void on_connect(const redisAsyncContext *ac, int status)
{
    if (status != REDIS_OK)
        forget_context(ac->data, ac, "the connection could not be made");
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
    (void)status;
    forget_context(ac->data, ac, "the connection broke");
}

static bool command(redisAsyncContext *ac, const char *what, redisCallbackFn *callback, int argc,
                    const char *const *argv)
{
    const char *copy[4];

    memcpy(copy, argv, (size_t)argc * sizeof(*argv));
    return redisAsyncCommandArgv(ac, callback, (void *)(uintptr_t)what, argc, copy, NULL) == REDIS_OK;
}

static bool authenticate(const redis_store *s, redisAsyncContext *ac)
{
    if (s->password && s->login)
        return command(ac, "AUTH", on_setup, 3, (const char *const[]){"AUTH", s->login, s->password});
    if (s->password)
        return command(ac, "AUTH", on_setup, 2, (const char *const[]){"AUTH", s->password});
    return true;
}

static redisAsyncContext *connect_one(redis_store *s)
{
    redisAsyncContext *ac = s->path ? redisAsyncConnectUnix(s->path) : redisAsyncConnect(s->host, s->port);

    if (!ac)
        return NULL;
    ac->data = s;
    if (ac->err || redisLibeventAttach(ac, s->base) != REDIS_OK) {
        redisAsyncFree(ac);
        return NULL;
    }
    redisAsyncSetConnectCallback(ac, on_connect);
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
    return ac;
}

static bool set_up(redis_store *s)
{
    char database[12], name[DUET_ROOM_ID_MAX];

    snprintf(database, sizeof(database), "%u", s->database);
    snprintf(name, sizeof(name), "%snode:%s", s->prefix, s->node);
    return authenticate(s, s->commands) && authenticate(s, s->channel) &&
           command(s->commands, "SELECT", on_setup, 2, (const char *const[]){"SELECT", database}) &&
           command(s->commands, "SCRIPT LOAD", on_setup, 3,
                   (const char *const[]){"SCRIPT", "LOAD", duet_store_redis_script}) &&
           command(s->channel, "SUBSCRIBE", on_channel, 2, (const char *const[]){"SUBSCRIBE", name});
}

static void connect_both(redis_store *s)
{
    s->link = REDIS_CONNECTING;
    s->subscribed = s->loaded = false;
    s->asked_at = duet_loop_now();
    duet_loop_timer(s->beat, DUET_MS(s->config.beat_ms)); /* watches over the set-up, too */
    s->commands = connect_one(s);
    s->channel = s->commands ? connect_one(s) : NULL;
    if (!s->channel || !set_up(s))
        duet_redis_link_break(s, "the connection could not be made");
}

/* ---- timers ---- */

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
    redis_store *s = arg;

    (void)fd;
    (void)what;
    s->settling = false;
    send_waiting(s);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    connect_both(arg);
}

static void on_beat_answer(redis_store *s, redis_command *c, int err, const redisReply *reply)
{
    uint64_t is_new = 0;

    (void)c;
    s->asked_at = 0;
    /* Others took this node for dead and its seats for abandoned. */
    if (err == DUET_OK && duet_redis_number(reply, 1, 1, &is_new) && is_new)
        duet_redis_compare_all(s);
}

static void ask(redis_store *s, const char *operation, unsigned argument, redis_answer answer)
{
    redis_command *c = duet_redis_command(s, operation, false, answer);

    if (c)
        duet_redis_argument_number(c, argument);
    (void)duet_redis_send_now(s, c);
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    redis_store *s = arg;
    duet_time now = duet_loop_now();

    (void)fd;
    (void)what;
    if (s->asked_at && now - s->asked_at > DUET_MS(s->config.ttl_ms)) {
        duet_redis_link_break(s, "Redis does not answer");
        return;
    }
    duet_loop_timer(s->beat, DUET_MS(s->config.beat_ms));
    if (s->link != REDIS_UP)
        return;
    s->asked_at = s->asked_at ? s->asked_at : now;
    ask(s, "beat", s->config.ttl_ms, on_beat_answer);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    redis_store *s = arg;

    (void)fd;
    (void)what;
    duet_loop_timer(s->sweep, DUET_MS(s->config.sweep_ms));
    duet_redis_forget_away(s, duet_loop_now());
    ask(s, "sweep", s->config.grace_ms, duet_redis_ignore);
}

/* ---- URL ---- */

static int hex_value(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Percent-decoding, RFC 3986 section 2.1. NULL: malformed, or no memory. */
static char *decode(const redis_store *s, duet_bytes text)
{
    duet_reader r = duet_text_reader_of(text);
    duet_buffer out;

    duet_buffer_init(&out, &s->env);
    while (duet_reader_left(&r) > 0) {
        uint8_t c = duet_read_u8(&r);
        if (c == '%') {
            int high = hex_value(duet_read_u8(&r)), low = hex_value(duet_read_u8(&r));
            c = (uint8_t)(high < 0 || low < 0 ? 0 : high << 4 | low);
        }
        if (c == 0)
            r.failed = out.failed = true;
        duet_buffer_append(&out, &c, 1);
        if (r.failed)
            break;
    }
    duet_buffer_append(&out, "", 0);
    char *decoded = duet_buffer_steal(&out);
    duet_buffer_free(&out);
    return decoded;
}

static bool is_not_at(uint8_t c)
{
    return c != '@';
}

static bool is_not_colon(uint8_t c)
{
    return c != ':';
}

static bool is_host_char(uint8_t c)
{
    return duet_char_is_not_space(c) && c != ':' && c != '/' && c != '@';
}

static bool is_address6_char(uint8_t c)
{
    return duet_char_is_alnum(c) || c == ':' || c == '.' || c == '%';
}

static int parse_login(redis_store *s, duet_bytes text)
{
    duet_reader r = duet_text_reader_of(text);
    duet_bytes login = duet_text_run(&r, is_not_colon);

    if (!duet_text_skip(&r, ':'))
        return DUET_ERR_INVALID;
    s->password = decode(s, duet_text_rest(&r));
    s->login = login.len > 0 ? decode(s, login) : NULL;
    return s->password && (s->login || login.len == 0) ? DUET_OK : DUET_ERR_INVALID;
}

static int parse_host(redis_store *s, duet_reader *r)
{
    uint64_t number = PORT_DEFAULT;
    bool in_brackets = duet_text_skip(r, '[');
    duet_bytes host = duet_text_run(r, in_brackets ? is_address6_char : is_host_char);

    if (host.len == 0 || (in_brackets && !duet_text_skip(r, ']')))
        return DUET_ERR_INVALID;
    if (duet_text_skip(r, ':') && !duet_text_number(r, 1, 65535, &number))
        return DUET_ERR_INVALID;
    s->port = (uint16_t)number;
    number = 0;
    if (duet_text_skip(r, '/') && !duet_text_at_end(r) && !duet_text_number(r, 0, 1000000, &number))
        return DUET_ERR_INVALID;
    s->database = (unsigned)number;
    s->host = duet_strndup(&s->env, (const char *)host.data, host.len);
    if (!s->host)
        return DUET_ERR_NOMEM;
    return duet_text_at_end(r) ? DUET_OK : DUET_ERR_INVALID;
}

static int parse_url(redis_store *s, const char *url)
{
    duet_reader r = duet_text_reader(url, strlen(url));

    if (duet_text_skip_word(&r, "rediss://"))
        return DUET_ERR_UNSUPPORTED;
    if (duet_text_skip_word(&r, "unix://")) {
        s->path = decode(s, duet_text_rest(&r));
        return s->path && s->path[0] == '/' ? DUET_OK : DUET_ERR_INVALID;
    }
    if (!duet_text_skip_word(&r, "redis://"))
        return DUET_ERR_INVALID;
    duet_reader ahead = r;
    duet_bytes login = duet_text_run(&ahead, is_not_at);
    if (duet_text_skip(&ahead, '@')) {
        r = ahead;
        int err = parse_login(s, login);
        if (err != DUET_OK)
            return err;
    }
    return parse_host(s, &r);
}

/* ---- life ---- */

int duet_redis_link_open(redis_store *s, const char *url)
{
    int err = parse_url(s, url);

    if (err != DUET_OK)
        return err;
    s->reason = "not connected yet";
    s->backoff_ms = BACKOFF_MIN_MS;
    s->retry = evtimer_new(s->base, on_retry, s);
    s->beat = evtimer_new(s->base, on_beat, s);
    s->sweep = evtimer_new(s->base, on_sweep, s);
    s->settled = evtimer_new(s->base, on_settled, s);
    if (!s->retry || !s->beat || !s->sweep || !s->settled)
        return DUET_ERR_NOMEM;
    connect_both(s);
    return DUET_OK;
}

/* What waits to be written leaves if it can do so soon: detached seats are not lost when the server ends in order. */
static void write_out(redis_store *s)
{
    duet_time end = duet_loop_now() + DUET_MS(GOODBYE_MS);

    while (s->link == REDIS_UP && s->commands && sdslen(s->commands->c.obuf) > 0 && duet_loop_now() < end) {
        struct pollfd writable = {.fd = s->commands->c.fd, .events = POLLOUT};
        if (poll(&writable, 1, GOODBYE_MS) > 0)
            redisAsyncHandleWrite(s->commands);
    }
}

static void free_timer(struct event *timer)
{
    if (timer)
        event_free(timer);
}

void duet_redis_link_close(redis_store *s)
{
    s->in_destroy = true;
    if (s->link == REDIS_UP) {
        ask(s, "goodbye", s->config.grace_ms, duet_redis_ignore);
        write_out(s);
    }
    if (s->retry && s->beat && s->sweep && s->settled)
        duet_redis_link_break(s, "closed");
    while (s->first) {
        redis_command *c = s->first;
        remove_command(s, c);
        c->answer(s, c, DUET_ERR_CLOSED, NULL);
        free_command(c);
    }
    free_timer(s->retry);
    free_timer(s->beat);
    free_timer(s->sweep);
    free_timer(s->settled);
    duet_free(&s->env, s->host);
    duet_free(&s->env, s->path);
    duet_free(&s->env, s->login);
    duet_free(&s->env, s->password);
}
