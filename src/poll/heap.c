#include "poll/heap.h"

void heap_init(struct heap *heap)
{
    heap->nodes = g_ptr_array_new();
}

void heap_release(struct heap *heap)
{
    g_clear_pointer(&heap->nodes, g_ptr_array_unref);
}

static struct heap_node *node_at(const struct heap *heap, unsigned index)
{
    return g_ptr_array_index(heap->nodes, index);
}

static void place(struct heap *heap, struct heap_node *node, unsigned index)
{
    g_ptr_array_index(heap->nodes, index) = node;
    node->slot = index + 1;
}

static void sift_up(struct heap *heap, struct heap_node *node)
{
    unsigned index = node->slot - 1;
    while (index > 0) {
        struct heap_node *parent = node_at(heap, (index - 1) / 2);
        if (parent->at <= node->at) {
            break;
        }
        place(heap, parent, index);
        index = (index - 1) / 2;
    }
    place(heap, node, index);
}

static void sift_down(struct heap *heap, struct heap_node *node)
{
    unsigned index = node->slot - 1;
    unsigned count = heap->nodes->len;
    for (unsigned child = 2 * index + 1; child < count; child = 2 * index + 1) {
        if (child + 1 < count && node_at(heap, child + 1)->at < node_at(heap, child)->at) {
            child++;
        }
        if (node->at <= node_at(heap, child)->at) {
            break;
        }
        place(heap, node_at(heap, child), index);
        index = child;
    }
    place(heap, node, index);
}

void heap_put(struct heap *heap, struct heap_node *node, int64_t at)
{
    node->at = at;
    if (!heap_has(node)) {
        g_ptr_array_add(heap->nodes, node);
        node->slot = heap->nodes->len;
    }
    sift_up(heap, node);
    sift_down(heap, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (!heap_has(node)) {
        return;
    }
    unsigned index = node->slot - 1;
    struct heap_node *last = node_at(heap, heap->nodes->len - 1);
    g_ptr_array_set_size(heap->nodes, (int)heap->nodes->len - 1);
    node->slot = 0;
    if (last != node) {
        place(heap, last, index);
        sift_up(heap, last);
        sift_down(heap, last);
    }
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->nodes->len > 0 ? node_at(heap, 0) : NULL;
}
