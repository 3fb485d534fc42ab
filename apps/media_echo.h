/* Media that comes back: each frame that a transceiver receives is sent on it again, encoded as it came. */
#ifndef DUET_APPS_MEDIA_ECHO_H
#define DUET_APPS_MEDIA_ECHO_H

#include "duet/transceiver.h"

typedef struct media_echo {
    struct media_echo *next;
    duet_transceiver *transceiver;
    uint32_t first_timestamp; /* what the frames' times are counted from */
    duet_time first_time;
    bool has_first;
    uint64_t frames, dropped;
} media_echo;

/* Begins, from on_track: before the answer is made, so that it says that media is sent too.
 * @param list  owns it @return DUET_OK or DUET_ERR_NOMEM */
int media_echo_start(media_echo **list, duet_transceiver *transceiver);
/* Sends one frame back: for who has set callbacks of its own on the receiver. Ignored when there is no echo for it. */
void media_echo_frame(media_echo *list, duet_receiver *receiver, const duet_incoming_frame *frame);
/* The transceiver has ended: frees its echo. */
void media_echo_end(media_echo **list, const duet_transceiver *transceiver);
/* Frees them. The connection must have been closed, or be about to be destroyed. */
void media_echo_free(media_echo **list);

#endif
