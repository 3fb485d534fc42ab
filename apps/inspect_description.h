/* What a description says about RTP: payload types, and ids of header extensions. Packets do not tell what these mean. */
#ifndef DUET_APPS_INSPECT_DESCRIPTION_H
#define DUET_APPS_INSPECT_DESCRIPTION_H

#include "inspect_extensions.h"

#define INSPECT_PAYLOAD_TYPES 128

/* Zeroed: no payload type has a meaning. */
typedef struct inspect_formats {
    struct {
        char codec[32]; /* "" when nothing is known */
        int16_t
            original; /* rtx: the payload type of what is sent again (RFC 4588 section 8.1); -1 when it is not told */
    } types[INSPECT_PAYLOAD_TYPES];
} inspect_formats;

/* Takes what the m-sections of a description say; later ones go before earlier ones.
 * @param data  SDP, or JSON with a member "sdp" as browsers and duet peer write it, of which several may follow each other
 * @return DUET_OK, DUET_ERR_MALFORMED with `error` filled, DUET_ERR_NOMEM */
int inspect_description_add(inspect_formats *formats, inspect_extensions *extensions, const uint8_t *data, size_t len,
                            inspect_error *error);
/* Adds to the model of a packet what its payload type means.
 * @param is_plain  the payload is not encrypted: it is decoded, too */
int inspect_formats_name(const inspect_formats *formats, const uint8_t *data, size_t len, bool is_plain, json_t *model);

#endif
