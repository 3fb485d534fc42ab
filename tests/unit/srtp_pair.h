/* Two ends of one transport that share keys, and packets for them. */
#ifndef DUET_TESTS_SRTP_PAIR_H
#define DUET_TESTS_SRTP_PAIR_H

#include "duet/srtp.h"
#include "test.h"

#define SRTP_PACKET_MAX 1500

static const duet_srtp_profile all_profiles[] = {DUET_SRTP_AES128_CM_SHA1_80, DUET_SRTP_AES128_CM_SHA1_32,
                                                 DUET_SRTP_AEAD_AES_128_GCM, DUET_SRTP_AEAD_AES_256_GCM};
#define PROFILE_COUNT (sizeof(all_profiles) / sizeof(all_profiles[0]))

typedef struct srtp_pair {
    duet_srtp *client, *server;
} srtp_pair;

typedef struct srtp_packet {
    uint8_t data[SRTP_PACKET_MAX];
    size_t len;
} srtp_packet;

static inline duet_srtp_config srtp_test_config(duet_srtp_profile profile, bool is_client)
{
    static uint8_t keying[DUET_SRTP_KEYING_MAX];
    duet_srtp_config config;

    for (size_t i = 0; i < sizeof(keying); i++)
        keying[i] = (uint8_t)(i * 7 + 1);
    duet_srtp_config_init(&config);
    config.profile = profile;
    config.keying = keying;
    config.keying_len = duet_srtp_keying_len(profile);
    config.is_client = is_client;
    return config;
}

static inline srtp_pair srtp_pair_new(duet_srtp_profile profile, size_t streams_max)
{
    srtp_pair p;

    for (int i = 0; i < 2; i++) {
        duet_srtp_config config = srtp_test_config(profile, i == 0);
        config.streams_max = streams_max;
        assert_int_equal(duet_srtp_create(i == 0 ? &p.client : &p.server, &config), DUET_OK);
    }
    return p;
}

static inline void srtp_pair_free(srtp_pair *p)
{
    duet_srtp_destroy(p->client);
    duet_srtp_destroy(p->server);
}

static inline void put_u32(uint8_t *out, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* The payload tells the packet: sequence number and SSRC again. */
static inline srtp_packet rtp_packet(uint32_t ssrc, uint16_t sequence, size_t payload_len)
{
    srtp_packet p = {.data = {0x80, 96}, .len = 12 + payload_len};

    p.data[2] = (uint8_t)(sequence >> 8);
    p.data[3] = (uint8_t)sequence;
    put_u32(p.data + 8, ssrc);
    for (size_t i = 0; i < payload_len; i++)
        p.data[12 + i] = (uint8_t)(i + sequence + ssrc);
    return p;
}

static inline srtp_packet rtcp_packet(uint32_t ssrc)
{
    srtp_packet p = {.data = {0x80, 201, 0, 1}, .len = 8};

    put_u32(p.data + 4, ssrc);
    return p;
}

static inline int protect(duet_srtp *from, srtp_packet *p)
{
    return duet_srtp_protect_rtp(from, p->data, &p->len, sizeof(p->data));
}

static inline int unprotect(duet_srtp *to, srtp_packet *p)
{
    return duet_srtp_unprotect_rtp(to, p->data, &p->len);
}

static inline int protect_rtcp(duet_srtp *from, srtp_packet *p)
{
    return duet_srtp_protect_rtcp(from, p->data, &p->len, sizeof(p->data));
}

static inline int unprotect_rtcp(duet_srtp *to, srtp_packet *p)
{
    return duet_srtp_unprotect_rtcp(to, p->data, &p->len);
}

static inline duet_srtp_stats srtp_stats(const duet_srtp *srtp)
{
    duet_srtp_stats stats;

    duet_srtp_get_stats(srtp, &stats);
    return stats;
}

#endif
