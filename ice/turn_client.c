/* A TURN client: its allocation from the first request to the last, and the transactions of everything that it asks.
 *
 * RFC 8656 sections 6 to 8; RFC 8489 sections 6.2, 9.2 and 10 (retransmission, long-term credentials, alternate servers). */
#include "ice/turn_client_internal.h"

#include "base/crypto.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* RFC 8489 section 6.2.1: seven transmissions, 500 ms doubled each time, 16 times the first after the last; and section
 * 6.2.2: Ti of reliable transports. */
#define RC  7
#define RM  16
#define RTO DUET_MS(500)
#define TI  DUET_MS(39500)

#define RELEASE_SENDS   3 /* nobody waits longer for the end */
#define STALE_MAX       3 /* a server whose nonces are stale at once is not to be trusted */
#define REQUEST_MAX     2560
#define OUTBOX_MAX      24
#define LIFETIME_MIN    DUET_SECONDS(20)
#define LIFETIME_MAX    DUET_SECONDS(3600)
#define REFRESH_BEFORE  DUET_SECONDS(60)
#define KEEPALIVE_UDP   DUET_SECONDS(15)  /* Tr, RFC 8445 section 11 */
#define KEEPALIVE_TCP   DUET_SECONDS(240) /* NATs forget idle connections after some minutes */
#define REQUESTED_UDP   17                /* REQUESTED-TRANSPORT: protocol number */
#define UNREACHABLE     701               /* of W3C RTCPeerConnectionIceErrorEvent */
#define LIFETIME_WANTED 600               /* seconds, the default of RFC 8656 section 7.2 */

static bool is_stream(const duet_turn_client *c)
{
    return c->path.protocol != DUET_UDP;
}

static void set_state(duet_turn_client *c, duet_turn_state state)
{
    c->info.state = state;
}

static void end_transactions(duet_turn_client *c)
{
    for (size_t i = 0; i < TURN_TRANSACTIONS_MAX; i++) {
        duet_timers_cancel(&c->timers, &c->transactions[i].timer);
        c->transactions[i].method = 0;
    }
    duet_timers_cancel(&c->timers, &c->refresh_timer);
    duet_timers_cancel(&c->timers, &c->renew_timer);
    duet_timers_cancel(&c->timers, &c->keepalive_timer);
}

static void fail(duet_turn_client *c, unsigned code, const char *text)
{
    if (c->info.state == DUET_TURN_RELEASING) {
        end_transactions(c);
        set_state(c, DUET_TURN_RELEASED);
        return;
    }
    if (c->info.state == DUET_TURN_FAILED || c->info.state == DUET_TURN_RELEASED)
        return;
    end_transactions(c);
    c->info.error_code = (uint16_t)code;
    snprintf(c->info.error_text, sizeof(c->info.error_text), "%s", text);
    set_state(c, DUET_TURN_FAILED);
}

void duet_turn_client_lost(duet_turn_client *c, const char *why)
{
    fail(c, UNREACHABLE, why);
}

/* ---- transactions ------------------------------------------------------------------------------------------------ */

static bool is_idle(const duet_turn_client *c)
{
    for (size_t i = 0; i < TURN_TRANSACTIONS_MAX; i++) {
        if (c->transactions[i].method != 0)
            return false;
    }
    return true;
}

static bool has_free_transaction(const duet_turn_client *c)
{
    for (size_t i = 0; i < TURN_TRANSACTIONS_MAX; i++) {
        if (c->transactions[i].method == 0)
            return true;
    }
    return false;
}

turn_transaction *duet_turn_client_begin(duet_turn_client *c, uint16_t method)
{
    for (size_t i = 0; i < TURN_TRANSACTIONS_MAX; i++) {
        turn_transaction *t = &c->transactions[i];
        if (t->method != 0)
            continue;
        memset(t, 0, sizeof(*t));
        if (duet_random(c->env, t->id, sizeof(t->id)) != DUET_OK) {
            fail(c, UNREACHABLE, "no random bytes for a transaction id");
            return NULL;
        }
        t->method = method;
        t->is_signed = c->auth.key_len > 0;
        return t;
    }
    return NULL;
}

static void end(duet_turn_client *c, turn_transaction *t)
{
    duet_timers_cancel(&c->timers, &t->timer);
    t->method = 0;
}

static void add_allocate(const duet_turn_client *c, duet_stun_builder *b)
{
    duet_stun_add_u8(b, DUET_STUN_REQUESTED_TRANSPORT, REQUESTED_UDP);
    duet_stun_add_u32(b, DUET_STUN_LIFETIME, LIFETIME_WANTED);
    if (c->family != DUET_AF_NONE)
        duet_stun_add_u8(b, DUET_STUN_REQUESTED_ADDRESS_FAMILY,
                         c->family == DUET_AF_INET ? DUET_STUN_FAMILY_IPV4 : DUET_STUN_FAMILY_IPV6);
    else if (c->both_families)
        duet_stun_add_u8(b, DUET_STUN_ADDITIONAL_ADDRESS_FAMILY, DUET_STUN_FAMILY_IPV6);
}

/* A retransmission is built again; only the nonce may have become a newer one. */
static int build(const duet_turn_client *c, const turn_transaction *t, duet_stun_builder *b)
{
    if (t->method == DUET_STUN_ALLOCATE)
        add_allocate(c, b);
    else if (t->method == DUET_STUN_REFRESH)
        duet_stun_add_u32(b, DUET_STUN_LIFETIME, t->deletes ? 0 : LIFETIME_WANTED);
    else
        duet_turn_client_add_peers(c, t, b);
    if (t->is_signed)
        duet_turn_auth_sign(&c->auth, b);
    duet_stun_add_fingerprint(b);
    return b->err;
}

static duet_time wait_after(const duet_turn_client *c, const turn_transaction *t)
{
    if (is_stream(c))
        return TI;
    return t->sends < RC ? RTO << (t->sends - 1) : RTO * RM;
}

void duet_turn_client_transmit(duet_turn_client *c, turn_transaction *t, duet_time now)
{
    uint8_t *room = duet_outbox_reserve(&c->outbox);
    const duet_datagram meta = {.path = c->path};
    size_t len;

    if (!room) { /* for want of memory: once more soon */
        duet_timers_set(&c->timers, &t->timer, now + RTO);
        return;
    }
    duet_stun_builder b = duet_stun_begin(room, c->outbox.payload_max, DUET_STUN_REQUEST, t->method, t->id);
    if (build(c, t, &b) != DUET_OK || duet_stun_end(&b, &len) != DUET_OK) {
        fail(c, UNREACHABLE, "a request cannot be written");
        return;
    }
    duet_outbox_commit(&c->outbox, len, &meta);
    c->sent = true;
    if (t->sends++ == 0)
        t->first_sent = now;
    duet_timers_set(&c->timers, &t->timer, now + wait_after(c, t));
}

static void start(duet_turn_client *c, uint16_t method, bool deletes, duet_time now)
{
    turn_transaction *t = duet_turn_client_begin(c, method);

    if (!t)
        return;
    t->deletes = deletes;
    duet_turn_client_transmit(c, t, now);
}

/* The same request in a new transaction, with what a challenge has taught. */
static void repeat(duet_turn_client *c, turn_transaction *t, duet_time now)
{
    duet_timers_cancel(&c->timers, &t->timer);
    if (duet_random(c->env, t->id, sizeof(t->id)) != DUET_OK) {
        fail(c, UNREACHABLE, "no random bytes for a transaction id");
        return;
    }
    t->sends = 0;
    t->is_signed = c->auth.key_len > 0;
    duet_turn_client_transmit(c, t, now);
}

/* ---- the allocation ----------------------------------------------------------------------------------------------- */

static void lifetime_granted(duet_turn_client *c, const duet_stun_message *m, duet_time now)
{
    uint32_t seconds = LIFETIME_WANTED;

    (void)duet_stun_get_u32(m, DUET_STUN_LIFETIME, &seconds);
    duet_time lifetime = DUET_SECONDS((duet_time)seconds);
    if (lifetime < LIFETIME_MIN)
        lifetime = LIFETIME_MIN;
    if (lifetime > LIFETIME_MAX)
        lifetime = LIFETIME_MAX;
    c->expires_at = now + lifetime;
    duet_timers_set(&c->timers, &c->refresh_timer,
                    now + (lifetime > 2 * REFRESH_BEFORE ? lifetime - REFRESH_BEFORE : lifetime / 2));
}

static bool is_relay_address(const duet_address *a)
{
    return a->port != 0 && !duet_address_is_any(a) && !duet_address_is_multicast(a);
}

/* "one or two XOR-RELAYED-ADDRESS attributes", RFC 8656 section 7.3. */
static bool take_relayed(duet_turn_client *c, const duet_stun_message *m)
{
    duet_stun_attribute a = {0};
    bool found = false;

    while (duet_stun_next(m, &a)) {
        duet_address address;
        if (a.ignored || a.type != DUET_STUN_XOR_RELAYED_ADDRESS ||
            duet_stun_value_address(m, &a, &address) != DUET_OK || !is_relay_address(&address))
            continue;
        duet_address *slot = &c->info.relayed[address.family == DUET_AF_INET6];
        if (slot->family == DUET_AF_NONE)
            *slot = address;
        found = true;
    }
    return found;
}

static void allocated(duet_turn_client *c, const duet_stun_message *m, duet_time now)
{
    if (!take_relayed(c, m)) {
        fail(c, UNREACHABLE, "the response of the TURN server has no usable relayed address");
        return;
    }
    if (duet_stun_get_address(m, DUET_STUN_XOR_MAPPED_ADDRESS, &c->info.mapped) != DUET_OK)
        c->info.mapped.family = DUET_AF_NONE;
    set_state(c, DUET_TURN_ALLOCATED);
    lifetime_granted(c, m, now);
    duet_timers_set(&c->timers, &c->keepalive_timer, now + (is_stream(c) ? KEEPALIVE_TCP : KEEPALIVE_UDP));
    duet_turn_client_peers_flush(c, now);
}

static void released(duet_turn_client *c, duet_time now)
{
    if (c->info.state == DUET_TURN_RELEASING) {
        end_transactions(c);
        set_state(c, DUET_TURN_RELEASED);
    } else if (c->is_clearing) {
        c->is_clearing = false;
        start(c, DUET_STUN_ALLOCATE, false, now);
    }
}

/* The allocation lives on until it expires: that is how long a refresh may be tried again. */
static void refresh_failed(duet_turn_client *c, unsigned code, const char *text, duet_time now)
{
    duet_time left = c->expires_at > now ? c->expires_at - now : 0;

    if (left < DUET_SECONDS(2) || code == 437 || code == 441 || code == 401) {
        fail(c, code, text);
        return;
    }
    duet_timers_set(&c->timers, &c->refresh_timer, now + left / 2);
}

/* ---- responses ---------------------------------------------------------------------------------------------------- */

static void succeeded(duet_turn_client *c, turn_transaction *t, const duet_stun_message *m, duet_time now)
{
    turn_transaction done = *t;

    end(c, t);
    if (done.sends == 1 && c->info.rtt == 0)
        c->info.rtt = now > done.first_sent ? now - done.first_sent : 1;
    if (done.method == DUET_STUN_ALLOCATE)
        allocated(c, m, now);
    else if (done.deletes)
        released(c, now);
    else if (done.method == DUET_STUN_REFRESH)
        lifetime_granted(c, m, now);
    else
        duet_turn_client_peers_granted(c, &done, now);
}

static void describe(char *out, size_t size, const duet_turn_client *c, const duet_stun_error *error)
{
    const char *name = duet_stun_error_name(error->code);

    if (error->code == 401 && c->has_challenged)
        snprintf(out, size, "the server does not accept user \"%.100s\" (wrong password, or expired)",
                 c->auth.username);
    else if (error->code == 401 && !c->auth.username)
        snprintf(out, size, "the server wants a user name and a credential");
    else if (name)
        snprintf(out, size, "%s", name);
    else
        snprintf(out, size, "the TURN server refused");
}

static void take_error(duet_turn_client *c, turn_transaction *t, const duet_stun_error *error, const char *text,
                       duet_time now)
{
    turn_transaction done = *t;

    end(c, t);
    if (done.deletes)
        released(c, now); /* there is nothing left to delete, or nothing that could be */
    else if (done.method == DUET_STUN_ALLOCATE)
        fail(c, error->code, text);
    else if (error->code == 437 || done.method == DUET_STUN_REFRESH)
        refresh_failed(c, error->code, text, now);
    else
        duet_turn_client_peers_refused(c, &done, error->code, now);
}

/* 401 and 438: once more, if there is something new to try with. @return whether that was done */
static bool answer_challenge(duet_turn_client *c, turn_transaction *t, const duet_stun_message *m, unsigned code,
                             const char **why, duet_time now)
{
    bool is_first = code == 401 && !t->is_signed;

    if (code == 438 && ++t->stale > STALE_MAX) {
        *why = "every nonce is stale at once";
        return false;
    }
    /* "The client MUST NOT perform this retry if it is not changing the USERNAME ... from the previous attempt" */
    if (!is_first && code != 438)
        return false;
    int err = duet_turn_auth_challenge(&c->auth, m);
    if (err) {
        if (duet_turn_auth_is_bid_down(m))
            *why = "its password algorithms were taken out on the way";
        else if (c->auth.username)
            *why = "its challenge cannot be answered";
        return false;
    }
    c->info.stale_nonces += code == 438;
    c->has_challenged = c->has_challenged || code == 401;
    repeat(c, t, now);
    return true;
}

/* "440 (Address Family not Supported)": of a server that has only the other family, or does not know ADDITIONAL. */
static bool try_other_family(duet_turn_client *c, turn_transaction *t, duet_time now)
{
    if (c->family != DUET_AF_NONE || !c->both_families)
        return false;
    c->family = c->path.remote.family == DUET_AF_INET6 ? DUET_AF_INET6 : DUET_AF_INET;
    c->both_families = false;
    repeat(c, t, now);
    return true;
}

/* "437 (Allocation Mismatch)": an allocation of earlier use of this path is in the way. It is deleted, once. */
static bool clear_old_allocation(duet_turn_client *c, turn_transaction *t, duet_time now)
{
    if (c->has_cleared)
        return false;
    c->has_cleared = c->is_clearing = true;
    end(c, t);
    start(c, DUET_STUN_REFRESH, true, now);
    return true;
}

/* 300: RFC 8489 section 10. Whether it leads in a circle is for the owner to see. */
static bool redirect(duet_turn_client *c, const duet_stun_message *m)
{
    duet_address alternate;

    if (duet_stun_get_address(m, DUET_STUN_ALTERNATE_SERVER, &alternate) != DUET_OK || !is_relay_address(&alternate))
        return false;
    c->info.alternate = alternate;
    end_transactions(c);
    set_state(c, DUET_TURN_REDIRECTED);
    return true;
}

static bool recovers(duet_turn_client *c, turn_transaction *t, const duet_stun_message *m, unsigned code,
                     const char **why, duet_time now)
{
    if (code == 401 || code == 438)
        return answer_challenge(c, t, m, code, why, now);
    if (t->method != DUET_STUN_ALLOCATE)
        return false;
    if (code == 300)
        return redirect(c, m);
    if (code == 437)
        return clear_old_allocation(c, t, now);
    if (code == 440)
        return try_other_family(c, t, now);
    return false;
}

static void refused(duet_turn_client *c, turn_transaction *t, const duet_stun_message *m, duet_time now)
{
    duet_stun_error error;
    const char *why = NULL;
    char text[sizeof(c->info.error_text)];

    if (duet_stun_get_error(m, &error) != DUET_OK)
        error.code = 400;
    if (recovers(c, t, m, error.code, &why, now) || c->info.state == DUET_TURN_FAILED)
        return;
    describe(text, sizeof(text), c, &error);
    take_error(c, t, &error, why ? why : text, now);
}

/* Whether a response may be acted upon, RFC 8489 section 9.2.5. */
static bool is_authentic(const duet_turn_client *c, const turn_transaction *t, const duet_stun_message *m)
{
    duet_stun_error error = {0};

    if (m->message_class == DUET_STUN_ERROR && duet_stun_get_error(m, &error) != DUET_OK)
        return !t->is_signed;
    if (error.code == 401 || error.code == 438)
        return true; /* the server could not sign these */
    if (duet_turn_auth_is_bid_down(m))
        return false;
    return !t->is_signed || duet_turn_auth_verify(&c->auth, m);
}

static turn_transaction *find(duet_turn_client *c, const duet_stun_message *m)
{
    for (size_t i = 0; i < TURN_TRANSACTIONS_MAX; i++) {
        turn_transaction *t = &c->transactions[i];
        if (t->method == m->method && t->method != 0 && memcmp(t->id, m->transaction_id, sizeof(t->id)) == 0)
            return t;
    }
    return NULL;
}

static int take_response(duet_turn_client *c, const duet_stun_message *m, duet_time now)
{
    uint16_t unknown;
    turn_transaction *t = find(c, m);

    if (!t)
        return DUET_ERR_NOT_MINE;
    if (duet_stun_verify_fingerprint(m) == DUET_ERR_AUTH || !is_authentic(c, t, m)) {
        /* "discarded, as if it was never received"; on a stream nothing else will come, so the user is told */
        if (is_stream(c))
            fail(c, UNREACHABLE, "the response of the TURN server has no valid integrity");
        return DUET_OK;
    }
    if (m->message_class == DUET_STUN_ERROR)
        refused(c, t, m, now);
    else if (duet_stun_unknown_required(m, NULL, 0, &unknown, 1) > 0)
        fail(c, 420, "the response of the TURN server has attributes that must be understood");
    else
        succeeded(c, t, m, now);
    duet_turn_client_peers_flush(c, now); /* those that waited for a free transaction */
    return DUET_OK;
}

int duet_turn_client_input(duet_turn_client *c, duet_datagram *in, duet_time now)
{
    duet_stun_message m;

    duet_outbox_reclaim(&c->outbox);
    if (!duet_address_equal(&in->path.remote, &c->path.remote) || in->path.socket != c->path.socket)
        return DUET_ERR_NOT_MINE;
    int err = duet_turn_client_unwrap(c, in);
    if (err != DUET_ERR_NOT_MINE)
        return err;
    if (duet_stun_parse(&m, in->data, in->len) != DUET_OK)
        return DUET_ERR_NOT_MINE;
    if (m.message_class != DUET_STUN_SUCCESS && m.message_class != DUET_STUN_ERROR)
        return DUET_ERR_NOT_MINE;
    return take_response(c, &m, now);
}

/* ---- time --------------------------------------------------------------------------------------------------------- */

static void timed_out(duet_turn_client *c, turn_transaction *t, duet_time now)
{
    static const duet_stun_error unreachable = {.code = UNREACHABLE};

    take_error(c, t, &unreachable, "the TURN server does not answer", now);
}

static void transaction_due(duet_turn_client *c, turn_transaction *t, duet_time now)
{
    bool is_over = c->info.state == DUET_TURN_RELEASING && t->sends >= RELEASE_SENDS;

    if (t->sends == 0 || (!is_stream(c) && t->sends < RC && !is_over))
        duet_turn_client_transmit(c, t, now);
    else
        timed_out(c, t, now);
}

/* A Binding indication, which every STUN server takes and none answers: RFC 8489 section 3, RFC 8445 section 11. */
static void keepalive_due(duet_turn_client *c, duet_time now)
{
    const duet_datagram meta = {.path = c->path};
    uint8_t *room = c->sent ? NULL : duet_outbox_reserve(&c->outbox);
    uint8_t id[DUET_STUN_TRANSACTION_LEN];
    size_t len;

    c->sent = false;
    duet_timers_set(&c->timers, &c->keepalive_timer, now + (is_stream(c) ? KEEPALIVE_TCP : KEEPALIVE_UDP));
    if (!room || duet_random(c->env, id, sizeof(id)) != DUET_OK)
        return;
    duet_stun_builder b = duet_stun_begin(room, c->outbox.payload_max, DUET_STUN_INDICATION, DUET_STUN_BINDING, id);
    duet_stun_add_fingerprint(&b);
    if (duet_stun_end(&b, &len) == DUET_OK)
        duet_outbox_commit(&c->outbox, len, &meta);
}

static void refresh_due(duet_turn_client *c, duet_time now)
{
    if (now >= c->expires_at)
        fail(c, UNREACHABLE, "the allocation has expired");
    else if (has_free_transaction(c))
        start(c, DUET_STUN_REFRESH, false, now);
    else
        duet_timers_set(&c->timers, &c->refresh_timer, now + DUET_SECONDS(1));
}

static void timer_due(duet_turn_client *c, duet_timer *timer, duet_time now)
{
    if (timer == &c->refresh_timer)
        refresh_due(c, now);
    else if (timer == &c->renew_timer)
        duet_turn_client_peers_renew(c, now);
    else if (timer == &c->keepalive_timer)
        keepalive_due(c, now);
    else
        transaction_due(c, (turn_transaction *)(void *)timer, now);
}

void duet_turn_client_tick(duet_turn_client *c, duet_time now)
{
    duet_outbox_reclaim(&c->outbox);
    for (duet_timer *timer = duet_timers_pop(&c->timers, now); timer; timer = duet_timers_pop(&c->timers, now))
        timer_due(c, timer, now);
    duet_turn_client_peers_flush(c, now);
    if (duet_outbox_is_empty(&c->outbox) && is_idle(c))
        duet_outbox_trim(&c->outbox);
}

duet_time duet_turn_client_deadline(const duet_turn_client *c)
{
    if (c->has_wanted && c->info.state == DUET_TURN_ALLOCATED && has_free_transaction(c))
        return 0;
    return duet_timers_deadline(&c->timers);
}

int duet_turn_client_output(duet_turn_client *c, duet_datagram *out)
{
    return duet_outbox_pull(&c->outbox, out);
}

bool duet_turn_client_has_output(const duet_turn_client *c)
{
    return !duet_outbox_is_empty(&c->outbox);
}

/* ---- beginning and end ---------------------------------------------------------------------------------------------- */

int duet_turn_client_create(duet_turn_client **out, const duet_turn_client_config *config, duet_time now)
{
    duet_turn_client *c = duet_calloc(config->env, sizeof(*c));

    *out = NULL;
    if (!c)
        return DUET_ERR_NOMEM;
    c->env = config->env;
    c->path = config->path;
    c->family = config->family;
    c->both_families = config->both_families;
    duet_outbox_init(&c->outbox, c->env, REQUEST_MAX, OUTBOX_MAX);
    duet_array_init(&c->permissions, c->env, sizeof(turn_permission));
    duet_array_init(&c->channels, c->env, sizeof(turn_channel));
    int err = duet_turn_auth_init(&c->auth, c->env, config->username, config->credential);
    if (!err)
        err = duet_random(c->env, c->indication_id, sizeof(c->indication_id));
    if (!err && !duet_outbox_reserve(&c->outbox))
        err = DUET_ERR_NOMEM;
    if (err) {
        duet_turn_client_destroy(c);
        return err;
    }
    start(c, DUET_STUN_ALLOCATE, false, now);
    *out = c;
    return DUET_OK;
}

void duet_turn_client_destroy(duet_turn_client *c)
{
    if (!c)
        return;
    const duet_env *env = c->env;
    duet_turn_auth_free(&c->auth, env);
    duet_outbox_free(&c->outbox);
    duet_array_free(&c->permissions);
    duet_array_free(&c->channels);
    duet_free(env, c);
}

const duet_turn_client_info *duet_turn_client_get(const duet_turn_client *c)
{
    return &c->info;
}

void duet_turn_client_release(duet_turn_client *c, duet_time now)
{
    bool has_one = c->info.state == DUET_TURN_ALLOCATED;

    if (c->info.state == DUET_TURN_RELEASING || c->info.state == DUET_TURN_RELEASED)
        return;
    end_transactions(c);
    if (!has_one) {
        set_state(c, DUET_TURN_RELEASED);
        return;
    }
    set_state(c, DUET_TURN_RELEASING);
    start(c, DUET_STUN_REFRESH, true, now);
}
