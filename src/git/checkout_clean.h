/*
 * A workspace made to hold exactly the entries of one commit's tree, by our own hands: git's
 * clean(1) knows neither modes nor hard links, and trusts what it finds.
 *
 * 1. clean_tree_new() takes the listing of the tree and the paths to keep.
 * 2. clean_walk() before git writes the files removes what does not belong there and makes the way
 *    free; after it, it has nothing left to remove, and puts modes right.
 * 3. clean_tree_free().
 */
#ifndef PHANTOM_CI_GIT_CHECKOUT_CLEAN_H
#define PHANTOM_CI_GIT_CHECKOUT_CLEAN_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct clean_tree;

/* `listing`: the output of `git ls-tree -r -z --full-tree`, taken over (g_free). `keep`: relative
 * paths, a trailing '/' = a directory; NULL = none. */
struct clean_tree *clean_tree_new(char *listing, size_t length, const char *const *keep);
void clean_tree_free(struct clean_tree *tree);

bool clean_tree_has_submodules(const struct clean_tree *tree);

/* A hash of all .gitattributes of the tree: with another one the same blobs may be other files. */
const char *clean_tree_attributes(const struct clean_tree *tree);

struct clean_counts {
    unsigned removed, changed_modes, missing; /* missing: entries of the tree that are not there */
};

/* Follows no symlink and recurses nowhere. Contents of kept paths are left alone, but for entries
 * of the tree. A kept path that is a symlink is removed: it would lead out of the workspace. */
bool clean_walk(int root_fd, const struct clean_tree *tree, struct clean_counts *counts,
                GError **error);

#endif
