/* SRTP and SRTCP of one transport: what is not even a packet is refused here, the rest goes to the session of its SSRC.
 * RFC 3711 sections 3.3 and 3.4, RFC 7714 sections 8 and 9; keys: RFC 5764 section 4.2. */
#include "duet/srtp.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/memory.h"
#include "srtp/process.h"
#include "srtp/streams.h"

#define STREAMS_MAX_DEFAULT   1024
#define REPLAY_WINDOW_DEFAULT 1024
#define REPLAY_WINDOW_MIN     64 /* "MUST be at least 64", RFC 3711 section 3.3.2 */
#define REPLAY_WINDOW_MAX     32767
#define PACKET_MAX            65535
#define RTCP_INDEX_LEN        4
#define RTCP_E_BIT            0x80000000u

struct duet_srtp {
    duet_env env;
    bool is_aead;
    size_t rtp_tag_len, rtcp_tag_len;
    duet_srtp_streams out, in;
    duet_srtp_stats stats;
};

/* ---- what a packet must have ------------------------------------------------------------------------------------- */

/*  0                   1                   2                   3
 * |V=2|P|X|  CC   |M|     PT      |       sequence number         |   RFC 3550, 5.1
 * |                           timestamp                           |
 * |                             SSRC                              |
 * |                          CSRC * CC                            |
 * |  defined by profile           |  length in words              |   when X
 * |                       header extension                        |   */
static bool read_rtp(const uint8_t *packet, size_t len, size_t trailer_len, duet_srtp_packet_id *id)
{
    duet_reader r = duet_reader_init(packet, len);
    uint8_t first = duet_read_u8(&r);

    duet_read_skip(&r, 1);
    id->is_rtcp = false;
    id->number = duet_read_u16(&r);
    duet_read_skip(&r, 4);
    id->ssrc = duet_read_u32(&r);
    duet_read_skip(&r, 4 * (size_t)(first & 0x0F));
    if (first & 0x10) {
        duet_read_skip(&r, 2);
        duet_read_skip(&r, 4 * (size_t)duet_read_u16(&r));
    }
    duet_read_skip(&r, trailer_len);
    return !r.failed && first >> 6 == 2 && len <= PACKET_MAX;
}

/* |V=2|P|   RC    |      PT       |             length            |   RFC 3550, 6.4.1
 * |                             SSRC                              |   */
static bool read_rtcp(const uint8_t *packet, size_t len, size_t trailer_len, duet_srtp_packet_id *id)
{
    duet_reader r = duet_reader_init(packet, len);
    uint8_t first = duet_read_u8(&r);

    duet_read_skip(&r, 3);
    id->is_rtcp = true;
    id->number = 0;
    id->ssrc = duet_read_u32(&r);
    duet_read_skip(&r, trailer_len);
    return !r.failed && first >> 6 == 2 && len <= PACKET_MAX;
}

/* |E|                   SRTCP index                               |   RFC 3711, figure 2
 *
 * It stands before the tag, with AEAD behind it (RFC 7714 section 9.2). The caller has checked that the packet is long
 * enough. @return whether E is set */
static bool read_rtcp_index(const duet_srtp *srtp, const uint8_t *packet, size_t len, duet_srtp_packet_id *id)
{
    duet_reader r = duet_reader_init(packet, len);

    duet_read_skip(&r, len - RTCP_INDEX_LEN - (srtp->is_aead ? 0 : srtp->rtcp_tag_len));
    uint32_t word = duet_read_u32(&r);
    id->number = word & ~RTCP_E_BIT;
    return word & RTCP_E_BIT;
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

static int count(duet_srtp_stats *stats, uint64_t *success, int err)
{
    if (err == DUET_OK)
        ++*success;
    else if (err == DUET_ERR_MALFORMED)
        stats->malformed++;
    else if (err == DUET_ERR_AUTH)
        stats->bad_tags++;
    else if (err == DUET_ERR_STATE)
        stats->replayed++;
    return err;
}

int duet_srtp_protect_rtp(duet_srtp *srtp, uint8_t *packet, size_t *len, size_t capacity)
{
    duet_srtp_packet_id id;

    if (capacity < DUET_SRTP_TRAILER_MAX || *len > capacity - DUET_SRTP_TRAILER_MAX)
        return DUET_ERR_BUFFER;
    int err = read_rtp(packet, *len, 0, &id) ? duet_srtp_streams_run(&srtp->out, srtp_protect, &id, packet, len)
                                             : DUET_ERR_MALFORMED;
    return count(&srtp->stats, &srtp->stats.protected_packets, err);
}

int duet_srtp_protect_rtcp(duet_srtp *srtp, uint8_t *packet, size_t *len, size_t capacity)
{
    duet_srtp_packet_id id;

    if (capacity < DUET_SRTP_TRAILER_MAX || *len > capacity - DUET_SRTP_TRAILER_MAX)
        return DUET_ERR_BUFFER;
    int err = read_rtcp(packet, *len, 0, &id) ? duet_srtp_streams_run(&srtp->out, srtp_protect_rtcp, &id, packet, len)
                                              : DUET_ERR_MALFORMED;
    return count(&srtp->stats, &srtp->stats.protected_packets, err);
}

int duet_srtp_unprotect_rtp(duet_srtp *srtp, uint8_t *packet, size_t *len)
{
    duet_srtp_packet_id id;
    int err = read_rtp(packet, *len, srtp->rtp_tag_len, &id)
                  ? duet_srtp_streams_run(&srtp->in, srtp_unprotect, &id, packet, len)
                  : DUET_ERR_MALFORMED;

    return count(&srtp->stats, &srtp->stats.unprotected_packets, err);
}

int duet_srtp_unprotect_rtcp(duet_srtp *srtp, uint8_t *packet, size_t *len)
{
    duet_srtp_packet_id id;
    int err = DUET_ERR_MALFORMED;

    if (read_rtcp(packet, *len, RTCP_INDEX_LEN + srtp->rtcp_tag_len, &id)) {
        if (read_rtcp_index(srtp, packet, *len, &id))
            err = duet_srtp_streams_run(&srtp->in, srtp_unprotect_rtcp, &id, packet, len);
        else
            srtp->stats.unencrypted_rtcp++;
    }
    return count(&srtp->stats, &srtp->stats.unprotected_packets, err);
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

void duet_srtp_config_init(duet_srtp_config *config)
{
    *config = (duet_srtp_config){.size = sizeof(*config)};
}

static bool config_is_valid(const duet_srtp_config *config)
{
    size_t keying_len = duet_srtp_keying_len(config->profile);

    return keying_len > 0 && config->keying && config->keying_len == keying_len &&
           (config->replay_window == 0 ||
            (config->replay_window >= REPLAY_WINDOW_MIN && config->replay_window <= REPLAY_WINDOW_MAX));
}

/* client_write_SRTP_master_key, server_…_key, client_…_salt, server_…_salt: RFC 5764 section 4.2. */
static int init_streams(duet_srtp *srtp, const duet_srtp_config *config)
{
    srtp_profile_t number = (srtp_profile_t)config->profile;
    size_t key_len = srtp_profile_get_master_key_length(number);
    size_t salt_len = srtp_profile_get_master_salt_length(number);
    const uint8_t *key[] = {config->keying, config->keying + key_len};
    const uint8_t *salt[] = {config->keying + 2 * key_len, config->keying + 2 * key_len + salt_len};
    unsigned ours = config->is_client ? 0 : 1;
    int err = duet_srtp_streams_init(&srtp->out, &srtp->env, config->profile, key[ours], salt[ours], true);

    if (!err)
        err = duet_srtp_streams_init(&srtp->in, &srtp->env, config->profile, key[!ours], salt[!ours], false);
    srtp->out.limit = srtp->in.limit = config->streams_max ? config->streams_max : STREAMS_MAX_DEFAULT;
    srtp->out.policy.window_size = srtp->in.policy.window_size =
        config->replay_window ? config->replay_window : REPLAY_WINDOW_DEFAULT;
    srtp->rtp_tag_len = (size_t)srtp->in.policy.rtp.auth_tag_len;
    srtp->rtcp_tag_len = (size_t)srtp->in.policy.rtcp.auth_tag_len;
    return err;
}

int duet_srtp_create(duet_srtp **out, const duet_srtp_config *config)
{
    *out = NULL;
    if (!config_is_valid(config))
        return DUET_ERR_INVALID;
    int err = duet_srtp_process_init();
    if (err)
        return err;
    duet_env env = duet_env_resolve(config->env);
    duet_srtp *srtp = duet_calloc(&env, sizeof(*srtp));
    if (!srtp)
        return DUET_ERR_NOMEM;
    srtp->env = env;
    srtp->is_aead = config->profile == DUET_SRTP_AEAD_AES_128_GCM || config->profile == DUET_SRTP_AEAD_AES_256_GCM;
    err = init_streams(srtp, config);
    if (err) {
        duet_srtp_destroy(srtp);
        return err;
    }
    *out = srtp;
    return DUET_OK;
}

void duet_srtp_destroy(duet_srtp *srtp)
{
    if (!srtp)
        return;
    duet_env env = srtp->env;
    duet_srtp_streams_free(&srtp->out);
    duet_srtp_streams_free(&srtp->in);
    duet_free(&env, srtp);
}

void duet_srtp_get_stats(const duet_srtp *srtp, duet_srtp_stats *out)
{
    *out = srtp->stats;
    out->streams_evicted = srtp->in.evictions;
    out->streams_out = srtp->out.by_ssrc.count;
    out->streams_in = srtp->in.by_ssrc.count;
}
