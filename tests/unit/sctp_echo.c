/* Data channels between two associations: opening, messages of all kinds and sizes, closing. */
#include "sctp_pair.h"

static channel_log server_log;

static void echo_channel(sctp_pair *p, int side, duet_dc *dc)
{
    (void)p, (void)side;
    memset(&server_log, 0, sizeof(server_log));
    server_log.echo = true;
    duet_dc_callbacks c = log_callbacks(&server_log);
    duet_dc_set_callbacks(dc, &c);
}

static void every_kind_and_size_of_message_comes_back(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 100, 1000, 1124, 1125, 5000, 65535, 65536, 262144};
    (void)state;
    sctp_pair *p = pair_ready(NULL);
    channel_log log = {0};
    duet_dc_callbacks c = log_callbacks(&log);
    duet_dc *dc;

    p->on_channel = echo_channel;
    assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "chat", NULL, &c, p->now), DUET_OK);
    pair_run(p, DUET_MS(100));
    assert_int_equal(log.opened, 1);
    assert_int_equal(server_log.opened, 1);
    assert_int_equal(duet_dc_id(dc), 0);
    assert_string_equal(duet_dc_label(p->peer[1].last_channel), "chat");
    uint8_t *message = malloc(262144);
    assert_non_null(message);
    for (size_t i = 0; i < 262144; i++)
        message[i] = (uint8_t)(i * 31 + i / 256);
    unsigned count = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (int text = 0; text < 2; text++) {
            assert_int_equal(duet_dc_send(dc, message, sizes[i], text), DUET_OK);
            pair_run(p, DUET_SECONDS(2));
            assert_int_equal(log.messages, ++count);
            assert_int_equal(log.last_len, sizes[i]);
            assert_int_equal(log.last_text, text);
            assert_memory_equal(log.last, message, sizes[i]);
        }
    assert_true(p->peer[0].longest <= PIPE_MTU);
    assert_true(p->peer[0].longest > PIPE_MTU - 8);
    free(message);
    free(log.last);
    free(server_log.last);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_and_size_of_message_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
