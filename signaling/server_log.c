/* Structured log lines: one JSON object each. What is said never names descriptions, candidates or tokens. */
#include "base/memory.h"
#include "signaling/date.h"
#include "signaling/server.h"

static const char *level_name(duet_log_level level)
{
    switch (level) {
    case DUET_LOG_ERROR:
        return "error";
    case DUET_LOG_WARN:
        return "warn";
    case DUET_LOG_INFO:
        return "info";
    default:
        return "debug";
    }
}

void server_log(const duet_signaling_server *s, duet_log_level level, const char *event, json_t *members)
{
    char time[DUET_DATE_TEXT_MAX];
    duet_buffer line;

    if (!s->config.on_log) {
        json_decref(members);
        return;
    }
    duet_date_write(time, server_wall_seconds());
    json_t *object = json_pack("{s:s,s:s,s:s}", "time", time, "level", level_name(level), "event", event);
    if (object && members)
        json_object_update(object, members);
    json_decref(members);
    duet_buffer_init(&line, &s->env);
    if (duet_json_write(&line, object) == DUET_OK)
        s->config.on_log(s->config.user, level, (const char *)line.data);
    duet_buffer_free(&line);
    json_decref(object);
}
