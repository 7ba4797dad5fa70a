/*
 * A binary heap of things that fall due: the earliest in O(1), each change in O(log n). The nodes
 * are parts of what they stand for; the heap owns an array of pointers to them and nothing else.
 *
 * 1. heap_init(); each node starts as HEAP_NODE_INIT. 2. heap_put(), heap_remove(), heap_first().
 * 3. heap_release().
 */
#ifndef PHANTOM_CI_POLL_HEAP_H
#define PHANTOM_CI_POLL_HEAP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct heap_node {
    int64_t at;    /* what the heap is ordered by */
    unsigned slot; /* its place in the array + 1; 0 = in no heap */
};

#define HEAP_NODE_INIT                                                                             \
    {                                                                                              \
        .at = 0, .slot = 0                                                                         \
    }

struct heap {
    GPtrArray *nodes;
};

void heap_init(struct heap *heap);
void heap_release(struct heap *heap);

/* Inserts the node, or moves it when it is there already. */
void heap_put(struct heap *heap, struct heap_node *node, int64_t at);
/* Nothing happens to a node that is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

/* The earliest; NULL when it is empty. */
struct heap_node *heap_first(const struct heap *heap);

static inline bool heap_has(const struct heap_node *node)
{
    return node->slot > 0;
}

#endif
