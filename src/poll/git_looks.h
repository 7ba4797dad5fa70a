/*
 * Looks that are children running `git ls-remote`, many at once: the last road for everything.
 *
 * 1. git_looks_new(). 2. git_looks_begin() each look; git_looks_add_fds(), poll(2),
 * git_looks_handle(), which calls back for each that is over. 3. git_looks_end() at the caller's
 * time limit calls back with ERROR_LIMIT; git_looks_drop() ends one without a word.
 * 4. git_looks_free() drops all.
 */
#ifndef PHANTOM_CI_POLL_GIT_LOOKS_H
#define PHANTOM_CI_POLL_GIT_LOOKS_H

#include <glib.h>
#include <poll.h>
#include <stdbool.h>

#include "poll/remote.h"

struct git_looks;

struct git_looks_events {
    /* Refs as git/refset.h has them, or NULL with `error`. May begin another look. */
    void (*over)(void *owner, GHashTable *refs, const GError *error, void *data);
    void *data;
};
struct git_looks *git_looks_new(const struct git_looks_events *events);
void git_looks_free(struct git_looks *looks);

/* `owner` names the look, one at a time. */
bool git_looks_begin(struct git_looks *looks, void *owner, const struct remote *remote,
                     bool no_redirects, GError **error);
void git_looks_end(struct git_looks *looks, void *owner);
void git_looks_drop(struct git_looks *looks, void *owner);

void git_looks_add_fds(struct git_looks *looks, GArray *pollfds);
void git_looks_handle(struct git_looks *looks, const struct pollfd *fds, unsigned count);

#endif
