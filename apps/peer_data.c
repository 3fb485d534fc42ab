/* The data channel test of duet peer. Messages are made from their number, so both sides know what each of them is; two are
 * text, six binary of up to 256 KiB, and the last two empty. */
#include "peer_data.h"
#include <stdlib.h>
#include <string.h>

#define MESSAGES_REQUIRED 8 /* 8 and 9 are empty: some stacks lose them, so they are reported only */
#define LOSSY_REQUIRED    6
#define LOSSY_TIMEOUT     DUET_MS(500)
#define LIMIT_DEFAULT     65536 /* of who names none: RFC 8841, section 6.1 */

/* ---- the messages ---- */

static const char hello[] = "hello";
static const char hello_world[] = "h\xc3\xa9llo w\xc3\xb6rld \xe2\x9c\x93 \xf0\x9f\x98\x80";
static const size_t binary_sizes[] = {1, 100, 1200, 16384, 65536, 262144};
static const char later_text[] = "after the restart";

static bool message_is_text(size_t i)
{
    return i < 2 || i == 8;
}

static void message_fill(size_t i, uint8_t *data, size_t size)
{
    if (i < 2) {
        memcpy(data, i == 0 ? hello : hello_world, size);
        return;
    }
    for (size_t k = 0; k < size; k++)
        data[k] = (uint8_t)((k ^ (k >> 8) ^ (k >> 16)) + i);
}

/* "min(size, peer's max-message-size (65536 when absent, no cap when 0), own limit, own advertised size)" */
static void decide_sizes(peer_data *d)
{
    char *text = NULL;
    duet_sdp *sdp = NULL;
    uint64_t limit = LIMIT_DEFAULT, own = 262144, said;

    if (duet_pc_remote_description(d->connection->pc, NULL, &text) == DUET_OK &&
        duet_sdp_parse(&sdp, &d->connection->env, text, strlen(text), NULL) == DUET_OK) {
        for (size_t i = 0; i < duet_sdp_media_count(sdp); i++) {
            if (duet_sdp_media_is_data(sdp, i))
                limit = duet_sdp_media_max_message_size(sdp, i, &said) == DUET_OK ? said : LIMIT_DEFAULT;
        }
    }
    duet_sdp_destroy(sdp);
    duet_free(&d->connection->env, text);
    if (limit == 0 || limit > own)
        limit = own;
    for (size_t i = 0; i < PEER_DATA_MESSAGES; i++) {
        size_t size = i == 0 ? sizeof(hello) - 1 : i == 1 ? sizeof(hello_world) - 1 : i < 8 ? binary_sizes[i - 2] : 0;
        d->sizes[i] = i >= 2 && size > limit ? (size_t)limit : size;
    }
}

/* ---- the offerer's test ---- */

static void pass(peer_data *d)
{
    d->passed = true;
    d->on_progress(d->user);
}

static void check_done(peer_data *d)
{
    unsigned required = d->lossy_channel ? LOSSY_REQUIRED : MESSAGES_REQUIRED;
    unsigned ok = 0;

    for (size_t i = 0; i < required; i++)
        ok += d->echoed[i];
    bool all_sent = d->next == PEER_DATA_MESSAGES;
    if (ok == required && all_sent && d->bad == 0)
        pass(d);
}

/* @return false when it failed, which has been told */
static bool send_message(peer_data *d, size_t i)
{
    size_t size = d->sizes[i];
    uint8_t *data = calloc(1, size + 1);
    int err = data ? DUET_OK : DUET_ERR_NOMEM;

    if (data) {
        message_fill(i, data, size);
        err = duet_dc_send(d->channel, data, size, message_is_text(i));
    }
    free(data);
    if (err != DUET_OK) {
        d->on_failed(d->user, "send", err);
        return false;
    }
    d->sent++;
    if (size > d->max_sent)
        d->max_sent = (unsigned)size;
    return true;
}

static void send_next_lossy(void *arg)
{
    peer_data *d = arg;

    duet_net_timer_cancel(d->lossy);
    d->lossy = NULL;
    if (d->next == PEER_DATA_MESSAGES || !send_message(d, d->next++))
        return;
    duet_net_timer_start(&d->lossy, d->connection->net, LOSSY_TIMEOUT, send_next_lossy, d);
    check_done(d);
}

static void start_test(peer_data *d)
{
    decide_sizes(d);
    if (d->lossy_channel) {
        send_next_lossy(d);
        return;
    }
    while (d->next < PEER_DATA_MESSAGES && send_message(d, d->next))
        d->next++;
}

static bool message_matches(const peer_data *d, size_t i, const uint8_t *data, size_t len, bool is_text)
{
    if (len != d->sizes[i] || is_text != message_is_text(i))
        return false;
    if (i < 2)
        return memcmp(data, i == 0 ? hello : hello_world, len) == 0;
    for (size_t k = 0; k < len; k++) {
        if (data[k] != (uint8_t)((k ^ (k >> 8) ^ (k >> 16)) + i))
            return false;
    }
    return true;
}

static void count_echo(peer_data *d, size_t i)
{
    d->echoed[i] = true;
    if (i < MESSAGES_REQUIRED)
        d->echo_ok++;
    else if (i == 8)
        d->empty_text = true;
    else
        d->empty_binary = true;
}

static void explain_bad_echo(const peer_data *d, const uint8_t *data, size_t len, bool is_text)
{
    size_t i = d->echo_next, k = 0;

    if (d->lossy_channel || i >= PEER_DATA_MESSAGES) {
        app_error("an echo of %zu bytes that fits no message", len);
        return;
    }
    while (i >= 2 && k < len && k < d->sizes[i] && data[k] == (uint8_t)((k ^ (k >> 8) ^ (k >> 16)) + i))
        k++;
    app_error("echo of message %zu: %s of %zu bytes where %s of %zu went out; they differ from byte %zu on", i,
              is_text ? "text" : "binary", len, message_is_text(i) ? "text" : "binary", d->sizes[i], k);
}

static void echo_came(peer_data *d, const uint8_t *data, size_t len, bool is_text)
{
    if (d->sent_later && len == sizeof(later_text) - 1 && memcmp(data, later_text, len) == 0) {
        d->later_echoed = true;
        d->on_progress(d->user);
        return;
    }
    /* In order: the next one, or behind a lost empty one. On lossy channels: any that has not come yet. */
    size_t first = d->lossy_channel ? 0 : d->echo_next;
    for (size_t i = first; i < PEER_DATA_MESSAGES; i++) {
        if (d->echoed[i] || !message_matches(d, i, data, len, is_text))
            continue;
        if (!d->lossy_channel && i > first && first < MESSAGES_REQUIRED)
            break;
        count_echo(d, i);
        d->echo_next = i + 1;
        if (d->lossy_channel)
            send_next_lossy(d);
        check_done(d);
        return;
    }
    d->bad++;
    explain_bad_echo(d, data, len, is_text);
    if (!d->lossy_channel && first < MESSAGES_REQUIRED)
        d->echo_next++; /* it came in the place of that one */
}

/* ---- the channel ---- */

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    peer_data *d = user;

    d->received++;
    if (d->is_offer) {
        echo_came(d, data, len, is_text);
        return;
    }
    int err = duet_dc_send(dc, data, len, is_text);
    if (err != DUET_OK) {
        d->on_failed(d->user, "echo", err);
        return;
    }
    d->sent++;
    if (len > d->max_sent)
        d->max_sent = (unsigned)len;
    if (d->sent >= (d->lossy_channel ? LOSSY_REQUIRED : MESSAGES_REQUIRED))
        pass(d);
}

static void on_open(void *user, duet_dc *dc)
{
    peer_data *d = user;

    (void)dc;
    d->opened = true;
    if (d->is_offer)
        start_test(d);
}

static void on_close(void *user, duet_dc *dc)
{
    peer_data *d = user;

    (void)dc;
    d->on_closed(d->user);
}

static void use_channel(peer_data *d, duet_dc *dc)
{
    duet_dc_callbacks callbacks = {
        .size = sizeof(callbacks), .on_open = on_open, .on_message = on_message, .on_close = on_close, .user = d};

    d->channel = dc;
    d->lossy_channel =
        !duet_dc_is_ordered(dc) || duet_dc_max_retransmits(dc) >= 0 || duet_dc_max_packet_life_time(dc) >= 0;
    duet_dc_set_callbacks(dc, &callbacks);
}

static void read_channel_init(const json_t *chan, duet_dc_init *init)
{
    const json_t *v;

    duet_dc_init_defaults(init);
    if (!chan)
        return;
    init->unordered = json_is_false(json_object_get(chan, "ordered"));
    if ((v = json_object_get(chan, "maxRetransmits")) && json_is_integer(v))
        init->max_retransmits = (int)json_integer_value(v);
    if ((v = json_object_get(chan, "maxPacketLifeTime")) && json_is_integer(v))
        init->max_packet_life_time = (int)json_integer_value(v);
    if ((v = json_object_get(chan, "protocol")) && json_is_string(v))
        init->protocol = json_string_value(v);
    init->negotiated = json_is_true(json_object_get(chan, "negotiated"));
    if ((v = json_object_get(chan, "id")) && json_is_integer(v))
        init->id = (uint16_t)json_integer_value(v);
}

/* ---- what duet peer calls ---- */

void peer_data_start(peer_data *d)
{
    duet_dc_init init;
    duet_dc *dc = NULL;

    read_channel_init(d->init, &init);
    if (!d->asked_for || (!d->is_offer && !init.negotiated))
        return;
    int err = duet_pc_create_data_channel(d->connection->pc, "chat", &init, &dc);
    if (err == DUET_OK)
        use_channel(d, dc);
    else
        d->on_failed(d->user, "--chan", err);
}

void peer_data_channel(peer_data *d, duet_dc *dc)
{
    if (d->is_offer || d->channel)
        return;
    use_channel(d, dc);
    d->opened = true;
}

bool peer_data_passed(const peer_data *d)
{
    return (!d->asked_for || d->passed) && (!d->sent_later || d->later_echoed);
}

void peer_data_send_later(peer_data *d)
{
    if (!d->channel)
        return;
    d->sent_later = true;
    int err = duet_dc_send(d->channel, later_text, sizeof(later_text) - 1, true);
    if (err != DUET_OK)
        d->on_failed(d->user, "message after the restart", err);
}

void peer_data_result(const peer_data *d, json_t *result)
{
    json_object_set_new(result, "dcOpen", json_boolean(d->opened));
    json_object_set_new(result, "dcSent", json_integer(d->sent));
    json_object_set_new(result, "dcReceived", json_integer(d->received));
    json_object_set_new(result, "dcEchoOk", json_integer(d->echo_ok));
    json_object_set_new(result, "dcBad", json_integer(d->bad));
    json_object_set_new(result, "dcMaxSent", json_integer(d->max_sent));
    json_object_set_new(result, "dcEmptyText", json_boolean(d->empty_text));
    json_object_set_new(result, "dcEmptyBinary", json_boolean(d->empty_binary));
}

void peer_data_stop(peer_data *d)
{
    duet_net_timer_cancel(d->lossy);
    d->lossy = NULL;
}
