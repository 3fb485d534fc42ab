/* The observer of a connection: a capture, a key log and an event log, all made from trace events. */
#include "app.h"
#include "pcapng.h"
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct app_trace {
    FILE *pcap, *keylog, *events;
    duet_time wall_offset; /* captures carry wall-clock time: monotonic time plus this */
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
    t->wall_offset = clock_us(CLOCK_REALTIME) - clock_us(CLOCK_MONOTONIC);
    if (t->pcap)
        pcapng_begin(t->pcap);
    return t;
}

static void close_file(FILE *f)
{
    if (f && f != stderr)
        fclose(f);
}

void app_trace_close(app_trace *t)
{
    if (!t)
        return;
    close_file(t->pcap);
    close_file(t->keylog);
    close_file(t->events);
    free(t);
}

static void write_packet(app_trace *t, const duet_trace_event *e)
{
    duet_time time = e->time + t->wall_offset;

    if (e->layer == DUET_LAYER_SCTP)
        pcapng_sctp(t->pcap, time, e->outgoing, e->data, e->len);
    else if (e->path)
        pcapng_datagram(t->pcap, time, e->path, e->outgoing, e->data, e->len);
}

static void write_event(app_trace *t, const duet_trace_event *e)
{
    json_t *line = json_object();

    json_object_set_new(line, "time", json_real((double)e->time / 1e6));
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
    json_dumpf(line, t->events, JSON_COMPACT);
    fputc('\n', t->events);
    fflush(t->events);
    json_decref(line);
}

void app_trace_event(app_trace *t, const duet_trace_event *e)
{
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
