/* Redundant audio that is sent: each payload carries the one before it once more, RFC 2198 sections 3 and 4. */
#include "base/bytes.h"
#include "duet/payload.h"
#include <string.h>

#define OFFSET_MAX    0x3FFF /* 14 bits */
#define PRIMARY_LEN   1      /* of the headers */
#define REDUNDANT_LEN 4

static void remember(duet_red_sender *s, const duet_red_block *block, uint32_t timestamp)
{
    s->has_block = block->len <= sizeof(s->data);
    if (!s->has_block)
        return;
    s->payload_type = block->payload_type;
    s->timestamp = timestamp;
    s->len = block->len;
    if (block->len > 0)
        memcpy(s->data, block->data, block->len);
}

/* "Timestamp offset: ... implies that redundant data must be sent after the primary data"; what is older than it can say, or
 * does not fit, is left out. */
static bool may_repeat(const duet_red_sender *s, uint32_t timestamp, size_t room)
{
    uint32_t offset = timestamp - s->timestamp;

    return s->has_block && offset > 0 && offset <= OFFSET_MAX && s->len + REDUNDANT_LEN <= room;
}

int duet_red_wrap(duet_red_sender *s, uint8_t payload_type, uint32_t timestamp, const uint8_t *payload, size_t len,
                  uint8_t *data, size_t capacity, size_t *out_len)
{
    duet_red_block blocks[2], primary = {.payload_type = payload_type, .data = payload, .len = len};
    size_t count = 0;
    int err = DUET_ERR_BUFFER;

    if (capacity >= len + PRIMARY_LEN) {
        if (may_repeat(s, timestamp, capacity - len - PRIMARY_LEN))
            blocks[count++] = (duet_red_block){.payload_type = s->payload_type,
                                               .timestamp_offset = (uint16_t)(timestamp - s->timestamp),
                                               .data = s->data,
                                               .len = s->len};
        blocks[count++] = primary;
        err = duet_red_write(blocks, count, data, capacity, out_len);
    }
    remember(s, &primary, timestamp);
    return err == DUET_OK ? (int)count - 1 : err;
}
