/* The table of kinds, and the check that a model says all that its bytes say. */
#include "inspect_layout.h"
#include <string.h>
#include <strings.h>

static const inspect_kind kinds[] = {
    {"sdp", inspect_sdp, inspect_sdp_encode, false},
    {"candidate", inspect_candidate, inspect_candidate_encode, false},
    {"stun", inspect_stun, inspect_stun_encode, false},
    {"sctp", inspect_sctp, inspect_sctp_encode, false},
    {"dcep", inspect_dcep, inspect_dcep_encode, false},
    {"dtls", inspect_dtls, inspect_dtls_encode, false},
    {"channeldata", inspect_channeldata, inspect_channeldata_encode, false},
    {"turn-stream", inspect_turn_stream, inspect_turn_stream_encode, false},
    {"rfc4571", inspect_rfc4571, inspect_rfc4571_encode, false},
    {"mdns", inspect_mdns, inspect_mdns_encode, false},
#ifdef DUET_HAVE_MEDIA
    {"rtp", inspect_rtp, inspect_rtp_encode, true},
    {"rtcp", inspect_rtcp, inspect_rtcp_encode, true},
    {"payload/opus", inspect_payload_opus, inspect_payload_encode, true},
    {"payload/PCMU", inspect_payload_g711, inspect_payload_encode, true},
    {"payload/PCMA", inspect_payload_g711, inspect_payload_encode, true},
    {"payload/VP8", inspect_payload_vp8, inspect_payload_encode, true},
    {"payload/VP9", inspect_payload_vp9, inspect_payload_encode, true},
    {"payload/H264", inspect_payload_h264, inspect_payload_encode, true},
    {"payload/H265", inspect_payload_h265, inspect_payload_encode, true},
    {"payload/AV1", inspect_payload_av1, inspect_payload_encode, true},
    {"file", inspect_file, NULL, true},
#endif
};

/* Names are exact, but for the codec behind the slash. */
static bool is_named(const inspect_kind *kind, const char *name)
{
    const char *slash = strchr(kind->name, '/');
    size_t exact = slash ? (size_t)(slash - kind->name) : strlen(kind->name) + 1;

    return strncmp(kind->name, name, exact) == 0 && (!slash || strcasecmp(slash, name + exact) == 0);
}

const inspect_kind *inspect_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (is_named(&kinds[i], name))
            return &kinds[i];
    }
    return NULL;
}

const inspect_kind *inspect_kind_on_wire(const char *name)
{
    const inspect_kind *kind = inspect_kind_find(name);

    return kind && !kind->is_alone ? kind : NULL;
}

int inspect_roundtrip(const inspect_kind *kind, const uint8_t *data, size_t len, json_t *model, bool *same)
{
    duet_buffer again;
    size_t at = 0;

    duet_buffer_init(&again, NULL);
    int err = kind->encode(model, &again);
    if (err == DUET_ERR_NOMEM || again.failed) {
        duet_buffer_free(&again);
        return DUET_ERR_NOMEM;
    }
    while (at < len && at < again.len && data[at] == again.data[at])
        at++;
    *same = err == DUET_OK && at == len && len == again.len;
    inspect_set(model, "roundtrip", json_boolean(*same));
    if (!*same)
        inspect_set(model, "roundtripOffset", json_integer((json_int_t)at));
    duet_buffer_free(&again);
    return DUET_OK;
}
