/* Memory through the configured allocator, and the two growing containers made of it. */
#ifndef DUET_BASE_MEMORY_H
#define DUET_BASE_MEMORY_H

#include "duet/base.h"
#include <stdarg.h>

/* Copies what a config points to: every NULL becomes the default, so the functions below need no checks. */
duet_env duet_env_resolve(const duet_env *env);

void *duet_alloc(const duet_env *env, size_t size);  /* uninitialised */
void *duet_calloc(const duet_env *env, size_t size); /* zeroed */
void *duet_realloc(const duet_env *env, void *ptr, size_t size);
char *duet_strdup(const duet_env *env, const char *text); /* NULL gives NULL */
char *duet_strndup(const duet_env *env, const char *text, size_t len);
void *duet_memdup(const duet_env *env, const void *data, size_t len); /* len 0 gives a 1-byte block */
/* duet_free is public. */

int duet_random(const duet_env *env, void *out, size_t len); /* DUET_OK or DUET_ERR_CRYPTO */

/* A growing array of bytes or text. Sticky like the writer: after a failed allocation `failed` is set and appends do
 * nothing. It is always NUL-terminated behind `len`. */
typedef struct duet_buffer {
    const duet_env *env;
    uint8_t *data;
    size_t len;
    size_t capacity;
    bool failed;
} duet_buffer;

void duet_buffer_init(duet_buffer *b, const duet_env *env);
void duet_buffer_append(duet_buffer *b, const void *data, size_t len);
void duet_buffer_text(duet_buffer *b, const char *text);
void duet_buffer_printf(duet_buffer *b, const char *format, ...) DUET_PRINTF(2, 3);
void duet_buffer_clear(duet_buffer *b);  /* keeps the memory */
char *duet_buffer_steal(duet_buffer *b); /* the text, to be freed with duet_free; NULL when failed. b is empty then */
void duet_buffer_free(duet_buffer *b);

/* A growing array of elements of one size. */
typedef struct duet_array {
    const duet_env *env;
    void *items;
    size_t count;
    size_t capacity;
    size_t item_size;
} duet_array;

void duet_array_init(duet_array *a, const duet_env *env, size_t item_size);
void *duet_array_push(duet_array *a); /* a zeroed new last element, or NULL. Moves the others */
void *duet_array_at(const duet_array *a, size_t index);
void duet_array_remove(duet_array *a, size_t index); /* keeps the order */
void duet_array_free(duet_array *a);

#endif
