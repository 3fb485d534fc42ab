/* What the subcommands of the duet tool share. One file per subcommand; each has one function app_<name>. */
#ifndef DUET_APPS_APP_H
#define DUET_APPS_APP_H

#include "duet/duet.h"
#include <getopt.h>
#include <stdio.h>

/* Exit codes. */
#define APP_OK          0
#define APP_FAILED      1 /* it ran, and did not succeed */
#define APP_BAD_USAGE   2 /* wrong command line or bad input */
#define APP_UNSUPPORTED 3

int app_inspect(int argc, char **argv);
int app_peer(int argc, char **argv);
int app_perf(int argc, char **argv);
int app_probe(int argc, char **argv);
int app_signal(int argc, char **argv);
int app_call(int argc, char **argv);
int app_echo(int argc, char **argv);
int app_token(int argc, char **argv);
int app_turn(int argc, char **argv);
int app_utcp(int argc, char **argv);

/* ---- messages.c ---- */

/* "duet peer: …" on standard error. */
void app_error(const char *format, ...) DUET_PRINTF(1, 2);
/* Logs of the library go to standard error. */
void app_log(void *user, duet_log_level level, const char *module, const char *text);

/* ---- trace.c: --pcap, --keylog, --events ---- */

typedef struct app_trace app_trace;

typedef struct app_trace_options {
    const char *pcap, *keylog, *events; /* file names; NULL: not written */
} app_trace_options;

/* Opens the files. @return NULL after an error message */
app_trace *app_trace_open(const app_trace_options *options);
/* A duet_trace_fn whose user is the app_trace (an env has one user: see app_env). */
void app_trace_event(app_trace *trace, const duet_trace_event *event);
void app_trace_close(app_trace *trace);

/* ---- impair.c: --impair ---- */

/* How traffic is hurt on purpose, in both directions. */
typedef struct app_impairment {
    bool enabled;
    double loss;      /* 0 to 1 */
    double reorder;   /* 0 to 1: held back by reorder_us */
    double duplicate; /* 0 to 1 */
    double corrupt;   /* 0 to 1 */
    duet_time delay;  /* microseconds, each way */
    duet_time jitter;
    uint64_t seed;
} app_impairment;

/* Parses "loss=0.05,delay=20ms,reorder=0.01,seed=7". @return false after an error message */
bool app_impairment_parse(app_impairment *out, const char *text);

typedef struct app_impaired app_impaired;
/* An endpoint around another one that loses, delays and reorders its datagrams. */
int app_impaired_create(app_impaired **out, const app_impairment *how, const duet_endpoint_ops *ops, void *object);
void app_impaired_destroy(app_impaired *impaired);
const duet_endpoint_ops *app_impaired_ops(void);

/* ---- connection.c: the options of every command that connects, and one connection made by them ---- */

typedef struct app_connection_options {
    app_trace_options trace;
    app_trace *shared_trace; /* of several connections: open already, and not closed with them; NULL: as `trace` says */
    app_impairment impairment;
    const char *ice_servers; /* JSON, or the name of a file with it */
    const char *ca_file;
    bool relay, mdns, tcp, tls_no_verify;
    bool no_loopback, no_ipv6, no_offload;
    uint16_t port_min, port_max;
    duet_address bind; /* family NONE: all */
    duet_mux *mux;     /* drives the connection instead of the loop, which drives the mux; NULL: none */
    duet_log_level log_level;
} app_connection_options;

/* Their long options, to be put in front of a command's own; values are from APP_OPTION_FIRST on. */
#define APP_OPTION_FIRST 1000
#define APP_CONNECTION_OPTIONS                                                                                         \
    {"pcap", required_argument, NULL, 1000}, {"keylog", required_argument, NULL, 1001},                                \
        {"events", required_argument, NULL, 1002}, {"impair", required_argument, NULL, 1003},                          \
        {"ice-servers", required_argument, NULL, 1004}, {"no-loopback", no_argument, NULL, 1005},                      \
        {"no-ipv6", no_argument, NULL, 1006}, {"ports", required_argument, NULL, 1007},                                \
        {"verbose", no_argument, NULL, 1008}, {"no-offload", no_argument, NULL, 1009},                                 \
        {"relay", no_argument, NULL, 1011}, {"ca", required_argument, NULL, 1012},                                     \
        {"tls-no-verify", no_argument, NULL, 1013}, {"mdns", no_argument, NULL, 1014},                                 \
        {"tcp", no_argument, NULL, 1015},                                                                              \
    {                                                                                                                  \
        "bind", required_argument, NULL, 1010                                                                          \
    }
extern const char app_connection_help[];

/* Takes one of the options above. @return 1 taken, 0 not one of them, -1 bad value (said on standard error) */
int app_connection_option(app_connection_options *o, int option, const char *value);

/* A whole number from min to max. @return false after an error message */
bool app_parse_number(const char *option, const char *value, uint64_t min, uint64_t max, uint64_t *out);

/* The value of --timeout, in seconds. @return false after an error message */
bool app_parse_timeout(const char *value, double *out);

typedef struct app_connection {
    duet_env env; /* for everything of this connection */
    app_trace *trace;
    duet_net *net;
    bool trace_is_shared, net_is_shared;
    duet_pc *pc;
    duet_mux *mux;
    app_impaired *impaired;
} app_connection;

/* Makes loop, traces and connection. `config` brings the callbacks; addresses, servers and env are filled in.
 * @param net  an existing loop to join; NULL: one of its own  @return an exit code */
int app_connection_open(app_connection *c, const app_connection_options *o, duet_pc_config *config, duet_net *net);
void app_connection_close(app_connection *c);

/* "offer rejected: line 3, column 1: …". @return buf */
const char *app_reason(const duet_pc *pc, const char *what, int err, char *buf, size_t size);

/* The session of a description (o=): another one means that the peer has begun anew. @return false when it cannot be read */
bool app_session_id(const duet_env *env, const char *sdp, uint64_t *out);

/* ---- interrupt.c ---- */

typedef struct app_interrupt {
    duet_net_watch *watch;
    int fd;
} app_interrupt;

/* SIGINT and SIGTERM call `fn` in the loop from now on instead of ending the process. */
void app_interrupt_start(app_interrupt *i, duet_net *net, void (*fn)(void *arg, unsigned ready), void *arg);
void app_interrupt_stop(app_interrupt *i);

/* ---- lines.c: JSON lines on standard input ---- */

struct json_t;
typedef struct app_lines app_lines;
/* Calls `fn` with each line's object (borrowed; NULL: end of input). Lines of bad JSON are reported and skipped. */
int app_lines_start(app_lines **out, duet_net *net, int fd, void (*fn)(void *user, struct json_t *line), void *user);
void app_lines_stop(app_lines *lines);
/* Writes one compact line to standard output, at once. Takes the reference. */
void app_lines_write(struct json_t *object);

/* ---- stats.c ---- */

/* The text, number or real of a member as JSON; the report of a connection as a JSON array. New references. */
struct json_t *app_stats_json(const duet_pc *pc);
/* Adds dtls, dtlsCipher, srtpCipher, dtlsRole and pair to a result object. */
void app_stats_summary(const duet_pc *pc, struct json_t *result);

#endif
