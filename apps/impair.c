/* An endpoint around an endpoint that loses, delays, reorders, doubles and damages its datagrams, both ways. */
#include "app.h"
#include "base/seeded.h"
#include <stdlib.h>
#include <string.h>

#define REORDER_HOLD DUET_MS(10)
#define WAITING_MAX  4096

typedef struct waiting {
    struct waiting *next;
    duet_time at;
    bool outgoing;
    duet_datagram datagram;
    uint8_t bytes[]; /* with headroom in front */
} waiting;

struct app_impaired {
    app_impairment how;
    const duet_endpoint_ops *ops;
    void *object;
    waiting *first; /* sorted by time */
    waiting *lent;
    size_t count;
    uint64_t random;
};

static bool parse_time(const char *text, duet_time *out)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || v < 0)
        return false;
    if (strcmp(end, "us") == 0)
        *out = (duet_time)v;
    else if (strcmp(end, "s") == 0)
        *out = (duet_time)(v * 1e6);
    else if (*end == 0 || strcmp(end, "ms") == 0)
        *out = (duet_time)(v * 1e3);
    else
        return false;
    return true;
}

static bool parse_probability(const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    if (end != text && *end == '%') {
        *out /= 100;
        end++;
    }
    return end != text && *end == 0 && *out >= 0 && *out <= 1;
}

static bool parse_item(app_impairment *out, const char *name, const char *value)
{
    if (strcmp(name, "loss") == 0)
        return parse_probability(value, &out->loss);
    if (strcmp(name, "reorder") == 0)
        return parse_probability(value, &out->reorder);
    if (strcmp(name, "duplicate") == 0)
        return parse_probability(value, &out->duplicate);
    if (strcmp(name, "corrupt") == 0)
        return parse_probability(value, &out->corrupt);
    if (strcmp(name, "delay") == 0)
        return parse_time(value, &out->delay);
    if (strcmp(name, "jitter") == 0)
        return parse_time(value, &out->jitter);
    if (strcmp(name, "seed") == 0) {
        char *end;
        out->seed = strtoull(value, &end, 10);
        return end != value && *end == 0;
    }
    return false;
}

bool app_impairment_parse(app_impairment *out, const char *text)
{
    char copy[256];
    char *save = NULL;

    *out = (app_impairment){.enabled = true, .seed = 1};
    if (strlen(text) >= sizeof(copy)) {
        app_error("--impair: longer than %zu characters", sizeof(copy) - 1);
        return false;
    }
    strcpy(copy, text);
    for (char *item = strtok_r(copy, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(item, '=');
        if (equals)
            *equals = 0;
        if (!equals || !parse_item(out, item, equals + 1)) {
            app_error("--impair %s: \"%s\" is none of loss=, reorder=, duplicate=, corrupt= (0 to 1, or 5%%), delay=, "
                      "jitter= (ms, or with us or s), seed=",
                      text, item);
            return false;
        }
    }
    return true;
}

int app_impaired_create(app_impaired **out, const app_impairment *how, const duet_endpoint_ops *ops, void *object)
{
    app_impaired *m = calloc(1, sizeof(*m));

    *out = m;
    if (!m)
        return DUET_ERR_NOMEM;
    m->how = *how;
    m->ops = ops;
    m->object = object;
    m->random = how->seed;
    return DUET_OK;
}

static void free_lent(app_impaired *m)
{
    while (m->lent) {
        waiting *w = m->lent;
        m->lent = w->next;
        free(w);
    }
}

void app_impaired_destroy(app_impaired *m)
{
    if (!m)
        return;
    while (m->first) {
        waiting *w = m->first;
        m->first = w->next;
        free(w);
    }
    free_lent(m);
    free(m);
}

static uint64_t next_random(app_impaired *m)
{
    return duet_seeded_next(&m->random);
}

static bool strikes(app_impaired *m, double probability)
{
    return duet_seeded_chance(&m->random, probability);
}

static void hold(app_impaired *m, const duet_datagram *dg, bool outgoing, duet_time at)
{
    waiting *w = m->count < WAITING_MAX ? malloc(sizeof(*w) + DUET_HEADROOM + dg->len) : NULL;
    waiting **link = &m->first;

    if (!w)
        return; /* as a router whose queue is full */
    w->at = at;
    w->outgoing = outgoing;
    w->datagram = *dg;
    w->datagram.data = w->bytes + DUET_HEADROOM;
    w->datagram.headroom = DUET_HEADROOM;
    memcpy(w->datagram.data, dg->data, dg->len);
    if (dg->len > 0 && strikes(m, m->how.corrupt)) {
        uint64_t bit = next_random(m) % (dg->len * 8);
        w->datagram.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    while (*link && (*link)->at <= at)
        link = &(*link)->next;
    w->next = *link;
    *link = w;
    m->count++;
}

static void hurt(app_impaired *m, const duet_datagram *dg, bool outgoing, duet_time now)
{
    int copies = strikes(m, m->how.duplicate) ? 2 : 1;

    for (int i = 0; i < copies; i++) {
        if (strikes(m, m->how.loss))
            continue;
        duet_time at = now + m->how.delay;
        if (m->how.jitter)
            at += next_random(m) % m->how.jitter;
        if (strikes(m, m->how.reorder))
            at += REORDER_HOLD;
        hold(m, dg, outgoing, at);
    }
}

static waiting *take_due(app_impaired *m, bool outgoing, duet_time now)
{
    for (waiting **link = &m->first; *link && (*link)->at <= now; link = &(*link)->next) {
        waiting *w = *link;
        if (w->outgoing == outgoing) {
            *link = w->next;
            m->count--;
            return w;
        }
    }
    return NULL;
}

static void deliver_due(app_impaired *m, duet_time now)
{
    for (waiting *w = take_due(m, false, now); w; w = take_due(m, false, now)) {
        w->datagram.time = now;
        m->ops->input(m->object, &w->datagram, now);
        free(w);
    }
}

static int impaired_input(void *object, duet_datagram *in, duet_time now)
{
    app_impaired *m = object;

    hurt(m, in, false, now);
    deliver_due(m, now);
    return DUET_OK;
}

/* The driver sends one at a time from here, so that the datagram lives until the next call. */
static int impaired_output(void *object, duet_datagram *out, duet_time now)
{
    app_impaired *m = object;
    duet_datagram dg;

    while (m->ops->output(m->object, &dg, now) == 1)
        hurt(m, &dg, true, now);
    waiting *w = take_due(m, true, now);
    if (!w)
        return 0;
    w->next = m->lent;
    m->lent = w;
    *out = w->datagram;
    return 1;
}

static int impaired_request(void *object, duet_request *out)
{
    app_impaired *m = object;

    return m->ops->request(m->object, out);
}

static int impaired_answer(void *object, const duet_answer *answer, duet_time now)
{
    app_impaired *m = object;

    return m->ops->answer(m->object, answer, now);
}

static void impaired_path_error(void *object, const duet_path *path, int error, duet_time now)
{
    app_impaired *m = object;

    m->ops->path_error(m->object, path, error, now);
}

static void impaired_tick(void *object, duet_time now)
{
    app_impaired *m = object;

    free_lent(m);
    deliver_due(m, now);
    m->ops->tick(m->object, now);
}

static duet_time impaired_deadline(const void *object)
{
    const app_impaired *m = object;
    duet_time inner = m->ops->deadline(m->object);

    return m->first && m->first->at < inner ? m->first->at : inner;
}

static void impaired_set_wake(void *object, void (*wake)(void *user), void *user)
{
    app_impaired *m = object;

    m->ops->set_wake(m->object, wake, user);
}

const duet_endpoint_ops *app_impaired_ops(void)
{
    static const duet_endpoint_ops ops = {
        sizeof(ops),         impaired_input, impaired_output,   impaired_request,  impaired_answer,
        impaired_path_error, impaired_tick,  impaired_deadline, impaired_set_wake, NULL};

    return &ops;
}
