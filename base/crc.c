/* CRC-32 (ITU V.42, for STUN's FINGERPRINT) and CRC-32c (Castagnoli, for SCTP: RFC 9260 appendix A).
 * CRC-32c uses the instruction of the processor where there is one; the software way takes eight bytes a step. */
#include "base/crypto.h"
#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define CRC32_POLYNOMIAL  0xEDB88320u /* bit-reversed */
#define CRC32C_POLYNOMIAL 0x82F63B78u

typedef struct crc_tables {
    uint32_t t[8][256];
} crc_tables;

static crc_tables crc32_tables, crc32c_tables;
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_table(crc_tables *tables, uint32_t polynomial)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ polynomial : c >> 1;
        tables->t[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int k = 1; k < 8; k++)
            tables->t[k][i] = tables->t[k - 1][i] >> 8 ^ tables->t[0][tables->t[k - 1][i] & 255];
    }
}

/* What a CRC-32c becomes behind so many zero bytes, by its four bytes: the map is linear, so the images of 32 bits say all.
 * With it, the checksums of neighbouring blocks that were computed side by side are joined. */
#define STRIPE 128
static uint32_t behind_stripe[4][256];

static uint32_t through_zeros(uint32_t crc, size_t count)
{
    for (size_t i = 0; i < count; i++)
        crc = crc >> 8 ^ crc32c_tables.t[0][crc & 255];
    return crc;
}

static void make_stripe_table(void)
{
    for (uint32_t byte = 0; byte < 4; byte++) {
        for (uint32_t bit = 0; bit < 8; bit++) {
            uint32_t image = through_zeros(1u << (8 * byte + bit), STRIPE);
            for (uint32_t value = 0; value < 256; value++)
                behind_stripe[byte][value] ^= value >> bit & 1 ? image : 0;
        }
    }
}

static void make_tables(void)
{
    make_table(&crc32_tables, CRC32_POLYNOMIAL);
    make_table(&crc32c_tables, CRC32C_POLYNOMIAL);
    make_stripe_table();
}

static uint32_t load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t crc_software(const crc_tables *tables, uint32_t crc, const uint8_t *p, size_t len)
{
    pthread_once(&tables_once, make_tables);
    crc = ~crc;
    for (; len >= 8; len -= 8, p += 8) {
        uint32_t a = crc ^ load_le32(p);
        uint32_t b = load_le32(p + 4);
        crc = tables->t[7][a & 255] ^ tables->t[6][a >> 8 & 255] ^ tables->t[5][a >> 16 & 255] ^ tables->t[4][a >> 24] ^
              tables->t[3][b & 255] ^ tables->t[2][b >> 8 & 255] ^ tables->t[1][b >> 16 & 255] ^ tables->t[0][b >> 24];
    }
    for (; len > 0; len--)
        crc = crc >> 8 ^ tables->t[0][(crc ^ *p++) & 255];
    return ~crc;
}

uint32_t duet_crc32(uint32_t crc, const void *data, size_t len)
{
    return crc_software(&crc32_tables, crc, data, len);
}

uint32_t duet_crc32c_software(uint32_t crc, const void *data, size_t len)
{
    return crc_software(&crc32c_tables, crc, data, len);
}

#if defined(__x86_64__)

#define HARDWARE       __attribute__((target("sse4.2")))
#define CRC_WORD(c, w) ((uint32_t)_mm_crc32_u64((c), (w)))
#define CRC_BYTE(c, b) _mm_crc32_u8((c), (b))

bool duet_crc32c_is_hardware(void)
{
    return __builtin_cpu_supports("sse4.2");
}

#elif defined(__aarch64__) && defined(__linux__)

#define HARDWARE       __attribute__((target("+crc")))
#define CRC_WORD(c, w) __crc32cd((c), (w))
#define CRC_BYTE(c, b) __crc32cb((c), (b))

bool duet_crc32c_is_hardware(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}

#else

bool duet_crc32c_is_hardware(void)
{
    return false;
}

#endif

#ifdef HARDWARE

static uint64_t load_word(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word;
}

static uint32_t shift_by_stripe(uint32_t c)
{
    return behind_stripe[0][c & 255] ^ behind_stripe[1][c >> 8 & 255] ^ behind_stripe[2][c >> 16 & 255] ^
           behind_stripe[3][c >> 24];
}

/* The instruction has a latency of three cycles and a throughput of one: three stripes side by side keep it busy. */
HARDWARE static uint32_t crc32c_stripes(uint32_t c, const uint8_t *p)
{
    uint32_t c1 = 0, c2 = 0;

    for (size_t i = 0; i < STRIPE; i += 8) {
        c = CRC_WORD(c, load_word(p + i));
        c1 = CRC_WORD(c1, load_word(p + STRIPE + i));
        c2 = CRC_WORD(c2, load_word(p + 2 * STRIPE + i));
    }
    return shift_by_stripe(shift_by_stripe(c) ^ c1) ^ c2;
}

HARDWARE static uint32_t crc32c_hardware(uint32_t crc, const uint8_t *p, size_t len)
{
    uint32_t c = ~crc;

    if (len >= 3 * STRIPE)
        pthread_once(&tables_once, make_tables);
    for (; len >= 3 * STRIPE; len -= 3 * STRIPE, p += 3 * STRIPE)
        c = crc32c_stripes(c, p);
    for (; len >= 8; len -= 8, p += 8)
        c = CRC_WORD(c, load_word(p));
    for (; len > 0; len--)
        c = CRC_BYTE(c, *p++);
    return ~c;
}

uint32_t duet_crc32c(uint32_t crc, const void *data, size_t len)
{
    return duet_crc32c_is_hardware() ? crc32c_hardware(crc, data, len) : duet_crc32c_software(crc, data, len);
}

#else

uint32_t duet_crc32c(uint32_t crc, const void *data, size_t len)
{
    return duet_crc32c_software(crc, data, len);
}

#endif
