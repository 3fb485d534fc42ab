/* DTMF tones as telephone events beside the audio: RFC 4733 section 2.5.1, W3C RTCDTMFSender. */
#include "peer/media_io.h"

#define UPDATE_EVERY   DUET_MS(20) /* the packet time of the audio, as browsers do */
#define GAP            DUET_MS(70) /* between two tones: W3C interToneGap, default */
#define DURATION_LEAST DUET_MS(40) /* W3C 7.2: "at least 40 ms" */
#define DURATION_MOST  DUET_SECONDS(6)
#define END_PACKETS    3       /* "a total of three times", RFC 4733 section 2.5.1.4; they fit into the gap */
#define SEGMENT_MAX    0xFFFFu /* of the duration field: longer tones are cut, section 2.5.1.3 */
#define VOLUME         10      /* -dBm0 */

static const duet_codec *event_codec(const pc_send *s, uint32_t clock_rate)
{
    return pc_send_beside(s, "telephone-event", clock_rate);
}

/* A tone keeps the clock that it began with. */
static duet_time units(const pc_dtmf *d, duet_time time)
{
    return pc_clock_units(time, d->clock_rate);
}

static duet_time tone_end(const pc_dtmf *d)
{
    return d->started + d->queue[0].duration;
}

static void send_event(pc_send *s, uint32_t duration, bool is_first, bool is_end, duet_time now)
{
    const pc_dtmf *d = &s->dtmf;
    const duet_codec *codec = event_codec(s, d->clock_rate);
    uint32_t timestamp = d->timestamp + d->segments * SEGMENT_MAX;
    duet_telephone_event event = {
        .event = d->queue[0].event, .end = is_end, .volume = VOLUME, .duration = (uint16_t)duration};
    uint8_t payload[4];
    size_t len;

    if (!codec || duet_telephone_event_write(&event, payload, sizeof(payload), &len) != DUET_OK)
        return;
    /* Sender reports go on telling the time of the audio, although this timestamp is from when the tone began. */
    duet_send_stream_set_capture_time(s->stream, timestamp,
                                      d->started + (duet_time)d->segments * SEGMENT_MAX * 1000000 / d->clock_rate);
    (void)duet_send_stream_send(s->stream, codec->payload_type, is_first, timestamp, payload, len, NULL, now);
}

/* Tells how long the tone is at `until`. "If an event persists beyond the maximum duration ..., the sender MUST send a packet
 * reporting this maximum duration but MUST NOT set the E bit ..., then begin reporting a new segment": section 2.5.1.3. */
static void report(pc_send *s, duet_time until, bool is_first, bool is_end, duet_time now)
{
    duet_time duration = units(&s->dtmf, until - s->dtmf.started) - (duet_time)s->dtmf.segments * SEGMENT_MAX;

    while (duration > SEGMENT_MAX) {
        send_event(s, SEGMENT_MAX, false, false, now);
        s->dtmf.segments++;
        duration -= SEGMENT_MAX;
    }
    send_event(s, (uint32_t)duration, is_first, is_end, now);
}

/* A packet that is sent now tells what the tone will be when the next one is due: a duration of 0 has another meaning. */
static void go_on(pc_send *s, bool is_first, duet_time now)
{
    duet_time next = now + UPDATE_EVERY, last = tone_end(&s->dtmf);

    s->dtmf.next = next < last ? next : last;
    report(s, s->dtmf.next, is_first, false, now);
}

static void begin(pc_send *s, duet_time now)
{
    s->dtmf.clock_rate = s->sender->codec.clock_rate;
    s->dtmf.timestamp = pc_send_timestamp(s, now, s->dtmf.clock_rate);
    s->dtmf.started = now;
    s->dtmf.segments = 0;
    s->dtmf.is_playing = true;
    s->dtmf.ends_left = END_PACKETS;
    go_on(s, true, now);
}

static void end(pc_send *s, duet_time now)
{
    duet_time last = tone_end(&s->dtmf);

    report(s, last, false, true, now);
    s->dtmf.next = now + UPDATE_EVERY;
    if (--s->dtmf.ends_left > 0)
        return;
    for (size_t i = 1; i < s->dtmf.count; i++)
        s->dtmf.queue[i - 1] = s->dtmf.queue[i];
    s->dtmf.count--;
    s->dtmf.is_playing = false;
    s->dtmf.next = last + GAP > now ? last + GAP : now;
}

void pc_dtmf_tick(pc_send *s, duet_time now)
{
    if (s->dtmf.count == 0 || now < s->dtmf.next || !duet_sender_is_active(s->sender))
        return;
    if (!s->dtmf.is_playing)
        begin(s, now);
    else if (now >= tone_end(&s->dtmf))
        end(s, now);
    else
        go_on(s, false, now);
}

duet_time pc_dtmf_deadline(const pc_send *s)
{
    return s->dtmf.count > 0 && duet_sender_is_active(s->sender) ? s->dtmf.next : DUET_NEVER;
}

int duet_sender_insert_dtmf(duet_sender *sender, uint8_t event, duet_time duration)
{
    pc_send *s = sender->send;

    if (!duet_sender_is_active(sender))
        return DUET_ERR_STATE;
    const duet_codec *codec = event_codec(s, sender->codec.clock_rate);
    if (event > 16 || duration < DURATION_LEAST || duration > DURATION_MOST)
        return DUET_ERR_INVALID;
    if (!codec || !duet_telephone_event_is_taken(codec->fmtp, event))
        return DUET_ERR_UNSUPPORTED;
    if (s->dtmf.count == PC_DTMF_MAX)
        return DUET_ERR_AGAIN;
    s->dtmf.queue[s->dtmf.count].event = event;
    s->dtmf.queue[s->dtmf.count++].duration = duration;
    pc_wake(s->transport->pc);
    return DUET_OK;
}
