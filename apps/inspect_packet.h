/* From a captured packet to the protocol messages in it. */
#ifndef DUET_APPS_INSPECT_PACKET_H
#define DUET_APPS_INSPECT_PACKET_H

#include "inspect.h"
#include "pcap_reader.h"

struct inspect_extensions;
struct inspect_formats;

typedef struct inspect_options {
    const char *kind; /* only these messages; NULL: all */
    bool roundtrip;
    const inspect_secret *secret;          /* NULL: integrity is not checked */
    struct inspect_extensions *extensions; /* what the ids of header extensions mean; NULL: not known */
    const struct inspect_formats *formats; /* what payload types mean; NULL: not known */
} inspect_options;

typedef struct inspect_counts {
    uint64_t decoded;  /* packets with a result */
    uint64_t failed;   /* … that do not decode */
    uint64_t differed; /* … whose model gives other bytes */
    uint64_t forged;   /* … whose integrity is wrong */
} inspect_counts;

/* Decodes one packet: link layer, IP, UDP or SCTP, and what the datagram is by its first byte (RFC 7983).
 * @param out  the record; NULL when the packet holds nothing that was asked for. A message that does not decode has
 *             the member "error"
 * @return DUET_OK or DUET_ERR_NOMEM */
int inspect_packet(const pcap_packet *packet, const inspect_options *options, json_t **out, inspect_counts *counts);

#endif
