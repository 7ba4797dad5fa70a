/*
 * Where a repository on this machine is, found as git's upload-pack finds it (enter_repo() of its
 * path.c): PATH/.git, PATH, PATH.git/.git and PATH.git, the first that is one; through the .git
 * files of worktrees and submodules, to the common directories of worktrees.
 *
 * 1. All zeros is a struct that knows nothing. 2. local_repository_find(), again whenever
 * 3. local_repository_stands() does not say that it would find the same. 4.
 * local_repository_clear().
 */
#ifndef PHANTOM_CI_GIT_LOCALREPO_H
#define PHANTOM_CI_GIT_LOCALREPO_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/stamp.h"

/* The path that git takes of an absolute path or a file:// URL (whose %XX it decodes), without
 * slashes at its end; NULL for anything else. Free with g_free(). */
char *local_repository_path(const char *url);

/* Why files can't tell what git would: then git is to be asked. */
struct local_doubt {
    char *reason; /* the first that was found; NULL = there is none */
    /* Files that are not looked at here have their part in what git answers: that no stamp changed
     * proves nothing. */
    bool always;
};
void local_doubt_raise(struct local_doubt *doubt, bool always, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
void local_doubt_clear(struct local_doubt *doubt);

/* Whose repository it is, in the eyes of git's safe.directory: the owners of the git directory and
 * of the .git file that leads to it. */
struct local_owner {
    uint64_t device, inode; /* of the git directory */
    uid_t directory, link;
};

/* A path whose stamp is part of the proof that a search would find the same. */
struct local_proof {
    char *path; /* or NULL */
    struct stamp_trust trust;
};

/* Before the file is read. What `known` says of the same path goes on counting. */
void local_proof_set(struct local_proof *proof, const struct local_proof *known, const char *path,
                     int64_t settle_ms);
/* True for one without a path. */
bool local_proof_stands(const struct local_proof *proof);
void local_proof_clear(struct local_proof *proof);

enum { LOCAL_REPOSITORY_NEARER = 2 };

struct local_repository {
    char *git_directory;
    char *common_directory; /* of refs/, packed-refs and config; another than git_directory only for
                               worktrees. NULL: not known, and there is a doubt */
    size_t id_length;       /* digits of an object id */
    bool is_reftable;       /* refs are in common_directory/reftable */
    struct local_owner owner;
    bool is_foreign; /* not all of this user's: git may refuse it */
    struct local_doubt doubt;
    struct local_proof
        link; /* the .git file that leads to it; its path is NULL when there is none */
    /* private */
    struct local_proof config, worktree_config, nearer[LOCAL_REPOSITORY_NEARER];
    bool search_always;
};

/* `path`: of local_repository_path(). False with ERROR_REMOTE when there is no repository or it
 * can't be read; the struct then knows nothing. `settle_ms`: of stamp_trust_note(). */
bool local_repository_find(struct local_repository *repository, const char *path, int64_t settle_ms,
                           GError **error);

/* At most a few stat(2). It does not look at HEAD, objects/ and owners: search anew for these now
 * and then. */
bool local_repository_stands(const struct local_repository *repository);
void local_repository_clear(struct local_repository *repository);

#endif
