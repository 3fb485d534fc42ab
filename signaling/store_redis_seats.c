/* What a node knows of its seats, and of the rooms in which they are: which message each one has got, so that what the channel
 * brings is handed over once and in order; and everything that must be put back should Redis lose it. */
#include "base/crypto.h"
#include "base/text.h"
#include "signaling/store_redis_private.h"
#include <string.h>

_Static_assert(REDIS_NODE_LEN == DUET_SEAT_ID_LEN, "entries of the channel begin with either");

#define NUMBER_MAX (UINT64_C(1) << 53)

/* ---- finding ---- */

redis_seat *duet_redis_seat(const redis_store *s, const char *id)
{
    redis_seat *seat = duet_map_get(&s->seats, duet_store_random_key(id));

    return seat && strcmp(seat->who.id, id) == 0 ? seat : NULL;
}

static redis_room *find_room(const redis_store *s, const char *id)
{
    uint64_t key;

    if (duet_store_name_key(&key, s->secret, id) != DUET_OK)
        return NULL;
    redis_room *room = duet_map_get(&s->rooms, key);
    return room && strcmp(room->room.id, id) == 0 ? room : NULL;
}

/* ---- rooms ---- */

static void free_room(redis_store *s, redis_room *room)
{
    duet_map_remove(&s->rooms, room->key);
    duet_array_free(&room->roster);
    duet_free(&s->env, room);
}

static redis_room *add_room(redis_store *s, const char *id)
{
    uint64_t key;

    if (duet_store_name_key(&key, s->secret, id) != DUET_OK || duet_map_get(&s->rooms, key))
        return NULL;
    redis_room *room = duet_calloc(&s->env, sizeof(*room));
    if (!room)
        return NULL;
    room->key = key;
    memcpy(room->room.id, id, strnlen(id, DUET_ROOM_ID_MAX));
    duet_array_init(&room->roster, &s->env, sizeof(redis_member));
    if (duet_map_set(&s->rooms, key, room) == DUET_OK)
        return room;
    duet_free(&s->env, room);
    return NULL;
}

static size_t find_member(const redis_room *room, const char *id)
{
    size_t i = 0;

    while (i < room->roster.count && strcmp(((redis_member *)duet_array_at(&room->roster, i))->id, id) != 0)
        i++;
    return i;
}

static int add_member(redis_room *room, const redis_member *who)
{
    if (find_member(room, who->id) < room->roster.count)
        return DUET_OK;
    if (room->roster.count >= DUET_PARTICIPANTS_MAX)
        return DUET_ERR_LIMIT;
    redis_member *member = duet_array_push(&room->roster);
    if (!member)
        return DUET_ERR_NOMEM;
    *member = *who;
    return DUET_OK;
}

static void remove_member(redis_room *room, const char *id)
{
    size_t i = find_member(room, id);

    if (i < room->roster.count)
        duet_array_remove(&room->roster, i);
}

static int take_roster(redis_room *room, const redisReply *roster)
{
    room->roster.count = 0;
    for (size_t i = 0; i + 3 <= roster->elements; i += 3) {
        redis_member who;
        if (!duet_redis_text(roster, i, who.id, sizeof(who.id)) ||
            !duet_redis_text(roster, i + 1, who.agent_id, sizeof(who.agent_id)) ||
            !duet_redis_text(roster, i + 2, who.role, sizeof(who.role)))
            return DUET_ERR_MALFORMED;
        int err = add_member(room, &who);
        if (err != DUET_OK)
            return err;
    }
    return DUET_OK;
}

/* {version, mesh limit, description, roster} */
static int take_snapshot(redis_room *room, const redisReply *r)
{
    const redisReply *fields = duet_redis_array(r, 2, REDIS_ROOM_FIELDS);
    const redisReply *roster = duet_redis_array(r, 3, 0);
    uint64_t version, mesh;
    duet_room described;

    if (!duet_redis_number(r, 0, NUMBER_MAX, &version) || !duet_redis_number(r, 1, UINT32_MAX, &mesh) || !fields ||
        !roster || !duet_redis_room(room->room.id, fields, &described))
        return DUET_ERR_MALFORMED;
    room->room = described;
    room->mesh_limit = (unsigned)mesh;
    if (version < room->version)
        return DUET_OK;
    int err = take_roster(room, roster);
    room->version = err == DUET_OK ? version : 0; /* 0: the next change asks for the whole */
    return err;
}

/* ---- seats ---- */

redis_seat *duet_redis_seat_add(redis_store *s, const char *id)
{
    redis_seat *seat = duet_calloc(&s->env, sizeof(*seat));

    if (!seat)
        return NULL;
    memcpy(seat->who.id, id, strnlen(id, DUET_SEAT_ID_LEN));
    if (!duet_map_get(&s->seats, duet_store_random_key(id)) &&
        duet_map_set(&s->seats, duet_store_random_key(id), seat) == DUET_OK)
        return seat;
    duet_free(&s->env, seat);
    return NULL;
}

static void enter_room(redis_seat *seat, redis_room *room)
{
    seat->room = room;
    seat->next = room->seats;
    if (seat->next)
        seat->next->prev = seat;
    room->seats = seat;
}

void duet_redis_seat_free(redis_store *s, redis_seat *seat)
{
    redis_room *room = seat->room;

    if (room) {
        *(seat->prev ? &seat->prev->next : &room->seats) = seat->next;
        if (seat->next)
            seat->next->prev = seat->prev;
        if (!room->seats)
            free_room(s, room);
    }
    s->away -= seat->state == REDIS_SEAT_AWAY;
    duet_map_remove(&s->seats, duet_store_random_key(seat->who.id));
    duet_free(&s->env, seat);
}

int duet_redis_seat_arrived(redis_store *s, redis_seat *seat, const redisReply *reply)
{
    char room_id[DUET_ROOM_ID_MAX + 1];
    uint64_t joined_at;
    const redisReply *snapshot = duet_redis_array(reply, 9, 4);

    if (!duet_redis_text(reply, 2, seat->who.agent_id, sizeof(seat->who.agent_id)) ||
        !duet_redis_text(reply, 3, seat->who.role, sizeof(seat->who.role)) ||
        !duet_redis_number(reply, 4, NUMBER_MAX, &joined_at) || !duet_redis_text(reply, 5, room_id, sizeof(room_id)) ||
        !duet_redis_number(reply, 6, UINT64_MAX, &seat->received) ||
        !duet_redis_number(reply, 7, NUMBER_MAX, &seat->turn) || !duet_redis_array(reply, 8, 1) || !snapshot)
        return DUET_ERR_MALFORMED;
    seat->who.joined_at = (int64_t)joined_at;
    if (!seat->room) {
        redis_room *room = find_room(s, room_id);
        room = room ? room : add_room(s, room_id);
        if (!room)
            return DUET_ERR_NOMEM;
        enter_room(seat, room);
    }
    return take_snapshot(seat->room, snapshot);
}

void duet_redis_seat_deliver(redis_store *s, redis_seat *seat, const redisReply *messages)
{
    uint64_t number;

    if (!duet_redis_number(messages, 0, NUMBER_MAX, &number))
        return;
    for (size_t i = 1; i < messages->elements; i++, number++) {
        const redisReply *text = messages->element[i];
        if (number != seat->last + 1 || text->type != REDIS_REPLY_STRING)
            continue;
        seat->last = number;
        s->events.message(s->events.user, seat->who.id, number, text->str, text->len);
    }
}

static void take_away(redis_store *s, redis_seat *seat, const char *reason)
{
    if (seat->state == REDIS_SEAT_CONNECTED)
        s->events.removed(s->events.user, seat->who.id, reason);
    duet_redis_seat_free(s, seat);
}

static void replace(redis_store *s, redis_seat *seat)
{
    if (seat->state == REDIS_SEAT_CONNECTED)
        s->events.replaced(s->events.user, seat->who.id);
    duet_redis_seat_free(s, seat);
}

void duet_redis_forget_away(redis_store *s, duet_time now)
{
    size_t cursor = 0;
    uint64_t key;
    void *value;

    /* Removing and visiting do not mix: one in each sweep, or from the start again. */
    while (s->away > 0 && duet_map_next(&s->seats, &cursor, &key, &value)) {
        redis_seat *seat = value;
        if (seat->state != REDIS_SEAT_AWAY || seat->grace_end > now)
            continue;
        duet_redis_seat_free(s, seat);
        cursor = 0;
    }
}

/* ---- comparing ---- */

static json_t *describe_member(const redis_store *s, const redis_member *m)
{
    const redis_seat *mine = duet_redis_seat(s, m->id);

    return json_pack("{s:s, s:s, s:s, s:I}", "id", m->id, "agent", m->agent_id, "role", m->role, "joined",
                     (json_int_t)(mine ? mine->who.joined_at : 0));
}

static json_t *describe_roster(const redis_store *s, const redis_room *room)
{
    json_t *list = json_array();

    for (size_t i = 0; i < room->roster.count; i++)
        json_array_append_new(list, describe_member(s, duet_array_at(&room->roster, i)));
    return list;
}

static json_t *describe_seat(const redis_seat *seat, duet_time now)
{
    json_int_t away = -1;

    if (seat->state == REDIS_SEAT_AWAY)
        away = seat->grace_end > now ? (json_int_t)((seat->grace_end - now) / 1000) : 0;
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s}", "id", seat->who.id, "seq", (json_int_t)seat->last, "recv",
                     (json_int_t)seat->received, "joined", (json_int_t)seat->who.joined_at, "away", away, "hash",
                     seat->resume_hash);
}

/* All seats of the room, or one. */
static json_t *describe_mine(const redis_room *room, const redis_seat *only, duet_time now)
{
    json_t *list = json_array();

    for (const redis_seat *seat = only ? only : room->seats; seat; seat = only ? NULL : seat->next)
        json_array_append_new(list, describe_seat(seat, now));
    return list;
}

static json_t *describe_room(const duet_room *room)
{
    char numbers[6][24];
    const json_int_t values[6] = {room->created_at,      room->kind,        room->max_participants, room->mute_on_entry,
                                  room->allow_recording, room->max_duration};

    for (size_t i = 0; i < 6; i++)
        snprintf(numbers[i], sizeof(numbers[i]), "%lld", (long long)values[i]);
    return json_pack("[s, s, s, s, s, s, s, s, s]", room->name, room->created_by, numbers[0], numbers[1], numbers[2],
                     numbers[3], numbers[4], numbers[5], room->transient ? "1" : "0");
}

typedef enum compare_what {
    COMPARE_ALL = 0, /* every seat of the room, after a break */
    COMPARE_SEAT,
    COMPARE_ROSTER,
} compare_what;

static void on_comparison(redis_store *s, redis_command *c, int err, const redisReply *reply);

static json_t *describe_state(redis_store *s, const redis_room *room, const redis_seat *only, compare_what what)
{
    bool fresh = what == COMPARE_ALL && s->stale;
    json_t *mine = what == COMPARE_ROSTER ? json_array() : describe_mine(room, only, duet_loop_now());
    json_t *roster = fresh ? describe_roster(s, room) : json_array();
    /* For seats of other nodes to be claimed, or for joins whose answer was lost to be repeated. */
    json_int_t grace = (json_int_t)s->config.grace_ms + s->config.settle_ms;

    return json_pack("{s:b, s:I, s:I, s:I, s:o, s:o, s:o}", "fresh", fresh, "grace", grace, "mesh",
                     (json_int_t)room->mesh_limit, "version", (json_int_t)room->version, "fields",
                     describe_room(&room->room), "roster", roster, "mine", mine);
}

static bool try_compare(redis_store *s, redis_room *room, const redis_seat *only, compare_what what)
{
    redis_command *c = duet_redis_command(s, "sync", false, on_comparison);
    duet_buffer text;

    if (!c)
        return false;
    json_t *state = describe_state(s, room, only, what);
    duet_buffer_init(&text, &s->env);
    if (duet_json_write(&text, state) != DUET_OK)
        c->body.failed = true;
    json_decref(state);
    c->message = what;
    memcpy(c->room_id, room->room.id, sizeof(c->room_id));
    duet_redis_argument(c, room->room.id);
    duet_redis_argument_bytes(c, text.data ? (const char *)text.data : "", text.len);
    duet_buffer_free(&text);
    return duet_redis_send_now(s, c);
}

/* Without memory it is tried again with the next connection, from the start. */
static void compare(redis_store *s, redis_room *room, const redis_seat *only, compare_what what)
{
    if (!try_compare(s, room, only, what))
        duet_redis_link_break(s, "no memory");
}

void duet_redis_compare_all(redis_store *s)
{
    size_t cursor = 0;
    uint64_t key;
    void *value;

    s->comparing = s->rooms.count;
    s->stale = s->stale && s->comparing > 0;
    while (duet_map_next(&s->seats, &cursor, &key, &value)) {
        redis_seat *seat = value;
        seat->seen = seat->last; /* what another Redis numbered does not count any more */
        seat->asking = seat->room != NULL;
    }
    for (cursor = 0; s->link == REDIS_UP && duet_map_next(&s->rooms, &cursor, &key, &value);) {
        redis_room *room = value;
        room->seen = room->version;
        room->asking = true;
        compare(s, room, NULL, COMPARE_ALL);
    }
}

void duet_redis_seat_catch_up(redis_store *s, redis_seat *seat)
{
    if (seat->asking || !seat->room || seat->seen <= seat->last || s->link != REDIS_UP)
        return;
    seat->asking = true;
    compare(s, seat->room, seat, COMPARE_SEAT);
}

static void room_catch_up(redis_store *s, redis_room *room)
{
    if (room->asking || s->link != REDIS_UP)
        return;
    room->asking = true;
    compare(s, room, NULL, COMPARE_ROSTER);
}

/* {id, "here" | "away" | "gone" | "elsewhere", reason, messages} */
static void take_comparison(redis_store *s, const redisReply *r)
{
    char id[DUET_SEAT_ID_LEN + 1], outcome[16], reason[32];
    const redisReply *messages = duet_redis_array(r, 3, 1);

    if (!duet_redis_text(r, 0, id, sizeof(id)) || !duet_redis_text(r, 1, outcome, sizeof(outcome)) ||
        !duet_redis_text(r, 2, reason, sizeof(reason)) || !messages)
        return;
    redis_seat *seat = duet_redis_seat(s, id);
    if (!seat || seat->state == REDIS_SEAT_JOINING)
        return;
    seat->asking = false;
    if (seat->state == REDIS_SEAT_CONNECTED)
        duet_redis_seat_deliver(s, seat, messages);
    if (strcmp(outcome, "gone") == 0) {
        take_away(s, seat, reason);
    } else if (strcmp(outcome, "elsewhere") == 0) {
        replace(s, seat);
    } else if (messages->elements > 1) {
        duet_redis_seat_catch_up(s, seat);
    } else {
        seat->seen = seat->last;
    }
}

static void on_comparison(redis_store *s, redis_command *c, int err, const redisReply *reply)
{
    const redisReply *answers = duet_redis_array(reply, 1, 0);
    redis_room *room = find_room(s, c->room_id);

    if (room)
        room->asking = false;
    if (err != DUET_OK || !answers) {
        duet_redis_link_break(s, "a comparison failed");
        return;
    }
    if (c->message == COMPARE_ALL && s->comparing > 0 && --s->comparing == 0)
        s->stale = false; /* all is back */
    const redisReply *snapshot = duet_redis_array(reply, 2, 4);
    if (room && snapshot && take_snapshot(room, snapshot) == DUET_OK && room->seen > room->version)
        room_catch_up(s, room);
    for (size_t i = 0; i < answers->elements; i++)
        take_comparison(s, answers->element[i]);
}

/* ---- the channel ---- */

static void heard_message(redis_store *s, redis_seat *seat, uint64_t seq, duet_bytes text)
{
    if (seq > seat->seen)
        seat->seen = seq;
    if (seat->state != REDIS_SEAT_CONNECTED)
        return;
    if (seq == seat->last + 1) {
        seat->last = seq;
        s->events.message(s->events.user, seat->who.id, seq, (const char *)text.data, text.len);
    } else {
        duet_redis_seat_catch_up(s, seat);
    }
}

static void heard_removed(redis_store *s, redis_seat *seat, uint64_t seq, duet_bytes payload)
{
    char reason[32];

    if (!duet_text_copy(reason, sizeof(reason), payload))
        return;
    if (seq > seat->seen)
        seat->seen = seq;
    if (seat->state == REDIS_SEAT_AWAY || (seat->state == REDIS_SEAT_CONNECTED && seat->last >= seq))
        take_away(s, seat, reason);
    else
        duet_redis_seat_catch_up(s, seat);
}

static void heard_of_seat(redis_store *s, char kind, const char *id, uint64_t seq, duet_bytes payload)
{
    redis_seat *seat = duet_redis_seat(s, id);

    if (!seat)
        return;
    if (kind == 'M')
        heard_message(s, seat, seq, payload);
    else if (kind == 'R')
        heard_removed(s, seat, seq, payload);
    else if (seat->state != REDIS_SEAT_JOINING && seq > seat->turn)
        replace(s, seat);
}

static void heard_of_roster(redis_store *s, char kind, const char *id, uint64_t version, duet_bytes payload)
{
    redis_member who = {.id = ""};
    json_t *object;

    if (duet_json_parse_object(&object, (const char *)payload.data, payload.len, NULL) != DUET_OK)
        return;
    const char *room_id = duet_json_text(object, "room"), *agent = duet_json_text(object, "agent"),
               *role = duet_json_text(object, "role");
    redis_room *room = room_id ? find_room(s, room_id) : NULL;
    bool complete = agent && role && strlen(agent) < sizeof(who.agent_id) && strlen(role) < sizeof(who.role);
    if (room && complete && version > room->version) {
        memcpy(who.id, id, strlen(id));
        memcpy(who.agent_id, agent, strlen(agent));
        memcpy(who.role, role, strlen(role));
        room->seen = version > room->seen ? version : room->seen;
        if (version != room->version + 1 || (kind == 'J' && add_member(room, &who) != DUET_OK)) {
            room_catch_up(s, room);
        } else {
            room->version = version;
            if (kind == 'L')
                remove_member(room, id);
        }
    }
    json_decref(object);
}

static void heard_of_room(redis_store *s, duet_bytes payload)
{
    char id[DUET_ROOM_ID_MAX + 1];

    redis_room *room = duet_text_copy(id, sizeof(id), payload) ? find_room(s, id) : NULL;
    if (room)
        room_catch_up(s, room);
}

/* The command that the entries behind it come from. */
static void heard_command(redis_store *s, const char *node, uint64_t number)
{
    redis_heard *entry = &s->heard[s->heard_count++ % REDIS_HEARD];

    memcpy(entry->node, node, strlen(node) + 1);
    entry->number = number;
}

void duet_redis_say_heard(redis_store *s)
{
    char text[REDIS_NODE_LEN + 24];
    size_t count = s->heard_count < REDIS_HEARD ? s->heard_count : REDIS_HEARD;

    redis_command *c = count > 0 ? duet_redis_command(s, "heard", false, duet_redis_ignore) : NULL;
    for (size_t i = 0; c && i < count; i++) {
        snprintf(text, sizeof(text), "%s:%llu", s->heard[i].node, (unsigned long long)s->heard[i].number);
        duet_redis_argument(c, text);
    }
    (void)duet_redis_send_now(s, c);
}

static bool is_kind(uint8_t c)
{
    return c == 'C' || c == 'M' || c == 'R' || c == 'X' || c == 'J' || c == 'L' || c == 'U';
}

/* Entries: kind, seat, number, length, payload, separated by spaces and ended by a line feed. */
static bool heard_entry(redis_store *s, duet_reader *r)
{
    char id[DUET_SEAT_ID_LEN + 1]; /* as long as that of a node */
    uint64_t number, len;

    duet_bytes kind = duet_text_run(r, is_kind);
    bool ok = kind.len == 1 && duet_text_skip(r, ' ');
    ok = ok && duet_text_copy(id, sizeof(id), duet_text_run(r, duet_char_is_not_space)) && duet_text_skip(r, ' ');
    ok = ok && duet_text_number(r, 0, NUMBER_MAX, &number) && duet_text_skip(r, ' ');
    ok = ok && duet_text_number(r, 0, duet_reader_left(r), &len) && duet_text_skip(r, ' ');
    if (!ok)
        return false;
    duet_bytes payload = duet_read_bytes(r, (size_t)len);
    if (r->failed || !duet_text_skip(r, '\n'))
        return false;
    char what = (char)kind.data[0];
    if (what == 'C')
        heard_command(s, id, number);
    else if (what == 'M' || what == 'R' || what == 'X')
        heard_of_seat(s, what, id, number, payload);
    else if (what == 'U')
        heard_of_room(s, payload);
    else
        heard_of_roster(s, what, id, number, payload);
    return true;
}

void duet_redis_heard(redis_store *s, const char *text, size_t len)
{
    duet_reader r = duet_text_reader(text, len);

    while (!duet_text_at_end(&r)) {
        if (!heard_entry(s, &r)) {
            duet_redis_log(s, DUET_LOG_WARN, "redis: the channel brought something that is not understood");
            return;
        }
    }
}

/* ---- life ---- */

void duet_redis_seats_free(redis_store *s)
{
    size_t cursor = 0;
    uint64_t key;
    void *value;

    while (duet_map_next(&s->seats, &cursor, &key, &value))
        duet_free(&s->env, value);
    for (cursor = 0; duet_map_next(&s->rooms, &cursor, &key, &value);) {
        redis_room *room = value;
        duet_array_free(&room->roster);
        duet_free(&s->env, room);
    }
    duet_map_free(&s->seats);
    duet_map_free(&s->rooms);
}
