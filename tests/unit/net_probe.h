/* An endpoint that does what a test tells it: asks what is queued, sends what is queued, and notes all that it hears. */
#ifndef DUET_TESTS_NET_PROBE_H
#define DUET_TESTS_NET_PROBE_H

#include <errno.h>

#include "duet/net.h"
#include "test.h"
#include <errno.h>

#define PROBE_QUEUE 512

typedef struct probe_answer {
    duet_request_kind kind;
    uint32_t id, accepted;
    int err;
    char reason[128];
    duet_address local, remote;
    size_t interfaces;
    duet_address address; /* the first one that was found */
} probe_answer;

typedef struct probe_output {
    duet_path path;
    uint8_t *data; /* of the test, it lives on */
    size_t len;
    uint8_t dscp, ecn;
} probe_output;

typedef struct probe {
    duet_net *net;
    duet_request requests[PROBE_QUEUE];
    size_t request_first, request_count;
    probe_output outputs[PROBE_QUEUE];
    size_t output_first, output_count;
    probe_answer answers[PROBE_QUEUE];
    size_t answer_count;
    uint8_t received[1 << 20]; /* all that came, one behind the other */
    size_t received_len;
    size_t inputs;
    duet_datagram last; /* its data is not kept */
    unsigned ends, refusals;
    int last_error;
    uint32_t last_error_socket;
    uint64_t in_by_socket[64];
    bool echo; /* sends back what comes in */
    uint8_t echoes[DUET_OUTPUT_BATCH * 4][2048];
    size_t echo_count;
    void (*wake)(void *user);
    void *wake_user;
    void (*leave)(struct probe *p); /* detaches at the next input */
    void (*on_input)(struct probe *p, const duet_datagram *in);
} probe;

static inline void probe_send_ecn(probe *p, const duet_path *path, const void *data, size_t len, uint8_t dscp,
                                  uint8_t ecn)
{
    assert_true(p->output_count < PROBE_QUEUE);
    p->outputs[(p->output_first + p->output_count++) % PROBE_QUEUE] =
        (probe_output){*path, (uint8_t *)data, len, dscp, ecn};
    if (p->wake)
        p->wake(p->wake_user);
}

static inline void probe_send(probe *p, const duet_path *path, const void *data, size_t len)
{
    probe_send_ecn(p, path, data, len, 0, 0);
}

static inline int probe_input(void *object, duet_datagram *in, duet_time now)
{
    probe *p = object;

    (void)now;
    p->inputs++;
    p->last = *in;
    p->in_by_socket[in->path.socket % 64]++;
    if (p->received_len + in->len <= sizeof(p->received)) {
        memcpy(p->received + p->received_len, in->data, in->len);
        p->received_len += in->len;
    }
    if (p->on_input)
        p->on_input(p, in);
    if (p->echo && in->len <= sizeof(p->echoes[0]) && p->output_count < PROBE_QUEUE) {
        uint8_t *copy = p->echoes[p->echo_count++ % (DUET_OUTPUT_BATCH * 4)];
        memcpy(copy, in->data, in->len);
        probe_send(p, &in->path, copy, in->len);
    }
    if (p->leave)
        p->leave(p);
    p->leave = NULL;
    return DUET_OK;
}

static inline int probe_take_output(void *object, duet_datagram *out, duet_time now)
{
    probe *p = object;

    (void)now;
    if (p->output_count == 0)
        return 0;
    const probe_output *o = &p->outputs[p->output_first];
    p->output_first = (p->output_first + 1) % PROBE_QUEUE;
    p->output_count--;
    *out = (duet_datagram){.path = o->path, .data = o->data, .len = o->len, .dscp = o->dscp, .ecn = o->ecn};
    return 1;
}

static inline int probe_take_request(void *object, duet_request *out)
{
    probe *p = object;

    if (p->request_count == 0)
        return 0;
    *out = p->requests[p->request_first];
    p->request_first = (p->request_first + 1) % PROBE_QUEUE;
    p->request_count--;
    return 1;
}

static inline int probe_take_answer(void *object, const duet_answer *a, duet_time now)
{
    probe *p = object;

    (void)now;
    assert_true(p->answer_count < PROBE_QUEUE);
    probe_answer *note = &p->answers[p->answer_count++];
    *note = (probe_answer){.kind = a->kind,
                           .id = a->id,
                           .accepted = a->accepted,
                           .err = a->err,
                           .local = a->local,
                           .remote = a->remote,
                           .interfaces = a->interface_count};
    if (a->address_count > 0)
        note->address = a->addresses[0];
    snprintf(note->reason, sizeof(note->reason), "%s", a->reason ? a->reason : "");
    return DUET_OK;
}

static inline void probe_path_error(void *object, const duet_path *path, int error, duet_time now)
{
    probe *p = object;

    (void)now;
    p->ends += error == 0;
    p->refusals += error == EAGAIN;
    p->last_error = error;
    p->last_error_socket = path->socket;
}

static inline void probe_tick(void *object, duet_time now)
{
    (void)object, (void)now;
}

static inline duet_time probe_deadline(const void *object)
{
    (void)object;
    return DUET_NEVER;
}

static inline void probe_set_wake(void *object, void (*wake)(void *user), void *user)
{
    probe *p = object;

    p->wake = wake;
    p->wake_user = user;
}

static const duet_endpoint_ops probe_ops = {.size = sizeof(duet_endpoint_ops),
                                            .input = probe_input,
                                            .output = probe_take_output,
                                            .request = probe_take_request,
                                            .answer = probe_take_answer,
                                            .path_error = probe_path_error,
                                            .tick = probe_tick,
                                            .deadline = probe_deadline,
                                            .set_wake = probe_set_wake};

static inline probe *probe_new(duet_net *net)
{
    probe *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    p->net = net;
    assert_int_equal(duet_net_attach(net, &probe_ops, p), DUET_OK);
    return p;
}

static inline void probe_leave(probe *p)
{
    duet_net_detach(p->net, p);
}

static inline void probe_end(probe *p)
{
    duet_net_detach(p->net, p);
    free(p);
}

static inline void probe_ask(probe *p, duet_request r)
{
    assert_true(p->request_count < PROBE_QUEUE);
    p->requests[(p->request_first + p->request_count++) % PROBE_QUEUE] = r;
    if (p->wake)
        p->wake(p->wake_user);
}

static inline duet_address probe_address(const char *text, uint16_t port)
{
    duet_address a;

    assert_int_equal(duet_address_parse(&a, text, port), DUET_OK);
    return a;
}

static inline const probe_answer *probe_find(const probe *p, duet_request_kind kind, uint32_t id)
{
    for (size_t i = p->answer_count; i-- > 0;) {
        if (p->answers[i].kind == kind && p->answers[i].id == id)
            return &p->answers[i];
    }
    return NULL;
}

#endif
