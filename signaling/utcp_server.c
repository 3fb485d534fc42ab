/* The serving side: tool_call in; tool_response, tool_error, stream_data and stream_end out. A call is checked against
 * the schema of its tool before its handler runs, the output before it leaves. */
#include "signaling/utcp_server.h"
#include "base/timer.h"
#include "signaling/utcp_pipe.h"
#include "signaling/utcp_registry.h"
#include <string.h>

struct duet_utcp_call {
    duet_timer timer; /* first: timers are found by it */
    duet_utcp_call *next;
    duet_utcp_session *session;
    const duet_utcp_entry *entry;
    char *id;
    json_t *gathered; /* items for a caller that has not asked for a stream; NULL otherwise */
    size_t gathered_len;
    bool stream;   /* items leave as they come */
    bool renewed;  /* an item came since the core knew the time */
    bool waiting;  /* for on_writable */
    bool answered; /* the last item of a stream has been sent */
    bool ended;
    void *data;
};

struct duet_utcp_session {
    duet_utcp_session *next;
    duet_utcp_server_core *core;
    duet_utcp_pipe pipe;
    duet_utcp_call *calls;
    size_t call_count;
    bool over;
    void (*on_output)(void *user);
    void *user;
};

struct duet_utcp_server_core {
    duet_env env;
    duet_utcp_server_config config; /* its texts are copies */
    duet_utcp_registry registry;
    duet_utcp_session *sessions;
    duet_timers timers;
    duet_utcp_server_stats stats;
    bool renewed; /* some call is */
};

/* ---- sending ---- */

static void overflow(duet_utcp_session *s)
{
    s->over = true;
    s->on_output(s->user);
}

/* @return DUET_OK; DUET_ERR_TOO_LARGE; DUET_ERR_AGAIN (the session is over); DUET_ERR_NOMEM */
static int send_message(duet_utcp_session *s, const duet_utcp_message *m)
{
    duet_buffer text;

    if (s->over)
        return DUET_ERR_AGAIN;
    duet_buffer_init(&text, &s->core->env);
    int err = duet_utcp_message_write(&text, m);
    if (err == DUET_OK)
        err = duet_utcp_pipe_push(&s->pipe, &text);
    duet_buffer_free(&text);
    if (err == DUET_OK)
        s->on_output(s->user);
    else if (err == DUET_ERR_AGAIN)
        overflow(s);
    return err;
}

static int send_error(duet_utcp_session *s, const char *tool, const char *id, const char *code, const char *text)
{
    const duet_utcp_message m = {.type = DUET_UTCP_ERROR, .tool = tool, .id = id, .code = code, .text = text};

    s->core->stats.errors++;
    return send_message(s, &m);
}

/* ---- the life of a call ---- */

static void free_call(duet_utcp_call *call)
{
    duet_utcp_server_core *core = call->session->core;
    duet_utcp_call **link = &call->session->calls;

    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
    call->session->call_count--;
    core->stats.calls--;
    duet_timers_cancel(&core->timers, &call->timer);
    json_decref(call->gathered);
    duet_free(&core->env, call->id);
    duet_free(&core->env, call);
}

static void cancel_call(duet_utcp_call *call)
{
    const duet_utcp_tool *tool = &call->entry->tool;

    call->ended = true;
    call->waiting = false;
    if (tool->on_cancel)
        tool->on_cancel(tool->user, call);
    free_call(call);
}

/* The call ends unless there was no memory to say so. */
static int end_with(duet_utcp_call *call, int err)
{
    if (err == DUET_ERR_NOMEM)
        return err;
    call->ended = true;
    free_call(call);
    return err;
}

static duet_utcp_call *find_call(const duet_utcp_session *s, const char *id)
{
    duet_utcp_call *call = s->calls;

    while (call && strcmp(call->id, id) != 0)
        call = call->next;
    return call;
}

static int make_call(duet_utcp_call **out, duet_utcp_session *s, const duet_utcp_entry *e, const duet_utcp_message *m,
                     duet_time now)
{
    duet_utcp_server_core *core = s->core;
    bool gathers = e->tool.streams && !m->stream;
    duet_utcp_call *call = duet_calloc(&core->env, sizeof(*call));

    *out = call;
    if (!call)
        return DUET_ERR_NOMEM;
    call->id = duet_strdup(&core->env, m->id);
    call->gathered = gathers ? json_array() : NULL;
    if (!call->id || (gathers && !call->gathered)) {
        json_decref(call->gathered);
        duet_free(&core->env, call->id);
        duet_free(&core->env, call);
        return DUET_ERR_NOMEM;
    }
    call->session = s;
    call->entry = e;
    call->stream = e->tool.streams && m->stream;
    call->next = s->calls;
    s->calls = call;
    s->call_count++;
    core->stats.calls++;
    core->stats.calls_total++;
    duet_timers_set(&core->timers, &call->timer, now + e->tool.timeout);
    return DUET_OK;
}

/* ---- answers of handlers ---- */

/* @return DUET_OK, or why the output may not leave, with what the caller is told about it */
static int read_output(const duet_utcp_call *call, json_t **out, const char *output, size_t len, char *why, size_t size)
{
    duet_utcp_error error;
    const char *reason;

    int err = duet_utcp_json_parse(out, output, len, &reason);
    if (err != DUET_OK) {
        snprintf(why, size, "the tool's output: %s", reason);
        return err;
    }
    if (!call->entry->outputs)
        return DUET_OK;
    err = duet_utcp_schema_validate(call->entry->outputs, *out, &error);
    if (err == DUET_OK || err == DUET_ERR_NOMEM)
        return err;
    snprintf(why, size, "the tool's output%s%s: %s", error.where[0] ? " at " : "", error.where, error.why);
    return DUET_ERR_MALFORMED;
}

static int end_with_error(duet_utcp_call *call, const char *code, const char *text, int err)
{
    call->waiting = false;
    int sent = send_error(call->session, call->entry->name, call->id, code, text);
    return end_with(call, sent == DUET_OK ? err : sent);
}

static int send_item(duet_utcp_call *call, json_t *item)
{
    const duet_utcp_message m = {.type = DUET_UTCP_DATA, .id = call->id, .output = item};

    return send_message(call->session, &m);
}

static int gather(duet_utcp_call *call, json_t *item, size_t len)
{
    if (len > DUET_UTCP_MESSAGE_MAX - call->gathered_len)
        return DUET_ERR_TOO_LARGE;
    if (json_array_append(call->gathered, item) != 0)
        return DUET_ERR_NOMEM;
    call->gathered_len += len + 1;
    return DUET_OK;
}

static int send_end(duet_utcp_call *call)
{
    const duet_utcp_message end = {.type = DUET_UTCP_END, .id = call->id};
    const duet_utcp_message all = {
        .type = DUET_UTCP_RESPONSE, .tool = call->entry->name, .id = call->id, .output = call->gathered};

    return send_message(call->session, call->stream ? &end : &all);
}

static int send_output(duet_utcp_call *call, json_t *output, size_t len)
{
    const duet_utcp_message m = {
        .type = DUET_UTCP_RESPONSE, .tool = call->entry->name, .id = call->id, .output = output};
    int err = DUET_OK;

    if (!call->stream && !call->gathered)
        return send_message(call->session, &m);
    if (!call->answered)
        err = call->stream ? send_item(call, output) : gather(call, output, len);
    call->answered = call->answered || err == DUET_OK; /* not twice, when there is no memory for the end */
    return err == DUET_OK ? send_end(call) : err;
}

int duet_utcp_call_respond(duet_utcp_call *call, const char *output, size_t len)
{
    json_t *value = NULL;
    char why[480];

    if (call->ended)
        return DUET_ERR_STATE;
    call->waiting = false;
    int err = read_output(call, &value, output, len, why, sizeof(why));
    if (err == DUET_OK) {
        err = send_output(call, value, len);
        snprintf(why, sizeof(why), "the tool's output is larger than %u bytes", DUET_UTCP_MESSAGE_MAX);
    }
    json_decref(value);
    if (err == DUET_ERR_TOO_LARGE)
        return end_with_error(call, "too_large", why, err);
    if (err == DUET_ERR_MALFORMED)
        return end_with_error(call, "invalid_output", why, err);
    return end_with(call, err);
}

int duet_utcp_call_item(duet_utcp_call *call, const char *output, size_t len)
{
    json_t *value = NULL;
    char why[480];

    if (call->ended || call->session->over || !call->entry->tool.streams)
        return DUET_ERR_STATE;
    if (call->stream && call->session->pipe.queued >= DUET_UTCP_STREAM_HIGH) {
        call->waiting = true;
        return DUET_ERR_AGAIN;
    }
    int err = read_output(call, &value, output, len, why, sizeof(why));
    if (err == DUET_OK) {
        call->renewed = call->session->core->renewed = true;
        err = call->stream ? send_item(call, value) : gather(call, value, len);
    }
    json_decref(value);
    return err;
}

int duet_utcp_call_end(duet_utcp_call *call)
{
    if (call->ended)
        return DUET_ERR_STATE;
    if (!call->entry->tool.streams)
        return end_with_error(call, "invalid_output", "the tool gave no output", DUET_ERR_MALFORMED);
    call->waiting = false;
    int err = send_end(call);
    if (err == DUET_ERR_TOO_LARGE)
        return end_with_error(call, "too_large", "the items are too large for one message", err);
    return end_with(call, err);
}

int duet_utcp_call_fail(duet_utcp_call *call, const char *code, const char *message)
{
    if (call->ended)
        return DUET_ERR_STATE;
    return end_with_error(call, code, message, DUET_OK);
}

void duet_utcp_call_set_data(duet_utcp_call *call, void *data)
{
    call->data = data;
}

void *duet_utcp_call_data(const duet_utcp_call *call)
{
    return call->data;
}

/* ---- messages of callers ---- */

/* @return NULL when the call may begin, otherwise the code of its tool_error */
static const char *admit(const duet_utcp_session *s, const duet_utcp_entry *e, const duet_utcp_message *m, char *why,
                         size_t size)
{
    const duet_utcp_server_config *c = &s->core->config;
    duet_utcp_error error;

    snprintf(why, size, "%s", "there is no such tool");
    if (!e)
        return "not_found";
    snprintf(why, size, "%s", "a call with this id is under way");
    if (find_call(s, m->id))
        return "duplicate_id";
    snprintf(why, size, "%s", "too many calls are under way");
    if (s->call_count >= c->max_client_calls || s->core->stats.calls >= c->max_calls)
        return "busy";
    if (!e->inputs || duet_utcp_schema_validate(e->inputs, m->inputs, &error) == DUET_OK)
        return NULL;
    duet_utcp_error_text(&error, why, size);
    return "invalid_inputs";
}

static void begin_call(duet_utcp_session *s, const duet_utcp_message *m, duet_time now)
{
    const duet_utcp_entry *e = duet_utcp_registry_find(&s->core->registry, m->tool);
    duet_utcp_call *call;
    duet_buffer inputs;
    char why[480];

    const char *code = admit(s, e, m, why, sizeof(why));
    if (code) {
        (void)send_error(s, m->tool, m->id, code, why);
        return;
    }
    duet_buffer_init(&inputs, &s->core->env);
    int err = duet_json_write(&inputs, m->inputs);
    if (err == DUET_OK)
        err = make_call(&call, s, e, m, now);
    if (err == DUET_OK)
        e->tool.on_call(e->tool.user, call, (const char *)inputs.data, inputs.len);
    else
        (void)send_error(s, m->tool, m->id, "busy", "the server has no memory left");
    duet_buffer_free(&inputs);
}

static void send_manual(duet_utcp_session *s)
{
    duet_utcp_server_core *core = s->core;
    duet_buffer text;
    size_t len;

    const char *manual = duet_utcp_registry_manual(&core->registry, &len);
    duet_buffer_init(&text, &core->env);
    if (manual)
        duet_buffer_append(&text, manual, len);
    int err = manual && !text.failed ? duet_utcp_pipe_push(&s->pipe, &text) : DUET_ERR_NOMEM;
    duet_buffer_free(&text);
    if (err == DUET_ERR_AGAIN)
        overflow(s);
    else if (err == DUET_OK)
        s->on_output(s->user);
}

static void handle(duet_utcp_session *s, const duet_utcp_message *m, duet_time now)
{
    duet_utcp_call *call;

    switch (m->type) {
    case DUET_UTCP_CALL:
        begin_call(s, m, now);
        break;
    case DUET_UTCP_CANCEL:
        call = find_call(s, m->id);
        if (!call)
            break; /* the answer is on its way */
        s->core->stats.cancelled++;
        cancel_call(call);
        break;
    case DUET_UTCP_DISCOVER:
        send_manual(s);
        break;
    case DUET_UTCP_NONE:
        break; /* a piece */
    default:
        s->core->stats.bad_messages++;
    }
}

void duet_utcp_session_input(duet_utcp_session *s, const char *text, size_t len, duet_time now)
{
    const char *reason = "";
    duet_utcp_message m;

    if (s->over)
        return;
    int err = duet_utcp_pipe_input(&s->pipe, &m, text, len, &reason);
    if (err == DUET_OK) {
        handle(s, &m, now);
    } else {
        s->core->stats.bad_messages++;
        if (err == DUET_ERR_INVALID && m.id && m.type == DUET_UTCP_CALL)
            (void)send_error(s, NULL, m.id, "bad_request", reason);
    }
    duet_utcp_message_free(&m);
}

/* ---- sessions ---- */

int duet_utcp_session_open(duet_utcp_session **out, duet_utcp_server_core *core, uint64_t piece_max,
                           void (*on_output)(void *user), void *user)
{
    duet_utcp_session *s = duet_calloc(&core->env, sizeof(*s));

    *out = s;
    if (!s)
        return DUET_ERR_NOMEM;
    s->core = core;
    s->on_output = on_output;
    s->user = user;
    duet_utcp_pipe_init(&s->pipe, &core->env);
    duet_utcp_pipe_reset(&s->pipe, piece_max);
    s->next = core->sessions;
    core->sessions = s;
    core->stats.clients++;
    return DUET_OK;
}

void duet_utcp_session_close(duet_utcp_session *s)
{
    if (!s)
        return;
    s->over = true;
    while (s->calls) {
        s->core->stats.cancelled++;
        cancel_call(s->calls);
    }
    duet_utcp_session **link = &s->core->sessions;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    s->core->stats.clients--;
    duet_utcp_pipe_free(&s->pipe);
    duet_env env = s->core->env;
    duet_free(&env, s);
}

int duet_utcp_session_peek(duet_utcp_session *s, const char **text, size_t *len)
{
    return duet_utcp_pipe_peek(&s->pipe, text, len);
}

static duet_utcp_call *find_waiting(const duet_utcp_session *s)
{
    duet_utcp_call *call = s->calls;

    while (call && !call->waiting)
        call = call->next;
    return call;
}

void duet_utcp_session_sent(duet_utcp_session *s)
{
    duet_utcp_call *call;

    duet_utcp_pipe_sent(&s->pipe);
    while (s->pipe.queued < DUET_UTCP_STREAM_HIGH / 2 && (call = find_waiting(s)) != NULL) {
        const duet_utcp_tool *tool = &call->entry->tool;
        call->waiting = false;
        if (tool->on_writable)
            tool->on_writable(tool->user, call);
    }
}

bool duet_utcp_session_is_over(const duet_utcp_session *s)
{
    return s->over;
}

/* ---- time ---- */

static void renew(duet_utcp_server_core *core, duet_time now)
{
    if (!core->renewed)
        return;
    core->renewed = false;
    for (duet_utcp_session *s = core->sessions; s; s = s->next) {
        for (duet_utcp_call *call = s->calls; call; call = call->next) {
            if (call->renewed)
                duet_timers_set(&core->timers, &call->timer, now + call->entry->tool.timeout);
            call->renewed = false;
        }
    }
}

void duet_utcp_server_core_tick(duet_utcp_server_core *core, duet_time now)
{
    duet_timer *timer;

    renew(core, now);
    while ((timer = duet_timers_pop(&core->timers, now)) != NULL) {
        duet_utcp_call *call = (duet_utcp_call *)timer;
        core->stats.timeouts++;
        call->ended = true; /* sending may ask others to go on, not this one */
        call->waiting = false;
        (void)send_error(call->session, call->entry->name, call->id, "timeout", "the tool did not answer in time");
        cancel_call(call);
    }
}

duet_time duet_utcp_server_core_deadline(const duet_utcp_server_core *core)
{
    return core->renewed ? 0 : duet_timers_deadline(&core->timers);
}

/* ---- the core ---- */

static bool copy(const duet_env *env, const char **out, const char *text, const char *otherwise)
{
    *out = duet_strdup(env, text ? text : otherwise);
    return *out != NULL;
}

static int copy_config(duet_utcp_server_core *core, const duet_utcp_server_config *config)
{
    duet_utcp_server_config *c = &core->config;
    const duet_env *env = &core->env;

    c->max_calls = config->max_calls ? config->max_calls : 256;
    c->max_client_calls = config->max_client_calls ? config->max_client_calls : 64;
    bool done = copy(env, &c->peer_id, config->peer_id, "") && copy(env, &c->name, config->name, c->peer_id) &&
                copy(env, &c->room, config->room, c->peer_id) &&
                copy(env, &c->channel, config->channel, DUET_UTCP_CHANNEL_DEFAULT) &&
                copy(env, &c->signaling_server, config->signaling_server, "");
    return done ? DUET_OK : DUET_ERR_NOMEM;
}

int duet_utcp_server_core_create(duet_utcp_server_core **out, const duet_utcp_server_config *config)
{
    duet_env env = duet_env_resolve(config->env);
    duet_utcp_server_core *core = duet_calloc(&env, sizeof(*core));

    *out = core;
    if (!core)
        return DUET_ERR_NOMEM;
    core->env = env;
    duet_utcp_registry_init(&core->registry, &core->env, &core->config);
    int err = copy_config(core, config);
    if (err != DUET_OK) {
        duet_utcp_server_core_destroy(core);
        *out = NULL;
    }
    return err;
}

void duet_utcp_server_core_destroy(duet_utcp_server_core *core)
{
    if (!core)
        return;
    const duet_utcp_server_config *c = &core->config;
    const char *const texts[] = {c->peer_id, c->name, c->room, c->channel, c->signaling_server};
    while (core->sessions)
        duet_utcp_session_close(core->sessions);
    duet_utcp_registry_free(&core->registry);
    duet_env env = core->env;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        duet_free(&env, (char *)texts[i]);
    duet_free(&env, core);
}

int duet_utcp_server_core_add_tool(duet_utcp_server_core *core, const duet_utcp_tool *tool, duet_utcp_error *error)
{
    return duet_utcp_registry_add(&core->registry, tool, error);
}

const char *duet_utcp_server_core_manual(duet_utcp_server_core *core, size_t *len)
{
    return duet_utcp_registry_manual(&core->registry, len);
}

void duet_utcp_server_core_stats(const duet_utcp_server_core *core, duet_utcp_server_stats *out)
{
    *out = core->stats;
}
