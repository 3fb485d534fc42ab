/* Workers of one TURN service in threads of their own: they share a registry and nothing else, and every relayed address and
 * every quota is of all of them. */
#include "turn_world.h"
#include <pthread.h>
#include <stdatomic.h>

#define WORKERS 4
#define CLIENTS 50
#define ROUNDS  20

typedef struct worker {
    pthread_t thread;
    duet_turn_registry *registry;
    world *w;
    unsigned number;
} worker;

static atomic_uint taken[65536]; /* who has a port now */

static void *serve(void *arg)
{
    worker *me = arg;
    static _Thread_local client clients[CLIENTS];
    duet_turn_config config;
    duet_address relayed[CLIENTS];

    world_config(me->w, &config);
    config.registry = me->registry;
    world_open(me->w, &config);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < CLIENTS; i++) {
            client_init(&clients[i], me->w, "192.0.2.10", (uint16_t)(5000 + me->number * 1000 + i));
            relayed[i] = client_allocate(&clients[i]);
            assert_int_equal(atomic_fetch_add(&taken[relayed[i].port], 1), 0);
            (void)client_permit(&clients[i], &relayed[i]);
        }
        for (unsigned i = 0; i < CLIENTS; i++) {
            atomic_fetch_sub(&taken[relayed[i].port], 1);
            assert_int_equal(client_refresh(&clients[i], 0).code, 0);
        }
    }
    world_close(me->w);
    return NULL;
}

static void workers_hand_out_every_port_once(void **state)
{
    worker workers[WORKERS];
    duet_turn_registry *registry;
    duet_turn_registry_config config;

    (void)state;
    duet_turn_registry_config_init(&config);
    config.port_min = 50000;
    config.port_max = 50255; /* few, so that they meet */
    assert_int_equal(duet_turn_registry_create(&registry, &config), DUET_OK);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (worker){.registry = registry, .w = calloc(1, sizeof(world)), .number = i};
        assert_non_null(workers[i].w);
        assert_int_equal(pthread_create(&workers[i].thread, NULL, serve, &workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        free(workers[i].w);
    }
    assert_int_equal(duet_turn_registry_allocations(registry), 0);
    duet_turn_registry_destroy(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(workers_hand_out_every_port_once)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
