/* What looserefs.c and loosewalk.c share. */
#ifndef PHANTOM_CI_GIT_LOOSEREFS_INTERNAL_H
#define PHANTOM_CI_GIT_LOOSEREFS_INTERNAL_H

#include "git/looserefs.h"

enum { LOOSE_READ_TRIES = 3 }; /* of what changes while it is read */

struct loose_directory {
    struct stamp_trust trust;
    bool is_root; /* stays, when it is not there */
    char name[];  /* with a slash at its end */
};

struct loose_ref *loose_ref_new(const char *name, bool is_target);

/* The directory that holds all that a glob can match, given the fixed head of it. */
void loose_walk_add_root(struct loose_refs *loose, const char *head);

/* Lists the directories that changed: adds to `found` what is new in them. False, and `found` is
 * empty, when there are too many. */
bool loose_walk(struct loose_refs *loose, const struct loose_refs_reading *reading);

#endif
