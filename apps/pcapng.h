/* pcapng files that Wireshark reads and decrypts: raw datagrams with the keys beside them, plain SCTP, plain RTP. */
#ifndef DUET_APPS_PCAPNG_H
#define DUET_APPS_PCAPNG_H

#include "duet/base.h"
#include <stdio.h>

#define PCAPNG_IP   0 /* interface of whole IP packets */
#define PCAPNG_SCTP 1 /* interface of SCTP packets without IP */
#define PCAPNG_RTP                                                                                                     \
    2 /* interface of plain RTP and RTCP: in UDP between 192.0.2.1 (this peer) and 192.0.2.2, as they are
                       * inside SRTP, at ports 5004 and 5005 (RFC 3551 section 8) */

void pcapng_begin(FILE *f);
/* A UDP datagram; IP and UDP headers are made for it. */
void pcapng_datagram(FILE *f, duet_time time, const duet_path *path, bool outgoing, const uint8_t *data, size_t len);
void pcapng_sctp(FILE *f, duet_time time, bool outgoing, const uint8_t *data, size_t len);
void pcapng_rtp(FILE *f, duet_time time, bool outgoing, const uint8_t *data, size_t len);
/* A Decryption Secrets Block with a line of the NSS key log. */
void pcapng_secret(FILE *f, const char *line);

#endif
