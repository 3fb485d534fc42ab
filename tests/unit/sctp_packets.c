/* What the chunk checker passes and what it drops; the checksum in hardware and software. */
#include "base/crypto.h"
#include "sctp/internal.h"
#include "sctp_pair.h"

/* Writes a packet with this chunk area and a right checksum. */
static size_t make_packet(uint8_t *out, uint32_t tag, const uint8_t *chunks, size_t len)
{
    const uint8_t header[12] = {
        0x13, 0x88, 0x13, 0x88, (uint8_t)(tag >> 24), (uint8_t)(tag >> 16), (uint8_t)(tag >> 8), (uint8_t)tag};

    memcpy(out, header, sizeof(header));
    if (len)
        memcpy(out + 12, chunks, len);
    uint32_t crc = duet_crc32c(0, out, 12 + len);
    for (size_t i = 0; i < 4; i++)
        out[8 + i] = (uint8_t)(crc >> (8 * i));
    return 12 + len;
}

static const char *verdict(uint32_t tag, const uint8_t *chunks, size_t len)
{
    uint8_t packet[4096];
    return duet_sctp_refuse_packet(packet, make_packet(packet, tag, chunks, len), 5000, 5000);
}

#define PASSES(tag, ...)                                                                                               \
    assert_null(verdict(tag, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})))
#define DROPS(tag, ...)                                                                                                \
    assert_non_null(verdict(tag, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})))

static void well_formed_chunks_pass(void **state)
{
    (void)state;
    PASSES(1, 0, 3, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 53, 'x', 0, 0, 0);                      /* DATA */
    PASSES(0, 1, 0, 0, 20, 0, 0, 0, 9, 0, 1, 0, 0, 0, 8, 0, 8, 0, 0, 0, 1);                         /* INIT */
    PASSES(0, 1, 0, 0, 24, 0, 0, 0, 9, 0, 1, 0, 0, 0, 8, 0, 8, 0, 0, 0, 1, 0xc0, 0, 0, 4);          /* FORWARD-TSN */
    PASSES(1, 2, 0, 0, 28, 0, 0, 0, 9, 0, 1, 0, 0, 0, 8, 0, 8, 0, 0, 0, 1, 0, 7, 0, 8, 1, 2, 3, 4); /* INIT ACK */
    PASSES(1, 3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0);                                     /* SACK */
    PASSES(1, 3, 0, 0, 24, 0, 0, 0, 1, 0, 0, 0, 9, 0, 1, 0, 1, 0, 2, 0, 2, 0, 0, 0, 7);
    PASSES(1, 4, 0, 0, 12, 0, 1, 0, 8, 1, 2, 3, 4); /* HEARTBEAT */
    PASSES(1, 6, 0, 0, 4);                          /* ABORT */
    PASSES(1, 6, 0, 0, 8, 0, 12, 0, 4);
    PASSES(1, 7, 0, 0, 8, 0, 0, 0, 1);
    PASSES(1, 11, 0, 0, 4, 3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0);                 /* COOKIE ACK and SACK */
    PASSES(1, 0x82, 0, 0, 22, 0, 13, 0, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 4, 0, 0); /* RE-CONFIG */
    PASSES(1, 0x82, 0, 0, 16, 0, 16, 0, 12, 0, 0, 0, 1, 0, 0, 0, 1);
    PASSES(1, 0xc0, 0, 0, 12, 0, 0, 0, 1, 0, 1, 0, 2); /* FORWARD-TSN */
    PASSES(1, 0xc7, 0, 0, 5, 1, 0, 0, 0);              /* unknown */
    PASSES(1, 0x84, 0, 0, 8, 0, 0, 0, 0);              /* PAD */
}

static void ill_formed_chunks_are_dropped(void **state)
{
    (void)state;
    DROPS(1, 0, 3, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 53);                /* DATA without data */
    DROPS(1, 0, 3, 0, 3);                                                      /* shorter than its header */
    DROPS(1, 0, 3, 0, 200, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 53, 'x', 0, 0, 0); /* beyond the packet */
    DROPS(5, 1, 0, 0, 20, 0, 0, 0, 9, 0, 1, 0, 0, 0, 8, 0, 8, 0, 0, 0, 1);     /* INIT with a tag */
    DROPS(0, 3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0);                 /* anything else without */
    DROPS(0, 1, 0, 0, 20, 0, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 8, 0, 0, 0, 1);     /* initiate tag 0 */
    DROPS(0, 1, 0, 0, 20, 0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1);     /* no streams */
    DROPS(0, 1, 0, 0, 16, 0, 0, 0, 9, 0, 1, 0, 0, 0, 8, 0, 8);
    DROPS(0, 1, 0, 0, 24, 0, 0, 0, 9, 0, 1, 0, 0, 0, 8, 0, 8, 0, 0, 0, 1, 0xc0, 0, 0, 3);
    DROPS(0, 1, 0, 0, 24, 0, 0, 0, 9, 0, 1, 0, 0, 0, 8, 0, 8, 0, 0, 0, 1, 0xc0, 0, 0, 9);
    DROPS(0, 1, 0, 0, 24, 0, 0, 0, 9, 0, 1, 0, 0, 0, 8, 0, 8, 0, 0, 0, 1, 0, 5, 0, 4); /* short IPv4 */
    DROPS(0, 1, 0, 0, 28, 0, 0, 0, 9, 0, 1, 0, 0, 0, 8, 0, 8, 0, 0, 0, 1, 0, 11, 0, 8, 'h', 'o', 's', 0);
    DROPS(1, 2, 0, 0, 20, 0, 0, 0, 9, 0, 1, 0, 0, 0, 8, 0, 8, 0, 0, 0, 1);             /* INIT ACK without a cookie */
    DROPS(0, 1, 0, 0, 20, 0, 0, 0, 9, 0, 1, 0, 0, 0, 8, 0, 8, 0, 0, 0, 1, 6, 0, 0, 4); /* bundled INIT */
    DROPS(1, 3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 9, 0, 1, 0, 0);             /* SACK with a gap that is not there */
    DROPS(1, 3, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 1, 2, 3, 4); /* … and too many bytes */
    DROPS(1, 3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff);
    DROPS(1, 4, 0, 0, 4);
    DROPS(1, 4, 0, 0, 8, 0, 2, 0, 4);
    DROPS(1, 6, 0, 0, 8, 0, 12, 0, 5);
    DROPS(1, 7, 0, 0, 4);
    DROPS(1, 8, 0, 0, 8, 0, 0, 0, 1);
    DROPS(1, 10, 0, 0, 4);
    DROPS(1, 11, 0, 0, 8, 0, 0, 0, 0);
    DROPS(1, 0x82, 0, 0, 4);
    DROPS(1, 0x82, 0, 0, 8, 0, 13, 0, 4);
    DROPS(1, 0x82, 0, 0, 16, 0, 99, 0, 12, 0, 0, 0, 1, 0, 0, 0, 1);
    DROPS(1, 0x82, 0, 0, 28, 0, 15, 0, 8, 0, 0, 0, 1, 0, 15, 0, 8, 0, 0, 0, 1, 0, 15, 0, 8, 0, 0, 0, 1);
    DROPS(1, 0xc0, 0, 0, 4);
    DROPS(1, 0xc0, 0, 0, 10, 0, 0, 0, 1, 0, 1, 0, 0);
    DROPS(1, 15, 0, 0, 8, 0, 0, 0, 1);    /* AUTH */
    DROPS(1, 16, 0, 0, 4);                /* NR-SACK */
    DROPS(1, 0x40, 0, 0, 4);              /* I-DATA */
    DROPS(1, 0x80, 0, 0, 8, 0, 0, 0, 1);  /* ASCONF ACK */
    DROPS(1, 0x81, 0, 0, 4);              /* PKTDROP */
    DROPS(1, 0xc1, 0, 0, 8, 0, 0, 0, 1);  /* ASCONF */
    DROPS(1, 12, 0, 0, 8, 0, 0, 0, 1);    /* ECNE */
    assert_non_null(verdict(1, NULL, 0)); /* no chunk */
}

static void wrong_ports_checksums_and_lengths_are_dropped(void **state)
{
    (void)state;
    const uint8_t abort_chunk[] = {6, 0, 0, 4};
    uint8_t packet[64];
    size_t len = make_packet(packet, 1, abort_chunk, sizeof(abort_chunk));

    assert_null(duet_sctp_refuse_packet(packet, len, 5000, 5000));
    assert_non_null(duet_sctp_refuse_packet(packet, len, 5001, 5000));
    assert_non_null(duet_sctp_refuse_packet(packet, len, 5000, 5001));
    for (size_t i = 0; i < len; i++) {
        if (i < 4)
            continue;
        packet[i] ^= 0x40;
        assert_non_null(duet_sctp_refuse_packet(packet, len, 5000, 5000));
        packet[i] ^= 0x40;
    }
    for (size_t cut = 0; cut < len; cut++)
        assert_non_null(duet_sctp_refuse_packet(packet, cut, 5000, 5000));
}

static void hardware_and_software_checksums_agree(void **state)
{
    (void)state;
    uint64_t seed = 5;
    uint8_t data[3000];

    assert_int_equal(duet_crc32c_software(0, "123456789", 9), 0xe3069283);
    assert_int_equal(duet_crc32c(0, "123456789", 9), 0xe3069283);
    for (int i = 0; i < 500; i++) {
        size_t offset = test_random_below(&seed, 16), len = test_random_below(&seed, sizeof(data) - 16);
        test_random_fill(&seed, data, sizeof(data));
        assert_int_equal(duet_crc32c(0, data + offset, len), duet_crc32c_software(0, data + offset, len));
    }
    print_message("CRC32c in hardware: %s\n", duet_crc32c_is_hardware() ? "yes" : "no");
}

static bool check_software_sum(sctp_pair *p, int from, const uint8_t *data, size_t len)
{
    uint8_t copy[2048];
    uint32_t crc;

    (void)p, (void)from;
    memcpy(copy, data, len);
    memset(copy + 8, 0, 4);
    crc = duet_crc32c_software(0, copy, len);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(data[8 + i], (uint8_t)(crc >> (8 * i)));
    return true;
}

static void every_packet_that_leaves_carries_a_right_checksum(void **state)
{
    (void)state;
    sctp_pair *p = pair_new();

    p->filter = check_software_sum;
    for (int i = 0; i < 2; i++) {
        duet_sctp_config c;
        pair_config(p, i, &c, NULL);
        assert_int_equal(duet_sctp_create(&p->peer[i].sctp, &c), DUET_OK);
    }
    duet_dc *dc;
    assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "a", NULL, NULL, p->now), DUET_OK);
    assert_int_equal(pair_connect(p), DUET_OK);
    pair_run(p, DUET_SECONDS(1));
    uint8_t message[5000] = {0};
    assert_int_equal(duet_dc_send(dc, message, sizeof(message), false), DUET_OK);
    pair_run(p, DUET_SECONDS(1));
    assert_true(p->peer[0].packets > 8);
    pair_free(p);
}

/* Packets of a live association, mangled after capture but with a right checksum, may do no harm. */
static uint8_t captured[64][PIPE_MTU];
static size_t captured_len[64];
static size_t captured_count;

static bool capture(sctp_pair *p, int from, const uint8_t *data, size_t len)
{
    (void)p;
    if (from == 0 && captured_count < 64) {
        memcpy(captured[captured_count], data, len);
        captured_len[captured_count++] = len;
    }
    return true;
}

static void mangled_packets_of_the_peer_do_no_harm(void **state)
{
    (void)state;
    uint64_t seed = 11;

    for (int round = 0; round < 40; round++) {
        sctp_pair *p = pair_new();
        captured_count = 0;
        p->filter = capture;
        for (int i = 0; i < 2; i++) {
            duet_sctp_config c;
            pair_config(p, i, &c, NULL);
            c.streams = 16;
            assert_int_equal(duet_sctp_create(&p->peer[i].sctp, &c), DUET_OK);
        }
        duet_dc *dc;
        assert_int_equal(duet_dc_create(&dc, p->peer[0].sctp, "a", NULL, NULL, p->now), DUET_OK);
        assert_int_equal(pair_connect(p), DUET_OK);
        pair_run(p, DUET_MS(100));
        uint8_t message[5000] = {0};
        duet_dc_send(dc, message, sizeof(message), false);
        pair_run(p, DUET_MS(100));
        duet_dc_close(dc);
        pair_run(p, DUET_MS(100));
        for (int i = 0; i < 300; i++) {
            size_t which = test_random_below(&seed, captured_count), len = captured_len[which];
            uint8_t packet[PIPE_MTU], chunks[PIPE_MTU];
            memcpy(chunks, captured[which] + 12, len - 12);
            for (uint64_t flips = 1 + test_random_below(&seed, 3); flips > 0; flips--)
                chunks[test_random_below(&seed, len - 12)] = (uint8_t)test_random(&seed);
            uint32_t tag = (uint32_t)captured[which][4] << 24 | (uint32_t)captured[which][5] << 16 |
                           (uint32_t)captured[which][6] << 8 | captured[which][7];
            len = make_packet(packet, tag, chunks, len - 12);
            duet_sctp_input(p->peer[1].sctp, packet, len, p->now);
            if (i % 10 == 0)
                pair_run(p, DUET_MS(20));
        }
        pair_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_chunks_pass),
        cmocka_unit_test(ill_formed_chunks_are_dropped),
        cmocka_unit_test(wrong_ports_checksums_and_lengths_are_dropped),
        cmocka_unit_test(hardware_and_software_checksums_agree),
        cmocka_unit_test(every_packet_that_leaves_carries_a_right_checksum),
        cmocka_unit_test(mangled_packets_of_the_peer_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
