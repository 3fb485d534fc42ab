/* The operations of the PostgreSQL layer. What concerns rooms that last is written first and done in the live store then; what
 * concerns seats goes straight to the live store, and leaves a row in the audit trail. */
#include "signaling/store_postgres_private.h"
#include <stdlib.h>
#include <string.h>

#define SWEEP_MS   5000
#define AUDIT_MAX  4096
#define GRACE_MORE DUET_SECONDS(2) /* after its grace a seat leaves at the live store's next look */

/* A call of the live store, and what follows it. */
typedef struct live_call {
    postgres_store *store;
    duet_store_done done;
    duet_store_seat_done seat_done;
    void *user;
    const char *event; /* of the audit trail; NULL for none */
    duet_room room;
    char seat[DUET_SEAT_ID_LEN + 1];
    char agent[DUET_TOKEN_SUBJECT_MAX + 1];
    bool durable; /* the database has the room */
} live_call;

static live_call *make_call(postgres_store *s, const duet_room *room, const char *event, duet_store_done done,
                            void *user)
{
    live_call *call = duet_calloc(&s->env, sizeof(*call));

    if (!call)
        return NULL;
    call->store = s;
    call->done = done;
    call->user = user;
    call->event = event;
    if (room)
        call->room = *room;
    return call;
}

static void end_call(live_call *call, int err)
{
    postgres_store *s = call->store;
    duet_store_done done = call->done;
    void *user = call->user;

    if (err == DUET_OK && call->event)
        duet_postgres_audit(s, call->event, call->room.id, NULL, NULL, NULL);
    duet_free(&s->env, call);
    if (done)
        done(user, err);
}

static void end_call_as_done(void *user, int err)
{
    end_call(user, err);
}

/* ---- statements about rooms ---- */

#define ROOM_COLUMNS                                                                                                   \
    "id, name, created_by, created_at, kind, max_participants, mute_on_entry, allow_recording, max_duration"

static void room_params(postgres_job *job, const duet_room *room)
{
    duet_postgres_param(job, room->id);
    duet_postgres_param(job, room->name);
    duet_postgres_param(job, room->created_by);
    duet_postgres_param_number(job, room->created_at);
    duet_postgres_param_number(job, room->kind);
    duet_postgres_param_number(job, room->max_participants);
    duet_postgres_param(job, room->mute_on_entry ? "true" : "false");
    duet_postgres_param(job, room->allow_recording ? "true" : "false");
    duet_postgres_param_number(job, room->max_duration);
}

static postgres_job *room_job(postgres_store *s, const char *sql, const duet_room *room, postgres_answer answer,
                              duet_store_done done, void *user)
{
    postgres_job *job = duet_postgres_job(s, sql, answer);

    if (!job)
        return NULL;
    job->room = *room;
    job->done = done;
    job->user = user;
    return job;
}

static void run_or_fail(postgres_store *s, postgres_job *job, duet_store_done done, void *user)
{
    int err = duet_postgres_run(s, job);

    if (err != DUET_OK && done)
        done(user, err);
}

static bool changed_a_row(const PGresult *r)
{
    return r && atoi(PQcmdTuples((PGresult *)(uintptr_t)r)) > 0;
}

static void ignore_answer(postgres_store *s, postgres_job *job, int err, const PGresult *r)
{
    (void)s;
    (void)job;
    (void)err;
    (void)r;
}

static void forget_durable(postgres_store *s, const char *room_id)
{
    postgres_job *job = duet_postgres_job(s, "DELETE FROM duet_room WHERE id = $1", ignore_answer);

    duet_postgres_param(job, room_id);
    (void)duet_postgres_run(s, job);
}

/* ---- creating ---- */

static const char insert_room[] = "INSERT INTO duet_room (" ROOM_COLUMNS ") "
                                  "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING";

/* A room that the live store refuses is not kept. One that it has already is another, that passes. */
static void on_created_live(void *user, int err)
{
    live_call *call = user;

    if (err != DUET_OK && err != DUET_ERR_CLOSED)
        forget_durable(call->store, call->room.id);
    if (err == DUET_OK)
        duet_postgres_audit(call->store, "room created", call->room.id, NULL, call->room.created_by, NULL);
    end_call(call, err);
}

static void on_inserted(postgres_store *s, postgres_job *job, int err, const PGresult *r)
{
    live_call *call = NULL;

    if (err == DUET_OK)
        err = changed_a_row(r) ? DUET_OK : DUET_ERR_STATE;
    if (err == DUET_OK) {
        call = make_call(s, &job->room, NULL, job->done, job->user);
        err = call ? DUET_OK : DUET_ERR_NOMEM;
    }
    if (err == DUET_OK)
        s->live.ops->room_create(s->live.self, &job->room, on_created_live, call);
    else
        job->done(job->user, err);
}

static void room_create(void *store, const duet_room *room, duet_store_done done, void *user)
{
    postgres_store *s = store;

    if (room->transient) {
        s->live.ops->room_create(s->live.self, room, done, user);
        return;
    }
    postgres_job *job = room_job(s, insert_room, room, on_inserted, done, user);
    if (job)
        room_params(job, room);
    run_or_fail(s, job, done, user);
}

/* ---- changing ---- */

static void on_updated_live(void *user, int err)
{
    live_call *call = user;

    end_call(call, err == DUET_ERR_NOT_FOUND && call->durable ? DUET_ERR_IO : err);
}

static void on_updated(postgres_store *s, postgres_job *job, int err, const PGresult *r)
{
    live_call *call = err == DUET_OK ? make_call(s, &job->room, "room updated", job->done, job->user) : NULL;

    if (!call) {
        job->done(job->user, err == DUET_OK ? DUET_ERR_NOMEM : err);
        return;
    }
    call->durable = changed_a_row(r);
    s->live.ops->room_update(s->live.self, &job->room, on_updated_live, call);
}

static void update_durable(live_call *call)
{
    static const char sql[] = "UPDATE duet_room SET name = $2, kind = $3, max_participants = $4, mute_on_entry = $5, "
                              "allow_recording = $6, max_duration = $7 WHERE id = $1";
    postgres_store *s = call->store;
    const duet_room *room = &call->room;
    postgres_job *job = room_job(s, sql, room, on_updated, call->done, call->user);

    duet_postgres_param(job, room->id);
    duet_postgres_param(job, room->name);
    duet_postgres_param_number(job, room->kind);
    duet_postgres_param_number(job, room->max_participants);
    duet_postgres_param(job, room->mute_on_entry ? "true" : "false");
    duet_postgres_param(job, room->allow_recording ? "true" : "false");
    duet_postgres_param_number(job, room->max_duration);
    run_or_fail(s, job, call->done, call->user);
    duet_free(&s->env, call);
}

/* Rooms that pass are none of the database's. */
static void on_found_to_update(void *user, int err, const duet_room *room, size_t participants)
{
    live_call *call = user;
    postgres_store *s = call->store;

    (void)participants;
    if (err == DUET_OK && !room->transient)
        update_durable(call);
    else if (err == DUET_OK)
        s->live.ops->room_update(s->live.self, &call->room, end_call_as_done, call);
    else
        end_call(call, err);
}

static void room_update(void *store, const duet_room *room, duet_store_done done, void *user)
{
    postgres_store *s = store;
    live_call *call = make_call(s, room, NULL, done, user);

    if (call)
        s->live.ops->room_get(s->live.self, room->id, on_found_to_update, call);
    else
        done(user, DUET_ERR_NOMEM);
}

/* ---- removing ---- */

static void on_removed_live(void *user, int err)
{
    live_call *call = user;

    end_call(call, err == DUET_ERR_NOT_FOUND && call->durable ? DUET_OK : err);
}

static void on_deleted(postgres_store *s, postgres_job *job, int err, const PGresult *r)
{
    live_call *call = err == DUET_OK ? make_call(s, &job->room, "room removed", job->done, job->user) : NULL;

    if (!call) {
        job->done(job->user, err == DUET_OK ? DUET_ERR_NOMEM : err);
        return;
    }
    call->durable = changed_a_row(r);
    s->live.ops->room_remove(s->live.self, job->room.id, on_removed_live, call);
}

static void on_found_to_remove(void *user, int err, const duet_room *room, size_t participants)
{
    live_call *call = user;
    postgres_store *s = call->store;

    (void)participants;
    if (err == DUET_OK && room->transient) {
        s->live.ops->room_remove(s->live.self, call->room.id, end_call_as_done, call);
        return;
    }
    if (err != DUET_OK && err != DUET_ERR_NOT_FOUND) {
        end_call(call, err);
        return;
    }
    postgres_job *job =
        room_job(s, "DELETE FROM duet_room WHERE id = $1", &call->room, on_deleted, call->done, call->user);
    duet_postgres_param(job, call->room.id);
    run_or_fail(s, job, call->done, call->user);
    duet_free(&s->env, call);
}

static void room_remove(void *store, const char *room_id, duet_store_done done, void *user)
{
    postgres_store *s = store;
    live_call *call = make_call(s, NULL, NULL, done, user);

    if (!call) {
        done(user, DUET_ERR_NOMEM);
        return;
    }
    memcpy(call->room.id, room_id, strnlen(room_id, DUET_ROOM_ID_MAX));
    s->live.ops->room_get(s->live.self, room_id, on_found_to_remove, call);
}

/* ---- loading ---- */

static void on_loaded_live(void *user, int err)
{
    postgres_store *s = user;

    if (err != DUET_OK && err != DUET_ERR_STATE && err != DUET_ERR_CLOSED)
        duet_postgres_log(s, DUET_LOG_WARN, "postgres: a room is not loaded: %s", duet_strerror(err));
}

static bool take_text(char *out, size_t size, const PGresult *r, int row, int column)
{
    size_t len = (size_t)PQgetlength(r, row, column);

    if (PQgetisnull(r, row, column) || len >= size)
        return false;
    memcpy(out, PQgetvalue(r, row, column), len);
    out[len] = 0;
    return true;
}

static bool take_number(const PGresult *r, int row, int column, int64_t max, int64_t *out)
{
    char *end;

    *out = strtoll(PQgetvalue(r, row, column), &end, 10);
    return !PQgetisnull(r, row, column) && *end == 0 && *out >= 0 && *out <= max;
}

static bool take_room(const PGresult *r, int row, duet_room *room)
{
    int64_t kind, participants, duration;

    *room = (duet_room){.kind = DUET_ROOM_VOICE};
    bool ok =
        take_text(room->id, sizeof(room->id), r, row, 0) && take_text(room->name, sizeof(room->name), r, row, 1) &&
        take_text(room->created_by, sizeof(room->created_by), r, row, 2) &&
        take_number(r, row, 3, INT64_MAX, &room->created_at) && take_number(r, row, 4, DUET_ROOM_VIDEO, &kind) &&
        take_number(r, row, 5, DUET_PARTICIPANTS_MAX, &participants) && take_number(r, row, 8, UINT32_MAX, &duration);
    if (!ok)
        return false;
    room->kind = (duet_room_kind)kind;
    room->max_participants = (unsigned)participants;
    room->mute_on_entry = *PQgetvalue(r, row, 6) == 't';
    room->allow_recording = *PQgetvalue(r, row, 7) == 't';
    room->max_duration = (unsigned)duration;
    return true;
}

static void on_loaded(postgres_store *s, postgres_job *job, int err, const PGresult *r)
{
    duet_room room;

    (void)job;
    for (int row = 0; err == DUET_OK && PQnfields(r) == 9 && row < PQntuples(r); row++) {
        if (take_room(r, row, &room))
            s->live.ops->room_create(s->live.self, &room, on_loaded_live, s);
        else
            duet_postgres_log(s, DUET_LOG_WARN, "postgres: row %d of duet_room is no room", row);
    }
}

void duet_postgres_load(postgres_store *s)
{
    (void)duet_postgres_run(s, duet_postgres_job(s, "SELECT " ROOM_COLUMNS " FROM duet_room", on_loaded));
}

/* ---- seats, for the trail ---- */

static postgres_seat *find_seat(const postgres_store *s, const char *id)
{
    postgres_seat *seat = duet_map_get(&s->seats, duet_store_random_key(id));

    return seat && strcmp(seat->id, id) == 0 ? seat : NULL;
}

static void forget_seat(postgres_store *s, postgres_seat *seat)
{
    duet_map_remove(&s->seats, duet_store_random_key(seat->id));
    duet_free(&s->env, seat);
}

/* Without memory the trail does without the seat. */
static void note_seat(postgres_store *s, const char *id, const char *room, const char *agent)
{
    postgres_seat *seat = find_seat(s, id);

    if (!seat && !duet_map_get(&s->seats, duet_store_random_key(id))) {
        seat = duet_calloc(&s->env, sizeof(*seat));
        if (seat && duet_map_set(&s->seats, duet_store_random_key(id), seat) != DUET_OK) {
            duet_free(&s->env, seat);
            seat = NULL;
        }
    }
    if (!seat)
        return;
    seat->check_at = DUET_NEVER;
    memcpy(seat->id, id, strlen(id) + 1);
    memcpy(seat->room, room, strlen(room) + 1);
    memcpy(seat->agent, agent, strlen(agent) + 1);
}

static void on_joined(void *user, int err)
{
    live_call *call = user;
    postgres_store *s = call->store;

    if (err == DUET_OK) {
        note_seat(s, call->seat, call->room.id, call->agent);
        duet_postgres_audit(s, "seat joined", call->room.id, call->seat, call->agent, NULL);
    }
    /* A room that came into being with its first seat, and lasts. */
    if (err == DUET_OK && call->durable) {
        postgres_job *job = room_job(s, insert_room, &call->room, ignore_answer, NULL, NULL);
        if (job)
            room_params(job, &call->room);
        (void)duet_postgres_run(s, job);
    }
    end_call(call, err);
}

static void join(void *store, const duet_store_join *j, duet_store_done done, void *user)
{
    postgres_store *s = store;
    live_call *call = make_call(s, j->make, NULL, done, user);

    if (!call) {
        done(user, DUET_ERR_NOMEM);
        return;
    }
    call->durable = j->make && !j->make->transient;
    memset(call->room.id, 0, sizeof(call->room.id));
    memcpy(call->room.id, j->room_id, strnlen(j->room_id, DUET_ROOM_ID_MAX));
    memcpy(call->seat, j->who.id, sizeof(call->seat));
    memcpy(call->agent, j->who.agent_id, sizeof(call->agent));
    s->live.ops->join(s->live.self, j, on_joined, call);
}

static void on_resumed(void *user, int err, const duet_store_seat *seat)
{
    live_call *call = user;
    postgres_store *s = call->store;
    duet_store_seat_done done = call->seat_done;
    void *done_user = call->user;

    duet_free(&s->env, call);
    if (err == DUET_OK) {
        note_seat(s, seat->who.id, seat->room_id, seat->who.agent_id);
        duet_postgres_audit(s, "seat resumed", seat->room_id, seat->who.id, seat->who.agent_id, NULL);
    }
    done(done_user, err, seat);
}

static void resume(void *store, const char *resume_hash, const char *agent_id, uint64_t last_seq,
                   const char *request_id, duet_store_seat_done done, void *user)
{
    postgres_store *s = store;
    live_call *call = make_call(s, NULL, NULL, NULL, user);

    if (!call) {
        done(user, DUET_ERR_NOMEM, NULL);
        return;
    }
    call->seat_done = done;
    s->live.ops->resume(s->live.self, resume_hash, agent_id, last_seq, request_id, on_resumed, call);
}

static void detach(void *store, const char *seat_id, duet_time grace, duet_time now)
{
    postgres_store *s = store;
    postgres_seat *seat = find_seat(s, seat_id);

    if (seat)
        seat->check_at = duet_loop_now() + grace + GRACE_MORE;
    s->live.ops->detach(s->live.self, seat_id, grace, now);
}

static void on_live_message(void *user, const char *seat_id, uint64_t seq, const char *text, size_t len)
{
    postgres_store *s = user;

    s->events.message(s->events.user, seat_id, seq, text, len);
}

static void on_live_removed(void *user, const char *seat_id, const char *reason)
{
    postgres_store *s = user;
    postgres_seat *seat = find_seat(s, seat_id);

    if (seat) {
        duet_postgres_audit(s, strcmp(reason, "kicked") == 0 ? "seat kicked" : "seat left", seat->room, seat->id,
                            seat->agent, reason);
        forget_seat(s, seat);
    }
    s->events.removed(s->events.user, seat_id, reason);
}

static void on_live_replaced(void *user, const char *seat_id)
{
    postgres_store *s = user;
    postgres_seat *seat = find_seat(s, seat_id);

    if (seat)
        forget_seat(s, seat);
    s->events.replaced(s->events.user, seat_id);
}

/* ---- what time brings ---- */

static void on_person(void *user, int err, const duet_participant *who)
{
    live_call *call = user;
    postgres_store *s = call->store;
    postgres_seat *seat = find_seat(s, call->seat);

    if (who) {
        if (seat && strcmp(who->id, seat->id) == 0)
            seat->present = true;
        return;
    }
    if (seat && seat->check_at != DUET_NEVER && (err == DUET_OK || err == DUET_ERR_NOT_FOUND)) {
        if (!seat->present)
            duet_postgres_audit(s, "seat left", seat->room, seat->id, seat->agent, "timeout");
        forget_seat(s, seat);
    } else if (seat) {
        seat->asking = false;
    }
    duet_free(&s->env, call);
}

/* A seat that nobody took again in time is not told to anybody: whether it is still there is looked up once. When it is, then at
 * another node. */
static void check_detached(postgres_store *s, duet_time now)
{
    for (;;) {
        size_t cursor = 0;
        uint64_t key;
        void *value;
        postgres_seat *due = NULL;
        while (!due && duet_map_next(&s->seats, &cursor, &key, &value)) {
            postgres_seat *seat = value;
            due = seat->check_at <= now && !seat->asking ? seat : NULL;
        }
        live_call *call = due ? make_call(s, NULL, NULL, NULL, NULL) : NULL;
        if (!call)
            return;
        memcpy(call->seat, due->id, sizeof(call->seat));
        due->asking = true;
        due->present = false;
        s->live.ops->people(s->live.self, due->room, on_person, call); /* `due` may be gone */
    }
}

static void remove_expired(postgres_store *s)
{
    static const char sql[] = "WITH gone AS (DELETE FROM duet_room WHERE max_duration > 0 AND "
                              "created_at + max_duration * 60 <= extract(epoch FROM now()) RETURNING id) "
                              "INSERT INTO duet_audit (at, event, room, seat, agent, reason) "
                              "SELECT now(), 'room expired', id, '', '', 'expired' FROM gone";

    if (s->link == POSTGRES_UP)
        (void)duet_postgres_run(s, duet_postgres_job(s, sql, ignore_answer));
}

void duet_postgres_sweep(postgres_store *s)
{
    bool down = s->live.ops->status(s->live.self, NULL) != DUET_OK;

    check_detached(s, duet_loop_now());
    remove_expired(s);
    /* The live store's server may have come back without its rooms. */
    if (!down && s->live_was_down && s->link == POSTGRES_UP)
        duet_postgres_load(s);
    s->live_was_down = down || (s->live_was_down && s->link != POSTGRES_UP);
}

/* ---- the rest is the live store's ---- */

static void room_get(void *store, const char *room_id, duet_store_room_done done, void *user)
{
    postgres_store *s = store;

    s->live.ops->room_get(s->live.self, room_id, done, user);
}

static void room_list(void *store, duet_store_rooms_done done, void *user)
{
    postgres_store *s = store;

    s->live.ops->room_list(s->live.self, done, user);
}

static void people(void *store, const char *room_id, duet_store_people_done done, void *user)
{
    postgres_store *s = store;

    s->live.ops->people(s->live.self, room_id, done, user);
}

static void leave(void *store, const char *seat_id, const char *reason)
{
    postgres_store *s = store;

    s->live.ops->leave(s->live.self, seat_id, reason);
}

static void kick(void *store, const char *room_id, const char *seat_id, duet_store_done done, void *user)
{
    postgres_store *s = store;

    s->live.ops->kick(s->live.self, room_id, seat_id, done, user);
}

static void relay(void *store, const char *from, const char *to, const char *text, size_t len, uint64_t number,
                  duet_store_done done, void *user)
{
    postgres_store *s = store;

    s->live.ops->relay(s->live.self, from, to, text, len, number, done, user);
}

static void post(void *store, const char *seat_id, const char *text, size_t len, uint64_t number)
{
    postgres_store *s = store;

    s->live.ops->post(s->live.self, seat_id, text, len, number);
}

static void tick(void *store, duet_time now, int64_t wall_seconds)
{
    postgres_store *s = store;

    s->live.ops->tick(s->live.self, now, wall_seconds);
}

static duet_time deadline(const void *store)
{
    const postgres_store *s = store;

    return s->live.ops->deadline(s->live.self);
}

static int status(const void *store, const char **reason)
{
    const postgres_store *s = store;

    if (s->link == POSTGRES_UP)
        return s->live.ops->status(s->live.self, reason);
    if (reason)
        *reason = s->reason;
    return DUET_ERR_IO;
}

uint64_t duet_store_postgres_dropped(const duet_store *store)
{
    return ((const postgres_store *)store->self)->dropped;
}

/* ---- life ---- */

static void destroy(void *store)
{
    postgres_store *s = store;
    size_t cursor = 0;
    uint64_t key;
    void *value;

    if (!s)
        return;
    s->in_destroy = true;
    if (s->live.ops)
        duet_postgres_link_flush(s);
    /* What waits for the database is answered before the live store that it would need goes. */
    duet_postgres_link_close(s);
    if (s->live.ops)
        s->live.ops->destroy(s->live.self);
    while (duet_map_next(&s->seats, &cursor, &key, &value))
        duet_free(&s->env, value);
    duet_map_free(&s->seats);
    duet_array_free(&s->audit);
    duet_free(&s->env, s->url);
    duet_env env = s->env;
    duet_free(&env, s);
}

static const duet_store_ops postgres_ops = {
    .room_create = room_create,
    .room_get = room_get,
    .room_list = room_list,
    .room_update = room_update,
    .room_remove = room_remove,
    .people = people,
    .join = join,
    .resume = resume,
    .detach = detach,
    .leave = leave,
    .kick = kick,
    .relay = relay,
    .post = post,
    .tick = tick,
    .deadline = deadline,
    .status = status,
    .destroy = destroy,
};

static int set_up(postgres_store *s, const duet_store_postgres_config *config)
{
    const duet_store_events events = {on_live_message, on_live_removed, on_live_replaced, s};

    s->config = *config;
    s->config.sweep_ms = config->sweep_ms ? config->sweep_ms : SWEEP_MS;
    s->config.audit_max = config->audit_max ? config->audit_max : AUDIT_MAX;
    duet_array_init(&s->audit, &s->env, sizeof(postgres_audit));
    int err = duet_map_init(&s->seats, &s->env);
    if (err != DUET_OK)
        return err;
    s->url = duet_strdup(&s->env, config->url);
    if (!s->url)
        return config->url ? DUET_ERR_NOMEM : DUET_ERR_INVALID;
    err = config->open_live(config->user, &s->live, &events);
    return err == DUET_OK ? duet_postgres_link_open(s) : err;
}

int duet_store_postgres_create(duet_store *out, const duet_env *env, struct event_base *base,
                               const duet_store_postgres_config *config, const duet_store_events *events)
{
    duet_env resolved = duet_env_resolve(env);
    postgres_store *s = duet_calloc(&resolved, sizeof(*s));

    *out = (duet_store){NULL, NULL};
    if (!s)
        return DUET_ERR_NOMEM;
    s->env = resolved;
    s->events = *events;
    s->base = base;
    int err = set_up(s, config);
    if (err != DUET_OK) {
        destroy(s);
        return err;
    }
    *out = (duet_store){&postgres_ops, s};
    return DUET_OK;
}
