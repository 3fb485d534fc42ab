/* Two connections in one process, signaled by function calls. */
#include "perf_pair.h"
#include <string.h>

static perf_end *other_end(const perf_end *end)
{
    perf_pair *pair = end->pair;

    return end == &pair->offerer ? &pair->answerer : &pair->offerer;
}

static void fail(perf_pair *pair, const char *reason)
{
    pair->failed = true;
    if (!pair->reason)
        pair->reason = reason;
}

static void channel_open(void *user, duet_dc *dc)
{
    perf_end *end = user;
    perf_pair *pair = end->pair;

    (void)dc;
    end->open = true;
    if (pair->offerer.open && pair->answerer.open && !pair->opened_at)
        pair->opened_at = duet_net_now(pair->net);
}

static void channel_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    perf_end *end = user;

    (void)dc;
    (void)is_text;
    if (end->pair->on_message)
        end->pair->on_message(end->pair->user, end, data, len);
}

static void channel_low(void *user, duet_dc *dc)
{
    perf_end *end = user;

    (void)dc;
    if (end->pair->on_low)
        end->pair->on_low(end->pair->user, end);
}

static void use_channel(perf_end *end, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {.size = sizeof(callbacks),
                                   .on_open = channel_open,
                                   .on_message = channel_message,
                                   .on_buffered_amount_low = channel_low,
                                   .user = end};

    end->dc = dc;
    duet_dc_set_callbacks(dc, &callbacks);
}

static void data_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    (void)pc;
    use_channel(user, dc);
}

static void ice_candidate(void *user, duet_pc *pc, const duet_pc_candidate *candidate)
{
    const perf_end *end = user;

    (void)pc;
    duet_pc_add_ice_candidate(other_end(end)->pc, candidate);
}

static void connection_state(void *user, duet_pc *pc, duet_pc_state state)
{
    const perf_end *end = user;

    (void)pc;
    if (state == DUET_PC_FAILED)
        fail(end->pair, "the connection failed");
}

static int create_end(perf_end *end, const perf_pair_options *o, duet_certificate *certificate)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;

    config.certificate = certificate;
    config.sctp_streams = o->streams;
    config.max_message_size = o->max_message_size;
    config.on_ice_candidate = ice_candidate;
    config.on_connection_state = connection_state;
    config.on_data_channel = data_channel;
    config.user = end;
    if (o->open)
        return o->open(o->user, end, &config);
    config.env = o->env;
    config.loopback = true;
    duet_address_parse(&config.bind, "127.0.0.1", 0);
    int err = duet_pc_create(&end->pc, &config);
    return err == DUET_OK ? duet_net_add(end->pair->net, end->pc) : err;
}

static int hand_over(const perf_end *from, perf_end *to, duet_sdp_type type, const duet_env *env)
{
    char *sdp = NULL;

    int err = duet_pc_set_local_description(from->pc, type, NULL);
    if (err == DUET_OK)
        err = duet_pc_local_description(from->pc, NULL, &sdp);
    if (err == DUET_OK)
        err = duet_pc_set_remote_description(to->pc, type, sdp);
    duet_free(env, sdp);
    return err;
}

int perf_pair_start(perf_pair *pair, duet_net *net, const perf_pair_options *o)
{
    duet_dc *dc;

    pair->net = net;
    pair->close = o->close;
    pair->offerer.pair = pair->answerer.pair = pair;
    pair->started = duet_net_now(net);
    int err = create_end(&pair->offerer, o, o->offerer);
    if (err == DUET_OK)
        err = create_end(&pair->answerer, o, o->answerer);
    if (err == DUET_OK)
        err = duet_pc_create_data_channel(pair->offerer.pc, "perf", NULL, &dc);
    if (err != DUET_OK)
        return err;
    use_channel(&pair->offerer, dc);
    if (o->offerer && o->answerer)
        pair->started = duet_net_now(net); /* from create_offer on */
    err = hand_over(&pair->offerer, &pair->answerer, DUET_SDP_OFFER, o->env);
    return err == DUET_OK ? hand_over(&pair->answerer, &pair->offerer, DUET_SDP_ANSWER, o->env) : err;
}

bool perf_pair_wait(perf_pair *pair, duet_time limit)
{
    duet_time until = duet_net_now(pair->net) + limit;

    while (!pair->opened_at && !pair->failed) {
        duet_time now = duet_net_now(pair->net);
        if (now >= until)
            fail(pair, "timeout: the data channel did not open");
        else
            duet_net_turn(pair->net, until - now);
    }
    return !pair->failed;
}

static void end_one(perf_pair *pair, perf_end *end)
{
    if (pair->close)
        pair->close(end);
    if (pair->close || !end->pc)
        return;
    duet_pc_close(end->pc);
    duet_net_remove(pair->net, end->pc);
    duet_pc_destroy(end->pc);
}

void perf_pair_end(perf_pair *pair)
{
    end_one(pair, &pair->offerer);
    end_one(pair, &pair->answerer);
    memset(pair, 0, sizeof(*pair));
}
