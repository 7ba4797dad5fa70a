/*
 * The refs of a repository on this machine, read from its files without a process: loose refs,
 * packed-refs (gitrepository-layout(5), git-pack-refs(1)), symbolic refs, worktrees' common
 * directories. A repository that keeps them otherwise (reftable) or holds what is not understood is
 * handed to git. Nothing is ever written, and no configuration of the repository is obeyed but for
 * what decides where its refs are.
 *
 * 1. local_refs_new(). 2. local_refs_look() each time: an unchanged repository costs a few stat(2).
 * 3. local_refs_free().
 *
 * A ref is read as git does: the loose file first, then packed-refs; when packed-refs changed
 * between, again. A file whose time stamp is so young that a change within it could go unseen is
 * read each time until it has aged.
 */
#ifndef PHANTOM_CI_GIT_LOCALREFS_H
#define PHANTOM_CI_GIT_LOCALREFS_H

#include <glib.h>
#include <stdbool.h>

struct local_refs;

/* `url`: an absolute path or file:// URL as Repo.toml has it. `wanted`: git/refset.h. Nothing is
 * opened yet. */
struct local_refs *local_refs_new(const char *url, const char *const *wanted);
void local_refs_free(struct local_refs *local);

enum local_refs_result {
    LOCAL_REFS_SAME,    /* as at the last look of this struct that read them */
    LOCAL_REFS_READ,    /* *refs is a table as git/refset.h has it */
    LOCAL_REFS_ASK_GIT, /* not to be decided from files: use git_look_start(); error says why */
    LOCAL_REFS_FAILED,  /* no repository there, or not readable: `error` (as of a remote) */
};
enum local_refs_result local_refs_look(struct local_refs *local, GHashTable **refs, GError **error);

/* Forgets what was read, so that the next look reads again. */
void local_refs_forget(struct local_refs *local);

/* The directory that holds refs/ and packed-refs (the common directory of a worktree), after a look
 * that read them; NULL when it is not known. */
const char *local_refs_directory(const struct local_refs *local);

#endif
