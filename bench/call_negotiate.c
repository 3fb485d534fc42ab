/* Two connections in one process agree. */
#include "call_negotiate.h"
#include <stdio.h>
#include <stdlib.h>

void call_check(int err, const char *what)
{
    if (err == DUET_OK)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, duet_strerror(err));
    exit(1);
}

static void describe(duet_pc *from, duet_pc *to, duet_sdp_type type)
{
    char *sdp;

    call_check(duet_pc_set_local_description(from, type, NULL), "local description");
    call_check(duet_pc_local_description(from, NULL, &sdp), "local description");
    call_check(duet_pc_set_remote_description(to, type, sdp), "remote description");
    duet_free(NULL, sdp);
}

void call_negotiate(duet_pc *offerer, duet_pc *answerer)
{
    describe(offerer, answerer, DUET_SDP_OFFER);
    describe(answerer, offerer, DUET_SDP_ANSWER);
}
