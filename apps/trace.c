/* The observer of a connection: a capture, a key log and an event log, all made from trace events. */
#include "app.h"
#include "pcapng.h"
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* An incoming datagram that is not written yet. The keys that come of one have to stand before it in the file, or
 * readers that decrypt as they go miss the first encrypted record. */
typedef struct held_datagram {
    bool is_held;
    duet_time time;
    duet_path path;
    uint8_t *data;
    size_t len, capacity;
} held_datagram;

struct app_trace {
    FILE *pcap, *keylog, *events;
    duet_time wall_offset; /* files carry wall-clock time: monotonic time plus this */
    duet_time latest;      /* what happens before an object knows the time happens now */
    held_datagram held;
};

static bool open_file(FILE **out, const char *name)
{
    if (!name)
        return true;
    *out = strcmp(name, "-") == 0 ? stderr : fopen(name, "wbe");
    if (*out)
        return true;
    app_error("cannot write %s: %s", name, strerror(errno));
    return false;
}

static duet_time clock_us(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (duet_time)ts.tv_sec * 1000000u + (duet_time)ts.tv_nsec / 1000u;
}

app_trace *app_trace_open(const app_trace_options *options)
{
    app_trace *t = calloc(1, sizeof(*t));

    if (!t || !open_file(&t->pcap, options->pcap) || !open_file(&t->keylog, options->keylog) ||
        !open_file(&t->events, options->events)) {
        app_trace_close(t);
        return NULL;
    }
    t->latest = clock_us(CLOCK_MONOTONIC);
    t->wall_offset = clock_us(CLOCK_REALTIME) - t->latest;
    if (t->pcap)
        pcapng_begin(t->pcap);
    return t;
}

static void close_file(FILE *f)
{
    if (f && f != stderr)
        fclose(f);
}

static void write_held(app_trace *t)
{
    held_datagram *h = &t->held;

    if (h->is_held)
        pcapng_datagram(t->pcap, h->time, &h->path, false, h->data, h->len);
    h->is_held = false;
}

void app_trace_close(app_trace *t)
{
    if (!t)
        return;
    write_held(t);
    free(t->held.data);
    close_file(t->pcap);
    close_file(t->keylog);
    close_file(t->events);
    free(t);
}

/* @return false when there is no memory: then it is written at once */
static bool hold(held_datagram *h, const duet_trace_event *e, duet_time time)
{
    if (e->len > h->capacity) {
        uint8_t *grown = realloc(h->data, e->len);
        if (!grown)
            return false;
        h->data = grown;
        h->capacity = e->len;
    }
    if (e->len)
        memcpy(h->data, e->data, e->len);
    h->len = e->len;
    h->time = time;
    h->path = *e->path;
    h->is_held = true;
    return true;
}

static void write_packet(app_trace *t, const duet_trace_event *e)
{
    duet_time time = e->time + t->wall_offset;

    write_held(t);
    if (e->layer == DUET_LAYER_DATAGRAM && e->path && !e->outgoing && hold(&t->held, e, time))
        return;
    if (e->layer == DUET_LAYER_SCTP)
        pcapng_sctp(t->pcap, time, e->outgoing, e->data, e->len);
    else if (e->layer == DUET_LAYER_RTP)
        pcapng_rtp(t->pcap, time, e->outgoing, e->data, e->len);
    else if (e->path)
        pcapng_datagram(t->pcap, time, e->path, e->outgoing, e->data, e->len);
}

static void write_event(app_trace *t, const duet_trace_event *e)
{
    json_t *line = json_object();

    json_object_set_new(line, "time", json_real((double)(t->latest + t->wall_offset) / 1e6));
    json_object_set_new(line, "event", json_string(e->kind == DUET_TRACE_STATE ? "state" : "discard"));
    json_object_set_new(line, "module", json_string(e->module));
    json_object_set_new(line, "subject", json_string(e->subject));
    if (e->kind == DUET_TRACE_STATE) {
        json_object_set_new(line, "from", json_string(e->from));
        json_object_set_new(line, "to", json_string(e->to));
    } else {
        json_object_set_new(line, "bytes", json_integer((json_int_t)e->len));
    }
    json_object_set_new(line, "cause", json_string(e->cause ? e->cause : ""));
    json_dumpf(line, t->events, JSON_COMPACT | JSON_REAL_PRECISION(16)); /* microseconds, and no more */
    fputc('\n', t->events);
    fflush(t->events);
    json_decref(line);
}

void app_trace_event(app_trace *t, const duet_trace_event *e)
{
    if (e->time > t->latest)
        t->latest = e->time;
    if (e->kind == DUET_TRACE_PACKET && t->pcap)
        write_packet(t, e);
    if (e->kind == DUET_TRACE_KEY && t->pcap)
        pcapng_secret(t->pcap, e->text);
    if (e->kind == DUET_TRACE_KEY && t->keylog) {
        fprintf(t->keylog, "%s\n", e->text);
        fflush(t->keylog);
    }
    if ((e->kind == DUET_TRACE_STATE || e->kind == DUET_TRACE_DISCARD) && t->events)
        write_event(t, e);
}
