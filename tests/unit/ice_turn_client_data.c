/* The TURN client alone: permissions, channels, and data in both directions. */
#include "turn_bench.h"

/* ---- permissions and channels ------------------------------------------------------------------------------------------ */

static size_t count_peers(const bench *b)
{
    duet_stun_attribute a = {0};
    size_t count = 0;

    while (duet_stun_next(&b->m, &a))
        count += a.type == DUET_STUN_XOR_PEER_ADDRESS;
    return count;
}

static void several_peers_share_one_request(void **state)
{
    bench b;

    (void)state;
    begin(&b, DUET_UDP);
    allocate(&b);
    for (int i = 1; i <= 5; i++) {
        char text[32];
        snprintf(text, sizeof(text), "198.51.100.%d", i);
        duet_address peer = addr(text, 1000);
        assert_int_equal(duet_turn_client_permit(b.client, &peer), DUET_OK);
        peer.port++; /* permissions are for addresses, whatever the port */
        assert_int_equal(duet_turn_client_permit(b.client, &peer), DUET_OK);
    }
    assert_int_equal(duet_turn_client_deadline(b.client), 0);
    tick(&b);
    expect(&b, DUET_STUN_CREATE_PERMISSION);
    assert_int_equal(count_peers(&b), 5);
    assert_true(is_signed(&b));
    answer_success(&b);
    assert_false(pull(&b));
    finish(&b);
}

static void a_refused_peer_does_not_take_the_others_along(void **state)
{
    bench b;
    duet_address good = addr("198.51.100.1", 1), bad = addr("127.0.0.1", 1);
    duet_datagram out = {0};
    uint8_t buf[200] = {0};

    (void)state;
    begin(&b, DUET_UDP);
    allocate(&b);
    assert_int_equal(duet_turn_client_permit(b.client, &good), DUET_OK);
    assert_int_equal(duet_turn_client_permit(b.client, &bad), DUET_OK);
    tick(&b);
    expect(&b, DUET_STUN_CREATE_PERMISSION);
    answer_error(&b, 403, true);
    expect(&b, DUET_STUN_CREATE_PERMISSION);
    assert_int_equal(count_peers(&b), 1);
    answer_success(&b);
    expect(&b, DUET_STUN_CREATE_PERMISSION);
    assert_int_equal(count_peers(&b), 1);
    answer_error(&b, 403, true);
    assert_false(duet_turn_client_is_refused(b.client, &good));
    assert_true(duet_turn_client_is_refused(b.client, &bad));
    out.path.remote = bad;
    out.data = buf + 100;
    out.headroom = 100;
    out.len = 4;
    assert_int_equal(duet_turn_client_wrap(b.client, &out), DUET_ERR_AUTH);
    assert_int_equal(duet_turn_client_permit(b.client, &bad), DUET_ERR_AUTH);
    finish(&b);
}

static void permissions_have_a_bound(void **state)
{
    bench b;
    duet_address peer = addr("198.51.100.1", 1);

    (void)state;
    begin(&b, DUET_UDP);
    allocate(&b);
    for (int i = 0; i < DUET_TURN_PERMISSIONS_MAX; i++) {
        peer.ip[3] = (uint8_t)i;
        assert_int_equal(duet_turn_client_permit(b.client, &peer), DUET_OK);
    }
    peer.ip[2]++;
    assert_int_equal(duet_turn_client_permit(b.client, &peer), DUET_ERR_LIMIT);
    tick(&b);
    size_t asked = 0;
    while (pull(&b)) { /* eight at a time; every answer makes room for the next */
        asked += count_peers(&b);
        answer_success(&b);
    }
    assert_int_equal(asked, DUET_TURN_PERMISSIONS_MAX);
    finish(&b);
}

static void unused_permissions_expire_and_used_ones_are_renewed(void **state)
{
    bench b;
    duet_address one = addr("198.51.100.1", 1), two = addr("198.51.100.2", 1);
    uint8_t buf[200] = {0};

    (void)state;
    begin(&b, DUET_TCP);
    allocate(&b);
    assert_int_equal(duet_turn_client_permit(b.client, &one), DUET_OK);
    assert_int_equal(duet_turn_client_permit(b.client, &two), DUET_OK);
    tick(&b);
    expect(&b, DUET_STUN_CREATE_PERMISSION);
    answer_success(&b);
    pass(&b, DUET_SECONDS(241)); /* both were used when they were asked for */
    do
        assert_true(pull(&b));
    while (b.m.message_class != DUET_STUN_REQUEST);
    assert_int_equal(count_peers(&b), 2);
    answer_success(&b);
    duet_datagram out = {.data = buf + 100, .headroom = 100, .len = 4, .path = {.remote = one}};
    assert_int_equal(duet_turn_client_wrap(b.client, &out), DUET_OK);
    pass(&b, DUET_SECONDS(241));
    do
        assert_true(pull(&b));
    while (b.m.method != DUET_STUN_CREATE_PERMISSION);
    assert_int_equal(count_peers(&b), 1);
    finish(&b);
}

static void wrap(bench *b, duet_datagram *out, uint8_t *buf, size_t len, const duet_address *peer)
{
    *out = (duet_datagram){.data = buf + DUET_HEADROOM, .headroom = DUET_HEADROOM, .len = len};
    out->path.remote = *peer;
    for (size_t i = 0; i < len; i++)
        out->data[i] = (uint8_t)i;
    assert_int_equal(duet_turn_client_wrap(b->client, out), DUET_OK);
    assert_true(duet_path_equal(&out->path, &b->config.path));
    assert_ptr_equal(out->data, buf + out->headroom);
}

static void data_goes_in_indications_until_a_channel_is_bound(void **state)
{
    for (int protocol = DUET_UDP; protocol <= DUET_TCP; protocol++) {
        bench b;
        uint8_t buf[256];
        duet_datagram out;
        duet_stun_message m;
        duet_stun_attribute a;
        duet_address peer = addr("198.51.100.1", 7000), found;

        (void)state;
        begin(&b, (duet_protocol)protocol);
        allocate(&b);
        for (size_t len = 0; len < 6; len++) {
            wrap(&b, &out, buf, len, &peer);
            assert_int_equal(duet_stun_parse(&m, out.data, out.len), DUET_OK);
            assert_int_equal(m.method, DUET_STUN_SEND);
            assert_int_equal(duet_stun_get_address(&m, DUET_STUN_XOR_PEER_ADDRESS, &found), DUET_OK);
            assert_true(duet_address_equal(&found, &peer));
            assert_true(duet_stun_find(&m, DUET_STUN_DATA_ATTRIBUTE, &a));
            assert_int_equal(a.len, len);
            for (size_t i = 0; i < len; i++)
                assert_int_equal(a.value[i], i);
        }
        assert_int_equal(duet_turn_client_bind(b.client, &peer), DUET_OK);
        tick(&b);
        expect(&b, DUET_STUN_CREATE_PERMISSION);
        answer_success(&b);
        expect(&b, DUET_STUN_CHANNEL_BIND);
        assert_true(duet_stun_find(&b.m, DUET_STUN_CHANNEL_NUMBER, &a));
        assert_int_equal(a.value[0] >> 4, 4);
        uint8_t number[2] = {a.value[0], a.value[1]};
        answer_success(&b);
        wrap(&b, &out, buf, 5, &peer);
        assert_int_equal(out.len, protocol == DUET_UDP ? 9 : 12);
        assert_memory_equal(out.data, number, 2);
        assert_int_equal(out.data[3], 5);
        assert_int_equal(out.data[8], 4);
        finish(&b);
    }
}

static void data_from_a_peer_is_unwrapped_in_place(void **state)
{
    bench b;
    uint8_t out[256];
    duet_address peer = addr("198.51.100.1", 7000), stranger = addr("198.51.100.2", 7000);
    size_t len;

    (void)state;
    begin(&b, DUET_UDP);
    allocate(&b);
    assert_int_equal(duet_turn_client_permit(b.client, &peer), DUET_OK);
    for (int i = 0; i < 2; i++) {
        uint8_t id[12] = {0};
        duet_stun_builder r = duet_stun_begin(out, sizeof(out), DUET_STUN_INDICATION, DUET_STUN_DATA, id);
        duet_stun_add_address(&r, DUET_STUN_XOR_PEER_ADDRESS, i == 0 ? &peer : &stranger);
        duet_stun_add(&r, DUET_STUN_DATA_ATTRIBUTE, "hello", 5);
        assert_int_equal(duet_stun_end(&r, &len), DUET_OK);
        duet_datagram in = {.path = b.config.path, .data = out, .len = len};
        int got = duet_turn_client_input(b.client, &in, b.now);
        if (i == 1) { /* RFC 8656, 11.4: only from whom there is a permission */
            assert_int_equal(got, DUET_ERR_NOT_MINE);
            continue;
        }
        assert_int_equal(got, 1);
        assert_int_equal(in.len, 5);
        assert_memory_equal(in.data, "hello", 5);
        assert_true(in.data > out && in.data < out + len);
        assert_true(duet_address_equal(&in.path.remote, &peer));
    }
    assert_int_equal(duet_turn_client_bind(b.client, &peer), DUET_OK);
    tick(&b);
    expect(&b, DUET_STUN_CREATE_PERMISSION);
    expect(&b, DUET_STUN_CHANNEL_BIND);
    answer_success(&b);
    uint8_t data[] = {0x40, 0, 0, 3, 'a', 'b', 'c', 0};
    duet_datagram in = {.path = b.config.path, .data = data, .len = 8};
    assert_int_equal(duet_turn_client_input(b.client, &in, b.now), 1);
    assert_int_equal(in.len, 3);
    assert_memory_equal(in.data, "abc", 3);
    uint8_t longer[] = {0x40, 0, 0, 5, 'a', 'b', 'c', 0};
    in = (duet_datagram){.path = b.config.path, .data = longer, .len = 8};
    assert_int_equal(duet_turn_client_input(b.client, &in, b.now), DUET_ERR_NOT_MINE);
    uint8_t other[] = {0x40, 1, 0, 1, 'a', 0, 0, 0};
    in = (duet_datagram){.path = b.config.path, .data = other, .len = 8};
    assert_int_equal(duet_turn_client_input(b.client, &in, b.now), DUET_ERR_NOT_MINE);
    finish(&b);
}

/* Lets time pass while the server answers everything; counts the requests of one method. */
static size_t live(bench *b, duet_time duration, duet_stun_method method)
{
    size_t count = 0;

    for (duet_time end = b->now + duration; b->now < end;) {
        pass(b, DUET_SECONDS(1));
        while (pull(b)) {
            count += b->m.method == method;
            if (b->m.message_class == DUET_STUN_REQUEST)
                answer_success(b);
        }
    }
    return count;
}

static void a_channel_is_renewed_while_it_is_used_and_let_go_otherwise(void **state)
{
    bench b;
    uint8_t buf[256];
    duet_datagram out;
    duet_address peer = addr("198.51.100.1", 7000);

    (void)state;
    begin(&b, DUET_TCP);
    allocate(&b);
    assert_int_equal(duet_turn_client_bind(b.client, &peer), DUET_OK);
    assert_int_equal(live(&b, DUET_SECONDS(1), DUET_STUN_CHANNEL_BIND), 1);
    for (int i = 0; i < 4; i++) {
        wrap(&b, &out, buf, 4, &peer);
        assert_int_equal(out.len, 8);
        assert_int_equal(live(&b, DUET_SECONDS(241), DUET_STUN_CHANNEL_BIND), 1);
    }
    assert_int_equal(live(&b, DUET_SECONDS(300), DUET_STUN_CHANNEL_BIND), 0); /* nothing was sent meanwhile */
    wrap(&b, &out, buf, 4, &peer);
    assert_true(out.len > 8);
    assert_int_equal(live(&b, DUET_SECONDS(1), DUET_STUN_CHANNEL_BIND), 1);
    finish(&b);
}

static void a_refused_channel_leaves_indications(void **state)
{
    bench b;
    uint8_t buf[256];
    duet_datagram out;
    duet_address peer = addr("198.51.100.1", 7000);

    (void)state;
    begin(&b, DUET_UDP);
    allocate(&b);
    assert_int_equal(duet_turn_client_bind(b.client, &peer), DUET_OK);
    tick(&b);
    expect(&b, DUET_STUN_CHANNEL_BIND);
    answer_error(&b, 403, true);
    wrap(&b, &out, buf, 4, &peer);
    assert_true(out.len > 8);
    for (int i = 0; i < DUET_TURN_CHANNELS_MAX - 1; i++) {
        peer.port++;
        assert_int_equal(duet_turn_client_bind(b.client, &peer), DUET_OK);
    }
    peer.port++;
    assert_int_equal(duet_turn_client_bind(b.client, &peer), DUET_ERR_LIMIT);
    finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_peers_share_one_request),
        cmocka_unit_test(a_refused_peer_does_not_take_the_others_along),
        cmocka_unit_test(permissions_have_a_bound),
        cmocka_unit_test(unused_permissions_expire_and_used_ones_are_renewed),
        cmocka_unit_test(data_goes_in_indications_until_a_channel_is_bound),
        cmocka_unit_test(data_from_a_peer_is_unwrapped_in_place),
        cmocka_unit_test(a_channel_is_renewed_while_it_is_used_and_let_go_otherwise),
        cmocka_unit_test(a_refused_channel_leaves_indications),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
