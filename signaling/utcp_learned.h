/* What a client knows of the tools that it calls: the output schemas of a manual. */
#ifndef DUET_SIGNALING_UTCP_LEARNED_H
#define DUET_SIGNALING_UTCP_LEARNED_H

#include "signaling/utcp_schema.h"

typedef struct duet_utcp_learned {
    const duet_env *env;
    json_t *manual;   /* owner of the names; NULL: nothing is known */
    duet_array tools; /* of those whose schema is within our subset, at most 256 */
} duet_utcp_learned;

void duet_utcp_learned_init(duet_utcp_learned *l, const duet_env *env);
void duet_utcp_learned_free(duet_utcp_learned *l);
/* Replaces what was known. What is malformed, or too much for our memory, is not known. */
void duet_utcp_learned_take(duet_utcp_learned *l, json_t *manual);
/* @param whole  the output of a tool that streams, asked for in one piece: an array of outputs
 * @return DUET_OK (also for tools of which nothing is known); DUET_ERR_INVALID; DUET_ERR_LIMIT; DUET_ERR_NOMEM */
int duet_utcp_learned_check(const duet_utcp_learned *l, const char *tool, const json_t *output, bool whole,
                            duet_utcp_error *error);

#endif
