/* libsrtp's process-wide part: its table of ciphers. It is made once and stays: libsrtp tests every cipher when it is
 * initialised, which takes some 20 ms, too long to be repeated for each call of a program that has one at a time. It
 * holds a few kilobytes and no keys. */
#include "srtp/process.h"
#include "duet/base.h"
#include <pthread.h>
#include <srtp2/srtp.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static srtp_err_status_t status;

/* Each cause is an error code of ours; libsrtp would print it. */
static void stay_silent(srtp_event_data_t *event)
{
    (void)event;
}

static void initialise(void)
{
    status = srtp_init();
    if (status == srtp_err_status_ok)
        status = srtp_install_event_handler(stay_silent);
}

int duet_srtp_process_init(void)
{
    pthread_once(&once, initialise);
    return status == srtp_err_status_ok ? DUET_OK : DUET_ERR_CRYPTO;
}
