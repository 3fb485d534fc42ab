/* The audio jitter buffer in virtual time: a sender of 20 ms packets with talk and silence, a network, and a player that takes
 * piece after piece. */
#include "duet/jitter.h"
#include "test.h"

#define RATE         48000
#define ON_THE_WAY   1024
#define DTX_INTERVAL 20 /* packets between two of a pause: 400 ms */

typedef struct flying {
    duet_time at;
    duet_jitter_packet packet;
    uint8_t payload[8];
} flying;

typedef struct call {
    double loss, duplicates;
    duet_time delay, jitter;
    uint32_t packet_samples;
    bool dtx, never_silent;
    int drift_ppm; /* the sender's clock is so much too fast */
    uint64_t seed;

    duet_audio_jitter *buffer;
    duet_time now, next_sent, next_piece;
    uint32_t sent, timestamp, packets;
    int64_t sequence;
    flying way[ON_THE_WAY];
    size_t way_count;
    bool last_was_silent;

    uint32_t decoded, fec, concealed, silences, noises, skipped, waits;
    uint32_t last_number;
    duet_time worst_delay;
} call;

static call *new_call(void)
{
    call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    c->delay = DUET_MS(30);
    c->packet_samples = 960;
    c->seed = 3;
    c->sequence = 70000;
    c->timestamp = UINT32_MAX - RATE;
    return c;
}

static void begin(call *c, const duet_env *env)
{
    duet_audio_jitter_config config;

    duet_audio_jitter_config_init(&config);
    config.env = env;
    config.clock_rate = RATE;
    assert_int_equal(duet_audio_jitter_create(&c->buffer, &config), DUET_OK);
}

static void end(call *c)
{
    duet_audio_jitter_destroy(c->buffer);
    free(c);
}

static duet_audio_jitter_stats stats_of(const call *c)
{
    duet_audio_jitter_stats stats;

    duet_audio_jitter_get_stats(c->buffer, &stats);
    return stats;
}

/* Two seconds of talk, one of silence. */
static bool is_silent(const call *c, uint32_t number)
{
    return !c->never_silent && number * c->packet_samples % (3 * RATE) >= 2 * RATE;
}

static void put_on_the_way(call *c, const flying *f)
{
    assert_true(c->way_count < ON_THE_WAY);
    c->way[c->way_count] = *f;
    c->way[c->way_count].packet.payload = NULL;
    c->way_count++;
}

/* The payload is the packet's number and whether it is silent; in DTX most of a pause is not sent. */
static void send_packet(call *c)
{
    bool silent = is_silent(c, c->sent);
    bool leave_out = c->dtx && silent && is_silent(c, c->sent - 1) && c->sent % DTX_INTERVAL != 0;

    if (!leave_out) {
        flying f = {.packet = {.sequence = c->sequence++,
                               .timestamp = c->timestamp,
                               .payload_type = 111,
                               .len = silent && c->dtx ? 2 : 6}};
        f.payload[0] = silent ? 'S' : 'T';
        f.payload[1] = (uint8_t)(c->packet_samples / 120); /* a decoder knows */
        f.payload[2] = (uint8_t)(c->sent >> 16);
        f.payload[3] = (uint8_t)(c->sent >> 8);
        f.payload[4] = (uint8_t)c->sent;
        f.at = c->next_sent + c->delay + (c->jitter ? test_random_below(&c->seed, c->jitter) : 0);
        c->packets++;
        if (!duet_seeded_chance(&c->seed, c->loss))
            put_on_the_way(c, &f);
        if (duet_seeded_chance(&c->seed, c->duplicates))
            put_on_the_way(c, &f);
    }
    c->sent++;
    c->timestamp += c->packet_samples;
    duet_time step = (duet_time)c->packet_samples * 1000000 / RATE;
    c->next_sent += step - (duet_time)((int64_t)step * c->drift_ppm / 1000000);
}

static flying *first_on_the_way(call *c)
{
    flying *first = NULL;

    for (size_t i = 0; i < c->way_count; i++)
        if (!first || c->way[i].at < first->at)
            first = &c->way[i];
    return first;
}

static void arrive(call *c, flying *f)
{
    f->packet.payload = f->payload;
    f->packet.time = c->now;
    (void)duet_audio_jitter_insert(c->buffer, &f->packet);
    *f = c->way[--c->way_count];
}

static uint32_t number_of(const duet_audio_piece *p)
{
    return (uint32_t)p->data[2] << 16 | (uint32_t)p->data[3] << 8 | p->data[4];
}

static void play_piece(call *c)
{
    duet_audio_piece p;
    duet_audio_jitter_stats stats;

    duet_audio_jitter_next(c->buffer, &p, c->last_was_silent, c->now);
    assert_true(p.samples > 0 && p.samples <= RATE / 10);
    switch (p.action) {
    case DUET_AUDIO_DECODE:
        if (p.len > 2) {
            assert_true(number_of(&p) > c->last_number || c->decoded == 0); /* in order */
            c->last_number = number_of(&p);
        }
        assert_int_equal(p.payload_type, 111);
        p.samples = p.data[1] * 120u;
        c->last_was_silent = p.data[0] == 'S';
        c->decoded++;
        break;
    case DUET_AUDIO_DECODE_FEC:
        assert_true(p.data && (p.len <= 2 || number_of(&p) > c->last_number));
        c->fec++;
        break;
    case DUET_AUDIO_CONCEAL:
        *(p.is_silence ? &c->silences : &c->concealed) += 1;
        break;
    case DUET_AUDIO_SKIP:
        c->skipped++;
        return; /* at once again */
    case DUET_AUDIO_NOISE:
        c->noises++;
        break;
    case DUET_AUDIO_WAIT:
        c->waits++;
        break;
    }
    c->next_piece += (duet_time)p.samples * 1000000 / RATE;
    duet_audio_jitter_get_stats(c->buffer, &stats);
    if (stats.current_delay > c->worst_delay)
        c->worst_delay = stats.current_delay;
}

static void run(call *c, duet_time until)
{
    while (c->now < until) {
        flying *f = first_on_the_way(c);
        duet_time at = f ? f->at : DUET_NEVER;
        duet_time next = c->next_sent < c->next_piece ? c->next_sent : c->next_piece;
        c->now = at < next ? (at > c->now ? at : c->now) : next;
        if (f && at <= c->now)
            arrive(c, f);
        else if (c->next_sent <= c->now)
            send_packet(c);
        else
            play_piece(c);
    }
}

/* ---- networks -------------------------------------------------------------------------------------------------------- */

static void a_good_network_has_a_short_delay_and_no_gaps(void **state)
{
    call *c = new_call();

    (void)state;
    begin(c, NULL);
    run(c, DUET_SECONDS(60));
    assert_int_equal(c->concealed + c->silences + c->fec, 0);
    assert_in_range(c->decoded + c->skipped, c->sent - 4, c->sent);
    assert_true(c->worst_delay < DUET_MS(30));
    assert_true(stats_of(c).target_delay <= DUET_MS(5));
    end(c);
}

static void jitter_is_smoothed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        call *c = new_call();
        c->seed = seed;
        c->jitter = DUET_MS(80); /* four packets: they overtake each other all the time */
        c->duplicates = 0.05;
        begin(c, NULL);
        run(c, DUET_SECONDS(20));
        uint32_t decoded = c->decoded, made_up = c->concealed + c->fec;
        run(c, DUET_SECONDS(120));
        assert_true(c->concealed + c->fec - made_up < (c->decoded - decoded) * 4 / 100);
        assert_in_range(stats_of(c).target_delay, DUET_MS(70), DUET_MS(85));
        assert_true(stats_of(c).packets_duplicated > 100);
        assert_true(c->worst_delay < DUET_MS(130));
        end(c);
    }
}

static void the_delay_follows_the_network_down_in_silence(void **state)
{
    call *c = new_call();

    (void)state;
    c->jitter = DUET_MS(150);
    begin(c, NULL);
    run(c, DUET_SECONDS(30));
    assert_true(stats_of(c).current_delay > DUET_MS(100));
    c->jitter = 0;
    run(c, DUET_SECONDS(90));
    assert_true(stats_of(c).current_delay < DUET_MS(50));
    assert_true(stats_of(c).removed_for_acceleration > 0);
    end(c);
}

static void speech_is_not_cut_to_shorten_the_delay(void **state)
{
    call *c = new_call();

    (void)state;
    c->never_silent = true;
    c->jitter = DUET_MS(150);
    begin(c, NULL);
    run(c, DUET_SECONDS(30));
    c->jitter = 0;
    run(c, DUET_SECONDS(40));
    uint32_t skipped = c->skipped;
    run(c, DUET_SECONDS(90));
    assert_int_equal(c->skipped, skipped);
    end(c);
}

static void a_lost_packet_is_looked_for_in_the_next(void **state)
{
    call *c = new_call();

    (void)state;
    c->loss = 0.05;
    c->jitter = DUET_MS(5);
    c->never_silent = true;
    begin(c, NULL);
    run(c, DUET_SECONDS(300));
    uint32_t lost = c->packets - (uint32_t)stats_of(c).packets_inserted - (uint32_t)c->way_count;
    assert_true(lost > 500);
    /* each lost one is replaced once: from the next, or made up when that was lost too */
    assert_in_range(c->fec + c->concealed, lost - 20, lost + 20);
    assert_true(c->fec > lost * 8 / 10);
    assert_int_equal(stats_of(c).fec_packets, c->fec);
    end(c);
}

static void pauses_of_the_sender_are_not_loss(void **state)
{
    call *c = new_call();

    (void)state;
    c->dtx = true;
    c->jitter = DUET_MS(10);
    begin(c, NULL);
    run(c, DUET_SECONDS(120));
    assert_int_equal(c->fec, 0);
    assert_true(c->silences > 1000);
    assert_true(c->concealed < 10);
    assert_true(c->worst_delay < DUET_MS(60));
    assert_in_range(c->decoded + c->skipped, c->packets - 4, c->packets);
    end(c);
}

static void a_loss_in_a_pause_is_silence(void **state)
{
    call *c = new_call();

    (void)state;
    c->dtx = true;
    c->loss = 0.1;
    begin(c, NULL);
    run(c, DUET_SECONDS(120));
    assert_true(c->worst_delay < DUET_MS(200));
    assert_true(c->decoded > c->packets * 8 / 10);
    assert_true(stats_of(c).silent_concealed_samples > 20u * RATE);
    end(c);
}

static void a_stall_is_caught_up(void **state)
{
    call *c = new_call();

    (void)state;
    begin(c, NULL);
    run(c, DUET_SECONDS(10));
    c->delay += DUET_MS(700); /* nothing arrives for a while, then everything */
    run(c, DUET_SECONDS(11));
    c->delay -= DUET_MS(700);
    for (size_t i = 0; i < c->way_count; i++)
        c->way[i].at = c->now + DUET_MS(30);
    run(c, DUET_SECONDS(12));
    assert_true(c->worst_delay > DUET_MS(500));
    c->worst_delay = 0;
    run(c, DUET_SECONDS(40));
    c->worst_delay = 0;
    run(c, DUET_SECONDS(60));
    assert_true(c->worst_delay < DUET_MS(100));
    end(c);
}

/* Clocks of sound cards differ; 300 ppm make 180 ms in ten minutes. */
static void clocks_that_drift_stay_together(void **state)
{
    (void)state;
    for (int ppm = -300; ppm <= 300; ppm += 600) {
        call *c = new_call();
        c->drift_ppm = ppm;
        c->jitter = DUET_MS(10);
        begin(c, NULL);
        run(c, DUET_SECONDS(600));
        assert_true(stats_of(c).current_delay < DUET_MS(70));
        assert_true(c->worst_delay < DUET_MS(90));
        assert_true(c->concealed + c->fec < 60);
        end(c);
    }
}

static void packets_may_become_longer_and_shorter(void **state)
{
    static const uint32_t lengths[] = {960, 2880, 480, 1920, 120, 960};
    call *c = new_call();

    (void)state;
    c->never_silent = true;
    begin(c, NULL);
    for (uint32_t i = 0; i < 6; i++) {
        c->packet_samples = lengths[i];
        run(c, DUET_SECONDS(10 * (i + 1)));
    }
    assert_true(c->concealed + c->fec + c->silences < 40);
    assert_true(c->decoded + 20 > c->sent);
    end(c);
}

/* The packet that the player takes for silence, because the last one was, may be the beginning of a word. */
static void no_two_packets_are_left_out_in_a_row(void **state)
{
    call *c = new_call();
    duet_audio_piece p;
    bool skipped = false;

    (void)state;
    c->jitter = DUET_MS(200);
    begin(c, NULL);
    run(c, DUET_SECONDS(20));
    c->jitter = 0;
    for (int i = 0; i < 5000; i++) {
        duet_audio_jitter_next(c->buffer, &p, true, c->now);
        assert_false(skipped && p.action == DUET_AUDIO_SKIP);
        skipped = p.action == DUET_AUDIO_SKIP;
        c->skipped += skipped;
        if (!skipped)
            c->now += DUET_MS(20);
        while (c->next_sent <= c->now)
            send_packet(c);
        for (flying *f; (f = first_on_the_way(c)) && f->at <= c->now;)
            arrive(c, f);
    }
    assert_true(c->skipped > 3);
    end(c);
}

/* ---- packets one by one ---------------------------------------------------------------------------------------------- */

static int insert(call *c, int64_t sequence, uint32_t timestamp, size_t len)
{
    static const uint8_t payload[70000] = {'T'};
    duet_jitter_packet packet = {.sequence = sequence,
                                 .timestamp = timestamp,
                                 .payload_type = 111,
                                 .payload = payload,
                                 .len = len,
                                 .time = c->now};

    return duet_audio_jitter_insert(c->buffer, &packet);
}

static duet_audio_piece next(call *c)
{
    duet_audio_piece p;

    duet_audio_jitter_next(c->buffer, &p, false, c->now);
    return p;
}

static void the_player_waits_until_something_has_come(void **state)
{
    call *c = new_call();

    (void)state;
    begin(c, NULL);
    assert_int_equal(next(c).action, DUET_AUDIO_WAIT);
    insert(c, 100, 0, 50);
    duet_audio_piece p = next(c);
    assert_int_equal(p.action, DUET_AUDIO_DECODE);
    assert_int_equal(p.len, 50);
    assert_int_equal(p.timestamp, 0);
    assert_int_equal(p.samples, 960);
    p = next(c);
    assert_int_equal(p.action, DUET_AUDIO_CONCEAL);
    assert_false(p.is_silence);
    end(c);
}

static void losses_become_concealment_and_then_fec(void **state)
{
    call *c = new_call();

    (void)state;
    begin(c, NULL);
    duet_audio_jitter_set_delay_min(c->buffer, DUET_MS(100));
    insert(c, 100, 0, 50);
    c->now = DUET_MS(80);
    insert(c, 104, 3840, 60);
    assert_int_equal(next(c).action, DUET_AUDIO_WAIT);
    c->now = DUET_MS(100);
    assert_int_equal(next(c).action, DUET_AUDIO_DECODE);
    duet_audio_piece p = next(c);
    assert_int_equal(p.action, DUET_AUDIO_CONCEAL);
    assert_int_equal(p.timestamp, 960);
    assert_int_equal(insert(c, 101, 960, 50), DUET_ERR_STATE); /* played already */
    assert_int_equal(insert(c, 102, 1920, 50), DUET_OK);
    p = next(c);
    assert_int_equal(p.action, DUET_AUDIO_DECODE);
    assert_int_equal(p.timestamp, 1920);
    p = next(c);
    assert_int_equal(p.action, DUET_AUDIO_DECODE_FEC);
    assert_int_equal(p.timestamp, 2880);
    assert_int_equal(p.len, 60);
    p = next(c);
    assert_int_equal(p.action, DUET_AUDIO_DECODE);
    assert_int_equal(p.timestamp, 3840);
    assert_int_equal(p.len, 60);
    assert_int_equal(stats_of(c).packets_late, 1);
    end(c);
}

static void a_wished_delay_is_reached_in_silence(void **state)
{
    call *c = new_call();

    (void)state;
    begin(c, NULL);
    run(c, DUET_SECONDS(10));
    duet_audio_jitter_set_delay_min(c->buffer, DUET_MS(200));
    run(c, DUET_SECONDS(20));
    assert_in_range(stats_of(c).current_delay, DUET_MS(170), DUET_MS(225));
    assert_true(stats_of(c).inserted_for_deceleration > 0);
    duet_audio_jitter_set_delay_min(c->buffer, 0);
    run(c, DUET_SECONDS(30));
    assert_true(stats_of(c).current_delay < DUET_MS(50));
    end(c);
}

static void the_buffer_is_bounded(void **state)
{
    call *c = new_call();

    (void)state;
    begin(c, NULL);
    for (uint32_t i = 0; i < 2000; i++)
        assert_int_equal(insert(c, 100 + i, i * 960, 100), DUET_OK);
    assert_int_equal(stats_of(c).packets_discarded, 2000 - 512);
    assert_int_equal(insert(c, 5000, 0, 70000), DUET_ERR_TOO_LARGE);
    assert_int_equal(insert(c, 1000000, 0, 100), DUET_OK); /* far ahead */
    assert_int_equal(stats_of(c).packets_discarded, 2000);
    for (uint32_t i = 0; i < 100; i++)
        insert(c, 1000001 + i, 960 + i * 960, 60000);
    assert_true(stats_of(c).packets_discarded > 2080);
    assert_int_equal(insert(c, -5, 0, 100), DUET_ERR_INVALID);
    assert_int_equal(insert(c, INT64_MAX, 0, 100), DUET_ERR_INVALID);
    end(c);
}

static void timestamps_that_jump_do_not_stop_the_sound(void **state)
{
    static const uint32_t jumps[] = {1u << 31, 1u << 30, 0u - (1u << 30), RATE * 5, 0u - RATE * 5};

    (void)state;
    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        call *c = new_call();
        c->jitter = DUET_MS(10);
        begin(c, NULL);
        run(c, DUET_SECONDS(10));
        c->timestamp += jumps[i];
        uint32_t decoded = c->decoded;
        run(c, DUET_SECONDS(20));
        assert_true(c->decoded - decoded > 450);
        assert_true(stats_of(c).current_delay < DUET_MS(100));
        end(c);
    }
}

static void sequence_numbers_that_begin_anew_are_followed(void **state)
{
    call *c = new_call();

    (void)state;
    c->sequence = 200000;
    begin(c, NULL);
    run(c, DUET_SECONDS(10));
    c->sequence = 66000;
    c->timestamp = 12345;
    uint32_t decoded = c->decoded;
    run(c, DUET_SECONDS(20));
    assert_true(c->decoded - decoded > 480);
    end(c);
}

static void a_sender_that_stops_is_not_concealed_for_ever(void **state)
{
    call *c = new_call();

    (void)state;
    begin(c, NULL);
    run(c, DUET_SECONDS(5));
    c->loss = 1;
    run(c, DUET_SECONDS(15));
    assert_in_range(c->concealed + c->silences, 95, 105);
    assert_true(c->waits > 300);
    c->loss = 0;
    uint32_t decoded = c->decoded;
    run(c, DUET_SECONDS(25));
    assert_true(c->decoded - decoded > 480);
    assert_true(stats_of(c).current_delay < DUET_MS(60));
    end(c);
}

static void padding_has_no_sound(void **state)
{
    call *c = new_call();

    (void)state;
    begin(c, NULL);
    insert(c, 99, 0, 0);
    insert(c, 100, 0, 50);
    c->now = DUET_MS(20);
    insert(c, 101, 0, 0);
    insert(c, 102, 960, 51);
    assert_int_equal(next(c).len, 50);
    assert_int_equal(next(c).len, 51);
    end(c);
}

/* ---- memory ------------------------------------------------------------------------------------------------------------ */

static int run_short_call(const duet_env *env, void *arg)
{
    test_allocator *t = env->allocator->user;
    duet_audio_jitter_config config;
    duet_audio_jitter *made;

    (void)arg;
    duet_audio_jitter_config_init(&config);
    config.env = env;
    config.clock_rate = RATE;
    int err = duet_audio_jitter_create(&made, &config);
    if (err)
        return err;
    call *c = new_call();
    c->buffer = made;
    c->jitter = DUET_MS(100);
    run(c, DUET_SECONDS(10));
    assert_true(c->decoded > 450);
    bool failed = t->fail_at && t->calls >= t->fail_at;
    end(c);
    return failed ? DUET_ERR_NOMEM : DUET_OK;
}

static void failing_allocations_cost_a_packet(void **state)
{
    (void)state;
    test_fail_each_allocation("audio jitter", run_short_call, NULL);
}

static void a_buffer_that_has_grown_needs_no_memory(void **state)
{
    test_allocator t;
    duet_env env = DUET_ENV_INIT;
    call *c = new_call();

    (void)state;
    test_allocator_init(&t, 0);
    env.allocator = &t.allocator;
    c->jitter = DUET_MS(50);
    c->loss = 0.01;
    begin(c, &env);
    run(c, DUET_SECONDS(60));
    uint64_t before = t.calls;
    run(c, DUET_SECONDS(120));
    assert_int_equal(t.calls, before);
    end(c);
    assert_int_equal(t.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_network_has_a_short_delay_and_no_gaps),
        cmocka_unit_test(jitter_is_smoothed),
        cmocka_unit_test(the_delay_follows_the_network_down_in_silence),
        cmocka_unit_test(speech_is_not_cut_to_shorten_the_delay),
        cmocka_unit_test(a_lost_packet_is_looked_for_in_the_next),
        cmocka_unit_test(pauses_of_the_sender_are_not_loss),
        cmocka_unit_test(a_loss_in_a_pause_is_silence),
        cmocka_unit_test(a_stall_is_caught_up),
        cmocka_unit_test(clocks_that_drift_stay_together),
        cmocka_unit_test(packets_may_become_longer_and_shorter),
        cmocka_unit_test(no_two_packets_are_left_out_in_a_row),
        cmocka_unit_test(the_player_waits_until_something_has_come),
        cmocka_unit_test(losses_become_concealment_and_then_fec),
        cmocka_unit_test(a_wished_delay_is_reached_in_silence),
        cmocka_unit_test(the_buffer_is_bounded),
        cmocka_unit_test(timestamps_that_jump_do_not_stop_the_sound),
        cmocka_unit_test(sequence_numbers_that_begin_anew_are_followed),
        cmocka_unit_test(a_sender_that_stops_is_not_concealed_for_ever),
        cmocka_unit_test(padding_has_no_sound),
        cmocka_unit_test(failing_allocations_cost_a_packet),
        cmocka_unit_test(a_buffer_that_has_grown_needs_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
