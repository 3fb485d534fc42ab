/* usrsctp's process-wide part: reference-counted initialisation, the clock, the checksum offload, and a registry from
 * ids to associations that other threads may ask. RFC 9260; the settings follow RFC 8831 section 5. */
#include "sctp/usrsctp_process.h"
#include "base/crypto.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Slots live in blocks that stay until the process ends, so that a late look-up reads valid memory without a lock. */
#define BLOCK_BITS 8
#define BLOCK_SIZE (1u << BLOCK_BITS)
#define BLOCKS_MAX 1024
#define INDEX_BITS 18 /* 262,144 associations */
#define INDEX_MASK (((uintptr_t)1 << INDEX_BITS) - 1)

typedef struct registry_slot {
    pthread_mutex_t lock;
    uintptr_t id; /* 0: free */
    uintptr_t generation;
    void *object;
    const duet_usrsctp_handler *handler;
    uint32_t next_free;
} registry_slot;

/* clang-format off */
static struct {
    pthread_mutex_t lock; /* of everything below but the atomics */
    bool initialised;
    unsigned users;
    uint32_t used, first_free; /* first_free counts from 1; 0 is none */
    _Atomic(registry_slot *) blocks[BLOCKS_MAX];
    pthread_mutex_t timers; /* held while timers run: by one thread at a time, nobody waits for it */
    _Atomic duet_time clock;
} process = {.lock = PTHREAD_MUTEX_INITIALIZER, .timers = PTHREAD_MUTEX_INITIALIZER};
/* clang-format on */

static _Thread_local uintptr_t driven;

/* ---- registry -------------------------------------------------------------------------------------------------- */

static registry_slot *slot_at(uint32_t index)
{
    registry_slot *block = atomic_load_explicit(&process.blocks[index >> BLOCK_BITS], memory_order_acquire);

    return block ? &block[index & (BLOCK_SIZE - 1)] : NULL;
}

static registry_slot *slot_of(uintptr_t id)
{
    return slot_at((uint32_t)(id & INDEX_MASK));
}

/* These blocks are the process's, not an object's: they come from libc. */
static bool grow_registry(void)
{
    uint32_t number = process.used >> BLOCK_BITS;

    if (number >= BLOCKS_MAX)
        return false;
    if (atomic_load(&process.blocks[number]))
        return true;
    registry_slot *block = calloc(BLOCK_SIZE, sizeof(*block));
    if (!block)
        return false;
    for (uint32_t i = 0; i < BLOCK_SIZE; i++)
        pthread_mutex_init(&block[i].lock, NULL);
    atomic_store_explicit(&process.blocks[number], block, memory_order_release);
    return true;
}

static bool take_index(uint32_t *index)
{
    if (process.first_free) {
        *index = process.first_free - 1;
        process.first_free = slot_at(*index)->next_free;
        return true;
    }
    if (!grow_registry())
        return false;
    *index = process.used++;
    return true;
}

static bool enlist(uintptr_t *id, void *object, const duet_usrsctp_handler *handler)
{
    uint32_t index;

    if (!take_index(&index))
        return false;
    registry_slot *slot = slot_at(index);
    pthread_mutex_lock(&slot->lock);
    slot->generation = (slot->generation + 1) & (UINTPTR_MAX >> INDEX_BITS >> 1);
    if (slot->generation == 0)
        slot->generation = 1;
    slot->id = slot->generation << INDEX_BITS | index;
    slot->object = object;
    slot->handler = handler;
    *id = slot->id;
    pthread_mutex_unlock(&slot->lock);
    return true;
}

void duet_usrsctp_forget(uintptr_t id)
{
    registry_slot *slot = slot_of(id);

    pthread_mutex_lock(&slot->lock);
    slot->id = 0;
    slot->object = NULL;
    pthread_mutex_unlock(&slot->lock);

    pthread_mutex_lock(&process.lock);
    slot->next_free = process.first_free;
    process.first_free = (uint32_t)(id & INDEX_MASK) + 1;
    pthread_mutex_unlock(&process.lock);
}

uintptr_t duet_usrsctp_drive(uintptr_t id)
{
    uintptr_t before = driven;

    driven = id;
    return before;
}

void duet_usrsctp_lock(uintptr_t id)
{
    pthread_mutex_lock(&slot_of(id)->lock);
}

void duet_usrsctp_unlock(uintptr_t id)
{
    pthread_mutex_unlock(&slot_of(id)->lock);
}

/* ---- what usrsctp calls ---------------------------------------------------------------------------------------- */

/* Finds the association; for a foreign one the lock of its slot is held until release_slot, so that it cannot go. */
static registry_slot *find_slot(void *address, bool *is_owner)
{
    uintptr_t id = (uintptr_t)address;
    registry_slot *slot = id ? slot_of(id) : NULL;

    if (!slot)
        return NULL;
    *is_owner = id == driven;
    if (*is_owner)
        return slot;
    pthread_mutex_lock(&slot->lock);
    if (slot->id == id)
        return slot;
    pthread_mutex_unlock(&slot->lock);
    return NULL;
}

static void release_slot(registry_slot *slot, bool is_owner)
{
    if (!is_owner)
        pthread_mutex_unlock(&slot->lock);
}

static int on_output(void *address, void *buffer, size_t len, uint8_t tos, uint8_t set_df)
{
    bool is_owner;
    registry_slot *slot = find_slot(address, &is_owner);

    (void)tos, (void)set_df;
    if (!slot)
        return 0;
    slot->handler->output(slot->object, buffer, len, is_owner);
    release_slot(slot, is_owner);
    return 0;
}

int duet_usrsctp_receive(struct socket *so, union sctp_sockstore from, void *data, size_t len, struct sctp_rcvinfo info,
                         int flags, void *ulp_info)
{
    bool is_owner;
    registry_slot *slot = find_slot(ulp_info, &is_owner);

    (void)so, (void)from;
    if (!slot || !data) {
        free(data);
        if (slot)
            release_slot(slot, is_owner);
        return 1;
    }
    slot->handler->receive(slot->object, data, len, info, flags, is_owner);
    release_slot(slot, is_owner);
    return 1;
}

int duet_usrsctp_writable(struct socket *so, uint32_t free_space, void *ulp_info)
{
    bool is_owner;
    registry_slot *slot = find_slot(ulp_info, &is_owner);

    (void)so, (void)free_space;
    if (!slot)
        return 1;
    slot->handler->writable(slot->object, is_owner);
    release_slot(slot, is_owner);
    return 1;
}

/* ---- clock ----------------------------------------------------------------------------------------------------- */

void duet_usrsctp_advance(duet_time now)
{
    duet_time clock = atomic_load_explicit(&process.clock, memory_order_relaxed);

    /* usrsctp walks all timers of the process each time: not more often than its own resolution. */
    if (now < clock + DUET_MS(10) || pthread_mutex_trylock(&process.timers) != 0)
        return;
    clock = atomic_load_explicit(&process.clock, memory_order_relaxed);
    if (now >= clock + DUET_MS(10)) {
        uint64_t elapsed = (now - clock) / 1000;
        if (elapsed > INT32_MAX / 2)
            elapsed = INT32_MAX / 2;
        atomic_store_explicit(&process.clock, now - (now - clock) % 1000, memory_order_relaxed);
        usrsctp_handle_timers((uint32_t)elapsed);
    }
    pthread_mutex_unlock(&process.timers);
}

/* ---- initialisation -------------------------------------------------------------------------------------------- */

static void configure(void)
{
    /* RFC 8831 section 5 names what WebRTC needs: partial reliability and stream reset. Nothing else is on. */
    usrsctp_sysctl_set_sctp_ecn_enable(0);
    usrsctp_sysctl_set_sctp_asconf_enable(0);
    usrsctp_sysctl_set_sctp_auto_asconf(0);
    usrsctp_sysctl_set_sctp_auth_enable(0);
    usrsctp_sysctl_set_sctp_nrsack_enable(0);
    usrsctp_sysctl_set_sctp_pktdrop_enable(0);
    usrsctp_sysctl_set_sctp_blackhole(2); /* no answer to packets of unknown associations */
    usrsctp_sysctl_set_sctp_no_csum_on_loopback(0);
    usrsctp_sysctl_set_sctp_heartbeat_interval_default(0);
    usrsctp_sysctl_set_sctp_delayed_sack_time_default(20);
    usrsctp_sysctl_set_sctp_initial_cwnd(10);      /* as RFC 6928 for TCP */
    usrsctp_sysctl_set_sctp_max_burst_default(32); /* one thinned SACK may free 16 packets */
    usrsctp_sysctl_set_sctp_max_chunks_on_queue(10240);
    usrsctp_enable_crc32c_offload(); /* computed here, by hardware where there is some */
}

/* The iterator thread that usrsctp starts inherits the mask: no signal of the application may land on it. */
static void initialise(void)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    usrsctp_init_nothreads(0, on_output, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    configure();
    process.initialised = true;
}

int duet_usrsctp_open(uintptr_t *id, void *object, const duet_usrsctp_handler *handler, duet_time now)
{
    pthread_mutex_lock(&process.lock);
    if (!process.initialised)
        initialise();
    if (process.users == 0) /* a new world may begin at an earlier time */
        atomic_store(&process.clock, now);
    bool enlisted = enlist(id, object, handler);
    if (enlisted)
        process.users++;
    pthread_mutex_unlock(&process.lock);
    return enlisted ? DUET_OK : DUET_ERR_NOMEM;
}

/* Freed endpoints linger on timers of a few milliseconds, and usrsctp says busy until they have run. */
static bool finish(void)
{
    for (int i = 0; i < 100; i++) {
        if (usrsctp_finish() == 0)
            return true;
        usrsctp_handle_timers(20);
    }
    return false; /* it stays for the next association */
}

/* Ids begin anew, as they are part of cookies: a world that is run again gives the same bytes. */
static void reset_registry(void)
{
    for (uint32_t i = 0; i < process.used; i++) {
        registry_slot *slot = slot_at(i);
        pthread_mutex_lock(&slot->lock);
        slot->generation = 0;
        pthread_mutex_unlock(&slot->lock);
    }
    process.used = process.first_free = 0;
}

void duet_usrsctp_close(void)
{
    pthread_mutex_lock(&process.lock);
    if (--process.users == 0) {
        pthread_mutex_lock(&process.timers);
        process.initialised = !finish();
        if (!process.initialised)
            reset_registry();
        pthread_mutex_unlock(&process.timers);
    }
    pthread_mutex_unlock(&process.lock);
}
