/* Header extensions of RTP by what their ids were negotiated to mean: only a description says it, so the user does. */
#ifndef DUET_APPS_INSPECT_EXTENSIONS_H
#define DUET_APPS_INSPECT_EXTENSIONS_H

#include "duet/video_layers.h"
#include "inspect.h"

#define INSPECT_LAYERED_STREAMS_MAX 8

/* Zeroed: no id has a meaning. */
typedef struct inspect_extensions {
    duet_rtp_extension_map map;
    /* What later packets of a stream refer to; the oldest makes room for one more. */
    struct {
        uint32_t ssrc;
        bool in_use;
        duet_dependency_structure structure;
    } streams[INSPECT_LAYERED_STREAMS_MAX];
    size_t next_stream;
} inspect_extensions;

/* "9=dependency-descriptor", or with the URI behind the sign. @return false when it is neither */
bool inspect_extensions_add(inspect_extensions *x, const char *assignment);
/* Names the elements of a packet, whose payload may be encrypted, in the member "extension" of `model`: those that have a
 * meaning get their values instead of bytes. @return DUET_OK or DUET_ERR_NOMEM */
int inspect_extensions_name(inspect_extensions *x, const uint8_t *data, size_t len, json_t *model);

/* inspect_layers.c */
/* @param structure  of the stream; a new one replaces it */
json_t *inspect_dependency_descriptor(duet_dependency_structure *structure, const uint8_t *data, size_t len);
json_t *inspect_layers_allocation(const uint8_t *data, size_t len);

#endif
