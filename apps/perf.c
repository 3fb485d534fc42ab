/* duet perf: how fast data channels are on this machine. It measures set-up time, memory, round-trip time and
 * throughput between two connections over real UDP sockets, both in this thread (--local) or in two processes. */
#include "perf.h"
#include <stdlib.h>
#include <string.h>

#define MESSAGE_DEFAULT_MAX 262144u

size_t perf_max_message(const perf_options *o)
{
    return o->size < MESSAGE_DEFAULT_MAX ? MESSAGE_DEFAULT_MAX : o->size;
}

/* ---- command line ---- */

static void usage(FILE *f)
{
    fputs("Usage: duet perf --local [options]\n"
          "       duet perf offer|answer [options]\n\n"
          "Measures data channels over real UDP sockets: set-up time, memory of idle connections, round-trip time of "
          "64-byte\n"
          "messages, and throughput from the offerer to the answerer. With --local both ends are in this thread, on\n"
          "127.0.0.1 unless --bind says otherwise. Otherwise two processes are joined by a script that copies the "
          "lines of\n"
          "signaling of each to the other; the offerer's last line is the result.\n\n"
          "  --local              both ends in this process\n"
          "  --size BYTES         size of the messages, default 65535\n"
          "  --seconds S          length of the throughput test, default 5\n"
          "  --ping-seconds S     length of the round-trip test, default 1\n"
          "  --connections N      with --local: pairs that are set up, default 20\n"
          "  --streams N          SCTP streams of each connection, default 1024\n"
          "  --fresh-certificates with --local: make a certificate for each connection, within the set-up time\n"
          "  --json               one line of JSON\n",
          f);
    fputs(app_connection_help, f);
}

enum {
    OPTION_LOCAL = 1,
    OPTION_SIZE,
    OPTION_SECONDS,
    OPTION_PING,
    OPTION_CONNECTIONS,
    OPTION_STREAMS,
    OPTION_FRESH,
    OPTION_JSON,
    OPTION_HELP
};

static const struct option long_options[] = {
    APP_CONNECTION_OPTIONS,
    {"local", no_argument, NULL, OPTION_LOCAL},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"ping-seconds", required_argument, NULL, OPTION_PING},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"streams", required_argument, NULL, OPTION_STREAMS},
    {"fresh-certificates", no_argument, NULL, OPTION_FRESH},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* @return false after an error message */
static bool parse_number(const char *name, const char *text, double low, double high, double *out)
{
    char *end;

    *out = strtod(text, &end);
    if (end != text && *end == 0 && *out >= low && *out <= high)
        return true;
    app_error("--%s %s: give a number from %g to %g", name, text, low, high);
    return false;
}

static bool parse_option(perf_options *o, int option, const char *value)
{
    int taken = app_connection_option(&o->connection, option, value);
    double number = 0;

    if (taken != 0)
        return taken > 0;
    switch (option) {
    case OPTION_LOCAL:
        o->local = true;
        return true;
    case OPTION_JSON:
        o->json = true;
        return true;
    case OPTION_FRESH:
        o->fresh_certificates = true;
        return true;
    case OPTION_SECONDS:
        return parse_number("seconds", value, 0.1, 3600, &o->seconds);
    case OPTION_PING:
        return parse_number("ping-seconds", value, 0, 3600, &o->ping_seconds);
    case OPTION_SIZE:
        if (!parse_number("size", value, 1, 1 << 24, &number))
            return false;
        o->size = (size_t)number;
        return true;
    case OPTION_CONNECTIONS:
        if (!parse_number("connections", value, 1, 10000, &number))
            return false;
        o->connections = (unsigned)number;
        return true;
    case OPTION_STREAMS:
        if (!parse_number("streams", value, 1, 65535, &number))
            return false;
        o->streams = (uint16_t)number;
        return true;
    default:
        return false;
    }
}

/* @return -1 to go on, or an exit code */
static int parse_command_line(perf_options *o, bool *is_offer, int argc, char **argv)
{
    int option;

    *o = (perf_options){.size = 65535, .seconds = 5, .ping_seconds = 1, .connections = 20};
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            usage(stdout);
            return APP_OK;
        }
        if (!parse_option(o, option, optarg))
            return APP_BAD_USAGE;
    }
    const char *role = optind < argc ? argv[optind] : "";
    *is_offer = strcmp(role, "offer") == 0;
    bool has_role = *is_offer || strcmp(role, "answer") == 0;
    if (o->local == has_role || optind + (has_role ? 1 : 0) != argc) {
        app_error("perf: say --local, offer or answer");
        usage(stderr);
        return APP_BAD_USAGE;
    }
    return -1;
}

int app_perf(int argc, char **argv)
{
    perf_options o;
    bool is_offer = false;

    int code = parse_command_line(&o, &is_offer, argc, argv);
    if (code >= 0)
        return code;
    return o.local ? perf_local(&o) : perf_remote(&o, is_offer);
}
