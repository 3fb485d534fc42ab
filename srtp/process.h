/* What libsrtp has once per process. */
#ifndef DUET_SRTP_PROCESS_H
#define DUET_SRTP_PROCESS_H

/* Initialises libsrtp when this process has not done so yet; any thread may call. DUET_OK or DUET_ERR_CRYPTO. */
int duet_srtp_process_init(void);

#endif
