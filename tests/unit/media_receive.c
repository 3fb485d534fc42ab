/* What a receiver makes of sequence numbers, and which lost packets it asks for when. */
#include "base/memory.h"
#include "media/internal.h"
#include "test.h"

static duet_env the_env;

/* ---- RFC 3550 appendix A ------------------------------------------------------------------------------------------- */

static void loss_is_counted_by_interval_and_in_all(void **state)
{
    (void)state;
    rtp_reception r = {0};
    duet_rtcp_report_block block;
    int64_t extended;

    for (uint16_t i = 0; i < 100; i++) {
        if (i % 4 != 3)
            duet_rtp_reception_add(&r, (uint16_t)(65500 + i), &extended);
    }
    duet_rtp_reception_report(&r, &block);
    /* The last one, 63, was not lost as far as anybody knows. */
    assert_int_equal(block.cumulative_lost, 24);
    assert_int_equal(block.fraction_lost, 24 * 256 / 99);
    assert_int_equal(block.highest_sequence, 65536 + 62);
    for (uint16_t i = 100; i < 200; i++)
        duet_rtp_reception_add(&r, (uint16_t)(65500 + i), &extended);
    duet_rtp_reception_report(&r, &block);
    assert_int_equal(block.cumulative_lost, 25);
    assert_int_equal(block.fraction_lost, 1 * 256 / 101);
    duet_rtp_reception_report(&r, &block); /* nothing came */
    assert_int_equal(block.fraction_lost, 0);
    assert_int_equal(block.cumulative_lost, 25);
    duet_rtp_reception_add(&r, (uint16_t)(65500 + 250), &extended);
    for (int i = 0; i < 100; i++)
        duet_rtp_reception_add(&r, (uint16_t)(65500 + 250), &extended); /* duplicates make it negative */
    duet_rtp_reception_report(&r, &block);
    assert_int_equal(block.cumulative_lost, 25 + 50 - 100);
    assert_int_equal(block.fraction_lost, 0);
}

static void duplicates_are_told_from_late_packets(void **state)
{
    (void)state;
    rtp_reception r = {0};
    int64_t extended;

    assert_int_equal(duet_rtp_reception_add(&r, 65535, &extended), RTP_NEW);
    assert_int_equal(duet_rtp_reception_add(&r, 1, &extended), RTP_NEW);
    assert_int_equal(extended, 2 * 65536 + 1);
    assert_int_equal(duet_rtp_reception_add(&r, 0, &extended), RTP_LATE);
    assert_int_equal(extended, 2 * 65536);
    assert_int_equal(duet_rtp_reception_add(&r, 0, &extended), RTP_DUPLICATE);
    assert_int_equal(duet_rtp_reception_add(&r, 65535, &extended), RTP_DUPLICATE);
    assert_int_equal(duet_rtp_reception_add(&r, 65534, &extended), RTP_LATE); /* before the first */
    assert_int_equal(extended, 65536 + 65534);
    for (uint16_t i = 2; i < 2900; i = (uint16_t)(i + 2))
        assert_int_equal(duet_rtp_reception_add(&r, i, &extended), RTP_NEW);
    for (uint16_t i = 2899; i > 2000; i = (uint16_t)(i - 2)) {
        if (i < 2898)
            assert_int_equal(duet_rtp_reception_add(&r, i, &extended), RTP_LATE);
        assert_int_equal(duet_rtp_reception_add(&r, (uint16_t)(i - 1), &extended), RTP_DUPLICATE);
    }
}

static void repairs_do_not_count_as_received(void **state)
{
    (void)state;
    rtp_reception r = {0};
    int64_t extended;

    assert_int_equal(duet_rtp_reception_repair(&r, 5, &extended), RTP_WILD);
    duet_rtp_reception_add(&r, 10, &extended);
    duet_rtp_reception_add(&r, 12, &extended);
    assert_int_equal(duet_rtp_reception_repair(&r, 11, &extended), RTP_LATE);
    assert_int_equal(duet_rtp_reception_repair(&r, 11, &extended), RTP_DUPLICATE);
    assert_int_equal(duet_rtp_reception_add(&r, 11, &extended), RTP_DUPLICATE);
    assert_int_equal(duet_rtp_reception_repair(&r, 13, &extended), RTP_NEW);
    assert_int_equal(extended, 65536 + 13);
    assert_int_equal(duet_rtp_reception_repair(&r, 30000, &extended), RTP_WILD);
    assert_int_equal(duet_rtp_reception_lost(&r), 1); /* 10 to 13; 13 itself was never seen, 11 came late */
}

static void single_wild_packets_are_not_believed(void **state)
{
    (void)state;
    rtp_reception r = {0};
    int64_t extended;

    duet_rtp_reception_add(&r, 100, &extended);
    for (uint16_t i = 101; i < 1000; i++) {
        assert_int_equal(duet_rtp_reception_add(&r, (uint16_t)(i + 20000), &extended), RTP_WILD);
        assert_int_equal(duet_rtp_reception_add(&r, i, &extended), RTP_NEW);
        assert_int_equal(extended, 65536 + i);
    }
    assert_int_equal(duet_rtp_reception_lost(&r), 0);
    assert_int_equal(duet_rtp_reception_add(&r, 30000, &extended), RTP_WILD);
    assert_int_equal(duet_rtp_reception_add(&r, 30001, &extended), RTP_NEW);
    assert_int_equal(extended, 2 * 65536 + 30001);
    assert_int_equal(duet_rtp_reception_lost(&r), 0); /* what is reported begins anew */
}

static void jitter_follows_the_formula_and_forgets_breaks(void **state)
{
    (void)state;
    rtp_reception r = {0};

    for (uint32_t i = 0; i < 1000; i++) /* each second packet 8 ms late: |D| is 8 ms, 384 units */
        duet_rtp_reception_jitter(&r, i * 960, (duet_time)i * 20000 + (i % 2) * 8000, 48000);
    assert_in_range(r.jitter >> 4, 370, 385);
    duet_rtp_reception_jitter(&r, 0x80000000, 30 * 1000000, 48000); /* its timestamps jump */
    duet_rtp_reception_jitter(&r, 0x80000000 + 960, (duet_time)1 << 50, 48000);
    assert_in_range(r.jitter >> 4, 370, 385);
}

/* ---- NACK ---------------------------------------------------------------------------------------------------------- */

static void a_lost_packet_is_asked_for_after_its_tolerance_and_twice_each_round_trip(void **state)
{
    (void)state;
    nack_list list;
    uint16_t out[16];
    size_t given_up;

    duet_nack_init(&list, &the_env);
    assert_true(duet_nack_deadline(&list, 0) == DUET_NEVER);
    assert_int_equal(duet_nack_missing(&list, 65536 + 65535, 2 * 65536 + 1, DUET_MS(1000)), 0);
    assert_int_equal(duet_nack_deadline(&list, DUET_MS(50)), DUET_MS(1002));
    assert_int_equal(duet_nack_collect(&list, DUET_MS(1001), DUET_MS(50), out, 16, &given_up), 0);
    assert_int_equal(duet_nack_collect(&list, DUET_MS(1002), DUET_MS(50), out, 16, &given_up), 2);
    assert_int_equal(out[0], 65535);
    assert_int_equal(out[1], 0);
    assert_int_equal(duet_nack_arrived(&list, 65536 + 65535, true, DUET_MS(1055)), NACK_RECOVERED);
    assert_int_equal(duet_nack_arrived(&list, 65536 + 65535, true, DUET_MS(1055)), NACK_UNKNOWN);
    duet_time now = DUET_MS(1002);
    for (unsigned i = 0; i < 2 * 9; i++) { /* later requests come in twos, 10 ms apart */
        now += i % 2 ? DUET_MS(10) : DUET_MS(52);
        assert_int_equal(duet_nack_collect(&list, now - 1, DUET_MS(50), out, 16, &given_up), 0);
        assert_int_equal(duet_nack_collect(&list, now, DUET_MS(50), out, 16, &given_up), 1);
        assert_int_equal(given_up, 0);
    }
    assert_int_equal(duet_nack_collect(&list, DUET_SECONDS(5), DUET_MS(50), out, 16, &given_up), 0);
    assert_int_equal(given_up, 1);
    assert_int_equal(list.count, 0);
    duet_nack_free(&list);
}

static void a_path_that_reorders_is_given_more_time(void **state)
{
    (void)state;
    nack_list list;
    uint16_t out[16];
    size_t given_up;

    duet_nack_init(&list, &the_env);
    duet_nack_missing(&list, 100, 101, 0);
    assert_int_equal(duet_nack_arrived(&list, 100, false, DUET_MS(30)), NACK_LATE);
    duet_nack_missing(&list, 200, 201, DUET_SECONDS(1));
    assert_int_equal(duet_nack_deadline(&list, 0), DUET_MS(1030));
    assert_int_equal(duet_nack_arrived(&list, 200, false, DUET_SECONDS(2)), NACK_LATE);
    assert_int_equal(list.tolerance, DUET_MS(50));
    for (int64_t i = 0; i < 500; i++) { /* and less again when losses are losses */
        duet_nack_missing(&list, 1000 + i, 1001 + i, DUET_SECONDS(3));
        duet_nack_collect(&list, DUET_SECONDS(4), 0, out, 16, &given_up);
        assert_int_equal(duet_nack_arrived(&list, 1000 + i, true, DUET_SECONDS(4) + DUET_MS(30)), NACK_RECOVERED);
    }
    assert_true(list.tolerance < DUET_MS(6));
    assert_in_range(list.answer, DUET_MS(29), DUET_MS(30));
    duet_nack_free(&list);
}

static void the_list_keeps_the_newest_thousand(void **state)
{
    (void)state;
    nack_list list;

    duet_nack_init(&list, &the_env);
    assert_int_equal(duet_nack_missing(&list, 0, 600, 0), 0);
    assert_int_equal(duet_nack_missing(&list, 700, 1300, 0), 200);
    assert_int_equal(list.count, RTP_NACK_MAX);
    assert_int_equal(list.entries[0].sequence, 200);
    assert_int_equal(duet_nack_missing(&list, 2000, 4500, 0), 2500);
    assert_int_equal(list.count, RTP_NACK_MAX);
    assert_int_equal(list.entries[0].sequence, 3500);
    assert_int_equal(duet_nack_skip_to(&list, 3999), 500);
    assert_int_equal(list.entries[0].sequence, 4000);
    assert_int_equal(duet_nack_skip_to(&list, 10), 0);
    assert_int_equal(duet_nack_skip_to(&list, 10000), 500);
    duet_nack_free(&list);
}

static void without_memory_losses_are_given_up(void **state)
{
    (void)state;
    test_allocator heap;
    duet_env env = the_env;
    nack_list list;

    test_allocator_init(&heap, 1);
    env.allocator = &heap.allocator;
    duet_nack_init(&list, &env);
    assert_int_equal(duet_nack_missing(&list, 0, 10, 0), 10);
    assert_int_equal(list.count, 0);
    assert_int_equal(duet_nack_missing(&list, 20, 30, 0), 0);
    assert_int_equal(list.count, 10);
    duet_nack_free(&list);
    assert_int_equal(heap.live, 0);
}

int main(void)
{
    the_env = duet_env_resolve(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_is_counted_by_interval_and_in_all),
        cmocka_unit_test(duplicates_are_told_from_late_packets),
        cmocka_unit_test(repairs_do_not_count_as_received),
        cmocka_unit_test(single_wild_packets_are_not_believed),
        cmocka_unit_test(jitter_follows_the_formula_and_forgets_breaks),
        cmocka_unit_test(a_lost_packet_is_asked_for_after_its_tolerance_and_twice_each_round_trip),
        cmocka_unit_test(a_path_that_reorders_is_given_more_time),
        cmocka_unit_test(the_list_keeps_the_newest_thousand),
        cmocka_unit_test(without_memory_losses_are_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
