/* RFC 3339 dates. The calendar is the proleptic Gregorian one; leap seconds count as the second after them. */
#include "signaling/date.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

void duet_date_write(char out[DUET_DATE_TEXT_MAX], int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;

    bool known = gmtime_r(&t, &tm) && tm.tm_year <= 9999 - 1900 && tm.tm_year >= -1900;
    size_t year =
        known ? (size_t)snprintf(out, DUET_DATE_TEXT_MAX, "%04d", tm.tm_year + 1900) : 0; /* %Y does not pad */
    if (!known || strftime(out + year, DUET_DATE_TEXT_MAX - year, "-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, DUET_DATE_TEXT_MAX, "9999-12-31T23:59:59Z");
}

/* So many digits; out of range when there are none. */
static int digits(duet_reader *r, int count)
{
    int value = 0;

    for (int i = 0; i < count; i++) {
        uint8_t c = duet_read_u8(r);
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    return value;
}

static bool is_between(int value, int low, int high)
{
    return value >= low && value <= high;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01. */
static int64_t day_number(int year, int month, int day)
{
    int64_t days = 0, y = year - 1;

    days = y * 365 + y / 4 - y / 100 + y / 400;
    if (year == 0) /* the leap day of the year 0 itself comes with its February */
        days = -366;
    for (int m = 1; m < month; m++)
        days += days_in(year, m);
    return days + day - 1 - 719162; /* of 0001-01-01 */
}

/* "Z" or "+hh:mm", in seconds. @return whether it is one */
static bool read_offset(duet_reader *r, int64_t *offset)
{
    uint8_t sign = duet_read_u8(r);

    *offset = 0;
    if (sign == 'Z' || sign == 'z')
        return true;
    int hours = digits(r, 2);
    bool colon = duet_text_skip(r, ':');
    int minutes = digits(r, 2);
    *offset = (sign == '-' ? -1 : 1) * (int64_t)(hours * 3600 + minutes * 60);
    return (sign == '+' || sign == '-') && colon && is_between(hours, 0, 23) && is_between(minutes, 0, 59);
}

int duet_date_parse(int64_t *seconds, const char *text)
{
    duet_reader r = duet_text_reader(text, strlen(text));
    int64_t offset;

    int year = digits(&r, 4);
    bool dashes = duet_text_skip(&r, '-');
    int month = digits(&r, 2);
    dashes = duet_text_skip(&r, '-') && dashes;
    int day = digits(&r, 2);
    uint8_t t = duet_read_u8(&r);
    int hour = digits(&r, 2);
    bool colons = duet_text_skip(&r, ':');
    int minute = digits(&r, 2);
    colons = duet_text_skip(&r, ':') && colons;
    int second = digits(&r, 2);
    if (duet_text_skip(&r, '.') && duet_text_run(&r, duet_char_is_digit).len == 0)
        return DUET_ERR_MALFORMED;
    if (!read_offset(&r, &offset) || !duet_text_at_end(&r) || !dashes || !colons || (t != 'T' && t != 't' && t != ' '))
        return DUET_ERR_MALFORMED;
    if (year < 0 || !is_between(month, 1, 12) || !is_between(day, 1, days_in(year, month)) ||
        !is_between(hour, 0, 23) || !is_between(minute, 0, 59) || !is_between(second, 0, 60))
        return DUET_ERR_MALFORMED;
    *seconds = day_number(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    return DUET_OK;
}
