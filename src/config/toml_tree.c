#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "config/toml.h"

/* Trees are walked with a list of the values still to be visited, because their depth is up to the
 * input. */
struct pair {
    const struct toml_value *left, *right;
};

static void push(GArray *pending, const struct toml_value *left, const struct toml_value *right)
{
    struct pair pair = {left, right};
    g_array_append_val(pending, pair);
}

static struct pair pop(GArray *pending)
{
    struct pair pair = g_array_index(pending, struct pair, pending->len - 1);
    g_array_set_size(pending, pending->len - 1);
    return pair;
}

static bool has_children(const struct toml_value *value)
{
    return value->type == TOML_TABLE || value->type == TOML_ARRAY;
}

void toml_free(struct toml_value *root)
{
    g_autoptr(GArray) pending = g_array_new(FALSE, FALSE, sizeof(struct pair));
    if (root) {
        push(pending, root, NULL);
    }
    while (pending->len > 0) {
        struct toml_value *value = (struct toml_value *)pop(pending).left;
        if (has_children(value)) {
            for (size_t i = 0; i < value->as.children.count; i++) {
                if (value->as.children.items[i]) {
                    push(pending, value->as.children.items[i], NULL);
                }
            }
            free(value->as.children.items);
        } else if (value->type == TOML_STRING) {
            free(value->as.string.bytes);
        }
        free(value->key);
        free(value);
    }
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
        return left->as.integer == right->as.integer;
    case TOML_BOOLEAN:
        return left->as.boolean == right->as.boolean;
    case TOML_DATE:
        break;
    }
    return true;
}

bool toml_equal(const struct toml_value *left, const struct toml_value *right)
{
    g_autoptr(GArray) pending = g_array_new(FALSE, FALSE, sizeof(struct pair));
    bool equal = true;
    push(pending, left, right);
    while (equal && pending->len > 0) {
        struct pair pair = pop(pending);
        equal = same_value(pair.left, pair.right);
        for (size_t i = 0; equal && has_children(pair.left) && i < pair.left->as.children.count;
             i++) {
            push(pending, pair.left->as.children.items[i], pair.right->as.children.items[i]);
        }
    }
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
