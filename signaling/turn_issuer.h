/* Time-limited credentials for a TURN server that shares a secret with us ("REST API for access to TURN services"): the user
 * name is when they expire and for whom, the password its HMAC SHA-1. */
#ifndef DUET_SIGNALING_TURN_ISSUER_H
#define DUET_SIGNALING_TURN_ISSUER_H

#include "base/memory.h"

typedef struct duet_turn_issuer {
    const char *urls; /* JSON array of "turn:…" and "turns:…" */
    const void *secret;
    size_t secret_len;
    unsigned ttl; /* seconds */
} duet_turn_issuer;

/* Appends an RTCIceServer object: urls, username, credential. */
void duet_turn_issue(duet_buffer *out, const duet_turn_issuer *issuer, const char *agent_id, int64_t wall_seconds);

#endif
