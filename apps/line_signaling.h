/* Signaling as JSON lines on standard input and output: descriptions, candidates and "done", for the commands that a
 * script joins to another peer. */
#ifndef DUET_APPS_LINE_SIGNALING_H
#define DUET_APPS_LINE_SIGNALING_H

#include "app.h"

typedef struct line_signaling line_signaling;

struct line_signaling {
    /* Set before line_signaling_start. */
    app_connection *connection;
    bool is_offer, no_trickle;
    /* A description could not be made or taken, or standard input cannot be read; `reason` lives until it returns. */
    void (*on_failed)(void *user, const char *reason);
    void (*on_answer)(void *user);   /* an answer was taken; may be NULL */
    void (*on_end)(void *user);      /* standard input has ended */
    void (*on_finished)(void *user); /* both sides have said done, and a moment has passed */
    void *user;

    /* To be read. */
    bool done_sent, done_received;

    app_lines *lines;
    duet_net_timer *closing;
    bool described; /* the local description has been written */
};

/* Begins to read; the offerer writes its offer. */
void line_signaling_start(line_signaling *s);
void line_signaling_stop(line_signaling *s);
/* Makes and writes an offer. */
void line_signaling_offer(line_signaling *s, bool ice_restart);
/* From the callbacks of the connection. */
void line_signaling_candidate(const line_signaling *s, const duet_pc_candidate *candidate);
void line_signaling_gathering(line_signaling *s, duet_ice_gathering_state state);
/* Says that this side is done, once. */
void line_signaling_done(line_signaling *s);

#endif
