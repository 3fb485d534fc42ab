/* Data channels: opening, ids, closing by stream reset.
 * RFC 8831 section 6, RFC 8832 section 6, W3C WebRTC section 6.2 (RTCDataChannel). */
#include "base/log.h"
#include "base/memory.h"
#include "sctp/internal.h"
#include <stdio.h>
#include <string.h>

#define LABEL_MAX 65535
#define ID_MAX    65534 /* "65535 is ... reserved", RFC 8832 section 6 */

/* ---- life ------------------------------------------------------------------------------------------------------ */

void duet_dc_init_defaults(duet_dc_init *init)
{
    *init = (duet_dc_init){
        .size = sizeof(*init),
        .max_retransmits = -1,
        .max_packet_life_time = -1,
        .id = DUET_DC_AUTO_ID,
    };
}

duet_dc *duet_dc_find(const duet_sctp *s, uint16_t id)
{
    return duet_map_get(&s->by_id, id);
}

static void link_dc(duet_sctp *s, duet_dc *dc)
{
    dc->previous = s->last_dc;
    if (s->last_dc)
        s->last_dc->next = dc;
    else
        s->first_dc = dc;
    s->last_dc = dc;
    s->dc_count++;
}

static void unlink_dc(duet_dc *dc)
{
    duet_sctp *s = dc->sctp;

    if (dc->previous)
        dc->previous->next = dc->next;
    else
        s->first_dc = dc->next;
    if (dc->next)
        dc->next->previous = dc->previous;
    else
        s->last_dc = dc->previous;
    s->dc_count--;
}

/* A channel without an id, not in any list. */
static duet_dc *make_dc(duet_sctp *s, const char *label, size_t label_len, const char *protocol, size_t protocol_len)
{
    if (duet_inbox_reserve(s, s->dc_count + 1) != DUET_OK)
        return NULL;
    duet_dc *dc = duet_calloc(&s->env, sizeof(*dc));
    if (!dc)
        return NULL;
    dc->sctp = s;
    dc->id = DUET_DC_AUTO_ID;
    dc->label = duet_strndup(&s->env, label ? label : "", label_len);
    dc->protocol = duet_strndup(&s->env, protocol ? protocol : "", protocol_len);
    if (dc->label && dc->protocol)
        return dc;
    duet_free(&s->env, dc->label);
    duet_free(&s->env, dc->protocol);
    duet_free(&s->env, dc);
    return NULL;
}

static void forget_resets(duet_dc *dc)
{
    if (dc->reset_wanted)
        dc->sctp->resets_wanted--;
    if (dc->reset_pending)
        dc->sctp->resets_pending--;
    dc->reset_wanted = dc->reset_pending = false;
}

void duet_dc_free(duet_dc *dc)
{
    duet_sctp *s = dc->sctp;

    duet_send_queue_drop(dc);
    duet_inbox_forget(s, dc);
    forget_resets(dc);
    if (dc->id != DUET_DC_AUTO_ID && duet_dc_find(s, dc->id) == dc)
        duet_map_remove(&s->by_id, dc->id);
    unlink_dc(dc);
    duet_free(&s->env, dc->label);
    duet_free(&s->env, dc->protocol);
    duet_free(&s->env, dc->partial);
    duet_free(&s->env, dc);
}

static void set_state(duet_dc *dc, duet_dc_state next, const char *cause)
{
    duet_sctp *s = dc->sctp;

    if (s->env.trace) {
        char subject[32];
        snprintf(subject, sizeof(subject), "channel %u", (unsigned)dc->id);
        duet_trace_state(&s->env, s->now, "sctp", subject, duet_dc_state_name(dc->state), duet_dc_state_name(next),
                         cause);
    }
    dc->state = next;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static void set_open(duet_dc *dc, const char *cause)
{
    set_state(dc, DUET_DC_OPEN, cause);
    dc->sctp->stats.channels_opened++;
    duet_inbox_push(dc->sctp, INBOX_OPEN, dc);
}

static uint8_t channel_type(const duet_dc *dc)
{
    uint8_t type = DUET_DCEP_RELIABLE;

    if (dc->reliability == DUET_LIMIT_RETRANSMITS)
        type = DUET_DCEP_PARTIAL_REXMIT;
    else if (dc->reliability == DUET_LIMIT_LIFE_TIME)
        type = DUET_DCEP_PARTIAL_TIMED;
    return (uint8_t)(type | (dc->unordered ? DUET_DCEP_UNORDERED : 0));
}

static int send_open(duet_dc *dc)
{
    duet_dcep_open open = {
        .channel_type = channel_type(dc),
        .priority = dc->priority,
        .reliability = dc->reliability_value,
        .label = dc->label,
        .label_len = (uint16_t)strlen(dc->label),
        .protocol = dc->protocol,
        .protocol_len = (uint16_t)strlen(dc->protocol),
    };
    size_t len = duet_dcep_open_size(&open);
    uint8_t *message = duet_alloc(&dc->sctp->env, len);

    if (!message)
        return DUET_ERR_NOMEM;
    int err = duet_dcep_write_open(&open, message, len);
    if (!err)
        err = duet_send_queue_put(dc, DUET_PPID_DCEP, message, len, 0);
    duet_free(&dc->sctp->env, message);
    return err;
}

/* The association is up and the id is known. */
static int open_now(duet_dc *dc)
{
    int err = dc->negotiated ? DUET_OK : send_open(dc);

    if (err)
        return err;
    set_open(dc, dc->negotiated ? "negotiated" : "OPEN sent");
    return DUET_OK;
}

/* The lowest free id of our parity. */
static int assign_id(duet_sctp *s, duet_dc *dc)
{
    uint32_t limit = s->max_channels ? s->max_channels : s->config.streams;

    for (uint32_t id = s->is_dtls_client ? 0 : 1; id < limit; id += 2) {
        if (duet_dc_find(s, (uint16_t)id))
            continue;
        int err = duet_map_set(&s->by_id, id, dc);
        if (!err)
            dc->id = (uint16_t)id;
        return err;
    }
    return DUET_ERR_LIMIT;
}

static bool init_is_valid(const duet_dc_init *init, const char *label)
{
    if (init->max_retransmits >= 0 && init->max_packet_life_time >= 0)
        return false;
    if (init->max_retransmits > 65535 || init->max_packet_life_time > 65535)
        return false;
    if (strlen(label) > LABEL_MAX || (init->protocol && strlen(init->protocol) > LABEL_MAX))
        return false;
    return !init->negotiated || init->id <= ID_MAX;
}

static void apply_init(duet_dc *dc, const duet_dc_init *init)
{
    dc->unordered = init->unordered;
    dc->negotiated = init->negotiated;
    dc->acked = init->negotiated;
    dc->priority = init->priority ? init->priority : DUET_DC_PRIORITY_LOW;
    if (init->max_retransmits >= 0) {
        dc->reliability = DUET_LIMIT_RETRANSMITS;
        dc->reliability_value = (uint32_t)init->max_retransmits;
    } else if (init->max_packet_life_time >= 0) {
        dc->reliability = DUET_LIMIT_LIFE_TIME;
        dc->reliability_value = (uint32_t)init->max_packet_life_time;
    }
}

static const uint16_t priorities[DUET_PRIORITY_CLASSES] = {DUET_DC_PRIORITY_VERY_LOW, DUET_DC_PRIORITY_LOW,
                                                           DUET_DC_PRIORITY_MEDIUM, DUET_DC_PRIORITY_HIGH};

/* RFC 8831 section 6.4 names four; what lies between two counts as the lower one. */
static size_t priority_class(const duet_dc *dc)
{
    size_t n = DUET_PRIORITY_CLASSES - 1;

    while (n > 0 && dc->priority < priorities[n])
        n--;
    return n;
}

uint16_t duet_sctp_priority(const duet_sctp *s)
{
    for (size_t n = DUET_PRIORITY_CLASSES; n-- > 0;) {
        if (s->priorities[n] > 0)
            return priorities[n];
    }
    return DUET_DC_PRIORITY_LOW;
}

/* The id that the caller chose, or one of ours when the DTLS role is known. */
static int take_id(duet_sctp *s, duet_dc *dc, uint16_t wish)
{
    if (wish == DUET_DC_AUTO_ID)
        return s->state == DUET_SCTP_NEW ? DUET_OK : assign_id(s, dc);
    if (duet_dc_find(s, wish))
        return DUET_ERR_STATE;
    if (s->max_channels && wish >= s->max_channels)
        return DUET_ERR_LIMIT;
    int err = duet_map_set(&s->by_id, wish, dc);
    if (!err)
        dc->id = wish;
    return err;
}

int duet_dc_create(duet_dc **out, duet_sctp *s, const char *label, const duet_dc_init *user_init,
                   const duet_dc_callbacks *callbacks, duet_time now)
{
    duet_dc_init init;

    duet_dc_init_defaults(&init);
    if (user_init)
        memcpy(&init, user_init, user_init->size < sizeof(init) ? user_init->size : sizeof(init));
    label = label ? label : "";
    if (!init_is_valid(&init, label))
        return DUET_ERR_INVALID;
    if (s->state == DUET_SCTP_CLOSED)
        return DUET_ERR_STATE;
    const char *protocol = init.protocol ? init.protocol : "";
    duet_dc *dc = make_dc(s, label, strlen(label), protocol, strlen(protocol));
    if (!dc)
        return DUET_ERR_NOMEM;
    apply_init(dc, &init);
    duet_dc_set_callbacks(dc, callbacks);
    link_dc(s, dc);
    s->now = now > s->now ? now : s->now;
    int err = take_id(s, dc, init.id);
    if (!err && s->state == DUET_SCTP_CONNECTED)
        err = open_now(dc);
    if (err) {
        duet_dc_free(dc);
        return err;
    }
    s->priorities[priority_class(dc)]++;
    *out = dc;
    duet_sctp_wake(s);
    return DUET_OK;
}

int duet_dc_open_remote(duet_sctp *s, uint16_t id, const duet_dcep_open *open)
{
    static const uint8_t ack = DUET_DCEP_ACK;
    duet_dc *dc = make_dc(s, open->label, open->label_len, open->protocol, open->protocol_len);

    if (!dc)
        return DUET_ERR_NOMEM;
    link_dc(s, dc);
    dc->unordered = (open->channel_type & DUET_DCEP_UNORDERED) != 0;
    dc->priority = open->priority;
    dc->acked = true;
    uint8_t kind = open->channel_type & (uint8_t)~DUET_DCEP_UNORDERED;
    if (kind != DUET_DCEP_RELIABLE) {
        dc->reliability = kind == DUET_DCEP_PARTIAL_REXMIT ? DUET_LIMIT_RETRANSMITS : DUET_LIMIT_LIFE_TIME;
        dc->reliability_value = open->reliability;
    }
    int err = duet_map_set(&s->by_id, id, dc);
    if (!err) {
        dc->id = id;
        err = duet_send_queue_put(dc, DUET_PPID_DCEP, &ack, 1, 0);
    }
    if (err) {
        duet_dc_free(dc);
        return err;
    }
    s->priorities[priority_class(dc)]++;
    duet_inbox_push(s, INBOX_CHANNEL, dc);
    set_open(dc, "OPEN received");
    return DUET_OK;
}

/* A channel that cannot be: it closes at once. */
static void refuse(duet_dc *dc, int err)
{
    duet_log(&dc->sctp->env, DUET_LOG_WARN, "sctp", "channel \"%.64s\" cannot open: %s", dc->label, duet_strerror(err));
    duet_dc_finish_close(dc);
}

void duet_dc_assign_ids(duet_sctp *s)
{
    for (duet_dc *dc = s->first_dc, *next; dc; dc = next) {
        next = dc->next;
        int err = dc->id == DUET_DC_AUTO_ID && dc->state == DUET_DC_CONNECTING ? assign_id(s, dc) : DUET_OK;
        if (err)
            refuse(dc, err);
    }
}

void duet_dc_connected(duet_sctp *s)
{
    for (duet_dc *dc = s->first_dc, *next; dc; dc = next) {
        next = dc->next;
        if (dc->state != DUET_DC_CONNECTING)
            continue;
        int err = dc->id >= s->max_channels ? DUET_ERR_LIMIT : open_now(dc);
        if (err)
            refuse(dc, err);
    }
}

/* ---- closing --------------------------------------------------------------------------------------------------- */

/* RFC 8831 section 6.7: "Closing of a data channel MUST be signaled by resetting the corresponding outgoing streams",
 * after what was queued. */
void duet_dc_start_closing(duet_dc *dc)
{
    duet_sctp *s = dc->sctp;

    if (dc->state == DUET_DC_CLOSING || dc->state == DUET_DC_CLOSED)
        return;
    if (s->state != DUET_SCTP_CONNECTED || dc->state == DUET_DC_CONNECTING) {
        duet_dc_finish_close(dc); /* the peer has never heard of it */
        return;
    }
    set_state(dc, DUET_DC_CLOSING, "close");
    dc->reset_wanted = true;
    s->resets_wanted++;
}

/* W3C "announce closing": only who has not called close() is told. */
void duet_dc_announce_closing(duet_dc *dc)
{
    if (dc->state == DUET_DC_OPEN)
        duet_inbox_push(dc->sctp, INBOX_CLOSING, dc);
    duet_dc_start_closing(dc);
}

bool duet_dc_reset_is_due(const duet_dc *dc)
{
    return dc->reset_wanted && !dc->first;
}

void duet_dc_finish_close(duet_dc *dc)
{
    duet_sctp *s = dc->sctp;

    if (dc->state == DUET_DC_CLOSED)
        return;
    duet_send_queue_drop(dc);
    forget_resets(dc);
    if (dc->id != DUET_DC_AUTO_ID && duet_dc_find(s, dc->id) == dc)
        duet_map_remove(&s->by_id, dc->id);
    if (dc->state != DUET_DC_CONNECTING)
        s->stats.channels_closed++;
    set_state(dc, DUET_DC_CLOSED, "closed");
    s->priorities[priority_class(dc)]--;
    duet_free(&s->env, dc->partial);
    dc->partial = NULL;
    if (dc->released)
        duet_dc_free(dc);
    else
        duet_inbox_push(s, INBOX_CLOSE, dc);
}

static void finish_if_both(duet_dc *dc)
{
    if (dc->in_reset && dc->out_reset)
        duet_dc_finish_close(dc);
}

void duet_dc_incoming_reset(duet_dc *dc)
{
    dc->in_reset = true;
    if (dc->state == DUET_DC_CLOSING)
        finish_if_both(dc);
    else
        duet_dc_announce_closing(dc);
}

void duet_dc_outgoing_reset(duet_dc *dc, bool succeeded)
{
    if (!dc->reset_pending)
        return;
    dc->sctp->resets_pending--;
    dc->reset_pending = false;
    dc->out_reset = true;
    if (!succeeded) /* a peer that cannot reset will not reset its side either */
        dc->in_reset = true;
    finish_if_both(dc);
}

void duet_dc_close_all(duet_sctp *s)
{
    for (duet_dc *dc = s->first_dc, *next; dc; dc = next) {
        next = dc->next;
        duet_dc_finish_close(dc);
    }
}

void duet_dc_close(duet_dc *dc)
{
    duet_sctp *s = dc->sctp;

    duet_dc_start_closing(dc); /* may free it */
    duet_sctp_wake(s);
}

void duet_dc_release(duet_dc *dc)
{
    if (!dc)
        return;
    duet_sctp *s = dc->sctp;
    duet_inbox_forget(s, dc);
    dc->released = true;
    dc->callbacks = (duet_dc_callbacks){0};
    if (dc->state == DUET_DC_CLOSED)
        duet_dc_free(dc);
    else
        duet_dc_close(dc);
}

/* ---- sending --------------------------------------------------------------------------------------------------- */

int duet_dc_send(duet_dc *dc, const void *data, size_t len, bool is_text)
{
    static const uint8_t zero = 0;
    duet_sctp *s = dc->sctp;
    int err;

    if (dc->state != DUET_DC_OPEN)
        return DUET_ERR_STATE;
    if (s->remote_max_message && len > s->remote_max_message)
        return DUET_ERR_TOO_LARGE;
    if (len == 0) /* SCTP has no empty messages: RFC 8831 section 6.6 */
        err = duet_send_queue_put(dc, is_text ? DUET_PPID_STRING_EMPTY : DUET_PPID_BINARY_EMPTY, &zero, 1, 0);
    else
        err = duet_send_queue_put(dc, is_text ? DUET_PPID_STRING : DUET_PPID_BINARY, data, len, len);
    if (err)
        return err;
    dc->stats.messages_sent++;
    dc->stats.bytes_sent += len;
    duet_sctp_wake(s);
    return DUET_OK;
}

/* ---- what users may ask ---------------------------------------------------------------------------------------- */

void duet_dc_set_callbacks(duet_dc *dc, const duet_dc_callbacks *callbacks)
{
    dc->callbacks = (duet_dc_callbacks){0};
    if (!callbacks)
        return;
    size_t size = callbacks->size && callbacks->size < sizeof(*callbacks) ? callbacks->size : sizeof(*callbacks);
    memcpy(&dc->callbacks, callbacks, size);
}

duet_dc_state duet_dc_get_state(const duet_dc *dc)
{
    return dc->state;
}

const char *duet_dc_label(const duet_dc *dc)
{
    return dc->label;
}

const char *duet_dc_protocol(const duet_dc *dc)
{
    return dc->protocol;
}

bool duet_dc_is_ordered(const duet_dc *dc)
{
    return !dc->unordered;
}

static int limit_of(const duet_dc *dc, duet_reliability kind)
{
    if (dc->reliability != kind)
        return -1;
    return dc->reliability_value > INT32_MAX ? INT32_MAX : (int)dc->reliability_value;
}

int duet_dc_max_retransmits(const duet_dc *dc)
{
    return limit_of(dc, DUET_LIMIT_RETRANSMITS);
}

int duet_dc_max_packet_life_time(const duet_dc *dc)
{
    return limit_of(dc, DUET_LIMIT_LIFE_TIME);
}

bool duet_dc_is_negotiated(const duet_dc *dc)
{
    return dc->negotiated;
}

uint16_t duet_dc_id(const duet_dc *dc)
{
    return dc->id;
}

uint16_t duet_dc_get_priority(const duet_dc *dc)
{
    return dc->priority;
}

size_t duet_dc_buffered_amount(const duet_dc *dc)
{
    return dc->buffered;
}

void duet_dc_set_buffered_amount_low_threshold(duet_dc *dc, size_t bytes)
{
    dc->low_threshold = bytes;
}

void duet_dc_get_stats(const duet_dc *dc, duet_dc_stats *out)
{
    *out = dc->stats;
}

const char *duet_dc_state_name(duet_dc_state state)
{
    static const char *const names[] = {"connecting", "open", "closing", "closed"};

    return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}
