#include "config/pin.h"

#include <string.h>

#include "config/path_filter.h"

struct pin {
    char *workflow_path;
    struct path_filter *filter; /* NULL without patterns */
};

struct pin *pin_new(const char *workflow_path, const char *const *patterns)
{
    struct pin *pin = g_new0(struct pin, 1);
    pin->workflow_path = g_strdup(workflow_path);
    pin->filter = *patterns ? path_filter_new(patterns) : NULL;
    return pin;
}

void pin_free(struct pin *pin)
{
    if (pin) {
        g_free(pin->workflow_path);
        path_filter_free(pin->filter);
        g_free(pin);
    }
}

bool pin_covers(const struct pin *pin, const char *path, size_t length)
{
    bool is_workflow = pin->workflow_path && strlen(pin->workflow_path) == length &&
                       memcmp(pin->workflow_path, path, length) == 0;
    return is_workflow || (pin->filter && path_filter_matches(pin->filter, path, length));
}

/* Entries "MODE TYPE ID\tPATH", each ended by a NUL; false when one is not. */
static bool add_tree(const struct pin *pin, const char *tree, size_t length, GChecksum *digest)
{
    const char *end = tree + length;
    while (tree < end) {
        const char *stop = memchr(tree, '\0', (size_t)(end - tree));
        const char *tab = stop ? memchr(tree, '\t', (size_t)(stop - tree)) : NULL;
        if (!tab) {
            return false;
        }
        if (pin_covers(pin, tab + 1, (size_t)(stop - tab - 1))) {
            g_checksum_update(digest, (const guchar *)tree, stop + 1 - tree);
        }
        tree = stop + 1;
    }
    return true;
}

char *pin_digest(const struct pin *pin, const char *workflow, size_t workflow_length,
                 const char *tree, size_t tree_length)
{
    g_autofree char *of_workflow =
        workflow ? g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)workflow,
                                               workflow_length)
                 : NULL;
    if (!pin->filter) {
        return g_steal_pointer(&of_workflow);
    }
    g_autoptr(GChecksum) digest = g_checksum_new(G_CHECKSUM_SHA256);
    if (of_workflow) {
        g_checksum_update(digest, (const guchar *)of_workflow, -1);
    }
    return add_tree(pin, tree, tree_length, digest) ? g_strdup(g_checksum_get_string(digest))
                                                    : NULL;
}
