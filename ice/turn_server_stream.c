/* Clients on TCP and TLS: frames out of the stream (RFC 8656 section 12.5), and bounds for those that are slow or say nothing.
 *
 * A stream without an allocation is a stranger: it has a short time, short frames, and a bounded number of its like. When there
 * are too many the oldest goes, so that whoever holds connections open keeps nobody out for long. */
#include "base/log.h"
#include "base/memory.h"
#include "ice/turn_server.h"
#include <errno.h>

turn_stream *duet_turn_stream(const duet_turn_server *s, uint32_t id)
{
    turn_node *node = duet_turn_table_find(&s->streams, id);

    return node ? DUET_TURN_OF(node, turn_stream, node) : NULL;
}

static void stop_waiting(duet_turn_server *s, turn_stream *t)
{
    if (!t->waiting)
        return;
    *(t->previous ? &t->previous->next : &s->first_waiting) = t->next;
    *(t->next ? &t->next->previous : &s->last_waiting) = t->previous;
    t->next = t->previous = NULL;
    t->waiting = false;
    s->stream_waiting_count--;
    duet_timers_cancel(&s->stream_timers, &t->timer);
}

/* The stream is forgotten; the driver is told when it asks. */
static void close_stream(duet_turn_server *s, turn_stream *t, duet_time now)
{
    turn_allocation *a = t->allocation;

    stop_waiting(s, t);
    duet_turn_table_remove(&s->streams, &t->node);
    duet_frames_free(&t->frames);
    t->allocation = NULL;
    if (a) {
        a->stream = NULL;
        duet_turn_allocation_end(s, a, now); /* nothing can reach its client any more */
    }
    t->next_closing = s->first_closing;
    s->first_closing = t;
}

static void start_waiting(duet_turn_server *s, turn_stream *t, duet_time now)
{
    if (s->stream_waiting_count >= s->config.streams_waiting_max && s->first_waiting) {
        s->stats.streams_refused++;
        close_stream(s, s->first_waiting, now);
    }
    t->waiting = true;
    t->previous = s->last_waiting;
    *(s->last_waiting ? &s->last_waiting->next : &s->first_waiting) = t;
    s->last_waiting = t;
    s->stream_waiting_count++;
    duet_timers_set(&s->stream_timers, &t->timer, now + s->config.stream_wait);
}

void duet_turn_stream_settle(duet_turn_server *s, turn_stream *t, duet_time now)
{
    t->frames.frame_max = t->allocation ? TURN_FRAME_MAX : TURN_FRAME_WAITING_MAX;
    if (t->allocation)
        stop_waiting(s, t);
    else if (!t->waiting)
        start_waiting(s, t, now);
}

/* A connection that cannot be kept is asked to be closed; without memory for that, the driver's own bounds end it. */
static void refuse_stream(duet_turn_server *s, turn_stream *t)
{
    s->stats.streams_refused++;
    if (!t)
        return;
    t->next_closing = s->first_closing;
    s->first_closing = t;
}

void duet_turn_stream_accepted(duet_turn_server *s, const duet_answer *answer, duet_time now)
{
    bool known = answer->id >= 1 && answer->id <= s->listening_count;
    turn_stream *t = duet_calloc(&s->env, sizeof(*t));

    if (t)
        t->id = answer->accepted;
    if (!t || !known || answer->err != DUET_OK || s->streams.count >= s->config.streams_max) {
        refuse_stream(s, t);
        return;
    }
    t->path = (duet_path){.socket = answer->accepted,
                          .protocol = s->listenings[answer->id - 1].config.protocol,
                          .local = answer->local,
                          .remote = answer->remote};
    duet_frames_init(&t->frames, &s->env, DUET_FRAMING_TURN, TURN_FRAME_WAITING_MAX);
    duet_turn_table_insert(&s->streams, &t->node, t->id);
    duet_turn_stream_settle(s, t, now);
}

void duet_turn_stream_input(duet_turn_server *s, turn_stream *t, duet_datagram *in, duet_time now)
{
    duet_piece piece = {in->data, in->len}, frame;
    duet_path path = t->path;
    uint32_t id = t->id;
    int found;

    while ((found = duet_frames_next(&t->frames, &piece, &frame)) == 1) {
        duet_turn_message(s, &path, t, frame.data, frame.len, in->ecn, now);
        if (duet_turn_stream(s, id) != t)
            return; /* closed by what it said */
    }
    if (found < 0) {
        s->stats.discarded++;
        close_stream(s, t, now);
    }
}

void duet_turn_stream_error(duet_turn_server *s, turn_stream *t, int error, duet_time now)
{
    if (error == EAGAIN)
        s->stats.dropped_stream++;
    else
        close_stream(s, t, now);
}

void duet_turn_stream_expired(duet_turn_server *s, turn_stream *t, duet_time now)
{
    s->stats.streams_refused++;
    duet_log(&s->env, DUET_LOG_DEBUG, "turn", "stream closed: no allocation in time");
    close_stream(s, t, now);
}

bool duet_turn_stream_request(duet_turn_server *s, duet_request *out)
{
    turn_stream *t = s->first_closing;

    if (!t)
        return false;
    s->first_closing = t->next_closing;
    *out = (duet_request){.kind = DUET_REQUEST_CLOSE, .id = t->id};
    duet_free(&s->env, t);
    return true;
}

static void free_stream(duet_turn_server *s, turn_stream *t)
{
    duet_frames_free(&t->frames);
    duet_free(&s->env, t);
}

void duet_turn_streams_free(duet_turn_server *s)
{
    for (size_t i = 0; i < s->streams.bucket_count && s->streams.buckets; i++) {
        for (turn_node *node = s->streams.buckets[i], *next; node; node = next) {
            next = node->next;
            free_stream(s, DUET_TURN_OF(node, turn_stream, node));
        }
    }
    while (s->first_closing) {
        turn_stream *t = s->first_closing;
        s->first_closing = t->next_closing;
        duet_free(&s->env, t);
    }
}
