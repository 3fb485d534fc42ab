/* Memory through the configured allocator; growing buffers and arrays. */
#include "base/memory.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *libc_alloc(void *user, size_t size)
{
    (void)user;
    return malloc(size);
}

static void *libc_realloc(void *user, void *ptr, size_t size)
{
    (void)user;
    return realloc(ptr, size);
}

static void libc_free(void *user, void *ptr)
{
    (void)user;
    free(ptr);
}

static const duet_allocator libc_allocator = {libc_alloc, libc_realloc, libc_free, NULL};

static int openssl_random(void *user, uint8_t *out, size_t len)
{
    (void)user;
    return RAND_bytes(out, (int)len) == 1 ? 0 : -1;
}

duet_env duet_env_resolve(const duet_env *env)
{
    duet_env resolved = DUET_ENV_INIT;

    if (env)
        memcpy(&resolved, env, env->size < sizeof(resolved) ? env->size : sizeof(resolved));
    resolved.size = sizeof(resolved);
    if (!resolved.allocator)
        resolved.allocator = &libc_allocator;
    if (!resolved.random)
        resolved.random = openssl_random;
    return resolved;
}

static const duet_allocator *allocator_of(const duet_env *env)
{
    return env && env->allocator ? env->allocator : &libc_allocator;
}

void *duet_alloc(const duet_env *env, size_t size)
{
    const duet_allocator *a = allocator_of(env);

    return a->alloc(a->user, size ? size : 1);
}

void *duet_calloc(const duet_env *env, size_t size)
{
    void *p = duet_alloc(env, size);

    if (p)
        memset(p, 0, size);
    return p;
}

void *duet_realloc(const duet_env *env, void *ptr, size_t size)
{
    const duet_allocator *a = allocator_of(env);

    return a->realloc(a->user, ptr, size ? size : 1);
}

void duet_free(const duet_env *env, void *ptr)
{
    const duet_allocator *a = allocator_of(env);

    if (ptr)
        a->free(a->user, ptr);
}

void *duet_memdup(const duet_env *env, const void *data, size_t len)
{
    void *p = duet_alloc(env, len);

    if (p && len)
        memcpy(p, data, len);
    return p;
}

char *duet_strndup(const duet_env *env, const char *text, size_t len)
{
    char *p = duet_alloc(env, len + 1);

    if (!p)
        return NULL;
    if (len)
        memcpy(p, text, len);
    p[len] = 0;
    return p;
}

char *duet_strdup(const duet_env *env, const char *text)
{
    return text ? duet_strndup(env, text, strlen(text)) : NULL;
}

int duet_random(const duet_env *env, void *out, size_t len)
{
    duet_random_fn random = env && env->random ? env->random : openssl_random;

    return random(env ? env->user : NULL, out, len) == 0 ? DUET_OK : DUET_ERR_CRYPTO;
}

void duet_buffer_init(duet_buffer *b, const duet_env *env)
{
    *b = (duet_buffer){.env = env};
}

/* Makes room for `more` bytes and a NUL behind them. */
static bool buffer_grow(duet_buffer *b, size_t more)
{
    if (b->failed)
        return false;
    if (b->capacity > b->len && more < b->capacity - b->len)
        return true;
    size_t capacity = b->capacity ? b->capacity : 64;
    while (capacity - b->len <= more) {
        if (capacity > SIZE_MAX / 2) {
            b->failed = true;
            return false;
        }
        capacity *= 2;
    }
    uint8_t *data = duet_realloc(b->env, b->data, capacity);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

void duet_buffer_append(duet_buffer *b, const void *data, size_t len)
{
    if (!buffer_grow(b, len))
        return;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = 0;
}

void duet_buffer_text(duet_buffer *b, const char *text)
{
    duet_buffer_append(b, text, strlen(text));
}

void duet_buffer_printf(duet_buffer *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0) {
        b->failed = true;
        return;
    }
    if (!buffer_grow(b, (size_t)len))
        return;
    va_start(args, format);
    vsnprintf((char *)b->data + b->len, (size_t)len + 1, format, args);
    va_end(args);
    b->len += (size_t)len;
}

void duet_buffer_clear(duet_buffer *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = 0;
}

char *duet_buffer_steal(duet_buffer *b)
{
    duet_buffer_append(b, "", 0); /* an empty buffer becomes "" */
    char *text = b->failed ? NULL : (char *)b->data;
    if (!text)
        duet_free(b->env, b->data);
    duet_buffer_init(b, b->env);
    return text;
}

void duet_buffer_free(duet_buffer *b)
{
    duet_free(b->env, b->data);
    duet_buffer_init(b, b->env);
}

void duet_array_init(duet_array *a, const duet_env *env, size_t item_size)
{
    *a = (duet_array){.env = env, .item_size = item_size};
}

void *duet_array_push(duet_array *a)
{
    if (a->count == a->capacity) {
        size_t capacity = a->capacity ? a->capacity * 2 : 4;
        void *items = duet_realloc(a->env, a->items, capacity * a->item_size);
        if (!items)
            return NULL;
        a->items = items;
        a->capacity = capacity;
    }
    void *item = duet_array_at(a, a->count++);
    memset(item, 0, a->item_size);
    return item;
}

void *duet_array_at(const duet_array *a, size_t index)
{
    return (uint8_t *)a->items + index * a->item_size;
}

void duet_array_remove(duet_array *a, size_t index)
{
    uint8_t *at = duet_array_at(a, index);

    memmove(at, at + a->item_size, (a->count - index - 1) * a->item_size);
    a->count--;
}

void duet_array_free(duet_array *a)
{
    duet_free(a->env, a->items);
    duet_array_init(a, a->env, a->item_size);
}
