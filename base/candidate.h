/* The value of an a=candidate attribute, for the parser of whole descriptions. */
#ifndef DUET_BASE_CANDIDATE_H
#define DUET_BASE_CANDIDATE_H

#include "duet/base.h"

/* duet_candidate_parse for what follows "candidate:". */
int duet_candidate_parse_value(duet_candidate *out, const char *text, size_t len, size_t *column, const char **reason);

#endif
