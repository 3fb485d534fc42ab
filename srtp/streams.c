/* The table of the SSRCs of one direction, RFC 3711 section 3.2: cryptographic contexts. */
#include "srtp/streams.h"
#include "base/crypto.h"
#include "base/memory.h"
#include <string.h>

/* ---- sessions of libsrtp --------------------------------------------------------------------------------------- */

static int error_of(srtp_err_status_t status)
{
    switch (status) {
    case srtp_err_status_ok:
        return DUET_OK;
    case srtp_err_status_auth_fail:
        return DUET_ERR_AUTH;
    case srtp_err_status_replay_fail:
    case srtp_err_status_replay_old:
    case srtp_err_status_pkt_idx_old:
        return DUET_ERR_STATE;
    case srtp_err_status_key_expired:
        return DUET_ERR_LIMIT;
    case srtp_err_status_alloc_fail:
        return DUET_ERR_NOMEM;
    case srtp_err_status_bad_param:
    case srtp_err_status_parse_err:
        return DUET_ERR_MALFORMED;
    default:
        return DUET_ERR_CRYPTO;
    }
}

static void free_stream(duet_srtp_streams *s, duet_srtp_stream *stream)
{
    if (stream && stream->session)
        srtp_dealloc(stream->session);
    duet_free(s->env, stream);
}

/* So that there is a session for the next SSRC. */
static int prepare_unused(duet_srtp_streams *s)
{
    if (s->unused)
        return DUET_OK;
    duet_srtp_stream *stream = duet_calloc(s->env, sizeof(*stream));
    if (!stream)
        return DUET_ERR_NOMEM;
    int err = error_of(srtp_create(&stream->session, &s->policy));
    if (err) {
        stream->session = NULL;
        free_stream(s, stream);
        return err;
    }
    s->unused = stream;
    return DUET_OK;
}

/* ---- from the newest to the oldest ------------------------------------------------------------------------------ */

static void link_newest(duet_srtp_streams *s, duet_srtp_stream *stream)
{
    stream->newer = NULL;
    stream->older = s->newest;
    if (s->newest)
        s->newest->newer = stream;
    else
        s->oldest = stream;
    s->newest = stream;
}

static void unlink_stream(duet_srtp_streams *s, duet_srtp_stream *stream)
{
    if (stream->newer)
        stream->newer->older = stream->older;
    else
        s->newest = stream->older;
    if (stream->older)
        stream->older->newer = stream->newer;
    else
        s->oldest = stream->newer;
}

static void evict_oldest(duet_srtp_streams *s)
{
    duet_srtp_stream *stream = s->oldest;

    unlink_stream(s, stream);
    duet_map_remove(&s->by_ssrc, stream->ssrc);
    free_stream(s, stream);
    s->evicted++;
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

static int run_session(duet_srtp_stream *stream, duet_srtp_operation operation, uint8_t *packet, size_t *len)
{
    int octets = (int)*len;
    int err = error_of(operation(stream->session, packet, &octets));

    if (!err)
        *len = (size_t)octets;
    return err;
}

/* The unused session has taken its first packet: from now on it is this SSRC's. Its slot in the map exists. */
static void adopt_unused(duet_srtp_streams *s, uint32_t ssrc)
{
    duet_srtp_stream *stream = s->unused;

    s->unused = NULL;
    stream->ssrc = ssrc;
    link_newest(s, stream);
    if (s->by_ssrc.count > s->limit)
        evict_oldest(s);
}

/* All that may fail comes before the packet is touched, so that one that was accepted is never refused afterwards. */
static int run_unknown(duet_srtp_streams *s, duet_srtp_operation operation, uint32_t ssrc, uint8_t *packet, size_t *len)
{
    if (!s->evicts && s->by_ssrc.count >= s->limit)
        return DUET_ERR_LIMIT;
    int err = prepare_unused(s);
    if (err)
        return err;
    err = duet_map_set(&s->by_ssrc, ssrc, s->unused);
    if (err)
        return err;
    err = run_session(s->unused, operation, packet, len);
    if (!err) {
        adopt_unused(s, ssrc);
        return DUET_OK;
    }
    duet_map_remove(&s->by_ssrc, ssrc);
    /* A refused packet leaves a session that receives as it was. One that sends has taken the SSRC already, and when
     * memory was short nobody knows: such a session is not used. */
    if (!s->evicts || (err != DUET_ERR_AUTH && err != DUET_ERR_MALFORMED)) {
        free_stream(s, s->unused);
        s->unused = NULL;
    }
    return err;
}

int duet_srtp_streams_run(duet_srtp_streams *s, duet_srtp_operation operation, uint32_t ssrc, uint8_t *packet,
                          size_t *len)
{
    duet_srtp_stream *stream = duet_map_get(&s->by_ssrc, ssrc);

    if (!stream)
        return run_unknown(s, operation, ssrc, packet, len);
    int err = run_session(stream, operation, packet, len);
    if (!err && stream != s->newest) {
        unlink_stream(s, stream);
        link_newest(s, stream);
    }
    return err;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

int duet_srtp_streams_init(duet_srtp_streams *s, const duet_env *env, duet_srtp_profile profile, const uint8_t *key,
                           const uint8_t *salt, bool is_outgoing)
{
    srtp_profile_t number = (srtp_profile_t)profile; /* both are the registered ones, RFC 5764 section 4.1.2 */
    unsigned key_len = srtp_profile_get_master_key_length(number);
    unsigned salt_len = srtp_profile_get_master_salt_length(number);

    s->env = env;
    s->evicts = !is_outgoing;
    memcpy(s->key_and_salt, key, key_len);
    memcpy(s->key_and_salt + key_len, salt, salt_len);
    s->policy.key = s->key_and_salt;
    s->policy.ssrc.type = is_outgoing ? ssrc_any_outbound : ssrc_any_inbound;
    s->policy.allow_repeat_tx = is_outgoing;
    int err = error_of(srtp_crypto_policy_set_from_profile_for_rtp(&s->policy.rtp, number));
    if (!err)
        err = error_of(srtp_crypto_policy_set_from_profile_for_rtcp(&s->policy.rtcp, number));
    return err ? err : duet_map_init(&s->by_ssrc, env);
}

void duet_srtp_streams_free(duet_srtp_streams *s)
{
    while (s->oldest) {
        duet_srtp_stream *stream = s->oldest;
        unlink_stream(s, stream);
        free_stream(s, stream);
    }
    free_stream(s, s->unused);
    s->unused = NULL;
    duet_map_free(&s->by_ssrc);
    duet_wipe(s->key_and_salt, sizeof(s->key_and_salt));
}
