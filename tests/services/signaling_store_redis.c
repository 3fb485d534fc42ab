/* The store on Redis: what every store does, then nodes and Redis that die. The servers are real. */
#include "service.h"
#include "signaling/store_redis_private.h"
#include "store_check.h"
#include <event2/event.h>
#include <hiredis/hiredis.h>

#define NODES_MAX 3

typedef struct redis_server {
    char folder[64];
    uint16_t port;
    pid_t pid;
} redis_server;

/* One node: a store with a loop of its own. */
typedef struct node {
    check_world *world;
    struct event_base *base;
    bool stopped; /* it does nothing any more, as if it had crashed */
} node;

static redis_server server;
static node nodes[NODES_MAX];
static size_t node_count;
static unsigned prefix_number;
static duet_time started_at;

/* ---- the server ---- */

static bool is_listening(uint16_t port)
{
    redisContext *c = redisConnect("127.0.0.1", port);
    redisReply *r = c && !c->err ? redisCommand(c, "PING") : NULL;
    bool ready = r && r->type == REDIS_REPLY_STATUS;

    if (r)
        freeReplyObject(r);
    if (c)
        redisFree(c);
    return ready;
}

static void start_server(const char *password)
{
    char port[8], log[128];
    duet_time begin = service_now();

    snprintf(port, sizeof(port), "%u", server.port);
    snprintf(log, sizeof(log), "%s/log", server.folder);
    char *argv[] = {"redis-server",
                    "--port",
                    port,
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                    "--bind",
                    "127.0.0.1",
                    "--dir",
                    server.folder,
                    "--requirepass",
                    (char *)(uintptr_t)password,
                    NULL};
    server.pid = service_start(log, argv);
    while (password[0] == 0 && !is_listening(server.port)) {
        assert_true(service_now() - begin < DUET_SECONDS(SERVICE_PATIENCE));
        assert_true(service_is_running(server.pid));
        service_sleep_ms(10);
    }
}

static int open_server(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    service_folder(server.folder, sizeof(server.folder));
    server.port = service_free_port();
    start_server("");
    return 0;
}

static int close_server(void **state)
{
    (void)state;
    service_end(server.pid, SIGKILL);
    service_folder_remove(server.folder);
    return 0;
}

static void tell_server(const char *command)
{
    redisContext *c = redisConnect("127.0.0.1", server.port);

    assert_true(c && !c->err);
    redisReply *r = redisCommand(c, command);
    assert_true(r && r->type != REDIS_REPLY_ERROR);
    freeReplyObject(r);
    redisFree(c);
}

/* ---- nodes ---- */

static void pass_time(check_world *w)
{
    (void)w;
    for (size_t i = 0; i < node_count; i++) {
        if (!nodes[i].stopped)
            event_base_loop(nodes[i].base, EVLOOP_NONBLOCK);
    }
    service_sleep_ms(1);
}

static bool is_over(check_world *w)
{
    (void)w;
    return service_now() - started_at > DUET_SECONDS(SERVICE_PATIENCE);
}

static void on_log(void *user, duet_log_level level, const char *text)
{
    (void)user;
    (void)level;
    if (getenv("DUET_TEST_VERBOSE"))
        print_message("  %s\n", text);
}

static duet_store_redis_config quick_config(const char *url, const char *prefix)
{
    return (duet_store_redis_config){.url = url,
                                     .prefix = prefix,
                                     .max_rooms = CHECK_ROOMS,
                                     .beat_ms = 100,
                                     .ttl_ms = 1500,
                                     .sweep_ms = 50,
                                     .grace_ms = 1500,
                                     .settle_ms = 2500,
                                     .on_log = on_log};
}

static check_world *add_node_at(const char *url)
{
    check_world *w = calloc(1, sizeof(*w));
    char prefix[32];

    assert_non_null(w);
    snprintf(prefix, sizeof(prefix), "t%u:", prefix_number);
    *w = (check_world){.step = pass_time, .over = is_over, .wall = time(NULL), .user = (void *)(node_count + 1)};
    node *n = &nodes[node_count++];
    *n = (node){.world = w, .base = event_base_new()};
    duet_store_redis_config config = quick_config(url, prefix);
    duet_store_events events = check_events(w);
    assert_int_equal(duet_store_redis_create(&w->store, NULL, n->base, &config, &events), DUET_OK);
    return w;
}

static check_world *add_node(void)
{
    char url[64];

    snprintf(url, sizeof(url), "redis://127.0.0.1:%u/0", server.port);
    return add_node_at(url);
}

static void begin(void)
{
    prefix_number++;
    node_count = 0;
    started_at = service_now();
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

static int open_two(void **state)
{
    static check_world *two[2];

    begin();
    two[0] = add_node();
    two[1] = add_node();
    *state = two;
    return 0;
}

/* ---- two nodes ---- */

static check_seat seated(check_world *w, const char *agent, const char *room)
{
    return check_seated(w, agent, room);
}

static void two_nodes_are_one_server(void **state)
{
    check_world **w = *state;
    check_seat anna = seated(w[0], "anna", "one"), ben = seated(w[1], "ben", "one");
    check_outcome o;

    check_hears_joined(w[0], &anna, &ben);
    assert_int_equal(check_relay(w[0], &anna, ben.id, check_note(1), 1), DUET_OK);
    check_hears_note(w[1], &ben, 1);
    assert_int_equal(check_relay(w[1], &ben, NULL, check_note(2), 1), DUET_OK);
    check_hears_note(w[0], &anna, 2);
    assert_int_equal(check_people(w[0], "one", &o), DUET_OK);
    assert_int_equal(o.count, 2);
    assert_int_equal(check_kick(w[0], "one", &ben), DUET_OK);
    check_hears_left(w[1], &ben, &ben, "kicked");
    check_is_removed(w[1], &ben, "kicked");
    check_hears_left(w[0], &anna, &ben, "kicked");
    assert_int_equal(check_remove(w[1], "one"), DUET_OK);
    check_hears_left(w[0], &anna, &anna, "closed");
    check_is_removed(w[0], &anna, "closed");
}

static void a_seat_is_resumed_at_another_node_and_back(void **state)
{
    check_world **w = *state;
    check_seat anna = seated(w[0], "anna", "one"), ben = seated(w[1], "ben", "one");
    check_outcome o;

    check_hears_joined(w[0], &anna, &ben);
    for (int i = 0; i < 10; i++) {
        check_world *old = w[i % 2], *next = w[1 - i % 2];
        assert_int_equal(check_resume(next, &anna, "anna", anna.last, &o), DUET_OK);
        check_hears(next, &anna, "resumed");
        check_is_replaced(old, &anna);
        assert_int_equal(check_relay(w[1], &ben, anna.id, check_note(i), 0), DUET_OK);
        check_hears_note(next, &anna, i);
        /* The old connection is gone, and says so late. */
        check_detach(old, &anna, 0);
        old->store.ops->leave(old->store.self, anna.id, "left");
        assert_int_equal(check_relay(old, &anna, ben.id, check_note(i), 0), DUET_ERR_NOT_FOUND);
    }
    check_hears_nothing(w[1], &ben);
}

static void a_detached_seat_is_resumed_at_another_node(void **state)
{
    check_world **w = *state;
    check_seat anna = seated(w[0], "anna", "one"), ben = seated(w[1], "ben", "one");
    check_outcome o;

    check_hears_joined(w[0], &anna, &ben);
    check_detach(w[0], &anna, CHECK_LONG);
    check_hears_nothing(w[1], &ben);
    assert_int_equal(check_relay(w[1], &ben, anna.id, check_note(1), 0), DUET_OK);
    assert_int_equal(check_resume(w[1], &anna, "anna", anna.last, &o), DUET_OK);
    check_hears_note(w[1], &anna, 1);
    check_hears(w[1], &anna, "resumed");
    assert_null(check_next(w[0], anna.id));
}

static void stop_node(check_world *w)
{
    for (size_t i = 0; i < node_count; i++) {
        if (nodes[i].world == w)
            nodes[i].stopped = true;
    }
}

static void seats_of_a_dead_node_wait_for_their_people_and_leave_once(void **state)
{
    check_world **w = *state;
    check_seat anna = seated(w[0], "anna", "one"), ben = seated(w[1], "ben", "one"), carl;
    check_outcome o;

    check_hears_joined(w[0], &anna, &ben);
    carl = seated(w[1], "carl", "one");
    check_hears_joined(w[0], &anna, &carl);
    check_hears_joined(w[1], &ben, &carl);
    stop_node(w[1]);
    /* Ben comes to the other node at once, Carl not at all. */
    assert_int_equal(check_resume(w[0], &ben, "ben", ben.last, &o), DUET_OK);
    check_hears(w[0], &ben, "resumed");
    check_hears_left(w[0], &anna, &carl, "timeout");
    check_hears_left(w[0], &ben, &carl, "timeout");
    assert_int_equal(check_people(w[0], "one", &o), DUET_OK);
    assert_int_equal(o.count, 2);
    check_hears_nothing(w[0], &anna);
    check_hears_nothing(w[0], &ben);
}

static void several_nodes_say_once_who_left(void **state)
{
    check_world **w = *state;
    check_seat anna = seated(w[0], "anna", "one"), ben = seated(w[1], "ben", "one");
    check_world *third = add_node();
    check_seat carl = seated(third, "carl", "one");

    check_hears_joined(w[0], &anna, &ben);
    check_hears_joined(w[0], &anna, &carl);
    check_hears_joined(w[1], &ben, &carl);
    stop_node(third);
    check_hears_left(w[0], &anna, &carl, "timeout");
    check_hears_left(w[1], &ben, &carl, "timeout");
    check_hears_nothing(w[0], &anna);
    check_hears_nothing(w[1], &ben);
}

static void a_node_that_comes_back_has_its_seats_again(void **state)
{
    check_world **w = *state;
    check_seat anna = seated(w[0], "anna", "one"), ben = seated(w[1], "ben", "one");

    check_hears_joined(w[0], &anna, &ben);
    tell_server("CLIENT KILL TYPE pubsub");
    tell_server("CLIENT KILL TYPE normal");
    assert_int_equal(check_relay(w[0], &anna, ben.id, check_note(1), 0), DUET_OK);
    check_hears_note(w[1], &ben, 1);
    check_hears_nothing(w[0], &anna);
}

/* ---- connections that break ---- */

static void start_relay(check_world *w, const check_seat *from, const check_seat *to, int n, check_outcome *o)
{
    const char *text = check_note(n);

    *o = (check_outcome){.done = false};
    w->store.ops->relay(w->store.self, from->id, to->id, text, strlen(text), (uint64_t)n + 1, check_done, o);
}

static void broken_connections_lose_and_double_nothing(void **state)
{
    enum { COUNT = 240 };
    check_world **w = *state;
    check_seat anna = seated(w[0], "anna", "one"), ben = seated(w[1], "ben", "one");
    check_outcome *o = calloc(COUNT, sizeof(*o));

    check_hears_joined(w[0], &anna, &ben);
    for (int i = 0; i < COUNT; i++) {
        start_relay(w[1], &ben, &anna, i, &o[i]);
        if (i % 80 == 20)
            tell_server("CLIENT KILL TYPE normal");
        if (i % 80 == 40)
            tell_server("CLIENT KILL TYPE pubsub");
        if (i % 80 == 60)
            tell_server("SCRIPT FLUSH");
        if (i % 5 == 0)
            pass_time(w[0]);
    }
    for (int i = 0; i < COUNT; i++)
        check_hears_note(w[0], &anna, i);
    for (int i = 0; i < COUNT; i++) {
        CHECK_UNTIL(w[0], o[i].done);
        assert_int_equal(o[i].err, DUET_OK);
    }
    check_hears_nothing(w[0], &anna);
    check_hears_nothing(w[1], &ben);
    free(o);
}

static void joins_under_way_when_connections_break_happen_once(void **state)
{
    enum { COUNT = 8 };
    check_world **w = *state;
    check_seat anna = seated(w[0], "anna", "one"), others[COUNT];
    check_outcome o[COUNT];

    memset(o, 0, sizeof(o));
    for (int i = 0; i < COUNT; i++) {
        others[i] = check_new_seat("other");
        check_start_join(w[1], &others[i], "one", (check_joining){.make = NULL}, &o[i]);
        if (i % 2 == 0)
            tell_server("CLIENT KILL TYPE normal");
        pass_time(w[0]);
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK_UNTIL(w[0], o[i].done);
        assert_int_equal(o[i].err, DUET_OK);
        check_hears_joined(w[0], &anna, &others[i]);
        check_hears(w[1], &others[i], "room_users");
    }
    check_hears_nothing(w[0], &anna);
}

static void a_seat_that_left_while_its_node_was_cut_off_is_told(void **state)
{
    check_world **w = *state;
    check_seat anna = seated(w[0], "anna", "one"), ben = seated(w[1], "ben", "one"), carl = seated(w[1], "carl", "one");
    check_outcome o;

    check_hears_joined(w[0], &anna, &ben);
    check_hears_joined(w[0], &anna, &carl);
    check_hears_joined(w[1], &ben, &carl);
    nodes[1].stopped = true;
    assert_int_equal(check_resume(w[0], &carl, "carl", carl.last, &o), DUET_OK);
    assert_int_equal(check_kick(w[0], "one", &ben), DUET_OK);
    tell_server("CLIENT KILL TYPE pubsub");
    tell_server("CLIENT KILL TYPE normal");
    nodes[1].stopped = false;
    check_hears_left(w[1], &ben, &ben, "kicked");
    check_is_removed(w[1], &ben, "kicked");
    check_is_replaced(w[1], &carl);
}

/* ---- Redis dies ---- */

static void kill_server(void)
{
    service_end(server.pid, SIGKILL);
}

static void nobody_is_lost_when_redis_comes_back_empty(void **state)
{
    check_world **w = *state;
    check_seat anna = seated(w[0], "anna", "one"), ben = seated(w[1], "ben", "one"), away = seated(w[0], "away", "one");
    check_outcome o, sent[2];

    check_hears_joined(w[0], &anna, &ben);
    check_hears_joined(w[0], &anna, &away);
    check_hears_joined(w[1], &ben, &away);
    check_detach(w[0], &away, CHECK_LONG);
    check_hears_nothing(w[0], &anna);
    for (int round = 0; round < 3; round++) {
        kill_server();
        CHECK_UNTIL(w[0], w[0]->store.ops->status(w[0]->store.self, NULL) == DUET_ERR_IO);
        start_relay(w[0], &anna, &ben, 2 * round, &sent[0]); /* waits */
        start_server("");
        CHECK_UNTIL(w[0], sent[0].done);
        assert_int_equal(sent[0].err, DUET_OK);
        check_hears_note(w[1], &ben, 2 * round); /* its number follows */
        start_relay(w[1], &ben, &anna, 2 * round + 1, &sent[1]);
        check_hears_note(w[0], &anna, 2 * round + 1);
        CHECK_UNTIL(w[0], sent[1].done);
        assert_int_equal(check_people(w[1], "one", &o), DUET_OK);
        assert_int_equal(o.count, 3);
    }
    check_hears_nothing(w[0], &anna);
    check_hears_nothing(w[1], &ben);
    assert_int_equal(check_get(w[1], "one", &o), DUET_OK);
    assert_string_equal(o.room.created_by, "anna");
    /* The connected can still be resumed; who was away has missed what nobody knows any more. */
    assert_int_equal(check_resume(w[1], &anna, "anna", anna.last, &o), DUET_OK);
    assert_int_equal(o.seat.received, 5);
    check_hears(w[1], &anna, "resumed");
    check_is_replaced(w[0], &anna);
    assert_int_equal(check_resume(w[1], &away, "away", away.last, &o), DUET_ERR_LIMIT);
    check_hears_left(w[1], &ben, &away, "left");
    check_hears_left(w[1], &anna, &away, "left");
}

/* @return the number that may follow */
static int hears_later_note(check_world *w, check_seat *seat, int at_least)
{
    json_t *m = check_hear(w, seat, "note");
    int n = (int)json_integer_value(json_object_get(m, "n"));

    assert_true(n >= at_least);
    json_decref(m);
    return n + 1;
}

static void commands_under_way_when_redis_dies_are_not_doubled(void **state)
{
    enum { COUNT = 150 };
    check_world **w = *state;
    check_seat anna = seated(w[0], "anna", "one"), ben = seated(w[1], "ben", "one"), others[3];
    check_outcome *o = calloc(COUNT, sizeof(*o)), joined[3];
    int expected = 0;

    memset(joined, 0, sizeof(joined));
    check_hears_joined(w[0], &anna, &ben);
    for (int i = 0; i < COUNT; i++) {
        start_relay(w[1], &ben, &anna, i, &o[i]);
        if (i % 50 == 25)
            pass_time(w[0]);
        if (i % 50 == 30) {
            others[i / 50] = check_new_seat("other");
            check_start_join(w[i % 2], &others[i / 50], "one", (check_joining){.make = NULL}, &joined[i / 50]);
            pass_time(w[0]);
            kill_server();
            CHECK_UNTIL(w[0], w[1]->store.ops->status(w[1]->store.self, NULL) == DUET_ERR_IO);
            start_server("");
        }
    }
    for (int i = 0; i < COUNT; i++)
        CHECK_UNTIL(w[0], o[i].done);
    for (int i = 0; i < 3; i++)
        CHECK_UNTIL(w[0], joined[i].done);
    /* In their order, with numbers that follow, and each newcomer once. Messages that Redis had confirmed to one node and not yet
     * handed to the other may be lost, as a kill may come between the two. */
    int newcomers = 0;
    w[0]->store.ops->post(w[0]->store.self, anna.id, "{\"type\":\"mark\"}", 15, 0);
    for (bool marked = false; !marked;) {
        CHECK_UNTIL(w[0], check_next(w[0], anna.id) != NULL);
        const char *text = check_next(w[0], anna.id)->text;
        marked = strncmp(text, "{\"type\":\"mark", 13) == 0;
        if (marked)
            check_hears(w[0], &anna, "mark");
        else if (strncmp(text, "{\"type\":\"note", 13) == 0)
            expected = hears_later_note(w[0], &anna, expected);
        else
            check_hears_joined(w[0], &anna, &others[newcomers++]);
    }
    assert_int_equal(expected, COUNT); /* nothing is lost of what waited */
    assert_int_equal(newcomers, 3);
    free(o);
}

/* The node writes what it has to say, and does not get the answer. */
static void lose_answers(check_world *w)
{
    redis_store *s = w->store.self;
    char lost[4096];

    while (recv(s->commands->c.fd, lost, sizeof(lost), MSG_DONTWAIT) > 0) {
    }
}

static void a_message_that_was_heard_is_not_repeated_to_a_new_redis(void **state)
{
    check_world **w = *state;
    check_seat anna = seated(w[0], "anna", "one"), ben = seated(w[1], "ben", "one"), carl = check_new_seat("carl");
    check_outcome sent, joined = {.done = false};

    check_hears_joined(w[0], &anna, &ben);
    start_relay(w[1], &ben, &anna, 1, &sent);
    check_start_join(w[1], &carl, "one", (check_joining){.make = NULL}, &joined);
    nodes[1].stopped = true;
    redisAsyncHandleWrite(((redis_store *)w[1]->store.self)->commands); /* and no reading */
    check_hears_note(w[0], &anna, 1);
    check_hears_joined(w[0], &anna, &carl);
    kill_server();
    lose_answers(w[1]);
    assert_false(sent.done || joined.done);
    nodes[1].stopped = false;
    CHECK_UNTIL(w[0], w[1]->store.ops->status(w[1]->store.self, NULL) == DUET_ERR_IO);
    start_server("");
    CHECK_UNTIL(w[0], sent.done && joined.done);
    assert_int_equal(sent.err, DUET_OK);
    assert_int_equal(joined.err, DUET_OK);
    check_hears(w[1], &carl, "room_users");
    check_hears_joined(w[1], &ben, &carl);
    check_hears_nothing(w[0], &anna);
    check_hears_nothing(w[1], &ben);
}

static void a_room_of_the_dead_empties_when_redis_died_too(void **state)
{
    check_world **w = *state;
    check_seat anna = seated(w[0], "anna", "one"), ben = seated(w[1], "ben", "one");

    check_hears_joined(w[0], &anna, &ben);
    stop_node(w[1]);
    kill_server();
    CHECK_UNTIL(w[0], w[0]->store.ops->status(w[0]->store.self, NULL) == DUET_ERR_IO);
    start_server("");
    check_hears_left(w[0], &anna, &ben, "timeout"); /* nobody claims the seat */
    check_hears_nothing(w[0], &anna);
}

static void putting_back_begins_again_when_it_breaks(void **state)
{
    static const char *const rooms[] = {"one", "two", "three", "four"};
    check_world **w = *state;
    check_seat anna[4], ben[4];
    check_outcome o;

    for (int i = 0; i < 4; i++) {
        anna[i] = check_seated(w[0], "anna", rooms[i]);
        ben[i] = check_seated(w[1], "ben", rooms[i]);
        check_hears_joined(w[0], &anna[i], &ben[i]);
    }
    kill_server();
    CHECK_UNTIL(w[0], w[0]->store.ops->status(w[0]->store.self, NULL) == DUET_ERR_IO);
    start_server("");
    for (int i = 0; i < 60; i++) {
        pass_time(w[0]);
        tell_server(i % 2 ? "CLIENT KILL TYPE normal" : "CLIENT KILL TYPE pubsub");
        for (int k = 0; k < i / 10; k++)
            pass_time(w[0]);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(check_relay(w[0], &anna[i], ben[i].id, check_note(i), 0), DUET_OK);
        check_hears_note(w[1], &ben[i], i);
        assert_int_equal(check_relay(w[1], &ben[i], NULL, check_note(i), 0), DUET_OK);
        check_hears_note(w[0], &anna[i], i);
        assert_int_equal(check_people(w[0], rooms[i], &o), DUET_OK);
        assert_int_equal(o.count, 2);
    }
}

/* ---- bounds and settings ---- */

static void what_waits_is_bounded_and_ends_with_the_store(void **state)
{
    enum { COUNT = 4200 };
    check_outcome *o = calloc(COUNT, sizeof(*o));
    unsigned refused = 0, closed = 0;

    (void)state;
    begin();
    check_world *w = add_node_at("redis://127.0.0.1:1");
    const char *reason;
    assert_int_equal(w->store.ops->status(w->store.self, &reason), DUET_ERR_IO);
    assert_non_null(reason);
    for (int i = 0; i < COUNT; i++)
        w->store.ops->room_remove(w->store.self, "one", check_done, &o[i]);
    pass_time(w);
    for (int i = 0; i < COUNT; i++)
        refused += o[i].done && o[i].err == DUET_ERR_IO;
    assert_int_equal(refused, COUNT - 4096);
    close_world(NULL);
    for (int i = 0; i < COUNT; i++)
        closed += o[i].done && o[i].err == DUET_ERR_CLOSED;
    assert_int_equal(closed, 4096);
    free(o);
}

static void urls_are_checked(void **state)
{
    static const char *const bad[] = {"",
                                      "http://127.0.0.1",
                                      "redis://",
                                      "redis://host:0",
                                      "redis://host:70000",
                                      "redis://host/x",
                                      "redis://a@host",
                                      "redis://host:1/2/3",
                                      "unix://relative",
                                      "redis://:%zz@host"};
    struct event_base *base = event_base_new();
    duet_store_events events = {.user = NULL};
    duet_store store;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        duet_store_redis_config config = quick_config(bad[i], "x:");
        assert_int_equal(duet_store_redis_create(&store, NULL, base, &config, &events), DUET_ERR_INVALID);
    }
    duet_store_redis_config config = quick_config("rediss://127.0.0.1", "x:");
    assert_int_equal(duet_store_redis_create(&store, NULL, base, &config, &events), DUET_ERR_UNSUPPORTED);
    event_base_free(base);
}

static void a_password_is_used(void **state)
{
    char url[96];
    check_outcome o;

    (void)state;
    kill_server();
    start_server("p@ss");
    begin();
    snprintf(url, sizeof(url), "redis://:p%%40ss@127.0.0.1:%u/3", server.port);
    check_world *w = add_node_at(url);
    assert_int_equal(check_get(w, "one", &o), DUET_ERR_NOT_FOUND);
    close_world(NULL);
    begin();
    snprintf(url, sizeof(url), "redis://:wrong@127.0.0.1:%u", server.port);
    w = add_node_at(url);
    for (int i = 0; i < 300; i++)
        pass_time(w);
    assert_int_equal(w->store.ops->status(w->store.self, NULL), DUET_ERR_IO);
    close_world(NULL);
    kill_server();
    start_server("");
}

/* Nobody listens there: what is asked ends with the store, or for want of memory; in any case once. */
static int ask_and_destroy(const duet_env *env, void *arg)
{
    struct event_base *base = arg;
    duet_store_events events = {.user = NULL};
    duet_store_redis_config config = quick_config("redis://login:word@127.0.0.1:1/1", "x:");
    check_world w = {.wall = CHECK_WALL};
    check_outcome o[4];
    check_seat anna = check_new_seat("anna");
    duet_room room = check_room("one", 10);
    int outcome = DUET_OK;

    int err = duet_store_redis_create(&w.store, env, base, &config, &events);
    if (err != DUET_OK)
        return err == DUET_ERR_INVALID ? DUET_ERR_NOMEM : err;
    memset(o, 0, sizeof(o));
    w.store.ops->room_create(w.store.self, &room, check_done, &o[0]);
    check_start_join(&w, &anna, "one", (check_joining){.make = &room}, &o[1]);
    w.store.ops->relay(w.store.self, anna.id, NULL, "{}", 2, 1, check_done, &o[2]);
    w.store.ops->post(w.store.self, anna.id, "{}", 2, 1);
    check_detach(&w, &anna, 0);
    w.store.ops->leave(w.store.self, anna.id, "left");
    w.store.ops->resume(w.store.self, anna.hash, "anna", 0, NULL, check_seat_done, &o[3]);
    w.store.ops->destroy(w.store.self);
    for (int i = 0; i < 4; i++) {
        assert_true(o[i].done && (o[i].err == DUET_ERR_CLOSED || o[i].err == DUET_ERR_NOMEM));
        outcome = o[i].err == DUET_ERR_NOMEM ? DUET_ERR_NOMEM : outcome;
    }
    return outcome;
}

static void every_allocation_may_fail_without_a_server(void **state)
{
    struct event_base *base = event_base_new();

    (void)state;
    test_fail_each_allocation("redis store", ask_and_destroy, base);
    event_base_free(base);
}

#define TWO(name) cmocka_unit_test_setup_teardown(name, open_two, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_SCENARIOS(open_world, close_world),
        TWO(two_nodes_are_one_server),
        TWO(a_seat_is_resumed_at_another_node_and_back),
        TWO(a_detached_seat_is_resumed_at_another_node),
        TWO(seats_of_a_dead_node_wait_for_their_people_and_leave_once),
        TWO(several_nodes_say_once_who_left),
        TWO(a_node_that_comes_back_has_its_seats_again),
        TWO(broken_connections_lose_and_double_nothing),
        TWO(joins_under_way_when_connections_break_happen_once),
        TWO(a_seat_that_left_while_its_node_was_cut_off_is_told),
        TWO(nobody_is_lost_when_redis_comes_back_empty),
        TWO(putting_back_begins_again_when_it_breaks),
        TWO(commands_under_way_when_redis_dies_are_not_doubled),
        TWO(a_message_that_was_heard_is_not_repeated_to_a_new_redis),
        TWO(a_room_of_the_dead_empties_when_redis_died_too),
        cmocka_unit_test(what_waits_is_bounded_and_ends_with_the_store),
        cmocka_unit_test(urls_are_checked),
        cmocka_unit_test(a_password_is_used),
        cmocka_unit_test(every_allocation_may_fail_without_a_server),
    };

    return cmocka_run_group_tests(tests, open_server, close_server);
}
