/* Data channels: how they open, close, share ids, and keep or break their promises. */
#include "sctp_pair.h"

#define LOGS_MAX 2048

static channel_log remote[LOGS_MAX]; /* of the channels that side 1 was given, by id */
static bool remote_echo;

static void take_channel(sctp_pair *p, int side, duet_dc *dc)
{
    (void)p, (void)side;
    channel_log *l = &remote[duet_dc_id(dc)];
    free(l->last);
    *l = (channel_log){.echo = remote_echo, .dc = dc};
    duet_dc_callbacks c = log_callbacks(l);
    duet_dc_set_callbacks(dc, &c);
}

static void free_logs(void)
{
    for (size_t i = 0; i < LOGS_MAX; i++)
        free(remote[i].last);
    memset(remote, 0, sizeof(remote));
}

static sctp_pair *unconnected(uint16_t streams)
{
    sctp_pair *p = pair_new();
    for (int i = 0; i < 2; i++) {
        duet_sctp_config c;
        pair_config(p, i, &c, NULL);
        c.streams = streams;
        assert_int_equal(duet_sctp_create(&p->peer[i].sctp, &c), DUET_OK);
    }
    p->on_channel = take_channel;
    remote_echo = false;
    return p;
}

static sctp_pair *connected(uint16_t streams)
{
    sctp_pair *p = unconnected(streams);
    assert_int_equal(pair_connect(p), DUET_OK);
    assert_true(pair_run_until_connected(p, DUET_SECONDS(10)));
    pair_run(p, DUET_MS(50));
    return p;
}

static duet_dc *create(sctp_pair *p, int side, const char *label, const duet_dc_init *init, channel_log *log)
{
    duet_dc_callbacks c = log_callbacks(log);
    duet_dc *dc = NULL;

    assert_int_equal(duet_dc_create(&dc, p->peer[side].sctp, label, init, log ? &c : NULL, p->now), DUET_OK);
    return dc;
}

static void end(sctp_pair *p)
{
    pair_free(p);
    free_logs();
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static void channels_created_before_the_association_open_with_it(void **state)
{
    (void)state;
    sctp_pair *p = unconnected(64);
    channel_log a = {0}, b = {0};
    duet_dc *first = create(p, 0, "first", NULL, &a), *second = create(p, 0, "second", NULL, &b);

    assert_int_equal(duet_dc_id(first), DUET_DC_AUTO_ID);
    assert_int_equal(duet_dc_get_state(first), DUET_DC_CONNECTING);
    assert_int_equal(duet_dc_send(first, "x", 1, true), DUET_ERR_STATE);
    assert_int_equal(pair_connect(p), DUET_OK);
    assert_int_equal(duet_dc_id(first), 0);
    assert_int_equal(duet_dc_id(second), 2);
    pair_run(p, DUET_MS(200));
    assert_int_equal(a.opened, 1);
    assert_int_equal(b.opened, 1);
    assert_int_equal(p->peer[1].channels, 2);
    assert_string_equal(duet_dc_label(remote[0].dc), "first");
    assert_string_equal(duet_dc_label(remote[2].dc), "second");
    end(p);
}

static void both_sides_take_ids_of_their_own_parity(void **state)
{
    (void)state;
    sctp_pair *p = connected(64);
    channel_log log = {0};

    for (uint16_t i = 0; i < 5; i++) {
        assert_int_equal(duet_dc_id(create(p, 0, "", NULL, &log)), 2 * i);
        assert_int_equal(duet_dc_id(create(p, 1, "", NULL, &log)), 2 * i + 1);
    }
    pair_run(p, DUET_MS(100));
    assert_int_equal(p->peer[0].channels, 5);
    assert_int_equal(p->peer[1].channels, 5);
    end(p);
}

static void every_property_arrives_at_the_other_side(void **state)
{
    (void)state;
    sctp_pair *p = connected(64);
    channel_log log = {0};
    duet_dc_init init;

    duet_dc_init_defaults(&init);
    init.unordered = true;
    init.max_retransmits = 3;
    init.protocol = "json";
    init.priority = DUET_DC_PRIORITY_HIGH;
    init.id = 20;
    create(p, 0, "\xc3\xa9t\xc3\xa9", &init, &log);
    duet_dc_init_defaults(&init);
    init.max_packet_life_time = 1500;
    init.id = 22;
    create(p, 0, "", &init, &log);
    pair_run(p, DUET_MS(100));

    duet_dc *dc = remote[20].dc;
    assert_string_equal(duet_dc_label(dc), "\xc3\xa9t\xc3\xa9");
    assert_string_equal(duet_dc_protocol(dc), "json");
    assert_false(duet_dc_is_ordered(dc));
    assert_int_equal(duet_dc_max_retransmits(dc), 3);
    assert_int_equal(duet_dc_max_packet_life_time(dc), -1);
    assert_int_equal(duet_dc_get_priority(dc), 1024);
    assert_false(duet_dc_is_negotiated(dc));
    dc = remote[22].dc;
    assert_true(duet_dc_is_ordered(dc));
    assert_int_equal(duet_dc_max_packet_life_time(dc), 1500);
    assert_int_equal(duet_dc_max_retransmits(dc), -1);
    assert_int_equal(duet_dc_get_priority(dc), 256);
    end(p);
}

static void a_negotiated_channel_needs_no_messages_of_its_own(void **state)
{
    (void)state;
    sctp_pair *p = connected(64);
    channel_log a = {0}, b = {0};
    duet_dc_init init;

    duet_dc_init_defaults(&init);
    init.negotiated = true;
    init.unordered = true;
    init.id = 7;
    duet_dc *here = create(p, 0, "agreed", &init, &a), *there = create(p, 1, "agreed", &init, &b);
    assert_int_equal(duet_dc_send(here, "hello", 5, true), DUET_OK);
    assert_int_equal(duet_dc_send(there, "world", 5, true), DUET_OK);
    pair_run(p, DUET_MS(100));
    assert_int_equal(a.opened + b.opened, 2);
    assert_memory_equal(a.last, "world", 5);
    assert_memory_equal(b.last, "hello", 5);
    assert_int_equal(p->peer[0].channels + p->peer[1].channels, 0);
    assert_int_equal(duet_dc_create(&here, p->peer[0].sctp, "again", &init, NULL, p->now), DUET_ERR_STATE);
    free(a.last);
    free(b.last);
    end(p);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    sctp_pair *p = connected(16);
    duet_dc_init init;
    duet_dc *dc;
    char *label = malloc(65537);

    assert_non_null(label);
    memset(label, 'x', 65536);
    label[65536] = 0;
    duet_dc_init_defaults(&init);
    init.max_retransmits = 1;
    init.max_packet_life_time = 1;
    assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "", &init, NULL, p->now), DUET_ERR_INVALID);
    duet_dc_init_defaults(&init);
    init.negotiated = true;
    assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "", &init, NULL, p->now), DUET_ERR_INVALID);
    init.negotiated = false;
    assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, label, &init, NULL, p->now), DUET_ERR_INVALID);
    init.id = 16;
    assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "", &init, NULL, p->now), DUET_ERR_LIMIT);
    init.id = DUET_DC_AUTO_ID;
    for (int i = 0; i < 8; i++)
        assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "", &init, NULL, p->now), DUET_OK);
    assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "", &init, NULL, p->now), DUET_ERR_LIMIT);
    label[65535] = 0;
    init.protocol = label;
    assert_int_equal(duet_dc_create(&dc, p->peer[1].sctp, label, &init, NULL, p->now), DUET_OK);
    pair_run(p, DUET_SECONDS(1));
    assert_int_equal(strlen(duet_dc_label(p->peer[0].last_channel)), 65535);
    assert_int_equal(strlen(duet_dc_protocol(p->peer[0].last_channel)), 65535);
    free(label);
    end(p);
}

static void a_channel_that_does_not_fit_the_negotiated_streams_closes(void **state)
{
    (void)state;
    sctp_pair *p = unconnected(16);
    channel_log low = {0}, high = {0};
    duet_dc_init init;

    duet_dc_init_defaults(&init);
    init.id = 400;
    duet_dc *dc = create(p, 0, "too high", &init, &high);
    create(p, 0, "fine", NULL, &low);
    assert_int_equal(pair_connect(p), DUET_OK);
    pair_run(p, DUET_SECONDS(1));
    assert_int_equal(high.closed, 1);
    assert_int_equal(high.opened, 0);
    assert_int_equal(duet_dc_get_state(dc), DUET_DC_CLOSED);
    assert_int_equal(low.opened, 1);
    end(p);
}

/* ---- closing --------------------------------------------------------------------------------------------------- */

static void closing_flushes_what_was_sent_and_the_id_is_free_again(void **state)
{
    (void)state;
    sctp_pair *p = connected(64);
    uint8_t *message = calloc(1, 200000);

    assert_non_null(message);
    for (int round = 0; round < 20; round++) {
        channel_log log = {0};
        duet_dc *dc = create(p, 0, "short", NULL, &log);
        assert_int_equal(duet_dc_id(dc), 0);
        pair_run(p, DUET_MS(20));
        for (int i = 0; i < 10; i++)
            assert_int_equal(duet_dc_send(dc, message, 200000, false), DUET_OK);
        duet_dc_close(dc);
        assert_int_equal(duet_dc_get_state(dc), DUET_DC_CLOSING);
        assert_int_equal(duet_dc_send(dc, message, 1, false), DUET_ERR_STATE);
        pair_run(p, DUET_SECONDS(5));
        assert_int_equal(remote[0].messages, 10);
        assert_int_equal(remote[0].closing, 1);
        assert_int_equal(remote[0].closed, 1);
        assert_int_equal(log.closing, 0); /* it knows */
        assert_int_equal(log.closed, 1);
        assert_int_equal(duet_dc_get_state(dc), DUET_DC_CLOSED);
        duet_dc_release(dc);
        duet_dc_release(remote[0].dc);
    }
    assert_int_equal(duet_sctp_deadline(p->peer[0].sctp), DUET_NEVER);
    assert_int_equal(duet_sctp_deadline(p->peer[1].sctp), DUET_NEVER);
    free(message);
    end(p);
}

static void both_sides_may_close_at_once(void **state)
{
    (void)state;
    sctp_pair *p = connected(64);
    channel_log log = {0};
    duet_dc *dc = create(p, 0, "", NULL, &log);

    pair_run(p, DUET_MS(100));
    duet_dc_close(dc);
    duet_dc_close(remote[0].dc);
    duet_dc_close(dc);
    pair_run(p, DUET_SECONDS(2));
    assert_int_equal(log.closed, 1);
    assert_int_equal(remote[0].closed, 1);
    end(p);
}

static void many_channels_close_together(void **state)
{
    (void)state;
    sctp_pair *p = connected(512);
    static channel_log logs[200];
    static duet_dc *dcs[200];

    memset(logs, 0, sizeof(logs));
    for (int i = 0; i < 200; i++)
        dcs[i] = create(p, 0, "", NULL, &logs[i]);
    pair_run(p, DUET_SECONDS(1));
    for (int i = 0; i < 200; i++)
        duet_dc_close(dcs[i]);
    pair_run(p, DUET_SECONDS(5));
    for (int i = 0; i < 200; i++) {
        assert_int_equal(logs[i].closed, 1);
        assert_int_equal(remote[2 * i].closed, 1);
    }
    duet_sctp_stats stats;
    duet_sctp_get_stats(p->peer[0].sctp, &stats);
    assert_int_equal(stats.channels_opened, 200);
    assert_int_equal(stats.channels_closed, 200);
    end(p);
}

static void closing_survives_loss(void **state)
{
    (void)state;
    sctp_pair *p = connected(64);

    p->loss = 0.3;
    for (int round = 0; round < 10; round++) {
        channel_log log = {0};
        duet_dc *dc = create(p, 0, "", NULL, &log);
        duet_dc_send(dc, "last words", 10, true);
        duet_dc_close(dc);
        pair_run(p, DUET_SECONDS(60));
        assert_int_equal(log.closed, 1);
        assert_int_equal(remote[0].messages, 1);
        assert_int_equal(remote[0].closed, 1);
    }
    end(p);
}

static void a_released_channel_is_heard_of_no_more(void **state)
{
    (void)state;
    sctp_pair *p = connected(64);
    channel_log log = {0};
    duet_dc *dc = create(p, 0, "", NULL, &log);

    pair_run(p, DUET_MS(100));
    assert_int_equal(duet_dc_send(remote[0].dc, "x", 1, true), DUET_OK);
    duet_dc_release(dc);
    pair_run(p, DUET_SECONDS(1));
    assert_int_equal(log.messages + log.closed + log.closing, 0);
    assert_int_equal(remote[0].closed, 1);
    duet_dc_release(remote[0].dc);
    end(p);
}

static void release_on_close(void *user, duet_dc *dc)
{
    log_close(user, dc);
    duet_dc_release(dc);
}

static void a_handle_may_be_released_in_its_last_event(void **state)
{
    (void)state;
    sctp_pair *p = connected(64);
    channel_log log = {0};
    duet_dc *dc = create(p, 0, "", NULL, &log);
    duet_dc_callbacks c = log_callbacks(&log);

    c.on_close = release_on_close;
    duet_dc_set_callbacks(dc, &c);
    pair_run(p, DUET_MS(100));
    duet_dc_close(dc);
    pair_run(p, DUET_SECONDS(1));
    assert_int_equal(log.closed, 1);
    end(p);
}

static void ending_the_association_closes_all_channels_on_both_sides(void **state)
{
    (void)state;
    sctp_pair *p = connected(64);
    channel_log log = {0};
    duet_dc *dc = create(p, 0, "", NULL, &log), *out;

    pair_run(p, DUET_MS(100));
    duet_sctp_close(p->peer[0].sctp, p->now);
    assert_int_equal(log.closed, 1);
    assert_int_equal(duet_sctp_get_state(p->peer[0].sctp), DUET_SCTP_CLOSED);
    pair_run(p, DUET_MS(100));
    assert_int_equal(remote[0].closed, 1);
    assert_int_equal(duet_sctp_get_state(p->peer[1].sctp), DUET_SCTP_CLOSED);
    assert_int_equal(duet_dc_send(dc, "x", 1, true), DUET_ERR_STATE);
    assert_int_equal(duet_dc_create(&out, p->peer[1].sctp, "", NULL, NULL, p->now), DUET_ERR_STATE);
    assert_int_equal(duet_sctp_deadline(p->peer[0].sctp), DUET_NEVER);
    assert_int_equal(duet_sctp_deadline(p->peer[1].sctp), DUET_NEVER);
    end(p);
}

static void an_unreachable_peer_ends_the_association(void **state)
{
    (void)state;
    sctp_pair *p = connected(64);
    channel_log log = {0};
    duet_dc *dc = create(p, 0, "", NULL, &log);

    pair_run(p, DUET_MS(100));
    p->loss = 1;
    assert_int_equal(duet_dc_send(dc, "x", 1, true), DUET_OK);
    pair_run(p, DUET_SECONDS(600));
    assert_int_equal(duet_sctp_get_state(p->peer[0].sctp), DUET_SCTP_CLOSED);
    assert_int_equal(log.closed, 1);
    end(p);
}

static void nobody_answers(void **state)
{
    (void)state;
    sctp_pair *p = unconnected(64);
    channel_log log = {0};

    create(p, 0, "", NULL, &log);
    p->loss = 1;
    assert_int_equal(pair_connect(p), DUET_OK);
    pair_run(p, DUET_SECONDS(600));
    assert_int_equal(duet_sctp_get_state(p->peer[0].sctp), DUET_SCTP_CLOSED);
    assert_int_equal(log.closed, 1);
    assert_int_equal(log.opened, 0);
    end(p);
}

/* ---- promises -------------------------------------------------------------------------------------------------- */

static void reliable_channels_lose_nothing_and_keep_the_order(void **state)
{
    (void)state;
    sctp_pair *p = connected(64);
    channel_log log = {0};
    duet_dc *dc = create(p, 0, "", NULL, &log);

    p->loss = 0.1;
    for (uint32_t i = 0; i < 500; i++) {
        assert_int_equal(duet_dc_send(dc, &i, sizeof(i), false), DUET_OK);
        pair_run(p, DUET_MS(5));
        if (remote[0].messages > 0) {
            uint32_t last;
            memcpy(&last, remote[0].last, sizeof(last));
            assert_int_equal(last, remote[0].messages - 1);
        }
    }
    pair_run(p, DUET_SECONDS(60));
    assert_int_equal(remote[0].messages, 500);
    end(p);
}

static unsigned arrived_of_500(int max_retransmits, int life_time, bool unordered, double loss)
{
    sctp_pair *p = connected(64);
    channel_log log = {0};
    duet_dc_init init;

    duet_dc_init_defaults(&init);
    init.max_retransmits = max_retransmits;
    init.max_packet_life_time = life_time;
    init.unordered = unordered;
    duet_dc *dc = create(p, 0, "", &init, &log);
    pair_run(p, DUET_MS(100));
    p->loss = loss;
    for (uint32_t i = 0; i < 500; i++) {
        assert_int_equal(duet_dc_send(dc, &i, sizeof(i), false), DUET_OK);
        pair_run(p, DUET_MS(20));
    }
    pair_run(p, DUET_SECONDS(30));
    unsigned messages = remote[0].messages;
    assert_int_equal(duet_sctp_deadline(p->peer[0].sctp), DUET_NEVER); /* nothing waits for ever */
    end(p);
    return messages;
}

static void partially_reliable_channels_give_up_as_they_promise(void **state)
{
    (void)state;
    assert_int_equal(arrived_of_500(-1, -1, true, 0.2), 500);
    unsigned none = arrived_of_500(0, -1, true, 0.2);
    assert_true(none > 300 && none < 480);
    unsigned one = arrived_of_500(1, -1, false, 0.2);
    assert_true(one > none && one < 500);
    assert_int_equal(arrived_of_500(0, -1, true, 0), 500);
}

static uint8_t seen[64];
static size_t seen_count;

static void note_first_byte(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    (void)user, (void)dc, (void)is_text;
    if (len && seen_count < sizeof(seen))
        seen[seen_count++] = data[0];
}

static void note_channel(sctp_pair *p, int side, duet_dc *dc)
{
    (void)p, (void)side;
    duet_dc_callbacks c = {.size = sizeof(c), .on_message = note_first_byte};
    duet_dc_set_callbacks(dc, &c);
}

static bool lose_one;

static bool lose_next_data(sctp_pair *p, int from, const uint8_t *data, size_t len)
{
    (void)p;
    if (!lose_one || from != 0 || len < 16 || data[12] != 0)
        return true;
    lose_one = false;
    return false;
}

static void an_unordered_message_overtakes_a_lost_one(void **state)
{
    (void)state;
    for (int unordered = 0; unordered < 2; unordered++) {
        sctp_pair *p = connected(64);
        channel_log log = {0};
        duet_dc_init init;
        duet_dc_init_defaults(&init);
        init.unordered = unordered;
        p->on_channel = note_channel;
        duet_dc *dc = create(p, 0, "", &init, &log);
        pair_run(p, DUET_MS(100)); /* acknowledged */
        seen_count = 0;
        p->filter = lose_next_data;
        lose_one = true;
        assert_int_equal(duet_dc_send(dc, "A", 1, true), DUET_OK);
        assert_int_equal(duet_dc_send(dc, "B", 1, true), DUET_OK);
        pair_run(p, DUET_SECONDS(2));
        assert_int_equal(seen_count, 2);
        assert_int_equal(seen[0], unordered ? 'B' : 'A');
        end(p);
    }
}

static bool lose_acks(sctp_pair *p, int from, const uint8_t *data, size_t len)
{
    (void)p;
    /* drop whatever carries DATA from side 1: its DCEP ACK */
    return !(from == 1 && len >= 16 && data[12] == 0);
}

static void before_the_ack_unordered_messages_go_ordered(void **state)
{
    (void)state;
    sctp_pair *p = connected(64);
    channel_log log = {0};
    duet_dc_init init;

    duet_dc_init_defaults(&init);
    init.unordered = true;
    p->on_channel = note_channel;
    p->filter = lose_acks;
    duet_dc *dc = create(p, 0, "", &init, &log);
    pair_run(p, DUET_MS(30));
    seen_count = 0;
    p->filter = lose_next_data;
    lose_one = true;
    assert_int_equal(duet_dc_send(dc, "A", 1, true), DUET_OK);
    assert_int_equal(duet_dc_send(dc, "B", 1, true), DUET_OK);
    pair_run(p, DUET_SECONDS(2));
    assert_int_equal(seen_count, 2);
    assert_int_equal(seen[0], 'A');
    end(p);
}

/* ---- many ------------------------------------------------------------------------------------------------------ */

static void a_thousand_channels_echo_at_once(void **state)
{
    (void)state;
    sctp_pair *p = connected(2048);
    static channel_log logs[1000];
    static duet_dc *dcs[1000];
    char text[32];

    memset(logs, 0, sizeof(logs));
    remote_echo = true;
    for (int i = 0; i < 1000; i++)
        dcs[i] = create(p, 0, "", NULL, &logs[i]);
    pair_run(p, DUET_SECONDS(2));
    assert_int_equal(p->peer[1].channels, 1000);
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < 1000; i++) {
            int len = snprintf(text, sizeof(text), "message %d of channel %d", round, i);
            assert_int_equal(duet_dc_send(dcs[i], text, (size_t)len, true), DUET_OK);
        }
        pair_run(p, DUET_SECONDS(3));
        for (int i = 0; i < 1000; i++) {
            int len = snprintf(text, sizeof(text), "message %d of channel %d", round, i);
            assert_int_equal(logs[i].messages, round);
            assert_memory_equal(logs[i].last, text, (size_t)len);
        }
    }
    for (int i = 0; i < 1000; i++)
        free(logs[i].last);
    end(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_created_before_the_association_open_with_it),
        cmocka_unit_test(both_sides_take_ids_of_their_own_parity),
        cmocka_unit_test(every_property_arrives_at_the_other_side),
        cmocka_unit_test(a_negotiated_channel_needs_no_messages_of_its_own),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(a_channel_that_does_not_fit_the_negotiated_streams_closes),
        cmocka_unit_test(closing_flushes_what_was_sent_and_the_id_is_free_again),
        cmocka_unit_test(both_sides_may_close_at_once),
        cmocka_unit_test(many_channels_close_together),
        cmocka_unit_test(closing_survives_loss),
        cmocka_unit_test(a_released_channel_is_heard_of_no_more),
        cmocka_unit_test(a_handle_may_be_released_in_its_last_event),
        cmocka_unit_test(ending_the_association_closes_all_channels_on_both_sides),
        cmocka_unit_test(an_unreachable_peer_ends_the_association),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(reliable_channels_lose_nothing_and_keep_the_order),
        cmocka_unit_test(partially_reliable_channels_give_up_as_they_promise),
        cmocka_unit_test(an_unordered_message_overtakes_a_lost_one),
        cmocka_unit_test(before_the_ack_unordered_messages_go_ordered),
        cmocka_unit_test(a_thousand_channels_echo_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
