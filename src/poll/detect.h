/*
 * What changed on a remote since it was last looked at. Pure.
 *
 * A branch that is seen for the first time is a baseline when the section itself is new or its
 * selection changed; otherwise somebody has just pushed it, and it runs.
 */
#ifndef PHANTOM_CI_POLL_DETECT_H
#define PHANTOM_CI_POLL_DETECT_H

#include <glib.h>
#include <stdbool.h>

#include "config/config.h"

enum branch_event_kind {
    BRANCH_BASELINE, /* first sight: the tip is recorded, nothing runs */
    BRANCH_CREATED,  /* a new branch was pushed: it runs */
    BRANCH_MOVED,    /* another tip than before: it runs */
    BRANCH_GONE,     /* it was there, and is not any more */
    BRANCH_RETURNED, /* it is there again with the tip it had: nothing runs */
    BRANCH_MISSING,  /* a branch named in target_branch that has never been there */
    BRANCH_UNWANTED, /* known, but no longer asked for by the section */
};

struct branch_event {
    enum branch_event_kind kind;
    char *name;    /* the key (base/refkey.h) */
    char *old_tip; /* or NULL */
    char *new_tip; /* or NULL */
};

struct known_branch {
    const char *name; /* its key (base/refkey.h) */
    const char *tip;  /* NULL: named in the section, never seen */
    bool gone;
};

/* `known`: GArray of struct known_branch; `refs`: full ref name -> object id, as a look tells
 * (git/refset.h). Returns a GPtrArray of struct branch_event *, sorted by name; empty when nothing
 * changed. */
GPtrArray *detect_changes(const struct repo_config *repo, const GArray *known, GHashTable *refs,
                          bool selection_changed);

#endif
