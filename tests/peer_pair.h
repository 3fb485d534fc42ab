/* Two peer connections without a network: what descriptions alone do to them, with every event recorded. */
#ifndef DUET_TESTS_PEER_PAIR_H
#define DUET_TESTS_PEER_PAIR_H

#include "duet/peer.h"
#include "test.h"

#define SIGNALING_EVENTS_MAX 16

typedef struct end {
    duet_env env;
    uint64_t seed;
    duet_pc *pc;
    unsigned negotiation_needed, signaling_events, candidates, other_events;
    duet_signaling_state signaling[SIGNALING_EVENTS_MAX];
} end;

static inline void end_negotiation_needed(void *user, duet_pc *pc)
{
    (void)pc;
    ((end *)user)->negotiation_needed++;
}

static inline void end_signaling(void *user, duet_pc *pc, duet_signaling_state state)
{
    end *e = user;

    (void)pc;
    if (e->signaling_events < SIGNALING_EVENTS_MAX)
        e->signaling[e->signaling_events] = state;
    e->signaling_events++;
}

static inline void end_state(void *user, duet_pc *pc, duet_pc_state state)
{
    (void)pc, (void)state;
    ((end *)user)->other_events++;
}

static inline duet_pc_config end_config(end *e, uint64_t seed)
{
    duet_pc_config config = DUET_PC_CONFIG_INIT;

    memset(e, 0, sizeof(*e));
    e->seed = seed;
    e->env = (duet_env)DUET_ENV_INIT;
    e->env.random = test_random_fill;
    e->env.user = &e->seed;
    config.env = &e->env;
    config.on_negotiation_needed = end_negotiation_needed;
    config.on_signaling_state = end_signaling;
    config.on_connection_state = end_state;
    config.user = e;
    return config;
}

static inline void end_create(end *e, uint64_t seed)
{
    duet_pc_config config = end_config(e, seed);

    assert_int_equal(duet_pc_create(&e->pc, &config), DUET_OK);
}

/* With a channel, so that there is something to offer. */
static inline void end_create_with_channel(end *e, uint64_t seed)
{
    duet_dc *dc;

    end_create(e, seed);
    assert_int_equal(duet_pc_create_data_channel(e->pc, "channel", NULL, &dc), DUET_OK);
}

static inline void end_destroy(end *e)
{
    duet_pc_destroy(e->pc);
    e->pc = NULL;
}

static inline void must(const end *e, int err)
{
    const duet_sdp_error *error = duet_pc_error(e->pc);

    if (err != DUET_OK)
        fail_msg("%s: line %zu, column %zu: %s", duet_strerror(err), error->line, error->column, error->reason);
}

static inline char *end_offer(end *e)
{
    char *sdp;

    must(e, duet_pc_create_offer(e->pc, NULL, &sdp));
    return sdp;
}

static inline char *end_answer(end *e)
{
    char *sdp;

    must(e, duet_pc_create_answer(e->pc, &sdp));
    return sdp;
}

static inline void set_local(end *e, duet_sdp_type type, const char *sdp)
{
    must(e, duet_pc_set_local_description(e->pc, type, sdp));
}

static inline void set_remote(end *e, duet_sdp_type type, const char *sdp)
{
    must(e, duet_pc_set_remote_description(e->pc, type, sdp));
}

/* The local description, pending or current. Freed with free(). */
static inline char *end_local(const end *e)
{
    char *sdp;

    assert_int_equal(duet_pc_local_description(e->pc, NULL, &sdp), DUET_OK);
    return sdp;
}

static inline char *end_remote(const end *e)
{
    char *sdp;

    assert_int_equal(duet_pc_remote_description(e->pc, NULL, &sdp), DUET_OK);
    return sdp;
}

static inline void assert_signaling(const end *e, duet_signaling_state state)
{
    assert_string_equal(duet_signaling_state_name(duet_pc_signaling_state(e->pc)), duet_signaling_state_name(state));
}

/* One whole negotiation. */
static inline void negotiate(end *offerer, end *answerer)
{
    set_local(offerer, DUET_SDP_OFFER, NULL);
    char *offer = end_local(offerer);
    set_remote(answerer, DUET_SDP_OFFER, offer);
    set_local(answerer, DUET_SDP_ANSWER, NULL);
    char *answer = end_local(answerer);
    set_remote(offerer, DUET_SDP_ANSWER, answer);
    duet_free(&offerer->env, offer);
    duet_free(&answerer->env, answer);
}

/* The value of the n-th line that begins with `prefix`, for example "a=ice-ufrag:". Freed with free(). */
static inline char *sdp_line(const char *sdp, const char *prefix, unsigned n)
{
    for (const char *at = sdp; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        if (strncmp(at, prefix, strlen(prefix)) == 0 && n-- == 0)
            return strndup(at + strlen(prefix), strcspn(at + strlen(prefix), "\r\n"));
    }
    return NULL;
}

/* A copy with the first `what` replaced. */
static inline char *sdp_replaced(const char *sdp, const char *what, const char *with)
{
    const char *at = strstr(sdp, what);

    if (!at)
        fail_msg("no %s in\n%s", what, sdp);
    size_t before = (size_t)(at - sdp);
    char *out = malloc(strlen(sdp) + strlen(with) + 1);
    assert_non_null(out);
    memcpy(out, sdp, before);
    strcpy(out + before, with);
    strcat(out, at + strlen(what));
    return out;
}

#endif
