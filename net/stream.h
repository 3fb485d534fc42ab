/* A stream as the two files see it that are about streams. */
#ifndef DUET_NET_STREAM_H
#define DUET_NET_STREAM_H

#include "net/internal.h"

typedef enum stream_state {
    STREAM_CONNECTING = 0,
    STREAM_HANDSHAKE,
    STREAM_OPEN,
    STREAM_PEER_ENDED, /* in order: what is written still goes out */
    STREAM_ENDED,      /* there is no descriptor any more; the endpoint has been told and will close */
    STREAM_LINGERING,  /* the endpoint has closed it */
} stream_state;

typedef struct net_stream net_stream;

typedef struct stream_alarm {
    net_alarm alarm; /* first */
    net_stream *stream;
} stream_alarm;

struct net_stream {
    net_socket socket; /* first */
    stream_alarm alarm;
    duet_net *net;
    stream_state state;
    duet_protocol protocol;
    duet_address remote;
    net_socket *listener; /* of an accepted one, until its handshake is done */
    net_trust *trust;
    duet_tls *tls;
    uint8_t *pending; /* what the kernel did not take yet */
    size_t pending_start, pending_len, pending_size;
    bool is_shut; /* lingering: our side has been closed */
};

/* stream.c */
void net_stream_break_off(net_stream *s); /* it broke: its id stays until the endpoint closes it */

/* stream_send.c */
void net_stream_set_interest(net_stream *s); /* what epoll should wait for */
int net_stream_push(net_stream *s);          /* sends what waits, as far as the kernel takes it. 0 or an errno */

#endif
