/* Reads files that were made by hand, and says what came out. */
#ifndef DUET_TESTS_MEDIA_FILES_MADE_H
#define DUET_TESTS_MEDIA_FILES_MADE_H

#include "media_files.h"

#define READ(t, format, bytes) files_read(t, NULL, format, bytes, sizeof(bytes), NULL)

static inline void expect_sample(const files_trip *t, size_t index, const char *data, duet_time time,
                                 duet_time duration)
{
    assert_true(index < t->count);
    const files_sample *s = &t->samples[index];
    assert_int_equal(s->len, strlen(data));
    assert_memory_equal(s->data, data, s->len);
    assert_int_equal(s->time, time);
    assert_int_equal(s->duration, duration);
}

static inline void expect_error(const files_trip *t, int err, const char *text)
{
    assert_int_equal(t->err, err);
    if (!strstr(t->error, text))
        fail_msg("\"%s\" does not hold \"%s\"", t->error, text);
}

#endif
