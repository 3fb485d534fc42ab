/* Encoded frames of nothing, for tests of the way and not of codecs. */
#ifndef DUET_TESTS_ENCODED_FRAME_H
#define DUET_TESTS_ENCODED_FRAME_H

#include "duet/transceiver.h"
#include "test.h"

/* A packet of Opus, or a key frame of VP8 as far as a packetizer looks; while the sender is active. */
static inline void send_encoded_frame(duet_transceiver *t, duet_time now)
{
    uint8_t data[100] = {0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00};
    duet_outgoing_frame frame = {.data = data,
                                 .len = sizeof(data),
                                 .payload_type = DUET_FRAME_OWN_CODEC,
                                 .info = {.is_keyframe = true, .temporal_id = -1},
                                 .captured = now};

    if (duet_transceiver_kind(t) == DUET_SDP_AUDIO)
        data[0] = 0x78;
    if (duet_sender_is_active(duet_transceiver_sender(t)))
        assert_int_equal(duet_sender_send_frame(duet_transceiver_sender(t), &frame), DUET_OK);
}

#endif
