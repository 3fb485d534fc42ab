/* Messages of every size through a pipe that loses packets: what arrives is whole and in order. */
#include "sctp_pair.h"

#define ROUNDS 6

static const size_t sizes[] = {5, 1200, 16384, 65536, 262144, 0, 1, 262144, 100};

#define SIZE_COUNT (sizeof(sizes) / sizeof(sizes[0]))

typedef struct reader {
    unsigned next;
    unsigned wrong;
} reader;

static uint8_t byte_of(unsigned message, size_t k)
{
    return (uint8_t)(k ^ (k >> 8) ^ message);
}

static void read_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    reader *r = user;
    unsigned n = r->next++;
    bool right = len == sizes[n % SIZE_COUNT] && !is_text;

    (void)dc;
    for (size_t k = 0; right && k < len; k++)
        right = data[k] == byte_of(n, k);
    r->wrong += !right;
}

static void read_channel(sctp_pair *p, int side, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {.size = sizeof(callbacks), .on_message = read_message, .user = p->user};

    (void)side;
    duet_dc_set_callbacks(dc, &callbacks);
}

static void send_all(duet_dc *dc)
{
    uint8_t *data = malloc(262144);

    assert_non_null(data);
    for (unsigned n = 0; n < SIZE_COUNT; n++) {
        for (size_t k = 0; k < sizes[n]; k++)
            data[k] = byte_of(n, k);
        assert_int_equal(duet_dc_send(dc, data, sizes[n], false), DUET_OK);
    }
    free(data);
}

static void one_round(uint64_t seed, double loss)
{
    reader r = {0};
    duet_dc *dc;
    sctp_pair *p = pair_ready(NULL);

    p->seed = seed;
    p->loss = loss;
    p->user = &r;
    p->on_channel = read_channel;
    assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "x", NULL, NULL, p->now), DUET_OK);
    pair_run(p, DUET_MS(100));
    send_all(dc);
    pair_run(p, DUET_SECONDS(120));
    if (r.next != SIZE_COUNT || r.wrong)
        fail_msg("seed %llu, loss %.2f: %u messages of %zu arrived, %u of them wrong", (unsigned long long)seed, loss,
                 r.next, SIZE_COUNT, r.wrong);
    pair_free(p);
}

static void large_messages_arrive_whole_and_in_order_in_spite_of_loss(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        one_round(seed, 0.02);
        one_round(seed, 0.10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_messages_arrive_whole_and_in_order_in_spite_of_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
