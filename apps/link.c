/* The ways in which `duet echo` exchanges descriptions with its peer: a room of the signaling server, or aiortc's
 * sockets. */
#include "app_signaling.h"
#include <string.h>

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

int app_link_open(app_link *out, duet_net *net, const app_link_options *o, const app_link_callbacks *callbacks)
{
    memset(out, 0, sizeof(*out));
    if (begins(o->url, "ws://") || begins(o->url, "wss://"))
        return app_room_link_open(out, net, o, callbacks);
    if (begins(o->url, "tcp://") || begins(o->url, "unix://"))
        return app_socket_link_open(out, net, o, callbacks);
    app_error("--signaling %s: give ws://HOST:PORT, tcp://HOST:PORT or unix://PATH", o->url);
    return APP_BAD_USAGE;
}

void app_link_close(app_link *link)
{
    if (link->link)
        link->ops->close(link->link);
    memset(link, 0, sizeof(*link));
}
