/* What the files of the Redis store share: the link to Redis with its commands, and what this node knows of the seats that are
 * connected to it. */
#ifndef DUET_SIGNALING_STORE_REDIS_PRIVATE_H
#define DUET_SIGNALING_STORE_REDIS_PRIVATE_H

#include "base/map.h"
#include "signaling/json.h"
#include "signaling/loop.h"
#include "signaling/store_key.h"
#include "signaling/store_redis.h"
#include <event2/event.h>
#include <hiredis/async.h>

#define REDIS_COMMANDS_MAX (4096)
#define REDIS_BYTES_MAX    (8u << 20)
#define REDIS_WINDOW       1024 /* sent and not answered: the script remembers the outcome of as many */
#define REDIS_NODE_LEN     22   /* 16 random bytes in base64url */
#define REDIS_HEARD        1024
#define REDIS_ROOM_FIELDS  9

typedef struct redis_store redis_store;
typedef struct redis_command redis_command;

/* `reply` is an array whose first value is the outcome, or NULL when there is an error instead. */
typedef void (*redis_answer)(redis_store *s, redis_command *c, int err, const redisReply *reply);

struct redis_command {
    redis_command *prev, *next;
    const char *operation;
    uint64_t number;  /* 0: it changes nothing, or it may be lost; never repeated */
    size_t arguments; /* in `body`, in Redis's protocol */
    duet_buffer body;
    bool sent;
    redis_answer answer;
    union {
        duet_store_done plain;
        duet_store_seat_done seat;
        duet_store_room_done room;
        duet_store_rooms_done rooms;
        duet_store_people_done people;
    } done;
    void *user;
    redis_store *store;
    char room_id[DUET_ROOM_ID_MAX + 1];
    char seat_id[DUET_SEAT_ID_LEN + 1];
    uint64_t message; /* `number` of a relay or post */
};

typedef enum redis_link {
    REDIS_DOWN = 0,
    REDIS_CONNECTING, /* both connections; then the script is loaded */
    REDIS_GREETING,   /* which Redis is it? Its answer is awaited, then the seats are compared */
    REDIS_UP,
} redis_link;

typedef struct redis_member {
    char id[DUET_SEAT_ID_LEN + 1];
    char agent_id[DUET_TOKEN_SUBJECT_MAX + 1];
    char role[DUET_TOKEN_ROLE_MAX + 1];
} redis_member;

typedef struct redis_seat redis_seat;

/* A room in which this node has seats. */
typedef struct redis_room {
    uint64_t key;
    duet_room room;
    unsigned mesh_limit;
    uint64_t version, seen; /* of the roster: what is here; the highest one heard of */
    duet_array roster;      /* of redis_member, everybody in the room */
    redis_seat *seats;
    bool asking; /* a comparison is under way */
} redis_room;

typedef enum redis_seat_state {
    REDIS_SEAT_JOINING = 0, /* the answer is awaited; messages are in it */
    REDIS_SEAT_CONNECTED,
    REDIS_SEAT_AWAY, /* kept for the case that Redis forgets it */
} redis_seat_state;

struct redis_seat {
    redis_seat *prev, *next; /* of the same room */
    redis_room *room;        /* NULL as long as it is joining */
    duet_participant who;
    char resume_hash[DUET_SEAT_HASH_LEN + 1];
    redis_seat_state state;
    uint64_t last, seen; /* the last message handed over; the highest one heard of */
    uint64_t received;   /* the highest number that Redis has confirmed */
    uint64_t turn;       /* how often it has been resumed */
    duet_time grace_end; /* when it is away */
    bool asking;         /* a comparison is under way */
    bool leaving;        /* detached while it was joining */
};

typedef struct redis_heard {
    char node[REDIS_NODE_LEN + 1];
    uint64_t number;
} redis_heard;

struct redis_store {
    duet_env env;
    duet_store_events events;
    struct event_base *base;
    duet_store_redis_config config;
    char *prefix, *host, *path, *login, *password;
    uint16_t port;
    unsigned database;
    char node[REDIS_NODE_LEN + 1];
    char script_hash[41];
    uint8_t secret[16]; /* of the hashes of room names */

    redis_link link;
    redisAsyncContext *commands, *channel;
    bool subscribed, loaded;
    bool stale;       /* another Redis process than before has not got back everything yet */
    size_t comparing; /* rooms whose comparison is under way */
    duet_time up_at;
    char run[41];       /* of the Redis process that was seen last; "" before the first */
    const char *reason; /* why it is down; static */
    unsigned backoff_ms;
    struct event *retry, *beat, *sweep;
    duet_time asked_at; /* the oldest heartbeat without an answer; 0: none */

    redis_command *first, *last;
    redis_command *unsent; /* the first one that has not been sent */
    size_t queued, queued_bytes, sent;
    bool settling; /* commands wait for other nodes to have put back what a new Redis does not know */
    struct event *settled;
    uint64_t next_number;
    bool in_destroy;

    duet_map seats, rooms;
    size_t away;
    redis_heard
        heard[REDIS_HEARD]; /* a ring: the latest commands, of all nodes, whose effects came through the channel */
    size_t heard_count;
};

extern const char duet_store_redis_script[];

void duet_redis_log(const redis_store *s, duet_log_level level, const char *format, ...) DUET_PRINTF(3, 4);

/* ---- store_redis_link.c ---- */

int duet_redis_link_open(redis_store *s, const char *url);
void duet_redis_link_close(redis_store *s);
/* Gives the connections up and tries again after a while. */
void duet_redis_link_break(redis_store *s, const char *reason);

/* @param repeated  it changes something: numbered, repeated when the connection breaks */
redis_command *duet_redis_command(redis_store *s, const char *operation, bool repeated, redis_answer answer);
void duet_redis_argument(redis_command *c, const char *text);
void duet_redis_argument_bytes(redis_command *c, const void *data, size_t len);
void duet_redis_argument_number(redis_command *c, uint64_t value);
/* Takes the command over, NULL too. @param essential  it is taken however much waits
 * @return DUET_OK, and the answer follows; DUET_ERR_NOMEM, DUET_ERR_IO: it does not */
int duet_redis_send(redis_store *s, redis_command *c, bool essential);
/* Not queued, and without an answer when the connection breaks. Takes the command over, NULL too.
 * @return whether it is under way */
bool duet_redis_send_now(redis_store *s, redis_command *c);

void duet_redis_ignore(redis_store *s, redis_command *c, int err,
                       const redisReply *reply); /* an answer of no interest */

/* ---- store_redis_reply.c: values from Redis, checked ---- */

const redisReply *duet_redis_array(const redisReply *r, size_t index, size_t elements_min); /* NULL: it is not there */
bool duet_redis_text(const redisReply *r, size_t index, char *out, size_t size);
bool duet_redis_number(const redisReply *r, size_t index, uint64_t max, uint64_t *out);
bool duet_redis_room(const char *id, const redisReply *fields, duet_room *out);
void duet_redis_room_arguments(redis_command *c, const duet_room *room);

/* ---- store_redis_seats.c: what this node knows, and how it is compared with Redis ---- */

redis_seat *duet_redis_seat(const redis_store *s, const char *id);
redis_seat *duet_redis_seat_add(redis_store *s, const char *id); /* NULL: no memory */
void duet_redis_seat_free(redis_store *s, redis_seat *seat);
/* The reply of a join or resume is taken over: {0, id, agent, role, joined, room, received, turn, messages, snapshot}.
 * @return DUET_OK; DUET_ERR_MALFORMED; DUET_ERR_NOMEM */
int duet_redis_seat_arrived(redis_store *s, redis_seat *seat, const redisReply *reply);
/* Hands over the messages of a reply, {number of the first, text, …}, that the seat has not got yet. */
void duet_redis_seat_deliver(redis_store *s, redis_seat *seat, const redisReply *messages);
/* Asks for what was missed, if anything was. */
void duet_redis_seat_catch_up(redis_store *s, redis_seat *seat);
/* A batch from the channel. */
void duet_redis_heard(redis_store *s, const char *text, size_t len);
/* Tells a new Redis which commands have been carried out. */
void duet_redis_say_heard(redis_store *s);
/* After a break: all seats, and what `stale` says. */
void duet_redis_compare_all(redis_store *s);
void duet_redis_forget_away(redis_store *s, duet_time now);
void duet_redis_seats_free(redis_store *s);

#endif
