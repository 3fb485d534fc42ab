/* Base 64 (RFC 4648): the plain alphabet with padding for WebSocket keys, the URL-safe one without for tokens and
 * ids. */
#ifndef DUET_SIGNALING_ENCODE_H
#define DUET_SIGNALING_ENCODE_H

#include "base/memory.h"

/* Characters, without a NUL. */
#define DUET_BASE64_LEN(n)    (((n) + 2) / 3 * 4)
#define DUET_BASE64URL_LEN(n) (((n)*4 + 2) / 3)

/* Both append; a buffer that is out of memory turns failed. */
void duet_base64_encode(duet_buffer *out, const void *data, size_t len);
void duet_base64url_encode(duet_buffer *out, const void *data, size_t len);

/* Into an array for DUET_BASE64URL_LEN(len) characters and a NUL. @return DUET_OK or DUET_ERR_NOMEM */
int duet_base64url_text(char *out, const duet_env *env, const void *data, size_t len);

/* Strict: no padding, no characters of other alphabets, no left-over bits (RFC 4648 section 3.5), so that every text
 * has one value and every value one text. @return DUET_OK, DUET_ERR_MALFORMED or DUET_ERR_NOMEM */
int duet_base64url_decode(duet_buffer *out, const char *text, size_t len);

#endif
