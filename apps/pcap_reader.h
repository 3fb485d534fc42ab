/* Reader of captures: pcap and pcapng, either byte order, one packet at a time in bounded memory. */
#ifndef DUET_APPS_PCAP_READER_H
#define DUET_APPS_PCAP_READER_H

#include "inspect.h"

/* Largest block that is held; a larger one that is no packet is stepped over. */
#define PCAP_BLOCK_MAX      (1u << 20)
#define PCAP_INTERFACES_MAX 256

typedef struct pcap_reader pcap_reader;

/* Reads up to `len` bytes; fewer mean the end of the file. */
typedef size_t (*pcap_read_fn)(void *user, uint8_t *buf, size_t len);

typedef struct pcap_packet {
    uint64_t number; /* counted from 1 */
    uint64_t offset; /* of its bytes in the file */
    uint32_t interface;
    uint16_t linktype;
    double time;         /* seconds since 1970; 0 when not recorded */
    int direction;       /* 1 inbound, 2 outbound, 0 not recorded */
    const uint8_t *data; /* lives until the next call */
    size_t len, original_len;
} pcap_packet;

bool pcap_is_capture(const uint8_t *data, size_t len);
/* Reads the header. @return DUET_OK, DUET_ERR_MALFORMED with `error` filled, DUET_ERR_NOMEM */
int pcap_reader_create(pcap_reader **out, pcap_read_fn read, void *user, inspect_error *error);
/* @return 1 and a packet, 0 at the end of the file, or a negative error */
int pcap_reader_next(pcap_reader *reader, pcap_packet *out, inspect_error *error);
void pcap_reader_destroy(pcap_reader *reader);

#endif
