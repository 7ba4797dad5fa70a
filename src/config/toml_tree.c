#include <stdlib.h>
#include <string.h>

#include "config/toml.h"

void toml_free(struct toml_value *root)
{
    /* Without recursion: the children of a value are put in front of the list of those still to be freed. */
    size_t count = 0;
    size_t room = 16;
    struct toml_value **pending = root ? malloc(room * sizeof(*pending)) : NULL;
    if (pending) {
        pending[count++] = root;
    }
    while (count > 0) {
        struct toml_value *value = pending[--count];
        if (!value) {
            continue;
        }
        if ((value->type == TOML_TABLE || value->type == TOML_ARRAY) && value->as.children.items) {
            size_t needed = count + value->as.children.count;
            if (needed > room) {
                room = 2 * needed;
                struct toml_value **larger = realloc(pending, room * sizeof(*pending));
                if (!larger) {
                    abort();
                }
                pending = larger;
            }
            memcpy(pending + count, value->as.children.items,
                   value->as.children.count * sizeof(*pending));
            count = needed;
            free(value->as.children.items);
        } else if (value->type == TOML_STRING) {
            free(value->as.string.bytes);
        }
        free(value->key);
        free(value);
    }
    free(pending);
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
    static const char *const names[] = {
        [TOML_TABLE] = "a table",     [TOML_ARRAY] = "an array",  [TOML_STRING] = "a string",
        [TOML_INTEGER] = "an integer", [TOML_FLOAT] = "a number with a fraction",
        [TOML_BOOLEAN] = "true or false", [TOML_DATE] = "a date or time"};
    return names[type];
}
