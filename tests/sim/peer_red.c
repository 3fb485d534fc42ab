/* Opus with redundancy (RFC 2198) between two connections in virtual time: what one packet lost, the next one brings. */
#include "duet/transceiver.h"
#include "prefer.h"
#include "raw_call.h"
#include "stats_of.h"

#define EVERY DUET_MS(20)

typedef struct call {
    world *world;
    duet_sender *audio;
    duet_receiver *sound;
    bool running, is_raw, reads, pauses, is_quiet;
    uint64_t position;
    uint32_t sent, frames, losses, red_packets, plain_packets;
    uint32_t last_number;
} call;

static call *the_call;

/* ---- receiving ---- */

static uint32_t number_in(const duet_incoming_frame *frame)
{
    return (uint32_t)frame->data[1] << 16 | (uint32_t)frame->data[2] << 8 | frame->data[3];
}

static void frame_arrives(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    call *c = user;

    (void)receiver;
    assert_string_equal(frame->codec->name, "opus");
    c->losses += frame->after_loss;
    if (!c->is_raw) {
        uint32_t number = number_in(frame);
        if (c->frames > 0)
            assert_true(number > c->last_number); /* each once, in order */
        c->last_number = number;
    }
    c->frames++;
}

static void packet_arrives(void *user, duet_receiver *receiver, const duet_rtp_arrival *arrival)
{
    call *c = user;

    (void)receiver;
    if (strcmp(arrival->codec->name, "red") == 0)
        c->red_packets++;
    else if (strcmp(arrival->codec->name, "opus") == 0)
        c->plain_packets++;
}

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    duet_receiver_callbacks callbacks = {.on_frame = frame_arrives, .on_rtp = packet_arrives, .user = the_call};

    (void)user, (void)pc;
    the_call->sound = duet_transceiver_receiver(transceiver);
    duet_receiver_set_callbacks(the_call->sound, &callbacks);
}

static void read_sound(void *arg)
{
    call *c = arg;
    int16_t samples[480];

    if (!c->running)
        return;
    if (c->reads && c->sound)
        assert_int_equal(duet_receiver_read_audio(c->sound, samples, 480, 1), DUET_OK);
    duet_sim_at(c->world->sim, duet_sim_now(c->world->sim) + DUET_MS(10), read_sound, c);
}

/* ---- sending ---- */

static void send_numbered_frame(call *c, duet_time now)
{
    uint8_t data[80] = {0x78}; /* Opus: CELT, 20 ms, one frame */
    duet_outgoing_frame frame = {
        .data = data, .len = sizeof(data), .payload_type = DUET_FRAME_OWN_CODEC, .captured = now};

    c->sent++;
    data[1] = (uint8_t)(c->sent >> 16);
    data[2] = (uint8_t)(c->sent >> 8);
    data[3] = (uint8_t)c->sent;
    assert_int_equal(duet_sender_send_frame(c->audio, &frame), DUET_OK);
}

static void send_tone(call *c, duet_time now)
{
    int16_t samples[960];
    duet_audio_frame frame = {samples, 960, 48000, 1};

    duet_tone_fill(samples, 960, 1, 48000, 440, 0.25, c->position);
    c->position += 960;
    c->sent++;
    assert_int_equal(duet_sender_send_audio(c->audio, &frame, now), DUET_OK);
}

static void send_next(void *arg)
{
    call *c = arg;
    duet_time now = duet_sim_now(c->world->sim);
    bool is_pause = c->pauses && now / DUET_SECONDS(1) % 2 == 1; /* every other second nothing is sent */

    if (!c->running)
        return;
    if (duet_sender_is_active(c->audio) && !is_pause && !c->is_quiet)
        (c->is_raw ? send_tone : send_numbered_frame)(c, now);
    duet_sim_at(c->world->sim, now + EVERY, send_next, c);
}

/* ---- a call ---- */

static const char *const with_red[] = {"red", "opus", "telephone-event", NULL};
static const char *const without_red[] = {"opus", "telephone-event", NULL};
static const char *const red_behind[] = {"opus", "red", NULL};
static const duet_sim_link good = {.delay = DUET_MS(10)};
static const duet_sim_link lossy = {.delay = DUET_MS(10), .loss = 0.025}; /* of each host: 5 % */
static const duet_sim_link bad = {.delay = DUET_MS(10),
                                  .jitter = DUET_MS(5),
                                  .loss = 0.025,
                                  .reorder = 0.03,
                                  .reorder_delay = DUET_MS(30),
                                  .duplicate = 0.05};

static call *call_new(uint64_t seed, const duet_sim_link *link, bool is_raw)
{
    call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    the_call = c;
    c->is_raw = c->reads = is_raw;
    c->world = world_new(seed, link);
    return c;
}

static void call_connect(call *c, const char *const *codecs)
{
    raw_sides_create(c->world, on_track);
    assert_int_equal(duet_pc_add_track(c->world->alice.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &c->audio), DUET_OK);
    prefer(duet_sender_transceiver(c->audio), codecs);
    world_connect(c->world, DUET_SECONDS(40));
    c->running = true;
    send_next(c);
    read_sound(c);
}

static call *call_connected(uint64_t seed, const duet_sim_link *link, const char *const *codecs, bool is_raw)
{
    call *c = call_new(seed, link, is_raw);

    call_connect(c, codecs);
    return c;
}

static void call_end(call *c)
{
    c->running = false;
    world_end(c->world);
    free(c);
    the_call = NULL;
}

static uint64_t received(const call *c, const char *name)
{
    return stat_of(c->world->bob.pc, DUET_STATS_INBOUND_RTP, "audio", name);
}

/* ---- stories ---- */

static void every_packet_brings_the_one_before_it_once_more(void **state)
{
    (void)state;

    call *c = call_connected(1, &good, with_red, false);
    world_run(c->world, DUET_SECONDS(4));
    c->running = false;
    world_run(c->world, DUET_MS(200));
    assert_int_equal(c->frames, c->sent);
    assert_int_equal(c->red_packets, c->sent);
    assert_int_equal(c->plain_packets, 0);
    assert_int_equal(received(c, "fecPacketsReceived"), c->sent - 1);
    assert_int_equal(received(c, "fecPacketsDiscarded"), c->sent - 1); /* nothing was missing */
    assert_int_equal(received(c, "duetRedundancyMalformed"), 0);
    assert_int_equal(received(c, "duetPacketsLate"), 0);
    assert_int_equal(stat_of(c->world->alice.pc, DUET_STATS_OUTBOUND_RTP, "audio", "duetRedundancySent"), c->sent - 1);
    call_end(c);
}

static void red_behind_opus_is_only_received(void **state)
{
    (void)state;

    call *c = call_connected(2, &good, red_behind, false);
    world_run(c->world, DUET_SECONDS(2));
    assert_int_equal(c->red_packets, 0);
    assert_true(c->plain_packets > 90);
    call_end(c);
}

static void frames_that_were_lost_once_are_given_once_and_in_order(void **state)
{
    const duet_sim_link *const links[] = {&lossy, &bad};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        uint32_t missing[2];
        for (size_t red = 0; red < 2; red++) {
            call *c = call_connected(3 + i, links[i], red ? with_red : without_red, false);
            world_run(c->world, DUET_SECONDS(40));
            c->running = false;
            world_run(c->world, DUET_MS(300));
            missing[red] = c->sent - c->frames;
            print_message("%s: %u of %u frames are missing, %llu of %llu redundant blocks were not needed\n",
                          red ? "red" : "opus", missing[red], c->sent,
                          (unsigned long long)received(c, "fecPacketsDiscarded"),
                          (unsigned long long)received(c, "fecPacketsReceived"));
            call_end(c);
        }
        assert_true(missing[0] > 60); /* of 2000 */
        assert_true(missing[1] < 15); /* two in a row, 0.25 % */
    }
}

static void sound_is_whole_where_it_would_be_concealed(void **state)
{
    uint64_t concealed[2];
    (void)state;

    for (size_t red = 0; red < 2; red++) {
        call *c = call_connected(5, &lossy, red ? with_red : without_red, true);
        world_run(c->world, DUET_SECONDS(5));
        uint64_t before = received(c, "concealedSamples"), total = received(c, "totalSamplesReceived");
        world_run(c->world, DUET_SECONDS(40));
        concealed[red] = received(c, "concealedSamples") - before;
        total = received(c, "totalSamplesReceived") - total;
        print_message("%s: %llu of %llu samples concealed\n", red ? "red" : "opus", (unsigned long long)concealed[red],
                      (unsigned long long)total);
        assert_true(total > 39 * 48000);
        call_end(c);
    }
    assert_true(concealed[0] > 40 * 48000 * 3 / 100);
    assert_true(concealed[1] < 40 * 48000 * 1 / 100);
}

static void pauses_and_tones_between_do_not_confuse_it(void **state)
{
    (void)state;

    call *c = call_connected(6, &lossy, with_red, false);
    c->pauses = true;
    for (int i = 0; i < 15; i++) {
        assert_int_equal(duet_sender_insert_dtmf(c->audio, (uint8_t)i, DUET_MS(100)), DUET_OK);
        world_run(c->world, DUET_SECONDS(2));
    }
    c->running = false;
    world_run(c->world, DUET_MS(300));
    print_message("%u of %u frames are missing, %u times something was lost\n", c->sent - c->frames, c->sent,
                  c->losses);
    assert_true(c->sent > 600);
    assert_true(c->sent - c->frames < 12);
    call_end(c);
}

static void the_codec_may_change_in_mid_call(void **state)
{
    const char *const pcmu[] = {"red", "PCMU", "opus", NULL};
    (void)state;

    call *c = call_connected(7, &lossy, with_red, false);
    world_run(c->world, DUET_SECONDS(2));
    uint32_t red_packets = c->red_packets;
    assert_true(red_packets > 80);
    prefer(duet_sender_transceiver(c->audio), red_behind);
    world_offer(c->world);
    world_run(c->world, DUET_SECONDS(2));
    assert_true(c->plain_packets > 80); /* from now on it is only received */
    assert_in_range(c->red_packets, red_packets, red_packets + 5);
    prefer(duet_sender_transceiver(c->audio), pcmu);
    c->running = false;
    world_offer(c->world);
    world_run(c->world, DUET_SECONDS(1));
    duet_codec codec;
    assert_int_equal(duet_sender_codec(c->audio, &codec), DUET_OK);
    assert_string_equal(codec.name, "PCMU");
    assert_int_equal(stat_of(c->world->alice.pc, DUET_STATS_OUTBOUND_RTP, "audio", "duetRedundancySent"), 0);
    call_end(c);
}

static void a_frame_too_large_for_red_goes_alone(void **state)
{
    (void)state;

    call *c = call_connected(8, &good, with_red, false);
    world_run(c->world, DUET_SECONDS(1));
    c->running = false;
    world_run(c->world, DUET_MS(100));
    uint32_t frames = c->frames, plain = c->plain_packets;
    uint8_t data[1300] = {0x78};
    duet_outgoing_frame frame = {.data = data, .payload_type = DUET_FRAME_OWN_CODEC};
    for (frame.len = 1000; frame.len < sizeof(data); frame.len++) {
        data[1] = 1;
        data[2] = (uint8_t)(frame.len >> 8);
        data[3] = (uint8_t)frame.len;
        frame.captured = duet_sim_now(c->world->sim);
        int err = duet_sender_send_frame(c->audio, &frame);
        if (err == DUET_ERR_TOO_LARGE)
            break;
        assert_int_equal(err, DUET_OK);
        frames++;
        world_run(c->world, DUET_MS(20));
    }
    world_run(c->world, DUET_MS(100));
    assert_true(frame.len < sizeof(data));
    assert_int_equal(c->frames, frames);
    assert_int_equal(c->plain_packets, plain + 1); /* the last one that went at all */
    call_end(c);
}

/* ---- payloads that nobody should send ---- */

#define OPUS_OF(n) 0x78, 0, 0, (n), 9, 9, 9, 9

/* As a packet of its own, by the RTP interface: `step` packets after the last. */
static void send_red(call *c, uint16_t *sequence, uint32_t *timestamp, uint16_t step, const uint8_t *payload,
                     size_t len)
{
    *sequence = (uint16_t)(*sequence + step);
    *timestamp += step * 960u;
    duet_rtp_packet packet = {.payload_type = 63,
                              .sequence_number = *sequence,
                              .timestamp = *timestamp,
                              .payload = payload,
                              .payload_len = len};
    assert_int_equal(duet_sender_send_rtp(c->audio, &packet, NULL), DUET_OK);
    world_run(c->world, DUET_MS(150)); /* longer than a missing frame is waited for */
}

static void what_is_no_redundancy_costs_a_counter(void **state)
{
    /* A redundant block of 8 bytes, 960 before the primary one. */
    static const uint8_t first[] = {0x6F, OPUS_OF(1)};
    static const struct {
        const char *what;
        uint16_t step;
        uint8_t payload[64];
        size_t len;
        unsigned frames, received, discarded, malformed;
    } cases[] = {
        {"as it should be", 1, {0xEF, 0x0F, 0x00, 8, 0x6F, OPUS_OF(1), OPUS_OF(2)}, 21, 1, 1, 1, 0},
        {"with a hole", 2, {0xEF, 0x0F, 0x00, 8, 0x6F, OPUS_OF(3), OPUS_OF(4)}, 21, 2, 1, 0, 0},
        {"two blocks, one hole",
         2,
         {0xEF, 0x1E, 0x00, 8, 0xEF, 0x0F, 0x00, 8, 0x6F, OPUS_OF(4), OPUS_OF(5), OPUS_OF(6)},
         33,
         2,
         2,
         1,
         0},
        {"two holes",
         3,
         {0xEF, 0x1E, 0x00, 8, 0xEF, 0x0F, 0x00, 8, 0x6F, OPUS_OF(7), OPUS_OF(8), OPUS_OF(9)},
         33,
         3,
         2,
         0,
         0},
        {"no redundancy", 1, {0x6F, OPUS_OF(10)}, 9, 1, 0, 0, 0},
        {"a block for which no number is missing",
         1,
         {0xEF, 0x07, 0x80, 8, 0x6F, OPUS_OF(10), OPUS_OF(11)},
         21,
         1,
         1,
         1,
         0},
        {"a block without an offset", 2, {0xEF, 0x00, 0x00, 8, 0x6F, OPUS_OF(12), OPUS_OF(13)}, 21, 1, 1, 1, 0},
        {"an empty block", 2, {0xEF, 0x0F, 0x00, 0, 0x6F, OPUS_OF(15)}, 13, 1, 1, 1, 0},
        {"an empty primary block", 1, {0xEF, 0x0F, 0x00, 8, 0x6F, OPUS_OF(15)}, 13, 0, 1, 1, 0},
        {"a header that is cut", 1, {0xEF, 0x0F, 0x00}, 3, 0, 0, 0, 1},
        {"a header and nothing", 1, {0xEF, 0x0F, 0x00, 8, 0x6F}, 5, 0, 0, 0, 1},
        {"a block that is cut", 1, {0xEF, 0x0F, 0x00, 8, 0x6F, 1, 2, 3}, 8, 0, 0, 0, 1},
        {"RED in RED", 1, {0x3F, 0x6F, OPUS_OF(20)}, 10, 0, 0, 0, 1},
        {"RED in a block", 2, {0xBF, 0x0F, 0x00, 8, 0x6F, OPUS_OF(21), OPUS_OF(22)}, 21, 1, 0, 0, 1},
        {"an unknown type", 1, {0x70, OPUS_OF(23)}, 9, 0, 0, 0, 1},
        {"an unknown type in a block", 2, {0xF0, 0x0F, 0x00, 8, 0x6F, OPUS_OF(24), OPUS_OF(25)}, 21, 1, 0, 0, 1},
        {"a tone in a block", 2, {0xEE, 0x0F, 0x00, 8, 0x6F, OPUS_OF(26), OPUS_OF(27)}, 21, 1, 0, 0, 1},
        {"another clock in a block", 2, {0x80, 0x0F, 0x00, 8, 0x6F, OPUS_OF(28), OPUS_OF(29)}, 21, 1, 0, 0, 1},
        {"only the primary block is unknown", 2, {0xEF, 0x0F, 0x00, 8, 0x70, OPUS_OF(30), OPUS_OF(31)}, 21, 1, 1, 0, 1},
        {"what was dropped comes again", 1, {0xEF, 0x0F, 0x00, 8, 0x6F, OPUS_OF(31), OPUS_OF(32)}, 21, 2, 1, 0, 0},
    };
    (void)state;

    call *c = call_new(11, &good, false);
    c->is_quiet = true;
    call_connect(c, with_red);
    world_run(c->world, DUET_SECONDS(1));
    uint16_t sequence = 1000;
    uint32_t timestamp = UINT32_MAX - 5000;
    c->frames = 0;
    send_red(c, &sequence, &timestamp, 1, first, sizeof(first));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t seen = received(c, "fecPacketsReceived"), discarded = received(c, "fecPacketsDiscarded");
        uint64_t malformed = received(c, "duetRedundancyMalformed");
        uint32_t frames = c->frames;
        send_red(c, &sequence, &timestamp, cases[i].step, cases[i].payload, cases[i].len);
        frames = c->frames - frames;
        seen = received(c, "fecPacketsReceived") - seen;
        discarded = received(c, "fecPacketsDiscarded") - discarded;
        malformed = received(c, "duetRedundancyMalformed") - malformed;
        if (frames != cases[i].frames || seen != cases[i].received || discarded != cases[i].discarded ||
            malformed != cases[i].malformed)
            fail_msg("%s: %u frames, %u received, %u discarded, %u malformed", cases[i].what, frames, (unsigned)seen,
                     (unsigned)discarded, (unsigned)malformed);
    }
    call_end(c);
}

/* ---- out of memory ---- */

static bool survives(bool is_bob, uint64_t n)
{
    test_allocator memory;
    call *c = call_new(9, &lossy, false);
    side *s = is_bob ? &c->world->bob : &c->world->alice;

    test_allocator_init(&memory, 0);
    s->env.allocator = &memory.allocator;
    call_connect(c, with_red);
    memory.fail_at = memory.calls + n;
    world_run(c->world, DUET_SECONDS(1));
    bool was_reached = memory.calls >= memory.fail_at;
    memory.fail_at = 0;
    uint32_t before = c->frames;
    world_run(c->world, DUET_SECONDS(1));
    assert_true(c->frames > before + 45);
    call_end(c);
    assert_int_equal(memory.live, 0);
    return was_reached;
}

static void a_receiver_survives_every_missing_allocation(void **state)
{
    unsigned runs = 0;
    (void)state;

    for (uint64_t n = 1; n <= 40 && survives(true, n); n++)
        runs++;
    print_message("%u allocations failed\n", runs);
    assert_true(runs > 3);
}

static void nothing_is_allocated_for_a_packet(void **state)
{
    test_allocator memory;
    (void)state;

    call *c = call_new(10, &lossy, false);
    test_allocator_init(&memory, 0);
    c->world->alice.env.allocator = &memory.allocator;
    call_connect(c, with_red);
    world_run(c->world, DUET_SECONDS(10));
    uint64_t calls = memory.calls;
    world_run(c->world, DUET_SECONDS(10));
    print_message("%llu allocations in ten seconds\n", (unsigned long long)(memory.calls - calls));
    assert_true(memory.calls - calls < 100); /* of ICE and the like; there were 500 packets */
    call_end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_packet_brings_the_one_before_it_once_more),
        cmocka_unit_test(red_behind_opus_is_only_received),
        cmocka_unit_test(frames_that_were_lost_once_are_given_once_and_in_order),
        cmocka_unit_test(sound_is_whole_where_it_would_be_concealed),
        cmocka_unit_test(pauses_and_tones_between_do_not_confuse_it),
        cmocka_unit_test(the_codec_may_change_in_mid_call),
        cmocka_unit_test(a_frame_too_large_for_red_goes_alone),
        cmocka_unit_test(what_is_no_redundancy_costs_a_counter),
        cmocka_unit_test(a_receiver_survives_every_missing_allocation),
        cmocka_unit_test(nothing_is_allocated_for_a_packet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
