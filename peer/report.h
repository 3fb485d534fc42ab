/* One statistics object after the other, member by member: what stats.c and media_stats.c fill. */
#ifndef DUET_PEER_REPORT_H
#define DUET_PEER_REPORT_H

#include "duet/peer.h"

#define PC_STATS_MEMBERS_MAX 48
#define PC_STATS_ID_MAX      32

typedef struct pc_stats_report {
    duet_stats_fn visit;
    void *user;
    duet_stat members[PC_STATS_MEMBERS_MAX];
    size_t count;
    unsigned channels; /* so far */
} pc_stats_report;

/* The names and texts must live until the object is emitted. */
void pc_report_text(pc_stats_report *r, const char *name, const char *text);
void pc_report_number(pc_stats_report *r, const char *name, uint64_t number);
void pc_report_real(pc_stats_report *r, const char *name, double real);
void pc_report_seconds(pc_stats_report *r, const char *name, duet_time microseconds);
void pc_report_bool(pc_stats_report *r, const char *name, bool boolean);
/* Visits the object, and begins the next one. */
void pc_report_emit(pc_stats_report *r, duet_stats_kind kind, const char *id);

#endif
