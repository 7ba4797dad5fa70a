/* Aho and Corasick's automaton (Efficient string matching, CACM 18:6, 1975): a tree of the values,
 * and in each node the longest other beginning of a value that ends there. */
#include "base/mask.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/wipe.h"

static const char replacement[] = "***";

struct node {
    uint32_t child, sibling; /* 0 = none: the root is nobody's child */
    uint32_t fail;
    uint32_t match; /* length of the longest value that ends here; 0 = none */
    unsigned char byte;
};

struct mask {
    struct node *nodes; /* [0] is the root */
    uint32_t count;
    /* the root's children, where most of the time is spent */
    uint32_t first[256];
};

struct span {
    size_t begin, end;
};

static uint32_t find_child(const struct mask *mask, uint32_t node, unsigned char byte)
{
    if (node == 0) {
        return mask->first[byte];
    }
    uint32_t child = mask->nodes[node].child;
    while (child != 0 && mask->nodes[child].byte != byte) {
        child = mask->nodes[child].sibling;
    }
    return child;
}

static uint32_t add_child(struct mask *mask, uint32_t parent, unsigned char byte)
{
    uint32_t child = mask->count++;
    mask->nodes[child] = (struct node){.sibling = mask->nodes[parent].child, .byte = byte};
    mask->nodes[parent].child = child;
    if (parent == 0) {
        mask->first[byte] = child;
    }
    return child;
}

static void add_value(struct mask *mask, const char *value, size_t length)
{
    uint32_t node = 0;
    for (size_t i = 0; i < length; i++) {
        uint32_t child = find_child(mask, node, (unsigned char)value[i]);
        node = child != 0 ? child : add_child(mask, node, (unsigned char)value[i]);
    }
    mask->nodes[node].match = (uint32_t)length;
}

static uint32_t next_node(const struct mask *mask, uint32_t node, unsigned char byte)
{
    uint32_t child;
    while ((child = find_child(mask, node, byte)) == 0 && node != 0) {
        node = mask->nodes[node].fail;
    }
    return child;
}

/* Breadth first, so that a node's fail link, which is nearer to the root, is complete before it. */
static void link_nodes(struct mask *mask)
{
    g_autofree uint32_t *queue = g_new(uint32_t, mask->count);
    uint32_t head = 0, tail = 0;
    queue[tail++] = 0;
    while (head < tail) {
        uint32_t parent = queue[head++];
        for (uint32_t child = mask->nodes[parent].child; child != 0;
             child = mask->nodes[child].sibling) {
            struct node *node = &mask->nodes[child];
            node->fail = parent == 0 ? 0 : next_node(mask, mask->nodes[parent].fail, node->byte);
            node->match = MAX(node->match, mask->nodes[node->fail].match);
            queue[tail++] = child;
        }
    }
}

static bool is_accepted(const char *value, size_t *room)
{
    size_t length = strlen(value);
    if (length < MASK_MIN_BYTES || length > *room) {
        return false;
    }
    *room -= length;
    return true;
}

struct mask *mask_new(const char *const *values, unsigned *refused)
{
    struct mask *mask = g_new0(struct mask, 1);
    size_t room = MASK_MAX_BYTES;
    unsigned left_out = 0;
    for (const char *const *value = values; *value; value++) {
        left_out += !is_accepted(*value, &room) && **value != '\0';
    }
    mask->nodes = g_new0(struct node, MASK_MAX_BYTES - room + 1);
    mask->count = 1;
    room = MASK_MAX_BYTES;
    for (const char *const *value = values; *value; value++) {
        if (is_accepted(*value, &room)) {
            add_value(mask, *value, strlen(*value));
        }
    }
    link_nodes(mask);
    if (refused) {
        *refused = left_out;
    }
    return mask;
}

void mask_free(struct mask *mask)
{
    if (mask) {
        wipe_bytes(mask->nodes, mask->count * sizeof(struct node));
        g_free(mask->nodes);
        g_free(mask);
    }
}

/* What is to be hidden, in order and apart from one another. */
static GArray *find_spans(const struct mask *mask, const char *text, size_t length)
{
    GArray *spans = g_array_new(FALSE, FALSE, sizeof(struct span));
    uint32_t node = 0;
    for (size_t i = 0; i < length; i++) {
        node = next_node(mask, node, (unsigned char)text[i]);
        uint32_t match = mask->nodes[node].match;
        if (match == 0) {
            continue;
        }
        struct span span = {i + 1 - match, i + 1};
        while (spans->len > 0) {
            const struct span *last = &g_array_index(spans, struct span, spans->len - 1);
            if (last->end <= span.begin) {
                break;
            }
            span.begin = MIN(span.begin, last->begin);
            g_array_set_size(spans, spans->len - 1);
        }
        g_array_append_val(spans, span);
    }
    return spans;
}

char *mask_apply(const struct mask *mask, const char *text, size_t length, size_t *masked_length)
{
    g_autoptr(GArray) spans = find_spans(mask, text, length);
    GString *masked = g_string_sized_new(length);
    size_t at = 0;
    for (unsigned i = 0; i < spans->len; i++) {
        const struct span *span = &g_array_index(spans, struct span, i);
        g_string_append_len(masked, text + at, (gssize)(span->begin - at));
        g_string_append(masked, replacement);
        at = span->end;
    }
    g_string_append_len(masked, text + at, (gssize)(length - at));
    if (masked_length) {
        *masked_length = masked->len;
    }
    return g_string_free(masked, FALSE);
}

void mask_wipe(char *secret)
{
    if (secret) {
        wipe_bytes(secret, strlen(secret));
        g_free(secret);
    }
}
