/* What comes over a node's channel of Redis, for a node with two seats. A seat's messages come in order, each once. */
#include "fuzz.h"
#include "signaling/store_redis_private.h"
#include <event2/event.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const seat_ids[] = {"AAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBB"};

typedef struct heard {
    uint64_t last[2];
} heard;

static void on_message(void *user, const char *seat_id, uint64_t seq, const char *text, size_t len)
{
    heard *h = user;

    require(len >= 2 && text[0] == '{' && text[len - 1] == '}');
    for (size_t i = 0; i < 2; i++) {
        if (strcmp(seat_id, seat_ids[i]) != 0)
            continue;
        require(seq == h->last[i] + 1);
        h->last[i] = seq;
    }
}

static void on_removed(void *user, const char *seat_id, const char *reason)
{
    (void)user;
    (void)seat_id;
    (void)reason;
}

static void on_replaced(void *user, const char *seat_id)
{
    (void)user;
    (void)seat_id;
}

static void joined(void *user, int err)
{
    (void)user;
    (void)err;
}

static void join(duet_store *store, const char *seat_id)
{
    duet_store_join how = {.room_id = "red", .resume_hash = seat_id, .mesh_limit = 5, .members = "\"a\":1"};

    memcpy(how.who.id, seat_id, sizeof(how.who.id));
    memcpy(how.who.agent_id, "a", 2);
    store->ops->join(store->self, &how, joined, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    heard h = {{0, 0}};
    duet_store_events events = {on_message, on_removed, on_replaced, &h};
    duet_store_redis_config config = {.url = "unix:///nowhere", .max_rooms = 4};
    struct event_base *base = event_base_new();
    duet_store store;

    require(base && duet_store_redis_create(&store, NULL, base, &config, &events) == DUET_OK);
    for (size_t i = 0; i < 2; i++)
        join(&store, seat_ids[i]);
    while (size > 0) {
        const uint8_t *end = memchr(data, '\xff', size);
        size_t len = end ? (size_t)(end - data) : size;
        duet_redis_heard(store.self, (const char *)data, len);
        data += len < size ? len + 1 : len;
        size -= len < size ? len + 1 : len;
    }
    store.ops->destroy(store.self);
    event_base_free(base);
    return 0;
}
