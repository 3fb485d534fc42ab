/* Pairing heap of intrusive timers: O(1) to arm, O(log n) amortised to pop. */
#include "base/timer.h"

static bool fires_before(const duet_timer *a, const duet_timer *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->order < b->order;
}

static duet_timer *meld(duet_timer *a, duet_timer *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (fires_before(b, a)) {
        duet_timer *swap = a;
        a = b;
        b = swap;
    }
    b->right = a->left;
    if (b->right)
        b->right->parent = b;
    b->parent = a;
    a->left = b;
    a->right = NULL;
    a->parent = NULL;
    return a;
}

/* Joins a list of siblings into one heap: pairs from the left, then all of them from the right. */
static duet_timer *merge_siblings(duet_timer *first)
{
    duet_timer *pairs = NULL;

    while (first) {
        duet_timer *a = first;
        duet_timer *b = a->right;
        first = b ? b->right : NULL;
        a->right = a->parent = NULL;
        if (b)
            b->right = b->parent = NULL;
        duet_timer *pair = meld(a, b);
        pair->right = pairs;
        pairs = pair;
    }
    duet_timer *root = NULL;
    while (pairs) {
        duet_timer *next = pairs->right;
        pairs->right = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

void duet_timers_cancel(duet_timers *q, duet_timer *t)
{
    if (!t->armed)
        return;
    duet_timer *children = merge_siblings(t->left);
    if (t == q->root) {
        q->root = children;
    } else {
        /* `parent` of a first child is its parent, of the others the sibling before it. */
        if (t->parent->left == t)
            t->parent->left = t->right;
        else
            t->parent->right = t->right;
        if (t->right)
            t->right->parent = t->parent;
        q->root = meld(q->root, children);
    }
    t->parent = t->left = t->right = NULL;
    t->armed = false;
}

void duet_timers_set(duet_timers *q, duet_timer *t, duet_time deadline)
{
    if (t->armed && t->deadline == deadline)
        return;
    duet_timers_cancel(q, t);
    if (deadline == DUET_NEVER)
        return;
    *t = (duet_timer){.deadline = deadline, .order = q->next_order++, .armed = true};
    q->root = meld(q->root, t);
}

duet_time duet_timers_deadline(const duet_timers *q)
{
    return q->root ? q->root->deadline : DUET_NEVER;
}

duet_timer *duet_timers_pop(duet_timers *q, duet_time now)
{
    duet_timer *t = q->root;

    if (!t || t->deadline > now)
        return NULL;
    duet_timers_cancel(q, t);
    return t;
}
