/*
 * The refs of a repository on this machine, read from its files without a process: loose refs,
 * packed-refs (gitrepository-layout(5), git-pack-refs(1)), symbolic refs, worktrees' common
 * directories. Nothing is ever written, and no configuration of the repository is obeyed.
 *
 * 1. local_refs_new(). 2. local_refs_look() each time: an unchanged repository costs a few stat(2).
 * 3. When git was asked instead and has answered, local_refs_git_answered(). 4. local_refs_free().
 *
 * A ref is read as git does: the loose file first, then packed-refs, so that a ref that moves from
 * one to the other is never missed. A file whose time stamp is so young that a change within it
 * could go unseen is read each time until it has aged (base/stamp.h). Where the repository is and
 * how it is configured counts anew with each reading; when nothing else changed, the configuration
 * is looked at with every LOCAL_REFS_CONFIGURATION_EVERY-th look, and the repository searched with
 * every LOCAL_REFS_SEARCH_EVERY-th.
 *
 * What only git can tell is left to git: reftables, hidden refs (*.hideRefs), configuration that
 * includes other files, a repository of another user (safe.directory), tags whose objects
 * packed-refs does not name, links among the refs, broken files, more than a bounded time can read,
 * and file systems that may hang, which only a child should touch (base/mounts.h). Where the files
 * decide what git answers, that answer stands until one of them changes.
 *
 * Unlike git, it does not see hideRefs in the user's own configuration, nor url.*.insteadOf: `url`
 * is to be what git makes of it.
 */
#ifndef PHANTOM_CI_GIT_LOCALREFS_H
#define PHANTOM_CI_GIT_LOCALREFS_H

#include <glib.h>
#include <stdbool.h>

enum { LOCAL_REFS_CONFIGURATION_EVERY = 16, LOCAL_REFS_SEARCH_EVERY = 64 };

struct local_refs;

/* `url`: an absolute path or file:// URL as Repo.toml has it. `wanted`: git/refset.h. Nothing is
 * opened yet. */
struct local_refs *local_refs_new(const char *url, const char *const *wanted);
void local_refs_free(struct local_refs *local);

/* Where looks are rare, each looks at the configuration; false at first. */
void local_refs_set_thorough(struct local_refs *local, bool thorough);

enum local_refs_result {
    LOCAL_REFS_SAME, /* as at the last look of this struct that read them, or when git answered */
    LOCAL_REFS_READ, /* *refs is a table as git/refset.h has it; the caller's */
    LOCAL_REFS_ASK_GIT, /* not to be decided from files: use git_look_start(); error says why */
    LOCAL_REFS_FAILED,  /* no repository there, or not readable: `error` (as of a remote) */
};
enum local_refs_result local_refs_look(struct local_refs *local, GHashTable **refs, GError **error);

/* Git was asked after the last look, and gave an answer (not a failure) that has been dealt with.
 * Without this call git is asked again each time. */
void local_refs_git_answered(struct local_refs *local);

/* Forgets what was read, so that the next look reads again. */
void local_refs_forget(struct local_refs *local);

/* The directory that holds refs/ and packed-refs (the common directory of a worktree), after a look
 * that found the repository; NULL when it is not known. */
const char *local_refs_directory(const struct local_refs *local);

#endif
