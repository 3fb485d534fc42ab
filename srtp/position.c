/* Indices of packets, and the memory of evicted streams: RFC 3711 section 3.3.1 and appendix A. */
#include "srtp/position.h"
#include "base/memory.h"

uint64_t duet_srtp_position_index(const duet_srtp_position *p, const duet_srtp_packet_id *id)
{
    if (id->is_rtcp || !p->has_rtp)
        return id->number; /* SRTCP carries its index; the rollover counter of a stream begins at zero */
    uint32_t roc = (uint32_t)(p->rtp >> 16), highest = p->rtp & 0xffff;
    if (highest < 0x8000 && id->number > highest + 0x8000 && roc > 0)
        roc--;
    else if (highest >= 0x8000 && id->number < highest - 0x8000)
        roc++;
    return (uint64_t)roc << 16 | id->number;
}

bool duet_srtp_position_is_ahead(const duet_srtp_position *p, bool is_rtcp, uint64_t index)
{
    return is_rtcp ? !p->has_rtcp || index > p->rtcp : !p->has_rtp || index > p->rtp;
}

void duet_srtp_position_advance(duet_srtp_position *p, bool is_rtcp, uint64_t index)
{
    if (!duet_srtp_position_is_ahead(p, is_rtcp, index))
        return;
    if (is_rtcp) {
        p->rtcp = (uint32_t)index;
        p->has_rtcp = true;
    } else {
        p->rtp = index;
        p->has_rtp = true;
    }
}

void duet_srtp_evicted_keep(duet_srtp_evicted_list *list, const duet_env *env, uint32_t ssrc,
                            const duet_srtp_position *position)
{
    if (!list->entries)
        list->entries = duet_calloc(env, DUET_SRTP_EVICTED_MAX * sizeof(*list->entries));
    if (!list->entries)
        return;
    for (size_t i = 0; i < list->count; i++) {
        if (list->entries[i].ssrc == ssrc) {
            list->entries[i].position = *position;
            return;
        }
    }
    list->entries[list->next] = (duet_srtp_evicted){ssrc, *position};
    list->next = (list->next + 1) % DUET_SRTP_EVICTED_MAX;
    list->count += list->count < DUET_SRTP_EVICTED_MAX;
}

const duet_srtp_position *duet_srtp_evicted_find(const duet_srtp_evicted_list *list, uint32_t ssrc)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->entries[i].ssrc == ssrc)
            return &list->entries[i].position;
    }
    return NULL;
}

void duet_srtp_evicted_free(duet_srtp_evicted_list *list, const duet_env *env)
{
    duet_free(env, list->entries);
    *list = (duet_srtp_evicted_list){0};
}
