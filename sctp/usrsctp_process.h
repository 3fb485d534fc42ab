/* What usrsctp has once per process: its instance, its clock, and the names of its associations.
 *
 * AF_CONN addresses are ids, never pointers: a stale id finds nothing. A thread that drives an association says so with
 * duet_usrsctp_drive; what usrsctp emits for any other one (one association's tick runs the timers of all) goes through
 * the locked mailbox of that one. */
#ifndef DUET_SCTP_USRSCTP_PROCESS_H
#define DUET_SCTP_USRSCTP_PROCESS_H

#include "duet/base.h"
#include <usrsctp.h>

typedef struct duet_usrsctp_handler {
    void (*output)(void *object, uint8_t *packet, size_t len, bool is_owner);
    /* Takes over data. */
    void (*receive)(void *object, uint8_t *data, size_t len, struct sctp_rcvinfo info, int flags, bool is_owner);
    void (*writable)(void *object, bool is_owner);
} duet_usrsctp_handler;

/* One more association: initialises usrsctp when it is the first.
 * @param id  its name, not 0; to be given to usrsctp as sconn_addr and ulp_info */
int duet_usrsctp_open(uintptr_t *id, void *object, const duet_usrsctp_handler *handler, duet_time now);
/* Its name means nothing from now on, on any thread: nothing comes up for it any more. */
void duet_usrsctp_forget(uintptr_t id);
/* One association fewer: the last one ends usrsctp. Its socket must be closed. */
void duet_usrsctp_close(void);

/* The association that this thread drives from now on; gives the one before, to be restored. */
uintptr_t duet_usrsctp_drive(uintptr_t id);

/* The lock of an association's mailbox. */
void duet_usrsctp_lock(uintptr_t id);
void duet_usrsctp_unlock(uintptr_t id);

/* Brings usrsctp's clock to `now` (the largest of all threads wins) and runs what is due, unless another thread is at
 * it. */
void duet_usrsctp_advance(duet_time now);

int duet_usrsctp_receive(struct socket *so, union sctp_sockstore from, void *data, size_t len, struct sctp_rcvinfo info,
                         int flags, void *ulp_info);
int duet_usrsctp_writable(struct socket *so, uint32_t free_space, void *ulp_info);

#endif
