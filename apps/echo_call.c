/* The caller of `duet echo`: sends one message after the other, each when the echo of the last has come, and
 * measures how long that took. */
#include "echo.h"
#include <stdlib.h>
#include <string.h>

struct echo_call {
    echo *owner;
    echo_peer *peer;
    duet_dc *channel;
    uint8_t *message;
    size_t len;
    bool is_text;
    unsigned sent, received;
    duet_time sent_at;
    double rtt_min, rtt_max, rtt_sum; /* milliseconds */
};

int echo_call_create(echo *e)
{
    echo_call *c = calloc(1, sizeof(*c));

    e->call = c;
    if (!c)
        return DUET_ERR_NOMEM;
    c->owner = e;
    c->is_text = e->options.size == 0;
    c->len = c->is_text ? strlen(e->options.message) : e->options.size;
    c->message = malloc(c->len + 1);
    if (!c->message)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < c->len; i++)
        c->message[i] = c->is_text ? (uint8_t)e->options.message[i] : (uint8_t)(i ^ (i >> 8) ^ (i >> 16));
    return DUET_OK;
}

void echo_call_destroy(echo_call *c)
{
    if (c)
        free(c->message);
    free(c);
}

static void send_next(echo_call *c)
{
    c->sent_at = echo_clock();
    int err = duet_dc_send(c->channel, c->message, c->len, c->is_text);
    if (err == DUET_OK)
        c->sent++;
    else
        echo_fail(c->owner, "a message of %zu bytes could not be sent: %s", c->len, duet_strerror(err));
}

static void count_echo(echo_call *c, double ms)
{
    c->rtt_min = c->received == 0 || ms < c->rtt_min ? ms : c->rtt_min;
    c->rtt_max = ms > c->rtt_max ? ms : c->rtt_max;
    c->rtt_sum += ms;
    c->received++;
}

static void say_echo(const echo_call *c, double ms)
{
    json_t *object =
        json_pack("{s:s,s:i,s:I,s:f}", "type", "echo", "n", (int)c->received, "bytes", (json_int_t)c->len, "rttMs", ms);
    char quoted[96];

    if (c->is_text) {
        json_object_set_new(object, "text", json_stringn((const char *)c->message, c->len));
        echo_say(c->owner, object, "echo %u: %s after %.2f ms", c->received,
                 echo_quote(quoted, sizeof(quoted), (const char *)c->message, c->len), ms);
    } else {
        echo_say(c->owner, object, "echo %u: %zu bytes after %.2f ms", c->received, c->len, ms);
    }
}

static void on_message(void *user, duet_dc *dc, const uint8_t *data, size_t len, bool is_text)
{
    echo_call *c = user;
    double ms = (double)(echo_clock() - c->sent_at) / 1000.0;

    (void)dc;
    if (c->owner->finished)
        return;
    if (len != c->len || is_text != c->is_text || memcmp(data, c->message, len) != 0) {
        echo_fail(c->owner, "what came back is not what was sent: %zu bytes of %s", len, is_text ? "text" : "binary");
        return;
    }
    count_echo(c, ms);
    if (!c->owner->options.quiet)
        say_echo(c, ms);
    if (c->received == c->owner->options.count)
        echo_finish(c->owner, APP_OK);
    else
        send_next(c);
}

static void on_open(void *user, duet_dc *dc)
{
    (void)dc;
    send_next(user);
}

static void on_close(void *user, duet_dc *dc)
{
    echo_call *c = user;

    (void)dc;
    echo_fail(c->owner, "the data channel closed");
}

void echo_call_begin(echo_call *c, echo_peer *peer)
{
    duet_dc_callbacks callbacks = {
        .size = sizeof(callbacks), .on_open = on_open, .on_message = on_message, .on_close = on_close, .user = c};

    c->peer = peer;
    int err = duet_pc_create_data_channel(peer->connection.pc, c->owner->options.channel, NULL, &c->channel);
    if (err == DUET_OK)
        duet_dc_set_callbacks(c->channel, &callbacks);
    else
        echo_fail(c->owner, "data channel: %s", duet_strerror(err));
}

void echo_call_report(const echo_call *c, json_t *result)
{
    json_object_set_new(result, "sent", json_integer(c->sent));
    json_object_set_new(result, "received", json_integer(c->received));
    json_object_set_new(result, "bytes", json_integer((json_int_t)(c->received * c->len)));
    if (c->received > 0) {
        json_object_set_new(result, "rttMinMs", json_real(c->rtt_min));
        json_object_set_new(result, "rttAvgMs", json_real(c->rtt_sum / c->received));
        json_object_set_new(result, "rttMaxMs", json_real(c->rtt_max));
    }
    if (c->peer)
        app_stats_summary(c->peer->connection.pc, result);
}
