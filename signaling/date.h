/* Dates as the protocol writes them: RFC 3339, in UTC, to the second. */
#ifndef DUET_SIGNALING_DATE_H
#define DUET_SIGNALING_DATE_H

#include "duet/base.h"

#define DUET_DATE_TEXT_MAX 32

void duet_date_write(char out[DUET_DATE_TEXT_MAX], int64_t seconds); /* since 1970; years 0 to 9999 */
/* Any RFC 3339 date, with its offset and fractions (cut off). @return DUET_OK or DUET_ERR_MALFORMED */
int duet_date_parse(int64_t *seconds, const char *text);

#endif
