/* Tools that are HTTP endpoints: the inputs are the body of a request, the body of the response is the output, both
 * JSON. */
#include "utcp.h"
#include <stdlib.h>
#include <string.h>

/* One tool of the file. */
typedef struct endpoint {
    struct endpoint *next;
    utcp_http *tools;
    const duet_utcp_tool_spec *spec;
    const char *headers[DUET_UTCP_HEADERS_MAX + 3];
} endpoint;

/* One request; it is the call's data. */
typedef struct exchange {
    endpoint *endpoint;
    duet_utcp_call *call;
    void *ticket;
} exchange;

struct utcp_http {
    duet_http http;
    endpoint *endpoints;
};

static void fail(const exchange *x, const duet_http_response *response)
{
    char text[200];

    if (response->err == DUET_ERR_TIMEOUT) {
        (void)duet_utcp_call_fail(x->call, "timeout", "the tool's server did not answer in time");
    } else if (response->err == DUET_ERR_TOO_LARGE) {
        (void)duet_utcp_call_fail(x->call, "too_large", "the tool's output is too large");
    } else if (response->err != DUET_OK) {
        snprintf(text, sizeof(text), "the tool's server cannot be asked: %s",
                 response->reason ? response->reason : duet_strerror(response->err));
        (void)duet_utcp_call_fail(x->call, "failed", text);
    } else {
        snprintf(text, sizeof(text), "the tool's server answered with status %d", response->status);
        (void)duet_utcp_call_fail(x->call, "failed", text);
    }
}

static void on_done(void *user, const duet_http_response *response)
{
    exchange *x = user;

    duet_utcp_call_set_data(x->call, NULL);
    if (response->err != DUET_OK || response->status < 200 || response->status > 299)
        fail(x, response);
    else if (duet_utcp_call_respond(x->call, response->body, response->body_len) == DUET_ERR_NOMEM)
        (void)duet_utcp_call_fail(x->call, "failed", duet_strerror(DUET_ERR_NOMEM));
    free(x);
}

static void on_call(void *user, duet_utcp_call *call, const char *inputs, size_t len)
{
    endpoint *e = user;
    const duet_http *http = &e->tools->http;
    const duet_http_request request = {.method = e->spec->method,
                                       .url = e->spec->url,
                                       .headers = e->headers,
                                       .body = inputs,
                                       .body_len = len,
                                       .timeout = e->spec->timeout ? e->spec->timeout : DUET_UTCP_TIMEOUT_DEFAULT,
                                       .max_response = DUET_UTCP_MESSAGE_MAX};
    exchange *x = calloc(1, sizeof(*x));

    int err = x ? http->start(http->client, &x->ticket, &request, on_done, x) : DUET_ERR_NOMEM;
    if (err != DUET_OK) {
        free(x);
        (void)duet_utcp_call_fail(call, err == DUET_ERR_INVALID ? "failed" : "busy", duet_strerror(err));
        return;
    }
    x->endpoint = e;
    x->call = call;
    duet_utcp_call_set_data(call, x);
}

static void on_cancel(void *user, duet_utcp_call *call)
{
    endpoint *e = user;
    exchange *x = duet_utcp_call_data(call);

    if (!x)
        return;
    e->tools->http.cancel(e->tools->http.client, x->ticket);
    free(x);
}

int utcp_http_create(utcp_http **out, const duet_http *http)
{
    utcp_http *tools = calloc(1, sizeof(*tools));

    *out = tools;
    if (!tools)
        return DUET_ERR_NOMEM;
    tools->http = *http;
    return DUET_OK;
}

void utcp_http_destroy(utcp_http *tools)
{
    while (tools && tools->endpoints) {
        endpoint *e = tools->endpoints;
        tools->endpoints = e->next;
        free(e);
    }
    free(tools);
}

int utcp_http_tool(utcp_http *tools, const duet_utcp_tool_spec *spec, duet_utcp_tool *tool)
{
    endpoint *e = calloc(1, sizeof(*e));
    size_t count = 0;

    if (!e)
        return DUET_ERR_NOMEM;
    e->tools = tools;
    e->spec = spec;
    e->headers[count++] = "Content-Type: application/json";
    e->headers[count++] = "Accept: application/json";
    for (char **header = spec->headers; header && *header; header++)
        e->headers[count++] = *header;
    e->next = tools->endpoints;
    tools->endpoints = e;
    tool->on_call = on_call;
    tool->on_cancel = on_cancel;
    tool->user = e;
    return DUET_OK;
}
