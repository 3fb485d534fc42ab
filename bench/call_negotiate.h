/* Two connections in one process agree: what the benchmarks of calls share. */
#ifndef DUET_BENCH_CALL_NEGOTIATE_H
#define DUET_BENCH_CALL_NEGOTIATE_H

#include "duet/peer.h"

/* Ends the program with a message when something failed. */
void call_check(int err, const char *what);
/* Offer and answer. */
void call_negotiate(duet_pc *offerer, duet_pc *answerer);

#endif
