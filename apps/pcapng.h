/* pcapng files that Wireshark reads and decrypts: raw datagrams with the keys beside them, and plain SCTP. */
#ifndef DUET_APPS_PCAPNG_H
#define DUET_APPS_PCAPNG_H

#include "duet/base.h"
#include <stdio.h>

#define PCAPNG_IP   0 /* interface of whole IP packets */
#define PCAPNG_SCTP 1 /* interface of SCTP packets without IP */

void pcapng_begin(FILE *f);
/* A UDP datagram; IP and UDP headers are made for it. */
void pcapng_datagram(FILE *f, duet_time time, const duet_path *path, bool outgoing, const uint8_t *data, size_t len);
void pcapng_sctp(FILE *f, duet_time time, bool outgoing, const uint8_t *data, size_t len);
/* A Decryption Secrets Block with a line of the NSS key log. */
void pcapng_secret(FILE *f, const char *line);

#endif
