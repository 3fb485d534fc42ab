/* Values from Redis. It holds what nodes wrote, but may be shared with others: each value is checked as any input is. */
#include "base/text.h"
#include "signaling/store_redis_private.h"
#include <string.h>

#define SECONDS_MAX (UINT64_C(1) << 40)

static const redisReply *element(const redisReply *r, size_t index)
{
    return r && r->type == REDIS_REPLY_ARRAY && index < r->elements ? r->element[index] : NULL;
}

const redisReply *duet_redis_array(const redisReply *r, size_t index, size_t elements_min)
{
    const redisReply *e = element(r, index);

    return e && e->type == REDIS_REPLY_ARRAY && e->elements >= elements_min ? e : NULL;
}

bool duet_redis_text(const redisReply *r, size_t index, char *out, size_t size)
{
    const redisReply *e = element(r, index);

    if (!e || e->type != REDIS_REPLY_STRING)
        return false;
    return duet_text_copy(out, size, (duet_bytes){(const uint8_t *)e->str, e->len});
}

bool duet_redis_number(const redisReply *r, size_t index, uint64_t max, uint64_t *out)
{
    const redisReply *e = element(r, index);

    if (!e)
        return false;
    if (e->type == REDIS_REPLY_INTEGER) {
        *out = (uint64_t)e->integer;
        return e->integer >= 0 && *out <= max;
    }
    if (e->type != REDIS_REPLY_STRING)
        return false;
    duet_reader text = duet_text_reader(e->str, e->len);
    return duet_text_number(&text, 0, max, out) && duet_text_at_end(&text);
}

bool duet_redis_room(const char *id, const redisReply *fields, duet_room *out)
{
    uint64_t created_at, kind, max_participants, mute, record, max_duration, transient;

    *out = (duet_room){.kind = DUET_ROOM_VOICE};
    if (!duet_text_copy(out->id, sizeof(out->id), (duet_bytes){(const uint8_t *)id, strlen(id)}) ||
        !duet_redis_text(fields, 0, out->name, sizeof(out->name)) ||
        !duet_redis_text(fields, 1, out->created_by, sizeof(out->created_by)) ||
        !duet_redis_number(fields, 2, SECONDS_MAX, &created_at) ||
        !duet_redis_number(fields, 3, DUET_ROOM_VIDEO, &kind) ||
        !duet_redis_number(fields, 4, DUET_PARTICIPANTS_MAX, &max_participants) ||
        !duet_redis_number(fields, 5, 1, &mute) || !duet_redis_number(fields, 6, 1, &record) ||
        !duet_redis_number(fields, 7, UINT32_MAX, &max_duration) || !duet_redis_number(fields, 8, 1, &transient))
        return false;
    out->created_at = (int64_t)created_at;
    out->kind = (duet_room_kind)kind;
    out->max_participants = (unsigned)max_participants;
    out->mute_on_entry = mute;
    out->allow_recording = record;
    out->max_duration = (unsigned)max_duration;
    out->transient = transient;
    return true;
}

void duet_redis_room_arguments(redis_command *c, const duet_room *room)
{
    duet_redis_argument(c, room->name);
    duet_redis_argument(c, room->created_by);
    duet_redis_argument_number(c, room->created_at > 0 ? (uint64_t)room->created_at : 0);
    duet_redis_argument_number(c, room->kind);
    duet_redis_argument_number(c, room->max_participants);
    duet_redis_argument_number(c, room->mute_on_entry);
    duet_redis_argument_number(c, room->allow_recording);
    duet_redis_argument_number(c, room->max_duration);
    duet_redis_argument_number(c, room->transient);
}
