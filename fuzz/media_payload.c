/* Payloads of every video format to frames, and what came out through the packetizer and back: the same again.
 * Input: format, then payloads with a length byte each; length 255 ends the frame. */
#include "base/bytes.h"
#include "duet/payload.h"
#include "fuzz.h"
#include <string.h>

#define FRAME_MAX   4000
#define PAYLOAD_MAX 48

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Sends the frame through both; the copy must be freed. NULL when it is no frame of the format. */
static uint8_t *pass(duet_payload_format format, const uint8_t *frame, size_t len, size_t *copy_len)
{
    duet_packetizer_config config;
    duet_packetizer *p;
    duet_depacketizer *d;
    uint8_t payload[PAYLOAD_MAX], *copy = NULL;
    const uint8_t *out;
    size_t payload_len;
    bool marker = false;

    duet_packetizer_config_init(&config);
    config.format = format;
    config.payload_max = sizeof(payload);
    require(duet_packetizer_create(&p, &config) == DUET_OK);
    require(duet_depacketizer_create(&d, NULL, format, 0) == DUET_OK);
    duet_depacketizer_begin(d);
    if (duet_packetizer_begin(p, frame, len, NULL) == DUET_OK) {
        while (duet_packetizer_next(p, payload, sizeof(payload), &payload_len, &marker) == 1) {
            require(payload_len > 0 && payload_len <= sizeof(payload));
            require(duet_depacketizer_add(d, payload, payload_len) == DUET_OK);
        }
        require(marker);
        require(duet_depacketizer_end(d, &out, copy_len) == DUET_OK);
        copy = malloc(*copy_len);
        require(copy != NULL);
        memcpy(copy, out, *copy_len);
    }
    duet_packetizer_destroy(p);
    duet_depacketizer_destroy(d);
    return copy;
}

/* The first pass may drop what is superfluous (zeros between NAL units); the second must not change anything. */
static void check_frame(duet_payload_format format, const uint8_t *frame, size_t len)
{
    size_t once_len, twice_len;
    uint8_t *once = pass(format, frame, len, &once_len);

    if (!once)
        return;
    uint8_t *twice = pass(format, once, once_len, &twice_len);
    require(twice && twice_len == once_len && memcmp(once, twice, once_len) == 0);
    free(once);
    free(twice);
}

static void end_frame(duet_payload_format format, duet_depacketizer *d)
{
    const uint8_t *frame;
    size_t len;

    if (duet_depacketizer_end(d, &frame, &len) == DUET_OK) {
        require(len > 0 && len <= FRAME_MAX);
        check_frame(format, frame, len);
    }
    duet_depacketizer_begin(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_reader r = duet_reader_init(data, size);
    duet_payload_format format = (duet_payload_format)(DUET_PAYLOAD_VP8 + duet_read_u8(&r) % 5);
    duet_depacketizer *d;
    duet_payload_info info;

    require(duet_depacketizer_create(&d, NULL, format, FRAME_MAX) == DUET_OK);
    duet_depacketizer_begin(d);
    while (duet_reader_left(&r) > 0) {
        size_t len = duet_read_u8(&r);
        if (len == 255) {
            end_frame(format, d);
            continue;
        }
        if (len > duet_reader_left(&r))
            len = duet_reader_left(&r);
        uint8_t *payload = malloc(len ? len : 1); /* so that the sanitizer sees a byte too many */
        require(payload != NULL);
        duet_bytes bytes = duet_read_bytes(&r, len);
        if (bytes.len)
            memcpy(payload, bytes.data, bytes.len);
        int inspected = duet_payload_inspect(format, payload, len, &info);
        require(inspected != DUET_OK || info.descriptor_len <= len);
        (void)duet_depacketizer_add(d, payload, len);
        free(payload);
    }
    end_frame(format, d);
    duet_depacketizer_destroy(d);
    if (size > 1)
        check_frame(format, data + 1, size - 1);
    return 0;
}
