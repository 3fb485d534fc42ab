/* Collects the members of a statistics object. */
#include "peer/report.h"

static duet_stat *add(pc_stats_report *r, const char *name)
{
    duet_stat *s = &r->members[r->count < PC_STATS_MEMBERS_MAX - 1 ? r->count++ : r->count];

    *s = (duet_stat){.name = name};
    return s;
}

void pc_report_text(pc_stats_report *r, const char *name, const char *text)
{
    duet_stat *s = add(r, name);

    s->type = DUET_STAT_TEXT;
    s->text = text;
}

void pc_report_number(pc_stats_report *r, const char *name, uint64_t number)
{
    duet_stat *s = add(r, name);

    s->type = DUET_STAT_NUMBER;
    s->number = number;
}

void pc_report_real(pc_stats_report *r, const char *name, double real)
{
    duet_stat *s = add(r, name);

    s->type = DUET_STAT_REAL;
    s->real = real;
}

void pc_report_seconds(pc_stats_report *r, const char *name, duet_time microseconds)
{
    pc_report_real(r, name, (double)microseconds / 1e6);
}

void pc_report_bool(pc_stats_report *r, const char *name, bool boolean)
{
    duet_stat *s = add(r, name);

    s->type = DUET_STAT_BOOL;
    s->boolean = boolean;
}

void pc_report_emit(pc_stats_report *r, duet_stats_kind kind, const char *id)
{
    r->visit(r->user, kind, id, r->members, r->count);
    r->count = 0;
}
