/* Statistics of a connection as JSON. */
#include "app.h"
#include <jansson.h>
#include <string.h>

static json_t *member_value(const duet_stat *s)
{
    switch (s->type) {
    case DUET_STAT_TEXT:
        return json_string(s->text);
    case DUET_STAT_NUMBER:
        return json_integer((json_int_t)s->number);
    case DUET_STAT_REAL:
        return json_real(s->real);
    case DUET_STAT_BOOL:
        break;
    }
    return json_boolean(s->boolean);
}

static void add_report(void *user, duet_stats_kind kind, const char *id, const duet_stat *members, size_t count)
{
    json_t *report = json_object();

    json_object_set_new(report, "id", json_string(id));
    json_object_set_new(report, "type", json_string(duet_stats_kind_name(kind)));
    for (size_t i = 0; i < count; i++)
        json_object_set_new(report, members[i].name, member_value(&members[i]));
    json_array_append_new(user, report);
}

json_t *app_stats_json(const duet_pc *pc)
{
    json_t *reports = json_array();

    duet_pc_get_stats(pc, add_report, reports);
    return reports;
}

static const json_t *find(const json_t *reports, const char *member, const char *value)
{
    size_t i;
    const json_t *report;

    json_array_foreach(reports, i, report)
    {
        const char *text = json_string_value(json_object_get(report, member));
        if (text && strcmp(text, value) == 0)
            return report;
    }
    return NULL;
}

static const char *text_of(const json_t *report, const char *member)
{
    const char *text = json_string_value(json_object_get(report, member));

    return text ? text : "";
}

static void copy(json_t *result, const char *name, const json_t *report, const char *member)
{
    json_t *value = json_object_get(report, member);

    if (value && text_of(report, member)[0])
        json_object_set(result, name, value);
}

void app_stats_summary(const duet_pc *pc, json_t *result)
{
    json_t *reports = app_stats_json(pc);
    const json_t *transport = find(reports, "type", "transport");

    if (transport) {
        copy(result, "dtls", transport, "tlsVersion");
        copy(result, "dtlsCipher", transport, "dtlsCipher");
        copy(result, "srtpCipher", transport, "srtpCipher");
        copy(result, "dtlsRole", transport, "dtlsRole");
        const json_t *pair = find(reports, "id", text_of(transport, "selectedCandidatePairId"));
        const json_t *local = pair ? find(reports, "id", text_of(pair, "localCandidateId")) : NULL;
        const json_t *remote = pair ? find(reports, "id", text_of(pair, "remoteCandidateId")) : NULL;
        if (local && remote)
            json_object_set_new(result, "pair",
                                json_sprintf("%s/%s->%s", text_of(local, "candidateType"), text_of(local, "protocol"),
                                             text_of(remote, "candidateType")));
    }
    json_decref(reports);
}
