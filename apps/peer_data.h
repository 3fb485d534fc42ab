/* The data channel test of duet peer: the offerer sends ten messages, the answerer sends each back as it came. It has passed
 * when the eight that every stack carries have come back in order and whole; on an unordered or unreliable channel, when six
 * of them have. */
#ifndef DUET_APPS_PEER_DATA_H
#define DUET_APPS_PEER_DATA_H

#include "app.h"
#include <jansson.h>

#define PEER_DATA_MESSAGES 10

typedef struct peer_data {
    /* Set before peer_data_start. */
    const app_connection *connection;
    bool is_offer;
    bool asked_for;                  /* on the command line; a channel of the peer is answered in any case */
    const json_t *init;              /* RTCDataChannelInit; NULL: ordered and reliable */
    void (*on_progress)(void *user); /* the test has passed, or the later message has come back */
    void (*on_failed)(void *user, const char *what, int err);
    void (*on_closed)(void *user);
    void *user;

    duet_net_timer *lossy;
    duet_dc *channel;
    bool lossy_channel; /* unordered or unreliable: one message at a time */
    size_t next;        /* the message that goes out next */
    size_t sizes[PEER_DATA_MESSAGES];
    bool echoed[PEER_DATA_MESSAGES];
    size_t echo_next; /* ordered channels: the echo that is due */
    unsigned sent, received, echo_ok, bad, max_sent;
    bool empty_text, empty_binary, opened, passed, sent_later, later_echoed;
} peer_data;

/* Makes the channel, before the first description, where it is this side's to make. */
void peer_data_start(peer_data *d);
/* A channel of the peer, from on_data_channel. */
void peer_data_channel(peer_data *d, duet_dc *dc);
/* Nothing that was asked for is still to come. */
bool peer_data_passed(const peer_data *d);
/* One message more, when there is a channel: after an ICE restart. */
void peer_data_send_later(peer_data *d);
void peer_data_result(const peer_data *d, json_t *result);
void peer_data_stop(peer_data *d);

#endif
