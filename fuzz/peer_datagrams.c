/* Feeds a whole peer datagrams in every state of a call: raw ones, and real ones of this very call that are changed,
 * shortened, repeated or sent from elsewhere. Whatever comes, nothing breaks; and once two peers are connected, no
 * datagram that a third one can make ends it or changes what they say. */
#include "base/bytes.h"
#include "duet/peer.h"
#include "duet/sim.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CAPTURE   64 /* the latest datagrams */
#define BYTES_MAX 1500

typedef struct captured {
    duet_path path;
    size_t len;
    uint8_t data[BYTES_MAX];
} captured;

typedef struct end {
    struct end *other;
    duet_env env;
    duet_pc *pc;
    duet_dc *dc;
    bool open;
    unsigned received, wrong;
} end;

static duet_sim *sim;
static end alice, bob;
static captured captures[CAPTURE];
static size_t captured_count;
static bool capturing;
static duet_certificate *certificate; /* made once: it costs more than all the rest */

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void on_trace(void *user, const duet_trace_event *e)
{
    (void)user;
    if (!capturing || e->kind != DUET_TRACE_PACKET || e->layer != DUET_LAYER_DATAGRAM || !e->outgoing ||
        e->len > BYTES_MAX)
        return;
    captured *c = &captures[captured_count++ % CAPTURE];
    c->path = *e->path;
    c->len = e->len;
    memcpy(c->data, e->data, e->len);
}

static void on_candidate(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    (void)pc;
    (void)duet_pc_add_ice_candidate(((end *)user)->other->pc, candidate);
}

static void on_open(void *user, duet_dc *dc)
{
    (void)dc;
    ((end *)user)->open = true;
}

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    end *e = user;

    (void)dc, (void)is_text;
    e->received++;
    e->wrong += len != 5 || memcmp(data, "hello", 5) != 0;
}

static void use(void *user, duet_pc *pc, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {
        .size = sizeof(callbacks), .on_open = on_open, .on_message = on_message, .user = user};

    (void)pc;
    ((end *)user)->dc = dc;
    duet_dc_set_callbacks(dc, &callbacks);
}

static void create(end *e, end *other, const char *address)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_sim_link link = {.delay = DUET_MS(5)};
    duet_sim_host *host;

    *e = (end){.other = other, .env = DUET_ENV_INIT};
    e->env.random = duet_sim_random;
    e->env.trace = on_trace;
    e->env.user = sim;
    config.env = &e->env;
    config.certificate = certificate;
    config.sctp_streams = 8; /* usrsctp clears its memory for each */
    config.on_ice_candidate = on_candidate;
    config.on_data_channel = use;
    config.user = e;
    require(duet_sim_host_create(&host, sim, "host") == DUET_OK);
    require(duet_sim_host_add_address(host, address, &link, &link) == DUET_OK);
    require(duet_pc_create(&e->pc, &config) == DUET_OK);
    require(duet_sim_add(host, e->pc) == DUET_OK);
}

static void pass_description(end *from)
{
    duet_sdp_type type;
    char *sdp;

    require(duet_pc_local_description(from->pc, &type, &sdp) == DUET_OK);
    require(duet_pc_set_remote_description(from->other->pc, type, sdp) == DUET_OK);
    free(sdp);
}

static bool both_open(void *arg)
{
    (void)arg;
    return alice.open && bob.open;
}

static void run(duet_time span)
{
    duet_sim_run(sim, duet_sim_now(sim) + span);
}

static void answer(void)
{
    if (duet_pc_signaling_state(bob.pc) != DUET_SIGNALING_HAVE_REMOTE_OFFER)
        return;
    require(duet_pc_set_local_description(bob.pc, DUET_SDP_ANSWER, NULL) == DUET_OK);
    pass_description(&bob);
}

enum stage { NEW, GATHERED, OFFERED, CHECKING, HANDSHAKE, ASSOCIATING, CONNECTED, STAGES };

static void reach(unsigned stage)
{
    duet_dc *dc;

    require(duet_pc_create_data_channel(alice.pc, "fuzz", NULL, &dc) == DUET_OK);
    use(&alice, alice.pc, dc);
    if (stage == NEW)
        return;
    require(duet_pc_set_local_description(alice.pc, DUET_SDP_OFFER, NULL) == DUET_OK);
    run(0);
    if (stage == GATHERED)
        return;
    pass_description(&alice);
    run(0);
    if (stage == OFFERED)
        return;
    answer();
    if (stage < CONNECTED)
        run(DUET_MS(5) * (stage - CHECKING) * 6);
    else
        require(duet_sim_run_until(sim, both_open, NULL, duet_sim_now(sim) + DUET_SECONDS(10)));
}

/* ---- the attack ---- */

static void send_bytes(duet_reader *r, uint8_t how, const uint8_t *bytes, size_t len, const duet_path *path)
{
    duet_address from, to;

    if (path) {
        from = path->local;
        to = path->remote;
    } else {
        duet_address_parse(&from, how & 1 ? "10.0.0.1" : "10.0.0.2", 49152);
        duet_address_parse(&to, how & 1 ? "10.0.0.2" : "10.0.0.1", 49152);
    }
    if (how & 2)
        duet_address_parse(&from, "10.6.6.6", (uint16_t)(1 + duet_read_u8(r)));
    (void)duet_sim_send(sim, &from, &to, bytes, len);
}

static void send_raw(duet_reader *r, uint8_t how)
{
    size_t len = duet_read_u8(r) * (how & 4 ? 5u : 1u);
    duet_bytes bytes = duet_read_bytes(r, len < duet_reader_left(r) ? len : duet_reader_left(r));
    uint8_t copy[BYTES_MAX];

    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    send_bytes(r, how, copy, bytes.len, NULL);
}

static void send_changed(duet_reader *r, uint8_t how)
{
    if (captured_count == 0)
        return;
    size_t kept = captured_count < CAPTURE ? captured_count : CAPTURE;
    captured c = captures[(captured_count - 1 - duet_read_u8(r) % kept) % CAPTURE];
    unsigned changes = duet_read_u8(r) & 7;

    for (unsigned i = 0; i < changes && c.len; i++) {
        size_t at = duet_read_u16(r) % c.len;
        c.data[at] = duet_read_u8(r);
    }
    if (how & 8)
        c.len = duet_read_u16(r) % (c.len + 1);
    send_bytes(r, how, c.data, c.len, &c.path);
}

static void attack(duet_reader *r)
{
    for (int step = 0; step < 40 && duet_reader_left(r) > 0; step++) {
        uint8_t how = duet_read_u8(r);
        switch (how >> 5) {
        case 0:
            run(DUET_MS(how & 31));
            break;
        case 1:
            answer();
            break;
        case 2:
            if (alice.open)
                (void)duet_dc_send(alice.dc, "hello", 5, true);
            break;
        case 3:
        case 4:
            send_raw(r, how);
            break;
        default:
            send_changed(r, how);
            break;
        }
    }
}

static unsigned expected;

static bool has_come(void *arg)
{
    (void)arg;
    return bob.received >= expected;
}

/* Two connected peers go on, whatever was sent to them. */
static void still_talking(void)
{
    run(DUET_MS(500)); /* what was said during the attack arrives */
    expected = bob.received + 1;
    require(duet_pc_connection_state(alice.pc) == DUET_PC_CONNECTED);
    require(duet_pc_connection_state(bob.pc) == DUET_PC_CONNECTED);
    require(duet_dc_send(alice.dc, "hello", 5, true) == DUET_OK);
    require(duet_sim_run_until(sim, has_come, NULL, duet_sim_now(sim) + DUET_SECONDS(5)));
    require(bob.received == expected && bob.wrong == 0);
}

static void destroy(end *e)
{
    duet_sim_remove(sim, e->pc);
    duet_pc_destroy(e->pc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_sim_config config;
    duet_reader r = duet_reader_init(data, size);
    unsigned stage = duet_read_u8(&r) % STAGES;

    if (!certificate)
        require(duet_certificate_generate(&certificate, NULL, DUET_KEY_ECDSA_P256, 0) == DUET_OK);
    duet_sim_config_init(&config);
    config.seed = 1;
    config.start = DUET_SECONDS(1);
    require(duet_sim_create(&sim, &config) == DUET_OK);
    duet_determinism_begin(sim, 1);
    captured_count = 0;
    capturing = true;
    create(&alice, &bob, "10.0.0.1");
    create(&bob, &alice, "10.0.0.2");
    reach(stage);
    attack(&r);
    capturing = false;
    if (stage == CONNECTED)
        still_talking();
    destroy(&alice);
    destroy(&bob);
    run(DUET_MS(50));
    duet_sim_destroy(sim);
    duet_determinism_end();
    return 0;
}
