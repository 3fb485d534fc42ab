/* A ring of messages. It grows with what it holds, so that an idle seat costs little. */
#include "signaling/seat_log.h"
#include "signaling/store.h"
#include <string.h>

#define CAPACITY_FIRST 8

void duet_seat_log_init(duet_seat_log *log, const duet_env *env)
{
    *log = (duet_seat_log){.env = env};
}

static duet_seat_message *at(const duet_seat_log *log, size_t i)
{
    return &log->messages[(log->start + i) % log->capacity];
}

static void drop_first(duet_seat_log *log)
{
    duet_seat_message *m = at(log, 0);

    log->bytes -= m->len;
    duet_free(log->env, m->text);
    log->start = (log->start + 1) % log->capacity;
    log->count--;
}

void duet_seat_log_free(duet_seat_log *log)
{
    while (log->count > 0)
        drop_first(log);
    duet_free(log->env, log->messages);
    log->messages = NULL;
    log->capacity = 0;
}

static int grow(duet_seat_log *log)
{
    size_t capacity = log->capacity ? log->capacity * 2 : CAPACITY_FIRST;
    duet_seat_message *messages = duet_alloc(log->env, capacity * sizeof(*messages));

    if (!messages)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < log->count; i++)
        messages[i] = *at(log, i);
    duet_free(log->env, log->messages);
    log->messages = messages;
    log->capacity = capacity;
    log->start = 0;
    return DUET_OK;
}

int duet_seat_log_add(duet_seat_log *log, const char *text, size_t len)
{
    if (log->count == log->capacity && log->count < DUET_SEAT_LOG_MESSAGES && grow(log) != DUET_OK)
        return DUET_ERR_NOMEM;
    char *copy = duet_memdup(log->env, text, len);
    if (!copy)
        return DUET_ERR_NOMEM;
    while (log->count > 0 && (log->count == DUET_SEAT_LOG_MESSAGES || log->bytes + len > DUET_SEAT_LOG_BYTES))
        drop_first(log);
    *at(log, log->count++) = (duet_seat_message){copy, len};
    log->bytes += len;
    log->last++;
    return DUET_OK;
}

const duet_seat_message *duet_seat_log_get(const duet_seat_log *log, uint64_t number)
{
    uint64_t back = log->last - number; /* 0: the latest */

    return number <= log->last && back < log->count ? at(log, log->count - 1 - (size_t)back) : NULL;
}
