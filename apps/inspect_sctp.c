/* SCTP packets: the common header, its checksum, and every chunk in order.
 * RFC 9260 section 3; the chunks and parameters themselves are in inspect_sctp_chunks.c. */
#include "inspect_sctp.h"
#include "base/crypto.h"

#define HEADER_LEN  12
#define CHECKSUM_AT 8

/* The checksum is CRC32c of the packet with zeros in its place, its least significant byte first (RFC 9260, 6.8 and
 * appendix A). */
static uint32_t checksum(const uint8_t *data, size_t len)
{
    static const uint8_t zero[4];
    uint32_t crc = duet_crc32c(0, data, CHECKSUM_AT);

    crc = duet_crc32c(crc, zero, sizeof(zero));
    crc = duet_crc32c(crc, data + HEADER_LEN, len - HEADER_LEN);
    return (crc & 0xff) << 24 | (crc & 0xff00) << 8 | (crc >> 8 & 0xff00) | crc >> 24;
}

static const inspect_field header_fields[] = {
    {.name = "sourcePort", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "destinationPort", .kind = INSPECT_NUMBER, .size = 2},
    {.name = "verificationTag", .kind = INSPECT_CODE, .size = 4},
    {.name = "checksum", .kind = INSPECT_CODE, .size = 4},
    {.kind = INSPECT_END},
};

static const char *checksum_state(const uint8_t *data, size_t len, uint64_t says)
{
    if (says == checksum(data, len))
        return "valid";
    return says == 0 ? "zero" : "invalid"; /* zero: RFC 9653 */
}

/*  0                   1                   2                   3
 * |     Source Port Number        |     Destination Port Number   |   RFC 9260, 3.1
 * |                      Verification Tag                         |
 * |                           Checksum                            |   */
int inspect_sctp(const uint8_t *data, size_t len, json_t *out, inspect_error *error)
{
    inspect_cursor c = inspect_cursor_init(data, len, error);
    uint64_t says = 0;

    c.what = "common header";
    c.section = "RFC 9260, 3.1";
    if (len > INSPECT_DATAGRAM_MAX)
        return inspect_fail(&c, INSPECT_DATAGRAM_MAX, "%zu bytes are more than a datagram can hold", len);
    int err = inspect_fields_decode(&c, header_fields, out);
    if (err != DUET_OK)
        return err;
    (void)inspect_get_number(out, "checksum", &says);
    inspect_set(out, "checksumState", json_string(checksum_state(data, len, says)));
    if (inspect_left(&c) == 0)
        return inspect_fail(&c, inspect_offset(&c), "there is no chunk behind the common header");
    json_t *chunks = json_array();
    inspect_set(out, "chunks", chunks);
    while (err == DUET_OK && inspect_left(&c) > 0) {
        json_t *chunk = json_object();
        if (!chunk)
            return DUET_ERR_NOMEM;
        json_array_append_new(chunks, chunk);
        err = inspect_sctp_chunk_decode(&c, chunk);
    }
    return err;
}

int inspect_sctp_encode(const json_t *in, duet_buffer *out)
{
    const json_t *chunk;
    size_t i;

    int err = inspect_fields_encode(in, header_fields, out);
    json_array_foreach(json_object_get(in, "chunks"), i, chunk)
    {
        if (err == DUET_OK)
            err = inspect_sctp_chunk_encode(chunk, out);
    }
    return err == DUET_OK && out->failed ? DUET_ERR_NOMEM : err;
}
