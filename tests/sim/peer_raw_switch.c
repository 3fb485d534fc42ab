/* A peer that changes its codec from one picture to the next, with packets of the codec before that come late; and one that
 * changes its SSRC all the time. */
#include "duet/transceiver.h"
#include "peer/media_io.h"
#include "peer_world.h"
#include "stats_of.h"

#define WIDTH  160
#define HEIGHT 128

typedef struct call {
    world *world;
    duet_sender *sender;
    uint32_t counter, shown, unreadable;
    uint16_t sequence_number;
    duet_rtp_extensions extensions; /* of what is sent */
    duet_time waited;               /* between the last arrival and when it should be shown */
    uint8_t picture[WIDTH * HEIGHT * 3 / 2];
} call;

static call *the_call;

/* An encoder and what makes packets of its frames. */
typedef struct source {
    duet_codec codec;
    duet_video_encoder *encoder;
    duet_packetizer *packetizer;
} source;

static void shows(void *user, duet_receiver *receiver, const duet_video_frame *picture,
                  const duet_incoming_frame *frame)
{
    call *c = user;
    uint32_t counter;

    (void)receiver;
    c->shown++;
    c->waited = frame->render - frame->arrived;
    c->unreadable += !duet_pattern_read(picture, &counter);
}

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    duet_receiver_callbacks callbacks = {.on_video = shows, .user = the_call};

    (void)user, (void)pc;
    duet_receiver_set_callbacks(duet_transceiver_receiver(transceiver), &callbacks);
}

static void source_open(source *s, const char *name, uint8_t payload_type)
{
    duet_video_encoder_config config;
    duet_packetizer_config packets;

    duet_video_encoder_config_init(&config);
    strcpy(config.codec.name, name);
    config.width = WIDTH;
    config.height = HEIGHT;
    assert_int_equal(duet_video_encoder_create(&s->encoder, &config), DUET_OK);
    s->codec = config.codec;
    s->codec.payload_type = payload_type;
    duet_packetizer_config_init(&packets);
    packets.format = duet_payload_format_of(name);
    packets.payload_max = 1000;
    assert_int_equal(duet_packetizer_create(&s->packetizer, &packets), DUET_OK);
}

static void source_close(source *s)
{
    duet_video_encoder_destroy(s->encoder);
    duet_packetizer_destroy(s->packetizer);
}

static void send_packet(call *c, const source *s, const uint8_t *payload, size_t len, bool marker)
{
    duet_rtp_packet packet = {.marker = marker,
                              .payload_type = s->codec.payload_type,
                              .sequence_number = c->sequence_number++,
                              .timestamp = c->counter * 3600,
                              .payload = payload,
                              .payload_len = len};

    assert_int_equal(duet_sender_send_rtp(c->sender, &packet, &c->extensions), DUET_OK);
}

static void send_picture(call *c, source *s, bool is_keyframe)
{
    duet_video_frame picture;
    duet_encoded_frame frame;
    uint8_t payload[1200];
    size_t len;
    bool marker;

    duet_pattern_fill(c->picture, WIDTH, HEIGHT, ++c->counter);
    duet_pattern_frame(c->picture, WIDTH, HEIGHT, &picture);
    duet_time now = duet_sim_now(c->world->sim);
    assert_int_equal(duet_video_encoder_encode(s->encoder, &picture, now, is_keyframe, &frame), DUET_OK);
    assert_true(frame.len > 0);
    assert_int_equal(duet_packetizer_begin(s->packetizer, frame.data, frame.len, &frame.info), DUET_OK);
    while (duet_packetizer_next(s->packetizer, payload, sizeof(payload), &len, &marker) == 1)
        send_packet(c, s, payload, len, marker);
    world_run(c->world, DUET_MS(40));
}

/* Decoders are counted. */
static duet_codec_ops ops;
static unsigned decoders, most_decoders;

static int decoder_create(duet_video_decoder **out, const duet_video_decoder_config *config)
{
    int err = duet_video_decoder_create(out, config);

    decoders += err == DUET_OK;
    most_decoders = decoders > most_decoders ? decoders : most_decoders;
    return err;
}

static void decoder_destroy(duet_video_decoder *decoder)
{
    duet_video_decoder_destroy(decoder);
    decoders--;
}

static call *call_new(void)
{
    duet_sim_link link = {.delay = DUET_MS(10)};
    call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    the_call = c;
    c->sequence_number = 1000;
    c->world = world_new(1, &link);
    duet_pc_config a = side_config(&c->world->alice), b = side_config(&c->world->bob);
    ops = *duet_codecs();
    ops.video_decoder_create = decoder_create;
    ops.video_decoder_destroy = decoder_destroy;
    decoders = most_decoders = 0;
    b.codecs = &ops;
    b.on_track = on_track;
    side_create(&c->world->alice, &a);
    side_create(&c->world->bob, &b);
    assert_int_equal(duet_pc_add_track(c->world->alice.pc, DUET_SDP_VIDEO, NULL, NULL, 0, &c->sender), DUET_OK);
    world_connect(c->world, DUET_SECONDS(10));
    return c;
}

static void call_end(call *c)
{
    world_end(c->world);
    free(c);
    the_call = NULL;
}

static void a_late_packet_of_the_codec_before_costs_no_picture(void **state)
{
    static const uint8_t late[] = {0x10, 0x11, 0x02, 0x00, 0x55};
    source vp8, vp9;
    (void)state;

    call *c = call_new();
    source_open(&vp8, "VP8", 96);
    source_open(&vp9, "VP9", 98);
    for (int i = 0; i < 10; i++)
        send_picture(c, &vp8, i == 0);
    uint16_t missing = c->sequence_number++;
    for (int i = 0; i < 5; i++)
        send_picture(c, &vp9, i == 0);
    uint16_t next = c->sequence_number;
    c->sequence_number = missing;
    send_packet(c, &vp8, late, sizeof(late), true);
    c->sequence_number = next;
    for (int i = 0; i < 10; i++)
        send_picture(c, &vp9, false);
    world_run(c->world, DUET_SECONDS(1));
    assert_int_equal(c->shown, c->counter);
    assert_int_equal(c->unreadable, 0);
    assert_int_equal(stat_of(c->world->bob.pc, DUET_STATS_INBOUND_RTP, "video", "pliCount"), 0);
    source_close(&vp8);
    source_close(&vp9);
    call_end(c);
}

static void the_sender_says_how_long_pictures_are_held_back(void **state)
{
    static const uint16_t wishes[][2] = {{300, 400}, {0, 0}, {100, 100}}; /* milliseconds, at least and at most */
    source vp8;
    (void)state;

    call *c = call_new();
    source_open(&vp8, "VP8", 96);
    for (int i = 0; i < 10; i++)
        send_picture(c, &vp8, i == 0);
    assert_true(c->waited < DUET_MS(20));
    for (size_t k = 0; k < sizeof(wishes) / sizeof(wishes[0]); k++) {
        c->extensions.present = 1u << DUET_RTP_EXT_PLAYOUT_DELAY;
        c->extensions.playout_delay_min = wishes[k][0];
        c->extensions.playout_delay_max = wishes[k][1];
        send_picture(c, &vp8, false);
        c->extensions.present = 0; /* it holds */
        for (int i = 0; i < 50; i++)
            send_picture(c, &vp8, false);
        assert_true(c->waited + DUET_MS(15) >= DUET_MS(wishes[k][0]));
        assert_true(c->waited <= DUET_MS(wishes[k][1]) + DUET_MS(15));
    }
    world_run(c->world, DUET_SECONDS(1));
    assert_int_equal(c->shown, c->counter);
    source_close(&vp8);
    call_end(c);
}

static void send_from_elsewhere(call *c, const duet_encoded_frame *frame, source *s)
{
    duet_rtp_session *session = c->world->alice.pc->transports[0]->media->rtp;
    duet_send_stream_config config;
    duet_send_stream *stream;
    uint8_t payload[1200];
    size_t len;
    bool marker;

    duet_send_stream_config_init(&config);
    config.mid = duet_transceiver_mid(duet_sender_transceiver(c->sender));
    assert_int_equal(duet_send_stream_create(&stream, session, &config), DUET_OK);
    assert_int_equal(duet_packetizer_begin(s->packetizer, frame->data, frame->len, &frame->info), DUET_OK);
    while (duet_packetizer_next(s->packetizer, payload, sizeof(payload), &len, &marker) == 1)
        assert_int_equal(duet_send_stream_send(stream, s->codec.payload_type, marker, c->counter * 3600, payload, len,
                                               NULL, duet_sim_now(c->world->sim)),
                         DUET_OK);
    world_run(c->world, DUET_MS(20));
    /* it falls silent without a goodbye, as far as anybody can tell */
}

/* A decoder has room for several pictures, and their size is the sender's choice. */
static void many_ssrcs_do_not_have_a_decoder_each(void **state)
{
    duet_video_frame picture;
    duet_encoded_frame key;
    source vp8, other;
    (void)state;

    call *c = call_new();
    source_open(&vp8, "VP8", 96);
    source_open(&other, "VP8", 96);
    for (int i = 0; i < 10; i++)
        send_picture(c, &vp8, i == 0);
    duet_pattern_fill(c->picture, WIDTH, HEIGHT, 1);
    duet_pattern_frame(c->picture, WIDTH, HEIGHT, &picture);
    assert_int_equal(duet_video_encoder_encode(other.encoder, &picture, 1, true, &key), DUET_OK);
    for (int i = 0; i < 50; i++) {
        send_from_elsewhere(c, &key, &other);
        send_picture(c, &vp8, false);
    }
    assert_int_equal(c->shown, 110);
    assert_int_equal(c->unreadable, 0);
    assert_in_range(most_decoders, 1, 4);
    source_close(&vp8);
    source_close(&other);
    call_end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_packet_of_the_codec_before_costs_no_picture),
        cmocka_unit_test(the_sender_says_how_long_pictures_are_held_back),
        cmocka_unit_test(many_ssrcs_do_not_have_a_decoder_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
