/* The latest messages of one seat, by their numbers: what a client that comes back is told again. Bounded in messages and
 * bytes; the oldest go first. */
#ifndef DUET_SIGNALING_SEAT_LOG_H
#define DUET_SIGNALING_SEAT_LOG_H

#include "base/memory.h"

typedef struct duet_seat_message {
    char *text;
    size_t len;
} duet_seat_message;

typedef struct duet_seat_log {
    const duet_env *env;
    duet_seat_message *messages; /* a ring */
    size_t capacity, start, count, bytes;
    uint64_t last; /* number of the latest message that was ever added; 0: none */
} duet_seat_log;

void duet_seat_log_init(duet_seat_log *log, const duet_env *env);
void duet_seat_log_free(duet_seat_log *log);
/* Numbers the message and keeps a copy. @return DUET_OK, or DUET_ERR_NOMEM: nothing has changed */
int duet_seat_log_add(duet_seat_log *log, const char *text, size_t len);
/* The message of that number; NULL when it is not kept (any more). */
const duet_seat_message *duet_seat_log_get(const duet_seat_log *log, uint64_t number);

#endif
