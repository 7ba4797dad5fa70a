/*
 * What changed on a remote since it was last looked at. Pure.
 *
 * A branch or tag that is seen for the first time is a baseline when the section itself is new or
 * its selection changed; otherwise somebody has just pushed it, and it runs.
 */
#ifndef PHANTOM_CI_POLL_DETECT_H
#define PHANTOM_CI_POLL_DETECT_H

#include <glib.h>
#include <stdbool.h>

#include "config/config.h"

enum ref_event_kind {
    REF_BASELINE, /* first sight: the tip is recorded, nothing runs */
    REF_CREATED,  /* a new branch or tag was pushed: it runs */
    REF_MOVED,    /* another tip than before: it runs */
    REF_GONE,     /* it was there, and is not any more */
    REF_RETURNED, /* it is there again with the tip it had: nothing runs */
    REF_MISSING,  /* a branch named in target_branch that has never been there */
    REF_UNWANTED, /* known, but no longer asked for by the section */
};

struct ref_event {
    enum ref_event_kind kind;
    char *key;     /* of a branch or a tag (base/refkey.h) */
    char *old_tip; /* or NULL */
    char *new_tip; /* or NULL */
};

struct known_ref {
    const char *key;
    const char *tip; /* NULL: named in the section, never seen */
    bool gone;
};

/* Of branches. `known`: GArray of struct known_ref; `refs`: full ref name -> object id, as a look
 * tells (git/refset.h). Returns a GPtrArray of struct ref_event *, sorted by key; empty when
 * nothing changed. */
GPtrArray *detect_changes(const struct repo_config *repo, const GArray *known, GHashTable *refs,
                          bool selection_changed);

/* The same of tags, which are never REF_MISSING: a tag that is named may be yet to come. */
GPtrArray *detect_tag_changes(const struct repo_config *repo, const GArray *known, GHashTable *refs,
                              bool selection_changed);

#endif
