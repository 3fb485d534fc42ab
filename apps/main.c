/* The duet tool: one subcommand per file. */
#include "app.h"
#include <string.h>

typedef struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} command;

static const command commands[] = {
    {"inspect", app_inspect, "decode descriptions, packets and captures to JSON"},
    {"peer", app_peer, "a scriptable peer on standard input and output, for interop tests"},
    {"perf", app_perf, "measure data channels: throughput, latency, set-up time, memory"},
    {"probe", app_probe, "what this network lets through: candidates, NAT behaviour, STUN and TURN servers"},
    {"turn", app_turn, "the TURN and STUN server"},
#ifdef DUET_HAVE_SIGNALING
    {"signal", app_signal, "the room server: signaling over WebSocket, with a page"},
    {"echo", app_echo, "serve echoes, or call an echo server"},
#ifdef DUET_HAVE_MEDIA
    {"call", app_call, "audio and video in a room: files in, recordings out, a meter"},
#endif
    {"token", app_token, "make an access token for the room server"},
    {"utcp", app_utcp, "offer tools over WebRTC, or call them (UTCP)"},
#endif
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *f)
{
    fputs("Usage: duet COMMAND [options]\n\nDuet is a WebRTC stack in C; this is its tool.\n\nCommands:\n", f);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fputs("\n'duet COMMAND --help' tells the options of a command.\n", f);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
        usage(stdout);
        return APP_OK;
    }
    if (strcmp(name, "--version") == 0) {
        puts("duet " DUET_VERSION);
        return APP_OK;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    if (name[0])
        app_error("there is no command \"%s\"", name);
    usage(stderr);
    return APP_BAD_USAGE;
}
