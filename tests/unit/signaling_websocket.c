/* WebSocket framing and its opening handshake, over bytes in memory. */
#include "signaling/handshake.h"
#include "signaling/websocket.h"
#include "test.h"

#define LIMIT 65536

/* Of all servers' ends, as a server has it. */
static duet_websocket_pool *pool;

/* One end, and what it heard. */
typedef struct end {
    duet_websocket *ws;
    unsigned messages, too_large;
    bool last_was_text;
    size_t last_len;
    char last[64];
} end;

static void on_message(void *user, const char *data, size_t len, bool is_text)
{
    end *e = user;

    e->messages++;
    e->last_was_text = is_text;
    e->last_len = len;
    size_t n = len < sizeof(e->last) - 1 ? len : sizeof(e->last) - 1;
    memcpy(e->last, data, n);
    e->last[n] = 0;
}

static void on_too_large(void *user)
{
    end *e = user;

    e->too_large++;
    duet_websocket_close(e->ws, 4413, "too large", 0);
}

static int end_try_open(end *e, const duet_env *env, bool is_client)
{
    duet_websocket_config config = {.env = env,
                                    .pool = is_client ? NULL : pool,
                                    .is_client = is_client,
                                    .max_message = LIMIT,
                                    .on_message = on_message,
                                    .on_too_large = on_too_large,
                                    .user = e};

    *e = (end){.messages = 0};
    return duet_websocket_create(&e->ws, &config, 0);
}

static void end_open(end *e, bool is_client)
{
    assert_int_equal(end_try_open(e, NULL, is_client), DUET_OK);
}

/* Moves what `from` wants to send, in pieces of `step` bytes. @return how many bytes */
static size_t move(end *from, end *to, size_t step, duet_time now)
{
    const uint8_t *data;
    size_t moved = 0, len;

    while ((len = duet_websocket_output(from->ws, &data)) > 0) {
        len = len < step ? len : step;
        uint8_t *copy = malloc(len); /* exact, so that ASan sees every step beyond */
        memcpy(copy, data, len);
        duet_websocket_sent(from->ws, len);
        (void)duet_websocket_input(to->ws, copy, len, now);
        free(copy);
        moved += len;
    }
    return moved;
}

static int feed(end *e, const char *bytes, size_t len)
{
    uint8_t *copy = malloc(len);

    memcpy(copy, bytes, len);
    int err = duet_websocket_input(e->ws, copy, len, 0);
    free(copy);
    return err;
}

/* The code of the close frame that a server wants to send; 0 when it wants to send something else. */
static unsigned close_frame(const end *e)
{
    const uint8_t *data;
    size_t len = duet_websocket_output(e->ws, &data);

    return len >= 4 && data[0] == 0x88 && (data[1] & 0x80) == 0 ? (unsigned)(data[2] << 8 | data[3]) : 0;
}

/* ---- messages ---- */

static void messages_arrive_whole_in_whatever_pieces_they_come(void **state)
{
    static const size_t steps[] = {1, 2, 7, 4096, SIZE_MAX};
    char *text = malloc(LIMIT);

    (void)state;
    memset(text, 'x', LIMIT);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        end client, server;
        end_open(&client, true);
        end_open(&server, false);
        for (size_t len = 0; len <= LIMIT; len = len * 3 + 1) {
            assert_int_equal(duet_websocket_send(client.ws, text, len, 0), DUET_OK);
            move(&client, &server, steps[i], 0);
            assert_int_equal(server.last_len, len);
            assert_true(server.last_was_text);
            assert_int_equal(duet_websocket_send(server.ws, text, len, 0), DUET_OK);
            move(&server, &client, steps[i], 0);
            assert_int_equal(client.last_len, len);
        }
        assert_int_equal(server.messages, client.messages);
        duet_websocket_destroy(client.ws);
        duet_websocket_destroy(server.ws);
    }
    free(text);
}

/* RFC 6455 section 5.7: "Hello", masked, in one frame; and in two, with a ping between them. */
static void the_examples_of_rfc_6455_are_understood(void **state)
{
    const uint8_t *pong;
    end server;

    (void)state;
    end_open(&server, false);
    assert_int_equal(feed(&server, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11), DUET_OK);
    assert_string_equal(server.last, "Hello");
    feed(&server, "\x01\x83\x00\x00\x00\x00Hel", 9);
    feed(&server, "\x89\x82\x00\x00\x00\x00hi", 8);
    assert_int_equal(server.messages, 1);
    assert_int_equal(duet_websocket_output(server.ws, &pong), 4);
    assert_memory_equal(pong, "\x8a\x02hi", 4);
    feed(&server, "\x80\x82\x00\x00\x00\x00lo", 8);
    assert_int_equal(server.messages, 2);
    assert_string_equal(server.last, "Hello");
    duet_websocket_destroy(server.ws);
}

static void binary_messages_are_told_apart(void **state)
{
    end server;

    (void)state;
    end_open(&server, false);
    feed(&server, "\x82\x81\x00\x00\x00\x00\xff", 7);
    assert_int_equal(server.messages, 1);
    assert_false(server.last_was_text);
    duet_websocket_destroy(server.ws);
}

/* ---- errors ---- */

typedef struct bad_frame {
    const char *what, *bytes;
    size_t len;
    unsigned code; /* 0: any, or none */
} bad_frame;

static void bad_frames_end_the_connection_and_say_why(void **state)
{
    static const bad_frame frames[] = {
        {"not masked", "\x81\x01x", 3, 1002},
        {"a reserved bit", "\xc1\x81\x00\x00\x00\x00x", 7, 1002},
        {"a reserved opcode", "\x83\x81\x00\x00\x00\x00x", 7, 1002},
        {"a continuation of nothing", "\x80\x81\x00\x00\x00\x00x", 7, 1002},
        {"a fragmented ping", "\x09\x81\x00\x00\x00\x00x", 7, 0},
        {"a ping of 126 bytes", "\x89\xfe\x00\x7e\x00\x00\x00\x00", 8, 0},
        {"a length in more bytes than needed", "\x81\xfe\x00\x01\x00\x00\x00\x00x", 9, 0},
        {"2^63 bytes", "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 14, 0},
        {"bad UTF-8", "\x81\x82\x00\x00\x00\x00\xc3\x28", 8, 1007},
        {"half a character at the end", "\x81\x81\x00\x00\x00\x00\xc3", 7, 1007},
        {"a close code of nobody", "\x88\x82\x00\x00\x00\x00\x03\xed", 8, 1002},
        {"a new message inside of one", "\x01\x81\x00\x00\x00\x00x\x81\x81\x00\x00\x00\x00x", 14, 1002},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        end server;
        end_open(&server, false);
        (void)feed(&server, frames[i].bytes, frames[i].len);
        if (frames[i].code != 0 && close_frame(&server) != frames[i].code)
            fail_msg("%s: closed with %u", frames[i].what, close_frame(&server));
        (void)feed(&server, "\x81\x81\x00\x00\x00\x00x", 7);
        if (server.messages > 0)
            fail_msg("%s: a message came through", frames[i].what);
        duet_websocket_tick(server.ws, DUET_SECONDS(60));
        if (!duet_websocket_is_done(server.ws))
            fail_msg("%s: it goes on", frames[i].what);
        duet_websocket_destroy(server.ws);
    }
}

static void a_client_refuses_masked_frames(void **state)
{
    end client;

    (void)state;
    end_open(&client, true);
    (void)feed(&client, "\x81\x81\x00\x00\x00\x00x", 7);
    assert_int_equal(client.messages, 0);
    duet_websocket_destroy(client.ws);
}

static void a_message_too_large_is_refused_with_its_first_byte(void **state)
{
    end server;

    (void)state;
    end_open(&server, false);
    feed(&server, "\x81\xff\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00x", 15); /* 65537 bytes are announced */
    assert_int_equal(server.too_large, 1);
    assert_int_equal(close_frame(&server), 4413);
    duet_websocket_destroy(server.ws);
}

static void fragments_together_have_the_same_bound(void **state)
{
    char frame[8 + 60000] = "\x01\xfe\xea\x60\x00\x00\x00\x00";
    end server;

    (void)state;
    memset(frame + 8, 'x', 60000);
    end_open(&server, false);
    feed(&server, frame, sizeof(frame));
    assert_int_equal(server.too_large, 0);
    frame[0] = 0; /* a continuation */
    feed(&server, frame, sizeof(frame));
    assert_int_equal(server.too_large, 1);
    assert_int_equal(server.messages, 0);
    duet_websocket_destroy(server.ws);
}

static void who_pings_and_does_not_read_is_cut_off(void **state)
{
    static const char ping[131] = "\x89\xfd";
    const uint8_t *data;
    end server;
    int pings = 0;

    (void)state;
    end_open(&server, false);
    while (feed(&server, ping, sizeof(ping)) == DUET_OK && pings < 100000)
        pings++;
    assert_in_range(pings, 1000, 20000);
    assert_true(duet_websocket_output(server.ws, &data) < DUET_WEBSOCKET_OUTPUT_MAX + 8192);
    duet_websocket_destroy(server.ws);
}

static void a_send_that_finds_the_output_full_takes_nothing(void **state)
{
    char *text = calloc(1, LIMIT);
    const uint8_t *data;
    end server;
    int sent = 0;

    (void)state;
    end_open(&server, false);
    while (duet_websocket_send(server.ws, text, LIMIT, 0) == DUET_OK)
        sent++;
    assert_int_equal(sent, DUET_WEBSOCKET_OUTPUT_MAX / LIMIT - 1);
    size_t before = duet_websocket_output(server.ws, &data);
    assert_int_equal(duet_websocket_send(server.ws, text, LIMIT, 0), DUET_ERR_AGAIN);
    assert_int_equal(duet_websocket_output(server.ws, &data), before);
    duet_websocket_sent(server.ws, before);
    assert_int_equal(duet_websocket_send(server.ws, text, LIMIT, 0), DUET_OK);
    free(text);
    duet_websocket_destroy(server.ws);
}

/* ---- closing, silence ---- */

static void a_close_comes_behind_what_was_sent_and_is_answered(void **state)
{
    const char *reason;
    end client, server;

    (void)state;
    end_open(&client, true);
    end_open(&server, false);
    duet_websocket_send(server.ws, "last words", 10, 0);
    duet_websocket_close(server.ws, 4403, "the room has been closed", 0);
    assert_int_equal(duet_websocket_send(server.ws, "more", 4, 0), DUET_ERR_CLOSED);
    move(&server, &client, SIZE_MAX, 0);
    assert_string_equal(client.last, "last words");
    assert_true(duet_websocket_is_done(client.ws));
    assert_int_equal(duet_websocket_close_code(client.ws, &reason), 4403);
    assert_string_equal(reason, "the room has been closed");
    assert_false(duet_websocket_is_done(server.ws));
    move(&client, &server, SIZE_MAX, 0);
    assert_true(duet_websocket_is_done(server.ws));
    duet_websocket_destroy(client.ws);
    duet_websocket_destroy(server.ws);
}

static void who_does_not_answer_a_close_is_dropped_after_three_seconds(void **state)
{
    end server;

    (void)state;
    end_open(&server, false);
    duet_websocket_close(server.ws, 1001, "", DUET_SECONDS(1));
    assert_int_equal(duet_websocket_deadline(server.ws), DUET_SECONDS(4));
    duet_websocket_tick(server.ws, DUET_SECONDS(4) - 1);
    assert_false(duet_websocket_is_done(server.ws));
    duet_websocket_tick(server.ws, DUET_SECONDS(4));
    assert_true(duet_websocket_is_done(server.ws));
    duet_websocket_destroy(server.ws);
}

static void silence_brings_a_ping_and_then_the_end(void **state)
{
    const char *reason;
    end client, server;

    (void)state;
    end_open(&client, true);
    end_open(&server, false);
    duet_time now = duet_websocket_deadline(server.ws);
    assert_int_equal(now, DUET_WEBSOCKET_PING_AFTER);
    duet_websocket_tick(server.ws, now);
    assert_int_equal(move(&server, &client, SIZE_MAX, now), 2);
    assert_true(move(&client, &server, SIZE_MAX, now) > 0); /* its pong */
    assert_int_equal(duet_websocket_deadline(server.ws), now + DUET_WEBSOCKET_PING_AFTER);
    duet_websocket_tick(server.ws, now + DUET_WEBSOCKET_PING_AFTER);
    duet_websocket_tick(server.ws, now + DUET_WEBSOCKET_DEAD_AFTER);
    assert_true(duet_websocket_is_done(server.ws));
    assert_int_equal(duet_websocket_close_code(server.ws, &reason), DUET_CLOSE_ABNORMAL);
    duet_websocket_destroy(client.ws);
    duet_websocket_destroy(server.ws);
}

static int talk(const duet_env *env, void *arg)
{
    end client = {.messages = 0}, server = {.messages = 0};

    (void)arg;
    int err = end_try_open(&client, env, true);
    if (err == DUET_OK)
        err = end_try_open(&server, env, false);
    if (err == DUET_OK)
        err = duet_websocket_send(client.ws, "hello", 5, 0);
    if (err == DUET_OK)
        move(&client, &server, 3, 0);
    if (err == DUET_OK && server.messages == 0)
        err = DUET_ERR_NOMEM;
    duet_websocket_destroy(client.ws);
    duet_websocket_destroy(server.ws);
    return err;
}

static void no_memory_is_an_error_and_nothing_leaks(void **state)
{
    (void)state;
    test_fail_each_allocation("websocket", talk, NULL);
}

/* ---- the opening handshake ---- */

/* RFC 6455 section 1.3. */
static void the_answer_to_the_key_is_that_of_rfc_6455(void **state)
{
    char accept[DUET_WEBSOCKET_ACCEPT_LEN + 1], key[DUET_WEBSOCKET_KEY_LEN + 1];

    (void)state;
    assert_int_equal(duet_websocket_accept(accept, "dGhlIHNhbXBsZSBub25jZQ=="), DUET_OK);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_int_equal(duet_websocket_make_key(key, NULL), DUET_OK);
    assert_int_equal(duet_websocket_accept(accept, key), DUET_OK);
}

static void keys_that_are_not_16_bytes_are_refused(void **state)
{
    static const char *const keys[] = {"",
                                       "dGhlIHNhbXBsZSBub25jZQ=",
                                       "dGhlIHNhbXBsZSBub25jZQ",
                                       "dGhlIHNhbXBsZSBub25jZR==",
                                       "dGhlIHNhbXBsZSBub25jZQ==\r",
                                       "dGhl!HNhbXBsZSBub25jZQ==",
                                       "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ=="};
    char accept[DUET_WEBSOCKET_ACCEPT_LEN + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (duet_websocket_accept(accept, keys[i]) != DUET_ERR_MALFORMED)
            fail_msg("\"%s\" was accepted", keys[i]);
    }
}

static void urls_are_read_strictly(void **state)
{
    static const char *const bad[] = {"",          "http://a/",          "ws://",        "ws:///ws",
                                      "ws://a:0",  "ws://a:65536",       "ws://a:80:80", "ws://a b/",
                                      "ws://a/#x", "ws://a/\r\nHost: b", "ws://user@a/", "ws://[::1/",
                                      "ws://a:80x"};
    duet_ws_url url;

    (void)state;
    assert_int_equal(duet_ws_url_parse(&url, "ws://127.0.0.1:8080"), DUET_OK);
    assert_string_equal(url.host, "127.0.0.1");
    assert_string_equal(url.port, "8080");
    assert_string_equal(url.path, "/ws");
    assert_int_equal(duet_ws_url_parse(&url, "WS://[::1]:81/rooms?x=1"), DUET_OK);
    assert_string_equal(url.host, "::1");
    assert_string_equal(url.path, "/rooms?x=1");
    assert_int_equal(duet_ws_url_parse(&url, "wss://signaling.example.org/"), DUET_OK);
    assert_true(url.secure);
    assert_string_equal(url.port, "443");
    assert_string_equal(url.path, "/ws");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (duet_ws_url_parse(&url, bad[i]) == DUET_OK)
            fail_msg("\"%s\" was accepted", bad[i]);
    }
}

static int respond(const char *text, size_t *used, char *reason, size_t size)
{
    return duet_handshake_response((const uint8_t *)text, strlen(text), "dGhlIHNhbXBsZSBub25jZQ==", used, reason, size);
}

#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static void a_response_is_accepted_with_its_whole_handshake_only(void **state)
{
    static const char good[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n" ACCEPT
        "\r\nframes";
    static const struct {
        const char *text;
        int expected;
    } others[] = {
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n", DUET_ERR_AGAIN},
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", DUET_ERR_AUTH},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", DUET_ERR_AUTH},
        {"HTTP/1.1 101 X\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", DUET_ERR_AUTH},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n" ACCEPT "\r\n", DUET_ERR_AUTH},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
         DUET_ERR_AUTH},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nno colon\r\n\r\n", DUET_ERR_MALFORMED},
        {"SSH-2.0-OpenSSH\r\n\r\n", DUET_ERR_MALFORMED},
    };
    char reason[160];
    size_t used;

    (void)state;
    assert_int_equal(respond(good, &used, reason, sizeof(reason)), DUET_OK);
    assert_string_equal(good + used, "frames");
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        int err = respond(others[i].text, &used, reason, sizeof(reason));
        if (err != others[i].expected)
            fail_msg("%s: %s", others[i].text, duet_strerror(err));
    }
}

static void an_endless_response_is_too_large(void **state)
{
    uint8_t *data = malloc(DUET_HANDSHAKE_MAX);
    char reason[160];
    size_t used;

    (void)state;
    memset(data, 'x', DUET_HANDSHAKE_MAX);
    int err =
        duet_handshake_response(data, DUET_HANDSHAKE_MAX, "dGhlIHNhbXBsZSBub25jZQ==", &used, reason, sizeof(reason));
    assert_int_equal(err, DUET_ERR_TOO_LARGE);
    free(data);
}

static int open_pool(void **state)
{
    (void)state;
    return duet_websocket_pool_create(&pool, NULL);
}

static int close_pool(void **state)
{
    (void)state;
    duet_websocket_pool_destroy(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_whole_in_whatever_pieces_they_come),
        cmocka_unit_test(the_examples_of_rfc_6455_are_understood),
        cmocka_unit_test(binary_messages_are_told_apart),
        cmocka_unit_test(bad_frames_end_the_connection_and_say_why),
        cmocka_unit_test(a_client_refuses_masked_frames),
        cmocka_unit_test(a_message_too_large_is_refused_with_its_first_byte),
        cmocka_unit_test(fragments_together_have_the_same_bound),
        cmocka_unit_test(who_pings_and_does_not_read_is_cut_off),
        cmocka_unit_test(a_send_that_finds_the_output_full_takes_nothing),
        cmocka_unit_test(a_close_comes_behind_what_was_sent_and_is_answered),
        cmocka_unit_test(who_does_not_answer_a_close_is_dropped_after_three_seconds),
        cmocka_unit_test(silence_brings_a_ping_and_then_the_end),
        cmocka_unit_test(no_memory_is_an_error_and_nothing_leaks),
        cmocka_unit_test(the_answer_to_the_key_is_that_of_rfc_6455),
        cmocka_unit_test(keys_that_are_not_16_bytes_are_refused),
        cmocka_unit_test(urls_are_read_strictly),
        cmocka_unit_test(a_response_is_accepted_with_its_whole_handshake_only),
        cmocka_unit_test(an_endless_response_is_too_large),
    };

    return cmocka_run_group_tests(tests, open_pool, close_pool);
}
