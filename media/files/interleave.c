/* Interleaving of tracks. Samples of one track keep their order. */
#include "media/files/interleave.h"

#define WAIT_MAX  DUET_SECONDS(1)
#define BYTES_MAX (8u << 20)
#define COUNT_MAX 4096

struct duet_interleave_held {
    duet_interleave_held *next;
    duet_file_sample sample;
    duet_buffer data;
};

static duet_interleave_held *take_memory(duet_interleave *q)
{
    duet_interleave_held *h = q->spare;

    if (h) {
        q->spare = h->next;
        return h;
    }
    h = duet_calloc(q->env, sizeof(*h));
    if (h)
        duet_buffer_init(&h->data, q->env);
    return h;
}

static void give_back(duet_interleave *q, duet_interleave_held *h)
{
    duet_buffer_clear(&h->data);
    h->data.failed = false;
    h->next = q->spare;
    q->spare = h;
}

/* Behind those that are not later, and behind all of its own track. */
static void insert(duet_interleave *q, duet_interleave_held *h)
{
    duet_interleave_held **at = &q->first;

    for (duet_interleave_held **i = &q->first; *i; i = &(*i)->next) {
        if ((*i)->sample.time <= h->sample.time || (*i)->sample.track == h->sample.track)
            at = &(*i)->next;
    }
    h->next = *at;
    *at = h;
}

int duet_interleave_put(duet_interleave *q, const duet_file_sample *sample)
{
    duet_interleave_held *h = take_memory(q);

    if (!h)
        return DUET_ERR_NOMEM;
    duet_buffer_append(&h->data, sample->data, sample->len);
    if (h->data.failed) {
        give_back(q, h);
        return DUET_ERR_NOMEM;
    }
    h->sample = *sample;
    h->sample.data = h->data.data;
    insert(q, h);
    q->bytes += sample->len;
    q->count++;
    q->has_begun[sample->track] = true;
    if (sample->time > q->newest_of[sample->track])
        q->newest_of[sample->track] = sample->time;
    if (sample->time > q->newest)
        q->newest = sample->time;
    return DUET_OK;
}

const duet_file_sample *duet_interleave_next(const duet_interleave *q, bool all)
{
    if (!q->first)
        return NULL;
    const duet_file_sample *sample = &q->first->sample;
    if (all || q->bytes > BYTES_MAX || q->count > COUNT_MAX || q->newest > sample->time + WAIT_MAX)
        return sample;
    for (unsigned i = 0; i < q->track_count; i++) {
        if (!q->has_begun[i] || q->newest_of[i] < sample->time)
            return NULL;
    }
    return sample;
}

void duet_interleave_pop(duet_interleave *q)
{
    duet_interleave_held *h = q->first;

    q->first = h->next;
    q->bytes -= h->sample.len;
    q->count--;
    give_back(q, h);
}

static void free_list(const duet_interleave *q, duet_interleave_held *list)
{
    while (list) {
        duet_interleave_held *next = list->next;
        duet_buffer_free(&list->data);
        duet_free(q->env, list);
        list = next;
    }
}

void duet_interleave_free(duet_interleave *q)
{
    free_list(q, q->first);
    free_list(q, q->spare);
}
