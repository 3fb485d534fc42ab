/* Many data channels on one connection. */
#include "peer_world.h"

#define CHANNELS 1000

typedef struct echoes {
    world *w;
    duet_dc *dc[CHANNELS];
    unsigned open, incoming, echoed, wrong, closed;
} echoes;

typedef struct echo {
    echoes *all;
    unsigned number;
} echo;

static void on_open(void *user, duet_dc *dc)
{
    echo *e = user;
    char text[32];

    e->all->open++;
    int len = snprintf(text, sizeof(text), "channel %u", e->number);
    assert_int_equal(duet_dc_send(dc, text, (size_t)len, true), DUET_OK);
}

static void on_echo(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    echo *e = user;
    char text[32];

    int expected = snprintf(text, sizeof(text), "channel %u", e->number);
    e->all->wrong += !is_text || len != (size_t)expected || memcmp(text, data, len) != 0;
    e->all->echoed++;
    duet_dc_close(dc);
}

static void on_closed(void *user, duet_dc *dc)
{
    echo *e = user;

    e->all->closed++;
    duet_dc_release(dc);
}

static void send_back(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    echoes *all = user;

    all->wrong += duet_dc_send(dc, data, len, is_text) != DUET_OK;
}

static void release(void *user, duet_dc *dc)
{
    (void)user;
    duet_dc_release(dc);
}

static echoes *echoing;

static void on_channel(void *user, duet_pc *pc, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {
        .size = sizeof(callbacks), .on_message = send_back, .on_close = release, .user = echoing};

    (void)user, (void)pc;
    echoing->incoming++;
    duet_dc_set_callbacks(dc, &callbacks);
}

static bool all_closed(void *arg)
{
    return ((echoes *)arg)->closed == CHANNELS;
}

static void one_world_of_channels(uint64_t seed, double loss)
{
    duet_sim_link link = {.delay = DUET_MS(10), .loss = loss};
    world *w = world_new(seed, &link);
    echoes *all = calloc(1, sizeof(*all));
    echo *each = calloc(CHANNELS, sizeof(*each));
    duet_pc_config a = side_config(&w->alice), b = side_config(&w->bob);

    assert_true(all && each);
    echoing = all;
    a.sctp_streams = b.sctp_streams = 2048; /* the offerer takes odd streams only */
    b.on_data_channel = on_channel;
    side_create(&w->alice, &a);
    side_create(&w->bob, &b);
    for (unsigned i = 0; i < CHANNELS; i++) {
        duet_dc_callbacks callbacks = {
            .size = sizeof(callbacks), .on_open = on_open, .on_message = on_echo, .on_close = on_closed};
        each[i] = (echo){all, i};
        callbacks.user = &each[i];
        assert_int_equal(duet_pc_create_data_channel(w->alice.pc, "many", NULL, &all->dc[i]), DUET_OK);
        duet_dc_set_callbacks(all->dc[i], &callbacks);
    }
    assert_int_equal(w->alice.negotiation_needed, 1);
    world_offer(w);
    bool done = duet_sim_run_until(w->sim, all_closed, all, DUET_SECONDS(60));
    print_message("%u open, %u echoed, %u closed after %.1f s\n", all->open, all->echoed, all->closed,
                  (double)duet_sim_now(w->sim) / 1e6);
    assert_true(done);
    assert_int_equal(all->open, CHANNELS);
    assert_int_equal(all->incoming, CHANNELS);
    assert_int_equal(all->echoed, CHANNELS);
    assert_int_equal(all->wrong, 0);
    world_end(w);
    free(all);
    free(each);
}

static void a_thousand_channels_open_echo_and_close(void **state)
{
    (void)state;
    one_world_of_channels(1, 0);
}

/* A reset that overtakes lost data holds up what a peer on usrsctp hears. */
static void a_thousand_channels_close_under_loss(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++)
        one_world_of_channels(seed, 0.005 * (double)seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_channels_open_echo_and_close),
        cmocka_unit_test(a_thousand_channels_close_under_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
