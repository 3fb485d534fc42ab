/* Packets from outside for an SRTP session: raw ones, and protected ones of the peer that were changed on the way. Input: a
 * script of operations. Whatever comes, the next good packet passes. */
#include "base/bytes.h"
#include "duet/srtp.h"
#include "fuzz.h"
#include <string.h>

#define ROOM 600

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const duet_srtp_profile profiles[] = {DUET_SRTP_AES128_CM_SHA1_80, DUET_SRTP_AES128_CM_SHA1_32,
                                             DUET_SRTP_AEAD_AES_128_GCM, DUET_SRTP_AEAD_AES_256_GCM};

static duet_srtp *create(duet_srtp_profile profile, bool is_client)
{
    static const uint8_t keying[DUET_SRTP_KEYING_MAX] = "the keys do not matter";
    duet_srtp_config config;
    duet_srtp *srtp;

    duet_srtp_config_init(&config);
    config.profile = profile;
    config.keying = keying;
    config.keying_len = duet_srtp_keying_len(profile);
    config.is_client = is_client;
    config.streams_max = is_client ? 0 : 4;
    config.replay_window = 64;
    require(duet_srtp_create(&srtp, &config) == DUET_OK);
    return srtp;
}

/* In a block of exactly this length, so that the sanitizer sees a byte too many. */
static void receive(duet_srtp *srtp, bool is_rtcp, const uint8_t *packet, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    size_t left = len;

    require(copy != NULL);
    if (len)
        memcpy(copy, packet, len);
    int err = is_rtcp ? duet_srtp_unprotect_rtcp(srtp, copy, &left) : duet_srtp_unprotect_rtp(srtp, copy, &left);
    require(err == DUET_OK ? left < len : left == len);
    free(copy);
}

static size_t protect(duet_srtp *srtp, bool is_rtcp, uint8_t *packet, size_t len)
{
    int err =
        is_rtcp ? duet_srtp_protect_rtcp(srtp, packet, &len, ROOM) : duet_srtp_protect_rtp(srtp, packet, &len, ROOM);

    return err == DUET_OK ? len : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_reader r = duet_reader_init(data, size);
    duet_srtp_profile profile = profiles[duet_read_u8(&r) % 4];
    duet_srtp *client = create(profile, true), *server = create(profile, false);
    duet_srtp_stats stats;
    uint8_t packet[ROOM] = {0};

    while (duet_reader_left(&r) > 0) {
        uint8_t operation = duet_read_u8(&r);
        size_t len = duet_read_u8(&r);
        bool is_rtcp = operation & 1;
        if (len > duet_reader_left(&r))
            len = duet_reader_left(&r);
        duet_bytes bytes = duet_read_bytes(&r, len);
        if (bytes.len)
            memcpy(packet, bytes.data, bytes.len);
        if (operation & 2)
            len = protect(client, is_rtcp, packet, len);
        if (operation & 4 && len)
            packet[duet_read_u8(&r) % len] ^= duet_read_u8(&r);
        receive(server, is_rtcp, packet, len);
        if (operation & 8)
            receive(server, is_rtcp, packet, len);
    }
    duet_srtp_get_stats(server, &stats);
    require(stats.streams_in <= 4 && stats.streams_out == 0);

    memcpy(packet, "\x80\xC9\x00\x01 one", 8);
    size_t len = protect(client, true, packet, 8);
    require(len > 8 && duet_srtp_unprotect_rtcp(server, packet, &len) == DUET_OK && len == 8);
    duet_srtp_destroy(client);
    duet_srtp_destroy(server);
    return 0;
}
