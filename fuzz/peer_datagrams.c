/* Feeds a whole peer datagrams in every state of a call: raw ones, and real ones of this very call that are changed,
 * shortened, repeated or sent from elsewhere. Whatever comes, nothing breaks; and once two peers are connected, no
 * datagram that a third one can make ends it or changes what they say. */
#include "peer_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CAPTURE   64 /* the latest datagrams */
#define BYTES_MAX 1500

typedef struct captured {
    duet_path path;
    size_t len;
    uint8_t data[BYTES_MAX];
} captured;

static captured captures[CAPTURE];
static size_t captured_count;
static bool capturing;
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

static void answer_if_asked(void)
{
    if (duet_pc_signaling_state(bob.pc) == DUET_SIGNALING_HAVE_REMOTE_OFFER)
        answer();
}

enum stage { NEW, GATHERED, OFFERED, CHECKING, HANDSHAKE, ASSOCIATING, CONNECTED, STAGES };

static void reach(unsigned stage)
{
    make_channel();
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
        wait_until_open();
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
            answer_if_asked();
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;
    duet_reader r = duet_reader_init(data, size);
    unsigned stage = duet_read_u8(&r) % STAGES;

    captured_count = 0;
    capturing = true;
    world_begin(&config, on_trace);
    reach(stage);
    attack(&r);
    capturing = false;
    if (stage == CONNECTED)
        still_talking(&bob);
    world_end();
    return 0;
}
