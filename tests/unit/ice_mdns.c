/* Multicast DNS (RFC 6762) on a wire of its own: names are found, answered, kept quiet about and given up. */
#include "ice/dns_message.h"
#include "ice/mdns.h"
#include "test.h"

#define NODES 3
#define NAME  "8f3b8f9e-1c3d-4b5a-9d7e-0123456789ab.local"

static const duet_env quiet_env = DUET_ENV_INIT;

typedef struct node {
    duet_mdns *mdns;
    duet_interface interface;
    uint32_t socket; /* 0 while it is closed */
    uint32_t result_query;
    int result_err;
    unsigned results;
    size_t address_count;
    duet_address address;
    bool destroys_itself;
} node;

typedef struct world {
    node nodes[NODES];
    duet_time now;
    unsigned datagrams; /* sent so far */
    uint8_t last[1500];
    size_t last_len;
    duet_address last_to;
} world;

static void on_result(void *user, uint32_t query, int err, const duet_address *addresses, size_t count)
{
    node *n = user;

    n->results++;
    n->result_query = query;
    n->result_err = err;
    n->address_count = count;
    if (count)
        n->address = addresses[0];
    if (n->destroys_itself) {
        duet_mdns_destroy(n->mdns);
        n->mdns = NULL;
    }
}

static void world_init(world *w, const duet_env *env)
{
    memset(w, 0, sizeof(*w));
    w->now = 1000;
    for (unsigned i = 0; i < NODES; i++) {
        node *n = &w->nodes[i];
        char text[32];
        duet_mdns_config config;
        snprintf(text, sizeof(text), "10.0.0.%u", i + 1);
        n->interface = (duet_interface){.name = "sim0", .index = 7};
        assert_int_equal(duet_address_parse(&n->interface.address, text, 0), DUET_OK);
        duet_mdns_config_init(&config);
        config.env = env;
        config.on_result = on_result;
        config.user = n;
        if (duet_mdns_create(&n->mdns, &config) != DUET_OK)
            n->mdns = NULL;
    }
}

static void world_free(world *w)
{
    for (unsigned i = 0; i < NODES; i++)
        duet_mdns_destroy(w->nodes[i].mdns);
}

static void give(world *w, node *n, const duet_address *from, const uint8_t *data, size_t len)
{
    uint8_t copy[1500];
    duet_datagram in = {
        .path = {.socket = n->socket, .local = n->interface.address, .remote = *from}, .data = copy, .len = len};

    if (!n->mdns || !n->socket)
        return;
    memcpy(copy, data, len);
    duet_mdns_endpoint_ops()->input(n->mdns, &in, w->now);
}

static bool serve_requests(world *w, node *n)
{
    const duet_endpoint_ops *ops = duet_mdns_endpoint_ops();
    duet_request r;
    bool any = false;

    while (n->mdns && ops->request(n->mdns, &r) == 1) {
        duet_answer a = {.kind = r.kind, .id = r.id};
        any = true;
        if (r.kind == DUET_REQUEST_CLOSE) {
            n->socket = 0;
            continue;
        }
        if (r.kind == DUET_REQUEST_INTERFACES) {
            a.interfaces = &n->interface;
            a.interface_count = n->interface.name[0] ? 1 : 0;
        } else {
            assert_int_equal(r.kind, DUET_REQUEST_OPEN);
            assert_true(r.share_port);
            assert_int_equal(r.bind.port, 5353);
            n->socket = r.id;
            a.local = r.bind;
        }
        ops->answer(n->mdns, &a, w->now);
    }
    return any;
}

static bool serve_outputs(world *w, node *n)
{
    const duet_endpoint_ops *ops = duet_mdns_endpoint_ops();
    duet_datagram out;
    bool any = false;

    while (n->mdns && ops->output(n->mdns, &out, w->now) == 1) {
        duet_address from = n->interface.address;
        from.port = 5353;
        any = true;
        w->datagrams++;
        memcpy(w->last, out.data, out.len);
        w->last_len = out.len;
        w->last_to = out.path.remote;
        if (!duet_address_is_multicast(&out.path.remote))
            continue;
        for (unsigned i = 0; i < NODES; i++)
            give(w, &w->nodes[i], &from, w->last, w->last_len);
    }
    return any;
}

/* Until nothing happens at this time. */
static void settle(world *w)
{
    bool more = true;

    while (more) {
        more = false;
        for (unsigned i = 0; i < NODES; i++) {
            if (w->nodes[i].mdns)
                duet_mdns_endpoint_ops()->tick(w->nodes[i].mdns, w->now);
            more = serve_requests(w, &w->nodes[i]) || more;
            more = serve_outputs(w, &w->nodes[i]) || more;
        }
    }
}

static void run(world *w, duet_time until)
{
    settle(w);
    for (;;) {
        duet_time next = DUET_NEVER;
        for (unsigned i = 0; i < NODES; i++) {
            duet_time d = w->nodes[i].mdns ? duet_mdns_endpoint_ops()->deadline(w->nodes[i].mdns) : DUET_NEVER;
            next = d < next ? d : next;
        }
        if (next > until)
            break;
        w->now = next > w->now ? next : w->now;
        settle(w);
    }
    w->now = until;
}

static void a_published_name_is_found_at_once(void **state)
{
    world w;
    uint32_t name, query;

    (void)state;
    world_init(&w, &quiet_env);
    assert_int_equal(duet_mdns_publish(w.nodes[0].mdns, NAME, &w.nodes[0].interface.address, &name), DUET_OK);
    settle(&w);
    assert_int_equal(duet_mdns_resolve(w.nodes[1].mdns, NAME ".", &query), DUET_OK);
    settle(&w);
    assert_int_equal(w.nodes[1].results, 1);
    assert_int_equal(w.nodes[1].result_query, query);
    assert_int_equal(w.nodes[1].result_err, DUET_OK);
    assert_true(duet_address_ip_equal(&w.nodes[1].address, &w.nodes[0].interface.address));
    world_free(&w);
}

static void rfc6762_section_5_2_questions_are_repeated_at_doubling_intervals_and_given_up(void **state)
{
    world w;
    uint32_t query;

    (void)state;
    world_init(&w, &quiet_env);
    assert_int_equal(duet_mdns_resolve(w.nodes[1].mdns, NAME, &query), DUET_OK);
    run(&w, DUET_MS(900));
    assert_int_equal(w.datagrams, 1);
    run(&w, DUET_MS(1100));
    assert_int_equal(w.datagrams, 2);
    run(&w, DUET_SECONDS(14));
    assert_int_equal(w.datagrams, 4);
    assert_int_equal(w.nodes[1].results, 0);
    run(&w, DUET_SECONDS(16));
    assert_int_equal(w.nodes[1].results, 1);
    assert_int_equal(w.nodes[1].result_err, DUET_ERR_TIMEOUT);
    world_free(&w);
}

static void a_name_that_is_published_later_is_found_by_a_later_question(void **state)
{
    world w;
    uint32_t name, query;

    (void)state;
    world_init(&w, &quiet_env);
    duet_mdns_resolve(w.nodes[1].mdns, NAME, &query);
    run(&w, DUET_MS(500));
    duet_mdns_publish(w.nodes[2].mdns, NAME, &w.nodes[2].interface.address, &name);
    run(&w, DUET_MS(1100));
    assert_int_equal(w.nodes[1].results, 1);
    assert_int_equal(w.nodes[1].result_err, DUET_OK);
    world_free(&w);
}

static size_t write_question(uint8_t *out, size_t size, uint16_t id, bool with_known_answer, const duet_address *known)
{
    duet_writer w = duet_writer_init(out, size);

    duet_dns_write_header(&w, id, 0, 1, with_known_answer ? 1 : 0);
    duet_dns_write_question(&w, NAME, DUET_DNS_A, DUET_DNS_IN);
    if (with_known_answer)
        duet_dns_write_address(&w, NAME, DUET_DNS_IN, 100, known);
    assert_false(w.failed);
    return w.len;
}

static void rfc6762_section_6_7_a_legacy_resolver_gets_a_unicast_answer_with_its_id(void **state)
{
    world w;
    uint8_t question[512];
    uint32_t name;
    duet_address from;
    duet_dns_message m;
    duet_dns_record record;
    duet_dns_question repeated;

    (void)state;
    world_init(&w, &quiet_env);
    duet_mdns_publish(w.nodes[0].mdns, NAME, &w.nodes[0].interface.address, &name);
    settle(&w);
    duet_address_parse_port(&from, "10.0.0.77:40000");
    give(&w, &w.nodes[0], &from, question, write_question(question, sizeof(question), 0xABCD, false, NULL));
    settle(&w);
    assert_int_equal(w.datagrams, 1);
    assert_true(duet_address_equal(&w.last_to, &from));
    assert_int_equal(duet_dns_parse(&m, w.last, w.last_len), DUET_OK);
    assert_int_equal(m.id, 0xABCD);
    assert_int_equal(duet_dns_next_question(&m, &repeated), 1);
    assert_string_equal(repeated.name, NAME);
    assert_int_equal(duet_dns_next_record(&m, &record), 1);
    assert_true(record.ttl <= 10);
    assert_int_equal(record.class_and_bit, DUET_DNS_IN); /* "the cache-flush bit MUST NOT be set in legacy" */
    world_free(&w);
}

static void rfc6762_section_7_1_a_known_answer_is_not_repeated(void **state)
{
    world w;
    uint8_t question[512];
    uint32_t name;
    duet_address from;

    (void)state;
    world_init(&w, &quiet_env);
    duet_mdns_publish(w.nodes[0].mdns, NAME, &w.nodes[0].interface.address, &name);
    settle(&w);
    duet_address_parse_port(&from, "10.0.0.77:5353");
    size_t len = write_question(question, sizeof(question), 0, true, &w.nodes[0].interface.address);
    give(&w, &w.nodes[0], &from, question, len);
    settle(&w);
    assert_int_equal(w.datagrams, 0);
    world_free(&w);
}

static void rfc6762_section_6_a_record_is_multicast_once_a_second_at_most(void **state)
{
    world w;
    uint8_t question[512];
    uint32_t name;
    duet_address from;

    (void)state;
    world_init(&w, &quiet_env);
    duet_mdns_publish(w.nodes[0].mdns, NAME, &w.nodes[0].interface.address, &name);
    settle(&w);
    duet_address_parse_port(&from, "10.0.0.77:5353");
    size_t len = write_question(question, sizeof(question), 0, false, NULL);
    for (int i = 0; i < 50; i++) {
        give(&w, &w.nodes[0], &from, question, len);
        settle(&w);
    }
    assert_int_equal(w.datagrams, 1);
    w.now += DUET_SECONDS(1);
    give(&w, &w.nodes[0], &from, question, len);
    settle(&w);
    assert_int_equal(w.datagrams, 2);
    world_free(&w);
}

static void rfc6762_section_10_1_a_name_that_was_told_says_goodbye(void **state)
{
    world w;
    uint32_t name, query;
    duet_dns_message m;
    duet_dns_record record;

    (void)state;
    world_init(&w, &quiet_env);
    duet_mdns_publish(w.nodes[0].mdns, NAME, &w.nodes[0].interface.address, &name);
    duet_mdns_resolve(w.nodes[1].mdns, NAME, &query);
    settle(&w);
    assert_int_equal(w.nodes[1].results, 1);
    duet_mdns_withdraw(w.nodes[0].mdns, name);
    settle(&w);
    assert_int_equal(duet_dns_parse(&m, w.last, w.last_len), DUET_OK);
    assert_int_equal(duet_dns_next_record(&m, &record), 1);
    assert_int_equal(record.ttl, 0);
    world_free(&w);
}

static void rfc6762_section_11_strangers_from_far_away_get_nothing_and_are_not_believed(void **state)
{
    world w;
    uint8_t message[512];
    uint32_t name, query;
    duet_address from, forged;
    duet_mdns_stats stats;

    (void)state;
    world_init(&w, &quiet_env);
    duet_mdns_publish(w.nodes[0].mdns, NAME, &w.nodes[0].interface.address, &name);
    duet_mdns_resolve(w.nodes[1].mdns, "other.local", &query);
    run(&w, DUET_MS(100));
    unsigned before = w.datagrams;
    duet_address_parse_port(&from, "203.0.113.5:5353");
    duet_address_parse(&forged, "203.0.113.5", 0);
    give(&w, &w.nodes[0], &from, message, write_question(message, sizeof(message), 0, false, NULL));
    duet_writer answer = duet_writer_init(message, sizeof(message));
    duet_dns_write_header(&answer, 0, DUET_DNS_FLAG_ANSWER, 0, 1);
    duet_dns_write_address(&answer, "other.local", DUET_DNS_IN, 120, &forged);
    give(&w, &w.nodes[1], &from, message, answer.len);
    duet_address_parse_port(&from, "10.0.0.9:4000"); /* near, but "source UDP port ... is not 5353" section 6 */
    give(&w, &w.nodes[1], &from, message, answer.len);
    settle(&w);
    assert_int_equal(w.datagrams, before);
    assert_int_equal(w.nodes[1].results, 0);
    duet_mdns_get_stats(w.nodes[1].mdns, &stats);
    assert_int_equal(stats.discarded, 2);
    world_free(&w);
}

static void sockets_close_when_nothing_is_wanted_for_a_while_and_open_again(void **state)
{
    world w;
    uint32_t name, query;

    (void)state;
    world_init(&w, &quiet_env);
    duet_mdns_publish(w.nodes[0].mdns, NAME, &w.nodes[0].interface.address, &name);
    settle(&w);
    for (int round = 1; round <= 2; round++) {
        duet_mdns_resolve(w.nodes[1].mdns, NAME, &query);
        run(&w, w.now + DUET_SECONDS(2));
        assert_int_equal(w.nodes[1].results, round);
        assert_int_not_equal(w.nodes[1].socket, 0);
        run(&w, w.now + DUET_MDNS_LINGER);
        assert_int_equal(w.nodes[1].socket, 0);
        assert_true(duet_mdns_endpoint_ops()->deadline(w.nodes[1].mdns) == DUET_NEVER);
    }
    assert_int_not_equal(w.nodes[0].socket, 0);
    world_free(&w);
}

static void without_an_interface_the_answer_is_an_error_and_not_silence(void **state)
{
    world w;
    uint32_t query;

    (void)state;
    world_init(&w, &quiet_env);
    w.nodes[1].interface.name[0] = '\0';
    duet_mdns_resolve(w.nodes[1].mdns, NAME, &query);
    run(&w, DUET_MS(10));
    assert_int_equal(w.nodes[1].result_err, DUET_ERR_IO);
    world_free(&w);
}

static void destroying_inside_a_result_is_legal(void **state)
{
    world w;
    uint32_t name, query;

    (void)state;
    world_init(&w, &quiet_env);
    duet_mdns_publish(w.nodes[0].mdns, NAME, &w.nodes[0].interface.address, &name);
    w.nodes[1].destroys_itself = true;
    duet_mdns_resolve(w.nodes[1].mdns, NAME, &query);
    settle(&w);
    assert_null(w.nodes[1].mdns);
    world_free(&w);
}

static void names_that_are_not_local_or_cannot_be_written_are_refused_and_the_tables_are_bounded(void **state)
{
    world w;
    uint32_t id;
    char name[80];
    duet_mdns *m;

    (void)state;
    world_init(&w, &quiet_env);
    m = w.nodes[0].mdns;
    assert_int_equal(duet_mdns_resolve(m, "example.com", &id), DUET_ERR_INVALID);
    assert_int_equal(duet_mdns_resolve(m, ".local", &id), DUET_ERR_INVALID);
    assert_int_equal(duet_mdns_resolve(m, "a..local", &id), DUET_ERR_INVALID);
    memset(name, 'x', 70);
    memcpy(name + 70, ".local", 7);
    assert_int_equal(duet_mdns_resolve(m, name, &id), DUET_ERR_INVALID); /* a label of 70 bytes */
    for (unsigned i = 0; i < DUET_MDNS_QUERIES_MAX; i++)
        assert_int_equal(duet_mdns_resolve(m, NAME, &id), DUET_OK);
    assert_int_equal(duet_mdns_resolve(m, NAME, &id), DUET_ERR_LIMIT);
    for (unsigned i = 0; i < DUET_MDNS_NAMES_MAX; i++)
        assert_int_equal(duet_mdns_publish(m, NAME, &w.nodes[0].interface.address, &id), DUET_OK);
    assert_int_equal(duet_mdns_publish(m, NAME, &w.nodes[0].interface.address, &id), DUET_ERR_LIMIT);
    world_free(&w);
}

static void rfc1035_section_4_1_4_a_name_that_points_at_itself_is_malformed(void **state)
{
    static const uint8_t loop[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, 0x0C, 0, 1, 0, 1};
    static const uint8_t forward[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, 0x10, 0, 1, 1, 'a', 0};
    static const uint8_t zigzag[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0xC0, 0x0C, 0, 1, 0, 1};
    const struct {
        const uint8_t *data;
        size_t len;
    } bad[] = {{loop, sizeof(loop)}, {forward, sizeof(forward)}, {zigzag, sizeof(zigzag)}};
    duet_dns_question question;
    duet_dns_message m;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(duet_dns_parse(&m, bad[i].data, bad[i].len), DUET_OK);
        assert_int_equal(duet_dns_next_question(&m, &question), DUET_ERR_MALFORMED);
    }
}

static void labels_with_dots_in_them_cannot_pass_for_other_names(void **state)
{
    static const uint8_t message[] = {0,   0,   0,   0,   0,   1,   0,   0, 0, 0, 0, 0, 7,
                                      'a', '.', 'l', 'o', 'c', 'a', 'l', 0, 0, 1, 0, 1};
    duet_dns_question question;
    duet_dns_message m;

    (void)state;
    assert_int_equal(duet_dns_parse(&m, message, sizeof(message)), DUET_OK);
    assert_int_equal(duet_dns_next_question(&m, &question), 1);
    assert_string_equal(question.name, "a\\046local");
}

static void each_allocation_may_fail(void **state)
{
    unsigned failures = 0;

    (void)state;
    for (uint64_t n = 1; n < 60; n++) {
        test_allocator t;
        duet_env env = quiet_env;
        world w;
        uint32_t name, query;
        test_allocator_init(&t, n);
        env.allocator = &t.allocator;
        world_init(&w, &env);
        bool complete = w.nodes[0].mdns && w.nodes[1].mdns && w.nodes[2].mdns;
        if (complete && duet_mdns_publish(w.nodes[0].mdns, NAME, &w.nodes[0].interface.address, &name) == DUET_OK &&
            duet_mdns_resolve(w.nodes[1].mdns, NAME, &query) == DUET_OK)
            run(&w, DUET_SECONDS(5));
        world_free(&w);
        assert_int_equal(t.live, 0);
        failures += t.calls >= n;
    }
    print_message("%u allocations failed in turn\n", failures);
    assert_true(failures > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_published_name_is_found_at_once),
        cmocka_unit_test(rfc6762_section_5_2_questions_are_repeated_at_doubling_intervals_and_given_up),
        cmocka_unit_test(a_name_that_is_published_later_is_found_by_a_later_question),
        cmocka_unit_test(rfc6762_section_6_7_a_legacy_resolver_gets_a_unicast_answer_with_its_id),
        cmocka_unit_test(rfc6762_section_7_1_a_known_answer_is_not_repeated),
        cmocka_unit_test(rfc6762_section_6_a_record_is_multicast_once_a_second_at_most),
        cmocka_unit_test(rfc6762_section_10_1_a_name_that_was_told_says_goodbye),
        cmocka_unit_test(rfc6762_section_11_strangers_from_far_away_get_nothing_and_are_not_believed),
        cmocka_unit_test(sockets_close_when_nothing_is_wanted_for_a_while_and_open_again),
        cmocka_unit_test(without_an_interface_the_answer_is_an_error_and_not_silence),
        cmocka_unit_test(destroying_inside_a_result_is_legal),
        cmocka_unit_test(names_that_are_not_local_or_cannot_be_written_are_refused_and_the_tables_are_bounded),
        cmocka_unit_test(rfc1035_section_4_1_4_a_name_that_points_at_itself_is_malformed),
        cmocka_unit_test(labels_with_dots_in_them_cannot_pass_for_other_names),
        cmocka_unit_test(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
