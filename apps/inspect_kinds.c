/* The table of kinds, and the check that a model says all that its bytes say. */
#include "inspect_layout.h"
#include <string.h>

static const inspect_kind kinds[] = {
    {"sdp", inspect_sdp, inspect_sdp_encode},
    {"candidate", inspect_candidate, inspect_candidate_encode},
    {"stun", inspect_stun, inspect_stun_encode},
    {"sctp", inspect_sctp, inspect_sctp_encode},
    {"dcep", inspect_dcep, inspect_dcep_encode},
    {"dtls", inspect_dtls, inspect_dtls_encode},
    {"channeldata", inspect_channeldata, inspect_channeldata_encode},
    {"turn-stream", inspect_turn_stream, inspect_turn_stream_encode},
    {"rfc4571", inspect_rfc4571, inspect_rfc4571_encode},
    {"mdns", inspect_mdns, inspect_mdns_encode},
};

const inspect_kind *inspect_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    return NULL;
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
