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

/* ---- large messages and back-pressure ---------------------------------------------------------------------------- */

static sctp_pair *pair_with(const duet_env *env, size_t max_message, uint16_t streams, size_t send_queue)
{
    sctp_pair *p = pair_new();
    for (int i = 0; i < 2; i++) {
        duet_sctp_config c;
        pair_config(p, i, &c, env);
        c.max_message_size = max_message;
        c.streams = streams;
        c.send_queue = send_queue;
        assert_int_equal(duet_sctp_create(&p->peer[i].sctp, &c), DUET_OK);
    }
    assert_int_equal(pair_connect(p), DUET_OK);
    assert_true(pair_run_until_connected(p, DUET_SECONDS(10)));
    return p;
}

static duet_dc *open_channel(sctp_pair *p, const duet_dc_init *init, channel_log *log)
{
    duet_dc_callbacks c = log_callbacks(log);
    duet_dc *dc;

    assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "channel", init, &c, p->now), DUET_OK);
    pair_run(p, DUET_MS(50));
    return dc;
}

static void messages_far_beyond_every_buffer_pass(void **state)
{
    static const size_t sizes[] = {(size_t)1 << 20, ((size_t)1 << 20) + 1, (size_t)4 << 20, (size_t)20 << 20};
    (void)state;
    sctp_pair *p = pair_with(NULL, (size_t)32 << 20, 16, 0);
    channel_log log = {0};
    p->on_channel = echo_channel;
    p->delay = DUET_MS(1);
    duet_dc *dc = open_channel(p, NULL, &log);
    uint8_t *message = malloc(sizes[3]);

    assert_non_null(message);
    for (size_t i = 0; i < sizes[3]; i++)
        message[i] = (uint8_t)(i * 131 + i / 997);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(duet_dc_send(dc, message, sizes[i], false), DUET_OK);
        for (int s = 0; s < 600 && log.messages == i; s++)
            pair_run(p, DUET_MS(100));
        assert_int_equal(log.messages, i + 1);
        assert_int_equal(log.last_len, sizes[i]);
        assert_memory_equal(log.last, message, sizes[i]);
    }
    free(message);
    free(log.last);
    free(server_log.last);
    pair_free(p);
}

static void a_message_beyond_the_peers_limit_is_refused_and_nothing_sent(void **state)
{
    (void)state;
    sctp_pair *p = pair_ready(NULL);
    channel_log log = {0};
    p->on_channel = echo_channel;
    duet_dc *dc = open_channel(p, NULL, &log);
    uint8_t message[2000] = {0};

    duet_sctp_set_remote_max_message(p->peer[0].sctp, 1000);
    assert_int_equal(duet_dc_send(dc, message, 1001, false), DUET_ERR_TOO_LARGE);
    assert_int_equal(duet_dc_send(dc, message, 1000, false), DUET_OK);
    pair_run(p, DUET_MS(200));
    assert_int_equal(server_log.messages, 1);
    duet_dc_stats stats;
    duet_dc_get_stats(dc, &stats);
    assert_int_equal(stats.messages_sent, 1);
    assert_int_equal(stats.bytes_sent, 1000);
    free(log.last);
    free(server_log.last);
    pair_free(p);
}

static void a_message_beyond_our_limit_closes_its_channel_only(void **state)
{
    (void)state;
    sctp_pair *p = pair_with(NULL, 5000, 16, 0);
    channel_log log = {0}, other = {0};
    p->on_channel = echo_channel;
    duet_dc *dc = open_channel(p, NULL, &log);
    uint8_t *message = calloc(1, 700000);

    assert_non_null(message);
    assert_int_equal(duet_dc_send(dc, message, 5000, false), DUET_OK);
    pair_run(p, DUET_MS(200));
    assert_int_equal(log.messages, 1);
    assert_int_equal(duet_dc_send(dc, message, 5001, false), DUET_OK); /* one fragment */
    pair_run(p, DUET_SECONDS(1));
    assert_int_equal(server_log.closed, 1);
    assert_int_equal(log.closed, 1);
    free(server_log.last);
    dc = open_channel(p, NULL, &other);
    assert_int_equal(duet_dc_send(dc, message, 700000, false), DUET_OK); /* many */
    pair_run(p, DUET_SECONDS(3));
    assert_int_equal(server_log.closed, 1);
    assert_int_equal(other.closed, 1);
    duet_sctp_stats stats;
    duet_sctp_get_stats(p->peer[1].sctp, &stats);
    assert_int_equal(stats.oversized, 2);
    free(message);
    free(log.last);
    free(other.last);
    free(server_log.last);
    pair_free(p);
}

static void buffered_amount_rises_and_sinks_and_says_when_it_is_low(void **state)
{
    (void)state;
    sctp_pair *p = pair_with(NULL, 0, 16, 4u << 20);
    channel_log log = {0};
    p->on_channel = echo_channel;
    duet_dc *dc = open_channel(p, NULL, &log);
    uint8_t *message = calloc(1, 100000);
    unsigned sent = 0;

    assert_non_null(message);
    server_log.echo = false;
    duet_dc_set_buffered_amount_low_threshold(dc, 500000);
    while (duet_dc_send(dc, message, 100000, false) == DUET_OK)
        sent++;
    assert_true(sent >= 40 && sent <= 60);
    assert_true(duet_dc_buffered_amount(dc) > 3500000);
    assert_true(duet_dc_buffered_amount(dc) <= 4u << 20);
    assert_int_equal(duet_dc_send(dc, message, 100000, false), DUET_ERR_AGAIN);
    assert_int_equal(log.lows, 0);
    size_t before = duet_dc_buffered_amount(dc);
    while (log.lows == 0) {
        assert_true(duet_dc_buffered_amount(dc) <= before);
        before = duet_dc_buffered_amount(dc);
        assert_true(pair_step(p, p->now + DUET_SECONDS(5)));
    }
    assert_true(duet_dc_buffered_amount(dc) <= 500000);
    pair_run(p, DUET_SECONDS(20));
    assert_int_equal(duet_dc_buffered_amount(dc), 0);
    assert_int_equal(log.lows, 1);
    assert_int_equal(server_log.messages, sent);
    free(message);
    free(server_log.last);
    pair_free(p);
}

static void a_channel_refused_for_others_hears_of_room(void **state)
{
    (void)state;
    sctp_pair *p = pair_with(NULL, 0, 16, 1u << 20);
    channel_log log = {0}, other = {0};
    p->on_channel = echo_channel;
    duet_dc *greedy = open_channel(p, NULL, &log);
    duet_dc *modest = open_channel(p, NULL, &other);
    uint8_t *message = calloc(1, 100000);

    assert_non_null(message);
    server_log.echo = false;
    while (duet_dc_send(greedy, message, 100000, false) == DUET_OK) {
    }
    assert_int_equal(duet_dc_send(modest, message, 100000, false), DUET_ERR_AGAIN);
    assert_int_equal(duet_dc_buffered_amount(modest), 0);
    pair_run(p, DUET_SECONDS(20));
    assert_int_equal(other.lows, 1);
    free(message);
    free(server_log.last);
    pair_free(p);
}

static void an_idle_association_needs_no_time(void **state)
{
    (void)state;
    sctp_pair *p = pair_ready(NULL);
    channel_log log = {0};
    p->on_channel = echo_channel;
    duet_dc *dc = open_channel(p, NULL, &log);

    pair_run(p, DUET_SECONDS(2));
    for (int i = 0; i < 2; i++)
        assert_int_equal(duet_sctp_deadline(p->peer[i].sctp), DUET_NEVER);
    size_t packets = p->peer[0].packets + p->peer[1].packets;
    pair_run(p, DUET_SECONDS(3600)); /* no heartbeat, no probe */
    assert_int_equal(p->peer[0].packets + p->peer[1].packets, packets);

    /* After an hour of silence: no spurious retransmission, 1 DATA each way and its acknowledgements. */
    assert_int_equal(duet_dc_send(dc, "x", 1, true), DUET_OK);
    pair_run(p, DUET_SECONDS(2));
    assert_int_equal(log.messages, 1);
    assert_true(p->peer[0].packets + p->peer[1].packets <= packets + 4);
    free(log.last);
    free(server_log.last);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_and_size_of_message_comes_back),
        cmocka_unit_test(messages_far_beyond_every_buffer_pass),
        cmocka_unit_test(a_message_beyond_the_peers_limit_is_refused_and_nothing_sent),
        cmocka_unit_test(a_message_beyond_our_limit_closes_its_channel_only),
        cmocka_unit_test(buffered_amount_rises_and_sinks_and_says_when_it_is_low),
        cmocka_unit_test(a_channel_refused_for_others_hears_of_room),
        cmocka_unit_test(an_idle_association_needs_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
