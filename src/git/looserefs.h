/*
 * The loose refs of a repository, with what is remembered of them: names that are looked for one by
 * one, and what directories hold that a glob may want.
 *
 * 1. loose_refs_init(). 2. loose_refs_read() reads what can have changed. 3. loose_refs_stand()
 * says from stat(2) whether that still counts. 4. loose_refs_release().
 *
 * Nothing is opened that could block, no symbolic link is followed but by the kernel on the way to
 * a name, and the numbers of files and directories are bounded: beyond that, there is a doubt.
 */
#ifndef PHANTOM_CI_GIT_LOOSEREFS_H
#define PHANTOM_CI_GIT_LOOSEREFS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/stamp.h"
#include "git/localrepo.h"
#include "git/refset.h"

enum {
    /* Reading more would hold up whoever waits: git does it in a process of its own. */
    LOOSE_REFS_MAX_FILES = 20000,
    LOOSE_REFS_MAX_DIRECTORIES = 5000,
    LOOSE_REFS_MAX_ENTRIES = 100000, /* of one directory */
    LOOSE_REFS_MAX_TARGETS = 64,     /* of symbolic refs */
    /* So many of the files of directories are looked at each time, in turn. Git replaces files by
     * rename(2), which shows in the directory; other programs write into them. */
    LOOSE_REFS_AT_ONCE = 64,
};

enum loose_ref_kind { LOOSE_REF_ABSENT, LOOSE_REF_ID, LOOSE_REF_SYMBOLIC, LOOSE_REF_BROKEN };

struct loose_ref {
    struct stamp_trust trust;
    enum loose_ref_kind kind;
    bool is_target; /* not asked for: a symbolic ref points to it */
    char *value; /* of LOOSE_REF_ID the object id, of LOOSE_REF_SYMBOLIC the full name, or NULL */
    char name[]; /* in full */
};

struct loose_refs {
    GPtrArray *named; /* struct loose_ref *; those that are not there are among them */
    GPtrArray *found; /* struct loose_ref *, of directories */
    /* private */
    GPtrArray *directories;
    char **heads;  /* the fixed heads of the globs; NULL: there are none */
    guint targets; /* among `named` */
    guint next;    /* of `found`, for loose_refs_stand() */
};

/* `names`: as refset_wanted_new() takes them. */
void loose_refs_init(struct loose_refs *loose, const char *const *names);
void loose_refs_release(struct loose_refs *loose);

struct loose_refs_reading {
    int directory_fd; /* the common directory of the repository */
    const struct refset_wanted *wanted;
    size_t id_length;
    int64_t settle_ms;         /* of stamp_trust_note() */
    struct local_doubt *doubt; /* raised when git would see more, or other things */
};
void loose_refs_read(struct loose_refs *loose, const struct loose_refs_reading *reading);

/* The one among `named`, or NULL. */
const struct loose_ref *loose_refs_find(const struct loose_refs *loose, const char *name);

/* Is there any file or directory among them? */
bool loose_refs_are_there(const struct loose_refs *loose);

/* Is each ref that may be asked for there as a file, so that none counts that is packed? */
bool loose_refs_hide_packed(const struct loose_refs *loose);

/* `directory`: path of the common directory. */
bool loose_refs_stand(struct loose_refs *loose, const char *directory);

#endif
