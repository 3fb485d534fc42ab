/* What tests share: seeded randomness, an allocator that fails on demand, and reading of test data. */
#ifndef DUET_TESTS_TEST_H
#define DUET_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/seeded.h"
#include "duet/base.h"

/* The same seed gives the same run everywhere. */
static inline uint64_t test_random(uint64_t *state)
{
    return duet_seeded_next(state);
}

static inline uint64_t test_random_below(uint64_t *state, uint64_t n)
{
    return test_random(state) % n;
}

/* A duet_random_fn whose user is the uint64_t seed. */
static inline int test_random_fill(void *user, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)test_random(user);
    return 0;
}

/* Counts allocations and fails the one with the number fail_at (counted from 1; 0 fails none), and with
 * fail_after every later one too. */
typedef struct test_allocator {
    duet_allocator allocator;
    uint64_t calls, fail_at, live;
    bool fail_after;
} test_allocator;

static inline bool test_allocator_fails(test_allocator *t)
{
    t->calls++;
    if (t->fail_at == 0)
        return false;
    return t->calls == t->fail_at || (t->fail_after && t->calls > t->fail_at);
}

static inline void *test_heap_alloc(void *user, size_t size)
{
    test_allocator *t = user;

    if (test_allocator_fails(t))
        return NULL;
    void *p = malloc(size);
    if (p)
        t->live++;
    return p;
}

static inline void *test_heap_realloc(void *user, void *ptr, size_t size)
{
    test_allocator *t = user;

    if (test_allocator_fails(t))
        return NULL;
    void *p = realloc(ptr, size);
    if (p && !ptr)
        t->live++;
    return p;
}

static inline void test_heap_free(void *user, void *ptr)
{
    test_allocator *t = user;

    if (ptr)
        t->live--;
    free(ptr);
}

/* `t` must stay where it is while it is used. */
static inline void test_allocator_init(test_allocator *t, uint64_t fail_at)
{
    memset(t, 0, sizeof(*t));
    t->allocator = (duet_allocator){test_heap_alloc, test_heap_realloc, test_heap_free, t};
    t->fail_at = fail_at;
}

/* Runs `run` again and again, failing the first, second, … allocation, until a run needs fewer. `run` returns DUET_OK
 * or DUET_ERR_NOMEM and frees all it made. Returns how many allocations were failed. */
static inline uint64_t test_fail_each_allocation(const char *what, int (*run)(const duet_env *env, void *arg),
                                                 void *arg)
{
    uint64_t failed = 0;

    for (uint64_t n = 1;; n++) {
        test_allocator t;
        test_allocator_init(&t, n);
        duet_env env = DUET_ENV_INIT;
        env.allocator = &t.allocator;
        int err = run(&env, arg);
        if (t.live != 0)
            fail_msg("%s: %llu blocks leaked when allocation %llu fails", what, (unsigned long long)t.live,
                     (unsigned long long)n);
        if (t.calls < n) {
            assert_int_equal(err, DUET_OK);
            break;
        }
        if (err != DUET_OK && err != DUET_ERR_NOMEM)
            fail_msg("%s: %s when allocation %llu fails", what, duet_strerror(err), (unsigned long long)n);
        failed++;
    }
    assert_true(failed > 0);
    print_message("%s: %llu allocations failed in turn\n", what, (unsigned long long)failed);
    return failed;
}

/* Reads tests/data/<name>; the caller frees it. A NUL follows the bytes. */
static inline uint8_t *test_data(const char *name, size_t *len)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", DUET_TEST_DATA, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("cannot open %s", path);
    uint8_t *data = NULL;
    size_t used = 0, capacity = 0;
    for (;;) {
        if (used + 4096 + 1 > capacity) {
            capacity = capacity * 2 + 8192;
            data = realloc(data, capacity);
            assert_non_null(data);
        }
        size_t n = fread(data + used, 1, 4096, f);
        if (n == 0)
            break;
        used += n;
    }
    fclose(f);
    data[used] = 0;
    *len = used;
    return data;
}

#endif
