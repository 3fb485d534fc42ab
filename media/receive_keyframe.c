/* Asking for key frames: PLI (RFC 4585 section 6.3.1), or FIR (RFC 5104 section 4.3.1) when only that is negotiated. A
 * request is repeated after 200 ms, then each 3 s, until a key frame came; and rests while nothing comes at all. */
#include "media/internal.h"

#define FIRST_REPEAT DUET_MS(200)
#define LATER_REPEAT DUET_SECONDS(3)
#define INTERVAL_MIN DUET_MS(100) /* between two requests, whoever asks how often */
#define SILENCE_MAX  DUET_SECONDS(30)

void duet_keyframe_timer(void *owner, duet_time now)
{
    duet_receive_stream *stream = owner;

    if (!stream->wants_keyframe)
        return;
    stream->keyframe_rests = now > stream->last_packet + SILENCE_MAX;
    if (stream->keyframe_rests)
        return;
    stream->keyframe_due = true;
    duet_receive_stream_has_feedback(stream);
}

void duet_keyframe_packet_came(duet_receive_stream *stream, duet_time now)
{
    if (stream->keyframe_rests)
        duet_keyframe_timer(stream, now);
}

void duet_receive_stream_request_keyframe(duet_receive_stream *stream, duet_time now)
{
    if (stream->wants_keyframe && !stream->keyframe_rests)
        return;
    stream->wants_keyframe = true;
    stream->keyframe_rests = false;
    stream->keyframe_tries = 0;
    stream->fir_sequence++;
    if (stream->has_asked && now < stream->asked_keyframe + INTERVAL_MIN) {
        duet_rtp_timer_set(stream->session, &stream->keyframe_timer, stream->asked_keyframe + INTERVAL_MIN);
    } else {
        stream->keyframe_due = true;
        duet_receive_stream_has_feedback(stream);
    }
    duet_rtp_session_wake(stream->session);
}

void duet_receive_stream_got_keyframe(duet_receive_stream *stream)
{
    stream->wants_keyframe = stream->keyframe_due = stream->keyframe_rests = false;
    duet_timers_cancel(&stream->session->timers, &stream->keyframe_timer.timer);
}

static uint32_t feedback_of(const duet_receive_stream *stream)
{
    const duet_codec *codec = duet_rtp_section_codec(stream->section, stream->payload_type);

    return codec ? codec->feedback : stream->section->feedback;
}

int duet_keyframe_write(duet_receive_stream *stream, duet_rtcp_writer *w, duet_time now)
{
    uint32_t feedback = feedback_of(stream), own = duet_rtp_session_ssrc(stream->session);
    bool fir = (feedback & DUET_FEEDBACK_CCM_FIR) && !(feedback & DUET_FEEDBACK_NACK_PLI);
    int err = fir ? duet_rtcp_write_fir(w, own, stream->ssrc, stream->fir_sequence)
                  : duet_rtcp_write_pli(w, own, stream->ssrc);

    if (err != DUET_OK)
        return err;
    if (fir)
        stream->stats.fir_count++;
    else
        stream->stats.pli_count++;
    stream->keyframe_due = false;
    stream->has_asked = true;
    stream->asked_keyframe = now;
    duet_rtp_timer_set(stream->session, &stream->keyframe_timer,
                       now + (stream->keyframe_tries == 0 ? FIRST_REPEAT : LATER_REPEAT));
    if (stream->keyframe_tries < UINT8_MAX)
        stream->keyframe_tries++;
    return DUET_OK;
}
