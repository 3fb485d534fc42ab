/* Statistics with the names and units of W3C webrtc-stats: times are seconds, sizes bytes. Members that begin with
 * "duet" are our own. */
#include "base/crypto.h"
#include "peer/media.h"
#include "peer/report.h"
#include <stdio.h>
#include <string.h>

/* ---- candidates and pairs ---- */

static void report_candidate(pc_stats_report *r, const duet_candidate *c, const pc_transport *t, const char *id,
                             bool is_local)
{
    static const char *const tcp_types[] = {"", "active", "passive", "so"};
    char ip[DUET_ADDRESS_TEXT_MAX], related[DUET_ADDRESS_TEXT_MAX], transport[PC_STATS_ID_MAX];

    snprintf(transport, sizeof(transport), "T%u", (unsigned)t->index);
    pc_report_text(r, "transportId", transport);
    pc_report_text(r, "address", c->name[0] ? c->name : duet_address_ip_text(&c->address, ip, sizeof(ip)));
    pc_report_number(r, "port", c->address.port);
    pc_report_text(r, "protocol", duet_protocol_name(c->protocol));
    pc_report_text(r, "candidateType", duet_candidate_type_name(c->type));
    pc_report_number(r, "priority", c->priority);
    pc_report_text(r, "foundation", c->foundation);
    if (c->ufrag[0])
        pc_report_text(r, "usernameFragment", c->ufrag);
    if (c->related.family != DUET_AF_NONE) {
        pc_report_text(r, "relatedAddress", duet_address_ip_text(&c->related, related, sizeof(related)));
        pc_report_number(r, "relatedPort", c->related.port);
    }
    if (c->protocol == DUET_TCP)
        pc_report_text(r, "tcpType", tcp_types[c->tcp_type]);
    pc_report_emit(r, is_local ? DUET_STATS_LOCAL_CANDIDATE : DUET_STATS_REMOTE_CANDIDATE, id);
}

static void candidate_id(char *buf, size_t size, const pc_transport *t, bool is_local, size_t index)
{
    snprintf(buf, size, "%c%u-%zu", is_local ? 'L' : 'R', (unsigned)t->index, index);
}

static void report_pair(pc_stats_report *r, const pc_transport *t, size_t index, const duet_ice_pair_stats *p)
{
    char id[PC_STATS_ID_MAX], transport[PC_STATS_ID_MAX], local[PC_STATS_ID_MAX], remote[PC_STATS_ID_MAX];

    snprintf(id, sizeof(id), "P%u-%zu", (unsigned)t->index, index);
    snprintf(transport, sizeof(transport), "T%u", (unsigned)t->index);
    candidate_id(local, sizeof(local), t, true, p->local);
    candidate_id(remote, sizeof(remote), t, false, p->remote);
    pc_report_text(r, "transportId", transport);
    pc_report_text(r, "localCandidateId", local);
    pc_report_text(r, "remoteCandidateId", remote);
    pc_report_text(r, "state", duet_ice_pair_state_name(p->state));
    pc_report_bool(r, "nominated", p->nominated);
    pc_report_bool(r, "duetSelected", p->selected);
    pc_report_number(r, "duetPriority", p->priority);
    pc_report_number(r, "requestsSent", p->requests_sent);
    pc_report_number(r, "requestsReceived", p->requests_received);
    pc_report_number(r, "responsesSent", p->responses_sent);
    pc_report_number(r, "responsesReceived", p->responses_received);
    pc_report_number(r, "consentRequestsSent", p->consent_requests_sent);
    pc_report_seconds(r, "currentRoundTripTime", p->current_round_trip_time);
    pc_report_seconds(r, "totalRoundTripTime", p->total_round_trip_time);
    pc_report_emit(r, DUET_STATS_CANDIDATE_PAIR, id);
}

static void report_ice(pc_stats_report *r, const pc_transport *t)
{
    const duet_candidate *c;
    duet_ice_pair_stats pair;
    char id[PC_STATS_ID_MAX];

    for (size_t i = 0; (c = duet_ice_agent_local_candidate(t->ice, i)) != NULL; i++) {
        candidate_id(id, sizeof(id), t, true, i);
        report_candidate(r, c, t, id, true);
    }
    for (size_t i = 0; (c = duet_ice_agent_remote_candidate(t->ice, i)) != NULL; i++) {
        candidate_id(id, sizeof(id), t, false, i);
        report_candidate(r, c, t, id, false);
    }
    for (size_t i = 0; duet_ice_agent_get_pair(t->ice, i, &pair) == DUET_OK; i++)
        report_pair(r, t, i, &pair);
}

/* ---- transports ---- */

static void selected_pair_id(const pc_transport *t, char *buf, size_t size)
{
    duet_ice_pair_stats pair;

    buf[0] = 0;
    for (size_t i = 0; duet_ice_agent_get_pair(t->ice, i, &pair) == DUET_OK; i++) {
        if (pair.selected)
            snprintf(buf, size, "P%u-%zu", (unsigned)t->index, i);
    }
}

/* "four upper case hexadecimal digits, representing the two bytes of the version" as they are on the wire */
static const char *tls_version(const pc_transport *t)
{
    const char *name = duet_dtls_version(t->dtls);

    if (!name[0])
        return NULL;
    return strcmp(name, "DTLSv1.2") == 0 ? "FEFD" : strcmp(name, "DTLSv1.3") == 0 ? "FEFC" : name;
}

static bool remote_fingerprint(const pc_transport *t, duet_fingerprint *out)
{
    size_t len;
    const uint8_t *der = duet_dtls_remote_certificate(t->dtls, &len);
    duet_iov part = {der, len};

    *out = (duet_fingerprint){.hash = DUET_HASH_SHA256, .len = DUET_SHA256_LEN};
    return der && duet_sha256(out->value, &part, 1) == DUET_OK;
}

static void report_certificate(pc_stats_report *r, const char *id, const duet_fingerprint *fingerprint)
{
    char text[DUET_FINGERPRINT_TEXT_MAX];

    if (duet_fingerprint_format(fingerprint, text, sizeof(text)) != DUET_OK)
        return;
    char *space = strchr(text, ' ');
    if (!space)
        return;
    *space = 0;
    pc_report_text(r, "fingerprintAlgorithm", text);
    pc_report_text(r, "fingerprint", space + 1);
    pc_report_emit(r, DUET_STATS_CERTIFICATE, id);
}

static void report_transport(pc_stats_report *r, const pc_transport *t)
{
    duet_dtls_stats dtls;
    duet_ice_stats ice;
    char id[PC_STATS_ID_MAX], pair[PC_STATS_ID_MAX], remote[PC_STATS_ID_MAX];
    duet_dtls_role role = duet_dtls_get_role(t->dtls);
    const char *srtp = duet_srtp_profile_name(duet_dtls_srtp_profile(t->dtls));
    duet_fingerprint fingerprint;
    bool has_remote = remote_fingerprint(t, &fingerprint);

    duet_dtls_get_stats(t->dtls, &dtls);
    duet_ice_agent_get_stats(t->ice, &ice);
    selected_pair_id(t, pair, sizeof(pair));
    snprintf(id, sizeof(id), "T%u", (unsigned)t->index);
    pc_report_number(r, "bytesSent", dtls.bytes_out);
    pc_report_number(r, "bytesReceived", dtls.bytes_in);
    pc_report_number(r, "packetsSent", dtls.datagrams_out);
    pc_report_number(r, "packetsReceived", dtls.datagrams_in);
    pc_report_text(r, "iceState", duet_ice_state_name(t->ice_state));
    pc_report_text(r, "iceRole", duet_ice_agent_role(t->ice) == DUET_ICE_CONTROLLING ? "controlling" : "controlled");
    pc_report_text(r, "iceLocalUsernameFragment", duet_ice_agent_local_credentials(t->ice)->ufrag);
    pc_report_text(r, "dtlsState", duet_dtls_state_name(t->dtls_state));
    pc_report_text(r, "dtlsRole",
                   role == DUET_DTLS_CLIENT   ? "client"
                   : role == DUET_DTLS_SERVER ? "server"
                                              : "unknown");
    if (tls_version(t)) {
        pc_report_text(r, "tlsVersion", tls_version(t));
        pc_report_text(r, "dtlsCipher", duet_dtls_cipher(t->dtls));
    }
    if (srtp)
        pc_report_text(r, "srtpCipher", srtp);
    if (pair[0])
        pc_report_text(r, "selectedCandidatePairId", pair);
    pc_report_number(r, "selectedCandidatePairChanges", ice.selected_changes);
    pc_report_text(r, "localCertificateId", "C-local");
    snprintf(remote, sizeof(remote), "C-remote%u", (unsigned)t->index);
    if (has_remote)
        pc_report_text(r, "remoteCertificateId", remote);
    pc_report_number(r, "duetIceDiscarded", ice.discarded);
    pc_report_number(r, "duetIceRestarts", ice.restarts);
    pc_report_number(r, "duetDtlsDiscarded", dtls.records_discarded);
    pc_report_number(r, "duetDtlsRetransmissions", dtls.retransmissions);
    pc_report_emit(r, DUET_STATS_TRANSPORT, id);
    if (has_remote)
        report_certificate(r, remote, &fingerprint);
}

static void report_sctp(pc_stats_report *r, const duet_pc *pc)
{
    duet_sctp_stats s;
    char transport[PC_STATS_ID_MAX] = "";

    duet_sctp_get_stats(pc->sctp, &s);
    if (pc->sctp_transport)
        snprintf(transport, sizeof(transport), "T%u", (unsigned)pc->sctp_transport->index);
    if (transport[0])
        pc_report_text(r, "transportId", transport);
    pc_report_seconds(r, "smoothedRoundTripTime", s.smoothed_round_trip_time);
    pc_report_number(r, "congestionWindow", s.congestion_window);
    pc_report_number(r, "receiverWindow", s.receiver_window);
    pc_report_number(r, "mtu", s.mtu);
    pc_report_number(r, "unackData", s.unacknowledged);
    pc_report_number(r, "bytesSent", s.bytes_out);
    pc_report_number(r, "bytesReceived", s.bytes_in);
    pc_report_number(r, "duetPacketsSent", s.packets_out);
    pc_report_number(r, "duetPacketsReceived", s.packets_in);
    pc_report_number(r, "duetDiscarded", s.discarded);
    pc_report_number(r, "duetMaxMessageSize", s.max_message_size);
    pc_report_emit(r, DUET_STATS_SCTP_TRANSPORT, "S");
}

static void report_channel(void *user, duet_dc *dc)
{
    pc_stats_report *r = user;
    duet_dc_stats s;
    char id[PC_STATS_ID_MAX];

    duet_dc_get_stats(dc, &s);
    snprintf(id, sizeof(id), "D%u", r->channels++); /* its stream may not be chosen yet */
    pc_report_text(r, "label", duet_dc_label(dc));
    pc_report_text(r, "protocol", duet_dc_protocol(dc));
    if (duet_dc_id(dc) != DUET_DC_AUTO_ID)
        pc_report_number(r, "dataChannelIdentifier", duet_dc_id(dc));
    pc_report_text(r, "state", duet_dc_state_name(duet_dc_get_state(dc)));
    pc_report_number(r, "messagesSent", s.messages_sent);
    pc_report_number(r, "bytesSent", s.bytes_sent);
    pc_report_number(r, "messagesReceived", s.messages_received);
    pc_report_number(r, "bytesReceived", s.bytes_received);
    pc_report_number(r, "duetBufferedAmount", duet_dc_buffered_amount(dc));
    pc_report_emit(r, DUET_STATS_DATA_CHANNEL, id);
}

static void report_connection(pc_stats_report *r, const duet_pc *pc)
{
    duet_sctp_stats s = {0};

    if (pc->sctp)
        duet_sctp_get_stats(pc->sctp, &s);
    pc_report_number(r, "dataChannelsOpened", s.channels_opened);
    pc_report_number(r, "dataChannelsClosed", s.channels_closed);
    pc_report_number(r, "duetUnvalidated", pc->counters.unvalidated);
    pc_report_number(r, "duetUnknown", pc->counters.unknown);
    pc_report_number(r, "duetEarlyHeld", pc->counters.early_held);
    pc_report_number(r, "duetEarlyDropped", pc->counters.early_dropped);
    pc_report_number(r, "duetMediaDropped", pc->counters.media_dropped);
    pc_report_number(r, "duetMediaRefused", pc->counters.media_refused);
    pc_report_emit(r, DUET_STATS_PEER_CONNECTION, "PC");
}

void duet_pc_get_stats(const duet_pc *pc, duet_stats_fn visit, void *user)
{
    pc_stats_report r = {.visit = visit, .user = user};

    report_connection(&r, pc);
    report_certificate(&r, "C-local", &pc->fingerprint);
    for (size_t i = 0; i < pc->transport_count; i++) {
        const pc_transport *t = pc->transports[i];
        if (t->retired)
            continue;
        report_transport(&r, t);
        report_ice(&r, t);
    }
    pc_media_report(pc, &r);
    if (!pc->sctp)
        return;
    report_sctp(&r, pc);
    duet_sctp_each_channel(pc->sctp, report_channel, &r);
}
