/* Log lines and trace events, made only when somebody listens. */
#ifndef DUET_BASE_LOG_H
#define DUET_BASE_LOG_H

#include "duet/base.h"

void duet_log(const duet_env *env, duet_log_level level, const char *module, const char *format, ...) DUET_PRINTF(4, 5);

void duet_trace_state(const duet_env *env, duet_time now, const char *module, const char *subject, const char *from,
                      const char *to, const char *cause);
void duet_trace_discard(const duet_env *env, duet_time now, const char *module, const char *subject, size_t len,
                        const char *cause);
void duet_trace_packet(const duet_env *env, duet_time now, const char *module, duet_layer layer, bool outgoing,
                       const duet_path *path, const uint8_t *data, size_t len);
void duet_trace_key(const duet_env *env, duet_time now, const char *module, const char *line);

#endif
