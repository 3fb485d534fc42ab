/* One figure of getStats. */
#ifndef DUET_TESTS_STATS_OF_H
#define DUET_TESTS_STATS_OF_H

#include "duet/peer.h"
#include <string.h>

typedef struct wanted_stat {
    duet_stats_kind kind;
    const char *media, *name;
    uint64_t found;
    double real;
} wanted_stat;

static inline void look_for_stat(void *user, duet_stats_kind kind, const char *id, const duet_stat *members,
                                 size_t count)
{
    wanted_stat *w = user;
    bool fits = false;

    (void)id;
    for (size_t i = 0; kind == w->kind && i < count; i++)
        fits = fits || (members[i].type == DUET_STAT_TEXT && strcmp(members[i].text, w->media) == 0);
    for (size_t i = 0; fits && i < count; i++) {
        if (strcmp(members[i].name, w->name) != 0)
            continue;
        w->found = members[i].number;
        w->real = members[i].real;
    }
}

/* @param media  "audio" or "video" @return 0 when it is not there; a real number's is 0 too */
static inline uint64_t stat_of(const duet_pc *pc, duet_stats_kind kind, const char *media, const char *name)
{
    wanted_stat w = {kind, media, name, 0, 0};

    duet_pc_get_stats(pc, look_for_stat, &w);
    return w.found;
}

static inline double real_stat_of(const duet_pc *pc, duet_stats_kind kind, const char *media, const char *name)
{
    wanted_stat w = {kind, media, name, 0, 0};

    duet_pc_get_stats(pc, look_for_stat, &w);
    return w.real;
}

#endif
