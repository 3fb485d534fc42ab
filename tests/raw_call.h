/* Two sides of a world that make and play raw sound and pictures. */
#ifndef DUET_TESTS_RAW_CALL_H
#define DUET_TESTS_RAW_CALL_H

#include "duet/codecs.h"
#include "peer_world.h"

/* alice calls, and bob hears of her tracks. */
static inline void raw_sides_create(world *w, void (*on_track)(void *user, duet_pc *pc, duet_transceiver *transceiver))
{
    duet_pc_config a = side_config(&w->alice), b = side_config(&w->bob);

    a.codecs = b.codecs = duet_codecs();
    b.on_track = on_track;
    side_create(&w->alice, &a);
    side_create(&w->bob, &b);
}

/* Ten milliseconds are played, once there is a track. */
static inline void raw_hear(duet_receiver *receiver)
{
    int16_t samples[480];

    if (receiver)
        assert_int_equal(duet_receiver_read_audio(receiver, samples, 480, 1), DUET_OK);
}

#endif
