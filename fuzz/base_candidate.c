/* Candidates: what is accepted must survive being written and read again. */
#include "duet/base.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    duet_candidate c, again;
    char text[DUET_CANDIDATE_TEXT_MAX], text2[DUET_CANDIDATE_TEXT_MAX];
    size_t column;
    const char *reason;

    int err = duet_candidate_parse(&c, (const char *)data, size, &column, &reason);
    if (!reason || column > size)
        abort();
    if (err != DUET_OK)
        return 0;
    if (duet_candidate_format(&c, text, sizeof(text)) != DUET_OK)
        abort();
    if (duet_candidate_parse(&again, text, strlen(text), NULL, NULL) != DUET_OK)
        abort();
    if (duet_candidate_format(&again, text2, sizeof(text2)) != DUET_OK || strcmp(text, text2) != 0)
        abort();
    return 0;
}
