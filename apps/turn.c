/* duet turn: the TURN and STUN server. The main thread waits for signals; the workers do the rest. */
#include "turn.h"
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Every allocation is a descriptor. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Before the first thread starts, so that all have them blocked. @return a descriptor that tells of SIGINT and SIGTERM */
static int take_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return pthread_sigmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_CLOEXEC) : -1;
}

static void announce(const turn_options *o, const turn_service *service, const duet_address *metrics)
{
    char text[DUET_ADDRESS_TEXT_MAX];
    json_t *line = json_object(), *listening = json_array();

    for (size_t i = 0; i < o->listener_count; i++) {
        const char *protocol = duet_protocol_name(o->listeners[i].protocol);
        duet_address_text(turn_service_address(service, i), text, sizeof(text));
        json_array_append_new(listening, json_pack("{s:s, s:s}", "protocol", protocol, "address", text));
        if (!o->json)
            printf("listening on %s %s\n", protocol, text);
    }
    json_object_set_new(line, "listening", listening);
    json_object_set_new(line, "realm", json_string(o->realm ? o->realm : "duet"));
    json_object_set_new(line, "workers", json_integer(o->workers));
    if (metrics->family) {
        duet_address_text(metrics, text, sizeof(text));
        json_object_set_new(line, "metrics", json_sprintf("http://%s/metrics", text));
        if (!o->json)
            printf("metrics at http://%s/metrics\n", text);
    }
    if (o->json)
        app_lines_write(json_incref(line));
    json_decref(line);
    fflush(stdout);
}

/* @return whether a signal came before `ms` passed (-1: no end) or the service had something to tell */
static bool wait_for_signal(int signals, int service, int ms)
{
    struct pollfd fds[] = {{signals, POLLIN, 0}, {service, POLLIN, 0}};
    struct signalfd_siginfo info;
    int n;

    do {
        n = poll(fds, service >= 0 ? 2 : 1, ms);
    } while (n < 0 && errno == EINTR);
    return fds[0].revents && read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

static void serve_until_told(const turn_options *o, turn_service *service, int signals)
{
    wait_for_signal(signals, -1, -1);
    if (o->drain <= 0)
        return;
    turn_service_drain(service);
    wait_for_signal(signals, turn_service_fd(service), (int)(o->drain * 1000));
}

static int serve(const turn_options *o, int signals)
{
    turn_metrics *metrics = NULL;
    duet_address metrics_address = {0};
    turn_service *service = turn_service_start(o);

    if (!service)
        return APP_FAILED;
    if (o->metrics)
        metrics = turn_metrics_start(service, o->metrics, &metrics_address);
    bool good = !o->metrics || metrics;
    if (good) {
        announce(o, service, &metrics_address);
        serve_until_told(o, service, signals);
    }
    turn_metrics_stop(metrics);
    turn_service_stop(service);
    return good ? APP_OK : APP_FAILED;
}

int app_turn(int argc, char **argv)
{
    static turn_options o;

    int code = turn_parse_options(&o, argc, argv);
    if (code < 0) {
        raise_descriptor_limit();
        int signals = take_signals();
        code = signals >= 0 ? serve(&o, signals) : APP_FAILED;
        if (signals >= 0)
            close(signals);
    }
    turn_free_options(&o);
    return code;
}
