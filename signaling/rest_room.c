/* Rooms as JSON: out for every response, in for POST and PATCH. */
#include "signaling/rest_room.h"
#include "base/text.h"
#include "signaling/date.h"
#include <stdio.h>
#include <string.h>

#define MINUTES_MAX 525600 /* a year */

json_t *duet_rest_room_json(const duet_room *room, size_t participants)
{
    char created_at[DUET_DATE_TEXT_MAX];

    duet_date_write(created_at, room->created_at);
    return json_pack("{s:s,s:s,s:s,s:i,s:s,s:s,s:{s:b,s:b,s:i},s:I}", "roomId", room->id, "name", room->name, "type",
                     room->kind == DUET_ROOM_VIDEO ? "video" : "voice", "maxParticipants", (int)room->max_participants,
                     "createdBy", room->created_by, "createdAt", created_at, "settings", "muteOnEntry",
                     (int)room->mute_on_entry, "allowRecording", (int)room->allow_recording, "maxDuration",
                     (int)room->max_duration, "participantCount", (json_int_t)participants);
}

json_t *duet_rest_participant_json(const duet_participant *p)
{
    char joined_at[DUET_DATE_TEXT_MAX];

    duet_date_write(joined_at, p->joined_at);
    return json_pack("{s:s,s:s,s:s,s:s}", "id", p->id, "agentId", p->agent_id, "role", p->role, "joinedAt", joined_at);
}

static bool read_flag(const json_t *object, const char *name, bool *out)
{
    const json_t *value = json_object_get(object, name);

    if (value)
        *out = json_is_true(value);
    return !value || json_is_boolean(value);
}

static bool read_count(const json_t *object, const char *name, json_int_t min, json_int_t max, unsigned *out)
{
    const json_t *value = json_object_get(object, name);

    if (!value)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
        return false;
    *out = (unsigned)json_integer_value(value);
    return true;
}

static bool read_name(const json_t *object, duet_room *room)
{
    const json_t *value = json_object_get(object, "name");
    const char *name = json_string_value(value);

    if (!value)
        return true;
    return name && duet_text_copy(room->name, sizeof(room->name), (duet_bytes){(const uint8_t *)name, strlen(name)});
}

static bool read_kind(const json_t *object, duet_room *room)
{
    const json_t *value = json_object_get(object, "type");
    const char *kind = json_string_value(value);

    if (!value)
        return true;
    room->kind = kind && strcmp(kind, "video") == 0 ? DUET_ROOM_VIDEO : DUET_ROOM_VOICE;
    return kind && (room->kind == DUET_ROOM_VIDEO || strcmp(kind, "voice") == 0);
}

const char *duet_rest_read_room(const json_t *object, duet_room *room)
{
    const json_t *settings = json_object_get(object, "settings");

    if (!read_name(object, room))
        return "name is a text of at most 128 bytes";
    if (!read_kind(object, room))
        return "type is \"voice\" or \"video\"";
    if (!read_count(object, "maxParticipants", 1, DUET_PARTICIPANTS_MAX, &room->max_participants))
        return "maxParticipants is a number from 1 to 256";
    if (settings && !json_is_object(settings))
        return "settings is an object";
    if (!read_flag(settings, "muteOnEntry", &room->mute_on_entry) ||
        !read_flag(settings, "allowRecording", &room->allow_recording))
        return "muteOnEntry and allowRecording are true or false";
    if (!read_count(settings, "maxDuration", 0, MINUTES_MAX, &room->max_duration))
        return "maxDuration is a number of minutes up to 525600";
    return NULL;
}

int duet_rest_make_uuid(const duet_env *env, char out[37])
{
    uint8_t r[16];

    int err = duet_random(env, r, sizeof(r));
    r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
    r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2], r[3],
             r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
    return err;
}
