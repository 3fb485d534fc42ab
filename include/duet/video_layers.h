/* What RTP header extensions say about the layers of a video, for those who forward some of them without a look into the
 * payload: the dependency descriptor (RTP Payload Format For AV1, appendix A; for any codec) and the video layers allocation
 * (version 0). Both are bytes in duet_rtp_extensions; here are their fields. No state but what the caller keeps. */
#ifndef DUET_VIDEO_LAYERS_H
#define DUET_VIDEO_LAYERS_H

#include "duet/rtp.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Spatial ids are 0 to 3 in both extensions, in AV1 and in VP9 as browsers send it. */
#define DUET_SPATIAL_LAYERS_MAX 4

/* ---- dependency descriptor --------------------------------------------------------------------------------------- */

/** Template ids have 6 bits. */
#define DUET_DEPENDENCY_TEMPLATES_MAX 64
/** dt_cnt_minus_one has 5 bits. */
#define DUET_DECODE_TARGETS_MAX 32
/** "chain_cnt = ns(DtCnt + 1)": at most one for each decode target. */
#define DUET_CHAINS_MAX 32
/** Temporal ids are 0 to 7, as in AV1. */
#define DUET_DEPENDENCY_TEMPORAL_LAYERS_MAX 8
/** Frames that one frame refers to; the specification has no bound, codecs have up to 16. */
#define DUET_FRAME_DIFFS_MAX 16

/** What a frame is for a decode target (decode target indication, table A.1). */
typedef enum duet_dti {
    DUET_DTI_NOT_PRESENT = 0,
    DUET_DTI_DISCARDABLE = 1, /**< no frame of the decode target refers to it */
    DUET_DTI_SWITCH = 2,   /**< the decode target may be entered here: it decodes from here on when this frame does */
    DUET_DTI_REQUIRED = 3, /**< neither of them */
} duet_dti;

/** A frame among others, as a template says it or for one frame alone. */
typedef struct duet_frame_dependencies {
    uint8_t spatial_id, temporal_id;
    uint8_t dtis[DUET_DECODE_TARGETS_MAX]; /**< duet_dti, one for each decode target */
    uint8_t frame_diff_count;
    /** frame_number minus that of each frame it refers to: 1 to 4096, in templates 1 to 16. */
    uint16_t frame_diffs[DUET_FRAME_DIFFS_MAX];
    /** frame_number minus that of the previous frame of each chain, 0: none is needed; in templates up to 15. */
    uint8_t chain_diffs[DUET_CHAINS_MAX];
} duet_frame_dependencies;

/** A subset of the frames that can be decoded alone. */
typedef struct duet_decode_target {
    uint8_t protected_by;            /**< the chain that says whether something was lost; only with chains */
    uint8_t spatial_id, temporal_id; /**< the highest of its frames; set by reading, ignored by writing */
} duet_decode_target;

/** Largest frames of a spatial layer, 1 to 65536 pixels. */
typedef struct duet_render_resolution {
    uint32_t width, height;
} duet_render_resolution;

/** What descriptors refer to: it comes with the first packet of a coded video sequence (a key frame) and is kept, for each
 *  stream, until the next. Zeroed: none has come. */
typedef struct duet_dependency_structure {
    uint8_t template_id_offset; /**< the id of templates[0]; ids go round after 63 */
    uint8_t template_count;     /**< 1 to 64; 0: there is no structure */
    uint8_t decode_target_count;
    uint8_t chain_count;   /**< 0 to decode_target_count */
    uint8_t spatial_count; /**< spatial layers of the templates; set by reading, ignored by writing */
    bool has_resolutions;
    duet_frame_dependencies templates[DUET_DEPENDENCY_TEMPLATES_MAX]; /**< by spatial, then by temporal id */
    duet_decode_target decode_targets[DUET_DECODE_TARGETS_MAX];
    duet_render_resolution resolutions[DUET_SPATIAL_LAYERS_MAX]; /**< by spatial id */
    /** Bit i: decode target i is sent at present (A.4); set by reading, ignored by writing. */
    uint32_t active_decode_targets;
} duet_dependency_structure;

/** The descriptor of one packet. */
typedef struct duet_dependency_descriptor {
    bool start_of_frame, end_of_frame; /**< it is the first, the last packet of its frame */
    uint8_t template_id;               /**< 0 to 63 */
    uint16_t frame_number;             /**< in decode order; goes round */
    bool has_structure;                /**< it brought the structure along, or shall */
    bool has_active_decode_targets;
    uint32_t active_decode_targets; /**< when it has them: bit i is decode target i */
    duet_frame_dependencies frame;  /**< of the template, or its own where it differs */
} duet_dependency_descriptor;

/** Reads a descriptor.
 *
 * @param structure  the structure of this stream; replaced when the descriptor brings one, and its active_decode_targets set
 *                   when it brings them; untouched on failure. Packets are best read in the order of sequence numbers: a
 *                   late one may belong to the structure before
 * @return DUET_OK; DUET_ERR_NOT_FOUND: no structure, or none with this template: it was lost, or is late. The fields up to
 *         frame_number are valid then. DUET_ERR_MALFORMED: too short, more templates, layers or diffs than fit
 *
 * AV1 RTP, A.8.2. Padding is ignored, whatever it holds. */
DUET_API int duet_dependency_descriptor_parse(duet_dependency_descriptor *out, duet_dependency_structure *structure,
                                              const uint8_t *data, size_t len);

/** Writes a descriptor in the fewest bytes: what its frame has in common with the template is left out.
 *
 * @param structure  what the receiver has, or with has_structure what it gets
 * @return DUET_OK; DUET_ERR_BUFFER; DUET_ERR_INVALID: the descriptor or structure has values that cannot be written: counts,
 *         diffs or resolutions outside their bounds, templates in another order, layers of the frame that are not those of
 *         its template, active decode targets that do not exist */
DUET_API int duet_dependency_descriptor_write(const duet_dependency_descriptor *descriptor,
                                              const duet_dependency_structure *structure, uint8_t *data,
                                              size_t capacity, size_t *len);

/** The template of an id, or NULL. */
DUET_API const duet_frame_dependencies *duet_dependency_template(const duet_dependency_structure *structure,
                                                                 uint8_t id);

/* ---- video layers allocation ------------------------------------------------------------------------------------- */

/** RTP streams of one video (simulcast). */
#define DUET_LAYERS_STREAMS_MAX 4
/** Temporal layers of a spatial layer. */
#define DUET_LAYERS_TEMPORAL_MAX 4
/** A written allocation is never longer. */
#define DUET_LAYERS_ALLOCATION_MAX 407

/** A spatial layer that is sent. */
typedef struct duet_allocated_layer {
    uint8_t temporal_count; /**< 1 to 4; 0: this layer is not sent */
    uint32_t kilobits
        [DUET_LAYERS_TEMPORAL_MAX]; /**< per second, to receive up to this temporal layer, with all lower spatial
                                                      layers that it needs */
    uint32_t width, height;         /**< 1 to 65536 pixels; only when the allocation has resolutions */
    uint8_t frame_rate;             /**< at most so many frames per second; likewise */
} duet_allocated_layer;

/** What a sender sends at present, in all its streams. */
typedef struct duet_layers_allocation {
    uint8_t stream_count; /**< 1 to 4; 0: nothing is sent */
    uint8_t stream_index; /**< the stream that this came with; 0 to 3 */
    bool has_resolutions; /**< of all layers, or of none */
    duet_allocated_layer layers[DUET_LAYERS_STREAMS_MAX][DUET_SPATIAL_LAYERS_MAX]; /**< by stream and spatial id */
} duet_layers_allocation;

/** Reads an allocation. @return DUET_OK; DUET_ERR_MALFORMED: it ends early or late, has streams but no layer, or a bit rate
 *  of more than 32 bits
 *
 *  http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00 */
DUET_API int duet_layers_allocation_parse(duet_layers_allocation *out, const uint8_t *data, size_t len);

/** Writes an allocation. An extension holds 255 bytes of it.
 *  @return DUET_OK; DUET_ERR_BUFFER; DUET_ERR_INVALID: counts or resolutions outside their bounds, streams without a layer */
DUET_API int duet_layers_allocation_write(const duet_layers_allocation *allocation, uint8_t *data, size_t capacity,
                                          size_t *len);

#ifdef __cplusplus
}
#endif
#endif
