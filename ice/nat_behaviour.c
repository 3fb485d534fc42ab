/* NAT behaviour discovery: a handful of Binding requests, some of them dependent on the answers to others.
 *
 * RFC 5780 sections 4.3 (mapping), 4.4 (filtering) and 4.5 (hairpinning). Mapping and filtering are asked from different sockets:
 * what the mapping tests send to the server's other addresses would open the filter for them. */
#include "ice/nat_behaviour.h"
#include "base/events.h"
#include "base/memory.h"
#include "base/outbox.h"
#include "duet/stun.h"
#include <string.h>

#define MESSAGE_MAX    64
#define SENDS          3
#define FIRST_WAIT     DUET_MS(500) /* RTO of RFC 8489 section 6.2.1, doubling */
#define LAST_WAIT      DUET_SECONDS(1)
#define CHANGE_ADDRESS 0x04u /* RFC 5780 section 7.2 */
#define CHANGE_PORT    0x02u

typedef enum socket_use {
    MAPPING_SOCKET = 0,
    FILTERING_SOCKET,
    HAIRPIN_SOCKET,
    SOCKETS,
} socket_use;

typedef enum test_name {
    MAPPING_1 = 0, /* to the server: what is the mapping? */
    MAPPING_2,     /* to its other address, or to the second server */
    MAPPING_3,     /* to its other address and port */
    FILTERING_1,   /* opens the NAT for the server */
    FILTERING_2,   /* answered from another address and port? */
    FILTERING_3,   /* answered from another port? */
    HAIRPIN,       /* to the mapping of the first socket */
    TESTS,
} test_name;

typedef enum test_state {
    TEST_WAITING = 0,
    TEST_RUNNING,
    TEST_ANSWERED,
    TEST_SILENT,
    TEST_LEFT_OUT,
} test_state;

typedef struct test {
    test_state state;
    socket_use socket;
    duet_address to;
    uint32_t change;
    uint8_t id[DUET_STUN_TRANSACTION_LEN];
    unsigned sends;
    duet_time sent, next;
    duet_address mapped;
} test;

struct duet_nat_behaviour {
    duet_env env;
    duet_events events;
    duet_nat_behaviour_config config;
    duet_outbox outbox;
    duet_address locals[SOCKETS]; /* family NONE until open */
    bool requested[SOCKETS], failed;
    test tests[TESTS];
    duet_address other; /* OTHER-ADDRESS; family NONE when there is none */
    duet_time rtt;
    bool done;
    void (*wake)(void *user);
    void *wake_user;
};

void duet_nat_behaviour_config_init(duet_nat_behaviour_config *config)
{
    *config = (duet_nat_behaviour_config){.size = sizeof(*config)};
}

static void behaviour_free(void *object)
{
    duet_nat_behaviour *n = object;
    duet_env env = n->env;

    duet_outbox_free(&n->outbox);
    duet_events_free(&n->events);
    duet_free(&env, n);
}

static const socket_use socket_of[TESTS] = {
    [MAPPING_1] = MAPPING_SOCKET,     [MAPPING_2] = MAPPING_SOCKET,     [MAPPING_3] = MAPPING_SOCKET,
    [FILTERING_1] = FILTERING_SOCKET, [FILTERING_2] = FILTERING_SOCKET, [FILTERING_3] = FILTERING_SOCKET,
    [HAIRPIN] = HAIRPIN_SOCKET,
};

int duet_nat_behaviour_create(duet_nat_behaviour **out, const duet_nat_behaviour_config *config)
{
    duet_env env = duet_env_resolve(config->env);

    *out = NULL;
    if (config->bind.family == DUET_AF_NONE || config->bind.family != config->server.family)
        return DUET_ERR_INVALID;
    duet_nat_behaviour *n = duet_calloc(&env, sizeof(*n));
    if (!n)
        return DUET_ERR_NOMEM;
    n->env = env;
    memcpy(&n->config, config, config->size < sizeof(n->config) ? config->size : sizeof(n->config));
    duet_events_init(&n->events, &n->env, n, behaviour_free);
    duet_outbox_init(&n->outbox, &n->env, MESSAGE_MAX, TESTS * SENDS);
    for (int i = 0; i < TESTS; i++) {
        n->tests[i].socket = socket_of[i];
        if (duet_random(&n->env, n->tests[i].id, sizeof(n->tests[i].id)) != DUET_OK) {
            behaviour_free(n);
            return DUET_ERR_CRYPTO;
        }
    }
    *out = n;
    return DUET_OK;
}

void duet_nat_behaviour_destroy(duet_nat_behaviour *n)
{
    if (n)
        duet_events_destroy(&n->events);
}

/* ---- tests ---------------------------------------------------------------------------------------------------------------- */

static void transmit(duet_nat_behaviour *n, test *t, duet_time now)
{
    uint8_t message[MESSAGE_MAX];
    size_t len = 0;
    duet_stun_builder b = duet_stun_begin(message, sizeof(message), DUET_STUN_REQUEST, DUET_STUN_BINDING, t->id);
    duet_datagram meta = {.path = {.socket = 1 + (uint32_t)t->socket, .local = n->locals[t->socket], .remote = t->to}};

    if (t->change)
        duet_stun_add_u32(&b, DUET_STUN_CHANGE_REQUEST, t->change);
    duet_stun_add_fingerprint(&b);
    if (duet_stun_end(&b, &len) == DUET_OK)
        (void)duet_outbox_push(&n->outbox, message, len, &meta);
    t->sent = now;
    t->next = now + (++t->sends < SENDS ? FIRST_WAIT << (t->sends - 1) : LAST_WAIT);
}

static void start(duet_nat_behaviour *n, test_name name, const duet_address *to, uint32_t change, duet_time now)
{
    test *t = &n->tests[name];

    t->state = TEST_RUNNING;
    t->to = *to;
    t->change = change;
    transmit(n, t, now);
}

static bool is_over(const duet_nat_behaviour *n, test_name name)
{
    return n->tests[name].state >= TEST_ANSWERED;
}

static bool is_answered(const duet_nat_behaviour *n, test_name name)
{
    return n->tests[name].state == TEST_ANSWERED;
}

static void leave_out(duet_nat_behaviour *n, test_name name)
{
    if (n->tests[name].state == TEST_WAITING)
        n->tests[name].state = TEST_LEFT_OUT;
}

static bool has_nat(const duet_nat_behaviour *n)
{
    return !duet_address_equal(&n->tests[MAPPING_1].mapped, &n->locals[MAPPING_SOCKET]);
}

/* RFC 5780 section 4.3: "If this ... is the same as that in test I, then the NAT has Endpoint-Independent Mapping". */
static void go_on_mapping(duet_nat_behaviour *n, duet_time now)
{
    duet_address to;

    if (n->tests[MAPPING_2].state == TEST_WAITING && is_over(n, MAPPING_1)) {
        bool knows_other = n->other.family == n->config.server.family;
        to = knows_other ? n->other : n->config.second;
        if (knows_other)
            to.port = n->config.server.port;
        if (is_answered(n, MAPPING_1) && has_nat(n) && to.family != DUET_AF_NONE)
            start(n, MAPPING_2, &to, 0, now);
        else
            leave_out(n, MAPPING_2);
    }
    if (n->tests[MAPPING_3].state == TEST_WAITING && is_over(n, MAPPING_2)) {
        bool differs =
            is_answered(n, MAPPING_2) && !duet_address_equal(&n->tests[MAPPING_1].mapped, &n->tests[MAPPING_2].mapped);
        if (differs && n->other.family == n->config.server.family)
            start(n, MAPPING_3, &n->other, 0, now);
        else
            leave_out(n, MAPPING_3);
    }
}

/* Section 4.4. */
static void go_on_filtering(duet_nat_behaviour *n, duet_time now)
{
    bool can = is_answered(n, FILTERING_1) && n->other.family == n->config.server.family;

    if (n->tests[FILTERING_2].state == TEST_WAITING && is_over(n, FILTERING_1) && is_over(n, MAPPING_1)) {
        if (can)
            start(n, FILTERING_2, &n->config.server, CHANGE_ADDRESS | CHANGE_PORT, now);
        else
            leave_out(n, FILTERING_2);
    }
    if (n->tests[FILTERING_3].state == TEST_WAITING && is_over(n, FILTERING_2)) {
        if (n->tests[FILTERING_2].state == TEST_SILENT)
            start(n, FILTERING_3, &n->config.server, CHANGE_PORT, now);
        else
            leave_out(n, FILTERING_3);
    }
}

static bool are_open(const duet_nat_behaviour *n)
{
    for (int i = 0; i < SOCKETS; i++) {
        if (n->locals[i].family == DUET_AF_NONE)
            return false;
    }
    return true;
}

static void go_on(duet_nat_behaviour *n, duet_time now)
{
    if (n->failed) {
        for (int i = 0; i < TESTS; i++)
            leave_out(n, (test_name)i);
    }
    if (!are_open(n))
        return;
    if (n->tests[MAPPING_1].state == TEST_WAITING) {
        start(n, MAPPING_1, &n->config.server, 0, now);
        start(n, FILTERING_1, &n->config.server, 0, now);
    }
    go_on_mapping(n, now);
    go_on_filtering(n, now);
    if (n->tests[HAIRPIN].state == TEST_WAITING && is_over(n, MAPPING_1)) {
        if (is_answered(n, MAPPING_1) && has_nat(n))
            start(n, HAIRPIN, &n->tests[MAPPING_1].mapped, 0, now);
        else
            leave_out(n, HAIRPIN);
    }
}

/* ---- the result ------------------------------------------------------------------------------------------------------------ */

static duet_nat_rule mapping_rule(const duet_nat_behaviour *n)
{
    const test *t = n->tests;

    if (!is_answered(n, MAPPING_1))
        return DUET_NAT_UNKNOWN;
    if (!has_nat(n))
        return DUET_NAT_NONE;
    if (!is_answered(n, MAPPING_2))
        return DUET_NAT_UNKNOWN;
    if (duet_address_equal(&t[MAPPING_1].mapped, &t[MAPPING_2].mapped))
        return DUET_NAT_ENDPOINT_INDEPENDENT;
    if (!is_answered(n,
                     MAPPING_3)) /* by two servers it is not endpoint-independent, and that is all that can be said */
        return n->tests[MAPPING_3].state == TEST_LEFT_OUT ? DUET_NAT_ADDRESS_AND_PORT_DEPENDENT : DUET_NAT_UNKNOWN;
    return duet_address_equal(&t[MAPPING_2].mapped, &t[MAPPING_3].mapped) ? DUET_NAT_ADDRESS_DEPENDENT
                                                                          : DUET_NAT_ADDRESS_AND_PORT_DEPENDENT;
}

static duet_nat_rule filtering_rule(const duet_nat_behaviour *n)
{
    if (n->tests[FILTERING_2].state == TEST_LEFT_OUT)
        return DUET_NAT_UNKNOWN;
    if (is_answered(n, FILTERING_2))
        return DUET_NAT_ENDPOINT_INDEPENDENT;
    return is_answered(n, FILTERING_3) ? DUET_NAT_ADDRESS_DEPENDENT : DUET_NAT_ADDRESS_AND_PORT_DEPENDENT;
}

static duet_nat_answer yes_or_no(bool yes)
{
    return yes ? DUET_NAT_YES : DUET_NAT_NO;
}

static duet_nat_result conclude(const duet_nat_behaviour *n)
{
    duet_nat_result r = {.local = n->locals[MAPPING_SOCKET], .rtt = n->rtt};

    if (n->failed)
        return r;
    r.udp = yes_or_no(is_answered(n, MAPPING_1) || is_answered(n, FILTERING_1));
    if (r.udp == DUET_NAT_NO)
        return r;
    r.discovery = yes_or_no(n->other.family != DUET_AF_NONE);
    r.mapped = n->tests[MAPPING_1].mapped;
    r.mapping = mapping_rule(n);
    r.filtering = filtering_rule(n);
    if (is_answered(n, MAPPING_1) && has_nat(n)) {
        r.port_preservation = yes_or_no(r.mapped.port == r.local.port);
        r.hairpinning = yes_or_no(is_answered(n, HAIRPIN));
    }
    return r;
}

static void deliver_done(void *object, void *payload)
{
    duet_nat_behaviour *n = object;

    n->config.on_done(n->config.user, payload);
}

static void finish(duet_nat_behaviour *n)
{
    for (int i = 0; i < TESTS; i++) {
        if (!is_over(n, (test_name)i))
            return;
    }
    if (n->done)
        return;
    n->done = true;
    duet_nat_result result = conclude(n);
    if (n->config.on_done)
        (void)duet_events_push(&n->events, deliver_done, NULL, &result, sizeof(result));
}

/* ---- the endpoint ----------------------------------------------------------------------------------------------------------- */

static void take_response(duet_nat_behaviour *n, test *t, const duet_stun_message *m, duet_time now)
{
    duet_address mapped;

    if (duet_stun_get_address(m, DUET_STUN_XOR_MAPPED_ADDRESS, &mapped) != DUET_OK &&
        duet_stun_get_address(m, DUET_STUN_MAPPED_ADDRESS, &mapped) != DUET_OK)
        return;
    t->state = TEST_ANSWERED;
    t->mapped = mapped;
    if (t == &n->tests[MAPPING_1]) {
        if (t->sends == 1)
            n->rtt = now - t->sent;
        if (duet_stun_get_address(m, DUET_STUN_OTHER_ADDRESS, &n->other) != DUET_OK)
            n->other = (duet_address){0};
    }
}

/* "the response ... comes from" where it was asked for: an answer from the server itself to a changed request would say the
 * wrong thing about the filter (a server that ignores CHANGE-REQUEST). */
static bool comes_from_right_place(const test *t, const duet_address *from)
{
    if (t->change & CHANGE_ADDRESS)
        return !duet_address_ip_equal(from, &t->to);
    if (t->change & CHANGE_PORT)
        return from->port != t->to.port;
    return duet_address_equal(from, &t->to);
}

static int ops_input(void *object, duet_datagram *in, duet_time now)
{
    duet_nat_behaviour *n = object;
    duet_stun_message m;

    if (duet_stun_parse(&m, in->data, in->len) != DUET_OK || m.method != DUET_STUN_BINDING)
        return DUET_ERR_NOT_MINE;
    duet_events_enter(&n->events);
    duet_outbox_reclaim(&n->outbox);
    for (int i = 0; i < TESTS; i++) {
        test *t = &n->tests[i];
        if (t->state != TEST_RUNNING || memcmp(t->id, m.transaction_id, sizeof(t->id)) != 0)
            continue;
        bool is_right_socket = in->path.socket == 1 + (uint32_t)t->socket;
        if (i == HAIRPIN && m.message_class == DUET_STUN_REQUEST && in->path.socket == 1 + MAPPING_SOCKET)
            t->state = TEST_ANSWERED; /* our own request has come back */
        else if (m.message_class == DUET_STUN_SUCCESS && is_right_socket && comes_from_right_place(t, &in->path.remote))
            take_response(n, t, &m, now);
    }
    go_on(n, now);
    finish(n);
    duet_events_leave(&n->events);
    return DUET_OK;
}

static int ops_request(void *object, duet_request *out)
{
    duet_nat_behaviour *n = object;

    for (uint32_t i = 0; i < SOCKETS; i++) {
        if (n->requested[i])
            continue;
        n->requested[i] = true;
        *out = (duet_request){.kind = DUET_REQUEST_OPEN, .id = 1 + i, .bind = n->config.bind};
        out->bind.port = 0;
        return 1;
    }
    return 0;
}

static int ops_answer(void *object, const duet_answer *answer, duet_time now)
{
    duet_nat_behaviour *n = object;

    if (answer->kind != DUET_REQUEST_OPEN || answer->id < 1 || answer->id > SOCKETS)
        return DUET_ERR_NOT_MINE;
    duet_events_enter(&n->events);
    duet_outbox_reclaim(&n->outbox);
    if (answer->err)
        n->failed = true;
    else
        n->locals[answer->id - 1] = answer->local;
    go_on(n, now);
    finish(n);
    duet_events_leave(&n->events);
    return DUET_OK;
}

static void ops_tick(void *object, duet_time now)
{
    duet_nat_behaviour *n = object;

    duet_events_enter(&n->events);
    duet_outbox_reclaim(&n->outbox);
    for (int i = 0; i < TESTS; i++) {
        test *t = &n->tests[i];
        if (t->state != TEST_RUNNING || now < t->next)
            continue;
        if (t->sends == SENDS)
            t->state = TEST_SILENT;
        else
            transmit(n, t, now);
    }
    go_on(n, now);
    finish(n);
    duet_events_leave(&n->events);
}

static duet_time ops_deadline(const void *object)
{
    const duet_nat_behaviour *n = object;
    duet_time deadline = DUET_NEVER;

    for (int i = 0; i < TESTS; i++) {
        if (n->tests[i].state == TEST_RUNNING && n->tests[i].next < deadline)
            deadline = n->tests[i].next;
    }
    return deadline;
}

static int ops_output(void *object, duet_datagram *out, duet_time now)
{
    (void)now;
    return duet_outbox_pull(&((duet_nat_behaviour *)object)->outbox, out);
}

static void ops_path_error(void *object, const duet_path *path, int error, duet_time now)
{
    (void)object, (void)path, (void)error, (void)now; /* silence tells the same */
}

static void ops_set_wake(void *object, void (*wake)(void *user), void *user)
{
    duet_nat_behaviour *n = object;

    n->wake = wake;
    n->wake_user = user;
}

const duet_endpoint_ops *duet_nat_behaviour_endpoint_ops(void)
{
    static const duet_endpoint_ops ops = {sizeof(ops),    ops_input, ops_output,   ops_request,  ops_answer,
                                          ops_path_error, ops_tick,  ops_deadline, ops_set_wake, NULL};

    return &ops;
}

const char *duet_nat_rule_name(duet_nat_rule rule)
{
    static const char *const names[] = {"unknown", "no NAT", "endpoint-independent", "address-dependent",
                                        "address-and-port-dependent"};

    return rule <= DUET_NAT_ADDRESS_AND_PORT_DEPENDENT ? names[rule] : "unknown";
}
