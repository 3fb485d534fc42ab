/* The PostgreSQL layer around the store in memory: what every store does, then what outlives a server, and a database that goes.
 * The database is real. */
#include "service.h"
#include "signaling/store_postgres.h"
#include "store_check.h"
#include <event2/event.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>

#define NODES_MAX 4

typedef struct database {
    char folder[64], data[80], log[80], bin[128], url[160];
    pid_t pid;
} database;

typedef struct node {
    check_world *world;
    struct event_base *base;
} node;

static database db;
static node nodes[NODES_MAX];
static size_t node_count;
static duet_time started_at;

/* ---- the database: it does not run as root ---- */

static char *const *as_postgres(char *const argv[])
{
    static char *full[32];
    static char *const prefix[] = {"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
                                   "--pdeathsig=KILL"};
    size_t n = 0;

    for (size_t i = 0; getuid() == 0 && i < sizeof(prefix) / sizeof(prefix[0]); i++)
        full[n++] = prefix[i];
    for (size_t i = 0; argv[i]; i++)
        full[n++] = argv[i];
    full[n] = NULL;
    return full;
}

static void find_programs(void)
{
    glob_t found;

    assert_int_equal(glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found), 0);
    const char *path = found.gl_pathv[found.gl_pathc - 1];
    snprintf(db.bin, sizeof(db.bin), "%.*s", (int)(strrchr(path, '/') - path), path);
    globfree(&found);
}

static void start_database(void)
{
    char program[160], socket_option[96];
    duet_time begin = service_now();

    snprintf(program, sizeof(program), "%s/postgres", db.bin);
    snprintf(socket_option, sizeof(socket_option), "unix_socket_directories=%s", db.folder);
    char *argv[] = {program, "-D", db.data, "-F", "-c", "listen_addresses=", "-c", socket_option, NULL};
    db.pid = service_start(db.log, as_postgres(argv));
    while (PQping(db.url) != PQPING_OK) {
        assert_true(service_now() - begin < DUET_SECONDS(SERVICE_PATIENCE));
        assert_true(service_is_running(db.pid));
        service_sleep_ms(20);
    }
}

static void stop_database(void)
{
    service_end(db.pid, SIGQUIT); /* "immediate shutdown": as in a crash */
}

static int open_database(void **state)
{
    char program[160];

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    find_programs();
    service_folder(db.folder, sizeof(db.folder));
    const struct passwd *owner = getpwnam("postgres");
    if (getuid() == 0)
        assert_true(owner && chown(db.folder, owner->pw_uid, owner->pw_gid) == 0);
    snprintf(db.data, sizeof(db.data), "%s/data", db.folder);
    snprintf(db.log, sizeof(db.log), "%s/log", db.folder);
    snprintf(db.url, sizeof(db.url), "host=%s user=postgres dbname=postgres", db.folder);
    snprintf(program, sizeof(program), "%s/initdb", db.bin);
    char *argv[] = {program, "-D",        db.data, "-U",   "postgres",   "-A",
                    "trust", "--no-sync", "-E",    "UTF8", "--locale=C", NULL};
    service_run(db.log, as_postgres(argv));
    start_database();
    return 0;
}

static int close_database(void **state)
{
    (void)state;
    stop_database();
    service_folder_remove(db.folder);
    return 0;
}

/* The first value of the outcome; "" when there is none. */
static const char *ask_database(const char *sql)
{
    static char answer[512];

    PGconn *c = PQconnectdb(db.url);
    assert_int_equal(PQstatus(c), CONNECTION_OK);
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQresultErrorMessage(r));
    snprintf(answer, sizeof(answer), "%s", PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "");
    PQclear(r);
    PQfinish(c);
    return answer;
}

/* ---- nodes ---- */

static void pass_time(check_world *w)
{
    (void)w;
    for (size_t i = 0; i < node_count; i++) {
        check_world *n = nodes[i].world;
        n->now = service_now();
        n->wall = time(NULL);
        event_base_loop(nodes[i].base, EVLOOP_NONBLOCK);
        n->store.ops->tick(n->store.self, n->now, n->wall);
    }
    service_sleep_ms(1);
}

static bool is_over(check_world *w)
{
    (void)w;
    return service_now() - started_at > DUET_SECONDS(SERVICE_PATIENCE);
}

static int open_live(void *user, duet_store *live, const duet_store_events *events)
{
    (void)user;
    return duet_store_memory_create(live, NULL, CHECK_ROOMS, events);
}

static void on_log(void *user, duet_log_level level, const char *text)
{
    (void)user;
    (void)level;
    if (getenv("DUET_TEST_VERBOSE"))
        print_message("  %s\n", text);
}

static check_world *add_node_with(unsigned audit_max)
{
    check_world *w = calloc(1, sizeof(*w));
    node *n = &nodes[node_count++];
    duet_store_postgres_config config = {
        .url = db.url, .sweep_ms = 100, .audit_max = audit_max, .open_live = open_live, .on_log = on_log};

    assert_non_null(w);
    *w = (check_world){.step = pass_time, .over = is_over, .now = service_now(), .wall = time(NULL)};
    *n = (node){.world = w, .base = event_base_new()};
    duet_store_events events = check_events(w);
    assert_int_equal(duet_store_postgres_create(&w->store, NULL, n->base, &config, &events), DUET_OK);
    return w;
}

static check_world *add_node(void)
{
    return add_node_with(0);
}

static void begin(void)
{
    node_count = 0;
    started_at = service_now();
    ask_database("DROP TABLE IF EXISTS duet_room, duet_audit, duet_schema");
}

static int open_world(void **state)
{
    begin();
    *state = add_node();
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    for (size_t i = 0; i < node_count; i++) {
        check_world_free(nodes[i].world);
        event_base_free(nodes[i].base);
    }
    node_count = 0;
    return 0;
}

static bool is_up(const check_world *w)
{
    return w->store.ops->status(w->store.self, NULL) == DUET_OK;
}

/* ---- what outlives a server ---- */

static void rooms_outlive_the_server_unless_they_pass(void **state)
{
    check_world *w = *state;
    duet_room lasting = check_room("lasting '; -- \xc3\xa4", 7), passing = check_room("passing", 7),
              gone = check_room("gone", 7);
    check_outcome o = {.done = false};

    lasting.mute_on_entry = true;
    lasting.max_duration = 500000000;
    passing.transient = true;
    assert_int_equal(check_create(w, &lasting), DUET_OK);
    assert_int_equal(check_create(w, &passing), DUET_OK);
    assert_int_equal(check_create(w, &gone), DUET_OK);
    assert_int_equal(check_remove(w, "gone"), DUET_OK);
    snprintf(lasting.name, sizeof(lasting.name), "renamed");
    w->store.ops->room_update(w->store.self, &lasting, check_done, &o);
    CHECK_UNTIL(w, o.done);
    assert_int_equal(o.err, DUET_OK);
    close_world(NULL);
    w = add_node();
    CHECK_UNTIL(w, check_get(w, lasting.id, &o) == DUET_OK);
    assert_string_equal(o.room.name, "renamed");
    assert_string_equal(o.room.created_by, "anna");
    assert_int_equal(o.room.created_at, CHECK_WALL);
    assert_int_equal(o.room.kind, DUET_ROOM_VIDEO);
    assert_int_equal(o.room.max_participants, 7);
    assert_int_equal(o.room.max_duration, 500000000);
    assert_true(o.room.mute_on_entry && !o.room.allow_recording && !o.room.transient);
    assert_true(check_room_is_gone(w, "passing"));
    assert_true(check_room_is_gone(w, "gone"));
}

static void a_room_that_the_live_store_refuses_is_not_kept(void **state)
{
    check_world *w = *state;
    duet_room room;
    char id[16];

    for (int i = 0; i <= CHECK_ROOMS; i++) {
        snprintf(id, sizeof(id), "room %d", i);
        room = check_room(id, 10);
        assert_int_equal(check_create(w, &room), i < CHECK_ROOMS ? DUET_OK : DUET_ERR_LIMIT);
    }
    CHECK_UNTIL(w, strcmp(ask_database("SELECT count(*) FROM duet_room"), "4") == 0);
}

static void a_room_that_has_lasted_long_enough_is_removed_there_too(void **state)
{
    check_world *w = *state;
    duet_room room = check_room("one", 7);

    room.max_duration = 1;
    room.created_at = w->wall - 58;
    assert_int_equal(check_create(w, &room), DUET_OK);
    CHECK_UNTIL(w, strcmp(ask_database("SELECT count(*) FROM duet_room"), "0") == 0);
    CHECK_UNTIL(w, strcmp(ask_database("SELECT count(*) FROM duet_audit WHERE event = 'room expired' AND room = 'one'"),
                          "1") == 0);
    CHECK_UNTIL(w, check_room_is_gone(w, "one"));
}

static void the_trail_tells_who_was_where(void **state)
{
    check_world *w = *state;
    duet_room room = check_room("one", 7);
    check_outcome o;
    static const char trail[] =
        "SELECT string_agg(event || ' ' || agent || ' ' || reason, ', ' ORDER BY n) FROM duet_audit";

    assert_int_equal(check_create(w, &room), DUET_OK);
    check_seat anna, ben;
    check_pair(w, "one", &anna, &ben);
    assert_int_equal(check_relay(w, &anna, ben.id, "{\"type\":\"offer\",\"sdp\":\"secret\"}", 0), DUET_OK);
    assert_int_equal(check_kick(w, "one", &ben), DUET_OK);
    assert_int_equal(check_resume(w, &anna, "anna", anna.last, &o), DUET_OK);
    check_detach(w, &anna, DUET_MS(50));
    CHECK_UNTIL(w, strstr(ask_database(trail), "timeout"));
    assert_int_equal(check_remove(w, "one"), DUET_OK);
    CHECK_UNTIL(w, strstr(ask_database(trail), "removed"));
    assert_string_equal(ask_database(trail),
                        "room created anna , seat joined anna , seat joined ben , seat kicked ben kicked, "
                        "seat resumed anna , seat left anna timeout, room removed  ");
    assert_string_equal(
        ask_database("SELECT count(*) FROM duet_audit WHERE at > now() - interval '5 minutes' AND room = 'one'"), "7");
}

/* ---- migrations ---- */

static void several_nodes_may_start_at_once(void **state)
{
    check_world *w = *state;

    for (int i = 1; i < NODES_MAX; i++)
        add_node();
    for (size_t i = 0; i < node_count; i++)
        CHECK_UNTIL(w, is_up(nodes[i].world));
    assert_string_equal(ask_database("SELECT string_agg(version::text, ' ' ORDER BY version) FROM duet_schema"), "1 2");
    duet_room room = check_room("one", 7);
    assert_int_equal(check_create(nodes[0].world, &room), DUET_OK);
    assert_int_equal(check_create(nodes[1].world, &room), DUET_ERR_STATE);
}

static void an_older_schema_is_brought_up_to_date(void **state)
{
    check_world *w = *state;
    duet_room room = check_room("one", 7);

    assert_int_equal(check_create(w, &room), DUET_OK);
    close_world(NULL);
    ask_database("DROP INDEX duet_audit_agent");
    ask_database("DELETE FROM duet_schema WHERE version = 2");
    w = add_node();
    CHECK_UNTIL(w, is_up(w));
    assert_string_equal(ask_database("SELECT count(*) FROM pg_indexes WHERE indexname = 'duet_audit_agent'"), "1");
    CHECK_UNTIL(w, !check_room_is_gone(w, "one"));
}

static void a_newer_schema_is_refused(void **state)
{
    check_world *w = *state;
    const char *reason = NULL;
    duet_room room = check_room("one", 7);

    CHECK_UNTIL(w, is_up(w));
    close_world(NULL);
    ask_database("INSERT INTO duet_schema VALUES (99)");
    w = add_node();
    CHECK_UNTIL(w, w->store.ops->status(w->store.self, &reason) == DUET_ERR_IO && strstr(reason, "newer"));
    assert_int_equal(check_create(w, &room), DUET_ERR_IO);
    ask_database("DELETE FROM duet_schema WHERE version = 99");
    CHECK_UNTIL(w, is_up(w));
}

/* ---- a database that goes ---- */

static void without_the_database_seats_go_on_and_rooms_wait(void **state)
{
    check_world *w = *state;
    duet_room kept = check_room("kept", 7), refused = check_room("refused", 7);
    check_outcome o = {.done = false};
    check_seat anna, ben;

    assert_int_equal(check_create(w, &kept), DUET_OK);
    stop_database();
    CHECK_UNTIL(w, !is_up(w));
    assert_int_equal(check_create(w, &refused), DUET_ERR_IO);
    assert_int_equal(check_remove(w, "kept"), DUET_ERR_IO);
    w->store.ops->room_update(w->store.self, &kept, check_done, &o);
    CHECK_UNTIL(w, o.done);
    assert_int_equal(o.err, DUET_ERR_IO);
    check_pair(w, "kept", &anna, &ben);
    refused.transient = true;
    assert_int_equal(check_create(w, &refused), DUET_OK);
    assert_int_equal(check_remove(w, "refused"), DUET_OK);
    start_database();
    CHECK_UNTIL(w, is_up(w));
    CHECK_UNTIL(w, strcmp(ask_database("SELECT count(*) FROM duet_audit WHERE event = 'seat joined'"), "2") == 0);
    assert_int_equal(check_relay(w, &anna, ben.id, check_note(1), 0), DUET_OK);
    check_hears_note(w, &ben, 1);
    assert_int_equal(check_remove(w, "kept"), DUET_OK);
}

static void rows_that_wait_too_long_are_dropped_and_counted(void **state)
{
    enum { ROWS = 8 };

    (void)state;
    begin();
    check_world *w = add_node_with(ROWS);
    check_seat anna;

    CHECK_UNTIL(w, is_up(w));
    stop_database();
    CHECK_UNTIL(w, !is_up(w));
    for (int i = 0; i < ROWS; i++) { /* two rows each */
        anna = check_seated(w, "anna", "one");
        assert_int_equal(check_kick(w, "one", &anna), DUET_OK);
    }
    assert_int_equal(duet_store_postgres_dropped(&w->store), ROWS);
    start_database();
    CHECK_UNTIL(w, is_up(w));
    CHECK_UNTIL(w, strcmp(ask_database("SELECT count(*) FROM duet_audit"), "8") == 0);
    close_world(NULL);
}

static void what_is_under_way_ends_with_the_store(void **state)
{
    check_outcome o[3];
    duet_room room;
    char id[8];

    (void)state;
    begin();
    check_world *w = add_node();
    memset(o, 0, sizeof(o));
    for (int i = 0; i < 3; i++) {
        snprintf(id, sizeof(id), "%d", i);
        room = check_room(id, 2);
        w->store.ops->room_create(w->store.self, &room, check_done, &o[i]);
    }
    close_world(NULL);
    for (int i = 0; i < 3; i++)
        assert_true(o[i].done && o[i].err == DUET_ERR_CLOSED);
}

static int create_and_destroy(const duet_env *env, void *arg)
{
    struct event_base *base = arg;
    duet_store_events events = {.user = NULL};
    duet_store_postgres_config config = {.url = "host=/nonexistent", .open_live = open_live};
    duet_store store;

    int err = duet_store_postgres_create(&store, env, base, &config, &events);
    if (err == DUET_OK)
        store.ops->destroy(store.self);
    return err;
}

static void creation_may_fail_for_want_of_memory(void **state)
{
    struct event_base *base = event_base_new();
    duet_store_events events = {.user = NULL};
    duet_store_postgres_config config = {.url = "nonsense=1", .open_live = open_live};
    duet_store store;

    (void)state;
    test_fail_each_allocation("postgres store", create_and_destroy, base);
    assert_int_equal(duet_store_postgres_create(&store, NULL, base, &config, &events), DUET_ERR_INVALID);
    event_base_free(base);
}

#define ONE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_SCENARIOS(open_world, close_world),
        ONE(rooms_outlive_the_server_unless_they_pass),
        ONE(a_room_that_the_live_store_refuses_is_not_kept),
        ONE(a_room_that_has_lasted_long_enough_is_removed_there_too),
        ONE(the_trail_tells_who_was_where),
        ONE(several_nodes_may_start_at_once),
        ONE(an_older_schema_is_brought_up_to_date),
        ONE(a_newer_schema_is_refused),
        ONE(without_the_database_seats_go_on_and_rooms_wait),
        cmocka_unit_test(rows_that_wait_too_long_are_dropped_and_counted),
        cmocka_unit_test(what_is_under_way_ends_with_the_store),
        cmocka_unit_test(creation_may_fail_for_want_of_memory),
    };

    return cmocka_run_group_tests(tests, open_database, close_database);
}
