/* Two peer connections on real loops over loopback sockets, joined by direct calls. */
#ifndef DUET_TESTS_NET_PAIR_H
#define DUET_TESTS_NET_PAIR_H

#include "duet/net.h"
#include "duet/peer.h"
#include "test.h"

typedef struct net_side {
    struct net_side *other;
    duet_net *net;
    duet_pc *pc;
    duet_dc *dc;
    bool open, closed, gathered;
    size_t received_bytes, candidates;
    unsigned received, wrong;
    uint32_t next_in, next_out;
} net_side;

static inline void net_side_candidate(void *user, duet_pc *pc, const duet_pc_candidate *c)
{
    net_side *s = user;

    (void)pc;
    s->candidates += c->candidate[0] != 0;
    if (s->other && s->other->pc)
        (void)duet_pc_add_ice_candidate(s->other->pc, c);
}

static inline void net_side_gathering(void *user, duet_pc *pc, duet_ice_gathering_state state)
{
    (void)pc;
    if (state == DUET_ICE_GATHERING_COMPLETE)
        ((net_side *)user)->gathered = true;
}

static inline void net_side_open(void *user, duet_dc *dc)
{
    (void)dc;
    ((net_side *)user)->open = true;
}

static inline void net_side_close(void *user, duet_dc *dc)
{
    (void)dc;
    ((net_side *)user)->closed = true;
}

static inline void net_side_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    net_side *s = user;
    uint32_t number = 0;

    (void)dc, (void)is_text;
    if (len >= 4)
        memcpy(&number, data, 4);
    bool right = len >= 4 && number == s->next_in;
    for (size_t i = 4; right && i < len; i++)
        right = data[i] == (uint8_t)(number + i);
    s->wrong += !right;
    s->next_in = number + 1;
    s->received++;
    s->received_bytes += len;
}

static inline void net_side_use(net_side *s, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {.size = sizeof(callbacks),
                                   .on_open = net_side_open,
                                   .on_message = net_side_message,
                                   .on_close = net_side_close,
                                   .user = s};

    s->dc = dc;
    duet_dc_set_callbacks(dc, &callbacks);
}

static inline void net_side_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    (void)pc;
    net_side_use(user, dc);
}

/* Loopback only: nothing leaves the machine. */
static inline duet_pc_config net_side_config(net_side *s, const char *address)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;

    config.loopback = true;
    assert_int_equal(duet_address_parse(&config.bind, address, 0), DUET_OK);
    config.on_ice_candidate = net_side_candidate;
    config.on_ice_gathering_state = net_side_gathering;
    config.on_data_channel = net_side_channel;
    config.user = s;
    return config;
}

static inline void net_side_create(net_side *s, duet_net *net, const duet_pc_config *config)
{
    s->net = net;
    assert_int_equal(duet_pc_create(&s->pc, config), DUET_OK);
    assert_int_equal(duet_net_add(net, s->pc), DUET_OK);
}

static inline void net_side_end(net_side *s)
{
    if (!s->pc)
        return;
    duet_net_remove(s->net, s->pc);
    duet_pc_destroy(s->pc);
    s->pc = NULL;
}

static inline void net_pass_description(net_side *from)
{
    duet_sdp_type type;
    char *sdp;

    assert_int_equal(duet_pc_local_description(from->pc, &type, &sdp), DUET_OK);
    assert_int_equal(duet_pc_set_remote_description(from->other->pc, type, sdp), DUET_OK);
    free(sdp);
}

/* Offer and answer in one go; the rest is for the loops. */
static inline void net_negotiate(net_side *a, net_side *b)
{
    duet_dc *dc;

    assert_int_equal(duet_pc_create_data_channel(a->pc, "test", NULL, &dc), DUET_OK);
    net_side_use(a, dc);
    assert_int_equal(duet_pc_set_local_description(a->pc, DUET_SDP_OFFER, NULL), DUET_OK);
    net_pass_description(a);
    assert_int_equal(duet_pc_set_local_description(b->pc, DUET_SDP_ANSWER, NULL), DUET_OK);
    net_pass_description(b);
}

static inline int net_side_send(net_side *s, size_t len)
{
    static uint8_t data[262144];
    uint32_t number = s->next_out;

    memcpy(data, &number, 4);
    for (size_t i = 4; i < len; i++)
        data[i] = (uint8_t)(number + i);
    int err = duet_dc_send(s->dc, data, len, false);
    s->next_out += err == DUET_OK;
    return err;
}

/* Turns until `done`, or the test fails after so many seconds. */
#define NET_TURN_UNTIL(net, done)                                                                                      \
    do {                                                                                                               \
        duet_time limit_ = duet_net_now(net) + DUET_SECONDS(20);                                                       \
        while (!(done)) {                                                                                              \
            assert_int_equal(duet_net_turn(net, DUET_MS(50)), DUET_OK);                                                \
            if (duet_net_now(net) > limit_)                                                                            \
                fail_msg("not after 20 s: %s", #done);                                                                 \
        }                                                                                                              \
    } while (0)

#endif
