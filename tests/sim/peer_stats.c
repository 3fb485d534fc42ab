/* duet_pc_get_stats: the names of W3C webrtc-stats, and the right values after a call whose traffic is known. */
#include "peer_world.h"

typedef struct object {
    duet_stats_kind kind;
    char id[64];
    size_t count;
    struct {
        char name[64], text[192];
        int type;
        uint64_t number;
        double real;
        bool boolean;
    } members[40];
} object;

typedef struct report {
    object objects[64];
    size_t count;
} report;

static void visit(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    report *r = user;
    object *o = &r->objects[r->count++];

    assert_true(r->count <= 64 && count <= 40);
    o->kind = kind;
    o->count = count;
    snprintf(o->id, sizeof(o->id), "%s", id);
    for (size_t i = 0; i < count; i++) {
        snprintf(o->members[i].name, sizeof(o->members[i].name), "%s", members[i].name);
        snprintf(o->members[i].text, sizeof(o->members[i].text), "%s", members[i].text ? members[i].text : "");
        o->members[i].type = (int)members[i].type;
        o->members[i].number = members[i].number;
        o->members[i].real = members[i].real;
        o->members[i].boolean = members[i].boolean;
    }
}

static report *report_of(const side *s)
{
    report *r = calloc(1, sizeof(*r));

    assert_non_null(r);
    duet_pc_get_stats(s->pc, visit, r);
    for (size_t i = 0; i < r->count; i++) { /* ids are unique, names stand once */
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(r->objects[i].id, r->objects[j].id);
        for (size_t j = 0; j < r->objects[i].count; j++) {
            for (size_t k = 0; k < j; k++)
                assert_string_not_equal(r->objects[i].members[j].name, r->objects[i].members[k].name);
        }
    }
    return r;
}

static const object *find(const report *r, duet_stats_kind kind, const char *id)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->objects[i].kind == kind && (!id || strcmp(r->objects[i].id, id) == 0))
            return &r->objects[i];
    }
    return NULL;
}

static size_t member(const object *o, const char *name, int type)
{
    assert_non_null(o);
    for (size_t i = 0; i < o->count; i++) {
        if (strcmp(o->members[i].name, name) == 0) {
            assert_int_equal(o->members[i].type, type);
            return i;
        }
    }
    fail_msg("%s has no %s", o->id, name);
    return 0;
}

static const char *text(const object *o, const char *name)
{
    return o->members[member(o, name, DUET_STAT_TEXT)].text;
}

static uint64_t number(const object *o, const char *name)
{
    return o->members[member(o, name, DUET_STAT_NUMBER)].number;
}

static double real(const object *o, const char *name)
{
    return o->members[member(o, name, DUET_STAT_REAL)].real;
}

static bool boolean(const object *o, const char *name)
{
    return o->members[member(o, name, DUET_STAT_BOOL)].boolean;
}

static bool has(const object *o, const char *name)
{
    for (size_t i = 0; i < o->count; i++) {
        if (strcmp(o->members[i].name, name) == 0)
            return true;
    }
    return false;
}

static void a_new_connection_has_little_to_tell(void **state)
{
    (void)state;
    duet_sim_link link = {0};
    world *w = world_new(1, &link);
    duet_dc *dc;

    world_create_peers(w);
    assert_int_equal(duet_pc_create_data_channel(w->alice.pc, "a", NULL, &dc), DUET_OK);
    assert_int_equal(duet_pc_create_data_channel(w->alice.pc, "b", NULL, &dc), DUET_OK);
    assert_int_equal(duet_pc_set_local_description(w->alice.pc, DUET_SDP_OFFER, NULL), DUET_OK);
    report *r = report_of(&w->alice);
    const object *t = find(r, DUET_STATS_TRANSPORT, NULL);
    assert_string_equal(text(t, "dtlsState"), "new");
    assert_string_equal(text(t, "dtlsRole"), "unknown");
    assert_false(has(t, "tlsVersion"));
    assert_false(has(t, "selectedCandidatePairId"));
    assert_false(has(t, "remoteCertificateId"));
    const object *channel = find(r, DUET_STATS_DATA_CHANNEL, NULL);
    assert_string_equal(text(channel, "state"), "connecting");
    assert_false(has(channel, "dataChannelIdentifier"));
    free(r);
    world_end(w);
}

static void check_transport(const report *r, const side *s, bool is_offerer)
{
    const object *t = find(r, DUET_STATS_TRANSPORT, NULL);
    char expected[256], *sdp, *at;

    assert_string_equal(text(t, "iceState"), "completed");
    assert_string_equal(text(t, "dtlsState"), "connected");
    assert_string_equal(text(t, "iceRole"), is_offerer ? "controlling" : "controlled");
    assert_string_equal(text(t, "dtlsRole"), is_offerer ? "server" : "client");
    assert_string_equal(text(t, "tlsVersion"), "FEFD");
    assert_string_equal(text(t, "dtlsCipher"), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    assert_string_equal(text(t, "srtpCipher"), "SRTP_AEAD_AES_128_GCM");
    assert_int_equal(number(t, "selectedCandidatePairChanges"), 1);
    assert_true(number(t, "bytesSent") > 1000 && number(t, "bytesReceived") > 1000);
    assert_true(number(t, "packetsSent") > 10 && number(t, "packetsReceived") > 10);

    /* The certificates are those of the descriptions. */
    const object *own = find(r, DUET_STATS_CERTIFICATE, text(t, "localCertificateId"));
    const object *other = find(r, DUET_STATS_CERTIFICATE, text(t, "remoteCertificateId"));
    assert_int_equal(duet_pc_remote_description(s->pc, NULL, &sdp), DUET_OK);
    at = strstr(sdp, "a=fingerprint:");
    snprintf(expected, sizeof(expected), "a=fingerprint:%s %s", text(other, "fingerprintAlgorithm"),
             text(other, "fingerprint"));
    assert_int_equal(strncmp(at, expected, strlen(expected)), 0);
    free(sdp);
    assert_string_equal(text(own, "fingerprintAlgorithm"), "sha-256");
}

static void check_pair(const report *r, const side *s, double rtt)
{
    const object *t = find(r, DUET_STATS_TRANSPORT, NULL);
    const object *pair = find(r, DUET_STATS_CANDIDATE_PAIR, text(t, "selectedCandidatePairId"));

    assert_string_equal(text(pair, "transportId"), t->id);
    assert_string_equal(text(pair, "state"), "succeeded");
    assert_true(boolean(pair, "nominated"));
    assert_true(number(pair, "requestsSent") >= 1 && number(pair, "responsesReceived") >= 1);
    assert_true(number(pair, "requestsReceived") >= 1 && number(pair, "responsesSent") >= 1);
    assert_true(number(pair, "consentRequestsSent") >= 1);
    assert_true(real(pair, "currentRoundTripTime") > rtt * 0.95 && real(pair, "currentRoundTripTime") < rtt * 1.1);
    assert_true(real(pair, "totalRoundTripTime") >= rtt * 0.95 * (double)number(pair, "responsesReceived"));
    const object *local = find(r, DUET_STATS_LOCAL_CANDIDATE, text(pair, "localCandidateId"));
    const object *remote = find(r, DUET_STATS_REMOTE_CANDIDATE, text(pair, "remoteCandidateId"));
    bool is_alice = s == &s->world->alice;
    assert_string_equal(text(local, "address"), is_alice ? "10.0.0.1" : "10.0.0.2");
    assert_string_equal(text(remote, "address"), is_alice ? "10.0.0.2" : "10.0.0.1");
    assert_string_equal(text(local, "candidateType"), "host");
    assert_string_equal(text(local, "protocol"), "udp");
    assert_true(number(local, "port") >= 49152);
    assert_true(number(local, "priority") > 0);
}

static void after_a_call_the_numbers_are_right(void **state)
{
    (void)state;
    duet_sim_link link = {.delay = DUET_MS(25)}; /* a round-trip time of 100 ms */
    world *w = world_new(2, &link);
    uint64_t bytes = 0;

    world_connect(w, DUET_SECONDS(10));
    for (int i = 0; i < 20; i++) {
        bytes += message_len(w->next_number);
        assert_int_equal(world_send(w), DUET_OK);
        world_run(w, DUET_MS(200));
    }
    world_run(w, DUET_SECONDS(10));
    report *alice = report_of(&w->alice), *bob = report_of(&w->bob);
    check_transport(alice, &w->alice, true);
    check_transport(bob, &w->bob, false);
    check_pair(alice, &w->alice, 0.1);
    check_pair(bob, &w->bob, 0.1);
    const object *sent = find(alice, DUET_STATS_DATA_CHANNEL, NULL), *got = find(bob, DUET_STATS_DATA_CHANNEL, NULL);
    assert_string_equal(text(sent, "label"), "test");
    assert_string_equal(text(sent, "protocol"), "");
    assert_string_equal(text(sent, "state"), "open");
    assert_int_equal(number(sent, "dataChannelIdentifier"), number(got, "dataChannelIdentifier"));
    assert_int_equal(number(sent, "messagesSent"), 20);
    assert_int_equal(number(sent, "bytesSent"), bytes);
    assert_int_equal(number(sent, "messagesReceived"), 0);
    assert_int_equal(number(got, "messagesReceived"), 20);
    assert_int_equal(number(got, "bytesReceived"), bytes);
    const object *sctp = find(alice, DUET_STATS_SCTP_TRANSPORT, NULL);
    assert_string_equal(text(sctp, "transportId"), find(alice, DUET_STATS_TRANSPORT, NULL)->id);
    print_message("SCTP's round-trip time: %.3f s\n", real(sctp, "smoothedRoundTripTime"));
    assert_true(real(sctp, "smoothedRoundTripTime") > 0.09 && real(sctp, "smoothedRoundTripTime") < 0.15);
    assert_true(number(sctp, "congestionWindow") > 1000 && number(sctp, "receiverWindow") > 1000);
    assert_int_equal(number(sctp, "unackData"), 0);
    const object *pc = find(alice, DUET_STATS_PEER_CONNECTION, NULL);
    assert_int_equal(number(pc, "dataChannelsOpened"), 1);
    assert_int_equal(number(pc, "dataChannelsClosed"), 0);
    for (int kind = DUET_STATS_PEER_CONNECTION; kind <= DUET_STATS_DATA_CHANNEL; kind++)
        assert_non_null(find(alice, (duet_stats_kind)kind, NULL));
    assert_string_equal(duet_stats_kind_name(DUET_STATS_CANDIDATE_PAIR), "candidate-pair");
    free(alice);
    free(bob);
    duet_dc_close(w->alice.dc);
    world_run(w, DUET_SECONDS(2));
    alice = report_of(&w->alice);
    assert_int_equal(number(find(alice, DUET_STATS_PEER_CONNECTION, NULL), "dataChannelsClosed"), 1);
    free(alice);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_connection_has_little_to_tell),
        cmocka_unit_test(after_a_call_the_numbers_are_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
