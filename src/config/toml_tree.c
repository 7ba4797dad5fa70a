#include <stdlib.h>
#include <string.h>

#include "config/toml.h"

struct pair {
    const struct toml_value *left, *right;
};

/* Values still to be visited; trees are walked with one, because their depth is up to the input. */
struct pending {
    struct pair *items;
    size_t count, room;
};

static void push(struct pending *pending, const struct toml_value *left,
                 const struct toml_value *right)
{
    if (pending->count == pending->room) {
        pending->room = pending->room ? 2 * pending->room : 64;
        pending->items = realloc(pending->items, pending->room * sizeof(*pending->items));
        if (!pending->items) {
            abort();
        }
    }
    pending->items[pending->count++] = (struct pair){left, right};
}

static bool has_children(const struct toml_value *value)
{
    return value->type == TOML_TABLE || value->type == TOML_ARRAY;
}

void toml_free(struct toml_value *root)
{
    struct pending pending = {NULL, 0, 0};
    if (root) {
        push(&pending, root, NULL);
    }
    while (pending.count > 0) {
        struct toml_value *value = (struct toml_value *)pending.items[--pending.count].left;
        if (has_children(value)) {
            for (size_t i = 0; i < value->as.children.count; i++) {
                if (value->as.children.items[i]) {
                    push(&pending, value->as.children.items[i], NULL);
                }
            }
            free(value->as.children.items);
        } else if (value->type == TOML_STRING) {
            free(value->as.string.bytes);
        }
        free(value->key);
        free(value);
    }
    free(pending.items);
}

static bool same_bytes(const char *left, size_t left_length, const char *right, size_t right_length)
{
    return left_length == right_length &&
           (left_length == 0 || memcmp(left, right, left_length) == 0);
}

/* Without their children, of which only the number counts. */
static bool same_value(const struct toml_value *left, const struct toml_value *right)
{
    if (left->type != right->type ||
        !same_bytes(left->key, left->key_length, right->key, right->key_length)) {
        return false;
    }
    switch (left->type) {
    case TOML_TABLE:
    case TOML_ARRAY:
        return left->as.children.count == right->as.children.count;
    case TOML_STRING:
        return same_bytes(left->as.string.bytes, left->as.string.length, right->as.string.bytes,
                          right->as.string.length);
    case TOML_INTEGER:
        return left->as.integer == right->as.integer;
    case TOML_FLOAT:
        /* By bits, so that nan equals itself. */
        return memcmp(&left->as.real, &right->as.real, sizeof(double)) == 0;
    case TOML_BOOLEAN:
        return left->as.boolean == right->as.boolean;
    case TOML_DATE:
        break;
    }
    return true;
}

bool toml_equal(const struct toml_value *left, const struct toml_value *right)
{
    struct pending pending = {NULL, 0, 0};
    bool equal = true;
    push(&pending, left, right);
    while (equal && pending.count > 0) {
        struct pair pair = pending.items[--pending.count];
        equal = same_value(pair.left, pair.right);
        for (size_t i = 0; equal && has_children(pair.left) && i < pair.left->as.children.count;
             i++) {
            push(&pending, pair.left->as.children.items[i], pair.right->as.children.items[i]);
        }
    }
    free(pending.items);
    return equal;
}

const struct toml_value *toml_find(const struct toml_value *table, const char *key)
{
    for (size_t i = 0; i < table->as.children.count; i++) {
        const struct toml_value *child = table->as.children.items[i];
        if (strlen(key) == child->key_length && memcmp(key, child->key, child->key_length) == 0) {
            return child;
        }
    }
    return NULL;
}

const char *toml_type_name(enum toml_type type)
{
    static const char *const names[] = {[TOML_TABLE] = "a table",
                                        [TOML_ARRAY] = "an array",
                                        [TOML_STRING] = "a string",
                                        [TOML_INTEGER] = "an integer",
                                        [TOML_FLOAT] = "a number with a fraction",
                                        [TOML_BOOLEAN] = "true or false",
                                        [TOML_DATE] = "a date or time"};
    return names[type];
}
