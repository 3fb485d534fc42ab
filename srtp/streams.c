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

static int create_stream(duet_srtp_streams *s, const srtp_policy_t *policy, duet_srtp_stream **out)
{
    duet_srtp_stream *stream = duet_calloc(s->env, sizeof(*stream));

    if (!stream)
        return DUET_ERR_NOMEM;
    int err = error_of(srtp_create(&stream->session, policy));
    if (err) {
        stream->session = NULL;
        free_stream(s, stream);
        return err;
    }
    *out = stream;
    return DUET_OK;
}

/* So that there is a session for the next SSRC. */
static int prepare_unused(duet_srtp_streams *s)
{
    return s->unused ? DUET_OK : create_stream(s, &s->policy, &s->unused);
}

/* The session of a stream that comes back. Only one that is made for its SSRC takes a rollover counter. */
static int create_returning(duet_srtp_streams *s, uint32_t ssrc, const duet_srtp_position *position,
                            duet_srtp_stream **out)
{
    srtp_policy_t policy = s->policy;

    policy.ssrc.type = ssrc_specific;
    policy.ssrc.value = ssrc;
    int err = create_stream(s, &policy, out);
    if (err)
        return err;
    (*out)->position = (*out)->before = *position;
    (*out)->needs_roc = position->has_rtp;
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
    duet_srtp_evicted_keep(&s->evicted, s->env, stream->ssrc, &stream->position);
    free_stream(s, stream);
    s->evictions++;
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

static int run_session(duet_srtp_stream *stream, duet_srtp_operation operation, const duet_srtp_packet_id *id,
                       uint8_t *packet, size_t *len)
{
    uint64_t index = duet_srtp_position_index(&stream->position, id);
    int octets = (int)*len;

    if (!duet_srtp_position_is_ahead(&stream->before, id->is_rtcp, index))
        return DUET_ERR_STATE;
    if (stream->needs_roc && !id->is_rtcp &&
        srtp_set_stream_roc(stream->session, id->ssrc, (uint32_t)(index >> 16)) != srtp_err_status_ok)
        return DUET_ERR_CRYPTO;
    int err = error_of(operation(stream->session, packet, &octets));
    if (err)
        return err;
    *len = (size_t)octets;
    duet_srtp_position_advance(&stream->position, id->is_rtcp, index);
    stream->needs_roc = stream->needs_roc && id->is_rtcp;
    return DUET_OK;
}

/* Its first packet was accepted. Its slot in the map exists. */
static void adopt(duet_srtp_streams *s, duet_srtp_stream *stream, uint32_t ssrc)
{
    stream->ssrc = ssrc;
    link_newest(s, stream);
    if (s->by_ssrc.count > s->limit)
        evict_oldest(s);
}

/* A refused packet leaves a session that receives as it was. One that sends has taken the SSRC already, and when memory was
 * short nobody knows: such a session is not used. */
static bool is_untouched(const duet_srtp_streams *s, int err)
{
    return s->evicts && (err == DUET_ERR_AUTH || err == DUET_ERR_MALFORMED);
}

/* All that may fail comes before the packet is touched, so that one that was accepted is never refused afterwards. */
static int run_unknown(duet_srtp_streams *s, duet_srtp_operation operation, const duet_srtp_packet_id *id,
                       uint8_t *packet, size_t *len)
{
    const duet_srtp_position *position = duet_srtp_evicted_find(&s->evicted, id->ssrc);
    duet_srtp_stream *stream;

    if (!s->evicts && s->by_ssrc.count >= s->limit)
        return DUET_ERR_LIMIT;
    if (position && !duet_srtp_position_is_ahead(position, id->is_rtcp, duet_srtp_position_index(position, id)))
        return DUET_ERR_STATE; /* without making a session for it */
    int err = position ? create_returning(s, id->ssrc, position, &stream) : prepare_unused(s);
    if (err)
        return err;
    if (!position) {
        stream = s->unused;
        s->unused = NULL;
    }
    err = duet_map_set(&s->by_ssrc, id->ssrc, stream);
    bool is_kept = err != DUET_OK; /* nothing was done with it */
    if (!err) {
        err = run_session(stream, operation, id, packet, len);
        if (!err) {
            adopt(s, stream, id->ssrc);
            return DUET_OK;
        }
        duet_map_remove(&s->by_ssrc, id->ssrc);
        is_kept = is_untouched(s, err);
    }
    if (!position && is_kept)
        s->unused = stream;
    else
        free_stream(s, stream);
    return err;
}

int duet_srtp_streams_run(duet_srtp_streams *s, duet_srtp_operation operation, const duet_srtp_packet_id *id,
                          uint8_t *packet, size_t *len)
{
    duet_srtp_stream *stream = duet_map_get(&s->by_ssrc, id->ssrc);

    if (!stream)
        return run_unknown(s, operation, id, packet, len);
    int err = run_session(stream, operation, id, packet, len);
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
    duet_srtp_evicted_free(&s->evicted, s->env);
    duet_wipe(s->key_and_salt, sizeof(s->key_and_salt));
}
