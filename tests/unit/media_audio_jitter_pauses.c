/* Pauses and redundancy in the audio jitter buffer, packet by packet: comfort noise (RFC 3389) is no concealment, and what a later
 * packet brought again (RFC 2198) is played in its place. */
#include "duet/jitter.h"
#include "test.h"

#define RATE 48000

typedef struct call {
    duet_audio_jitter *buffer;
    duet_time now;
} call;

static call *begin(void)
{
    call *c = calloc(1, sizeof(*c));
    duet_audio_jitter_config config;

    assert_non_null(c);
    duet_audio_jitter_config_init(&config);
    config.clock_rate = RATE;
    assert_int_equal(duet_audio_jitter_create(&c->buffer, &config), DUET_OK);
    return c;
}

static void end(call *c)
{
    duet_audio_jitter_destroy(c->buffer);
    free(c);
}

static duet_audio_piece next(call *c)
{
    duet_audio_piece p;

    duet_audio_jitter_next(c->buffer, &p, false, c->now);
    return p;
}

static duet_audio_jitter_stats stats_of(const call *c)
{
    duet_audio_jitter_stats stats;

    duet_audio_jitter_get_stats(c->buffer, &stats);
    return stats;
}

static int insert(call *c, int64_t sequence, uint32_t timestamp, bool is_noise, bool is_redundancy)
{
    static const uint8_t payload[50] = {'T'};
    duet_jitter_packet packet = {.sequence = sequence,
                                 .timestamp = timestamp,
                                 .payload_type = is_noise ? 13 : 111,
                                 .payload = payload,
                                 .len = is_noise ? 1 : 50,
                                 .time = c->now,
                                 .is_redundancy = is_redundancy,
                                 .is_comfort_noise = is_noise};

    return duet_audio_jitter_insert(c->buffer, &packet);
}

static void assert_noise(call *c, bool is_new)
{
    duet_audio_piece p = next(c);

    assert_int_equal(p.action, DUET_AUDIO_NOISE);
    assert_int_equal(p.samples, 960);
    assert_int_equal(p.data != NULL, is_new);
    assert_true(!is_new || (p.len == 1 && p.payload_type == 13));
    c->now += DUET_MS(20);
}

static void comfort_noise_fills_a_pause_however_long(void **state)
{
    static const int pauses[] = {1, 2, 3, 10, 99, 150, 1000}; /* packets of 20 ms; after two seconds it begins anew */
    call *c = begin();
    int64_t sequence = 100;
    uint32_t timestamp = UINT32_MAX - 10 * 960;

    (void)state;
    insert(c, sequence++, timestamp, false, false);
    assert_int_equal(next(c).action, DUET_AUDIO_DECODE);
    c->now += DUET_MS(20);
    for (size_t k = 0; k < sizeof(pauses) / sizeof(pauses[0]); k++) {
        insert(c, sequence++, timestamp += 960, true, false);
        assert_noise(c, true);
        for (int i = 1; i < pauses[k]; i++)
            assert_noise(c, false);
        timestamp += 960 * (uint32_t)pauses[k];
        insert(c, sequence++, timestamp, false, false);
        duet_audio_piece p = next(c);
        for (int i = 0; p.action == DUET_AUDIO_NOISE && i < 2; p = next(c), i++) /* what the delay is longer now */
            c->now += (duet_time)p.samples * 1000000 / RATE;
        assert_int_equal(p.action, DUET_AUDIO_DECODE);
        assert_int_equal(p.timestamp, timestamp);
        c->now += DUET_MS(20);
    }
    assert_int_equal(stats_of(c).concealed_samples, 0);
    assert_int_equal(stats_of(c).concealment_events, 0);
    end(c);
}

static void noise_that_was_lost_is_heard_with_the_next(void **state)
{
    call *c = begin();

    (void)state;
    insert(c, 100, 0, false, false);
    assert_int_equal(next(c).action, DUET_AUDIO_DECODE);
    c->now = DUET_MS(20);
    for (; c->now < DUET_MS(220); c->now += DUET_MS(20))
        assert_int_equal(next(c).action, DUET_AUDIO_CONCEAL); /* 101 would have told */
    insert(c, 102, 960 * 11, true, false);
    while (next(c).action == DUET_AUDIO_CONCEAL && c->now < DUET_MS(600))
        c->now += DUET_MS(20);
    assert_true(c->now < DUET_MS(500));
    uint64_t concealed = stats_of(c).concealed_samples;
    c->now += DUET_MS(20);
    assert_noise(c, false);
    insert(c, 104, 960 * 40, true, false); /* 103 is lost, and nobody hears it */
    for (int i = 0; i < 30; i++) {
        assert_int_equal(next(c).action, DUET_AUDIO_NOISE);
        c->now += DUET_MS(20);
    }
    assert_int_equal(stats_of(c).concealed_samples, concealed);
    end(c);
}

static void redundancy_is_played_in_its_place(void **state)
{
    call *c = begin();

    (void)state;
    duet_audio_jitter_set_delay_min(c->buffer, DUET_MS(60));
    insert(c, 100, 0, false, false);
    c->now = DUET_MS(40);
    insert(c, 102, 1920, false, false);
    assert_int_equal(insert(c, 101, 960, false, true), DUET_OK);
    assert_int_equal(insert(c, 101, 960, false, false), DUET_ERR_NOT_FOUND); /* it was only late */
    for (uint32_t i = 0; i < 3; i++) {
        c->now = DUET_MS(60 + 20 * i);
        duet_audio_piece p = next(c);
        assert_int_equal(p.action, DUET_AUDIO_DECODE);
        assert_int_equal(p.timestamp, 960 * i);
    }
    assert_int_equal(insert(c, 99, (uint32_t)-960, false, true), DUET_ERR_STATE);
    assert_int_equal(insert(c, 98, (uint32_t)-1920, false, true), DUET_ERR_STATE);
    assert_int_equal(stats_of(c).packets_late, 0);
    assert_int_equal(stats_of(c).concealed_samples, 0);
    end(c);
}

/* As it arrives one packet later, the delay has to have room for it. */
static void the_delay_leaves_room_for_redundancy(void **state)
{
    duet_time targets[2];
    (void)state;

    for (int is_redundant = 0; is_redundant < 2; is_redundant++) {
        call *c = begin();
        for (int64_t i = 0; i < 1000; i++, c->now += DUET_MS(20)) {
            bool is_lost = is_redundant && i % 20 == 19;
            if (!is_lost)
                insert(c, 1000 + i, (uint32_t)i * 960, false, false);
            if (is_redundant && i % 20 == 0 && i > 0)
                insert(c, 999 + i, (uint32_t)(i - 1) * 960, false, true);
            (void)next(c);
        }
        targets[is_redundant] = stats_of(c).target_delay;
        assert_true(stats_of(c).concealed_samples < 5 * 960);
        end(c);
    }
    assert_int_equal(targets[1], targets[0] + DUET_MS(20));
}

static void fec_that_was_not_there_is_concealment(void **state)
{
    call *c = begin();

    (void)state;
    insert(c, 100, 0, false, false);
    insert(c, 102, 1920, false, false);
    duet_audio_jitter_had_no_fec(c->buffer); /* nothing was asked yet */
    while (next(c).action != DUET_AUDIO_DECODE_FEC)
        c->now += DUET_MS(20);
    assert_int_equal(stats_of(c).fec_packets, 1);
    uint64_t played = stats_of(c).samples_played;
    duet_audio_jitter_had_no_fec(c->buffer);
    duet_audio_jitter_had_no_fec(c->buffer); /* once is enough */
    assert_int_equal(stats_of(c).fec_packets, 0);
    assert_int_equal(stats_of(c).concealed_samples, 960);
    assert_int_equal(stats_of(c).concealment_events, 1);
    assert_int_equal(stats_of(c).samples_played, played);
    end(c);
}

/* Sound that never pauses, to a player that does not ask for some time. */
static void a_player_that_was_away_goes_on_with_what_is_new(void **state)
{
    static const int absences[] = {30, 250, 600, 3000}; /* packets of 20 ms; 512 are kept */
    (void)state;

    for (size_t i = 0; i < sizeof(absences) / sizeof(absences[0]); i++) {
        call *c = begin();
        int64_t sequence = 100;
        for (int n = 0; n < 200 + absences[i]; n++, sequence++, c->now += DUET_MS(20)) {
            assert_int_equal(insert(c, sequence, (uint32_t)sequence * 960, false, false), DUET_OK);
            if (n < 100 || n >= 100 + absences[i])
                assert_int_equal(next(c).action, DUET_AUDIO_DECODE);
        }
        assert_true(stats_of(c).current_delay <= DUET_MS(20));
        assert_int_equal(stats_of(c).concealed_samples, 0);
        end(c);
    }
}

static void a_jump_of_the_timestamps_counts_as_no_acceleration(void **state)
{
    static const uint32_t jumps[] = {0x40000000, 0x80000000, 0xc0000000, 48000 * 3600};
    (void)state;

    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        call *c = begin();
        for (int64_t sequence = 100; sequence < 200; sequence++, c->now += DUET_MS(20)) {
            uint32_t timestamp = (uint32_t)sequence * 960 + (sequence < 150 ? 0 : jumps[i]);
            assert_int_equal(insert(c, sequence, timestamp, false, false), DUET_OK);
            (void)next(c);
        }
        assert_true(stats_of(c).removed_for_acceleration < 48000);
        assert_true(stats_of(c).current_delay < DUET_MS(100));
        end(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comfort_noise_fills_a_pause_however_long),
        cmocka_unit_test(noise_that_was_lost_is_heard_with_the_next),
        cmocka_unit_test(redundancy_is_played_in_its_place),
        cmocka_unit_test(the_delay_leaves_room_for_redundancy),
        cmocka_unit_test(fec_that_was_not_there_is_concealment),
        cmocka_unit_test(a_player_that_was_away_goes_on_with_what_is_new),
        cmocka_unit_test(a_jump_of_the_timestamps_counts_as_no_acceleration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
