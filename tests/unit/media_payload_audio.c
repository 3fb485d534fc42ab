/* Opus and G.711 payloads: RFC 7587, 6716 and 3551. */
#include "payload_trip.h"

static void the_table_of_contents_tells_the_duration(void **state)
{
    (void)state;
    const struct {
        uint8_t packet[4];
        size_t len;
        uint32_t duration;
    } cases[] = {
        {{0x78, 1}, 2, 960},          /* hybrid, 20 ms: what browsers send, one frame (config 15) */
        {{0x00}, 1, 480},             /* SILK 10 ms; a TOC alone is a frame of DTX */
        {{0x18}, 1, 2880},            /* SILK 60 ms */
        {{0x60}, 1, 480},             /* hybrid 10 ms */
        {{0x80}, 1, 120},             /* CELT 2.5 ms */
        {{0xF8, 0xFF, 0xFE}, 3, 960}, /* CELT 20 ms: Opus silence */
        {{0x79, 1, 2}, 3, 1920},      /* two of equal length */
        {{0x79, 1}, 2, 0},            /* which cannot be equal */
        {{0x7A, 1, 2}, 3, 1920},      /* two, with the first's length */
        {{0x7A}, 1, 0},               /* no length */
        {{0x7B, 0x06}, 2, 5760},      /* six of 20 ms: 120 ms */
        {{0x7B, 0x07}, 2, 0},         /* 140 ms */
        {{0x7B, 0x00}, 2, 0},         /* no frames */
        {{0x7B}, 1, 0},               /* no count */
        {{0x83, 0x30}, 2, 5760},      /* 48 of 2.5 ms */
        {{0x83, 0x31}, 2, 0},
        {{0}, 0, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(duet_opus_packet_duration(cases[i].packet, cases[i].len), cases[i].duration);
}

static void an_audio_frame_is_a_payload_without_marker(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_OPUS, 0);
    const uint8_t opus[] = {0x78, 1, 2, 3};
    uint8_t long_frame[1101] = {0x78};

    t->payload_max = 1100;
    assert_int_equal(duet_packetizer_begin(t->packetizer, opus, sizeof(opus), NULL), DUET_OK);
    trip_expect_payload(t, false, 0x78, 1, 2, 3);
    trip_send(t, opus, sizeof(opus), NULL);
    assert_true(t->first.starts_frame && t->first.ends_frame);
    assert_int_equal(duet_packetizer_begin(t->packetizer, long_frame, 1101, NULL), DUET_ERR_TOO_LARGE);
    trip_send(t, long_frame, 1100, NULL);
    trip_free(t);

    t = trip_new(DUET_PAYLOAD_G711, 200);
    uint8_t samples[160];
    memset(samples, 0xFF, sizeof(samples));
    trip_send(t, samples, sizeof(samples), NULL);
    assert_int_equal(t->payloads, 1);
    trip_free(t);
}

static void a_second_payload_spoils_an_audio_frame(void **state)
{
    (void)state;
    trip *t = trip_new(DUET_PAYLOAD_OPUS, 100);
    const uint8_t opus[] = {0x78, 1}, bad[] = {0x7B};
    duet_payload_info info;

    assert_int_equal(trip_receive(t, opus, sizeof(opus)), DUET_OK);
    assert_int_equal(duet_depacketizer_add(t->depacketizer, opus, sizeof(opus)), DUET_ERR_MALFORMED);
    assert_int_equal(trip_receive(t, opus, 0), DUET_ERR_MALFORMED);
    assert_int_equal(duet_payload_inspect(DUET_PAYLOAD_OPUS, bad, sizeof(bad), &info), DUET_ERR_MALFORMED);
    trip_free(t);
}

static void formats_are_known_by_their_names(void **state)
{
    (void)state;
    assert_int_equal(duet_payload_format_of("OPUS"), DUET_PAYLOAD_OPUS);
    assert_int_equal(duet_payload_format_of("pcma"), DUET_PAYLOAD_G711);
    assert_int_equal(duet_payload_format_of("vp8"), DUET_PAYLOAD_VP8);
    assert_int_equal(duet_payload_format_of("rtx"), DUET_PAYLOAD_NONE);
    assert_int_equal(duet_payload_format_of(""), DUET_PAYLOAD_NONE);
    assert_true(duet_payload_format_is_video(DUET_PAYLOAD_VP8));
    assert_false(duet_payload_format_is_video(DUET_PAYLOAD_OPUS));
    assert_false(duet_payload_format_is_video(DUET_PAYLOAD_NONE));
}

static void an_unknown_format_is_unsupported(void **state)
{
    (void)state;
    duet_packetizer_config config;
    duet_packetizer *p;
    duet_depacketizer *d;
    duet_payload_info info;

    duet_packetizer_config_init(&config);
    assert_int_equal(duet_packetizer_create(&p, &config), DUET_ERR_UNSUPPORTED);
    assert_int_equal(duet_depacketizer_create(&d, NULL, (duet_payload_format)99, 0), DUET_ERR_UNSUPPORTED);
    assert_null(p);
    assert_null(d);
    assert_int_equal(duet_payload_inspect(DUET_PAYLOAD_NONE, (const uint8_t *)"x", 1, &info), DUET_ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_contents_tells_the_duration),
        cmocka_unit_test(an_audio_frame_is_a_payload_without_marker),
        cmocka_unit_test(a_second_payload_spoils_an_audio_frame),
        cmocka_unit_test(formats_are_known_by_their_names),
        cmocka_unit_test(an_unknown_format_is_unsupported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
