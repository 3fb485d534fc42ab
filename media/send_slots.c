/* Packet buffers: taken from a pool, given back when the last who refers to them lets go. In steady state nothing is
 * allocated. */
#include "base/memory.h"
#include "media/internal.h"
#include <stddef.h>
#include <string.h>

rtp_slot *duet_rtp_slots_take(rtp_slots *slots)
{
    rtp_slot *slot = slots->spare;

    if (slot)
        slots->spare = slot->next;
    else
        slot = duet_alloc(slots->env, sizeof(*slot));
    if (!slot)
        return NULL;
    memset(slot, 0, offsetof(rtp_slot, bytes));
    slot->refs = 1;
    return slot;
}

void duet_rtp_slots_release(rtp_slots *slots, rtp_slot *slot)
{
    if (--slot->refs > 0)
        return;
    slot->next = slots->spare;
    slots->spare = slot;
}

static void reclaim_oldest(rtp_slots *slots)
{
    rtp_slot *slot = slots->lent;

    slots->lent = slot->next;
    if (!slots->lent)
        slots->lent_last = NULL;
    slots->lent_count--;
    duet_rtp_slots_release(slots, slot);
}

void duet_rtp_slots_lend(rtp_slots *slots, rtp_slot *slot)
{
    slot->next = NULL;
    if (slots->lent_last)
        slots->lent_last->next = slot;
    else
        slots->lent = slot;
    slots->lent_last = slot;
    if (++slots->lent_count > DUET_OUTPUT_BATCH)
        reclaim_oldest(slots);
}

void duet_rtp_slots_reclaim(rtp_slots *slots)
{
    while (slots->lent)
        reclaim_oldest(slots);
}

void duet_rtp_slots_trim(rtp_slots *slots)
{
    while (slots->spare) {
        rtp_slot *slot = slots->spare;
        slots->spare = slot->next;
        duet_free(slots->env, slot);
    }
}
