/* The messages of the Data Channel Establishment Protocol.
 * RFC 8832 section 5. */
#include "duet/dcep.h"
#include "base/bytes.h"

int duet_dcep_message_type(const uint8_t *data, size_t len)
{
    if (len == 0 || (data[0] != DUET_DCEP_ACK && data[0] != DUET_DCEP_OPEN))
        return DUET_ERR_MALFORMED;
    return data[0];
}

static bool channel_type_is_known(uint8_t type)
{
    return (type & (uint8_t)~DUET_DCEP_UNORDERED) <= DUET_DCEP_PARTIAL_TIMED;
}

/*  0                   1                   2                   3
 * |  Message Type |  Channel Type |            Priority           |   RFC 8832, 5.1
 * |                    Reliability Parameter                      |
 * |         Label Length          |       Protocol Length         |
 * |                    Label, then Protocol                       |   */
int duet_dcep_parse_open(duet_dcep_open *open, const uint8_t *data, size_t len)
{
    duet_reader r = duet_reader_init(data, len);

    uint8_t type = duet_read_u8(&r);
    open->channel_type = duet_read_u8(&r);
    open->priority = duet_read_u16(&r);
    open->reliability = duet_read_u32(&r);
    open->label_len = duet_read_u16(&r);
    open->protocol_len = duet_read_u16(&r);
    open->label = (const char *)duet_read_bytes(&r, open->label_len).data;
    open->protocol = (const char *)duet_read_bytes(&r, open->protocol_len).data;
    if (duet_reader_finish(&r) != DUET_OK || type != DUET_DCEP_OPEN)
        return DUET_ERR_MALFORMED;
    return channel_type_is_known(open->channel_type) ? DUET_OK : DUET_ERR_UNSUPPORTED;
}

size_t duet_dcep_open_size(const duet_dcep_open *open)
{
    return (size_t)DUET_DCEP_OPEN_HEADER + open->label_len + open->protocol_len;
}

int duet_dcep_write_open(const duet_dcep_open *open, uint8_t *buf, size_t size)
{
    duet_writer w = duet_writer_init(buf, size);

    duet_write_u8(&w, DUET_DCEP_OPEN);
    duet_write_u8(&w, open->channel_type);
    duet_write_u16(&w, open->priority);
    duet_write_u32(&w, open->reliability);
    duet_write_u16(&w, open->label_len);
    duet_write_u16(&w, open->protocol_len);
    if (open->label_len)
        duet_write_bytes(&w, open->label, open->label_len);
    if (open->protocol_len)
        duet_write_bytes(&w, open->protocol, open->protocol_len);
    return duet_writer_finish(&w);
}

int duet_dcep_parse_ack(const uint8_t *data, size_t len)
{
    return len == 1 && data[0] == DUET_DCEP_ACK ? DUET_OK : DUET_ERR_MALFORMED;
}
