/* One DTLS association: its states, the check of fingerprints, the retransmission timer, and what goes in and out.
 * RFC 6347 section 4.2 and RFC 9147 section 5 (handshake), RFC 8122 section 5 (fingerprints), RFC 8842, RFC 8827. */
#include "base/bytes.h"
#include "base/events.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/outbox.h"
#include "dtls/engine.h"
#include "dtls/internal.h"
#include "dtls/record_filter.h"
#include <stdio.h>
#include <string.h>

#define MTU_DEFAULT 1200
#define MTU_MIN     256
/* Header, explicit nonce and tag of AES-GCM, RFC 5288: 13 + 8 + 16; rounded up. */
#define RECORD_OVERHEAD    48
#define RECORD_MAX_DEFAULT (1200 + RECORD_OVERHEAD)
#define OUTBOX_DEFAULT     2048
/* First retransmission: "a value ... of 50 ms" suits what ICE has measured; RFC 9147 section 5.8.2. */
#define RTO_MIN         DUET_MS(50)
#define RTO_MAX_INITIAL DUET_SECONDS(3)
/* "… up to no less than ... 60 seconds", RFC 9147 section 5.8.2. */
#define RTO_MAX          DUET_SECONDS(60)
#define FINGERPRINTS_MAX 32
#define PROFILES_MAX     8
/* Application data that arrives before the fingerprints are known is kept up to this; the rest counts as lost. */
#define HELD_MAX 65536
/* Protected records that OpenSSL may keep while it has no keys; each costs it a read buffer. */
#define EARLY_RECORDS_MAX 64
/* After this long without output the buffers go back to the allocator. */
#define TRIM_AFTER DUET_SECONDS(1)
/* new, connecting, connected, and one end: a state is entered once. */
#define TRANSITIONS_MAX 4

struct duet_dtls {
    duet_env env;
    duet_dtls_config config;
    duet_srtp_profile profiles[PROFILES_MAX];
    duet_events events;
    duet_outbox outbox;
    duet_dtls_engine *engine;
    duet_dtls_state state;
    duet_dtls_role role;

    duet_fingerprint *fingerprints;
    size_t fingerprint_count;
    bool handshake_done; /* of the engine; CONNECTED comes when the fingerprint fits, too */
    bool mismatch;       /* the certificate was refused while OpenSSL asked about it */
    uint8_t *remote_der;
    size_t remote_der_len;
    duet_buffer held; /* early application data: 4 bytes of length, then as many of data */
    unsigned early_records;

    duet_time rto_initial, rto;
    duet_time deadline;
    duet_time trim_at;
    duet_time now; /* of the call under way */
    bool woken;
    duet_dtls_state unreported[TRANSITIONS_MAX]; /* events that found no memory: the next tick tries again */
    size_t unreported_count;
    duet_dtls_stats stats;
};

/* ---- states ---------------------------------------------------------------------------------------------------- */

const char *duet_dtls_state_name(duet_dtls_state state)
{
    static const char *const names[] = {"new", "connecting", "connected", "closed", "failed"};

    return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

static void deliver_state(void *object, void *payload)
{
    duet_dtls *d = object;
    duet_dtls_state state;

    memcpy(&state, payload, sizeof(state));
    if (d->config.on_state)
        d->config.on_state(d->config.user, state);
}

static void report_states(duet_dtls *d)
{
    size_t done = 0;

    while (done < d->unreported_count) {
        if (duet_events_push(&d->events, deliver_state, NULL, &d->unreported[done], sizeof(duet_dtls_state)) != DUET_OK)
            break;
        done++;
    }
    d->unreported_count -= done;
    memmove(d->unreported, d->unreported + done, d->unreported_count * sizeof(d->unreported[0]));
}

static void set_state(duet_dtls *d, duet_dtls_state next, const char *cause)
{
    if (d->state == next)
        return;
    duet_trace_state(&d->env, d->now, "dtls", "transport", duet_dtls_state_name(d->state), duet_dtls_state_name(next),
                     cause);
    duet_log(&d->env, next == DUET_DTLS_FAILED ? DUET_LOG_WARN : DUET_LOG_INFO, "dtls", "%s: %s",
             duet_dtls_state_name(next), cause);
    d->state = next;
    if (d->unreported_count < TRANSITIONS_MAX)
        d->unreported[d->unreported_count++] = next;
    report_states(d);
}

/* An end: no more retransmissions; what is held is of no use. */
static void end(duet_dtls *d, duet_dtls_state state, const char *cause)
{
    d->deadline = DUET_NEVER;
    duet_buffer_free(&d->held);
    set_state(d, state, cause);
}

static void enter(duet_dtls *d, duet_time now)
{
    d->now = now;
    duet_outbox_reclaim(&d->outbox);
    duet_events_enter(&d->events);
}

/* Something waits in the output and nobody who could pull it is on the stack. */
static void wake(duet_dtls *d, unsigned depth)
{
    if (d->events.depth > depth || d->woken || !d->config.on_wake || duet_outbox_is_empty(&d->outbox))
        return;
    d->woken = true;
    d->config.on_wake(d->config.user);
}

static void leave_and_wake(duet_dtls *d)
{
    wake(d, 1);
    duet_events_leave(&d->events);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

void duet_dtls_config_init(duet_dtls_config *config)
{
    *config = (duet_dtls_config){.size = sizeof(*config)};
}

static void finish(void *object)
{
    duet_dtls *d = object;
    duet_env env = d->env;

    duet_dtls_engine_destroy(d->engine);
    duet_events_free(&d->events);
    duet_outbox_free(&d->outbox);
    duet_buffer_free(&d->held);
    duet_free(&env, d->fingerprints);
    duet_free(&env, d->remote_der);
    duet_certificate_destroy(d->config.certificate);
    duet_free(&env, d);
}

static void copy_config(duet_dtls *d, const duet_dtls_config *config)
{
    memcpy(&d->config, config, config->size < sizeof(d->config) ? config->size : sizeof(d->config));
    d->config.env = NULL;
    d->config.certificate = duet_certificate_ref(config->certificate);
    d->config.mtu = config->mtu ? config->mtu : MTU_DEFAULT;
    d->config.record_max = config->record_max ? config->record_max : RECORD_MAX_DEFAULT;
    d->config.outbox_limit = config->outbox_limit ? config->outbox_limit : OUTBOX_DEFAULT;
    if (config->srtp_profile_count)
        memcpy(d->profiles, config->srtp_profiles, config->srtp_profile_count * sizeof(d->profiles[0]));
    d->config.srtp_profiles = d->profiles;
}

int duet_dtls_create(duet_dtls **out, const duet_dtls_config *config)
{
    if (!config || config->size == 0 || !config->certificate)
        return DUET_ERR_INVALID;
    if (config->srtp_profile_count > PROFILES_MAX || (config->mtu && config->mtu < MTU_MIN) || config->mtu > 65535)
        return DUET_ERR_INVALID;
    if (config->record_max > DUET_DTLS_PLAINTEXT_MAX || (config->record_max && config->record_max <= RECORD_OVERHEAD))
        return DUET_ERR_INVALID;
    duet_env env = duet_env_resolve(config->env);
    duet_dtls *d = duet_calloc(&env, sizeof(*d));
    if (!d)
        return DUET_ERR_NOMEM;
    d->env = env;
    copy_config(d, config);
    size_t datagram_max = d->config.mtu > d->config.record_max ? d->config.mtu : d->config.record_max;
    duet_events_init(&d->events, &d->env, d, finish);
    duet_outbox_init(&d->outbox, &d->env, datagram_max, d->config.outbox_limit);
    duet_buffer_init(&d->held, &d->env);
    d->deadline = d->trim_at = DUET_NEVER;
    *out = d;
    return DUET_OK;
}

void duet_dtls_destroy(duet_dtls *d)
{
    if (d)
        duet_events_destroy(&d->events);
}

/* ---- fingerprints ---------------------------------------------------------------------------------------------- */

/* "select the set of fingerprints associated with its most preferred hash function ... and verify that each certificate
 * used matches one fingerprint out of that set", RFC 8122 section 5. The strongest is the most preferred. */
static int match_fingerprints(const duet_dtls *d, const uint8_t *der, size_t len)
{
    duet_fingerprint own = {0};
    duet_hash strongest = DUET_HASH_NONE;

    for (size_t i = 0; i < d->fingerprint_count; i++) {
        duet_hash hash = d->fingerprints[i].hash;
        if (hash > DUET_HASH_SHA1 && hash > strongest)
            strongest = hash;
    }
    if (duet_dtls_fingerprint(der, len, strongest, &own) != DUET_OK)
        return DUET_ERR_AUTH;
    for (size_t i = 0; i < d->fingerprint_count; i++)
        if (duet_fingerprint_equal(&own, &d->fingerprints[i]))
            return DUET_OK;

    char text[DUET_FINGERPRINT_TEXT_MAX];
    duet_fingerprint_format(&own, text, sizeof(text));
    duet_log(&d->env, DUET_LOG_ERROR, "dtls",
             "the peer's certificate has fingerprint %s, its description says otherwise", text);
    return DUET_ERR_AUTH;
}

/* A client can refuse while the handshake runs, with an alert. A server waits for the end: before CertificateVerify a
 * forged Certificate would do as well as a real one, and must not end the association. */
static bool on_verify(void *user, const uint8_t *der, size_t len)
{
    duet_dtls *d = user;

    if (d->role == DUET_DTLS_SERVER || d->fingerprint_count == 0)
        return true;
    d->mismatch = match_fingerprints(d, der, len) != DUET_OK;
    return !d->mismatch;
}

static void release_held(duet_dtls *d)
{
    duet_reader r = duet_reader_init(d->held.data, d->held.len);

    while (duet_reader_left(&r) > 0 && !d->events.destroyed) {
        size_t len = duet_read_u32(&r);
        size_t at = r.pos;
        duet_read_skip(&r, len);
        if (d->config.on_data)
            d->config.on_data(d->config.user, d->held.data + at, len, d->now);
    }
    duet_buffer_free(&d->held);
}

/* The one gate between a finished handshake and CONNECTED. */
static void check_peer(duet_dtls *d)
{
    if (d->state != DUET_DTLS_CONNECTING || !d->handshake_done || d->fingerprint_count == 0)
        return;
    if (match_fingerprints(d, d->remote_der, d->remote_der_len) != DUET_OK) {
        duet_dtls_engine_shutdown(d->engine);
        end(d, DUET_DTLS_FAILED, "fingerprint mismatch");
        return;
    }
    set_state(d, DUET_DTLS_CONNECTED, "fingerprint verified");
    release_held(d);
}

static int recheck_connected(duet_dtls *d, duet_fingerprint *next, size_t count)
{
    duet_fingerprint *before = d->fingerprints;
    size_t count_before = d->fingerprint_count;

    d->fingerprints = next;
    d->fingerprint_count = count;
    if (match_fingerprints(d, d->remote_der, d->remote_der_len) == DUET_OK) {
        duet_free(&d->env, before);
        return DUET_OK;
    }
    d->fingerprints = before;
    d->fingerprint_count = count_before;
    duet_free(&d->env, next);
    return DUET_ERR_AUTH;
}

int duet_dtls_set_remote_fingerprints(duet_dtls *d, const duet_fingerprint *fingerprints, size_t count, duet_time now)
{
    if (count == 0 || count > FINGERPRINTS_MAX)
        return count ? DUET_ERR_LIMIT : DUET_ERR_INVALID;
    if (d->state == DUET_DTLS_CLOSED || d->state == DUET_DTLS_FAILED)
        return DUET_ERR_CLOSED;
    duet_fingerprint *copy = duet_memdup(&d->env, fingerprints, count * sizeof(*copy));
    if (!copy)
        return DUET_ERR_NOMEM;
    if (d->state == DUET_DTLS_CONNECTED)
        return recheck_connected(d, copy, count);
    enter(d, now);
    duet_free(&d->env, d->fingerprints);
    d->fingerprints = copy;
    d->fingerprint_count = count;
    check_peer(d);
    leave_and_wake(d);
    return DUET_OK;
}

/* ---- the engine ------------------------------------------------------------------------------------------------ */

static bool is_plain_alert(const uint8_t *datagram, size_t len)
{
    duet_reader r = duet_reader_init(datagram, len);
    duet_dtls_record record;

    return duet_dtls_next_record(&r, &record) && duet_dtls_plain_alert(&record) != NULL;
}

static void on_transmit(void *user, const uint8_t *datagram, size_t len)
{
    duet_dtls *d = user;

    /* A server begins again after a failure, so an alert about it would only end the handshake of an honest client whose
     * forged records caused it. */
    if (d->role == DUET_DTLS_SERVER && !d->handshake_done && is_plain_alert(datagram, len))
        return;
    if (len > d->outbox.payload_max) {
        d->outbox.dropped++;
        return;
    }
    uint8_t *at = duet_outbox_reserve(&d->outbox);
    if (!at)
        return;
    memcpy(at, datagram, len);
    duet_outbox_commit(&d->outbox, len, NULL);
    d->stats.datagrams_out++;
    d->stats.bytes_out += len;
    d->trim_at = d->now + TRIM_AFTER;
}

static void on_keylog(void *user, const char *line)
{
    duet_dtls *d = user;

    duet_trace_key(&d->env, d->now, "dtls", line);
}

static int make_engine(duet_dtls *d)
{
    duet_dtls_engine_config config = {
        .certificate = d->config.certificate,
        .role = d->role,
        .srtp_profiles = d->config.srtp_profiles,
        .srtp_profile_count = d->config.srtp_profile_count,
        .mtu = d->config.mtu,
        .record_max = d->config.record_max,
        .timeout = d->rto_initial,
        .transmit = on_transmit,
        .verify = on_verify,
        .keylog = d->env.trace ? on_keylog : NULL,
        .user = d,
    };

    d->rto = d->rto_initial;
    d->deadline = DUET_NEVER;
    d->early_records = 0;
    return duet_dtls_engine_create(&d->engine, &d->env, &config);
}

static void apply_timer(duet_dtls *d)
{
    duet_dtls_engine_timer timer = duet_dtls_engine_take_timer(d->engine);

    if (timer.stopped)
        d->rto = d->rto_initial;
    if (!timer.armed)
        d->deadline = DUET_NEVER;
    else if (timer.started)
        d->deadline = d->now + d->rto;
}

/* The engine is spoilt. A client has an answer to its own ClientHello, so it has failed. A server cannot know whether
 * its peer or a forger spoilt it: it begins again, until ICE gives up. */
static void handle_failure(duet_dtls *d)
{
    char cause[128];

    snprintf(cause, sizeof(cause), "%s", d->mismatch ? "fingerprint mismatch" : duet_dtls_engine_reason(d->engine));
    if (d->mismatch || d->role == DUET_DTLS_CLIENT || d->handshake_done) {
        end(d, DUET_DTLS_FAILED, cause);
        return;
    }
    duet_log(&d->env, DUET_LOG_WARN, "dtls", "handshake failed, starting again: %s", cause);
    duet_trace_discard(&d->env, d->now, "dtls", "handshake", 0, cause);
    d->stats.handshake_restarts++;
    duet_dtls_engine_destroy(d->engine);
    d->engine = NULL;
    d->deadline = DUET_NEVER;
}

static void take_remote_certificate(duet_dtls *d)
{
    if (d->handshake_done || !duet_dtls_engine_is_complete(d->engine))
        return;
    if (duet_dtls_engine_peer_certificate(d->engine, &d->env, &d->remote_der, &d->remote_der_len) != DUET_OK)
        return; /* no memory: the next record or tick tries again */
    d->handshake_done = true;
    duet_log(&d->env, DUET_LOG_INFO, "dtls", "handshake complete: %s %s", duet_dtls_engine_version(d->engine),
             duet_dtls_engine_cipher(d->engine));
}

static void hold(duet_dtls *d, const uint8_t *data, size_t len)
{
    uint8_t header[4];
    duet_writer w = duet_writer_init(header, sizeof(header));

    if (d->held.len + len + sizeof(header) > HELD_MAX)
        return;
    duet_write_u32(&w, (uint32_t)len);
    size_t before = d->held.len;
    duet_buffer_append(&d->held, header, sizeof(header));
    duet_buffer_append(&d->held, data, len);
    if (d->held.failed) { /* half an entry is no entry */
        d->held.len = before;
        d->held.failed = false;
    }
}

static void take_data(duet_dtls *d, uint8_t *data, size_t len)
{
    if (d->state != DUET_DTLS_CONNECTED)
        hold(d, data, len);
    else if (d->config.on_data)
        d->config.on_data(d->config.user, data, len, d->now);
}

static void after_step(duet_dtls *d, duet_dtls_step step)
{
    if (step == DUET_DTLS_STEP_FAILED) {
        handle_failure(d);
        return;
    }
    apply_timer(d);
    if (step == DUET_DTLS_STEP_CLOSED) {
        duet_dtls_engine_shutdown(d->engine);
        end(d, DUET_DTLS_CLOSED, "close_notify received");
        return;
    }
    take_remote_certificate(d);
    check_peer(d);
}

static void feed(duet_dtls *d, const duet_dtls_record *record)
{
    uint8_t plain[DUET_DTLS_PLAINTEXT_MAX];
    size_t len = 0;
    uint64_t sent_before = d->stats.datagrams_out;
    bool was_done = d->handshake_done;

    duet_dtls_step step = duet_dtls_engine_input(d->engine, record->data, record->len, plain, sizeof(plain), &len);
    /* A lost last flight looks like silence to the peer, which repeats its own: the engine has answered it. */
    if (was_done && record->type == DUET_DTLS_HANDSHAKE && d->stats.datagrams_out > sent_before)
        d->stats.retransmissions++;
    after_step(d, step);
    if (len > 0)
        take_data(d, plain, len);
}

/* ---- input ----------------------------------------------------------------------------------------------------- */

static void discard(duet_dtls *d, size_t len, const char *cause)
{
    d->stats.records_discarded++;
    duet_trace_discard(&d->env, d->now, "dtls", "record", len, cause);
}

static const char *refuse(duet_dtls *d, const duet_dtls_record *record)
{
    size_t overhead = d->engine ? duet_dtls_engine_overhead(d->engine) : 0;
    const char *cause =
        duet_dtls_refuse_record(record, d->role, d->handshake_done, duet_dtls_engine_has_1_3(), overhead);
    const char *alert = duet_dtls_plain_alert(record);

    if (alert && !d->handshake_done)
        duet_log(&d->env, DUET_LOG_WARN, "dtls", "ignoring an alert without protection: %s", alert);
    if (!cause && record->epoch > 0 && !d->handshake_done && ++d->early_records > EARLY_RECORDS_MAX)
        cause = "too many records before the keys";
    return cause;
}

static void input_records(duet_dtls *d, const duet_datagram *in)
{
    duet_reader r = duet_reader_init(in->data, in->len);
    duet_dtls_record record;

    while (duet_dtls_next_record(&r, &record)) {
        if (d->events.destroyed || (d->state != DUET_DTLS_CONNECTING && d->state != DUET_DTLS_CONNECTED)) {
            discard(d, record.len, "the association has ended");
            return;
        }
        const char *cause = refuse(d, &record);
        if (!cause && !d->engine && make_engine(d) != DUET_OK)
            cause = "no memory for a handshake";
        if (cause)
            discard(d, record.len, cause);
        else
            feed(d, &record);
    }
    if (r.failed)
        discard(d, in->len, "ill-formed record header");
}

int duet_dtls_input(duet_dtls *d, duet_datagram *in, duet_time now)
{
    if (!duet_dtls_is_mine(in->data, in->len))
        return DUET_ERR_NOT_MINE;
    if (d->state == DUET_DTLS_NEW)
        return DUET_ERR_STATE;
    enter(d, now);
    d->stats.datagrams_in++;
    d->stats.bytes_in += in->len;
    input_records(d, in);
    duet_events_leave(&d->events);
    return DUET_OK;
}

/* ---- start, time, output --------------------------------------------------------------------------------------- */

static duet_time first_timeout(duet_time rtt)
{
    duet_time rto = rtt > RTO_MAX_INITIAL ? RTO_MAX_INITIAL : 2 * rtt;

    if (rto < RTO_MIN)
        return RTO_MIN;
    return rto > RTO_MAX_INITIAL ? RTO_MAX_INITIAL : rto;
}

int duet_dtls_start(duet_dtls *d, duet_dtls_role role, duet_time rtt, duet_time now)
{
    if (role != DUET_DTLS_CLIENT && role != DUET_DTLS_SERVER)
        return DUET_ERR_INVALID;
    if (d->state != DUET_DTLS_NEW)
        return DUET_ERR_STATE;
    d->role = role;
    d->rto_initial = first_timeout(rtt);
    int err = make_engine(d);
    if (err) {
        d->role = (duet_dtls_role)0;
        return err;
    }
    enter(d, now);
    set_state(d, DUET_DTLS_CONNECTING, role == DUET_DTLS_CLIENT ? "started as client" : "started as server");
    if (role == DUET_DTLS_CLIENT)
        after_step(d, duet_dtls_engine_start(d->engine));
    leave_and_wake(d);
    return DUET_OK;
}

static void expire(duet_dtls *d)
{
    if (d->now < d->deadline || d->state != DUET_DTLS_CONNECTING)
        return;
    d->rto = d->rto * 2 < RTO_MAX ? d->rto * 2 : RTO_MAX;
    d->deadline = DUET_NEVER;
    d->stats.retransmissions++;
    after_step(d, duet_dtls_engine_retransmit(d->engine));
}

void duet_dtls_tick(duet_dtls *d, duet_time now)
{
    enter(d, now);
    d->woken = false;
    report_states(d);
    if (d->engine) {
        expire(d);
        if (d->engine && d->state == DUET_DTLS_CONNECTING)
            after_step(d, DUET_DTLS_STEP_OK); /* what found no memory before */
    }
    if (now >= d->trim_at) {
        duet_outbox_trim(&d->outbox);
        d->trim_at = DUET_NEVER;
    }
    duet_events_leave(&d->events);
}

duet_time duet_dtls_deadline(const duet_dtls *d)
{
    if (d->unreported_count > 0 || (d->engine && !d->handshake_done && duet_dtls_engine_is_complete(d->engine)))
        return d->now + DUET_MS(10); /* memory was short: try again soon */
    return d->deadline < d->trim_at ? d->deadline : d->trim_at;
}

int duet_dtls_output(duet_dtls *d, duet_datagram *out, duet_time now)
{
    (void)now;
    int found = duet_outbox_pull(&d->outbox, out);
    if (!found)
        d->woken = false;
    return found;
}

int duet_dtls_send(duet_dtls *d, const uint8_t *data, size_t len, duet_time now)
{
    if (d->state != DUET_DTLS_CONNECTED)
        return DUET_ERR_STATE;
    if (len == 0)
        return DUET_ERR_INVALID;
    if (len > d->config.record_max - RECORD_OVERHEAD)
        return DUET_ERR_TOO_LARGE;
    if (duet_dtls_room(d) == 0)
        return DUET_ERR_AGAIN;
    d->now = now;
    uint64_t dropped = d->outbox.dropped;
    int err = duet_dtls_engine_write(d->engine, data, len);
    if (!err && d->outbox.dropped != dropped)
        err = DUET_ERR_NOMEM;
    wake(d, 0);
    return err;
}

size_t duet_dtls_room(const duet_dtls *d)
{
    return d->outbox.waiting < d->outbox.limit ? d->outbox.limit - d->outbox.waiting : 0;
}

void duet_dtls_close(duet_dtls *d, duet_time now)
{
    if (d->state == DUET_DTLS_CLOSED || d->state == DUET_DTLS_FAILED)
        return;
    enter(d, now);
    if (d->engine)
        duet_dtls_engine_shutdown(d->engine);
    end(d, DUET_DTLS_CLOSED, "closed");
    leave_and_wake(d);
}

/* ---- what users may ask ---------------------------------------------------------------------------------------- */

duet_dtls_state duet_dtls_get_state(const duet_dtls *d)
{
    return d->state;
}

duet_dtls_role duet_dtls_get_role(const duet_dtls *d)
{
    return d->role;
}

/* Whether the keys may be used: after the check of the fingerprint, and while there is an association. */
static bool is_verified(const duet_dtls *d)
{
    return d->state == DUET_DTLS_CONNECTED;
}

const char *duet_dtls_version(const duet_dtls *d)
{
    return is_verified(d) ? duet_dtls_engine_version(d->engine) : "";
}

const char *duet_dtls_cipher(const duet_dtls *d)
{
    return is_verified(d) ? duet_dtls_engine_cipher(d->engine) : "";
}

duet_srtp_profile duet_dtls_srtp_profile(const duet_dtls *d)
{
    return is_verified(d) ? duet_dtls_engine_srtp_profile(d->engine) : DUET_SRTP_NONE;
}

int duet_dtls_export(const duet_dtls *d, const char *label, uint8_t *out, size_t len)
{
    return is_verified(d) ? duet_dtls_engine_export(d->engine, label, out, len) : DUET_ERR_STATE;
}

const uint8_t *duet_dtls_remote_certificate(const duet_dtls *d, size_t *len)
{
    if (d->state == DUET_DTLS_NEW || d->state == DUET_DTLS_CONNECTING) {
        *len = 0;
        return NULL;
    }
    *len = d->remote_der_len;
    return d->remote_der;
}

void duet_dtls_get_stats(const duet_dtls *d, duet_dtls_stats *out)
{
    *out = d->stats;
    out->outbox_dropped = d->outbox.dropped;
}
