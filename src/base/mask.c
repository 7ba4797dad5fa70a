/* Aho and Corasick's automaton (Efficient string matching, CACM 18:6, 1975): a tree of the values,
 * and in each node the longest other beginning of a value that ends there. */
#include "base/mask.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/wipe.h"

static const char replacement[] = "***";

enum { PAIR_AT = MASK_MIN_BYTES - 2, SHIFT_MAX = MASK_MIN_BYTES - 1 };

struct node {
    uint32_t child, sibling; /* 0 = none: the root is nobody's child */
    uint32_t fail;
    uint32_t match; /* length of the longest value that ends here; 0 = none */
    uint32_t depth; /* length of the beginning of a value that this node stands for */
    unsigned char byte;
};

struct mask {
    struct node *nodes; /* [0] is the root */
    uint32_t count;
    size_t longest;      /* bytes of the longest value */
    uint32_t first[256]; /* the root's children */
    /* Most of the time is spent in the root. There the fifth and sixth of the next bytes tell by
     * how many no value can begin (Wu and Manber, A fast algorithm for multi-pattern searching,
     * 1994). */
    uint8_t shifts[65536];
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
    mask->nodes[child] = (struct node){
        .sibling = mask->nodes[parent].child, .depth = mask->nodes[parent].depth + 1, .byte = byte};
    mask->nodes[parent].child = child;
    if (parent == 0) {
        mask->first[byte] = child;
    }
    return child;
}

static unsigned pair_at(const char *bytes)
{
    return (unsigned)(unsigned char)bytes[0] << 8 | (unsigned char)bytes[1];
}

/* It may begin `shift` bytes further on when two are seen that are in it that much nearer to its
 * beginning. */
static void lower_shifts(struct mask *mask, const char *value)
{
    for (unsigned shift = 0; shift < SHIFT_MAX; shift++) {
        uint8_t *known = &mask->shifts[pair_at(value + PAIR_AT - shift)];
        *known = (uint8_t)MIN(*known, shift);
    }
}

/* False when there is no room for it. */
static bool add_value(struct mask *mask, const char *value, size_t length)
{
    uint32_t node = 0, child;
    size_t at = 0;
    while (at < length && (child = find_child(mask, node, (unsigned char)value[at])) != 0) {
        node = child;
        at++;
    }
    if (length - at > MASK_MAX_BYTES + 1 - mask->count) {
        return false;
    }
    for (; at < length; at++) {
        node = add_child(mask, node, (unsigned char)value[at]);
    }
    mask->nodes[node].match = (uint32_t)length;
    lower_shifts(mask, value);
    mask->longest = MAX(mask->longest, length);
    return true;
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

struct mask *mask_new(const char *const *values, unsigned *refused)
{
    struct mask *mask = g_new0(struct mask, 1);
    size_t room = 0;
    unsigned left_out = 0;
    for (const char *const *value = values; *value; value++) {
        room += strlen(*value);
    }
    mask->nodes = g_new0(struct node, MIN(room, MASK_MAX_BYTES) + 1);
    mask->count = 1;
    memset(mask->shifts, SHIFT_MAX, sizeof(mask->shifts));
    for (const char *const *value = values; *value; value++) {
        size_t length = strlen(*value);
        bool added = length >= MASK_MIN_BYTES && add_value(mask, *value, length);
        left_out += length > 0 && !added;
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
        wipe_bytes(mask, sizeof(*mask));
        g_free(mask);
    }
}

/* ----------------------------------------------------------------- streams */

/* Positions count from the first byte that has not been let out yet: what of `held` and of the
 * bytes just written, which follow it, has an end that is still open. */
struct mask_stream {
    const struct mask *mask;
    uint32_t node;
    char *held; /* room for the longest value */
    size_t held_length;
    GArray *spans; /* of struct span: to be hidden, in order and apart from one another */
    /* The replacement of what goes on up to here has been let out; 0 = of nothing. */
    size_t hidden_until;
};

static void add_span(struct mask_stream *stream, struct span span)
{
    while (stream->spans->len > 0) {
        const struct span *last =
            &g_array_index(stream->spans, struct span, stream->spans->len - 1);
        if (last->end <= span.begin) {
            break;
        }
        span.begin = MIN(span.begin, last->begin);
        g_array_set_size(stream->spans, stream->spans->len - 1);
    }
    if (span.begin < stream->hidden_until) {
        stream->hidden_until = span.end;
    } else {
        g_array_append_val(stream->spans, span);
    }
}

/* From `at` on, the first place where a value may begin. */
static size_t skip(const struct mask *mask, const char *bytes, size_t at, size_t length)
{
    size_t shift;
    while (at + MASK_MIN_BYTES <= length &&
           (shift = mask->shifts[pair_at(bytes + at + PAIR_AT)]) > 0) {
        at += shift;
    }
    return at;
}

/* Finds the values that end in these bytes. */
static void scan(struct mask_stream *stream, const char *bytes, size_t length)
{
    const struct mask *mask = stream->mask;
    uint32_t node = stream->node;
    for (size_t i = 0; i < length; i++) {
        if (node == 0) {
            i = skip(mask, bytes, i, length);
        }
        node = next_node(mask, node, (unsigned char)bytes[i]);
        uint32_t match = mask->nodes[node].match;
        if (match > 0) {
            size_t end = stream->held_length + i + 1;
            add_span(stream, (struct span){end - match, end});
        }
    }
    stream->node = node;
}

/* The bytes from `begin` to `end`, of what is held and of `bytes` behind it. */
static void append_between(const struct mask_stream *stream, const char *bytes, size_t begin,
                           size_t end, GString *out)
{
    size_t border = CLAMP(stream->held_length, begin, end);
    if (begin < border) {
        g_string_append_len(out, stream->held + begin, (gssize)(border - begin));
    }
    if (border < end) {
        g_string_append_len(out, bytes + (border - stream->held_length), (gssize)(end - border));
    }
}

/* Lets out what lies before `until`, where no value that is yet to be found can begin. */
static void let_out(struct mask_stream *stream, const char *bytes, size_t until, GString *out)
{
    size_t at = stream->hidden_until;
    unsigned done = 0;
    for (; done < stream->spans->len; done++) {
        const struct span *span = &g_array_index(stream->spans, struct span, done);
        if (span->begin >= until) {
            break;
        }
        append_between(stream, bytes, at, span->begin, out);
        g_string_append(out, replacement);
        at = span->end;
    }
    if (at < until) {
        append_between(stream, bytes, at, until, out);
        at = until;
    }
    g_array_remove_range(stream->spans, 0, done);
    for (unsigned i = 0; i < stream->spans->len; i++) {
        struct span *span = &g_array_index(stream->spans, struct span, i);
        *span = (struct span){span->begin - until, span->end - until};
    }
    stream->hidden_until = at - until;
}

/* The last `count` bytes, of what is held and of `bytes` behind it, are what is held. */
static void hold(struct mask_stream *stream, const char *bytes, size_t length, size_t count)
{
    size_t before = stream->held_length;
    size_t of_held = count > length ? count - length : 0;
    memmove(stream->held, stream->held + before - of_held, of_held);
    memcpy(stream->held + of_held, bytes + length - (count - of_held), count - of_held);
    stream->held_length = count;
    wipe_bytes(stream->held + count, before > count ? before - count : 0);
}

struct mask_stream *mask_stream_new(const struct mask *mask)
{
    struct mask_stream *stream = g_new0(struct mask_stream, 1);
    stream->mask = mask;
    stream->held = g_malloc(mask->longest + 1);
    stream->spans = g_array_new(FALSE, FALSE, sizeof(struct span));
    return stream;
}

void mask_stream_free(struct mask_stream *stream)
{
    if (stream) {
        wipe_bytes(stream->held, stream->held_length);
        g_free(stream->held);
        g_array_unref(stream->spans);
        g_free(stream);
    }
}

void mask_stream_write(struct mask_stream *stream, const char *bytes, size_t length, GString *out)
{
    scan(stream, bytes, length);
    size_t open = stream->mask->nodes[stream->node].depth;
    let_out(stream, bytes, stream->held_length + length - open, out);
    hold(stream, bytes, length, open);
}

void mask_stream_end(struct mask_stream *stream, GString *out)
{
    let_out(stream, NULL, stream->held_length, out);
    wipe_bytes(stream->held, stream->held_length);
    stream->held_length = 0;
    stream->node = 0;
}

char *mask_apply(const struct mask *mask, const char *text, size_t length, size_t *masked_length)
{
    g_autoptr(GArray) spans = g_array_new(FALSE, FALSE, sizeof(struct span));
    struct mask_stream stream = {.mask = mask, .spans = spans};
    GString *masked = g_string_sized_new(length);
    scan(&stream, text, length);
    let_out(&stream, text, length, masked);
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
