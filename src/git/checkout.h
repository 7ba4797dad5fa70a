/*
 * The workspace of one section and branch: exactly the tree of one commit, and nothing else but
 * `keep`.
 *
 *   cache/workspaces/<section>/<branch>/          the checkout, where steps run
 *   cache/checkouts/<section>/<branch>/{lock,index}   ours, out of its reach
 *
 * 1. checkout_open() takes the lock of the workspace (ERROR_BUSY).
 * 2. checkout_prepare() fills it from the mirror with --git-dir, --work-tree and the private index,
 *    removes what does not belong there, puts modes right, proves the result, and writes a
 *    throw-away .git so that `git describe` works in a step. No git command of ours reads that .git
 *    but the one that fetches submodules, before the first step.
 * 3. checkout_close().
 *
 * A workspace that can't be cleaned (files of another user) goes to cache/trash/ and a new one is
 * made; a mirror that can't be read is made anew (mirror_heal()). Each happens once at most.
 * checkout_prepare() changes the umask of the process while it works.
 */
#ifndef PHANTOM_CI_GIT_CHECKOUT_H
#define PHANTOM_CI_GIT_CHECKOUT_H

#include <glib.h>
#include <stdbool.h>

#include "git/mirror.h"

struct checkout;

struct checkout *checkout_open(const char *cache_directory, const char *section, const char *branch,
                               GError **error);
void checkout_close(struct checkout *checkout);
const char *checkout_path(const struct checkout *checkout);

struct checkout_request {
    struct mirror *mirror;
    const struct git_remote *remote;
    const char *sha;
    const char *ref; /* the full name of the branch or tag that the commit is taken from */
    const char *const *keep;
    bool submodules;
    struct git_limits limits;
};

/* *replaced: the old workspace had to be set aside. ERROR_REMOTE (submodules), ERROR_LIMIT,
 * ERROR_CANCELED, ERROR_NO_SPACE, ERROR_SYSTEM, ERROR_INVALID (paths that git
 * refuses). After a failure no step may run. */
bool checkout_prepare(struct checkout *checkout, const struct checkout_request *request,
                      bool *replaced, GError **error);

/* Empties cache/trash/ of what can be removed; the number of entries left. */
unsigned checkout_empty_trash(const char *cache_directory);

#endif
