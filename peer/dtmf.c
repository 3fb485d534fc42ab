/* DTMF tones as telephone events beside the audio: RFC 4733 section 2.5.1, W3C RTCDTMFSender. */
#include "peer/media_io.h"
#include <strings.h>

#define UPDATE_EVERY   DUET_MS(50)
#define GAP            DUET_MS(70) /* between two tones: W3C interToneGap, default */
#define DURATION_LEAST DUET_MS(40) /* W3C 7.2: "at least 40 ms" */
#define DURATION_MOST  DUET_SECONDS(6)
#define END_PACKETS    3       /* "a total of three times", RFC 4733 section 2.5.1.4 */
#define SEGMENT_MAX    0xFFFFu /* of the duration field: longer tones are cut, section 2.5.1.3 */
#define VOLUME         10      /* -dBm0 */

static const duet_codec *event_codec(const pc_send *s)
{
    for (size_t i = 0; i < s->codec_count; i++) {
        const duet_codec *c = &s->codecs[i];
        if (strcasecmp(c->name, "telephone-event") == 0 && c->clock_rate == s->sender->codec.clock_rate)
            return c;
    }
    return NULL;
}

static uint32_t units(const pc_send *s, duet_time time)
{
    return (uint32_t)(time * s->sender->codec.clock_rate / 1000000);
}

static void send_event(pc_send *s, uint32_t duration, bool is_first, bool is_end, duet_time now)
{
    const duet_codec *codec = event_codec(s);
    duet_telephone_event event = {
        .event = s->dtmf.queue[0].event, .end = is_end, .volume = VOLUME, .duration = (uint16_t)duration};
    uint8_t payload[4];
    size_t len;

    if (codec && duet_telephone_event_write(&event, payload, sizeof(payload), &len) == DUET_OK)
        (void)duet_send_stream_send(s->stream, codec->payload_type, is_first, s->dtmf.timestamp, payload, len, NULL,
                                    now);
}

static void begin(pc_send *s, duet_time now)
{
    duet_time offset =
        now / 1000000 * s->sender->codec.clock_rate + now % 1000000 * s->sender->codec.clock_rate / 1000000;

    s->dtmf.timestamp = duet_send_stream_timestamp_base(s->stream) + (uint32_t)offset;
    s->dtmf.started = s->dtmf.segment_began = now;
    s->dtmf.is_playing = true;
    s->dtmf.ends_left = END_PACKETS;
    send_event(s, units(s, UPDATE_EVERY), true, false, now);
    s->dtmf.next = now + UPDATE_EVERY;
}

static void end(pc_send *s, duet_time now)
{
    duet_time length = s->dtmf.started + s->dtmf.queue[0].duration - s->dtmf.segment_began;

    send_event(s, units(s, length), false, true, now);
    s->dtmf.next = now + UPDATE_EVERY;
    if (--s->dtmf.ends_left > 0)
        return;
    for (size_t i = 1; i < s->dtmf.count; i++)
        s->dtmf.queue[i - 1] = s->dtmf.queue[i];
    s->dtmf.count--;
    s->dtmf.is_playing = false;
    s->dtmf.next = now + GAP;
}

static void go_on(pc_send *s, duet_time now)
{
    uint32_t duration = units(s, now + UPDATE_EVERY - s->dtmf.segment_began);

    if (duration > SEGMENT_MAX) {
        duet_time full = (duet_time)SEGMENT_MAX * 1000000 / s->sender->codec.clock_rate;
        send_event(s, SEGMENT_MAX, false, false, now);
        s->dtmf.segment_began += full;
        s->dtmf.timestamp += SEGMENT_MAX;
        duration -= SEGMENT_MAX;
    }
    send_event(s, duration, false, false, now);
    s->dtmf.next = now + UPDATE_EVERY;
}

void pc_dtmf_tick(pc_send *s, duet_time now)
{
    if (s->dtmf.count == 0 || now < s->dtmf.next || !duet_sender_is_active(s->sender))
        return;
    if (!s->dtmf.is_playing)
        begin(s, now);
    else if (now >= s->dtmf.started + s->dtmf.queue[0].duration)
        end(s, now);
    else
        go_on(s, now);
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
    if (!event_codec(s))
        return DUET_ERR_UNSUPPORTED;
    if (event > 16 || duration < DURATION_LEAST || duration > DURATION_MOST)
        return DUET_ERR_INVALID;
    if (s->dtmf.count == PC_DTMF_MAX)
        return DUET_ERR_AGAIN;
    s->dtmf.queue[s->dtmf.count].event = event;
    s->dtmf.queue[s->dtmf.count++].duration = duration;
    pc_wake(s->transport->pc);
    return DUET_OK;
}
