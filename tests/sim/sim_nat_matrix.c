/* Every pair of NAT classes (RFC 4787: mapping and filtering, three kinds each): whether two peer connections connect, how, and
 * in how many round trips. `sim_sim_nat_matrix --markdown` writes docs/nat.md, and a test holds the two together. */
#include "base/memory.h"
#include "nat_world.h"

/* In the core, and the nine classes. */
#define PLACES 10

typedef struct cell {
    nat_path path;
    double rtts;
} cell;

static const char *const kinds[] = {"EI", "AD", "APD"};
static cell matrix[NAT_TURN + 1][PLACES][PLACES];
static bool is_measured;

static nat_place place_of(size_t number)
{
    nat_place p = {.is_inside = number > 0};

    if (number > 0) {
        p.nat.mapping = (duet_sim_nat_rule)((number - 1) / 3);
        p.nat.filtering = (duet_sim_nat_rule)((number - 1) % 3);
    }
    return p;
}

static void name_of(size_t number, char *buf, size_t size)
{
    if (number == 0)
        snprintf(buf, size, "no NAT");
    else
        snprintf(buf, size, "%s/%s", kinds[(number - 1) / 3], kinds[(number - 1) % 3]);
}

static void measure(void)
{
    if (is_measured)
        return;
    for (int servers = NAT_NO_SERVERS; servers <= NAT_TURN; servers++) {
        for (size_t a = 0; a < PLACES; a++) {
            for (size_t b = 0; b < PLACES; b++) {
                nat_world n = nat_world_begin(1000u + a * PLACES + b);
                nat_world_settle(&n, place_of(a), place_of(b));
                cell *c = &matrix[servers][a][b];
                c->path = nat_connect(&n, (nat_servers)servers, &c->rtts);
                nat_world_end(&n);
            }
        }
    }
    is_measured = true;
}

/* ---- cases that are no pair of classes ---- */

static nat_place class_place(duet_sim_nat_rule mapping, duet_sim_nat_rule filtering)
{
    return (nat_place){.is_inside = true, .nat = {.mapping = mapping, .filtering = filtering}};
}

static nat_place port_restricted(void)
{
    return class_place(DUET_SIM_ENDPOINT_INDEPENDENT, DUET_SIM_ADDRESS_AND_PORT_DEPENDENT);
}

static nat_place symmetric(void)
{
    return class_place(DUET_SIM_ADDRESS_AND_PORT_DEPENDENT, DUET_SIM_ADDRESS_AND_PORT_DEPENDENT);
}

static nat_place firewall(uint16_t tcp_port)
{
    nat_place p = port_restricted();

    p.nat.block_udp = true;
    p.nat.tcp_ports[0] = tcp_port;
    return p;
}

static duet_sim_nat *shared_nat(nat_world *n, bool hairpinning)
{
    duet_sim_nat_config config;
    duet_sim_nat *nat;

    duet_sim_nat_config_init(&config);
    config.address = "198.51.100.9";
    config.hairpinning = hairpinning;
    config.filtering = DUET_SIM_ADDRESS_AND_PORT_DEPENDENT;
    assert_int_equal(duet_sim_nat_create(&nat, n->w->sim, NULL, &config), DUET_OK);
    return nat;
}

static void one_site(nat_world *n, nat_place *a, nat_place *b)
{
    duet_sim_nat *nat = shared_nat(n, false);

    *a = (nat_place){.behind = nat, .address = "10.0.0.2"};
    *b = (nat_place){.behind = nat, .address = "10.0.0.3"};
}

static void two_sites_of_one_nat(nat_world *n, nat_place *a, nat_place *b, bool hairpinning)
{
    duet_sim_nat *nat = shared_nat(n, hairpinning);

    *a = port_restricted();
    *b = port_restricted();
    a->behind = b->behind = nat;
    a->nat.address = "100.64.0.1";
    b->nat.address = "100.64.0.2";
}

static void carrier_without_hairpinning(nat_world *n, nat_place *a, nat_place *b)
{
    two_sites_of_one_nat(n, a, b, false);
}

static void carrier_with_hairpinning(nat_world *n, nat_place *a, nat_place *b)
{
    two_sites_of_one_nat(n, a, b, true);
}

static void double_nat(nat_world *n, nat_place *a, nat_place *b)
{
    *a = port_restricted();
    a->behind = shared_nat(n, false);
    a->nat.address = "100.64.0.1";
    *b = port_restricted();
}

static void double_nat_and_symmetric(nat_world *n, nat_place *a, nat_place *b)
{
    double_nat(n, a, b);
    *b = symmetric();
}

static void preserved_ports(nat_world *n, nat_place *a, nat_place *b)
{
    (void)n;
    *a = port_restricted();
    *b = symmetric();
    a->nat.port_preservation = b->nat.port_preservation = true;
}

static void one_without_udp(nat_world *n, nat_place *a, nat_place *b)
{
    (void)n;
    *a = firewall(0);
    *b = port_restricted();
}

static void one_without_udp_to_the_core(nat_world *n, nat_place *a, nat_place *b)
{
    (void)n;
    *a = firewall(0);
    *b = (nat_place){0};
}

static void both_without_udp(nat_world *n, nat_place *a, nat_place *b)
{
    (void)n;
    *a = firewall(3478);
    *b = firewall(3478);
}

static void only_https(nat_world *n, nat_place *a, nat_place *b)
{
    (void)n;
    *a = firewall(443);
    *b = firewall(443);
}

static void families_apart(nat_world *n, nat_place *a, nat_place *b)
{
    (void)n;
    *a = (nat_place){.only_ipv6 = true};
    *b = port_restricted();
}

static void families_both(nat_world *n, nat_place *a, nat_place *b)
{
    (void)n;
    *a = symmetric();
    *b = symmetric();
    a->nat.address6 = "2001:db8:1::1";
    b->nat.address6 = "2001:db8:2::1";
    a->nat.mapping = b->nat.mapping = DUET_SIM_ENDPOINT_INDEPENDENT;
    a->address6 = "fd00::2";
    b->address6 = "fd00::3";
}

typedef struct nat_case {
    const char *text;
    void (*place)(nat_world *n, nat_place *a, nat_place *b);
    nat_servers servers;
    nat_path expected;
} nat_case;

static const nat_case cases[] = {
    {"both behind one NAT, in one network", one_site, NAT_NO_SERVERS, NAT_DIRECT},
    {"two networks behind one carrier's NAT that does not hairpin", carrier_without_hairpinning, NAT_STUN,
     NAT_UNCONNECTED},
    {"the same, with TURN", carrier_without_hairpinning, NAT_TURN, NAT_RELAYED},
    {"two networks behind one carrier's NAT that hairpins", carrier_with_hairpinning, NAT_STUN, NAT_DIRECT},
    {"double NAT (EI/APD twice) against EI/APD", double_nat, NAT_STUN, NAT_DIRECT},
    {"double NAT (EI/APD twice) against APD/APD", double_nat_and_symmetric, NAT_TURN, NAT_RELAYED},
    {"EI/APD against APD/APD, both preserve ports", preserved_ports, NAT_TURN, NAT_RELAYED},
    {"one side has no UDP, TURN over UDP", one_without_udp, NAT_TURN, NAT_UNCONNECTED},
    {"one side has no UDP, TURN over TCP", one_without_udp, NAT_TURN_TCP, NAT_RELAYED},
    {"one side has no UDP, the other is in the core", one_without_udp_to_the_core, NAT_STUN, NAT_UNCONNECTED},
    {"the same, with ICE-TCP", one_without_udp_to_the_core, NAT_ICE_TCP, NAT_DIRECT},
    {"both sides have only TCP to port 3478, TURN over TCP", both_without_udp, NAT_TURN_TCP, NAT_RELAYED},
    {"both sides have only TCP to port 443, TURN at 3478", only_https, NAT_TURN_TCP, NAT_UNCONNECTED},
    {"both sides have only TCP to port 443, TURN over TCP at 443", only_https, NAT_TURN_443, NAT_RELAYED},
    {"IPv6 only against IPv4 only behind EI/APD, STUN", families_apart, NAT_STUN, NAT_UNCONNECTED},
    {"IPv6 only against IPv4 only behind EI/APD, TURN of both families", families_apart, NAT_TURN, NAT_RELAYED},
    {"both have both families behind EI/APD", families_both, NAT_STUN, NAT_DIRECT},
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

static cell run_case(size_t number)
{
    nat_world n = nat_world_begin(7000 + number);
    nat_place a = {0}, b = {0};
    cell c = {0};

    cases[number].place(&n, &a, &b);
    nat_world_settle(&n, a, b);
    c.path = nat_connect(&n, cases[number].servers, &c.rtts);
    nat_world_end(&n);
    return c;
}

/* ---- the page ---- */

static void print_cell(char *out, size_t size, const cell *c)
{
    if (c->path == NAT_UNCONNECTED)
        snprintf(out, size, "–");
    else
        snprintf(out, size, "%s%.1f", c->path == NAT_RELAYED ? "relay " : "", c->rtts);
}

static void print_table(duet_buffer *out, int servers)
{
    char text[32];

    duet_buffer_text(out, "| offers ↓ answers → |");
    for (size_t b = 0; b < PLACES; b++) {
        name_of(b, text, sizeof(text));
        duet_buffer_printf(out, " %s |", text);
    }
    duet_buffer_text(out, "\n| --- |");
    for (size_t b = 0; b < PLACES; b++)
        duet_buffer_text(out, " --- |");
    duet_buffer_text(out, "\n");
    for (size_t a = 0; a < PLACES; a++) {
        name_of(a, text, sizeof(text));
        duet_buffer_printf(out, "| **%s** |", text);
        for (size_t b = 0; b < PLACES; b++) {
            print_cell(text, sizeof(text), &matrix[servers][a][b]);
            duet_buffer_printf(out, " %s |", text);
        }
        duet_buffer_text(out, "\n");
    }
}

static const char introduction[] =
    "# Which NATs Duet gets through\n"
    "\n"
    "Two peer connections on the simulated network (`sim/`), behind every pair of NAT classes. A class is named by how "
    "it maps\n"
    "and how it filters, in the terms of [RFC 4787](https://www.rfc-editor.org/rfc/rfc4787) sections 4.1 and 5:\n"
    "\n"
    "| | mapping | filtering |\n"
    "| --- | --- | --- |\n"
    "| **EI**, endpoint-independent | one outside port for all peers | everybody may send to it |\n"
    "| **AD**, address-dependent | one for each address of a peer | only addresses that it was used for |\n"
    "| **APD**, address- and port-dependent | one for each address and port | only addresses and ports that it was "
    "used for |\n"
    "\n"
    "What was once called a full cone is EI/EI, a restricted cone EI/AD, a port-restricted cone EI/APD, and a "
    "symmetric NAT\n"
    "APD/APD.\n"
    "\n"
    "A number is the time from the offer until both sides are connected (ICE and DTLS), in round trips between the "
    "two, which\n"
    "take 100 ms here; signaling takes half a round trip each way. **relay**: through the TURN server; **–**: not at "
    "all.\n"
    "\n"
    "This page is generated (`sim_sim_nat_matrix --markdown`), and a test holds it to what the code does.\n"
    "\n";

static char *make_page(void)
{
    static const char *const titles[] = {"Without any server", "With a STUN server", "With a STUN and TURN server"};
    duet_env env = duet_env_resolve(NULL);
    duet_buffer out;
    char text[32];

    duet_buffer_init(&out, &env);
    duet_buffer_text(&out, introduction);
    measure();
    for (int servers = NAT_NO_SERVERS; servers <= NAT_TURN; servers++) {
        duet_buffer_printf(&out, "## %s\n\n", titles[servers]);
        print_table(&out, servers);
        duet_buffer_text(&out, "\n");
    }
    duet_buffer_text(&out, "## Other cases\n\n| case | round trips |\n| --- | --- |\n");
    for (size_t i = 0; i < CASES; i++) {
        cell c = run_case(i);
        print_cell(text, sizeof(text), &c);
        duet_buffer_printf(&out, "| %s | %s |\n", cases[i].text, text);
    }
    char *page = duet_buffer_steal(&out);
    assert_non_null(page);
    return page;
}

/* ---- tests ---- */

/* Whether a check of x reaches y: y sends to x's server-reflexive address, so its filter knows that one on the mapping that
 * x sends to when y has one mapping for all. */
static bool reaches(const nat_place *x, const nat_place *y)
{
    if (!y->is_inside || y->nat.filtering == DUET_SIM_ENDPOINT_INDEPENDENT)
        return true;
    if (y->nat.mapping != DUET_SIM_ENDPOINT_INDEPENDENT)
        return false;
    return y->nat.filtering == DUET_SIM_ADDRESS_DEPENDENT || !x->is_inside ||
           x->nat.mapping == DUET_SIM_ENDPOINT_INDEPENDENT;
}

static bool maps_alike(const nat_place *p)
{
    return !p->is_inside || p->nat.mapping == DUET_SIM_ENDPOINT_INDEPENDENT;
}

static void pairs_of_nat_classes_connect_as_rfc4787_lets_expect(void **state)
{
    (void)state;
    measure();
    for (size_t a = 0; a < PLACES; a++) {
        for (size_t b = 0; b < PLACES; b++) {
            nat_place x = place_of(a), y = place_of(b);
            nat_path stun = matrix[NAT_STUN][a][b].path;
            bool to_y = reaches(&x, &y), to_x = reaches(&y, &x);
            if (!to_y && !to_x)
                assert_int_equal(stun, NAT_UNCONNECTED);
            if ((to_y && maps_alike(&y)) || (to_x && maps_alike(&x)))
                assert_int_equal(stun, NAT_DIRECT);
            assert_int_equal(stun, matrix[NAT_STUN][b][a].path); /* whoever offers */
        }
    }
}

static void without_a_server_only_one_side_may_be_behind_a_nat(void **state)
{
    (void)state;
    measure();
    for (size_t a = 0; a < PLACES; a++) {
        for (size_t b = 0; b < PLACES; b++)
            assert_int_equal(matrix[NAT_NO_SERVERS][a][b].path, a && b ? NAT_UNCONNECTED : NAT_DIRECT);
    }
}

static void with_turn_every_pair_connects_and_is_relayed_only_where_it_must_be(void **state)
{
    (void)state;
    measure();
    for (size_t a = 0; a < PLACES; a++) {
        for (size_t b = 0; b < PLACES; b++) {
            bool can_meet = matrix[NAT_STUN][a][b].path == NAT_DIRECT;
            assert_int_equal(matrix[NAT_TURN][a][b].path, can_meet ? NAT_DIRECT : NAT_RELAYED);
            assert_true(matrix[NAT_TURN][a][b].rtts < 15);
        }
    }
}

static void other_cases_connect_as_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        cell c = run_case(i);
        if (c.path != cases[i].expected)
            fail_msg("%s: %d, not %d", cases[i].text, (int)c.path, (int)cases[i].expected);
    }
}

static void the_page_tells_what_the_code_does(void **state)
{
    (void)state;
    char *page = make_page();
    size_t len;
    uint8_t *file = test_data("../../docs/nat.md", &len);

    if (strcmp((const char *)file, page) != 0)
        fail_msg("docs/nat.md is not what is measured: make it anew with sim_sim_nat_matrix --markdown > docs/nat.md");
    free(page);
    free(file);
}

/* ---- over time ---- */

/* Longer than mappings and allocations live unattended. */
static void check_long_call(nat_place a, nat_place b, nat_path expected)
{
    nat_world n = nat_world_begin(4711);
    a.nat.timeout = b.nat.timeout = DUET_SECONDS(20);
    nat_world_settle(&n, a, b);
    assert_int_equal(nat_connect(&n, NAT_TURN, NULL), expected);
    world_run(n.w, DUET_SECONDS(700)); /* in silence: ICE's consent checks keep the mappings */
    world_send_every(n.w, DUET_SECONDS(1));
    world_run(n.w, DUET_SECONDS(60));
    n.w->sending = false;
    world_run(n.w, DUET_SECONDS(2));
    world_assert_all_arrived(n.w);
    assert_int_equal(n.w->alice.disconnected_events + n.w->bob.disconnected_events, 0);
    nat_world_end(&n);
}

static void a_call_outlives_the_time_outs_of_mappings_and_allocations(void **state)
{
    (void)state;
    check_long_call(port_restricted(), port_restricted(), NAT_DIRECT);
    check_long_call(symmetric(), symmetric(), NAT_RELAYED);
}

/* Mappings begin anew with the next packet outwards; with other ports only an ICE restart would help. */
static void a_nat_that_is_switched_off_and_on_does_no_harm_where_ports_are_preserved(void **state)
{
    (void)state;
    nat_world n = nat_world_begin(4712);
    nat_place a = port_restricted(), b = port_restricted();

    a.nat.port_preservation = true;
    nat_world_settle(&n, a, b);
    assert_int_equal(nat_connect(&n, NAT_TURN, NULL), NAT_DIRECT);
    world_send_every(n.w, DUET_MS(500));
    world_run(n.w, DUET_SECONDS(5));
    duet_sim_nat_reset(n.nats[0]);
    world_run(n.w, DUET_SECONDS(30));
    n.w->sending = false;
    world_run(n.w, DUET_SECONDS(5));
    world_assert_all_arrived(n.w);
    nat_world_end(&n);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_of_nat_classes_connect_as_rfc4787_lets_expect),
        cmocka_unit_test(without_a_server_only_one_side_may_be_behind_a_nat),
        cmocka_unit_test(with_turn_every_pair_connects_and_is_relayed_only_where_it_must_be),
        cmocka_unit_test(other_cases_connect_as_expected),
        cmocka_unit_test(the_page_tells_what_the_code_does),
        cmocka_unit_test(a_call_outlives_the_time_outs_of_mappings_and_allocations),
        cmocka_unit_test(a_nat_that_is_switched_off_and_on_does_no_harm_where_ports_are_preserved),
    };

    if (argc > 1 && strcmp(argv[1], "--markdown") == 0) {
        char *page = make_page();
        fputs(page, stdout);
        free(page);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
