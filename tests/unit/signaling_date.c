/* Dates of RFC 3339, written and read. */
#include "signaling/date.h"
#include "test.h"
#include <time.h>

static int64_t parsed(const char *text)
{
    int64_t seconds;

    if (duet_date_parse(&seconds, text) != DUET_OK)
        fail_msg("\"%s\" is not read", text);
    return seconds;
}

static const char *written(char text[DUET_DATE_TEXT_MAX], int64_t seconds)
{
    duet_date_write(text, seconds);
    return text;
}

/* RFC 3339 section 5.8. */
static void the_examples_of_rfc_3339_are_read(void **state)
{
    (void)state;
    assert_int_equal(parsed("1985-04-12T23:20:50.52Z"), 482196050);
    assert_int_equal(parsed("1996-12-19T16:39:57-08:00"), 851042397);
    assert_int_equal(parsed("1990-12-31T23:59:60Z"), 662688000);
    assert_int_equal(parsed("1990-12-31T15:59:60-08:00"), 662688000);
    assert_int_equal(parsed("1937-01-01T12:00:27.87+00:20"), -1041337173);
    assert_int_equal(parsed("1970-01-01t00:00:00z"), 0);
}

static void what_is_written_is_what_the_c_library_says_and_is_read_back(void **state)
{
    uint64_t seed = 3;
    char text[DUET_DATE_TEXT_MAX], expected[40];

    (void)state;
    for (int i = 0; i < 20000; i++) {
        time_t t = (time_t)test_random_below(&seed, UINT64_C(253402300800 + 62135596800)) - 62135596800;
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        assert_string_equal(written(text, t), expected);
        assert_int_equal(parsed(text), t);
    }
}

static void the_ends_of_years_and_of_time_are_right(void **state)
{
    static const int64_t at[] = {0, -1, 951782400, 951868799, 951868800, 4107542400, 253402300799, -62135596800};
    static const char *const texts[] = {"1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2000-02-29T00:00:00Z",
                                        "2000-02-29T23:59:59Z", "2000-03-01T00:00:00Z", "2100-03-01T00:00:00Z",
                                        "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"};
    char text[DUET_DATE_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        assert_string_equal(written(text, at[i]), texts[i]);
    assert_string_equal(written(text, INT64_MAX), "9999-12-31T23:59:59Z");
}

static void everything_else_is_no_date(void **state)
{
    static const char *const texts[] = {
        "",
        "2026-11-21",
        "2026-11-21T05:56:13",
        "2026-11-21_05:56:13Z",
        "2026-11-21T05:56Z",
        "2026-11-21T05:56:13.Z",
        "2026-11-21T05:56:13Zx",
        "2026-11-21T05:56:13+0100",
        "2026-11-21T05:56:13+24:00",
        "2026-11-21T24:00:00Z",
        "2026-11-21T05:60:00Z",
        "2026-11-21T05:56:61Z",
        "2026-11-31T05:56:13Z",
        "2026-02-29T05:56:13Z",
        "2100-02-29T05:56:13Z",
        "2026-00-21T05:56:13Z",
        "2026-13-21T05:56:13Z",
        "2026-11-00T05:56:13Z",
        "26-11-21T05:56:13Z",
        "02026-11-21T05:56:13Z",
        "2026-1-21T05:56:13Z",
        "+026-11-21T05:56:13Z",
        "1700000000",
    };
    int64_t seconds;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (duet_date_parse(&seconds, texts[i]) != DUET_ERR_MALFORMED)
            fail_msg("\"%s\" is read", texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_rfc_3339_are_read),
        cmocka_unit_test(what_is_written_is_what_the_c_library_says_and_is_read_back),
        cmocka_unit_test(the_ends_of_years_and_of_time_are_right),
        cmocka_unit_test(everything_else_is_no_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
