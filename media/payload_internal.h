/* What the payload formats share: the two objects and the table of functions that each format fills. */
#ifndef DUET_MEDIA_PAYLOAD_INTERNAL_H
#define DUET_MEDIA_PAYLOAD_INTERNAL_H

#include "base/bytes.h"
#include "base/memory.h"
#include "duet/payload.h"
#include "media/vpx_header.h"

typedef struct duet_payload_ops {
    bool is_video;
    /* `payload` is not empty. `out` holds duet_payload_info's defaults: nothing known. */
    int (*inspect)(duet_reader payload, duet_payload_info *out);
    /* p->frame is the new frame, p->info what is known of it. */
    int (*begin)(duet_packetizer *p);
    /* Writes one payload into room for p->payload_max bytes. There is something left of the frame. */
    void (*next)(duet_packetizer *p, duet_writer *w);
    bool (*is_done)(const duet_packetizer *p);
    /* Appends one payload, which is not empty, to the frame. */
    int (*add)(duet_depacketizer *d, duet_reader payload);
    /* What is to be done when all payloads are there; may be NULL. */
    int (*end)(duet_depacketizer *d);
} duet_payload_ops;

extern const duet_payload_ops duet_payload_opus;
extern const duet_payload_ops duet_payload_g711;
extern const duet_payload_ops duet_payload_vp8;
extern const duet_payload_ops duet_payload_vp9;
extern const duet_payload_ops duet_payload_h264;
extern const duet_payload_ops duet_payload_h265;
extern const duet_payload_ops duet_payload_av1;

#define DUET_PAYLOAD_MAX_LEAST 32    /* room for the longest descriptor and as much of the frame */
#define DUET_PAYLOAD_MAX_MOST  65535 /* no datagram is longer, and lengths inside payloads have 16 bits */

struct duet_packetizer {
    duet_env env;
    const duet_payload_ops *ops;
    size_t payload_max;
    size_t payload_max_next; /* from the next frame on */
    bool h264_mode_0;

    duet_reader frame; /* what is left of it */
    duet_frame_info info;
    bool has_info;         /* the caller gave it */
    bool at_start;         /* nothing has been taken of the frame yet */
    uint16_t picture_id;   /* VP8, VP9: of this frame, 15 bits */
    uint16_t next_picture; /* VP8, VP9: of the next one */
    uint8_t tl0_index;     /* VP8, VP9: of the base layer's last frame */
    duet_bytes unit;       /* H.264, H.265: the NAL unit at hand; AV1: the payload of the OBU at hand */
    size_t unit_sent;      /* how much of the unit (H.264, H.265: behind its header) has left in fragments */
    uint8_t header[2];     /* AV1: the header of the OBU at hand, as it is on the wire */
    size_t header_len;
    size_t wire_left; /* AV1: bytes of the OBUs that have not left, with their headers */
};

struct duet_depacketizer {
    duet_env env;
    const duet_payload_ops *ops;
    size_t frame_max;
    duet_buffer frame; /* its memory is kept from frame to frame */
    int err;           /* why the frame is spoilt; DUET_OK otherwise */
    size_t payloads;   /* of this frame */
    bool in_fragment;  /* the last payload ended inside of a unit */
    bool is_complete;  /* `end` has been called */
    size_t unit_start; /* where the unit at hand begins in the frame: NAL unit, OBU, frame of a VP9 layer */
    size_t layer_len[DUET_VP9_FRAMES_MAX]; /* VP9: of the layers' frames that are complete */
    unsigned layers;
};

/* How much of `left` bytes the next payload takes when they are spread evenly over payloads of at most `room`, of which
 * the first has a header longer by `extra`. At least 1. */
size_t duet_payload_share(size_t left, size_t extra, size_t room);
/* Moves the next `len` bytes of the frame into the payload. */
void duet_payload_take(duet_packetizer *p, duet_writer *w, size_t len);
/* Nothing left of p->frame: what VP8, VP9 and audio give as is_done. */
bool duet_payload_frame_taken(const duet_packetizer *p);
/* The picture id of this frame and TL0PICIDX, which VP8 and VP9 count alike. */
void duet_payload_count_picture(duet_packetizer *p);
/* | M | picture id (7, with M 15) |, of VP8 and VP9. */
void duet_payload_read_picture_id(duet_reader *r, duet_payload_info *out);
/* Appends to the frame. DUET_ERR_TOO_LARGE, DUET_ERR_NOMEM */
int duet_payload_append(duet_depacketizer *d, duet_bytes bytes);

#endif
