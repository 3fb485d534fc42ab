/* SRTP and SRTCP between two ends: every profile, loss, replay, wraps, forgery, bounds, memory. */
#include "srtp_pair.h"

static void assert_passes(duet_srtp *from, duet_srtp *to, srtp_packet packet)
{
    srtp_packet sent = packet;

    assert_int_equal(protect(from, &sent), DUET_OK);
    assert_true(sent.len > packet.len && sent.len <= packet.len + DUET_SRTP_TRAILER_MAX);
    assert_int_equal(unprotect(to, &sent), DUET_OK);
    assert_int_equal(sent.len, packet.len);
    assert_memory_equal(sent.data, packet.data, packet.len);
}

static void every_profile_passes_packets_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        srtp_pair p = srtp_pair_new(all_profiles[i], 0);
        for (uint16_t n = 0; n < 20; n++) {
            assert_passes(p.client, p.server, rtp_packet(1, n, n * 60u));
            assert_passes(p.server, p.client, rtp_packet(1, n, 100));
            srtp_packet rtcp = rtcp_packet(1), plain = rtcp;
            assert_int_equal(protect_rtcp(p.client, &rtcp), DUET_OK);
            assert_true(rtcp.len <= plain.len + DUET_SRTP_TRAILER_MAX);
            assert_int_equal(unprotect_rtcp(p.server, &rtcp), DUET_OK);
            assert_int_equal(rtcp.len, plain.len);
            assert_memory_equal(rtcp.data, plain.data, plain.len);
        }
        assert_int_equal(srtp_stats(p.client).protected_packets, 40);
        assert_int_equal(srtp_stats(p.server).unprotected_packets, 40);
        srtp_pair_free(&p);
    }
}

static void payloads_are_not_readable_on_the_wire(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        srtp_pair p = srtp_pair_new(all_profiles[i], 0);
        srtp_packet plain = rtp_packet(5, 1, 200), wire = plain;
        assert_int_equal(protect(p.client, &wire), DUET_OK);
        assert_memory_equal(wire.data, plain.data, 12);
        assert_memory_not_equal(wire.data + 12, plain.data + 12, 16);
        assert_int_equal(unprotect(p.client, &wire), DUET_ERR_AUTH); /* not keyed for its own direction */
        srtp_pair_free(&p);
    }
}

static void a_replayed_packet_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        srtp_pair p = srtp_pair_new(all_profiles[i], 0);
        srtp_packet first = rtp_packet(1, 10, 50);
        assert_int_equal(protect(p.client, &first), DUET_OK);
        srtp_packet again = first, old = first;
        assert_int_equal(unprotect(p.server, &first), DUET_OK);
        assert_int_equal(unprotect(p.server, &again), DUET_ERR_STATE);
        srtp_packet rtcp = rtcp_packet(1);
        assert_int_equal(protect_rtcp(p.client, &rtcp), DUET_OK);
        srtp_packet rtcp_again = rtcp;
        assert_int_equal(unprotect_rtcp(p.server, &rtcp), DUET_OK);
        assert_int_equal(unprotect_rtcp(p.server, &rtcp_again), DUET_ERR_STATE);
        for (uint16_t n = 11; n < 1100; n++) /* out of the window */
            assert_passes(p.client, p.server, rtp_packet(1, n, 20));
        assert_int_equal(unprotect(p.server, &old), DUET_ERR_STATE);
        assert_int_equal(srtp_stats(p.server).replayed, 3);
        srtp_pair_free(&p);
    }
}

static void a_retransmission_may_be_protected_again(void **state)
{
    srtp_pair p = srtp_pair_new(DUET_SRTP_AES128_CM_SHA1_80, 0);
    srtp_packet once = rtp_packet(1, 7, 50), twice = once;

    (void)state;
    assert_int_equal(protect(p.client, &once), DUET_OK);
    assert_passes(p.client, p.server, rtp_packet(1, 8, 50));
    assert_int_equal(protect(p.client, &twice), DUET_OK);
    assert_memory_equal(once.data, twice.data, once.len);
    assert_int_equal(unprotect(p.server, &twice), DUET_OK);
    srtp_pair_free(&p);
}

/* 300,000 packets of which one in three is lost or late: the rollover counter goes to 4 on both sides. */
static void the_rollover_counter_survives_loss_and_reordering(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROFILE_COUNT; i += 2) {
        uint64_t seed = 3 + i;
        srtp_pair p = srtp_pair_new(all_profiles[i], 0);
        srtp_packet held = {.len = 0};
        for (uint32_t n = 60000; n < 360000; n++) {
            srtp_packet packet = rtp_packet(9, (uint16_t)n, 10);
            assert_int_equal(protect(p.client, &packet), DUET_OK);
            uint64_t fate = test_random_below(&seed, 6);
            if (fate == 0 || n == 65535 || n == 65536)
                continue;
            if (fate == 1 && held.len == 0) {
                held = packet;
                continue;
            }
            assert_int_equal(unprotect(p.server, &packet), DUET_OK);
            if (fate == 2 && held.len) {
                assert_int_equal(unprotect(p.server, &held), DUET_OK);
                held.len = 0;
            }
        }
        srtp_pair_free(&p);
    }
}

static void a_gap_of_thirty_thousand_packets_is_survived(void **state)
{
    srtp_pair p = srtp_pair_new(DUET_SRTP_AEAD_AES_128_GCM, 0);

    (void)state;
    for (uint32_t n = 0; n < 100; n++)
        assert_passes(p.client, p.server, rtp_packet(9, (uint16_t)(65000 + n), 10));
    for (uint32_t n = 100; n < 30100; n++) {
        srtp_packet lost = rtp_packet(9, (uint16_t)(65000 + n), 10);
        assert_int_equal(protect(p.client, &lost), DUET_OK);
    }
    assert_passes(p.client, p.server, rtp_packet(9, (uint16_t)(65000 + 30100), 10));
    srtp_pair_free(&p);
}

static void unencrypted_rtcp_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        srtp_pair p = srtp_pair_new(all_profiles[i], 0);
        srtp_packet packet = rtcp_packet(1);
        assert_int_equal(protect_rtcp(p.client, &packet), DUET_OK);
        size_t at = packet.len - 4 - (all_profiles[i] <= DUET_SRTP_AES128_CM_SHA1_32 ? 10 : 0);
        assert_true(packet.data[at] & 0x80);
        packet.data[at] &= 0x7F;
        assert_int_equal(unprotect_rtcp(p.server, &packet), DUET_ERR_MALFORMED);
        assert_int_equal(srtp_stats(p.server).unencrypted_rtcp, 1);
        assert_int_equal(srtp_stats(p.server).streams_in, 0);
        srtp_pair_free(&p);
    }
}

static void any_changed_bit_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        srtp_pair p = srtp_pair_new(all_profiles[i], 0);
        srtp_packet good = rtp_packet(1, 1, 30), rtcp = rtcp_packet(1);
        assert_int_equal(protect(p.client, &good), DUET_OK);
        assert_int_equal(protect_rtcp(p.client, &rtcp), DUET_OK);
        for (size_t bit = 0; bit < good.len * 8; bit++) {
            srtp_packet bad = good;
            bad.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            int err = unprotect(p.server, &bad);
            assert_true(err == DUET_ERR_AUTH || err == DUET_ERR_MALFORMED);
        }
        for (size_t bit = 0; bit < rtcp.len * 8; bit++) {
            srtp_packet bad = rtcp;
            bad.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            int err = unprotect_rtcp(p.server, &bad);
            assert_true(err == DUET_ERR_AUTH || err == DUET_ERR_MALFORMED);
        }
        assert_int_equal(srtp_stats(p.server).streams_in, 0);
        assert_int_equal(unprotect(p.server, &good), DUET_OK);
        assert_int_equal(unprotect_rtcp(p.server, &rtcp), DUET_OK);
        assert_int_equal(srtp_stats(p.server).streams_in, 1);
        srtp_pair_free(&p);
    }
}

/* Each packet lies at the end of a block of its own, so that the sanitizer sees a byte too many. */
static void what_is_too_short_is_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        srtp_pair p = srtp_pair_new(all_profiles[i], 0);
        size_t tag = all_profiles[i] == DUET_SRTP_AES128_CM_SHA1_32   ? 4
                     : all_profiles[i] == DUET_SRTP_AES128_CM_SHA1_80 ? 10
                                                                      : 16;
        size_t rtcp_tag = tag == 4 ? 10 : tag;
        for (size_t len = 0; len < 60; len++) {
            uint8_t *packet = calloc(1, len + 1);
            size_t n = len;
            packet[0] = 0x80;
            assert_int_equal(duet_srtp_unprotect_rtp(p.server, packet, &n),
                             len < 12 + tag ? DUET_ERR_MALFORMED : DUET_ERR_AUTH);
            packet[0] = 0x9F; /* 15 CSRCs and an extension */
            n = len;
            assert_int_equal(duet_srtp_unprotect_rtp(p.server, packet, &n), DUET_ERR_MALFORMED);
            memset(packet, 0xFF, len);
            packet[0] = 0x80;
            n = len;
            assert_int_equal(duet_srtp_unprotect_rtcp(p.server, packet, &n),
                             len < 12 + rtcp_tag ? DUET_ERR_MALFORMED : DUET_ERR_AUTH);
            packet[0] = 0x40;
            n = len;
            assert_int_equal(duet_srtp_unprotect_rtcp(p.server, packet, &n), DUET_ERR_MALFORMED);
            free(packet);
        }
        srtp_pair_free(&p);
    }
}

static void protecting_needs_room_for_the_trailer(void **state)
{
    srtp_pair p = srtp_pair_new(DUET_SRTP_AEAD_AES_256_GCM, 0);
    srtp_packet packet = rtp_packet(1, 1, 100);

    (void)state;
    assert_int_equal(duet_srtp_protect_rtp(p.client, packet.data, &packet.len, packet.len + 19), DUET_ERR_BUFFER);
    assert_int_equal(duet_srtp_protect_rtcp(p.client, packet.data, &packet.len, 3), DUET_ERR_BUFFER);
    assert_int_equal(duet_srtp_protect_rtp(p.client, packet.data, &packet.len, packet.len + 20), DUET_OK);
    size_t len = 11;
    assert_int_equal(duet_srtp_protect_rtp(p.client, packet.data, &len, 100), DUET_ERR_MALFORMED);
    srtp_pair_free(&p);
}

/* RFC 3711 section 9: nobody without the key may cost more than the check of a tag. */
static void a_million_forged_packets_leave_the_call_alive(void **state)
{
    uint64_t seed = 11;
    srtp_pair p = srtp_pair_new(DUET_SRTP_AEAD_AES_128_GCM, 0);

    (void)state;
    for (uint32_t n = 0; n < 1000000; n++) {
        srtp_packet forged = rtp_packet(n % 3 ? (uint32_t)test_random(&seed) : 42, (uint16_t)test_random(&seed), 40);
        int err = duet_srtp_unprotect_rtp(p.server, forged.data, &forged.len);
        assert_true(err == DUET_ERR_AUTH || err == DUET_ERR_STATE);
        if (n % 10000 == 0)
            assert_passes(p.client, p.server, rtp_packet(42, (uint16_t)(n / 10000), 100));
    }
    assert_int_equal(srtp_stats(p.server).bad_tags + srtp_stats(p.server).replayed, 1000000);
    assert_int_equal(srtp_stats(p.server).streams_in, 1);
    assert_int_equal(srtp_stats(p.server).streams_evicted, 0);
    srtp_pair_free(&p);
}

static void the_stream_that_was_silent_longest_makes_room(void **state)
{
    srtp_pair p = srtp_pair_new(DUET_SRTP_AES128_CM_SHA1_80, 100);
    duet_srtp_config config = srtp_test_config(DUET_SRTP_AES128_CM_SHA1_80, false);
    duet_srtp *few;

    (void)state;
    config.streams_max = 4;
    assert_int_equal(duet_srtp_create(&few, &config), DUET_OK);
    for (uint32_t ssrc = 1; ssrc <= 4; ssrc++)
        assert_passes(p.client, few, rtp_packet(ssrc, 1, 10));
    assert_passes(p.client, few, rtp_packet(1, 2, 10));
    srtp_packet again = rtp_packet(1, 3, 10), copy;
    assert_int_equal(protect(p.client, &again), DUET_OK);
    copy = again;
    assert_int_equal(unprotect(few, &again), DUET_OK);
    assert_passes(p.client, few, rtp_packet(5, 1, 10)); /* 2 goes, not 1 */
    assert_int_equal(unprotect(few, &copy), DUET_ERR_STATE);
    assert_int_equal(srtp_stats(few).streams_evicted, 1);
    assert_int_equal(srtp_stats(few).streams_in, 4);
    assert_passes(p.client, few, rtp_packet(2, 2, 10));
    for (uint32_t ssrc = 6; ssrc <= 100; ssrc++)
        assert_passes(p.client, few, rtp_packet(ssrc, 1, 10));
    assert_int_equal(srtp_stats(few).streams_in, 4);
    duet_srtp_destroy(few);
    srtp_pair_free(&p);
}

/* Of stream 7, until its sequence number has come to `last`, which may take several times round. */
static void run_stream(const srtp_pair *p, uint32_t *index, uint32_t last)
{
    for (; *index <= last; *index += *index + 1000 < last ? 1000 : 1)
        assert_passes(p->client, p->server, rtp_packet(7, (uint16_t)*index, 10));
}

static void push_out(const srtp_pair *p, uint16_t sequence)
{
    for (uint32_t ssrc = 1; ssrc <= 4; ssrc++)
        assert_passes(p->client, p->server, rtp_packet(ssrc, sequence, 10));
}

/* RFC 3711 section 3.3.1: the rollover counter is part of the index that a packet was protected with. */
static void a_stream_that_comes_back_goes_on_where_it_was(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        srtp_pair p = srtp_pair_new(all_profiles[i], 0);
        duet_srtp_config config = srtp_test_config(all_profiles[i], false);
        uint32_t index = 65000;

        duet_srtp_destroy(p.server);
        config.streams_max = 4;
        assert_int_equal(duet_srtp_create(&p.server, &config), DUET_OK);
        run_stream(&p, &index, 3 * 65536 + 100);
        srtp_packet rtcp = rtcp_packet(7), old = rtp_packet(7, (uint16_t)index++, 10), late, forged;
        assert_int_equal(protect_rtcp(p.client, &rtcp), DUET_OK);
        srtp_packet rtcp_again = rtcp;
        assert_int_equal(unprotect_rtcp(p.server, &rtcp), DUET_OK);
        assert_int_equal(protect(p.client, &old), DUET_OK);
        srtp_packet again = old;
        assert_int_equal(unprotect(p.server, &old), DUET_OK);
        push_out(&p, 1);
        assert_int_equal(srtp_stats(p.server).streams_in, 4);

        /* Nothing that it said before is taken again, and a forged packet does not bring it back. */
        late = again;
        assert_int_equal(unprotect(p.server, &late), DUET_ERR_STATE);
        rtcp = rtcp_again;
        assert_int_equal(unprotect_rtcp(p.server, &rtcp), DUET_ERR_STATE);
        late = rtp_packet(7, (uint16_t)index++, 10);
        assert_int_equal(protect(p.client, &late), DUET_OK);
        forged = late;
        forged.data[forged.len - 1] ^= 1;
        assert_int_equal(unprotect(p.server, &forged), DUET_ERR_AUTH);
        assert_int_equal(srtp_stats(p.server).streams_evicted, 1);

        run_stream(&p, &index, 3 * 65536 + 200);
        assert_int_equal(unprotect(p.server, &late), DUET_OK); /* reordered */
        assert_int_equal(unprotect(p.server, &again), DUET_ERR_STATE);
        rtcp = rtcp_packet(7);
        assert_int_equal(protect_rtcp(p.client, &rtcp), DUET_OK);
        assert_int_equal(unprotect_rtcp(p.server, &rtcp), DUET_OK);
        assert_int_equal(unprotect_rtcp(p.server, &rtcp_again), DUET_ERR_STATE);

        /* Away while the counter rolls over; RTCP comes back first. */
        run_stream(&p, &index, 4 * 65536 - 10);
        push_out(&p, 2);
        for (; index < 4 * 65536 + 3000; index++) {
            late = rtp_packet(7, (uint16_t)index, 10);
            assert_int_equal(protect(p.client, &late), DUET_OK);
        }
        rtcp = rtcp_packet(7);
        assert_int_equal(protect_rtcp(p.client, &rtcp), DUET_OK);
        assert_int_equal(unprotect_rtcp(p.server, &rtcp), DUET_OK);
        run_stream(&p, &index, 6 * 65536);
        srtp_pair_free(&p);
    }
}

static void the_latest_streams_that_made_room_are_remembered(void **state)
{
    srtp_pair p = srtp_pair_new(DUET_SRTP_AES128_CM_SHA1_80, 0);
    duet_srtp_config config = srtp_test_config(DUET_SRTP_AES128_CM_SHA1_80, false);

    (void)state;
    duet_srtp_destroy(p.server);
    config.streams_max = 1;
    assert_int_equal(duet_srtp_create(&p.server, &config), DUET_OK);
    for (uint32_t ssrc = 1; ssrc <= 300; ssrc++) {
        assert_passes(p.client, p.server, rtp_packet(ssrc, 65000, 10));
        assert_passes(p.client, p.server, rtp_packet(ssrc, 500, 10)); /* the counter is 1 */
    }
    for (uint32_t ssrc = 50; ssrc <= 300; ssrc++)
        assert_passes(p.client, p.server, rtp_packet(ssrc, 501, 10));
    srtp_packet forgotten = rtp_packet(1, 501, 10);
    assert_int_equal(protect(p.client, &forgotten), DUET_OK);
    assert_int_equal(unprotect(p.server, &forgotten), DUET_ERR_AUTH);
    srtp_pair_free(&p);
}

static void a_stream_comes_back_when_there_is_memory_for_it(void **state)
{
    srtp_pair p = srtp_pair_new(DUET_SRTP_AEAD_AES_128_GCM, 0);
    duet_srtp_config config = srtp_test_config(DUET_SRTP_AEAD_AES_128_GCM, false);
    test_allocator heap;
    duet_env env = DUET_ENV_INIT;

    (void)state;
    duet_srtp_destroy(p.server);
    test_allocator_init(&heap, 0);
    env.allocator = &heap.allocator;
    config.env = &env;
    config.streams_max = 1;
    assert_int_equal(duet_srtp_create(&p.server, &config), DUET_OK);
    assert_passes(p.client, p.server, rtp_packet(1, 65000, 10));
    assert_passes(p.client, p.server, rtp_packet(1, 500, 10));
    assert_passes(p.client, p.server, rtp_packet(2, 1, 10));
    srtp_packet packet = rtp_packet(1, 501, 10);
    assert_int_equal(protect(p.client, &packet), DUET_OK);
    heap.fail_at = heap.calls + 1;
    heap.fail_after = true;
    assert_int_equal(unprotect(p.server, &packet), DUET_ERR_NOMEM);
    heap.fail_at = 0;
    assert_int_equal(unprotect(p.server, &packet), DUET_OK);
    duet_srtp_destroy(p.server);
    p.server = NULL;
    assert_int_equal(heap.live, 0);
    srtp_pair_free(&p);
}

static void no_more_streams_are_sent_than_agreed(void **state)
{
    srtp_pair p = srtp_pair_new(DUET_SRTP_AEAD_AES_128_GCM, 3);

    (void)state;
    for (uint32_t ssrc = 1; ssrc <= 3; ssrc++)
        assert_passes(p.client, p.server, rtp_packet(ssrc, 1, 10));
    srtp_packet packet = rtp_packet(4, 1, 10);
    assert_int_equal(protect(p.client, &packet), DUET_ERR_LIMIT);
    assert_passes(p.client, p.server, rtp_packet(1, 2, 10));
    assert_int_equal(srtp_stats(p.client).streams_out, 3);
    srtp_pair_free(&p);
}

static void a_thousand_streams_work_side_by_side(void **state)
{
    srtp_pair p = srtp_pair_new(DUET_SRTP_AES128_CM_SHA1_32, 0);

    (void)state;
    for (uint16_t round = 0; round < 3; round++)
        for (uint32_t ssrc = 0; ssrc < 1000; ssrc++)
            assert_passes(p.client, p.server, rtp_packet(ssrc * 0x01000193u, round, 30));
    assert_int_equal(srtp_stats(p.server).streams_in, 1000);
    srtp_pair_free(&p);
}

static void wrong_configurations_are_refused(void **state)
{
    duet_srtp *srtp;
    duet_srtp_config config = srtp_test_config(DUET_SRTP_AEAD_AES_256_GCM, true);

    (void)state;
    config.keying_len--;
    assert_int_equal(duet_srtp_create(&srtp, &config), DUET_ERR_INVALID);
    assert_null(srtp);
    config = srtp_test_config(DUET_SRTP_AEAD_AES_256_GCM, true);
    config.profile = DUET_SRTP_NONE;
    assert_int_equal(duet_srtp_create(&srtp, &config), DUET_ERR_INVALID);
    config = srtp_test_config(DUET_SRTP_AEAD_AES_256_GCM, true);
    config.replay_window = 63;
    assert_int_equal(duet_srtp_create(&srtp, &config), DUET_ERR_INVALID);
    config.replay_window = 32768;
    assert_int_equal(duet_srtp_create(&srtp, &config), DUET_ERR_INVALID);
    config.replay_window = 32767;
    assert_int_equal(duet_srtp_create(&srtp, &config), DUET_OK);
    duet_srtp_destroy(srtp);
    duet_srtp_destroy(NULL);
}

static void profiles_have_an_order_and_names(void **state)
{
    duet_srtp_profile order[4];
    unsigned seen = 0;

    (void)state;
    assert_int_equal(duet_srtp_preferred_profiles(order), 4);
    for (int i = 0; i < 4; i++) {
        assert_non_null(duet_srtp_profile_name(order[i]));
        seen |= 1u << order[i];
    }
    assert_int_equal(seen, 1u << 1 | 1u << 2 | 1u << 7 | 1u << 8);
    assert_null(duet_srtp_profile_name(DUET_SRTP_NONE));
    assert_int_equal(duet_srtp_keying_len(DUET_SRTP_NONE), 0);
}

/* Nothing is allocated once both streams are known: the allocator that fails from then on is not noticed. */
static void known_streams_need_no_memory(void **state)
{
    test_allocator t;
    duet_env env = DUET_ENV_INIT;
    srtp_pair p;

    (void)state;
    test_allocator_init(&t, 0);
    env.allocator = &t.allocator;
    for (int i = 0; i < 2; i++) {
        duet_srtp_config config = srtp_test_config(DUET_SRTP_AEAD_AES_128_GCM, i == 0);
        config.env = &env;
        assert_int_equal(duet_srtp_create(i == 0 ? &p.client : &p.server, &config), DUET_OK);
    }
    assert_passes(p.client, p.server, rtp_packet(1, 0, 100));
    uint64_t before = t.calls;
    t.fail_at = 1;
    t.fail_after = true;
    for (uint16_t n = 1; n < 1000; n++)
        assert_passes(p.client, p.server, rtp_packet(1, n, 100));
    assert_int_equal(t.calls, before);
    srtp_packet other = rtp_packet(2, 1, 100);
    assert_int_equal(protect(p.client, &other), DUET_ERR_NOMEM);
    t.fail_at = 0;
    assert_passes(p.client, p.server, rtp_packet(2, 1, 100));
    srtp_pair_free(&p);
    assert_int_equal(t.live, 0);
}

/* ---- keys ---- */

#define BLOCKS_MAX 64

/* Keeps what is freed, so that it can be looked at. */
typedef struct graveyard {
    uint8_t *blocks[BLOCKS_MAX];
    size_t lens[BLOCKS_MAX], count;
} graveyard;

static void *graveyard_alloc(void *user, size_t size)
{
    graveyard *g = user;

    assert_true(g->count < BLOCKS_MAX);
    g->lens[g->count] = size;
    return g->blocks[g->count++] = calloc(1, size);
}

static void *graveyard_realloc(void *user, void *ptr, size_t size)
{
    (void)ptr;
    fail(); /* srtp does not */
    return graveyard_alloc(user, size);
}

static void graveyard_free(void *user, void *ptr)
{
    (void)user, (void)ptr;
}

static bool holds(const graveyard *g, const uint8_t *secret, size_t len)
{
    for (size_t i = 0; i < g->count; i++)
        if (memmem(g->blocks[i], g->lens[i], secret, len))
            return true;
    return false;
}

static void keys_do_not_outlive_the_session(void **state)
{
    graveyard g = {.count = 0};
    duet_allocator allocator = {graveyard_alloc, graveyard_realloc, graveyard_free, &g};
    duet_env env = DUET_ENV_INIT;
    duet_srtp_config config = srtp_test_config(DUET_SRTP_AEAD_AES_256_GCM, true);
    srtp_packet packet = rtp_packet(1, 1, 10);
    duet_srtp *srtp;

    (void)state;
    env.allocator = &allocator;
    config.env = &env;
    assert_int_equal(duet_srtp_create(&srtp, &config), DUET_OK);
    assert_int_equal(protect(srtp, &packet), DUET_OK);
    assert_true(holds(&g, config.keying, 32) && holds(&g, config.keying + 32, 32));
    duet_srtp_destroy(srtp);
    assert_false(holds(&g, config.keying, 8) || holds(&g, config.keying + 32, 8));
    while (g.count > 0)
        free(g.blocks[--g.count]);
}

/* A packet that was refused for want of memory is as good as new afterwards. */
static int run_short_call(const duet_env *env, void *arg)
{
    srtp_pair p = {NULL, NULL};
    int err = DUET_OK;

    (void)arg;
    for (int i = 0; i < 2 && !err; i++) {
        duet_srtp_config config = srtp_test_config(DUET_SRTP_AES128_CM_SHA1_80, i == 0);
        config.env = env;
        err = duet_srtp_create(i == 0 ? &p.client : &p.server, &config);
    }
    for (uint32_t ssrc = 0; ssrc < 30 && !err; ssrc++) {
        srtp_packet packet = rtp_packet(ssrc, 1, 40), plain = packet;
        err = protect(p.client, &packet);
        if (err) {
            assert_int_equal(err, DUET_ERR_NOMEM);
            assert_int_equal(protect(p.client, &packet), DUET_OK);
        }
        srtp_packet wire = packet;
        int received = unprotect(p.server, &packet);
        if (received) {
            assert_int_equal(received, DUET_ERR_NOMEM);
            assert_int_equal(unprotect(p.server, &wire), DUET_OK);
            packet = wire;
            err = received;
        }
        assert_memory_equal(packet.data, plain.data, plain.len);
    }
    srtp_pair_free(&p);
    return err;
}

static void failing_allocations_leave_the_session_usable(void **state)
{
    (void)state;
    test_fail_each_allocation("srtp", run_short_call, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_profile_passes_packets_both_ways),
        cmocka_unit_test(payloads_are_not_readable_on_the_wire),
        cmocka_unit_test(a_replayed_packet_is_refused),
        cmocka_unit_test(a_retransmission_may_be_protected_again),
        cmocka_unit_test(the_rollover_counter_survives_loss_and_reordering),
        cmocka_unit_test(a_gap_of_thirty_thousand_packets_is_survived),
        cmocka_unit_test(unencrypted_rtcp_is_refused),
        cmocka_unit_test(any_changed_bit_is_found),
        cmocka_unit_test(what_is_too_short_is_malformed),
        cmocka_unit_test(protecting_needs_room_for_the_trailer),
        cmocka_unit_test(a_million_forged_packets_leave_the_call_alive),
        cmocka_unit_test(the_stream_that_was_silent_longest_makes_room),
        cmocka_unit_test(a_stream_that_comes_back_goes_on_where_it_was),
        cmocka_unit_test(the_latest_streams_that_made_room_are_remembered),
        cmocka_unit_test(a_stream_comes_back_when_there_is_memory_for_it),
        cmocka_unit_test(no_more_streams_are_sent_than_agreed),
        cmocka_unit_test(a_thousand_streams_work_side_by_side),
        cmocka_unit_test(wrong_configurations_are_refused),
        cmocka_unit_test(profiles_have_an_order_and_names),
        cmocka_unit_test(known_streams_need_no_memory),
        cmocka_unit_test(keys_do_not_outlive_the_session),
        cmocka_unit_test(failing_allocations_leave_the_session_usable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
