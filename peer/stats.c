/* Statistics with the names and units of W3C webrtc-stats: times are seconds, sizes bytes. Members that begin with
 * "duet" are our own. */
#include "base/crypto.h"
#include "peer/internal.h"
#include <stdio.h>
#include <string.h>

#define MEMBERS_MAX 32
#define ID_MAX      32

typedef struct report {
    duet_stats_fn visit;
    void *user;
    duet_stat members[MEMBERS_MAX];
    size_t count;
    unsigned channels; /* so far */
} report;

static duet_stat *add(report *r, const char *name)
{
    duet_stat *s = &r->members[r->count < MEMBERS_MAX - 1 ? r->count++ : r->count];

    *s = (duet_stat){.name = name};
    return s;
}

static void add_text(report *r, const char *name, const char *text)
{
    duet_stat *s = add(r, name);

    s->type = DUET_STAT_TEXT;
    s->text = text;
}

static void add_number(report *r, const char *name, uint64_t number)
{
    duet_stat *s = add(r, name);

    s->type = DUET_STAT_NUMBER;
    s->number = number;
}

static void add_seconds(report *r, const char *name, duet_time microseconds)
{
    duet_stat *s = add(r, name);

    s->type = DUET_STAT_REAL;
    s->real = (double)microseconds / 1e6;
}

static void add_bool(report *r, const char *name, bool boolean)
{
    duet_stat *s = add(r, name);

    s->type = DUET_STAT_BOOL;
    s->boolean = boolean;
}

static void emit(report *r, duet_stats_kind kind, const char *id)
{
    r->visit(r->user, kind, id, r->members, r->count);
    r->count = 0;
}

/* ---- candidates and pairs ---- */

static void report_candidate(report *r, const duet_candidate *c, const pc_transport *t, const char *id, bool is_local)
{
    static const char *const tcp_types[] = {"", "active", "passive", "so"};
    char ip[DUET_ADDRESS_TEXT_MAX], related[DUET_ADDRESS_TEXT_MAX], transport[ID_MAX];

    snprintf(transport, sizeof(transport), "T%u", (unsigned)t->index);
    add_text(r, "transportId", transport);
    add_text(r, "address", c->name[0] ? c->name : duet_address_ip_text(&c->address, ip, sizeof(ip)));
    add_number(r, "port", c->address.port);
    add_text(r, "protocol", duet_protocol_name(c->protocol));
    add_text(r, "candidateType", duet_candidate_type_name(c->type));
    add_number(r, "priority", c->priority);
    add_text(r, "foundation", c->foundation);
    if (c->ufrag[0])
        add_text(r, "usernameFragment", c->ufrag);
    if (c->related.family != DUET_AF_NONE) {
        add_text(r, "relatedAddress", duet_address_ip_text(&c->related, related, sizeof(related)));
        add_number(r, "relatedPort", c->related.port);
    }
    if (c->protocol == DUET_TCP)
        add_text(r, "tcpType", tcp_types[c->tcp_type]);
    emit(r, is_local ? DUET_STATS_LOCAL_CANDIDATE : DUET_STATS_REMOTE_CANDIDATE, id);
}

static void candidate_id(char *buf, size_t size, const pc_transport *t, bool is_local, size_t index)
{
    snprintf(buf, size, "%c%u-%zu", is_local ? 'L' : 'R', (unsigned)t->index, index);
}

static void report_pair(report *r, const pc_transport *t, size_t index, const duet_ice_pair_stats *p)
{
    char id[ID_MAX], transport[ID_MAX], local[ID_MAX], remote[ID_MAX];

    snprintf(id, sizeof(id), "P%u-%zu", (unsigned)t->index, index);
    snprintf(transport, sizeof(transport), "T%u", (unsigned)t->index);
    candidate_id(local, sizeof(local), t, true, p->local);
    candidate_id(remote, sizeof(remote), t, false, p->remote);
    add_text(r, "transportId", transport);
    add_text(r, "localCandidateId", local);
    add_text(r, "remoteCandidateId", remote);
    add_text(r, "state", duet_ice_pair_state_name(p->state));
    add_bool(r, "nominated", p->nominated);
    add_bool(r, "duetSelected", p->selected);
    add_number(r, "duetPriority", p->priority);
    add_number(r, "requestsSent", p->requests_sent);
    add_number(r, "requestsReceived", p->requests_received);
    add_number(r, "responsesSent", p->responses_sent);
    add_number(r, "responsesReceived", p->responses_received);
    add_number(r, "consentRequestsSent", p->consent_requests_sent);
    add_seconds(r, "currentRoundTripTime", p->current_round_trip_time);
    add_seconds(r, "totalRoundTripTime", p->total_round_trip_time);
    emit(r, DUET_STATS_CANDIDATE_PAIR, id);
}

static void report_ice(report *r, const pc_transport *t)
{
    const duet_candidate *c;
    duet_ice_pair_stats pair;
    char id[ID_MAX];

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

static const char *srtp_cipher(const pc_transport *t)
{
    switch (duet_dtls_srtp_profile(t->dtls)) {
    case DUET_SRTP_AES128_CM_SHA1_80:
        return "AES_CM_128_HMAC_SHA1_80";
    case DUET_SRTP_AES128_CM_SHA1_32:
        return "AES_CM_128_HMAC_SHA1_32";
    case DUET_SRTP_AEAD_AES_128_GCM:
        return "AEAD_AES_128_GCM";
    case DUET_SRTP_AEAD_AES_256_GCM:
        return "AEAD_AES_256_GCM";
    case DUET_SRTP_NONE:
        break;
    }
    return NULL;
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

static void report_certificate(report *r, const char *id, const duet_fingerprint *fingerprint)
{
    char text[DUET_FINGERPRINT_TEXT_MAX];

    if (duet_fingerprint_format(fingerprint, text, sizeof(text)) != DUET_OK)
        return;
    char *space = strchr(text, ' ');
    if (!space)
        return;
    *space = 0;
    add_text(r, "fingerprintAlgorithm", text);
    add_text(r, "fingerprint", space + 1);
    emit(r, DUET_STATS_CERTIFICATE, id);
}

static void report_transport(report *r, const pc_transport *t)
{
    duet_dtls_stats dtls;
    duet_ice_stats ice;
    char id[ID_MAX], pair[ID_MAX], remote[ID_MAX];
    duet_dtls_role role = duet_dtls_get_role(t->dtls);
    duet_fingerprint fingerprint;
    bool has_remote = remote_fingerprint(t, &fingerprint);

    duet_dtls_get_stats(t->dtls, &dtls);
    duet_ice_agent_get_stats(t->ice, &ice);
    selected_pair_id(t, pair, sizeof(pair));
    snprintf(id, sizeof(id), "T%u", (unsigned)t->index);
    add_number(r, "bytesSent", dtls.bytes_out);
    add_number(r, "bytesReceived", dtls.bytes_in);
    add_number(r, "packetsSent", dtls.datagrams_out);
    add_number(r, "packetsReceived", dtls.datagrams_in);
    add_text(r, "iceState", duet_ice_state_name(t->ice_state));
    add_text(r, "iceRole", duet_ice_agent_role(t->ice) == DUET_ICE_CONTROLLING ? "controlling" : "controlled");
    add_text(r, "iceLocalUsernameFragment", duet_ice_agent_local_credentials(t->ice)->ufrag);
    add_text(r, "dtlsState", duet_dtls_state_name(t->dtls_state));
    add_text(r, "dtlsRole", role == DUET_DTLS_CLIENT ? "client" : role == DUET_DTLS_SERVER ? "server" : "unknown");
    if (tls_version(t)) {
        add_text(r, "tlsVersion", tls_version(t));
        add_text(r, "dtlsCipher", duet_dtls_cipher(t->dtls));
    }
    if (srtp_cipher(t))
        add_text(r, "srtpCipher", srtp_cipher(t));
    if (pair[0])
        add_text(r, "selectedCandidatePairId", pair);
    add_number(r, "selectedCandidatePairChanges", ice.selected_changes);
    add_text(r, "localCertificateId", "C-local");
    snprintf(remote, sizeof(remote), "C-remote%u", (unsigned)t->index);
    if (has_remote)
        add_text(r, "remoteCertificateId", remote);
    add_number(r, "duetIceDiscarded", ice.discarded);
    add_number(r, "duetIceRestarts", ice.restarts);
    add_number(r, "duetDtlsDiscarded", dtls.records_discarded);
    add_number(r, "duetDtlsRetransmissions", dtls.retransmissions);
    emit(r, DUET_STATS_TRANSPORT, id);
    if (has_remote)
        report_certificate(r, remote, &fingerprint);
}

static void report_sctp(report *r, const duet_pc *pc)
{
    duet_sctp_stats s;
    char transport[ID_MAX] = "";

    duet_sctp_get_stats(pc->sctp, &s);
    if (pc->sctp_transport)
        snprintf(transport, sizeof(transport), "T%u", (unsigned)pc->sctp_transport->index);
    if (transport[0])
        add_text(r, "transportId", transport);
    add_seconds(r, "smoothedRoundTripTime", s.smoothed_round_trip_time);
    add_number(r, "congestionWindow", s.congestion_window);
    add_number(r, "receiverWindow", s.receiver_window);
    add_number(r, "mtu", s.mtu);
    add_number(r, "unackData", s.unacknowledged);
    add_number(r, "bytesSent", s.bytes_out);
    add_number(r, "bytesReceived", s.bytes_in);
    add_number(r, "duetPacketsSent", s.packets_out);
    add_number(r, "duetPacketsReceived", s.packets_in);
    add_number(r, "duetDiscarded", s.discarded);
    add_number(r, "duetMaxMessageSize", s.max_message_size);
    emit(r, DUET_STATS_SCTP_TRANSPORT, "S");
}

static void report_channel(void *user, duet_dc *dc)
{
    report *r = user;
    duet_dc_stats s;
    char id[ID_MAX];

    duet_dc_get_stats(dc, &s);
    snprintf(id, sizeof(id), "D%u", r->channels++); /* its stream may not be chosen yet */
    add_text(r, "label", duet_dc_label(dc));
    add_text(r, "protocol", duet_dc_protocol(dc));
    if (duet_dc_id(dc) != DUET_DC_AUTO_ID)
        add_number(r, "dataChannelIdentifier", duet_dc_id(dc));
    add_text(r, "state", duet_dc_state_name(duet_dc_get_state(dc)));
    add_number(r, "messagesSent", s.messages_sent);
    add_number(r, "bytesSent", s.bytes_sent);
    add_number(r, "messagesReceived", s.messages_received);
    add_number(r, "bytesReceived", s.bytes_received);
    add_number(r, "duetBufferedAmount", duet_dc_buffered_amount(dc));
    emit(r, DUET_STATS_DATA_CHANNEL, id);
}

static void report_connection(report *r, const duet_pc *pc)
{
    duet_sctp_stats s = {0};

    if (pc->sctp)
        duet_sctp_get_stats(pc->sctp, &s);
    add_number(r, "dataChannelsOpened", s.channels_opened);
    add_number(r, "dataChannelsClosed", s.channels_closed);
    add_number(r, "duetUnvalidated", pc->counters.unvalidated);
    add_number(r, "duetUnknown", pc->counters.unknown);
    add_number(r, "duetEarlyHeld", pc->counters.early_held);
    add_number(r, "duetEarlyDropped", pc->counters.early_dropped);
    add_number(r, "duetMediaDropped", pc->counters.media_dropped);
    emit(r, DUET_STATS_PEER_CONNECTION, "PC");
}

void duet_pc_get_stats(const duet_pc *pc, duet_stats_fn visit, void *user)
{
    report r = {.visit = visit, .user = user};

    report_connection(&r, pc);
    report_certificate(&r, "C-local", &pc->fingerprint);
    for (size_t i = 0; i < pc->transport_count; i++) {
        const pc_transport *t = pc->transports[i];
        if (t->retired)
            continue;
        report_transport(&r, t);
        report_ice(&r, t);
    }
    if (!pc->sctp)
        return;
    report_sctp(&r, pc);
    duet_sctp_each_channel(pc->sctp, report_channel, &r);
}
