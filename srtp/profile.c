/* Protection profiles: their names, the keying material that they need, and the order in which this CPU likes them.
 * RFC 5764 section 4.1.2, RFC 7714 section 12. */
#include "duet/srtp.h"
#include <string.h>
#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

size_t duet_srtp_keying_len(duet_srtp_profile profile)
{
    switch (profile) {
    case DUET_SRTP_AES128_CM_SHA1_80:
    case DUET_SRTP_AES128_CM_SHA1_32:
        return 2 * (16 + 14);
    case DUET_SRTP_AEAD_AES_128_GCM:
        return 2 * (16 + 12);
    case DUET_SRTP_AEAD_AES_256_GCM:
        return 2 * (32 + 12);
    case DUET_SRTP_NONE:
        break;
    }
    return 0;
}

static bool cpu_has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__) && defined(__linux__)
    return (getauxval(AT_HWCAP) & (HWCAP_AES | HWCAP_PMULL)) == (HWCAP_AES | HWCAP_PMULL);
#else
    return false;
#endif
}

size_t duet_srtp_preferred_profiles(duet_srtp_profile *out)
{
    static const duet_srtp_profile with_aes[] = {DUET_SRTP_AEAD_AES_128_GCM, DUET_SRTP_AEAD_AES_256_GCM,
                                                 DUET_SRTP_AES128_CM_SHA1_80, DUET_SRTP_AES128_CM_SHA1_32};
    static const duet_srtp_profile without_aes[] = {DUET_SRTP_AES128_CM_SHA1_80, DUET_SRTP_AES128_CM_SHA1_32,
                                                    DUET_SRTP_AEAD_AES_128_GCM, DUET_SRTP_AEAD_AES_256_GCM};

    memcpy(out, cpu_has_aes() ? with_aes : without_aes, sizeof(with_aes));
    return sizeof(with_aes) / sizeof(with_aes[0]);
}
