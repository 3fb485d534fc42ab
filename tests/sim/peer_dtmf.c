/* DTMF tones as telephone events (RFC 4733) beside audio, in virtual time: what arrives is what a decoder of tones needs. */
#include "duet/transceiver.h"
#include "peer_world.h"
#include "prefer.h"

#define PACKETS_MAX 1024

typedef struct packet {
    duet_telephone_event event;
    duet_time time;
    uint32_t timestamp;
    int64_t sequence;
    bool marker;
    uint32_t clock_rate;
} packet;

typedef struct call {
    world *world;
    duet_sender *audio;
    duet_receiver *receiver;
    packet packets[PACKETS_MAX];
    size_t count;
    uint32_t audio_sent, audio_frames, losses;
    duet_time last_audio, longest_gap;
    bool running;
} call;

static call *the_call;

static void packet_arrives(void *user, duet_receiver *receiver, const duet_rtp_arrival *arrival)
{
    call *c = user;
    packet *p = &c->packets[c->count];

    (void)receiver;
    if (strcmp(arrival->codec->name, "telephone-event") != 0)
        return;
    assert_true(c->count < PACKETS_MAX);
    assert_int_equal(duet_telephone_event_parse(&p->event, arrival->packet->payload, arrival->packet->payload_len),
                     DUET_OK);
    p->time = duet_sim_now(c->world->sim);
    p->timestamp = arrival->packet->timestamp;
    p->sequence = arrival->extended_sequence;
    p->marker = arrival->packet->marker;
    p->clock_rate = arrival->codec->clock_rate;
    c->count++;
}

static void audio_arrives(void *user, duet_receiver *receiver, const duet_incoming_frame *frame)
{
    call *c = user;
    duet_time now = duet_sim_now(c->world->sim);

    (void)receiver;
    assert_string_not_equal(frame->codec->name, "telephone-event");
    if (c->last_audio && now - c->last_audio > c->longest_gap)
        c->longest_gap = now - c->last_audio;
    c->last_audio = now;
    c->audio_frames++;
    c->losses += frame->after_loss;
}

static void on_track(void *user, duet_pc *pc, duet_transceiver *transceiver)
{
    duet_receiver_callbacks callbacks = {.on_frame = audio_arrives, .on_rtp = packet_arrives, .user = the_call};

    (void)user, (void)pc;
    the_call->receiver = duet_transceiver_receiver(transceiver);
    duet_receiver_set_callbacks(the_call->receiver, &callbacks);
}

static void send_audio(void *arg)
{
    call *c = arg;
    duet_time now = duet_sim_now(c->world->sim);
    uint8_t data[160] = {0x78}; /* Opus: CELT, 20 ms, one frame */
    duet_outgoing_frame frame = {
        .data = data, .len = sizeof(data), .payload_type = DUET_FRAME_OWN_CODEC, .captured = now};

    if (!c->running)
        return;
    if (duet_sender_is_active(c->audio)) {
        assert_int_equal(duet_sender_send_frame(c->audio, &frame), DUET_OK);
        c->audio_sent++;
    }
    duet_sim_at(c->world->sim, now + DUET_MS(20), send_audio, c);
}

static call *call_connected(uint64_t seed, const duet_sim_link *link, const char *codec, bool with_events)
{
    const char *const names[] = {codec, with_events ? "telephone-event" : NULL, NULL};
    call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    the_call = c;
    c->world = world_new(seed, link);
    duet_pc_config a = side_config(&c->world->alice), b = side_config(&c->world->bob);
    b.on_track = on_track;
    side_create(&c->world->alice, &a);
    side_create(&c->world->bob, &b);
    assert_int_equal(duet_pc_add_track(c->world->alice.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &c->audio), DUET_OK);
    prefer(duet_sender_transceiver(c->audio), names);
    world_connect(c->world, DUET_SECONDS(40));
    c->running = true;
    send_audio(c);
    world_run(c->world, DUET_SECONDS(1));
    return c;
}

static void call_end(call *c)
{
    c->running = false;
    world_end(c->world);
    free(c);
    the_call = NULL;
}

static const duet_sim_link good = {.delay = DUET_MS(10)};

/* ---- what a tone must look like ---- */

/* Checks the tone that begins at packet `from`. @param units  of the clock, how long it is @return the packet behind it */
static size_t assert_tone(const call *c, size_t from, uint8_t event, uint32_t units)
{
    uint32_t segment = 0, before = 0;
    unsigned ends = 0;
    size_t i = from;

    assert_true(from < c->count);
    for (; i < c->count && (i == from || !c->packets[i].marker); i++) {
        const packet *p = &c->packets[i];
        assert_int_equal(p->event.event, event);
        assert_int_equal(p->marker, i == from);
        if (p->timestamp != c->packets[from].timestamp + segment) { /* "the time at which the previous segment ended" */
            assert_int_equal(before, 0xFFFF);
            segment += 0xFFFF;
            before = 0;
        }
        assert_int_equal(p->timestamp, c->packets[from].timestamp + segment);
        assert_true(p->event.duration > 0 && p->event.duration >= before);
        assert_true(ends == 0 || p->event.end); /* nothing follows the end but itself */
        before = p->event.duration;
        ends += p->event.end;
        if (p->event.end)
            assert_int_equal(segment + p->event.duration, units);
        if (i > from)
            assert_in_range(p->time - c->packets[i - 1].time, 0, DUET_MS(50));
    }
    assert_int_equal(ends, 3);
    return i;
}

static duet_time end_of(const call *c, size_t behind)
{
    size_t i = behind - 1;

    while (c->packets[i - 1].event.end)
        i--;
    return c->packets[i].time; /* of the first packet that says so */
}

/* ---- stories ---- */

static void a_tone_is_told_from_beginning_to_end(void **state)
{
    const duet_time durations[] = {DUET_MS(40), DUET_MS(100), DUET_MS(110), DUET_MS(487)};
    (void)state;

    for (size_t k = 0; k < 4; k++) {
        call *c = call_connected(1, &good, "opus", true);
        assert_int_equal(duet_sender_insert_dtmf(c->audio, 5, durations[k]), DUET_OK);
        world_run(c->world, DUET_SECONDS(2));
        assert_int_equal(assert_tone(c, 0, 5, (uint32_t)(durations[k] * 48 / 1000)), c->count);
        assert_int_equal(c->packets[0].clock_rate, 48000);
        assert_int_equal(end_of(c, c->count) - c->packets[0].time, durations[k]);
        call_end(c);
    }
}

static void tones_follow_each_other_with_a_gap(void **state)
{
    (void)state;

    call *c = call_connected(2, &good, "opus", true);
    for (uint8_t event = 0; event <= 16; event++)
        assert_int_equal(duet_sender_insert_dtmf(c->audio, event, DUET_MS(100)), DUET_OK);
    world_run(c->world, DUET_SECONDS(5));
    size_t at = 0;
    for (uint8_t event = 0; event <= 16; event++) {
        size_t behind = assert_tone(c, at, event, 4800);
        if (behind < c->count) {
            assert_in_range(c->packets[behind].time - end_of(c, behind), DUET_MS(69), DUET_MS(71));
            assert_int_equal(c->packets[behind].timestamp - c->packets[at].timestamp, 170 * 48);
        }
        at = behind;
    }
    assert_int_equal(at, c->count);
    call_end(c);
}

static void a_tone_that_the_duration_does_not_hold_is_cut_into_segments(void **state)
{
    (void)state;

    call *c = call_connected(3, &good, "opus", true);
    assert_int_equal(duet_sender_insert_dtmf(c->audio, 11, DUET_SECONDS(6)), DUET_OK);
    assert_int_equal(duet_sender_insert_dtmf(c->audio, 10, DUET_MS(40)), DUET_OK);
    world_run(c->world, DUET_SECONDS(8));
    size_t behind = assert_tone(c, 0, 11, 6 * 48000);
    assert_int_equal(assert_tone(c, behind, 10, 40 * 48), c->count);
    call_end(c);
}

static void g711_has_events_of_its_own_clock(void **state)
{
    (void)state;

    call *c = call_connected(4, &good, "PCMU", true);
    assert_int_equal(duet_sender_insert_dtmf(c->audio, 1, DUET_SECONDS(6)), DUET_OK);
    world_run(c->world, DUET_SECONDS(7));
    assert_int_equal(assert_tone(c, 0, 1, 6 * 8000), c->count);
    assert_int_equal(c->packets[0].clock_rate, 8000);
    call_end(c);
}

static void the_audio_goes_on_undisturbed(void **state)
{
    (void)state;

    call *c = call_connected(5, &good, "opus", true);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(duet_sender_insert_dtmf(c->audio, 7, DUET_MS(200)), DUET_OK);
    world_run(c->world, DUET_SECONDS(5));
    assert_in_range(c->audio_frames, c->audio_sent - 1, c->audio_sent);
    assert_int_equal(c->losses, 0);
    assert_true(c->longest_gap <= DUET_MS(25));
    call_end(c);
}

static void what_cannot_be_sent_is_refused(void **state)
{
    (void)state;

    call *c = call_connected(6, &good, "opus", true);
    assert_int_equal(duet_sender_insert_dtmf(c->audio, 17, DUET_MS(100)), DUET_ERR_INVALID);
    assert_int_equal(duet_sender_insert_dtmf(c->audio, 1, DUET_MS(39)), DUET_ERR_INVALID);
    assert_int_equal(duet_sender_insert_dtmf(c->audio, 1, DUET_MS(6001)), DUET_ERR_INVALID);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(duet_sender_insert_dtmf(c->audio, 1, DUET_MS(100)), DUET_OK);
    assert_int_equal(duet_sender_insert_dtmf(c->audio, 1, DUET_MS(100)), DUET_ERR_AGAIN);
    world_run(c->world, DUET_SECONDS(1));
    assert_int_equal(duet_sender_replace_track(c->audio, NULL), DUET_OK);
    assert_int_equal(duet_sender_insert_dtmf(c->audio, 1, DUET_MS(100)), DUET_ERR_STATE);
    world_run(c->world, DUET_MS(50)); /* what is under way */
    size_t before = c->count;
    world_run(c->world, DUET_SECONDS(1));
    assert_int_equal(c->count, before);
    call_end(c);

    c = call_connected(7, &good, "opus", false);
    assert_int_equal(duet_sender_insert_dtmf(c->audio, 1, DUET_MS(100)), DUET_ERR_UNSUPPORTED);
    call_end(c);
}

/* The clock of the audio changes while a tone plays: the tone keeps its own. */
static void a_tone_outlives_a_change_of_codec(void **state)
{
    (void)state;
    static const char *const other[] = {"PCMU", "telephone-event", NULL};

    call *c = call_connected(8, &good, "opus", true);
    assert_int_equal(duet_sender_insert_dtmf(c->audio, 3, DUET_SECONDS(4)), DUET_OK);
    world_run(c->world, DUET_SECONDS(3));
    prefer(duet_sender_transceiver(c->audio), other);
    world_offer(c->world);
    world_run(c->world, DUET_SECONDS(3));
    assert_int_equal(assert_tone(c, 0, 3, 4 * 48000), c->count);
    call_end(c);
}

/* Once more, with a peer that names other events. @param line  in place of a=fmtp */
static void negotiate_events(call *c, const char *line)
{
    const char *own = "a=fmtp:110 0-16\r\n";
    char *offer, *answer, changed[8192];
    duet_pc *alice = c->world->alice.pc, *bob = c->world->bob.pc;

    assert_int_equal(duet_pc_set_local_description(alice, DUET_SDP_OFFER, NULL), DUET_OK);
    assert_int_equal(duet_pc_local_description(alice, NULL, &offer), DUET_OK);
    assert_int_equal(duet_pc_set_remote_description(bob, DUET_SDP_OFFER, offer), DUET_OK);
    assert_int_equal(duet_pc_set_local_description(bob, DUET_SDP_ANSWER, NULL), DUET_OK);
    assert_int_equal(duet_pc_local_description(bob, NULL, &answer), DUET_OK);
    char *at = strstr(answer, own);
    assert_non_null(at);
    snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - answer), answer, line, at + strlen(own));
    assert_int_equal(duet_pc_set_remote_description(alice, DUET_SDP_ANSWER, changed), DUET_OK);
    free(offer);
    free(answer);
}

/* "0-15" where nothing is listed: RFC 4733 section 7.1.1 */
static void only_the_events_that_the_peer_lists_are_sent(void **state)
{
    static const struct {
        const char *line;
        uint8_t taken, refused;
    } rows[] = {{"a=fmtp:110 0-15\r\n", 15, 16}, {"", 15, 16}, {"a=fmtp:110 0-9,16\r\n", 16, 10}};
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        call *c = call_connected(10, &good, "opus", true);
        negotiate_events(c, rows[i].line);
        assert_int_equal(duet_sender_insert_dtmf(c->audio, rows[i].refused, DUET_MS(100)), DUET_ERR_UNSUPPORTED);
        assert_int_equal(duet_sender_insert_dtmf(c->audio, rows[i].taken, DUET_MS(100)), DUET_OK);
        world_run(c->world, DUET_SECONDS(1));
        assert_int_equal(assert_tone(c, 0, rows[i].taken, 4800), c->count);
        call_end(c);
    }
}

static void a_lost_end_is_told_again(void **state)
{
    duet_sim_link link = {.delay = DUET_MS(10), .loss = 0.1};
    unsigned heard = 0;
    (void)state;

    call *c = call_connected(9, &link, "opus", true);
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(duet_sender_insert_dtmf(c->audio, (uint8_t)(i % 10), DUET_MS(100)), DUET_OK);
    world_run(c->world, DUET_SECONDS(8));
    for (size_t i = 0; i < c->count; i++)
        heard += c->packets[i].event.end &&
                 (i == 0 || c->packets[i - 1].timestamp != c->packets[i].timestamp || !c->packets[i - 1].event.end);
    assert_in_range(heard, 29, 30);
    call_end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tone_is_told_from_beginning_to_end),
        cmocka_unit_test(tones_follow_each_other_with_a_gap),
        cmocka_unit_test(a_tone_that_the_duration_does_not_hold_is_cut_into_segments),
        cmocka_unit_test(g711_has_events_of_its_own_clock),
        cmocka_unit_test(the_audio_goes_on_undisturbed),
        cmocka_unit_test(what_cannot_be_sent_is_refused),
        cmocka_unit_test(a_tone_outlives_a_change_of_codec),
        cmocka_unit_test(only_the_events_that_the_peer_lists_are_sent),
        cmocka_unit_test(a_lost_end_is_told_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
