/* Redundancy, telephone events, comfort noise and the duration of Opus packets: what parses is written back. */
#include "duet/payload.h"
#include "fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_red(const uint8_t *data, size_t size, uint8_t *out)
{
    duet_red_block blocks[DUET_RED_BLOCKS_MAX];
    size_t len;
    int count = duet_red_parse(blocks, data, size);

    if (count < 0)
        return;
    require(count >= 1 && count <= DUET_RED_BLOCKS_MAX);
    require(duet_red_write(blocks, (size_t)count, out, size, &len) == DUET_OK);
    require(len == size && memcmp(out, data, size) == 0);
}

static void check_event(const uint8_t *data, size_t size, uint8_t *out)
{
    duet_telephone_event event, again;
    size_t len;

    if (duet_telephone_event_parse(&event, data, size) != DUET_OK)
        return;
    require(duet_telephone_event_write(&event, out, size, &len) == DUET_OK && len == size);
    require(duet_telephone_event_parse(&again, out, len) == DUET_OK);
    require(again.event == event.event && again.volume == event.volume && again.duration == event.duration);
}

static void check_noise(const uint8_t *data, size_t size, uint8_t *out)
{
    duet_comfort_noise noise;
    size_t len;

    if (duet_comfort_noise_parse(&noise, data, size) != DUET_OK)
        return;
    require(duet_comfort_noise_write(&noise, out, size, &len) == DUET_OK);
    require(len <= size && memcmp(out + 1, data + 1, len - 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *out = malloc(size ? size : 1);

    require(out != NULL);
    check_red(data, size, out);
    check_event(data, size, out);
    check_noise(data, size, out);
    require(duet_opus_packet_duration(data, size) <= 5760);
    free(out);
    return 0;
}
