/* The video jitter buffer in two parts: which frame comes next (video_jitter_frames.c), and when (video_jitter.c). */
#ifndef DUET_MEDIA_VIDEO_JITTER_INTERNAL_H
#define DUET_MEDIA_VIDEO_JITTER_INTERNAL_H

#include "base/memory.h"
#include "media/jitter_delay.h"
#include "media/jitter_store.h"

#define DUET_JITTER_NO_SEQUENCE INT64_MIN

/* A frame among the stored packets. Packets without payload (padding) may lie in it and count as nothing. */
typedef struct duet_jitter_span {
    int64_t first, last; /* of a complete one; `last` of an incomplete one is the packet before the hole */
    bool is_complete, is_keyframe, is_discardable;
} duet_jitter_span;

/* What was given out last, for the continuity of its references. */
typedef struct duet_jitter_references {
    bool is_known;
    int32_t picture_id;
    uint8_t picture_id_bits;
    int16_t tl0_picture_index;
    int8_t broken_layer; /* temporal layers from this one on miss a frame; INT8_MAX: none */
} duet_jitter_references;

/* What duet_video_jitter_next does, and when. */
typedef enum duet_jitter_step {
    DUET_JITTER_IDLE = 0, /* nothing can be done without another packet, except giving up */
    DUET_JITTER_GIVE,     /* `frame` can be given out at plan.due */
    DUET_JITTER_SKIP,     /* as before, but something before it is missing and will be left behind */
} duet_jitter_step;

typedef struct duet_jitter_plan {
    duet_jitter_step step;
    duet_jitter_span frame;
    duet_time due;     /* of the frame */
    int64_t keyframe;  /* the first packet of one that is awaited and not whole; DUET_JITTER_NO_SEQUENCE: none */
    duet_time give_up; /* when what is missing is no longer waited for; DUET_NEVER when nothing is */
} duet_jitter_plan;

struct duet_video_jitter {
    duet_env env;
    duet_payload_format format;
    bool is_video;
    duet_time wait_max, delay_min, delay_max;
    duet_jitter_store store;
    duet_jitter_delay delay;
    duet_depacketizer *depacketizer;

    int64_t next; /* the sequence number behind the last frame; DUET_JITTER_NO_SEQUENCE before the first */
    int64_t restart_candidate;
    bool needs_keyframe;
    bool has_abandoned; /* the rest of the frame with this timestamp is of no use */
    uint32_t abandoned_timestamp;
    duet_jitter_references references;
    duet_jitter_plan plan;

    duet_time target_delay; /* moves slowly towards what the estimate says */
    duet_time last_render;
    uint32_t last_timestamp; /* of the last frame that was timed */
    bool is_timed;
    duet_video_jitter_stats stats;
};

/* Finds out what comes next. Drops what can never be decoded, and counts it. */
void duet_video_jitter_replan(duet_video_jitter *j);
/* Leaves behind what is missing and what depends on it. */
void duet_video_jitter_give_up(duet_video_jitter *j, duet_time now);
/* The frame has been given out. */
void duet_video_jitter_remember(duet_video_jitter *j, const duet_jitter_span *frame);
/* Everything below this sequence number is done with. */
void duet_video_jitter_advance(duet_video_jitter *j, int64_t next);
/* Makes the render time of a complete frame; when it should be given out. */
duet_time duet_video_jitter_due(duet_video_jitter *j, const duet_jitter_span *frame);
/* Its first packet that has a payload. */
const duet_jitter_slot *duet_video_jitter_first_slot(const duet_video_jitter *j, const duet_jitter_span *frame);

#endif
