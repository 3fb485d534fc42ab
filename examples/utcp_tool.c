/* Offers one tool, written in C, to UTCP clients over WebRTC.
 *
 *   duet signal --dev --secret FILE                                       (the signaling server)
 *   example_utcp_tool ws://127.0.0.1:8080 "$(duet token --secret FILE --sub calculator --perm create,join)"
 *   duet utcp call provider.json add '{"a":2,"b":3}' --secret FILE
 *
 * where provider.json is {"name":"calculator","provider_type":"webrtc","signaling_server":"ws://127.0.0.1:8080",
 * "peer_id":"calculator"}. The inputs have been checked against the schema before add() runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <duet/utcp.h>

static const char definition[] =
    "{\"name\":\"add\",\"description\":\"The sum of two numbers\","
    "\"inputs\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\"},\"b\":{\"type\":\"number\"}},"
    "\"required\":[\"a\",\"b\"],\"additionalProperties\":false},"
    "\"outputs\":{\"type\":\"object\",\"properties\":{\"sum\":{\"type\":\"number\"}}}}";

static duet_net *net;

/* A member of compact JSON whose form is known: the schema saw to it that it is a number. */
static double number(const char *inputs, const char *member)
{
    const char *found = strstr(inputs, member);

    return found ? strtod(found + strlen(member), NULL) : 0;
}

static void add(void *user, duet_utcp_call *call, const char *inputs, size_t len)
{
    char output[64];

    (void)user, (void)len;
    snprintf(output, sizeof(output), "{\"sum\":%.15g}", number(inputs, "\"a\":") + number(inputs, "\"b\":"));
    duet_utcp_call_respond(call, output, strlen(output)); /* it could also come later, from anywhere in this thread */
}

static void on_ready(void *user, duet_utcp_server *server, const char *seat)
{
    (void)user, (void)server, (void)seat;
    puts("ready");
    fflush(stdout);
}

static void on_problem(void *user, duet_utcp_server *server, const char *what, duet_time again_in)
{
    (void)user, (void)server;
    fprintf(stderr, "%s\n", what);
    if (again_in == DUET_NEVER)
        duet_net_stop(net);
}

static void check(int err, const char *what)
{
    if (err == DUET_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, duet_strerror(err));
    exit(1);
}

int main(int argc, char **argv)
{
    duet_utcp_server_config config = DUET_UTCP_SERVER_CONFIG_INIT;
    duet_utcp_tool tool = DUET_UTCP_TOOL_INIT;
    duet_pc_config connection = DUET_PC_CONFIG_INIT;
    duet_utcp_server *server;
    duet_utcp_error error;

    if (argc != 3) {
        fprintf(stderr, "Usage: %s SIGNALING-URL TOKEN\n", argv[0]);
        return 2;
    }
    connection.loopback = true; /* callers may be on this machine */
    config.signaling_server = argv[1];
    config.token = argv[2];
    config.peer_id = "calculator";
    config.connection = &connection;
    config.on_ready = on_ready;
    config.on_problem = on_problem;
    check(duet_net_create(&net, NULL), "loop");
    check(duet_utcp_server_create(&server, net, &config), "server");

    tool.definition = definition;
    tool.on_call = add;
    int err = duet_utcp_server_add_tool(server, &tool, &error);
    if (err != DUET_OK)
        fprintf(stderr, "%s: %s\n", error.where, error.why);
    check(err, "tool");

    check(duet_net_run(net), "loop");
    duet_utcp_server_destroy(server);
    duet_net_destroy(net);
    return 1; /* it serves until it is stopped, or the signaling server does not let it in */
}
