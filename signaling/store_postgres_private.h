/* What the files of the PostgreSQL layer share: the link to the database with its queue of statements, the audit trail, and the
 * seats of this node, for the trail. */
#ifndef DUET_SIGNALING_STORE_POSTGRES_PRIVATE_H
#define DUET_SIGNALING_STORE_POSTGRES_PRIVATE_H

#include "base/map.h"
#include "signaling/json.h"
#include "signaling/loop.h"
#include "signaling/store_key.h"
#include "signaling/store_postgres.h"
#include <event2/event.h>
#include <libpq-fe.h>

#define POSTGRES_JOBS_MAX   1024
#define POSTGRES_PARAMS_MAX 9
#define POSTGRES_BATCH_MAX  256 /* rows of the audit trail in one statement */

typedef struct postgres_store postgres_store;
typedef struct postgres_job postgres_job;

/* `result` is NULL when there is an error. */
typedef void (*postgres_answer)(postgres_store *s, postgres_job *job, int err, const PGresult *result);

/* One statement, and what is to be done with its outcome. */
struct postgres_job {
    postgres_job *next;
    const char *sql; /* static */
    char *params[POSTGRES_PARAMS_MAX];
    int param_count;
    postgres_answer answer;
    postgres_store *store;
    duet_store_done done;
    void *user;
    duet_room room;
    bool changed; /* the database had the room */
    size_t rows;  /* of the audit trail */
};

typedef enum postgres_link {
    POSTGRES_DOWN = 0,
    POSTGRES_CONNECTING,
    POSTGRES_LOCKING,   /* which version has the schema? */
    POSTGRES_MIGRATING, /* it is brought up to date */
    POSTGRES_UP,
} postgres_link;

typedef struct postgres_audit {
    int64_t at_ms; /* wall clock */
    const char *event;
    char room[DUET_ROOM_ID_MAX + 1];
    char seat[DUET_SEAT_ID_LEN + 1];
    char agent[DUET_TOKEN_SUBJECT_MAX + 1];
    char reason[32];
} postgres_audit;

typedef struct postgres_seat {
    char id[DUET_SEAT_ID_LEN + 1];
    char room[DUET_ROOM_ID_MAX + 1];
    char agent[DUET_TOKEN_SUBJECT_MAX + 1];
    duet_time check_at; /* DUET_NEVER as long as it is connected */
    bool asking, present;
} postgres_seat;

struct postgres_store {
    duet_env env;
    duet_store_events events;
    duet_store live;
    struct event_base *base;
    duet_store_postgres_config config;
    char *url;

    postgres_link link;
    PGconn *connection;
    struct event *io, *guard, *retry, *sweep;
    unsigned backoff_ms;
    const char *reason; /* why it is down; static */
    bool ever_failed, in_destroy;

    postgres_job *first, *last; /* the first one is under way when `busy` */
    size_t job_count;
    bool busy, failed; /* failed: the statement under way */
    PGresult *outcome; /* of the statement under way, as far as it has come */
    int schema_version;

    duet_array audit; /* of postgres_audit */
    bool auditing, live_was_down;
    uint64_t dropped;
    duet_map seats;
};

void duet_postgres_log(const postgres_store *s, duet_log_level level, const char *format, ...) DUET_PRINTF(3, 4);

/* ---- store_postgres_link.c ---- */

int duet_postgres_link_open(postgres_store *s);
/* Waits a moment for what is under way. */
void duet_postgres_link_flush(postgres_store *s);
void duet_postgres_link_close(postgres_store *s);

postgres_job *duet_postgres_job(postgres_store *s, const char *sql, postgres_answer answer);
void duet_postgres_param(postgres_job *job, const char *text);
void duet_postgres_param_number(postgres_job *job, int64_t value);
/* Takes the job over, NULL too. @return DUET_OK, and the answer follows; DUET_ERR_NOMEM, DUET_ERR_IO: it does not */
int duet_postgres_run(postgres_store *s, postgres_job *job);

/* ---- store_postgres_schema.c ---- */

/* Asks for the version, under a lock that the transaction holds. */
extern const char duet_postgres_lock[];
/* What brings the schema from `version` to the latest one, and ends the transaction.
 * @return DUET_OK; DUET_ERR_UNSUPPORTED: it is newer than this program; DUET_ERR_NOMEM */
int duet_postgres_migrations(duet_buffer *sql, int version);

/* ---- store_postgres_audit.c ---- */

/* NULL stands for "". */
void duet_postgres_audit(postgres_store *s, const char *event, const char *room, const char *seat, const char *agent,
                         const char *reason);
/* Writes what waits, when the database can be reached. */
void duet_postgres_audit_write(postgres_store *s);

/* ---- store_postgres.c ---- */

/* Loads the rooms into the live store. */
void duet_postgres_load(postgres_store *s);
void duet_postgres_sweep(postgres_store *s);

#endif
