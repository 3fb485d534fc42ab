/* The calling side: tool_call, tool_cancel and utcp out; tool_response, tool_error, stream_data, stream_end and the
 * manual in. */
#include "signaling/utcp_client.h"
#include "base/map.h"
#include "base/timer.h"
#include "signaling/utcp_learned.h"
#include "signaling/utcp_pipe.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ID_SIZE 32

/* What waits for an answer. */
typedef struct waiter {
    duet_timer timer; /* first: waiters are found by it */
    bool is_discovery;
} waiter;

typedef struct call {
    waiter waiter; /* first */
    struct call *next;
    uint64_t ticket;
    char id[ID_SIZE];
    char *tool;
    duet_buffer text; /* of the tool_call: until it is sent, and beyond when it may be sent again */
    size_t text_len;
    bool sent, broken, has_items;
    duet_utcp_request request; /* its texts are not kept */
} call;

typedef struct discovery {
    waiter waiter; /* first */
    struct discovery *next;
    duet_utcp_via via;
    bool asked;
    duet_utcp_on_manual on_manual;
    void *user;
} discovery;

struct duet_utcp_client_core {
    duet_env env;
    size_t max_calls;
    uint32_t prefix; /* of ids: another one for each client */
    uint64_t last_ticket;
    bool connected;
    duet_utcp_pipe pipe;
    duet_timers timers;
    duet_map by_ticket;
    call *first, *last; /* in the order in which they were made */
    size_t call_count, unsent, bytes;
    discovery *discoveries;
    size_t discovery_count;
    duet_utcp_learned learned;
    duet_utcp_client_stats stats;
};

static duet_time deadline_after(duet_time now, duet_time timeout)
{
    return timeout > DUET_NEVER - now ? DUET_NEVER : now + timeout;
}

/* ---- calls ---- */

static void release_text(duet_utcp_client_core *core, call *c)
{
    core->bytes -= c->text_len;
    c->text_len = 0;
    duet_buffer_free(&c->text);
    duet_buffer_init(&c->text, &core->env);
}

static void free_call(duet_utcp_client_core *core, call *c)
{
    release_text(core, c);
    duet_free(&core->env, c->tool);
    duet_free(&core->env, c);
}

/* Takes it out of every table; it is the caller's now. */
static void unlink_call(duet_utcp_client_core *core, call *c)
{
    call **link = &core->first, *before = NULL;

    while (*link != c) {
        before = *link;
        link = &(*link)->next;
    }
    *link = c->next;
    if (core->last == c)
        core->last = before;
    duet_map_remove(&core->by_ticket, c->ticket);
    duet_timers_cancel(&core->timers, &c->waiter.timer);
    core->call_count--;
    core->unsent -= !c->sent;
}

static void finish(duet_utcp_client_core *core, call *c, const duet_utcp_result *result)
{
    unlink_call(core, c);
    if (c->request.on_done)
        c->request.on_done(c->request.user, c->ticket, result);
    free_call(core, c);
}

static void fail(duet_utcp_client_core *core, call *c, int err, const char *code, const char *message)
{
    const duet_utcp_result result = {err, code, message, NULL, 0};

    finish(core, c, &result);
}

static int write_call(duet_buffer *out, const call *c, const duet_utcp_request *r)
{
    duet_utcp_message m = {.type = DUET_UTCP_CALL, .tool = r->tool, .id = c->id, .stream = r->stream};
    size_t len = r->inputs_len ? r->inputs_len : strlen(r->inputs);

    int err = duet_utcp_json_parse(&m.inputs, r->inputs, len, NULL);
    if (err == DUET_OK && !json_is_object(m.inputs))
        err = DUET_ERR_INVALID;
    if (err == DUET_OK)
        err = duet_utcp_message_write(out, &m);
    json_decref(m.inputs);
    return err == DUET_ERR_MALFORMED ? DUET_ERR_INVALID : err;
}

static int make_call(duet_utcp_client_core *core, call *c, const duet_utcp_request *r)
{
    memcpy(&c->request, r, r->size < sizeof(c->request) ? r->size : sizeof(c->request));
    c->request.timeout = r->timeout ? r->timeout : DUET_UTCP_TIMEOUT_DEFAULT;
    c->request.tool = c->request.inputs = NULL;
    snprintf(c->id, sizeof(c->id), "%08" PRIx32 "-%" PRIu64, core->prefix, c->ticket);
    c->tool = duet_strdup(&core->env, r->tool);
    int err = c->tool ? write_call(&c->text, c, r) : DUET_ERR_NOMEM;
    if (err == DUET_OK && c->text.len > DUET_UTCP_CALLS_BYTES_MAX - core->bytes)
        err = DUET_ERR_LIMIT;
    return err == DUET_OK ? duet_map_set(&core->by_ticket, c->ticket, c) : err;
}

int duet_utcp_client_core_call(duet_utcp_client_core *core, const duet_utcp_request *r, uint64_t *ticket, duet_time now)
{
    if (!duet_utcp_name_valid(r->tool) || !r->inputs)
        return DUET_ERR_INVALID;
    if (core->call_count >= core->max_calls)
        return DUET_ERR_LIMIT;
    call *c = duet_calloc(&core->env, sizeof(*c));
    if (!c)
        return DUET_ERR_NOMEM;
    duet_buffer_init(&c->text, &core->env);
    c->ticket = core->last_ticket + 1;
    int err = make_call(core, c, r);
    if (err != DUET_OK) {
        free_call(core, c);
        return err;
    }
    core->last_ticket = c->ticket;
    c->text_len = c->text.len;
    core->bytes += c->text_len;
    if (core->last)
        core->last->next = c;
    else
        core->first = c;
    core->last = c;
    core->call_count++;
    core->unsent++;
    core->stats.calls++;
    duet_timers_set(&core->timers, &c->waiter.timer, deadline_after(now, c->request.timeout));
    if (ticket)
        *ticket = c->ticket;
    return DUET_OK;
}

/* The tool need not go on. If that cannot be said for lack of memory, it goes on for nothing. */
static void tell_cancelled(duet_utcp_client_core *core, const call *c)
{
    const duet_utcp_message m = {.type = DUET_UTCP_CANCEL, .id = c->id};
    duet_buffer text;

    if (!core->connected || !c->sent)
        return;
    duet_buffer_init(&text, &core->env);
    if (duet_utcp_message_write(&text, &m) == DUET_OK)
        (void)duet_utcp_pipe_push(&core->pipe, &text);
    duet_buffer_free(&text);
}

int duet_utcp_client_core_cancel(duet_utcp_client_core *core, uint64_t ticket)
{
    call *c = duet_map_get(&core->by_ticket, ticket);

    if (!c)
        return DUET_ERR_NOT_FOUND;
    tell_cancelled(core, c);
    unlink_call(core, c);
    free_call(core, c);
    return DUET_OK;
}

/* ---- discovery ---- */

int duet_utcp_client_core_discover(duet_utcp_client_core *core, duet_utcp_via via, duet_time timeout,
                                   duet_utcp_on_manual on_manual, void *user, duet_time now)
{
    discovery **link = &core->discoveries;

    if (core->discovery_count >= DUET_UTCP_DISCOVERIES_MAX)
        return DUET_ERR_LIMIT;
    discovery *d = duet_calloc(&core->env, sizeof(*d));
    if (!d)
        return DUET_ERR_NOMEM;
    d->waiter.is_discovery = true;
    d->via = via;
    d->on_manual = on_manual;
    d->user = user;
    while (*link)
        link = &(*link)->next;
    *link = d;
    core->discovery_count++;
    duet_timers_set(&core->timers, &d->waiter.timer,
                    deadline_after(now, timeout ? timeout : DUET_UTCP_TIMEOUT_DEFAULT));
    return DUET_OK;
}

static void finish_discovery(duet_utcp_client_core *core, discovery *d, int err, const char *json, size_t len)
{
    discovery **link = &core->discoveries;

    while (*link != d)
        link = &(*link)->next;
    *link = d->next;
    core->discovery_count--;
    duet_timers_cancel(&core->timers, &d->waiter.timer);
    d->on_manual(d->user, err, json, len);
    duet_free(&core->env, d);
}

static discovery *find_discovery(const duet_utcp_client_core *core, duet_utcp_via via)
{
    discovery *d = core->discoveries;

    while (d && d->via != via)
        d = d->next;
    return d;
}

/* Answers come in the order of the questions. */
static void take_manual(duet_utcp_client_core *core, json_t *manual)
{
    discovery *d = find_discovery(core, DUET_UTCP_VIA_CHANNEL);
    duet_buffer text;

    duet_utcp_learned_take(&core->learned, manual);
    if (!d || !d->asked) {
        core->stats.late++;
        return;
    }
    duet_buffer_init(&text, &core->env);
    int err = duet_json_write(&text, manual);
    finish_discovery(core, d, err, err == DUET_OK ? (char *)text.data : NULL, text.len);
    duet_buffer_free(&text);
}

/* A manual that is too large for the signaling server says so, in place of its tools. */
static int check_manual(duet_utcp_client_core *core, const char *text, size_t len)
{
    duet_utcp_message m;

    int err = duet_utcp_message_parse(&m, text, len, NULL);
    if (err == DUET_OK && m.type != DUET_UTCP_MANUAL)
        err = DUET_ERR_MALFORMED;
    if (err == DUET_OK && json_is_false(json_object_get(m.document, "complete")))
        err = DUET_ERR_TOO_LARGE;
    if (err == DUET_OK)
        duet_utcp_learned_take(&core->learned, m.document);
    duet_utcp_message_free(&m);
    return err == DUET_OK || err == DUET_ERR_TOO_LARGE || err == DUET_ERR_NOMEM ? err : DUET_ERR_MALFORMED;
}

void duet_utcp_client_core_manual(duet_utcp_client_core *core, const char *text, size_t len)
{
    discovery *d;

    int err = check_manual(core, text, len);
    while ((d = find_discovery(core, DUET_UTCP_VIA_SIGNALING)) != NULL)
        finish_discovery(core, d, err, err == DUET_OK ? text : NULL, err == DUET_OK ? len : 0);
}

bool duet_utcp_client_core_wants_manual(const duet_utcp_client_core *core)
{
    return find_discovery(core, DUET_UTCP_VIA_SIGNALING) != NULL;
}

bool duet_utcp_client_core_wants_channel(const duet_utcp_client_core *core)
{
    return core->first || find_discovery(core, DUET_UTCP_VIA_CHANNEL) != NULL;
}

/* ---- the channel ---- */

void duet_utcp_client_core_connected(duet_utcp_client_core *core, uint64_t piece_max)
{
    duet_utcp_pipe_reset(&core->pipe, piece_max);
    core->connected = true;
    core->stats.connections++;
}

static call *find_broken(const duet_utcp_client_core *core)
{
    call *c = core->first;

    while (c && !c->broken)
        c = c->next;
    return c;
}

void duet_utcp_client_core_lost(duet_utcp_client_core *core, const char *reason)
{
    call *c;

    if (!core->connected)
        return;
    core->connected = false;
    duet_utcp_pipe_reset(&core->pipe, 0);
    for (discovery *d = core->discoveries; d; d = d->next)
        d->asked = false;
    for (c = core->first; c; c = c->next) {
        if (!c->sent)
            continue;
        c->broken = !c->request.idempotent || c->has_items;
        c->sent = c->broken;
        core->unsent += !c->broken;
    }
    while ((c = find_broken(core)) != NULL)
        fail(core, c, DUET_ERR_CLOSED, "connection_lost", reason);
}

static int push_copy(duet_utcp_client_core *core, const duet_buffer *text)
{
    duet_buffer copy;

    duet_buffer_init(&copy, &core->env);
    duet_buffer_append(&copy, text->data, text->len);
    int err = copy.failed ? DUET_ERR_NOMEM : duet_utcp_pipe_push(&core->pipe, &copy);
    duet_buffer_free(&copy);
    return err;
}

static int send_call(duet_utcp_client_core *core, call *c)
{
    bool again = c->request.idempotent;

    int err = again ? push_copy(core, &c->text) : duet_utcp_pipe_push(&core->pipe, &c->text);
    if (err != DUET_OK)
        return err;
    c->sent = true;
    core->unsent--;
    if (!again)
        release_text(core, c);
    return DUET_OK;
}

static int ask_manuals(duet_utcp_client_core *core)
{
    const duet_utcp_message m = {.type = DUET_UTCP_DISCOVER};
    duet_buffer text;
    int err = DUET_OK;

    for (discovery *d = core->discoveries; d && err == DUET_OK; d = d->next) {
        if (d->asked || d->via != DUET_UTCP_VIA_CHANNEL)
            continue;
        duet_buffer_init(&text, &core->env);
        err = duet_utcp_message_write(&text, &m);
        if (err == DUET_OK)
            err = duet_utcp_pipe_push(&core->pipe, &text);
        d->asked = err == DUET_OK;
        duet_buffer_free(&text);
    }
    return err;
}

/* Hands what waits to the channel, as much as it takes. */
static int fill(duet_utcp_client_core *core)
{
    int err = ask_manuals(core);

    for (call *c = core->first; c && err == DUET_OK && core->unsent > 0; c = c->next) {
        if (core->pipe.queued >= DUET_UTCP_CLIENT_HIGH)
            break;
        if (!c->sent)
            err = send_call(core, c);
    }
    return err == DUET_ERR_AGAIN ? DUET_OK : err;
}

int duet_utcp_client_core_peek(duet_utcp_client_core *core, const char **text, size_t *len)
{
    *text = NULL;
    *len = 0;
    if (!core->connected)
        return DUET_OK;
    int err = fill(core);
    return err == DUET_OK ? duet_utcp_pipe_peek(&core->pipe, text, len) : err;
}

void duet_utcp_client_core_sent(duet_utcp_client_core *core)
{
    duet_utcp_pipe_sent(&core->pipe);
}

/* ---- answers ---- */

static call *find_call(const duet_utcp_client_core *core, const char *id)
{
    char *end;
    const char *dash = strchr(id, '-');
    uint64_t ticket = dash ? strtoull(dash + 1, &end, 10) : 0;

    call *c = ticket ? duet_map_get(&core->by_ticket, ticket) : NULL;
    return c && c->sent && strcmp(c->id, id) == 0 ? c : NULL;
}

/* The text of an output that fits what the manual says of it. */
static int read_output(const duet_utcp_client_core *core, const call *c, const duet_utcp_message *m, duet_buffer *text,
                       char *why, size_t size)
{
    duet_utcp_error error;

    int err = duet_utcp_learned_check(&core->learned, c->tool, m->output, m->type == DUET_UTCP_RESPONSE, &error);
    if (err == DUET_ERR_INVALID || err == DUET_ERR_LIMIT) {
        snprintf(why, size, "the answer%s%s: %s", error.where[0] ? " at " : "", error.where, error.why);
        return DUET_ERR_MALFORMED;
    }
    snprintf(why, size, "%s", duet_strerror(DUET_ERR_NOMEM));
    return err == DUET_OK ? duet_utcp_json_write(text, m->output) : err;
}

static void take_output(duet_utcp_client_core *core, call *c, const duet_utcp_message *m, duet_time now)
{
    duet_buffer text;
    char why[480];

    duet_buffer_init(&text, &core->env);
    int err = read_output(core, c, m, &text, why, sizeof(why));
    const duet_utcp_result result = {err, NULL, NULL, (char *)text.data, text.len};
    if (err != DUET_OK) {
        if (m->type == DUET_UTCP_DATA)
            tell_cancelled(core, c);
        fail(core, c, err, err == DUET_ERR_MALFORMED ? "invalid_output" : "no_memory", why);
    } else if (m->type == DUET_UTCP_RESPONSE) {
        finish(core, c, &result);
    } else {
        c->has_items = true;
        duet_timers_set(&core->timers, &c->waiter.timer, deadline_after(now, c->request.timeout));
        if (c->request.on_item)
            c->request.on_item(c->request.user, c->ticket, (char *)text.data, text.len);
    }
    duet_buffer_free(&text);
}

static void take_answer(duet_utcp_client_core *core, const duet_utcp_message *m, duet_time now)
{
    const duet_utcp_result done = {DUET_OK, NULL, NULL, NULL, 0};
    call *c = find_call(core, m->id);

    if (!c)
        core->stats.late++;
    else if (m->type == DUET_UTCP_ERROR)
        fail(core, c, DUET_ERR_IO, m->code, m->text);
    else if (m->type == DUET_UTCP_END)
        finish(core, c, &done);
    else
        take_output(core, c, m, now);
}

void duet_utcp_client_core_input(duet_utcp_client_core *core, const char *text, size_t len, duet_time now)
{
    duet_utcp_message m;

    int err = duet_utcp_pipe_input(&core->pipe, &m, text, len, NULL);
    switch (err == DUET_OK ? m.type : DUET_UTCP_CALL) {
    case DUET_UTCP_RESPONSE:
    case DUET_UTCP_ERROR:
    case DUET_UTCP_DATA:
    case DUET_UTCP_END:
        take_answer(core, &m, now);
        break;
    case DUET_UTCP_MANUAL:
        take_manual(core, m.document);
        break;
    case DUET_UTCP_NONE:
        break; /* a piece */
    default:
        core->stats.bad_messages++;
    }
    duet_utcp_message_free(&m);
}

/* ---- time ---- */

void duet_utcp_client_core_tick(duet_utcp_client_core *core, duet_time now)
{
    duet_timer *timer;

    while ((timer = duet_timers_pop(&core->timers, now)) != NULL) {
        if (((waiter *)timer)->is_discovery) {
            finish_discovery(core, (discovery *)timer, DUET_ERR_TIMEOUT, NULL, 0);
            continue;
        }
        call *c = (call *)timer;
        tell_cancelled(core, c);
        fail(core, c, DUET_ERR_TIMEOUT, "timeout",
             c->sent ? "the tool did not answer in time" : "there was no connection to the tool in time");
    }
}

duet_time duet_utcp_client_core_deadline(const duet_utcp_client_core *core)
{
    return duet_timers_deadline(&core->timers);
}

/* ---- the core ---- */

int duet_utcp_client_core_create(duet_utcp_client_core **out, const duet_utcp_client_config *config)
{
    duet_env env = duet_env_resolve(config->env);
    duet_utcp_client_core *core = duet_calloc(&env, sizeof(*core));

    *out = NULL;
    if (!core)
        return DUET_ERR_NOMEM;
    core->env = env;
    core->max_calls = config->max_calls ? config->max_calls : 1024;
    duet_utcp_pipe_init(&core->pipe, &core->env);
    duet_utcp_learned_init(&core->learned, &core->env);
    int err = duet_random(&env, &core->prefix, sizeof(core->prefix));
    if (err == DUET_OK)
        err = duet_map_init(&core->by_ticket, &core->env);
    if (err != DUET_OK) {
        duet_free(&env, core);
        return err;
    }
    *out = core;
    return DUET_OK;
}

void duet_utcp_client_core_destroy(duet_utcp_client_core *core)
{
    if (!core)
        return;
    while (core->first) {
        call *c = core->first;
        unlink_call(core, c);
        free_call(core, c);
    }
    while (core->discoveries) {
        discovery *d = core->discoveries;
        core->discoveries = d->next;
        duet_free(&core->env, d);
    }
    duet_map_free(&core->by_ticket);
    duet_utcp_learned_free(&core->learned);
    duet_utcp_pipe_free(&core->pipe);
    duet_env env = core->env;
    duet_free(&env, core);
}

void duet_utcp_client_core_stats(const duet_utcp_client_core *core, duet_utcp_client_stats *out)
{
    *out = core->stats;
    out->waiting = core->unsent;
    out->in_flight = core->call_count - core->unsent;
    out->connected = core->connected;
}
