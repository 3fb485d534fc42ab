/* The audit trail: who was where and when, never what they said. Rows wait in memory, bounded, and are written in batches. */
#include "signaling/store_postgres_private.h"
#include <string.h>
#include <sys/time.h>

static void copy(char *out, size_t size, const char *text)
{
    size_t len = text ? strnlen(text, size - 1) : 0;

    if (len > 0)
        memcpy(out, text, len);
    out[len] = 0;
}

static int64_t wall_ms(void)
{
    struct timeval tv;

    gettimeofday(&tv, NULL);
    return (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000;
}

void duet_postgres_audit(postgres_store *s, const char *event, const char *room, const char *seat, const char *agent,
                         const char *reason)
{
    postgres_audit *row = s->audit.count < s->config.audit_max ? duet_array_push(&s->audit) : NULL;

    if (!row) {
        if (s->dropped++ == 0)
            duet_postgres_log(s, DUET_LOG_WARN, "postgres: rows of the audit trail are dropped");
        return;
    }
    row->at_ms = wall_ms();
    row->event = event;
    copy(row->room, sizeof(row->room), room);
    copy(row->seat, sizeof(row->seat), seat);
    copy(row->agent, sizeof(row->agent), agent);
    copy(row->reason, sizeof(row->reason), reason);
    duet_postgres_audit_write(s);
}

static void remove_first(duet_array *rows, size_t count)
{
    rows->count -= count;
    if (rows->count > 0)
        memmove(rows->items, (postgres_audit *)rows->items + count, rows->count * sizeof(postgres_audit));
}

/* Rows stay until they are written or refused; those of a statement whose outcome is unknown are written again: twice is better than
 * never, and the time tells. */
static void on_written(postgres_store *s, postgres_job *job, int err, const PGresult *result)
{
    (void)result;
    s->auditing = false;
    if (err != DUET_OK && s->link != POSTGRES_UP)
        return;
    s->dropped += err == DUET_OK ? 0 : job->rows;
    remove_first(&s->audit, job->rows);
}

static char *describe_rows(postgres_store *s, size_t count)
{
    json_t *rows = json_array();
    duet_buffer text;

    duet_buffer_init(&text, &s->env);
    for (size_t i = 0; i < count; i++) {
        const postgres_audit *row = duet_array_at(&s->audit, i);
        json_array_append_new(rows, json_pack("{s:I, s:s, s:s, s:s, s:s, s:s}", "at", (json_int_t)row->at_ms, "event",
                                              row->event, "room", row->room, "seat", row->seat, "agent", row->agent,
                                              "reason", row->reason));
    }
    int err = json_array_size(rows) == count ? duet_json_write(&text, rows) : DUET_ERR_NOMEM;
    json_decref(rows);
    char *described = err == DUET_OK ? duet_buffer_steal(&text) : NULL;
    duet_buffer_free(&text);
    return described;
}

void duet_postgres_audit_write(postgres_store *s)
{
    static const char sql[] = "INSERT INTO duet_audit (at, event, room, seat, agent, reason) "
                              "SELECT to_timestamp(r.at / 1000.0), r.event, r.room, r.seat, r.agent, r.reason "
                              "FROM json_to_recordset($1::json) "
                              "AS r(at bigint, event text, room text, seat text, agent text, reason text)";
    size_t count = s->audit.count < POSTGRES_BATCH_MAX ? s->audit.count : POSTGRES_BATCH_MAX;

    if (s->auditing || count == 0 || s->link != POSTGRES_UP)
        return;
    postgres_job *job = duet_postgres_job(s, sql, on_written);
    if (!job)
        return;
    job->params[job->param_count++] = describe_rows(s, count);
    job->rows = count;
    s->auditing = true;
    if (duet_postgres_run(s, job) != DUET_OK)
        s->auditing = false;
}
