/* Log lines and trace events. */
#include "base/log.h"
#include <stdarg.h>
#include <stdio.h>

void duet_log(const duet_env *env, duet_log_level level, const char *module, const char *format, ...)
{
    if (!env->log || level > env->log_level)
        return;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    env->log(env->user, level, module, text);
}

void duet_trace_state(const duet_env *env, duet_time now, const char *module, const char *subject, const char *from,
                      const char *to, const char *cause)
{
    if (!env->trace)
        return;
    duet_trace_event event = {.kind = DUET_TRACE_STATE,
                              .time = now,
                              .module = module,
                              .subject = subject,
                              .from = from,
                              .to = to,
                              .cause = cause};
    env->trace(env->user, &event);
}

void duet_trace_discard(const duet_env *env, duet_time now, const char *module, const char *subject, size_t len,
                        const char *cause)
{
    if (!env->trace)
        return;
    duet_trace_event event = {
        .kind = DUET_TRACE_DISCARD, .time = now, .module = module, .subject = subject, .len = len, .cause = cause};
    env->trace(env->user, &event);
}

void duet_trace_packet(const duet_env *env, duet_time now, const char *module, duet_layer layer, bool outgoing,
                       const duet_path *path, const uint8_t *data, size_t len)
{
    if (!env->trace)
        return;
    duet_trace_event event = {.kind = DUET_TRACE_PACKET,
                              .time = now,
                              .module = module,
                              .layer = layer,
                              .outgoing = outgoing,
                              .path = path,
                              .data = data,
                              .len = len};
    env->trace(env->user, &event);
}

void duet_trace_key(const duet_env *env, duet_time now, const char *module, const char *line)
{
    if (!env->trace)
        return;
    duet_trace_event event = {.kind = DUET_TRACE_KEY, .time = now, .module = module, .text = line};
    env->trace(env->user, &event);
}
