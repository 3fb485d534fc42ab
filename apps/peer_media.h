/* The media test of duet peer: synthetic audio and video out, counted and decoded in. */
#ifndef DUET_APPS_PEER_MEDIA_H
#define DUET_APPS_PEER_MEDIA_H

#include "media.h"
#include "media_echo.h"
#include <jansson.h>

typedef struct peer_media {
    bool audio, video; /* asked for on the command line */
    bool echo;         /* send back what comes instead of synthetic media */
    const char *codec; /* preferred, for sound or pictures; NULL: Opus and VP8 */
    media_echo *echoes;
    media_source sources[2];
    media_sink sinks[2];                     /* audio, video */
    uint64_t audio_required, video_required; /* packets */
    duet_net *net;
    duet_pc *pc;
    json_t *figures; /* of getStats; a peer that says goodbye takes its streams with it, so they are kept */
    duet_time figured_at;
    void (*on_passed)(void *user);
    void *user;
    bool has_passed;
} peer_media;

/* Adds the tracks, before the first description. */
int peer_media_start(peer_media *m, duet_pc *pc, duet_net *net);
/* A track of the peer, from on_track. */
void peer_media_track(peer_media *m, duet_transceiver *transceiver);
bool peer_media_passed(const peer_media *m);
/* As many packets again: after an ICE restart. */
void peer_media_require_more(peer_media *m);
void peer_media_result(peer_media *m, json_t *result);
void peer_media_stop(peer_media *m);

#endif
