/* Wire formats as tables of fields: the same table decodes bytes to JSON members and encodes them again. */
#ifndef DUET_APPS_INSPECT_LAYOUT_H
#define DUET_APPS_INSPECT_LAYOUT_H

#include "inspect.h"

/* No datagram is longer, so the model of one is bounded too. */
#define INSPECT_DATAGRAM_MAX 65535

/* A reader that knows where it is in the whole input, and what it reads, for errors. */
typedef struct inspect_cursor {
    duet_reader r;
    size_t base;         /* offset of r's first byte */
    const char *what;    /* "INIT chunk" */
    const char *section; /* "RFC 9260, 3.3.2" */
    inspect_error *error;
} inspect_cursor;

inspect_cursor inspect_cursor_init(const uint8_t *data, size_t len, inspect_error *error);
size_t inspect_offset(const inspect_cursor *c);
size_t inspect_left(const inspect_cursor *c);
/* The next `len` bytes (which must be there) as a cursor of their own, and steps over them. */
inspect_cursor inspect_sub(inspect_cursor *c, size_t len);
/* Fills the error. @return DUET_ERR_MALFORMED */
int inspect_fail(const inspect_cursor *c, size_t offset, const char *format, ...) DUET_PRINTF(3, 4);

typedef enum inspect_field_kind {
    INSPECT_END = 0,
    INSPECT_NUMBER,   /* `size` bytes, a JSON integer */
    INSPECT_CODE,     /* `size` bytes, "0x001d x25519": the name is for people */
    INSPECT_OPTIONAL, /* as NUMBER, absent when no byte is left */
    INSPECT_FIXED,    /* `size` bytes as hexadecimal digits */
    /* These take what a length field of `prefix` bytes says; with prefix 0 as many elements as the member `count` says,
     * or all that is left. */
    INSPECT_BYTES,   /* hexadecimal digits */
    INSPECT_TEXT,    /* a string; {"hex": …} when it is not UTF-8 */
    INSPECT_NUMBERS, /* elements of `size` bytes */
    INSPECT_CODES,   /* elements of `size` bytes */
    INSPECT_ROWS,    /* objects of the fields `rows` */
    INSPECT_PART,    /* whatever `decode` makes of it */
} inspect_field_kind;

typedef struct inspect_field inspect_field;
struct inspect_field {
    const char *name;
    inspect_field_kind kind;
    uint8_t size, prefix;
    const char *count;
    const inspect_field *rows;
    const char *(*code_name)(uint64_t code); /* NULL when unknown */
    int (*decode)(inspect_cursor *c, json_t *out, const inspect_field *field);
    int (*encode)(const json_t *in, duet_buffer *out, const inspect_field *field);
};

/* A structure that a number names. */
typedef struct inspect_layout {
    uint32_t type;
    const char *name;
    const char *section;
    const inspect_field *fields;
} inspect_layout;

const inspect_layout *inspect_layout_find(const inspect_layout *table, size_t count, uint32_t type);

/* Reads the fields into members of `out`. Bytes behind the last field are left to the caller. */
int inspect_fields_decode(inspect_cursor *c, const inspect_field *fields, json_t *out);
/* The same, and nothing may be left. */
int inspect_fields_decode_all(inspect_cursor *c, const inspect_field *fields, json_t *out);
int inspect_fields_encode(const json_t *in, const inspect_field *fields, duet_buffer *out);

/* ---- JSON values of bytes ---------------------------------------------------------------------------------------- */

void inspect_set(json_t *object, const char *name, json_t *value); /* takes the value; NULL sets nothing */
json_t *inspect_hex(const uint8_t *data, size_t len);
json_t *inspect_text(const uint8_t *data, size_t len);
json_t *inspect_code(uint64_t code, unsigned size, const char *name);

/* All of these give DUET_ERR_INVALID when the member is absent or of another kind. */
int inspect_get_number(const json_t *object, const char *name, uint64_t *out); /* integers and codes */
int inspect_number_of(const json_t *value, uint64_t *out);
int inspect_put_hex(const json_t *value, duet_buffer *out);
int inspect_put_text(const json_t *value, duet_buffer *out);
void inspect_put_number(duet_buffer *out, uint64_t value, unsigned size); /* big-endian */
void inspect_put_number_at(duet_buffer *out, size_t offset, uint64_t value, unsigned size);

/* The bytes that follow a structure of `len` bytes up to the next multiple of four; a member "padding" is added when
 * they are missing or not zero. */
void inspect_padding_decode(inspect_cursor *c, size_t len, json_t *out);
int inspect_padding_encode(const json_t *in, size_t len, duet_buffer *out);

#endif
