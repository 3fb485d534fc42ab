/* Members of JSON objects that tell who somebody is: claims of a token, the answer of an authority. */
#ifndef DUET_SIGNALING_TOKEN_CLAIMS_H
#define DUET_SIGNALING_TOKEN_CLAIMS_H

#include "duet/signaling.h"
#include <jansson.h>

/* `out` is "" when the member is absent. @return false when it is there and is not a text that fits */
bool duet_token_copy_text(char *out, size_t size, const json_t *object, const char *name);

/* An array of names; unknown ones grant nothing. @return false when it is something else */
bool duet_token_read_permissions(unsigned *out, const json_t *list);

#endif
