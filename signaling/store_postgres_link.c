/* The link to PostgreSQL: one connection without blocking, one statement at a time. A statement that was under way when the
 * connection broke has an unknown outcome and is answered with DUET_ERR_IO, as those are that wait behind it. */
#include "signaling/store_postgres_private.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 2000
#define PATIENCE_MS    10000 /* for a connection, or the outcome of a statement */
#define GOODBYE_MS     500

static void start_next(postgres_store *s);
static void on_io(evutil_socket_t fd, short what, void *arg);

void duet_postgres_log(const postgres_store *s, duet_log_level level, const char *format, ...)
{
    char text[256];
    va_list args;

    if (!s->config.on_log)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    text[strcspn(text, "\r\n")] = 0; /* libpq's messages have several lines */
    s->config.on_log(s->config.user, level, text);
}

/* ---- jobs ---- */

postgres_job *duet_postgres_job(postgres_store *s, const char *sql, postgres_answer answer)
{
    postgres_job *job = duet_calloc(&s->env, sizeof(*job));

    if (!job)
        return NULL;
    job->store = s;
    job->sql = sql;
    job->answer = answer;
    return job;
}

void duet_postgres_param(postgres_job *job, const char *text)
{
    if (job)
        job->params[job->param_count++] = duet_strdup(&job->store->env, text);
}

void duet_postgres_param_number(postgres_job *job, int64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    duet_postgres_param(job, text);
}

static void free_job(postgres_job *job)
{
    postgres_store *s = job->store;

    for (int i = 0; i < job->param_count; i++)
        duet_free(&s->env, job->params[i]);
    duet_free(&s->env, job);
}

static bool is_complete(const postgres_job *job)
{
    for (int i = 0; i < job->param_count; i++) {
        if (!job->params[i])
            return false;
    }
    return true;
}

int duet_postgres_run(postgres_store *s, postgres_job *job)
{
    int err = DUET_OK;

    if (!job)
        return DUET_ERR_NOMEM;
    if (!is_complete(job))
        err = DUET_ERR_NOMEM;
    else if ((s->link != POSTGRES_UP && s->ever_failed) || s->job_count >= POSTGRES_JOBS_MAX)
        err = DUET_ERR_IO;
    if (err != DUET_OK) {
        free_job(job);
        return err;
    }
    *(s->last ? &s->last->next : &s->first) = job;
    s->last = job;
    s->job_count++;
    start_next(s);
    return DUET_OK;
}

static postgres_job *pop_job(postgres_store *s)
{
    postgres_job *job = s->first;

    if (!job)
        return NULL;
    s->first = job->next;
    if (!s->first)
        s->last = NULL;
    s->job_count--;
    return job;
}

static void fail_jobs(postgres_store *s, int err)
{
    /* Those that come meanwhile are not among them: the link is down. */
    for (postgres_job *job = pop_job(s); job; job = pop_job(s)) {
        job->answer(s, job, err, NULL);
        free_job(job);
    }
}

/* ---- connection ---- */

static void watch(postgres_store *s, short what)
{
    event_del(s->io);
    if (event_assign(s->io, s->base, PQsocket(s->connection), what, on_io, s) == 0)
        event_add(s->io, NULL);
}

static void break_link(postgres_store *s, const char *reason)
{
    if (s->link == POSTGRES_DOWN)
        return;
    duet_postgres_log(s, DUET_LOG_WARN, "postgres: disconnected: %s: %.160s", reason,
                      s->connection ? PQerrorMessage(s->connection) : "");
    s->link = POSTGRES_DOWN;
    s->reason = reason;
    s->ever_failed = true;
    s->busy = false;
    PQclear(s->outcome);
    s->outcome = NULL;
    event_del(s->io);
    event_del(s->guard);
    PQfinish(s->connection);
    s->connection = NULL;
    if (!s->in_destroy) {
        duet_loop_timer(s->retry, DUET_MS(s->backoff_ms));
        s->backoff_ms = s->backoff_ms * 2 < BACKOFF_MAX_MS ? s->backoff_ms * 2 : BACKOFF_MAX_MS;
    }
    fail_jobs(s, DUET_ERR_IO);
}

static void ignore_notice(void *user, const PGresult *result)
{
    (void)user;
    (void)result;
}

/* Writes what libpq holds; the rest when the socket takes it. */
static void flush(postgres_store *s)
{
    int left = PQflush(s->connection);

    if (left < 0)
        break_link(s, "the connection broke");
    else
        watch(s, (short)(EV_READ | EV_PERSIST | (left > 0 ? EV_WRITE : 0)));
}

static void send_text(postgres_store *s, const char *sql)
{
    s->failed = false;
    if (!PQsendQuery(s->connection, sql)) {
        break_link(s, "the connection broke");
        return;
    }
    duet_loop_timer(s->guard, DUET_MS(PATIENCE_MS));
    flush(s);
}

static void on_connected(postgres_store *s)
{
    PQsetnonblocking(s->connection, 1);
    PQsetNoticeReceiver(s->connection, ignore_notice, NULL);
    s->link = POSTGRES_LOCKING;
    s->schema_version = -1;
    send_text(s, duet_postgres_lock);
}

static void go_on_connecting(postgres_store *s)
{
    switch (PQconnectPoll(s->connection)) {
    case PGRES_POLLING_READING:
        watch(s, EV_READ);
        return;
    case PGRES_POLLING_WRITING:
        watch(s, EV_WRITE);
        return;
    case PGRES_POLLING_OK:
        on_connected(s);
        return;
    default:
        break_link(s, "the connection could not be made");
    }
}

static void connect_now(postgres_store *s)
{
    s->link = POSTGRES_CONNECTING;
    s->connection = PQconnectStart(s->url);
    if (!s->connection || PQstatus(s->connection) == CONNECTION_BAD) {
        break_link(s, "the connection could not be made");
        return;
    }
    duet_loop_timer(s->guard, DUET_MS(PATIENCE_MS));
    watch(s, EV_WRITE); /* "behave as if PQconnectPoll had returned PGRES_POLLING_WRITING" */
}

/* ---- statements ---- */

static void start_next(postgres_store *s)
{
    const postgres_job *job = s->first;

    if (s->link != POSTGRES_UP || s->busy || !job)
        return;
    s->busy = true;
    s->failed = false;
    if (!PQsendQueryParams(s->connection, job->sql, job->param_count, NULL, (const char *const *)job->params, NULL,
                           NULL, 0)) {
        break_link(s, "the connection broke");
        return;
    }
    duet_loop_timer(s->guard, DUET_MS(PATIENCE_MS));
    flush(s);
}

static bool is_good(const PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static void note_failure(postgres_store *s, const PGresult *r)
{
    s->failed = true;
    duet_postgres_log(s, DUET_LOG_ERROR, "postgres: %.200s", PQresultErrorMessage(r));
}

/* One result of the text that asks for the version, or of the migrations. */
static void take_schema_result(postgres_store *s, const PGresult *r)
{
    if (!is_good(r))
        note_failure(s, r);
    else if (s->link == POSTGRES_LOCKING && PQntuples(r) == 1 && PQnfields(r) == 1)
        s->schema_version = atoi(PQgetvalue(r, 0, 0)); /* the last one of two */
}

static void migrate(postgres_store *s)
{
    duet_buffer sql;

    duet_buffer_init(&sql, &s->env);
    int err = s->failed ? DUET_ERR_IO : duet_postgres_migrations(&sql, s->schema_version);
    if (err == DUET_ERR_UNSUPPORTED) {
        duet_postgres_log(s, DUET_LOG_ERROR,
                          "postgres: the schema has version %d, which this program does not know: update it",
                          s->schema_version);
        break_link(s, "the schema of the database is newer than this program");
    } else if (err != DUET_OK) {
        break_link(s, "the schema could not be read");
    } else {
        s->link = POSTGRES_MIGRATING;
        send_text(s, (const char *)sql.data);
    }
    duet_buffer_free(&sql);
}

static void come_up(postgres_store *s)
{
    if (s->failed) {
        break_link(s, "the schema could not be made");
        return;
    }
    s->link = POSTGRES_UP;
    s->backoff_ms = BACKOFF_MIN_MS;
    event_del(s->guard);
    duet_postgres_log(s, DUET_LOG_INFO, "postgres: connected");
    duet_postgres_load(s);
    start_next(s);
    duet_postgres_audit_write(s);
}

static void finish_job(postgres_store *s)
{
    postgres_job *job = pop_job(s);
    PGresult *result = s->outcome;

    event_del(s->guard);
    s->outcome = NULL;
    s->busy = false;
    bool good = result && !s->failed;
    job->answer(s, job, good ? DUET_OK : DUET_ERR_IO, good ? result : NULL);
    free_job(job);
    PQclear(result);
    start_next(s);
    duet_postgres_audit_write(s);
}

static void take_result(postgres_store *s, PGresult *r)
{
    if (s->link != POSTGRES_UP) {
        take_schema_result(s, r);
        PQclear(r);
        return;
    }
    if (!is_good(r))
        note_failure(s, r);
    PQclear(s->outcome);
    s->outcome = r;
}

static void finish(postgres_store *s)
{
    if (s->link == POSTGRES_LOCKING)
        migrate(s);
    else if (s->link == POSTGRES_MIGRATING)
        come_up(s);
    else
        finish_job(s);
}

static void read_results(postgres_store *s)
{
    if (!PQconsumeInput(s->connection)) {
        break_link(s, "the connection broke");
        return;
    }
    bool waiting = s->link != POSTGRES_UP || s->busy;
    while (waiting && !PQisBusy(s->connection)) {
        PGresult *r = PQgetResult(s->connection);
        if (r) {
            take_result(s, r);
            continue;
        }
        waiting = false;
        finish(s);
    }
    if (s->connection)
        flush(s);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    postgres_store *s = arg;

    (void)fd;
    (void)what;
    if (s->link == POSTGRES_CONNECTING)
        go_on_connecting(s);
    else if (s->connection)
        read_results(s);
}

static void on_guard(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    break_link(arg, "PostgreSQL does not answer");
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    connect_now(arg);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    postgres_store *s = arg;

    (void)fd;
    (void)what;
    duet_loop_timer(s->sweep, DUET_MS(s->config.sweep_ms));
    duet_postgres_sweep(s);
}

/* ---- life ---- */

int duet_postgres_link_open(postgres_store *s)
{
    char *problem = NULL;

    PQconninfoOption *options = PQconninfoParse(s->url, &problem);
    PQfreemem(problem);
    if (!options)
        return DUET_ERR_INVALID;
    PQconninfoFree(options);
    s->reason = "not connected yet";
    s->backoff_ms = BACKOFF_MIN_MS;
    s->io = event_new(s->base, -1, 0, on_io, s);
    s->guard = evtimer_new(s->base, on_guard, s);
    s->retry = evtimer_new(s->base, on_retry, s);
    s->sweep = evtimer_new(s->base, on_sweep, s);
    if (!s->io || !s->guard || !s->retry || !s->sweep)
        return DUET_ERR_NOMEM;
    duet_loop_timer(s->sweep, DUET_MS(s->config.sweep_ms));
    connect_now(s);
    return DUET_OK;
}

void duet_postgres_link_flush(postgres_store *s)
{
    duet_time end = duet_loop_now() + DUET_MS(GOODBYE_MS);

    while (s->link == POSTGRES_UP && (s->busy || s->audit.count > 0) && duet_loop_now() < end) {
        struct pollfd readable = {.fd = PQsocket(s->connection), .events = POLLIN};
        if (poll(&readable, 1, 10) >= 0)
            read_results(s);
    }
}

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

void duet_postgres_link_close(postgres_store *s)
{
    s->in_destroy = s->ever_failed = true;
    s->link = POSTGRES_DOWN;
    fail_jobs(s, DUET_ERR_CLOSED);
    PQclear(s->outcome);
    if (s->connection)
        PQfinish(s->connection);
    s->connection = NULL;
    free_event(s->io);
    free_event(s->guard);
    free_event(s->retry);
    free_event(s->sweep);
}
