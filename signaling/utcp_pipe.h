/* Whole messages over a data channel that carries only so many bytes in one: a bounded queue of texts to send, the
 * pieces of long ones, and the joining of pieces that came. One for each channel. */
#ifndef DUET_SIGNALING_UTCP_PIPE_H
#define DUET_SIGNALING_UTCP_PIPE_H

#include "signaling/utcp_message.h"

#define DUET_UTCP_QUEUE_MAX (32u * 1024u * 1024u) /* bytes that wait to be sent; beyond it a push is refused */
/* Peers that take less than this in one message are not served: nobody announces so little. */
#define DUET_UTCP_PIECE_MIN 1024

typedef struct duet_utcp_parcel duet_utcp_parcel;

typedef struct duet_utcp_pipe {
    const duet_env *env;
    duet_utcp_parcel *first, *last;
    size_t queued;      /* bytes */
    size_t piece_max;   /* bytes of one data-channel message */
    duet_buffer piece;  /* of the first parcel, made and not sent yet */
    size_t piece_used;  /* bytes of the parcel's text in it */
    duet_buffer joined; /* pieces that have come */
} duet_utcp_pipe;

void duet_utcp_pipe_init(duet_utcp_pipe *p, const duet_env *env);
void duet_utcp_pipe_free(duet_utcp_pipe *p);
/* For a channel that is new: what was queued or half joined belongs to the old one and is dropped.
 * @param max  a=max-message-size of the peer, 0 for no limit */
void duet_utcp_pipe_reset(duet_utcp_pipe *p, uint64_t max);

/* Takes the text of `message` and leaves it empty, unless it fails.
 * @return DUET_OK; DUET_ERR_AGAIN (DUET_UTCP_QUEUE_MAX); DUET_ERR_NOMEM */
int duet_utcp_pipe_push(duet_utcp_pipe *p, duet_buffer *message);
/* The next data-channel message; it lives until `sent`. @param text  NULL when nothing waits @return DUET_OK or
 * DUET_ERR_NOMEM */
int duet_utcp_pipe_peek(duet_utcp_pipe *p, const char **text, size_t *len);
void duet_utcp_pipe_sent(duet_utcp_pipe *p);

/* A data-channel message came. @param out  a whole message, to be freed; of type NONE while pieces are missing
 * @return DUET_OK, or as duet_utcp_message_parse. DUET_ERR_TOO_LARGE for pieces that are more than a message
 * together */
int duet_utcp_pipe_input(duet_utcp_pipe *p, duet_utcp_message *out, const char *text, size_t len, const char **reason);

#endif
