/* What the files of peer/ share: the connection, its m-sections and its transports. */
#ifndef DUET_PEER_INTERNAL_H
#define DUET_PEER_INTERNAL_H

#include "base/events.h"
#include "base/log.h"
#include "base/memory.h"
#include "duet/peer.h"
#include <pthread.h>
#include <stdatomic.h>

/* A socket id that leaves the connection carries the transport in its upper bits, so a datagram finds its agent without
 * a search. The agents count their own ids up from 1. */
#define PC_SOCKET_BITS   20
#define PC_TRANSPORT_MAX 64

/* What found no memory is tried again after this long. */
#define PC_RETRY_AFTER DUET_MS(10)

/* A ClientHello spans at most a few datagrams of this size. */
#define PC_EARLY_LEN_MAX 4096

#define PC_FINGERPRINTS_MAX 8
#define PC_PROFILES_MAX     4
#define PC_MID_MAX          32

/* A DTLS datagram that came before the handshake could start, from a path that is validated. */
typedef struct pc_early {
    duet_path path;
    uint8_t *data;
    size_t len;
} pc_early;

/* One ICE agent with the DTLS association above it. What JSEP decides is noted here as a wish; transport_sync carries
 * the wishes out at the next tick, because only then the time is known. */
typedef struct pc_transport {
    duet_pc *pc;
    uint32_t index;
    size_t owner; /* the first m-section that uses it */
    duet_ice_agent *ice;
    duet_dtls *dtls;
    /* Another association that is to take its place, because the tag of the bundle has ended: see renewal.c. NULL: none */
    duet_dtls *renewed;
    duet_dtls_state renewed_state;
    duet_dtls_role renewed_role;
    duet_time renewed_until; /* it is given up then */
    bool wants_renewal;
    size_t tag;             /* the first m-section that used it when it was agreed last */
    struct pc_media *media; /* SRTP and RTP session; NULL while no media is agreed */
    bool network_changed;   /* on_network_change is queued */
    bool routable;          /* a pair is valid */
    bool dtls_started;
    duet_ice_state ice_state;
    duet_dtls_state dtls_state;
    duet_ice_gathering_state gathering;

    bool retired;  /* no section uses it any more */
    bool ended;    /* retired, or the connection is closed: the goodbye is in the output */
    bool parted;   /* … and has left, and the relays are given up */
    bool drained;  /* … and has been pulled: the sockets may close */
    bool released; /* … and have closed: another transport may take this place */

    bool wants_gathering, wants_restart, wants_remote, wants_fingerprints, wants_end;
    bool short_of_memory; /* a wish could not be carried out: tried again soon */
    bool needs_remote;    /* the agent restarted: it has to be given the peer's credentials again */
    bool gathered;        /* gathering was asked for once */
    bool has_remote;      /* remote credentials were applied once */
    bool is_controlling, has_role;
    duet_ice_credentials next; /* local credentials of the restart that is being offered; ufrag "" when there is none */
    duet_ice_credentials remote;
    bool remote_is_lite;
    duet_array candidates; /* duet_candidate, waiting for the agent */
    duet_fingerprint fingerprints[PC_FINGERPRINTS_MAX];
    size_t fingerprint_count;
    duet_dtls_role dtls_role; /* 0 while it is not negotiated */

    pc_early early[DUET_PC_EARLY_DATAGRAMS];
    size_t early_count;
} pc_transport;

/* Which transport a connection is of whose id the driver chose. */
typedef struct pc_accepted {
    uint32_t id;
    uint32_t transport;
} pc_accepted;

/* One m-section as far as it is agreed or offered. */
typedef struct pc_section {
    char mid[PC_MID_MAX + 1];
    duet_sdp_media_kind kind;
    pc_transport *transport; /* shared by bundled sections; NULL: rejected or not known yet */
} pc_section;

/* Which ids header extensions have (RFC 8285), by the place of each in the table of media_extensions.c. */
#define PC_EXTENSIONS_MAX 16
#define PC_EXTENSION_IDS  256
typedef struct pc_extension_ids {
    uint8_t agreed[PC_EXTENSIONS_MAX]; /* 0: none */
    bool is_taken[PC_EXTENSION_IDS];
} pc_extension_ids;

/* A description and what it is. */
typedef struct pc_description {
    duet_sdp_type type;
    duet_sdp *sdp;
} pc_description;

typedef struct pc_early_candidate {
    duet_candidate candidate;
    char mid[PC_MID_MAX + 1];
    int mline_index;
    bool is_end;
} pc_early_candidate;

struct duet_pc {
    duet_env env;
    duet_pc_config config; /* events, numbers; its pointers are not kept */
    duet_events events;
    duet_certificate *certificate;
    duet_fingerprint fingerprint;
    duet_array servers; /* pc_server */
    char **nat_1to1;    /* config.nat_1to1_count of them */
    char *ca_file;

    duet_signaling_state signaling;
    duet_pc_state state;
    duet_ice_state ice_state;
    duet_ice_gathering_state gathering;
    /* What the application knows of these four: an event that finds no memory is tried again. */
    duet_signaling_state reported_signaling;
    duet_pc_state reported_state;
    duet_ice_state reported_ice_state;
    duet_ice_gathering_state reported_gathering;
    bool is_closed;
    bool negotiation_needed, negotiation_unreported;
    bool negotiation_deferred;      /* it is told at the next tick */
    unsigned next_mid;              /* above all mids that were ever agreed */
    pc_extension_ids extension_ids; /* that were ever agreed */
    bool restart_needed;            /* restart_ice() was called, and no negotiation has fulfilled it yet */
    bool ice_config_changed;        /* the same for set_configuration(), which needs no negotiation at once */

    pc_description current_local, current_remote, pending_local, pending_remote;
    duet_sdp_error error;
    uint64_t session_id, session_version;
    char cname[20]; /* of every stream that is sent, RFC 7022 */
    duet_srtp_profile srtp_profiles[PC_PROFILES_MAX];
    size_t srtp_profile_count;

    duet_array sections; /* pc_section */
    size_t stable_sections;
    pc_transport *transports[PC_TRANSPORT_MAX];
    size_t transport_count;
    duet_array early_candidates; /* pc_early_candidate, before the remote description */
    duet_array accepted;         /* pc_accepted */
    duet_array transceivers;     /* duet_transceiver * */
    size_t ends_unreported;      /* of transceivers */
    duet_time next_lip_sync;

    duet_sctp *sctp;
    bool wants_data;  /* a channel was created: offers contain a data section */
    bool sctp_agreed; /* the data section was accepted by both */
    bool sctp_started;
    pc_transport *sctp_transport;
    uint16_t remote_sctp_port;
    uint64_t remote_max_message;

    duet_pc_counters counters;
    duet_time now;
    pthread_mutex_t wake_lock; /* usrsctp may wake us from another thread while the driver changes */
    void (*wake)(void *user);
    void *wake_user;
    atomic_bool wake_asked;
};

/* A server of the configuration, deep-copied. */
typedef struct pc_server {
    duet_ice_server server;
    char **urls;
    char *username, *credential;
} pc_server;

/* peer.c */
void pc_wake(duet_pc *pc);
void pc_error_set(duet_pc *pc, size_t line, size_t column, const char *format, ...) DUET_PRINTF(4, 5);
int pc_ensure_sctp(duet_pc *pc);

/* states.c */
void pc_update_states(duet_pc *pc, const char *cause);
void pc_set_signaling_state(duet_pc *pc, duet_signaling_state state, const char *cause);
void pc_report(duet_pc *pc);                   /* queues the events of states that have changed */
void pc_transceivers_report_ends(duet_pc *pc); /* transceiver.c */
bool pc_has_unreported(const duet_pc *pc);

/* servers.c */
/* A copy of a list of strings; freed with pc_strings_free. */
int pc_strings_copy(const duet_env *env, char ***out, const char *const *strings, size_t count);
void pc_strings_free(const duet_env *env, char **strings, size_t count);
int pc_servers_copy(const duet_env *env, duet_array *out, const duet_ice_server *const *servers, size_t count);
bool pc_servers_equal(const duet_array *a, const duet_array *b);
void pc_servers_free(const duet_env *env, duet_array *servers);
/* Pointers to the servers for a config; freed with duet_free. NULL when there are none or no memory. */
const duet_ice_server **pc_servers_list(duet_pc *pc);

/* transport.c */
/* Whether an m-section uses it. */
bool pc_transport_is_used(const pc_transport *t);
int pc_transport_create(pc_transport **out, duet_pc *pc, size_t owner);
void pc_transport_destroy(pc_transport *t);
void pc_transport_sync(pc_transport *t, duet_time now);
int pc_transport_input(pc_transport *t, duet_datagram *in, duet_time now);
int pc_transport_output(pc_transport *t, duet_datagram *out, duet_time now);
duet_time pc_transport_deadline(const pc_transport *t);
int pc_transport_add_candidate(pc_transport *t, const duet_candidate *candidate);
/* The credentials that a description made now announces. */
const duet_ice_credentials *pc_transport_credentials(const pc_transport *t, bool restarts);
int pc_transport_prepare_restart(pc_transport *t);
void pc_transport_forget_restart(pc_transport *t); /* one that was not carried out yet */
/* The goodbye and then the end of the sockets, one step at each tick. */
void pc_transport_end(pc_transport *t, duet_time now);

/* What duet_dtls_create makes for this connection; the states are told to `on_state` with the transport. */
int pc_transport_create_dtls(pc_transport *t, duet_dtls **out, void (*on_state)(void *user, duet_dtls_state state));
void pc_transport_dtls_state(void *user, duet_dtls_state state);

/* renewal.c */
/* The transport's bundle has another tag than before: begins another association. */
void pc_transport_renew(pc_transport *t, duet_dtls_role role);
void pc_renewal_sync(pc_transport *t, duet_time now);
void pc_renewal_end(pc_transport *t);
/* Whether the end of the association need not be that of the peer. */
bool pc_renewal_is_expected(const pc_transport *t);
/* The association that a DTLS record is for. */
duet_dtls *pc_renewal_receiver(const pc_transport *t, uint8_t content_type);
duet_time pc_renewal_deadline(const pc_transport *t);

/* candidates.c */
void pc_local_candidate(pc_transport *t, const duet_candidate *candidate);
void pc_deliver_early_candidates(duet_pc *pc);
/* Hands a candidate of section `i` of the peer's description to the transport. */
int pc_transport_take_candidate(pc_transport *t, const duet_sdp *remote, size_t i, const duet_candidate *candidate);

/* build.c */
int pc_build_offer(duet_pc *pc, bool ice_restart, duet_sdp **out);
int pc_build_answer(duet_pc *pc, duet_sdp **out);
/* Which transport each m-section of the remote offer would use; NULL: it is rejected. Makes the missing ones. */
int pc_plan_answer(duet_pc *pc, const duet_sdp *offer, pc_transport **plan);

/* apply.c */
/* Checks a description that is about to become the local one against what was created, and takes up its sections. */
int pc_apply_local(duet_pc *pc, const duet_sdp *local);
/* Whether setting this description needs data channels, and makes ready for them. */
int pc_prepare_data(duet_pc *pc, const duet_sdp *sdp);
/* Both sides are agreed: hands the peer's parameters to the transports. */
void pc_apply_negotiated(duet_pc *pc, const duet_sdp *local, const duet_sdp *remote, bool local_is_offer);
/* Whether a description of the peer can follow what is agreed: the certificates stay (RFC 8842 section 4). */
int pc_check_certificates(duet_pc *pc, const duet_sdp *remote);
int pc_check_local(duet_pc *pc, const duet_sdp *local);

void pc_retire_transports(duet_pc *pc);
/* NULL: there is no such section, it is rejected or not known yet. */
pc_transport *pc_section_transport(const duet_pc *pc, size_t i);
/* The mid of an m-section: the one that it has, or else one that is made (RFC 9429 section 5.10) and stays.
 * @param out  room for PC_MID_MAX + 1 */
void pc_section_mid(const duet_pc *pc, const duet_sdp *sdp, size_t i, char *out);

/* jsep.c */
void pc_descriptions_free(duet_pc *pc);
duet_sdp *pc_local_sdp(const duet_pc *pc); /* pending, else current; NULL when there is none */
duet_sdp *pc_remote_sdp(const duet_pc *pc);
void pc_update_negotiation_needed(duet_pc *pc);

#endif
