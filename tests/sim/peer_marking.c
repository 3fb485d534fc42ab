/* How packets are marked: by the highest priority of the data channels (RFC 8837 section 5), checks like the data. */
#include "duet/transceiver.h"
#include "peer_world.h"

static unsigned seen[64]; /* datagrams of alice by their DSCP */

static int observed_output(void *object, duet_datagram *out, duet_time now)
{
    int more = duet_pc_endpoint_ops()->output(object, out, now);

    if (more == 1)
        seen[out->dscp & 63]++;
    return more;
}

static void observe(side *s)
{
    static duet_endpoint_ops ops;

    ops = *duet_pc_endpoint_ops();
    ops.output = observed_output;
    duet_sim_remove(s->world->sim, s->pc);
    assert_int_equal(duet_sim_attach(s->host, &ops, s->pc), DUET_OK);
}

static duet_dc *open_with(world *w, uint16_t priority)
{
    duet_dc_init init;
    duet_dc *dc;

    duet_dc_init_defaults(&init);
    init.priority = priority;
    assert_int_equal(duet_pc_create_data_channel(w->alice.pc, "more", &init, &dc), DUET_OK);
    return dc;
}

static void assert_only(uint8_t dscp)
{
    for (unsigned i = 0; i < 64; i++) {
        if (i == dscp)
            assert_true(seen[i] > 0);
        else
            assert_int_equal(seen[i], 0);
    }
    memset(seen, 0, sizeof(seen));
}

static void rfc8837_section_5_the_highest_priority_of_the_channels_marks_all_of_them(void **state)
{
    static const struct {
        uint16_t priority;
        uint8_t dscp;
    } rows[] = {{DUET_DC_PRIORITY_MEDIUM, 10}, {DUET_DC_PRIORITY_HIGH, 18}, {DUET_DC_PRIORITY_VERY_LOW, 0}};
    world *w = world_new(1, NULL);

    (void)state;
    memset(seen, 0, sizeof(seen));
    world_create_peers(w);
    observe(&w->alice);
    world_connect(w, DUET_SECONDS(10)); /* its channel has the priority "low" */
    assert_only(0);
    for (size_t i = 0; i < 3; i++) {
        duet_dc *dc = open_with(w, rows[i].priority);
        world_send(w);
        world_run(w, DUET_SECONDS(20)); /* with checks of consent among the packets */
        assert_only(rows[i].dscp);
        duet_dc_close(dc);
        world_run(w, DUET_SECONDS(2));
        memset(seen, 0, sizeof(seen));
        world_run(w, DUET_SECONDS(20));
        assert_only(0); /* that one is closed */
    }
    world_end(w);
}

/* RFC 8837 section 5, table 1: EF and AF42 for medium priority, whatever the channels beside them say. */
static void sound_and_pictures_have_marks_of_their_own_beside_data(void **state)
{
    static const uint8_t opus[80] = {0x78}, vp8[100] = {0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0};
    world *w = world_new(1, NULL);
    duet_sender *audio, *video;

    (void)state;
    world_create_peers(w);
    if (duet_pc_add_track(w->alice.pc, DUET_SDP_AUDIO, NULL, NULL, 0, &audio) == DUET_ERR_UNSUPPORTED) {
        world_end(w);
        skip(); /* built without media */
    }
    assert_int_equal(duet_pc_add_track(w->alice.pc, DUET_SDP_VIDEO, NULL, NULL, 0, &video), DUET_OK);
    observe(&w->alice);
    open_with(w, DUET_DC_PRIORITY_HIGH);
    world_connect(w, DUET_SECONDS(10));
    memset(seen, 0, sizeof(seen));
    for (int i = 0; i < 10; i++) {
        duet_time now = duet_sim_now(w->sim);
        duet_outgoing_frame sound = {opus, sizeof(opus), DUET_FRAME_OWN_CODEC, .captured = now};
        duet_outgoing_frame picture = {vp8, sizeof(vp8), DUET_FRAME_OWN_CODEC, .captured = now};
        assert_int_equal(duet_sender_send_frame(audio, &sound), DUET_OK);
        assert_int_equal(duet_sender_send_frame(video, &picture), DUET_OK);
        world_send(w);
        world_run(w, DUET_MS(20));
    }
    assert_true(seen[46] >= 10); /* with the RTCP */
    assert_int_equal(seen[36], 10);
    assert_true(seen[18] > 0);
    assert_int_equal(seen[0], 0);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_and_pictures_have_marks_of_their_own_beside_data),
        cmocka_unit_test(rfc8837_section_5_the_highest_priority_of_the_channels_marks_all_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
