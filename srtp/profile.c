/* Protection profiles: their names and the keying material that they need. RFC 5764 section 4.1.2, RFC 7714 section 12. */
#include "duet/srtp.h"

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

const char *duet_srtp_profile_name(duet_srtp_profile profile)
{
    switch (profile) {
    case DUET_SRTP_AES128_CM_SHA1_80:
        return "AES_CM_128_HMAC_SHA1_80";
    case DUET_SRTP_AES128_CM_SHA1_32:
        return "AES_CM_128_HMAC_SHA1_32";
    case DUET_SRTP_AEAD_AES_128_GCM:
        return "AEAD_AES_128_GCM";
    case DUET_SRTP_AEAD_AES_256_GCM:
        return "AEAD_AES_256_GCM";
    case DUET_SRTP_NONE:
        break;
    }
    return NULL;
}
