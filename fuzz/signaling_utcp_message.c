/* Messages of UTCP: what can be read can be written, and reads the same again; and both cores fed with anything. */
#include "signaling/utcp_client.h"
#include "signaling/utcp_message.h"
#include "signaling/utcp_server.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const char *text, size_t len)
{
    duet_utcp_message first, second;
    duet_buffer once, twice;

    duet_buffer_init(&once, NULL);
    duet_buffer_init(&twice, NULL);
    if (duet_utcp_message_parse(&first, text, len, NULL) == DUET_OK &&
        duet_utcp_message_write(&once, &first) == DUET_OK) {
        if (duet_utcp_message_parse(&second, (char *)once.data, once.len, NULL) != DUET_OK)
            abort();
        if (duet_utcp_message_write(&twice, &second) != DUET_OK || strcmp((char *)once.data, (char *)twice.data) != 0)
            abort();
        duet_utcp_message_free(&second);
    }
    duet_utcp_message_free(&first);
    duet_buffer_free(&once);
    duet_buffer_free(&twice);
}

static void answer(void *user, duet_utcp_call *call, const char *inputs, size_t len)
{
    (void)user;
    (void)duet_utcp_call_item(call, inputs, len);
    (void)duet_utcp_call_respond(call, inputs, len);
}

static void on_output(void *user)
{
    (void)user;
}

static void on_done(void *user, uint64_t ticket, const duet_utcp_result *result)
{
    (void)user;
    (void)ticket;
    (void)result;
}

/* The lines of the input are the messages that a session gets; what it answers goes to a client. */
static void check_cores(const char *text, size_t len)
{
    duet_utcp_server_config server_config = DUET_UTCP_SERVER_CONFIG_INIT;
    duet_utcp_client_config client_config = DUET_UTCP_CLIENT_CONFIG_INIT;
    duet_utcp_tool tool = DUET_UTCP_TOOL_INIT;
    duet_utcp_request request = DUET_UTCP_REQUEST_INIT;
    duet_utcp_server_core *server;
    duet_utcp_client_core *client;
    duet_utcp_session *session;
    const char *message;
    size_t message_len;

    server_config.peer_id = "p";
    tool.definition = "{\"name\":\"t\",\"inputs\":{\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":4}}}}";
    tool.on_call = answer;
    tool.streams = true;
    request.tool = "t";
    request.inputs = "{}";
    request.on_done = on_done;
    if (duet_utcp_server_core_create(&server, &server_config) != DUET_OK ||
        duet_utcp_client_core_create(&client, &client_config) != DUET_OK ||
        duet_utcp_server_core_add_tool(server, &tool, NULL) != DUET_OK ||
        duet_utcp_session_open(&session, server, 1024, on_output, NULL) != DUET_OK)
        abort();
    duet_utcp_client_core_connected(client, 1024);
    (void)duet_utcp_client_core_call(client, &request, NULL, 0);
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t line = end ? (size_t)(end - text) : len;
        duet_utcp_session_input(session, text, line, 0);
        duet_utcp_client_core_input(client, text, line, 0);
        len -= line + (end != NULL);
        text += line + (end != NULL);
    }
    while (duet_utcp_session_peek(session, &message, &message_len) == DUET_OK && message) {
        duet_utcp_client_core_input(client, message, message_len, 0);
        duet_utcp_session_sent(session);
    }
    duet_utcp_client_core_destroy(client);
    duet_utcp_session_close(session);
    duet_utcp_server_core_destroy(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_round_trip((const char *)data, size);
    check_cores((const char *)data, size);
    return 0;
}
