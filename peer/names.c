/* Names of states and types, as W3C spells them. */
#include "duet/peer.h"
#include <string.h>

static const char *name_at(const char *const *names, size_t count, int value)
{
    return value >= 0 && (size_t)value < count ? names[value] : "unknown";
}

#define COUNT(names) (sizeof(names) / sizeof((names)[0]))

static const char *const signaling_names[] = {
    "stable", "have-local-offer", "have-remote-offer", "have-local-pranswer", "have-remote-pranswer", "closed"};
static const char *const state_names[] = {"new", "connecting", "connected", "disconnected", "failed", "closed"};
static const char *const gathering_names[] = {"new", "gathering", "complete"};
static const char *const type_names[] = {"none", "offer", "pranswer", "answer", "rollback"};
static const char *const stats_names[] = {"",
                                          "peer-connection",
                                          "transport",
                                          "sctp-transport",
                                          "candidate-pair",
                                          "local-candidate",
                                          "remote-candidate",
                                          "certificate",
                                          "data-channel",
                                          "codec",
                                          "inbound-rtp",
                                          "outbound-rtp",
                                          "remote-inbound-rtp",
                                          "remote-outbound-rtp",
                                          "media-source",
                                          "media-playout"};

const char *duet_signaling_state_name(duet_signaling_state state)
{
    return name_at(signaling_names, COUNT(signaling_names), (int)state);
}

const char *duet_pc_state_name(duet_pc_state state)
{
    return name_at(state_names, COUNT(state_names), (int)state);
}

const char *duet_ice_gathering_state_name(duet_ice_gathering_state state)
{
    return name_at(gathering_names, COUNT(gathering_names), (int)state);
}

const char *duet_sdp_type_name(duet_sdp_type type)
{
    return name_at(type_names, COUNT(type_names), (int)type);
}

const char *duet_stats_kind_name(duet_stats_kind kind)
{
    return name_at(stats_names, COUNT(stats_names), (int)kind);
}

duet_sdp_type duet_sdp_type_parse(const char *name)
{
    for (int type = DUET_SDP_OFFER; type <= DUET_SDP_ROLLBACK; type++) {
        if (strcmp(name, type_names[type]) == 0)
            return (duet_sdp_type)type;
    }
    return DUET_SDP_NONE;
}
