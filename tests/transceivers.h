/* Two connections whose transceivers are looked at, and their descriptions; without a network. */
#ifndef DUET_TESTS_TRANSCEIVERS_H
#define DUET_TESTS_TRANSCEIVERS_H

#include "duet/transceiver.h"
#include "peer_pair.h"

static inline duet_transceiver *add(end *e, duet_sdp_media_kind kind, duet_sdp_direction direction)
{
    duet_transceiver_init init = DUET_TRANSCEIVER_INIT;
    duet_transceiver *t;

    init.direction = direction;
    assert_int_equal(duet_pc_add_transceiver(e->pc, kind, &init, &t), DUET_OK);
    return t;
}

static inline void create_pair(end *alice, end *bob)
{
    end_create(alice, 1);
    end_create(bob, 2);
}

static inline void destroy_pair(end *alice, end *bob)
{
    end_destroy(alice);
    end_destroy(bob);
}

static inline duet_transceiver *at(const end *e, size_t index)
{
    duet_transceiver *t = duet_pc_transceiver_at(e->pc, index);

    assert_non_null(t);
    return t;
}

static inline size_t count(const end *e)
{
    size_t n = 0;

    while (duet_pc_transceiver_at(e->pc, n))
        n++;
    return n;
}

static inline void assert_current(const duet_transceiver *t, duet_sdp_direction expected)
{
    duet_sdp_direction current;

    assert_true(duet_transceiver_current_direction(t, &current));
    assert_string_equal(duet_sdp_direction_name(current), duet_sdp_direction_name(expected));
}

static inline duet_sdp *parsed(const char *text)
{
    duet_sdp *sdp;

    assert_int_equal(duet_sdp_parse(&sdp, NULL, text, strlen(text), NULL), DUET_OK);
    return sdp;
}

static inline duet_sdp *local_of(const end *e)
{
    char *text = end_local(e);
    duet_sdp *sdp = parsed(text);

    free(text);
    return sdp;
}

#endif
