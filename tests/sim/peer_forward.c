/* What a middlebox passes on: packets of a sender with other SSRCs and extension ids reach the receiver with what they say about
 * layers, also those that are lost and sent again. */
#include "duet/transceiver.h"
#include "duet/video_layers.h"
#include "peer_world.h"

#define FRAMES      200
#define SOURCE_SSRC 0xabcdef

/* Of Chromium: the key frame of VP9 in three spatial and temporal layers, and what it gives to them. */
static const uint8_t structure[] =
    "\xcc\x00\xff\x81\x88\x14\x85\x21\x4e\xaa\xaa\xa8\x00\x06\x00\x00\x40\x00\x10\x00\x02\xaa\x80\xa8\x00\x06\x00\x00"
    "\x40\x00\x10\x00\x02\xa0\x00\xa8\x00\x06\x00\x00\x40\x00\x16\xd5\x49\x24\x1b\x55\x24\x90\x6d\x54\x92\x31\x57\xe0"
    "\x01\x97\x4c\xa8\x64\x33\x0e\x22\x23\x96\xec\xa8\x65\x53\x04\x22\x43\x90\xec\xa8\x77\x53\x00\xef\x00\x86\x01\xdf"
    "\x01\x0d\x03\xbf\x02\x1b";
static const uint8_t layers[] = "\x03\xa0\x4d\x64\x8e\x01\xe2\x01\xa6\x02\xa2\x03";

typedef struct call {
    world *world;
    duet_sender *video;
    uint32_t sent, received, repaired, structures, allocations;
    duet_dependency_structure structure;
    uint32_t seen[FRAMES];
} call;

static call *the_call;

/* ---- receiving ---- */

static void packet_arrives(void *user, duet_receiver *receiver, const duet_rtp_arrival *arrival)
{
    call *c = user;
    const duet_rtp_extensions *e = arrival->extensions;
    uint32_t number = arrival->packet->timestamp / 3000;
    duet_dependency_descriptor d;

    (void)receiver;
    if (!(e->present & 1u << DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR))
        return; /* probes */
    assert_int_not_equal(arrival->packet->ssrc, SOURCE_SSRC);
    assert_int_equal(arrival->packet->sequence_number, 1000 + number);
    assert_string_equal(e->mid[0] ? e->mid : "0", "0"); /* ours, not that of the source */
    c->received++;
    c->repaired += arrival->is_retransmission;
    c->seen[number]++;
    if (e->present & 1u << DUET_RTP_EXT_LAYERS_ALLOCATION) {
        duet_layers_allocation a;
        assert_int_equal(duet_layers_allocation_parse(&a, e->layers_allocation, e->layers_allocation_len), DUET_OK);
        assert_int_equal(a.layers[0][1].kilobits[2], 418);
        c->allocations++;
    }
    int err =
        duet_dependency_descriptor_parse(&d, &c->structure, e->dependency_descriptor, e->dependency_descriptor_len);
    if (err == DUET_ERR_NOT_FOUND) /* the key frame is still missing */
        return;
    assert_int_equal(err, DUET_OK);
    c->structures += d.has_structure;
    assert_int_equal(d.frame_number, 0xff + number);
    assert_int_equal(d.frame.spatial_id, number % 10 == 0 ? 0 : 2);
}

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    duet_receiver_callbacks callbacks = {.on_rtp = packet_arrives, .user = the_call};

    (void)user, (void)pc;
    duet_receiver_set_callbacks(duet_transceiver_receiver(transceiver), &callbacks);
}

/* ---- sending ---- */

/* A packet as it comes from its source, with ids that mean something else here. */
static size_t make_packet(uint8_t *data, size_t capacity, const duet_rtp_extension_map *map, uint32_t number)
{
    uint8_t descriptor[sizeof(structure)];
    static const uint8_t payload[1000] = {0};
    uint8_t extension[512];
    duet_rtp_extensions e = {.present = 1u << DUET_RTP_EXT_MID | 1u << DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR |
                                        1u << DUET_RTP_EXT_TRANSPORT_CC,
                             .mid = "source",
                             .transport_sequence_number = 77};
    duet_rtp_packet packet = {.payload_type = 98,
                              .sequence_number = (uint16_t)(1000 + number),
                              .timestamp = 3000 * number,
                              .ssrc = SOURCE_SSRC,
                              .extension = extension,
                              .payload = payload,
                              .payload_len = sizeof(payload)};
    size_t len;

    memcpy(descriptor, structure, sizeof(structure));
    descriptor[0] = number % 10 == 0 ? 0xcc : 0xd9; /* the templates of a key frame, and of the highest layers */
    descriptor[1] = (uint8_t)((0xff + number) >> 8);
    descriptor[2] = (uint8_t)(0xff + number);
    e.dependency_descriptor = descriptor;
    e.dependency_descriptor_len = number % 10 == 0 ? sizeof(structure) - 1 : 3;
    if (number % 10 == 0) {
        e.present |= 1u << DUET_RTP_EXT_LAYERS_ALLOCATION;
        e.layers_allocation = layers;
        e.layers_allocation_len = sizeof(layers) - 1;
    }
    assert_int_equal(duet_rtp_extensions_write(&e, map, extension, sizeof(extension), &packet.extension_profile,
                                               &packet.extension_len),
                     DUET_OK);
    assert_int_equal(duet_rtp_write(&packet, data, capacity, &len), DUET_OK);
    return len;
}

static void forward(void *arg)
{
    static const duet_rtp_extension_map map = {.ids = {[DUET_RTP_EXT_MID] = 9,
                                                       [DUET_RTP_EXT_TRANSPORT_CC] = 14,
                                                       [DUET_RTP_EXT_DEPENDENCY_DESCRIPTOR] = 200,
                                                       [DUET_RTP_EXT_LAYERS_ALLOCATION] = 3}};
    call *c = arg;
    uint8_t data[1400];
    duet_rtp_packet packet;
    duet_rtp_extensions extensions;
    size_t len = make_packet(data, sizeof(data), &map, c->sent);

    assert_int_equal(duet_rtp_parse(&packet, data, len), DUET_OK);
    assert_int_equal(duet_rtp_extensions_parse(&extensions, &packet, &map), DUET_OK);
    assert_int_equal(duet_sender_send_rtp(c->video, &packet, &extensions), DUET_OK);
    if (++c->sent < FRAMES)
        duet_sim_at(c->world->sim, duet_sim_now(c->world->sim) + DUET_MS(20), forward, c);
}

/* ---- stories ---- */

static void what_packets_say_about_layers_is_passed_on(const duet_sim_link *link, uint64_t seed, uint32_t repaired_min)
{
    call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    the_call = c;
    c->world = world_new(seed, link);
    duet_pc_config a = side_config(&c->world->alice), b = side_config(&c->world->bob);
    b.on_track = on_track;
    side_create(&c->world->alice, &a);
    side_create(&c->world->bob, &b);
    assert_int_equal(duet_pc_add_track(c->world->alice.pc, DUET_SDP_VIDEO, NULL, NULL, 0, &c->video), DUET_OK);
    world_connect(c->world, DUET_SECONDS(40));
    forward(c);
    world_run(c->world, DUET_SECONDS(8));
    print_message("%u of %u arrived, %u of them again\n", c->received, c->sent, c->repaired);
    for (size_t i = 0; i < FRAMES; i++)
        assert_int_equal(c->seen[i], 1);
    assert_in_range(c->repaired, repaired_min, FRAMES / 4);
    assert_int_equal(c->allocations, FRAMES / 10);
    assert_int_equal(c->structures, FRAMES / 10);
    world_end(c->world);
    free(c);
    the_call = NULL;
}

static void every_packet_keeps_its_descriptor(void **state)
{
    static const duet_sim_link good = {.delay = DUET_MS(10)};
    (void)state;

    what_packets_say_about_layers_is_passed_on(&good, 1, 0);
}

static void a_packet_that_is_sent_again_keeps_its_descriptor(void **state)
{
    static const duet_sim_link lossy = {.delay = DUET_MS(10), .loss = 0.025};
    (void)state;

    what_packets_say_about_layers_is_passed_on(&lossy, 2, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_packet_keeps_its_descriptor),
        cmocka_unit_test(a_packet_that_is_sent_again_keeps_its_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
