/* The signals that end a command, as an event of its loop: rooms hear a goodbye, and files are completed. */
#include "app.h"
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

void app_interrupt_start(app_interrupt *i, duet_net *net, void (*fn)(void *arg, unsigned ready), void *arg)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    i->watch = NULL;
    i->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (i->fd >= 0)
        duet_net_watch_start(&i->watch, net, i->fd, DUET_NET_READABLE, fn, arg);
}

void app_interrupt_stop(app_interrupt *i)
{
    duet_net_watch_stop(i->watch);
    if (i->fd >= 0)
        close(i->fd);
}
