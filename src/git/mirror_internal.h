/* What mirror.c and mirror_read.c share. */
#ifndef PHANTOM_CI_GIT_MIRROR_INTERNAL_H
#define PHANTOM_CI_GIT_MIRROR_INTERNAL_H

#include <stdint.h>
#include <sys/types.h>

#include "git/mirror.h"

struct mirror {
    char *cache;
    char *stem;    /* cache/mirrors/<name>-<hash>, without a suffix */
    char *git_dir; /* stem + ".git" */
    char *url, *ssh_key_path;
    struct git_remote remote; /* points into the two above */
    struct git_limits limits;
    int64_t end_ms; /* monotonic; of the operation under way, 0 = none */
    int lock_fd;    /* stem + ".lock", shared */
    dev_t device;   /* of the directory seen last: others may replace it */
    ino_t inode;
    bool fresh;           /* made by this process and not filled yet */
    bool rebuilt;         /* once is enough */
    bool waited;          /* for the last lock: somebody else was at work */
    char *ref, *keep_ref; /* of the last mirror_fetch() */
    char *described,
        *parents; /* the commit of the last mirror_read_commit(), and its parents' ids */
};

/* cache/mirrors/<name>-<hash>; free with g_free(). */
char *mirror_stem(const char *cache, const struct git_remote *remote);

/* The ref under refs/phantom_ci/ for a keep_ref or a branch: every byte but letters, digits, '-'
 * and
 * '_' as %XX, so that no name is another one's directory or against the rules of git. Free with
 * g_free(). */
char *mirror_ref_name(const char *text, const char *suffix);

/* Runs git on the mirror with the local environment. A failure of git is ERROR_SYSTEM. `out` as in
 * git_run(). */
bool mirror_git(struct mirror *mirror, const char *const *arguments, struct spawn_result *out,
                GError **error);
/* The same with more variables ("K=V") in its environment. */
bool mirror_git_with(struct mirror *mirror, const char *const *variables,
                     const char *const *arguments, struct spawn_result *out, GError **error);

/* The limits with what is left of the time of the operation that mirror_begin() began. */
void mirror_begin(struct mirror *mirror);
struct git_limits mirror_limits(const struct mirror *mirror);

/* Fetches what `ref` (its full name) points to; *tip_ref is what that is called here.
 * ERROR_NOT_FOUND when there is no such ref. */
bool mirror_fetch_tip(struct mirror *mirror, const char *ref, char **tip_ref, GError **error);

/* Fetches `source` (a ref or an object id) into `ref`, under mirror_lock_for_fetch().
 * ERROR_NOT_FOUND when the server does not have or give it; `said` receives git's words. */
bool mirror_fetch_into(struct mirror *mirror, const char *source, const char *ref, char **said,
                       GError **error);
/* Removes locks and unfinished packs; under mirror_lock_for_fetch(). */
void mirror_remove_leftovers(const char *git_dir);
/* Whether there is an unfinished pack of this size. */
bool mirror_has_cut_pack(const char *git_dir, int64_t size_bytes);
int mirror_lock_for_fetch(struct mirror *mirror, GError **error);
bool mirror_update_ref(struct mirror *mirror, const char *ref, const char *sha, GError **error);

#endif
