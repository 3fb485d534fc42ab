/* What the STUN sources share: the sums that guard a message. RFC 8489 sections 14.5 to 14.7. */
#ifndef DUET_ICE_STUN_INTERNAL_H
#define DUET_ICE_STUN_INTERNAL_H

#include "base/crypto.h"
#include "duet/stun.h"

/* HMAC over the message up to `offset`, with a length field that counts the integrity attribute of `value_len` bytes
 * there. SHA-256 when `sha256`, otherwise SHA-1. */
int duet_stun_hmac(uint8_t out[DUET_SHA256_LEN], bool sha256, const uint8_t *data, size_t offset, size_t value_len,
                   const void *key, size_t key_len);

/* CRC-32 over the message up to `offset`, with a length field that counts FINGERPRINT, XOR 0x5354554e. */
uint32_t duet_stun_fingerprint_value(const uint8_t *data, size_t offset);

#endif
