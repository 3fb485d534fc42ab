/* The HTTP client against a small server in the same process, on loopback. */
#include "signaling/http_client.h"
#include "test.h"
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

typedef struct world {
    struct event_base *base;
    struct evhttp *server;
    struct evconnlistener *silent; /* accepts, and says nothing */
    duet_http_client *client;
    duet_http http;
    char url[64], silent_url[64];
    int served, open; /* answers that are still to come */
} world;

typedef struct answer {
    world *w;
    int calls, err, status;
    char body[64];
    size_t body_len;
    uint64_t max_age;
    bool has_reason;
} answer;

static void reply(struct evhttp_request *request, int status, const char *body)
{
    struct evbuffer *b = evbuffer_new();

    evbuffer_add(b, body, strlen(body));
    evhttp_send_reply(request, status, NULL, b);
    evbuffer_free(b);
}

static void add_header(struct evhttp_request *request, const char *name, const char *value)
{
    evhttp_add_header(evhttp_request_get_output_headers(request), name, value);
}

static void serve_big(struct evhttp_request *request)
{
    static char big[5000];

    memset(big, 'b', sizeof(big) - 1);
    reply(request, 200, big);
}

/* What came, as text: method, content type, body. */
static void serve_echo(struct evhttp_request *request)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(request), *out = evbuffer_new();
    const char *type = evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Type");

    evbuffer_add_printf(out, "%s %s ", evhttp_request_get_command(request) == EVHTTP_REQ_POST ? "POST" : "GET",
                        type ? type : "-");
    evbuffer_add_buffer(out, in);
    evhttp_send_reply(request, 200, NULL, out);
    evbuffer_free(out);
}

static void serve(struct evhttp_request *request, void *user)
{
    const char *path = evhttp_request_get_uri(request);
    world *w = user;

    w->served++;
    if (strcmp(path, "/age") == 0)
        add_header(request, "Cache-Control", "public, MAX-AGE=300, must-revalidate");
    if (strcmp(path, "/never") == 0)
        add_header(request, "Cache-Control", "no-store");
    if (strcmp(path, "/away") == 0) {
        add_header(request, "Location", "/age");
        reply(request, 302, "");
    } else if (strcmp(path, "/echo") == 0) {
        serve_echo(request);
    } else if (strcmp(path, "/big") == 0) {
        serve_big(request);
    } else {
        reply(request, strcmp(path, "/no") == 0 ? 403 : 200, "fine");
    }
}

static void accept_silently(struct evconnlistener *listener, evutil_socket_t s, struct sockaddr *a, int len, void *user)
{
    (void)listener;
    (void)a;
    (void)len;
    (void)user;
    (void)s; /* closed with the process */
}

static uint16_t port_of(evutil_socket_t s)
{
    struct sockaddr_in in;
    socklen_t len = sizeof(in);

    assert_int_equal(getsockname(s, (struct sockaddr *)&in, &len), 0);
    return ntohs(in.sin_port);
}

static world *world_new(void)
{
    struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->base = event_base_new();
    w->server = evhttp_new(w->base);
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(w->server, "127.0.0.1", 0);
    assert_non_null(bound);
    evhttp_set_gencb(w->server, serve, w);
    w->silent = evconnlistener_new_bind(w->base, accept_silently, NULL, LEV_OPT_CLOSE_ON_FREE, 4,
                                        (struct sockaddr *)&loopback, sizeof(loopback));
    assert_non_null(w->silent);
    snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u", port_of(evhttp_bound_socket_get_fd(bound)));
    snprintf(w->silent_url, sizeof(w->silent_url), "http://127.0.0.1:%u/", port_of(evconnlistener_get_fd(w->silent)));
    assert_int_equal(duet_http_client_create(&w->client, NULL, w->base, NULL), DUET_OK);
    w->http = duet_http_client_get(w->client);
    return w;
}

static void world_free(world *w)
{
    duet_http_client_destroy(w->client);
    evconnlistener_free(w->silent);
    evhttp_free(w->server);
    event_base_free(w->base);
    free(w);
}

static void done(void *user, const duet_http_response *response)
{
    answer *a = user;

    a->calls++;
    a->err = response->err;
    a->status = response->status;
    a->body_len = response->body_len;
    if (response->body)
        assert_int_equal(response->body[response->body_len], 0);
    snprintf(a->body, sizeof(a->body), "%s", response->body ? response->body : "");
    a->max_age = response->max_age;
    a->has_reason = response->reason && response->reason[0];
    if (--a->w->open == 0)
        event_base_loopbreak(a->w->base);
}

static int start(world *w, answer *a, void **ticket, const duet_http_request *request)
{
    *a = (answer){.w = w};
    int err = w->http.start(w->http.client, ticket, request, done, a);
    w->open += err == DUET_OK;
    assert_int_equal(a->calls, 0);
    return err;
}

static int start_get(world *w, answer *a, void **ticket, const char *url, duet_time timeout)
{
    return start(w, a, ticket,
                 &(duet_http_request){.method = "GET", .url = url, .timeout = timeout, .max_response = 4096});
}

static void run(world *w)
{
    struct timeval most = {20, 0};

    event_base_loopexit(w->base, &most);
    event_base_dispatch(w->base);
    assert_int_equal(w->open, 0);
}

static answer get(world *w, const char *path)
{
    char url[128];
    answer a;
    void *ticket;

    snprintf(url, sizeof(url), "%s%s", w->url, path);
    assert_int_equal(start_get(w, &a, &ticket, url, DUET_SECONDS(10)), DUET_OK);
    run(w);
    assert_int_equal(a.calls, 1);
    return a;
}

static void an_answer_comes_with_status_body_and_age(void **state)
{
    world *w = world_new();

    (void)state;
    answer a = get(w, "/");
    assert_int_equal(a.err, DUET_OK);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "fine");
    assert_true(a.max_age == UINT64_MAX);
    a = get(w, "/age");
    assert_int_equal(a.max_age, 300);
    assert_int_equal(get(w, "/never").max_age, 0);
    assert_int_equal(get(w, "/no").status, 403);
    world_free(w);
}

static void a_post_takes_its_headers_and_body_along(void **state)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    world *w = world_new();
    char url[128], body[] = "{\"token\":\"t\"}";
    answer a;
    void *ticket;

    (void)state;
    snprintf(url, sizeof(url), "%s/echo", w->url);
    duet_http_request request = {"POST", url, headers, body, strlen(body), DUET_SECONDS(10), 4096};
    assert_int_equal(start(w, &a, &ticket, &request), DUET_OK);
    memset(body, 'x', sizeof(body) - 1); /* it was copied */
    memset(url, 'x', sizeof(url) - 1);
    run(w);
    assert_int_equal(a.err, DUET_OK);
    assert_string_equal(a.body, "POST application/json {\"token\":\"t\"}");
    world_free(w);
}

static void redirects_are_not_followed(void **state)
{
    world *w = world_new();

    (void)state;
    assert_int_equal(get(w, "/away").status, 302);
    assert_int_equal(w->served, 1);
    world_free(w);
}

static void too_much_is_an_error(void **state)
{
    world *w = world_new();

    (void)state;
    answer a = get(w, "/big");
    assert_int_equal(a.err, DUET_ERR_TOO_LARGE);
    assert_int_equal(a.body_len, 0);
    assert_true(a.has_reason);
    world_free(w);
}

static void silence_and_closed_doors_are_errors(void **state)
{
    world *w = world_new();
    answer a, b;
    void *ticket;

    (void)state;
    assert_int_equal(start_get(w, &a, &ticket, w->silent_url, DUET_MS(200)), DUET_OK);
    assert_int_equal(start_get(w, &b, &ticket, "http://127.0.0.1:1/", DUET_SECONDS(10)), DUET_OK);
    run(w);
    assert_int_equal(a.err, DUET_ERR_TIMEOUT);
    assert_int_equal(b.err, DUET_ERR_IO);
    assert_true(b.has_reason);
    world_free(w);
}

static void other_schemes_are_refused(void **state)
{
    static const char *const urls[] = {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "",
                                       "127.0.0.1",          "http://",          "javascript:1",        "//127.0.0.1/"};
    world *w = world_new();
    answer a;
    void *ticket;

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        assert_int_equal(start_get(w, &a, &ticket, urls[i], DUET_SECONDS(1)), DUET_ERR_INVALID);
    world_free(w);
}

static void too_many_at_a_time_are_refused_and_can_be_cancelled(void **state)
{
    world *w = world_new();
    static answer a[DUET_HTTP_CLIENT_REQUESTS_MAX + 1];
    void *tickets[DUET_HTTP_CLIENT_REQUESTS_MAX + 1];
    size_t i;

    (void)state;
    for (i = 0; i < DUET_HTTP_CLIENT_REQUESTS_MAX; i++)
        assert_int_equal(start_get(w, &a[i], &tickets[i], w->silent_url, DUET_MS(300)), DUET_OK);
    assert_int_equal(start_get(w, &a[i], &tickets[i], w->silent_url, DUET_MS(300)), DUET_ERR_LIMIT);
    for (i = 0; i < DUET_HTTP_CLIENT_REQUESTS_MAX; i += 2)
        w->http.cancel(w->http.client, tickets[i]);
    w->open -= DUET_HTTP_CLIENT_REQUESTS_MAX / 2;
    run(w);
    for (i = 0; i < DUET_HTTP_CLIENT_REQUESTS_MAX; i++)
        assert_int_equal(a[i].calls, i % 2);
    assert_int_equal(get(w, "/").status, 200);
    world_free(w);
}

static void what_is_in_flight_goes_with_the_client(void **state)
{
    world *w = world_new();
    answer a, b;
    void *ticket;

    (void)state;
    assert_int_equal(start_get(w, &a, &ticket, w->silent_url, DUET_SECONDS(10)), DUET_OK);
    assert_int_equal(start_get(w, &b, &ticket, w->url, DUET_SECONDS(10)), DUET_OK);
    event_base_loop(w->base, EVLOOP_NONBLOCK);
    event_base_loop(w->base, EVLOOP_NONBLOCK);
    world_free(w);
    assert_int_equal(a.calls, 0);
}

/* ---- TLS ---- */

/* A certificate for 127.0.0.1, signed by itself. */
static SSL_CTX *make_tls(const char *ca_file)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *x509 = X509_new();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");

    X509_set_version(x509, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC, (const unsigned char *)"duet", -1, -1,
                               0);
    X509_set_issuer_name(x509, X509_get_subject_name(x509));
    X509_add_ext(x509, san, -1);
    assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(ctx, x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    FILE *f = fopen(ca_file, "w");
    assert_non_null(f);
    PEM_write_X509(f, x509);
    fclose(f);
    X509_EXTENSION_free(san);
    X509_free(x509);
    EVP_PKEY_free(key);
    return ctx;
}

static struct bufferevent *accept_tls(struct event_base *base, void *ctx)
{
    return bufferevent_openssl_socket_new(base, -1, SSL_new(ctx), BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}

static answer get_tls(world *w, const char *ca_file, unsigned port)
{
    duet_http_client *mine = w->client;
    char url[64];
    answer a;
    void *ticket;

    snprintf(url, sizeof(url), "https://127.0.0.1:%u/", port);
    assert_int_equal(duet_http_client_create(&w->client, NULL, w->base, ca_file), DUET_OK);
    w->http = duet_http_client_get(w->client);
    assert_int_equal(start_get(w, &a, &ticket, url, DUET_SECONDS(10)), DUET_OK);
    run(w);
    duet_http_client_destroy(w->client);
    w->client = mine;
    w->http = duet_http_client_get(mine);
    return a;
}

static void only_certificates_of_trusted_authorities_are_accepted(void **state)
{
    char ca_file[] = "/tmp/duet-http-XXXXXX";
    world *w = world_new();
    struct evhttp *server = evhttp_new(w->base);
    int f = mkstemp(ca_file);

    (void)state;
    assert_true(f >= 0);
    close(f);
    SSL_CTX *ctx = make_tls(ca_file);
    evhttp_set_bevcb(server, accept_tls, ctx);
    evhttp_set_gencb(server, serve, w);
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(server, "127.0.0.1", 0);
    assert_non_null(bound);
    uint16_t port = port_of(evhttp_bound_socket_get_fd(bound));
    answer a = get_tls(w, NULL, port);
    assert_int_equal(a.err, DUET_ERR_AUTH);
    assert_true(a.has_reason);
    assert_int_equal(w->served, 0);
    assert_int_equal(get_tls(w, ca_file, port).status, 200);
    evhttp_free(server);
    SSL_CTX_free(ctx);
    unlink(ca_file);
    world_free(w);
}

static int create_and_ask(const duet_env *env, void *arg)
{
    world *w = arg;
    duet_http_client *client;
    answer a = {.w = w};
    void *ticket;

    int err = duet_http_client_create(&client, env, w->base, "/nowhere.pem");
    if (err != DUET_OK)
        return err;
    duet_http http = duet_http_client_get(client);
    duet_http_request request = {.method = "GET", .url = w->url, .timeout = DUET_SECONDS(10), .max_response = 4096};
    err = http.start(http.client, &ticket, &request, done, &a);
    if (err == DUET_OK) {
        w->open++;
        run(w);
        err = a.err;
    }
    duet_http_client_destroy(client);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    world *w = world_new();

    (void)state;
    test_fail_each_allocation("HTTP client", create_and_ask, w);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_with_status_body_and_age),
        cmocka_unit_test(a_post_takes_its_headers_and_body_along),
        cmocka_unit_test(redirects_are_not_followed),
        cmocka_unit_test(too_much_is_an_error),
        cmocka_unit_test(silence_and_closed_doors_are_errors),
        cmocka_unit_test(other_schemes_are_refused),
        cmocka_unit_test(too_many_at_a_time_are_refused_and_can_be_cancelled),
        cmocka_unit_test(what_is_in_flight_goes_with_the_client),
        cmocka_unit_test(only_certificates_of_trusted_authorities_are_accepted),
        cmocka_unit_test(each_allocation_may_fail),
    };

    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
