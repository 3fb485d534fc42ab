/* Hashes and checksums that the protocols need. Thin over OpenSSL, except the CRCs. */
#ifndef DUET_BASE_CRYPTO_H
#define DUET_BASE_CRYPTO_H

#include "duet/base.h"

#define DUET_SHA1_LEN   20
#define DUET_SHA256_LEN 32
#define DUET_MD5_LEN    16

/* One run of bytes of a message that lies in several places. */
typedef struct duet_iov {
    const void *data;
    size_t len;
} duet_iov;

int duet_md5(uint8_t out[DUET_MD5_LEN], const duet_iov *parts, size_t count);
int duet_sha1(uint8_t out[DUET_SHA1_LEN], const duet_iov *parts, size_t count);
int duet_sha256(uint8_t out[DUET_SHA256_LEN], const duet_iov *parts, size_t count);
int duet_hmac_sha1(uint8_t out[DUET_SHA1_LEN], const void *key, size_t key_len, const duet_iov *parts, size_t count);
int duet_hmac_sha256(uint8_t out[DUET_SHA256_LEN], const void *key, size_t key_len, const duet_iov *parts,
                     size_t count);

/* True when equal; takes the same time wherever they differ. */
bool duet_equal_constant_time(const void *a, const void *b, size_t len);
void duet_wipe(void *data, size_t len);

uint32_t duet_crc32(uint32_t crc, const void *data, size_t len);           /* ITU V.42; start with 0 */
uint32_t duet_crc32c(uint32_t crc, const void *data, size_t len);          /* Castagnoli; start with 0; fastest way */
uint32_t duet_crc32c_software(uint32_t crc, const void *data, size_t len); /* the fallback, for tests */
bool duet_crc32c_is_hardware(void);

/* `count` characters of the alphabet of ice-char (RFC 8839: ALPHA / DIGIT / "+" / "/") and a NUL. 6 bits each. */
int duet_random_ice_chars(const duet_env *env, char *out, size_t count);

#endif
